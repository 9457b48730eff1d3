package chaos

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return noon.Add(d) }

// clean is evidence in which nothing is wrong: a message that was answered at once, one
// that was started again after a death and answered to a retry, one that got success late,
// one that was silent, one that failed with a fallback, one that was never accepted, one
// that was repeated by WeChat, and a forged one.
func clean() *Evidence {
	ms := time.Millisecond
	user := func(n int) string { return fmt.Sprintf("oUser%d", n) }
	e := &Evidence{
		Stored: true, Timely: true, Integrity: []string{"ok", "ok"},
		Lives: []Life{
			{PID: 1, Started: after(-time.Second), Ready: after(-900 * ms), Ended: after(500 * ms), Exit: -1},
			{PID: 2, Started: after(510 * ms), Ready: after(600 * ms), Ended: after(time.Minute), Clean: true},
		},
		Idle: []Usage{{20, 12, 30_000}, {25, 13, 31_000}},
	}
	add := func(m *Message, r *Row, starts ...Mark) {
		m.Account = "plain-hold"
		m.User = user(len(e.Messages))
		e.Messages = append(e.Messages, m)
		e.Starts = append(e.Starts, starts...)
		if r != nil {
			r.ID, r.Account, r.User = m.ID, m.Account, m.User
			if r.Reply != "" {
				r.To = m.User
			}
			e.Rows = append(e.Rows, *r)
		}
	}
	echo := func(mark string) Instruction { return Instruction{Do: doEcho, Mark: mark} }

	s1 := Mark{ID: "text/a", Attempt: 1, PID: 1, At: after(5 * ms)}
	add(&Message{ID: "text/a", Do: echo("a"), Pushes: []Push{{Start: after(0), Took: 20 * ms, Status: 200, Reply: answer(&s1)}}},
		&Row{State: "answered", Attempt: 1, Reply: answer(&s1), Delivery: "written", Received: after(1 * ms), Finished: after(10 * ms)}, s1)

	s2 := Mark{ID: "CLICK/b", Attempt: 1, PID: 1, At: after(450 * ms)}
	s3 := Mark{ID: "CLICK/b", Attempt: 2, PID: 2, At: after(620 * ms)}
	add(&Message{ID: "CLICK/b", Do: echo("b"), Pushes: []Push{
		{Start: after(440 * ms), Took: 60 * ms, Failure: failureReset},
		{Start: after(5440 * ms), Took: 9 * ms, Status: 200, Reply: answer(&s3)},
		{Start: after(7 * time.Second), Took: 9 * ms, Status: 200, Reply: answer(&s3), Repeat: true},
	}}, &Row{State: "answered", Attempt: 2, Reply: answer(&s3), Delivery: "offered", Received: after(441 * ms), Finished: after(625 * ms)}, s2, s3)

	s4 := Mark{ID: "text/c", Attempt: 1, PID: 2, At: after(10 * time.Second)}
	add(&Message{ID: "text/c", Do: Instruction{Do: doEcho, Wait: 6 * time.Second, Mark: "c"}, Pushes: []Push{{Start: after(9990 * ms), Took: 4510 * ms, Status: 200}}},
		&Row{State: "answered", Attempt: 1, Reply: answer(&s4), Delivery: "late", Received: after(9991 * ms), Finished: after(16 * time.Second)}, s4)

	add(&Message{ID: "VIEW/d", Do: Instruction{Do: doSilent, Mark: "d"}, Pushes: []Push{{Start: after(11 * time.Second), Took: 9 * ms, Status: 200}}},
		&Row{State: "silent", Attempt: 1, Received: after(11 * time.Second), Finished: after(11001 * ms)},
		Mark{ID: "VIEW/d", Attempt: 1, PID: 2, At: after(11000500 * time.Microsecond)})

	add(&Message{ID: "text/e", Do: Instruction{Do: doPanic, Mark: "e"}, Pushes: []Push{{Start: after(12 * time.Second), Took: 9 * ms, Status: 200, Reply: fallbackText}}},
		&Row{State: "failed", Attempt: 1, Reason: "panic", Received: after(12 * time.Second), Finished: after(12005 * ms)},
		Mark{ID: "text/e", Attempt: 1, PID: 2, At: after(12 * time.Second)})

	add(&Message{ID: "text/f", Do: echo("f"), Pushes: []Push{{Start: after(501 * ms), Failure: failureRefused}, {Start: after(502 * ms), Failure: failureRefused}, {Start: after(503 * ms), Failure: failureRefused}}}, nil)

	add(&Message{ID: "text/g", Do: echo("g"), Forged: true, Pushes: []Push{{Start: after(13 * time.Second), Took: ms, Status: 403}}}, nil)
	return e
}

func TestCheckClean(t *testing.T) {
	t.Parallel()
	list, got := Check(clean())
	for _, v := range list {
		t.Error(v)
	}
	want := Counts{
		Messages: 6, Pushes: 10, Acked: 5, Answered: 3, Unaccepted: 1, Forged: 1, Repeats: 1, Rows: 5, Starts: 6, Restarted: 1,
		Ambiguous: 1, Lives: 2, Deaths: 1, SlowestMS: 4510,
	}
	if got != want {
		t.Errorf("counts\n got %+v\nwant %+v", got, want)
	}
	if list, _ := Check(&Evidence{}); len(list) != 0 {
		t.Errorf("nothing at all has violations: %v", list)
	}
}

// TestCheck breaks one thing at a time, which the checker must report under the right
// names and no other.
func TestCheck(t *testing.T) {
	t.Parallel()
	const a, b, c, d, unaccepted, forged = 0, 1, 2, 3, 5, 6 // messages of clean; rows have the same numbers up to 4
	tests := []struct {
		name  string
		want  string // the invariants
		spoil func(e *Evidence)
	}{
		{"an acked message is not in the store", "I1 I3", func(e *Evidence) { e.Rows = e.Rows[1:] }},
		{"an acked message that never started is not in the store", "I1", func(e *Evidence) { e.Rows, e.Starts = e.Rows[1:], e.Starts[1:] }},
		{"an acked message is still running", "I1", func(e *Evidence) { e.Rows[d].State = "running" }},
		{"the store has another reply than was given", "I1 I3", func(e *Evidence) {
			other := Mark{ID: "text/a", Attempt: 1, PID: 1, At: after(6 * time.Millisecond)}
			e.Rows[a].Reply = answer(&other)
		}},
		{"an acked message has failed without a reason to", "I1", func(e *Evidence) {
			e.Rows[c].State, e.Rows[c].Reply, e.Rows[c].Reason = "failed", "", "error"
		}},
		{"an accepted message without a 200 is still running", "I2", func(e *Evidence) {
			e.Rows = append(e.Rows, Row{ID: "text/f", Account: "plain-hold", User: "oUser5", State: "running", Attempt: 1})
		}},
		{"started twice in one process", "I3", func(e *Evidence) {
			e.Starts = append(e.Starts, Mark{ID: "VIEW/d", Attempt: 1, PID: 2, At: after(11000600 * time.Microsecond)})
		}},
		{"started again while the first process lived", "I3", func(e *Evidence) { e.Lives[0].Ended = after(700 * time.Millisecond) }},
		{"started again as the same attempt", "I3", func(e *Evidence) { e.Starts[1].Attempt = 2 }},
		{"started after the result was stored", "I3", func(e *Evidence) { e.Rows[a].Finished = after(4 * time.Millisecond) }},
		{"started, and the store has no start mark", "I3", func(e *Evidence) {
			e.Starts = append(e.Starts, Mark{ID: "text/f", Attempt: 1, PID: 1, At: after(400 * time.Millisecond)})
		}},
		{"started as an attempt that the store does not know", "I3", func(e *Evidence) { e.Rows[d].Attempt = 0 }},
		{"answered without a start", "I3", func(e *Evidence) { e.Starts = e.Starts[1:] }},
		{"silent without a start", "I3", func(e *Evidence) { e.Starts = append(e.Starts[:4:4], e.Starts[5:]...) }},
		{"the result of an old attempt", "I1 I3", func(e *Evidence) {
			e.Rows[b].Reply = answer(&e.Starts[1])
		}},
		{"started for a message that nobody sent", "I3", func(e *Evidence) {
			e.Starts = append(e.Starts, Mark{ID: "text/zz", Attempt: 1, PID: 2, At: after(time.Second)})
		}},
		{"two answers of one message", "I1 I4", func(e *Evidence) {
			e.Messages[b].Pushes[2].Reply = answer(&e.Starts[1])
		}},
		{"a reply and then none", "I4", func(e *Evidence) { e.Messages[b].Pushes[2].Reply = "" }},
		{"success at once, and there is a reply", "I4", func(e *Evidence) { e.Messages[a].Pushes[0].Reply = "" }},
		{"delivered by the API as well", "I5", func(e *Evidence) {
			e.APIBudget, e.APICalls = 1, []APICall{{ID: "text/a", At: after(time.Second)}}
		}},
		{"delivered three times with one ambiguity", "I5", func(e *Evidence) {
			e.APIBudget, e.APICalls = 2, []APICall{{ID: "CLICK/b", At: after(time.Second)}, {ID: "CLICK/b", At: after(time.Second)}}
		}},
		{"the reply goes to somebody else", "I6", func(e *Evidence) { e.Messages[a].Pushes[0].Problem = "to" }},
		{"the stored reply goes to somebody else", "I6", func(e *Evidence) { e.Rows[a].To = "oUser9" }},
		{"the reply is about something else", "I1 I6", func(e *Evidence) {
			e.Messages[a].Pushes[0].Reply = answer(&e.Starts[1])
		}},
		{"the stored reply is about something else too", "I6", func(e *Evidence) {
			e.Rows[a].Reply, e.Messages[a].Pushes[0].Reply = answer(&e.Starts[1]), answer(&e.Starts[1])
		}},
		{"stored under another account", "I6", func(e *Evidence) { e.Rows[a].Account = "safe-api" }},
		{"answered after 4.7 s", "I7", func(e *Evidence) { e.Messages[c].Pushes[0].Took = 4700 * time.Millisecond }},
		{"success after 4.7 s where pushes are held", "I7", func(e *Evidence) {
			e.Messages[c].Hold, e.Messages[c].Pushes[0].Took = true, 4700*time.Millisecond
		}},
		{"a push that may be the last answered after 4.7 s", "I7", func(e *Evidence) {
			e.Messages[b].Hold, e.Messages[b].Pushes[2].Took = true, 4700*time.Millisecond
		}},
		{"status 201", "I8", func(e *Evidence) {
			e.Messages[unaccepted].Pushes[0] = Push{Start: after(501 * time.Millisecond), Status: 201}
		}},
		{"success with a line end", "I8", func(e *Evidence) { e.Messages[d].Pushes[0].Problem = "success" }},
		{"a forged push was answered", "I9", func(e *Evidence) { e.Messages[forged].Pushes[0].Status = 200 }},
		{"a forged push was stored and started", "I9 I9", func(e *Evidence) {
			e.Rows = append(e.Rows, Row{ID: "text/g", State: "answered"})
			e.Starts = append(e.Starts, Mark{ID: "text/g", Attempt: 1, PID: 2, At: after(13 * time.Second)})
		}},
		{"an API call beyond the budget", "I10", func(e *Evidence) {
			e.APICalls = []APICall{{ID: "text/f", At: after(time.Second)}}
		}},
		{"an API call after 48 hours", "I10", func(e *Evidence) {
			e.APIBudget, e.APICalls = 1, []APICall{{ID: "text/f", At: after(49 * time.Hour)}}
		}},
		{"the database is damaged", "I11", func(e *Evidence) { e.Integrity[1] = "row 3 missing from index" }},
		{"two rows of one message", "I11", func(e *Evidence) { e.Rows = append(e.Rows, e.Rows[d]) }},
		{"a row of a message that nobody sent", "I11", func(e *Evidence) { e.Rows = append(e.Rows, Row{ID: "text/zz", State: "answered"}) }},
		{"goroutines are left", "I12", func(e *Evidence) { e.Idle[1].Goroutines += 200 }},
		{"descriptors are left", "I12", func(e *Evidence) { e.Idle[1].Descriptors += 20 }},
		{"memory is left", "I12", func(e *Evidence) { e.Idle[1].ResidentKiB += 100 << 10 }},
	}
	named := make(map[string]bool)
	for _, test := range tests {
		for _, name := range strings.Fields(test.want) {
			named[name] = true
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := clean()
			test.spoil(e)
			list, _ := Check(e)
			sortViolations(list)
			var got []string
			for _, v := range list {
				got = append(got, v.Invariant)
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("reported %v, want %s", got, test.want)
				for _, v := range list {
					t.Log(v)
				}
			}
		})
	}
	for i := 1; i <= 12; i++ {
		if name := fmt.Sprintf("I%d", i); !named[name] {
			t.Errorf("no case violates %s", name)
		}
	}
}

// TestCheckRelaxes has what is right under other circumstances.
func TestCheckRelaxes(t *testing.T) {
	t.Parallel()
	tests := map[string]func(e *Evidence){
		"slow answers while time is taken away": func(e *Evidence) {
			e.Timely, e.Messages[2].Pushes[0].Took = false, 5*time.Second
		},
		"a Pure handler starts again as the same attempt": func(e *Evidence) { e.Pure, e.Starts[1].Attempt = true, 2 },
		"success to a repetition after a minute": func(e *Evidence) {
			p := &e.Messages[1].Pushes[2]
			p.Start, p.Reply = after(2*time.Minute), ""
		},
		"a held push gets the reply late": func(e *Evidence) {
			e.Messages[0].Hold, e.Messages[0].Pushes[0].Took = true, 4900*time.Millisecond
		},
		"a store in memory": func(e *Evidence) { e.Stored, e.Rows = false, nil },
		"quarantined after three deaths": func(e *Evidence) {
			r := &e.Rows[1]
			r.State, r.Reply, r.To, r.Reason = "failed", "", "", "quarantined: the process died in every attempt"
			r.Finished = after(time.Second)
			e.Messages[1].Pushes = e.Messages[1].Pushes[:1]
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := clean()
			change(e)
			list, _ := Check(e)
			for _, v := range list {
				t.Error(v)
			}
		})
	}
}

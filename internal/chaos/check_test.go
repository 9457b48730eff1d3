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
// that was started again after a death and answered to a retry, one that got success late and its answer by the
// API, one that was silent, one that failed with a fallback, one that was never accepted, one
// that was repeated by WeChat, a forged one, one whose answer was fetched, and one whose answer came ahead of the
// next one.
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
		if m.User == "" {
			m.Account, m.User = "plain-hold", user(len(e.Messages))
		}
		e.Messages = append(e.Messages, m)
		e.Starts = append(e.Starts, starts...)
		if r != nil {
			r.ID, r.Key, r.Account, r.User = m.ID, "key of "+m.ID, m.Account, m.User
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
	}}, &Row{State: "answered", Attempt: 2, Reply: answer(&s3), Delivery: "written", Received: after(441 * ms), Finished: after(625 * ms)}, s2, s3)

	s4 := Mark{ID: "text/c", Attempt: 1, PID: 2, At: after(10 * time.Second)}
	add(&Message{ID: "text/c", Do: Instruction{Do: doEcho, Wait: 6 * time.Second, Mark: "c"}, Pushes: []Push{{Start: after(9990 * ms), Took: 4510 * ms, Status: 200}}},
		&Row{State: "answered", Attempt: 1, Reply: answer(&s4), Delivery: "sent", Received: after(9991 * ms), Finished: after(16 * time.Second)}, s4)

	add(&Message{ID: "VIEW/d", Do: Instruction{Do: doSilent, Mark: "d"}, Pushes: []Push{{Start: after(11 * time.Second), Took: 9 * ms, Status: 200}}},
		&Row{State: "silent", Attempt: 1, Received: after(11 * time.Second), Finished: after(11001 * ms)},
		Mark{ID: "VIEW/d", Attempt: 1, PID: 2, At: after(11000500 * time.Microsecond)})

	add(&Message{ID: "text/e", Do: Instruction{Do: doPanic, Mark: "e"}, Pushes: []Push{{Start: after(12 * time.Second), Took: 9 * ms, Status: 200, Reply: fallbackText}}},
		&Row{State: "failed", Attempt: 1, Reason: "panic", Received: after(12 * time.Second), Finished: after(12005 * ms)},
		Mark{ID: "text/e", Attempt: 1, PID: 2, At: after(12 * time.Second)})

	add(&Message{ID: "text/f", Do: echo("f"), Pushes: []Push{{Start: after(501 * ms), Failure: failureRefused}, {Start: after(502 * ms), Failure: failureRefused}, {Start: after(503 * ms), Failure: failureRefused}}}, nil)

	add(&Message{ID: "text/g", Do: echo("g"), Forged: true, Pushes: []Push{{Start: after(13 * time.Second), Took: ms, Status: 403}}}, nil)

	e.APICalls = []APICall{
		{Account: "plain-hold", User: user(2), Text: answer(&s4), Begun: after(16 * time.Second), At: after(16 * time.Second), Answered: after(16 * time.Second), Sent: true},
	}

	const promise = `wait for <a href="weixin://bizmsgmenu?msgmenucontent=fetch AB&msgmenuid=1">it</a>`
	s5 := Mark{ID: "text/h", Attempt: 1, PID: 2, At: after(20 * time.Second)}
	add(&Message{ID: "text/h", Do: echo("h"), Pushes: []Push{{Start: after(20 * time.Second), Took: 4500 * ms, Status: 200, Reply: promise}}},
		&Row{State: "answered", Attempt: 1, Reply: answer(&s5), Placeholder: promise, Delivery: "fetched", TakenBy: "key of msg/70", Received: after(20 * time.Second), Finished: after(26 * time.Second)}, s5)
	add(&Message{ID: "msg/70", Account: "plain-hold", User: user(7), Fetch: true, Pushes: []Push{{Start: after(27 * time.Second), Took: 5 * ms, Status: 200, Reply: answer(&s5)}}},
		&Row{State: "answered", Attempt: 1, Reply: answer(&s5), Delivery: "written", Fetches: "key of text/h", Received: after(27 * time.Second), Finished: after(27 * time.Second)})

	s6 := Mark{ID: "text/i", Attempt: 1, PID: 2, At: after(30 * time.Second)}
	s7 := Mark{ID: "text/j", Attempt: 1, PID: 2, At: after(40 * time.Second)}
	both := answer(&s6) + "\n\n" + answer(&s7)
	add(&Message{ID: "text/i", Do: echo("i"), Pushes: []Push{{Start: after(30 * time.Second), Took: 4500 * ms, Status: 200}}},
		&Row{State: "answered", Attempt: 1, Reply: answer(&s6), Delivery: "fetched", TakenBy: "key of text/j", Received: after(30 * time.Second), Finished: after(35 * time.Second)}, s6)
	add(&Message{ID: "text/j", Account: "plain-hold", User: user(9), Do: echo("j"), Pushes: []Push{{Start: after(40 * time.Second), Took: 5 * ms, Status: 200, Reply: both}}},
		&Row{State: "answered", Attempt: 1, Reply: both, Delivery: "written", Received: after(40 * time.Second), Finished: after(40001 * ms)}, s7)
	return e
}

func TestCheckClean(t *testing.T) {
	t.Parallel()
	list, got := Check(clean())
	for _, v := range list {
		t.Error(v)
	}
	want := Counts{
		Messages: 10, Pushes: 14, Acked: 9, Answered: 5, Unaccepted: 1, Forged: 1, Repeats: 1, Rows: 9, Starts: 9, Restarted: 1,
		Ambiguous: 1, ByPush: 3, ByAPI: 1, ByFetch: 1, ByAhead: 1, Promised: 1, APICalls: 1, Lives: 2, Deaths: 1, SlowestMS: 4510,
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
	const h, tap, i, j = 5, 6, 7, 8                         // rows; the messages' numbers are higher by two
	again := func(e *Evidence, n int, d time.Duration) {    // the API sends the answer of that message again
		call := APICall{Account: "plain-hold", User: e.Messages[n].User, Text: e.Messages[n].Pushes[0].Reply, Begun: after(d), At: after(d), Answered: after(d), Sent: true}
		if call.Text == "" {
			call.Text = e.Rows[n].Reply
		}
		e.APICalls = append(e.APICalls, call)
	}
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
		{"sent by the API as soon as a later push had broken off", "I4", func(e *Evidence) {
			e.Rows[0].Delivery = "sent"
			p := &e.Messages[0].Pushes
			*p = append(*p, Push{Start: after(3 * time.Second), Took: 5 * time.Second, Failure: "cut", Repeat: true}, Push{Start: after(8 * time.Second), Took: 9 * time.Millisecond, Status: 200, Repeat: true})
			e.APICalls = append(e.APICalls, APICall{Account: "plain-hold", User: "oUser0", Text: e.Rows[0].Reply, At: after(8500 * time.Millisecond), Sent: true})
		}},
		{"success at once, and there is a reply", "I1 I4", func(e *Evidence) { e.Messages[a].Pushes[0].Reply = "" }},
		{"sent by the API as well, with the answer that came ahead", "I5 I5", func(e *Evidence) { again(e, j+2, 45*time.Second) }},
		{"sent twice by the API, which had answered", "I5", func(e *Evidence) { again(e, c, 20*time.Second) }},
		{"sent three times by the API, whose answer was lost once", "I5 I5", func(e *Evidence) {
			e.APICalls[0].Lost = true
			again(e, c, 31*time.Second)
			again(e, c, 46*time.Second)
		}},
		{"three times, and one death explains one of them", "I5", func(e *Evidence) {
			again(e, a, 300*time.Millisecond)
			again(e, a, 16*time.Second)
		}},
		{"fetched, and sent as well", "I5", func(e *Evidence) {
			e.APICalls = append(e.APICalls, APICall{Account: "plain-hold", User: e.Rows[h].User, Text: e.Rows[h].Reply, At: after(28 * time.Second), Sent: true})
		}},
		{"fetched twice", "I5", func(e *Evidence) {
			m, r := *e.Messages[tap+2], e.Rows[tap]
			m.ID, r.ID, r.Key = "msg/71", "msg/71", "key of msg/71"
			e.Messages, e.Rows = append(e.Messages, &m), append(e.Rows, r)
		}},
		{"the API has not sent what the store says was sent", "I1", func(e *Evidence) { e.APICalls[0].Sent = false }},
		{"written, and no push has brought it", "I1", func(e *Evidence) { e.Rows[c].Delivery, e.APICalls = "written", nil }},
		{"fetched by a message that has failed", "I1", func(e *Evidence) {
			e.Rows[j].State, e.Rows[j].Reason, e.Rows[j].Reply = "failed", "quarantined", ""
			e.Messages[j+2].Pushes[0].Reply = ""
		}},
		{"fetched by a message that has nothing of it", "I1", func(e *Evidence) {
			e.Messages[j+2].Pushes[0].Reply, e.Rows[j].Reply = answer(&e.Starts[8]), answer(&e.Starts[8])
		}},
		{"still to be sent", "I1", func(e *Evidence) { e.Rows[c].Delivery, e.APICalls = "late", nil }},
		{"given up for no reason", "I1", func(e *Evidence) { e.Rows[c].Delivery, e.APICalls = "undeliverable", nil }},
		{"a promise and then the reply", "I4", func(e *Evidence) {
			p := &e.Messages[h+2].Pushes
			*p = append(*p, Push{Start: after(28 * time.Second), Took: time.Millisecond, Status: 200, Reply: e.Rows[h].Reply, Repeat: true})
		}},
		{"a message that fetches has started the handler", "I3", func(e *Evidence) {
			e.Starts = append(e.Starts, Mark{ID: "msg/70", Attempt: 1, PID: 2, At: after(27 * time.Second)})
		}},
		{"an answer goes to another user", "I6", func(e *Evidence) { e.APICalls[0].User = "oUser9" }},
		{"an answer goes to another account", "I6", func(e *Evidence) { e.APICalls[0].Account = "safe-hold" }},
		{"another user's answer comes ahead", "I6", func(e *Evidence) { e.Messages[i+2].User, e.Rows[i].User, e.Rows[i].To = "oUser3", "oUser3", "oUser3" }},
		{"the reply goes to somebody else", "I1 I6", func(e *Evidence) { e.Messages[a].Pushes[0].Problem = "to" }},
		{"the stored reply goes to somebody else", "I6", func(e *Evidence) { e.Rows[a].To = "oUser9" }},
		{"the reply is about something else", "I1 I1 I6 I6", func(e *Evidence) {
			e.Messages[a].Pushes[0].Reply = answer(&e.Starts[1])
		}},
		{"the stored reply is about something else too", "I1 I6 I6 I6", func(e *Evidence) {
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
		{"more API calls than WeChat takes", "I10", func(e *Evidence) {
			for n := range 5 {
				again(e, c, time.Duration(n+20)*time.Second)
				e.APICalls[n+1].Text = fmt.Sprintf("part %d: %s", n, e.Rows[c].Reply)
				e.APICalls[n].Lost = true
			}
		}},
		{"an API call after 48 hours", "I10", func(e *Evidence) { e.APICalls[0].At = after(49 * time.Hour) }},
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
		"sent twice by the API, whose answer was lost": func(e *Evidence) {
			call := e.APICalls[0]
			e.APICalls[0].Lost = true
			call.At = after(31 * time.Second)
			e.APICalls = append(e.APICalls, call)
		},
		"sent by the API as well, since the process died": func(e *Evidence) {
			e.Rows[0].Delivery = "sent"
			e.APICalls = append(e.APICalls, APICall{Account: "plain-hold", User: "oUser0", Text: e.Rows[0].Reply, At: after(16 * time.Second), Sent: true})
		},
		"sent by the API as well, since the push after the death did not take it": func(e *Evidence) {
			e.Rows[0].Delivery = "sent"
			p := &e.Messages[0].Pushes
			*p = append(*p, Push{Start: after(3 * time.Second), Took: 5 * time.Second, Failure: "cut", Repeat: true}, Push{Start: after(18 * time.Second), Took: 9 * time.Millisecond, Status: 200, Repeat: true})
			e.APICalls = append(e.APICalls, APICall{Account: "plain-hold", User: "oUser0", Text: e.Rows[0].Reply, At: after(17500 * time.Millisecond), Sent: true})
		},
		"nobody knows whether it was sent, and it was not": func(e *Evidence) { e.Rows[2].Delivery, e.APICalls = "assumed", nil },
		"kept for the user": func(e *Evidence) { e.Rows[2].Delivery, e.APICalls = "ticket", nil },
		"given up for a reason": func(e *Evidence) {
			e.Rows[2].Delivery, e.Rows[2].Reason, e.APICalls = "undeliverable", "the user does not follow any more", nil
		},
		"fetched again": func(e *Evidence) {
			m, r := *e.Messages[8], e.Rows[6]
			m.ID, r.ID, r.Key, r.Again = "msg/71", "msg/71", "key of msg/71", true
			e.Messages, e.Rows = append(e.Messages, &m), append(e.Rows, r)
		},
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

// TestCheckLease has second starts of a process that was without its store for a while.
func TestCheckLease(t *testing.T) {
	t.Parallel()
	const began = 10 * time.Second // when the handler did
	tests := []struct {
		name  string
		cut   Cut
		again time.Duration // when it was started again, since it began
		by    int           // process
		end   time.Duration // when the first attempt ended, since it began; 0: never
		reply int           // attempt
		want  string
	}{
		{name: "another process, after the lease", cut: Cut{PID: 1, From: after(began), To: after(time.Minute)}, again: 15 * time.Second, by: 2, end: 10 * time.Second, reply: 2},
		{name: "every process was cut off", cut: Cut{From: after(began), To: after(time.Minute)}, again: 15 * time.Second, by: 2, reply: 2},
		{name: "the same one, after it had given its lease up", cut: Cut{PID: 1, From: after(began), To: after(began + 6*time.Second)}, again: 6 * time.Second, by: 1, end: 5 * time.Second, reply: 2},
		{name: "another one, after it had said so", cut: Cut{PID: 1, From: after(began), To: after(began + 6*time.Second)}, again: 7 * time.Second, by: 2, reply: 2},
		{name: "the same one, begun before it could renew", cut: Cut{PID: 1, From: after(began - 5*time.Second), To: after(began - time.Second)}, again: time.Second, by: 1, end: time.Second / 2, reply: 2},
		{name: "too soon", cut: Cut{PID: 1, From: after(began), To: after(time.Minute)}, again: 6 * time.Second, by: 2, reply: 2, want: "was alive"},
		{name: "too soon for the same one", cut: Cut{PID: 1, From: after(began), To: after(began + 2*time.Second)}, again: 3 * time.Second, by: 1, reply: 2, want: "twice in one process"},
		{name: "it was over before", cut: Cut{PID: 1, From: after(0), To: after(began - 6*time.Second)}, again: 15 * time.Second, by: 2, reply: 2, want: "was alive"},
		{name: "that of another process", cut: Cut{PID: 2, From: after(began), To: after(time.Minute)}, again: 15 * time.Second, by: 2, reply: 2, want: "was alive"},
		{name: "it ran on", cut: Cut{PID: 1, From: after(began), To: after(time.Minute)}, again: 15 * time.Second, by: 2, end: 16 * time.Second, reply: 2, want: "had begun"},
		{name: "the result of the one that was given up", cut: Cut{PID: 1, From: after(began), To: after(time.Minute)}, again: 15 * time.Second, by: 2, end: 10 * time.Second, reply: 1, want: "attempt 2 had been started"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			first := Mark{ID: "text/a", Attempt: 1, PID: 1, At: after(began)}
			second := Mark{ID: "text/a", Attempt: 2, PID: test.by, At: after(began + test.again)}
			from := second
			if test.reply == 1 {
				from = first
			}
			e := &Evidence{
				Stored: true, Timely: true, Starts: []Mark{first, second}, Cuts: []Cut{test.cut},
				Lives:    []Life{{PID: 1, Started: after(0), Node: 1}, {PID: 2, Started: after(0), Node: 2}},
				Messages: []*Message{{ID: "text/a", Account: "plain-api", User: "o", Do: Instruction{Do: doEcho, Mark: "a"}, Pushes: []Push{{Start: after(began), Took: 4500 * time.Millisecond, Status: 200}}}},
				Rows: []Row{{
					ID: "text/a", Key: "k", Account: "plain-api", User: "o", To: "o", State: "answered", Attempt: test.reply, Reply: answer(&from), Delivery: "sent",
					Received: after(began), Finished: second.At.Add(time.Second),
				}},
				APICalls: []APICall{{Account: "plain-api", User: "o", Text: answer(&from), Begun: second.At.Add(2 * time.Second), At: second.At.Add(2 * time.Second), Answered: second.At.Add(2 * time.Second), Sent: true}},
			}
			if test.end > 0 {
				end := first
				end.At = after(began + test.end)
				e.Ends = append(e.Ends, end)
			}
			list, _ := Check(e)
			found := false
			for _, v := range list {
				found = found || test.want != "" && v.Invariant == "I3" && strings.Contains(v.What, test.want)
				if test.want == "" {
					t.Error(v)
				}
			}
			if test.want != "" && !found {
				t.Errorf("nothing says %q: %v", test.want, list)
			}
		})
	}
}

// TestWhyNot has pushes that got no 200, and says which of them is excused.
func TestWhyNot(t *testing.T) {
	t.Parallel()
	const began = 10 * time.Second
	failed := Push{Start: after(began), Took: 5 * time.Second, Node: 2}
	at := func(d time.Duration) time.Time { return after(began + d) }
	tests := []struct {
		name  string
		push  Push
		cuts  []Cut
		lives []Life
		want  string
	}{
		{name: "no reason", push: failed, lives: []Life{{Node: 2, Started: after(0), Ready: after(time.Second)}}, want: inexcusable},
		{name: "nobody took the connection", push: Push{Start: after(began), Failure: failureRefused}, want: nodeKilled},
		{name: "the process was still starting", push: failed, lives: []Life{{Node: 2, Started: at(-time.Second), Ready: at(time.Second)}}, want: nodeKilled},
		{name: "another node was still starting", push: failed, lives: []Life{{Node: 1, Started: at(-time.Second), Ready: at(time.Second)}}, want: inexcusable},
		{name: "the process was killed while it was starting", push: failed, lives: []Life{{Node: 2, Started: at(-time.Second), Ended: at(time.Second)}}, want: nodeKilled},
		{name: "the process has never been ready", push: failed, lives: []Life{{Node: 2, Started: at(-time.Second)}}, want: nodeKilled},
		{name: "the process was killed before while it was starting", push: failed, lives: []Life{{Node: 2, Started: at(-2 * time.Second), Ended: at(-time.Second)}}, want: inexcusable},
		{name: "the process began after the push", push: failed, lives: []Life{{Node: 2, Started: at(6 * time.Second), Ready: at(7 * time.Second)}}, want: inexcusable},
		{name: "the store was down to the end", push: failed, cuts: []Cut{{From: at(time.Second), To: at(6 * time.Second)}}, want: storeDown},
		{name: "the store was back in good time", push: failed, cuts: []Cut{{From: at(0), To: at(3 * time.Second)}}, want: inexcusable},
		{name: "the store of another process was down", push: failed, cuts: []Cut{{PID: 7, From: at(time.Second), To: at(6 * time.Second)}}, want: inexcusable},
	}
	for _, test := range tests {
		e := &Evidence{Cuts: test.cuts, Lives: test.lives}
		m := &Message{Pushes: []Push{test.push}}
		e.Messages = []*Message{m}
		if got := why(e, m); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestAcrossNodes has an answer that another node's handler gave, and none that its own did.
func TestAcrossNodes(t *testing.T) {
	t.Parallel()
	e := clean()
	e.Lives[0].Node, e.Lives[1].Node = 1, 2
	for _, m := range e.Messages {
		for i := range m.Pushes {
			m.Pushes[i].Node = 1
		}
	}
	s := e.Starts[0] // by process 1, on node 1
	s.At = after(10 * time.Millisecond)
	e.Ends = append(e.Ends, s)
	if got := acrossNodes(e); len(got) != 0 {
		t.Errorf("on one node: %v", got)
	}
	e.Messages[0].Pushes[0].Node = 2
	if got := acrossNodes(e); len(got) != 1 || got[0] != 10*time.Millisecond {
		t.Errorf("on the other: %v", got)
	}
}

// TestCheckHurried has a process that was told to stop leave behind what it had no time to note.
func TestCheckHurried(t *testing.T) {
	t.Parallel()
	for hurried, want := range map[bool]int{true: 0, false: 1} {
		e := clean()
		m := e.Messages[0]
		e.Lives[0].Clean, e.Lives[0].Exit, e.Lives[0].Hurried = true, 0, hurried
		at := after(20 * time.Second)
		e.APICalls = append(e.APICalls, APICall{Account: m.Account, User: m.User, Text: m.Pushes[0].Reply, Begun: at, At: at, Answered: at, Sent: true})
		if list, _ := Check(e); len(list) != want || want > 0 && list[0].Invariant != "I5" {
			t.Errorf("hurried %v: %v", hurried, list)
		}
	}
}

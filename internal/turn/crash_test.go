package turn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/echostr/echostr/internal/turn/turntest"
	"github.com/echostr/echostr/store"
)

// Wherever a process dies, once or twice, also while it recovers: in the end the
// store holds what it would hold without, and the user has read what he would have, but for the number of the
// attempt and what nobody could know. The places are all where something can be lost: before
// an event, with a transaction under way that is carried out or not, after it and
// before anybody was told, between two effects, around a request to the API. One in thirteen is tried, in
// each world others; all of them with -sim.all.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	seeds, pairs, stride := uint64(12), uint64(1), 13
	if raceEnabled || testing.Short() {
		seeds, pairs = 3, 0
	}
	if *simAll {
		seeds, pairs, stride = 12, 3, 1
	}
	points, runs, singles, sending := 0, 0, 0, 0
	for seed := range seeds {
		whole := crashWorld(seed, nil, false)
		whole.run()
		if len(whole.violations) > 0 || whole.reached.Crashes > 0 {
			t.Fatalf("without a crash: %d crashes, %q", whole.reached.Crashes, whole.violations)
		}
		points += whole.points
		for _, lands := range []bool{false, true} {
			for first := 1 + int(seed)%stride; first <= whole.points; first += stride {
				runs++
				singles++
				once := crashWorld(seed, []int{first}, lands)
				compareCrashed(t, whole, once)
				sending += once.reached.CrashesSending
				if seed >= pairs {
					continue
				}
				// Once more, in the recovery from the first one.
				for second := first + 1; second <= min(once.points, first+60); second += stride + 1 {
					runs++
					compareCrashed(t, whole, crashWorld(seed, []int{first, second}, lands))
				}
			}
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d places to die at, %d runs, %d crashes while sending", points, runs, sending)
	if least := int(seeds) * 150; points < least || sending < singles/50 {
		t.Errorf("%d places to die at and %d crashes while sending, and the test means nothing with fewer than %d and %d", points, sending, least, singles/50)
	}
}

// crashWorld is a small world in which nothing happens but these crashes.
func crashWorld(seed uint64, crashes []int, lands bool) *sim {
	s := newSim(seed, 0, profile{nodes: 1 + int(seed%2), messages: 3, spacing: time.Second})
	s.tail = 30 * time.Minute // three attempts of 400 s, and what comes after
	s.ticketLife, s.diligent = 4*time.Minute, true
	s.lands = func() bool { return lands }
	s.crashAt = make(map[int]bool)
	for _, at := range crashes {
		s.crashAt[at] = true
	}
	return s
}

func compareCrashed(t *testing.T, whole, s *sim) {
	t.Helper()
	s.run()
	if len(s.violations) > 0 {
		t.Errorf("crashes at %v, %v: %s", s.crashAt, s.lands(), strings.Join(s.violations, "\n"))
		return
	}
	if s.reached.Crashes == 0 {
		t.Errorf("no crash at %v", s.crashAt)
	}
	for i, m := range s.msgs[:whole.profile.messages] {
		got, want := &s.disk.rows[i], &whole.disk.rows[i]
		var diff string
		switch {
		case got.Version == 0 && want.Version > 0:
			// Never accepted: then WeChat was never told anything either.
			if m.sees != turntest.Fault {
				diff = fmt.Sprintf("it is not in the store, and the user sees %v", m.sees)
			}
		case got.Reason == ReasonInterrupted && m.policy.Once:
		case got.State != want.State || kindOf(got) != kindOf(want) || got.State == store.Failed && got.Reason != want.Reason:
			diff = fmt.Sprintf("%s\nand without a crash %s", rowText(got), rowText(want))
		case whole.isRead(whole.msgs[i]) && !s.isRead(m) && !m.user.doubts() && m.event == "":
			diff = fmt.Sprintf("the user has read %v, of %s\nand without a crash %v, of %s", s.views(m), rowText(got), whole.views(whole.msgs[i]), rowText(want))
		case got.Attempt > 1+s.reached.Crashes:
			diff = fmt.Sprintf("%d attempts with %d crashes", got.Attempt, s.reached.Crashes)
		}
		if diff != "" {
			t.Errorf("seed %d, message %d, crashes at %v, transaction under way carried out %v: %s", s.seed, i, s.crashAt, s.lands(), diff)
		}
	}
}

// isRead reports whether the user has read all of the reply to m.
func (s *sim) isRead(m *message) bool {
	row := &s.disk.rows[m.id]
	spots := m.spots(m.length, func(yield func(text) bool) {
		for i := range m.user.seen {
			if v := &m.user.seen[i]; (!v.preview || m.seen.drafted > 0) && !yield(v.show) {
				return
			}
		}
	})
	return row.State == store.Answered && !slices.Contains(spots, 0)
}

// doubts reports whether something that was to reach the user has been called ambiguous.
func (u *user) doubts() bool {
	return slices.ContainsFunc(u.msgs, func(m *message) bool { return m.seen.declared > 0 })
}

// kindOf is a row's reply without the attempt that made it.
func kindOf(row *store.Turn) string {
	reply, _, _ := strings.Cut(row.Reply, " by attempt")
	return reply
}

// A wall clock that jumps by up to a day, again and again: no lease ends early, no
// handler starts twice, nothing waits without end.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		s := newSim(seed, 0, profile{nodes: 1 + int(seed%3), messages: 300, spacing: 50 * time.Millisecond})
		var jump func()
		jump = func() {
			if s.now < s.end {
				s.jump()
				s.after(s.between(100*time.Millisecond, 4*time.Second), jump)
			}
		}
		s.after(0, jump)
		s.run()
		for _, v := range s.violations {
			t.Error(v)
		}
		if s.reached.Jumps < 3 || s.reached.LostLeases > 0 {
			t.Errorf("seed %d: %d jumps, %d leases lost", seed, s.reached.Jumps, s.reached.LostLeases)
		}
		for _, m := range s.msgs {
			want := 1
			if m.result == store.Unparseable {
				want = 0
			}
			if !m.pure && (m.seen.starts[1] != want || len(m.seen.starts) != want) {
				t.Errorf("seed %d, message %d: started %v", seed, m.id, m.seen.starts)
			}
			if late := m.sees == turntest.Fault && !m.policy.Hold; late || !m.over {
				t.Errorf("seed %d, message %d: over %v after %d pushes, the user sees %v", seed, m.id, m.over, m.sent, m.sees)
			}
		}
	}
}

// Pushes of one message in any number and order, at any time, on any node: one
// start and one answer.
func TestAnyPushes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(1, 3).Draw(t, "nodes")
		s := newSim(rapid.Uint64().Draw(t, "seed"), 0, profile{nodes: nodes, messages: 1})
		s.populate()
		m := s.msgs[0]
		m.disturbed, m.pure, m.event = true, false, ""
		m.done() // WeChat's own schedule is not used
		m.create = epochStart.Unix()
		n := rapid.IntRange(1, 4).Draw(t, "pushes")
		for i := range n {
			at := time.Duration(rapid.IntRange(0, 20_000).Draw(t, "at")) * time.Millisecond
			node := s.nodes[rapid.IntRange(0, nodes-1).Draw(t, "node")]
			s.plans++
			s.after(at, func() {
				s.plans--
				m.open++
				node.receive(&conn{m: m, number: i + 1, at: s.now})
			})
		}
		s.drain()
		for _, v := range s.violations {
			t.Error(v)
		}
		replies, successes := 0, 0
		for _, o := range m.got {
			if o == store.GotReply || o == store.GotFallback {
				replies++
			} else {
				successes++
			}
		}
		row := &s.disk.rows[0]
		if want := m.result != store.Unparseable; want && m.seen.starts[1] != 1 || len(m.seen.starts) > 1 {
			t.Errorf("started %v", m.seen.starts)
		}
		if !row.State.Finished() || replies > 0 && successes > 0 && row.Delivery != store.Late {
			t.Errorf("%d replies, %d successes, %s", replies, successes, rowText(row))
		}
	})
}

// A process takes over its own turn under a new epoch, and the answer of that
// commit is lost: the row that it then finds is its own, of an attempt that it has not
// started. (Found by the simulation.)
func TestOwnTakeoverWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	before, after := store.Node{ID: "node", Epoch: 1}, store.Node{ID: "node", Epoch: 2}
	s, _ := Step(&p, State{}, &Event{Kind: PushArrived, Now: epochStart, Self: before, Push: 1})
	s.Row.Version = 1
	taken, _ := Step(&p, s, &Event{Kind: OwnerLost, Now: epochStart, Self: after, Lost: before})
	s.Row = taken.Row
	s.Row.Version = 2 // as the store has it
	s, effects := Step(&p, s, &Event{Kind: Changed, Now: epochStart, Self: after})
	var got []Action
	for _, e := range effects.List {
		got = append(got, e.Do)
	}
	if want := []Action{Cancel, Start}; !slices.Equal(got, want) || !s.Running {
		t.Errorf("attempt %d of %v: effects %v, want %v; running %v", s.Row.Attempt, s.Row.Owner, got, want, s.Running)
	}
	// Read once more, nothing new.
	if _, effects := Step(&p, s, &Event{Kind: Changed, Now: epochStart, Self: after}); len(effects.List) > 0 {
		t.Errorf("read again: %v", effects.List)
	}
}

package turn

import (
	"fmt"
	"strings"
	"time"

	"github.com/echostr/echostr/internal/turn/turntest"
	"github.com/echostr/echostr/store"
)

// The oracle holds worlds to docs/reliability.md. The invariants have the
// names that internal/chaos gives them too:
//
//	I1  what was answered with 200 is in the store and ends in a final state
//	I2  what was accepted ends in a final state
//	I3  an attempt starts once, after its start mark; another one only once its owner is dead
//	I4  all answers of a message are the same
//	I5  a reply takes one way: a push, or what comes after `success`
//	I6  a reply goes to whom it is for
//	I7  no push is answered after it was to be broken off, and nothing waits without end
//	I10 only the newest attempt, run by its owner, stores a result; once
//	EXPECT what nothing has disturbed comes out as turntest computes, to the push

// witness is what was seen of a message, outside of all processes.
type witness struct {
	marks   map[int]store.Node // who was marked for each attempt
	starts  map[int]int        // by attempt
	running []*attempt
	told    map[told]bool // who said `success` while the turn ran
	reply   string        // the first one that was given
}

// told is a run of a process.
type told struct{ node, run int }

// reply begins the reply to m, and no other.
func (m *message) reply() string { return fmt.Sprintf("reply to message %d", m.id) }

// stored is called with every row before it replaces the old one.
func (m *message) stored(old, row *store.Turn) {
	s, w := m.s, &m.seen
	if row.State == store.Running && row.Attempt != old.Attempt {
		switch {
		case row.Attempt != old.Attempt+1 && !(m.pure && old.Version == 0):
			s.fail(m, "I3", "attempt %d follows attempt %d", row.Attempt, old.Attempt)
		case old.State != 0 && old.State != store.Running:
			s.fail(m, "I10", "attempt %d begins after the result %v", row.Attempt, old.State)
		case old.State == store.Running && s.disk.alive(old.Owner):
			s.fail(m, "I3", "attempt %d is marked while %v, who runs attempt %d, is alive", row.Attempt, old.Owner, old.Attempt)
		}
		if w.marks == nil {
			w.marks = make(map[int]store.Node)
		}
		w.marks[row.Attempt] = row.Owner
	}
	if row.State == store.Running && row.Attempt == old.Attempt && row.Owner != old.Owner {
		s.fail(m, "I3", "attempt %d goes from %v to %v", row.Attempt, old.Owner, row.Owner)
	}
	if old.State.Finished() && (row.State != old.State || row.Reply != old.Reply || row.Attempt != old.Attempt) {
		s.fail(m, "I10", "the result %v %q is replaced by %v %q", old.State, old.Reply, row.State, row.Reply)
	}
	if old.State == store.Running && row.State.Finished() && row.State != store.Erased {
		if row.Attempt != old.Attempt || row.Owner != old.Owner {
			s.fail(m, "I10", "attempt %d of %v stores a result, and attempt %d of %v runs", row.Attempt, row.Owner, old.Attempt, old.Owner)
		}
		if (row.Reason == ReasonInterrupted || row.Reason == ReasonQuarantined) && s.disk.alive(old.Owner) {
			s.fail(m, "I3", "%q, and its owner %v is alive", row.Reason, old.Owner)
		}
	}
	if old.Delivery == store.Late && row.Delivery != store.Late && !old.State.Finished() {
		s.fail(m, "I5", "the late flag is taken back")
	}
	if row.State == store.Answered && !old.State.Finished() && row.Delivery != store.Late && w.told[m.teller(row.Owner)] {
		s.fail(m, "I5", "the result is stored without the late flag, and its process has said `success`")
	}
	if row.Delivery == store.Assumed && old.Delivery != store.Assumed && (old.Delivery != store.Offered || s.disk.alive(old.Owner)) {
		s.fail(m, "I5", "the delivery %v by %v is taken for an arrival", old.Delivery, old.Owner)
	}
	if row.Reply != "" && !strings.HasPrefix(row.Reply, m.reply()+" ") {
		s.fail(m, "I6", "the reply stored is %q", row.Reply)
	}
}

// unsettled is called when a process has to take another row than its own. What it had
// not saved is gone, a late flag too: that row says none, and whoever sends late
// answers has to look for the ones that nobody was offered.
func (m *message) unsettled(n *node) { delete(m.seen.told, told{n.index, n.run}) }

// teller is the run of the process that has this name now.
func (m *message) teller(n store.Node) told {
	i := indexOf(n)
	if m.s.nodes[i].self != n {
		return told{-1, 0}
	}
	return told{i, m.s.nodes[i].run}
}

// started is called with every attempt before its first instruction.
func (m *message) started(a *attempt) {
	s, w := m.s, &m.seen
	if w.starts == nil {
		w.starts = make(map[int]int)
	}
	w.starts[a.number]++
	for _, other := range w.running {
		// P3: a process that was paused beyond its lease may not know it yet.
		paused := other.l.n.paused || !s.disk.alive(a.owner)
		if same := other.l.n == a.l.n; !other.cancelled && (same || !m.pure && !paused) {
			s.fail(m, "I3", "attempt %d of %v starts while attempt %d of %v runs", a.number, a.owner, other.number, other.owner)
		}
	}
	w.running = append(w.running, a)
	if m.pure {
		return
	}
	if w.starts[a.number] > 1 {
		s.fail(m, "I3", "attempt %d is started for the %dth time", a.number, w.starts[a.number])
	}
	if owner, ok := w.marks[a.number]; !ok || owner != a.owner {
		s.fail(m, "I3", "attempt %d of %v starts without its start mark", a.number, a.owner)
	}
}

func (m *message) ended(a *attempt) {
	w := &m.seen
	for i, other := range w.running {
		if other == a {
			w.running = append(w.running[:i], w.running[i+1:]...)
			return
		}
	}
}

// answered is called with every answer before it is written.
func (m *message) answered(l *local, c *conn, given store.Outcome) {
	s, w, row := m.s, &m.seen, &m.s.disk.rows[m.id]
	if row.Version == 0 {
		s.fail(m, "I1", "push %d is answered before the message is in the store", c.number)
	}
	switch given {
	case store.GotSuccess:
		if !row.State.Finished() {
			if w.told == nil {
				w.told = make(map[told]bool)
			}
			w.told[told{l.n.index, l.n.run}] = true
		}
	case store.GotReply:
		reply := l.state.Row.Reply
		if w.reply == "" {
			w.reply = reply
		}
		switch {
		case reply != w.reply:
			s.fail(m, "I4", "push %d gets %q, and an earlier one got %q", c.number, reply, w.reply)
		case !strings.HasPrefix(reply, m.reply()+" "):
			s.fail(m, "I6", "push %d gets %q", c.number, reply)
		case row.State == store.Erased:
			// It was asked for before, and is on its way.
		case !row.State.Finished() || row.Reply != reply:
			s.fail(m, "I4", "push %d gets %q, and the store has %v %q", c.number, reply, row.State, row.Reply)
		case row.Delivery == store.Undelivered || row.Delivery == store.Late:
			s.fail(m, "I5", "push %d gets the reply, and the store has the delivery %v", c.number, row.Delivery)
		}
	case store.GotFallback:
		if row.State != store.Failed && row.State != store.Erased {
			s.fail(m, "I4", "push %d gets the fallback, and the store has %v", c.number, row.State)
		}
	default:
		s.fail(m, "I4", "push %d gets %v", c.number, given)
	}
}

// check is called with every message when all is over.
func (s *sim) check(m *message) {
	row, w := &s.disk.rows[m.id], &m.seen
	if len(m.got) > 0 && row.Version == 0 {
		s.fail(m, "I1", "it was answered, and is not in the store")
	}
	if row.Version > 0 && !row.State.Finished() && len(s.violations) == 0 {
		s.fail(m, "I2", "it was accepted, and is left as %s", rowText(row))
	}
	if len(m.got) > 1 {
		s.fail(m, "I4", "WeChat took %d answers", len(m.got))
	}
	if len(m.got) == 1 && m.got[0] == store.GotReply && row.Delivery == store.Late {
		s.fail(m, "I5", "a reply reached the user, and another way has it too")
	}
	total := 0
	for _, n := range w.starts {
		total += n
	}
	switch {
	case m.pure:
	case total > m.policy.Attempts:
		s.fail(m, "I3", "%d starts", total)
	case m.policy.Once && total > 1:
		s.fail(m, "I3", "%d starts of a handler that starts once", total)
	case total == 0 && (row.State == store.Answered || row.State == store.Silent):
		s.fail(m, "I3", "a result without a start")
	}
	switch row.Reason {
	case ReasonQuarantined:
		s.reached.Quarantined++
	case ReasonInterrupted:
		s.reached.Interrupted++
	}
	if m.id == 0 && s.now > s.end+10*time.Minute {
		s.fail(m, "I7", "the last thing happens %v after the end", s.now-s.end)
	}
	if m.disturbed || len(s.violations) > 0 {
		return
	}
	s.reached.Undisturbed++
	s.expect(m, total)
}

// expect compares what nothing has disturbed with what was computed without the code
// of the server.
func (s *sim) expect(m *message, starts int) {
	wantStarts := 1
	if m.result == store.Unparseable {
		wantStarts = 0
	}
	if starts != wantStarts {
		s.fail(m, "I3", "%d starts of an undisturbed message", starts)
	}
	c := turntest.Case{
		Handler: min(m.handler, time.Minute), Verified: m.verified, Pushes: m.pushes, Lost: m.lost, Cut: m.cut,
		Offset: epochStart.Add(m.at).Sub(time.Unix(m.create, 0)),
	}
	if m.wait {
		c.LostTakes = m.cut
	}
	if m.result == store.Unparseable {
		c.Handler = 0
	}
	sees, pushes := c.Expect()
	if silent := m.result != store.Answered && (m.result != store.Failed || !m.policy.Fallback); silent && sees == turntest.Reply {
		sees = turntest.Nothing
	}
	if sees != m.sees || pushes != m.sent {
		s.fail(m, "EXPECT", "after %d pushes the user sees %v, want %v after %d: %+v", m.sent, m.sees, sees, pushes, c)
	}
}

// checkPure holds Step to its word: the same again, and nothing changed
// behind the old state.
func (l *local) checkPure(before State, ev *Event, want State) {
	if got, _ := l.n.s.step(&l.m.policy, before, ev); fmt.Sprint(got) != fmt.Sprint(want) {
		l.n.s.fail(l.m, "PURE", "Step gave two answers to %+v", ev)
	}
}

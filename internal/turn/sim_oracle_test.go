package turn

import (
	"fmt"
	"strings"
	"time"

	"github.com/echostr/echostr/store"
)

// The oracle holds worlds to docs/reliability.md. The invariants have the
// names that internal/chaos gives them too:
//
//	I1  what was answered with 200 is in the store, and its reply reaches the user or is recorded as
//	    undeliverable, assumed, or waiting for the user
//	I2  what was accepted ends in a final state, and nothing is left that is due
//	I3  an attempt starts once, after its start mark; another one only once its owner is dead
//	I4  all answers of a message are the same
//	I5  the user reads each part of a reply once, whichever ways it has taken, but for what is counted as ambiguous
//	    or asked for again; what may have been sent is sent once more at most
//	I6  a reply goes to whom it is for
//	I7  no push is answered after it was to be broken off, and nothing waits without end
//	I10 only the newest attempt, run by its owner, stores a result; once. The API is not asked beyond its
//	    quota and window, and a user's replies go out in their order
//	EXPECT what nothing has disturbed comes out as turntest computes, to the push

// witness is what was seen of a message, outside of all processes.
type witness struct {
	marks   map[int]store.Node // who was marked for each attempt
	starts  map[int]int        // by attempt
	running []*attempt
	told    map[teller]bool // who said `success` while the turn ran
	reply   string          // the first one that was given
	given   store.Outcome   // what pushes are answered, once that is decided

	vain     int           // answers that the server takes for written, and nobody has read
	unknown  int           // requests to the API whose outcome the server does not learn
	declared int           // what Step has called ambiguous
	again    int           // pages that the user has asked for once more
	operated int           // what an operator has done to it
	repeated int           // requests that somebody has repeated
	drafted  int           // of the reply's text, that goes on from the draft
	said     int           // messages that the handler has sent, as the store knows
	tries    map[int]int   // requests that may have sent the part from there on
	from     int           // where the last one began
	ready    time.Duration // when the outbox got it
	fetches  bool          // it fetches another reply
}

// teller is a run of a process.
type teller struct{ node, run int }

// reply begins the reply to m, and no other.
func (m *message) reply() string { return fmt.Sprintf("reply to message %d", m.id) }

// decidedDelivery reports whether pushes do not get the reply any more.
func decidedDelivery(d store.Delivery) bool {
	switch d {
	case store.Undelivered, store.Offered, store.Written, store.Assumed:
		return false
	}
	return true
}

// stored is called with every row before it replaces the old one.
func (m *message) stored(old, row *store.Turn) {
	s, w := m.s, &m.seen
	w.fetches = w.fetches || row.Way.Fetch.Page > 0
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
		if promised := row.State == store.Silent && row.Way.Fetch.Page > 0; !promised && (row.Attempt != old.Attempt || row.Owner != old.Owner) {
			s.fail(m, "I10", "attempt %d of %v stores a result, and attempt %d of %v runs", row.Attempt, row.Owner, old.Attempt, old.Owner)
		}
		if (row.Reason == ReasonInterrupted || row.Reason == ReasonQuarantined) && s.disk.alive(old.Owner) {
			s.fail(m, "I3", "%q, and its owner %v is alive", row.Reason, old.Owner)
		}
	}
	if row.State.Finished() && !old.State.Finished() {
		w.drafted, w.said = row.Way.Told, row.Way.Sent
	}
	if row.State == store.Answered && !old.State.Finished() && !decidedDelivery(row.Delivery) && w.told[m.teller(row.Owner)] {
		s.fail(m, "I5", "the result is stored without the late flag, and its process has said `success`")
	}
	m.checkDelivery(old, row)
	m.checkDue(row)
	if row.Reply != "" && !strings.HasPrefix(row.Reply, m.reply()+" ") {
		s.fail(m, "I6", "the reply stored is %q", row.Reply)
	}
}

// checkDelivery holds a row to it that a reply takes one way at a time.
func (m *message) checkDelivery(old, row *store.Turn) {
	s, w := m.s, &m.seen
	switch {
	case decidedDelivery(old.Delivery) && !decidedDelivery(row.Delivery) && !(old.Delivery == store.Sending && row.Delivery == store.Assumed):
		s.fail(m, "I5", "the delivery %v is taken back for %v", old.Delivery, row.Delivery)
	case old.Placeholder != row.Placeholder && old.Placeholder != "" && row.State != store.Erased:
		s.fail(m, "I4", "the placeholder %q is replaced by %q", old.Placeholder, row.Placeholder)
	case row.Delivery == store.Sending && old.Delivery == store.Sending && row.Owner != old.Owner:
		s.fail(m, "I5", "%v sends while %v does", row.Owner, old.Owner)
	case row.Delivery == store.Assumed && old.Delivery != store.Assumed && old.Delivery != store.Offered && old.Delivery != store.Sending:
		s.fail(m, "I5", "the delivery %v is taken for an arrival", old.Delivery)
	case row.Delivery == store.Undeliverable && row.Reason == "" && row.State != store.Erased:
		s.fail(m, "I1", "it is undeliverable, and nothing says why")
	}
	if old.Delivery == store.Sending && row.Delivery == store.Late && row.Way.Told == old.Way.Told {
		s.checkPause(m, row)
	}
	if late := row.Delivery == store.Late && row.State.Finished(); late && w.ready == 0 {
		w.ready = s.now
	} else if !late && row.Delivery != store.Sending {
		w.ready = 0
	}
}

// checkPause holds the outbox's pauses to their bounds.
func (s *sim) checkPause(m *message, row *store.Turn) {
	p := &m.policy
	longest := max(p.MaxBackOff, p.ResendAfter)
	if row.Way.Tries < 10 && row.Way.Unknown == 0 {
		longest = max(min(p.MaxBackOff, p.FirstBackOff<<max(row.Way.Tries-1, 0)), 10*time.Second) // or as long as WeChat has said
	}
	if pause := row.Due.Sub(s.wall()); !m.jumped() && pause > longest {
		s.fail(m, "I7", "the pause after try %d is %v, and at most %v is right", row.Way.Tries, pause, longest)
	}
}

// checkDue holds a row to it that it is due exactly if somebody has to look at it again.
func (m *message) checkDue(row *store.Turn) {
	must, may := false, false
	deliverable := row.State == store.Answered || row.State == store.Failed && m.policy.Fallback
	switch {
	case row.State == store.Erased || !row.State.Finished() && row.Delivery != store.Ticket:
	case row.Delivery == store.Ticket && !deliverable:
		may = true // until the promise has expired
	case row.Delivery == store.Ticket:
		must = true
	case row.Delivery == store.Late:
		must = deliverable
	case row.Delivery == store.Sending:
		must = true
	case row.Delivery == store.Offered, row.Delivery == store.Fetched:
		may = true
	case row.Delivery == store.Written, row.Delivery == store.Assumed:
		may = row.Way.Pages > 1
	case row.Delivery == store.Undelivered:
		must = row.State == store.Answered
	}
	if is := !row.Due.IsZero(); is && !must && !may || !is && must {
		m.s.fail(m, "I2", "due %v: %s", is, rowText(row))
	}
	if row.Delivery != store.Ticket || row.State == store.Erased {
		return
	}
	for _, other := range m.user.msgs {
		if o := &m.s.disk.rows[other.id]; row.Code == "" || other != m && !o.Due.IsZero() && o.Code == row.Code {
			m.s.fail(m, "I6", "a ticket with the code %q, which message %d has", row.Code, other.id)
		}
	}
}

// jumped reports whether the wall clock may have been wrong since the message.
func (m *message) jumped() bool { return m.s.jumpedAt >= m.at || m.s.wallOff != 0 }

// decided is called when a step's row is in the store.
func (m *message) decided(ev *Event, declared int) {
	w := &m.seen
	w.declared += declared
	m.s.reached.Declared += declared
	if ev.Kind == Sent && (ev.Fate == Later || ev.Fate == Refused || ev.Fate == Gone) {
		w.tries[w.from]-- // it was certainly not sent
	}
	if ev.Kind == Due && ev.Taker != 0 && m.s.disk.rows[m.id].Way.TakenBy == (store.Key{}) && m.s.disk.rows[m.id].Reason == ReasonTaker {
		m.s.reached.GivenBack++
	}
}

// requested is called with every request for a part of the reply.
func (m *message) requested(row *store.Turn) {
	s, w := m.s, &m.seen
	if w.tries == nil {
		w.tries = make(map[int]int)
	}
	w.from = row.Way.Told
	if w.tries[w.from]++; w.tries[w.from] > 2 && w.operated == 0 {
		s.fail(m, "I5", "the part from %d on is sent a third time, and nobody knows what became of the first two", w.from)
	}
	const commit = 10 * time.Second // the longest one, between the decision and the request
	if window, _ := m.policy.Allowance(row); !m.jumped() && s.now > s.disk.received[m.id]+window+commit {
		s.fail(m, "I10", "the API is asked %v after the message", s.now-s.disk.received[m.id])
	}
}

// overdrawn is called when the API refuses a message because there were too many.
func (m *message) overdrawn() {
	if w := &m.seen; w.unknown == 0 && w.operated == 0 && !m.disturbed {
		m.s.fail(m, "I10", "the API is asked for more than its %d messages", m.api)
	}
}

// delivered is called when the API takes a part of the reply. The replies of one node keep their order: R-LATE-ORDER
func (m *message) delivered() {
	s := m.s
	for _, other := range m.user.msgs {
		row := &s.disk.rows[other.id]
		if row.Owner.ID != s.disk.rows[m.id].Owner.ID {
			continue
		}
		waits := (row.Delivery == store.Late && !row.Due.IsZero() || row.Delivery == store.Sending) && s.now-other.seen.ready > time.Second
		if before := s.disk.rows[m.id].FinishedAt.Sub(row.FinishedAt); waits && other != m && !other.disturbed && !m.disturbed && before > 0 {
			s.fail(m, "I10", "it overtakes message %d, which was ready %v before", other.id, before)
		}
	}
}

// deadLink is called when a user taps a link, and there is nothing.
func (m *message) deadLink() {
	of := m.wants.of
	row := &m.s.disk.rows[of.id]
	if row.State == store.Answered && (row.Delivery == store.Ticket || row.Delivery == store.Fetched) && row.Due.After(m.s.wall()) && !of.jumped() {
		m.s.fail(of, "I1", "the link %+v is dead, and the store has %s", *m.wants, rowText(row))
	}
}

// unsettled is called when a process has to take another row than its own. What it had
// not saved is gone, a late flag too: that row says none, and whoever sends late
// answers has to look for the ones that nobody was offered.
func (m *message) unsettled(n *node) { delete(m.seen.told, teller{n.index, n.run}) }

// teller is the run of the process that has this name now.
func (m *message) teller(n store.Node) teller {
	i := indexOf(n)
	if m.s.nodes[i].self != n {
		return teller{-1, 0}
	}
	return teller{i, m.s.nodes[i].run}
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
	if given != store.GotSuccess {
		if w.given != store.Open && w.given != given && row.State != store.Erased {
			s.fail(m, "I4", "push %d gets the %v, and an earlier one got the %v", c.number, given, w.given)
		}
		w.given = given
	}
	switch given {
	case store.GotSuccess:
		if replay := s.now-s.disk.received[m.id] > m.policy.ReplayAfter; !row.State.Finished() && !replay {
			if w.told == nil {
				w.told = make(map[teller]bool)
			}
			w.told[teller{l.n.index, l.n.run}] = true
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
		case row.State == store.Erased || c.over:
			// It was asked for before, and is on its way; or nobody reads it.
		case !row.State.Finished() || row.Reply != reply:
			s.fail(m, "I4", "push %d gets %q, and the store has %v %q", c.number, reply, row.State, row.Reply)
		case row.Delivery == store.Undelivered || decidedDelivery(row.Delivery) && w.operated == 0:
			s.fail(m, "I5", "push %d gets the reply, and the store has the delivery %v", c.number, row.Delivery)
		}
	case store.GotFallback:
		if row.State != store.Failed && row.State != store.Erased {
			s.fail(m, "I4", "push %d gets the fallback, and the store has %v", c.number, row.State)
		}
	case store.GotPlaceholder:
		if row.State != store.Erased && (row.Placeholder == "" || row.Placeholder != l.state.Row.Placeholder) {
			s.fail(m, "I4", "push %d gets %q, and the store has %q", c.number, l.state.Row.Placeholder, row.Placeholder)
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
	total := 0
	for _, n := range w.starts {
		total += n
	}
	switch {
	case m.pure:
	case total > m.policy.Attempts:
		s.fail(m, "I3", "%d starts", total)
	case m.policy.Once && total > 1 && !w.fetches:
		s.fail(m, "I3", "%d starts of a handler that starts once", total)
	case total == 0 && (row.State == store.Answered || row.State == store.Silent) && !w.fetches:
		s.fail(m, "I3", "a result without a start")
	}
	switch {
	case row.Reason == ReasonQuarantined:
		s.reached.Quarantined++
	case row.Reason == ReasonInterrupted:
		s.reached.Interrupted++
	case strings.HasPrefix(row.Reason, ReasonExpired):
		s.reached.Expired++
	case row.Reason == ReasonUnasked:
		s.reached.Unasked++
	}
	switch {
	case strings.HasSuffix(row.Reason, ReasonWindow):
		s.reached.Window++
	case strings.HasSuffix(row.Reason, ReasonQuota):
		s.reached.Quota++
	}
	if row.Delivery == store.Assumed {
		s.reached.Assumed++
	}
	if m.id == 0 && s.now > s.end+s.tail+10*time.Minute {
		s.fail(m, "I7", "the last thing happens %v after the end", s.now-s.end)
	}
	s.checkArrival(m, row)
	if m.disturbed || len(s.violations) > 0 {
		return
	}
	s.reached.Undisturbed++
	s.expect(m, total)
}

// checkPure holds Step to its word: the same again, and nothing changed
// behind the old state.
func (l *local) checkPure(before State, ev *Event, want State) {
	if got, _ := l.n.s.step(&l.m.policy, before, ev); fmt.Sprint(got) != fmt.Sprint(want) {
		l.n.s.fail(l.m, "PURE", "Step gave two answers to %+v", ev)
	}
}

package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of the checker.
const (
	// answerBy is when an answered push is answered at the latest: I7.
	answerBy = 4600 * time.Millisecond
	// heldFor is how long a push is held at most. One that may be the last, which is the
	// third, is not held.
	heldFor  = 6 * time.Second
	lastPush = 3
	// replayAfter is the age of a message at which a further push gets success, with
	// room for the difference of the clocks' readings: I4.
	replayAfter = 55 * time.Second
	// lateAfter is how long a push is open at least before it gets success in place
	// of a reply that is still to come: I4.
	lateAfter = 4400 * time.Millisecond
	// assumeAfter is how long after its last push an answer takes another way of which nobody knows
	// whether it has arrived.
	assumeAfter = 14 * time.Second
	// apiWindow is how long after a message WeChat's API may be called for it: I10.
	apiWindow = 48 * time.Hour
	// A lease of 15 s is renewed every 5 s, and given up by its owner when that has failed for 10 s. So after the
	// last renewal that may have worked others wait for leaseLeast at least, or for leaseGivenUp if the owner
	// can tell them, with a second for what was on its way.
	leaseLeast   = 9 * time.Second
	leaseGivenUp = 4 * time.Second
	// renewTime is how long after it reaches the store again a process may go on under a lease that it then gives up:
	// a call that has hung fails after 2 s, and the next one follows half a second later; and so it goes once more while
	// the server recovers.
	renewTime = 5 * time.Second
)

// What a process may have more of after work than before, idle both times: I12. The
// callback server keeps up to 64 idle workers.
const (
	moreGoroutines  = 64 + 10
	moreDescriptors = 10
	moreResidentKiB = 64 << 10
)

// Counts sum up a run.
type Counts struct {
	Messages int `json:"messages"` // genuine ones
	Pushes   int `json:"pushes"`   // of genuine messages
	Acked    int `json:"acked"`    // messages with a 200
	Answered int `json:"answered"` // messages with a reply
	// Unaccepted messages were given up by WeChat without a 200. Some of them are
	// in the store all the same.
	Unaccepted int `json:"unaccepted"`
	// Lost messages were answered with 200 and are not in the store, or not with
	// the reply that was given.
	Lost        int `json:"lost_after_ack"`
	Forged      int `json:"forged"`
	Repeats     int `json:"repeats"` // pushes of messages that had been answered
	Rows        int `json:"rows"`
	Starts      int `json:"starts"`
	Restarted   int `json:"started_again"` // messages with more than one start
	Unexplained int `json:"starts_unexplained"`
	Quarantined int `json:"quarantined"`
	// Double answers were got more than once; Ambiguous ones may have been, as far as the bot knows.
	Double    int `json:"double"`
	Ambiguous int `json:"ambiguous"`
	// By what way the users first got the answers that were stored; those that they have not got are
	// Kept for them, Assumed to have arrived, or GivenUp for a reason.
	ByPush  int `json:"by_push"`
	ByAPI   int `json:"by_api"`
	ByFetch int `json:"by_fetch"`
	ByAhead int `json:"by_ahead"`
	Kept    int `json:"kept"`
	Assumed int `json:"assumed"`
	GivenUp int `json:"given_up"`
	// Promised messages got a text in place of the reply.
	Promised int `json:"promised"`
	APICalls int `json:"api_calls"`
	Lives    int `json:"lives"`
	Deaths   int `json:"deaths"`
	// SlowestMS is the longest time to an answer, in milliseconds.
	SlowestMS int64 `json:"slowest_answer_ms"`
}

// Check compares the evidence and returns what does not fit, and the counts.
func Check(e *Evidence) ([]Violation, Counts) {
	c := newChecker(e)
	for _, m := range e.Messages {
		c.message(m)
	}
	c.strangers()
	c.database()
	c.processes()
	c.api()
	return c.list, c.counts
}

// unaccepted says of some of the messages that WeChat has given up without any 200 what is known about them: first of
// those that nothing excuses.
func unaccepted(e *Evidence) (list []string) {
	c := newChecker(e)
	for _, excused := range []bool{false, true} {
		for _, m := range e.Messages {
			if m.givenUp() && (why(e, m) != inexcusable) == excused && len(list) < showViolations {
				list = append(list, fmt.Sprintf("%s (%s, %s) %s", m.ID, m.Do, m.Account, c.facts(m)))
			}
		}
	}
	return list
}

func newChecker(e *Evidence) *checker {
	c := &checker{
		e: e, rows: make(map[string][]*Row), keys: make(map[string]*Row), starts: make(map[string][]Mark),
		known: make(map[string]*Message), receipts: make(map[string][]receipt), again: make(map[string][]time.Time),
		ends: make(map[Mark]time.Time),
	}
	for _, m := range e.Messages {
		c.known[m.ID] = m
	}
	for _, s := range e.Starts {
		c.starts[s.ID] = append(c.starts[s.ID], s)
	}
	begun := make(map[startOf]Mark)
	for _, s := range e.Starts {
		begun[startOf{s.ID, s.Attempt, s.PID}] = s
	}
	for _, end := range e.Ends {
		if s, ok := begun[startOf{end.ID, end.Attempt, end.PID}]; ok {
			c.ends[s] = end.At
		}
	}
	for i := range e.Rows {
		r := &e.Rows[i]
		c.rows[r.ID], c.keys[r.Key] = append(c.rows[r.ID], r), r
	}
	c.receive()
	return c
}

type checker struct {
	e        *Evidence
	known    map[string]*Message
	rows     map[string][]*Row
	keys     map[string]*Row
	starts   map[string][]Mark
	ends     map[Mark]time.Time // of the handler, by its start
	receipts map[string][]receipt
	again    map[string][]time.Time // when the user asked for what he had been given before
	list     []Violation
	counts   Counts
}

// startOf is what a start and its end have in common.
type startOf struct {
	id           string
	attempt, pid int
}

// row is the row of a message, or nil.
func (c *checker) row(id string) *Row {
	if rows := c.rows[id]; len(rows) > 0 {
		return rows[0]
	}
	return nil
}

func (c *checker) bad(invariant string, m *Message, format string, args ...any) {
	v := Violation{Invariant: invariant, What: fmt.Sprintf(format, args...)}
	if m != nil {
		v.Message = fmt.Sprintf("%s (%s, %s)", m.ID, m.Do, m.Account)
		v.What += "; " + c.facts(m)
	}
	c.list = append(c.list, v)
}

// facts are the parties' records of a message, on one line.
func (c *checker) facts(m *Message) string {
	var b strings.Builder
	at := func(t time.Time) string { return t.Format("05.000") }
	b.WriteString("pushes:")
	for _, p := range m.Pushes {
		got := p.Failure
		if p.Status != 0 {
			got = fmt.Sprint(p.Status)
		}
		fmt.Fprintf(&b, " [%s +%dms %s", at(p.Start), p.Took.Milliseconds(), got)
		if p.Node > 0 {
			fmt.Fprintf(&b, " node %d", p.Node)
		}
		for _, s := range []string{p.Problem, p.Reply} {
			if s != "" {
				fmt.Fprintf(&b, " %q", s)
			}
		}
		if p.Repeat {
			b.WriteString(" repeat")
		}
		b.WriteString("]")
	}
	b.WriteString(" starts:")
	for _, s := range c.starts[m.ID] {
		fmt.Fprintf(&b, " [%s attempt %d pid %d]", at(s.At), s.Attempt, s.PID)
	}
	if c.e.Stored {
		b.WriteString(" rows:")
		for _, r := range c.rows[m.ID] {
			fmt.Fprintf(&b, " [%s %s attempt %d %s %q %q finished %s]", at(r.Received), r.State, r.Attempt, r.Delivery, r.Reply, r.Reason, at(r.Finished))
			if t := c.keys[r.TakenBy]; t != nil {
				fmt.Fprintf(&b, " taken by %s", t.ID)
			}
		}
	}
	b.WriteString(c.ways(m))
	return b.String()
}

// message checks all that is about one message.
func (c *checker) message(m *Message) {
	if m.Forged {
		c.forged(m)
		return
	}
	c.counts.Messages++
	c.counts.Pushes += len(m.Pushes)
	ack := m.ack()
	if ack != nil {
		c.counts.Acked++
	} else if !m.Stopped {
		c.counts.Unaccepted++
	}
	c.stored(m, ack)
	c.started(m)
	c.answers(m)
	c.deliveries(m)
	for i := range m.Pushes {
		c.push(m, i)
	}
}

// stored holds I1 and I2, and the part of I11 that is about one message.
func (c *checker) stored(m *Message, ack *Push) {
	if !c.e.Stored {
		return
	}
	rows := c.rows[m.ID]
	if len(rows) > 1 {
		c.bad("I11", m, "the message has %d rows", len(rows))
	}
	if len(rows) == 0 {
		if ack != nil {
			c.counts.Lost++
			c.bad("I1", m, "answered with 200, and not in the store")
		}
		return
	}
	r := rows[0]
	c.counts.Rows++
	name := "I2"
	if ack != nil {
		name = "I1"
	}
	if !r.done() {
		c.bad(name, m, "still %s after everything has settled", r.State)
		return
	}
	quarantined := strings.HasPrefix(r.Reason, "quarantined")
	if quarantined {
		c.counts.Quarantined++
	}
	if want := m.Do.endsIn(); r.State != want && !quarantined && r.Fetches == "" {
		c.bad(name, m, "ended as %s (%s) and not as %s", r.State, r.Reason, want)
	}
	for i := range m.Pushes {
		p := &m.Pushes[i]
		if !p.Acked() || p.Reply == "" {
			continue
		}
		if p.Reply == fallbackText && r.State == "failed" || p.Reply == r.Placeholder {
			continue
		}
		if r.Reply != p.Reply {
			c.counts.Lost++
			c.bad("I1", m, "answered with %q, and the store has the reply %q", p.Reply, r.Reply)
			break
		}
	}
	if r.State == "answered" && (r.To != m.User || r.User != m.User) {
		c.bad("I6", m, "asked by %s, and the store has a reply to %s for a message of %s", m.User, r.To, r.User)
	}
	if r.Account != m.Account {
		c.bad("I6", m, "sent to %s, and stored as sent to %s", m.Account, r.Account)
	}
	c.reached(m, r, name)
}

// endsIn is the end state of a turn whose handler could do what it was told.
func (i Instruction) endsIn() string {
	switch i.Do {
	case doSilent:
		return "silent"
	case doFail, doPanic:
		return "failed"
	}
	return "answered"
}

// started holds I3.
func (c *checker) started(m *Message) {
	starts := c.starts[m.ID]
	c.counts.Starts += len(starts)
	if len(starts) > 1 {
		c.counts.Restarted++
	}
	bad := func(format string, args ...any) {
		c.counts.Unexplained++
		c.bad("I3", m, format, args...)
	}
	row := c.row(m.ID)
	if row != nil && row.Fetches != "" {
		if len(starts) > 0 {
			bad("it fetches an answer, and has started the handler")
		}
		return
	}
	if c.e.Stored && row == nil && len(starts) > 0 && !c.e.Pure {
		bad("started %d times, and no start mark is in the store", len(starts))
	}
	for i, s := range starts {
		if i > 0 {
			c.startedAgain(bad, starts[i-1], s)
		}
		if row == nil {
			continue
		}
		if s.Attempt > row.Attempt {
			bad("started as attempt %d, and the store knows of %d", s.Attempt, row.Attempt)
		}
		if row.done() && !row.Finished.IsZero() && s.At.Truncate(time.Millisecond).After(row.Finished) {
			bad("started at %s, after the result was stored", s.At.Format("05.000000"))
		}
	}
	if row != nil && row.State == "answered" {
		from, ok := answerTo(m.ID, row.Reply)
		witnessed := slices.ContainsFunc(starts, func(s Mark) bool {
			return s.PID == from.PID && s.Attempt == from.Attempt && s.At.Equal(from.At)
		})
		switch {
		case !ok:
			c.bad("I6", m, "the stored reply is not the handler's to this message")
		case !witnessed && len(starts) > 0:
			bad("the stored reply is that of a start without witness")
		case from.Attempt != row.Attempt:
			bad("the stored reply is that of attempt %d, and attempt %d was the newest", from.Attempt, row.Attempt)
		case len(starts) > 0 && from.Attempt < starts[len(starts)-1].Attempt && !c.e.Pure:
			bad("the stored reply is that of attempt %d, and attempt %d had been started", from.Attempt, starts[len(starts)-1].Attempt)
		}
	}
	if len(starts) == 0 && c.endedByHandler(m, row) {
		bad("ended, and the handler was never started")
	}
}

// endedByHandler reports whether the message came to an end that only a handler brings
// about.
func (c *checker) endedByHandler(m *Message, row *Row) bool {
	if c.e.Stored {
		return row != nil && (row.State == "answered" || row.State == "silent")
	}
	return slices.ContainsFunc(m.Pushes, func(p Push) bool { _, ok := answerTo(m.ID, p.Reply); return ok })
}

// startedAgain says whether a further start is explained: the process of the one
// before has died, or has lost its lease, and that start was marked in the store.
func (c *checker) startedAgain(bad func(string, ...any), before, again Mark) {
	lost := c.leaseLost(before, again)
	if again.PID == before.PID && !lost {
		bad("started twice in one process")
		return
	}
	if again.Attempt <= before.Attempt && !c.e.Pure {
		bad("started again as attempt %d after attempt %d", again.Attempt, before.Attempt)
	}
	if lost {
		// Which is no reason to run on: P3.
		if end, ok := c.ends[before]; ok && end.After(again.At) {
			bad("attempt %d ran until %s, after attempt %d had begun", before.Attempt, end.Format("05.000000"), again.Attempt)
		}
		return
	}
	var life *Life // the youngest, since numbers of processes come again
	for i := range c.e.Lives {
		if l := &c.e.Lives[i]; l.PID == before.PID && !l.Started.After(before.At) {
			life = l
		}
	}
	if life == nil {
		bad("started by a process %d that nobody knows", before.PID)
		return
	}
	if life.Ended.IsZero() || life.Ended.After(again.At) {
		bad("started again while the process %d of the start before was alive", before.PID)
	}
}

// leaseLost reports whether the process of a start may have lost its lease before the next one, since it could not
// reach the store for so long. As soon as it reaches it again, it says that it has given the lease up.
func (c *checker) leaseLost(before, again Mark) bool {
	return slices.ContainsFunc(c.e.Cuts, func(cut Cut) bool {
		least := leaseLeast
		if !again.At.Before(cut.To) {
			least = leaseGivenUp
		}
		return (cut.PID == 0 || cut.PID == before.PID) && before.At.Before(cut.To.Add(renewTime)) && !again.At.Before(cut.From.Add(least))
	})
}

// answers holds I4, and the part of I6 that is about what was answered.
func (c *checker) answers(m *Message) {
	var first *Push
	late := false // the ways of a late answer may have it
	for i := range m.Pushes {
		p := &m.Pushes[i]
		late = late || p.Took >= lateAfter // also if that was not heard
		if !p.Acked() || p.Problem != "" {
			continue
		}
		c.counts.SlowestMS = max(c.counts.SlowestMS, p.Took.Milliseconds())
		row := c.row(m.ID)
		switch {
		case p.Reply == "":
			young := p.End().Sub(m.Pushes[0].Start) < replayAfter
			// Who may send by the API has that bring what no push is known to have brought, but not before that time.
			other := row != nil && !row.pushed()
			if first != nil && young && !(other && p.End().Sub(first.Start) > assumeAfter) {
				c.bad("I4", m, "a push got a reply, and a later one none")
			} else if young && !late && row != nil && row.pushed() {
				c.bad("I4", m, "a push got success after %v, and the store has a reply", p.Took.Round(time.Millisecond))
			}
		case first == nil:
			first = p
		case p.Reply != first.Reply:
			c.bad("I4", m, "answered with %q and with %q", first.Reply, p.Reply)
		}
		c.mine(m.Account, m.User, p.Reply, m)
		if _, ok := answerTo(m.ID, p.Reply); !ok && p.Reply != "" && p.Reply != fallbackText && !m.Fetch && !isPromise(p.Reply) {
			c.bad("I6", m, "answered with %q, which is about something else", p.Reply)
		}
	}
	switch {
	case first == nil:
	case isPromise(first.Reply):
		c.counts.Promised++
	default:
		c.counts.Answered++
	}
}

// pushed reports whether the answer is for pushes to bring.
func (r *Row) pushed() bool {
	switch r.Delivery {
	case "none", "offered", "written":
		return r.State == "answered" && r.Unknown == 0
	case "assumed":
		return r.State == "answered" && r.Reason == "" // that of the API has one
	}
	return false
}

// isPromise reports whether a text was given in place of an answer.
func isPromise(text string) bool {
	return strings.Contains(text, "weixin://bizmsgmenu") && len(parseAnswers(text)) == 0
}

// How a push fails; simulator's names of its outcomes.
const (
	failureCut     = "cut"
	failureReset   = "reset"
	failureRefused = "refused"
)

// push holds I7, I8 and the part of I6 that WeChat sees.
func (c *checker) push(m *Message, i int) {
	p := &m.Pushes[i]
	if p.Status == 0 {
		return
	}
	by := answerBy
	if m.Hold && i < lastPush-1 && p.Reply != "" {
		by = heldFor
	}
	if c.e.Timely && p.Took > by {
		c.bad("I7", m, "a push was answered after %v", p.Took.Round(time.Millisecond))
	}
	switch {
	case p.Status != 200:
		c.bad("I8", m, "a push was answered with status %d", p.Status)
	case p.Problem == "to", p.Problem == "from", p.Problem == "swapped":
		c.bad("I6", m, "a reply went to somebody else (%s)", p.Problem)
	case p.Problem != "":
		c.bad("I8", m, "a push was answered with 200 and a body that WeChat does not take (%s)", p.Problem)
	}
}

// forged holds I9.
func (c *checker) forged(m *Message) {
	c.counts.Forged++
	if m.Acked() {
		c.bad("I9", m, "a forged push was answered with 200")
	}
	if n := len(c.rows[m.ID]); n > 0 {
		c.bad("I9", m, "a forged push has come to %d rows", n)
	}
	if n := len(c.starts[m.ID]); n > 0 {
		c.bad("I9", m, "a forged push has come to %d starts", n)
	}
}

// strangers are rows and starts of messages that nobody sent.
func (c *checker) strangers() {
	for id, rows := range c.rows {
		if c.known[id] == nil {
			c.bad("I11", nil, "%d rows, the first received at %s, belong to the message %q, which nobody sent", len(rows), rows[0].Received.Format(time.RFC3339Nano), id)
		}
	}
	for id, starts := range c.starts {
		if c.known[id] == nil {
			c.counts.Unexplained++
			c.bad("I3", nil, "%d starts, the first at %s, belong to the message %q, which nobody sent", len(starts), starts[0].At.Format(time.RFC3339Nano), id)
		}
	}
}

// database holds I11.
func (c *checker) database() {
	for i, s := range c.e.Integrity {
		if s != "ok" {
			c.bad("I11", nil, "integrity_check number %d says %q", i+1, s)
		}
	}
}

// processes holds I12.
func (c *checker) processes() {
	c.counts.Lives = len(c.e.Lives)
	for _, l := range c.e.Lives {
		if !l.Ended.IsZero() && !l.Clean {
			c.counts.Deaths++
		}
	}
	if len(c.e.Idle) < 2 {
		return
	}
	before, after := c.e.Idle[0], c.e.Idle[len(c.e.Idle)-1]
	for _, u := range []struct {
		what                string
		before, after, more int
	}{
		{"goroutines", before.Goroutines, after.Goroutines, moreGoroutines},
		{"descriptors", before.Descriptors, after.Descriptors, moreDescriptors},
		{"KiB of resident memory", before.ResidentKiB, after.ResidentKiB, moreResidentKiB},
	} {
		if u.after > u.before+u.more {
			c.bad("I12", nil, "idle with %d %s after work, and with %d before", u.after, u.what, u.before)
		}
	}
}

package load

import (
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/echostr/echostr/simulator"
)

// Ledger is what has come of the messages so far. In JSON all durations are seconds.
//
// Messages are Replied + Acknowledged + Invalid + Lost + Stopped, once all have ended.
type Ledger struct {
	Seconds  float64 `json:"seconds"`  // how long messages were sent for
	Users    int     `json:"users"`    // how many took turns
	Complete bool    `json:"complete"` // false if it was ended early

	Counts
	// ByPush are the messages that ended well with the first push, the second ...
	RepliedByPush      []int `json:"replied_by_push"`
	AcknowledgedByPush []int `json:"acknowledged_by_push"`
	Empty              int   `json:"empty"` // of Acknowledged: with an empty body in place of success
	// Problems are the reasons of what was invalid or lost, by the names in the package comment of simulator, and "api", of what
	// the API has refused.
	Problems map[string]Problem `json:"problems"`

	Pushes   int      `json:"pushes"`
	Retries  int      `json:"retries"` // of Pushes: not the first of their message
	Outcomes Outcomes `json:"outcomes"`

	// API is nil if the API was not served.
	API *APILedger `json:"api,omitempty"`

	// FirstAnswer is from the moment when a message was due to the first good answer: a reply, success or an empty body.
	FirstAnswer Latency `json:"first_answer"`
	// Push are the first pushes, the second ..., from when each was due to its end, that of the cut, too.
	Push []Latency `json:"push"`
	// Start is how long after they were due the first pushes began: how late the load itself was.
	Start Latency `json:"start"`
	// StartedLate are those that began more than 50 ms late, and OwnFailures pushes that failed for want of ports or files on this side.
	StartedLate int `json:"started_late"`
	OwnFailures int `json:"own_failures"`

	Kinds []KindLedger `json:"kinds"`
}

// OK reports whether the run came to its end with nothing that speaks against the server. One that was ended early proves
// nothing.
func (l *Ledger) OK() bool { return l.Complete && l.Stopped == 0 && !l.Bad() && !l.Unanswered() }

// Bad reports whether anything was lost, invalid, there twice, or refused by the API.
func (l *Ledger) Bad() bool { return l.Lost > 0 || l.wrong() }

// wrong reports whether anything was that no lack on this side explains.
func (l *Ledger) wrong() bool {
	return l.Invalid > 0 || l.Duplicates > 0 || l.API != nil && l.API.Refused > 0
}

// Failed reports whether messages were lost, and nothing else is bad, while this side lacked ports or files: then nobody
// knows whose fault it was.
func (l *Ledger) Failed() bool { return l.Lost > 0 && l.OwnFailures > 0 && !l.wrong() }

// Unanswered reports whether no user got any answer, though the API was served.
func (l *Ledger) Unanswered() bool { return l.API != nil && l.Replied == 0 && l.Later == 0 }

// Open is how many messages have not ended.
func (l *Ledger) Open() int {
	return l.Messages - l.Replied - l.Acknowledged - l.Invalid - l.Lost - l.Stopped
}

// Counts are what messages come to.
type Counts struct {
	Messages     int `json:"messages"`
	Replied      int `json:"replied"`       // by a good reply to a push (被动回复)
	Acknowledged int `json:"acknowledged"`  // by success or an empty body
	Later        int `json:"later"`         // answered by the API before any reply
	Invalid      int `json:"invalid"`       // status 200 and an answer that WeChat does not take
	Lost         int `json:"lost"`          // no push was answered with status 200, and WeChat has given up
	Stopped      int `json:"stopped"`       // the run was ended while they were open
	FaultNotices int `json:"fault_notices"` // of Invalid and Lost: the user reads the fault notice
	Duplicates   int `json:"duplicates"`    // answers that the user had seen before, to the same message
}

// Outcomes are how pushes ended.
type Outcomes struct {
	OK      int `json:"ok"`     // status 200
	Status  int `json:"status"` // another status
	Cut     int `json:"cut"`    // no answer in time
	Refused int `json:"refused"`
	Reset   int `json:"reset"`
	TLS     int `json:"tls"`
}

// Problem is one reason, how often it was, and a sentence for people about the first time.
type Problem struct {
	Count int    `json:"count"`
	Why   string `json:"why"`
}

// APILedger is about customer-service messages (客服消息).
type APILedger struct {
	Sent    int     `json:"sent"`    // taken
	Refused int     `json:"refused"` // not taken
	Latency Latency `json:"latency"` // of Counts.Later, from when the message was due
}

// KindLedger is about the messages of one kind.
type KindLedger struct {
	Kind string `json:"kind"`
	Counts
	FirstAnswer Latency `json:"first_answer"`
}

// counters are the ledger while it grows.
type counters struct {
	first, api, start *timer
	push              []*timer
	kindFirst         []*timer

	mu                        sync.Mutex
	kinds                     []Counts
	replies, acknowledgements []int // by push
	empty                     int
	problems                  map[string]Problem
	outcomes                  Outcomes
	retries                   int
	startedLate, own          int
	apiSent, apiRefused       int
}

func newCounters(kinds, pushes int) *counters {
	c := &counters{
		first: newTimer(), api: newTimer(), start: newTimer(),
		kinds: make([]Counts, kinds), replies: make([]int, pushes), acknowledgements: make([]int, pushes), problems: map[string]Problem{},
	}
	for range kinds {
		c.kindFirst = append(c.kindFirst, newTimer())
	}
	for range pushes {
		c.push = append(c.push, newTimer())
	}
	return c
}

// in changes the counts.
func (c *counters) in(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *counters) sent(kind int) { c.in(func() { c.kinds[kind].Messages++ }) }

func (c *counters) stopped(kind int) { c.in(func() { c.kinds[kind].Stopped++ }) }

func (c *counters) replied(kind, push int, took time.Duration) {
	c.good(kind, took)
	c.in(func() {
		c.kinds[kind].Replied++
		c.replies[push-1]++
	})
}

func (c *counters) acknowledged(kind, push int, empty bool, took time.Duration) {
	c.good(kind, took)
	c.in(func() {
		c.kinds[kind].Acknowledged++
		c.acknowledgements[push-1]++
		if empty {
			c.empty++
		}
	})
}

func (c *counters) good(kind int, took time.Duration) {
	c.first.observe(took)
	c.kindFirst[kind].observe(took)
}

func (c *counters) invalid(kind int, v simulator.Verdict) {
	c.in(func() {
		c.kinds[kind].Invalid++
		c.bad(kind, v)
	})
}

func (c *counters) lost(kind int, v simulator.Verdict) {
	c.in(func() {
		c.kinds[kind].Lost++
		c.bad(kind, v)
	})
}

// bad notes why. c.mu is held.
func (c *counters) bad(kind int, v simulator.Verdict) {
	c.problem(v.Problem, v.Why)
	if v.Sees == simulator.SeesFault {
		c.kinds[kind].FaultNotices++
	}
}

// problem counts a reason. c.mu is held.
func (c *counters) problem(name, why string) {
	p := c.problems[name]
	if p.Count++; p.Count == 1 {
		p.Why = why
	}
	c.problems[name] = p
}

// again notes an answer that was there before, if it was.
func (c *counters) again(kind int, before bool) {
	if before {
		c.in(func() { c.kinds[kind].Duplicates++ })
	}
}

func (c *counters) later(kind int, took time.Duration) {
	c.api.observe(took)
	c.in(func() { c.kinds[kind].Later++ })
}

func (c *counters) told() { c.in(func() { c.apiSent++ }) }

func (c *counters) refused(why string) {
	c.in(func() {
		c.apiRefused++
		c.problem("api", why)
	})
}

// startsLate is from when on the load is said to be late.
const startsLate = 50 * time.Millisecond

// pushes notes the pushes of a message that was due.
func (c *counters) pushes(r *simulator.Report, due time.Time, rules simulator.Rules) {
	if len(r.Pushes) == 0 {
		return
	}
	late := r.Pushes[0].Start.Sub(due)
	c.start.observe(late)
	for i := range r.Pushes {
		p := &r.Pushes[i]
		c.push[i].observe(end(p).Sub(due))
		if due = end(p); rules.WaitAfterFailure && due.Before(p.Start.Add(rules.Timeout)) {
			due = p.Start.Add(rules.Timeout)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if late > startsLate {
		c.startedLate++
	}
	c.retries += len(r.Pushes) - 1
	for i := range r.Pushes {
		o := &c.outcomes
		switch p := &r.Pushes[i]; p.Outcome {
		case simulator.Answered:
			if p.Status == http.StatusOK {
				o.OK++
			} else {
				o.Status++
			}
		case simulator.Cut:
			o.Cut++
		case simulator.Refused:
			o.Refused++
		case simulator.BadTLS:
			o.TLS++
		default:
			o.Reset++
		}
		if own(&r.Pushes[i], runtime.GOOS) {
			c.own++
		}
	}
}

// Ledger returns what has come of the messages so far.
func (l *Load) Ledger() *Ledger {
	c := l.count
	out := &Ledger{FirstAnswer: c.first.latency(), Start: c.start.latency()}
	for _, t := range c.push {
		out.Push = append(out.Push, t.latency())
	}
	l.mu.Lock()
	out.Users, out.Complete = len(l.users), l.complete
	if until := l.ended; !l.started.IsZero() {
		if until.IsZero() {
			until = time.Now()
		}
		out.Seconds = until.Sub(l.started).Seconds()
	}
	l.mu.Unlock()

	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range c.kinds {
		out.Kinds = append(out.Kinds, KindLedger{l.config.Mix[i].Kind, n, c.kindFirst[i].latency()})
		out.add(n)
	}
	out.RepliedByPush, out.AcknowledgedByPush = slices.Clone(c.replies), slices.Clone(c.acknowledgements)
	out.Empty, out.Problems = c.empty, maps.Clone(c.problems)
	out.Outcomes, out.Retries = c.outcomes, c.retries
	o := c.outcomes
	out.Pushes = o.OK + o.Status + o.Cut + o.Refused + o.Reset + o.TLS
	out.StartedLate, out.OwnFailures = c.startedLate, c.own
	if l.config.API {
		out.API = &APILedger{c.apiSent, c.apiRefused, c.api.latency()}
	}
	return out
}

func (n *Counts) add(m Counts) {
	n.Messages += m.Messages
	n.Replied += m.Replied
	n.Acknowledged += m.Acknowledged
	n.Later += m.Later
	n.Invalid += m.Invalid
	n.Lost += m.Lost
	n.Stopped += m.Stopped
	n.FaultNotices += m.FaultNotices
	n.Duplicates += m.Duplicates
}

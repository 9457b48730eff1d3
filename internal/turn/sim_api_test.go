package turn

import (
	"time"

	"github.com/echostr/echostr/store"
)

// WeChat's API, and the requests to it.

// requestTime is how long a process waits for the API.
const requestTime = 30 * time.Second

// request is a request of a process to WeChat's API. The outcome reaches the process if it lives then.
func (s *sim) request(n *node, m *message, d *document, outcome func(Fate, string, time.Duration)) {
	s.reached.Requests++
	run, over := n.run, false
	end := func(f Fate, reason string, after time.Duration) {
		if over {
			return
		}
		if over = true; s.trace != nil {
			s.tell(m, "node %d: the API: %v %s", n.index, f, reason)
		}
		outcome(f, reason, after)
	}
	s.after(s.between(5*time.Millisecond, 100*time.Millisecond), func() {
		if n.run != run && s.chance(.3) {
			return // its process was quicker to die
		}
		fate, reason, after, silent := s.atAPI(m, d)
		if silent || n.run != run {
			return
		}
		n.after(s.between(5*time.Millisecond, 100*time.Millisecond), func() { end(fate, reason, after) })
	})
	n.after(requestTime, func() { end(Unknown, "no answer", 0) })
}

// atAPI is what WeChat makes of a request. silent: it says nothing about it.
func (s *sim) atAPI(m *message, d *document) (fate Fate, reason string, after time.Duration, silent bool) {
	window, quota := m.policy.Allowance(&store.Turn{MsgType: m.row().MsgType, Event: m.event})
	r := &s.reached
	faulty := s.chaos && s.now < s.end+3*time.Minute
	switch x := s.rng.Float64(); {
	case s.apiDown > s.now && x < .2:
		r.Hangs++
		m.seen.unknown++
		return 0, "", 0, true
	case s.apiDown > s.now:
		r.Busy++
		return Later, "the system is busy", 0, false
	case m.user.gone:
		r.Gone++
		return Gone, "the user does not follow the account any more", 0, false
	case s.now > m.at+window:
		r.OutOfTime++
		return Refused, "45015", 0, false
	case m.api >= quota:
		r.OutOfCount++
		m.overdrawn()
		return Refused, "45047", 0, false
	case faulty && x < .05:
		r.Busy++
		return Later, "the system is busy", 0, false
	case faulty && x < .07:
		r.Busy++
		return Later, "try again later", s.between(time.Second, 10*time.Second), false
	case faulty && x < .085:
		r.Forbidden++
		return Refused, "48001", 0, false
	case faulty && x < .105: // lost on the way there
		r.UnknownLost++
		m.seen.unknown++
		return Unknown, "the connection broke", 0, s.chance(.3)
	}
	m.api++
	if d != nil {
		r.Parts++
		m.delivered()
		m.user.reads(*d)
		m.user.seen[len(m.user.seen)-1].byAPI = true
	}
	if faulty && s.chance(.03) { // and on the way back
		r.UnknownDone++
		m.seen.unknown++
		return Unknown, "the connection broke", 0, s.chance(.3)
	}
	return Done, "", 0, false
}

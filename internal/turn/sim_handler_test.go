package turn

import (
	"slices"
	"time"

	"github.com/echostr/echostr/store"
)

// attempt is one run of the handler.
type attempt struct {
	l         *local
	number    int
	owner     store.Node
	cancelled bool
	running   bool
	over      bool
	claimed   bool     // it is not given up any more
	taking    bool     // it has taken the reply of another turn
	said      int      // messages that the API has taken from it
	next      *attempt // waits for this one
}

func (a *attempt) begin() {
	l, m, s := a.l, a.l.m, a.l.n.s
	s.reached.Starts++
	a.running = true
	l.n.attempts = append(l.n.attempts, a)
	m.started(a)
	if s.trace != nil {
		s.tell(m, "node %d: attempt %d starts", l.n.index, a.number)
	}
	if s.broken(.0005) {
		l.n.crash() // a handler that takes its process along
		return
	}
	if l.state.Row.Way.Fetch.Page > 0 {
		a.fetch()
		return
	}
	_, quota := m.policy.Allowance(&l.state.Row)
	for range min(m.says, quota) {
		l.n.after(s.between(0, min(m.handler, m.limit)), func() {
			if a.over {
				return
			}
			a.said++
			s.request(l.n, m, nil, func(f Fate, _ string, _ time.Duration) {
				if f != Done && f != Unknown {
					a.said--
				}
			})
		})
	}
	l.n.after(min(m.handler, m.limit), a.end)
	if a.cancelled && m.heeds {
		l.n.after(0, a.end)
	}
}

// end is the end of the handler.
func (a *attempt) end() {
	if a.over || a.claimed {
		return
	}
	m := a.l.m
	a.running = false
	switch {
	case a.cancelled && m.heeds:
		a.finish(Event{})
	case m.handler > m.limit:
		a.finish(Event{State: store.Failed, Reason: "timeout"})
	case m.result == store.Failed:
		a.finish(Event{State: store.Failed, Reason: "error"})
	case m.result != store.Answered || m.length > pageSize:
		a.finish(Event{State: m.result, Reply: a.compose(nil, m.length)})
	default:
		a.claimed = true
		a.ahead(m.length, func(carried text) {
			a.finish(Event{State: store.Answered, Reply: a.compose(carried, m.length)})
		})
	}
}

// finish posts what the attempt has come to, if that is anything.
func (a *attempt) finish(ev Event) {
	l, run := a.l, a.l.n.run
	if a.over {
		return
	}
	a.over, a.running, a.taking = true, false, false
	l.n.attempts = slices.DeleteFunc(l.n.attempts, func(other *attempt) bool { return other == a })
	l.m.ended(a)
	if ev.State != store.Answered {
		ev.Reply = ""
	}
	if ev.State != 0 {
		ev.Kind, ev.Attempt, ev.Self, ev.Said = Result, a.number, a.owner, a.said
		l.post(job{ev: ev})
	}
	if a.next != nil && l.n.run == run {
		a.next.begin()
	}
}

func (a *attempt) cancel() {
	if a.cancelled || a.over {
		return
	}
	if a.cancelled = true; a.running && a.l.m.heeds {
		a.l.n.after(0, a.end)
	}
}

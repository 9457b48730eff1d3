package turn

import (
	"fmt"
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
	l.n.after(min(m.handler, time.Minute), a.end)
	if a.cancelled && m.heeds {
		l.n.after(0, a.end)
	}
}

func (a *attempt) end() {
	if a.over {
		return
	}
	l, m, run := a.l, a.l.m, a.l.n.run
	a.over, a.running = true, false
	l.n.attempts = slices.DeleteFunc(l.n.attempts, func(other *attempt) bool { return other == a })
	m.ended(a)
	if !a.cancelled || !m.heeds {
		ev := Event{Kind: Result, Attempt: a.number, Self: a.owner, State: m.result}
		switch {
		case m.handler > time.Minute:
			ev.State, ev.Reason = store.Failed, "timeout"
		case m.result == store.Answered:
			ev.Reply = fmt.Sprintf("%s by attempt %d of %s%d", m.reply(), a.number, a.owner.ID, a.owner.Epoch)
		case m.result == store.Failed:
			ev.Reason = "error"
		}
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

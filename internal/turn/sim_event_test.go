package turn

import (
	"fmt"

	"github.com/echostr/echostr/store"
)

// What a process knows that Step has to be told in an event.

func (l *local) prepare(ev *Event) {
	ev.Now = l.n.s.wall()
	if ev.Kind != Result && ev.Kind != Sent {
		ev.Self = l.n.self
	}
	if c := l.conns[ev.Push]; ev.Kind == PushDue && c != nil {
		ev.Waited = l.n.s.now - c.entered
	}
}

// complete adds to an event what depends on the row as it is now.
func (l *local) complete(ev *Event) {
	s, row := l.n.s, &l.state.Row
	ev.Code = l.m.code()
	switch ev.Kind {
	case PushDue:
		if row.State == store.Running {
			l.promise(ev)
		}
	case Result:
		size := s.texts[ev.Reply].size()
		ev.Told = 0
		if told := Told(row); ev.State == store.Answered && told > 0 && told == l.shown && !l.m.strays && s.texts[ev.Reply][0].m == l.m {
			ev.Told = told
		}
		ev.Pages = pagesIn(size - ev.Told)
		ev.Parts = ev.Pages
		ev.NoAPI = s.broken(.05)
		l.m.disturbed = l.m.disturbed || ev.NoAPI
	case OwnerLost:
		if row.Delivery == store.Sending {
			_, sent := s.part(row)
			ev.Told, ev.More, ev.Pages = sent.Told, sent.More, sent.Pages
		}
	case Take:
		ev.Pages = pagesIn(s.rest(row).size())
	case Due:
		if row.Delivery == store.Fetched && row.Way.Shown > 0 { // else he was told that there is none
			taker := &s.disk.rows[messageOf(row.Way.TakenBy)]
			ev.Taker = taker.State
			if taker.Version == 0 && l.n.locals[messageOf(row.Way.TakenBy)] != nil {
				ev.Taker = store.Running
			} else if taker.Version == 0 || taker.State == store.Answered && !s.texts[taker.Reply].has(s.rest(row)) {
				ev.Taker = store.Failed
			}
		}
	}
}

// promise says what a push gets whose time ends before the handler does.
func (l *local) promise(ev *Event) {
	s, row := l.n.s, &l.state.Row
	ev.Placeholder, ev.Told = "", 0
	ev.NoHold = s.broken(.02)
	ev.NoAPI = s.broken(.02)
	l.m.disturbed = l.m.disturbed || ev.NoHold || ev.NoAPI
	if row.Placeholder != "" {
		return
	}
	d := document{of: l.m, preview: true}
	const draft = 15
	if l.m.drafts && l.handler != nil && l.handler.running && row.Way.Fetch.Page == 0 {
		ev.Told, l.shown = draft, draft
		d.show = text{{l.m, 0, draft}}
	}
	switch fetch := row.Way.Fetch; {
	case fetch.Page > 0:
		of := s.msgs[messageOf(fetch.Of)]
		d.link = &link{of, of.code(), fetch.Page}
	case l.m.policy.API && !ev.NoAPI && ev.Told == 0:
		return // success, and then the API
	case l.m.policy.API && !ev.NoAPI:
	case !Asked(row):
		ev.Told = 0
		return
	default:
		d.link = &link{l.m, l.m.code(), 1}
	}
	ev.Placeholder = fmt.Sprintf("placeholder %d of message %d, told %d", len(s.placeholders), l.m.id, ev.Told)
	s.placeholders[ev.Placeholder] = d
}

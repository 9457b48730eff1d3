package turn

import (
	"fmt"
	"slices"
	"time"

	"github.com/echostr/echostr/store"
)

// Messages that fetch replies, and replies that go ahead of others.

// recognise notes in a new row what its message fetches. It reports false if the store does not say.
func (l *local) recognise() bool {
	s, m := l.n.s, l.m
	if m.wants == nil && !m.word {
		return true
	}
	if l.n.cutOff {
		return false
	}
	var of *store.Turn
	byKey := s.chance(.5)
	for _, other := range m.user.msgs {
		row := &s.disk.rows[other.id]
		switch {
		case row.Version == 0 || row.Code == "" || row.Due.IsZero():
		case m.word && !waits(row), m.wants != nil && byKey && other != m.wants.of, m.wants != nil && !byKey && row.Code != m.wants.code:
		case of == nil || of.Due.Before(row.Due):
			of = row
		}
	}
	fetch := &l.state.Row.Way.Fetch
	switch {
	case of != nil:
		page := of.Way.Shown + 1
		if m.wants != nil {
			page = min(page, m.wants.page) // the links of pages that were parted anew lead to the next one
		} else if of.Way.Pages > 0 && page > of.Way.Pages {
			page = 1
		}
		*fetch = store.Fetch{Of: of.Key, Page: page, Again: page <= of.Way.Shown}
	case m.wants != nil:
		s.reached.DeadLinks++
		m.deadLink()
		*fetch = store.Fetch{Page: m.wants.page}
	default:
		return true // a question like any other
	}
	l.state.Row.Pure = false
	return true
}

// waits reports whether there is more of a reply than the user has fetched.
func waits(row *store.Turn) bool {
	switch row.Delivery {
	case store.Ticket:
		return true
	case store.Written, store.Assumed:
		return row.Way.Shown < row.Way.Pages
	}
	return false
}

// give is what the turn that takes gets of this one.
func (l *local) give(ev *Event) document {
	s := l.n.s
	if ev.Page == 0 {
		s.reached.Merges++
	} else {
		s.reached.Fetches++
	}
	if ev.Again {
		l.m.seen.again++
	}
	return s.page(&l.state.Row, max(ev.Page, 1))
}

// ask asks another turn for its reply, or a page of it.
func (a *attempt) ask(of store.Key, page int, again bool, told func(Action, document)) {
	a.l.n.local(a.l.n.s.msgs[messageOf(of)]).post(job{
		lookup: true, taken: told,
		ev: Event{Kind: Take, By: a.l.state.Row.Key, Page: page, Again: again},
	})
}

// fetch is the run of a message that fetches a page: it waits for that as a handler would work.
func (a *attempt) fetch() {
	l, s := a.l, a.l.n.s
	what := l.state.Row.Way.Fetch
	l.n.after(time.Minute, func() {
		if !a.over {
			a.finish(Event{State: store.Failed, Reason: "timeout"})
		}
	})
	if what.Of == (store.Key{}) {
		l.n.after(0, func() { a.finish(Event{State: store.Answered, Reply: a.compose(nil, 20)}) })
		return
	}
	var look func()
	look = func() {
		if a.over || a.cancelled && l.m.heeds {
			return
		}
		a.ask(what.Of, what.Page, what.Again, func(kind Action, d document) {
			if l.n.locals == nil || a.over {
				return
			}
			switch kind {
			case Give:
				if a.taking = true; s.broken(.01) {
					l.n.crash() // with the page in its hands
					return
				}
				l.n.after(s.between(0, time.Millisecond), func() {
					reply := a.compose(d.show, 0)
					s.next[reply] = d.link
					a.finish(Event{State: store.Answered, Reply: reply})
				})
			case Deny:
				s.reached.Denies++
				a.finish(Event{State: store.Silent})
			default:
				s.reached.Waits++
				l.n.after(500*time.Millisecond, look)
			}
		})
	}
	l.n.after(0, look)
}

// ahead takes replies that the user has not read, as far as they fit, to put them ahead of this one.
func (a *attempt) ahead(size int, then func(carried text)) {
	l, s := a.l, a.l.n.s
	var list []store.Turn
	for _, other := range l.m.user.msgs {
		row := &s.disk.rows[other.id]
		mine := row.Delivery == store.Fetched && row.Way.TakenBy == l.state.Row.Key
		late := row.Delivery == store.Late && row.Way.Tries > 0 && row.Way.Told == 0 && row.Way.Unknown == 0
		switch {
		case l.n.cutOff || other == l.m || row.Version == 0 || row.State != store.Answered || row.Due.IsZero():
		case mine:
			list = slices.Insert(list, 0, *row) // what was taken before has to be brought
		case row.Way.Shown == 0 && (row.Delivery == store.Ticket || late):
			list = append(list, *row)
		}
	}
	var carried text
	began := s.now
	var next func()
	next = func() {
		for len(list) > 0 && carried.size()+s.rest(&list[0]).size()+size > pageSize {
			list = list[1:]
		}
		if len(list) == 0 {
			if s.now-began > 20*time.Millisecond {
				l.m.disturbed = true
			}
			then(carried)
			return
		}
		row := list[0]
		list = list[1:]
		a.ask(row.Key, 0, false, func(kind Action, d document) {
			if kind == Give {
				if a.taking = true; s.broken(.02) {
					l.n.crash()
					return
				}
				carried = append(carried, d.show...)
			}
			l.n.after(s.between(0, time.Millisecond), next)
		})
	}
	next()
}

// compose makes a reply document of what is carried and size bytes of its own.
func (a *attempt) compose(carried text, size int) string {
	m, s := a.l.m, a.l.n.s
	t := carried
	if size > 0 {
		t = append(slices.Clip(carried), span{m, 0, size})
	}
	reply := fmt.Sprintf("%s by attempt %d of %s%d: %v", m.reply(), a.number, a.owner.ID, a.owner.Epoch, t)
	s.texts[reply] = t
	return reply
}

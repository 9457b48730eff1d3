package turn

import (
	"slices"
	"time"

	"github.com/echostr/echostr/store"
)

// local is a turn in a process: the caller of Step.
type local struct {
	n       *node
	m       *message
	state   State
	began   time.Duration // when it came, if the disk does not know it yet
	dirty   bool          // the row has changed since it was saved, which may wait
	blocked bool          // in a commit
	driven  bool
	polling bool
	gone    bool
	queue   []job
	job     job      // the present one
	steps   []*Event // the events that it has come to
	conns   map[int]*conn
	ids     int
	handler *attempt
	shown   int  // of the reply's text, by the placeholder that was made here
	sending int  // requests that are under way
	due     bool // Due is in the queue
}

// job is an event that has to be prepared.
type job struct {
	ev     Event
	reload bool // read the row first
	lookup bool // read it first if it is not known here
	erase  bool // the user was erased; the event says the rest
	// Take: who asks is told once.
	taken func(Action, document)
}

func (l *local) dead() bool { return l.gone || l.n.locals == nil || l.n.locals[l.m.id] != l }

func (l *local) post(j job) {
	if !l.dead() {
		l.queue = append(l.queue, j)
		l.drive()
	}
}

// close is the end of a connection in this process.
func (l *local) close(id int, written bool) {
	if l.conns[id] != nil {
		delete(l.conns, id)
		l.post(job{ev: Event{Kind: PushClosed, Push: id, Written: written}})
	}
}

// drive takes one event after the other, while no commit is under way.
func (l *local) drive() {
	if l.driven {
		return
	}
	l.driven = true
	defer func() { l.driven = false }()
	for !l.blocked && !l.dead() {
		switch {
		case len(l.steps) > 0:
			l.apply()
		case l.job.ev.Kind != 0:
			l.settle()
		case len(l.queue) > 0:
			l.job = l.queue[0]
			l.queue = l.queue[1:]
			l.take(&l.job)
		default:
			l.rest()
			return
		}
	}
}

// settle is the end of the present job.
func (l *local) settle() {
	j := l.job
	l.job = job{}
	if j.ev.Kind == Due || j.reload && j.ev.Kind == OwnerLost {
		if l.due = false; l.state.Row.Due.After(l.n.s.wall()) || l.state.Row.Due.IsZero() && l.state.Row.Version > 0 {
			l.n.noteDue(&l.state.Row)
		} else {
			l.n.again[l.m.id] = l.n.s.now + time.Second // it could not be read, or has to wait for another one
			l.n.lookIn(time.Second)
		}
	}
	if j.taken != nil {
		j.taken(Wait, document{}) // it was told nothing
	}
}

// take prepares an event.
func (l *local) take(j *job) {
	s, ev := l.n.s, &j.ev
	if l.n.mayDie() {
		return
	}
	l.prepare(ev)
	before := l.state.Row.Version
	if unknown := before == 0 || l.foreign(); (j.reload || j.lookup && unknown) && !l.reload(ev) {
		return
	}
	if row := &l.state.Row; ev.Kind == Due && (row.Delivery == store.Fetched && l.n.cutOff || row.Delivery == store.Late && !l.n.foremost(row, false)) {
		return // what has become of the taker cannot be read; or it has become late meanwhile, and has to wait
	}
	if j.erase {
		if row := &l.state.Row; row.Version > 0 || row.Seen == 0 {
			return
		}
		l.state.Row.Erase()
	}
	l.steps = l.steps[:0]
	if before > 0 && l.state.Row.Version != before && ev.Kind != Changed {
		changed := &Event{Kind: Changed} // what was not saved yet may be missing in it
		l.prepare(changed)
		l.steps = append(l.steps, changed)
	}
	l.steps = append(l.steps, ev)
	switch row := &l.state.Row; {
	case ev.Kind == PushDue && l.foreign():
		l.askFirst()
	case ev.Kind == PushArrived:
		if row.Seen == 0 {
			*row, l.began = l.m.row(), s.now
			if !l.recognise() {
				row.Seen, l.steps = 0, nil
				id := ev.Push
				l.n.after(20*time.Millisecond, func() {
					if l.conns[id] != nil {
						l.post(job{ev: Event{Kind: PushArrived, Push: id}})
					}
				})
				return
			}
			// A caller may ask the store first, and callback does for Pure routes.
			if row.Pure && s.chance(.8) {
				l.askFirst()
			}
		}
		ev.ClockAgrees = s.wallOff == 0 || s.chance(.1)
		l.m.disturbed = l.m.disturbed || s.wallOff != 0
	}
}

func (l *local) askFirst() {
	known := &Event{Kind: Changed}
	if l.prepare(known); l.reload(known) {
		l.steps = slices.Insert(l.steps, 0, known)
	}
}

// foreign: another node runs the turn.
func (l *local) foreign() bool {
	row := &l.state.Row
	return row.State == store.Running && row.Version > 0 && row.Owner != l.n.self
}

// reload reads the row before an event that another node may have caused. It
// reports whether there is one.
func (l *local) reload(ev *Event) bool {
	if l.n.cutOff || l.n.s.broken(.001) {
		l.m.disturbed, l.n.doubt = true, true
		l.watch()
		return false
	}
	row := l.n.s.disk.rows[l.m.id]
	if row.Version == 0 {
		return false
	}
	if row.Version != l.state.Row.Version {
		l.m.unsettled(l.n)
		l.state.Row, l.dirty = row, false
	}
	if row.State == store.Running && row.Owner != l.n.self && !l.n.s.disk.alive(row.Owner) {
		ev.Kind, ev.Lost = OwnerLost, row.Owner
	}
	return true
}

// watch looks again, soon, at a turn that runs elsewhere.
func (l *local) watch() {
	if l.polling || len(l.state.Open) == 0 || !l.foreign() {
		return
	}
	l.polling = true
	l.n.after(100*time.Millisecond, func() {
		l.polling = false
		l.post(job{ev: Event{Kind: Changed}, reload: true})
	})
}

// apply takes the first of the steps, up to its commit.
func (l *local) apply() {
	s, ev := l.n.s, l.steps[0]
	if ev.Kind == PushArrived && l.state.Row.Seen > 0 {
		first := l.began
		if l.state.Row.Version > 0 {
			first = s.disk.received[l.m.id]
		}
		ev.Age = s.now - first
	}
	before := l.state
	l.complete(ev)
	next, effects := s.step(&l.m.policy, l.state, ev)
	if s.chance(.01) {
		l.checkPure(before, ev, next)
	}
	if s.trace != nil {
		s.tell(l.m, "node %d: %v", l.n.index, fieldsOf(*ev))
		s.tell(l.m, "  open %v running %v sending %v, %s, effects %v", next.Open, next.Running, next.Sending, rowText(&next.Row), effects)
	}
	if effects.Save == Now {
		l.blocked = true
		l.commit(ev, next, effects)
		return
	}
	l.dirty = l.dirty || effects.Save == Lazily
	l.finish(next, effects)
}

// commit saves the row before the effects, until that works or nobody wants it any more.
func (l *local) commit(ev *Event, next State, effects Effects) {
	s := l.n.s
	if begins := next.Row.State == store.Running || next.Row.Delivery == store.Sending; l.n.expired && begins && next.Row.Owner == l.n.self {
		// Nothing is begun under an epoch that is given up.
		l.n.after(50*time.Millisecond, func() {
			if l.dead() {
				return
			}
			if l.blocked = false; ev.Kind != Result && ev.Kind != Sent {
				ev.Self = l.n.self
			}
			l.drive()
		})
		return
	}
	l.n.writer.write(next.Row, l.landed(ev, effects), func(current store.Turn, v verdict) {
		if l.dead() {
			return
		}
		if v == fenced && !l.n.rejoin(next.Row.Owner) {
			v = failed
		}
		switch v {
		case written:
			l.blocked, l.dirty = false, false
			next.Row = current
			l.finish(next, effects)
		case handedBack:
			if current.Version == next.Row.Version && next.Row.Delivery == store.Sending {
				ev.Busy, l.blocked = true, false
				break
			}
			s.reached.Conflicts++
			l.m.unsettled(l.n)
			l.blocked, l.dirty = false, false
			l.state.Row = current
			changed := &Event{Kind: Changed}
			if l.prepare(changed); ev.Kind == Changed {
				l.steps[0] = changed
			} else {
				l.steps = slices.Insert(l.steps, 0, changed)
			}
		case fenced:
			l.m.disturbed = true
			l.blocked = false
			if old := l.state.Row.Owner; l.state.Row.State == store.Running && old != l.n.self {
				lost := &Event{Kind: OwnerLost, Lost: old}
				l.prepare(lost)
				l.steps = slices.Insert(l.steps, 0, lost)
			}
			if ev.Kind != Result {
				ev.Self = l.n.self
			}
		case failed:
			l.m.disturbed = true
			l.n.after(s.between(5*time.Millisecond, 200*time.Millisecond), func() {
				if l.dead() {
					return
				}
				if ev.Kind == PushArrived && next.Row.Version == 0 && l.conns[ev.Push] == nil {
					// The push is gone, and its message was never acknowledged.
					l.n.doubt, l.blocked = true, false
					l.steps = l.steps[1:]
					l.drive()
					return
				}
				l.commit(ev, next, effects)
			})
			return
		}
		l.drive()
	})
}

// landed returns what the oracle is told when the row is in the store: what the step that has made it
// owns up to.
func (l *local) landed(ev *Event, effects Effects) func() {
	m, event := l.m, *ev
	declared := 0
	for _, e := range effects.List {
		if e.Do == NoteAmbiguous {
			declared++
		}
	}
	return func() { m.decided(&event, declared) }
}

func (l *local) finish(next State, effects Effects) {
	wasDue := !l.state.Row.Due.IsZero()
	l.state, l.steps = next, l.steps[1:]
	if !next.Row.Due.IsZero() || wasDue {
		l.n.noteDue(&next.Row)
	}
	for _, e := range effects.List {
		if l.n.mayDie() {
			return
		}
		l.carryOut(e)
	}
	l.watch()
}

// rest saves what could wait, and puts the turn away.
func (l *local) rest() {
	if l.state.Running || len(l.state.Open) > 0 || l.sending > 0 {
		return
	}
	if !l.dirty {
		l.gone = true
		delete(l.n.locals, l.m.id)
		return
	}
	l.dirty, l.blocked = false, true
	if l.n.s.chance(.1) { // others go first
		l.n.after(l.n.s.between(time.Millisecond, time.Second), l.mark)
		return
	}
	l.mark()
}

// mark saves what could wait.
func (l *local) mark() {
	if l.dead() {
		return
	}
	l.n.writer.write(l.state.Row, nil, func(current store.Turn, v verdict) {
		if l.dead() {
			return
		}
		switch l.blocked = false; {
		case v == written:
			l.state.Row = current
		case v == handedBack:
			l.m.unsettled(l.n)
			l.state.Row = current
			l.queue = slices.Insert(l.queue, 0, job{ev: Event{Kind: Changed}})
		default: // the store is away: it waits
			l.dirty, l.blocked = true, true
			l.n.after(100*time.Millisecond, func() {
				if !l.dead() {
					l.blocked = false
					l.drive()
				}
			})
		}
		l.drive()
	})
}

func (l *local) carryOut(e Effect) {
	s, m := l.n.s, l.m
	switch e.Do {
	case Start:
		a := &attempt{l: l, number: l.state.Row.Attempt, owner: l.state.Row.Owner}
		if l.state.Row.Version == 0 {
			l.n.after(m.policy.AcceptBy, func() { l.post(job{ev: Event{Kind: AcceptDue}}) })
		}
		// Of one message one attempt at a time runs in a process.
		old := l.handler
		if l.handler = a; old != nil && !old.over {
			old.next = a
			return
		}
		a.begin()
	case Cancel:
		if l.handler != nil {
			l.handler.cancel()
		}
	case Hold:
		s.reached.Held++
		if c := l.conns[e.Push]; c != nil {
			c.held = true
		}
	case Replay:
		s.reached.Replays++
	case NoteAmbiguous:
		s.reached.Ambiguous++
	case NoteTicket:
		s.reached.Tickets++
	case NoteUndeliverable:
		s.reached.Undeliverable++
	case Send:
		l.send()
	case Give, Wait, Deny:
		if told := l.job.taken; told != nil {
			l.job.taken = nil
			var d document
			if e.Do == Give {
				d = l.give(&l.job.ev)
			}
			told(e.Do, d)
		}
	case Answer:
		c := l.conns[e.Push]
		if c == nil {
			return // it has gone meanwhile
		}
		if !e.Last && !c.held && s.now-c.entered > m.policy.AnswerBy+m.policy.Grace {
			s.reached.TooLate++
			return // left to WeChat's cut: its retry gets the same
		}
		d := l.document(e.Given)
		m.answered(l, c, e.Given)
		c.answered = true
		written := c.answer(e.Given, d)
		if s.trace != nil {
			s.tell(m, "node %d: push %d gets %v, written %v", l.n.index, c.number, e.Given, written)
		}
		l.n.after(0, func() { l.close(e.Push, written) })
	}
}

// document is what a push gets.
func (l *local) document(given store.Outcome) document {
	s, row := l.n.s, &l.state.Row
	switch given {
	case store.GotReply:
		if row.Way.Pages > 1 {
			return s.page(row, 1)
		}
		return document{of: l.m, show: s.textOf(row), link: s.next[row.Reply]}
	case store.GotFallback:
		return document{of: l.m, show: s.textOf(row)}
	case store.GotPlaceholder:
		return s.placeholders[row.Placeholder]
	}
	return document{}
}

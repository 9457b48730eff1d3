package turn

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/echostr/echostr/store"
)

// node is a process and the ones that follow it: what it knows of turns dies with
// it.
type node struct {
	s         *sim
	index     int
	run       int // of the process
	self      store.Node
	up        bool
	paused    bool // it does nothing, and knows nothing of that
	cutOff    bool // it cannot reach the store
	backlog   []func()
	writer    writer
	locals    map[int]*local
	attempts  []*attempt    // that run
	renewed   time.Duration // when its lease was last renewed
	joined    time.Duration
	confirmed bool // confirm is done
	expired   bool // it has given its epoch up
	doubt     bool // the outcome of a claim is not known
}

// after runs do in this process, if it lives then, and once it is not paused.
func (n *node) after(d time.Duration, do func()) {
	run := n.run
	n.s.after(d, func() {
		if n.run == run {
			n.do(do)
		}
	})
}

func (n *node) do(do func()) {
	if n.paused {
		n.backlog = append(n.backlog, do)
		return
	}
	do()
}

func (n *node) pause(d time.Duration) {
	n.paused = true
	n.disturb()
	run := n.run
	n.s.tell(nil, "node %d pauses", n.index)
	n.s.after(d, func() {
		if n.run != run {
			return
		}
		n.s.tell(nil, "node %d goes on", n.index)
		n.paused = false
		n.disturb()
		backlog := n.backlog
		n.backlog = nil
		for _, do := range backlog {
			if n.run == run {
				n.do(do)
			}
		}
	})
}

func (n *node) boot() {
	if n.cutOff {
		n.s.after(200*time.Millisecond, n.boot)
		return
	}
	n.self, n.up = n.s.disk.join(n.index), true
	n.renewed, n.expired, n.doubt = n.s.now, false, false
	n.joined, n.confirmed = n.s.now, false
	n.locals = make(map[int]*local)
	n.writer.n = n
	n.after(0, n.tend)
}

// tend looks for turns to take over and renews the lease, as long as something
// may happen.
func (n *node) tend() {
	s := n.s
	if s.now > s.end+s.tail {
		return
	}
	n.sweep()
	if n.confirmed = n.confirmed || s.now-n.joined >= store.Lease && n.confirm(); n.mayDie() {
		return
	}
	next := store.Lease / 3
	if n.cutOff || s.broken(.01) {
		next = store.Lease / 30
	} else if s.now-n.renewed < store.Lease-store.Lease/3 && !n.expired && s.disk.renew(n.self) {
		n.renewed = s.now
	} else {
		n.rejoin(n.self)
	}
	if s.now-n.renewed >= store.Lease-store.Lease/3 {
		n.fence()
		n.expired = true
	}
	n.after(next, n.tend)
}

// sweep looks for turns of dead owners, and for its own whose claim was not
// answered.
func (n *node) sweep() {
	s := n.s
	if n.cutOff {
		return
	}
	own := n.doubt
	n.doubt = false
	for id := range s.disk.rows {
		row := &s.disk.rows[id]
		if row.Version == 0 || row.State != store.Running {
			continue
		}
		if row.Owner == n.self && own && n.locals[id] == nil || !s.disk.alive(row.Owner) {
			s.msgs[id].disturbed = true
			n.local(s.msgs[id]).post(job{ev: Event{Kind: Changed}, reload: true})
		}
		if !n.up {
			return // it died of that
		}
	}
}

// confirm looks, once in the life of a process, for replies that a dead one had
// offered to a push.
func (n *node) confirm() bool {
	s := n.s
	if n.cutOff {
		return false
	}
	for id := range s.disk.rows {
		row := &s.disk.rows[id]
		if row.State == store.Answered && row.Delivery == store.Offered && !s.disk.alive(row.Owner) {
			n.local(s.msgs[id]).post(job{ev: Event{Kind: Unconfirmed, Lost: row.Owner}, reload: true})
		}
		if !n.up {
			return false
		}
	}
	return true
}

// fence ends the handlers: their results may not be stored any more.
func (n *node) fence() {
	for _, l := range n.sorted() {
		if l.handler != nil {
			l.handler.cancel()
		}
	}
}

// rejoin begins a new epoch after lost, unless that is done. It reports whether
// there is one.
func (n *node) rejoin(lost store.Node) bool {
	if n.self != lost {
		return true
	}
	if n.cutOff {
		return false
	}
	n.fence()
	n.disturb()
	n.self = n.s.disk.join(n.index)
	n.renewed, n.expired = n.s.now, false
	n.s.reached.LostLeases++
	n.s.tell(nil, "node %d has lost its lease and joins as epoch %d", n.index, n.self.Epoch)
	for _, l := range n.sorted() {
		l.post(job{ev: Event{Kind: OwnerLost, Lost: lost}})
	}
	return true
}

// disturb notes whom something that happens to this process concerns.
func (n *node) disturb() {
	for _, l := range n.locals {
		l.m.disturbed = true
	}
	for id := range n.s.disk.rows {
		if row := &n.s.disk.rows[id]; row.State == store.Running && row.Owner == n.self {
			n.s.msgs[id].disturbed = true
		}
	}
}

func (n *node) crash() {
	s := n.s
	if !n.up {
		return
	}
	s.reached.Crashes++
	s.tell(nil, "node %d crashes", n.index)
	n.disturb()
	n.up, n.paused, n.backlog = false, false, nil
	n.run++
	gone := n.sorted()
	n.locals = nil
	n.writer.crash()
	for _, a := range n.attempts {
		a.over = true
		a.l.m.ended(a)
	}
	n.attempts = nil
	for _, l := range gone {
		for _, id := range slices.Sorted(maps.Keys(l.conns)) {
			l.conns[id].broken()
		}
	}
	down := s.between(20*time.Millisecond, 300*time.Millisecond)
	if s.broken(.1) {
		down = s.between(0, 20*time.Second)
	}
	s.after(down, func() {
		s.reached.Restarts++
		n.boot()
		if s.broken(.2) { // once more, in the middle of its recovery
			s.after(s.between(0, 50*time.Millisecond), n.crash)
		}
	})
}

// mayDie is called wherever it matters what is lost with the process. It reports
// whether the process is dead.
func (n *node) mayDie() bool {
	s := n.s
	s.points++
	if s.crashAt[s.points] || s.broken(.00005) {
		n.crash()
	}
	return !n.up
}

// sorted returns the locals in the order of their messages: maps have none, and
// a seed has to replay.
func (n *node) sorted() (list []*local) {
	for _, id := range slices.Sorted(maps.Keys(n.locals)) {
		list = append(list, n.locals[id])
	}
	return list
}

func (n *node) local(m *message) *local {
	l := n.locals[m.id]
	if l == nil {
		l = &local{n: n, m: m, conns: make(map[int]*conn)}
		n.locals[m.id] = l
	}
	return l
}

// receive hands a push to its turn in this process.
func (n *node) receive(c *conn) {
	if n.paused || n.cutOff {
		c.m.disturbed = true
	}
	n.after(0, func() {
		l, m, s := n.local(c.m), c.m, n.s
		l.ids++
		id := l.ids
		l.conns[id] = c
		entered := s.now
		n.after(m.policy.AnswerBy, func() {
			if l.conns[id] != nil {
				l.post(job{ev: Event{Kind: PushDue, Push: id}})
			}
		})
		if !c.proxy {
			n.after(c.at+m.cut-entered, func() { l.close(id, false) })
		}
		n.after(m.policy.AbortAfter, func() {
			if l.conns[id] != nil {
				delete(l.conns, id)
				l.post(job{ev: Event{Kind: PushOver, Push: id}})
			}
		})
		l.post(job{ev: Event{Kind: PushArrived, Push: id}})
	})
}

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
	steps   []*Event // the events that the present job has come to
	conns   map[int]*conn
	ids     int
	handler *attempt
}

// job is an event that has to be prepared.
type job struct {
	ev     Event
	reload bool // read the row first
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
		case len(l.queue) > 0:
			j := l.queue[0]
			l.queue = l.queue[1:]
			l.take(&j)
		default:
			l.rest()
			return
		}
	}
}

// take prepares an event.
func (l *local) take(j *job) {
	s, ev := l.n.s, &j.ev
	if l.n.mayDie() {
		return
	}
	l.prepare(ev)
	if j.reload && !l.reload(ev) {
		return
	}
	l.steps = append(l.steps[:0], ev)
	switch row := &l.state.Row; {
	case ev.Kind == PushDue && l.foreign():
		l.askFirst()
	case ev.Kind == PushArrived:
		if row.Seen == 0 {
			*row, l.began = l.m.row(), s.now
			// A caller may ask the store first, and callback does for Pure routes.
			if row.Pure && s.chance(.8) {
				l.askFirst()
			}
		}
		ev.ClockAgrees = s.wallOff == 0 || s.chance(.1)
		l.m.disturbed = l.m.disturbed || s.wallOff != 0
	}
}

func (l *local) prepare(ev *Event) {
	ev.Now = l.n.s.wall()
	if ev.Kind != Result {
		ev.Self = l.n.self
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
	next, effects := s.step(&l.m.policy, l.state, ev)
	if s.chance(.01) {
		l.checkPure(before, ev, next)
	}
	if s.trace != nil {
		s.tell(l.m, "node %d: %+v", l.n.index, *ev)
		s.tell(l.m, "  open %+v running %v, %s, effects %+v", next.Open, next.Running, rowText(&next.Row), effects)
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
	l.n.writer.write(next.Row, func(current store.Turn, v verdict) {
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

func (l *local) finish(next State, effects Effects) {
	l.state, l.steps = next, l.steps[1:]
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
	if l.state.Running || len(l.state.Open) > 0 {
		return
	}
	if !l.dirty {
		l.gone = true
		delete(l.n.locals, l.m.id)
		return
	}
	l.dirty, l.blocked = false, true
	l.n.writer.write(l.state.Row, func(current store.Turn, v verdict) {
		if l.dead() {
			return
		}
		if l.blocked = false; v == written || v == handedBack {
			l.state.Row = current
			l.m.unsettled(l.n)
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
	case Replay:
		s.reached.Replays++
	case NoteAmbiguous:
		s.reached.Assumed++
	case Answer:
		c := l.conns[e.Push]
		if c == nil {
			return // it has gone meanwhile
		}
		m.answered(l, c, e.Given)
		written := c.answer(e.Given)
		if s.trace != nil {
			s.tell(m, "node %d: push %d gets %v, written %v", l.n.index, c.number, e.Given, written)
		}
		l.n.after(0, func() { l.close(e.Push, written) })
	}
}

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

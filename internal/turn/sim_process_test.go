package turn

import (
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
	waking    bool // it does what it has missed
	cutOff    bool // it cannot reach the store
	backlog   []func()
	writer    writer
	locals    map[int]*local
	attempts  []*attempt    // that run
	renewed   time.Duration // when its lease was last renewed
	joined    time.Duration
	confirmed bool                  // confirm is done
	expired   bool                  // it has given its epoch up
	doubt     bool                  // the outcome of a claim is not known
	mine      map[int]bool          // the turns that are due and that this process saves
	looks     time.Duration         // when it looks next at what is due
	again     map[int]time.Duration // when it looks again at what it could do nothing about
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
		n.backlog, n.waking = nil, true
		for _, do := range backlog {
			if n.run == run {
				n.do(do)
			}
		}
		n.waking = false
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
	n.mine, n.again, n.looks = make(map[int]bool), make(map[int]time.Duration), 0
	for _, id := range n.s.disk.live {
		if row := &n.s.disk.rows[id]; !row.Due.IsZero() {
			n.mine[id] = true
		}
	}
	n.after(0, n.tend)
	n.lookIn(0)
}

// tend looks for turns to take over and renews the lease, as long as something
// may happen.
func (n *node) tend() {
	s := n.s
	if s.resting() {
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
	for _, id := range slices.Clone(s.disk.live) {
		row := &s.disk.rows[id]
		if row.State != store.Running {
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
	for _, id := range slices.Clone(s.disk.live) {
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
	for _, id := range n.s.disk.live {
		if row := &n.s.disk.rows[id]; row.Owner == n.self {
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
	for _, l := range n.sorted() {
		if l.sending > 0 {
			s.reached.CrashesSending++
		}
	}
	for _, a := range n.attempts {
		if a.taking {
			s.reached.CrashesTaking++
		}
	}
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
	run := n.run
	n.s.plans++
	n.s.after(0, func() {
		n.s.plans--
		if n.run != run { // it has died of something at the same moment
			c.m.disturbed = true
			c.broken()
			return
		}
		n.do(func() { n.accept(c) })
	})
}

// accept hands a push to its turn.
func (n *node) accept(c *conn) {
	l, m, s := n.local(c.m), c.m, n.s
	l.ids++
	id := l.ids
	l.conns[id] = c
	c.entered = s.now
	n.after(m.policy.AnswerBy, func() {
		if l.conns[id] != nil {
			l.post(job{ev: Event{Kind: PushDue, Push: id}})
		}
	})
	if !c.proxy {
		n.after(c.at+m.cut-c.entered, func() {
			if !c.answered {
				l.close(id, false)
			}
		})
	}
	n.after(m.policy.AbortAfter, func() {
		if l.conns[id] != nil && !c.answered {
			delete(l.conns, id)
			l.post(job{ev: Event{Kind: PushOver, Push: id}})
		}
	})
	l.post(job{ev: Event{Kind: PushArrived, Push: id}})
}

package turn

import (
	"fmt"
	"slices"
	"time"

	"github.com/echostr/echostr/store"
)

// disk is the store that all nodes share. What it holds is durable. What a process
// has not handed over yet, or has in a transaction under way, is not.
type disk struct {
	s        *sim
	rows     []store.Turn    // by message; Version 0: not there
	received []time.Duration // when they were inserted, whatever the wall clock said
	epochs   []int64         // of each node, the newest
	leases   []time.Duration // of that epoch, when it ends
	live     []int           // the rows that run, are due, or are offered, in order
}

func (d *disk) init(s *sim) {
	d.s = s
	d.epochs = make([]int64, s.profile.nodes)
	d.leases = make([]time.Duration, s.profile.nodes)
}

// grow makes room for another message.
func (d *disk) grow() {
	d.rows = append(d.rows, store.Turn{})
	d.received = append(d.received, 0)
}

func nodeID(index int) string { return fmt.Sprint("node-", index, "-") }

func indexOf(n store.Node) int { return int(n.ID[len("node-")] - '0') }

func (d *disk) join(index int) store.Node {
	d.epochs[index]++
	d.leases[index] = d.s.now + store.Lease
	return store.Node{ID: nodeID(index), Epoch: d.epochs[index]}
}

func (d *disk) renew(n store.Node) bool {
	if !d.alive(n) {
		return false
	}
	d.leases[indexOf(n)] = d.s.now + store.Lease
	return true
}

func (d *disk) alive(n store.Node) bool {
	i := indexOf(n)
	return d.epochs[i] == n.Epoch && d.s.now < d.leases[i]
}

// verdict is what a process learns of a row that it had written.
type verdict int

const (
	written    verdict = iota
	handedBack         // another row is there
	fenced             // its owner is dead
	failed             // unknown
)

// write claims or saves one row, as store.Store says.
func (d *disk) write(row store.Turn) (store.Turn, verdict) {
	old := &d.rows[messageOf(row.Key)]
	m := d.s.msgs[messageOf(row.Key)]
	switch {
	case old.Version != row.Version, old.State == store.Erased && row.State != store.Erased:
		return *old, handedBack
	case row.State == store.Running && !d.alive(row.Owner):
		return row, fenced
	case row.Delivery == store.Sending && d.isSent(m, row.Owner):
		d.s.reached.Crowded++
		return *old, handedBack
	}
	m.stored(old, &row)
	if row.Version == 0 {
		d.received[m.id] = d.s.now
	}
	row.Version++
	*old = row
	d.index(m.id)
	if d.s.trace != nil {
		d.s.tell(m, "stored %s", rowText(old))
	}
	return row, written
}

// isSent reports whether a node other than this one has another turn of the user Sending.
func (d *disk) isSent(m *message, node store.Node) bool {
	return slices.ContainsFunc(m.user.msgs, func(other *message) bool {
		row := &d.rows[other.id]
		return other != m && row.Delivery == store.Sending && row.Owner != node && row.State != store.Erased
	})
}

// index keeps live as it is to be.
func (d *disk) index(id int) {
	row := &d.rows[id]
	at, there := slices.BinarySearch(d.live, id)
	switch live := row.State == store.Running || !row.Due.IsZero() || row.Delivery == store.Offered; {
	case live && !there:
		d.live = slices.Insert(d.live, at, id)
	case !live && there:
		d.live = slices.Delete(d.live, at, at+1)
	}
}

// erase removes what is personal from the turns of a user up to one, behind the back of all processes. What is
// not on the disk yet is erased by the processes that have it.
func (d *disk) erase(last *message) {
	for _, m := range last.user.msgs {
		if m.id <= last.id {
			d.eraseOne(m)
		}
	}
}

func (d *disk) eraseOne(m *message) {
	row := &d.rows[m.id]
	if row.Version == 0 {
		for _, n := range d.s.nodes {
			if l := n.locals[m.id]; l != nil {
				m.disturbed = true
				d.s.reached.ErasedEarly++
				n.do(func() { l.post(job{ev: Event{Kind: Changed}, erase: true}) })
			}
		}
		return
	}
	if row.State == store.Erased {
		return
	}
	d.s.reached.Erased++
	m.disturbed = true
	row.Erase()
	row.Version++
	d.index(m.id)
	d.s.tell(m, "erased")
}

// writer is the connection of a process to the disk. What waits at one moment is
// one transaction, and a transaction is done whole or not at all.
type writer struct {
	n               *node
	waiting, flying []op
}

type op struct {
	row    store.Turn
	landed func() // called when the row is on the disk, whoever knows
	done   func(store.Turn, verdict)
}

// put writes the row.
func (o *op) put(d *disk) (store.Turn, verdict) {
	row, v := d.write(o.row)
	if v == written && o.landed != nil {
		o.landed()
	}
	return row, v
}

func (w *writer) write(row store.Turn, landed func(), done func(store.Turn, verdict)) {
	w.waiting = append(w.waiting, op{row, landed, done})
	if w.flying == nil {
		w.flush()
	}
}

func (w *writer) flush() {
	n, s, run := w.n, w.n.s, w.n.run
	w.flying, w.waiting = w.waiting, nil
	s.reached.Commits++
	took, out := s.between(100*time.Microsecond, time.Millisecond), n.cutOff
	switch {
	case out:
		took = s.between(20*time.Millisecond, 500*time.Millisecond)
	case s.broken(.0001):
		took = s.between(time.Second, 7*time.Second)
	case s.broken(.01):
		took = s.between(time.Millisecond, 300*time.Millisecond)
	}
	if took > time.Millisecond {
		w.disturb()
	}
	if n.mayDie() {
		return
	}
	s.after(took, func() {
		if n.run != run {
			return // the process is gone: see crash
		}
		if took > time.Millisecond {
			w.disturb()
		}
		w.land(out)
	})
}

// land is the end of a transaction. The disk does its work, and its process learns of
// that, if at all, when it runs.
func (w *writer) land(out bool) {
	n, s := w.n, w.n.s
	batch := w.flying
	fails, lands := false, true
	switch {
	case out:
		fails, lands = true, false
	case n.cutOff: // in the middle
		fails, lands = true, s.chance(.5)
	case s.broken(.003):
		fails, lands = true, false
	case s.broken(.003):
		fails = true
	}
	answers := make([]func(), 0, len(batch))
	for i := range batch {
		o := &batch[i]
		current, v := o.row, failed
		if lands {
			current, v = o.put(&s.disk)
		}
		if fails {
			current, v = o.row, failed
			s.msgs[messageOf(o.row.Key)].disturbed = true
		}
		answers = append(answers, func() { o.done(current, v) })
	}
	switch {
	case fails && lands:
		s.reached.LostAnswers++
	case fails:
		s.reached.StoreErrors++
	}
	if n.mayDie() { // it is durable, and nobody has been told
		return
	}
	run := n.run
	n.do(func() {
		w.flying = nil
		for _, answer := range answers {
			if n.run != run {
				return
			}
			answer()
		}
		if n.run == run && w.flying == nil && len(w.waiting) > 0 {
			w.flush()
		}
	})
}

// disturb notes whom a slow transaction concerns.
func (w *writer) disturb() {
	for _, list := range [][]op{w.flying, w.waiting} {
		for i := range list {
			w.n.s.msgs[messageOf(list[i].row.Key)].disturbed = true
		}
	}
}

// crash leaves the transaction under way to its fate. What waited is lost.
func (w *writer) crash() {
	s, batch := w.n.s, w.flying
	w.flying, w.waiting = nil, nil
	if len(batch) == 0 || !s.lands() {
		return
	}
	land := func() {
		for i := range batch {
			batch[i].put(&s.disk)
		}
	}
	if s.profile.nodes > 1 && s.broken(.3) {
		// A database server carries out what a dead client has sent, when it
		// comes to it.
		s.after(s.between(0, time.Second), land)
		return
	}
	land()
}

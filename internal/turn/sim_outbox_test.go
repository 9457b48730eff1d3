package turn

import (
	"slices"
	"time"

	"github.com/echostr/echostr/store"
)

// The outbox of a process: it looks at the turns that are due, and sends.

// noteDue notes that a row which this process has, or has saved, is due some time.
func (n *node) noteDue(row *store.Turn) {
	id := messageOf(row.Key)
	delete(n.again, id)
	if row.Due.IsZero() {
		delete(n.mine, id)
	} else {
		n.mine[id] = true
		n.lookIn(row.Due.Sub(n.s.wall()))
	}
}

// lookIn sees to it that somebody looks after d.
func (n *node) lookIn(d time.Duration) {
	at := n.s.now + min(max(d, time.Millisecond), time.Minute)
	if n.looks > n.s.now && n.looks <= at {
		return
	}
	n.looks = at
	n.after(at-n.s.now, func() {
		if n.looks == at {
			n.look()
		}
	})
}

// foreign rows are left to those who have saved them, unless they have not come by then.
const foreignAfter = 2 * time.Second

// look steps Due where its time has come.
func (n *node) look() {
	s := n.s
	if s.resting() {
		return
	}
	n.looks = 0
	n.lookIn(store.Lease)
	if n.cutOff {
		n.lookIn(500 * time.Millisecond)
		return
	}
	for _, id := range slices.Clone(s.disk.live) {
		row := &s.disk.rows[id]
		if row.Due.IsZero() || n.again[id] > s.now {
			continue
		}
		wait := row.Due.Sub(s.wall())
		if !n.mine[id] {
			wait += foreignAfter
		}
		lost := row.Delivery == store.Sending && row.Owner != n.self && !s.disk.alive(row.Owner)
		late := row.Delivery == store.Late && row.State.Finished()
		switch {
		case lost: // whatever a clock says
		case wait > 0 && !(OnItsWay(row) && wait > 2*DefaultPolicy().MaxBackOff):
			n.lookIn(wait)
			continue
		case late && !n.foremost(row, s.chance(.9)):
			n.lookIn(250 * time.Millisecond)
			continue
		}
		l := n.local(s.msgs[id])
		if l.due {
			continue
		}
		l.due = true
		ev := Event{Kind: Due}
		if lost {
			ev = Event{Kind: OwnerLost, Lost: row.Owner}
		}
		l.post(job{ev: ev, reload: true})
		if !n.up {
			return // it died of that
		}
	}
}

// foremost reports whether no other reply was ready before a late row's and nothing is being sent to its user by
// this process or, if it looks for that before the store does, by any.
func (n *node) foremost(row *store.Turn, looks bool) bool {
	s := n.s
	for _, m := range s.msgs[messageOf(row.Key)].user.msgs {
		switch other := &s.disk.rows[m.id]; {
		case other.Key == row.Key || other.Version == 0 || other.State == store.Erased:
		case other.Delivery == store.Sending:
			if looks || other.Owner == n.self {
				return false
			}
		case other.Delivery == store.Late && other.State.Finished() && !other.Due.IsZero() &&
			(other.FinishedAt.Before(row.FinishedAt) || other.FinishedAt.Equal(row.FinishedAt) && m.id < messageOf(row.Key)):
			return false
		}
	}
	return true
}

// send sends the next part of a row's reply, and steps Sent.
func (l *local) send() {
	n, s, row := l.n, l.n.s, l.state.Row
	l.sending++
	if n.mayDie() {
		return
	}
	d, ev := s.part(&row)
	ev.Self, ev.Jitter = row.Owner, s.rng.Float64()
	finish := func(f Fate, reason string, after time.Duration) {
		if n.mayDie() {
			return
		}
		ev.Fate, ev.Reason, ev.After = f, reason, after
		l.sending--
		l.post(job{ev: ev})
	}
	if d.show.size() == 0 {
		n.after(0, func() { finish(Done, "", 0) })
		return
	}
	l.m.requested(&row)
	s.request(n, l.m, &d, finish)
}

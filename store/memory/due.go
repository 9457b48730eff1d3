package memory

import (
	"container/heap"
	"iter"
	"time"

	"github.com/echostr/echostr/store"
)

// due finds the turns that are due: by their time, and by their user.
type due struct {
	heap  dueHeap
	users map[string]map[*entry]struct{}
}

func (d *due) add(e *entry) {
	heap.Push(&d.heap, e)
	of := d.users[e.turn.OpenID]
	if of == nil {
		of = make(map[*entry]struct{})
		d.users[e.turn.OpenID] = of
	}
	of[e] = struct{}{}
}

// remove takes out e, whose turn is still the one that was added.
func (d *due) remove(e *entry) {
	heap.Remove(&d.heap, e.place)
	of := d.users[e.turn.OpenID]
	if delete(of, e); len(of) == 0 {
		delete(d.users, e.turn.OpenID)
	}
}

// isSent reports whether a node other than this one has another turn of e's user [store.Sending].
func (d *due) isSent(e *entry, node store.Node) bool {
	for other := range d.users[e.turn.OpenID] {
		if t := &other.turn; other != e && t.Delivery == store.Sending && t.Owner != node && t.Account == e.turn.Account {
			return true
		}
	}
	return false
}

// before yields the turns whose time comes before end, or all if it is zero. It looks at
// about twice as many.
func (d *due) before(end time.Time) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		var below func(i int) bool
		below = func(i int) bool {
			if i >= len(d.heap) || !end.IsZero() && !d.heap[i].turn.Due.Before(end) {
				return true // what is below is later still
			}
			return yield(d.heap[i]) && below(2*i+1) && below(2*i+2)
		}
		below(0)
	}
}

// dueHeap has the turn that is due first at 0; see [heap.Interface].
type dueHeap []*entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].turn.Due.Before(h[j].turn.Due) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *dueHeap) Push(x any) {
	e := x.(*entry)
	e.place = len(*h)
	*h = append(*h, e)
}

// Pop implements [heap.Interface].
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}

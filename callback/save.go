package callback

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// fate is what became of a row that had to be saved.
type fate int

const (
	saved     fate = iota
	conflict       // another row is there
	fenced         // this node's epoch was over; it has joined again
	gaveUp         // nobody waits for it any more, or the process ends
	withdrawn      // what it holds may not be claimed any more: P10
)

// commit saves the row, and returns it as the store has it then. While the store is
// down nothing is acknowledged, and nothing is given up that somebody still
// waits for: P8.
func (f *flight) commit(j *job, row *store.Turn) (store.Turn, fate) {
	for pause := firstPause; ; {
		if row.Version == 0 && row.State != store.Erased && f.isWithdrawn() {
			return *row, withdrawn
		}
		began := time.Now()
		current, ok, err := *row, false, errBusy
		// A claim takes its place among the handlers before it waits for the store.
		f.counted = row.Version == 0 && row.State == store.Running && !f.state.Running
		begins := row.State == store.Running || row.Delivery == store.Sending
		switch {
		case begins && row.Owner == f.s.node.self() && !f.s.node.holds(row.Owner):
			f.counted, err = false, errLease
		case !f.counted || f.s.stats.running.Add(1) <= int64(f.s.cfg.MaxRunning):
			current, ok, err = f.s.save(row)
		}
		if f.counted && (!ok || err != nil) {
			f.counted = false
			f.s.stats.running.Add(-1)
		}
		switch {
		case err == errBusy:
			f.s.refusals.note(f.s.ctx, f.s.clock.now(), f.account.Name, Overloaded, "")
		case err == nil:
			f.s.stats.storeLatency.Observe(time.Since(began).Seconds())
			if ok {
				return current, saved
			}
			return current, conflict
		case errors.Is(err, store.ErrNotFound):
			// Expired or restored away. There is nobody left to answer.
			current.Erase()
			return current, conflict
		case (err == errLease || errors.Is(err, store.ErrFenced)) && f.s.node.rejoin(row.Owner) == nil:
			return current, fenced
		default:
			f.s.storeFailed(err)
		}
		if !f.s.rest(&pause) {
			return current, gaveUp
		}
		if j.push != nil && row.Version == 0 && !f.isWaiting(j.push) {
			// The push is gone and its message was never acknowledged: WeChat's
			// next push begins anew. Should the commit have happened all the
			// same, that push, or the next sweep, finds the row.
			f.s.node.doubts()
			return current, gaveUp
		}
	}
}

// errLease: nothing is begun under an epoch that is given up. The next one begins soon.
var errLease = errors.New("the node's lease is running out, and the store has not renewed it")

// errBusy: as many handlers run as may. It is like a store without room.
var errBusy = errors.New("too many handlers run")

func (s *Server) busy() bool { return s.stats.running.Load() >= int64(s.cfg.MaxRunning) }

// Pauses between attempts to reach a store that is down.
const (
	firstPause = 5 * time.Millisecond
	maxPause   = 200 * time.Millisecond
)

// rest waits before the next attempt, and makes the pause after that longer. It
// reports false if the process ends.
func (s *Server) rest(pause *time.Duration) bool {
	select {
	case <-s.ctx.Done():
		return false
	case <-time.After(*pause/2 + rand.N(*pause/2)):
	}
	*pause = min(2**pause, maxPause)
	return true
}

// storeFailed counts a failed call of the store that is tried again.
func (s *Server) storeFailed(err error) {
	s.stats.storeErrors.Add(1)
	s.node.troubled(err)
}

// batches are used again, since every save needs one.
var batches = sync.Pool{New: func() any { return new([1]store.Op) }}

// save claims or saves one row, and returns it as the store has it then.
func (s *Server) save(row *store.Turn) (current store.Turn, ok bool, err error) {
	ops := batches.Get().(*[1]store.Op)
	ops[0].Turn = *row
	if row.Version == 0 {
		err = s.cfg.Store.Claim(s.storeCtx, ops[:])
	} else {
		err = s.cfg.Store.Save(s.storeCtx, ops[:])
	}
	if err == nil {
		err = ops[0].Err
	}
	current, ok = ops[0].Turn, ops[0].OK && err == nil
	ops[0] = store.Op{}
	batches.Put(ops)
	return current, ok, err
}

// marked takes in what became of the row that was given to marks.
func (f *flight) marked(op *store.Op) {
	f.mu.Lock()
	f.marking = false
	switch {
	case op.Err == nil && !op.OK:
		// Somebody else wrote the row. What is to be marked may still be missing in it.
		row := op.Turn
		if f.enqueue(&job{known: &row, ev: turn.Event{Kind: turn.Changed}}) {
			f.s.workers.drive(f)
		}
	case f.driven && op.OK:
		f.enqueue(&job{marked: op.Turn.Version})
	case f.driven:
		f.mu.Unlock()
	default:
		if op.OK {
			f.absorb(op.Turn.Version)
		}
		f.rest()
	}
}

// absorb takes in that the row was saved by marks.
func (f *flight) absorb(version int64) {
	if row := &f.state.Row; row.Version == version-1 {
		row.Version = version
	}
}

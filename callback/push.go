package callback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// take verifies a push and gives it to its turn. It answers the request itself
// and returns nil if there is nothing to wait for.
func (s *Server) take(w http.ResponseWriter, r *http.Request, a *account, entered time.Time) *openPush {
	p := new(openPush)
	if !s.receive(w, r, a, &p.received) {
		return nil
	}
	s.stats.pushes.Add(1)
	if s.stats.waiting.Add(1) > int64(s.cfg.MaxWaiting) {
		s.stats.waiting.Add(-1)
		s.refusals.note(r.Context(), p.now, a.Name, Overloaded, "")
		panic(http.ErrAbortHandler)
	}
	p.entered, p.answered = entered, make(chan answer, 1)
	p.flight = s.flights.get(a, p.key, &job{push: p, ev: turn.Event{Kind: turn.PushArrived}})
	return p
}

// await waits with a push for its answer. It never waits for the store or a
// handler directly: those work in the turn's own goroutines, and it leaves when
// the answer, the end of its window or WeChat's cut comes. Thousands of
// pushes may stand here, so it is apart from take, to hold little stack.
func (s *Server) await(w http.ResponseWriter, r *http.Request, p *openPush) {
	defer s.stats.waiting.Add(-1)
	// Until the timer fires the push may be answered; after that it is held,
	// if the turn's rules say so, and in the end given up.
	policy := &p.flight.account.policy
	timer := s.timer(time.Until(p.entered.Add(policy.AnswerBy)))
	defer s.putTimer(timer)
	answered := p.answered
	for due := true; ; {
		select {
		case ans := <-answered:
			if p.tooLate(ans) {
				answered = nil
				continue
			}
			s.finish(w, r, p, ans)
			return
		case <-r.Context().Done():
			p.abort(turn.PushClosed)
		case <-timer.C:
			if due {
				due = false
				p.flight.postJob(&job{push: p, ev: turn.Event{Kind: turn.PushDue, Push: p.id}})
				timer.Reset(time.Until(p.entered.Add(policy.AbortAfter)))
				continue
			}
			// WeChat should have hung up by now: a proxy keeps the connection
			// open. It must not be answered, or the proxy might pass that on.
			// The turn is told, and not asked, since the store may be down.
			s.stats.aborted.Add(1)
			p.abort(turn.PushOver)
		}
	}
}

// timer returns one that fires after d. Every push needs one, and few of them fire, so they are used again.
func (s *Server) timer(d time.Duration) *time.Timer {
	if t, ok := s.timers.Get().(*time.Timer); ok {
		t.Reset(d)
		return t
	}
	return time.NewTimer(d)
}

func (s *Server) putTimer(t *time.Timer) {
	t.Stop() // from then on nothing is received from it
	s.timers.Put(t)
}

// abort leaves the turn without an answer and breaks the connection off. The
// turn is driven by another goroutine, since this one ends here.
func (p *openPush) abort(why turn.Kind) {
	p.leave(time.Since(p.entered))
	p.flight.postJob(&job{held: p.held, ev: turn.Event{Kind: why, Push: p.id}})
	panic(http.ErrAbortHandler)
}

// tooLate reports whether an answer comes when the push's time is over, because the
// store took its own, and WeChat will try again. Nobody knows whether it would be
// read; the retry gets the same. R-TIME-BUDGET
func (p *openPush) tooLate(ans answer) bool {
	policy := &p.flight.account.policy
	if ans.last || time.Since(p.entered) <= policy.AnswerBy+policy.Grace {
		return false
	}
	p.flight.mu.Lock()
	defer p.flight.mu.Unlock()
	return !p.held
}

// missGrace is what a push may take beyond its window before that counts as a miss of P5.
const missGrace = 100 * time.Millisecond

// leave takes the push off its turn, and counts it if it was neither finished in
// time nor held on purpose.
func (p *openPush) leave(took time.Duration) {
	f := p.flight
	if f.leave(p); took > f.account.policy.AnswerBy+missGrace && !p.held {
		f.s.stats.misses.Add(1)
	}
}

// finish answers a push. What was not written completely is broken off, since
// net/http makes a 200 of a handler that has written nothing: R-TIME-ACK.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, p *openPush, ans answer) {
	ok := s.write(w, r.Context(), p.flight.account, &p.received, ans)
	took := time.Since(p.entered)
	p.leave(took)
	p.flight.close(p, ok)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	s.stats.answered(p, ans, took)
}

// openPush is a push that waits for its answer.
type openPush struct {
	received
	flight   *flight
	id       int       // unique within its flight
	entered  time.Time // the http.Handler
	answered chan answer
	// How long after the first push of the message this one came; set before
	// it is answered.
	lag  time.Duration
	held bool // beyond its window, on purpose; guarded by the flight's mu
}

// answer is what a push gets: reply is empty unless given says otherwise.
type answer struct {
	given store.Outcome
	reply string
	retry bool // the push is not WeChat's first of the message
	last  bool // it may be WeChat's last
}

// write writes the answer to a push, and reports whether it was written
// completely. The status is 200 whatever happened: R-TIME-STATUS.
func (s *Server) write(w http.ResponseWriter, ctx context.Context, a *account, in *received, ans answer) bool {
	if ctx.Err() != nil {
		return false
	}
	ok := false
	switch {
	case ans.given == store.GotSuccess:
		ok = writeSuccess(w)
	case a.Mode == Plain:
		begin(w, xmlType, len(ans.reply))
		_, err := io.WriteString(w, ans.reply)
		ok = err == nil && flush(w)
	default:
		// Sealed anew for each push, with the secrets that the push came with:
		// R-MODE-REPLY.
		buf, reply := buffers.Get().(*[]byte), buffers.Get().(*[]byte)
		*reply = append((*reply)[:0], ans.reply...)
		*buf = a.ring.AppendEnvelope((*buf)[:0], *reply, in.token, in.secret, in.now)
		begin(w, xmlType, len(*buf))
		_, err := w.Write(*buf)
		ok = err == nil && flush(w)
		release(buf)
		release(reply)
	}
	return ok
}

// flights are the turns that this process is busy with, by key.
type flights struct {
	s        *Server
	shards   [64]shard
	arrivals atomic.Int64 // how many flights began with a push
}

type shard struct {
	mu sync.Mutex
	m  map[store.Key]*flight
}

func (t *flights) init(s *Server) {
	t.s = s
	for i := range t.shards {
		t.shards[i].m = make(map[store.Key]*flight)
	}
}

// shard: the last bytes of a key are those of a hash.
func (t *flights) shard(key store.Key) *shard {
	return &t.shards[key[len(key)-1]%uint8(len(t.shards))]
}

// get returns the flight of a turn, ready to be posted to: while queue is not
// empty it cannot be put away.
func (t *flights) get(a *account, key store.Key, first *job) *flight {
	sh := t.shard(key)
	sh.mu.Lock()
	f := sh.m[key]
	if f == nil {
		f = &flight{s: t.s, account: a, key: key}
		sh.m[key] = f
	}
	f.mu.Lock()
	sh.mu.Unlock()
	if p := first.push; p != nil {
		if f.arrival == 0 {
			f.openID, f.arrival = p.openID(), t.arrivals.Add(1)
		}
		f.lastID++
		p.id = f.lastID
		first.ev.Push = p.id
		f.waiting = append(f.waiting, p)
	}
	if f.enqueue(first) {
		t.s.workers.drive(f)
	}
	return f
}

// has reports whether the turn is under way here.
func (t *flights) has(key store.Key) bool {
	sh := t.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.m[key] != nil
}

// drop takes a flight off the table that was idle a moment ago, if it still is.
func (t *flights) drop(f *flight) {
	sh := t.shard(f.key)
	sh.mu.Lock()
	f.mu.Lock()
	if !f.driven && !f.marking && f.idle() && sh.m[f.key] == f {
		delete(sh.m, f.key)
	}
	f.mu.Unlock()
	sh.mu.Unlock()
}

// all returns the flights there are.
func (t *flights) all() (list []*flight) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, f := range sh.m {
			list = append(list, f)
		}
		sh.mu.Unlock()
	}
	return list
}

// settle waits until the flights that there are now have been put away.
func (t *flights) settle(ctx context.Context) error {
	now := t.all()
	return t.poll(ctx, func() bool {
		now = slices.DeleteFunc(now, func(f *flight) bool { return !t.has(f.key) })
		return len(now) == 0
	})
}

// wait waits until there is nothing left to do.
func (t *flights) wait(ctx context.Context) error {
	return t.poll(ctx, func() bool { return len(t.all()) == 0 })
}

// poll asks until done says so. Stopping a server is no time to be in a hurry. With
// a broken store there is nothing to wait for: nothing will be answered.
func (t *flights) poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if err := t.s.guard.err(); err != nil {
			return fmt.Errorf("callback: messages were left unanswered, since %w", brokenError(err))
		}
		select {
		case <-ctx.Done():
			return errors.New("callback: messages were still under way when the time to stop was over; a durable store has them started again, a store in memory loses them")
		case <-tick.C:
		}
	}
	return nil
}

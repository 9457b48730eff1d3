package callback

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// push takes in a push, from the first check to the answer. It never waits for
// the store or a handler directly: those work in the turn's own goroutines,
// and it leaves when the answer, the end of its window or WeChat's cut comes.
func (s *Server) push(w http.ResponseWriter, r *http.Request, a *account, entered time.Time) {
	p := &openPush{due: entered.Add(a.policy.AnswerBy)}
	if !s.receive(w, r, a, &p.received) {
		return
	}
	s.stats.pushes.Add(1)
	if s.stats.waiting.Add(1) > int64(s.cfg.MaxWaiting) {
		s.stats.waiting.Add(-1)
		s.refusals.note(r.Context(), p.now, a.Name, Overloaded, "")
		panic(http.ErrAbortHandler)
	}
	defer s.stats.waiting.Add(-1)

	p.answered = make(chan answer, 1)
	f := s.flights.get(a, p.key, job{push: p, ev: turn.Event{Kind: turn.PushArrived}})

	// Until the timer fires the push may be answered; after that it is held,
	// if the turn's rules say so, and in the end given up.
	timer := time.NewTimer(time.Until(p.due))
	defer timer.Stop()
	events, hungUp := timer.C, r.Context().Done()
	for due := true; ; due = false {
		select {
		case ans := <-p.answered:
			s.finish(w, r, f, p, ans)
			return
		case <-hungUp:
			// Not by this goroutine, which would go on to drive what comes next.
			f.leave(p)
			f.post(turn.Event{Kind: turn.PushClosed, Push: p.id})
			panic(http.ErrAbortHandler)
		case <-events:
			if due {
				f.post(turn.Event{Kind: turn.PushDue, Push: p.id})
				timer.Reset(time.Until(entered.Add(a.policy.AbortAfter)))
				continue
			}
			// WeChat should have hung up by now: a proxy keeps the connection
			// open. It must not be answered, or the proxy might pass that on.
			// The turn is told, and not asked, since the store may be down.
			select {
			case ans := <-p.answered:
				s.finish(w, r, f, p, ans)
				return
			default:
			}
			s.stats.aborted.Add(1)
			f.leave(p)
			f.post(turn.Event{Kind: turn.PushOver, Push: p.id})
			panic(http.ErrAbortHandler)
		}
	}
}

// finish answers a push. What was not written completely is broken off, since
// net/http makes a 200 of a handler that has written nothing: R-TIME-ACK.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, f *flight, p *openPush, ans answer) {
	ok := s.write(w, r.Context(), f.account, &p.received, ans)
	f.closed(p, ok)
	if !ok {
		panic(http.ErrAbortHandler)
	}
}

// openPush is a push that waits for its answer.
type openPush struct {
	received
	id       int       // unique within its flight
	due      time.Time // end of its passive window
	answered chan answer
}

// answer is what a push gets: reply is empty unless given says otherwise.
type answer struct {
	given store.Outcome
	reply string
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
		// Sealed anew for each push, with the secrets that the push came with.
		buf, reply := buffers.Get().(*[]byte), buffers.Get().(*[]byte)
		*reply = append((*reply)[:0], ans.reply...)
		*buf = a.ring.AppendEnvelope((*buf)[:0], *reply, in.token, in.secret, in.now)
		begin(w, xmlType, len(*buf))
		_, err := w.Write(*buf)
		ok = err == nil && flush(w)
		release(buf)
		release(reply)
	}
	if ok {
		s.stats.answers[ans.given].Add(1)
	}
	return ok
}

// flights are the turns that this process is busy with, by key.
type flights struct {
	s      *Server
	shards [64]shard
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
func (t *flights) get(a *account, key store.Key, first job) *flight {
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

// drop takes a flight off the table that was idle a moment ago, if it still is.
func (t *flights) drop(f *flight) {
	sh := t.shard(f.key)
	sh.mu.Lock()
	f.mu.Lock()
	if !f.driven && f.idle() && sh.m[f.key] == f {
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

// wait waits until there is nothing left to do.
func (t *flights) wait(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(t.all()) > 0 {
		select {
		case <-ctx.Done():
			return errors.New("callback: handlers were still running at shutdown; what they answer is lost, and a durable store has them started again")
		case <-tick.C:
		}
	}
	return nil
}

package callback_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// Each of these was a promise that the code broke once.

// P9: a condition is code of the user's too.
func TestConditionPanics(t *testing.T) {
	t.Parallel()
	r := echostr.NewRouter()
	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.Text("x"), nil
	},
		echostr.When(func(m *echostr.TextMessage) bool { return m.Content[0] == 'a' }))
	a := account(callback.Plain, r)
	s, st := one(t, a)
	g := pack(a, text("")).send(s)
	if row := rows(t, st)[0]; row.State != store.Failed {
		t.Errorf("the turn is %v", row.State)
	}
	if !g.is(200, "success") {
		t.Error(g)
	}
}

// renewals are those of a store that answers in 2 ms, refuses at once, or hangs for 4 s.
type renewals struct {
	store.Store
	mode atomic.Int32 // 0 works, 1 refused, 2 hangs
}

func (s *renewals) do() error {
	switch s.mode.Load() {
	case 1:
		return store.ErrUnavailable
	case 2:
		time.Sleep(4 * time.Second)
		return store.ErrUnavailable
	}
	time.Sleep(2 * time.Millisecond)
	return nil
}

func (s *renewals) Renew(ctx context.Context, n store.Node) error {
	if err := s.do(); err != nil {
		return err
	}
	return s.Store.Renew(ctx, n)
}

func (s *renewals) Join(ctx context.Context, id string) (store.Node, error) {
	if err := s.do(); err != nil {
		return store.Node{}, err
	}
	return s.Store.Join(ctx, id)
}

// P3: a handler is cancelled 5 s before its lease ends, whatever the store does.
func TestCancelledBeforeTheLeaseEnds(t *testing.T) {
	t.Parallel()
	for mode := int32(1); mode <= 2; mode++ {
		in2026(t, func(t *testing.T) {
			st := &renewals{Store: memory.New(memory.Config{})}
			cancelled := make(chan time.Time, 9)
			a := account(callback.Plain, echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
				<-ctx.Done()
				select {
				case cancelled <- time.Now():
				default:
				}
				return nil, ctx.Err()
			}))
			a.HandlerTimeout = 10 * time.Minute
			began := time.Now()
			s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
			go pack(a, text("x")).sendCut(s)
			time.Sleep(6 * time.Second) // one renewal, at 5 s
			st.mode.Store(mode)
			leaseEnd := began.Add(5*time.Second + 2*time.Millisecond + store.Lease)
			at := <-cancelled
			if d := leaseEnd.Sub(at); d < 5*time.Second {
				t.Errorf("mode %d: P3: cancelled %v before lease end", mode, d)
			}
			st.mode.Store(0)
			time.Sleep(time.Minute)
		})
	}
}

// The lease is lost while a Pure turn is in no store yet.
func TestPureOutlivesItsLease(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		mem := memory.New(memory.Config{})
		r := echostr.NewRouter()
		echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
			select {
			case <-time.After(900 * time.Millisecond):
				return echostr.Text("ok"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}).Pure()
		a := account(callback.Plain, r)
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "n"})
		time.Sleep(4500 * time.Millisecond)
		mem.Leave(context.Background(), store.Node{ID: "n", Epoch: 1})
		pack(a, text("x")).sendCut(s)
		time.Sleep(10 * time.Minute)
		ctx, c := context.WithTimeout(context.Background(), time.Minute)
		defer c()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("10 minutes later the turn is still there: %v", err)
		}
	})
}

// P7: a store that is down cannot say that the message is known.
func TestPureReplayInOutage(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		st := &faulty{Store: memory.New(memory.Config{})}
		var starts atomic.Int64
		r := echostr.NewRouter()
		echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
			starts.Add(1)
			return echostr.Text("ok"), nil
		}).Pure()
		a := account(callback.Plain, r)
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
		w := pack(a, text("x"))
		w.sendCut(s)
		time.Sleep(2 * time.Minute)
		st.fail(before)
		w.sendCut(s)
		st.fail(works)
		if n := starts.Load(); n != 1 {
			t.Errorf("P7: a replay during an outage started a handler: %d starts", n)
		}
	})
}

// What names no sender is not erased because somebody without a name unsubscribes.
func TestUnsubscribeOfNobody(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, new(counted))
		s, st := one(t, a)
		pack(a, "<xml><broken").send(s)
		pack(a, event("", "unsubscribe", "")).send(s)
		for _, r := range rows(t, st) {
			if r.State == store.Erased {
				t.Errorf("erased: %+v", r)
			}
		}
	})
}

func TestFallbackToNobody(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, echostr.HandlerFunc(func(context.Context, echostr.Message) (echostr.Reply, error) { return nil, errors.New("x") }))
		a.Fallback = "sorry"
		s, _ := one(t, a)
		g := pack(a, textFrom("", time.Now().Unix(), "x")).send(s)
		if strings.Contains(g.body, "<ToUserName><![CDATA[]]>") {
			t.Errorf("bad 200: %v", g)
		}
	})
}

// P7: a clock that jumps forward and back does not make the store forget.
func TestReplayAfterClockJump(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		var off atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
		h := new(counted)
		a := account(callback.Plain, h)
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Now: now})
		w := pack(a, text("x"))
		w.send(s)
		off.Store(int64(time.Hour))
		packAt(a, text("other"), now()).send(s)
		off.Store(0)
		time.Sleep(time.Second)
		before := h.n.Load()
		g := w.send(s)
		if h.n.Load() != before {
			t.Errorf("P7: replay after +1h/-1h started a handler: %v", g)
		}
	})
}

// P8: what an outage leaves behind does not grow with it. It is not parallel, since it
// counts the goroutines of the process.
func TestLongOutage(t *testing.T) {
	in2026(t, func(t *testing.T) {
		st := &hanging{faulty: faulty{Store: memory.New(memory.Config{})}}
		a := account(callback.Plain, new(counted))
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, MaxWaiting: 100})
		st.fail(before)
		var wg sync.WaitGroup
		for range 30 { // 2½ minutes, 100 held at a time
			for range 100 {
				w := pack(a, text("x"))
				wg.Go(func() { w.sendCut(s) })
			}
			wg.Wait()
		}
		st.hang.Store(true)
		peak := 0
		for range 60 {
			time.Sleep(100 * time.Millisecond)
			peak = max(peak, runtime.NumGoroutine())
		}
		if peak > 1000 {
			t.Errorf("%d goroutines after an outage of minutes", peak)
		}
		st.hang.Store(false)
		st.fail(works)
		time.Sleep(10 * time.Second)
	})
}

type hanging struct {
	faulty
	hang atomic.Bool
}

func (h *hanging) Get(ctx context.Context, k store.Key) (store.Turn, error) {
	if h.hang.Load() {
		time.Sleep(2 * time.Second) // the backend's own limit
	}
	return h.faulty.Get(ctx, k)
}

// The turn of a dead node is found behind any number of turns of a living one.
func TestSweepFindsTheOldest(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		mem := memory.New(memory.Config{})
		ctx := context.Background()
		dead, _ := mem.Join(ctx, "dead")
		k := store.NewKeyer(must(mem.Installation(ctx)).Salt)
		a := account(callback.Plain, new(counted))
		body := text("lost")
		var d echostr.Document
		d.Parse([]byte(body))
		key := d.Key(a.AppID)
		lost := store.Turn{Key: k.Key(key.Digest, key.CreateTime, time.Now()), Account: a.Name, State: store.Running, Attempt: 1, Owner: dead, Body: body, OpenID: testUser, ReceivedAt: time.Now(), Seen: 1, MsgType: "text"}
		mem.Claim(ctx, []store.Op{{Turn: lost}})
		time.Sleep(time.Second)
		busy, _ := mem.Join(ctx, "busy")
		go func() {
			for range 12 {
				time.Sleep(5 * time.Second)
				mem.Renew(ctx, busy)
			}
		}()
		for i := range 1000 {
			var dg [32]byte
			dg[0], dg[1] = byte(i), byte(i>>8)
			mem.Claim(ctx, []store.Op{{Turn: store.Turn{Key: k.Key(dg, 1, time.Now()), Account: a.Name, State: store.Running, Attempt: 1, Owner: busy, ReceivedAt: time.Now()}}})
		}
		mem.Leave(ctx, dead)
		start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "me"})
		time.Sleep(55 * time.Second)
		row, err := mem.Get(ctx, lost.Key)
		if err != nil || row.State == store.Running {
			t.Errorf("after 55 s the turn of a dead node is still %v (%v)", row.State, err)
		}
		time.Sleep(time.Minute)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Two attempts of one message do not run at the same time in one process that was not
// paused: the second waits for the first, which heeds no context.
func TestAttemptsDoNotOverlap(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		st := &faulty{Store: memory.New(memory.Config{})}
		var running, peak atomic.Int64
		a := account(callback.Plain, echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
			if n := running.Add(1); n > peak.Load() {
				peak.Store(n)
			}
			time.Sleep(50 * time.Second) // ignores its context
			running.Add(-1)
			return nil, nil
		}))
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
		go pack(a, text("x")).sendCut(s)
		time.Sleep(time.Second)
		st.fail(before)
		time.Sleep(20 * time.Second)
		st.fail(works)
		time.Sleep(3 * time.Minute)
		if peak.Load() > 1 {
			t.Errorf("%d handlers of one message at the same time in one process, which was never paused", peak.Load())
		}
	})
}

// Handlers that run on after `success` are bounded.
func TestMaxRunning(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		verify(&a)
		s := start(t, callback.Config{Accounts: []callback.Account{a}, MaxWaiting: 50, MaxRunning: 70, MaxUserMessages: -1})
		for range 11 {
			done := make(chan bool, 50)
			for range 50 {
				w := pack(a, text("x"))
				go func() { w.sendCut(s); done <- true }()
			}
			for range 50 {
				<-done
			}
		}
		if n := s.Stats().Running; n != 70 {
			t.Errorf("%d handlers run, want 70", n)
		}
		time.Sleep(2 * time.Minute)
	})
}

func TestPrintedAccount(t *testing.T) {
	t.Parallel()
	a := account(callback.Safe, nil)
	if s := fmt.Sprintf("%+v", callback.Config{Accounts: []callback.Account{a}}); strings.Contains(s, testToken) || strings.Contains(s, testKey) {
		t.Error("a Config that is printed shows token and key")
	}
}

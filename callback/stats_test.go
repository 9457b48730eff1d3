package callback_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/histogram"
	"github.com/echostr/echostr/store/memory"
)

// below is the number of measurements up to the bound.
func below(t *testing.T, s histogram.Snapshot, bound float64) (n uint64) {
	t.Helper()
	for i, b := range s.Bounds {
		n += s.Counts[i]
		if b == bound {
			return n
		}
	}
	t.Fatalf("%v is no bound of %v", bound, s.Bounds)
	return 0
}

// P5: a push counts as a miss if it was neither finished in time nor held for its retry.
func TestDeadlineMisses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		handler  time.Duration
		slow     time.Duration // store
		down     bool
		verified bool
		pushes   int
		misses   uint64
		held     uint64
	}{
		{name: "in time", handler: time.Second, pushes: 1},
		{name: "held", handler: 7 * time.Second, pushes: 2, held: 1},
		{name: "held to the end", handler: time.Minute, pushes: 3, held: 2},
		{name: "success at the end", handler: 7 * time.Second, verified: true, pushes: 1},
		{name: "slow store", slow: 4700 * time.Millisecond, verified: true, pushes: 2, misses: 1},
		{name: "store down", down: true, pushes: 3, misses: 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := newWitness(test.handler)
				a := account(callback.Plain, h)
				if test.verified {
					verify(&a)
				}
				st := &faulty{Store: memory.New(memory.Config{}), slow: test.slow}
				o := &outage{start(t, callback.Config{Accounts: []callback.Account{a}, Store: st}), a, h, st}
				if test.down {
					st.fail(before)
				}
				seen := int64(0) // the most that were held at one moment
				stop := make(chan struct{})
				go func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(50 * time.Millisecond):
							seen = max(seen, o.Stats().HeldNow)
						}
					}
				}()
				_, pushes := o.push(t)
				st.fail(works)
				close(stop)
				synctest.Wait()
				n := o.Stats()
				if pushes != test.pushes || n.DeadlineMisses != test.misses || n.Held != test.held {
					t.Errorf("%d pushes, %d misses, %d held, want %d, %d, %d", pushes, n.DeadlineMisses, n.Held, test.pushes, test.misses, test.held)
				}
				if n.HeldNow != 0 || seen != int64(min(test.held, 1)) {
					t.Errorf("%d are held now, %d were at once", n.HeldNow, seen)
				}
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

// The numbers about answers: on which push they went out, how old they were, and those
// that no push carries.
func TestAnswerStats(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := newWitness(0)
		h.answer = func(m echostr.Message) (echostr.Reply, error) {
			switch m := m.(type) {
			case *echostr.TextMessage:
				return echostr.Text(m.Content), nil
			case *echostr.ClickEvent:
				return nil, errors.New("failed")
			}
			return nil, nil
		}
		held, api := account(callback.Plain, h), account(callback.Plain, h)
		held.Fallback = "请重试"
		api.Name, api.AppID = "api", "wxOther"
		verify(&api)
		s := start(t, callback.Config{Accounts: []callback.Account{held, api}, Store: &faulty{Store: memory.New(memory.Config{}), slow: 20 * time.Millisecond}})
		h.setSleep(6 * time.Second)
		w := pack(held, text("x"))
		w.sendCut(s)                                         // cut
		w.sendCut(s)                                         // the reply, after 6.04 s
		w.sendCut(s)                                         // the same again, at 6.04 s
		pack(api, text("x")).sendCut(s)                      // success at 4.5 s; the reply is late
		time.Sleep(10 * time.Second)                         // and there
		h.setSleep(300 * time.Millisecond)                   //
		pack(held, event(testUser, "VIEW", "k")).sendCut(s)  // success
		pack(held, event(testUser, "CLICK", "k")).sendCut(s) // the fallback text, after 0.34 s
		synctest.Wait()

		n := s.Stats()
		got := []any{n.Replies, n.Fallbacks, n.Successes, n.Late, n.Starts, n.Retries, n.AnswerAge.Count(), n.HandlerTime.Count(), n.StoreLatency.Count()}
		want := []any{
			callback.Answers{Retry: 2},
			callback.Answers{First: 1},
			callback.Answers{First: 2},
			uint64(1), uint64(4), uint64(2),
			uint64(3), uint64(4), uint64(10),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if a := n.AnswerAge; below(t, a, .25) != 0 || below(t, a, .5) != 1 || below(t, a, 5) != 1 || below(t, a, 7.5) != 3 {
			t.Errorf("ages of answers: %+v", a)
		}
		if a := n.HandlerTime; below(t, a, .25) != 0 || below(t, a, .5) != 2 || below(t, a, 4.5) != 2 || below(t, a, 10) != 4 {
			t.Errorf("times of handlers: %+v", a)
		}
		if a := n.StoreLatency; below(t, a, .01) != 0 || below(t, a, .025) != 10 {
			t.Errorf("latency of the store: %+v", a)
		}
	})
}

// The time of a handler that hangs is known when it returns.
func TestHandlerTimeOfAHang(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, echostr.HandlerFunc(func(context.Context, echostr.Message) (echostr.Reply, error) {
			time.Sleep(100 * time.Second)
			panic("x")
		}))
		s, _ := one(t, a)
		pack(a, text("x")).sendCut(s)
		time.Sleep(3 * time.Minute)
		if h := s.Stats().HandlerTime; h.Count() != 1 || h.Sum != 100 {
			t.Errorf("%+v", h)
		}
	})
}

// Each way in which a handler can fail has its number, and counts once.
func TestHandlerFailures(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
			switch m.(*echostr.TextMessage).Content {
			case "error":
				return nil, errors.New("it went wrong")
			case "invalid":
				return echostr.Image(""), nil
			case "slow":
				<-ctx.Done()
				return nil, ctx.Err()
			case "hang":
				time.Sleep(time.Minute)
				return nil, errors.New("nobody wants to know")
			case "panic":
				panic("x")
			}
			return nil, nil
		}))
		a.HandlerTimeout = 3 * time.Second
		s, _ := one(t, a)
		for _, what := range []string{"good", "error", "error", "invalid", "slow", "hang", "panic"} {
			w := pack(a, text(what))
			for range 3 {
				w.sendCut(s)
			}
		}
		time.Sleep(3 * time.Minute)
		n := s.Stats()
		if n.Starts != 7 || n.HandlerErrors != 3 || n.HandlerTimeouts != 2 || n.Panics != 1 || n.Quarantined+n.Interrupted != 0 {
			t.Errorf("%d starts, %d errors, %d timeouts, %d panics, %d quarantined, %d interrupted", n.Starts, n.HandlerErrors, n.HandlerTimeouts, n.Panics, n.Quarantined, n.Interrupted)
		}
	})
}

package callback_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// When the storage breaks, at whichever call, that is told once, and from then on
// nothing is asked of the store, nothing is acknowledged, and nothing hangs.
func TestStoreBreaks(t *testing.T) {
	t.Parallel()
	for i, method := range []string{"Claim", "Save", "Get", "Erase", "Renew", "Owners", "Alive", "Claim", "Save"} {
		verified := i%2 == 0 // then the end of a push's window asks nothing of the store
		t.Run(fmt.Sprintf("%s/verified=%v", method, verified), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				st := &faulty{Store: memory.New(memory.Config{})}
				var cancelled, starts atomic.Int64
				r := echostr.NewRouter()
				echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
					starts.Add(1)
					if m.Content != "slow" {
						return echostr.Text("re: " + m.Content), nil
					}
					<-ctx.Done()
					cancelled.Add(1)
					return nil, ctx.Err()
				})
				echostr.On(r, func(ctx context.Context, m *echostr.ClickEvent) (echostr.Reply, error) { return nil, nil }).Pure()
				a := account(callback.Plain, r)
				a.HandlerTimeout = 10 * time.Minute
				if verified {
					verify(&a)
				}
				var fatal []error
				s, err := callback.New(callback.Config{
					Accounts: []callback.Account{a}, Store: st, Logger: quiet, Fatal: func(err error) { fatal = append(fatal, err) },
				})
				if err != nil {
					t.Fatal(err)
				}
				answered := pack(a, text("x"))
				if g := answered.sendCut(s); g.status != 200 {
					t.Fatal(g)
				}
				time.Sleep(3 * time.Second) // so that the lease is renewed while pushes wait
				var all sync.WaitGroup
				unanswered := func(w wire) {
					all.Go(func() {
						if g := w.sendCut(s); !g.cut || !g.aborted || g.took < 4*time.Second {
							t.Errorf("a push was not held to the cut: %v", g)
						}
					})
				}
				unanswered(pack(a, text("slow")))
				time.Sleep(100 * time.Millisecond)
				st.failOnly(method, 0, breaks)
				switch method {
				case "Renew", "Owners":
					time.Sleep(5 * time.Second)
				case "Alive":
					if s.Ready(t.Context()) == nil {
						t.Error("Ready, whose own call has broken the store")
					}
				case "Get":
					unanswered(pack(a, event(testUser, "CLICK", "k")))
				case "Erase":
					unanswered(pack(a, event(testUser, "unsubscribe", "")))
				default:
					unanswered(pack(a, text("y")))
				}
				synctest.Wait()
				calls, n := st.total(), starts.Load()
				// It does not matter that the storage seems to work again.
				st.fail(works)
				unanswered(pack(a, text("z")))
				unanswered(answered) // of which the answer is known
				unanswered(pack(a, event(testUser, "CLICK", "l")))
				if err := s.Ready(t.Context()); !errors.Is(err, store.ErrBroken) || !strings.Contains(err.Error(), "restart") {
					t.Errorf("Ready: %v", err)
				}
				if g := do(s, pack(a, "").request()); g.status != 200 {
					t.Errorf("an empty body, which asks nothing of the store: %v", g)
				}
				all.Wait()
				if st.total() != calls || starts.Load() != n || cancelled.Load() != 1 {
					t.Errorf("%d calls of a broken store, %d starts, %d handlers cancelled", st.total()-calls, starts.Load()-n, cancelled.Load())
				}
				if len(fatal) != 1 || !errors.Is(fatal[0], store.ErrBroken) {
					t.Errorf("Fatal was told %v", fatal)
				}
				time.Sleep(time.Minute)
				began := time.Now()
				if err := s.Settle(t.Context()); err != nil && !errors.Is(err, store.ErrBroken) {
					t.Errorf("Settle: %v", err)
				}
				if err := s.Shutdown(t.Context()); !errors.Is(err, store.ErrBroken) {
					t.Errorf("Shutdown: %v", err)
				}
				if took := time.Since(began); took > time.Second || st.total() != calls {
					t.Errorf("stopping took %v, %d calls", took, st.total()-calls)
				}
			})
		})
	}
}

// A handler that heeds nothing does not keep a Server with a broken store from stopping.
func TestStoreBreaksAndHandlerHangs(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		st := &faulty{Store: memory.New(memory.Config{})}
		a := account(callback.Plain, echostr.HandlerFunc(func(context.Context, echostr.Message) (echostr.Reply, error) {
			time.Sleep(time.Hour)
			return nil, nil
		}))
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
		go pack(a, text("x")).sendCut(s)
		time.Sleep(time.Second)
		st.fail(breaks)
		time.Sleep(10 * time.Second)
		began := time.Now()
		if err := s.Shutdown(t.Context()); !errors.Is(err, store.ErrBroken) || time.Since(began) > time.Second {
			t.Errorf("Shutdown: %v after %v", err, time.Since(began))
		}
		time.Sleep(2 * time.Hour)
	})
}

// A store that is broken from the beginning is an error of New.
func TestStoreIsBroken(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Join", "List"} {
		in2026(t, func(t *testing.T) {
			st := &faulty{Store: memory.New(memory.Config{})}
			st.failOnly(method, 0, breaks)
			_, err := callback.New(callback.Config{Accounts: []callback.Account{account(callback.Plain, new(counted))}, Store: st, Logger: quiet})
			if !errors.Is(err, store.ErrBroken) {
				t.Errorf("New with a store whose %s breaks: %v", method, err)
			}
		})
	}
}

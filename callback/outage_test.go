package callback_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// outage is a server whose store fails as told, and a WeChat that pushes a message
// again until it is answered, three times in all.
type outage struct {
	*callback.Server
	a  callback.Account
	h  *witness
	st *faulty
}

func newOutage(t *testing.T, handler time.Duration) *outage {
	h := newWitness(handler)
	a := account(callback.Plain, h)
	st := &faulty{Store: memory.New(memory.Config{})}
	return &outage{start(t, callback.Config{Accounts: []callback.Account{a}, Store: st}), a, h, st}
}

func (o *outage) push(t *testing.T) (answer got, pushes int) {
	w := pack(o.a, text("x"))
	for pushes = 1; ; pushes++ {
		answer = w.sendCut(o)
		if answer.status == 200 || pushes == 3 {
			return answer, pushes
		}
		if !answer.cut {
			t.Errorf("push %d: %v; a push that fails fast burns a retry", pushes, answer)
		}
	}
}

// P8: while the store is down nothing is acknowledged, and with an outage of up to
// ten seconds every message is accepted, soon after the store is back.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	for _, down := range []time.Duration{300 * time.Millisecond, 2 * time.Second, 4700 * time.Millisecond, 5 * time.Second, 7 * time.Second, 10 * time.Second, 14 * time.Second} {
		for _, how := range []fault{before, after, either} {
			t.Run(fmt.Sprintf("%v/%d", down, how), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					o := newOutage(t, 0)
					if g, _ := o.push(t); g.status != 200 {
						t.Fatal(g)
					}
					o.st.fail(how)
					began := time.Now()
					var back atomic.Bool
					var all sync.WaitGroup
					for range 20 {
						all.Go(func() {
							g, pushes := o.push(t)
							if g.status != 200 || g.body == "success" {
								t.Errorf("push %d: %v", pushes, g)
								return
							}
							if !back.Load() {
								t.Errorf("acknowledged after %v, while the store was down", time.Since(began))
							}
							// It may have been cut in the very moment; then the
							// next push has it at once.
							if late := time.Since(began) - down; late > 250*time.Millisecond {
								t.Errorf("answered %v after the store was back", late)
							}
						})
					}
					time.Sleep(down)
					back.Store(true)
					o.st.fail(works)
					all.Wait()
					time.Sleep(30 * time.Second)
					synctest.Wait()
					if starts, messages := o.h.total(); starts != 21 || messages != 21 {
						t.Errorf("%d starts of %d messages", starts, messages)
					}
					if n := o.Stats(); n.Waiting != 0 || n.Running != 0 {
						t.Errorf("%d wait, %d run", n.Waiting, n.Running)
					}
				})
			})
		}
	}
}

// The goroutines of a long outage end with it, but for a few that are kept for
// the next messages. Not parallel: it counts those of the process.
func TestStoreDownForLong(t *testing.T) {
	in2026(t, func(t *testing.T) {
		const kept = 64
		o := newOutage(t, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		baseline := runtime.NumGoroutine()
		o.st.fail(before)
		var all sync.WaitGroup
		var answered atomic.Int64
		for range 200 {
			all.Go(func() {
				if g, _ := o.push(t); g.status == 200 {
					answered.Add(1)
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n < baseline+kept+100 {
			t.Errorf("%d goroutines while it is down; the test does not test much", n)
		}
		all.Wait()
		time.Sleep(time.Second)
		if answered.Load() != 0 {
			t.Errorf("%d were acknowledged", answered.Load())
		}
		n := 0
		for range 100 { // one that has ended is counted until its processor comes to it
			synctest.Wait()
			if n = runtime.NumGoroutine(); n <= baseline+kept+10 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if n > baseline+kept+10 {
			t.Errorf("%d goroutines are left, %d were there before", n, baseline)
		}
		if n := o.Stats(); n.Waiting != 0 || n.Running != 0 || n.Starts != 0 {
			t.Errorf("%d wait, %d run, %d were started", n.Waiting, n.Running, n.Starts)
		}
		o.st.fail(works)
		time.Sleep(20 * time.Second)
		if g, _ := o.push(t); g.status != 200 || g.body == "success" {
			t.Errorf("afterwards: %v", g)
		}
		if n := len(rows(t, o.st)); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}

// A push that WeChat does not cut, behind a proxy that keeps it open, is
// aborted at six seconds and never answered.
func TestStoreDownBehindAProxy(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		o := newOutage(t, 0)
		o.st.fail(before)
		if g := pack(o.a, text("x")).send(o); !g.aborted || g.took != 6*time.Second || o.Stats().Aborted != 1 {
			t.Errorf("%v, %d counted", g, o.Stats().Aborted)
		}
		o.st.fail(works)
		// And so is one that is held for its retry.
		o.h.setSleep(8 * time.Second)
		w := pack(o.a, text("x"))
		if g := w.send(o); !g.aborted || g.took != 6*time.Second || g.body != "" {
			t.Errorf("held: %v", g)
		}
		if g := w.sendCut(o); g.status != 200 || g.took != 2*time.Second {
			t.Errorf("its retry: %v", g)
		}
	})
}

// A commit whose answer is lost is not a failed commit: no second start, and
// no lost answer, at whichever write it happens.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Claim", "Save"} {
		for times := 1; times <= 5; times++ {
			for _, handler := range []time.Duration{0, 3 * time.Second, 7 * time.Second} {
				t.Run(fmt.Sprintf("%s/%d/%v", method, times, handler), func(t *testing.T) {
					t.Parallel()
					in2026(t, func(t *testing.T) {
						o := newOutage(t, handler)
						o.st.failOnly(method, times, after)
						if g, pushes := o.push(t); g.status != 200 || parseReply(t, g.body).Content != "re: x" {
							t.Errorf("after %d pushes: %v", pushes, g)
						}
						time.Sleep(30 * time.Second)
						if starts, _ := o.h.total(); starts != 1 {
							t.Errorf("%d starts", starts)
						}
						if row := only(t, o.st); row.State != store.Answered || row.Attempt != 1 {
							t.Errorf("%v, attempt %d", row.State, row.Attempt)
						}
					})
				})
			}
		}
	}
}

// What was accepted is brought to its end, also if no push ever learnt that it was
// and the store was down for much longer than WeChat tries: I2.
func TestLostCommitInALongOutage(t *testing.T) {
	t.Parallel()
	for _, down := range []time.Duration{16 * time.Second, 27 * time.Second, 40 * time.Second} {
		t.Run(down.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				o := newOutage(t, 0)
				if down == 27*time.Second {
					o.st.spare = "Renew" // the lease is never lost
				}
				o.st.failOnly("Claim", 1, after)
				done := make(chan struct{})
				go func() {
					defer close(done)
					o.push(t)
				}()
				time.Sleep(time.Millisecond)
				o.st.fail(before)
				time.Sleep(down)
				<-done
				if row := only(t, o.st.Store); row.State != store.Running {
					t.Fatalf("the test is wrong: %v", row.State)
				}
				o.st.fail(works)
				time.Sleep(time.Minute)
				if row := only(t, o.st); row.State != store.Answered {
					t.Errorf("a minute after the store is back the turn is %v", row.State)
				}
				if starts, _ := o.h.total(); starts != 1 {
					t.Errorf("%d starts", starts)
				}
			})
		})
	}
}

// A store that takes its time costs time, and nothing else.
func TestSlowStore(t *testing.T) {
	t.Parallel()
	for _, slow := range []time.Duration{500 * time.Millisecond, 2 * time.Second, 3 * time.Second, 6 * time.Second} {
		for _, verified := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/verified=%v", slow, verified), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					h := newWitness(0)
					a := account(callback.Plain, h)
					if verified {
						verify(&a)
					}
					st := &faulty{Store: memory.New(memory.Config{}), slow: slow}
					o := &outage{start(t, callback.Config{Accounts: []callback.Account{a}, Store: st}), a, h, st}
					g, pushes := o.push(t)
					if g.status != 200 || g.took > 4600*time.Millisecond {
						t.Errorf("after %d pushes: %v", pushes, g)
					}
					if slow <= 2*time.Second && (pushes != 1 || g.body == "success") {
						t.Errorf("two writes fit into the window, but: push %d, %v", pushes, g)
					}
					time.Sleep(time.Minute)
					if starts, _ := h.total(); starts != 1 {
						t.Errorf("%d starts", starts)
					}
					if row := only(t, st); row.State != store.Answered {
						t.Errorf("%v", row.State)
					}
				})
			})
		}
	}
}

// A store full of unfinished turns counts as down, and recovers by itself.
func TestStoreFull(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := newWitness(8 * time.Second)
		a := account(callback.Plain, h)
		st := memory.New(memory.Config{MaxTurns: 1})
		o := &outage{start(t, callback.Config{Accounts: []callback.Account{a}, Store: st}), a, h, nil}
		done := make(chan got, 1)
		go func() {
			g, _ := o.push(t)
			done <- g
		}()
		time.Sleep(time.Second)
		h.setSleep(0)
		g, pushes := o.push(t)
		if g.status != 200 || g.body == "success" || pushes != 2 {
			t.Errorf("the message that found no room: push %d, %v", pushes, g)
		}
		if g := <-done; g.status != 200 || g.body == "success" {
			t.Errorf("the other one: %v", g)
		}
	})
}

// A push whose connection has ended gets nothing, since what net/http makes of a
// handler that writes nothing is a 200: somebody may read on after
// closing for writing, and would take it for `success`.
func TestHungUpIsNeverAnswered(t *testing.T) {
	t.Parallel()
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprintf("down=%v", down), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				o := newOutage(t, 7*time.Second)
				if down {
					o.st.fail(before)
				}
				w := pack(o.a, text("x"))
				if g := w.sendCut(o); !g.cut || !g.aborted {
					t.Errorf("cut while it waits: %v, aborted %v", g, g.aborted)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if g := w.sendContext(ctx, o); !g.aborted {
					t.Errorf("cut before it begins: %v", g)
				}
				o.st.fail(works)
			})
		})
	}
}

// An answer that could not be written is broken off, and the retry gets it again.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		in2026(t, func(t *testing.T) {
			a := account(mode, new(counted))
			s, st := one(t, a)
			w := pack(a, text("x"))
			for name, out := range map[string]http.ResponseWriter{
				"write": broken{httptest.NewRecorder(), true}, "flush": broken{httptest.NewRecorder(), false},
			} {
				func() {
					defer func() {
						if p := recover(); p != http.ErrAbortHandler {
							t.Errorf("%v, %s: the handler ended with %v, which net/http takes for a 200", mode, name, p)
						}
					}()
					s.ServeHTTP(out, w.request())
				}()
			}
			if g := w.send(s); g.status != 200 || parseReply(t, read(t, a, g.body)).Content != "re: x" {
				t.Errorf("%v: the retry: %v", mode, g)
			}
			synctest.Wait() // the outcomes are saved when nobody waits
			for i, want := range []store.Outcome{store.Cut, store.Cut, store.GotReply} {
				if got := only(t, st).Pushes[i].Got; got != want {
					t.Errorf("%v: push %d got %v, want %v", mode, i+1, got, want)
				}
			}
		})
	}
}

// broken is a connection that is gone, as is seen at the write or at the flush.
type broken struct {
	*httptest.ResponseRecorder
	write bool
}

// sendBroken is send over a connection that breaks when the answer is written.
func (w wire) sendBroken(ctx context.Context, h http.Handler) {
	defer func() { recover() }() // the handler aborts
	h.ServeHTTP(broken{httptest.NewRecorder(), true}, w.request().WithContext(ctx))
}

func (w broken) Write(p []byte) (int, error) {
	if w.write {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func (w broken) WriteString(s string) (int, error) { return w.Write([]byte(s)) }
func (w broken) FlushError() error                 { return io.ErrClosedPipe }

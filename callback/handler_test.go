package callback_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
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

// Whatever a handler does, every push is answered 200, and the user never
// sees the fault notice.
func TestHandlerMisbehaves(t *testing.T) {
	t.Parallel()
	type result = func(context.Context, echostr.Message) (echostr.Reply, error)
	returns := func(r echostr.Reply) result {
		return func(context.Context, echostr.Message) (echostr.Reply, error) { return r, nil }
	}
	tests := []struct {
		name   string
		handle result
		want   string // what the user reads; "" is nothing
		state  store.State
		reason string // the beginning
	}{
		{"panics", func(context.Context, echostr.Message) (echostr.Reply, error) { panic("secret") }, "", store.Failed, "panic"},
		{"panics with nil", func(context.Context, echostr.Message) (echostr.Reply, error) { panic(nil) }, "", store.Failed, "panic"},
		{"nil pointer", func(context.Context, echostr.Message) (echostr.Reply, error) {
			var m *echostr.TextMessage
			return echostr.Text(m.Content), nil
		}, "", store.Failed, "panic"},
		{"exits its goroutine", func(context.Context, echostr.Message) (echostr.Reply, error) {
			runtime.Goexit()
			return nil, nil
		}, "", store.Failed, "panic"},
		{"error", func(context.Context, echostr.Message) (echostr.Reply, error) { return nil, errors.New("no") }, "", store.Failed, "error: no"},
		{"error and reply", func(context.Context, echostr.Message) (echostr.Reply, error) {
			return echostr.Text("x"), errors.New("no")
		}, "", store.Failed, "error"},
		{"nil", returns(nil), "", store.Silent, ""},
		{"none", returns(echostr.None{}), "", store.Silent, ""},
		{"empty text", returns(echostr.Text("")), "", store.Silent, ""},
		{"text of nothing XML has", returns(echostr.Text("\x00\x01")), "", store.Silent, ""},
		{"pointer", returns(&echostr.TextReply{Content: "x"}), "", store.Failed, "invalid reply"},
		{"nil pointer as reply", returns((*echostr.TextReply)(nil)), "", store.Failed, "invalid reply"},
		{"image of nothing", returns(echostr.Image("")), "", store.Failed, "invalid reply"},
		{"voice of nothing", returns(echostr.Voice("")), "", store.Failed, "invalid reply"},
		{"video of nothing", returns(echostr.VideoReply{}), "", store.Failed, "invalid reply"},
		{"music of nothing", returns(echostr.MusicReply{}), "", store.Failed, "invalid reply"},
		{"news of nothing", returns(echostr.News()), "", store.Failed, "invalid reply"},
		{"two articles after a message", returns(echostr.News(make([]echostr.Article, 2)...)), "", store.Failed, "invalid reply"},
		{"raw of a known type", returns(echostr.RawReply{MsgType: "text", InnerXML: "<Content>x</Content>"}), "", store.Failed, "invalid reply"},
		{"raw with other names", returns(echostr.RawReply{MsgType: "x", InnerXML: "<ToUserName>oVictim</ToUserName>"}), "", store.Failed, "invalid reply"},
		{"raw that ends the document", returns(echostr.RawReply{MsgType: "x", InnerXML: "</xml><xml>"}), "", store.Failed, "invalid reply"},
		{"takes too long, heeds its context", func(ctx context.Context, _ echostr.Message) (echostr.Reply, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, "", store.Failed, "timeout"},
		{"takes too long and answers all the same", func(ctx context.Context, _ echostr.Message) (echostr.Reply, error) {
			<-ctx.Done()
			return echostr.Text("too late"), nil
		}, "", store.Failed, "timeout"},
		{"ignores its context", func(context.Context, echostr.Message) (echostr.Reply, error) {
			time.Sleep(time.Minute)
			return echostr.Text("too late"), nil
		}, "", store.Failed, "timeout"},
	}
	for i, test := range tests {
		for _, fallback := range []string{"", "请稍后再试"} {
			t.Run(fmt.Sprintf("%s/fallback=%v", test.name, fallback != ""), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					var starts atomic.Int64
					a := account(modes[i%3], echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
						starts.Add(1)
						return test.handle(ctx, m)
					}))
					a.HandlerTimeout, a.Fallback = 3*time.Second, fallback
					var out log
					st := memory.New(memory.Config{})
					s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: out.logger(slog.LevelInfo)})
					want := test.want
					if want == "" && test.state == store.Failed {
						want = fallback
					}
					w := pack(a, text("x"))
					var documents []string
					for range 3 {
						g := w.sendCut(s)
						if g.status != 200 || g.took > 4*time.Second {
							t.Fatal(g)
						}
						documents = append(documents, read(t, a, g.body))
						if want == "" && g.body != "success" {
							t.Errorf("answered %v, want success", g)
						}
						if want != "" {
							if r := parseReply(t, documents[0]); r.Content != want || r.ToUserName != testUser {
								t.Errorf("the user reads %.50q, want %.50q", r.Content, want)
							}
						}
						time.Sleep(time.Second)
					}
					if documents[0] != documents[1] || documents[0] != documents[2] {
						t.Errorf("the pushes got different answers: %q", documents)
					}
					row := only(t, st)
					if row.State != test.state || !strings.HasPrefix(row.Reason, test.reason) || starts.Load() != 1 {
						t.Errorf("state %v, reason %q, %d starts", row.State, row.Reason, starts.Load())
					}
					if row.State == store.Failed && !strings.Contains(out.String(), `"level":"ERROR"`) {
						t.Errorf("nobody is told: %s", out.String())
					}
					time.Sleep(2 * time.Minute)
					if n := s.Stats(); n.Running != 0 || n.Abandoned != 0 || n.Waiting != 0 {
						t.Errorf("in the end %d run, %d hang, %d wait", n.Running, n.Abandoned, n.Waiting)
					}
				})
			})
		}
	}
}

// Handlers that hang are counted, pushes leave in time, and when there are
// more than a hundred the process is told to restart, once.
func TestHandlersHang(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		release := make(chan struct{})
		var fatal atomic.Int64
		a := account(callback.Plain, echostr.HandlerFunc(func(context.Context, echostr.Message) (echostr.Reply, error) {
			<-release
			return nil, nil
		}))
		a.HandlerTimeout = 20 * time.Second
		verify(&a)
		s := start(t, callback.Config{Accounts: []callback.Account{a}, MaxUserMessages: -1, Fatal: func(error) { fatal.Add(1) }})
		hang := func(n int) {
			var all sync.WaitGroup
			for range n {
				all.Go(func() {
					if g := pack(a, text("x")).sendCut(s); !g.is(200, "success") || g.took != 4500*time.Millisecond {
						t.Error(g)
					}
				})
			}
			all.Wait()
			time.Sleep(20 * time.Second)
		}
		hang(100)
		if n := s.Stats().Abandoned; n != 100 || fatal.Load() != 0 {
			t.Errorf("%d hang, Fatal was called %d times", n, fatal.Load())
		}
		hang(100)
		if n := s.Stats().Abandoned; n != 200 || fatal.Load() != 1 {
			t.Errorf("%d hang, Fatal was called %d times", n, fatal.Load())
		}
		close(release)
		synctest.Wait()
		if n := s.Stats(); n.Abandoned != 0 || n.Running != 0 {
			t.Errorf("%d hang and %d run after all have ended", n.Abandoned, n.Running)
		}
	})
}

// Many handlers that end with their context, all at once, hang for no moment.
func TestHandlersTimeOutTogether(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		var fatal atomic.Int64
		a := account(callback.Plain, echostr.HandlerFunc(func(ctx context.Context, _ echostr.Message) (echostr.Reply, error) {
			<-ctx.Done()
			// Cleaning up takes its time.
			time.Sleep(100 * time.Millisecond)
			return nil, ctx.Err()
		}))
		a.HandlerTimeout = 2 * time.Second
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Fatal: func(error) { fatal.Add(1) }})
		time.Sleep(950 * time.Millisecond) // so that the server looks in the middle of it
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() {
				if g := pack(a, text("x")).sendCut(s); !g.is(200, "success") || g.took > 2100*time.Millisecond {
					t.Error(g)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Minute)
		if fatal.Load() != 0 {
			t.Error("a restart was asked for, though nothing hangs")
		}
	})
}

// Late gives one route another time than the account.
func TestLate(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		r := echostr.NewRouter()
		slow := func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
			deadline, ok := ctx.Deadline()
			if !ok {
				t.Error("a handler without a deadline")
			}
			took := time.Until(deadline)
			<-ctx.Done()
			return nil, fmt.Errorf("after %v", took)
		}
		echostr.On(r, slow, echostr.Exact("late")).Late(2 * time.Minute)
		echostr.On(r, slow)
		a := account(callback.Plain, r)
		a.HandlerTimeout = 10 * time.Second
		verify(&a)
		s, st := one(t, a)
		for content, want := range map[string]time.Duration{"late": 2 * time.Minute, "other": 10 * time.Second} {
			began := time.Now()
			if g := pack(a, text(content)).send(s); !g.is(200, "success") {
				t.Error(g)
			}
			time.Sleep(want)
			synctest.Wait()
			row := rows(t, st)[0]
			if row.State != store.Failed || row.Delivery != store.Late || row.FinishedAt.Sub(began) != want {
				t.Errorf("%s: %v after %v, delivery %v", content, row.State, row.FinishedAt.Sub(began), row.Delivery)
			}
		}
	})
}

// An answer after `success` goes out by the API, and no later push gets it.
func TestLateResult(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := newWitness(8 * time.Second)
		a := account(callback.Safe, h)
		api := verify(&a)
		s, st := one(t, a)
		w := pack(a, text("x"))
		if g := w.sendCut(s); !g.is(200, "success") || g.took != 4500*time.Millisecond {
			t.Error(g)
		}
		if g := w.sendCut(s); !g.is(200, "success") || g.took != 0 {
			t.Errorf("a push between: %v", g)
		}
		time.Sleep(10 * time.Second)
		if row := only(t, st); row.State != store.Answered || row.Delivery != store.Sent || row.Reply == "" {
			t.Errorf("%v, %v", row.State, row.Delivery)
		}
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: x"}) {
			t.Errorf("the API has sent %q", got)
		}
		if g := w.sendCut(s); !g.is(200, "success") {
			t.Errorf("a push after it: %v", g)
		}
	})
}

// A Pure route owes no start mark, and everything else.
func TestPure(t *testing.T) {
	t.Parallel()
	for _, handler := range []time.Duration{0, 900 * time.Millisecond, 1100 * time.Millisecond, 3 * time.Second, 6 * time.Second} {
		t.Run(handler.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := newWitness(handler)
				r := echostr.NewRouter()
				echostr.On(r, func(ctx context.Context, m echostr.Message) (echostr.Reply, error) { return h.Handle(ctx, m) }).Pure()
				a := account(callback.Plain, r)
				verify(&a)
				st := &faulty{Store: memory.New(memory.Config{})}
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
				w := pack(a, text("x"))
				done := make(chan got, 1)
				go func() { done <- w.sendCut(s) }()
				time.Sleep(min(handler, time.Second) - time.Millisecond)
				synctest.Wait()
				if n := len(rows(t, st)); n != 0 && handler > 0 {
					t.Errorf("%d rows before it had to be accepted", n)
				}
				time.Sleep(2 * time.Millisecond)
				synctest.Wait()
				if n := len(rows(t, st)); n != 1 {
					t.Errorf("%d rows when it has to be accepted", n)
				}
				second := w.sendCut(s)
				first := <-done
				claims := st.count("Claim")
				if handler > 4500*time.Millisecond {
					if !first.is(200, "success") || !second.is(200, "success") {
						t.Errorf("%v, %v", first, second)
					}
				} else if first.status != 200 || first.body == "success" || first.body != second.body {
					t.Errorf("%v, %v", first, second)
				}
				time.Sleep(10 * time.Second)
				if starts, _ := h.total(); starts != 1 || claims != 1 {
					t.Errorf("%d starts, %d claims", starts, claims)
				}
				if row := only(t, st); row.State != store.Answered || !row.Pure || row.Seen != 2 {
					t.Errorf("%v, pure %v, seen %d", row.State, row.Pure, row.Seen)
				}
			})
		})
	}
}

// Not even for a Pure route is a 200 given before the row is there.
func TestPureAndStoreDown(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := newWitness(0)
		r := echostr.NewRouter()
		echostr.On(r, func(ctx context.Context, m echostr.Message) (echostr.Reply, error) { return h.Handle(ctx, m) }).Pure()
		a := account(callback.Plain, r)
		st := &faulty{Store: memory.New(memory.Config{})}
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
		st.fail(before)
		w := pack(a, text("x"))
		if g := w.sendCut(s); !g.cut {
			t.Errorf("acknowledged without a row: %v", g)
		}
		st.fail(works)
		if g := w.sendCut(s); g.status != 200 || parseReply(t, g.body).Content != "re: x" {
			t.Error(g)
		}
		if starts, _ := h.total(); starts != 1 {
			t.Errorf("%d starts", starts)
		}
	})
}

// Pushes beyond MaxWaiting are closed at once, and the others are not harmed.
func TestMaxWaiting(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := newWitness(4 * time.Second)
		a := account(callback.Plain, h)
		st := memory.New(memory.Config{})
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, MaxWaiting: 10})
		var all sync.WaitGroup
		var answered, closed atomic.Int64
		for range 25 {
			all.Go(func() {
				switch g := pack(a, text("x")).sendCut(s); {
				case g.aborted && g.took == 0:
					closed.Add(1)
				case g.status == 200 && g.took == 4*time.Second:
					answered.Add(1)
				default:
					t.Error(g)
				}
			})
		}
		all.Wait()
		if answered.Load() != 10 || closed.Load() != 15 || len(rows(t, st)) != 10 {
			t.Errorf("%d answered, %d closed, %d rows", answered.Load(), closed.Load(), len(rows(t, st)))
		}
		if g := pack(a, text("x")).sendCut(s); g.status != 200 {
			t.Errorf("when there is room again: %v", g)
		}
		if n := s.Stats(); n.Waiting != 0 || n.Refused["demo"]["overloaded"] != 15 {
			t.Errorf("%d wait, refused %v", n.Waiting, n.Refused)
		}
	})
}

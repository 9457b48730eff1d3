package callback_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// crowd has so many users ask the same at the same time, and returns what they see.
func crowd(t *testing.T, server *callback.Server, a callback.Account, users int, question string) []seen {
	t.Helper()
	got := make([]seen, users)
	var all sync.WaitGroup
	for i := range users {
		p := newPhone(t, server, a)
		p.user = fmt.Sprint("oUser", i)
		document := textFrom(p.user, time.Now().Unix(), question)
		all.Go(func() { got[i] = p.do(document) })
	}
	all.Wait()
	return got
}

// An account holds so many pushes within five minutes and no more. What is beyond takes the next way at once.
func TestHoldBudget(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		budget, users, held int
		denied              uint64
		late                callback.Late
	}{
		{3, 5, 3, 5, callback.LateTicket}, // two on their first push, and three on their second
		{3, 5, 3, 5, callback.LateHold},
		{4, 2, 4, 0, callback.LateTicket}, // both to their third push
		{0, 70, 60, 70, callback.LateTicket},
		{-1, 70, 140, 0, callback.LateTicket},
	} {
		t.Run(fmt.Sprintf("%d of %d/%s", test.budget, test.users, lateNames[test.late]), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(bot)
				a := patient(callback.Plain, h)
				a.HoldBudget, a.Late = test.budget, test.late
				api := new(fakeAPI)
				if test.late != callback.LateTicket {
					a.API = api
				}
				server, _ := one(t, a)
				for round := range 2 {
					by := map[int]int{}
					for _, g := range crowd(t, server, a, test.users, "20s") {
						by[g.pushes]++
						want := "text"
						if test.late == callback.LateHold {
							want = "success"
						}
						if at := time.Duration(g.pushes-1)*5*time.Second + 4500*time.Millisecond; g.kind != want || (g.after-at).Abs() > 20*time.Millisecond {
							t.Errorf("a user sees %v", g)
						}
					}
					stats := server.Stats()
					if n := uint64(test.held * (round + 1)); stats.Held != n || stats.HoldsDenied != test.denied*uint64(round+1) {
						t.Errorf("round %d: %d pushes were held, and %d not, want %d and %d", round, stats.Held, stats.HoldsDenied, n, test.denied*uint64(round+1))
					}
					if n := test.users - test.held; n > 0 && by[1] != n {
						t.Errorf("the users were answered on pushes %v", by)
					}
					time.Sleep(5 * time.Minute)
					if n := len(api.all()); test.late == callback.LateHold && n != test.users*(round+1) {
						t.Errorf("the API has sent %d answers", n)
					}
				}
				if n := h.all(); n != 2*test.users {
					t.Errorf("%d starts", n)
				}
			})
		})
	}
}

// A proxy in front keeps WeChat's retries away. When three in a row have not come, nothing is held for ten
// minutes, and the operator is told once.
func TestRetriesDoNotCome(t *testing.T) {
	t.Parallel()
	for _, late := range []callback.Late{callback.LateHold, callback.LateTicket} {
		t.Run(lateNames[late], func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(bot)
				a := patient(callback.Plain, h)
				api := new(fakeAPI)
				if a.Late = late; late == callback.LateHold {
					a.API = api
				}
				lines, st := new(log), memory.New(memory.Config{})
				server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: lines.logger(slog.LevelInfo)})
				n := 0
				push := func() got { // once, and never again
					n++
					g := pack(a, textFrom(fmt.Sprint("oUser", n), time.Now().Unix(), "20s")).sendCut(server)
					time.Sleep(20 * time.Second)
					return g
				}
				comes := func() { // all of them
					n++
					p := newPhone(t, server, a)
					p.user, p.gap = fmt.Sprint("oUser", n), 50*time.Millisecond
					if g := p.says("12s"); g.pushes != 3 || g.text != "re: 12s" {
						t.Errorf("the user sees %v", g)
					}
					time.Sleep(10 * time.Second)
				}
				warned := func(want int) {
					t.Helper()
					if got := lines.lines(t); len(got) != want || want > 0 && (got[0]["level"] != "WARN" || got[0]["account"] != a.Name || !strings.Contains(fmt.Sprint(got[0]["hint"]), "proxy")) {
						t.Errorf("%d lines in the log, want %d: %v", len(got), want, got)
					}
				}
				held := func(want bool) {
					t.Helper()
					switch g := push(); {
					case want:
						if !g.cut {
							t.Errorf("a push got %v, want it held", g)
						}
					case late == callback.LateHold:
						if !g.is(200, "success") || g.took != 4500*time.Millisecond {
							t.Errorf("a push got %v, want success", g)
						}
					default:
						if g.status != 200 || len(linksIn(g.body)) != 1 || g.took != 4500*time.Millisecond {
							t.Errorf("a push got %v, want the placeholder", g)
						}
					}
				}
				held(true)
				held(true)
				comes() // so they are not in a row
				held(true)
				held(true)
				warned(0)
				held(true) // the third
				warned(1)
				began := time.Now()
				for range 3 {
					held(false)
				}
				warned(1)
				time.Sleep(time.Until(began.Add(10 * time.Minute)))
				held(true) // it is tried again, and does not come
				warned(2)
				held(false)
				time.Sleep(10 * time.Minute)
				comes() // now it does
				for range 3 {
					held(true)
				}
				warned(3)
				held(false)
				if s := server.Stats(); s.NoRetry != 5+1+3 || s.HoldsDenied != 3+1+1 {
					t.Errorf("%d retries did not come, %d pushes were not held", s.NoRetry, s.HoldsDenied)
				}
				time.Sleep(time.Minute)
				if late == callback.LateHold && len(api.all()) != n-2 {
					t.Errorf("the API has sent %d answers, want %d", len(api.all()), n-2)
				}
				for _, row := range rows(t, st) {
					if late == callback.LateTicket && strings.Contains(row.Body, "20s") && row.Delivery != store.Ticket {
						t.Errorf("%v, %q", row.Delivery, row.Reason)
					}
				}
				if h.all() != n {
					t.Errorf("%d starts of %d messages", h.all(), n)
				}
			})
		})
	}
}

// A retry that comes before the end of the push that was held is noticed, or to another node, has come.
func TestRetriesComeOddly(t *testing.T) {
	t.Parallel()
	t.Run("before the cut", func(t *testing.T) {
		t.Parallel()
		for _, handler := range []string{"4900ms", "7s", "30s"} {
			in2026(t, func(t *testing.T) {
				h := new(bot)
				a := patient(callback.Plain, h)
				server, _ := one(t, a)
				for i := range 5 {
					w := pack(a, textFrom(fmt.Sprint("oUser", i), time.Now().Unix(), handler))
					var first sync.WaitGroup
					first.Go(func() { w.sendCut(server) })
					time.Sleep(4990 * time.Millisecond) // a proxy has hung up, and is slow to say so
					ctx, cut := context.WithTimeout(t.Context(), 4*time.Second)
					w.sendContext(ctx, server)
					cut()
					first.Wait()
					time.Sleep(20 * time.Second)
				}
				if n := server.Stats().NoRetry; n != 0 {
					t.Errorf("%s: %d retries are said not to have come", handler, n)
				}
			})
		}
	})
	t.Run("to another node", func(t *testing.T) {
		t.Parallel()
		in2026(t, func(t *testing.T) {
			h := new(bot)
			a := patient(callback.Safe, h)
			c := newCluster(t, a, 2)
			for i := range 8 {
				w := pack(a, textFrom(fmt.Sprint("oUser", i), time.Now().Unix(), []string{"7s", "12s"}[i%2]))
				for push := range 3 {
					if g := w.sendCut(c.nodes[(i+push)%2]); g.status == 200 {
						if push != 1+i%2 {
							t.Errorf("message %d is answered on push %d", i, push+1)
						}
						break
					}
				}
				time.Sleep(20 * time.Second)
			}
			for i, node := range c.nodes {
				if n := node.Stats().NoRetry; n != 0 {
					t.Errorf("node %d: %d retries are said not to have come", i, n)
				}
			}
		})
	})
	t.Run("a held push is answered", func(t *testing.T) {
		t.Parallel()
		in2026(t, func(t *testing.T) {
			a := patient(callback.Plain, new(bot))
			server, _ := one(t, a)
			for i := range 5 {
				p := newPhone(t, server, a)
				p.user = fmt.Sprint("oUser", i)
				if g := p.says("4700ms"); g.pushes != 1 || g.text != "re: 4700ms" {
					t.Errorf("the user sees %v", g)
				}
			}
			time.Sleep(time.Minute)
			if s := server.Stats(); s.NoRetry != 0 || s.Held != 5 {
				t.Errorf("%d held, %d retries did not come", s.Held, s.NoRetry)
			}
		})
	})
}

// What is written so far is shown by a push that is answered, and not taken for shown by one that is held: what
// waits for the user still goes ahead of the answer.
func TestDraftOfAHeldPush(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := writes(7, func(i int) string { return fmt.Sprintf("第%d句。", i) }, func(s string) string { return s })
		a := patient(callback.Plain, h)
		server, _ := one(t, a)
		p := newPhone(t, server, a)
		ctx, cut := context.WithTimeout(t.Context(), time.Second)
		pack(a, text("lost")).sendContext(ctx, server)
		cut()
		time.Sleep(time.Minute)
		if g := p.says("x"); g.pushes != 2 || !strings.HasPrefix(g.text, "您之前问“lost”") || !strings.HasSuffix(g.text, "第6句。") {
			t.Errorf("the user sees %v", g)
		}
	})
}

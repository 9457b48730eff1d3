package callback_test

import (
	"context"
	"fmt"
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

// personal reports whether anything of a user is left in a row.
func personal(row store.Turn) bool {
	return row.OpenID+row.Body+row.Reply+row.Event+row.MsgType+row.Reason != ""
}

// P10: what a user has sent is gone when the unsubscribe event has been
// handled; other users and what the user sends later are not touched, and a replay
// of what is erased starts nothing.
func TestEraseOnUnsubscribe(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		for _, pure := range []bool{false, true} {
			for _, mode := range modes {
				t.Run(fmt.Sprintf("keep=%v/pure=%v/%v", keep, pure, mode), func(t *testing.T) {
					t.Parallel()
					in2026(t, func(t *testing.T) {
						const other = "oOther"
						h := new(counted)
						r := echostr.NewRouter()
						route := echostr.On(r, func(ctx context.Context, m echostr.Message) (echostr.Reply, error) { return h.Handle(ctx, m) })
						if pure {
							route.Pure()
						}
						a := account(mode, r)
						a.KeepUnsubscribed = keep
						st := &faulty{Store: memory.New(memory.Config{})}
						s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
						send := func(document string) wire {
							t.Helper()
							w := pack(a, document)
							if g := w.sendCut(s); g.status != 200 {
								t.Fatal(g)
							}
							time.Sleep(2 * time.Second)
							return w
						}
						asked := send(text("秘密"))
						send(event(testUser, "CLICK", "秘密"))
						send(textFrom(other, time.Now().Unix(), "x"))
						unsubscribed := pack(a, event(testUser, "unsubscribe", ""))
						st.failOnly("Erase", 2, either) // it is asked for again
						for range 2 {
							if g := unsubscribed.sendCut(s); !g.is(200, "success") {
								t.Errorf("unsubscribe: %v", g)
							}
						}
						time.Sleep(2 * time.Second)
						send(event(testUser, "subscribe", ""))
						synctest.Wait()

						list := rows(t, st)
						if len(list) != 5 {
							t.Fatalf("%d rows", len(list))
						}
						for i, want := range []bool{true, keep, true, keep, keep} { // youngest first
							if got := personal(list[i]); got != want {
								t.Errorf("row %d: personal %v, want %v: %+v", i, got, want, list[i])
							}
						}
						for i, row := range list {
							for _, p := range row.Pushes {
								if p.Got == store.Open {
									t.Errorf("row %d: what push %d got is not recorded", i, p.Number)
								}
							}
						}
						starts := h.n.Load()
						for _, w := range []wire{asked, unsubscribed} {
							if g := w.sendCut(s); g.status != 200 || !keep && g.body != "success" {
								t.Errorf("a replay: %v", g)
							}
						}
						if h.n.Load() != starts || starts != 5 {
							t.Errorf("%d starts, %d after replays", starts, h.n.Load())
						}
						if n := len(rows(t, st)); n != 5 {
							t.Errorf("%d rows after replays", n)
						}
					})
				})
			}
		}
	}
}

// What runs while its user is erased ends without an answer.
func TestEraseWhileRunning(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		r := echostr.NewRouter()
		echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
			time.Sleep(3 * time.Second)
			return echostr.Text("re: " + m.Content), nil
		})
		a := account(callback.Plain, r)
		s, st := one(t, a)
		done := make(chan got, 1)
		go func() { done <- pack(a, text("x")).sendCut(s) }()
		time.Sleep(time.Second)
		if g := pack(a, event(testUser, "unsubscribe", "")).sendCut(s); !g.is(200, "success") {
			t.Error(g)
		}
		if g := <-done; !g.is(200, "success") {
			t.Errorf("the message of the erased user: %v", g)
		}
		time.Sleep(5 * time.Second) // a handler that heeds nothing comes to its end
		for _, row := range rows(t, st) {
			if personal(row) || row.State != store.Erased {
				t.Errorf("left: %+v", row)
			}
		}
	})
}

// P10: nothing personal is put into the store after the erasure of what was under way
// then, and what comes after it is not touched.
func TestEraseUnderWay(t *testing.T) {
	t.Parallel()
	const erasure = 300 * time.Millisecond // after the message
	unsubscribe := func(s *callback.Server, a callback.Account) error {
		if g := pack(a, event(testUser, "unsubscribe", "")).sendCut(s); !g.is(200, "success") {
			return fmt.Errorf("unsubscribe got %v", g)
		}
		return nil
	}
	operator := func(account string) func(*callback.Server, callback.Account) error {
		return func(s *callback.Server, _ callback.Account) error {
			_, err := s.Erase(context.Background(), account, testUser)
			return err
		}
	}
	for _, test := range []struct {
		name    string
		pure    bool
		handler time.Duration
		fault   fault // of the claim of the message
		faults  int
		full    bool          // as many handlers run as may
		slow    time.Duration // how long that claim takes, and no other
		erase   func(*callback.Server, callback.Account) error
		starts  int64
	}{
		{name: "a Pure handler runs", pure: true, handler: 800 * time.Millisecond, erase: unsubscribe, starts: 1},
		{name: "a Pure handler runs on", pure: true, handler: 3 * time.Second, erase: unsubscribe, starts: 1},
		{name: "a Pure handler runs, an operator erases", pure: true, handler: 800 * time.Millisecond, erase: operator(""), starts: 1},
		{name: "a Pure handler runs, an operator erases from the account", pure: true, handler: 800 * time.Millisecond, erase: operator("demo"), starts: 1},
		{name: "the store is down for it", fault: before, faults: 9, erase: unsubscribe},
		{name: "it is stored, and nobody was told", fault: after, faults: 9, erase: unsubscribe},
		{name: "the result of a Pure handler waits for the store", pure: true, handler: time.Millisecond, fault: before, faults: 9, erase: unsubscribe, starts: 1},
		{name: "so does what is stored, and nobody was told", pure: true, handler: time.Millisecond, fault: after, faults: 9, erase: unsubscribe, starts: 1},
		{name: "there is no room for its handler", full: true, erase: operator("")},
		{name: "its claim is under way", slow: time.Second, erase: unsubscribe},
		{name: "its claim is under way, an operator erases", slow: time.Second, erase: operator("")},
		{name: "the result of a Pure handler is on its way", pure: true, handler: time.Millisecond, slow: time.Second, erase: unsubscribe, starts: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				var starts atomic.Int64
				r := echostr.NewRouter()
				route := echostr.On(r, func(_ context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
					if m.Content == "秘密" {
						starts.Add(1)
						time.Sleep(test.handler)
					}
					return echostr.Text("re: " + m.Content), nil
				})
				if test.pure {
					route.Pure()
				}
				echostr.On(r, func(context.Context, *echostr.ClickEvent) (echostr.Reply, error) {
					time.Sleep(time.Second)
					return nil, nil
				})
				a := account(callback.Plain, r)
				mem := memory.New(memory.Config{})
				st := &picky{Store: mem, fault: test.fault, times: test.faults, slow: test.slow}
				cfg := callback.Config{Accounts: []callback.Account{a}, Store: st}
				if test.full {
					cfg.MaxRunning = 1
				}
				s := start(t, cfg)
				if test.full {
					go pack(a, event("oOther", "CLICK", "k")).sendCut(s)
					time.Sleep(time.Millisecond)
				}
				w := pack(a, text("秘密"))
				st.document.Store(&w.document)
				done := make(chan got, 1)
				go func() { done <- w.sendCut(s) }()
				time.Sleep(erasure)
				if err := test.erase(s, a); err != nil {
					t.Error(err)
				}
				// The user comes back at once. A claim that is under way is in the store before.
				time.Sleep(test.slow)
				if g := pack(a, text("wieder da")).sendCut(s); !test.full && (g.status != 200 || parseReply(t, g.body).Content != "re: wieder da") {
					t.Errorf("what comes after the erasure got %v", g)
				}
				if g := <-done; !g.is(200, "success") {
					t.Errorf("the message got %v", g)
				}
				if g := w.sendCut(s); !g.is(200, "success") {
					t.Errorf("its replay got %v", g)
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				left := 0
				for _, row := range rows(t, mem) {
					switch {
					case row.OpenID == "oOther":
					case strings.Contains(row.Body, "wieder da"):
						left++
					case personal(row) || row.State != store.Erased:
						t.Errorf("left: %+v", row)
					}
				}
				if left != 1 || starts.Load() != test.starts {
					t.Errorf("%d rows of what came after, %d starts", left, starts.Load())
				}
				if n := s.Stats(); n.Running != 0 || n.Waiting != 0 {
					t.Errorf("%d run, %d wait", n.Running, n.Waiting)
				}
			})
		})
	}
}

// picky is a store in which the claims of one document fail, or take their time.
type picky struct {
	store.Store
	document atomic.Pointer[string]
	fault    fault
	slow     time.Duration

	mu    sync.Mutex
	times int
}

func (s *picky) Claim(ctx context.Context, ops []store.Op) error {
	if d := s.document.Load(); d == nil || ops[0].Turn.Body != *d {
		return s.Store.Claim(ctx, ops)
	}
	s.mu.Lock()
	fails := s.times > 0
	s.times--
	s.mu.Unlock()
	if fails && s.fault == before {
		return store.ErrUnavailable
	}
	time.Sleep(s.slow)
	mine := slices.Clone(ops)
	err := s.Store.Claim(ctx, mine)
	if fails {
		return store.ErrUnavailable
	}
	copy(ops, mine)
	return err
}

// P10: so is what a user has sent who withdraws an authorisation or closes the WeChat
// account, whatever is set for unsubscribing. The event names the user in OpenID; whom
// FromUserName means is another matter.
func TestEraseOnWithdrawal(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"user_authorization_revoke", "user_authorization_cancellation", "USER_AUTHORIZATION_REVOKE", "user_info_modified"} {
		for _, openID := range []string{testUser, ""} {
			for _, mode := range modes {
				t.Run(fmt.Sprintf("%s/%s/%v", name, openID, mode), func(t *testing.T) {
					t.Parallel()
					in2026(t, func(t *testing.T) {
						const other = "oOther"
						a := account(mode, new(counted))
						a.KeepUnsubscribed = true
						s, st := one(t, a)
						pack(a, text("秘密")).sendCut(s)
						time.Sleep(2 * time.Second)
						pack(a, textFrom(other, time.Now().Unix(), "x")).sendCut(s)
						time.Sleep(2 * time.Second)
						about := fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime><MsgType>event</MsgType>"+
							"<Event>%s</Event><OpenID>%s</OpenID><AppID>%s</AppID><RevokeInfo>205</RevokeInfo></xml>", testOriginal, other, time.Now().Unix(), name, openID, testAppID)
						w := pack(a, about)
						for range 2 {
							if g := w.sendCut(s); !g.is(200, "success") {
								t.Error(g)
							}
						}
						synctest.Wait()
						erased := openID != "" && name != "user_info_modified"
						list := rows(t, st)
						if len(list) != 3 {
							t.Fatalf("%d rows", len(list))
						}
						for i, want := range []bool{!erased, true, !erased} { // youngest first
							if personal(list[i]) != want {
								t.Errorf("row %d: want personal %v: %+v", i, want, list[i])
							}
						}
					})
				})
			}
		}
	}
}

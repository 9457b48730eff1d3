package callback_test

import (
	"context"
	"fmt"
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
		for _, row := range rows(t, st) {
			if personal(row) || row.State != store.Erased {
				t.Errorf("left: %+v", row)
			}
		}
	})
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

package callback_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// restored is a store that was restored from a backup.
type restored struct {
	store.Store
	notBefore time.Time
}

func (s *restored) Installation(ctx context.Context) (store.Installation, error) {
	inst, err := s.Store.Installation(ctx)
	inst.NotBefore = s.notBefore
	return inst, err
}

// Of a message that is older than the backup and not in it nobody knows whether it
// was handled: it is not started. P7, R-TIME-RESTORED
func TestRestored(t *testing.T) {
	t.Parallel()
	for _, pure := range []bool{false, true} {
		for _, mode := range modes {
			t.Run(fmt.Sprintf("pure=%v/%v", pure, mode), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					var starts atomic.Int64
					r := echostr.NewRouter()
					route := echostr.On(r, func(_ context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
						starts.Add(1)
						return echostr.Text("re: " + m.Content), nil
					})
					if pure {
						route.Pure()
					}
					a := account(mode, r)
					st := &faulty{Store: memory.New(memory.Config{})}
					old := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "n"})
					known := pack(a, text("known"))
					want := known.sendCut(old)
					time.Sleep(3 * time.Second)
					lost := pack(a, text("lost")) // handled after the backup
					time.Sleep(time.Second)
					backup := time.Now()
					s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: &restored{st, backup}, NodeID: "n"})
					n := starts.Load()
					for range 2 {
						if g := lost.sendCut(s); !g.is(200, "success") {
							t.Errorf("what may have been handled: %v", g)
						}
					}
					synctest.Wait()
					if len(rows(t, st)) != 1 || starts.Load() != n || s.Stats().Replays != 2 || s.Stats().Retries != 0 {
						t.Errorf("%d rows, %d starts, %+v", len(rows(t, st)), starts.Load()-n, s.Stats())
					}
					// What is in the store behaves as ever.
					if g := known.sendCut(s); g.status != 200 || read(t, a, g.body) != read(t, a, want.body) {
						t.Errorf("what is in the store: %v", g)
					}
					// So does what is young enough, and what says no time of its own.
					time.Sleep(time.Second)
					if g := pack(a, text("y")).sendCut(s); g.status != 200 || parseReply(t, read(t, a, g.body)).Content != "re: y" {
						t.Errorf("a new message: %v", g)
					}
					timeless := "<xml><ToUserName>" + testOriginal + "</ToUserName><FromUserName>" + testUser + "</FromUserName><MsgType>text</MsgType><Content>z</Content></xml>"
					if g := pack(a, timeless).sendCut(s); g.status != 200 || parseReply(t, read(t, a, g.body)).Content != "re: z" {
						t.Errorf("a message without a time: %v", g)
					}
					if list := rows(t, st); len(list) != 3 || starts.Load() != n+2 {
						t.Errorf("%d rows, %d starts", len(list), starts.Load()-n)
					}
					// A store that cannot say is waited for.
					st.fail(before)
					if g := lost.sendCut(s); !g.cut {
						t.Errorf("while the store is down: %v", g)
					}
					time.AfterFunc(2*time.Second, func() { st.fail(works) })
					if g := lost.sendCut(s); !g.is(200, "success") || g.took < 2*time.Second || g.took > 2300*time.Millisecond {
						t.Errorf("when the store comes back: %v", g)
					}
					if len(rows(t, st)) != 3 || starts.Load() != n+2 {
						t.Errorf("%d rows, %d starts after the outage", len(rows(t, st)), starts.Load()-n)
					}
				})
			})
		}
	}
}

package callback_test

import (
	"context"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store/memory"
)

// A store that takes its time must not make a push be answered later than P5 says: what
// is late is left to WeChat's retry, which gets the same. Nor may it make a push be
// taken for a later one, which would lose the reply.
func TestAnswersInTimeWithASlowStore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		slow     time.Duration // every write
		handler  time.Duration
		verified bool
		want     []string // what the pushes get
	}{
		{"the claim and the result", 2400 * time.Millisecond, 0, true, []string{"cut", "reply"}},
		{"the claim", 4700 * time.Millisecond, 0, true, []string{"cut", "reply"}},
		{"the claim and the result, hold", 2400 * time.Millisecond, 0, false, []string{"cut", "reply"}},
		{"the claim, hold", 6 * time.Second, 0, false, []string{"cut", "cut", "reply"}},
		{"in time", time.Second, time.Second, true, []string{"reply"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in2026(t, func(t *testing.T) {
				a := account(callback.Plain, newWitness(test.handler))
				if test.verified {
					verify(&a)
				}
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: &faulty{Store: memory.New(memory.Config{}), slow: test.slow}})
				w := pack(a, text("x"))
				for i, want := range test.want {
					g := w.sendCut(s)
					what := "success"
					switch {
					case g.cut:
						what = "cut"
					case g.body != "success":
						what = "reply"
					}
					if what != want {
						t.Errorf("I7: push %d got %s after %v, want %s", i+1, what, g.took, want)
					}
					if !g.cut && g.took > 4600*time.Millisecond {
						t.Errorf("I7: push %d was answered after %v", i+1, g.took)
					}
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// Which push it is depends on when it came, not on when the store had time for it.
func TestPushNumberWithASlowStore(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, newWitness(3*time.Second))
		st := &faulty{Store: memory.New(memory.Config{}), slow: 9500 * time.Millisecond}
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
		time.AfterFunc(9*time.Second, func() { st.slowDown(0) })
		w := pack(a, text("x"))
		for push := range 2 {
			if g := w.sendCut(s); !g.cut {
				t.Errorf("push %d got %v", push+1, g)
			}
		}
		if g := w.sendCut(s); g.body == "success" || g.cut {
			t.Errorf("push 3 got %v, want the reply", g)
		}
	})
}

// A handler of a Pure route that runs on beyond the time to accept it is counted once.
func TestRunningPureHandlers(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		r := echostr.NewRouter()
		h := newWitness(2 * time.Second)
		echostr.On(r, func(ctx context.Context, m echostr.Message) (echostr.Reply, error) { return h.Handle(ctx, m) }).Pure()
		s := start(t, callback.Config{Accounts: []callback.Account{account(callback.Plain, r)}})
		for range 3 {
			pack(account(callback.Plain, r), text("x")).sendCut(s)
		}
		if n := s.Stats().Running; n != 0 {
			t.Errorf("%d handlers run when all have returned", n)
		}
	})
}

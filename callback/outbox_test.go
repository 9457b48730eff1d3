package callback_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// downAPI is an API that can be down, and takes this long to say so.
type downAPI struct {
	*fakeAPI
	down   atomic.Bool
	refuse atomic.Bool // it takes nothing, for good
	slow   atomic.Int64

	mu    sync.Mutex
	now   int         // requests under way
	most  int         // the most there were
	tries []time.Time // of those that were in vain
}

func newDownAPI(a *callback.Account) *downAPI {
	o := &downAPI{fakeAPI: verify(a)}
	o.fate = func(int, sent) callback.Sending {
		o.mu.Lock()
		o.now++
		o.most = max(o.most, o.now)
		o.mu.Unlock()
		time.Sleep(time.Duration(o.slow.Load()))
		o.mu.Lock()
		defer o.mu.Unlock()
		o.now--
		if o.down.Load() {
			o.tries = append(o.tries, time.Now())
			return callback.Sending{Fate: callback.SendLater, Reason: "down"}
		}
		if o.refuse.Load() {
			return callback.Sending{Fate: callback.SendRefused, Reason: "refused"}
		}
		return callback.Sending{Fate: callback.SendDone}
	}
	return o
}

func (o *downAPI) inVain() []time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.tries)
}

// crowded reports whether two messages were on their way to one user at the same time.
func (f *fakeAPI) crowded() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crowd
}

// tell pushes a message whose answer goes out by the API.
func tell(t testing.TB, s http.Handler, a callback.Account, user, content string) {
	t.Helper()
	p := newPhone(t, s, a)
	p.user = user
	if g := p.says(content); g.kind != "success" || g.pushes != 1 {
		t.Errorf("%q: the user sees %v, want success", content, g)
	}
}

// tellAll has users push messages at nearly the same time, before the API is asked because of any of them: while it is
// known to be down, users see something else. The handler must take 6 s or more.
func tellAll(t testing.TB, s http.Handler, a callback.Account, users []string, contents ...string) {
	t.Helper()
	var all sync.WaitGroup
	for _, user := range users {
		for _, content := range contents {
			all.Go(func() { tell(t, s, a, user, content) })
			time.Sleep(100 * time.Millisecond)
		}
	}
	all.Wait()
}

// Answers of one user go out one after the other, in the order in which they are ready; those of different
// users at the same time, up to 32 of an account.
func TestOutboxOrder(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		a := patient(callback.Plain, h)
		api := newDownAPI(&a)
		api.slow.Store(int64(2 * time.Second))
		server, _ := one(t, a)
		users := 40
		var all sync.WaitGroup
		for u := range users {
			for i := range 4 {
				// The first is ready last.
				content := fmt.Sprintf("%ds of %d", 20-i, u)
				all.Go(func() { tell(t, server, a, fmt.Sprint("oUser", u), content) })
			}
		}
		all.Wait()
		time.Sleep(16 * time.Second)
		if n := server.Stats().Outbox; n == 0 || n > int64(4*users) {
			t.Errorf("%d answers wait", n)
		}
		time.Sleep(time.Minute)
		for u := range users {
			var want []string
			for i := range 4 {
				want = append(want, fmt.Sprintf("re: %ds of %d", 17+i, u))
			}
			if got := api.texts(fmt.Sprint("oUser", u)); !slices.Equal(got, want) {
				t.Errorf("user %d gets %q", u, got)
			}
		}
		if api.crowded() {
			t.Error("two messages were on their way to one user")
		}
		api.mu.Lock()
		if api.most != 32 {
			t.Errorf("%d messages were on their way at the same time, want 32", api.most)
		}
		api.mu.Unlock()
		stats := server.Stats()
		if stats.Outbox != 0 || stats.OutboxAge != 0 || stats.Sends["done"] != uint64(4*users) || stats.Late != uint64(4*users) {
			t.Errorf("%d wait, %v were sent, %d were late", stats.Outbox, stats.Sends, stats.Late)
		}
		if n := h.all(); n != 4*users {
			t.Errorf("%d starts", n)
		}
	})
}

// What the API has said of a message may take its time to be saved: meanwhile the next one of another user goes, and
// still no more than 32 are on their way.
func TestOutboxGoesOnWhileItSaves(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := patient(callback.Plain, new(bot))
		api := newDownAPI(&a)
		api.slow.Store(int64(time.Second))
		st := &faulty{Store: memory.New(memory.Config{})}
		server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
		const users = 96
		var all sync.WaitGroup
		for u := range users {
			all.Go(func() { tell(t, server, a, fmt.Sprint("oUser", u), "20s") })
		}
		all.Wait()
		st.slowDown(time.Second)
		time.Sleep(time.Minute)
		sent := api.all()
		if len(sent) != users {
			t.Fatalf("%d of %d were sent", len(sent), users)
		}
		// Thrice 32, each of them a second to be marked and a second on its way.
		if took := sent[users-1].at.Sub(sent[0].at); took != 4*time.Second {
			t.Errorf("the last one was sent %v after the first, want 4 s", took)
		}
		api.mu.Lock()
		defer api.mu.Unlock()
		if api.most != 32 {
			t.Errorf("%d messages were on their way at the same time, want 32", api.most)
		}
	})
}

// While the API is down, a message is tried again after pauses that grow to five minutes, and one for the
// account at a time. Answers on pushes are not affected. When it is back, all go out.
func TestOutboxBacksOff(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		a := patient(callback.Plain, h)
		api := newDownAPI(&a)
		api.down.Store(true)
		api.slow.Store(int64(100 * time.Millisecond))
		server, st := one(t, a)
		const users = 50
		var all sync.WaitGroup
		for u := range users {
			for i := range 2 {
				content := fmt.Sprintf("%ds of %d", 5+i, u)
				all.Go(func() { tell(t, server, a, fmt.Sprint("oUser", u), content) })
			}
		}
		all.Wait()
		time.Sleep(5 * time.Second)
		p := newPhone(t, server, a)
		p.user = "oQuick"
		for range 30 {
			time.Sleep(time.Minute)
			if g := p.says("0s"); !g.is("text", "re: 0s", 1, 0) {
				t.Fatalf("an answer that is there at once: %v", g)
			}
		}
		// 32 were under way when it was noticed. Since then there is one at a time, each a while after the one before.
		tries := api.inVain()
		if len(tries) < 50 || len(tries) > 90 {
			t.Errorf("%d requests in half an hour", len(tries))
		}
		pause := time.Duration(0)
		for i := 40; i < len(tries); i++ {
			gap := tries[i].Sub(tries[i-1])
			if gap < pause || gap < time.Second {
				t.Errorf("request %d comes after %v, and the one before after %v", i, gap, pause)
			}
			pause = min(gap, time.Minute)
		}
		if pause < time.Minute {
			t.Errorf("in the end there are %v between requests", pause)
		}
		if stats := server.Stats(); stats.Outbox != 2*users || stats.OutboxAge < 30*60 {
			t.Errorf("%d answers wait, the oldest for %v s", stats.Outbox, stats.OutboxAge)
		}
		api.down.Store(false)
		back := time.Now()
		time.Sleep(10 * time.Minute)
		for u := range users {
			want := []string{fmt.Sprintf("re: 5s of %d", u), fmt.Sprintf("re: 6s of %d", u)}
			if got := api.texts(fmt.Sprint("oUser", u)); !slices.Equal(got, want) {
				t.Errorf("user %d gets %q", u, got)
			}
		}
		for _, m := range api.all() {
			if d := m.at.Sub(back); d > 6*time.Minute {
				t.Errorf("a message goes out %v after the API was back", d)
			}
		}
		for _, row := range rows(t, st) {
			if row.OpenID != "oQuick" && (row.Delivery != store.Sent || row.Reason != "" || row.Way.Tries != 0) {
				t.Errorf("%v, %q, %+v", row.Delivery, row.Reason, row.Way)
			}
		}
		if api.crowded() {
			t.Error("two messages were on their way to one user")
		}
	})
}

// The pause before a message is tried again is at random between nothing and a bound that doubles from one
// second to five minutes, and no shorter than the API asks for.
func TestBackOffOfOneMessage(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 90 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				const messages, tries = 20, 16
				accounts := make([]callback.Account, messages) // of one account the others would wait
				apis := make([]*fakeAPI, messages)
				var mu sync.Mutex
				times := make([][]time.Time, messages)
				for i := range accounts {
					accounts[i] = patient(callback.Plain, new(bot))
					accounts[i].Name, accounts[i].AppID = fmt.Sprint("a", i), fmt.Sprintf("wx%016d", i)
					apis[i] = verify(&accounts[i])
					apis[i].fate = func(n int, _ sent) callback.Sending {
						mu.Lock()
						defer mu.Unlock()
						times[i] = append(times[i], time.Now())
						if n+1 < tries {
							return callback.Sending{Fate: callback.SendLater, After: after}
						}
						return callback.Sending{Fate: callback.SendDone}
					}
				}
				server := start(t, callback.Config{Accounts: accounts, Store: memory.New(memory.Config{})})
				for i := range accounts {
					tell(t, server, accounts[i], testUser, "5s")
				}
				time.Sleep(2 * time.Hour)
				mu.Lock()
				defer mu.Unlock()
				var last, shortest time.Duration
				for i := range accounts {
					if len(times[i]) != tries || len(apis[i].all()) != 1 {
						t.Fatalf("%d requests, %d messages were sent", len(times[i]), len(apis[i].all()))
					}
					for n := 1; n < tries; n++ {
						gap := times[i][n].Sub(times[i][n-1])
						bound := min(time.Second<<(n-1), 5*time.Minute)
						if n >= 5 { // then the account's breaker has a say
							bound = max(bound, min(time.Second<<(n-5), time.Minute))
						}
						if bound = max(bound, after); gap < after-time.Millisecond || gap > bound+time.Second {
							t.Errorf("request %d comes after %v, and at most %v are right", n+1, gap, bound)
						}
						if n >= 10 {
							last += gap
						}
						if n < 5 && gap < time.Second<<(n-1)/2 {
							shortest++
						}
					}
				}
				if mean := last / messages / (tries - 10); mean < 100*time.Second || mean > 220*time.Second {
					t.Errorf("in the end there are %v between requests on average, want some two minutes and a half", mean)
				}
				if after == 0 && (shortest < 10 || shortest > 70) {
					t.Errorf("%d of 80 pauses are in the lower half: they are not at random", shortest)
				}
			})
		})
	}
}

// What becomes of an answer by what the API says.
func TestSendFates(t *testing.T) {
	t.Parallel()
	const hang = -1 // until the time of the request is over
	done, refused, gone, unknown := callback.Sending{Fate: callback.SendDone}, callback.Sending{Fate: callback.SendRefused, Reason: "45015: out of time"},
		callback.Sending{Fate: callback.SendGone, Reason: "43004: not a follower"}, callback.Sending{Fate: callback.SendUnknown, Reason: "the connection broke"}
	later := func(after time.Duration) callback.Sending {
		return callback.Sending{Fate: callback.SendLater, After: after, Reason: "busy"}
	}
	hangs := callback.Sending{Fate: callback.SendUnknown, After: hang, Reason: "no answer"}
	panics := callback.Sending{Fate: 99}
	for _, test := range []struct {
		name      string
		says      []callback.Sending
		drop      bool // DropUnknown
		gaps      []time.Duration
		delivery  store.Delivery
		reason    string
		ambiguous uint64
	}{
		{name: "done", says: []callback.Sending{done}, delivery: store.Sent},
		{name: "later, and how much", says: []callback.Sending{later(40 * time.Second), later(2 * time.Minute), done}, gaps: []time.Duration{40 * time.Second, 2 * time.Minute}, delivery: store.Sent},
		{name: "refused", says: []callback.Sending{refused}, delivery: store.Ticket, reason: refused.Reason},
		{name: "gone", says: []callback.Sending{gone}, delivery: store.Undeliverable, reason: gone.Reason},
		{name: "later and gone", says: []callback.Sending{later(time.Second), gone}, gaps: []time.Duration{time.Second}, delivery: store.Undeliverable, reason: gone.Reason},
		{name: "unknown, then done", says: []callback.Sending{unknown, done}, gaps: []time.Duration{15 * time.Second}, delivery: store.Sent, ambiguous: 1},
		{name: "unknown twice", says: []callback.Sending{unknown, unknown}, gaps: []time.Duration{15 * time.Second}, delivery: store.Assumed, reason: "sent twice, and nobody knows whether it arrived", ambiguous: 2},
		{name: "unknown, then later, then done", says: []callback.Sending{unknown, later(20 * time.Second), done}, gaps: []time.Duration{15 * time.Second, 20 * time.Second}, delivery: store.Sent, ambiguous: 1},
		{name: "unknown, dropped", says: []callback.Sending{unknown}, drop: true, delivery: store.Assumed, reason: "sent, and nobody knows whether it arrived", ambiguous: 1},
		{name: "it hangs, then done", says: []callback.Sending{hangs, done}, gaps: []time.Duration{45 * time.Second}, delivery: store.Sent, ambiguous: 1},
		{name: "it panics, then done", says: []callback.Sending{panics, done}, gaps: []time.Duration{15 * time.Second}, delivery: store.Sent, ambiguous: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(bot)
				a := patient(callback.Plain, h)
				a.DropUnknown = test.drop
				var mu sync.Mutex
				var times []time.Time
				api := &scripted{fakeAPI: new(fakeAPI), says: func(ctx context.Context) callback.Sending {
					mu.Lock()
					times = append(times, time.Now())
					n := min(len(times), len(test.says)) - 1
					mu.Unlock()
					switch s := test.says[n]; {
					case s.Fate == 99:
						panic("the API panics")
					case s.After == hang:
						<-ctx.Done()
						return s
					default:
						return s
					}
				}}
				a.API = api
				server, st := one(t, a)
				tell(t, server, a, testUser, "5s")
				time.Sleep(20 * time.Minute)
				mu.Lock()
				defer mu.Unlock()
				if len(times) != len(test.says) {
					t.Fatalf("%d requests, want %d", len(times), len(test.says))
				}
				for i, want := range test.gaps {
					if gap := times[i+1].Sub(times[i]); gap < want || gap > want+2*time.Second {
						t.Errorf("request %d comes after %v, want %v", i+2, gap, want)
					}
				}
				row := only(t, st)
				if row.Delivery != test.delivery || row.Reason != test.reason || row.State != store.Answered {
					t.Errorf("%v, %q, want %v, %q", row.Delivery, row.Reason, test.delivery, test.reason)
				}
				stats := server.Stats()
				if stats.Ambiguous != test.ambiguous {
					t.Errorf("%d are counted as ambiguous, want %d", stats.Ambiguous, test.ambiguous)
				}
				var total uint64
				for _, n := range stats.Sends {
					total += n
				}
				if total != uint64(len(test.says)) {
					t.Errorf("%v are counted", stats.Sends)
				}
				if test.delivery == store.Ticket { // the user does not know, and hears of it
					p := newPhone(t, server, a)
					if g := p.says("0s"); !strings.Contains(g.text, "re: 5s") {
						t.Errorf("the next answer is %v", g)
					}
				}
				if n := h.started("5s"); n != 1 {
					t.Errorf("%d starts", n)
				}
			})
		})
	}
}

// scripted is a fakeAPI that does something else with what it is asked.
type scripted struct {
	*fakeAPI
	says func(ctx context.Context) callback.Sending
}

func (s *scripted) Send(ctx context.Context, openID string, r echostr.Reply) callback.Sending {
	res := s.says(ctx)
	if res.Fate == callback.SendDone {
		s.fakeAPI.Send(ctx, openID, r)
	}
	return res
}

// What is in the way of a whole account is in the way of all its users, and of no other account.
func TestAccountIsHeldBack(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		accounts := []callback.Account{patient(callback.Plain, h), patient(callback.Safe, h)}
		accounts[1].Name, accounts[1].AppID = "other", "wx2222222222222222"
		var requests atomic.Int64
		verify(&accounts[0]).fate = func(int, sent) callback.Sending {
			requests.Add(1)
			return callback.Sending{Fate: callback.SendLater, After: 10 * time.Minute, Account: true, Reason: "40164"}
		}
		free := verify(&accounts[1])
		st := memory.New(memory.Config{})
		server := start(t, callback.Config{Accounts: accounts, Store: st})
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() { tell(t, server, accounts[0], fmt.Sprint("oUser", i), fmt.Sprintf("%ds", 5+i)) })
		}
		all.Wait()
		time.Sleep(35 * time.Minute)
		if n := requests.Load(); n < 3 || n > 5 {
			t.Errorf("%d requests in 36 minutes, want one every ten minutes", n)
		}
		tell(t, server, accounts[1], testUser, "5s")
		time.Sleep(time.Second)
		if n := len(free.all()); n != 1 {
			t.Errorf("another account has sent %d messages", n)
		}
		// The operator has put it right, and does not wait.
		waits := rowWith(t, st, "oUser7]")
		for range 2 { // one may be under way as a probe
			before := requests.Load()
			if _, err := server.Resend(t.Context(), waits.Key); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if requests.Load() != before+1 {
				t.Errorf("%d requests after Resend", requests.Load()-before)
			}
		}
	})
}

// A probe that is not sent after all, since the time of its window is over, or since the store
// does not say what is to be sent, does not keep the account's other messages back.
func TestProbeIsGivenBack(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"window", "store", "erased"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(bot)
				a := patient(callback.Plain, h)
				api := newDownAPI(&a)
				api.down.Store(true)
				st := &faulty{Store: memory.New(memory.Config{})}
				server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
				var all sync.WaitGroup
				for i := range 8 {
					p := newPhone(t, server, a)
					p.user = fmt.Sprint("oClick", i)
					all.Go(func() { p.do(event(p.user, "CLICK", fmt.Sprintf("%ds", 5+i))) })
				}
				all.Go(func() { tell(t, server, a, "oText", "15s") })
				all.Wait()
				time.Sleep(70 * time.Second)
				switch name {
				case "store":
					st.failOnly("Get", 0, before)
					time.Sleep(5 * time.Minute)
					st.fail(works)
				case "erased":
					for i := range 8 {
						if _, err := server.Erase(t.Context(), "", fmt.Sprint("oClick", i)); err != nil {
							t.Error(err)
						}
					}
				}
				api.down.Store(false)
				time.Sleep(100 * time.Second) // a probe each half minute would take longer
				if got := api.texts("oText"); !slices.Equal(got, []string{"re: 15s"}) {
					t.Errorf("the API is back, and the user has got %q", got)
				}
			})
		})
	}
}

// Many answers wait when the process is restarted. Each goes out once, in order.
func TestRestartWithAnswersWaiting(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		const users, each = 250, 4
		h := new(bot)
		a := patient(callback.Plain, h)
		api := newDownAPI(&a)
		api.down.Store(true)
		st := memory.New(memory.Config{})
		old := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "server"})
		var all sync.WaitGroup
		for u := range users {
			for i := range each {
				content := fmt.Sprintf("%ds of %d", 5+i, u)
				all.Go(func() { tell(t, old, a, fmt.Sprint("oUser", u), content) })
			}
		}
		all.Wait()
		time.Sleep(30 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := old.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		api.down.Store(false)
		api.slow.Store(int64(100 * time.Millisecond))
		server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "server"})
		time.Sleep(time.Second)
		if n := server.Stats().Outbox; n == 0 || n > users*each {
			t.Errorf("%d answers wait after the restart", n)
		}
		time.Sleep(10 * time.Minute)
		for u := range users {
			var want []string
			for i := range each {
				want = append(want, fmt.Sprintf("re: %ds of %d", 5+i, u))
			}
			if got := api.texts(fmt.Sprint("oUser", u)); !slices.Equal(got, want) {
				t.Errorf("user %d gets %q", u, got)
			}
		}
		if n := h.all(); n != users*each || api.crowded() {
			t.Errorf("%d starts; two at a time for one user: %v", n, api.crowded())
		}
		if stats := server.Stats(); stats.Ambiguous+old.Stats().Ambiguous != 0 || stats.Outbox != 0 {
			t.Errorf("%d ambiguous, %d wait", stats.Ambiguous, stats.Outbox)
		}
	})
}

// The process stops in the middle of sending. What it can wait for it does; what it cannot is sent once
// more, at most one message of each user.
func TestShutdownWhileSending(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		patience  time.Duration // of Shutdown
		kill      bool
		ambiguous bool
	}{
		{"it waits", time.Minute, false, false},
		{"it cannot wait", 500 * time.Millisecond, false, true},
		{"it is killed", 0, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				const users, each = 20, 3
				h := new(bot)
				a := patient(callback.Plain, h)
				api := newDownAPI(&a)
				api.slow.Store(int64(4 * time.Second))
				st := memory.New(memory.Config{})
				link := &faulty{Store: st}
				old := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "server"})
				var all sync.WaitGroup
				for u := range users {
					for i := range each {
						content := fmt.Sprintf("%ds of %d", 5+i, u)
						all.Go(func() { tell(t, old, a, fmt.Sprint("oUser", u), content) })
					}
				}
				all.Wait()
				time.Sleep(3 * time.Second) // the first message of each is on its way, and all are ready
				if test.kill {
					link.fail(before)
				} else {
					ctx, cancel := context.WithTimeout(t.Context(), test.patience)
					err := old.Shutdown(ctx)
					cancel()
					if (err != nil) != test.ambiguous {
						t.Errorf("Shutdown: %v", err)
					}
				}
				server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "server"})
				time.Sleep(5 * time.Minute)
				for u := range users {
					got := api.texts(fmt.Sprint("oUser", u))
					var want []string
					for i := range each {
						text := fmt.Sprintf("re: %ds of %d", 5+i, u)
						if want = append(want, text); i == 0 && test.ambiguous {
							want = append(want, text)
						}
					}
					if !slices.Equal(got, want) {
						t.Errorf("user %d gets %q, want %q", u, got, want)
					}
				}
				if n := server.Stats().Ambiguous; (n == users) != test.ambiguous || !test.ambiguous && n != 0 {
					t.Errorf("%d are counted as ambiguous", n)
				}
				if n := h.all(); n != users*each {
					t.Errorf("%d starts", n)
				}
			})
		})
	}
}

// What a node has to send when it dies, another one sends.
func TestOutboxOfANodeThatDies(t *testing.T) {
	t.Parallel()
	for _, sending := range []bool{false, true} {
		t.Run(fmt.Sprintf("sending=%v", sending), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				a := patient(callback.Plain, new(bot))
				api := newDownAPI(&a)
				if sending {
					api.slow.Store(int64(3 * time.Second))
				} else {
					api.down.Store(true)
				}
				c := newCluster(t, a, 2)
				// What nobody sees to, since its account is not configured, hides nothing.
				left := make([]store.Op, 2500)
				for i := range left {
					at := time.Now().Add(-24*time.Hour + time.Duration(i/1200)*time.Minute)
					left[i].Turn = store.Turn{
						Key: store.Key{1, byte(i), byte(i >> 8)}, Account: "removed", OpenID: "o", State: store.Answered, Reply: "x",
						ReceivedAt: at, Delivery: store.Late, Due: at,
					}
				}
				if err := c.st.Claim(t.Context(), left); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				tellAll(t, c.nodes[0], a, []string{testUser}, "6s 0", "6s 1", "6s 2")
				time.Sleep(3 * time.Second) // the last one is ready
				want := []string{"re: 6s 0", "re: 6s 1", "re: 6s 2"}
				if sending {
					time.Sleep(5 * time.Second) // and is being sent
				}
				c.kill(0)
				died := time.Now()
				time.Sleep(5 * time.Second)
				api.down.Store(false)
				time.Sleep(10 * time.Minute)
				got := api.texts(testUser)
				if sending { // nobody knows of the last one
					want = append(want, "re: 6s 2")
				}
				if !slices.Equal(got, want) {
					t.Errorf("the API has sent %q, want %q", got, want)
				}
				for _, m := range api.all() {
					if d := m.at.Sub(died); d > 3*time.Minute {
						t.Errorf("a message goes out %v after the node has died", d)
					}
				}
				for _, row := range rows(t, c.st) {
					if row.Account != "removed" && row.Delivery != store.Sent {
						t.Errorf("%v, %q", row.Delivery, row.Reason)
					}
				}
			})
		})
	}
}

// A node that finds what another one has to send does not send it before what comes first.
func TestOutboxOfTwoNodes(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := patient(callback.Plain, new(bot))
		api := verify(&a)
		api.fate = func(n int, _ sent) callback.Sending {
			if n == 0 {
				return callback.Sending{Fate: callback.SendLater, After: time.Minute, Reason: "busy"}
			}
			return callback.Sending{Fate: callback.SendDone}
		}
		c := newCluster(t, a, 3)
		askAll(t, c.nodes[0], a, testUser, "5s 0", "5s 1", "5s 2")
		time.Sleep(5 * time.Minute)
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: 5s 0", "re: 5s 1", "re: 5s 2"}) || api.crowded() {
			t.Errorf("the API has sent %q; two at a time: %v", got, api.crowded())
		}
		for i, node := range c.nodes {
			if n := node.Stats().Outbox; n != 0 {
				t.Errorf("node %d: %d answers wait", i, n)
			}
		}
	})
}

// The wall clock jumps while answers wait to be sent, to be sent again, or for a push.
func TestOutboxWhileTheClockJumps(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{time.Hour, -time.Hour, -24 * time.Hour, -5 * time.Second, 5 * time.Second} {
		for _, late := range []callback.Late{callback.LateAPI, callback.LateHold, callback.LateTicket} {
			t.Run(fmt.Sprintf("%v/%s", jump, lateNames[late]), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					var off atomic.Int64
					now := func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
					h := new(bot)
					a := patient(callback.Plain, h)
					var api *downAPI
					if late != callback.LateTicket {
						api = newDownAPI(&a)
						api.down.Store(true)
					}
					a.Late = late
					st := memory.New(memory.Config{})
					server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Now: now})
					if late == callback.LateAPI {
						tell(t, server, a, "oFresh", "190s") // before it is known that the API is down
						tell(t, server, a, "oWaits", "5s")
						time.Sleep(3 * time.Minute)
					} else {
						// Its push is lost, so that it waits for another one.
						ctx, cut := context.WithTimeout(t.Context(), time.Second)
						pack(a, textFrom("oLost", time.Now().Unix(), "3s")).sendContext(ctx, server)
						cut()
						time.Sleep(3 * time.Second)
					}
					off.Store(int64(jump))
					if api == nil {
						time.Sleep(time.Minute)
						if row := rowWith(t, st, "[3s]"); row.Delivery != store.Ticket {
							t.Errorf("a minute later it is %v, due %v", row.Delivery, row.Due)
						}
						word := packAt(a, textFrom("oLost", now().Unix(), "继续"), now())
						if g := word.sendCut(server); parseReply(t, g.body).Content != "re: 3s" {
							t.Errorf("the word shows %v", g)
						}
						return
					}
					time.Sleep(time.Second)
					api.down.Store(false)
					time.Sleep(11 * time.Minute)
					want := map[callback.Late]map[string]string{
						callback.LateAPI:  {"oWaits": "re: 5s", "oFresh": "re: 190s"},
						callback.LateHold: {"oLost": "re: 3s"},
					}[late]
					for user, text := range want {
						if got := api.texts(user); !slices.Equal(got, []string{text}) {
							t.Errorf("%s gets %q", user, got)
						}
					}
					for _, row := range rows(t, st) {
						if row.Delivery != store.Sent {
							t.Errorf("%v, %q, due %v", row.Delivery, row.Reason, row.Due)
						}
					}
				})
			})
		}
	}
}

// An account is taken out of the configuration while its answers wait, and comes back.
func TestAccountComesBack(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		accounts := []callback.Account{patient(callback.Plain, h), patient(callback.Plain, h)}
		accounts[1].Name, accounts[1].AppID = "other", "wx2222222222222222"
		api := newDownAPI(&accounts[0])
		api.down.Store(true)
		st := memory.New(memory.Config{})
		stop := func(s *callback.Server) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		}
		server := start(t, callback.Config{Accounts: accounts, Store: st, NodeID: "server"})
		tell(t, server, accounts[0], testUser, "5s")
		time.Sleep(time.Minute)
		stop(server)
		api.down.Store(false)
		server = start(t, callback.Config{Accounts: accounts[1:], Store: st, NodeID: "server"})
		time.Sleep(time.Hour)
		if n := len(api.all()); n != 0 {
			t.Errorf("%d messages were sent for an account that is not configured", n)
		}
		stop(server)
		server = start(t, callback.Config{Accounts: accounts, Store: st, NodeID: "server"})
		time.Sleep(5 * time.Minute)
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: 5s"}) {
			t.Errorf("the user gets %q", got)
		}
		stop(server)
	})
}

// P10: to a user who was erased nothing is sent any more, and nothing is kept for him. Others get theirs.
func TestEraseWithAnswersWaiting(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"operator", "unsubscribe", "revoke"} {
		for _, when := range []string{"waiting", "sending", "unknown", "running"} {
			t.Run(how+"/"+when, func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					h := new(bot)
					a := patient(callback.Plain, h)
					api := newDownAPI(&a)
					api.down.Store(true)
					if when == "sending" {
						api.slow.Store(int64(20 * time.Second))
					}
					if when == "unknown" {
						api.fate = func(n int, s sent) callback.Sending {
							if s.openID == testUser {
								return callback.Sending{Fate: callback.SendUnknown}
							}
							return callback.Sending{Fate: callback.SendDone}
						}
					}
					server, st := one(t, a)
					handler := "6s"
					if when == "running" {
						handler = "1m"
					}
					tellAll(t, server, a, []string{testUser, "oOther"}, handler+" 0", handler+" 1", handler+" 2")
					time.Sleep(20 * time.Second) // by then the account's messages wait
					switch how {
					case "operator":
						if _, err := server.Erase(t.Context(), "", testUser); err != nil {
							t.Error(err)
						}
					case "unsubscribe":
						newPhone(t, server, a).do(event(testUser, "unsubscribe", ""))
					default:
						newPhone(t, server, a).do(strings.Replace(event(testUser, "user_authorization_revoke", ""), "</xml>", "<OpenID>"+testUser+"</OpenID></xml>", 1))
					}
					asked := len(api.texts(testUser))
					api.down.Store(false)
					time.Sleep(15 * time.Minute)
					if when == "sending" {
						asked++ // which nobody can call back
					}
					if got := api.texts(testUser); len(got) != asked {
						t.Errorf("the erased user gets %q", got)
					}
					if got := api.texts("oOther"); len(got) != 3 {
						t.Errorf("another user gets %q", got)
					}
					for _, row := range rows(t, st) {
						if row.OpenID == "oOther" {
							continue
						}
						if personal(row) || row.State != store.Erased || !row.Due.IsZero() || row.Code != "" {
							t.Errorf("left: %+v", row)
						}
					}
					if n := server.Stats().Outbox; n != 0 {
						t.Errorf("%d answers wait", n)
					}
				})
			})
		}
	}
}

// A user who was erased while something was being sent to him comes back, and is not kept waiting.
func TestErasedUserComesBack(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := patient(callback.Plain, new(bot))
		api := newDownAPI(&a)
		api.slow.Store(int64(10 * time.Second))
		server, _ := one(t, a)
		tell(t, server, a, testUser, "5s old")
		time.Sleep(time.Second) // it is being sent until 15 s
		newPhone(t, server, a).do(event(testUser, "unsubscribe", ""))
		newPhone(t, server, a).do(event(testUser, "subscribe", ""))
		tell(t, server, a, testUser, "5s new") // is there at 11 s
		time.Sleep(16 * time.Second)
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: 5s old", "re: 5s new"}) || api.crowded() {
			t.Errorf("the API has sent %q", got)
		}
	})
}

// The operator has an answer sent once more, or given up.
func TestResendAndDrop(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		accounts := []callback.Account{patient(callback.Plain, h), patient(callback.Plain, h)}
		accounts[1].Name, accounts[1].AppID = "ticket", "wx2222222222222222"
		api := newDownAPI(&accounts[0])
		st := memory.New(memory.Config{})
		server := start(t, callback.Config{Accounts: accounts, Store: st})
		ctx := t.Context()

		tell(t, server, accounts[0], testUser, "5s sent")
		time.Sleep(time.Second)
		row := rowWith(t, st, "5s sent")
		if row, err := server.Resend(ctx, row.Key); err != nil || row.Delivery != store.Late && row.Delivery != store.Sending && row.Delivery != store.Sent {
			t.Errorf("Resend: %v, %v", row.Delivery, err)
		}
		time.Sleep(time.Second)
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: 5s sent", "re: 5s sent"}) {
			t.Errorf("the user gets %q", got)
		}

		api.down.Store(true)
		tell(t, server, accounts[0], testUser, "5s dropped")
		time.Sleep(10 * time.Second)
		row = rowWith(t, st, "5s dropped")
		if row, err := server.Drop(ctx, row.Key); err != nil || row.Delivery != store.Undeliverable || row.Reason != "dropped by the operator" {
			t.Errorf("Drop: %v, %q, %v", row.Delivery, row.Reason, err)
		}
		if _, err := server.Drop(ctx, row.Key); err == nil || !strings.Contains(err.Error(), "undeliverable") {
			t.Errorf("Drop once more: %v", err)
		}
		api.down.Store(false)
		time.Sleep(10 * time.Minute)
		if n := len(api.all()); n != 2 {
			t.Errorf("what was dropped was sent: %d messages", n)
		}
		if _, err := server.Resend(ctx, row.Key); err != nil {
			t.Errorf("Resend of what was dropped: %v", err)
		}
		time.Sleep(10 * time.Second)
		if got := api.texts(testUser); len(got) != 3 || got[2] != "re: 5s dropped" {
			t.Errorf("the user gets %q", got)
		}

		p := newPhone(t, server, accounts[1])
		link := p.link(p.promised("20s").text)
		time.Sleep(10 * time.Second)
		row = rowWith(t, st, "[20s]")
		if _, err := server.Drop(ctx, row.Key); err != nil {
			t.Error(err)
		}
		if g := p.taps(link); g.text != goneText {
			t.Errorf("a tap on what was dropped shows %v", g)
		}
		if row, err := server.Resend(ctx, row.Key); err != nil || row.Delivery != store.Ticket {
			t.Errorf("Resend: %v, %v", row.Delivery, err)
		}
		if g := p.says("继续"); g.text != "re: 20s" {
			t.Errorf("the word shows %v", g)
		}

		// What is on its way is not shown by a tap: the user gets it anyway.
		v := newPhone(t, server, accounts[0])
		v.user = "oVerified"
		api.refuse.Store(true)
		tell(t, server, accounts[0], v.user, "5s refused")
		time.Sleep(2 * time.Second)
		api.down.Store(true)
		row = rowWith(t, st, "5s refused")
		if row, err := server.Resend(ctx, row.Key); err != nil || row.Delivery != store.Late {
			t.Errorf("Resend: %v, %v", row.Delivery, err)
		}
		if g := v.taps(tapLink{content: "查看回答 " + row.Code}); g.text != onItsWayText {
			t.Errorf("a tap on what is on its way shows %v", g)
		}

		running := make(chan seen, 1)
		go func() { running <- p.says("12s running") }()
		time.Sleep(time.Second)
		row = rowWith(t, st, "running")
		for _, do := range []func(context.Context, store.Key) (store.Turn, error){server.Resend, server.Drop} {
			if _, err := do(ctx, row.Key); err == nil || !strings.Contains(err.Error(), "running") {
				t.Errorf("of a turn that runs: %v", err)
			}
			if _, err := do(ctx, store.Key{1}); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("of no turn: %v", err)
			}
		}
		<-running
		synctest.Wait()
		if n := h.all(); n != 5 {
			t.Errorf("%d starts of 5 messages", n)
		}
	})
}

// What the API does not take goes out by it as what it takes: the user knows of it, and gets all that there is.
func TestLateRepliesOfPushes(t *testing.T) {
	t.Parallel()
	articles := []echostr.Article{
		{Title: "一<二", Description: "d", URL: "https://e.test/1?a=\"b\"", PicURL: "https://e.test/p"},
		{Title: "三", URL: "https://e.test/2"},
	}
	const list = "<a href=\"https://e.test/1?a=%22b%22\">一＜二</a>\n\n<a href=\"https://e.test/2\">三</a>"
	for _, test := range []struct {
		name  string
		reply echostr.Reply
		late  callback.Late
		sent  string // by the API; of a link what it shows
		read  string // in answer to a tap, or its type
	}{
		{"transfer", echostr.TransferReply{KfAccount: "a@b"}, callback.LateAPI, "您的回答好了，点这里查看", "transfer_customer_service"},
		{"raw", echostr.RawReply{MsgType: "newtype", InnerXML: "<A>1</A>"}, callback.LateAPI, "您的回答好了，点这里查看", "newtype"},
		{"news", echostr.News(articles...), callback.LateAPI, list, ""},
		{"news, ticket", echostr.News(articles...), callback.LateTicket, "", list},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := echostr.HandlerFunc(func(ctx context.Context, _ echostr.Message) (echostr.Reply, error) {
					return test.reply, pause(ctx, 20*time.Second)
				})
				a := patient(callback.Plain, h)
				api := verify(&a)
				a.Late = test.late
				server, st := one(t, a)
				p := newPhone(t, server, a)
				g := p.do(event(testUser, "CLICK", "k"))
				time.Sleep(time.Minute)
				shown := g.text
				if test.sent != "" {
					if got := api.texts(testUser); len(got) != 1 || len(api.all()) != 1 {
						t.Fatalf("the API has sent %v", api.all())
					} else {
						shown = got[0]
					}
				}
				if test.read == "" {
					if shown != test.sent {
						t.Errorf("the API has sent %q", shown)
					}
					if row := only(t, st); row.Delivery != store.Sent {
						t.Errorf("it is %v", row.Delivery)
					}
					return
				}
				_, l, _ := strings.Cut(shown, "<a href")
				if l, _, _ = strings.Cut(l, "</a>"); test.sent != "" && !strings.HasSuffix(l, ">"+test.sent) {
					t.Errorf("the link says %q", l)
				}
				for range 2 {
					if g := p.taps(p.link("<a href" + l + "</a>")); g.kind != test.read && g.text != test.read {
						t.Errorf("a tap shows %v", g)
					}
				}
				for _, row := range rows(t, st) {
					if row.Event == "CLICK" && row.Delivery != store.Fetched {
						t.Errorf("then it is %v, %q", row.Delivery, row.Reason)
					}
				}
			})
		})
	}
}

// While the API is known to take nothing of the account, answers take the ways that are left: pages on a push that is
// open, a push that is held, and in the end a link. When it is back, they take it again.
func TestKnownOutage(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		long := longText(3000)
		h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
			what, rest, _ := strings.Cut(content, " ")
			if d, err := time.ParseDuration(rest); err == nil {
				if err := pause(ctx, d); err != nil {
					return nil, err
				}
			}
			if what == "long" {
				return echostr.Text(long), nil
			}
			return echostr.Text("re: " + content), nil
		}}
		a := patient(callback.Plain, h)
		api := verify(&a)
		var down atomic.Bool
		down.Store(true)
		api.fate = func(int, sent) callback.Sending {
			if down.Load() {
				return callback.Sending{Fate: callback.SendLater, Reason: "40164", Account: true, After: 10 * time.Minute}
			}
			return callback.Sending{Fate: callback.SendDone}
		}
		server, _ := one(t, a)
		tell(t, server, a, "oFirst", "late 5s")
		time.Sleep(time.Minute)

		p := newPhone(t, server, a)
		g := p.says("long")
		if g.kind != "text" || g.pushes != 1 {
			t.Fatalf("of a long answer the user sees %v", g)
		}
		if text, pages := p.reads(g); squeezed(text) != squeezed(long) || pages != 2 {
			t.Errorf("%d bytes of %d were read in %d pages", len(text), len(long), pages)
		}
		if g := p.says("late 7s"); g.text != "re: late 7s" || g.pushes != 2 {
			t.Errorf("of an answer after 7 s the user sees %v", g)
		}
		g = p.says("late 20s")
		if g.kind != "text" || g.pushes != 3 || len(linksIn(g.text)) != 1 {
			t.Fatalf("of an answer after 20 s the user sees %v", g)
		}
		down.Store(false)
		time.Sleep(15 * time.Minute)
		if got := api.texts(testUser); len(got) != 0 {
			t.Errorf("what was promised goes out by the API, too: %q", got)
		}
		if g := p.taps(p.link(g.text)); g.text != "re: late 20s" {
			t.Errorf("a tap shows %v", g)
		}
		if got := api.texts("oFirst"); !slices.Equal(got, []string{"re: late 5s"}) {
			t.Errorf("what waited for the API: %q", got)
		}
		tell(t, server, a, testUser, "late 7s")
		time.Sleep(time.Minute)
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: late 7s"}) {
			t.Errorf("when it is back it sends %q", got)
		}
	})
}

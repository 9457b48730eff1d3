package callback_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// byUser counts the starts of each user's handlers, which take a while.
type byUser struct {
	takes time.Duration

	mu     sync.Mutex
	starts map[string]int
}

func (h *byUser) Handle(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
	h.mu.Lock()
	if h.starts == nil {
		h.starts = make(map[string]int)
	}
	h.starts[m.Head().FromUserName]++
	h.mu.Unlock()
	return echostr.Text("re"), pause(ctx, h.takes)
}

func (h *byUser) of(user string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.starts[user]
}

// refusedIn returns how many messages of a user were refused, and how many there are.
func refusedIn(t *testing.T, st store.Store, user string) (refused, all int) {
	t.Helper()
	for _, row := range rows(t, st) {
		if row.OpenID != user {
			continue
		}
		if all++; strings.HasPrefix(row.Reason, "refused: flood: ") {
			if refused++; row.State != store.Failed || row.Body == "" || row.FinishedAt.IsZero() || row.Attempt != 0 {
				t.Errorf("a refused message is %+v", row)
			}
		}
	}
	return refused, all
}

// S35: one user writes 500 messages a second for a quarter of a minute. All of them are in the store and all pushes are answered,
// but only 60 within ten seconds start a handler; the others' are all handled, and as quickly as ever.
func TestS35Flood(t *testing.T) {
	t.Parallel()
	const flooder, rate, lasts, others = "oFlooder", 500, 15 * time.Second, 40
	for fallback, pure := range map[string]bool{"": false, "太快了": true} {
		t.Run(fmt.Sprintf("fallback=%v/pure=%v", fallback != "", pure), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &byUser{takes: 100 * time.Millisecond}
				r := echostr.NewRouter()
				route := echostr.On(r, func(ctx context.Context, m echostr.Message) (echostr.Reply, error) { return h.Handle(ctx, m) })
				if pure {
					route.Pure()
				}
				a := account(callback.Plain, r)
				a.Fallback = fallback
				var out log
				st := memory.New(memory.Config{})
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: out.logger(slog.LevelInfo)})
				var all sync.WaitGroup
				for i := range int(lasts.Seconds() * rate) {
					all.Go(func() {
						time.Sleep(time.Duration(i) * time.Second / rate)
						g := pack(a, textFrom(flooder, time.Now().Unix(), fmt.Sprint(i))).sendCut(s)
						if g.status != 200 || g.took != 0 && g.took != h.takes {
							t.Errorf("%d: %v", i, g)
						} else if g.took == 0 && (g.body == "success") != (fallback == "") {
							t.Errorf("%d: a refused message got %v", i, g)
						} else if g.took == 0 && fallback != "" && parseReply(t, g.body).Content != fallback {
							t.Errorf("%d: a refused message got %v", i, g)
						}
					})
				}
				for i := range others {
					all.Go(func() {
						for j := range 15 {
							time.Sleep(time.Second)
							g := pack(a, textFrom(fmt.Sprint("oUser", i), time.Now().Unix(), fmt.Sprint(j))).sendCut(s)
							if g.status != 200 || g.took != h.takes || parseReply(t, g.body).Content != "re" {
								t.Errorf("another user's message got %v", g)
							}
						}
					})
				}
				all.Wait()
				synctest.Wait()
				refused, sent := refusedIn(t, st, flooder)
				if n := h.of(flooder); sent != 7500 || n != 120 || refused != sent-n {
					t.Errorf("%d rows, %d starts, %d refused", sent, n, refused)
				}
				for i := range others {
					if n := h.of(fmt.Sprint("oUser", i)); n != 15 {
						t.Errorf("user %d: %d starts", i, n)
					}
				}
				if n := s.Stats(); n.Floods != uint64(refused) || n.Starts != 120+15*others || n.Running != 0 || n.Waiting != 0 {
					t.Errorf("%+v", n)
				}
				warnings := 0
				for _, line := range out.lines(t) {
					if line["level"] == "WARN" {
						warnings++
					}
				}
				if warnings != 1 || strings.Contains(out.String(), flooder) {
					t.Errorf("%d warnings:\n%s", warnings, out.String())
				}
			})
		})
	}
}

// The limit is gone ten seconds after the first message, and a warning comes again after a minute.
func TestS35FloodEnds(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(byUser)
		a := account(callback.Plain, h)
		var out log
		st := memory.New(memory.Config{Keep: 2 * time.Hour})
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, MaxUserMessages: 3, Logger: out.logger(slog.LevelDebug)})
		write := func(n int) {
			for range n {
				if g := pack(a, text("x")).send(s); g.status != 200 {
					t.Errorf("%v", g)
				}
			}
		}
		check := func(when string, starts, warnings int) {
			t.Helper()
			n := 0
			for _, line := range out.lines(t) {
				if line["level"] == "WARN" {
					n++
				}
			}
			if h.of(testUser) != starts || n != warnings {
				t.Errorf("%s: %d starts and %d warnings, want %d and %d", when, h.of(testUser), n, starts, warnings)
			}
		}
		write(5)
		check("at first", 3, 1)
		time.Sleep(9 * time.Second)
		write(5)
		check("after nine seconds", 3, 1)
		time.Sleep(time.Second)
		write(5)
		check("after ten", 6, 1)
		time.Sleep(49 * time.Second)
		write(5)
		check("after 59", 9, 1)
		time.Sleep(time.Second)
		write(1)
		check("after a minute", 9, 2)
		time.Sleep(time.Hour)
		write(3)
		check("after an hour", 12, 2)
		if refused, all := refusedIn(t, st, testUser); refused != int(s.Stats().Floods) || all == 0 {
			t.Errorf("%d of %d refused, and %d counted", refused, all, s.Stats().Floods)
		}
	})
}

// Fifty messages of one user may be under way: the next one is refused, and when one of them is done another one may come. Of
// two accounts, each counts its own.
func TestS35OpenTurns(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late=%v", late), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &byUser{takes: 5 * time.Minute}
				a := patient(callback.Plain, h)
				if late {
					verify(&a)
				}
				b := a
				b.Name, b.AppID = "other", "wx2222222222222222"
				st := memory.New(memory.Config{})
				s := start(t, callback.Config{Accounts: []callback.Account{a, b}, Store: st})
				ask := func(a callback.Account) {
					go newPhone(t, s, a).says("x")
					time.Sleep(time.Second)
				}
				for range 53 {
					ask(a)
				}
				ask(b)
				if n := h.of(testUser); n != 51 {
					t.Errorf("%d starts, want 50 and one of the other account", n)
				}
				for _, row := range rows(t, st) {
					if row.Reason != "" && row.Reason != "refused: flood: too many earlier messages of the user are under way" {
						t.Errorf("%q", row.Reason)
					}
				}
				time.Sleep(h.takes - 52500*time.Millisecond) // two are done
				for range 4 {
					go newPhone(t, s, a).says("x")
				}
				synctest.Wait()
				if n := h.of(testUser); n != 53 {
					t.Errorf("%d starts, want two more", n)
				}
				time.Sleep(2 * h.takes)
				if refused, all := refusedIn(t, st, testUser); refused != 5 || all != 58 {
					t.Errorf("%d of %d refused", refused, all)
				}
			})
		})
	}
}

// What must not be missed is never refused, and what is refused changes nothing else: a user who floods leaves, and is erased; what
// WeChat tells of by itself is handled; and an answer that waits for him goes on waiting.
func TestS35NothingElseIsRefused(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		a := patient(callback.Plain, h)
		st := memory.New(memory.Config{})
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, MaxUserMessages: 2})
		p := newPhone(t, s, a)
		link := p.link(p.promised("20s").text)
		time.Sleep(time.Minute)
		for range 10 {
			p.says("x")
		}
		if n := h.all(); n != 3 {
			t.Fatalf("%d starts", n)
		}
		for _, document := range []string{p.tapped(link), textFrom(testUser, time.Now().Unix(), "继续"), event(testUser, "CLICK", "k"), event(testUser, "LOCATION", ""), event(testUser, "VIEW", "u")} {
			if g := p.do(document); g.kind != "success" {
				t.Errorf("%s: %v", document, g)
			}
		}
		if n := h.all(); n != 3 || s.Stats().Fetches != 0 {
			t.Errorf("%d starts and %d fetches by messages that are to be refused", n, s.Stats().Fetches)
		}
		for i, name := range []string{"TEMPLATESENDJOBFINISH", "user_pay_from_pay_cell", "MASSSENDJOBFINISH"} {
			if p.do(event(testUser, name, "")); h.all() != 4+i {
				t.Errorf("%s: %d starts", name, h.all())
			}
		}
		other := newPhone(t, s, a)
		other.user = "oOther"
		if g := other.says("x"); g.text != "re: x" {
			t.Errorf("another user sees %v", g)
		}
		time.Sleep(10 * time.Second)
		if g := p.taps(link); g.text != "re: 20s" {
			t.Errorf("later a tap shows %v", g)
		}
		for range 10 {
			p.says("x")
		}
		for i, document := range []string{
			event(testUser, "unsubscribe", ""),
			strings.Replace(event("oService", "user_authorization_revoke", ""), "</xml>", "<OpenID>"+testUser+"</OpenID></xml>", 1),
		} {
			p.says("x")
			before := h.all()
			if g := p.do(document); g.kind != "success" || h.all() != before+1 {
				t.Errorf("%s: %v", document, g)
			}
			time.Sleep(time.Second)
			for _, row := range rows(t, st) {
				if row.OpenID == testUser {
					t.Errorf("after event %d of the user is left: %+v", i, row)
				}
			}
		}
	})
}

// A retry that comes to a node, or a process, which has not seen its message is no new one. It gets what
// the others got, whatever its user has sent there.
func TestS35Retries(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := &byUser{takes: 7 * time.Second}
		a := account(callback.Plain, h)
		a.Late = callback.LateTicket
		st := memory.New(memory.Config{})
		nodes := make([]*callback.Server, 2)
		for i := range nodes {
			nodes[i] = start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, MaxUserMessages: 4, NodeID: fmt.Sprint("n", i)})
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				w := pack(a, text("x"))
				w.sendCut(nodes[0])
				if g := w.sendCut(nodes[1]); g.status != 200 || parseReply(t, g.body).Content != "re" {
					t.Errorf("the retry got %v", g)
				}
			})
			all.Go(func() {
				time.Sleep(time.Second)
				pack(a, text("one too many")).sendCut(nodes[0])
			})
		}
		all.Wait()
		// The retries have counted nothing.
		for range 4 {
			pack(a, text("x")).sendCut(nodes[1])
		}
		if refused, _ := refusedIn(t, st, testUser); h.of(testUser) != 8 || refused != 4 || nodes[1].Stats().Floods != 0 {
			t.Errorf("%d starts, %d refused", h.of(testUser), refused)
		}
	})
}

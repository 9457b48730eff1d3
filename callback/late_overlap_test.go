package callback_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// overlapping is a handler that notes when it runs for whom.
type overlapping struct {
	bot
	mu     sync.Mutex
	open   map[string]int // by user
	most   int            // of one user at the same time
	order  []string
	ended  map[string]error
	stubby bool // it heeds no context
}

func (o *overlapping) Handle(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
	user := m.Head().FromUserName
	text, ok := m.(*echostr.TextMessage)
	if !ok {
		return o.bot.Handle(ctx, m)
	}
	content := text.Content
	o.mu.Lock()
	if o.open == nil {
		o.open, o.ended = make(map[string]int), make(map[string]error)
	}
	o.open[user]++
	o.most = max(o.most, o.open[user])
	o.order = append(o.order, content)
	o.mu.Unlock()
	if o.stubby {
		ctx = context.WithoutCancel(ctx)
	}
	r, err := o.bot.Handle(ctx, m)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open[user]--
	o.ended[content] = err
	return r, err
}

// ran returns in which order handlers were started, and how many of one user ran at the same time.
func (o *overlapping) ran() (order []string, most int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.order), o.most
}

// askAll pushes some messages of one user, one second apart, and waits for what is seen of them.
func askAll(t *testing.T, server *callback.Server, a callback.Account, user string, contents ...string) []seen {
	t.Helper()
	got := make([]seen, len(contents))
	var all sync.WaitGroup
	for i, content := range contents {
		p := newPhone(t, server, a)
		p.user = user
		document := textFrom(user, time.Now().Unix(), content)
		all.Go(func() { got[i] = p.do(document) })
		time.Sleep(time.Second)
	}
	all.Wait()
	return got
}

// Queue: the handlers of one user run one after the other, in the order of their messages, each with all of its
// time. Those of others do not wait for them, nor do taps.
func TestOverlapQueue(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(overlapping)
		a := account(callback.Plain, h)
		a.Overlap, a.HandlerTimeout, a.Fallback = callback.Queue, 20*time.Second, "出错了"
		api := verify(&a)
		server, st := one(t, a)
		began := time.Now()
		var other []seen
		var all sync.WaitGroup
		all.Go(func() {
			time.Sleep(500 * time.Millisecond)
			other = askAll(t, server, a, "oOther", "1s other")
		})
		askAll(t, server, a, testUser, "15s a", "1h b", "15s c", "15s d")
		all.Wait()
		if !other[0].is("text", "re: 1s other", 1, time.Second) {
			t.Errorf("another user sees %v", other[0])
		}
		time.Sleep(2 * time.Minute)
		order, most := h.ran()
		if most != 1 {
			t.Errorf("%d handlers of one user ran at the same time", most)
		}
		mine := slices.DeleteFunc(order, func(s string) bool { return strings.HasSuffix(s, "other") })
		if !slices.Equal(mine, []string{"15s a", "1h b", "15s c", "15s d"}) {
			t.Errorf("they ran in the order %q", mine)
		}
		// a ends after 15 s, b is given up after 20 more, c and d take 15 each.
		wantTexts := []string{"re: 15s a", "出错了", "re: 15s c", "re: 15s d"}
		wantTimes := []time.Duration{15 * time.Second, 35 * time.Second, 50 * time.Second, 65 * time.Second}
		if got := api.texts(testUser); !slices.Equal(got, wantTexts) {
			t.Errorf("the API has sent %q", got)
		}
		for i, m := range api.all() {
			if d := m.at.Sub(began) - wantTimes[i]; d.Abs() > 50*time.Millisecond {
				t.Errorf("answer %d goes out after %v", i, m.at.Sub(began))
			}
		}
		if row := rowWith(t, st, "1h b"); row.State != store.Failed || !strings.HasPrefix(row.Reason, "timeout") {
			t.Errorf("%v, %q", row.State, row.Reason)
		}
		if n := h.all(); n != 5 {
			t.Errorf("%d starts", n)
		}
		if n := server.Stats().Running; n != 0 {
			t.Errorf("%d handlers run", n)
		}
	})
}

// A handler that heeds nothing does not keep the user's next message for ever.
func TestOverlapQueueBehindOneThatHangs(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := &overlapping{stubby: true}
		a := account(callback.Plain, h)
		a.Overlap, a.HandlerTimeout = callback.Queue, 20*time.Second
		api := verify(&a)
		server, _ := one(t, a)
		began := time.Now()
		askAll(t, server, a, testUser, "90s a", "5s b")
		time.Sleep(5 * time.Minute)
		if got := api.all(); len(got) != 1 || api.texts(testUser)[0] != "re: 5s b" || (got[0].at.Sub(began)-25*time.Second).Abs() > 2*time.Second {
			t.Errorf("the API has sent %v", got)
		}
	})
}

// What waits in the queue can be erased, and stopped, like what runs.
func TestOverlapQueueEnds(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"erase", "shutdown"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(overlapping)
				a := patient(callback.Plain, h)
				a.Overlap = callback.Queue
				api := verify(&a)
				server, st := one(t, a)
				contents := []string{"1m a", "1m b", "1m c", "1m d", "1m e"}
				askAll(t, server, a, testUser, contents...)
				if how == "erase" {
					if _, err := server.Erase(t.Context(), "", testUser); err != nil {
						t.Error(err)
					}
				} else {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					if err := server.Shutdown(ctx); err == nil {
						t.Error("Shutdown says nothing about what it has ended")
					}
				}
				time.Sleep(5 * time.Minute)
				if h.all() != 1 || len(api.all()) != 0 {
					t.Errorf("%d starts, %d messages", h.all(), len(api.all()))
				}
				if how == "shutdown" { // another process goes on
					start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
					time.Sleep(10 * time.Minute)
					order, most := h.ran()
					if !slices.Equal(order[1:], contents) || most != 1 {
						t.Errorf("then they run in the order %q, %d at the same time", order[1:], most)
					}
					if got := api.texts(testUser); !slices.Equal(got, []string{"re: 1m a", "re: 1m b", "re: 1m c", "re: 1m d", "re: 1m e"}) {
						t.Errorf("then the API has sent %q", got)
					}
				}
			})
		})
	}
}

// Who loses its lease starts the handlers anew in the same order, and behind one that hangs: also the one that was
// the last in the line.
func TestOverlapQueueAfterALostLease(t *testing.T) {
	t.Parallel()
	for _, stubby := range []bool{false, true} {
		in2026(t, func(t *testing.T) {
			h := &overlapping{stubby: stubby}
			a := account(callback.Plain, h)
			a.Overlap, a.HandlerTimeout = callback.Queue, 2*time.Minute
			verify(&a)
			st := &faulty{Store: memory.New(memory.Config{})}
			server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
			contents := []string{"100s a", "5s b", "5s c", "5s d", "5s e", "5s f"}
			askAll(t, server, a, testUser, contents...)
			st.fail(before) // until the lease is lost
			time.Sleep(20 * time.Second)
			st.fail(works)
			time.Sleep(10 * time.Minute)
			if order, most := h.ran(); !slices.Equal(order[1:], contents) || most != 1 {
				t.Errorf("they ran in the order %q, %d at the same time", order, most)
			}
		})
	}
}

// Ten wait. What comes beyond them fails at once, which the user reads, and takes no place from others. After
// a restart the ten go on.
func TestOverlapQueueIsFull(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(overlapping)
		a := patient(callback.Plain, h)
		a.Overlap, a.Fallback = callback.Queue, "请慢一点"
		api := verify(&a)
		st := memory.New(memory.Config{})
		server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, MaxRunning: 12})
		var contents, want []string
		for i := range 11 {
			contents = append(contents, fmt.Sprintf("30s %c", 'a'+i))
			want = append(want, "re: "+contents[i])
		}
		got := askAll(t, server, a, testUser, append(contents, "30s refused")...)
		if g := got[11]; g.kind != "text" || g.text != "请慢一点" || g.after > time.Second {
			t.Errorf("the user sees %v of the one too many", g)
		}
		if row := rowWith(t, st, "30s refused"); row.State != store.Failed || row.Reason != "queue full: too many earlier messages of the user wait" {
			t.Errorf("%v, %q", row.State, row.Reason)
		}
		p := newPhone(t, server, a)
		p.user = "oOther"
		if g := p.says("1s other"); g.text != "re: 1s other" {
			t.Errorf("another user sees %v", g)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = server.Shutdown(ctx)
		start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
		time.Sleep(10 * time.Minute)
		if got := api.texts(testUser); !slices.Equal(got, want) {
			t.Errorf("the API has sent %q", got)
		}
		if n := h.started("30s refused"); n != 0 {
			t.Errorf("what was refused was started %d times", n)
		}
	})
}

// After a restart a question waits for nothing but the user's earlier questions that the process takes over: not for
// what WeChat has reported, nor for a question that another process runs.
func TestOverlapQueueWaitsForNothingElse(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(overlapping)
		h.answer = func(ctx context.Context, content string) (echostr.Reply, error) {
			if content == "event" {
				return nil, pause(ctx, time.Minute)
			}
			return echostr.Text("re: " + content), pause(ctx, 10*time.Second)
		}
		a := patient(callback.Plain, h)
		a.Overlap = callback.Queue
		api := verify(&a)
		st := memory.New(memory.Config{})
		other := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "other"})
		server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "server"})
		newPhone(t, server, a).do(event(testUser, "LOCATION", ""))
		newPhone(t, other, a).says("a")
		newPhone(t, server, a).says("b")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = server.Shutdown(ctx)
		start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "server"})
		time.Sleep(100 * time.Millisecond)
		if n := h.started("b"); n != 2 {
			t.Errorf("%d starts", n)
		}
		time.Sleep(time.Minute)
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: a", "re: b"}) {
			t.Errorf("the API has sent %q", got)
		}
	})
}

// Cancel: who writes again gets no answer to what he wrote before. A tap is no new question.
func TestOverlapCancel(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(overlapping)
		a := patient(callback.Plain, h)
		a.Overlap, a.Fallback = callback.Cancel, "出错了"
		api := verify(&a)
		server, st := one(t, a)
		other := make(chan []seen, 1)
		go func() { other <- askAll(t, server, a, "oOther", "8s other") }()
		askAll(t, server, a, testUser, "15s a", "15s b", "6s c")
		<-other
		time.Sleep(time.Minute)
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: 6s c"}) {
			t.Errorf("the API has sent %q", got)
		}
		if got := api.texts("oOther"); !slices.Equal(got, []string{"re: 8s other"}) {
			t.Errorf("another user gets %q", got)
		}
		for _, content := range []string{"15s a", "15s b"} {
			if row := rowWith(t, st, content); row.State != store.Silent || row.Reason != "superseded: the user has written again" {
				t.Errorf("%v, %q", row.State, row.Reason)
			}
			h.mu.Lock()
			if h.ended[content] == nil {
				t.Errorf("the handler of %q was not cancelled", content)
			}
			h.mu.Unlock()
		}
		if stats := server.Stats(); stats.HandlerErrors != 0 || stats.HandlerTimeouts != 0 {
			t.Errorf("%d errors, %d timeouts", stats.HandlerErrors, stats.HandlerTimeouts)
		}
	})
	in2026(t, func(t *testing.T) {
		h := new(overlapping)
		a := patient(callback.Plain, h)
		a.Overlap = callback.Cancel
		server, _ := one(t, a)
		p := newPhone(t, server, a)
		link := p.link(p.promised("20s").text)
		if g := p.taps(link); g.text != "re: 20s" {
			t.Errorf("a tap shows %v", g)
		}
	})
	// One that heeds no context is answered all the same.
	in2026(t, func(t *testing.T) {
		h := &overlapping{stubby: true}
		a := patient(callback.Plain, h)
		a.Overlap = callback.Cancel
		api := verify(&a)
		server, _ := one(t, a)
		askAll(t, server, a, testUser, "8s a", "9s b")
		time.Sleep(time.Minute)
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: 8s a", "re: 9s b"}) {
			t.Errorf("the API has sent %q", got)
		}
	})
}

// What WeChat reports of a user by itself is no message of his: it gives up no question, and does not wait for one.
// A click is one.
func TestOverlapOfEvents(t *testing.T) {
	t.Parallel()
	for _, overlap := range []callback.Overlap{callback.Queue, callback.Cancel} {
		for _, name := range []string{"LOCATION", "VIEW", "TEMPLATESENDJOBFINISH", "CLICK"} {
			t.Run(fmt.Sprint(overlap, name), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					h := new(overlapping)
					a := patient(callback.Plain, h)
					a.Overlap = overlap
					api := verify(&a)
					server, st := one(t, a)
					p := newPhone(t, server, a)
					var all sync.WaitGroup
					all.Go(func() { p.says("20s a") })
					time.Sleep(6 * time.Second)
					p.do(event(testUser, name, ""))
					row := rowWith(t, st, name)
					if waits := row.State == store.Running; waits != (overlap == callback.Queue && name == "CLICK") {
						t.Errorf("the event is %v", row.State)
					}
					all.Wait()
					time.Sleep(time.Minute)
					if answered := slices.Contains(api.texts(testUser), "re: 20s a"); answered == (overlap == callback.Cancel && name == "CLICK") {
						t.Errorf("the API has sent %q", api.texts(testUser))
					}
				})
			})
		}
	}
}

// Parallel: each is answered when it is done.
func TestOverlapParallel(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(overlapping)
		a := patient(callback.Plain, h)
		api := verify(&a)
		server, _ := one(t, a)
		askAll(t, server, a, testUser, "15s a", "10s b", "5s c")
		time.Sleep(time.Minute)
		_, most := h.ran()
		if got := api.texts(testUser); most != 3 || !slices.Equal(got, []string{"re: 5s c", "re: 10s b", "re: 15s a"}) {
			t.Errorf("%d at the same time; the API has sent %q", most, got)
		}
	})
}

// A second attempt of a message takes the place of the first one: it does not wait for itself, and is not taken
// for a message of its own.
func TestOverlapOfASecondAttempt(t *testing.T) {
	t.Parallel()
	for _, overlap := range []callback.Overlap{callback.Queue, callback.Cancel} {
		t.Run(fmt.Sprint(overlap), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(overlapping)
				a := patient(callback.Plain, h)
				a.Overlap = overlap
				api := verify(&a)
				st := &faulty{Store: memory.New(memory.Config{})}
				server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
				newPhone(t, server, a).says("50s a")
				st.fail(before) // until the lease is lost
				time.Sleep(20 * time.Second)
				st.fail(works)
				time.Sleep(5 * time.Minute)
				if got := api.texts(testUser); !slices.Equal(got, []string{"re: 50s a"}) || h.all() != 2 {
					t.Errorf("after %d starts the API has sent %q", h.all(), got)
				}
			})
		})
	}
}

package callback_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
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
	"github.com/echostr/echostr/store/sqlite"
)

// promised asks something that takes longer than all pushes, and returns what the placeholder says.
func (p *phone) promised(question string) seen {
	p.t.Helper()
	g := p.says(question)
	if g.kind != "text" || len(linksIn(g.text)) != 1 || g.pushes != 3 {
		p.t.Fatalf("%q: the user sees %v, want the placeholder", question, g)
	}
	return g
}

// A tap on the link is known by its text; its id only says which turn it is beyond doubt. Only who has
// asked gets the answer, at his account, while it is kept, and no handler is started for it.
func TestTap(t *testing.T) {
	t.Parallel()
	const answer = "re: 20s"
	for _, test := range []struct {
		name string
		tap  func(l *tapLink)
		user string // who taps, if it is not who has asked
		at   string // the account, if it is another one
		wait time.Duration
		want string
	}{
		{name: "text and id", want: answer},
		{name: "text alone", tap: func(l *tapLink) { l.id = "" }, want: answer},
		{name: "in small letters", tap: func(l *tapLink) { l.content, l.id = " "+strings.ToLower(l.content)+"\n", "" }, want: answer},
		{name: "without a blank", tap: func(l *tapLink) { l.content, l.id = strings.ReplaceAll(l.content, " ", ""), "" }, want: answer},
		{name: "the id of another program's menu", tap: func(l *tapLink) { l.id = "102" }, want: answer},
		{name: "an unknown code with the right id", tap: func(l *tapLink) { l.content = "查看回答 22222222" }, want: answer},
		{name: "an unknown code", tap: func(l *tapLink) { l.content, l.id = "查看回答 22222222", "" }, want: goneText},
		{name: "an unknown code and id", tap: func(l *tapLink) { l.content, l.id = "查看回答 22222222", strings.Repeat("0", 40) }, want: goneText},
		{name: "a page that there is not any more", tap: func(l *tapLink) { l.content += "-7" }, want: answer},
		{name: "another user, with the id", user: "oOther", want: goneText},
		{name: "another user, by the code", user: "oOther", tap: func(l *tapLink) { l.id = "" }, want: goneText},
		{name: "at another account, with the id", at: "other", want: goneText},
		{name: "at another account, by the code", at: "other", tap: func(l *tapLink) { l.id = "" }, want: goneText},
		{name: "before it has expired", wait: 59 * time.Minute, want: answer},
		{name: "when it has expired", wait: 61 * time.Minute, want: goneText},
		{name: "the id alone, in a menu of the handler's own", tap: func(l *tapLink) { l.content = "满意" }, want: "re: 满意"},
		{name: "what only looks like it", tap: func(l *tapLink) { l.content, l.id = "查看回答吗", "" }, want: "re: 查看回答吗"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(bot)
				accounts := []callback.Account{patient(callback.Safe, h), patient(callback.Plain, h)}
				accounts[1].Name, accounts[1].AppID = "other", "wx2222222222222222"
				accounts[0].TicketLife = time.Hour
				server := start(t, callback.Config{Accounts: accounts, Store: memory.New(memory.Config{})})
				p := newPhone(t, server, accounts[0])
				link := p.link(p.promised("20s").text)
				time.Sleep(10*time.Second + test.wait)
				if test.tap != nil {
					test.tap(&link)
				}
				if test.user != "" {
					p.user = test.user
				}
				if test.at != "" {
					p.a = accounts[1]
				}
				want, starts := test.want, 1
				if strings.HasSuffix(want, link.content) { // a question like any other
					want, starts = "您之前问“20s”：\n"+answer+"\n\n————\n\n"+want, 2
				}
				if g := p.taps(link); !g.is("text", want, 1, 0) {
					t.Errorf("the user sees %v, want %q", g, want)
				}
				if n := h.all(); n != starts {
					t.Errorf("%d starts, want %d", n, starts)
				}
				if stats := server.Stats(); stats.Starts != uint64(starts) || stats.Fetches != uint64(2-starts) {
					t.Errorf("%d starts and %d fetches are counted", stats.Starts, stats.Fetches)
				}
			})
		})
	}
}

// The word fetches what was promised last. When nothing waits it is a message like any other.
func TestFetchWord(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		a := patient(callback.Plain, h)
		server, st := one(t, a)
		p := newPhone(t, server, a)
		for i := range 2 { // nothing waits
			if g := p.says("继续"); g.text != "re: 继续" || h.started("继续") != i+1 {
				t.Fatalf("the word shows %v", g)
			}
		}
		p.promised("20s a")
		p.promised("20s b")
		time.Sleep(time.Minute)
		other := newPhone(t, server, a)
		other.user = "oOther"
		if g := other.says("继续"); g.text != "re: 继续" {
			t.Errorf("another user sees %v", g)
		}
		for _, want := range []string{"re: 20s b", "re: 20s a"} {
			if g := p.says(" 继续 "); g.text != want {
				t.Errorf("the word shows %v, want %q", g, want)
			}
		}
		if g := p.says("继续"); g.text != "re: 继续" {
			t.Errorf("when all is read, the word shows %v", g)
		}
		if h.started("继续") != 4 || h.started("20s a") != 1 || h.started("20s b") != 1 {
			t.Errorf("%v", h.starts)
		}
		for _, question := range []string{"20s a", "20s b"} {
			if row := rowWith(t, st, question); row.Delivery != store.Fetched {
				t.Errorf("%v", row.Delivery)
			}
		}
	})
	in2026(t, func(t *testing.T) {
		h := new(bot)
		a := patient(callback.Plain, h)
		a.FetchWord = "more"
		server, _ := one(t, a)
		p := newPhone(t, server, a)
		g := p.promised("20s")
		if strings.Contains(g.text, "继续") || !strings.Contains(g.text, "more") {
			t.Errorf("the placeholder says %q, and the word is more", g.text)
		}
		time.Sleep(10 * time.Second)
		if g := p.says("more"); g.text != "re: 20s" {
			t.Errorf("the word shows %v", g)
		}
	})
}

// Who taps before the answer is there waits for it as for one of his own: on every push of the tap, and if
// that is not long enough, the same link is shown again.
func TestTapTooEarly(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		a := patient(callback.Safe, h)
		a.HandlerTimeout = 5 * time.Minute
		server, st := one(t, a)
		p := newPhone(t, server, a)
		began := time.Now()
		first := p.promised("60s") // until 14.5 s
		link := p.link(first.text)
		for i := range 2 { // until 29 and 43.5 s
			g := p.taps(link)
			if !g.is("text", first.text, 3, 14500*time.Millisecond) {
				t.Errorf("tap %d shows %v, want the placeholder again", i+1, g)
			}
		}
		if g := p.says("继续"); g.kind != "text" || p.link(g.text) != link { // until 58 s
			t.Errorf("the word shows %v, want the placeholder again", g)
		}
		if g := p.taps(link); g.text != "re: 60s" || g.pushes != 1 {
			t.Errorf("a tap two seconds before the answer shows %v", g)
		}
		if d := time.Since(began) - time.Minute; d < 0 || d > 150*time.Millisecond {
			t.Errorf("the answer was there for %v before it went out", d)
		}
		if n := h.all(); n != 1 {
			t.Errorf("%d starts", n)
		}
		if row := rowWith(t, st, "[60s]"); row.Delivery != store.Fetched || row.Way.Shown != 1 {
			t.Errorf("%v, %+v", row.Delivery, row.Way)
		}
	})
}

// A handler's time may be shorter than what is waited for with a tap, if its route says otherwise.
func TestTapHasATimeOfItsOwn(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		r := echostr.NewRouter()
		h := new(bot)
		echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) { return h.Handle(ctx, m) }, echostr.Prefix("25s")).Late(time.Minute)
		echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) { return h.Handle(ctx, m) })
		a := account(callback.Plain, r)
		a.HandlerTimeout, a.Fallback = 2*time.Second, "出错了"
		server, _ := one(t, a)
		p := newPhone(t, server, a)
		link := p.link(p.promised("25s").text)
		if g := p.taps(link); g.text != "re: 25s" {
			t.Errorf("the tap shows %v", g)
		}
		if n := server.Stats().HandlerTimeouts; n != 0 {
			t.Errorf("%d handlers are counted as timed out", n)
		}
	})
}

// Two impatient taps get the answer once, and one that comes later gets it again.
func TestImpatientTaps(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprintf("early=%v", early), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(bot)
				a := patient(callback.Plain, h)
				// Each of them has looked for the answer before the first one has it.
				server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: &faulty{Store: memory.New(memory.Config{}), slow: 50 * time.Millisecond}})
				p := newPhone(t, server, a)
				link := p.link(p.promised("20s").text)
				if !early {
					time.Sleep(10 * time.Second)
				}
				var mu sync.Mutex
				got := map[string]int{}
				var all sync.WaitGroup
				for range 5 {
					document := p.tapped(link)
					all.Go(func() {
						g := p.do(document)
						mu.Lock()
						defer mu.Unlock()
						got[g.kind+" "+g.text]++
					})
				}
				all.Wait()
				if got["text re: 20s"] != 1 || got["success "] != 4 {
					t.Errorf("five taps show %v, want the answer once", got)
				}
				time.Sleep(time.Minute)
				for range 2 {
					if g := p.taps(link); g.text != "re: 20s" {
						t.Errorf("a later tap shows %v, want the answer again", g)
					}
				}
				if n := h.all(); n != 1 {
					t.Errorf("%d starts", n)
				}
			})
		})
	}
}

// All pushes of a tap get the same page, whichever node they come to, and whatever is fetched meanwhile.
func TestPushesOfATap(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
			return echostr.Text(longText(10_000)), pause(ctx, 20*time.Second)
		}}
		a := patient(callback.Plain, h)
		c := newCluster(t, a, 2)
		p := newPhone(t, c.nodes[0], a)
		link := p.link(p.promised("x").text)
		time.Sleep(10 * time.Second)
		first := p.taps(link)
		second := p.taps(p.link(first.text))
		for i, g := range []seen{first, second, first} {
			for _, node := range c.nodes {
				p.s = node
				if again := p.do(g.document); again.text != g.text {
					t.Errorf("%d: a further push shows %v, want %v", i, again, g)
				}
			}
		}
		// Lost on the way: the retry has it.
		time.Sleep(time.Second)
		third := p.tapped(p.link(second.text))
		ctx, cut := context.WithCancel(t.Context())
		cut()
		pack(a, third).sendContext(ctx, c.nodes[0])
		time.Sleep(time.Second)
		p.s = c.nodes[1]
		if g := p.do(third); g.kind != "text" || g.text == first.text || g.text == second.text {
			t.Errorf("the retry of a tap whose first push was lost shows %v", g)
		}
		if row := rowWith(t, c.st, "[x]"); row.Way.Shown != 3 {
			t.Errorf("%d pages are shown", row.Way.Shown)
		}
		if n := h.all(); n != 1 {
			t.Errorf("%d starts", n)
		}
	})
}

// An answer that waits goes ahead of the next one, as far as there is room.
func TestAhead(t *testing.T) {
	t.Parallel()
	const heading = "您之前问“"
	answers := map[string]echostr.Reply{
		"a": echostr.Text("AAA"), "b": echostr.Text("BBB"), "now": echostr.Text("NNN"), "image": echostr.Image("m"),
		"medium": echostr.Text(strings.Repeat("中", 300)), "full": echostr.Text(strings.Repeat("满", 680)), "long": echostr.Text(longText(5000)),
		`<a href="x">` + strings.Repeat("长", 40) + "\nb</a>": echostr.Text("CCC"),
	}
	for _, test := range []struct {
		name    string
		waiting []string // what is promised before
		lost    bool     // and the promise does not arrive
		ask     string
		want    func(p *phone, text string) string // what is wrong
		left    int                                // tickets that still wait
	}{
		{name: "one", waiting: []string{"a"}, ask: "now", want: is(heading + "a”：\nAAA\n\n————\n\nNNN")},
		{name: "two, the older one first", waiting: []string{"a", "b"}, ask: "now", want: is(heading + "a”：\nAAA\n\n————\n\n" + heading + "b”：\nBBB\n\n————\n\nNNN")},
		{name: "one of two fits", waiting: []string{"full", "a"}, ask: "medium", want: is(heading + "a”：\nAAA\n\n————\n\n" + strings.Repeat("中", 300)), left: 1},
		{name: "no room, and the user knows of it", waiting: []string{"full"}, ask: "medium", want: is(strings.Repeat("中", 300)), left: 1},
		{name: "no room, and the user does not know", waiting: []string{"full"}, lost: true, ask: "medium", want: hints},
		{name: "no room, not even for a hint", waiting: []string{"full"}, lost: true, ask: "full", want: is(strings.Repeat("满", 680)), left: 1},
		{name: "several pages, and the user does not know", waiting: []string{"long"}, lost: true, ask: "now", want: hints, left: 1},
		{name: "no text, and the user does not know", waiting: []string{"image"}, lost: true, ask: "now", want: hints},
		{name: "ahead of what is no text", waiting: []string{"a"}, ask: "image", want: is(""), left: 1},
		{name: "ahead of several pages", waiting: []string{"a"}, ask: "long", want: func(_ *phone, text string) string {
			if strings.Contains(text, "AAA") {
				return "an answer was put ahead of one that is too long already"
			}
			return ""
		}, left: 1},
		{name: "a question with markup", waiting: []string{`<a href="x">` + strings.Repeat("长", 40) + "\nb</a>"}, ask: "now", want: func(_ *phone, text string) string {
			if !strings.HasPrefix(text, heading+`＜a href="x"＞长`) || !strings.HasSuffix(text, "…”：\nCCC\n\n————\n\nNNN") || len(text) > 200 {
				return "the heading is wrong"
			}
			return ""
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				var slow atomic.Bool
				h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
					if slow.Load() {
						if err := pause(ctx, 20*time.Second); err != nil {
							return nil, err
						}
					}
					return answers[content], nil
				}}
				a := patient(callback.Plain, h)
				server, st := one(t, a)
				p := newPhone(t, server, a)
				slow.Store(true)
				for _, question := range test.waiting {
					if !test.lost {
						p.promised(question)
						continue
					}
					ctx, cut := context.WithTimeout(t.Context(), time.Second)
					pack(a, text(question)).sendContext(ctx, server)
					cut()
				}
				time.Sleep(time.Minute)
				slow.Store(false)
				other := newPhone(t, server, a)
				other.user = "oOther"
				if g := other.says("now"); g.text != "NNN" {
					t.Errorf("another user reads %q", g.text)
				}
				g := p.says(test.ask)
				if why := test.want(p, g.text); why != "" {
					t.Errorf("the user reads %q: %s", g.text, why)
				}
				// All pushes get the same, and the next answer has nothing ahead of it.
				if again := p.do(g.document); again.text != g.text {
					t.Errorf("a further push shows %v, want %v", again, g)
				}
				time.Sleep(2 * time.Minute)
				if test.left == 0 {
					if g := p.says("now"); g.text != "NNN" {
						t.Errorf("then the user reads %q", g.text)
					}
				}
				left := 0
				for _, row := range rows(t, st) {
					switch {
					case row.Delivery == store.Ticket:
						left++
					case row.Delivery == store.Fetched && row.Due.IsZero():
						t.Error("what was put ahead cannot be read again")
					}
				}
				if left != test.left {
					t.Errorf("%d answers wait, want %d", left, test.left)
				}
				if n := h.all(); n > len(test.waiting)+3 {
					t.Errorf("%d starts", n)
				}
			})
		})
	}
}

func is(want string) func(*phone, string) string {
	return func(_ *phone, text string) string {
		if text != want {
			return fmt.Sprintf("want %q", want)
		}
		return ""
	}
}

// hints wants a text that tells of the answer that waits, by a link that works.
func hints(p *phone, text string) string {
	links := linksIn(text)
	if len(links) == 0 || !strings.Contains(text, "还有一条回答在等您") {
		return "there is no hint"
	}
	if g := p.taps(links[len(links)-1]); g.kind == "success" || g.text == goneText {
		return "a tap on the hint shows " + g.String()
	}
	return ""
}

// The process dies when it has taken an answer to put it ahead of another one. The next attempt brings both,
// also if it has more to say than fits then.
func TestAheadOfASecondAttempt(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, 1990, 4000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				answer := longText(size)
				h := &bot{}
				h.answer = func(ctx context.Context, content string) (echostr.Reply, error) {
					switch {
					case content == "waits":
						return echostr.Text("re: waits"), pause(ctx, 20*time.Second)
					case h.started(content) == 1:
						return echostr.Text("short"), nil
					}
					return echostr.Text(answer), nil
				}
				a := patient(callback.Plain, h)
				mem := memory.New(memory.Config{})
				dying := &mortal{faulty: faulty{Store: mem}}
				r := new(relay)
				r.now.Store(start(t, callback.Config{Accounts: []callback.Account{a}, Store: dying, NodeID: "server"}))
				p := newPhone(t, r, a)
				p.promised("waits")
				time.Sleep(time.Minute)
				dying.diesAfter(func(row *store.Turn) bool { return row.Delivery == store.Fetched })
				time.AfterFunc(3*time.Second, func() {
					r.now.Store(start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "server"}))
				})
				g := p.says("now")
				if g.pushes != 2 || h.started("now") != 2 {
					t.Fatalf("the user sees %v after %d starts", g, h.started("now"))
				}
				text, _ := p.reads(g)
				if want := "您之前问“waits”：\nre: waits\n\n————\n\n" + answer; squeezed(text) != squeezed(want) {
					t.Errorf("the user reads %q", text)
				}
				time.Sleep(3 * time.Minute)
				if g := p.says("waits not"); strings.Contains(g.text, "re: waits") {
					t.Errorf("then the user sees %v", g)
				}
			})
		})
	}
}

// An answer that is put ahead of one which never comes about waits again.
func TestAheadOfNothing(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		mem := memory.New(memory.Config{})
		h := new(bot)
		a := patient(callback.Plain, h)
		a.Once = true // a second attempt would bring it
		dying := &mortal{faulty: faulty{Store: mem}}
		server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: dying, NodeID: "old"})
		p := newPhone(t, server, a)
		p.promised("20s")
		time.Sleep(time.Minute)
		dying.diesAfter(func(row *store.Turn) bool { return row.Delivery == store.Fetched })
		if g := pack(a, text("now")).sendCut(server); !g.cut {
			t.Fatalf("the test is wrong: %v", g)
		}
		p.s = start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "new"})
		time.Sleep(3 * time.Minute)
		if g := p.says("继续"); g.text != "re: 20s" {
			t.Errorf("the word shows %v, want the answer that was put ahead of one that was given up", g)
		}
	})
}

// What the API could not send so far goes ahead of an answer on a push, and is not sent then. What may have been
// sent, is being sent, or was begun stays the API's.
func TestAheadOfWhatTheAPICouldNotSend(t *testing.T) {
	t.Parallel()
	const down = "您之前问“5s a”：\nre: 5s a\n\n————\n\nre: now"
	for _, test := range []struct {
		name string
		fate func(n int) callback.Sending
		slow time.Duration // what a request takes
		want string
		sent []string
	}{
		{"down", func(n int) callback.Sending {
			return callback.Sending{Fate: callback.SendLater, After: 30 * time.Second}
		}, 0, down, nil},
		{"it may have been sent", func(n int) callback.Sending {
			return callback.Sending{Fate: callback.SendUnknown - callback.SendFate(n)*(callback.SendUnknown-callback.SendDone)}
		}, 0, "re: now", []string{"re: 5s a"}},
		{"it is being sent", func(n int) callback.Sending { return callback.Sending{Fate: callback.SendDone} }, 20 * time.Second, "re: now", []string{"re: 5s a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(bot)
				a := patient(callback.Plain, h)
				api := verify(&a)
				api.fate = func(n int, _ sent) callback.Sending {
					time.Sleep(test.slow)
					return test.fate(n)
				}
				server, _ := one(t, a)
				tell(t, server, a, testUser, "5s a")
				time.Sleep(10 * time.Second)
				p := newPhone(t, server, a)
				if g := p.says("now"); g.text != test.want || g.pushes != 1 {
					t.Errorf("the user sees %v, want %q", g, test.want)
				}
				time.Sleep(10 * time.Minute)
				if got := api.texts(testUser); !slices.Equal(got, test.sent) {
					t.Errorf("the API has sent %q, want %q", got, test.sent)
				}
				if n := server.Stats().Outbox; n != 0 {
					t.Errorf("%d answers wait", n)
				}
			})
		})
	}
}

// mortal is a store whose process dies once it has saved a certain row.
type mortal struct {
	faulty
	last atomic.Pointer[func(*store.Turn) bool]
}

func (s *mortal) diesAfter(last func(*store.Turn) bool) { s.last.Store(&last) }

func (s *mortal) Save(ctx context.Context, ops []store.Op) error {
	err := s.faulty.Save(ctx, ops)
	for i := range ops {
		if last := s.last.Load(); last != nil && err == nil && ops[i].OK && (*last)(&ops[i].Turn) {
			s.fail(before)
		}
	}
	return err
}

// relay is a server that is replaced.
type relay struct {
	now atomic.Pointer[callback.Server]
}

func (r *relay) ServeHTTP(w http.ResponseWriter, q *http.Request) { r.now.Load().ServeHTTP(w, q) }

// The process dies between the moment at which a tap has taken the answer and the one at which it has stored
// that as its own. The tap's next push gets it from the process that comes next.
func TestTapOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		once    bool
		answer  string
		between func(*store.Turn) bool // the last thing that it has saved
	}{
		{"taken", false, "re: 20s", func(row *store.Turn) bool { return row.Delivery == store.Fetched }},
		{"taken, of several pages", false, longText(5000), func(row *store.Turn) bool { return row.Way.Shown == 1 }},
		{"the page stored as its own", false, "re: 20s", func(row *store.Turn) bool { return row.Way.Fetch.Page > 0 && row.State == store.Answered }},
		{"taken, once", true, "re: 20s", func(row *store.Turn) bool { return row.Delivery == store.Fetched }},
		{"taken, of several pages, once", true, longText(5000), func(row *store.Turn) bool { return row.Way.Shown == 1 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
					return echostr.Text(test.answer), pause(ctx, 20*time.Second)
				}}
				a := patient(callback.Plain, h)
				a.Once = test.once
				mem := memory.New(memory.Config{})
				dying := &mortal{faulty: faulty{Store: mem}}
				r := new(relay)
				r.now.Store(start(t, callback.Config{Accounts: []callback.Account{a}, Store: dying, NodeID: "server"}))
				p := newPhone(t, r, a)
				link := p.link(p.promised("x").text)
				time.Sleep(time.Minute)
				dying.diesAfter(test.between)
				time.AfterFunc(3*time.Second, func() {
					r.now.Store(start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "server"}))
				})
				g := p.taps(link)
				want := test.answer
				if len(want) > echostr.MaxTextBytes {
					want = want[:1000]
				}
				if test.once {
					// The tap is not started again. Its answer waits once more.
					time.Sleep(2 * time.Minute)
					g = p.taps(link)
				} else if g.pushes != 2 && test.name != "the page stored as its own" {
					t.Errorf("the tap took %d pushes", g.pushes)
				}
				if !strings.HasPrefix(g.text, want) {
					t.Errorf("the user sees %v", g)
				}
				if n := h.all(); n != 1 {
					t.Errorf("%d starts", n)
				}
			})
		})
	}
}

// The codes of a user are never the same, however much those of their keys are, and nobody gets what
// another one has asked.
func TestCodes(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		a := patient(callback.Plain, h)
		mem := memory.New(memory.Config{})
		// All of them are given while none is stored yet.
		server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: &faulty{Store: mem, slow: 50 * time.Millisecond}})
		time.Sleep(time.Second)
		// Messages whose keys end alike, so that their codes would be the same.
		keyer := store.NewKeyer(must(mem.Installation(t.Context())).Salt)
		short := func(document string) [2]byte {
			var d echostr.Document
			if err := d.Parse([]byte(document)); err != nil {
				t.Fatal(err)
			}
			k := d.Key(a.AppID)
			key := keyer.Key(k.Digest, k.CreateTime, time.Now())
			return [2]byte{key[18] & 3, key[19]} // the first two characters of the code
		}
		users := []string{testUser, "oOther", "oThird"}
		var documents [][]string
		n := 0
		for u, user := range users {
			documents = append(documents, nil)
			for len(documents[u]) < 5 {
				n++
				document := textFrom(user, time.Now().Unix(), fmt.Sprintf("20s %d", n))
				if u+len(documents[u]) == 0 || short(document) == short(documents[0][0]) {
					documents[u] = append(documents[u], document)
				}
			}
		}
		type asked struct {
			p    *phone
			want string
			link tapLink
		}
		var mu sync.Mutex
		var all []asked
		var wait sync.WaitGroup
		ask := func(user, document string) {
			p := newPhone(t, server, a)
			p.user = user
			wait.Go(func() {
				g := p.do(document)
				_, question, _ := strings.Cut(document, "<Content><![CDATA[")
				question, _, _ = strings.Cut(question, "]]>")
				mu.Lock()
				defer mu.Unlock()
				all = append(all, asked{p, "re: " + question, p.link(g.text)})
			})
		}
		for u, user := range users {
			for _, document := range documents[u][1:] {
				ask(user, document)
			}
		}
		wait.Wait()
		for u, user := range users { // and one when they are stored
			ask(user, documents[u][0])
		}
		wait.Wait()
		codes := map[string]bool{}
		for _, q := range all {
			if name := q.p.user + q.link.content; codes[name] {
				t.Errorf("two answers of one user have the code %q", q.link.content)
			} else {
				codes[name] = true
			}
		}
		time.Sleep(10 * time.Second)
		for _, q := range all {
			q.link.id = "" // the code alone has to say it
			if g := q.p.taps(q.link); g.text != q.want {
				t.Errorf("%s taps on %q and sees %v, want %q", q.p.user, q.link.content, g, q.want)
			}
		}
	})
}

// While it is not known what codes a user has, the new ones are so long that they are nobody's.
func TestCodesBeforeTheStoreIsRead(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := patient(callback.Plain, new(bot))
		st := &blind{Store: memory.New(memory.Config{})}
		st.blind.Store(true)
		server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
		p := newPhone(t, server, a)
		time.AfterFunc(5*time.Second, func() { p.says("20s") })
		if l := p.link(p.promised("20s").text); len(l.content) != len("查看回答 2345") {
			t.Errorf("the link sends %q", l.content)
		}
		time.Sleep(20 * time.Second)
		st.blind.Store(false)
		time.Sleep(2 * time.Second)
		if l := p.link(p.promised("20s more").text); len(l.content) != len("查看回答 23") {
			t.Errorf("then a link sends %q", l.content)
		}
	})
}

// blind is a store that does not say what is due.
type blind struct {
	store.Store
	blind atomic.Bool
}

func (s *blind) List(ctx context.Context, f store.Filter) ([]store.Turn, error) {
	if (f.Due || f.ByDue()) && s.blind.Load() {
		return nil, store.ErrUnavailable
	}
	return s.Store.List(ctx, f)
}

// What nobody has fetched is given up when its time is over, and the reason says so.
func TestTicketExpires(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		life     time.Duration
		read     bool
		delivery store.Delivery
		reason   string
	}{
		{"unread", 10 * time.Minute, false, store.Undeliverable, "expired: the user has not fetched the answer"},
		{"read", 10 * time.Minute, true, store.Fetched, ""},
		{"unread, a day by default", 0, false, store.Undeliverable, "expired: the user has not fetched the answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(bot)
				a := patient(callback.Plain, h)
				if a.TicketLife = test.life; test.life == 0 {
					test.life = 24 * time.Hour
				}
				server, st := one(t, a)
				p := newPhone(t, server, a)
				link := p.link(p.promised("20s").text)
				time.Sleep(5500*time.Millisecond + test.life - 10*time.Second) // since the answer was ready
				if row := rowWith(t, st, "20s]"); row.Delivery != store.Ticket {
					t.Fatalf("before its time it is %v, %q", row.Delivery, row.Reason)
				}
				if test.read {
					p.taps(link)
					time.Sleep(test.life)
				}
				time.Sleep(11 * time.Second)
				row := rowWith(t, st, "20s]")
				if row.Delivery != test.delivery || row.Reason != test.reason || !row.Due.IsZero() {
					t.Errorf("%v, %q, due %v", row.Delivery, row.Reason, row.Due)
				}
				if g := p.taps(link); g.text != goneText {
					t.Errorf("a tap shows %v", g)
				}
				if n := server.Stats().Undeliverable; n != 1 && !test.read || n != 0 && test.read {
					t.Errorf("%d are counted as undeliverable", n)
				}
			})
		})
	}
}

// Tickets, codes and what the API has to send are in the store: a new process goes on with them.
func TestLateAnswersSurviveARestart(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		accounts := []callback.Account{patient(callback.Plain, h), patient(callback.Safe, h)}
		accounts[1].Name, accounts[1].AppID = "verified", "wx2222222222222222"
		api := verify(&accounts[1])
		var down atomic.Bool
		api.fate = func(int, sent) callback.Sending {
			if down.Load() {
				return callback.Sending{Fate: callback.SendLater}
			}
			return callback.Sending{Fate: callback.SendDone}
		}
		path := filepath.Join(t.TempDir(), "echostr.db")
		r := new(relay)
		var stop func()
		boot := func() {
			st, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			server, err := callback.New(callback.Config{Accounts: accounts, Store: st, Logger: quiet, NodeID: "server"})
			if err != nil {
				t.Fatal(err)
			}
			r.now.Store(server)
			stop = func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if err := server.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		boot()
		p := newPhone(t, r, accounts[0])
		ready := p.link(p.promised("20s ready").text)
		down.Store(true)
		tellAll(t, r, accounts[1], []string{"oVerified"}, "6s 0", "6s 1", "6s 2")
		time.Sleep(10 * time.Second)
		running := p.link(p.promised("20s running").text)
		stop() // waits for the handler

		boot()
		if n := len(api.all()); n != 0 {
			t.Fatalf("the test is wrong: %d messages were sent", n)
		}
		down.Store(false)
		// A code that was given before is given to nobody else.
		third := p.link(p.promised("20s third").text)
		if third.content == ready.content || third.content == running.content {
			t.Errorf("the code of %q was given before the restart", third.content)
		}
		for want, link := range map[string]tapLink{"re: 20s ready": ready, "re: 20s running": running} {
			link.id = ""
			if g := p.taps(link); g.text != want {
				t.Errorf("a tap shows %v, want %q", g, want)
			}
		}
		time.Sleep(10 * time.Minute)
		if got := api.texts("oVerified"); !slices.Equal(got, []string{"re: 6s 0", "re: 6s 1", "re: 6s 2"}) {
			t.Errorf("the API has sent %q", got)
		}
		stop()
		boot() // what is read can be read again
		if g := p.taps(ready); g.text != "re: 20s ready" {
			t.Errorf("a tap shows %v", g)
		}
		if n := h.all(); n != 6 {
			t.Errorf("%d starts of 6 messages", n)
		}
		stop()
	})
}

// Of an answer whose beginning the API has sent, and not the rest, the user fetches the rest only.
func TestTicketOfTheRest(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		answer := longText(6000)
		h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
			if content == "now" {
				return echostr.Image("m"), nil
			}
			return echostr.Text(answer), pause(ctx, 10*time.Second)
		}}
		a := patient(callback.Plain, h)
		a.TicketLife = time.Hour
		api := verify(&a)
		api.fate = func(n int, _ sent) callback.Sending {
			if n == 2 {
				return callback.Sending{Fate: callback.SendRefused, Reason: "45015"}
			}
			return callback.Sending{Fate: callback.SendDone}
		}
		server, st := one(t, a)
		p := newPhone(t, server, a)
		p.says("x")
		time.Sleep(time.Minute)
		read := strings.Join(api.texts(testUser), "")
		if len(api.all()) != 2 {
			t.Fatalf("%d messages were sent", len(api.all()))
		}
		if row := only(t, st); row.Delivery != store.Ticket || row.Reason != "45015" {
			t.Fatalf("%v, %q", row.Delivery, row.Reason)
		}
		for fetches := 1; ; fetches++ {
			g := p.says("继续")
			text, link, more := strings.Cut(g.text, "<a href=\"weixin")
			read += text
			if !more {
				break
			}
			if fetches > 5 {
				t.Fatalf("%d pages of the rest: %s", fetches, link)
			}
		}
		if got, want := squeezed(read), squeezed(answer); got != want {
			t.Errorf("%d bytes were read of %d", len(got), len(want))
		}
		synctest.Wait()
		if row := rowWith(t, st, "[x]"); row.Delivery != store.Fetched {
			t.Errorf("when all is read it is %v, %+v", row.Delivery, row.Way)
		}
		time.Sleep(2 * time.Hour)
		if row := rowWith(t, st, "[x]"); row.Delivery != store.Fetched {
			t.Errorf("hours later it is %v, %q", row.Delivery, row.Reason)
		}
	})
}

// squeezed is a text without white space.
func squeezed(s string) string { return strings.Join(strings.Fields(s), "") }

// Fifty answers of a user are not ready, or wait for him and do not fit: his next messages read few of them.
func TestS35AheadReadsFew(t *testing.T) {
	t.Parallel()
	for _, ready := range []bool{false, true} {
		t.Run(fmt.Sprintf("ready=%v", ready), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
					if content == "now" {
						return echostr.Text(strings.Repeat("中", 300)), nil
					}
					return echostr.Text(strings.Repeat("满", 680)), pause(ctx, 5*time.Minute)
				}}
				a := patient(callback.Plain, h)
				st := &faulty{Store: memory.New(memory.Config{})}
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, MaxUserMessages: -1})
				p := newPhone(t, s, a)
				var all sync.WaitGroup
				for i := range 50 {
					all.Go(func() {
						if g := p.says(fmt.Sprint("late ", i)); len(linksIn(g.text)) != 1 {
							t.Errorf("the user sees %v, want the placeholder", g)
						}
					})
				}
				all.Wait()
				if ready {
					time.Sleep(10 * time.Minute)
				}
				lists, gets := st.count("List"), st.count("Get")
				for range 10 {
					if g := p.says("now"); g.kind != "text" {
						t.Errorf("%v", g)
					}
				}
				lists, gets = st.count("List")-lists, st.count("Get")-gets
				if want := map[bool]int{false: 0, true: 50}[ready]; lists > 0 || gets != want {
					t.Errorf("ten messages have listed turns %d times, and read %d; want none, and %d", lists, gets, want)
				}
			})
		})
	}
}

// The word tells once that a question was not answered, and not for ever in place of the answers before it.
func TestWordBehindAFailure(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		a := patient(callback.Plain, h)
		server, st := one(t, a)
		p := newPhone(t, server, a)
		p.says("20s")
		failed := p.says("21s fails")
		p.says("22s silent")
		time.Sleep(time.Minute)
		for i, want := range []string{noAnswerText, noAnswerText, "re: 20s", "re: 继续"} {
			if g := p.says("继续"); g.text != want {
				t.Errorf("word %d: %v, want %q", i, g, want)
			}
			time.Sleep(time.Second)
		}
		if g := p.taps(p.link(failed.text)); g.text != noAnswerText {
			t.Errorf("the link shows %v", g)
		}
		time.Sleep(25 * time.Hour)
		for _, row := range rows(t, st) {
			if !row.Due.IsZero() {
				t.Errorf("a day later %q is due at %v, %v", row.Body, row.Due, row.Delivery)
			}
		}
	})
}

// The push that was to say that an answer is on its way is lost, and the answer is too long to go ahead of another one: then
// that other one says that it waits.
func TestHintOfALostPromise(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint("lost=", lost), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
					if content != "long" {
						return echostr.Text("now"), nil
					}
					return echostr.Text(longText(4000)), pause(ctx, 20*time.Second)
				}}
				a := patient(callback.Plain, h)
				server, _ := one(t, a)
				p := newPhone(t, server, a)
				w := pack(a, text("long"))
				w.sendCut(server)
				w.sendCut(server)
				if lost {
					w.sendBroken(t.Context(), server)
				} else if g := w.sendCut(server); !strings.Contains(g.body, "查看回答") {
					t.Fatalf("the last push gets %v", g)
				}
				time.Sleep(time.Minute)
				g := p.says("now")
				if why := hints(p, g.text); (why == "") != lost {
					t.Errorf("the user reads %q: %s", g.text, why)
				}
			})
		})
	}
}

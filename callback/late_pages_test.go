package callback_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// reads follows the links of pages from the first one, which is seen, and returns what all of them say, and
// how many there are.
func (p *phone) reads(g seen) (text string, pages int) {
	p.t.Helper()
	for {
		pages++
		links := linksIn(g.text)
		if len(links) == 0 || !strings.HasPrefix(links[len(links)-1].content, "查看回答 ") {
			return text + g.text, pages
		}
		next := links[len(links)-1]
		if !strings.Contains(next.text, fmt.Sprintf("（%d/", pages+1)) || !strings.HasSuffix(next.content, fmt.Sprintf("-%d", pages+1)) {
			p.t.Fatalf("the link of page %d says %q and sends %q", pages, next.text, next.content)
		}
		before, _, _ := strings.Cut(g.text, `<a href="weixin://`)
		text += before
		if g = p.taps(next); g.kind != "text" || g.pushes != 1 {
			p.t.Fatalf("page %d is %v", pages+1, g)
		}
	}
}

// An answer that does not fit into one message is read in pages, whichever way its first one comes: on a
// push, by a tap, by the word. Nothing of it is lost, and no handler is started for a page.
func TestPagesAreRead(t *testing.T) {
	t.Parallel()
	answer := longText(9000)
	for _, test := range []struct {
		name    string
		handler time.Duration
		first   func(p *phone, g seen) seen // what shows the first page
	}{
		{"on the first push", 0, func(_ *phone, g seen) seen { return g }},
		{"on a later push", 7 * time.Second, func(_ *phone, g seen) seen { return g }},
		{"by a tap", 20 * time.Second, func(p *phone, g seen) seen { return p.taps(p.link(g.text)) }},
		{"by the word", 20 * time.Second, func(p *phone, g seen) seen { return p.says("继续") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
					return echostr.Text(answer), pause(ctx, test.handler)
				}}
				a := patient(callback.Safe, h)
				a.TicketLife = 30 * time.Minute
				server, st := one(t, a)
				p := newPhone(t, server, a)
				asked := p.says("x")
				time.Sleep(10 * time.Second)
				first := test.first(p, asked)
				if again := p.do(first.document); again.text != first.text || first.text == "" {
					t.Errorf("a further push shows %v, want %v", again, first)
				}
				text, pages := p.reads(first)
				if squeezed(text) != squeezed(answer) {
					t.Errorf("%d bytes were read of %d", len(squeezed(text)), len(squeezed(answer)))
				}
				if pages != 5 {
					t.Errorf("%d pages", pages)
				}
				// What was read can be read again, page by page; and the word has nothing more to show.
				if again, n := p.reads(first); again != text || n != pages {
					t.Errorf("the second time %d pages are %d bytes, want %d", n, len(again), len(text))
				}
				starts := h.all()
				p.says("继续")
				if starts != 1 || h.all() != 2 {
					t.Errorf("%d starts, and %d after the word", starts, h.all())
				}
				row := rowWith(t, st, "[x]")
				want := store.Fetched
				if test.handler < 10*time.Second {
					want = store.Written
				}
				if row.Delivery != want || row.Way.Shown != pages || row.Way.Pages != pages {
					t.Errorf("%v, %+v", row.Delivery, row.Way)
				}
				time.Sleep(time.Hour) // twice the life of what was read
				if row := rowWith(t, st, "[x]"); !row.Due.IsZero() || row.Delivery != want {
					t.Errorf("in the end it is %v, due %v, %q", row.Delivery, row.Due, row.Reason)
				}
			})
		})
	}
}

// The word goes on where the user has stopped.
func TestWordShowsTheNextPage(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		answer := longText(7000)
		h := &bot{answer: func(context.Context, string) (echostr.Reply, error) { return echostr.Text(answer), nil }}
		a := patient(callback.Plain, h)
		server, _ := one(t, a)
		p := newPhone(t, server, a)
		g := p.says("x")
		var text string
		for pages := 1; ; pages++ {
			before, _, more := strings.Cut(g.text, `<a href="weixin://`)
			text += before
			if !more {
				break
			}
			time.Sleep(time.Minute)
			if g = p.says("继续"); pages > 5 {
				t.Fatal("there is no end of it")
			}
		}
		if squeezed(text) != squeezed(answer) || h.all() != 1 {
			t.Errorf("%d bytes were read of %d, %d starts", len(squeezed(text)), len(squeezed(answer)), h.all())
		}
	})
}

// On an account with the API a long answer goes out whole by that, also if a push could carry its first
// page, as long as WeChat takes so many messages. If not, it is read in pages, or the last message has the
// way to them.
func TestLongAnswersByAPI(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		late     callback.Late
		handler  time.Duration
		size     int
		say      int // messages that the handler says before
		kind     string
		sent     int // messages, with those that were said
		pages    int // that are fetched
		delivery store.Delivery
	}{
		{"three messages, at once", callback.LateAPI, 0, 5500, 0, "success", 3, 0, store.Sent},
		{"three messages, held", callback.LateHold, 3 * time.Second, 5500, 0, "success", 3, 0, store.Sent},
		{"three messages, late", callback.LateAPI, 8 * time.Second, 5500, 0, "success", 3, 0, store.Sent},
		{"five messages", callback.LateAPI, 8 * time.Second, 9500, 0, "success", 3, 3, store.Ticket},
		{"eight messages, at once", callback.LateAPI, 0, 15500, 0, "text", 0, 9, store.Written},
		{"eight messages, late", callback.LateAPI, 8 * time.Second, 15500, 0, "success", 3, 6, store.Ticket},
		{"three messages after three", callback.LateAPI, 8 * time.Second, 5500, 3, "success", 4, 3, store.Ticket},
		{"two messages after one", callback.LateAPI, 8 * time.Second, 3800, 1, "success", 3, 0, store.Sent},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				answer := longText(test.size)
				h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
					for range test.say {
						if err := echostr.Say(ctx, echostr.Text("wait")); err != nil {
							return nil, err
						}
					}
					return echostr.Text(answer), pause(ctx, test.handler)
				}}
				a := patient(callback.Plain, h)
				a.Late = test.late
				api := verify(&a)
				server, st := one(t, a)
				p := newPhone(t, server, a)
				g := p.says("x")
				time.Sleep(time.Minute)
				texts := api.texts(testUser)
				if g.kind != test.kind || g.pushes != 1 || len(texts) != test.sent {
					t.Fatalf("the user sees %v, and the API has sent %d messages, want %d", g, len(texts), test.sent)
				}
				for i, text := range texts {
					if len(text) > echostr.MaxTextBytes || i < test.say && text != "wait" {
						t.Errorf("message %d has %d bytes", i+1, len(text))
					}
				}
				read := strings.Join(texts[test.say:], "")
				switch {
				case test.sent == 0:
					var pages int
					if read, pages = p.reads(g); pages != test.pages {
						t.Errorf("%d pages, want %d", pages, test.pages)
					}
				case test.pages > 0:
					last := texts[len(texts)-1]
					links := linksIn(last)
					link := links[len(links)-1]
					if link.text != fmt.Sprintf("继续看（还有 %d 页）", test.pages) {
						t.Errorf("the last message ends with %q, want %d pages", link.text, test.pages)
					}
					read, _, _ = strings.Cut(read, `<a href="weixin://`)
					rest, pages := p.reads(p.taps(link))
					if read += rest; pages != test.pages {
						t.Errorf("%d pages, want %d", pages, test.pages)
					}
				}
				if squeezed(read) != squeezed(answer) {
					t.Errorf("%d bytes were read of %d", len(squeezed(read)), len(squeezed(answer)))
				}
				row := rowWith(t, st, "[x]")
				if test.delivery == store.Ticket {
					test.delivery = store.Fetched
				}
				if row.Delivery != test.delivery || row.Way.Sent != test.sent {
					t.Errorf("%v, %+v", row.Delivery, row.Way)
				}
				if n := h.all(); n != 1 || api.crowded() {
					t.Errorf("%d starts", n)
				}
			})
		})
	}
}

// The process dies between two messages of one answer: it goes on where it was, and at most the one that
// was on its way comes twice.
func TestLongAnswerOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	for _, sending := range []bool{false, true} {
		t.Run(fmt.Sprintf("sending=%v", sending), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				answer := longText(5500)
				h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) { return echostr.Text(answer), nil }}
				a := patient(callback.Plain, h)
				api := newDownAPI(&a)
				api.slow.Store(int64(2 * time.Second))
				mem := memory.New(memory.Config{})
				dying := &mortal{faulty: faulty{Store: mem}}
				old := start(t, callback.Config{Accounts: []callback.Account{a}, Store: dying, NodeID: "server"})
				dying.diesAfter(func(row *store.Turn) bool {
					return row.Way.Sent == 2 && (row.Delivery == store.Sending) == sending
				})
				tell(t, old, a, testUser, "x")
				time.Sleep(10 * time.Second)
				if n := len(api.all()); n != 2 && !sending || n != 3 && sending {
					t.Fatalf("%d messages were sent", n)
				}
				start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "server"})
				time.Sleep(time.Minute)
				texts := api.texts(testUser)
				if sending {
					if len(texts) != 4 || texts[2] != texts[3] {
						t.Fatalf("%d messages", len(texts))
					}
					texts = slices.Delete(texts, 2, 3)
				}
				if len(texts) != 3 || squeezed(strings.Join(texts, "")) != squeezed(answer) {
					t.Errorf("%d messages", len(texts))
				}
				if n := h.all(); n != 1 {
					t.Errorf("%d starts", n)
				}
			})
		})
	}
}

// A text beyond all measure is cut, and the operator is told. Replies of other types take the same ways.
func TestOddRepliesLate(t *testing.T) {
	t.Parallel()
	news := echostr.News(echostr.Article{Title: "t", Description: "d", PicURL: "https://example.com/p.png", URL: "https://example.com/"})
	for _, test := range []struct {
		name  string
		reply echostr.Reply
		kind  string // what a ticket's tap shows
		warn  string
	}{
		{"image", echostr.Image("m"), "image", ""},
		{"voice", echostr.Voice("m"), "voice", ""},
		{"video", echostr.VideoReply{MediaID: "m", Title: "t"}, "video", ""},
		{"music", echostr.MusicReply{Title: "t", MusicURL: "https://example.com/m.mp3", ThumbMediaID: "m"}, "music", ""},
		{"news", news, "news", ""},
		{"transfer", echostr.TransferReply{}, "transfer_customer_service", ""}, // by the API: TestLateRepliesOfPushes
		{"a text of 600 KiB", echostr.Text(longText(600 << 10)), "text", "the reply is too long and was cut"},
		{"nothing", echostr.Text(""), "", "the reply is empty"},
		{"what is no reply", echostr.Image(""), "", "the reply is invalid"},
	} {
		for _, late := range []callback.Late{callback.LateAPI, callback.LateTicket} {
			t.Run(test.name+"/"+lateNames[late], func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
						return test.reply, pause(ctx, 20*time.Second)
					}}
					a := patient(callback.Plain, h)
					a.Late = late
					api := new(fakeAPI)
					if late == callback.LateAPI {
						a.API = api
					}
					lines, st := new(log), memory.New(memory.Config{})
					server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: lines.logger(slog.LevelInfo)})
					p := newPhone(t, server, a)
					g := p.says("x")
					time.Sleep(time.Minute)
					if late == callback.LateTicket {
						want := test.kind
						if want == "" {
							want = "text" // that there is no answer
						}
						if g := p.taps(p.link(g.text)); g.kind != want || test.kind == "" && g.text != noAnswerText {
							t.Errorf("a tap shows %v", g)
						}
					} else if sent := api.all(); len(sent) != min(len(test.kind), 1) && test.kind != "text" {
						t.Errorf("the API has sent %d messages", len(sent))
					} else if test.kind == "text" && (len(sent) != 3 || !strings.Contains(api.texts(testUser)[2], "继续看")) {
						t.Errorf("the API has sent %d messages", len(sent))
					} else if len(sent) == 1 && test.name != "transfer" && fmt.Sprint(sent[0].reply) != fmt.Sprint(test.reply) {
						t.Errorf("the API has sent %v, want %v", sent[0].reply, test.reply)
					}
					row := rowWith(t, st, "[x]")
					if len(row.Reply) > 520<<10 {
						t.Errorf("%d bytes are stored", len(row.Reply))
					}
					if got := lines.lines(t); len(got) != min(len(test.warn), 1) || test.warn != "" && !strings.HasPrefix(got[0]["msg"].(string), test.warn) {
						t.Errorf("the log says %v", got)
					}
				})
			})
		}
	}
}

// A user who has left, or whom WeChat does not know, gets nothing, and the answer is given up at once.
func TestUserHasLeft(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		a := patient(callback.Plain, h)
		api := verify(&a)
		api.fate = func(int, sent) callback.Sending {
			return callback.Sending{Fate: callback.SendGone, Reason: "errcode 43004: the user does not follow the account"}
		}
		lines, st := new(log), memory.New(memory.Config{})
		server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: lines.logger(slog.LevelInfo)})
		for i := range 3 {
			tell(t, server, a, testUser, fmt.Sprintf("%ds", 5+i))
		}
		time.Sleep(time.Hour)
		if n := api.requests(); n != 3 {
			t.Errorf("%d requests for 3 answers", n)
		}
		for _, row := range rows(t, st) {
			if row.Delivery != store.Undeliverable || !strings.Contains(row.Reason, "43004") {
				t.Errorf("%v, %q", row.Delivery, row.Reason)
			}
		}
		// He comes back, and nothing old comes with him.
		if g := newPhone(t, server, a).says("0s"); g.text != "re: 0s" {
			t.Errorf("the user sees %v", g)
		}
		if s := lines.String(); !strings.Contains(s, "43004") || strings.Contains(s, testUser) || strings.Contains(s, "re: 5s") {
			t.Errorf("the log says %s", s)
		}
	})
}

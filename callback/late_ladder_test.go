package callback_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
)

// What the server itself says to users.
const (
	goneText     = "这个回答已经过期，或者已经看完了。请重新提问。"
	noAnswerText = "这个问题没有得到回答，请重新提问。"
	onItsWayText = "这个回答会单独发给您，请稍候。"
)

// What the user sees of an answer that takes this long, and when. Every message is started once, nobody
// ever reads a fault notice, and the answer arrives once.
func TestLadder(t *testing.T) {
	t.Parallel()
	const (
		onPush = "push" // the answer
		later  = "success"
		held   = "placeholder"
	)
	type want struct {
		what   string
		pushes int
		after  time.Duration
	}
	const s = time.Second
	for _, test := range []struct {
		handler           time.Duration
		api, hold, ticket want
	}{
		{1 * s, want{onPush, 1, 1 * s}, want{onPush, 1, 1 * s}, want{onPush, 1, 1 * s}},
		{4600 * time.Millisecond, want{later, 1, 4500 * time.Millisecond}, want{onPush, 1, 4600 * time.Millisecond}, want{onPush, 1, 4600 * time.Millisecond}},
		{8 * s, want{later, 1, 4500 * time.Millisecond}, want{onPush, 2, 8 * s}, want{onPush, 2, 8 * s}},
		{12 * s, want{later, 1, 4500 * time.Millisecond}, want{onPush, 3, 12 * s}, want{onPush, 3, 12 * s}},
		{14800 * time.Millisecond, want{later, 1, 4500 * time.Millisecond}, want{later, 3, 14500 * time.Millisecond}, want{held, 3, 14500 * time.Millisecond}},
		{40 * s, want{later, 1, 4500 * time.Millisecond}, want{later, 3, 14500 * time.Millisecond}, want{held, 3, 14500 * time.Millisecond}},
		{300 * s, want{later, 1, 4500 * time.Millisecond}, want{later, 3, 14500 * time.Millisecond}, want{held, 3, 14500 * time.Millisecond}},
	} {
		for i, w := range []want{test.api, test.hold, test.ticket} {
			late := callback.LateAPI + callback.Late(i)
			t.Run(fmt.Sprintf("%v/%s", test.handler, lateNames[late]), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					h := new(bot)
					a := patient(modes[i], h)
					a.Late = late
					api := new(fakeAPI)
					if late != callback.LateTicket {
						a.API = api
					}
					server, st := one(t, a)
					p := newPhone(t, server, a)
					question := test.handler.String()
					began := time.Now()
					g := p.says(question)
					text, kind := "re: "+question, "text"
					switch w.what {
					case later:
						text, kind = "", "success"
					case held:
						text = g.text
					}
					if !g.is(kind, text, w.pushes, w.after) {
						t.Errorf("the user sees %v, want %s on push %d after %v", g, w.what, w.pushes, w.after)
					}
					time.Sleep(time.Until(began.Add(test.handler + time.Millisecond)))
					var sent []string
					switch w.what {
					case later:
						sent = []string{"re: " + question}
					case held:
						link := p.link(g.text)
						if !strings.Contains(g.text, "继续") || link.text != link.content {
							t.Errorf("the placeholder says %q", g.text)
						}
						if g := p.taps(link); !g.is("text", "re: "+question, 1, 0) {
							t.Errorf("a tap shows %v", g)
						}
					}
					if got := api.texts(testUser); !slices.Equal(got, sent) {
						t.Errorf("the API has sent %q, want %q", got, sent)
					}
					for _, m := range api.all() {
						if took := m.at.Sub(began); (took - test.handler).Abs() > 20*time.Millisecond {
							t.Errorf("the API has sent the answer after %v", took)
						}
					}
					// Whatever comes now, nothing comes twice.
					g = p.do(g.document)
					time.Sleep(time.Minute)
					if n := len(api.all()); n != len(sent) || w.what == later && g.kind != "success" {
						t.Errorf("after a further push, which shows %v, the API has sent %d messages, want %d", g, n, len(sent))
					}
					if n := h.all(); n != 1 {
						t.Errorf("%d starts", n)
					}
					want := map[string]store.Delivery{onPush: store.Written, later: store.Sent, held: store.Fetched}[w.what]
					if row := rowWith(t, st, "["+question+"]"); row.Delivery != want || row.State != store.Answered {
						t.Errorf("%v, %v, want %v", row.State, row.Delivery, want)
					}
					if stats := server.Stats(); stats.Undeliverable != 0 || stats.DeadlineMisses != 0 || stats.Aborted != 0 {
						t.Errorf("%+v", stats)
					}
				})
			})
		}
	}
}

// The text for failed turns goes the same ways as an answer, and a turn that wants no answer goes none.
func TestLadderWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	const fallback = "出错了"
	for _, test := range []struct {
		question string
		late     callback.Late
		kind     string // what is seen on the last push
		pushes   int
		sent     []string // by the API
		tap      string   // what a tap on the placeholder shows
		delivery store.Delivery
	}{
		{"8s fails", callback.LateAPI, "success", 1, []string{fallback}, "", store.Sent},
		{"8s panics", callback.LateAPI, "success", 1, []string{fallback}, "", store.Sent},
		{"1h hangs", callback.LateAPI, "success", 1, []string{fallback}, "", store.Sent},
		{"8s fails", callback.LateHold, "text", 2, nil, "", store.Undelivered},
		{"20s fails", callback.LateHold, "success", 3, []string{fallback}, "", store.Sent},
		{"20s fails", callback.LateTicket, "text", 3, nil, fallback, store.Fetched},
		{"1h hangs", callback.LateTicket, "text", 3, nil, fallback, store.Fetched},
		{"8s silent", callback.LateAPI, "success", 1, nil, "", store.Late},
		{"8s silent", callback.LateHold, "success", 2, nil, "", store.Undelivered},
		{"20s silent", callback.LateHold, "success", 3, nil, "", store.Late},
		{"20s silent", callback.LateTicket, "text", 3, nil, noAnswerText, store.Fetched},
	} {
		t.Run(test.question+"/"+lateNames[test.late], func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(bot)
				a := patient(callback.Safe, h)
				a.HandlerTimeout, a.TicketLife = time.Minute, 30*time.Minute
				a.Late, a.Fallback = test.late, fallback
				api := new(fakeAPI)
				if test.late != callback.LateTicket {
					a.API = api
				}
				server, st := one(t, a)
				p := newPhone(t, server, a)
				g := p.says(test.question)
				if g.kind != test.kind || g.pushes != test.pushes {
					t.Errorf("the user sees %v", g)
				}
				time.Sleep(2 * time.Minute)
				if test.tap != "" {
					if g := p.taps(p.link(g.text)); !g.is("text", test.tap, 1, 0) {
						t.Errorf("a tap shows %v", g)
					}
				} else if test.kind == "text" && g.text != fallback {
					t.Errorf("the user reads %q", g.text)
				}
				if got := api.texts(testUser); !slices.Equal(got, test.sent) {
					t.Errorf("the API has sent %q, want %q", got, test.sent)
				}
				if n := h.all(); n != 1 {
					t.Errorf("%d starts", n)
				}
				if row := rowWith(t, st, test.question); row.Delivery != test.delivery {
					t.Errorf("%v, %v, %q", row.State, row.Delivery, row.Reason)
				}
				time.Sleep(time.Hour)
				if n := len(api.all()); n != len(test.sent) {
					t.Errorf("an hour later the API has sent %d messages", n)
				}
				if row := rowWith(t, st, test.question); !row.Due.IsZero() {
					t.Errorf("an hour later it is due at %v, %v", row.Due, row.Delivery)
				}
			})
		})
	}
}

// An answer that has become late while a handler was quick comes by the API as well, if the push that was
// to carry it was lost on the way: R-PUSH-LATE.
func TestNoPushTookIt(t *testing.T) {
	t.Parallel()
	for _, late := range []callback.Late{callback.LateAPI, callback.LateHold, callback.LateTicket} {
		t.Run(lateNames[late], func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(bot)
				a := patient(callback.Plain, h)
				a.Late = late
				api := new(fakeAPI)
				if late != callback.LateTicket {
					a.API = api
				}
				server, st := one(t, a)
				ctx, cut := context.WithTimeout(t.Context(), 2*time.Second)
				defer cut()
				pack(a, text("3s")).sendContext(ctx, server) // WeChat hangs up, and never comes again
				time.Sleep(30 * time.Second)
				row := only(t, st)
				if late == callback.LateTicket {
					if row.Delivery != store.Ticket || row.Reason == "" {
						t.Errorf("%v, %q", row.Delivery, row.Reason)
					}
					if g := newPhone(t, server, a).says("继续"); g.text != "re: 3s" {
						t.Errorf("the word shows %v", g)
					}
				} else if got := api.texts(testUser); !slices.Equal(got, []string{"re: 3s"}) || row.Delivery != store.Sent {
					t.Errorf("the API has sent %q, %v", got, row.Delivery)
				}
				if n := h.all(); n != 1 {
					t.Errorf("%d starts", n)
				}
			})
		})
	}
}

// WeChat takes three messages within a minute of a click, and five within 48 hours of a message:
// R-API-WINDOW. What nobody has asked for is kept for nobody.
func TestLadderOfEvents(t *testing.T) {
	t.Parallel()
	long := longText(5 * 1900)
	location := func(key string) string {
		return strings.Replace(event(testUser, "LOCATION", key), "</xml>", "<Latitude>23.1</Latitude><Longitude>113.3</Longitude><Precision>119</Precision></xml>", 1)
	}
	click := func(key string) string { return event(testUser, "CLICK", key) }
	for _, test := range []struct {
		name     string
		document func(key string) string
		handler  time.Duration
		answer   string
		api      bool
		kind     string
		pushes   int
		sent     int // by the API
		delivery store.Delivery
		reason   string
	}{
		{"a click, in its minute", click, 40 * time.Second, "x", true, "success", 1, 1, store.Sent, ""},
		{"a click, after its minute", click, 70 * time.Second, "x", true, "success", 1, 0, store.Ticket, "window closed"},
		{"a click, more than three messages", click, 10 * time.Second, long, true, "success", 1, 3, store.Ticket, ""},
		{"a text, more than three messages", text, 10 * time.Second, long, true, "success", 1, 3, store.Ticket, ""},
		{"a text, after a minute", text, 2 * time.Minute, "x", true, "success", 1, 1, store.Sent, ""},
		{"a click, no API", click, 20 * time.Second, "x", false, "text", 3, 0, store.Ticket, ""},
		{"a location, no API", location, 20 * time.Second, "x", false, "success", 3, 0, store.Undeliverable, "nobody waits"},
		{"a location", location, 20 * time.Second, "x", true, "success", 1, 1, store.Sent, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
					return echostr.Text(test.answer), pause(ctx, test.handler)
				}}
				a := patient(callback.Compatible, h)
				api := new(fakeAPI)
				if test.api {
					a.API = api
				}
				server, st := one(t, a)
				p := newPhone(t, server, a)
				if g := p.do(test.document("k")); g.kind != test.kind || g.pushes != test.pushes {
					t.Errorf("the user sees %v", g)
				}
				time.Sleep(5 * time.Minute)
				if n := len(api.all()); n != test.sent {
					t.Errorf("the API has sent %d messages, want %d", n, test.sent)
				}
				row := only(t, st)
				if row.Delivery != test.delivery || !strings.Contains(row.Reason, test.reason) || test.reason == "" && row.Reason != "" {
					t.Errorf("%v, %q, want %v, %q", row.Delivery, row.Reason, test.delivery, test.reason)
				}
				if n := h.all(); n != 1 {
					t.Errorf("%d starts", n)
				}
				if n := server.Stats().Undeliverable; (n == 1) != (test.delivery == store.Undeliverable) {
					t.Errorf("%d are counted as undeliverable", n)
				}
			})
		})
	}
}

// longText is a text of about so many bytes, in paragraphs and with things that must not be cut.
func longText(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "第%d段。今天天气很好，我们去公园散步👨‍👩‍👧‍👦，看 https://example.com/a/%d?x=1&y=2 吧！<a href=\"https://example.com/%d\">这里</a>也行。\n\n", i, i, i)
	}
	return strings.TrimSpace(b.String())
}

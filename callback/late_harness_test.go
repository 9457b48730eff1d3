package callback_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
)

// phone is a user of an account with WeChat in between, which pushes what he does up to three times, the
// next one when it has hung up on the one before after five seconds, and shows him what comes back.
type phone struct {
	t    testing.TB
	s    http.Handler
	a    callback.Account
	user string
	gap  time.Duration // between the end of a push and the next one
}

func newPhone(t testing.TB, s http.Handler, a callback.Account) *phone {
	return &phone{t: t, s: s, a: a, user: testUser}
}

// seen is what the user sees of one action.
type seen struct {
	text     string        // what he reads; empty: nothing, or a reply of another type
	kind     string        // MsgType of the reply, "success", or "fault" for the fault notice
	pushes   int           // how many there were
	after    time.Duration // when the last one ended, since the action
	document string        // what was pushed
}

func (g seen) String() string {
	return fmt.Sprintf("%s %q on push %d after %v", g.kind, g.text, g.pushes, g.after)
}

// is reports whether the user has seen this, at that time.
func (g seen) is(kind, text string, pushes int, after time.Duration) bool {
	return g.kind == kind && g.text == text && g.pushes == pushes && (g.after-after).Abs() <= 20*time.Millisecond
}

// do pushes a document as WeChat does, and holds every reply to what all of them must be.
func (p *phone) do(document string) (g seen) {
	p.t.Helper()
	g = seen{kind: "fault", document: document}
	w := pack(p.a, document)
	began := time.Now()
	for g.pushes < 3 {
		got := w.sendCut(p.s)
		g.pushes++
		if got.cut || got.aborted {
			time.Sleep(p.gap)
			continue
		}
		g.after = time.Since(began)
		document := ""
		if got.status == 200 {
			document = read(p.t, p.a, got.body)
		}
		switch {
		case document == "success":
			g.kind = "success"
		case document == "":
			p.t.Errorf("a push got %v", got)
		default:
			r := parseReply(p.t, document)
			g.kind, g.text = r.MsgType, r.Content
			if len(g.text) > echostr.MaxTextBytes {
				p.t.Errorf("a reply has %d bytes", len(g.text))
			}
			if r.ToUserName != p.user || r.FromUserName != testOriginal {
				p.t.Errorf("a reply to %q goes to %q", p.user, r.ToUserName)
			}
		}
		return g
	}
	g.after = time.Since(began)
	return g
}

func (p *phone) says(content string) seen {
	p.t.Helper()
	return p.do(textFrom(p.user, time.Now().Unix(), content))
}

// tapLink is a link that speaks for the user.
type tapLink struct{ content, id, text string }

var tapLinks = regexp.MustCompile(`<a href="weixin://bizmsgmenu\?msgmenucontent=([^&"]*)&msgmenuid=([^&"]*)">([^<]*)</a>`)

func linksIn(text string) (links []tapLink) {
	for _, m := range tapLinks.FindAllStringSubmatch(text, -1) {
		links = append(links, tapLink{m[1], m[2], m[3]})
	}
	return links
}

// link is the only link in a text.
func (p *phone) link(text string) tapLink {
	p.t.Helper()
	links := linksIn(text)
	if len(links) != 1 {
		p.t.Fatalf("%d links in %q, want one", len(links), text)
	}
	return links[0]
}

// tapped is the message of a tap on a link. WeChat may leave out its id.
func (p *phone) tapped(l tapLink) string {
	document := textFrom(p.user, time.Now().Unix(), l.content)
	if l.id == "" {
		return document
	}
	return strings.Replace(document, "</xml>", "<bizmsgmenuid>"+l.id+"</bizmsgmenuid></xml>", 1)
}

func (p *phone) taps(l tapLink) seen {
	p.t.Helper()
	return p.do(p.tapped(l))
}

// bot is a handler that does what the message says, and counts its starts by that.
type bot struct {
	// answer, if set, makes the answer. Else a text or the key of an event names, in its first word, how long the
	// handler takes.
	answer func(ctx context.Context, content string) (echostr.Reply, error)

	mu     sync.Mutex
	starts map[string]int
}

func (b *bot) Handle(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
	content := m.Head().MsgType
	switch m := m.(type) {
	case *echostr.TextMessage:
		content = m.Content
	case *echostr.ClickEvent:
		content = m.EventKey
	}
	b.mu.Lock()
	if b.starts == nil {
		b.starts = make(map[string]int)
	}
	b.starts[content]++
	answer := b.answer
	b.mu.Unlock()
	if answer != nil {
		return answer(ctx, content)
	}
	first, _, _ := strings.Cut(content, " ")
	d, err := time.ParseDuration(first)
	if err != nil {
		d = 0
	}
	if err := pause(ctx, d); err != nil {
		return nil, err
	}
	switch {
	case strings.Contains(content, "fails"):
		return nil, errors.New("it fails")
	case strings.Contains(content, "panics"):
		panic("it panics")
	case strings.Contains(content, "silent"):
		return nil, nil
	}
	return echostr.Text("re: " + content), nil
}

// started is how often the handler was started for a message.
func (b *bot) started(content string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.starts[content]
}

// all is how often it was started.
func (b *bot) all() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, starts := range b.starts {
		n += starts
	}
	return n
}

// pause sleeps, or less if ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rowWith is the row whose body has this in it.
func rowWith(t testing.TB, s store.Store, body string) store.Turn {
	t.Helper()
	for _, row := range rows(t, s) {
		if strings.Contains(row.Body, body) {
			return row
		}
	}
	t.Fatalf("there is no row of %q", body)
	return store.Turn{}
}

// patient is an account whose handlers have ten minutes.
func patient(mode callback.Mode, h echostr.Handler) callback.Account {
	a := account(mode, h)
	a.HandlerTimeout = 10 * time.Minute
	return a
}

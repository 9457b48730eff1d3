package simulator

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// TB is what a story needs of a *testing.T, so that package testing is not part of programs
// that import this package.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
	Context() context.Context
}

// StoryToken is the token (令牌) of a story's account, unless its configuration has another.
const StoryToken = "simulatorStoryToken01"

// StoryConfig says what a story is played with.
type StoryConfig struct {
	// Official is the account. Its URL defaults to "http://localhost/wx", its token to
	// StoryToken and its mode to Plain.
	Official OfficialConfig
	// Rules are WeChat's habits.
	Rules Rules
	// DialContext and Transport make the connections, if no handler is given.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	Transport   http.RoundTripper
	// Now is the platform's time, as in [PlatformConfig].
	Now func() time.Time
}

// Story is a test that reads like one: people act, and the test says what they see.
//
//	s := simulator.Start(t, server, nil)
//	ming := s.User("小明")
//	ming.Says("你好")
//	ming.SeesText("你好，小明")
//
// What a person does returns when WeChat is done pushing it. What a person sees is read in
// order: each Sees looks at the next bubble that came from the account, and what fails quotes
// everything that went over the wire for it. A fault notice that the story does not mention
// fails the test at its end.
type Story struct {
	t        TB
	platform *Platform
	official *Official
	people   []*Person
}

// Start begins a story with a server in this process, or with the one at the URL of c if
// server is nil; then c must say where. Otherwise c may be nil.
//
// A story works in a bubble of testing/synctest, where all waiting takes no time. Such a
// bubble begins in the year 2000, when a timestamp had nine digits; in that year Start first
// sleeps until 2026. A server with timers of its own should be made after that, or they
// go off for 26 years: sleep until 2026 before, as examples/story does.
func Start(t TB, server http.Handler, c *StoryConfig) *Story {
	t.Helper()
	leave2000()
	var config StoryConfig
	if c != nil {
		config = *c
	}
	account := &config.Official.Account
	if server != nil {
		config.Transport = Direct(server)
		account.URL = or(account.URL, "http://localhost/wx")
	} else if account.URL == "" {
		t.Fatalf("simulator: the story has no server; give Start a handler, or an URL in its StoryConfig")
	}
	account.Token, account.Mode = or(account.Token, StoryToken), or(account.Mode, Plain)
	p := NewPlatform(PlatformConfig{Rules: config.Rules, DialContext: config.DialContext, Transport: config.Transport, Now: config.Now})
	o, err := p.Add(config.Official)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s := &Story{t: t, platform: p, official: o}
	t.Cleanup(s.end)
	return s
}

// leave2000 sleeps until 2026 if it is the year 2000, which is in a bubble of testing/synctest only.
func leave2000() {
	if now := time.Now(); now.UTC().Year() == 2000 {
		time.Sleep(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Sub(now))
	}
}

// Platform returns the platform, for what a story has no words for. Its [Platform.API] is the
// HTTP API for the server under test.
func (s *Story) Platform() *Platform { return s.platform }

// Official returns the account.
func (s *Story) Official() *Official { return s.official }

// User returns a new person who follows the account, and has done so for long.
func (s *Story) User(nickname string) *Person { return s.person(s.official.AddFollower(nickname)) }

// Stranger returns a new person who does not follow the account.
func (s *Story) Stranger(nickname string) *Person { return s.person(s.official.AddUser(nickname)) }

func (s *Story) person(u *User) *Person {
	p := &Person{s: s, u: u}
	s.platform.mu.Lock()
	defer s.platform.mu.Unlock()
	s.people = append(s.people, p)
	return p
}

// end fails the test if somebody has read a fault notice that the story does not mention.
func (s *Story) end() {
	s.t.Helper()
	for _, p := range s.people {
		for _, b := range p.u.Chat() {
			if b.Kind == "fault" && b.ID > p.seen {
				s.t.Errorf("%s has read the fault notice, which the story does not mention.\n%s", p.u.nickname, s.wire(b.Exchange))
			}
		}
	}
}

// Person is one user in a [Story]. Different people may act at the same time, one person
// does one thing after the other.
type Person struct {
	s      *Story
	u      *User
	seen   int64 // the last bubble that the story has looked at
	within time.Duration
	last   *Report
}

// User returns the user, for what a story has no words for.
func (p *Person) User() *User { return p.u }

// Last returns the report of the last thing that the person did and that was pushed, nil
// before the first.
func (p *Person) Last() *Report { return p.last }

// did takes note of what an action has come to.
func (p *Person) did(r *Report, err error) {
	p.s.t.Helper()
	if err != nil {
		p.s.t.Fatalf("%s cannot do this: %v", p.u.nickname, err)
	}
	if r != nil {
		p.last = r
	}
}

// Says sends a text message.
func (p *Person) Says(text string) {
	p.s.t.Helper()
	p.did(p.u.Say(p.s.t.Context(), text))
}

// Speaks sends a voice message with these words.
func (p *Person) Speaks(words string) {
	p.s.t.Helper()
	p.did(p.u.Speak(p.s.t.Context(), words))
}

// Sends sends any message, such as simulator.Image("", "").
func (p *Person) Sends(m Message) {
	p.s.t.Helper()
	p.did(p.u.Send(p.s.t.Context(), m))
}

// Follows follows the account.
func (p *Person) Follows() {
	p.s.t.Helper()
	p.did(p.u.Follow(p.s.t.Context()))
}

// FollowsBy scans a QR code with this scene and follows the account.
func (p *Person) FollowsBy(scene string) {
	p.s.t.Helper()
	p.did(p.u.FollowByScene(p.s.t.Context(), scene))
}

// Unfollows stops following.
func (p *Person) Unfollows() {
	p.s.t.Helper()
	p.did(p.u.Unfollow(p.s.t.Context()))
}

// Scans scans a QR code with this scene as a follower.
func (p *Person) Scans(scene string) {
	p.s.t.Helper()
	p.did(p.u.Scan(p.s.t.Context(), scene))
}

// Clicks taps a menu button, named by its key, its name or its position. While the account has
// no menu, it is one of the type click with this key.
func (p *Person) Clicks(button string) {
	p.s.t.Helper()
	ctx := p.s.t.Context()
	if p.s.official.Menu() == nil {
		p.did(p.u.perform(ctx, action{message: Click(button), trigger: triggerMenu}))
		return
	}
	reports, err := p.u.Click(ctx, button, nil)
	var last *Report
	if len(reports) > 0 {
		last = reports[len(reports)-1]
	}
	p.did(last, err)
}

// Taps taps a weixin://bizmsgmenu link in the chat, named by what is read there.
func (p *Person) Taps(link string) {
	p.s.t.Helper()
	p.did(p.u.Tap(p.s.t.Context(), link))
}

// Chooses taps an entry of a menu message (msgmenu).
func (p *Person) Chooses(entry string) {
	p.s.t.Helper()
	p.did(p.u.ChooseMenu(p.s.t.Context(), entry))
}

// Within returns the same person, who waits so long for the next thing to see, for messages
// that come by the customer-service API. In a bubble of testing/synctest waiting takes no time.
//
//	ming.Within(time.Minute).SeesText("算好了")
func (p *Person) Within(d time.Duration) *Person {
	p.within = d
	return p
}

// next returns the next bubble that came to the person.
func (p *Person) next() (Bubble, bool) {
	ctx, cancel := context.WithTimeout(p.s.t.Context(), p.within)
	defer cancel()
	p.within = 0
	for {
		last := p.s.platform.LastChange()
		for _, b := range p.u.Chat() {
			own := b.From == FromUser || slices.Contains([]string{"follow", "unfollow", "scan"}, b.Kind)
			if b.ID > p.seen && !own {
				p.seen = b.ID
				return b, true
			}
		}
		if _, _, _, err := p.s.platform.Changes(ctx, last); err != nil {
			return Bubble{}, false
		}
	}
}

// Sees looks at the next bubble and returns it: one of this kind, by the table at [Bubble].
func (p *Person) Sees(kind string) Bubble {
	p.s.t.Helper()
	b, ok := p.next()
	if !ok || b.Kind != kind {
		p.fail(b, ok, "a bubble of the kind "+kind)
	}
	return b
}

// SeesText looks at the next bubble: a text, with exactly this content, or one that reads so
// when its links are drawn.
func (p *Person) SeesText(want string) Bubble {
	p.s.t.Helper()
	b, ok := p.next()
	if !ok || b.Kind != "text" || b.Text != want && b.Reads() != want {
		p.fail(b, ok, fmt.Sprintf("the text %q", want))
	}
	return b
}

// SeesTextWith looks at the next bubble: a text that has this in it.
func (p *Person) SeesTextWith(part string) Bubble {
	p.s.t.Helper()
	b, ok := p.next()
	if !ok || b.Kind != "text" || !strings.Contains(b.Text, part) && !strings.Contains(b.Reads(), part) {
		p.fail(b, ok, fmt.Sprintf("a text with %q in it", part))
	}
	return b
}

// SeesNews looks at the next bubble: articles with these titles.
func (p *Person) SeesNews(titles ...string) Bubble {
	p.s.t.Helper()
	b, ok := p.next()
	var got []string
	for _, a := range b.Articles {
		got = append(got, a.Title)
	}
	if !ok || b.Kind != "news" || !slices.Equal(got, titles) {
		p.fail(b, ok, fmt.Sprintf("articles with the titles %q", titles))
	}
	return b
}

// SeesNothing looks whether there is no bubble left to look at, and whether the server
// answered the last thing that the person did as it should.
func (p *Person) SeesNothing() {
	p.s.t.Helper()
	if b, ok := p.next(); ok {
		p.fail(b, ok, "nothing")
	} else if p.last != nil && !p.last.Verdict.OK() {
		p.fail(b, ok, "nothing, after a good answer")
	}
}

// SeesFault looks at the next bubble: the fault notice.
func (p *Person) SeesFault() {
	p.s.t.Helper()
	if b, ok := p.next(); !ok || b.Kind != "fault" {
		p.fail(b, ok, "the fault notice")
	}
}

func (p *Person) fail(b Bubble, ok bool, want string) {
	p.s.t.Helper()
	got := "nothing"
	exchange := int64(0)
	if ok {
		got, exchange = b.String(), b.Exchange
	}
	if exchange == 0 { // the last message of the person
		for _, e := range p.s.platform.Exchanges() {
			if e.OpenID == p.u.openID {
				exchange = e.ID
			}
		}
	}
	p.s.t.Errorf("%s should see %s, but sees %s\n%s", p.u.nickname, want, got, p.s.wire(exchange))
}

// wire quotes what went over the wire.
func (s *Story) wire(exchange int64) string {
	e, ok := s.platform.Exchange(exchange)
	if !ok {
		return "(nothing was pushed)"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, sent by %s, was pushed as\n%s", e.Summary, e.Nickname, indent(e.Report.Document))
	for i, push := range e.Report.Pushes {
		fmt.Fprintf(&b, "%s\n", push)
		if push.Outcome == Answered {
			b.WriteString(indent(push.Body))
			if opened, ok := e.Opened(i + 1); ok {
				b.WriteString("  which is, in clear,\n" + indent(opened))
			}
		}
	}
	fmt.Fprintf(&b, "verdict: %s", e.Report.Verdict)
	if n := len(e.Report.Pushes); n > 0 && e.Report.Pushes[n-1].Status == http.StatusNotFound {
		u, _ := url.Parse(s.official.Config().Account.URL) // which it was made with
		fmt.Fprintf(&b, "\nThe story pushes to the path %s: set StoryConfig.Official.Account.URL to the path of the handler.", u.EscapedPath())
	}
	return b.String()
}

// indent quotes the beginning of a text.
func indent(text []byte) string {
	const most = 4096
	more := ""
	if len(text) > most {
		more = fmt.Sprintf("\n(and %d bytes more)", len(text)-most)
		text = text[:most]
	}
	quoted := strings.TrimSpace(string(text))
	switch {
	case quoted == "":
		quoted = "(nothing)"
	case !utf8.ValidString(quoted):
		quoted = fmt.Sprintf("%q", quoted)
	}
	return "  | " + strings.ReplaceAll(quoted+more, "\n", "\n  | ") + "\n"
}

package callback_test

import (
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store/memory"
	"github.com/echostr/echostr/wxapi"
)

var update = flag.Bool("update", false, "rewrite the parts of documents that tests have observed")

// This file observes from the outside what the users of docs/late-answers see, and writes it there.

// lateKind is a column of the table: whose server it is, and what account.
type lateKind struct {
	name  string
	late  callback.Late // 0: a plain SDK
	kind  simulator.Kind
	calls bool // the account is verified, so that it has the customer-service API
}

var lateKinds = []lateKind{
	{"a plain SDK", 0, simulator.Subscription, false},
	{"verified, api", callback.LateAPI, simulator.Service, true},
	{"verified, hold", callback.LateHold, simulator.Service, true},
	{"unverified", callback.LateTicket, simulator.Subscription, false},
}

var lateWorks = []time.Duration{
	time.Second, 4 * time.Second, 6 * time.Second, 12 * time.Second,
	14500 * time.Millisecond, 20 * time.Second, time.Minute, 5 * time.Minute,
}

// glimpse is a moment at which the user sees something.
type glimpse struct {
	At  time.Duration // since the message, in half seconds
	Way string        // push 1, push 2, …: of the message; tap: of a tap; API
	See string        // answer, link, fault
}

// run is what comes of one message.
type run struct {
	Seen   []glimpse
	Starts int      // of the handler
	Pushes int      // of the message
	Calls  []string // of WeChat's API
}

func (r *run) see(at time.Duration, way, what string) {
	r.Seen = append(r.Seen, glimpse{at.Round(time.Second / 2), way, what})
}

// predict is what the rules give, computed without a server. The user taps every link at once.
func (k lateKind) predict(work time.Duration, rules simulator.Rules) (r run) {
	if k.late == 0 {
		// Each push is another message to it, and none of their handlers is done before WeChat has hung up.
		if r.Starts, r.Pushes = 1, 1; work < 5*time.Second {
			r.see(work, "push 1", "answer")
			return r
		}
		r.Starts, r.Pushes = rules.Pushes, rules.Pushes
		r.see(time.Duration(rules.Pushes)*5*time.Second, "", "fault")
		return r
	}
	r.Starts = 1
	// The handler is started when the message is stored, and its answer is given out when that is stored.
	ready := work + 2*storeTakes
	for at := time.Duration(0); ; {
		f := foresee(max(ready-at, 0), k.late, rules, 300*time.Millisecond)
		way := "tap"
		if at == 0 {
			way, r.Pushes = fmt.Sprintf("push %d", f.pushes), f.pushes
		}
		at += f.at
		switch {
		case f.sees == simulator.SeesNothing:
			r.see(ready, "API", "answer")
			r.Calls = []string{"/cgi-bin/stable_token", "/cgi-bin/message/custom/send"}
		case f.placeholder:
			r.see(at, way, "link")
			continue
		default:
			r.see(at, way, "answer")
		}
		return r
	}
}

// storeTakes is how long a write of the store takes, so that no two things happen at the same moment.
const storeTakes = time.Millisecond

// scene is an account of a platform, a user of it, and the server.
type scene struct {
	platform *simulator.Platform
	user     *simulator.User
	starts   func() int
	began    time.Time
}

// play sets the scene. The handler answers a question as say tells, when the work is done.
func (k lateKind) play(t *testing.T, rules simulator.Rules, say func(question string) (answer string, work time.Duration)) *scene {
	t.Helper()
	var server http.Handler
	s := new(scene)
	s.platform = simulator.NewPlatform(simulator.PlatformConfig{
		Rules:     rules,
		Transport: simulator.Direct(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { server.ServeHTTP(w, r) })),
	})
	mode := callback.Safe
	if k.late == 0 {
		mode = callback.Plain
	}
	a := account(mode, nil)
	o, err := s.platform.Add(simulator.OfficialConfig{
		Account: simulator.Account{
			URL: "http://wechat.test/wx/demo", Token: a.Token, Mode: simulator.Mode(mode.String()), AppID: a.AppID, EncodingAESKey: a.EncodingAESKey,
		},
		Kind: k.kind, Verified: k.calls,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.user = o.AddFollower("小明")
	var starts atomic.Int64
	s.starts = func() int { return int(starts.Load()) }
	handle := func(question string) string {
		starts.Add(1)
		answer, work := say(question)
		time.Sleep(work)
		return answer
	}
	if k.late == 0 {
		server = plainSDK(handle)
		return s
	}
	r := echostr.NewRouter()
	echostr.On(r, func(_ context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.Text(handle(m.Content)), nil
	}).Late(10 * time.Minute)
	echostr.On(r, func(_ context.Context, m *echostr.ClickEvent) (echostr.Reply, error) {
		return echostr.Text(handle(m.EventKey)), nil
	}).Late(10 * time.Minute)
	a.Handler, a.Late = r, k.late
	if k.calls {
		client, err := wxapi.New(wxapi.Config{AppID: o.AppID(), AppSecret: wxapi.NewSecret(o.Config().AppSecret), Transport: simulator.Direct(s.platform.API())})
		if err != nil {
			t.Fatal(err)
		}
		a.API = viaWeChat{client}
	}
	server = start(t, callback.Config{Accounts: []callback.Account{a}, Store: &faulty{Store: memory.New(memory.Config{}), slow: storeTakes}})
	return s
}

// say is what the user does who taps every link that comes in answer, at once.
func (s *scene) say(t *testing.T, text string) {
	t.Helper()
	s.began = time.Now()
	_, err := s.user.Say(t.Context(), text)
	for range 100 {
		if err != nil {
			t.Fatal(err)
		}
		chat := s.user.Chat()
		link := menuLink(&chat[len(chat)-1])
		if link == "" {
			return
		}
		_, err = s.user.Tap(t.Context(), link)
	}
	t.Error("the user taps and taps, and no answer comes")
}

// menuLink is what the user reads of the link that sends something, if a bubble of the account has one.
func menuLink(b *simulator.Bubble) string {
	for _, s := range b.Spans {
		if s.Kind == simulator.SpanMenu {
			return s.Text
		}
	}
	return ""
}

// observe is what has come of the first message of the chat, whose answer is known.
func (s *scene) observe(t *testing.T, answer string) (r run) {
	t.Helper()
	r.Starts = s.starts()
	chat := s.user.Chat()
	for _, e := range s.platform.Exchanges() {
		if e.ID == chat[0].Exchange {
			r.Pushes = len(e.Report.Pushes)
		}
	}
	for i := range chat {
		b := &chat[i]
		at := b.At.Sub(s.began)
		way := "tap"
		switch {
		case b.Way == simulator.WayAPI:
			way = "API"
		case b.Exchange == chat[0].Exchange:
			way = fmt.Sprintf("push %d", r.Pushes)
		}
		switch {
		case b.From == simulator.FromUser:
		case b.Kind == "fault":
			r.see(at, "", "fault")
		case menuLink(b) != "":
			r.see(at, way, "link")
		case b.From == simulator.FromAccount && b.Text == answer:
			r.see(at, way, "answer")
		default:
			t.Errorf("the user sees %v", b)
		}
	}
	for _, c := range s.platform.APICalls() {
		r.Calls = append(r.Calls, c.Path)
		if c.Errcode != 0 || c.Status != http.StatusOK {
			t.Errorf("%s was answered with %d, errcode %d", c.Path, c.Status, c.Errcode)
		}
	}
	return r
}

// plainSDK answers like a library without a memory: whatever comes in is handled inside the
// request, and what the handler returns is written into it, whether or not WeChat still listens.
func plainSDK(handle func(question string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("signature") != sign(testToken, q.Get("timestamp"), q.Get("nonce")) {
			http.Error(w, "wrong signature", http.StatusForbidden)
			return
		}
		var m struct{ ToUserName, FromUserName, Content string }
		if err := xml.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, "no message", http.StatusBadRequest)
			return
		}
		answer := handle(m.Content)
		fmt.Fprintf(w, "<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[%s]]></FromUserName><CreateTime>%d</CreateTime>"+
			"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[%s]]></Content></xml>", m.FromUserName, m.ToUserName, time.Now().Unix(), answer)
	})
}

// viaWeChat sends by a client of WeChat's API, and judges its errors more simply than package server does.
type viaWeChat struct{ *wxapi.Client }

func (c viaWeChat) Send(ctx context.Context, openID string, r echostr.Reply) callback.Sending {
	err := c.Client.Send(ctx, openID, r, nil)
	refusal, refused := errors.AsType[*wxapi.Error](err)
	switch {
	case err == nil:
		return callback.Sending{Fate: callback.SendDone}
	case wxapi.OutcomeOf(err) == wxapi.OutcomeUnknown:
		return callback.Sending{Fate: callback.SendUnknown, Reason: "no answer"}
	case refused && !refusal.Retry():
		return callback.Sending{Fate: callback.SendRefused, Reason: "refused"}
	}
	return callback.Sending{Fate: callback.SendLater, Reason: "not sent"}
}

// The table of docs/late-answers: however long the handler takes, it is started once, no account's user
// reads the fault notice, and the answer arrives, when and as the rules say. R-TIME-TABLE
func TestLateTable(t *testing.T) {
	t.Parallel()
	const question, answer = "你好", "您好！"
	table := make([][]run, len(lateWorks))
	for i, work := range lateWorks {
		for _, k := range lateKinds {
			var runs [2]run
			for j := range runs {
				rules := simulator.Rules{Pushes: 3 + j}
				t.Run(fmt.Sprintf("%v/%s/%d pushes", work, k.name, rules.Pushes), func(t *testing.T) {
					in2026(t, func(t *testing.T) {
						s := k.play(t, rules, func(string) (string, time.Duration) { return answer, work })
						s.say(t, question)
						time.Sleep(time.Until(s.began.Add(work + time.Minute))) // whatever happens late
						runs[j] = s.observe(t, answer)
						if diff := cmp.Diff(k.predict(work, rules), runs[j]); diff != "" {
							t.Errorf("the rules (-) and the user (+) say:\n%s", diff)
						}
					})
				})
			}
			// As the document says.
			if k.late != 0 && !cmp.Equal(runs[0], runs[1]) {
				t.Errorf("%s, %v: a fourth push makes a difference", k.name, work)
			}
			table[i] = append(table[i], runs[0])
		}
	}
	if t.Failed() {
		return
	}
	for _, l := range languages {
		documented(t, "docs/late-answers"+l.suffix, "table", l.table(table, lateWorks, 0, 1, 2, 3))
		documented(t, "README"+l.suffix, "late answers", l.table(table, []time.Duration{4 * time.Second, 12 * time.Second, time.Minute}, 0, 3, 1))
	}
}

// The three ways to an answer that waits, as they stand in a chat and in docs/late-answers.
func TestLateTexts(t *testing.T) {
	t.Parallel()
	const question, answer = "推荐一本书", "《活着》，余华著。"
	for _, way := range []struct {
		name, says, reads string
		starts            int
	}{
		{"tap", "", answer, 1},
		{"word", "继续", answer, 1},
		{"ahead", "几点开门", "您之前问“推荐一本书”：\n" + answer + "\n\n————\n\n早上九点。", 2},
	} {
		t.Run(way.name, func(t *testing.T) {
			in2026(t, func(t *testing.T) {
				s := lateKinds[3].play(t, simulator.Rules{}, func(asked string) (string, time.Duration) {
					if asked == question {
						return answer, 20 * time.Second
					}
					return "早上九点。", 0
				})
				s.began = time.Now()
				_, err := s.user.Say(t.Context(), question)
				time.Sleep(time.Until(s.began.Add(25 * time.Second)))
				chat := s.user.Chat()
				switch link := menuLink(&chat[len(chat)-1]); {
				case err != nil:
				case way.says != "":
					_, err = s.user.Say(t.Context(), way.says)
				default:
					_, err = s.user.Tap(t.Context(), link)
				}
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				chat = s.user.Chat()
				for i := range chat {
					if chat[i].From == simulator.FromAccount {
						got = append(got, reads(&chat[i]))
					}
				}
				want := []string{"还在处理，请稍候。好了以后点 [查看回答 K7]，或回复“继续”。", way.reads}
				if diff := cmp.Diff(want, got); diff != "" || s.starts() != way.starts {
					t.Fatalf("%d starts, want %d; the user reads, want (-), got (+):\n%s", s.starts(), way.starts, diff)
				}
				for _, l := range languages {
					documented(t, "docs/late-answers"+l.suffix, way.name, l.transcript(chat, s.began))
				}
			})
		})
	}
}

// A click lets the API write for a minute only. What comes later is kept, and WeChat is not asked in vain. R-API-WINDOW
func TestLateWindow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		work    time.Duration
		bubbles int // of the account
		last    string
	}{
		{50 * time.Second, 2, "再见！"},
		{70 * time.Second, 1, "您好！\n\n————\n\n再见！"},
	} {
		t.Run(test.work.String(), func(t *testing.T) {
			in2026(t, func(t *testing.T) {
				s := lateKinds[1].play(t, simulator.Rules{}, func(asked string) (string, time.Duration) {
					if asked == "HELLO" {
						return "您好！", test.work
					}
					return "再见！", 0
				})
				s.user.Official().SetMenu(&simulator.Menu{Buttons: []simulator.Button{{Type: "click", Name: "你好", Key: "HELLO"}}})
				if _, err := s.user.Click(t.Context(), "你好", nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				if _, err := s.user.Say(t.Context(), "再见"); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, b := range s.user.Chat() {
					if b.From == simulator.FromAccount {
						got = append(got, b.Text)
					}
				}
				if len(got) != test.bubbles || !strings.HasSuffix(got[len(got)-1], test.last) {
					t.Errorf("the user reads %q, want %d and %q at last", got, test.bubbles, test.last)
				}
				for _, c := range s.platform.APICalls() {
					if c.Errcode != 0 {
						t.Errorf("%s was answered with errcode %d", c.Path, c.Errcode)
					}
				}
			})
		})
	}
}

// reads is a bubble as the user reads it, with links in brackets. Codes are all the same.
func reads(b *simulator.Bubble) string {
	if len(b.Spans) == 0 {
		return code(b.Text)
	}
	var text strings.Builder
	for _, s := range b.Spans {
		if s.Kind == simulator.SpanMenu {
			s.Text = "[" + s.Text + "]"
		}
		text.WriteString(s.Text)
	}
	return code(text.String())
}

var codePattern = regexp.MustCompile(`(查看回答 )[2-9A-Z]{2,8}`)

func code(text string) string { return codePattern.ReplaceAllString(text, "${1}K7") }

var documents sync.Mutex

// documented holds a part of a document to what was observed, or rewrites it.
func documented(t *testing.T, file, part, want string) {
	t.Helper()
	begin := "<!-- " + part + ": written by go test ./callback -run TestLate -update -->\n\n"
	end := "\n<!-- end of " + part + " -->\n"
	documents.Lock()
	defer documents.Unlock()
	file = filepath.Join("..", filepath.FromSlash(file)+".md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	got, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the part %q: put there the lines\n%s%s", file, part, begin, end)
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (+) is not what was observed (-); rewrite it with -update:\n%s", file, diff)
	}
}

// language is how what was observed is said.
type language struct {
	suffix        string // of files
	user, account string
	head          []string // of the table: of the first column, and by lateKinds
	second        string   // the unit
	answer, api   string   // %[1]s: when; %[2]d: on which push
	link          string   // %[1]s: when it comes, %[2]s: when the answer does, %[3]d: after how many taps
	fault         string   // %[1]s: when, %[2]d: after how many starts
}

var languages = []language{
	{
		suffix: "", user: "user: ", account: "account: ",
		head:   []string{"the handler takes", "a plain SDK", "verified, `late: api`", "verified, `late: hold`", "not verified (`late: ticket`)"},
		second: "%v s",
		answer: "answer at %[1]s, on push %[2]d", api: "answer at %[1]s, by the API",
		link:  "link at %[1]s, tapped %[3]d×; answer at %[2]s",
		fault: "**fault notice** at %[1]s, no answer, handled %[2]d×",
	},
	{
		suffix: ".zh-CN", user: "用户：", account: "公众号：",
		head:   []string{"处理用时", "普通 SDK", "已认证，`late: api`", "已认证，`late: hold`", "未认证（`late: ticket`）"},
		second: "%v 秒",
		answer: "第 %[1]s收到回复（第 %[2]d 次推送）", api: "第 %[1]s收到回复（客服消息）",
		link:  "第 %[1]s看到链接，点 %[3]d 次，第 %[2]s收到回复",
		fault: "第 %[1]s看到**故障提示**，没有回复，处理了 %[2]d 次",
	},
}

// cell says what comes of a message.
func (l *language) cell(r run) string {
	last := r.Seen[len(r.Seen)-1]
	at := fmt.Sprintf(l.second, last.At.Seconds())
	switch {
	case last.See == "fault":
		return fmt.Sprintf(l.fault, at, r.Starts)
	case last.Way == "API":
		return fmt.Sprintf(l.api, at)
	case last.Way == "tap":
		return fmt.Sprintf(l.link, fmt.Sprintf(l.second, r.Seen[0].At.Seconds()), at, len(r.Seen)-1)
	}
	push, _ := strconv.Atoi(strings.TrimPrefix(last.Way, "push "))
	return fmt.Sprintf(l.answer, at, push)
}

// table writes some rows and columns of what was observed, which has all in order.
func (l *language) table(all [][]run, works []time.Duration, columns ...int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |", l.head[0])
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", l.head[1+c])
	}
	fmt.Fprintf(&b, "\n|%s\n", strings.Repeat(" --- |", 1+len(columns)))
	for i, row := range all {
		if !slices.Contains(works, lateWorks[i]) {
			continue
		}
		fmt.Fprintf(&b, "| "+l.second+" |", lateWorks[i].Seconds())
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", l.cell(row[c]))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// transcript writes a chat.
func (l *language) transcript(chat []simulator.Bubble, began time.Time) string {
	var b strings.Builder
	b.WriteString("```text\n")
	for i := range chat {
		who := l.account
		if chat[i].From == simulator.FromUser {
			who = l.user
		}
		at := fmt.Sprintf("%v s", chat[i].At.Sub(began).Round(time.Second/2).Seconds())
		fmt.Fprintf(&b, "%6s  %s%s\n", at, who, strings.ReplaceAll(reads(&chat[i]), "\n", "\n        "))
	}
	b.WriteString("```\n")
	return strings.ReplaceAll(b.String(), "        \n", "\n")
}

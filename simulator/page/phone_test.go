package page_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/echostr/echostr/simulator"
)

func TestEcho(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := openTab(t, w.url, 1280, 860, "good")
	p.say("你好，世界")
	p.sees("你好，世界")
	p.wait("the row says that it was answered", `document.querySelector('.row[data-mood="good"] .words')?.textContent === '你好，世界'`)
	if marks := eval[int](p, `document.querySelectorAll('.row .mark').length`); marks != 1 {
		t.Errorf("%d marks for one push", marks)
	}

	// An Enter that ends a composition is the input method's.
	if value := eval[string](p, `(() => {
		const say = document.querySelector('#say');
		say.value = 'nihao';
		say.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}));
		return say.value;
	})()`); value != "nihao" {
		t.Errorf("a composition was sent; the field has %q", value)
	}

	// Both are on screen beside each other, and all fits.
	if !eval[bool](p, `['#phone', '#wire'].every((s) => document.querySelector(s).getClientRects().length)`) {
		t.Error("phone and wire are not both shown at 1280 px")
	}
	p.fits("the page at 1280")
}

func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.official.SetRules(simulator.Rules{Timeout: 3 * time.Second}) // the first push is held until it is cut
	p := openTab(t, w.url, 1280, 860, "good")
	p.say("慢 8")
	p.wait("the push is drawn while it runs", `document.querySelector('.mark.running')`)
	p.say("快") // meanwhile
	p.sees("快")
	p.sees("等了 8 秒")
	p.wait("the exchange has ended", `document.querySelector('[data-exchange="1"]').dataset.mood === 'good'`)
	got := eval[[]string](p, `[...document.querySelectorAll('[data-exchange="1"] .mark')].map((m) => m.dataset.push + ' ' + m.dataset.outcome)`)
	if strings.Join(got, ", ") != "1 cut, 2 answered" {
		t.Errorf("the pushes are drawn as %q", got)
	}
	// The second begins where the first was cut.
	if !eval[bool](p, `(() => {
		const [a, b] = [...document.querySelectorAll('[data-exchange="1"] .mark')].map((m) => m.getBoundingClientRect());
		return a.width > 20 && Math.abs(b.left - a.right) < a.width / 3 && b.top > a.top;
	})()`) {
		t.Error("the second push does not stand behind the first")
	}
	if ticks := eval[[]string](p, `[...document.querySelectorAll('[data-exchange="1"] .tick')].map((n) => n.textContent)`); strings.Join(ticks, " ") != "0 3 6 9 s" {
		t.Errorf("the axis has %q for pushes of 3 s", ticks)
	}
	if caption := eval[string](p, `[...document.querySelectorAll('.bubble.account')].find((b) => b.textContent.includes('等了')).querySelector('.caption').textContent`); !strings.Contains(caption, "第 2 次推送") {
		t.Errorf("the bubble says %q", caption)
	}
}

func TestFollowByScene(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := openTab(t, w.url, 390, 844, "good")
	p.click("#add-user")
	p.set(`dialog [name="nickname"]`, "小红")
	p.click(`dialog button[type="submit"]`)
	p.wait("the account's page is shown", `document.querySelector('#follow')`)
	p.fits("the account's page at 390")
	p.click("#follow-scan")
	p.set(`dialog [name="scene"]`, "weibo")
	p.fits("the dialog at 390")
	p.click(`dialog button[type="submit"]`)
	p.sees("欢迎，场景值 qrscene_weibo")
	p.wait("the chat says so", `[...document.querySelectorAll('.line')].some((n) => n.textContent.includes('已关注'))`)
	if got := len(w.official.Users()); got != 2 {
		t.Errorf("there are %d users", got)
	}
	p.click("#profile")
	p.click("#unfollow")
	p.wait("the account's page is shown again", `document.querySelector('#follow')`)
	p.click("#follow")
	p.sees("欢迎，场景值 ")
}

func TestMenu(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := openTab(t, w.url, 390, 844, "good")
	p.click(`[data-menu="0"]`)
	p.sees("点了 TODAY")
	p.click(`[data-menu="1"]`)
	p.fits("the open menu")
	p.click(`[data-menu="1.0"]`)
	p.sees("点了 HELP")

	// A menu that the server makes appears by itself.
	w.official.SetMenu(&simulatorMenu)
	p.click(`[data-menu="0"]`)
	p.sees("点了 NEW")

	p.say("menu")
	p.click(`.bubble.account .link`)
	p.sees("要咖啡")
}

func TestActions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := openTab(t, w.url, 390, 844, "good")
	for _, tt := range []struct{ action, kind, reply string }{
		{"picture", "image", "收到 image"},
		{"voice", "voice", "收到 voice"},
		{"video", "video", "收到 video"},
		{"location", "location", "收到 location"},
		{"link", "link", "收到 link"},
		{"file", "file", "收到 file"},
	} {
		if !eval[bool](p, `Boolean(document.querySelector('.panel'))`) {
			if !eval[bool](p, `Boolean(document.querySelector('#plus'))`) {
				p.click("#bar-switch")
			}
			p.click("#plus")
		}
		p.click(fmt.Sprintf(`[data-action=%q]`, tt.action))
		p.fits("the dialog of " + tt.action)
		p.click(`dialog button[type="submit"]`)
		p.sees(tt.reply)
		p.wait("the bubble is drawn", fmt.Sprintf(`document.querySelector('.bubble.user[data-kind=%q] .body')`, tt.kind))
	}
	p.wait("the picture is the simulator's own", `document.querySelector('.image img')?.naturalWidth > 0`)
	p.fits("a chat with everything in it")
	if outside := eval[[]string](p, `performance.getEntriesByType('resource').map((e) => e.name).filter((n) => !n.startsWith(location.origin))`); len(outside) > 0 {
		t.Errorf("loaded from elsewhere: %q", outside)
	}
}

// TestReplies has the account answer with everything that it can answer with.
func TestReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := openTab(t, w.url, 390, 844, "good")
	for _, tt := range []struct{ text, shown string }{
		{"image", `.bubble.account .image img[src*="simulated_image"]`},
		{"image elsewhere", `.bubble.account .elsewhere`},
		{"voice", `.bubble.account .sound`},
		{"video", `.bubble.account .video .title`},
		{"music", `.bubble.account .card.music`},
		{"news many", `.bubble.account .article.first`},
		{"transfer_customer_service", `.line[data-kind="transfer"]`},
	} {
		p.say(tt.text)
		p.wait("the reply is drawn", fmt.Sprintf(`document.querySelector(%s)`, quote(tt.shown)))
	}
	p.fits("every reply")
	p.click(".card.music")
	p.wait("the address is shown before anybody goes there", `document.querySelector('dialog .address')?.textContent === 'https://example.com/a.mp3'`)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := openTab(t, w.url, 1280, 860, "good")
	for i, tt := range []struct{ text, problem, chinese, english string }{
		{"swapped", "swapped", "收发双方写反了", "wrong way round"},
		{"json", "json", "回复成了 JSON", "JSON"},
	} {
		p.say(tt.text)
		p.click(fmt.Sprintf(`[data-exchange="%d"][data-mood="bad"] .head`, i+1))
		p.wait("the verdict in Chinese", fmt.Sprintf(`document.querySelector('.verdict[data-problem=%q]')?.textContent.includes(%s)`, tt.problem, quote(tt.chinese)))
		p.click("#language")
		p.wait("the verdict in English", fmt.Sprintf(`document.querySelector('.verdict[data-problem=%q]')?.textContent.includes(%s)`, tt.problem, quote(tt.english)))
		p.fits("the verdict")
		p.click("#language")
		p.click(".detail-top .icon-button")
	}
	if n := eval[int](p, `document.querySelectorAll('.line.fault').length`); n != 2 {
		t.Errorf("the user sees %d fault notices", n)
	}
}

// TestUnreachable begins with a server that is not there.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "wrong token", http.StatusForbidden) }))
	p := openTab(t, w.url, 390, 844, "bad")
	p.click("#connection")
	p.wait("the drawer says what is wrong", `document.querySelector('#settings .check.bad')?.textContent.includes('Token 不一致')`)
	p.fits("the drawer at 390")
	if strings.Contains(eval[string](p, `document.documentElement.outerHTML`), token) {
		t.Error("the token is in the page before anybody asked for it")
	}
	p.click("#show-token")
	p.wait("the token is shown", fmt.Sprintf(`document.querySelector('#settings').textContent.includes(%s)`, quote(token)))
}

func TestS15HostileText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.official.AddUser(`<img src=x onerror="window.hacked=1">`)
	p := openTab(t, w.url, 390, 844, "good")
	p.say("xss")
	p.sees(hostile)
	p.say(hostile)
	p.wait("it was answered", `document.querySelectorAll('.bubble.account').length === 2`)
	p.fits("a chat with hostile text")
	p.click("#tab-wire")
	p.click(`[data-exchange="1"] .head`)
	p.wait("the bytes are shown", `document.querySelector('.half[data-half="response"]')?.textContent.includes('onerror')`)
	p.fits("hostile bytes")
	if eval[bool](p, `'hacked' in window`) {
		t.Error("a script in a text ran")
	}
	if n := eval[int](p, `document.querySelectorAll('.bubble script, .bubble img, .bubble b, .http img').length`); n != 0 {
		t.Errorf("%d elements were made of text", n)
	}
}

func TestDetails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := openTab(t, w.url, 390, 844, "good")
	p.say("你好")
	p.sees("你好")
	p.click(".bubble.account .caption")
	p.wait("the request is shown", `document.querySelector('.half[data-half="request"]')?.textContent.includes('<Content><![CDATA[你好]]></Content>')`)
	p.wait("the response is shown", `document.querySelector('.half[data-half="response"]')?.textContent.includes('200 OK')`)
	if facts := eval[string](p, `document.querySelector('.push .facts').textContent`); strings.Contains(facts, "后") || !strings.Contains(facts, "开始，用时") {
		t.Errorf("the first push says that it is later than itself: %s", facts)
	}
	p.fits("the details at 390")

	p.click(`[data-tool="edit"]`)
	p.set("#edit-xml", strings.Replace(string(w.platform.Exchanges()[0].Report.Document), "你好", "改过了", 1))
	p.fits("the editor at 390")
	p.click("#send-xml")
	p.wait("the changed message is shown", `document.querySelector('.detail-top h2')?.textContent.includes('#2')`)
	p.click(".detail-top .icon-button")
	p.wait("the changed message was answered", `document.querySelector('[data-exchange="2"]')?.dataset.mood === 'good'`)
	p.fits("the wire at 390")
	p.click("#tab-phone")
	p.sees("改过了")
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := openTab(t, w.url, 390, 844, "good")
	p.say("news")
	p.wait("the article is there", `document.querySelector('.article .title')?.textContent === '今天的文章'`)
	p.fits("a card with a long address")
	if got := eval[string](p, `document.documentElement.lang + ' ' + document.querySelector('#tab-wire').textContent`); got != "zh-CN 报文" {
		t.Errorf("a browser that wants Chinese gets %q", got)
	}
	p.click("#language")
	p.wait("the page is English", `document.documentElement.lang === 'en' && document.querySelector('#tab-wire').textContent === 'Wire'`)
	p.fits("the phone in English")
	p.click("#tab-wire")
	p.fits("the wire in English")
	p.click("#open-settings")
	p.wait("the drawer is English", `document.querySelector('#settings').textContent.includes("How WeChat pushes")`)
	p.fits("the drawer in English")
	p.set("#rule-pushes", "4")
	for deadline := time.Now().Add(patience); w.official.Rules().Pushes != 4; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the account has %d pushes", w.official.Rules().Pushes)
		}
	}
	p.click("#add-fault")
	p.wait("the fault is listed", `document.querySelector('.faults code')?.textContent === '*=-1'`)
}

// TestAgainShows: what was sent again is shown, and not what somebody else has said meanwhile.
func TestAgainShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	hong := w.official.AddFollower("小红")
	p := openTab(t, w.url, 1280, 860, "good")
	p.say("你好")
	p.click(`[data-exchange="1"] .head`)
	p.wait("the bytes are there", `document.querySelector('.http')`)
	// The page's request is held back.
	eval[bool](p, `(() => {
		const fetched = window.fetch;
		const gate = new Promise((open) => { window.openGate = open; });
		window.fetch = async (path, ...rest) => { if (path === '/api/again') await gate; return fetched(path, ...rest); };
		return true;
	})()`)
	eval[bool](p, `(document.querySelectorAll('.tools button')[1].click(), true)`)
	if _, err := hong.Say(t.Context(), "我也在"); err != nil {
		t.Fatal(err)
	}
	p.wait("it has been heard of", `document.querySelector('[data-exchange="2"][data-mood="good"]')`)
	if hash := eval[string](p, `location.hash`); hash != "#exchange/1" {
		t.Errorf("the page shows %s, which somebody else has sent", hash)
	}
	eval[bool](p, `(window.openGate(), true)`)
	p.wait("it is shown", `location.hash === '#exchange/3'`)
}

// TestReconnect breaks the stream. The page connects again by itself, and what came
// meanwhile is there.
func TestReconnect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := openTab(t, w.url, 1280, 860, "good")
	eval[bool](p, `(() => {
		new MutationObserver(() => { window.lost ||= document.querySelector('#connection')?.dataset.state === 'lost'; })
			.observe(document.querySelector('#top'), {childList: true, subtree: true, attributes: true});
		return true;
	})()`)
	w.front.CloseClientConnections()
	if _, err := w.ming.Say(t.Context(), "来自别处"); err != nil {
		t.Fatal(err)
	}
	p.sees("来自别处")
	p.wait("the page is connected again", `document.querySelector('#connection')?.dataset.state === 'good'`)
	if !eval[bool](p, `Boolean(window.lost)`) {
		t.Error("the page did not say that it was cut off")
	}
	if n := eval[int](p, `document.querySelectorAll('.bubble').length`); n != 2 {
		t.Errorf("%d bubbles where there are 2", n)
	}
}

// TestUsers says something to somebody who is not on the screen.
func TestUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	hong := w.official.AddFollower("小红")
	p := openTab(t, w.url, 390, 844, "good")
	p.say("半句话") // the draft of one user is not the other's
	p.sees("半句话")
	if _, err := hong.Say(t.Context(), "我是小红"); err != nil {
		t.Fatal(err)
	}
	button := fmt.Sprintf(`[data-user=%q]`, hong.OpenID())
	p.wait("there is a mark for what was not read", fmt.Sprintf(`document.querySelector(%s + ' .unread')`, quote(button)))
	p.click(button)
	p.sees("我是小红")
	if eval[bool](p, `document.querySelector('.chat').textContent.includes('半句话') || Boolean(document.querySelector('.unread'))`) {
		t.Error("one user sees the chat of another, or what was read is not")
	}
	p.fits("several users")
}

// TestCustomerService answers late, by the API: a bubble, a mark on the axis and a row for the call.
func TestCustomerService(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if err := w.official.Configure(simulator.OfficialConfig{Kind: simulator.Service, Verified: true}); err != nil {
		t.Fatal(err)
	}
	p := openTab(t, w.url, 1280, 860, "good")
	p.say("你好")
	p.sees("你好")
	api := func(path, body string) string {
		t.Helper()
		r := httptest.NewRequest("POST", "http://localhost"+path, strings.NewReader(body))
		answer := httptest.NewRecorder()
		w.platform.API().ServeHTTP(answer, r)
		return answer.Body.String()
	}
	c := w.official.Config()
	var got struct {
		Token string `json:"access_token"`
	}
	if text := api("/cgi-bin/stable_token", fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q}`, c.Account.AppID, c.AppSecret)); json.Unmarshal([]byte(text), &got) != nil || got.Token == "" {
		t.Fatal(text)
	}
	send := "/cgi-bin/message/custom/send?access_token=" + got.Token
	if text := api(send, fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":"迟到的回复"}}`, w.ming.OpenID())); !strings.Contains(text, `"errcode":0`) {
		t.Fatal(text)
	}
	if text := api("/cgi-bin/message/custom/typing?access_token="+got.Token, fmt.Sprintf(`{"touser":%q,"command":"Typing"}`, w.ming.OpenID())); !strings.Contains(text, `"errcode":0`) {
		t.Fatal(text)
	}
	p.wait("the account is typing", `document.querySelector('.titlebar h1').textContent === '对方正在输入…'`)
	if text := api(send, `{"touser":"nobody","msgtype":"text","text":{"content":"x"}}`); !strings.Contains(text, "40003") {
		t.Fatal(text)
	}
	p.sees("迟到的回复")
	p.wait("the axis has a mark for it", `document.querySelectorAll('[data-exchange="1"] .diamond').length === 1`)
	p.wait("the calls are listed", `document.querySelectorAll('.row.call').length === 4`)
	p.wait("the errcode is there", `[...document.querySelectorAll('.row.call .chip.bad')].some((n) => n.textContent.includes('40003'))`)
	p.wait("and its meaning", `[...document.querySelectorAll('.row.call .outcome.bad')].some((n) => n.textContent.includes('40003 OpenID 不对'))`)
	p.fits("the wire with calls")
	p.click(`.row.call .head`)
	p.wait("the call is shown", `document.querySelector('.wire-detail .http')?.textContent.includes('custom/send')`)
	p.wait("with its meaning", `document.querySelector('.wire-detail .outcome.bad')?.textContent.includes('40003 OpenID 不对')`)
	if strings.Contains(eval[string](p, `document.documentElement.outerHTML`), got.Token) {
		t.Error("the access_token is in the page")
	}
	p.click("#open-settings")
	p.wait("the windows are counted", `document.querySelector('#settings').textContent.includes('还能发 4 条')`)
}

// TestCurl lets a shell read the command that the page copies.
func TestCurl(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	w := newWorld(t, nil)
	p := openTab(t, w.url, 390, 844, "good")
	const body = "@<xml>\n<Content><![CDATA[it's \"$HOME\" `id` \\ 你好]]></Content></xml>"
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	command, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(
		`import('/assets/detail.js').then((m) => m.curl({method: 'POST', url: "http://localhost/wx?a=1&b='[x]", headers: [['X-A', "it's"]], body: %s}))`, quote(body)), chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), shell, "-c", `curl() { for a in "$@"; do printf '%s\0' "$a"; done; }`+"\n"+command).Output()
	want := []string{"-ig", "-X", "POST", "http://localhost/wx?a=1&b='[x]", "-H", "X-A: it's", "--data-raw", body, ""}
	if got := strings.Split(string(out), "\x00"); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s\nis read as %q: %v", command, got, err)
	}
}

// Of a server with several nodes each push says to which it went.
func TestNodes(t *testing.T) {
	t.Parallel()
	bot := &testBot{}
	w := newWorld(t, bot)
	one, two := httptest.NewServer(bot), httptest.NewServer(bot)
	t.Cleanup(one.Close)
	t.Cleanup(two.Close)
	nodes := []string{one.Listener.Addr().String(), two.Listener.Addr().String()}
	if err := w.official.Configure(simulator.OfficialConfig{Account: simulator.Account{URL: "http://wx.example/wx", Nodes: nodes}}); err != nil {
		t.Fatal(err)
	}
	w.official.SetRules(simulator.Rules{Timeout: 3 * time.Second})
	p := openTab(t, w.url, 1280, 860, "good")
	p.say("慢 8")
	p.sees("等了 8 秒")
	p.wait("the exchange has ended", `document.querySelector('[data-exchange="1"]').dataset.mood === 'good'`)
	labels := eval[[]string](p, `[...document.querySelectorAll('[data-exchange="1"] .label')].map((n) => n.textContent)`)
	if len(labels) != 2 || !strings.HasPrefix(labels[0], "1 · "+nodes[0]+" · ") || !strings.HasPrefix(labels[1], "2 · "+nodes[1]+" · ") {
		t.Errorf("the pushes are called %q", labels)
	}
}

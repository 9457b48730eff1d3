package page_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/echostr/echostr/simulator"
)

// ticketBot keeps answers that come too late for the user to fetch: it holds the first two pushes
// of 慢 40, and answers the third with a placeholder. 长 3000 has three pages. Whatever else is
// said, it answers with success and later.
type ticketBot struct {
	mu   sync.Mutex
	seen map[string]int // pushes, by MsgId
}

func ticketLink(text, content string) string {
	return fmt.Sprintf(`<a href="weixin://bizmsgmenu?msgmenucontent=%s&msgmenuid=KEY">%s</a>`, content, text)
}

var (
	placeholder = "还在处理，请稍候。好了以后点 " + ticketLink("查看回答 7K", "查看回答 7K") + "，或回复“继续”。"
	longPage    = strings.Repeat("一二三四五六七八九十", 50)
)

func (b *ticketBot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		fmt.Fprint(w, r.URL.Query().Get("echostr"))
		return
	}
	var m struct {
		testPush
		MenuID string `xml:"bizmsgmenuid"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || xml.Unmarshal(body, &m) != nil {
		http.Error(w, "not XML", http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	if b.seen == nil {
		b.seen = map[string]int{}
	}
	b.seen[m.MsgID]++
	number := b.seen[m.MsgID]
	b.mu.Unlock()
	answer := ""
	switch {
	case m.Content == "慢 40" && number < 3:
		<-r.Context().Done() // held until WeChat cuts it
		return
	case m.Content == "慢 40":
		answer = placeholder
	case m.Content == "长 3000":
		answer = longPage + "\n\n" + ticketLink("下一页（2/3）", "查看回答 7K-2")
	case m.MenuID == "KEY" && m.Content == "查看回答 7K":
		answer = "等了 40 秒"
	case m.MenuID == "KEY" && m.Content == "查看回答 7K-1":
		answer = longPage
	case m.MenuID == "KEY" && m.Content == "查看回答 7K-2":
		answer = longPage + "\n\n" + ticketLink("上一页", "查看回答 7K-1") + "  " + ticketLink("下一页（3/3）", "查看回答 7K-3")
	case m.MenuID == "KEY" && m.Content == "查看回答 7K-3":
		answer = "完"
	case m.Content == "你好":
		answer = "你好"
	default:
		fmt.Fprint(w, "success")
		return
	}
	fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1400000000</CreateTime><MsgType>text</MsgType><Content><![CDATA[%s]]></Content></xml>", m.FromUserName, m.ToUserName, answer)
}

// twoAccounts is a world with a verified service account beside the unverified subscription account.
func twoAccounts(t *testing.T) (w *world, service *simulator.Official, gang *simulator.User) {
	t.Helper()
	w = newWorld(t, new(ticketBot))
	w.official.SetMenu(nil)
	service, err := w.platform.Add(simulator.OfficialConfig{
		Account: simulator.Account{URL: w.official.Config().Account.URL, Token: token, Mode: simulator.Plain}, Name: "服务号", Kind: simulator.Service, Verified: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, service, service.AddFollower("小刚")
}

// sendLate sends a text by the customer-service API.
func sendLate(t *testing.T, w *world, o *simulator.Official, openID, text string) {
	t.Helper()
	call := func(path, body string, v any) {
		t.Helper()
		answer := httptest.NewRecorder()
		w.platform.API().ServeHTTP(answer, httptest.NewRequest("POST", "http://localhost"+path, strings.NewReader(body)))
		if err := json.Unmarshal(answer.Body.Bytes(), v); err != nil {
			t.Fatal(err)
		}
	}
	var got struct {
		Token   string `json:"access_token"`
		Errcode int
	}
	c := o.Config()
	call("/cgi-bin/stable_token", fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q}`, c.Account.AppID, c.AppSecret), &got)
	call("/cgi-bin/message/custom/send?access_token="+got.Token, fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":%q}}`, openID, text), &got)
	if got.Errcode != 0 {
		t.Fatalf("custom/send: errcode %d", got.Errcode)
	}
}

// tap clicks the newest link with this text.
func (p *tab) tap(text string) {
	p.t.Helper()
	p.wait("there is a link "+text, fmt.Sprintf(`(() => {
		document.querySelectorAll('[data-tapped]').forEach((n) => n.removeAttribute('data-tapped'));
		[...document.querySelectorAll('.bubble.account .link')].findLast((n) => n.textContent === %s)?.setAttribute('data-tapped', '');
		return document.querySelector('[data-tapped]');
	})()`, quote(text)))
	p.click("[data-tapped]")
}

// TestTicket has an answer that no push can carry: the user reads a placeholder and taps its link.
// A long answer has several links, one for each page.
func TestTicket(t *testing.T) {
	t.Parallel()
	w, _, _ := twoAccounts(t)
	w.official.SetRules(simulator.Rules{Timeout: 3 * time.Second}) // two pushes are held until they are cut
	p := openTab(t, w.url, 1280, 860, "good")
	p.say("慢 40")
	p.sees("还在处理，请稍候。好了以后点 查看回答 7K，或回复“继续”。")
	p.tap("查看回答 7K")
	p.sees("等了 40 秒") // the bot has had the id of the link
	p.wait("the user has said what the link says", `[...document.querySelectorAll('.bubble.user .text')].at(-1).textContent === '查看回答 7K'`)
	p.wait("the tap is a row of its own", `document.querySelector('[data-exchange="2"][data-mood="good"] .kind')?.textContent === '点链接'`)
	p.wait("the tap is drawn with the message that it is about", `document.querySelectorAll('[data-exchange="1"] circle.tap').length === 1`)
	if got := eval[[]string](p, `[...document.querySelectorAll('[data-exchange="1"] .mark')].map((m) => m.dataset.push + ' ' + m.dataset.outcome)`); strings.Join(got, ", ") != "1 cut, 2 cut, 3 answered" {
		t.Errorf("the pushes are drawn as %q", got)
	}
	if got := eval[string](p, `document.querySelector('[data-exchange="1"] .outcome').textContent`); !strings.Contains(got, "点 查看回答 7K，") || strings.Contains(got, "href") {
		t.Errorf("the row reads %q, and not what the user does", got)
	}

	p.say("长 3000")
	p.tap("下一页（2/3）")
	p.tap("下一页（3/3）")
	p.sees("完")
	p.tap("上一页") // of the page before
	p.wait("all taps are drawn with the first message", `document.querySelectorAll('[data-exchange="3"] circle.tap').length === 3`)
	if got := eval[string](p, `document.querySelector('[data-exchange="3"] .label.aside').textContent`); !strings.Contains(got, "点了 3 次链接") {
		t.Errorf("three taps are labelled %q", got)
	}
	if got := eval[[]string](p, `[...new Set([...document.querySelectorAll('.bubble .link')].map((n) => getComputedStyle(n).display))]`); strings.Join(got, "") != "inline" {
		t.Errorf("links are drawn as %q; lines would not break in them", got)
	}
	p.fits("tickets at 1280")
	p.do("resize", chromedp.EmulateViewport(390, 844))
	p.fits("a long text with links at 390")
	p.click("#tab-wire")
	p.fits("tickets on the wire at 390")
	p.click(`[data-exchange="5"] .head`)
	p.wait("it says which answer had the link", `document.querySelector('.wire-detail .facts .link')?.textContent === '#4'`)
	p.click(`.wire-detail .facts .link`)
	p.click(`.wire-detail .facts .link`)
	p.wait("it lists what was tapped", `[...document.querySelectorAll('.later .link')].map((n) => n.textContent).join() === '#4,#5,#6'`)
	p.fits("what came later at 390")

	// Whoever comes later sees the same.
	p.do("reload", chromedp.Navigate(w.url+"/?"))
	p.wait("the taps are there", `document.querySelectorAll('[data-exchange="1"] circle.tap').length === 1 && document.querySelectorAll('[data-exchange="3"] circle.tap').length === 3`)
}

// TestLate answers by the customer-service API. WeChat does not say which message is answered,
// and the page finds it all the same: not one that a push has answered.
func TestLate(t *testing.T) {
	t.Parallel()
	w, service, gang := twoAccounts(t)
	p := openTab(t, w.url, 1280, 860, "good")
	p.click("#account-" + service.AppID())
	p.wait("it is the service account's chat", fmt.Sprintf(`document.querySelector('.person')?.dataset.user === %q`, gang.OpenID()))
	for _, text := range []string{"慢 20", "慢 8"} {
		p.say(text)
		p.wait("it has ended without an answer", `document.querySelector('.row')?.dataset.mood === 'quiet'`)
		p.wait("it is the newest", fmt.Sprintf(`document.querySelector('.row .words').textContent === %q`, text))
	}
	if got := eval[string](p, `document.querySelector('.row .axis .label').textContent`); !strings.Contains(got, "不回复") {
		t.Errorf("a push without a reply is labelled %q", got)
	}
	sendLate(t, w, service, gang.OpenID(), "等了 8 秒")
	p.sees("等了 8 秒")
	p.say("你好")
	p.sees("你好")
	sendLate(t, w, service, gang.OpenID(), "等了 20 秒")
	p.sees("等了 20 秒")
	check := func() {
		t.Helper()
		p.wait("each row has its own answer", `[1, 2, 3].map((n) => {
			const row = document.querySelector('[data-exchange="' + n + '"]');
			return row.querySelectorAll('.diamond').length + row.dataset.mood + row.querySelector('.outcome').textContent;
		}).join() === '1good↩ 等了 20 秒,1good↩ 等了 8 秒,0good↩ 你好'`)
	}
	check()
	p.wait("the calls say to whom and what", `[...document.querySelectorAll('.row.call .what')].filter((n) => n.textContent.includes('小刚') && n.textContent.includes('message/custom/send 等了')).length === 2`)
	p.wait("the bubbles say how they came", `[...document.querySelectorAll('.bubble.account .caption')].filter((n) => n.textContent.startsWith('客服消息 · ')).length === 2`)
	p.fits("late answers at 1280")
	p.do("reload", chromedp.Navigate(w.url+"/?"))
	p.wait("the account is still the one chosen", `document.querySelectorAll('.bubble.account').length === 3`)
	check()

	p.say("长 9000") // whose parts come right behind each other
	p.wait("it has begun", `document.querySelector('[data-exchange="4"]')`)
	for _, part := range []string{"第一部分", "第二部分", "第三部分"} {
		sendLate(t, w, service, gang.OpenID(), part)
	}
	p.sees("第三部分")
	p.wait("the parts are drawn as one answer", `(() => {
		const row = document.querySelector('[data-exchange="4"]');
		return row.querySelectorAll('.diamond').length === 3 && row.querySelectorAll('.label.aside').length === 1 &&
			row.querySelector('.label.aside').textContent.startsWith('3 条客服消息') && row.querySelector('.outcome').textContent === '↩ 第一部分';
	})()`)

	p.click(`[data-exchange="1"] .head`)
	p.wait("the details have the answer", `document.querySelector('.later .words')?.textContent === '等了 20 秒' && document.querySelector('.verdict').textContent.includes('客服消息')`)
	p.fits("the details of a late answer")
	p.do("resize", chromedp.EmulateViewport(390, 844))
	p.click("#language")
	p.fits("the details of a late answer at 390")
	p.click("#tab-phone")
	p.fits("two accounts at 390")
}

// TestAccounts goes from one account to the other: each has its own users, chat and wire.
func TestAccounts(t *testing.T) {
	t.Parallel()
	w, service, gang := twoAccounts(t)
	hong := w.official.AddFollower("小红")
	p := openTab(t, w.url, 390, 844, "good")
	p.click(fmt.Sprintf(`[data-user=%q]`, hong.OpenID()))
	p.say("你好")
	p.sees("你好")
	p.click("#tab-wire")
	p.click(`[data-exchange="1"] .head`)
	p.wait("the details are shown", `document.querySelector('.wire-detail .http')`)
	if _, err := gang.Say(t.Context(), "你好"); err != nil {
		t.Fatal(err)
	}
	other := "#account-" + service.AppID()
	p.wait("there is a mark for what was not read", fmt.Sprintf(`document.querySelector('%s .unread')`, other))
	p.click(other)
	p.wait("the wire is the other account's", `location.hash === '' && [...document.querySelectorAll('.row')].map((n) => n.dataset.exchange).join() === '2'`)
	p.click("#tab-phone")
	p.wait("so is the phone", fmt.Sprintf(`document.querySelector('.titlebar h1').textContent === '服务号' && document.querySelectorAll('.person[data-user]').length === 1 && !document.querySelector('%s .unread')`, other))
	p.fits("two accounts")
	p.click("#account-" + w.official.AppID())
	sendLate(t, w, service, gang.OpenID(), "别的公众号")
	p.wait("it has been heard of", fmt.Sprintf(`document.querySelector('%s .unread')`, other))
	if n := eval[int](p, `document.querySelectorAll('.row.call').length`); n != 0 {
		t.Errorf("%d calls of the other account are on the wire", n)
	}
	p.wait("the user is the one chosen before", fmt.Sprintf(`document.querySelector('.person[aria-pressed="true"]').dataset.user === %q`, hong.OpenID()))
}

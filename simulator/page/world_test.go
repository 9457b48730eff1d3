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

	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/page"
)

const token = "pageTestToken2026"

// world is a platform with one account and a small server, and the page of it.
type world struct {
	t        *testing.T
	platform *simulator.Platform
	official *simulator.Official
	ming     *simulator.User
	url      string // of the page
	front    *httptest.Server
}

// patient is long enough for any machine. Tests that want a cut hold the push and set a Timeout of their own.
const patient = 15 * time.Second

// newWorld starts everything. bot answers the messages; nil is the usual one.
func newWorld(t *testing.T, bot http.Handler) *world {
	t.Helper()
	if bot == nil {
		bot = &testBot{}
	}
	server := httptest.NewServer(bot)
	t.Cleanup(server.Close)
	w := &world{t: t, platform: simulator.NewPlatform(simulator.PlatformConfig{Rules: simulator.Rules{Timeout: patient}})}
	var err error
	w.official, err = w.platform.Add(simulator.OfficialConfig{
		Account: simulator.Account{URL: server.URL + "/wx", Token: token, Mode: simulator.Plain}, Name: "回声",
	})
	if err != nil {
		t.Fatal(err)
	}
	w.official.SetMenu(&simulator.Menu{Buttons: []simulator.Button{
		{Type: "click", Name: "今日", Key: "TODAY"},
		{Name: "更多", SubButtons: []simulator.Button{{Type: "click", Name: "帮助", Key: "HELP"}, {Type: "view", Name: "网站", URL: "https://example.com/"}}},
	}})
	w.ming = w.official.AddFollower("小明")
	w.front = httptest.NewServer(page.Handler(w.platform, page.Options{Context: t.Context()}))
	t.Cleanup(w.front.Close)
	w.url = w.front.URL
	return w
}

// ask makes a request of the page's API, as the page does.
func (w *world) ask(method, path, body string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// act does something as 小明.
func (w *world) act(action string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"account":%q,"user":%q,%s}`, w.official.AppID(), w.ming.OpenID(), action)
	if status, text := w.ask("POST", "/api/act", body); status != http.StatusAccepted {
		w.t.Fatalf("%s: %d %s", action, status, text)
	}
}

// testBot is a server in the plain mode, right unless it is asked to be wrong.
type testBot struct {
	mu   sync.Mutex
	seen map[string]int // pushes, by MsgId
}

type testPush struct {
	ToUserName, FromUserName, MsgType, Event, EventKey, Content, Recognition string
	MsgID                                                                    string `xml:"MsgId"`
}

func (b *testBot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		fmt.Fprint(w, r.URL.Query().Get("echostr"))
		return
	}
	var m testPush
	body, err := io.ReadAll(r.Body)
	if err != nil || xml.Unmarshal(body, &m) != nil {
		http.Error(w, "not XML", http.StatusBadRequest)
		return
	}
	text := func(to, from, content string) {
		fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1400000000</CreateTime><MsgType>text</MsgType><Content><![CDATA[%s]]></Content></xml>", to, from, content)
	}
	reply := func(content string) { text(m.FromUserName, m.ToUserName, content) }
	switch {
	case m.Content == "慢 8":
		b.mu.Lock()
		if b.seen == nil {
			b.seen = map[string]int{}
		}
		b.seen[m.MsgID]++
		first := b.seen[m.MsgID] == 1
		b.mu.Unlock()
		if first {
			<-r.Context().Done() // until WeChat cuts it
			return
		}
		reply("等了 8 秒")
	case m.Content == "swapped":
		text(m.ToUserName, m.FromUserName, "反了")
	case m.Content == "json":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"content": "你好"})
	case m.Content == "xss":
		reply(hostile)
	case m.Content == "menu":
		reply(`请选择：<a href="weixin://bizmsgmenu?msgmenucontent=要咖啡&msgmenuid=7">咖啡</a>`)
	case m.Content == "news":
		fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1400000000</CreateTime><MsgType>news</MsgType><ArticleCount>1</ArticleCount>"+
			"<Articles><item><Title>今天的文章</Title><Description>说明</Description><PicUrl>https://example.com/%s.png</PicUrl><Url>https://example.com/a</Url></item></Articles></xml>",
			m.FromUserName, m.ToUserName, strings.Repeat("long", 40))
	case replies[m.Content] != "":
		kind, _, _ := strings.Cut(m.Content, " ")
		fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1400000000</CreateTime><MsgType>%s</MsgType>%s</xml>",
			m.FromUserName, m.ToUserName, kind, replies[m.Content])
	case m.MsgType == "event" && m.Event == "subscribe":
		reply("欢迎，场景值 " + m.EventKey)
	case m.MsgType == "event" && m.Event == "CLICK":
		reply("点了 " + m.EventKey)
	case m.MsgType == "event":
		fmt.Fprint(w, "success")
	case m.MsgType == "text":
		reply(m.Content)
	default:
		reply("收到 " + m.MsgType)
	}
}

// hostile is what must be shown as it is.
const hostile = `<script>window.hacked=1</script><img src=x onerror="window.hacked=1"><b onclick='window.hacked=1'>粗</b> javascript:window.hacked=1`

var simulatorMenu = simulator.Menu{Buttons: []simulator.Button{{Type: "click", Name: "新的", Key: "NEW"}}}

// replies are what the bot answers to these texts.
var replies = map[string]string{
	"image":           "<Image><MediaId>simulated_image</MediaId></Image>",
	"image elsewhere": "<Image><MediaId>not_here</MediaId></Image>",
	"voice":           "<Voice><MediaId>simulated_voice</MediaId></Voice>",
	"video":           "<Video><MediaId>simulated_video</MediaId><Title>一段视频</Title><Description>说明文字</Description></Video>",
	"music":           "<Music><Title>一首歌</Title><Description>歌手</Description><MusicUrl>https://example.com/a.mp3</MusicUrl><ThumbMediaId>simulated_thumb</ThumbMediaId></Music>",
	"news many": "<ArticleCount>1</ArticleCount><Articles><item><Title>" + strings.Repeat("很长的标题", 20) + "</Title><Description></Description><PicUrl></PicUrl><Url>https://example.com/" +
		strings.Repeat("x", 300) + "</Url></item></Articles>",
	"transfer_customer_service": "<TransInfo><KfAccount>agent@test</KfAccount></TransInfo>",
}

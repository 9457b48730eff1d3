package simulator

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/internal/pipenet"
)

var (
	plainAccount = Account{URL: "http://wx.example/wx/dev", Token: "canaryToken12345", Mode: Plain, OriginalID: "gh_8c001c7d976e"}
	safeAccount  = Account{
		URL: "http://wx.example/wx/dev", Token: "canaryToken12345", Mode: Safe, OriginalID: "gh_8c001c7d976e",
		AppID: "wxb11529c136998cb6", EncodingAESKey: "HnYhR6LUkNcWhBJAYLj6ouAP6VDRw9DTwIpuNC8K6ag",
	}
	modes = []Mode{Plain, Compatible, Safe}
)

func account(m Mode) Account {
	a := safeAccount
	a.Mode = m
	return a
}

// virtual runs f in a bubble, in 2026.
func virtual(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		leave2000()
		f(t)
	})
}

// serve runs a real HTTP server in memory until the test ends.
func serve(t *testing.T, h http.HandlerFunc) *pipenet.Listener {
	l := pipenet.Listen()
	srv := &http.Server{Handler: h}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return l
}

func newWeChat(t testing.TB, c Config) *WeChat {
	t.Helper()
	if c.Account.URL == "" {
		c.Account = plainAccount
	}
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// send sends m to a handler without connections.
func send(t testing.TB, c Config, m Message, h http.HandlerFunc) *Report {
	t.Helper()
	if h != nil {
		c.Transport = Direct(h)
	}
	r, err := newWeChat(t, c).Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// push is a request as the server under test sees it.
type push struct {
	query  url.Values
	header http.Header
	body   string
	conn   string
	at     time.Time
}

// textReply answers a push with a text, as the server of acc.
func textReply(t testing.TB, acc Account, p push, content string) string {
	t.Helper()
	doc, err := parseXML([]byte(openPush(t, acc, p)))
	if err != nil {
		t.Fatal(err)
	}
	return replyXML(acc, doc.value("FromUserName"), doc.value("ToUserName"), "<MsgType>text</MsgType>"+cdata("Content", content))
}

// replyXML is a reply, sealed in the safe mode.
func replyXML(acc Account, to, from, rest string) string {
	reply := "<xml>" + cdata("ToUserName", to) + cdata("FromUserName", from) + "<CreateTime>1700000000</CreateTime>" + rest + "</xml>"
	if acc.Mode == Safe {
		return envelope(acc, reply)
	}
	return reply
}

func envelope(acc Account, reply string) string {
	key, _ := decodeKey(acc.EncodingAESKey)
	enc := seal(key, []byte(reply), acc.AppID)
	return "<xml>" + cdata("Encrypt", enc) + cdata("MsgSignature", sign(acc.Token, "1700000000", "123", enc)) + number("TimeStamp", 1700000000) + cdata("Nonce", "123") + "</xml>"
}

// openPush checks signatures and shape of a push and returns the document in it.
func openPush(t testing.TB, acc Account, p push) string {
	t.Helper()
	one := func(name string) string {
		if len(p.query[name]) != 1 {
			t.Errorf("%s is there %d times", name, len(p.query[name]))
		}
		return p.query.Get(name)
	}
	ts, nonce := one("timestamp"), one("nonce")
	if len(ts) != 10 || strings.Trim(ts+nonce, "0123456789") != "" {
		t.Errorf("timestamp %q, nonce %q", ts, nonce)
	}
	if one("signature") != sign(acc.Token, ts, nonce) {
		t.Error("the signature is wrong")
	}
	if acc.Mode == Plain {
		if p.query.Has("encrypt_type") || p.query.Has("msg_signature") {
			t.Error("a plain push says that it is encrypted")
		}
		return p.body
	}
	outer, err := parseXML([]byte(p.body))
	if err != nil {
		t.Fatal(err)
	}
	enc := strings.TrimSpace(outer.value("Encrypt"))
	if one("encrypt_type") != "aes" || one("msg_signature") != sign(acc.Token, ts, nonce, enc) {
		t.Error("msg_signature is wrong")
	}
	key, _ := decodeKey(acc.EncodingAESKey)
	msg, err := open(key, enc, acc.AppID)
	if err != nil {
		t.Fatal(err)
	}
	switch acc.Mode {
	case Safe:
		if len(outer.children) != 2 || outer.value("ToUserName") == "" {
			t.Errorf("a safe push has other elements: %s", p.body)
		}
	case Compatible:
		inner, err := parseXML(msg)
		if err != nil {
			t.Fatal(err)
		}
		if len(outer.children) != len(inner.children)+1 {
			t.Errorf("a compatible push has other elements: %s", p.body)
		}
		for _, c := range inner.children {
			if outer.value(c.name) != c.text {
				t.Errorf("%s differs", c.name)
			}
		}
	}
	return string(msg)
}

func receive(r *http.Request) push {
	body, _ := io.ReadAll(r.Body)
	return push{query: r.URL.Query(), header: r.Header, body: string(body), conn: r.RemoteAddr, at: time.Now()}
}

func TestEverythingInEveryMode(t *testing.T) {
	t.Parallel()
	scene := strings.Repeat("_", 3) + "场景]]>&<x>"
	for _, mode := range modes {
		for name, tt := range map[string]struct {
			m    Message
			want map[string]string // nil: absent
		}{
			"text":        {Text("你好 ]]> <b>&amp;"), map[string]string{"MsgType": "text", "Content": "你好 ]]> <b>&amp;"}},
			"menu":        {MenuText("满意", "a_1"), map[string]string{"MsgType": "text", "Content": "满意", "bizmsgmenuid": "a_1"}},
			"image":       {Image("", ""), map[string]string{"MsgType": "image", "PicUrl": somePicture, "MediaId": someMediaID}},
			"voice":       {Voice("id"), map[string]string{"MsgType": "voice", "MediaId": "id", "Format": "amr"}},
			"recognition": {Voice("", "天气"), map[string]string{"MsgType": "voice", "Recognition": "天气", "MediaId": someMediaID, "Format": "amr"}},
			"unheard":     {Voice("", ""), map[string]string{"MsgType": "voice", "Recognition": "", "MediaId": someMediaID, "Format": "amr"}},
			"video":       {Video("v", "t"), map[string]string{"MsgType": "video", "MediaId": "v", "ThumbMediaId": "t"}},
			"shortvideo":  {ShortVideo("v", "t"), map[string]string{"MsgType": "shortvideo", "MediaId": "v", "ThumbMediaId": "t"}},
			"location":    {Location(-31.285774, 120.59761, 19, "苏州"), map[string]string{"MsgType": "location", "Location_X": "-31.285774", "Location_Y": "120.597610", "Scale": "19", "Label": "苏州"}},
			"link":        {Link("t", "d", "https://x/?a=1&b=2"), map[string]string{"MsgType": "link", "Title": "t", "Description": "d", "Url": "https://x/?a=1&b=2"}},
			"file":        {File("合同.pdf", 20480), map[string]string{"MsgType": "file", "Title": "合同.pdf", "Description": "", "FileKey": "simulated_file_key", "FileMd5": "d41d8cd98f00b204e9800998ecf8427e", "FileTotalLen": "20480"}},
			"subscribe":   {Subscribe(""), map[string]string{"MsgType": "event", "Event": "subscribe", "EventKey": ""}},
			"scene":       {Subscribe(scene), map[string]string{"MsgType": "event", "Event": "subscribe", "EventKey": "qrscene_" + scene, "Ticket": someTicket}},
			"unsubscribe": {Unsubscribe(), map[string]string{"MsgType": "event", "Event": "unsubscribe", "EventKey": ""}},
			"scan":        {Scan("123123"), map[string]string{"MsgType": "event", "Event": "SCAN", "EventKey": "123123", "Ticket": someTicket}},
			"click":       {Click("KEY"), map[string]string{"MsgType": "event", "Event": "CLICK", "EventKey": "KEY"}},
			"view":        {View("https://x/?a=1&b=2"), map[string]string{"MsgType": "event", "Event": "VIEW", "EventKey": "https://x/?a=1&b=2"}},
			"LOCATION":    {LocationEvent(39.9042, 116.407396, 65), map[string]string{"MsgType": "event", "Event": "LOCATION", "Latitude": "39.904200", "Longitude": "116.407396", "Precision": "65.000000"}},
		} {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				t.Parallel()
				acc := account(mode)
				var got push
				r := send(t, Config{Account: acc, User: "oUser_-"}, tt.m, func(w http.ResponseWriter, r *http.Request) {
					got = receive(r)
					io.WriteString(w, "success")
				})
				if r.Verdict.Sees != SeesNothing || !r.Verdict.OK() || len(r.Pushes) != 1 {
					t.Fatalf("%v", r)
				}
				if got.query.Get("openid") != "oUser_-" || got.header.Get("User-Agent") != "Mozilla/4.0" || got.header.Get("Content-Type") != "text/xml" {
					t.Errorf("%v %v", got.query, got.header)
				}
				document := openPush(t, acc, got)
				if document != string(r.Document) {
					t.Errorf("the report has another document:\n%s", r.Document)
				}
				doc, err := parseXML([]byte(document))
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]string{"ToUserName": acc.OriginalID, "FromUserName": "oUser_-", "CreateTime": trimmed(number("", r.Message.CreateTime))}
				for k, v := range tt.want {
					want[k] = v
				}
				if tt.m.Type() != "event" {
					want["MsgId"] = trimmed(number("", r.Message.MsgID))
				}
				if len(doc.children) != len(want) {
					t.Errorf("other elements: %s", document)
				}
				for k, v := range want {
					if doc.child(k) == nil || doc.value(k) != v {
						t.Errorf("%s is %q, want %q", k, doc.value(k), v)
					}
				}
			})
		}
	}
}

func trimmed(element string) string {
	return strings.TrimSuffix(strings.TrimPrefix(element, "<>"), "</>\n")
}

// A dialer that can fail.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

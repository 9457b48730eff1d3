package callback_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
)

// Threat S13: the check of the URL echoes nothing that somebody else has made up.
func TestS13Echostr(t *testing.T) {
	t.Parallel()
	// Proofs of concept against other programs (CVE-2021-43678 and its like).
	hostile := []string{
		"<script>alert(1)</script>", "<ScRiPt>alert(document.domain)</sCrIpT>", `"><img src=x onerror=alert(1)>`, "<svg/onload=alert(1)>",
		"javascript:alert(1)", "{{7*7}}", "${7*7}", "%3Cscript%3E", "a b", "a\nb", "a\r\nSet-Cookie: x=1", "\x00", "é", "＜script＞", "a.b", "a,b",
		strings.Repeat("9", 513), "",
	}
	t.Logf("hostile inputs: %d", 3*len(hostile)-1)
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			h := new(counted)
			a := account(mode, h)
			s, st := one(t, a)
			timestamp := strconv.FormatInt(time.Now().Unix(), 10)
			get := func(q url.Values) got {
				return do(s, httptest.NewRequest("GET", "/wx/demo?"+q.Encode(), nil))
			}
			good := func(echostr string) url.Values {
				return url.Values{"signature": {sign(testToken, timestamp, "1")}, "timestamp": {timestamp}, "nonce": {"1"}, "echostr": {echostr}}
			}
			for _, echostr := range []string{"5833258582299191661", "a", "Zz09+/=_-", strings.Repeat("9", 512)} {
				g := get(good(echostr))
				if !g.is(200, echostr) {
					t.Errorf("echostr %.30q: %v", echostr, g)
				}
				for name, want := range map[string]string{
					"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'",
				} {
					if got := g.header[name]; !slices.Equal(got, []string{want}) {
						t.Errorf("%s: %q", name, got)
					}
				}
			}
			for _, echostr := range hostile { // signed, not signed, and alone
				q := good(echostr)
				if g := get(q); !g.is(403, "") {
					t.Errorf("signed %q: %v", echostr, g)
				}
				q.Set("signature", strings.Repeat("0", 40))
				if g := get(q); !g.is(403, "") {
					t.Errorf("not signed %q: %v", echostr, g)
				}
				if echostr == "" {
					continue
				}
				if g := get(url.Values{"echostr": {echostr}}); !g.is(403, "") {
					t.Errorf("alone %q: %v", echostr, g)
				}
			}
			for name, change := range map[string]func(q url.Values){
				"signature":      func(q url.Values) { q.Set("signature", strings.Repeat("0", 40)) },
				"no signature":   func(q url.Values) { q.Del("signature") },
				"capitals":       func(q url.Values) { q.Set("signature", strings.ToUpper(q.Get("signature"))) },
				"twice":          func(q url.Values) { q.Add("echostr", "1") },
				"no echostr":     func(q url.Values) { q.Del("echostr") },
				"only timestamp": func(q url.Values) { q.Del("signature"); q.Del("nonce"); q.Del("echostr") },
				"stale": func(q url.Values) {
					q.Set("timestamp", "1730000000")
					q.Set("signature", sign(testToken, "1730000000", "1"))
				},
			} {
				q := good("5833258582299191661")
				change(q)
				if g := get(q); !g.is(403, "") {
					t.Errorf("%s: %v", name, g)
				}
			}
			for _, q := range []url.Values{{}, {"x": {"1"}}, {"openid": {testUser}}, {"msg_signature": {strings.Repeat("0", 40)}}} {
				if g := get(q); !g.is(400, "") {
					t.Errorf("none of the four parameters, %v: %v", q, g)
				}
			}
			if h.n.Load() != 0 || len(rows(t, st)) != 0 {
				t.Error("a GET left traces")
			}
			if stats := s.Stats(); stats.URLChecks != 4 || stats.BareGets != 4 {
				t.Errorf("%d checks, %d bare", stats.URLChecks, stats.BareGets)
			}
		})
	}
}

func TestS13OtherRequests(t *testing.T) {
	t.Parallel()
	h := new(counted)
	a := account(callback.Plain, h)
	s, st := one(t, a)
	w := pack(a, text("x"))
	methods := []string{"HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "post", "get", "Post", "XYZ"}
	for _, method := range methods {
		r := httptest.NewRequest("POST", "/wx/demo?"+w.query.Encode(), strings.NewReader(w.body))
		r.Method = method
		if g := do(s, r); !g.is(405, "") || g.header.Get("Allow") != "GET, POST" {
			t.Errorf("%s: %v, Allow %q", method, g, g.header.Get("Allow"))
		}
	}
	paths := []string{
		"/", "/wx", "/wx/", "/wx/demo/", "/wx/demo//", "//wx/demo", "/wx//demo", "/wx/demo/x", "/wx/Demo", "/WX/demo", "/wx/demo%20", "/wx/demo%00",
		"/wx%2fdemo", "/wx%2Fdemo", "/%77x/demo", "/wx/dem%6f", "/wx/./demo", "/wx/../wx/demo", "/wx/x/../demo", "/./wx/demo", "/wx/demo/.", "/wx/demo/..",
		"/wx/demo;a=b", "/wx/demo%3Fa", "/wx/demo%2f", "/wx/demo%2e", "/wx/nobody", "/wx/ｄemo", "/wx/demo.", "/healthz", "/metrics", "/debug/pprof/",
	}
	t.Logf("hostile inputs: %d", len(methods)+len(paths))
	for _, path := range paths {
		for _, method := range []string{"GET", "POST", "PUT"} {
			r := httptest.NewRequest(method, "http://wechat.test"+path, strings.NewReader(w.body))
			r.URL.RawQuery = w.query.Encode()
			if g := do(s, r); !g.is(404, "") {
				t.Errorf("%s %s: %v", method, path, g)
			}
		}
	}
	if h.n.Load() != 0 || len(rows(t, st)) != 0 {
		t.Error("traces were left")
	}
	if g := w.send(s); g.status != 200 || h.n.Load() != 1 {
		t.Errorf("the real push: %v", g)
	}
}

// hostileTexts are what users send to see what happens.
var hostileTexts = []string{
	"你好", "]]>", "]]]]>>", "]]", ">", "]]]>", "a]]>b]]>c", "<![CDATA[", "<![CDATA[x]]>", "]]><MsgType><![CDATA[news]]></MsgType><![CDATA[",
	"]]></Content><ToUserName><![CDATA[oVictim]]></ToUserName><Content><![CDATA[", "<ToUserName>oVictim</ToUserName>", "</xml><xml>", "<xml>", "&lt;", "&amp;amp;", "&#0;",
	"&#x1F600;", "&xxe;", "<!ENTITY x>", "<?xml version='1.0'?>", "<!-- -->", "-->", "a\x00b", "\x00", "a\x01\x02\x08\x0b\x0c\x0e\x1fb", "\x7f\u0085\u2028", "\ufffe\uffff", "\ufeffBOM",
	"]\x00]\x01>", "]]\x02>", "\xff\xfe\xc0\xaf", "\xed\xa0\x80", "\xf0\x9f\x98", "😀👨‍👩‍👧‍👦🇨🇳", "\u202ertl\u202c", "a\r\nb\rc\nd", "\t tab ", "{{nickname}}", "{{secret}}", "${x}", "%s%n%d", "success", "' or 1=1",
	strings.Repeat("]]>", 600), strings.Repeat("😀", 511), strings.Repeat("<", 2048),
}

// Threat S14: what a user sends stays text in the reply that quotes it, in every mode.
func TestS14Echo(t *testing.T) {
	t.Parallel()
	t.Logf("hostile inputs: %d", len(hostileTexts))
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			var saw string
			a := account(mode, echostr.HandlerFunc(func(_ context.Context, m echostr.Message) (echostr.Reply, error) {
				saw = m.(*echostr.TextMessage).Content
				return echostr.Text(saw), nil
			}))
			s, _ := one(t, a)
			answered := 0
			for i, content := range hostileTexts {
				user := fmt.Sprintf("oUser%023d", i)
				document := textFrom(user, time.Now().Unix(), strings.ReplaceAll(content, "]]>", "]]]]><![CDATA[>"))
				saw = ""
				g := pack(a, document).send(s)
				if g.status != 200 {
					t.Errorf("%.40q: %v", content, g)
					continue
				}
				got := read(t, a, g.body)
				if got == "success" {
					continue // nothing was left to say, or it does not parse
				}
				answered++
				if !utf8.ValidString(got) {
					t.Errorf("%.40q: the reply is not UTF-8: %q", content, got)
				}
				if names := wellFormed(t, got); !slices.Equal(names, []string{"xml", "ToUserName", "FromUserName", "CreateTime", "MsgType", "Content"}) {
					t.Errorf("%.40q: the reply has the elements %v", content, names)
				}
				r := parseReply(t, got)
				if r.ToUserName != user || r.FromUserName != testOriginal || r.MsgType != "text" {
					t.Errorf("%.40q: the reply is %+v", content, r)
				}
				if want := asXML(saw); r.Content != want {
					t.Errorf("%.40q: the reply says %.60q, want %.60q", content, r.Content, want)
				}
			}
			if answered < len(hostileTexts)-6 {
				t.Errorf("only %d of %d were answered", answered, len(hostileTexts))
			}
			for name := range s.Stats().Refused {
				t.Errorf("refused: %v", s.Stats().Refused[name])
			}
		})
	}
}

// asXML is what a reader of XML 1.0 can see of a text.
func asXML(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	var b strings.Builder
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd") {
			continue
		}
		if r == '\t' || r == '\n' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Threat S14, names: To and From are those of the push, exchanged, whatever they look like.
func TestS14Names(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"o]]>User", "o<User>", "o&User", "o]]></ToUserName><ToUserName>oVictim"} {
		a := account(callback.Plain, new(counted))
		s, _ := one(t, a)
		document := textFrom(strings.ReplaceAll(name, "]]>", "]]]]><![CDATA[>"), time.Now().Unix(), "x")
		g := pack(a, document).send(s)
		if g.status != http.StatusOK {
			t.Fatal(g)
		}
		if r := parseReply(t, read(t, a, g.body)); r.ToUserName != name || r.FromUserName != testOriginal {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	user = "oUser"
	gh   = "gh_8c001c7d976e"
)

// judgeIn judges an answer in an account of that mode.
func judgeIn(t testing.TB, mode Mode, m Message, body string) Verdict {
	t.Helper()
	m.FromUserName = user
	r := send(t, Config{Account: account(mode)}, m, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, body)
	})
	return r.Verdict
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	const head = "<ToUserName>" + user + "</ToUserName><FromUserName>" + gh + "</FromUserName><CreateTime>1700000000</CreateTime>"
	reply := func(rest string) string { return "<xml>" + head + rest + "</xml>" }
	text := func(content string) string { return reply("<MsgType>text</MsgType><Content>" + content + "</Content>") }
	articles := func(n, count int) string {
		return reply(fmt.Sprintf("<MsgType>news</MsgType><ArticleCount>%d</ArticleCount><Articles>%s</Articles>", count,
			strings.Repeat("<item><Title>t</Title><Url>u</Url></item>", n)))
	}
	good := text("hi")
	hi := Text("你好")
	safe := account(Safe)
	sealed := envelope(safe, good)

	for _, tt := range []struct {
		name    string
		mode    Mode
		m       Message
		body    string
		sees    Sees
		problem string
		why     string // a part of it
	}{
		// Nothing, rightly.
		{"empty", Plain, hi, "", SeesNothing, "", "empty answer"},
		{"success", Plain, hi, "success", SeesNothing, "", "success"},
		{"success, safe", Safe, hi, "success", SeesNothing, "", "success"},
		{"empty, safe", Safe, hi, "", SeesNothing, "", "empty"},
		{"reply to unsubscribe", Plain, Unsubscribe(), good, SeesNothing, "", "unsubscribe"},
		{"reply to VIEW", Plain, View("https://x"), good, SeesNothing, "", "VIEW"},

		// Replies.
		{"plain", Plain, hi, good, SeesReply, "", "text"},
		{"declaration", Plain, hi, `<?xml version="1.0" encoding="utf-8"?>` + "\n" + good, SeesReply, "", ""},
		{"sealed in safe", Safe, hi, sealed, SeesReply, "", ""},
		{"sealed in compatible", Compatible, hi, sealed, SeesReply, "", ""},
		{"in clear in compatible", Compatible, hi, good, SeesReply, "", ""},
		{"milliseconds", Plain, hi, strings.Replace(good, "1700000000", "1700000000123", 1), SeesReply, "", ""},
		{"2048 bytes", Plain, hi, text(strings.Repeat("x", 2048)), SeesReply, "", ""},
		{"one article", Plain, hi, articles(1, 1), SeesReply, "", ""},
		{"eight articles after an event", Plain, Click("K"), articles(8, 8), SeesReply, "", ""},
		{"unknown element", Plain, hi, reply("<MsgType>text</MsgType><Content>x</Content><FuncFlag>0</FuncFlag>"), SeesReply, "", ""},
		{"transfer", Plain, hi, reply("<MsgType>transfer_customer_service</MsgType>"), SeesReply, "", ""},

		// The fault notice: not a reply at all.
		{"success and line end", Plain, hi, "success\n", SeesFault, "success", "7 bytes"},
		{"SUCCESS", Plain, hi, "SUCCESS", SeesFault, "success", "7 bytes"},
		{"quoted success", Plain, hi, `"success"`, SeesFault, "success", "7 bytes"},
		{"JSON", Plain, hi, `{"errcode":0}`, SeesFault, "json", "JSON"},
		{"JSON string", Plain, hi, `"hello"`, SeesFault, "json", "JSON"},
		{"HTML", Plain, hi, "<!DOCTYPE html><html></html>", SeesFault, "html", "HTML"},
		{"utf8", Plain, hi, "\n<?xml version='1.0' encoding='utf8'?>" + good, SeesReply, "", ""},
		{"GBK", Plain, hi, `<?xml version="1.0" encoding="GBK"?>` + good, SeesFault, "not-xml", "declares the encoding GBK; send UTF-8"},
		{"XML 1.1", Plain, hi, `<?xml version="1.1" encoding="utf-8"?>` + good, SeesFault, "not-xml", "declares XML 1.1; declare version 1.0"},
		{"text", Plain, hi, "你好", SeesFault, "not-xml", "Content"},
		{"gzip", Plain, hi, "\x1f\x8b\x08\x00", SeesFault, "not-xml", "gzip"},
		{"BOM", Plain, hi, "\ufeff" + good, SeesFault, "bom", "BOM"},
		{"not well-formed", Plain, hi, good[:len(good)-3], SeesFault, "not-xml", "well-formed"},
		{"control character", Plain, hi, text("\x08"), SeesFault, "not-xml", "well-formed"},
		{"bare ampersand", Plain, hi, text("a & b"), SeesFault, "not-xml", "well-formed"},
		{"other root", Plain, hi, strings.ReplaceAll(good, "xml>", "XML>"), SeesFault, "not-xml", "<XML>"},
		{"second root", Plain, hi, good + good, SeesFault, "not-xml", "second root"},
		{"DTD", Plain, hi, "<!DOCTYPE xml []>" + good, SeesFault, "not-xml", "document type"},
		{"text behind", Plain, hi, good + "x", SeesFault, "not-xml", "outside"},
		{"deep", Plain, hi, strings.Repeat("<xml>", 20) + strings.Repeat("</xml>", 20), SeesFault, "not-xml", "deep"},
		{"injected element", Plain, hi, reply("<MsgType>text</MsgType><Content>x</Content><ToUserName>oOther</ToUserName>"), SeesFault, "repeated", "ToUserName"},

		// Envelopes.
		{"sealed in plain", Plain, hi, sealed, SeesFault, "sealed", "明文模式"},
		{"in clear in safe", Safe, hi, good, SeesFault, "not-sealed", "安全模式"},
		{"Timestamp", Safe, hi, strings.ReplaceAll(sealed, "TimeStamp", "Timestamp"), SeesFault, "timestamp", "TimeStamp"},
		{"msg_signature", Safe, hi, strings.ReplaceAll(sealed, "MsgSignature", "msg_signature"), SeesFault, "envelope", "MsgSignature"},
		{"nonce", Safe, hi, strings.ReplaceAll(sealed, "Nonce", "nonce"), SeesFault, "envelope", "must be spelled Nonce"},
		{"wrong signature", Safe, hi, envelope(Account{Token: "other", AppID: safe.AppID, EncodingAESKey: safe.EncodingAESKey}, good), SeesFault, "signature", "MsgSignature"},
		{"wrong key", Safe, hi, envelope(Account{Token: safe.Token, AppID: safe.AppID, EncodingAESKey: "cYKczsJyMDYxV5WHHFxufDGmdFmPWQwOlQri73N0wyv"}, good), SeesFault, "ciphertext", "does not open"},
		{"wrong AppID", Safe, hi, envelope(Account{Token: safe.Token, AppID: "wx0000000000000000", EncodingAESKey: safe.EncodingAESKey}, good), SeesFault, "ciphertext", "AppID"},
		{"sealed success", Safe, hi, envelope(safe, "success"), SeesFault, "sealed-success", "in clear"},
		{"sealed nothing", Compatible, hi, envelope(safe, ""), SeesFault, "sealed-success", "in clear"},
		{"sealed JSON", Safe, hi, envelope(safe, "{}"), SeesFault, "json", "inside the envelope"},
		{"sealed, swapped", Safe, hi, envelope(safe, "<xml><ToUserName>"+gh+"</ToUserName><FromUserName>"+user+"</FromUserName></xml>"), SeesFault, "swapped", "swapped"},

		// Replies that are wrong.
		{"not swapped", Plain, hi, "<xml><ToUserName>" + gh + "</ToUserName><FromUserName>" + user + "</FromUserName></xml>", SeesFault, "swapped", "swapped"},
		{"other user", Plain, hi, strings.Replace(good, ">"+user, ">oOther", 1), SeesFault, "to", "OpenID"},
		{"no user", Plain, hi, strings.Replace(good, ">"+user, ">", 1), SeesFault, "to", "OpenID"},
		{"touserName", Plain, hi, strings.ReplaceAll(good, "ToUserName", "touserName"), SeesFault, "to", "letter case"},
		{"AppID", Compatible, hi, strings.Replace(good, gh, safe.AppID, 1), SeesFault, "from", "not the AppID"},
		{"other account", Plain, hi, strings.Replace(good, gh, "gh_other", 1), SeesFault, "from", "原始ID"},
		{"[ts]", Plain, hi, strings.Replace(good, "1700000000", "[1700000000]", 1), SeesFault, "create-time", "number"},
		{"no CreateTime", Plain, hi, strings.Replace(good, "<CreateTime>1700000000</CreateTime>", "", 1), SeesFault, "create-time", "number"},
		{"no MsgType", Plain, hi, reply("<Content>x</Content>"), SeesFault, "msg-type", "no MsgType"},
		{"Text", Plain, hi, reply("<MsgType>Text</MsgType><Content>x</Content>"), SeesFault, "msg-type", "letter case"},
		{"no Content", Plain, hi, reply("<MsgType>text</MsgType>"), SeesFault, "empty", "success"},
		{"empty Content", Plain, hi, text(""), SeesFault, "empty", "success"},
		{"content", Plain, hi, reply("<MsgType>text</MsgType><content>x</content>"), SeesFault, "empty", "spelled Content"},
		{"2049 bytes", Plain, hi, text(strings.Repeat("x", 2049)), SeesFault, "too-long", "2049 bytes"},
		{"683 characters", Plain, hi, text(strings.Repeat("汉", 683)), SeesFault, "too-long", "2049 bytes"},
		{"image without id", Plain, hi, reply("<MsgType>image</MsgType><MediaId>x</MediaId>"), SeesFault, "media", "MediaId"},
		{"voice without id", Plain, hi, reply("<MsgType>voice</MsgType><Voice></Voice>"), SeesFault, "media", "Voice"},
		{"video without id", Plain, hi, reply("<MsgType>video</MsgType><Video><Title>x</Title></Video>"), SeesFault, "media", "Video"},
		{"music without thumb", Plain, hi, reply("<MsgType>music</MsgType><Music><MusicUrl>x</MusicUrl></Music>"), SeesFault, "media", "ThumbMediaId"},
		{"two articles after a message", Plain, hi, articles(2, 2), SeesFault, "articles", "one only"},
		{"nine articles after an event", Plain, Subscribe(""), articles(9, 9), SeesNothing, "articles", "at most 8"},
		{"no article", Plain, hi, articles(0, 0), SeesFault, "articles", "no article"},
		{"wrong count", Plain, hi, articles(1, 2), SeesFault, "articles", "ArticleCount"},
		{"Item", Plain, hi, strings.ReplaceAll(articles(1, 1), "item>", "Item>"), SeesFault, "articles", "named item"},
		{"URL", Plain, hi, strings.ReplaceAll(articles(1, 1), "Url>", "URL>"), SeesFault, "articles", "spelled Url"},

		// An event that goes wrong.
		{"event", Plain, Click("K"), "{}", SeesNothing, "json", "after a message"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := judgeIn(t, tt.mode, tt.m, tt.body)
			if v.Sees != tt.sees || v.Problem != tt.problem || !strings.Contains(v.Why, tt.why) {
				t.Errorf("%v, %q: %s", v.Sees, v.Problem, v.Why)
			}
			if v.OK() != (tt.problem == "") || (tt.sees == SeesReply) && v.Reply == nil {
				t.Errorf("%+v", v)
			}
			if shown := strings.Contains(v.String(), FaultNotice); shown != (tt.sees == SeesFault) {
				t.Errorf("String: %v", v)
			}
			for _, secret := range []string{safe.Token, safe.EncodingAESKey} {
				if strings.Contains(v.String(), secret) {
					t.Errorf("%q is quoted: %v", secret, v)
				}
			}
		})
	}

	documented, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	source := readFiles(t, "verdict.go", "wechat.go")
	names := regexp.MustCompile(`(?:bad|fail|fault)\((?:r\.Message, )?"([a-z-]+)"|Problem: "([a-z-]+)"`).FindAllStringSubmatch(source, -1)
	if len(names) < 20 {
		t.Errorf("only %d problems were found", len(names))
	}
	for _, n := range names {
		if name := n[1] + n[2]; !regexp.MustCompile(`(?m)^//\t.*\b` + name + `\b.*  `).Match(documented) {
			t.Errorf("the problem %q is not in the package comment", name)
		}
	}
}

func readFiles(t *testing.T, names ...string) string {
	var all strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

func TestEventFaultNotice(t *testing.T) {
	t.Parallel()
	for _, show := range []bool{false, true} {
		for name, h := range map[string]http.HandlerFunc{
			"answer": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") },
			"status": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) },
		} {
			r := send(t, Config{Rules: Rules{EventFaultNotice: show}}, Subscribe("x"), h)
			if r.Verdict.OK() || (r.Verdict.Sees == SeesFault) != show {
				t.Errorf("%s, %v: %v", name, show, r.Verdict)
			}
		}
	}
}

// TestReplyVectors: every good reply is read with all its fields.
func TestReplyVectors(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../testdata/vectors/replies/*.xml")
	if err != nil || len(names) < 18 {
		t.Fatalf("%d replies, %v", len(names), err)
	}
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".xml")
		if base == "envelope" {
			continue // TestReplyEnvelopeVector
		}
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			readVectors(t, "replies/"+base+".json", &want)
			m := Click("K") // an event, for the sake of eight articles
			m.FromUserName, m.ToUserName = want["ToUserName"].(string), want["FromUserName"].(string)
			r := send(t, Config{}, m, func(w http.ResponseWriter, r *http.Request) { w.Write(body) })
			if r.Verdict.Sees != SeesReply || r.Verdict.Reply.Sealed || !bytes.Equal(r.Verdict.Reply.Document, body) {
				t.Fatalf("%v", r.Verdict)
			}
			if d := cmp.Diff(withoutEmpty(want), any(replyJSON(r.Verdict.Reply))); d != "" {
				t.Error(d)
			}
			if s := r.Verdict.String(); !strings.HasPrefix(s, "reply: "+want["MsgType"].(string)) {
				t.Errorf("String: %s", s)
			}
		})
	}
}

func withoutEmpty(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if value == "" {
				delete(v, name)
			} else {
				v[name] = withoutEmpty(value)
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutEmpty(v[i])
		}
	}
	return v
}

// replyJSON writes a reply by the rule of the vectors. Empty elements cannot be
// told from absent ones.
func replyJSON(r *Reply) map[string]any {
	set := func(m map[string]any, pairs ...string) map[string]any {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] != "" {
				m[pairs[i]] = pairs[i+1]
			}
		}
		return m
	}
	out := set(map[string]any{}, "ToUserName", r.ToUserName, "FromUserName", r.FromUserName, "MsgType", r.MsgType, "Content", r.Content)
	out["CreateTime"] = fmt.Sprint(r.CreateTime)
	switch r.MsgType {
	case "image", "voice", "video":
		out[map[string]string{"image": "Image", "voice": "Voice", "video": "Video"}[r.MsgType]] = set(map[string]any{}, "MediaId", r.MediaID, "Title", r.Title, "Description", r.Description)
	case "music":
		out["Music"] = set(map[string]any{}, "ThumbMediaId", r.ThumbMediaID, "Title", r.Title, "Description", r.Description, "MusicUrl", r.MusicURL, "HQMusicUrl", r.HQMusicURL)
	case "transfer_customer_service":
		if r.KfAccount != "" {
			out["TransInfo"] = map[string]any{"KfAccount": r.KfAccount}
		}
	case "news":
		out["ArticleCount"] = fmt.Sprint(len(r.Articles))
		var items []any
		for _, a := range r.Articles {
			items = append(items, set(map[string]any{}, "Title", a.Title, "Description", a.Description, "PicUrl", a.PicURL, "Url", a.URL))
		}
		out["Articles"] = map[string]any{"item": items}
	}
	return out
}

func TestReplyEnvelopeVector(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../testdata/vectors/replies/envelope.xml")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ Name, Token, EncodingAESKey, AppID, Plaintext string }
	readVectors(t, "crypto/vectors.json", &all)
	for _, v := range all {
		if v.Name != "own-reply" {
			continue
		}
		doc, err := parseXML([]byte(v.Plaintext))
		if err != nil {
			t.Fatal(err)
		}
		m := Text("hi")
		m.FromUserName, m.ToUserName = doc.value("ToUserName"), doc.value("FromUserName")
		acc := Account{URL: plainAccount.URL, Mode: Safe, Token: v.Token, EncodingAESKey: v.EncodingAESKey, AppID: v.AppID}
		r := send(t, Config{Account: acc}, m, func(w http.ResponseWriter, r *http.Request) { w.Write(body) })
		if r.Verdict.Sees != SeesReply || !r.Verdict.Reply.Sealed || string(r.Verdict.Reply.Document) != v.Plaintext {
			t.Errorf("%v", r.Verdict)
		}
		return
	}
	t.Error("no vector own-reply")
}

// FuzzAnswer lets a server answer with anything: the verdict is always one
// that is complete, and what is shown as a reply is addressed to the user.
func FuzzAnswer(f *testing.F) {
	names, _ := filepath.Glob("../testdata/vectors/replies/*.xml")
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(body), false)
		f.Add(string(body), true)
	}
	f.Add("success", false)
	f.Add("<xml/>", false)
	f.Add("<xml><Encrypt/><MsgSignature/><TimeStamp/><Nonce/></xml>", true)
	wechats := map[bool]*WeChat{false: newWeChat(f, Config{}), true: newWeChat(f, Config{Account: safeAccount})}
	m := Text("hi")
	m.FromUserName, m.ToUserName = user, gh
	f.Fuzz(func(t *testing.T, body string, sealed bool) {
		v := wechats[sealed].judge(m, []byte(body))
		if v.Why == "" || v.OK() == (v.Sees == SeesFault) || (v.Sees == SeesReply) != (v.Reply != nil) {
			t.Fatalf("%+v", v)
		}
		if v.Reply != nil && (v.Reply.ToUserName != user || v.Reply.FromUserName != gh || v.Reply.MsgType == "") {
			t.Fatalf("%+v", v.Reply)
		}
		if _, err := json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	})
}

package echostr_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
)

// replyTree reads a document with encoding/xml, which judges what we write, by
// the rule of testdata/vectors/README.md.
func replyTree(doc []byte) (map[string]any, error) {
	d := xml.NewDecoder(strings.NewReader(string(doc)))
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		root, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if root.Name.Local != "xml" {
			return nil, fmt.Errorf("root element %q", root.Name.Local)
		}
		v, err := replyNode(d)
		if err != nil {
			return nil, err
		}
		if t, err := d.Token(); err != io.EOF {
			return nil, fmt.Errorf("behind the root: %v, %v", t, err)
		}
		tree, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("the root has only text: %q", v)
		}
		return tree, nil
	}
}

func replyNode(d *xml.Decoder) (any, error) {
	var text strings.Builder
	children := map[string]any{}
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.StartElement:
			v, err := replyNode(d)
			if err != nil {
				return nil, err
			}
			name := t.Name.Local
			switch had := children[name].(type) {
			case nil:
				children[name] = v
				if name == "item" {
					children[name] = []any{v}
				}
			case []any:
				children[name] = append(had, v)
			default:
				children[name] = []any{had, v}
			}
		case xml.EndElement:
			if len(children) > 0 {
				return children, nil
			}
			return text.String(), nil
		}
	}
}

// replyVector is one of testdata/vectors/replies.
type replyVector struct {
	name  string
	xml   []byte
	tree  map[string]any
	reply echostr.Reply
	addr  echostr.Address
}

func replyVectors(tb testing.TB) []replyVector {
	tb.Helper()
	files, err := filepath.Glob("testdata/vectors/replies/*.json")
	if err != nil || len(files) < 18 {
		tb.Fatalf("found %d reply vectors, want at least 18 (%v)", len(files), err)
	}
	var vectors []replyVector
	for _, file := range files {
		v := replyVector{name: strings.TrimSuffix(filepath.Base(file), ".json")}
		if v.name == "envelope" {
			continue // a sealed reply: package wxcrypt opens it
		}
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		if err := json.Unmarshal(data, &v.tree); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		if v.xml, err = os.ReadFile(strings.TrimSuffix(file, "json") + "xml"); err != nil {
			tb.Fatal(err)
		}
		v.reply, v.addr = replyOfTree(tb, v.tree)
		vectors = append(vectors, v)
	}
	return vectors
}

// replyOfTree makes the value that a vector's JSON stands for.
func replyOfTree(tb testing.TB, tree map[string]any) (echostr.Reply, echostr.Address) {
	tb.Helper()
	at := func(path ...string) string {
		var v any = tree
		for _, name := range path {
			m, _ := v.(map[string]any)
			v = m[name]
		}
		s, _ := v.(string)
		return s
	}
	addr := echostr.Address{ToUserName: at("ToUserName"), FromUserName: at("FromUserName")}
	if _, err := fmt.Sscan(at("CreateTime"), &addr.CreateTime); err != nil {
		tb.Fatalf("CreateTime: %v", err)
	}
	switch at("MsgType") {
	case "text":
		return echostr.Text(at("Content")), addr
	case "image":
		return echostr.Image(at("Image", "MediaId")), addr
	case "voice":
		return echostr.Voice(at("Voice", "MediaId")), addr
	case "video":
		return echostr.VideoReply{
			MediaID: at("Video", "MediaId"), Title: at("Video", "Title"), Description: at("Video", "Description"),
		}, addr
	case "music":
		return echostr.MusicReply{
			Title: at("Music", "Title"), Description: at("Music", "Description"), MusicURL: at("Music", "MusicUrl"),
			HQMusicURL: at("Music", "HQMusicUrl"), ThumbMediaID: at("Music", "ThumbMediaId"),
		}, addr
	case "news":
		var articles []echostr.Article
		for _, item := range tree["Articles"].(map[string]any)["item"].([]any) {
			item := item.(map[string]any)
			articles = append(articles, echostr.Article{
				Title: item["Title"].(string), Description: item["Description"].(string),
				PicURL: item["PicUrl"].(string), URL: item["Url"].(string),
			})
		}
		return echostr.News(articles...), addr
	case "transfer_customer_service":
		return echostr.TransferReply{KfAccount: at("TransInfo", "KfAccount")}, addr
	}
	tb.Fatalf("no reply for MsgType %q", at("MsgType"))
	return nil, addr
}

func TestAppendReplyVectors(t *testing.T) {
	t.Parallel()
	for _, v := range replyVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if err := echostr.Validate(v.reply, nil); err != nil {
				t.Errorf("Validate: %v", err)
			}
			doc, ok := strings.CutPrefix(string(echostr.AppendReply([]byte("before"), v.reply, v.addr)), "before")
			if !ok {
				t.Fatalf("AppendReply did not append: %q", doc)
			}
			got, err := replyTree([]byte(doc))
			if err != nil {
				t.Fatalf("%v in\n%s", err, doc)
			}
			if diff := cmp.Diff(v.tree, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			for _, bare := range []string{"CreateTime", "ArticleCount"} {
				if strings.Contains(doc, "<"+bare+"><![CDATA[") {
					t.Errorf("%s stands in CDATA; WeChat wants the bare number", bare)
				}
			}
		})
	}
}

func TestAppendReplyNone(t *testing.T) {
	t.Parallel()
	for _, r := range []echostr.Reply{nil, echostr.None{}} {
		if got := string(echostr.AppendReply(nil, r, echostr.Address{ToUserName: "user"})); got != "success" {
			t.Errorf("AppendReply(%T) = %q, want success", r, got)
		}
		if !echostr.IsNone(r) {
			t.Errorf("IsNone(%T) = false", r)
		}
	}
	for _, r := range []echostr.Reply{echostr.Text(""), echostr.News(), &echostr.None{}} {
		if echostr.IsNone(r) {
			t.Errorf("IsNone(%T) = true", r)
		}
	}
}

// Nothing half-written goes out for what is no reply.
func TestAppendReplyPanicsOnPointers(t *testing.T) {
	t.Parallel()
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "*echostr.TextReply") || !strings.Contains(got, "Validate") {
			t.Errorf("panic %q", got)
		}
	}()
	echostr.AppendReply(nil, &echostr.TextReply{Content: "x"}, someUser)
}

func TestAppendReplyAllocations(t *testing.T) {
	var (
		addr = echostr.Address{ToUserName: "o88wo1N-6JnISJyLg6k3Pp3SUykV", FromUserName: "gh_8c001c7d976e", CreateTime: 1700000202}
		buf  = make([]byte, 0, 16<<10)
	)
	for _, content := range []string{"你好", "a\x00b]]>c\r\n", strings.Repeat("]]>", 600), strings.Repeat("长", 682)} {
		var r echostr.Reply = echostr.Text(content)
		if n := testing.AllocsPerRun(100, func() { echostr.AppendReply(nil, r, addr) }); n > 1 {
			t.Errorf("%.20q: %v allocations into nil, want at most 1", content, n)
		}
		if n := testing.AllocsPerRun(100, func() { echostr.AppendReply(buf, r, addr) }); n > 0 {
			t.Errorf("%.20q: %v allocations into a large slice, want 0", content, n)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	var (
		text      = &echostr.TextMessage{}
		subscribe = &echostr.SubscribeEvent{}
		article   = echostr.Article{Title: "标题", URL: "https://example.com/"}
		articles  = func(n int) echostr.Reply {
			var r echostr.NewsReply
			for range n {
				r.Articles = append(r.Articles, article)
			}
			return r
		}
	)
	tests := []struct {
		name    string
		reply   echostr.Reply
		trigger echostr.Message
		want    string // part of the error; empty for none
	}{
		{"nil", nil, text, ""},
		{"none", echostr.None{}, text, ""},
		{"text", echostr.Text("x"), text, ""},
		{"text without trigger", echostr.Text("x"), nil, ""},
		{"text of 2048 bytes", echostr.Text(strings.Repeat("x", 2048)), text, ""},
		{"text of 2049 bytes", echostr.Text(strings.Repeat("x", 2049)), text, "2049 bytes"},
		{"text of 683 characters", echostr.Text(strings.Repeat("长", 683)), text, "2049 bytes"},
		{"text of 2048 bytes that are sent", echostr.Text(strings.Repeat("x", 2048) + "\x00\xff"), text, ""},
		{"empty text", echostr.Text(""), text, "content is empty"},
		{"text of nothing that is sent", echostr.Text("\x00\uFFFE\xff"), text, "content is empty"},
		{"image", echostr.Image("id"), text, ""},
		{"image without id", echostr.Image(" \x00"), text, "image reply: MediaID is empty"},
		{"voice without id", echostr.Voice(""), text, "voice reply: MediaID is empty"},
		{"video without id", echostr.VideoReply{Title: "t"}, text, "video reply: MediaID is empty"},
		{"music", echostr.MusicReply{ThumbMediaID: "id"}, text, ""},
		{"music without thumb", echostr.MusicReply{MusicURL: "https://example.com"}, text, "music reply: ThumbMediaID is empty"},
		{"no article", echostr.News(), subscribe, "no article"},
		{"1 article after a message", articles(1), text, ""},
		{"2 articles after a message", articles(2), text, "2 articles, and WeChat takes 1"},
		{"8 articles after an event", articles(8), subscribe, ""},
		{"9 articles after an event", articles(9), subscribe, "9 articles"},
		{"9 articles after anything", articles(9), nil, "9 articles"},
		{"2 articles after anything", articles(2), nil, ""},
		{"article without title", echostr.News(article, echostr.Article{URL: "https://example.com"}), subscribe, "article 2 has no Title"},
		{"article without URL", echostr.News(echostr.Article{Title: "t"}), subscribe, "article 1 has no URL"},
		{"transfer", echostr.TransferReply{}, text, ""},
		{"transfer to an agent", echostr.TransferReply{KfAccount: "test1@test"}, text, ""},
		{"raw", echostr.RawReply{MsgType: "hardware", InnerXML: "<HardWare><MessageView>a&amp;b</MessageView></HardWare>\n<!-- x --><A/>"}, text, ""},
		{"raw of nothing", echostr.RawReply{MsgType: "transfer_biz_ai_ivr"}, text, ""},
		{"raw without type", echostr.RawReply{InnerXML: "<A/>"}, text, "MsgType"},
		{"raw with a type that is none", echostr.RawReply{MsgType: "a b"}, text, "MsgType"},
		{"raw of a known type", echostr.RawReply{MsgType: "Text", InnerXML: "<Content>x</Content>"}, text, "type of its own"},
		{"raw that is cut", echostr.RawReply{MsgType: "x", InnerXML: "<A><B></A>"}, text, "well-formed"},
		{"raw with text", echostr.RawReply{MsgType: "x", InnerXML: "hello"}, text, "text outside"},
		{"raw with another user", echostr.RawReply{MsgType: "x", InnerXML: "<ToUserName>me</ToUserName>"}, text, "ToUserName is written"},
		{"raw with a second type", echostr.RawReply{MsgType: "x", InnerXML: "<msgtype>text</msgtype>"}, text, "msgtype is written"},
		{"raw that ends the document", echostr.RawReply{MsgType: "x", InnerXML: "</xml><xml>"}, text, "closes the document"},
		{"raw with an entity", echostr.RawReply{MsgType: "x", InnerXML: "<A>&nbsp;</A>"}, text, "entity"},
		{"raw with a DTD", echostr.RawReply{MsgType: "x", InnerXML: "<!DOCTYPE x><A/>"}, text, "declaration"},
		{"raw with a declaration", echostr.RawReply{MsgType: "x", InnerXML: `<?xml version="1.0"?><A/>`}, text, "declaration"},
		{"raw with a control character", echostr.RawReply{MsgType: "x", InnerXML: "<A>\x01</A>"}, text, "illegal character"},
		{"raw with an open section", echostr.RawReply{MsgType: "x", InnerXML: "<A><![CDATA[</A>"}, text, "EOF"},
		{"pointer", &echostr.TextReply{Content: "x"}, text, "*echostr.TextReply"},
		{"nil pointer", (*echostr.TextReply)(nil), text, "*echostr.TextReply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := echostr.Validate(tt.reply, tt.trigger)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Validate = %v, want nil", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Validate = %v, want %q in it", err, tt.want)
			}
		})
	}
}

// Every event, and nothing else, may be answered with several articles.
func TestValidateArticlesAfterEveryVector(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/vectors/index.json")
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Messages []struct{ Name, MsgType string }
	}
	if err := json.Unmarshal(data, &index); err != nil || len(index.Messages) < 100 {
		t.Fatalf("%d messages in the index, %v", len(index.Messages), err)
	}
	article := echostr.Article{Title: "t", URL: "https://example.com"}
	for _, v := range index.Messages {
		body, err := os.ReadFile("testdata/vectors/messages/" + v.Name + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		m, err := echostr.Decode(body)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if err := echostr.Validate(echostr.News(article, article), m); (err == nil) != (v.MsgType == "event") {
			t.Errorf("%s, MsgType %q: %v", v.Name, v.MsgType, err)
		}
	}
}

// The callback answers these two in its own way.
func TestValidateTellsTextErrorsApart(t *testing.T) {
	t.Parallel()
	if err := echostr.Validate(echostr.Text(""), nil); !errors.Is(err, echostr.ErrEmptyText) {
		t.Errorf("empty text: %v, want ErrEmptyText", err)
	}
	err := echostr.Validate(echostr.Text(strings.Repeat("长", 1000)), nil)
	if tooLong, ok := errors.AsType[*echostr.TooLongError](err); !ok || tooLong.Bytes != 3000 || tooLong.Limit != 2048 {
		t.Errorf("long text: %#v, want a *TooLongError of 3000 bytes", err)
	}
	cut := echostr.CutText(strings.Repeat("长", 1000), echostr.MaxTextBytes)
	if err := echostr.Validate(echostr.Text(cut), nil); err != nil {
		t.Errorf("cut text: %v", err)
	}
}

// hostile is what a user may write to break the reply that repeats it.
var hostile = []string{
	"",
	"你好",
	"]]>",
	"]]]]>>",
	"]\x00]\x01>",
	"]]\uFFFE>",
	"]]\xff></Content><Content>x",
	"]]></Content><ToUserName><![CDATA[victim]]></ToUserName><Content><![CDATA[",
	"</Content></xml><xml>",
	"<![CDATA[",
	"&lt;&amp;&#0;&#x1F;&nbsp;",
	"<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>&e;",
	"<?php echo 1 ?>{{.ToUserName}}${x}%s%!d(MISSING)",
	"NUL \x00 BEL \x07 ESC \x1b[31m DEL \x7f C1 \u0085",
	"\xff\xfe invalid \xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 cut \xe4\xbd",
	"\uFFFD \uFFFE \uFFFF \U0001FFFE \U0010FFFF",
	"line\r\nline\rline\n\tline\u2028line",
	"\u202eLTR\u202c \u2066x\u2069 \ufeff",
	"👨‍👩‍👧‍👦🇨🇳e\u0301",
	strings.Repeat("]]>", 700),
}

// sent is the text that arrives if s is sent, written differently from the code.
func sent(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
		case r < 0x20 && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF:
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// repliesOf are replies of every type with strings that may hold anything, and
// the fields that have to arrive beside the common ones.
func repliesOf(s, u string) map[string]struct {
	reply echostr.Reply
	want  map[string]any
} {
	// Optional elements are left out if the string is empty.
	some := func(m map[string]any, optional ...string) map[string]any {
		for i := 0; i < len(optional); i += 2 {
			if v := sent(optional[i+1]); v != "" {
				m[optional[i]] = v
			}
		}
		return m
	}
	type c = struct {
		reply echostr.Reply
		want  map[string]any
	}
	item := map[string]any{"Title": sent(s), "Description": sent(u), "PicUrl": sent(s), "Url": sent(u)}
	cases := map[string]c{
		"text":  {echostr.Text(s), map[string]any{"Content": sent(s)}},
		"image": {echostr.Image(s), map[string]any{"Image": map[string]any{"MediaId": sent(s)}}},
		"voice": {echostr.Voice(s), map[string]any{"Voice": map[string]any{"MediaId": sent(s)}}},
		"video": {
			echostr.VideoReply{MediaID: s, Title: u, Description: s},
			map[string]any{"Video": some(map[string]any{"MediaId": sent(s)}, "Title", u, "Description", s)},
		},
		"music": {
			echostr.MusicReply{ThumbMediaID: s, Title: u, Description: s, MusicURL: u, HQMusicURL: s},
			map[string]any{"Music": some(map[string]any{"ThumbMediaId": sent(s)}, "Title", u, "Description", s, "MusicUrl", u, "HQMusicUrl", s)},
		},
		"news": {
			echostr.News(echostr.Article{Title: s, Description: u, PicURL: s, URL: u}, echostr.Article{Title: s, Description: u, PicURL: s, URL: u}),
			map[string]any{"ArticleCount": "2", "Articles": map[string]any{"item": []any{item, item}}},
		},
		"transfer_customer_service": {echostr.TransferReply{KfAccount: s}, map[string]any{}},
		s:                           {echostr.RawReply{MsgType: s}, map[string]any{}},
	}
	if sent(s) != "" {
		cases["transfer_customer_service"].want["TransInfo"] = map[string]any{"KfAccount": sent(s)}
	}
	return cases
}

var someUser = echostr.Address{ToUserName: "o88wo1N-6JnISJyLg6k3Pp3SUykV", FromUserName: "gh_8c001c7d976e", CreateTime: 1700000202}

// checkContained fails if a reply that holds the strings is not exactly one
// document with the elements of its type.
func checkContained(t *testing.T, s, u string) {
	t.Helper()
	for msgType, c := range repliesOf(s, u) {
		doc := echostr.AppendReply(nil, c.reply, someUser)
		got, err := replyTree(doc)
		if err != nil {
			t.Fatalf("%T: %v in\n%q", c.reply, err, doc)
		}
		want := map[string]any{
			"ToUserName": someUser.ToUserName, "FromUserName": someUser.FromUserName,
			"CreateTime": "1700000202", "MsgType": sent(msgType),
		}
		maps.Copy(want, c.want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%T: -want +got\n%s", c.reply, diff)
		}
		if _, raw := c.reply.(echostr.RawReply); raw && echostr.Validate(c.reply, nil) != nil {
			continue
		}
		again, addr, err := echostr.DecodeReply(doc)
		if err != nil || addr != someUser {
			t.Fatalf("DecodeReply: %+v, %v of\n%q", addr, err, doc)
		}
		if diff := cmp.Diff(string(doc), string(echostr.AppendReply(nil, again, addr))); diff != "" {
			t.Fatalf("%T: decoded and written again: -want +got\n%s", c.reply, diff)
		}
	}
}

func TestS14EchoedTextStaysText(t *testing.T) {
	t.Parallel()
	for _, s := range hostile {
		checkContained(t, s, "x")
		checkContained(t, "x", s)
	}
}

// Whatever is in a text, it arrives as it was sent, without what XML has no way to say; and however it is cut, no character is.
func TestRepliesOfAnyText(t *testing.T) {
	t.Parallel()
	pieces := []string{"]]>", "]]", "]", ">", "<![CDATA[", "&lt;", "&#0;", "\x00", "\x1b", "\r\n", "\r", "\xff", "\xed\xa0\x80", "\uFFFE", "\uFFFF", "😀", "👨‍👩‍👧‍👦", "\u202e", "שלום", "你好"}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 6))
		text := func() string {
			var b strings.Builder
			for range rng.IntN(30) {
				switch rng.IntN(4) {
				case 0:
					b.WriteByte(byte(rng.IntN(256)))
				case 1:
					b.WriteRune(rune(rng.IntN(0x110000)))
				default:
					b.WriteString(pieces[rng.IntN(len(pieces))])
				}
			}
			return b.String()
		}
		s := text()
		checkContained(t, s, text())
		limit := rng.IntN(len(s) + 2)
		cut := echostr.CutText(s, limit)
		whole := strings.TrimSuffix(cut, "…")
		if rest, ok := strings.CutPrefix(sent(s), whole); cut != s && (len(cut) > limit || !ok || !utf8.ValidString(whole) || !utf8.ValidString(rest)) {
			t.Errorf("seed %d: %q is cut to %d bytes as %q", seed, s, limit, cut)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestS14HostileAddress(t *testing.T) {
	t.Parallel()
	for _, s := range hostile {
		doc := echostr.AppendReply(nil, echostr.Text("x"), echostr.Address{ToUserName: s, FromUserName: s, CreateTime: -1})
		got, err := replyTree(doc)
		if err != nil {
			t.Fatalf("%v in\n%q", err, doc)
		}
		want := map[string]any{"ToUserName": sent(s), "FromUserName": sent(s), "CreateTime": "-1", "MsgType": "text", "Content": "x"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: -want +got\n%s", s, diff)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range hostile {
		f.Add(s, "x")
		f.Add("x", s)
	}
	f.Fuzz(func(t *testing.T, s, u string) { checkContained(t, s, u) })
}

func BenchmarkAppendTextReply(b *testing.B) {
	r := echostr.Reply(echostr.Text("北京今天晴，最高 31 度。\n<a href=\"https://example.com/?a=1&b=2\">更多</a> 😀"))
	b.ReportAllocs()
	for b.Loop() {
		echostr.AppendReply(nil, r, someUser)
	}
}

package simulator

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRaw(t *testing.T) {
	t.Parallel()
	const captured = "<?xml version=\"1.0\"?>\n<!-- <MsgId>7</MsgId> --><xml a='1'>\r\n <ToUserName> <![CDATA[gh_old]]> </ToUserName><FromUserName>oOld</FromUserName>\n" +
		"<CreateTime x=\"y\">1</CreateTime ><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[<MsgId>5</MsgId>]]> &amp; </Content>" +
		"<Deep><MsgId>6</MsgId><CreateTime>2</CreateTime></Deep><MsgId><![CDATA[9]]></MsgId><MsgID>8</MsgID></xml>\n"
	replaced := strings.NewReplacer(`<CreateTime x="y">1<`, `<CreateTime x="y">1772366400<`, "<MsgId><![CDATA[9]]>", "<MsgId><![CDATA[42]]>").Replace(captured)
	for _, tt := range []struct {
		name   string
		doc    string
		o      RawOptions
		modify func(*Message)
		want   string
	}{
		{"new message", captured, RawOptions{}, nil, replaced},
		{"keep", captured, RawOptions{Keep: true}, nil, captured},
		{"readdress", captured, RawOptions{Readdress: true}, nil, strings.NewReplacer(" <![CDATA[gh_old]]> ", "<![CDATA["+gh+"]]>", ">oOld<", ">"+user+"<").Replace(replaced)},
		{"keep but readdress", captured, RawOptions{Keep: true, Readdress: true}, nil, strings.NewReplacer(" <![CDATA[gh_old]]> ", "<![CDATA["+gh+"]]>", ">oOld<", ">"+user+"<").Replace(captured)},
		{"user set", captured, RawOptions{}, func(m *Message) { m.FromUserName = "o<&" }, strings.Replace(replaced, ">oOld<", ">o&lt;&amp;<", 1)},
		{"account set", captured, RawOptions{}, func(m *Message) { m.ToUserName = "a]]>b" }, strings.Replace(replaced, " <![CDATA[gh_old]]> ", "<![CDATA[a]]]]><![CDATA[>b]]>", 1)},
		{
			"empty elements", "<xml><ToUserName/><MsgId/><CreateTime a='/>' /><MsgType>text</MsgType></xml>",
			RawOptions{Readdress: true},
			nil,
			"<xml><ToUserName>" + gh + "</ToUserName><MsgId>42</MsgId><CreateTime a='/>' >1772366400</CreateTime><MsgType>text</MsgType></xml>",
		},
		{
			"event", "<xml><CreateTime>1</CreateTime><MsgType> <![CDATA[EVENT]]>\n</MsgType><Event>x</Event><MsgId>77</MsgId></xml>",
			RawOptions{},
			nil,
			"<xml><CreateTime>1772366400</CreateTime><MsgType> <![CDATA[EVENT]]>\n</MsgType><Event>x</Event><MsgId>77</MsgId></xml>",
		},
		{"nothing to replace", "<xml></xml>", RawOptions{Readdress: true}, nil, "<xml></xml>"},
		{"not XML, kept", "{\"a\":1", RawOptions{Keep: true}, nil, "{\"a\":1"},
		{"nothing, kept", "", RawOptions{Keep: true}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := Raw([]byte(tt.doc), tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if !tt.o.Keep {
				m.CreateTime, m.MsgID = 1772366400, 42
			}
			if tt.modify != nil {
				tt.modify(&m)
			}
			var got push
			r := send(t, Config{User: user}, m, func(w http.ResponseWriter, r *http.Request) { got = receive(r) })
			if d := cmp.Diff(tt.want, got.body); d != "" {
				t.Error(d)
			}
			if string(r.Document) != got.body {
				t.Error("the report has another document")
			}
		})
	}
	for name, doc := range map[string]string{
		"nothing": "", "text": "hello", "cut": "<xml><MsgId>1</MsgId>", "other root": "<XML></XML>", "two roots": "<xml></xml><xml></xml>",
		"crossed": "<xml><a></b></xml>", "crossed inside": "<xml><c><a></c></a></xml>", "HTML": "<html></html>",
	} {
		if _, err := Raw([]byte(doc), RawOptions{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestMessageVectors sends every captured push in every mode and looks at it from the other side.
func TestMessageVectors(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../testdata/vectors/messages/*.xml")
	if err != nil || len(names) < 115 {
		t.Fatalf("%d messages, %v", len(names), err)
	}
	for _, name := range names {
		document, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := strings.TrimSuffix(filepath.Base(name), ".xml")
		if strings.HasPrefix(base, "envelope-") {
			if _, err := Raw(document, RawOptions{}); err == nil {
				t.Errorf("%s: sealed, and accepted", base)
			}
			continue
		}
		before, err := parseXML(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, mode := range modes {
			for _, o := range []RawOptions{{}, {Keep: true}, {Readdress: true}} {
				m, err := Raw(document, o)
				if err != nil {
					t.Errorf("%s: %v", base, err)
					continue
				}
				var got string
				acc := account(mode)
				r := send(t, Config{Account: acc, User: user}, m, func(w http.ResponseWriter, r *http.Request) {
					got = openPush(t, acc, receive(r))
					io.WriteString(w, "success")
				})
				if o.Keep && got != string(document) {
					t.Errorf("%s, %s: changed, though kept", base, mode)
				}
				want, err := parseXML(document)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range want.children {
					switch {
					case c.name == "CreateTime" && !o.Keep:
						c.text = strconv.FormatInt(r.Message.CreateTime, 10)
					case c.name == "MsgId" && !o.Keep && m.Type() != "event":
						c.text = strconv.FormatInt(r.Message.MsgID, 10)
					case c.name == "ToUserName" && o.Readdress:
						c.text = gh
					case c.name == "FromUserName" && o.Readdress:
						c.text = user
					}
				}
				after, err := parseXML([]byte(got))
				if err != nil {
					t.Errorf("%s, %s: %v", base, mode, err)
					continue
				}
				if d := cmp.Diff(want, after, cmp.AllowUnexported(node{})); d != "" {
					t.Errorf("%s, %s, %+v: %s", base, mode, o, d)
				}
			}
		}
		if len(before.children) == 0 {
			t.Errorf("%s has no elements", base)
		}
	}
}

// FuzzRaw: whatever is accepted and rewritten reads the same but for the two replaced elements.
func FuzzRaw(f *testing.F) {
	names, _ := filepath.Glob("../testdata/vectors/messages/*.xml")
	for _, name := range names[:min(len(names), 40)] {
		document, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(document))
	}
	f.Add("<xml><MsgId/><CreateTime/></xml>")
	f.Add("<xml><MsgId>1<MsgId>2</MsgId></MsgId></xml>")
	f.Fuzz(func(t *testing.T, document string) {
		m, err := Raw([]byte(document), RawOptions{})
		if err != nil {
			return
		}
		m.CreateTime, m.MsgID = 1772366400, 42
		want, err := parseXML([]byte(document))
		if err != nil {
			return // a document type, or too deep: sent as it is
		}
		for _, c := range want.children {
			switch {
			case c.name == "CreateTime":
				*c = node{name: c.name, text: "1772366400"}
			case c.name == "MsgId" && !m.isEvent():
				*c = node{name: c.name, text: "42"}
			}
		}
		got, err := parseXML(m.document())
		if err != nil {
			t.Fatalf("%v: %q", err, m.document())
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(node{})); d != "" {
			t.Fatal(d)
		}
	})
}

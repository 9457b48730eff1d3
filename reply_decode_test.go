package echostr_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
)

func TestDecodeReplyVectors(t *testing.T) {
	t.Parallel()
	for _, v := range replyVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			for form, doc := range map[string][]byte{"vector": v.xml, "own": echostr.AppendReply(nil, v.reply, v.addr)} {
				got, addr, err := echostr.DecodeReply(doc)
				if err != nil {
					t.Fatalf("%s: %v", form, err)
				}
				if diff := cmp.Diff(v.reply, got); diff != "" {
					t.Errorf("%s: reply: -want +got\n%s", form, diff)
				}
				if addr != v.addr {
					t.Errorf("%s: address %+v, want %+v", form, addr, v.addr)
				}
			}
		})
	}
}

func TestDecodeReply(t *testing.T) {
	t.Parallel()
	const head = "<ToUserName>u</ToUserName><FromUserName>a</FromUserName><CreateTime>7</CreateTime>"
	tests := []struct {
		name, in string
		want     echostr.Reply
		err      string
	}{
		{"success", "success", echostr.None{}, ""},
		{"empty", "", echostr.None{}, ""},
		{"blank", " \r\n", echostr.None{}, ""},
		{"any order", "<xml><Content> a&amp;b\n</Content><MsgType>TEXT</MsgType>" + head + "</xml>", echostr.Text(" a&b\n"), ""},
		{"white space around CDATA", "<xml>" + head + "<MsgType> <![CDATA[image]]> </MsgType><Image> <MediaId> <![CDATA[ id]]> </MediaId> </Image></xml>", echostr.Image(" id"), ""},
		{"no content", "<xml>" + head + "<MsgType>text</MsgType></xml>", echostr.Text(""), ""},
		{"no articles", "<xml>" + head + "<MsgType>news</MsgType><ArticleCount>3</ArticleCount></xml>", echostr.NewsReply{}, ""},
		{"count that lies", "<xml>" + head + "<MsgType>news</MsgType><ArticleCount>3</ArticleCount><Articles>x<item><Url>u</Url></item><other/></Articles></xml>", echostr.News(echostr.Article{URL: "u"}), ""},
		{
			"unknown type",
			"<xml> x <A/>" + head + "<!-- c --><MsgType>hologram</MsgType><A b='>'><A/></A><B></B ><C><![CDATA[<]]></C>y<D>d&gt;</D><E>\n<F>&#62;</F>\n</E> z </xml>",
			echostr.RawReply{MsgType: "hologram", InnerXML: "<A/><A b='>'><A/></A><B></B ><C><![CDATA[<]]></C><D>d&gt;</D><E>\n<F>&#62;</F>\n</E>"},
			"",
		},
		{"no user", "<xml><FromUserName>a</FromUserName><CreateTime>7</CreateTime><MsgType>text</MsgType></xml>", nil, "ToUserName is missing"},
		{"no account", "<xml><ToUserName>a</ToUserName><FromUserName/><CreateTime>7</CreateTime><MsgType>text</MsgType></xml>", nil, "FromUserName is missing"},
		{"time in brackets", "<xml><ToUserName>u</ToUserName><FromUserName>a</FromUserName><CreateTime>[7]</CreateTime><MsgType>text</MsgType></xml>", nil, "CreateTime"},
		{"no type", "<xml>" + head + "</xml>", nil, "MsgType is missing"},
		{"two users", "<xml>" + head + "<ToUserName>v</ToUserName><MsgType>text</MsgType></xml>", nil, "repeated"},
		{"plain text", "ok", nil, "not a document"},
		{"JSON", `{"a":1}`, nil, "not a document"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := echostr.DecodeReply([]byte(tt.in))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q in it", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			raw, ok := got.(echostr.RawReply)
			if !ok {
				return
			}
			if err := echostr.Validate(raw, nil); err != nil {
				t.Errorf("Validate: %v", err)
			}
			again, addr, err := echostr.DecodeReply(echostr.AppendReply(nil, raw, someUser))
			if diff := cmp.Diff(got, again); diff != "" || addr != someUser || err != nil {
				t.Errorf("again: %+v, %v, -want +got\n%s", addr, err, diff)
			}
		})
	}
}

// What DecodeReply accepts is the same again after writing and reading it.
func FuzzDecodeReply(f *testing.F) {
	for _, v := range replyVectors(f) {
		f.Add(v.xml)
	}
	f.Add([]byte("<xml><A b='/>'/><A b='/>'></A><ToUserName>u</ToUserName><FromUserName>a</FromUserName><CreateTime>7</CreateTime><MsgType>x</MsgType><B><!-- > --></B></xml>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, addr, err := echostr.DecodeReply(body)
		if err != nil {
			if r != nil || addr != (echostr.Address{}) {
				t.Fatalf("a reply beside the error: %v, %v", r, addr)
			}
			return
		}
		if _, raw := r.(echostr.RawReply); echostr.IsNone(r) || raw && echostr.Validate(r, nil) != nil {
			return
		}
		doc := echostr.AppendReply(nil, r, addr)
		again, addr2, err := echostr.DecodeReply(doc)
		if err != nil {
			// An address of characters that cannot be sent.
			if sent(addr.ToUserName) == "" || sent(addr.FromUserName) == "" {
				return
			}
			t.Fatalf("%v in\n%q", err, doc)
		}
		if strings.Contains(string(body), "&#") {
			return // a carriage return as a reference is read, but never written
		}
		if diff := cmp.Diff(r, again); diff != "" || addr != addr2 {
			t.Fatalf("address %+v, then %+v; reply: -want +got\n%s", addr, addr2, diff)
		}
	})
}

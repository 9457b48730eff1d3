package echostr

import (
	"encoding/xml"
	"os"
	"testing"
)

var sink any

func BenchmarkDecodeText(b *testing.B) {
	body := vector(b, "text.xml")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Decode(body)
		if err != nil {
			b.Fatal(err)
		}
		sink = m
	}
}

// The struct that people write who decode with encoding/xml.
func BenchmarkDecodeTextEncodingXML(b *testing.B) {
	body := vector(b, "text.xml")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var m struct {
			ToUserName   string
			FromUserName string
			CreateTime   int64
			MsgType      string
			MsgID        int64  `xml:"MsgId"`
			MsgDataID    string `xml:"MsgDataId"`
			Idx          int
			Content      string
			BizMsgMenuID string `xml:"bizmsgmenuid"`
		}
		if err := xml.Unmarshal(body, &m); err != nil {
			b.Fatal(err)
		}
		sink = &m
	}
}

func BenchmarkKey(b *testing.B) {
	for _, name := range []string{"text.xml", "event-MASSSENDJOBFINISH.xml"} {
		b.Run(name, func(b *testing.B) {
			var d Document
			if err := d.Parse(vector(b, name)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				sink = d.Key("wxb11529c136998cb6")
			}
		})
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	m, err := Decode(vector(b, "text.xml"))
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendMessage(buf[:0], m)
	}
}

// vector returns one of the push samples.
func vector(tb testing.TB, name string) []byte {
	tb.Helper()
	body, err := os.ReadFile("testdata/vectors/messages/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

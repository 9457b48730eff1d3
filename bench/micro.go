package main

import (
	"crypto/sha1"
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/wxcrypt"
)

// micro compares parts with what they are measured by, in one process, in turns.
func (b *bench) micro() ([]*Table, error) {
	testing.Init()
	if err := flag.Set("test.benchtime", b.benchtime.String()); err != nil {
		return nil, err
	}
	const vector = "testdata/vectors/messages/text.xml"
	body, err := os.ReadFile("../" + vector)
	if err != nil {
		return nil, fmt.Errorf("run this in the folder bench: %w", err)
	}
	const timestamp, nonce = "1795312800", "1372623149"
	signed := []byte(timestamp + nonce + token)
	var answer echostr.Reply = echostr.Text(hello)
	signature := wxcrypt.Signature(token, timestamp, nonce)

	t := &Table{Title: fmt.Sprintf("Parts, %d rounds", b.rounds), Columns: []string{"what", "ns", "allocations", "measured by", "ns", "times as fast", "aim"}}
	for _, p := range []struct {
		what, by, aim string
		ours, base    func() error
	}{
		{"decode `" + vector + "`", "`encoding/xml` into the same struct", "25, and 2 allocations", func() error {
			m, err := echostr.Decode(body)
			runtime.KeepAlive(m)
			return err
		}, func() error { return decodeStd(body) }},
		{"check a signature", "SHA-1 of the same bytes", "0.56, and none", func() error {
			if !wxcrypt.Verify(signature, token, timestamp, nonce) {
				return fmt.Errorf("the signature does not fit")
			}
			return nil
		}, func() error {
			sum := sha1.Sum(signed)
			runtime.KeepAlive(sum)
			return nil
		}},
		{"encode a text reply", "`encoding/xml` from a struct with CDATA", "1 allocation", func() error {
			reply := echostr.AppendReply(nil, answer, echostr.Address{ToUserName: "o", FromUserName: "gh_", CreateTime: 1})
			runtime.KeepAlive(reply)
			return nil
		}, encodeStd},
	} {
		var ours, base []float64
		var allocs int64
		for range b.rounds {
			r, err := measure(p.ours)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.what, err)
			}
			ours, allocs = append(ours, nsPerOp(r)), r.AllocsPerOp()
			if r, err = measure(p.base); err != nil {
				return nil, fmt.Errorf("%s: %w", p.by, err)
			}
			base = append(base, nsPerOp(r))
		}
		t.add(&Row{Name: p.what, Cells: []Cell{rounds(ours), text(fmt.Sprint(allocs)), text(p.by), rounds(base), ratio(base, ours), text(p.aim)}})
	}
	return []*Table{t}, nil
}

func nsPerOp(r testing.BenchmarkResult) float64 { return float64(r.T.Nanoseconds()) / float64(r.N) }

func measure(f func() error) (r testing.BenchmarkResult, err error) {
	r = testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err = f(); err != nil {
				return
			}
		}
	})
	return r, err
}

// decodeStd is what people write who decode with encoding/xml.
func decodeStd(body []byte) error {
	var m struct {
		ToUserName, FromUserName string
		CreateTime               int64
		MsgType                  string
		MsgID                    int64  `xml:"MsgId"`
		MsgDataID                string `xml:"MsgDataId"`
		Idx                      int
		Content                  string
		BizMsgMenuID             string `xml:"bizmsgmenuid"`
	}
	err := xml.Unmarshal(body, &m)
	runtime.KeepAlive(&m)
	return err
}

// encodeStd is what people write who encode with encoding/xml.
func encodeStd() error {
	type cdata struct {
		Text string `xml:",cdata"`
	}
	reply, err := xml.Marshal(&struct {
		XMLName                  xml.Name `xml:"xml"`
		ToUserName, FromUserName cdata
		CreateTime               int64
		MsgType, Content         cdata
	}{ToUserName: cdata{"o"}, FromUserName: cdata{"gh_"}, CreateTime: 1, MsgType: cdata{"text"}, Content: cdata{hello}})
	runtime.KeepAlive(reply)
	return err
}

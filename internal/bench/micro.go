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

// micro compares parts with what they are measured by, in one process, in
// turns.
func micro(rounds int) error {
	testing.Init()
	if err := flag.Set("test.benchtime", "200ms"); err != nil {
		return err
	}
	const vector = "testdata/vectors/messages/text.xml"
	body, err := os.ReadFile(vector)
	if err != nil {
		return fmt.Errorf("run this from the project's root: %w", err)
	}
	const timestamp, nonce = "1795312800", "1372623149"
	signed := []byte(timestamp + nonce + token)
	var answer echostr.Reply = echostr.Text("你好，世界")
	signature := wxcrypt.Signature(token, timestamp, nonce)

	fmt.Printf("Parts, medians of %d rounds\n\n| what | ns | allocations | measured by | ns | ratio |\n|---|---|---|---|---|---|\n", rounds)
	for _, p := range []struct {
		what, by   string
		ours, base func() error
		faster     bool
	}{
		{"decode " + vector, "encoding/xml into the same struct", func() error {
			m, err := echostr.Decode(body)
			runtime.KeepAlive(m)
			return err
		}, func() error { return decodeStd(body) }, true},
		{"check a signature", "SHA-1 of the same bytes", func() error {
			if !wxcrypt.Verify(signature, token, timestamp, nonce) {
				return fmt.Errorf("the signature does not fit")
			}
			return nil
		}, func() error {
			sum := sha1.Sum(signed)
			runtime.KeepAlive(sum)
			return nil
		}, false},
		{"encode a text reply", "the decoding above", func() error {
			reply := echostr.AppendReply(nil, answer, echostr.Address{ToUserName: "o", FromUserName: "gh_", CreateTime: 1})
			runtime.KeepAlive(reply)
			return nil
		}, func() error {
			m, err := echostr.Decode(body)
			runtime.KeepAlive(m)
			return err
		}, false},
	} {
		var ours, base []float64
		var allocs int64
		for range rounds {
			r, err := measure(p.ours)
			if err != nil {
				return fmt.Errorf("%s: %w", p.what, err)
			}
			ours, allocs = append(ours, nsPerOp(r)), r.AllocsPerOp()
			if r, err = measure(p.base); err != nil {
				return fmt.Errorf("%s: %w", p.by, err)
			}
			base = append(base, nsPerOp(r))
		}
		o, b := median(ours), median(base)
		ratio := fmt.Sprintf("%.2f", o/b)
		if p.faster {
			ratio = fmt.Sprintf("%.1f times faster", b/o)
		}
		fmt.Printf("| %s | %.0f | %d | %s | %.0f | %s |\n", p.what, o, allocs, p.by, b, ratio)
	}
	fmt.Println()
	return nil
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

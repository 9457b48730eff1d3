package callback_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
)

// FuzzCallback gives any method, query, body and headers to ServeHTTP. The flags say what is signed, so that the fuzzer gets behind the
// signatures without having to guess them.
func FuzzCallback(f *testing.F) {
	const (
		signs = 1 << iota
		signsMsg
		seals // the body becomes the Encrypt of a good envelope
		chunks
		gzips
		_
		// The highest two bits are the mode.
	)
	f.Add(byte(0), "POST", "signature=x&timestamp=1&nonce=1", "<xml></xml>")
	f.Add(byte(signs), "POST", "", textFrom(testUser, 1700000000, "你好"))
	f.Add(byte(signs|1<<6), "POST", "encrypt_type=aes", textFrom(testUser, 1700000000, "你好"))
	f.Add(byte(signs|signsMsg|seals|1<<6), "POST", "encrypt_type=aes", textFrom(testUser, 1700000000, "你好"))
	f.Add(byte(signs|signsMsg|seals|2<<6), "POST", "encrypt_type=aes", "<xml><FromUserName>o</FromUserName><MsgType>event</MsgType><Event>unsubscribe</Event></xml>")
	f.Add(byte(signs|signsMsg|2<<6), "POST", "encrypt_type=aes", "<xml><Encrypt>AAAA</Encrypt></xml>")
	f.Add(byte(signs|chunks), "POST", "", "<xml><FromUserName>o</FromUserName><Content>]]&gt;</Content></xml>")
	f.Add(byte(signs), "GET", "echostr=123", "")
	f.Add(byte(signs), "GET", "echostr=<script>", "")
	f.Add(byte(signs|gzips), "POST", "", "\x1f\x8b")
	f.Add(byte(signs), "POST", "", `{"MsgType":"text"}`)
	f.Add(byte(signs), "POST", "", "not a document")

	f.Fuzz(func(t *testing.T, flags byte, method, query, body string) {
		h := new(counted)
		a := account(modes[int(flags>>6)%3], h)
		s, st := one(t, a)
		if flags&seals != 0 && a.Mode != callback.Plain {
			body = "<xml><Encrypt><![CDATA[" + seal(testKey, testAppID, body) + "]]></Encrypt></xml>"
		}
		timestamp, nonce := strconv.FormatInt(time.Now().Unix(), 10), "42"
		if flags&signs != 0 {
			query += "&timestamp=" + timestamp + "&nonce=" + nonce + "&signature=" + sign(testToken, timestamp, nonce)
		}
		if flags&signsMsg != 0 {
			var doc echostr.Document
			encrypt := ""
			if doc.Parse([]byte(body)) == nil {
				encrypt, _ = doc.Get("Encrypt")
			}
			query += "&msg_signature=" + sign(testToken, timestamp, nonce, encrypt)
		}
		r := httptest.NewRequest("POST", "/wx/demo", io.NopCloser(strings.NewReader(body)))
		r.Method, r.URL.RawQuery, r.ContentLength = method, query, int64(len(body))
		if flags&chunks != 0 {
			r.ContentLength = -1
		}
		if flags&gzips != 0 {
			r.Header.Set("Content-Encoding", "gzip")
		}
		began := time.Now()
		g := do(s, r)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		n, starts := len(rows(t, st)), h.n.Load()

		if flags&signs == 0 && g.status == http.StatusOK {
			t.Fatalf("not signed, and answered %v", g)
		}
		if a.Mode != callback.Plain && flags&signsMsg == 0 && n > 0 {
			t.Fatalf("without msg_signature in mode %v: %d rows", a.Mode, n)
		}
		switch g.status {
		case 400, 403, 404, 405, 413:
			if g.body != "" || n != 0 || starts != 0 {
				t.Fatalf("%v left %d rows and %d starts", g, n, starts)
			}
		case 200:
			switch {
			case method == "GET":
				if n != 0 || starts != 0 || g.header.Get("X-Content-Type-Options") != "nosniff" || strings.ContainsAny(g.body, "<>&\"' \r\n") || g.body == "" {
					t.Fatalf("GET: %v", g)
				}
			case method != "POST":
				t.Fatalf("%s: %v", method, g)
			default:
				if document := read(t, a, g.body); document != "success" && document != "" {
					row := only(t, st)
					if r := parseReply(t, document); !strings.EqualFold(r.MsgType, "text") || r.ToUserName == "" || row.Reply != document {
						t.Fatalf("reply %+v", r)
					}
				}
				if body != "" && n != 1 || starts > 1 {
					t.Fatalf("%d rows, %d starts", n, starts)
				}
			}
		default:
			t.Fatalf("%v", g)
		}
	})
}

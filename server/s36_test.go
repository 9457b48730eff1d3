package server

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/wxcrypt"
)

// Threat S36: requests that two programs would read differently, byte for byte as they go over the wire, to the
// whole server. Each tries to get a second message in, with a signature that is good: none may start, and what
// is left of a request is not read as another.
func TestS36RawRequests(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	const body = "<xml><ToUserName>gh_1</ToUserName><FromUserName>oUser</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>x</Content><MsgId>1</MsgId></xml>"
	const smuggled = "<xml><ToUserName>gh_1</ToUserName><FromUserName>oVictim</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>smuggled</Content><MsgId>2</MsgId></xml>"
	length := fmt.Sprint("Content-Length: ", len(body), "\r\n")
	bubble(t, func(t *testing.T) {
		timestamp := fmt.Sprint(time.Now().Unix())
		query := "?timestamp=" + timestamp + "&nonce=1&signature=" + wxcrypt.Signature(testToken, timestamp, "1")
		target := "/wx/demo" + query
		// A whole push, hidden in another request.
		second := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", target, len(smuggled), smuggled)
		post := func(target, header, body string) string {
			return "POST " + target + " HTTP/1.1\r\nHost: x\r\n" + header + "\r\n" + body
		}
		with := func(parameter string) string { return post(target+parameter, length, body) }
		tests := []struct {
			name, raw string
			want      string // the status; "" if the connection is closed without an answer
		}{
			// The path and the method.
			{"no path", post(query, length, body), "400"},
			{"absolute URI, other path", post("http://x/wx/other"+query, length, body), "404"},
			{"absolute URI with a user", post("http://wx/demo@x/"+query, length, body), "404"},
			{"authority only", post("//wx/demo"+query, length, body), "404"},
			{"two slashes", post("//x/wx/demo"+query, length, body), "404"},
			{"dots", post("/wx/../wx/demo"+query, length, body), "404"},
			{"encoded slash", post("/wx%2fdemo"+query, length, body), "404"},
			{"encoded letters", post("/wx/%64emo"+query, length, body), "404"},
			{"NUL in the path", post("/wx/demo%00"+query, length, body), "404"},
			{"backslash", post(`/wx\demo`+query, length, body), "404"},
			{"semicolon in the path", post("/wx/demo;x"+query, length, body), "404"},
			{"fragment", post("/wx/demo#"+query, length, body), "404"},
			{"blank in the path", post("/wx/demo /"+query, length, body), "400"},
			{"asterisk", post("*", length, body), "404"},
			{"small letters", strings.Replace(with(""), "POST", "post", 1), "405"},
			{"method with a blank", " " + with(""), "400"},
			{"CONNECT", "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
			{"override by a header", "PUT " + target + " HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: POST\r\n" + length + "\r\n" + body, "405"},
			{"path by a header", post("/wx/other"+query, "X-Original-URL: "+target+"\r\nX-Rewrite-URL: "+target+"\r\n"+length, body), "404"},

			// The query.
			{"nonce twice", with("&nonce=1"), "403"},
			{"nonce as a list", with("&nonce[]=1&nonce=2"), "403"},
			{"signature twice, encoded", with("&%73ignature=1"), "403"},
			{"semicolon for &", with(";nonce=2"), "403"},
			{"a second question mark", post("/wx/demo?"+query, length, body), "403"},
			{"broken escape", with("&x=%"), "403"},
			{"raw bytes over 127", with("&nonce=\xff\xfe"), "403"},

			// The protocol and the header.
			{"HTTP/0.9", "POST " + target + "\r\n\r\n", "400"},
			{"HTTP/1.1 without Host", "POST " + target + " HTTP/1.1\r\n" + length + "\r\n" + body, "400"},
			{"Host twice", post(target, "Host: y\r\n"+length, body), "400"},
			{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + second, "404"},
			{"HTTP/3.0", strings.Replace(with(""), "HTTP/1.1", "HTTP/3.0", 1), "505"},
			{"blank before a colon", post(target, strings.Replace(length, ":", " :", 1), body), "400"},
			{"folded header", post(target, "X: a\r\n b\r\n"+length+"X-Y: 1\r\n", ""), "403"},
			{"NUL in a header", post(target, "X: a\x00b\r\n"+length, body), "400"},
			{"no name", post(target, ": x\r\n"+length, body), "400"},
			{"compressed", post(target, "Content-Encoding: gzip\r\n"+length, body), "403"},
			{"expects something", post(target, "Expect: tea\r\n"+length, body), "417"},
			{"a JSON text", post(target, "Content-Type: application/json\r\nContent-Length: 2\r\n", "{}"), "403"},

			// The length: where does the request end?
			{"two lengths", post(target, "Content-Length: 0\r\n"+length, body), "400"},
			{"length with a sign", post(target, "Content-Length: +5\r\n", second), "400"},
			{"negative length", post(target, "Content-Length: -1\r\n", second), "400"},
			{"length in hex", post(target, "Content-Length: 0x10\r\n", second), "400"},
			{"list of lengths", post(target, "Content-Length: 5, 6\r\n", second), "400"},
			{"huge length", post(target, "Content-Length: 99999999999999999999\r\n", second), "400"},
			{"chunked and length, hidden push", post("/wx/other", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n"+second), "404"},
			{"chunked twice", post(target, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+second), "501"},
			{"obscured chunked", post(target, "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+second), "501"},
			{"chunked with a tab", post(target, "Transfer-Encoding:\tchunked, identity\r\n", "0\r\n\r\n"+second), "501"},
			{"chunk size with a sign", post(target, "Transfer-Encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n"), "403"},
			{"chunk size too large", post(target, "Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"), "403"},
			{"bare line feeds in chunks", post(target, "Transfer-Encoding: chunked\r\n", "5\nhello\n0\n\n"), "403"},
			{"hidden in what a 404 has not read", post("/wx/other", "Content-Length: "+fmt.Sprint(300<<10)+"\r\n", second), "404"},
			{"hidden in what a 403 has not read", post("/wx/demo", "Content-Length: "+fmt.Sprint(300<<10)+"\r\n", second), "403"},
			{"a push behind a GET with a body", "GET /wx/demo HTTP/1.1\r\nHost: x\r\nContent-Length: " + fmt.Sprint(len(second)) + "\r\n\r\n" + second, "400"},
		}
		if len(tests) < 30 {
			t.Fatalf("only %d cases", len(tests))
		}
		t.Logf("hostile inputs: %d", len(tests))
		var starts atomic.Int64
		r := start(t, cfg, Options{Handler: echostr.HandlerFunc(func(_ context.Context, m echostr.Message) (echostr.Reply, error) {
			starts.Add(1)
			return echostr.Text("re"), nil
		})})
		defer r.end(t)
		send := func(raw string) string {
			conn, err := r.pushes.DialContext(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() { _, _ = io.WriteString(conn, raw) }()
			_ = conn.SetReadDeadline(time.Now().Add(4 * time.Second)) // a body has 3 s
			answer, _ := io.ReadAll(conn)
			return string(answer)
		}
		for _, tt := range tests {
			answer := send(tt.raw)
			status := ""
			if fields := strings.Fields(answer); len(fields) > 1 {
				status = fields[1]
			}
			if status != tt.want {
				t.Errorf("%s: %q, want %s", tt.name, answer, tt.want)
			}
			if n := starts.Swap(0); n != 0 {
				t.Errorf("%s: %d messages were started", tt.name, n)
			}
			if strings.Contains(answer, "oVictim") || strings.Contains(answer, "smuggled") || strings.Contains(answer, testToken) {
				t.Errorf("%s: the answer says %q", tt.name, answer)
			}
		}
		// And the table tests what it means to: the push itself is good.
		if answer := send(with("")); !strings.HasPrefix(answer, "HTTP/1.1 200") || starts.Load() != 1 {
			t.Errorf("the real push: %q, %d starts", answer, starts.Load())
		}
	})
}

package wxapi

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkSend compares a send with a bare http.Client that posts the same bytes to the same server.
func BenchmarkSend(b *testing.B) {
	server := httptest.NewServer(weChatHandler(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
	}))
	defer server.Close()
	text := textReply("你好，这是一条客服消息。<a href=\"https://example.com/?a=1&b=2\">查看</a>")
	b.Run("bare", func(b *testing.B) {
		msgType, object, err := replyBody(text)
		if err != nil {
			b.Fatal(err)
		}
		body, err := messageText(testOpenID, msgType, object, nil)
		if err != nil {
			b.Fatal(err)
		}
		client := &http.Client{}
		b.ReportAllocs()
		for b.Loop() {
			resp, err := client.Post(server.URL+sendPath+"?access_token=token-1", "application/json; charset=utf-8", bytes.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
	b.Run("wxapi", func(b *testing.B) {
		c := newTestClient(b, http.DefaultTransport, func(c *Config) { c.BaseURL = server.URL })
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Send(b.Context(), testOpenID, text, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

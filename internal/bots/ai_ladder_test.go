package bots_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/bots"
	"github.com/echostr/echostr/internal/fakeai"
	"github.com/echostr/echostr/internal/pipenet"
	"github.com/echostr/echostr/simulator"
)

// TestAIThroughWeChat: a model that writes for a minute, an account without the customer-service API. The
// user reads what there is when WeChat's last push ends, fetches the rest, and can go on from it.
func TestAIThroughWeChat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// A bubble begins in 2000, and pushes have a time of ten digits.
		time.Sleep(time.Until(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)))
		var words []string
		for i := range 60 {
			words = append(words, string(rune('一'+i))+"。")
		}
		w := newAIWorld(t, bots.AIConfig{}, fakeai.Words(time.Second, words...), fakeai.Words(0, "好的。"))
		const token = "zAIBotTestToken00000000000000000"
		server, err := callback.New(callback.Config{Handler: w.bot, Accounts: []callback.Account{{Name: "ai", Token: token, Mode: callback.Plain}}})
		if err != nil {
			t.Fatal(err)
		}
		listener := pipenet.Listen()
		srv := &http.Server{Handler: server}
		go srv.Serve(listener)
		t.Cleanup(func() {
			srv.Close()
			if err := server.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		wechat, err := simulator.New(simulator.Config{
			Account:     simulator.Account{URL: "http://wechat.test/wx/ai", Token: token, Mode: simulator.Plain},
			DialContext: listener.DialContext,
		})
		if err != nil {
			t.Fatal(err)
		}
		say := func(content string) string {
			t.Helper()
			report, err := wechat.Send(t.Context(), simulator.Text(content))
			if err != nil {
				t.Fatal(err)
			}
			if report.Verdict.Reply == nil {
				t.Fatalf("%s is not answered:\n%v", content, report)
			}
			return report.Verdict.Reply.Content
		}
		first := say("数到六十")
		if n := strings.Count(first, "。"); !strings.HasPrefix(first, strings.Join(words[:12], "")) || n > 20 {
			t.Errorf("at the end of the last push the user reads %q", first)
		}
		time.Sleep(time.Minute)
		rest := say("继续")
		if !strings.Contains(rest, strings.Join(words[20:], "")) || strings.Contains(rest, words[0]) {
			t.Errorf("the rest is %q", rest)
		}
		for i, word := range words {
			if strings.Count(first+rest, word) != 1 {
				t.Errorf("word %d is there %d times", i, strings.Count(first+rest, word))
			}
		}
		if got := say("谢谢"); got != "好的。" {
			t.Errorf("the next answer is %q", got)
		}
		asked := w.endpoint.Requests()
		if len(asked) != 2 || len(asked[1].Messages) != 3 || asked[1].Messages[1].Content != strings.Join(words, "") {
			t.Errorf("the model was asked %+v", asked)
		}
	})
}

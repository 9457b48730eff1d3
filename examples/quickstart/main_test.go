package main

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/echostr/echostr/simulator"
)

// TestReply pushes to the bot as WeChat does.
func TestReply(t *testing.T) {
	t.Parallel()
	const token = "zQuickstartTestToken000000000000"
	bot, err := newBot(token)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(bot)
	t.Cleanup(func() {
		srv.Close()
		if err := bot.Shutdown(context.Background()); err != nil {
			t.Log(err)
		}
	})
	wechat, err := simulator.New(simulator.Config{Account: simulator.Account{
		URL: srv.URL + "/wx/demo", Token: token, Mode: simulator.Plain,
	}})
	if err != nil {
		t.Fatal(err)
	}
	report, err := wechat.Send(t.Context(), simulator.Text("你好"))
	if err != nil {
		t.Fatal(err)
	}
	if v := report.Verdict; v.Reply == nil || v.Reply.Content != "你说：你好" || len(report.Pushes) != 1 {
		t.Errorf("the bot answered:\n%v", report)
	}
}

// TestToken: without a token everybody could write to the bot.
func TestToken(t *testing.T) {
	t.Parallel()
	if _, err := newBot(""); err == nil {
		t.Error("a bot without a token has started")
	}
}

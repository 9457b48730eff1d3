// Package story_test is a bot and the story that tests it, the one in docs/simulator.md.
package story_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/simulator"
)

func newBot(token string) (*callback.Server, error) {
	r := echostr.NewRouter()
	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		if m.Content == "慢" {
			time.Sleep(8 * time.Second)
		}
		return echostr.Text("你说：" + m.Content), nil
	})
	echostr.On(r, func(ctx context.Context, e *echostr.ClickEvent) (echostr.Reply, error) {
		return echostr.News(echostr.Article{Title: "今日歌曲", URL: "https://example.com/"}), nil
	})
	account := callback.Account{Name: "demo", Token: token, Mode: callback.Plain}
	return callback.New(callback.Config{Handler: r, Accounts: []callback.Account{account}})
}

func TestBot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // eight seconds take no time here
		time.Sleep(time.Until(time.Date(2026, 1, 1, 4, 0, 0, 0, time.UTC))) // it is 2000, too early for a timestamp of WeChat
		bot, err := newBot(simulator.StoryToken)
		if err != nil {
			t.Fatal(err)
		}
		defer bot.Shutdown(t.Context())
		var c simulator.StoryConfig
		c.Official.Account.URL = "http://localhost/wx/demo" // the path at which the handler listens
		s := simulator.Start(t, bot, &c)
		ming := s.User("小明")
		ming.Says("你好")
		ming.SeesText("你说：你好")
		ming.Clicks("V1001_TODAY")
		ming.SeesNews("今日歌曲")
		ming.Says("慢") // answered on the second push
		ming.SeesText("你说：慢")
	})
}

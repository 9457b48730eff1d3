// Quickstart is a bot in 15 lines, the one in README.md.
//
//	export WECHAT_TOKEN=...   # 令牌(Token) in WeChat's console, 16 characters or more
//	go run ./examples/quickstart
//
// examples/sample is a whole program, with limits of time and an orderly end.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
)

func newBot(token string) (*callback.Server, error) {
	r := echostr.NewRouter()
	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.Text("你说：" + m.Content), nil
	})
	account := callback.Account{Name: "demo", Token: token, Mode: callback.Plain}
	return callback.New(callback.Config{Handler: r, Accounts: []callback.Account{account}})
}

func main() {
	bot, err := newBot(os.Getenv("WECHAT_TOKEN"))
	if err == nil {
		err = http.ListenAndServe("127.0.0.1:8080", bot)
	}
	log.Fatal(err)
}

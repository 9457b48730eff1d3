// Sample is a whole server for one Official Account (公众号) in one file, to
// copy and change. It answers as the built-in bot `sample` does.
//
//	export WECHAT_TOKEN=...   # 令牌(Token) in WeChat's console, 16 characters or more
//	go run ./examples/sample
//
// It serves the plain mode (明文模式) at http://127.0.0.1:8080/wx/sample. Try it:
//
//	echostr push --url http://127.0.0.1:8080/wx/sample --token "$WECHAT_TOKEN" text 你好
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
)

// bot says what is answered to what. The first route that fits wins.
func bot() *echostr.Router {
	r := echostr.NewRouter()
	echostr.On(r, func(_ context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		if m.Content == "" {
			return nil, nil // no answer
		}
		return echostr.Text(m.Content), nil
	})
	echostr.On(r, func(_ context.Context, m *echostr.VoiceMessage) (echostr.Reply, error) {
		if m.Recognition == "" {
			return echostr.Text("未识别"), nil
		}
		return echostr.Text(m.Recognition), nil
	})
	echostr.On(r, func(_ context.Context, m *echostr.SubscribeEvent) (echostr.Reply, error) {
		answer := "感谢您的关注!"
		if scene := m.Scene(); scene != "" { // followed by a QR code with parameters
			answer += "场景值:" + scene
		}
		return echostr.Text(answer), nil
	})
	echostr.On(r, func(_ context.Context, m *echostr.ScanEvent) (echostr.Reply, error) {
		return echostr.Text("您扫描的场景值为:" + m.Scene()), nil
	})
	echostr.On(r, func(_ context.Context, m echostr.Message) (echostr.Reply, error) {
		return nil, nil // no answer to any other event
	}, echostr.Event())
	echostr.On(r, func(_ context.Context, m echostr.Message) (echostr.Reply, error) {
		return echostr.Text("I love you, itcast!"), nil
	})
	return r
}

func main() {
	listen := "127.0.0.1:8080"
	if v := os.Getenv("LISTEN"); v != "" {
		listen = v
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, listen, os.Getenv("WECHAT_TOKEN"), bot()); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends, and then finishes what has begun.
func run(ctx context.Context, listen, token string, handler echostr.Handler) error {
	wechat, err := callback.New(callback.Config{
		Accounts: []callback.Account{{Name: "sample", Token: token, Mode: callback.Plain}},
		Handler:  handler,
	})
	if err != nil {
		return err
	}
	srv := &http.Server{Addr: listen, Handler: wechat, ReadHeaderTimeout: 3 * time.Second, IdleTimeout: 30 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	log.Printf("WeChat's pushes (推送): http://%s/wx/sample", listen)
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err == nil {
		// A held message is answered on WeChat's next push, so listen a little longer.
		settling, settled := context.WithTimeout(ending, 9*time.Second)
		if e := wechat.Settle(settling); e != nil {
			log.Print(fmt.Errorf("not every message was answered: %w", e))
		}
		settled()
		err = srv.Shutdown(ending)
	}
	if e := wechat.Shutdown(ending); e != nil {
		log.Print(fmt.Errorf("not everything was finished: %w", e))
	}
	return err
}

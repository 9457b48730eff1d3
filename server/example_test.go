package server_test

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/server"
)

// A program of your own has everything of `echostr serve` and answers itself:
// for accounts of echostr.yaml that name no bot.
func Example() {
	bot := echostr.NewRouter()
	echostr.On(bot, func(_ context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.Text("you said " + m.Content), nil
	})

	cfg, err := server.Load("echostr.yaml", os.Environ())
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(cfg, &server.Options{Handler: bot})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := srv.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

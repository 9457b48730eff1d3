// Server is a bot of your own with everything that `echostr serve` has: echostr.yaml, the
// admin port with metrics, the command `echostr turn`, and an orderly end.
//
//	(umask 077; set -o noclobber; go run ./cmd/echostr account new shop --app-id wxb11529c136998cb6 > echostr.yaml)
//	go run ./examples/server
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/server"
)

func newServer(file string, env []string) (*server.Server, error) {
	cfg, err := server.Load(file, env)
	if err != nil {
		return nil, err
	}
	logger := server.NewLogger(os.Stderr, cfg.Log)
	r := echostr.NewRouter()
	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		if turn, ok := echostr.TurnFrom(ctx); ok {
			logger.InfoContext(ctx, "answering", "turn", turn.ID()) // for echostr turn show
		}
		return echostr.Text("你说：" + m.Content), nil
	})
	return server.New(cfg, &server.Options{Handler: r, Logger: logger, TokenFile: server.TokenFile(cfg, file)})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	srv, err := newServer("echostr.yaml", os.Environ())
	if err == nil {
		err = srv.Run(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// Witness is `echostr serve` with a bot that leaves a witness: for every start
// of its handler it appends the key and the attempt to a file, outside of all
// that the server knows about itself. The end-to-end tests count the lines. A text
// message "kill -9" kills the process, as a handler with a fatal error does.
//
//	witness CONFIG FILE DELAY
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/bots"
	"github.com/echostr/echostr/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, configuration, file, wait string) error {
	cfg, err := server.Load(configuration, nil)
	if err != nil {
		return err
	}
	delay, err := time.ParseDuration(wait)
	if err != nil {
		return err
	}
	witness, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	sample := bots.Sample()
	opts := &server.Options{WaitLock: 10 * time.Second, Handler: echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
		turn, _ := echostr.TurnFrom(ctx)
		if _, err := fmt.Fprintf(witness, "%s %s %d %s\n", turn.Account(), turn.Key(), turn.Attempt(), m.Head().FromUserName); err != nil {
			return nil, err
		}
		if text, ok := m.(*echostr.TextMessage); ok && text.Content == "kill -9" {
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				return nil, err
			}
			return nil, self.Kill()
		}
		time.Sleep(delay)
		return sample.Handle(ctx, m)
	})}
	if err := opts.Inherit(); err != nil {
		return err
	}
	srv, err := server.New(cfg, opts)
	if err != nil {
		return err
	}
	fmt.Printf("listening: http://%s\n", srv.Addr())
	return srv.Run(ctx)
}

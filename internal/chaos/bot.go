package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/server"
)

// botOptions are those of `wxchaos bot`.
type botOptions struct {
	config, witness string
	waitLock        time.Duration
	pure            bool
}

// Exit codes of `wxchaos bot`: those of `echostr serve`.
const (
	exitFailed = 1
	exitUsage  = 2
	exitFatal  = 70
	exitConfig = 78
)

// runBot is the bot under test: what `echostr serve` does, with the witness as its
// handler. When it is ready it prints a line with its process id and addresses.
func runBot(o botOptions, out io.Writer) int {
	endWithParent()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err := serveBot(ctx, o, out)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "wxchaos bot:", err)
	switch {
	case errors.Is(err, server.ErrConfig):
		return exitConfig
	case errors.Is(err, server.ErrFatal):
		return exitFatal
	}
	return exitFailed
}

func serveBot(ctx context.Context, o botOptions, out io.Writer) error {
	cfg, err := server.Load(o.config, os.Environ())
	if err != nil {
		return fmt.Errorf("%w: %w", server.ErrConfig, err)
	}
	w, err := openWitness(o.witness)
	if err != nil {
		return err
	}
	opts := &server.Options{
		Handler:   w.router(o.pure),
		Logger:    server.NewLogger(os.Stderr, cfg.Log),
		TokenFile: server.TokenFile(cfg, o.config),
		Version:   "wxchaos",
		WaitLock:  o.waitLock,
	}
	if err := opts.Inherit(); err != nil {
		return err
	}
	srv, err := server.New(cfg, opts)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "ready %d %s %s\n", os.Getpid(), srv.Addr(), srv.AdminAddr())
	return srv.Run(ctx)
}

// router answers texts, clicks and views. It is not Pure unless that is asked for: a
// Pure route owes no start mark, and then I3 promises less.
func (w *witness) router(pure bool) *echostr.Router {
	r := echostr.NewRouter()
	routes := []*echostr.Route{
		echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
			do, ok := parseInstruction(m.Content)
			if !ok { // a user who fetches an answer, and there is none
				return w.handle(ctx, messageID(m.MsgID), Instruction{Do: doEcho})
			}
			return w.handle(ctx, "text/"+do.Mark, do)
		}),
		echostr.On(r, func(ctx context.Context, m *echostr.ClickEvent) (echostr.Reply, error) {
			return w.event(ctx, "CLICK", m.EventKey)
		}),
		echostr.On(r, func(ctx context.Context, m *echostr.ViewEvent) (echostr.Reply, error) {
			return w.event(ctx, "VIEW", m.EventKey)
		}),
	}
	if pure {
		for _, route := range routes {
			route.Pure()
		}
	}
	return r
}

func (w *witness) event(ctx context.Context, kind, key string) (echostr.Reply, error) {
	do, ok := parseInstruction(key)
	if !ok {
		return nil, errors.New("the event has no instruction")
	}
	return w.handle(ctx, kind+"/"+do.Mark, do)
}

// handle writes the start down before it does anything else, and the end when there is
// nothing left to do.
func (w *witness) handle(ctx context.Context, id string, do Instruction) (echostr.Reply, error) {
	mark := Mark{ID: id, Key: "-", PID: os.Getpid(), At: time.Now()}
	if t, ok := echostr.TurnFrom(ctx); ok {
		mark.Key, mark.Attempt = t.Key(), t.Attempt()
	}
	w.write("start", &mark)
	defer func() {
		end := mark
		end.At = time.Now()
		w.write("end", &end)
	}()
	if do.Wait > 0 {
		select {
		case <-time.After(do.Wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	switch do.Do {
	case doSilent:
		return nil, nil
	case doFail:
		return nil, errors.New("told to fail")
	case doPanic:
		panic("told to panic")
	}
	return echostr.Text(answer(&mark)), nil
}

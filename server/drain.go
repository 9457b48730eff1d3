package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/store"
)

// handOverTime is how long a Server with an inherited listener goes on when it is told to
// stop. New pushes wait meanwhile, and WeChat cuts them after five seconds; within
// this time every push that is open gets its answer, or is held for the next one.
const handOverTime = 4500 * time.Millisecond

func (s *Server) drainTime() time.Duration {
	if s.opts.Inherited {
		return min(s.opts.DrainTime, handOverTime)
	}
	return s.opts.DrainTime
}

// drain ends everything. What is not finished in time is no error: WeChat
// pushes it again, or a store that outlives the process has it.
func (s *Server) drain(pushes *http.Server, open *connections, admin *http.Server, cause error) error {
	s.draining.Store(true)
	atMost := s.drainTime()
	ctx, end := s.drainContext(atMost, cause)
	defer end(nil)
	warn := func(text string, err error) {
		if err != nil && !errors.Is(context.Cause(ctx), store.ErrBroken) {
			s.logger.Warn(text, slog.Any("error", err))
		}
	}
	leave := func() {
		s.listener.Close()
		pushes.SetKeepAlivesEnabled(false)
	}
	if s.opts.Inherited {
		// Whoever comes next has the socket: from now on new pushes are his.
		leave()
		warn("messages were still under way when it was time for the next process; it starts them again", s.settle(ctx))
	} else {
		settling, settled := context.WithTimeout(ctx, atMost*9/10)
		warn("messages were still under way when the time to drain was nearly over", s.settle(settling))
		settled()
	}
	leave()
	open.wait(ctx)
	if err := pushes.Shutdown(ctx); err != nil {
		pushes.Close()
		warn("pushes were still open when the time to drain was over", err)
	}
	warn("not everything was finished when the server stopped", s.shutdown(ctx))
	s.stopJanitors()
	admin.Close() // last, so that /readyz says 503 as long as it drains
	broken := context.Cause(ctx)
	err := s.closeStores()
	if !errors.Is(broken, store.ErrBroken) {
		broken = err // the last flush may be the one that fails
	}
	switch {
	case errors.Is(cause, store.ErrBroken):
	case errors.Is(broken, store.ErrBroken):
		s.logger.Error("the storage broke while the server was draining", slog.Any("error", broken))
		return fmt.Errorf("%w: %w", ErrFatal, broken)
	case err != nil:
		return fmt.Errorf("close the store: %w", err)
	}
	s.logger.Info("drained")
	return nil
}

// connections counts those of an http.Server. Its Shutdown closes a connection
// whose request it has not read yet, which would be a push that nobody answers.
type connections struct {
	complete chan struct{} // closed when none can come any more
	open     atomic.Int64
}

func track(srv *http.Server) *connections {
	c := &connections{complete: make(chan struct{})}
	srv.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			c.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			c.open.Add(-1)
		}
	}
	return c
}

// wait waits until all have been closed, at most until ctx ends. The listener must be closed, and
// the server keep no connection alive.
func (c *connections) wait(ctx context.Context) {
	select {
	case <-c.complete:
	case <-ctx.Done():
	}
	for c.open.Load() > 0 {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// drainContext ends after atMost, and at once when the storage breaks, or has
// broken: then nothing can be stored any more, and so nothing be answered.
func (s *Server) drainContext(atMost time.Duration, cause error) (context.Context, context.CancelCauseFunc) {
	ctx, end := context.WithCancelCause(context.Background())
	if errors.Is(cause, store.ErrBroken) {
		end(cause)
		return ctx, end
	}
	timer := time.AfterFunc(atMost, func() { end(context.DeadlineExceeded) })
	go func() {
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case err := <-s.fatal:
				if errors.Is(err, store.ErrBroken) {
					end(err)
				}
			}
		}
	}()
	return ctx, end
}

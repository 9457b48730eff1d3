package chaos

import (
	"context"
	"fmt"
	"net"
	"time"
)

// restartOptions are those of the scenario restart.
type restartOptions struct{ Restarts int }

// restartMix has no pushes that end by themselves late, so that what is counted is
// the restart's doing.
var restartMix = mix{slow: 0.1, slowFrom: 100 * time.Millisecond, slowTo: 1500 * time.Millisecond, pairs: 0.06, silent: 0.04, fail: 0.02, panics: 0.01, forged: 0.02, repeat: 0.03}

// restart has one process follow the other under load, with a listening socket that
// both inherit.
func restart(ctx context.Context, r *run, o restartOptions) error {
	if err := r.configure(r.dir); err != nil {
		return err
	}
	w, err := r.wechat(restartMix)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		return err
	}
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	l.Close() // socket keeps it open
	r.onClose(socket.Close)
	next := startOptions{socket: socket, wait: 15 * time.Second, pure: r.opts.Pure}
	p, err := r.start(next)
	if err != nil {
		return err
	}
	if err := p.waitReady(20 * time.Second); err != nil {
		return err
	}
	stop := w.load(ctx, r.opts.Rate)
	defer stop()
	var handovers []time.Duration
	for n := 1; n <= o.Restarts; n++ {
		if err := pause(ctx, time.Duration(200+r.rng.Int64N(600))*time.Millisecond); err != nil {
			return err
		}
		old := p
		if p, err = r.start(next); err != nil {
			return err
		}
		// Sometimes the next one already waits for the lock, sometimes not.
		if err := pause(ctx, time.Duration(r.rng.Int64N(int64(100*time.Millisecond)))); err != nil {
			return err
		}
		told := time.Now()
		if err := old.stop(12 * time.Second); err != nil {
			r.report.broke("restart %d: %v", n, err)
		}
		if err := p.waitReady(20 * time.Second); err != nil {
			return fmt.Errorf("restart %d: %w:\n%s", n, err, tail(r.botLog.Name(), 20))
		}
		handovers = append(handovers, p.life.Ready.Sub(told))
		if n%10 == 0 || n == o.Restarts {
			r.say("%d of %d restarts, %d messages answered, %d under way", n, o.Restarts, w.acked.Load(), w.under.Load())
		}
	}
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	if err := r.calm(ctx, w, stop, p); err != nil {
		return err
	}
	r.report.figure("sigterm_to_next_ready_ms", percentiles(handovers))
	err = r.conclude(ctx, p, w, func(e *Evidence) {
		e.Timely = true
		r.report.figure("pushes_refused_or_broken", brokenPushes(e))
	})
	if err != nil {
		return err
	}
	if c := r.report.Counts; c.Unaccepted > 0 {
		r.report.broke("%d messages were not accepted", c.Unaccepted)
	}
	if c := r.report.Counts; c.Restarted > 0 {
		r.report.broke("%d messages were started a second time", c.Restarted)
	}
	return nil
}

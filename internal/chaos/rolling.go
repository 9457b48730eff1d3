package chaos

import (
	"context"
	"fmt"
	"time"
)

// rollingOptions are those of the scenario rolling.
type rollingOptions struct{ Restarts int }

// rolling has the nodes of a site be replaced one after the other: each is told to stop, and the next one is started in
// its place when it has. New connections go to the other node meanwhile.
func rolling(ctx context.Context, r *run, o rollingOptions) error {
	c, err := r.newCluster(1, restartMix)
	if err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	var drained, back []time.Duration
	for n := 1; n <= o.Restarts; n++ {
		if err := pause(ctx, time.Duration(500+r.rng.Int64N(500))*time.Millisecond); err != nil {
			return err
		}
		node := c.sites[0].nodes[n%nodesOfSite]
		told := time.Now()
		if err := node.bot().stop(12 * time.Second); err != nil {
			return fmt.Errorf("restart %d: %w", n, err)
		}
		drained = append(drained, time.Since(told))
		if err := node.start(ctx); err != nil {
			return fmt.Errorf("restart %d: %w", n, err)
		}
		back = append(back, time.Since(told))
		if n%10 == 0 || n == o.Restarts {
			r.say("%d of %d restarts, %s", n, o.Restarts, c.progress())
		}
	}
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	if err := c.calm(ctx, false); err != nil {
		return err
	}
	r.report.figure("sigterm_to_end_ms", percentiles(drained))
	r.report.figure("sigterm_to_next_ready_ms", percentiles(back))
	if err := c.finish(ctx, func(e *Evidence) {
		e.Timely = true
		r.report.figure("pushes_refused_or_broken", brokenPushes(e))
	}); err != nil {
		return err
	}
	r.accepted()
	r.startedOnce()
	return nil
}

// brokenPushes counts the pushes that nobody took, or that were broken off.
func brokenPushes(e *Evidence) (n int) {
	for _, m := range e.Messages {
		for i := range m.Pushes {
			if m.Pushes[i].Failure == failureRefused || m.Pushes[i].Failure == failureReset {
				n++
			}
		}
	}
	return n
}

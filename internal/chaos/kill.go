package chaos

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// killOptions are those of the scenario kill.
type killOptions struct {
	Kills int
	// P99 is the bound for the time from the start of a process to the first 200.
	P99 time.Duration
}

// settleTime is how long messages may be under way after the last one was sent: four
// pushes, and a repetition.
const settleTime = 40 * time.Second

// killLoop kills the process at random moments under load.
func killLoop(ctx context.Context, r *run, o killOptions) error {
	if err := r.configure(r.dir); err != nil {
		return err
	}
	w, err := r.wechat(killMix)
	if err != nil {
		return err
	}
	p, err := r.start(startOptions{pure: r.opts.Pure})
	if err != nil {
		return err
	}
	if err := p.waitReady(20 * time.Second); err != nil {
		return err
	}
	stop := w.load(ctx, r.opts.Rate)
	defer stop()
	for n := 1; n <= o.Kills; n++ {
		if p, err = r.killOnce(ctx, p); err != nil {
			return err
		}
		if n%10 == 0 || n == o.Kills {
			r.say("%d of %d kills, %d messages answered, %d under way", n, o.Kills, w.acked.Load(), w.under.Load())
		}
	}
	if err := p.waitReady(20 * time.Second); err != nil {
		return err
	}
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	if err := r.calm(ctx, p, w, stop); err != nil {
		return err
	}
	return r.conclude(ctx, p, w, func(e *Evidence) {
		e.Timely = true
		restarts := firstAcks(e)
		r.report.figure("restart_to_first_200_ms", percentiles(restarts))
		r.report.figure("start_to_ready_ms", percentiles(startTimes(e)))
		if got := percentiles(restarts)["p99"]; o.P99 > 0 && got > float64(o.P99.Milliseconds()) {
			r.slow("from the start of a process to the first 200 it took %.0f ms in the worst of a hundred, and the bound is %d ms", got, o.P99.Milliseconds())
		}
	})
}

// killOnce kills the process after some time, and starts the next one. Now and then it
// is killed while it starts, which is a crash within a recovery.
func (r *run) killOnce(ctx context.Context, p *process) (*process, error) {
	if r.rng.IntN(12) == 0 {
		if err := pause(ctx, time.Duration(r.rng.Int64N(int64(60*time.Millisecond)))); err != nil {
			return nil, err
		}
	} else {
		if err := p.waitReady(20 * time.Second); err != nil {
			return nil, fmt.Errorf("%w:\n%s", err, tail(r.botLog.Name(), 20))
		}
		life := time.Duration(50+r.rng.Int64N(1450)) * time.Millisecond
		if r.rng.IntN(15) == 0 {
			// Long enough for answers that come after the passive window.
			life = time.Duration(4500+r.rng.Int64N(2000)) * time.Millisecond
		}
		if err := pause(ctx, life); err != nil {
			return nil, err
		}
	}
	if r.opts.Memory {
		return p, nil
	}
	select {
	case <-p.done:
		return nil, fmt.Errorf("the bot ended by itself with %d:\n%s", p.life.Exit, tail(r.botLog.Name(), 20))
	default:
	}
	p.kill()
	return r.start(startOptions{pure: r.opts.Pure})
}

// calm ends the load and waits until every message has come to its end.
func (r *run) calm(ctx context.Context, p *process, w *wechat, stop func()) error {
	stop()
	if err := w.settle(settleTime); err != nil {
		return err
	}
	if err := p.quiet(ctx, 30*time.Second); err != nil {
		r.report.broke("%v", err) // and what is there is checked all the same
		return nil
	}
	r.say("all messages have come to their end")
	return nil
}

// conclude looks for leaks in the last process, collects the evidence, stops the process
// and checks. more completes evidence and report.
func (r *run) conclude(ctx context.Context, p *process, w *wechat, more func(*Evidence)) error {
	idle, err := r.leaks(ctx, p, w)
	if err != nil {
		r.report.broke("look for leaks: %v", err)
	}
	r.report.figure("idle", idle)
	return r.finish(ctx, p, w, func(e *Evidence) {
		e.Idle = idle
		if more != nil {
			more(e)
		}
	})
}

// finish is conclude without looking for leaks.
func (r *run) finish(ctx context.Context, p *process, w *wechat, more func(*Evidence)) error {
	e, err := r.evidence(ctx, w)
	if err != nil {
		return err
	}
	if err := p.stop(15 * time.Second); err != nil {
		r.report.broke("%v", err)
	}
	e.Lives = r.lives()
	more(e)
	r.check(e)
	return nil
}

// firstAcks are the times from the start of each process to the first 200 that a push
// got which was begun after that.
func firstAcks(e *Evidence) (list []time.Duration) {
	var acks []*Push
	for _, m := range e.Messages {
		for i := range m.Pushes {
			if p := &m.Pushes[i]; p.Acked() {
				acks = append(acks, p)
			}
		}
	}
	slices.SortFunc(acks, func(a, b *Push) int { return a.End().Compare(b.End()) })
	for i, l := range e.Lives {
		if i == 0 || l.Ready.IsZero() {
			continue
		}
		from, _ := slices.BinarySearchFunc(acks, l.Started, func(p *Push, t time.Time) int { return p.End().Compare(t) })
		for _, p := range acks[from:] {
			if !l.Ended.IsZero() && p.End().After(l.Ended) {
				break
			}
			if p.Start.After(l.Started) {
				list = append(list, p.End().Sub(l.Started))
				break
			}
		}
	}
	return list
}

// startTimes are the times from the start of each process to its being ready.
func startTimes(e *Evidence) (list []time.Duration) {
	for _, l := range e.Lives {
		if !l.Ready.IsZero() {
			list = append(list, l.Ready.Sub(l.Started))
		}
	}
	return list
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

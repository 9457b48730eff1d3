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
	// Fast has nearly all answers go out on the first push, at a higher rate; the API does nothing wrong, and nobody
	// comes back for an answer.
	Fast bool
	// P99 is the bound for the time from the start of a process to the first 200.
	P99 time.Duration
}

// settleTime is how long messages may be under way after the last one was sent: four
// pushes, and a repetition; or the visits of a user.
const settleTime = 3 * time.Minute

// killLoop kills the process at random moments under load.
func killLoop(ctx context.Context, r *run, o killOptions) error {
	m := lateMix
	if o.Fast {
		m = killMix
	} else {
		r.api.sick.Store(&apiFaults)
	}
	w, p, err := r.begin(r.dir, m)
	if err != nil {
		return err
	}
	stop := w.load(ctx, r.opts.Rate)
	defer stop()
	for n := 1; n <= o.Kills; n++ {
		life := r.shortLife
		switch {
		case o.Fast:
		case n%10 == 5:
			life = r.longLife
		case n%5 == 3:
			life = r.fairLife
		}
		if p, err = r.killOnce(ctx, p, w, life()); err != nil {
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
	if err := r.calm(ctx, w, stop, p); err != nil {
		return err
	}
	if !o.Fast {
		if err := r.fetchAll(ctx, r.database, w, p); err != nil {
			return err
		}
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

// shortLife is how long a process lives: mostly not longer than a passive window.
func (r *run) shortLife() time.Duration {
	if r.rng.IntN(15) == 0 {
		// Long enough for answers that come after the passive window.
		return time.Duration(4500+r.rng.Int64N(2000)) * time.Millisecond
	}
	return time.Duration(50+r.rng.Int64N(1450)) * time.Millisecond
}

// fairLife is longer than a passive window.
func (r *run) fairLife() time.Duration {
	return time.Duration(5000+r.rng.Int64N(4000)) * time.Millisecond
}

// live waits for the end of a life. Mostly, if it is longer than a passive window, that is when the result of a late
// handler is being stored, or has been a moment ago: left to chance, few kills would meet what comes between the result
// and its delivery.
func (r *run) live(ctx context.Context, w *wechat, ready time.Time, life time.Duration) error {
	if life < answerBy || r.rng.IntN(4) == 0 {
		return pause(ctx, life)
	}
	// What there is to aim at is known shortly before.
	const early = time.Second
	if err := pause(ctx, life-early); err != nil {
		return err
	}
	miss := time.Duration(r.rng.Int64N(int64(10 * time.Millisecond)))
	if end := w.handlers.next(ready, time.Now().Add(2*early)); !end.IsZero() {
		return pause(ctx, time.Until(end)+miss)
	}
	return pause(ctx, early)
}

// longLife is long enough for all handlers, and for the outbox to try again.
func (r *run) longLife() time.Duration {
	return time.Duration(12_000+r.rng.Int64N(10_000)) * time.Millisecond
}

// killOnce kills the process when it has been ready for some time, and starts the next one. Now and then it
// is killed while it starts, which is a crash within a recovery.
func (r *run) killOnce(ctx context.Context, p *process, w *wechat, life time.Duration) (*process, error) {
	if r.rng.IntN(12) == 0 {
		if err := pause(ctx, time.Duration(r.rng.Int64N(int64(60*time.Millisecond)))); err != nil {
			return nil, err
		}
	} else {
		if err := p.waitReady(20 * time.Second); err != nil {
			return nil, fmt.Errorf("%w:\n%s", err, tail(r.botLog.Name(), 20))
		}
		if err := r.live(ctx, w, p.life.Ready, life); err != nil {
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
func (r *run) calm(ctx context.Context, w *wechat, stop func(), all ...*process) error {
	stop()
	if err := w.settle(settleTime); err != nil {
		return err
	}
	for _, p := range all {
		if err := p.quiet(ctx, 30*time.Second); err != nil {
			r.broke("%v", err) // and what is there is checked all the same
			return nil
		}
	}
	r.say("all messages have come to their end")
	return nil
}

// fetchAll has the users fetch what is kept for them, so that the end tells what nobody can get. The API is well
// again, but for those to whom it sends nothing.
func (r *run) fetchAll(ctx context.Context, database string, w *wechat, all ...*process) error {
	if r.opts.Memory {
		return nil
	}
	r.api.sick.Store(&faults{refuse: apiFaults.refuse})
	const rounds = 10 // a user gets one answer in each, and may have asked often while the server was down
	for round := 1; ; round++ {
		rows, err := r.settledRows(ctx, database)
		if err != nil {
			return err
		}
		kept := w.kept(rows)
		r.say("%d answers are kept for their users", len(kept))
		switch {
		case len(kept) == 0:
			return nil
		case round > rounds:
			r.broke("%d answers are kept for users who have asked for them %d times", len(kept), rounds)
			return nil
		}
		w.fetchKept(kept, round)
		if err := w.settle(settleTime); err != nil {
			return err
		}
		for _, p := range all {
			if err := p.quiet(ctx, 30*time.Second); err != nil {
				return err
			}
		}
	}
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
	e, err := r.evidence(ctx, source{r.database, w})
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

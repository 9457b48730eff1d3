package chaos

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// failOptions are those of the scenario failsync.
type failOptions struct {
	// Max bounds k. The sweep ends sooner if no flush fails any more.
	Max int
}

var failMix = mix{slow: 0.1, slowFrom: 50 * time.Millisecond, slowTo: 800 * time.Millisecond, pairs: 0.06, silent: 0.04, fail: 0.02, forged: 0.01}

// afterFailure is how long after a failed flush an answer may still arrive that was
// under way.
const afterFailure = 150 * time.Millisecond

// longAfterFailure is that of a machine that is slow or busy: by then the process has ended.
const longAfterFailure = 3 * time.Second

// failSync has one flush after the other fail, each in a process of its own.
func failSync(ctx context.Context, r *run, o failOptions) error {
	if err := r.configure(r.dir); err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	w, err := r.wechat(failMix)
	if err != nil {
		return err
	}
	type broken struct {
		life   *process
		failed time.Time
	}
	var all []broken
	var ends []time.Duration
	atStart, last, folders := 0, 0, 0
	for k := 1; k <= o.Max; k++ {
		trace := filepath.Join(r.dir, fmt.Sprintf("trace-%d", k))
		p, err := r.start(startOptions{pure: r.opts.Pure, before: strace(trace, fmt.Sprintf("error=EIO:when=%d", k))})
		if err != nil {
			return err
		}
		stop := w.load(ctx, r.opts.Rate)
		select {
		case <-p.done:
		case <-time.After(15 * time.Second): // it may drain for 10 s
		case <-ctx.Done():
		}
		stop()
		if err := ctx.Err(); err != nil {
			return err
		}
		flushes, err := readTrace(trace)
		if err != nil {
			return err
		}
		var failed time.Time
		folder := false
		for _, f := range flushes {
			if f.failed && f.folder {
				folder = true
			} else if f.failed {
				failed = f.at
				break
			}
		}
		if folder {
			folders++
		}
		if failed.IsZero() {
			p.kill()
			if folder {
				continue
			}
			r.say("with k = %d no flush has failed, the sweep is complete", k)
			break
		}
		last = k
		all = append(all, broken{p, failed})
		select {
		case <-p.done:
		default:
			r.report.broke("P1: k = %d: the bot went on after a flush had failed", k)
			p.kill()
			continue
		}
		ends = append(ends, p.life.Ended.Sub(failed))
		if !p.isReady() {
			atStart++
		}
		if p.life.Exit != exitFatal {
			r.report.broke("P1: k = %d: the bot ended with %d and not with %d", k, p.life.Exit, exitFatal)
		}
		if seen := retried(flushes, failed); seen > 0 {
			r.report.broke("P1: k = %d: %d flushes were tried after one had failed", k, seen)
		}
		r.say("k = %d: ended with %d after %v, %d messages answered, %d under way", k, p.life.Exit, p.life.Ended.Sub(failed).Round(time.Millisecond), w.acked.Load(), w.under.Load())
	}
	p, err := r.start(startOptions{pure: r.opts.Pure})
	if err != nil {
		return err
	}
	if err := p.waitReady(20 * time.Second); err != nil {
		return fmt.Errorf("after a failed flush: %w:\n%s", err, tail(r.botLog.Name(), 20))
	}
	if err := r.calm(ctx, w, func() {}, p); err != nil { // each process had its own load
		return err
	}
	r.report.figure("k_max", last)
	r.report.figure("failed_while_starting", atStart)
	r.report.figure("folder_flushes_failed", folders) // SQLite does not look at these
	r.report.figure("failure_to_end_ms", percentiles(ends))
	if last == 0 {
		r.report.broke("no flush has failed, so nothing was tested")
	}
	return r.conclude(ctx, p, w, func(e *Evidence) {
		late := 0
		for _, m := range e.Messages {
			for i := range m.Pushes {
				push := &m.Pushes[i]
				if !push.Acked() {
					continue
				}
				for _, b := range all {
					if push.End().After(b.failed.Add(afterFailure)) && push.End().Before(b.life.life.Ended) {
						late++
					}
				}
			}
		}
		r.report.figure("answers_after_failure", late)
		if late > 0 {
			r.slow("%d pushes were answered more than %v after a flush had failed", late, afterFailure)
		}
	})
}

// retried counts the flushes that were begun after the failed one, in whatever thread. None
// may be: a second flush can say that all is well of data that the kernel has
// dropped.
func retried(flushes []flush, failed time.Time) (n int) {
	for _, f := range flushes {
		if f.at.After(failed) {
			n++
		}
	}
	return n
}

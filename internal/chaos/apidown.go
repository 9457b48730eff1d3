package chaos

import (
	"context"
	"time"
)

// apiDownOptions are those of the scenario api-down.
type apiDownOptions struct {
	For time.Duration // an outage of each way
	P99 time.Duration // bound of what a push takes beside its handler
}

// apiDown has WeChat's API be down in one way after the other, under load. It is down when the first token is
// fetched, too.
func apiDown(ctx context.Context, r *run, o apiDownOptions) error {
	w, p, err := r.begin(r.dir, lateMix)
	if err != nil {
		return err
	}
	stop := func() {}
	defer func() { stop() }()
	down := make(map[string]Cut)
	drained := make(map[string]int64)
	for i, way := range []string{outRefused, outGateway, outHang} {
		from := time.Now()
		if err := r.api.fail(way); err != nil {
			return err
		}
		if i == 0 {
			stop = w.load(ctx, r.opts.Rate)
		}
		if err := pause(ctx, o.For); err != nil {
			return err
		}
		if err := r.api.recover(); err != nil {
			return err
		}
		down[way] = Cut{From: from, To: time.Now()}
		r.say("%s until %s, %d messages answered, %d under way", way, time.Now().Format("05.000"), w.acked.Load(), w.under.Load())
		first, err := r.firstCall(ctx, time.Now().Add(backTime))
		if err != nil {
			return err
		}
		if first < 0 {
			r.slow("%s: nothing was sent within %v after WeChat's API was well again", way, backTime)
		}
		drained[way] = first.Milliseconds()
	}
	if err := r.calm(ctx, w, stop, p); err != nil {
		return err
	}
	if err := r.fetchAll(ctx, r.database, w, p); err != nil {
		return err
	}
	return r.conclude(ctx, p, w, func(e *Evidence) {
		e.Timely = true
		for _, m := range unaccepted(e) {
			r.say("not accepted: %s", m)
		}
		for way, cut := range down {
			var took []time.Duration
			for _, m := range e.Messages {
				if m.Forged || m.Fetch || m.Do.Wait > replyTime || len(m.Pushes) == 0 {
					continue
				}
				if p := &m.Pushes[0]; p.Start.After(cut.From) && p.Start.Before(cut.To) {
					took = append(took, p.Took-m.Do.Wait)
					if !p.Acked() {
						r.slow("P5: while WeChat's API was down (%s) %s was not answered on its first push", way, m.ID)
					}
				}
			}
			figures := percentiles(took)
			r.report.figure("answer_beside_handler_ms_"+way, figures)
			switch {
			case len(took) == 0:
				r.report.broke("%s: no message came meanwhile", way)
			case figures["p99"] > float64(o.P99.Milliseconds()):
				r.slow("P5: while WeChat's API was down (%s) a push took %.0f ms beside its handler, in the worst of a hundred", way, figures["p99"])
			}
		}
		r.report.figure("first_sent_after_ms", drained)
		r.report.figure("requests_while_down", r.api.failed.Load())
		if r.api.failed.Load() == 0 {
			r.report.broke("nothing was asked of WeChat's API while it was down")
		}
	})
}

const (
	// replyTime is what a handler may take so that its answer is surely one for the first push.
	replyTime = 2 * time.Second
	// backTime is how soon something is sent after the API is well again: the account waits a minute at most, and messages
	// of their own for longer.
	backTime = 70 * time.Second
)

// firstCall waits until something is sent, and returns how long that took; it is below 0 if nothing was.
func (r *run) firstCall(ctx context.Context, deadline time.Time) (time.Duration, error) {
	began := time.Now()
	for before := r.api.noted(); r.api.noted() == before; {
		if time.Now().After(deadline) {
			return -time.Millisecond, nil // a figure is in ms
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

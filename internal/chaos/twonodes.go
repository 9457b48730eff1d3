package chaos

import (
	"context"
	"time"
)

// nodesOptions are those of the scenario two-nodes.
type nodesOptions struct {
	Messages int
	P99      time.Duration // bound of the time from a result to the answer on the other node, for 99 of 100
}

// twoNodes breaks nothing: each retry of a message goes to the other node.
func twoNodes(ctx context.Context, r *run, o nodesOptions) error {
	m := nodesMix
	m.late *= 3
	c, err := r.newCluster(1, m)
	if err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	took := time.Duration(float64(o.Messages) / r.opts.Rate * float64(time.Second))
	for end := time.Now().Add(took); time.Until(end) > 0; {
		if err := pause(ctx, min(time.Until(end), 30*time.Second)); err != nil {
			return err
		}
		r.say("%s", c.progress())
	}
	if err := c.calm(ctx, false); err != nil {
		return err
	}
	err = c.finish(ctx, func(e *Evidence) {
		e.Timely = true
		across := acrossNodes(e)
		r.report.figure("result_to_answer_on_the_other_node_ms", percentiles(across))
		if len(across) == 0 {
			r.report.broke("no push was answered on one node with what another node's handler has said")
		}
		if p99 := percentiles(across)["p99"]; o.P99 > 0 && p99 > float64(o.P99.Milliseconds()) {
			r.slow("after a result the answer on the other node took %.0f ms in the worst of a hundred, and the bound is %v", p99, o.P99)
		}
	})
	if err != nil {
		return err
	}
	r.accepted()
	r.startedOnce()
	return nil
}

// startedOnce has the report break if a message was started a second time.
func (r *run) startedOnce() {
	if n := r.report.Counts.Restarted; n > 0 {
		r.report.broke("%d messages were started a second time", n)
	}
}

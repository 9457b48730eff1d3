package chaos

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// crashOptions are those of the scenario pg-restart.
type crashOptions struct{ Restarts, Sites int }

// nodesMix has questions that take longer than a passive window, so that retries wait on one node for what runs on
// the other, and nothing that asks for an answer later.
var nodesMix = mix{late: 0.05, slow: 0.15, slowFrom: 100 * time.Millisecond, slowTo: 4 * time.Second, pairs: 0.06, silent: 0.04, fail: 0.02, panics: 0.01, forged: 0.02, repeat: 0.03}

// pgRestart has the database server crash and recover at once, again and again.
func pgRestart(ctx context.Context, r *run, o crashOptions) error {
	c, err := r.newCluster(o.Sites, nodesMix)
	if err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	for n := 1; n <= o.Restarts; n++ {
		if err := pause(ctx, time.Duration(300+r.rng.Int64N(2000))*time.Millisecond); err != nil {
			return err
		}
		if err := c.crash(ctx, 0); err != nil {
			return err
		}
		if n%20 == 0 || n == o.Restarts {
			r.say("%d of %d restarts, %s", n, o.Restarts, c.progress())
		}
	}
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	if err := c.calm(ctx, false); err != nil {
		return err
	}
	if err := c.finish(ctx, r.outages); err != nil {
		return err
	}
	r.acceptedInTime()
	return nil
}

// outages puts into the report how long the server was down, and how soon a push was answered after that.
func (r *run) outages(e *Evidence) {
	var down, first []time.Duration
	for _, cut := range e.Cuts {
		down = append(down, cut.To.Sub(cut.From))
		soonest := time.Duration(-1)
		for _, m := range e.Messages {
			for i := range m.Pushes {
				if p := &m.Pushes[i]; p.Acked() && p.End().After(cut.To) && (soonest < 0 || p.End().Sub(cut.To) < soonest) {
					soonest = p.End().Sub(cut.To)
				}
			}
		}
		if soonest >= 0 {
			first = append(first, soonest)
		}
	}
	r.report.figure("database_down_ms", percentiles(down))
	r.report.figure("database_back_to_first_200_ms", percentiles(first))
	r.report.figure("messages_by_starts", startsOf(e))
}

// progress is what is under way, for people.
func (c *cluster) progress() string {
	var acked, under int64
	for _, s := range c.sites {
		acked += s.w.acked.Load()
		under += s.w.under.Load()
	}
	return fmt.Sprintf("%d messages answered, %d under way", acked, under)
}

// outageOptions are those of the scenario pg-outage.
type outageOptions struct {
	Down durations // how long the server is down
	Each int       // how often for each of these
}

// held is the longest time without a store in which no message is given up: WeChat pushes three times, five seconds apart.
const held = 10 * time.Second

// redWithin is how soon a node says that it does not accept messages.
const redWithin = 2 * time.Second

// pgOutage has the database server be down for longer.
func pgOutage(ctx context.Context, r *run, o outageOptions) error {
	c, err := r.newCluster(1, nodesMix)
	if err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	node := c.sites[0].nodes[0]
	var red, green []time.Duration
	for round := range o.Each {
		for _, down := range o.Down {
			// Longer than WeChat's last push of a message takes that has waited for the last outage.
			if err := pause(ctx, time.Duration(6000+r.rng.Int64N(1000))*time.Millisecond); err != nil {
				return err
			}
			var watching sync.WaitGroup
			if down >= redWithin {
				watching.Go(func() {
					if took, err := node.waitFor(ctx, false, down); err != nil {
						r.broke("%v", err)
					} else {
						red = append(red, took)
					}
				})
			}
			err := c.crash(ctx, down)
			watching.Wait()
			if err != nil {
				return err
			}
			took, err := node.waitFor(ctx, true, 20*time.Second)
			if err != nil {
				return err
			}
			green = append(green, took)
			r.say("round %d: the database was down for %v, %s", round+1, down, c.progress())
		}
	}
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	if err := c.calm(ctx, false); err != nil {
		return err
	}
	if err := c.finish(ctx, r.outages); err != nil {
		return err
	}
	r.report.figure("down_to_not_ready_ms", percentiles(red))
	r.report.figure("back_to_ready_ms", percentiles(green))
	if worst := percentiles(red)["max"]; worst > float64(redWithin.Milliseconds()) {
		r.slow("a node was ready for %.0f ms without its database, and the bound is %v", worst, redWithin)
	}
	if o.Down.max() <= held {
		r.acceptedInTime()
	}
	return nil
}

// durations is a flag: durations with commas between them.
type durations []time.Duration

func (d *durations) String() string {
	var all []string
	for _, one := range *d {
		all = append(all, one.String())
	}
	return strings.Join(all, ",")
}

func (d *durations) Set(text string) error {
	*d = nil
	for one := range strings.SplitSeq(text, ",") {
		v, err := time.ParseDuration(one)
		if err != nil {
			return err
		}
		*d = append(*d, v)
	}
	return nil
}

func (d *durations) max() (most time.Duration) {
	for _, one := range *d {
		most = max(most, one)
	}
	return most
}

package chaos

import (
	"context"
	"sync"
	"time"
)

// nodeKillOptions are those of the scenario pg-kill.
type nodeKillOptions struct {
	Kills, Restarts, Sites int
	Fast                   bool // nobody comes back for an answer, and the API does nothing wrong
}

// killEvery is the least time between two kills of a site. WeChat pushes a message three times within 15 s, so with kills that
// follow each other sooner one message could meet three of them, and nobody could accept it.
const killEvery = 7600 * time.Millisecond

// nodeKill kills the nodes of each site in turn, and has the database server crash and recover while that goes on.
func nodeKill(ctx context.Context, r *run, o nodeKillOptions) error {
	m := lateMix
	if o.Fast {
		m = nodesMix
	} else {
		r.api.sick.Store(&apiFaults)
	}
	c, err := r.newCluster(o.Sites, m)
	if err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	killing, done := context.WithCancel(ctx)
	defer done()
	var crashing sync.WaitGroup
	crashing.Go(func() {
		if err := c.crashes(killing, o); err != nil && killing.Err() == nil {
			r.broke("%v", err)
		}
	})
	err = c.each(ctx, func(ctx context.Context, s *site) error { return s.killInTurn(ctx, (o.Kills+o.Sites-1)/o.Sites) })
	done()
	crashing.Wait()
	if err != nil {
		return err
	}
	r.say("all kills are done, %s", c.progress())
	if err := c.calm(ctx, !o.Fast); err != nil {
		return err
	}
	var without map[string]int
	if err := c.finish(ctx, func(e *Evidence) {
		r.outages(e)
		without = unacceptedBy(e)
	}); err != nil {
		return err
	}
	r.report.figure("unaccepted_by", without)
	if n := len(r.cuts()); n < o.Restarts {
		r.report.broke("the database server was restarted %d times and not %d", n, o.Restarts)
	}
	if n := without[inexcusable]; n > 0 {
		r.slow("P8: %d messages were not accepted, and nothing excuses that", n)
	}
	return nil
}

// crashes spreads the crashes of the database server over the time that the kills take.
func (c *cluster) crashes(ctx context.Context, o nodeKillOptions) error {
	if o.Restarts == 0 {
		return nil
	}
	every := killEvery * time.Duration(max(o.Kills/o.Sites, 1)) / time.Duration(o.Restarts)
	for range o.Restarts {
		next := time.Now().Add(every)
		if err := pause(ctx, time.Duration(c.r.rng.Int64N(int64(every)))); err != nil {
			return err
		}
		if err := c.crash(ctx, 0); err != nil {
			return err
		}
		if err := pause(ctx, time.Until(next)); err != nil {
			return err
		}
	}
	return nil
}

// killInTurn kills one node after the other, and starts it again.
func (s *site) killInTurn(ctx context.Context, kills int) error {
	for n := 1; n <= kills; n++ {
		if err := pause(ctx, killEvery+time.Duration(s.rng.Int64N(int64(500*time.Millisecond)))); err != nil {
			return err
		}
		victim := s.nodes[n%len(s.nodes)]
		if err := victim.ended(); err != nil {
			return err
		}
		victim.bot().kill()
		s.r.say("%s: node %d (process %d) was killed at %s", s.name, victim.number, victim.bot().life.PID, time.Now().Format("05.000"))
		if err := victim.start(ctx); err != nil {
			return err
		}
		if n%10 == 0 {
			s.r.say("%s: %d of %d kills, %s", s.name, n, kills, s.c.progress())
		}
	}
	return nil
}

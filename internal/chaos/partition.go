package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// partitionOptions are those of the scenario partition.
type partitionOptions struct {
	Cuts, Sites int
	Min, Max    time.Duration // how long they last
	Long        int           // so many more of them, of a minute
	Ways        ways
}

// ways is a flag: what a partition may be, with commas between.
type ways []network

var allWays = ways{gone, mute, refused, slowed}

func (w *ways) String() string {
	var all []string
	for _, one := range *w {
		all = append(all, one.String())
	}
	return strings.Join(all, ",")
}

func (w *ways) Set(text string) error {
	*w = nil
	for one := range strings.SplitSeq(text, ",") {
		i := slices.IndexFunc(allWays, func(n network) bool { return n.String() == one })
		if i < 0 {
			return fmt.Errorf("it is none of %v", &allWays)
		}
		*w = append(*w, allWays[i])
	}
	return nil
}

// choose takes the first way mostly.
func (w ways) choose(rng *rand.Rand) network { return w[max(0, rng.IntN(len(w)+2)-2)] }

// partitionMix has handlers that end within a partition, and some that end while another node runs the next
// attempt.
var partitionMix = mix{late: 0.1, slow: 0.5, slowFrom: 200 * time.Millisecond, slowTo: longestCutHandler, pairs: 0.06, silent: 0.03, fail: 0.02, panics: 0.01, forged: 0.01, repeat: 0.03}

const (
	longestCutHandler = 9 * time.Second
	longCut           = time.Minute
	// takenOver is when, at the latest, another node has begun what a node that was cut off had left: its lease is over
	// after 15 s, and a dead node is looked for every 5 s.
	takenOver = 21 * time.Second
)

// partition cuts one node of each site off from the database, in several ways, and then joins it to it again. Sites are side
// by side so that many partitions take less time.
func partition(ctx context.Context, r *run, o partitionOptions) error {
	c, err := r.newCluster(o.Sites, partitionMix)
	if err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	var mu sync.Mutex
	ways := make(map[string]int)
	err = c.each(ctx, func(ctx context.Context, s *site) error {
		return s.cutOff(ctx, share(o.Cuts, o.Sites, s), share(o.Long, o.Sites, s), o, func(way string) {
			mu.Lock()
			defer mu.Unlock()
			ways[way]++
		})
	})
	if err != nil {
		return err
	}
	if err := c.calm(ctx, false); err != nil {
		return err
	}
	long := false // one of them, so that a lease was lost
	err = c.finish(ctx, func(e *Evidence) {
		var lasted []time.Duration
		for _, cut := range e.Cuts {
			lasted = append(lasted, cut.To.Sub(cut.From))
			long = long || cut.To.Sub(cut.From) > takenOver
		}
		r.report.figure("partitions", ways)
		r.report.figure("partition_ms", percentiles(lasted))
		by := startsOf(e)
		r.report.figure("messages_by_starts", by)
		for starts, n := range by {
			if starts > 2 {
				r.report.broke("%d messages were started %d times, and the bound is 2", n, starts)
			}
		}
	})
	if err != nil {
		return err
	}
	if long && r.report.Counts.Restarted == 0 {
		r.report.broke("no lease was lost, so nothing was cut off")
	}
	r.acceptedInTime()
	return nil
}

// share is how many of all fall to a site.
func share(all, sites int, s *site) int {
	n := all / sites
	for i, other := range s.c.sites {
		if other == s && i < all%sites {
			n++
		}
	}
	return n
}

// cutOff cuts the nodes of a site off in turn.
func (s *site) cutOff(ctx context.Context, cuts, long int, o partitionOptions, note func(way string)) error {
	if err := pause(ctx, time.Duration(2000+s.rng.Int64N(5000))*time.Millisecond); err != nil {
		return err
	}
	for n := range cuts + long {
		lasts := o.Min + time.Duration(s.rng.Int64N(int64(o.Max-o.Min)+1))
		if n >= cuts {
			lasts = longCut
		}
		victim := s.nodes[n%len(s.nodes)]
		if err := victim.ended(); err != nil {
			return err
		}
		how, late := o.Ways.choose(s.rng), s.rng.IntN(2) == 0
		from := time.Now()
		victim.network.set(how, false)
		err := pause(ctx, lasts)
		victim.network.set(whole, late)
		if how != slowed { // which is no reason to lose a lease
			s.r.cut(Cut{PID: victim.bot().life.PID, From: from, To: time.Now()})
		}
		if err != nil {
			return err
		}
		back, err := victim.waitFor(ctx, true, 30*time.Second)
		if err != nil {
			return err
		}
		if late && (how == gone || how == mute) {
			note(how.String() + ", then late")
		} else {
			note(how.String())
		}
		s.r.say("%s: node %d (process %d) was cut off for %v (%v) and was back after %v, %s", s.name, victim.number, victim.bot().life.PID, lasts.Round(time.Millisecond), how, back.Round(time.Millisecond), s.c.progress())
		// What was taken over has to end before the node that took it is cut off in its turn.
		quiet := max(longestCutHandler+2*time.Second, time.Until(from.Add(takenOver+longestCutHandler)))
		if err := pause(ctx, quiet); err != nil {
			return err
		}
	}
	return nil
}

// lostOptions are those of the scenario pg-lost-commit.
type lostOptions struct {
	Losses int
	Share  float64
}

// lostCommit has answers to a commit be lost, and their connections with them.
func lostCommit(ctx context.Context, r *run, o lostOptions) error {
	c, err := r.newCluster(1, nodesMix)
	if err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	lost := func() (n int) {
		for _, node := range c.sites[0].nodes {
			n += node.network.commitsLost()
		}
		return n
	}
	all := func(share float64) {
		for _, node := range c.sites[0].nodes {
			node.network.loseCommits(share)
		}
	}
	all(o.Share)
	for said, last := time.Now(), 0; ; {
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
		n := lost()
		if n >= o.Losses {
			break
		}
		if time.Since(said) > 20*time.Second {
			r.say("%d of %d answers were lost, %s", n, o.Losses, c.progress())
			if n == last {
				return fmt.Errorf("no answer was lost for 20 s, after %d", n)
			}
			said, last = time.Now(), n
		}
	}
	all(0)
	if err := c.calm(ctx, false); err != nil {
		return err
	}
	if err := c.finish(ctx, func(e *Evidence) {
		r.report.figure("commit_answers_lost", lost())
		r.report.figure("messages_by_starts", startsOf(e))
	}); err != nil {
		return err
	}
	r.acceptedInTime()
	r.startedOnce()
	return nil
}

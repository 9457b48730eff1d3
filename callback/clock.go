package callback

import (
	"sync"
	"time"
)

// wallClock reads the wall clock and notices when it jumps, so that the age of
// a turn, which is a difference of wall-clock times, can be told without the jump.
type wallClock struct {
	read func() time.Time // nil: time.Now

	mu    sync.Mutex
	mono  time.Time // time.Now at the last reading
	wall  time.Time // read at the last reading
	jumps []jump    // of the last minutes, oldest first
}

// jump is a forward jump of the wall clock, to at, by the given amount.
type jump struct {
	at time.Time
	by time.Duration
}

// A difference between wall and monotonic clock of more than a second is a
// jump; less is the slow correction that time servers make.
const jumpSize = time.Second

func (c *wallClock) now() time.Time {
	mono := time.Now()
	now := mono
	if c.read != nil {
		now = c.read()
	}
	now = now.UTC().Truncate(time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mono.IsZero() {
		if by := now.Sub(c.wall) - mono.Sub(c.mono); by > jumpSize {
			if len(c.jumps) == 8 {
				c.jumps = c.jumps[1:]
			}
			c.jumps = append(c.jumps, jump{now, by})
		}
	}
	c.wall, c.mono = now, mono
	return now
}

// age is the time from a wall-clock reading of then to now. A forward jump in
// between is taken out. After a backward jump the age is too small, which errs on
// the side of answering.
func (c *wallClock) age(then, now time.Time) time.Duration {
	age := now.Sub(then)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.jumps {
		if !then.After(j.at.Add(-j.by)) && !now.Before(j.at) {
			age -= j.by
		}
	}
	return age
}

// agreement tells whether the wall clock agrees with WeChat's, from the lag
// between CreateTime and the first push that is seen of each message. The number of
// a push may be told from its lag only if it does: R-TIME-NUMBER.
//
// One lag proves nothing, since the first push may have been lost. So the
// clock is trusted until several messages, over more time than WeChat's
// retries take, all lag.
type agreement struct {
	mu   sync.Mutex
	lags [16]lag
	next int
}

type lag struct {
	at time.Time // monotonic
	by time.Duration
}

const (
	maxLag       = 2 * time.Second  // more is not a first push by a right clock
	lagsMemory   = 5 * time.Minute  // older lags do not count
	lagsNeeded   = 4                // fewer lags prove nothing
	lagsSpread   = 20 * time.Second // nor do lags within one outage
	lagPlausible = time.Minute      // a larger lag is a test or a replay
)

// observe takes in the first push that is seen of a message.
func (a *agreement) observe(createTime int64, now time.Time) {
	by := now.Sub(time.Unix(createTime, 0))
	if createTime <= 0 || by > lagPlausible {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lags[a.next%len(a.lags)] = lag{time.Now(), by}
	a.next++
}

// holds reports whether nothing speaks against the wall clock.
func (a *agreement) holds() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	var first, last time.Time
	n := 0
	for i := range min(a.next, len(a.lags)) {
		l := a.lags[i]
		if time.Since(l.at) > lagsMemory {
			continue
		}
		if l.by <= maxLag {
			return true
		}
		if n == 0 || l.at.Before(first) {
			first = l.at
		}
		if l.at.After(last) {
			last = l.at
		}
		n++
	}
	return n < lagsNeeded || last.Sub(first) < lagsSpread
}

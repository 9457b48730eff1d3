package wxapi

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Stats are counts since the client was made, and what it is in now.
type Stats struct {
	// Calls is how many calls were asked for, those of tokens not counted. Refused, NotSent and
	// Unknown are those of them that failed, by [OutcomeOf].
	Calls, Refused, NotSent, Unknown uint64
	// Held is how many calls were not made because of a pause. They are in Refused, too.
	Held uint64
	// Repeats is how many calls were made a second time with another token.
	Repeats uint64
	// TokenFetches is how often WeChat was asked for a token, and TokenFetchErrors how often in vain.
	TokenFetches, TokenFetchErrors uint64
	// TokenConflicts is how often a token has died early that was not the first within two hours.
	TokenConflicts uint64
	// Codes counts the refusals by errcode; codes that this package does not know are
	// counted under 0.
	Codes map[int]uint64
	// Paused are the refusals that calls are kept back for now, by path. Until says how long.
	Paused []*Error
	// ClockOffset is WeChat's clock minus ours as of the last answer, in whole seconds; 0 before it.
	ClockOffset time.Duration
}

// counters are the live numbers behind Stats.
type counters struct {
	calls, refused, notSent, unknown atomic.Uint64
	held, repeats                    atomic.Uint64
	fetches, fetchErrors, conflicts  atomic.Uint64
	clockOffset                      atomic.Int64

	mu    sync.Mutex
	codes map[int]uint64
}

// count counts a call by its error.
func (s *counters) count(err error) {
	switch OutcomeOf(err) {
	case OutcomeDone:
		return
	case OutcomeRefused:
		s.refused.Add(1)
	case OutcomeNotSent:
		s.notSent.Add(1)
	default:
		s.unknown.Add(1)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || !e.Until.IsZero() {
		return
	}
	number := e.Code
	if _, known := codes[number]; !known {
		number = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.codes == nil {
		s.codes = make(map[int]uint64)
	}
	s.codes[number]++
}

// Stats returns the present numbers.
func (c *Client) Stats() Stats {
	s := Stats{
		Calls: c.stats.calls.Load(), Refused: c.stats.refused.Load(), NotSent: c.stats.notSent.Load(), Unknown: c.stats.unknown.Load(),
		Held: c.stats.held.Load(), Repeats: c.stats.repeats.Load(),
		TokenFetches: c.stats.fetches.Load(), TokenFetchErrors: c.stats.fetchErrors.Load(), TokenConflicts: c.stats.conflicts.Load(),
		ClockOffset: time.Duration(c.stats.clockOffset.Load()),
	}
	c.stats.mu.Lock()
	s.Codes = maps.Clone(c.stats.codes)
	c.stats.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pauses {
		if time.Now().Before(p.until) {
			s.Paused = append(s.Paused, p.refusal("", c.config.Now()))
		}
	}
	slices.SortFunc(s.Paused, func(a, b *Error) int { return strings.Compare(a.Path, b.Path) })
	return s
}

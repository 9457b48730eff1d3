package callback

import (
	"log/slog"
	"sync"
	"time"

	"github.com/echostr/echostr/store"
)

// patience is what is left of WeChat's with an account. A push that is held is a failure in WeChat's
// eyes, and after too many it stops pushing for a minute (R-PUSH-MARKFAIL): so there is a budget (R-LATE-BUDGET). And
// holding is useless if no retry comes, as behind a proxy that answers WeChat itself: R-LATE-NORETRY
type patience struct {
	s      *Server
	name   string
	budget int

	mu     sync.Mutex
	held   []time.Time // the last ones, a ring
	next   int
	cut    map[store.Key]cut // held pushes that were cut, whose retry is waited for
	missed int               // after how many in a row none came
	until  time.Time         // nothing is held until then, since none comes
}

const (
	budgetTime  = 5 * time.Minute
	retryWithin = 8 * time.Second // WeChat comes again at once
	maxMissed   = 3
	noHoldTime  = 10 * time.Minute // then it is tried again
)

func (p *patience) init(s *Server, a *account) {
	p.s, p.name, p.budget = s, a.Name, a.HoldBudget
	p.cut = make(map[store.Key]cut)
}

// mayHold reports whether a push may be held, and takes it off the budget.
func (p *patience) mayHold() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case now.Before(p.until):
		return false
	case p.budget < 0:
	case len(p.held) < p.budget:
		p.held = append(p.held, now)
	case now.Sub(p.held[p.next]) < budgetTime:
		return false
	default:
		p.held[p.next] = now
		p.next = (p.next + 1) % len(p.held)
	}
	return true
}

// wasCut notes that a held push of a message was cut, of which so many had been seen. The next one should
// come, if it has not before that was noticed.
func (p *patience) wasCut(key store.Key, seen int, again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if again {
		p.missed = 0
		return
	}
	p.cut[key] = cut{time.Now(), seen}
	time.AfterFunc(retryWithin, func() { p.miss(key) })
}

// came notes that a message was pushed again.
func (p *patience) came(key store.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.cut[key]; ok {
		delete(p.cut, key)
		p.missed = 0
	}
}

// miss notes that no push of a message came in time, unless it has come to another node.
func (p *patience) miss(key store.Key) {
	p.mu.Lock()
	c, ok := p.cut[key]
	p.mu.Unlock()
	if !ok || time.Since(c.at) < retryWithin {
		return
	}
	row, err := p.s.cfg.Store.Get(p.s.ctx, key)
	if err != nil || row.Seen > c.seen {
		p.came(key) // as far as anybody knows
		return
	}
	p.mu.Lock()
	if p.cut[key] != c {
		p.mu.Unlock()
		return
	}
	delete(p.cut, key)
	p.missed++
	stop := p.missed >= maxMissed && !time.Now().Before(p.until)
	if stop {
		p.missed, p.until = maxMissed-1, time.Now().Add(noHoldTime) // then one more is enough
	}
	p.mu.Unlock()
	p.s.stats.noRetry.Add(1)
	if stop {
		p.s.cfg.Logger.Warn("WeChat does not push again what was held for its retry; late answers take the next way at once for a while",
			slog.String(keyAccount, p.name), slog.Duration("for", noHoldTime),
			slog.String(keyHint, "look for a proxy in front that answers, buffers or retries by itself: docs/connect.md says how it must be set"))
	}
}

// cut is the end of a push that was held.
type cut struct {
	at   time.Time
	seen int // pushes of its message
}

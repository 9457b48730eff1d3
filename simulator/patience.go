package simulator

import (
	"sync"
	"time"
)

// patience is what WeChat has against a server. R-PUSH-MARKFAIL
type patience struct {
	mu     sync.Mutex
	failed int // pushes in a row
	until  time.Time
}

// left is for how long nothing is pushed.
func (p *patience) left(r Rules) time.Duration {
	if r.MarkFail <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.until)
}

// note counts a push.
func (p *patience) note(r Rules, good bool) {
	if r.MarkFail <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed++
	switch {
	case good:
		p.failed = 0
	case p.failed >= r.MarkFail:
		p.failed = 0
		p.until = time.Now().Add(12 * r.Timeout)
	}
}

package wxapi

import "time"

// pause keeps calls back after a refusal that only the owner of the account can change. R-API-PROBE
type pause struct {
	err   *Error
	until time.Time // monotonic
}

// refusal is the error of a call that is not made. path is that of the call.
func (p *pause) refusal(path string, wall time.Time) *Error {
	e := *p.err
	e.Until = wall.Add(time.Until(p.until)).Round(0)
	e.held = path
	return &e
}

// admit refuses a call to path while the account or the path is paused. The first call after that
// is the probe: the others are kept back for another interval, unless it goes well.
func (c *Client) admit(path string) (probe bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pauses) == 0 {
		return false, nil
	}
	now := time.Now()
	keys := [...]string{"", path}
	for _, key := range keys {
		if p := c.pauses[key]; p != nil && now.Before(p.until) {
			e := p.refusal(path, c.config.Now())
			c.stats.held.Add(1)
			return false, e
		}
	}
	for _, key := range keys {
		if p := c.pauses[key]; p != nil {
			p.until, probe = now.Add(c.config.ProbeInterval), true
		}
	}
	return probe, nil
}

// settle draws the conclusions from what became of a call.
func (c *Client) settle(path string, probe bool, err error) {
	e, _ := err.(*Error)
	if e != nil && !e.Until.IsZero() || e == nil && !probe {
		return // nothing was learnt, or all is well
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case e != nil && e.accountWide():
		c.pauses[""] = &pause{e, now.Add(c.config.ProbeInterval)}
	case e != nil && e.pathWide():
		c.pauses[path] = &pause{e, now.Add(c.config.ProbeInterval)}
		if probe {
			delete(c.pauses, "")
		}
	case !probe:
	case err == nil || e != nil && e.Path == path:
		delete(c.pauses, "")
		delete(c.pauses, path)
	default: // WeChat has not said a word; the next call may ask again
		for _, key := range [...]string{"", path} {
			if p := c.pauses[key]; p != nil {
				p.until = now
			}
		}
	}
}

// Resume ends the pauses that follow a refusal which only the owner of the account can change,
// such as a wrong AppSecret or an address that is not in the whitelist: the next call asks
// WeChat again. Call it when that was put right. R-API-PROBE
func (c *Client) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.pauses)
	if c.fetchErr != nil {
		c.fetchErr, c.nextFetch = nil, time.Time{}
	}
}

package simulator

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"regexp"
	"time"
)

// The life of access tokens (接口调用凭据). R-API-TOKEN R-API-STABLE
const (
	tokenLife    = 2 * time.Hour
	tokenGrace   = 5 * time.Minute // how long an old token is good beside a new one
	forceEvery   = 30 * time.Second
	forcesPerDay = 20
	keptTokens   = 2000 // more are forgotten, the oldest first
)

// accessToken is one token that was issued.
type accessToken struct {
	value   string
	expires time.Time
	revoked time.Time // when it was or will be put out of force before it expires; zero if never
}

func (t *accessToken) revoke(at time.Time) {
	if t != nil && (t.revoked.IsZero() || t.revoked.After(at)) {
		t.revoked = at
	}
}

// errcode returns 0 for a token that is good.
func (t *accessToken) errcode(now time.Time) errcode {
	switch {
	case !t.revoked.IsZero() && !now.Before(t.revoked):
		return 40001
	case !now.Before(t.expires):
		return 42001
	}
	return 0
}

// tokens are the tokens of one account. Those of getAccessToken and those of
// getStableAccessToken live side by side.
type tokens struct {
	plain, stable *accessToken // the latest
	issued        map[string]*accessToken
	order         []string // the issued ones, the oldest first
	forced        time.Time
	forces        dayCount
}

var tokenForm = regexp.MustCompile(`^[0-9]{2}_[0-9A-Za-z_-]{64,512}$`)

func (t *tokens) issue(prefix int, now time.Time) *accessToken {
	random := make([]byte, 99)
	rand.Read(random)
	token := &accessToken{value: fmt.Sprintf("%d_%s", prefix, base64.RawURLEncoding.EncodeToString(random)), expires: now.Add(tokenLife)}
	if t.issued == nil {
		t.issued = make(map[string]*accessToken)
	}
	t.issued[token.value] = token
	t.order = append(t.order, token.value)
	if len(t.order) > keptTokens {
		delete(t.issued, t.order[0])
		t.order = t.order[1:]
	}
	return token
}

// get is getAccessToken: every call makes a new token, and the one before is good for
// another five minutes. R-API-TOKEN
func (t *tokens) get(now time.Time) *accessToken {
	t.plain.revoke(now.Add(tokenGrace))
	t.plain = t.issue(98, now)
	return t.plain
}

// getStable is getStableAccessToken: the same token again until five minutes before its
// end. Force makes a new one at once and puts the old one out of force, but not more
// often than WeChat allows; beyond that it is ignored. R-API-STABLE
func (t *tokens) getStable(now time.Time, force bool) *accessToken {
	alive := t.stable != nil && t.stable.errcode(now) == 0
	if force && alive {
		if force = now.Sub(t.forced) >= forceEvery && t.forces.take(now, forcesPerDay); force {
			t.forced = now
			t.stable.revoke(now)
		}
	}
	if !alive || force || t.stable.expires.Sub(now) < tokenGrace {
		t.stable = t.issue(99, now)
	}
	return t.stable
}

// check returns 0 for a token that is good.
func (t *tokens) check(value string, now time.Time) errcode {
	if token := t.issued[value]; token != nil {
		return token.errcode(now)
	}
	if tokenForm.MatchString(value) {
		return 40001
	}
	return 40014
}

// ExpireTokens lets all access tokens of the account expire now, as if two hours had
// passed: calls with them get 42001.
func (o *Official) ExpireTokens() {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	now := o.p.now()
	for _, t := range o.api.tokens.issued {
		if t.expires.After(now) {
			t.expires = now
		}
	}
}

// RevokeTokens puts all access tokens of the account out of force, as when another program
// has fetched a new one, or the AppSecret was reset: calls with them get 40001.
func (o *Official) RevokeTokens() {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	now := o.p.now()
	for _, t := range o.api.tokens.issued {
		t.revoke(now)
	}
}

// china is the time by which WeChat counts days.
var china = time.FixedZone("UTC+8", 8*60*60)

// dayCount counts to a limit, and begins again every day.
type dayCount struct {
	day   string
	count int
}

func (c *dayCount) used(now time.Time) int {
	if c.day != now.In(china).Format(time.DateOnly) {
		return 0
	}
	return c.count
}

// take counts one more, unless the limit is reached.
func (c *dayCount) take(now time.Time, limit int) bool {
	used := c.used(now)
	if used >= limit {
		return false
	}
	c.day, c.count = now.In(china).Format(time.DateOnly), used+1
	return true
}

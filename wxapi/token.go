package wxapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// The life of tokens. R-API-AHEAD R-API-FLIGHT
const (
	maxTokenLife  = 2 * time.Hour
	renewAhead    = 5 * time.Minute  // before the end
	fetchEvery    = 10 * time.Second // at most, while there is a token
	retryEvery    = time.Second      // after a fetch that has failed
	deathWindow   = 2 * time.Hour
	maxTokenBytes = 4096
)

const (
	stableTokenPath = "/cgi-bin/stable_token"
	plainTokenPath  = "/cgi-bin/token"
)

func isTokenPath(path string) bool { return path == stableTokenPath || path == plainTokenPath }

// flight is one renewal, for which any number of calls wait.
type flight struct {
	bad   string // the token that was refused; "" if none was
	ahead bool   // nobody needs it yet
	done  chan struct{}
	token Token
	err   error
}

// Token returns a token that is good as far as is known, for other programs that call WeChat
// for this account. In its last five minutes the next one is fetched meanwhile, and WeChat takes both.
// It fails like a call. Several programs that fetch by themselves should all use StableToken instead.
func (c *Client) Token(ctx context.Context) (Token, error) {
	probe, err := c.admit("")
	if err != nil {
		return Token{}, err
	}
	t, err := c.token(ctx, "", probe)
	c.settle("", probe, err)
	return t, err
}

// RenewToken returns a token other than bad, one with which a call was refused (40001, 40014,
// 42001). If there is no other, the error says so; wait before the next try then.
func (c *Client) RenewToken(ctx context.Context, bad Secret) (Token, error) {
	probe, err := c.admit("")
	if err != nil {
		return Token{}, err
	}
	t, err := c.token(ctx, bad.Reveal(), probe)
	c.settle("", probe, err)
	if err == nil && !bad.IsZero() && t.is(bad.Reveal()) {
		return Token{}, errors.New("wxapi: WeChat has no other access_token than the one that it refuses; try again in ten seconds, and look for another program that fetches tokens for this AppID")
	}
	return t, err
}

// token returns a token to call with. bad is one that was refused just now, or "". What it
// returns is bad itself if there is no other, so that nothing is repeated without end. R-API-REPEAT
func (c *Client) token(ctx context.Context, bad string, probe bool) (Token, error) {
	for {
		token, f, err := c.tokenOrFlight(bad, probe)
		if f == nil {
			return token, err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return Token{}, &TransportError{Path: c.tokenPath(), Err: ctx.Err()}
		}
		if f.err != nil {
			return Token{}, f.err
		}
		if !f.token.is(bad) || f.bad == bad {
			return f.token, nil
		}
		// It began before bad was refused, and knows nothing of that.
	}
}

// tokenOrFlight returns a token, an error, or the flight to wait for.
func (c *Client) tokenOrFlight(bad string, probe bool) (Token, *flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now() // monotonic: the wall clock may jump
	have := c.current
	fresh := c.fetchErr == nil && now.Before(c.nextFetch)
	if !have.Value.IsZero() && !have.is(bad) && (fresh || c.alive(have)) {
		if c.flight == nil && c.due(have) && !now.Before(c.nextFetch) {
			c.fly(&flight{ahead: true}) // R-API-AHEAD
		}
		return have, nil, nil
	}
	if c.flight != nil {
		return Token{}, c.flight, nil
	}
	if p := c.pauses[""]; p != nil && now.Before(p.until) && !probe {
		return Token{}, nil, p.refusal("", c.config.Now())
	}
	if now.Before(c.nextFetch) {
		if c.fetchErr != nil {
			return Token{}, nil, c.fetchErr
		}
		return have, nil, nil // fetched a moment ago, and refused
	}
	return Token{}, c.fly(&flight{bad: bad}), nil
}

// alive reports whether t has not ended. A life that WeChat does not give means that the wall
// clock has jumped; then nothing is known.
func (c *Client) alive(t Token) bool {
	life := t.Expires.Sub(c.config.Now())
	return life > 0 && life <= maxTokenLife
}

// due reports whether t should be renewed by now.
func (c *Client) due(t Token) bool { return t.Expires.Sub(c.config.Now()) <= renewAhead }

// fly starts the renewal. c.mu is held.
func (c *Client) fly(f *flight) *flight {
	f.done = make(chan struct{})
	c.flight = f
	before := c.current
	go func() {
		// Not the context of a caller: it must not end the renewal for the others.
		ctx, cancel := context.WithTimeout(context.Background(), c.config.Timeout)
		defer cancel()
		token, fetched, err := c.renew(ctx, f.bad)
		c.mu.Lock()
		c.flight = nil
		c.fetchErr = err
		now := time.Now()
		var conflict TokenConflict
		if err != nil {
			c.nextFetch = now.Add(retryEvery)
			if f.ahead {
				c.nextFetch = now.Add(fetchEvery)
			}
			if e, ok := errors.AsType[*Error](err); ok && e.accountWide() {
				c.pauses[""] = &pause{err: e, until: now.Add(c.config.ProbeInterval)}
			}
		} else {
			c.nextFetch = now.Add(fetchEvery)
			c.current = token
			if life := before.Expires.Sub(c.config.Now()); fetched && f.bad != "" && before.is(f.bad) && !token.is(f.bad) && life > renewAhead {
				conflict = c.died(now, life)
			}
		}
		f.token, f.err = token, err
		c.mu.Unlock()
		close(f.done)
		if err != nil && f.ahead {
			c.config.Logger.WarnContext(ctx, "access token could not be renewed ahead of its end", slog.String("app_id", c.config.AppID), slog.Any("err", err))
		}
		c.report(ctx, conflict)
	}()
	return f
}

// died notes that a token has died early, and returns a conflict if it was not the first. R-API-CONFLICT
func (c *Client) died(now time.Time, life time.Duration) TokenConflict {
	kept := c.deaths[:0]
	for _, at := range c.deaths {
		if now.Sub(at) < deathWindow {
			kept = append(kept, at)
		}
	}
	c.deaths = append(kept, now)
	if len(c.deaths) < 2 {
		return TokenConflict{}
	}
	c.stats.conflicts.Add(1)
	return TokenConflict{AppID: c.config.AppID, Kind: c.config.TokenKind, Deaths: len(c.deaths), Life: life}
}

func (c *Client) report(ctx context.Context, conflict TokenConflict) {
	if conflict.Deaths == 0 {
		return
	}
	c.mu.Lock()
	now := time.Now()
	warn := c.warned.IsZero() || now.Sub(c.warned) >= c.config.ProbeInterval
	if warn {
		c.warned = now
	}
	c.mu.Unlock()
	if warn {
		c.config.Logger.WarnContext(ctx, "somebody else fetches access tokens of this account", slog.String("app_id", conflict.AppID), slog.String("reason", conflict.String()))
	}
	if c.config.OnTokenConflict != nil {
		c.config.OnTokenConflict(conflict)
	}
}

// renew returns a token other than bad: that of the store if another node has fetched one, else
// a new one. fetched says which.
func (c *Client) renew(ctx context.Context, bad string) (token Token, fetched bool, err error) {
	update := func(ctx context.Context, stored Token) (Token, error) {
		if !stored.Value.IsZero() && !stored.is(bad) && c.alive(stored) && !c.due(stored) {
			token = stored
			return stored, nil
		}
		t, err := c.fetch(ctx)
		if err == nil {
			token, fetched = t, true
		}
		return t, err
	}
	if c.config.Tokens == nil {
		_, err := update(ctx, Token{})
		return token, fetched, err
	}
	err = c.config.Tokens.UpdateToken(ctx, TokenKey{c.config.AppID, c.config.TokenKind}, update)
	if err == nil {
		return token, fetched, nil
	}
	if !token.Value.IsZero() {
		// It could not be stored. It is the good one all the same.
		c.storeFailed(ctx, err)
		return token, fetched, nil
	}
	if isCall(err) {
		return Token{}, false, err
	}
	c.storeFailed(ctx, err)
	if c.config.TokenKind == StableToken {
		// All nodes get the same one from WeChat, so the store is not missed.
		_, err := update(ctx, Token{})
		return token, fetched, err
	}
	return Token{}, false, fmt.Errorf("wxapi: the store of access tokens fails, and a token fetched past it would put that of other nodes out of force; restore the store or use StableToken: %w", err)
}

func (c *Client) storeFailed(ctx context.Context, err error) {
	c.config.Logger.WarnContext(ctx, "the store of access tokens fails", slog.String("app_id", c.config.AppID), slog.Any("err", c.redact(err, "")))
}

// isCall reports whether err is that of a call to WeChat.
func isCall(err error) bool {
	_, refused := errors.AsType[*Error](err)
	_, lost := errors.AsType[*TransportError](err)
	return refused || lost
}

func (c *Client) tokenPath() string {
	if c.config.TokenKind == PlainToken {
		return plainTokenPath
	}
	return stableTokenPath
}

// fetch asks WeChat for a token. R-API-TOKEN R-API-STABLE
func (c *Client) fetch(ctx context.Context) (Token, error) {
	c.stats.fetches.Add(1)
	begin := c.config.Now()
	var answer struct {
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"` // seconds
	}
	x := &exchange{method: http.MethodPost, path: stableTokenPath, out: &answer}
	if c.config.TokenKind == PlainToken {
		x.method, x.path = http.MethodGet, plainTokenPath
		x.query = url.Values{"grant_type": {"client_credential"}, "appid": {c.config.AppID}, "secret": {c.config.AppSecret.Reveal()}}
	} else {
		body, err := encode(struct {
			GrantType    string `json:"grant_type"`
			AppID        string `json:"appid"`
			Secret       string `json:"secret"`
			ForceRefresh bool   `json:"force_refresh"`
		}{"client_credential", c.config.AppID, c.config.AppSecret.Reveal(), false})
		if err != nil {
			return Token{}, err
		}
		x.setJSON(body)
	}
	err := c.exchange(ctx, x, "")
	if err == nil && !validToken(answer.AccessToken) {
		err = &TransportError{Path: x.path, Status: http.StatusOK, Err: errors.New("there is no access_token in the answer")}
	}
	if err == nil && !(answer.ExpiresIn >= 1) {
		err = &TransportError{Path: x.path, Status: http.StatusOK, Err: errors.New("the answer does not say how long the access_token is good")}
	}
	if err != nil {
		c.stats.fetchErrors.Add(1)
		if e, ok := errors.AsType[*TransportError](err); ok {
			e.Sent = false // whatever became of the fetch, the call that needs the token was not sent
		}
		return Token{}, err
	}
	life := time.Duration(min(answer.ExpiresIn, maxTokenLife.Seconds())) * time.Second
	return Token{Value: NewSecret(answer.AccessToken), Expires: begin.Add(life)}, nil
}

func validToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxTokenBytes
}

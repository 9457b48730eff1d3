package wxapi

import (
	"context"
	"fmt"
	"time"
)

// TokenKind is the way access tokens (接口调用凭据) are fetched.
type TokenKind int

const (
	// StableToken fetches by getStableAccessToken (稳定版): whoever asks gets the same token,
	// so several programs do not disturb each other. R-API-STABLE
	StableToken TokenKind = iota
	// PlainToken fetches by getAccessToken: each fetch puts the token before out of force, so
	// nobody else may fetch tokens for this AppID that way. R-API-TOKEN
	PlainToken
)

// String returns stable_token or token, the names of the calls.
func (k TokenKind) String() string {
	switch k {
	case StableToken:
		return "stable_token"
	case PlainToken:
		return "token"
	}
	return fmt.Sprintf("TokenKind(%d)", int(k))
}

// Token is an access_token. The zero value is no token.
type Token struct {
	// Value is at most 4096 bytes of printable ASCII.
	Value Secret
	// Expires is when it ends, by the wall clock.
	Expires time.Time
}

// is reports whether value is that of t.
func (t Token) is(value string) bool { return t.Value.Reveal() == value }

// TokenKey names a token in a [TokenStore].
type TokenKey struct {
	AppID string
	Kind  TokenKind
}

// TokenStore keeps tokens where all nodes see them, so that one node fetches and all use. It must be
// safe for concurrent use.
type TokenStore interface {
	// UpdateToken calls update with the token under key, the zero Token if there is none, and
	// stores what update returns, durably or not. While it runs, every other UpdateToken of
	// the same key waits, on every node. If update fails, nothing is stored and its error is
	// returned.
	//
	// update may make a request to WeChat, so it takes up to Config.Timeout: do not hold a
	// lock that other work needs, such as the only writer of a database. ctx ends then, too.
	// Tokens are secrets: encrypt them at rest.
	UpdateToken(ctx context.Context, key TokenKey, update func(ctx context.Context, stored Token) (Token, error)) error
}

// TokenConflict says that somebody else fetches tokens for this AppID.
type TokenConflict struct {
	AppID string
	Kind  TokenKind
	// Deaths is how many tokens have died early in the last two hours, at least 2.
	Deaths int
	// Life is how long the last one would still have been good.
	Life time.Duration
}

// String says what it means and what to do.
func (t TokenConflict) String() string {
	return fmt.Sprintf("%d access tokens of %s have died early within two hours, the last one %s before its end, so another program fetches tokens for this AppID by %s; "+
		"let it fetch by stable_token or use this server's token, and reset the AppSecret if no other program should have it", t.Deaths, t.AppID, t.Life.Round(time.Second), otherCall(t.Kind))
}

func otherCall(k TokenKind) string {
	if k == StableToken {
		return "stable_token with force_refresh"
	}
	return "/cgi-bin/token"
}

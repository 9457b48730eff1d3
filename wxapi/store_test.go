package wxapi

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sharedTokens is a TokenStore as a database would be one.
type sharedTokens struct {
	mu     sync.Mutex
	tokens map[TokenKey]Token
	fail   error // before update
	lose   error // after it
}

func (s *sharedTokens) UpdateToken(ctx context.Context, key TokenKey, update func(context.Context, Token) (Token, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	token, err := update(ctx, s.tokens[key])
	if err != nil {
		return err
	}
	if s.lose != nil {
		return s.lose
	}
	if s.tokens == nil {
		s.tokens = make(map[TokenKey]Token)
	}
	token.Expires = token.Expires.Round(0)
	s.tokens[key] = token
	return nil
}

// Six nodes with one store fetch once, and renew once. R-API-FLIGHT
func TestStoreShared(t *testing.T) {
	t.Parallel()
	for _, kind := range []TokenKind{StableToken, PlainToken} {
		synctest.Test(t, func(t *testing.T) {
			w, store := &wechat{}, &sharedTokens{}
			var nodes []*Client
			for range 6 {
				nodes = append(nodes, newTestClient(t, w, func(c *Config) { c.Tokens, c.TokenKind = store, kind }))
			}
			all := func() {
				t.Helper()
				var wg sync.WaitGroup
				for _, c := range nodes {
					for range 8 {
						wg.Go(func() {
							if err := ping(c); err != nil {
								t.Error(err)
							}
						})
					}
				}
				wg.Wait()
			}
			all()
			if n := w.fetched(); n != 1 {
				t.Fatalf("%d fetches of six nodes, want 1", n)
			}
			time.Sleep(time.Hour)
			w.answer = refuses(40001, "token-1")
			all()
			if n := w.fetched(); n != 2 {
				t.Fatalf("%d fetches, want 2", n)
			}
			time.Sleep(2*time.Hour - time.Minute)
			all()
			time.Sleep(time.Second)
			all()
			if n := w.fetched(); n != 3 {
				t.Errorf("%d fetches, want 3", n)
			}
			for _, c := range nodes {
				if s := c.Stats(); s.TokenConflicts != 0 {
					t.Errorf("a node takes another node for a stranger: %+v", s)
				}
			}
		})
	}
}

func TestStoreFails(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused to postgres://user:" + testSecret + "@db")
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{}
		c := newTestClient(t, w, func(c *Config) { c.Tokens = &sharedTokens{fail: down} })
		if err := ping(c); err != nil {
			t.Errorf("a stable_token needs no store: %v", err)
		}
		w = &wechat{}
		c = newTestClient(t, w, func(c *Config) { c.Tokens, c.TokenKind = &sharedTokens{fail: down}, PlainToken })
		err := ping(c)
		if !errors.Is(err, down) || w.fetched() != 0 || OutcomeOf(err) != OutcomeNotSent || !strings.Contains(err.Error(), "restore the store") {
			t.Errorf("got %v after %d fetches", err, w.fetched())
		}
		for _, kind := range []TokenKind{StableToken, PlainToken} {
			w = &wechat{}
			c = newTestClient(t, w, func(c *Config) { c.Tokens, c.TokenKind = &sharedTokens{lose: down}, kind })
			if err := ping(c); err != nil || w.fetched() != 1 {
				t.Errorf("a token that could not be stored is good: %v after %d fetches", err, w.fetched())
			}
		}
	})
}

// A refusal is passed through the store as it is.
func TestStoreRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{token: func(int) string { return `{"errcode":40125,"errmsg":"invalid appsecret"}` }}
		c := newTestClient(t, w, func(c *Config) { c.Tokens = &sharedTokens{} })
		for range 5 {
			if e, ok := errors.AsType[*Error](ping(c)); !ok || e.Code != 40125 {
				t.Fatalf("got %v", e)
			}
		}
		if n := w.fetched(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

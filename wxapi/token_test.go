package wxapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The token's life, in virtual time. R-API-FLIGHT R-API-AHEAD R-API-REPEAT

func together(t *testing.T, n int, f func() error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		wg.Go(func() { errs <- f() })
	}
	wg.Wait()
	for range n {
		if err := <-errs; err != nil {
			t.Errorf("a call failed: %v", err)
		}
	}
}

// slowly delays requests by a second of virtual time, so that they overlap.
type slowly struct{ *wechat }

func (s slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(time.Second):
		return s.wechat.RoundTrip(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func TestTokenOneFetchForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{}
		c := newTestClient(t, slowly{w}, nil)
		together(t, 64, func() error { return ping(c) })
		if n := w.fetched(); n != 1 {
			t.Errorf("%d fetches for 64 calls, want 1", n)
		}
		if n := len(w.called()); n != 64 {
			t.Errorf("%d calls, want 64", n)
		}
	})
}

func TestTokenOneRenewalForAll(t *testing.T) {
	t.Parallel()
	for _, code := range []int{40001, 40014, 42001} {
		synctest.Test(t, func(t *testing.T) {
			w := &wechat{}
			c := newTestClient(t, slowly{w}, nil)
			if err := ping(c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			w.answer = refuses(code, "token-1")
			together(t, 64, func() error { return ping(c) })
			if n := w.fetched(); n != 2 {
				t.Errorf("%d: %d fetches, want 2", code, n)
			}
			if n := len(w.called()); n != 1+2*64 {
				t.Errorf("%d: %d calls, want each of 64 repeated once", code, n)
			}
			if s := c.Stats(); s.Repeats != 64 || s.Calls != 65 || s.Refused != 0 || s.TokenFetches != 2 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// A caller that gives up does not end the fetch for the others.
func TestTokenCallerGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{}
		c := newTestClient(t, slowly{w}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		done := make(chan error)
		go func() { done <- c.Call(ctx, "GET", "/cgi-bin/tags/get", nil, nil) }()
		synctest.Wait()
		go func() { done <- ping(c) }()
		err := <-done
		if !errors.Is(err, context.DeadlineExceeded) || OutcomeOf(err) != OutcomeNotSent {
			t.Errorf("the impatient caller got %v (%v)", err, OutcomeOf(err))
		}
		if err := <-done; err != nil {
			t.Errorf("the patient caller got %v", err)
		}
		if n := w.fetched(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestTokenRenewedAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{}
		c := newTestClient(t, slowly{w}, nil)
		ping(c)
		time.Sleep(2*time.Hour - 6*time.Minute) // six minutes are left
		ping(c)
		synctest.Wait()
		if n := w.fetched(); n != 1 {
			t.Fatalf("%d fetches with six minutes left, want 1", n)
		}
		time.Sleep(2 * time.Minute)
		begin := time.Now()
		ping(c) // takes a second, and not two
		if d := time.Since(begin); d != time.Second {
			t.Errorf("the caller has waited %v for a token that it did not need", d)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := w.fetched(); n != 2 {
			t.Fatalf("%d fetches with four minutes left, want 2", n)
		}
		ping(c)
		calls := w.called()
		if old, young := calls[len(calls)-2].Query, calls[len(calls)-1].Query; old != "access_token=token-1" || young != "access_token=token-2" {
			t.Errorf("calls with %q and then %q", old, young)
		}
	})
}

// If renewing ahead fails, calls go on with the token that there is, and it is tried every 10 s.
func TestTokenAheadFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := new(lines)
		w := &wechat{token: func(n int) string {
			if n > 1 && n < 5 {
				return `{"errcode":-1,"errmsg":"system error"}`
			}
			return goodToken(n)
		}}
		c := newTestClient(t, w, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
		ping(c)
		time.Sleep(2*time.Hour - 4*time.Minute)
		for range 35 {
			if err := ping(c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := w.fetched(); n != 5 {
			t.Errorf("%d fetches, want 5: three failures 10 s apart and a success", n)
		}
		if n := strings.Count(log.String(), "ahead of its end"); n != 3 {
			t.Errorf("%d lines about it, want 3:\n%s", n, log)
		}
		noSecrets(t, log.String())
	})
}

func TestTokenRepeatedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{answer: refuses(40001, "token-1", "token-2")}
		c := newTestClient(t, w, nil)
		time.Sleep(time.Minute)
		err := c.Send(t.Context(), testOpenID, textReply("你好"), nil)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Code != 40001 || !e.Retry() || e.RID == "" {
			t.Fatalf("got %v", err)
		}
		// The first token was a second old at most, so WeChat is not asked again at once.
		if calls := w.called(); len(calls) != 1 || w.fetched() != 1 {
			t.Errorf("%d calls and %d fetches, want 1 and 1", len(calls), w.fetched())
		}
		time.Sleep(fetchEvery)
		if err = c.Send(t.Context(), testOpenID, textReply("你好"), nil); err == nil {
			t.Fatal("no error")
		}
		calls := w.called()
		if len(calls) != 3 || w.fetched() != 2 {
			t.Fatalf("%d calls and %d fetches, want 3 and 2", len(calls), w.fetched())
		}
		if calls[1].Body != calls[2].Body || calls[1].Body == "" || calls[1].Query == calls[2].Query {
			t.Errorf("the repeat is not the same call with another token:\n%+v\n%+v", calls[1], calls[2])
		}
		noSecrets(t, err.Error())
	})
}

// A stable_token that is the same one again ends it. R-API-REPEAT
func TestTokenSameAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{token: func(int) string { return goodToken(1) }}
		c := newTestClient(t, w, nil)
		ping(c)
		w.answer = refuses(40001, "token-1")
		time.Sleep(time.Minute)
		err := ping(c)
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != 40001 {
			t.Fatalf("got %v", err)
		}
		if calls := w.called(); len(calls) != 2 || w.fetched() != 2 {
			t.Errorf("%d calls and %d fetches, want 2 and 2: nothing is repeated with the same token", len(calls), w.fetched())
		}
		if s := c.Stats(); s.Repeats != 0 || s.TokenConflicts != 0 {
			t.Errorf("stats %+v", s)
		}
		// A storm of calls makes no storm of fetches.
		for range 100 {
			ping(c)
			time.Sleep(100 * time.Millisecond)
		}
		if n := w.fetched(); n > 4 {
			t.Errorf("%d fetches, want one in 10 s at most", n)
		}
	})
}

func TestTokenWallClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{
		"an hour ahead": time.Hour, "three hours ahead": 3 * time.Hour, "an hour back": -time.Hour, "a day back": -24 * time.Hour, "a second back": -time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var offset time.Duration
				now := func() time.Time {
					mu.Lock()
					defer mu.Unlock()
					return time.Now().Add(offset).Round(0)
				}
				w := &wechat{}
				c := newTestClient(t, w, func(c *Config) { c.Now = now })
				for range 1000 {
					if err := ping(c); err != nil {
						t.Fatal(err)
					}
					time.Sleep(7 * time.Second)
					mu.Lock()
					if offset == 0 && w.fetched() == 1 && len(w.called()) == 500 {
						offset = jump
					}
					mu.Unlock()
				}
				// 7000 s are one token's life. After a jump there is a new one, since the end of
				// the old one is not known any more; without, it is renewed ahead.
				if n := w.fetched(); n != 2 {
					t.Errorf("%d fetches in two hours, want 2", n)
				}
			})
		})
	}
}

// After a jump back the client takes its token for good when it is not: it finds out by 42001.
func TestTokenExpiredUnnoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := &wechat{}
		c := newTestClient(t, w, func(c *Config) { c.Now = func() time.Time { return begin } })
		ping(c)
		time.Sleep(3 * time.Hour)
		w.answer = refuses(42001, "token-1")
		if err := ping(c); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Repeats != 1 || s.TokenFetches != 2 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestTokenConflict(t *testing.T) {
	t.Parallel()
	for _, kind := range []TokenKind{StableToken, PlainToken} {
		synctest.Test(t, func(t *testing.T) {
			log, conflicts := new(lines), make(chan TokenConflict, 10)
			w := &wechat{}
			c := newTestClient(t, w, func(c *Config) {
				c.TokenKind = kind
				c.OnTokenConflict = func(t TokenConflict) { conflicts <- t }
				c.Logger = slog.New(slog.NewTextHandler(log, nil))
			})
			ping(c)
			for i := range 3 {
				time.Sleep(20 * time.Minute)
				w.answer = refuses(40001, "token-"+string(rune('1'+i)))
				if err := ping(c); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if n := len(conflicts); n != 2 {
				t.Fatalf("%d conflicts for three early deaths, want 2: one death may be a reset", n)
			}
			first := <-conflicts
			if first.Deaths != 2 || first.AppID != testAppID || first.Life < 90*time.Minute || c.Stats().TokenConflicts != 2 {
				t.Errorf("got %+v, stats %+v", first, c.Stats())
			}
			if !strings.Contains(log.String(), "stable_token") {
				t.Errorf("the log does not say what to do:\n%s", log)
			}
			noSecrets(t, log.String()+first.String())
		})
	}
}

// A token that ends when it should is no conflict.
func TestTokenNoConflict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{}
		c := newTestClient(t, w, nil)
		for i := range 5 {
			ping(c)
			time.Sleep(2*time.Hour - 2*time.Minute) // within WeChat's own renewal
			w.answer = refuses(42001, "token-"+string(rune('1'+i)))
			if err := ping(c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if s := c.Stats(); s.TokenConflicts != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestTokenFetchFails(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"busy": `{"errcode":-1,"errmsg":"system error"}`, "html": `<html>`, "empty": ``, "no token": `{"expires_in":7200}`, "no life": `{"access_token":"token-1"}`,
		"negative life": `{"access_token":"token-1","expires_in":-1}`, "a token with a line end": `{"access_token":"token-1\n","expires_in":7200}`,
		"too long": `{"access_token":"` + strings.Repeat("x", 5000) + `","expires_in":7200}`, "wrong type": `{"access_token":7,"expires_in":7200}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &wechat{token: func(n int) string {
				if n == 1 {
					return answer
				}
				return goodToken(n)
			}}
			c := newTestClient(t, w, nil)
			err := ping(c)
			if err == nil || OutcomeOf(err) == OutcomeUnknown || OutcomeOf(err) == OutcomeDone {
				t.Errorf("%s: the call was not made, and the outcome is %v (%v)", name, OutcomeOf(err), err)
			}
			noSecrets(t, err.Error())
			for range 10 { // no storm
				ping(c)
			}
			if n := w.fetched(); n != 1 {
				t.Errorf("%s: %d fetches within a second, want 1", name, n)
			}
			time.Sleep(time.Second)
			if err := ping(c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestTokenShortLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{token: func(n int) string { return `{"access_token":"token-` + itoa(n) + `","expires_in":1}` }}
		c := newTestClient(t, w, nil)
		for range 60 {
			if err := ping(c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := w.fetched(); n > 7 {
			t.Errorf("%d fetches in a minute, want one in 10 s at most", n)
		}
	})
}

func TestToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{}
		c := newTestClient(t, w, nil)
		token, err := c.Token(t.Context())
		if err != nil || !token.is("token-1") || time.Until(token.Expires) != 2*time.Hour {
			t.Errorf("got %q, %v, %v", token.Value.Reveal(), token.Expires, err)
		}
		if _, err := c.RenewToken(t.Context(), token.Value); err == nil {
			t.Error("there can be no other token a moment later")
		} else {
			noSecrets(t, err.Error())
		}
		time.Sleep(time.Minute)
		if token, err = c.RenewToken(t.Context(), token.Value); err != nil || !token.is("token-2") {
			t.Errorf("got %q, %v", token.Value.Reveal(), err)
		}
		if token, err = c.RenewToken(t.Context(), NewSecret("token-1")); err != nil || !token.is("token-2") {
			t.Errorf("got %q, %v", token.Value.Reveal(), err)
		}
		if n := w.fetched(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

package wxapi

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A refusal that only the owner can change is not asked for again for ten minutes. R-API-PROBE
func TestPauseAccount(t *testing.T) {
	t.Parallel()
	for code, text := range map[int]string{
		40001: "AppSecret", 40013: "AppID", 40125: "AppSecret", 40164: "whitelist", 40243: "frozen", 89503: "administrator", 12345: "not one of the known codes",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &wechat{token: func(n int) string {
				if n < 4 {
					return `{"errcode":` + itoa(code) + `,"errmsg":"invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist rid: 65f1a2b3-0123abcd-89abcdef"}`
				}
				return goodToken(n)
			}}
			c := newTestClient(t, w, nil)
			var wg sync.WaitGroup
			begin := time.Now()
			for range 16 {
				wg.Go(func() {
					for time.Since(begin) < 25*time.Minute {
						e, ok := errors.AsType[*Error](ping(c))
						if !ok || e.Code != code || !e.Final() || !e.Account() || e.Retry() || !strings.Contains(e.Error(), text) || !strings.Contains(e.Msg, "1.2.3.4") {
							t.Errorf("%d: got %v", code, e)
							return
						}
						time.Sleep(10 * time.Second)
					}
				})
			}
			wg.Wait()
			if n := w.fetched(); n != 3 || len(w.called()) != 0 {
				t.Errorf("%d: %d fetches in 25 minutes, want 3", code, n)
			}
			if s := c.Stats(); len(s.Paused) != 1 || time.Until(s.Paused[0].Until) > 10*time.Minute || s.Held == 0 {
				t.Errorf("%d: stats %+v", code, s)
			}
			c.Resume()
			if err := ping(c); err != nil || len(c.Stats().Paused) != 0 {
				t.Errorf("%d: after Resume: %v", code, err)
			}
		})
	}
}

// An API that the account may not use is not called again, but others are. R-API-PROBE
func TestPausePath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{}
		denied := true
		w.answer = func(r *http.Request, _ string) (int, http.Header, string) {
			if r.URL.Path == sendPath && denied {
				return 200, nil, `{"errcode":48001,"errmsg":"api unauthorized rid: 65f1a2b3-0123abcd-89abcdef"}`
			}
			return 200, nil, `{}`
		}
		c := newTestClient(t, w, nil)
		for i := range 21 * 60 {
			err := c.Send(t.Context(), testOpenID, textReply("hi"), nil)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != 48001 || e.Account() || e.Until.IsZero() != (i%600 == 0) || OutcomeOf(err) != OutcomeRefused {
				t.Fatalf("second %d: got %v", i, err)
			}
			if i%60 == 0 {
				if err := ping(c); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		if n := len(w.called()); n != 3+21 {
			t.Errorf("%d calls, want 3 that are refused and 21 others", n)
		}
		denied = false
		time.Sleep(10 * time.Minute)
		for range 3 {
			if err := c.Send(t.Context(), testOpenID, textReply("hi"), nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A probe that gets no answer says nothing, so the next call asks again.
func TestPauseProbeLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{token: func(n int) string {
			switch n {
			case 1:
				return `{"errcode":40164,"errmsg":"invalid ip"}`
			case 2:
				return `<html>bad gateway</html>`
			}
			return goodToken(n)
		}}
		c := newTestClient(t, w, nil)
		ping(c)
		time.Sleep(10 * time.Minute)
		if _, lost := errors.AsType[*TransportError](ping(c)); !lost {
			t.Fatal("the probe was not made")
		}
		time.Sleep(time.Second)
		if err := ping(c); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// When a pause of a path ends, one call asks and the others wait for what it finds out.
func TestPauseOneProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{answer: answers(`{"errcode":48001,"errmsg":"api unauthorized"}`)}
		c := newTestClient(t, slowly{w}, nil)
		ping(c)
		time.Sleep(10 * time.Minute)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if e, ok := errors.AsType[*Error](ping(c)); !ok || e.Code != 48001 {
					t.Errorf("got %v", e)
				}
			})
		}
		wg.Wait()
		if n := len(w.called()); n != 2 {
			t.Errorf("%d calls, want the first and one probe", n)
		}
	})
}

// A call that learns late that its token is bad does not ask for another while the account is paused.
func TestPauseLateRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{token: func(n int) string {
			if n > 1 {
				return `{"errcode":40125,"errmsg":"invalid appsecret"}`
			}
			return goodToken(n)
		}}
		c := newTestClient(t, w, nil)
		ping(c)
		time.Sleep(time.Minute)
		w.answer = func(r *http.Request, body string) (int, http.Header, string) {
			if r.URL.Path == "/slow" {
				time.Sleep(5 * time.Second)
			}
			return refuses(40001, "token-1")(r, body)
		}
		late := make(chan error)
		go func() { late <- c.Call(t.Context(), "GET", "/slow", nil, nil) }()
		synctest.Wait()
		ping(c)
		if e, ok := errors.AsType[*Error](<-late); !ok || e.Code != 40125 || w.fetched() != 2 {
			t.Errorf("got %v after %d fetches, want 2", e, w.fetched())
		}
	})
}

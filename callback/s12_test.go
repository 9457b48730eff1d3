package callback_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store/memory"
)

// Threat S12: 20,000 forged requests in a second, each of them another, beside good pushes. How fast they are
// refused is the matter of BenchmarkS12Refusal; here none of them has anything read, stored, started or kept,
// the log stays short, and every good push is answered at once.
func TestS12Flood(t *testing.T) {
	t.Parallel()
	const senders, each, good = 20, 1000, 100
	in2026(t, func(t *testing.T) {
		h := new(counted)
		a := account(callback.Safe, h)
		st := memory.New(memory.Config{})
		var out log
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: out.logger(slog.LevelInfo)})

		var all sync.WaitGroup
		for sender := range senders {
			all.Go(func() {
				for i := range each {
					time.Sleep(time.Second / each)
					id := sender*each + i
					q := url.Values{
						"timestamp": {fmt.Sprint(time.Now().Unix() + int64(i%7) - 3)}, "nonce": {fmt.Sprint(id)}, "encrypt_type": {"aes"},
						"signature": {fmt.Sprintf("%040x", id)}, "msg_signature": {fmt.Sprintf("%040x", id)}, "openid": {fmt.Sprint("oFlood", id)},
					}
					path := "/wx/" + a.Name
					switch i % 10 {
					case 0:
						path = fmt.Sprint("/wx/", id) // and there are many accounts that do not exist
					case 1:
						q.Set("nonce", "?")
					case 2:
						q.Set("timestamp", "1730000000")
					}
					r := httptest.NewRequest("POST", path+"?"+q.Encode(), untouchable{t})
					r.ContentLength = 1000
					r.RemoteAddr = fmt.Sprintf("198.51.%d.%d:1", id>>8&255, id&255)
					if g := do(s, r); g.status != 403 && g.status != 404 || g.body != "" || g.took != 0 {
						t.Errorf("%s: %v", r.URL, g)
						return
					}
				}
			})
		}
		for i := range good {
			time.Sleep(time.Second / good)
			if g := pack(a, textFrom(fmt.Sprint("oGood", i), time.Now().Unix(), "x")).send(s); g.status != 200 || g.took > 0 {
				t.Fatalf("good push %d: %v", i, g)
			}
		}
		all.Wait()
		if n := len(rows(t, st)); n != good || h.n.Load() != good {
			t.Errorf("%d rows and %d starts, want %d of each", n, h.n.Load(), good)
		}
		stats := s.Stats()
		refused := stats.UnknownPath
		for _, n := range stats.Refused[a.Name] {
			refused += n
		}
		if refused != senders*each || len(stats.Refused) != 1 {
			t.Errorf("%d refusals are counted, for %d accounts", refused, len(stats.Refused))
		}
		if n := strings.Count(out.String(), "\n"); n > 10 {
			t.Errorf("the log has %d lines", n)
		}
		if n := len(s.Refusals()); n > 10 {
			t.Errorf("%d refusals are kept", n)
		}
		time.Sleep(time.Minute) // what the good pushes have left behind is saved
		if stats := s.Stats(); stats.Waiting != 0 || stats.Running != 0 {
			t.Errorf("%d pushes are open and %d handlers run", stats.Waiting, stats.Running)
		}
	})
}

package callback_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store/memory"
)

// log collects lines of JSON.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: level}))
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *log) lines(t *testing.T) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	return lines
}

// Each account, reason and minute has one line, however many accounts take
// part in the noise, and every refusal is counted.
func TestRefusalsAreLoggedOncePerMinute(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		const accounts, rounds = 20, 10
		var out log
		var cfg callback.Config
		for i := range accounts {
			a := account(callback.Safe, new(counted))
			a.Name, a.AppID = fmt.Sprintf("a%d", i), fmt.Sprintf("wx%016d", i)
			cfg.Accounts = append(cfg.Accounts, a)
		}
		cfg.Logger = out.logger(slog.LevelInfo)
		s := start(t, cfg)
		refuse := func() {
			for _, a := range cfg.Accounts {
				for name, query := range forgedQueries(a) {
					w := wire{account: a.Name, body: "x"}
					r := w.request()
					r.URL.RawQuery = query
					if g := do(s, r); !g.is(403, "") {
						t.Errorf("%s: %v", name, g)
					}
				}
			}
		}
		const reasons = 4 // of the six queries, three are the same reason
		for minute := 1; minute <= 2; minute++ {
			for range rounds {
				refuse()
			}
			lines := out.lines(t)
			if len(lines) != minute*accounts*reasons {
				t.Fatalf("%d lines in minute %d, want %d", len(lines), minute, minute*accounts*reasons)
			}
			for _, line := range lines {
				hint, _ := line["hint"].(string)
				if line["level"] != "WARN" || line["account"] == "" || line["reason"] == "" || len(hint) < 20 {
					t.Fatalf("line %v", line)
				}
			}
			time.Sleep(time.Minute)
		}
		for name, reasons := range s.Stats().Refused {
			n := uint64(0)
			for _, count := range reasons {
				n += count
			}
			if n != 2*rounds*6 {
				t.Errorf("%s: %d refusals were counted, want %d", name, n, 2*rounds*6)
			}
		}
		list := s.Refusals()
		if len(list) == 0 || len(list) > 200 {
			t.Errorf("%d lines are kept", len(list))
		}
		for i, line := range list {
			if line.Hint == "" || line.Count < rounds {
				t.Errorf("line %+v", line)
			}
			if i > 0 && line.First.After(list[i-1].First) {
				t.Error("the youngest does not come first")
			}
		}
	})
}

// Neither secrets nor what users are and say is in the log, whatever happens.
func TestS28LogHasNoSecrets(t *testing.T) {
	t.Parallel()
	const (
		canaryToken = "zCanaryTokenOfThirtyTwoLetters00"
		canaryUser  = "oCanaryUser0000000000000001"
		canaryText  = "canary-content"
	)
	canaries := []string{canaryToken, testKey, canaryUser, canaryText, "signature=", "zCanaryPrevious"}
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				var out log
				a := account(mode, echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
					text, ok := m.(*echostr.TextMessage)
					if !ok {
						return nil, nil
					}
					what, _, _ := strings.Cut(text.Content, " ")
					switch what {
					case "panic":
						panic(text.Content)
					case "error":
						return nil, errors.New("it went wrong")
					case "invalid":
						return echostr.Image(""), nil
					case "long":
						return echostr.Text(strings.Repeat(text.Content, 1000)), nil
					case "empty":
						return echostr.Text("\x00"), nil
					case "hang":
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return echostr.Text(text.Content), nil
				}))
				a.Token = canaryToken
				a.PreviousToken, a.PreviousUntil = "zCanaryPreviousOfThirtyTwoLetter", time.Now().Add(time.Hour)
				a.HandlerTimeout = time.Second
				st := &faulty{Store: memory.New(memory.Config{})}
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: out.logger(slog.LevelInfo)})
				for _, what := range []string{"panic", "error", "invalid", "long", "empty", "hang", "echo"} {
					w := pack(a, textFrom(canaryUser, time.Now().Unix(), what+" "+canaryText))
					w.query.Set("openid", canaryUser)
					w.send(s)
				}
				for name, query := range forgedQueries(a) {
					w := pack(a, textFrom(canaryUser, time.Now().Unix(), canaryText))
					r := w.request()
					r.URL.RawQuery = query + "&openid=" + canaryUser
					if g := do(s, r); !g.is(403, "") {
						t.Errorf("%s: %v", name, g)
					}
				}
				w := pack(a, canaryText)
				w.body = strings.Repeat(canaryText, 100_000)
				w.send(s)
				w = pack(a, textFrom(canaryUser, time.Now().Unix(), canaryText))
				w.body = "{" + canaryText
				w.send(s)
				st.fail(before)
				pack(a, textFrom(canaryUser, time.Now().Unix(), canaryText)).sendCut(s)
				st.fail(works)
				if n := len(out.lines(t)); n < 8 {
					t.Errorf("only %d lines:\n%s", n, out.String())
				}
				for _, canary := range canaries {
					if strings.Contains(out.String(), canary) {
						t.Errorf("%q is in the log:\n%s", canary, out.String())
					}
				}
			})
		})
	}
}

// At debug level each message that was handled has one line, however often it was pushed.
func TestDebugLine(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		var out log
		a := account(callback.Safe, echostr.HandlerFunc(func(_ context.Context, m echostr.Message) (echostr.Reply, error) {
			time.Sleep(1500 * time.Millisecond)
			if _, ok := m.(*echostr.TextMessage); ok {
				return echostr.Text("canary-reply"), nil
			}
			return nil, nil
		}))
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: memory.New(memory.Config{}), Logger: out.logger(slog.LevelDebug)})
		w := pack(a, text("canary-content"))
		w.sendCut(s)
		w.sendCut(s)
		pack(a, event(testUser, "CLICK", "k")).sendCut(s)
		var got []map[string]any
		for _, line := range out.lines(t) {
			if line["msg"] == "message handled" {
				delete(line, "time")
				delete(line, "turn")
				got = append(got, line)
			}
		}
		line := func(more map[string]any) map[string]any {
			all := map[string]any{"level": "DEBUG", "msg": "message handled", "account": a.Name, "openid": testUser, "took": 1.5e9, "attempt": 1.0}
			maps.Copy(all, more)
			return all
		}
		want := []map[string]any{
			line(map[string]any{"msg_type": "text", "state": "answered"}),
			line(map[string]any{"msg_type": "event", "event": "CLICK", "state": "silent"}),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		for _, secret := range []string{"canary", a.Token, testKey, "signature"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, out.String())
			}
		}
	})
}

// A refusal says where it came from; and a request that only has the wrong URL is kept, too,
// unlike those of scanners.
func TestRefusalsSayWhere(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, new(counted))
		s, _ := one(t, a)
		ask := func(path, query string) {
			r := httptest.NewRequest("GET", path+"?"+query, nil)
			r.RemoteAddr = "203.0.113.7:1234"
			do(s, r)
		}
		signed := "echostr=1&" + signed(a, "", "1795334400", "1").Encode()
		ask("/wx/"+a.Name, strings.Replace(signed, "signature=", "signature=0", 1))
		ask("/wx/"+a.Name+"/", signed)
		ask("/"+strings.Repeat("%0a", 1000), signed)
		ask("/.env", "")
		ask("/.git/config", "signature=1")
		got := s.Refusals()
		for i := range got {
			if got[i].Hint == "" {
				t.Errorf("no hint in %+v", got[i])
			}
			got[i].Hint, got[i].First = "", time.Time{}
		}
		want := []callback.Refusal{
			{Reason: "unknown_path", Detail: "path /wx/" + a.Name + "/", Remote: "203.0.113.7", Count: 2},
			{Account: a.Name, Reason: "format", Remote: "203.0.113.7", Count: 1},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if n := s.Stats(); n.UnknownPath != 4 || len(n.Refused) != 1 {
			t.Errorf("%d unknown paths; refused: %v", n.UnknownPath, n.Refused)
		}
	})
}

package callback_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/pipenet"
	"github.com/echostr/echostr/simulator"
)

const (
	testAppID = "wxb11529c136998cb6"
	testToken = "zTestTokenOfThirtyTwoCharacters0"
	testKey   = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// in2026 runs f in a bubble whose clock stands in 2026, as a Unix time of ten
// digits needs, at a moment that is no full second.
func in2026(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 22, 8, 0, 0, int(300*time.Millisecond), time.UTC)))
		f(t)
	})
}

// world is a callback server and a WeChat that pushes to it, joined in memory.
type world struct {
	*callback.Server
	URL    string
	listen *pipenet.Listener
	http   *http.Server
}

// quiet is a logger for tests that provoke errors.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// serve starts a server with real net/http over connections in memory.
func serve(t *testing.T, cfg callback.Config) *world {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	s, err := callback.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Server: s, URL: "http://wechat.test/wx/" + cfg.Accounts[0].Name, listen: pipenet.Listen()}
	w.http = &http.Server{Handler: s, ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelError)}
	go w.http.Serve(w.listen)
	t.Cleanup(func() { w.stop(t) })
	return w
}

func (w *world) stop(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	w.http.Close()
	if err := w.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func (w *world) wechat(t *testing.T, a callback.Account, rules simulator.Rules) *simulator.WeChat {
	t.Helper()
	return newWeChat(t, a, rules, w.URL, w.listen.DialContext)
}

func newWeChat(t *testing.T, a callback.Account, rules simulator.Rules, url string, dial func(context.Context, string, string) (net.Conn, error)) *simulator.WeChat {
	t.Helper()
	wechat, err := simulator.New(simulator.Config{
		Account: simulator.Account{
			URL: url, Token: a.Token, Mode: simulator.Mode(a.Mode.String()), AppID: a.AppID, EncodingAESKey: a.EncodingAESKey,
		},
		Rules:       rules,
		DialContext: dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	return wechat
}

func account(mode callback.Mode, h echostr.Handler) callback.Account {
	a := callback.Account{Name: "demo", AppID: testAppID, Token: testToken, Mode: mode, Handler: h}
	if mode != callback.Plain {
		a.EncodingAESKey = testKey
	}
	return a
}

// witness is a handler that sleeps and counts its starts outside the server.
type witness struct {
	mu     sync.Mutex
	starts map[string]int // by message key
	sleep  time.Duration
	answer func(m echostr.Message) (echostr.Reply, error)
}

func newWitness(sleep time.Duration) *witness {
	return &witness{starts: make(map[string]int), sleep: sleep}
}

func (h *witness) Handle(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
	turn, ok := echostr.TurnFrom(ctx)
	if !ok {
		panic("no turn in the context")
	}
	h.mu.Lock()
	h.starts[turn.Key()]++
	sleep := h.sleep
	h.mu.Unlock()
	select {
	case <-time.After(sleep):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if h.answer != nil {
		return h.answer(m)
	}
	if text, ok := m.(*echostr.TextMessage); ok {
		return echostr.Text("re: " + text.Content), nil
	}
	return nil, nil
}

// setSleep changes how long it sleeps from the next start on.
func (h *witness) setSleep(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sleep = d
}

// total is the number of starts, and of messages that were started.
func (h *witness) total() (starts, messages int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.starts {
		starts += n
	}
	return starts, len(h.starts)
}

func send(t *testing.T, wechat *simulator.WeChat, m simulator.Message) *simulator.Report {
	t.Helper()
	r, err := wechat.Send(t.Context(), m)
	if err != nil {
		t.Fatalf("Send: %v", err)
	}
	return r
}

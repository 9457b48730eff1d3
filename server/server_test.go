package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/bots"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/pipenet"
	"github.com/echostr/echostr/simulator"
)

const (
	testToken = "z8Qw3rTy6UiOp1AsDf4GhJk7LzXc0Vb2"
	testKey   = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	testAppID = "wxb11529c136998cb6"
	testYAML  = `
store: memory:
accounts:
  - name: demo
    app_id: ` + testAppID + `
    token: ` + testToken + `
    encoding_aes_key: ` + testKey + `
    mode: plain
    bot: demo
`
)

func load(t *testing.T, yaml string) *Config {
	t.Helper()
	cfg, err := loadError(t, yaml)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func loadError(t *testing.T, yaml string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "echostr.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(file, nil)
}

// rig is a running server with its listeners in memory.
type rig struct {
	*Server
	pushes, admin *pipenet.Listener
	stop          context.CancelFunc
	ended         chan error
	log           *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T, cfg *Config, opts Options) *rig {
	t.Helper()
	r := &rig{pushes: pipenet.Listen(), admin: pipenet.Listen(), ended: make(chan error, 1), log: new(syncBuffer)}
	opts.Listener, opts.AdminListener = r.pushes, r.admin
	opts.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	if opts.TokenFile == "" {
		opts.TokenFile = filepath.Join(t.TempDir(), "token")
	}
	var err error
	if r.Server, err = New(cfg, &opts); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() { r.ended <- r.Run(ctx) }()
	return r
}

// end stops the server and waits for it.
func (r *rig) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func (r *rig) wechat(t *testing.T) *simulator.WeChat {
	t.Helper()
	w, err := simulator.New(simulator.Config{
		Account:     simulator.Account{URL: "http://pipe/wx/demo", Token: testToken, Mode: simulator.Plain},
		DialContext: r.pushes.DialContext,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// get asks the admin listener.
func (r *rig) get(t *testing.T, path string, header http.Header) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: r.admin.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
		if name == "Host" {
			req.Host = values[0]
		}
		if name == "Method" {
			req.Method = values[0]
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// bubble runs f at a present-day time, since timestamps have ten digits.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))
		f(t)
	})
}

func TestAnswersAndDrains(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		if status, body := r.get(t, "/readyz", nil); status != 200 {
			t.Errorf("/readyz: %d %s", status, body)
		}
		answered := make(chan *simulator.Report, 1)
		go func() {
			report, err := r.wechat(t).Send(t.Context(), simulator.Text("慢 3"))
			if err != nil {
				t.Error(err)
			}
			answered <- report
		}()
		time.Sleep(time.Second)
		begin := time.Now()
		r.stop()
		synctest.Wait()
		if status, body := r.get(t, "/readyz", nil); status != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
			t.Errorf("/readyz while draining: %d %s", status, body)
		}
		if status, _ := r.get(t, "/healthz", nil); status != 200 {
			t.Errorf("/healthz while draining: %d", status)
		}
		if report := <-answered; report.Verdict.Reply == nil || report.Verdict.Reply.Content != "等了 3 秒" || len(report.Pushes) != 1 {
			t.Errorf("the open push got %v", report)
		}
		if err := <-r.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		// Shutdown of net/http looks twice a second.
		if took := time.Since(begin); took < 2*time.Second || took > 3*time.Second {
			t.Errorf("draining took %v", took)
		}
	})
}

// A push that is held can be answered on WeChat's next one only, so the listener
// stays open until then. New messages are welcome meanwhile.
func TestDrainsAcrossPushes(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		send := func(text string) *simulator.Report {
			report, err := r.wechat(t).Send(t.Context(), simulator.Text(text))
			if err != nil {
				t.Error(err)
			}
			return report
		}
		slow := make(chan *simulator.Report, 1)
		go func() { slow <- send("慢 8") }()
		time.Sleep(2500 * time.Millisecond)
		r.stop()
		time.Sleep(time.Second)
		if report := send("你好"); report.Verdict.Reply == nil || report.Verdict.Reply.Content != "你好" {
			t.Errorf("a new message while draining: %v", report)
		}
		if report := <-slow; report.Verdict.Reply == nil || report.Verdict.Reply.Content != "等了 8 秒" || len(report.Pushes) != 2 {
			t.Errorf("the message that was under way: %v", report)
		}
		if err := <-r.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := r.pushes.DialContext(t.Context(), "", ""); err == nil {
			t.Error("a connection is accepted in the end")
		}
	})
}

// Options.Handler is what answers, whatever bot the configuration names.
func TestHandlerBeforeBot(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{Handler: echostr.HandlerFunc(func(context.Context, echostr.Message) (echostr.Reply, error) {
			return echostr.Text("mine"), nil
		})})
		report, err := r.wechat(t).Send(t.Context(), simulator.Text("x"))
		if err != nil || report.Verdict.Reply == nil || report.Verdict.Reply.Content != "mine" {
			t.Errorf("%v, %v", report, err)
		}
		r.end(t)
	})
}

func TestDrainsForTenSecondsAtMost(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		go func() { _, _ = r.wechat(t).Send(t.Context(), simulator.Text("慢 60")) }()
		time.Sleep(time.Second)
		begin := time.Now()
		r.end(t)
		if took := time.Since(begin); took < 8*time.Second || took > 10*time.Second {
			t.Errorf("draining took %v", took)
		}
		if !strings.Contains(r.log.String(), "not everything was finished") {
			t.Errorf("nothing about it in the log:\n%s", r.log)
		}
		time.Sleep(time.Minute) // the simulated WeChat gives up
	})
}

func TestFatalEndsTheProcess(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		cause := errors.New("too many handlers hang")
		r.fatal <- cause
		if err := <-r.ended; !errors.Is(err, ErrFatal) || !errors.Is(err, cause) {
			t.Errorf("Run: %v", err)
		}
		r.stop()
	})
}

func TestFailedListenerEndsTheProcess(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		synctest.Wait()
		r.pushes.Close()
		if err := <-r.ended; err == nil || errors.Is(err, ErrFatal) {
			t.Errorf("Run: %v", err)
		}
		r.stop()
	})
}

// S11: slow and greedy clients are shut out.
func TestS11SlowClients(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	tests := []struct {
		name, send string
		closed     time.Duration // 0: an answer comes first
		answer     string
	}{
		{"half a header", "GET /wx/demo HTTP/1.1\r\nHost: x\r\nA: ", 3 * time.Second, ""},
		{"nothing", "", 3 * time.Second, ""},
		{"idle after an answer", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 30 * time.Second, "404"},
		{"a huge header", "GET /wx/demo HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 16<<10), 0, "431"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := start(t, cfg, Options{})
				defer r.end(t)
				conn, err := r.pushes.DialContext(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				// In virtual time a server that keeps it would keep it for ever.
				defer time.AfterFunc(time.Minute, func() { conn.Close() }).Stop()
				begin := time.Now()
				go func() { _, _ = io.WriteString(conn, tt.send) }()
				text, _ := io.ReadAll(conn)
				took := time.Since(begin)
				if took < tt.closed || took > tt.closed+600*time.Millisecond {
					t.Errorf("closed after %v, want %v", took, tt.closed)
				}
				if !strings.Contains(string(text), tt.answer) {
					t.Errorf("the answer is %q", text)
				}
			})
		})
	}
}

// S19, S30: nothing but the callback answers where WeChat pushes.
func TestS19OnlyTheCallbackAnswers(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		defer r.end(t)
		client := http.Client{Transport: &http.Transport{DialContext: r.pushes.DialContext, DisableKeepAlives: true}}
		for path, want := range map[string]int{
			"/": 404, "/healthz": 404, "/readyz": 404, "/metrics": 404, "/api/v1/turns": 404, "/debug/pprof/": 404,
			"/wx/": 404, "/wx/other": 404, "/wx/demo/": 404, "/wx/demo": 400, "/simulator": 404, "/phone": 404,
		} {
			resp, err := client.Get("http://pipe" + path)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want || len(body) > 0 {
				t.Errorf("%s: %d %q, want %d and no body", path, resp.StatusCode, body, want)
			}
		}
	})
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	cfg := load(t, fmt.Sprintf(`
on_unsubscribe: keep
accounts:
  - name: shop
    app_id: %s
    token: %s
    encoding_aes_key: %s
    mode: safe
    verified: true
    app_secret: appsecret
    late: hold
    on_unknown: drop
    placeholder: 请等 {link}
    fetch_word: 取
    ticket_life: 2h
    hold_budget: 7
    overlap: cancel
    markdown: true
    remove_thinking: true
    original_id: gh_0123456789ab
    previous_token: z8Qw3rTy6UiOp1AsDf4GhJk7LzXc0Vb3
    previous_encoding_aes_key: bbcdefghijklmnopqrstuvwxyz0123456789ABCDEFG
    previous_until: %s
    handler_timeout: 90s
    freshness: 7m
    body_limit: 64KiB
    allow_weak_token: true
    once: true
    bind_signature: true
    fallback: 请稍后
`, testAppID, testToken, testKey, until.Format(time.RFC3339)))
	mine := echostr.NewRouter()
	s := &Server{cfg: cfg, opts: Options{Handler: mine}}
	if err := s.makeParts(); err != nil {
		t.Fatal(err)
	}
	want := callback.Account{
		Name: "shop", AppID: testAppID, Token: testToken, EncodingAESKey: testKey, Mode: callback.Safe,
		API: customerService{s.clients["shop"], "shop", nil}, Late: callback.LateHold, DropUnknown: true, Placeholder: "请等 {link}", FetchWord: "取",
		TicketLife: 2 * time.Hour, HoldBudget: 7, Overlap: callback.Cancel, Markdown: true, RemoveThinking: true,
		Handler: mine, OriginalID: "gh_0123456789ab", PreviousToken: "z8Qw3rTy6UiOp1AsDf4GhJk7LzXc0Vb3",
		PreviousEncodingAESKey: "bbcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", PreviousUntil: until,
		HandlerTimeout: 90 * time.Second, Freshness: 7 * time.Minute, BodyLimit: 64 << 10,
		AllowWeakToken: true, Once: true, BindSignature: true, Fallback: "请稍后", KeepUnsubscribed: true,
	}
	same := cmp.Options{cmp.Comparer(func(a, b *echostr.Router) bool { return a == b }), cmp.Comparer(func(a, b customerService) bool { return a == b })}
	if diff := cmp.Diff([]callback.Account{want}, s.parts[0].accounts(), same); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[config.Late]callback.Late{"": 0, "api": callback.LateAPI, "hold": callback.LateHold, "ticket": callback.LateTicket} {
		if got := late(in); got != want {
			t.Errorf("late %q: %v", in, got)
		}
	}
	for in, want := range map[config.Overlap]callback.Overlap{"": callback.Parallel, "parallel": callback.Parallel, "queue": callback.Queue, "cancel": callback.Cancel} {
		if got := overlap(in); got != want {
			t.Errorf("overlap %q: %v", in, got)
		}
	}
}

func TestAIAccount(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	cfg := load(t, strings.Replace(testYAML, "bot: demo", `bot: ai
    remove_thinking: false
    ai: {base_url: "http://127.0.0.1:11434/v1", model: qwen3, api_key: k, system_prompt: 简短, memory_turns: 0, memory_life: 1h, max_tokens: 9, timeout: 2m}`, 1))
	want := bots.AIConfig{
		BaseURL: "http://127.0.0.1:11434/v1", Model: "qwen3", APIKey: config.NewSecret("k"), SystemPrompt: "简短", MemoryTurns: -1,
		MemoryLife: time.Hour, MaxTokens: 9, Timeout: 2 * time.Minute, KeepThinking: true, Logger: logger,
	}
	got := aiConfig(&cfg.Accounts[0], logger)
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *slog.Logger) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	cfg.Accounts[0].AI.MemoryTurns, cfg.Accounts[0].RemoveThinking = 7, true
	if got := aiConfig(&cfg.Accounts[0], logger); got.MemoryTurns != 7 || got.KeepThinking {
		t.Errorf("%+v", got)
	}
	s := &Server{cfg: cfg, logger: logger}
	if err := s.makeParts(); err != nil {
		t.Fatal(err)
	}
	if a := s.parts[0].accounts()[0]; a.Handler == nil || !a.Markdown || !a.RemoveThinking {
		t.Errorf("%+v", a)
	}
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	cfg := config.Development()
	cfg.Accounts[0].Token = config.NewSecret("x")
	if _, err := New(cfg, &Options{TokenFile: filepath.Join(t.TempDir(), "token")}); !errors.Is(err, ErrConfig) {
		t.Errorf("a short token: %v", err)
	}
	// What config lets pass and callback does not is wrong configuration, too.
	cfg = config.Development()
	cfg.Accounts[0].Mode = config.Safe
	cfg.Accounts[0].EncodingAESKey = config.NewSecret(strings.Repeat("A", 42))
	if _, err := New(cfg, &Options{TokenFile: filepath.Join(t.TempDir(), "token")}); !errors.Is(err, ErrConfig) {
		t.Errorf("a bad key: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	cfg := load(t, "retention: {bodies: 240h}\n"+strings.Replace(testYAML, "    bot: demo\n", "", 1))
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		r.end(t)
		for _, want := range []string{"retention.bodies has no effect", "no bot is named", "kept in memory"} {
			if !strings.Contains(r.log.String(), want) {
				t.Errorf("%q is not in the log:\n%s", want, r.log)
			}
		}
	})
}

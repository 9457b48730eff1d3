package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/wxapi"
)

const (
	testSecret = "canaryappsecret00000000000000000"
	apiYAML    = `
api_base_url: http://127.0.0.1:8090
serve_token: true
` + testYAML + `    app_secret: ` + testSecret + `
    verified: true
`
)

// roundTrip is a transport that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody // as for a handler
	}
	defer r.Body.Close()
	return f(r)
}

func answer(status int, text string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text))}, nil
}

// refusing is WeChat that gives a token and refuses every call with a code, in words that quote what it was given.
func refusing(code int) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "token") {
			return answer(200, `{"access_token":"canarytoken","expires_in":7200}`)
		}
		return answer(200, fmt.Sprintf(`{"errcode":%d,"errmsg":"refused canarycontent of oCanary rid: 65f1a2b3-0123abcd-89abcdef"}`, code))
	}
}

// service is the customer-service API of an account whose calls go to transport.
func service(t *testing.T, transport http.RoundTripper) callback.API {
	t.Helper()
	return loggedService(t, transport, slog.New(slog.DiscardHandler))
}

func loggedService(t *testing.T, transport http.RoundTripper, logger *slog.Logger) callback.API {
	t.Helper()
	s := &Server{cfg: load(t, apiYAML), logger: logger, opts: Options{transport: transport}}
	if err := s.makeParts(); err != nil {
		t.Fatal(err)
	}
	return s.customerService(&s.cfg.Accounts[0])
}

// noCanaries fails if a text has what belongs into no log.
func noCanaries(t *testing.T, what, text string) {
	t.Helper()
	if strings.Contains(strings.ToLower(text), "canary") {
		t.Errorf("%s tells too much: %s", what, text)
	}
}

// The codes are those of customer-service messages and of every call. R-API-ERRCODE R-API-SEND
func TestFates(t *testing.T) {
	t.Parallel()
	const later, owner = callback.SendLater, 10 * time.Minute
	tests := map[int]callback.Sending{
		0: {Fate: callback.SendDone},

		// The user has to act, or the message cannot be sent this way.
		45015: {Fate: callback.SendRefused}, 45047: {Fate: callback.SendRefused}, 10706: {Fate: callback.SendRefused},
		10703: {Fate: callback.SendRefused}, 48002: {Fate: callback.SendRefused}, 43101: {Fate: callback.SendRefused},
		40003: {Fate: callback.SendRefused}, 46004: {Fate: callback.SendRefused}, 50002: {Fate: callback.SendRefused},
		48001: {Fate: callback.SendRefused}, 48004: {Fate: callback.SendRefused}, 48008: {Fate: callback.SendRefused},
		45002: {Fate: callback.SendRefused}, 44004: {Fate: callback.SendRefused}, 45008: {Fate: callback.SendRefused},
		40007: {Fate: callback.SendRefused}, 40200: {Fate: callback.SendRefused}, 40033: {Fate: callback.SendRefused},
		47001: {Fate: callback.SendRefused}, 99999: {Fate: callback.SendRefused},

		// The user is gone.
		43004: {Fate: callback.SendGone}, 50005: {Fate: callback.SendGone}, 10700: {Fate: callback.SendGone},
		43019: {Fate: callback.SendGone}, 62751: {Fate: callback.SendGone},

		// It may be sent later, and some of it holds up the whole account.
		-1: {Fate: later, After: time.Second}, 61450: {Fate: later, After: time.Second},
		45011: {Fate: later, After: time.Minute, Account: true}, 45009: {Fate: later, After: 10 * time.Minute, Account: true},
		40001: {Fate: later, After: 10 * time.Second, Account: true}, 40014: {Fate: later, After: 10 * time.Second, Account: true},
		42001: {Fate: later, After: 10 * time.Second, Account: true},
		40125: {Fate: later, After: owner, Account: true}, 40164: {Fate: later, After: owner, Account: true}, 40243: {Fate: later, After: owner, Account: true},
		89503: {Fate: later, After: owner, Account: true}, 89506: {Fate: later, After: owner, Account: true}, 89507: {Fate: later, After: owner, Account: true},
	}
	for code, want := range tests {
		got := service(t, refusing(code)).Send(t.Context(), "oCanary", echostr.Text("canarycontent"))
		text := got.Reason
		if got.Reason = ""; got != want {
			t.Errorf("%d: %+v, want %+v", code, got, want)
		}
		if code == 0 {
			continue
		}
		if !strings.Contains(text, fmt.Sprint(code)) || !strings.Contains(text, "65f1a2b3-0123abcd-89abcdef") || strings.ContainsAny(text, "\r\n") || strings.Contains(text, "wxapi") {
			t.Errorf("%d: the reason is %q, which should have the code and the rid", code, text)
		}
		if !want.Account { // else it has WeChat's words, which name an address
			noCanaries(t, fmt.Sprint(code), text)
		}
	}
}

// What went wrong before or after WeChat has said something.
func TestFatesOfTransport(t *testing.T) {
	t.Parallel()
	token := func(then roundTrip) roundTrip {
		return func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "token") {
				return answer(200, `{"access_token":"canarytoken","expires_in":7200}`)
			}
			return then(r)
		}
	}
	dead := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }}
	ended, end := context.WithCancel(t.Context())
	end()
	text := echostr.Text("canarycontent")
	article := echostr.Article{Title: "a", URL: "https://example.com"}
	tests := []struct {
		name      string
		ctx       context.Context
		transport http.RoundTripper
		reply     echostr.Reply
		want      callback.Sending
		reason    string
	}{
		{"no network", t.Context(), dead, text, callback.Sending{Fate: callback.SendLater}, "nothing was sent"},
		{"the context had ended", ended, token(nil), text, callback.Sending{Fate: callback.SendLater}, "canceled"},
		{"the token is refused", t.Context(), roundTrip(func(*http.Request) (*http.Response, error) {
			return answer(200, `{"errcode":40001,"errmsg":"invalid credential"}`)
		}), text, callback.Sending{Fate: callback.SendLater, Account: true, After: 10 * time.Minute}, "AppSecret"},
		{"the token cannot be read", t.Context(), roundTrip(func(*http.Request) (*http.Response, error) {
			return answer(200, `<html>`)
		}), text, callback.Sending{Fate: callback.SendLater}, ""},
		{
			"the answer is lost", t.Context(), token(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }), text,
			callback.Sending{Fate: callback.SendUnknown},
			"not known",
		},
		{
			"a gateway answers", t.Context(), token(func(*http.Request) (*http.Response, error) { return answer(502, "<html>canary") }), text,
			callback.Sending{Fate: callback.SendUnknown},
			"502",
		},
		{"too many articles", t.Context(), token(nil), echostr.News(article, article), callback.Sending{Fate: callback.SendRefused}, "2 articles"},
		{"a transfer", t.Context(), token(nil), echostr.TransferReply{}, callback.Sending{Fate: callback.SendRefused}, "only be a passive reply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := service(t, tt.transport).Send(tt.ctx, "oCanary", tt.reply)
			text := got.Reason
			if got.Reason = ""; got != tt.want || !strings.Contains(text, tt.reason) || text == "" {
				t.Errorf("%+v %q, want %+v %q", got, text, tt.want, tt.reason)
			}
			noCanaries(t, "the reason", text)
		})
	}
}

// What is held back after a refusal that only the owner can change waits as long as the client does. R-API-PROBE
func TestFateOfPaused(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var calls int
		var log syncBuffer
		api := loggedService(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			calls++
			return refusing(40164)(r)
		}), slog.New(slog.NewTextHandler(&log, nil)))
		send := func() callback.Sending { return api.Send(t.Context(), "oCanary", echostr.Text("x")) }
		first := send()
		before := calls
		time.Sleep(4 * time.Minute)
		second := send()
		if first.After != 10*time.Minute || second.After != 6*time.Minute || !second.Account || second.Fate != callback.SendLater || calls != before {
			t.Errorf("%+v, then %+v after %d calls, and %d", first, second, before, calls)
		}
		time.Sleep(second.After)
		if send(); calls == before {
			t.Error("WeChat is not asked again when the time has come")
		}
		if text := log.String(); strings.Count(text, "level=ERROR") != 2 || strings.Count(text, "\n") != 2 || !strings.Contains(text, "account=demo") || !strings.Contains(text, "40164") {
			t.Errorf("the two refusals are to be logged, and not what was kept back:\n%s", text)
		}
	})
}

func TestTyping(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 45081} {
		if err := service(t, refusing(code)).Typing(t.Context(), "oCanary"); err != nil {
			t.Errorf("%d: %v", code, err)
		}
	}
	err := service(t, refusing(45080)).Typing(t.Context(), "oCanary")
	if e, ok := errors.AsType[*wxapi.Error](err); !ok || e.Code != 45080 {
		t.Errorf("45080: %v", err)
	}
	noCanaries(t, "the error", fmt.Sprint(err))
}

// Who has which API: with an AppSecret there are tokens, and with verification customer-service messages.
func TestClients(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		keys            string
		client, service bool
	}{
		{"", false, false},
		{"    app_secret: s\n", true, false},
		{"    app_secret: s\n    verified: true\n", true, true},
		{"    verified: true\n    late: ticket\n", false, false},
		{"    app_secret: s\n    verified: true\n    late: ticket\n", true, true}, // for Say and Typing
	} {
		s := &Server{cfg: load(t, testYAML+tt.keys), logger: slog.New(slog.DiscardHandler)}
		if err := s.makeParts(); err != nil {
			t.Fatal(err)
		}
		if got := s.clients["demo"] != nil; got != tt.client {
			t.Errorf("%q: a client %v", tt.keys, got)
		}
		if got := s.parts[0].accounts()[0].API; (got != nil) != tt.service {
			t.Errorf("%q: the API %v", tt.keys, got)
		}
	}
}

// TestTokenKind: the client asks where the configuration says, in the way that it says.
func TestTokenKind(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"":                      "POST https://api.weixin.qq.com/cgi-bin/stable_token",
		"    token_kind: plain": "GET https://api.weixin.qq.com/cgi-bin/token",
	} {
		var got string
		s := &Server{cfg: load(t, testYAML+"    app_secret: s\n"+kind), logger: slog.New(slog.DiscardHandler), opts: Options{transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			got = r.Method + " " + r.URL.Scheme + "://" + r.URL.Host + r.URL.Path
			return answer(200, `{"access_token":"t","expires_in":7200}`)
		})}}
		if err := s.makeParts(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.clients["demo"].Token(t.Context()); err != nil || got != want {
			t.Errorf("%q: %s %v, want %s", kind, got, err, want)
		}
	}
}

// world is a server and the simulated WeChat that it talks to, both ways.
type world struct {
	*rig
	platform *simulator.Platform
	official *simulator.Official
	user     *simulator.User
}

// newWorld starts a server with apiYAML, or the configuration that is given, and WeChat beside it. Call it in a bubble.
func newWorld(t *testing.T, cfg *Config, opts Options) *world {
	t.Helper()
	w := new(world)
	opts.transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		answer := httptest.NewRecorder()
		w.platform.API().ServeHTTP(answer, r)
		return answer.Result(), r.Context().Err()
	})
	w.rig = start(t, cfg, opts)
	w.platform = simulator.NewPlatform(simulator.PlatformConfig{DialContext: w.pushes.DialContext})
	a := &cfg.Accounts[0]
	kind := simulator.Subscription
	if a.Verified {
		kind = simulator.Service
	}
	var err error
	w.official, err = w.platform.Add(simulator.OfficialConfig{
		Account: simulator.Account{URL: "http://pipe/wx/demo", Token: testToken, Mode: simulator.Plain, AppID: testAppID},
		Kind:    kind, Verified: a.Verified, AppSecret: testSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.user = w.official.AddFollower("小明")
	return w
}

// token asks the admin listener for the token of an account.
func (r *rig) askToken(t *testing.T, account string) (status int, token string, seconds int, text string) {
	t.Helper()
	status, text = r.get(t, "/api/v1/token/"+account, http.Header{"Authorization": {"Bearer " + r.token}})
	var got struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Errorf("%v in %s", err, text)
	}
	return status, got.AccessToken, got.ExpiresIn, text
}

// fetches counts how often WeChat was asked for a token.
func (w *world) fetches() (n int) {
	for _, c := range w.platform.APICalls() {
		if strings.HasSuffix(c.Path, "token") {
			n++
		}
	}
	return n
}

func TestServeToken(t *testing.T) {
	t.Parallel()
	cfg := load(t, apiYAML+`
  - name: other
    app_id: wxb11529c136998cb7
    token: a`+testToken[1:]+`
    mode: plain
    bot: demo
`)
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cfg, Options{})
		defer w.end(t)
		if status, body := w.get(t, "/api/v1/token/demo", nil); status != 401 || w.fetches() != 0 {
			t.Errorf("without the token of the API: %d %s", status, body)
		}
		for account, want := range map[string]string{"none": "no account", "other": "app_secret"} {
			if status, _, _, body := w.askToken(t, account); status != 404 || !strings.Contains(body, want) {
				t.Errorf("%s: %d %s, want 404 and %q", account, status, body, want)
			}
		}

		// Two callers while WeChat is slow: one fetch.
		if err := w.platform.SetFaults(simulator.Fault{Path: "stable_token", Latency: time.Second, Times: 1}); err != nil {
			t.Fatal(err)
		}
		type given struct {
			token   string
			seconds int
		}
		both := make(chan given, 2)
		for range 2 {
			go func() {
				status, token, seconds, body := w.askToken(t, "demo")
				if status != 200 {
					t.Errorf("%d %s", status, body)
				}
				both <- given{token, seconds}
			}()
		}
		first, second := <-both, <-both
		if first.token == "" || first != second || w.fetches() != 1 || first.seconds != 7199 {
			t.Errorf("%d fetches for %+v and %+v", w.fetches(), first, second)
		}
		noCanaries(t, "the log", w.log.String())
		if strings.Contains(w.log.String(), first.token) {
			t.Error("the token is in the log")
		}

		// It is good, and the server itself uses the same.
		if err := w.clients["demo"].Call(t.Context(), http.MethodGet, "/cgi-bin/getcallbackip", nil, nil); err != nil || w.fetches() != 1 {
			t.Errorf("a call of our own: %v after %d fetches", err, w.fetches())
		}
		// Before its end there is another.
		time.Sleep(2 * time.Hour)
		if _, token, seconds, _ := w.askToken(t, "demo"); token == "" || token == first.token || seconds != 7200 || w.fetches() != 2 {
			t.Errorf("after two hours: %s for %d s, %d fetches", token, seconds, w.fetches())
		}
	})
}

func TestServeTokenFailures(t *testing.T) {
	t.Parallel()
	cfg := load(t, apiYAML)
	for _, tt := range []struct {
		fault string
		want  int
		text  string
	}{
		{"stable_token=40125", 502, "AppSecret"},
		{"stable_token=40164", 502, "not in whitelist"},
		{"stable_token=-1", 502, "busy"},
		{"stable_token=html", 503, "502 Bad Gateway"},
		{"stable_token=30s", 503, "deadline exceeded"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cfg, Options{})
				defer w.end(t)
				fault, err := simulator.ParseFault(tt.fault)
				if err != nil {
					t.Fatal(err)
				}
				if err := w.platform.SetFaults(fault); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				status, token, _, body := w.askToken(t, "demo")
				if status != tt.want || token != "" || !strings.Contains(body, tt.text) || time.Since(begin) > 10*time.Second {
					t.Errorf("%d %s after %v, want %d and %q", status, body, time.Since(begin), tt.want, tt.text)
				}
				noCanaries(t, "the answer", body)
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestTokensAreNotServedByDefault(t *testing.T) {
	t.Parallel()
	cfg := load(t, strings.Replace(apiYAML, "serve_token: true", "", 1))
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cfg, Options{})
		defer w.end(t)
		if status, _, _, body := w.askToken(t, "demo"); status != 404 || !strings.Contains(body, "serve_token: true") || w.fetches() != 0 {
			t.Errorf("%d %s", status, body)
		}
	})
}

// TestOverSockets is the way of a customer-service message and of a token with nothing in memory.
func TestOverSockets(t *testing.T) {
	t.Parallel()
	platform := simulator.NewPlatform(simulator.PlatformConfig{})
	api := httptest.NewServer(platform.API())
	defer api.Close()
	cfg := load(t, strings.NewReplacer("http://127.0.0.1:8090", api.URL, "store: memory:", "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstore: memory:").Replace(apiYAML))
	srv, err := New(cfg, &Options{TokenFile: filepath.Join(t.TempDir(), "token"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	official, err := platform.Add(simulator.OfficialConfig{
		Account: simulator.Account{URL: "http://" + srv.Addr().String() + "/wx/demo", Token: testToken, Mode: simulator.Plain, AppID: testAppID},
		Kind:    simulator.Service, Verified: true, AppSecret: testSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	user := official.AddFollower("小明")
	if report, err := user.Say(t.Context(), "你好"); err != nil || report.Verdict.Reply == nil {
		t.Fatalf("%v %v", report, err)
	}
	service := srv.customerService(&cfg.Accounts[0])
	if got := service.Send(t.Context(), user.OpenID(), echostr.Text("晚到的回复")); got.Fate != callback.SendDone {
		t.Errorf("%+v", got)
	}
	if err := service.Typing(t.Context(), user.OpenID()); err != nil || !user.Typing() {
		t.Errorf("typing: %v", err)
	}
	chat := user.Chat()
	if last := chat[len(chat)-1]; last.Text != "晚到的回复" {
		t.Errorf("the user reads %+v", last)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+srv.AdminAddr().String()+"/api/v1/token/demo", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+srv.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-store" || !strings.Contains(string(body), `"access_token":"`) {
		t.Errorf("%d %s %v", resp.StatusCode, body, err)
	}
}

// texts are what the account has said to the user, by the ways it came.
func (w *world) texts() (texts []string) {
	for _, b := range w.user.Chat() {
		if b.From == simulator.FromAccount {
			texts = append(texts, string(b.Way)+" "+b.Text)
		}
	}
	return texts
}

// A late answer goes out by the way that the configuration names.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, yaml, say string
		want            []string
	}{
		{"by the API", apiYAML, "慢 20", []string{"api 等了 20 秒"}},
		{"by a retry, as held", apiYAML + "    late: hold\n", "慢 8", []string{"passive 等了 8 秒"}},
		{"by the API after the last push", apiYAML + "    late: hold\n", "慢 20", []string{"api 等了 20 秒"}},
		{"by a retry of an unverified account", testYAML, "慢 8", []string{"passive 等了 8 秒"}},
		{"by a ticket", testYAML + "    placeholder: 请等 {link}\n", "慢 20", []string{"passive 请等 "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := load(t, tt.yaml)
			bubble(t, func(t *testing.T) {
				w := newWorld(t, cfg, Options{})
				defer w.end(t)
				if _, err := w.user.Say(t.Context(), tt.say); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				got := w.texts()
				if len(got) == 1 && strings.HasPrefix(got[0], tt.want[0]) {
					got[0] = tt.want[0] // a placeholder ends in the link
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got)\n%s\n%s", diff, w.log)
				}
			})
		})
	}
}

// What the API tells of a ticket.
func TestTurnOfTicket(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		w := newWorld(t, cfg, Options{})
		defer w.end(t)
		if _, err := w.user.Say(t.Context(), "慢 20"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		client := &Client{Address: "localhost", Token: w.token, DialContext: w.admin.DialContext}
		list, err := client.Turns(t.Context(), TurnFilter{})
		if err != nil || len(list) != 1 {
			t.Fatalf("%v %v", list, err)
		}
		turn, err := client.Turn(t.Context(), list[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		if turn.Delivery != "ticket" || turn.Code == "" || turn.Due.IsZero() || !strings.Contains(turn.Placeholder, turn.Code) || turn.Pages != 1 {
			t.Errorf("%+v", turn)
		}
		if list[0].Placeholder != "" || list[0].Code != turn.Code {
			t.Errorf("the list has %+v", list[0])
		}
	})
}

package wxapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/echostr/echostr"
)

func itoa(n int) string { return fmt.Sprint(n) }

func textReply(s string) echostr.Reply { return echostr.Text(s) }

func TestErrorClasses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code  int
		path  string
		want  string
		after time.Duration
	}{
		{-1, sendPath, "retry", time.Second},
		{61450, sendPath, "retry", time.Second},
		{45009, sendPath, "retry", 10 * time.Minute},
		{45011, sendPath, "retry", time.Minute},
		{40001, sendPath, "retry", 10 * time.Second},
		{40001, stableTokenPath, "account", 0},
		{40014, sendPath, "retry", 10 * time.Second},
		{42001, sendPath, "retry", 10 * time.Second},
		{-1, plainTokenPath, "retry", time.Second},
		{45009, plainTokenPath, "retry", 10 * time.Minute},
		{40013, plainTokenPath, "account", 0},
		{40013, sendPath, "final", 0},
		{40125, sendPath, "account", 0},
		{40164, sendPath, "account", 0},
		{40243, sendPath, "account", 0},
		{48001, sendPath, "final", 0},
		{40003, sendPath, "final", 0},
		{45015, sendPath, "user", 0},
		{45047, sendPath, "user", 0},
		{43004, sendPath, "user", 0},
		{48002, sendPath, "user", 0},
		{10706, sendPath, "user", 0},
		{999999, sendPath, "final", 0}, // not known
	} {
		e := newError(tt.path, tt.code, "x")
		n := 0
		for _, is := range []bool{e.Retry(), e.UserMustAct(), e.Final()} {
			if is {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d at %s is %d of Retry, UserMustAct and Final", tt.code, tt.path, n)
		}
		got := map[bool]string{e.Retry(): "retry", e.UserMustAct(): "user", e.Final(): "final", e.Account(): "account"}[true]
		if got != tt.want || e.After() != tt.after {
			t.Errorf("%d at %s is %s after %v, want %s after %v", tt.code, tt.path, got, e.After(), tt.want, tt.after)
		}
	}
}

// Each known code has words in both languages, and its error is one sentence with the next step.
func TestCodes(t *testing.T) {
	t.Parallel()
	if len(codes) < 120 {
		t.Fatalf("only %d codes", len(codes))
	}
	for n, k := range codes {
		han := strings.ContainsFunc(k.chinese, func(r rune) bool { return unicode.Is(unicode.Han, r) })
		if k.what == "" || k.next == "" || !han || strings.ContainsAny(k.what+k.next, ".;") && !strings.Contains(k.what+k.next, "../") {
			t.Errorf("%d: %+v", n, k)
		}
		if text := newError(sendPath, n, "").Error(); !strings.HasPrefix(text, "wxapi: "+sendPath+" was refused with "+itoa(n)+", ") || strings.ContainsAny(text, "\n") {
			t.Errorf("%d: %s", n, text)
		}
	}
}

func TestErrorMessage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, msg, rid string }{
		{"invalid credential, access_token is invalid or not latest rid: 65f1a2b3-0123abcd-89abcdef", "invalid credential, access_token is invalid or not latest", "65f1a2b3-0123abcd-89abcdef"},
		{"invalid ip 1.2.3.4, not in whitelist, rid: 65f1-01-89", "invalid ip 1.2.3.4, not in whitelist", "65f1-01-89"},
		{"api unauthorized hint: [abc123] rid: 65f1-01-89 more", "api unauthorized hint: [abc123] more", "65f1-01-89"},
		{"system error hint: [abcdef]", "system error hint: [abcdef]", ""},
		{"a\nb\x1b[31mc\u202ed", "a b [31mc d", ""},
		{"", "", ""},
		{strings.Repeat("错", 1000), strings.Repeat("错", 170), ""},
	} {
		e := newError(sendPath, -1, tt.in)
		if e.Msg != tt.msg || e.RID != tt.rid {
			t.Errorf("%q became %q and %q", tt.in, e.Msg, e.RID)
		}
	}
	e := newError(sendPath, 45047, "out of response count limit rid: 65f1-01-89")
	want := "wxapi: /cgi-bin/message/custom/send was refused with 45047, as many messages were sent as the user's last action allows (客服接口下行条数超过上限); " +
		"keep the answer until the user writes again [out of response count limit; rid 65f1-01-89]"
	if e.Error() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want Outcome
	}{
		{nil, OutcomeDone},
		{newError(sendPath, 45015, ""), OutcomeRefused},
		{fmt.Errorf("send: %w", newError(sendPath, -1, "")), OutcomeRefused},
		{fmt.Errorf("%w: empty", ErrInvalid), OutcomeRefused},
		{&TransportError{Sent: true, Err: context.DeadlineExceeded}, OutcomeUnknown},
		{fmt.Errorf("send: %w", &TransportError{Sent: true, Status: 502, Err: errors.New("html")}), OutcomeUnknown},
		{&TransportError{Err: context.DeadlineExceeded}, OutcomeNotSent},
		{errors.New("of somebody else"), OutcomeNotSent},
	} {
		if got := OutcomeOf(tt.err); got != tt.want {
			t.Errorf("%v is %v, want %v", tt.err, got, tt.want)
		}
	}
}

// Whatever prints a secret, or something that holds one, prints ***. R-API-SECRET
func TestS28SecretsHidden(t *testing.T) {
	t.Parallel()
	config := Config{AppID: testAppID, AppSecret: NewSecret(testSecret), Transport: &wechat{}}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	ping(c)
	token, _ := c.Token(t.Context())
	config.Transport = nil // it remembers requests
	log := new(lines)
	for _, handler := range []slog.Handler{slog.NewTextHandler(log, nil), slog.NewJSONHandler(log, nil)} {
		slog.New(handler).Info("all", "config", config, "client", c, "secret", config.AppSecret, "token", token, "pointer", &config)
	}
	for _, v := range []any{config, &config, c, config.AppSecret, token, &token, []Secret{NewSecret(testSecret)}, map[string]Secret{"a": NewSecret(testSecret)}, struct{ config Config }{config}, &struct{ token Token }{token}, c.Stats()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(log, verb+"\n", v)
		}
		text, _ := json.Marshal(v)
		log.Write(text)
	}
	noSecrets(t, log.String())
	if !strings.Contains(log.String(), masked) {
		t.Error("nothing is masked; the test itself is broken")
	}
	for _, hex := range []string{fmt.Sprintf("%x", testSecret), fmt.Sprintf("%X", testSecret)} {
		if strings.Contains(log.String(), hex) {
			t.Error("the secret is there in hexadecimal")
		}
	}
}

// Errors of transports and answers that repeat what was sent are masked. R-API-SECRET
func TestS28ErrorsRedacted(t *testing.T) {
	t.Parallel()
	echo := errors.New("nothing")
	w := &wechat{}
	c := newTestClient(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		if isTokenPath(r.URL.Path) {
			return w.RoundTrip(r)
		}
		echo = &url.Error{Op: "Get", URL: r.URL.String(), Err: fmt.Errorf("malformed HTTP response %q", r.URL.String())}
		return nil, echo
	}), nil)
	err := ping(c)
	if !strings.Contains(err.Error(), "malformed") {
		t.Errorf("got %v", err)
	}
	noSecrets(t, err.Error()+fmt.Sprintf("%+v %#v", err, err))

	w = &wechat{answer: answers(`{"errcode":40001,"errmsg":"invalid credential token-1 of access_token=token-1&secret=` + testSecret + `"}`)}
	c = newTestClient(t, w, nil)
	err = ping(c)
	noSecrets(t, fmt.Sprintf("%v %+v %#v", err, err, err))

	c = newTestClient(t, &wechat{token: func(int) string { return `{"errcode":40125,"errmsg":"invalid appsecret ` + testSecret + `"}` }}, func(c *Config) { c.TokenKind = PlainToken })
	err = ping(c)
	noSecrets(t, fmt.Sprintf("%v %+v", err, err))
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNewErrors(t *testing.T) {
	t.Parallel()
	good := Config{AppID: testAppID, AppSecret: NewSecret(testSecret)}
	for name, tt := range map[string]struct {
		modify func(*Config)
		want   string
	}{
		"no AppID":      {func(c *Config) { c.AppID = "" }, "AppID is empty"},
		"no AppSecret":  {func(c *Config) { c.AppSecret = Secret{} }, "AppSecret is empty"},
		"kind":          {func(c *Config) { c.TokenKind = 7 }, "TokenKind"},
		"timeout":       {func(c *Config) { c.Timeout = -1 }, "Timeout"},
		"probe":         {func(c *Config) { c.ProbeInterval = -1 }, "ProbeInterval"},
		"no URL":        {func(c *Config) { c.BaseURL = "api.weixin.qq.com" }, "BaseURL is not a URL"},
		"other scheme":  {func(c *Config) { c.BaseURL = "ftp://api.weixin.qq.com" }, "BaseURL is not a URL"},
		"user":          {func(c *Config) { c.BaseURL = "https://a:" + url.QueryEscape(testSecret) + "@b" }, "user"},
		"query":         {func(c *Config) { c.BaseURL = "https://b?x=" + url.QueryEscape(testSecret) }, "query"},
		"control":       {func(c *Config) { c.BaseURL = "https://b\n" + testSecret }, "BaseURL"},
		"picture's URL": {func(c *Config) { c.QRImageBaseURL = "mp" }, "QRImageBaseURL"},
	} {
		config := good
		tt.modify(&config)
		_, err := New(config)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		noSecrets(t, err.Error())
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

func TestCallRefusals(t *testing.T) {
	t.Parallel()
	w := &wechat{}
	c := newTestClient(t, w, nil)
	for _, path := range []string{
		"", "cgi-bin/x", "//evil.example/cgi-bin/x", "https://evil.example/x", "/x?access_token=abc", "/x#f", "/cgi-bin/token?grant_type=client_credential", "/cgi-bin/stable_token",
		"/x?%zz", "/x?a;b", "\x00", "@evil.example/x",
	} {
		if err := c.Call(t.Context(), "GET", path, nil, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if err := c.Call(t.Context(), "POST", "/x", func() {}, nil); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if w.fetched() != 0 || len(w.called()) != 0 {
		t.Error("something was sent")
	}
}

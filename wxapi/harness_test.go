package wxapi

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write golden files anew")

const (
	testAppID  = "wx0123456789abcdef"
	testSecret = "canary+secret/0123456789="
	testOpenID = "oUser-0123456789abcdefghijklm"
)

// seen is one request as it came.
type seen struct {
	Method, Path, Query, ContentType string
	Body                             string
}

// wechat is a small WeChat in memory: tokens are token-1, token-2, …, and answer says what a call gets.
type wechat struct {
	mu      sync.Mutex
	calls   []seen
	fetches int
	token   func(n int) string // the answer to the n-th fetch; nil: a good one
	answer  func(r *http.Request, body string) (status int, header http.Header, answer string)
}

func (w *wechat) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
		if int64(len(body)) != r.ContentLength {
			return nil, fmt.Errorf("the body has %d bytes and Content-Length is %d", len(body), r.ContentLength)
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, header, text := http.StatusOK, http.Header{}, `{"errcode":0,"errmsg":"ok"}`
	if isTokenPath(strings.TrimPrefix(r.URL.Path, "/base")) {
		w.mu.Lock()
		w.fetches++
		n := w.fetches
		w.mu.Unlock()
		text = goodToken(n)
		if w.token != nil {
			text = w.token(n)
		}
	} else {
		w.mu.Lock()
		w.calls = append(w.calls, seen{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), string(body)})
		w.mu.Unlock()
		if w.answer != nil {
			status, header, text = w.answer(r, string(body))
		}
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func goodToken(n int) string { return fmt.Sprintf(`{"access_token":"token-%d","expires_in":7200}`, n) }

func (w *wechat) fetched() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fetches
}

func (w *wechat) called() []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]seen(nil), w.calls...)
}

// answers lets every call get text.
func answers(text string) func(*http.Request, string) (int, http.Header, string) {
	return func(*http.Request, string) (int, http.Header, string) { return 200, nil, text }
}

// refuses lets calls with these tokens get a code.
func refuses(code int, tokens ...string) func(*http.Request, string) (int, http.Header, string) {
	return func(r *http.Request, _ string) (int, http.Header, string) {
		for _, t := range tokens {
			if r.URL.Query().Get("access_token") == t {
				return 200, nil, fmt.Sprintf(`{"errcode":%d,"errmsg":"refused rid: 65f1a2b3-0123abcd-89abcdef"}`, code)
			}
		}
		return 200, nil, `{"errcode":0,"errmsg":"ok"}`
	}
}

// newTestClient returns a client of w. modify may be nil.
func newTestClient(t testing.TB, w http.RoundTripper, modify func(*Config)) *Client {
	t.Helper()
	config := Config{AppID: testAppID, AppSecret: NewSecret(testSecret), Transport: w}
	if modify != nil {
		modify(&config)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// noSecrets fails if a text has a secret or a token in it.
func noSecrets(t testing.TB, text string) {
	t.Helper()
	for _, secret := range []string{testSecret, url.QueryEscape(testSecret), "token-1", "token-2", "token-3"} {
		if strings.Contains(text, secret) {
			t.Errorf("there is a secret in this text: %s", text)
		}
	}
}

// ping makes a plain call.
func ping(c *Client) error {
	return c.Call(context.Background(), http.MethodGet, "/cgi-bin/tags/get", nil, nil)
}

// lines is a log that tests can read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

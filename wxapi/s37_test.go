package wxapi

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"mime"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// zip is a gigabyte of JSON in a megabyte: as many compressed parts as make one.
func zip(t *testing.T) []byte {
	t.Helper()
	part := func(text []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		w.Close()
		return b.Bytes()
	}
	return append(part([]byte(`{"openid":"`)), bytes.Repeat(part(bytes.Repeat([]byte(" "), 1<<20)), 1<<10)...)
}

// Threat S37: whoever answers in place of WeChat (a proxy, a forged DNS) costs little memory and little time, and
// learns nothing that it was not sent. It is a real server and the transport that clients have by default; not
// parallel, since it looks at the memory of the whole program.
func TestS37HostileAnswers(t *testing.T) {
	bomb := zip(t)
	page := strings.Repeat("x", 1<<16)
	endless := func(w http.ResponseWriter, begin string) {
		io.WriteString(w, begin)
		for {
			if _, err := io.WriteString(w, page); err != nil {
				return
			}
		}
	}
	var evil atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		evil.Add(1)
		io.WriteString(w, `{"errcode":0}`)
	}))
	defer elsewhere.Close()
	redirect := func(status int, to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(status)
		}
	}
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
	}
	raw := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, s)
		}
	}
	answers := map[string]http.HandlerFunc{
		"a gigabyte": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1073741824")
			endless(w, "{")
		},
		"without end": func(w http.ResponseWriter, _ *http.Request) { endless(w, `{"openid":"`) },
		"a gigabyte, compressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb)
		},
		"not what it says": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "{}")
		},
		"nested 100,000 times":  text(strings.Repeat(`{"a":`, 100_000)),
		"lists 1,000,000 times": text(strings.Repeat("[", 1_000_000)),
		"an endless header":     raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat(page, 32) + "\r\n\r\n{}"),
		"many headers":          raw("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Header: y\r\n", 100_000) + "\r\n{}"),
		"100,000 early hints":   raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 100_000) + "HTTP/1.1 200 OK\r\n\r\n{}"),
		"no HTTP":               raw("SSH-2.0-OpenSSH_9.2\r\n"),
		"HTTP/0.9":              raw("<html>"),
		"a bad length":          raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"),
		"two lengths":           raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
		"bad chunks":            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}"),
		"switching protocols":   raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
		"301":                   redirect(301, elsewhere.URL), "302": redirect(302, elsewhere.URL), "303": redirect(303, elsewhere.URL),
		"307": redirect(307, elsewhere.URL), "308": redirect(308, elsewhere.URL+"/cgi-bin/message/custom/send"),
		"a redirect without a scheme": redirect(302, strings.TrimPrefix(elsewhere.URL, "http:")),
		"a redirect to a file":        redirect(302, "file:///etc/passwd"),
		"a refresh": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Refresh", "0; url="+elsewhere.URL)
			io.WriteString(w, "<html>")
		},
		"an errcode too large":   text(`{"errcode":1e400,"errmsg":"x"}`),
		"an errcode of a list":   text(`{"errcode":[45015],"errmsg":"x"}`),
		"twice an errcode":       text(`{"errcode":45015,"errcode":45015,"errmsg":"x"}`),
		"errmsg of a megabyte":   text(`{"errcode":45015,"errmsg":"` + strings.Repeat("A", 1<<20-100) + `"}`),
		"errmsg with escapes":    text(`{"errcode":45015,"errmsg":"\u001b[2J\u0007\u202e\r\nlevel=ERROR msg=forged"}`),
		"errmsg with the secret": text(`{"errcode":45015,"errmsg":"` + testSecret + ` access_token=token-1"}`),
		"bad UTF-8":              text("{\"errcode\":45015,\"errmsg\":\"\xff\xfe\"}"),
		"null":                   text("null"),
		"two documents":          text(`{"errcode":45015}{"errcode":0}`),
		"UTF-16":                 text("\xff\xfe{\x00}\x00"),
		"a cookie": func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			io.WriteString(w, `{"errcode":45015}`)
		},
	}
	t.Logf("hostile inputs: %d", len(answers))
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			server := httptest.NewServer(weChatHandler(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				if r.Header.Get("Cookie") != "" {
					t.Error("a cookie came back")
				}
				answer(w, r)
			}))
			defer server.CloseClientConnections()
			c := newTestClient(t, nil, func(c *Config) { c.BaseURL, c.Transport = server.URL, nil })
			if _, err := c.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			err := c.Send(t.Context(), testOpenID, textReply("hi"), nil)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("the call went well")
			}
			for _, verb := range []string{"%v", "%+v", "%#v"} {
				noSecrets(t, fmt.Sprintf(verb, err))
			}
			if strings.ContainsAny(err.Error(), "\x1b\x07\u202e\r\n") || len(err.Error()) > 2000 {
				t.Errorf("the error is not fit to print: %.300q", err)
			}
			// Of both sides: the server writes what it sends from memory that is there already.
			if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
				t.Errorf("it took %d bytes", n)
			}
			if took := time.Since(began); took > 3*defaultTimeout { // the machine may be busy
				t.Errorf("it took %v", took)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("the call came %d times", n)
			}
		})
	}
	if n := evil.Load(); n != 0 {
		t.Errorf("another server was called %d times", n)
	}
}

// A token that cannot be one is not used, and nothing of it is said.
func TestS37HostileTokens(t *testing.T) {
	t.Parallel()
	tokens := map[string]string{
		"none": `{"expires_in":7200}`, "empty": `{"access_token":"","expires_in":7200}`, "a list": `{"access_token":["CANARY"],"expires_in":7200}`,
		"a number": `{"access_token":1,"expires_in":7200}`, "with a line end": `{"access_token":"CANARY\r\nHost: evil","expires_in":7200}`,
		"with a blank": `{"access_token":"CANARY a","expires_in":7200}`, "with NUL": `{"access_token":"CANARY\u0000","expires_in":7200}`,
		"Chinese": `{"access_token":"CANARY令牌","expires_in":7200}`, "long": `{"access_token":"CANARY` + strings.Repeat("a", 1<<16) + `","expires_in":7200}`,
		"no end": `{"access_token":"CANARY"}`, "end in the past": `{"access_token":"CANARY","expires_in":-1}`, "end now": `{"access_token":"CANARY","expires_in":0}`,
		"end as text": `{"access_token":"CANARY","expires_in":"soon"}`, "end too large": `{"access_token":"CANARY","expires_in":1e999}`,
	}
	t.Logf("hostile inputs: %d", len(tokens))
	for name, answer := range tokens {
		w := &wechat{token: func(int) string { return answer }}
		c := newTestClient(t, w, nil)
		err := ping(c)
		if err == nil || len(w.called()) != 0 {
			t.Errorf("%s: %v, %d calls", name, err, len(w.called()))
		}
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A server that cannot show that it is WeChat's is not sent a byte: no AppSecret and no token.
func TestS37TLS(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		io.WriteString(w, goodToken(1))
	})
	quiet := log.New(io.Discard, "", 0)    // of failed handshakes
	self := httptest.NewUnstartedServer(h) // its certificate is nobody's
	self.Config.ErrorLog = quiet
	self.StartTLS()
	defer self.Close()
	old := httptest.NewUnstartedServer(h)
	old.Config.ErrorLog = quiet
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	defer old.Close()
	clear := httptest.NewServer(h)
	defer clear.Close()
	for name, base := range map[string]string{
		"unknown authority": self.URL,
		"another name":      strings.Replace(self.URL, "127.0.0.1", "localhost", 1),
		"TLS 1.1":           old.URL,
		"no TLS":            strings.Replace(clear.URL, "http:", "https:", 1),
	} {
		c := newTestClient(t, nil, func(c *Config) { c.BaseURL, c.Transport = base, nil })
		err := ping(c)
		if OutcomeOf(err) != OutcomeNotSent {
			t.Errorf("%s: %v (%v)", name, err, OutcomeOf(err))
		}
		if err != nil {
			noSecrets(t, err.Error())
		}
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// Threat S23: the name of a file that WeChat, or who answers in its place, gives is a name, and no way out of a folder.
func TestS23MediaNames(t *testing.T) {
	t.Parallel()
	names := []string{
		"../a.jpg", "../../../../etc/passwd", "/etc/passwd", "/", "//", ".", "..", "...", "./.", "a/../..", "a/", "a/b/", `..\a.jpg`, `..\..\windows\win.ini`,
		`C:\a.jpg`, `C:..\a.jpg`, `\\server\share\a`, `\`, "a/..", "%2e%2e%2fa", "..%2fa", "~/a", "~root/.ssh/id", "a\x00.jpg/..", "／etc／passwd", "．．/a",
		".../...//a", "..;/a", "..../a", "a//..//..//b", strings.Repeat("../", 1000) + "a", strings.Repeat("a", 10_000), "a.jpg/.", " ../a", "../ ", "a b/../c", "-rf", "CON", "x:y", "a\r\nX: y",
	}
	t.Logf("hostile inputs: %d", len(names))
	for _, name := range names {
		w := &wechat{answer: func(*http.Request, string) (int, http.Header, string) {
			disposition := mime.FormatMediaType("attachment", map[string]string{"filename": name})
			return 200, http.Header{"Content-Type": {"image/jpeg"}, "Content-Disposition": {disposition}}, "JPEG"
		}}
		var b bytes.Buffer
		file, err := newTestClient(t, w, nil).GetMedia(t.Context(), "m", &b)
		if err != nil || b.String() != "JPEG" {
			t.Errorf("%q: %v", name, err)
		}
		if strings.ContainsAny(file.Name, `/\`) || file.Name == "." || file.Name == ".." || file.Name != "" && !filepath.IsLocal(file.Name) {
			t.Errorf("%q became %q", name, file.Name)
		}
	}
}

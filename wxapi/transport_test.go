package wxapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/internal/pipenet"
)

// wire is WeChat behind a real http.Transport over an in-memory network.
func wire(t *testing.T, h http.Handler) (*http.Transport, *pipenet.Listener) {
	t.Helper()
	l := pipenet.Listen()
	server := &http.Server{Handler: h}
	go server.Serve(l)
	transport := &http.Transport{DialContext: l.DialContext}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return transport, l
}

// weChatHandler answers token calls, and everything else by call.
func weChatHandler(call http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(stableTokenPath, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, goodToken(1)) })
	mux.HandleFunc("/", call)
	return mux
}

// What is known of a call when no answer of WeChat comes. R-API-OUTCOME
func TestOutcomeOnTheWire(t *testing.T) {
	t.Parallel()
	html := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			io.WriteString(w, "<html><body>nginx</body></html>")
		}
	}
	for _, tt := range []struct {
		name string
		call http.HandlerFunc
		want Outcome
		text string
	}{
		{"in time", func(w http.ResponseWriter, _ *http.Request) { time.Sleep(9 * time.Second); io.WriteString(w, `{}`) }, OutcomeDone, ""},
		{"no answer", func(http.ResponseWriter, *http.Request) { time.Sleep(11 * time.Second) }, OutcomeUnknown, "has not answered (context deadline exceeded)"},
		{"half an answer", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"errcode":0`)
			w.(http.Flusher).Flush()
			time.Sleep(11 * time.Second)
		}, OutcomeUnknown, "deadline"},
		{"broken off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, OutcomeUnknown, "has not answered (EOF)"},
		{"broken off in the answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"errcode":0`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, OutcomeUnknown, "unexpected EOF"},
		{"502 of a gateway", html(502), OutcomeUnknown, "502 Bad Gateway"},
		{"a page with 200", html(200), OutcomeUnknown, "not an object in JSON"},
		{"empty", func(http.ResponseWriter, *http.Request) {}, OutcomeUnknown, "not an object in JSON"},
		{"412", html(412), OutcomeUnknown, "412"},
		{"503 in JSON", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); io.WriteString(w, `{"error":"x"}`) }, OutcomeUnknown, "no errcode"},
		{"a list", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `[]`) }, OutcomeUnknown, "not an object"},
		{"an errcode with 500", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			io.WriteString(w, `{"errcode":-1,"errmsg":"system error"}`)
		}, OutcomeRefused, "WeChat is busy"},
		{"an errcode as text", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"errcode":"45015","errmsg":"x"}`) }, OutcomeRefused, "45015"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}, OutcomeUnknown, "redirect (302 Found), which is not followed"},
		{"a redirect that keeps the method", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "/other"); w.WriteHeader(307) }, OutcomeUnknown, "redirect"},
		{"too long", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
					return
				}
			}
		}, OutcomeUnknown, "longer than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				transport, _ := wire(t, weChatHandler(func(w http.ResponseWriter, r *http.Request) {
					calls.Add(1)
					tt.call(w, r)
				}))
				c := newTestClient(t, transport, func(c *Config) { c.BaseURL = "http://api.test" })
				err := c.Send(t.Context(), testOpenID, textReply("hi"), nil)
				if got := OutcomeOf(err); got != tt.want {
					t.Errorf("%v: %v, want %v", err, got, tt.want)
				}
				if err != nil {
					noSecrets(t, err.Error())
					if !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), sendPath) {
						t.Errorf("%v does not say %q", err, tt.text)
					}
				}
				if n := calls.Load(); n != 1 {
					t.Errorf("the call came %d times", n)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// A call that never left may be made again.
func TestOutcomeNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport, l := wire(t, weChatHandler(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`) }))
		c := newTestClient(t, transport, func(c *Config) { c.BaseURL = "http://api.test" })
		if err := ping(c); err != nil {
			t.Fatal(err)
		}
		transport.CloseIdleConnections()
		l.Close()
		err := c.Send(t.Context(), testOpenID, textReply("hi"), nil)
		if OutcomeOf(err) != OutcomeNotSent || !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "nothing was sent") {
			t.Errorf("refused: %v (%v)", err, OutcomeOf(err))
		}

		transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(30 * time.Second) // the transport goes on dialing for others
			return nil, syscall.ETIMEDOUT
		}}
		c.config.Transport = transport
		begin := time.Now()
		if err = ping(c); OutcomeOf(err) != OutcomeNotSent || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != defaultTimeout {
			t.Errorf("a network that swallows: %v (%v) after %v", err, OutcomeOf(err), time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err = c.Call(ctx, "GET", "/x", nil, nil); OutcomeOf(err) != OutcomeNotSent || !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v (%v)", err, OutcomeOf(err))
		}
		time.Sleep(time.Minute)
	})
}

// A connection that WeChat has closed meanwhile costs nothing; the body is sent again.
func TestConnectionClosedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bodies atomic.Int32
		l := pipenet.Listen()
		go func() {
			for { // a server that closes each connection after one answer without having said so
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					r, err := http.ReadRequest(bufio.NewReader(conn))
					if err != nil {
						return
					}
					answer := goodToken(1)
					if body, _ := io.ReadAll(r.Body); !isTokenPath(r.URL.Path) {
						answer = `{"errcode":0}`
						if strings.Contains(string(body), `"content":"hi"`) {
							bodies.Add(1)
						}
					}
					io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: "+itoa(len(answer))+"\r\n\r\n"+answer)
				}()
			}
		}()
		defer l.Close()
		transport := &http.Transport{DialContext: l.DialContext}
		defer transport.CloseIdleConnections()
		c := newTestClient(t, transport, func(c *Config) { c.BaseURL = "http://api.test" })
		for range 10 {
			if err := c.Send(t.Context(), testOpenID, textReply("hi"), nil); err != nil {
				t.Errorf("%v (%v)", err, OutcomeOf(err))
			}
			synctest.Wait()
		}
		if n := bodies.Load(); n != 10 {
			t.Errorf("%d of 10 messages arrived", n)
		}
	})
}

// countedConn counts writes, each of which is a system call and a packet on a real network.
type countedConn struct {
	net.Conn
	writes *atomic.Int32
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// The header of a call goes out together with its body.
func TestCallIsOneWrite(t *testing.T) {
	t.Parallel()
	transport, l := wire(t, weChatHandler(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"errcode":0}`)
	}))
	var writes atomic.Int32
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := l.DialContext(ctx, network, address)
		return countedConn{conn, &writes}, err
	}
	c := newTestClient(t, transport, func(c *Config) { c.BaseURL = "http://api.test" })
	const sends = 3
	for range sends {
		if err := c.Send(t.Context(), testOpenID, textReply("hi"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := writes.Load(); n != 1+sends { // one for the token
		t.Errorf("%d writes for a token and %d messages", n, sends)
	}
}

// A transport that tells nothing may have sent everything.
func TestOutcomeUntraced(t *testing.T) {
	t.Parallel()
	w := &wechat{}
	c := newTestClient(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		if isTokenPath(r.URL.Path) {
			return w.RoundTrip(r)
		}
		return nil, errors.New("lost")
	}), nil)
	if err := ping(c); OutcomeOf(err) != OutcomeUnknown {
		t.Errorf("%v (%v)", err, OutcomeOf(err))
	}
	if s := c.Stats(); s.Unknown != 1 || s.Calls != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestClockOffset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wechat{answer: func(*http.Request, string) (int, http.Header, string) {
			return 200, http.Header{"Date": {time.Now().Add(-90 * time.Second).UTC().Format(http.TimeFormat)}}, `{}`
		}}
		c := newTestClient(t, w, nil)
		ping(c)
		if got := c.Stats().ClockOffset; got != -90*time.Second {
			t.Errorf("got %v, want -1m30s", got)
		}
	})
}

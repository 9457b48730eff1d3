package callback_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/pipenet"
	"github.com/echostr/echostr/store"
)

// Threat S9: a verified push that is no message is kept raw and answered
// `success`, once per key, and no handler sees it.
func TestS9Unparseable(t *testing.T) {
	t.Parallel()
	bodies := []string{
		"x", "<", "<xml>", "<xml></xml", "<xml></xml><xml></xml>", "<xml></xml>x", "<html></html>", "\x00", "\xff\xfe", "<xml>\x00</xml",
		"<!DOCTYPE xml><xml></xml>",
		`<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><MsgType>&a;</MsgType></xml>`,
		`<!DOCTYPE xml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><xml>&b;</xml>`,
		"<xml>&nbsp;</xml>", "<xml>&#xD800;</xml>&", "<xml><a></b></xml>", "<xml><MsgType>text</MsgType><MsgType>event</MsgType></xml>",
		"<xml><FromUserName>a</FromUserName><fromusername>b</fromusername></xml>",
		"<xml>" + strings.Repeat("<a>", 10_000), "<xml>" + strings.Repeat("<a>", 17) + strings.Repeat("</a>", 17) + "</xml>",
		"<xml>" + strings.Repeat("<a/>", 2_001) + "</xml>",
		"success", " \n\t", "null", `"text"`, strings.Repeat("A", 150<<10),
	}
	t.Logf("hostile inputs: %d", len(bodies))
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(counted)
				a := account(mode, h)
				s, st := one(t, a)
				for i, body := range bodies {
					for range 3 { // WeChat might push it again
						w := pack(a, body)
						if mode != callback.Plain {
							w.body = envelope(a, body, false)
							w.query = signed(a, w.body, w.query.Get("timestamp"), w.query.Get("nonce"))
						}
						if g := w.send(s); !g.is(200, "success") {
							t.Errorf("body %d, %.30q: %v", i, body, g)
						}
					}
					if n := len(rows(t, st)); n != i+1 {
						t.Fatalf("%d rows after %d bodies, with %.30q", n, i+1, body)
					}
				}
				synctest.Wait() // the count of pushes is saved when nobody waits
				if h.n.Load() != 0 {
					t.Errorf("%d starts", h.n.Load())
				}
				list, err := st.List(context.Background(), store.Filter{Account: a.Name, States: []store.State{store.Unparseable}, Limit: 1000})
				if err != nil || len(list) != len(bodies) {
					t.Fatalf("%d of %d are listed, %v", len(list), len(bodies), err)
				}
				kept := map[string]bool{}
				for _, row := range list {
					kept[row.Body] = true
					if row.Reason == "" || row.Seen != 3 {
						t.Errorf("reason %q, seen %d times", row.Reason, row.Seen)
					}
				}
				for i, body := range bodies {
					if !kept[body] {
						t.Errorf("body %d is not kept as it was: %.30q", i, body)
					}
				}
			})
		})
	}
}

// Threat S10: however large a body is, little of it is read, and less is kept.
func TestS10Body(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	h := new(counted)
	a := account(callback.Plain, h)
	a.BodyLimit = limit
	s, st := one(t, a)
	for _, c := range []struct {
		name     string
		length   int64 // declared; -1: chunked
		body     int64 // what is there
		status   int
		readMost int64
	}{
		{"as long as allowed", limit, limit, 200, limit + 1},
		{"as long as allowed, chunked", -1, limit, 200, limit + 1},
		{"one byte too long", limit + 1, limit + 1, 413, 0},
		{"one byte too long, chunked", -1, limit + 1, 413, limit + 1},
		{"1 GiB declared", 1 << 30, 1 << 30, 413, 0},
		{"1 GiB chunked", -1, 1 << 30, 413, limit + 1},
		{"endless", -1, 1 << 60, 413, limit + 1},
		{"2^63 declared", 1<<63 - 1, 1 << 60, 413, 0},
		{"shorter than declared", limit, 100, 403, 100},
	} {
		w := pack(a, "")
		body := &counter{r: io.LimitReader(letters{}, c.body)}
		r := httptest.NewRequest("POST", "/wx/demo?"+w.query.Encode(), body)
		r.ContentLength = c.length
		g := do(s, r)
		if g.status != c.status || (c.status != 200 && g.body != "") {
			t.Errorf("%s: %v, want %d", c.name, g, c.status)
		}
		if body.n > c.readMost {
			t.Errorf("%s: %d bytes were read, want at most %d", c.name, body.n, c.readMost)
		}
		if c.status == 413 && g.header.Get("Connection") != "close" {
			t.Errorf("%s: the connection is kept for the rest of the body", c.name)
		}
	}
	if n := len(rows(t, st)); n != 1 { // both good ones are the same body
		t.Errorf("%d rows", n)
	}
	for _, encoding := range []string{"gzip", "deflate", "br", "identity", ""} {
		w := pack(a, text("x"))
		r := httptest.NewRequest("POST", "/wx/demo?"+w.query.Encode(), untouchable{t})
		r.Header["Content-Encoding"] = []string{encoding}
		if g := do(s, r); !g.is(403, "") {
			t.Errorf("Content-Encoding %q: %v", encoding, g)
		}
	}
	w := pack(a, text("x"))
	if g := do(s, httptest.NewRequest("POST", "/wx/demo?"+w.query.Encode(), nil)); !g.is(200, "success") {
		t.Errorf("an empty body: %v", g)
	}
	if h.n.Load() != 0 {
		t.Errorf("%d starts", h.n.Load())
	}
}

// Not parallel: it measures what the process has.
func TestS10Memory(t *testing.T) {
	a := account(callback.Plain, new(counted))
	s, _ := one(t, a)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 100 {
		r := httptest.NewRequest("POST", "/wx/demo?"+pack(a, "").query.Encode(), letters{})
		r.ContentLength = -1
		if g := do(s, r); g.status != 413 {
			t.Fatal(g)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("100 endless bodies left %d bytes behind", grown)
	}
	if each := (after.TotalAlloc - before.TotalAlloc) / 100; each > 2<<20 {
		t.Errorf("an endless body allocates %d bytes", each)
	}
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// untouchable is a body that nobody may read.
type untouchable struct{ t testing.TB }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("untouchable")
}

// listen is net/http over connections in memory, with none of the limits that
// a careful operator would set beside the server's own.
func listen(t *testing.T, h http.Handler) *pipenet.Listener {
	l := pipenet.Listen()
	server := &http.Server{Handler: h}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l
}

// dribble writes a request and then its body slowly, and returns the answer,
// when it came, and when the connection was over.
func dribble(t *testing.T, l *pipenet.Listener, head string, each time.Duration, body string) (answer string, over time.Duration) {
	t.Helper()
	conn, err := l.DialContext(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		if _, err := io.WriteString(conn, head); err != nil {
			return
		}
		for i := range len(body) {
			time.Sleep(each)
			if _, err := conn.Write([]byte{body[i]}); err != nil {
				return
			}
		}
	}()
	conn.SetReadDeadline(began.Add(time.Minute))
	var all bytes.Buffer
	_, err = io.Copy(&all, conn)
	over = time.Since(began)
	if err != nil && !errors.Is(err, net.ErrClosed) && over < time.Minute {
		t.Logf("reading: %v", err)
	}
	conn.Close()
	<-writing
	return all.String(), over
}

// Threat S11: a body has three seconds to arrive, also one that nobody reads.
func TestS11SlowBody(t *testing.T) {
	t.Parallel()
	post := func(path, query string, length int) string {
		return fmt.Sprintf("POST %s?%s HTTP/1.1\r\nHost: wechat.test\r\nContent-Length: %d\r\n\r\n", path, query, length)
	}
	in := func(name string, status int, request func(a callback.Account) (head, body string)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := new(counted)
				a := account(callback.Plain, h)
				s, st := one(t, a)
				head, body := request(a)
				answer, over := dribble(t, listen(t, s), head, 100*time.Millisecond, body)
				if !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", status)) {
					t.Errorf("answered %.60q, want %d", answer, status)
				}
				if over > 3500*time.Millisecond {
					t.Errorf("the connection was held for %v", over)
				}
				if len(rows(t, st)) != 0 || h.n.Load() != 0 {
					t.Error("it left traces")
				}
			})
		})
	}
	in("declared", 403, func(a callback.Account) (string, string) {
		w := pack(a, text("x"))
		return post("/wx/demo", w.query.Encode(), len(w.body)), w.body
	})
	in("nothing comes", 403, func(a callback.Account) (string, string) {
		return post("/wx/demo", pack(a, text("x")).query.Encode(), 100), ""
	})
	in("chunked", 403, func(a callback.Account) (string, string) {
		head := strings.Replace(post("/wx/demo", pack(a, "").query.Encode(), 0), "Content-Length: 0", "Transfer-Encoding: chunked", 1)
		return head, strings.Repeat("1\r\nx\r\n", 100)
	})
	// net/http reads what a handler has left of a body, and would wait for it.
	in("forged", 403, func(a callback.Account) (string, string) {
		return post("/wx/demo", "signature=x", 1000), strings.Repeat("x", 1000)
	})
	in("unknown path", 404, func(a callback.Account) (string, string) {
		return post("/wx/nobody", "", 1000), strings.Repeat("x", 1000)
	})
	in("other method", 405, func(a callback.Account) (string, string) {
		return strings.Replace(post("/wx/demo", "", 1000), "POST", "PUT", 1), strings.Repeat("x", 1000)
	})
	in("GET with a body", 400, func(a callback.Account) (string, string) {
		return strings.Replace(post("/wx/demo", "", 1000), "POST", "GET", 1), strings.Repeat("x", 1000)
	})
}

// The deadline of the body does not end a push that waits for its answer, nor
// the next one on the connection.
func TestS11DeadlineEnds(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, newWitness(4*time.Second))
		s, _ := one(t, a)
		conn, err := listen(t, s).DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for range 2 {
			w := pack(a, text("x"))
			go fmt.Fprintf(conn, "POST /wx/demo?%s HTTP/1.1\r\nHost: wechat.test\r\nContent-Length: %d\r\n\r\n%s", w.query.Encode(), len(w.body), w.body)
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 200 || parseReply(t, string(body)).Content != "re: x" {
				t.Fatalf("%d %q, %v", resp.StatusCode, body, err)
			}
			time.Sleep(10 * time.Second)
		}
	})
}

// Threat S12: what is forged costs the server no more than its query.
func TestS12SignatureBeforeBody(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		a := account(mode, new(counted))
		s, _ := one(t, a)
		for name, query := range forgedQueries(a) {
			r := httptest.NewRequest("POST", "/wx/demo?"+query, untouchable{t})
			r.ContentLength = 100
			if g := do(s, r); !g.is(403, "") {
				t.Errorf("%v, %s: %v", mode, name, g)
			}
		}
	}
}

func forgedQueries(a callback.Account) map[string]string {
	good := pack(a, text("x")).query.Encode()
	stale := packAt(a, text("x"), time.Now().Add(-time.Hour)).query.Encode()
	b := a
	b.Token = "zAnotherTokenOfThirtyTwoLetters00"
	return map[string]string{
		"no query": "", "wrong signature": pack(b, text("x")).query.Encode(), "stale": stale,
		"wrong mode": good + "&encrypt_type=des", "twice": good + "&nonce=1", "format": good + "&msg_signature=1",
	}
}

// BenchmarkS12Refusal is the cost of a forged request; reliability S12 wants
// less than 5 µs. What net/http does around it is not counted.
func BenchmarkS12Refusal(b *testing.B) {
	a := account(callback.Safe, new(counted))
	s, _ := one(b, a)
	for name, query := range forgedQueries(a) {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			r := httptest.NewRequest("POST", "/wx/demo?"+query, nil)
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(w, r)
			}
			if w.status != 403 {
				b.Fatal(w.status)
			}
		})
	}
}

type discard struct {
	header http.Header
	status int
}

func (w *discard) Header() http.Header         { return w.header }
func (w *discard) Write(p []byte) (int, error) { return len(p), nil }
func (w *discard) WriteHeader(status int)      { w.status = status }

package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxBody is the longest answer that is read, and maxHeader its longest header, in bytes.
const (
	maxBody   = 1 << 20
	maxHeader = 64 << 10
)

// Request is one HTTP request of WeChat's, as it goes over the wire. Requests share their
// Header and Body: replace them, never change them.
type Request struct {
	Method string // POST; GET for the check of the address
	URL    string // with the query
	Header http.Header
	Body   []byte
}

// check says what is wrong with a request that cannot be sent as HTTP/1.1, so that nobody looks
// for it in the server. The error quotes neither the URL nor values of the header.
func (r Request) check() error {
	cannot := func(why string, args ...any) error {
		return fmt.Errorf("simulator: the request cannot be sent, since "+why, args...)
	}
	if !isToken(r.Method) {
		return cannot("there is no method %q; use POST", r.Method)
	}
	if u, err := url.Parse(r.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return cannot("its URL is not one; give it as http://host/path, with everything but letters and digits as %%XX")
	}
	for name, values := range r.Header {
		if !isToken(name) {
			return cannot("the header %q has characters in its name that HTTP does not allow; use letters, digits and -", name)
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
				return cannot("the header %q has a line end or another control character in its value; leave it out", name)
			}
		}
	}
	return nil
}

// isToken reports whether HTTP allows s as a method and as the name of a header.
func isToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// size is how many bytes it takes, or nearly so.
func (r Request) size() int { return len(r.URL) + headerSize(r.Header) + len(r.Body) }

func headerSize(h http.Header) int {
	size := 0
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	return size
}

// The headers of WeChat's requests. R-PUSH-HEADERS
var (
	getHeader  = http.Header{"User-Agent": {"Mozilla/4.0"}, "Accept": {"*/*"}}
	postHeader = http.Header{"User-Agent": {"Mozilla/4.0"}, "Accept": {"*/*"}, "Content-Type": {"text/xml"}}
)

// request addresses a request to the account's server.
func (w *WeChat) request(method, query string, body []byte) *Request {
	target := w.account.URL
	if at := strings.IndexByte(target, '#'); at >= 0 {
		target = target[:at]
	}
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	r := &Request{Method: method, URL: target + separator + query, Header: getHeader, Body: body}
	if method == http.MethodPost {
		r.Header = postHeader
	}
	return r
}

// exchange makes the request of p, and fills in what came of it. A node that takes no connection is passed over, as
// load balancers do: nothing was sent to it.
func (w *WeChat) exchange(ctx context.Context, p *Push) {
	w.exchangeOnce(ctx, p)
	nodes := w.account.Nodes
	at := slices.Index(nodes, p.Node)
	for tried := 1; p.Outcome == Refused && tried < len(nodes); tried++ {
		at = (at + 1) % len(nodes)
		p.Node, p.Outcome, p.Err = nodes[at], Pending, nil
		w.exchangeOnce(ctx, p)
	}
}

// exchangeOnce makes the request of p on a connection of its own. R-PUSH-TIMEOUT
func (w *WeChat) exchangeOnce(ctx context.Context, p *Push) {
	limited, cancel := context.WithTimeout(ctx, w.rules.Timeout)
	defer cancel() // closes the connection, whatever state it is in
	fail := func(err error) {
		var dial *dialError
		var op *net.OpError
		var slow net.Error
		switch {
		case limited.Err() != nil, errors.As(err, &slow) && slow.Timeout():
			p.Outcome = Cut
		case isTLS(err):
			p.Outcome, p.Err = BadTLS, err
		case errors.As(err, &dial), errors.As(err, &op) && op.Op == "dial":
			p.Outcome, p.Err = Refused, err
		default:
			p.Outcome, p.Err = Reset, err
		}
	}
	var body io.Reader
	if len(p.Request.Body) > 0 {
		body = bytes.NewReader(p.Request.Body)
	}
	req, err := http.NewRequestWithContext(limited, p.Request.Method, p.Request.URL, body)
	if err != nil {
		fail(err)
		return
	}
	req.Header = p.Request.Header
	if p.Node != "" {
		req.Host, req.URL.Host = req.URL.Host, p.Node
	}
	resp, err := w.transport.RoundTrip(req)
	if err != nil {
		fail(err)
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		fail(err)
		return
	}
	if time.Since(p.Start) >= w.rules.Timeout { // whichever timer was first
		p.Outcome = Cut
		return
	}
	p.Outcome, p.Status, p.Header, p.Body = Answered, resp.StatusCode, resp.Header, answer
}

// dialer is a Transport that makes a new connection for every request, speaks
// HTTP/1.1, follows nothing and asks no proxy.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// RoundTrip makes an http.Transport of its own, since one that is shared goes
// on dialing after the request has ended, and would connect after the cut.
func (d dialer) RoundTrip(r *http.Request) (*http.Response, error) {
	once := &http.Transport{
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			conn, err := d(r.Context(), network, address)
			if err != nil {
				return nil, &dialError{err}
			}
			context.AfterFunc(r.Context(), func() { conn.Close() })
			return conn, nil
		},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	return once.RoundTrip(r)
}

// dialError marks what happened before there was a connection.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// Direct returns a Transport that calls h, without connections and several
// times as fast. As in a server, a handler runs in its own goroutine, its
// request's context ends when WeChat hangs up, and a panic breaks the
// connection; the Err of the push then quotes it. What a handler writes arrives
// when it returns, and http.ResponseController has nothing to control.
func Direct(h http.Handler) http.RoundTripper { return direct{h} }

type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	defer func() {
		if r.Body != nil {
			r.Body.Close()
		}
	}()
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	// The server's context has none of the client's values and deadlines.
	ctx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(r.Context(), cancel)
	target := &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery} // all that a server sees
	in := (&http.Request{
		Method: r.Method, URL: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.Header.Clone(), Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		Host: r.URL.Host, RemoteAddr: "192.0.2.1:1234", RequestURI: r.URL.RequestURI(),
	}).WithContext(ctx)

	answer := &recorder{header: http.Header{}}
	done := make(chan error, 1)
	go func() {
		err := error(io.ErrUnexpectedEOF) // after runtime.Goexit, too
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				err = fmt.Errorf("the handler panicked: %v", v)
			}
			stop()
			cancel()
			done <- err
		}()
		d.handler.ServeHTTP(answer, in)
		err = nil
	}()
	select {
	case err := <-done:
		if err != nil {
			return nil, err
		}
	case <-r.Context().Done():
		return nil, r.Context().Err() // the recorder is the handler's, and is left to it
	}
	answer.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: fmt.Sprint(answer.status, " ", http.StatusText(answer.status)), StatusCode: answer.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.sent, Body: io.NopCloser(&answer.body), ContentLength: int64(answer.body.Len()), Request: r,
	}, nil
}

// recorder is the http.ResponseWriter of [Direct].
type recorder struct {
	header http.Header
	sent   http.Header // what header was when the status was written
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && (status < 100 || status > 199) {
		w.status = status
		w.sent = w.header.Clone()
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

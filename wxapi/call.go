package wxapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxAnswer bounds an answer in JSON, in bytes. The longest is a page of 10,000 OpenIDs. R-API-SECRET
const maxAnswer = 1 << 20

// Call makes a call that this package has no method for, with the same care for tokens and errors.
//
// path is that of WeChat's documentation and may have a query, such as
// "/cgi-bin/tags/get"; access_token is added. in is the body: nil for none, json.RawMessage as it
// is, else whatever encoding/json takes. out is nil or a pointer that the answer is decoded into. The
// token calls themselves are refused, since they would disturb the client: see [Client.Token].
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	p, query, err := parsePath(path)
	if err != nil {
		return err
	}
	return c.call(ctx, method, p, query, in, out)
}

func parsePath(path string) (string, url.Values, error) {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Fragment != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return "", nil, fmt.Errorf("%w: the path of a call begins with one slash and names no host, such as /cgi-bin/tags/get", ErrInvalid)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", nil, fmt.Errorf("%w: the query of the path cannot be read; escape it with url.Values", ErrInvalid)
	}
	if query.Has("access_token") {
		return "", nil, fmt.Errorf("%w: leave access_token out of the path, the client adds it", ErrInvalid)
	}
	if isTokenPath(u.Path) {
		return "", nil, fmt.Errorf("%w: %s puts the client's token out of force or hides a new one from it; use Client.Token", ErrInvalid, u.Path)
	}
	return u.Path, query, nil
}

// call makes a call whose answer is JSON. query is not kept.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	x := &exchange{method: method, path: path, query: query, out: out}
	if in != nil {
		body, err := encode(in)
		if err != nil {
			return fmt.Errorf("%w: the body of %s is not JSON: %w", ErrInvalid, path, err)
		}
		x.setJSON(body)
	}
	return c.do(ctx, x)
}

func (c *Client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, out)
}

func (c *Client) post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPost, path, nil, in, out)
}

// do makes x with a token, and once more with a new one if the first is refused. R-API-REPEAT
func (c *Client) do(ctx context.Context, x *exchange) error {
	c.stats.calls.Add(1)
	err := c.attempt(ctx, x)
	c.stats.count(err)
	return err
}

func (c *Client) attempt(ctx context.Context, x *exchange) error {
	probe, err := c.admit(x.path)
	if err != nil {
		return err
	}
	token, err := c.token(ctx, "", probe)
	if err == nil {
		if err = c.exchange(ctx, x, token.Value.Reveal()); refusesToken(err) {
			again, tokenErr := c.token(ctx, token.Value.Reveal(), probe)
			switch {
			case tokenErr != nil:
				err = tokenErr
			case !again.is(token.Value.Reveal()):
				c.stats.repeats.Add(1)
				err = c.exchange(ctx, x, again.Value.Reveal())
			}
		}
	}
	c.settle(x.path, probe, err)
	return err
}

// refusesToken reports whether err says that the token was not good.
func refusesToken(err error) bool {
	e, ok := err.(*Error)
	return ok && e.class() == classToken
}

// exchange is one request and what is made of its answer. It can be made again.
type exchange struct {
	method, path string
	query        url.Values
	contentType  string
	open         func() (io.ReadCloser, error) // the body from its beginning; nil: none
	size         int64                         // of the body
	slow         bool                          // moves a medium
	base         *url.URL                      // instead of that of the client
	out          any                           // what JSON is decoded into
	receive      func(*http.Response) (json bool, err error)

	token string // of the last attempt
}

func (x *exchange) setJSON(body []byte) {
	x.contentType = "application/json; charset=utf-8"
	x.size = int64(len(body))
	// In no wrapper that net/http does not know: it sends the header in a packet of its own if the body may have
	// to be waited for.
	x.open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}

// exchange makes the request. token is "" for calls without one.
func (c *Client) exchange(ctx context.Context, x *exchange, token string) error {
	x.token = token
	timeout := c.config.Timeout
	if x.slow {
		timeout *= mediaTimeFactor
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return &TransportError{Path: x.path, Err: err}
	}
	var sent sentTrace
	req, err := c.request(sent.watch(ctx), x, token)
	if err != nil {
		return err
	}
	if req.Body != nil {
		defer req.Body.Close()
	}
	resp, err := c.config.Transport.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err() // the transport words it in many ways
		}
		return &TransportError{Path: x.path, Sent: sent.maybe(), Err: c.redact(err, token)}
	}
	defer resp.Body.Close()
	c.noteDate(resp.Header.Get("Date"))
	if x.receive != nil {
		if isJSON, err := x.receive(resp); !isJSON {
			return c.unreadable(x, resp, err)
		}
	}
	return c.read(x, resp)
}

// request builds the request. The token stands in the query and nowhere else. R-API-SECRET
func (c *Client) request(ctx context.Context, x *exchange, token string) (*http.Request, error) {
	base := x.base
	if base == nil {
		base = &c.base
	}
	u := *base
	u.Path += x.path
	u.RawPath = ""
	u.RawQuery = x.query.Encode()
	if token != "" {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += "access_token=" + url.QueryEscape(token)
	}
	req := &http.Request{
		Method: x.method, URL: &u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {"echostr"}, "Accept": {"application/json, */*"}},
	}
	if x.open != nil {
		body, err := x.open()
		if err != nil {
			return nil, fmt.Errorf("%w: the file cannot be read again: %w", ErrInvalid, err)
		}
		req.Header.Set("Content-Type", x.contentType)
		req.Body = body
		req.ContentLength = x.size // WeChat does not take a body without its length
		if !x.slow {
			// For a connection that was closed before anything was written. A file is read once only.
			req.GetBody = x.open
		}
	}
	return req.WithContext(ctx), nil
}

// gate keeps a transport that is still sending from reading what belongs to the caller
// again: once it is closed, nothing reads from r.
type gate struct {
	mu sync.Mutex
	r  io.Reader
}

func (g *gate) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.r == nil {
		return 0, os.ErrClosed
	}
	return g.r.Read(p)
}

func (g *gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.r = nil
	return nil
}

// read makes what WeChat says of an answer in JSON.
func (c *Client) read(x *exchange, resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.unreadable(x, resp, err)
	}
	if len(text) > maxAnswer {
		return c.unreadable(x, resp, fmt.Errorf("it is longer than %d bytes", maxAnswer))
	}
	status, err := decode(text, nil)
	if err != nil {
		return c.unreadable(x, resp, errors.New("it is not an object in JSON"))
	}
	if status.Code != 0 {
		e := newError(x.path, int(status.Code), status.Msg)
		e.Msg = c.redactText(e.Msg, x.token)
		return e
	}
	if resp.StatusCode/100 != 2 {
		return c.unreadable(x, resp, errors.New("it has no errcode"))
	}
	if x.out != nil {
		if _, err := decode(text, x.out); err != nil {
			return c.unreadable(x, resp, fmt.Errorf("a field is not what it should be: %w", err))
		}
	}
	return nil
}

// unreadable returns the error for an answer that is not WeChat's, whatever became of the call.
// It is nil if err is nil.
func (c *Client) unreadable(x *exchange, resp *http.Response, err error) error {
	if err == nil {
		return nil
	}
	return &TransportError{Path: x.path, Sent: true, Status: resp.StatusCode, Err: c.redact(err, x.token)}
}

// sentTrace watches whether a request may have reached the other side. R-API-OUTCOME
type sentTrace struct{ traced, wrote atomic.Bool }

func (s *sentTrace) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { s.traced.Store(true) },
		WroteHeaders: func() { s.wrote.Store(true) },
	})
}

// maybe is false only if it is certain that nothing was sent. A transport that tells nothing
// may have sent everything.
func (s *sentTrace) maybe() bool { return s.wrote.Load() || !s.traced.Load() }

// redact takes the URL, and with it the token, out of an error.
func (c *Client) redact(err error, token string) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	text := err.Error()
	if clean := c.redactText(text, token); clean != text {
		return errors.New(clean)
	}
	return err
}

// redactText masks the secrets of the account in what others have written.
func (c *Client) redactText(s, token string) string {
	for _, secret := range [...]string{c.config.AppSecret.Reveal(), token} {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, masked)
			s = strings.ReplaceAll(s, url.QueryEscape(secret), masked)
		}
	}
	return tokenInText.ReplaceAllString(s, "${1}"+masked)
}

// noteDate compares WeChat's clock with ours.
func (c *Client) noteDate(date string) {
	if at, err := http.ParseTime(date); err == nil {
		c.stats.clockOffset.Store(int64(at.Sub(c.config.Now()).Truncate(time.Second)))
	}
}

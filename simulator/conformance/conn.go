package conformance

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What net/http cannot send: bodies that trickle, break off, or do not end.

// open makes a connection to the server.
func (p *probe) open(ctx context.Context) (net.Conn, error) {
	u, err := url.Parse(p.cfg.Account.URL)
	if err != nil {
		return nil, err
	}
	dial := p.cfg.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = u.Scheme // a name that net.Dial knows
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil || u.Scheme == "http" {
		return conn, err
	}
	secure := tls.Client(conn, &tls.Config{ServerName: u.Hostname()})
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// head is a signed request up to its body.
func (p *probe) head(framing string) (head string, body []byte) {
	_, r := p.pack(p.text(word()))
	u, err := url.Parse(r.URL)
	if err != nil {
		panic(err) // it was parsed before
	}
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/4.0\r\nContent-Type: text/xml\r\n%s\r\n\r\n",
		u.RequestURI(), u.Host, strings.ReplaceAll(framing, "{length}", fmt.Sprint(len(r.Body)))), r.Body
}

// writeHalf begins a push and leaves it there.
func (p *probe) writeHalf(conn net.Conn) error {
	head, body := p.head("Content-Length: {length}")
	conn.SetWriteDeadline(time.Now().Add(p.cfg.Timeout))
	_, err := io.WriteString(conn, head+string(body[:len(body)/2]))
	return err
}

// beside finds whether a good push is answered while n bodies do not arrive.
func (p *probe) beside(ctx context.Context, n int) finding {
	for range n {
		conn, err := p.open(ctx)
		if err != nil {
			break // a limit of connections, which is right, too
		}
		defer conn.Close()
		if p.writeHalf(conn) != nil {
			break
		}
	}
	f := p.survives(ctx)
	if f.outcome == Fail {
		f.outcome = p.check.Level
	}
	return f
}

// slowEnd finds whether a body that trickles in is given up. R-ORDER-SLOW
func slowEnd(ctx context.Context, p *probe) finding {
	conn, err := p.open(ctx)
	if err != nil {
		return finding{outcome: Skipped, why: sayf("no connection could be made: %v", "无法建立连接：%v", err)}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	limit := 2 * p.cfg.Timeout
	conn.SetDeadline(time.Now().Add(limit))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// An answer, or the end of the connection.
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			resp.Body.Close()
		}
	}()
	head, _ := p.head("Content-Length: 4096")
	start := time.Now()
	io.WriteString(conn, head+"<xml>")
	tick := time.NewTicker(limit / 25)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			if time.Since(start) < limit {
				return finding{}
			}
			return p.wrong(sayf("after %v the server was still waiting", "%v 之后服务器还在等", limit))
		case <-tick.C:
			conn.Write([]byte(" "))
		}
	}
}

// endless finds how much of a body the server takes. A proxy may refuse it at once and
// swallow the rest, so that its answer is not lost. R-ORDER-LIMIT
func endless(ctx context.Context, p *probe) finding {
	conn, err := p.open(ctx)
	if err != nil {
		return finding{outcome: Skipped, why: sayf("no connection could be made: %v", "无法建立连接：%v", err)}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	conn.SetDeadline(time.Now().Add(2 * p.cfg.Timeout))
	refused := make(chan struct{})
	go func() {
		in := bufio.NewReader(conn)
		if resp, err := http.ReadResponse(in, nil); err == nil && resp.StatusCode >= 400 {
			close(refused)
		}
		io.Copy(io.Discard, in) // what else comes must not be in the way
	}()
	head, _ := p.head("Transfer-Encoding: chunked")
	const limit, size = 64 << 20, 64 << 10
	chunk := []byte(fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("x", size)))
	_, err = io.WriteString(conn, head)
	taken := 0
	for ; err == nil && taken < limit && !closed(refused); taken += size {
		_, err = conn.Write(chunk)
	}
	if err == nil && taken >= limit {
		select {
		case <-refused: // it was on its way
		case <-time.After(p.cfg.Timeout / 20):
		}
	}
	conn.Close()
	if f := p.survives(ctx); f.outcome != Pass {
		return f
	}
	if err == nil && !closed(refused) {
		return p.wrong(say("it took all of them", "它全都读了"))
	}
	return finding{}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

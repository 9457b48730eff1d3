package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// floodOptions are those of the scenario flood.
type floodOptions struct {
	Slow int // connections that send a byte now and then
	For  time.Duration
}

// floodMix is forged for the most part.
var floodMix = mix{forged: 0.85, slow: 0.03, slowFrom: 100 * time.Millisecond, slowTo: 1500 * time.Millisecond, pairs: 0.01, silent: 0.01, repeat: 0.02}

const (
	// slowByte is how often a slow connection sends a byte.
	slowByte = 500 * time.Millisecond
	// slowEnds is how soon the server has to be rid of a slow connection. WeChat has been gone for long by then.
	slowEnds = 10 * time.Second
)

// flood has most pushes be forged, and many connections be slow, while genuine messages come. All of it comes from
// addresses that the server trusts, as if from its own reverse proxy, so that no limit by address helps.
func flood(ctx context.Context, r *run, o floodOptions) error {
	c, err := r.newCluster(1, floodMix)
	if err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	s := c.sites[0]
	var mu sync.Mutex
	var lasted []time.Duration
	flooding, stop := context.WithTimeout(ctx, o.For)
	defer stop()
	var slow sync.WaitGroup
	for i := range o.Slow {
		slow.Go(func() {
			for n := i; flooding.Err() == nil; n++ {
				took, err := trickle(flooding, s.nodes[i%nodesOfSite].addr, n%2 == 0)
				mu.Lock()
				if lasted = append(lasted, took); err != nil && len(lasted) < showViolations {
					r.say("a slow connection: %v", err)
				}
				mu.Unlock()
			}
		})
	}
	slow.Wait()
	r.say("the flood is over, %s", c.progress())
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.calm(ctx, false); err != nil {
		return err
	}
	r.report.figure("slow_connection_ms", percentiles(lasted))
	if worst := percentiles(lasted)["max"]; worst > float64(slowEnds.Milliseconds()) {
		r.slow("a slow connection was open for %.0f ms, and the bound is %v", worst, slowEnds)
	}
	idle, err := r.leaks(ctx, s.nodes[0].bot(), s.w)
	if err != nil {
		r.report.broke("look for leaks: %v", err)
	}
	r.report.figure("idle", idle)
	if err := c.finish(ctx, func(e *Evidence) {
		e.Timely, e.Idle = true, idle
		var took []time.Duration
		for _, m := range e.Messages {
			for i := range m.Pushes {
				if p := &m.Pushes[i]; !m.Forged && p.Acked() {
					took = append(took, p.Took-m.Do.Wait)
				}
			}
		}
		r.report.figure("genuine_answer_beside_handler_ms", percentiles(took))
	}); err != nil {
		return err
	}
	r.accepted()
	r.startedOnce()
	return nil
}

// trickle sends a request byte by byte, or its head at once and its body so, until the server has had enough. It returns
// how long that took.
func trickle(ctx context.Context, addr string, head bool) (time.Duration, error) {
	conn, err := dialFromAnywhere(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	began := time.Now()
	request := "POST /wx/plain-api?signature=0123456789abcdef0123456789abcdef01234567&timestamp=1700000000&nonce=1 HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 1000\r\n"
	if !head {
		if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
			return time.Since(began), err
		}
	}
	answer := make([]byte, 1)
	for at := 0; ctx.Err() == nil; at = (at + 1) % len(request) {
		if _, err := conn.Write([]byte{request[at]}); err != nil {
			break
		}
		conn.SetReadDeadline(time.Now().Add(slowByte))
		if _, err := conn.Read(answer); err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			break // an answer, or the end
		}
		if took := time.Since(began); took > 3*slowEnds {
			return took, fmt.Errorf("it is still open after %v", took.Round(time.Second))
		}
	}
	return time.Since(began), nil
}

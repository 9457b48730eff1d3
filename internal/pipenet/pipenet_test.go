package pipenet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/internal/pipenet"
)

func TestHTTPInVirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := pipenet.Listen()
		closed := make(chan time.Time, 1)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/hang" {
				<-r.Context().Done()
				closed <- time.Now()
				return
			}
			time.Sleep(time.Hour)
			io.WriteString(w, "done")
		})}
		go srv.Serve(l)
		defer srv.Close()
		client := &http.Client{Transport: &http.Transport{DialContext: l.DialContext, DisableKeepAlives: true}}

		start := time.Now()
		resp, err := client.Get("http://any.example/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "done" || time.Since(start) != time.Hour {
			t.Errorf("%q after %v", body, time.Since(start))
		}

		// The server sees that the client hangs up.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start = time.Now()
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://any.example/hang", nil)
		if _, err := client.Do(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hang: %v", err)
		}
		if got := (<-closed).Sub(start); got != 5*time.Second {
			t.Errorf("the server saw the cut after %v", got)
		}
	})
}

func TestDial(t *testing.T) {
	t.Parallel()
	l := pipenet.Listen()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.DialContext(ctx, "tcp", "x:80"); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody accepts: %v", err)
	}
	l.Close()
	l.Close()
	var op *net.OpError
	if _, err := l.DialContext(t.Context(), "tcp", "x:80"); !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("closed: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}

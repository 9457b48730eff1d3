package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
)

// An inherited listener is the next process's as soon as this one is told to stop.
func TestHandsOver(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{Inherited: true})
		answered := make(chan *simulator.Report, 1)
		go func() {
			report, err := r.wechat(t).Send(t.Context(), simulator.Text("慢 3"))
			if err != nil {
				t.Error(err)
			}
			answered <- report
		}()
		time.Sleep(time.Second)
		begin := time.Now()
		r.stop()
		synctest.Wait()
		if _, err := r.pushes.DialContext(t.Context(), "", ""); err == nil {
			t.Error("a connection is accepted that is the next process's")
		}
		if report := <-answered; report.Verdict.Reply == nil || report.Verdict.Reply.Content != "等了 3 秒" || len(report.Pushes) != 1 {
			t.Errorf("the open push got %v", report)
		}
		if err := <-r.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(begin); took < 2*time.Second || took > 2100*time.Millisecond {
			t.Errorf("handing over took %v", took)
		}
		if strings.Contains(r.log.String(), "level=WARN") {
			t.Errorf("the log warns:\n%s", r.log)
		}
	})
}

// A connection that was accepted is answered, even if its request comes only then.
func TestAnswersWhatItAccepted(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	for _, inherited := range []bool{false, true} {
		t.Run(fmt.Sprintf("inherited %v", inherited), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := start(t, cfg, Options{Inherited: inherited})
				conn, err := r.pushes.DialContext(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				synctest.Wait()
				r.stop()
				time.Sleep(500 * time.Millisecond)
				if _, err := io.WriteString(conn, "GET /wx/demo HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Error(err)
				}
				answer, err := io.ReadAll(conn)
				if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
					t.Errorf("it got %q, %v", answer, err)
				}
				if err := <-r.ended; err != nil {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// Pushes wait for the next process while a handler goes on, and WeChat cuts them
// after five seconds.
func TestHandsOverInTime(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{Inherited: true})
		go func() { _, _ = r.wechat(t).Send(t.Context(), simulator.Text("慢 60")) }()
		time.Sleep(time.Second)
		begin := time.Now()
		r.end(t)
		if took := time.Since(begin); took < 4400*time.Millisecond || took > 4600*time.Millisecond {
			t.Errorf("handing over took %v", took)
		}
		if !strings.Contains(r.log.String(), "it starts them again") {
			t.Errorf("nothing about it in the log:\n%s", r.log)
		}
		time.Sleep(time.Minute) // the simulated WeChat gives up
	})
}

// Broken storage ends the process at once, also one that drains already.
func TestBrokenStorage(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	for _, draining := range []bool{false, true} {
		t.Run(fmt.Sprintf("draining %v", draining), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				r := start(t, cfg, Options{})
				got := make(chan *simulator.Report, 1)
				go func() {
					w, err := simulator.New(simulator.Config{
						Account: simulator.Account{URL: "http://pipe/wx/demo", Token: testToken, Mode: simulator.Plain},
						Rules:   simulator.Rules{Pushes: 1}, DialContext: r.pushes.DialContext,
					})
					if err != nil {
						t.Error(err)
					}
					report, err := w.Send(t.Context(), simulator.Text("慢 4"))
					if err != nil {
						t.Error(err)
					}
					got <- report
				}()
				time.Sleep(time.Second)
				if draining {
					r.stop()
					time.Sleep(time.Second)
				}
				begin := time.Now()
				r.die(fmt.Errorf("%w: input/output error", store.ErrBroken))
				r.die(errors.New("something else")) // never blocks
				if err := <-r.ended; !errors.Is(err, ErrFatal) || !errors.Is(err, store.ErrBroken) {
					t.Errorf("Run: %v", err)
				}
				if took := time.Since(begin); took > 50*time.Millisecond {
					t.Errorf("the end took %v", took)
				}
				if report := <-got; report.Pushes[0].Status != 0 {
					t.Errorf("the open push was answered: %v", report)
				}
				r.stop()
				time.Sleep(5 * time.Second) // the handler ends
			})
		})
	}
}

// With WaitLock a server waits for the one before it to close the addresses.
func TestWaitsForAddresses(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := load(t, "listen: "+busy.Addr().String()+"\nadmin: 127.0.0.1:0\n"+testYAML)
	token, quiet := filepath.Join(t.TempDir(), "token"), slog.New(slog.DiscardHandler)
	if _, err := New(cfg, &Options{Logger: quiet, TokenFile: token}); err == nil || !strings.Contains(err.Error(), "another program uses "+busy.Addr().String()) {
		t.Fatalf("without waiting: %v", err)
	}
	begin := time.Now()
	if _, err := New(cfg, &Options{Logger: quiet, TokenFile: token, WaitLock: 50 * time.Millisecond}); err == nil || time.Since(begin) < 50*time.Millisecond {
		t.Errorf("after a short wait: %v", err)
	}
	time.AfterFunc(60*time.Millisecond, func() { busy.Close() })
	s, err := New(cfg, &Options{Logger: quiet, TokenFile: token, WaitLock: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextThatHasEnded()
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/simulator"
)

// pushed runs `echostr push` and returns what it says in JSON.
func pushed(t *testing.T, env []string, args ...string) (reportJSON, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t, "echostr"), append([]string{"push", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	text, err := cmd.Output()
	var r reportJSON
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// Where `echostr dev` says that its accounts are pushed to.
const (
	devURL    = `服务器地址\) +(http://\S+)\n`
	devSubURL = `订阅号\) +(http://\S+)\n`
)

// TestDevHolds starts `echostr dev`, and then `echostr push`: the subscription account holds pushes
// until the answer is there, and the service account answers success and later.
func TestDevHolds(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("NOT TESTED with -short: answers after 8 and 12 real seconds")
	}
	env := []string{"XDG_CACHE_HOME=" + t.TempDir(), "HOME=" + t.TempDir()}
	dev := launch(t, env, binary(t, "echostr"), "dev")
	subscription := dev.waitFor(t, devSubURL)
	second := launch(t, append(env, "XDG_CACHE_HOME="+t.TempDir(), "HOME="+t.TempDir()), binary(t, "echostr"), "dev")
	second.waitFor(t, devURL) // on the next free ports

	var wg sync.WaitGroup
	for seconds, push := range map[int]int{3: 1, 8: 2, 12: 3} {
		wg.Go(func() {
			begin := time.Now()
			r, err := pushed(t, env, "--url", subscription, "text", fmt.Sprintf("慢 %d", seconds))
			took := time.Since(begin).Seconds()
			// A slow machine may need one push more, and never one less.
			if err != nil || r.Sees != "reply" || r.Reply.Content != fmt.Sprintf("等了 %d 秒", seconds) || len(r.Pushes) < push {
				t.Errorf("慢 %d: %+v, %v; want the reply on push %d", seconds, r, err, push)
			}
			if took < float64(seconds) {
				t.Errorf("慢 %d took %.2f s", seconds, took)
			}
		})
	}
	wg.Go(func() { // longer than three pushes: no fault notice, but a placeholder with a link
		r, err := pushed(t, env, "--url", subscription, "text", "慢 18")
		if err != nil || r.Sees != "reply" || !strings.Contains(r.Reply.Content, "weixin://bizmsgmenu?") || len(r.Pushes) != 3 {
			t.Errorf("慢 18: %+v, %v", r, err)
		}
	})
	wg.Go(func() { // the service account is the one that is pushed to without --url
		r, err := pushed(t, env, "text", "慢 8")
		if err != nil || r.Sees != "nothing" || len(r.Pushes) != 1 {
			t.Errorf("慢 8 with the customer-service API: %+v, %v", r, err)
		}
	})
	wg.Wait()
	if code := dev.terminate(t); code != 0 || !dev.finished() {
		t.Errorf("SIGTERM: exit code %d, or it did not finish what was under way", code)
	}
}

// startDevProcess starts `echostr dev` on free ports. push writes to the account that holds pushes: it sends a text once and is as patient as
// timeout; open waits until so many pushes are open.
func startDevProcess(t *testing.T) (dev *process, push func(ctx context.Context, text string, timeout time.Duration) *simulator.Report, open func(n int)) {
	t.Helper()
	env := []string{"XDG_CACHE_HOME=" + t.TempDir(), "HOME=" + t.TempDir()}
	dev = launch(t, env, binary(t, "echostr"), "dev", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--page=127.0.0.1:0")
	account := simulator.Account{URL: dev.waitFor(t, devSubURL), Token: config.DevelopmentToken, Mode: simulator.Plain}
	admin := dev.waitFor(t, `管理端口\) +(http://\S+)\n`)
	push = func(ctx context.Context, text string, timeout time.Duration) *simulator.Report {
		w, err := simulator.New(simulator.Config{Account: account, Rules: simulator.Rules{Timeout: timeout, Pushes: 1}})
		if err != nil {
			t.Error(err)
			return nil
		}
		r, _ := w.Send(ctx, simulator.Text(text)) // the report tells
		return r
	}
	open = func(n int) {
		t.Helper()
		text := ""
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			text = fetch(t, "GET", admin+"/metrics", "", nil)
			if strings.Contains(text, fmt.Sprintf("\nechostr_pushes_open %d\n", n)) {
				return
			}
		}
		t.Fatalf("there were never %d pushes open:\n%s", n, text)
	}
	return dev, push, open
}

// TestDrain sends SIGTERM while a push is held.
func TestDrain(t *testing.T) {
	t.Parallel()
	dev, push, open := startDevProcess(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		if r := push(t.Context(), "慢 2", calm.Timeout); r == nil || r.Verdict.Reply == nil || r.Verdict.Reply.Content != "等了 2 秒" {
			t.Errorf("the open push got %v", r)
		}
	})
	wg.Go(func() { // held, and then cut
		_ = push(t.Context(), "慢 6", 5*time.Second)
	})
	open(2)
	if code := dev.terminate(t); code != 0 || !dev.finished() {
		t.Errorf("exit code %d, or it did not finish what was under way", code)
	}
	wg.Wait()
}

// TestSecondSignal ends at once, unless it comes together with the first, as from timeout(1).
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	dev, push, open := startDevProcess(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = push(ctx, "慢 60", calm.Timeout) })
	open(1)
	for range 2 {
		if err := dev.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	dev.waitFor(t, `(draining)`)
	time.Sleep(sameSignal + 200*time.Millisecond)
	if code := dev.terminate(t); code == 0 {
		t.Error("exit code 0")
	}
	if log := dev.String(); !strings.Contains(log, "second signal") || strings.Contains(log, "msg=drained") {
		t.Errorf("nobody is told why it ended, or it did not end at once:\n%s", log)
	}
}

// TestExitCodes checks what a service manager sees.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	yaml := execute(t, "", "account", "new", "shop").out
	busy := launch(t, []string{"XDG_CACHE_HOME=" + t.TempDir(), "HOME=" + t.TempDir()}, binary(t, "echostr"), "dev", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--page=127.0.0.1:0")
	address := busy.waitFor(t, `服务器地址\) +http://([^/]+)/`)
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"bad configuration", []string{"serve", "-c", write(t, "a.yaml", strings.Replace(yaml, "mode: safe", "mode: open", 1))}, 78, "a.yaml:6:11: accounts[0].mode: "},
		{"the development account", []string{"serve", "-c", write(t, "b.yaml", regexp.MustCompile(`token: \S+`).ReplaceAllString(yaml, "token: "+config.DevelopmentToken))}, 78, "b.yaml:4:12: accounts[0].token: "},
		{"no configuration", []string{"serve"}, 78, "echostr.yaml"},
		{"a busy port", []string{"serve", "-c", write(t, "c.yaml", "listen: "+address+"\n"+yaml)}, 1, "another program uses " + address},
		{"an unknown flag", []string{"serve", "--fast"}, 2, "--fast"},
		{"no server", []string{"push", "--url", "http://127.0.0.1:1/wx/dev", "text", "x"}, 1, ""},
		{"version", []string{"version"}, 0, "echostr "},
	}
	for _, tt := range tests {
		p := launch(t, nil, binary(t, "echostr"), tt.args...)
		if code := p.wait(t); code != tt.code || !strings.Contains(p.String(), tt.want) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", tt.name, code, tt.code, tt.want, p)
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/config"
)

// pushed runs `echostr push` and returns what it says in JSON.
func pushed(t *testing.T, env []string, args ...string) (reportJSON, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
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

// TestDevHolds is the promise of the README: `echostr dev`, then `echostr push`.
func TestDevHolds(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("NOT TESTED with -short: answers after 8 and 13 real seconds")
	}
	env := []string{"XDG_CACHE_HOME=" + t.TempDir(), "HOME=" + t.TempDir()}
	dev := launch(t, env, binary(t, "echostr"), "dev")
	dev.waitFor(t, `服务器地址\) +(http://\S+)\n`)
	second := launch(t, append(env, "XDG_CACHE_HOME="+t.TempDir(), "HOME="+t.TempDir()), binary(t, "echostr"), "dev")
	second.waitFor(t, `服务器地址\) +(http://\S+)\n`) // on the next free ports

	var wg sync.WaitGroup
	for seconds, push := range map[int]int{3: 1, 8: 2, 13: 3} {
		wg.Go(func() {
			begin := time.Now()
			r, err := pushed(t, env, "text", fmt.Sprintf("慢 %d", seconds))
			took := time.Since(begin).Seconds()
			if err != nil || r.Sees != "reply" || r.Reply.Content != fmt.Sprintf("等了 %d 秒", seconds) || len(r.Pushes) != push {
				t.Errorf("慢 %d: %+v, %v; want the reply on push %d", seconds, r, err, push)
			}
			if took < float64(seconds) { // the number of pushes says that it was not much longer
				t.Errorf("慢 %d took %.2f s", seconds, took)
			}
		})
	}
	wg.Go(func() { // longer than three pushes: no fault notice
		r, err := pushed(t, env, "text", "慢 15")
		if err != nil || r.Sees != "nothing" || len(r.Pushes) != 3 {
			t.Errorf("慢 15: %+v, %v", r, err)
		}
	})
	wg.Wait()
	if code, took := dev.terminate(t); code != 0 || took > 10*time.Second {
		t.Errorf("SIGTERM: exit code %d after %v", code, took)
	}
}

// TestDrain sends SIGTERM while a push is held.
func TestDrain(t *testing.T) {
	t.Parallel()
	env := []string{"XDG_CACHE_HOME=" + t.TempDir(), "HOME=" + t.TempDir()}
	dev := launch(t, env, binary(t, "echostr"), "dev", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--page=127.0.0.1:0")
	dev.waitFor(t, `服务器地址\) +(http://\S+)\n`)
	admin := dev.waitFor(t, `管理端口\) +(http://\S+)\n`)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		r, err := pushed(t, env, "text", "慢 2", "--once")
		if err != nil || r.Reply == nil || r.Reply.Content != "等了 2 秒" {
			t.Errorf("the open push got %+v, %v", r, err)
		}
	}()
	hanging := make(chan struct{})
	go func() { // held, and then cut
		defer close(hanging)
		_, _ = pushed(t, env, "text", "慢 6", "--once")
	}()
	for open := 0; open < 2; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if m := regexp.MustCompile(`(?m)^echostr_pushes_open (\d+)$`).FindSubmatch(text); m != nil {
			fmt.Sscan(string(m[1]), &open)
		}
	}
	code, took := dev.terminate(t)
	if code != 0 || took < 4*time.Second || took > 9*time.Second {
		t.Errorf("exit code %d after %v", code, took)
	}
	<-answered
	<-hanging
	if log := dev.String(); !strings.Contains(log, "draining") || !strings.Contains(log, "msg=drained") || strings.Contains(log, "still running") {
		t.Error("the log does not say that all was finished")
	}
}

// TestSecondSignal ends at once, unless it comes together with the first, as from timeout(1).
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	env := []string{"XDG_CACHE_HOME=" + t.TempDir(), "HOME=" + t.TempDir()}
	dev := launch(t, env, binary(t, "echostr"), "dev", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--page=127.0.0.1:0")
	dev.waitFor(t, `服务器地址\) +(http://\S+)\n`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	state := write(t, "message.xml", "<xml><MsgType>text</MsgType><Content>慢 60</Content></xml>")
	cmd := exec.CommandContext(ctx, binary(t, "echostr"), "push", "--once", state)
	cmd.Env = append(os.Environ(), env...)
	out := new(output)
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.waitFor(t, `(push 1)`)
	time.Sleep(100 * time.Millisecond) // the push is on its way
	for range 2 {
		if err := dev.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	dev.waitFor(t, `(draining)`)
	time.Sleep(sameSignal + 200*time.Millisecond)
	begin := time.Now()
	if err := dev.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := dev.wait(t); code == 0 || time.Since(begin) > idleEnd {
		t.Errorf("exit code %d after %v", code, time.Since(begin))
	}
	if log := dev.String(); !strings.Contains(log, "second signal") {
		t.Errorf("nobody is told why it ended:\n%s", log)
	}
	cancel()
	_ = cmd.Wait()
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

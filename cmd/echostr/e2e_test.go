package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/echostr/echostr/simulator"
)

// The tests in the files e2e_* start real processes and talk to them over real
// sockets, as WeChat and an operator do.

// binaries are built once, static as `make build` makes them.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(os.Getenv("XDG_CACHE_HOME"), "bin-*") // TestMain removes it
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", dir+string(filepath.Separator), ".", "./testdata/witness")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "HOME="+home, "XDG_CACHE_HOME="+cacheHome) // the build cache is the user's
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, text)
	}
	return dir, nil
})

func binary(t *testing.T, name string) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(dir, name)
}

// process is a program that was started, with all that it has printed.
type process struct {
	cmd *exec.Cmd
	*output
	ended chan struct{}
	err   error // of Wait, after ended
}

// launch starts a program in a directory of its own.
func launch(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), output: new(output), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.Env = append(os.Environ(), env...)
	p.start(t)
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	p.cmd.Dir = t.TempDir()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(p.cmd.Args[0]), p.output)
		}
	})
}

// patience is how long a test waits for what is sure to come: far longer than even a slow and
// busy machine needs, since nobody waits for it unless something is broken.
const patience = 2 * time.Minute

// calm has a server answer the first push, however slow the machine is.
var calm = simulator.Rules{Timeout: 30 * time.Second}

// terminate sends SIGTERM and returns the exit code.
func (p *process) terminate(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

// finished reports whether a server that was told to stop says that it has finished everything,
// and not that its time was over before.
func (p *process) finished() bool {
	log := p.String()
	return strings.Contains(log, "draining") && strings.Contains(log, "msg=drained") && !strings.Contains(log, " were still ")
}

func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// modes has one account for each mode.
var modes = []simulator.Account{
	{URL: "plain", Mode: simulator.Plain, Token: "z8Qw3rTy6UiOp1AsDf4GhJk7LzXc0Vb1", AppID: "wx0000000000000001", EncodingAESKey: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFA"},
	{URL: "compatible", Mode: simulator.Compatible, Token: "z8Qw3rTy6UiOp1AsDf4GhJk7LzXc0Vb2", AppID: "wx0000000000000002", EncodingAESKey: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFE"},
	{URL: "safe", Mode: simulator.Safe, Token: "z8Qw3rTy6UiOp1AsDf4GhJk7LzXc0Vb3", AppID: "wx0000000000000003", EncodingAESKey: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFI"},
}

func modesYAML(bot string) string {
	var b strings.Builder
	b.WriteString("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\naccounts:\n")
	for _, a := range modes {
		fmt.Fprintf(&b, "  - {name: %s, app_id: %s, token: %s, encoding_aes_key: %s, mode: %s%s}\n", a.URL, a.AppID, a.Token, a.EncodingAESKey, a.Mode, bot)
	}
	return b.String()
}

func wechat(t *testing.T, base string, a simulator.Account, rules simulator.Rules) *simulator.WeChat {
	t.Helper()
	a.URL = base + "/wx/" + a.URL
	w, err := simulator.New(simulator.Config{Account: a, Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

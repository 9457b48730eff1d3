package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
)

// running is a server that a test talks to.
type running struct {
	*process
	base   string
	client *server.Client
}

// serve starts `echostr serve`.
func serve(t *testing.T, file string, args ...string) *running {
	t.Helper()
	p := launch(t, nil, binary(t, "echostr"), append([]string{"serve", "-c", file}, args...)...)
	base := p.waitFor(t, `account plain: (http://[^/]+)/wx/plain`)
	token, err := server.ReadToken(filepath.Join(filepath.Dir(file), "echostr.admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	return &running{p, base, &server.Client{Address: p.waitFor(t, `admin: http://(\S+)\n`), Token: token}}
}

// only returns the one turn there is, when it is as wanted.
func (r *running) only(t *testing.T, wanted func(*server.Turn) bool) *server.Turn {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		turns, err := r.client.Turns(t.Context(), server.TurnFilter{})
		if err == nil && len(turns) == 1 && wanted(&turns[0]) {
			return &turns[0]
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, %v", turns, err)
		}
	}
}

// kill is what no process can refuse.
func (r *running) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.ended
}

// TestKilled kills a server while a handler runs and starts it again. P1 P2
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		t.Run(fmt.Sprintf("once %v", once), func(t *testing.T) {
			t.Parallel()
			file := write(t, "echostr.yaml", modesYAML(fmt.Sprintf(", bot: demo, once: %v, fallback: 出了点问题", once)))
			first := serve(t, file)
			sent := make(chan *simulator.Report, 1)
			go func() {
				r, err := wechat(t, first.base, modes[0], simulator.Rules{Timeout: calm.Timeout, Pushes: 1}).Send(t.Context(), simulator.Text("慢 3"))
				if err != nil {
					t.Error(err)
				}
				sent <- r
			}()
			before := first.only(t, func(turn *server.Turn) bool { return turn.State == store.Running })
			first.kill(t)
			report := <-sent
			if report.Verdict.Reply != nil || before.Attempt != 1 {
				t.Fatalf("killed too late: %v %+v", report, before)
			}

			// What the next one has recovered is read without it, too.
			looked := execute(t, "", "turn", "ls", "-c", file, "--state", "running")
			if looked.code != 0 || !strings.Contains(looked.out, " 1 open ") || !strings.Contains(looked.out, " running (interrupted) ") || !strings.Contains(looked.out, "takes it over") || looked.err != "no server answers; reading "+filepath.Join(filepath.Dir(file), "echostr.db")+"\n" {
				t.Errorf("turn ls without a server: %+v", looked)
			}

			looked = execute(t, "", "turn", "show", "-c", file, before.Key)
			if looked.code != 0 || !strings.Contains(looked.out, "state          running (interrupted: ") {
				t.Errorf("turn show without a server: %+v", looked)
			}
			looked = execute(t, "", "turn", "ls", "-c", file, "--json")
			if looked.code != 0 || !strings.Contains(looked.out, `"interrupted": true`) {
				t.Errorf("turn ls --json without a server: %+v", looked)
			}

			second := serve(t, file)
			again, err := wechat(t, second.base, modes[0], calm).Repeat(t.Context(), report)
			if err != nil {
				t.Fatal(err)
			}
			want, state, starts, reason := "等了 3 秒", store.Answered, 2, ""
			if once {
				want, state, starts, reason = "出了点问题", store.Failed, 1, "interrupted: "
			}
			if again.Verdict.Reply == nil || again.Verdict.Reply.Content != want {
				t.Errorf("the retry got %v, want %q", again, want)
			}
			turn := second.only(t, func(turn *server.Turn) bool { return turn.State == state && turn.Seen == 2 })
			if turn.Key != before.Key || turn.Attempt != starts || !strings.HasPrefix(turn.Reason, reason) {
				t.Errorf("%+v", turn)
			}
			// Of all that `turn show` prints what an operator looks for after a crash.
			if code := second.terminate(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if delivered := execute(t, "", "turn", "ls", "-c", file, "--delivery", "written"); strings.Contains(delivered.out, "answered  written (push 2)") == once {
				t.Errorf("turn ls --delivery: %+v", delivered)
			}
			show := execute(t, "", "turn", "show", "-c", file, turn.Key[:shownKey])
			for _, line := range []string{fmt.Sprintf("starts         %d\n", starts), "push 1", "state          " + state.String()} {
				if !strings.Contains(show.out, line) {
					t.Errorf("%q is not in\n%s%s", line, show.out, show.err)
				}
			}
		})
	}
}

// TestQuarantine: a message whose handler kills the process is started three times
// and no more, and others are answered. P2, P9
func TestQuarantine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, witness := filepath.Join(dir, "echostr.yaml"), filepath.Join(dir, "witness")
	if err := os.WriteFile(file, []byte(modesYAML("")), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() *process { return launch(t, nil, binary(t, "witness"), file, witness, "0s") }
	p := start()
	base := p.waitFor(t, `listening: (\S+)\n`)
	killed, err := wechat(t, base, modes[0], simulator.Rules{Timeout: calm.Timeout, Pushes: 1}).Send(t.Context(), simulator.Text("kill -9"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		select {
		case <-p.ended:
		case <-time.After(patience):
			t.Fatalf("the process survived start %d of the handler", i+1)
		}
		p = start() // and dies of what it finds
	}
	<-p.ended
	p = start()
	base = p.waitFor(t, `listening: (\S+)\n`)
	again, err := wechat(t, base, modes[0], calm).Repeat(t.Context(), killed)
	if err != nil || again.Verdict.Reply != nil || !again.Verdict.OK() {
		t.Errorf("the retry got %v, %v; want success", again, err)
	}
	other, err := wechat(t, base, modes[0], calm).Send(t.Context(), simulator.Text("你好"))
	if err != nil || other.Verdict.Reply == nil {
		t.Errorf("another message: %v, %v", other, err)
	}
	if code := p.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := strings.Count(read(t, witness), "\n"); n != 4 {
		t.Errorf("%d starts, want three and the one of the other message:\n%s", n, read(t, witness))
	}
	got := execute(t, "", "turn", "ls", "-c", file, "--state", "failed")
	if !strings.Contains(got.out, "quarantined: the process died in every attempt") {
		t.Errorf("%+v", got)
	}
}

// inherit starts a program with a listening socket, as a service manager does.
func inherit(t *testing.T, socket *os.File, names, program string, args ...string) *process {
	t.Helper()
	p := &process{output: new(output), ended: make(chan struct{})}
	p.cmd = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, program}, args...)...)
	p.cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+names)
	p.cmd.ExtraFiles = []*os.File{socket}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.start(t)
	return p
}

// TestRestartUnderLoad: no connection is refused and nothing runs twice when one process
// hands its socket over to the next.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED on Windows: it inherits no sockets")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	base := "http://" + listener.Addr().String()
	dir := t.TempDir()
	file, witness := filepath.Join(dir, "echostr.yaml"), filepath.Join(dir, "witness")
	if err := os.WriteFile(file, []byte(strings.Replace(modesYAML(""), "listen: 127.0.0.1:0", "listen: 127.0.0.1:1", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() *process { return inherit(t, socket, "listen", binary(t, "witness"), file, witness, "20ms") }

	p := start()
	p.waitFor(t, `listening: (\S+)\n`)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var mu sync.Mutex
	var sent, bad []string
	for i := range 8 {
		load.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				m := simulator.Text("你好")
				m.FromUserName = fmt.Sprintf("o%d-%d", i, n)
				r, err := wechat(t, base, modes[0], calm).Send(t.Context(), m)
				mu.Lock()
				sent = append(sent, m.FromUserName)
				if err != nil || r.Verdict.Reply == nil || len(r.Pushes) != 1 {
					bad = append(bad, fmt.Sprintf("%s: %v %v", m.FromUserName, r, err))
				}
				mu.Unlock()
			}
		})
	}
	for range 5 {
		time.Sleep(200 * time.Millisecond)
		next := start() // waits for the database
		if code := p.terminate(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
		next.waitFor(t, `listening: (\S+)\n`)
		p = next
	}
	stop()
	load.Wait()
	for _, line := range bad {
		t.Errorf("not answered at the first push: %s", line)
	}
	var started []string
	for line := range strings.Lines(read(t, witness)) {
		started = append(started, strings.Fields(line)[3])
	}
	slices.Sort(sent)
	slices.Sort(started)
	if !slices.Equal(sent, started) {
		t.Errorf("%d messages and %d starts", len(sent), len(started))
	}
	t.Logf("%d messages during 5 restarts", len(sent))
}

// TestInherited: `echostr serve` takes the socket, whatever address is configured.
func TestInherited(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED on Windows: it inherits no sockets")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file := write(t, "echostr.yaml", "store: memory:\n"+modesYAML(", bot: demo"))
	p := inherit(t, socket, "admin", binary(t, "echostr"), "serve", "-c", file)
	p.waitFor(t, `admin: http://(`+listener.Addr().String()+`)\n`)
	if resp, err := http.Get("http://" + listener.Addr().String() + "/healthz"); err != nil || resp.StatusCode != 200 {
		t.Errorf("%v %v", resp, err)
	}
	if code := p.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	notListening, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer notListening.Close()
	p = inherit(t, notListening, "", binary(t, "echostr"), "serve", "-c", file)
	if code := p.wait(t); code != exitConfig || !strings.Contains(p.String(), "ListenStream=") {
		t.Errorf("exit code %d:\n%s", code, p)
	}
}

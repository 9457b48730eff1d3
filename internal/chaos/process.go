package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one life of the bot.
type process struct {
	cmd   *exec.Cmd
	life  Life // Ended, Clean and Exit only once done is closed
	admin string
	ready chan struct{} // closed when the line with its addresses has come
	done  chan struct{} // closed when it has ended
	told  bool          // to stop
}

// how to start the bot.
type startOptions struct {
	before []string // a program to run it under, such as strace with its flags
	socket *os.File // a listening socket to inherit
	pure   bool
	wait   time.Duration // for the lock of the database
	config string        // Defaults to the run's.
	node   int           // from 1, if there are several
}

// start starts the bot and returns at once.
func (r *run) start(o startOptions) (*process, error) {
	args := append([]string{}, o.before...)
	if o.socket != nil {
		// The sockets are for the process with this number only, which is not
		// known before there is one.
		args = append(args, "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`)
	}
	if o.config == "" {
		o.config = r.configFile
	}
	args = append(args, r.opts.Bot...)
	args = append(args, "-config", o.config, "-witness", r.witnessFile, "-wait-lock", o.wait.String())
	if o.pure {
		args = append(args, "-pure")
	}
	p := &process{cmd: exec.Command(args[0], args[1:]...), ready: make(chan struct{}), done: make(chan struct{})}
	p.cmd.SysProcAttr = childAttributes()
	p.cmd.Stderr = r.botLog
	p.cmd.Env = os.Environ()
	if o.socket != nil {
		p.cmd.ExtraFiles = []*os.File{o.socket}
		p.cmd.Env = append(p.cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=listen")
	}
	// Not StdoutPipe, since Wait would close it while it is being read.
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout = in
	p.life.Started, p.life.Node = time.Now(), o.node
	if err := p.cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return nil, fmt.Errorf("start the bot: %w", err)
	}
	in.Close()
	p.life.PID = p.cmd.Process.Pid
	var reading sync.WaitGroup
	reading.Go(func() { p.read(out) })
	go func() {
		err := p.cmd.Wait()
		ended := time.Now()
		reading.Wait() // the pipe ends with the last process that has it
		p.life.Ended = ended
		p.life.Exit = p.cmd.ProcessState.ExitCode()
		p.life.Clean = err == nil
		close(p.done)
	}()
	r.mu.Lock()
	r.processes = append(r.processes, p)
	r.mu.Unlock()
	return p, nil
}

// read takes the line that says that the bot is ready.
func (p *process) read(out io.ReadCloser) {
	defer out.Close()
	in := bufio.NewScanner(out)
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) != 4 || f[0] != "ready" {
			continue
		}
		if pid, err := strconv.Atoi(f[1]); err == nil {
			p.life.PID, p.admin, p.life.Ready = pid, f[3], time.Now()
			close(p.ready)
			break
		}
	}
	io.Copy(io.Discard, out)
}

// waitReady waits until the process can accept connections.
func (p *process) waitReady(d time.Duration) error {
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		select {
		case <-p.ready:
			return nil
		default:
		}
		return fmt.Errorf("the bot ended with %d before it was ready", p.life.Exit)
	case <-time.After(d):
		return fmt.Errorf("the bot was not ready after %v", d)
	}
}

func (p *process) isReady() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the process as kill -9 does, and waits until it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.cmd.Process.Kill() // what it runs under, if it runs under something
	<-p.done
}

// signal sends a signal to the bot itself, also when it runs under strace.
func (p *process) signal(s os.Signal) error {
	if p.isReady() && p.life.PID != p.cmd.Process.Pid {
		target, err := os.FindProcess(p.life.PID)
		if err != nil {
			return err
		}
		return target.Signal(s)
	}
	return p.cmd.Process.Signal(s)
}

// drainTime is when a bot that drains begins to leave what is under way; all of it ends a second later.
const drainTime = 9 * time.Second

// stop tells the process to drain, and waits for its end.
func (p *process) stop(d time.Duration) error {
	p.told = true
	told := time.Now()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		p.life.Hurried = p.life.Ended.Sub(told) > drainTime
	case <-time.After(d):
		p.kill()
		return fmt.Errorf("the bot did not end within %v of being told to", d)
	}
	if p.life.Exit != 0 {
		return fmt.Errorf("the bot ended with %d after being told to stop", p.life.Exit)
	}
	return nil
}

// metrics reads the numbers of the admin listener, by name with labels.
func (p *process) metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the metrics were answered with status %d", resp.StatusCode)
	}
	m := make(map[string]float64)
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		line := in.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		if at := strings.LastIndexByte(line, ' '); at > 0 {
			if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
				m[line[:at]] = v
			}
		}
	}
	return m, nil
}

// quiet waits until no push is open and no handler runs, for d at most.
func (p *process) quiet(ctx context.Context, d time.Duration) error {
	for deadline := time.Now().Add(d); ; {
		m, err := p.metrics(ctx)
		if err == nil && m["echostr_pushes_open"] == 0 && m["echostr_handlers_running"] == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("the bot was still busy after %v: %v pushes open, %v handlers running", d, m["echostr_pushes_open"], m["echostr_handlers_running"]), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// usage is what the process takes now.
func (p *process) usage(ctx context.Context) (Usage, error) {
	m, err := p.metrics(ctx)
	return Usage{
		Goroutines:  int(m["go_goroutines"]),
		Descriptors: int(m["process_open_fds"]),
		ResidentKiB: int(m["process_resident_memory_bytes"] / 1024),
	}, err
}

// freePort finds an address of loopback whose port lies below those that the
// kernel gives to connections, so that none takes it while the bot is down.
func freePort(from int) (string, error) {
	for port := from; port < from+2000; port++ {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if _, taken := portsTaken.LoadOrStore(port, true); taken {
			continue // by a run beside this one
		}
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address, nil
		}
	}
	return "", errors.New("no port of loopback is free")
}

// portsTaken are the ports that freePort has given away.
var portsTaken sync.Map

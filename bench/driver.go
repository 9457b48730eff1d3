package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/echostr/echostr/internal/pgtest"
)

// bench is one run of the program.
type bench struct {
	counts
	dir     string // of databases and the like, gone at the end
	name    string // of the machine
	servers string // which of them
	profile string
	log     func(format string, args ...any)

	server     *pgtest.Server
	version    string // of PostgreSQL
	postmaster int    // its main process
	files      int
}

// path is one that nothing else has, in dir.
func (b *bench) path(name string) string {
	b.files++
	return filepath.Join(b.dir, strconv.Itoa(b.files)+name)
}

// postgres is an empty database. ok is false where the machine has no PostgreSQL.
func (b *bench) postgres() (dsn string, ok bool, err error) {
	if pgtest.Missing() != "" {
		return "", false, nil
	}
	if b.server == nil {
		if b.server, err = pgtest.Start(); err != nil {
			return "", false, err
		}
		if dsn, err = b.server.Schema(); err != nil {
			return "", false, err
		}
		conn, err := pgx.Connect(context.Background(), dsn)
		if err != nil {
			return "", false, err
		}
		defer conn.Close(context.Background())
		b.version, b.postmaster = conn.PgConn().ParameterStatus("server_version"), parentOf(int(conn.PgConn().PID()))
	}
	dsn, err = b.server.Schema()
	return dsn, true, err
}

const noPostgres = "PostgreSQL was not measured: the machine has no initdb and pg_ctl."

func (b *bench) close() {
	if b.server != nil {
		b.server.Close()
		b.server = nil
	}
}

// takeTurns calls do for each of n things, rounds times. Each round begins with another one, so that none always follows the same.
func (b *bench) takeTurns(n int, do func(i int) error) error {
	for r := range b.rounds {
		for i := range n {
			if err := do((r + i) % n); err != nil {
				return err
			}
		}
	}
	return nil
}

// process is a server, or another program beside it.
type process struct {
	cmd  *exec.Cmd
	addr string
	in   io.WriteCloser
	out  *bufio.Reader
	stop func()
}

// start starts this program in a role, on the first core.
func (b *bench) start(r role) (*process, error) { return b.startOn("0", r) }

// startOn starts it on a core; "" leaves that to the system. What a library prints goes nowhere: what a role has to say it
// says on a pipe of its own.
func (b *bench) startOn(core string, r role) (_ *process, err error) {
	r.Profile = b.profile
	spec, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{self}
	if taskset := pinner(); taskset != "" && core != "" {
		args = []string{taskset, "-c", core, self}
	}
	s := &process{cmd: exec.Command(args[0], args[1:]...)}
	s.cmd.Env = append(os.Environ(), roleVariable+"="+string(spec))
	if !r.peer() {
		s.cmd.Stderr = os.Stderr
	}
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, end, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.cmd.ExtraFiles = []*os.File{end}
	err = s.cmd.Start()
	end.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	s.out = bufio.NewReader(out)
	s.stop = sync.OnceFunc(func() {
		s.in.Close()
		s.cmd.Wait()
		out.Close()
	})
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("%v has ended before it was ready", &r)
	}
	s.addr = strings.TrimSpace(line)
	return s, nil
}

// pinner is the program that gives a process a core of its own: "" without one, or without a second core for the load.
var pinner = sync.OnceValue(func() string {
	if runtime.NumCPU() < 2 {
		return ""
	}
	taskset, _ := exec.LookPath("taskset")
	return taskset
})

// usage is what a server takes, in bytes, after a collection of its garbage.
type usage struct{ resident, heap, stacks float64 }

func (s *process) memory() (m usage, err error) {
	if _, err := io.WriteString(s.in, "gc\n"); err != nil {
		return m, err
	}
	if _, err := fmt.Fscanln(s.out, &m.heap, &m.stacks); err != nil {
		return m, err
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return m, err
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	m.resident = float64(pages * os.Getpagesize())
	return m, err
}

// cpu is the processor time that the server has used.
func (s *process) cpu() (time.Duration, error) { return cpuOf(s.cmd.Process.Pid) }

// cpuOf is the processor time of a process: its threads, of which Go's do not end.
func cpuOf(pid int) (sum time.Duration, err error) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, err
	}
	for _, t := range threads {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, t.Name()))
		if err != nil {
			continue // it has ended
		}
		n, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// databaseCPU is the processor time that PostgreSQL has used: its main process, and those that this has started and that still run.
func (b *bench) databaseCPU() (sum time.Duration, err error) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, p := range all {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid != b.postmaster && parentOf(pid) != b.postmaster {
			continue
		}
		if t, err := cpuOf(pid); err == nil { // else it has ended
			sum += t
		}
	}
	return sum, nil
}

func parentOf(pid int) int {
	n, _ := strconv.Atoi(field(fmt.Sprintf("/proc/%d/status", pid), "PPid"))
	return n
}

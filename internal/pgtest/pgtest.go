// Package pgtest gives tests, and the fault harness, a PostgreSQL of their own.
//
// The first test of a process that asks for a database makes a cluster in a temporary directory,
// on a Unix socket that only this user can reach, and every test gets a new schema in it. A
// watchdog, which waits for the end of a pipe from this process, stops the cluster and removes the
// directory however the process ends.
//
// Where initdb and pg_ctl are missing, tests are skipped with the line that installs them, or fail if
// the environment variable ECHOSTR_TEST_REQUIRE names postgres in its list. ECHOSTR_TEST_POSTGRES
// names a database of an existing server instead, by its address; its user must be allowed to make schemas there.
package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const missing = "PostgreSQL is missing: apt-get install postgresql, or name a server in ECHOSTR_TEST_POSTGRES"

// DSN makes an empty schema for one test and returns the address under which it is the whole database. It
// is dropped when the test has ended.
func DSN(t testing.TB) string {
	t.Helper()
	if address := os.Getenv("ECHOSTR_TEST_POSTGRES"); address != "" {
		return schema(t, address)
	}
	need(t)
	s, err := shared()
	if err != nil {
		t.Fatalf("PostgreSQL does not start: %v", err)
	}
	return s.DSN(t)
}

// shared is the cluster that all tests of the process use.
var shared = sync.OnceValues(func() (*Server, error) { return start("") })

// Server is a cluster of a test's own, which it may stop and start.
type Server struct {
	tools tools
	dir   string // of the data
	home  string // what is removed in the end

	watchdog struct { // whatever refers to the server keeps the end of its pipe open
		*exec.Cmd
		end io.Closer
	}
}

// Missing says what keeps this machine from running a cluster, and how to change that; "" if nothing does.
func Missing() string {
	if _, err := find(); err != nil {
		return missing
	}
	return ""
}

// Start starts a cluster for a program that is no test. The watchdog ends it with the program; Close does so before.
func Start() (*Server, error) { return start("") }

// Close ends the server and removes its data. Call it once.
func (s *Server) Close() error {
	s.watchdog.end.Close()
	return s.watchdog.Wait()
}

// NewServer starts a cluster for one test. It is stopped when the test has ended.
func NewServer(t testing.TB) *Server {
	t.Helper()
	need(t)
	main, err := shared()
	if err != nil {
		t.Fatalf("PostgreSQL does not start: %v", err)
	}
	s, err := start(filepath.Join(main.home, "template"))
	if err != nil {
		t.Fatalf("PostgreSQL does not start: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("the watchdog of PostgreSQL: %v", err)
		}
	})
	return s
}

// DSN is like the function DSN, in this cluster.
func (s *Server) DSN(t testing.TB) string {
	t.Helper()
	return schema(t, s.address())
}

// Schema is DSN for a program that is no test. Nobody drops the schema before the server is closed.
func (s *Server) Schema() (dsn string, err error) {
	dsn, _, err = makeSchema(s.address())
	return dsn, err
}

func (s *Server) address() string {
	return "postgres:///postgres?user=echostr&host=" + url.QueryEscape(s.home)
}

// Crash ends the server at once, as a crash does: what was not flushed is lost. Recover starts it again and waits until
// it takes connections.
func (s *Server) Crash() error { return s.control("-m", "immediate", "-w", "stop") }

// Recover starts a stopped server.
func (s *Server) Recover() error { return s.start() }

// Stop is Crash for a test.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.Crash(); err != nil {
		t.Errorf("PostgreSQL does not stop: %v", err)
	}
}

// Start is Recover for a test.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.Recover(); err != nil {
		t.Fatalf("PostgreSQL does not start: %v", err)
	}
}

func (s *Server) start() error {
	log := filepath.Join(s.home, "log")
	if err := s.control("-l", log, "-w", "-t", "60", "start"); err != nil {
		text, _ := os.ReadFile(log)
		return fmt.Errorf("%w\n%s", err, text)
	}
	return nil
}

func (s *Server) control(args ...string) error {
	return s.tools.run(s.home, s.tools.pgCtl, append([]string{"-D", s.dir, "-s"}, args...)...)
}

// schema is makeSchema for a test, which drops it in the end.
func schema(t testing.TB, address string) string {
	t.Helper()
	dsn, drop, err := makeSchema(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil && os.Getenv("ECHOSTR_TEST_POSTGRES") != "" {
			t.Errorf("a schema cannot be dropped: %v", err) // a cluster of ours may have been stopped by the test
		}
	})
	return dsn
}

// makeSchema makes an empty schema in the database with an address, and returns the address of both, and
// what drops it.
func makeSchema(address string) (dsn string, drop func() error, err error) {
	name := "echostr_" + strings.ToLower(rand.Text()[:12])
	do := func(statement string) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, address)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, statement)
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", nil, errors.New("ECHOSTR_TEST_POSTGRES is no address like postgres://user:password@host:5432/name")
	}
	if err := do("CREATE SCHEMA " + name); err != nil {
		return "", nil, fmt.Errorf("no schema can be made: %w", err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), func() error { return do("DROP SCHEMA " + name + " CASCADE") }, nil
}

// need skips the test where the programs are missing, unless they are required.
func need(t testing.TB) {
	t.Helper()
	if Missing() == "" {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("ECHOSTR_TEST_REQUIRE"), ","), "postgres") {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// tools are PostgreSQL's programs, and the user who runs them.
type tools struct {
	initdb, pgCtl string
	user          *account // nil: the one who runs the tests
}

// find looks for the programs where PATH and the packages of Debian and Red Hat have them.
var find = sync.OnceValues(func() (tools, error) {
	if runtime.GOOS == "windows" {
		return tools{}, errors.New("there is no Unix socket for a private cluster")
	}
	initdb, errInit := exec.LookPath("initdb")
	pgCtl, errCtl := exec.LookPath("pg_ctl")
	if errInit != nil || errCtl != nil {
		var found []string
		for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb"} {
			some, _ := filepath.Glob(pattern)
			found = append(found, some...)
		}
		if len(found) == 0 {
			return tools{}, exec.ErrNotFound
		}
		initdb = slices.MaxFunc(found, func(a, b string) int {
			if len(a) != len(b) {
				return len(a) - len(b) // 9.6 is older than 10
			}
			return strings.Compare(a, b)
		})
		pgCtl = filepath.Join(filepath.Dir(initdb), "pg_ctl")
	}
	user, err := unprivileged()
	return tools{initdb, pgCtl, user}, err
})

// start makes a cluster, as a copy of a template if there is one.
func start(template string) (_ *Server, err error) {
	tools, err := find()
	if err != nil {
		return nil, err
	}
	place := os.TempDir()
	if len(place) > 60 {
		place = "/tmp" // or the name of the socket would be too long
	}
	home, err := os.MkdirTemp(place, "echostr-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{tools: tools, dir: filepath.Join(home, "data"), home: home}
	if err := tools.user.own(home); err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	if err := s.watch(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	if template == "" {
		template = filepath.Join(home, "template")
		err := tools.run(home, tools.initdb, "-D", template, "-U", "echostr", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
		if err != nil {
			return nil, err
		}
	}
	if err := tools.run(home, "cp", "-R", template, s.dir); err != nil {
		return nil, err
	}
	if err := s.configure(); err != nil {
		return nil, err
	}
	return s, s.start()
}

func (s *Server) configure() error {
	f, err := os.OpenFile(filepath.Join(s.dir, "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "\nlisten_addresses = ''\nunix_socket_directories = '%s'\nmax_connections = 300\nfsync = on\n", s.home)
	return errors.Join(err, f.Close())
}

// watch starts the watchdog of the cluster. This process keeps the other end of its pipe for as long
// as it lives.
func (s *Server) watch() (err error) {
	cmd := s.tools.command(s.home, "sh", "-c", `read -r _; "$1" -D "$2" -s -m immediate -w stop; cd /; rm -rf "$3"`, "sh", s.tools.pgCtl, s.dir, s.home)
	cmd.SysProcAttr = detached(cmd.SysProcAttr) // whoever stops the tests must not stop it with them
	s.watchdog.Cmd = cmd
	if s.watchdog.end, err = cmd.StdinPipe(); err != nil {
		return err
	}
	return cmd.Start()
}

func (t *tools) command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + dir}
	cmd.SysProcAttr = t.user.attr()
	return cmd
}

// run runs a program, and returns what it has said if it fails. What it has started must
// not keep its output open, so that goes into a file.
func (t *tools) run(dir, name string, args ...string) error {
	cmd := t.command(dir, name, args...)
	out, err := os.CreateTemp("", "echostr-pg-out-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, bytes.TrimSpace(text))
	}
	return nil
}

package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/echostr/echostr/internal/pgtest"
)

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func query(t *testing.T, address, text string) (answer string) {
	t.Helper()
	if err := connect(t, address).QueryRow(t.Context(), text).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestDSN(t *testing.T) {
	t.Parallel()
	one, two := pgtest.DSN(t), pgtest.DSN(t)
	if a, b := query(t, one, "SELECT current_schema()"), query(t, two, "SELECT current_schema()"); a == b {
		t.Errorf("two schemas are one: %s", a)
	}
	if got := query(t, one, "SHOW fsync"); got != "on" {
		t.Errorf("fsync is %s", got)
	}
}

// What was committed is there after a crash.
func TestServer(t *testing.T) {
	t.Parallel()
	s := pgtest.NewServer(t)
	address := s.DSN(t)
	if _, err := connect(t, address).Exec(t.Context(), "CREATE TABLE x AS SELECT 'kept' AS y"); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	if conn, err := pgx.Connect(t.Context(), address); err == nil {
		conn.Close(t.Context())
		t.Error("a stopped server takes connections")
	}
	s.Start(t)
	if got := query(t, address, "SELECT y FROM x"); got != "kept" {
		t.Errorf("after a crash there is %q", got)
	}
}

// When the process that runs the tests is killed, nothing of the cluster stays.
func TestKilled(t *testing.T) {
	if os.Getenv("ECHOSTR_PGTEST_CHILD") != "" {
		u, err := url.Parse(pgtest.DSN(t))
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("directory " + u.Query().Get("host") + "\n")
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or the parent dies
		return
	}
	t.Parallel()
	pgtest.NewServer(t) // so that this is skipped where there is none; the child has one of its own
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
	cmd.Env = append(os.Environ(), "ECHOSTR_PGTEST_CHILD=1", "ECHOSTR_TEST_POSTGRES=")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	for lines, found := bufio.NewScanner(out), false; !found && lines.Scan(); {
		dir, found = strings.CutPrefix(lines.Text(), "directory ")
	}
	conn := connect(t, "postgres:///postgres?user=echostr&host="+url.QueryEscape(dir))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// The server hangs up when it stops, and then its directory goes.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := conn.Exec(ctx, "SELECT pg_sleep(60)"); err == nil || ctx.Err() != nil {
		t.Errorf("the server of a process that was killed still runs: %v", err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%s is still there", dir)
		}
	}
}

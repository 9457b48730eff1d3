package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
)

// with adds a parameter to an address.
func with(t *testing.T, dsn, name, value string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func exec(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Six nodes start at once on an empty database.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	const nodes = 6
	var salts [nodes][]byte
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			s, err := postgres.Open(context.Background(), postgres.Config{DSN: dsn, Logger: quiet})
			if err != nil {
				t.Errorf("node %d: %v", i, err)
				return
			}
			defer s.Close()
			inst, err := s.Installation(t.Context())
			if err != nil {
				t.Errorf("node %d: %v", i, err)
			}
			salts[i] = inst.Salt
			node, err := s.Join(t.Context(), fmt.Sprint("node-", i))
			if err != nil {
				t.Errorf("node %d: %v", i, err)
			}
			ops := []store.Op{{Turn: sample(int64(i), time.Now(), node)}}
			if err := s.Claim(t.Context(), ops); err != nil || !ops[0].OK {
				t.Errorf("node %d: %v, %v", i, err, ops[0].Err)
			}
		})
	}
	wg.Wait()
	for i, salt := range salts {
		if !slices.Equal(salt, salts[0]) || len(salt) < 16 {
			t.Errorf("node %d has a salt of %d bytes, which is that of node 0: %v", i, len(salt), slices.Equal(salt, salts[0]))
		}
	}
	if turns, err := open(t, postgres.Config{DSN: dsn}).List(t.Context(), store.Filter{}); err != nil || len(turns) != nodes {
		t.Errorf("%d turns, %v; want %d", len(turns), err, nodes)
	}
}

const password = "s3cret/of@mine"

// What would not keep its promises is refused with a sentence that says what to do, and never with the password.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		dsn  func(t *testing.T, dsn string) string
		now  func() time.Time
		want string
	}{
		{
			name: "acknowledges before it flushes", want: "set synchronous_commit = on",
			dsn: func(t *testing.T, dsn string) string { return with(t, dsn, "synchronous_commit", "off") },
		},
		{
			name: "read only", want: "address of the primary",
			dsn: func(t *testing.T, dsn string) string { return with(t, dsn, "default_transaction_read_only", "on") },
		},
		{name: "clock ahead", want: "set both by NTP", now: func() time.Time { return time.Now().Add(-time.Minute) }},
		{name: "clock behind", want: "1m0s apart", now: func() time.Time { return time.Now().Add(time.Minute) }},
		{
			name: "no database", want: "createdb",
			dsn: func(t *testing.T, dsn string) string {
				u, _ := url.Parse(dsn)
				u.Path = "/not_there"
				return u.String()
			},
		},
		{
			name: "no user", want: "PGPASSWORD",
			dsn: func(t *testing.T, dsn string) string { return with(t, dsn, "user", "nobody_known") },
		},
		{
			name: "another program's tables", want: "choose another database",
			dsn: func(t *testing.T, dsn string) string { exec(t, dsn, `CREATE TABLE turn (x int)`); return dsn },
		},
		{
			name: "a newer version", want: "use that version",
			dsn: func(t *testing.T, dsn string) string {
				open(t, postgres.Config{DSN: dsn})
				exec(t, dsn, `UPDATE installation SET needs = 99`)
				return dsn
			},
		},
		{
			name: "no address", want: "write it like postgres://",
			dsn: func(*testing.T, string) string {
				return "postgres://echostr:" + url.QueryEscape(password)[:9] + "%zz@host/name"
			},
		},
		{
			name: "no port", want: "write it like postgres://",
			dsn: func(*testing.T, string) string { return "postgres://echostr:" + password + "@host:port/name" },
		},
		{
			name: "no such mode", want: "sslmode is invalid",
			dsn: func(*testing.T, string) string { return "postgres://echostr:s3cret@host/name?sslmode=maybe" },
		},
		{
			name: "keywords", want: "write it like postgres://",
			dsn: func(*testing.T, string) string { return "host=localhost password=s3cret of mine" },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.DSN(t)
			if test.dsn != nil {
				dsn = test.dsn(t, dsn)
			}
			s, err := postgres.Open(t.Context(), postgres.Config{DSN: dsn, Logger: quiet, Now: test.now})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, postgres.ErrUnusable) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("%v; want ErrUnusable and %q", err, test.want)
			}
			for _, part := range []string{"s3cret", "of@mine", "%2Fof"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("a part of the password stands in %q", err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than one line: %q", err)
			}
		})
	}
}

// What only the administrator of a server can set.
func TestOpenRefusesServer(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	for _, setting := range []string{"fsync", "full_page_writes"} {
		dsn := server.DSN(t)
		exec(t, dsn, `ALTER SYSTEM SET `+setting+` = off`, `SELECT pg_reload_conf()`)
		// The server takes a moment to read its file.
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			s, err := postgres.Open(t.Context(), postgres.Config{DSN: dsn, Logger: quiet})
			if errors.Is(err, postgres.ErrUnusable) && strings.Contains(err.Error(), setting+" = on") {
				break
			}
			if err == nil {
				s.Close()
			}
			if time.Now().After(end) {
				t.Errorf("%s = off: %v", setting, err)
				break
			}
		}
		exec(t, dsn, `ALTER SYSTEM RESET `+setting, `SELECT pg_reload_conf()`)
	}
}

// A server that cannot be reached may come back, so that is another error.
func TestOpenUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // and nobody listens there
	dsn := "postgres://echostr:" + url.QueryEscape(password) + "@" + l.Addr().String() + "/name?sslmode=disable"
	_, err = postgres.Open(t.Context(), postgres.Config{DSN: dsn, Logger: quiet})
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, postgres.ErrUnusable) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v; want ErrUnavailable without the password", err)
	}
	if _, err := postgres.OpenReader(t.Context(), dsn); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("OpenReader: %v; want ErrUnavailable", err)
	}
}

// What the driver says of each attempt to connect is said once, without what stands in the configuration, and every
// error says what to do.
func TestConnectErrors(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	for _, test := range []struct{ name, dsn, want string }{
		{"nobody listens", "postgres://u:p@" + nobody + "/name", "store: unavailable: the database server cannot be reached (" + nobody + ": connect: connection refused): see whether it runs, and whether its address is right"},
		{"a password", "postgres://u:p@" + serverThatSays(t, "28P01", "wrong password") + "/name", "store: the database server refuses the user or the password (ADDRESS: FATAL: wrong password (SQLSTATE 28P01)): correct them in the address, or give the password as PGPASSWORD"},
		{"no room", "postgres://u:p@" + serverThatSays(t, "53300", "too many clients") + "/name", "store: unavailable: the database server has no connection left (ADDRESS: FATAL: too many clients (SQLSTATE 53300)): raise its max_connections, or give each node fewer with pool_max_conns in the address"},
		{"going down", "postgres://u:p@" + serverThatSays(t, "57P03", "shutting down") + "/name", "store: unavailable: the database server is starting or stopping (ADDRESS: FATAL: shutting down (SQLSTATE 57P03)): if that takes long, look into its log"},
		{"no TLS", "postgres://u:p@" + serverThatSays(t, "57P03", "shutting down") + "/name?sslmode=require", "store: unavailable: the database server has no TLS, which sslmode in the address demands (ADDRESS: server refused TLS connection): set ssl = on there, or write sslmode=disable if nobody else can read on the way"},
		{
			"two servers", "postgres://u:p@" + serverThatSays(t, "57P03", "shutting down") + "," + nobody + "/name",
			"store: unavailable: the database server is starting or stopping (ADDRESS: FATAL: shutting down (SQLSTATE 57P03); " + nobody + ": connect: connection refused): if that takes long, look into its log",
		},
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{DSN: test.dsn, Logger: quiet})
		address, _, _ := strings.Cut(test.dsn[len("postgres://u:p@"):], "/")
		address, _, _ = strings.Cut(address, ",")
		if want := strings.ReplaceAll(test.want, "ADDRESS", address); err == nil || err.Error() != want {
			t.Errorf("%s:\n %v\nwant\n %s", test.name, err, want)
		}
	}
}

// serverThatSays is a database server that has no TLS and refuses every connection.
func serverThatSays(t *testing.T, code, text string) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			server := pgproto3.NewBackend(conn, conn)
			for {
				msg, err := server.ReceiveStartupMessage()
				if err != nil {
					break
				}
				if _, is := msg.(*pgproto3.SSLRequest); is {
					conn.Write([]byte("N"))
					continue
				}
				server.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: text})
				server.Flush()
				break
			}
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// A database that a newer version has added to is used, as long as it does not say that it needs that version:
// so one node after the other can be upgraded, and the other way.
func TestOpenNewerSchema(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	if err := open(t, postgres.Config{DSN: dsn}).Close(); err != nil {
		t.Fatal(err)
	}
	exec(t, dsn, `INSERT INTO echostr_schema (version_id, is_applied) VALUES (99, true)`,
		`ALTER TABLE turn ADD COLUMN later bytea`, `ALTER TABLE turn ADD COLUMN more bigint NOT NULL DEFAULT 7`)
	s := open(t, postgres.Config{DSN: dsn})
	owner := join(t, s, "node")
	row := claim(t, s, sample(1, time.Now(), owner))[0]
	row.State = store.Silent
	if _, ok := save(t, s, row); !ok {
		t.Error("a turn cannot be saved")
	}
	if turns, err := s.List(t.Context(), store.Filter{OpenID: row.OpenID}); err != nil || len(turns) != 1 {
		t.Errorf("%d turns, %v", len(turns), err)
	}
}

// A replica that commits do not wait for is warned of, since what was acknowledged last may be lost with it.
func TestOpenWarnsOfReplica(t *testing.T) {
	t.Parallel()
	dsn := pgtest.NewServer(t).DSN(t)
	warned := func(dsn string) bool {
		var log bytes.Buffer
		open(t, postgres.Config{DSN: dsn, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		return strings.Contains(log.String(), "synchronous_standby_names")
	}
	if warned(dsn) {
		t.Error("a server without a replica is warned of")
	}
	replica, err := pgx.Connect(t.Context(), with(t, dsn, "replication", "true"))
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close(context.Background())
	if !warned(dsn) {
		t.Error("nobody is told of a replica that commits do not wait for")
	}
	exec(t, dsn, `ALTER SYSTEM SET synchronous_standby_names = '*'`, `SELECT pg_reload_conf()`)
	// Commits would wait for a replica that is none, so only what writes nothing is asked.
	local := with(t, dsn, "synchronous_commit", "local")
	for names := ""; names != "*"; { // the server takes a moment to read its file
		conn, err := pgx.Connect(t.Context(), local)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(t.Context(), `SHOW synchronous_standby_names`).Scan(&names); err != nil {
			t.Fatal(err)
		}
		conn.Close(t.Context())
	}
	var log bytes.Buffer
	if err := postgres.Check(t.Context(), postgres.Config{DSN: local, Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil || !strings.Contains(log.String(), "synchronous_standby_names") {
		t.Errorf("commits that do not wait for the replica that is named: %v, %s", err, log.String())
	}
	exec(t, local, `ALTER SYSTEM RESET synchronous_standby_names`, `SELECT pg_reload_conf()`)
}

func TestOpenReader(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	if _, err := postgres.OpenReader(t.Context(), dsn); !errors.Is(err, postgres.ErrUnusable) || !strings.Contains(err.Error(), "start the server once") {
		t.Errorf("a database without tables: %v", err)
	}
	s := open(t, postgres.Config{DSN: dsn})
	node := join(t, s, "node")
	row := claim(t, s, sample(1, time.Now(), node))[0]
	r, err := postgres.OpenReader(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(t.Context(), row.Key); err != nil || got.Body != row.Body {
		t.Errorf("Get: %+v, %v", got, err)
	}
	if turns, err := r.List(t.Context(), store.Filter{}); err != nil || len(turns) != 1 {
		t.Errorf("List: %d turns, %v", len(turns), err)
	}
	if alive, err := r.Alive(t.Context(), node); err != nil || !alive {
		t.Errorf("Alive: %v, %v", alive, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Get(t.Context(), row.Key); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get after Close: %v", err)
	}
	exec(t, dsn, `DELETE FROM echostr_schema WHERE version_id > 0`)
	if _, err := postgres.OpenReader(t.Context(), dsn); !errors.Is(err, postgres.ErrUnusable) {
		t.Errorf("a database of an older version: %v", err)
	}
}

// PgBouncer with pool_mode = transaction, to which the driver's prepared statements mean nothing: what it answered when it
// was tried.
func TestOpenThroughTransactionPool(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"42P05", "26000"} {
		err := postgres.OpenError(&pgconn.PgError{Severity: "ERROR", Code: code, Message: "prepared statement"})
		if !errors.Is(err, postgres.ErrUnusable) || !strings.Contains(err.Error(), "PgBouncer") {
			t.Errorf("%s: %v", code, err)
		}
	}
}

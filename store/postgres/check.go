package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/echostr/echostr/store"
)

const (
	oldestServer = 13_00_00
	maxSkew      = 2 * time.Second
)

// Check says what is wrong with a database, if anything, without making or changing anything in it. The
// error wraps [ErrUnusable], or [store.ErrUnavailable] if the server cannot be reached now.
func Check(ctx context.Context, cfg Config) error {
	pool, err := parse(cfg.DSN)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, pool.ConnConfig)
	if err != nil {
		return openError(err)
	}
	defer hangUp(conn)
	cfg.setDefaults()
	if err := checkServer(ctx, conn, &cfg); err != nil {
		return openError(err)
	}
	if _, err := checkSchema(ctx, conn); err != nil {
		return openError(err)
	}
	return nil
}

// readWrite refuses, for every connection, a server that takes no writes.
func readWrite(ctx context.Context, conn *pgconn.PgConn) error {
	return pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, conn)
}

// checkServer refuses a server that does not keep what it acknowledges, and one whose clock is not that of
// this process.
func checkServer(ctx context.Context, conn *pgx.Conn, cfg *Config) error {
	var version int
	var fsync, fullPages, synchronous *string // nil: the server does not know such a setting
	var recovering, alone, replicated bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync', true),
		current_setting('full_page_writes', true), current_setting('synchronous_commit', true), pg_is_in_recovery(),
		coalesce(current_setting('synchronous_standby_names', true), '') = '' OR current_setting('synchronous_commit', true) = 'local', EXISTS (SELECT FROM pg_stat_replication)`).
		Scan(&version, &fsync, &fullPages, &synchronous, &recovering, &alone, &replicated)
	if err != nil {
		return err
	}
	is := func(setting *string, value string) bool { return setting != nil && *setting == value }
	switch {
	case version < oldestServer:
		return unusable("the database server is PostgreSQL %d, and 13 or later is needed: upgrade it", version/10000)
	case recovering:
		return pgconn.ErrReadOnlyConnection
	case is(fsync, "off"):
		return unusable("the database server does not flush what it commits: set fsync = on in postgresql.conf")
	case is(fullPages, "off"):
		return unusable("the database server may lose pages in a power cut: set full_page_writes = on in postgresql.conf")
	case is(synchronous, "off"):
		return unusable("the database server acknowledges before it flushes: set synchronous_commit = on in postgresql.conf, and for the user and the database if they have a setting of their own")
	case fsync == nil, fullPages == nil, synchronous == nil:
		cfg.Logger.Warn("the database server does not say whether it flushes what it commits, so it is not PostgreSQL: make sure that it does")
	case alone && replicated:
		cfg.Logger.Warn("the database has replicas that commits do not wait for: what was acknowledged last is lost if one of them becomes the primary; set synchronous_standby_names, and synchronous_commit = on, if that must not be")
	}
	return checkClock(ctx, conn, cfg.Now)
}

func checkClock(ctx context.Context, conn *pgx.Conn, now func() time.Time) error {
	began := time.Now()
	before := now()
	var theirs time.Time
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		return err
	}
	took := time.Since(began)
	if skew := theirs.Sub(before.Add(took / 2)); skew.Abs() > maxSkew+took/2 {
		return unusable("the clock of the database server is %s apart from that of this machine: set both by NTP", skew.Abs().Round(100*time.Millisecond))
	}
	return nil
}

// schemaTable is where goose notes which migrations were carried out.
const schemaTable = "echostr_schema"

// checkSchema returns the number of the database's schema, 0 if it has none. It refuses one that this
// program is too old for. A schema that is newer is otherwise all right: migrations only add.
func checkSchema(ctx context.Context, conn *pgx.Conn) (schema int, err error) {
	var is bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('installation') IS NOT NULL AND to_regclass('`+schemaTable+`') IS NOT NULL`).Scan(&is); err != nil || !is {
		return 0, err
	}
	var needs int
	err = conn.QueryRow(ctx, `SELECT needs, coalesce((SELECT max(version_id) FROM `+schemaTable+` WHERE is_applied), 0) FROM installation`).Scan(&needs, &schema)
	if err == nil && needs > newestSchema {
		err = unusable("the database was made by a newer version of Echostr (its schema needs one that knows %d, this one knows %d): use that version", needs, newestSchema)
	}
	return schema, err
}

//go:embed migrations/*.sql
var migrations embed.FS

// newestSchema is the number in front of the last migration's name.
var newestSchema = func() (n int) {
	files, _ := migrations.ReadDir("migrations")
	n, _ = strconv.Atoi(strings.SplitN(files[len(files)-1].Name(), "_", 2)[0])
	return n
}()

// migrate brings the schema up to date: each step in one transaction with the version that it leads to.
// Of several nodes that start at once one does it, and the others wait.
func migrate(ctx context.Context, cfg *pgx.ConnConfig) (err error) {
	steps, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, steps,
		goose.WithTableName(schemaTable), goose.WithSessionLocker(migrationLock{}), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// migrationLock is held by the one who migrates. The server gives it up with the connection.
type migrationLock struct{}

// migrationKey is the number of the lock: "Echostr" in ASCII.
const migrationKey = 0x4563686f737472

func (migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationKey))
	return err
}

func (migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(migrationKey))
	return err
}

// install reads what belongs to the database as a whole, and makes it the first time.
func install(ctx context.Context, conn *pgx.Conn) (inst store.Installation, err error) {
	salt := make([]byte, 32)
	rand.Read(salt)
	if _, err := conn.Exec(ctx, `UPDATE installation SET salt = $1 WHERE salt IS NULL`, salt); err != nil {
		return inst, err
	}
	var notBefore int64
	if err := conn.QueryRow(ctx, `SELECT salt, not_before FROM installation`).Scan(&inst.Salt, &notBefore); err != nil {
		return inst, err
	}
	if len(inst.Salt) < 16 {
		return inst, fmt.Errorf("%w: its salt has %d bytes; restore a backup", ErrUnusable, len(inst.Salt))
	}
	inst.NotBefore, inst.Shared = fromMillis(notBefore), true
	return inst, nil
}

// Package sqlite keeps turns in one SQLite file: the default store of
// `echostr serve`, for one process.
//
// What it has acknowledged is on the disk: the file is in WAL mode with
// synchronous=FULL, and a call returns when its transaction has been flushed.
// All calls that wait at one moment share one transaction (see writer), so a
// slow disk makes larger groups and not longer queues.
//
// Beside the database DB stand DB-wal and DB-shm, which are SQLite's and part of
// it, DB.lock, which says which process has it, and DB.reserve, which takes up
// room to be given up when the disk is full.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/echostr/echostr/internal/histogram"
	"github.com/echostr/echostr/store"
)

// Config says what to open and how. Path is required.
type Config struct {
	// Path is the database file. It is made if it is not there; its folder is not.
	Path string
	// WaitLock is how long to wait for another process that has the file. Zero
	// refuses at once.
	WaitLock time.Duration
	// Force accepts a network file system, whose locks and flushes cannot be
	// relied on.
	Force bool
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Fatal is told, once and in a goroutine of its own, when the storage has failed
	// and the process has to be restarted (see [store.ErrBroken]). May be nil.
	Fatal func(error)
	// Now is the clock of leases. Defaults to time.Now.
	Now func() time.Time
}

const (
	lockSuffix    = ".lock"
	reserveSuffix = ".reserve"
	// busyTimeout is how long a program that looks into the file may lock it.
	busyTimeout = 2 * time.Second
	readers     = 4
)

// Store is a [store.Store] in a SQLite file. Calls that write wait for the flush
// of their transaction, however long the disk takes for it, whether or not
// their context ends.
type Store struct {
	read    Reader // beside the writer
	path    string
	logger  *slog.Logger
	fatal   func(error)
	lock    *lock
	reserve *reserve
	writer  *writer
	inst    store.Installation
	nodes   nodes
	recent  recent
	stats   counters

	failed  atomic.Pointer[error] // ErrBroken with its cause
	closed  atomic.Bool
	stop    context.CancelFunc // ends what runs in the background
	running sync.WaitGroup     // what runs in the background
	moving  atomic.Bool        // a checkpoint runs in the background, or is about to
	oneMove sync.Mutex         // held while one runs: SQLite does not wait for another's end
	check   atomic.Bool        // the database has to be checked, and was not yet
}

var _ store.Store = (*Store)(nil)

// Open opens the database, makes it if it is not there, and brings an older one up
// to date. It refuses, with [ErrUnusable], what would not keep its promises (see
// docs/reliability.md); an error of the disk wraps [store.ErrBroken].
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	path, err := place(cfg.Path, cfg.Force)
	if err != nil {
		return nil, err
	}
	s := &Store{
		path: path, logger: cfg.Logger, fatal: cfg.Fatal,
		nodes: nodes{now: cfg.Now, leases: make(map[string]lease)},
	}
	s.stats.init()
	s.recent.young = make(map[store.Key]struct{})
	if s.lock, err = takeLock(ctx, path+lockSuffix, cfg.WaitLock); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	// A disk that is full may have no room for opening either.
	s.reserve = newReserve(path+reserveSuffix, freeBytes(filepath.Dir(path)))
	if err := s.open(ctx); err != nil {
		return nil, openError(path, err)
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	if s.check.Load() {
		s.running.Go(func() { s.checkLater(background) })
	}
	return s, nil
}

// abandon gives up what Open has taken so far.
func (s *Store) abandon() {
	if s.writer != nil {
		s.writer.stop()
		s.writer.conn.Close()
	}
	if s.read.db != nil {
		s.read.db.Close()
	}
	if s.reserve != nil {
		s.reserve.release()
	}
	_ = s.lock.release()
}

func (s *Store) open(ctx context.Context) error {
	fresh, err := makeFile(s.path)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(s.path, true))
	if err != nil {
		return err
	}
	s.read = Reader{db: db, odd: s.logOdd}
	db.SetMaxOpenConns(1)
	// Nothing is written before it is known that the file is ours; what a process
	// that died had begun to write, SQLite takes back here.
	schema, err := checkApplication(ctx, db)
	if err != nil {
		return err
	}
	if last := s.lock.last; !fresh && last.mustCheck() {
		s.logger.Info("the database was not closed before the machine stopped, or comes from elsewhere: checking it", slog.String("path", s.path))
		if err := quickCheck(ctx, db); err != nil {
			return err
		}
	} else if !fresh {
		s.check.Store(!last.Clean)
	}
	// From here on a death is an unclean stop.
	if err := s.lock.write(false, false); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "PRAGMA journal_mode = wal"); err != nil {
		return err
	}
	if schema > 0 && schema < newestSchema {
		s.logger.Info("the database was made by an older version: bringing it up to date, which takes some seconds for each million messages", slog.String("path", s.path))
	}
	if err := migrate(ctx, db); err != nil {
		return err
	}
	if err := s.install(ctx); err != nil {
		return err
	}
	conn, err := db.Driver().Open(dsn(s.path, true))
	if err != nil {
		return err
	}
	if s.writer, err = newWriter(s, conn); err != nil {
		conn.Close()
		return err
	}
	s.makePrivate() // by now all files of the database are there
	if err := s.writer.submit(ctx, outside, nil, func() error { return s.writer.checkSettings() }); err != nil {
		return err
	}
	return s.openReaders(ctx)
}

// openReaders opens all connections for reading, so that none is missing when
// the process has no file descriptors left.
func (s *Store) openReaders(ctx context.Context) error {
	s.read.db.SetMaxOpenConns(readers)
	s.read.db.SetMaxIdleConns(readers)
	var conns [readers]*sql.Conn
	for i := range conns {
		conn, err := s.read.db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close() // given back
		conns[i] = conn
	}
	return nil
}

// logOdd tells of a row that cannot be read. It concerns its own message only.
func (s *Store) logOdd(err error) {
	s.logger.Error("a row of the database is left out", slog.String("path", s.path), slog.Any("error", err))
}

// install reads what belongs to the database as a whole, makes it the first time,
// and looks how young its youngest key is.
func (s *Store) install(ctx context.Context) error {
	salt := make([]byte, 32)
	rand.Read(salt)
	db := s.read.db
	if _, err := db.ExecContext(ctx, `INSERT INTO installation (one, salt, not_before) VALUES (1, ?, 0) ON CONFLICT DO NOTHING`, salt); err != nil {
		return err
	}
	var notBefore int64
	err := db.QueryRowContext(ctx, `SELECT salt, not_before FROM installation`).Scan(&s.inst.Salt, &notBefore)
	s.inst.NotBefore = fromMillis(notBefore)
	if err != nil {
		return err
	}
	var newest []byte
	err = db.QueryRowContext(ctx, `SELECT max(key) FROM turn`).Scan(&newest)
	if len(newest) == len(store.Key{}) {
		s.recent.since = store.Key(newest).Time().Add(time.Second)
	}
	return err
}

// makeFile makes an empty file that only this user can read, if there is none; SQLite
// gives its other files the same mode. It reports whether the database is new.
//
// A database is never opened here, or anywhere else but by SQLite: to close a file
// gives up all locks that this process has on it, those of other connections too, and
// another program would take the write-ahead log away.
func makeFile(path string) (fresh bool, err error) {
	if info, err := os.Stat(path); err == nil {
		return info.Size() == 0, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return false, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return true, err
	}
	return true, syncDir(filepath.Dir(path))
}

// syncDir makes a new name in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	// Some systems cannot flush a folder, and need not.
	_ = d.Sync()
	return d.Close()
}

// dsn is how the driver is told what to open.
func dsn(path string, write bool) string {
	q := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"synchronous(full)",
		"secure_delete(on)", // what is erased is overwritten
		"cache_size(-4000)",
		"wal_autocheckpoint(0)",        // see writer.watchSize
		"journal_size_limit(67108864)", // a WAL that a long reader has made large does not stay so
		"fullfsync(on)",                // on macOS, where a flush else ends in the disk's memory
		"checkpoint_fullfsync(on)",
		"trusted_schema(off)",
	}}
	if !write {
		q.Set("mode", "ro")
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	if !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path // a drive letter
	}
	return u.String()
}

// Installation implements [store.Store].
func (s *Store) Installation(context.Context) (store.Installation, error) { return s.inst, s.err() }

// Claim implements [store.Store].
func (s *Store) Claim(ctx context.Context, ops []store.Op) error { return s.write(ctx, claims, ops) }

// Save implements [store.Store].
func (s *Store) Save(ctx context.Context, ops []store.Op) error { return s.write(ctx, saves, ops) }

func (s *Store) write(ctx context.Context, kind kind, ops []store.Op) error {
	if len(ops) == 0 {
		return s.err()
	}
	return s.writer.submit(ctx, kind, ops, nil)
}

// Close waits for what is under way and closes the file. A check that was not
// done is left for the next time. The error wraps [store.ErrBroken] if the storage has failed only now.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	s.running.Wait()
	s.writer.stop()
	if s.broken() != nil {
		// The connections are left open: closing them would write, and what the
		// storage says to that is worth nothing.
		return s.lock.release()
	}
	if _, err := s.writer.empty(); err != nil && errors.Is(failure(err), store.ErrBroken) {
		// To close the last connection would try the same again, and not say what came of it.
		s.broke(failure(err))
		return errors.Join(s.broken(), s.lock.release())
	}
	s.reserve.release()
	err := errors.Join(s.writer.conn.Close(), s.read.Close())
	if err == nil {
		err = s.lock.write(!s.check.Load(), false)
	}
	return errors.Join(err, s.lock.release())
}

// err is what a call that need not be tried is answered by.
func (s *Store) err() error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return s.broken()
}

func (s *Store) closedErr() error {
	if err := s.broken(); err != nil {
		return err
	}
	return store.ErrClosed
}

// broken returns the error that every call gets once the storage has failed.
func (s *Store) broken() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// broke makes err the answer to every later call.
func (s *Store) broke(err error) {
	if !s.failed.CompareAndSwap(nil, &err) {
		return
	}
	s.logger.Error("the database has failed; nothing is acknowledged any more, and the process has to be restarted", slog.String("path", s.path), slog.Any("error", err))
	if isDamage(err) {
		// The next start checks first. Else nothing is written or flushed any more.
		_ = s.lock.write(false, true)
	}
	if s.fatal != nil {
		go s.fatal(err)
	}
}

// fault sorts an error of reading, and remembers storage that has failed.
func (s *Store) fault(err error) error {
	if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, errRow) {
		return err
	}
	if s.closed.Load() {
		return store.ErrClosed
	}
	if err = failure(err); errors.Is(err, store.ErrBroken) {
		s.broke(err)
	}
	return err
}

// counters are the numbers behind Stats.
type counters struct {
	commits, rows  atomic.Uint64
	latency, group *histogram.Histogram
}

func (c *counters) init() {
	c.latency = histogram.New(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	c.group = histogram.New(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
}

func (c *counters) committed(rows int, took time.Duration) {
	c.commits.Add(1)
	c.rows.Add(uint64(rows))
	c.latency.Observe(took.Seconds())
	c.group.Observe(float64(rows))
}

// Stats are the numbers of a Store since it was opened.
type Stats struct {
	Commits uint64 // transactions of turns
	Rows    uint64 // turns written in them

	Latency   histogram.Snapshot // of transactions, in seconds
	GroupSize histogram.Snapshot // turns in one transaction

	FreeBytes int64 // on the disk; -1 if it is not known
	FileBytes int64 // of the database
	WALBytes  int64 // of what is not moved into it yet
	Full      bool  // no new message is accepted, because the disk is full
}

// Stats returns the present numbers.
func (s *Store) Stats() Stats {
	return Stats{
		Commits: s.stats.commits.Load(), Rows: s.stats.rows.Load(),
		Latency: s.stats.latency.Snapshot(), GroupSize: s.stats.group.Snapshot(),
		FreeBytes: freeBytes(filepath.Dir(s.path)), FileBytes: sizeOf(s.path), WALBytes: sizeOf(s.path + "-wal"),
		Full: s.Full(),
	}
}

// Full reports whether no new message is accepted, because the disk is full.
func (s *Store) Full() bool {
	s.reserve.restore() // no message may come that would look for room
	return s.reserve.gone()
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Package postgres keeps turns in a PostgreSQL database that any number of processes share: the
// store for several nodes behind one load balancer.
//
// What it has acknowledged is on the disk of the primary: the server flushes what it commits, and Open
// refuses one that does not. Calls that wait at one moment share a statement (see batcher). Every
// statement is a transaction of its own, so nothing is left open when a node dies, and rows are locked
// in the order of their keys. All that decides is read from the primary, and leases run by its clock.
//
// The order in which turns were accepted is that in which the nodes' statements have taken their
// numbers. Those that were written at one moment by two nodes may stand in another order than that in
// which they came in.
package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/echostr/echostr/internal/histogram"
	"github.com/echostr/echostr/store"
)

// Config says which database to open and how. DSN is required.
type Config struct {
	// DSN is the address of the database: postgres://user:password@host:5432/name, with the parameters of
	// libpq behind a question mark. It is a secret, since it may hold the password. What it
	// does not say comes from the environment (PGPASSWORD and others) and from ~/.pgpass.
	DSN string
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Now is the wall clock that the database's must agree with when it is opened. Defaults to time.Now.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

const (
	// callTime bounds a call, once its statement is at its turn.
	callTime = 2 * time.Second
	// openTime bounds what Open does, the migrations apart.
	openTime = 10 * time.Second
	// maxConns is how many connections a process has if the DSN does not say it as pool_max_conns.
	maxConns = 12
)

// Store is a [store.Store] in a PostgreSQL database. Beside it, any number of others may be open on the
// same database, here and elsewhere.
type Store struct {
	*reader
	inst   store.Installation
	own    *pgx.ConnConfig // of connections beside the pool, whose statements may take long
	claims *batcher[[]store.Op]
	saves  *batcher[[]store.Op]
	stats  counters
	ctx    context.Context // ends when the Store is closed
	stop   context.CancelFunc
}

var _ store.Store = (*Store)(nil)

// Open opens a database, makes its tables if there are none, and brings older ones up to date,
// whoever else does so at the same time. It refuses, with [ErrUnusable], what would not keep its promises
// (see docs/reliability.md). An error that wraps [store.ErrUnavailable] means that the server cannot be
// reached now.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	cfg.setDefaults()
	pool, err := parse(cfg.DSN)
	if err != nil {
		return nil, err
	}
	s := &Store{own: pool.ConnConfig.Copy()}
	s.own.RuntimeParams["statement_timeout"], s.own.RuntimeParams["enable_seqscan"] = "0", "on"
	if err := s.prepare(ctx, &cfg); err != nil {
		return nil, openError(err)
	}
	if s.reader, err = newReader(pool, cfg.Logger); err != nil {
		return nil, openError(err)
	}
	s.stats.init()
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.claims = newBatcher(writers, weigh, s.claim)
	s.saves = newBatcher(writers, weigh, s.save)
	return s, nil
}

// prepare checks the server and brings the tables up to date, on a connection of its own.
func (s *Store) prepare(ctx context.Context, cfg *Config) error {
	opening, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	conn, err := pgx.ConnectConfig(opening, s.own)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := checkServer(opening, conn, cfg); err != nil {
		return err
	}
	switch schema, err := checkSchema(opening, conn); {
	case err != nil:
		return err
	case schema < newestSchema:
		if schema > 0 {
			cfg.Logger.Info("the database was made by an older version: bringing it up to date, which may take some minutes for each million messages")
		}
		if err := migrate(ctx, s.own); err != nil {
			return err
		}
	}
	// The migration of another node may have taken long.
	installing, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	s.inst, err = install(installing, conn)
	return err
}

// hangUp ends a connection that no other call uses. What was not committed on it is undone.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	_ = conn.Close(ctx)
}

// parse makes the settings of the pool of an address. Its errors do not quote the address.
func parse(dsn string) (*pgxpool.Config, error) {
	pool, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, badAddress(dsn, err)
	}
	if !poolSize.MatchString(dsn) {
		pool.MaxConns = maxConns
	}
	pool.PingTimeout = callTime / 2
	conn := &pool.ConnConfig.Config
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = callTime
	}
	if conn.ValidateConnect == nil {
		conn.ValidateConnect = readWrite // a standby would answer with what was
	}
	bound(conn, conn.ConnectTimeout)
	pool.BeforeClose = farewell
	for name, value := range map[string]string{
		"application_name": "echostr",
		// What a node that is gone has begun must not stand in the way of the others.
		"statement_timeout":                   "3s",
		"idle_in_transaction_session_timeout": "5s",
		"tcp_user_timeout":                    "5s",
		"default_transaction_isolation":       "read committed",
		"enable_seqscan":                      "off", // see the statements in write.go
		"jit":                                 "off", // that takes longer than any of them
	} {
		if _, given := conn.RuntimeParams[name]; !given {
			conn.RuntimeParams[name] = value
		}
	}
	return pool, nil
}

// Installation implements [store.Store].
func (s *Store) Installation(context.Context) (store.Installation, error) { return s.inst, s.err() }

// Claim implements [store.Store].
func (s *Store) Claim(_ context.Context, ops []store.Op) error { return s.write(s.claims, ops) }

// Save implements [store.Store].
func (s *Store) Save(_ context.Context, ops []store.Op) error { return s.write(s.saves, ops) }

func (s *Store) write(b *batcher[[]store.Op], ops []store.Op) error {
	if len(ops) == 0 {
		return s.err()
	}
	return b.submit(ops)
}

// Close waits for the calls that are under way and releases the connections.
func (s *Store) Close() error {
	s.stop()
	s.claims.close()
	s.saves.close()
	return s.reader.Close()
}

// call carries out a call that shares its statement with no other. If do can do no harm by being done
// twice, again says so.
func (r *reader) call(ctx context.Context, again bool, do func(ctx context.Context) error) error {
	if err := r.err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return r.attempt(ctx, again, do)
}

// attempt does something with the pool. It does it once more if nothing of it can have happened, such as
// on a connection that the server had given up before. It sorts the error.
func (r *reader) attempt(ctx context.Context, again bool, do func(ctx context.Context) error) error {
	for n := 0; ; n++ {
		err := do(ctx)
		if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrFenced) {
			return err
		}
		if isLost(err) {
			r.pool.Reset() // the other connections are most likely no better
		}
		if n == 2 || ctx.Err() != nil || !(undone(err) || again && isLost(err)) {
			if r.closed.Load() {
				return store.ErrClosed
			}
			return failure(err)
		}
	}
}

// err is what a call that need not be tried is answered by.
func (r *reader) err() error {
	if r.closed.Load() {
		return store.ErrClosed
	}
	return nil
}

// counters are the numbers behind Stats.
type counters struct {
	commits, rows  atomic.Uint64
	latency, group *histogram.Histogram
}

func (c *counters) init() {
	c.latency = histogram.New(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	c.group = histogram.New(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
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
	Rows    uint64 // turns written in them, or found in the way

	Latency   histogram.Snapshot // of transactions, in seconds
	GroupSize histogram.Snapshot // turns in one transaction
}

// Stats returns the present numbers.
func (s *Store) Stats() Stats {
	return Stats{
		Commits: s.stats.commits.Load(), Rows: s.stats.rows.Load(),
		Latency: s.stats.latency.Snapshot(), GroupSize: s.stats.group.Snapshot(),
	}
}

// batcher has the calls that wait at one moment share a statement: the longer the server takes, the
// larger the groups. Some workers carry out the groups.
type batcher[T any] struct {
	do     func(group []T) error // the outcome is that of every call in the group
	weight func(T) int

	mu      sync.Mutex
	arrived sync.Cond
	queue   []*request[T]
	closed  bool
	running sync.WaitGroup
}

// request is one call that waits.
type request[T any] struct {
	call T
	done chan error
}

// maxGroup bounds the weight of a group: about a tenth of a second's work for the server.
const maxGroup = 1024

func newBatcher[T any](workers int, weight func(T) int, do func([]T) error) *batcher[T] {
	b := &batcher[T]{do: do, weight: weight}
	b.arrived.L = &b.mu
	for range workers {
		b.running.Go(b.run)
	}
	return b
}

// submit queues a call and waits for its outcome. From then on what the call holds belongs to the
// worker, so nobody leaves early.
func (b *batcher[T]) submit(call T) error {
	r := &request[T]{call, make(chan error, 1)}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return store.ErrClosed
	}
	b.queue = append(b.queue, r)
	b.arrived.Signal()
	b.mu.Unlock()
	return <-r.done
}

// close lets the workers finish what is queued and ends them.
func (b *batcher[T]) close() {
	b.mu.Lock()
	b.closed = true
	b.arrived.Broadcast()
	b.mu.Unlock()
	b.running.Wait()
}

func (b *batcher[T]) run() {
	for {
		group := b.take()
		if len(group) == 0 {
			return
		}
		b.carryOut(group)
	}
}

// take waits for calls and returns those that share the next statement. It returns none when the
// worker is to end and nothing is left.
func (b *batcher[T]) take() (group []*request[T]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) == 0 && !b.closed {
		b.arrived.Wait()
	}
	n := 0
	for weight := 0; n < len(b.queue); n++ {
		if weight += b.weight(b.queue[n].call); weight > maxGroup && n > 0 {
			break
		}
	}
	group = append(group, b.queue[:n]...)
	rest := copy(b.queue, b.queue[n:])
	clear(b.queue[rest:])
	b.queue = b.queue[:rest]
	return group
}

func (b *batcher[T]) carryOut(group []*request[T]) {
	calls := make([]T, len(group))
	for i, r := range group {
		calls[i] = r.call
	}
	err := b.do(calls)
	if isBadData(err) && len(group) > 1 {
		// What the database cannot take of one message must not keep the others out.
		for i, r := range group {
			r.done <- b.do(calls[i : i+1])
		}
		return
	}
	for _, r := range group {
		r.done <- err
	}
}

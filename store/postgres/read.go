package postgres

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/echostr/echostr/store"
)

// Reader looks into a database without changing it. It is safe for concurrent use.
type Reader struct {
	pool   *pgxpool.Pool
	logger *slog.Logger
	gets   *batcher[*getCall]
	lives  *batcher[*aliveCall]
	closed atomic.Bool
}

// reader is the part of a Store that reads.
type reader = Reader

// readers is how many groups of questions of one kind are on their way at a time.
const readers = 2

func newReader(pool *pgxpool.Config, logger *slog.Logger) (r *Reader, err error) {
	r = &Reader{logger: logger}
	if r.pool, err = pgxpool.NewWithConfig(context.Background(), pool); err != nil {
		return nil, err
	}
	r.gets = newBatcher(readers, func(*getCall) int { return 1 }, r.getAll)
	r.lives = newBatcher(readers, func(*aliveCall) int { return 1 }, r.aliveAll)
	return r, nil
}

// OpenReader opens a database for reading only, beside the nodes that use it. It makes no tables: an
// error that wraps [ErrUnusable] says what to do if there are none. dsn is as in [Config].
func OpenReader(ctx context.Context, dsn string) (*Reader, error) {
	cfg, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	cfg.ConnConfig.ValidateConnect = nil
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig.Copy())
	if err != nil {
		return nil, openError(err)
	}
	defer hangUp(conn)
	switch schema, err := checkSchema(ctx, conn); {
	case err != nil:
		return nil, openError(err)
	case schema == 0:
		return nil, unusable("the database has no tables of Echostr's: start the server once, which makes them, or name another database")
	case schema < newestSchema:
		return nil, unusable("the database was made by an older version of Echostr (its schema is %d, this one reads %d): start the server once, which brings it up to date", schema, newestSchema)
	}
	r, err := newReader(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, openError(err)
	}
	return r, nil
}

// Close waits for what is under way and releases the connections.
func (r *Reader) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	r.gets.close()
	r.lives.close()
	r.pool.Close()
	return nil
}

const selectTurns = `SELECT ` + columns + ` FROM turn WHERE key = ANY($1::bytea[])`

// getCall is a Get that waits.
type getCall struct {
	key  store.Key
	turn store.Turn
	err  error
}

// Get returns the turn with this key, or [store.ErrNotFound].
func (r *Reader) Get(_ context.Context, key store.Key) (store.Turn, error) {
	call := getCall{key: key, err: store.ErrNotFound}
	if err := r.gets.submit(&call); err != nil {
		return store.Turn{}, err
	}
	return call.turn, call.err
}

func (r *Reader) getAll(group []*getCall) error {
	keys := make([][]byte, len(group))
	for i, call := range group {
		keys[i] = call.key[:]
	}
	type answer struct {
		turn store.Turn
		err  error
	}
	found := make(map[store.Key]answer, len(group))
	err := r.call(context.Background(), true, func(ctx context.Context) error {
		return r.turns(ctx, func(t store.Turn, err error) { found[t.Key] = answer{t, err} }, selectTurns, keys)
	})
	if err != nil {
		return err
	}
	for _, call := range group {
		if a, ok := found[call.key]; ok {
			if call.turn, call.err = a.turn, a.err; a.err != nil {
				call.turn = store.Turn{}
			}
		}
	}
	return nil
}

// turns runs each for every turn of an answer, or for the error of one that cannot be read, with its key if
// that is known.
func (r *Reader) turns(ctx context.Context, each func(store.Turn, error), text string, args ...any) error {
	rows, err := r.pool.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		t, err := readRow(rows)
		if err != nil && !errors.Is(err, errRow) {
			return err
		}
		each(t, err)
	}
	return rows.Err()
}

// List returns the turns that match f, as [store.Store] does. A row that cannot be read concerns its own
// message only, and is left out. Few turns among very many are looked for in several statements, each of which looks
// through no more than it has time for.
func (r *Reader) List(ctx context.Context, f store.Filter) (turns []store.Turn, err error) {
	if !isSparse(&f) {
		return r.list(ctx, &f)
	}
	if f.Limit <= 0 {
		f.Limit = store.DefaultLimit
	}
	left, since := f.Limit, f.Since
	for {
		f.Limit, f.Since = left-len(turns), since
		edge, err := r.edge(ctx, &f)
		if err != nil {
			return nil, err
		}
		if !edge.IsZero() {
			f.Since = edge
		}
		some, err := r.list(ctx, &f)
		if err != nil {
			return nil, err
		}
		if turns = append(turns, some...); len(turns) >= left || edge.IsZero() {
			return turns, nil
		}
		f.Until = edge
	}
}

// isSparse reports whether turns that match f may lie far apart in the order of their times, with no index that leads
// from one to the next.
func isSparse(f *store.Filter) bool {
	running := len(f.States) == 1 && f.States[0] == store.Running
	return !f.Due && !f.ByDue() && f.OpenID == "" && !running && (len(f.States) > 0 || len(f.Deliveries) > 0 || f.Account != "" || f.Owner != (store.Node{}))
}

// edge returns when the last turn was received of the next stretch that f looks through, the zero time if there are
// no more.
func (r *Reader) edge(ctx context.Context, f *store.Filter) (edge time.Time, err error) {
	since, until := int64(math.MinInt64), int64(math.MaxInt64)
	if !f.Since.IsZero() {
		since = roundUp(f.Since)
	}
	if !f.Until.IsZero() {
		until = roundUp(f.Until)
	}
	var at int64
	err = r.call(ctx, true, func(ctx context.Context) error {
		return r.pool.QueryRow(ctx, `SELECT coalesce((SELECT received_at FROM turn WHERE received_at >= $1 AND received_at < $2 ORDER BY received_at DESC OFFSET $3 LIMIT 1), 0)`,
			since, until, stretch).Scan(&at)
	})
	return fromMillis(at), err
}

// list is List in one statement.
func (r *Reader) list(ctx context.Context, f *store.Filter) (turns []store.Turn, err error) {
	text, args := listing(f)
	err = r.call(ctx, true, func(ctx context.Context) error {
		turns = nil
		return r.turns(ctx, func(t store.Turn, err error) {
			if err != nil {
				r.logger.Error("a row of the database is left out", slog.Any("error", err))
				return
			}
			turns = append(turns, t)
		}, text, args...)
	})
	return turns, err
}

// listing is the query for the turns that match f.
func listing(f *store.Filter) (text string, args []any) {
	var where strings.Builder
	add := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		where.WriteString(" AND " + condition)
	}
	from := "turn"
	// Few turns are running or due, or of one user, which the server does not know: an order that no index has
	// keeps it from looking for the youngest ones first.
	order := "turn.received_at + 0 DESC, turn.id DESC"
	due := f.Due || f.ByDue()
	running := len(f.States) == 1 && f.States[0] == store.Running
	switch {
	case due:
		add("turn.due > 0") // as the indexes say it
		if f.OpenID != "" {
			add("turn.openid = ?", []byte(f.OpenID))
		}
	case f.OpenID != "":
		args = append(args, []byte(f.OpenID))
		from = theirs("$1")
	case running:
	default:
		order = "turn.received_at DESC, turn.id DESC"
	}
	if f.ByDue() {
		order = "turn.due, turn.id"
	}
	if !f.DueFrom.IsZero() {
		add("turn.due >= ?", roundUp(f.DueFrom))
	}
	if !f.DueBefore.IsZero() {
		add("turn.due < ?", roundUp(f.DueBefore))
	}
	if f.Account != "" {
		add("turn.account = ?", []byte(f.Account))
	}
	if !f.Since.IsZero() {
		add("turn.received_at >= ?", roundUp(f.Since))
	}
	if !f.Until.IsZero() {
		add("turn.received_at < ?", roundUp(f.Until))
	}
	if f.Owner != (store.Node{}) {
		add("turn.owner = ? AND turn.epoch = ?", []byte(f.Owner.ID), f.Owner.Epoch)
	}
	switch {
	case running:
		add("turn.state = 1") // as the index says it
	case len(f.States) > 0:
		add("turn.state = ANY(?::smallint[])", smallints(f.States))
	}
	if len(f.Deliveries) > 0 {
		add("turn.delivery = ANY(?::smallint[])", smallints(f.Deliveries))
	}
	limit := f.Limit
	if limit <= 0 {
		limit = store.DefaultLimit
	}
	args = append(args, limit)
	return `SELECT ` + columns + ` FROM ` + from + ` WHERE true` + where.String() + ` ORDER BY ` + order + ` LIMIT $` + strconv.Itoa(len(args)), args
}

func smallints[T ~uint8](values []T) []int16 {
	list := make([]int16, len(values))
	for i, v := range values {
		list[i] = int16(v)
	}
	return list
}

// theirs stands for the table where a user is asked for: segment by segment, whatever the server takes for quicker
// (OFFSET 0). The user is a parameter with a number.
func theirs(user string) string {
	return `generate_series((SELECT min(id / 4096) FROM turn), (SELECT max(id / 4096) FROM turn)) AS part (segment)
		CROSS JOIN LATERAL (SELECT * FROM turn WHERE id / 4096 = part.segment AND openid = ` + user + ` OFFSET 0) AS turn`
}

// roundUp is the first whole millisecond that is not before t: the one to compare times of the
// database with.
func roundUp(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

// aliveCall is an Alive that waits.
type aliveCall struct {
	node  store.Node
	alive bool
}

// Alive reports whether the lease of n runs, by the clock of the database server.
func (r *Reader) Alive(_ context.Context, n store.Node) (bool, error) {
	call := aliveCall{node: n}
	err := r.lives.submit(&call)
	return call.alive, err
}

func (r *Reader) aliveAll(group []*aliveCall) error {
	nodes := make([]store.Node, len(group))
	for i, call := range group {
		nodes[i] = call.node
	}
	var living map[store.Node]bool
	err := r.call(context.Background(), true, func(ctx context.Context) (err error) {
		living, err = r.living(ctx, nodes)
		return err
	})
	for _, call := range group {
		call.alive = living[call.node]
	}
	return err
}

// living returns those of some nodes whose leases run.
func (r *Reader) living(ctx context.Context, nodes []store.Node) (map[store.Node]bool, error) {
	asked := make(map[store.Node]struct{}, 1)
	var ids [][]byte
	var epochs []int64
	for _, n := range nodes {
		if _, twice := asked[n]; !twice {
			asked[n] = struct{}{}
			ids, epochs = append(ids, []byte(n.ID)), append(epochs, n.Epoch)
		}
	}
	return r.nodes(ctx, `SELECT id, epoch FROM unnest($1::bytea[], $2::bigint[]) AS n (id, epoch) JOIN node USING (id, epoch) WHERE node.until > clock_timestamp()`, ids, epochs)
}

// nodes runs a query that answers with nodes.
func (r *Reader) nodes(ctx context.Context, query string, args ...any) (map[store.Node]bool, error) {
	rows, err := r.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[store.Node]bool)
	for rows.Next() {
		var n store.Node
		if err := rows.Scan((*text)(&n.ID), &n.Epoch); err != nil {
			return nil, err
		}
		found[n] = true
	}
	return found, rows.Err()
}

// Session returns what was stored about a user of an account, or [store.ErrNotFound].
func (r *Reader) Session(ctx context.Context, account, openID string) (store.Session, error) {
	found := store.Session{Account: account, OpenID: openID}
	err := r.call(ctx, true, func(ctx context.Context) error {
		var expires int64
		err := r.pool.QueryRow(ctx, `SELECT version, expires, data FROM session WHERE openid = $1 AND account = $2`, []byte(openID), []byte(account)).
			Scan(&found.Version, &expires, (*text)(&found.Data))
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrNotFound
		}
		found.Expires = fromMillis(expires)
		return err
	})
	if err != nil {
		return store.Session{}, err
	}
	return found, nil
}

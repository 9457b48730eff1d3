package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strconv"
	"strings"
	"time"

	"github.com/echostr/echostr/store"
)

// Reader looks into a database without changing it. It is safe for concurrent use.
type Reader struct {
	db       *sql.DB
	odd      func(error) // told of rows that cannot be read, may be nil
	path     string      // errors name it; empty for that of a Store, which sorts errors itself
	outdated error       // why turns cannot be read, if it was made by an older version
}

// OpenReader opens a database for reading only, whether or not another process
// has it. Its errors, and those of the Reader's methods, wrap [ErrUnusable] if the file is
// damaged or not one of ours. It reads no turns of an older version's database before [Open] has
// brought that up to date.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	path, err := place(path, true)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, false))
	if err != nil {
		return nil, err
	}
	schema, err := checkApplication(ctx, db)
	if err != nil {
		db.Close()
		return nil, openError(path, err)
	}
	r := &Reader{db: db, path: path}
	if schema < newestSchema {
		r.outdated = about(path, unusable("the database was made by an older version of Echostr (its schema is %d, this one reads %d): start the server once, which brings it up to date", schema, newestSchema))
	}
	return r, nil
}

// Close releases the database.
func (r *Reader) Close() error { return r.db.Close() }

// Get returns the turn with this key, or [store.ErrNotFound].
func (r *Reader) Get(ctx context.Context, key store.Key) (t store.Turn, err error) {
	var odd error
	found := false
	one := *r
	one.odd = func(err error) { odd = err }
	err = one.turns(ctx, func(row store.Turn) { t, found = row, true }, selectTurn, key[:])
	switch {
	case err == nil && odd != nil:
		err = odd
	case err == nil && !found:
		err = store.ErrNotFound
	}
	return t, err
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key store.Key) (store.Turn, error) {
	if err := s.err(); err != nil {
		return store.Turn{}, err
	}
	if s.recent.unknown(key) {
		return store.Turn{}, store.ErrNotFound
	}
	t, err := s.read.Get(ctx, key)
	return t, s.fault(err)
}

// List returns the turns that match f, as [store.Store] does. A row that cannot be read
// concerns its own message only, and is left out.
func (r *Reader) List(ctx context.Context, f store.Filter) (turns []store.Turn, err error) {
	text, args := listing(&f)
	err = r.turns(ctx, func(t store.Turn) { turns = append(turns, t) }, text, args...)
	return turns, err
}

// listing is the query for the turns that match f. It names the index, since SQLite does not know
// how few turns are running or due.
func listing(f *store.Filter) (text string, args []any) {
	where, args := conditions(f)
	text = `SELECT ` + columns + ` FROM turn`
	switch due := f.Due || f.ByDue(); {
	case due && f.OpenID != "":
		text += ` INDEXED BY turn_due_user`
		where, args = " AND openid = ?"+where, append([]any{f.OpenID}, args...)
	case due:
		text += ` INDEXED BY turn_due`
	case f.OpenID != "":
		text, where, args = theirs+text, " AND id IN theirs"+where, append([]any{f.OpenID}, args...)
	case len(f.States) == 1 && f.States[0] == store.Running:
		text += ` INDEXED BY turn_running`
	default:
		text += ` INDEXED BY turn_received`
	}
	limit := f.Limit
	if limit <= 0 {
		limit = store.DefaultLimit
	}
	order := `received_at DESC, id DESC`
	if f.ByDue() {
		order = `due, id`
	}
	return text + ` WHERE true` + where + ` ORDER BY ` + order + ` LIMIT ?`, append(args, limit)
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, f store.Filter) ([]store.Turn, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	turns, err := s.read.List(ctx, f)
	return turns, s.fault(err)
}

// conditions are those of f in SQL, that of the user apart, each with " AND " in front.
func conditions(f *store.Filter) (where string, args []any) {
	var b strings.Builder
	add := func(condition string, values ...any) {
		b.WriteString(" AND " + condition)
		args = append(args, values...)
	}
	if f.Account != "" {
		add("account = ?", f.Account)
	}
	if !f.Since.IsZero() {
		add("received_at >= ?", roundUp(f.Since))
	}
	if !f.Until.IsZero() {
		add("received_at < ?", roundUp(f.Until))
	}
	if f.Due || f.ByDue() {
		add("due > 0") // as the indexes say it
	}
	if !f.DueFrom.IsZero() {
		add("due >= ?", roundUp(f.DueFrom))
	}
	if !f.DueBefore.IsZero() {
		add("due < ?", roundUp(f.DueBefore))
	}
	if f.Owner != (store.Node{}) {
		add("owner = ? AND epoch = ?", f.Owner.ID, f.Owner.Epoch)
	}
	// As numbers in the text, since only so is the index of the running ones of use.
	if len(f.States) > 0 {
		add(oneOf("state", f.States))
	}
	if len(f.Deliveries) > 0 {
		add(oneOf("delivery", f.Deliveries))
	}
	return b.String(), args
}

func oneOf[T ~uint8](column string, values []T) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = column + " = " + strconv.Itoa(int(v))
	}
	return "(" + strings.Join(list, " OR ") + ")"
}

// roundUp is the first whole millisecond that is not before t: the one to compare times of the
// database with.
func roundUp(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

// scanner reads the columns of one row.
type scanner = func(dest ...any) error

// Alive reports whether a node runs: whether a process has the database, and the node is the
// one that this process is.
func (r *Reader) Alive(ctx context.Context, n store.Node) (alive bool, err error) {
	if InUse(r.path) == nil {
		return false, nil
	}
	err = r.query(ctx, func(next scanner) error {
		var epoch int64
		err := next(&epoch)
		alive = epoch == n.Epoch
		return err
	}, `SELECT epoch FROM node WHERE id = ?`, n.ID)
	return alive, err
}

// query runs each for every row of an answer.
func (r *Reader) query(ctx context.Context, each func(next scanner) error, text string, args ...any) (err error) {
	defer func() {
		if err != nil && r.path != "" {
			err = openError(r.path, err)
		}
	}()
	rows, err := r.db.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// turns runs each for every turn of an answer.
func (r *Reader) turns(ctx context.Context, each func(store.Turn), text string, args ...any) error {
	if r.outdated != nil {
		return r.outdated
	}
	var values [numColumns]driver.Value
	var dest [numColumns]any
	for i := range values {
		dest[i] = (*any)(&values[i])
	}
	return r.query(ctx, func(next scanner) error {
		if err := next(dest[:]...); err != nil {
			return err
		}
		t, err := readRow(values[:])
		switch {
		case err == nil:
			each(t)
		case r.odd != nil:
			r.odd(err)
		}
		return nil
	}, text, args...)
}

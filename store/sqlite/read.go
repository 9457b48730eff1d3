package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"strings"

	"github.com/echostr/echostr/store"
)

// Reader looks into a database without changing it. It is safe for concurrent use.
type Reader struct{ db *sql.DB }

// OpenReader opens a database for reading only, whether or not another process
// has it.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, unusable("%s is no path: %w", path, err)
	}
	if err := checkPlace(path, true); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, false))
	if err != nil {
		return nil, err
	}
	if err := checkApplication(ctx, db); err != nil {
		db.Close()
		if errors.Is(err, ErrUnusable) {
			return nil, err
		}
		return nil, unusable("%s cannot be read: %w", path, err)
	}
	return &Reader{db: db}, nil
}

// Close releases the database.
func (r *Reader) Close() error { return r.db.Close() }

// Get returns the turn with this key, or [store.ErrNotFound].
func (r *Reader) Get(ctx context.Context, key store.Key) (t store.Turn, err error) {
	found := false
	err = r.turns(ctx, func(row store.Turn) { t, found = row, true }, selectTurn, key[:])
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return t, err
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key store.Key) (store.Turn, error) {
	if err := s.err(); err != nil {
		return store.Turn{}, err
	}
	t, err := s.Reader.Get(ctx, key)
	return t, s.fault(err)
}

// List returns the turns that match f, youngest first.
func (r *Reader) List(ctx context.Context, f store.Filter) (turns []store.Turn, err error) {
	limit := f.Limit
	if limit <= 0 {
		limit = store.DefaultLimit
	}
	where, args := conditions(&f)
	collect := func(t store.Turn) { turns = append(turns, t) }
	const order = ` ORDER BY received_at DESC, key DESC LIMIT ?`
	if len(f.States) == 1 && f.States[0] == store.Running {
		// Few, and found by an index of their own.
		err = r.turns(ctx, collect, `SELECT `+columns+` FROM turn INDEXED BY turn_running WHERE state = 1`+where+order, append(args, limit)...)
		return turns, err
	}
	// One hour after the other, so that a short list costs little.
	for before := int64(1 << 40); len(turns) < limit; {
		hour, err := r.hour(ctx, `SELECT max(received_at / 3600000) FROM turn WHERE received_at / 3600000 < ?`, before)
		if err != nil || hour == nil || !f.Since.IsZero() && *hour < millis(f.Since)/3600000 {
			return turns, err
		}
		before = *hour
		if !f.Until.IsZero() && *hour > millis(f.Until)/3600000 {
			before = min(before, millis(f.Until)/3600000+1)
			continue
		}
		err = r.turns(ctx, collect, `SELECT `+columns+` FROM turn INDEXED BY turn_user WHERE received_at / 3600000 = ?`+where+order,
			append(append([]any{*hour}, args...), limit-len(turns))...)
		if err != nil {
			return nil, err
		}
	}
	return turns, nil
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, f store.Filter) ([]store.Turn, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	turns, err := s.Reader.List(ctx, f)
	return turns, s.fault(err)
}

// conditions are those of f in SQL, each with " AND " in front.
func conditions(f *store.Filter) (where string, args []any) {
	var b strings.Builder
	add := func(condition string, values ...any) {
		b.WriteString(" AND " + condition)
		args = append(args, values...)
	}
	if f.OpenID != "" {
		add("openid = ?", f.OpenID)
	}
	if f.Account != "" {
		add("account = ?", f.Account)
	}
	if !f.Since.IsZero() {
		add("received_at >= ?", millis(f.Since))
	}
	if !f.Until.IsZero() {
		add("received_at < ?", millis(f.Until))
	}
	if f.Owner != (store.Node{}) {
		add("owner = ? AND epoch = ?", f.Owner.ID, f.Owner.Epoch)
	}
	if len(f.States) > 0 {
		marks := strings.TrimSuffix(strings.Repeat("?,", len(f.States)), ",")
		var states []any
		for _, state := range f.States {
			states = append(states, int64(state))
		}
		add("state IN ("+marks+")", states...)
	}
	return b.String(), args
}

// hour returns the answer of a query for one hour, or nil if there is none.
func (r *Reader) hour(ctx context.Context, text string, args ...any) (hour *int64, err error) {
	err = r.query(ctx, func(next scanner) error { return next(&hour) }, text, args...)
	return hour, err
}

// scanner reads the columns of one row.
type scanner = func(dest ...any) error

// query runs each for every row of an answer.
func (r *Reader) query(ctx context.Context, each func(next scanner) error, text string, args ...any) error {
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
		if err == nil {
			each(t)
		}
		return err
	}, text, args...)
}

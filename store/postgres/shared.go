package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// sharedTime bounds how long one node may have a shared value to itself.
const sharedTime = time.Minute

// UpdateShared calls update with the value that all nodes share under a name, nil if there is none, and
// stores what it returns. While it runs, every other UpdateShared of the same name waits, on every node, for
// up to a minute in all. If update fails, nothing is stored and its error is returned. Each call has a
// connection of its own, so that nothing else waits for update. The value is stored as it is.
func (s *Store) UpdateShared(ctx context.Context, name string, update func(ctx context.Context, stored []byte) ([]byte, error)) (err error) {
	if err := s.err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sharedTime)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	var refused error
	err = func() error {
		conn, err := pgx.ConnectConfig(ctx, s.own)
		if err != nil {
			return err
		}
		defer hangUp(conn)
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		// A node that has gone away keeps the others out no longer than this.
		if _, err := tx.Exec(ctx, `SELECT set_config('idle_in_transaction_session_timeout', $1, true)`, strconv.FormatInt(sharedTime.Milliseconds(), 10)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO shared (name) VALUES ($1) ON CONFLICT DO NOTHING`, []byte(name)); err != nil {
			return err
		}
		var value []byte
		if err := tx.QueryRow(ctx, `SELECT value FROM shared WHERE name = $1 FOR UPDATE`, []byte(name)).Scan(&value); err != nil {
			return err
		}
		if value, refused = update(ctx, value); refused != nil {
			return refused
		}
		if _, err := tx.Exec(ctx, `UPDATE shared SET value = $2 WHERE name = $1`, []byte(name), value); err != nil {
			return err
		}
		return tx.Commit(ctx)
	}()
	if refused != nil {
		return refused
	}
	if s.closed.Load() && errors.Is(err, context.Canceled) {
		return s.err()
	}
	return failure(err)
}

package postgres

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/echostr/echostr/store"
)

// chunk is how many rows expire or are erased in one transaction: few enough that it takes no time.
const chunk = 500

// Erase implements [store.Store]. What is erased is in no answer from then on; in the files of the server it may
// stand until [Store.Tidy] has run and its place has been used again.
//
// The turns of one user may be very many, so this is done in several transactions, in the order of
// acceptance: should the process die meanwhile, the turn with the key until, which demands the erasure, is not
// erased, so that whoever takes it over does this again. The sessions go with the last of the turns. P10
func (s *Store) Erase(ctx context.Context, account, openID string, until store.Key) (n int, err error) {
	if openID == "" {
		return 0, s.err()
	}
	if err := s.settle(ctx); err != nil {
		return 0, err
	}
	keys, err := s.theirKeys(ctx, account, openID, until)
	if err != nil {
		return 0, err
	}
	for last := false; !last; {
		part := keys[:min(chunk, len(keys))]
		keys = keys[len(part):]
		last = len(keys) == 0
		erased := 0
		err := s.call(ctx, false, func(ctx context.Context) error {
			var b pgx.Batch // one transaction
			b.Queue(eraseTurns, part, []byte(openID)).Query(func(rows pgx.Rows) error {
				erased = 0
				for rows.Next() {
					erased++
				}
				return rows.Err()
			})
			if last {
				b.Queue(`DELETE FROM session WHERE openid = $1 AND (account = $2 OR $2 = '')`, []byte(openID), append([]byte{}, account...))
			}
			return s.pool.SendBatch(ctx, &b).Close()
		})
		if err != nil {
			return n, err
		}
		n += erased
	}
	return n, nil
}

var (
	// No index has the openid like this, so that only the keys lead to the rows.
	eraseTurns = `UPDATE turn SET version = version + 1, openid = '', original_id = '', msg_type = '', event = '',
		body = NULL, reply = NULL, reason = '', state = 6, due = 0, code = '', placeholder = NULL, way = NULL
		WHERE key = ANY($1::bytea[]) AND openid || '' = $2 RETURNING 1`
	// The last turn is the one with a key, or else the one that was accepted last.
	selectTheirs = `SELECT turn.key FROM ` + theirs("$1") + ` WHERE (turn.account = $2 OR $2 = '')
		AND turn.id <= coalesce((SELECT id FROM turn WHERE key = $3), 9223372036854775807) ORDER BY turn.id`
)

// theirKeys returns the keys of a user's turns in the order of acceptance.
func (s *Store) theirKeys(ctx context.Context, account, openID string, until store.Key) (keys [][]byte, err error) {
	err = s.call(ctx, true, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, selectTheirs, []byte(openID), append([]byte{}, account...), until[:])
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
		return err
	})
	return keys, err
}

// settle waits until what other nodes were writing when it was called has been written or not: a turn
// that was accepted earlier may become visible later. It waits no longer than any statement of theirs takes;
// what writes for longer is somebody else's.
func (s *Store) settle(ctx context.Context) error {
	var first int64
	ask := func(what string, answer *int64) error {
		return s.call(ctx, true, func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, `SELECT `+what+`(pg_current_snapshot())::text::bigint`).Scan(answer)
		})
	}
	if err := ask("pg_snapshot_xmax", &first); err != nil {
		return err
	}
	for end := time.Now().Add(callTime); time.Now().Before(end); {
		var oldest int64
		if err := ask("pg_snapshot_xmin", &oldest); err != nil || oldest >= first {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// stretch is how many turns a statement looks through that expires some of them, or looks for few. Those without content
// that are kept to know their keys may be millions.
const stretch = 10_000

// expireTurns expires some of the next turns that were received at a moment or later: it removes those received
// before $4, and the content of the others. What is due stays, unless that was before $5. Rows that somebody else has
// locked are left for the next time. It answers with how many it has found and removed, when the last of them was
// received, and how far it has looked, NULL if to the end.
const expireTurns = `WITH edge AS MATERIALIZED (
		SELECT received_at AS at FROM turn WHERE received_at >= $1 AND received_at < $2 ORDER BY received_at OFFSET $6 LIMIT 1
	), old AS MATERIALIZED (
		SELECT ctid AS at, received_at FROM turn WHERE received_at >= $1 AND received_at < $2 AND received_at <= coalesce((SELECT at FROM edge), $2)
			AND state > 1 AND (due = 0 OR due < $5)
			AND (received_at < $4 OR openid <> '' OR original_id <> '' OR body IS NOT NULL OR reply IS NOT NULL OR reason <> '' OR placeholder IS NOT NULL)
		ORDER BY received_at LIMIT $3 FOR UPDATE SKIP LOCKED
	), gone AS (
		DELETE FROM turn USING old WHERE turn.ctid = old.at AND old.received_at < $4 RETURNING 1
	), bare AS (
		UPDATE turn SET version = version + 1, openid = '', original_id = '', body = NULL, reply = NULL, reason = '', placeholder = NULL, due = 0
		FROM old WHERE turn.ctid = old.at AND old.received_at >= $4 RETURNING 1
	)
	SELECT (SELECT count(*) FROM old), (SELECT count(*) FROM gone), coalesce((SELECT max(received_at) FROM old), 0), (SELECT at FROM edge)`

// Expire implements [store.Store].
func (s *Store) Expire(ctx context.Context, bodies, rows time.Time) (removed int, err error) {
	for after := int64(math.MinInt64); ; {
		var found, gone int
		var last int64
		var edge *int64
		err := s.call(ctx, false, func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, expireTurns, expireArgs(after, bodies, rows)...).Scan(&found, &gone, &last, &edge)
		})
		removed += gone
		switch {
		case err != nil:
			return removed, err
		case found == chunk:
			after = last // what has changed does not come again
		case edge != nil:
			after = *edge + 1
		default:
			return removed, nil
		}
	}
}

func expireArgs(after int64, bodies, rows time.Time) []any {
	return []any{after, max(millis(bodies), millis(rows)), chunk, millis(rows), millis(bodies), stretch}
}

// Tidy takes what was erased or has expired out of the tables, and lets its place be used again. Of
// several nodes one does so at a time. It reads the pages that have changed.
func (s *Store) Tidy(ctx context.Context) error {
	if err := s.err(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	conn, err := pgx.ConnectConfig(ctx, s.own)
	if err != nil {
		return failure(err)
	}
	defer hangUp(conn)
	_, err = conn.Exec(ctx, `VACUUM (SKIP_LOCKED) turn, session`)
	if s.closed.Load() && errors.Is(err, context.Canceled) {
		return store.ErrClosed
	}
	return failure(err)
}

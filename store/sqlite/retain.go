package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/echostr/echostr/store"
)

// Erase implements [store.Store]. What is erased is overwritten in the database at once,
// and in the WAL by the next [Store.Tidy].
func (s *Store) Erase(ctx context.Context, account, openID string, before time.Time) (n int, err error) {
	if openID == "" {
		return 0, s.err()
	}
	err = s.writer.submit(ctx, alone, nil, func() (err error) {
		n, err = s.writer.exec(eraseUser, account, openID, millis(before))
		return err
	})
	return n, err
}

// eraseUser walks the index hour by hour, since the hour stands in front of the user.
const eraseUser = `WITH RECURSIVE
	hours (hour) AS (
		SELECT min(received_at / 3600000) FROM turn
		UNION ALL
		SELECT (SELECT min(received_at / 3600000) FROM turn WHERE received_at / 3600000 > hour) FROM hours WHERE hour IS NOT NULL
	),
	theirs (key) AS (
		SELECT t.key FROM hours CROSS JOIN turn t INDEXED BY turn_user ON t.received_at / 3600000 = hour AND t.account = ? AND t.openid = ?
		WHERE t.received_at < ?
	)
	UPDATE turn SET version = version + 1, openid = '', original_id = '', msg_type = '', event = '', body = NULL, reply = NULL, reason = '', state = 6
	WHERE key IN theirs`

// expiryChunk is how many turns expire in one transaction: few enough that a push
// in the queue behind them does not notice.
const expiryChunk = 500

// Expire implements [store.Store].
func (s *Store) Expire(ctx context.Context, bodies, rows time.Time) (removed int, err error) {
	if err := s.err(); err != nil {
		return 0, err
	}
	until := max(millis(bodies), millis(rows))
	for after := int64(-1 << 40); ; {
		hour, err := s.hour(ctx, `SELECT min(received_at / 3600000) FROM turn WHERE received_at / 3600000 > ?`, after)
		if err != nil || hour == nil || *hour > until/3600000 {
			return removed, s.fault(err)
		}
		after = *hour
		for {
			n, changed, err := s.expireChunk(ctx, *hour, bodies, rows)
			if removed += n; err != nil {
				return removed, err
			}
			if changed < expiryChunk {
				break
			}
		}
	}
}

// expireChunk expires some turns of one hour.
func (s *Store) expireChunk(ctx context.Context, hour int64, bodies, rows time.Time) (removed, changed int, err error) {
	// The keys are read beside the writer.
	var keys [][]byte
	err = s.query(ctx, func(next scanner) error {
		var key []byte
		err := next(&key)
		keys = append(keys, key)
		return err
	}, `SELECT key FROM turn INDEXED BY turn_user WHERE received_at / 3600000 = ? AND state > 1
		AND (received_at < ? OR received_at < ? AND (body IS NOT NULL OR reply IS NOT NULL)) LIMIT ?`, hour, millis(rows), millis(bodies), expiryChunk)
	if err != nil || len(keys) == 0 {
		return 0, 0, s.fault(err)
	}
	err = s.writer.submit(ctx, alone, nil, func() error {
		removed = 0
		for _, key := range keys {
			n, err := s.writer.exec(`DELETE FROM turn WHERE key = ? AND received_at < ? AND state > 1`, key, millis(rows))
			if err != nil {
				return err
			}
			if removed += n; n > 0 {
				continue
			}
			if _, err := s.writer.exec(`UPDATE turn SET version = version + 1, body = NULL, reply = NULL WHERE key = ? AND state > 1`, key); err != nil {
				return err
			}
		}
		return nil
	})
	return removed, len(keys), err
}

// Tidy moves the WAL into the database and empties it, so that what was erased or
// has expired is in neither. It is worth calling after an erasure and each
// night.
func (s *Store) Tidy(ctx context.Context) error {
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		busy := false
		err := s.writer.submit(ctx, outside, nil, func() error {
			n, err := s.writer.numbers("PRAGMA wal_checkpoint(TRUNCATE)")
			busy = n[0] != 0
			return err
		})
		if err != nil || !busy {
			return err
		}
		// Somebody reads. The WAL can only be emptied when nobody does.
		if pause > 5*time.Second {
			return errors.New("store: the write-ahead log could not be emptied, because another program reads the database; it is tried again")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Sizes of the WAL in pages.
const (
	moveAt      = 4000     // move it into the database, beside the writer
	moveNow     = 8 * 4000 // the writer moves it itself, so that it ends
	looksAtSize = 16       // transactions between two looks
)

// watchSize sees to it that the WAL does not grow for ever. What it holds is moved
// into the database in the background, while the writer goes on; the little that
// came in meanwhile is moved by the writer itself, since only then can the
// WAL be begun anew.
func (w *writer) watchSize() {
	if w.since++; w.since < looksAtSize || w.s.broken() != nil {
		return
	}
	w.since = 0
	n, err := w.numbers("PRAGMA wal_checkpoint(NOOP)")
	if err != nil {
		return
	}
	pages, moved := n[1], n[2]
	left := pages - moved
	switch {
	case w.s.moving.Load():
	case left > moveNow, pages > moveAt && left < moveAt/4:
		if _, err = w.numbers("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			_ = w.s.fault(err)
		}
	case pages > moveAt && !w.s.closed.Load():
		w.s.moving.Store(true)
		w.s.running.Go(w.s.move)
	}
}

// move moves the WAL into the database beside the writer.
func (s *Store) move() {
	defer s.moving.Store(false)
	if _, err := s.db.Exec("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
		_ = s.fault(err)
	}
}

// damaged ends the use of a database that a check has found damaged.
func (s *Store) damaged(err error) {
	s.logger.Error("the database is damaged", slog.String("path", s.path), slog.Any("error", err))
	s.broke(errors.Join(store.ErrBroken, err))
	_ = s.lock.write(false, true) // the next start checks first, and refuses
}

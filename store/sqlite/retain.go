package sqlite

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"time"

	"github.com/echostr/echostr/store"
)

// Erase implements [store.Store]. What is erased is overwritten in the database at once,
// and in the WAL by the next [Store.Tidy].
//
// The turns of one user may be very many, so this is done in several transactions, and
// pushes come in between. It goes in the order of acceptance: should the process die
// meanwhile, the turn with the key until, which demands the erasure, is not erased, so that
// whoever takes it over does this again. The sessions go with the last of the turns. P10
func (s *Store) Erase(ctx context.Context, account, openID string, until store.Key) (n int, err error) {
	if openID == "" {
		return 0, s.err()
	}
	// By the writer, behind all that was submitted before.
	var upTo [3]int64
	err = s.writer.submit(ctx, outside, nil, func() (err error) {
		upTo, err = s.writer.numbers(lastTurn, until[:])
		return err
	})
	if err != nil {
		return 0, err
	}
	// The turns are looked for beside the writer.
	var ids []int64
	err = s.read.query(ctx, func(next scanner) error {
		var id int64
		err := next(&id)
		ids = append(ids, id)
		return err
	}, theirs+`SELECT id FROM turn WHERE id IN theirs AND (account = ? OR ? = '') AND id <= ? ORDER BY id`, openID, account, account, upTo[0])
	if err != nil {
		return 0, s.fault(err)
	}
	for last := false; !last; {
		part := ids[:min(chunk, len(ids))]
		ids = ids[len(part):]
		last = len(ids) == 0
		erased := 0
		err := s.writer.submit(ctx, alone, nil, func() error {
			erased = 0
			for _, id := range part {
				changed, err := s.writer.exec(eraseTurn, id, openID)
				if err != nil {
					return err
				}
				erased += changed
			}
			if !last {
				return nil
			}
			_, err := s.writer.exec(eraseSessions, openID, account, account)
			return err
		})
		if err != nil {
			return n, err
		}
		n += erased
	}
	return n, nil
}

// theirs selects the turns of a user, segment by segment.
const (
	theirs = `WITH RECURSIVE segments (segment) AS (
		SELECT min(id) / 256 FROM turn
		UNION ALL
		SELECT segment + 1 FROM segments WHERE segment < (SELECT max(id) / 256 FROM turn)
	), theirs (id) AS (
		SELECT t.id FROM segments CROSS JOIN turn t INDEXED BY turn_user ON t.id / 256 = segment AND t.openid = ?
	) `
	eraseTurn = `UPDATE turn SET version = version + 1, openid = '', original_id = '', msg_type = '', event = '',
		body = NULL, reply = NULL, reason = '', state = 6, due = 0, code = '', placeholder = NULL, way = NULL WHERE id = ? AND openid = ?`
	// lastTurn is the turn with a key, or else the one that was accepted last.
	lastTurn = `SELECT coalesce((SELECT id FROM turn WHERE key = ?), (SELECT max(id) FROM turn), 0)`
)

const (
	// expirable are the turns that are finished and not due, or due since long ago.
	expirable  = `state > 1 AND (due = 0 OR due < ?)`
	hasContent = `(openid <> '' OR original_id <> '' OR body IS NOT NULL OR reply IS NOT NULL OR reason <> '' OR placeholder IS NOT NULL)`

	findExpired = `SELECT id, received_at FROM turn INDEXED BY turn_received WHERE received_at >= ? AND received_at < ? AND ` + expirable + `
		AND (received_at < ? OR ` + hasContent + `) ORDER BY received_at LIMIT ?`
	removeTurn = `DELETE FROM turn WHERE id = ? AND received_at < ? AND ` + expirable
	expireTurn = `UPDATE turn SET version = version + 1, openid = '', original_id = '', body = NULL, reply = NULL, reason = '', placeholder = NULL, due = 0
		WHERE id = ? AND ` + expirable
)

// chunk is how many turns expire or are erased in one transaction: few enough that a push
// in the queue behind them does not notice.
const chunk = 500

// Expire implements [store.Store].
func (s *Store) Expire(ctx context.Context, bodies, rows time.Time) (removed int, err error) {
	if err := s.err(); err != nil {
		return 0, err
	}
	for after := int64(math.MinInt64); ; {
		part, err := s.expireChunk(ctx, after, millis(bodies), millis(rows))
		if removed += part.removed; err != nil || part.found < chunk {
			return removed, err
		}
		// What has changed does not come again, so a moment with many turns is
		// gone through to its end.
		if after = part.last; part.changed == 0 {
			after++
		}
	}
}

// expired is what became of one chunk.
type expired struct {
	found, changed, removed int
	last                    int64 // when the youngest of them was received
}

// expireChunk expires some turns that were received after a moment.
func (s *Store) expireChunk(ctx context.Context, after, bodies, rows int64) (c expired, err error) {
	// The turns are looked for beside the writer.
	var ids []int64
	err = s.read.query(ctx, func(next scanner) error {
		var id int64
		err := next(&id, &c.last)
		ids = append(ids, id)
		return err
	}, findExpired, after, max(bodies, rows), bodies, rows, chunk)
	if c.found = len(ids); err != nil || c.found == 0 {
		return c, s.fault(err)
	}
	err = s.writer.submit(ctx, alone, nil, func() error {
		c.changed, c.removed = 0, 0
		for _, id := range ids {
			n, err := s.writer.exec(removeTurn, id, rows, bodies)
			c.removed += n
			if err == nil && n == 0 {
				n, err = s.writer.exec(expireTurn, id, bodies)
			}
			if c.changed += n; err != nil {
				return err
			}
		}
		return nil
	})
	return c, err
}

// Tidy sees to it that what was erased or has expired is in none of the files any
// more: it clears what is left over in pages (see scrub), moves the WAL into the
// database, and empties it. It reads the whole database, two or three seconds for
// each GB, beside the writer; it is worth calling after an erasure and each night.
func (s *Store) Tidy(ctx context.Context) error {
	if err := s.scrub(ctx); err != nil {
		return err
	}
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		if err := s.move(); err != nil { // most of it, without stopping the writer
			return err
		}
		busy := false
		err := s.writer.submit(ctx, outside, nil, func() (err error) {
			busy, err = s.writer.empty()
			return err
		})
		if err != nil || !busy {
			return err
		}
		// The WAL can only be emptied when nobody reads.
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

const (
	// maxMoveAt is at how many pages the WAL is moved into the database.
	maxMoveAt = 4000
	minMoveAt = 64
	pageSize  = 4096
	// looksAtSize is how many transactions lie between two looks.
	looksAtSize = 16
)

// moveAt is at how many pages the WAL is moved: earlier on a disk with little room,
// where the database could not take it in later.
func (s *Store) moveAt() int64 {
	free := freeBytes(filepath.Dir(s.path))
	if free < 0 {
		return maxMoveAt
	}
	return min(maxMoveAt, max(minMoveAt, free/16/pageSize))
}

// tight reports whether so little room is left that the database might soon not be able to
// take in the pages that are only in the WAL.
func (s *Store) tight(pages int64) bool {
	free := freeBytes(filepath.Dir(s.path))
	return free >= 0 && free < max(4*s.reserve.size, 4*pageSize*pages)
}

// watchSize sees to it that the WAL does not grow for ever. What it holds is moved
// into the database in the background, while the writer goes on; the little that
// came in meanwhile is moved by the writer itself, since only then can the
// WAL be begun anew.
//
// On a disk that is nearly full the writer moves all of it, since nobody knows when the background
// gets its turn: what is in the WAL only, the database could not take in later, and then the
// room that is kept for results would not do.
func (w *writer) watchSize() {
	if w.since++; w.since < looksAtSize && !w.tight || w.s.broken() != nil {
		return
	}
	w.since = 0
	n, err := w.numbers("PRAGMA wal_checkpoint(NOOP)")
	if err != nil {
		return
	}
	pages, moved, moveAt := n[1], n[2], w.s.moveAt()
	left := pages - moved
	switch w.tight = w.s.tight(left); {
	case w.tight && pages > moveAt:
		_, err = w.empty()
		_ = w.s.fault(err)
	case w.s.moving.Load():
	case pages > moveAt && left < moveAt/4:
		if _, err = w.numbers("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			_ = w.s.fault(err)
		}
	case pages > moveAt && !w.s.closed.Load():
		w.s.moving.Store(true)
		w.s.running.Go(func() {
			defer w.s.moving.Store(false)
			_ = w.s.move()
		})
	}
}

// move moves the WAL into the database beside the writer, as far as nobody reads.
func (s *Store) move() error {
	conn, err := s.read.db.Conn(context.Background()) // readers may have all of them for a while
	if err != nil {
		return s.fault(err)
	}
	defer conn.Close()
	s.oneMove.Lock()
	defer s.oneMove.Unlock()
	_, err = conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
	return s.fault(err)
}

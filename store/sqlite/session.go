package sqlite

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/echostr/echostr/store"
)

const (
	selectSession = `SELECT version, expires, data FROM session WHERE openid = ? AND account = ?`
	insertSession = `INSERT INTO session (openid, account, version, expires, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	updateSession = `UPDATE session SET version = version + 1, expires = ?, data = ? WHERE openid = ? AND account = ? AND version = ?`
	eraseSessions = `DELETE FROM session WHERE openid = ? AND (account = ? OR ? = '')`
	// Few at once: each may be long, and what is deleted is overwritten.
	expireSessions = `DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires <= ? ORDER BY expires LIMIT 50)`
)

// Session implements [store.Store].
func (s *Store) Session(ctx context.Context, account, openID string) (store.Session, error) {
	if err := s.err(); err != nil {
		return store.Session{}, err
	}
	found := store.Session{Account: account, OpenID: openID}
	err := s.read.query(ctx, func(next scanner) error {
		var expires int64
		err := next(&found.Version, &expires, &found.Data)
		found.Expires = fromMillis(expires)
		return err
	}, selectSession, openID, account)
	if err == nil && found.Version == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Session{}, s.fault(err)
	}
	return found, nil
}

// SaveSession implements [store.Store]. The room that is kept for results when the disk is
// full is not for sessions.
func (s *Store) SaveSession(ctx context.Context, n *store.Session) (bool, error) {
	if err := n.Check(); err != nil {
		return false, err
	}
	var changed int
	var version int64
	var full bool
	err := s.writer.submit(ctx, shared, nil, func() (err error) {
		if full = s.reserve.gone(); full {
			return nil
		}
		// Bytes, so that an empty text is not nothing.
		if data := []byte(n.Data); n.Version == 0 {
			version = 1 + rand.Int64N(1<<62) // none that an erased session has had
			changed, err = s.writer.exec(insertSession, n.OpenID, n.Account, version, millis(n.Expires), data)
		} else {
			version = n.Version + 1
			changed, err = s.writer.exec(updateSession, millis(n.Expires), data, n.OpenID, n.Account, n.Version)
		}
		return err
	})
	switch {
	case err != nil:
		return false, err
	case full:
		return false, store.ErrFull
	case changed == 0:
		return false, nil
	}
	n.Version = version
	return true, nil
}

// ExpireSessions implements [store.Store].
func (s *Store) ExpireSessions(ctx context.Context, now time.Time) (removed int, err error) {
	for {
		n := 0
		err := s.writer.submit(ctx, alone, nil, func() (err error) {
			n, err = s.writer.exec(expireSessions, now.UnixMilli())
			return err
		})
		if removed += n; err != nil || n == 0 {
			return removed, err
		}
	}
}

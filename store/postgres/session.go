package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/echostr/echostr/store"
)

// SaveSession implements [store.Store].
func (s *Store) SaveSession(ctx context.Context, n *store.Session) (saved bool, err error) {
	if err := n.Check(); err != nil {
		return false, err
	}
	version := n.Version + 1
	if n.Version == 0 {
		version = 1 + rand.Int64N(1<<62) // none that an erased session has had
	}
	err = s.call(ctx, false, func(ctx context.Context) (err error) {
		var done pgconn.CommandTag
		user, account, data := []byte(n.OpenID), []byte(n.Account), append([]byte{}, n.Data...)
		if n.Version == 0 {
			done, err = s.pool.Exec(ctx, `INSERT INTO session (openid, account, version, expires, data) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
				user, account, version, millis(n.Expires), data)
		} else {
			done, err = s.pool.Exec(ctx, `UPDATE session SET version = $3, expires = $4, data = $5 WHERE openid = $1 AND account = $2 AND version = $6`,
				user, account, version, millis(n.Expires), data, n.Version)
		}
		saved = done.RowsAffected() > 0
		return err
	})
	if err != nil || !saved {
		return false, err
	}
	n.Version = version
	return true, nil
}

// ExpireSessions implements [store.Store].
func (s *Store) ExpireSessions(ctx context.Context, now time.Time) (removed int, err error) {
	for {
		n := 0
		err := s.call(ctx, false, func(ctx context.Context) error {
			done, err := s.pool.Exec(ctx, `DELETE FROM session WHERE (openid, account) IN
				(SELECT openid, account FROM session WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)`, now.UnixMilli(), chunk)
			n = int(done.RowsAffected())
			return err
		})
		if removed += n; err != nil || n == 0 {
			return removed, err
		}
	}
}

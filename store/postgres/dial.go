package postgres

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// link is a connection whose end nobody waits for. When a call is given up, the driver asks the server on another
// connection to cancel it, and waits for the answers of both for 15 s; until then the pool has no other connection in their
// place. A server that hangs answers neither, and meanwhile another one may have taken its place.
//
// So no deadline lies farther off than callTime, and a link has one from the beginning, which use lifts: what cancels a
// call is never in use.
type link struct{ net.Conn }

// bound has connections be links. One has to be in use when timeout is over.
func bound(conn *pgconn.Config, timeout time.Duration) {
	conn.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return link{conn}, conn.SetDeadline(time.Now().Add(timeout))
	}
	conn.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error { return conn.Conn().SetDeadline(time.Time{}) }
}

// SetDeadline implements [net.Conn].
func (l link) SetDeadline(t time.Time) error {
	if end := time.Now().Add(callTime); t.After(end) {
		t = end
	}
	return l.Conn.SetDeadline(t)
}

// farewell bounds how long the pool waits for the server when it gives up a connection.
func farewell(conn *pgx.Conn) { _ = conn.PgConn().Conn().SetDeadline(time.Now().Add(callTime)) }

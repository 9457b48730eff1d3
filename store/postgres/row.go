package postgres

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/echostr/echostr/internal/packed"
	"github.com/echostr/echostr/store"
)

// columns are those of a turn, in the order of readRow.
const columns = `turn.key, turn.version, turn.account, turn.openid, turn.original_id, turn.msg_type, turn.event, turn.body, turn.create_time,
	turn.received_at, turn.pushes, turn.seen, turn.state, turn.pure, turn.attempt, turn.owner, turn.epoch, turn.finished_at, turn.reply, turn.reason,
	turn.delivery, turn.offered_to, turn.due, turn.code, turn.placeholder, turn.way`

// millis is a time in the database: Unix milliseconds, 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// text is a string in a column of bytes, which may be NULL.
type text string

// ScanBytes implements [pgtype.BytesScanner].
func (t *text) ScanBytes(b []byte) error {
	*t = text(b)
	return nil
}

// errRow: a row does not hold what a turn does.
var errRow = errors.New("store: a turn in the database cannot be read")

// readRow makes a turn of the present row of an answer, whose columns are first some that the caller
// knows, and then columns. An error that is not errRow is one of the connection.
func readRow(rows pgx.Rows, first ...any) (t store.Turn, err error) {
	var key, pushes, way text
	var received, finished, due int64
	var state, delivery int16
	dest := append(make([]any, 0, 32), first...)
	dest = append(dest, &key, &t.Version, (*text)(&t.Account), (*text)(&t.OpenID), (*text)(&t.OriginalID), (*text)(&t.MsgType), (*text)(&t.Event), (*text)(&t.Body),
		&t.CreateTime, &received, &pushes, &t.Seen, &state, &t.Pure, &t.Attempt, (*text)(&t.Owner.ID), &t.Owner.Epoch, &finished, (*text)(&t.Reply), (*text)(&t.Reason),
		&delivery, &t.OfferedTo, &due, (*text)(&t.Code), (*text)(&t.Placeholder), &way)
	if err := rows.Scan(dest...); err != nil {
		return t, err
	}
	if len(key) != len(t.Key) {
		return t, fmt.Errorf("%w: its key has %d bytes; restore a backup", errRow, len(key))
	}
	copy(t.Key[:], key)
	t.ReceivedAt, t.FinishedAt, t.Due = fromMillis(received), fromMillis(finished), fromMillis(due)
	t.State, t.Delivery = store.State(state), store.Delivery(delivery)
	if t.Pushes, err = packed.Pushes([]byte(pushes)); err == nil {
		t.Way, err = packed.Way([]byte(way))
	}
	if state < 0 || state > 255 || delivery < 0 || delivery > 255 {
		err = errors.New("a number is out of range")
	}
	if err != nil {
		return store.Turn{Key: t.Key}, fmt.Errorf("%w: %s: %w; restore a backup", errRow, t.Key, err)
	}
	return t, nil
}

// arena holds the bytes of many strings in few pieces.
type arena []byte

// text returns the bytes of a string, which are not nil.
func (a *arena) text(s string) []byte {
	at := len(*a)
	*a = append(*a, s...)
	return (*a)[at:len(*a):len(*a)]
}

// blob returns the bytes of a string, or nil for none, which is NULL.
func (a *arena) blob(s string) []byte {
	if s == "" {
		return nil
	}
	return a.text(s)
}

func (a *arena) pushes(pushes []store.Push) []byte {
	at := len(*a)
	*a = packed.AppendPushes(*a, pushes)
	return (*a)[at:len(*a):len(*a)]
}

func (a *arena) way(w *store.Way) []byte {
	if *w == (store.Way{}) {
		return nil
	}
	at := len(*a)
	*a = packed.AppendWay(*a, w)
	return (*a)[at:len(*a):len(*a)]
}

// arenaFor returns an arena with room for most of what is written of the rows.
func arenaFor(ops []*store.Op) arena {
	n := 64
	for _, op := range ops {
		n += len(op.Turn.Body) + len(op.Turn.Reply) + 256
	}
	return make(arena, 0, n)
}

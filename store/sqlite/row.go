package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/echostr/echostr/internal/packed"
	"github.com/echostr/echostr/store"
)

// columns are those of a turn, in the order of the schema and of readRow. Those that few turns
// use come last, and have defaults.
const (
	columns      = plainColumns + `, due, code, placeholder, way`
	plainColumns = `key, version, account, openid, original_id, msg_type, event, body, create_time, received_at, pushes,
	seen, state, pure, attempt, owner, epoch, finished_at, reply, reason, delivery, offered_to`

	numColumns = 26
)

// appendReceived adds the values of the columns that a claim writes and a save
// leaves alone, from version to received_at, after the key.
func appendReceived(v []driver.Value, t *store.Turn) []driver.Value {
	return append(v, t.Account, t.OpenID, t.OriginalID, t.MsgType, t.Event, blob(t.Body), t.CreateTime, millis(t.ReceivedAt))
}

// appendProgress adds the values of the columns from pushes to offered_to.
func appendProgress(v []driver.Value, t *store.Turn) []driver.Value {
	return append(v, packed.AppendPushes(nil, t.Pushes), int64(t.Seen), int64(t.State), t.Pure, int64(t.Attempt), t.Owner.ID, t.Owner.Epoch,
		millis(t.FinishedAt), blob(t.Reply), t.Reason, int64(t.Delivery), int64(t.OfferedTo))
}

// appendLate adds the values of the columns from due on.
func appendLate(v []driver.Value, t *store.Turn) []driver.Value {
	return append(v, millis(t.Due), t.Code, blob(t.Placeholder), packed.AppendWay(nil, &t.Way))
}

// isPlain reports whether t has the defaults in the columns from due on, as most turns do.
func isPlain(t *store.Turn) bool {
	return t.Due.IsZero() && t.Code == "" && t.Placeholder == "" && t.Way == store.Way{}
}

// blob is a text that SQLite need not understand. An empty one takes no place.
func blob(s string) driver.Value {
	if s == "" {
		return nil
	}
	return []byte(s)
}

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

// errRow: a row does not hold what a turn does.
var errRow = errors.New("store: a turn in the database cannot be read")

// readRow makes a turn of the values of columns. Whatever is in the file, it
// returns an error and does not panic.
func readRow(v []driver.Value) (t store.Turn, err error) {
	r := rowReader{values: v}
	key := r.bytes()
	if len(key) != len(t.Key) {
		return t, fmt.Errorf("%w: its key has %d bytes; restore a backup", errRow, len(key))
	}
	copy(t.Key[:], key)
	t.Version = r.int()
	t.Account, t.OpenID, t.OriginalID, t.MsgType, t.Event = r.text(), r.text(), r.text(), r.text(), r.text()
	t.Body = string(r.bytes())
	t.CreateTime, t.ReceivedAt = r.int(), fromMillis(r.int())
	pushes := r.bytes()
	t.Seen = int(r.int())
	t.State = store.State(r.small())
	t.Pure = r.int() != 0
	t.Attempt = int(r.int())
	t.Owner = store.Node{ID: r.text(), Epoch: r.int()}
	t.FinishedAt = fromMillis(r.int())
	t.Reply, t.Reason = string(r.bytes()), r.text()
	t.Delivery, t.OfferedTo = store.Delivery(r.small()), int(r.int())
	t.Due, t.Code, t.Placeholder = fromMillis(r.int()), r.text(), string(r.bytes())
	way := r.bytes()
	if r.err == nil {
		t.Pushes, r.err = packed.Pushes(pushes)
	}
	if r.err == nil {
		t.Way, r.err = packed.Way(way)
	}
	if r.err != nil {
		return store.Turn{}, fmt.Errorf("%w: %s: %w; restore a backup", errRow, t.Key, r.err)
	}
	return t, nil
}

// rowReader takes values one by one and keeps the first error.
type rowReader struct {
	values []driver.Value
	err    error
}

func (r *rowReader) next() (v driver.Value) {
	if len(r.values) > 0 {
		v, r.values = r.values[0], r.values[1:]
	} else {
		r.fail("a column is missing")
	}
	return v
}

func (r *rowReader) fail(what string) {
	if r.err == nil {
		r.err = errors.New(what)
	}
}

func (r *rowReader) int() int64 {
	n, ok := r.next().(int64)
	if !ok {
		r.fail("a number is not one")
	}
	return n
}

func (r *rowReader) small() uint8 {
	n := r.int()
	if n < 0 || n > 255 {
		r.fail("a number is out of range")
	}
	return uint8(n)
}

func (r *rowReader) text() string {
	s, ok := r.next().(string)
	if !ok {
		r.fail("a text is not one")
	}
	return s
}

func (r *rowReader) bytes() []byte {
	v := r.next()
	b, ok := v.([]byte)
	if !ok && v != nil {
		r.fail("bytes are none")
	}
	return b
}

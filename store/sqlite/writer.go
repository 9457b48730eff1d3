package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/echostr/echostr/internal/packed"
	"github.com/echostr/echostr/store"
)

// The writer is the one connection that writes, and the one goroutine that uses
// it. Calls queue up, and all that wait at one moment share one transaction and
// so one flush: the more load, the larger the group. It speaks to the driver
// without database/sql, which would cost a fifth more per row.
type writer struct {
	s    *Store
	conn driver.Conn

	mu      sync.Mutex
	arrived sync.Cond
	queue   []*request
	closed  bool
	stopped chan struct{}
	pool    sync.Pool // of requests: of this store's only, since a synctest bubble keeps its channels

	// Only the writer's goroutine touches these.
	prepared map[string]driver.Stmt
	outcomes []outcome
	values   []driver.NamedValue
	args     []driver.Value
	since    int  // transactions since the size of the WAL was looked at
	tight    bool // there was little room on the disk then
}

// request is one call that waits for its turn: ops to claim or save, or else do.
type request struct {
	ops  []store.Op
	kind kind
	do   func() error
	done chan error
}

// kind is what a request is; from alone on nothing else shares its group.
type kind uint8

const (
	claims kind = iota
	saves
	shared  // do, in the transaction of others; what it returns is theirs, too
	alone   // do, in a transaction of its own
	outside // do, in no transaction
)

// weight is for how many rows of a transaction r counts.
func (r *request) weight() int {
	if r.kind == shared {
		return 64 // a session may be long
	}
	return len(r.ops)
}

// outcome is what will be reported about an op if the transaction commits.
type outcome struct {
	ok  bool
	row store.Turn // what stands in the way, if not ok and err is nil
	err error
}

// Statements of the writer. Parameters have no names: the driver looks each name up
// each time.
const (
	insertTurn   = `INSERT INTO turn (` + columns + `) ` + insertValues + `, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	insertValues = `VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?`
	selectTurn   = `SELECT ` + columns + ` FROM turn WHERE key = ?`

	setProgress = `UPDATE turn SET version = version + 1, pushes = ?, seen = ?, state = ?, pure = ?, attempt = ?, owner = ?, epoch = ?,
		finished_at = ?, reply = ?, reason = ?, delivery = ?, offered_to = ?`
	ifSaved    = ` WHERE key = ? AND version = ? AND (state <> 6 OR ?)`
	updateTurn = setProgress + `, due = ?, code = ?, placeholder = ?, way = ?` + ifSaved

	setMark  = `UPDATE turn SET version = version + 1, pushes = ?, seen = ?, delivery = ?, offered_to = ?`
	ifMarked = ` WHERE key = ? AND version = ?`
	markTurn = setMark + `, due = ?` + ifMarked

	// Those of most turns, which have the defaults in the columns from due on, before and after: without
	// them, and without a look at the indexes of what is due, all three together cost a tenth less.
	insertPlain = `INSERT INTO turn (` + plainColumns + `) ` + insertValues + `) ON CONFLICT DO NOTHING`
	updatePlain = setProgress + ifSaved + ` AND due = 0 AND code = '' AND placeholder IS NULL AND way IS NULL`
	markPlain   = setMark + ifMarked + ` AND due = 0`
)

// maxGroup bounds the rows of one transaction, and with them how long the first of them
// waits: about a tenth of a second. It must be large: when a flush takes seconds, all
// that came in meanwhile has to fit, or the queue grows.
const maxGroup = 8192

func newWriter(s *Store, conn driver.Conn) (*writer, error) {
	w := &writer{s: s, conn: conn, stopped: make(chan struct{}), prepared: make(map[string]driver.Stmt)}
	w.arrived.L = &w.mu
	w.pool.New = func() any { return &request{done: make(chan error, 1)} }
	// Those that every message needs; what does not fit the schema shows at once.
	for _, text := range []string{insertPlain, insertTurn, updatePlain, updateTurn, markPlain, markTurn, selectTurn} {
		if _, err := w.prepare(text); err != nil {
			return nil, err
		}
	}
	go w.run()
	return w, nil
}

// submit queues a call and waits for its outcome.
func (w *writer) submit(ctx context.Context, kind kind, ops []store.Op, do func() error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	r := w.pool.Get().(*request)
	r.kind, r.ops, r.do = kind, ops, do
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return w.s.closedErr()
	}
	if w.queue = append(w.queue, r); len(w.queue) == 1 {
		w.arrived.Signal()
	}
	w.mu.Unlock()
	// From here on the rows belong to the writer, so nobody leaves early. It is
	// the disk that decides how long this takes.
	err := <-r.done
	r.ops, r.do = nil, nil
	w.pool.Put(r)
	return err
}

// stop lets the writer finish what is queued and ends it.
func (w *writer) stop() {
	w.mu.Lock()
	w.closed = true
	w.arrived.Signal()
	w.mu.Unlock()
	<-w.stopped
}

func (w *writer) run() {
	defer close(w.stopped)
	var group []*request
	for {
		var rows int
		if group, rows = w.take(group[:0]); len(group) == 0 {
			return
		}
		err := w.carryOut(group, rows)
		for i, r := range group {
			r.done <- err
			group[i] = nil
		}
		w.watchSize()
	}
}

// take waits for calls and appends to group those that share the next transaction. It
// appends none when the writer is to stop and nothing is left.
func (w *writer) take(group []*request) (_ []*request, rows int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && !w.closed {
		w.arrived.Wait()
	}
	// Whoever is about to queue up does so first: one flush for all of them
	// costs least. When nobody is, this is over at once.
	for n := 0; n < len(w.queue) && n < maxGroup; {
		n = len(w.queue)
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	}
	weight := 0
	for _, r := range w.queue {
		if len(group) > 0 && (r.kind >= alone || weight+r.weight() > maxGroup) {
			break
		}
		group = append(group, r)
		rows += len(r.ops)
		if weight += r.weight(); r.kind >= alone {
			break
		}
	}
	rest := copy(w.queue, w.queue[len(group):])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	return group, rows
}

// carryOut carries out a group of calls and reports what became of its rows.
func (w *writer) carryOut(group []*request, rows int) error {
	if err := w.s.broken(); err != nil {
		return err
	}
	began := time.Now()
	w.s.reserve.restore()
	run := w.attempt
	if group[0].kind == outside {
		run = func([]*request) error { return group[0].do() }
	}
	err := run(group)
	if isFull(err) {
		// What is under way must be able to end, so results get the room that
		// was kept for them; new messages do not.
		w.s.reserve.needed.Lock()
		defer w.s.reserve.needed.Unlock()
		if w.s.reserve.release() {
			w.s.logger.Error("the disk is full: new messages are not accepted until there is room", slog.String("path", w.s.path))
		}
		// What the WAL holds may fit into the database.
		if _, moved := w.empty(); moved != nil && errors.Is(failure(moved), store.ErrBroken) {
			err = moved
		} else {
			err = run(group)
		}
	}
	if err != nil {
		if err = failure(err); errors.Is(err, store.ErrBroken) {
			w.s.broke(err)
		}
		return err
	}
	i := 0
	for _, r := range group {
		for j := range r.ops {
			op, out := &r.ops[j], &w.outcomes[i]
			op.OK, op.Err = out.ok, out.err
			switch {
			case out.ok && r.kind == saves:
				op.Turn.Version++
			case out.ok:
				op.Turn.Version = 1
			case out.err == nil:
				op.Turn = out.row
			}
			out.row = store.Turn{}
			i++
		}
	}
	if rows > 0 {
		w.s.stats.committed(rows, time.Since(began))
	}
	return nil
}

// attempt runs one transaction for a group.
func (w *writer) attempt(group []*request) (err error) {
	w.outcomes = w.outcomes[:0]
	if _, err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// Often SQLite has rolled back already.
			_, _ = w.exec("ROLLBACK")
		}
	}()
	for _, r := range group {
		if r.do != nil {
			if err := r.do(); err != nil {
				return err
			}
			continue
		}
		for j := range r.ops {
			op := &r.ops[j]
			var out outcome
			if r.kind == saves {
				out, err = w.save(op)
			} else {
				out, err = w.claim(&op.Turn)
			}
			if err != nil {
				return err
			}
			w.outcomes = append(w.outcomes, out)
		}
	}
	_, err = w.exec("COMMIT")
	return err
}

func (w *writer) claim(t *store.Turn) (outcome, error) {
	void := t.State == store.Running && !w.s.nodes.alive(t.Owner)
	if !void && !w.s.reserve.gone() {
		w.s.recent.add(t.Key)
		w.args = append(w.args[:0], t.Key[:])
		w.args = appendProgress(appendReceived(w.args, t), t)
		insert := insertPlain
		if !isPlain(t) {
			insert, w.args = insertTurn, appendLate(w.args, t)
		}
		if changed, err := w.change(insert); err != nil || changed {
			return outcome{ok: changed}, err
		}
	}
	out, err := w.there(t.Key)
	if !errors.Is(out.err, store.ErrNotFound) {
		return out, err
	}
	out.err = store.ErrFull
	if void {
		out.err = store.ErrFenced
	}
	return out, nil
}

func (w *writer) save(op *store.Op) (outcome, error) {
	t := &op.Turn
	void := t.State == store.Running && !w.s.nodes.alive(t.Owner)
	if !void {
		replace := w.replace
		if op.Mark {
			replace = w.mark
		}
		if changed, err := replace(t); err != nil || changed {
			return outcome{ok: changed}, err
		}
	}
	out, err := w.there(t.Key)
	if err == nil && out.err == nil && void && out.row.Version == t.Version && out.row.State != store.Erased {
		out.err = store.ErrFenced
	}
	return out, err
}

// replace saves all of a turn that is not as it was received, and reports whether it did.
func (w *writer) replace(t *store.Turn) (bool, error) {
	if isPlain(t) {
		w.args = append(appendProgress(w.args[:0], t), t.Key[:], t.Version, t.State == store.Erased)
		if changed, err := w.change(updatePlain); err != nil || changed {
			return changed, err
		}
	}
	w.args = append(appendLate(appendProgress(w.args[:0], t), t), t.Key[:], t.Version, t.State == store.Erased)
	return w.change(updateTurn)
}

// mark saves what an op with Mark has changed, and reports whether it did.
func (w *writer) mark(t *store.Turn) (bool, error) {
	w.args = append(w.args[:0], packed.AppendPushes(nil, t.Pushes), int64(t.Seen), int64(t.Delivery), int64(t.OfferedTo))
	if t.Due.IsZero() {
		w.args = append(w.args, t.Key[:], t.Version)
		if changed, err := w.change(markPlain); err != nil || changed {
			return changed, err
		}
		w.args = w.args[:4]
	}
	w.args = append(w.args, millis(t.Due), t.Key[:], t.Version)
	return w.change(markTurn)
}

// there is the outcome of an op that met what is there. A row that cannot be read
// concerns nobody but its own message.
func (w *writer) there(key store.Key) (out outcome, err error) {
	out.row, err = w.get(key)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, errRow) {
		out.err, err = err, nil
	}
	return out, err
}

// get reads a row inside the transaction.
func (w *writer) get(key store.Key) (store.Turn, error) {
	w.args = append(w.args[:0], key[:])
	var values [numColumns]driver.Value
	switch err := w.first(selectTurn, values[:]); {
	case err == io.EOF:
		return store.Turn{}, store.ErrNotFound
	case err != nil:
		return store.Turn{}, err
	}
	return readRow(values[:])
}

// change runs a statement with w.args and reports whether it changed a row.
func (w *writer) change(text string) (bool, error) {
	n, err := w.do(text)
	return n > 0, err
}

// exec runs a statement and returns how many rows it changed.
func (w *writer) exec(text string, args ...driver.Value) (int, error) {
	w.args = append(w.args[:0], args...)
	return w.do(text)
}

// numbers runs a statement that answers with one row of numbers.
func (w *writer) numbers(text string, args ...driver.Value) (n [3]int64, err error) {
	w.args = append(w.args[:0], args...)
	var values [3]driver.Value
	if err := w.first(text, values[:]); err != nil {
		return n, err
	}
	for i, v := range values {
		n[i], _ = v.(int64)
	}
	return n, nil
}

// do runs a statement with w.args, and returns how many rows it changed.
func (w *writer) do(text string) (int, error) {
	stmt, err := w.prepare(text)
	if err != nil {
		return 0, err
	}
	result, err := stmt.(driver.StmtExecContext).ExecContext(context.Background(), w.named())
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// first runs a query with w.args and reads the first row of the answer.
func (w *writer) first(text string, values []driver.Value) error {
	stmt, err := w.prepare(text)
	if err != nil {
		return err
	}
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(context.Background(), w.named())
	if err != nil {
		return err
	}
	defer rows.Close()
	return rows.Next(values[:min(len(values), len(rows.Columns()))])
}

// text runs a statement that answers with one text.
func (w *writer) text(text string) (string, error) {
	w.args = w.args[:0]
	var value [1]driver.Value
	err := w.first(text, value[:])
	s, _ := value[0].(string)
	return s, err
}

// empty moves the WAL into the database and makes it empty. It reports whether somebody
// reads, so that it could not; it does not wait for them.
func (w *writer) empty() (busy bool, err error) {
	w.s.oneMove.Lock()
	defer w.s.oneMove.Unlock()
	w.timeout(0)
	defer w.timeout(busyTimeout)
	n, err := w.numbers("PRAGMA wal_checkpoint(TRUNCATE)")
	return n[0] != 0, err
}

// timeout is how long the writer waits for other programs' locks.
func (w *writer) timeout(d time.Duration) {
	_, _ = w.numbers("PRAGMA busy_timeout = " + strconv.FormatInt(d.Milliseconds(), 10))
}

// prepare returns the statement of a text, prepared once.
func (w *writer) prepare(text string) (stmt driver.Stmt, err error) {
	if stmt = w.prepared[text]; stmt == nil {
		if stmt, err = w.conn.Prepare(text); err == nil {
			w.prepared[text] = stmt
		}
	}
	return stmt, err
}

func (w *writer) named() []driver.NamedValue {
	for len(w.values) < len(w.args) {
		w.values = append(w.values, driver.NamedValue{Ordinal: len(w.values) + 1})
	}
	for i, v := range w.args {
		w.values[i].Value = v
	}
	return w.values[:len(w.args)]
}

package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/echostr/echostr/store"
)

// writers is how many groups of claims, and how many of saves, are on their way at a time.
const writers = 2

// weigh is for how much of a group a call counts: its rows, or what is in them if they are long.
func weigh(ops []store.Op) (n int) {
	for i := range ops {
		t := &ops[i].Turn
		n += 1 + (len(t.Body)+len(t.Reply)+len(t.Placeholder))>>14
	}
	return n
}

// outcome is what will be reported about an op if all of the group has come to one.
type outcome struct {
	op  *store.Op
	ok  bool
	row store.Turn // what stands in the way, if not ok and err is nil
	err error
}

// rounds carries out the ops of a group, each key once in a round: of two ops with one key the second
// meets what the first has left.
func (s *Store) rounds(group [][]store.Op, version func(t *store.Turn) int64, round func(ctx context.Context, ops []*store.Op) (done []outcome, again []*store.Op, err error)) error {
	var left []*store.Op
	for _, ops := range group {
		for i := range ops {
			left = append(left, &ops[i])
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	outcomes := make([]outcome, 0, len(left))
	for n := 0; len(left) > 0; n++ {
		if n > cap(outcomes)+3 {
			return fmt.Errorf("%w: a turn goes and comes all the time; try again", store.ErrUnavailable)
		}
		now, later := part(left)
		began := time.Now()
		done, again, err := round(ctx, now)
		if err != nil {
			return err
		}
		s.stats.committed(len(now), time.Since(began))
		outcomes = append(outcomes, done...)
		left = append(again, later...)
	}
	for _, out := range outcomes {
		op := out.op
		op.OK, op.Err = out.ok, out.err
		switch {
		case out.ok:
			op.Turn.Version = version(&op.Turn)
		case out.err == nil:
			op.Turn = out.row
		}
	}
	return nil
}

// part takes from ops those that can be carried out by one statement: of those with one key the first,
// and of those that are to be sent to one user the first.
func part(ops []*store.Op) (now, later []*store.Op) {
	if len(ops) == 1 {
		return ops, nil
	}
	keys := make(map[store.Key]struct{}, len(ops))
	var users map[int64]struct{}
	for _, op := range ops {
		_, twice := keys[op.Turn.Key]
		if isSent(&op.Turn) && !twice {
			u := userLock(&op.Turn)
			if users == nil {
				users = make(map[int64]struct{})
			}
			_, twice = users[u]
			users[u] = struct{}{}
		}
		keys[op.Turn.Key] = struct{}{}
		if twice {
			later = append(later, op)
		} else {
			now = append(now, op)
		}
	}
	return now, later
}

// Statements that write turns. The rows come as one array for each column, in the order of acceptance, and
// are written in the order of their keys.
//
// A plan is made once and used for as long as the connection lives, also if the table was empty when it
// was made. So the statements leave one way only: by the key to the place of each row (OFFSET 0 keeps
// the server from taking the two steps as one), and no scan of the table, which parse turns off. What a
// row must be is asked of the table itself, not of the place, since the row may change while it is
// waited for.
const (
	place = `CROSS JOIN LATERAL (SELECT ctid AS at FROM turn WHERE turn.key = n.key OFFSET 0) AS place
	WHERE turn.ctid = place.at AND turn.version = n.version`

	alive = `EXISTS (SELECT FROM node WHERE node.id = n.owner AND node.epoch = n.epoch AND node.until > clock_timestamp())`

	insertTurns = `WITH n AS MATERIALIZED (SELECT nextval('turn_id') AS id, * FROM unnest(
		$1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bigint[], $9::bigint[],
		$10::bytea[], $11::bigint[], $12::smallint[], $13::boolean[], $14::bigint[], $15::bytea[], $16::bigint[], $17::bigint[], $18::bytea[], $19::bytea[], $20::smallint[], $21::bigint[],
		$22::bigint[], $23::bytea[], $24::bytea[], $25::bytea[])
		AS n (key, account, openid, original_id, msg_type, event, body, create_time, received_at,
		pushes, seen, state, pure, attempt, owner, epoch, finished_at, reply, reason, delivery, offered_to, due, code, placeholder, way))
	INSERT INTO turn (id, version, key, account, openid, original_id, msg_type, event, body, create_time, received_at,
		pushes, seen, state, pure, attempt, owner, epoch, finished_at, reply, reason, delivery, offered_to, due, code, placeholder, way)
	SELECT id, 1, key, account, openid, original_id, msg_type, event, body, create_time, received_at,
		pushes, seen, state, pure, attempt, owner, epoch, finished_at, reply, reason, delivery, offered_to, due, code, placeholder, way
	FROM n WHERE n.state <> 1 OR ` + alive + ` ORDER BY key
	ON CONFLICT (key) DO NOTHING RETURNING key`

	updateTurns = `UPDATE turn SET version = turn.version + 1, pushes = n.pushes, seen = n.seen, state = n.state, pure = n.pure, attempt = n.attempt,
		owner = n.owner, epoch = n.epoch, finished_at = n.finished_at, reply = n.reply, reason = n.reason, delivery = n.delivery, offered_to = n.offered_to,
		due = n.due, code = n.code, placeholder = n.placeholder, way = n.way
	FROM (SELECT * FROM unnest($1::bytea[], $2::bigint[],
		$3::bytea[], $4::bigint[], $5::smallint[], $6::boolean[], $7::bigint[], $8::bytea[], $9::bigint[], $10::bigint[], $11::bytea[], $12::bytea[], $13::smallint[], $14::bigint[],
		$15::bigint[], $16::bytea[], $17::bytea[], $18::bytea[])
		AS n (key, version, pushes, seen, state, pure, attempt, owner, epoch, finished_at, reply, reason, delivery, offered_to, due, code, placeholder, way) ORDER BY key) AS n
	` + place + ` AND (turn.state <> 6 OR n.state = 6) AND (n.state <> 1 OR ` + alive + `)
		AND (n.delivery <> 5 OR NOT EXISTS (SELECT FROM turn AS other WHERE other.due > 0 AND other.openid = turn.openid AND other.account = turn.account
			AND other.delivery = 5 AND (other.owner <> n.owner OR other.epoch <> n.epoch) AND other.key <> n.key))
	RETURNING turn.key`

	// A running turn is marked for its owner only, which the mark does not change.
	markTurns = `UPDATE turn SET version = turn.version + 1, pushes = n.pushes, seen = n.seen, delivery = n.delivery, offered_to = n.offered_to, due = n.due
	FROM (SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[], $5::smallint[], $6::bigint[], $7::bigint[], $8::smallint[], $9::bytea[], $10::bigint[])
		AS n (key, version, pushes, seen, delivery, offered_to, due, state, owner, epoch) ORDER BY key) AS n
	` + place + ` AND (n.state <> 1 OR ` + alive + `)
	RETURNING turn.key`

	// lockUsers has those wait for each other who are about to send to one user.
	lockUsers = `SELECT pg_advisory_xact_lock(n) FROM unnest($1::bigint[]) AS n`
)

// claim carries out a group of claims.
func (s *Store) claim(group [][]store.Op) error {
	one := func(*store.Turn) int64 { return 1 }
	return s.rounds(group, one, func(ctx context.Context, ops []*store.Op) (done []outcome, again []*store.Op, err error) {
		wrote, err := s.transact(ctx, func(b *pgx.Batch) { b.Queue(insertTurns, insertArgs(ops)...) })
		if err != nil {
			return nil, nil, err
		}
		return s.conclude(ctx, ops, wrote, func(op *store.Op, there *store.Turn, dead bool) outcome {
			switch {
			case there != nil:
				return outcome{op: op, row: *there}
			case dead && op.Turn.State == store.Running:
				return outcome{op: op, err: store.ErrFenced}
			}
			return outcome{} // it was there, and has expired since
		})
	})
}

// save carries out a group of saves.
func (s *Store) save(group [][]store.Op) error {
	next := func(t *store.Turn) int64 { return t.Version + 1 }
	return s.rounds(group, next, func(ctx context.Context, ops []*store.Op) (done []outcome, again []*store.Op, err error) {
		wrote, err := s.transact(ctx, func(b *pgx.Batch) { queueSaves(b, ops) })
		if err != nil {
			return nil, nil, err
		}
		return s.conclude(ctx, ops, wrote, func(op *store.Op, there *store.Turn, dead bool) outcome {
			switch {
			case there == nil:
				return outcome{op: op, err: store.ErrNotFound}
			case dead && op.Turn.State == store.Running && there.Version == op.Turn.Version && there.State != store.Erased:
				return outcome{op: op, err: store.ErrFenced}
			}
			return outcome{op: op, row: *there}
		})
	})
}

func queueSaves(b *pgx.Batch, ops []*store.Op) {
	var whole, marks []*store.Op
	var users []int64
	for _, op := range ops {
		if isSent(&op.Turn) {
			users = append(users, userLock(&op.Turn))
		}
		if op.Mark && !isSent(&op.Turn) {
			marks = append(marks, op)
		} else {
			whole = append(whole, op)
		}
	}
	if len(users) > 0 {
		// By a statement of their own, so that the next one sees what they have waited for.
		slices.Sort(users)
		b.Queue(lockUsers, users)
	}
	if len(whole) > 0 {
		b.Queue(updateTurns, updateArgs(whole)...)
	}
	if len(marks) > 0 {
		b.Queue(markTurns, markArgs(marks)...)
	}
}

// transact runs statements as one transaction, in one round trip, and returns the keys that they answer with.
func (s *Store) transact(ctx context.Context, queue func(*pgx.Batch)) (wrote map[store.Key]struct{}, err error) {
	err = s.attempt(ctx, false, func(ctx context.Context) error {
		wrote = make(map[store.Key]struct{})
		var b pgx.Batch
		queue(&b)
		results := s.pool.SendBatch(ctx, &b)
		defer results.Close()
		for _, q := range b.QueuedQueries {
			if q.SQL == lockUsers {
				if _, err := results.Exec(); err != nil {
					return err
				}
				continue
			}
			rows, err := results.Query()
			if err != nil {
				return err
			}
			var key []byte
			_, err = pgx.ForEachRow(rows, []any{&key}, func() error {
				wrote[store.Key(key)] = struct{}{}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return results.Close() // the transaction ends here
	})
	return wrote, err
}

// conclude says what became of each op when the rows with the keys in wrote were written. For each of the others
// it calls judge with what is there, if anything, and whether the owner is dead; an outcome without an op is
// none, and the op has to be tried again.
func (s *Store) conclude(ctx context.Context, ops []*store.Op, wrote map[store.Key]struct{}, judge func(op *store.Op, there *store.Turn, dead bool) outcome) (done []outcome, again []*store.Op, err error) {
	done = make([]outcome, 0, len(ops))
	var rest []*store.Op
	var keys [][]byte
	var owners []store.Node
	for _, op := range ops {
		if _, ok := wrote[op.Turn.Key]; ok {
			done = append(done, outcome{op: op, ok: true})
			continue
		}
		rest = append(rest, op)
		keys = append(keys, op.Turn.Key[:])
		owners = append(owners, op.Turn.Owner)
	}
	if len(rest) == 0 {
		return done, nil, nil
	}
	var living map[store.Node]bool
	there := make(map[store.Key]outcome, len(rest))
	err = s.attempt(ctx, true, func(ctx context.Context) (err error) {
		if living, err = s.living(ctx, owners); err != nil {
			return err
		}
		return s.turns(ctx, func(t store.Turn, err error) { there[t.Key] = outcome{row: t, err: err} }, selectTurns, keys)
	})
	if err != nil {
		return nil, nil, err
	}
	for _, op := range rest {
		var row *store.Turn
		if found, is := there[op.Turn.Key]; is && found.err != nil {
			done = append(done, outcome{op: op, err: found.err}) // it concerns nobody but its own message
			continue
		} else if is {
			row = &found.row
		}
		if out := judge(op, row, !living[op.Turn.Owner]); out.op != nil {
			done = append(done, out)
		} else {
			again = append(again, op)
		}
	}
	return done, again, nil
}

// isSent reports whether a row says that it is being sent by the customer-service API.
func isSent(t *store.Turn) bool { return t.Delivery == store.Sending }

// userLock is the number of the lock on a user. Two users may have the same one.
func userLock(t *store.Turn) int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q", t.Account, t.OpenID)
	return int64(h.Sum64())
}

// rowArrays are the values of rows, one array for each column.
type rowArrays struct {
	key, account, openID, originalID, msgType, event, body [][]byte
	pushes, owner, reply, reason, code, placeholder, way   [][]byte
	version, createTime, receivedAt, seen, attempt, epoch  []int64
	finishedAt, offeredTo, due                             []int64
	state, delivery                                        []int16
	pure                                                   []bool
}

func insertArgs(ops []*store.Op) []any {
	var c rowArrays
	a := arenaFor(ops)
	for _, op := range ops {
		t := &op.Turn
		c.key = append(c.key, t.Key[:])
		c.account = append(c.account, a.text(t.Account))
		c.openID = append(c.openID, a.text(t.OpenID))
		c.originalID = append(c.originalID, a.text(t.OriginalID))
		c.msgType = append(c.msgType, a.text(t.MsgType))
		c.event = append(c.event, a.text(t.Event))
		c.body = append(c.body, a.blob(t.Body))
		c.createTime = append(c.createTime, t.CreateTime)
		c.receivedAt = append(c.receivedAt, millis(t.ReceivedAt))
		c.progress(t, &a)
	}
	return []any{
		c.key, c.account, c.openID, c.originalID, c.msgType, c.event, c.body, c.createTime, c.receivedAt,
		c.pushes, c.seen, c.state, c.pure, c.attempt, c.owner, c.epoch, c.finishedAt, c.reply, c.reason, c.delivery, c.offeredTo, c.due, c.code, c.placeholder, c.way,
	}
}

func updateArgs(ops []*store.Op) []any {
	var c rowArrays
	a := arenaFor(ops)
	for _, op := range ops {
		t := &op.Turn
		c.key = append(c.key, t.Key[:])
		c.version = append(c.version, t.Version)
		c.progress(t, &a)
	}
	return []any{
		c.key, c.version,
		c.pushes, c.seen, c.state, c.pure, c.attempt, c.owner, c.epoch, c.finishedAt, c.reply, c.reason, c.delivery, c.offeredTo, c.due, c.code, c.placeholder, c.way,
	}
}

// progress adds what a save writes.
func (c *rowArrays) progress(t *store.Turn, a *arena) {
	c.pushes = append(c.pushes, a.pushes(t.Pushes))
	c.seen = append(c.seen, int64(t.Seen))
	c.state = append(c.state, int16(t.State))
	c.pure = append(c.pure, t.Pure)
	c.attempt = append(c.attempt, int64(t.Attempt))
	c.owner = append(c.owner, a.text(t.Owner.ID))
	c.epoch = append(c.epoch, t.Owner.Epoch)
	c.finishedAt = append(c.finishedAt, millis(t.FinishedAt))
	c.reply = append(c.reply, a.blob(t.Reply))
	c.reason = append(c.reason, a.text(t.Reason))
	c.delivery = append(c.delivery, int16(t.Delivery))
	c.offeredTo = append(c.offeredTo, int64(t.OfferedTo))
	c.due = append(c.due, millis(t.Due))
	c.code = append(c.code, a.text(t.Code))
	c.placeholder = append(c.placeholder, a.blob(t.Placeholder))
	c.way = append(c.way, a.way(&t.Way))
}

func markArgs(ops []*store.Op) []any {
	var c rowArrays
	var a arena
	for _, op := range ops {
		t := &op.Turn
		c.key = append(c.key, t.Key[:])
		c.version = append(c.version, t.Version)
		c.pushes = append(c.pushes, a.pushes(t.Pushes))
		c.seen = append(c.seen, int64(t.Seen))
		c.delivery = append(c.delivery, int16(t.Delivery))
		c.offeredTo = append(c.offeredTo, int64(t.OfferedTo))
		c.due = append(c.due, millis(t.Due))
		c.state = append(c.state, int16(t.State))
		c.owner = append(c.owner, a.text(t.Owner.ID))
		c.epoch = append(c.epoch, t.Owner.Epoch)
	}
	return []any{c.key, c.version, c.pushes, c.seen, c.delivery, c.offeredTo, c.due, c.state, c.owner, c.epoch}
}

package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/echostr/echostr/store"
)

// IsBadData reports whether the server refuses what it was given, whenever it is given it.
var IsBadData = isBadData

// Elapse lets d pass for all leases.
func (s *Store) Elapse(ctx context.Context, d time.Duration) error {
	_, err := s.pool.Exec(ctx, `UPDATE node SET until = until - make_interval(secs => $1)`, d.Seconds())
	return err
}

// Begin begins a transaction that stands in the way of others until it ends.
func (s *Store) Begin(ctx context.Context, statement string, args ...any) (pgx.Tx, error) {
	conn, err := pgx.ConnectConfig(ctx, s.own)
	if err != nil {
		return nil, err
	}
	tx, err := conn.Begin(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, statement, args...)
	}
	return tx, err
}

// Insert is the statement of a claim, and its parameters.
func Insert(t *store.Turn) (statement string, args []any) {
	return insertTurns, insertArgs([]*store.Op{{Turn: *t}})
}

// Plans returns, by name, how the server carries out each statement that must not get slower with more turns.
// A plan is the one that is made once and used ever after.
func (s *Store) Plans(ctx context.Context) (map[string]string, error) {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	defer hangUp(conn)
	if _, err := conn.Exec(ctx, `SET plan_cache_mode = force_generic_plan`); err != nil {
		return nil, err
	}
	plans := make(map[string]string)
	now := time.Now()
	op := []*store.Op{{Turn: store.Turn{Delivery: store.Sending}}}
	type query struct {
		text string
		args []any
	}
	list := func(f store.Filter) query {
		text, args := listing(&f)
		return query{text, args}
	}
	key := [][]byte{make([]byte, 20)}
	for name, q := range map[string]query{
		"claim":         {insertTurns, insertArgs(op)},
		"save":          {updateTurns, updateArgs(op)},
		"mark":          {markTurns, markArgs(op)},
		"get":           {selectTurns, []any{key}},
		"list":          list(store.Filter{}),
		"list due":      list(store.Filter{DueBefore: now}),
		"list due user": list(store.Filter{Due: true, OpenID: "o"}),
		"list running":  list(store.Filter{States: []store.State{store.Running}, Owner: store.Node{ID: "n", Epoch: 1}}),
		"list user":     list(store.Filter{OpenID: "o", Account: "a"}),
		"list since":    list(store.Filter{Since: now, Until: now, States: []store.State{store.Answered}}),
		"list offered":  list(store.Filter{Since: now, Until: now, States: []store.State{store.Answered}, Deliveries: []store.Delivery{store.Offered}}),
		"owners":        {selectOwners, nil},
		"erase":         {eraseTurns, []any{key, []byte("o")}},
		"theirs":        {selectTheirs, []any{[]byte("o"), []byte("a"), key[0]}},
		"expire":        {expireTurns, expireArgs(0, now, now)},
	} {
		prepared := pgx.Identifier{name}.Sanitize()
		if _, err := conn.Exec(ctx, "PREPARE "+prepared+" AS "+q.text); err != nil {
			return nil, err
		}
		explain := "EXPLAIN EXECUTE " + prepared
		if len(q.args) > 0 {
			explain += "(NULL" + strings.Repeat(", NULL", len(q.args)-1) + ")"
		}
		rows, err := conn.Query(ctx, explain)
		if err != nil {
			return nil, err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, err
		}
		plans[name] = strings.Join(lines, "\n")
	}
	return plans, nil
}

// Stretch is stretch.
const Stretch = stretch

// ExplainExpire has the first statement of an Expire carried out, and says how.
func (s *Store) ExplainExpire(ctx context.Context, bodies, rows time.Time) ([]string, error) {
	lines, err := s.pool.Query(ctx, "EXPLAIN ANALYZE "+expireTurns, expireArgs(0, bodies, rows)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(lines, pgx.RowTo[string])
}

// OpenError is openError.
var OpenError = openError

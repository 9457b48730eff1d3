package postgres_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
)

// More than are erased and expire in one transaction.
func TestManyTurns(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Config{})
	owner := join(t, s, "node")
	now := time.Now()
	const many = 1201
	var rows []store.Turn
	for n := range int64(many) {
		row := sample(n, now, owner)
		row.OpenID, row.State = "o-ming", store.Silent // all at one moment
		rows = append(rows, row)
	}
	rows = claim(t, s, rows...)
	if n, err := s.Erase(t.Context(), "demo", "o-ming", rows[many-2].Key); n != many-1 || err != nil {
		t.Errorf("%d turns were erased, %v; want %d", n, err, many-1)
	}
	if n, err := s.Expire(t.Context(), now.Add(time.Hour), now.Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("%d rows were removed, %v", n, err)
	}
	if row := get(t, s, rows[many-1].Key); row.Body != "" || row.Version != 2 {
		t.Errorf("the content of the last one has not expired: %+v", row)
	}
	if n, err := s.Expire(t.Context(), now.Add(time.Hour), now.Add(time.Hour)); n != many || err != nil {
		t.Errorf("%d rows were removed, %v; want %d", n, err, many)
	}
	if err := s.Tidy(t.Context()); err != nil {
		t.Error(err)
	}
}

// With retention.bodies below 7 days all messages of some days stand without content before those that are to lose
// theirs. No statement reads them all: with 3,000,000 it took longer than a call may.
func TestExpireBehindManyTurns(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, postgres.Config{DSN: dsn})
	now := time.Now()
	const many = 2*postgres.Stretch + 100
	exec(t, dsn, fmt.Sprintf(`INSERT INTO turn (id, version, key, account, openid, original_id, msg_type, event, create_time, received_at, seen, state, pure, attempt, owner, epoch, finished_at, reason, delivery, offered_to, due, code)
		SELECT nextval('turn_id'), 1, decode(lpad(to_hex(n), 40, '0'), 'hex'), 'demo', '', '', 'text', '', 1, %d + n / 2, 1, 3, false, 1, '', 0, 0, '', 0, 0, 0, '' FROM generate_series(1, %d) AS n`,
		now.Add(-time.Hour).UnixMilli(), many))
	owner := join(t, s, "node")
	last := sample(1, now, owner)
	last.OpenID, last.State = "o-ming", store.Silent
	last = claim(t, s, last)[0]
	plan, err := s.ExplainExpire(t.Context(), now.Add(time.Hour), now.Add(-2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range plan {
		var removed int
		if _, n, _ := strings.Cut(line, "Rows Removed by Filter: "); n != "" {
			fmt.Sscan(n, &removed)
		}
		if removed > postgres.Stretch+10 {
			t.Errorf("a statement reads %d turns in vain:\n%s", removed, strings.Join(plan, "\n"))
		}
	}
	if n, err := s.Expire(t.Context(), now.Add(time.Hour), now.Add(-2*time.Hour)); n != 0 || err != nil {
		t.Errorf("%d rows were removed, %v", n, err)
	}
	if row := get(t, s, last.Key); row.Body != "" || row.OpenID != "" {
		t.Errorf("the content has not expired: %+v", row)
	}
	if n, err := s.Expire(t.Context(), now.Add(time.Hour), now.Add(time.Hour)); n != many+1 || err != nil {
		t.Errorf("%d rows were removed, %v; want %d", n, err, many+1)
	}
}

// Few turns among very many are found, in their order, wherever they lie.
func TestListFewAmongMany(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, postgres.Config{DSN: dsn})
	began := time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
	const many = 2*postgres.Stretch + 100
	// The first, one in the middle and the last have failed; all after the middle were received at one moment.
	exec(t, dsn, fmt.Sprintf(`INSERT INTO turn (id, version, key, account, openid, original_id, msg_type, event, create_time, received_at, seen, state, pure, attempt, owner, epoch, finished_at, reason, delivery, offered_to, due, code)
		SELECT nextval('turn_id'), 1, decode(lpad(to_hex(n), 40, '0'), 'hex'), CASE WHEN n = 2 THEN 'rare'::bytea ELSE 'demo' END, '', '', 'text', '', 1, %d + least(n, %d), 1, CASE WHEN n IN (1, %[2]d, %d) THEN 4 ELSE 3 END, false, 1, '', 0, 0, '', 0, 0, 0, '' FROM generate_series(1, %[3]d) AS n`,
		began.UnixMilli(), many/2, many))
	failed := []store.State{store.Failed}
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	for _, test := range []struct {
		name   string
		filter store.Filter
		want   []int64
	}{
		{"all", store.Filter{States: failed}, []int64{many, many / 2, 1}},
		{"two", store.Filter{States: failed, Limit: 2}, []int64{many, many / 2}},
		{"since", store.Filter{States: failed, Since: at(2)}, []int64{many, many / 2}},
		{"until", store.Filter{States: failed, Until: at(many / 2)}, []int64{1}},
		{"an account", store.Filter{Account: "rare"}, []int64{2}},
		{"none", store.Filter{Account: "demo", States: []store.State{store.Erased}}, nil},
	} {
		turns, err := s.List(t.Context(), test.filter)
		var got []int64
		for _, row := range turns {
			got = append(got, int64(binary.BigEndian.Uint64(row.Key[len(row.Key)-8:])))
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v; want %v", test.name, got, err, test.want)
		}
	}
}

// A turn that another node was writing when the erasure came is erased, too, if it was accepted before.
func TestEraseWaitsForWrites(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Config{})
	owner := join(t, s, "node")
	early, last := answer(1, "o-ming", owner), answer(2, "o-ming", owner)
	statement, args := postgres.Insert(&early)
	tx, err := s.Begin(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	claim(t, s, last)
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := s.Erase(context.Background(), "demo", "o-ming", last.Key)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		t.Errorf("the erasure did not wait: %+v", r)
	case <-time.After(200 * time.Millisecond):
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.n != 2 || r.err != nil {
		t.Errorf("%d turns were erased, %v; want 2", r.n, r.err)
	}
	if row := get(t, s, early.Key); row.State != store.Erased || row.Body != "" {
		t.Errorf("the turn that was being written is still there: %+v", row)
	}
}

// What was erased and tidied up after is in no row of the tables any more, not even in a dead one.
func TestTidy(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s := open(t, postgres.Config{DSN: dsn})
	owner := join(t, s, "node")
	const secret = "a-word-that-nobody-else-has-said"
	row := answer(1, "o-ming", owner)
	row.Body, row.Reply = secret, secret
	row = claim(t, s, row)[0]
	session := store.Session{Account: "demo", OpenID: "o-ming", Data: secret, Expires: time.Now().Add(time.Hour)}
	if _, err := s.SaveSession(t.Context(), &session); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Erase(t.Context(), "demo", "o-ming", store.Key{}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `CREATE EXTENSION pageinspect`); err != nil {
		t.Skipf("skipped: PostgreSQL's extension pageinspect is missing, or the user may not make it: %v", err)
	}
	found := func() (in []string) {
		t.Helper()
		for _, table := range []string{"turn", "session"} {
			var n int
			err := conn.QueryRow(t.Context(), `SELECT count(*) FROM generate_series(0, pg_relation_size($1::text::regclass) / current_setting('block_size')::bigint - 1) AS page,
				heap_page_items(get_raw_page($1::text, page)) WHERE position($2::bytea IN t_data) > 0`, table, []byte(secret)).Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				in = append(in, fmt.Sprintf("%s: %d rows", table, n))
			}
		}
		return in
	}
	if got := found(); len(got) != 2 {
		t.Errorf("before: %v; this test finds nothing", got)
	}
	// A transaction elsewhere in the server may still need the dead rows for a moment.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err := s.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := found(); len(got) == 0 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("after: %s", strings.Join(got, ", "))
		}
	}
	_ = s.Close()
	if err := s.Tidy(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Tidy after Close: %v", err)
	}
}

// What the documents tell to run after a restore does what it should: nothing starts or is sent twice.
func TestDocumentedRestore(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```sql\n")
	block, _, ok := strings.Cut(block, "```")
	if !ok || strings.Count(block, ";") != 3 {
		t.Fatalf("docs/configuration.md has no block of three statements: %q", block)
	}
	dsn := pgtest.DSN(t)
	s := open(t, postgres.Config{DSN: dsn})
	owner := join(t, s, "node")
	running, late, ticket, done := sample(1, time.Now(), owner), answer(2, "o", owner), answer(3, "o", owner), sample(4, time.Now(), owner)
	ticket.Delivery = store.Ticket
	done.State, done.ReceivedAt = store.Silent, done.ReceivedAt.Add(-time.Hour)
	rows := claim(t, s, running, late, ticket, done)
	exec(t, dsn, strings.SplitAfter(strings.TrimSpace(block), ";")[:3]...)
	if row := get(t, s, rows[0].Key); row.State != store.Failed || row.Version != 2 || !strings.HasPrefix(row.Reason, "interrupted") || row.FinishedAt.IsZero() {
		t.Errorf("what was running: %+v", row)
	}
	if row := get(t, s, rows[1].Key); row.Delivery != store.Assumed || !row.Due.IsZero() || row.Version != 2 {
		t.Errorf("what was to be sent: %+v", row)
	}
	for _, row := range rows[2:] {
		if got := get(t, s, row.Key); got.Version != 1 {
			t.Errorf("what waits for nobody was changed: %+v", got)
		}
	}
	inst, err := open(t, postgres.Config{DSN: dsn}).Installation(t.Context())
	if err != nil || !inst.NotBefore.Equal(rows[0].ReceivedAt) && !inst.NotBefore.Equal(rows[1].ReceivedAt) && !inst.NotBefore.Equal(rows[2].ReceivedAt) {
		t.Errorf("not before %v, %v; want when the youngest was received, %v", inst.NotBefore, err, rows[0].ReceivedAt)
	}
}

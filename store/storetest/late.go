package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
)

// mark: of a row that is marked, what an op with Mark may change is written.
func mark(t *testing.T, b Backend) {
	s, other := open(t, b)
	ctx := context.Background()
	rows := []store.Turn{sample(1), finished(sample(2)), late(sample(3), 3), late(sample(4), 4)}
	for i, r := range claim(t, s, rows...) {
		rows[i] = r.Turn
	}
	old := rows[2]
	change := func(row *store.Turn, due time.Time) {
		row.Pushes = append(row.Pushes[:1:1], store.Push{Number: 3, At: base.Add(9 * time.Second), Got: store.GotReply})
		row.Seen, row.Delivery, row.OfferedTo, row.Due = row.Seen+1, store.Assumed, 3, due
	}
	for round, dues := range [][]time.Time{
		{base, {}, base.Add(time.Millisecond), {}}, // comes, stays away, changes, goes
		{{}, base, {}, base},
		{{}, {}, {}, {}},
	} {
		ops := opsOf(rows...)
		for i := range ops {
			change(&ops[i].Turn, dues[i])
			ops[i].Mark = true
			rows[i] = ops[i].Turn
			rows[i].Version++
		}
		if err := s.Save(ctx, ops); err != nil {
			t.Fatal(err)
		}
		for i, op := range ops {
			if !op.OK || op.Err != nil {
				t.Errorf("round %d: row %d was not marked: %+v", round, i, op)
			}
			same(t, "the marked row", op.Turn, rows[i])
			same(t, "Get after a mark", get(t, other, rows[i].Key), rows[i])
		}
		due, err := other.List(ctx, store.Filter{Due: true})
		want := 0
		for _, at := range dues {
			if !at.IsZero() {
				want++
			}
		}
		if err != nil || len(due) != want {
			t.Errorf("round %d: %d turns are due, %v; want %d", round, len(due), err, want)
		}
	}

	unknown := sample(5)
	unknown.Version = 1
	ops := []store.Op{{Turn: old, Mark: true, OK: true}, {Turn: unknown, Mark: true, OK: true}}
	if err := s.Save(ctx, ops); err != nil {
		t.Fatal(err)
	}
	if ops[0].OK || ops[0].Err != nil {
		t.Errorf("a stale version was marked: %+v", ops[0])
	}
	same(t, "what a stale mark is handed", ops[0].Turn, rows[2])
	if ops[1].OK || !errors.Is(ops[1].Err, store.ErrNotFound) {
		t.Errorf("a mark of an unknown key: %+v", ops[1])
	}
}

func listDue(t *testing.T, b Backend) {
	s, other := open(t, b)
	ctx := context.Background()
	var rows []store.Turn
	for n := range 12 {
		row := finished(sample(n))
		if n%4 != 0 {
			row = late(row, 20-n) // the younger ones are due first
		}
		if n == 1 {
			row.State = store.Running
		}
		if n >= 10 {
			row.Account = "second"
		}
		rows = append(rows, row)
	}
	claim(t, s, rows...)
	at := func(n int) time.Time { return base.Add(time.Hour + time.Duration(n)*time.Second) }
	check := func(name string, f store.Filter, want string) {
		t.Helper()
		got, err := other.List(ctx, f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if names := strings.Join(keysOf(got), " "); names != want {
			t.Errorf("%s: %q, want %q", name, names, want)
		}
		for _, row := range got {
			same(t, name, row, get(t, s, row.Key))
		}
	}
	check("due, youngest first", store.Filter{Due: true}, "11 10 9 7 6 5 3 2 1")
	check("before a moment, which is exclusive", store.Filter{DueBefore: at(11)}, "11 10")
	check("from a moment on, which is inclusive, due first", store.Filter{DueFrom: at(15), Due: true}, "5 3 2 1")
	check("between two", store.Filter{DueFrom: at(11), DueBefore: at(14)}, "9 7")
	check("a moment later than from", store.Filter{DueFrom: at(11).Add(time.Nanosecond), DueBefore: at(14)}, "7")
	check("from a moment on, of a user", store.Filter{DueFrom: at(13), OpenID: "o-user-1"}, "7 1")
	check("from a moment on, limit", store.Filter{DueFrom: at(11), Limit: 2}, "9 7")
	check("from the beginning, a limit", store.Filter{DueFrom: time.UnixMilli(1), Limit: 3}, "11 10 9")
	check("after all", store.Filter{DueFrom: at(20)}, "")
	check("a moment later", store.Filter{DueBefore: at(11).Add(time.Nanosecond)}, "11 10 9")
	check("both", store.Filter{Due: true, DueBefore: at(14)}, "11 10 9 7")
	check("before all", store.Filter{DueBefore: base}, "")
	check("of a user", store.Filter{Due: true, OpenID: "o-user-1"}, "10 7 1")
	check("of a user, before a moment", store.Filter{DueBefore: at(14), OpenID: "o-user-1"}, "10 7")
	check("of a user who has none", store.Filter{Due: true, OpenID: "o-nobody"}, "")
	check("of an account", store.Filter{Due: true, Account: "second"}, "11 10")
	check("limit", store.Filter{Due: true, Limit: 2}, "11 10")
	check("limit, before a moment", store.Filter{DueBefore: at(30), Limit: 1}, "11")
	check("running", store.Filter{Due: true, States: []store.State{store.Running}}, "1")
	check("owner and time", store.Filter{Due: true, Owner: owner, Since: base.Add(6 * time.Second), Until: base.Add(10 * time.Second)}, "9 7 6")
	check("all at once", store.Filter{Due: true, DueBefore: at(16), OpenID: "o-user-2", Account: "demo", States: []store.State{store.Answered}, Owner: owner, Limit: 9}, "5")

	// Who is done goes, and who is put off has another time.
	done, later := get(t, s, key(10)), get(t, s, key(11))
	done.Due, later.Due = time.Time{}, at(40)
	save(t, s, done, later)
	check("after one was done and one put off", store.Filter{DueBefore: at(14)}, "9 7")
	check("of the user of the one", store.Filter{Due: true, OpenID: "o-user-1"}, "7 1")
	check("of the user of the other", store.Filter{Due: true, OpenID: "o-user-2"}, "11 5 2")
	if _, err := s.Erase(ctx, "", "o-user-2", store.Key{}); err != nil {
		t.Fatal(err)
	}
	check("after an erasure", store.Filter{Due: true}, "9 7 6 3 1")
	check("of the erased user", store.Filter{Due: true, OpenID: "o-user-2"}, "")
	check("the others are still listed", store.Filter{OpenID: "o-user-0"}, "9 6 3 0")
}

func expireLeavesWhatIsDue(t *testing.T, b Backend) {
	s, _ := open(t, b)
	ctx := context.Background()
	claim(t, s, late(sample(1), 1), late(sample(2), 2), finished(sample(3)))
	want := get(t, s, key(1))
	expireAll := func(bodies, rows time.Time) (removed int) {
		t.Helper()
		removed, err := s.Expire(ctx, bodies, rows)
		if err != nil {
			t.Fatal(err)
		}
		return removed
	}
	end := base.Add(time.Hour)
	if n := expireAll(end, end); n != 1 {
		t.Errorf("%d rows were removed, want the one that is not due", n)
	}
	same(t, "a row that is due, after its content should have expired", get(t, s, key(1)), want)

	done := get(t, s, key(1))
	done.Due, done.Delivery = time.Time{}, store.Sent
	want = save(t, s, done)[0].Turn
	if n := expireAll(end, base); n != 0 {
		t.Errorf("%d rows were removed when only content was to be", n)
	}
	want.Expire()
	want.Version++
	same(t, "the row after it was done", get(t, s, key(1)), want)
	if n := expireAll(end, end); n != 1 {
		t.Errorf("%d rows were removed, want the one that is done", n)
	}
	if due, err := s.List(ctx, store.Filter{Due: true}); err != nil || strings.Join(keysOf(due), " ") != "2" {
		t.Errorf("due are %v, %v; want 2", keysOf(due), err)
	}

	// What was due since then, and nobody has seen to, does not stay for ever.
	want = get(t, s, key(2))
	if n := expireAll(want.Due.Add(time.Millisecond), base); n != 0 {
		t.Errorf("%d rows were removed when only content was to be", n)
	}
	want.Expire()
	want.Version++
	same(t, "a row that was due long ago", get(t, s, key(2)), want)
	if n := expireAll(end, end); n != 1 || !want.Due.IsZero() {
		t.Errorf("%d rows were removed, want the one that was due", n)
	}
}

// oneNodeSendsToAUser: a user is being sent to by one node at a time, whatever has become of that. A node's own order
// is its own matter.
func oneNodeSendsToAUser(t *testing.T, b Backend) {
	if !b.Shared {
		t.Skip("SKIP: one process has the store to itself")
	}
	s, other := open(t, b)
	two := join(t, other, "node-2")
	answer := func(n int, account, user string) store.Turn {
		row := sample(n)
		row.Account, row.OpenID, row.State, row.Reply, row.Delivery, row.Due = account, user, store.Answered, "reply", store.Late, base
		return row
	}
	rows := []store.Turn{
		answer(1, "demo", "o-ming"), answer(2, "demo", "o-ming"), answer(3, "demo", "o-ming"),
		answer(4, "demo", "o-hong"), answer(5, "other", "o-ming"),
	}
	for i, op := range claim(t, s, rows...) {
		rows[i] = op.Turn
	}
	try := func(at store.Store, i int, owner store.Node, want bool) {
		t.Helper()
		row := rows[i]
		row.Delivery, row.Owner, row.Due = store.Sending, owner, base.Add(time.Minute)
		op := save(t, at, row)[0]
		if op.OK != want || op.Err != nil {
			t.Errorf("%s of %s, owner %+v: sent %v, %v; want %v", row.OpenID, row.Account, owner, op.OK, op.Err, want)
		}
		if !op.OK {
			same(t, "the turn that was handed back", op.Turn, rows[i])
		}
		rows[i] = op.Turn
	}
	done := func(i int) {
		t.Helper()
		row := rows[i]
		row.Delivery, row.Due = store.Sent, time.Time{}
		rows[i] = save(t, s, row)[0].Turn
	}
	try(s, 0, owner, true)
	try(other, 1, two, false)
	young := join(t, other, owner.ID)
	try(other, 1, young, false) // after a restart: the one before may still be sending
	try(other, 3, two, true)    // another user
	try(other, 4, two, true)    // another account
	try(other, 0, two, true)    // it takes over what was being sent
	try(other, 2, two, true)    // it sends to the user itself
	done(0)
	try(s, 1, young, false)
	done(2)
	try(s, 1, young, true)
}

// Package storetest holds every [store.Store] to its contract. A backend's own
// test file is a dozen lines that call [Run].
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
)

// Backend is what is tested.
type Backend struct {
	// Open returns two handles on one empty database, closed by the test's cleanup.
	// A backend that one process opens only once may return the same handle
	// twice.
	Open func(t testing.TB) (a, b store.Store)
	// Elapse lets d pass on the clock that leases run by. Nil skips, aloud,
	// what needs it.
	Elapse func(d time.Duration)
	// Shared says that several processes may open one database.
	Shared bool
}

// Run runs every test against the backend.
func Run(t *testing.T, b Backend) {
	tests := []struct {
		name string
		run  func(t *testing.T, b Backend)
	}{
		{"ClaimInsertsOnce", claimInsertsOnce},
		{"ClaimReportsPerRow", claimReportsPerRow},
		{"ClaimRace", claimRace},
		{"RoundTrip", roundTrip},
		{"SaveComparesVersions", saveComparesVersions},
		{"SaveRace", saveRace},
		{"Mark", mark},
		{"OneNodeSendsToAUser", oneNodeSendsToAUser},
		{"RowsAreCopies", rowsAreCopies},
		{"List", list},
		{"ListDue", listDue},
		{"Erase", erase},
		{"EraseBeatsSave", eraseBeatsSave},
		{"Expire", expire},
		{"ExpireLeavesWhatIsDue", expireLeavesWhatIsDue},
		{"Sessions", sessions},
		{"SessionRace", sessionRace},
		{"SessionLimits", sessionLimits},
		{"EraseSessions", eraseSessions},
		{"ExpireSessions", expireSessions},
		{"Installation", installation},
		{"NodeEpochs", nodeEpochs},
		{"DeadNodesStartNothing", deadNodesStartNothing},
		{"Owners", owners},
		{"Departed", departed},
		{"NodeLeases", nodeLeases},
		{"LeasesAtAnyMoment", leasesAtAnyMoment},
		{"Close", closed},
		{"Model", model},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, b) })
	}
}

// tb is what a testing.T and a rapid.T have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

var base = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// sample is a turn with every field set. Strings carry bytes that are no UTF-8.
func sample(n int) store.Turn {
	return store.Turn{
		Key:        key(n),
		Account:    "demo",
		OpenID:     fmt.Sprintf("o-user-%d", n%3),
		OriginalID: "gh_866835093fea",
		MsgType:    "event",
		Event:      "SCAN",
		Body:       "<xml>\x00\xff你好 😀 " + fmt.Sprint(n) + "</xml>",
		CreateTime: base.Unix() + int64(n),
		ReceivedAt: base.Add(time.Duration(n) * time.Second),
		Pushes:     []store.Push{{Number: 2, At: base.Add(time.Millisecond), Got: store.Cut}},
		Seen:       1,
		State:      store.Running,
		Pure:       n%2 == 1,
		Attempt:    1,
		Owner:      owner,
	}
}

// owner is who runs the turns of sample. It is the first epoch of its name in
// every new database.
var owner = store.Node{ID: "node-1", Epoch: 1}

// open opens the backend and has the owner join.
func open(t *testing.T, b Backend) (s, other store.Store) {
	t.Helper()
	s, other = b.Open(t)
	if n := join(t, s, owner.ID); n != owner {
		t.Fatalf("the first to join is %+v, want %+v", n, owner)
	}
	return s, other
}

func key(n int) store.Key {
	return store.NewKeyer([]byte("salt")).Key([32]byte{byte(n), byte(n >> 8), 1}, base.Unix()+int64(n), base)
}

func finished(t store.Turn) store.Turn {
	t.State, t.Reply, t.Reason = store.Answered, "<xml>\xfe]]></xml>", "why"
	t.FinishedAt = t.ReceivedAt.Add(1234 * time.Millisecond)
	t.Delivery, t.OfferedTo = store.Offered, 2
	return t
}

// late is a turn whose answer goes another way than by a push, with every field set.
func late(t store.Turn, n int) store.Turn {
	t = finished(t)
	t.Delivery, t.Due = store.Sending, base.Add(time.Hour+time.Duration(n)*time.Second)
	t.Placeholder, t.Code = "<xml>\x00\xfdplaceholder</xml>", "k\xff7"
	t.Way = store.Way{
		Told: 300, Pages: 7, Shown: 1 << 20, Sent: 5, Tries: 2, Unknown: 1,
		TakenBy: key(40), Fetch: store.Fetch{Of: key(41), Page: 3, Again: true},
	}
	return t
}

func claim(t tb, s store.Store, rows ...store.Turn) []store.Op {
	t.Helper()
	return write(t, "Claim", s.Claim, rows)
}

func save(t tb, s store.Store, rows ...store.Turn) []store.Op {
	t.Helper()
	return write(t, "Save", s.Save, rows)
}

func write(t tb, what string, call func(context.Context, []store.Op) error, rows []store.Turn) []store.Op {
	t.Helper()
	ops := opsOf(rows...)
	if err := call(context.Background(), ops); err != nil {
		t.Fatalf("%s of %d rows: %v", what, len(rows), err)
	}
	return ops
}

// opsOf makes a batch. What an earlier call left in an op must not matter.
func opsOf(rows ...store.Turn) []store.Op {
	ops := make([]store.Op, len(rows))
	for i := range rows {
		ops[i] = store.Op{Turn: rows[i], OK: true, Err: errors.New("left over")}
	}
	return ops
}

func get(t tb, s store.Store, k store.Key) store.Turn {
	t.Helper()
	row, err := s.Get(context.Background(), k)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return row
}

func same(t tb, what string, got, want store.Turn) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func claimInsertsOnce(t *testing.T, b Backend) {
	s, other := open(t, b)
	row := sample(1)
	r := claim(t, s, row)[0]
	row.Version = 1
	if !r.OK || r.Err != nil {
		t.Fatalf("a new key was not claimed: %+v", r)
	}
	same(t, "the claimed row", r.Turn, row)

	intruder := sample(1)
	intruder.Account, intruder.Body = "other", "other"
	r = claim(t, other, intruder)[0]
	if r.OK || r.Err != nil {
		t.Fatalf("a key was claimed twice: %+v", r)
	}
	same(t, "the row that was there", r.Turn, row)
	same(t, "the row after the second claim", get(t, s, row.Key), row)
}

func claimReportsPerRow(t *testing.T, b Backend) {
	s, _ := open(t, b)
	claim(t, s, sample(2))
	twin := sample(3)
	twin.Body = "the later of two with one key"
	results := claim(t, s, sample(4), sample(2), sample(3), twin, sample(1))
	var ok []bool
	for i, r := range results {
		ok = append(ok, r.OK)
		if want := []int{4, 2, 3, 3, 1}[i]; r.Turn.Key != key(want) {
			t.Errorf("result %d is about another row", i)
		}
	}
	if want := []bool{true, false, true, false, true}; !slices.Equal(ok, want) {
		t.Errorf("claimed %v, want %v", ok, want)
	}
	if got := get(t, s, key(3)).Body; got != sample(3).Body {
		t.Errorf("of two rows with one key the later was kept: %q", got)
	}
	if results := claim(t, s); len(results) != 0 {
		t.Error("an empty batch has results")
	}
}

// Many callers of both handles claim the same keys at once: each is claimed once.
func claimRace(t *testing.T, b Backend) {
	s, other := open(t, b)
	const callers, keys = 16, 20
	var mu sync.Mutex
	claimed := make(map[store.Key]int)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			handle := s
			if c%2 == 1 {
				handle = other
			}
			var rows []store.Turn
			for k := range keys {
				rows = append(rows, sample((k+c)%keys))
			}
			// Batches of different order and size, as grouping makes them.
			for len(rows) > 0 {
				n := min(1+c%5, len(rows))
				ops := opsOf(rows[:n]...)
				if err := handle.Claim(context.Background(), ops); err != nil {
					t.Errorf("Claim: %v", err)
					return
				}
				mu.Lock()
				for _, r := range ops {
					if r.OK {
						claimed[r.Turn.Key]++
					}
				}
				mu.Unlock()
				rows = rows[n:]
			}
		})
	}
	wg.Wait()
	for k := range keys {
		if n := claimed[key(k)]; n != 1 {
			t.Errorf("key %d was claimed %d times", k, n)
		}
	}
}

func roundTrip(t *testing.T, b Backend) {
	s, other := open(t, b)
	rows := []store.Turn{sample(1), finished(sample(2)), {Key: key(3), Account: "a", State: store.Unparseable, ReceivedAt: base}, late(sample(4), 4)}
	// Each field of those that few turns have, alone.
	for i, set := range []func(*store.Turn){
		func(t *store.Turn) { t.Due = base },
		func(t *store.Turn) { t.Placeholder = "\x00" },
		func(t *store.Turn) { t.Code = "code" },
		func(t *store.Turn) { t.Way.Told = 1 },
		func(t *store.Turn) { t.Way.Pages = 127 },
		func(t *store.Turn) { t.Way.Shown = 128 },
		func(t *store.Turn) { t.Way.Sent = 1 << 30 },
		func(t *store.Turn) { t.Way.Tries = 2 },
		func(t *store.Turn) { t.Way.Unknown = 3 },
		func(t *store.Turn) { t.Way.TakenBy = key(7) },
		func(t *store.Turn) { t.Way.Fetch.Of = key(8) },
		func(t *store.Turn) { t.Way.Fetch.Page = 1 },
		func(t *store.Turn) { t.Way.Fetch.Again = true },
	} {
		row := finished(sample(10 + i))
		set(&row)
		rows = append(rows, row)
	}
	for i, r := range claim(t, s, rows...) {
		rows[i].Version = 1
		same(t, "Claim", r.Turn, rows[i])
		same(t, "Get by the other handle", get(t, other, rows[i].Key), rows[i])
	}
	rows[0] = finished(rows[0])
	rows[0].Pushes = append(slices.Clip(rows[0].Pushes), store.Push{Number: 3, At: base.Add(5 * time.Second), Got: store.GotPlaceholder})
	rows[0].Seen = 9
	// Each of the rare fields comes, changes, goes, and comes back.
	rows[1] = late(rows[1], 1)
	rows[3].Due, rows[3].Code, rows[3].Placeholder, rows[3].Way.Told, rows[3].Way.TakenBy = base, "other", "other", 301, store.Key{}
	alone := slices.Clone(rows[4:])
	for i := range alone {
		plain := finished(sample(10 + i))
		plain.Version = 1
		rows[4+i] = plain
	}
	saveAll := func() {
		t.Helper()
		for i, r := range save(t, s, rows...) {
			rows[i].Version++
			same(t, "Save", r.Turn, rows[i])
			same(t, "Get after Save", get(t, other, rows[i].Key), rows[i])
		}
	}
	saveAll()
	for i := range alone {
		alone[i].Version = rows[4+i].Version
	}
	copy(rows[4:], alone)
	saveAll()
	if _, err := s.Get(context.Background(), key(99)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of an unknown key: %v, want ErrNotFound", err)
	}
}

func saveComparesVersions(t *testing.T, b Backend) {
	s, other := open(t, b)
	row := claim(t, s, sample(1))[0].Turn
	first := finished(row)
	r := save(t, other, first)[0]
	if !r.OK || r.Turn.Version != 2 {
		t.Fatalf("Save of the version that is there: %+v", r)
	}
	current := r.Turn

	stale := row
	stale.Reason = "a save that comes too late"
	unknown := sample(5)
	unknown.Version = 1
	fresh := current
	fresh.Delivery = store.Written
	results := save(t, s, stale, unknown, fresh)
	if r := results[0]; r.OK || r.Err != nil {
		t.Errorf("a stale version was saved: %+v", r)
	}
	same(t, "what a stale save is handed", results[0].Turn, current)
	if r := results[1]; r.OK || !errors.Is(r.Err, store.ErrNotFound) {
		t.Errorf("Save of an unknown key: OK %v, %v; want ErrNotFound", r.OK, r.Err)
	}
	if r := results[2]; !r.OK || r.Turn.Version != 3 {
		t.Errorf("the good row of a mixed batch: %+v", r)
	}
	if _, err := s.Get(context.Background(), unknown.Key); !errors.Is(err, store.ErrNotFound) {
		t.Error("Save inserted a row")
	}
}

func saveRace(t *testing.T, b Backend) {
	s, other := open(t, b)
	const callers, rounds = 8, 25
	row := claim(t, s, sample(1))[0].Turn
	for range rounds {
		var won sync.Map
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				handle := s
				if c%2 == 1 {
					handle = other
				}
				mine := row
				mine.Reason = fmt.Sprint("caller ", c)
				ops := opsOf(mine)
				if err := handle.Save(context.Background(), ops); err != nil {
					t.Errorf("Save: %v", err)
				} else if ops[0].OK {
					won.Store(c, ops[0].Turn)
				}
			})
		}
		wg.Wait()
		winners := 0
		won.Range(func(c, turn any) bool {
			winners++
			row = turn.(store.Turn)
			return true
		})
		if winners != 1 {
			t.Fatalf("%d callers saved the same version", winners)
		}
		same(t, "the row after a race", get(t, other, row.Key), row)
	}
}

// What a caller does to its rows afterwards must not reach the store.
func rowsAreCopies(t *testing.T, b Backend) {
	s, _ := open(t, b)
	rows := []store.Turn{sample(1)}
	claim(t, s, rows...)
	want := sample(1)
	want.Version = 1
	rows[0].Account, rows[0].Reason = "changed", "changed"
	got := get(t, s, key(1))
	same(t, "after the caller changed its row", got, want)
}

func keysOf(turns []store.Turn) (names []string) {
	for _, turn := range turns {
		for n := range 64 {
			if turn.Key == key(n) {
				names = append(names, fmt.Sprint(n))
			}
		}
	}
	return names
}

func list(t *testing.T, b Backend) {
	s, other := open(t, b)
	node2 := join(t, s, "node-2")
	var rows []store.Turn
	for n := range 10 {
		row := sample(n)
		if n >= 5 {
			row = finished(row)
		}
		if n == 9 {
			row.Account, row.State = "second", store.Silent
		}
		if n == 3 {
			row.Owner = node2
		}
		row.Delivery = []store.Delivery{5: store.Offered, 8: store.Written, 9: store.Offered}[n]
		rows = append(rows, row)
	}
	slices.Reverse(rows[2:8]) // not the order of time
	claim(t, s, rows...)
	for _, c := range []struct {
		name string
		f    store.Filter
		want string
	}{
		{"all, youngest first", store.Filter{}, "9 8 7 6 5 4 3 2 1 0"},
		{"limit", store.Filter{Limit: 3}, "9 8 7"},
		{"account", store.Filter{Account: "second"}, "9"},
		{"user", store.Filter{OpenID: "o-user-1"}, "7 4 1"},
		{"state", store.Filter{States: []store.State{store.Running}}, "4 3 2 1 0"},
		{"two states", store.Filter{States: []store.State{store.Running, store.Silent}}, "9 4 3 2 1 0"},
		{"delivery", store.Filter{Deliveries: []store.Delivery{store.Offered}}, "9 5"},
		{"two deliveries", store.Filter{Deliveries: []store.Delivery{store.Written, store.Undelivered}}, "8 7 6 4 3 2 1 0"},
		{"state and delivery", store.Filter{States: []store.State{store.Answered}, Deliveries: []store.Delivery{store.Offered, store.Sent}}, "5"},
		{"since, inclusive", store.Filter{Since: base.Add(7 * time.Second)}, "9 8 7"},
		{"until, exclusive", store.Filter{Until: base.Add(2 * time.Second)}, "1 0"},
		{"owner", store.Filter{States: []store.State{store.Running}, Owner: node2}, "3"},
		{"all at once", store.Filter{Account: "demo", OpenID: "o-user-2", States: []store.State{store.Answered}, Since: base, Until: base.Add(8 * time.Second), Limit: 5}, "5"},
		{"none", store.Filter{Account: "nobody"}, ""},
	} {
		got, err := other.List(context.Background(), c.f)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if names := strings.Join(keysOf(got), " "); names != c.want {
			t.Errorf("%s: %q, want %q", c.name, names, c.want)
		}
	}
	got, err := s.List(context.Background(), store.Filter{Limit: 1})
	if err != nil || len(got) != 1 {
		t.Fatalf("List: %v", err)
	}
	same(t, "a listed row", got[0], get(t, s, key(9)))
}

func erase(t *testing.T, b Backend) {
	s, other := open(t, b)
	ahead := sample(1) // accepted first, by a clock that was wrong then
	ahead.ReceivedAt = base.Add(time.Hour)
	claim(t, s, ahead, late(sample(4), 4), sample(2), sample(10))
	elsewhere := sample(7)
	elsewhere.Account = "second"
	claim(t, s, elsewhere)

	n, err := other.Erase(context.Background(), "demo", "o-user-1", key(4))
	if err != nil || n != 2 {
		t.Fatalf("Erase: %d rows, %v; want 2", n, err)
	}
	for _, k := range []int{1, 4} {
		row := get(t, s, key(k))
		want := map[int]store.Turn{1: ahead, 4: late(sample(4), 4)}[k]
		want.Erase()
		want.Version = 2
		same(t, "an erased row", row, want)
		if r := claim(t, s, sample(k))[0]; r.OK {
			t.Errorf("the key of erased row %d was free again", k)
		}
	}
	if due, err := s.List(context.Background(), store.Filter{Due: true}); len(due) != 0 || err != nil {
		t.Errorf("an erased turn is due: %v, %v", keysOf(due), err)
	}
	for _, k := range []int{2, 7, 10} {
		if row := get(t, s, key(k)); row.State == store.Erased || row.Body == "" {
			t.Errorf("row %d of another user, account or time was erased", k)
		}
	}
	if n, err := s.Erase(context.Background(), "", "o-user-1", store.Key{}); err != nil || n != 2 {
		t.Errorf("Erase for all accounts and to the last turn: %d rows, %v; want 2", n, err)
	}
	nameless := sample(11)
	nameless.OpenID = ""
	claim(t, s, nameless)
	if n, err := s.Erase(context.Background(), "demo", "", store.Key{}); n != 0 || err != nil {
		t.Errorf("Erase of no name: %d, %v", n, err)
	}
	if n, err := s.Erase(context.Background(), "demo", "o-nobody", store.Key{}); n != 0 || err != nil {
		t.Errorf("Erase of nobody: %d, %v", n, err)
	}
}

func eraseBeatsSave(t *testing.T, b Backend) {
	s, other := open(t, b)
	row := claim(t, s, sample(1))[0].Turn
	if _, err := other.Erase(context.Background(), row.Account, row.OpenID, store.Key{}); err != nil {
		t.Fatal(err)
	}
	for _, version := range []int64{row.Version, row.Version + 1} {
		late := finished(row)
		late.Version = version
		if r := save(t, s, late)[0]; r.OK || r.Turn.State != store.Erased || r.Turn.Version != row.Version+1 {
			t.Errorf("a result was saved over an erasure: %+v", r)
		}
	}
	row = get(t, s, row.Key)
	if row.Reply != "" {
		t.Errorf("a result was saved over an erasure: %+v", row)
	}
	for _, marks := range []bool{false, true} {
		row.Seen++
		op := []store.Op{{Turn: row, Mark: marks}}
		if err := s.Save(context.Background(), op); err != nil || !op[0].OK || op[0].Turn.Seen != row.Seen {
			t.Errorf("a further push of an erased turn was not counted: %v, %+v", err, op[0])
		}
		row = op[0].Turn
	}
}

func expire(t *testing.T, b Backend) {
	s, _ := open(t, b)
	claim(t, s, finished(sample(1)), sample(2), finished(sample(3)), finished(sample(4)))
	n, err := s.Expire(context.Background(), base.Add(4*time.Second), base.Add(3*time.Second))
	if err != nil || n != 1 {
		t.Fatalf("Expire removed %d rows, %v; want 1", n, err)
	}
	if _, err := s.Get(context.Background(), key(1)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a row older than the retention of rows is there: %v", err)
	}
	if row := get(t, s, key(2)); row.Body == "" || row.State != store.Running {
		t.Error("an unfinished turn was touched")
	}
	if row := get(t, s, key(3)); row.OpenID+row.OriginalID+row.Body+row.Reply+row.Reason != "" || row.State != store.Answered || row.Version != 2 || row.MsgType == "" {
		t.Errorf("row 3 keeps its content beyond the retention of bodies, or loses more: %+v", row)
	}
	if n, err := s.Expire(context.Background(), base.Add(4*time.Second), base.Add(3*time.Second)); n != 0 || err != nil || get(t, s, key(3)).Version != 2 {
		t.Errorf("what has expired expires again: %d, %v", n, err)
	}
	if row := get(t, s, key(4)); row.Body == "" || row.Reply == "" {
		t.Error("row 4 lost its body before its time")
	}
	// Each kind of content, alone.
	for i, set := range []func(*store.Turn){
		func(t *store.Turn) { t.OpenID = "o" },
		func(t *store.Turn) { t.OriginalID = "gh_1" },
		func(t *store.Turn) { t.Body = "x" },
		func(t *store.Turn) { t.Reply = "x" },
		func(t *store.Turn) { t.Reason = "x" },
		func(t *store.Turn) { t.Placeholder = "x" },
	} {
		row := store.Turn{Key: key(20 + i), Account: "demo", State: store.Answered, ReceivedAt: base}
		set(&row)
		claim(t, s, row)
		if _, err := s.Expire(context.Background(), base.Add(time.Second), base); err != nil {
			t.Fatal(err)
		}
		row.Expire()
		row.Version = 2
		same(t, "a row with one kind of content", get(t, s, row.Key), row)
	}
}

func installation(t *testing.T, b Backend) {
	s, other := open(t, b)
	one, err := s.Installation(context.Background())
	if err != nil || len(one.Salt) < 16 || !one.NotBefore.IsZero() {
		t.Fatalf("Installation: a salt of %d bytes, not before %v, %v; want 16 bytes or more, and no gap", len(one.Salt), one.NotBefore, err)
	}
	two, err := other.Installation(context.Background())
	if err != nil || !slices.Equal(one.Salt, two.Salt) {
		t.Errorf("the handles of one database have two salts, %v", err)
	}
	foreign, _ := open(t, b)
	if three, _ := foreign.Installation(context.Background()); slices.Equal(one.Salt, three.Salt) {
		t.Error("two databases have one salt")
	}
}

func join(t tb, s store.Store, id string) store.Node {
	t.Helper()
	n, err := s.Join(context.Background(), id)
	if err != nil || n.ID != id {
		t.Fatalf("Join: %+v, %v", n, err)
	}
	return n
}

func alive(t tb, s store.Store, n store.Node, want bool) {
	t.Helper()
	if got, err := s.Alive(context.Background(), n); err != nil || got != want {
		t.Errorf("Alive(%+v) = %v, %v; want %v", n, got, err, want)
	}
}

func nodeEpochs(t *testing.T, b Backend) {
	s, other := open(t, b)
	ctx := context.Background()
	old := join(t, s, "one")
	alive(t, other, old, true)
	young := join(t, s, "one")
	if young.Epoch <= old.Epoch {
		t.Errorf("epochs %d, then %d", old.Epoch, young.Epoch)
	}
	alive(t, other, old, false)
	alive(t, other, young, true)
	if err := s.Renew(ctx, old); !errors.Is(err, store.ErrFenced) {
		t.Errorf("Renew of an older epoch: %v, want ErrFenced", err)
	}
	if err := s.Renew(ctx, young); err != nil {
		t.Errorf("Renew: %v", err)
	}
	if err := s.Leave(ctx, old); err != nil {
		t.Errorf("Leave of an older epoch: %v", err)
	}
	alive(t, other, young, true)
	for range 2 {
		if err := s.Leave(ctx, young); err != nil {
			t.Errorf("Leave: %v", err)
		}
	}
	alive(t, other, young, false)
	if err := s.Renew(ctx, young); !errors.Is(err, store.ErrFenced) {
		t.Errorf("Renew after Leave: %v, want ErrFenced", err)
	}
	alive(t, s, store.Node{ID: "never joined", Epoch: 1}, false)
}

func deadNodesStartNothing(t *testing.T, b Backend) {
	s, other := open(t, b)
	row := claim(t, s, sample(1))[0].Turn
	young := join(t, other, owner.ID)
	if r := claim(t, s, sample(2))[0]; r.OK || !errors.Is(r.Err, store.ErrFenced) {
		t.Errorf("a dead node claimed a turn to run: %+v", r)
	}
	if r := claim(t, s, sample(1))[0]; r.OK || r.Err != nil || r.Turn.Version != 1 {
		t.Errorf("a dead node is not told what is there: %+v", r)
	}
	again := row
	again.Attempt++
	if r := save(t, s, again)[0]; r.OK || !errors.Is(r.Err, store.ErrFenced) {
		t.Errorf("a dead node took a turn over: %+v", r)
	}
	again.Owner = young
	if r := save(t, s, again)[0]; !r.OK {
		t.Errorf("the young epoch cannot take the turn over: %+v", r)
	}
	// What is finished has no owner any more.
	if r := claim(t, s, finished(sample(3)))[0]; !r.OK {
		t.Errorf("a finished turn needs its owner: %+v", r)
	}
}

func owners(t *testing.T, b Backend) {
	s, other := open(t, b)
	list := func() (ids []string) {
		t.Helper()
		nodes, err := other.Owners(context.Background())
		if err != nil {
			t.Fatalf("Owners: %v", err)
		}
		for _, n := range nodes {
			ids = append(ids, fmt.Sprint(n.ID, " ", n.Epoch))
		}
		slices.Sort(ids)
		return ids
	}
	if got := list(); len(got) != 0 {
		t.Errorf("an empty store has owners: %v", got)
	}
	second := sample(3)
	second.Owner = join(t, s, "node-2")
	rows := claim(t, s, sample(1), sample(2), second, finished(sample(4)))
	if got := list(); !slices.Equal(got, []string{"node-1 1", "node-2 1"}) {
		t.Errorf("owners %v", got)
	}
	// A dead node still owns its turns; a finished turn has no owner.
	if err := s.Leave(context.Background(), owner); err != nil {
		t.Fatal(err)
	}
	save(t, s, finished(rows[2].Turn))
	if got := list(); !slices.Equal(got, []string{"node-1 1"}) {
		t.Errorf("owners %v", got)
	}
}

func departed(t *testing.T, b Backend) {
	s, other := b.Open(t)
	if !b.Shared {
		join(t, s, "one")
		if nodes, err := s.Departed(context.Background()); err != nil || len(nodes) != 0 {
			t.Errorf("departed are %v, %v; want none", nodes, err)
		}
		return
	}
	check := func(when string, want ...store.Node) {
		t.Helper()
		nodes, err := other.Departed(context.Background())
		slices.SortFunc(nodes, func(a, b store.Node) int { return strings.Compare(a.ID, b.ID) })
		if err != nil || !slices.Equal(nodes, want) {
			t.Errorf("%s: %v, %v; want %v", when, nodes, err, want)
		}
	}
	one, two, three := join(t, s, "one"), join(t, s, "two"), join(t, s, "three")
	check("all live")
	if err := s.Leave(context.Background(), one); err != nil {
		t.Fatal(err)
	}
	check("one has left", one)
	if b.Elapse == nil {
		return
	}
	b.Elapse(store.Lease / 2)
	if err := s.Renew(context.Background(), three); err != nil {
		t.Fatal(err)
	}
	b.Elapse(store.Lease/2 + time.Second)
	check("two has died", one, two)
	join(t, s, "one")
	if err := s.Renew(context.Background(), three); err != nil {
		t.Fatal(err)
	}
	check("one is back", two)
	b.Elapse(store.RecentlyDeparted - store.Lease/3)
	check("nobody has renewed a lease for long", store.Node{ID: "one", Epoch: 2}, three, two)
	b.Elapse(store.Lease)
	check("two is gone since long ago", store.Node{ID: "one", Epoch: 2}, three)
}

func nodeLeases(t *testing.T, b Backend) {
	if b.Elapse == nil {
		t.Skip("skipped: this backend's lease clock cannot be moved in a test")
	}
	s, other := open(t, b)
	ctx := context.Background()
	n := join(t, s, "one")
	for range 3 {
		b.Elapse(store.Lease / 3)
		if err := s.Renew(ctx, n); err != nil {
			t.Fatalf("Renew in time: %v", err)
		}
	}
	b.Elapse(store.Lease - time.Second)
	alive(t, other, n, true)
	b.Elapse(2 * time.Second)
	alive(t, other, n, false)
	if err := s.Renew(ctx, n); !errors.Is(err, store.ErrFenced) {
		t.Errorf("Renew after the lease: %v, want ErrFenced", err)
	}
}

// In any order of what nodes do, and whenever their leases end: a node that does not live starts nothing, one that has lost a
// turn to another one stores no result of it any more, and so no two of them ever store for one turn.
func leasesAtAnyMoment(t *testing.T, b Backend) {
	if b.Elapse == nil {
		t.Skip("skipped: this backend's lease clock cannot be moved in a test")
	}
	ctx := context.Background()
	// The time that passes while the test runs must not matter: no lease ends within three seconds of a step.
	const step = 6 * time.Second
	taken, refused := 0, 0
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 10))
		s, other := b.Open(t)
		handles := []store.Store{s, other}
		left := make(map[store.Node]time.Duration) // of the leases that run
		copies := make(map[store.Key][]store.Turn) // what the nodes have read, of any age
		newest := make(map[store.Key]int64)
		var nodes []store.Node
		for n := range 150 {
			h := handles[rng.IntN(2)]
			var node store.Node
			if len(nodes) > 0 {
				node = nodes[len(nodes)-1-rng.IntN(min(len(nodes), 4))]
			}
			lives := left[node] > 0
			fail := func(what string, got any) {
				t.Helper()
				t.Fatalf("seed %d, call %d: %s of %v, which lives %v: %v", seed, n, what, node, lives, got)
			}
			switch k := rng.IntN(12); {
			case k == 0 || len(nodes) == 0:
				node = join(t, h, []string{"one", "two"}[rng.IntN(2)])
				for old := range left {
					if old.ID == node.ID {
						delete(left, old)
					}
				}
				nodes = append(nodes, node)
				left[node] = store.Lease
			case k == 1:
				if err := h.Leave(ctx, node); err != nil {
					fail("Leave", err)
				}
				delete(left, node)
			case k < 4:
				if err := h.Renew(ctx, node); (err == nil) != lives || err != nil && !errors.Is(err, store.ErrFenced) {
					fail("Renew", err)
				}
				if lives {
					left[node] = store.Lease
				}
			case k < 6:
				b.Elapse(step)
				for n := range left {
					if left[n] -= step; left[n] <= 0 {
						delete(left, n)
					}
				}
			case k < 8:
				row := sample(n)
				row.Owner = node
				r := claim(t, h, row)[0]
				if r.OK != lives || errors.Is(r.Err, store.ErrFenced) == lives {
					fail("Claim", r)
				}
				if r.OK {
					copies[row.Key], newest[row.Key] = append(copies[row.Key], r.Turn), 1
				}
			case len(copies) > 0:
				// Sorted, so that a seed always does the same.
				keys := slices.SortedFunc(maps.Keys(copies), func(a, b store.Key) int { return bytes.Compare(a[:], b[:]) })
				read := copies[keys[rng.IntN(len(keys))]]
				row := read[rng.IntN(len(read))]
				newestRead := row.Version == newest[row.Key]
				want := newestRead
				if rng.IntN(2) == 0 {
					row = finished(row) // by its owner, dead or alive
				} else {
					row.Owner = node // which takes it over
					row.Attempt++
					row.State, row.Delivery, row.OfferedTo = store.Running, store.Undelivered, 0
					want = newestRead && lives
				}
				r := save(t, h, row)[0]
				if r.OK != want {
					fail(fmt.Sprintf("Save of version %d of %d, %v", row.Version, newest[row.Key], row.State), r)
				}
				if !r.OK {
					refused++
					break
				}
				taken++
				newest[row.Key]++
				copies[row.Key] = append(read, r.Turn)
			}
			one := nodes[rng.IntN(len(nodes))]
			alive(t, h, one, left[one] > 0)
		}
	}
	if taken < 30 || refused < 30 {
		t.Errorf("%d saves and %d refusals", taken, refused)
	}
}

func closed(t *testing.T, b Backend) {
	s, _ := open(t, b)
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ctx := context.Background()
	if err := s.Claim(ctx, opsOf(sample(1))); err == nil {
		t.Error("Claim after Close gave no error")
	}
	if err := s.Save(ctx, opsOf(sample(1))); err == nil {
		t.Error("Save after Close gave no error")
	}
	if _, err := s.Get(ctx, key(1)); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after Close: %v", err)
	}
	if _, err := s.Session(ctx, "demo", "o-user-1"); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Session after Close: %v", err)
	}
	n := session("demo", "o-user-1")
	if ok, err := s.SaveSession(ctx, &n); ok || err == nil {
		t.Errorf("SaveSession after Close: %v, %v", ok, err)
	}
	if _, err := s.ExpireSessions(ctx, base); err == nil {
		t.Error("ExpireSessions after Close gave no error")
	}
}

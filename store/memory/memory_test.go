package memory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/storetest"
)

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Elapse(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestStore(t *testing.T) {
	c := &clock{now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}
	storetest.Run(t, storetest.Backend{
		Open: func(t testing.TB) (a, b store.Store) {
			s := New(Config{Now: c.Now})
			return s, s
		},
		Elapse: c.Elapse,
		Shared: true,
	})
}

func row(n int, state store.State, at time.Time) store.Turn {
	return store.Turn{Key: store.Key{0, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)}, State: state, ReceivedAt: at, Body: fmt.Sprint(n), Owner: store.Node{ID: "n", Epoch: 1}}
}

// join makes the node that owns the rows.
func join(t testing.TB, s *Store) {
	t.Helper()
	s.nodes = make(map[string]lease)
	if _, err := s.Join(context.Background(), "n"); err != nil {
		t.Fatal(err)
	}
}

func claim(t *testing.T, s *Store, rows ...store.Turn) []store.Op {
	t.Helper()
	ops := make([]store.Op, len(rows))
	for i := range rows {
		ops[i].Turn = rows[i]
	}
	if err := s.Claim(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
	return ops
}

func has(s *Store, t store.Turn) bool {
	_, err := s.Get(context.Background(), t.Key)
	return err == nil
}

// The oldest finished turns make room; unfinished ones never do.
func TestFull(t *testing.T) {
	t.Parallel()
	at := time.Now()
	s := New(Config{MaxTurns: 4})
	join(t, s)
	running, done := row(0, store.Running, at), row(1, store.Answered, at)
	claim(t, s, running, done, row(2, store.Silent, at), row(3, store.Running, at))
	claim(t, s, row(4, store.Running, at))
	if has(s, done) || !has(s, running) {
		t.Error("room was not made by the oldest finished turn")
	}
	if r := claim(t, s, row(5, store.Running, at), row(6, store.Running, at)); !r[0].OK || r[1].OK || !errors.Is(r[1].Err, store.ErrFull) {
		t.Errorf("with one finished turn to go, two claims gave %+v", r)
	}
	if r := claim(t, s, running); r[0].Err != nil || r[0].Turn.Version != 1 {
		t.Errorf("a full store does not know the turns it has: %+v", r)
	}
	// A result fits whatever the number of turns.
	got, _ := s.Get(context.Background(), running.Key)
	got.State = store.Answered
	ops := []store.Op{{Turn: got}}
	if err := s.Save(context.Background(), ops); err != nil || !ops[0].OK {
		t.Errorf("a full store refused a result: %+v, %v", ops[0], err)
	}
}

// A turn that is due is kept as an unfinished one is, until it is done.
func TestDueIsKept(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Now()}
	s := New(Config{MaxTurns: 3, Now: c.Now})
	join(t, s)
	due, marked, done := row(1, store.Answered, c.Now()), row(2, store.Answered, c.Now()), row(3, store.Answered, c.Now())
	due.Due = c.Now().Add(time.Hour)
	claim(t, s, due, marked, done)
	due.Version, marked.Version, marked.Due = 1, 1, due.Due
	ops := []store.Op{{Turn: marked, Mark: true}}
	if err := s.Save(context.Background(), ops); err != nil || !ops[0].OK {
		t.Fatalf("%v, %+v", err, ops[0])
	}
	if r := claim(t, s, row(4, store.Answered, c.Now())); !r[0].OK || has(s, done) || !has(s, due) || !has(s, marked) {
		t.Errorf("room was not made by the one that is not due: %+v", r[0])
	}
	session := store.Session{Account: "demo", OpenID: "o", Expires: c.Now()}
	if ok, err := s.SaveSession(context.Background(), &session); !ok || err != nil {
		t.Fatal(ok, err)
	}
	c.Elapse(time.Hour)
	join(t, s)
	if r := claim(t, s, row(5, store.Running, c.Now()), row(6, store.Running, c.Now())); !r[0].OK || !errors.Is(r[1].Err, store.ErrFull) {
		t.Errorf("with two that are due, one that has expired and room for three: %+v", r)
	}
	if !has(s, due) || !has(s, marked) {
		t.Error("a turn that is due has expired")
	}
	if _, err := s.Session(context.Background(), "demo", "o"); err != nil {
		t.Errorf("a session was dropped, which makes no room for one more turn: %v", err)
	}
	due.Due = time.Time{}
	ops = []store.Op{{Turn: due}}
	if err := s.Save(context.Background(), ops); err != nil || !ops[0].OK {
		t.Fatalf("%v, %+v", err, ops[0])
	}
	if r := claim(t, s, row(7, store.Running, c.Now())); !r[0].OK || has(s, due) || !has(s, marked) {
		t.Errorf("room was not made by the one that is done: %+v", r[0])
	}
}

// What is due is found by its time and by its user, whatever happened to it before.
func TestDueIndex(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := New(Config{})
	rnd := rand.New(rand.NewPCG(3, 4))
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	const turns, users = 300, 7
	want := make(map[store.Key]store.Turn)
	for n := range turns {
		turn := row(1+n, store.Answered, at)
		turn.OpenID = fmt.Sprint("o", n%users)
		want[claim(t, s, turn)[0].Turn.Key] = turn
	}
	for round := range 20 {
		for n := range turns {
			turn, err := s.Get(ctx, row(1+n, 0, at).Key)
			if err != nil {
				t.Fatal(err)
			}
			switch rnd.IntN(4) {
			case 0:
				turn.Due = time.Time{}
			case 1:
				turn.Due = at.Add(time.Duration(rnd.IntN(100)) * time.Second)
			default:
				continue
			}
			ops := []store.Op{{Turn: turn, Mark: true}}
			if err := s.Save(ctx, ops); err != nil || !ops[0].OK {
				t.Fatalf("%v, %+v", err, ops[0])
			}
			want[turn.Key] = turn
		}
		if round == 10 {
			if _, err := s.Erase(ctx, "", "o3", store.Key{}); err != nil {
				t.Fatal(err)
			}
			for k, turn := range want {
				if turn.OpenID == "o3" {
					turn.Erase()
					want[k] = turn
				}
			}
		}
		for _, f := range []store.Filter{{Due: true}, {DueBefore: at.Add(30 * time.Second)}, {DueBefore: at}, {Due: true, OpenID: "o2"}, {DueBefore: at.Add(50 * time.Second), OpenID: "o3"}} {
			n, near := 0, 0
			for _, turn := range want {
				if f.Match(&turn) {
					n++
				}
				if user := (store.Filter{Due: true, OpenID: f.OpenID}); f.OpenID != "" && user.Match(&turn) {
					near++
				}
			}
			got, err := s.List(ctx, f)
			if err != nil || len(got) != n {
				t.Fatalf("round %d, %+v: %d turns, %v; want %d", round, f, len(got), err, n)
			}
			// Others are not looked at, those of the same user apart.
			looked := 0
			for range s.candidates(&f) {
				looked++
			}
			if looked > max(n, near) {
				t.Errorf("%+v: %d turns were looked at for %d", f, looked, n)
			}
		}
	}
	for _, turn := range want {
		s.remove(s.rows[turn.Key])
	}
	if len(s.due.heap) != 0 || len(s.due.users) != 0 || s.bytes != 0 {
		t.Errorf("of an empty store %d are due, of %d users, and %d bytes are left", len(s.due.heap), len(s.due.users), s.bytes)
	}
}

// Sessions take a quarter of the room at most, and those that were saved longest ago go first.
func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	const limit = 400 << 10
	s := New(Config{MaxBytes: limit})
	join(t, s)
	save := func(user int, bytes int) (bool, error) {
		id := fmt.Sprint("o", user)
		n, err := s.Session(ctx, "demo", id)
		if err != nil {
			n = store.Session{Account: "demo", OpenID: id}
		}
		n.Data, n.Expires = strings.Repeat("x", bytes), time.Now()
		return s.SaveSession(ctx, &n)
	}
	kept := func() (users []int) {
		for user := range 30 {
			if _, err := s.Session(ctx, "demo", fmt.Sprint("o", user)); err == nil {
				users = append(users, user)
			}
		}
		return users
	}
	for user := range 20 {
		if ok, err := save(user, 10<<10); !ok || err != nil {
			t.Fatalf("session %d: %v, %v", user, ok, err)
		}
		// A user who writes again and again is not forgotten.
		if !slices.Contains(kept(), 0) {
			t.Fatalf("kept are the sessions of %v", kept())
		}
		if ok, err := save(0, 10<<10); !ok || err != nil {
			t.Fatalf("session 0: %v, %v", ok, err)
		}
		if s.sessions.bytes > limit/4 || s.bytes != s.sessions.bytes {
			t.Fatalf("sessions take %d of %d bytes", s.sessions.bytes, s.bytes)
		}
	}
	if got, want := kept(), []int{0, 12, 13, 14, 15, 16, 17, 18, 19}; !slices.Equal(got, want) {
		t.Errorf("kept are the sessions of %v, want %v", got, want)
	}
	// One that grows takes the room of others, and one for which there is none takes nobody's place.
	if ok, err := save(12, 50<<10); !ok || err != nil {
		t.Errorf("a session that grows: %v, %v", ok, err)
	}
	if got, want := kept(), []int{0, 12, 17, 18, 19}; !slices.Equal(got, want) {
		t.Errorf("kept are the sessions of %v, want %v", got, want)
	}
	if ok, err := save(21, limit/4); ok || !errors.Is(err, store.ErrFull) || len(kept()) != 5 {
		t.Errorf("a session that is larger than all may be: %v, %v; kept are %v", ok, err, kept())
	}

	// Turns that may not go take their room; finished ones go before.
	s = New(Config{MaxBytes: limit})
	join(t, s)
	for user := range 3 {
		if ok, err := save(user, 10<<10); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	running := func(n int) store.Turn {
		turn := row(n, store.Running, time.Now())
		turn.Body = strings.Repeat("x", 49<<10)
		return turn
	}
	done := row(100, store.Answered, time.Now())
	done.Body = strings.Repeat("x", 25<<10)
	claim(t, s, done, running(0), running(1), running(2), running(3), running(4), running(5), running(6))
	if got := kept(); !slices.Equal(got, []int{0, 1, 2}) || has(s, done) {
		t.Fatalf("kept are the sessions of %v; the finished turn is there: %v", got, has(s, done))
	}
	if ok, err := save(3, 25<<10); !ok || err != nil || !slices.Equal(kept(), []int{1, 2, 3}) {
		t.Errorf("a session in a store with few others: %v, %v; kept are %v", ok, err, kept())
	}
	last := running(8)
	last.Body = strings.Repeat("x", 20<<10)
	if r := claim(t, s, last); !r[0].OK || !slices.Equal(kept(), []int{3}) {
		t.Errorf("a turn in a store that is full of sessions: %+v; kept are %v", r[0].Err, kept())
	}
	if ok, err := save(4, 60<<10); ok || !errors.Is(err, store.ErrFull) {
		t.Errorf("a session in a store that is full of turns: %v, %v", ok, err)
	}
}

func TestMaxBytes(t *testing.T) {
	t.Parallel()
	s := New(Config{MaxBytes: 100 << 10})
	body := string(make([]byte, 10<<10))
	for n := range 100 {
		turn := row(n, store.Answered, time.Now())
		turn.Body = body
		if r := claim(t, s, turn); !r[0].OK {
			t.Fatalf("claim %d: %+v", n, r[0])
		}
		if s.bytes > 100<<10 {
			t.Fatalf("%d bytes are kept after %d turns", s.bytes, n+1)
		}
	}
	if len(s.rows) < 9 {
		t.Errorf("only %d turns of 10 KiB fit into 100 KiB", len(s.rows))
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Now()}
	s := New(Config{Now: c.Now})
	join(t, s)
	old, open := row(1, store.Answered, c.Now()), row(2, store.Running, c.Now())
	claim(t, s, old, open)
	c.Elapse(19 * time.Minute)
	join(t, s)
	claim(t, s, row(3, store.Answered, c.Now()))
	if !has(s, old) {
		t.Error("a turn was gone before twenty minutes")
	}
	c.Elapse(2 * time.Minute)
	claim(t, s, row(4, store.Answered, c.Now()))
	if has(s, old) || !has(s, open) || !has(s, row(3, store.Answered, c.Now())) {
		t.Error("after 21 minutes: the finished turn should be gone, the others there")
	}
}

// A short list of many turns takes little memory.
func TestListAllocates(t *testing.T) {
	s := New(Config{})
	ops := make([]store.Op, 50_000)
	for n := range ops {
		ops[n].Turn = row(n, store.Answered, time.Now())
	}
	if err := s.Claim(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	list, err := s.List(context.Background(), store.Filter{Limit: 50})
	runtime.ReadMemStats(&after)
	if err != nil || len(list) != 50 {
		t.Fatalf("%d turns, %v", len(list), err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("a list of 50 turns took %d bytes", n)
	}
}

func BenchmarkClaimSave(b *testing.B) {
	s := New(Config{})
	join(b, s)
	ops := make([]store.Op, 1)
	for n := 0; b.Loop(); n++ {
		ops[0].Turn = row(n, store.Running, time.Now())
		s.Claim(context.Background(), ops)
		ops[0].Turn.State = store.Answered
		s.Save(context.Background(), ops)
	}
	b.ReportAllocs()
}

// Answers that were delivered, and of which more pages may be fetched, make room for what is new; those that
// nobody has had do not.
func TestDeliveredPagesMakeRoom(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	at := time.Now()
	for _, delivery := range []store.Delivery{store.Written, store.Assumed, store.Fetched, store.Ticket, store.Offered, store.Late} {
		s := New(Config{MaxTurns: 10})
		for n := range 20 {
			r := row(n, store.Answered, at)
			r.OpenID, r.Delivery, r.Due = "o", delivery, at.Add(24*time.Hour)
			ops := []store.Op{{Turn: r}}
			if err := s.Claim(ctx, ops); err != nil {
				t.Fatal(err)
			}
			owed := delivery == store.Ticket || delivery == store.Offered || delivery == store.Late
			if full := errors.Is(ops[0].Err, store.ErrFull); full != (owed && n >= 10) {
				t.Errorf("%v, row %d: %v", delivery, n, ops[0].Err)
			}
		}
	}
}

package memory

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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

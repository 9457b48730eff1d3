package callback_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// P4: an answer that a process had offered when it died, without having said whether it
// was written, and that no retry asked for, is counted, once, and taken as delivered.
func TestAmbiguous(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		written bool // that is in the store
		retry   time.Duration
		after   store.Delivery // at the end
		count   uint64
	}{
		{name: "not known to be written", after: store.Assumed, count: 1},
		{name: "written", written: true, after: store.Written},
		{name: "a retry comes before", retry: 5 * time.Second, after: store.Written},
		{name: "a retry comes after all", retry: 40 * time.Second, after: store.Written, count: 1},
	}
	for _, test := range tests {
		for _, messages := range []int{1, store.DefaultLimit + 100} {
			if messages > 1 && test.name != tests[0].name {
				continue // one test of a long list is enough
			}
			t.Run(fmt.Sprintf("%s/%d", test.name, messages), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					a := account(callback.Plain, new(counted))
					mem := memory.New(memory.Config{})
					link := &forgetful{faulty: faulty{Store: mem}}
					old := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "old"})
					link.armed.Store(true)
					long := pack(a, text("long ago")) // nobody looks at that any more
					long.sendCut(old)
					time.Sleep(10 * time.Minute)
					answers, pushes := make([]got, messages), make([]wire, messages)
					for i := range pushes {
						pushes[i] = pack(a, text(fmt.Sprint(i)))
						link.armed.Store(i == 0 && !test.written)
						answers[i] = pushes[i].sendCut(old)
						synctest.Wait()
						if i%100 == 99 {
							time.Sleep(time.Millisecond)
						}
					}
					link.fail(before) // it dies
					if row := rowOf(t, mem, pushes[0]); row.Delivery == store.Written != test.written {
						t.Fatalf("the test is wrong: %v", row.Delivery)
					}

					time.Sleep(time.Second)
					s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "new"})
					other := start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "other"})
					again := func() {
						if g := pushes[0].sendCut(s); g.body != answers[0].body || g.status != 200 {
							t.Errorf("the retry got %v, the push before it %v", g, answers[0])
						}
						synctest.Wait()
					}
					if test.retry > 0 && test.retry < store.Lease {
						time.Sleep(test.retry)
						again()
					}
					time.Sleep(time.Minute / 2)
					if test.retry > store.Lease {
						time.Sleep(test.retry - time.Minute/2)
						if row := rowOf(t, mem, pushes[0]); row.Delivery != store.Assumed {
							t.Errorf("before the retry: %v", row.Delivery)
						}
						again()
					}
					time.Sleep(time.Minute)
					if n := s.Stats().Ambiguous + other.Stats().Ambiguous; n != test.count {
						t.Errorf("%d counted, want %d", n, test.count)
					}
					if row := rowOf(t, mem, long); row.Delivery != store.Offered {
						t.Errorf("what is long over: %v", row.Delivery)
					}
					if row := rowOf(t, mem, pushes[0]); row.Delivery != test.after || row.State != store.Answered {
						t.Errorf("%v, %v", row.State, row.Delivery)
					}
				})
			})
		}
	}
}

// forgetful loses, if armed, what is saved after a reply was offered: that it was written. Its process believes
// that it was saved.
type forgetful struct {
	faulty
	armed atomic.Bool

	mu   sync.Mutex
	lost map[store.Key]bool
}

func (s *forgetful) Save(ctx context.Context, ops []store.Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kept []store.Op
	var places []int
	for i := range ops {
		if op := &ops[i]; op.Mark && s.lost[op.Turn.Key] {
			op.Turn.Version++
			op.OK = true
			continue
		}
		kept, places = append(kept, ops[i]), append(places, i)
	}
	err := s.faulty.Save(ctx, kept)
	for i, at := range places {
		ops[at] = kept[i]
		if err == nil && kept[i].OK && kept[i].Turn.Delivery == store.Offered && s.armed.Swap(false) {
			if s.lost == nil {
				s.lost = make(map[store.Key]bool)
			}
			s.lost[kept[i].Turn.Key] = true
		}
	}
	return err
}

// rowOf is the row of what was pushed.
func rowOf(t *testing.T, s store.Store, w wire) store.Turn {
	t.Helper()
	for _, row := range rows(t, s) {
		if row.Body == w.document {
			return row
		}
	}
	t.Fatal("there is no such row")
	return store.Turn{}
}

// An answer whose write is known to have failed did not arrive: that is not ambiguous, as long as the
// process lives that knows whether a retry has had it since. Either way the user can fetch it.
func TestFailedWriteIsNotAmbiguous(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		t.Run(fmt.Sprint("dies=", dies), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				a := account(callback.Plain, new(counted))
				mem := memory.New(memory.Config{})
				link := &faulty{Store: mem}
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "old"})
				w := pack(a, text("x"))
				w.sendBroken(t.Context(), s)
				synctest.Wait()
				want := uint64(0)
				if dies {
					link.fail(before)
					s = start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "new"})
					want = 1
				}
				time.Sleep(time.Minute)
				if row := only(t, mem); row.Delivery != store.Ticket || s.Stats().Ambiguous != want {
					t.Errorf("%v, %d counted, want %d", row.Delivery, s.Stats().Ambiguous, want)
				}
			})
		})
	}
}

// The clock of the dead process was ahead for a while, and its youngest turn says so.
// What was on its way when it died is found all the same.
func TestAmbiguousAfterAClockAhead(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{0, 5 * time.Minute, 9 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				var wrong atomic.Int64
				now := func() time.Time { return time.Now().Add(time.Duration(wrong.Load())) }
				a := account(callback.Plain, new(counted))
				a.Freshness = 10 * time.Minute
				mem := memory.New(memory.Config{})
				link := &forgetful{faulty: faulty{Store: mem}}
				old := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "old", Now: now})
				wrong.Store(int64(ahead))
				pack(a, text("while the clock is ahead")).sendCut(old)
				time.Sleep(time.Second)
				wrong.Store(0)
				w := pack(a, text("x"))
				link.armed.Store(true)
				w.sendCut(old)
				synctest.Wait()
				link.fail(before) // it dies
				time.Sleep(time.Second)
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "new", Now: now})
				time.Sleep(time.Minute)
				if row := rowOf(t, mem, w); row.Delivery != store.Assumed || s.Stats().Ambiguous != 1 {
					t.Errorf("%v, %d counted", row.Delivery, s.Stats().Ambiguous)
				}
			})
		})
	}
}

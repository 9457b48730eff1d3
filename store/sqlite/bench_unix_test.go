//go:build unix

package sqlite_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
)

// processorTime is what this process has used.
func processorTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// A message is claimed, its result is saved and then marked as written, by 64 callers
// at once. The processor time is that of the whole process.
func BenchmarkMessage(b *testing.B) {
	const callers = 64
	s := open(b, sqlite.Config{})
	owner, err := s.Join(context.Background(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	go func() { // however long it takes
		for tick := time.Tick(store.Lease / 3); b.Context().Err() == nil; <-tick {
			_ = s.Renew(b.Context(), owner)
		}
	}()
	must := func(call func(context.Context, []store.Op) error, op *store.Op) {
		ops := []store.Op{*op}
		if err := call(context.Background(), ops); err != nil || !ops[0].OK {
			b.Errorf("%v, %+v", err, ops[0])
		}
		*op = ops[0]
	}
	var n atomic.Int64
	before, began := s.Stats(), processorTime()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				op := store.Op{Turn: sample(i, time.Now(), owner)}
				must(s.Claim, &op)
				op.Turn.State, op.Turn.Reply, op.Turn.Delivery, op.Turn.OfferedTo = store.Answered, fmt.Sprintf("%250d", i), store.Offered, 1
				op.Turn.FinishedAt = op.Turn.ReceivedAt
				must(s.Save, &op)
				op.Turn.Delivery, op.Mark = store.Written, true
				must(s.Save, &op)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	after := s.Stats()
	b.ReportMetric(float64((processorTime()-began).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(after.Rows-before.Rows)/float64(after.Commits-before.Commits), "rows/commit")
}

//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
)

// processorTime is what this process has used, without that of the database server.
func processorTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// callers has some callers share b.N calls.
func callers(b *testing.B, n int, call func(i int64)) {
	var next atomic.Int64
	before := processorTime()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				call(i)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// The least that a durable insert takes: rows of the same size, two connections, groups of a fixed
// size, no index but that of the key.
func BenchmarkBareInsert(b *testing.B) {
	const group = 64
	pool, err := pgxpool.New(context.Background(), pgtest.DSN(b))
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(context.Background(), `CREATE TABLE bare (key bytea PRIMARY KEY, body bytea NOT NULL)`); err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	before := processorTime()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := next.Add(group); i <= int64(b.N)+group; i = next.Add(group) {
				var keys, bodies [][]byte
				for j := range int64(group) {
					t := sample(i+j, time.Now(), store.Node{})
					keys, bodies = append(keys, t.Key[:]), append(bodies, []byte(t.Body+t.OpenID))
				}
				if _, err := pool.Exec(context.Background(), `INSERT INTO bare SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING`, keys, bodies); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// node joins and keeps its lease for as long as the benchmark takes.
func node(b *testing.B, s *postgres.Store) store.Node {
	owner, err := s.Join(context.Background(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for tick := time.Tick(store.Lease / 3); b.Context().Err() == nil; <-tick {
			_ = s.Renew(b.Context(), owner)
		}
	}()
	return owner
}

func must(b *testing.B, call func(context.Context, []store.Op) error, op *store.Op) {
	ops := []store.Op{*op}
	if err := call(context.Background(), ops); err != nil || !ops[0].OK {
		b.Errorf("%v, %+v", err, ops[0])
	}
	*op = ops[0]
}

func BenchmarkClaim(b *testing.B) {
	for _, n := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(n, " callers"), func(b *testing.B) {
			s := open(b, postgres.Config{})
			owner := node(b, s)
			callers(b, n, func(i int64) { must(b, s.Claim, &store.Op{Turn: sample(i, time.Now(), owner)}) })
			stats := s.Stats()
			b.ReportMetric(float64(stats.Rows)/float64(stats.Commits), "rows/commit")
		})
	}
}

// A message is claimed, its result is saved and then marked as written.
func BenchmarkMessage(b *testing.B) {
	s := open(b, postgres.Config{})
	owner := node(b, s)
	callers(b, 64, func(i int64) {
		op := store.Op{Turn: sample(i, time.Now(), owner)}
		must(b, s.Claim, &op)
		op.Turn.State, op.Turn.Reply, op.Turn.Delivery, op.Turn.OfferedTo = store.Answered, fmt.Sprintf("%250d", i), store.Offered, 1
		op.Turn.FinishedAt = op.Turn.ReceivedAt
		must(b, s.Save, &op)
		op.Turn.Delivery, op.Mark = store.Written, true
		must(b, s.Save, &op)
	})
}

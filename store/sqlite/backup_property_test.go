package sqlite_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
)

// A backup at whatever moment, while several callers claim and answer: it restores to a sound database, in which each message that was
// claimed before it began has one row, at least as far as it had come then.
func TestBackupAtAnyMoment(t *testing.T) {
	t.Parallel()
	const callers, rounds = 3, 4
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "e.db")
	s := open(t, sqlite.Config{Path: path})
	owner, err := s.Join(ctx, "node")
	if err != nil {
		t.Fatal(err)
	}
	// What every message has come to as its caller knows: 1 claimed, 2 answered.
	var mu sync.Mutex
	changed := sync.NewCond(&mu)
	known := make(map[store.Key]int64)
	note := func(op *store.Op) {
		mu.Lock()
		defer mu.Unlock()
		known[op.Turn.Key] = op.Turn.Version
		changed.Broadcast()
	}
	var wg sync.WaitGroup
	var stop atomic.Bool
	defer func() {
		stop.Store(true)
		wg.Wait()
	}()
	for c := range callers {
		wg.Go(func() {
			defer changed.Broadcast()
			rng := rand.New(rand.NewPCG(22, uint64(c)))
			for n := int64(c); !stop.Load(); n += callers {
				ops := []store.Op{{Turn: sample(n, time.Now(), owner)}}
				if err := s.Claim(ctx, ops); err != nil || !ops[0].OK {
					t.Errorf("Claim: %v, %+v", err, ops[0])
					return
				}
				note(&ops[0])
				if rng.IntN(4) == 0 {
					continue // it runs
				}
				ops[0].Turn.State, ops[0].Turn.Reply = store.Answered, fmt.Sprintf("%*d", rng.IntN(5000), n)
				if err := s.Save(ctx, ops); err != nil || !ops[0].OK {
					t.Errorf("Save: %v, %+v", err, ops[0])
					return
				}
				note(&ops[0])
			}
		})
	}
	rng := rand.New(rand.NewPCG(22, 99))
	for round := range rounds {
		mu.Lock()
		for n := len(known) + rng.IntN(40); len(known) < n && !t.Failed(); {
			changed.Wait()
		}
		before := maps.Clone(known)
		mu.Unlock()
		file, restored := filepath.Join(dir, fmt.Sprint(round, ".backup")), filepath.Join(dir, fmt.Sprint(round, ".db"))
		if _, err := sqlite.Backup(ctx, path, file); err != nil {
			t.Fatal(err)
		}
		res, err := sqlite.Restore(ctx, file, "", sqlite.Config{Path: restored}) // which checks its integrity
		if err != nil {
			t.Fatal(err)
		}
		again := open(t, sqlite.Config{Path: restored})
		list, err := again.List(ctx, store.Filter{Limit: 1_000_000})
		if err != nil || len(list) != res.Turns {
			t.Fatalf("round %d: %d rows, %v; Restore said %d", round, len(list), err, res.Turns)
		}
		there := make(map[store.Key]bool, len(list))
		for _, row := range list {
			there[row.Key] = true
			switch {
			case row.State != store.Answered && row.State != store.Failed:
				t.Errorf("round %d: a row is %v", round, row.State)
			case row.State != store.Answered && before[row.Key] == 2, row.State == store.Answered && row.Reply == "":
				t.Errorf("round %d: of an answered turn there is %v %q", round, row.State, row.Reply)
			}
		}
		for k := range before {
			if !there[k] {
				t.Errorf("round %d: %v is lost", round, k)
			}
		}
		if len(there) != len(list) {
			t.Errorf("round %d: %d rows of %d messages", round, len(list), len(there))
		}
	}
}

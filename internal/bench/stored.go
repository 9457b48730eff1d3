package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
)

// few is the size of the database that a large one is compared with.
const few = 1000

// stored measures what a message costs in a database of many turns beside one of few,
// and how soon a server that was killed accepts a push again.
func stored(many, rounds, messages, restarts int) error {
	dir, err := os.MkdirTemp(".", "bench-*.tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// The large one first, and then in turns with the small one.
	large, small := filepath.Join(dir, "many.db"), filepath.Join(dir, "few.db")
	stores := make(map[string]*database)
	for path, n := range map[string]int{large: many, small: few} {
		d, err := fillDatabase(path, n)
		if err != nil {
			return err
		}
		defer d.Close()
		stores[path] = d
	}
	costs := make(map[string][]float64)
	for range rounds {
		for _, path := range []string{small, large} {
			µs, err := stores[path].messages(messages)
			if err != nil {
				return err
			}
			costs[path] = append(costs[path], µs)
		}
	}
	fmt.Printf("A message (claim, result, mark) by 64 callers, %d rounds of %d, %s/%s, %d cores\n\n| stored turns | file | µs of processor time: min, median, max | ratio |\n|---|---|---|---|\n",
		rounds, messages, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	base := median(costs[small])
	for _, path := range []string{small, large} {
		m := median(costs[path])
		n := map[string]int{large: many, small: few}[path]
		fmt.Printf("| %d | %.1f MB | %.1f, %.1f, %.1f | %.2f |\n", n, float64(stores[path].Stats().FileBytes)/1e6, slices.Min(costs[path]), m, slices.Max(costs[path]), m/base)
	}
	fmt.Println()
	for _, q := range []struct {
		what string
		do   func(*database) error
	}{
		{"the 50 youngest turns", func(d *database) error {
			_, err := d.List(context.Background(), store.Filter{Limit: 50})
			return err
		}},
		{"the turns of a user", func(d *database) error {
			_, err := d.List(context.Background(), store.Filter{OpenID: user(17)})
			return err
		}},
		{"an erasure", func(d *database) error {
			_, err := d.Erase(context.Background(), "demo", user(17), store.Key{})
			return err
		}},
	} {
		began := time.Now()
		if err := q.do(stores[large]); err != nil {
			return err
		}
		fmt.Printf("%s, of %d: %v\n", q.what, many, time.Since(began).Round(100*time.Microsecond))
	}
	for _, d := range stores {
		if err := d.Close(); err != nil {
			return err
		}
	}
	if restarts == 0 {
		return nil
	}
	return restartTimes(large, many, restarts)
}

// database is a store with a node that owns what runs.
type database struct {
	*sqlite.Store
	keyer *store.Keyer
	owner store.Node
	next  atomic.Int64
}

func user(n int64) string {
	return "ogdotwSc_MmEEsJs9-ABZ1Q" + strconv.FormatInt(10_000+n*7919%50_000, 10)
}

// turn is one of 330 bytes by one of 50,000 users.
func (d *database) turn(received time.Time) store.Turn {
	n := d.next.Add(1)
	received = received.UTC().Truncate(time.Millisecond)
	return store.Turn{
		Key:     d.keyer.Key([32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24), 1}, received.Unix(), received),
		Account: "demo", OpenID: user(n), OriginalID: "gh_866835093fea", MsgType: "text", Body: fmt.Sprintf("%330d", n),
		CreateTime: received.Unix(), ReceivedAt: received, Pushes: []store.Push{{Number: 1, At: received}}, Seen: 1,
		State: store.Running, Attempt: 1, Owner: d.owner,
	}
}

func finish(t *store.Turn) {
	t.State, t.Reply, t.FinishedAt, t.Delivery, t.OfferedTo = store.Answered, fmt.Sprintf("%250d", t.CreateTime), t.ReceivedAt, store.Offered, 1
}

// fillDatabase makes a database with turns of the last 30 days.
func fillDatabase(path string, n int) (*database, error) {
	s, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	if err != nil {
		return nil, err
	}
	inst, err := s.Installation(context.Background())
	if err != nil {
		return nil, err
	}
	d := &database{Store: s, keyer: store.NewKeyer(inst.Salt)}
	if d.owner, err = s.Join(context.Background(), "bench"); err != nil {
		return nil, err
	}
	const month = 30 * 24 * time.Hour
	began := time.Now().Add(-month)
	ops := make([]store.Op, 0, 1000)
	for i := range n {
		t := d.turn(began.Add(month / time.Duration(n) * time.Duration(i)))
		finish(&t)
		if ops = append(ops, store.Op{Turn: t}); len(ops) == cap(ops) || i == n-1 {
			if err := s.Claim(context.Background(), ops); err != nil {
				return nil, err
			}
			ops = ops[:0]
		}
	}
	return d, s.Tidy(context.Background())
}

// keepLease renews the lease of the owner until stop is called.
func (d *database) keepLease() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for tick := time.Tick(store.Lease / 3); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick:
				_ = d.Renew(ctx, d.owner) // a row will tell
			}
		}
	}()
	return cancel
}

// messages returns the processor time of one message.
func (d *database) messages(n int) (µs float64, err error) {
	// Its lease may have run out meanwhile.
	if d.owner, err = d.Join(context.Background(), "bench"); err != nil {
		return 0, err
	}
	stop := d.keepLease()
	defer stop()
	var mu sync.Mutex
	must := func(call func(context.Context, []store.Op) error, ops []store.Op) {
		if e := call(context.Background(), ops); e != nil || !ops[0].OK {
			mu.Lock()
			err = fmt.Errorf("a row was not written: %v, %v", e, ops[0].Err)
			mu.Unlock()
		}
	}
	before := processorTime()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range n / 64 {
				ops := []store.Op{{Turn: d.turn(time.Now())}}
				must(d.Claim, ops)
				finish(&ops[0].Turn)
				must(d.Save, ops)
				ops[0].Turn.Delivery, ops[0].Mark = store.Written, true
				must(d.Save, ops)
			}
		})
	}
	wg.Wait()
	return float64((processorTime() - before).Nanoseconds()) / 1000 / float64(n/64*64), err
}

// restartTimes kills a server again and again, and measures the time from starting it to
// its first 200.
func restartTimes(path string, turns, restarts int) error {
	l, err := newLoad(callback.Plain)
	if err != nil {
		return err
	}
	var times []time.Duration
	for range restarts {
		began := time.Now()
		s, err := start("SQLite, plain", "", "-db", path)
		if err != nil {
			return err
		}
		if err := l.one(s.addr); err != nil {
			return err
		}
		times = append(times, time.Since(began))
		// Killed while it works, not at rest.
		go l.hit(s.addr, 8, 800)
		time.Sleep(100 * time.Millisecond)
		if err := s.cmd.Process.Kill(); err != nil {
			return err
		}
		s.stop()
	}
	slices.Sort(times)
	at := func(p int) time.Duration {
		return times[min(len(times)-1, len(times)*p/100)].Round(100 * time.Microsecond)
	}
	fmt.Printf("from starting a server that was killed to its first 200, %d turns stored, %d times: median %v, p99 %v, max %v\n", turns, restarts, at(50), at(99), times[len(times)-1].Round(100*time.Microsecond))
	return nil
}

// one sends one push.
func (l *load) one(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(l.request(nil, "你好，世界")); err != nil {
		return err
	}
	return answered(bufio.NewReader(c), l.mode)
}

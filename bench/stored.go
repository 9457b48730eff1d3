package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
)

// stored measures what a message costs in databases of few turns and of many, and how soon a server that was killed accepts a
// push again.
func (b *bench) stored() ([]*Table, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU())) // there is no load beside it
	t := &Table{
		Title: fmt.Sprintf("CPU of a message by the number of stored turns: claim, result, mark, by %d callers, %d rounds of %s", callers, b.rounds, thousands(fmt.Sprint(b.messages))),
		Columns: []string{"stored turns", "SQLite", "beside the smallest", "messages/s", "MB", "PostgreSQL",
			"beside the smallest", "messages/s", "MB"},
		Chart: &Chart{"stored.svg", "CPU of a message, µs, by stored turns", []int{1, 5}},
	}
	type series struct{ cpu, rate [][]float64 }
	var all [][]*database // by store, then by size
	var results []series
	for _, in := range []string{"SQLite", "PostgreSQL"} {
		var some []*database
		for _, n := range b.counts.stored {
			name, ok, err := b.path(".db"), true, error(nil)
			if in == "PostgreSQL" {
				name, ok, err = b.postgres()
			}
			if err != nil {
				return nil, err
			}
			if !ok {
				t.note(noPostgres)
				break
			}
			b.log("%s: filling with %s turns", in, thousands(fmt.Sprint(n)))
			d, err := b.fill(name, n)
			if err != nil {
				return nil, err
			}
			defer d.Close()
			some = append(some, d)
		}
		if some != nil {
			all = append(all, some)
			results = append(results, series{make([][]float64, len(some)), make([][]float64, len(some))})
		}
	}
	sizes := len(b.counts.stored)
	if err := b.takeTurns(len(all)*sizes, func(i int) error {
		cpu, rate, err := all[i/sizes][i%sizes].measure(b.messages)
		r := &results[i/sizes]
		r.cpu[i%sizes], r.rate[i%sizes] = append(r.cpu[i%sizes], cpu), append(r.rate[i%sizes], rate)
		return err
	}); err != nil {
		return nil, err
	}
	for i, n := range b.counts.stored {
		row := &Row{Name: thousands(fmt.Sprint(n)), X: float64(n)}
		for j := range results {
			r := &results[j]
			mb, err := all[j][i].megabytes()
			if err != nil {
				return nil, err
			}
			row.Cells = append(row.Cells, rounds(r.cpu[i]), ratio(r.cpu[i], r.cpu[0]), rounds(r.rate[i]), one(mb))
		}
		row.Cells = slices.Grow(row.Cells, 8)[:8]
		t.add(row)
	}
	t.note("µs of CPU per message: of the process with SQLite, and of the process and PostgreSQL together. The aim for the largest is 1.25 times the smallest.")
	rest, err := b.largest(all)
	return append([]*Table{t}, rest...), err
}

// largest asks for turns in the largest database of each store, and then kills servers on it.
func (b *bench) largest(all [][]*database) ([]*Table, error) {
	n := thousands(fmt.Sprint(slices.Max(b.counts.stored)))
	asked := &Table{Title: "Questions to " + n + " stored turns, ms", Columns: []string{"what"}}
	killed := &Table{Title: fmt.Sprintf("From starting a server that was killed to its first 200, %s turns stored, %d times, ms", n, b.restarts),
		Columns: []string{"store", "median", "p99", "max", "aim"}}
	questions := []struct {
		what string
		do   func(d *database, user string) error
	}{
		{"the 50 youngest turns", func(d *database, user string) error {
			_, err := d.List(context.Background(), store.Filter{Limit: 50})
			return err
		}},
		{"the turns of a user", func(d *database, user string) error {
			_, err := d.List(context.Background(), store.Filter{OpenID: user})
			return err
		}},
		{"an erasure of a user", func(d *database, user string) error {
			_, err := d.Erase(context.Background(), "a0", user, store.Key{})
			return err
		}},
	}
	for _, q := range questions {
		row := &Row{Name: q.what}
		for _, some := range all {
			var took []float64
			for i := range b.rounds {
				began := time.Now()
				if err := q.do(some[len(some)-1], userOf(int64(i))); err != nil {
					return nil, err
				}
				took = append(took, time.Since(began).Seconds()*1000)
			}
			row.Cells = append(row.Cells, rounds(took))
		}
		asked.add(row)
	}
	for _, some := range all {
		d := some[len(some)-1]
		name := map[bool]string{false: "SQLite", true: "PostgreSQL"}[isPostgres(d.name)]
		asked.Columns = append(asked.Columns, name)
		if err := d.Close(); err != nil { // SQLite's file is one process's at a time
			return nil, err
		}
		took, err := b.restartTimes(d.name)
		if err != nil {
			return nil, err
		}
		at := func(p int) Cell { return one(took[min(len(took)-1, len(took)*p/100)]) }
		killed.add(&Row{Name: name, Cells: []Cell{at(50), at(99), one(took[len(took)-1]), text("300")}})
	}
	return []*Table{asked, killed}, nil
}

// restartTimes kills a server again and again, and measures the time from starting it to its first 200: milliseconds, sorted.
func (b *bench) restartTimes(name string) (took []float64, err error) {
	l := newLoad(callback.Plain, 1)
	for range b.restarts {
		began := time.Now()
		s, err := b.start(role{Kind: echostrBot, Mode: callback.Plain, Store: name})
		if err != nil {
			return nil, err
		}
		if err := l.check(s.addr); err != nil {
			s.stop()
			return nil, err
		}
		took = append(took, time.Since(began).Seconds()*1000)
		// Killed while it works, not at rest.
		go l.hit(8, 800, s.addr)
		time.Sleep(100 * time.Millisecond)
		err = s.cmd.Process.Kill()
		s.stop()
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(took)
	return took, nil
}

// callers of a store at the same time.
const callers = 64

// database is a store with a node that owns what runs.
type database struct {
	store.Store
	b     *bench
	name  string // its path or address
	keyer *store.Keyer
	owner store.Node
}

// newDatabase joins a store that was opened by a name; it is in memory if that is empty.
func (b *bench) newDatabase(s store.Store, name string) (*database, error) {
	inst, err := s.Installation(context.Background())
	if err != nil {
		return nil, err
	}
	d := &database{Store: s, b: b, name: name, keyer: store.NewKeyer(inst.Salt)}
	return d, d.join()
}

func (d *database) join() (err error) {
	d.owner, err = d.Join(context.Background(), "bench")
	return err
}

// turn is one of 330 bytes by one of the users.
func (d *database) turn(received time.Time) store.Turn {
	n := ids.Add(1)
	received = received.UTC().Truncate(time.Millisecond)
	return store.Turn{
		Key:     d.keyer.Key([32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24), 1}, received.Unix(), received),
		Account: "a0", OpenID: userOf(n), OriginalID: originalID, MsgType: "text", Body: fmt.Sprintf("%330d", n),
		CreateTime: received.Unix(), ReceivedAt: received, Pushes: []store.Push{{Number: 1, At: received}}, Seen: 1,
		State: store.Running, Attempt: 1, Owner: d.owner,
	}
}

func finish(t *store.Turn) {
	t.State, t.Reply, t.FinishedAt, t.Delivery, t.OfferedTo = store.Answered, fmt.Sprintf("%250d", t.CreateTime), t.ReceivedAt, store.Offered, 1
}

// fill makes a database with n turns of the last 30 days.
func (b *bench) fill(name string, n int) (*database, error) {
	s, err := openStore(name)
	if err != nil {
		return nil, err
	}
	d, err := b.newDatabase(s, name)
	if err != nil {
		return nil, err
	}
	const month = 30 * 24 * time.Hour
	began := time.Now().Add(-month)
	ops := make([]store.Op, 0, 1000)
	for i := range n {
		t := d.turn(began.Add(month / time.Duration(n) * time.Duration(i)))
		finish(&t)
		if ops = append(ops, store.Op{Turn: t}); len(ops) == cap(ops) || i == n-1 {
			if err := d.write(s.Claim, ops); err != nil {
				return nil, err
			}
			ops = ops[:0]
		}
	}
	if !isPostgres(name) {
		tidy, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		return d, s.(interface{ Tidy(context.Context) error }).Tidy(tidy)
	}
	// As it is some time later: what the server does by itself after so many inserts is not what is measured.
	return d, d.connect(func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "VACUUM (ANALYZE) turn"); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "CHECKPOINT")
		return err
	})
}

func (d *database) connect(do func(context.Context, *pgx.Conn) error) error {
	conn, err := pgx.Connect(context.Background(), d.name)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	return do(context.Background(), conn)
}

// megabytes is the size of the database.
func (d *database) megabytes() (mb float64, err error) {
	var bytes int64
	if isPostgres(d.name) {
		err = d.connect(func(ctx context.Context, conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'").Scan(&bytes)
		})
	} else if info, e := os.Stat(d.name); e != nil {
		err = e
	} else {
		bytes = info.Size()
	}
	return float64(bytes) / 1e6, err
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

// write has a store write rows, all of which it must.
func (d *database) write(call func(context.Context, []store.Op) error, ops []store.Op) error {
	if err := call(context.Background(), ops); err != nil {
		return err
	}
	for i := range ops {
		if !ops[i].OK {
			return fmt.Errorf("a row was not written: %v", ops[i].Err)
		}
	}
	return nil
}

// used is the processor time of this process, and of PostgreSQL if the database is there.
func (d *database) used() (time.Duration, error) {
	own, err := cpuOf(os.Getpid())
	if err != nil || !isPostgres(d.name) {
		return own, err
	}
	server, err := d.b.databaseCPU()
	return own + server, err
}

// measure returns the processor time of a message in µs, and how many there are in a second.
func (d *database) measure(n int) (cpu, rate float64, err error) {
	if err := d.join(); err != nil { // its lease may have run out meanwhile
		return 0, 0, err
	}
	defer d.keepLease()()
	before, err := d.used()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range n / callers {
				ops := []store.Op{{Turn: d.turn(time.Now())}}
				if errs[i] = d.write(d.Claim, ops); errs[i] != nil {
					return
				}
				finish(&ops[0].Turn)
				if errs[i] = d.write(d.Save, ops); errs[i] != nil {
					return
				}
				ops[0].Turn.Delivery, ops[0].Mark = store.Written, true
				if errs[i] = d.write(d.Save, ops); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	wall := time.Since(began)
	for _, err := range errs {
		if err != nil {
			return 0, 0, err
		}
	}
	after, err := d.used()
	n = n / callers * callers
	return micros(after-before, n), float64(n) / wall.Seconds(), err
}

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
)

func join(t *testing.T, s *postgres.Store, id string) store.Node {
	t.Helper()
	n, err := s.Join(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func get(t *testing.T, s *postgres.Store, key store.Key) store.Turn {
	t.Helper()
	row, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// try makes a call with one row, and checks that it ends in time and with an error that says that trying
// again may help.
func try(t *testing.T, call func(context.Context, []store.Op) error, row store.Turn) (op store.Op, err error) {
	t.Helper()
	ops := []store.Op{{Turn: row}}
	began := time.Now()
	err = call(context.Background(), ops)
	// The bound is that of a call, with what a machine adds that is busy with other tests.
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("a call took %v", took)
	}
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("while the database is away: %v", err)
	}
	if err == nil && ops[0].Err != nil {
		t.Errorf("the row: %v", ops[0].Err)
	}
	return ops[0], err
}

// insist tries until it has worked.
func insist(t *testing.T, call func(context.Context, []store.Op) error, row store.Turn) store.Op {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		op, err := try(t, call, row)
		if err == nil {
			return op
		}
		if time.Now().After(end) {
			t.Fatalf("the database does not come back: %v", err)
		}
	}
}

// The server crashes under load, twice. What it has acknowledged is there, and callers go on by
// themselves.
func TestServerCrashes(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	s := open(t, postgres.Config{DSN: server.DSN(t)})
	owner := join(t, s, "node")
	now := time.Now()
	const callers = 8
	const crashes = 2
	var mu sync.Mutex
	acknowledged := make(map[store.Key]store.Turn)
	failed := 0
	var wg sync.WaitGroup
	written := make(chan struct{}, 1)
	stop := make(chan struct{})
	for c := range callers {
		wg.Go(func() {
			for n := int64(c); ; n += callers {
				select {
				case <-stop:
					return
				default:
				}
				row := sample(n, now, owner)
				row.State = store.Silent // no lease is in the way
				var op store.Op
				for {
					var err error
					if op, err = try(t, s.Claim, row); err == nil {
						break
					}
					mu.Lock()
					failed++
					mu.Unlock()
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
					}
				}
				row.Version = 1
				if diff := cmp.Diff(row, op.Turn); diff != "" {
					t.Errorf("the row of a claim (-want +got)\n%s", diff)
				}
				mu.Lock()
				acknowledged[row.Key] = row
				mu.Unlock()
				select {
				case written <- struct{}{}:
				default:
				}
			}
		})
	}
	acknowledge := func() { // some more
		for range 50 {
			select {
			case <-written:
			case <-time.After(40 * time.Second):
				t.Fatal("nothing is acknowledged any more")
			}
		}
	}
	for range crashes {
		acknowledge()
		server.Stop(t)
		server.Start(t)
	}
	acknowledge()
	close(stop)
	wg.Wait()
	for key, want := range acknowledged {
		if diff := cmp.Diff(want, get(t, s, key)); diff != "" {
			t.Errorf("a turn that was acknowledged (-want +got)\n%s", diff)
		}
	}
	t.Logf("%d turns were acknowledged, %d calls failed", len(acknowledged), failed)
}

// The answer to a COMMIT is lost. The call says that it does not know, and the next one learns from what is
// there.
func TestCommitAnswerLost(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	p := newProxy(t, dsn)
	s, beside := open(t, postgres.Config{DSN: p.dsn}), open(t, postgres.Config{DSN: dsn})
	owner := join(t, s, "node")
	now := time.Now()
	claimed, saved := 0, 0
	const rounds = 25
	for n := range int64(rounds) {
		if err := beside.Renew(t.Context(), owner); err != nil { // all rounds together may take longer than a lease
			t.Fatal(err)
		}
		row := sample(2*n, now, owner)
		// So that there is a connection that knows both statements.
		insist(t, s.Save, insist(t, s.Claim, sample(2*n+1, now, owner)).Turn)
		p.set(mute)
		if _, err := try(t, s.Claim, row); err == nil {
			t.Fatal("a claim without an answer was acknowledged")
		}
		p.set(whole)
		op := insist(t, s.Claim, row)
		if !op.OK {
			claimed++
		}
		row.Version = 1
		if diff := cmp.Diff(row, op.Turn); diff != "" {
			t.Fatalf("what a claim meets whose answer was lost (-want +got)\n%s", diff)
		}

		row.State, row.Reply, row.FinishedAt = store.Answered, fmt.Sprint("reply ", n), row.ReceivedAt
		insist(t, s.Save, insist(t, s.Claim, sample(2*n+1, now, owner)).Turn)
		p.set(mute)
		if _, err := try(t, s.Save, row); err == nil {
			t.Fatal("a save without an answer was acknowledged")
		}
		p.set(whole)
		if op = insist(t, s.Save, row); !op.OK {
			saved++
		}
		row.Version = 2
		if diff := cmp.Diff(row, op.Turn); diff != "" {
			t.Fatalf("what a save meets whose answer was lost (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(row, get(t, beside, row.Key)); diff != "" {
			t.Fatalf("what is stored (-want +got)\n%s", diff)
		}
	}
	if claimed < rounds/2 || saved < rounds/2 {
		t.Errorf("of %d claims and %d saves only %d and %d were carried out before their answers were lost (%d were lost)", rounds, rounds, claimed, saved, p.answersLost())
	}
}

// The network swallows everything. Calls end by themselves, and when it is back they work.
func TestPartition(t *testing.T) {
	t.Parallel()
	p := newProxy(t, pgtest.DSN(t))
	s := open(t, postgres.Config{DSN: p.dsn})
	owner := join(t, s, "node")
	now := time.Now()
	row := insist(t, s.Claim, sample(1, now, owner)).Turn
	p.set(gone)
	calls := map[string]func(ctx context.Context) error{
		"Claim":  func(ctx context.Context) error { return s.Claim(ctx, []store.Op{{Turn: sample(2, now, owner)}}) },
		"Save":   func(ctx context.Context) error { return s.Save(ctx, []store.Op{{Turn: row}}) },
		"Get":    func(ctx context.Context) error { _, err := s.Get(ctx, row.Key); return err },
		"List":   func(ctx context.Context) error { _, err := s.List(ctx, store.Filter{}); return err },
		"Renew":  func(ctx context.Context) error { return s.Renew(ctx, owner) },
		"Alive":  func(ctx context.Context) error { _, err := s.Alive(ctx, owner); return err },
		"Owners": func(ctx context.Context) error { _, err := s.Owners(ctx); return err },
		"Session": func(ctx context.Context) error {
			_, err := s.Session(ctx, "demo", "o")
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		},
		"Erase":  func(ctx context.Context) error { _, err := s.Erase(ctx, "demo", "o", store.Key{}); return err },
		"Expire": func(ctx context.Context) error { _, err := s.Expire(ctx, now, now); return err },
	}
	var wg sync.WaitGroup
	for name, call := range calls {
		wg.Go(func() {
			began := time.Now()
			err := call(context.Background())
			if took := time.Since(began); !errors.Is(err, store.ErrUnavailable) || took > 10*time.Second {
				t.Errorf("%s without a network: %v after %v", name, err, took)
			}
		})
	}
	wg.Wait()
	p.set(whole)
	row.State, row.FinishedAt = store.Silent, row.ReceivedAt
	if op := insist(t, s.Save, row); op.Turn.State != store.Silent || op.Turn.Version != 2 {
		t.Errorf("after the network has come back: %+v", op)
	}
	for name, call := range calls {
		if err := call(context.Background()); err != nil {
			t.Errorf("%s after the network has come back: %v", name, err)
		}
	}
}

// The first of two servers in the address hangs, and the second one takes writes. Nodes go over to it before their leases
// end.
func TestServerHangsAndAnotherIsInTheAddress(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	first, second := newProxy(t, dsn), newProxy(t, dsn)
	port := func(p *proxy) string { return strconv.Itoa(p.listener.Addr().(*net.TCPAddr).Port) }
	s := open(t, postgres.Config{DSN: with(t, with(t, first.dsn, "host", "127.0.0.1,127.0.0.1"), "port", port(first)+","+port(second))})
	owner := join(t, s, "node")
	first.set(gone)
	began := time.Now()
	for err := s.Renew(t.Context(), owner); err != nil; err = s.Renew(t.Context(), owner) {
		if !errors.Is(err, store.ErrUnavailable) || time.Since(began) > 30*time.Second {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("it takes %v until a call works", took)
	}
	if row := insist(t, s.Claim, sample(1, time.Now(), owner)); !row.OK {
		t.Errorf("%+v", row)
	}
	began = time.Now()
	for range 20 {
		if err := s.Renew(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("20 calls take %v then", time.Since(began))
	first.set(refused)
}

// The server hangs, its machine goes on acknowledging what it is sent, and another server takes its place: P8. Connections
// to the one that hangs do not keep the others from being made, and nobody waits for them in the end.
func TestServerHangsAndIsReplaced(t *testing.T) {
	t.Parallel()
	p := newProxy(t, pgtest.DSN(t))
	s, err := postgres.Open(t.Context(), postgres.Config{DSN: p.dsn, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	owner := join(t, s, "node")
	all := func() {
		var wg sync.WaitGroup
		for range 3 * 12 { // more than there are connections
			wg.Go(func() { _, _ = s.Session(context.Background(), "demo", "o") })
		}
		wg.Wait()
	}
	all()
	p.set(gone)
	all()
	p.replace()
	began := time.Now()
	for err := s.Renew(t.Context(), owner); err != nil; err = s.Renew(t.Context(), owner) {
		if !errors.Is(err, store.ErrUnavailable) || time.Since(began) > 30*time.Second {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("it takes %v until a call works", took)
	}
	p.set(gone)
	began = time.Now()
	s.Close()
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("it takes %v to close", took)
	}
}

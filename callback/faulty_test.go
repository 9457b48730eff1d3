package callback_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/echostr/echostr/store"
)

// fault is what a store does to a call.
type fault int

const (
	works  fault = iota
	before       // the call fails and has done nothing
	after        // the call has done its work, and the answer is lost
	either       // one of both, in turn
	breaks       // the storage breaks, when the call has done its work
)

// faulty is a store with faults that a test switches on, as a node sees it.
// Several of them can stand before one store.
type faulty struct {
	store.Store

	mu    sync.Mutex
	fault fault
	only  string        // the method that is hit; "" is all
	spare string        // the method that is not hit
	times int           // how many more calls are hit; 0 is all
	slow  time.Duration // how long writes take, before they are done
	turn  int
	calls map[string]int
}

// fail switches a fault on for all calls, or off.
func (s *faulty) fail(f fault) { s.failOnly("", 0, f) }

// failOnly switches a fault on for the next calls of a method.
func (s *faulty) failOnly(method string, times int, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.only, s.times = f, method, times
}

func (s *faulty) slowDown(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = d
}

func (s *faulty) count(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// total is the number of all calls.
func (s *faulty) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, calls := range s.calls {
		n += calls
	}
	return n
}

func (s *faulty) enter(method string) (f fault, slow time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls = make(map[string]int)
	}
	s.calls[method]++
	if s.only != "" && s.only != method || s.spare == method {
		return works, s.slow
	}
	f = s.fault
	if f == either {
		s.turn++
		f = []fault{before, after}[s.turn%2]
	}
	if s.times > 0 {
		if s.times--; s.times == 0 {
			s.fault = works
		}
	}
	return f, s.slow
}

func call[T any](s *faulty, ctx context.Context, method string, do func() (T, error)) (result T, err error) {
	f, slow := s.enter(method)
	if slow > 0 && (method == "Claim" || method == "Save") {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return result, ctx.Err()
		}
	}
	if f != before {
		result, err = do()
	}
	if f == breaks {
		var nothing T
		return nothing, fmt.Errorf("%w: %s by the test", store.ErrBroken, method)
	}
	if f != works {
		var nothing T
		return nothing, fmt.Errorf("%w: %s by the test", store.ErrUnavailable, method)
	}
	return result, err
}

func (s *faulty) Claim(ctx context.Context, ops []store.Op) error {
	return s.write(ctx, "Claim", s.Store.Claim, ops)
}

func (s *faulty) Save(ctx context.Context, ops []store.Op) error {
	return s.write(ctx, "Save", s.Store.Save, ops)
}

// write leaves the ops alone when it fails, as the contract allows.
func (s *faulty) write(ctx context.Context, method string, do func(context.Context, []store.Op) error, ops []store.Op) error {
	mine := slices.Clone(ops)
	_, err := call(s, ctx, method, func() (struct{}, error) { return struct{}{}, do(ctx, mine) })
	if err == nil {
		copy(ops, mine)
	}
	return err
}

func (s *faulty) Get(ctx context.Context, key store.Key) (store.Turn, error) {
	return call(s, ctx, "Get", func() (store.Turn, error) { return s.Store.Get(ctx, key) })
}

func (s *faulty) List(ctx context.Context, f store.Filter) ([]store.Turn, error) {
	return call(s, ctx, "List", func() ([]store.Turn, error) { return s.Store.List(ctx, f) })
}

func (s *faulty) Departed(ctx context.Context) ([]store.Node, error) {
	return call(s, ctx, "Departed", func() ([]store.Node, error) { return s.Store.Departed(ctx) })
}

func (s *faulty) Owners(ctx context.Context) ([]store.Node, error) {
	return call(s, ctx, "Owners", func() ([]store.Node, error) { return s.Store.Owners(ctx) })
}

func (s *faulty) Renew(ctx context.Context, n store.Node) error {
	_, err := call(s, ctx, "Renew", func() (struct{}, error) { return struct{}{}, s.Store.Renew(ctx, n) })
	return err
}

func (s *faulty) Join(ctx context.Context, id string) (store.Node, error) {
	return call(s, ctx, "Join", func() (store.Node, error) { return s.Store.Join(ctx, id) })
}

func (s *faulty) Alive(ctx context.Context, n store.Node) (bool, error) {
	return call(s, ctx, "Alive", func() (bool, error) { return s.Store.Alive(ctx, n) })
}

func (s *faulty) Leave(ctx context.Context, n store.Node) error {
	_, err := call(s, ctx, "Leave", func() (struct{}, error) { return struct{}{}, s.Store.Leave(ctx, n) })
	return err
}

func (s *faulty) Erase(ctx context.Context, account, openID string, until store.Key) (int, error) {
	return call(s, ctx, "Erase", func() (int, error) { return s.Store.Erase(ctx, account, openID, until) })
}

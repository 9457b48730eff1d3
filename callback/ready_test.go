package callback_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// Ready is red within two seconds of an outage in which nothing is accepted, although the
// store answers questions, and green again when something is, or when nobody knows.
func TestReady(t *testing.T) {
	t.Parallel()
	const claim, save = "claim", "save"
	for _, test := range []struct {
		name  string
		fails map[string]error
		what  error // that Ready tells
	}{
		{"the store is down", map[string]error{claim: store.ErrUnavailable, save: store.ErrUnavailable}, store.ErrUnavailable},
		{"it takes nothing new", map[string]error{claim: store.ErrUnavailable}, store.ErrUnavailable},
		{"it takes no result", map[string]error{save: store.ErrUnavailable}, store.ErrUnavailable},
		{"a disk without room for another turn, but for results", map[string]error{claim: store.ErrFull}, store.ErrFull},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := newWitness(time.Second)
				a := account(callback.Plain, h)
				st := &refusing{Store: memory.New(memory.Config{})}
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
				ready := func(when string, want error) {
					t.Helper()
					if err := s.Ready(t.Context()); !errors.Is(err, want) {
						t.Errorf("%s Ready says %v, want %v", when, err, want)
					}
				}
				ready("before", nil)
				go pack(a, text("accepted before")).sendCut(s) // its result is saved during the outage
				time.Sleep(100 * time.Millisecond)
				st.fails.Store(&test.fails)
				go pack(a, text("x")).sendCut(s)
				for range 3 {
					time.Sleep(1900 * time.Millisecond)
					ready("in the outage", test.what)
				}
				st.fails.Store(nil)
				time.Sleep(5 * time.Second)
				if g := pack(a, text("y")).sendCut(s); g.status != 200 {
					t.Fatal(g)
				}
				ready("when something was accepted", nil)

				// It does not stay red for ever when nothing comes.
				st.fails.Store(&test.fails)
				pack(a, text("z")).sendCut(s)
				time.Sleep(time.Second)
				ready("a second after the last failure", test.what)
				time.Sleep(10 * time.Second)
				if test.fails[save] == nil { // else a result is tried again and again
					ready("long after the last failure", nil)
				}
				st.fails.Store(nil)
			})
		})
	}
}

// refusing is a store whose claims or saves fail: per row if it is full, as the
// contract says.
type refusing struct {
	store.Store
	fails atomic.Pointer[map[string]error]
}

func (s *refusing) Claim(ctx context.Context, ops []store.Op) error {
	return s.write(ctx, "claim", ops, s.Store.Claim)
}

func (s *refusing) Save(ctx context.Context, ops []store.Op) error {
	return s.write(ctx, "save", ops, s.Store.Save)
}

func (s *refusing) write(ctx context.Context, what string, ops []store.Op, do func(context.Context, []store.Op) error) error {
	var err error
	if f := s.fails.Load(); f != nil {
		err = (*f)[what]
	}
	switch {
	case err == nil:
		return do(ctx, ops)
	case err == store.ErrUnavailable:
		return err
	}
	for i := range ops {
		ops[i].Err = err
	}
	return nil
}

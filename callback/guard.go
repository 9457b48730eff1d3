package callback

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/store"
)

// guard is the store as the Server sees it. The first [store.ErrBroken] of any call
// ends all: what was flushed and what was not can only be found out by opening the
// storage anew, so from then on no call reaches it, which is how nothing is
// retried, and [Server] acknowledges nothing. R-TIME-ACK
type guard struct {
	store.Store
	shared bool        // a lease is a row of it, so that to renew one is a write, too
	broke  func(error) // told once
	broken atomic.Pointer[error]
	failed atomic.Pointer[failure] // the last write, if it found the store down or full
}

// failure is a write that found the store down or full.
type failure struct {
	err error
	at  time.Time // monotonic
}

// failureMemory is how long a failed write says that the next one fails too. Without
// traffic there may be none to say that the store is back.
const failureMemory = 10 * time.Second

// accepts returns what speaks against the store's taking another turn, or nil.
func (g *guard) accepts() error {
	if f := g.failed.Load(); f != nil && time.Since(f.at) < failureMemory {
		return f.err
	}
	return nil
}

// wrote notes how a write went. A result may fit where another turn does not, so only
// a claim shows that there is room again.
func (g *guard) wrote(ops []store.Op, err error, claim bool) {
	for i := 0; i < len(ops) && err == nil; i++ {
		err = ops[i].Err
	}
	switch last := g.failed.Load(); {
	case errors.Is(err, store.ErrUnavailable):
		g.failed.Store(&failure{err, time.Now()})
	case err == nil && last != nil && (claim || !errors.Is(last.err, store.ErrFull)):
		g.failed.CompareAndSwap(last, nil)
	}
}

// writes reports whether the last write did not find the store down or full.
func (g *guard) writes() bool { return g.failed.Load() == nil }

// leased notes that a lease was written, if that is so: without traffic nothing else shows that the store is back.
func (g *guard) leased(err error) {
	if err == nil && g.shared {
		g.wrote(nil, nil, false)
	}
}

// err is what broke the store, or nil.
func (g *guard) err() error {
	if err := g.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// see looks at the outcome of a call. What was done beside the call that
// broke the store is as doubtful as that.
func (g *guard) see(err error) error {
	if err != nil && errors.Is(err, store.ErrBroken) {
		if first := err; g.broken.CompareAndSwap(nil, &first) {
			g.broke(err)
		}
	}
	if first := g.err(); first != nil {
		return first
	}
	return err
}

func (g *guard) Join(ctx context.Context, id string) (n store.Node, err error) {
	if err = g.err(); err == nil {
		n, err = g.Store.Join(ctx, id)
		g.leased(err)
	}
	return n, g.see(err)
}

func (g *guard) Renew(ctx context.Context, n store.Node) (err error) {
	if err = g.err(); err == nil {
		err = g.Store.Renew(ctx, n)
		g.leased(err)
	}
	return g.see(err)
}

func (g *guard) Leave(ctx context.Context, n store.Node) (err error) {
	if err = g.err(); err == nil {
		err = g.Store.Leave(ctx, n)
	}
	return g.see(err)
}

func (g *guard) Alive(ctx context.Context, n store.Node) (alive bool, err error) {
	if err = g.err(); err == nil {
		alive, err = g.Store.Alive(ctx, n)
	}
	return alive, g.see(err)
}

func (g *guard) Owners(ctx context.Context) (owners []store.Node, err error) {
	if err = g.err(); err == nil {
		owners, err = g.Store.Owners(ctx)
	}
	return owners, g.see(err)
}

func (g *guard) Departed(ctx context.Context) (departed []store.Node, err error) {
	if err = g.err(); err == nil {
		departed, err = g.Store.Departed(ctx)
	}
	return departed, g.see(err)
}

func (g *guard) Claim(ctx context.Context, ops []store.Op) (err error) {
	if err = g.err(); err == nil {
		err = g.Store.Claim(ctx, ops)
		g.wrote(ops, err, true)
	}
	return g.see(err)
}

func (g *guard) Save(ctx context.Context, ops []store.Op) (err error) {
	if err = g.err(); err == nil {
		err = g.Store.Save(ctx, ops)
		g.wrote(ops, err, false)
	}
	return g.see(err)
}

func (g *guard) Get(ctx context.Context, key store.Key) (t store.Turn, err error) {
	if err = g.err(); err == nil {
		t, err = g.Store.Get(ctx, key)
	}
	return t, g.see(err)
}

func (g *guard) List(ctx context.Context, f store.Filter) (list []store.Turn, err error) {
	if err = g.err(); err == nil {
		list, err = g.Store.List(ctx, f)
	}
	return list, g.see(err)
}

func (g *guard) Session(ctx context.Context, account, openID string) (s store.Session, err error) {
	if err = g.err(); err == nil {
		s, err = g.Store.Session(ctx, account, openID)
	}
	return s, g.see(err)
}

func (g *guard) SaveSession(ctx context.Context, s *store.Session) (ok bool, err error) {
	if err = g.err(); err == nil {
		ok, err = g.Store.SaveSession(ctx, s)
	}
	return ok, g.see(err)
}

func (g *guard) Erase(ctx context.Context, account, openID string, until store.Key) (n int, err error) {
	if err = g.err(); err == nil {
		n, err = g.Store.Erase(ctx, account, openID, until)
	}
	return n, g.see(err)
}

package callback_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// Whoever reads the log learns that the store is back, and no sooner; and a load balancer that takes a node out for an
// outage puts it in again when the store is back, though no push comes that would show it.
func TestStoreIsBack(t *testing.T) {
	t.Parallel()
	for _, down := range []time.Duration{3 * time.Second, 8 * time.Second, 20 * time.Second} {
		t.Run(down.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				var out log
				a := account(callback.Plain, newWitness(0))
				st := &faulty{Store: shared{memory.New(memory.Config{})}}
				o := &outage{start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: out.logger(slog.LevelInfo)}), a, nil, st}
				time.Sleep(time.Second)
				st.fail(before)
				began := time.Now()
				pack(a, text("x")).sendCut(o)
				if time.Since(began) < down {
					time.Sleep(down - time.Since(began))
				}
				if err := o.Ready(t.Context()); err == nil {
					t.Error("ready while the store is down")
				}
				said := func() int { return strings.Count(out.String(), "the store is back") }
				if said() != 0 {
					t.Error("the store is back before it is")
				}
				st.fail(works)
				time.Sleep(3 * time.Second)
				if err := o.Ready(t.Context()); err != nil {
					t.Errorf("3 s after the store is back: %v", err)
				}
				time.Sleep(5 * time.Second)
				if n := said(); n != 1 {
					t.Errorf("%d lines say that the store is back:\n%s", n, out.String())
				}
			})
		})
	}
}

// A store that answers and takes nothing is not back.
func TestStoreIsNotBack(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		var out log
		a := account(callback.Plain, newWitness(0))
		st := &faulty{Store: memory.New(memory.Config{})}
		o := &outage{start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Logger: out.logger(slog.LevelInfo)}), a, nil, st}
		st.only = "Claim"
		st.fail(before)
		pack(a, text("x")).sendCut(o)
		time.Sleep(20 * time.Second)
		if strings.Contains(out.String(), "the store is back") {
			t.Errorf("it is not:\n%s", out.String())
		}
		st.fail(works)
		pack(a, text("x")).sendCut(o)
		time.Sleep(20 * time.Second)
		if strings.Count(out.String(), "the store is back") != 1 {
			t.Errorf("it is:\n%s", out.String())
		}
	})
}

// closing is a store that is closed while it is still asked.
type closing struct{ store.Store }

func (closing) Owners(context.Context) ([]store.Node, error) { return nil, store.ErrClosed }

// A process that ends closes its store, and does not say that it fails.
func TestClosedStoreDoesNotFail(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		var out log
		start(t, callback.Config{Accounts: []callback.Account{account(callback.Plain, newWitness(0))}, Store: closing{memory.New(memory.Config{})}, Logger: out.logger(slog.LevelInfo)})
		time.Sleep(10 * time.Second)
		if strings.Contains(out.String(), "the store fails") {
			t.Errorf("it says\n%s", out.String())
		}
	})
}

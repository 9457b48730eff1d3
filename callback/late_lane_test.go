package callback

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Who stops waiting for his turn at the very moment at which it comes passes it on.
func TestLaneIsPassedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o outbox
		o.init(nil)
		u := user{"demo", "o"}
		for range 500 {
			if err := o.lock(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			got := make(chan error, 1)
			go func() { got <- o.lock(ctx, u) }()
			synctest.Wait()
			go cancel()
			o.unlock(u)
			if err := <-got; err == nil {
				o.unlock(u)
			}
			soon, stop := context.WithTimeout(t.Context(), time.Second)
			if err := o.lock(soon, u); err != nil {
				t.Fatal("nobody has the turn, and nobody gets it")
			}
			stop()
			o.unlock(u)
			if len(o.users) != 0 {
				t.Fatal("a lane is kept that nobody uses")
			}
		}
	})
}

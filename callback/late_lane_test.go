package callback

import (
	"context"
	"testing"
	"time"
)

// Who stops waiting for his turn at the very moment at which it comes passes it on.
func TestLaneIsPassedOn(t *testing.T) {
	t.Parallel()
	var o outbox
	o.init(nil)
	u := user{"demo", "o"}
	taken, passed := 0, 0
	for range 2000 {
		if err := o.lock(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() { got <- o.lock(ctx, u) }()
		for waiting := 0; waiting == 0; {
			o.mu.Lock()
			waiting = len(o.users[u].waiters)
			o.mu.Unlock()
		}
		go cancel()
		o.unlock(u)
		if err := <-got; err == nil {
			taken++
			o.unlock(u)
		} else {
			passed++
		}
		cancel()
		soon, stop := context.WithTimeout(t.Context(), 10*time.Second)
		if err := o.lock(soon, u); err != nil {
			t.Fatal("nobody has the turn, and nobody gets it")
		}
		stop()
		o.unlock(u)
		if len(o.users) != 0 {
			t.Fatal("a lane is kept that nobody uses")
		}
	}
	if taken == 0 || passed == 0 {
		t.Logf("%d have taken their turn, %d have not: this tested one of both", taken, passed)
	}
}

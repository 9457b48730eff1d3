package callback_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// P4: no process lives as long as a retry may take to come, for minutes. What the first one had offered, without
// having said whether it was written, is decided about all the same.
func TestAmbiguousAfterShortLives(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, new(counted))
		mem := memory.New(memory.Config{})
		var first wire
		for n := range 12 {
			link := &forgetful{faulty: faulty{Store: mem}}
			s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: fmt.Sprint("node", n)})
			w := pack(a, text(fmt.Sprint(n)))
			if link.armed.Store(n == 0); n == 0 {
				first = w
			}
			w.sendCut(s)
			synctest.Wait()
			time.Sleep(10 * time.Second)
			link.fail(before) // it dies
		}
		start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "last"})
		time.Sleep(time.Minute)
		if row := rowOf(t, mem, first); row.Delivery != store.Assumed {
			t.Errorf("the first answer is %v", row.Delivery)
		}
	})
}

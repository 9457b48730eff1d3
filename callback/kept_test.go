package callback_test

import (
	"testing"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// An answer that waits is sent without being read again, unless somebody else has changed its row meanwhile: then
// what the store says counts.
func TestWaitingAnswerMeetsTheStore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		do    func(*testing.T, store.Store)
		asked int // requests to the API
		reads int // of the row, at most
	}{
		{"nobody else", func(*testing.T, store.Store) {}, 2, 0},
		{"erased by another process", func(t *testing.T, mem store.Store) {
			if n, err := mem.Erase(t.Context(), "", testUser, store.Key{}); n != 1 || err != nil {
				t.Errorf("%d erased, %v", n, err)
			}
		}, 1, 1},
		{"given up by another process", func(t *testing.T, mem store.Store) {
			row := only(t, mem)
			row.Delivery, row.Due = store.Undeliverable, time.Time{}
			ops := []store.Op{{Turn: row}}
			if err := mem.Save(t.Context(), ops); err != nil || !ops[0].OK {
				t.Errorf("not saved: %v", err)
			}
		}, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				b := new(bot)
				a := account(callback.Plain, b)
				api := verify(&a)
				api.fate = func(n int, _ sent) callback.Sending {
					if n == 0 {
						return callback.Sending{Fate: callback.SendLater, Reason: "busy", After: 10 * time.Second}
					}
					return callback.Sending{Fate: callback.SendDone}
				}
				mem := memory.New(memory.Config{})
				link := &faulty{Store: mem}
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link})
				newPhone(t, s, a).says("6s late")
				time.Sleep(5 * time.Second)
				before := link.count("Get")
				test.do(t, mem)
				time.Sleep(15 * time.Second)
				if n := api.requests(); n != test.asked {
					t.Errorf("the API was asked %d times, want %d", n, test.asked)
				}
				if n := link.count("Get") - before; n > test.reads {
					t.Errorf("the row was read %d times, want %d at most", n, test.reads)
				}
				if row := only(t, mem); !row.Due.IsZero() || test.asked == 2 && row.Delivery != store.Sent {
					t.Errorf("%v, %v, due %v", row.State, row.Delivery, row.Due)
				}
			})
		})
	}
}

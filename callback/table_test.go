package callback_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/simulator"
)

// expected is what the rules give, computed without the server: WeChat's
// schedule of pushes on one side, R-TIME-TABLE on the other.
func expected(handler time.Duration, verified bool, rules simulator.Rules, offset time.Duration) (sees simulator.Sees, pushes int) {
	const (
		cut    = 5 * time.Second
		window = 4500 * time.Millisecond
	)
	var at, result time.Duration // since the action; result is when the handler is done
	seen := 0
	for pushes = 1; pushes <= rules.Pushes; pushes++ {
		if pushes <= rules.LoseFirst {
			if rules.WaitAfterFailure {
				at += cut
			}
			continue
		}
		if seen == 0 {
			result = at + handler
		}
		seen++
		// What the server can know of the number: what it has seen, and how
		// old the message is. CreateTime has no fractions.
		number := max(seen, 1+int((at+offset+time.Second)/(5*time.Second)))
		switch {
		case result <= at+window:
			return simulator.SeesReply, pushes
		case verified || number >= 3:
			return simulator.SeesNothing, pushes // success; the answer is late
		case result < at+cut:
			return simulator.SeesReply, pushes // the push was held
		}
		at += cut
	}
	return simulator.SeesFault, rules.Pushes
}

// Every combination of handler time, account, and what is not known about
// WeChat: one start, and the user sees what the rules allow. R-TIME-TABLE
func TestTable(t *testing.T) {
	t.Parallel()
	const offset = 300 * time.Millisecond // of in2026
	cases, replies, faults := 0, 0, 0
	for _, handler := range []time.Duration{100, 3000, 4400, 4600, 6000, 9600, 12000, 14300, 14800, 20000} {
		handler *= time.Millisecond
		for bits := range 1 << 5 {
			bit := func(n int) bool { return bits>>n&1 == 1 }
			verified := bit(0)
			rules := simulator.Rules{Pushes: 3, WaitAfterFailure: bit(2), FreshRetries: bit(3)}
			if bit(1) {
				rules.Pushes = 4
			}
			if bit(4) {
				rules.LoseFirst = 1
			}
			sees, pushes := expected(handler, verified, rules, offset)
			cases++
			switch sees {
			case simulator.SeesReply:
				replies++
			case simulator.SeesFault:
				faults++
				// The only case in which nobody can know better: the lost push left no
				// trace, since WeChat came again at once.
				if rules.LoseFirst == 0 || rules.WaitAfterFailure || rules.Pushes > 3 || verified {
					t.Fatalf("the rules as computed show a fault notice: %v, verified %v, %+v", handler, verified, rules)
				}
			}
			name := fmt.Sprintf("%v/verified=%v/pushes=%d/wait=%v/fresh=%v/lost=%d",
				handler, verified, rules.Pushes, rules.WaitAfterFailure, rules.FreshRetries, rules.LoseFirst)
			t.Run(name, func(t *testing.T) {
				in2026(t, func(t *testing.T) {
					h := newWitness(handler)
					a := account([]callback.Mode{callback.Plain, callback.Compatible, callback.Safe}[bits%3], h)
					a.Verified = verified
					w := serve(t, callback.Config{Accounts: []callback.Account{a}})
					r := send(t, w.wechat(t, a, rules), simulator.Text("你好"))
					if r.Verdict.Sees != sees || len(r.Pushes) != pushes {
						t.Errorf("after %d pushes the user sees %v, want %v after %d\n%v", len(r.Pushes), r.Verdict.Sees, sees, pushes, r)
					}
					if sees == simulator.SeesReply && r.Verdict.Reply.Content != "re: 你好" {
						t.Errorf("reply %v", r.Verdict.Reply)
					}
					time.Sleep(30 * time.Second) // whatever happens late
					if starts, messages := h.total(); starts != 1 || messages != 1 {
						t.Errorf("%d starts of %d messages, want one", starts, messages)
					}
					for _, p := range r.Pushes {
						if p.Outcome == simulator.Answered && p.Duration > 4600*time.Millisecond && !(p.Duration < 5*time.Second && sees == simulator.SeesReply) {
							t.Errorf("push %d was answered after %v", p.Number, p.Duration)
						}
					}
				})
			})
		}
	}
	t.Logf("%d cases: %d replies, %d fault notices that nobody could avoid", cases, replies, faults)
}

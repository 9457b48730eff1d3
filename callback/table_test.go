package callback_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/simulator"
)

// fate is what becomes of the pushes of a message.
type fate struct {
	sees        simulator.Sees
	placeholder bool          // the reply is not the answer
	pushes      int           // how many there are
	at          time.Duration // since the action: when the last one ends
}

// foresee is what the rules give, computed without the server: WeChat's
// schedule of pushes on one side, R-TIME-TABLE on the other.
func foresee(handler time.Duration, late callback.Late, rules simulator.Rules, offset time.Duration) fate {
	const (
		cut    = 5 * time.Second
		window = 4500 * time.Millisecond
	)
	var at, result time.Duration // since the action; result is when the handler is done
	seen := 0
	for push := 1; push <= rules.Pushes; push++ {
		if push <= rules.LoseFirst {
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
			return fate{simulator.SeesReply, false, push, max(result, at)}
		case late == callback.LateAPI, late == callback.LateHold && number >= 3:
			return fate{simulator.SeesNothing, false, push, at + window} // success; the API brings the answer
		case number >= 3:
			return fate{simulator.SeesReply, true, push, at + window}
		case result < at+cut:
			return fate{simulator.SeesReply, false, push, result} // the push was held
		}
		at += cut
	}
	return fate{simulator.SeesFault, false, rules.Pushes, at}
}

// expected is what foresee says of an account that has no Late of its own.
func expected(handler time.Duration, verified bool, rules simulator.Rules, offset time.Duration) (sees simulator.Sees, pushes int, placeholder bool) {
	late := callback.LateTicket
	if verified {
		late = callback.LateAPI
	}
	f := foresee(handler, late, rules, offset)
	return f.sees, f.pushes, f.placeholder
}

var lateNames = []string{callback.LateAPI: "api", callback.LateHold: "hold", callback.LateTicket: "ticket"}

var linkPattern = regexp.MustCompile(`weixin://bizmsgmenu\?msgmenucontent=([^&"]+)&msgmenuid=([^&"]+)"`)

// Every combination of handler time, way of late answers, and what is not known about
// WeChat: one start, the user sees what the rules allow, and the answer arrives. R-TIME-TABLE
func TestTable(t *testing.T) {
	t.Parallel()
	const offset = 300 * time.Millisecond // of in2026
	cases, ends := 0, make(map[string]int)
	for _, handler := range []time.Duration{100, 3000, 4400, 4600, 6000, 9600, 12000, 14300, 14800, 20000, 60000, 300_000} {
		handler *= time.Millisecond
		for bits := range 3 << 4 {
			bit := func(n int) bool { return bits>>n&1 == 1 }
			late := callback.LateAPI + callback.Late(bits>>4)
			rules := simulator.Rules{Pushes: 3, WaitAfterFailure: bit(1), FreshRetries: bit(2)}
			if bit(0) {
				rules.Pushes = 4
			}
			if bit(3) {
				rules.LoseFirst = 1
			}
			want := foresee(handler, late, rules, offset)
			// The only case in which nobody can know better: the lost push left no
			// trace, since WeChat came again at once.
			if want.sees == simulator.SeesFault && (rules.LoseFirst == 0 || rules.WaitAfterFailure || rules.Pushes > 3 || late == callback.LateAPI) {
				t.Fatalf("the rules as computed show a fault notice: %v, late %s, %+v", handler, lateNames[late], rules)
			}
			end := want.sees.String()
			if want.placeholder {
				end = "placeholder"
			}
			cases++
			ends[end]++
			name := fmt.Sprintf("%v/%s/pushes=%d/wait=%v/fresh=%v/lost=%d",
				handler, lateNames[late], rules.Pushes, rules.WaitAfterFailure, rules.FreshRetries, rules.LoseFirst)
			t.Run(name, func(t *testing.T) {
				in2026(t, func(t *testing.T) {
					h := newWitness(handler)
					a := account([]callback.Mode{callback.Plain, callback.Compatible, callback.Safe}[bits%3], h)
					a.Late, a.HandlerTimeout = late, 10*time.Minute
					api := new(fakeAPI)
					if late != callback.LateTicket {
						a.API = api
					}
					w := serve(t, callback.Config{Accounts: []callback.Account{a}})
					wechat := w.wechat(t, a, rules)
					began := time.Now()
					r := send(t, wechat, simulator.Text("你好"))
					last := r.Pushes[len(r.Pushes)-1]
					at := last.Start.Add(last.Duration).Sub(began)
					if r.Verdict.Sees != want.sees || len(r.Pushes) != want.pushes || (at-want.at).Abs() > 100*time.Millisecond {
						t.Fatalf("after %d pushes and %v the user sees %v, want %v after %d and %v\n%v", len(r.Pushes), at, r.Verdict.Sees, want.sees, want.pushes, want.at, r)
					}
					if want.sees == simulator.SeesReply && (r.Verdict.Reply.Content == "re: 你好") == want.placeholder {
						t.Errorf("reply %v, placeholder: %v", r.Verdict.Reply, want.placeholder)
					}
					for _, p := range r.Pushes {
						if p.Outcome == simulator.Answered && p.Duration > 4600*time.Millisecond && !(p.Duration < 5*time.Second && want.sees == simulator.SeesReply) {
							t.Errorf("push %d was answered after %v", p.Number, p.Duration)
						}
					}

					// What is late is there when the handler is done, or once it is
					// certain that no push asks for it any more.
					time.Sleep(time.Until(began.Add(5*time.Second + handler))) // if the first push was lost
					time.Sleep(30 * time.Second)
					var sent []string
					switch {
					case want.sees == simulator.SeesReply && !want.placeholder:
					case late != callback.LateTicket:
						sent = []string{"re: 你好"}
					default:
						fetch := simulator.Text("继续") // after the fault notice there is no link
						if want.placeholder {
							link := linkPattern.FindStringSubmatch(r.Verdict.Reply.Content)
							if link == nil {
								t.Fatalf("there is no link in %q", r.Verdict.Reply.Content)
							}
							fetch = simulator.MenuText(link[1], link[2])
						}
						r := send(t, wechat, fetch)
						if r.Verdict.Sees != simulator.SeesReply || r.Verdict.Reply.Content != "re: 你好" || len(r.Pushes) != 1+rules.LoseFirst {
							t.Errorf("what fetches the answer gets\n%v", r)
						}
					}
					if got := api.texts(r.Message.FromUserName); !slices.Equal(got, sent) || len(api.all()) != len(sent) {
						t.Errorf("the API has sent %q, want %q", got, sent)
					}
					if starts, messages := h.total(); starts != 1 || messages != 1 {
						t.Errorf("%d starts of %d messages, want one", starts, messages)
					}
				})
			})
		}
	}
	t.Logf("%d cases, by what their pushes end with: %v; the fault notices are those that nobody could avoid", cases, ends)
}

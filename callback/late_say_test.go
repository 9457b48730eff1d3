package callback_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// What a handler says arrives in order and before its reply, while the outbox sends other answers to the same
// user, never two at a time.
func TestSay(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
			if content == "talks" {
				for i := range 3 {
					if err := echostr.Say(ctx, echostr.Text(fmt.Sprint("say ", i))); err != nil {
						return nil, err
					}
				}
				return echostr.Text("re: talks"), nil
			}
			return echostr.Text("re: " + content), pause(ctx, 5*time.Second)
		}}
		a := patient(callback.Plain, h)
		api := newDownAPI(&a)
		api.slow.Store(int64(2 * time.Second))
		server, st := one(t, a)
		for range 2 {
			askAll(t, server, a, testUser, "a", "talks", "b")
			time.Sleep(30 * time.Second)
			got := api.texts(testUser)
			mine := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s == "re: a" || s == "re: b" })
			if len(got) != 6 || !slices.Equal(mine, []string{"say 0", "say 1", "say 2", "re: talks"}) || api.crowded() {
				t.Errorf("the API has sent %q; two at a time: %v", got, api.crowded())
			}
			if row := rowWith(t, st, "[talks]"); row.Way.Sent != 4 || row.Delivery != store.Sent {
				t.Errorf("%v, %+v", row.Delivery, row.Way)
			}
			api.fakeAPI.mu.Lock()
			api.sent = nil
			api.fakeAPI.mu.Unlock()
		}
	})
}

// A handler may say all but one of the messages that WeChat takes for one message of the user, and is told why
// something was not sent.
func TestSayErrors(t *testing.T) {
	t.Parallel()
	says := func(fate callback.Sending) func(int, sent) callback.Sending {
		return func(int, sent) callback.Sending { return fate }
	}
	for _, test := range []struct {
		name  string
		late  callback.Late
		none  bool // no API
		ask   func() string
		say   echostr.Reply
		times int
		fate  func(n int, s sent) callback.Sending
		want  string // in the last error
		sent  int    // by Say
		asked int    // how often the API was, if it says
		after time.Duration
	}{
		{name: "no API", late: callback.LateTicket, none: true, want: "no customer-service API"},
		{name: "an API that is not for late answers", late: callback.LateTicket, sent: 1},
		{name: "a message without a sender", ask: func() string { return textFrom("", time.Now().Unix(), "x") }, want: "no customer-service API"},
		{name: "nothing", say: echostr.None{}, want: "say: there is nothing to be said"},
		{name: "nil", say: nil, times: -1, want: "say: there is nothing to be said"},
		{name: "an empty text", say: echostr.Text(""), want: "say: it is no message"},
		{name: "a text that is too long", say: echostr.Text(strings.Repeat("长", 683)), want: "takes at most 2048"},
		{name: "a text that is not", say: echostr.Text(strings.Repeat("长", 682)), sent: 1},
		{name: "four messages", times: 4, sent: 4},
		{name: "the last one is for the reply", times: 5, want: "5 messages", sent: 4},
		{name: "a click has three", ask: func() string { return event(testUser, "CLICK", "x") }, times: 3, want: "3 messages", sent: 2},
		{name: "refused", fate: says(callback.Sending{Fate: callback.SendRefused, Reason: "45015"}), want: "45015"},
		{name: "gone", fate: says(callback.Sending{Fate: callback.SendGone, Reason: "43004"}), want: "43004"},
		{name: "unknown counts", fate: says(callback.Sending{Fate: callback.SendUnknown, Reason: "broken"}), times: 5, want: "5 messages"},
		{name: "unknown", fate: says(callback.Sending{Fate: callback.SendUnknown, Reason: "broken"}), want: "nobody knows whether it was sent, so it is not sent again: broken"},
		{name: "later", fate: func(n int, _ sent) callback.Sending {
			if n < 1 {
				return callback.Sending{Fate: callback.SendLater, Reason: "busy", After: time.Second}
			}
			return callback.Sending{Fate: callback.SendDone}
		}, sent: 1, after: time.Second},
		{name: "later, twice", fate: says(callback.Sending{Fate: callback.SendLater, Reason: "busy"}), want: "not sent: busy", asked: 2, after: time.Second},
		{name: "much later", fate: says(callback.Sending{Fate: callback.SendLater, Reason: "busy", After: 2 * time.Second}), want: "not sent: busy", asked: 1},
		{name: "later, as all of the account", fate: says(callback.Sending{Fate: callback.SendLater, Reason: "quota", Account: true}), want: "not sent: quota", asked: 1},
		{name: "later, and the account is held back then", fate: says(callback.Sending{Fate: callback.SendLater, Reason: "quota", Account: true, After: time.Minute}), times: 2, want: "none of the account's messages", asked: 1},
		{name: "the account is held back after tries in vain", fate: says(callback.Sending{Fate: callback.SendLater, Reason: "busy"}), times: 4, want: "none of the account's messages", asked: 6, after: 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				r := test.say
				if r == nil && test.times >= 0 {
					r = echostr.Text("wait")
				}
				var mu sync.Mutex
				var last error
				var took time.Duration
				h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
					began := time.Now()
					var err error
					for range max(test.times, 1) {
						err = echostr.Say(ctx, r)
					}
					mu.Lock()
					defer mu.Unlock()
					last, took = err, time.Since(began)
					return nil, nil
				}}
				a := account(callback.Plain, h)
				a.HandlerTimeout = 20 * time.Second
				api := &fakeAPI{fate: test.fate}
				if !test.none {
					a.API = api
				}
				a.Late = test.late
				server, _ := one(t, a)
				document := text("x")
				if test.ask != nil {
					document = test.ask()
				}
				pack(a, document).sendCut(server)
				time.Sleep(time.Minute)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case test.want == "" && last != nil, test.want != "" && (last == nil || !strings.Contains(last.Error(), test.want) || strings.Contains(last.Error(), "%!")):
					t.Errorf("Say says %v, want %q", last, test.want)
				case strings.Contains(test.want, "no customer") && !errors.Is(last, echostr.ErrNoWay):
					t.Errorf("%v is not ErrNoWay", last)
				}
				if n := len(api.all()); n != test.sent {
					t.Errorf("%d messages were sent, want %d", n, test.sent)
				}
				if n := api.requests(); test.asked > 0 && n != test.asked {
					t.Errorf("the API was asked %d times, want %d", n, test.asked)
				}
				if (took - test.after).Abs() > 100*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// While WeChat's API is down what a handler says is lost, and its answer is not: it comes by the way that is
// open. The first message that is let through afterwards may be one that a handler says.
func TestSayWhileDown(t *testing.T) {
	t.Parallel()
	for _, late := range []callback.Late{callback.LateAPI, callback.LateHold} {
		t.Run(lateNames[late], func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
					_ = echostr.Say(ctx, echostr.Text("让我想想"))
					return echostr.Text("re: " + content), pause(ctx, 2*time.Second)
				}}
				a := account(callback.Plain, h)
				api := newDownAPI(&a)
				a.Late = late
				api.down.Store(true)
				server, _ := one(t, a)
				p := newPhone(t, server, a)
				for i := range 5 {
					content := fmt.Sprint("while it is down ", i)
					if g := p.says(content); g.kind != "text" || g.text != "re: "+content || g.pushes != 1 {
						t.Errorf("the user sees %v", g)
					}
				}
				api.down.Store(false)
				time.Sleep(time.Minute + time.Second) // as long as the account waits at most
				for range 2 {
					p.says("back")
				}
				if got := api.texts(testUser); !slices.Equal(got, []string{"让我想想", "让我想想"}) {
					t.Errorf("the API is back, and has sent %q", got)
				}
			})
		})
	}
}

// What a handler says is made as readable as its reply, and is as long as that leaves it.
func TestSayIsReadable(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
			long := strings.Repeat("长", 500)
			if err := echostr.Say(ctx, echostr.Text("<think>"+long+"</think>**让我想想**"+long)); err != nil {
				t.Error(err)
			}
			if err := echostr.Say(ctx, echostr.Text("<think>什么都没有</think>")); err == nil || !strings.HasPrefix(err.Error(), "say: it is no message") {
				t.Errorf("nothing is left of it, and Say says %v", err)
			}
			return nil, nil
		}}
		a := account(callback.Plain, h)
		a.Markdown, a.RemoveThinking = true, true
		api := verify(&a)
		server, _ := one(t, a)
		newPhone(t, server, a).says("x")
		if got := api.texts(testUser); !slices.Equal(got, []string{"让我想想" + strings.Repeat("长", 500)}) {
			t.Errorf("the API has sent %q", got)
		}
	})
}

// silentAPI never answers: requests end with their context, and nobody knows what has become of them.
type silentAPI struct{ fakeAPI }

func (s *silentAPI) Send(ctx context.Context, openID string, r echostr.Reply) callback.Sending {
	<-ctx.Done()
	return callback.Sending{Fate: callback.SendUnknown, Reason: context.Cause(ctx).Error()}
}

// Say ends with the handler, whatever context it is given, and after some seconds in any case: however many wait
// for an API that does not answer, none counts as a handler that hangs. What is broken off may have arrived, so it
// counts, and tells nothing of the API.
func TestSayIsBrokenOff(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		before time.Duration // until it says something, of 10 s
		took   time.Duration
		state  store.State
		ctx    func(context.Context) context.Context
	}{
		{"at the handler's end", 9 * time.Second, time.Second, store.Failed, func(ctx context.Context) context.Context { return ctx }},
		{"at the handler's end, with another context", 9 * time.Second, time.Second, store.Failed, context.WithoutCancel},
		{"before", time.Second, 3 * time.Second, store.Answered, func(ctx context.Context) context.Context { return ctx }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
					if err := pause(ctx, test.before); err != nil {
						return nil, err
					}
					began := time.Now()
					err := echostr.Say(test.ctx(ctx), echostr.Text("wait"))
					if took := time.Since(began); took != test.took || err == nil || !strings.HasPrefix(err.Error(), "say: nobody knows") {
						t.Errorf("after %v Say says %v", took, err)
					}
					return echostr.Text("done"), ctx.Err()
				}}
				a := account(callback.Plain, h)
				a.HandlerTimeout, a.Late, a.API = 10*time.Second, callback.LateHold, new(silentAPI)
				st := memory.New(memory.Config{})
				server := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, Fatal: func(err error) { t.Error(err) }})
				const users = 150
				var all sync.WaitGroup
				for i := range users {
					p := newPhone(t, server, a)
					p.user = fmt.Sprint("oUser", i)
					all.Go(func() { p.says("x") })
				}
				time.Sleep(12 * time.Second)
				for _, row := range rows(t, st) {
					if row.State != test.state || row.Way.Sent != 1 {
						t.Fatalf("%v %q, %d sent", row.State, row.Reason, row.Way.Sent)
					}
				}
				if s := server.Stats(); s.Abandoned != 0 || s.Running != 0 || s.Sends["unknown"] != users || s.HandlerTimeouts+s.Replies.First+s.Replies.Retry != users {
					t.Errorf("%d hang, %d run, %d unknown, %d timeouts, %v", s.Abandoned, s.Running, s.Sends["unknown"], s.HandlerTimeouts, s.Replies)
				}
				all.Wait()
				newPhone(t, server, a).says("y") // the account is not held back
				time.Sleep(10 * time.Second)
				if n := server.Stats().Sends["unknown"]; n != users+1 {
					t.Errorf("%d messages were tried", n)
				}
			})
		})
	}
}

// Who waits to say something while other messages go to the user stops waiting when the context ends, and
// keeps nobody from sending.
func TestSayGivesUpWaiting(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		var quick, slow atomic.Value
		h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
			if content == "a" {
				return echostr.Text("re: a"), pause(ctx, 5*time.Second)
			}
			if err := pause(ctx, 5*time.Second); err != nil { // a's answer is on its way
				return nil, err
			}
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := echostr.Say(short, echostr.Text("quick")); err != nil {
				quick.Store(err.Error())
			}
			if err := echostr.Say(ctx, echostr.Text("slow")); err != nil {
				slow.Store(err.Error())
			}
			return echostr.Text("re: b"), nil
		}}
		a := patient(callback.Plain, h)
		api := newDownAPI(&a)
		api.slow.Store(int64(4 * time.Second))
		server, _ := one(t, a)
		askAll(t, server, a, testUser, "a", "b")
		time.Sleep(time.Minute)
		if err, _ := quick.Load().(string); !strings.Contains(err, "deadline") {
			t.Errorf("it says %q", err)
		}
		if got := api.texts(testUser); !slices.Equal(got, []string{"re: a", "slow", "re: b"}) || slow.Load() != nil || api.crowded() {
			t.Errorf("the API has sent %q, %v", got, slow.Load())
		}
	})
}

// Who stops waiting at the moment at which it would be its turn does not keep that for ever.
func TestSayHandedOver(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		var failed atomic.Int64
		h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
			if content == "second" {
				short, cancel := context.WithTimeout(ctx, time.Second) // as long as the first one's message takes
				defer cancel()
				echostr.Say(short, echostr.Text("second"))
				return nil, nil
			}
			if err := echostr.Say(ctx, echostr.Text(content)); err != nil {
				failed.Add(1)
			}
			return nil, nil
		}}
		a := patient(callback.Plain, h)
		api := newDownAPI(&a)
		api.slow.Store(int64(time.Second))
		server, _ := one(t, a)
		const users = 100
		var all sync.WaitGroup
		for u := range users {
			for _, content := range []string{"first", "second", "third"} {
				p := newPhone(t, server, a)
				p.user = fmt.Sprint("oUser", u)
				document := textFrom(p.user, time.Now().Unix(), content)
				all.Go(func() { p.do(document) })
				synctest.Wait()
			}
		}
		all.Wait()
		time.Sleep(10 * time.Second)
		sent := 0
		for u := range users {
			for _, text := range api.texts(fmt.Sprint("oUser", u)) {
				if text != "second" {
					sent++
				}
			}
		}
		if failed.Load() != 0 || sent != 2*users || api.crowded() {
			t.Errorf("%d have failed, %d messages of %d were sent", failed.Load(), sent, 2*users)
		}
	})
}

// What a handler that was given up says afterwards is not sent: its turn has ended.
func TestSayAfterTheEnd(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		var last atomic.Value
		h := &bot{answer: func(context.Context, string) (echostr.Reply, error) { return nil, nil }}
		h.answer = func(ctx context.Context, _ string) (echostr.Reply, error) {
			time.Sleep(time.Minute) // heeds nothing
			err := echostr.Say(context.WithoutCancel(ctx), echostr.Text("too late"))
			last.Store(fmt.Sprint(err))
			return nil, nil
		}
		a := account(callback.Plain, h)
		a.HandlerTimeout, a.Fallback = 10*time.Second, "出错了"
		api := verify(&a)
		server, _ := one(t, a)
		newPhone(t, server, a).says("x")
		time.Sleep(2 * time.Minute)
		if got := api.texts(testUser); !slices.Equal(got, []string{"出错了"}) || !strings.Contains(last.Load().(string), "say: ") {
			t.Errorf("the API has sent %q; Say says %v", got, last.Load())
		}
	})
}

// What a handler says is no part of the answer, which a ticket brings whole.
func TestSayBeforeATicket(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := &bot{answer: func(ctx context.Context, content string) (echostr.Reply, error) {
			if err := echostr.Say(ctx, echostr.Text("wait")); err != nil {
				t.Error(err)
			}
			return echostr.Text("re: " + content), pause(ctx, 20*time.Second)
		}}
		a := patient(callback.Plain, h)
		api := verify(&a)
		a.Late = callback.LateTicket
		server, st := one(t, a)
		p := newPhone(t, server, a)
		link := p.link(p.promised("x").text)
		time.Sleep(time.Minute)
		if g := p.taps(link); g.text != "re: x" {
			t.Errorf("a tap shows %v", g)
		}
		if got := api.texts(testUser); !slices.Equal(got, []string{"wait"}) {
			t.Errorf("the API has sent %q", got)
		}
		if row := rowWith(t, st, "[x]"); row.Delivery != store.Fetched || row.Way.Sent != 1 {
			t.Errorf("%v, %+v", row.Delivery, row.Way)
		}
	})
}

func TestTyping(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		late callback.Late
		api  bool
	}{{callback.LateAPI, true}, {callback.LateHold, true}, {callback.LateTicket, true}, {callback.LateTicket, false}} {
		t.Run(fmt.Sprint(lateNames[test.late], test.api), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				errs := make(chan error, 1)
				h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
					errs <- echostr.Typing(ctx)
					return nil, nil
				}}
				a := account(callback.Plain, h)
				api := verify(&a)
				if a.Late = test.late; !test.api {
					a.API = nil
				}
				server, _ := one(t, a)
				newPhone(t, server, a).says("x")
				err := <-errs
				pack(a, textFrom("", time.Now().Unix(), "x")).sendCut(server)
				if err := <-errs; !errors.Is(err, echostr.ErrNoWay) {
					t.Errorf("to nobody: %v", err)
				}
				api.mu.Lock()
				defer api.mu.Unlock()
				if !test.api {
					if !errors.Is(err, echostr.ErrNoWay) || len(api.typing) != 0 {
						t.Errorf("%v, %v", err, api.typing)
					}
				} else if err != nil || !slices.Equal(api.typing, []string{testUser}) {
					t.Errorf("%v, %v", err, api.typing)
				}
			})
		})
	}
}

// writes is a handler that writes an answer in so many steps of a second each, and tells how far it is.
func writes(steps int, part func(i int) string, end func(whole string) string) *bot {
	return &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
		var text string
		for i := range steps {
			if err := pause(ctx, time.Second); err != nil {
				return nil, err
			}
			text += part(i)
			echostr.Draft(ctx, text)
		}
		return echostr.Text(end(text)), nil
	}}
}

// When the last push ends before the handler, the user reads what there is, and the rest by the next way,
// nothing twice and nothing left out.
func TestDraft(t *testing.T) {
	t.Parallel()
	same := func(s string) string { return s }
	short := func(i int) string { return fmt.Sprintf("第%d句。", i) }
	other := strings.Repeat("不对，重新来。", 10)
	long := func(i int) string { return strings.Repeat(fmt.Sprintf("第%d句很长很长。", i), 30) }
	for _, test := range []struct {
		name   string
		late   callback.Late
		steps  int
		part   func(i int) string
		end    func(string) string
		edit   func(a *callback.Account)
		pushes int
		first  string // what the push shows, with the link at its end if there is one
		rest   string // what comes then
	}{
		{name: "API", late: callback.LateAPI, steps: 8, part: short, end: same, pushes: 1, first: "第0句。第1句。第2句。第3句。\n……", rest: "第4句。第5句。第6句。第7句。"},
		{name: "hold, done on a later push", late: callback.LateHold, steps: 8, part: short, end: same, pushes: 2, first: "第0句。第1句。第2句。第3句。第4句。第5句。第6句。第7句。"},
		{name: "hold", late: callback.LateHold, steps: 18, part: short, end: same, pushes: 3, first: "第0句。第1句。第2句。第3句。第4句。第5句。第6句。第7句。第8句。第9句。第10句。第11句。第12句。第13句。\n……", rest: "第14句。第15句。第16句。第17句。"},
		{name: "ticket", late: callback.LateTicket, steps: 16, part: short, end: same, pushes: 3, first: "第0句。第1句。第2句。第3句。第4句。第5句。第6句。第7句。第8句。第9句。第10句。第11句。第12句。第13句。", rest: "第14句。第15句。"},
		{name: "half a sentence", late: callback.LateAPI, steps: 8, part: func(i int) string { return fmt.Sprintf("%d。半", i) }, end: same, pushes: 1, first: "0。半1。半2。半3。\n……", rest: "半4。半5。半6。半7。半"},
		{name: "no sentence", late: callback.LateAPI, steps: 8, part: func(int) string { return "看 https://e.test/" }, end: same, pushes: 1, rest: strings.Repeat("看 https://e.test/", 8)},
		{name: "another text in the end", late: callback.LateAPI, steps: 8, part: short, end: func(string) string { return other }, pushes: 1, first: "第0句。第1句。第2句。第3句。\n……", rest: other},
		{name: "another text in the end, ticket", late: callback.LateTicket, steps: 18, part: short, end: func(string) string { return other }, pushes: 3, first: "第0句。第1句。第2句。第3句。第4句。第5句。第6句。第7句。第8句。第9句。第10句。第11句。第12句。第13句。", rest: other},
		{name: "nothing more", late: callback.LateAPI, steps: 8, part: func(i int) string { return []string{"就这些。", "", "", "", "", "", "", ""}[i] }, end: same, pushes: 1, first: "就这些。\n……"},
		{name: "nothing more, ticket", late: callback.LateTicket, steps: 18, part: func(i int) string { return strings.Repeat("就这些。", max(0, 1-i)) }, end: same, pushes: 3, first: "就这些。", rest: "（上面就是全部回答。）"},
		{name: "long, API", late: callback.LateAPI, steps: 9, part: long, end: same, pushes: 1},
		{name: "long, ticket", late: callback.LateTicket, steps: 20, part: long, end: same, pushes: 3},
		{name: "Markdown", late: callback.LateAPI, steps: 8, part: func(i int) string { return fmt.Sprintf("**第%d句。** ", i) }, end: same, edit: func(a *callback.Account) { a.Markdown = true }, pushes: 1, first: "第0句。 第1句。 第2句。 第3句。\n……", rest: "第4句。 第5句。 第6句。 第7句。"},
		{name: "open Markdown", late: callback.LateAPI, steps: 8, part: func(i int) string {
			return []string{"# 题\n", "一。", "**二。", "三。", "四。**", "五。", "", ""}[i]
		}, end: same, edit: func(a *callback.Account) { a.Markdown = true }, pushes: 1, first: "【题】\n一。\n……", rest: "二。三。四。五。"},
		{name: "thinking", late: callback.LateAPI, steps: 8, part: func(i int) string {
			return []string{"<think>嗯", "。对。", "</think>第2句。", "第3句。", "第4句。", "第5句。", "第6句。", "第7句。"}[i]
		}, end: same, edit: func(a *callback.Account) { a.RemoveThinking = true }, pushes: 1, first: "第2句。第3句。\n……", rest: "第4句。第5句。第6句。第7句。"},
		{name: "only thinking so far", late: callback.LateAPI, steps: 8, part: func(i int) string {
			return []string{"<think>嗯", "。对。", "。对。", "。对。", "。对。", "。对。", "</think>", "第7句。"}[i]
		}, end: same, edit: func(a *callback.Account) { a.RemoveThinking = true }, pushes: 1, first: "", rest: "第7句。"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := writes(test.steps, test.part, test.end)
				a := patient(callback.Plain, h)
				a.Late = test.late
				api := new(fakeAPI)
				if test.late != callback.LateTicket {
					a.API = api
				}
				if test.edit != nil {
					test.edit(&a)
				}
				server, st := one(t, a)
				p := newPhone(t, server, a)
				g := p.says("x")
				if g.pushes != test.pushes || g.kind != "text" && test.first != "" {
					t.Fatalf("the user sees %v", g)
				}
				if again := p.do(g.document); again.text != g.text || again.pushes != 1 {
					t.Errorf("a further push shows %v", again)
				}
				time.Sleep(time.Minute)
				first, link, _ := strings.Cut(g.text, "\n\n<a href")
				rest := strings.Join(api.texts(testUser), "")
				if link != "" {
					l := p.link("<a href" + link)
					if l.text != "还没写完，稍后点这里看后面" {
						t.Errorf("the link says %q", l.text)
					}
					for _, again := range []bool{false, true} {
						text, _ := p.reads(p.taps(l))
						if again && text != rest {
							t.Errorf("a second tap shows %q", text)
						}
						rest = text
					}
				}
				if test.first == "" && test.rest == "" { // long
					var whole string
					for i := range test.steps {
						whole += test.part(i)
					}
					if squeezed(strings.TrimSuffix(first, "\n……")+rest) != whole || len(first) < 1000 || len(g.text) > echostr.MaxTextBytes {
						t.Errorf("the user reads %d bytes, and then %d, of %d", len(first), len(rest), len(whole))
					}
				} else if first != test.first || rest != test.rest {
					t.Errorf("the user reads %q and then %q, want %q and then %q", first, rest, test.first, test.rest)
				}
				if n := h.all(); n != 1 {
					t.Errorf("%d starts", n)
				}
				for _, row := range rows(t, st) {
					if strings.Contains(row.Body, "[x]") && row.Delivery != store.Sent && row.Delivery != store.Fetched && row.Delivery != store.Written {
						t.Errorf("%v, %+v", row.Delivery, row.Way)
					}
				}
			})
		})
	}
}

// The process dies when the draft was shown, and the next attempt's text begins otherwise, or the same, as far
// as anybody knows: the user reads all of it.
func TestDraftOfAnAttemptThatDied(t *testing.T) {
	t.Parallel()
	for _, late := range []callback.Late{callback.LateAPI, callback.LateTicket} {
		t.Run(lateNames[late], func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				var attempts atomic.Int64
				h := &bot{answer: func(ctx context.Context, _ string) (echostr.Reply, error) {
					n := attempts.Add(1)
					for i := range 25 {
						echostr.Draft(ctx, strings.Repeat(fmt.Sprintf("第%d次。", n), i+1))
						if err := pause(ctx, time.Second); err != nil {
							return nil, err
						}
					}
					return echostr.Text(strings.Repeat(fmt.Sprintf("第%d次。", n), 25)), nil
				}}
				a := patient(callback.Plain, h)
				a.Late = late
				api := new(fakeAPI)
				if late != callback.LateTicket {
					a.API = api
				}
				mem := memory.New(memory.Config{})
				link := &faulty{Store: mem}
				old := start(t, callback.Config{Accounts: []callback.Account{a}, Store: link, NodeID: "server"})
				p := newPhone(t, old, a)
				g := p.says("x")
				if !strings.HasPrefix(g.text, "第1次。第1次。第1次。") {
					t.Fatalf("the user sees %v", g)
				}
				link.fail(before)
				p.s = start(t, callback.Config{Accounts: []callback.Account{a}, Store: mem, NodeID: "server"})
				time.Sleep(time.Minute)
				want := strings.Repeat("第2次。", 25)
				got := strings.Join(api.texts(testUser), "")
				if late == callback.LateTicket {
					got = p.says("继续").text
				}
				if got != want {
					t.Errorf("then the user reads %q", got)
				}
			})
		})
	}
}

// Texts are made readable before they are measured, and paged.
func TestReadableTexts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		text     string
		markdown bool
		thinking bool
		want     string
	}{
		{"as it is", "**a** <think>b</think>c", false, false, "**a** <think>b</think>c"},
		{"Markdown", "# 标题\n**a** [b](https://example.com)", true, false, "【标题】\na <a href=\"https://example.com\">b</a>"},
		{"thinking", "<think>b</think>\n\nc **d**", false, true, "c **d**"},
		{"both", "<think>b</think>c **d**", true, true, "c d"},
		{"nothing but thinking", "<think>b", true, true, ""},
		{"long thinking", "<think>" + strings.Repeat("想", 3000) + "</think>答", false, true, "答"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := &bot{answer: func(context.Context, string) (echostr.Reply, error) { return echostr.Text(test.text), nil }}
				a := account(callback.Plain, h)
				a.Markdown, a.RemoveThinking = test.markdown, test.thinking
				server, _ := one(t, a)
				if g := newPhone(t, server, a).says("x"); g.text != test.want || (g.kind == "success") != (test.want == "") {
					t.Errorf("the user sees %v, want %q", g, test.want)
				}
			})
		})
	}
}

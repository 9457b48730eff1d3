package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/internal/load"
	"github.com/echostr/echostr/simulator"
)

// account is one of the accounts of the bot.
type account struct {
	name     string
	appID    string
	original string
	token    string
	key      string
	mode     simulator.Mode
	fallback string
	verified bool   // may call the customer-service API
	late     string // what the configuration says about late answers, beyond that
}

// holds reports whether a push is left open for WeChat's retry.
func (a *account) holds() bool { return !a.verified || strings.Contains(a.late, "hold") }

// accounts are plain and safe, with and without the customer-service API, and with all that can be
// said about late answers.
var accounts = []account{
	{name: "plain-hold", appID: "wx00000000000000c1", original: "gh_00000000c1c1", token: "zChaosPlainHold1234567890", mode: simulator.Plain, late: "hold_budget: 1000000"},
	{name: "plain-api", appID: "wx00000000000000c2", original: "gh_00000000c2c2", token: "aChaosPlainApi12345678901", mode: simulator.Plain, verified: true, fallback: fallbackText},
	{
		name: "safe-hold", appID: "wx00000000000000c3", original: "gh_00000000c3c3", token: "mChaosSafeHold12345678901", mode: simulator.Safe,
		key: "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", late: "hold_budget: 1", fallback: fallbackText,
	},
	{
		name: "safe-api", appID: "wx00000000000000c4", original: "gh_00000000c4c4", token: "1ChaosSafeApi123456789012", mode: simulator.Safe,
		key: "GFEDCBAzyxwvutsrqponmlkjihgfedcba9876543210", verified: true, late: "on_unknown: drop",
	},
	{name: "plain-both", appID: "wx00000000000000c5", original: "gh_00000000c5c5", token: "kChaosPlainBoth1234567890", mode: simulator.Plain, verified: true, late: "late: hold"},
}

// appSecret is that of all of them.
const appSecret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

// mix says what the messages are. The shares are of 1; what is left are texts that are
// answered at once.
type mix struct {
	late     float64       // texts whose handler takes 4.6 s to 6 s: longer than the passive window
	slow     float64       // texts whose handler takes from slowFrom to slowTo
	slowFrom time.Duration // Defaults to 200 ms.
	slowTo   time.Duration // Defaults to 2 s.
	pairs    float64       // two events of one second that differ in one thing only
	silent   float64
	fail     float64
	panics   float64
	forged   float64
	repeat   float64 // of the answered ones: pushed again up to 3 s later
	talks    float64 // questions whose answers are late, and users who come back for them: see talk
}

// killMix has something of everything.
var killMix = mix{late: 0.01, slow: 0.08, pairs: 0.06, silent: 0.04, fail: 0.02, panics: 0.01, forged: 0.02, repeat: 0.05}

// lateMix has mostly questions whose answers come late.
var lateMix = mix{talks: 0.3, slow: 0.06, pairs: 0.06, silent: 0.03, fail: 0.02, panics: 0.01, forged: 0.02, repeat: 0.05}

// wechat pushes messages at a fixed rate and writes down what comes of them.
type wechat struct {
	mix  mix
	rng  *rand.Rand // of the goroutine that makes the messages
	mark uint64

	pushers []pusher
	forgers []pusher

	under atomic.Int64 // messages under way
	group sync.WaitGroup

	mu       sync.Mutex
	messages []*Message

	acked   atomic.Int64
	lastAck atomic.Int64 // Unix nanoseconds

	seen     *seen
	handlers handlers

	dial  dialer
	turns atomic.Int64 // messages: each begins with another node
}

// pusher pushes for one account by one set of rules.
type pusher struct {
	account *account
	*simulator.WeChat
}

// newWeChat returns a WeChat that pushes to the bot at addr. With atOnce it retries what
// fails always at once, which is over sooner.
func newWeChat(addr string, seed uint64, m mix, atOnce bool) (*wechat, error) {
	return newWeChatOf(addr, dialFromAnywhere, seed, m, atOnce)
}

// newWeChatOf is newWeChat with another way to connect than to the address.
func newWeChatOf(addr string, dial dialer, seed uint64, m mix, atOnce bool) (*wechat, error) {
	w := &wechat{mix: m, seen: new(seen), dial: dial, rng: rand.New(rand.NewPCG(seed, 0x77656368_6174))}
	if m.slowFrom == 0 {
		w.mix.slowFrom, w.mix.slowTo = 200*time.Millisecond, 2*time.Second
	}
	for i := range accounts {
		a := &accounts[i]
		real := simulator.Account{URL: "http://" + addr + "/wx/" + a.name, Token: a.token, Mode: a.mode, AppID: a.appID, EncodingAESKey: a.key, OriginalID: a.original}
		for rules := range 8 {
			if atOnce && rules&4 != 0 {
				continue
			}
			err := w.add(&w.pushers, a, real, simulator.Rules{
				Pushes: 3 + rules&1, FreshRetries: rules&2 != 0, WaitAfterFailure: rules&4 != 0, EventFaultNotice: true,
			})
			if err != nil {
				return nil, err
			}
		}
		wrong := real
		wrong.Token += "x"
		once := simulator.Rules{Pushes: 1}
		if err := w.add(&w.forgers, a, wrong, once); err != nil {
			return nil, err
		}
		if a.mode == simulator.Safe {
			// In clear, and signed rightly for that mode: what the account's
			// mode forbids.
			clear := real
			clear.Mode = simulator.Plain
			if err := w.add(&w.forgers, a, clear, once); err != nil {
				return nil, err
			}
		}
	}
	return w, nil
}

func (w *wechat) add(to *[]pusher, a *account, as simulator.Account, rules simulator.Rules) error {
	sim, err := simulator.New(simulator.Config{Account: as, Rules: rules, DialContext: w.dial})
	if err != nil {
		return err
	}
	*to = append(*to, pusher{a, sim})
	return nil
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dialFromAnywhere connects from a random address of loopback.
func dialFromAnywhere(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	load.FromLoopback(&d, address)
	return d.DialContext(ctx, network, address)
}

// load sends rate messages per second until stop is called, after which no new one is
// sent; what is under way goes on. One load at a time.
func (w *wechat) load(ctx context.Context, rate float64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		load.Pace(ctx, rate, 0, func(time.Time) int { return w.next() })
	}()
	return func() {
		cancel()
		<-done
	}
}

// next sends the next message, or the next two, without waiting for them.
func (w *wechat) next() int {
	p := w.pushers[w.rng.IntN(len(w.pushers))]
	user := fmt.Sprintf("oChaos%022x", w.rng.Uint64())
	do := Instruction{Do: doEcho, Mark: w.newMark()}
	share := w.rng.Float64()
	under := func(s float64) bool {
		share -= s
		return share < 0
	}
	repeat := time.Duration(-1)
	if w.rng.Float64() < w.mix.repeat {
		repeat = time.Duration(w.rng.Int64N(int64(3 * time.Second)))
	}
	switch {
	case under(w.mix.forged):
		w.send(w.forgers[w.rng.IntN(len(w.forgers))], user, "text", do, 0, true, -1)
		return 1
	case under(w.mix.talks):
		t := &talk{w: w, p: p, user: user, mark: do.Mark, rng: rand.New(rand.NewPCG(w.rng.Uint64(), w.mark))}
		w.under.Add(1)
		w.group.Go(func() {
			defer w.under.Add(-1)
			t.run()
		})
		return 1
	case under(w.mix.pairs):
		// WeChat's clock counts seconds, and events have no MsgId.
		now := time.Now().Unix()
		second, kind := do, "VIEW"
		if w.rng.IntN(2) == 0 {
			second.Mark, kind = w.newMark(), "CLICK"
		}
		w.send(p, user, "CLICK", do, now, false, repeat)
		w.send(p, user, kind, second, now, false, -1)
		return 2
	case under(w.mix.late):
		do.Wait = time.Duration(4600+w.rng.Int64N(1400)) * time.Millisecond
	case under(w.mix.slow):
		do.Wait = (w.mix.slowFrom + time.Duration(w.rng.Int64N(int64(w.mix.slowTo-w.mix.slowFrom)))).Round(time.Millisecond)
	case under(w.mix.silent):
		do.Do = doSilent
	case under(w.mix.fail):
		do.Do = doFail
	case under(w.mix.panics):
		do.Do = doPanic
	}
	w.send(p, user, "text", do, 0, false, repeat)
	return 1
}

func (w *wechat) newMark() string {
	w.mark++
	return strconv.FormatUint(w.mark, 36)
}

// send sends one message in a goroutine of its own.
func (w *wechat) send(p pusher, user, kind string, do Instruction, at int64, forged bool, repeat time.Duration) {
	m := &Message{ID: kind + "/" + do.Mark, Account: p.account.name, User: user, Do: do, Hold: p.account.holds(), Forged: forged}
	var out simulator.Message
	switch kind {
	case "CLICK":
		out = simulator.Click(do.String())
	case "VIEW":
		out = simulator.View(do.String())
	default:
		out = simulator.Text(do.String())
	}
	out.CreateTime = at
	w.under.Add(1)
	w.group.Go(func() {
		defer w.under.Add(-1)
		w.push(p, m, out, repeat)
	})
}

// push sends one message and, if that is not below 0, once more after repeat, as WeChat does by mistake. It
// returns when WeChat is done with it.
func (w *wechat) push(p pusher, m *Message, out simulator.Message, repeat time.Duration) {
	out.FromUserName = m.User
	to := &route{first: int(w.turns.Add(1))}
	ctx := context.WithValue(context.Background(), routeKey{}, to)
	report, err := p.Send(ctx, out)
	w.note(m, report, to, false)
	if err != nil {
		m.Stopped = true
	}
	if repeat >= 0 && m.Acked() {
		time.Sleep(repeat)
		again, err := p.Repeat(ctx, report)
		w.note(m, again, to, true)
		if err != nil {
			m.Stopped = true
		}
	}
	w.mu.Lock()
	w.messages = append(w.messages, m)
	w.mu.Unlock()
}

// note writes down the pushes of a report.
func (w *wechat) note(m *Message, r *simulator.Report, to *route, repeat bool) {
	if r == nil {
		return
	}
	for i := range r.Pushes {
		from := &r.Pushes[i]
		p := Push{Start: from.Start, Took: from.Duration, Repeat: repeat, Node: to.node(len(m.Pushes))}
		if from.Outcome != simulator.Answered {
			p.Failure = strings.ToLower(from.Outcome.String())
		} else if p.Status = from.Status; p.Acked() {
			p.Problem = r.Verdict.Problem
			if reply := r.Verdict.Reply; reply != nil {
				p.Reply = reply.Content
			}
			if !m.Forged {
				w.acked.Add(1)
				w.lastAck.Store(p.End().UnixNano())
				w.seen.reads(m.User, p.Reply)
			}
		}
		m.Pushes = append(m.Pushes, p)
	}
}

// sinceAck is how long ago the last push was answered with 200.
func (w *wechat) sinceAck() time.Duration { return time.Since(time.Unix(0, w.lastAck.Load())) }

// settle waits until every message has been answered or given up, for d at most.
func (w *wechat) settle(d time.Duration) error {
	done := make(chan struct{})
	go func() {
		w.group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(d):
		return fmt.Errorf("%d messages were still under way after %v", w.under.Load(), d)
	}
}

// ledger returns the messages that are over. Call it after settle.
func (w *wechat) ledger() []*Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.messages
}

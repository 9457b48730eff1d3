package callback

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/longtext"
	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// attempt is one run of the handler, in a goroutine of its own. Whatever
// becomes of it, the user does not read the fault notice: R-FAULT-NEVER. It
// knows of the turn what was there when it was marked as started.
type attempt struct {
	f        *flight
	number   int
	owner    store.Node
	to       echostr.Address // whom a reply goes to
	msgType  string
	evType   string
	received time.Time
	digest   [32]byte
	msg      echostr.Message
	route    *echostr.Route
	budget   time.Duration
	deadline time.Time // monotonic; guarded by the flight's mu. Zero: it waits in the line of its user
	ctx      context.Context
	cancel   context.CancelFunc
	began    time.Time
	accept   *time.Timer // of a Pure route, else nil
	fetch    store.Fetch // it brings another turn's answer, and runs no handler
	over     atomic.Bool // its result is posted, by itself or by the end of its time
	claimed  bool        // by itself: nobody gives it up any more

	inLine     bool // of its user, before other handlers or behind
	place      place
	superseded atomic.Bool // the user has written again
	refused    atomic.Bool // the line was full

	handling context.Context // the handler's; set before it is called

	asking sync.Mutex // guards what handlers may say while they run
	draft  string
	said   int // messages that WeChat has taken from it

	remembering sync.Mutex // guards session, also while that is read
	session     *session

	// Two attempts of one message do not run at the same time, unless the first
	// hangs beyond its time. Guarded by the flight's mu.
	after *attempt      // the one before, if it has not returned yet
	done  chan struct{} // made if another waits, closed when it has returned
	gone  bool          // it has returned
}

// newAttempt is called by the driver when the start mark is in the store.
func (f *flight) newAttempt() *attempt {
	row := &f.state.Row
	a := &attempt{
		f: f, number: row.Attempt, owner: row.Owner, to: addressOf(row), msgType: row.MsgType, evType: row.Event, received: row.ReceivedAt,
		digest: f.digest, msg: f.msg, route: f.route, budget: f.account.HandlerTimeout, fetch: row.Way.Fetch,
	}
	f.mu.Lock()
	old := f.handler
	overlap := old != nil && !old.gone
	f.mu.Unlock()
	if f.msg == nil || overlap {
		// The turn was found in the store, or another attempt may be changing
		// the message that the flight has.
		a.decode(row.Body)
	}
	if a.fetch.Page > 0 {
		a.budget = fetchTime
	} else if b := a.route.Budget(); b > 0 {
		a.budget = b
	}
	a.began = time.Now()
	a.inLine = f.account.Overlap != Parallel && overlaps(row)
	if a.inLine && f.account.Overlap == Queue {
		a.place.turn = make(chan struct{})
		a.ctx, a.cancel = context.WithCancel(f.s.ctx) // its time begins later
	} else {
		a.deadline = a.began.Add(a.budget)
		a.ctx, a.cancel = context.WithDeadline(f.s.ctx, a.deadline)
	}
	if a.inLine {
		f.s.users.enter(a)
	}
	f.mu.Lock()
	if overlap && !old.gone {
		old.done, a.after = make(chan struct{}), old
	}
	f.handler = a
	f.mu.Unlock()
	if overlap {
		f.s.orphans.add(old)
	}
	if !f.s.node.holds(a.owner) {
		a.cancel() // the attempt that comes after this one runs
	}
	if a.fetch.Page > 0 {
		f.s.stats.fetches.Add(1)
	} else {
		f.s.stats.starts.Add(1)
	}
	if !f.counted {
		f.s.stats.running.Add(1)
	}
	f.counted = false
	if row.Version == 0 {
		// A Pure route whose turn is not in the store yet: it is put there
		// soon, so that it is seen and joined by other nodes.
		a.accept = time.AfterFunc(f.account.policy.AcceptBy, func() { f.post(turn.Event{Kind: turn.AcceptDue}) })
	}
	return a
}

// queue waits until it is the attempt's turn, and returns the context in which its handler runs.
func (a *attempt) queue() (context.Context, context.CancelFunc) {
	if a.place.turn == nil {
		return a.ctx, a.cancel
	}
	if a.number > 1 {
		a.awaitEarlier()
	}
	a.f.s.users.ready(a)
	select {
	case <-a.place.turn:
	case <-a.ctx.Done():
	}
	if a.f.isWithdrawn() {
		a.cancel() // as the one before was; it is only told later
	}
	a.began = time.Now()
	deadline := a.began.Add(a.budget)
	a.f.mu.Lock()
	a.deadline = deadline
	a.f.mu.Unlock()
	hangs := time.AfterFunc(a.budget+overtime, func() { a.f.s.users.leave(a) })
	ctx, cancel := context.WithDeadline(a.ctx, deadline)
	return ctx, func() {
		hangs.Stop()
		cancel()
	}
}

// end is when the attempt's time is over, or zero as long as it waits in the line.
func (a *attempt) end() time.Time {
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	return a.deadline
}

func (a *attempt) user() user { return user{a.f.account.Name, a.to.ToUserName} }

func (a *attempt) decode(body string) {
	var doc echostr.Document
	if doc.Parse([]byte(body)) == nil {
		a.msg = doc.Message()
		a.digest = doc.Key(a.f.account.identity()).Digest
		if a.f.account.router != nil {
			a.route = a.f.account.match(a.msg)
		}
	}
}

// Reasons that the callback records for failed turns.
const (
	reasonTimeout = "timeout: the handler took longer than its time"
	reasonPanic   = "panic"
	reasonGone    = "the stored message does not parse any more"
	reasonNewer   = "superseded: the user has written again"
	reasonFull    = "queue full: too many earlier messages of the user wait"
)

// maxAbandoned is how many handlers may hang beyond their time before the
// process asks to be restarted.
const maxAbandoned = 100

// run runs the handler and posts what it has come to.
func (f *flight) run(a *attempt) {
	res, returned := failed(reasonPanic), false
	defer func() {
		// Here also after a panic, and after runtime.Goexit.
		f.s.stats.handlers.Observe(time.Since(a.began).Seconds())
		if p := recover(); !returned {
			a.panicked(p)
		}
		if a.accept != nil {
			a.accept.Stop()
		}
		a.cancel()
		a.leave()
		if !a.claim() {
			f.s.stats.abandoned.Add(-1)
			return
		}
		f.s.stats.running.Add(-1)
		a.handled(&res)
		if res.state != 0 {
			j := a.ended(res)
			f.postAndDrive(&j)
		}
	}()
	if old := a.after; old != nil {
		select {
		case <-old.done:
		case <-time.After(time.Until(old.end())): // at once if it waits: it was cancelled
		}
		a.after = nil
	}
	ctx, stop := a.queue()
	defer stop()
	res = a.handle(ctx)
	returned = true
}

// claim makes the result the attempt's own: it is not given up any more for having taken too long.
func (a *attempt) claim() bool {
	a.claimed = a.claimed || a.over.CompareAndSwap(false, true)
	return a.claimed
}

// handled counts a handler that was not given up before, and tells of each message at
// debug level: there also of whom, and nothing of what.
func (a *attempt) handled(res *result) {
	if res.reason == reasonTimeout {
		a.f.s.stats.timeouts.Add(1)
	}
	if res.state == 0 || !a.f.s.cfg.Logger.Enabled(a.f.s.storeCtx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String(keyState, res.state.String()), slog.Duration(keyTook, time.Since(a.began).Round(10*time.Microsecond)),
		slog.String("openid", a.to.ToUserName),
	}
	if a.evType != "" {
		attrs = append(attrs, slog.String(keyEvent, a.evType))
	}
	a.log(slog.LevelDebug, "message handled", attrs...)
}

// leave tells the attempt that waits for this one, if there is one.
func (a *attempt) leave() {
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	if a.gone = true; a.done != nil {
		close(a.done)
	}
	if a.inLine {
		a.f.s.users.leave(a)
	}
}

// watchHandlers gives up handlers that hang beyond their time. One that heeds its
// context ends by itself at that moment, so looking once a second is enough.
func (s *Server) watchHandlers() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-tick.C:
			// Those given up a second ago have had the time to clean up.
			if s.stats.abandoned.Load() > maxAbandoned {
				s.die(fmt.Errorf("more than %d handlers hang beyond their time: restart the process, and let handlers heed their context", maxAbandoned))
			}
			for _, f := range s.flights.all() {
				f.mu.Lock()
				a := f.handler
				f.mu.Unlock()
				if a == nil {
					continue
				}
				a.abandonAt(now)
			}
			s.orphans.watch(now)
		}
	}
}

// orphans are attempts that no flight waits for any more, since another process has their turn, or another attempt is in
// their place. One that does not heed its context holds a place among those that run all the same.
type orphans struct {
	mu   sync.Mutex
	list []*attempt
}

func (o *orphans) add(a *attempt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, a)
}

func (o *orphans) watch(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = slices.DeleteFunc(o.list, func(a *attempt) bool { return a.over.Load() || a.abandonAt(now) })
}

// abandonAt abandons a handler that hangs at that time, and reports whether it does.
func (a *attempt) abandonAt(now time.Time) bool {
	end := a.end()
	if end.IsZero() || !now.After(end) {
		return false
	}
	a.abandon()
	return true
}

// abandon posts the result of a handler that does not end.
func (a *attempt) abandon() {
	if !a.over.CompareAndSwap(false, true) {
		return
	}
	s := a.f.s
	s.stats.abandoned.Add(1)
	s.stats.running.Add(-1)
	s.stats.timeouts.Add(1)
	a.log(slog.LevelError, "handler hangs beyond its time and was given up", slog.Duration(keyTook, a.budget))
	j := a.ended(failed(reasonTimeout))
	a.f.postJob(&j)
}

// result is what an attempt has come to. It is small because it lies on the stack
// of every handler that runs.
type result struct {
	state         store.State // 0 if there is none
	reply, reason string
	text          string // of the reply, if that is text
}

func failed(reason string) result { return result{state: store.Failed, reason: reason} }

func (a *attempt) ended(r result) job {
	a.asking.Lock()
	said := a.said
	a.asking.Unlock()
	return job{text: r.text, ev: turn.Event{
		Kind: turn.Result, Self: a.owner, Attempt: a.number, State: r.state, Reply: r.reply, Reason: r.reason, Parts: 1, Said: said,
	}}
}

// handle calls the handler and makes a result of what it returns; none if the
// attempt was cancelled, since then another one follows: P2.
func (a *attempt) handle(ctx context.Context) result {
	if a.msg == nil {
		return failed(reasonGone)
	}
	if a.refused.Load() {
		a.log(slog.LevelWarn, "a message was not handled, since too many earlier ones of its user wait")
		return failed(reasonFull)
	}
	reply, err := a.call(ctx)
	switch {
	case a.superseded.Load() && err != nil:
		return result{state: store.Silent, reason: reasonNewer}
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && a.fetch.Page > 0:
		return result{state: store.Silent} // no push waits any more
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		a.log(slog.LevelError, "handler timed out", slog.Duration(keyTook, a.budget))
		return failed(reasonTimeout)
	case err != nil && ctx.Err() != nil:
		return result{}
	case err != nil:
		a.f.s.stats.errors.Add(1)
		text := shorten(withoutSecrets(err))
		a.log(slog.LevelError, "handler failed", slog.String(keyError, text))
		return failed("error: " + text)
	case !a.claim():
		return result{} // given up at this moment
	}
	return a.answer(reply)
}

// call calls the handler, unless it was cancelled while it waited for its turn.
func (a *attempt) call(ctx context.Context) (echostr.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if a.fetch.Page > 0 {
		return a.fetched(ctx, a.fetch)
	}
	a.handling = ctx
	ctx = echostr.WithTurn(ctx, (*turnView)(a))
	if a.route != nil {
		return a.route.Handle(ctx, a.msg)
	}
	// Also a Router that has no route for it: if a condition has panicked, it does so again
	// here, where that fails the turn.
	return a.f.account.Handler.Handle(ctx, a.msg)
}

// maxReply is how long the text of a reply may be, in bytes: some 250 pages.
const maxReply = 512 << 10

// answer makes the result of a reply: the document that is kept until all of it is delivered.
func (a *attempt) answer(reply echostr.Reply) result {
	silent := result{state: store.Silent}
	text, isText := reply.(echostr.TextReply)
	if isText && a.fetch.Page == 0 {
		if content := a.f.account.readable(text.Content); content != text.Content {
			text.Content = content
			reply = text
		}
	}
	if echostr.IsNone(reply) {
		return a.remembered(reply, silent)
	}
	if a.to.ToUserName == "" {
		a.log(slog.LevelWarn, "the message names no sender, so its reply goes nowhere")
		return silent
	}
	err := echostr.Validate(reply, a.msg)
	tooLong, isTooLong := errors.AsType[*echostr.TooLongError](err)
	switch {
	case err == nil:
	case errors.Is(err, echostr.ErrEmptyText):
		a.log(slog.LevelWarn, "the reply is empty and is not sent", slog.Any(keyError, err))
		return a.remembered(nil, silent) // R-REPLY-EMPTY
	case isTooLong && tooLong.Bytes > maxReply:
		a.log(slog.LevelWarn, "the reply is too long and was cut", slog.Int(keyBytes, tooLong.Bytes))
		text.Content = echostr.CutText(text.Content, maxReply)
		reply = text
	case isTooLong: // it goes out in pages
	default:
		a.f.s.stats.errors.Add(1)
		a.log(slog.LevelError, "the reply is invalid and is not sent", slog.Any(keyError, err))
		return failed("invalid reply: " + shorten(err.Error()))
	}
	if r := a.remembered(reply, silent); r.state != store.Silent {
		return r
	}
	if isText && a.fetch.Page == 0 && !a.f.goesElsewhere() {
		if content := a.ahead(text.Content); content != text.Content {
			text.Content = content
			reply = text
		}
	}
	a.to.CreateTime = a.f.s.clock.now().Unix()
	buf := buffers.Get().(*[]byte)
	defer release(buf)
	*buf = echostr.AppendReply((*buf)[:0], reply, a.to)
	return result{state: store.Answered, reply: string(*buf), text: text.Content}
}

// remembered stores what the handler has asked to be remembered, and returns then.
func (a *attempt) remembered(reply echostr.Reply, then result) result {
	if err := a.saveSession(reply); err != nil {
		return result{} // the process ends: another one does all of it again
	}
	return then
}

// readable is a text as the account wants texts to be.
func (a *account) readable(text string) string {
	if a.RemoveThinking {
		text = longtext.WithoutThinking(text)
	}
	if a.Markdown {
		text = longtext.FromMarkdown(text)
	}
	return text
}

// panicked logs a panic; p is nil after runtime.Goexit. The value may hold
// anything, so only that of a runtime error, which is ours to read, is shown
// above debug level.
func (a *attempt) panicked(p any) {
	a.f.s.stats.panics.Add(1)
	what := slog.String(keyPanic, fmt.Sprintf("%T", p))
	if err, ok := p.(runtime.Error); ok {
		what = slog.String(keyPanic, err.Error())
	}
	a.log(slog.LevelError, "handler panicked", what, slog.String(keyStack, string(debug.Stack())))
	a.log(slog.LevelDebug, "handler panicked with", slog.String(keyPanic, withoutSecrets(p)))
}

func (a *attempt) log(level slog.Level, msg string, attrs ...slog.Attr) {
	attrs = append(attrs, slog.String(keyAccount, a.f.account.Name), slog.String(keyTurn, a.f.key.String()),
		slog.Int(keyAttempt, a.number), slog.String(keyMsgType, a.msgType))
	a.f.s.cfg.Logger.LogAttrs(context.WithoutCancel(a.ctx), level, msg, attrs...)
}

func shorten(s string) string {
	const limit = 200
	if len(s) > limit {
		return echostr.CutText(s, limit)
	}
	return s
}

// turnView is what the handler may ask: [echostr.Turn].
type turnView attempt

func (v *turnView) Key() string           { return hex.EncodeToString(v.digest[:]) }
func (v *turnView) ID() string            { return v.f.key.String() }
func (v *turnView) Attempt() int          { return v.number }
func (v *turnView) Account() string       { return v.f.account.Name }
func (v *turnView) ReceivedAt() time.Time { return v.received }

func (v *turnView) PassiveDeadline() (time.Time, bool) { return v.f.passiveDeadline() }

// Draft implements [echostr.Draft].
func (v *turnView) Draft(text string) {
	v.asking.Lock()
	v.draft = text
	v.asking.Unlock()
}

// Session implements [echostr.Session].
func (v *turnView) Session(ctx context.Context) (*echostr.Memory, error) {
	return (*attempt)(v).loadSession(ctx)
}

// Typing implements [echostr.Typing].
func (v *turnView) Typing(ctx context.Context) error {
	if !(*attempt)(v).canSay() {
		return echostr.ErrNoWay
	}
	return v.f.account.API.Typing(ctx, v.to.ToUserName)
}

// Say implements [echostr.Say].
func (v *turnView) Say(ctx context.Context, r echostr.Reply) error { return (*attempt)(v).say(ctx, r) }

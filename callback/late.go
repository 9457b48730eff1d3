package callback

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/longtext"
	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// What Step has to know of texts, links and WeChat's patience, and what a handler may say before it is
// done.

// prepare completes an event with that. It is called again if another row has come in between.
func (f *flight) prepare(j *job) {
	row, ev := &f.state.Row, &j.ev
	switch ev.Kind {
	case turn.PushDue:
		if row.State == store.Running {
			f.preparePush(ev)
		}
	case turn.PushClosed, turn.PushOver:
		if !ev.Written {
			f.prepareCut(j)
		}
	case turn.Result:
		f.prepareResult(j)
	case turn.Take:
		if ev.Pages = 0; row.State == store.Answered {
			ev.Pages = pagesLeft(row)
		}
	case turn.Due:
		ev.Code, ev.Taker = f.code(), f.taker()
	case turn.Sent, turn.Unconfirmed, turn.Resend:
		ev.Code = f.code()
	case turn.OwnerLost:
		ev.Code = f.code()
		if row.Delivery == store.Sending {
			p, _ := f.part(*row)
			ev.Told, ev.More, ev.Pages = p.told, p.more, p.pages
		}
	}
}

// taker is how the turn fares that was to bring this one's answer. An attempt may have taken it whose process
// died, and the one after it, or another handler's reply, does without.
func (f *flight) taker() store.State {
	row := &f.state.Row
	if row.Delivery != store.Fetched || row.Way.TakenBy == (store.Key{}) {
		return 0
	}
	by, err := f.s.cfg.Store.Get(f.s.storeCtx, row.Way.TakenBy)
	switch {
	case err == nil && by.State == store.Answered && !f.isIn(by.Reply):
		return store.Failed
	case err == nil:
		return by.State
	case !errors.Is(err, store.ErrNotFound):
		f.s.storeFailed(err)
	case !f.s.flights.has(row.Way.TakenBy): // else it is on a Pure route, and the clock has jumped
		return store.Failed
	}
	return store.Running // it is looked at again
}

// isIn reports whether the reply document of another turn brings what the user has not been told of this one's
// reply.
func (f *flight) isIn(document string) bool {
	row := &f.state.Row
	text, isText := f.account.Fallback, true
	if row.State == store.Answered {
		text, isText = textOf(row.Reply)
	}
	if isText {
		carrier, ok := textOf(document)
		return ok && strings.Contains(carrier, rest(text, row.Way.Told))
	}
	own, _, err := echostr.DecodeReply([]byte(row.Reply))
	carrier, _, err2 := echostr.DecodeReply([]byte(document))
	return err == nil && err2 == nil && reflect.DeepEqual(alone(own), carrier)
}

// preparePush says what a push gets whose time ends before the handler does.
func (f *flight) preparePush(ev *turn.Event) {
	a, row := f.account, &f.state.Row
	ev.Placeholder, ev.Told, ev.Code = "", 0, ""
	if row.OpenID == "" || row.Placeholder != "" {
		return
	}
	var text string
	switch {
	case row.Way.Fetch.Page > 0:
		what := row.Way.Fetch
		of, err := f.s.cfg.Store.Get(f.s.storeCtx, what.Of)
		if err != nil || of.Code == "" {
			return
		}
		text = a.placeholder(link("", of.Key, of.Code, what.Page))
	case a.policy.API && !ev.NoAPI:
		begun := f.draft(echostr.MaxTextBytes - len(goesOn))
		if begun == "" {
			return // `success`, and then the API
		}
		ev.Told = f.show(begun)
		text = begun + goesOn
	case !turn.Asked(row):
		return
	default:
		ev.Code = f.code()
		text = a.placeholder(link("", row.Key, ev.Code, 1))
		if begun := f.draft(echostr.MaxTextBytes - linkRoom); begun != "" {
			ev.Told = f.show(begun)
			text = begun + "\n\n" + link(unfinished, row.Key, ev.Code, 1)
		}
	}
	if text != "" {
		to := addressOf(row)
		to.CreateTime = ev.Now.Unix()
		ev.Placeholder = string(echostr.AppendReply(nil, echostr.Text(text), to))
	}
}

// mayBeHeld reports whether a push is one that is held if the handler is not done, and WeChat's patience lasts.
func (f *flight) mayBeHeld(ev *turn.Event) bool {
	p := &f.account.policy
	return (p.Hold || ev.NoAPI) && f.state.Row.State == store.Running && slices.ContainsFunc(f.state.Open, func(o turn.Push) bool { return o.ID == ev.Push && o.Number < p.LastPush })
}

// refuseToHold reports whether a push that would be held is not, and takes it off the budget if it is.
func (f *flight) refuseToHold(ev *turn.Event) bool {
	if !f.mayBeHeld(ev) || f.account.patience.mayHold() {
		return false
	}
	f.s.stats.holdsDenied.Add(1)
	return true
}

// show notes what a push tells of the reply's text, and returns how much that is. As long as the push is not
// decided, it may be told something else.
func (f *flight) show(text string) int {
	f.mu.Lock()
	f.shown = text
	f.mu.Unlock()
	return len(text)
}

// told is what pushes have told of the reply's text.
func (f *flight) told() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shown
}

func (a *account) placeholder(link string) string {
	return strings.ReplaceAll(a.Placeholder, "{link}", link)
}

// draft is what can be read of the reply that the handler which runs here writes, room bytes at most: R-LATE-DRAFT
func (f *flight) draft(room int) string {
	f.mu.Lock()
	a := f.handler
	f.mu.Unlock()
	if a == nil {
		return ""
	}
	a.asking.Lock()
	text := a.draft
	a.asking.Unlock()
	return f.account.draft(text, room)
}

// draft is the beginning of an unfinished text that is fit to be read, as readable makes the whole.
func (a *account) draft(text string, room int) string {
	if a.RemoveThinking {
		text = longtext.WithoutThinking(text)
	}
	begun := longtext.Begun
	if a.Markdown {
		begun = longtext.BegunMarkdown
	}
	return echostr.CutText(begun(text, room), room)
}

// prepareCut is for a push that was not answered.
func (f *flight) prepareCut(j *job) {
	j.ev.Code = f.code()
	if j.held {
		f.mu.Lock()
		again := f.lastID > j.ev.Push
		f.mu.Unlock()
		f.account.patience.wasCut(f.key, f.state.Row.Seen, again)
	}
	j.held = false // once
}

// prepareResult says in how many pages and messages a reply goes out, and from where on it is new.
func (f *flight) prepareResult(j *job) {
	row, ev := &f.state.Row, &j.ev
	ev.Told, ev.Pages, ev.Parts = 0, 1, 1
	ev.Code = ""
	text := j.text
	if row.Way.Told > 0 || len(text) > echostr.MaxTextBytes {
		text = echostr.CutText(text, len(text))
		// What a push was given counts only if it is known to have taken it.
		if told, n := f.told(), turn.Told(row); n == len(told) && strings.HasPrefix(text, told) {
			ev.Told = n
		}
		text = rest(text, ev.Told)
	}
	if len(text) > echostr.MaxTextBytes {
		ev.Pages = len(pagesOf(text))
		ev.Parts = len(longtext.Split(text, echostr.MaxTextBytes))
	}
	if ev.Pages > 1 || row.Delivery == store.Late {
		ev.Code = f.code()
	}
}

// firstPage is what pushes get of the reply.
func (f *flight) firstPage() string {
	row := &f.state.Row
	if row.Way.Pages <= 1 {
		return row.Reply
	}
	r, ok := page(row, 1)
	if !ok {
		return row.Reply
	}
	to := addressOf(row)
	to.CreateTime = row.FinishedAt.Unix()
	return string(echostr.AppendReply(nil, r, to))
}

// canSay reports whether something can be sent to the user before the handler returns: by the API, also if late
// answers do not go out by it.
func (a *attempt) canSay() bool {
	return a.f.account.API != nil && a.to.ToUserName != ""
}

// Bounds of what a handler says, once it is its turn: the time of all of it, and the pause before a second try,
// which is also the longest that is waited for.
const (
	sayTime  = 3 * time.Second
	sayPause = time.Second
)

// say sends what a handler says before it is done. What it says is worth little later, and the answer is worth
// more: so it is tried once more at most, if it is certain that it was not sent, and not at all as long as the
// account's API takes nothing. It ends with the handler's context, whatever ctx is, so that no handler hangs in it.
func (a *attempt) say(ctx context.Context, r echostr.Reply) error {
	account := a.f.account
	if !a.canSay() {
		return echostr.ErrNoWay
	}
	if echostr.IsNone(r) {
		return errors.New("say: there is nothing to be said; give it a message")
	}
	if text, ok := r.(echostr.TextReply); ok {
		text.Content = account.readable(text.Content)
		r = text
	}
	if err := echostr.Validate(r, nil); err != nil {
		return fmt.Errorf("say: it is no message: %w", err)
	}
	_, quota := account.policy.Allowance(&store.Turn{MsgType: a.msgType, Event: a.evType})
	u := a.user()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(a.handling, func() { stop(context.Cause(a.handling)) })()
	if err := a.f.s.outbox.lock(ctx, u); err != nil {
		return fmt.Errorf("say: it was not sent, since another message was on its way to the user: %w", err)
	}
	defer a.f.s.outbox.unlock(u)
	ctx, cancel := context.WithTimeout(ctx, sayTime)
	defer cancel()
	var res Sending
	for again := false; ; again = true {
		a.asking.Lock()
		said := a.said
		a.asking.Unlock()
		if a.over.Load() || a.handling.Err() != nil {
			return errors.New("say: the handler's context has ended, so nothing is sent any more")
		}
		if said >= quota-1 {
			return fmt.Errorf("say: WeChat takes %d messages for one message of the user, and the last one is for the reply", quota)
		}
		switch wait, _ := account.breaker.pass(); {
		case wait > 0 && again:
			return notSaid(res)
		case wait > 0:
			return fmt.Errorf("say: it was not sent, since WeChat's API takes none of the account's messages: go on without, it is tried again in %v", wait.Round(time.Second)+time.Second)
		}
		res = account.send(ctx, a.f.s, u.openID, r)
		switch {
		case res.Fate == SendDone, res.Fate == SendUnknown:
			a.asking.Lock()
			a.said++
			a.asking.Unlock()
			if res.Fate == SendUnknown {
				return fmt.Errorf("say: nobody knows whether it was sent, so it is not sent again: %s", res.Reason)
			}
			return nil
		case res.Fate != SendLater, again, res.Account, res.After > sayPause:
			return notSaid(res)
		}
		select {
		case <-time.After(sayPause):
		case <-ctx.Done():
			return notSaid(res)
		}
	}
}

func notSaid(res Sending) error { return fmt.Errorf("say: it was not sent: %s", res.Reason) }

// Resend has an answer sent by the API that is not on its way, or kept for the user again if the
// account has none. If the account's messages are kept back, since its API takes none, one is let
// through at once. It returns the turn as it is then. The error wraps [store.ErrNotFound] if there is
// no such turn, or says why nothing was done.
func (s *Server) Resend(ctx context.Context, key store.Key) (store.Turn, error) {
	return s.operate(ctx, key, turn.Resend, "there is no answer to be sent, or it is being sent now")
}

// Drop gives up an answer that waits to be sent or fetched. It is as Resend otherwise.
func (s *Server) Drop(ctx context.Context, key store.Key) (store.Turn, error) {
	return s.operate(ctx, key, turn.Drop, "no answer waits to be sent or fetched, or it is being sent now")
}

func (s *Server) operate(ctx context.Context, key store.Key, what turn.Kind, otherwise string) (store.Turn, error) {
	before, err := s.cfg.Store.Get(ctx, key)
	if err != nil {
		return before, err
	}
	a := s.accounts[before.Account]
	if a == nil {
		return before, fmt.Errorf("the account %s is not configured here", before.Account)
	}
	if what == turn.Resend {
		a.breaker.giveBack()
	}
	done := make(chan store.Turn, 1)
	s.flights.get(a, key, &job{lookup: true, done: done, ev: turn.Event{Kind: what}})
	select {
	case after := <-done:
		switch {
		case after.Version == 0:
			return before, errors.New("the store does not say how the turn is now: try again")
		case after.Version == before.Version:
			return after, fmt.Errorf("the turn is %v, delivery %v: %s", after.State, after.Delivery, otherwise)
		}
		return after, nil
	case <-ctx.Done():
		return before, ctx.Err()
	}
}

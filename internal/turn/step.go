package turn

import (
	"slices"
	"time"

	"github.com/echostr/echostr/store"
)

// step is one call of Step: the state being changed and what is to be done.
type step struct {
	p  *Policy
	ev *Event
	State
	out Effects
}

func (t *step) do(e Effect) { t.out.List = append(t.out.List, e) }

func (t *step) save(d Durability) { t.out.Save = max(t.out.Save, d) }

// pushArrived is the table of R-TIME-TABLE.
func (t *step) pushArrived() {
	if t.Row.Seen == 0 {
		if t.ev.Forgotten {
			// It may have been handled, so it is not started, and it is not ours
			// to promise anything about: there will be no row. R-TIME-RESTORED
			t.do(Effect{Do: Replay, Push: t.ev.Push})
			t.do(Effect{Do: Answer, Push: t.ev.Push, Given: store.GotSuccess})
			return
		}
		t.accept()
		return
	}
	t.open()
	switch {
	case t.ev.Age > t.p.ReplayAfter: // R-TIME-REPLAY
		t.do(Effect{Do: Replay, Push: t.ev.Push})
		t.give(store.GotSuccess, func(o *Push) bool { return o.ID == t.ev.Push })
	case t.Row.State.Finished() || t.decided():
		t.settle()
	}
	// Running, here or on another node: the push joins and waits.
}

// accept takes in a message that nobody knows.
func (t *step) accept() {
	t.Row.ReceivedAt = t.ev.Now
	t.open()
	if t.Row.State.Finished() { // unparseable, refused, or erased while it waited for the store
		t.Row.FinishedAt = t.ev.Now
		t.save(Now)
		t.settle()
		return
	}
	t.Row.State, t.Row.Attempt, t.Row.Owner = store.Running, 1, t.ev.Self
	if retry := t.Open[len(t.Open)-1].Number > 1; retry || !t.Row.Pure {
		// The start mark: committed before the handler's first instruction. A
		// Pure route owes none, but if this is a retry, another node may be
		// running it, and asking the store is cheaper than running it again.
		t.save(Now)
	}
	t.start()
}

// open adds the push to the open ones and to the record.
func (t *step) open() {
	number := t.Row.Seen + 1
	if n := t.byTime(t.ev.Now); t.ev.ClockAgrees && n <= 2*t.p.LastPush {
		// The first push may have been lost, or counted by a process that is
		// gone: R-TIME-NUMBER.
		number = max(number, n)
	}
	o := Push{ID: t.ev.Push, Number: number, at: t.ev.Now, record: -1}
	t.record(&o)
	t.Open = append(slices.Clip(t.Open), o)
	t.touch()
}

// byTime is the number of a push by the age of its message, if WeChat waits between two as long as it
// should; 0 if that is not known.
func (t *step) byTime(now time.Time) int {
	age := now.Sub(time.Unix(t.Row.CreateTime, 0)) + t.p.Slack
	if t.Row.CreateTime <= 0 || age <= 0 {
		return 0
	}
	return 1 + int(age/t.p.Spacing)
}

// record counts a push.
func (t *step) record(o *Push) {
	if len(t.Row.Pushes) < store.MaxPushes {
		o.record = len(t.Row.Pushes)
		t.Row.Pushes = append(slices.Clip(t.Row.Pushes), store.Push{Number: o.Number, At: o.at})
	}
	t.Row.Seen++
}

// touch owes a lazy save to a row that the store has.
func (t *step) touch() {
	if t.Row.Version > 0 {
		t.save(Lazily)
	}
}

// start begins the newest attempt in this process.
func (t *step) start() {
	t.Running, t.attempt = true, t.Row.Attempt
	t.do(Effect{Do: Start})
}

// give decides what the undecided open pushes that which selects are answered.
// Nothing is acknowledged that is not in the store: R-TIME-ACK.
func (t *step) give(what store.Outcome, which func(*Push) bool) (highest int) {
	cloned := false
	for i := range t.Open {
		o := &t.Open[i]
		if o.Given != store.Open || which != nil && !which(o) {
			continue
		}
		if !cloned {
			t.Open, cloned = slices.Clone(t.Open), true
			o = &t.Open[i]
		}
		o.Given = what
		highest = max(highest, o.Number)
		t.do(Effect{Do: Answer, Push: o.ID, Given: what, Retry: o.Number > 1, Last: o.Number >= t.p.LastPush})
	}
	if cloned && t.Row.Version == 0 {
		t.save(Now)
	}
	return highest
}

// settle answers every undecided open push of a turn whose answer is decided.
func (t *step) settle() {
	switch {
	case t.Row.Placeholder != "":
		t.give(store.GotPlaceholder, nil) // once offered, all get it
	case t.decided():
		t.give(store.GotSuccess, nil) // the reply goes another way
	case t.Row.State == store.Failed && t.deliverable():
		t.give(store.GotFallback, nil)
	case t.Row.State != store.Answered:
		t.give(store.GotSuccess, nil)
	default:
		// A retry is WeChat's way to say that the answer did not arrive, so
		// it gets the same again. R-TIME-SAME
		if number := t.give(store.GotReply, nil); number > 0 {
			t.offer(number)
		}
	}
}

// offer notes that pushes up to this number are being given the reply, and who will say how that went.
func (t *step) offer(number int) {
	switch {
	case t.Row.Delivery == store.Undelivered:
		t.save(Now) // the claim on the reply
		if t.Row.Due = (time.Time{}); t.Row.Way.Pages > 1 {
			t.Row.Way.Shown = 1
			t.Row.Due = t.ev.Now.Add(t.p.TicketLife)
		}
	case t.Row.Delivery == store.Offered && t.Row.Owner == t.ev.Self && number <= t.Row.OfferedTo+1:
		// Nobody waits for the store here, which may be slow. Should this process die, another one
		// knows that it does not know. But if a push in between has gone elsewhere, the row may have changed there.
		t.save(Lazily)
	case t.Row.Delivery == store.Written && !t.retried():
		// Somebody on the way has repeated the request. What becomes of that one says nothing.
		t.Row.OfferedTo = max(t.Row.OfferedTo, number)
		t.save(Lazily)
		return
	default:
		// The store says that it has arrived, or when it takes another way, or that another
		// process sees to it. Should this one die now, that would be believed.
		t.save(Now)
		t.Row.Due = t.ev.Now.Add(t.p.AssumeAfter)
	}
	t.Row.Delivery, t.Row.Owner = store.Offered, t.ev.Self
	t.Row.OfferedTo = max(t.Row.OfferedTo, number)
}

// retried reports whether WeChat has come again for a reply that was written: it waits before it does, and not long.
func (t *step) retried() bool {
	var written time.Time
	for _, p := range t.Row.Pushes {
		if p.Got == store.GotReply && p.At.After(written) {
			written = p.At
		}
	}
	return slices.ContainsFunc(t.Open, func(o Push) bool {
		age := o.at.Sub(written)
		return o.Given == store.GotReply && t.p.Spacing-t.p.Slack <= age && age < t.p.AssumeAfter
	})
}

// pushDue is the end of a push's passive window.
func (t *step) pushDue() {
	o := t.find(t.ev.Push)
	if o == nil || o.Given != store.Open {
		return
	}
	if t.Row.State.Finished() || t.decided() {
		t.settle()
		return
	}
	if (t.p.Hold || t.ev.NoAPI) && o.Number < t.p.LastPush && !t.ev.NoHold {
		t.do(Effect{Do: Hold, Push: o.ID}) // R-TIME-HOLD
		if o.Number > t.byTime(o.at) && t.Row.Seen > 1 {
			// WeChat has not waited before this one. The next one may go to a process that
			// has seen none of them, as soon as this one is closed, and must not take itself for this one.
			t.save(Now)
		}
		return
	}
	if t.ev.Waited > t.p.AnswerBy+t.p.Grace && o.Number < t.p.LastPush {
		return // the store took its time: WeChat is about to hang up, and tries again
	}
	t.promise()
}

// pushOver takes out a push that WeChat should have closed long ago. The caller has
// broken it off already: it must not wait for a store that may be down.
func (t *step) pushOver() {
	if o := t.find(t.ev.Push); o != nil {
		given, number := o.Given, o.Number
		t.remove(o, store.Aborted)
		t.undelivered(given, number)
	}
}

// pushClosed takes a push out of the open ones.
func (t *step) pushClosed() {
	o := t.find(t.ev.Push)
	if o == nil {
		return
	}
	given, number := o.Given, o.Number
	if !t.ev.Written {
		t.remove(o, store.Cut)
		t.undelivered(given, number)
		return
	}
	if given == store.GotReply && t.Row.Delivery == store.Offered {
		t.given(store.Written)
		t.touch()
	}
	t.remove(o, given)
}

// given notes that the user has got the reply, or its first page, by a push, or is taken to have.
func (t *step) given(how store.Delivery) {
	if t.perhaps() {
		how = store.Assumed // the rest of it has arrived
	}
	t.Row.Delivery, t.Row.Due = how, time.Time{}
	if t.Row.Way.Pages > 1 {
		t.Row.Due = t.Row.FinishedAt.Add(t.p.TicketLife)
	}
}

// checkAttempt notes that the row, which was read anew, has another attempt than the one that runs here, or its result.
// Whoever took it for running would keep what is to be saved when there is nothing else to do.
func (t *step) checkAttempt() {
	if t.Running && t.Row.Version > 0 && (t.Row.State != store.Running || t.Row.Attempt != t.attempt) {
		t.Running = false
		t.do(Effect{Do: Cancel})
	}
}

func (t *step) find(id int) *Push {
	for i := range t.Open {
		if t.Open[i].ID == id {
			return &t.Open[i]
		}
	}
	return nil
}

func (t *step) remove(o *Push, got store.Outcome) {
	t.over = append(slices.Clip(t.over), store.Push{Number: o.Number, At: o.at, Got: got})
	if i := o.record; i >= 0 && i < len(t.Row.Pushes) && t.Row.Pushes[i].Got != got {
		t.Row.Pushes = slices.Clone(t.Row.Pushes)
		t.Row.Pushes[i].Got = got
		t.touch()
	}
	id := o.ID
	if len(t.Open) == 1 {
		t.Open = nil
		return
	}
	t.Open = slices.DeleteFunc(slices.Clone(t.Open), func(p Push) bool { return p.ID == id })
}

// acceptDue accepts a turn of a Pure route that runs on.
func (t *step) acceptDue() {
	if t.Row.State == store.Running && t.Row.Version == 0 {
		t.save(Now)
	}
}

// result stores what an attempt has come to. Only the newest attempt, run by
// its owner, may: P2.
func (t *step) result() {
	if t.Row.State != store.Running || t.Row.Attempt != t.ev.Attempt || t.Row.Owner != t.ev.Self {
		return
	}
	t.finish(t.ev.State, t.ev.Reason)
	t.Row.Reply = t.ev.Reply
	t.afterResult()
	t.settle()
}

func (t *step) finish(s store.State, reason string) {
	t.Running = false
	t.Row.State, t.Row.Reason, t.Row.FinishedAt = s, reason, t.ev.Now
	t.save(Now)
}

// ownerLost decides about a turn whose process died: P2.
func (t *step) ownerLost() {
	if t.Row.Delivery == store.Sending && t.Row.Owner == t.ev.Lost {
		if mine := t.Sending && t.sender == t.ev.Lost; !mine && t.Row.State != store.Erased {
			t.unknown() // this process, if it was taken for dead, will know
		}
		return
	}
	if t.Row.State != store.Running || t.Row.Owner != t.ev.Lost {
		return // somebody else was quicker
	}
	if t.Running {
		// This process ran it, under an epoch that is dead.
		t.do(Effect{Do: Cancel})
	}
	switch {
	case t.p.Once && !t.Row.Pure && t.Row.Way.Fetch.Page == 0: // to fetch has no side effects
		t.abandon(ReasonInterrupted)
	case t.Row.Attempt >= t.p.Attempts:
		t.abandon(ReasonQuarantined)
	default:
		t.Row.Attempt++
		t.Row.Owner = t.ev.Self
		t.save(Now)
		t.start()
	}
}

// abandon ends a turn that no attempt will answer any more.
func (t *step) abandon(reason string) {
	t.finish(store.Failed, reason)
	t.Row.Way.Told = 0 // of another text than the fallback
	t.route()
	t.settle()
}

// changed takes in a row that was read anew.
func (t *step) changed() {
	mine := t.Row.State == store.Running && t.Row.Owner == t.ev.Self
	if t.Running && !mine {
		// Somebody else runs it, or this process under a claim of its own whose
		// commit was answered by an error.
		t.Running = false
		t.do(Effect{Do: Cancel})
	}
	t.recall()
	if t.Row.State == store.Erased && t.Row.Version == 0 {
		t.save(Now) // the next push of the message has to meet it: P10
	}
	switch {
	case mine && !t.Running:
		t.start() // our own claim, whose commit was answered by an error
	case t.Row.State.Finished() || t.decided():
		t.settle()
	}
	wrote := slices.ContainsFunc(t.over, func(p store.Push) bool { return p.Got == store.GotReply })
	if wrote && t.Row.Delivery == store.Offered && t.Row.State == store.Answered {
		t.given(store.Written) // what was to be saved when there is time
		t.save(Now)
	}
	if t.Row.Delivery == store.Offered && t.Row.State == store.Answered && t.Row.Owner.ID == t.ev.Self.ID && !t.anyOpen(store.GotReply) {
		// A push of ours, perhaps of an epoch that is over, has failed, and somebody else has written the row before that was
		// saved. Without a time nobody would look at it again.
		if soon := t.ev.Now.Add(t.p.AssumeAfter); t.Row.Due.IsZero() || t.Row.Due.After(soon) {
			t.Row.Due = soon
			t.touch()
		}
	}
	if t.Row.Delivery == store.Sending && t.Row.Owner == t.ev.Self && !t.Sending && t.Row.State != store.Erased {
		t.send() // our own mark, whose commit was answered by an error
	}
}

// recall puts on record what this process knows of its pushes, and the row that was read does not. Otherwise what
// was offered to one of them would be taken for offered to nobody.
func (t *step) recall() {
	find := func(number int, at time.Time) int {
		return slices.IndexFunc(t.Row.Pushes, func(p store.Push) bool { return p.Number == number && p.At.Equal(at) })
	}
	t.Open = slices.Clone(t.Open)
	for i := range t.Open {
		o := &t.Open[i]
		if o.record = find(o.Number, o.at); o.record < 0 && len(t.Row.Pushes) < store.MaxPushes {
			t.record(o)
			t.touch()
		}
	}
	for _, p := range t.over {
		o := Push{Number: p.Number, at: p.At, record: find(p.Number, p.At)}
		if o.record < 0 && len(t.Row.Pushes) < store.MaxPushes {
			t.record(&o)
		}
		if o.record >= 0 && t.Row.Pushes[o.record].Got != p.Got {
			t.Row.Pushes = slices.Clone(t.Row.Pushes)
			t.Row.Pushes[o.record].Got = p.Got
			t.touch()
		}
	}
}

// unconfirmed decides about a reply that was offered by a process that died before
// it could say whether it was written: P4.
func (t *step) unconfirmed() {
	if t.Row.State != store.Answered || t.Row.Delivery != store.Offered || t.Row.Owner != t.ev.Lost {
		return
	}
	if len(t.Open) > 0 || t.retrying() {
		t.postpone(t.p.AssumeAfter)
		t.save(Now) // somebody else's row would be without it, and nobody would look again
		return
	}
	t.inVain()
}

// retrying reports whether a retry may still come, or be answered by another node.
func (t *step) retrying() bool {
	return slices.ContainsFunc(t.Row.Pushes, func(p store.Push) bool {
		age := t.ev.Now.Sub(p.At)
		return 0 <= age && age < t.p.AssumeAfter // below 0 the clock was wrong when it came
	})
}

// inVain decides about a reply that was offered, and that no retry has asked for since. A write that is known to have
// failed did not arrive. But if nobody knows of a push that had the reply whether it has taken it, the reply is
// sent once more by the API, and then no more, or is taken as delivered: P4. Without the API, what the last push
// did not take is kept, for the user to fetch.
func (t *step) inVain() {
	failed, ambiguous := !t.unknownAt(t.Row.OfferedTo), t.anotherMayHave()
	switch {
	case t.broughtBefore():
		t.assume()
	case failed && !(ambiguous && t.p.API):
		t.nextWay(ReasonNoPush)
	case t.p.API && !t.p.DropUnknown:
		t.nextWay("")
		t.Row.Way.Unknown = 1 // so not a third time
	default:
		t.assume()
	}
	if ambiguous || !failed {
		t.do(Effect{Do: NoteAmbiguous})
	}
}

// unknownAt reports whether nobody knows how a push with this number has ended.
func (t *step) unknownAt(number int) bool {
	known := false
	for _, p := range t.Row.Pushes {
		switch {
		case p.Number != number:
		case p.Got == store.Cut || p.Got == store.Aborted:
			known = true
		default:
			return true
		}
	}
	return !known || t.Row.Seen > len(t.Row.Pushes) // some are not recorded
}

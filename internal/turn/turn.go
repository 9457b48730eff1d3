// Package turn is the life of a message as one pure function.
//
// [Step] takes the state of a turn and something that happened to it, and
// returns the next state and what is to be done. It does no I/O, reads no
// clock and starts no timer, so a test can drive it through a million schedules
// of pushes, results, crashes and clock jumps. Everything that decides who
// starts a handler and which push gets the reply is here and nowhere else.
//
// The caller (package callback) feeds events, one at a time for each turn, and
// keeps eight rules:
//
//   - [Effects.Save] comes first. Now: the row is claimed (version 0) or saved,
//     and the effects are carried out only once that has committed. Lazily: the
//     row may wait for the next save, or for the turn to be put away.
//   - If the store hands back another row, the caller forgets the step, puts
//     that row into the old state, steps Changed and then the event again.
//   - If the store says that this process is fenced, the caller joins again,
//     steps OwnerLost if the turn is owned by the old epoch, and then the event again.
//   - If the store fails, nothing is acknowledged: the caller asks again later
//     with the same row.
//   - A push that cannot be WeChat's last, and is not held, is not answered later than
//     AnswerBy and Grace after its arrival: it is left to WeChat's cut, as if
//     the answer could not be written. Its retry gets the same. R-TIME-BUDGET
//   - While another node runs the turn, the caller reads the row from time to time,
//     and before PushDue, and steps Changed or OwnerLost if it must.
//   - If the user is erased while the store has not seen the turn, the caller erases
//     the row in the state and steps Changed: P10.
//   - Open pushes and timers are volatile. They die with the process; the row
//     does not.
package turn

import (
	"slices"
	"time"

	"github.com/echostr/echostr/store"
)

// Policy holds every duration and bound of the life of a message, so that tests
// can scale them. The zero Policy is of no use; start from [DefaultPolicy].
type Policy struct {
	// AnswerBy is how long after its arrival a push is answered, or held: R-TIME-BUDGET.
	AnswerBy time.Duration
	// Grace is how much later a push may be answered than AnswerBy, at most.
	Grace time.Duration
	// AbortAfter is how long after its arrival a held push is given up that
	// WeChat has not closed by then.
	AbortAfter time.Duration
	// Spacing is the time between the pushes of a message, and Slack how far
	// a push may lag behind CreateTime and still be the one before.
	Spacing, Slack time.Duration
	// LastPush is the number of the push that may be WeChat's last.
	LastPush int
	// ReplayAfter is the age at which a further push is no retry any more.
	ReplayAfter time.Duration
	// AssumeAfter is how long after its last push an answer whose fate nobody
	// knows is taken as delivered: no retry has asked for it again.
	AssumeAfter time.Duration
	// AcceptBy is when a turn of a Pure route is accepted at the latest.
	AcceptBy time.Duration
	// Attempts is how often a handler is started whose process dies; after
	// that the turn is quarantined.
	Attempts int
	// Once starts no second attempt: what was interrupted stays so.
	Once bool
	// Hold keeps pushes that cannot be the last open for WeChat's retry: the
	// account has no customer-service API, so a push is the only way.
	Hold bool
	// Fallback says that the account has a text for failed turns.
	Fallback bool
}

// DefaultPolicy returns the figures of docs/reliability.md, for an
// account with the customer-service API.
func DefaultPolicy() Policy {
	return Policy{
		AnswerBy:    4500 * time.Millisecond,
		Grace:       50 * time.Millisecond,
		AbortAfter:  6 * time.Second,
		Spacing:     5 * time.Second,
		Slack:       time.Second,
		LastPush:    3,
		ReplayAfter: time.Minute,
		AssumeAfter: 15 * time.Second,
		AcceptBy:    time.Second,
		Attempts:    3,
	}
}

// State is a turn as one process sees it.
type State struct {
	// Row is the durable part. Version 0 means that the store has not seen it.
	Row store.Turn
	// Open are the pushes open in this process, oldest first. The slice is
	// never changed in place.
	Open []Push
	// Running says that this process runs the newest attempt.
	Running bool

	attempt int // that it started last
}

// Push is an open push.
type Push struct {
	ID     int // given by the caller, unique within the turn and process
	Number int // which of WeChat's pushes it is taken for, from 1
	// Given is what it is being answered, and Open while that is not decided.
	Given store.Outcome

	at     time.Time
	record int // its index in Row.Pushes, or -1
}

// Kind is what happened.
type Kind uint8

const (
	// PushArrived: a verified push of this key came in.
	PushArrived Kind = iota + 1
	// PushDue: a push has been open for AnswerBy.
	PushDue
	// PushOver: a push has been open for AbortAfter, and was broken off.
	PushOver
	// PushClosed: a push is finished: answered and written, or closed by WeChat.
	PushClosed
	// AcceptDue: a turn of a Pure route has run for AcceptBy.
	AcceptDue
	// Result: an attempt has ended, or its time has.
	Result
	// OwnerLost: a node that may own the running turn is dead.
	OwnerLost
	// Changed: Row was read anew, because a save met it or somebody else wrote it.
	Changed
	// Unconfirmed: a node is dead that may have offered the reply without
	// saying whether it was written.
	Unconfirmed
)

// Event is something that happened to a turn. Fields that the kind does not
// name are ignored.
type Event struct {
	Kind Kind
	Now  time.Time  // the wall clock
	Self store.Node // this process; for a Result, who ran the attempt

	Push    int  // PushArrived, PushDue, PushOver, PushClosed: the ID
	Written bool // PushClosed: the response was written completely

	Waited time.Duration // PushDue: how long the push has been open by now

	Lost store.Node // OwnerLost, Unconfirmed: the node that is dead

	// PushArrived. If the turn is new, Row holds what was received, with Seen 0.
	Age         time.Duration // since the turn's first push, wall-clock jumps taken out
	ClockAgrees bool          // the wall clock agrees with recent pushes
	Forgotten   bool          // the store does not know the message, and may have known it before it was restored

	// Result.
	Attempt int
	State   store.State // Answered, Silent or Failed
	Reply   string
	Reason  string
}

// Durability says what a step owes to the store.
type Durability uint8

const (
	// Nothing: the row is as the store has it.
	Nothing Durability = iota
	// Lazily: the row has changed; it may wait for the next save.
	Lazily
	// Now: the row must be committed before the effects are carried out.
	Now
)

// Action is something to do.
type Action uint8

const (
	// Start runs the handler for attempt Row.Attempt.
	Start Action = iota + 1
	// Cancel ends the context of the handler: its result is not wanted any more.
	Cancel
	// Answer finishes a push with its Given.
	Answer
	// Hold leaves a push open beyond AnswerBy until WeChat closes it.
	Hold
	// Replay counts a push that was answered `success` because it came too
	// late to be a retry, or to be known.
	Replay
	// NoteLate counts a reply that no push can carry any more.
	NoteLate
	// NoteAmbiguous counts a reply of which nobody knows whether it arrived.
	NoteAmbiguous
)

// Effect is one thing to do.
type Effect struct {
	Do    Action
	Push  int           // Answer, Hold, Replay: the ID
	Given store.Outcome // Answer: GotReply, GotFallback or GotSuccess
	Retry bool          // Answer: the push is not WeChat's first
	Last  bool          // Answer: the push may be WeChat's last
}

// Effects is what a step wants done, in order.
type Effects struct {
	Save Durability
	List []Effect
}

// Step returns the state after ev and what is to be done about it. It changes
// nothing that s refers to.
func Step(p *Policy, s State, ev *Event) (State, Effects) {
	t := step{p: p, ev: ev, State: s}
	switch ev.Kind {
	case PushArrived:
		t.pushArrived()
	case PushDue:
		t.pushDue()
	case PushOver:
		t.pushOver()
	case PushClosed:
		t.pushClosed()
	case AcceptDue:
		t.acceptDue()
	case Result:
		t.result()
	case OwnerLost:
		t.ownerLost()
	case Changed:
		t.changed()
	case Unconfirmed:
		t.unconfirmed()
	}
	return t.State, t.out
}

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
	case t.Row.State.Finished() || t.Row.Delivery == store.Late:
		t.settle()
	}
	// Running, here or on another node: the push joins and waits.
}

// accept takes in a message that nobody knows.
func (t *step) accept() {
	t.Row.ReceivedAt = t.ev.Now
	t.open()
	if t.Row.State.Finished() { // unparseable, or erased while it waited for the store
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
	if t.ev.ClockAgrees && t.Row.CreateTime > 0 {
		// The first push may have been lost, or counted by a process that is
		// gone: R-TIME-NUMBER.
		age := t.ev.Now.Sub(time.Unix(t.Row.CreateTime, 0)) + t.p.Slack
		if n := 1 + int(age/t.p.Spacing); age > 0 && n <= 2*t.p.LastPush {
			number = max(number, n)
		}
	}
	record := -1
	if len(t.Row.Pushes) < store.MaxPushes {
		record = len(t.Row.Pushes)
		t.Row.Pushes = append(slices.Clip(t.Row.Pushes), store.Push{Number: number, At: t.ev.Now})
	}
	t.Row.Seen++
	t.Open = append(slices.Clip(t.Open), Push{ID: t.ev.Push, Number: number, at: t.ev.Now, record: record})
	t.touch()
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
	case t.Row.Delivery == store.Late:
		t.give(store.GotSuccess, nil) // the reply goes another way
	case t.Row.State == store.Failed && t.p.Fallback && t.Row.OpenID != "":
		t.give(store.GotFallback, nil)
	case t.Row.State != store.Answered:
		t.give(store.GotSuccess, nil)
	default:
		// A retry is WeChat's way to say that the answer did not arrive, so
		// it gets the same again. R-TIME-SAME
		number := t.give(store.GotReply, nil)
		if number == 0 {
			return
		}
		if t.Row.Delivery == store.Undelivered {
			t.save(Now) // the claim on the reply
		} else {
			t.save(Lazily)
		}
		t.Row.Delivery = store.Offered
		t.Row.OfferedTo = max(t.Row.OfferedTo, number)
	}
}

// pushDue is the end of a push's passive window.
func (t *step) pushDue() {
	o := t.find(t.ev.Push)
	if o == nil || o.Given != store.Open {
		return
	}
	if t.Row.State.Finished() {
		t.settle()
		return
	}
	if t.p.Hold && o.Number < t.p.LastPush && t.Row.Delivery != store.Late {
		t.do(Effect{Do: Hold, Push: o.ID}) // R-TIME-HOLD
		return
	}
	if t.ev.Waited > t.p.AnswerBy+t.p.Grace && o.Number < t.p.LastPush {
		return // the store took its time: WeChat is about to hang up, and tries again
	}
	// `success` ends WeChat's retries (R-PUSH-STOP), so no push can carry the
	// reply any more (R-PUSH-LATE).
	t.Row.Delivery = store.Late
	t.save(Lazily)
	t.give(store.GotSuccess, nil)
}

// pushOver takes out a push that WeChat should have closed long ago. The caller has
// broken it off already: it must not wait for a store that may be down.
func (t *step) pushOver() {
	if o := t.find(t.ev.Push); o != nil {
		t.remove(o, store.Aborted)
	}
}

// pushClosed takes a push out of the open ones.
func (t *step) pushClosed() {
	o := t.find(t.ev.Push)
	if o == nil {
		return
	}
	if !t.ev.Written {
		t.remove(o, store.Cut)
		return
	}
	if o.Given == store.GotReply && t.Row.Delivery == store.Offered {
		t.Row.Delivery = store.Written
	}
	t.remove(o, o.Given)
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
	if t.Row.Delivery == store.Late && t.Row.State == store.Answered {
		t.do(Effect{Do: NoteLate})
	}
	t.settle()
}

func (t *step) finish(s store.State, reason string) {
	t.Running = false
	t.Row.State, t.Row.Reason, t.Row.FinishedAt = s, reason, t.ev.Now
	t.save(Now)
}

// ownerLost decides about a turn whose process died: P2.
func (t *step) ownerLost() {
	if t.Row.State != store.Running || t.Row.Owner != t.ev.Lost {
		return // somebody else was quicker
	}
	if t.Running {
		// This process ran it, under an epoch that is dead.
		t.do(Effect{Do: Cancel})
	}
	switch {
	case t.p.Once && !t.Row.Pure:
		t.finish(store.Failed, ReasonInterrupted)
		t.settle()
	case t.Row.Attempt >= t.p.Attempts:
		t.finish(store.Failed, ReasonQuarantined)
		t.settle()
	default:
		t.Row.Attempt++
		t.Row.Owner = t.ev.Self
		t.save(Now)
		t.start()
	}
}

// changed takes in a row that was read anew.
func (t *step) changed() {
	mine := t.Row.State == store.Running && t.Row.Owner == t.ev.Self
	if t.Running && (!mine || t.attempt != t.Row.Attempt) {
		// Somebody else runs it, or this process under a claim of its own whose
		// commit was answered by an error.
		t.Running = false
		t.do(Effect{Do: Cancel})
	}
	t.Open = slices.Clone(t.Open)
	for i := range t.Open {
		// The row that was read may know this process's pushes, or not.
		o := &t.Open[i]
		o.record = slices.IndexFunc(t.Row.Pushes, func(p store.Push) bool { return p.Number == o.Number && p.At.Equal(o.at) })
	}
	if t.Row.State == store.Erased && t.Row.Version == 0 {
		t.save(Now) // the next push of the message has to meet it: P10
	}
	switch {
	case mine && !t.Running:
		t.start() // our own claim, whose commit was answered by an error
	case t.Row.State.Finished() || t.Row.Delivery == store.Late:
		t.settle()
	}
}

// unconfirmed decides about a reply that was offered by a process that died before
// it could say whether it was written: P4. There is no other way to send it, so it is
// taken as delivered. A write that is known to have failed is not ambiguous: the
// answer did not arrive.
func (t *step) unconfirmed() {
	if t.Row.State != store.Answered || t.Row.Delivery != store.Offered || t.Row.Owner != t.ev.Lost || len(t.Open) > 0 {
		return
	}
	unknown := t.Row.Seen > len(t.Row.Pushes) // some are not recorded
	for _, p := range t.Row.Pushes {
		if t.ev.Now.Sub(p.At) < t.p.AssumeAfter {
			return // its retry may still come, or is being answered by another node
		}
		unknown = unknown || p.Number == t.Row.OfferedTo && p.Got == store.Open
	}
	if !unknown {
		return
	}
	t.Row.Delivery = store.Assumed
	t.save(Now)
	t.do(Effect{Do: NoteAmbiguous})
}

// Reasons that Step records itself. The caller records those of its own.
const (
	ReasonInterrupted = "interrupted: the process that ran the handler died"
	ReasonQuarantined = "quarantined: the process died in every attempt"
)

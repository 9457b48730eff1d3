// Package turn is the life of a message as one pure function.
//
// [Step] takes the state of a turn and something that happened to it, and
// returns the next state and what is to be done. It does no I/O, reads no
// clock and starts no timer, so a test can drive it through a million schedules
// of pushes, results, crashes and clock jumps. Everything that decides who
// starts a handler and which push gets the reply is here and nowhere else.
//
// The caller (package callback) feeds events, one at a time for each turn, and
// keeps nine rules:
//
//   - [Effects.Save] comes first. Now: the row is claimed (version 0) or saved,
//     and the effects are carried out only once that has committed. Lazily: the
//     row may wait for the next save, or for the turn to be put away. If that save fails,
//     it is tried again while the row is due; if it meets another row, that is stepped Changed.
//   - If the store hands back another row, the caller forgets the step, puts
//     that row into the old state, steps Changed and then the event again. If it hands back the
//     same row, which was to be Sending, the caller says so in Event.Busy.
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
//   - When the time in Row.Due has come, the caller steps Due, wherever the row is: in this
//     process, or left behind by one that is dead.
//   - Open pushes, timers and requests to the API are volatile. They die with the process; the
//     row does not. The state is kept while a push is open, the handler runs or a request is
//     under way: see [State].
//
// # One claim
//
// A reply is taken by an open push, by the outbox or by whoever fetches it, and never by two of
// them: whoever takes it writes Row.Delivery in one conditional save. Offered and Written are
// the pushes', Late, Sending and Sent the outbox's, Ticket and Fetched the user's.
package turn

import (
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
	// Hold keeps pushes that cannot be the last open for WeChat's retry.
	Hold bool
	// API says that the account has the customer-service API (客服消息) and uses it for late
	// replies. Without it they become tickets.
	API bool
	// DropUnknown sends nothing again of which nobody knows whether it was sent.
	DropUnknown bool
	// ResendAfter is when a message is sent again of which nobody knows whether it was sent.
	ResendAfter time.Duration
	// FirstBackOff is the longest pause after the first try in vain to send; each one doubles
	// it, up to MaxBackOff.
	FirstBackOff, MaxBackOff time.Duration
	// SendTime is more than a request to the API takes.
	SendTime time.Duration
	// TicketLife is how long a reply is kept for the user to fetch.
	TicketLife time.Duration
	// Window is how long after a message of the user the API takes messages to him, and
	// Quota how many. ShortWindow and ShortQuota are those of a click, scan or follow: R-API-WINDOW
	Window, ShortWindow time.Duration
	Quota, ShortQuota   int
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

		API:          true,
		ResendAfter:  15 * time.Second,
		FirstBackOff: time.Second,
		MaxBackOff:   5 * time.Minute,
		SendTime:     time.Minute,
		TicketLife:   24 * time.Hour,
		Window:       48 * time.Hour,
		ShortWindow:  time.Minute,
		Quota:        5,
		ShortQuota:   3,
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
	// Sending says that this process has a request to the API under way: it was told to Send,
	// and Sent has not been stepped.
	Sending bool

	attempt int        // that it started last
	sender  store.Node // as whom it sends
	// The pushes that have ended here, in case another row comes in that does not know of it.
	over []store.Push
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
	// Due: the time in Row.Due has come.
	Due
	// Sent: a request to the API has ended.
	Sent
	// Take: another turn wants to carry the reply, or a page of it.
	Take
	// Resend and Drop: the operator wants the reply sent, or given up.
	Resend
	Drop
)

// Event is something that happened to a turn. Fields that the kind does not
// name are ignored.
type Event struct {
	Kind Kind
	Now  time.Time  // the wall clock
	Self store.Node // this process; for a Result, who ran the attempt
	// Since is the epoch with which this process began, if Self is a later one: its lease has run out in between. What
	// those have offered, it knows all about.
	Since int64

	Push    int  // PushArrived, PushDue, PushOver, PushClosed: the ID
	Written bool // PushClosed: the response was written completely

	// PushDue.
	Waited time.Duration // how long the push has been open by now
	NoHold bool          // WeChat's patience is used up, or its retries do not come
	// What the push gets in place of the reply, and how many bytes of the reply's text that
	// tells. Empty: nothing can be said.
	Placeholder string

	// NoAPI says that WeChat's API is known to take nothing of the account now, so a way without it
	// comes first: PushDue, Result.
	NoAPI bool

	Lost store.Node // OwnerLost, Unconfirmed: the node that is dead

	// Code is a name for the reply that no other of the user has: for all kinds by which it may
	// become a ticket.
	Code string
	// Told is how many bytes of the reply's text the user has then been told. PushDue: by the
	// Placeholder. Result: what [Told] says, or 0 if the text does not go on from there.
	// Sent, OwnerLost: by what was sent. More says that there is more to be sent.
	Told int
	More bool
	// Pages is how many pages the rest of the reply is fetched in: Result, Sent, and Take, since the
	// rest is shorter once some of it was sent. Sent: above 0 says that the message told how to
	// fetch them, so that the rest is not sent.
	Pages int

	// PushArrived. If the turn is new, Row holds what was received, with Seen 0, and is Finished already if the caller starts
	// nothing for it.
	Age         time.Duration // since the turn's first push, wall-clock jumps taken out
	ClockAgrees bool          // the wall clock agrees with recent pushes
	Forgotten   bool          // the store does not know the message, and may have known it before it was restored

	// Result.
	Attempt int
	State   store.State // Answered, Silent or Failed
	Reply   string
	Reason  string // also: Sent, Drop
	Parts   int    // messages that the API needs for the reply
	Said    int    // messages that the API has taken from the handler

	// Sent.
	Fate   Fate
	After  time.Duration // Later: the shortest pause
	Jitter float64       // at random from [0, 1)

	// Take. An attempt takes again what one before it had taken for the same turn. Of a reply that is
	// Offered only what a link asks for is taken, since it is the link that tells that the push arrived.
	By    store.Key
	Page  int  // from 1; 0 is all of a reply of one page that the user has seen nothing of
	Again bool // the page was shown before, as the taker knows

	// Due: another node sends to the user, as the store says, which has handed the row back. R-LATE-ORDER
	Busy bool
	// Due: how the turn in Row.Way.TakenBy is; Failed also if the store has none, or if what it was answered
	// does not bring this reply. 0 is taken for Answered.
	Taker store.State
}

// Fate is what has become of a message that was to be sent by the API.
type Fate uint8

const (
	Done    Fate = iota + 1 // WeChat has taken it
	Later                   // not sent; try again
	Refused                 // not sent, and useless to try; the user may still fetch it
	Gone                    // not sent, and the user cannot fetch it
	Unknown                 // perhaps sent
)

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
	// NoteTicket counts a reply that is kept for the user, and NoteUndeliverable one that no way is
	// left for.
	NoteTicket
	NoteUndeliverable
	// Send sends the next part of the reply by the API, and then steps Sent.
	Send
	// Give lets the one who takes have what he asked for.
	Give
	// Wait tells the one who takes that there is no result yet.
	Wait
	// Deny tells the one who takes that there is nothing for him: another one has it.
	Deny
)

// Effect is one thing to do.
type Effect struct {
	Do    Action
	Push  int           // Answer, Hold, Replay: the ID
	Given store.Outcome // Answer: GotReply, GotFallback, GotPlaceholder or GotSuccess
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
	t.checkAttempt()
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
	case Due:
		t.due()
	case Sent:
		t.sent()
	case Take:
		t.take()
	case Resend:
		t.resend()
	case Drop:
		t.drop()
	}
	return t.State, t.out
}

// Reasons that Step records itself. The caller records those of its own.
const (
	ReasonInterrupted = "interrupted: the process that ran the handler died"
	ReasonQuarantined = "quarantined: the process died in every attempt"
	ReasonNoPush      = "no push could carry the answer"
	ReasonNoAPI       = "the account sends nothing by the customer-service API"
	ReasonWindow      = "window closed: the user must write again before the account may send anything"
	ReasonQuota       = "quota used up: WeChat takes no more messages for one message of the user"
	ReasonExpired     = "expired: the user has not fetched the answer"
	ReasonUnasked     = "nobody waits for an answer to this event"
	ReasonTwice       = "sent twice, and nobody knows whether it arrived"
	ReasonOnce        = "sent, and nobody knows whether it arrived"
	ReasonDropped     = "dropped by the operator"
	ReasonTaker       = "the message that was to bring the answer has failed"
)

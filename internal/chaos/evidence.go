package chaos

import (
	"strings"
	"time"
)

// Evidence is what the parties have written down. The zero value is an empty run.
type Evidence struct {
	// Messages is WeChat's side: each message that was pushed.
	Messages []*Message
	// Starts and Ends are the witness file, in the order of time.
	Starts, Ends []Mark
	// Lives are the processes of the bot, in the order of time.
	Lives []Life
	// Cuts are the times at which processes were without their store, though they lived.
	Cuts []Cut

	// Stored says that there is a database, so that Rows is what is in it.
	Stored bool
	Rows   []Row
	// Integrity has the answers of PRAGMA integrity_check.
	Integrity []string

	// Pure says that the handler was declared free of side effects, so that no start
	// mark is owed for it.
	Pure bool
	// Timely says that nothing has taken the server's time away, so I7 holds.
	Timely bool
	// APICalls are the calls of WeChat's API by which messages were to be sent, in the order of their ends.
	APICalls []APICall
	// Idle are what the process took when it had nothing to do: after warming up, and
	// after more work. Nil if it was not looked at.
	Idle []Usage
}

// Message is one message on WeChat's side.
type Message struct {
	// ID is the kind and the mark, as in text/1f or CLICK/20: what a push, a reply, a
	// row and a witness record have in common.
	ID      string
	Account string
	User    string
	// Do is what the handler was told to do.
	Do Instruction
	// Hold says that a push which is not the last is held beyond its window, and answered if the result comes
	// then.
	Hold bool
	// Fetch says that it is a tap or a word by which the user fetches an answer. If there is none it is a
	// message like any other.
	Fetch bool
	// Forged says that it was pushed in a way that the server must refuse.
	Forged bool
	// Pushes are in the order of time.
	Pushes []Push
	// Stopped says that the harness ended before WeChat would have.
	Stopped bool
}

// Push is one push and what came of it.
type Push struct {
	Start time.Time
	Took  time.Duration
	// Repeat says that WeChat sent a message again that had been answered.
	Repeat bool
	// Node is the one that it went to, from 1; 0 if there is one only, or nobody took the connection.
	Node int
	// Status is that of a complete answer, and 0 if there was none: the push was
	// refused, broken off or cut, as Failure says.
	Status  int
	Failure string
	// Problem is what is wrong with the body of a 200, in simulator's short names.
	Problem string
	// Reply is the text of the reply; empty after success and the empty body.
	Reply string
}

// Acked reports whether the push was answered with 200.
func (p *Push) Acked() bool { return p.Status == 200 }

// End is when it was over.
func (p *Push) End() time.Time { return p.Start.Add(p.Took) }

// Acked reports whether a push of the message was answered with 200.
func (m *Message) Acked() bool { return m.ack() != nil }

// ack returns the first push that was answered with 200.
func (m *Message) ack() *Push {
	for i := range m.Pushes {
		if m.Pushes[i].Acked() {
			return &m.Pushes[i]
		}
	}
	return nil
}

// Mark is a record of the witness file: a handler was started, or has ended.
type Mark struct {
	ID      string
	Key     string // the key that the handler was given
	Attempt int
	PID     int
	At      time.Time
}

// Life is one process of the bot.
type Life struct {
	PID     int
	Started time.Time
	Ready   time.Time // zero if it never was
	Ended   time.Time // zero if it still runs
	// Clean says that it was told to stop and has; else it was killed.
	Clean bool
	// Hurried says that it was told to stop and its time was over before all was finished, so that it does not know what
	// became of the rest.
	Hurried bool
	Exit    int // exit code; -1 after a signal
	Node    int // from 1; 0 if there is one only
}

// Cut is a time at which processes could not reach the store, or did not hear what it said. They may have
// lost their lease on it.
type Cut struct {
	PID      int // 0: every process
	From, To time.Time
}

// Row is a turn in the database.
type Row struct {
	ID       string // empty if its body is none of ours
	Key      string
	Account  string
	User     string
	State    string // as store.State prints it
	Attempt  int
	Reply    string // the text of the stored reply
	To       string // whom that reply goes to
	Reason   string
	Delivery string
	Received time.Time
	Finished time.Time

	Placeholder string // the text that was given in place of the reply
	Code        string
	Due         time.Time
	Told        int
	Unknown     int
	TakenBy     string // the Key of the row that has carried the reply
	Fetches     string // the Key of the row whose reply the message asks for; of zeros if that is gone
	Again       bool   // it had been given before
}

// onItsWay reports whether the reply will still take a way by itself. The kinds of delivery are those of
// package store.
func (r *Row) onItsWay() bool {
	switch r.Delivery {
	case "none", "offered":
		return r.State == "answered"
	case "late", "sending":
		return !r.Due.IsZero()
	}
	return false
}

// done reports whether the state is an end state.
func (r *Row) done() bool { return r.State != "running" && r.State != "new" && r.State != "" }

// APICall is one call of WeChat's API by which a message was to be sent to a user.
type APICall struct {
	Account string `json:"account"`
	User    string `json:"user"`
	Text    string `json:"text"`
	// Begun is when it came in, At when it was decided, and Answered when the answer had been written; that is zero
	// if it never was.
	Begun    time.Time `json:"begun"`
	At       time.Time `json:"at"`
	Answered time.Time `json:"answered"`
	// Sent says that the user has got the message.
	Sent bool `json:"sent"`
	// Lost says that the bot was not told so.
	Lost bool `json:"lost"`
}

// Usage is what a process takes.
type Usage struct {
	Goroutines  int `json:"goroutines"`
	Descriptors int `json:"descriptors"`
	ResidentKiB int `json:"resident_kib"`
}

// Violation says that an invariant does not hold.
type Violation struct {
	// Invariant is its name: I1 to I12.
	Invariant string `json:"invariant"`
	// Message is the ID of the message, with its account and instruction; empty if
	// it is about none.
	Message string `json:"message,omitempty"`
	// What was seen, in a sentence, and the facts about the message.
	What string `json:"what"`
}

func (v Violation) String() string {
	parts := []string{v.Invariant}
	if v.Message != "" {
		parts = append(parts, v.Message)
	}
	return strings.Join(append(parts, v.What), ": ")
}

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
	// APICalls are calls of WeChat's API, and APIBudget how many there may be.
	APICalls  []APICall
	APIBudget int
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
	// Hold says that the account has no customer-service API, so that a push which is
	// not the last is held beyond its window, and answered if the result comes then.
	Hold bool
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
	Exit  int // exit code; -1 after a signal
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
}

// done reports whether the state is an end state.
func (r *Row) done() bool { return r.State != "running" && r.State != "new" && r.State != "" }

// APICall is one call of WeChat's API for a message.
type APICall struct {
	ID string
	At time.Time
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

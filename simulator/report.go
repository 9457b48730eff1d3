package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Report is what happened to one message.
type Report struct {
	// Message is the message with everything filled in.
	Message Message
	// Document is the message in clear, as XML.
	Document []byte
	// Pushes are the pushes in order.
	Pushes []Push
	// Verdict is what came of it.
	Verdict Verdict
}

// String is one line for every push and one for the verdict.
func (r *Report) String() string {
	var b strings.Builder
	for _, p := range r.Pushes {
		fmt.Fprintln(&b, p)
	}
	b.WriteString(r.Verdict.String())
	return b.String()
}

// Outcome says how a push ended.
type Outcome int

// The outcomes.
const (
	Pending  Outcome = iota // it has not ended
	Answered                // a complete answer came in time, with any status
	Cut                     // no complete answer came in time, and the connection was cut
	Refused                 // no connection could be made
	Reset                   // the connection ended before a complete answer
	BadTLS                  // the certificate is not good, or TLS failed otherwise
	NotSent                 // the Request cannot be written as HTTP, so nothing was sent; of [WeChat.Do] only
)

func (o Outcome) String() string {
	switch o {
	case Pending:
		return "pending"
	case Answered:
		return "answered"
	case Cut:
		return "cut"
	case Refused:
		return "refused"
	case Reset:
		return "reset"
	case BadTLS:
		return "tls"
	case NotSent:
		return "not sent"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// MarshalText writes the name, for JSON.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Push is one push of a message.
type Push struct {
	// Message is the message that was pushed.
	Message Message
	// Request is what was sent, or would have been if Lost.
	Request Request
	// Node is the one of Account.Nodes that it was sent to, or that refused it last, empty if the account has none.
	Node string
	// Number counts the pushes of the message from 1.
	Number int
	// Start is when the connection was begun, and Duration how long the push took.
	Start    time.Time
	Duration time.Duration
	// Outcome says how it ended.
	Outcome Outcome
	// Lost says that it was not sent, by Rules.LoseFirst.
	Lost bool
	// Status, Header and Body are the answer, if Outcome is Answered. Body has at most 1 MiB and one byte.
	Status int
	Header http.Header
	Body   []byte
	// Err is the reason, if Outcome is Refused, Reset, BadTLS or NotSent.
	Err error
}

func (p Push) String() string {
	after := p.Duration.Round(time.Millisecond)
	if p.Duration < time.Millisecond {
		after = p.Duration.Round(time.Microsecond)
	}
	var s string
	switch p.Outcome {
	case Pending:
		return fmt.Sprintf("push %d: sent", p.Number)
	case NotSent:
		return fmt.Sprintf("push %d: not sent: %v", p.Number, p.Err)
	case Answered:
		s = fmt.Sprintf("push %d: answered after %v: %d, %d bytes", p.Number, after, p.Status, len(p.Body))
	case Cut:
		s = fmt.Sprintf("push %d: no answer, cut after %v", p.Number, after)
	default:
		s = fmt.Sprintf("push %d: %v after %v: %v", p.Number, p.Outcome, after, p.Err)
	}
	if p.Lost {
		s += " (lost on purpose)"
	}
	return s
}

// FaultNotice is what the user reads when the server did not answer as it should.
const FaultNotice = "该公众号提供的服务出现故障，请稍后再试"

// Sees says what the user sees.
type Sees int

// What the user can see.
const (
	SeesNothing Sees = iota // nothing
	SeesReply               // the reply
	SeesFault               // the fault notice
)

func (s Sees) String() string {
	switch s {
	case SeesNothing:
		return "nothing"
	case SeesReply:
		return "reply"
	case SeesFault:
		return "fault notice"
	}
	return fmt.Sprintf("Sees(%d)", int(s))
}

// MarshalText writes the name, for JSON.
func (s Sees) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Verdict is what came of a message.
type Verdict struct {
	// Sees is what the user sees.
	Sees Sees
	// Reply is the reply, if there was a good one. It is there, and Sees is
	// SeesNothing, after an event to which WeChat takes no reply.
	Reply *Reply
	// Problem is the short name of what is wrong, by the table in the package
	// comment. Empty if nothing is wrong.
	Problem string
	// Why is a sentence for people: what was understood, or what is wrong and what to do.
	Why string
}

// OK reports whether the server answered as it should, with a reply or without
// one. It is false for an event that went wrong, though the user sees nothing.
func (v Verdict) OK() bool { return v.Problem == "" }

func (v Verdict) String() string {
	switch v.Sees {
	case SeesReply:
		return "reply: " + v.Reply.String()
	case SeesFault:
		return "fault notice 「" + FaultNotice + "」: " + v.Why
	}
	return "nothing: " + v.Why
}

package echostr

import (
	"context"
	"time"
)

// Turn is what a handler may ask about the message it is answering: one
// message and its answer, from the first push to the delivery.
//
// The callback server puts one into the context; tests make their own with
// [WithTurn]. Methods are safe for concurrent use.
type Turn interface {
	// Key identifies the message, in 64 hexadecimal digits. It is the same for
	// every attempt, on every node and in every installation: use it as the
	// idempotency key of whatever the handler does outside.
	Key() string
	// ID names the turn in this installation, in 40 hexadecimal digits: in logs,
	// and for `echostr turn show`.
	ID() string
	// Attempt is 1, and higher only after the process that ran the handler died.
	Attempt() int
	// Account is the name of the account that was written to.
	Account() string
	// ReceivedAt is the moment the first push arrived, by the server's clock.
	ReceivedAt() time.Time
	// PassiveDeadline is the end of the present passive window: until then a
	// reply goes out with a push that is open now. It reports false while no
	// push is open. The answer changes whenever WeChat pushes again.
	PassiveDeadline() (time.Time, bool)
}

type turnKey struct{}

// WithTurn returns a context that carries t.
func WithTurn(ctx context.Context, t Turn) context.Context {
	return context.WithValue(ctx, turnKey{}, t)
}

// TurnFrom returns the turn that ctx carries, if it carries one.
func TurnFrom(ctx context.Context) (Turn, bool) {
	t, ok := ctx.Value(turnKey{}).(Turn)
	return t, ok
}

// PassiveDeadline returns the end of the present passive window of the turn in
// ctx, and false if there is no turn or no push of it is open. It is not
// ctx.Deadline, which ends the handler's whole time: after the passive window
// the reply goes out by the next way that is open to the account.
func PassiveDeadline(ctx context.Context) (time.Time, bool) {
	t, ok := TurnFrom(ctx)
	if !ok {
		return time.Time{}, false
	}
	return t.PassiveDeadline()
}

package echostr

import "context"

// Handler answers one message.
//
// Handle is called once per attempt of a message, and never twice at the same
// time for one message in one process, unless the first call goes on beyond
// its time. It may be called for different messages at the same time. It may
// block: nothing else waits for its goroutine.
//
// A nil reply without an error means "no answer". A reply is a value; whom it
// goes to is filled in by the server, so an answer can reach only the user
// who asked. An error, a panic or an invalid reply is recorded as failed, and
// the user sees nothing (or the account's fallback text). The text of an error
// is logged and kept with the turn, so it should not quote what users wrote.
//
// The context is not the one of the HTTP request, since WeChat hangs up after
// five seconds: it ends with the handler's own time (Deadline), when the
// server stops, or when this process may not store a result any more.
// [TurnFrom] and [PassiveDeadline] read it.
type Handler interface {
	Handle(ctx context.Context, m Message) (Reply, error)
}

// HandlerFunc makes a function a [Handler].
type HandlerFunc func(ctx context.Context, m Message) (Reply, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, m Message) (Reply, error) { return f(ctx, m) }

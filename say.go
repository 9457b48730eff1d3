package echostr

import (
	"context"
	"errors"
)

// ErrNoWay says that the account or the turn has no way for what was asked: an account without the
// customer-service API (客服消息) can say nothing but its one reply.
var ErrNoWay = errors.New("echostr: the account has no customer-service API (客服消息), so nothing can be said before the reply; return it, or show what there is with Draft")

// Say sends r to the user now, before the handler returns its reply: an interim message such as "I am
// looking it up". It goes out by the customer-service API, never at the same time as another message to
// this user and in order with what else this process sends to him, and counts against the few messages
// that WeChat allows for each message of a user. A text has at most [MaxTextBytes] (2,048) bytes: unlike a
// reply it does not go out in parts. It is made as readable as the account wants texts to be (Markdown,
// thinking) before that is counted.
//
// It returns when WeChat has taken the message. An error says why it has not, or that nobody knows. It
// ends with the handler's context, and takes 3 s at most beside what another message takes that is on its
// way to the user. It is tried twice at most, a second apart, and not at all while that API takes none of
// the account's messages, so the time that the reply needs is left. [ErrNoWay] is in the chain if the
// account has no such API. What was said is not stored: an attempt that runs again because a process died
// says it again.
func Say(ctx context.Context, r Reply) error {
	if t, ok := ctx.Value(turnKey{}).(interface {
		Say(ctx context.Context, r Reply) error
	}); ok {
		return t.Say(ctx, r)
	}
	return ErrNoWay
}

// Typing shows the user that an answer is being written (对方正在输入…), for some seconds or until a message
// comes. [ErrNoWay] is in the chain of the error if the account has no customer-service API.
func Typing(ctx context.Context) error {
	if t, ok := ctx.Value(turnKey{}).(interface {
		Typing(ctx context.Context) error
	}); ok {
		return t.Typing(ctx)
	}
	return ErrNoWay
}

// Draft tells how far the text of the reply has come, such as while a model writes it. If the time of
// the last push ends before the handler does, the user reads this much at once instead of a mere
// promise, up to the end of a sentence or line, and the rest by the next way that is open to the account.
// Without such an end he reads nothing of it. R-LATE-DRAFT
//
// Each call replaces the text of the one before. The reply that the handler returns should be text that
// begins with the draft; if it does not, the user reads it whole. Draft costs little: call it as
// often as there is more. Without a turn in ctx it does nothing.
func Draft(ctx context.Context, text string) {
	if t, ok := ctx.Value(turnKey{}).(interface{ Draft(text string) }); ok {
		t.Draft(text)
	}
}

// Session returns what is remembered of the user who wrote to the account: values that handlers have
// set, and the last turns of the conversation. It is loaded when it is first asked for, and stored
// when the handler returns without an error, before its reply is. So a value that was set is seen by
// the user's next message; an attempt that runs again because a process died may find what it has set
// itself. From the first call on, the turn itself becomes part of the conversation when it is answered.
//
// Without a turn in ctx, as in tests, it is an empty one that nothing keeps. An error says that
// the store cannot be read now.
func Session(ctx context.Context) (*Memory, error) {
	if t, ok := ctx.Value(turnKey{}).(interface {
		Session(ctx context.Context) (*Memory, error)
	}); ok {
		return t.Session(ctx)
	}
	return new(Memory), nil
}

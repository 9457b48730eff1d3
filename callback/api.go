package callback

import (
	"context"
	"fmt"
	"time"

	"github.com/echostr/echostr"
)

// API is what a [Server] needs of WeChat's HTTP API for one account: the customer-service
// messages (客服消息) by which late answers go out. It must be safe for concurrent use. Package
// server makes one of a wxapi.Client.
type API interface {
	// Send sends one message to a user and tells what has become of it. Text is at most
	// echostr.MaxTextBytes long, news have one article, and what only a push can carry does not come. It ends with ctx.
	Send(ctx context.Context, openID string, r echostr.Reply) Sending
	// Typing shows the user that an answer is being written.
	Typing(ctx context.Context, openID string) error
}

// Sending is what has become of a message that was to be sent by the API.
type Sending struct {
	Fate SendFate
	// Reason says in one sentence why it was not sent, or why nobody knows. It must hold no
	// secret, nothing of what was to be sent, and no OpenID.
	Reason string
	// After, for SendLater, is how long to wait at least, 10 min at most. Zero leaves it to
	// the Server.
	After time.Duration
	// Account, for SendLater, says that no other message of the account can be sent either.
	Account bool
}

// SendFate is what has become of a message.
type SendFate uint8

const (
	// SendDone: WeChat has taken it.
	SendDone SendFate = iota + 1
	// SendLater: it was certainly not sent, and may be later.
	SendLater
	// SendRefused: WeChat does not take it, such as since the user has not written for 48 hours. It
	// is kept for the user to fetch.
	SendRefused
	// SendGone: WeChat does not take it, and the user cannot fetch it either, such as since
	// the user does not follow the account any more.
	SendGone
	// SendUnknown: it may have been sent; nobody knows.
	SendUnknown
)

var fateNames = [...]string{SendDone: "done", SendLater: "later", SendRefused: "refused", SendGone: "gone", SendUnknown: "unknown"}

func (f SendFate) String() string {
	if f >= SendDone && f <= SendUnknown {
		return fateNames[f]
	}
	return fmt.Sprintf("fate(%d)", uint8(f))
}

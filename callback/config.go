package callback

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/limits"
	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/wxcrypt"
)

// Mode is how WeChat's console was told to send messages (消息加解密方式). It is
// the account's setting: a request never chooses it. R-MODE-ACCOUNT
type Mode uint8

const (
	// Plain (明文模式): nothing is encrypted, and the signature does not cover the body.
	Plain Mode = iota + 1
	// Compatible (兼容模式): fields in clear and encrypted side by side. Only
	// the encrypted part is read.
	Compatible
	// Safe (安全模式): everything is encrypted.
	Safe
)

var modeNames = [...]string{Plain: "plain", Compatible: "compatible", Safe: "safe"}

func (m Mode) String() string {
	if m >= Plain && m <= Safe {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// ParseMode reads the name of a mode.
func ParseMode(s string) (Mode, error) {
	for m, name := range modeNames {
		if name == s && name != "" {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("mode %q is not known: use plain (明文模式), compatible (兼容模式) or safe (安全模式), as WeChat's console shows", s)
}

// Account is one Official Account (公众号) and its settings. Its pushes arrive
// at /wx/{Name}.
type Account struct {
	// Name stands in the URL: small letters, digits, - and _, at most 64.
	Name string
	// AppID is the account's AppID. It may be empty in Plain mode only.
	AppID string
	// Token is the token (令牌) set in WeChat's console.
	Token string
	// EncodingAESKey (消息加解密密钥) is needed in Compatible and Safe.
	EncodingAESKey string
	// Mode has no default.
	Mode Mode
	// API sends answers that no push can carry, by the customer-service messages (客服消息)
	// that verified accounts have. Nil: the account has none, so late answers become tickets.
	API API
	// Late says which ways an answer takes that is late. Defaults to LateAPI with an API
	// and to LateTicket without.
	Late Late
	// Handler answers the account's messages. Defaults to Config.Handler.
	Handler echostr.Handler

	// OriginalID is the account's gh_ id (原始ID). If it is set, pushes to
	// another one are refused.
	OriginalID string
	// PreviousToken and PreviousEncodingAESKey are accepted beside the present
	// ones until PreviousUntil, while WeChat may still use them.
	PreviousToken, PreviousEncodingAESKey string
	PreviousUntil                         time.Time
	// HandlerTimeout is the time a handler has if its route does not say
	// otherwise. Defaults to 60 s, at most 10 min.
	HandlerTimeout time.Duration
	// Freshness is how far a push's timestamp may be from the server's clock.
	// Defaults to 5 min, in Safe mode 10 min; at most 10 min.
	Freshness time.Duration
	// BodyLimit bounds the body of a push, in bytes. Defaults to 256 KiB, at most 4 MiB.
	BodyLimit int64
	// Fallback is what the user reads when a turn has failed. Empty: nothing.
	Fallback string
	// Placeholder is what the user reads when the last push ends before the handler: a text
	// in which {link} stands for the link that fetches the answer. Defaults to one in Chinese.
	Placeholder string
	// FetchWord is a text that fetches the newest answer that waits for the user, as a tap on its
	// link does. Defaults to 继续.
	FetchWord string
	// TicketLife is how long an answer is kept for the user to fetch it. Defaults to
	// 24 h; 1 min to 7 days.
	TicketLife time.Duration
	// DropUnknown does not send a message a second time of which nobody knows whether the API has
	// sent it, so that none arrives twice and one may be lost. By default it is sent
	// once more, after 15 s. The same goes for an answer on a push of a process that died.
	DropUnknown bool
	// HoldBudget is how many pushes may be left to WeChat's cut within five minutes, since WeChat
	// stops pushing for a minute to a server that fails too often. Beyond it answers
	// take the next way at once. Defaults to 60; below zero there is no bound.
	HoldBudget int
	// Overlap says what becomes of a handler when its user writes again. Defaults to Parallel.
	Overlap Overlap
	// Markdown turns Markdown in text replies into text that reads well in WeChat.
	Markdown bool
	// RemoveThinking removes from text replies what a model has thought (<think>…</think>).
	RemoveThinking bool
	// Once does not start a handler a second time when the process that ran
	// it died; the turn is recorded as interrupted.
	Once bool
	// KeepUnsubscribed keeps what an unsubscribing user sent. By default it is
	// erased when the unsubscribe event has been handled, as WeChat demands. What a
	// user sent who has withdrawn an authorisation (user_authorization_revoke), or has
	// closed the WeChat account (user_authorization_cancellation), is always erased.
	KeepUnsubscribed bool
	// BindSignature refuses, in Plain mode, a second message under a signature
	// that another message has used. Without it such a message is only logged.
	BindSignature bool
	// AllowWeakToken accepts a short or well-known token of an old account.
	AllowWeakToken bool
}

// Late is the order of the ways that a late answer takes.
type Late uint8

const (
	// LateAPI answers `success` at 4.5 s, and then sends the answer by the API. The user never
	// sees a fault notice, and no retry of WeChat's is needed.
	LateAPI Late = iota + 1
	// LateHold holds pushes for WeChat's retries first, so that answers of up to 14.5 s cost none of
	// the few messages that the API may send, and then sends by the API.
	LateHold
	// LateTicket holds pushes for WeChat's retries, and answers the last one with a placeholder:
	// the user fetches the answer by a tap or a word. All that accounts without the API have.
	LateTicket
)

// Overlap is what becomes of a handler when its user writes again: sends a message, clicks on the menu, scans or
// subscribes. Events that WeChat sends by itself, such as LOCATION, and messages that fetch an answer neither wait
// nor make others give way. It is about handlers of one process: nodes do not wait for each other, nor do they
// cancel each other's handlers.
type Overlap uint8

const (
	// Parallel: both run, and each is answered when it is done.
	Parallel Overlap = iota
	// Queue: the handlers of one user run one after the other, in the order of their messages. The time of each
	// begins when it is its turn. At most 10 wait, and count as running; the message of one more fails
	// (queue full), so its user reads Fallback.
	Queue
	// Cancel: the earlier one's context ends, and its message is not answered any more, unless its handler
	// returns a reply all the same.
	Cancel
)

// String hides the secrets from logs.
func (a Account) String() string { return "callback.Account(" + a.Name + ", ***)" }

// GoString hides the secrets from logs.
func (a Account) GoString() string { return a.String() }

// LogValue hides the secrets from logs.
func (a Account) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Config is what a [Server] is made of. Zero fields mean the defaults.
type Config struct {
	// Accounts must not be empty.
	Accounts []Account
	// Handler answers the messages of accounts that have no Handler of their own.
	Handler echostr.Handler
	// Store keeps the turns. Defaults to a store in memory. The Server does not
	// close it.
	Store store.Store
	// NodeID names this process among those that share the store; two of one
	// name fence each other. Defaults to a random name.
	NodeID string
	// MaxWaiting bounds the pushes that are open at the same time; those
	// beyond it are closed at once. Defaults to 10,000.
	MaxWaiting int
	// MaxRunning bounds the handlers that run at the same time; a new message
	// beyond it is held without an answer, and WeChat pushes it again. Defaults to 10,000.
	MaxRunning int
	// MaxUserMessages bounds the messages of one user to an account that are handled within ten seconds, and with that goes
	// that 50 of them may be under way. A message beyond it is accepted and stored, and fails at once (refused:
	// flood), so its user reads Fallback; its handler is not started. Events that WeChat sends by itself, such as that the user
	// has left, do not count, except where he is and what he opens from the menu. Each process counts what comes to
	// it. Defaults to 60; below zero there is no bound.
	MaxUserMessages int
	// Retention is how long what users have written and read is kept. It bounds what is remembered of a user
	// (see [echostr.Session]): a turn of the conversation that is older is dropped when the user writes again,
	// and all of it goes when he has not written for so long, or for 30 days if that is
	// shorter. Turns in the store are removed by the caller: see [store.Store]. Defaults to 30 days.
	Retention time.Duration
	// Logger gets what an operator should know. Defaults to slog.Default().
	// Content of messages and OpenIDs are logged at debug level only, secrets
	// never. The error that a handler returns is logged as it is: what that says is the handler's.
	Logger *slog.Logger
	// Now is the wall clock. Defaults to time.Now. Timers do not use it.
	Now func() time.Time
	// Fatal is told what the process cannot go on with; it should drain and
	// restart. It is called at most once, in a goroutine of its own. Defaults to
	// an error in the log.
	Fatal func(error)

	scale func(*turn.Policy) // tests change the policy
}

// Limits of settings.
const (
	maxFreshness      = 10 * time.Minute
	maxHandlerTimeout = 10 * time.Minute
	defaultBodyLimit  = 256 << 10
	maxBodyLimit      = 4 << 20
	defaultMaxWaiting = 10_000
	defaultMaxRunning = 10_000
	defaultRetention  = 30 * 24 * time.Hour

	defaultMaxUserMessages = 60

	defaultTicketLife = 24 * time.Hour
	minTicketLife     = time.Minute
	maxTicketLife     = 7 * 24 * time.Hour
	defaultHoldBudget = 60
	maxPlaceholder    = 1200
	defaultFetchWord  = "继续"
	// The link says 查看回答 and the code; then there is the FetchWord.
	defaultPlaceholder = "还在处理，请稍候。好了以后点 {link}，或回复“%s”。"
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// check fills in the defaults of an account and says what is wrong with it.
func (a *Account) check(cfg *Config) error {
	if !namePattern.MatchString(a.Name) {
		return fmt.Errorf("the name %q cannot stand in a URL: use small letters, digits, - and _, at most 64", a.Name)
	}
	if a.Mode < Plain || a.Mode > Safe {
		return errors.New("the mode is missing: set Plain (明文模式), Compatible (兼容模式) or Safe (安全模式), as WeChat's console shows")
	}
	if a.AppID == "" && a.Mode != Plain {
		return fmt.Errorf("mode %v needs the AppID, which stands inside every encrypted push", a.Mode)
	}
	if a.Token == "" {
		return errors.New("the token (令牌) is missing: make one with `echostr account new` and enter it in WeChat's console too")
	}
	if why := limits.WeakToken(a.Token); why != "" && !a.AllowWeakToken {
		return fmt.Errorf("the token (令牌) %s: make one with `echostr account new` and enter it in WeChat's console too, or set AllowWeakToken", why)
	}
	if a.EncodingAESKey == "" && a.Mode != Plain {
		return fmt.Errorf("mode %v needs the EncodingAESKey (消息加解密密钥) from WeChat's console", a.Mode)
	}
	if a.Handler == nil {
		a.Handler = cfg.Handler
	}
	if a.Handler == nil {
		return errors.New("there is no Handler: give the account one, or the Config")
	}
	if (a.PreviousToken != "" || a.PreviousEncodingAESKey != "") && a.PreviousUntil.IsZero() {
		return errors.New("previous secrets need PreviousUntil, a day after they were changed: an old secret must not stay valid for ever")
	}
	if a.HandlerTimeout == 0 {
		a.HandlerTimeout = time.Minute
	}
	if a.HandlerTimeout < 0 || a.HandlerTimeout > maxHandlerTimeout {
		return fmt.Errorf("a HandlerTimeout of %v is out of range: use more than 0 and at most %v", a.HandlerTimeout, maxHandlerTimeout)
	}
	if a.Freshness == 0 {
		if a.Freshness = 5 * time.Minute; a.Mode == Safe {
			a.Freshness = 10 * time.Minute
		}
	}
	if a.Freshness < 0 || a.Freshness > maxFreshness {
		return fmt.Errorf("a Freshness of %v is out of range: use more than 0 and at most %v, since replays are known for twenty minutes only", a.Freshness, maxFreshness)
	}
	if a.BodyLimit == 0 {
		a.BodyLimit = defaultBodyLimit
	}
	if a.BodyLimit < 0 || a.BodyLimit > maxBodyLimit {
		return fmt.Errorf("a BodyLimit of %d is out of range: use up to %d bytes", a.BodyLimit, maxBodyLimit)
	}
	switch {
	case a.Late == 0 && a.API != nil:
		a.Late = LateAPI
	case a.Late == 0:
		a.Late = LateTicket
	case a.Late > LateTicket:
		return fmt.Errorf("there is no Late %d: use LateAPI, LateHold or LateTicket", a.Late)
	case a.API == nil && a.Late != LateTicket:
		return errors.New("late answers are to go out by the customer-service API (客服消息), and there is none: give the account an API, or use LateTicket")
	}
	if a.Overlap > Cancel {
		return fmt.Errorf("there is no Overlap %d: use Parallel, Queue or Cancel", a.Overlap)
	}
	if a.TicketLife == 0 {
		a.TicketLife = defaultTicketLife
	}
	if a.TicketLife < minTicketLife || a.TicketLife > maxTicketLife {
		return fmt.Errorf("a TicketLife of %v is out of range: use %v to %v", a.TicketLife, minTicketLife, maxTicketLife)
	}
	if a.HoldBudget == 0 {
		a.HoldBudget = defaultHoldBudget
	}
	if a.FetchWord == "" {
		a.FetchWord = defaultFetchWord
	}
	if a.Placeholder == "" {
		a.Placeholder = fmt.Sprintf(defaultPlaceholder, a.FetchWord)
	}
	if !strings.Contains(a.Placeholder, "{link}") || len(a.Placeholder) > maxPlaceholder {
		return fmt.Errorf("the placeholder text must say {link} where the link is to stand, and have at most %d bytes", maxPlaceholder)
	}
	if a.Fallback != "" {
		if err := echostr.Validate(echostr.Text(a.Fallback), nil); err != nil {
			return fmt.Errorf("the fallback text cannot be sent: %w", err)
		}
	}
	return nil
}

// keyring makes the account's secrets ready for use.
func (a *Account) keyring() (*wxcrypt.Keyring, error) {
	present := wxcrypt.Secret{Token: a.Token, EncodingAESKey: a.EncodingAESKey}
	if a.PreviousToken == "" && a.PreviousEncodingAESKey == "" {
		return wxcrypt.NewKeyring(a.AppID, present)
	}
	return wxcrypt.NewKeyring(a.AppID, present, wxcrypt.Secret{
		Token: a.PreviousToken, EncodingAESKey: a.PreviousEncodingAESKey, Until: a.PreviousUntil,
	})
}

// policy is the account's part in the life of its messages.
func (a *Account) policy(cfg *Config) turn.Policy {
	p := turn.DefaultPolicy()
	p.Hold = a.Late != LateAPI
	p.API = a.Late != LateTicket
	p.DropUnknown = a.DropUnknown
	p.TicketLife = a.TicketLife
	p.Once = a.Once
	p.Fallback = a.Fallback != ""
	if cfg.scale != nil {
		cfg.scale(&p)
	}
	return p
}

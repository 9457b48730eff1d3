package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"
)

// Key is what a turn is stored under: four bytes of time, big-endian Unix
// seconds, and sixteen bytes of HMAC-SHA256(salt, message digest). The time in
// front keeps inserts in one place of the index and makes expiry a range; the
// salt makes a key useless to whoever has the message but not the database.
// R-KEY-STORED
type Key [20]byte

// String returns the key in 40 hexadecimal digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// ParseKey reads what [Key.String] wrote.
func ParseKey(s string) (Key, error) {
	var k Key
	if len(s) != 2*len(k) {
		return k, fmt.Errorf("store: a key has %d hexadecimal digits, this has %d characters: copy it from `echostr turn ls`", 2*len(k), len(s))
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil {
		return k, fmt.Errorf("store: a key has hexadecimal digits only: copy it from `echostr turn ls`")
	}
	return k, nil
}

// Time returns the time in front of the key.
func (k Key) Time() time.Time {
	return time.Unix(int64(binary.BigEndian.Uint32(k[:4])), 0).UTC()
}

// Keyer makes keys with one salt. It is safe for concurrent use.
type Keyer struct{ macs sync.Pool }

// NewKeyer returns a Keyer for the salt of a store (see [Installation]).
func NewKeyer(salt []byte) *Keyer {
	salt = append([]byte(nil), salt...)
	return &Keyer{macs: sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, salt)} }}}
}

type mac struct {
	hash.Hash
	sum [sha256.Size]byte
}

// Key returns the key of a message: its digest (R-KEY-MESSAGE) and the Unix
// second in front. A message without a time of its own gets the hour in which
// it was received, so that its retries meet the same key.
func (k *Keyer) Key(digest [32]byte, createTime int64, received time.Time) Key {
	if createTime <= 0 || createTime > 1<<32-1 {
		createTime = received.Truncate(time.Hour).Unix()
	}
	m := k.macs.Get().(*mac)
	m.Reset()
	m.Write(digest[:])
	var key Key
	binary.BigEndian.PutUint32(key[:4], uint32(createTime))
	copy(key[4:], m.Sum(m.sum[:0]))
	k.macs.Put(m)
	return key
}

// State says how far a turn has come. The zero State is a turn that no store
// has seen.
type State uint8

const (
	// Running: accepted, and an attempt is marked as started.
	Running State = iota + 1
	// Answered: the result is a reply.
	Answered
	// Silent: the handler wanted no answer.
	Silent
	// Failed: there will be no answer; Reason says why.
	Failed
	// Unparseable: the body passed verification and is not a message. It is kept raw.
	Unparseable
	// Erased: the user's data is gone; only the key is left.
	Erased
)

var stateNames = [...]string{"new", "running", "answered", "silent", "failed", "unparseable", "erased"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText writes the name of the state.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name of a state.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("store: no state is called %q: use one of %v", text, stateNames[1:])
}

var (
	_ encoding.TextMarshaler   = State(0)
	_ encoding.TextUnmarshaler = (*State)(nil)
)

// Finished reports whether the result is there: nothing will change it but
// delivery and erasure.
func (s State) Finished() bool { return s >= Answered }

// Delivery says which way the reply has taken. Whoever takes it changes this
// field in one conditional write, so a push and another way never both have it.
type Delivery uint8

const (
	// Undelivered: no way has taken the reply yet.
	Undelivered Delivery = iota
	// Offered: it was given to a push; retries get the same again.
	Offered
	// Written: the response with it was written completely.
	Written
	// Late: no push gets the reply any more; the outbox sends it by the
	// customer-service API (客服消息) as soon as it is there.
	Late
	// Assumed: nobody knows whether the user has got it, and it is not sent again: it is
	// taken as delivered. A retry that comes after all gets it again.
	Assumed
	// Sending: a request to the API may be on its way; Owner says whose.
	Sending
	// Sent: the API has taken all of it.
	Sent
	// Ticket: it is kept for the user, who fetches it by a tap or a word, or gets
	// it ahead of the next answer.
	Ticket
	// Fetched: another turn, [Way.TakenBy], has carried it, or its last page.
	Fetched
	// Undeliverable: no way is left. Reason says why.
	Undeliverable
)

var deliveryNames = [...]string{
	"none", "offered", "written", "late", "assumed", "sending", "sent", "ticket", "fetched", "undeliverable",
}

// Deliveries are all there are, in order.
func Deliveries() []Delivery {
	all := make([]Delivery, len(deliveryNames))
	for i := range all {
		all[i] = Delivery(i)
	}
	return all
}

func (d Delivery) String() string {
	if int(d) < len(deliveryNames) {
		return deliveryNames[d]
	}
	return fmt.Sprintf("delivery(%d)", uint8(d))
}

// MarshalText writes the name of the delivery.
func (d Delivery) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the name of a delivery.
func (d *Delivery) UnmarshalText(text []byte) error {
	for i, name := range deliveryNames {
		if name == string(text) {
			*d = Delivery(i)
			return nil
		}
	}
	return fmt.Errorf("store: no delivery is called %q: use one of %v", text, deliveryNames)
}

// Outcome is what one push got.
type Outcome uint8

const (
	// Open: it is not finished, or the process died before it was.
	Open Outcome = iota
	// GotReply: 200 with the reply.
	GotReply
	// GotFallback: 200 with the account's fallback text.
	GotFallback
	// GotSuccess: 200 with `success`.
	GotSuccess
	// Cut: WeChat closed it, as it does after five seconds.
	Cut
	// Aborted: it outlived WeChat's cut and was closed by us, unanswered.
	Aborted
	// GotPlaceholder: 200 with the placeholder, which says how to fetch the answer, or with
	// what there was of it.
	GotPlaceholder
)

var outcomeNames = [...]string{"open", "reply", "fallback", "success", "cut", "aborted", "placeholder"}

func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// MarshalText writes the name of the outcome.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// MaxPushes is how many pushes of a turn are recorded one by one. WeChat sends
// three or four; what comes after is counted only.
const MaxPushes = 8

// Push is the record of one push of a turn.
type Push struct {
	// Number is which of WeChat's pushes it was taken for, from 1. It can jump:
	// the first push that is seen may be WeChat's second.
	Number int
	// At is when it arrived, by the server's wall clock.
	At time.Time
	// Got is what it was answered.
	Got Outcome
}

// Turn is one message and its answer: all that must survive the process.
// Strings may hold any bytes. Times are UTC with millisecond precision.
type Turn struct {
	Key     Key
	Version int64 // 0: in no store yet
	Account string

	// What was received. Empty once erased or expired.
	OpenID     string
	OriginalID string // the account's own name in pushes, gh_…
	MsgType    string
	Event      string
	Body       string // decrypted, byte for byte
	CreateTime int64  // WeChat's clock, Unix seconds; 0 if the body says none
	ReceivedAt time.Time

	// Pushes records the first MaxPushes of them; Seen counts all.
	// The slice is never changed in place.
	Pushes []Push
	Seen   int

	State   State
	Pure    bool // the route is free of side effects: no start mark is owed for it
	Attempt int  // the newest attempt, from 1; only it can store a result
	Owner   Node // who runs it

	// The result, written once.
	FinishedAt time.Time
	Reply      string // the complete reply document, in clear, however long its text is; set if Answered
	Reason     string // why there is no answer, or why it was not delivered; may quote an error of the handler

	Delivery  Delivery
	OfferedTo int // the number of the last push that was given the reply
	// Due is when somebody has to look at the turn again: the outbox to send its answer, or
	// to give up a ticket. Zero: nothing is left to be done.
	Due time.Time
	// Placeholder is the document that pushes get in place of the reply. Empty: none was given.
	Placeholder string
	// Code names the answer in the links and words that fetch it. Empty: there is none.
	// No two turns of one user that are due have the same.
	Code string
	Way  Way
}

// Way is how far an answer has come by other ways than a push. Most turns need none: the
// zero Way.
type Way struct {
	Told  int // bytes of the answer's text that the user has been given, by a placeholder or by the API
	Pages int // in how many pages the rest is fetched
	Shown int // how many of them have been

	Sent    int // messages that the API has taken: WeChat allows a few per message of the user
	Tries   int // requests in vain since the last one that worked
	Unknown int // requests since then whose outcome nobody knows

	TakenBy Key   // the turn that has carried the answer, or its last page
	Fetch   Fetch // set if the message asks for another turn's answer
}

// Fetch is what a message asks for that fetches an answer: it starts no handler.
type Fetch struct {
	Of    Key  // the turn whose answer it is; zero with a Page: one that is not there any more
	Page  int  // from 1; 0: the message fetches nothing
	Again bool // the page had been shown before
}

// Received gives t what was received of the same message: all from Account to ReceivedAt.
func (t *Turn) Received(from *Turn) {
	t.Account, t.OpenID, t.OriginalID, t.MsgType, t.Event, t.Body, t.CreateTime, t.ReceivedAt =
		from.Account, from.OpenID, from.OriginalID, from.MsgType, from.Event, from.Body, from.CreateTime, from.ReceivedAt
}

// Expire removes from t its content: whom it was from, what was received, the reply, what was
// given in its place, and the reason. What kind of message it was and how it ended stays. It is not due any more.
func (t *Turn) Expire() {
	t.Due = time.Time{}
	t.OpenID, t.OriginalID, t.Body, t.Reply, t.Reason, t.Placeholder = "", "", "", "", "", ""
}

// Erase removes from t what is personal: what was received, the reply, what was given in its
// place, how it is fetched, and the reason. The key and the record of the pushes stay.
func (t *Turn) Erase() {
	t.OpenID, t.OriginalID, t.MsgType, t.Event, t.Body, t.Reply, t.Reason, t.Placeholder = "", "", "", "", "", "", "", ""
	t.State, t.Due, t.Code, t.Way = Erased, time.Time{}, "", Way{}
}

// Session is what a handler has stored about one user of one account.
type Session struct {
	Account, OpenID string    // OpenID must be given
	Version         int64     // 0: in no store yet
	Data            string    // any bytes, at most MaxSession
	Expires         time.Time // millisecond precision; must be given
}

// MaxSession is how many bytes Session.Data may have.
const MaxSession = 256 << 10

// Check says why no store takes s, if none does.
func (s *Session) Check() error {
	switch {
	case s.OpenID == "":
		return errors.New("store: a session needs the OpenID of its user; give one, or it could not be erased")
	case len(s.Data) > MaxSession:
		return fmt.Errorf("store: a session has %d bytes, and at most %d are stored; keep less in it", len(s.Data), MaxSession)
	case s.Expires.IsZero():
		return errors.New("store: a session needs a time at which it expires; give one, or it would be kept for ever")
	}
	return nil
}

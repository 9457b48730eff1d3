package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
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
	// Late: `success` was said before there was a result. No push gets the
	// reply any more; it goes out by another way.
	Late
	// Assumed: it was offered by a process that died, is not known to have
	// been written, and no retry came: it is taken as delivered. A retry that
	// comes after all gets it again.
	Assumed
)

var deliveryNames = [...]string{"none", "offered", "written", "late", "assumed"}

func (d Delivery) String() string {
	if int(d) < len(deliveryNames) {
		return deliveryNames[d]
	}
	return fmt.Sprintf("delivery(%d)", uint8(d))
}

// MarshalText writes the name of the delivery.
func (d Delivery) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

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
)

var outcomeNames = [...]string{"open", "reply", "fallback", "success", "cut", "aborted"}

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
	Reply      string // the complete reply document, in clear; set if Answered
	Reason     string // why it failed or does not parse; may quote an error of the handler

	Delivery  Delivery
	OfferedTo int // the number of the last push that was given the reply
}

// Received gives t what was received of the same message: all from Account to ReceivedAt.
func (t *Turn) Received(from *Turn) {
	t.Account, t.OpenID, t.OriginalID, t.MsgType, t.Event, t.Body, t.CreateTime, t.ReceivedAt =
		from.Account, from.OpenID, from.OriginalID, from.MsgType, from.Event, from.Body, from.CreateTime, from.ReceivedAt
}

// Expire removes from t its content: whom it was from, what was received, the reply and
// the reason. What kind of message it was and how it ended stays.
func (t *Turn) Expire() {
	t.OpenID, t.OriginalID, t.Body, t.Reply, t.Reason = "", "", "", "", ""
}

// Erase removes from t what is personal: what was received, the reply and the
// reason. The key and the record of the pushes stay.
func (t *Turn) Erase() {
	t.OpenID, t.OriginalID, t.MsgType, t.Event, t.Body, t.Reply, t.Reason = "", "", "", "", "", "", ""
	t.State = Erased
}

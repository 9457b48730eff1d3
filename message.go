package echostr

import "time"

// Message is one push of WeChat, decoded: an ordinary message or an event.
//
// The set of implementations is closed: pointers to the types of this package.
// What this package does not know arrives as [*UnknownMessage] or
// [*UnknownEvent], never as an error.
//
// Messages are plain values. A handler may read one from several goroutines
// and must not change it: retries of the same message share it.
type Message interface {
	// Head returns the part that every push has. It is never nil.
	Head() *Header

	// fields declares the elements of the message to c, which reads or writes
	// them. One declaration serves decoding and encoding, so they cannot differ.
	fields(c *codec)
}

// Header is the part that every push has: R-MSG-COMMON.
type Header struct {
	// ToUserName is the account's original id (原始ID), "gh_" and 12 hexadecimal digits.
	ToUserName string
	// FromUserName is the sender's OpenID; in events about jobs it need not be a person.
	FromUserName string
	// CreateTime is WeChat's clock at the moment of the action, in Unix seconds.
	// All pushes of a message carry the same value. Zero if absent.
	CreateTime int64
	// MsgType is the type as it was sent: "text", "event", ... Types are
	// compared without regard to letter case.
	MsgType string

	raw string // the decrypted document, byte for byte
}

// Head returns h itself; it makes every type that embeds Header a [Message].
func (h *Header) Head() *Header { return h }

// Time returns CreateTime as a time in UTC; the zero time if it is absent.
func (h *Header) Time() time.Time {
	if h.CreateTime == 0 {
		return time.Time{}
	}
	return time.Unix(h.CreateTime, 0).UTC()
}

// Raw returns the decrypted document byte for byte as WeChat sent it, with
// every element that the Go type does not name. It is empty for a message
// that was made in Go and not decoded.
func (h *Header) Raw() string { return h.raw }

// Field returns the value of an element of [Header.Raw] by the names that lead
// to it, as [Document.Get] does: the way to what the Go type does not name. It
// parses Raw again at every call; to read many elements, parse it once with a [Document].
func (h *Header) Field(path ...string) (value string, ok bool) {
	if h.raw != "" {
		_ = borrow(h.raw, func(d *Document) { value, ok = d.Get(path...) })
	}
	return value, ok
}

// MessageHeader is the part that every ordinary message has.
type MessageHeader struct {
	Header
	// MsgID identifies the message among those of the account; never pass it
	// through a float64. Retries repeat it.
	MsgID int64
	// MsgDataID is set only if the message was sent from an article (文章): R-MSG-ARTICLE.
	MsgDataID string
	// Idx says from which article of several the message was sent, from 1.
	// Zero if it was not sent from an article.
	Idx int
}

// EventHeader is the part that every event has. Events have no MsgId.
type EventHeader struct {
	Header
	// Event is the name as it was sent, in its own letter case: "subscribe",
	// "SCAN", ... Names are compared without regard to letter case.
	Event string
}

package echostr

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
	"strings"
)

// MessageKey identifies a message: all pushes of a message have the same key,
// on every node and in every installation. The zero value is no key.
//
// Digest is the SHA-256 of a tuple of strings, each written as its length in
// bytes (8 bytes, big-endian) and its bytes, so that different tuples
// are never written alike:
//
//	app id, "m", MsgId                          if MsgId > 0, in decimal without leading zeros: R-KEY-MESSAGE
//	app id, "e", path, value, path, value, ...  else, all leaves of the document: R-KEY-EVENT
//	app id, "r", body                           if the body is not a document: R-KEY-RAW
//
// A path is the names from the top joined by "/". Values have no white space at
// their ends, inside CDATA or not; the values of MsgType and Event at the top
// are in lower case. The pairs are sorted by path and then by value, bytewise.
// So neither the order of elements nor the blanks between them matter.
//
// Two identical clicks of a user within one second have the same key: nothing
// in the pushes tells them apart.
type MessageKey struct {
	AppID      string
	CreateTime int64 // Unix seconds; 0 if there is none
	Digest     [sha256.Size]byte
}

// String returns Digest in 64 hexadecimal digits.
func (k MessageKey) String() string { return hex.EncodeToString(k.Digest[:]) }

// Key returns the key of the message in d for the account with this AppID.
func (d *Document) Key(appID string) MessageKey {
	if len(d.nodes) == 0 {
		return RawKey(appID, nil)
	}
	k := MessageKey{AppID: appID, CreateTime: seconds(parseInt(d.relied(reliedCreateTime)))}
	if id := parseInt(d.relied(reliedMsgID)); id > 0 {
		k.Digest = digestID(appID, id)
	} else {
		k.Digest = d.digestLeaves(appID)
	}
	return k
}

func digestID(appID string, id int64) [sha256.Size]byte {
	// Small enough for the stack, whatever the length of a real AppID.
	var room [128]byte
	var digits [20]byte
	b := appendPart(room[:0], appID)
	b = appendPart(b, "m")
	b = appendPart(b, string(strconv.AppendInt(digits[:0], id, 10)))
	return sha256.Sum256(b)
}

func (d *Document) digestLeaves(appID string) (digest [sha256.Size]byte) {
	type leaf struct{ path, value string }
	leaves := make([]leaf, 0, len(d.nodes))
	for path, n := range d.leaves() {
		value := trimSpace(d.value(n))
		if n == d.seen[reliedMsgType] || n == d.seen[reliedEvent] {
			value = string(appendLower(make([]byte, 0, len(value)), value))
		}
		leaves = append(leaves, leaf{path, value})
	}
	slices.SortFunc(leaves, func(a, b leaf) int {
		if c := strings.Compare(a.path, b.path); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	h := sha256.New()
	buf := make([]byte, 0, 512)
	buf = appendPart(buf, appID)
	buf = appendPart(buf, "e")
	for _, l := range leaves {
		buf = writePart(h, buf, l.path)
		buf = writePart(h, buf, l.value)
	}
	h.Write(buf)
	h.Sum(digest[:0])
	return digest
}

// RawKey returns the key of a body that is not a document.
func RawKey(appID string, body []byte) MessageKey {
	h := sha256.New()
	buf := appendPart(make([]byte, 0, 128), appID)
	buf = appendPart(buf, "r")
	buf = binary.BigEndian.AppendUint64(buf, uint64(len(body)))
	h.Write(buf)
	h.Write(body)
	k := MessageKey{AppID: appID}
	h.Sum(k.Digest[:0])
	return k
}

// appendPart appends one string of the tuple.
func appendPart(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
}

// writePart appends one string to buf and hands buf to h whenever it is full.
func writePart(h hash.Hash, buf []byte, s string) []byte {
	buf = binary.BigEndian.AppendUint64(buf, uint64(len(s)))
	for {
		n := copy(buf[len(buf):cap(buf)], s)
		buf, s = buf[:len(buf)+n], s[n:]
		if s == "" {
			return buf
		}
		h.Write(buf)
		buf = buf[:0]
	}
}

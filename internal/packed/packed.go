// Package packed writes the parts of a turn that a database need not understand in few bytes:
// the record of its pushes, and how far its answer has come.
package packed

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/echostr/echostr/store"
)

var (
	errPushes = errors.New("the record of pushes is damaged")
	errWay    = errors.New("the record of how far the answer has come is damaged")
)

// AppendPushes writes the record of pushes: for each its number, its time in Unix milliseconds
// after that of the one before, and what it got; all varints.
func AppendPushes(b []byte, pushes []store.Push) []byte {
	var last int64
	for _, p := range pushes {
		at := p.At.UnixMilli()
		b = binary.AppendVarint(b, int64(p.Number))
		b = binary.AppendVarint(b, at-last)
		b = binary.AppendUvarint(b, uint64(p.Got))
		last = at
	}
	return b
}

// Pushes reads what AppendPushes has written.
func Pushes(b []byte) ([]store.Push, error) {
	if len(b) == 0 {
		return nil, nil
	}
	r := reader{b, true}
	pushes := make([]store.Push, 0, 1)
	for at := int64(0); len(r.b) > 0 && r.ok; {
		p := store.Push{Number: int(r.varint())}
		at += r.varint()
		got, n := binary.Uvarint(r.b)
		if n <= 0 || got > 255 || len(pushes) == store.MaxPushes {
			return nil, errPushes
		}
		r.b = r.b[n:]
		p.At, p.Got = time.UnixMilli(at).UTC(), store.Outcome(got)
		pushes = append(pushes, p)
	}
	if !r.ok {
		return nil, errPushes
	}
	return pushes, nil
}

// Bits of the byte of flags in a way.
const (
	hasTakenBy = 1 << iota
	hasFetchOf
	fetchesAgain
	wayFlags = hasTakenBy | hasFetchOf | fetchesAgain
)

// numbers are those of a way, in the order in which they are written.
func numbers(w *store.Way) [7]*int {
	return [7]*int{&w.Told, &w.Pages, &w.Shown, &w.Sent, &w.Tries, &w.Unknown, &w.Fetch.Page}
}

// AppendWay writes how far an answer has come: its numbers as varints, a byte of flags, and the keys
// that are not zero. The zero Way takes no place.
func AppendWay(b []byte, w *store.Way) []byte {
	if *w == (store.Way{}) {
		return b
	}
	for _, n := range numbers(w) {
		b = binary.AppendVarint(b, int64(*n))
	}
	flags := byte(0)
	if w.TakenBy != (store.Key{}) {
		flags |= hasTakenBy
	}
	if w.Fetch.Of != (store.Key{}) {
		flags |= hasFetchOf
	}
	if w.Fetch.Again {
		flags |= fetchesAgain
	}
	b = append(b, flags)
	if flags&hasTakenBy != 0 {
		b = append(b, w.TakenBy[:]...)
	}
	if flags&hasFetchOf != 0 {
		b = append(b, w.Fetch.Of[:]...)
	}
	return b
}

// Way reads what AppendWay has written.
func Way(b []byte) (w store.Way, err error) {
	if len(b) == 0 {
		return w, nil
	}
	r := reader{b, true}
	for _, n := range numbers(&w) {
		*n = int(r.varint())
	}
	flags := r.bytes(1)
	if !r.ok || flags[0]&^wayFlags != 0 {
		return store.Way{}, errWay
	}
	if flags[0]&hasTakenBy != 0 {
		copy(w.TakenBy[:], r.bytes(len(w.TakenBy)))
	}
	if flags[0]&hasFetchOf != 0 {
		copy(w.Fetch.Of[:], r.bytes(len(w.Fetch.Of)))
	}
	w.Fetch.Again = flags[0]&fetchesAgain != 0
	if !r.ok || len(r.b) > 0 {
		return store.Way{}, errWay
	}
	return w, nil
}

// reader takes values from the front. Once one is missing, ok is false.
type reader struct {
	b  []byte
	ok bool
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.ok = nil, false
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n int) []byte {
	if len(r.b) < n {
		r.b, r.ok = nil, false
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

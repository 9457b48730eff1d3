package sqlite

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
)

// What recent calls unknown must never have been added, whatever it has forgotten.
func TestRecentNeverDeniesAKnownKey(t *testing.T) {
	t.Parallel()
	r := recent{young: make(map[store.Key]struct{})}
	key := func(n int) (k store.Key) {
		// About 500 in a second, not quite in order.
		binary.BigEndian.PutUint32(k[:], uint32(1_800_000_000+n/500+rand.IntN(3)))
		binary.BigEndian.PutUint64(k[12:], uint64(n))
		return k
	}
	var keys []store.Key
	for n := range 5 * maxRecent {
		k := key(n)
		if !r.unknown(k) && k.Time().After(r.since) {
			t.Fatalf("key %d is known before it was added", n)
		}
		keys = append(keys, k)
		r.add(k)
	}
	for n, k := range keys {
		if r.unknown(k) {
			t.Fatalf("key %d of %d is unknown", n, len(keys))
		}
	}
	if len(r.young) > maxRecent || len(r.old) > maxRecent {
		t.Errorf("%d and %d keys are kept", len(r.young), len(r.old))
	}
	if fresh := key(6 * maxRecent); !r.unknown(fresh) {
		t.Error("a fresh key is taken for known")
	}
	// Keys of before the file was opened.
	r.since = keys[len(keys)-1].Time().Add(time.Hour)
	if r.unknown(key(6 * maxRecent)) {
		t.Error("a key that the file may hold is called unknown")
	}
}

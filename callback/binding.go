package callback

import (
	"crypto/sha1"
	"encoding/hex"
	"sync"
	"time"

	"github.com/echostr/echostr/store"
)

// bindings remembers which message a plain signature was used for. The
// signature does not cover the body, so whoever has seen one URL can send any
// message under it while it is fresh; bound to the first message it is worth nothing.
// R-SIG-BODY, R-SIG-BIND
//
// Two generations of a map: forgetting costs nothing, and memory is bounded.
type bindings struct {
	window time.Duration

	mu        sync.Mutex
	now, then map[[sha1.Size]byte]store.Key
	since     time.Time
}

const maxBindings = 100_000

// bind reports whether the signature, which is well formed, is new or was used for this message.
func (b *bindings) bind(signature string, key store.Key) bool {
	var pair [sha1.Size]byte
	hex.Decode(pair[:], []byte(signature))
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.now) >= maxBindings || time.Since(b.since) > b.window {
		b.now, b.then, b.since = make(map[[sha1.Size]byte]store.Key), b.now, time.Now()
	}
	first, known := b.now[pair]
	if !known {
		if first, known = b.then[pair]; !known {
			b.now[pair] = key
			return true
		}
	}
	return first == key
}

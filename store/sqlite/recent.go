package sqlite

import (
	"sync"
	"time"

	"github.com/echostr/echostr/store"
)

// recent knows the keys that this process has claimed lately. A key that is younger
// than all that the file held when it was opened, and not among them, is in no
// row: that answers most of the questions whether a message is known without
// asking SQLite. It is right because nobody else writes the file.
type recent struct {
	mu    sync.RWMutex
	since time.Time // of keys from here on all that were claimed are in young or old
	young map[store.Key]struct{}
	old   map[store.Key]struct{}
	last  time.Time // the time of the youngest key in old
}

// maxRecent bounds each generation; the older one is forgotten when the younger
// is full.
const maxRecent = 1 << 15

// add takes in a key that is about to be claimed.
func (r *recent) add(key store.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= maxRecent {
		if !r.last.Before(r.since) {
			r.since = r.last.Add(time.Second)
		}
		r.old, r.young = r.young, make(map[store.Key]struct{}, maxRecent)
		r.last = time.Time{}
		for k := range r.old {
			if at := k.Time(); at.After(r.last) {
				r.last = at
			}
		}
	}
	r.young[key] = struct{}{}
}

// unknown reports whether no row has this key for certain.
func (r *recent) unknown(key store.Key) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if key.Time().Before(r.since) {
		return false
	}
	_, young := r.young[key]
	_, old := r.old[key]
	return !young && !old
}

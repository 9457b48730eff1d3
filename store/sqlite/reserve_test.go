package sqlite

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Room that was given up is not taken back while somebody still needs it.
func TestReserveIsNotTakenBackTooSoon(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "reserve")
	r := newReserve(path, 8<<10)
	if r.gone() {
		t.Fatal("there is no room for a KiB")
	}
	if !r.release() || !r.gone() {
		t.Fatal("the room was not given up")
	}
	r.restore()
	if !r.gone() {
		t.Error("it was taken back at once")
	}
	r.needed.Lock()
	r.tried = time.Time{}
	r.restore()
	if _, err := os.Stat(path); err == nil || !r.gone() {
		t.Error("it was taken back while it was needed")
	}
	r.needed.Unlock()
	r.restore()
	if info, err := os.Stat(path); err != nil || info.Size() != 1<<10 || r.gone() {
		t.Errorf("it was not taken back: %v", err)
	}
}

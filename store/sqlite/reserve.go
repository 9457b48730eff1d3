package sqlite

import (
	"os"
	"path/filepath"
	"sync"
	"time"
)

// reserve is a file that takes up room on the disk, to be given up when the
// disk is full: the results of messages that are accepted must still fit.
// While it is gone no new message is accepted.
type reserve struct {
	path string
	size int64

	needed sync.Mutex // held from when the room is given up until it has been used
	mu     sync.Mutex
	absent bool
	tried  time.Time
}

const (
	maxReserve = 16 << 20
	// retryReserve is how often it is tried to get the room back.
	retryReserve = 250 * time.Millisecond
)

// newReserve takes up the room. On a small disk it is an eighth of what is free.
func newReserve(path string, free int64) *reserve {
	r := &reserve{path: path, size: maxReserve}
	if free >= 0 {
		r.size = min(r.size, free/8)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > 0 && free >= 0 && free < info.Size()/2 {
		// A process that died has left it on a disk that is full.
		r.size = info.Size()
		r.release()
		return r
	}
	r.absent = r.fill() != nil
	return r
}

// gone reports whether the room has been given up.
func (r *reserve) gone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.absent
}

// release gives the room up, and reports whether there was any.
func (r *reserve) release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = os.Remove(r.path)
	was := !r.absent
	r.absent, r.tried = true, time.Now()
	return was
}

// restore takes the room back, now and then, if it is gone and nobody needs it.
func (r *reserve) restore() {
	if !r.needed.TryLock() {
		return
	}
	defer r.needed.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.absent || time.Since(r.tried) < retryReserve {
		return
	}
	r.tried = time.Now()
	// There must be room for messages beside it, or it would be given up again at once.
	if free := freeBytes(filepath.Dir(r.path)); free >= 0 && free < 2*r.size {
		return
	}
	r.absent = r.fill() != nil
}

// fill makes the file, complete or not at all.
func (r *reserve) fill() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = allocate(f, r.size)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		_ = os.Remove(r.path)
	}
	return err
}

// fillZeros takes up room by writing it, where the system cannot reserve it.
func fillZeros(f *os.File, size int64) error {
	zeros := make([]byte, 64<<10)
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}

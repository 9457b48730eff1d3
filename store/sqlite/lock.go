package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// lock is the proof that one process has the database, and the place where the
// next one reads how the last one ended.
type lock struct {
	flock *flock.Flock
	path  string
	last  holder // who had it before
}

// holder is what stands in the lock file.
type holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host,omitempty"`
	Since time.Time `json:"since"`
	Boot  string    `json:"boot,omitempty"`
	// Clean: it closed the database itself.
	Clean bool `json:"clean"`
	// Check: what is stored has to be checked before it is used again.
	Check bool `json:"check,omitempty"`
}

// lookTime is longer than [InUse] has the lock, so that whoever only looks is in nobody's way.
const lookTime = 100 * time.Millisecond

// takeLock waits for the lock, at most for wait.
func takeLock(ctx context.Context, path string, wait time.Duration) (*lock, error) {
	_, err := os.Lstat(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	l := &lock{flock: newFlock(path), path: path}
	ctx, cancel := context.WithTimeout(ctx, max(wait, lookTime))
	defer cancel()
	ok, err := l.flock.TryLock()
	if !ok && err == nil {
		ok, err = l.flock.TryLockContext(ctx, 20*time.Millisecond)
	}
	l.last = readHolder(path)
	switch {
	case ok:
		if fresh {
			l.give()
		}
		return l, nil
	case err == nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil, inUse(path, l.last)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return nil, unusable("this user may not write %s: change the owner of the folder, or choose another one", path)
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return nil, openError(path, err)
	case noRoom(err):
		return nil, unusable("there is no room on the disk of %s: free some, and start again", strings.TrimSuffix(path, lockSuffix))
	}
	return nil, unusable("%s cannot be locked: %w; put the database on a disk of this machine", path, err)
}

// give gives the file to whom its folder belongs, if root has made it. The lock is not of
// this opening of the file, so it stays.
func (l *lock) give() {
	if f, err := os.Open(l.path); err == nil {
		giveTo(f, filepath.Dir(l.path))
		f.Close()
	}
}

func newFlock(path string) *flock.Flock { return flock.New(path, flock.SetPermissions(0o600)) }

func inUse(path string, h holder) error {
	return unusable("%s is in use by %s: stop that one first, or give each its own file", strings.TrimSuffix(path, lockSuffix), h)
}

// InUse says which process has the database at path, in an error that wraps
// [ErrUnusable]. It is nil if none has.
func InUse(path string) error {
	path, err := place(path, true)
	if err != nil {
		return err
	}
	path += lockSuffix
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	l := newFlock(path)
	defer l.Close()
	if ok, err := l.TryLock(); ok || err != nil {
		return nil
	}
	return inUse(path, readHolder(path))
}

func (h holder) String() string {
	if h.PID == 0 || h.Clean {
		return "another process"
	}
	name := fmt.Sprintf("process %d", h.PID)
	if host, _ := os.Hostname(); h.Host != "" && h.Host != host {
		name += " on " + h.Host
	}
	return name + ", which started " + h.Since.Local().Format("2006-01-02 15:04:05")
}

func readHolder(path string) (h holder) {
	f, err := os.Open(path)
	if err != nil {
		return h
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 4096))
	_ = json.Unmarshal(b, &h)
	return h
}

// write says who has the lock, or how it was given back.
func (l *lock) write(clean, check bool) error {
	host, _ := os.Hostname()
	b, err := json.Marshal(holder{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second), Boot: bootID(), Clean: clean, Check: check})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// release gives the lock back. The file stays: to remove it would let two
// processes lock two files of one name.
func (l *lock) release() error { return l.flock.Close() }

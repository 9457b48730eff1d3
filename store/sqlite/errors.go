package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/echostr/echostr/store"
)

// ErrUnusable is wrapped by every error of [Open] and [Restore] that trying again does
// not help against: somebody has to do what the error says. An error of the disk
// wraps [store.ErrBroken] instead, and another program's lock
// [store.ErrUnavailable].
var ErrUnusable = errors.New("store: the database cannot be used")

// unusable makes an error that wraps ErrUnusable and shows only the sentence.
func unusable(format string, args ...any) error {
	return &unusableError{err: fmt.Errorf(format, args...)}
}

// unusableError is a sentence about a file, which is put in front if the sentence does
// not name it.
type unusableError struct {
	path string
	err  error
}

func (e *unusableError) Error() string {
	if e.path != "" {
		return "store: " + e.path + ": " + e.err.Error()
	}
	return "store: " + e.err.Error()
}

func (e *unusableError) Unwrap() []error { return []error{ErrUnusable, e.err} }

// about names the file in a sentence that names none.
func about(path string, err error) error {
	if e, ok := errors.AsType[*unusableError](err); ok && e.path == "" {
		return &unusableError{path, e.err}
	}
	return err
}

// openError makes a sentence of what opening or reading a file has met. The sentence names
// the file.
func openError(path string, err error) error {
	if errors.Is(err, ErrUnusable) || errors.Is(err, context.Canceled) {
		return about(path, err)
	}
	switch code := primary(err); {
	case code == sqlite3.SQLITE_BUSY, code == sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %s is locked by another program (%w); end that one, or start again later", store.ErrUnavailable, path, err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w: %s could not be opened: %w; let the process have more files (LimitNOFILE, ulimit -n), and start again", store.ErrUnavailable, path, err)
	case code == sqlite3.SQLITE_IOERR && (!isFull(err) || freeBytes(filepath.Dir(path)) > someRoom), errors.Is(err, syscall.EIO), code == sqlite3.SQLITE_CANTOPEN && mayWrite(path):
		// Starting again tells what was written and what was not.
		return fmt.Errorf("%w: %s could not be read or written: %w; look into the system's log for the disk, and start again", store.ErrBroken, path, err)
	case isFull(err), noRoom(err):
		return unusable("there is no room on the disk of %s: free some, and start again", path)
	case code == sqlite3.SQLITE_NOTADB:
		return unusable("%s is not a SQLite database, or is encrypted: move it away, or choose another file", path)
	case code == sqlite3.SQLITE_CORRUPT:
		return unusable("%s is damaged (%w): move it away and restore a backup", path, err)
	case errors.Is(err, fs.ErrPermission), code == sqlite3.SQLITE_READONLY, code == sqlite3.SQLITE_CANTOPEN:
		return unusable("%s cannot be opened for writing (%w): make this user the owner of it and of its folder", path, err)
	}
	return unusable("%s cannot be used: %w", path, err)
}

// someRoom is more than SQLite wants when it opens a database. What it keeps beside the WAL cannot be written with less, or because
// of the disk, and it does not say why.
const someRoom = 1 << 20

// mayWrite reports whether this user may open the files of the database for writing, and make those that are
// not there: then it is something else that has kept SQLite from it, which does not say what. No file is opened for
// that; see makeFile.
func mayWrite(path string) bool {
	if !allowed(filepath.Dir(path)) {
		return false
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		info, err := os.Lstat(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || !info.Mode().IsRegular() || !allowed(path+suffix) {
			return false
		}
	}
	return true
}

// primary is the primary result code of SQLite in err, or 0.
func primary(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// failure sorts an error of the driver: storage that is full or locked comes back,
// what fails otherwise does not. A failed flush is never tried again, since the
// kernel may have thrown away what it could not write and say yes the next
// time.
func failure(err error) error {
	if isFull(err) {
		return fmt.Errorf("%w: the disk is full: %w", store.ErrUnavailable, err)
	}
	switch primary(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: another program has locked the database: %w", store.ErrUnavailable, err)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY:
		return fmt.Errorf("%w: %w", store.ErrBroken, err)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// isFull reports whether there was no room: for the files, or for what SQLite
// keeps beside the WAL to find its way in it.
func isFull(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}

// noRoom reports whether the system has said that a file finds no room.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC)
}

// isDamage reports whether err says that the file is not what it should be.
func isDamage(err error) bool {
	code := primary(err)
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB || errors.Is(err, ErrUnusable)
}

package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/echostr/echostr/store"
)

// ErrUnusable is wrapped by every error of [Open] and [Restore] that trying again does
// not help against: somebody has to do what the error says.
var ErrUnusable = errors.New("store: the database cannot be used")

// unusable makes an error that wraps ErrUnusable and shows only the sentence.
func unusable(format string, args ...any) error {
	return &unusableError{fmt.Errorf("store: "+format, args...)}
}

type unusableError struct{ error }

func (e *unusableError) Unwrap() []error { return []error{ErrUnusable, e.error} }

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
	switch primary(err) {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: the disk is full: %w", store.ErrUnavailable, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: another program has locked the database: %w", store.ErrUnavailable, err)
	case sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, 0:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", store.ErrBroken, err)
}

func isFull(err error) bool { return primary(err) == sqlite3.SQLITE_FULL }

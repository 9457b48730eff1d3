package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/echostr/echostr/store"
)

// ErrUnusable is wrapped by every error of [Open] that trying again does not help against: somebody has to
// do what the error says.
var ErrUnusable = errors.New("store: the database cannot be used")

// unusable makes an error that wraps ErrUnusable and shows only the sentence.
func unusable(format string, args ...any) error {
	return unusableError{fmt.Errorf("store: "+format, args...)}
}

type unusableError struct{ error }

func (e unusableError) Unwrap() []error { return []error{ErrUnusable, e.error} }

// poolSize finds the size of the pool in an address.
var poolSize = regexp.MustCompile(`\bpool_max_conns=`)

// badAddress says that an address cannot be read. What the driver says of it is left out if it may
// quote a part of the address, and with it of the password.
func badAddress(dsn string, err error) error {
	const advice = "write it like postgres://user:password@host:5432/name, and characters such as @, / and %% in a password as %%40, %%2F and %%25"
	u, bad := url.Parse(dsn)
	if detail := errors.Unwrap(err); bad == nil && u.Host != "" && detail != nil {
		return unusable("the address of the database cannot be used: %w; "+advice, oneLine{detail})
	}
	return unusable("the address of the database cannot be read: " + advice)
}

// oneLine is an error whose text is one line. Of a connection that could not be made it says once for each
// server what was in the way, and nothing that the configuration says already.
type oneLine struct{ error }

func (e oneLine) Error() string {
	text := e.error.Error()
	if failed, ok := errors.AsType[*pgconn.ConnectError](e.error); ok {
		text = attempts(failed.Unwrap())
	}
	return strings.Join(strings.Fields(text), " ")
}

func (e oneLine) Unwrap() error { return e.error }

// noTLS is what the driver says before it connects without TLS, unless sslmode demands that.
const noTLS = "server refused TLS connection"

// attempts says what was in the way of each attempt to connect. The driver makes two for an address, with TLS and
// without; the same twice, and that there is no TLS if another reason follows, is said once or not at all.
func attempts(err error) string {
	list := []error{err}
	var all interface{ Unwrap() []error }
	if errors.As(err, &all) {
		list = all.Unwrap()
	}
	var said []string
	for i, err := range list {
		one := attempt(err)
		if i+1 < len(list) && strings.HasSuffix(one, noTLS) && strings.HasPrefix(attempt(list[i+1]), strings.TrimSuffix(one, noTLS)) {
			continue
		}
		if !slices.Contains(said, one) {
			said = append(said, one)
		}
	}
	return strings.Join(said, "; ")
}

// attempt is an address and what was in the way there.
func attempt(err error) string {
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		return unknown.Name + ": " + unknown.Err
	}
	text := err.Error()
	address, _, ok := strings.Cut(text, " (") // see perDialConnectError in the driver
	if !ok {
		return text
	}
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		return address + ": " + said.Error()
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		return address + ": " + failed.Err.Error()
	}
	if strings.HasSuffix(text, noTLS) {
		return address + ": " + noTLS
	}
	_, text, _ = strings.Cut(text, "): ")
	return address + ": " + text
}

// code is the SQLSTATE that the server has answered with, or "".
func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// Codes of PostgreSQL; see "PostgreSQL Error Codes" in its manual. The first two digits are a class.
const (
	deadlock         = "40P01"
	noSerialization  = "40001"
	diskFull         = "53100"
	readOnly         = "25006"
	noDatabase       = "3D000"
	noPrivilege      = "42501"
	unknownParameter = "08P01"
	preparedTwice    = "42P05"
	notPrepared      = "26000"
	starting         = "57P03"
	tooMany          = "53300"
)

// undone reports whether nothing can have been written by what has met err.
func undone(err error) bool {
	switch code(err) {
	case deadlock, noSerialization:
		return true
	}
	return pgconn.SafeToRetry(err)
}

// isLost reports whether err says that the connection, or the server at its other end, is no good any
// more: it has gone, or is not the primary.
func isLost(err error) bool {
	switch c := code(err); {
	case c == readOnly, c == "57P01", c == "57P02", c == starting, strings.HasPrefix(c, "08"):
		return true
	case c != "" || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return false // slow, or refused
	}
	_, isNet := errors.AsType[net.Error](err)
	return isNet || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed)
}

// isBadData reports whether the server refuses what it was given, whenever it is given it.
func isBadData(err error) bool {
	switch c := code(err); c[:min(2, len(c))] {
	case "22", "23", "54":
		return true
	}
	return false
}

// failure sorts an error of the driver. What has met it may have happened or not, and trying again soon may
// help.
func failure(err error) error {
	if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrClosed) {
		return err
	}
	detail := oneLine{err}
	switch c := code(err); {
	case c == diskFull:
		return fmt.Errorf("%w: the disk of the database server is full; make room there: %w", store.ErrFull, detail)
	case isReadOnly(err):
		return fmt.Errorf("%w: the database server takes no writes now, since it is a standby, or somebody or a full disk has made it read-only; make a primary of it, or let it write again: %w", store.ErrUnavailable, detail)
	case strings.HasPrefix(c, "28"):
		return fmt.Errorf("%w: "+refused, store.ErrUnavailable, detail)
	case c == tooMany:
		return fmt.Errorf("%w: the database server has no connection left (%w): raise its max_connections, or give each node fewer with pool_max_conns in the address", store.ErrUnavailable, detail)
	case c == starting, strings.HasPrefix(c, "57P"):
		return fmt.Errorf("%w: the database server is starting or stopping (%w): if that takes long, look into its log", store.ErrUnavailable, detail)
	case c == "58030", strings.HasPrefix(c, "XX"):
		return fmt.Errorf("%w: the database server has trouble with its storage; look into its log: %w", store.ErrUnavailable, detail)
	case errors.Is(err, context.DeadlineExceeded), c == "57014":
		return fmt.Errorf("%w: the database server did not answer in time (%w): see whether it is overloaded, or the network slow", store.ErrUnavailable, detail)
	case strings.HasSuffix(detail.Error(), noTLS):
		return fmt.Errorf("%w: the database server has no TLS, which sslmode in the address demands (%w): set ssl = on there, or write sslmode=disable if nobody else can read on the way", store.ErrUnavailable, detail)
	case isConnect(err) || isLost(err):
		return fmt.Errorf("%w: the database server cannot be reached (%w): see whether it runs, and whether its address is right", store.ErrUnavailable, detail)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, detail)
}

// refused is what to do when the server refuses the user.
const refused = "the database server refuses the user or the password (%w): correct them in the address, or give the password as PGPASSWORD"

func isConnect(err error) bool {
	_, is := errors.AsType[*pgconn.ConnectError](err)
	return is
}

func isReadOnly(err error) bool {
	return code(err) == readOnly || errors.Is(err, pgconn.ErrReadOnlyConnection)
}

// openError makes a sentence of what opening has met.
func openError(err error) error {
	if errors.Is(err, ErrUnusable) || errors.Is(err, context.Canceled) {
		return err
	}
	switch c := code(err); {
	case isReadOnly(err):
		return unusable("the database server takes no writes: if it is a standby, give the address of the primary, or of all servers with commas between them; if it was made read-only, by default_transaction_read_only or a full disk, let it write again")
	case strings.HasPrefix(c, "28"):
		return unusable(refused, oneLine{err})
	case c == noDatabase:
		return unusable("the database does not exist (%w): create it with createdb", oneLine{err})
	case c == noPrivilege:
		return unusable("the user may not do what is needed in the database (%w): make it the owner with ALTER DATABASE … OWNER TO", oneLine{err})
	case c == unknownParameter:
		return unusable("something between here and the database server does not take its settings (%w): connect without PgBouncer, or see \"PgBouncer\" in docs/configuration.md", oneLine{err})
	case c == preparedTwice, c == notPrepared:
		return unusable("something between here and the database server gives statements to connections that do not know them (%w): connect without PgBouncer, or see \"PgBouncer\" in docs/configuration.md", oneLine{err})
	case strings.HasPrefix(c, "42"):
		return unusable("the tables of the database are not those of Echostr (%w): choose another database", oneLine{err})
	}
	return failure(err)
}

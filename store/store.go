// Package store is the contract between the life of a message and the place
// where it is kept.
//
// A store has no rules. It inserts a turn whose key is new ([Store.Claim]),
// replaces a turn whose version is the one the caller read ([Store.Save]), and
// in every other case hands back what is there. All rules of time, retries and
// recovery are in internal/turn; that is why every backend behaves alike, and
// package storetest holds all of them to it.
//
// Claim and Save take batches, so that all turns waiting at one moment share
// one transaction, and report per row. A call ends by the backend's own limits,
// whether or not its context does: within seconds, unless a disk of the
// machine's own takes longer to flush.
//
// A Store is safe for concurrent use. An error returned for a whole call means
// that the outcome is unknown: some, all or none of the rows may have been
// written. The caller asks again, and learns from the row that is there.
package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Errors that a caller decides by. A backend maps the errors of its driver to
// them in one place and adds the detail with %w.
var (
	// ErrNotFound: no turn has this key. It may never have been there, or have expired.
	ErrNotFound = errors.New("store: no such turn")
	// ErrUnavailable: the store cannot be reached or cannot write now. Nothing
	// may be acknowledged; ask again soon.
	ErrUnavailable = errors.New("store: unavailable")
	// ErrFull is the [ErrUnavailable] of a store without room for another turn or session.
	ErrFull = fmt.Errorf("%w: no room for another turn or session", ErrUnavailable)
	// ErrFenced: the node's lease has ended, or a younger epoch of it has
	// joined. It may start nothing any more and has to join again.
	ErrFenced = errors.New("store: node is fenced")
	// ErrBroken: the storage has failed in a way that leaves the truth to be
	// found out by opening it anew, such as a flush that was answered by an error.
	// Every later call is answered by it. Nothing may be retried or
	// acknowledged; the process has to be restarted.
	ErrBroken = errors.New("store: broken")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("store: closed")
)

// Lease is how long a node counts as alive after its last Renew. It renews
// every third of it and stops its handlers when a third is left.
const Lease = 15 * time.Second

// Store keeps turns, nodes and sessions.
type Store interface {
	// Installation returns what belongs to this database as a whole. It does not
	// change while the store is open.
	Installation(ctx context.Context) (Installation, error)

	// Join makes a new epoch for the node with this id and starts its lease.
	// Older epochs of the same id are dead from then on.
	Join(ctx context.Context, id string) (Node, error)
	// Renew starts the lease of n anew. It returns ErrFenced if n is dead.
	Renew(ctx context.Context, n Node) error
	// Leave ends the lease of n at once, so that others need not wait for its
	// end. Leaving twice is not an error.
	Leave(ctx context.Context, n Node) error
	// Alive reports whether the lease of n runs, by the store's own clock.
	Alive(ctx context.Context, n Node) (bool, error)

	// Owners returns the nodes that own running turns, alive or dead, in no
	// order. It is how a node finds what others have left behind.
	Owners(ctx context.Context) ([]Node, error)

	// Departed returns the nodes whose lease has ended within [RecentlyDeparted], by the store's own
	// clock, in no order, those that have joined again apart. A store that one process has to itself
	// has none.
	Departed(ctx context.Context) ([]Node, error)

	// Claim inserts the turn of every op whose key is not there yet, as version
	// 1. Of two ops with one key the first is carried out. A running turn whose owner is
	// not alive is not inserted: its start mark would be void from the
	// beginning.
	Claim(ctx context.Context, ops []Op) error
	// Save replaces, for every op, the turn that is there with the key and
	// version of the op's, and raises the version by one. What was received,
	// from Account to ReceivedAt, stays as it was claimed. A running turn whose
	// owner is not alive replaces nothing, and an erased turn is replaced by an
	// erased one only; else it is handed back.
	//
	// So is, as it was, a turn that is to be [Sending] while another node, alive or dead, has a
	// turn of the same user Sending: no two nodes send to a user at the same time. A store that
	// one process has to itself need not look.
	Save(ctx context.Context, ops []Op) error
	// Get returns the turn with this key, or ErrNotFound.
	Get(ctx context.Context, key Key) (Turn, error)
	// List returns the turns that match f: youngest first by ReceivedAt or, if f bounds the time at
	// which they are due, in the order of that.
	List(ctx context.Context, f Filter) ([]Turn, error)

	// Erase removes what is personal from the turns of a user, whatever their
	// state (see [Turn.Erase]), raises their versions and returns how many there
	// were. It goes up to the turn with the key until, that one too, in the order in
	// which they were accepted, whatever a clock said; if there is no such
	// turn, such as for the zero Key, to the last. An empty account means all
	// accounts, an empty openID matches nothing. The rows and their salted keys stay,
	// so that a replay is still known. The user's sessions are deleted, whatever until
	// says: P10.
	Erase(ctx context.Context, account, openID string, until Key) (int, error)
	// Expire removes the content of finished turns received before bodies (see
	// [Turn.Expire]), and whole finished turns received before rows. Unfinished
	// turns stay, and such as are due, unless that was before bodies: then nobody sees to them any more,
	// as when their account is not configured. It returns the number of rows removed.
	Expire(ctx context.Context, bodies, rows time.Time) (int, error)

	// Session returns what was stored about a user of an account, or ErrNotFound. One
	// that has expired may still be there: it is for the caller to look at Expires.
	Session(ctx context.Context, account, openID string) (Session, error)
	// SaveSession inserts a session of version 0 if there is none, or replaces the one with the
	// version of s, and reports whether it did; s.Version is then the one that is there. Its version
	// never comes back once a session was deleted, so that nobody who has read it saves it over
	// a new one. The error is that of [Session.Check], or ErrFull without room for it.
	SaveSession(ctx context.Context, s *Session) (bool, error)
	// ExpireSessions removes the sessions that have expired by now, and returns how many.
	ExpireSessions(ctx context.Context, now time.Time) (int, error)

	// Close releases the store. Calls under way end with an error or their result.
	Close() error
}

// Installation is what belongs to a database as a whole.
type Installation struct {
	// Salt is the secret salt for keys (see [NewKeyer]), made when the database was.
	Salt []byte
	// NotBefore is set by a restore from a backup: the receive time of the
	// youngest turn in it. Of what was received until then and is
	// not in the store nobody knows whether it was handled, so it is not started.
	// The zero time means that there is no such gap.
	NotBefore time.Time
	// Shared says that other processes may have the store open, too, so that what one of them knows
	// of it is not all.
	Shared bool
}

// Op is one row of a batch: what is to be written, and then what became of it.
type Op struct {
	// Turn is the row to be written, and after the call the row as the store
	// has it: the one that was written, with its new version, or the one that stood
	// in its way. If Err is not nil it is as it was.
	Turn Turn
	// Mark, for Save, says that of the row only Pushes, Seen, Delivery, OfferedTo and Due
	// have changed since the version was read. A backend may leave the rest alone.
	Mark bool
	// OK says that the row was written.
	OK bool
	// Err is ErrNotFound if Save met no row, ErrFull if Claim found no room,
	// ErrFenced if the row was to be run by a dead node, and nil otherwise.
	Err error
}

// Node is one run of one process: who owns running turns.
type Node struct {
	ID    string
	Epoch int64
}

// Filter selects turns for List. Zero fields do not restrict.
type Filter struct {
	Account string
	OpenID  string
	States  []State
	// Deliveries, like States, selects the turns that have one of these; none: all turns.
	Deliveries []Delivery
	// Since and Until bound ReceivedAt: Since ≤ ReceivedAt < Until.
	Since, Until time.Time
	// Owner is who runs the turn, or ran it last.
	Owner Node
	// Due selects the turns that somebody has to look at again, and DueFrom and DueBefore those of
	// them whose time lies there: DueFrom ≤ Due < DueBefore. That is quick however many turns there are.
	Due                bool
	DueFrom, DueBefore time.Time
	// Limit is the largest number of turns returned. Zero means 1,000.
	Limit int
}

// ByDue reports whether f bounds the time at which turns are due, and so has them listed in the order of that.
func (f *Filter) ByDue() bool { return !f.DueFrom.IsZero() || !f.DueBefore.IsZero() }

// RecentlyDeparted is for how long [Store.Departed] names a node. Whoever could not ask for longer, since the store
// was away, does not know who has died meanwhile.
const RecentlyDeparted = 5 * time.Minute

// DefaultLimit is the limit of a [Filter] that names none.
const DefaultLimit = 1000

// Match reports whether t is selected by f, the limit apart. Backends that
// cannot express a condition in their own language use it.
func (f *Filter) Match(t *Turn) bool {
	switch {
	case f.Account != "" && f.Account != t.Account,
		f.OpenID != "" && f.OpenID != t.OpenID,
		!f.Since.IsZero() && t.ReceivedAt.Before(f.Since),
		!f.Until.IsZero() && !t.ReceivedAt.Before(f.Until),
		f.Owner != (Node{}) && t.Owner != f.Owner,
		(f.Due || f.ByDue()) && t.Due.IsZero(),
		t.Due.Before(f.DueFrom),
		!f.DueBefore.IsZero() && !t.Due.Before(f.DueBefore):
		return false
	}
	return (len(f.States) == 0 || slices.Contains(f.States, t.State)) &&
		(len(f.Deliveries) == 0 || slices.Contains(f.Deliveries, t.Delivery))
}

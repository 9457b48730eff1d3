// Package memory keeps turns in the memory of the process: for tests, for
// trying things out, and for bots that may forget everything when they stop.
//
// What it promises less than a database stands in docs/reliability.md:
// nothing outlives the process, and keys live twenty minutes, which is twice
// the freshness window, so that a replayed push is still known or refused as
// stale.
package memory

import (
	"cmp"
	"container/list"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/echostr/echostr/store"
)

// Config bounds a memory store. Zero fields mean the defaults.
type Config struct {
	// MaxTurns is how many turns are kept. The oldest finished ones go first;
	// when all are unfinished or due the store is full. Defaults to 1,000,000.
	MaxTurns int
	// MaxBytes bounds what bodies, replies, rows and sessions take, roughly. Sessions
	// take a quarter of it at most; those that were saved longest ago go first. Defaults to
	// 256 MiB.
	MaxBytes int
	// Keep is how long a finished turn that is not due is kept after its first push.
	// Defaults to 20 minutes; below twice the freshness window replays are possible.
	Keep time.Duration
	// Now is the clock for Keep and leases. Defaults to time.Now.
	Now func() time.Time
}

// New returns an empty store.
func New(cfg Config) *Store {
	if cfg.MaxTurns <= 0 {
		cfg.MaxTurns = 1_000_000
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 256 << 20
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 20 * time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Store{cfg: cfg, salt: make([]byte, 32), nodes: make(map[string]lease)}
	rand.Read(s.salt)
	s.clear()
	return s
}

// Store is a [store.Store] in memory.
type Store struct {
	cfg  Config
	salt []byte

	mu     sync.Mutex
	closed bool
	rows   map[store.Key]*entry
	// Every entry stands in one of four rings. Those in finished may go, the first one first: it was
	// finished, or was due for the last time, before the others. Those in delivered are due since more
	// of an answer may be fetched of which the user has had the first page, and go if there is no room.
	// Those in waiting are finished and due for another reason.
	finished, delivered, waiting, unfinished ring
	due                                      due
	sessions                                 sessions
	bytes                                    int // of turns and sessions
	accepted                                 uint64
	nodes                                    map[string]lease
}

var _ store.Store = (*Store)(nil)

type lease struct {
	epoch int64
	until time.Time
}

type entry struct {
	turn       store.Turn
	number     uint64    // in the order of acceptance
	claimed    time.Time // by cfg.Now, with its monotonic reading, so that a clock that jumps expires nothing
	prev, next *entry
	place      int // in the heap of what is due, if it is
}

// ring is a list of entries with a root of its own.
type ring struct{ root entry }

func (r *ring) init()         { r.root.prev, r.root.next = &r.root, &r.root }
func (r *ring) first() *entry { return r.root.next }
func (r *ring) push(e *entry) {
	e.prev, e.next = r.root.prev, &r.root
	e.prev.next, e.next.prev = e, e
}

// all yields the entries of r from first to last.
func (r *ring) all(yield func(*entry) bool) {
	for e := r.first(); e != &r.root && yield(e); e = e.next {
	}
}

// rowBytes is about what a row takes beside its strings: the struct, its
// share of the map and the record of one push.
const rowBytes = 800

func size(t *store.Turn) int {
	return rowBytes + len(t.Body) + len(t.Reply) + len(t.Reason) + len(t.Placeholder) + len(t.Pushes)*40
}

// Installation implements [store.Store].
func (s *Store) Installation(context.Context) (store.Installation, error) {
	return store.Installation{Salt: slices.Clone(s.salt)}, nil
}

// Join implements [store.Store].
func (s *Store) Join(_ context.Context, id string) (store.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.Node{}, store.ErrClosed
	}
	epoch := s.nodes[id].epoch + 1
	s.nodes[id] = lease{epoch, s.cfg.Now().Add(store.Lease)}
	return store.Node{ID: id, Epoch: epoch}, nil
}

// Renew implements [store.Store].
func (s *Store) Renew(_ context.Context, n store.Node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	if !s.alive(n) {
		return fmt.Errorf("%w: %s, epoch %d", store.ErrFenced, n.ID, n.Epoch)
	}
	s.nodes[n.ID] = lease{n.Epoch, s.cfg.Now().Add(store.Lease)}
	return nil
}

// Leave implements [store.Store].
func (s *Store) Leave(_ context.Context, n store.Node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.cfg.Now(); s.alive(n) {
		s.nodes[n.ID] = lease{n.Epoch, now}
	}
	return nil
}

// Alive implements [store.Store].
func (s *Store) Alive(_ context.Context, n store.Node) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, store.ErrClosed
	}
	return s.alive(n), nil
}

func (s *Store) alive(n store.Node) bool {
	l := s.nodes[n.ID]
	return l.epoch == n.Epoch && s.cfg.Now().Before(l.until)
}

// Departed implements [store.Store].
func (s *Store) Departed(context.Context) (departed []store.Node, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	for id, l := range s.nodes {
		if since := s.cfg.Now().Sub(l.until); 0 <= since && since < store.RecentlyDeparted {
			departed = append(departed, store.Node{ID: id, Epoch: l.epoch})
		}
	}
	return departed, nil
}

// Owners implements [store.Store].
func (s *Store) Owners(context.Context) ([]store.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	owners := make(map[store.Node]bool)
	for e := range s.unfinished.all {
		owners[e.turn.Owner] = true
	}
	return slices.Collect(maps.Keys(owners)), nil
}

// Claim implements [store.Store].
func (s *Store) Claim(_ context.Context, ops []store.Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	now := s.cfg.Now()
	s.expire(now)
	for i := range ops {
		op := &ops[i]
		if e := s.rows[op.Turn.Key]; e != nil {
			op.Turn, op.OK, op.Err = e.turn, false, nil
			continue
		}
		if op.OK, op.Err = false, s.admit(&op.Turn); op.Err != nil {
			continue
		}
		op.Turn.Version, op.OK = 1, true
		s.accepted++
		e := &entry{turn: op.Turn, number: s.accepted, claimed: now}
		s.rows[e.turn.Key] = e
		s.link(e)
		s.bytes += size(&e.turn)
	}
	return nil
}

// admit reports why there is no place for t, if there is none.
func (s *Store) admit(t *store.Turn) error {
	switch {
	case s.void(t):
		return store.ErrFenced
	case !s.room(1, size(t), nil):
		return store.ErrFull
	}
	return nil
}

// void reports whether t is a start mark by a node that is not alive.
func (s *Store) void(t *store.Turn) bool {
	return t.State == store.Running && !s.alive(t.Owner)
}

// link puts e where it belongs. It stands nowhere yet.
func (s *Store) link(e *entry) {
	switch {
	case !e.turn.State.Finished():
		s.unfinished.push(e)
	case !e.turn.Due.IsZero() && hasArrived(&e.turn):
		s.delivered.push(e)
	case !e.turn.Due.IsZero():
		s.waiting.push(e)
	default:
		s.finished.push(e)
	}
	if !e.turn.Due.IsZero() {
		s.due.add(e)
	}
}

// hasArrived reports whether the user has had the answer, or its first page, or is taken to have.
func hasArrived(t *store.Turn) bool {
	return t.Delivery == store.Written || t.Delivery == store.Fetched || t.Delivery == store.Assumed
}

// unlink undoes link.
func (s *Store) unlink(e *entry) {
	e.prev.next, e.next.prev = e.next, e.prev
	if !e.turn.Due.IsZero() {
		s.due.remove(e)
	}
}

// room makes room for more rows and bytes, and reports whether it could: finished turns go,
// and then sessions, kept apart.
func (s *Store) room(rows, bytes int, kept *list.Element) bool {
	for len(s.rows)+rows > s.cfg.MaxTurns || s.bytes+bytes > s.cfg.MaxBytes {
		old := s.delivered.first()
		isOld := old != &s.delivered.root && s.cfg.Now().Sub(old.claimed) > s.cfg.Keep // so nothing asks for its key
		if e := s.finished.first(); e != &s.finished.root && !isOld {
			s.remove(e)
		} else if old != &s.delivered.root {
			s.remove(old)
		} else if len(s.rows)+rows > s.cfg.MaxTurns || !s.dropSession(kept) {
			return false
		}
	}
	return true
}

// expire removes finished turns older than Keep. It looks at the oldest only,
// so a turn that took long to finish may stay a little longer.
func (s *Store) expire(now time.Time) {
	for e := s.finished.first(); e != &s.finished.root && now.Sub(e.claimed) > s.cfg.Keep; e = s.finished.first() {
		s.remove(e)
	}
}

func (s *Store) remove(e *entry) {
	s.unlink(e)
	delete(s.rows, e.turn.Key)
	s.bytes -= size(&e.turn)
}

// Save implements [store.Store].
func (s *Store) Save(_ context.Context, ops []store.Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	for i := range ops {
		op := &ops[i]
		op.OK, op.Err = false, nil
		switch e := s.rows[op.Turn.Key]; {
		case e == nil:
			op.Err = store.ErrNotFound
		case e.turn.Version != op.Turn.Version, e.turn.State == store.Erased && op.Turn.State != store.Erased:
			op.Turn = e.turn
		case s.void(&op.Turn):
			op.Err = store.ErrFenced
		case op.Turn.Delivery == store.Sending && s.due.isSent(e, op.Turn.Owner):
			op.Turn = e.turn
		default:
			op.Turn.Version, op.OK = op.Turn.Version+1, true
			op.Turn.Received(&e.turn)
			s.replace(e, &op.Turn)
		}
	}
	return nil
}

// replace puts t in the place of what e holds.
func (s *Store) replace(e *entry, t *store.Turn) {
	s.bytes += size(t) - size(&e.turn)
	stays := e.turn.State.Finished() == t.State.Finished() && e.turn.Due.IsZero() && t.Due.IsZero()
	if !stays {
		s.unlink(e)
	}
	if e.turn = *t; !stays {
		s.link(e)
	}
}

// Get implements [store.Store].
func (s *Store) Get(_ context.Context, key store.Key) (store.Turn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.Turn{}, store.ErrClosed
	}
	if e := s.rows[key]; e != nil {
		return e.turn, nil
	}
	return store.Turn{}, store.ErrNotFound
}

// List implements [store.Store].
func (s *Store) List(_ context.Context, f store.Filter) ([]store.Turn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	limit := f.Limit
	if limit <= 0 {
		limit = store.DefaultLimit
	}
	// Of many only the first are copied, or a short list of a full store would
	// take as much memory as the store.
	var found []*entry
	order := func(a, b *entry) int {
		return cmp.Or(b.turn.ReceivedAt.Compare(a.turn.ReceivedAt), cmp.Compare(b.number, a.number))
	}
	if f.ByDue() {
		order = func(a, b *entry) int { return cmp.Or(a.turn.Due.Compare(b.turn.Due), cmp.Compare(a.number, b.number)) }
	}
	first := func() {
		slices.SortFunc(found, order)
		found = found[:min(limit, len(found))]
	}
	for e := range s.candidates(&f) {
		if !f.Match(&e.turn) {
			continue
		}
		if found = append(found, e); len(found) >= 2*limit {
			first()
		}
	}
	first()
	turns := make([]store.Turn, len(found))
	for i, e := range found {
		turns[i] = e.turn
	}
	return turns, nil
}

// candidates are the turns among which those that match f are, in no order.
func (s *Store) candidates(f *store.Filter) iter.Seq[*entry] {
	switch {
	case (f.Due || f.ByDue()) && f.OpenID != "":
		return maps.Keys(s.due.users[f.OpenID])
	case f.Due || f.ByDue():
		return s.due.before(f.DueBefore)
	case len(f.States) > 0 && !slices.ContainsFunc(f.States, store.State.Finished):
		return s.unfinished.all
	}
	return s.all
}

// all yields every turn.
func (s *Store) all(yield func(*entry) bool) {
	for _, r := range []*ring{&s.unfinished, &s.waiting, &s.delivered, &s.finished} {
		for e := range r.all {
			if !yield(e) {
				return
			}
		}
	}
}

// Erase implements [store.Store].
func (s *Store) Erase(_ context.Context, account, openID string, until store.Key) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, store.ErrClosed
	}
	if openID == "" {
		return 0, nil
	}
	last := s.rows[until]
	var theirs []*entry
	for e := range s.all {
		if (account == "" || e.turn.Account == account) && e.turn.OpenID == openID && (last == nil || e.number <= last.number) {
			theirs = append(theirs, e)
		}
	}
	for _, e := range theirs {
		t := e.turn
		t.Erase()
		t.Version++
		s.replace(e, &t)
	}
	s.removeSessions(func(n *store.Session) bool { return (account == "" || n.Account == account) && n.OpenID == openID })
	return len(theirs), nil
}

// Expire implements [store.Store].
func (s *Store) Expire(_ context.Context, bodies, rows time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, store.ErrClosed
	}
	removed := 0
	old := slices.Collect(s.finished.all)
	for e := range s.due.before(bodies) {
		if e.turn.State.Finished() {
			old = append(old, e)
		}
	}
	for _, e := range old {
		switch {
		case e.turn.ReceivedAt.Before(rows):
			s.remove(e)
			removed++
		case e.turn.ReceivedAt.Before(bodies) && hasContent(&e.turn):
			t := e.turn
			t.Expire()
			t.Version++
			s.replace(e, &t)
		}
	}
	return removed, nil
}

// hasContent reports whether there is something for [store.Turn.Expire] to remove.
func hasContent(t *store.Turn) bool {
	return t.OpenID != "" || t.OriginalID != "" || t.Body != "" || t.Reply != "" || t.Reason != "" || t.Placeholder != ""
}

// Close implements [store.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.clear()
	return nil
}

// clear makes s empty.
func (s *Store) clear() {
	s.rows = make(map[store.Key]*entry)
	s.finished.init()
	s.delivered.init()
	s.waiting.init()
	s.unfinished.init()
	s.due = due{users: make(map[string]map[*entry]struct{})}
	s.sessions = sessions{of: make(map[user]*list.Element)}
	s.bytes = 0
}

package memory

import (
	"container/list"
	"context"
	"math/rand/v2"
	"time"

	"github.com/echostr/echostr/store"
)

// sessions are those of all users.
type sessions struct {
	of    map[user]*list.Element
	saved list.List // of store.Session, in the order in which they were saved
	bytes int
}

type user struct{ account, openID string }

// sessionBytes is about what a session takes beside its data.
const sessionBytes = 400

func sizeOf(n *store.Session) int { return sessionBytes + len(n.Data) }

// Session implements [store.Store].
func (s *Store) Session(_ context.Context, account, openID string) (store.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.Session{}, store.ErrClosed
	}
	if at := s.sessions.of[user{account, openID}]; at != nil {
		return at.Value.(store.Session), nil
	}
	return store.Session{}, store.ErrNotFound
}

// SaveSession implements [store.Store].
func (s *Store) SaveSession(_ context.Context, n *store.Session) (bool, error) {
	if err := n.Check(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, store.ErrClosed
	}
	var old store.Session
	grown := sizeOf(n)
	at := s.sessions.of[user{n.Account, n.OpenID}]
	if at != nil {
		old = at.Value.(store.Session)
		grown -= sizeOf(&old)
	}
	if old.Version != n.Version {
		return false, nil
	}
	most := s.cfg.MaxBytes / 4
	if sizeOf(n) > most {
		return false, store.ErrFull
	}
	for s.sessions.bytes+grown > most {
		s.dropSession(at)
	}
	if !s.room(0, grown, at) {
		return false, store.ErrFull
	}
	if n.Version++; at == nil {
		n.Version = 1 + rand.Int64N(1<<62) // none that an erased session has had
		s.sessions.of[user{n.Account, n.OpenID}] = s.sessions.saved.PushBack(*n)
	} else {
		at.Value = *n
		s.sessions.saved.MoveToBack(at)
	}
	s.sessions.bytes += grown
	s.bytes += grown
	return true, nil
}

// dropSession removes the session that was saved longest ago, kept apart, and reports whether
// there was one.
func (s *Store) dropSession(kept *list.Element) bool {
	at := s.sessions.saved.Front()
	if at != nil && at == kept {
		at = at.Next()
	}
	if at != nil {
		s.removeSession(at)
	}
	return at != nil
}

func (s *Store) removeSession(at *list.Element) {
	n := s.sessions.saved.Remove(at).(store.Session)
	delete(s.sessions.of, user{n.Account, n.OpenID})
	s.sessions.bytes -= sizeOf(&n)
	s.bytes -= sizeOf(&n)
}

// removeSessions removes those that match, and returns how many there were.
func (s *Store) removeSessions(match func(*store.Session) bool) (removed int) {
	for _, at := range s.sessions.of {
		n := at.Value.(store.Session)
		if match(&n) {
			s.removeSession(at)
			removed++
		}
	}
	return removed
}

// ExpireSessions implements [store.Store].
func (s *Store) ExpireSessions(_ context.Context, now time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, store.ErrClosed
	}
	return s.removeSessions(func(n *store.Session) bool { return !n.Expires.After(now) }), nil
}

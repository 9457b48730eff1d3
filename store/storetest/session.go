package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
)

// session is a new one. Its data is no UTF-8.
func session(account, openID string) store.Session {
	return store.Session{Account: account, OpenID: openID, Data: "\x00\xff of " + openID + " at " + account, Expires: base.Add(time.Hour + time.Millisecond)}
}

// keep saves a session that nobody else has saved meanwhile.
func keep(t tb, s store.Store, n store.Session) store.Session {
	t.Helper()
	if ok, err := s.SaveSession(context.Background(), &n); !ok || err != nil {
		t.Fatalf("SaveSession: %v, %v", ok, err)
	}
	return n
}

func remembered(t tb, what string, s store.Store, want store.Session) {
	t.Helper()
	got, err := s.Session(context.Background(), want.Account, want.OpenID)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	} else if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func forgotten(t tb, what string, s store.Store, account, openID string) {
	t.Helper()
	if got, err := s.Session(context.Background(), account, openID); !errors.Is(err, store.ErrNotFound) || got != (store.Session{}) {
		t.Errorf("%s: %+v, %v; want ErrNotFound", what, got, err)
	}
}

func sessions(t *testing.T, b Backend) {
	s, other := open(t, b)
	ctx := context.Background()
	forgotten(t, "before anything was stored", s, "demo", "o-user-1")
	none := session("demo", "o-user-1")
	none.Version = 1
	if ok, err := s.SaveSession(ctx, &none); ok || err != nil || none.Version != 1 {
		t.Errorf("a session that is not there was replaced: %v, %v, version %d", ok, err, none.Version)
	}
	one, two, elsewhere := session("demo", "o-user-1"), session("demo", "o-user-2"), session("second", "o-user-1")
	one, two, elsewhere = keep(t, s, one), keep(t, s, two), keep(t, s, elsewhere)
	if one.Version <= 0 {
		t.Errorf("a session that is there has the version %d", one.Version)
	}
	again := session("demo", "o-user-1")
	again.Data = "another"
	if ok, err := other.SaveSession(ctx, &again); ok || err != nil || again.Version != 0 {
		t.Errorf("a session was inserted twice: %v, %v, version %d", ok, err, again.Version)
	}
	old := one
	one.Data, one.Expires = "", base.Add(2*time.Hour) // empty is not none
	one = keep(t, other, one)
	if one.Version == old.Version {
		t.Errorf("a session was replaced, and its version is still %d", one.Version)
	}
	stale := old
	stale.Data = "stale"
	if ok, err := s.SaveSession(ctx, &stale); ok || err != nil || stale.Version != old.Version {
		t.Errorf("a stale version was saved: %v, %v, version %d", ok, err, stale.Version)
	}
	for _, want := range []store.Session{one, two, elsewhere} {
		remembered(t, "what was saved", s, want)
		remembered(t, "what was saved, by the other handle", other, want)
	}
	// What a caller does to its own afterwards is not stored.
	mine := two
	mine = keep(t, s, mine)
	want := mine
	mine.Data, mine.Version, mine.Expires = "changed", 9, base
	remembered(t, "after the caller changed its own", s, want)

	long := session("demo", "o-long")
	long.Data = strings.Repeat("\xfe", store.MaxSession)
	remembered(t, "the longest one", other, keep(t, s, long))
}

// Of those who save the same version, or insert, at once one does.
func sessionRace(t *testing.T, b Backend) {
	s, other := open(t, b)
	const callers, rounds = 8, 25
	current := session("demo", "o-user-1")
	for round := range rounds {
		var mu sync.Mutex
		var won []store.Session
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				handle := s
				if c%2 == 1 {
					handle = other
				}
				mine := current
				mine.Data = fmt.Sprint("round ", round, " caller ", c)
				ok, err := handle.SaveSession(context.Background(), &mine)
				if err != nil {
					t.Errorf("SaveSession: %v", err)
				} else if ok {
					mu.Lock()
					won = append(won, mine)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d callers saved version %d", len(won), current.Version)
		}
		current = won[0]
		remembered(t, "the session after a race", other, current)
	}
}

func sessionLimits(t *testing.T, b Backend) {
	s, _ := open(t, b)
	for name, change := range map[string]func(*store.Session){
		"no user":      func(n *store.Session) { n.OpenID = "" },
		"never ends":   func(n *store.Session) { n.Expires = time.Time{} },
		"one too long": func(n *store.Session) { n.Data = strings.Repeat("x", store.MaxSession+1) },
	} {
		n := session("demo", "o-user-1")
		change(&n)
		if ok, err := s.SaveSession(context.Background(), &n); ok || err == nil || errors.Is(err, store.ErrUnavailable) || n.Version != 0 {
			t.Errorf("%s: %v, %v; want an error that trying again does not help against", name, ok, err)
		}
		forgotten(t, name, s, n.Account, n.OpenID)
	}
}

func eraseSessions(t *testing.T, b Backend) {
	s, other := open(t, b)
	ctx := context.Background()
	first, later := sample(1), sample(4) // of one user
	claim(t, s, first, later)
	one, two, elsewhere := session("demo", "o-user-1"), session("demo", "o-user-2"), session("second", "o-user-1")
	one, two, elsewhere = keep(t, s, one), keep(t, s, two), keep(t, s, elsewhere)

	for _, nobody := range []string{"", "o-nobody"} {
		if _, err := other.Erase(ctx, "", nobody, store.Key{}); err != nil {
			t.Fatal(err)
		}
	}
	remembered(t, "after erasures of nobody", s, one)
	// Not only what came before the turn that demands the erasure.
	if n, err := other.Erase(ctx, "demo", "o-user-1", first.Key); n != 1 || err != nil {
		t.Fatalf("Erase: %d, %v; want 1", n, err)
	}
	forgotten(t, "an erased user's session", s, "demo", "o-user-1")
	remembered(t, "another user's", s, two)
	remembered(t, "another account's", s, elsewhere)

	// Whoever has read it does not bring it back, neither into its place nor over a new one.
	lost := one
	if ok, err := s.SaveSession(ctx, &lost); ok || err != nil {
		t.Errorf("an erased session was saved: %v, %v", ok, err)
	}
	fresh := session("demo", "o-user-1")
	fresh.Data = "fresh"
	fresh = keep(t, s, fresh)
	lost = one
	if ok, err := s.SaveSession(ctx, &lost); ok || err != nil {
		t.Errorf("an erased session was saved over a new one: %v, %v", ok, err)
	}
	remembered(t, "the new session", s, fresh)

	// Of all accounts, and of a user who has no turns any more.
	if n, err := s.Erase(ctx, "", "o-user-1", store.Key{}); n != 1 || err != nil {
		t.Fatalf("Erase for all accounts: %d, %v; want 1", n, err)
	}
	forgotten(t, "in the one account", s, "demo", "o-user-1")
	forgotten(t, "in the other", s, "second", "o-user-1")
	if n, err := s.Erase(ctx, "demo", "o-user-2", store.Key{}); n != 0 || err != nil {
		t.Fatalf("Erase of a user without turns: %d, %v", n, err)
	}
	forgotten(t, "a session without turns", s, "demo", "o-user-2")
}

func expireSessions(t *testing.T, b Backend) {
	s, other := open(t, b)
	ctx := context.Background()
	const many = 120 // more than a backend need remove at once
	kept := session("demo", "o-kept")
	kept.Expires = base.Add(time.Millisecond)
	kept = keep(t, s, kept)
	for i := range many {
		n := session("demo", fmt.Sprint("o-", i))
		n.Expires = base.Add(-time.Duration(i) * time.Second)
		keep(t, s, n)
	}
	if n, err := other.ExpireSessions(ctx, base.Add(-many*time.Second)); n != 0 || err != nil {
		t.Errorf("before their time %d have expired, %v", n, err)
	}
	remembered(t, "one that has expired is there until it is removed", s, func() store.Session {
		n, err := s.Session(ctx, "demo", "o-1")
		if err != nil || !n.Expires.Equal(base.Add(-time.Second)) {
			t.Errorf("Session: %v, %v", n, err)
		}
		return n
	}())
	if n, err := other.ExpireSessions(ctx, base); n != many || err != nil {
		t.Errorf("%d have expired, %v; want %d", n, err, many)
	}
	forgotten(t, "one that expires at that moment", s, "demo", "o-0")
	remembered(t, "one that expires later", s, kept)
	if n, err := s.ExpireSessions(ctx, base); n != 0 || err != nil {
		t.Errorf("what has expired expires again: %d, %v", n, err)
	}
	// One that has expired and is still there is replaced by its version.
	kept.Data, kept.Expires = "again", base.Add(time.Hour)
	remembered(t, "one that was saved again", s, keep(t, s, kept))
}

package callback

import (
	"context"
	"errors"
	"math"
	"strings"

	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// erases reports whether a turn ends with the erasure of the user's data.
func (a *account) erases(row *store.Turn) bool {
	if row.OpenID == "" || !strings.EqualFold(row.MsgType, "event") {
		return false
	}
	return withdraws(row.Event) || !a.KeepUnsubscribed && strings.EqualFold(row.Event, "unsubscribe")
}

// withdraws reports whether an event says that a user has withdrawn an
// authorisation, or closed the WeChat account.
func withdraws(event string) bool {
	return strings.EqualFold(event, "user_authorization_revoke") || strings.EqualFold(event, "user_authorization_cancellation")
}

// erase erases what a user who unsubscribes or withdraws has sent, before the result is
// stored: should the process die in between, the next attempt does it again. The
// result then meets a row that is erased, which ends the turn. It reports whether the
// event still stands. P10, R-EVENT-ERASE
func (f *flight) erase() bool {
	row := &f.state.Row
	if row.State != store.Running || !f.account.erases(row) {
		return true
	}
	f.mu.Lock()
	arrival := f.arrival
	f.mu.Unlock()
	// The event itself too, and nothing that the user sends later.
	before := f.s.flights.withdraw(row.Account, row.OpenID, arrival)
	for pause := firstPause; ; {
		_, err := f.s.cfg.Store.Erase(f.s.storeCtx, row.Account, row.OpenID, row.Key)
		if err == nil {
			forget(before)
			return true
		}
		f.s.storeFailed(err)
		if !f.s.rest(&pause) {
			return false
		}
	}
}

// Erase erases what a user has sent to an account or, if account is empty, to any, as
// [store.Store.Erase] does, and also what is under way here and not in the store
// yet. It returns how many turns of the store it has erased. If it returns an error,
// some may be left. P10
func (s *Server) Erase(ctx context.Context, account, openID string) (int, error) {
	if openID == "" {
		return 0, nil
	}
	now := s.flights.withdraw(account, openID, math.MaxInt64)
	defer forget(now)
	return s.cfg.Store.Erase(ctx, account, openID, store.Key{})
}

// withdraw has nothing personal claimed any more of a user's flights that came before
// an arrival, and returns them. They are to forget when the store has erased what it
// holds: what of theirs was on its way into the store, that may have missed.
func (t *flights) withdraw(account, openID string, arrival int64) (theirs []*flight) {
	for _, f := range t.all() {
		f.mu.Lock()
		if f.openID == openID && f.arrival < arrival && (account == "" || f.account.Name == account) {
			f.withdrawn = true
			theirs = append(theirs, f)
		}
		f.mu.Unlock()
	}
	return theirs
}

// forget has the flights of a user who was erased forget what they hold.
func forget(theirs []*flight) {
	for _, f := range theirs {
		f.postJob(&job{forget: true})
	}
}

func (f *flight) isWithdrawn() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.withdrawn
}

// forget ends a turn whose user was erased: its handler is cancelled, its pushes get
// `success`, and the row is or becomes an erased one, so that a replay is known.
func (f *flight) forget() (start *attempt) {
	for pause := firstPause; f.s.ctx.Err() == nil; {
		changed := &job{ev: turn.Event{Kind: turn.Changed}}
		var err error
		switch row := &f.state.Row; {
		case row.Seen == 0, row.OpenID == "" && row.Version > 0:
			return start // there is nothing, or nothing personal
		case row.Version == 0:
			row.Erase()
		default:
			if err = f.refresh(&changed.ev); err == nil && row.State != store.Erased {
				// It was claimed after the erasure.
				if _, err = f.s.cfg.Store.Erase(f.s.storeCtx, row.Account, row.OpenID, f.key); err == nil {
					continue
				}
			}
		}
		switch {
		case err == nil:
			start = either(start, f.apply(changed))
		case errors.Is(err, store.ErrNotFound):
			return start
		default:
			f.s.storeFailed(err)
			if !f.s.rest(&pause) {
				return start
			}
		}
	}
	return start
}

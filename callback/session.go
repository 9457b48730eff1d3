package callback

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/store"
)

// maxSessionLife bounds how long what is remembered of a user is kept after his last message to a
// handler that asked for it.
const maxSessionLife = 30 * 24 * time.Hour

// session is what an attempt has asked for of what is remembered of its user.
type session struct {
	memory *echostr.Memory
	row    store.Session // as it was read; without Data if there was nothing to be read
}

// loadSession reads what is remembered of the user, once for each attempt.
func (a *attempt) loadSession(ctx context.Context) (*echostr.Memory, error) {
	a.remembering.Lock()
	defer a.remembering.Unlock()
	if a.session != nil {
		return a.session.memory, nil
	}
	if a.to.ToUserName == "" {
		return new(echostr.Memory), nil // nobody to remember
	}
	s, err := a.readSession(ctx)
	if err != nil {
		return nil, fmt.Errorf("what is remembered of the user cannot be read now, so let the handler fail or go on without: %w", err)
	}
	a.session = s
	return s.memory, nil
}

func (a *attempt) readSession(ctx context.Context) (*session, error) {
	row, err := a.f.s.cfg.Store.Session(ctx, a.f.account.Name, a.to.ToUserName)
	s := &session{memory: new(echostr.Memory), row: row}
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.row = store.Session{Account: a.f.account.Name, OpenID: a.to.ToUserName}
	case err != nil:
		return nil, err
	case !a.f.s.clock.now().Before(row.Expires) || json.Unmarshal([]byte(row.Data), s.memory) != nil:
		s.memory, s.row.Data = new(echostr.Memory), "" // what cannot be read is forgotten
	}
	a.dropOld(s.memory)
	return s, nil
}

// dropOld forgets the turns of a conversation that are older than what users have written may be. One of which
// nobody has told the time counts from now on.
func (a *attempt) dropOld(m *echostr.Memory) {
	now := a.f.s.clock.now()
	turns := m.Turns(math.MaxInt)
	m.Forget()
	for _, x := range turns {
		if x.At.IsZero() {
			x.At = now
		}
		if now.Sub(x.At) < a.f.s.cfg.Retention {
			m.Add(x)
		}
	}
}

// saveSession stores what a handler has changed, and the turn as part of the conversation. If another
// message of the user was quicker, what that has changed stays, and of a value that both have changed
// this one's counts. If the user was erased meanwhile, nothing is stored.
func (a *attempt) saveSession(reply echostr.Reply) error {
	a.remembering.Lock()
	s := a.session
	a.remembering.Unlock()
	if s == nil {
		return nil
	}
	turn := echostr.Exchange{Key: (*turnView)(a).Key(), Question: asked(a.msg), Answer: said(reply), At: a.received}
	if turn.Answer != "" {
		s.memory.Add(turn)
	}
	st, ctx := a.f.s.cfg.Store, a.f.s.storeCtx
	for pause, saved := firstPause, false; ; {
		row := s.row
		row.Expires = a.f.s.clock.now()
		withdrawn := a.f.isWithdrawn()
		if withdrawn {
			if !saved {
				return nil
			}
			row.Data = "" // the erasure may have been done before that was saved
		} else {
			data, err := json.Marshal(s.memory)
			if err != nil {
				return err
			}
			row.Data, row.Expires = string(data), row.Expires.Add(min(maxSessionLife, a.f.s.cfg.Retention))
		}
		if err := row.Check(); err != nil {
			return a.notRemembered(err)
		}
		ok, err := st.SaveSession(ctx, &row)
		switch {
		case errors.Is(err, store.ErrFull):
			return a.notRemembered(err)
		case ok:
			if s.row.Version == 0 && a.f.isErased() {
				a.f.mu.Lock()
				a.f.withdrawn = true
				a.f.mu.Unlock()
			}
			if s.row, saved = row, true; withdrawn == a.f.isWithdrawn() {
				return nil
			}
			continue
		case err == nil:
			var theirs *session
			if theirs, err = a.readSession(ctx); err == nil {
				if theirs.row.Version == 0 && s.row.Version > 0 || withdrawn || a.f.isErased() {
					return nil // erased; theirs may be of a message that came after that
				}
				err = a.merge(theirs, s)
			}
		}
		if err != nil {
			a.f.s.storeFailed(err)
		}
		if !a.f.s.rest(&pause) {
			return errShutdown
		}
	}
}

// isErased reports whether the turn was erased without this flight having been told: by another node, or while no
// push of it had come to this process, which has taken it over. A session that was there before is not there any more then.
func (f *flight) isErased() bool {
	for pause := firstPause; ; {
		row, err := f.s.cfg.Store.Get(f.s.storeCtx, f.key)
		switch {
		case err == nil:
			return row.State == store.Erased
		case errors.Is(err, store.ErrNotFound): // not claimed yet
			return false
		}
		if f.s.storeFailed(err); !f.s.rest(&pause) {
			return false
		}
	}
}

// notRemembered goes on without: the answer is worth more.
func (a *attempt) notRemembered(err error) error {
	a.log(slog.LevelWarn, "what the handler has set in the session is not remembered", slog.Any(keyError, err))
	return nil
}

// remembered is a Memory as it is stored.
type remembered struct {
	Values map[string]struct {
		Value   json.RawMessage `json:"value"`
		Expires time.Time       `json:"expires"`
	} `json:"values"`
	Turns []echostr.Exchange `json:"turns"`
}

// merge makes the changes of ours to theirs, which somebody else has stored since ours was read, and
// takes that for ours.
func (a *attempt) merge(theirs, ours *session) error {
	var before, after remembered
	if ours.row.Data != "" {
		if err := json.Unmarshal([]byte(ours.row.Data), &before); err != nil {
			return err
		}
	}
	data, err := json.Marshal(ours.memory)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &after); err != nil {
		return err
	}
	m := theirs.memory
	if gone := without(before.Turns, after.Turns); len(gone) > 0 { // forgotten
		kept := without(m.Turns(math.MaxInt), gone)
		m.Forget()
		for _, x := range kept {
			m.Add(x)
		}
	}
	for _, x := range without(after.Turns, before.Turns) {
		m.Add(x)
	}
	for name, old := range before.Values {
		if _, ok := after.Values[name]; !ok && time.Now().Before(old.Expires) {
			m.Delete(name)
		}
	}
	for name, v := range after.Values {
		old, ok := before.Values[name]
		if ok && bytes.Equal(old.Value, v.Value) && old.Expires.Equal(v.Expires) {
			continue
		}
		if err := m.Set(name, v.Value, time.Until(v.Expires)); err != nil {
			a.log(slog.LevelWarn, "a value is not remembered: there is no room beside those that another message of the user has set meanwhile")
		}
	}
	ours.memory, ours.row = m, theirs.row
	return nil
}

// without returns the turns of a conversation that are not among others.
func without(turns, others []echostr.Exchange) (left []echostr.Exchange) {
	for _, x := range turns {
		if !slices.ContainsFunc(others, func(y echostr.Exchange) bool {
			return x.Key == y.Key && x.Question == y.Question && x.Answer == y.Answer && x.At.Equal(y.At)
		}) {
			left = append(left, x)
		}
	}
	return left
}

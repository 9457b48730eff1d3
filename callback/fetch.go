package callback

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// Messages by which users fetch answers that wait for them, and answers that are put ahead of others.

// recognise looks whether a new message is a tap on one of our links, or the word (R-LATE-WORD), and notes in
// its row what it fetches. Such a message starts no handler. It asks the store, since any node may
// have the answer, and as long as that takes; it reports false if nobody waits for it any more.
func (f *flight) recognise(j *job) bool {
	m, ok := f.msg.(*echostr.TextMessage)
	if !ok || f.state.Row.OpenID == "" {
		return true
	}
	code, number, isLink := readFetch(m.Content)
	if !isLink && strings.TrimSpace(m.Content) != f.account.FetchWord {
		return true
	}
	for pause := firstPause; ; {
		row, err := f.wanted(readMenuID(m.BizMsgMenuID), code)
		switch {
		case err == nil:
			f.fetch(&row, number)
			return true
		case errors.Is(err, store.ErrNotFound):
			if isLink {
				f.state.Row.Way.Fetch, f.state.Row.Pure = store.Fetch{Page: number}, false
			}
			return true
		}
		f.s.storeFailed(err)
		if !f.s.rest(&pause) || !f.isWaiting(j.push) {
			return false
		}
	}
}

// fetch notes what the message fetches: a page of the row's answer, or the next one if number is 0.
func (f *flight) fetch(row *store.Turn, number int) {
	w := &row.Way
	if next := w.Shown + 1; number == 0 {
		if number = next; w.Pages > 0 && number > w.Pages {
			number = 1 // all have been shown
		}
	} else {
		number = min(number, next) // the links of pages that were parted anew lead to the next one
	}
	f.state.Row.Pure = false // its start mark also says that the user has asked
	f.state.Row.Way.Fetch = store.Fetch{Of: row.Key, Page: number, Again: number <= w.Shown}
}

// wanted finds the turn whose answer the user wants: that of the link or, without a code, the
// one that was last promised or read. Other users' are never found.
func (f *flight) wanted(key store.Key, code string) (store.Turn, error) {
	own := &f.state.Row
	if code != "" && key != (store.Key{}) {
		row, err := f.s.cfg.Store.Get(f.s.storeCtx, key)
		switch {
		case err == nil && (row.Account != own.Account || row.OpenID != own.OpenID || row.Due.IsZero() || row.Code == ""):
			return row, store.ErrNotFound
		case err == nil:
			return row, nil
		}
	}
	rows, err := f.s.cfg.Store.List(f.s.storeCtx, store.Filter{Account: own.Account, OpenID: own.OpenID, Due: true})
	if err != nil {
		return store.Turn{}, err
	}
	rows = slices.DeleteFunc(rows, func(row store.Turn) bool {
		return row.Code == "" || code == "" && !waits(&row) || code != "" && row.Code != code
	})
	if len(rows) == 0 {
		return store.Turn{}, store.ErrNotFound
	}
	return slices.MaxFunc(rows, func(a, b store.Turn) int { return a.Due.Compare(b.Due) }), nil
}

// waits reports whether there is more of an answer than the user has fetched. Of one that is Offered nobody knows whether he
// has seen the first page, and a link to the next one would show it.
func waits(row *store.Turn) bool {
	switch row.Delivery {
	case store.Ticket:
		return true
	case store.Written, store.Assumed:
		return row.Way.Shown < row.Way.Pages
	}
	return false
}

// readMenuID reads the id of one of our links; it is the zero Key for any other.
func readMenuID(id string) store.Key {
	key, err := store.ParseKey(id)
	if err != nil {
		return store.Key{}
	}
	return key
}

// taking is what a turn is told that wants to carry another one's answer.
type taking struct {
	kind  turn.Action // Give, Wait or Deny
	reply echostr.Reply
}

// tell tells the turn that wants the answer of this one. What it is denied has a text for the
// user, if there is something to be said.
func (f *flight) tell(kind turn.Action) {
	j := f.job
	if j.taken == nil {
		return
	}
	row := &f.state.Row
	t := taking{kind: kind}
	switch {
	case kind == turn.Wait:
	case kind == turn.Give && row.State == store.Failed:
		t.reply = echostr.Text(f.account.Fallback)
	case kind == turn.Give:
		if r, ok := page(row, max(j.ev.Page, 1)); ok {
			t.reply = r
			break
		}
		t.kind, t.reply = turn.Deny, echostr.Text(textGone)
	case row.State == store.Answered && j.ev.Page > max(j.ev.Pages, 1):
		t.reply = echostr.Text(textGone)
	case row.State == store.Failed || row.State == store.Silent:
		t.reply = echostr.Text(textNoAnswer)
	case row.Delivery == store.Late || row.Delivery == store.Sending:
		t.reply = echostr.Text(textOnItsWay)
	case row.Delivery == store.Ticket, row.Delivery == store.Fetched, row.Delivery == store.Written, row.Delivery == store.Offered:
		// Another tap, at the same time, has it: the user reads it once.
	default:
		t.reply = echostr.Text(textGone)
	}
	j.taken <- t
}

// takeFrom asks another turn of the user for its answer, or a page of it.
func (a *attempt) takeFrom(ctx context.Context, of store.Key, number int, again bool) (taking, error) {
	told := make(chan taking, 2) // one of tell, one of do
	a.f.s.flights.get(a.f.account, of, &job{lookup: true, taken: told, ev: turn.Event{Kind: turn.Take, By: a.f.key, Page: number, Again: again}})
	select {
	case t := <-told:
		return t, nil
	case <-ctx.Done():
		return taking{}, ctx.Err()
	}
}

// fetchTime is how long a message that fetches an answer waits for it: longer than any push of it.
const fetchTime = time.Minute

// lookEvery is how often a message that fetches an answer looks whether it is there.
const lookEvery = 100 * time.Millisecond

// fetched is the reply of a message that fetches an answer: it waits for that as a handler would work.
func (a *attempt) fetched(ctx context.Context, what store.Fetch) (echostr.Reply, error) {
	if what.Of == (store.Key{}) {
		return echostr.Text(textGone), nil
	}
	for {
		t, err := a.takeFrom(ctx, what.Of, what.Page, what.Again)
		if err != nil || t.kind != turn.Wait {
			return t.reply, err
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// maxAhead is how many answers that wait are looked at in order to put them ahead of another one. Hardly more fit, and
// the user may have hundreds.
const maxAhead = 5

// ahead puts answers that the user has not read ahead of a text, as far as they fit into one message
// with it. They are then this turn's to bring, so what an attempt before this one has taken comes first and
// comes whether or not it fits: R-LATE-AHEAD
func (a *attempt) ahead(text string) string {
	rows, err := a.unread()
	if err != nil {
		a.f.s.storeFailed(err)
		return text // they go on waiting
	}
	var front, hint string
	for i := range rows {
		row := &rows[i]
		answer, isText := textOf(row.Reply)
		answer = withHeading(question(row), rest(answer, row.Way.Told))
		if isText && (a.has(row) || len(front)+len(answer)+len(between)+len(text) <= echostr.MaxTextBytes) {
			if t, err := a.takeFrom(a.ctx, row.Key, 0, false); err == nil && t.kind == turn.Give {
				front += answer + between
			}
			continue
		}
		if row.Delivery == store.Ticket && !turn.Promised(row) && row.Code != "" {
			// The user does not know of it yet, as far as this process knows.
			hint = "\n\n还有一条回答在等您：" + link("", row.Key, row.Code, 1)
		}
	}
	if len(front)+len(text)+len(hint) <= echostr.MaxTextBytes {
		text += hint
	}
	return front + text
}

// has reports whether the attempt before this one has taken an answer, to put it ahead of its own.
func (a *attempt) has(row *store.Turn) bool {
	return row.Delivery == store.Fetched && row.Way.TakenBy == a.f.key
}

// unread returns what may be put ahead of the attempt's answer, in that order: what the attempt before this one has taken,
// and the first answers that the user has not read. This process knows which those are, but for its start.
func (a *attempt) unread() (rows []store.Turn, err error) {
	s, who := a.f.s, a.user()
	keys, known := s.outbox.unread(who, maxAhead)
	if a.number > 1 || !known {
		rows, err = s.cfg.Store.List(s.storeCtx, store.Filter{Account: who.account, OpenID: who.openID, Due: true})
		rows = slices.DeleteFunc(rows, func(row store.Turn) bool { return !a.has(&row) && !isUnread(&row) })
	} else {
		var more bool
		for rows, more, err = a.read(keys); more; rows, more, err = a.read(keys) {
			keys, _ = s.outbox.unread(who, maxAhead)
		}
	}
	slices.SortFunc(rows, func(x, y store.Turn) int {
		if a.has(&x) != a.has(&y) {
			if a.has(&x) {
				return -1
			}
			return 1
		}
		return x.ReceivedAt.Compare(y.ReceivedAt)
	})
	if taken := slices.IndexFunc(rows, func(row store.Turn) bool { return !a.has(&row) }); taken >= 0 {
		rows = rows[:min(taken+maxAhead, len(rows))]
	}
	return rows, err
}

// read reads those of the answers that are still unread. It reports whether it has found, and noted, that others are not,
// so that there may be more.
func (a *attempt) read(keys []store.Key) (rows []store.Turn, more bool, err error) {
	s := a.f.s
	for _, key := range keys {
		row, err := s.cfg.Store.Get(s.storeCtx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			s.outbox.gone(key)
			more = true
		case err != nil:
			return nil, false, err
		case isUnread(&row):
			rows = append(rows, row)
		case row.State.Finished() && !s.flights.has(key):
			s.outbox.note(a.f.account, &row) // another node has seen to it
			more = true
		}
	}
	return rows, more, nil
}

// isUnread reports whether a row has an answer that the user has not read and that may be put ahead of another one.
func isUnread(row *store.Turn) bool {
	w := &row.Way
	return row.State == store.Answered && w.Shown == 0 && w.Unknown == 0 &&
		(row.Delivery == store.Ticket || row.Delivery == store.Late && w.Tries > 0 && w.Told == 0)
}

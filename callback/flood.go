package callback

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// The limits of one user, beside Config.MaxUserMessages: one who floods must cost the others nothing. S35
const (
	floodWindow  = 10 * time.Second
	maxUserTurns = 50          // that are under way at the same time
	floodWarning = time.Minute // between two lines of the log about one user
)

// Reasons that are recorded for messages of a user who floods.
const (
	reasonFlood      = "refused: flood: "
	reasonFloodTurns = reasonFlood + "too many earlier messages of the user are under way"
)

// limited reports whether a message is one of those that its user can send as many of as he likes: what he writes,
// and the events of what he does in the conversation. The others are neither counted nor refused. They tell of what happens
// once and is not said again: that he leaves or withdraws an authorisation (P10), that something was paid, checked
// or sent; and WeChat may send those of many users under one OpenID.
func limited(row *store.Turn) bool {
	if turn.Asked(row) {
		return true
	}
	switch strings.ToUpper(row.Event) {
	case "VIEW", "VIEW_MINIPROGRAM", "LOCATION", "LOCATION_SELECT", "PIC_SYSPHOTO", "PIC_PHOTO_OR_ALBUM", "PIC_WEIXIN":
		return row.OpenID != ""
	}
	return false
}

// floods are the users who have written within the last ten seconds, or whose messages are under way. They are
// what this process knows: each node counts its own.
type floods struct {
	mu    sync.Mutex
	of    map[user]*flow
	queue []*flow // all of them, by when their windows began
}

// flow is what comes from one user. His window begins with a message and takes ten seconds, and the next one begins
// with the message after it. So nobody is refused who writes no more than he may within any ten seconds, and a number
// says all about a window.
type flow struct {
	user     user
	began    time.Time
	messages int // accepted in the window
	open     int // turns under way
	warned   time.Time
}

// enter counts a message and its turn, which is over with leave, or says why it is refused.
func (fl *floods) enter(u user, maxMessages int) (refusal string) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	now := time.Now()
	fl.prune(now)
	f := fl.of[u]
	if f == nil {
		u.openID = strings.Clone(u.openID) // not all of the message
		f = &flow{user: u, began: now}
		if fl.of == nil {
			fl.of = make(map[user]*flow)
		}
		fl.of[u] = f
		fl.queue = append(fl.queue, f)
	}
	switch {
	case f.messages >= maxMessages:
		return fmt.Sprintf(reasonFlood+"more than %d messages of the user within %v", maxMessages, floodWindow)
	case f.open >= maxUserTurns:
		return reasonFloodTurns
	}
	f.messages++
	f.open++
	return ""
}

// prune ends the windows that are over, and forgets the users of whom nothing is to be remembered. Each time it looks at no
// more than have begun since.
func (fl *floods) prune(now time.Time) {
	for len(fl.queue) > 0 && now.Sub(fl.queue[0].began) >= floodWindow {
		f := fl.queue[0]
		fl.queue[0] = nil
		fl.queue = fl.queue[1:]
		if f.open == 0 && now.Sub(f.warned) >= floodWarning {
			delete(fl.of, f.user)
			continue
		}
		f.began, f.messages = now, 0
		fl.queue = append(fl.queue, f)
	}
}

// leave says that a turn is not under way any more.
func (fl *floods) leave(u user) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if f := fl.of[u]; f != nil {
		f.open--
	}
}

// uncount takes back a message that was no new one.
func (fl *floods) uncount(u user) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if f := fl.of[u]; f != nil && f.messages > 0 {
		f.messages--
	}
}

// warns reports whether a refusal of the user's is to be told of: one in a minute.
func (fl *floods) warns(u user) bool {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	f := fl.of[u]
	if f == nil || time.Since(f.warned) < floodWarning {
		return false
	}
	f.warned = time.Now()
	return true
}

// user is who has sent the first push that came in here.
func (f *flight) user() user { return user{f.account.Name, f.openID} }

// limit refuses a message that nobody here has seen if its user floods: it is stored as failed, which answers it, and no
// handler is started.
func (f *flight) limit() {
	row := &f.state.Row
	if f.entered || row.State.Finished() || f.s.cfg.MaxUserMessages < 0 || !limited(row) {
		return
	}
	if why := f.s.floods.enter(f.user(), f.s.cfg.MaxUserMessages); why != "" {
		row.State, row.Reason = store.Failed, why
	} else {
		f.entered = true
	}
}

// unlimit says that the turn is over, or that nobody knows of it.
func (f *flight) unlimit() {
	if f.entered {
		f.entered = false
		f.s.floods.leave(f.user())
	}
}

// tellRefused tells of a message that was refused, when it is in the store.
func (f *flight) tellRefused(row *store.Turn) {
	if row.Version != 1 || !strings.HasPrefix(row.Reason, reasonFlood) {
		return
	}
	f.s.stats.floods.Add(1)
	attrs := []slog.Attr{slog.String(keyAccount, f.account.Name), slog.String(keyTurn, f.key.String()), slog.String(keyReason, row.Reason)}
	if f.s.floods.warns(f.user()) {
		f.s.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "a user floods: messages are kept and not handled",
			append(attrs, slog.String(keyHint, "echostr turn show with this turn says who it is, and echostr turn ls --user what else there is of the user"))...)
	}
	f.s.cfg.Logger.LogAttrs(context.Background(), slog.LevelDebug, "message of a user who floods", append(attrs, slog.String("openid", row.OpenID))...)
}

package simulator

import "time"

// trigger is what a user does that lets the account write to them (客服消息下发条数). R-API-WINDOW
type trigger string

const (
	triggerMessage trigger = "message" // an ordinary message
	triggerMenu    trigger = "menu"    // a menu button of the types click, scancode_push, scancode_waitmsg
	triggerMsgMenu trigger = "msgmenu" // an entry of a msgmenu or a weixin://bizmsgmenu link: the same as a menu button
	triggerFollow  trigger = "follow"
	triggerScan    trigger = "scan"
	triggerNone    trigger = ""
)

// allowance is how many messages an action allows, and for how long.
func (t trigger) allowance() (count int, d time.Duration) {
	if t == triggerMessage {
		return 5, 48 * time.Hour
	}
	return 3, time.Minute
}

// The typing state (客服输入状态). R-API-TYPING
const (
	typingAfter = 30 * time.Second // since the last message in either direction
	typingLife  = 15 * time.Second
)

// userWindows is what an account may send to one user. The zero value is nothing.
type userWindows struct {
	open   []Window  // at most one of each trigger
	last   time.Time // of a message in either direction
	typing time.Time // until when 对方正在输入 is shown
}

// Window says what an account may still send to a user by the customer-service API, and why.
type Window struct {
	// Trigger is what the user did: "message", "menu", "follow" or "scan".
	Trigger string
	// Left is the number of messages left, and Until when they are lost, by the platform's time.
	Left  int
	Until time.Time
}

// note opens the window of an action, or opens it anew.
func (w *userWindows) note(t trigger, now time.Time) {
	count, d := t.allowance()
	switch t {
	case triggerMsgMenu:
		t = triggerMenu
	case triggerFollow:
		w.open = nil // unfollowing has closed all
	}
	w.last = now
	opened := Window{Trigger: string(t), Left: count, Until: now.Add(d)}
	for i := range w.open {
		if w.open[i].Trigger == opened.Trigger {
			w.open[i] = opened
			return
		}
	}
	w.open = append(w.open, opened)
}

// take uses up one message of the window that closes first.
func (w *userWindows) take(now time.Time) errcode {
	code := errcode(45015)
	var chosen *Window
	for i := range w.open {
		o := &w.open[i]
		switch {
		case !now.Before(o.Until):
			continue
		case o.Left > 0 && (chosen == nil || o.Until.Before(chosen.Until)):
			chosen = o
		}
		code = 45047
	}
	if chosen == nil {
		return code
	}
	chosen.Left--
	w.last, w.typing = now, time.Time{} // a message ends the typing state
	return 0
}

// setTyping shows or ends the typing state.
func (w *userWindows) setTyping(on bool, now time.Time) errcode {
	switch {
	case !on:
		w.typing = time.Time{}
	case w.last.IsZero() || now.Sub(w.last) > typingAfter:
		return 45080
	case now.Before(w.typing):
		return 45081
	default:
		w.typing = now.Add(typingLife)
	}
	return 0
}

// noteTrigger is told of every such action, before it is pushed. p.mu is held.
func (o *Official) noteTrigger(u *User, t trigger) {
	u.windows.note(t, o.p.now())
}

// Windows returns the open windows of a user, also those that are used up. When there is
// none, customer-service messages get 45015; when nothing is left in any, 45047.
func (u *User) Windows() []Window {
	u.o.p.mu.Lock()
	defer u.o.p.mu.Unlock()
	now := u.o.p.now()
	var list []Window
	for _, w := range u.windows.open {
		if now.Before(w.Until) {
			list = append(list, w)
		}
	}
	return list
}

// Typing reports whether the user sees now that the account is typing (对方正在输入).
func (u *User) Typing() bool {
	u.o.p.mu.Lock()
	defer u.o.p.mu.Unlock()
	return u.o.p.now().Before(u.windows.typing)
}

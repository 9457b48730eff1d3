package callback

import (
	"sync"

	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// overlaps reports whether a turn waits for others of its user, or makes them give way: if the user waits for an
// answer of a handler. What WeChat reports of him by itself, such as where he is, is no reason to.
func overlaps(row *store.Turn) bool { return turn.Asked(row) && row.Way.Fetch.Page == 0 }

// users are the handlers that run by user, for accounts where those of one user do not run
// side by side. They are those of this process: nodes do not wait for each other.
type users struct {
	mu     sync.Mutex
	newest map[user]*attempt
}

// enter makes a the newest handler of its user, and returns the one before if that still runs. If a is
// to wait for it, the end of a's time is as much later as that one's may be.
func (u *users) enter(who user, a *attempt) (before *attempt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.newest == nil {
		u.newest = make(map[user]*attempt)
	}
	if before = u.newest[who]; before != nil && before.f != a.f && a.f.account.Overlap == Queue {
		a.deadline = a.deadline.Add(max(0, before.deadline.Sub(a.began)))
	}
	u.newest[who] = a
	return before
}

// leave says that a has returned, or was given up.
func (u *users) leave(who user, a *attempt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.newest[who] == a {
		delete(u.newest, who)
	}
}

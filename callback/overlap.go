package callback

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// overlaps reports whether a turn waits for others of its user, or makes them give way: if the user waits for an
// answer of a handler. What WeChat reports of him by itself, such as where he is, is no reason to.
func overlaps(row *store.Turn) bool { return turn.Asked(row) && row.Way.Fetch.Page == 0 }

// maxInLine is how many handlers of one user may wait in the line behind the one that runs: they count as running,
// and one user must not take the places of all.
const maxInLine = 10

// overtime is how long after its time a handler of Queue may still keep the next one waiting.
const overtime = time.Second

// users are the lines of handlers by user, for accounts where those of one user do not run side by side: in the
// order of their messages, the one that runs first. They are those of this process: nodes do not wait for each
// other.
type users struct {
	mu    sync.Mutex
	lines map[user][]*attempt
}

// place is an attempt's in the line of its user. The mu of users guards it.
type place struct {
	ready bool          // it may go, as soon as it is the first
	goes  bool          // it is the first, and stays that until it leaves
	turn  chan struct{} // closed then; nil if it does not wait
}

// enter takes an attempt into the line of its user, in place of the one before it of the same message. The last
// one is refused if the line is full.
func (u *users) enter(a *attempt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.lines == nil {
		u.lines = make(map[user][]*attempt)
	}
	line := slices.DeleteFunc(u.lines[a.user()], func(x *attempt) bool {
		if x.f.key != a.f.key {
			return false
		}
		x.cancel() // nothing tells it any more that it may go
		return true
	})
	at, _ := slices.BinarySearchFunc(line, a, func(x, a *attempt) int {
		if x.place.goes {
			return -1
		}
		return inOrder(x.received, x.f.key, a.received, a.f.key)
	})
	line = slices.Insert(line, at, a)
	if last := len(line) - 1; last > maxInLine && a.f.account.Overlap == Queue {
		line[last].refused.Store(true)
		line[last].cancel()
		line = slices.Delete(line, last, last+1)
	}
	u.lines[a.user()] = line
	if a.f.account.Overlap == Cancel {
		for _, x := range line[:len(line)-1] {
			x.superseded.Store(true)
			x.cancel()
		}
	}
}

// inOrder compares two messages by when they were received.
func inOrder(at time.Time, key store.Key, than time.Time, thanKey store.Key) int {
	return cmp.Or(at.Compare(than), bytes.Compare(key[:], thanKey[:]))
}

// ready says that nothing is missing before an attempt: it goes when it is the first.
func (u *users) ready(a *attempt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a.place.ready = true
	u.next(a.user())
}

// leave says that an attempt has returned, or has had its time.
func (u *users) leave(a *attempt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	who := a.user()
	if at := slices.Index(u.lines[who], a); at >= 0 {
		u.lines[who] = slices.Delete(u.lines[who], at, at+1)
		u.next(who)
	}
}

func (u *users) next(who user) {
	line := u.lines[who]
	if len(line) == 0 {
		delete(u.lines, who)
	} else if first := &line[0].place; first.ready && !first.goes {
		first.goes = true
		close(first.turn)
	}
}

// has reports whether the present attempt of a turn is in the line.
func (u *users) has(row *store.Turn) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.ContainsFunc(u.lines[user{row.Account, row.OpenID}], func(x *attempt) bool {
		return x.f.key == row.Key && x.number == row.Attempt
	})
}

// awaitEarlier waits until the user's earlier messages are in the line that were interrupted as this one was: they
// are found in any order. It goes on without one that does not come.
func (a *attempt) awaitEarlier() {
	for began := time.Now(); time.Since(began) < store.Lease; {
		missing, err := a.missesEarlier()
		if err != nil && a.ctx.Err() == nil {
			a.f.s.storeFailed(err)
		} else if !missing {
			return
		}
		select {
		case <-time.After(pollInterval):
		case <-a.ctx.Done():
			return
		}
	}
}

func (a *attempt) missesEarlier() (bool, error) {
	st, self := a.f.s.cfg.Store, a.f.s.node.self()
	rows, err := st.List(a.ctx, store.Filter{
		Account: a.f.account.Name, OpenID: a.to.ToUserName, States: []store.State{store.Running}, Until: a.received.Add(time.Millisecond),
	})
	if err != nil {
		return false, err
	}
	for i := range rows {
		row := &rows[i]
		if !overlaps(row) || inOrder(row.ReceivedAt, row.Key, a.received, a.f.key) >= 0 || a.f.s.users.has(row) {
			continue
		}
		alive := false
		if row.Owner != self {
			if alive, err = st.Alive(a.ctx, row.Owner); err != nil {
				return false, err
			}
		}
		if !alive { // else another node runs it
			return true, nil
		}
	}
	return false, nil
}

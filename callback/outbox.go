package callback

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// outbox sees to the turns that are due: it has the answers sent that go out by the API, in
// their order and never two to one user at a time, and gives up tickets that have expired: R-LATE-ORDER
//
// It is an index in memory of what the store says is due, and decides nothing: when the time of
// a turn comes, the flight of the turn steps Due, and what that saves is what happens. Whoever
// saves a row that is due, or was, notes it here.
type outbox struct {
	s *Server

	mu    sync.Mutex
	items map[store.Key]*item
	users map[user]*lane
	codes map[store.Key]given
	given map[given]int // how many of codes are that
	queue itemHeap      // what is not to be sent; the rest stands in the queues of the accounts
	full  bool          // all has been loaded that was due at the start
	kept  int           // bytes of the rows that items keep
	read  time.Time     // the wall clock, when it was last read

	wake chan struct{}
}

// user is one user of one account.
type user struct{ account, openID string }

// item is a turn that is due.
type item struct {
	key      store.Key
	account  *account
	user     user
	lane     *lane
	due      time.Time // by the wall clock
	since    time.Time // when the answer was ready, which is its place in the order
	code     string
	delivery store.Delivery
	// row is the turn as it was last seen, so that it need not be read in order to be sent: should it have
	// changed since, the save that comes first says so. Nil: there was no room for it.
	row      *store.Turn
	onItsWay bool // see turn.OnItsWay
	unread   bool // an answer that may be put ahead of the next one, or one that another node may be about to have
	posted   bool // its flight has been told, and has not answered yet
	going    bool // it is being sent
	answered bool // the API has said what has become of it, which is not saved yet
	counts   bool // it is one of the account's that are going
	queue    *itemHeap
	index    int // in the queue, or -1
}

// lane is what is due of one user.
type lane struct {
	items   []*item
	late    []*item // those of them that the API is to send, in order
	busy    int     // messages that are being sent to the user: one, unless another node sends, too
	waiters []chan struct{}
}

// lateQueue is what the outbox knows of an account. The outbox's mu guards it.
type lateQueue struct {
	late  itemHeap // the first of each user that the API is to send
	going int      // how many are being sent whose outcome is not known
}

// Bounds of the outbox.
const (
	maxSending = 32               // messages that are being sent for one account at a time
	lookAround = 15 * time.Second // how often it looks for what other nodes have left
	loadBatch  = 1000
	maxKept    = 16 << 20 // bytes of rows that are kept in order to be sent
	trippedBy  = 5        // tries in vain, one after the other, by which an account's API counts as down
	maxTripped = time.Minute
)

func (o *outbox) init(s *Server) {
	o.s, o.items, o.users, o.codes = s, make(map[store.Key]*item), make(map[user]*lane), make(map[store.Key]given)
	o.given = make(map[given]int)
	o.wake = make(chan struct{}, 1)
}

// run works until the Server stops. What is being sent then ends by itself.
func (o *outbox) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	looked := time.Now()
	left := store.Filter{DueFrom: time.UnixMilli(1), Limit: loadBatch} // what was due at the start, and is not known yet
	for full := false; ; {
		wait := lookAround
		switch {
		case !full:
			full, wait = o.load(&left)
		case time.Since(looked) >= lookAround:
			looked = time.Now()
			o.look()
		}
		if full || left.DueFrom.Sub(o.s.clock.now()) > maxAfter {
			wait = min(wait, o.post()) // what comes later does not come before it
		}
		timer.Reset(wait)
		select {
		case <-o.s.ctx.Done():
			return
		case <-o.s.closing:
			return // what is due goes out from the process that comes next
		case <-o.wake:
		case <-timer.C:
		}
	}
}

// load reads the next part of what is left, and returns when to go on. There may be much of it, most of which waits for a
// day until nobody fetches it any more.
func (o *outbox) load(left *store.Filter) (full bool, wait time.Duration) {
	rows, err := o.s.cfg.Store.List(o.s.ctx, *left)
	if err != nil {
		o.s.storeFailed(err)
		return false, time.Second
	}
	for i := range rows {
		o.noteForeign(&rows[i])
	}
	if advance(left, rows) {
		return false, 0
	}
	o.mu.Lock()
	o.full = true
	o.mu.Unlock()
	return true, 0
}

// advance makes f, whose answer was rows, select what is due after them, and reports whether there may be more.
func advance(f *store.Filter, rows []store.Turn) bool {
	if len(rows) < f.Limit {
		return false
	}
	if last := rows[len(rows)-1].Due; last.After(f.DueFrom) {
		f.DueFrom, f.Limit = last, loadBatch // those of that moment are seen twice
	} else {
		f.Limit *= 2 // all are due at the same moment
	}
	return true
}

// look finds what other nodes have left behind, and with it all that its users have to get, since that
// keeps its order. What is the business of a node that lives is left to that, unless it does not see to it.
func (o *outbox) look() {
	err := o.lookBehind()
	if o.s.shared && err == nil {
		err = o.learn()
	}
	if err != nil {
		o.s.storeFailed(err)
	}
}

func (o *outbox) lookBehind() error {
	const late, forgotten = 2 * time.Second, time.Minute
	const sendTime = 2 * time.Minute // more than that of turn.Policy, for two clocks
	st, ctx, now := o.s.cfg.Store, o.s.ctx, o.s.clock.now()
	looked, alive := make(map[user]bool), o.s.node.alive()
	for _, f := range []store.Filter{
		{DueFrom: time.UnixMilli(1), DueBefore: now.Add(-late), Limit: loadBatch},
		// What a dead process was sending is due when it should have heard of it, which is long to wait for.
		{DueFrom: now.Add(-late), DueBefore: now.Add(sendTime), Deliveries: []store.Delivery{store.Sending}, Limit: loadBatch},
	} {
		for more := true; more; { // there may be very many of an account that is not configured any more
			rows, err := st.List(ctx, f)
			if err != nil {
				return err
			}
			for i := range rows {
				row := &rows[i]
				u := user{row.Account, row.OpenID}
				if u.openID == "" || looked[u] || !o.isNew(row) {
					continue
				}
				if lives, err := alive(row.Owner); err != nil {
					return err
				} else if lives && now.Sub(row.Due) < forgotten {
					continue
				}
				looked[u] = true
				theirs, err := st.List(ctx, store.Filter{Account: u.account, OpenID: u.openID, Due: true})
				if err != nil {
					return err
				}
				for j := range theirs {
					o.noteForeign(&theirs[j])
				}
			}
			more = advance(&f, rows)
		}
	}
	return nil
}

// learn finds what other nodes have begun to keep for users since the last look, so that it goes ahead of answers from
// here, too. It is due when its time of life is over.
func (o *outbox) learn() error {
	const margin = 5 * time.Second // between two clocks, and for a look that is late
	lives := make(map[time.Duration]bool)
	for _, a := range o.s.accounts {
		lives[a.policy.TicketLife] = true
	}
	for life := range lives {
		end := o.s.clock.now().Add(life)
		f := store.Filter{DueFrom: end.Add(-lookAround - margin), DueBefore: end.Add(margin), Limit: loadBatch}
		for more := true; more; {
			rows, err := o.s.cfg.Store.List(o.s.ctx, f)
			if err != nil {
				return err
			}
			for i := range rows {
				if !turn.OnItsWay(&rows[i]) {
					o.noteForeign(&rows[i])
				}
			}
			more = advance(&f, rows)
		}
	}
	return nil
}

// isNew reports whether a row that is due, or when it is, is nothing that this process knows, and its account is
// configured.
func (o *outbox) isNew(row *store.Turn) bool {
	o.mu.Lock()
	it := o.items[row.Key]
	known := it != nil && (it.posted || it.going || it.due.Sub(row.Due) < time.Second) // else another node has brought it forward
	o.mu.Unlock()
	return !known && o.s.accounts[row.Account] != nil && !o.s.flights.has(row.Key)
}

// noteForeign notes a row that was read from the store, unless more is known of it here.
func (o *outbox) noteForeign(row *store.Turn) {
	if !o.isNew(row) {
		return
	}
	a := o.s.accounts[row.Account]
	o.note(a, row) // also to keep what comes behind it in its place
	if row.Delivery == store.Sending {
		o.s.flights.get(a, row.Key, &job{reload: true, ev: turn.Event{Kind: turn.Changed}}) // its process may be dead
	}
}

// note takes in a row as it was saved. It is called for every turn that is due, or was before.
func (o *outbox) note(a *account, row *store.Turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.take(a, row)
}

// settled takes in that the flight of a turn has done what was to be done when its time came. A row
// without a version is one that could not be read.
func (o *outbox) settled(a *account, key store.Key, row *store.Turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	it := o.items[key]
	if it == nil {
		return
	}
	if it.posted = false; row.Version > 0 {
		o.take(a, row)
	}
	if soon := o.s.clock.now().Add(time.Second); !it.due.IsZero() && it.due.Before(soon) {
		it.due = soon // nothing has come of it: the store fails, or another node was quicker
	}
	o.arrange(it)
}

// gone says that there is no such turn.
func (o *outbox) gone(key store.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if it := o.items[key]; it != nil {
		it.due = time.Time{}
		o.arrange(it)
	}
}

func (o *outbox) take(a *account, row *store.Turn) {
	it := o.items[row.Key]
	if it == nil {
		if row.Due.IsZero() || row.OpenID == "" {
			return
		}
		u := user{row.Account, row.OpenID}
		it = &item{key: row.Key, account: a, user: u, lane: o.lane(u), index: -1}
		o.items[row.Key] = it
		it.lane.items = append(it.lane.items, it)
	}
	it.due, it.delivery, it.code, it.onItsWay, it.answered = row.Due, row.Delivery, row.Code, turn.OnItsWay(row), false
	o.keep(it, row)
	it.clamp(o.s.clock.now())
	if it.since = row.FinishedAt; it.since.IsZero() {
		it.since = row.ReceivedAt
	}
	// What runs here is noted again when it is answered; another node does not say.
	runs := row.State == store.Running && row.Delivery == store.Ticket
	it.unread = isUnread(row) || runs && row.Owner != o.s.node.self()
	o.arrange(it)
}

// keep keeps the row of an item that the API is to send, if there is room, and forgets the one before.
func (o *outbox) keep(it *item, row *store.Turn) {
	if it.row != nil {
		o.kept -= sizeOf(it.row)
		it.row = nil
	}
	if row.Delivery == store.Late && !row.Due.IsZero() && o.kept+sizeOf(row) <= maxKept {
		r := *row
		it.row = &r
		o.kept += sizeOf(row)
	}
}

// sizeOf is about how much memory a row takes: its long texts, the struct itself and what else that points to.
func sizeOf(row *store.Turn) int { return len(row.Body) + len(row.Reply) + 640 }

func (o *outbox) lane(u user) *lane {
	l := o.users[u]
	if l == nil {
		l = new(lane)
		o.users[u] = l
	}
	return l
}

// clamp brings a time closer that is farther off than it ever has to be: the clock has gone back since.
func (it *item) clamp(now time.Time) {
	if it.onItsWay && it.due.Sub(now) > 2*it.account.policy.MaxBackOff {
		it.due = now
	}
}

// arrange puts an item that has changed where it belongs.
func (o *outbox) arrange(it *item) {
	l := it.lane
	isDue := !it.due.IsZero()
	late := isDue && (it.delivery == store.Late || it.delivery == store.Sending)
	switch at := slices.Index(l.late, it); {
	case late && at < 0:
		at, _ := slices.BinarySearchFunc(l.late, it, func(x, y *item) int {
			if x.going || !x.since.After(y.since) {
				return -1 // what is being sent stays the first
			}
			return 1
		})
		l.late = slices.Insert(l.late, at, it)
	case !late && at >= 0:
		l.late = slices.Delete(l.late, at, at+1)
	}
	switch going := late && (it.delivery == store.Sending || it.posted); {
	case going && !it.going:
		it.going = true
		l.busy++
	case !going && it.going:
		it.going = false
		l.free()
	}
	o.count(it)
	if !isDue {
		delete(o.items, it.key)
		o.keep(it, new(store.Turn))
		l.items = slices.DeleteFunc(l.items, func(x *item) bool { return x == it })
	}
	o.enqueue(it)
	o.next(it.user, l)
}

// count keeps the account's number of what is going.
func (o *outbox) count(it *item) {
	counts := it.going && !it.answered
	switch {
	case counts && !it.counts:
		it.account.outbox.going++
	case !counts && it.counts:
		it.account.outbox.going--
	}
	it.counts = counts
}

// answered says that the API has answered for a turn. While that is being saved the account's next message may go,
// to another user; so the saves of many share a commit.
func (o *outbox) answered(key store.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if it := o.items[key]; it != nil {
		it.answered = true
		o.count(it)
		o.stir()
	}
}

// next lets the first answer of a user go, if nothing is being sent to him.
func (o *outbox) next(u user, l *lane) {
	for i, it := range l.late {
		if i == 0 || it.index >= 0 {
			o.enqueue(it)
		}
	}
	if len(l.items) == 0 && l.busy == 0 && o.users[u] == l {
		delete(o.users, u)
	}
	o.stir()
}

// free ends what was being sent to a user. Handlers that wait to say something come first.
func (l *lane) free() {
	if l.busy--; l.busy == 0 && len(l.waiters) > 0 {
		l.busy++
		close(l.waiters[0])
		l.waiters = l.waiters[1:]
	}
}

func (o *outbox) stir() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// enqueue puts an item into the queue that it belongs to, or takes it out if it waits for
// something else than its time.
func (o *outbox) enqueue(it *item) {
	var queue *itemHeap
	switch {
	case it.due.IsZero(), it.posted:
	case it.delivery != store.Late:
		queue = &o.queue
	case it.lane.busy == 0 && it.lane.late[0] == it:
		queue = &it.account.outbox.late
	}
	if it.index >= 0 && it.queue != queue {
		heap.Remove(it.queue, it.index)
	}
	switch it.queue = queue; {
	case queue == nil:
	case it.index >= 0:
		heap.Fix(queue, it.index)
	default:
		heap.Push(queue, it)
	}
}

// post tells the flights of what is due now, and returns when to look again.
func (o *outbox) post() time.Duration {
	now := o.s.clock.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Before(o.read) { // the clock has gone back
		for _, it := range o.items {
			it.clamp(now)
			o.enqueue(it)
		}
	}
	o.read = now
	wait := lookAround
	for len(o.queue) > 0 {
		it := o.queue[0]
		if d := it.due.Sub(now); d > 0 {
			wait = min(wait, d)
			break
		}
		o.tell(it, false)
	}
	for _, a := range o.s.accounts {
		for len(a.outbox.late) > 0 && a.outbox.going < maxSending {
			it := a.outbox.late[0]
			d, probe := it.due.Sub(now), false
			if d <= 0 {
				d, probe = a.breaker.pass()
			}
			if d > 0 {
				wait = min(wait, d)
				break
			}
			o.tell(it, probe)
		}
	}
	return wait
}

// tell has the flight of an item look at it.
func (o *outbox) tell(it *item, probe bool) {
	it.posted = true
	o.arrange(it)
	// What another node sends is read anew.
	o.s.flights.get(it.account, it.key, &job{lookup: true, known: it.row, reload: it.delivery == store.Sending, probe: probe, ev: turn.Event{Kind: turn.Due}})
}

// given is a code that is not in the row yet that it is for.
type given struct {
	user user
	code string
}

// code returns a code for a turn that no other of its user has. It is given to no other until keepCode.
func (o *outbox) code(row *store.Turn) string {
	if row.Code != "" {
		return row.Code
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if g, ok := o.codes[row.Key]; ok {
		return g.code
	}
	g := given{user: user{row.Account, row.OpenID}}
	length := 2
	if !o.full || o.s.shared {
		length = 4 // there may be others that are not known here
	}
	for ; length <= maxCode; length++ {
		if g.code = codeOf(row.Key, length); !o.isTaken(g) {
			break
		}
	}
	o.codes[row.Key] = g
	o.given[g]++
	return g.code
}

func (o *outbox) isTaken(g given) bool {
	if o.given[g] > 0 {
		return true
	}
	l := o.users[g.user]
	return l != nil && slices.ContainsFunc(l.items, func(it *item) bool { return it.code == g.code })
}

// keepCode says that the row of a turn has the code it was given, or does not need it.
func (o *outbox) keepCode(key store.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g, ok := o.codes[key]
	if !ok {
		return
	}
	delete(o.codes, key)
	if o.given[g]--; o.given[g] == 0 {
		delete(o.given, g)
	}
}

// unread returns the first answers that may wait for the user and can be put ahead of the next one, n at most. It
// reports false if this process does not know yet.
func (o *outbox) unread(u user, n int) (keys []store.Key, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.users[u]; l != nil {
		for _, it := range l.items {
			if len(keys) == n {
				break
			}
			if it.unread {
				keys = append(keys, it.key)
			}
		}
	}
	return keys, o.full
}

// waiting returns how many answers the API is to send, and since when the oldest one is ready.
func (o *outbox) waiting() (n int, oldest time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.users {
		for _, it := range l.late {
			if n++; oldest.IsZero() || it.since.Before(oldest) {
				oldest = it.since
			}
		}
	}
	return n, oldest
}

// lock waits until nothing is being sent to the user, and keeps the outbox from it until unlock.
func (o *outbox) lock(ctx context.Context, u user) error {
	o.mu.Lock()
	l := o.lane(u)
	if l.busy == 0 {
		l.busy++
		o.next(u, l)
		o.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	l.waiters = append(l.waiters, mine)
	o.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	if i := slices.Index(l.waiters, mine); i >= 0 {
		l.waiters = slices.Delete(l.waiters, i, i+1)
		o.mu.Unlock()
	} else {
		o.mu.Unlock()
		o.unlock(u) // it was handed over at this moment
	}
	return context.Cause(ctx)
}

func (o *outbox) unlock(u user) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.users[u]
	l.free()
	o.next(u, l)
}

// send carries out turn.Send: it sends the next part of a row's answer, in another goroutine, and
// steps Sent.
func (f *flight) send() {
	p, ok := f.part(f.state.Row) // what is sent is decided
	owner, openID := f.state.Row.Owner, f.state.Row.OpenID
	f.sending = true
	f.s.workers.do(func() {
		ev := turn.Event{Kind: turn.Sent, Self: owner, Jitter: rand.Float64(), Told: p.told, More: p.more, Pages: p.pages}
		res := Sending{Fate: SendDone}
		switch {
		case !f.s.node.holds(owner):
			res = Sending{Fate: SendLater, Reason: errLease.Error()}
		case ok:
			res = f.account.send(f.s.storeCtx, f.s, openID, p.reply)
		}
		f.s.outbox.answered(f.key)
		ev.Fate, ev.Reason, ev.After = fateOf(res.Fate), shorten(res.Reason), min(res.After, maxAfter)
		switch res.Fate {
		case SendRefused, SendGone:
			f.warn("WeChat does not take a late answer", ev.Reason)
		case SendUnknown:
			f.warn("nobody knows whether a late answer was sent", ev.Reason)
		}
		f.postAndDrive(&job{ev: ev})
	})
}

// warn logs what has become of a message that was sent.
func (f *flight) warn(what, reason string) {
	f.s.cfg.Logger.Warn(what, slog.String(keyAccount, f.account.Name), slog.String(keyTurn, f.key.String()), slog.String(keyReason, reason))
}

// part is the next part that the API sends of a row.
func (f *flight) part(row store.Turn) (part, bool) {
	_, quota := f.account.policy.Allowance(&row)
	row.Code = f.code()
	return nextPart(&row, f.account.Fallback, min(quota, turn.MaxParts))
}

// code is the code of the turn, or one that the present event may give it.
func (f *flight) code() string {
	f.coded = true
	return f.s.outbox.code(&f.state.Row)
}

func fateOf(f SendFate) turn.Fate {
	switch f {
	case SendDone:
		return turn.Done
	case SendRefused:
		return turn.Refused
	case SendGone:
		return turn.Gone
	case SendUnknown:
		return turn.Unknown
	}
	return turn.Later
}

// Bounds of a request to the API: its time, which is less than the SendTime of turn.Policy, and the pause it
// can ask for, which is no more than that after which a time is taken for a clock's that was wrong.
const (
	sendTime = 30 * time.Second
	maxAfter = 10 * time.Minute
)

// send sends one message by the account's API, when it is its turn. What it says that is not known is
// SendLater. One that is broken off since ctx has ended tells nothing of the API.
func (a *account) send(ctx context.Context, s *Server, openID string, r echostr.Reply) (res Sending) {
	if a.API == nil {
		return Sending{Fate: SendRefused, Reason: turn.ReasonNoAPI}
	}
	request, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			res = Sending{Fate: SendUnknown, Reason: "the API of the account panicked"}
		}
		if res.Fate < SendDone || res.Fate > SendUnknown {
			res.Fate = SendLater
		}
		s.stats.sends[res.Fate].Add(1)
		if ctx.Err() != nil && !res.Account && (res.Fate == SendLater || res.Fate == SendUnknown) {
			a.breaker.giveBack()
			return
		}
		a.breaker.note(res)
	}()
	return a.API.Send(request, openID, r)
}

// breaker keeps an account's messages back while its API is down: R-LATE-BACKOFF
type breaker struct {
	mu     sync.Mutex
	inVain int       // tries, one after the other
	until  time.Time // monotonic: nothing is sent until then, once they are too many
}

// pass returns how long nothing may be sent, 0 if something may. After a pause it lets one message
// through to see whether the API is back, and no other until that is known or its time is over.
func (b *breaker) pass() (wait time.Duration, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inVain < trippedBy {
		return 0, false
	}
	if wait := time.Until(b.until); wait > 0 {
		return wait, false
	}
	b.until = time.Now().Add(sendTime + time.Second)
	return 0, true
}

// isOpen reports whether the API is known to take nothing now.
func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inVain >= trippedBy && time.Now().Before(b.until)
}

// giveBack lets another message through at once: the one before was not sent after all, or the operator asks for it.
func (b *breaker) giveBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = time.Now()
}

func (b *breaker) note(res Sending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case res.Fate != SendLater && res.Fate != SendUnknown:
		b.inVain, b.until = 0, time.Time{}
	case res.Account:
		b.inVain = max(b.inVain, trippedBy)
		b.until = time.Now().Add(max(res.After, time.Second))
	default:
		if b.inVain++; b.inVain >= trippedBy {
			pause := time.Second << min(b.inVain-trippedBy, 6)
			b.until = time.Now().Add(min(pause, maxTripped))
		}
	}
}

// itemHeap is a heap of items by their time.
type itemHeap []*item

func (h itemHeap) Len() int { return len(h) }
func (h itemHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].since.Before(h[j].since)
}

func (h itemHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *itemHeap) Push(x any) {
	it := x.(*item)
	it.index = len(*h)
	*h = append(*h, it)
}

func (h *itemHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.index = -1
	return it
}

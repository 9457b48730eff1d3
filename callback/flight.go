package callback

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// flight is a turn that this process is busy with, of which it has one only, so
// that its handler runs once (R-TIME-ONCE): its open pushes, its handler, or a
// change of its row.
//
// Events are queued, and one goroutine at a time, the driver, takes them to
// [turn.Step], saves what that asks to be saved and carries out the effects. Whoever
// posts to a flight without a driver starts one. So nobody ever waits
// for a flight, however long the store takes.
type flight struct {
	s       *Server
	account *account
	key     store.Key

	mu      sync.Mutex
	queue   queue
	driven  bool
	lastID  int
	waiting []*openPush // by arrival
	handler *attempt    // the attempt that runs here
	marking bool        // marks have the row

	// Of the first push that came in here.
	openID  string
	arrival int64 // counts the flights that began with a push, from 1; 0: this one did not yet

	shown     string // the draft that a push was given
	elsewhere bool   // no push gets the reply any more

	withdrawn bool // the user has withdrawn it: nothing personal is claimed any more

	// Only the driver touches these.
	state   turn.State
	dirty   bool // the row has changed since it was saved, which may wait
	polling bool
	counted bool            // the claim has counted the handler that it starts
	sending bool            // this process is sending a part of the reply
	entered bool            // it counts as one that its user has under way
	coded   bool            // the outbox has given it a code
	job     *job            // the present one
	msg     echostr.Message // decoded; nil if only the row is known
	route   *echostr.Route
	digest  [32]byte
}

// job is an event with what only the callback knows about it.
type job struct {
	ev     turn.Event
	push   *openPush   // PushArrived, PushDue
	held   bool        // PushClosed, PushOver: it was left open beyond its window
	reload bool        // read the row first
	lookup bool        // read it first if it is not known here
	known  *store.Turn // the row as somebody else has seen it: what to take it for in place of that, or Changed into
	probe  bool        // Due: it was let through to see whether the API is back
	text   string      // Result: that of the reply, if it is text
	// Take: what the turn that asks is told.
	taken chan<- taking
	// Resend, Drop: the row as it is then, or none if there is none.
	done   chan<- store.Turn
	marked int64 // the version that marks have saved; then there is no event
	forget bool  // the user's data has been erased; then there is no event

	next *job // in the queue
}

// queue is a list of jobs. They are large and live short, so they are used again: a job is the queue's
// from push to pop, then the driver's until free.
type queue struct{ first, last *job }

var jobs = sync.Pool{New: func() any { return new(job) }}

func (q *queue) push(j *job) {
	kept := jobs.Get().(*job)
	*kept = *j
	if q.first == nil {
		q.first = kept
	} else {
		q.last.next = kept
	}
	q.last = kept
}

func (q *queue) pop() *job {
	j := q.first
	if j != nil {
		q.first = j.next
	}
	return j
}

func (j *job) free() {
	*j = job{}
	jobs.Put(j)
}

// post queues an event; a goroutine of its own drives the flight if nobody does.
func (f *flight) post(ev turn.Event) { f.postJob(&job{ev: ev}) }

func (f *flight) postJob(j *job) {
	f.mu.Lock()
	if f.enqueue(j) {
		f.s.workers.drive(f)
	}
}

// enqueue queues a copy of j. It is called with f.mu held, and gives it up. It reports whether the
// caller has to see to it that the flight is driven.
func (f *flight) enqueue(j *job) (drive bool) {
	f.queue.push(j)
	drive = !f.driven
	f.driven = true
	f.mu.Unlock()
	return drive
}

// postAndDrive is postJob for a goroutine that has nothing better to do than drive.
func (f *flight) postAndDrive(j *job) {
	f.mu.Lock()
	if f.enqueue(j) {
		f.drive()
	}
}

// drive takes the queue to its end. When an event starts the handler, this
// goroutine becomes the handler's, and another one drives if there is more.
func (f *flight) drive() {
	for f.next() {
		if a := f.do(); a != nil {
			f.handOver()
			f.run(a)
			return
		}
	}
}

// do takes the present job to its effects, and tells those who wait for it.
func (f *flight) do() (start *attempt) {
	j := f.job
	isDue := j.ev.Kind == turn.Due
	start = f.apply(j)
	if isDue {
		f.s.outbox.settled(f.account, f.key, &f.state.Row)
	}
	if j.probe && !f.sending {
		f.account.breaker.giveBack()
	}
	if f.coded && !f.sending {
		f.coded = false
		f.s.outbox.keepCode(f.key)
	}
	if j.taken != nil {
		select {
		case j.taken <- taking{kind: turn.Wait}: // if it was told nothing
		default:
		}
	}
	if j.done != nil {
		j.done <- f.state.Row
	}
	f.job = nil
	j.free()
	return start
}

// close reports the end of a push that was answered, and drives: the goroutine of its
// connection has nothing better to do, and to wake another one would cost more. What
// it meets there by chance is not its business for long: a handler gets a
// goroutine of its own.
func (f *flight) close(p *openPush, written bool) {
	f.mu.Lock()
	if !f.enqueue(&job{held: p.held, ev: turn.Event{Kind: turn.PushClosed, Push: p.id, Written: written}}) {
		return
	}
	for f.next() {
		if a := f.do(); a != nil {
			go f.run(a)
		}
	}
}

// next makes the next event the present one, or stops driving.
func (f *flight) next() bool {
	f.mu.Lock()
	if f.job = f.queue.pop(); f.job != nil {
		f.mu.Unlock()
		return true
	}
	f.driven = false
	f.rest()
	return false
}

// rest puts the flight away if there is nothing to keep it for, or has saved first what
// could wait for the next save, since there is none. It is called with f.mu
// held and no driver, and gives f.mu up.
func (f *flight) rest() {
	idle := f.idle()
	if idle {
		f.unlimit()
	}
	idle = idle && !f.marking
	f.marking = f.marking || idle && f.dirty
	if idle && f.dirty {
		f.dirty = false
		f.s.marks.add(f)
	}
	idle = idle && !f.marking
	f.mu.Unlock()
	if idle {
		f.s.flights.drop(f)
	}
}

// idle reports whether there is nothing to keep the flight for. The driver may ask,
// and whoever holds f.mu while there is none.
func (f *flight) idle() bool { return !f.state.Running && len(f.state.Open) == 0 && !f.sending }

// handOver stops driving, or lets another goroutine go on.
func (f *flight) handOver() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queue.first != nil {
		f.s.workers.drive(f)
		return
	}
	f.driven = false
}

// apply takes one event to its effects. It returns the attempt to run, if
// the event starts one.
func (f *flight) apply(j *job) (start *attempt) {
	switch {
	case j.marked != 0:
		f.absorb(j.marked)
		return nil
	case j.forget:
		return f.forget()
	}
	ev := &j.ev
	switch ev.Kind {
	case turn.PushArrived:
		ev.Now = j.push.now // whenever there is time for it
	case turn.PushDue:
		ev.Now, ev.Waited = f.s.clock.now(), time.Since(j.push.entered)
	default:
		ev.Now = f.s.clock.now()
	}
	if ev.Kind != turn.Result && ev.Kind != turn.Sent { // those say who
		ev.Self, ev.Since = f.s.node.self(), f.s.node.first
	}
	if ev.Kind == turn.Sent {
		f.sending = false
	}
	if ev.Kind == turn.OwnerLost && f.sending && f.state.Row.Delivery == store.Sending {
		return nil // what is being sent here will say itself what has become of it
	}
	switch {
	case j.known != nil && (f.state.Row.Version == 0 || ev.Kind == turn.Changed && f.state.Row.Version < j.known.Version):
		f.state.Row, f.dirty = *j.known, false
	case j.reload, j.lookup && (f.state.Row.Version == 0 || f.foreign()):
		before := f.state.Row.Version
		if !f.reload(ev) {
			return nil
		}
		if before > 0 && f.state.Row.Version != before && ev.Kind != turn.Changed {
			start = f.apply(&job{ev: turn.Event{Kind: turn.Changed}}) // what was not saved yet may be missing in it
		}
	case ev.Kind == turn.PushDue && f.foreign():
		// The result may be there since the last look.
		start = f.apply(&job{reload: true, ev: turn.Event{Kind: turn.Changed}})
	}
	if ev.Kind == turn.PushDue || ev.Kind == turn.Result {
		ev.NoAPI = f.account.policy.API && f.account.breaker.isOpen()
	}
	if ev.Kind == turn.PushDue {
		ev.NoHold = f.refuseToHold(ev)
	}
	if ev.Kind == turn.PushArrived {
		f.arrived(j)
		forgotten := f.s.forgotten(&f.state.Row)
		if row := &f.state.Row; row.Seen == 0 && (row.Pure || forgotten) {
			// No start mark will meet what is in the store, so that is asked for
			// first: a replay starts nothing (P7).
			known := &job{ev: turn.Event{Kind: turn.Changed}}
			switch err := f.ask(j, &known.ev, forgotten); {
			case err == nil:
				f.known()
				start = f.apply(known)
			case errors.Is(err, store.ErrNotFound):
				ev.Forgotten = forgotten
			case forgotten:
				return start // nobody waits for it any more, or the process ends
			default:
				row.Pure = false // then the claim has to tell
			}
		}
		if row := &f.state.Row; row.Seen == 0 && !row.State.Finished() && !f.recognise(j) {
			return start // nobody waits for it any more, or the process ends
		}
	}
	for {
		if row := &f.state.Row; ev.Kind == turn.PushArrived && row.Seen > 0 {
			ev.Age = f.s.clock.age(row.ReceivedAt, ev.Now)
			j.push.lag = ev.Age
		}
		f.prepare(j)
		next, effects := turn.Step(&f.account.policy, f.state, ev)
		if next.Row.State.Finished() && !f.erase() {
			return start
		}
		if effects.Save == turn.Now {
			row, fate := f.commit(j, &next.Row)
			switch fate {
			case gaveUp:
				return start
			case withdrawn:
				f.state.Row.Erase()
				continue
			case fenced:
				// An attempt of the epoch that is over is void. Then once more,
				// under the new one.
				if old := f.state.Row.Owner; f.state.Row.State == store.Running && old != f.s.node.self() {
					start = either(start, f.apply(&job{ev: turn.Event{Kind: turn.OwnerLost, Lost: old}}))
				}
				ev.Self = f.s.node.self()
				continue
			case conflict:
				if row.Version == f.state.Row.Version && row.State != store.Erased && next.Row.Delivery == store.Sending {
					ev.Busy = true
					continue
				}
				// Somebody else wrote the row. What it says comes first.
				if f.state.Row.Seen == 0 {
					f.known()
				}
				f.state.Row, f.dirty = row, false
				f.s.outbox.note(f.account, &row)
				changed := turn.Event{Kind: turn.Changed}
				if self := f.s.node.self(); row.State == store.Running && row.Owner.ID == self.ID && row.Owner.Epoch < self.Epoch {
					changed = turn.Event{Kind: turn.OwnerLost, Lost: row.Owner} // of this node's own, which is over
				}
				if start = either(start, f.apply(&job{ev: changed})); ev.Kind == turn.Changed {
					return start
				}
				continue
			}
			if row.Version == 1 && row.State != store.Erased && f.isWithdrawn() {
				// The claim was on its way when that came: nothing is done about it.
				if f.counted {
					f.counted = false
					f.s.stats.running.Add(-1)
				}
				f.state.Row, f.dirty = row, false
				start = either(start, f.forget())
				continue
			}
			next.Row, f.dirty = row, false
			f.tellRefused(&row)
		}
		if f.s.guard.err() != nil {
			return start // nothing is acknowledged any more: R-TIME-ACK
		}
		wasDue := !f.state.Row.Due.IsZero()
		if f.state = next; wasDue || !next.Row.Due.IsZero() {
			f.s.outbox.note(f.account, &next.Row)
		}
		if d := next.Row.Delivery; d == store.Late || d == store.Ticket {
			f.goElsewhere()
		}
		if ev.Kind == turn.OwnerLost && next.Row.State == store.Failed {
			if effects.Save == turn.Now { // by this process
				f.s.stats.givenUp(next.Row.Reason)
			}
			f.s.cfg.Logger.Error("a message is given up, because the process that handled it died", slog.String(keyAccount, f.account.Name),
				slog.String(keyTurn, f.key.String()), slog.Int(keyAttempt, next.Row.Attempt), slog.String(keyMsgType, next.Row.MsgType), slog.String("reason", next.Row.Reason))
		}
		f.dirty = f.dirty || effects.Save == turn.Lazily
		for _, e := range effects.List {
			start = either(start, f.carryOut(e))
		}
		f.watch()
		return start
	}
}

// goElsewhere notes, for the handler that may still run, that no push gets its reply.
func (f *flight) goElsewhere() {
	f.mu.Lock()
	f.elsewhere = true
	f.mu.Unlock()
}

func (f *flight) goesElsewhere() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.elsewhere
}

// either returns the attempt that there is; of two the younger one counts, since
// it has replaced the other.
func either(a, b *attempt) *attempt {
	if b != nil {
		return b
	}
	return a
}

// arrived completes the event of a push with what the flight knows.
func (f *flight) arrived(j *job) {
	ev := &j.ev
	if row := &f.state.Row; row.Seen == 0 {
		*row = j.push.row(f.account.Name)
		f.msg, f.digest = j.push.msg, j.push.digest
		if f.msg != nil && f.account.router != nil {
			f.route = f.account.match(f.msg)
		}
		f.account.clock.observe(row.CreateTime, ev.Now)
		f.limit()
		row.Pure = f.route.IsPure() && !row.State.Finished() && !f.account.erases(row) && !f.s.busy()
	} else {
		f.retried()
	}
	ev.ClockAgrees = f.account.clock.holds()
}

// retried notes that a push is not the first of its message.
func (f *flight) retried() {
	f.s.stats.retries.Add(1)
	f.account.patience.came(f.key)
}

// known is retried for a message that was new here, and is in the store.
func (f *flight) known() {
	f.retried()
	if f.entered {
		f.s.floods.uncount(f.user())
	}
}

// forgotten reports whether a message that is not in the store may have been, before
// the store was restored from a backup: R-TIME-RESTORED.
func (s *Server) forgotten(row *store.Turn) bool {
	return row.Seen == 0 && row.CreateTime > 0 && time.Unix(row.CreateTime, 0).Before(s.notBefore)
}

// ask is refresh for a message that is new here. If the answer is a must, it
// asks until there is one, or the push is gone.
func (f *flight) ask(j *job, ev *turn.Event, must bool) error {
	for pause := firstPause; ; {
		err := f.refresh(ev)
		if err == nil || !must || errors.Is(err, store.ErrNotFound) {
			return err
		}
		f.s.storeFailed(err)
		if !f.s.rest(&pause) || !f.isWaiting(j.push) {
			return err
		}
	}
}

// reload reads the row before an event that somebody else may have caused. It
// reports whether the event still stands.
func (f *flight) reload(ev *turn.Event) bool {
	f.polling = false
	err := f.refresh(ev)
	if err == nil {
		return true
	}
	if f.watch(); errors.Is(err, store.ErrNotFound) {
		f.s.outbox.gone(f.key)
		f.tell(turn.Deny)
	} else if f.s.node.doubts(); ev.Kind == turn.Unconfirmed { // for the sweep, if nobody waits
		f.s.node.miss(unconfirmed{f.account, f.key, ev.Lost})
	}
	return false
}

// refresh reads the row. If its owner is dead, ev becomes the event that says so.
func (f *flight) refresh(ev *turn.Event) error {
	row, err := f.s.cfg.Store.Get(f.s.storeCtx, f.key)
	if err != nil {
		return err
	}
	if row.Version != f.state.Row.Version {
		f.state.Row, f.dirty = row, false
	}
	if (row.State == store.Running || row.Delivery == store.Sending) && row.Owner != f.s.node.self() {
		if alive, err := f.s.cfg.Store.Alive(f.s.storeCtx, row.Owner); err == nil && !alive {
			ev.Kind, ev.Lost = turn.OwnerLost, row.Owner
		}
	}
	return nil
}

// foreign reports whether another node runs the turn.
func (f *flight) foreign() bool {
	row := &f.state.Row
	return row.State == store.Running && row.Version > 0 && row.Owner != f.s.node.self()
}

// watch sees to it that a turn which another node runs, and which pushes wait for
// here, is looked at again soon.
func (f *flight) watch() {
	if f.polling || len(f.state.Open) == 0 || !f.foreign() {
		return
	}
	f.polling = true
	time.AfterFunc(pollInterval, func() {
		// By key: should this flight be put away by then, another one may be
		// busy with the turn.
		f.s.flights.get(f.account, f.key, &job{reload: true, ev: turn.Event{Kind: turn.Changed}})
	})
}

// pollInterval is how often a turn on another node is looked at.
const pollInterval = 100 * time.Millisecond

// carryOut does what a step wants done.
func (f *flight) carryOut(e turn.Effect) *attempt {
	switch e.Do {
	case turn.Start:
		return f.newAttempt()
	case turn.Cancel:
		f.mu.Lock()
		a := f.handler
		f.mu.Unlock()
		if a != nil {
			a.cancel()
			f.s.orphans.add(a)
		}
	case turn.Answer:
		ans := answer{given: e.Given, retry: e.Retry, last: e.Last}
		switch e.Given {
		case store.GotReply:
			ans.reply = f.firstPage()
		case store.GotPlaceholder:
			ans.reply = f.state.Row.Placeholder
		case store.GotFallback:
			ans.reply = f.fallback()
		}
		if p := f.find(e.Push); p != nil {
			p.answered <- ans // never blocks: a push is answered once
		}
	case turn.Hold:
		f.s.stats.held.Add(1)
		f.hold(e.Push)
	case turn.Replay:
		f.s.stats.replays.Add(1)
	case turn.NoteLate:
		f.s.stats.late.Add(1)
	case turn.NoteAmbiguous:
		f.s.stats.ambiguous.Add(1)
	case turn.NoteTicket:
		f.s.stats.tickets.Add(1)
	case turn.NoteUndeliverable:
		f.s.stats.undeliverable.Add(1)
		f.s.cfg.Logger.Warn("an answer was not delivered, and no way is left", slog.String(keyAccount, f.account.Name),
			slog.String(keyTurn, f.key.String()), slog.String(keyMsgType, f.state.Row.MsgType), slog.String(keyReason, f.state.Row.Reason))
	case turn.Send:
		f.send()
	case turn.Give, turn.Wait, turn.Deny:
		f.tell(e.Do)
	}
	return nil
}

// fallback is the reply of a failed turn: the same for all its pushes.
func (f *flight) fallback() string {
	to := addressOf(&f.state.Row)
	to.CreateTime = f.state.Row.FinishedAt.Unix()
	return string(echostr.AppendReply(nil, echostr.Text(f.account.Fallback), to))
}

// addressOf takes whom a reply goes to from the row, and nowhere else: R-REPLY-SWAP.
func addressOf(row *store.Turn) echostr.Address {
	return echostr.Address{ToUserName: row.OpenID, FromUserName: row.OriginalID}
}

func (f *flight) find(id int) *openPush {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.waiting {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (f *flight) isWaiting(p *openPush) bool { return f.find(p.id) != nil }

// hold notes that a push, if it still waits, does so beyond its window on purpose.
func (f *flight) hold(id int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.waiting {
		if p.id == id {
			p.held = true
			f.s.stats.heldNow.Add(1)
		}
	}
}

// leave takes a push off the waiting ones: its connection is finished. From then on
// the push belongs to the goroutine of its connection alone.
func (f *flight) leave(p *openPush) {
	f.mu.Lock()
	if i := slices.Index(f.waiting, p); i >= 0 {
		f.waiting = slices.Delete(f.waiting, i, i+1)
		if p.held {
			f.s.stats.heldNow.Add(-1)
		}
	}
	f.mu.Unlock()
}

// passiveDeadline is the end of the youngest open push's window.
func (f *flight) passiveDeadline() (due time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.waiting {
		if end := p.entered.Add(f.account.policy.AnswerBy); end.After(due) {
			due, ok = end, true
		}
	}
	return due, ok
}

package turn

import (
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/turn/turntest"
	"github.com/echostr/echostr/store"
)

// The simulation drives Step through seeded schedules: WeChat with its retries,
// nodes that crash and lose their lease, commits that fail or whose answer is
// lost, wall clocks that jump. Everything is one goroutine and one random
// source, so a seed replays exactly.
//
// It plays the caller of Step by the rules of the package comment, and checks
// at every step what docs/reliability.md promises.

// reached counts what a run has come upon, so that one can see that it was there.
type reached struct {
	Messages, Pushes, Retries, Overlaps        int
	Starts, Crashes, Fenced, Restarts          int
	Conflicts, LostAnswers, StoreErrors, Jumps int
	Replies, Late, Held, Faults, Undisturbed   int
	Quarantined, Pure, FirstLost, Duplicates   int
}

func (r *reached) add(o *reached) {
	r.Messages += o.Messages
	r.Pushes += o.Pushes
	r.Retries += o.Retries
	r.Overlaps += o.Overlaps
	r.Starts += o.Starts
	r.Crashes += o.Crashes
	r.Fenced += o.Fenced
	r.Restarts += o.Restarts
	r.Conflicts += o.Conflicts
	r.LostAnswers += o.LostAnswers
	r.StoreErrors += o.StoreErrors
	r.Jumps += o.Jumps
	r.Replies += o.Replies
	r.Late += o.Late
	r.Held += o.Held
	r.Faults += o.Faults
	r.Undisturbed += o.Undisturbed
	r.Quarantined += o.Quarantined
	r.Pure += o.Pure
	r.FirstLost += o.FirstLost
	r.Duplicates += o.Duplicates
}

// sim is one world with its virtual time.
type sim struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand
	now  time.Duration // since the start
	seq  int
	todo queue

	chaos    bool
	wallOff  time.Duration
	lastJump time.Duration
	disk     []store.Turn // by message; Version 0: not there
	nodes    []*node
	msgs     []*message
	reached  reached
	failed   bool
}

type queued struct {
	at  time.Duration
	seq int
	do  func()
}

type queue []queued

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(queued)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.todo, queued{s.now + d, s.seq, do})
}

// node is a process: what it knows of turns dies with it.
type node struct {
	s      *sim
	id     int
	self   store.Node
	up     bool
	dead   map[store.Node]bool // shared by all: epochs that are known to be dead
	locals map[int]*local
}

// local is a turn in a process.
type local struct {
	n       *node
	m       *message
	state   State
	dirty   bool
	blocked bool // in a commit that has to be tried again
	queue   []func()
	conns   map[int]*conn
	ids     int
	polling bool
	gone    bool
}

// message is a message of WeChat's, what it does with it, and what was seen.
type message struct {
	s        *sim
	id       int
	at       time.Duration // of the action
	create   int64
	handler  time.Duration
	verified bool
	pure     bool
	policy   Policy
	pushes   int // at most
	cut      time.Duration
	wait     bool // wait after a failure
	lost     int
	sent     int
	over     bool // WeChat is done

	starts    map[int]int // by attempt
	losses    int         // of owners while it ran
	disturbed bool
	result    *store.Turn // the first one stored
	got       []store.Outcome
	sees      turntest.Sees
	openNow   int
}

// conn is one push on its way.
type conn struct {
	m      *message
	number int
	over   bool
	early  bool // WeChat has given it up and pushed again; the server does not know yet
}

func newSim(t *testing.T, seed uint64, nodes, messages int, chaos bool) *sim {
	s := &sim{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), chaos: chaos, disk: make([]store.Turn, messages)}
	dead := make(map[store.Node]bool)
	for i := range nodes {
		s.nodes = append(s.nodes, &node{s: s, id: i, dead: dead})
		s.nodes[i].boot()
	}
	for i := range messages {
		s.newMessage(i, s.between(0, time.Duration(messages)*100*time.Millisecond))
	}
	end := time.Duration(messages)*100*time.Millisecond + 10*time.Second
	for _, n := range s.nodes {
		n.sweep(end + 3*time.Minute)
	}
	if chaos {
		s.wreck(end)
	}
	return s
}

func (s *sim) between(a, b time.Duration) time.Duration { return a + rand0(s.rng, b-a) }

func rand0(r *rand.Rand, n time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(n)))
}

func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

var epochStart = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func (s *sim) wall() time.Time { return epochStart.Add(s.now + s.wallOff) }

func (s *sim) fail(m *message, format string, args ...any) {
	if s.failed {
		return
	}
	s.failed = true
	s.t.Errorf("seed %d, message %d, at %v: %s", s.seed, m.id, s.now, fmt.Sprintf(format, args...))
}

// newMessage draws a message. Handlers are mostly quick, as in life, with times
// around every bound.
func (s *sim) newMessage(id int, at time.Duration) {
	m := &message{s: s, id: id, at: at, starts: make(map[int]int), sees: -1}
	times := []time.Duration{0, 100, 1500, 4400, 4600, 4900, 6000, 9600, 12000, 14300, 14800, 20000, 70000}
	m.handler = times[s.rng.IntN(len(times))]*time.Millisecond + rand0(s.rng, 50*time.Millisecond)
	m.verified, m.pure = s.chance(.5), s.chance(.25)
	m.pushes, m.wait = 3+s.rng.IntN(2), s.chance(.5)
	m.cut = []time.Duration{5000, 4958}[s.rng.IntN(2)] * time.Millisecond
	if s.chance(.05) {
		m.lost = 1
		s.reached.FirstLost++
	}
	m.policy = DefaultPolicy()
	m.policy.Hold = !m.verified
	m.policy.Once = s.chance(.2)
	s.msgs = append(s.msgs, m)
	s.reached.Messages++
	if m.pure {
		s.reached.Pure++
	}
	s.after(at-s.now, func() {
		m.create = epochStart.Add(s.now).Unix() // WeChat's clock does not jump
		m.push()
	})
}

// push sends the next push, if WeChat still wants to.
func (m *message) push() {
	s := m.s
	if m.over {
		return
	}
	if m.sent >= m.pushes {
		m.over = true
		m.sees = turntest.Fault
		s.reached.Faults++
		return
	}
	m.sent++
	s.reached.Pushes++
	if m.sent > 1 {
		s.reached.Retries++
	}
	c := &conn{m: m, number: m.sent}
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	if m.sent <= m.lost || !n.up {
		if m.sent > m.lost {
			m.disturbed = true
		}
		m.refused()
		return
	}
	if m.openNow++; m.openNow > 1 {
		s.reached.Overlaps++
	}
	s.after(m.cut, func() { c.end(false) })
	if s.chaos && s.chance(.05) { // push 2 before the end of push 1
		s.after(s.between(0, m.cut), func() {
			if !c.over && !m.over {
				c.early, m.disturbed = true, true
				m.push()
			}
		})
	}
	n.arrive(c)
	if s.chaos && s.chance(.02) { // a proxy repeats the request; nobody reads the answer
		s.reached.Duplicates++
		m.disturbed = true
		if twin := s.nodes[s.rng.IntN(len(s.nodes))]; twin.up {
			twin.arrive(&conn{m: m, number: m.sent, over: true})
		}
	}
}

// refused: the retry comes at once or when the five seconds are over.
func (m *message) refused() {
	d := time.Duration(0)
	if m.wait {
		d = m.cut
	}
	m.s.after(d, m.push)
}

// end is the end of a connection: answered, cut, or broken by a crash.
func (c *conn) end(answered bool) {
	if c.over {
		return
	}
	c.over = true
	c.m.openNow--
	if !answered && !c.early {
		c.m.push()
	}
}

// broken is a connection reset by a crash.
func (c *conn) broken() {
	if c.over {
		return
	}
	c.over = true
	c.m.openNow--
	if !c.early {
		c.m.refused()
	}
}

func (n *node) boot() {
	n.self = store.Node{ID: fmt.Sprint("node-", n.id), Epoch: n.self.Epoch + 1}
	n.up = true
	n.locals = make(map[int]*local)
}

func (n *node) rejoin() { n.self.Epoch++ }

func (n *node) local(m *message) *local {
	l := n.locals[m.id]
	if l == nil {
		l = &local{n: n, m: m, conns: make(map[int]*conn)}
		n.locals[m.id] = l
	}
	return l
}

// sweep looks for turns of dead owners, as the callback does.
func (n *node) sweep(until time.Duration) {
	s := n.s
	if s.now > until {
		return
	}
	if n.up {
		for id := range s.disk {
			if !n.up {
				break // it crashed while it swept
			}
			row := &s.disk[id]
			if row.Version > 0 && row.State == store.Running && n.dead[row.Owner] {
				n.local(s.msgs[id]).reload()
			} else if row.Version > 0 && row.State == store.Running && row.Owner == n.self && n.locals[id] == nil {
				n.local(s.msgs[id]).reload() // a claim whose outcome was unknown
			}
		}
	}
	s.after(5*time.Second+rand0(s.rng, time.Second), func() { n.sweep(until) })
}

// wreck crashes nodes, takes their lease away, and moves the wall clock.
func (s *sim) wreck(until time.Duration) {
	if s.now > until {
		return
	}
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	switch k := s.rng.IntN(10); {
	case k < 6:
		n.crash()
	case k < 8 && len(s.nodes) > 1 && n.up:
		// A paused process: its epoch is dead, and it goes on all the same.
		s.reached.Fenced++
		n.dead[n.self] = true
		n.disturbAll()
		old := n.self
		s.after(s.between(0, 3*time.Second), func() {
			if n.self == old && n.up {
				n.rejoin() // it notices by itself
			}
		})
	default:
		s.reached.Jumps++
		by := []time.Duration{-time.Minute, -3 * time.Second, 2 * time.Second, 10 * time.Second, time.Hour}[s.rng.IntN(5)]
		s.wallOff += by
		s.lastJump = s.now
		for _, m := range s.msgs {
			if m.at <= s.now && !m.over {
				m.disturbed = true
			}
		}
		s.after(s.between(time.Second, 10*time.Second), func() { s.wallOff = 0; s.lastJump = s.now })
	}
	s.after(s.between(10*time.Millisecond, 20*time.Second), func() { s.wreck(until) })
}

// disturbAll notes whom the end of the present epoch concerns.
func (n *node) disturbAll() {
	for _, l := range n.locals {
		l.m.disturbed = true
	}
	for id := range n.s.disk {
		if row := &n.s.disk[id]; row.State == store.Running && row.Owner == n.self {
			n.s.msgs[id].losses++
			n.s.msgs[id].disturbed = true
		}
	}
}

func (n *node) crash() {
	s := n.s
	if !n.up {
		return
	}
	s.reached.Crashes++
	n.disturbAll()
	n.up = false
	n.dead[n.self] = true
	broken := n.sorted()
	n.locals = nil
	for _, l := range broken {
		for _, id := range slices.Sorted(maps.Keys(l.conns)) {
			l.conns[id].broken()
		}
	}
	down := s.between(20*time.Millisecond, 300*time.Millisecond)
	if s.chance(.2) {
		down = s.between(0, 12*time.Second)
	}
	s.after(down, func() {
		s.reached.Restarts++
		n.boot()
	})
}

// sorted returns the locals in the order of their messages: maps have none, and
// a seed has to replay.
func (n *node) sorted() (list []*local) {
	for _, id := range slices.Sorted(maps.Keys(n.locals)) {
		list = append(list, n.locals[id])
	}
	return list
}

// arrive hands a push to its turn in this process.
func (n *node) arrive(c *conn) {
	s, m := n.s, c.m
	l := n.local(m)
	l.ids++
	id := l.ids
	l.conns[id] = c
	ev := &Event{Kind: PushArrived, Push: id}
	l.post(func() {
		// The caller knows how old the turn is without the jumps, unless its
		// process is younger than the last of them.
		if l.state.Row.Seen == 0 {
			l.state.Row = store.Turn{Key: store.Key{byte(m.id >> 16), byte(m.id >> 8), byte(m.id)}, CreateTime: m.create, Pure: m.pure, Body: "body"}
		}
		ev.ClockAgrees = s.wallOff == 0
		m.disturbed = m.disturbed || s.wallOff != 0
		l.apply(ev)
	})
	s.after(m.policy.AnswerBy, func() {
		if l.foreign() {
			l.reload()
		}
		l.step(&Event{Kind: PushDue, Push: id})
	})
	s.after(m.cut, func() { l.close(id, false) })
	s.after(m.policy.AbortAfter, func() {
		if l.conns[id] != nil {
			l.step(&Event{Kind: PushOver, Push: id})
		}
	})
}

// close ends a connection in this process.
func (l *local) close(id int, written bool) {
	if l.conns[id] == nil {
		return
	}
	delete(l.conns, id)
	l.step(&Event{Kind: PushClosed, Push: id, Written: written})
}

func (l *local) step(ev *Event) { l.post(func() { l.apply(ev) }) }

// post runs do now, or when the commit that blocks the turn is through.
func (l *local) post(do func()) {
	if l.dead() {
		return
	}
	if l.blocked {
		l.queue = append(l.queue, do)
		return
	}
	do()
	l.rest()
}

// rest is what is left to do after an event.
func (l *local) rest() {
	for !l.blocked && len(l.queue) > 0 && !l.dead() {
		do := l.queue[0]
		l.queue = l.queue[1:]
		do()
	}
	if l.dead() || l.blocked {
		return
	}
	if !l.polling && len(l.state.Open) > 0 && l.foreign() {
		l.polling = true
		l.n.s.after(100*time.Millisecond, func() {
			l.polling = false
			if !l.dead() {
				l.reload()
			}
		})
	}
	if !l.state.Running && len(l.state.Open) == 0 {
		if l.dirty {
			l.dirty = false
			l.n.s.save(l.state.Row)
		}
		l.gone = true
		delete(l.n.locals, l.m.id)
	}
}

func (l *local) dead() bool { return l.gone || l.n.locals == nil || l.n.locals[l.m.id] != l }

// foreign: another node runs the turn.
func (l *local) foreign() bool {
	row := &l.state.Row
	return row.State == store.Running && row.Version > 0 && row.Owner != l.n.self
}

// reload reads the row before an event that another node may have caused.
func (l *local) reload() {
	l.post(func() {
		row := l.n.s.disk[l.m.id]
		if row.Version == 0 {
			return
		}
		if row.Version != l.state.Row.Version {
			l.state.Row, l.dirty = row, false
		}
		kind := Changed
		if row.State == store.Running && row.Owner != l.n.self && l.n.dead[row.Owner] {
			kind = OwnerLost
		}
		l.apply(&Event{Kind: kind, Lost: row.Owner})
	})
}

// apply is one event: step, save, effects.
func (l *local) apply(ev *Event) {
	s, m := l.n.s, l.m
	if ev.Now = s.wall(); ev.Kind != Result {
		ev.Self = l.n.self
	}
	for !l.dead() {
		if row := &l.state.Row; ev.Kind == PushArrived && row.State != 0 {
			ev.Age = s.now - m.firstSeen()
		}
		before := l.state
		next, effects := Step(&m.policy, l.state, ev)
		if s.chance(.01) {
			l.checkPure(before, ev, next)
		}
		if effects.Save == Now {
			if next.Row.State == store.Running && l.n.dead[next.Row.Owner] {
				// The store refuses a start mark by a dead epoch; the node joins
				// again and asks anew.
				m.disturbed = true
				if l.n.dead[l.n.self] {
					l.n.rejoin()
				}
				ev.Self = l.n.self
				if row := &l.state.Row; row.State == store.Running && l.n.dead[row.Owner] {
					l.apply(&Event{Kind: OwnerLost, Lost: row.Owner})
				}
				continue
			}
			row, ok, err := s.commit(l, next.Row)
			switch {
			case l.dead():
				return // the process died in the middle
			case err:
				// Ask again, unless it is the first claim and the push is gone.
				l.blocked = true
				s.after(s.between(10*time.Millisecond, 200*time.Millisecond), func() {
					if l.dead() {
						return
					}
					l.blocked = false
					if ev.Kind != PushArrived || l.conns[ev.Push] != nil {
						l.apply(ev)
					}
					l.rest()
				})
				return
			case !ok:
				s.reached.Conflicts++
				l.state.Row, l.dirty = row, false
				if l.apply(&Event{Kind: Changed}); ev.Kind == Changed {
					return
				}
				continue
			}
			next.Row, l.dirty = row, false
		}
		l.state = next
		l.dirty = l.dirty || effects.Save == Lazily
		for _, e := range effects.List {
			l.carryOut(e)
		}
		return
	}
}

// checkPure holds Step to its word: the same again, and nothing changed
// behind the old state.
func (l *local) checkPure(before State, ev *Event, want State) {
	if got, _ := Step(&l.m.policy, before, ev); fmt.Sprint(got) != fmt.Sprint(want) {
		l.n.s.fail(l.m, "Step gave two answers to %+v", ev)
	}
}

func (m *message) firstSeen() time.Duration {
	return m.s.disk[m.id].ReceivedAt.Sub(epochStart) // corrected when stored, see commit
}

// commit is Claim or Save with all that can go wrong. err says that the caller does not
// know what happened.
func (s *sim) commit(l *local, row store.Turn) (current store.Turn, ok, err bool) {
	if s.chaos {
		switch r := s.rng.Float64(); {
		case r < .0005:
			l.n.crash()
			return row, false, true
		case r < .0035:
			s.reached.StoreErrors++
			l.m.disturbed = true
			return row, false, true
		case r < .0065:
			s.reached.LostAnswers++
			l.m.disturbed = true
			s.save(row)
			return row, false, true
		case r < .007:
			s.save(row)
			l.n.crash()
			return row, false, true
		}
	}
	current, ok = s.save(row)
	return current, ok, false
}

// save is the disk.
func (s *sim) save(row store.Turn) (current store.Turn, ok bool) {
	id := int(row.Key[0])<<16 | int(row.Key[1])<<8 | int(row.Key[2])
	old, m := &s.disk[id], s.msgs[id]
	if old.Version != row.Version {
		return *old, false
	}
	if old.State.Finished() && (row.State != old.State || row.Reply != old.Reply) {
		s.fail(m, "a result was changed: %v %q, then %v %q", old.State, old.Reply, row.State, row.Reply)
	}
	if row.Version == 0 {
		// What the wall clock said is kept apart from what it should have said:
		// the caller takes jumps out of the age.
		row.ReceivedAt = epochStart.Add(s.now)
	} else {
		row.ReceivedAt = old.ReceivedAt
	}
	row.Version++
	*old = row
	if row.State.Finished() && m.result == nil {
		m.result = &store.Turn{State: row.State, Reply: row.Reply, Attempt: row.Attempt}
	}
	return row, true
}

func (l *local) carryOut(e Effect) {
	s, m := l.n.s, l.m
	if l.dead() {
		return
	}
	switch e.Do {
	case Start:
		l.start()
	case Hold:
		s.reached.Held++
	case Answer:
		row := &s.disk[m.id]
		if row.Version == 0 {
			s.fail(m, "a push was answered before the message was in the store") // P1, M1
		}
		if e.Given == store.GotReply && (!row.State.Finished() || row.Reply != l.state.Row.Reply || row.Delivery == store.Undelivered) {
			s.fail(m, "a push was given %q, and the store has %v %q, delivery %v", l.state.Row.Reply, row.State, row.Reply, row.Delivery) // P4, M9
		}
		c := l.conns[e.Push]
		if c == nil {
			return // it has gone meanwhile
		}
		id, given := e.Push, e.Given
		written := !c.over // as far as the server can tell
		if written && !c.early {
			m.got = append(m.got, given)
			m.over = true
			if m.sees = turntest.Nothing; given == store.GotReply {
				m.sees = turntest.Reply
				s.reached.Replies++
			} else {
				s.reached.Late++
			}
		}
		c.end(true)
		s.after(0, func() { l.close(id, written) })
	}
}

// start runs the handler: it is counted here, outside of what is tested.
func (l *local) start() {
	s, m := l.n.s, l.m
	row := l.state.Row
	s.reached.Starts++
	m.starts[row.Attempt]++
	if !m.pure && (s.disk[m.id].Version == 0 || s.disk[m.id].Attempt < row.Attempt) {
		s.fail(m, "attempt %d runs without a start mark", row.Attempt) // P2, M4
	}
	if m.pure && row.Version == 0 {
		s.after(m.policy.AcceptBy, func() { l.step(&Event{Kind: AcceptDue}) })
	}
	if s.chaos && s.chance(.001) {
		l.n.crash() // a handler that takes its process along
		return
	}
	ev := &Event{Kind: Result, Attempt: row.Attempt, Self: row.Owner, State: store.Answered,
		Reply: fmt.Sprintf("reply of attempt %d at %v", row.Attempt, l.n.self)}
	d := m.handler
	if d > time.Minute {
		d, ev.State, ev.Reply, ev.Reason = time.Minute, store.Failed, "", "timeout"
	}
	s.after(d, func() { l.step(ev) })
}

// run plays to the end and checks every message.
func (s *sim) run() {
	for len(s.todo) > 0 && !s.failed {
		next := heap.Pop(&s.todo).(queued)
		s.now = next.at
		next.do()
	}
	for _, m := range s.msgs {
		s.check(m)
	}
}

func (s *sim) check(m *message) {
	row := &s.disk[m.id]
	total := 0
	for attempt, n := range m.starts {
		total += n
		if n > 1 && !m.pure {
			s.fail(m, "attempt %d was started %d times", attempt, n)
		}
	}
	if !m.pure && total > 1+m.losses {
		s.fail(m, "%d starts with %d losses of the owner", total, m.losses) // P2
	}
	if total > m.policy.Attempts && !m.pure {
		s.fail(m, "%d starts", total)
	}
	if m.policy.Once && total > 1 && !m.pure {
		s.fail(m, "%d starts of a handler that starts once", total)
	}
	if row.Version > 0 && !row.State.Finished() {
		s.fail(m, "accepted and never finished: %+v", row) // P1
	}
	if len(m.got) > 0 && row.Version == 0 {
		s.fail(m, "answered and not in the store")
	}
	replies := 0
	for _, o := range m.got {
		if o == store.GotReply {
			replies++
		}
	}
	if replies > 1 || replies == 1 && row.Delivery == store.Late {
		s.fail(m, "%d replies reached the user, delivery %v", replies, row.Delivery) // P4
	}
	if row.Reason == ReasonQuarantined {
		s.reached.Quarantined++
	}
	if m.disturbed {
		return
	}
	s.reached.Undisturbed++
	if total != 1 {
		s.fail(m, "%d starts of an undisturbed message", total)
	}
	c := turntest.Case{
		Handler: m.handler, Verified: m.verified, Pushes: m.pushes, Lost: m.lost, Cut: m.cut,
		Offset: epochStart.Add(m.at).Sub(time.Unix(m.create, 0)),
	}
	if m.wait {
		c.LostTakes = m.cut
	}
	if m.handler > time.Minute {
		return // fails by its time, long after WeChat
	}
	if sees, pushes := c.Expect(); sees != m.sees || pushes != m.sent {
		s.fail(m, "after %d pushes the user sees %v, want %v after %d: %+v", m.sent, m.sees, sees, pushes, c)
	}
}

// TestSimulation: 100,000 messages in worlds with everything that breaks, and
// 20,000 in worlds where nothing does, whose outcome is known to the push.
func TestSimulation(t *testing.T) {
	t.Parallel()
	worlds := make(chan *sim)
	go func() {
		defer close(worlds)
		for seed := range uint64(10) {
			worlds <- newSim(t, seed, 2, 2000, false)
		}
		for seed := range uint64(50) {
			worlds <- newSim(t, 1000+seed, 1+int(seed%3), 2000, true)
		}
	}()
	calm, wild := new(reached), new(reached)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for s := range worlds {
				s.run()
				mu.Lock()
				if s.chaos {
					wild.add(&s.reached)
				} else {
					calm.add(&s.reached)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("calm: %+v", *calm)
	t.Logf("wild: %+v", *wild)
	if calm.Undisturbed != calm.Messages || calm.Starts != calm.Messages || calm.Messages != 20_000 {
		t.Errorf("calm: %d of %d messages undisturbed, %d starts", calm.Undisturbed, calm.Messages, calm.Starts)
	}
	// What the run must have come upon to mean anything.
	for _, bound := range []struct {
		what     string
		got, min int
	}{
		{"messages", wild.Messages, 100_000}, {"retries", wild.Retries, 50_000}, {"overlaps", wild.Overlaps, 100},
		{"crashes", wild.Crashes, 1000}, {"lost leases", wild.Fenced, 100}, {"conflicts", wild.Conflicts, 1000},
		{"lost commit answers", wild.LostAnswers, 500}, {"store errors", wild.StoreErrors, 500}, {"clock jumps", wild.Jumps, 100},
		{"replies", wild.Replies, 30_000}, {"late answers", wild.Late, 10_000}, {"held pushes", wild.Held, 10_000},
		{"quarantined turns", wild.Quarantined, 1}, {"undisturbed messages", wild.Undisturbed, 10_000},
	} {
		if bound.got < bound.min {
			t.Errorf("the run came upon %d %s, and means nothing with fewer than %d", bound.got, bound.what, bound.min)
		}
	}
}

// A seed replays: the whole run is one sequence.
func TestSimulationReplays(t *testing.T) {
	t.Parallel()
	var runs [2]string
	for i := range runs {
		s := newSim(t, 42, 3, 1000, true)
		s.run()
		runs[i] = fmt.Sprintf("%+v %v", s.reached, s.disk)
	}
	if runs[0] != runs[1] {
		t.Error("the same seed gave two runs")
	}
}

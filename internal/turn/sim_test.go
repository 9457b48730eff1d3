package turn

import (
	"container/heap"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"github.com/echostr/echostr/store"
)

// The simulation drives Step through seeded schedules: WeChat with its retries and its
// API, users who read, tap, ask again and go, nodes that crash, pause and lose their lease, a store
// that is slow, out of reach, or answers a commit by an error and has done it all the same, wall
// clocks that jump. Everything is one goroutine and one random source, so a seed
// replays byte for byte.
//
// It plays the caller of Step by the rules of the package comment. What
// docs/reliability.md promises is checked by the oracle (sim_oracle_test.go),
// which knows nothing of Step: it looks at what the disk holds, what WeChat
// got and which handlers ran.
//
// The files: sim_wechat_test.go is WeChat's pushes, sim_api_test.go its API, sim_user_test.go the
// users, sim_text_test.go what they read. sim_process_test.go is the processes, sim_turn_test.go
// their turns, sim_handler_test.go their handlers, sim_fetch_test.go those that fetch replies,
// sim_outbox_test.go their outboxes. sim_disk_test.go is the store, sim_chaos_test.go what breaks,
// sim_oracle_test.go and sim_arrival_test.go the oracle.
//
// What it does not cover, and who does:
//
//   - goroutines, locks and timers of package callback: its own tests in virtual time,
//     with the race detector;
//   - the order of writes and flushes below a commit. An answered commit is durable
//     here by definition: store/storetest and the power cuts of internal/chaos
//     hold the stores to that;
//   - torn rows. SQLite and PostgreSQL commit a transaction whole or not at all, so a
//     batch here is all or nothing;
//   - how the caller takes jumps of the wall clock out of an age, and when it
//     trusts that clock: the events here carry the true age, and a trust that is
//     sometimes wrong. callback's clock tests cover the rest;
//   - a limit on running handlers, waiting pushes or requests to the API, expiry, and shutdown in order;
//   - where a text is parted, and that a code is no other's: a reply is so many bytes here, a message
//     takes a hundred, and each message has a code of its own;
//   - what a restored backup has forgotten: such a message has no row, and so no turn;
//   - HTTP, signatures, XML: an answer either arrives whole or not at all.

// sim is one world with its virtual time.
type sim struct {
	profile
	seed  uint64
	world int
	rng   *rand.Rand
	step  func(*Policy, State, *Event) (State, Effects) // Step; tests of the oracle break it

	now     time.Duration // since the start
	seq     int
	todo    queue
	end     time.Duration // nothing breaks any more after that
	tail    time.Duration // how long after the end processes look for what is left
	wallOff time.Duration

	disk    disk
	nodes   []*node
	users   []*user
	msgs    []*message
	reached reached

	texts        map[string]text     // what replies say
	placeholders map[string]document // and placeholders
	next         map[string]*link    // to the next page, below a reply that is one
	ticketLife   time.Duration
	window       time.Duration
	diligent     bool          // users fetch all there is
	disturbed    bool          // all messages are
	plans        int           // what users are going to do
	underway     int           // messages that WeChat is not done with
	apiDown      time.Duration // until when
	jumpedAt     time.Duration // when the wall clock was last put wrong, or right

	points  int          // how often a process could have died so far
	crashAt map[int]bool // at which of them it does
	lands   func() bool  // whether the transaction under way in a crash is carried out

	violations []string
	first      *message // whom the first one concerns

	trace io.Writer // nil: nobody reads it
	only  *int      // trace this message only, and what concerns all
}

// profile is what a world is like.
type profile struct {
	nodes    int
	messages int
	spacing  time.Duration // between two messages, on average
	chaos    bool
}

func newSim(seed uint64, world int, p profile) *sim {
	s := &sim{profile: p, seed: seed, world: world, rng: rand.New(rand.NewPCG(seed, uint64(world))), step: Step}
	s.lands = func() bool { return s.chance(.5) }
	s.disk.init(s)
	s.texts, s.placeholders, s.next = make(map[string]text), make(map[string]document), make(map[string]*link)
	s.ticketLife, s.window = DefaultPolicy().TicketLife, DefaultPolicy().Window
	if s.chance(.7) {
		s.ticketLife = 4 * time.Minute
	}
	if s.chance(.4) {
		s.window = 5 * time.Minute
	}
	span := time.Duration(p.messages) * p.spacing
	s.jumpedAt = -1
	s.end, s.tail = span+10*time.Second, 40*time.Minute
	return s
}

// resting reports whether nothing is left to do but to wait for what may never come.
func (s *sim) resting() bool {
	if s.now <= s.end {
		return false
	}
	for _, id := range s.disk.live {
		if row := &s.disk.rows[id]; row.State == store.Running || row.Due.IsZero() || OnItsWay(row) || row.Due.Sub(s.wall()) < time.Hour {
			return s.now > s.end+s.tail
		}
	}
	for _, n := range s.nodes {
		if !n.up || n.paused || n.waking || len(n.locals) > 0 {
			return s.now > s.end+s.tail
		}
	}
	return s.plans == 0 && s.underway == 0 || s.now > s.end+s.tail
}

// populate is apart from newSim, so that tests can set what they need before.
func (s *sim) populate() {
	for i := range s.profile.nodes {
		n := &node{s: s, index: i}
		s.nodes = append(s.nodes, n)
		n.boot()
	}
	for range max(1, s.profile.messages/4) {
		s.newUser()
	}
	for range s.profile.messages {
		s.newMessage(s.users[s.rng.IntN(len(s.users))], s.between(0, time.Duration(s.profile.messages)*s.spacing))
	}
	if s.chaos {
		s.after(s.between(0, 10*time.Second), s.wreck)
	}
}

// run plays to the end and checks every message.
func (s *sim) run() {
	s.populate()
	s.drain()
	s.reached.Worlds++
	if len(s.violations) > 0 {
		return
	}
	for _, m := range s.msgs {
		s.check(m)
	}
}

// drain plays until nothing is left to do.
func (s *sim) drain() {
	for len(s.todo) > 0 && len(s.violations) == 0 {
		next := heap.Pop(&s.todo).(queued)
		s.now = next.at
		next.do()
	}
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
	heap.Push(&s.todo, queued{s.now + max(d, 0), s.seq, do})
}

func (s *sim) between(a, b time.Duration) time.Duration {
	if b <= a {
		return a
	}
	return a + time.Duration(s.rng.Int64N(int64(b-a)))
}

func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

// broken is chance in a world where things break.
func (s *sim) broken(p float64) bool { return s.chaos && s.chance(p) }

var epochStart = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// wall is what the processes read from the wall clock, by the millisecond.
func (s *sim) wall() time.Time { return epochStart.Add(s.now + s.wallOff).Truncate(time.Millisecond) }

// fail notes a violation of one of the invariants of docs/reliability.md. The world
// ends with the first one.
func (s *sim) fail(m *message, invariant, format string, args ...any) {
	if len(s.violations) == 0 {
		s.first = m
	}
	s.violations = append(s.violations, fmt.Sprintf("%s: %s (seed %d, world %d, message %d, at %v)",
		invariant, fmt.Sprintf(format, args...), s.seed, s.world, m.id, s.now))
}

// tell writes one line of the trace. m is nil for what concerns all.
func (s *sim) tell(m *message, format string, args ...any) {
	if s.trace == nil || s.only != nil && m != nil && m.id != *s.only {
		return
	}
	who := "all"
	if m != nil {
		who = fmt.Sprint("message ", m.id)
	}
	fmt.Fprintf(s.trace, "%v %s: %s\n", s.now, who, fmt.Sprintf(format, args...))
}

// rowText is all of a row that can change.
func rowText(row *store.Turn) string {
	due := "never"
	if !row.Due.IsZero() {
		due = fmt.Sprint(row.Due.Sub(epochStart))
	}
	return fmt.Sprintf("v%d %v attempt %d of %v%d, pushes %v seen %d, %v to %d due %s code %s way %s, reply %q placeholder %q reason %q, %v-%v",
		row.Version, row.State, row.Attempt, row.Owner.ID, row.Owner.Epoch, row.Pushes, row.Seen,
		row.Delivery, row.OfferedTo, due, row.Code, fieldsOf(row.Way), row.Reply, row.Placeholder, row.Reason, row.ReceivedAt.UnixMilli(), row.FinishedAt.UnixMilli())
}

// fieldsOf is the fields of a struct that say something.
func fieldsOf(x any) string {
	var list []string
	v := reflect.ValueOf(x)
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			list = append(list, fmt.Sprintf("%s:%v", v.Type().Field(i).Name, f))
		}
	}
	return "{" + strings.Join(list, " ") + "}"
}

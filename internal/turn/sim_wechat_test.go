package turn

import (
	"time"

	"github.com/echostr/echostr/internal/turn/turntest"
	"github.com/echostr/echostr/store"
)

// message is a message of WeChat's, what is to become of it, and what was seen.
type message struct {
	s      *sim
	id     int
	user   *user
	at     time.Duration // of the action
	create int64

	// What it says.
	event string // empty: it is a text
	wants *link  // it is a tap on this link
	word  bool   // it is the word that fetches

	// What the server is like to it.
	handler time.Duration
	limit   time.Duration // of the handler
	result  store.State   // what the handler comes to, or Unparseable
	length  int           // of its reply
	drafts  bool          // the handler shows how far it has come
	strays  bool          // and comes to another text in the end
	says    int           // messages that the handler sends by the API meanwhile
	heeds   bool          // the handler heeds its context
	pure    bool
	policy  Policy

	// What WeChat is like to it.
	pushes int // at most
	cut    time.Duration
	wait   bool // wait after a failure, else retry at once
	lost   int  // how many of the first pushes do not arrive
	sent   int
	over   bool // WeChat is done
	open   int
	got    []store.Outcome // what it received
	sees   turntest.Sees
	api    int // messages that the API has taken because of it

	disturbed bool // something broke that concerns it, so that its outcome is not known to the push
	seen      witness
}

// newMessage draws a message of a user. Handlers are mostly quick, as in life, with times
// around every bound; some take minutes.
func (s *sim) newMessage(u *user, at time.Duration) *message {
	m := &message{s: s, id: len(s.msgs), user: u, at: at, sees: -1, result: store.Answered, limit: time.Minute, disturbed: s.disturbed}
	times := []time.Duration{0, 0, 100, 100, 1500, 1500, 4400, 4600, 4900, 6000, 9600, 12000, 14300, 14800, 20000, 70000, 150000, 400000}
	m.handler = times[s.rng.IntN(len(times))]*time.Millisecond + s.between(0, 50*time.Millisecond)
	if s.chance(.7) {
		m.limit = 10 * time.Minute
	}
	m.pure, m.heeds = s.chance(.25), s.chance(.7)
	m.length = []int{20, 20, 20, 45, 45, 90, 120, 250, 350, 750}[s.rng.IntN(10)]
	m.drafts, m.strays = s.chance(.2), s.chance(.2)
	m.pushes, m.wait = 3+s.rng.IntN(2), s.chance(.5)
	m.cut = []time.Duration{5000, 4958}[s.rng.IntN(2)] * time.Millisecond
	switch r := s.rng.Float64(); {
	case r < .1:
		m.result = store.Silent
	case r < .15:
		m.result = store.Failed
	case r < .17:
		m.result, m.pure = store.Unparseable, false
	}
	switch r := s.rng.Float64(); {
	case r < .08:
		m.event = "CLICK"
	case r < .13:
		m.event = "VIEW" // nobody waits for an answer to it
	}
	if s.chance(.05) {
		m.lost = 1
		s.reached.FirstLost++
	}
	m.policy = u.policy
	m.policy.Once = s.chance(.2)
	m.policy.Fallback = s.chance(.3)
	if m.policy.API && s.chance(.06) {
		m.says, m.pure = 1+s.rng.IntN(5), false
	}
	s.msgs = append(s.msgs, m)
	s.disk.grow()
	u.msgs = append(u.msgs, m)
	s.reached.Messages++
	s.underway++
	s.after(at-s.now, func() {
		m.create = epochStart.Add(s.now).Unix() // WeChat's clock does not jump
		if m.pure {
			s.reached.Pure++
		}
		m.push()
	})
	return m
}

// row is what a process makes of a push.
func (m *message) row() store.Turn {
	row := store.Turn{
		Key: store.Key{byte(m.id >> 16), byte(m.id >> 8), byte(m.id)}, CreateTime: m.create, Body: "body", Pure: m.pure,
		OpenID: m.user.String(), MsgType: "text",
	}
	if m.event != "" {
		row.MsgType, row.Event = "event", m.event
	}
	if m.result == store.Unparseable {
		row.State = store.Unparseable
	}
	return row
}

func messageOf(key store.Key) int { return int(key[0])<<16 | int(key[1])<<8 | int(key[2]) }

// conn is one push on its way.
type conn struct {
	m      *message
	number int
	at     time.Duration
	over   bool // WeChat has no interest in it any more
	early  bool // WeChat has given it up and pushed again; the server does not know yet
	lossy  bool // what the server writes does not arrive
	proxy  bool // the server does not see WeChat hang up

	// What the process that received it knows.
	entered  time.Duration
	held     bool
	answered bool
}

// push sends the next push, if WeChat still wants to.
func (m *message) push() {
	s := m.s
	if m.over {
		return
	}
	if m.sent >= m.pushes {
		m.done()
		m.sees = turntest.Fault
		s.reached.Faults++
		s.tell(m, "the user reads the fault notice")
		m.user.waits(m)
		return
	}
	m.sent++
	s.reached.Pushes++
	if m.sent > 1 {
		s.reached.Retries++
	}
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	if m.sent <= m.lost || !n.up {
		if m.sent > m.lost {
			m.disturbed = true
		}
		s.tell(m, "push %d is refused", m.sent)
		m.refused()
		return
	}
	if m.open++; m.open > 1 {
		s.reached.Overlaps++
	}
	c := &conn{m: m, number: m.sent, at: s.now, lossy: s.broken(.01), proxy: s.broken(.02)}
	if c.lossy || c.proxy {
		m.disturbed = true
	}
	s.tell(m, "push %d to node %d", m.sent, n.index)
	s.after(m.cut, func() { c.end(false) })
	if s.broken(.05) { // push 2 before the end of push 1
		s.after(s.between(0, m.cut), func() {
			if !c.over && !m.over {
				c.early, m.disturbed = true, true
				m.push()
			}
		})
	}
	n.receive(c)
	if s.broken(.02) { // a proxy repeats the request; nobody reads the answer
		s.reached.Duplicates++
		m.disturbed = true
		d := time.Duration(0)
		if s.chance(.3) {
			d = s.between(30*time.Second, 90*time.Second) // or somebody who has seen it
		}
		s.plans++
		s.after(d, func() {
			s.plans--
			m.seen.repeated++
			if twin := s.nodes[s.rng.IntN(len(s.nodes))]; twin.up {
				twin.receive(&conn{m: m, number: m.sent, at: s.now, over: true})
			}
		})
	}
}

// done: WeChat pushes it no more.
func (m *message) done() {
	if !m.over {
		m.over = true
		m.s.underway--
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

// end is the end of a connection for WeChat: answered or cut.
func (c *conn) end(answered bool) {
	if c.over {
		return
	}
	c.over = true
	c.m.open--
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
	c.m.open--
	if !c.early {
		c.m.refused()
	}
}

// answer is a 200 on its way to WeChat. It reports whether the server takes it for
// written.
func (c *conn) answer(given store.Outcome, d document) (written bool) {
	m, s := c.m, c.m.s
	if c.over {
		if written = s.broken(.5); written && given != store.GotSuccess {
			m.seen.vain++ // the system takes the bytes, and nobody reads them
		}
		return written
	}
	if c.lossy {
		m.seen.vain++
		return true // WeChat waits on, until its cut
	}
	if c.early {
		c.end(true)
		m.seen.vain++
		return true
	}
	m.got = append(m.got, given)
	m.done()
	switch given {
	case store.GotReply, store.GotFallback:
		m.sees = turntest.Reply
		s.reached.Replies++
	case store.GotPlaceholder:
		m.sees = turntest.Placeholder
		s.reached.Placeholders++
	default:
		m.sees = turntest.Nothing
		s.reached.Late++
	}
	c.end(true)
	if given == store.GotSuccess {
		m.user.waits(m)
	} else {
		m.user.reads(d)
	}
	return true
}

package turn

import (
	"fmt"
	"time"

	"github.com/echostr/echostr/store"
)

// user is somebody who writes to an account, reads what comes, and fetches what is promised.
type user struct {
	s      *sim
	id     int
	policy Policy // of the account
	msgs   []*message
	seen   []view
	last   *link // that he has seen
	acts   int   // how often he still reacts
	gone   bool  // he does not follow the account any more
}

// view is something that a user has read.
type view struct {
	document
	byAPI bool
}

func (u *user) String() string { return fmt.Sprint("user-", u.id) }

// newUser draws a user, and what his account is like.
func (s *sim) newUser() {
	u := &user{s: s, id: len(s.users), acts: 8}
	if s.diligent {
		u.acts = 40
	}
	p := DefaultPolicy()
	switch u.id % 3 {
	case 0:
	case 1:
		p.Hold = true
	case 2:
		p.Hold, p.API = true, false
	}
	p.TicketLife, p.Window = s.ticketLife, s.window
	p.DropUnknown = s.chance(.15)
	u.policy = p
	s.users = append(s.users, u)
}

// reads is called with what reaches the user.
func (u *user) reads(d document) {
	s := u.s
	if s.trace != nil {
		s.tell(d.of, "the user reads %v", d.show)
	}
	for _, p := range d.show {
		if p.m.user != u {
			s.fail(d.of, "I6", "%v reads %v, which is for %v", u, p, p.m.user)
		}
	}
	u.seen = append(u.seen, view{document: d})
	if d.link != nil {
		u.last = d.link
		u.considers(*d.link)
	}
}

// considers decides what becomes of a link.
func (u *user) considers(l link) {
	s := u.s
	if s.diligent {
		u.act(7*time.Second, func() { u.tap(l) })
		return
	}
	delays := []time.Duration{500 * time.Millisecond, 3 * time.Second, 10 * time.Second, 60 * time.Second}
	switch r := s.rng.Float64(); {
	case r < .1: // he has lost interest
	case r < .25:
		u.act(s.between(5*time.Second, 90*time.Second), u.asks)
	case r < .3:
		u.act(s.ticketLife+s.between(-time.Second, 90*time.Second), func() { u.tap(l) })
	case r < .4:
		u.act(s.between(time.Second, 60*time.Second), u.says)
	default:
		delay := s.between(0, delays[s.rng.IntN(len(delays))])
		u.act(delay, func() { u.tap(l) })
		if s.chance(.15) {
			u.act(delay+s.between(0, time.Second), func() { u.tap(l) })
		} else if s.chance(.1) {
			u.act(delay+s.between(10*time.Second, 100*time.Second), func() { u.tap(l) })
		}
	}
}

// waits is called when WeChat is done with a message and the user has read nothing.
func (u *user) waits(m *message) {
	s := u.s
	switch {
	case m.event != "":
	case s.diligent:
		u.act(40*time.Second, u.says)
		u.act(100*time.Second, u.says)
	case s.chance(.15):
		u.act(s.between(time.Second, 60*time.Second), u.says)
	case s.chance(.15):
		u.act(s.between(5*time.Second, 90*time.Second), u.asks)
	}
}

// asks is a short question that is answered at once.
func (u *user) asks() {
	m := u.s.newMessage(u, u.s.now)
	m.event, m.result, m.handler, m.length = "", store.Answered, u.s.between(0, time.Second), 20
}

func (u *user) act(delay time.Duration, do func()) {
	s := u.s
	if u.acts == 0 || s.now+delay > s.end+s.tail-5*time.Minute {
		return
	}
	u.acts--
	s.plans++
	s.after(delay, func() {
		if s.plans--; !u.gone {
			do()
		}
	})
}

// tap is a message that fetches what the link is for.
func (u *user) tap(l link) {
	u.s.reached.Taps++
	m := u.s.newMessage(u, u.s.now)
	m.wants, m.event, m.result, m.pure, m.says = &l, "", store.Answered, false, 0
}

// says is a message with the word that fetches what waits. If nothing does, it is like any other.
func (u *user) says() {
	u.s.reached.Words++
	m := u.s.newMessage(u, u.s.now)
	m.word, m.event, m.pure = true, "", false
}

package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What the users have got, by whatever way.

// noteTime is how long after an answer was taken the bot may be without a durable note of that, where nothing takes its
// time away, and longNoteTime elsewhere.
const (
	noteTime     = time.Second
	longNoteTime = 5 * time.Second
)

// maxSends is how often the API is asked to send the same message that it has taken: once, and once more if
// nobody knows about the first time.
const maxSends = 2

// way is how a user got an answer.
type way int

const (
	byPush  way = iota // of the message that it answers
	byAPI              // WeChat's API
	byFetch            // of a message that asked for it
	byAhead            // of another message, ahead of its own answer
)

// receipt is one time that a user got an answer.
type receipt struct {
	way         way
	at          time.Time
	begun, told time.Time // within which, and noteTime, the bot had to live to know of it
	lost        bool      // the bot was not told
}

// receive collects the receipts of all answers.
func (c *checker) receive() {
	for _, m := range c.e.Messages {
		row := c.row(m.ID)
		for i := range m.Pushes {
			p := &m.Pushes[i]
			if p.Repeat || !p.Acked() || p.Problem != "" {
				continue
			}
			for _, a := range parseAnswers(p.Reply) {
				got := receipt{way: byAhead, at: p.End(), begun: p.Start, told: p.End()}
				switch {
				case a.ID == m.ID:
					got.way = byPush
				case row != nil && row.Fetches != "":
					got.way = byFetch
				}
				c.receipts[a.ID] = append(c.receipts[a.ID], got)
			}
		}
	}
	for i := range c.e.Rows {
		if r := &c.e.Rows[i]; r.Again && c.keys[r.Fetches] != nil {
			of := c.keys[r.Fetches].ID
			c.again[of] = append(c.again[of], r.Received)
		}
	}
	for i := range c.e.APICalls {
		call := &c.e.APICalls[i]
		if !call.Sent {
			continue
		}
		for _, a := range parseAnswers(call.Text) {
			got := receipt{way: byAPI, at: call.At, begun: call.Begun, told: call.At, lost: call.Lost}
			if call.Answered.After(got.told) {
				got.told = call.Answered
			}
			c.receipts[a.ID] = append(c.receipts[a.ID], got)
		}
	}
}

// mine holds I6 for what a user got: all answers in it are his.
func (c *checker) mine(account, user, text string, m *Message) {
	for _, a := range parseAnswers(text) {
		switch asked := c.known[a.ID]; {
		case asked == nil:
			c.bad("I6", m, "%s got an answer to the message %q, which nobody sent", user, a.ID)
		case asked.User != user || asked.Account != account:
			c.bad("I6", asked, "%s of %s got the answer to a question of %s to %s", user, account, asked.User, asked.Account)
		}
	}
}

// deliveries holds I5: an answer comes once, once more for each time that nobody knew whether it had, and once more
// for each time that the user has asked for what he had been given before. When WeChat pushes again what was
// answered, that is its doing.
func (c *checker) deliveries(m *Message) {
	unread := 0
	for i := range m.Pushes {
		switch p := &m.Pushes[i]; {
		case p.Repeat:
			c.counts.Repeats++
		case p.Failure == failureReset || p.Failure == failureCut:
			unread++
		}
	}
	got := c.receipts[m.ID]
	slices.SortStableFunc(got, func(a, b receipt) int { return a.at.Compare(b.at) })
	ambiguous, twice := 0, 0
	var blamed []int // deaths, and times without the store: each explains one
	for i := range got {
		asked := 0
		for _, at := range c.again[m.ID] {
			if at.Before(got[i].at) {
				asked++
			}
		}
		if i > asked {
			twice++
		}
		if i > asked+ambiguous {
			c.bad("I5", m, "got %d times, and nothing explains more than %d", len(got), asked+ambiguous+1)
			break
		}
		death := c.deathOf(&got[i], blamed)
		if death >= 0 {
			blamed = append(blamed, death)
		}
		if got[i].lost || death >= 0 {
			if ambiguous++; got[i].way == byAPI {
				unread++
			}
		}
	}
	if twice > 0 {
		c.counts.Double++
	}
	if unread > 0 {
		c.counts.Ambiguous++
	}
}

// deathOf finds a death by which the bot cannot know that the user has got it, or a time without the store, in which it
// can tell nobody, other than those; -1 if there is none.
func (c *checker) deathOf(r *receipt, but []int) int {
	until := r.told.Add(noteTime)
	if !c.e.Timely {
		until = r.told.Add(longNoteTime)
	}
	for i := range c.e.Lives {
		l := &c.e.Lives[i]
		if !l.Ended.IsZero() && (!l.Clean || l.Hurried) && l.Started.Before(r.told) && l.Ended.After(r.begun) && l.Ended.Before(until) && !slices.Contains(but, i) {
			return i
		}
	}
	for i := range c.e.Cuts {
		if cut, n := &c.e.Cuts[i], len(c.e.Lives)+i; cut.From.Before(until) && cut.To.After(r.begun) && !slices.Contains(but, n) {
			return n
		}
	}
	return -1
}

// reached holds the part of I1 and I2 that is about the user: an answer that was stored has come to him, or the
// store says what has become of it.
func (c *checker) reached(m *Message, row *Row, name string) {
	if row.State != "answered" || row.Fetches != "" {
		return
	}
	if got := c.receipts[m.ID]; len(got) > 0 {
		first := slices.MinFunc(got, func(a, b receipt) int { return a.at.Compare(b.at) })
		switch first.way {
		case byPush:
			c.counts.ByPush++
		case byAPI:
			c.counts.ByAPI++
		case byFetch:
			c.counts.ByFetch++
		case byAhead:
			c.counts.ByAhead++
		}
		return
	}
	if why := c.unread(m, row, 0); why != "" {
		c.counts.Lost++
		c.bad(name, m, "the user has not got the answer, %s", why)
	}
}

// unread says why an answer that a row has, and that nobody got, should have been got.
func (c *checker) unread(m *Message, row *Row, depth int) string {
	switch row.Delivery {
	case "ticket":
		c.counts.Kept++
	case "assumed":
		// Nobody knows, and that was noted.
		c.counts.Assumed++
	case "undeliverable":
		if row.Reason == "" {
			return "and the store does not say why"
		}
		c.counts.GivenUp++
	case "written":
		carrier := c.known[row.ID]
		if carrier == nil || !slices.ContainsFunc(carrier.Pushes, func(p Push) bool { return p.Failure == failureReset || p.Failure == failureCut }) {
			return "and the store says that a push has brought it"
		}
		c.counts.Assumed++ // all was written, and WeChat hung up before it had read that
	case "fetched":
		carrier := c.keys[row.TakenBy]
		switch {
		case carrier == nil:
			return "and the store says that a message has brought it which is not there"
		case carrier.State != "answered":
			return fmt.Sprintf("and the message that was to bring it, %s, is %s", carrier.ID, carrier.State)
		case depth > 8:
			return "and the messages that were to bring it wait for each other"
		}
		if _, ok := answerTo(m.ID, carrier.Reply); !ok {
			return fmt.Sprintf("and the message that was to bring it, %s, has none of it", carrier.ID)
		}
		return c.unread(m, carrier, depth+1)
	default:
		return "and the store says that it is " + row.Delivery
	}
	return ""
}

// api holds I10, and what I5 and I6 say about single calls.
func (c *checker) api() {
	sent := make(map[string]int) // by the text
	parts := make(map[string]int)
	for i := range c.e.APICalls {
		call := &c.e.APICalls[i]
		c.counts.APICalls++
		answers := parseAnswers(call.Text)
		var m *Message // whose turn it is: its own answer comes last
		if len(answers) > 0 {
			m = c.known[answers[len(answers)-1].ID]
		}
		c.mine(call.Account, call.User, call.Text, m)
		if m == nil {
			continue
		}
		if len(m.Pushes) > 0 && call.At.Sub(m.Pushes[0].Start) > apiWindow {
			c.bad("I10", m, "a call of WeChat's API %v after the message", call.At.Sub(m.Pushes[0].Start))
		}
		if !call.Sent {
			continue
		}
		if parts[m.ID]++; parts[m.ID] == quota(m)+1 {
			c.bad("I10", m, "WeChat's API was to send more than %d messages for it", quota(m))
		}
		if sent[call.Text]++; sent[call.Text] == maxSends+1 {
			c.bad("I5", m, "WeChat's API was asked to send %q more than %d times", call.Text, maxSends)
		}
	}
}

// quota is how many messages WeChat takes for one of a user: R-API-WINDOW.
func quota(m *Message) int {
	if strings.HasPrefix(m.ID, "CLICK/") {
		return 3
	}
	return 5
}

// ways are the calls of the API about a message, and what its user has got, for people.
func (c *checker) ways(m *Message) string {
	var list []APICall
	for _, call := range c.e.APICalls {
		if _, ok := answerTo(m.ID, call.Text); ok {
			list = append(list, call)
		}
	}
	slices.SortFunc(list, func(a, b APICall) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	var b strings.Builder
	for _, call := range list {
		fmt.Fprintf(&b, " call: [%s sent %v lost %v]", call.At.Format("05.000"), call.Sent, call.Lost)
	}
	for _, r := range c.receipts[m.ID] {
		fmt.Fprintf(&b, " got: [%s %s]", r.at.Format("05.000"), [...]string{"by a push", "by the API", "by fetching it", "ahead of another"}[r.way])
	}
	for _, at := range c.again[m.ID] {
		fmt.Fprintf(&b, " asked again: [%s]", at.Format("05.000"))
	}
	return b.String()
}

package turn

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/echostr/echostr/internal/turn/turntest"
	"github.com/echostr/echostr/store"
)

// The oracle at the end of a world: what has reached the users.

// checkArrival holds a reply to it that all of it has reached the user, or that the store says where it is.
func (s *sim) checkArrival(m *message, row *store.Turn) {
	if row.Version == 0 || row.State != store.Answered && !(row.State == store.Failed && m.policy.Fallback) {
		return
	}
	w := &m.seen
	t := s.textOf(row)
	arrived := true
	waits := m.jumped() && row.Due.After(s.wall()) // until the time of a wrong clock has come
	switch own := s.arrived(m, t); row.Delivery {
	case store.Undelivered:
		arrived = row.State == store.Failed // a fallback that no push has asked for
	case store.Offered, store.Written:
		if row.Way.Pages > 1 {
			t = t.cut(row.Way.Told, row.Way.Told+pageSize)
			own = s.arrived(m, t)
		}
		// What the server takes for written is its last word, whether or not the mark of that was saved.
		// A page behind the first is fetched, too, from a reply that was taken as delivered.
		arrived = own || w.vain > 0 || row.Delivery == store.Offered && waits || row.Delivery == store.Written && row.Way.Pages > 1 && w.declared > 0
	case store.Sent:
		arrived = own || w.declared > 0 || w.drafted > 0 && w.vain > 0
	case store.Ticket:
		arrived = s.arrived(m, t.cut(0, row.Way.Told)) || w.declared > 0 || w.vain > 0
	case store.Fetched:
		arrived = waits || s.carried(m, t.cut(row.Way.Told, t.size()))
	case store.Assumed:
		arrived = w.declared > 0
	case store.Undeliverable:
	default:
		s.fail(m, "I2", "the reply is left as %s", rowText(row))
	}
	if !arrived && len(s.violations) == 0 {
		s.fail(m, "I1", "the reply is lost: %v has read %v, and the store has %s", m.user, s.views(m), rowText(row))
	}
	// With a clock that is a day ahead the end of the pages may be seen before the mark that the first was written.
	if w.declared > 0 && w.unknown == 0 && !m.disturbed && !(row.Way.Pages > 1 && m.jumped()) {
		s.fail(m, "I5", "it is called ambiguous, and nothing was: %s", rowText(row))
	}
	n, again, ambiguous := s.readings(m)
	if n > 1+again {
		s.reached.Doubles++
	}
	if n > 1+again+ambiguous && len(s.violations) == 0 {
		s.fail(m, "I5", "a part of the reply is read %d times, but %d more were asked for, and %d are ambiguous: %v", n, again, ambiguous, s.views(m))
	}
}

// spots marks, for each byte of the reply to m up to size, how often one of the documents shows it.
func (m *message) spots(size int, documents func(yield func(text) bool)) []int {
	spots := make([]int, size)
	for t := range documents {
		for _, p := range t {
			for i := p.from; p.m == m && i < min(p.to, size); i++ {
				spots[i]++
			}
		}
	}
	return spots
}

// arrived reports whether the user has read all of t in what came from m's turn.
func (s *sim) arrived(m *message, t text) bool {
	for _, p := range t {
		spots := p.m.spots(p.to, func(yield func(text) bool) {
			for i := range m.user.seen {
				if v := &m.user.seen[i]; v.of == m && (!v.preview || m.seen.drafted > 0) && !yield(v.show) {
					return
				}
			}
		})
		if slices.Contains(spots[p.from:], 0) {
			return false
		}
	}
	return true
}

// carried reports whether all of t is in the replies of other turns of the user, or the user may fetch it again.
func (s *sim) carried(m *message, t text) bool {
	for _, other := range m.user.msgs {
		row := &s.disk.rows[other.id]
		if failed := row.Way.Fetch.Of == s.disk.rows[m.id].Key && row.State != store.Answered; row.State == store.Erased || failed && pagesIn(t.size()) > 1 {
			return true
		}
	}
	for _, p := range t {
		spots := p.m.spots(p.to, func(yield func(text) bool) {
			for _, other := range m.user.msgs {
				if row := &s.disk.rows[other.id]; other != m && row.State == store.Answered && !yield(s.textOf(row)) {
					return
				}
			}
			for i := range m.user.seen {
				if v := &m.user.seen[i]; v.of == m && !v.preview && !yield(v.show) {
					return
				}
			}
		})
		if slices.Contains(spots[p.from:], 0) {
			return false
		}
	}
	return true
}

// readings returns how often the user has read one byte of the reply to m at most, how often he has asked for it
// again, and how often it was called ambiguous whether he has it.
func (s *sim) readings(m *message) (most, again, ambiguous int) {
	views := 0
	spots := m.spots(m.length, func(yield func(text) bool) {
		for i := range m.user.seen {
			v := &m.user.seen[i]
			if v.preview && m.seen.drafted == 0 || !slices.ContainsFunc(v.show, func(p span) bool { return p.m == m }) {
				continue
			}
			if views++; !yield(v.show) {
				return
			}
		}
	})
	if views < 2 {
		return views, 0, 0
	}
	for _, other := range m.user.msgs {
		if w := &other.seen; other == m || slices.ContainsFunc(s.textOf(&s.disk.rows[other.id]), func(p span) bool { return p.m == m }) {
			again += w.again
			ambiguous += w.declared + w.operated + w.repeated
		}
	}
	return slices.Max(spots), again, ambiguous
}

// views is what the user has read of m and of what came from its turn.
func (s *sim) views(m *message) (list []string) {
	for i := range m.user.seen {
		v := &m.user.seen[i]
		if v.of == m || slices.ContainsFunc(v.show, func(p span) bool { return p.m == m }) {
			list = append(list, fmt.Sprintf("message %d preview %v api %v: %v", v.of.id, v.preview, v.byAPI, v.show))
		}
	}
	return list
}

// expect compares what nothing has disturbed with what was computed without the code
// of the server.
func (s *sim) expect(m *message, starts int) {
	row := &s.disk.rows[m.id]
	wantStarts := 1
	if m.result == store.Unparseable {
		wantStarts = 0
	}
	if starts != wantStarts {
		s.fail(m, "I3", "%d starts of an undisturbed message", starts)
	}
	if row.Way.Fetch.Page > 0 {
		return // what it comes to depends on another message
	}
	_, quota := m.policy.Allowance(row)
	c := turntest.Case{
		Handler: min(m.handler, m.limit), API: m.policy.API, Hold: m.policy.Hold, Pushes: m.pushes, Lost: m.lost, Cut: m.cut,
		Asked: m.event != "VIEW", Drafts: m.drafts, Parts: pagesIn(m.length), Quota: quota - m.seen.said,
		Offset: epochStart.Add(m.at).Sub(time.Unix(m.create, 0)),
	}
	if m.result != store.Answered || m.handler > m.limit {
		c.Parts = 1
	}
	if c.Parts > 1 { // a long text takes no more than three, with what was said before
		c.Quota = min(c.Quota, max(3-m.seen.said, 1))
	}
	if m.wait {
		c.LostTakes = m.cut
	}
	if m.result == store.Unparseable {
		c.Handler = 0
	}
	sees, pushes := c.Expect()
	failed := m.result == store.Failed || m.handler > m.limit
	if silent := m.result == store.Silent || m.result == store.Unparseable || failed && !m.policy.Fallback; silent && sees == turntest.Reply {
		sees = turntest.Nothing
	}
	if sees == turntest.Placeholder && m.policy.API && m.sees == turntest.Nothing && len(s.nodes) > 1 {
		sees = m.sees // another node has the draft
	}
	if sees != m.sees || pushes != m.sent {
		s.fail(m, "EXPECT", "after %d pushes the user sees %v, want %v after %d: %+v", m.sent, m.sees, sees, pushes, c)
		return
	}
	if row.State != store.Answered || s.chaos {
		return
	}
	// Where nothing breaks, the reply takes the way that is right.
	var right bool
	switch way := c.Way(sees); row.Delivery {
	case store.Written:
		right = way == turntest.Push
	case store.Sent:
		right = way == turntest.API
	case store.Ticket, store.Fetched:
		right = way == turntest.Ticket
	case store.Undeliverable:
		switch {
		case strings.HasPrefix(row.Reason, ReasonExpired):
			right = way == turntest.Ticket
		case row.Reason == ReasonUnasked, row.Reason == ReasonQuota:
			right = way == turntest.None
		}
	}
	window, _ := m.policy.Allowance(row)
	if closed := m.policy.API && m.handler+time.Minute > window; !right && !(closed && c.Way(sees) != turntest.Push) {
		s.fail(m, "EXPECT", "the reply takes another way than %v: %+v, %s", c.Way(sees), c, rowText(row))
	}
}

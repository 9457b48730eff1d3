package turn

import (
	"fmt"
	"slices"

	"github.com/echostr/echostr/store"
)

// What users read. Each byte of a reply is known as one of its message's, wherever it is
// shown: on a push, by the API, on a page that was fetched, or ahead of another reply.

// span is a part of the reply to m.
type span struct {
	m        *message
	from, to int
}

func (p span) String() string { return fmt.Sprintf("%d[%d:%d]", p.m.id, p.from, p.to) }

type text []span

func (t text) size() (n int) {
	for _, p := range t {
		n += p.to - p.from
	}
	return n
}

func (t text) cut(from, to int) (part text) {
	for _, p := range t {
		n := p.to - p.from
		if a, b := max(from, 0), min(to, n); a < b {
			part = append(part, span{p.m, p.from + a, p.from + b})
		}
		from, to = from-n, to-n
	}
	return part
}

// has reports whether all of part is in t.
func (t text) has(part text) bool {
	for _, p := range part {
		if !slices.ContainsFunc(t, func(q span) bool { return q.m == p.m && q.from <= p.from && p.to <= q.to }) {
			return false
		}
	}
	return true
}

// Sizes, in bytes: of one message, by any way, and of a fallback text.
const (
	pageSize     = 100
	fallbackSize = 10
)

func pagesIn(size int) int { return max(1, (size+pageSize-1)/pageSize) }

// document is what one message to the user shows.
type document struct {
	of      *message // whose turn it comes from
	show    text
	preview bool  // it shows what was there of the reply before that was finished
	link    *link // by which the user fetches more, or nil
}

type link struct {
	of   *message
	code string
	page int
}

// textOf is the text of a row's reply. What is carried ahead of it stands before it.
func (s *sim) textOf(row *store.Turn) text {
	if row.State == store.Failed {
		return text{{s.msgs[messageOf(row.Key)], 0, fallbackSize}}
	}
	return s.texts[row.Reply]
}

// rest is what the user has not been told of it.
func (s *sim) rest(row *store.Turn) text {
	t := s.textOf(row)
	return t.cut(row.Way.Told, t.size())
}

// page is a page of the rest, from 1, with the link to the next one.
func (s *sim) page(row *store.Turn, number int) document {
	rest := s.rest(row)
	d := document{of: s.msgs[messageOf(row.Key)], show: rest.cut((number-1)*pageSize, number*pageSize)}
	if number < pagesIn(rest.size()) {
		d.link = &link{d.of, row.Code, number + 1}
	}
	return d
}

// part is the next message that the API sends of the rest, and the event that says so.
func (s *sim) part(row *store.Turn) (document, Event) {
	m := s.msgs[messageOf(row.Key)]
	_, quota := m.policy.Allowance(row)
	quota = min(quota, 3) // of a text of several
	rest := s.rest(row)
	left := pagesIn(rest.size())
	d := document{of: m, show: rest.cut(0, pageSize)}
	ev := Event{Kind: Sent, Told: row.Way.Told + d.show.size(), More: left > 1}
	if left > 1 && left > quota-row.Way.Sent && quota-row.Way.Sent <= 1 {
		// The last one tells how to fetch the others.
		ev.More, ev.Pages = false, left-1
		d.link = &link{m, m.code(), 1}
	}
	return d, ev
}

// code is what the reply to m is called, by all processes.
func (m *message) code() string { return fmt.Sprint("K", m.id) }

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/echostr/echostr/store"
)

// model compares random sequences of calls with the simplest thing that keeps
// the contract.
func model(t *testing.T, b Backend) {
	s, other := open(t, b)
	checks := 0
	rapid.Check(t, func(rt *rapid.T) {
		// On a busy machine all checks take longer than a lease.
		if err := s.Renew(context.Background(), owner); err != nil {
			rt.Fatal(err)
		}
		// Each check has an account and keys of its own, since a new database for each
		// would take long.
		checks++
		m := modelled{
			T: rt, account: fmt.Sprint("account ", checks), first: 100 * checks,
			turns: make(map[store.Key]store.Turn), sessions: make(map[string]store.Session),
		}
		for range rapid.IntRange(1, 20).Draw(rt, "calls") {
			m.Store = s
			if rapid.Bool().Draw(rt, "other handle") {
				m.Store = other
			}
			switch rapid.SampledFrom([]string{"claim", "save", "mark", "list", "erase", "expire", "save session", "session", "expire sessions"}).Draw(rt, "call") {
			case "claim":
				m.claim()
			case "save":
				m.save()
			case "mark":
				m.mark()
			case "list":
				m.list()
			case "erase":
				m.erase()
			case "expire":
				m.expire()
			case "save session":
				m.saveSession()
			case "session":
				m.session()
			case "expire sessions":
				m.expireSessions()
			}
		}
	})
}

// modelled is a store and what should be in it.
type modelled struct {
	*rapid.T
	store.Store
	account  string
	first    int // the number of its first row
	turns    map[store.Key]store.Turn
	sessions map[string]store.Session // by user
}

const modelRows = 6

// row draws a row.
func (m *modelled) row() store.Turn {
	n := rapid.IntRange(0, modelRows-1).Draw(m.T, "row")
	row := sample(m.first + n)
	row.Account = m.account
	row.Reason = rapid.StringN(0, 3, 9).Draw(m.T, "reason")
	switch rapid.IntRange(0, 3).Draw(m.T, "kind") {
	case 1:
		row = finished(row)
	case 2:
		row = late(row, n)
		row.Due = m.due()
		row.Code = rapid.StringN(0, 2, 6).Draw(m.T, "code")
		row.Placeholder = rapid.StringN(0, 2, 6).Draw(m.T, "placeholder")
		if rapid.Bool().Draw(m.T, "no way") {
			row.Way = store.Way{}
		}
	case 3:
		row.Due = m.due() // and running
	}
	return row
}

func (m *modelled) due() time.Time {
	n := rapid.IntRange(0, 4).Draw(m.T, "due")
	if n == 0 {
		return time.Time{}
	}
	return base.Add(time.Duration(n) * time.Minute)
}

func (m *modelled) rows() (rows []store.Turn) {
	for range rapid.IntRange(1, 4).Draw(m.T, "batch") {
		rows = append(rows, m.row())
	}
	return rows
}

// moment draws a time before, between or after the rows.
func (m *modelled) moment(what string) time.Time {
	return base.Add(time.Duration(m.first+rapid.IntRange(0, modelRows).Draw(m.T, what)) * time.Second)
}

func (m *modelled) claim() {
	rows := m.rows()
	for i, r := range claim(m.T, m.Store, rows...) {
		there, ok := m.turns[rows[i].Key]
		if !ok {
			there = rows[i]
			there.Version = 1
			m.turns[there.Key] = there
		}
		if r.OK == ok || r.Err != nil {
			m.Fatalf("Claim: OK %v, %v; the key was there: %v", r.OK, r.Err, ok)
		}
		same(m.T, "Claim", r.Turn, there)
	}
}

func (m *modelled) save() {
	ops := opsOf(m.rows()...)
	for i := range ops {
		t := &ops[i].Turn
		there, ok := m.turns[t.Key]
		if ok {
			t.Received(&there) // as it was read
		}
		t.Version = there.Version - int64(rapid.IntRange(0, 1).Draw(m.T, "stale"))
	}
	m.write(ops)
}

func (m *modelled) mark() {
	var ops []store.Op
	for _, row := range m.rows() {
		t, ok := m.turns[row.Key]
		if !ok {
			t = row
		}
		t.Seen++
		t.Pushes = append(t.Pushes[:1:1], store.Push{Number: t.Seen, At: base, Got: store.GotReply})
		t.Delivery, t.OfferedTo, t.Due = row.Delivery, row.OfferedTo, row.Due
		t.Version -= int64(rapid.IntRange(0, 1).Draw(m.T, "stale"))
		ops = append(ops, store.Op{Turn: t, Mark: true, OK: true, Err: errors.New("left over")})
	}
	m.write(ops)
}

// write saves and compares.
func (m *modelled) write(ops []store.Op) {
	asked := slices.Clone(ops)
	if err := m.Save(context.Background(), ops); err != nil {
		m.Fatalf("Save: %v", err)
	}
	for i, r := range ops {
		next := asked[i].Turn
		there, ok := m.turns[next.Key]
		match := ok && there.Version == next.Version && (there.State != store.Erased || next.State == store.Erased)
		if match {
			next.Version++
			there = next
			m.turns[there.Key] = there
		}
		if r.OK != match || errors.Is(r.Err, store.ErrNotFound) == ok {
			m.Fatalf("Save: OK %v, %v; there %v, version matched %v", r.OK, r.Err, ok, match)
		}
		if ok {
			same(m.T, "Save", r.Turn, there)
		}
	}
}

func (m *modelled) list() {
	f := store.Filter{Account: m.account, Due: rapid.Bool().Draw(m.T, "filter due")}
	if rapid.Bool().Draw(m.T, "filter time") {
		f.DueFrom, f.DueBefore = m.due(), m.due()
	}
	if rapid.Bool().Draw(m.T, "filter user") {
		f.OpenID = sample(rapid.IntRange(0, 2).Draw(m.T, "user")).OpenID
	}
	if rapid.Bool().Draw(m.T, "filter state") {
		f.States = []store.State{rapid.SampledFrom([]store.State{store.Running, store.Answered, store.Erased}).Draw(m.T, "state")}
	}
	if rapid.Bool().Draw(m.T, "filter delivery") {
		f.Deliveries = []store.Delivery{rapid.SampledFrom([]store.Delivery{store.Undelivered, store.Offered, store.Late}).Draw(m.T, "delivery")}
	}
	if rapid.Bool().Draw(m.T, "limited") {
		f.Limit = rapid.IntRange(1, 3).Draw(m.T, "limit")
	}
	var want []store.Turn
	for _, row := range m.turns {
		if f.Match(&row) {
			want = append(want, row)
		}
	}
	byDue := func(a, b store.Turn) int { return a.Due.Compare(b.Due) }
	youngest := func(a, b store.Turn) int { return b.ReceivedAt.Compare(a.ReceivedAt) }
	if slices.SortFunc(want, youngest); f.ByDue() {
		f.Limit = 0 // of those due at one moment nobody knows here which was accepted first
		slices.SortStableFunc(want, byDue)
	}
	if f.Limit > 0 {
		want = want[:min(f.Limit, len(want))]
	}
	got, err := m.List(context.Background(), f)
	if err != nil || len(got) != len(want) {
		m.Fatalf("List of %+v: %d rows, %v; want %d", f, len(got), err, len(want))
	}
	if f.ByDue() {
		if !slices.IsSortedFunc(got, byDue) {
			m.Fatalf("List of %+v: not in the order in which they are due", f)
		}
		slices.SortFunc(got, youngest)
		slices.SortStableFunc(got, byDue)
	}
	for i, row := range got {
		same(m.T, "List", row, want[i])
	}
}

func (m *modelled) erase() {
	user := sample(rapid.IntRange(0, 2).Draw(m.T, "user")).OpenID
	n, err := m.Erase(context.Background(), m.account, user, store.Key{})
	wanted := 0
	for k, row := range m.turns {
		if row.OpenID == user {
			row.Erase()
			row.Version++
			m.turns[k] = row
			wanted++
		}
	}
	if n != wanted || err != nil {
		m.Fatalf("Erase: %d, %v; want %d", n, err, wanted)
	}
	delete(m.sessions, user)
}

// expire may remove rows of other checks, too.
func (m *modelled) expire() {
	bodies, rows := m.moment("bodies"), m.moment("rows")
	n, err := m.Expire(context.Background(), bodies, rows)
	wanted := 0
	for k, row := range m.turns {
		switch {
		case !row.State.Finished() || !row.Due.Before(bodies):
		case row.ReceivedAt.Before(rows):
			delete(m.turns, k)
			wanted++
		case row.ReceivedAt.Before(bodies):
			bare := row
			if bare.Expire(); bare.OpenID+bare.Body+bare.Reply+bare.Reason+bare.Placeholder == row.OpenID+row.Body+row.Reply+row.Reason+row.Placeholder {
				continue
			}
			bare.Version++
			m.turns[k] = bare
		}
	}
	if n < wanted || err != nil {
		m.Fatalf("Expire: %d, %v; want %d or more", n, err, wanted)
	}
}

func (m *modelled) saveSession() {
	user := sample(rapid.IntRange(0, 2).Draw(m.T, "user")).OpenID
	n := session(m.account, user)
	there := m.sessions[user]
	n.Version = max(0, there.Version-int64(rapid.IntRange(0, 1).Draw(m.T, "stale")))
	n.Data = rapid.StringN(0, 3, 9).Draw(m.T, "data")
	n.Expires = base.Add(time.Duration(rapid.IntRange(1, 5).Draw(m.T, "expires")) * time.Minute)
	match := n.Version == there.Version
	if ok, err := m.SaveSession(context.Background(), &n); ok != match || err != nil {
		m.Fatalf("SaveSession of version %d, and %d is there: %v, %v", n.Version, there.Version, ok, err)
	}
	if match {
		m.sessions[user] = n
	}
}

func (m *modelled) session() {
	user := sample(rapid.IntRange(0, 2).Draw(m.T, "user")).OpenID
	if want, ok := m.sessions[user]; ok {
		remembered(m.T, "Session", m.Store, want)
	} else {
		forgotten(m.T, "Session", m.Store, m.account, user)
	}
}

// expireSessions may remove those of other checks, too.
func (m *modelled) expireSessions() {
	now := base.Add(time.Duration(rapid.IntRange(0, 5).Draw(m.T, "now")) * time.Minute)
	n, err := m.ExpireSessions(context.Background(), now)
	wanted := 0
	for user, there := range m.sessions {
		if !there.Expires.After(now) {
			delete(m.sessions, user)
			wanted++
		}
	}
	if n < wanted || err != nil {
		m.Fatalf("ExpireSessions: %d, %v; want %d or more", n, err, wanted)
	}
}

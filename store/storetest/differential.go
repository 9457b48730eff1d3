package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
)

// Differential makes the same random calls to several empty stores, and requires that all of them give the same results, to the
// last field. The first one is what the others are compared with.
func Differential(t *testing.T, seed uint64, calls int, names []string, stores []store.Store) {
	rng := rand.New(rand.NewPCG(seed, 19))
	ctx := context.Background()
	known := make(map[store.Key]store.Turn) // as the stores had it last
	// The versions of the sessions of each store, which are its own.
	sessions := make(map[store.Store]map[string]int64)
	for _, s := range stores {
		sessions[s] = make(map[string]int64)
	}
	nodes := []store.Node{{ID: "never joined", Epoch: 1}}
	moment := func() time.Time { return base.Add(time.Duration(rng.IntN(40)) * time.Second) }
	due := func() time.Time {
		if rng.IntN(3) == 0 {
			return time.Time{}
		}
		return base.Add(time.Duration(rng.IntN(5)) * time.Minute)
	}
	maybe := func(set func()) {
		if rng.IntN(3) == 0 {
			set()
		}
	}
	row := func() store.Turn {
		n := rng.IntN(40)
		row := sample(n)
		row.Account = []string{"demo", "other"}[n%2]
		row.Owner = nodes[rng.IntN(len(nodes))]
		switch rng.IntN(4) {
		case 0:
			row = finished(row)
		case 1:
			row = late(row, n)
			row.Due, row.Delivery = due(), []store.Delivery{store.Late, store.Ticket, store.Sent, store.Offered}[rng.IntN(4)]
		case 2:
			row.Due = due()
		}
		row.Reason = []string{"", "\x00", "为什么"}[rng.IntN(3)]
		return row
	}
	ops := func(of func() store.Op) (list []store.Op) {
		for range 1 + rng.IntN(4) {
			list = append(list, of())
		}
		return list
	}
	// again is a row that the stores know, as it is or was, if there is one.
	again := func() store.Turn {
		next := row()
		if there, ok := known[next.Key]; ok {
			next.Received(&there)
			next.Version = there.Version - int64(rng.IntN(2))
		}
		return next
	}
	write := func(what string, list []store.Op, do func(store.Store, []store.Op) error) (string, func(store.Store) any) {
		return what, func(s store.Store) any {
			mine := slices.Clone(list)
			for i := range mine {
				mine[i].Turn.Pushes = slices.Clone(mine[i].Turn.Pushes)
			}
			results := []any{sentinel(do(s, mine))}
			for _, op := range mine {
				if op.Err == nil {
					known[op.Turn.Key] = op.Turn
				}
				results = append(results, op.OK, sentinel(op.Err), op.Turn)
			}
			return results
		}
	}
	// call makes up a call, which can then be made to each store.
	call := func() (what string, do func(store.Store) any) {
		switch k := rng.IntN(16); k {
		case 0, 1, 2:
			return write("Claim", ops(func() store.Op { return store.Op{Turn: row()} }), func(s store.Store, l []store.Op) error { return s.Claim(ctx, l) })
		case 3, 4, 5:
			return write("Save", ops(func() store.Op { return store.Op{Turn: again()} }), func(s store.Store, l []store.Op) error { return s.Save(ctx, l) })
		case 6:
			return write("Mark", ops(func() store.Op {
				next := again()
				if there, ok := known[next.Key]; ok {
					there.Version = next.Version
					there.Delivery, there.Due, there.Seen = next.Delivery, next.Due, there.Seen+1
					next = there
				}
				return store.Op{Turn: next, Mark: true}
			}), func(s store.Store, l []store.Op) error { return s.Save(ctx, l) })
		case 7:
			k := key(rng.IntN(45))
			return "Get", func(s store.Store) any {
				row, err := s.Get(ctx, k)
				return []any{row, sentinel(err)}
			}
		case 8, 9:
			f := store.Filter{Due: rng.IntN(4) == 0}
			maybe(func() { f.Account = "demo" })
			maybe(func() { f.OpenID = sample(rng.IntN(3)).OpenID })
			maybe(func() { f.States = []store.State{store.Running, store.Erased} })
			maybe(func() { f.Deliveries = []store.Delivery{store.Offered, store.Late} })
			maybe(func() { f.Since, f.Until = moment(), moment() })
			maybe(func() { f.Owner = nodes[rng.IntN(len(nodes))] })
			if maybe(func() { f.DueFrom, f.DueBefore = due(), due() }); !f.ByDue() {
				maybe(func() { f.Limit = 1 + rng.IntN(5) })
			}
			return fmt.Sprintf("List of %+v", f), func(s store.Store) any {
				list, err := s.List(ctx, f)
				if f.ByDue() { // and of those due at one moment any may come first
					if !slices.IsSortedFunc(list, func(a, b store.Turn) int { return a.Due.Compare(b.Due) }) {
						return "not in the order in which they are due"
					}
					slices.SortFunc(list, func(a, b store.Turn) int { return b.ReceivedAt.Compare(a.ReceivedAt) })
				}
				return []any{append([]store.Turn{}, list...), sentinel(err)}
			}
		case 10:
			account, user, until := []string{"", "demo", "other"}[rng.IntN(3)], sample(rng.IntN(3)).OpenID, store.Key{}
			maybe(func() { user = "" })
			maybe(func() { until = key(rng.IntN(45)) })
			return "Erase", func(s store.Store) any {
				n, err := s.Erase(ctx, account, user, until)
				return []any{n, sentinel(err)}
			}
		case 11:
			bodies, rows := moment(), moment()
			return "Expire", func(s store.Store) any {
				n, err := s.Expire(ctx, bodies, rows)
				return []any{n, sentinel(err)}
			}
		case 12:
			user := sample(rng.IntN(3)).OpenID
			n := session("demo", user)
			back := int64(rng.IntN(2))
			n.Data = fmt.Sprintf("\x00\xff%d", rng.IntN(9))
			n.Expires = base.Add(time.Duration(rng.IntN(5)) * time.Minute)
			return "SaveSession", func(s store.Store) any {
				mine := n
				mine.Version = max(0, sessions[s][user]-back)
				before := mine.Version
				ok, err := s.SaveSession(ctx, &mine)
				sessions[s][user] = mine.Version
				return []any{ok, ok && mine.Version > before, sentinel(err)}
			}
		case 13:
			user, now := sample(rng.IntN(3)).OpenID, base.Add(time.Duration(rng.IntN(5))*time.Minute)
			return "ExpireSessions", func(s store.Store) any {
				n, err := s.ExpireSessions(ctx, now)
				there, err2 := s.Session(ctx, "demo", user)
				return []any{n, sentinel(err), there.Data, there.Expires, sentinel(err2)}
			}
		case 14:
			id := []string{"one", "two"}[rng.IntN(2)]
			return "Join", func(s store.Store) any {
				n, err := s.Join(ctx, id)
				if !slices.Contains(nodes, n) {
					nodes = append(nodes, n)
				}
				return []any{n, sentinel(err)}
			}
		default:
			n, leave := nodes[rng.IntN(len(nodes))], rng.IntN(4) == 0
			return fmt.Sprintf("Renew of %v, left %v", n, leave), func(s store.Store) any {
				err := s.Renew(ctx, n)
				if leave {
					err = errors.Join(err, s.Leave(ctx, n))
				}
				alive, err2 := s.Alive(ctx, n)
				owners, err3 := s.Owners(ctx)
				slices.SortFunc(owners, func(a, b store.Node) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
				return []any{sentinel(err), alive, sentinel(err2), append([]store.Node{}, owners...), sentinel(err3)}
			}
		}
	}
	met := make(map[string]int)
	for n := range calls {
		what, do := call()
		first := do(stores[0])
		for i, s := range stores[1:] {
			if diff := cmp.Diff(first, do(s)); diff != "" {
				t.Fatalf("seed %d, call %d, %s: %s (-) and %s (+) differ:\n%s", seed, n, what, names[0], names[i+1], diff)
			}
		}
		name, _, _ := strings.Cut(what, " of")
		met[name]++
	}
	if len(known) < 20 || len(met) < 11 {
		t.Errorf("%d rows and %v: the calls are too few", len(known), slices.Sorted(maps.Keys(met)))
	}
}

// sentinel is the name of an error that callers decide by.
func sentinel(err error) string {
	for _, e := range []error{store.ErrNotFound, store.ErrFull, store.ErrUnavailable, store.ErrFenced, store.ErrBroken, store.ErrClosed} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	if err != nil {
		return "another error"
	}
	return ""
}

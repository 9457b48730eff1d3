package postgres_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
)

// save saves one row, and reports whether it was written.
func save(t *testing.T, s *postgres.Store, row store.Turn) (store.Turn, bool) {
	t.Helper()
	ops := []store.Op{{Turn: row}}
	if err := s.Save(t.Context(), ops); err != nil || ops[0].Err != nil {
		t.Fatalf("Save: %v, %v", err, ops[0].Err)
	}
	return ops[0].Turn, ops[0].OK
}

func claim(t *testing.T, s *postgres.Store, rows ...store.Turn) []store.Turn {
	t.Helper()
	ops := make([]store.Op, len(rows))
	for i := range rows {
		ops[i].Turn = rows[i]
	}
	if err := s.Claim(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	for i := range ops {
		if !ops[i].OK {
			t.Fatalf("row %d was not claimed: %v", i, ops[i].Err)
		}
		rows[i] = ops[i].Turn
	}
	return rows
}

// answer is a turn of a user that has an answer for the outbox.
func answer(n int, user string, owner store.Node) store.Turn {
	row := sample(int64(n), time.Now(), owner)
	row.OpenID, row.State, row.Reply, row.Delivery, row.Due = user, store.Answered, "reply", store.Late, row.ReceivedAt
	return row
}

// send marks that a node is sending a row.
func send(row store.Turn, owner store.Node) store.Turn {
	row.Delivery, row.Owner, row.Due = store.Sending, owner, row.ReceivedAt.Add(time.Minute)
	return row
}

func sent(row store.Turn) store.Turn {
	row.Delivery, row.Due = store.Sent, time.Time{}
	return row
}

// A user is being sent to by one node at a time, whatever the timing, and in groups.
func TestOneNodeSendsToAUserRace(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	var stores [3]*postgres.Store
	var nodes [3]store.Node
	for i := range stores {
		stores[i] = open(t, postgres.Config{DSN: dsn})
		nodes[i] = join(t, stores[i], fmt.Sprint("node-", i))
	}
	const users, each = 3, 4
	var sending [users]atomic.Int64 // the node that is sending to the user, and in the low bits how many messages
	var wg sync.WaitGroup
	for n := range users * each * len(stores) {
		user := n % users
		row := claim(t, stores[0], answer(n, fmt.Sprint("o-", user), nodes[0]))[0]
		wg.Go(func() {
			i := n / users % len(stores)
			for {
				there, ok := save(t, stores[i], send(row, nodes[i]))
				if !ok {
					continue
				}
				if now := sending[user].Add(int64(i)<<32 + 1); now>>32 != int64(i)*(now&0xffffffff) {
					t.Errorf("two nodes send to user %d", user)
				}
				time.Sleep(rand.N(2 * time.Millisecond)) // the message is on its way
				sending[user].Add(-(int64(i)<<32 + 1))
				if _, ok := save(t, stores[i], sent(there)); !ok {
					t.Error("the end of a message was refused")
				}
				return
			}
		})
	}
	wg.Wait()
}

// What the database cannot take, it cannot take at any time; others may go on.
func TestBadRow(t *testing.T) {
	t.Parallel()
	s := open(t, postgres.Config{})
	owner := join(t, s, "node")
	long := make([]byte, 20_000) // than an index takes, and does not get shorter
	for i := range long {
		long[i] = byte(rand.Int())
	}
	bad := answer(1, string(long), owner)
	if err := s.Claim(t.Context(), []store.Op{{Turn: bad}}); !errors.Is(err, store.ErrUnavailable) || !postgres.IsBadData(err) {
		t.Errorf("a row that is too long for an index: %v", err)
	}
	claim(t, s, answer(2, "o-user", owner))
}

// Plans are made when the table may be empty, and used when it is not.
func TestPlans(t *testing.T) {
	t.Parallel()
	plans, err := open(t, postgres.Config{}).Plans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	uses := map[string]string{
		"save": "Index Scan using turn_pkey|Tid Scan on turn", "mark": "Index Scan using turn_pkey|Tid Scan on turn",
		"get": "turn_pkey", "erase": "turn_pkey", "list": "Scan Backward using turn_received", "list since": "turn_received", "list offered": "turn_received", "expire": "turn_received",
		"list due": "turn_due", "list due user": "turn_due_user", "list running": "turn_running", "owners": "turn_running",
		"list user": "turn_user", "theirs": "turn_user", "claim": "node_pkey",
	}
	for name, plan := range plans {
		t.Log(name + "\n" + plan)
		if strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s reads a whole table", name)
		}
		for want := range strings.SplitSeq(uses[name], "|") {
			if want == "" || !strings.Contains(plan, want) {
				t.Errorf("%s does not use %q", name, want)
			}
		}
	}
	if len(plans) != len(uses) {
		t.Errorf("%d plans, and %d are known", len(plans), len(uses))
	}
}

// The ways in which the driver can be told to send statements, for what stands between it and the server.
func TestExecModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := open(t, postgres.Config{DSN: with(t, pgtest.DSN(t), "default_query_exec_mode", mode)})
			owner := join(t, s, "node")
			late := answer(1, "o-\xff\x00", owner)
			late.Body, late.Way = "\\x00'\x00\xff", store.Way{Told: 1}
			rows := claim(t, s, late, sample(2, time.Now(), owner))
			if _, ok := save(t, s, send(rows[0], owner)); !ok {
				t.Error("a row was not saved")
			}
			mark := []store.Op{{Turn: rows[1], Mark: true}}
			mark[0].Turn.Seen++
			if err := s.Save(t.Context(), mark); err != nil || !mark[0].OK {
				t.Errorf("a row was not marked: %v, %+v", err, mark[0])
			}
			want := send(rows[0], owner)
			want.Version = 2
			if diff := cmp.Diff(want, get(t, s, want.Key)); diff != "" {
				t.Errorf("the saved row (-want +got)\n%s", diff)
			}
			if due, err := s.List(t.Context(), store.Filter{Due: true, OpenID: late.OpenID, States: []store.State{store.Answered, store.Failed}}); err != nil || len(due) != 1 {
				t.Errorf("%d are due, %v", len(due), err)
			}
			if n, err := s.Erase(t.Context(), "demo", late.OpenID, store.Key{}); n != 1 || err != nil {
				t.Errorf("%d were erased, %v", n, err)
			}
			if n, err := s.Expire(t.Context(), time.Now().Add(time.Hour), time.Now().Add(time.Hour)); n != 1 || err != nil {
				t.Errorf("%d have expired, %v", n, err)
			}
			session := store.Session{Account: "demo", OpenID: "o", Data: "\x00\xff", Expires: want.ReceivedAt.UTC()}
			if ok, err := s.SaveSession(t.Context(), &session); !ok || err != nil {
				t.Errorf("SaveSession: %v, %v", ok, err)
			}
			if got, err := s.Session(t.Context(), "demo", "o"); err != nil || got != session {
				t.Errorf("%+v, %v", got, err)
			}
			if alive, err := s.Alive(t.Context(), owner); !alive || err != nil {
				t.Errorf("Alive: %v, %v", alive, err)
			}
		})
	}
}

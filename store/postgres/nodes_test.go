package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
)

// cluster is some nodes on one database, behind a balancer that gives each request to the next one.
type cluster struct {
	nodes []*callback.Server
	next  atomic.Int64
	took  []atomic.Int64 // pushes, by node

	mu     sync.Mutex
	starts map[string]int // of the handler, by text
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i := int(c.next.Add(1)-1) % len(c.nodes)
	c.took[i].Add(1)
	c.nodes[i].ServeHTTP(w, r)
}

const clusterToken = "a-token-of-a-test-cluster"

// newCluster starts a node on each store. handle says how long the handler takes on the start with a number.
func newCluster(t *testing.T, takes func(start int) time.Duration, stores ...*postgres.Store) *cluster {
	t.Helper()
	return newVerifiedCluster(t, nil, takes, stores...)
}

// newVerifiedCluster starts nodes that send late answers by an API.
func newVerifiedCluster(t *testing.T, api callback.API, takes func(start int) time.Duration, stores ...*postgres.Store) *cluster {
	t.Helper()
	c := &cluster{starts: make(map[string]int), took: make([]atomic.Int64, len(stores))}
	handler := echostr.NewRouter()
	echostr.On(handler, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		c.mu.Lock()
		c.starts[m.Content]++
		start := c.starts[m.Content]
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(takes(start)):
		}
		return echostr.Text(fmt.Sprint("re: ", m.Content)), nil
	})
	for i, s := range stores {
		node, err := callback.New(callback.Config{
			Accounts: []callback.Account{{Name: "demo", AppID: "wx0000000000000001", Token: clusterToken, Mode: callback.Plain, API: api, Handler: handler}},
			Store:    s, NodeID: fmt.Sprint("node-", i), Logger: quiet,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, node)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			_ = node.Shutdown(ctx)
		})
	}
	return c
}

// send sends a text message as WeChat does.
func (c *cluster) send(t *testing.T, user, text string) *simulator.Report {
	t.Helper()
	return sendTo(t, c, user, text)
}

func sendTo(t *testing.T, c http.Handler, user, text string) *simulator.Report {
	t.Helper()
	wechat, err := simulator.New(simulator.Config{
		Account: simulator.Account{URL: "http://balancer/wx/demo", Token: clusterToken, Mode: simulator.Plain}, User: user, Transport: simulator.Direct(c),
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := wechat.Send(t.Context(), simulator.Text(text))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func (c *cluster) started(text string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.starts[text]
}

// The retries of a slow message hit alternating nodes. It starts once, and its answer meets the push that is open,
// wherever that is.
func TestRetriesOnAlternatingNodes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	c := newCluster(t, func(int) time.Duration { return 6 * time.Second }, open(t, postgres.Config{DSN: dsn}), open(t, postgres.Config{DSN: dsn}))
	const messages = 5 // an odd number, so that retries go to another node than the push before
	var wg sync.WaitGroup
	for n := range messages {
		wg.Go(func() {
			text := fmt.Sprint("慢 6 ", n)
			report := c.send(t, fmt.Sprintf("oEchostr0User00000000000000%02d", n), text)
			if v := report.Verdict; v.Reply == nil || v.Reply.Content != "re: "+text {
				t.Errorf("%s: %v", text, report)
			}
			if n := len(report.Pushes); n != 2 {
				t.Errorf("%s: %d pushes, want 2", text, n)
			}
			if starts := c.started(text); starts != 1 {
				t.Errorf("%s: %d starts", text, starts)
			}
		})
	}
	wg.Wait()
	if a, b := c.took[0].Load(), c.took[1].Load(); a != messages || b != messages {
		t.Errorf("the nodes took %d and %d pushes", a, b)
	}
}

// A node dies in the middle of a message: nobody hears of it any more. The other one starts the handler again, and its
// answer meets WeChat's next push. What the dead one still has to say is not taken.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	p := newProxy(t, dsn)
	doomed, other := open(t, postgres.Config{DSN: p.dsn}), open(t, postgres.Config{DSN: dsn})
	started := make(chan struct{}, 1)
	c := newCluster(t, func(start int) time.Duration {
		if start > 1 {
			return 0
		}
		started <- struct{}{}
		return 7 * time.Second
	}, doomed, other)
	done := make(chan *simulator.Report, 1)
	go func() { done <- c.send(t, "oEchostr0User0000000000000001", "x") }()
	<-started
	p.set(gone)
	exec(t, dsn, `UPDATE node SET until = clock_timestamp() WHERE id = 'node-0'`) // as it will be soon
	report := <-done
	if v := report.Verdict; v.Reply == nil || v.Reply.Content != "re: x" || len(report.Pushes) != 2 {
		t.Errorf("%v", report)
	}
	if starts := c.started("x"); starts != 2 {
		t.Errorf("%d starts, want 2", starts)
	}
	// When the network is back, the handler of the dead node has its result, too late.
	p.set(whole)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if owner, err := doomed.Alive(t.Context(), store.Node{ID: "node-0", Epoch: 2}); err == nil && owner {
			break // it has joined again
		}
		if time.Now().After(end) {
			t.Fatal("the node does not come back")
		}
	}
	if err := c.nodes[0].Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	turns, err := other.List(t.Context(), store.Filter{})
	if err != nil || len(turns) != 1 {
		t.Fatalf("%d turns, %v", len(turns), err)
	}
	if row := turns[0]; row.State != store.Answered || row.Attempt != 2 || row.Owner.ID != "node-1" {
		t.Errorf("%v, attempt %d, owner %v", row.State, row.Attempt, row.Owner)
	}
}

// P3: leases run by the clock of the database. However the clocks of two nodes jump, and whichever way they are apart, none
// takes the other for dead while it lives, nor for alive when it is dead.
func TestP3ClockJumpsOnTwoNodes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	var offsets [2]atomic.Int64
	var nodes [2]*postgres.Store
	for i := range nodes {
		nodes[i] = open(t, postgres.Config{DSN: dsn, Now: func() time.Time { return time.Now().Add(time.Duration(offsets[i].Load())) }})
	}
	n := int64(0)
	for _, first := range []time.Duration{0, time.Hour, -time.Hour, store.Lease, -store.Lease} {
		for _, second := range []time.Duration{0, time.Hour, -time.Hour} {
			n++
			jumped := fmt.Sprintf("with clocks wrong by %v and %v", first, second)
			owner, err := nodes[0].Join(t.Context(), fmt.Sprint("node-", n))
			if err != nil {
				t.Fatal(err)
			}
			offsets[0].Store(int64(first))
			offsets[1].Store(int64(second))
			if err := nodes[0].Renew(t.Context(), owner); err != nil {
				t.Errorf("P3: %s the lease is not renewed: %v", jumped, err)
			}
			ops := []store.Op{{Turn: sample(n, time.Now(), owner)}}
			if err := nodes[0].Claim(t.Context(), ops); err != nil || !ops[0].OK {
				t.Errorf("P3: %s a message is not claimed: %v, %v", jumped, err, ops[0].Err)
			}
			for i, node := range nodes {
				if alive, err := node.Alive(t.Context(), owner); err != nil || !alive {
					t.Errorf("P3: %s node %d takes a living node for dead: %v", jumped, i, err)
				}
			}
			if err := nodes[1].Elapse(t.Context(), store.Lease); err != nil {
				t.Fatal(err)
			}
			for i, node := range nodes {
				if alive, err := node.Alive(t.Context(), owner); err != nil || alive {
					t.Errorf("P3: %s node %d takes a dead node for alive: %v", jumped, i, err)
				}
			}
			if err := nodes[0].Renew(t.Context(), owner); !errors.Is(err, store.ErrFenced) {
				t.Errorf("P3: %s a lease that is over is renewed: %v", jumped, err)
			}
		}
	}
}

// api is a customer-service API that takes its time, and notes when two messages for one user are under way.
type api struct {
	mu    sync.Mutex
	open  map[string]int
	crowd bool
	sent  []string
}

func (a *api) Send(_ context.Context, openID string, r echostr.Reply) callback.Sending {
	a.mu.Lock()
	a.open[openID]++
	a.crowd = a.crowd || a.open[openID] > 1
	a.mu.Unlock()
	time.Sleep(200 * time.Millisecond)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[openID]--
	a.sent = append(a.sent, r.(echostr.TextReply).Content)
	return callback.Sending{Fate: callback.SendDone}
}

func (a *api) Typing(context.Context, string) error { return nil }

// Late answers to one user are ready on two nodes at the same moment. They go out one after the other.
func TestLateAnswersOfTwoNodes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	a := &api{open: make(map[string]int)}
	c := newVerifiedCluster(t, a, func(int) time.Duration { return 5 * time.Second }, open(t, postgres.Config{DSN: dsn}), open(t, postgres.Config{DSN: dsn}))
	const each = 2
	var wg sync.WaitGroup
	for n := range each * len(c.nodes) {
		wg.Go(func() {
			text := fmt.Sprint(n)
			if report := sendTo(t, c.nodes[n%2], "oEchostr0User0000000000000001", text); report.Verdict.Problem != "" || report.Verdict.Reply != nil {
				t.Errorf("%s: %v", text, report)
			}
		})
	}
	wg.Wait()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		a.mu.Lock()
		sent := len(a.sent)
		a.mu.Unlock()
		if sent == each*len(c.nodes) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d answers were sent", sent)
		}
	}
	if a.mu.Lock(); a.crowd {
		t.Errorf("two nodes sent to one user at the same time: %v", a.sent)
	}
	a.mu.Unlock()
}

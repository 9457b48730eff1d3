package callback_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// cluster is some nodes on one store.
type cluster struct {
	t     *testing.T
	a     callback.Account
	st    *memory.Store
	nodes []*callback.Server
	links []*faulty // between each node and the store
}

func newCluster(t *testing.T, a callback.Account, n int) *cluster {
	c := &cluster{t: t, a: a, st: memory.New(memory.Config{})}
	for range n {
		c.join()
	}
	return c
}

// shared is a store that other processes may have open.
type shared struct{ store.Store }

func (s shared) Installation(ctx context.Context) (store.Installation, error) {
	inst, err := s.Store.Installation(ctx)
	inst.Shared = true
	return inst, err
}

func (c *cluster) join() *callback.Server {
	link := &faulty{Store: shared{c.st}}
	s := start(c.t, callback.Config{Accounts: []callback.Account{c.a}, Store: link, NodeID: fmt.Sprintf("node-%d", len(c.nodes))})
	c.nodes, c.links = append(c.nodes, s), append(c.links, link)
	return s
}

// kill makes a node dead to all others: it can say and learn nothing any more.
func (c *cluster) kill(i int) { c.links[i].fail(before) }

// Retries that alternate between nodes join the handler where it runs, and get
// its answer soon after it is there.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	for _, handler := range []time.Duration{time.Second, 4600 * time.Millisecond, 7 * time.Second, 12 * time.Second} {
		for _, mode := range modes {
			t.Run(fmt.Sprintf("%v/%v", handler, mode), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) {
					h := newWitness(handler)
					c := newCluster(t, account(mode, h), 2)
					w, began := pack(c.a, text("x")), time.Now()
					var last got
					pushes := 0
					for pushes < 3 {
						last = pack(c.a, w.document).sendCut(c.nodes[pushes%2])
						if pushes++; last.status == 200 {
							break
						}
					}
					if last.status != 200 || parseReply(t, read(t, c.a, last.body)).Content != "re: x" {
						t.Fatalf("after %d pushes: %v", pushes, last)
					}
					if late := time.Since(began) - handler; late > 150*time.Millisecond {
						t.Errorf("the answer was there for %v before it went out", late)
					}
					for i := range 4 {
						g := pack(c.a, w.document).sendCut(c.nodes[i%2])
						if g.status != 200 || read(t, c.a, g.body) != read(t, c.a, last.body) {
							t.Errorf("a later push to node %d: %v", i%2, g)
						}
					}
					if starts, _ := h.total(); starts != 1 {
						t.Errorf("%d starts", starts)
					}
				})
			})
		}
	}
}

// When the node that runs a handler dies, another one starts it again, as often as the
// promise says, and one of the others only.
func TestOwnerDies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		deaths   int
		once     bool
		fallback string
		starts   int
		state    store.State
		want     string
	}{
		{name: "one death", deaths: 1, starts: 2, state: store.Answered, want: "re: x"},
		{name: "two deaths", deaths: 2, starts: 3, state: store.Answered, want: "re: x"},
		{name: "three deaths", deaths: 3, starts: 3, state: store.Failed},
		{name: "three deaths, fallback", deaths: 3, fallback: "请重试", starts: 3, state: store.Failed, want: "请重试"},
		{name: "once", deaths: 1, once: true, starts: 1, state: store.Failed},
		{name: "once, fallback", deaths: 1, once: true, fallback: "请重试", starts: 1, state: store.Failed, want: "请重试"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := newWitness(time.Hour) // as long as nodes die
				a := account(callback.Plain, h)
				a.HandlerTimeout = 10 * time.Minute
				a.Once, a.Fallback = test.once, test.fallback
				c := newCluster(t, a, 4)
				// All of them look for lost turns at the same moment, and saving takes a while.
				for _, link := range c.links {
					link.slowDown(20 * time.Millisecond)
				}
				w := pack(a, text("x"))
				ctx, cut := context.WithCancel(t.Context())
				done := make(chan got, 1)
				go func() { done <- w.sendContext(ctx, c.nodes[0]) }()
				time.Sleep(time.Second)
				cut()
				<-done
				for death := range test.deaths {
					row := only(t, c.st)
					if row.State != store.Running || row.Attempt != death+1 {
						t.Fatalf("before death %d: %v, attempt %d", death+1, row.State, row.Attempt)
					}
					if death == test.deaths-1 {
						h.setSleep(time.Second)
					}
					for i := range c.nodes {
						if row.Owner.ID == fmt.Sprintf("node-%d", i) {
							c.kill(i)
						}
					}
					time.Sleep(store.Lease + store.Lease/3 + 2*time.Second)
					synctest.Wait()
				}
				if starts, messages := h.total(); starts != test.starts || messages != 1 {
					t.Errorf("%d starts, want %d", starts, test.starts)
				}
				quarantined, interrupted := uint64(0), uint64(0) // by all that competed for it
				for _, node := range c.nodes {
					quarantined += node.Stats().Quarantined
					interrupted += node.Stats().Interrupted
				}
				if gone := test.state == store.Failed; (quarantined == 1) != (gone && !test.once) || (interrupted == 1) != (gone && test.once) || quarantined+interrupted > 1 {
					t.Errorf("%d messages were counted as quarantined, %d as interrupted", quarantined, interrupted)
				}
				row := only(t, c.st)
				if row.State != test.state || row.Attempt != test.starts {
					t.Errorf("%v, attempt %d, %q", row.State, row.Attempt, row.Reason)
				}
				// The answer is there for a retry within the minute.
				if time.Since(row.ReceivedAt) < time.Minute {
					g := w.sendCut(c.nodes[3])
					if c.links[3].count("Claim") == 0 || g.status != 200 {
						t.Logf("node 3 was killed: %v", g)
					} else if test.want == "" && g.body != "success" || test.want != "" && parseReply(t, g.body).Content != test.want {
						t.Errorf("a retry gets %v, want %q", g, test.want)
					}
				}
			})
		})
	}
}

// A push that waits on one node is answered when the other, which ran the
// handler, has died.
func TestOwnerDiesWhilePushWaits(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := newWitness(time.Hour)
		a := account(callback.Plain, h)
		c := newCluster(t, a, 2)
		time.Sleep(4 * time.Second) // just before the first node renews its lease
		w := pack(a, text("x"))
		first := make(chan got, 1)
		go func() { first <- w.sendCut(c.nodes[0]) }()
		time.Sleep(100 * time.Millisecond)
		c.kill(0)
		h.setSleep(time.Second)
		<-first
		// The lease ends 15 s after it was begun: while the third push waits.
		second := w.sendCut(c.nodes[1])
		third := w.sendCut(c.nodes[1])
		if !second.cut || third.status != 200 {
			t.Errorf("%v, %v", second, third)
		}
		time.Sleep(20 * time.Second)
		if starts, _ := h.total(); starts != 2 {
			t.Errorf("%d starts", starts)
		}
		if row := only(t, c.st); row.State != store.Answered || row.Attempt != 2 {
			t.Errorf("%v, attempt %d", row.State, row.Attempt)
		}
	})
}

// A node that is pushed to at once after another one has died does not keep the count of pushes to itself: the third
// push, on a node that has seen none of the others, may be the last, and is answered. P5
func TestPushesAreCountedAcrossNodes(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := newWitness(time.Minute)
		c := newCluster(t, account(callback.Plain, h), 3)
		w := pack(c.a, text("x"))
		ctx, reset := context.WithTimeout(t.Context(), 600*time.Millisecond)
		defer reset()
		w.sendContext(ctx, c.nodes[0])
		c.kill(0)
		c.links[1].slowDown(20 * time.Millisecond) // as a store is
		if g := pack(c.a, w.document).sendCut(c.nodes[1]); !g.cut {
			t.Errorf("the second push: %v", g)
		}
		if g := pack(c.a, w.document).sendCut(c.nodes[2]); g.status != 200 {
			t.Errorf("the third push: %v", g)
		}
	})
}

// A node that cannot renew its lease gives its handlers up before another may
// start them, joins again when it can, and starts them again if nobody else did.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	for _, down := range []time.Duration{4 * time.Second, 11 * time.Second, 14 * time.Second, 30 * time.Second} {
		t.Run(down.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				var mu sync.Mutex
				running, overlap, starts := 0, 0, 0
				a := account(callback.Plain, echostr.HandlerFunc(func(ctx context.Context, _ echostr.Message) (echostr.Reply, error) {
					mu.Lock()
					starts++
					if running++; running > 1 {
						overlap++
					}
					mu.Unlock()
					defer func() {
						mu.Lock()
						running--
						mu.Unlock()
					}()
					select {
					case <-time.After(25 * time.Second):
						return echostr.Text("done"), nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}))
				a.HandlerTimeout = 5 * time.Minute
				verify(&a)
				c := newCluster(t, a, 1)
				time.Sleep(time.Second)
				if g := pack(a, text("x")).sendCut(c.nodes[0]); !g.is(200, "success") {
					t.Fatal(g)
				}
				c.kill(0)
				time.Sleep(down)
				c.links[0].fail(works)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				row := only(t, c.st)
				if row.State != store.Answered || row.Delivery != store.Sent {
					t.Errorf("%v, %v, attempt %d, %q", row.State, row.Delivery, row.Attempt, row.Reason)
				}
				want := 1
				if down >= 10*time.Second {
					want = 2
				}
				if starts != want || overlap != 0 {
					t.Errorf("%d starts, want %d; %d overlap", starts, want, overlap)
				}
				if err := c.nodes[0].Ready(t.Context()); err != nil {
					t.Errorf("not ready: %v", err)
				}
			})
		})
	}
}

// Nodes die and join while messages come to all of them.
func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(9, 9))
		h := newWitness(2 * time.Second)
		a := account(callback.Plain, h)
		verify(&a)
		c := newCluster(t, a, 3)
		alive := []int{0, 1, 2}
		var all sync.WaitGroup
		const messages = 200
		for i := range messages {
			if i%50 == 25 { // one of the older ones dies, and another one comes
				c.kill(alive[0])
				c.join()
				alive = append(alive[1:], len(c.nodes)-1)
			}
			to := alive[1+rng.IntN(2)]
			document := text("x")
			all.Go(func() {
				for range 3 {
					g := pack(a, document).sendCut(c.nodes[to])
					if g.status == 200 {
						return
					}
				}
				t.Error("never answered")
			})
			time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
		}
		all.Wait()
		time.Sleep(2 * time.Minute)
		starts, n := h.total()
		if n != messages || starts > messages+40 {
			t.Errorf("%d starts of %d messages", starts, n)
		}
		for _, row := range rows(t, c.st) {
			if row.State != store.Answered {
				t.Errorf("%v, attempt %d, %q", row.State, row.Attempt, row.Reason)
			}
		}
	})
}

// lateClaims is a store that carries a claim out long after it was given it.
type lateClaims struct {
	store.Store
	slow atomic.Bool
	mu   sync.Mutex
	ops  []store.Op
}

func (s *lateClaims) Claim(ctx context.Context, ops []store.Op) error {
	if !s.slow.Load() {
		return s.Store.Claim(ctx, ops)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ops == nil {
		s.ops = slices.Clone(ops)
	}
	return fmt.Errorf("%w: by the test", store.ErrUnavailable)
}

// The claim of a message comes to light when its push has long gone and the sweep has looked for it in vain.
func TestClaimComesToLightLate(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(counted)
		a := account(callback.Plain, h)
		verify(&a)
		st := &lateClaims{Store: memory.New(memory.Config{})}
		s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: st})
		st.slow.Store(true)
		pack(a, text("x")).sendCut(s)
		st.slow.Store(false)
		time.Sleep(12 * time.Second)
		if err := st.Claim(t.Context(), st.ops); err != nil || len(st.ops) != 1 || h.n.Load() != 0 {
			t.Fatal(err, len(st.ops), h.n.Load())
		}
		time.Sleep(store.Lease)
		if row := only(t, st); row.State != store.Answered || h.n.Load() != 1 {
			t.Errorf("%v, %d starts", row.State, h.n.Load())
		}
	})
}

// What a node was sending when it died is sent again when its lease is over and the API had time, not only when the
// answer to the request would have been given up.
func TestSenderDies(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := patient(callback.Plain, new(bot))
		api := verify(&a)
		api.fate = func(n int, _ sent) callback.Sending {
			if n == 0 {
				time.Sleep(5 * time.Minute)
				return callback.Sending{Fate: callback.SendUnknown}
			}
			return callback.Sending{Fate: callback.SendDone}
		}
		c := newCluster(t, a, 2)
		newPhone(t, c.nodes[0], a).says("6s")
		time.Sleep(4 * time.Second)
		if row := only(t, c.st); row.Delivery != store.Sending {
			t.Fatalf("%v: there is nothing to see here", row.Delivery)
		}
		c.kill(0)
		time.Sleep(3*store.Lease + 5*time.Second)
		if got := api.texts(testUser); len(got) != 1 {
			t.Errorf("the API has sent %q", got)
		}
		time.Sleep(5 * time.Minute)
	})
}

// A node that is about to end takes nothing over.
func TestEndingNodeTakesNothingOver(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		h := new(bot)
		a := patient(callback.Plain, h)
		verify(&a)
		c := newCluster(t, a, 2)
		go newPhone(t, c.nodes[0], a).says("40s of A")
		go newPhone(t, c.nodes[1], a).says("40s of B")
		time.Sleep(5 * time.Second)
		settled := make(chan error, 1)
		go func() { settled <- c.nodes[1].Settle(t.Context()) }()
		c.kill(0)
		time.Sleep(30 * time.Second)
		if n := h.started("40s of A"); n != 1 {
			t.Errorf("%d starts while the other node is ending", n)
		}
		c.join()
		time.Sleep(30 * time.Second)
		if n := h.started("40s of A"); n != 2 {
			t.Errorf("%d starts when a new node has come", n)
		}
		if err := <-settled; err != nil {
			t.Error(err)
		}
	})
}

// A handler that does not heed its context is counted as one that hangs, and holds no place, also if its turn has gone to
// another node meanwhile.
func TestHangsAfterItsTurnHasGone(t *testing.T) {
	t.Parallel()
	in2026(t, func(t *testing.T) {
		a := account(callback.Plain, echostr.HandlerFunc(func(context.Context, echostr.Message) (echostr.Reply, error) {
			time.Sleep(20 * time.Minute)
			return nil, nil
		}))
		a.HandlerTimeout = time.Minute
		verify(&a)
		c := newCluster(t, a, 2)
		newPhone(t, c.nodes[0], a).says("x")
		c.links[0].fail(before)
		time.Sleep(40 * time.Second)
		c.links[0].fail(works)
		if row := only(t, c.st); row.Attempt != 2 {
			t.Fatalf("attempt %d: there is nothing to see here", row.Attempt)
		}
		time.Sleep(2 * time.Minute)
		for i, s := range c.nodes {
			if n := s.Stats(); n.Running != 0 || n.Abandoned != 1 {
				t.Errorf("node %d: %d run, %d hang", i, n.Running, n.Abandoned)
			}
		}
		time.Sleep(20 * time.Minute)
		for i, s := range c.nodes {
			if n := s.Stats(); n.Running != 0 || n.Abandoned != 0 {
				t.Errorf("in the end, node %d: %d run, %d hang", i, n.Running, n.Abandoned)
			}
		}
	})
}

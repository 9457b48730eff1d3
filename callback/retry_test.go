package callback_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// answers are the replies that the pushes of one message got.
type answers struct {
	mu        sync.Mutex
	documents map[string]int // replies, in clear
	success   int
	cut       int
	other     []got
}

func (n *answers) add(t *testing.T, a callback.Account, g got) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case g.cut, g.aborted:
		n.cut++
	case g.is(200, "success"):
		n.success++
	case g.status == 200:
		if n.documents == nil {
			n.documents = map[string]int{}
		}
		n.documents[read(t, a, g.body)]++
	default:
		n.other = append(n.other, g)
	}
}

// Any order, number and overlap of the pushes
// of a message, on one node or two: one start, one answer, and every push that
// is answered after the result gets it.
func TestPushesInAnyOrder(t *testing.T) {
	t.Parallel()
	const seeds = 120
	overlaps, crossed := 0, 0
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 1))
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			in2026(t, func(t *testing.T) {
				h := newWitness(time.Duration(rng.Int64N(int64(13 * time.Second))))
				var handler echostr.Handler = h
				if rng.IntN(3) == 0 {
					r := echostr.NewRouter()
					echostr.On(r, func(ctx context.Context, m echostr.Message) (echostr.Reply, error) { return h.Handle(ctx, m) }).Pure()
					handler = r
				}
				a := account(modes[rng.IntN(3)], handler)
				if rng.IntN(2) == 0 {
					verify(&a)
				}
				st := memory.New(memory.Config{})
				servers := []*callback.Server{
					start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "a"}),
					start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "b"}),
				}
				document := text("x")
				var n answers
				var all sync.WaitGroup
				pushes := 1 + rng.IntN(4)
				node, both := 0, false
				for i := range pushes {
					if i > 0 && rng.IntN(2) == 0 {
						node, both = 1-node, true
						crossed++
					}
					s := servers[node]
					w := pack(a, document)
					all.Go(func() { n.add(t, a, w.sendCut(s)) })
					if rng.IntN(3) > 0 {
						time.Sleep(time.Duration(rng.Int64N(int64(6 * time.Second))))
					} else {
						overlaps++
					}
				}
				all.Wait()
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if starts, _ := h.total(); starts != 1 && !only(t, st).Pure {
					t.Errorf("%d starts after %d pushes", starts, pushes)
				}
				if len(n.documents) > 1 || len(n.other) > 0 {
					t.Errorf("different answers: %v, %v", n.documents, n.other)
				}
				row := only(t, st)
				// Pushes are counted lazily, so what two nodes count at once may be lost.
				if row.State != store.Answered || row.Seen > pushes || !both && row.Seen != pushes {
					t.Errorf("%v, seen %d of %d", row.State, row.Seen, pushes)
				}
				// Whoever comes now gets what was decided.
				g := pack(a, document).sendCut(servers[rng.IntN(2)])
				decided := row.Reply
				switch {
				case row.Placeholder != "":
					decided = row.Placeholder
				case row.Delivery != store.Undelivered && row.Delivery != store.Offered && row.Delivery != store.Written:
					decided = "success"
				}
				if g.status != 200 || read(t, a, g.body) != decided {
					t.Errorf("delivery is %v, a later push got %v", row.Delivery, g)
				}
				for document := range n.documents {
					if document != decided {
						t.Errorf("the answer is not what is stored; delivery is %v", row.Delivery)
					}
				}
			})
		})
	}
	t.Logf("%d overlaps, %d changes of node", overlaps, crossed)
	if overlaps < seeds/4 || crossed < seeds/4 {
		t.Error("the property was hardly tested")
	}
}

// A retry joins the handler that runs, and gets its answer when it comes.
func TestRetryJoins(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := newWitness(7 * time.Second)
				a := account(mode, h)
				s, _ := one(t, a)
				w := pack(a, text("x"))
				if g := w.sendCut(s); !g.cut || g.took != 5*time.Second {
					t.Fatalf("the first push: %v, want it held to the cut", g)
				}
				g := w.sendCut(s)
				if g.status != 200 || g.took != 2*time.Second || parseReply(t, read(t, a, g.body)).Content != "re: x" {
					t.Fatalf("the second push: %v", g)
				}
				// Seven more within the minute, at once and in turn: the same again.
				document, bodies := read(t, a, g.body), map[string]bool{g.body: true}
				var mu sync.Mutex
				var all sync.WaitGroup
				for range 7 {
					all.Go(func() {
						g := pack(a, w.document).sendCut(s)
						mu.Lock()
						defer mu.Unlock()
						bodies[g.body] = true
						if g.status != 200 || read(t, a, g.body) != document {
							t.Errorf("a further push: %v", g)
						}
					})
				}
				all.Wait()
				if mode == callback.Plain && len(bodies) != 1 {
					t.Errorf("%d different bodies in plain mode", len(bodies))
				}
				if mode != callback.Plain && len(bodies) != 8 {
					t.Errorf("%d different envelopes for 8 pushes; the random bytes are not random", len(bodies))
				}
				if starts, _ := h.total(); starts != 1 {
					t.Errorf("%d starts", starts)
				}
			})
		})
	}
}

// What the server can know of a push's number when it has not seen the ones
// before: "Which push is it?" in docs/reliability.md.
func TestPushNumber(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		first time.Duration // when the first push is seen, since CreateTime
		want  string        // what becomes of a push whose handler takes long: held or the placeholder
	}{
		{"first", 0, "held"},
		{"first, slowly", 1900 * time.Millisecond, "held"},
		{"second: the first was lost", 5 * time.Second, "held"},
		{"third: the server was down for two", 10 * time.Second, "placeholder"},
		{"third, early", 9900 * time.Millisecond, "placeholder"}, // two cuts after 4.95 s
		{"fourth", 15 * time.Second, "placeholder"},
		{"a replay or a test", 5 * time.Minute, "held"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := newWitness(20 * time.Second)
				a := account(callback.Plain, h)
				s, st := one(t, a)
				document := text("x")
				time.Sleep(test.first)
				g := pack(a, document).sendCut(s)
				if held := g.cut; held != (test.want == "held") || !held && (!strings.Contains(g.body, "查看回答") || g.took != 4500*time.Millisecond) {
					t.Errorf("%v, want %s", g, test.want)
				}
				if row := only(t, st); row.Pushes[0].Number < 1 {
					t.Errorf("number %d", row.Pushes[0].Number)
				}
			})
		})
	}
}

// With a wall clock that is wrong, pushes are counted and their lag is not believed.
func TestPushNumberWithAWrongClock(t *testing.T) {
	t.Parallel()
	for _, wrong := range []time.Duration{-time.Hour, -30 * time.Second, 8 * time.Second, 12 * time.Second, 20 * time.Second, 30 * time.Second, 4 * time.Minute} {
		t.Run(wrong.String(), func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := newWitness(0)
				a := account(callback.Plain, h)
				a.Freshness = 10 * time.Minute
				if wrong < -a.Freshness {
					wrong = -a.Freshness + time.Minute
				}
				now := func() time.Time { return time.Now().Add(wrong) }
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Now: now})
				for range 6 { // ordinary messages, from which the server sees that its clock is wrong
					if g := pack(a, text("x")).sendCut(s); g.status != 200 {
						t.Fatal(g)
					}
					time.Sleep(10 * time.Second)
				}
				h.setSleep(7 * time.Second)
				w := pack(a, text("x"))
				if g := w.sendCut(s); !g.cut {
					t.Errorf("the first push: %v, want it held", g)
				}
				if g := w.sendCut(s); g.status != 200 || g.body == "success" {
					t.Errorf("the second push: %v, want the answer", g)
				}
			})
		})
	}
}

// The process is restarted between two pushes of a message.
func TestRestart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		handler  time.Duration
		stop     string // shutdown waits for handlers, cancel does not, crash does nothing
		once     bool
		fallback string
		starts   int
		want     string // what the user reads in the end
	}{
		{name: "the answer is there", handler: time.Second, stop: "shutdown", starts: 1, want: "re: x"},
		{name: "shutdown waits", handler: 8 * time.Second, stop: "shutdown", starts: 1, want: "re: x"},
		{name: "shutdown cancels", handler: 8 * time.Second, stop: "cancel", starts: 2, want: "re: x"},
		{name: "shutdown cancels, once", handler: 8 * time.Second, stop: "cancel", once: true, fallback: "请重试", starts: 1, want: "请重试"},
		{name: "crash", handler: 3 * time.Second, stop: "crash", starts: 2, want: "re: x"},
		{name: "crash, once", handler: 3 * time.Second, stop: "crash", once: true, fallback: "请重试", starts: 1, want: "请重试"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in2026(t, func(t *testing.T) {
				h := newWitness(test.handler)
				a := account(callback.Safe, h)
				a.Once, a.Fallback = test.once, test.fallback
				st := memory.New(memory.Config{})
				node := &faulty{Store: st}
				s := start(t, callback.Config{Accounts: []callback.Account{a}, Store: node, NodeID: "server"})
				w := pack(a, text("x"))
				first := make(chan got, 1)
				ctx, cut := context.WithCancel(t.Context())
				go func() { first <- w.sendContext(ctx, s) }()
				time.Sleep(2 * time.Second)
				switch test.stop {
				case "shutdown":
					if err := s.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				case "cancel":
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					if err := s.Shutdown(ctx); err == nil {
						t.Error("Shutdown says nothing about the handler that it ended")
					}
				case "crash":
					node.fail(before)
				}
				cut() // the process is gone, and its connections are
				<-first

				// The same node id: its old epoch is dead when it joins.
				s = start(t, callback.Config{Accounts: []callback.Account{a}, Store: st, NodeID: "server"})
				var last got
				for range 3 {
					if last = w.sendCut(s); last.status == 200 {
						break
					}
				}
				if last.status != 200 || parseReply(t, read(t, a, last.body)).Content != test.want {
					t.Errorf("the user gets %v, want %q", last, test.want)
				}
				time.Sleep(time.Minute)
				if starts, messages := h.total(); starts != test.starts || messages != 1 {
					t.Errorf("%d starts, want %d", starts, test.starts)
				}
				if row := only(t, st); row.Attempt != test.starts && !test.once {
					t.Errorf("attempt %d", row.Attempt)
				}
			})
		})
	}
}

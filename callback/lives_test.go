package callback_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

var (
	livesMessages = flag.Int("lives.messages", 600, "messages of each run of TestLives")
	livesSeeds    = flag.Int("lives.seeds", 1, "how many runs TestLives has, on one node, two and three")
)

// TestLives has processes die at any moment and others begin, a store that goes away or loses what it says, a network
// that loses answers, and an API of which nobody knows what it has sent, in virtual time. What the users read, and how
// often handlers start, is counted outside the server: an accepted message has a row that comes to its end (P1), its
// answer reaches the user or it is on record that nobody knows (P5, P6), and none arrives twice where the account wants
// that (P4). Many runs:
//
//	go test ./callback -run 'TestLives$' -timeout 60m -lives.messages 2000 -lives.seeds 50
func TestLives(t *testing.T) {
	t.Parallel()
	for seed := range *livesSeeds {
		for _, nodes := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("seed=%d/nodes=%d", seed, nodes), func(t *testing.T) {
				t.Parallel()
				in2026(t, func(t *testing.T) { testLives(t, uint64(seed), nodes, *livesMessages) })
			})
		}
	}
}

// fleet is some nodes on one store, and WeChat before them.
type fleet struct {
	t        *testing.T
	st       store.Store
	accounts []callback.Account
	berths   []*berth

	mu     sync.Mutex
	fault  fault       // of the store
	read   map[int]int // how often the beginning of an answer was read
	ends   map[int]int // how often the end of a long one
	starts map[int]int
	deaths int
}

// berth is where a node runs, one process after the other.
type berth struct {
	id string
	mu sync.Mutex
	p  *process // nil while none runs
}

// process is one life of a node.
type process struct {
	*callback.Server
	link *faulty
	life context.Context
	die  context.CancelFunc
}

func (p *process) isDead() bool { return p.life.Err() != nil }

func (b *berth) process() *process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.p
}

// begin starts a process, as soon as the store lets it.
func (f *fleet) begin(b *berth) {
	p := &process{link: &faulty{Store: f.st}}
	p.life, p.die = context.WithCancel(context.Background())
	var accounts []callback.Account
	for _, a := range f.accounts {
		if a.API != nil {
			a.API = mortalAPI{a.API, p}
		}
		a.Handler = echostr.HandlerFunc(func(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
			if p.isDead() {
				return nil, nil // it is only that this test cannot stop it
			}
			return f.handle(ctx, m)
		})
		accounts = append(accounts, a)
	}
	for {
		f.mu.Lock()
		p.link.fail(f.fault)
		f.mu.Unlock()
		s, err := callback.New(callback.Config{Accounts: accounts, Store: p.link, Logger: quiet, NodeID: b.id})
		if err == nil {
			p.Server = s
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.p = p
	f.mu.Lock() // the fault may have changed meanwhile
	defer f.mu.Unlock()
	p.link.fail(f.fault)
}

// kill ends the process of a berth as SIGKILL does: it says and learns nothing any more.
func (f *fleet) kill(b *berth) {
	b.mu.Lock()
	p := b.p
	b.p = nil
	p.link.fail(before)
	b.mu.Unlock()
	p.die()
	f.mu.Lock()
	f.deaths++
	f.mu.Unlock()
	go p.Shutdown(p.life) // so that nothing of it is left in the end
}

// breakStore breaks the store for all nodes, or mends it.
func (f *fleet) breakStore(how fault) {
	f.mu.Lock()
	f.fault = how
	f.mu.Unlock()
	for _, b := range f.berths {
		b.mu.Lock()
		if b.p != nil {
			b.p.link.fail(how)
		}
		b.mu.Unlock()
	}
}

var (
	question = regexp.MustCompile(`(\d+) 慢 (\d+)( 长)?\.`)
	answer   = regexp.MustCompile(`(re|end): (\d+) 慢 \d+( 长)?\.`)
)

// isLong reports whether the answer to a message has several pages.
func isLong(id int) bool { return id%8 == 5 }

func (f *fleet) handle(ctx context.Context, m echostr.Message) (echostr.Reply, error) {
	text, ok := m.(*echostr.TextMessage)
	if !ok {
		return nil, fmt.Errorf("a message of the type %T", m)
	}
	asked := question.FindStringSubmatch(text.Content)
	if asked == nil {
		return nil, nil
	}
	id, _ := strconv.Atoi(asked[1])
	ms, _ := strconv.Atoi(asked[2])
	f.mu.Lock()
	f.starts[id]++
	f.mu.Unlock()
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if asked[3] != "" {
		return echostr.Text("re: " + asked[0] + strings.Repeat("说来话长。", 400) + "end: " + asked[0]), nil
	}
	return echostr.Text("re: " + asked[0]), nil
}

// sees takes in what a user reads.
func (f *fleet) sees(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range answer.FindAllStringSubmatch(text, -1) {
		id, _ := strconv.Atoi(m[2])
		if m[1] == "end" {
			f.ends[id]++
		} else {
			f.read[id]++
		}
	}
}

// Send is WeChat's API: now and then it answers that it is busy, or not at all, whether it has sent the message or not.
func (f *fleet) Send(ctx context.Context, _ string, r echostr.Reply) callback.Sending {
	time.Sleep(time.Duration(20+rand.IntN(300)) * time.Millisecond)
	switch rand.IntN(30) {
	case 0:
		return callback.Sending{Fate: callback.SendLater, Reason: "busy"}
	case 1:
		return callback.Sending{Fate: callback.SendUnknown, Reason: "no answer"}
	case 2:
		f.sees(r.(echostr.TextReply).Content)
		return callback.Sending{Fate: callback.SendUnknown, Reason: "no answer"}
	}
	f.sees(r.(echostr.TextReply).Content)
	return callback.Sending{Fate: callback.SendDone}
}

func (f *fleet) Typing(context.Context, string) error { return nil }

// mortalAPI is the API as a process calls it: not after its death.
type mortalAPI struct {
	callback.API
	p *process
}

func (a mortalAPI) Send(ctx context.Context, openID string, r echostr.Reply) callback.Sending {
	if a.p.isDead() {
		return callback.Sending{Fate: callback.SendUnknown, Reason: "dead"}
	}
	return a.API.Send(ctx, openID, r)
}

// says pushes a text three times at most, each to another node, until one is answered. lost says that an answer was
// sent and lost on its way to WeChat, which happens to no push if sure.
func (f *fleet) says(a callback.Account, user, content string, random *rand.Rand, sure bool) (accepted, lost bool) {
	w := pack(a, textFrom(user, time.Now().Unix(), content))
	first := random.IntN(len(f.berths))
	for n := range 3 {
		began := time.Now()
		switch answered, arrived := f.push(f.berths[(first+n)%len(f.berths)], a, w, random, sure); {
		case arrived:
			return true, lost
		case answered:
			lost = true
		}
		if random.IntN(3) > 0 { // or it comes again at once
			time.Sleep(5*time.Second - time.Since(began))
		}
	}
	return false, lost
}

func (f *fleet) push(b *berth, a callback.Account, w wire, random *rand.Rand, sure bool) (answered, arrived bool) {
	p := b.process()
	if p == nil {
		return false, false // refused
	}
	ctx, hangUp := context.WithTimeout(p.life, 5*time.Second)
	defer hangUp()
	fate := random.IntN(25)
	if fate == 0 && !sure { // the connection breaks before the answer
		w.sendBroken(ctx, p)
		return false, false
	}
	g := w.sendContext(ctx, p)
	if ctx.Err() != nil && g.flushed.IsZero() || g.aborted || g.status != 200 {
		return false, false
	}
	if fate == 1 && !sure {
		return true, false
	}
	if document := read(f.t, a, g.body); document != "" && document != "success" {
		f.sees(parseReply(f.t, document).Content)
	}
	return true, true
}

func testLives(t *testing.T, seed uint64, nodes, messages int) {
	random := rand.New(rand.NewPCG(seed, 0))
	lives := []time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second}[(seed+2)%3] // the mean
	outages := []time.Duration{4 * time.Second, time.Minute}[random.IntN(2)]                  // at most
	f := &fleet{t: t, read: make(map[int]int), ends: make(map[int]int), starts: make(map[int]int)}
	if f.st = memory.New(memory.Config{Keep: 24 * time.Hour}); nodes > 1 {
		f.st = shared{f.st}
	}
	const again, never, tickets = 0, 1, 2 // what an account does about an answer of which nobody knows
	for i, name := range []string{again: "again", never: "never", tickets: "tickets"} {
		a := patient(callback.Plain, nil)
		a.Name, a.AppID, a.HoldBudget = name, fmt.Sprintf("wx%016d", i), -1
		if i != tickets {
			a.API = f
		}
		a.DropUnknown = i == never
		a.Late = []callback.Late{again: callback.LateAPI, never: callback.LateHold, tickets: callback.LateTicket}[i]
		f.accounts = append(f.accounts, a)
	}
	for n := range nodes {
		b := &berth{id: fmt.Sprint("node-", n)}
		f.berths = append(f.berths, b)
		f.begin(b)
	}
	slowness := []int{0, 0, 10, 300, 1200, 3000, 4400, 4600, 5200, 7000, 9600, 12000, 14600, 20000} // ms

	ended := make(chan struct{})
	var faults, talks sync.WaitGroup
	faults.Go(func() {
		random := rand.New(rand.NewPCG(seed, 1))
		for {
			select {
			case <-ended:
				return
			case <-time.After(time.Duration(random.ExpFloat64() * float64(lives) / float64(nodes))):
			}
			b := f.berths[random.IntN(nodes)]
			f.kill(b)
			if random.IntN(2) == 0 {
				time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
			}
			f.begin(b)
		}
	})
	faults.Go(func() {
		random := rand.New(rand.NewPCG(seed, 2))
		for {
			select {
			case <-ended:
				return
			case <-time.After(time.Duration(random.ExpFloat64() * float64(30*time.Second))):
			}
			f.breakStore([]fault{before, after, either}[random.IntN(3)])
			time.Sleep(time.Duration(random.Int64N(int64(outages))))
			f.breakStore(works)
		}
	})
	accepted, lost := make([]bool, messages), make([]bool, messages)
	const perUser = 10
	for u := range messages / perUser {
		talks.Go(func() {
			random := rand.New(rand.NewPCG(seed, 3+uint64(u)))
			for i := range perUser {
				time.Sleep(time.Duration(random.IntN(20_000)) * time.Millisecond)
				id := u*perUser + i
				ask := fmt.Sprintf("%d 慢 %d", id, slowness[random.IntN(len(slowness))])
				if isLong(id) {
					ask += " 长"
				}
				accepted[id], lost[id] = f.says(f.accounts[u%3], fmt.Sprint("oUser", u), ask+".", random, false)
			}
		})
	}
	talks.Wait()
	close(ended)
	faults.Wait()
	time.Sleep(15 * time.Minute) // longer than the API is let alone after failures
	for u := range messages / perUser {
		talks.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(u)))
			for range 2 * perUser {
				f.says(f.accounts[u%3], fmt.Sprint("oUser", u), "继续", random, true)
				time.Sleep(time.Second)
			}
		})
	}
	talks.Wait()
	time.Sleep(time.Minute)

	byID, byKey := make(map[int]*store.Turn), make(map[store.Key]int)
	all := rows(t, f.st)
	for i := range all {
		row := &all[i]
		asked := question.FindStringSubmatch(row.Body)
		if asked == nil {
			continue
		}
		id, _ := strconv.Atoi(asked[1])
		if byID[id] != nil {
			t.Errorf("message %d has two rows", id)
		}
		byID[id], byKey[row.Key] = row, id
	}
	// perhaps reports whether nobody knows if the answer of a message was read, or WeChat has not come again for one that got
	// lost on its way.
	var perhaps func(id int) bool
	perhaps = func(id int) bool {
		row := byID[id]
		if row.Delivery == store.Assumed || lost[id] && !accepted[id] {
			return true
		}
		taker, ok := byKey[row.Way.TakenBy]
		return ok && row.Delivery == store.Fetched && perhaps(taker)
	}
	count := make(map[string]int)
	for id, isAccepted := range accepted {
		row, kind := byID[id], id/perUser%3
		if row == nil {
			if isAccepted {
				t.Errorf("message %d was accepted, and is not in the store", id)
			}
			if count["refused"]++; f.read[id] > 0 {
				t.Errorf("an answer to message %d was read, which is not in the store", id)
			}
			continue
		}
		if count["rows"]++; !isAccepted {
			count["not accepted"]++
		}
		count[fmt.Sprintf("%v, %v", row.State, row.Delivery)]++
		count[fmt.Sprintf("read %d times by %s", f.read[id], row.Account)]++
		say := func(what string) {
			t.Errorf("message %d of %s %s: %v, attempt %d, %d starts, %v, due %v, reason %q, pushes %v, offered to %d, of %v, version %d, finished %v, %+v, accepted %v", id, row.Account, what, row.State, row.Attempt, f.starts[id], row.Delivery, row.Due, row.Reason, row.Pushes, row.OfferedTo, row.Owner, row.Version, row.FinishedAt, row.Way, isAccepted)
		}
		switch {
		case !row.State.Finished():
			say("never ended")
		case row.State == store.Failed && row.Attempt < 3:
			say("has failed")
		case row.State == store.Failed:
		case row.Delivery == store.Offered, row.Delivery == store.Late, row.Delivery == store.Sending, row.Delivery == store.Undelivered:
			say("waits for nothing")
		case f.read[id] == 0 && !perhaps(id):
			say("was not answered")
		case isLong(id) && f.ends[id] == 0 && !perhaps(id):
			say("was not answered to the end")
		case max(f.read[id], f.ends[id]) > 1 && kind == never:
			say(fmt.Sprintf("was answered %d times, to the end %d times", f.read[id], f.ends[id]))
		case f.starts[id] > row.Attempt:
			say("was started again, and nobody knows")
		}
	}
	t.Logf("%d deaths, %v", f.deaths, count)
	if f.deaths == 0 || count["answered, sent"] == 0 || lives > 5*time.Second && count["answered, fetched"] == 0 || count["not accepted"] == 0 {
		t.Errorf("this tests too little")
	}
	for _, b := range f.berths {
		f.kill(b)
	}
	time.Sleep(time.Minute)
}

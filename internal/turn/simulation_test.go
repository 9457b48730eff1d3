package turn

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	simMessages = flag.Int("sim.messages", 0, "messages of the simulation; 0 for what go test has time for")
	simSeeds    = flag.Int("sim.seeds", 20, "seeds that the messages are spread over")
	simAll      = flag.Bool("sim.all", false, "crash at all places, not at some of them")
	simSeed     = flag.Int64("sim.seed", -1, "the only seed to run, with all the messages; prints the digest of its trace")
)

// worldSize is how many messages share a world.
const worldSize = 1000

// worldOf returns a world of a seed. Each sixth one is calm: nothing breaks
// there, and what becomes of every message is known to the push.
func worldOf(seed uint64, world int) *sim {
	p := profile{nodes: 1 + world%3, messages: worldSize, spacing: 100 * time.Millisecond, chaos: world%6 != 0}
	if !p.chaos {
		p.nodes = 2
	}
	return newSim(seed, world, p)
}

// report is the line that the simulation prints.
type report struct {
	Scenario string `json:"scenario"`
	Seeds    int    `json:"seeds"`
	reached
	Violations int     `json:"violations"`
	Seconds    float64 `json:"seconds"`
	PerSecond  int     `json:"messages_per_second"`
	Digest     string  `json:"trace_sha256,omitempty"` // of a single seed
	Go         string  `json:"go"`
}

// TestSimulation plays worlds in which everything breaks, and some in which nothing
// does. By default it has 20,000 messages, and those by which users fetch. All of the bound:
//
//	go test ./internal/turn -run 'TestSimulation$' -v -sim.messages 1000000 -sim.seeds 20
//
// A seed that fails is named with the command that plays it alone.
func TestSimulation(t *testing.T) {
	t.Parallel()
	seeds, messages := make([]uint64, *simSeeds), *simMessages
	for i := range seeds {
		seeds[i] = uint64(i)
	}
	if *simSeed >= 0 {
		seeds = []uint64{uint64(*simSeed)}
	}
	if messages == 0 {
		switch {
		case *simSeed >= 0:
			messages = 6 * worldSize
		case raceEnabled || testing.Short():
			messages = 4 * worldSize
		default:
			messages = 20 * worldSize
		}
	}
	seeds = seeds[:min(len(seeds), max(1, messages/worldSize))]
	worlds := make(chan *sim)
	go func() {
		defer close(worlds)
		each := (messages + worldSize*len(seeds) - 1) / (worldSize * len(seeds))
		for world := range each {
			for _, seed := range seeds {
				// One world for each seed and number of nodes, and now and then a calm one.
				worlds <- worldOf(seed, world+int(seed))
			}
		}
	}()
	rep := report{Scenario: "simulation", Seeds: len(seeds), Go: runtime.Version()}
	var calm, wild reached
	failed := 0 // worlds
	began := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	run := func() {
		for s := range worlds {
			var digest string
			if *simSeed >= 0 {
				digest = play(s)
			} else {
				s.run()
			}
			mu.Lock()
			into := &calm
			if s.chaos {
				into = &wild
			}
			into.add(&s.reached)
			rep.Violations += len(s.violations)
			rep.Digest += digest
			if len(s.violations) > 0 {
				failed++
				explain(t, s, failed <= 3)
			}
			mu.Unlock()
		}
	}
	workers := runtime.GOMAXPROCS(0)
	if *simSeed >= 0 {
		workers = 1 // the digests have an order
	}
	for range workers {
		wg.Go(run)
	}
	wg.Wait()
	rep.add(&calm)
	rep.add(&wild)
	rep.Seconds = time.Since(began).Seconds()
	rep.PerSecond = int(float64(rep.Messages) / rep.Seconds)
	if rep.Digest != "" {
		rep.Digest = fmt.Sprintf("%x", sha256.Sum256([]byte(rep.Digest)))
	}
	line, err := json.Marshal(rep)
	if err != nil {
		t.Fatal(err)
	}
	if testing.Verbose() {
		fmt.Printf("%s\n", line)
	}
	if t.Failed() {
		return
	}
	if rep.Messages < messages {
		t.Errorf("%d messages, want %d", rep.Messages, messages)
	}
	if calm.Undisturbed != calm.Messages {
		t.Errorf("%d of %d messages undisturbed in calm worlds", calm.Undisturbed, calm.Messages)
	}
	if rep.Messages >= 20*worldSize {
		wild.bounds(t)
	}
}

// bounds is what worlds must have come upon to mean anything, by 100,000 messages.
func (r *reached) bounds(t *testing.T) {
	for _, bound := range []struct {
		what     string
		got, min int
	}{
		{"retries", r.Retries, 50_000},
		{"overlaps", r.Overlaps, 2000},
		{"duplicates", r.Duplicates, 1000},
		{"crashes", r.Crashes, 600},
		{"restarts", r.Restarts, 600},
		{"lost leases", r.LostLeases, 20},
		{"pauses beyond the lease", r.LongPauses, 20},
		{"outages", r.Outages, 80},
		{"conflicts", r.Conflicts, 5000},
		{"lost commit answers", r.LostAnswers, 500},
		{"store errors", r.StoreErrors, 500},
		{"clock jumps", r.Jumps, 50},
		{"replies", r.Replies, 25_000},
		{"successes", r.Late, 10_000},
		{"placeholders", r.Placeholders, 4000},
		{"held pushes", r.Held, 10_000},
		{"erased turns", r.Erased, 50},
		{"turns erased before they were stored", r.ErasedEarly, 5},
		{"answers left to WeChat's cut", r.TooLate, 50},
		{"replays", r.Replays, 10},
		{"interrupted turns", r.Interrupted, 100},
		{"quarantined turns", r.Quarantined, 100},
		{"undisturbed messages", r.Undisturbed, 10_000},
		{"tickets", r.Tickets, 4000},
		{"taps", r.Taps, 4000},
		{"words", r.Words, 3000},
		{"fetches", r.Fetches, 4000},
		{"fetches that wait", r.Waits, 30_000},
		{"fetches that somebody was quicker than", r.Denies, 500},
		{"replies ahead of others", r.Merges, 300},
		{"replies given back", r.GivenBack, 15},
		{"tickets that expired", r.Expired, 1000},
		{"requests to the API", r.Requests, 30_000},
		{"messages by the API", r.Parts, 15_000},
		{"outages of the API", r.APIOutages, 50},
		{"refusals for now", r.Busy, 10_000},
		{"refusals for the time", r.OutOfTime, 10},
		{"refusals for the count", r.OutOfCount, 50},
		{"refusals for good", r.Forbidden, 200},
		{"refusals of users who are gone", r.Gone, 10},
		{"unknown outcomes of what was sent", r.UnknownDone, 300},
		{"unknown outcomes of what was not sent", r.UnknownLost, 300},
		{"requests without an answer", r.Hangs, 2000},
		{"crashes while sending", r.CrashesSending, 1500},
		{"crashes between a fetch and its result", r.CrashesTaking, 25},
		{"windows that closed", r.Window, 100},
		{"quotas that were used up", r.Quota, 10},
		{"replies that nobody waits for", r.Unasked, 100},
		{"ambiguous replies", r.Declared, 3000},
		{"replies read twice", r.Doubles, 200},
		{"replies assumed to have arrived", r.Assumed, 300},
		{"wishes of an operator", r.Operated, 25},
	} {
		if min := bound.min * r.Messages / 100_000; bound.got < min {
			t.Errorf("the simulation came upon %d %s, and means nothing with fewer than %d", bound.got, bound.what, min)
		}
	}
}

// A seed replays byte for byte, and another one does not.
func TestSimulationReplays(t *testing.T) {
	t.Parallel()
	p := profile{messages: 100, spacing: 100 * time.Millisecond, chaos: true}
	seen := make(map[string]uint64)
	seeds := uint64(6)
	if raceEnabled {
		seeds = 2
	}
	for seed := range seeds {
		p.nodes = 1 + int(seed%3)
		first, again := play(newSim(seed, 1, p)), play(newSim(seed, 1, p))
		if first != again {
			t.Errorf("seed %d gave two runs: %s and %s", seed, first, again)
		}
		if other, ok := seen[first]; ok {
			t.Errorf("seeds %d and %d gave the same run", other, seed)
		}
		seen[first] = seed
	}
}

// play runs a world and returns the digest of its whole trace: every event, every
// row, every effect, every fault.
func play(s *sim) string {
	sum := sha256.New()
	s.trace = sum
	s.run()
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// explain says which world failed and how, and if asked plays it again, to print
// what happened to the message.
func explain(t *testing.T, s *sim, whole bool) {
	t.Helper()
	t.Errorf("%s\nto play it alone: go test ./internal/turn -run 'TestSimulation$' -v -sim.seed %d -sim.messages %d",
		strings.Join(s.violations, "\n"), s.seed, (1+s.world-int(s.seed))*worldSize)
	if !whole {
		return
	}
	again := newSim(s.seed, s.world, s.profile)
	var trace bytes.Buffer
	again.step = s.step
	again.trace, again.only = &trace, &s.first.id
	again.run()
	const most = 20_000
	text := trace.Bytes()
	t.Logf("what happened to it:\n%s", text[max(0, len(text)-most):])
}

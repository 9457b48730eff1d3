package turn

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
)

// What Step does in cases that the simulation seldom or never comes upon.
func TestStep(t *testing.T) {
	t.Parallel()
	self, dead := store.Node{ID: "node", Epoch: 2}, store.Node{ID: "node", Epoch: 1}
	hold, api := DefaultPolicy(), DefaultPolicy()
	hold.Hold = true
	now := epochStart.Add(time.Minute)
	inTime, late := api.AnswerBy+api.Grace, api.AnswerBy+api.Grace+time.Millisecond

	// running is a turn of which a push with this number is open.
	running := func(number int) State {
		return State{
			Row: store.Turn{
				Version: 1, Seen: number, State: store.Running, Attempt: 1, Owner: self, OpenID: "user",
				Pushes: []store.Push{{Number: number, At: epochStart}},
			},
			Open: []Push{{ID: 1, Number: number, at: epochStart}}, Running: true, attempt: 1,
		}
	}
	// offered is an answer that a dead process has offered to a push, which got this.
	offered := func(got store.Outcome, more ...store.Push) State {
		return State{Row: store.Turn{
			Version: 3, Seen: 1 + len(more), State: store.Answered, Reply: "reply", Attempt: 1, Owner: dead, OpenID: "user",
			Delivery: store.Offered, OfferedTo: 1, Pushes: append([]store.Push{{Number: 1, At: epochStart, Got: got}}, more...),
		}}
	}
	// erased is a turn that was erased in memory, before the store has seen it.
	erased := func(s State) State {
		s.Row.Version = 0
		s.Row.Erase()
		return s
	}
	answer := func(number int, given store.Outcome) Effect {
		return Effect{Do: Answer, Push: 1, Given: given, Retry: number > 1, Last: number >= 3}
	}
	for _, test := range []struct {
		name     string
		policy   Policy
		s        State
		ev       Event
		want     Effects
		state    store.State
		delivery store.Delivery
		running  bool
	}{
		{
			"an answer of which nobody knows whether it was written", api, offered(store.Open),
			Event{Kind: Unconfirmed, Lost: dead},
			Effects{Now, []Effect{{Do: NoteAmbiguous}}},
			store.Answered, store.Assumed, false,
		},
		{
			"an answer whose write failed is not ambiguous", api, offered(store.Cut),
			Event{Kind: Unconfirmed, Lost: dead},
			Effects{},
			store.Answered, store.Offered, false,
		},
		{
			"nor is one that was given up", api, offered(store.Aborted),
			Event{Kind: Unconfirmed, Lost: dead},
			Effects{},
			store.Answered, store.Offered, false,
		},
		{
			"nor if another push is not known", api, offered(store.Cut, store.Push{Number: 2, At: epochStart}),
			Event{Kind: Unconfirmed, Lost: dead},
			Effects{},
			store.Answered, store.Offered, false,
		},
		{
			"a message that the store may have forgotten", api,
			State{Row: store.Turn{OpenID: "user"}},
			Event{Kind: PushArrived, Push: 1, Forgotten: true},
			Effects{Nothing, []Effect{{Do: Replay, Push: 1}, {Do: Answer, Push: 1, Given: store.GotSuccess}}},
			0, store.Undelivered, false,
		},
		{
			"a message that it cannot have forgotten", api,
			State{Row: store.Turn{OpenID: "user"}},
			Event{Kind: PushArrived, Push: 1},
			Effects{Now, []Effect{{Do: Start}}},
			store.Running, store.Undelivered, true,
		},
		{
			"the window of push 1 ends", api, running(1),
			Event{Kind: PushDue, Push: 1, Waited: inTime},
			Effects{Lazily, []Effect{answer(1, store.GotSuccess)}},
			store.Running, store.Late, true,
		},
		{
			"it has ended long ago", api, running(1),
			Event{Kind: PushDue, Push: 1, Waited: late},
			Effects{},
			store.Running, store.Undelivered, true,
		},
		{
			"so has that of push 2", api, running(2),
			Event{Kind: PushDue, Push: 1, Waited: late},
			Effects{},
			store.Running, store.Undelivered, true,
		},
		{
			"the last push gets its success all the same", api, running(3),
			Event{Kind: PushDue, Push: 1, Waited: late},
			Effects{Lazily, []Effect{answer(3, store.GotSuccess)}},
			store.Running, store.Late, true,
		},
		{
			"a push that is held is not late", hold, running(1),
			Event{Kind: PushDue, Push: 1, Waited: late},
			Effects{Nothing, []Effect{{Do: Hold, Push: 1}}},
			store.Running, store.Undelivered, true,
		},
		{
			"the last push is not held, however late", hold, running(3),
			Event{Kind: PushDue, Push: 1, Waited: late},
			Effects{Lazily, []Effect{answer(3, store.GotSuccess)}},
			store.Running, store.Late, true,
		},
		{
			"erased before it was stored, while its handler runs", api, erased(running(1)),
			Event{Kind: Changed},
			Effects{Now, []Effect{{Do: Cancel}, answer(1, store.GotSuccess)}},
			store.Erased, store.Undelivered, false,
		},
		{
			"so, and nobody waits", api, func() State { s := erased(running(1)); s.Open = nil; return s }(),
			Event{Kind: Changed},
			Effects{Now, []Effect{{Do: Cancel}}},
			store.Erased, store.Undelivered, false,
		},
		{
			"erased before its claim", api, erased(State{Row: store.Turn{OpenID: "user"}}),
			Event{Kind: PushArrived, Push: 1},
			Effects{Now, []Effect{answer(1, store.GotSuccess)}},
			store.Erased, store.Undelivered, false,
		},
		{
			"its handler comes to a result before it hears of that", api, erased(running(1)),
			Event{Kind: Result, Attempt: 1, State: store.Answered, Reply: "reply"},
			Effects{},
			store.Erased, store.Undelivered, true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.ev.Now, test.ev.Self = now, self
			next, got := Step(&test.policy, test.s, &test.ev)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			if row := &next.Row; row.State != test.state || row.Delivery != test.delivery || next.Running != test.running {
				t.Errorf("state %v, delivery %v, running %v; want %v, %v, %v", row.State, row.Delivery, next.Running, test.state, test.delivery, test.running)
			}
			if test.state == store.Erased && next.Row.Reply+next.Row.OpenID != "" {
				t.Errorf("something personal is back: %+v", next.Row)
			}
		})
	}
}

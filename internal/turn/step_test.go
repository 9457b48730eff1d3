package turn

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
)

var (
	selfNode  = store.Node{ID: "node", Epoch: 2}
	deadNode  = store.Node{ID: "node", Epoch: 1}
	otherNode = store.Node{ID: "other", Epoch: 1}
)

// accountPolicies are the three kinds of accounts.
func accountPolicies() (api, hold, ticket Policy) {
	api, hold, ticket = DefaultPolicy(), DefaultPolicy(), DefaultPolicy()
	hold.Hold = true
	ticket.Hold, ticket.API = true, false
	return api, hold, ticket
}

// said puts effects into words: what becomes of a push, and of the handler.
func said(e Effects) string {
	var list []string
	for _, e := range e.List {
		switch e.Do {
		case Start:
			list = append(list, "start")
		case Cancel:
			list = append(list, "cancel")
		case Answer:
			list = append(list, e.Given.String())
		case Hold:
			list = append(list, "hold")
		case Replay:
			list = append(list, "replay")
		}
	}
	return strings.Join(list, " ")
}

// What a push gets: the table of R-TIME-TABLE, with R-LATE-PLACEHOLDER. Each row is a state in which
// the push meets the turn, each cell what it gets then, and after the bar what it gets at 4.5 s.
func TestPushTable(t *testing.T) {
	t.Parallel()
	api, hold, ticket := accountPolicies()
	answered := func(d store.Delivery) func(*store.Turn) {
		return func(row *store.Turn) { row.State, row.Reply, row.Delivery = store.Answered, "reply", d }
	}
	running := func(owner store.Node, d store.Delivery) func(*store.Turn) {
		return func(row *store.Turn) { row.State, row.Owner, row.Delivery = store.Running, owner, d }
	}
	promised := func(f func(*store.Turn)) func(*store.Turn) {
		return func(row *store.Turn) { f(row); row.Placeholder, row.Code = "placeholder", "AB" }
	}
	state := func(s store.State) func(*store.Turn) { return func(row *store.Turn) { row.State = s } }
	type cells [3]string // push 1, push 2, push 3 or later
	all := func(s string) cells { return cells{s, s, s} }
	join := [3]cells{
		all("|success"),
		{"|hold", "|hold", "|success"},
		{"|hold", "|hold", "|placeholder"},
	}
	first := join
	for i := range first {
		for j := range first[i] {
			first[i][j] = "start" + first[i][j]
		}
	}
	same := func(s string) [3]cells { return [3]cells{all(s), all(s), all(s)} }
	for _, test := range []struct {
		name  string
		row   func(*store.Turn)
		draft bool // the handler shows how far it has come
		quiet bool // nobody waits for an answer
		old   bool // the first push is more than 60 s old
		want  [3]cells
	}{
		{name: "unknown key", want: first},
		{name: "unknown key, nobody waits", quiet: true, want: [3]cells{first[0], first[1], {"start|hold", "start|hold", "start|success"}}},
		{name: "running here", row: running(selfNode, store.Undelivered), want: join},
		{name: "running here, with a draft", row: running(selfNode, store.Undelivered), draft: true, want: [3]cells{
			all("|placeholder"), {"|hold", "|hold", "|placeholder"}, join[2],
		}},
		{name: "running on another node", row: running(otherNode, store.Undelivered), want: join},
		{name: "running, and late", row: running(selfNode, store.Late), want: same("success|")},
		{name: "running, and promised", row: promised(running(selfNode, store.Ticket)), want: same("placeholder|")},
		{name: "running, late, and a draft was given", row: promised(running(selfNode, store.Late)), want: same("placeholder|")},
		{name: "result stored, not offered", row: answered(store.Undelivered), want: same("reply|")},
		{name: "result offered", row: answered(store.Offered), want: same("reply|")},
		{name: "result written", row: answered(store.Written), want: same("reply|")},
		{name: "result assumed", row: answered(store.Assumed), want: same("reply|")},
		{name: "result late", row: answered(store.Late), want: same("success|")},
		{name: "result being sent", row: answered(store.Sending), want: same("success|")},
		{name: "result sent", row: answered(store.Sent), want: same("success|")},
		{name: "result a ticket that was not promised", row: answered(store.Ticket), want: same("success|")},
		{name: "result a ticket that was promised", row: promised(answered(store.Ticket)), want: same("placeholder|")},
		{name: "result fetched", row: promised(answered(store.Fetched)), want: same("placeholder|")},
		{name: "result put ahead of another", row: answered(store.Fetched), want: same("success|")},
		{name: "result undeliverable", row: answered(store.Undeliverable), want: same("success|")},
		{name: "no answer wanted", row: state(store.Silent), want: same("success|")},
		{name: "failed", row: state(store.Failed), want: same("fallback|")},
		{name: "failed after a promise", row: promised(func(row *store.Turn) { row.State, row.Delivery = store.Failed, store.Ticket }), want: same("placeholder|")},
		{name: "unparseable", row: state(store.Unparseable), want: same("success|")},
		{name: "erased", row: state(store.Erased), want: same("success|")},
		{name: "result stored, the first push is old", row: answered(store.Undelivered), old: true, want: same("replay success|")},
		{name: "running, the first push is old", row: running(selfNode, store.Undelivered), old: true, want: same("replay success|")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for kind, p := range []Policy{api, hold, ticket} {
				p.Fallback = true
				for i := range 3 {
					at := epochStart.Add(time.Duration(i) * p.Spacing)
					s := State{Row: store.Turn{MsgType: "text", OpenID: "user", CreateTime: epochStart.Unix()}}
					if test.quiet {
						s.Row.MsgType, s.Row.Event = "event", "VIEW"
					}
					if test.row != nil {
						s.Row.Version, s.Row.Seen, s.Row.Attempt, s.Row.Owner = 1, i, 1, selfNode
						s.Row.ReceivedAt, s.Row.FinishedAt = epochStart, epochStart
						if test.row(&s.Row); i == 0 {
							s.Row.Seen = 1 // the number comes from the clock, or the table has no push 1 in this state
						}
					}
					arrived := Event{Kind: PushArrived, Push: 1, Now: at, Self: selfNode, ClockAgrees: true}
					if test.old {
						arrived.Age = p.ReplayAfter + time.Millisecond
					}
					next, effects := Step(&p, s, &arrived)
					got := said(effects) + "|"
					if next.Open[len(next.Open)-1].Given == store.Open {
						next.Open[0].Number = i + 1
						due := Event{Kind: PushDue, Push: 1, Now: at.Add(p.AnswerBy), Self: selfNode, Waited: p.AnswerBy, Code: "AB"}
						if Asked(&s.Row) && (!p.API || test.draft) {
							due.Placeholder, due.Told = "placeholder", 10
						}
						_, effects := Step(&p, next, &due)
						got += said(effects)
					}
					if want := test.want[kind][i]; got != want {
						t.Errorf("%s, push %d: %q, want %q", [...]string{"api", "hold", "ticket"}[kind], i+1, got, want)
					}
				}
			}
		})
	}
}

// What Step does in cases that the simulation seldom or never comes upon.
func TestStep(t *testing.T) {
	t.Parallel()
	self, dead := selfNode, deadNode
	api, hold, ticket := accountPolicies()
	drop := api
	drop.DropUnknown = true
	now := epochStart.Add(time.Minute)
	inTime, late := api.AnswerBy+api.Grace, api.AnswerBy+api.Grace+time.Millisecond

	// running is a turn of which a push with this number is open.
	running := func(number int) State {
		return State{
			Row: store.Turn{
				Version: 1, Seen: number, State: store.Running, Attempt: 1, Owner: self, OpenID: "user", MsgType: "text",
				Pushes: []store.Push{{Number: number, At: epochStart}},
			},
			Open: []Push{{ID: 1, Number: number, at: epochStart}}, Running: true, attempt: 1,
		}
	}
	// offered is an answer that a dead process has offered to a push, which got this.
	offered := func(got store.Outcome, more ...store.Push) State {
		return State{Row: store.Turn{
			Version: 3, Seen: 1 + len(more), State: store.Answered, Reply: "reply", Attempt: 1, Owner: dead, OpenID: "user", MsgType: "text",
			Delivery: store.Offered, OfferedTo: 1, Pushes: append([]store.Push{{Number: 1, At: epochStart, Got: got}}, more...),
			FinishedAt: epochStart,
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
			Effects{Now, []Effect{{Do: NoteLate}, {Do: NoteAmbiguous}}},
			store.Answered, store.Late, false,
		},
		{
			"so, without the API", ticket, offered(store.Open),
			Event{Kind: Unconfirmed, Lost: dead},
			Effects{Now, []Effect{{Do: NoteAmbiguous}}},
			store.Answered, store.Assumed, false,
		},
		{
			"so, of an account that sends nothing twice", drop, offered(store.Open),
			Event{Kind: Unconfirmed, Lost: dead},
			Effects{Now, []Effect{{Do: NoteAmbiguous}}},
			store.Answered, store.Assumed, false,
		},
		{
			"an answer whose write failed did not arrive, but there may have been another write", api, offered(store.Cut),
			Event{Kind: Unconfirmed, Lost: dead},
			Effects{Now, []Effect{{Do: NoteLate}, {Do: NoteAmbiguous}}},
			store.Answered, store.Late, false,
		},
		{
			"so, without the API", ticket, offered(store.Aborted),
			Event{Kind: Unconfirmed, Lost: dead, Code: "AB"},
			Effects{Now, []Effect{{Do: NoteTicket}, {Do: NoteAmbiguous}}},
			store.Answered, store.Ticket, false,
		},
		{
			"a retry may still come", api, offered(store.Open, store.Push{Number: 2, At: now.Add(-14 * time.Second), Got: store.Cut}),
			Event{Kind: Unconfirmed, Lost: dead},
			Effects{Save: Now},
			store.Answered, store.Offered, false,
		},
		{
			"somebody else has offered it since", api, offered(store.Open),
			Event{Kind: Unconfirmed, Lost: otherNode},
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
			"or its placeholder", ticket, running(3),
			Event{Kind: PushDue, Push: 1, Waited: late, Placeholder: "placeholder", Code: "AB"},
			Effects{Now, []Effect{{Do: NoteTicket}, answer(3, store.GotPlaceholder)}},
			store.Running, store.Ticket, true,
		},
		{
			"a push that is held is not late", hold, running(1),
			Event{Kind: PushDue, Push: 1, Waited: late},
			Effects{Nothing, []Effect{{Do: Hold, Push: 1}}},
			store.Running, store.Undelivered, true,
		},
		{
			"WeChat's patience is used up", hold, running(1),
			Event{Kind: PushDue, Push: 1, Waited: inTime, NoHold: true},
			Effects{Lazily, []Effect{answer(1, store.GotSuccess)}},
			store.Running, store.Late, true,
		},
		{
			"so it is for an account without the API", ticket, running(1),
			Event{Kind: PushDue, Push: 1, Waited: inTime, NoHold: true, Placeholder: "placeholder", Code: "AB"},
			Effects{Now, []Effect{{Do: NoteTicket}, answer(1, store.GotPlaceholder)}},
			store.Running, store.Ticket, true,
		},
		{
			"the API is known to be down", api, running(1),
			Event{Kind: PushDue, Push: 1, Waited: inTime, NoAPI: true, Placeholder: "placeholder", Code: "AB"},
			Effects{Nothing, []Effect{{Do: Hold, Push: 1}}},
			store.Running, store.Undelivered, true,
		},
		{
			"so it is, and WeChat's patience is used up", api, running(1),
			Event{Kind: PushDue, Push: 1, Waited: inTime, NoAPI: true, NoHold: true, Placeholder: "placeholder", Code: "AB"},
			Effects{Now, []Effect{{Do: NoteTicket}, answer(1, store.GotPlaceholder)}},
			store.Running, store.Ticket, true,
		},
		{
			"so it is at the last push", api, running(3),
			Event{Kind: PushDue, Push: 1, Waited: inTime, NoAPI: true, Placeholder: "placeholder", Code: "AB"},
			Effects{Now, []Effect{{Do: NoteTicket}, answer(3, store.GotPlaceholder)}},
			store.Running, store.Ticket, true,
		},
		{
			"so it is at the last push, and nothing can be promised", api, running(3),
			Event{Kind: PushDue, Push: 1, Waited: inTime, NoAPI: true},
			Effects{Lazily, []Effect{answer(3, store.GotSuccess)}},
			store.Running, store.Late, true,
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

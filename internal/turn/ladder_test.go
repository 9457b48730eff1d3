package turn

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/echostr/echostr/store"
)

// ladderNow is when the events of these tests happen, a minute after the message.
var ladderNow = epochStart.Add(time.Minute)

// aTurn is an answered turn that is due now, with what more there is.
func aTurn(d store.Delivery, more ...func(*store.Turn)) State {
	row := store.Turn{
		Key: store.Key{1}, Version: 3, OpenID: "user", MsgType: "text", State: store.Answered, Reply: "reply", Attempt: 1, Owner: selfNode,
		Pushes: []store.Push{{Number: 1, At: epochStart, Got: store.GotSuccess}}, Seen: 1,
		ReceivedAt: epochStart, FinishedAt: epochStart.Add(30 * time.Second), Delivery: d, Due: ladderNow,
	}
	for _, f := range more {
		f(&row)
	}
	return State{Row: row}
}

func way(w store.Way) func(*store.Turn) { return func(row *store.Turn) { row.Way = w } }

func is(s store.State) func(*store.Turn) {
	return func(row *store.Turn) {
		if row.State = s; s != store.Answered {
			row.Reply = ""
		}
		if s == store.Failed {
			row.Reason = "error"
		}
		if s == store.Running {
			row.FinishedAt = time.Time{}
		}
	}
}

func event(name string) func(*store.Turn) {
	return func(row *store.Turn) { row.MsgType, row.Event = "event", name }
}

func dueIn(d time.Duration) func(*store.Turn) {
	return func(row *store.Turn) { row.Due = ladderNow.Add(d) }
}

func neverDue(row *store.Turn) { row.Due = time.Time{} }

func ownedBy(n store.Node) func(*store.Turn) { return func(row *store.Turn) { row.Owner = n } }

func reason(s string) func(*store.Turn) { return func(row *store.Turn) { row.Reason = s } }

func code(s string) func(*store.Turn) { return func(row *store.Turn) { row.Code = s } }

// pushes are numbered from 1, five seconds apart, and the first OfferedTo had the reply.
func pushes(offered int, got ...store.Outcome) func(*store.Turn) {
	return func(row *store.Turn) {
		row.Pushes, row.Seen, row.OfferedTo = nil, len(got), offered
		for i, g := range got {
			row.Pushes = append(row.Pushes, store.Push{Number: i + 1, At: epochStart.Add(time.Duration(5*i) * time.Second), Got: g})
		}
		row.FinishedAt = epochStart.Add(time.Second)
	}
}

// open adds an open push with this number, which gets this.
func open(s State, number int, given store.Outcome) State {
	at := ladderNow.Add(-time.Second)
	s.Open = append(s.Open, Push{ID: number, Number: number, Given: given, at: at, record: len(s.Row.Pushes)})
	s.Row.Pushes = append(s.Row.Pushes, store.Push{Number: number, At: at})
	s.Row.Seen++
	return s
}

func sending(s State) State { s.Sending, s.sender = true, s.Row.Owner; return s }

// outcome is what is compared of a step. Due counts from now.
type outcome struct {
	Save     Durability
	Do       []Action
	State    store.State
	Delivery store.Delivery
	Due      time.Duration
	Never    bool // due
	Reason   string
	Code     string
	Way      store.Way
}

func outcomeOf(s State, e Effects) outcome {
	row := &s.Row
	o := outcome{Save: e.Save, State: row.State, Delivery: row.Delivery, Reason: row.Reason, Code: row.Code, Way: row.Way}
	for _, e := range e.List {
		o.Do = append(o.Do, e.Do)
	}
	if o.Never = row.Due.IsZero(); !o.Never {
		o.Due = row.Due.Sub(ladderNow)
	}
	return o
}

// Each way that a reply can take from each place where it can be: R-LATE-LADDER.
func TestLadder(t *testing.T) {
	t.Parallel()
	api, _, ticket := accountPolicies()
	fallback := func(p Policy) Policy { p.Fallback = true; return p }
	careful := api
	careful.DropUnknown = true
	by := store.Key{7}
	const life, send = 24 * time.Hour, time.Minute
	answered := store.Answered
	type test struct {
		name   string
		policy Policy
		s      State
		ev     Event
		want   outcome
	}
	result := func(more Event) Event {
		more.Kind, more.Attempt, more.State, more.Code = Result, 1, answered, "AB"
		if more.Reply == "" {
			more.Reply = "reply"
		}
		return more
	}
	failed := Event{Kind: Result, Attempt: 1, State: store.Failed, Reason: "error", Code: "AB"}
	running := func(d store.Delivery, more ...func(*store.Turn)) State {
		s := aTurn(d, append([]func(*store.Turn){is(store.Running), neverDue}, more...)...)
		s.Row.Reply, s.Running, s.attempt = "", true, 1
		return s
	}
	drafted := func(got store.Outcome) func(*store.Turn) {
		return func(row *store.Turn) {
			row.Placeholder, row.Way.Told = "a draft", 10
			row.Pushes[0].Got = got
		}
	}
	for group, tests := range map[string][]test{
		"result": {
			{"late", api, running(store.Late), result(Event{Pages: 1}), outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late, Way: store.Way{Pages: 1}}},
			{"late, with messages said before", api, running(store.Late), result(Event{Said: 2}), outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late, Way: store.Way{Sent: 2}}},
			{"late without the API", ticket, running(store.Late), result(Event{}), outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonNoPush, Code: "AB"}},
			{"late, and nobody waits", ticket, running(store.Late, event("VIEW")), result(Event{}), outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: answered, Delivery: store.Undeliverable, Never: true, Reason: ReasonUnasked}},
			{"late, and it is not known to whom", api, running(store.Late, func(row *store.Turn) { row.OpenID = "" }), result(Event{}), outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: answered, Delivery: store.Undeliverable, Never: true, Reason: ReasonUnasked}},
			{"late, no answer", api, running(store.Late), Event{Kind: Result, Attempt: 1, State: store.Silent}, outcome{Save: Now, State: store.Silent, Delivery: store.Late, Never: true}},
			{"late, failed", api, running(store.Late), failed, outcome{Save: Now, State: store.Failed, Delivery: store.Late, Never: true, Reason: "error"}},
			{"late, failed, with a fallback", fallback(api), running(store.Late), failed, outcome{Save: Now, Do: []Action{NoteLate}, State: store.Failed, Delivery: store.Late, Reason: "error"}},
			{"promised", ticket, running(store.Ticket, code("CD"), dueIn(life-send)), result(Event{Pages: 3}), outcome{Save: Now, State: answered, Delivery: store.Ticket, Due: life, Code: "CD", Way: store.Way{Pages: 3}}},
			{"promised, no answer", ticket, running(store.Ticket, code("CD"), dueIn(send)), Event{Kind: Result, Attempt: 1, State: store.Silent}, outcome{Save: Now, State: store.Silent, Delivery: store.Ticket, Due: send, Code: "CD"}},
			{"nobody waits at the moment", api, running(store.Undelivered), result(Event{}), outcome{Save: Now, State: answered, Due: 15 * time.Second}},
			{"several messages, and the API is known to be down", api, open(running(store.Undelivered), 2, store.Open), result(Event{Pages: 5, Parts: 5, NoAPI: true}), outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: life, Code: "AB", Way: store.Way{Pages: 5, Shown: 1}}},
			{"so it is, and nobody waits at the moment", api, running(store.Undelivered), result(Event{Pages: 5, Parts: 5, NoAPI: true}), outcome{Save: Now, State: answered, Due: 15 * time.Second, Code: "AB", Way: store.Way{Pages: 5}}},
			{"so it is, and no push can carry it", api, running(store.Late), result(Event{Pages: 5, Parts: 5, NoAPI: true}), outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late, Code: "AB", Way: store.Way{Pages: 5}}},
			{"promised while the API was down, and it is back", api, running(store.Ticket, code("CD"), dueIn(send)), result(Event{Pages: 5, Parts: 5}), outcome{Save: Now, State: answered, Delivery: store.Ticket, Due: life, Code: "CD", Way: store.Way{Pages: 5}}},
			{"several messages", api, open(running(store.Undelivered), 2, store.Open), result(Event{Pages: 3, Parts: 3}), outcome{Save: Now, Do: []Action{NoteLate, Answer}, State: answered, Delivery: store.Late, Code: "AB", Way: store.Way{Pages: 3}}},
			{"more messages than one text may take", api, open(running(store.Undelivered), 2, store.Open), result(Event{Pages: 4, Parts: 4}), outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: life, Code: "AB", Way: store.Way{Pages: 4, Shown: 1}}},
			{"more messages than it may take after one", api, open(running(store.Undelivered), 2, store.Open), result(Event{Pages: 3, Parts: 3, Said: 1}), outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: life, Code: "AB", Way: store.Way{Pages: 3, Shown: 1, Sent: 1}}},
			{"three messages because of a click", api, open(running(store.Undelivered, event("CLICK")), 2, store.Open), result(Event{Pages: 4, Parts: 4}), outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: life, Code: "AB", Way: store.Way{Pages: 4, Shown: 1}}},
			{"several pages without the API", ticket, open(running(store.Undelivered), 2, store.Open), result(Event{Pages: 2, Parts: 2}), outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: life, Code: "AB", Way: store.Way{Pages: 2, Shown: 1}}},
			{"goes on from the draft", api, running(store.Late, drafted(store.GotPlaceholder)), result(Event{Told: 10, Pages: 1}), outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late, Way: store.Way{Told: 10, Pages: 1}}},
			{"does not go on from the draft", api, running(store.Late, drafted(store.GotPlaceholder)), result(Event{Pages: 1}), outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late, Way: store.Way{Pages: 1}}},
			{"goes on from a draft that did not arrive", api, running(store.Late, drafted(store.Cut)), result(Event{Told: 10, Pages: 1}), outcome{Save: Now, Do: []Action{NoteAmbiguous, NoteLate}, State: answered, Delivery: store.Late, Way: store.Way{Pages: 1}}},
			{"fails after a draft that did not arrive", fallback(api), running(store.Late, drafted(store.Cut)), failed, outcome{Save: Now, Do: []Action{NoteLate}, State: store.Failed, Delivery: store.Late, Reason: "error"}},
			{"of another attempt", api, running(store.Late), Event{Kind: Result, Attempt: 2, State: answered, Reply: "reply"}, outcome{State: store.Running, Delivery: store.Late, Never: true}},
		},
		"owner lost": {
			{"once, late, with a fallback", once(fallback(api)), running(store.Late, ownedBy(deadNode), drafted(store.GotPlaceholder)), Event{Kind: OwnerLost, Lost: deadNode}, outcome{Save: Now, Do: []Action{Cancel, NoteLate}, State: store.Failed, Delivery: store.Late, Reason: ReasonInterrupted}},
			{"once, late", once(api), running(store.Late, ownedBy(deadNode)), Event{Kind: OwnerLost, Lost: deadNode}, outcome{Save: Now, Do: []Action{Cancel}, State: store.Failed, Delivery: store.Late, Never: true, Reason: ReasonInterrupted}},
			{"once, and it fetches", once(ticket), running(store.Undelivered, ownedBy(deadNode), way(store.Way{Fetch: store.Fetch{Page: 1}})), Event{Kind: OwnerLost, Lost: deadNode}, outcome{Save: Now, Do: []Action{Cancel, Start}, State: store.Running, Never: true, Way: store.Way{Fetch: store.Fetch{Page: 1}}}},
			{"a third time, promised, with a fallback", fallback(ticket), running(store.Ticket, ownedBy(deadNode), code("CD"), func(row *store.Turn) { row.Attempt = 3 }), Event{Kind: OwnerLost, Lost: deadNode}, outcome{Save: Now, Do: []Action{Cancel}, State: store.Failed, Delivery: store.Ticket, Due: life, Reason: ReasonQuarantined, Code: "CD"}},
			{"promised", ticket, running(store.Ticket, ownedBy(deadNode), code("CD"), dueIn(send)), Event{Kind: OwnerLost, Lost: deadNode}, outcome{Save: Now, Do: []Action{Cancel, Start}, State: store.Running, Delivery: store.Ticket, Due: send, Code: "CD"}},
			{"while it sent", api, aTurn(store.Sending, ownedBy(deadNode)), Event{Kind: OwnerLost, Lost: deadNode, Told: 10}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Late, Due: 15 * time.Second, Way: store.Way{Tries: 1, Unknown: 1}}},
			{"while it sent for the second time", api, aTurn(store.Sending, ownedBy(deadNode), way(store.Way{Tries: 2, Unknown: 1})), Event{Kind: OwnerLost, Lost: deadNode, Told: 10}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Assumed, Never: true, Reason: ReasonTwice, Way: store.Way{Told: 10, Sent: 1}}},
			{"while it sent, and nothing is sent twice", careful, aTurn(store.Sending, ownedBy(deadNode)), Event{Kind: OwnerLost, Lost: deadNode, Told: 10, More: true}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Late, Reason: ReasonOnce, Way: store.Way{Told: 10, Sent: 1}}},
			{"and it is this process, which will know", api, sending(aTurn(store.Sending, ownedBy(deadNode))), Event{Kind: OwnerLost, Lost: deadNode}, outcome{State: answered, Delivery: store.Sending}},
			{"and another one sends", api, aTurn(store.Sending, ownedBy(otherNode)), Event{Kind: OwnerLost, Lost: deadNode}, outcome{State: answered, Delivery: store.Sending}},
			{"while it sent what is erased now", api, aTurn(store.Sending, ownedBy(deadNode), (*store.Turn).Erase), Event{Kind: OwnerLost, Lost: deadNode}, outcome{State: store.Erased, Delivery: store.Sending, Never: true}},
		},
		"promise": {
			{"a draft, and then the API", api, open(running(store.Undelivered), 1, store.Open), Event{Kind: PushDue, Push: 1, Placeholder: "draft", Told: 10, Code: "AB"}, outcome{Save: Now, Do: []Action{Answer}, State: store.Running, Delivery: store.Late, Never: true, Way: store.Way{Told: 10}}},
			{"a draft and a link", ticket, open(running(store.Undelivered), 3, store.Open), Event{Kind: PushDue, Push: 3, Placeholder: "draft", Told: 10, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket, Answer}, State: store.Running, Delivery: store.Ticket, Due: life, Code: "AB", Way: store.Way{Told: 10}}},
			{"nobody waits", ticket, open(running(store.Undelivered, event("VIEW")), 3, store.Open), Event{Kind: PushDue, Push: 3, Placeholder: "draft"}, outcome{Save: Lazily, Do: []Action{Answer}, State: store.Running, Delivery: store.Late, Never: true}},
			{"what is fetched is not there yet", ticket, open(running(store.Undelivered, way(store.Way{Fetch: store.Fetch{Page: 1}})), 3, store.Open), Event{Kind: PushDue, Push: 3, Placeholder: "wait"}, outcome{Save: Now, Do: []Action{Cancel, Answer}, State: store.Silent, Never: true, Way: store.Way{Fetch: store.Fetch{Page: 1}}}},
			{"what is fetched is not there yet, and nothing can be said", api, open(running(store.Undelivered, way(store.Way{Fetch: store.Fetch{Page: 1}})), 3, store.Open), Event{Kind: PushDue, Push: 3}, outcome{Save: Lazily, Do: []Action{Answer}, State: store.Running, Delivery: store.Late, Never: true, Way: store.Way{Fetch: store.Fetch{Page: 1}}}},
		},
		"push closed": {
			{"written", api, open(aTurn(store.Offered, pushes(1), neverDue), 1, store.GotReply), Event{Kind: PushClosed, Push: 1, Written: true}, outcome{Save: Lazily, State: answered, Delivery: store.Written, Never: true}},
			{"written, after an earlier one had failed", api, open(aTurn(store.Offered, pushes(1, store.Cut)), 2, store.GotReply), Event{Kind: PushClosed, Push: 2, Written: true}, outcome{Save: Lazily, State: answered, Delivery: store.Written, Never: true}},
			{"written, with more pages", api, open(aTurn(store.Offered, pushes(1), neverDue, way(store.Way{Pages: 2, Shown: 1})), 1, store.GotReply), Event{Kind: PushClosed, Push: 1, Written: true}, outcome{Save: Lazily, State: answered, Delivery: store.Written, Due: life - 59*time.Second, Way: store.Way{Pages: 2, Shown: 1}}},
			{"written, and not recorded", api, unrecorded(open(aTurn(store.Offered, pushes(1), neverDue), 1, store.GotReply)), Event{Kind: PushClosed, Push: 1, Written: true}, outcome{Save: Lazily, State: answered, Delivery: store.Written, Never: true}},
			{"not written", api, open(aTurn(store.Offered, pushes(1), neverDue), 1, store.GotReply), Event{Kind: PushClosed, Push: 1}, outcome{Save: Lazily, State: answered, Delivery: store.Offered, Due: 15 * time.Second}},
			{"the last one, not written", api, open(aTurn(store.Offered, pushes(3, store.Cut, store.Cut), neverDue), 3, store.GotReply), Event{Kind: PushClosed, Push: 3}, outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late}},
			{"the last one, not written, and the API is taken to have brought it", api, open(aTurn(store.Offered, pushes(3, store.Cut, store.Cut), neverDue, way(store.Way{Told: 10, Sent: 1})), 3, store.GotReply), Event{Kind: PushClosed, Push: 3}, outcome{Save: Now, State: answered, Delivery: store.Assumed, Never: true, Way: store.Way{Told: 10, Sent: 1}}},
			{"so, and it is an image", api, open(aTurn(store.Offered, pushes(3, store.Cut, store.Cut), neverDue, way(store.Way{Sent: 1}), reason(ReasonTwice)), 3, store.GotReply), Event{Kind: PushClosed, Push: 3}, outcome{Save: Now, State: answered, Delivery: store.Assumed, Never: true, Reason: ReasonTwice, Way: store.Way{Sent: 1}}},
			{"the last one, not written, without the API", ticket, open(aTurn(store.Offered, pushes(3, store.Cut, store.Cut), neverDue), 3, store.GotReply), Event{Kind: PushClosed, Push: 3, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonNoPush, Code: "AB"}},
			{"the last one, not written, and one before is not known", api, open(aTurn(store.Offered, pushes(3, store.Cut, store.Open), neverDue), 3, store.GotReply), Event{Kind: PushClosed, Push: 3}, outcome{Save: Lazily, State: answered, Delivery: store.Offered, Due: 15 * time.Second}},
			{"the last one, not written, and one before was", api, open(aTurn(store.Offered, pushes(3, store.Cut, store.GotReply), neverDue), 3, store.GotReply), Event{Kind: PushClosed, Push: 3}, outcome{Save: Lazily, State: answered, Delivery: store.Offered, Due: 15 * time.Second}},
			{"the last one, not written, and one after it is not known", api, open(aTurn(store.Offered, pushes(3, store.Cut, store.Cut, store.Cut, store.Open), neverDue), 3, store.GotReply), Event{Kind: PushClosed, Push: 3}, outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late}},
			{"not written, and another one has it", api, open(open(aTurn(store.Offered, pushes(3), neverDue), 3, store.GotReply), 4, store.GotReply), Event{Kind: PushClosed, Push: 3}, outcome{Save: Lazily, State: answered, Delivery: store.Offered, Never: true}},
			{"not written, and another one was", api, open(aTurn(store.Written, pushes(3), neverDue), 3, store.GotReply), Event{Kind: PushClosed, Push: 3}, outcome{Save: Lazily, State: answered, Delivery: store.Written, Never: true}},
			{"not written, and it had something else", api, open(aTurn(store.Late), 3, store.GotSuccess), Event{Kind: PushClosed, Push: 3}, outcome{Save: Lazily, State: answered, Delivery: store.Late}},
			{"not written, and erased", api, open(aTurn(store.Offered, pushes(3), (*store.Turn).Erase), 3, store.GotReply), Event{Kind: PushClosed, Push: 3}, outcome{Save: Lazily, State: store.Erased, Delivery: store.Offered, Never: true}},
			{"given up", api, open(aTurn(store.Offered, pushes(3), neverDue), 3, store.GotReply), Event{Kind: PushOver, Push: 3}, outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late}},
			{"given up, without having got anything", api, open(aTurn(store.Undelivered), 3, store.Open), Event{Kind: PushOver, Push: 3}, outcome{Save: Lazily, State: answered}},
		},
		"push arrives": {
			{"and has the reply first", api, aTurn(store.Undelivered, ownedBy(otherNode)), Event{Kind: PushArrived, Push: 9}, outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Never: true}},
			{"and this process has offered it before", api, aTurn(store.Offered, pushes(1, store.Cut), dueIn(send)), Event{Kind: PushArrived, Push: 9}, outcome{Save: Lazily, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: send}},
			{"and one in between has gone elsewhere", api, aTurn(store.Offered, pushes(1, store.Cut, store.Cut), dueIn(send)), Event{Kind: PushArrived, Push: 9}, outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: 15 * time.Second}},
			{"and another process has offered it before", api, aTurn(store.Offered, pushes(1, store.Cut), neverDue, ownedBy(otherNode)), Event{Kind: PushArrived, Push: 9}, outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: 15 * time.Second}},
			{"and the API is taken to have brought it", api, aTurn(store.Assumed, pushes(0, store.Cut), neverDue, way(store.Way{Told: 10, Sent: 1}), reason(ReasonTwice)), Event{Kind: PushArrived, Push: 9}, outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: 15 * time.Second, Reason: ReasonTwice, Way: store.Way{Told: 10, Sent: 1}}},
			{"and the API is taken to have brought it, and nothing is sent twice", careful, aTurn(store.Assumed, pushes(0, store.Cut), neverDue, way(store.Way{Told: 10, Sent: 1}), reason(ReasonOnce)), Event{Kind: PushArrived, Push: 9}, outcome{Save: Lazily, Do: []Action{Answer}, State: answered, Delivery: store.Assumed, Never: true, Reason: ReasonOnce, Way: store.Way{Told: 10, Sent: 1}}},
			{"and it is taken as delivered", api, aTurn(store.Assumed, pushes(1, store.Open), neverDue), Event{Kind: PushArrived, Push: 9}, outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: 15 * time.Second}},
			{"five seconds after it was written", api, aTurn(store.Written, pushes(1, store.GotReply), neverDue, since(5*time.Second)), Event{Kind: PushArrived, Push: 9}, outcome{Save: Now, Do: []Action{Answer}, State: answered, Delivery: store.Offered, Due: 15 * time.Second}},
			{"a moment after it was written", api, aTurn(store.Written, pushes(1, store.GotReply), neverDue, since(3*time.Second)), Event{Kind: PushArrived, Push: 9}, outcome{Save: Lazily, Do: []Action{Answer}, State: answered, Delivery: store.Written, Never: true}},
			{"long after it was written", api, aTurn(store.Written, pushes(1, store.GotReply), neverDue, since(15*time.Second)), Event{Kind: PushArrived, Push: 9}, outcome{Save: Lazily, Do: []Action{Answer}, State: answered, Delivery: store.Written, Never: true}},
		},
		"due": {
			{"not yet", api, aTurn(store.Late, dueIn(1)), Event{Kind: Due}, outcome{State: answered, Delivery: store.Late, Due: 1}},
			{"never", api, aTurn(store.Sent, neverDue), Event{Kind: Due}, outcome{State: answered, Delivery: store.Sent, Never: true}},
			{"late", api, aTurn(store.Late, ownedBy(deadNode)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{Send}, State: answered, Delivery: store.Sending, Due: send}},
			{"late, by a clock that has gone back", api, aTurn(store.Late, dueIn(11*time.Minute)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{Send}, State: answered, Delivery: store.Sending, Due: send}},
			{"late, in a while", api, aTurn(store.Late, dueIn(10*time.Minute)), Event{Kind: Due}, outcome{State: answered, Delivery: store.Late, Due: 10 * time.Minute}},
			{"late, and runs", api, running(store.Late, dueIn(0)), Event{Kind: Due}, outcome{Save: Lazily, State: store.Running, Delivery: store.Late, Never: true}},
			{"late, and nothing to be sent", api, aTurn(store.Late, is(store.Failed)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: store.Failed, Delivery: store.Undeliverable, Never: true, Reason: "error"}},
			{"late, and the account has no API any more", ticket, aTurn(store.Late), Event{Kind: Due, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonNoAPI, Code: "AB"}},
			{"late, and the window has closed", api, aTurn(store.Late, received(48*time.Hour+1)), Event{Kind: Due, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonWindow, Code: "AB"}},
			{"late, and the window is about to close", api, aTurn(store.Late, received(48*time.Hour)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{Send}, State: answered, Delivery: store.Sending, Due: send}},
			{"late, and that of a click has closed", api, aTurn(store.Late, event("SCAN"), received(time.Minute+1)), Event{Kind: Due, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonWindow, Code: "AB"}},
			{"late, the window has closed, and nobody waits", api, aTurn(store.Late, event("VIEW"), received(49*time.Hour)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: answered, Delivery: store.Undeliverable, Never: true, Reason: ReasonWindow}},
			{"late, and the quota is used up", api, aTurn(store.Late, way(store.Way{Sent: 5, Told: 10, TakenBy: by}), code("CD")), Event{Kind: Due, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonQuota, Code: "CD", Way: store.Way{Sent: 5, Told: 10}}},
			{"late, and that of a click is used up", api, aTurn(store.Late, event("CLICK"), way(store.Way{Sent: 3})), Event{Kind: Due, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonQuota, Code: "AB", Way: store.Way{Sent: 3}}},
			{"being sent by another process", api, aTurn(store.Sending, ownedBy(otherNode)), Event{Kind: Due}, outcome{Save: Lazily, State: answered, Delivery: store.Sending, Due: send}},
			{"being sent by this one", api, sending(aTurn(store.Sending)), Event{Kind: Due}, outcome{Save: Lazily, State: answered, Delivery: store.Sending, Due: send}},
			{"to be sent by this one, which knows nothing of it", api, aTurn(store.Sending), Event{Kind: Due}, outcome{Save: Lazily, Do: []Action{Send}, State: answered, Delivery: store.Sending, Due: send}},
			{"no push has come for it", api, aTurn(store.Undelivered), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late}},
			{"no push has come for it, without the API", ticket, aTurn(store.Undelivered), Event{Kind: Due, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonNoPush, Code: "AB"}},
			{"no push has come for it, by a clock that has gone back", api, aTurn(store.Undelivered, dueIn(time.Hour)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late}},
			{"a push has come for it", api, open(aTurn(store.Undelivered), 2, store.Open), Event{Kind: Due}, outcome{Save: Lazily, State: answered, Due: 15 * time.Second}},
			{"a push has come for it to another node", api, aTurn(store.Undelivered, since(14*time.Second)), Event{Kind: Due}, outcome{Save: Lazily, State: answered, Due: 15 * time.Second}},
			{"a push has come for it in the future", api, aTurn(store.Undelivered, since(-time.Hour)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late}},
			{"an attempt runs here of which the row says that it is over", api, outdated(aTurn(store.Offered, pushes(1, store.Cut))), Event{Kind: Due}, outcome{Save: Now, Do: []Action{Cancel, NoteLate}, State: answered, Delivery: store.Late}},
			{"no retry after a push that failed", api, aTurn(store.Offered, pushes(1, store.Cut)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late}},
			{"so, and the process that has offered it is another one", api, aTurn(store.Offered, pushes(1, store.Cut), ownedBy(deadNode)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate, NoteAmbiguous}, State: answered, Delivery: store.Late, Way: store.Way{Unknown: 1}}},
			{"so, which was this one before its lease ran out", api, aTurn(store.Offered, pushes(1, store.Cut), ownedBy(deadNode)), Event{Kind: Due, Since: 1}, outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late}},
			{"so, of an account that sends nothing twice", careful, aTurn(store.Offered, pushes(1, store.Cut), ownedBy(deadNode)), Event{Kind: Due, Since: 1}, outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late}},
			{"so, and it began later", api, aTurn(store.Offered, pushes(1, store.Cut), ownedBy(deadNode)), Event{Kind: Due, Since: 2}, outcome{Save: Now, Do: []Action{NoteLate, NoteAmbiguous}, State: answered, Delivery: store.Late, Way: store.Way{Unknown: 1}}},
			{"no retry after a push that failed, and one before is not known", api, aTurn(store.Offered, pushes(3, store.Cut, store.Open, store.Cut)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate, NoteAmbiguous}, State: answered, Delivery: store.Late, Way: store.Way{Unknown: 1}}},
			{"so, and the API is taken to have brought it", api, aTurn(store.Offered, pushes(3, store.Cut, store.Open, store.Cut), way(store.Way{Told: 10, Sent: 1})), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Assumed, Never: true, Way: store.Way{Told: 10, Sent: 1}}},
			{"so, and one before was written", api, aTurn(store.Offered, pushes(3, store.Cut, store.GotReply, store.Cut)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate, NoteAmbiguous}, State: answered, Delivery: store.Late, Way: store.Way{Unknown: 1}}},
			{"so, of an account that sends nothing twice", careful, aTurn(store.Offered, pushes(3, store.Cut, store.Open, store.Cut)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Assumed, Never: true}},
			{"so, without the API", ticket, aTurn(store.Offered, pushes(3, store.Cut, store.Open, store.Cut)), Event{Kind: Due, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket, NoteAmbiguous}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonNoPush, Code: "AB"}},
			{"no retry after a push that nobody knows of", api, aTurn(store.Offered, pushes(2, store.Cut, store.Open)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate, NoteAmbiguous}, State: answered, Delivery: store.Late, Way: store.Way{Unknown: 1}}},
			{"nor after one that is not recorded", api, aTurn(store.Offered, pushes(2, store.Cut)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate, NoteAmbiguous}, State: answered, Delivery: store.Late, Way: store.Way{Unknown: 1}}},
			{"nor if some are not", api, aTurn(store.Offered, pushes(1, store.Cut), func(row *store.Turn) { row.Seen = 9 }), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate, NoteAmbiguous}, State: answered, Delivery: store.Late, Way: store.Way{Unknown: 1}}},
			{"so, without the API", ticket, aTurn(store.Offered, pushes(1, store.Open)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Assumed, Never: true}},
			{"so, with more pages", ticket, aTurn(store.Offered, pushes(1, store.Open), way(store.Way{Pages: 2, Shown: 1})), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Assumed, Due: life - 59*time.Second, Way: store.Way{Pages: 2, Shown: 1}}},
			{"so, with more pages that are not kept any longer", ticket, aTurn(store.Offered, pushes(1, store.Open), way(store.Way{Pages: 2, Shown: 1}), finished(life)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Assumed, Due: 0, Way: store.Way{Pages: 2, Shown: 1}}},
			{"so, and the API may send it", api, aTurn(store.Offered, pushes(1, store.Open), way(store.Way{Pages: 2, Shown: 1}), finished(life)), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteLate, NoteAmbiguous}, State: answered, Delivery: store.Late, Way: store.Way{Pages: 2, Shown: 1, Unknown: 1}}},
			{"the first page failed, however long ago", ticket, aTurn(store.Offered, pushes(1, store.Cut), way(store.Way{Pages: 2, Shown: 1}), finished(life), dueIn(15*time.Second-life)), Event{Kind: Due, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonNoPush, Code: "AB", Way: store.Way{Pages: 2}}},
			{"pages, in a while", ticket, aTurn(store.Offered, pushes(1, store.Open), way(store.Way{Pages: 2, Shown: 1}), dueIn(time.Hour)), Event{Kind: Due}, outcome{State: answered, Delivery: store.Offered, Due: time.Hour, Way: store.Way{Pages: 2, Shown: 1}}},
			{"promised, and runs", ticket, running(store.Ticket, dueIn(0)), Event{Kind: Due}, outcome{Save: Lazily, State: store.Running, Delivery: store.Ticket, Due: life}},
			{"promised, and there is no answer", ticket, aTurn(store.Ticket, is(store.Silent), code("CD")), Event{Kind: Due}, outcome{Save: Lazily, State: store.Silent, Delivery: store.Ticket, Never: true, Code: "CD"}},
			{"a ticket", ticket, aTurn(store.Ticket, code("CD")), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: answered, Delivery: store.Undeliverable, Never: true, Reason: ReasonExpired, Code: "CD"}},
			{"a ticket since it could not be sent", api, aTurn(store.Ticket, reason("45015")), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: answered, Delivery: store.Undeliverable, Never: true, Reason: ReasonExpired + "; before that: 45015"}},
			{"a ticket for the second time", ticket, aTurn(store.Ticket, reason(ReasonExpired+"; before that: 45015")), Event{Kind: Due}, outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: answered, Delivery: store.Undeliverable, Never: true, Reason: ReasonExpired + "; before that: 45015"}},
			{"a ticket in days", ticket, aTurn(store.Ticket, dueIn(life)), Event{Kind: Due}, outcome{State: answered, Delivery: store.Ticket, Due: life}},
			{"fetched, and the taker runs", ticket, aTurn(store.Fetched, way(store.Way{Pages: 1, Shown: 1, TakenBy: by})), Event{Kind: Due, Taker: store.Running}, outcome{Save: Lazily, State: answered, Delivery: store.Fetched, Due: send, Way: store.Way{Pages: 1, Shown: 1, TakenBy: by}}},
			{"fetched, and carried", ticket, aTurn(store.Fetched, way(store.Way{Pages: 1, Shown: 1, TakenBy: by})), Event{Kind: Due, Taker: answered}, outcome{Save: Lazily, State: answered, Delivery: store.Fetched, Due: life, Way: store.Way{Pages: 1, Shown: 1, TakenBy: by}}},
			{"fetched, and the taker has failed", ticket, aTurn(store.Fetched, code("CD"), way(store.Way{Pages: 1, Shown: 1, TakenBy: by})), Event{Kind: Due, Taker: store.Failed}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonTaker, Code: "CD", Way: store.Way{Pages: 1}}},
			{"fetched, and the taker has answered that it has to wait", ticket, aTurn(store.Fetched, code("CD"), way(store.Way{Pages: 1, Shown: 1, TakenBy: by})), Event{Kind: Due, Taker: store.Silent}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonTaker, Code: "CD", Way: store.Way{Pages: 1}}},
			{"fetched from the outbox, and the taker has failed", api, aTurn(store.Fetched, way(store.Way{Pages: 1, Shown: 1, TakenBy: by})), Event{Kind: Due, Taker: store.Failed}, outcome{Save: Now, Do: []Action{NoteLate}, State: answered, Delivery: store.Late, Way: store.Way{Pages: 1}}},
			{"the last page was fetched, and the taker has failed", ticket, aTurn(store.Fetched, way(store.Way{Pages: 2, Shown: 2, TakenBy: by})), Event{Kind: Due, Taker: store.Failed}, outcome{Save: Lazily, State: answered, Delivery: store.Fetched, Due: life, Way: store.Way{Pages: 2, Shown: 2, TakenBy: by}}},
			{"fetched, and not kept any longer", ticket, aTurn(store.Fetched, way(store.Way{Pages: 1, Shown: 1, TakenBy: by}), finished(life)), Event{Kind: Due, Taker: answered}, outcome{Save: Lazily, State: answered, Delivery: store.Fetched, Never: true, Way: store.Way{Pages: 1, Shown: 1, TakenBy: by}}},
			{"pages that are not kept any longer", ticket, aTurn(store.Written, way(store.Way{Pages: 2, Shown: 1})), Event{Kind: Due}, outcome{Save: Lazily, State: answered, Delivery: store.Written, Never: true, Way: store.Way{Pages: 2, Shown: 1}}},
		},
		"sent": {
			{"all of it", api, sending(aTurn(store.Sending, way(store.Way{Tries: 3, Unknown: 1}), reason("busy"))), Event{Kind: Sent, Fate: Done, Told: 10}, outcome{Save: Now, State: answered, Delivery: store.Sent, Never: true, Way: store.Way{Told: 10, Sent: 1}}},
			{"a part", api, sending(aTurn(store.Sending, way(store.Way{Told: 10, Sent: 1}))), Event{Kind: Sent, Fate: Done, Told: 20, More: true}, outcome{Save: Now, State: answered, Delivery: store.Late, Way: store.Way{Told: 20, Sent: 2}}},
			{"a part that tells how to fetch the rest", api, sending(aTurn(store.Sending, way(store.Way{Told: 40, Pages: 8, Shown: 1, Sent: 4}))), Event{Kind: Sent, Fate: Done, Told: 50, Pages: 3, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Code: "AB", Way: store.Way{Told: 50, Pages: 3, Sent: 5}}},
			{"so, and it has a name", api, sending(aTurn(store.Sending, code("CD"))), Event{Kind: Sent, Fate: Done, Told: 50, Pages: 3, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Code: "CD", Way: store.Way{Told: 50, Pages: 3, Sent: 1}}},
			{"the fallback of a turn that has failed", fallback(api), sending(aTurn(store.Sending, is(store.Failed))), Event{Kind: Sent, Fate: Done}, outcome{Save: Now, State: store.Failed, Delivery: store.Sent, Never: true, Reason: "error", Way: store.Way{Sent: 1}}},
			{"not yet", api, sending(aTurn(store.Sending)), Event{Kind: Sent, Fate: Later, Reason: "busy", Jitter: .5}, outcome{Save: Now, State: answered, Delivery: store.Late, Due: 500 * time.Millisecond, Reason: "busy", Way: store.Way{Tries: 1}}},
			{"not yet, and WeChat says when", api, sending(aTurn(store.Sending)), Event{Kind: Sent, Fate: Later, After: time.Hour, Reason: "busy", Jitter: .5}, outcome{Save: Now, State: answered, Delivery: store.Late, Due: time.Hour, Reason: "busy", Way: store.Way{Tries: 1}}},
			{"not yet, after nobody knew", api, sending(aTurn(store.Sending, way(store.Way{Tries: 1, Unknown: 1}))), Event{Kind: Sent, Fate: Later, Reason: "busy", Jitter: .5}, outcome{Save: Now, State: answered, Delivery: store.Late, Due: time.Second, Reason: "busy", Way: store.Way{Tries: 2, Unknown: 1}}},
			{"never, but the user may fetch it", api, sending(aTurn(store.Sending)), Event{Kind: Sent, Fate: Refused, Reason: "45015", Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: "45015", Code: "AB"}},
			{"never, and nobody waits", api, sending(aTurn(store.Sending, event("VIEW"))), Event{Kind: Sent, Fate: Refused, Reason: "45015", Code: "AB"}, outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: answered, Delivery: store.Undeliverable, Never: true, Reason: "45015"}},
			{"never, and the user is gone", api, sending(aTurn(store.Sending)), Event{Kind: Sent, Fate: Gone, Reason: "43004"}, outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: answered, Delivery: store.Undeliverable, Never: true, Reason: "43004"}},
			{"perhaps", api, sending(aTurn(store.Sending)), Event{Kind: Sent, Fate: Unknown, Told: 10, Reason: "no answer"}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Late, Due: 15 * time.Second, Reason: "no answer", Way: store.Way{Tries: 1, Unknown: 1}}},
			{"perhaps, for the second time", api, sending(aTurn(store.Sending, way(store.Way{Tries: 1, Unknown: 1}))), Event{Kind: Sent, Fate: Unknown, Told: 10, More: true}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Late, Reason: ReasonTwice, Way: store.Way{Told: 10, Sent: 1}}},
			{"perhaps, for the second time, all of it", api, sending(aTurn(store.Sending, way(store.Way{Tries: 1, Unknown: 1}))), Event{Kind: Sent, Fate: Unknown, Told: 10}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Assumed, Never: true, Reason: ReasonTwice, Way: store.Way{Told: 10, Sent: 1}}},
			{"perhaps, for the second time, and then the rest", api, sending(aTurn(store.Sending, way(store.Way{Told: 10, Sent: 1}), reason(ReasonTwice))), Event{Kind: Sent, Fate: Done, Told: 20}, outcome{Save: Now, State: answered, Delivery: store.Assumed, Never: true, Reason: ReasonTwice, Way: store.Way{Told: 20, Sent: 2}}},
			{"perhaps, for the second time, and the rest has to wait", api, sending(aTurn(store.Sending, way(store.Way{Told: 10, Sent: 1}), reason(ReasonTwice))), Event{Kind: Sent, Fate: Later, Reason: "busy", After: time.Minute}, outcome{Save: Now, State: answered, Delivery: store.Late, Due: time.Minute, Reason: ReasonTwice, Way: store.Way{Told: 10, Sent: 1, Tries: 1}}},
			{"perhaps, and nothing is sent twice", careful, sending(aTurn(store.Sending)), Event{Kind: Sent, Fate: Unknown, Told: 10}, outcome{Save: Now, Do: []Action{NoteAmbiguous}, State: answered, Delivery: store.Assumed, Never: true, Reason: ReasonOnce, Way: store.Way{Told: 10, Sent: 1}}},
			{"by another process", api, aTurn(store.Sending, ownedBy(otherNode)), Event{Kind: Sent, Fate: Done, Told: 10}, outcome{State: answered, Delivery: store.Sending}},
			{"and somebody else has taken it over", api, aTurn(store.Late), Event{Kind: Sent, Fate: Done, Told: 10}, outcome{State: answered, Delivery: store.Late}},
			{"and erased meanwhile", api, sending(aTurn(store.Sending, (*store.Turn).Erase)), Event{Kind: Sent, Fate: Done, Told: 10, More: true}, outcome{State: store.Erased, Delivery: store.Sending, Never: true}},
		},
		"take": {
			{"runs", ticket, running(store.Ticket, code("CD"), dueIn(send)), Event{Kind: Take, By: by, Page: 1}, outcome{Do: []Action{Wait}, State: store.Running, Delivery: store.Ticket, Due: send, Code: "CD"}},
			{"a ticket", ticket, aTurn(store.Ticket), Event{Kind: Take, By: by, Page: 1, Pages: 1}, outcome{Save: Now, Do: []Action{Give}, State: answered, Delivery: store.Fetched, Due: send, Way: store.Way{Pages: 1, Shown: 1, TakenBy: by}}},
			{"the fallback of a turn that has failed", fallback(ticket), aTurn(store.Ticket, is(store.Failed)), Event{Kind: Take, By: by, Page: 1, Pages: 1}, outcome{Save: Now, Do: []Action{Give}, State: store.Failed, Delivery: store.Fetched, Due: send, Reason: "error", Way: store.Way{Pages: 1, Shown: 1, TakenBy: by}}},
			{"a turn that has failed", ticket, aTurn(store.Ticket, is(store.Failed)), Event{Kind: Take, By: by, Page: 1}, outcome{Save: Now, Do: []Action{Deny}, State: store.Failed, Delivery: store.Fetched, Due: life, Reason: "error"}},
			{"a turn that has failed, once more", ticket, aTurn(store.Fetched, is(store.Failed)), Event{Kind: Take, By: by, Page: 1}, outcome{Do: []Action{Deny}, State: store.Failed, Delivery: store.Fetched, Reason: "error"}},
			{"a turn that has failed, whole", ticket, aTurn(store.Ticket, is(store.Failed)), Event{Kind: Take, By: by}, outcome{Do: []Action{Deny}, State: store.Failed, Delivery: store.Ticket, Reason: "error"}},
			{"no answer", ticket, aTurn(store.Ticket, is(store.Silent)), Event{Kind: Take, By: by, Page: 1}, outcome{Save: Now, Do: []Action{Deny}, State: store.Silent, Delivery: store.Fetched, Due: life}},
			{"whole", ticket, aTurn(store.Ticket), Event{Kind: Take, By: by, Pages: 1}, outcome{Save: Now, Do: []Action{Give}, State: answered, Delivery: store.Fetched, Due: send, Way: store.Way{Pages: 1, Shown: 1, TakenBy: by}}},
			{"whole, and it has pages", ticket, aTurn(store.Ticket, way(store.Way{Pages: 2})), Event{Kind: Take, By: by}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Ticket, Way: store.Way{Pages: 2}}},
			{"whole, and it is fetched", ticket, aTurn(store.Fetched, way(store.Way{Pages: 1, Shown: 1, TakenBy: store.Key{9}})), Event{Kind: Take, By: by, Pages: 1}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Fetched, Way: store.Way{Pages: 1, Shown: 1, TakenBy: store.Key{9}}}},
			{"whole, by another attempt of the same", ticket, aTurn(store.Fetched, way(store.Way{Pages: 1, Shown: 1, TakenBy: by})), Event{Kind: Take, By: by, Pages: 1}, outcome{Do: []Action{Give}, State: answered, Delivery: store.Fetched, Way: store.Way{Pages: 1, Shown: 1, TakenBy: by}}},
			{"whole, from the outbox", api, aTurn(store.Late, way(store.Way{Tries: 2})), Event{Kind: Take, By: by, Pages: 1}, outcome{Save: Now, Do: []Action{Give}, State: answered, Delivery: store.Fetched, Due: send, Way: store.Way{Pages: 1, Shown: 1, Tries: 2, TakenBy: by}}},
			{"whole, from the outbox, which may have sent it", api, aTurn(store.Late, way(store.Way{Tries: 1, Unknown: 1})), Event{Kind: Take, By: by, Pages: 1}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Late, Way: store.Way{Tries: 1, Unknown: 1}}},
			{"whole, from the outbox, which has sent a part", api, aTurn(store.Late, way(store.Way{Told: 10})), Event{Kind: Take, By: by, Pages: 1}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Late, Way: store.Way{Told: 10}}},
			{"whole, while it is sent", api, aTurn(store.Sending), Event{Kind: Take, By: by, Pages: 1}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Sending}},
			{"the fallback from the outbox", fallback(api), aTurn(store.Late, is(store.Failed)), Event{Kind: Take, By: by, Pages: 1}, outcome{Do: []Action{Deny}, State: store.Failed, Delivery: store.Late, Reason: "error"}},
			{"a page from the outbox", api, aTurn(store.Late), Event{Kind: Take, By: by, Page: 1, Pages: 1}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Late}},
			{"page 1 of 3", ticket, aTurn(store.Ticket, way(store.Way{Pages: 3})), Event{Kind: Take, By: by, Page: 1}, outcome{Save: Now, Do: []Action{Give}, State: answered, Delivery: store.Ticket, Due: life, Way: store.Way{Pages: 3, Shown: 1, TakenBy: by}}},
			{"page 2 of 3 before page 1", ticket, aTurn(store.Ticket, way(store.Way{Pages: 3})), Event{Kind: Take, By: by, Page: 2}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Ticket, Way: store.Way{Pages: 3}}},
			{"page 3 of 3", ticket, aTurn(store.Ticket, way(store.Way{Pages: 3, Shown: 2, TakenBy: store.Key{9}})), Event{Kind: Take, By: by, Page: 3}, outcome{Save: Now, Do: []Action{Give}, State: answered, Delivery: store.Fetched, Due: life, Way: store.Way{Pages: 3, Shown: 3, TakenBy: by}}},
			{"page 3 of 2, since some of it was sent", ticket, aTurn(store.Ticket, way(store.Way{Pages: 3, Shown: 2})), Event{Kind: Take, By: by, Page: 3, Pages: 2}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Ticket, Way: store.Way{Pages: 3, Shown: 2}}},
			{"page 2 of 2, since some of it was sent", ticket, aTurn(store.Ticket, way(store.Way{Pages: 3, Shown: 1})), Event{Kind: Take, By: by, Page: 2, Pages: 2}, outcome{Save: Now, Do: []Action{Give}, State: answered, Delivery: store.Fetched, Due: life, Way: store.Way{Pages: 2, Shown: 2, TakenBy: by}}},
			{"a page that somebody was quicker to take", ticket, aTurn(store.Ticket, way(store.Way{Pages: 3, Shown: 2, TakenBy: store.Key{9}})), Event{Kind: Take, By: by, Page: 2}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Ticket, Way: store.Way{Pages: 3, Shown: 2, TakenBy: store.Key{9}}}},
			{"by another attempt of the same", ticket, aTurn(store.Ticket, way(store.Way{Pages: 3, Shown: 2, TakenBy: by})), Event{Kind: Take, By: by, Page: 2}, outcome{Do: []Action{Give}, State: answered, Delivery: store.Ticket, Way: store.Way{Pages: 3, Shown: 2, TakenBy: by}}},
			{"an earlier page once more", ticket, aTurn(store.Ticket, way(store.Way{Pages: 3, Shown: 2, TakenBy: store.Key{9}})), Event{Kind: Take, By: by, Page: 1, Again: true}, outcome{Do: []Action{Give}, State: answered, Delivery: store.Ticket, Way: store.Way{Pages: 3, Shown: 2, TakenBy: store.Key{9}}}},
			{"the last page once more", ticket, aTurn(store.Fetched, way(store.Way{Pages: 2, Shown: 2, TakenBy: store.Key{9}})), Event{Kind: Take, By: by, Page: 2, Again: true}, outcome{Save: Now, Do: []Action{Give}, State: answered, Delivery: store.Fetched, Due: life, Way: store.Way{Pages: 2, Shown: 2, TakenBy: by}}},
			{"by nobody", ticket, aTurn(store.Fetched, way(store.Way{Pages: 1, Shown: 1})), Event{Kind: Take, Page: 1}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Fetched, Way: store.Way{Pages: 1, Shown: 1}}},
			{"page 2 behind a push", ticket, aTurn(store.Written, way(store.Way{Pages: 2, Shown: 1})), Event{Kind: Take, By: by, Page: 2}, outcome{Save: Now, Do: []Action{Give}, State: answered, Delivery: store.Written, Due: life, Way: store.Way{Pages: 2, Shown: 2, TakenBy: by}}},
			{"page 2 behind a push that has not told yet", ticket, aTurn(store.Offered, way(store.Way{Pages: 2, Shown: 1})), Event{Kind: Take, By: by, Page: 2}, outcome{Save: Now, Do: []Action{Give}, State: answered, Delivery: store.Written, Due: life, Way: store.Way{Pages: 2, Shown: 2, TakenBy: by}}},
			{"page 2 behind a push that is taken to have brought page 1", ticket, aTurn(store.Assumed, way(store.Way{Pages: 2, Shown: 1})), Event{Kind: Take, By: by, Page: 2}, outcome{Save: Now, Do: []Action{Give}, State: answered, Delivery: store.Assumed, Due: life, Way: store.Way{Pages: 2, Shown: 2, TakenBy: by}}},
			{"page 3 behind a push, before page 2", ticket, aTurn(store.Written, way(store.Way{Pages: 3, Shown: 1})), Event{Kind: Take, By: by, Page: 3}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Written, Way: store.Way{Pages: 3, Shown: 1}}},
			{"what a push has brought whole", ticket, aTurn(store.Written, neverDue), Event{Kind: Take, By: by, Page: 1, Pages: 1}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Written, Never: true}},
			{"sent", api, aTurn(store.Sent, neverDue), Event{Kind: Take, By: by, Page: 1, Pages: 1}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Sent, Never: true}},
			{"expired", ticket, aTurn(store.Undeliverable, neverDue), Event{Kind: Take, By: by, Page: 1, Pages: 1}, outcome{Do: []Action{Deny}, State: answered, Delivery: store.Undeliverable, Never: true}},
		},
		"operator": {
			{"resends what was given up", api, aTurn(store.Undeliverable, neverDue, way(store.Way{Told: 10, Tries: 4, Unknown: 1, Sent: 1})), Event{Kind: Resend}, outcome{Save: Now, State: answered, Delivery: store.Late, Way: store.Way{Told: 10, Sent: 1}}},
			{"resends what was sent", api, aTurn(store.Sent, neverDue, way(store.Way{Told: 10, Sent: 1})), Event{Kind: Resend}, outcome{Save: Now, State: answered, Delivery: store.Late, Way: store.Way{Sent: 1}}},
			{"resends what waits for its time", api, aTurn(store.Late, dueIn(send), way(store.Way{Told: 10, Tries: 4})), Event{Kind: Resend}, outcome{Save: Now, State: answered, Delivery: store.Late, Way: store.Way{Told: 10}}},
			{"resends what is being sent", api, aTurn(store.Sending), Event{Kind: Resend}, outcome{State: answered, Delivery: store.Sending}},
			{"resends without the API", ticket, aTurn(store.Undeliverable, neverDue, code("CD"), reason(ReasonExpired)), Event{Kind: Resend, Code: "AB"}, outcome{Save: Now, Do: []Action{NoteTicket}, State: answered, Delivery: store.Ticket, Due: life, Reason: ReasonExpired, Code: "CD"}},
			{"resends what there is not", api, aTurn(store.Late, is(store.Failed), neverDue), Event{Kind: Resend}, outcome{State: store.Failed, Delivery: store.Late, Never: true, Reason: "error"}},
			{"drops what waits to be sent", api, aTurn(store.Late), Event{Kind: Drop}, outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: answered, Delivery: store.Undeliverable, Never: true, Reason: ReasonDropped}},
			{"drops a ticket", ticket, aTurn(store.Ticket), Event{Kind: Drop}, outcome{Save: Now, Do: []Action{NoteUndeliverable}, State: answered, Delivery: store.Undeliverable, Never: true, Reason: ReasonDropped}},
			{"drops what runs", ticket, running(store.Ticket), Event{Kind: Drop}, outcome{State: store.Running, Delivery: store.Ticket, Never: true}},
			{"drops what is being sent", api, aTurn(store.Sending), Event{Kind: Drop}, outcome{State: answered, Delivery: store.Sending}},
		},
		"changed": {
			{"our own mark, whose commit was answered by an error", api, aTurn(store.Sending), Event{Kind: Changed}, outcome{Do: []Action{Send}, State: answered, Delivery: store.Sending}},
			{"what we are sending", api, sending(aTurn(store.Sending)), Event{Kind: Changed}, outcome{State: answered, Delivery: store.Sending}},
			{"what another one is sending", api, aTurn(store.Sending, ownedBy(otherNode)), Event{Kind: Changed}, outcome{State: answered, Delivery: store.Sending}},
			{"what we were to send, and is erased", api, aTurn(store.Sending, (*store.Turn).Erase), Event{Kind: Changed}, outcome{State: store.Erased, Delivery: store.Sending, Never: true}},
			{"offered, and we have written it", api, hasWritten(aTurn(store.Offered, pushes(1, store.Open))), Event{Kind: Changed}, outcome{Save: Now, State: answered, Delivery: store.Written, Never: true}},
			{"offered, and we have not", api, aTurn(store.Offered, pushes(1, store.Open)), Event{Kind: Changed}, outcome{State: answered, Delivery: store.Offered}},
			{"offered by us in vain, which the row does not say", api, hasFailed(aTurn(store.Offered, pushes(3, store.Cut, store.Open, store.Open), neverDue)), Event{Kind: Changed}, outcome{Save: Lazily, State: answered, Delivery: store.Offered, Due: 15 * time.Second}},
			{"so, with more pages", ticket, hasFailed(aTurn(store.Offered, pushes(3, store.Cut, store.Open, store.Open), way(store.Way{Pages: 2, Shown: 1}), dueIn(life))), Event{Kind: Changed}, outcome{Save: Lazily, State: answered, Delivery: store.Offered, Due: 15 * time.Second, Way: store.Way{Pages: 2, Shown: 1}}},
			{"offered by us, and a push has it still", api, open(hasFailed(aTurn(store.Offered, pushes(3, store.Cut, store.Open, store.Open), neverDue)), 4, store.GotReply), Event{Kind: Changed}, outcome{Save: Lazily, State: answered, Delivery: store.Offered, Never: true}},
			{"offered in vain, and another process sees to it", api, hasFailed(aTurn(store.Offered, pushes(3, store.Cut, store.Open, store.Open), neverDue, ownedBy(otherNode))), Event{Kind: Changed}, outcome{Save: Lazily, State: answered, Delivery: store.Offered, Never: true}},
			{"late, and a push waits here", api, open(aTurn(store.Late), 2, store.Open), Event{Kind: Changed}, outcome{Do: []Action{Answer}, State: answered, Delivery: store.Late}},
		},
	} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			for _, test := range tests {
				test.ev.Now, test.ev.Self = ladderNow, selfNode
				before := test.s
				next, effects := Step(&test.policy, test.s, &test.ev)
				if diff := cmp.Diff(test.want, outcomeOf(next, effects)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", test.name, diff)
				}
				if diff := cmp.Diff(before.Row, test.s.Row); diff != "" {
					t.Errorf("%s: the old state is changed:\n%s", test.name, diff)
				}
			}
		})
	}
}

func once(p Policy) Policy { p.Once = true; return p }

func unrecorded(s State) State {
	s.Row.Pushes = nil
	s.Open[0].record = -1
	return s
}

func hasWritten(s State) State {
	p := s.Row.Pushes[0]
	p.Got = store.GotReply
	s.over = append(s.over, p)
	return s
}

// outdated has an attempt run here that is not that of the row.
func outdated(s State) State {
	s.Running, s.attempt = true, s.Row.Attempt-1
	return s
}

// hasFailed adds to what this process knows, and the row need not, that the last push did not take its answer.
func hasFailed(s State) State {
	p := s.Row.Pushes[len(s.Row.Pushes)-1]
	p.Got = store.Cut
	s.over = append(s.over, p)
	return s
}

// since moves the last push so that it came that long ago.
func since(d time.Duration) func(*store.Turn) {
	return func(row *store.Turn) { row.Pushes[len(row.Pushes)-1].At = ladderNow.Add(-d) }
}

func received(ago time.Duration) func(*store.Turn) {
	return func(row *store.Turn) { row.ReceivedAt = ladderNow.Add(-ago) }
}

func finished(ago time.Duration) func(*store.Turn) {
	return func(row *store.Turn) { row.FinishedAt = ladderNow.Add(-ago) }
}

// The outcome of a request that this process has made under an epoch that is dead counts, if nobody was quicker.
func TestSentUnderAnEpochThatIsDead(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	s, _ := Step(&p, aTurn(store.Late), &Event{Kind: Due, Now: ladderNow, Self: deadNode})
	s, effects := Step(&p, s, &Event{Kind: OwnerLost, Now: ladderNow, Self: selfNode, Lost: deadNode})
	if s.Row.Delivery != store.Sending || len(effects.List) > 0 {
		t.Errorf("when the epoch is lost: %v, %v", s.Row.Delivery, effects)
	}
	s, _ = Step(&p, s, &Event{Kind: Sent, Now: ladderNow, Self: deadNode, Fate: Done, Told: 5})
	if s.Row.Delivery != store.Sent || s.Sending {
		t.Errorf("when it is done: %v, sending %v", s.Row.Delivery, s.Sending)
	}
	// Somebody was quicker, and it is to be sent again: the old outcome says nothing.
	s, _ = Step(&p, aTurn(store.Late), &Event{Kind: Due, Now: ladderNow, Self: deadNode})
	s.Row.Delivery = store.Late
	s, _ = Step(&p, s, &Event{Kind: Changed, Now: ladderNow, Self: selfNode})
	s, effects = Step(&p, s, &Event{Kind: Due, Now: ladderNow.Add(time.Hour), Self: selfNode})
	if s.Row.Delivery != store.Late || len(effects.List) > 0 || s.Row.Due.Before(ladderNow.Add(time.Hour)) {
		t.Errorf("while the old request is under way: %v, %v, due %v", s.Row.Delivery, effects, s.Row.Due)
	}
	s, _ = Step(&p, s, &Event{Kind: Sent, Now: ladderNow, Self: deadNode, Fate: Done, Told: 5})
	if s.Row.Delivery != store.Late || s.Sending {
		t.Errorf("when it is over: %v, sending %v", s.Row.Delivery, s.Sending)
	}
	if s, _ = Step(&p, s, &Event{Kind: Due, Now: ladderNow.Add(2 * time.Hour), Self: selfNode}); s.Row.Delivery != store.Sending {
		t.Errorf("after that: %v", s.Row.Delivery)
	}
}

// A push that the row does not know is put on record when the row is read anew, so that an answer that
// is offered to it is not taken for one that nobody has got.
func TestChangedRecordsPushes(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	s := open(aTurn(store.Undelivered, pushes(0, store.Cut)), 2, store.Open)
	s.Row.Pushes, s.Row.Seen = s.Row.Pushes[:1:1], 1 // as another node has saved it
	s, effects := Step(&p, s, &Event{Kind: Changed, Now: ladderNow, Self: selfNode})
	if n := len(s.Row.Pushes); n != 2 || s.Row.Pushes[1].Number != 2 || s.Row.Seen != 2 || s.Row.OfferedTo != 2 || effects.Save != Now {
		t.Errorf("pushes %v of %d, offered to %d, %v", s.Row.Pushes, s.Row.Seen, s.Row.OfferedTo, effects)
	}
	if s, _ = Step(&p, s, &Event{Kind: Changed, Now: ladderNow, Self: selfNode}); len(s.Row.Pushes) != 2 || s.Row.Seen != 2 {
		t.Errorf("read again: pushes %v of %d", s.Row.Pushes, s.Row.Seen)
	}
	if s, _ = Step(&p, s, &Event{Kind: PushClosed, Push: 2, Now: ladderNow, Self: selfNode}); s.Row.Pushes[1].Got != store.Cut {
		t.Errorf("and closed: %v", s.Row.Pushes)
	}
	// Another node saves the row without knowing of that, or of the push.
	for _, known := range []int{2, 1} {
		s.Row.Pushes = append([]store.Push{}, s.Row.Pushes[:known]...)
		s.Row.Pushes[known-1].Got, s.Row.Seen = store.Open, known
		if known == 1 {
			s.Row.Pushes[0].Got = store.Cut
		}
		s, effects = Step(&p, s, &Event{Kind: Changed, Now: ladderNow, Self: selfNode})
		if n := len(s.Row.Pushes); n != 2 || s.Row.Pushes[1].Got != store.Cut || s.Row.Seen != 2 || effects.Save != Lazily {
			t.Errorf("with %d pushes: %v of %d, %v", known, s.Row.Pushes, s.Row.Seen, effects)
		}
	}
}

// Pauses grow to their bound and stay there; the jitter keeps them within it, and they are never shorter than
// WeChat demands. R-LATE-BACKOFF
func TestBackOff(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	pause := func(tries int, jitter float64, after time.Duration) time.Duration {
		s := sending(aTurn(store.Sending, way(store.Way{Tries: tries - 1})))
		s, _ = Step(&p, s, &Event{Kind: Sent, Now: ladderNow, Self: selfNode, Fate: Later, Jitter: jitter, After: after})
		if s.Row.Way.Tries != tries {
			t.Errorf("%d tries, want %d", s.Row.Way.Tries, tries)
		}
		return s.Row.Due.Sub(ladderNow)
	}
	const almost = 1 - 1e-9
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300} {
		if got := pause(i+1, almost, 0); got > want*time.Second || got < want*time.Second-time.Microsecond {
			t.Errorf("after %d tries %v at most, want %v", i+1, got, want*time.Second)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		tries := rapid.IntRange(1, 10_000).Draw(t, "tries")
		jitter := rapid.Float64Range(0, almost).Draw(t, "jitter")
		after := time.Duration(rapid.IntRange(0, 600).Draw(t, "after")) * time.Second
		got, longest := pause(tries, jitter, 0), pause(tries, almost, 0)
		if got < 0 || got > longest || longest > p.MaxBackOff || longest > pause(tries+1, almost, 0) {
			t.Errorf("%v of %v after %d tries", got, longest, tries)
		}
		if got := pause(tries, jitter, after); got < after || got > max(after, longest) {
			t.Errorf("%v after %d tries, and WeChat demands %v", got, tries, after)
		}
	})
}

// Quotas and windows by what WeChat takes for an action of the user: R-API-WINDOW.
func TestAllowance(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	for _, test := range []struct {
		msgType, event string
		window         time.Duration
		quota          int
		asked          bool
	}{
		{"text", "", 48 * time.Hour, 5, true},
		{"image", "", 48 * time.Hour, 5, true},
		{"event", "CLICK", time.Minute, 3, true},
		{"event", "scancode_push", time.Minute, 3, true},
		{"event", "scancode_waitmsg", time.Minute, 3, true},
		{"Event", "subscribe", time.Minute, 3, true},
		{"event", "SCAN", time.Minute, 3, true},
		{"event", "VIEW", 48 * time.Hour, 5, false},
		{"event", "LOCATION", 48 * time.Hour, 5, false},
		{"event", "", 48 * time.Hour, 5, false},
	} {
		row := store.Turn{OpenID: "user", MsgType: test.msgType, Event: test.event}
		if window, quota := p.Allowance(&row); window != test.window || quota != test.quota {
			t.Errorf("%s %s: %d in %v, want %d in %v", test.msgType, test.event, quota, window, test.quota, test.window)
		}
		if got := Asked(&row); got != test.asked {
			t.Errorf("%s %s: asked %v", test.msgType, test.event, got)
		}
		if row.OpenID = ""; Asked(&row) {
			t.Errorf("%s %s: asked by nobody", test.msgType, test.event)
		}
	}
}

// What is told of a reply counts if a push is known to have taken it.
func TestTold(t *testing.T) {
	t.Parallel()
	row := store.Turn{Way: store.Way{Told: 10}, Pushes: []store.Push{{Got: store.Cut}, {Got: store.Open}}}
	if got := Told(&row); got != 0 {
		t.Errorf("%d are told while nobody knows", got)
	}
	row.Pushes[1].Got = store.GotPlaceholder
	if got := Told(&row); got != 10 {
		t.Errorf("%d are told, want 10", got)
	}
}

// A reply that an earlier push may have brought is not sent when the last push breaks off, but when nobody has said
// for fifteen seconds that it has; and then once, whatever the API tells.
func TestP4EarlierPushMayHaveIt(t *testing.T) {
	t.Parallel()
	api, _, _ := accountPolicies()
	careful := api
	careful.DropUnknown = true
	for name, test := range map[string]struct {
		policy Policy
		sends  int
	}{"resend": {api, 1}, "drop": {careful, 0}} {
		for _, earlier := range []store.Outcome{store.Open, store.GotReply} {
			s, now, sends := open(aTurn(store.Offered, pushes(3, store.Cut, earlier), neverDue), 3, store.GotReply), ladderNow, 0
			ev := Event{Kind: PushClosed, Push: 3}
			for range 10 {
				ev.Now, ev.Self = now, selfNode
				next, effects := Step(&test.policy, s, &ev)
				s, ev = next, Event{Kind: Due}
				for _, e := range effects.List {
					if e.Do == Send {
						sends++
						ev = Event{Kind: Sent, Fate: Unknown}
						if now.Before(ladderNow.Add(test.policy.AssumeAfter)) {
							t.Errorf("%s, %v: sent after %v", name, earlier, now.Sub(ladderNow))
						}
					}
				}
				if s.Row.Due.IsZero() {
					break
				}
				now = s.Row.Due
			}
			if sends != test.sends || s.Row.Delivery != store.Assumed {
				t.Errorf("%s, %v: sent %d times, want %d; in the end the delivery is %v", name, earlier, sends, test.sends, s.Row.Delivery)
			}
		}
	}
}

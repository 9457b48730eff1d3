package turn

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
)

// desk is a process with one turn, and the store that outlives it.
type desk struct {
	p      Policy
	now    time.Time
	self   store.Node
	disk   store.Turn
	s      State
	pushes int
	did    []string
}

func newDesk(p Policy) *desk {
	d := &desk{p: p, now: epochStart, self: store.Node{ID: "node", Epoch: 1}}
	d.s.Row = store.Turn{Key: store.Key{1}, MsgType: "text", OpenID: "user", CreateTime: epochStart.Unix()}
	return d
}

// step feeds an event, commits what it asks for, and carries out its effects. The lines of did say which.
func (d *desk) step(ev Event) {
	next, effects := d.plan(ev)
	if effects.Save == Now {
		d.commit(next)
	}
	d.s = next
	d.s.Row.Version = max(d.s.Row.Version, d.disk.Version)
	for _, e := range effects.List {
		word := map[Action]string{
			Start: "start", Cancel: "cancel", Hold: "hold", Replay: "replay", NoteLate: "late", NoteAmbiguous: "ambiguous",
			NoteTicket: "ticket", NoteUndeliverable: "undeliverable", Send: "send", Give: "give", Wait: "wait", Deny: "deny",
		}[e.Do]
		if e.Do == Answer {
			word = e.Given.String()
		}
		d.did = append(d.did, word)
	}
}

// plan is a step whose effects and commit do not happen.
func (d *desk) plan(ev Event) (State, Effects) {
	ev.Now = d.now
	if ev.Self == (store.Node{}) {
		ev.Self = d.self
	}
	if ev.Code == "" {
		ev.Code = "AB"
	}
	return Step(&d.p, d.s, &ev)
}

// commit is a transaction that is carried out, whoever learns of it.
func (d *desk) commit(s State) {
	s.Row.Version = d.disk.Version + 1
	d.disk = s.Row
}

// mark is the save of what could wait.
func (d *desk) mark() {
	d.commit(d.s)
	d.s.Row = d.disk
}

func (d *desk) crash() {
	d.s = State{Row: d.disk}
	if d.disk.Version == 0 {
		d.s = newDesk(d.p).s
	}
	d.self.Epoch++
	d.did = nil
}

func (d *desk) dead() store.Node { return store.Node{ID: d.self.ID, Epoch: d.self.Epoch - 1} }

func (d *desk) after(t time.Duration) { d.now = d.now.Add(t) }

func (d *desk) push() {
	d.pushes++
	d.step(Event{Kind: PushArrived, Push: d.pushes, Age: d.now.Sub(epochStart)})
}

// result is that of the newest attempt.
func (d *desk) resultEvent() Event {
	return Event{Kind: Result, Attempt: d.s.Row.Attempt, State: store.Answered, Reply: "reply", Pages: 1, Parts: 1}
}

func (d *desk) result() { d.step(d.resultEvent()) }

// late ends the window of the push, and writes what it gets.
func (d *desk) late(placeholder string) {
	d.step(Event{Kind: PushDue, Push: d.pushes, Waited: d.p.AnswerBy, Placeholder: placeholder})
	d.step(Event{Kind: PushClosed, Push: d.pushes, Written: true})
}

// lost is what a process finds that comes after.
func (d *desk) lost() { d.step(Event{Kind: OwnerLost, Lost: d.dead(), Told: 10}) }

func (d *desk) due() {
	if !d.s.Row.Due.IsZero() && d.s.Row.Due.After(d.now) {
		d.now = d.s.Row.Due
	}
	d.step(Event{Kind: Due})
}

func (d *desk) sent(f Fate) { d.step(Event{Kind: Sent, Fate: f, Told: 10}) }

// A process dies at each point of the table of docs/reliability.md, and another one goes on: what the store
// holds then decides.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	api, hold, ticket := accountPolicies()
	oncePolicy := once(ticket)
	oncePolicy.Fallback = true
	careful := api
	careful.DropUnknown = true
	begun := func(d *desk) { d.push() }
	sending := func(d *desk) { d.push(); d.late(""); d.result(); d.due() }
	promised := func(d *desk) { d.push(); d.s.Open[0].Number = 3; d.late("placeholder"); d.result() }
	for _, test := range []struct {
		id, name string
		p        Policy
		until    func(*desk) // the crash
		after    func(*desk)
		did      string
		state    store.State
		delivery store.Delivery
		attempt  int
	}{
		{"C1", "verified, T1 not sent", api, func(d *desk) { d.plan(Event{Kind: PushArrived, Push: 1}) }, func(d *desk) { d.push() }, "start", store.Running, store.Undelivered, 1},
		{"C2", "T1 in flight, and carried out", api, func(d *desk) { next, _ := d.plan(Event{Kind: PushArrived, Push: 1}); d.commit(next) }, (*desk).lost, "start", store.Running, store.Undelivered, 2},
		{"C3", "T1 committed", api, begun, (*desk).lost, "start", store.Running, store.Undelivered, 2},
		{"C3", "T1 committed, and the retry comes first", api, begun, func(d *desk) { d.after(5 * time.Second); d.push(); d.lost(); d.result() }, "start reply", store.Answered, store.Offered, 2},
		{"C4", "in the handler, once", oncePolicy, begun, func(d *desk) { d.lost(); d.push() }, "fallback", store.Failed, store.Undelivered, 1},
		{"C4", "in the handler of the third attempt", api, func(d *desk) { begun(d); d.crash(); d.lost(); d.crash(); d.lost() }, (*desk).lost, "", store.Failed, store.Undelivered, 3},
		{"C5", "T2 not sent", api, func(d *desk) { begun(d); d.plan(d.resultEvent()) }, (*desk).lost, "start", store.Running, store.Undelivered, 2},
		{"C6", "T2 in flight, carried out, and the retry comes", api, func(d *desk) { begun(d); next, _ := d.plan(d.resultEvent()); d.commit(next) }, func(d *desk) { d.after(5 * time.Second); d.push() }, "reply", store.Answered, store.Offered, 1},
		{"C6", "T2 in flight without a push, carried out", api, func(d *desk) {
			begun(d)
			d.step(Event{Kind: PushClosed, Push: 1})
			next, _ := d.plan(d.resultEvent())
			d.commit(next)
		}, func(d *desk) { d.due(); d.due(); d.sent(Done) }, "late send", store.Answered, store.Sent, 1},
		{"C7", "offered, not written, no retry", api, func(d *desk) { begun(d); d.result() }, func(d *desk) {
			d.after(15 * time.Second)
			d.step(Event{Kind: Unconfirmed, Lost: d.dead()})
			d.due()
			d.sent(Done)
		}, "late ambiguous send", store.Answered, store.Sent, 1},
		{"C7", "offered, not written, no retry, and the API does not tell", api, func(d *desk) { begun(d); d.result() }, func(d *desk) {
			d.after(15 * time.Second)
			d.step(Event{Kind: Unconfirmed, Lost: d.dead()})
			d.due()
			d.sent(Unknown)
		}, "late ambiguous send ambiguous", store.Answered, store.Assumed, 1},
		{"C7", "offered, not written, no retry, without the API", ticket, func(d *desk) { begun(d); d.result() }, func(d *desk) {
			d.after(15 * time.Second)
			d.step(Event{Kind: Unconfirmed, Lost: d.dead()})
		}, "ambiguous", store.Answered, store.Assumed, 1},
		{"C8", "part of the response written", hold, func(d *desk) { begun(d); d.result() }, func(d *desk) { d.after(time.Second); d.push(); d.step(Event{Kind: PushClosed, Push: 2, Written: true}) }, "reply", store.Answered, store.Written, 1},
		{"C9", "written, and that is saved", api, func(d *desk) { begun(d); d.result(); d.step(Event{Kind: PushClosed, Push: 1, Written: true}); d.mark() }, func(d *desk) { d.after(time.Minute); d.due() }, "", store.Answered, store.Written, 1},
		{"C9", "written by the retry, and that is not saved", api, func(d *desk) {
			begun(d)
			d.result()
			d.step(Event{Kind: PushClosed, Push: 1})
			d.mark()
			d.after(5 * time.Second)
			d.push()
			d.step(Event{Kind: PushClosed, Push: 2, Written: true})
		}, func(d *desk) { d.due(); d.due(); d.sent(Done) }, "late ambiguous send", store.Answered, store.Sent, 1},
		{"C10", "success written, late flag committed with T2", api, func(d *desk) { begun(d); d.late(""); d.result() }, func(d *desk) { d.due(); d.sent(Done) }, "send", store.Answered, store.Sent, 1},
		{"C10", "success written, late flag not saved", api, func(d *desk) { begun(d); d.late("") }, func(d *desk) { d.lost(); d.result(); d.due(); d.due(); d.sent(Done) }, "start late send", store.Answered, store.Sent, 2},
		{"C11", "claimed, the mark not committed", api, func(d *desk) { begun(d); d.late(""); d.result(); d.plan(Event{Kind: Due}) }, func(d *desk) { d.due(); d.sent(Done) }, "send", store.Answered, store.Sent, 1},
		{"C11", "claimed, the mark in flight, and carried out", api, func(d *desk) { begun(d); d.late(""); d.result(); next, _ := d.plan(Event{Kind: Due}); d.commit(next) }, func(d *desk) { d.lost(); d.due(); d.sent(Done) }, "ambiguous send", store.Answered, store.Sent, 1},
		{"C12", "request sent, no response", api, sending, func(d *desk) { d.lost(); d.due(); d.sent(Done) }, "ambiguous send", store.Answered, store.Sent, 1},
		{"C12", "so, and it dies again", api, func(d *desk) { sending(d); d.crash(); d.lost(); d.due() }, (*desk).lost, "ambiguous", store.Answered, store.Assumed, 1},
		{"C12", "so, and nothing is sent twice", careful, sending, (*desk).lost, "ambiguous", store.Answered, store.Assumed, 1},
		{"C12", "so, and the clock has gone back", api, sending, func(d *desk) { d.after(-24 * time.Hour); d.lost(); d.due(); d.sent(Done) }, "ambiguous send", store.Answered, store.Sent, 1},
		{"C13", "the API said ok, T3 not committed", api, func(d *desk) { sending(d); d.plan(Event{Kind: Sent, Fate: Done, Told: 10}) }, func(d *desk) { d.lost(); d.due(); d.sent(Done) }, "ambiguous send", store.Answered, store.Sent, 1},
		{"C13", "the API said ok, T3 in flight, and carried out", api, func(d *desk) { sending(d); next, _ := d.plan(Event{Kind: Sent, Fate: Done, Told: 10}); d.commit(next) }, func(d *desk) { d.lost(); d.due() }, "", store.Answered, store.Sent, 1},
		{"C13", "the API said not now, T3 not committed", api, func(d *desk) { sending(d); d.plan(Event{Kind: Sent, Fate: Later}) }, func(d *desk) { d.lost(); d.due(); d.sent(Done) }, "ambiguous send", store.Answered, store.Sent, 1},
		{"F1", "placeholder decided, not committed", ticket, func(d *desk) {
			begun(d)
			d.s.Open[0].Number = 3
			d.plan(Event{Kind: PushDue, Push: 1, Waited: d.p.AnswerBy, Placeholder: "placeholder"})
		}, func(d *desk) { d.lost(); d.result(); d.due() }, "start ticket", store.Answered, store.Ticket, 2},
		{"F2", "placeholder committed, not written", ticket, func(d *desk) {
			begun(d)
			d.s.Open[0].Number = 3
			next, _ := d.plan(Event{Kind: PushDue, Push: 1, Waited: d.p.AnswerBy, Placeholder: "placeholder"})
			d.commit(next)
		}, func(d *desk) { d.push(); d.lost(); d.result() }, "placeholder start", store.Answered, store.Ticket, 2},
		{"F3", "promised, result stored", ticket, promised, func(d *desk) { d.push(); d.step(Event{Kind: Take, By: store.Key{7}, Page: 1}) }, "placeholder give", store.Answered, store.Fetched, 1},
		{"F4", "taken, not committed", ticket, func(d *desk) { promised(d); d.plan(Event{Kind: Take, By: store.Key{7}, Page: 1}) }, func(d *desk) { d.step(Event{Kind: Take, By: store.Key{8}, Page: 1}) }, "give", store.Answered, store.Fetched, 1},
		{"F5", "taken, the taker's result not stored: its next attempt takes it again", ticket, func(d *desk) { promised(d); d.step(Event{Kind: Take, By: store.Key{7}, Page: 1}) }, func(d *desk) {
			d.step(Event{Kind: Take, By: store.Key{8}, Page: 1})
			d.step(Event{Kind: Take, By: store.Key{7}, Page: 1})
		}, "deny give", store.Answered, store.Fetched, 1},
		{"F5", "so, and it has no next attempt", ticket, func(d *desk) { promised(d); d.step(Event{Kind: Take, By: store.Key{7}}) }, func(d *desk) {
			d.now = d.s.Row.Due
			d.step(Event{Kind: Due, Taker: store.Failed})
			d.step(Event{Kind: Take, By: store.Key{8}, Page: 1})
		}, "ticket give", store.Answered, store.Fetched, 1},
		{"F5", "so, and it came from the outbox", api, func(d *desk) { begun(d); d.late(""); d.result(); d.step(Event{Kind: Take, By: store.Key{7}}) }, func(d *desk) {
			d.now = d.s.Row.Due
			d.step(Event{Kind: Due, Taker: store.Failed})
			d.due()
			d.sent(Done)
		}, "late send", store.Answered, store.Sent, 1},
	} {
		t.Run(test.id+" "+test.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(test.p)
			test.until(d)
			d.crash()
			test.after(d)
			if diff := cmp.Diff(test.did, strings.Join(d.did, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			row := &d.s.Row
			if row.State != test.state || row.Delivery != test.delivery || row.Attempt != test.attempt {
				t.Errorf("%v %v, attempt %d; want %v %v, attempt %d", row.State, row.Delivery, row.Attempt, test.state, test.delivery, test.attempt)
			}
			if row.Delivery == store.Ticket && (row.Code == "" || row.Due.IsZero()) {
				t.Errorf("a ticket with the code %q, due %v", row.Code, row.Due)
			}
		})
	}
}

// Only the part is sent again of which nobody knows.
func TestCrashBetweenParts(t *testing.T) {
	t.Parallel()
	d := newDesk(DefaultPolicy())
	d.push()
	d.late("")
	d.result()
	d.due()
	d.step(Event{Kind: Sent, Fate: Done, Told: 100, More: true})
	d.due()
	d.crash()
	d.step(Event{Kind: OwnerLost, Lost: d.dead(), Told: 200, More: true})
	if w := d.s.Row.Way; w != (store.Way{Told: 100, Pages: 1, Sent: 1, Tries: 1, Unknown: 1}) {
		t.Errorf("after the crash: %+v", w)
	}
	d.due()
	d.step(Event{Kind: Sent, Fate: Done, Told: 200, More: true})
	d.due()
	d.step(Event{Kind: Sent, Fate: Done, Told: 250})
	if row := &d.s.Row; row.Delivery != store.Sent || row.Way != (store.Way{Told: 250, Pages: 1, Sent: 3}) {
		t.Errorf("at the end: %v, %+v", row.Delivery, row.Way)
	}
}

package turn

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
)

// The oracle has to see what it is there for: each of these mistakes in Step is
// found, under the name of the invariant that it breaks.
func TestOracle(t *testing.T) {
	t.Parallel()
	for _, mistake := range []struct {
		name, want string
		seldom     bool // comes into play in few worlds
		step       func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects)
	}{
		{"what a Pure route answers is not saved before", "I1", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && s.Row.Version == 0 {
				e.Save = Lazily
			}
			return s, e
		}},
		{"the handler starts before its start mark", "I3", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == PushArrived && e.Save == Now {
				e.Save = Nothing
			}
			return s, e
		}},
		{"the result is sent before it is stored", "I4", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && e.Save == Now && s.Row.Version > 0 {
				e.Save = Lazily
			}
			return s, e
		}},
		{"the late flag is not stored with the result", "I5", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && s.Row.Delivery == store.Late {
				s.Row.Delivery = store.Undelivered
			}
			return s, e
		}},
		{"a reply is given to a push and left to another way", "I5 EXPECT", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == PushClosed && s.Row.Delivery == store.Written {
				s.Row.Delivery, s.Row.Due = store.Late, ev.Now
			}
			return s, e
		}},
		{"a push gets what the outbox has", "I5", false, func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == PushArrived && before.Row.State == store.Answered && before.Row.Delivery == store.Late {
				before.Row.Delivery = store.Undelivered
				return Step(p, before, ev)
			}
			return s, e
		}},
		{"the outbox sends before its mark is stored", "I5", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Due && s.Row.Delivery == store.Sending {
				e.Save = Nothing
			}
			return s, e
		}},
		{"what may have been sent is sent again and again", "I5", false, func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if s.Row.Delivery == store.Assumed || s.Row.Reason == ReasonTwice {
				before.Row.Way.Unknown = 0
				return Step(p, before, ev)
			}
			return s, e
		}},
		{"a fetch does not claim the reply", "I5", false, func(_ *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Take && e.Save == Now {
				return before, Effects{List: e.List}
			}
			return s, e
		}},
		{"two fetch the same page", "I5", false, func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Take && e.Save == Nothing && !ev.Again && before.Row.Way.Shown > 0 && before.Row.Delivery == store.Fetched {
				before.Row.Way.Shown, before.Row.Delivery = 0, store.Ticket
				return Step(p, before, ev)
			}
			return s, e
		}},
		{"a draft counts although nobody has read it", "I1 I5", true, func(_ *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && s.Row.State == store.Answered && before.Row.State == store.Running && before.Row.Way.Told > 0 {
				s.Row.Way.Told = before.Row.Way.Told
			}
			return s, e
		}},
		{"what WeChat refuses is taken as sent", "I1", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Sent && ev.Fate == Refused && s.Row.Delivery == store.Ticket {
				s.Row.Delivery, s.Row.Due = store.Sent, time.Time{}
			}
			return s, e
		}},
		{"what is taken by a message that fails is gone", "I1", true, func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Due && ev.Taker == store.Failed {
				taken := *ev
				taken.Taker = store.Answered
				return Step(p, before, &taken)
			}
			return s, e
		}},
		{"nothing says why a reply is undeliverable", "I1", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if s.Row.Delivery == store.Undeliverable {
				s.Row.Reason = ""
			}
			return s, e
		}},
		{"a failed push is forgotten", "I1", true, func(_ *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == PushClosed && before.Row.Delivery == store.Offered && !ev.Written {
				s.Row.Delivery, s.Row.Due = store.Offered, time.Time{}
			}
			return s, e
		}},
		{"a mark whose commit was answered by an error is forgotten", "I2", false, func(_ *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if send := len(e.List) > 0 && e.List[0].Do == Send; send && before.Row.Delivery == store.Sending {
				e.List, s.Sending = nil, false
			}
			return s, e
		}},
		{"the outbox forgets what it has begun", "I2", false, func(_ *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == OwnerLost && before.Row.Delivery == store.Sending {
				return before, Effects{}
			}
			return s, e
		}},
		{"what is over is due", "I2", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if s.Row.Delivery == store.Sent {
				s.Row.Due = ev.Now
			}
			return s, e
		}},
		{"the pauses grow without end", "I7", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Sent && ev.Fate == Later && s.Row.Delivery == store.Late {
				s.Row.Due = s.Row.Due.Add(time.Hour)
			}
			return s, e
		}},
		{"the API is asked for more than it gives", "I10", false, func(_ *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Sent && s.Row.Delivery == store.Late {
				s.Row.Way.Sent = before.Row.Way.Sent
			}
			return s, e
		}},
		{"the API is asked when its window has closed", "I10", false, func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Due && s.Row.Reason == ReasonWindow {
				generous := *p
				generous.Window, generous.ShortWindow = time.Hour, time.Hour
				return Step(&generous, before, ev)
			}
			return s, e
		}},
		{"two tickets have the same code", "I1 I6", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if s.Row.Delivery == store.Ticket {
				s.Row.Code = "K"
			}
			return s, e
		}},
		{"the reply is somebody else's", "I6", false, func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && s.Row.Reply != "" {
				s.Row.Reply = "reply to message 999"
			}
			return s, e
		}},
		{"an owner that lives is taken for dead", "I3", false, func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Changed && before.Row.State == store.Running && before.Row.Owner != ev.Self {
				return Step(p, before, &Event{Kind: OwnerLost, Now: ev.Now, Self: ev.Self, Lost: before.Row.Owner})
			}
			return s, e
		}},
		{"an old attempt stores a result", "I10", false, func(_ *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && before.Row.State == store.Running && ev.Attempt < before.Row.Attempt {
				s.Row.State, s.Row.Attempt, s.Row.Owner = ev.State, ev.Attempt, ev.Self
				e.Save = Now
			}
			return s, e
		}},
		{"a dead owner's turn is left alone", "I2", false, func(_ *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == OwnerLost {
				return before, Effects{}
			}
			return s, e
		}},
		{"a push that can be the last is held", "EXPECT", false, func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == PushDue && p.Hold && !before.Row.State.Finished() {
				return before, Effects{List: []Effect{{Do: Hold, Push: ev.Push}}}
			}
			return s, e
		}},
	} {
		t.Run(mistake.name, func(t *testing.T) {
			t.Parallel()
			if raceEnabled && mistake.seldom {
				t.Skip("without the race detector only: it takes many worlds, and nothing here races")
			}
			for seed := range uint64(1000) {
				s := newSim(seed, 1, profile{nodes: 1 + int(seed%3), messages: 100, spacing: 100 * time.Millisecond, chaos: seed%4 != 0})
				s.step = func(p *Policy, before State, ev *Event) (State, Effects) {
					next, e := Step(p, before, ev)
					return mistake.step(p, before, next, ev, e)
				}
				s.run()
				if len(s.violations) > 0 {
					if name, _, _ := strings.Cut(s.violations[0], ":"); !slices.Contains(strings.Fields(mistake.want), name) {
						t.Errorf("found as %q, want %s", s.violations[0], mistake.want)
					}
					return
				}
			}
			t.Errorf("not found")
		})
	}
}

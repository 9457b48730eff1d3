package turn

import (
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
		step       func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects)
	}{
		{"what a Pure route answers is not saved before", "I1", func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && s.Row.Version == 0 {
				e.Save = Lazily
			}
			return s, e
		}},
		{"the handler starts before its start mark", "I3", func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == PushArrived && e.Save == Now {
				e.Save = Nothing
			}
			return s, e
		}},
		{"the result is sent before it is stored", "I4", func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && e.Save == Now && s.Row.Version > 0 {
				e.Save = Lazily
			}
			return s, e
		}},
		{"the late flag is not stored with the result", "I5", func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && s.Row.Delivery == store.Late {
				s.Row.Delivery = store.Undelivered
			}
			return s, e
		}},
		{"a reply is given to a push and left to another way", "I5", func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == PushClosed && s.Row.Delivery == store.Written {
				s.Row.Delivery = store.Late
			}
			return s, e
		}},
		{"the reply is somebody else's", "I6", func(_ *Policy, _, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && s.Row.Reply != "" {
				s.Row.Reply = "reply to message 999"
			}
			return s, e
		}},
		{"an owner that lives is taken for dead", "I3", func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Changed && before.Row.State == store.Running && before.Row.Owner != ev.Self {
				return Step(p, before, &Event{Kind: OwnerLost, Now: ev.Now, Self: ev.Self, Lost: before.Row.Owner})
			}
			return s, e
		}},
		{"an old attempt stores a result", "I10", func(_ *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == Result && before.Row.State == store.Running && ev.Attempt < before.Row.Attempt {
				s.Row.State, s.Row.Attempt, s.Row.Owner = ev.State, ev.Attempt, ev.Self
				e.Save = Now
			}
			return s, e
		}},
		{"a dead owner's turn is left alone", "I2", func(_ *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == OwnerLost {
				return before, Effects{}
			}
			return s, e
		}},
		{"a push that can be the last is held", "EXPECT", func(p *Policy, before, s State, ev *Event, e Effects) (State, Effects) {
			if ev.Kind == PushDue && p.Hold && !before.Row.State.Finished() {
				return before, Effects{List: []Effect{{Do: Hold, Push: ev.Push}}}
			}
			return s, e
		}},
	} {
		t.Run(mistake.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(200) {
				s := newSim(seed, 1, profile{nodes: 1 + int(seed%3), messages: 100, spacing: 100 * time.Millisecond, chaos: seed%4 != 0})
				s.step = func(p *Policy, before State, ev *Event) (State, Effects) {
					next, e := Step(p, before, ev)
					return mistake.step(p, before, next, ev, e)
				}
				s.run()
				if len(s.violations) > 0 {
					if !strings.HasPrefix(s.violations[0], mistake.want+": ") {
						t.Errorf("found as %q, want %s", s.violations[0], mistake.want)
					}
					return
				}
			}
			t.Errorf("not found")
		})
	}
}

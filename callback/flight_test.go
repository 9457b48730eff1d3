package callback

import (
	"testing"

	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// A flight that was idle when its driver left, and is busy again before it is
// taken off the table, stays there: a second flight of a turn would start its
// handler again.
func TestDropOnlyIdle(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]turn.State{
		"idle":    {},
		"running": {Running: true},
		"open":    {Open: make([]turn.Push, 1)},
	} {
		var flights flights
		flights.init(nil)
		f := &flight{key: store.Key{19: 7}, state: state}
		flights.shard(f.key).m[f.key] = f
		flights.drop(f)
		if kept := len(flights.all()) == 1; kept != (name != "idle") {
			t.Errorf("%s: kept %v", name, kept)
		}
	}
}

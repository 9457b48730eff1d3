package sqlite

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
)

// What few turns are, such as due, is found by an index of those few.
func TestListUsesIndexes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, err := Open(ctx, Config{Path: filepath.Join(t.TempDir(), "e.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	for _, c := range []struct {
		name, want string
		f          store.Filter
	}{
		{"due", "SEARCH turn USING INDEX turn_due (due>?)", store.Filter{Due: true}},
		{"due of an account", "SEARCH turn USING INDEX turn_due (due>?)", store.Filter{Due: true, Account: "demo", Since: now, States: []store.State{store.Answered}}},
		{"due before", "SEARCH turn USING INDEX turn_due (due>? AND due<?)", store.Filter{DueBefore: now}},
		{"running and due before", "SEARCH turn USING INDEX turn_due (due>? AND due<?)", store.Filter{DueBefore: now, States: []store.State{store.Running}}},
		{"due of a user", "SEARCH turn USING INDEX turn_due_user (openid=?)", store.Filter{Due: true, OpenID: "o"}},
		{"due of a user, before", "SEARCH turn USING INDEX turn_due_user (openid=?)", store.Filter{DueBefore: now, OpenID: "o", Account: "demo"}},
		{"of a user", "SEARCH t USING COVERING INDEX turn_user (<expr>=? AND openid=?)", store.Filter{OpenID: "o"}},
		{"running", "SCAN turn USING INDEX turn_running", store.Filter{States: []store.State{store.Running}}},
		{"running of an owner", "SEARCH turn USING INDEX turn_running (owner=? AND epoch=?)", store.Filter{States: []store.State{store.Running}, Owner: store.Node{ID: "n", Epoch: 1}}},
		{"offered, of a time", "SEARCH turn USING INDEX turn_received (received_at>? AND received_at<?)", store.Filter{Since: now, Until: now, Deliveries: []store.Delivery{store.Offered}}},
		{"youngest", "SCAN turn USING INDEX turn_received", store.Filter{}},
	} {
		text, args := listing(&c.f)
		var plan []string
		err := s.read.query(ctx, func(next scanner) error {
			var id, parent, unused int
			var step string
			err := next(&id, &parent, &unused, &step)
			plan = append(plan, step)
			return err
		}, "EXPLAIN QUERY PLAN "+text, args...)
		if err != nil || !slices.Contains(plan, c.want) {
			t.Errorf("%s: %v, %v; want %s", c.name, strings.Join(plan, "; "), err, c.want)
		}
	}
}

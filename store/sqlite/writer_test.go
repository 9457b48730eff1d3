package sqlite

import (
	"slices"
	"testing"

	"github.com/echostr/echostr/store"
)

// Claims, results and sessions that wait together share a transaction, up to a size; the rest
// stands alone.
func TestGroups(t *testing.T) {
	t.Parallel()
	turns := func(n int) *request { return &request{kind: saves, ops: make([]store.Op, n)} }
	other := func(k kind) *request { return &request{kind: k, do: func() error { return nil }} }
	many := make([]*request, maxGroup/64+1)
	for i := range many {
		many[i] = other(shared)
	}
	for _, c := range []struct {
		name  string
		queue []*request
		want  []int // requests in each group
	}{
		{"what is shared", []*request{turns(1), other(shared), turns(2), other(shared)}, []int{4}},
		{"what stands alone", []*request{turns(1), other(alone), other(shared), turns(2), other(outside), other(alone)}, []int{1, 1, 2, 1, 1}},
		{"too many rows", []*request{turns(maxGroup - 1), turns(1), turns(1)}, []int{2, 1}},
		{"more than fit", []*request{turns(2 * maxGroup), turns(1)}, []int{1, 1}},
		{"many sessions", many, []int{maxGroup / 64, 1}},
	} {
		w := &writer{queue: slices.Clone(c.queue)}
		var got []int
		for len(w.queue) > 0 {
			group, rows := w.take(nil)
			want := 0
			for _, r := range group {
				want += len(r.ops)
			}
			if rows != want {
				t.Errorf("%s: %d rows in a group of %d", c.name, rows, want)
			}
			got = append(got, len(group))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: groups of %v requests, want %v", c.name, got, c.want)
		}
	}
}

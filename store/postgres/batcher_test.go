package postgres

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/echostr/echostr/store"
)

// Calls that wait while the worker is busy share the next group, up to its weight. What the database cannot
// take of one of them is the trouble of that one only.
func TestBatcher(t *testing.T) {
	t.Parallel()
	bad := &pgconn.PgError{Code: "54000"}
	down := errors.New("down")
	for _, test := range []struct {
		name   string
		calls  []int // the weights; below zero it is one that the database cannot take
		err    error // of every group
		groups [][]int
		errs   []error
	}{
		{"together", []int{1, 2, 3}, nil, [][]int{{1, 2, 3}}, []error{nil, nil, nil}},
		{"down", []int{1, 2}, down, [][]int{{1, 2}}, []error{down, down}},
		{"too heavy", []int{maxGroup - 1, 1, 1, maxGroup + 5, 1}, nil, [][]int{{maxGroup - 1, 1}, {1}, {maxGroup + 5}, {1}}, []error{nil, nil, nil, nil, nil}},
		{"one is bad", []int{1, -2, 3}, nil, [][]int{{1, -2, 3}, {1}, {-2}, {3}}, []error{nil, bad, nil}},
		{"bad alone", []int{-1}, nil, [][]int{{-1}}, []error{bad}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				busy := make(chan struct{})
				var groups [][]int
				b := newBatcher(1, func(n int) int { return max(n, -n) }, func(group []int) error {
					if group[0] == 0 {
						<-busy
						return nil
					}
					groups = append(groups, slices.Clone(group))
					if slices.ContainsFunc(group, func(n int) bool { return n < 0 }) {
						return bad
					}
					return test.err
				})
				var wg sync.WaitGroup
				wg.Go(func() { _ = b.submit(0) })
				synctest.Wait()
				errs := make([]error, len(test.calls))
				for i, n := range test.calls {
					wg.Go(func() { errs[i] = b.submit(n) })
					synctest.Wait() // one behind the other
				}
				close(busy)
				wg.Wait()
				b.close()
				if !slices.EqualFunc(groups, test.groups, slices.Equal) {
					t.Errorf("groups %v, want %v", groups, test.groups)
				}
				if !slices.Equal(errs, test.errs) {
					t.Errorf("errors %v, want %v", errs, test.errs)
				}
				if err := b.submit(1); !errors.Is(err, store.ErrClosed) {
					t.Errorf("after the end: %v", err)
				}
			})
		})
	}
}

package histogram

import (
	"math"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestBuckets(t *testing.T) {
	t.Parallel()
	h := New(1, 2, 4)
	for _, v := range []float64{-1, 0, 1, 1.5, 2, 4, 4.5, math.Inf(1), math.NaN()} {
		h.Observe(v)
	}
	got := h.Snapshot()
	want := Snapshot{Bounds: []float64{1, 2, 4}, Counts: []uint64{3, 2, 1, 2}, Sum: math.Inf(1)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Count() != 8 {
		t.Errorf("Count() = %d", got.Count())
	}
}

func TestNewPanics(t *testing.T) {
	t.Parallel()
	for _, bounds := range [][]float64{{1, 1}, {2, 1}, {math.NaN()}, {1, math.Inf(1)}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%v) did not panic", bounds)
				}
			}()
			New(bounds...)
		}()
	}
}

// TestBoundsAreCopied: who gave the bounds may use the slice again.
func TestBoundsAreCopied(t *testing.T) {
	t.Parallel()
	bounds := []float64{1, 2}
	h := New(bounds...)
	bounds[0] = 100
	h.Observe(2)
	if got := h.Snapshot(); got.Counts[1] != 1 || got.Bounds[0] != 1 {
		t.Errorf("Snapshot() = %+v", got)
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	if s := (Snapshot{}); s.Count() != 0 || s.Quantile(0.5) != 0 {
		t.Error("the zero Snapshot is not empty")
	}
	h := New()
	h.Observe(7)
	if s := h.Snapshot(); s.Count() != 1 || !math.IsInf(s.Quantile(0.5), 1) {
		t.Errorf("without bounds: %+v", h.Snapshot())
	}
}

// TestQuantile compares with sorting: the value at that rank is in the bucket
// whose bound is returned.
func TestQuantile(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.IntRange(0, 10), 1, 50).Draw(t, "values")
		q := rapid.SampledFrom([]float64{0, 0.01, 0.5, 0.9, 0.99, 1}).Draw(t, "q")
		h := New(2, 4, 6, 8)
		for _, v := range values {
			h.Observe(float64(v))
		}
		got := h.Snapshot().Quantile(q)
		atMost := 0
		for _, v := range values {
			if float64(v) <= got {
				atMost++
			}
		}
		if float64(atMost) < q*float64(len(values)) {
			t.Fatalf("only %d of %d are at most %v", atMost, len(values), got)
		}
		before := got - 2 // the bound before, with which there would not be enough
		if math.IsInf(got, 1) {
			before = 8
		}
		below := 0
		for _, v := range values {
			if float64(v) <= before {
				below++
			}
		}
		if before > 0 && q > 0 && float64(below) >= q*float64(len(values)) {
			t.Fatalf("%v is not the first bound: %d of %d are below", got, below, len(values))
		}
	})
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	h := New(0.5)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				h.Observe(1)
				if s := h.Snapshot(); len(s.Counts) != 2 {
					t.Error("broken snapshot")
				}
			}
		})
	}
	wg.Wait()
	if s := h.Snapshot(); s.Sum != 8000 || s.Counts[1] != 8000 {
		t.Errorf("Snapshot() = %+v", s)
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	h := New(1, 2, 3)
	if n := testing.AllocsPerRun(100, func() { h.Observe(1.5) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	h := New(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Observe(0.003)
		}
	})
}

// Package histogram counts measurements by size. It is what the packages that
// know no metrics library offer to those that do.
package histogram

import (
	"math"
	"slices"
	"sort"
	"sync/atomic"
)

// Histogram counts measurements in buckets. It is safe for concurrent use,
// and neither takes a lock nor allocates. Make one with [New].
type Histogram struct {
	bounds []float64
	counts []atomic.Uint64 // one more than bounds
	sum    atomic.Uint64   // the bits of a float64
}

// New returns a Histogram with the buckets (-∞, bounds[0]], (bounds[0], bounds[1]] ...
// and one more for what is above the last bound. It panics unless the
// bounds are finite and rise.
func New(bounds ...float64) *Histogram {
	for i, b := range bounds {
		if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && bounds[i-1] >= b {
			panic("histogram: bounds must be finite and rise")
		}
	}
	return &Histogram{bounds: slices.Clone(bounds), counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts one measurement. One that is not a number is left out, since
// it would spoil the sum for ever.
func (h *Histogram) Observe(v float64) {
	if math.IsNaN(v) {
		return
	}
	h.counts[sort.SearchFloat64s(h.bounds, v)].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// Snapshot returns what has been counted so far. What is observed meanwhile may
// be in Counts and not in Sum, or the other way round.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: math.Float64frombits(h.sum.Load())}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	return s
}

// Snapshot is a Histogram at one moment. The zero Snapshot is empty.
type Snapshot struct {
	Bounds []float64 // upper bounds of the buckets, inclusive; not to be changed
	Counts []uint64  // by bucket, not cumulative; one more than Bounds
	Sum    float64   // of all measurements
}

// Plus returns the measurements of both, which have the same bounds.
func (s Snapshot) Plus(t Snapshot) Snapshot {
	sum := Snapshot{Bounds: s.Bounds, Counts: slices.Clone(s.Counts), Sum: s.Sum + t.Sum}
	for i, n := range t.Counts {
		sum.Counts[i] += n
	}
	return sum
}

// Count returns how many measurements there were.
func (s Snapshot) Count() (n uint64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Quantile returns the upper bound of the bucket in which the share q of the
// measurements is reached: 0.99 asks for what 99 of 100 do not exceed. It is +∞
// above the last bound, and 0 if there was no measurement.
func (s Snapshot) Quantile(q float64) float64 {
	n := s.Count()
	if n == 0 {
		return 0
	}
	need := max(1, uint64(math.Ceil(q*float64(n))))
	for i, bound := range s.Bounds {
		if s.Counts[i] >= need {
			return bound
		}
		need -= s.Counts[i]
	}
	return math.Inf(1)
}

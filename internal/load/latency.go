package load

import (
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/internal/histogram"
)

// bounds are 2 % apart, from 0.1 ms to 1000 s.
var bounds = func() (list []float64) {
	for b := 1e-4; b < 1000; b *= 1.02 {
		list = append(list, b)
	}
	return list
}()

// timer counts durations by size, and takes the same memory however many there are.
type timer struct {
	*histogram.Histogram
	longest atomic.Int64
}

func newTimer() *timer { return &timer{Histogram: histogram.New(bounds...)} }

func (t *timer) observe(d time.Duration) {
	d = max(d, 0)
	t.Observe(d.Seconds())
	for {
		old := t.longest.Load()
		if int64(d) <= old || t.longest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// Latency is how long something took. All is in seconds. The quantiles are at most 2 % too high, or 0.1 ms; Max is exact.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

func (t *timer) latency() Latency {
	s, longest := t.Snapshot(), time.Duration(t.longest.Load()).Seconds()
	q := func(q float64) float64 { return min(s.Quantile(q), longest) }
	return Latency{s.Count(), q(.5), q(.9), q(.99), q(.999), longest}
}

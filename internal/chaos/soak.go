package chaos

import (
	"context"
	"time"
)

// soakOptions are those of the scenario soak.
type soakOptions struct {
	For, Every time.Duration
	Slope      float64 // MiB an hour
}

// outageOfSoak is how long WeChat's API is down at a time, and frozen how long the process is stopped.
const (
	outageOfSoak = 10 * time.Second
	frozen       = 2 * time.Second
)

// size is what the process takes at a time.
type size struct {
	hours, mib float64 // since the beginning
}

// soak keeps one process under load.
func soak(ctx context.Context, r *run, o soakOptions) error {
	w, p, err := r.begin(r.dir, lateMix)
	if err != nil {
		return err
	}
	stop := w.load(ctx, r.opts.Rate)
	defer stop()
	began := time.Now()
	var sizes []size
	faults := make(map[string]int)
	ways := []string{outRefused, outGateway, outHang, "frozen"}
	for n := 1; time.Since(began) < o.For; n++ {
		if err := pause(ctx, o.Every); err != nil {
			return err
		}
		u, err := p.usage(ctx)
		if err != nil {
			return err
		}
		sizes = append(sizes, size{time.Since(began).Hours(), float64(u.ResidentKiB) / 1024})
		way := ways[r.rng.IntN(len(ways))]
		faults[way]++
		if err := r.soaked(ctx, p, way, min(outageOfSoak, o.Every/2)); err != nil {
			return err
		}
		if n%30 == 0 {
			r.say("%v, %d messages answered, %d under way, %d KiB", time.Since(began).Round(time.Minute), w.acked.Load(), w.under.Load(), u.ResidentKiB)
		}
	}
	if err := r.calm(ctx, w, stop, p); err != nil {
		return err
	}
	if err := r.fetchAll(ctx, r.database, w, p); err != nil {
		return err
	}
	r.report.figure("faults", faults)
	// The first half is for what fills up once: caches, idle workers, the heap's room.
	slope := growth(sizes[len(sizes)/2:])
	r.report.figure("growth_mib_per_hour", slope)
	if o.For >= time.Hour && slope > o.Slope {
		r.broke("the process grows by %.1f MiB an hour, and the bound is %.1f", slope, o.Slope)
	}
	return r.conclude(ctx, p, w, func(*Evidence) {})
}

// soaked is one fault.
func (r *run) soaked(ctx context.Context, p *process, way string, outage time.Duration) error {
	if way == "frozen" {
		if err := freeze(p); err != nil {
			return err
		}
		if err := pause(ctx, frozen); err != nil {
			return err
		}
		return thaw(p)
	}
	if err := r.api.fail(way); err != nil {
		return err
	}
	if err := pause(ctx, outage); err != nil {
		return err
	}
	return r.api.recover()
}

// growth is the slope of the line that lies closest to the sizes.
func growth(sizes []size) float64 {
	var n, x, y, xx, xy float64
	for _, s := range sizes {
		n, x, y, xx, xy = n+1, x+s.hours, y+s.mib, xx+s.hours*s.hours, xy+s.hours*s.mib
	}
	if d := n*xx - x*x; d > 0 {
		return (n*xy - x*y) / d
	}
	return 0
}

package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// cutOptions are those of the scenario powercut.
type cutOptions struct {
	Cuts    int
	Control bool
	// SizeMiB is the size of the file system.
	SizeMiB int64
}

// cutMix has no repetitions: a message that was lost would be accepted anew by one.
var cutMix = mix{slow: 0.05, slowFrom: 50 * time.Millisecond, slowTo: 500 * time.Millisecond, pairs: 0.06, silent: 0.04, fail: 0.02, forged: 0.01}

// powerCut takes the power away from the file system of the database, again and again.
func powerCut(ctx context.Context, r *run, o cutOptions) error {
	if o.Control {
		r.wanted = true
		bot, err := r.mutant(ctx, "M02")
		if err != nil {
			return err
		}
		r.opts.Bot = []string{bot, "bot"}
	}
	disk, err := r.newDisk(o.SizeMiB)
	if err != nil {
		return err
	}
	if err := r.configure(disk.folder); err != nil {
		return err
	}
	w, err := r.wechat(cutMix)
	if err != nil {
		return err
	}
	var cuts, recoveries []time.Duration
	var p *process
	for n := 0; ; n++ {
		if p, err = r.start(startOptions{pure: r.opts.Pure}); err != nil {
			return err
		}
		if err := p.waitReady(30 * time.Second); err != nil {
			return fmt.Errorf("after %d cuts: %w:\n%s", n, err, tail(r.botLog.Name(), 20))
		}
		recoveries = append(recoveries, p.life.Ready.Sub(p.life.Started))
		if n > 0 {
			if err := r.checkIntegrity(ctx, r.database); err != nil {
				return err
			}
		}
		if n == o.Cuts {
			break
		}
		stop := w.load(ctx, r.opts.Rate)
		err = pause(ctx, 100*time.Millisecond+time.Duration(r.rng.Int64N(int64(300*time.Millisecond))))
		if err != nil {
			stop()
			return err
		}
		began := time.Now()
		err := disk.cut(p)
		stop()
		if err != nil {
			return fmt.Errorf("cut number %d: %w", n+1, err)
		}
		cuts = append(cuts, time.Since(began))
		if (n+1)%10 == 0 {
			r.say("%d of %d cuts, %d messages answered, %d under way", n+1, o.Cuts, w.acked.Load(), w.under.Load())
		}
	}
	if err := r.calm(ctx, w, func() {}, p); err != nil { // each cut has ended its load
		return err
	}
	r.report.figure("cuts", len(cuts))
	r.report.figure("cut_ms", percentiles(cuts))
	r.report.figure("recovery_ms", percentiles(recoveries))
	if err := r.conclude(ctx, p, w, nil); err != nil {
		return err
	}
	ok := 0
	for _, s := range r.integrity {
		if s == "ok" {
			ok++
		}
	}
	r.report.figure("integrity_ok", ok)
	if o.Control {
		r.expectLoss()
	}
	return nil
}

// expectLoss turns the report round: what was lost had to be.
func (r *run) expectLoss() {
	if c := r.report.Counts; c == nil || c.Lost == 0 {
		r.report.broke("the control has lost nothing, so the harness does not see a missing flush")
		return
	}
	r.report.figure("violations_of_the_control", r.report.ViolationsBy)
	r.report.figure("first_violation_of_the_control", r.report.Violations[0])
	r.report.Violations, r.report.ViolationsBy = nil, nil
}

// disk is an ext4 file system in a file, mounted by a loop device.
type disk struct {
	image, folder string
}

func (r *run) newDisk(sizeMiB int64) (*disk, error) {
	d := &disk{image: filepath.Join(r.dir, "image"), folder: filepath.Join(r.dir, "disk")}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	err = f.Truncate(sizeMiB << 20)
	f.Close()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(d.folder, 0o700); err != nil {
		return nil, err
	}
	if err := command("mkfs.ext4", "-q", "-F", d.image); err != nil {
		return nil, err
	}
	if err := d.mount(); err != nil {
		return nil, err
	}
	r.onClose(func() error { return unmount(d.folder) })
	return d, nil
}

func (d *disk) mount() error { return command("mount", "-o", "loop", d.image, d.folder) }

// cut takes the power away while p is at work, and brings the file system back with
// what had been flushed.
func (d *disk) cut(p *process) error {
	// Nothing may be acknowledged between the shutdown and the kill: what a
	// process without power says does not count.
	if err := freeze(p); err != nil {
		return err
	}
	err := shutDown(d.folder)
	p.kill()
	if err != nil {
		return err
	}
	if err := unmount(d.folder); err != nil {
		return err
	}
	return d.mount()
}

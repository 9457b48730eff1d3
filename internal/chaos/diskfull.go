package chaos

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// fullOptions are those of the scenario diskfull.
type fullOptions struct {
	SizeMiB int
	For     time.Duration // how long the disk is full, and how long it goes on then
}

var fullMix = mix{slow: 0.1, pairs: 0.06, silent: 0.04, fail: 0.02, forged: 0.02, repeat: 0.02}

// noAck is how long nothing was answered when the disk is full for the bot too.
const noAck = 2 * time.Second

// recoveryTime is how soon a message is answered after there is room again.
const recoveryTime = 5 * time.Second

// diskFull fills the file system of the database under load and empties it again.
func diskFull(ctx context.Context, r *run, o fullOptions) error {
	folder := filepath.Join(r.dir, "small")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	if err := mountMemory(folder, o.SizeMiB); err != nil {
		return err
	}
	r.onClose(func() error { return unmount(folder) })
	w, p, err := r.begin(folder, fullMix)
	if err != nil {
		return err
	}
	stop := w.load(ctx, r.opts.Rate)
	defer stop()
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	filler := filepath.Join(folder, "filler")
	if err := fill(filler); err != nil {
		return err
	}
	full := time.Now()
	r.say("the disk is full, %d messages answered", w.acked.Load())
	// The bot may have room of its own for a while: what it had reserved, and what lies
	// idle in its files.
	for waited := time.Duration(0); waited < o.For || waited < 5*o.For && w.sinceAck() < noAck; waited += noAck / 4 {
		if err := pause(ctx, noAck/4); err != nil {
			return err
		}
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	free := time.Now()
	r.say("there is room again (%d bytes), %d messages answered, %d under way", freeSpace(folder), w.acked.Load(), w.under.Load())
	if err := pause(ctx, o.For); err != nil {
		return err
	}
	if err := r.calm(ctx, w, stop, p); err != nil {
		return err
	}
	r.say("in the end there are %d bytes of room", freeSpace(folder))
	return r.finish(ctx, p, w, func(e *Evidence) {
		held, after, recovery := 0, 0, time.Duration(-1)
		for _, m := range e.Messages {
			if !m.Forged && !m.Acked() && len(m.Pushes) > 0 && m.Pushes[0].Start.After(free.Add(recoveryTime)) {
				after++
			}
			for i := range m.Pushes {
				switch p := &m.Pushes[i]; {
				case p.Acked() && p.End().After(free) && (recovery < 0 || p.End().Sub(free) < recovery):
					recovery = p.End().Sub(free)
				case !p.Acked() && !m.Forged && p.Start.After(full) && p.Start.Before(free):
					held++
				}
			}
		}
		r.report.figure("free_bytes_in_the_end", freeSpace(folder))
		r.report.figure("pushes_without_answer_while_full", held)
		r.report.figure("first_200_after_room_ms", recovery.Milliseconds())
		r.report.figure("unaccepted_after_recovery", after)
		if after > 0 {
			r.slow("%d messages were not accepted that came more than %v after there was room", after, recoveryTime)
		}
		if held == 0 {
			r.report.broke("every push was answered while the disk was full, so it was not full for the bot")
		}
		if recovery < 0 || recovery > recoveryTime {
			r.slow("the first 200 after there was room came after %v, and the bound is %v", recovery, recoveryTime)
		}
	})
}

// fill writes a file until nothing more fits.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for b := make([]byte, size); ; {
			if _, err := f.Write(b); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

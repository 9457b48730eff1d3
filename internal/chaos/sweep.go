package chaos

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// sweepOptions are those of the scenario sweep.
type sweepOptions struct {
	// Calls are the names of the faults to sweep over, with commas; all if empty.
	Calls string
	// Step is the distance from one k to the next.
	Step int
	// Max bounds k. The sweep over a fault ends sooner, with the first k that meets nothing.
	Max int
	// Beside is how many runs there are at the same time: mostly they wait.
	Beside int
}

// fault is one way in which system calls go wrong.
type fault struct {
	name   string   // of the calls, for people
	calls  string   // as strace takes them
	errors []string // what they answer, or how long they take
	// files are the files of the database that this is about, by what is appended to its name; nil is
	// every file and socket.
	files []string
	// once leaves out that all calls from the k-th on fail, where nothing would be left of the bot
	// or of the harness.
	once bool
	// fatal says that each of them must end the process with 70.
	fatal bool
}

// longer is the error of a call that fails in nothing but takes that long.
const longer = 2 * time.Second

// faults by the calls that the bot makes: modernc.org/sqlite opens by open and deletes by unlink,
// package os by openat and unlinkat, and package net writes to sockets by write.
var sweepFaults = []fault{
	{name: "fsync", calls: "fsync,fdatasync", errors: []string{"EIO", "ENOSPC"}, files: []string{"", "-wal", "-journal"}, fatal: true},
	{name: "slow-fsync", calls: "fsync,fdatasync", errors: []string{""}, files: []string{"", "-wal", "-journal"}, once: true},
	{name: "pwrite64", calls: "pwrite64", errors: []string{"EIO", "ENOSPC"}, files: databaseFiles},
	{name: "open", calls: "open,openat", errors: []string{"EIO", "EMFILE", "ENOSPC"}, files: databaseFiles},
	{name: "ftruncate", calls: "ftruncate", errors: []string{"EIO", "ENOSPC"}, files: databaseFiles},
	{name: "fallocate", calls: "fallocate", errors: []string{"EIO", "ENOSPC"}, files: databaseFiles},
	{name: "unlink", calls: "unlink,unlinkat", errors: []string{"EIO"}, files: databaseFiles},
	{name: "socket", calls: "socket", errors: []string{"EMFILE"}},
	{name: "accept4", calls: "accept4", errors: []string{"EMFILE", ""}},
	{name: "connect", calls: "connect", errors: []string{"ECONNRESET", ""}},
	// Also what goes to the log, to the witness, and from one thread of the Go runtime to another,
	// which ends the process.
	{name: "write", calls: "write", errors: []string{"ECONNRESET", ""}, once: true},
}

var databaseFiles = []string{"", "-wal", "-shm", "-journal", ".lock", ".reserve"}

// trial is one run: a fault at one place.
type trial struct {
	fault *fault
	error string // empty: it takes longer
	on    bool   // all calls from the k-th on
	k     int

	met        int // calls that went wrong
	exits      []int
	violations []Violation
	broken     []string
	slow       []string
	counts     Counts
}

func (t *trial) String() string { return fmt.Sprintf("%s, k = %d", t.kind(), t.k) }

// kind is the trial without its k.
func (t *trial) kind() string {
	return t.fault.name + " " + cmp.Or(t.error, longer.String()) + map[bool]string{false: " once", true: " from then on"}[t.on]
}

// sweep has one system call after the other fail, each in a run of its own.
func sweep(ctx context.Context, r *run, o sweepOptions) error {
	r.report.Machine = machine(r.dir)
	slots := make(chan struct{}, max(o.Beside, 1))
	var mu sync.Mutex
	var done []*trial
	last := make(map[string]int) // k, by kind
	var firsts []trial
	var all sync.WaitGroup
	for i := range sweepFaults {
		f := &sweepFaults[i]
		if o.Calls != "" && !slices.Contains(strings.Split(o.Calls, ","), f.name) {
			continue
		}
		for _, e := range f.errors {
			for _, on := range []bool{false, true} {
				if on && (f.once || e == "") {
					continue
				}
				first := trial{fault: f, error: e, on: on}
				firsts = append(firsts, first)
				last[first.kind()] = 0
				all.Go(func() {
					// Some at once, of which those after the last k are in vain.
					for k, atOnce := 1, 2; k <= o.Max && ctx.Err() == nil; atOnce = min(2*atOnce, 16) {
						var batch []*trial
						var running sync.WaitGroup
						for range atOnce {
							t := first
							t.k = k
							batch = append(batch, &t)
							running.Go(func() {
								slots <- struct{}{}
								defer func() { <-slots }()
								t.run(ctx, r)
							})
							if k += o.Step * (1 + k/64); k > o.Max {
								break
							}
						}
						running.Wait()
						mu.Lock()
						done = append(done, batch...)
						if n := len(done); n/100 != (n-len(batch))/100 {
							r.say("%d runs", n)
						}
						end := false
						for _, t := range batch {
							if t.met == 0 {
								end = true
							} else if !end {
								last[t.kind()] = t.k
							}
						}
						mu.Unlock()
						if end {
							return
						}
					}
				})
			}
		}
	}
	all.Wait()
	if len(last) == 0 {
		return fmt.Errorf("there is no fault %q", o.Calls)
	}
	for _, t := range firsts {
		if last[t.kind()] == 0 && ctx.Err() == nil { // among many others a run may be over before it comes to that call
			t.k = 1
			t.run(ctx, r)
			done, last[t.kind()] = append(done, &t), min(t.met, 1)
		}
	}
	return errors.Join(ctx.Err(), r.sum(done, last))
}

// sum puts what the trials have found into the report.
func (r *run) sum(done []*trial, last map[string]int) error {
	r.report.Counts = new(Counts)
	exits := make(map[string]map[int]int) // lives, by kind and exit code
	met := 0
	var violations []Violation
	for _, t := range done {
		r.report.Counts.add(&t.counts)
		met += t.met
		if exits[t.kind()] == nil {
			exits[t.kind()] = make(map[int]int)
		}
		for _, code := range t.exits {
			exits[t.kind()][code]++
		}
		for _, v := range t.violations {
			v.What = t.String() + ": " + v.What
			violations = append(violations, v)
		}
		for _, what := range t.broken {
			r.report.broke("%v: %s", t, what)
		}
		for _, what := range t.slow {
			r.slow("%v: %s", t, what)
		}
	}
	r.report.add(violations)
	for _, v := range r.report.Violations {
		r.say("VIOLATION %v", v)
	}
	r.report.figure("k_max", last)
	r.report.figure("runs", len(done))
	r.report.figure("calls_failed", met)
	r.report.figure("exits", exits)
	ofCall := make(map[string]int) // k_max, whatever the error
	for kind, k := range last {
		call, _, _ := strings.Cut(kind, " ")
		ofCall[call] = max(ofCall[call], k)
	}
	for _, kind := range slices.Sorted(maps.Keys(last)) {
		r.say("k_max %4d  %s", last[kind], kind)
		if last[kind] > 0 {
			continue
		}
		otherwise := r.broke
		if call, _, _ := strings.Cut(kind, " "); ofCall[call] > 0 {
			otherwise = r.slow // on a busy machine a run may be over before it comes to that
		}
		otherwise("%s: no call has failed, so nothing was tested", kind)
	}
	return nil
}

// run has the fault happen in two lives of a bot, one after the other: one that makes its database, and one that
// finds it. Then nothing fails any more, and everything must come to its end.
func (t *trial) run(ctx context.Context, of *run) {
	o := of.opts
	o.Log = nil
	r, err := newRun(o, &Report{Scenario: of.report.Scenario})
	if err != nil {
		t.broken = append(t.broken, err.Error())
		return
	}
	if err := t.lives(ctx, r); err != nil && ctx.Err() == nil {
		r.report.broke("%v", err)
	}
	if err := r.close(); err != nil {
		r.report.broke("clean up: %v", err)
	}
	t.broken, t.slow, t.violations = r.report.Broken, r.report.Slow, r.report.Violations
	for i := range t.violations {
		for _, l := range r.lives() {
			t.violations[i].What += fmt.Sprintf(" life: [%s to %s pid %d exit %d hurried %v]", l.Started.Format("05.000"), l.Ended.Format("05.000"), l.PID, l.Exit, l.Hurried)
		}
	}
	if r.report.Counts != nil {
		t.counts = *r.report.Counts
	}
}

// sweepMix has something of everything, and many late answers, which come while the bot drains.
var sweepMix = mix{late: 0.25, slow: 0.1, slowFrom: 50 * time.Millisecond, slowTo: 400 * time.Millisecond, pairs: 0.1, silent: 0.05, fail: 0.05, panics: 0.02, forged: 0.02, repeat: 0.05}

// startsIn is how long the bot may take to start beside many others, with calls that take longer.
const startsIn = 60 * time.Second

func (t *trial) lives(ctx context.Context, r *run) error {
	if err := r.configure(r.dir); err != nil {
		return err
	}
	w, err := r.wechat(sweepMix)
	if err != nil {
		return err
	}
	var failures []lifeFailure
	for life, load := range []time.Duration{400 * time.Millisecond, 100 * time.Millisecond} {
		trace := filepath.Join(r.dir, fmt.Sprint("trace-", life))
		p, err := r.start(startOptions{pure: r.opts.Pure, before: t.strace(r, trace)})
		if err != nil {
			return err
		}
		switch err := p.waitReady(startsIn); {
		case err == nil:
			stop := w.load(ctx, r.opts.Rate)
			err = pause(ctx, load)
			if stop(); err != nil {
				return err
			}
			if life == 0 && t.k%2 == 0 && !t.fault.fatal {
				p.kill() // the other half drains, and closes its database
			} else if err := p.stop(startsIn); p.life.Exit < 0 {
				return err
			}
		case !p.ended():
			p.kill()
			return err
		}
		t.exits = append(t.exits, p.life.Exit)
		calls, err := readInjected(trace)
		if err != nil {
			return err
		}
		t.met += len(calls)
		switch p.life.Exit {
		case 0, exitFailed, exitFatal, -1:
		case exitConfig:
			// After which nobody starts it again.
			if t.error != "ENOSPC" && t.fault.name != "write" {
				r.report.broke("the bot ended with %d, as if it needed somebody to repair something:\n%s", p.life.Exit, tail(r.botLog.Name(), 3))
			}
		default:
			// The runtime of Go cannot go on without the write by which it wakes a thread.
			log, err := os.ReadFile(r.botLog.Name())
			if err != nil {
				return err
			}
			if !bytes.Contains(log, []byte("netpollBreak write failed")) {
				r.report.broke("the bot ended with %d:\n%s", p.life.Exit, tail(r.botLog.Name(), 10))
			}
		}
		if len(calls) == 0 {
			continue
		}
		if t.error == "ENOSPC" { // then nothing is stored any more
			r.cut(Cut{PID: p.life.PID, From: calls[0], To: p.life.Ended})
		}
		if t.fault.fatal {
			failures = append(failures, lifeFailure{calls[0], p})
			noRoom := t.error == "ENOSPC" && p.life.Exit == exitConfig && !p.isReady()
			if p.life.Exit != exitFatal && !noRoom {
				r.report.broke("P1: a flush has failed, and the bot ended with %d and not with %d", p.life.Exit, exitFatal)
			}
		}
	}
	p, err := r.start(startOptions{pure: r.opts.Pure})
	if err != nil {
		return err
	}
	if err := p.waitReady(startsIn); err != nil {
		return fmt.Errorf("with nothing failing any more %w:\n%s", err, tail(r.botLog.Name(), 20))
	}
	stop := w.load(ctx, r.opts.Rate)
	if err := pause(ctx, 50*time.Millisecond); err != nil {
		return err
	}
	if err := r.calm(ctx, w, stop, p); err != nil {
		return err
	}
	return r.finish(ctx, p, w, func(e *Evidence) {
		for _, m := range e.Messages {
			if !m.Forged && !m.Acked() && m.Pushes[0].Start.After(p.life.Ready) {
				r.slow("%s was not accepted, and nothing was failing any more", m.ID)
			}
		}
		for _, f := range failures {
			if n := f.answersAfter(e, longAfterFailure); n > 0 {
				r.broke("P1: %d pushes were answered more than %v after a flush had failed", n, longAfterFailure)
			} else if n := f.answersAfter(e, afterFailure); n > 0 {
				r.slow("P1: %d pushes were answered more than %v after a flush had failed", n, afterFailure)
			}
		}
	})
}

// lifeFailure is the first failed flush of a process.
type lifeFailure struct {
	at time.Time
	p  *process
}

// answersAfter counts the pushes that the process has answered with 200 that much after the failure.
func (f lifeFailure) answersAfter(e *Evidence, d time.Duration) (n int) {
	for _, m := range e.Messages {
		for i := range m.Pushes {
			if p := &m.Pushes[i]; p.Acked() && p.End().After(f.at.Add(d)) && p.End().Before(f.p.life.Ended) {
				n++
			}
		}
	}
	return n
}

// strace is the command line under which the fault happens. strace counts the calls of each thread for
// itself: the k-th of every thread fails that makes as many.
func (t *trial) strace(r *run, trace string) []string {
	args := []string{
		"strace", "-f", "--seccomp-bpf", "-qqq", "-y", "-ttt", "-o", trace, "-e", "signal=none",
		"-e", "trace=" + t.fault.calls, "-e", "inject=" + t.fault.calls + ":" + t.injection(),
	}
	if t.fault.calls == "write" {
		// Else a process that the Go runtime ends goes on for a long time to write the stacks of all goroutines, and looks alive.
		args = append(args, "-E", "GOTRACEBACK=none")
	}
	for _, suffix := range t.fault.files {
		args = append(args, "-P", r.database+suffix)
	}
	return args
}

// injection is the fault as strace takes it.
func (t *trial) injection() string {
	what := "error=" + t.error
	if t.error == "" {
		what = fmt.Sprintf("delay_enter=%d", longer.Microseconds())
	}
	return fmt.Sprintf("%s:when=%d%s", what, t.k, map[bool]string{true: "+"}[t.on])
}

// readInjected reads from what strace has written when calls have been made to fail, or to take longer.
func readInjected(path string) (list []time.Time, err error) {
	text, err := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if strings.HasSuffix(line, "(INJECTED)\n") || strings.HasSuffix(line, "(DELAYED)\n") {
			if at, ok := traceTime(line); ok {
				list = append(list, at)
			}
		}
	}
	return list, err
}

// add adds up, but for the longest time.
func (c *Counts) add(more *Counts) {
	slowest := max(c.SlowestMS, more.SlowestMS)
	sum, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(more).Elem()
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + from.Field(i).Int())
	}
	c.SlowestMS = slowest
}

package chaos

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// slowOptions are those of the scenario slowdisk.
type slowOptions struct{ Delay, For time.Duration }

// slowMix has handlers that take less than 0.4 s, so that with two flushes of 2 s an
// answer may still be in time.
var slowMix = mix{slow: 0.2, slowFrom: 20 * time.Millisecond, slowTo: 350 * time.Millisecond, pairs: 0.06, silent: 0.04, fail: 0.02, panics: 0.01, forged: 0.01}

// slowDisk has every flush take longer.
func slowDisk(ctx context.Context, r *run, o slowOptions) error {
	if err := r.configure(r.dir); err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	w, err := r.wechat(slowMix)
	if err != nil {
		return err
	}
	trace := filepath.Join(r.dir, "trace")
	p, err := r.start(startOptions{pure: r.opts.Pure, before: strace(trace, fmt.Sprintf("delay_enter=%d", o.Delay.Microseconds()))})
	if err != nil {
		return err
	}
	if err := p.waitReady(90 * time.Second); err != nil {
		return err
	}
	r.say("ready after %v", time.Since(p.life.Started).Round(time.Millisecond))
	before, err := p.metrics(ctx)
	if err != nil {
		return err
	}
	loaded := time.Now()
	stop := w.load(ctx, r.opts.Rate)
	defer stop()
	if err := pause(ctx, o.For); err != nil {
		return err
	}
	ended := time.Now()
	if err := r.calm(ctx, w, stop, p); err != nil {
		return err
	}
	after, err := p.metrics(ctx)
	if err != nil {
		return err
	}
	e, err := r.evidence(ctx, source{r.database, w})
	if err != nil {
		return err
	}
	if err := p.stop(40 * time.Second); err != nil {
		r.report.broke("%v", err)
	}
	// With two flushes of more than half of the passive window nothing can be in time.
	inTime := o.Delay <= 2*time.Second
	e.Lives, e.Timely = r.lives(), inTime
	r.check(e)
	flushes, err := readTrace(trace)
	if err != nil {
		return err
	}
	during := 0
	for _, f := range flushes {
		if f.at.After(loaded) && f.at.Before(ended) {
			during++
		}
	}
	c := r.report.Counts
	commits := after["echostr_store_commits_total"] - before["echostr_store_commits_total"]
	r.report.figure("flushes_under_load", during)
	r.report.figure("commits", commits)
	if c.Rows > 0 {
		r.report.figure("commits_per_message", commits/float64(c.Rows))
		if commits > 2*float64(c.Rows) {
			r.report.broke("there were %.0f commits for %d messages, and the bound is two for each", commits, c.Rows)
		}
	}
	if during == 0 {
		r.report.broke("no flush was seen under load, so nothing was slow")
	} else {
		shared := float64(c.Messages) / float64(during)
		r.report.figure("messages_per_flush", shared)
		if want := 100.0; r.opts.Rate*o.Delay.Seconds() >= 5*want && shared < want {
			r.slow("%.0f messages shared a flush, and the bound is %.0f", shared, want)
		}
	}
	if c.Restarted > 0 {
		r.report.broke("%d messages were started a second time", c.Restarted)
	}
	if c.Unaccepted > 0 && inTime {
		r.slow("%d messages were not accepted", c.Unaccepted) // beside others two flushes of 2 s take longer than WeChat waits
	}
	return nil
}

// prepare has the bot make its database, with a disk that is whole and fast.
func (r *run) prepare() error {
	p, err := r.start(startOptions{})
	if err != nil {
		return err
	}
	if err := p.waitReady(20 * time.Second); err != nil {
		return fmt.Errorf("%w:\n%s", err, tail(r.botLog.Name(), 20))
	}
	return p.stop(15 * time.Second)
}

// strace is a command line under which a program's flushes are broken. The trace has a
// line for each flush.
func strace(trace, fault string) []string {
	return []string{
		"strace", "-f", "--seccomp-bpf", "-qq", "-y", "-ttt", "-o", trace,
		"-e", "trace=fsync,fdatasync", "-e", "signal=none", "-e", "inject=fsync,fdatasync:" + fault,
	}
}

// flush is a call of fsync or fdatasync.
type flush struct {
	at     time.Time
	failed bool // by us
	folder bool // what was flushed is a folder, so far as the line tells
}

// readTrace reads what strace has written.
func readTrace(path string) ([]flush, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []flush
	for in := bufio.NewScanner(f); in.Scan(); {
		if call, ok := parseTrace(in.Text()); ok {
			list = append(list, call)
		}
	}
	return list, nil
}

// parseTrace reads one line, as in
//
//	1234 1795324706.123456 fdatasync(9</srv/echostr.db-wal>) = -1 EIO (Input/output error) (INJECTED)
//
// A call whose beginning and end are on two lines, because other threads were seen in between,
// counts at its end.
func parseTrace(line string) (flush, bool) {
	at, ok := traceTime(line)
	if !ok || !strings.Contains(line, "sync") || strings.Contains(line, "<unfinished") {
		return flush{}, false
	}
	f := flush{at: at, failed: strings.Contains(line, "INJECTED") && strings.Contains(line, "= -1")}
	if _, rest, ok := strings.Cut(line, "<"); ok {
		path, _, _ := strings.Cut(rest, ">")
		f.folder = strings.HasPrefix(path, "/") && !strings.Contains(filepath.Base(path), ".")
	}
	return f, true
}

// traceTime is the time of a line of a trace.
func traceTime(line string) (time.Time, bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return time.Time{}, false
	}
	at, err := strconv.ParseFloat(fields[1], 64)
	return time.UnixMicro(int64(at * 1e6)), err == nil
}

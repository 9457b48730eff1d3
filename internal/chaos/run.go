package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/echostr/echostr/simulator"
)

// Options are those that all scenarios have.
type Options struct {
	// Bot is the command line of the bot under test, to which the flags of
	// `wxchaos bot` are added.
	Bot []string
	// Seed decides the messages and the moments of the faults.
	Seed uint64
	// Rate is the number of messages per second.
	Rate float64
	// Memory has the bot keep its turns in memory, and compares no database. For
	// trying the harness only.
	Memory bool
	// Pure declares the handler free of side effects.
	Pure bool
	// RetryAtOnce leaves out the rules by which WeChat waits after a failed push, so
	// that everything is over sooner.
	RetryAtOnce bool
	// Untimed notes what took too long and does not count it as a failure: on a machine
	// that is slow or has other work, time says nothing about the server.
	Untimed bool
	// Keep leaves the temporary folder where it is.
	Keep bool
	// Log gets the progress, for people.
	Log io.Writer
}

// run is one run of one scenario.
type run struct {
	opts   Options
	report *Report
	rng    *rand.Rand
	began  time.Time

	dir         string // outside of any file system that is broken
	configFile  string
	witnessFile string
	botLog      *os.File
	database    string // path of the file
	addr        string // where the bot listens
	wanted      bool   // violations are: the bot is a mutant
	api         *api
	seen        seen // by the users

	mu        sync.Mutex
	stuck     map[string]int // by database: rows whose answers are on their way for ever, as it seems
	processes []*process
	cutOff    []Cut
	cleanup   []func() error // in reverse order
	integrity []string
}

// newRun makes the temporary folder.
func newRun(o Options, report *Report) (*run, error) {
	r := &run{opts: o, report: report, rng: rand.New(rand.NewPCG(o.Seed, 0x6b696c6c)), began: time.Now(), stuck: make(map[string]int)}
	if r.opts.Log == nil {
		r.opts.Log = io.Discard
	}
	dir, err := os.MkdirTemp("", "wxchaos-")
	if err != nil {
		return nil, err
	}
	r.dir = dir
	r.configFile, r.witnessFile = filepath.Join(dir, "echostr.yaml"), filepath.Join(dir, "witness")
	if r.botLog, err = os.OpenFile(filepath.Join(dir, "bot.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if r.api, err = newAPI(filepath.Join(dir, "api.jsonl"), o.Seed, &r.seen); err != nil {
		r.close()
		return nil, err
	}
	r.onClose(r.api.close)
	if r.addr, err = freePort(20000 + int(time.Now().UnixNano()%5000)); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// broke is [Report.broke] for several goroutines.
func (r *run) broke(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.broke(format, args...)
}

// slow is [Report.broke] for a bound of time.
func (r *run) slow(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opts.Untimed {
		r.report.Slow = append(r.report.Slow, fmt.Sprintf(format, args...))
	} else {
		r.report.broke(format, args...)
	}
}

// say prints progress.
func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.opts.Log, "%s %6.1fs  %s\n", r.report.Scenario, time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// configure writes the configuration of the bot, with its database in folder.
func (r *run) configure(folder string) error {
	r.database = filepath.Join(folder, "echostr.db")
	storage := "sqlite:" + r.database
	if r.opts.Memory {
		storage = "memory:"
	}
	r.report.Machine = machine(folder)
	return r.writeConfig(r.configFile, r.addr, storage)
}

// writeConfig writes the configuration of a bot with this address and store.
func (r *run) writeConfig(file, addr, storage string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %s\nadmin: 127.0.0.1:0\nadmin_token_file: %s\nstore: %q\napi_base_url: %s\nlog:\n  level: warn\naccounts:\n",
		addr, filepath.Join(r.dir, "token"), storage, r.api.base)
	for _, a := range accounts {
		fmt.Fprintf(&b, "  - name: %s\n    app_id: %s\n    original_id: %s\n    token: %s\n    mode: %s\n    verified: %v\n",
			a.name, a.appID, a.original, a.token, a.mode, a.verified)
		if a.verified {
			fmt.Fprintf(&b, "    app_secret: %s\n", appSecret)
		}
		if a.mode != simulator.Plain {
			fmt.Fprintf(&b, "    encoding_aes_key: %s\n", a.key)
		}
		if a.fallback != "" {
			fmt.Fprintf(&b, "    fallback: %s\n", a.fallback)
		}
		if a.late != "" {
			fmt.Fprintf(&b, "    %s\n", a.late)
		}
	}
	return os.WriteFile(file, []byte(b.String()), 0o600)
}

// wechat returns the WeChat of this run.
func (r *run) wechat(m mix) (*wechat, error) {
	w, err := newWeChat(r.addr, r.opts.Seed, m, r.opts.RetryAtOnce)
	if err == nil {
		w.seen = &r.seen
	}
	return w, err
}

// begin configures and starts a bot that has its database in folder, and returns it when it is ready, with the WeChat that
// is to push to it.
func (r *run) begin(folder string, m mix) (*wechat, *process, error) {
	if err := r.configure(folder); err != nil {
		return nil, nil, err
	}
	w, err := r.wechat(m)
	if err != nil {
		return nil, nil, err
	}
	p, err := r.start(startOptions{pure: r.opts.Pure})
	if err != nil {
		return nil, nil, err
	}
	return w, p, p.waitReady(20 * time.Second)
}

// source is a database, and the WeChat that pushed to those who have it.
type source struct {
	database string
	wechat   *wechat
}

// evidence collects what the parties have written down, with the bots still running
// or not. It waits for the databases to have no running turns any more.
func (r *run) evidence(ctx context.Context, from ...source) (*Evidence, error) {
	e := &Evidence{Stored: !r.opts.Memory, Pure: r.opts.Pure}
	for _, s := range from {
		e.Messages = append(e.Messages, s.wechat.ledger()...)
		if !e.Stored {
			continue
		}
		rows, err := r.settledRows(ctx, s.database)
		if err != nil {
			return nil, err
		}
		e.Rows = append(e.Rows, rows...)
		if err := r.checkIntegrity(ctx, s.database); err != nil {
			return nil, err
		}
	}
	e.Integrity, e.APICalls = r.integrity, r.api.ledger()
	var err error
	if e.Starts, e.Ends, err = readWitness(r.witnessFile); err != nil {
		return nil, err
	}
	e.Lives, e.Cuts = r.lives(), r.cuts()
	return e, nil
}

// settledTime is how long answers may be on their way after everything else has come to its end: a part of
// which nobody knows whether it was sent waits for 15 s, and an answer whose carrier failed for a minute.
const settledTime = 100 * time.Second

// settledRows reads the rows when none is on its way any more, but for those that stayed so for settledTime.
func (r *run) settledRows(ctx context.Context, database string) ([]Row, error) {
	r.mu.Lock()
	stuck := r.stuck[database]
	r.mu.Unlock()
	for deadline := time.Now().Add(settledTime); ; {
		rows, err := readRows(ctx, database, r.began)
		if err != nil || open(rows) <= stuck {
			return rows, err
		}
		if time.Now().After(deadline) {
			r.mu.Lock()
			r.stuck[database] = open(rows)
			r.mu.Unlock()
			r.say("%d turns do not come to their end", open(rows))
			return rows, nil
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// open counts the rows that are not at their end.
func open(rows []Row) (n int) {
	failed := make(map[string]bool)
	for i := range rows {
		if rows[i].State == "failed" {
			failed[rows[i].Key] = true
		}
	}
	for i := range rows {
		if r := &rows[i]; !r.done() || r.onItsWay() || r.Delivery == "fetched" && failed[r.TakenBy] && !r.Due.IsZero() {
			n++
		}
	}
	return n
}

// checkIntegrity asks a database whether it is whole.
func (r *run) checkIntegrity(ctx context.Context, database string) error {
	if r.opts.Memory {
		return nil
	}
	says, err := integrity(ctx, database)
	if err != nil {
		says = err.Error() // the checker reports it as what it is
	}
	r.integrity = append(r.integrity, says)
	return nil
}

// lives are those of all processes up to now.
func (r *run) lives() (list []Life) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.processes {
		l := Life{PID: p.life.PID, Started: p.life.Started, Node: p.life.Node}
		if p.isReady() {
			l.PID, l.Ready = p.life.PID, p.life.Ready
		}
		select {
		case <-p.done:
			l = p.life
		default:
		}
		list = append(list, l)
	}
	return list
}

// cut notes that a process was without its store. PID 0 is every process.
func (r *run) cut(c Cut) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cutOff = append(r.cutOff, c)
}

func (r *run) cuts() []Cut {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.cutOff)
}

// check has the checker compare the evidence, and puts what it says into the report.
func (r *run) check(e *Evidence) {
	e.Timely = e.Timely && !r.opts.Untimed
	violations, counts := Check(e)
	r.report.add(violations)
	r.report.Counts = &counts
	r.report.figure("slowest_answer_ms", slowestAnswer(e).Milliseconds())
	for _, v := range r.report.Violations {
		if r.wanted {
			r.say("as it should be: %v", v)
		} else {
			r.say("VIOLATION %v", v)
		}
	}
}

// slowestAnswer is the longest time after which a push was answered.
func slowestAnswer(e *Evidence) (slowest time.Duration) {
	for _, m := range e.Messages {
		for i := range m.Pushes {
			if p := &m.Pushes[i]; p.Status != 0 {
				slowest = max(slowest, p.Took)
			}
		}
	}
	return slowest
}

// leaks looks at what the idle process takes after warming up and again after more
// work of the same kind.
func (r *run) leaks(ctx context.Context, p *process, w *wechat) ([]Usage, error) {
	var idle []Usage
	w.mix = mix{pairs: 0.05, silent: 0.05, panics: 0.05, forged: 0.05} // all over at once
	for range 2 {
		stop := w.load(ctx, 400)
		err := pause(ctx, 800*time.Millisecond)
		if stop(); err != nil {
			return nil, err
		}
		if err := w.settle(20 * time.Second); err != nil {
			return nil, err
		}
		if err := p.quiet(ctx, 10*time.Second); err != nil {
			return nil, err
		}
		// Connections and timers of the last answers end a little later.
		time.Sleep(300 * time.Millisecond)
		u, err := p.usage(ctx)
		if err != nil {
			return nil, err
		}
		idle = append(idle, u)
		r.say("idle: %d goroutines, %d descriptors, %d KiB", u.Goroutines, u.Descriptors, u.ResidentKiB)
	}
	return idle, nil
}

// onClose has f called when the run is over, in the reverse order.
func (r *run) onClose(f func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanup = append(r.cleanup, f)
}

// close ends all processes and removes everything.
func (r *run) close() error {
	r.mu.Lock()
	processes, cleanup := r.processes, r.cleanup
	r.cleanup = nil
	r.mu.Unlock()
	for _, p := range processes {
		select {
		case <-p.done:
		default:
			p.kill()
		}
	}
	var errs []error
	for i := len(cleanup) - 1; i >= 0; i-- {
		errs = append(errs, cleanup[i]())
	}
	r.botLog.Close()
	if r.opts.Keep {
		r.say("everything is left in %s", r.dir)
	} else {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

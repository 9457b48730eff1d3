package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// scenario is one command of wxchaos.
type scenario struct {
	name, does string
	rate       float64
	needs      []string // what the machine must have: see need
	// flags registers the scenario's own flags and returns what runs it, and its
	// parameters.
	flags func(f *flag.FlagSet) (do func(context.Context, *run) error, parameters func() map[string]any)
	// short, full and nightly are the flags of `wxchaos all`, once or several times. A line with -untimed is not
	// judged by time and runs beside others, since mostly it waits; in short all of them are such.
	short, full, nightly [][]string
}

var scenarios = []*scenario{
	{
		name: "kill", does: "kill -9 at random moments under load", rate: 120,
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := killOptions{}
			f.IntVar(&o.Kills, "kills", 30, "kills")
			f.BoolVar(&o.Fast, "fast", false, "answers that are in time for a push, mostly; try it with -rate 500")
			f.DurationVar(&o.P99, "p99", 300*time.Millisecond, "bound of the time from start to first 200, for 99 of 100")
			return func(ctx context.Context, r *run) error { return killLoop(ctx, r, o) },
				func() map[string]any { return map[string]any{"kills": o.Kills, "fast": o.Fast} }
		},
		short:   [][]string{{"-fast", "-rate", "200", "-kills", "15"}, {"-kills", "8", "-rate", "40"}},
		full:    [][]string{{"-fast", "-rate", "500", "-kills", "60"}, {"-kills", "15", "-rate", "60", "-untimed"}},
		nightly: [][]string{{"-fast", "-rate", "500", "-kills", "1000"}, {"-kills", "200"}},
	},
	{
		name: "powercut", does: "the power of the database's file system fails under load", rate: 800, needs: []string{needRoot, needLoop, needMkfs},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := cutOptions{}
			f.IntVar(&o.Cuts, "cuts", 20, "power cuts")
			f.BoolVar(&o.Control, "control", false, "with a bot that does not flush (the mutant M2), which must lose something")
			f.Int64Var(&o.SizeMiB, "size", 4096, "size of the file system in MiB, of which only what is written is taken")
			return func(ctx context.Context, r *run) error { return powerCut(ctx, r, o) },
				func() map[string]any { return map[string]any{"cuts": o.Cuts, "control": o.Control} }
		},
		short:   [][]string{{"-cuts", "15", "-rate", "250"}, {"-control", "-cuts", "5", "-rate", "250"}},
		full:    [][]string{{"-cuts", "60"}, {"-control", "-cuts", "10"}},
		nightly: [][]string{{"-cuts", "1000"}, {"-control", "-cuts", "20"}},
	},
	{
		name: "diskfull", does: "the disk is full for a while", rate: 100, needs: []string{needRoot},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := fullOptions{}
			f.IntVar(&o.SizeMiB, "size", 8, "size of the file system in MiB")
			f.DurationVar(&o.For, "for", 8*time.Second, "how long it is full at least, and how long it goes on after that")
			return func(ctx context.Context, r *run) error { return diskFull(ctx, r, o) },
				func() map[string]any { return map[string]any{"size_mib": o.SizeMiB, "for": o.For.String()} }
		},
		short:   [][]string{{"-for", "5s", "-rate", "60"}},
		full:    [][]string{{"-for", "10s"}},
		nightly: [][]string{{"-for", "60s", "-rate", "30"}},
	},
	{
		name: "slowdisk", does: "every flush takes 2 s longer", rate: 300, needs: []string{needStrace},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := slowOptions{}
			f.DurationVar(&o.Delay, "delay", 2*time.Second, "how much longer a flush takes")
			f.DurationVar(&o.For, "for", 10*time.Second, "how long messages come in")
			return func(ctx context.Context, r *run) error { return slowDisk(ctx, r, o) },
				func() map[string]any { return map[string]any{"delay": o.Delay.String(), "for": o.For.String()} }
		},
		short:   [][]string{{"-for", "6s", "-rate", "150"}},
		full:    [][]string{{"-for", "10s", "-untimed"}},
		nightly: [][]string{{"-for", "30s"}, {"-delay", "6s", "-for", "30s"}},
	},
	{
		name: "failsync", does: "one flush fails after the other", rate: 200, needs: []string{needStrace},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := failOptions{}
			f.IntVar(&o.Max, "max", 12, "largest k of the k-th flush of a thread that fails")
			return func(ctx context.Context, r *run) error { return failSync(ctx, r, o) },
				func() map[string]any { return map[string]any{"max": o.Max} }
		},
		short:   [][]string{{"-max", "8", "-rate", "100"}},
		full:    [][]string{{"-max", "20"}},
		nightly: [][]string{{"-max", "60"}},
	},
	{
		name: "sweep", does: "one system call fails after the other, in a run for each", rate: 100, needs: []string{needStrace},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := sweepOptions{}
			f.StringVar(&o.Calls, "calls", "", "the faults, with commas; all if empty")
			f.IntVar(&o.Step, "step", 1, "the distance from one k to the next")
			f.IntVar(&o.Max, "max", 1000, "largest k of the k-th call of a thread that fails")
			f.IntVar(&o.Beside, "beside", 32, "runs at the same time: mostly they wait")
			return func(ctx context.Context, r *run) error { return sweep(ctx, r, o) },
				func() map[string]any { return map[string]any{"calls": o.Calls, "step": o.Step, "max": o.Max} }
		},
		short:   [][]string{{"-calls", "fsync,connect", "-step", "8"}},
		full:    [][]string{{"-step", "32", "-untimed"}},
		nightly: [][]string{{"-untimed"}},
	},
	{
		name: "api-down", does: "WeChat's API carries nothing out for a while", rate: 40,
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := apiDownOptions{}
			f.DurationVar(&o.For, "for", 30*time.Second, "how long in each way")
			f.DurationVar(&o.P99, "p99", time.Second, "bound of the time that an answer takes beside its handler, for 99 of 100, while it is down")
			return func(ctx context.Context, r *run) error { return apiDown(ctx, r, o) },
				func() map[string]any { return map[string]any{"for": o.For.String()} }
		},
		short:   [][]string{{"-for", "11s", "-rate", "15"}},
		full:    [][]string{{"-for", "20s", "-rate", "20", "-untimed"}},
		nightly: [][]string{{"-for", "60s"}},
	},
	{
		name: "soak", does: "hours of load on one process, with a fault each minute that it must outlive", rate: 50,
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := soakOptions{}
			f.DurationVar(&o.For, "for", 8*time.Hour, "how long")
			f.DurationVar(&o.Every, "every", time.Minute, "how long from one fault to the next")
			f.Float64Var(&o.Slope, "slope", 1, "bound of the growth of the process, in MiB an hour; looked at from an hour on")
			return func(ctx context.Context, r *run) error { return soak(ctx, r, o) },
				func() map[string]any { return map[string]any{"for": o.For.String(), "every": o.Every.String()} }
		},
		short:   nil,
		full:    [][]string{{"-for", "80s", "-every", "10s", "-untimed"}},
		nightly: [][]string{{"-for", "10m"}},
	},
	{
		name: "restart", does: "SIGTERM under load, with a listening socket that is inherited", rate: 300,
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := restartOptions{}
			f.IntVar(&o.Restarts, "restarts", 10, "restarts")
			return func(ctx context.Context, r *run) error { return restart(ctx, r, o) },
				func() map[string]any { return map[string]any{"restarts": o.Restarts} }
		},
		short:   [][]string{{"-restarts", "6", "-rate", "150"}},
		full:    [][]string{{"-restarts", "10"}},
		nightly: [][]string{{"-restarts", "100"}},
	},
	{
		name: "partition", does: "one of two nodes is cut off from PostgreSQL", rate: 60, needs: []string{needPostgres},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := partitionOptions{Ways: allWays}
			f.Var(&o.Ways, "ways", "what a partition is, with commas; the first one mostly")
			f.IntVar(&o.Cuts, "cuts", 4, "partitions, in all")
			f.IntVar(&o.Sites, "sites", 4, "pairs of nodes side by side")
			f.DurationVar(&o.Min, "min", time.Second, "how long a partition lasts at least")
			f.DurationVar(&o.Max, "max", 20*time.Second, "how long it lasts at most")
			f.IntVar(&o.Long, "long", 0, "partitions of a minute, after these")
			return func(ctx context.Context, r *run) error { return partition(ctx, r, o) },
				func() map[string]any {
					return map[string]any{"cuts": o.Cuts, "sites": o.Sites, "min": o.Min.String(), "max": o.Max.String(), "long": o.Long, "ways": o.Ways.String()}
				}
		},
		short:   [][]string{{"-sites", "2", "-cuts", "2", "-min", "16s", "-max", "17s", "-ways", "gone,mute", "-rate", "40"}},
		full:    [][]string{{"-sites", "3", "-cuts", "6", "-rate", "40", "-untimed"}},
		nightly: [][]string{{"-sites", "5", "-cuts", "100", "-long", "5"}},
	},
	{
		name: "pg-kill", does: "kill -9 of two nodes in turn, and crashes of PostgreSQL", rate: 100, needs: []string{needPostgres},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := nodeKillOptions{}
			f.IntVar(&o.Kills, "kills", 6, "kills of a node, in all")
			f.IntVar(&o.Restarts, "restarts", 2, "crashes of the database server meanwhile")
			f.IntVar(&o.Sites, "sites", 1, "pairs of nodes side by side")
			f.BoolVar(&o.Fast, "fast", false, "answers that are in time for a push, mostly")
			return func(ctx context.Context, r *run) error { return nodeKill(ctx, r, o) },
				func() map[string]any {
					return map[string]any{"kills": o.Kills, "restarts": o.Restarts, "sites": o.Sites, "fast": o.Fast}
				}
		},
		short:   [][]string{{"-fast", "-kills", "3", "-restarts", "1", "-rate", "50"}},
		full:    [][]string{{"-fast", "-kills", "8", "-restarts", "3", "-rate", "60", "-untimed"}},
		nightly: [][]string{{"-sites", "4", "-kills", "500", "-restarts", "40"}},
	},
	{
		name: "pg-outage", does: "the server of PostgreSQL is down for longer", rate: 100, needs: []string{needPostgres},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := outageOptions{Down: durations{300 * time.Millisecond, 2 * time.Second, 5 * time.Second, 10 * time.Second}}
			f.Var(&o.Down, "down", "how long, with commas")
			f.IntVar(&o.Each, "each", 1, "how often for each of these")
			return func(ctx context.Context, r *run) error { return pgOutage(ctx, r, o) },
				func() map[string]any { return map[string]any{"down": o.Down.String(), "each": o.Each} }
		},
		short:   [][]string{{"-down", "0.3s,4s", "-rate", "60"}},
		full:    [][]string{{"-rate", "60", "-untimed"}},
		nightly: [][]string{{"-each", "5"}},
	},
	{
		name: "pg-restart", does: "the server of PostgreSQL crashes and recovers", rate: 200, needs: []string{needPostgres},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := crashOptions{Sites: 1}
			f.IntVar(&o.Restarts, "restarts", 5, "crashes of the database server")
			return func(ctx context.Context, r *run) error { return pgRestart(ctx, r, o) },
				func() map[string]any { return map[string]any{"restarts": o.Restarts} }
		},
		short:   nil,
		full:    [][]string{{"-restarts", "20", "-rate", "60", "-untimed"}},
		nightly: [][]string{{"-restarts", "200"}},
	},
	{
		name: "two-nodes", does: "two nodes on PostgreSQL, and each retry goes to the other", rate: 200, needs: []string{needPostgres},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := nodesOptions{}
			f.IntVar(&o.Messages, "n", 2000, "messages")
			f.DurationVar(&o.P99, "p99", 150*time.Millisecond, "bound of the time from a result to the answer on the other node, for 99 of 100")
			return func(ctx context.Context, r *run) error { return twoNodes(ctx, r, o) },
				func() map[string]any { return map[string]any{"messages": o.Messages} }
		},
		short:   [][]string{{"-n", "600", "-rate", "60"}},
		full:    [][]string{{"-n", "3000", "-rate", "150"}},
		nightly: [][]string{{"-n", "100000", "-rate", "300"}},
	},
	{
		name: "rolling", does: "SIGTERM to two nodes in turn, under load", rate: 200, needs: []string{needPostgres},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := rollingOptions{}
			f.IntVar(&o.Restarts, "restarts", 10, "restarts")
			return func(ctx context.Context, r *run) error { return rolling(ctx, r, o) },
				func() map[string]any { return map[string]any{"restarts": o.Restarts} }
		},
		short:   [][]string{{"-restarts", "2", "-rate", "60"}},
		full:    [][]string{{"-restarts", "6", "-rate", "60", "-untimed"}},
		nightly: [][]string{{"-restarts", "100"}},
	},
	{
		name: "pg-lost-commit", does: "answers of PostgreSQL to a commit are lost", rate: 150, needs: []string{needPostgres},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := lostOptions{}
			f.IntVar(&o.Losses, "losses", 100, "answers that are lost")
			f.Float64Var(&o.Share, "share", 0.1, "share of the answers to a commit that are lost")
			return func(ctx context.Context, r *run) error { return lostCommit(ctx, r, o) },
				func() map[string]any { return map[string]any{"losses": o.Losses, "share": o.Share} }
		},
		short:   [][]string{{"-losses", "40", "-rate", "60"}},
		full:    [][]string{{"-losses", "100", "-rate", "60", "-untimed"}},
		nightly: [][]string{{"-losses", "1000"}},
	},
	{
		name: "flood", does: "forged pushes and slow connections, through what the server trusts", rate: 700, needs: []string{needPostgres},
		flags: func(f *flag.FlagSet) (func(context.Context, *run) error, func() map[string]any) {
			o := floodOptions{}
			f.IntVar(&o.Slow, "slow", 400, "connections that send a byte now and then")
			f.DurationVar(&o.For, "for", 10*time.Second, "how long")
			return func(ctx context.Context, r *run) error { return flood(ctx, r, o) },
				func() map[string]any { return map[string]any{"slow": o.Slow, "for": o.For.String()} }
		},
		short:   [][]string{{"-for", "4s", "-slow", "100", "-rate", "150"}},
		full:    [][]string{{"-for", "10s"}},
		nightly: [][]string{{"-for", "60s"}},
	},
}

// Main is the command wxchaos: it does what args say and returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) == 0 || args[0] == "-h" || args[0] == "--help" || args[0] == "help" {
		usage(stderr)
		return exitUsage
	}
	switch args[0] {
	case "bot":
		return botMain(args[1:], stdout, stderr)
	case "all":
		return allMain(ctx, args, stdout, stderr)
	}
	for _, s := range scenarios {
		if s.name == args[0] {
			_, code := s.main(ctx, args, stdout, stderr)
			return code
		}
	}
	fmt.Fprintf(stderr, "wxchaos: there is no scenario %q\n", args[0])
	usage(stderr)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "wxchaos SCENARIO [flags]: break the server and see what it keeps of its promises.\n\n")
	for _, s := range scenarios {
		fmt.Fprintf(w, "  %-14s %s\n", s.name, s.does)
	}
	fmt.Fprint(w, "  all            all of them, -short, -full or -nightly, and a table\n  bot            the bot under test, which the scenarios start\n\nwxchaos SCENARIO -h shows the flags. Each scenario prints one line of JSON.\n")
}

func botMain(args []string, stdout, stderr io.Writer) int {
	var o botOptions
	f := flag.NewFlagSet("wxchaos bot", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.config, "config", "", "the configuration of the server")
	f.StringVar(&o.witness, "witness", "", "the file that the handler writes its starts and ends to")
	f.DurationVar(&o.waitLock, "wait-lock", 0, "how long to wait for another process that has the database")
	f.BoolVar(&o.pure, "pure", false, "declare the handler free of side effects")
	if f.Parse(args) != nil || o.config == "" || o.witness == "" {
		fmt.Fprintln(stderr, "wxchaos bot: give -config and -witness")
		return exitUsage
	}
	return runBot(o, stdout)
}

// main runs the scenario by its flags and prints its report.
func (s *scenario) main(ctx context.Context, args []string, stdout, stderr io.Writer) (*Report, int) {
	var o Options
	f := flag.NewFlagSet("wxchaos "+s.name, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()%1_000_000), "seed of the messages and of the moments of faults")
	f.Float64Var(&o.Rate, "rate", s.rate, "messages per second")
	f.BoolVar(&o.Memory, "memory", false, "without a database, to try the harness")
	f.BoolVar(&o.Pure, "pure", false, "declare the handler free of side effects")
	f.BoolVar(&o.Untimed, "untimed", false, "note what takes too long and do not count it as a failure, on a machine that is slow or busy")
	f.BoolVar(&o.Keep, "keep", false, "leave the temporary folder where it is")
	bot := f.String("bot", "", "another program in place of wxchaos as the bot under test, called with the flags of wxchaos bot")
	do, parameters := s.flags(f)
	if err := f.Parse(args[1:]); err != nil {
		return nil, exitUsage
	}
	if f.NArg() > 0 {
		fmt.Fprintf(stderr, "wxchaos %s: it takes flags only, and not %q\n", s.name, f.Arg(0))
		return nil, exitUsage
	}
	if wrong := outOfRange(f); wrong != "" {
		fmt.Fprintf(stderr, "wxchaos %s: %s: a scenario that does nothing proves nothing\n", s.name, wrong)
		return nil, exitUsage
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(stderr, "wxchaos:", err)
		return nil, exitFailed
	}
	o.Bot, o.Log = []string{self, "bot"}, stderr
	if *bot != "" {
		o.Bot = []string{*bot, "bot"}
	}
	report := &Report{
		Scenario: s.name, Command: commandLine(args), Commit: commit(), Seed: o.Seed,
		Parameters: parameters(), Time: time.Now().UTC().Format(time.RFC3339),
	}
	if !strings.Contains(report.Command, "-seed") {
		report.Command += fmt.Sprintf(" -seed %d", o.Seed)
	}
	report.Parameters["rate"] = o.Rate
	s.run(ctx, o, report, do)
	if err := report.write(stdout); err != nil {
		fmt.Fprintln(stderr, "wxchaos:", err)
		return report, exitFailed
	}
	if !report.OK {
		return report, exitFailed
	}
	return report, 0
}

// outOfRange names a flag whose number or time makes no sense, if there is one.
func outOfRange(f *flag.FlagSet) (wrong string) {
	f.VisitAll(func(f *flag.Flag) {
		g, ok := f.Value.(flag.Getter)
		if !ok {
			return // one of ours, which looks for itself
		}
		switch v := g.Get().(type) {
		case int:
			if v < 0 {
				wrong = fmt.Sprintf("-%s is %d, but must not be negative", f.Name, v)
			}
		case float64:
			if !(v > 0) {
				wrong = fmt.Sprintf("-%s is %v, but must be above 0", f.Name, v)
			}
		case time.Duration:
			if v < 0 {
				wrong = fmt.Sprintf("-%s is %v, but must not be negative", f.Name, v)
			}
		}
	})
	return wrong
}

// run does the scenario and completes its report.
func (s *scenario) run(ctx context.Context, o Options, report *Report, do func(context.Context, *run) error) {
	began := time.Now()
	defer func() { report.Seconds = time.Since(began).Round(100 * time.Millisecond).Seconds() }()
	if lacks, required := s.lacks(); len(lacks) > 0 {
		report.Skipped = strings.Join(lacks, "; ")
		report.OK = !required
		fmt.Fprintf(o.Log, "%s SKIPPED: %s\n", s.name, report.Skipped)
		if required {
			report.broke("it is required by ECHOSTR_TEST_REQUIRE and cannot run: %s", report.Skipped)
		}
		return
	}
	r, err := newRun(o, report)
	if err != nil {
		report.broke("%v", err)
		return
	}
	defer func() {
		if err := r.close(); err != nil {
			report.broke("clean up: %v", err)
		}
		report.OK = len(report.Violations) == 0 && len(report.Broken) == 0
		r.say("%s", report.summary())
	}()
	if err := do(ctx, r); err != nil {
		report.broke("%v", err)
		if log := tail(r.botLog.Name(), 15); log != "" && !errors.Is(err, context.Canceled) {
			r.say("the end of the bot's log:\n%s", log)
		}
	}
}

// summary is a line for people.
func (r *Report) summary() string {
	if r.Skipped != "" {
		return "skipped: " + r.Skipped
	}
	var b strings.Builder
	if c := r.Counts; c != nil {
		fmt.Fprintf(&b, "%d messages, %d acked, %d unaccepted, %d lost, %d started again, %d unexplained, %d deaths", c.Messages, c.Acked, c.Unaccepted, c.Lost, c.Restarted, c.Unexplained, c.Deaths)
	}
	if len(r.ViolationsBy) > 0 {
		fmt.Fprintf(&b, "; violations %v", r.ViolationsBy)
	}
	for _, s := range r.Broken {
		fmt.Fprintf(&b, "; BROKEN: %s", s)
	}
	for _, s := range r.Slow {
		fmt.Fprintf(&b, "; slow: %s", s)
	}
	if r.OK {
		b.WriteString("; ok")
	}
	return b.String()
}

package chaos

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"text/tabwriter"
)

// allMain runs all scenarios, prints their lines, and a table at the end.
func allMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("wxchaos all", flag.ContinueOnError)
	f.SetOutput(stderr)
	short := f.Bool("short", false, "three minutes in all, and not judged by time, as on a machine that is slow or busy")
	full := f.Bool("full", false, "eight minutes")
	nightly := f.Bool("nightly", false, "as often as the promises are measured, which takes hours")
	seed := f.Uint64("seed", 1, "seed of all scenarios")
	list := f.Bool("list", false, "print the commands and run none")
	if f.Parse(args[1:]) != nil || f.NArg() > 0 {
		return exitUsage
	}
	var lines []line
	switch {
	case *short && !*full && !*nightly:
		lines = plan(func(s *scenario) [][]string { return s.short }, *seed, "-untimed")
	case *full && !*short && !*nightly:
		lines = plan(func(s *scenario) [][]string { return s.full }, *seed)
	case *nightly && !*short && !*full:
		lines = plan(func(s *scenario) [][]string { return s.nightly }, *seed)
	default:
		fmt.Fprintln(stderr, "wxchaos all: give one of -short, -full and -nightly")
		return exitUsage
	}
	if *list {
		for _, l := range lines {
			fmt.Fprintln(stdout, commandLine(l.args))
		}
		return 0
	}
	stdout, stderr = &shared{w: stdout}, &shared{w: stderr}
	var alone, beside []line
	for _, l := range lines {
		if slices.Contains(l.args, "-untimed") {
			beside = append(beside, l)
		} else {
			alone = append(alone, l)
		}
	}
	reports, ok := inTurn(ctx, alone, 1, stdout, stderr)
	atOnce := sideBySide
	if *short {
		atOnce = sideBySideShort
	}
	more, okBeside := inTurn(ctx, beside, atOnce, stdout, stderr)
	reports = append(reports, more...)
	table := tabwriter.NewWriter(stderr, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "\ncommand\tseconds\tresult")
	for _, r := range reports {
		fmt.Fprintf(table, "%s\t%.1f\t%s\n", r.Command, r.Seconds, r.summary())
	}
	table.Flush()
	if !ok || !okBeside {
		return exitFailed
	}
	return 0
}

// plan is what is to run: the scenarios with their flags, with the seed and more.
func plan(flags func(*scenario) [][]string, seed uint64, more ...string) (lines []line) {
	for _, s := range scenarios {
		for _, f := range flags(s) {
			args := append(append([]string{s.name}, f...), more...)
			lines = append(lines, line{s, append(args, "-seed", strconv.FormatUint(seed, 10))})
		}
	}
	return lines
}

// line is a scenario with its flags.
type line struct {
	s    *scenario
	args []string
}

// How many scenarios run at the same time that are not judged by time: mostly they wait, for WeChat's retries
// and for leases to end. With more, two cores are so busy that processes do not start in time.
const (
	sideBySide      = 3
	sideBySideShort = 5 // they have less load
)

// inTurn runs scenarios in turn, some at the same time, and reports whether all bounds hold.
func inTurn(ctx context.Context, lines []line, atOnce int, stdout, stderr io.Writer) (reports []*Report, ok bool) {
	ok = true
	var mu sync.Mutex
	var all sync.WaitGroup
	next := make(chan line)
	for range atOnce {
		all.Go(func() {
			for l := range next {
				report, exit := l.s.main(ctx, l.args, stdout, stderr)
				mu.Lock()
				if ok = ok && exit == 0; report != nil {
					reports = append(reports, report)
				}
				mu.Unlock()
			}
		})
	}
	for _, l := range lines {
		if ctx.Err() != nil {
			ok = false
			break
		}
		next <- l
	}
	close(next)
	all.Wait()
	return reports, ok
}

// shared is a writer for several goroutines.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

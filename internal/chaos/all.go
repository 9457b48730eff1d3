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

// allMain runs all scenarios in turn, prints their lines, and a table at the end.
func allMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("wxchaos all", flag.ContinueOnError)
	f.SetOutput(stderr)
	short := f.Bool("short", false, "a few minutes in all, and not judged by time, as on a machine that is slow or busy")
	full := f.Bool("full", false, "as often as the promises are measured")
	seed := f.Uint64("seed", 1, "seed of all scenarios")
	if f.Parse(args[1:]) != nil || f.NArg() > 0 || *short == *full {
		fmt.Fprintln(stderr, "wxchaos all: give -short or -full")
		return exitUsage
	}
	var lines, beside []line
	for _, s := range scenarios {
		runs := s.short
		if *full {
			runs = s.full
		}
		for _, flags := range runs {
			args := append([]string{s.name}, flags...)
			if *short {
				args = append(args, "-untimed")
			}
			l := line{s, append(args, "-seed", strconv.FormatUint(*seed, 10))}
			if *short && slices.Contains(s.needs, needPostgres) {
				beside = append(beside, l)
			} else {
				lines = append(lines, l)
			}
		}
	}
	stdout, stderr = &shared{w: stdout}, &shared{w: stderr}
	reports, ok := inTurn(ctx, lines, 1, stdout, stderr)
	more, okBeside := inTurn(ctx, beside, sideBySide, stdout, stderr)
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

// line is a scenario with its flags.
type line struct {
	s    *scenario
	args []string
}

// sideBySide is how many scenarios with several nodes run at the same time, if time is short: mostly they wait for
// leases to end.
const sideBySide = 3

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

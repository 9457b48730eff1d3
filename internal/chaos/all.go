package chaos

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
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
	code := 0
	var reports []*Report
	for _, s := range scenarios {
		runs := s.short
		if *full {
			runs = s.full
		}
		for _, flags := range runs {
			line := append([]string{s.name}, flags...)
			if *short {
				line = append(line, "-untimed")
			}
			report, exit := s.main(ctx, append(line, "-seed", strconv.FormatUint(*seed, 10)), stdout, stderr)
			if exit != 0 {
				code = exitFailed
			}
			if report != nil {
				reports = append(reports, report)
			}
			if ctx.Err() != nil {
				return exitFailed
			}
		}
	}
	table := tabwriter.NewWriter(stderr, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "\ncommand\tseconds\tresult")
	for _, r := range reports {
		fmt.Fprintf(table, "%s\t%.1f\t%s\n", r.Command, r.Seconds, r.summary())
	}
	table.Flush()
	return code
}

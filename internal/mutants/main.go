// Command mutants tests the tests: it breaks the server on purpose, one mistake at
// a time, and requires that each is found, by the test that is there for it and
// under the name of the invariant that it breaks.
//
//	go run ./internal/mutants                 all of them
//	go run ./internal/mutants -only M1,M5     some
//	go run ./internal/mutants -list           what there is, as the table of docs/proof.md
//
// A mutant is a patch in this folder. The lines before the diff say what it
// breaks and what must find it:
//
//	Mutant: M1 acknowledge before the commit
//	Breaks: what goes wrong then, in a sentence.
//	Kill: I1 wxchaos kill -fast -rate 500 -kills 10
//	Kill: I1/I3 go test -run TestSimulation$ ./internal/turn
//
// A Kill line has the invariants, any one of which may be named, and a command.
// wxchaos is built from the mutated source. Every command must fail and say a line
// with one of the names; a scenario of wxchaos depends on chance and has three tries.
//
// The work tree, as it is, is copied into a temporary folder. There all commands run
// unchanged first and must pass, so that a broken environment does not look like a
// kill. Then each patch is applied and taken back in turn. One that does not apply
// any more, that does not build, that survives, or that is found under another name is
// a failure: exit 1. A scenario that this machine cannot run is skipped aloud, unless
// ECHOSTR_TEST_REQUIRE names what it lacks.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

//go:embed *.patch
var patches embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the command: 0 if every mutant is killed, 1 if not, 2 for a wrong command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("mutants", flag.ContinueOnError)
	f.SetOutput(stderr)
	only := f.String("only", "", "the mutants to run, such as M1,M5; all if empty")
	asJSON := f.Bool("json", false, "print one line of JSON for each mutant in place of the table")
	list := f.Bool("list", false, "print the table of the mutants and what must find them")
	timeout := f.Duration("timeout", 5*time.Minute, "the longest that one command may take")
	if err := f.Parse(args); err != nil {
		return 2
	}
	all, err := readMutants(patches)
	if err == nil {
		all, err = choose(all, *only)
	}
	if err != nil {
		fmt.Fprintln(stderr, "mutants:", err)
		return 2
	}
	if *list {
		fmt.Fprint(stdout, catalogue(all))
		return 0
	}
	root, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		fmt.Fprintln(stderr, "mutants: run it inside the repository, with git installed:", err)
		return 2
	}
	l := &lab{ctx: ctx, log: stderr, timeout: *timeout, tries: 3}
	outcomes, err := l.try(strings.TrimSpace(string(root)), all)
	if err != nil {
		fmt.Fprintln(stderr, "mutants:", err)
		return 1
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetEscapeHTML(false)
		for _, o := range outcomes {
			if err := enc.Encode(o); err != nil {
				fmt.Fprintln(stderr, "mutants:", err)
				return 1
			}
		}
	} else {
		table(stdout, outcomes)
	}
	if slices.ContainsFunc(outcomes, func(o outcome) bool { return o.Result != killed && o.Result != skipped }) {
		return 1
	}
	return 0
}

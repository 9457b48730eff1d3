package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// lab is a copy of the work tree in which mutants are let loose.
type lab struct {
	ctx     context.Context
	log     io.Writer
	timeout time.Duration // of one command
	tries   int           // of a scenario of wxchaos
	source  string        // the copy
	wxchaos string        // the program built from it, empty if nothing needs it
}

// result is what became of a mutant under one command.
type result string

const (
	killed   result = "killed"
	skipped  result = "skipped"         // this machine cannot run what must find it
	survived result = "SURVIVED"        // nothing has noticed it
	misnamed result = "WRONG REASON"    // the command failed, and named none of the invariants
	stale    result = "DOES NOT APPLY"  // the patch has to be brought up to date
	unbuilt  result = "DOES NOT BUILD"  // so does this one
	sick     result = "FAILS UNMUTATED" // the command is broken, or what it tests
)

// outcome is a line of the table.
type outcome struct {
	Mutant    string  `json:"mutant"`
	Title     string  `json:"title"`
	Result    result  `json:"result"`
	By        string  `json:"by,omitempty"`
	Invariant string  `json:"invariant,omitempty"` // the one that was named
	Line      string  `json:"line,omitempty"`      // where it was named
	Seconds   float64 `json:"seconds"`
}

// try copies the work tree, runs all commands there unchanged, and then each mutant's.
func (l *lab) try(root string, mutants []*mutant) ([]outcome, error) {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	l.source = filepath.Join(dir, "source")
	if err := copyTree(l.ctx, root, l.source); err != nil {
		return nil, fmt.Errorf("copy the work tree: %w", err)
	}
	if needsChaos(mutants) {
		l.wxchaos = filepath.Join(dir, "wxchaos")
	}
	if out, err := l.build(); err != nil {
		return nil, fmt.Errorf("the work tree does not build: %w\n%s", err, out)
	}
	var commands []kill // each once, with all that it may name
	for _, m := range mutants {
		for _, k := range m.Kills {
			i := slices.IndexFunc(commands, func(known kill) bool { return known.Command == k.Command })
			if i < 0 {
				commands = append(commands, kill{Command: k.Command})
				i = len(commands) - 1
			}
			commands[i].Invariants = append(commands[i].Invariants, k.Invariants...)
		}
	}
	healthy := make(map[string]outcome)
	for _, k := range commands {
		healthy[k.Command] = l.unmutated(k)
	}
	var list []outcome
	for _, m := range mutants {
		if l.ctx.Err() != nil {
			break // told to end; what is left is no result
		}
		more, err := l.mutate(m, healthy)
		if list = append(list, more...); err != nil {
			return list, err
		}
	}
	return list, l.ctx.Err()
}

// unmutated is a command's outcome without any mutant: it must pass. A scenario that
// fails for something that no mutant is killed by, such as a machine that is too
// busy for I7, may try again.
func (l *lab) unmutated(k kill) outcome {
	o := outcome{By: k.Command}
	began := time.Now()
	for range l.triesOf(k) {
		out, err := l.command(k)
		if err == nil {
			o.Result, o.Line = survived, "passes"
			if isSkipped(out) {
				o.Result, o.Line = skipped, firstWith(out, skippedCommand)
			}
			break
		}
		o.Result, o.Line = sick, reason(out)
		fmt.Fprintf(l.log, "%s\n", out)
		if name, _ := named(out, k.Invariants); name != "" || l.ctx.Err() != nil {
			break
		}
	}
	o.Seconds = time.Since(began).Seconds()
	fmt.Fprintf(l.log, "%6.1fs  unmutated  %s: %s\n", o.Seconds, k.Command, o.Line)
	return o
}

// triesOf is how often a command may run until it does what it must.
func (l *lab) triesOf(k kill) int {
	if strings.HasPrefix(k.Command, "wxchaos ") {
		return max(l.tries, 1)
	}
	return 1
}

// mutate applies a patch, runs what must find it, and takes it back.
func (l *lab) mutate(m *mutant, healthy map[string]outcome) (list []outcome, err error) {
	add := func(o outcome) {
		o.Mutant, o.Title = m.Name, m.Title
		fmt.Fprintf(l.log, "%6.1fs  %-9s  %s by %s: %s\n", o.Seconds, m.Name, o.Result, o.By, o.Line)
		list = append(list, o)
	}
	if out, err := l.apply(m, false); err != nil {
		add(outcome{Result: stale, Line: lastLine(out)})
		return list, nil
	}
	defer func() {
		if out, back := l.apply(m, true); back != nil {
			err = fmt.Errorf("%s cannot be taken back: %w: %s", m.Name, back, out)
		}
	}()
	if out, err := l.build(); err != nil {
		add(outcome{Result: unbuilt, Line: lastLine(out)})
		return list, nil
	}
	for _, k := range m.Kills {
		if h := healthy[k.Command]; h.Result != survived {
			h.Seconds = 0
			add(h)
			continue
		}
		add(l.hunt(k))
	}
	return list, nil
}

// hunt runs one command against the mutant that is in the source.
func (l *lab) hunt(k kill) outcome {
	o := outcome{Result: survived, By: k.Command}
	began := time.Now()
	for range l.triesOf(k) {
		out, err := l.command(k)
		if l.ctx.Err() != nil {
			break
		}
		if err == nil {
			continue
		}
		o.Result, o.Line = misnamed, reason(out)
		if buildFailed.Match(out) {
			o.Result = unbuilt
			break
		}
		if name, line := named(out, k.Invariants); name != "" {
			o.Result, o.Invariant, o.Line = killed, name, line
			break
		}
		fmt.Fprintf(l.log, "%s\n", out)
	}
	o.Seconds = time.Since(began).Seconds()
	return o
}

// build builds what will run, so that a mutant that does not build is none that was
// killed. The tests are built by their commands.
func (l *lab) build() ([]byte, error) {
	if l.wxchaos != "" {
		if out, err := l.exec("go", "build", "-o", l.wxchaos, "./internal/chaos/wxchaos"); err != nil {
			return out, err
		}
	}
	return l.exec("go", "build", "./...")
}

// apply applies a patch, or takes it back.
func (l *lab) apply(m *mutant, back bool) ([]byte, error) {
	ctx, args := l.ctx, []string{"apply", "--whitespace=nowarn"}
	if back {
		// Also when everything is to end, since the next one would be mixed with it.
		ctx, args = context.WithoutCancel(ctx), append(args, "-R")
	}
	cmd := exec.CommandContext(ctx, "git", append(args, "-")...)
	cmd.Dir, cmd.Stdin = l.source, bytes.NewReader(m.patch)
	// The copy is no repository, whatever there is above it, or called this.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	cmd.Env = append(cmd.Env, "GIT_CEILING_DIRECTORIES="+filepath.Dir(l.source))
	return cmd.CombinedOutput()
}

// command runs what must find a mutant.
func (l *lab) command(k kill) ([]byte, error) {
	args := strings.Fields(k.Command)
	if args[0] == "wxchaos" {
		args[0] = l.wxchaos
	}
	if args[0] == "go" && args[1] == "test" {
		args = slices.Insert(args, 2, "-vet=off", "-count=1", fmt.Sprintf("-timeout=%v", l.timeout))
	}
	return l.exec(args[0], args[1:]...)
}

// exec runs a program in the copy. Should it take too long, it and its children are
// ended.
func (l *lab) exec(name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = l.source
	endWithChildren(cmd)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(fmt.Errorf("it took longer than %v", l.timeout), err)
	}
	return out, err
}

// copyTree copies the files that git knows or would know, as they are now.
func copyTree(ctx context.Context, from, to string) error {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = from
	names, err := cmd.Output()
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, and git does not know yet
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, text, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

func needsChaos(mutants []*mutant) bool {
	for _, m := range mutants {
		for _, k := range m.Kills {
			if strings.HasPrefix(k.Command, "wxchaos ") {
				return true
			}
		}
	}
	return false
}

var (
	buildFailed    = regexp.MustCompile(`(?m)\[(build|setup) failed\]`)
	skippedCommand = regexp.MustCompile(`"skipped":"[^"]|^--- SKIP`) // of a test only with -v
)

var whyFailed = regexp.MustCompile(`VIOLATION|BROKEN|^--- FAIL|^panic:`)

// reason is the line of an output that says best why the command failed.
func reason(out []byte) string {
	if line := firstWith(out, whyFailed); line != "" {
		return line
	}
	return lastLine(out)
}

func isSkipped(out []byte) bool { return firstWith(out, skippedCommand) != "" }

// named returns the first of the invariants that the output names, and the line. A test
// may have it in its name, as in TestS2Downgrade.
func named(out []byte, invariants []string) (name, line string) {
	for _, name := range invariants {
		word := regexp.MustCompile(`(^|[^A-Z0-9_])` + regexp.QuoteMeta(name) + `([^A-Za-z0-9_]|[A-Z][a-z]|$)`)
		if line := firstWith(out, word); line != "" {
			return name, line
		}
	}
	return "", ""
}

// firstWith is the first line that matches, as short as a table needs it.
func firstWith(out []byte, what *regexp.Regexp) string {
	for line := range strings.Lines(string(out)) {
		if what.MatchString(strings.TrimSpace(line)) {
			return shorten(line)
		}
	}
	return ""
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return shorten(lines[len(lines)-1])
}

func shorten(line string) string {
	const limit = 160
	line = strings.Join(strings.Fields(line), " ")
	if r := []rune(line); len(r) > limit {
		line = string(r[:limit]) + "…"
	}
	return line
}

// table prints outcomes for people.
func table(w io.Writer, list []outcome) {
	total, bad := 0.0, 0
	for _, o := range list {
		fmt.Fprintf(w, "%-5s %-16s %-4s %6.1fs  %s\n      %s\n", o.Mutant, o.Result, o.Invariant, o.Seconds, o.Title, o.By)
		if o.Line != "" {
			fmt.Fprintf(w, "      %s\n", o.Line)
		}
		total += o.Seconds
		if o.Result != killed && o.Result != skipped {
			bad++
		}
	}
	fmt.Fprintf(w, "%d commands against mutants, %d of them without the kill that they owe, %.0f s\n", len(list), bad, total)
}

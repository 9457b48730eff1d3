package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/conformance"
)

type checkCommand struct {
	URL string `arg:"" optional:"" help:"The server. Defaults to the running echostr dev."`

	serverFlags

	Only     []string      `placeholder:"CHECK,..." help:"Make these checks: a group, a check like forged/stale, or a pattern like events/kf_*." group:"checks"`
	Skip     []string      `placeholder:"CHECK,..." help:"Leave these out." group:"checks"`
	SlowText string        `placeholder:"TEXT" help:"A text on which the server works for more than 5 s, for the checks of retries." group:"checks"`
	Timeout  time.Duration `default:"5s" placeholder:"5s" help:"When a push is cut." group:"checks"`
	List     bool          `help:"List the checks, and make none." group:"checks"`

	JSON    bool   `name:"json" help:"Print JSON." group:"report"`
	JUnit   string `name:"junit" placeholder:"FILE" help:"Write the report for a CI system, too. A file that is there is overwritten." group:"report"`
	Lang    string `placeholder:"en|zh" help:"English or Chinese (中文). Defaults to the language of the environment." group:"report"`
	Strict  bool   `help:"Let advice count as failure." group:"report"`
	Verbose bool   `short:"v" help:"List all checks." group:"report"`
}

func (c *checkCommand) Help() string {
	var b strings.Builder
	b.WriteString("Groups:\n\n")
	for _, g := range conformance.Groups() {
		n := 0
		for _, check := range conformance.Checks() {
			if check.Group == g.Name {
				n++
			}
		}
		fmt.Fprintf(&b, "  %-10s %3d  %s\n", g.Name, n, g.Title.EN)
	}
	b.WriteString(`
The server is pushed to as by WeChat, and as by somebody who is not WeChat. What WeChat's protocol or plain security demands fails; everything else is advice. Each failure comes with the request, the answer, the rule of docs/protocol.md and what to do.

The handler of the server is run for real, with users that do not exist. Do not use this on a server with effects that matter.

Exit codes: 0 nothing failed, 1 something failed or the server cannot be checked, 2 wrong command line.

Examples:

  echostr check
  echostr check http://127.0.0.1:8000/wechat --token TOKEN
  echostr check http://127.0.0.1:8000/wechat --token TOKEN --mode safe --encoding-aes-key KEY --app-id wx0123456789abcdef
  echostr check -c echostr.yaml --slow-text "慢 8"
  echostr check http://127.0.0.1:8000/wechat --token TOKEN --junit report.xml`)
	return b.String()
}

func (c *checkCommand) Run(ctx context.Context, term *terminal) error {
	language, err := c.language(term.env)
	if err != nil {
		return err
	}
	if c.List {
		c.list(term.out, language)
		return nil
	}
	if err := checkTimeout(c.Timeout); err != nil {
		return err
	}
	account, dial, err := c.reach(term, c.URL)
	if err != nil {
		return err
	}
	if _, err := simulator.New(simulator.Config{Account: account}); err != nil {
		return usageError{withoutPackage(err)}
	}
	var junit *os.File
	if c.JUnit != "" { // before the run, which may be long
		if junit, err = os.OpenFile(c.JUnit, os.O_WRONLY|os.O_CREATE, 0o666); err != nil {
			return usage("--junit: the report cannot be written: %w; name a file in a folder that is there and yours", err)
		}
		defer junit.Close()
	}
	progress := &checkProgress{w: term.err, on: isTerminal(term.err)}
	report, err := conformance.Run(ctx, conformance.Config{
		Account: account, Timeout: c.Timeout, SlowText: c.SlowText, Only: c.Only, Skip: c.Skip, Observed: progress.observed, DialContext: dial,
	})
	progress.end()
	if report == nil {
		return usage("%s; `echostr check --list` shows all", strings.TrimPrefix(err.Error(), "conformance: "))
	}
	// A report that was cut short by a signal is written all the same.
	if junit != nil {
		if err := errors.Join(empty(junit), report.WriteJUnit(junit, language), junit.Close()); err != nil {
			return fmt.Errorf("the report cannot be written: %w", err)
		}
	}
	if c.JSON {
		err = report.WriteJSON(term.out, language)
	} else {
		err = report.WriteText(term.out, conformance.TextOptions{Language: language, Color: colors(term), Verbose: c.Verbose, Strict: c.Strict})
	}
	if err != nil {
		return err
	}
	if !report.OK() || c.Strict && report.Count(conformance.Advice) > 0 {
		return errShown
	}
	return nil
}

// empty removes what an earlier run has left in a file.
func empty(f *os.File) error {
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return err
	}
	return f.Truncate(0)
}

// language is that of the flag or, as other programs find it, of the environment.
func (c *checkCommand) language(env []string) (conformance.Language, error) {
	switch c.Lang {
	case "en", "zh":
		return conformance.Language(c.Lang), nil
	case "":
	default:
		return "", usage("--lang is en or zh, and not %q", c.Lang)
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := variable(env, name); value != "" {
			if strings.HasPrefix(strings.ToLower(value), "zh") {
				return conformance.Chinese, nil
			}
			break
		}
	}
	return conformance.English, nil
}

// variable is the value of an environment variable; the last one counts.
func variable(env []string, name string) string {
	for _, pair := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// list prints the checks without making them.
func (c *checkCommand) list(w io.Writer, language conformance.Language) {
	t := newTable()
	for _, check := range conformance.Checks() {
		t.add(check.ID(), check.Level.String(), check.Rule, check.Title.In(language))
	}
	t.write(w)
}

// colors reports whether codes for colours are wanted: https://no-color.org.
func colors(term *terminal) bool {
	return isTerminal(term.out) && variable(term.env, "NO_COLOR") == "" && variable(term.env, "TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && filepath.Clean(f.Name()) != os.DevNull
}

// checkProgress shows on a terminal how far the run is.
type checkProgress struct {
	w    io.Writer
	on   bool
	done int
}

func (p *checkProgress) observed(r conformance.Result) {
	if p.on {
		p.done++
		fmt.Fprintf(p.w, "\r\x1b[K%d %s", p.done, r.Check.ID())
	}
}

func (p *checkProgress) end() {
	if p.on {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

package conformance

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/echostr/echostr/simulator"
)

// Config says which server is checked, and how.
type Config struct {
	// Account is the account whose server is checked.
	Account simulator.Account
	// Timeout is how long a push may take. The other times are parts and
	// multiples of it. Defaults to WeChat's 5 s.
	Timeout time.Duration
	// SlowText is a text on which the server works for longer than Timeout,
	// like "慢 8" of `echostr dev`. Without it the checks that need one are skipped.
	SlowText string
	// Only names the checks that run: "forged", "forged/stale", or a pattern
	// as of path.Match for both, "events/card*". Defaults to all. Skip names those that do not.
	// Whether the server answers at all is always looked at first. That no check is left is an error.
	Only, Skip []string

	// DialContext makes the connections. Defaults to that of a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Transport carries the requests in place of connections, as in
	// simulator.Config. The few checks that need connections use DialContext
	// and are skipped if that is not given.
	Transport http.RoundTripper

	// Observed, if set, is called with every result, in order, by the
	// goroutine that called Run.
	Observed func(Result)
}

// Outcome is what came of a check.
type Outcome int

// The outcomes.
const (
	Pass Outcome = iota
	Fail
	Advice  // neither the protocol nor security demands it
	Skipped // it could not be checked, or was not wanted
)

func (o Outcome) String() string {
	switch o {
	case Pass:
		return "pass"
	case Fail:
		return "fail"
	case Advice:
		return "advice"
	case Skipped:
		return "skipped"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// MarshalText writes the name, for JSON.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Group is a group of checks.
type Group struct {
	Name  string
	Title Text
}

// Check is one thing that is looked at.
type Check struct {
	// Group and Name name it: "forged", "wrong-signature".
	Group, Name string
	// Level is Fail if the protocol or security demands it, else Advice. A
	// check of level Fail may still come to Advice, where it says so.
	Level Outcome
	// Rule is the rule of docs/protocol.md that it rests on.
	Rule string
	// Title says what a good server does. Do says what to do about a bad one.
	Title, Do Text

	needs need
	run   func(context.Context, *probe) finding
}

// ID is the group and the name.
func (c Check) ID() string { return c.Group + "/" + c.Name }

// Result is what came of one check.
type Result struct {
	Check   Check
	Outcome Outcome
	// Rule is the rule that was broken, which may be a narrower one than that of the check.
	Rule string
	// Why says what was seen, or why it was skipped. It is empty after Pass.
	Why Text
	// Undecided says of Advice that a forged push was answered just as a good one is, by a
	// server that replies to neither, so that nobody can see whether it was handled.
	Undecided bool
	// Exchanges are the last requests of the check and their answers.
	Exchanges []Exchange
	Took      time.Duration
}

// Exchange is a request and its answer.
type Exchange struct {
	simulator.Push
	// Sent and Got are what was in the envelopes of the request and of the answer.
	// They are empty if there was none, or if it does not open.
	Sent, Got []byte
}

// Report is what came of all checks.
type Report struct {
	URL     string
	Mode    simulator.Mode
	Started time.Time
	Took    time.Duration
	// Echoes says that the server sends texts back, so that what it reads could be compared.
	Echoes bool
	// Results are in the order of Checks, without those that were not selected.
	Results []Result
	// Stopped says why there was no use in going on; the checks that were not made are Skipped then.
	Stopped Text
}

// Count is the number of results with an outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Outcome == o {
			n++
		}
	}
	return n
}

// Undecided is the number of results that are undecided. They are among those of Advice.
func (r *Report) Undecided() int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Undecided {
			n++
		}
	}
	return n
}

// OK reports whether nothing failed and everything was looked at that could be.
func (r *Report) OK() bool { return r.Stopped.IsZero() && r.Count(Fail) == 0 }

// Run checks a server. A bad server is no error: the report tells. The error is
// about the Config, or that of ctx, which comes with the report so far.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	selected, err := selectChecks(c.Only, c.Skip)
	if err != nil {
		return nil, err
	}
	r := &runner{cfg: c}
	if r.wechat, err = r.as(nil); err != nil {
		return nil, err
	}
	if c.Account.Mode != simulator.Plain {
		r.key, err = base64.StdEncoding.DecodeString(strings.TrimSpace(c.Account.EncodingAESKey) + "=")
		if err != nil {
			return nil, errors.New("conformance: the EncodingAESKey (消息加解密密钥) is not base64")
		}
	}
	report := &Report{URL: c.Account.URL, Mode: c.Account.Mode, Started: time.Now()}
	defer func() { report.Took = time.Since(report.Started) }()
	results := r.survey(ctx) // of what is looked at in any case
	report.Echoes = r.base.echoes
	report.Stopped = r.base.stopped
	for i := range selected {
		check := &selected[i]
		if ctx.Err() != nil && report.Stopped.IsZero() {
			report.Stopped = say("it was stopped before everything was checked", "检查中途被停止")
		}
		result, done := results[check.ID()]
		switch {
		case done:
		case !report.Stopped.IsZero():
			result = Result{Check: *check, Outcome: Skipped, Rule: check.Rule, Why: say("the run ended before it", "检查在此之前已经结束")}
		default:
			result = r.run(ctx, check)
			if ctx.Err() != nil {
				result = Result{Check: *check, Outcome: Skipped, Rule: check.Rule, Why: say("it was stopped", "被中途停止")}
			}
		}
		report.Results = append(report.Results, result)
		if c.Observed != nil {
			c.Observed(result)
		}
	}
	if ctx.Err() != nil && report.Stopped.IsZero() {
		report.Stopped = say("it was stopped before everything was checked", "检查中途被停止")
	}
	return report, ctx.Err()
}

// selectChecks returns the checks in their order. What the survey does is
// always among them: without it nothing else means anything.
func selectChecks(only, skip []string) ([]Check, error) {
	all := Checks()
	for _, pattern := range slices.Concat(only, skip) {
		if !slices.ContainsFunc(all, func(c Check) bool { return matches(pattern, c) }) {
			return nil, fmt.Errorf("conformance: no check matches %q; the groups are %s", pattern, strings.Join(groupNames(), ", "))
		}
	}
	wanted := func(c Check) bool {
		match := func(pattern string) bool { return matches(pattern, c) }
		return (len(only) == 0 || slices.ContainsFunc(only, match)) && !slices.ContainsFunc(skip, match)
	}
	if !slices.ContainsFunc(all, wanted) {
		return nil, errors.New("conformance: no check is left, since all that are wanted are skipped as well")
	}
	return slices.DeleteFunc(all, func(c Check) bool {
		return c.ID() != checkRight && c.ID() != checkAnswer && !wanted(c)
	}), nil
}

func matches(pattern string, c Check) bool {
	if pattern == c.Group {
		return true
	}
	ok, err := path.Match(pattern, c.ID())
	return ok && err == nil
}

func groupNames() (names []string) {
	for _, g := range Groups() {
		names = append(names, g.Name)
	}
	return names
}

// run makes one check.
func (r *runner) run(ctx context.Context, c *Check) Result {
	result := Result{Check: *c, Rule: c.Rule}
	if why := r.unmet(c.needs); !why.IsZero() {
		result.Outcome, result.Why = Skipped, why
		return result
	}
	start := time.Now()
	p := &probe{runner: r, check: c, user: newUser()}
	f := c.run(ctx, p)
	result.Took = time.Since(start)
	result.Outcome, result.Why, result.Undecided = f.outcome, f.why, f.undecided
	if f.rule != "" {
		result.Rule = f.rule
	}
	// What is wrong with every answer is said once.
	if f.problem != "" && f.problem == r.base.problem && f.outcome != Pass && c.ID() != checkAnswer {
		result.Outcome = Skipped
		result.Why = say("its answer is wrong in the same way as that of "+checkAnswer, "应答的错误与 "+checkAnswer+" 相同")
	}
	if result.Outcome != Pass {
		result.Exchanges = p.exchanges()
	}
	return result
}

// maxExchanges is how many requests of a check are shown.
const maxExchanges = 4

// need is what a check needs of the server, the account or the Config.
type need int

const (
	needsEnvelope   need = 1 << iota // the mode compatible or safe
	needsSafe                        // the mode safe
	needsCompatible                  // the mode compatible
	needsPlain                       // the mode plain
	needsEcho                        // a server that sends texts back
	needsReply                       // a server that replies to texts
	needsConn                        // connections
	needsSlow                        // Config.SlowText
)

// unmet says what is missing, if something is.
func (r *runner) unmet(n need) Text {
	mode := r.cfg.Account.Mode
	switch {
	case n&needsEnvelope != 0 && mode == simulator.Plain:
		return say("the mode plain (明文模式) has no envelope", "明文模式没有加密")
	case n&needsSafe != 0 && mode != simulator.Safe:
		return say("this is for the mode safe (安全模式)", "只适用于安全模式")
	case n&needsCompatible != 0 && mode != simulator.Compatible:
		return say("this is for the mode compatible (兼容模式)", "只适用于兼容模式")
	case n&needsPlain != 0 && mode != simulator.Plain:
		return say("this is for the mode plain (明文模式)", "只适用于明文模式")
	case n&needsEcho != 0 && !r.base.echoes:
		return say("the server does not send texts back, so what it has read cannot be seen", "服务器不会把文字原样发回，看不出它读到了什么")
	case n&needsReply != 0 && !r.base.replies:
		return say("the server does not reply to a text", "服务器对文本消息没有回复")
	case n&needsConn != 0 && r.cfg.Transport != nil && r.cfg.DialContext == nil:
		return say("this needs connections, and there is only a Transport", "需要真正的连接，而这里只有 Transport")
	case n&needsSlow != 0 && r.cfg.SlowText == "":
		return say("no text is known that makes the server slow; give one with --slow-text", "不知道哪句话会让服务器变慢；请用 --slow-text 给出")
	}
	return Text{}
}

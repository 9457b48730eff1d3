package chaos

import (
	"bytes"
	"context"
	"os"
	"testing"
)

// TestMain lets the tests start this very program as the bot.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "bot" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// smoke runs a scenario as a test.
func smoke(t *testing.T, name string, o Options, do func(context.Context, *run) error) *Report {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes seconds, and the test is -short")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o.Untimed = true // other tests run on the same cores
	o.Bot, o.Log = []string{self, "bot"}, &log
	report := &Report{Scenario: name, Parameters: map[string]any{}}
	s := &scenario{name: name}
	s.run(t.Context(), o, report, do)
	if !report.OK {
		t.Errorf("%s\n%s", report.summary(), &log)
	}
	return report
}

func TestKill(t *testing.T) {
	t.Parallel()
	report := smoke(t, "kill", Options{Seed: 7, Rate: 100, RetryAtOnce: true}, func(ctx context.Context, r *run) error {
		return killLoop(ctx, r, killOptions{Kills: 3, Fast: true})
	})
	if c := report.Counts; c == nil || c.Deaths != 3 || c.Acked == 0 || c.Starts == 0 || c.Rows < c.Acked {
		t.Errorf("the kill loop has not done its work: %+v", c)
	}
}

// TestKillLate has answers take every way there is. Those that are fetched by a tap or a word are so few that they count
// with those that come ahead of the next answer.
func TestKillLate(t *testing.T) {
	t.Parallel()
	report := smoke(t, "kill", Options{Seed: 7, Rate: 60, RetryAtOnce: true}, func(ctx context.Context, r *run) error {
		return killLoop(ctx, r, killOptions{Kills: 3})
	})
	if c := report.Counts; c == nil || c.Deaths != 3 || c.ByPush == 0 || c.ByAPI == 0 || c.ByFetch+c.ByAhead == 0 || c.Promised == 0 || c.Kept > 0 {
		t.Errorf("the kill loop has not done its work: %+v", c)
	}
}

package chaos

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestInjection(t *testing.T) {
	t.Parallel()
	r := &run{database: "/srv/echostr.db"}
	fsync := fault{name: "fsync", calls: "fsync,fdatasync", files: []string{"", "-wal"}}
	for want, tr := range map[string]trial{
		"inject=fsync,fdatasync:error=EIO:when=3":           {fault: &fsync, error: "EIO", k: 3},
		"inject=fsync,fdatasync:error=EIO:when=3+":          {fault: &fsync, error: "EIO", k: 3, on: true},
		"inject=fsync,fdatasync:delay_enter=2000000:when=1": {fault: &fsync, k: 1},
		"inject=fsync,fdatasync:error=ENOSPC:when=65":       {fault: &fsync, error: "ENOSPC", k: 65},
		"trace=fsync,fdatasync":                             {fault: &fsync, error: "EIO", k: 1},
		"/srv/echostr.db-wal":                               {fault: &fsync, error: "EIO", k: 1},
	} {
		if args := tr.strace(r, "/tmp/trace"); !slices.Contains(args, want) {
			t.Errorf("%v: %v", &tr, args)
		}
	}
	if got := (&trial{fault: &fsync, k: 2}).String(); got != "fsync 2s once, k = 2" {
		t.Errorf("it is called %q", got)
	}
}

func TestReadInjected(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "trace")
	lines := []string{
		"12 1795324706.123456 fsync(9</srv/x/echostr.db-wal>) = -1 EIO (Input/output error) (INJECTED)",
		"12 1795324706.223456 fsync(9</srv/x/echostr.db-wal>) = 0",
		"13 1795324707.123456 <... accept4 resumed>0x1, 0x2, 0x3) = 7 (DELAYED)",
		"13 1795324708.000000 +++ exited with 70 +++",
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readInjected(path)
	if err != nil || len(got) != 2 || got[1].Sub(got[0]) != time.Second {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := readInjected(path + "-none"); err == nil {
		t.Error("a trace that is not there was read")
	}
}

func TestSum(t *testing.T) {
	t.Parallel()
	f := &sweepFaults[0]
	good := trial{fault: f, error: "EIO", k: 1, met: 2, exits: []int{70, 70}, counts: Counts{Messages: 50, SlowestMS: 7}}
	bad := trial{fault: f, error: "EIO", k: 2, exits: []int{0, 0}, counts: Counts{Messages: 40, SlowestMS: 3}, violations: []Violation{{Invariant: "I1", What: "lost"}}, broken: []string{"P1: it went on"}}
	r := &run{report: new(Report)}
	r.opts.Log = new(strings.Builder)
	if err := r.sum([]*trial{&good, &bad}, map[string]int{good.kind(): 1, "accept4 EMFILE once": 0}); err != nil {
		t.Fatal(err)
	}
	if c := r.report.Counts; c.Messages != 90 || c.SlowestMS != 7 {
		t.Errorf("the sum is %+v", c)
	}
	want := []string{"fsync EIO once, k = 2: P1: it went on", "accept4 EMFILE once: no call has failed, so nothing was tested"}
	if !slices.Equal(r.report.Broken, want) {
		t.Errorf("broken are %q", r.report.Broken)
	}
	if v := r.report.Violations; len(v) != 1 || v[0].What != "fsync EIO once, k = 2: lost" {
		t.Errorf("violations are %+v", v)
	}
}

// TestSweep has the API's connection fail, at all places that there are.
func TestSweep(t *testing.T) {
	t.Parallel()
	if what := missing(needStrace); what != "" {
		t.Skip("SKIPPED: " + what)
	}
	report := smoke(t, "sweep", Options{Seed: 7, Rate: 60}, func(ctx context.Context, r *run) error {
		return sweep(ctx, r, sweepOptions{Calls: "connect", Step: 1, Max: 1, Beside: 8})
	})
	if c := report.Counts; c == nil || c.Acked == 0 || c.Starts == 0 || report.Figures["calls_failed"] == 0 {
		t.Errorf("the sweep has not done its work: %+v", c)
	}
}

func TestGrowth(t *testing.T) {
	t.Parallel()
	if got := growth([]size{{1, 100}, {2, 103}, {3, 106}}); got < 2.99 || got > 3.01 {
		t.Errorf("3 MiB an hour are %v", got)
	}
	if got := growth([]size{{1, 100}}); got != 0 {
		t.Errorf("one size grows by %v", got)
	}
}

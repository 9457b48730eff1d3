package chaos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is the line that a scenario prints.
type Report struct {
	Scenario string `json:"scenario"`
	// Command prints the line again.
	Command string `json:"command"`
	Commit  string `json:"commit"`
	Seed    uint64 `json:"seed"`
	// Parameters are those of the scenario.
	Parameters map[string]any `json:"parameters"`
	// Skipped says what the machine lacks; then nothing was done.
	Skipped string  `json:"skipped,omitempty"`
	Counts  *Counts `json:"counts,omitempty"`
	// Figures are what the scenario has measured.
	Figures map[string]any `json:"figures,omitempty"`
	// ViolationsBy counts the violations by invariant, and Violations has the first
	// ones of each.
	ViolationsBy map[string]int `json:"violations_by,omitempty"`
	Violations   []Violation    `json:"violations"`
	// Broken are the bounds of the scenario that do not hold, and what kept it from
	// coming to its end.
	Broken []string `json:"broken,omitempty"`
	// Slow are the bounds of time that do not hold, if the run was not to be judged by
	// them.
	Slow    []string `json:"slow,omitempty"`
	OK      bool     `json:"ok"`
	Machine Machine  `json:"machine"`
	Seconds float64  `json:"seconds"`
	Time    string   `json:"time"`
}

// Machine is where it ran.
type Machine struct {
	Cores      int    `json:"cores"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	FileSystem string `json:"file_system"` // of the database
}

// showViolations is how many violations of each invariant a report has.
const showViolations = 5

func (r *Report) add(list []Violation) {
	sortViolations(list)
	r.ViolationsBy = byInvariant(list)
	shown := make(map[string]int)
	for _, v := range list {
		if shown[v.Invariant]++; shown[v.Invariant] <= showViolations {
			r.Violations = append(r.Violations, v)
		}
	}
}

func (r *Report) broke(format string, args ...any) {
	r.Broken = append(r.Broken, fmt.Sprintf(format, args...))
}

func (r *Report) figure(name string, v any) {
	if r.Figures == nil {
		r.Figures = make(map[string]any)
	}
	r.Figures[name] = v
}

// write prints the report as one line of JSON.
func (r *Report) write(out io.Writer) error {
	if r.Violations == nil {
		r.Violations = []Violation{}
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// commit names the state of the source: with a + if files differ from it.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	c := strings.TrimSpace(string(out))
	if changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err != nil || len(changed) > 0 {
		c += "+"
	}
	return c
}

func machine(folder string) Machine {
	return Machine{Cores: runtime.NumCPU(), Kernel: kernel(), Go: runtime.Version(), FileSystem: fileSystem(folder)}
}

// commandLine is how the program was called, with its name instead of its path.
func commandLine(args []string) string {
	return strings.Join(append([]string{"wxchaos"}, args...), " ")
}

// percentiles are p50, p99 and the largest, in milliseconds.
func percentiles(d []time.Duration) map[string]float64 {
	if len(d) == 0 {
		return nil
	}
	d = slices.Sorted(slices.Values(d))
	ms := func(i int) float64 { return float64(d[min(i, len(d)-1)].Microseconds()) / 1000 }
	return map[string]float64{"n": float64(len(d)), "p50": ms(len(d) / 2), "p99": ms(len(d) * 99 / 100), "max": ms(len(d) - 1)}
}

// tail returns the last lines of a file, for a report of what went wrong.
func tail(path string, lines int) string {
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// byInvariant counts violations by their names, in the order of these.
func byInvariant(list []Violation) map[string]int {
	if len(list) == 0 {
		return nil
	}
	n := make(map[string]int)
	for _, v := range list {
		n[v.Invariant]++
	}
	return n
}

// sortViolations puts I2 before I10.
func sortViolations(list []Violation) {
	slices.SortStableFunc(list, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(len(a.Invariant), len(b.Invariant)), cmp.Compare(a.Invariant, b.Invariant))
	})
}

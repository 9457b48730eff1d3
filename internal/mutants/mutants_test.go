package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The patches of this folder can be read, and none of the mutants that the
// reliability plan names for what exists is missing.
func TestPatches(t *testing.T) {
	t.Parallel()
	all, err := readMutants(patches)
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool)
	for _, m := range all {
		have[m.Name] = true
	}
	for _, name := range strings.Fields("M1 M2 M3 M4 M5 M6 M7 M8 M9 M10 M11 M12 M13 M14 M15 M16 M18") {
		if !have[name] {
			t.Errorf("%s is missing", name)
		}
	}
	number := func(m *mutant) int {
		n, _ := strconv.Atoi(strings.TrimRight(m.Name[1:], "b"))
		return n
	}
	if !slices.IsSortedFunc(all, func(a, b *mutant) int { return number(a) - number(b) }) {
		t.Error("they are not in the order of their numbers")
	}
}

// Every patch applies to the tree as it is. What it does there is for the command
// to find out; this is quick.
func TestPatchesApply(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("SKIPPED: this is no repository of git")
	}
	all, err := readMutants(patches)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{ctx: t.Context(), source: filepath.Join(t.TempDir(), "source")}
	if err := copyTree(t.Context(), root, l.source); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		for _, back := range []bool{false, true} {
			if out, err := l.apply(m, back); err != nil {
				t.Errorf("%s does not apply any more (back %v): bring the patch up to date\n%s", m.Name, back, out)
				break
			}
		}
	}
}

// The documents have the table of the mutants; the Chinese one says in its own words what they break.
func TestDocuments(t *testing.T) {
	t.Parallel()
	all, err := readMutants(patches)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if !strings.Contains(read("proof.md"), "\n\n"+catalogue(all)+"\n") {
		t.Error("docs/proof.md has another table: put there what go run ./internal/mutants -list prints")
	}
	var want, got []string
	for _, m := range all {
		want = append(want, m.Name+" "+m.foundBy())
	}
	for line := range strings.Lines(read("proof.zh-CN.md")) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		name, title, _ := strings.Cut(strings.TrimPrefix(cells[0], "| "), " ")
		if len(cells) != 3 || !mutantName.MatchString(name) {
			continue
		}
		if title == "" || cells[1] == "" {
			t.Errorf("docs/proof.zh-CN.md does not say what %s is", name)
		}
		got = append(got, name+" "+strings.NewReplacer(" 或 ", " or ", "：", ": ", "；", "; ", " |", "").Replace(cells[2]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table of docs/proof.zh-CN.md (-want +got)\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	const diff = "\n--- a/x\n+++ b/x\n"
	for _, c := range []struct{ name, text, want string }{
		{"whole", "Mutant: M1 title\nBreaks: P1.\nKill: I1/I3 go test ./x\n" + diff, ""},
		{"no diff", "Mutant: M1 title\nBreaks: P1.\nKill: I1 go test ./x\n", "no diff"},
		{"no name", "Breaks: P1.\nKill: I1 go test ./x\n" + diff, "no line such as Mutant"},
		{"no title", "Mutant: M1\nBreaks: P1.\nKill: I1 go test ./x\n" + diff, "no line such as Mutant"},
		{"nothing broken", "Mutant: M1 title\nKill: I1 go test ./x\n" + diff, "Breaks:"},
		{"nothing finds it", "Mutant: M1 title\nBreaks: P1.\n" + diff, "Kill:"},
		{"no invariant", "Mutant: M1 title\nBreaks: P1.\nKill: go test ./x\n" + diff, "no name of an invariant"},
		{"no command", "Mutant: M1 title\nBreaks: P1.\nKill: I1 rm -rf x\n" + diff, "no command"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseMutant([]byte(c.text))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	twice := fstest.MapFS{}
	for _, name := range []string{"a.patch", "b.patch"} {
		twice[name] = &fstest.MapFile{Data: []byte("Mutant: M1 title\nBreaks: P1.\nKill: I1 go test ./x\n" + diff)}
	}
	if _, err := readMutants(twice); err == nil {
		t.Error("two mutants of one name were read")
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ out, invariants, want string }{
		{"one\nkill 3.1s VIOLATION I1: text/1f\n", "I1", "I1"},
		{"I10: too many", "I1", ""},
		{"I10: too many", "I1 I10", "I10"},
		{`{"violations_by":{"I4":2}}`, "I1 I4", "I4"},
		{"--- FAIL: TestS2Downgrade (0.1s)", "S2", "S2"},
		{"--- FAIL: TestS20Downgrade (0.1s)", "S2", ""},
		{"MI1 and AS2", "I1 S2", ""},
		{"nothing", "I1", ""},
	} {
		if got, _ := named([]byte(c.out), strings.Fields(c.invariants)); got != c.want {
			t.Errorf("%q of %q: %q, want %q", c.invariants, c.out, got, c.want)
		}
	}
}

// The whole way, on a tiny program: what must be a kill is one, and everything else
// is not.
func TestLab(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("SKIPPED: git is not installed")
	}
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module tiny\n\ngo 1.26\n")
	const source = "package tiny\n\n// Two is two.\nfunc Two() int { return 2 }\n\n// Three is three.\nfunc Three() int { return 3 }\n"
	write("tiny.go", source)
	write("tiny_test.go", `package tiny

import "testing"

func TestTwo(t *testing.T) {
	if Two() != 2 {
		t.Error("I1: two is not two")
	}
	if Three() != 3 {
		t.Error("three is not three")
	}
}

func TestSick(t *testing.T) { t.Error("I1: always") }
`)
	if out, err := exec.Command("git", "-C", root, "init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	patch := func(name, command, at, from, to string) *mutant {
		t.Helper()
		var hunk strings.Builder
		for line := range strings.Lines(source) {
			if strings.TrimSpace(line) == at {
				hunk.WriteString("-" + from + "\n+" + to + "\n")
			} else {
				hunk.WriteString(" " + line)
			}
		}
		m, err := parseMutant([]byte("Mutant: " + name + " x\nBreaks: x\nKill: I1 " + command +
			"\n\n--- a/tiny.go\n+++ b/tiny.go\n@@ -1,7 +1,7 @@\n" + hunk.String()))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	const test = "go test -run TestTwo ."
	const two, three, says = "func Two() int { return 2 }", "func Three() int { return 3 }", "// Two is two."
	mutants := []*mutant{
		patch("M1", test, two, two, "func Two() int { return 3 }"),
		patch("M2", test, says, says, "// Two is said to be two."),
		patch("M3", test, three, three, "func Three() int { return 4 }"),
		patch("M4", test, two, "func Two() int { return 22 }", two),
		patch("M5", test, two, two, "func Two() int { return two }"),
		patch("M6", "go test -run TestSick .", two, two, "func Two() int { return 3 }"),
		patch("M7", test, two, two, "func Two() int { return 4 }"), // and the ones before are gone
	}
	l := &lab{ctx: t.Context(), log: io.Discard, timeout: time.Minute}
	list, err := l.try(root, mutants)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]result)
	for _, o := range list {
		got[o.Mutant] = o.Result
	}
	want := map[string]result{"M1": killed, "M2": survived, "M3": misnamed, "M4": stale, "M5": unbuilt, "M6": sick, "M7": killed}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s\n%+v", diff, list)
	}
	if first := list[0]; first.Invariant != "I1" || !strings.Contains(first.Line, "two is not two") {
		t.Errorf("the kill says %+v", first)
	}
	if text, err := os.ReadFile(filepath.Join(root, "tiny.go")); err != nil || !strings.Contains(string(text), two) {
		t.Errorf("the work tree itself was changed: %v, %s", err, text)
	}
	var out bytes.Buffer
	if table(&out, list); !strings.Contains(out.String(), "7 commands against mutants, 5 of them without the kill") {
		t.Errorf("the table says\n%s", out.String())
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	var out, complaints bytes.Buffer
	if code := run(context.Background(), []string{"-only", "M99"}, &out, &complaints); code != 2 || !strings.Contains(complaints.String(), `no mutant "M99"`) {
		t.Errorf("exit code %d, %s", code, complaints.String())
	}
	if code := run(context.Background(), []string{"-list", "-only", "M5"}, &out, io.Discard); code != 0 || !strings.Contains(out.String(), "I5: `go test") {
		t.Errorf("exit code %d, %s", code, out.String())
	}
}

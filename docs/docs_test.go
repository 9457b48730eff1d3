// Package docs_test checks what the documents say against the code.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	ruleName = regexp.MustCompile(`\bR-[A-Z]+-[A-Z0-9]+\b`)
	ruleRow  = regexp.MustCompile(`(?m)^\| (R-[A-Z]+-[A-Z0-9]+) \| (.+) \| (.+) \| (.+) \|$`)
)

// definitions returns the status of every rule in the text of protocol.md.
func definitions(t *testing.T, text string) map[string]string {
	t.Helper()
	status := make(map[string]string)
	for _, row := range ruleRow.FindAllStringSubmatch(text, -1) {
		name := row[1]
		if _, twice := status[name]; twice {
			t.Errorf("%s is defined twice", name)
		}
		status[name] = row[4]
		if !slices.Contains([]string{"yes", "partial", "no"}, row[4]) {
			t.Errorf("%s has the status %q; write yes, partial or no", name, row[4])
		}
	}
	return status
}

// citations returns the files of the repository that cite each rule.
func citations(t *testing.T) map[string][]string {
	t.Helper()
	cited := make(map[string][]string)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "docs"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, name := range ruleName.FindAllString(string(text), -1) {
			if !slices.Contains(cited[name], path) {
				cited[name] = append(cited[name], path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return cited
}

func TestRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	defined, cited := definitions(t, string(text)), citations(t)
	if len(defined) < 50 || len(cited) < 30 {
		t.Fatalf("only %d rules are defined and %d cited; the search itself is broken", len(defined), len(cited))
	}
	for name, files := range cited {
		if _, ok := defined[name]; !ok {
			t.Errorf("%s is cited in %v and not defined in docs/protocol.md", name, files)
		}
	}
	for name, status := range defined {
		switch {
		case status == "yes" && cited[name] == nil:
			t.Errorf("%s has the status yes and no Go file cites it", name)
		case status != "yes" && cited[name] != nil:
			t.Logf("%s has the status %s and is cited in %v", name, status, cited[name])
		}
	}
	// Rows that the pattern above does not see would not be checked.
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, "| R-") && !ruleRow.MatchString(line) {
			t.Errorf("this row has not the form of a rule: %s", line)
		}
	}
}

// TestS32Dependencies holds CONTRIBUTING.md to go.mod: each direct dependency has its reason.
func TestS32Dependencies(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	contributing, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := regexp.MustCompile(`(?m)^(?:require |\t)(\S+\.\S+/\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1)
	for _, m := range direct {
		if !strings.Contains(string(contributing), "| `"+m[1]+"` | ") {
			t.Errorf("%s is a direct dependency without a reason in CONTRIBUTING.md", m[1])
		}
	}
	if n := len(direct); n > 15 {
		t.Errorf("%d direct dependencies; 15 is the limit", n)
	}
}

// TestMap holds the map of packages in CONTRIBUTING.md to the tree.
func TestMap(t *testing.T) {
	t.Parallel()
	contributing, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"testdata", "bench", "examples"}, d.Name())):
			return fs.SkipDir
		case !d.IsDir() || path == "..":
			return nil
		}
		if files, _ := filepath.Glob(filepath.Join(path, "*.go")); len(files) == 0 {
			return nil
		}
		found++
		if name := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator))); !strings.Contains(string(contributing), "| `"+name+"` | ") {
			t.Errorf("package %s is missing in the map of packages in CONTRIBUTING.md", name)
		}
		return nil
	})
	if err != nil || found < 3 {
		t.Errorf("found %d packages: %v", found, err)
	}
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	got := definitions(t, "| R-A-B | what | where | yes |\n| R-A-C2 | a | b | no |\n|---|\ntext R-A-D\n")
	if len(got) != 2 || got["R-A-B"] != "yes" || got["R-A-C2"] != "no" {
		t.Errorf("got %v", got)
	}
}

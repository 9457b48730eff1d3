// Package docs_test checks what the documents say against the code.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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

var (
	threatRow  = regexp.MustCompile(`(?m)^\| (S[0-9]+) \| .* \| .* \| (.*) \|$`)
	threatTest = regexp.MustCompile("`([a-z0-9_/]+_test\\.go): (Test\\w+)`")
	namedTest  = regexp.MustCompile(`(?m)^func (TestS[0-9]+\w*)\(`)
)

// TestSecurity holds the pages about security to the code: each threat has its row, each test of a row is in its file, and each test
// that is named after a threat is in a row.
func TestSecurity(t *testing.T) {
	t.Parallel()
	found := make(map[string]bool) // "file: test"
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		for _, m := range namedTest.FindAllStringSubmatch(read(t, path), -1) {
			found[filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))+": "+m[1]] = true
		}
		return nil
	})
	if err != nil || len(found) < 50 {
		t.Fatalf("found %d tests: %v", len(found), err)
	}
	rows := make(map[string][][]string)
	for _, page := range []string{"security.md", "security.zh-CN.md"} {
		text := read(t, page)
		named := make(map[string]bool)
		rows[page] = threatRow.FindAllStringSubmatch(text, -1)
		for i, row := range rows[page] {
			if want := "S" + strconv.Itoa(i+1); row[1] != want {
				t.Fatalf("%s: row %s where %s is expected", page, row[1], want)
			}
			tests := threatTest.FindAllStringSubmatch(row[2], -1)
			notBuilt := strings.Contains(row[0], "not built") || strings.Contains(row[0], "还没有做")
			if len(tests) == 0 && !notBuilt {
				t.Errorf("%s: %s has no test", page, row[1])
			}
			for _, m := range tests {
				name := m[1] + ": " + m[2]
				named[name] = true
				if !found[name] {
					t.Errorf("%s: %s names %s, which does not exist", page, row[1], name)
				}
			}
		}
		if len(rows[page]) != 38 {
			t.Errorf("%s has %d threats, want 38", page, len(rows[page]))
		}
		for name := range found {
			if !named[name] {
				t.Errorf("%s does not name %s", page, name)
			}
		}
	}
	for i, row := range rows["security.md"] {
		en, zh := threatTest.FindAllString(row[2], -1), threatTest.FindAllString(rows["security.zh-CN.md"][i][2], -1)
		if !slices.Equal(en, zh) {
			t.Errorf("%s: the pages name %v and %v", row[1], en, zh)
		}
	}
}

var (
	propertyRow   = regexp.MustCompile(`(?m)^\| ([0-9]+) \| .+ \| (.*)\| (.*)\|$`)
	propertyTests = regexp.MustCompile("`([a-z0-9_/.]+)` ((?:Test|Fuzz)\\w+(?:, (?:Test|Fuzz)\\w+)*)")
)

// TestProperties holds the tables of properties to the code: each test of a row is in its package, and a row without one
// says why.
func TestProperties(t *testing.T) {
	t.Parallel()
	var pages [][]string
	for _, page := range []string{"proof.md", "proof.zh-CN.md"} {
		rows := propertyRow.FindAllStringSubmatch(read(t, page), -1)
		if len(rows) != 22 {
			t.Fatalf("%s has %d properties, want 22", page, len(rows))
		}
		var named []string
		for i, row := range rows {
			tests := strings.TrimSpace(row[2])
			if row[1] != strconv.Itoa(i+1) {
				t.Errorf("%s: row %s where %d is expected", page, row[1], i+1)
			}
			found := propertyTests.FindAllStringSubmatch(tests, -1)
			if len(found) == 0 && row[3] == "" {
				t.Errorf("%s: property %s has neither a test nor a reason", page, row[1])
			}
			var cells []string
			for _, m := range found {
				cells = append(cells, m[0])
				for _, name := range strings.Split(m[2], ", ") {
					if !hasTest(t, m[1], name) {
						t.Errorf("%s: property %s names %s of %s, which does not exist", page, row[1], name, m[1])
					}
				}
			}
			if strings.Join(cells, "; ") != tests {
				t.Errorf("%s: property %s: %q has not the form of a list of tests", page, row[1], tests)
			}
			named = append(named, tests)
		}
		pages = append(pages, named)
	}
	if !slices.Equal(pages[0], pages[1]) {
		t.Errorf("the pages name different tests:\n%q\n%q", pages[0], pages[1])
	}
}

// hasTest reports whether a package has a test or fuzz target of this name.
func hasTest(t *testing.T, pkg, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool { return strings.Contains(read(t, file), "\nfunc "+name+"(") })
}

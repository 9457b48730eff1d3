package page_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

type pair [2]string // Chinese, English

// stringsFile is strings.json.
type stringsFile struct {
	Texts    map[string]pair
	Problems map[string]struct{ What, Todo pair }
	Errcodes map[string]pair
}

func readStrings(t *testing.T) (all stringsFile) {
	t.Helper()
	data, err := os.ReadFile("assets/strings.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func isChinese(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

// TestProblems holds the sentences to the short names that package simulator gives: those in
// its comment, and those in its code.
func TestProblems(t *testing.T) {
	t.Parallel()
	problems := readStrings(t).Problems
	names := map[string]string{}
	_, table, _ := strings.Cut(read(t, "../doc.go"), "# Verdicts")
	for _, row := range regexp.MustCompile(`(?m)^//\t([a-z, -]+?)  +\S`).FindAllStringSubmatch(table, -1) {
		for name := range strings.SplitSeq(row[1], ",") {
			names[strings.TrimSpace(name)] = "doc.go"
		}
	}
	if len(names) < 25 {
		t.Fatalf("only %d names are in the comment; the search itself is broken", len(names))
	}
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`\b(?:bad\(|fail\(|w\.fault\([a-z.A-Z]+, |return |Problem: )"([a-z]+(?:-[a-z]+)*)",`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || !regexp.MustCompile(`(verdict|verify|wechat)\.go$`).MatchString(file) {
			continue
		}
		for _, m := range call.FindAllStringSubmatch(read(t, file), -1) {
			names[m[1]] = file
		}
	}
	for name, where := range names {
		if _, ok := problems[name]; !ok {
			t.Errorf("the problem %q of %s has no sentences in strings.json", name, where)
		}
	}
	// The status is looked at by i18n.js.
	groups := map[string]bool{}
	for _, m := range regexp.MustCompile(`return '-([a-z]+)'`).FindAllStringSubmatch(read(t, "assets/i18n.js"), -1) {
		groups[m[1]] = true
		if _, ok := problems["status-"+m[1]]; !ok {
			t.Errorf("there are no sentences for the statuses %q of i18n.js", m[1])
		}
	}
	for name, p := range problems {
		for _, words := range []pair{p.What, p.Todo} {
			checkPair(t, name, words)
			if strings.Contains(words[0], "{status}") != strings.Contains(words[1], "{status}") {
				t.Errorf("%s: the status is not in both languages", name)
			}
		}
		name = strings.TrimPrefix(name, "verify-")
		if group, ok := strings.CutPrefix(name, "status-"); ok && groups[group] {
			continue
		}
		if _, ok := names[name]; !ok {
			t.Errorf("strings.json has sentences for %q, which package simulator never says", name)
		}
	}
}

func checkPair(t *testing.T, name string, words pair) {
	t.Helper()
	if !isChinese(words[0]) || words[1] == "" || isChinese(words[1]) {
		t.Errorf("%s: %q is not one text in Chinese and one in English", name, words)
	}
}

// TestErrcodes holds the words to the codes that the simulator's API gives.
func TestErrcodes(t *testing.T) {
	t.Parallel()
	words := readStrings(t).Errcodes
	_, table, _ := strings.Cut(read(t, "../errcode.go"), "var errcodes = ")
	table, _, _ = strings.Cut(table, "\n}")
	codes := regexp.MustCompile(`(?m)^\t(-?\d+): +"`).FindAllStringSubmatch(table, -1)
	if len(codes) < 50 {
		t.Fatalf("only %d codes are in errcode.go; the search itself is broken", len(codes))
	}
	for _, m := range codes {
		checkPair(t, m[1], words[m[1]])
		delete(words, m[1])
	}
	for code := range words {
		t.Errorf("strings.json has words for %s, which the simulator never says", code)
	}
}

// TestTexts holds the keys in the scripts to strings.json.
func TestTexts(t *testing.T) {
	t.Parallel()
	texts := readStrings(t).Texts
	files, err := filepath.Glob("assets/*.js")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	used, begun := map[string]bool{}, map[string]bool{}
	var all strings.Builder
	for _, file := range files {
		script := read(t, file)
		all.WriteString(script)
		for _, m := range regexp.MustCompile(`\bt\('([^']+)'( \+)?`).FindAllStringSubmatch(script, -1) {
			if m[2] != "" {
				begun[m[1]] = true
			} else if used[m[1]] = true; texts[m[1]] == (pair{}) {
				t.Errorf("%s uses the text %q, which strings.json has not", file, m[1])
			}
		}
		for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "javascript:"} {
			if strings.Contains(script, forbidden) {
				t.Errorf("%s uses %s; texts are shown as text only", file, forbidden)
			}
		}
		for _, address := range regexp.MustCompile(`https?://[^'"\s)]+`).FindAllString(script, -1) {
			if address != "http://www.w3.org/2000/svg" && address != "https://github.com/echostr/echostr" && !strings.HasPrefix(address, `https?:`) {
				t.Errorf("%s mentions %s; nothing is loaded from elsewhere", file, address)
			}
		}
	}
	placeholder := regexp.MustCompile(`\{\w+\}`)
	for key, words := range texts {
		if !isChinese(words[0]) && isChinese(words[1]) || words[0] == "" || words[1] == "" {
			t.Errorf("%s: %q is not one text in Chinese and one in English", key, words)
		}
		count := map[string]int{}
		for _, name := range placeholder.FindAllString(words[0], -1) {
			count[name]++
		}
		for _, name := range placeholder.FindAllString(words[1], -1) {
			count[name]--
		}
		for name, n := range count {
			if n != 0 {
				t.Errorf("%s: %s is not in both languages", key, name)
			}
		}
		known := used[key] || strings.Contains(all.String(), "'"+key+"'")
		for prefix := range begun {
			known = known || strings.HasPrefix(key, prefix)
		}
		if !known {
			t.Errorf("no script uses the text %q", key)
		}
	}
}

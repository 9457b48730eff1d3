package docs_test

import (
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/config"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns the code blocks of a document that are in a language.
func blocks(text, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// outline is what twins in two languages have in common: the levels of headings, the
// languages of code blocks, the columns of tables, and how many rows they have.
func outline(text string) []string {
	var parts []string
	inCode := false
	for line := range strings.SplitSeq(text, "\n") {
		switch heading := strings.IndexFunc(line, func(r rune) bool { return r != '#' }); {
		case strings.HasPrefix(line, "```"):
			if inCode = !inCode; inCode {
				parts = append(parts, line)
			}
		case inCode:
		case heading > 0:
			parts = append(parts, line[:heading])
		case strings.HasPrefix(line, "|"):
			parts = append(parts, strings.Repeat("|", strings.Count(line, "|")))
		}
	}
	return parts
}

func TestTwins(t *testing.T) {
	t.Parallel()
	chinese, err := filepath.Glob("*.zh-CN.md")
	if err != nil || len(chinese) < 3 {
		t.Fatalf("found %v: %v", chinese, err)
	}
	for _, zh := range append(chinese, "../README.zh-CN.md") {
		en := strings.Replace(zh, ".zh-CN", "", 1)
		if diff := cmp.Diff(outline(read(t, en)), outline(read(t, zh))); diff != "" {
			t.Errorf("%s (-) and %s (+) differ in their parts:\n%s", en, zh, diff)
		}
	}
	got := outline("# a\n|x|y|\n```sh\n# no heading\n```\ntext\n")
	if want := []string{"#", "|||", "```sh"}; !slices.Equal(got, want) {
		t.Errorf("outline: got %q, want %q", got, want)
	}
}

// TestPrograms holds the programs of both READMEs, and the story in the document of the
// simulator, to those that are tested.
func TestPrograms(t *testing.T) {
	t.Parallel()
	var programs []string
	for _, file := range []string{"../examples/quickstart/main.go", "../examples/server/main.go"} {
		_, program, found := strings.Cut(read(t, file), "\n)\n\n")
		if !found {
			t.Fatalf("%s has no imports", file)
		}
		programs = append(programs, program)
	}
	for _, file := range []string{"../README.md", "../README.zh-CN.md"} {
		if diff := cmp.Diff(programs, blocks(read(t, file), "go")); diff != "" {
			t.Errorf("the examples (-) and %s (+) differ:\n%s", file, diff)
		}
	}
	story := read(t, "../examples/story/story_test.go")
	_, story, _ = strings.Cut(story, "\npackage ")
	for _, file := range []string{"simulator.md", "simulator.zh-CN.md"} {
		if diff := cmp.Diff("package "+story, blocks(read(t, file), "go")[0]); diff != "" {
			t.Errorf("examples/story (-) and %s (+) differ:\n%s", file, diff)
		}
	}
	if n := len(strings.Split(strings.ReplaceAll(strings.TrimSpace(programs[0]), "\n\n", "\n"), "\n")); n > 15 {
		t.Errorf("the bot in 15 lines has %d", n)
	}
}

// TestUnits holds the systemd units in the documents to the files.
func TestUnits(t *testing.T) {
	t.Parallel()
	want := []string{read(t, "../deploy/systemd/echostr.socket"), read(t, "../deploy/systemd/echostr.service")}
	for _, file := range []string{"operations.md", "operations.zh-CN.md"} {
		if diff := cmp.Diff(want, blocks(read(t, file), "ini")); diff != "" {
			t.Errorf("deploy/systemd (-) and %s (+) differ:\n%s", file, diff)
		}
	}
}

// TestConfiguration: the examples work, and every key is described with its variable.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	token, key := "z"+rand.Text(), strings.Repeat("Q", 42)+"A"
	for _, name := range []string{"shop.token", "test.token", "shop.key"} {
		secret := token
		if name == "shop.key" {
			secret = key
		}
		if name == "test.token" {
			secret = "z" + rand.Text()
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"configuration.md", "configuration.zh-CN.md", "../README.md", "../README.zh-CN.md"} {
		examples := blocks(read(t, file), "yaml")
		if len(examples) != 1 {
			t.Errorf("%s has %d blocks of YAML", file, len(examples))
			continue
		}
		// As it stands, and with the lines that are commented out but for those
		// that contradict others.
		path := filepath.Join(dir, "echostr.yaml")
		text := strings.NewReplacer("<TOKEN>", token, "<KEY>", key).Replace(examples[0])
		all := regexp.MustCompile(`(?m)^( *)# ((?:  - \d|[a-z_]+: |trusted_proxies:).*)$`).ReplaceAllString(text, "$1$2")
		all = strings.Replace(all, "shop.secret", "shop.key", 1)
		for _, yaml := range []string{text, all} {
			if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := config.Load(path, nil)
			if err != nil {
				t.Errorf("the example of %s is wrong:\n%v\n%s", file, err, yaml)
			} else if len(c.Warnings) > 0 {
				t.Errorf("the example of %s is doubtful:\n%v", file, c.Warnings)
			}
		}
		if strings.Contains(file, "README") {
			continue
		}
		keys := append(keysOf(reflect.TypeFor[config.Config](), ""), keysOf(reflect.TypeFor[config.Account](), "")...)
		if len(keys) < 25 {
			t.Fatalf("found the keys %v only", keys)
		}
		for _, k := range keys {
			if !strings.Contains(read(t, file), "| `"+k) {
				t.Errorf("%s does not describe the key %s", file, k)
			}
		}
		for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)`[^|]*\\| `(ECHOSTR_\\w+)` ").FindAllStringSubmatch(read(t, file), -1) {
			variable := strings.TrimPrefix(strings.TrimPrefix(row[2], "ECHOSTR_"), "ACCOUNTS_0_")
			if want := strings.ToUpper(strings.ReplaceAll(row[1], ".", "_")); variable != want || !slices.Contains(keys, row[1]) {
				t.Errorf("%s: the key %s has the variable %s", file, row[1], row[2])
			}
		}
	}
}

// keysOf returns the keys of a struct, those of sections with a dot.
func keysOf(t reflect.Type, prefix string) (keys []string) {
	for f := range t.Fields() {
		switch name := f.Tag.Get("yaml"); {
		case name == "" || name == "-":
		case slices.Contains([]reflect.Type{reflect.TypeFor[config.Log](), reflect.TypeFor[config.Retention](), reflect.TypeFor[config.Limits](), reflect.TypeFor[config.AI]()}, f.Type):
			keys = append(keys, keysOf(f.Type, name+".")...)
		default:
			keys = append(keys, prefix+name)
		}
	}
	return keys
}

// TestReasons: whatever a refusal is called, the guide says what to do.
func TestReasons(t *testing.T) {
	t.Parallel()
	known := 0
	for r := callback.Reason(0); !strings.HasPrefix(r.String(), "reason("); r++ {
		known++
		for _, file := range []string{"connect.md", "connect.zh-CN.md"} {
			if !strings.Contains(read(t, file), "\n| `"+r.String()+"` | ") {
				t.Errorf("%s does not explain the reason %s", file, r)
			}
		}
	}
	if known < 10 {
		t.Errorf("there are %d reasons only", known)
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks: links inside the repository lead somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"*.md", "../*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	checked := 0
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			u, err := url.Parse(m[1])
			if err != nil || u.Scheme != "" {
				continue
			}
			target := file
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(file), u.Path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
				continue
			}
			if u.Fragment != "" && !slices.Contains(anchors(read(t, target)), u.Fragment) {
				t.Errorf("%s links to %s; the headings are %v", file, m[1], anchors(read(t, target)))
			}
			checked++
		}
	}
	if checked < 20 {
		t.Errorf("only %d links were found", checked)
	}
}

// anchors returns the names that GitHub gives to headings.
func anchors(text string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N}\- _]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

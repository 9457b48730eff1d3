package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// Threat S31: releases of Go before this one have known holes, in the download of modules (S32) among them. Raise it with
// Go's security releases.
const oldestGo = "1.26.6"

var goVersion = regexp.MustCompile(`^(?:go)?1\.(\d+)(?:\.(\d+))?`)

func newer(t *testing.T, version, floor string) bool {
	t.Helper()
	var n [2]int
	for i, v := range []string{version, floor} {
		m := goVersion.FindStringSubmatch(v)
		if m == nil {
			t.Skipf("%s is a version of Go that was not released", v)
		}
		minor, _ := strconv.Atoi(m[1])
		patch, _ := strconv.Atoi(m[2])
		n[i] = minor*1000 + patch
	}
	return n[0] >= n[1]
}

func TestS31GoVersion(t *testing.T) {
	t.Parallel()
	if !newer(t, runtime.Version(), oldestGo) {
		t.Errorf("this is %s; build with Go %s or later", runtime.Version(), oldestGo)
	}
	for version, want := range map[string]bool{"go1.26.5": false, "go1.26": false, "go1.25.9": false, "go1.26.6": true, "go1.26.10": true, "go1.27": true, "go1.26.6-x": true} {
		if newer(t, version, oldestGo) != want {
			t.Errorf("%s: %v", version, !want)
		}
	}
}

// Threat S32: every module that go.mod names has its checksums in go.sum, both of its text and of its go.mod, and none is
// replaced by something else. `go mod verify` in .ci/run compares what was downloaded.
func TestS32Modules(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	required := regexp.MustCompile(`(?m)^(?:require |\t)(\S+\.\S+/\S+|\S+\.\S+) (v\S+)`)
	for mod, sum := range map[string]string{"go.mod": "go.sum", "tools.mod": "tools.sum", "bench/go.mod": "bench/go.sum"} {
		text, sums := read(mod), read(sum)
		if strings.HasPrefix(mod, "bench") { // it measures what lies beside it
			text = strings.Replace(text, "\nreplace github.com/echostr/echostr => ../\n", "\n", 1)
			text = regexp.MustCompile(`(?m)^\tgithub.com/echostr/echostr v.*\n`).ReplaceAllString(text, "")
		}
		if m := regexp.MustCompile(`(?m)^(?:replace|exclude)\b.*`).FindString(text); m != "" {
			t.Errorf("%s: %s; what is built is not what its name says", mod, m)
		}
		found := required.FindAllStringSubmatch(text, -1)
		if len(found) < 3 {
			t.Fatalf("%s: only %d modules; the search itself is broken", mod, len(found))
		}
		for _, m := range found {
			for _, line := range []string{m[1] + " " + m[2] + " h1:", m[1] + " " + m[2] + "/go.mod h1:"} {
				if !strings.Contains("\n"+sums, "\n"+line) {
					t.Errorf("%s has no line %q", sum, line)
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join("..", "..", "vendor")); err == nil {
		t.Error("there is a folder vendor, whose content no checksum covers")
	}
}

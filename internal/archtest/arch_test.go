// Package archtest checks that imports go one way, as CONTRIBUTING.md says.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/echostr/echostr"

// dependency is what `go list` says about one package.
type dependency struct {
	ImportPath string
	Standard   bool
	Deps       []string
}

// list returns the packages that match args, by import path, with everything
// they need. Tests are not looked at: they may import what they like.
func list(t *testing.T, args ...string) map[string]dependency {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-deps", "-json=ImportPath,Standard,Deps"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.Bytes())
	}
	packages := make(map[string]dependency)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var d dependency
		if err := dec.Decode(&d); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[d.ImportPath] = d
	}
}

// under reports whether path is one of the trees, given as paths inside the module.
func under(path string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		tree = module + "/" + tree
		return path == tree || strings.HasPrefix(path, tree+"/")
	})
}

func ours(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// foreign reports whether path is neither ours nor in the standard library nor
// in one of the modules.
func foreign(packages map[string]dependency, path string, modules ...string) bool {
	return !ours(path) && !packages[path].Standard && !slices.ContainsFunc(modules, func(m string) bool {
		return path == m || strings.HasPrefix(path, m+"/")
	})
}

func TestImports(t *testing.T) {
	t.Parallel()
	// The cache of go test does not see what `go list` reads. Looking at the
	// directories makes a change in them run the test again.
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "../.." {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	packages := list(t, module+"/...")
	never := func(trees ...string) func(string) bool {
		return func(path string) bool { return under(path, trees...) }
	}
	standardOnly := func(path string) bool { return !packages[path].Standard }
	rules := []struct {
		name    string
		of      func(path string) bool // the packages that the rule is about
		refused func(path string) bool // what none of them may need, by any way
	}{
		{"root: standard library only", func(p string) bool { return p == module }, standardOnly},
		{"wxcrypt: standard library only", never("wxcrypt"), standardOnly},
		{"internal/histogram: standard library only", never("internal/histogram"), standardOnly},
		{"internal/tty: standard library only", never("internal/tty"), standardOnly},
		{"callback: x/sync and x/time at most", never("callback"), func(p string) bool {
			return foreign(packages, p, "golang.org/x/sync", "golang.org/x/time") || under(p, "server", "cmd", "simulator", "wxapi", "internal/config")
		}},
		{"simulator: knows the wire and not the server", never("simulator"), never("callback", "wxcrypt", "server", "store", "wxapi", "cmd", "internal/turn")},
		{"internal/load: knows the wire and not the server", never("internal/load"), func(p string) bool {
			return ours(p) && p != module && !under(p, "internal/load", "internal/histogram", "simulator")
		}},
		{"stores: not the web side", never("store"), never("callback", "server", "wxapi", "simulator", "cmd")},
		{"internal/turn: store and root only", never("internal/turn"), func(p string) bool {
			return p != module && p != module+"/store" && !under(p, "internal/turn") && !packages[p].Standard
		}},
		{"internal/config: internal/limits only", never("internal/config"), func(p string) bool {
			return ours(p) && !under(p, "internal/config", "internal/limits")
		}},
		{"internal/pgtest: tests and fault tests only", func(p string) bool { return !under(p, "internal/pgtest", "internal/chaos") }, never("internal/pgtest")},
		{"internal/packed: store only", never("internal/packed"), func(p string) bool {
			return ours(p) && p != module && p != module+"/store" && !under(p, "internal/packed") || foreign(packages, p)
		}},
		{"server: not the program", never("server"), never("cmd")},
		{"wxapi: root, x/sync and x/time at most", never("wxapi"), func(p string) bool {
			return foreign(packages, p, "golang.org/x/sync", "golang.org/x/time") || ours(p) && p != module && !under(p, "wxapi")
		}},
		{"internal/longtext: root only", never("internal/longtext"), func(p string) bool {
			return ours(p) && p != module && !under(p, "internal/longtext") || foreign(packages, p)
		}},
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			found := false
			for path, p := range packages {
				if !ours(path) || !rule.of(path) {
					continue
				}
				found = true
				for _, dep := range p.Deps {
					if rule.refused(dep) {
						t.Errorf("%s needs %s, which this rule refuses", path, dep)
					}
				}
			}
			if !found {
				t.Skip("no such package yet")
			}
		})
	}
}

// TestRulesBite applies the functions the rules are made of to known cases,
// since a rule that matches nothing would pass for ever.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	packages := list(t, "encoding/xml", "pgregory.net/rapid")
	for path, want := range map[string]bool{
		"encoding/xml": false, "crypto/sha1": false, "pgregory.net/rapid": true, module + "/store": false,
	} {
		if path == "crypto/sha1" {
			packages[path] = dependency{Standard: true}
		}
		if got := foreign(packages, path, "golang.org/x/sync"); got != want {
			t.Errorf("foreign(%s) = %v", path, got)
		}
	}
	if foreign(packages, "golang.org/x/sync/errgroup", "golang.org/x/sync") || !foreign(packages, "golang.org/x/synchro", "golang.org/x/sync") {
		t.Error("foreign does not tell modules apart")
	}
	if !under(module+"/store/memory", "store") || under(module+"/storetest", "store") || under(module, "store") {
		t.Error("under does not tell trees apart")
	}
	if all := list(t, module+"/internal/config"); !slices.Contains(all[module+"/internal/config"].Deps, "github.com/goccy/go-yaml/ast") {
		t.Error("go list does not report the dependencies of a package")
	}
}

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// The address of a database is read as it is written, and never printed with its password.
func TestStorePassword(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ store, want string }{
		{"postgres://echostr:" + canary + "@db:5432/wx", "postgres://echostr@db:5432/wx"},
		{"postgresql://db/wx?user=echostr&password=" + canary, "postgresql://db/wx?***"},
		{"postgres:///wx?host=/run/postgresql", "postgres:///wx?***"},
		{"postgres://echostr:" + canary + "%zz@db/wx", "postgres:***"},
		{"postgres://db/wx", "postgres://db/wx"},
		{"sqlite:./echostr.db", "sqlite:./echostr.db"},
		{"memory:", "memory:"},
	} {
		store := Store(test.store)
		if got := store.String(); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
		cfg := &Config{Store: store}
		if want := strings.HasPrefix(test.store, "postgres"); (cfg.Postgres() == test.store) != want || cfg.Postgres() != "" != want {
			t.Errorf("Postgres of %s: %v", test.want, cfg.Postgres() != "")
		}
		for _, v := range []any{store, &store, cfg, *cfg, []Store{store}} {
			var out bytes.Buffer
			fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
			for _, marshal := range []func(any) ([]byte, error){json.Marshal, func(v any) ([]byte, error) { return yaml.Marshal(v) }} {
				text, err := marshal(v)
				if err != nil {
					t.Error(err)
				}
				out.Write(text)
			}
			if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
				t.Errorf("the password of %T was printed: %s", v, out.String())
			}
		}
	}
}

// Accounts are taken apart by their stores: a file has many names, and an address one.
func TestByStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink(".", filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	file := filepath.Join(dir, "echostr.yaml")
	c := &Config{file: file, Store: defaultStore, Log: Log{Level: "warn"}}
	for i, store := range []Store{"", "postgres://db/one", "sqlite:echostr.db", "postgres://db/two", Store("sqlite:" + filepath.ToSlash(dir) + "/link/../echostr.db"), "postgres://db/one", "sqlite:link/echostr.db", "sqlite:b.db"} {
		c.Accounts = append(c.Accounts, Account{Name: string(rune('a' + i)), Store: store})
	}
	var got []string
	for _, part := range c.ByStore() {
		line := part.Postgres()
		if path := part.Database(); path != "" {
			line = filepath.Base(path)
		}
		for i := range part.Accounts {
			line += " " + part.Accounts[i].Name
		}
		if part.Log != c.Log || part.file != c.file {
			t.Errorf("%s is not as the whole", line)
		}
		got = append(got, line)
	}
	if diff := cmp.Diff([]string{"echostr.db a c e g", "postgres://db/one b f", "postgres://db/two d", "b.db h"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(c.Accounts) != 8 {
		t.Errorf("the whole has %d accounts left", len(c.Accounts))
	}
}

// The store of an account is checked as that of all is, and can come from the environment.
func TestAccountStore(t *testing.T) {
	t.Parallel()
	account := func(store string) string {
		return "accounts:\n  - name: shop\n    app_id: wxb11529c136998cb6\n    token: " + goodToken + "\n    mode: plain\n    store: " + store + "\n"
	}
	for store, want := range map[string]string{
		"redis:x": "is not a store;", "sqlite:data/": "names a folder", "postgres://host/": "names no database", "'memory:x'": "has more than the store in memory needs",
	} {
		_, err := (&loader{read: readSecret}).load("echostr.yaml", []byte(account(store)), nil)
		if text := fmt.Sprint(err); !strings.Contains(text, "accounts[0].store: "+want) || strings.Count(text, "\n") != 0 {
			t.Errorf("%s: %v", store, err)
		}
	}
	for store, want := range map[string]Store{"memory": memoryStore, "'memory:'": memoryStore, "sqlite:b.db": "sqlite:b.db"} {
		cfg, err := (&loader{read: readSecret}).load("echostr.yaml", []byte(account(store)), nil)
		if err != nil || cfg.ByStore()[0].Store != want || cfg.Store != defaultStore {
			t.Errorf("%s: %+v, %v", store, cfg, err)
		}
	}
	cfg, err := (&loader{read: readSecret}).load("echostr.yaml", []byte(account("sqlite:b.db")), []string{"ECHOSTR_ACCOUNTS_0_STORE=postgres://db/wx"})
	if err != nil || cfg.ByStore()[0].Postgres() != "postgres://db/wx" {
		t.Errorf("%v, %v", cfg, err)
	}
}

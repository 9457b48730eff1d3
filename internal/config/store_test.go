package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
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

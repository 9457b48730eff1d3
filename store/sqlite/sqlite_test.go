package sqlite_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
	"github.com/echostr/echostr/store/storetest"
)

var quiet = slog.New(slog.DiscardHandler)

func open(t testing.TB, cfg sqlite.Config) *sqlite.Store {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "echostr.db")
	}
	cfg.Logger = quiet
	s, err := sqlite.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	now := time.Now()
	storetest.Run(t, storetest.Backend{
		Open: func(t testing.TB) (a, b store.Store) {
			s := open(t, sqlite.Config{Now: func() time.Time { return now }})
			return s, s
		},
		Elapse: func(d time.Duration) { now = now.Add(d) },
	})
}

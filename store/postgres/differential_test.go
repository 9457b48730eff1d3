package postgres_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
	"github.com/echostr/echostr/store/postgres"
	"github.com/echostr/echostr/store/sqlite"
	"github.com/echostr/echostr/store/storetest"
)

// Whatever is asked of the three stores, in whatever order, their answers are the same.
func TestSameAsTheOtherStores(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		file, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "e.db"), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		storetest.Differential(t, seed, 200, []string{"memory", "sqlite", "postgres"},
			[]store.Store{memory.New(memory.Config{Keep: time.Hour}), file, open(t, postgres.Config{})})
	}
}

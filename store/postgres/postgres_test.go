package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/pgtest"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
	"github.com/echostr/echostr/store/storetest"
)

var quiet = slog.New(slog.DiscardHandler)

// open opens a database, a new one if cfg names none.
func open(t testing.TB, cfg postgres.Config) *postgres.Store {
	t.Helper()
	if cfg.DSN == "" {
		cfg.DSN = pgtest.DSN(t)
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	s, err := postgres.Open(context.Background(), cfg)
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
	t.Parallel()
	var last *postgres.Store
	storetest.Run(t, storetest.Backend{
		Open: func(t testing.TB) (a, b store.Store) {
			dsn := pgtest.DSN(t)
			last = open(t, postgres.Config{DSN: dsn})
			return last, open(t, postgres.Config{DSN: dsn})
		},
		Elapse: func(d time.Duration) {
			if err := last.Elapse(t.Context(), d); err != nil {
				t.Error(err)
			}
		},
		Shared: true,
	})
}

// sample is a turn as WeChat's text messages make it, by one of 10,000 users.
func sample(n int64, now time.Time, owner store.Node) store.Turn {
	keyer := store.NewKeyer([]byte("salt"))
	return store.Turn{
		Key:     keyer.Key([32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}, now.Unix(), now),
		Account: "demo", OpenID: fmt.Sprintf("ogdotwSc_MmEEsJs9-ABZ1QL_%04d", n*7919%10_000), OriginalID: "gh_866835093fea",
		MsgType: "text", Body: fmt.Sprintf("%330d", n), CreateTime: now.Unix(), ReceivedAt: now.Truncate(time.Millisecond),
		Pushes: []store.Push{{Number: 1, At: now.Truncate(time.Millisecond)}}, Seen: 1,
		State: store.Running, Attempt: 1, Owner: owner,
	}
}

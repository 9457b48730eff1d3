package sqlite_test

import (
	"context"
	"fmt"
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

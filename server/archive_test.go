package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
	"github.com/echostr/echostr/store/sqlite"
)

// A message whose process is dead says so, by the database and by a server that does not take
// it over, and one that is being handled does not.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "echostr.db")
	cfg := load(t, strings.Replace(testYAML, "memory:", "sqlite:"+path, 1))
	bubble(t, func(t *testing.T) {
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		owner, err := db.Join(t.Context(), "echostr")
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		row := store.Turn{Key: store.NewKeyer(nil).Key([32]byte{1}, now.Unix(), now), Account: "gone", MsgType: "text", ReceivedAt: now, State: store.Running, Attempt: 1, Owner: owner}
		ops := []store.Op{{Turn: row}}
		if err := db.Claim(t.Context(), ops); err != nil || !ops[0].OK {
			t.Fatal(err, ops[0].Err)
		}
		type source interface {
			Turns(context.Context, TurnFilter) ([]Turn, error)
			Turn(context.Context, string) (*Turn, error)
		}
		check := func(when string, s source, want bool) {
			t.Helper()
			list, err := s.Turns(t.Context(), TurnFilter{})
			if err != nil || len(list) != 1 || list[0].State != store.Running || list[0].Interrupted != want {
				t.Errorf("%s: %+v, %v, want interrupted %v", when, list, err, want)
			}
			one, err := s.Turn(t.Context(), row.Key.String()[:8])
			if err != nil || one.Interrupted != want {
				t.Errorf("%s: %+v, %v, want interrupted %v", when, one, err, want)
			}
		}
		archive, err := OpenArchive(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer archive.Close()
		check("while its process runs", archive, false)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		check("without a server", archive, true)
		r := start(t, cfg, Options{})
		defer r.end(t)
		check("beside a server", archive, true)
		check("a server without its account", &Client{Address: "localhost", Token: r.token, DialContext: r.admin.DialContext}, true)
	})
}

// What became of the answer is looked for in as many turns as there are.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	st := memory.New(memory.Config{Keep: 1000 * time.Hour})
	defer st.Close()
	began := time.Now().UTC().Truncate(time.Second)
	keyer := store.NewKeyer(nil)
	const page, all = findLimit, 3*findLimit + 100
	var want []string // the youngest first
	ops := make([]store.Op, all)
	for n := range ops {
		moment := n / 50 // many at one
		if n >= page+100 {
			moment = page // more than a page
		}
		if n == all-1 {
			moment++
		}
		received := began.Add(-time.Duration(moment) * time.Millisecond)
		row := store.Turn{Key: keyer.Key([32]byte{byte(n), byte(n >> 8)}, received.Unix(), received), Account: "demo", State: store.Answered, ReceivedAt: received, Delivery: store.Written}
		if n < page && n%700 == 699 || moment == page/50-1 || n == all-1 { // also where one page ends and the next one begins
			row.Delivery = store.Late
			want = append(want, row.Key.String())
		}
		ops[n] = store.Op{Turn: row}
	}
	if err := st.Claim(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int][]string{maxTurns: want, 3: want[:3]} {
		list, err := turnsOf(t.Context(), []reader{st}, TurnFilter{Deliveries: []store.Delivery{store.Late, store.Assumed}, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range list {
			got = append(got, list[i].Key)
		}
		slices.Sort(got)
		if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
			t.Errorf("at most %d: %d turns, want %d", limit, len(got), len(want))
		}
	}
}

// A database that is damaged is named, with what to do, and ends the command with 78.
func TestArchiveOfADamagedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "echostr.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenArchive(t.Context(), &Config{Store: config.Store("sqlite:" + path)})
	if !errors.Is(err, sqlite.ErrUnusable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
		t.Error(err)
	}
}

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
)

// schema1 makes a database as the first version left it, and returns its turns, oldest first.
func schema1(t *testing.T) (path string, turns []store.Turn) {
	t.Helper()
	text, err := os.ReadFile("testdata/schema1.sql")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "old.db")
	execSQL(t, path, string(text))
	at := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	for i := range 5 {
		second := time.Duration(i+1) * time.Second
		received := at.Add(second)
		turns = append(turns, store.Turn{
			Key:     store.NewKeyer([]byte("salt")).Key([32]byte{byte(i + 1)}, received.Unix(), received),
			Version: 1, Account: "demo", OpenID: fmt.Sprint("o-user-", (i+1)%2), OriginalID: "gh_866835093fea", MsgType: "text",
			Body: fmt.Sprintf("<xml>\x00\xff你好 %d</xml>", i+1), CreateTime: received.Unix(), ReceivedAt: received,
			Pushes: []store.Push{{Number: 1, At: received, Got: store.Cut}, {Number: 2, At: received.Add(5 * time.Second)}},
			Seen:   2, State: store.Running, Attempt: 1, Owner: store.Node{ID: "node", Epoch: 1},
		})
	}
	answered, failed, erased := &turns[1], &turns[2], &turns[4]
	answered.Version, answered.State, answered.FinishedAt, answered.Reply = 3, store.Answered, at.Add(7*time.Second), "<xml>\xfe]]></xml>"
	answered.Delivery, answered.OfferedTo = store.Written, 2
	failed.Version, failed.State, failed.FinishedAt, failed.Reason, failed.Delivery = 2, store.Failed, at.Add(8*time.Second), "it failed", store.Late
	erased.Erase()
	erased.Version = 2
	return path, turns
}

// An older database is brought up to date with all that it holds, and takes what is new.
func TestOpenAnOlderSchema(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path, want := schema1(t)
	s := open(t, sqlite.Config{Path: path})
	same := func(what string, s *sqlite.Store) {
		t.Helper()
		for _, turn := range want {
			got, err := s.Get(ctx, turn.Key)
			if diff := cmp.Diff(turn, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got)\n%s", what, err, diff)
			}
		}
	}
	same("as it was", s)
	node, err := s.Join(ctx, "node")
	if err != nil || node.Epoch != 2 {
		t.Errorf("the next epoch is %+v, %v", node, err)
	}
	ops := []store.Op{{Turn: want[0]}, {Turn: want[1], Mark: true}}
	late, marked := &ops[0].Turn, &ops[1].Turn
	late.State, late.Reply, late.Delivery = store.Answered, "late", store.Ticket
	late.Due, late.Code, late.Placeholder, late.Way = late.ReceivedAt.Add(time.Hour), "code", "wait", store.Way{Told: 3, TakenBy: want[1].Key}
	marked.Due = late.Due
	if err := s.Save(ctx, ops); err != nil || !ops[0].OK || !ops[1].OK {
		t.Fatalf("%v, %+v", err, ops)
	}
	want[0], want[1] = *late, *marked
	if due, err := s.List(ctx, store.Filter{Due: true}); err != nil || len(due) != 2 {
		t.Errorf("%d turns are due, %v; want 2", len(due), err)
	}
	session := store.Session{Account: "demo", OpenID: "o-user-1", Data: "d", Expires: late.Due}
	if ok, err := s.SaveSession(ctx, &session); !ok || err != nil {
		t.Errorf("SaveSession: %v, %v", ok, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, sqlite.Config{Path: path})
	same("opened again", s)
	if got, err := s.Session(ctx, "demo", "o-user-1"); err != nil || got != session {
		t.Errorf("Session: %+v, %v", got, err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var ok string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
		t.Errorf("integrity_check: %s, %v", ok, err)
	}
}

// An older database that was not opened for writing yet is checked and copied as it is. What only a
// newer one has cannot be read, and the reader says what to do.
func TestReadAnOlderSchema(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path, want := schema1(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Check(path, false); err != nil {
		t.Errorf("Check: %v", err)
	}
	r, err := sqlite.OpenReader(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, listed := r.List(ctx, store.Filter{})
	_, got := r.Get(ctx, want[0].Key)
	for what, err := range map[string]error{"List": listed, "Get": got} {
		if !errors.Is(err, sqlite.ErrUnusable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "start the server once") {
			t.Errorf("%s: %v", what, err)
		}
	}
	backup, restored := filepath.Join(t.TempDir(), "backup.db"), filepath.Join(t.TempDir(), "new.db")
	if sum, err := sqlite.Backup(ctx, path, backup); err != nil || sum.Turns != len(want) {
		t.Errorf("Backup: %+v, %v", sum, err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed, %v", err)
	}
	if res, err := sqlite.Restore(ctx, backup, "", sqlite.Config{Path: restored}); err != nil || res.Turns != len(want) || res.Interrupted != 2 {
		t.Errorf("Restore: %+v, %v", res, err)
	}
	if turn, err := open(t, sqlite.Config{Path: restored}).Get(ctx, want[1].Key); err != nil || !cmp.Equal(turn, want[1]) {
		t.Errorf("a restored turn: %+v, %v", turn, err)
	}
}

package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
)

// found lists which of the words stand in a file of the database, byte for byte.
func found(t *testing.T, path string, words ...string) (list []string) {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files, %v", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if n := strings.Count(string(b), w); n > 0 {
				list = append(list, fmt.Sprintf("%s %d times in %s", w, n, filepath.Base(name)))
			}
		}
	}
	return list
}

// After an erasure and Tidy nothing of the user is in any file: P10. Many turns of
// others around, with results that grow rows, move cells between pages before.
func TestErasedBytesAreGone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "e.db")
	s := open(t, sqlite.Config{Path: path})
	owner, err := s.Join(ctx, "node")
	if err != nil {
		t.Fatal(err)
	}
	const user, text, answer = "oSecretUserOfTheTest", "what the user told us in confidence", "what we told the user"
	now := time.Now()
	var all []store.Op
	for i := range 3000 {
		turn := sample(int64(i), now.Add(time.Duration(i)*time.Second), owner)
		if i%7 == 0 {
			turn.OpenID, turn.Body = user, strings.Repeat(text, 1+i%40)
		}
		all = append(all, store.Op{Turn: turn})
	}
	for i := 0; i < len(all); i += 30 {
		part := all[i : i+30]
		if err := s.Claim(ctx, part); err != nil {
			t.Fatal(err)
		}
		for j := range part {
			part[j].Turn.State = store.Answered
			part[j].Turn.Reply = strings.Repeat("others ", 30)
			if part[j].Turn.OpenID == user {
				part[j].Turn.Reply, part[j].Turn.Reason = strings.Repeat(answer, 20), user
			}
		}
		if err := s.Save(ctx, part); err != nil {
			t.Fatal(err)
		}
	}
	if list := found(t, path, user, text, answer); len(list) == 0 {
		t.Fatal("the words are not found before the erasure either")
	}
	n, err := s.Erase(ctx, "demo", user, now.Add(time.Hour*10))
	if want := (3000 + 6) / 7; err != nil || n != want {
		t.Fatalf("Erase: %d, %v; want %d", n, err, want)
	}
	if err := s.Tidy(ctx); err != nil {
		t.Fatal(err)
	}
	if list := found(t, path, user, text, answer); len(list) > 0 {
		t.Errorf("still there: %v", list)
	}
	backup := filepath.Join(t.TempDir(), "b.db")
	if err := sqlite.Backup(ctx, path, backup); err != nil {
		t.Fatal(err)
	}
	if list := found(t, backup, user, text, answer); len(list) > 0 {
		t.Errorf("in a backup: %v", list)
	}
}

// Expiry goes through more turns than fit in one chunk, of one moment too, and
// what expires is gone from the files.
func TestExpireMany(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "e.db")
	s := open(t, sqlite.Config{Path: path})
	now := time.Now().Truncate(time.Second)
	at := func(i int) time.Time {
		if i < 1800 {
			return now.Add(-40 * 24 * time.Hour) // all at one moment
		}
		return now.Add(-time.Duration(4000-i) * time.Minute)
	}
	var ops []store.Op
	for i := range 4000 {
		turn := sample(int64(i), at(i), store.Node{})
		turn.State, turn.Reply = store.Answered, "an answer that expires"
		if i >= 3989 {
			turn.Body, turn.Reply = "kept", "kept"
		}
		ops = append(ops, store.Op{Turn: turn})
	}
	if err := s.Claim(ctx, ops); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1800, 0} {
		if n, err := s.Expire(ctx, now.Add(-11*time.Minute), now.Add(-30*24*time.Hour)); n != want || err != nil {
			t.Fatalf("%d rows were removed, %v; want %d", n, err, want)
		}
	}
	rows, err := s.List(ctx, store.Filter{Limit: 10_000})
	if err != nil || len(rows) != 2200 {
		t.Fatalf("%d rows are left, %v; want 2200", len(rows), err)
	}
	for i, row := range rows {
		if kept := i < 11; kept != (row.Body != "") {
			t.Fatalf("row %d, received %v ago: body %q", i, now.Sub(row.ReceivedAt), row.Body)
		}
	}
	if err := s.Tidy(ctx); err != nil {
		t.Fatal(err)
	}
	if list := found(t, path, "an answer that expires"); len(list) > 0 {
		t.Errorf("still there: %v", list)
	}
}

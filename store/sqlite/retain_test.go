package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
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
			if n := bytes.Count(b, []byte(w)); n > 0 {
				list = append(list, fmt.Sprintf("%s %d times in %s", w, n, filepath.Base(name)))
			}
		}
	}
	return list
}

// After an erasure and Tidy nothing of the user is in any file: P10. Results come in
// another order than the messages, and make their rows grow, so that pages are
// divided and leave copies behind.
func TestErasedBytesAreGone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "e.db")
	s := open(t, sqlite.Config{Path: path})
	owner, err := s.Join(ctx, "node")
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	user := func(i int) string { return fmt.Sprintf("oUser%05dOfTheTest", i%160) }
	said := func(i int) string { return fmt.Sprintf("what user %05d told us in confidence", i%160) }
	told := func(i int) string { return fmt.Sprintf("what we told user %05d", i%160) }
	promised := func(i int) string { return fmt.Sprintf("what we promised user %05d", i%160) }
	code := func(i int) string { return fmt.Sprintf("the-code-%05d-of", i%160) }
	remembered := func(i int) string { return fmt.Sprintf("what we remember of user %05d", i%160) }
	sessions := make(map[int]store.Session)
	remember := func(i int) {
		i %= 160
		n, ok := sessions[i]
		if !ok {
			n = store.Session{Account: "demo", OpenID: user(i)}
		}
		n.Data, n.Expires = strings.Repeat(remembered(i)+" ", 1+rnd.IntN(150)), time.Now().Add(time.Hour)
		if ok, err := s.SaveSession(ctx, &n); !ok || err != nil {
			t.Fatal(ok, err)
		}
		sessions[i] = n
	}
	type message struct {
		op store.Op
		n  int
	}
	var under []message
	finish := func(k int) {
		op := []store.Op{under[k].op}
		i := under[k].n
		op[0].Turn.State, op[0].Turn.Reply = store.Answered, strings.Repeat(told(i)+" ", 1+rnd.IntN(20))
		if rnd.IntN(2) == 0 || i < 160 {
			op[0].Turn.Placeholder, op[0].Turn.Code = strings.Repeat(promised(i)+" ", 1+rnd.IntN(20)), code(i)
			op[0].Turn.Delivery, op[0].Turn.Due = store.Ticket, time.Now().Add(time.Duration(rnd.IntN(3600))*time.Second)
		}
		if i < 320 { // each twice
			remember(i)
		}
		if err := s.Save(ctx, op); err != nil || !op[0].OK {
			t.Fatal(err)
		}
		under = append(under[:k], under[k+1:]...)
	}
	for i := range 800 {
		turn := sample(int64(i), time.Now(), owner)
		turn.OpenID, turn.Body = user(i), strings.Repeat(said(i)+" ", 1+rnd.IntN(20))
		op := []store.Op{{Turn: turn}}
		if err := s.Claim(ctx, op); err != nil || !op[0].OK {
			t.Fatal(err)
		}
		if under = append(under, message{op[0], i}); len(under) >= 16 {
			finish(rnd.IntN(len(under)))
		}
	}
	for len(under) > 0 {
		finish(0)
	}
	const erased = 40
	var words []string
	for i := range erased {
		words = append(words, user(i), said(i), told(i), promised(i), code(i), remembered(i))
	}
	if list := found(t, path, words...); len(list) < len(words) {
		t.Fatalf("%d of %d words are found before the erasure", len(list), len(words))
	}
	for i := range erased {
		if n, err := s.Erase(ctx, "demo", user(i), store.Key{}); err != nil || n != 5 {
			t.Fatalf("Erase: %d, %v; want 5", n, err)
		}
	}
	if err := s.Tidy(ctx); err != nil {
		t.Fatal(err)
	}
	if list := found(t, path, words...); len(list) > 0 {
		t.Errorf("%d words are still there, such as %v", len(list), list[0])
	}
	for i, want := range sessions {
		got, err := s.Session(ctx, "demo", user(i))
		if i < erased && !errors.Is(err, store.ErrNotFound) || i >= erased && (err != nil || got.Data != want.Data) {
			t.Fatalf("the session of user %d: %v", i, err)
		}
	}
	rows, err := s.List(ctx, store.Filter{Limit: 10_000})
	if err != nil || len(rows) != 800 {
		t.Fatalf("%d rows are left, %v", len(rows), err)
	}
	for _, row := range rows {
		if (row.State == store.Erased) == strings.Contains(row.Body+row.Reply, "told") {
			t.Fatalf("a row is %v and holds %q", row.State, row.Body)
		}
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
	backup := filepath.Join(t.TempDir(), "b.db")
	if _, err := sqlite.Backup(ctx, path, backup); err != nil {
		t.Fatal(err)
	}
	if list := found(t, backup, words...); len(list) > 0 {
		t.Errorf("in a backup: %v", list)
	}
}

// Tidy does not keep the writer waiting while somebody reads.
func TestTidyBesideAReader(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := makeDatabase(t, 300)
	s := open(t, sqlite.Config{Path: path})
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM turn").Scan(&n); err != nil || n != 300 {
		t.Fatal(n, err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Tidy(ctx) }()
	for i := range 20 {
		op := []store.Op{{Turn: sample(int64(1000+i), time.Now(), store.Node{})}}
		op[0].Turn.State = store.Silent
		began := time.Now()
		if err := s.Claim(ctx, op); err != nil || !op[0].OK {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("a claim took %v", took)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s.Stats().WALBytes != 0 {
		t.Errorf("the WAL has %d bytes after Tidy", s.Stats().WALBytes)
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
		if i < 1100 {
			return now.Add(-40 * 24 * time.Hour) // all at one moment
		}
		return now.Add(-time.Duration(1700-i) * time.Minute)
	}
	var ops []store.Op
	for i := range 1700 {
		turn := sample(int64(i), at(i), store.Node{})
		turn.State, turn.Reply, turn.Placeholder = store.Answered, "an answer that expires", "a placeholder that expires"
		if i >= 1689 {
			turn.Body, turn.Reply, turn.Placeholder = "kept", "kept", "kept"
		}
		ops = append(ops, store.Op{Turn: turn})
	}
	if err := s.Claim(ctx, ops); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1100, 0} {
		if n, err := s.Expire(ctx, now.Add(-11*time.Minute), now.Add(-30*24*time.Hour)); n != want || err != nil {
			t.Fatalf("%d rows were removed, %v; want %d", n, err, want)
		}
	}
	rows, err := s.List(ctx, store.Filter{Limit: 10_000})
	if err != nil || len(rows) != 600 {
		t.Fatalf("%d rows are left, %v; want 600", len(rows), err)
	}
	for i, row := range rows {
		if kept := i < 11; kept != (row.Body != "") {
			t.Fatalf("row %d, received %v ago: body %q", i, now.Sub(row.ReceivedAt), row.Body)
		}
	}
	if err := s.Tidy(ctx); err != nil {
		t.Fatal(err)
	}
	if list := found(t, path, "an answer that expires", "a placeholder that expires"); len(list) > 0 {
		t.Errorf("still there: %v", list)
	}
}

// An erasure of very many turns lets others write in between, and goes in the order of
// acceptance: one that fails or is cut off by a kill leaves the event that demands it, so that
// it is done again. P10
func TestEraseOfManyTurns(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "e.db")
	s := open(t, sqlite.Config{Path: path})
	const user, all = "oWhoWroteVeryMuch", 1300
	ops := make([]store.Op, all+1)
	for i := range ops {
		turn := sample(int64(i), time.Now().Add(time.Duration(-i)*time.Second), store.Node{}) // whatever a clock says
		turn.OpenID, turn.State = user, store.Silent
		ops[i] = store.Op{Turn: turn}
	}
	if err := s.Claim(ctx, ops); err != nil {
		t.Fatal(err)
	}
	until := ops[all-1].Turn.Key
	session := store.Session{Account: "demo", OpenID: user, Expires: time.Now().Add(time.Hour)}
	if ok, err := s.SaveSession(ctx, &session); !ok || err != nil {
		t.Fatal(ok, err)
	}
	left := func() (kept int, demand, later bool) {
		t.Helper()
		for _, op := range ops {
			row, err := s.Get(ctx, op.Turn.Key)
			if err != nil {
				t.Fatal(err)
			}
			if row.State == store.Erased {
				continue
			}
			kept++
			demand = demand || row.Key == until
			later = later || row.Key == ops[all].Turn.Key
		}
		return kept, demand, later
	}
	execSQL(t, path, `CREATE TRIGGER stop BEFORE UPDATE ON turn WHEN old.id = (SELECT min(id) + 700 FROM turn) BEGIN SELECT RAISE(ABORT, 'killed'); END`)
	n, err := s.Erase(ctx, "", user, until)
	if err == nil || n == 0 || n > 700 {
		t.Fatalf("an erasure that fails at the 701st turn: %d, %v", n, err)
	}
	if kept, demand, later := left(); kept != all+1-n || !demand || !later {
		t.Errorf("%d are left, the event that demands it %v, what came after it %v", kept, demand, later)
	}
	if _, err := s.Session(ctx, "demo", user); err != nil {
		t.Errorf("the session after an erasure that failed: %v", err)
	}
	execSQL(t, path, `DROP TRIGGER stop`)
	again, err := s.Erase(ctx, "demo", user, until)
	if err != nil || n+again != all {
		t.Errorf("erased %d and then %d of %d, %v", n, again, all, err)
	}
	if kept, demand, later := left(); kept != 1 || demand || !later {
		t.Errorf("%d are left, the event that demands it %v, what came after it %v", kept, demand, later)
	}
	if _, err := s.Session(ctx, "demo", user); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the session after the erasure: %v", err)
	}
	if n, err := s.Erase(ctx, "", user, store.Key{}); n != 1 || err != nil {
		t.Errorf("the last one: %d, %v", n, err)
	}
}

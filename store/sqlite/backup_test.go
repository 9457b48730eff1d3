package sqlite_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
)

// A backup that is made under load restores to a database with whole turns, all of those
// that were there when it began, and says until when it knows anything.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	path, file, restored := filepath.Join(dir, "e.db"), filepath.Join(dir, "backup.db"), filepath.Join(dir, "new.db")
	s := open(t, sqlite.Config{Path: path})
	owner, err := s.Join(ctx, "node")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 300)
	running := []store.Op{{Turn: sample(5000, time.Now(), owner)}}
	if err := s.Claim(ctx, running); err != nil || !running[0].OK {
		t.Fatal(err)
	}
	before, err := s.List(ctx, store.Filter{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for n := int64(10_000); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			op := []store.Op{{Turn: sample(n, time.Now(), owner)}}
			if err := s.Claim(ctx, op); err != nil {
				t.Error(err)
			}
			op[0].Turn.State, op[0].Turn.Reply = store.Answered, strings.Repeat("reply", 50)
			if err := s.Save(ctx, op); err != nil {
				t.Error(err)
			}
		}
	})
	sum, err := sqlite.Backup(ctx, path, file)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has the mode %v, %v", info.Mode(), err)
	}
	if _, err := sqlite.Backup(ctx, path, file); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("a second backup to the same file: %v", err)
	}

	res, err := sqlite.Restore(ctx, file, "", sqlite.Config{Path: restored})
	if err != nil {
		t.Fatal(err)
	}
	copied, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256(copied)); sum.SHA256 != want || sum.Bytes != int64(len(copied)) {
		t.Errorf("the backup has %d bytes and the checksum %s; the summary is %+v", len(copied), want, sum)
	}
	if diff := cmp.Diff(sum, res.Summary); diff != "" {
		t.Errorf("what was restored is not what was copied (-copied +restored):\n%s", diff)
	}
	if res.Turns < len(before) || res.Interrupted < 1 {
		t.Errorf("restored %+v, want at least %d turns and one that was running", res, len(before))
	}
	again := open(t, sqlite.Config{Path: restored})
	inst, err := again.Installation(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if old, _ := s.Installation(ctx); !bytes.Equal(inst.Salt, old.Salt) {
		t.Error("the restored database has another salt, so it knows no message")
	}
	rows, err := again.List(ctx, store.Filter{Limit: 1_000_000})
	if err != nil || len(rows) != res.Turns {
		t.Fatalf("%d turns, %v; Restore said %d", len(rows), err, res.Turns)
	}
	if !inst.NotBefore.Equal(rows[0].ReceivedAt) || !res.NotBefore.Equal(inst.NotBefore) {
		t.Errorf("not before %v and %v; the youngest turn is of %v", inst.NotBefore, res.NotBefore, rows[0].ReceivedAt)
	}
	known := make(map[store.Key]store.Turn)
	for _, row := range rows {
		known[row.Key] = row
		if row.State == store.Running {
			t.Errorf("turn %s runs in a restored database", row.Key)
		}
	}
	for _, row := range before {
		if row.State == store.Running {
			if got := known[row.Key]; got.State != store.Failed || !strings.Contains(got.Reason, "backup") {
				t.Errorf("the turn that was running is %v, %q", got.State, got.Reason)
			}
			continue
		}
		if diff := cmp.Diff(row, known[row.Key]); diff != "" {
			t.Errorf("turn %s (-before +restored):\n%s", row.Key, diff)
		}
	}
	if _, err := again.Join(ctx, "node"); err != nil {
		t.Error(err)
	}
}

// Restore overwrites nothing and takes nothing that is not a whole backup.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	good := makeDatabase(t, 50)
	backup := filepath.Join(dir, "backup.db")
	if _, err := sqlite.Backup(ctx, good, backup); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	broken := bytes.Clone(whole)
	copy(broken[len(broken)/2&^4095:], make([]byte, 4096))
	used := makeDatabase(t, 1)
	// A user's name is another one in the table than in the index, which only a complete check sees.
	other := bytes.Clone(whole)
	for at, n := 0, 0; ; n++ {
		next := bytes.Index(other[at:], []byte("ogdotwSc_MmEEsJs9"))
		if next < 0 {
			if n != 100 {
				t.Fatalf("50 users are found %d times, not in the table and in the index", n)
			}
			break
		}
		if at += next + 1; n == 99 {
			other[at] ^= 1
		}
	}
	letter := bytes.Replace(whole, []byte("reply 17<"), []byte("reply 71<"), 1) // nothing of the structure
	digest := fmt.Sprintf("%X", sha256.Sum256(whole))
	for _, c := range []struct{ name, file, sum, path, want string }{
		{"there is a database", backup, "", used, "not overwritten"},
		{"no such backup", filepath.Join(dir, "none"), "", filepath.Join(dir, "a.db"), "cannot be read"},
		{"not a database", put("notes", []byte(strings.Repeat("notes ", 1000))), "", filepath.Join(dir, "b.db"), "not one of Echostr"},
		{"cut off", put("cut", whole[:len(whole)/2]), "", filepath.Join(dir, "c.db"), "damaged"},
		{"damaged", put("broken", broken), "", filepath.Join(dir, "d.db"), "damaged"},
		{"damaged index", put("index", other), "", filepath.Join(dir, "g.db"), "damaged"},
		{"another reply", put("letter", letter), digest, filepath.Join(dir, "h.db"), "not the backup that was made"},
	} {
		before, _ := os.ReadFile(c.path)
		_, err := sqlite.Restore(ctx, c.file, c.sum, sqlite.Config{Path: c.path})
		if !errors.Is(err, sqlite.ErrUnusable) || !strings.Contains(err.Error(), c.want) || c.path != used && !strings.Contains(err.Error(), filepath.Base(c.file)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if after, _ := os.ReadFile(c.path); !bytes.Equal(before, after) {
			t.Errorf("%s: %s was changed", c.name, c.path)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(c.path), ".*")); len(left) > 0 {
			t.Errorf("%s: files are left over: %v", c.name, left)
		}
	}
	if _, err := sqlite.Restore(ctx, backup, digest, sqlite.Config{Path: filepath.Join(dir, "i.db")}); err != nil {
		t.Errorf("with the right checksum: %v", err)
	}
	// What a process that died had begun to write would be taken back in the restored file.
	left := filepath.Join(dir, "f.db")
	put("f.db-journal", []byte(strings.Repeat("journal ", 1000)))
	if _, err := sqlite.Restore(ctx, backup, "", sqlite.Config{Path: left}); !errors.Is(err, sqlite.ErrUnusable) || !strings.Contains(err.Error(), "-journal") {
		t.Errorf("a restore beside a journal: %v", err)
	}
	s := open(t, sqlite.Config{Path: filepath.Join(dir, "e.db")})
	defer s.Close()
	if _, err := sqlite.Restore(ctx, backup, "", sqlite.Config{Path: filepath.Join(dir, "e.db")}); !errors.Is(err, sqlite.ErrUnusable) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a restore over a database in use: %v", err)
	}
}

// By the time of a restore most answers that were about to be sent have been, so none of them
// is sent again. What users may still fetch is kept, and so are sessions.
func TestRestoreSendsNothingAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	path, backup, restored := filepath.Join(dir, "e.db"), filepath.Join(dir, "b.db"), filepath.Join(dir, "n.db")
	s := open(t, sqlite.Config{Path: path})
	due := time.Now().Add(time.Minute).Truncate(time.Millisecond).UTC()
	var ops []store.Op
	for _, d := range store.Deliveries() {
		for _, at := range []time.Time{{}, due} {
			turn := sample(int64(len(ops)), time.Now(), store.Node{})
			turn.State, turn.Delivery, turn.Due, turn.Placeholder = store.Answered, d, at, "wait"
			ops = append(ops, store.Op{Turn: turn})
		}
	}
	if err := s.Claim(ctx, ops); err != nil {
		t.Fatal(err)
	}
	session := store.Session{Account: "demo", OpenID: "o", Data: "d", Expires: due}
	if ok, err := s.SaveSession(ctx, &session); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := sqlite.Backup(ctx, path, backup); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Restore(ctx, backup, "", sqlite.Config{Path: restored}); err != nil {
		t.Fatal(err)
	}
	again := open(t, sqlite.Config{Path: restored})
	for _, op := range ops {
		want, err := s.Get(ctx, op.Turn.Key)
		if err != nil {
			t.Fatal(err)
		}
		switch want.Delivery {
		case store.Undelivered, store.Offered, store.Late, store.Sending:
			if !want.Due.IsZero() {
				want.Delivery, want.Due = store.Assumed, time.Time{}
				want.Version++
			}
		}
		got, err := again.Get(ctx, op.Turn.Key)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, due %v: %v (-want +got)\n%s", op.Turn.Delivery, op.Turn.Due, err, diff)
		}
	}
	if got, err := again.Session(ctx, "demo", "o"); err != nil || got != session {
		t.Errorf("the session: %+v, %v", got, err)
	}
}

// A clock that was ahead when the youngest turn was received must not have everything
// refused until it is reached.
func TestRestoreOfTheFuture(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "e.db"), filepath.Join(dir, "b.db")
	s := open(t, sqlite.Config{Path: path})
	op := []store.Op{{Turn: sample(1, time.Now().Add(time.Hour), store.Node{})}}
	op[0].Turn.State = store.Silent
	if err := s.Claim(ctx, op); err != nil || !op[0].OK {
		t.Fatal(err)
	}
	if _, err := sqlite.Backup(ctx, path, backup); err != nil {
		t.Fatal(err)
	}
	res, err := sqlite.Restore(ctx, backup, "", sqlite.Config{Path: filepath.Join(dir, "n.db")})
	if err != nil || res.NotBefore.After(time.Now()) {
		t.Errorf("not before %v, %v", res.NotBefore, err)
	}
}

// What root restores belongs to whom the folder belongs, who could else not open it.
func TestRestoreByRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root makes files of others")
	}
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const uid, gid = 54321, 54322
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "b.db")
	if _, err := sqlite.Backup(ctx, makeDatabase(t, 3), backup); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Restore(ctx, backup, "", sqlite.Config{Path: filepath.Join(dir, "e.db")}); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) != 2 { // with the lock
		t.Fatalf("%v %v", names, err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := owner(info); got != [2]int{uid, gid} {
			t.Errorf("%s belongs to %v", name, got)
		}
	}
}

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
)

// refuse opens a database that cannot be used and returns the sentence that says so.
func refuse(t *testing.T, cfg sqlite.Config) string {
	t.Helper()
	cfg.Logger = quiet
	s, err := sqlite.Open(context.Background(), cfg)
	if err == nil {
		s.Close()
		t.Fatal("it was opened")
	}
	if !errors.Is(err, sqlite.ErrUnusable) {
		t.Fatalf("%v does not wrap ErrUnusable", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than one line", err)
	}
	return err.Error()
}

// make makes a database with some turns and closes it.
func makeDatabase(t *testing.T, rows int) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "echostr.db")
	s := open(t, sqlite.Config{Path: path})
	fill(t, s, rows)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// fill claims turns that are finished.
func fill(t testing.TB, s *sqlite.Store, rows int) {
	t.Helper()
	ops := make([]store.Op, rows)
	for i := range ops {
		ops[i].Turn = sample(int64(i), time.Now().Add(time.Duration(i-rows)*time.Second), store.Node{})
		ops[i].Turn.State, ops[i].Turn.Reply = store.Answered, "<xml>reply "+strconv.Itoa(i)+"</xml>"
	}
	if err := s.Claim(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
}

func execSQL(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}

// What cannot be used is refused with what to do, and left as it was.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	other := func(name, content string) func(*testing.T) string {
		return func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	for _, c := range []struct {
		name string
		path func(t *testing.T) string
		want []string
	}{
		{"no folder", func(t *testing.T) string { return filepath.Join(t.TempDir(), "no", "such", "e.db") }, []string{"does not exist", "make it"}},
		{"a folder", func(t *testing.T) string { return t.TempDir() }, []string{"is a folder", "echostr.db"}},
		{"under a file", func(t *testing.T) string {
			return filepath.Join(other("file", "x")(t), "e.db")
		}, []string{"folder", "choose another path"}},
		{"another kind of file", other("notes.txt", strings.Repeat("these are notes\n", 300)), []string{"not a SQLite database", "move it away"}},
		{"a short file", other("short.db", "SQLite"), []string{"not a SQLite database"}},
		{"of another program", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "other.db")
			execSQL(t, path, "CREATE TABLE t (x); INSERT INTO t VALUES (1)")
			return path
		}, []string{"another program", "choose another file"}},
		{"a newer version", func(t *testing.T) string {
			path := makeDatabase(t, 1)
			execSQL(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
			return path
		}, []string{"newer version", "99", "restore a backup"}},
		{"damaged", func(t *testing.T) string {
			path := makeDatabase(t, 200)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 4096; i < len(b); i++ {
				b[i] ^= 0x5a
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}, []string{"damaged", "restore a backup"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := c.path(t)
			before, _ := os.ReadFile(path)
			said := refuse(t, sqlite.Config{Path: path})
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("%q does not say %q", said, want)
				}
			}
			if after, _ := os.ReadFile(path); string(before) != string(after) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestOpenRefusesAReadOnlyFolder(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("skipped: permissions do not apply to root")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if said := refuse(t, sqlite.Config{Path: filepath.Join(dir, "e.db")}); !strings.Contains(said, "may not write") {
		t.Errorf("%q", said)
	}
}

// The second who opens a file is refused at once and told who has it; with WaitLock
// it gets the file when the first gives it back.
func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "e.db")
	first := open(t, sqlite.Config{Path: path})
	began := time.Now()
	said := refuse(t, sqlite.Config{Path: path})
	if took := time.Since(began); took > time.Second {
		t.Errorf("it was refused after %v", took)
	}
	if want := "process " + strconv.Itoa(os.Getpid()); !strings.Contains(said, want) {
		t.Errorf("%q does not say %q", said, want)
	}
	if said := refuse(t, sqlite.Config{Path: path, WaitLock: 50 * time.Millisecond}); !strings.Contains(said, "in use") {
		t.Errorf("%q", said)
	}
	time.AfterFunc(50*time.Millisecond, func() { first.Close() })
	open(t, sqlite.Config{Path: path, WaitLock: 10 * time.Second})
}

// A database that was not closed before the machine stopped is checked first.
func TestDamageAfterAPowerCutIsFound(t *testing.T) {
	t.Parallel()
	path := makeDatabase(t, 500)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Somewhere in the table, which opening does not read.
	copy(b[len(b)/2&^4095:], make([]byte, 4096))
	for _, f := range []struct{ name, content string }{
		{path, string(b)},
		{path + ".lock", `{"pid":7,"since":"2026-03-01T12:00:00Z","boot":"another"}`},
	} {
		if err := os.WriteFile(f.name, []byte(f.content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if said := refuse(t, sqlite.Config{Path: path}); !strings.Contains(said, "damaged") {
			t.Errorf("%q", said)
		}
	}
}

// Damage that is met while the database is in use breaks it for good, is reported once,
// and the next start refuses.
func TestDamageInUse(t *testing.T) {
	t.Parallel()
	path := makeDatabase(t, 700)
	fatal := make(chan error, 10)
	s := open(t, sqlite.Config{Path: path, Fatal: func(err error) { fatal <- err }})
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(8 * 4096); at < info.Size(); at += 4096 {
		if _, err := f.WriteAt([]byte(strings.Repeat("\xa5", 4096)), at); err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	_, err = s.List(ctx, store.Filter{Limit: 5000})
	if !errors.Is(err, store.ErrBroken) {
		t.Fatalf("List of a damaged file: %v, want ErrBroken", err)
	}
	for range 3 {
		if err := s.Claim(ctx, []store.Op{{Turn: sample(9, time.Now(), store.Node{})}}); !errors.Is(err, store.ErrBroken) {
			t.Errorf("Claim after damage: %v, want ErrBroken", err)
		}
	}
	select {
	case err := <-fatal:
		if !errors.Is(err, store.ErrBroken) {
			t.Errorf("Fatal was told %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Fatal was told nothing")
	}
	s.Close()
	if len(fatal) > 0 {
		t.Error("Fatal was told twice")
	}
	if said := refuse(t, sqlite.Config{Path: path}); !strings.Contains(said, "damaged") {
		t.Errorf("%q", said)
	}
}

// A file has one lock whatever name it is opened by.
func TestSymbolicLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link, folder := filepath.Join(dir, "e.db"), filepath.Join(dir, "link.db"), filepath.Join(dir, "folder")
	if err := errors.Join(os.Symlink(path, link), os.Symlink(dir, folder)); err != nil {
		t.Skip(err)
	}
	open(t, sqlite.Config{Path: path})
	for _, name := range []string{link, filepath.Join(folder, "e.db")} {
		if said := refuse(t, sqlite.Config{Path: name}); !strings.Contains(said, "in use") {
			t.Errorf("%s: %q", name, said)
		}
		if err := sqlite.InUse(name); err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
			t.Errorf("InUse(%s): %v", name, err)
		}
	}
	if err := sqlite.InUse(filepath.Join(dir, "other.db")); err != nil {
		t.Errorf("InUse of what nobody uses: %v", err)
	}
}

// What was to be checked and was not is still to be checked after a clean end; so is a
// database of which nobody knows how its last process ended.
func TestCheckIsNotForgotten(t *testing.T) {
	t.Parallel()
	for name, lock := range map[string]string{
		"killed":    `{"pid":7,"since":"2026-03-01T12:00:00Z","boot":` + strconv.Quote(bootID(t)) + `}`,
		"no lock":   "",
		"cut short": `{"pid":7,"si`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := makeDatabase(t, 500)
			if err := os.WriteFile(path+".lock", []byte(lock), 0o600); err != nil {
				t.Fatal(err)
			}
			damage := func() {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				copy(b[len(b)/2&^4095:], make([]byte, 4096))
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if name == "killed" {
				// Opened and closed before there was time to check it.
				if err := open(t, sqlite.Config{Path: path}).Close(); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(path + ".lock")
				if err != nil || strings.Contains(string(b), `"clean":true`) {
					t.Errorf("after a close without the check the lock says %s, %v", b, err)
				}
				return
			}
			damage()
			if said := refuse(t, sqlite.Config{Path: path}); !strings.Contains(said, "damaged") {
				t.Errorf("%q", said)
			}
		})
	}
}

func bootID(t *testing.T) string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Skip("skipped: this system does not tell one boot from another")
	}
	return strings.TrimSpace(string(b))
}

// A row that cannot be read concerns its own message only.
func TestUnreadableRow(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "e.db")
	s := open(t, sqlite.Config{Path: path})
	owner, err := s.Join(ctx, "node")
	if err != nil {
		t.Fatal(err)
	}
	ops := []store.Op{{Turn: sample(1, time.Now(), owner)}, {Turn: sample(2, time.Now(), owner)}, {Turn: sample(3, time.Now(), owner)}}
	if err := s.Claim(ctx, ops); err != nil {
		t.Fatal(err)
	}
	execSQL(t, path, "UPDATE turn SET pushes = x'80' WHERE id = 2")
	rows, err := s.List(ctx, store.Filter{States: []store.State{store.Running}, Owner: owner})
	if err != nil || len(rows) != 2 {
		t.Errorf("%d rows, %v; want the 2 that can be read", len(rows), err)
	}
	if _, err := s.Get(ctx, ops[1].Turn.Key); err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBroken) {
		t.Errorf("Get of the other one: %v", err)
	}
	again := []store.Op{{Turn: sample(2, time.Now(), owner)}, {Turn: sample(4, time.Now(), owner)}}
	again[0].Turn.Key = ops[1].Turn.Key
	if err := s.Claim(ctx, again); err != nil || again[0].Err == nil || !again[1].OK {
		t.Errorf("claims of it and of another: %v, %v, %v", err, again[0].Err, again[1].Err)
	}
}

// A file that another program has locked is busy, not broken.
func TestLockedByAnotherProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "e.db")
	s := open(t, sqlite.Config{Path: path})
	db, err := sql.Open("sqlite", path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	row := []store.Op{{Turn: sample(1, time.Now(), store.Node{})}}
	row[0].Turn.State = store.Silent
	if err := s.Claim(context.Background(), row); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrBroken) {
		t.Errorf("Claim in a locked file: %v, want ErrUnavailable", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.Claim(context.Background(), row); err != nil || !row[0].OK {
		t.Errorf("Claim afterwards: %v", err)
	}
}

// The file and all beside it are for this user only.
func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "e.db")
	s := open(t, sqlite.Config{Path: path})
	fill(t, s, 10)
	names, err := filepath.Glob(path + "*")
	if err != nil || len(names) < 4 {
		t.Fatalf("files %v, %v", names, err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, %v", filepath.Base(name), info.Mode(), err)
		}
	}
}

// Threat S31: the SQLite that is linked in is none of those that can damage a database with a write-ahead log, and one that is
// would be refused at the start.
func TestS31SQLiteVersion(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var version string
	if err := db.QueryRowContext(t.Context(), "SELECT sqlite_version()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	for v, good := range map[string]bool{version: true, "3.51.3": true, "3.51.2": false, "3.9.99": false, "3.52": true, "4.0.0": true, "": false, "3.100.0": true} {
		if (sqlite.Number(v) >= sqlite.OldestSQLite) != good {
			t.Errorf("version %q: good is %v", v, !good)
		}
	}
}

// The driver works with exactly the version of libc that its go.mod names.
func TestLibcVersion(t *testing.T) {
	t.Parallel()
	version := func(args ...string) string {
		out, err := exec.Command("go", append([]string{"list", "-m", "-f", "{{.Version}} {{.GoMod}}"}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	_, gomod, _ := strings.Cut(version("modernc.org/sqlite"), " ")
	text, err := os.ReadFile(gomod)
	if err != nil {
		t.Fatal(err)
	}
	libc, _, _ := strings.Cut(version("modernc.org/libc"), " ")
	if !strings.Contains(string(text), "modernc.org/libc "+libc+"\n") {
		t.Errorf("modernc.org/libc is %s, which is not what modernc.org/sqlite was made with: change it in go.mod", libc)
	}
}

// A database that others can read, as one that was copied here, is taken away from them, and
// that is said.
func TestOpenMakesFilesPrivate(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := makeDatabase(t, 5)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1, 0} { // lines; -wal and -shm begin with the mode of the database
		var log strings.Builder
		s, err := sqlite.Open(ctx, sqlite.Config{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		names, err := filepath.Glob(path + "*")
		if err != nil || len(names) < 4 {
			t.Fatalf("files %v, %v", names, err)
		}
		for _, name := range names {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has the mode %v, %v", filepath.Base(name), info.Mode(), err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if said := log.String(); strings.Contains(said, "path="+path+" mode=0644") != (want > 0) || strings.Count(said, "could read") < want {
			t.Errorf("the log says %q", said)
		}
	}
}

// Whatever fails on a damaged file names it, and says what to do.
func TestReaderOfADamagedFile(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := makeDatabase(t, 500)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 16 * 4096; i < len(b); i++ { // the schema can be read
		b[i] = 0xa5
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := sqlite.OpenReader(ctx, path)
	if err != nil {
		t.Fatalf("the damage is not where it should be: %v", err)
	}
	defer r.Close()
	_, listed := r.List(ctx, store.Filter{Limit: 1000})
	copied := filepath.Join(t.TempDir(), "b.db")
	_, backed := sqlite.Backup(ctx, path, copied)
	for what, err := range map[string]error{"List": listed, "Backup": backed} {
		if !errors.Is(err, sqlite.ErrUnusable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "restore a backup") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := os.Stat(copied); err == nil {
		t.Error("there is a backup of a damaged file")
	}
}

// A Reader knows whether the process that owns a turn is there.
func TestReaderAlive(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "e.db")
	s := open(t, sqlite.Config{Path: path})
	old, err := s.Join(ctx, "node")
	if err != nil {
		t.Fatal(err)
	}
	now, err := s.Join(ctx, "node")
	if err != nil {
		t.Fatal(err)
	}
	r, err := sqlite.OpenReader(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	check := func(when string, want map[store.Node]bool) {
		t.Helper()
		for node, want := range want {
			if alive, err := r.Alive(ctx, node); alive != want || err != nil {
				t.Errorf("%s: Alive(%v) = %v, %v", when, node, alive, err)
			}
		}
	}
	check("open", map[store.Node]bool{old: false, now: true, {ID: "other", Epoch: 1}: false})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check("closed", map[store.Node]bool{old: false, now: false})
}

// Who only looks whether somebody has the database is in nobody's way.
func TestLookingTakesNoLock(t *testing.T) {
	t.Parallel()
	path := makeDatabase(t, 1)
	var err error
	for range 5 { // the one that looks may get no CPU for a while
		looks := flock.New(path + ".lock")
		if ok, err := looks.TryLock(); !ok {
			t.Fatal(err)
		}
		released := make(chan struct{})
		time.AfterFunc(5*time.Millisecond, func() { looks.Close(); close(released) })
		var s *sqlite.Store
		s, err = sqlite.Open(context.Background(), sqlite.Config{Path: path, Logger: quiet})
		<-released
		if err == nil {
			s.Close()
			return
		}
	}
	t.Error(err)
}

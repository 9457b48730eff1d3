package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/echostr/echostr/store/sqlite"
)

// SQLite's own locks on the file are the proof for other programs that it is in use, and
// nothing that this process does with it may give them up.
func TestLocksAreKept(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "e.db")
	s := open(t, sqlite.Config{Path: path})
	fill(t, s, 10)
	locks := func() (n int) {
		t.Helper()
		list, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{path, path + "-shm"} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			n += strings.Count(string(list), ":"+strconv.FormatUint(info.Sys().(*syscall.Stat_t).Ino, 10)+" ")
		}
		return n
	}
	before := locks()
	if before == 0 {
		t.Fatal("there are no locks at all")
	}
	for name, do := range map[string]func() error{
		"Backup": func() error { _, err := sqlite.Backup(ctx, path, filepath.Join(t.TempDir(), "b.db")); return err },
		"OpenReader": func() error {
			r, err := sqlite.OpenReader(ctx, path)
			if err != nil {
				return err
			}
			return r.Close()
		},
		"Open": func() error {
			if _, err := sqlite.Open(ctx, sqlite.Config{Path: path, Logger: quiet}); err == nil {
				return errors.New("it was opened twice")
			}
			return nil
		},
		"Check": func() error { return sqlite.Check(path, false) },
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if now := locks(); now < before {
			t.Errorf("%d of %d locks are left after %s", now, before, name)
		}
	}
}

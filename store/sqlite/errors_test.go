package sqlite

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/echostr/echostr/store"
)

// What may be gone at the next start is not for somebody to repair: 78 would keep a service down.
func TestOpenErrorThatPasses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "e.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		want error
	}{
		{&fs.PathError{Op: "open", Path: path, Err: syscall.EMFILE}, store.ErrUnavailable},
		{&fs.PathError{Op: "open", Path: path, Err: syscall.ENFILE}, store.ErrUnavailable},
		{&fs.PathError{Op: "open", Path: path, Err: syscall.EIO}, store.ErrBroken},
		{&fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}, ErrUnusable},
	} {
		if err := openError(path, c.err); !errors.Is(err, c.want) || errors.Is(err, ErrUnusable) != (c.want == ErrUnusable) {
			t.Errorf("%v becomes %v", c.err, err)
		}
	}
}

// SQLite does not say why it cannot open a file. It is for somebody to repair if this user may not write there.
func TestCannotOpen(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("skipped: it is not known here what a user may write")
	}
	db, err := sql.Open("sqlite", dsn(filepath.Join(t.TempDir(), "no", "such.db"), true))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	cannot := db.Ping()
	if cannot == nil {
		t.Fatal("a file in no folder was opened")
	}
	path := filepath.Join(t.TempDir(), "e.db")
	if err := openError(path, cannot); !errors.Is(err, store.ErrBroken) || errors.Is(err, ErrUnusable) {
		t.Errorf("where all may be written: %v", err)
	}
	if err := os.Mkdir(path+"-wal", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := openError(path, cannot); !errors.Is(err, ErrUnusable) {
		t.Errorf("where a folder is in the way: %v", err)
	}
}

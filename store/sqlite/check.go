package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/echostr/echostr/store"
)

const (
	// applicationID marks the file as ours: "Echo".
	applicationID = 0x4563686f

	// oldestSQLite has no race when the WAL is begun anew.
	oldestSQLite = 3_051_003
)

// Check says what is wrong with the place for a database, if anything, without
// making or changing it. The error wraps [ErrUnusable].
func Check(path string, force bool) error {
	path, err := place(path, force)
	if err != nil {
		return err
	}
	if err := tryWrite(filepath.Dir(path)); err != nil {
		return err
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil
	}
	r, err := OpenReader(context.Background(), path)
	if err != nil {
		return err
	}
	return r.Close()
}

// tryWrite says why nothing can be written into a folder, if so.
func tryWrite(dir string) error {
	probe, err := os.CreateTemp(dir, ".echostr-check-*")
	if err == nil {
		defer os.Remove(probe.Name())
		// An empty file takes no room.
		_, err = probe.Write(make([]byte, pageSize))
		err = errors.Join(err, probe.Close())
	}
	switch {
	case err == nil:
		return nil
	case noRoom(err):
		return unusable("there is no room on the disk of %s: free some, or choose another path", dir)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return unusable("this user may not write into %s: make this user its owner, or choose another path", dir)
	}
	return unusable("%s cannot be written into: %w; choose another path", dir, err)
}

// place checks what can be checked before anything is written, and returns the
// path without symbolic links: SQLite follows them, so the files beside the
// database are beside what they lead to.
func place(name string, force bool) (string, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", unusable("%s is no path: %w", name, err)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	return path, checkPlace(path, force)
}

func checkPlace(path string, force bool) error {
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return unusable("the folder %s for the database does not exist: make it, or choose another path", dir)
	case err != nil:
		return unusable("the folder of the database: %w; choose another path", err)
	case !info.IsDir():
		return unusable("%s is not a folder: choose another path for the database", dir)
	}
	if kind := remote(dir); kind != "" && !force {
		return unusable("%s is on a network file system (%s), where a database is not safe: choose a disk of this machine, or set allow_network_file_system: true and lose what it loses", dir, kind)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unusable("the database: %w; choose another path", err)
	case info.IsDir():
		return unusable("%s is a folder: give the path of a file, such as %s", path, filepath.Join(path, "echostr.db"))
	case !info.Mode().IsRegular():
		return unusable("%s is not a file: choose another path for the database", path)
	}
	return nil
}

// checkApplication refuses a database of another program, of a newer version, and one
// whose schema cannot be read. It returns the number of the schema.
func checkApplication(ctx context.Context, db *sql.DB) (schema int, err error) {
	var id, tables int
	if err := db.QueryRowContext(ctx, `SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id`).Scan(&id, &tables); err != nil {
		return 0, err
	}
	if tables == 0 {
		return 0, nil // a process died while it made the file
	}
	if id != applicationID {
		return 0, unusable("the database belongs to another program: choose another file")
	}
	if err := db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version`).Scan(&schema); err != nil {
		return 0, err
	}
	if schema > newestSchema {
		return 0, unusable("the database was made by a newer version of Echostr (its schema is %d, this one knows %d): use that version, or restore a backup of before", schema, newestSchema)
	}
	return schema, nil
}

// newestSchema is the number in front of the last migration's name.
var newestSchema = func() (n int) {
	files, _ := migrations.ReadDir("migrations")
	n, _ = strconv.Atoi(strings.SplitN(files[len(files)-1].Name(), "_", 2)[0])
	return n
}()

// checkSettings refuses what does not keep what it acknowledges. It looks at the
// connection that writes.
func (w *writer) checkSettings() error {
	version, err := w.text("SELECT sqlite_version()")
	if err != nil {
		return err
	}
	journal, err := w.text("PRAGMA journal_mode")
	if err != nil {
		return err
	}
	synchronous, err := w.numbers("PRAGMA synchronous")
	if err != nil {
		return err
	}
	mmap, err := w.numbers("PRAGMA mmap_size")
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case number(version) < oldestSQLite:
		return unusable("this program is built with SQLite %s, which can damage databases: build it with 3.51.3 or later", version)
	case journal != "wal":
		return unusable("the database cannot use a write-ahead log here (journal_mode is %s): choose a disk of this machine", journal)
	case synchronous[0] < 2:
		return unusable("the database does not flush what it commits (synchronous is %d): build the program without that change", synchronous[0])
	case mmap[0] != 0:
		return unusable("the database is mapped into memory (mmap_size is %d), where a failing disk kills the process: build the program without that change", mmap[0])
	}
	return nil
}

// makePrivate takes the files of the database away from other users of the machine. They
// may have come from elsewhere, with a mode that lets everybody read what people have
// written. SQLite gives the files that it makes later the mode of the database.
func (s *Store) makePrivate() {
	if runtime.GOOS == "windows" {
		return // where modes say nothing
	}
	for _, name := range []string{s.path, s.path + "-wal", s.path + "-shm", s.path + "-journal"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			continue
		}
		mode := slog.String("mode", fmt.Sprintf("%04o", info.Mode().Perm()))
		if err := os.Chmod(name, 0o600); err != nil {
			s.logger.Warn("other users of this machine can read what users have written, and this process may not change that: run chmod 600 on the file as its owner",
				slog.String("path", name), mode, slog.Any("error", err))
			continue
		}
		s.logger.Warn("other users of this machine could read what users have written: the mode of the file is 0600 now", slog.String("path", name), mode)
	}
}

// number makes 3051003 of "3.51.3".
func number(version string) (n int) {
	parts := strings.SplitN(version, ".", 4)
	for i := range 3 {
		part := 0
		if i < len(parts) {
			part, _ = strconv.Atoi(parts[i])
		}
		n = n*1000 + part
	}
	return n
}

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date: each step in one transaction with the version that
// it leads to.
func migrate(ctx context.Context, db *sql.DB) error {
	steps, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, steps, goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	// First the mark: a database with tables and without it is another program's.
	if _, err := db.ExecContext(ctx, "PRAGMA application_id = "+strconv.Itoa(applicationID)); err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// mustCheck reports whether what is stored has to be checked before it is used:
// the machine stopped while the database was open, damage was met, or nobody knows, as
// with a file that was copied here. A process that is killed leaves its writes to
// the operating system, so the check can wait.
func (h holder) mustCheck() bool {
	return h.Check || !h.Clean && (h.Boot == "" || h.Boot != bootID())
}

// quickCheck reads the whole database and finds pages that cannot be right.
func quickCheck(ctx context.Context, db *sql.DB) error {
	var found string
	err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
	if err != nil {
		return err
	}
	if found != "ok" {
		return unusable("the database is damaged (%s): move it away and restore a backup", strings.ReplaceAll(found, "\n", " "))
	}
	return nil
}

// checkLater checks the database in the background, after a process was killed.
func (s *Store) checkLater(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(10 * time.Second): // first what waits for an answer
	}
	err := quickCheck(ctx, s.read.db)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.check.Store(false)
	case isDamage(err):
		s.broke(fmt.Errorf("%w: %w", store.ErrBroken, err))
	case err != nil:
		s.logger.Warn("the database could not be checked after an unclean stop", slog.String("path", s.path), slog.Any("error", err))
	}
}

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Backup copies the database at path, which a process may be using, to file, as it
// is at one moment. The copy holds nothing of what was erased before. It refuses to
// write over a file.
func Backup(ctx context.Context, path, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s exists and is not overwritten: choose another name", file)
	}
	r, err := OpenReader(ctx, path)
	if err != nil {
		return err
	}
	defer r.Close()
	return put(file, func(part string) error {
		if _, err := r.db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
			if isFull(err) {
				return fmt.Errorf("there is no room for the backup on the disk of %s: free some, or choose another place", file)
			}
			return fmt.Errorf("the backup was not written: %w", err)
		}
		return nil
	})
}

// put makes a file that is there completely or not at all, and overwrites
// none. write fills an empty file of another name.
func put(file string, write func(part string) error) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("the folder of %s cannot be written to: %w; choose another place", file, err)
	}
	part := f.Name() // readable for this user only
	defer os.Remove(part)
	defer f.Close()
	giveTo(f, filepath.Dir(file))
	if err := write(part); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%s was not flushed to the disk: %w", file, err)
	}
	// A link, unlike a new name, fails if the file is there by now.
	err = os.Link(part, file)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		// There are no links here: the name is taken first.
		var taken *os.File
		if taken, err = os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			err = errors.Join(taken.Close(), os.Rename(part, file))
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is not overwritten: choose another name", file)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// Restored says what a restore has brought back.
type Restored struct {
	// Turns is how many turns the backup holds.
	Turns int
	// Interrupted is how many of them were running when the backup was made.
	// They are marked as failed, since nobody knows how they ended.
	Interrupted int
	// NotBefore is when the youngest of them was received; see
	// [store.Installation]. Zero if there are none.
	NotBefore time.Time
}

const reasonRestored = "interrupted: it was running when the backup was made, from which the database was restored"

// Restore makes the database of cfg (its Path, WaitLock and Force) from a backup. It
// refuses if there is one already, and what is no backup or damaged.
//
// What the backup does not hold is forgotten: a message that came after it and is
// pushed again would be handled again. WeChat does so for some fifteen seconds, and an
// attacker with a captured push can until its timestamp is refused as stale.
func Restore(ctx context.Context, file string, cfg Config) (res Restored, err error) {
	path, err := place(cfg.Path, cfg.Force)
	if err != nil {
		return res, err
	}
	lock, err := takeLock(ctx, path+lockSuffix, cfg.WaitLock)
	if err != nil {
		return res, err
	}
	defer lock.release()
	for _, name := range []string{path, path + "-wal", path + "-journal"} {
		// An empty one holds nothing; a program that looked into the database may have left it.
		if info, err := os.Lstat(name); err == nil && (name == path || info.Size() > 0) {
			return res, unusable("%s exists and is not overwritten: move it away together with what stands beside it (-wal, -shm, -journal), and restore again", name)
		}
	}
	source, err := os.Open(file)
	if err != nil {
		return res, unusable("the backup cannot be read: %w", err)
	}
	defer source.Close()
	err = put(path, func(part string) error {
		if err := copyTo(part, source); err != nil {
			return fmt.Errorf("the backup could not be copied: %w", err)
		}
		defer os.Remove(part + "-journal")
		res, err = prepare(ctx, part)
		return err
	})
	if err != nil {
		return res, err
	}
	for _, left := range []string{"-wal", "-shm", "-journal"} {
		_ = os.Remove(path + left)
	}
	return res, lock.write(true, false)
}

func copyTo(name string, source io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, source)
	return errors.Join(err, f.Sync(), f.Close())
}

// prepare checks the copy of a backup and makes of it the database that goes on.
func prepare(ctx context.Context, name string) (res Restored, err error) {
	db, err := sql.Open("sqlite", dsn(name, true))
	if err != nil {
		return res, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	// Not in WAL mode: the copy has to be one file.
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode(delete)").Scan(new(string)); err != nil {
		return res, damagedBackup(err)
	}
	if err := checkApplication(ctx, db); err != nil {
		return res, damagedBackup(err)
	}
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return res, damagedBackup(err)
	} else if found != "ok" {
		return res, damagedBackup(errors.New(found))
	}
	if err := migrate(ctx, db); err != nil {
		return res, damagedBackup(err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return res, err
	}
	defer tx.Rollback()
	var youngest int64
	err = tx.QueryRowContext(ctx, `SELECT count(*), coalesce(max(received_at), 0) FROM turn`).Scan(&res.Turns, &youngest)
	if err != nil {
		return res, err
	}
	// The clock may have been ahead.
	youngest = min(youngest, time.Now().UnixMilli())
	res.NotBefore = fromMillis(youngest)
	result, err := tx.ExecContext(ctx, `UPDATE turn SET state = 4, version = version + 1, reason = ?, finished_at = ? WHERE state = 1`, reasonRestored, time.Now().UnixMilli())
	if err != nil {
		return res, err
	}
	n, _ := result.RowsAffected()
	res.Interrupted = int(n)
	if _, err := tx.ExecContext(ctx, `UPDATE installation SET not_before = ?`, youngest); err != nil {
		return res, err
	}
	return res, tx.Commit()
}

func damagedBackup(err error) error {
	if errors.Is(err, ErrUnusable) {
		return err
	}
	return unusable("the backup is damaged or not one of Echostr's (%w): use another one", err)
}

package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/echostr/echostr/store"
)

// Summary says what a backup holds.
type Summary struct {
	Turns int `json:"turns"`
	// Youngest is when the youngest of them was received. Zero if there are none.
	Youngest time.Time `json:"youngest,omitzero"`
	Bytes    int64     `json:"bytes"`
	// SHA256 is the checksum of the file, in hexadecimal digits.
	SHA256 string `json:"sha256"`
}

// Backup copies the database at path, which a process may be using, to file, as it
// is at one moment. The copy holds nothing of what was erased before. It refuses to
// write over a file. The error wraps [ErrUnusable] if the database is damaged.
func Backup(ctx context.Context, path, file string) (sum Summary, err error) {
	if file, err = filepath.Abs(file); err != nil {
		return sum, err
	}
	if _, err := os.Lstat(file); err == nil {
		return sum, fmt.Errorf("%s exists and is not overwritten: choose another name", file)
	}
	r, err := OpenReader(ctx, path)
	if err != nil {
		return sum, err
	}
	defer r.Close()
	err = put(file, func(part string) error {
		if _, err := r.db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
			code := primary(err)
			switch {
			case isFull(err):
				return fmt.Errorf("there is no room for the backup on the disk of %s: free some, or choose another place", file)
			case code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
				return openError(r.path, err)
			}
			return fmt.Errorf("the backup of %s was not written: %w", r.path, err)
		}
		var err error
		sum, err = summarize(ctx, part)
		return err
	})
	return sum, err
}

// summarize reads a backup that nobody else knows of yet.
func summarize(ctx context.Context, name string) (sum Summary, err error) {
	db, err := sql.Open("sqlite", dsn(name, false)+"&immutable=1") // so that no other file is made
	if err != nil {
		return sum, err
	}
	defer db.Close()
	var youngest int64
	if err := db.QueryRowContext(ctx, `SELECT count(*), coalesce(max(received_at), 0) FROM turn`).Scan(&sum.Turns, &youngest); err != nil {
		return sum, fmt.Errorf("the backup cannot be read again: %w", err)
	}
	sum.Youngest = fromMillis(youngest)
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if sum.Bytes, err = io.Copy(h, f); err != nil {
		return sum, fmt.Errorf("the backup cannot be read again: %w", err)
	}
	sum.SHA256 = hex.EncodeToString(h.Sum(nil))
	return sum, nil
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
	Summary // of the backup
	// Interrupted is how many of them were running when the backup was made.
	// They are marked as failed, since nobody knows how they ended.
	Interrupted int
	// NotBefore is when the youngest of them was received; see
	// [store.Installation]. Zero if there are none.
	NotBefore time.Time
}

const reasonRestored = "interrupted: it was running when the backup was made, from which the database was restored"

// Restore makes the database of cfg (its Path, WaitLock and Force) from a backup. It
// refuses if there is one already, and what is no backup or damaged: the whole file is
// checked, and compared with the checksum that [Backup] has returned unless sum is empty.
//
// What the backup does not hold is forgotten: a message that came after it and is
// pushed again would be handled again. WeChat does so for some fifteen seconds, and an
// attacker with a captured push can until its timestamp is refused as stale. Answers that were
// about to be sent when the backup was made are not sent again: nobody knows whether they were
// (see [store.Assumed]). Tickets are kept.
func Restore(ctx context.Context, file, sum string, cfg Config) (res Restored, err error) {
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
		h := sha256.New()
		n, err := copyTo(part, io.TeeReader(source, h))
		switch {
		case noRoom(err):
			return unusable("there is no room on the disk of %s for the backup: free some, and restore again", path)
		case err != nil:
			return fmt.Errorf("the backup could not be copied: %w", err)
		}
		digest := hex.EncodeToString(h.Sum(nil))
		if sum != "" && !strings.EqualFold(sum, digest) {
			return unusable("%s is not the backup that was made, or has changed since: its SHA-256 is %s; use another one", file, digest)
		}
		defer os.Remove(part + "-journal")
		res, err = prepare(ctx, part)
		res.Bytes, res.SHA256 = n, digest
		switch {
		case errors.Is(err, ErrUnusable):
			return about(file, err)
		case err != nil:
			return openError(path, err)
		}
		return nil
	})
	if err != nil {
		return res, err
	}
	for _, left := range []string{"-wal", "-shm", "-journal"} {
		_ = os.Remove(path + left)
	}
	return res, lock.write(true, false)
}

func copyTo(name string, source io.Reader) (n int64, err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(f, source)
	return n, errors.Join(err, f.Sync(), f.Close())
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
	if _, err := checkApplication(ctx, db); err != nil {
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
	res.Youngest = fromMillis(youngest)
	// The clock may have been ahead.
	res.NotBefore = fromMillis(min(youngest, time.Now().UnixMilli()))
	result, err := tx.ExecContext(ctx, `UPDATE turn SET state = 4, version = version + 1, reason = ?, finished_at = ? WHERE state = 1`, reasonRestored, time.Now().UnixMilli())
	if err != nil {
		return res, err
	}
	n, _ := result.RowsAffected()
	res.Interrupted = int(n)
	// By now most of them have been sent by the process that went on.
	if _, err := tx.ExecContext(ctx, `UPDATE turn SET delivery = ?, due = 0, version = version + 1 WHERE due > 0 AND delivery IN (?, ?, ?, ?)`,
		store.Assumed, store.Undelivered, store.Offered, store.Late, store.Sending); err != nil {
		return res, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE installation SET not_before = ?`, millis(res.NotBefore)); err != nil {
		return res, err
	}
	return res, tx.Commit()
}

func damagedBackup(err error) error {
	if errors.Is(err, ErrUnusable) || isFull(err) || errors.Is(err, context.Canceled) {
		return err
	}
	return unusable("the backup is damaged or not one of Echostr's (%w): use another one", err)
}

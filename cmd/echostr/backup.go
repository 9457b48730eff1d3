package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/store/sqlite"
)

type backupCommand struct {
	File   string `arg:"" help:"The backup, which must not exist."`
	Config string `short:"c" default:"${default_config}" placeholder:"FILE" help:"The configuration (${default})."`
}

func (c *backupCommand) Help() string {
	return `Copies the database while the server runs, or while it does not. A plain copy of the file would not do: what was written last stands in another one beside it.

A backup holds what users have written, so it is readable for this user only (mode 0600). Who unsubscribes later stays in it: keep backups no longer than you may.`
}

func (c *backupCommand) Run(ctx context.Context, term *terminal) error {
	cfg, err := withDatabase(c.Config, term)
	if err != nil {
		return err
	}
	path := cfg.Database()
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("there is no database %s to be copied; start the server once, or name its configuration with -c FILE", path)
	}
	if err := sqlite.Backup(ctx, path, c.File); err != nil {
		return err
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(term.out, "%s is a copy of %s (%s). It holds what users have written: keep it safe (备份含用户内容，请妥善保管).\n", c.File, path, sizeText(info.Size()))
	return nil
}

type restoreCommand struct {
	File   string `arg:"" help:"The backup."`
	Config string `short:"c" default:"${default_config}" placeholder:"FILE" help:"The configuration (${default})."`
}

func (c *restoreCommand) Help() string {
	return `Makes a new database of a backup. The server must not run, and the old database must have been moved away, with the files beside it (-wal, -shm and -journal, those that are there): they are part of it, and nothing is overwritten.`
}

func (c *restoreCommand) Run(ctx context.Context, term *terminal) error {
	cfg, err := withDatabase(c.Config, term)
	if err != nil {
		return err
	}
	restored, err := sqlite.Restore(ctx, c.File, sqlite.Config{Path: cfg.Database(), Force: cfg.AllowNetworkFileSystem})
	if err != nil {
		return err
	}
	fmt.Fprintf(term.out, "%s holds the %s of %s again.\n", cfg.Database(), messages(restored.Turns), filepath.Base(c.File))
	if restored.Interrupted > 0 {
		fmt.Fprintf(term.out, "The handlers of %s were running when the backup was made. They are marked as failed (interrupted), since nobody knows how they ended.\n", messages(restored.Interrupted))
	}
	if restored.NotBefore.IsZero() {
		return nil
	}
	at := restored.NotBefore.Local().Format("2006-01-02 15:04:05")
	fmt.Fprintf(term.out, `
What came after %[1]s is not in it. What that means:
- Messages since then are not known any more. If WeChat, or somebody who has captured one, pushes
  one of them again before its timestamp is too old (freshness, 10 minutes at most), it is a new message and its handler runs again.
- Messages of before that are not in the backup are not started: nobody knows whether they were
  handled. Their pushes get success (not_before is %[1]s).
- Users who unsubscribed or were erased since then are in it again: run echostr erase for them.
`, at)
	return nil
}

// sizeText is a size as people write it.
func sizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", (n+1023)/1024)
}

// withDatabase loads a configuration whose store is a database.
func withDatabase(path string, term *terminal) (*config.Config, error) {
	cfg, _, err := loadConfig(path, term.env)
	if err != nil {
		return nil, err
	}
	if cfg.Database() == "" {
		return nil, fmt.Errorf("%w: the store of this configuration is memory:, which has no file; only sqlite: can be backed up", server.ErrConfig)
	}
	return cfg, nil
}

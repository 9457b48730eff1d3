package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/store/sqlite"
)

type backupCommand struct {
	File   string `arg:"" help:"The backup, which must not exist."`
	Config string `short:"c" default:"${default_config}" placeholder:"FILE" help:"The configuration (${default})."`
	JSON   bool   `name:"json" help:"Print JSON."`

	databaseOf
}

func (c *backupCommand) Help() string {
	return `Copies the database while the server runs, or while it does not. A plain copy of the file would not do: what was written last stands in another one beside it.

A backup holds what users have written, so it is readable for this user only (mode 0600). Who unsubscribes later stays in it: keep backups no longer than you may.

It prints how many messages the backup holds, and its SHA-256: that of sha256sum, for echostr restore --sha256.

Exit codes: 0 done, 1 failed, for example because the file exists or there is no room, 2 wrong command line, 78 wrong configuration, or a database that cannot be used, for example because it is damaged.`
}

func (c *backupCommand) Run(ctx context.Context, term *terminal) error {
	cfg, err := c.withDatabase(c.Config, term)
	if err != nil {
		return err
	}
	path := cfg.Database()
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("there is no database %s to be copied; start the server once, or name its configuration with -c FILE", path)
	}
	sum, err := sqlite.Backup(ctx, path, c.File)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.out, struct {
			File string `json:"file"`
			sqlite.Summary
		}{c.File, sum})
	}
	fmt.Fprintf(term.out, "%s is a copy of %s (%s%s). It holds what users have written: keep it safe (备份含用户内容，请妥善保管).\nSHA-256 %s\n",
		c.File, path, sizeText(sum.Bytes), content(sum), sum.SHA256)
	return nil
}

// content says what a backup holds.
func content(sum sqlite.Summary) string {
	if sum.Turns == 0 {
		return ", no messages"
	}
	return fmt.Sprintf(", %s, the youngest of %s", messages(sum.Turns), sum.Youngest.Local().Format("2006-01-02 15:04:05"))
}

type restoreCommand struct {
	File   string `arg:"" help:"The backup."`
	SHA256 string `name:"sha256" placeholder:"HEX" help:"Refuse a backup that has not this checksum, which echostr backup has printed."`
	Config string `short:"c" default:"${default_config}" placeholder:"FILE" help:"The configuration (${default})."`

	databaseOf
}

func (c *restoreCommand) Help() string {
	return `Makes a new database of a backup. The server must not run, and the old database must have been moved away, with the files beside it (-wal, -shm and -journal, those that are there): they are part of it, and nothing is overwritten.

The whole backup is checked before it is taken (SQLite's integrity_check). That does not see a letter that was changed in a message; --sha256 does. Who runs this as root need not change owners: what is made belongs to whom the folder belongs.

Exit codes: 0 done, 1 failed, 2 wrong command line, 78 wrong configuration, a backup that cannot be used, or a database that is there already or in use. Nothing is overwritten in any case.`
}

func (c *restoreCommand) Run(ctx context.Context, term *terminal) error {
	if sum, err := hex.DecodeString(c.SHA256); err != nil || len(sum) != 0 && len(sum) != sha256.Size {
		return usage("--sha256 has 64 hexadecimal digits, as `echostr backup` and sha256sum print them")
	}
	cfg, err := c.withDatabase(c.Config, term)
	if err != nil {
		return err
	}
	restored, err := sqlite.Restore(ctx, c.File, c.SHA256, sqlite.Config{Path: cfg.Database(), Force: cfg.AllowNetworkFileSystem})
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

// databaseOf says which database is meant, if accounts have databases of their own.
type databaseOf struct {
	Account string `placeholder:"NAME" help:"The database of this account, if accounts have databases of their own."`
}

// withDatabase loads a configuration, and returns its part whose store is the database that is meant.
func (c *databaseOf) withDatabase(path string, term *terminal) (*config.Config, error) {
	cfg, _, err := loadConfig(path, term.env)
	if err != nil {
		return nil, err
	}
	if c.Account != "" {
		if err := server.UnknownAccount(cfg, c.Account); err != nil {
			return nil, err
		}
	}
	parts := cfg.ByStore()
	if len(parts) > 1 && c.Account == "" {
		var all []string
		for _, part := range parts {
			all = append(all, accountNames(part))
		}
		return nil, usage("this configuration has %d databases, of the accounts %s; say which one is meant with --account NAME, and run this for each", len(parts), strings.Join(all, " | "))
	}
	for _, part := range parts {
		if c.Account == "" || server.UnknownAccount(part, c.Account) == nil {
			cfg = part
		}
	}
	switch {
	case cfg.Postgres() != "":
		return nil, fmt.Errorf("%w: the store of this configuration is a PostgreSQL database; back it up with pg_dump, or as its server is backed up, and restore it with pg_restore, as \"Several nodes\" in docs/configuration.md says", server.ErrConfig)
	case cfg.Database() == "":
		return nil, fmt.Errorf("%w: the store of this configuration is memory:, which has no file; only sqlite: can be backed up", server.ErrConfig)
	}
	return cfg, nil
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
	"github.com/echostr/echostr/store/sqlite"
)

// nodeID names the process among those that share the store. On a database of its
// own it always has the same name, so that each start replaces the node of
// the last one, which is dead: the lock of the file proves it.
func (s *Server) nodeID() string {
	if s.janitor != nil {
		return "echostr"
	}
	return "" // a random one
}

// openStore opens the store that the configuration names. It waits for another
// process to release a database until the deadline.
func (s *Server) openStore(deadline time.Time) error {
	if s.cfg.Database() == "" {
		s.store = memory.New(memory.Config{})
		s.logger.Info("messages are kept in memory: 20 minutes, and no longer than this process runs")
		if time.Duration(s.cfg.Retention.Bodies) != defaultRetention {
			s.logger.Warn("retention.bodies has no effect with the store memory:, which keeps nothing for longer than 20 minutes")
		}
		return nil
	}
	db, err := openDatabase(context.Background(), s.cfg, sqlite.Config{
		WaitLock: max(0, time.Until(deadline)),
		Logger:   s.logger,
		Fatal:    s.die,
	})
	if err != nil {
		return err
	}
	s.store = db
	s.janitor = newJanitor(db, time.Duration(s.cfg.Retention.Bodies), s.logger)
	return nil
}

const defaultRetention = 30 * 24 * time.Hour

// openDatabase opens the database of a configuration, with the settings of with.
func openDatabase(ctx context.Context, cfg *config.Config, with sqlite.Config) (*sqlite.Store, error) {
	with.Path, with.Force = cfg.Database(), cfg.AllowNetworkFileSystem
	db, err := sqlite.Open(ctx, with)
	switch {
	case errors.Is(err, sqlite.ErrUnusable):
		return nil, unusableError{err}
	case errors.Is(err, store.ErrBroken):
		return nil, fmt.Errorf("%w: %w", ErrFatal, err)
	case err != nil:
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return db, nil
}

// callbackStore is the store as the callback sees it.
func (s *Server) callbackStore() store.Store {
	if s.janitor == nil {
		return s.store
	}
	return watched{s.store, s.janitor}
}

// watched tells the janitor of every erasure: the callback erases by itself when a
// user unsubscribes.
type watched struct {
	store.Store
	janitor *janitor
}

func (w watched) Erase(ctx context.Context, account, openID string, until store.Key) (int, error) {
	n, err := w.Store.Erase(ctx, account, openID, until)
	if n > 0 || err != nil { // then nobody knows
		w.janitor.note()
	}
	return n, err
}

// die has Run end with ErrFatal. Of several reasons the first one counts.
func (s *Server) die(err error) {
	select {
	case s.fatal <- err:
	default:
		s.logger.Error("another reason why the process cannot go on", slog.Any("error", err))
	}
}

// unusableError is the ErrConfig of a database that cannot be used. What is wrong need not
// be the configuration, so that is not said.
type unusableError struct{ error }

func (e unusableError) Unwrap() []error { return []error{ErrConfig, e.error} }

// CheckStore says what is wrong with the place that a configuration names for its
// database, without making the file or changing it. The error wraps [ErrConfig].
func CheckStore(ctx context.Context, cfg *Config) error {
	path := cfg.Database()
	if path == "" {
		return nil
	}
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return unusableError{fmt.Errorf("store: the folder %s for the database does not exist; make it, or choose another path", dir)}
	case err != nil:
		return unusableError{fmt.Errorf("store: the folder of the database: %w; choose another path", err)}
	case !info.IsDir():
		return unusableError{fmt.Errorf("store: %s is not a folder; choose another path for the database", dir)}
	}
	probe, err := os.CreateTemp(dir, ".echostr-check-*")
	if err != nil {
		return unusableError{fmt.Errorf("store: this user may not write into %s; make this user its owner, or choose another path", dir)}
	}
	probe.Close()
	os.Remove(probe.Name())
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := OpenArchive(ctx, path)
	if err != nil {
		return unusableError{err}
	}
	return db.Close()
}

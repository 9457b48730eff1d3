package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
	"github.com/echostr/echostr/store/postgres"
	"github.com/echostr/echostr/store/sqlite"
)

// nodeID names the process among those that share the store. On a database of its
// own it always has the same name, so that each start replaces the node of
// the last one, which is dead: the lock of the file proves it.
func (p *part) nodeID() string {
	if p.cfg.Database() != "" {
		return "echostr"
	}
	return "node-" + strings.ToLower(rand.Text()[:12])
}

// openStore opens the store that the configuration names. It waits for another
// process to release a database until the deadline.
func (p *part) openStore(deadline time.Time) error {
	s := p.server
	if dsn := p.cfg.Postgres(); dsn != "" {
		db, err := postgres.Open(context.Background(), postgres.Config{DSN: dsn, Logger: s.logger})
		if err != nil {
			return openError(err)
		}
		p.store = db
		p.janitor = newJanitor(db, time.Duration(s.cfg.Retention.Bodies), s.logger)
		return nil
	}
	if p.cfg.Database() == "" {
		p.store = memory.New(memory.Config{})
		p.janitor = newJanitor(p.store, time.Duration(s.cfg.Retention.Bodies), s.logger)
		s.logger.Info("messages are kept in memory: 20 minutes, and no longer than this process runs")
		if time.Duration(s.cfg.Retention.Bodies) != defaultRetention {
			s.logger.Warn("retention.bodies has no effect with the store memory:, which keeps nothing for longer than 20 minutes")
		}
		return nil
	}
	db, err := openDatabase(context.Background(), p.cfg, sqlite.Config{
		WaitLock: max(0, time.Until(deadline)),
		Logger:   s.logger,
		Fatal:    s.die,
	})
	if err != nil {
		return err
	}
	p.store = db
	p.janitor = newJanitor(db, time.Duration(s.cfg.Retention.Bodies), s.logger)
	return nil
}

const defaultRetention = 30 * 24 * time.Hour

// openDatabase opens the database of a configuration, with the settings of with.
func openDatabase(ctx context.Context, cfg *config.Config, with sqlite.Config) (*sqlite.Store, error) {
	with.Path, with.Force = cfg.Database(), cfg.AllowNetworkFileSystem
	db, err := sqlite.Open(ctx, with)
	if err != nil {
		return nil, openError(err)
	}
	return db, nil
}

// maxUserMessages is the limit as the callback has it, for which 0 is the default.
func maxUserMessages(n config.Count) int {
	if n == 0 {
		return -1
	}
	return int(n)
}

// openError says by the kind of an error about a database what becomes of the process:
// ErrConfig only if no restart helps.
func openError(err error) error {
	switch {
	case err == nil, errors.Is(err, store.ErrUnavailable):
		return err
	case errors.Is(err, store.ErrBroken):
		return fmt.Errorf("%w: %w", ErrFatal, err)
	case errors.Is(err, sqlite.ErrUnusable), errors.Is(err, postgres.ErrUnusable):
		return unusableError{err}
	}
	return fmt.Errorf("open the store: %w", err)
}

// joinStore makes the callback, which joins the store.
func (p *part) joinStore() (err error) {
	s := p.server
	p.node = p.nodeID()
	p.callback, err = callback.New(callback.Config{
		Accounts:        p.accounts(),
		Store:           p.callbackStore(),
		NodeID:          p.node,
		MaxWaiting:      int(s.cfg.Limits.MaxWaiting),
		MaxRunning:      int(s.cfg.Limits.MaxRunning),
		MaxUserMessages: maxUserMessages(s.cfg.Limits.MaxUserMessages),
		Retention:       time.Duration(s.cfg.Retention.Bodies),
		Logger:          s.logger,
		Fatal:           s.die,
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrBroken):
		return fmt.Errorf("%w: %w", ErrFatal, err)
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrClosed):
		return err // the next start may succeed
	}
	return fmt.Errorf("%w: %w", ErrConfig, err)
}

// callbackStore is the store as the callback sees it.
func (p *part) callbackStore() store.Store {
	return watched{p.store, p.janitor}
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

// CheckStore says what is wrong with the places that a configuration names for its
// databases, without making a file or changing anything. The error wraps [ErrConfig], unless the
// server of the database cannot be reached now.
func CheckStore(cfg *Config) error {
	parts := cfg.ByStore()
	for _, part := range parts {
		if err := checkStore(part); err != nil && len(parts) > 1 {
			return fmt.Errorf("%s: %w", part.Store, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func checkStore(cfg *Config) error {
	if dsn := cfg.Postgres(); dsn != "" {
		return openError(postgres.Check(context.Background(), postgres.Config{DSN: dsn, Logger: slog.New(slog.DiscardHandler)}))
	}
	if cfg.Database() == "" {
		return nil
	}
	return openError(sqlite.Check(cfg.Database(), cfg.AllowNetworkFileSystem))
}

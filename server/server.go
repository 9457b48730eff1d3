// Package server puts everything together: it is what `echostr serve` runs,
// and what a Go program embeds that wants more than an http.Handler.
//
//	cfg, err := server.Load("echostr.yaml", os.Environ())
//	...
//	srv, err := server.New(cfg, &server.Options{Handler: bot})
//	...
//	err = srv.Run(ctx) // until ctx ends, then drains
//
// # Listeners
//
// WeChat's pushes arrive at one listener and nothing else does: /wx/{account},
// and 404 for every other path. It is limited against slow and greedy clients
// (S11): 3 s for the header, 8 KiB of it, 30 s without a request, 16,384
// connections, 1,024 of them from one address (a /64 in IPv6). Loopback and
// trusted_proxies are never limited.
//
// The operator has a listener of his own, on loopback unless configured
// otherwise. Without a token it answers
//
//	GET /healthz    200 as long as the process runs
//	GET /readyz     200 if pushes can be accepted, else 503 with the reason; 503 while it drains
//	GET /metrics    the metrics below, for Prometheus
//
// and with the header "Authorization: Bearer" and the token of the token file
//
//	GET /api/v1/turns          turns, youngest first: [TurnList]; account=, user=, state= (repeatable), since=, limit=
//	GET /api/v1/turns/{key}    one turn with its body and reply: [Turn]
//	GET /api/v1/stats          the numbers behind the metrics
//	GET /api/v1/refusals       the last refused pushes with the reason and what to do: [RefusalList]
//
// Requests that name another host than this one are refused, so that a web page
// cannot reach it by DNS rebinding; [Client] asks these questions.
//
// # Metrics
//
// Counters, unless "gauge" is said. The label account is the name of a configured
// account, reason one of the fixed list of package callback.
//
//	echostr_pushes_total                        verified pushes, retries included
//	echostr_push_retries_total                  pushes of a message that was known
//	echostr_push_replays_total                  pushes that came too late to be retries
//	echostr_pushes_held_total                   pushes left open beyond their window
//	echostr_pushes_aborted_total                pushes that outlived WeChat's cut
//	echostr_pushes_refused_total{account,reason}
//	echostr_answers_total{answer}               reply, fallback or success
//	echostr_handler_starts_total
//	echostr_handler_panics_total
//	echostr_url_checks_total                    verified GETs
//	echostr_bare_gets_total                     GETs without any parameter of WeChat's
//	echostr_empty_bodies_total                  verified pushes without a body
//	echostr_unknown_paths_total                 requests for no account
//	echostr_other_methods_total                 neither GET nor POST
//	echostr_connections_refused_total           connections beyond the limits
//	echostr_store_errors_total                  failed calls of the store
//	echostr_store_saves_total                   commits that somebody waited for
//	echostr_store_save_seconds_total            what they took together
//	echostr_pushes_open                         gauge: open pushes
//	echostr_handlers_running                    gauge: handlers within their time
//	echostr_handlers_abandoned                  gauge: handlers that hang beyond it
//	echostr_ready                               gauge: 1 if pushes can be accepted
//	echostr_build_info{version}                 gauge: 1
//
// beside those of the Go runtime and the process (go_*, process_*).
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
)

// Config is the content of echostr.yaml, checked and with defaults filled in.
type Config = config.Config

// Load reads the file at path, the environment over it (env as os.Environ
// returns it), and the files with secrets. An empty path means that there is no
// file. The error has one line for everything that is wrong.
func Load(path string, env []string) (*Config, error) { return config.Load(path, env) }

// Errors that a caller decides by.
var (
	// ErrConfig: the configuration cannot work. `echostr serve` exits with 78.
	ErrConfig = errors.New("the configuration is wrong")
	// ErrFatal: the process cannot go on and should be restarted. `echostr
	// serve` exits with 70.
	ErrFatal = errors.New("the server cannot go on")
)

// Options are what does not stand in the configuration. Zero fields mean the
// defaults.
type Options struct {
	// Handler answers the messages of all accounts, whatever bot they name in
	// the configuration. If it is nil each account has its bot, or no answer.
	Handler echostr.Handler
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Listener and AdminListener are used instead of listening at the
	// configured addresses. The Server closes them.
	Listener, AdminListener net.Listener
	// NextPort takes the next free port when a configured one is busy.
	NextPort bool
	// TokenFile is the file with the token of the API. It is made if it is not
	// there. Defaults to the file that [TokenFile] names for a configuration in
	// the working directory; with a file from elsewhere give TokenFile(cfg, path),
	// so that `echostr turn -c path` finds it.
	TokenFile string
	// Version is shown in the metrics. Defaults to "unknown".
	Version string
	// DrainTime is how long a Server that was told to stop goes on with what it
	// has accepted. Defaults to 9 s, so that a process ends within 10 s.
	DrainTime time.Duration
}

// Server is a callback server with its store and its two listeners. Make one
// with [New] and call Run once.
type Server struct {
	cfg      *Config
	opts     Options
	logger   *slog.Logger
	store    store.Store
	callback *callback.Server
	token    string

	listener      net.Listener
	limited       *limitedListener
	adminListener net.Listener

	fatal    chan error
	draining atomic.Bool
}

// New opens the listeners and the store, and checks everything that can be
// checked. Connections wait until Run is called, which also releases everything:
// call it even if ctx has ended.
//
// The error wraps [ErrConfig] if no restart will help.
func New(cfg *Config, opts *Options) (_ *Server, err error) {
	s := &Server{cfg: cfg, fatal: make(chan error, 1)}
	if opts != nil {
		s.opts = *opts
	}
	if s.logger = s.opts.Logger; s.logger == nil {
		s.logger = slog.Default()
	}
	if s.opts.DrainTime <= 0 {
		s.opts.DrainTime = 9 * time.Second
	}
	if s.opts.Version == "" {
		s.opts.Version = "unknown"
	}
	if err := cfg.Validate(time.Now()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for _, w := range cfg.Warnings {
		if s.opts.Handler != nil && strings.HasSuffix(w.Path, ".bot") {
			continue // none is needed
		}
		s.logger.Warn("doubtful configuration", slog.String("what", w.Error()))
	}
	if err := s.loadToken(); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.listener.Close()
			s.adminListener.Close()
		}
	}()
	if err := s.openStore(); err != nil {
		return nil, err
	}
	s.callback, err = callback.New(callback.Config{
		Accounts: s.accounts(),
		Store:    s.store,
		Logger:   s.logger,
		Fatal:    func(err error) { s.fatal <- err },
	})
	if err != nil {
		s.store.Close()
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return s, nil
}

func (s *Server) openStore() error {
	switch s.cfg.Store {
	case "memory:":
		s.store = memory.New(memory.Config{})
		s.logger.Info("messages are kept in memory: 20 minutes, and no longer than this process runs")
		if time.Duration(s.cfg.Retention.Bodies) != defaultRetention {
			s.logger.Warn("retention.bodies has no effect with the store memory:, which keeps nothing for longer than 20 minutes")
		}
		return nil
	}
	return fmt.Errorf("%w: there is no such store; leave the key store out", ErrConfig)
}

const defaultRetention = 30 * 24 * time.Hour

// Addr returns the address that WeChat's pushes arrive at.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// AdminAddr returns the address of the operator's listener.
func (s *Server) AdminAddr() net.Addr { return s.adminListener.Addr() }

// Callback returns the http.Handler that WeChat talks to.
func (s *Server) Callback() *callback.Server { return s.callback }

// Limits of the listener for pushes: S11.
const (
	headerTime     = 3 * time.Second
	idleTime       = 30 * time.Second
	maxHeader      = 8 << 10
	maxConnections = 16_384
	maxPerAddress  = 1_024
)

// Run serves until ctx ends or the process cannot go on. Then it drains: it goes
// on until the messages under way have been answered, since that may take
// another push of WeChat's, then accepts no connection any more, finishes the
// pushes that are open, all of it for DrainTime at most, and closes the store. It
// must be called once.
//
// The error wraps [ErrFatal] if the process should be restarted, and else says
// what failed. It is nil after a stop that was asked for.
func (s *Server) Run(ctx context.Context) error {
	errorLog := slog.NewLogLogger(newSparing(s.logger.Handler()), slog.LevelWarn)
	pushes := &http.Server{
		Handler:           s.callback,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog,
		// No WriteTimeout: a held push is answered after many seconds, and
		// the callback ends each of them itself.
	}
	admin := &http.Server{
		Handler:           s.admin(),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog,
	}
	failed := make(chan error, 2)
	go func() { failed <- pushes.Serve(s.limited) }()
	go func() { failed <- admin.Serve(s.adminListener) }()

	var err error
	select {
	case <-ctx.Done():
		s.logger.Info("told to stop, draining", slog.Duration("at_most", s.opts.DrainTime))
	case fatal := <-s.fatal:
		err = fmt.Errorf("%w: %w", ErrFatal, fatal)
		s.logger.Error("the process should be restarted, draining", slog.Any("error", fatal))
	case err = <-failed:
		s.logger.Error("a listener has failed, draining", slog.Any("error", err))
	}
	return errors.Join(err, s.drain(pushes, admin))
}

// drain ends everything. What is not finished in time is no error: WeChat
// pushes it again, or a store that outlives the process has it.
func (s *Server) drain(pushes, admin *http.Server) error {
	s.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.DrainTime)
	defer cancel()
	settling, settled := context.WithTimeout(ctx, s.opts.DrainTime*9/10)
	if err := s.callback.Settle(settling); err != nil {
		s.logger.Warn("messages were still under way when the time to drain was nearly over", slog.Any("error", err))
	}
	settled()
	if err := pushes.Shutdown(ctx); err != nil {
		pushes.Close()
		s.logger.Warn("pushes were still open when the time to drain was over", slog.Any("error", err))
	}
	if err := s.callback.Shutdown(ctx); err != nil {
		s.logger.Warn("handlers were still running when the time to drain was over", slog.Any("error", err))
	}
	admin.Close() // last, so that /readyz says 503 as long as it drains
	if err := s.store.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	s.logger.Info("drained")
	return nil
}

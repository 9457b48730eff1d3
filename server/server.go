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
//	GET /readyz     200 if pushes can be accepted, else 503 with the reason; 503 while it drains. With
//	                several databases 200 as long as one can be used, and the text names the accounts of the others
//	GET /metrics    the metrics below, for Prometheus
//
// and with the header "Authorization: Bearer" and the token of the token file
//
//	GET /api/v1/turns          turns, youngest first: [TurnList]; account=, user=, state= and delivery= (repeatable), since=, until=, limit=,
//	                           due=true for answers that wait to be sent or fetched
//	GET /api/v1/turns/{key}    one turn with its body and reply: [Turn]; 8 digits of the key or more
//	POST /api/v1/outbox/{key}/retry  send an answer now, whatever became of it before: [Turn], as it is then
//	POST /api/v1/outbox/{key}/drop   give an answer up that waits: likewise; 409 if there is nothing to be done
//	POST /api/v1/erase         erase what a user has sent, {"openid": "...", "account": "..."}: [Erasure]
//	GET /api/v1/stats          the numbers behind the metrics
//	GET /api/v1/refusals       the last refused pushes with the reason and what to do: [RefusalList]
//	GET /api/v1/token/{account}  with serve_token: true, the access_token of an account for other services,
//	                           {"access_token": "...", "expires_in": seconds}; it is renewed before its end, so ask
//	                           for it whenever it is needed
//
// Requests that name another host than this one are refused, so that a web page
// cannot reach it by DNS rebinding; [Client] asks these questions.
//
// # Storage
//
// Turns are kept in a SQLite database (store: sqlite:./echostr.db) that one process
// has at a time, in a PostgreSQL database that any number of processes share (postgres://…), or in
// memory (memory:). Accounts may be spread over several; each of them has the
// limits to itself, and what is asked about turns is asked of all. Every hour the server removes from the database what
// is older than retention.bodies, the rows that say that there was
// a message after the longer of that and 7 days, and what handlers have remembered of a user
// (echostr.Session) 30 days after his last message, or as long as retention.bodies if that is shorter. Answers
// that wait to be sent or fetched stay until
// they do not. What was erased, because a user
// has unsubscribed or by request, is gone from the database file and its
// write-ahead log within a minute, or an hour if the file is large (many GB).
// [Archive] and [EraseOffline] work without a server.
//
// # WeChat's API
//
// An account with an AppSecret has a wxapi.Client. If it is verified as well, its late answers go out by
// it, from the outbox of package callback: what the error of a call means for the message is decided
// here, by WeChat's errcode. A refusal that only the account's owner can change (AppSecret, whitelist)
// is logged as an error, and keeps the account's messages back for ten minutes.
//
// # Metrics
//
// Counters, unless "gauge" or "histogram" is said. The label account is the name of a
// configured account, reason one of the fixed list of package callback.
//
//	echostr_pushes_total                        verified pushes, retries included
//	echostr_push_retries_total                  pushes of a message that was known
//	echostr_push_replays_total                  pushes that came too late to be retries
//	echostr_pushes_held_total                   pushes left open beyond their window
//	echostr_pushes_aborted_total                pushes that outlived WeChat's cut
//	echostr_push_deadline_misses_total          pushes neither finished within 4.6 s nor held for their retry (P5)
//	echostr_pushes_refused_total{account,reason}
//	echostr_pushes_hold_denied_total            pushes that were not held for their retry, since hold_budget was spent or no retries come
//	echostr_pushes_without_retry_total          held pushes after which WeChat did not push again
//	echostr_answers_total{answer,way}           reply, fallback, success or placeholder; on the first push of the message (push),
//	                                            on a later one (retry), or not on a push (late)
//	echostr_tickets_total                       answers that were promised, or kept, for the user to fetch
//	echostr_ticket_fetches_total                messages of users that fetched an answer
//	echostr_answers_undeliverable_total         answers that no way was left for
//	echostr_outbox_sends_total{fate}            messages that the API was asked to send: done, later, refused, gone or unknown
//	echostr_outbox_waiting                      gauge: answers that the API is to send
//	echostr_outbox_oldest_seconds               gauge: how long the oldest of them has been ready
//	echostr_answer_age_seconds                  histogram: from the first push of a message until its reply was written to a push
//	echostr_answer_ambiguous_total              answers of which nobody knows whether they arrived: a process died, or the API did not say (P4)
//	echostr_handler_starts_total
//	echostr_handler_panics_total
//	echostr_handler_errors_total                handlers that returned an error, or a reply that WeChat would not take
//	echostr_handler_timeouts_total              handlers that took longer than their time
//	echostr_messages_quarantined_total          messages given up because the process died in every attempt (P2)
//	echostr_messages_interrupted_total          messages given up because the process died and their account has once
//	echostr_messages_flood_total                messages that were kept and not handled, because their users flood
//	echostr_handler_seconds                     histogram: how long handlers ran
//	echostr_url_checks_total                    verified GETs
//	echostr_bare_gets_total                     GETs without any parameter of WeChat's
//	echostr_empty_bodies_total                  verified pushes without a body
//	echostr_unknown_paths_total                 requests for no account
//	echostr_other_methods_total                 neither GET nor POST
//	echostr_connections_refused_total           connections beyond the limits
//	echostr_store_errors_total                  failed calls of the store
//	echostr_store_save_seconds                  histogram: how long pushes and results waited for the store
//	echostr_pushes_open                         gauge: open pushes
//	echostr_pushes_held_now                     gauge: those beyond their window
//	echostr_handlers_running                    gauge: handlers within their time
//	echostr_handlers_abandoned                  gauge: handlers that hang beyond it
//	echostr_ready                               gauge: 1 if pushes of all accounts can be accepted
//	echostr_build_info{version}                 gauge: 1
//
// for every account with an app_secret
//
//	echostr_api_calls_total{account}            calls of WeChat's API, those of tokens not counted
//	echostr_api_calls_failed_total{account,outcome}  those of them that were refused, not_sent, or unknown: nobody knows
//	                                            whether WeChat has carried them out
//	echostr_api_refusals_total{account,code}    refusals by WeChat's errcode; 0 stands for codes that are not known
//	echostr_api_paused{account}                 gauge: 1 while calls are kept back, since only the owner of the account can
//	                                            change why they are refused (AppSecret, whitelist, rights)
//	echostr_token_fetches_total{account}        how often WeChat was asked for an access token
//	echostr_token_fetch_errors_total{account}   how often in vain
//	echostr_token_conflicts_total{account}      tokens that died early again: another program fetches tokens, too
//
// and with a database, or several together
//
//	echostr_store_commits_total                 transactions of turns
//	echostr_store_rows_total                    turns written in them
//	echostr_store_commit_seconds                histogram: how long they took
//	echostr_store_group_size                    histogram: turns in one of them
//	echostr_store_free_bytes                    gauge: room left on the disk (the fullest one), if that is known
//	echostr_store_file_bytes                    gauge: size of the database
//	echostr_store_wal_bytes                     gauge: size of its write-ahead log
//	echostr_store_full                          gauge: 1 if no message is accepted because the disk is full
//
// beside those of the Go runtime and the process (go_*, process_*). The folder deploy of the
// repository has a dashboard for Grafana and alerts for Prometheus.
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
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/wxapi"
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
	// Inherited says that the socket of Listener stays open elsewhere, such as in
	// the service manager (see Inherit), so that another process will accept what this
	// one does not. Told to stop, the Server then accepts nothing any more,
	// finishes what is under way, for 4.5 s at most, and releases the store.
	Inherited bool
	// WaitLock is how long New waits for another process to release the database
	// and the configured addresses. Connections to a Listener that is open wait
	// meanwhile. Zero: what is in use is an error at once.
	WaitLock time.Duration
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

	transport http.RoundTripper // to WeChat's API; tests have it in memory
}

// Server is a callback server with its store and its two listeners. Make one
// with [New] and call Run once.
type Server struct {
	cfg     *Config
	opts    Options
	logger  *slog.Logger
	parts   []*part
	clients map[string]*wxapi.Client // of WeChat's API, by the names of their accounts
	token   string

	stopJanitors func()

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
// The error wraps [ErrConfig] if no restart will help, and [ErrFatal] if the disk has
// failed. Any other, such as of a port in use or a database that is locked, may be gone
// at the next start.
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
	if err := s.makeParts(); err != nil {
		return nil, err
	}
	if err := s.loadToken(); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(s.opts.WaitLock)
	if err := s.listen(deadline); err != nil {
		return nil, s.explain(err)
	}
	defer func() {
		if err != nil {
			s.listener.Close()
			s.adminListener.Close()
		}
	}()
	if err := s.openParts(deadline); err != nil {
		return nil, err
	}
	return s, nil
}

// Addr returns the address that WeChat's pushes arrive at.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// AdminAddr returns the address of the operator's listener.
func (s *Server) AdminAddr() net.Addr { return s.adminListener.Addr() }

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
// With an inherited listener it accepts nothing from the beginning, since another
// process does (see Options.Inherited). If the storage is broken it
// ends at once: nothing could be answered.
//
// The error wraps [ErrFatal] if the process should be restarted, and else says
// what failed. It is nil after a stop that was asked for.
func (s *Server) Run(ctx context.Context) error {
	errorLog := slog.NewLogLogger(newSparing(s.logger.Handler()), slog.LevelWarn)
	pushes := &http.Server{
		Handler:           s.callback(),
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
	open := track(pushes)
	go func() {
		defer close(open.complete)
		failed <- pushes.Serve(s.limited)
	}()
	go func() { failed <- admin.Serve(s.adminListener) }()

	s.startJanitors()

	var err error
	select {
	case <-ctx.Done():
		s.logger.Info("told to stop, draining", slog.Duration("at_most", s.drainTime()))
	case fatal := <-s.fatal:
		err = fmt.Errorf("%w: %w", ErrFatal, fatal)
		s.logger.Error("the process should be restarted, draining", slog.Any("error", fatal))
	case err = <-failed:
		s.logger.Error("a listener has failed, draining", slog.Any("error", err))
	}
	return errors.Join(err, s.drain(pushes, open, admin, err))
}

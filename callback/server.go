package callback

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/memory"
	"github.com/echostr/echostr/wxcrypt"
)

// PathPrefix is what stands before the account's name in the URL of its pushes.
const PathPrefix = "/wx/"

// Server is the http.Handler that WeChat talks to. It is safe for concurrent
// use. Make one with [New].
type Server struct {
	cfg      Config
	accounts map[string]*account
	keyer    *store.Keyer
	clock    wallClock
	refusals refusals
	flights  flights
	workers  workers
	marks    marks
	orphans  orphans
	outbox   outbox
	users    users
	floods   floods
	timers   sync.Pool // of pushes
	stats    counters

	ctx      context.Context // ends with Shutdown; the parent of all handlers
	stop     context.CancelCauseFunc
	storeCtx context.Context // never ends: what is decided is written
	settling atomic.Int32    // calls of Settle
	closing  chan struct{}   // closed when Shutdown begins
	once     sync.Once
	fatal    sync.Once
	node     membership

	guard     guard     // the store
	notBefore time.Time // of the store: what is older and not in it is not started
	shared    bool      // the store, with other processes: see [store.Installation]
}

// account is one account, ready for use. Accounts share no state.
type account struct {
	Account
	ring     *wxcrypt.Keyring
	policy   turn.Policy
	clock    agreement
	bindings *bindings // nil if the signature covers the body
	router   matcher   // nil if the handler cannot say how it wants to be run
	patience patience
	breaker  breaker
	outbox   lateQueue
}

// matcher is what a Router offers beside Handle.
type matcher interface {
	Match(echostr.Message) *echostr.Route
}

// New checks cfg and returns a Server that has joined the store as a node. The
// Server runs until Shutdown.
func New(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = defaultMaxWaiting
	}
	if cfg.MaxRunning <= 0 {
		cfg.MaxRunning = defaultMaxRunning
	}
	if cfg.MaxUserMessages == 0 {
		cfg.MaxUserMessages = defaultMaxUserMessages
	}
	if cfg.Retention <= 0 {
		cfg.Retention = defaultRetention
	}
	if cfg.Store == nil {
		cfg.Store = memory.New(memory.Config{}) // by a clock that does not jump
	}
	if cfg.NodeID == "" {
		cfg.NodeID = "node-" + strings.ToLower(rand.Text()[:12])
	}
	if len(cfg.Accounts) == 0 {
		return nil, errors.New("callback: there is no account: give at least one in Config.Accounts")
	}
	s := &Server{
		cfg:      cfg,
		accounts: make(map[string]*account, len(cfg.Accounts)),
		clock:    wallClock{read: cfg.Now},
		refusals: refusals{logger: cfg.Logger, accounts: make(map[string]*[numReasons]tally)},
		closing:  make(chan struct{}),
	}
	s.flights.init(s)
	s.marks.s = s
	s.outbox.init(s)
	s.stats.init()
	appIDs := make(map[string]string)
	for i := range cfg.Accounts {
		a := &account{Account: cfg.Accounts[i]}
		if err := a.check(&cfg); err != nil {
			return nil, fmt.Errorf("callback: account %d (%s): %w", i, a.Name, err)
		}
		if s.accounts[a.Name] != nil {
			return nil, fmt.Errorf("callback: two accounts are called %s: give each a name of its own, since it stands in the URL", a.Name)
		}
		if other, ok := appIDs[a.AppID]; ok && a.AppID != "" {
			return nil, fmt.Errorf("callback: the accounts %s and %s have the same AppID: one account has one URL", other, a.Name)
		}
		appIDs[a.AppID] = a.Name
		var err error
		if a.ring, err = a.keyring(); err != nil {
			return nil, fmt.Errorf("callback: account %d (%s): %w", i, a.Name, err)
		}
		a.policy = a.Account.policy(&cfg)
		if a.Mode == Plain {
			a.bindings = &bindings{window: 2 * a.Freshness}
		}
		a.router, _ = a.Handler.(matcher)
		a.patience.init(s, a)
		s.accounts[a.Name] = a
	}
	inst, err := cfg.Store.Installation(context.Background())
	if err != nil {
		return nil, fmt.Errorf("callback: read what belongs to the store as a whole: %w", err)
	}
	s.keyer, s.notBefore, s.shared = store.NewKeyer(inst.Salt), inst.NotBefore, inst.Shared
	s.guard.Store, s.guard.shared, s.guard.broke = cfg.Store, s.shared, s.broke
	s.cfg.Store = &s.guard
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	s.storeCtx = context.WithoutCancel(s.ctx)
	if err := s.node.join(s); err != nil {
		s.stop(nil)
		return nil, fmt.Errorf("callback: join the store as a node: %w", err)
	}
	go s.watchHandlers()
	go s.outbox.run()
	return s, nil
}

// match asks the router for the route of m, if there is one. Conditions are code of the
// user's, and run in the goroutine that drives the turn: one that panics matches
// nothing here, and again where the handler runs.
func (a *account) match(m echostr.Message) (route *echostr.Route) {
	defer func() {
		if recover() != nil {
			route = nil
		}
	}()
	return a.router.Match(m)
}

// identity is what the account's messages are keyed by: the AppID, or the
// name of an account that has none.
func (a *account) identity() string {
	if a.AppID != "" {
		return a.AppID
	}
	return a.Name
}

var (
	plainText = []string{"text/plain; charset=utf-8"}
	xmlType   = []string{"application/xml; charset=utf-8"}
	nosniff   = []string{"nosniff"}
	noContent = []string{"default-src 'none'"}
)

// ServeHTTP answers one request of WeChat: GET verifies the URL, POST pushes a
// message. Whatever is wrong with a request, the body of the answer is empty:
// R-ORDER-ANSWERS.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entered := time.Now()
	limitBody(w, r, entered)
	name, ok := strings.CutPrefix(r.URL.Path, PathPrefix)
	a := s.accounts[name]
	if !ok || a == nil || r.URL.RawPath != "" {
		s.stats.unknownPath.Add(1)
		s.astray(r)
		w.WriteHeader(http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodPost:
		if p := s.take(w, r, a, entered); p != nil {
			s.await(w, r, p)
		}
	case http.MethodGet:
		s.verifyURL(w, r, a)
	default:
		s.stats.otherMethod.Add(1)
		w.Header().Set("Allow", "GET, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// refuse answers 403 and keeps the reason for the operator.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, a *account, why Reason, detail string) {
	s.refusals.noteFrom(r, s.clock.now(), a.Name, why, detail)
	w.WriteHeader(http.StatusForbidden)
}

// astray keeps for the operator that a request came to the path of no account which looks
// like one of WeChat's: its console has another URL than it should. Scanners look otherwise.
func (s *Server) astray(r *http.Request) {
	q, ok := parseQuery(r.URL.RawQuery)
	if ok && q.signature != "" && q.timestamp != "" && q.nonce != "" {
		path := r.URL.EscapedPath() // printable
		s.refusals.noteFrom(r, s.clock.now(), "", UnknownPath, "path "+path[:min(len(path), 100)])
	}
}

// Settle waits until the messages that are under way now have been answered,
// or ctx ends. Requests should still come in meanwhile: a push that is held
// can only be answered on WeChat's next one. New messages are accepted, and not
// waited for.
func (s *Server) Settle(ctx context.Context) error {
	s.settling.Add(1)
	defer s.settling.Add(-1)
	return s.flights.settle(ctx)
}

// isEnding reports whether Settle or Shutdown has begun.
func (s *Server) isEnding() bool {
	select {
	case <-s.closing:
		return true
	default:
		return s.settling.Load() > 0
	}
}

// Shutdown ends the Server: it waits until the handlers that run have stored
// their results, at most until ctx ends, and then cancels those left, whose
// messages another process starts again. If the store is broken it waits for nothing. Shut the http.Server down first, so that
// no push comes in.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(func() { close(s.closing) })
	err := s.flights.wait(ctx)
	s.stop(errShutdown)
	s.workers.stop()
	if failed := s.node.leave(ctx); failed != nil {
		err = errors.Join(err, fmt.Errorf("this node could not say that it ends, so others take its messages over up to 15 s later: %w", failed))
	}
	return err
}

var errShutdown = errors.New("the server is shutting down")

// die reports once that the process cannot go on.
func (s *Server) die(err error) {
	s.fatal.Do(func() {
		if s.cfg.Fatal != nil {
			go s.cfg.Fatal(err)
			return
		}
		s.cfg.Logger.Error("the process should be restarted", slog.Any(keyError, err))
	})
}

// broke ends everything when the store is broken: handlers are cancelled, since
// their results cannot be stored, and open pushes stay unanswered until WeChat
// closes them and asks the process that comes next.
func (s *Server) broke(err error) {
	s.die(brokenError(err))
	s.stop(brokenError(err))
}

func brokenError(err error) error {
	return fmt.Errorf("the store is broken, and only a restart of the process can tell what is in it: %w", err)
}

// Refusals returns the last refused requests by account, reason and minute,
// youngest first.
func (s *Server) Refusals() []Refusal { return s.refusals.list() }

// Ready reports whether the Server can accept messages: nil, or what is wrong.
func (s *Server) Ready(ctx context.Context) error {
	select {
	case <-s.closing:
		return errShutdown
	default:
	}
	if err := s.guard.err(); err != nil {
		return brokenError(err)
	}
	alive, err := s.cfg.Store.Alive(ctx, s.node.self())
	switch {
	case err != nil:
		return fmt.Errorf("the store does not answer: %w", err)
	case !alive:
		return errors.New("the node has lost its lease on the store and is joining again")
	}
	if err := s.guard.accepts(); err != nil {
		return fmt.Errorf("the store does not take what is received: %w", err)
	}
	return nil
}

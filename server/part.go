package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
	"github.com/echostr/echostr/wxapi"
)

// part is one store with the accounts that are kept in it. Nothing but the listeners and the reasons to
// end the process is shared by the parts of a Server, so what is wrong with one database does not
// concern the accounts of another.
type part struct {
	server   *Server
	cfg      *Config // with these accounts and this store only
	node     string
	store    store.Store
	janitor  *janitor
	callback *callback.Server
}

// makeParts makes the parts, which have no stores yet, and their clients of WeChat's API.
func (s *Server) makeParts() error {
	s.clients = make(map[string]*wxapi.Client)
	for _, cfg := range s.cfg.ByStore() {
		p := &part{server: s, cfg: cfg}
		s.parts = append(s.parts, p)
		if err := p.makeClients(); err != nil {
			return err
		}
	}
	return nil
}

// openParts opens all stores and joins them. If one fails it releases them all.
func (s *Server) openParts(deadline time.Time) (err error) {
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nothing was accepted
		for _, p := range s.parts {
			if p.callback != nil {
				_ = p.callback.Shutdown(ctx)
			}
			if p.store != nil {
				p.store.Close()
			}
		}
	}()
	for _, p := range s.parts {
		if err := p.openStore(deadline); err != nil {
			return p.about(err)
		}
	}
	for i, p := range s.parts {
		if err := p.joinStore(); err != nil {
			return p.about(err)
		}
		for _, other := range s.parts[i+1:] {
			if err := p.distinct(other); err != nil {
				return err
			}
		}
	}
	return nil
}

// about says of which database an error is, if there are several.
func (p *part) about(err error) error {
	if err == nil || len(p.server.parts) == 1 {
		return err
	}
	return fmt.Errorf("%s (store of %s): %w", p.cfg.Store, p.accountNames(), err)
}

func (p *part) accountNames() string {
	names := make([]string, len(p.cfg.Accounts))
	for i := range names {
		names[i] = p.cfg.Accounts[i].Name
	}
	return strings.Join(names, ", ")
}

// distinct refuses the database of p under another address: who knows the node that has just joined it
// is the same one.
func (p *part) distinct(other *part) error {
	if p.cfg.Postgres() == "" || other.cfg.Postgres() == "" {
		return nil // the names of files have been compared, and a file has a lock
	}
	same, err := other.store.Alive(context.Background(), store.Node{ID: p.node, Epoch: 1})
	switch {
	case err != nil:
		return other.about(err)
	case same:
		return fmt.Errorf("%w: the store of %s and that of %s are the same database under two addresses; write the same address for both", ErrConfig, p.accountNames(), other.accountNames())
	}
	return nil
}

// callback is the handler of WeChat's requests: it leads each to the part that has its account.
func (s *Server) callback() http.Handler {
	if len(s.parts) == 1 {
		return s.parts[0].callback
	}
	byPath := make(map[string]http.Handler)
	for _, p := range s.parts {
		for i := range p.cfg.Accounts {
			byPath[callback.PathPrefix+p.cfg.Accounts[i].Name] = p.callback
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := byPath[r.URL.Path]
		if h == nil {
			h = s.parts[0].callback // which counts what goes astray
		}
		h.ServeHTTP(w, r)
	})
}

// eachPart does something with all parts at once and joins the errors.
func (s *Server) eachPart(do func(*part) error) error {
	errs := make([]error, len(s.parts))
	var all sync.WaitGroup
	for i, p := range s.parts {
		all.Go(func() { errs[i] = p.about(do(p)) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (s *Server) settle(ctx context.Context) error {
	return s.eachPart(func(p *part) error { return p.callback.Settle(ctx) })
}

func (s *Server) shutdown(ctx context.Context) error {
	return s.eachPart(func(p *part) error { return p.callback.Shutdown(ctx) })
}

func (s *Server) closeStores() error {
	return s.eachPart(func(p *part) error { return p.store.Close() })
}

// readers are the stores, for questions about turns.
func (s *Server) readers() []reader {
	list := make([]reader, len(s.parts))
	for i, p := range s.parts {
		list[i] = p.store
	}
	return list
}

// refusals are those of all parts, youngest first.
func (s *Server) refusals() (list []callback.Refusal) {
	for _, p := range s.parts {
		list = append(list, p.callback.Refusals()...)
	}
	slices.SortStableFunc(list, func(a, b callback.Refusal) int { return b.First.Compare(a.First) })
	return list
}

// eraseUser erases what a user has sent, through the callbacks, which also know what is under way.
// An account that has moved to another store may have left something in the one before.
func (s *Server) eraseUser(ctx context.Context, account, openID string) (done Erasure, err error) {
	for _, p := range s.parts {
		n, failed := p.callback.Erase(ctx, account, openID)
		done.Turns += n
		err = errors.Join(err, p.about(failed))
	}
	return done, err
}

// ready says what is wrong with each part: nothing, if all is well.
func (p *part) ready(ctx context.Context) error {
	if db, ok := p.store.(*sqlite.Store); ok && db.Full() {
		return errors.New("the disk of the database is full, so no new message is accepted: free some room")
	}
	return p.callback.Ready(ctx)
}

// ready reports whether pushes can be accepted: those of which accounts cannot, and those of none.
func (s *Server) ready(ctx context.Context) (some, all error) {
	if s.draining.Load() {
		err := errors.New("the server is draining")
		return err, err
	}
	var mu sync.Mutex
	able := false
	all = s.eachPart(func(p *part) error {
		err := p.ready(ctx)
		mu.Lock()
		defer mu.Unlock()
		able = able || err == nil
		return err
	})
	if !able {
		some = all
	}
	return some, all
}

// startJanitors has the janitors work until stopJanitors.
func (s *Server) startJanitors() {
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for _, p := range s.parts {
		working.Go(func() { p.janitor.run(ctx) })
	}
	s.stopJanitors = func() {
		cancel()
		working.Wait()
	}
}

package callback

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/internal/turn"
	"github.com/echostr/echostr/store"
)

// membership is this process as a node of the store: it renews the lease, and looks
// for turns that dead nodes have left behind.
type membership struct {
	s       *Server
	node    atomic.Pointer[store.Node]
	left    chan struct{}
	stopped chan struct{}

	joining sync.Mutex

	mu      sync.Mutex
	orphans map[store.Key]*account // claims of unknown outcome
	trouble time.Time              // when the store's failing was last logged
}

func (m *membership) self() store.Node { return *m.node.Load() }

func (m *membership) join(s *Server) error {
	m.s, m.left, m.stopped = s, make(chan struct{}), make(chan struct{})
	m.orphans = make(map[store.Key]*account)
	n, err := s.cfg.Store.Join(context.Background(), s.cfg.NodeID)
	if err != nil {
		return err
	}
	m.node.Store(&n)
	go m.run()
	return nil
}

// leave ends the membership, so that other nodes need not wait for the lease.
func (m *membership) leave(ctx context.Context) error {
	m.mu.Lock()
	select {
	case <-m.left:
	default:
		close(m.left)
	}
	m.mu.Unlock()
	<-m.stopped
	err := m.s.cfg.Store.Leave(context.WithoutCancel(ctx), m.self()) // also, and above all, when time is up
	if errors.Is(err, store.ErrClosed) {
		return nil
	}
	return err
}

func (m *membership) run() {
	defer close(m.stopped)
	tick := time.NewTicker(store.Lease / 3)
	defer tick.Stop()
	renewed := time.Now()
	var lost store.Node // the epoch that was given up, whatever is left of its lease
	for {
		m.sweep()
		select {
		case <-m.left:
			return
		case <-tick.C:
		}
		if self := m.self(); self != lost {
			err := m.s.cfg.Store.Renew(m.s.ctx, self)
			if err == nil {
				renewed = time.Now()
				continue
			}
			m.troubled(err)
			// Before another node may take over: P3.
			if errors.Is(err, store.ErrFenced) || time.Since(renewed) >= store.Lease-store.Lease/3 {
				lost = self
			}
		}
		if m.self() == lost && m.rejoin(lost) == nil {
			renewed = time.Now()
		}
	}
}

// rejoin begins a new epoch after lost. The handlers of lost are cancelled at once,
// and started again under the new one. Whoever comes first does it, for all.
func (m *membership) rejoin(lost store.Node) error {
	m.joining.Lock()
	defer m.joining.Unlock()
	if m.self() != lost {
		return nil
	}
	m.fence()
	n, err := m.s.cfg.Store.Join(m.s.ctx, m.s.cfg.NodeID)
	if err != nil {
		m.troubled(err)
		return err
	}
	m.node.Store(&n)
	m.s.cfg.Logger.Error("the node had lost its lease on the store and has joined again; its handlers were cancelled", slog.String(keyNode, n.ID))
	return nil
}

// fence cancels all handlers: their results may not be stored any more.
func (m *membership) fence() {
	for _, f := range m.s.flights.all() {
		f.mu.Lock()
		if f.handler != nil {
			f.handler.cancel()
		}
		f.mu.Unlock()
	}
}

// sweep finds turns whose owner is dead, and claims of this node that it knows
// nothing about. Their flights read the row and decide.
func (m *membership) sweep() {
	ctx := m.s.ctx
	look := func(a *account, key store.Key) {
		m.s.flights.get(a, key, &job{reload: true, ev: turn.Event{Kind: turn.Changed}})
	}
	m.mu.Lock()
	orphans := m.orphans
	m.orphans = make(map[store.Key]*account)
	m.mu.Unlock()
	for key, a := range orphans {
		look(a, key)
	}
	rows, err := m.s.cfg.Store.List(ctx, store.Filter{States: []store.State{store.Running}, NotOwner: m.self()})
	if err != nil {
		m.troubled(err)
		return
	}
	alive := make(map[store.Node]bool)
	for i := range rows {
		owner := rows[i].Owner
		if _, asked := alive[owner]; !asked {
			if alive[owner], err = m.s.cfg.Store.Alive(ctx, owner); err != nil {
				m.troubled(err)
				return
			}
		}
		if a := m.s.accounts[rows[i].Account]; a != nil && !alive[owner] {
			look(a, rows[i].Key)
		}
	}
}

// orphan remembers a claim of unknown outcome for the next sweep.
func (m *membership) orphan(a *account, key store.Key) {
	m.mu.Lock()
	m.orphans[key] = a
	m.mu.Unlock()
}

// troubled logs that the store fails, once a minute.
func (m *membership) troubled(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	m.mu.Lock()
	quiet := time.Since(m.trouble) < time.Minute
	if !quiet {
		m.trouble = time.Now()
	}
	m.mu.Unlock()
	if !quiet {
		m.s.cfg.Logger.Error("the store fails; pushes are held and nothing is acknowledged until it is back", slog.Any(keyError, err))
	}
}

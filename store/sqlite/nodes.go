package sqlite

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/echostr/echostr/store"
)

// nodes are the leases of this process's nodes. They need not be in the file:
// the lock says that no other process has it, so a node that has not joined
// since the file was opened is dead. Only the epochs are, so that none comes
// twice.
type nodes struct {
	now func() time.Time

	mu     sync.Mutex
	leases map[string]lease
}

type lease struct {
	epoch int64
	until time.Time
}

func (n *nodes) alive(node store.Node) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, ok := n.leases[node.ID]
	return ok && l.epoch == node.Epoch && n.now().Before(l.until)
}

// renew begins the lease of a node anew if it runs.
func (n *nodes) renew(node store.Node) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, ok := n.leases[node.ID]
	if !ok || l.epoch != node.Epoch || !n.now().Before(l.until) {
		return false
	}
	n.leases[node.ID] = lease{node.Epoch, n.now().Add(store.Lease)}
	return true
}

// set begins or ends the lease of a node.
func (n *nodes) set(node store.Node, alive bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := lease{epoch: node.Epoch}
	if alive {
		l.until = n.now().Add(store.Lease)
	}
	if n.leases[node.ID].epoch <= node.Epoch {
		n.leases[node.ID] = l
	}
}

// Join implements [store.Store].
func (s *Store) Join(ctx context.Context, id string) (store.Node, error) {
	node := store.Node{ID: id}
	err := s.writer.submit(ctx, alone, nil, func() error {
		n, err := s.writer.numbers(`INSERT INTO node (id, epoch) VALUES (?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch`, id)
		node.Epoch = n[0]
		return err
	})
	if err != nil {
		return store.Node{}, err
	}
	s.nodes.set(node, true)
	return node, nil
}

// Renew implements [store.Store].
func (s *Store) Renew(_ context.Context, n store.Node) error {
	if err := s.err(); err != nil {
		return err
	}
	if !s.nodes.renew(n) {
		return fmt.Errorf("%w: %s, epoch %d", store.ErrFenced, n.ID, n.Epoch)
	}
	return nil
}

// Leave implements [store.Store].
func (s *Store) Leave(_ context.Context, n store.Node) error {
	s.nodes.set(n, false)
	return nil
}

// Alive implements [store.Store].
func (s *Store) Alive(_ context.Context, n store.Node) (bool, error) {
	if err := s.err(); err != nil {
		return false, err
	}
	return s.nodes.alive(n), nil
}

// Departed implements [store.Store].
func (s *Store) Departed(context.Context) ([]store.Node, error) { return nil, s.err() }

// Owners implements [store.Store].
func (s *Store) Owners(ctx context.Context) (owners []store.Node, err error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	err = s.read.query(ctx, func(next scanner) error {
		var n store.Node
		if err := next(&n.ID, &n.Epoch); err != nil {
			return err
		}
		owners = append(owners, n)
		return nil
	}, `SELECT DISTINCT owner, epoch FROM turn WHERE state = 1`)
	return owners, s.fault(err)
}

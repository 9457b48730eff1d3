package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/echostr/echostr/store"
)

// lease is the end of a lease that begins now, by the clock of the server.
const lease = `clock_timestamp() + make_interval(secs => `

// Join implements [store.Store].
func (s *Store) Join(ctx context.Context, id string) (store.Node, error) {
	node := store.Node{ID: id}
	err := s.call(ctx, true, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `INSERT INTO node (id, epoch, until) VALUES ($1, 1, `+lease+`$2))
			ON CONFLICT (id) DO UPDATE SET epoch = node.epoch + 1, until = excluded.until RETURNING epoch`, []byte(id), store.Lease.Seconds()).Scan(&node.Epoch)
	})
	if err != nil {
		return store.Node{}, err
	}
	return node, nil
}

// Renew implements [store.Store].
func (s *Store) Renew(ctx context.Context, n store.Node) error {
	return s.call(ctx, true, func(ctx context.Context) error {
		done, err := s.pool.Exec(ctx, `UPDATE node SET until = `+lease+`$3) WHERE id = $1 AND epoch = $2 AND until > clock_timestamp()`, []byte(n.ID), n.Epoch, store.Lease.Seconds())
		if err == nil && done.RowsAffected() == 0 {
			err = fmt.Errorf("%w: %s, epoch %d", store.ErrFenced, n.ID, n.Epoch)
		}
		return err
	})
}

// Leave implements [store.Store].
func (s *Store) Leave(ctx context.Context, n store.Node) error {
	return s.call(ctx, true, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `UPDATE node SET until = least(until, clock_timestamp()) WHERE id = $1 AND epoch = $2`, []byte(n.ID), n.Epoch)
		return err
	})
}

// Owners implements [store.Store].
func (s *Store) Owners(ctx context.Context) (owners []store.Node, err error) {
	err = s.call(ctx, true, func(ctx context.Context) error {
		found, err := s.nodes(ctx, selectOwners)
		owners = slices.Collect(maps.Keys(found))
		return err
	})
	return owners, err
}

// Departed implements [store.Store].
func (s *Store) Departed(ctx context.Context) (departed []store.Node, err error) {
	err = s.call(ctx, true, func(ctx context.Context) error {
		found, err := s.nodes(ctx, `SELECT id, epoch FROM node WHERE until <= clock_timestamp() AND until > clock_timestamp() - make_interval(secs => $1)`, store.RecentlyDeparted.Seconds())
		departed = slices.Collect(maps.Keys(found))
		return err
	})
	return departed, err
}

const selectOwners = `SELECT DISTINCT owner, epoch FROM turn WHERE state = 1`

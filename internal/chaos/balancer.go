package chaos

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// route is where the pushes of one message have gone.
type route struct {
	first int // node

	mu    sync.Mutex
	nodes []int // from 1, by the push; 0 if nobody took the connection
}

func (r *route) add(node int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes = append(r.nodes, node)
}

// node is where the nth push went.
func (r *route) node(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < len(r.nodes) {
		return r.nodes[n]
	}
	return 0
}

type routeKey struct{}

// balancer stands before the nodes of a site, as one that asks /readyz: each push of a message goes to the next node that
// is ready, or to any that takes the connection.
type balancer struct {
	nodes []*node
	ready [nodesOfSite]atomic.Bool
}

// askEvery is how often the balancer asks a node whether it is ready.
const askEvery = 500 * time.Millisecond

// watch asks the nodes, until ctx ends.
func (b *balancer) watch(ctx context.Context) {
	for {
		for i, n := range b.nodes {
			b.ready[i].Store(n.isReady(ctx))
		}
		if pause(ctx, askEvery) != nil {
			return
		}
	}
}

func (b *balancer) dial(ctx context.Context, network, _ string) (conn net.Conn, err error) {
	to, ok := ctx.Value(routeKey{}).(*route)
	if !ok {
		to = new(route)
	}
	to.mu.Lock()
	first := to.first + len(to.nodes)
	to.mu.Unlock()
	for _, ready := range []bool{true, false} {
		for i := range b.nodes {
			n := (first + i) % len(b.nodes)
			if b.ready[n].Load() != ready {
				continue
			}
			if conn, err = dialFromAnywhere(ctx, network, b.nodes[n].addr); err == nil {
				to.add(b.nodes[n].number)
				return conn, nil
			}
		}
	}
	to.add(0)
	return nil, err
}

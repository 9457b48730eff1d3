package callback

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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
	first   int64       // its epoch when this process joined first
	fenced  atomic.Bool // its lease may end before it has learnt of that
	left    chan struct{}
	stopped chan struct{}

	joining sync.Mutex
	inVain  time.Time // when joining again last failed; guarded by joining

	// What confirm knows: what was received before, answers that dead nodes have offered have been seen to; who was
	// dead then; and when that was.
	before    time.Time
	departed  map[store.Node]bool
	confirmed time.Time // monotonic; zero: not yet
	latest    time.Time // when the latest turn was received before the start; zero: that is seen to

	mu      sync.Mutex
	doubt   time.Time     // until when a claim may still come to light whose outcome nobody has learnt
	missed  []unconfirmed // those that could not be read
	trouble time.Time     // when the store last failed
	logged  time.Time     // when that was last logged
	outage  time.Time     // when what was logged began; zero: the store is back
}

func (m *membership) self() store.Node { return *m.node.Load() }

// holds reports whether what is marked as an epoch's may still be begun. Whoever begins it asks after the
// mark is stored, and after it can be cancelled by fence.
func (m *membership) holds(n store.Node) bool { return !m.fenced.Load() && n == m.self() }

func (m *membership) join(s *Server) error {
	m.s, m.left, m.stopped = s, make(chan struct{}), make(chan struct{})
	n, err := s.cfg.Store.Join(context.Background(), s.cfg.NodeID)
	if err != nil {
		return err
	}
	m.first = n.Epoch
	m.node.Store(&n)
	// Before anything is received here, since what was in flight when another process
	// died is among the youngest.
	last, err := s.cfg.Store.List(context.Background(), store.Filter{Limit: 1})
	if err != nil {
		return errors.Join(err, s.cfg.Store.Leave(context.Background(), n))
	}
	m.before = s.clock.now()
	if len(last) > 0 && last[0].ReceivedAt.Before(m.before) { // else the clock was ahead
		m.before = last[0].ReceivedAt
	}
	m.latest, m.before = m.before, m.before.Add(-flightTime)
	go func() {
		defer close(m.stopped)
		var both sync.WaitGroup
		both.Go(m.renew)
		both.Go(m.tend)
		both.Wait()
	}()
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

// tend looks for what other nodes have left behind. It keeps renew from nothing, since the store may take its time.
func (m *membership) tend() {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-m.left:
			return
		case <-m.s.ctx.Done():
			return
		case <-next.C:
		}
		next.Reset(store.Lease / 3)
		if !m.sweep() {
			next.Reset(store.Lease / 30) // soon again
		}
	}
}

// renew renews the lease, and joins again when it could not.
func (m *membership) renew() {
	// Handlers are cancelled before another node may take over, whatever a call of
	// the store takes: P3.
	const fenceAfter = store.Lease - store.Lease/3
	expired := make(chan store.Node, 1)
	fence := time.AfterFunc(fenceAfter, func() {
		m.fence()
		select {
		case expired <- m.self(): // whose handlers some of those may have been by now
		default:
		}
	})
	defer fence.Stop()
	next := time.NewTimer(store.Lease / 3)
	defer next.Stop()
	var lost store.Node // the epoch that was given up, whatever is left of its lease
	for {
		select {
		case <-m.left:
			return
		case <-m.s.ctx.Done(): // broken, or about to leave
			return
		case <-next.C:
		case lost = <-expired:
		}
		next.Reset(store.Lease / 30) // soon again, unless it works
		began := time.Now()
		var err error
		if self := m.self(); self != lost {
			if err = m.s.cfg.Store.Renew(m.s.ctx, self); err != nil {
				m.troubled(err)
				if errors.Is(err, store.ErrFenced) {
					lost = self
				}
			}
		}
		if m.self() == lost {
			err = m.rejoin(lost)
		}
		if err == nil {
			fence.Reset(time.Until(began.Add(fenceAfter)))
			next.Reset(store.Lease / 3)
			if !m.recovered() {
				next.Reset(calm)
			}
		}
	}
}

// rejoin begins a new epoch after lost. The handlers of lost are cancelled at once,
// and started again under the new one. Whoever comes first does it, for all who wait meanwhile, also if it
// is in vain: the store may take its time to say so.
func (m *membership) rejoin(lost store.Node) error {
	m.joining.Lock()
	defer m.joining.Unlock()
	switch {
	case m.self() != lost:
		return nil
	case time.Since(m.inVain) < firstPause:
		return errLease
	}
	m.fence()
	n, err := m.s.cfg.Store.Join(m.s.ctx, m.s.cfg.NodeID)
	if err != nil {
		m.inVain = time.Now()
		m.troubled(err)
		return err
	}
	m.node.Store(&n)
	m.fenced.Store(false)
	for _, f := range m.s.flights.all() {
		f.post(turn.Event{Kind: turn.OwnerLost, Lost: lost})
	}
	m.s.cfg.Logger.Warn("the store, or this process, stood still for so long that the node's lease on the store ran out; it has a new one, handlers that were running start again (with once: true they end as interrupted), and no accepted message is lost",
		slog.String(keyNode, n.ID))
	return nil
}

// fence cancels all handlers: their results may not be stored any more. None begins until the
// node has joined again.
func (m *membership) fence() {
	m.fenced.Store(true)
	for _, f := range m.s.flights.all() {
		f.mu.Lock()
		if f.handler != nil {
			f.handler.cancel()
		}
		f.mu.Unlock()
	}
}

// sweep finds turns whose owner is dead, and, if the outcome of a claim was
// not learnt, turns of this node that it knows nothing about. Their flights read
// the row and decide. It reports whether it could look.
//
// A server that is about to end takes nothing over: it would soon be cancelled again, and that attempt counts.
func (m *membership) sweep() bool {
	if m.s.isEnding() {
		return true
	}
	own := m.isInDoubt()
	err := m.look(own)
	switch {
	case err == nil:
		err = m.confirm()
	case own:
		m.doubts()
	}
	if err != nil {
		m.troubled(err)
	}
	return err == nil
}

// longestCommit is how long after the store was given a claim it may still carry that out, though nobody waits any more: a
// COMMIT that waits for a disk or a replica has no limit.
const longestCommit = time.Minute

// doubts says that the outcome of a claim of this node is not known.
func (m *membership) doubts() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doubt = time.Now().Add(longestCommit)
}

func (m *membership) isInDoubt() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.doubt)
}

// sweepLimit is how many turns of one owner a sweep takes over; the next one goes on.
const sweepLimit = 10_000

func (m *membership) look(own bool) error {
	st, ctx, self := m.s.cfg.Store, m.s.ctx, m.self()
	owners, err := st.Owners(ctx)
	if err != nil {
		return err
	}
	taken := 0
	for _, owner := range owners {
		if owner == self && !own {
			continue
		}
		if owner != self {
			if alive, err := st.Alive(ctx, owner); err != nil {
				return err
			} else if alive {
				continue
			}
		}
		rows, err := st.List(ctx, store.Filter{States: []store.State{store.Running}, Owner: owner, Limit: sweepLimit})
		if err != nil {
			return err
		}
		for i := range rows {
			a := m.s.accounts[rows[i].Account]
			if a == nil || owner == self && m.s.flights.has(rows[i].Key) {
				continue // of an account that is not configured any more, or under way here
			}
			taken++
			m.s.flights.get(a, rows[i].Key, &job{reload: true, ev: turn.Event{Kind: turn.Changed}})
		}
	}
	if taken > 0 {
		m.s.cfg.Logger.Warn("a process has ended and left messages behind that were not finished; they are taken over", slog.Int("messages", taken))
	}
	return nil
}

// flightTime is how long before the latest turn that a dead process has received
// others may have been received whose answers were on their way when it died.
const flightTime = time.Minute

// longAgo is how long before the latest turn a process looks once, when its start is over, since that is much to read. The
// one before may have got a message after an outage and died before it has looked itself; then the latest turn says
// nothing of when the one before that died.
const longAgo = 10 * time.Minute

// unconfirmed is a turn whose answer a node has offered to a push without having said whether it was written.
type unconfirmed struct {
	account *account
	key     store.Key
	owner   store.Node
}

// confirm looks for answers that a dead node had offered to a push without having said whether they were written. Their
// flights decide, or see to it that the store says when that is due, as long as retries may come: P4.
//
// It looks in the beginning, since this process may be the next of one that has died, and when a node is seen to have died.
func (m *membership) confirm() error {
	began := time.Now()
	departed, err := m.s.cfg.Store.Departed(m.s.ctx)
	if err != nil {
		return err
	}
	// Others may have died and be named no longer, if the store could not be asked for so long.
	look := m.confirmed.IsZero() || began.Sub(m.confirmed) > store.RecentlyDeparted/2
	dead := make(map[store.Node]bool, len(departed))
	again := !m.confirmed.IsZero() && !m.latest.IsZero()
	if again {
		look, m.before = true, m.latest.Add(-longAgo)
	}
	for _, n := range departed {
		dead[n], look = true, look || !m.departed[n]
	}
	m.mu.Lock()
	found := m.missed
	m.missed = nil
	m.mu.Unlock()
	if look {
		more, err := m.unconfirmed()
		if err != nil {
			m.miss(found...)
			return err
		}
		found = append(found, more...)
	}
	// The oldest first, since this process may not live for long either, and the next one looks at what is young.
	for _, u := range slices.Backward(found) {
		m.s.flights.get(u.account, u.key, &job{reload: true, ev: turn.Event{Kind: turn.Unconfirmed, Lost: u.owner}})
	}
	// Whoever seems to live may have died up to a lease ago.
	const margin = time.Minute // between two clocks
	m.before = m.s.clock.now().Add(-store.Lease - flightTime - margin)
	if m.confirmed, m.departed = began, dead; again {
		m.latest = time.Time{}
	}
	return nil
}

// miss has the next confirm see to what could not be read.
func (m *membership) miss(u ...unconfirmed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.missed = append(m.missed, u...)
}

// unconfirmed returns what dead nodes have left, the youngest first. It looks back to m.before, and further as long as
// it finds some: each of several processes that died one after the other may have had no time to see to all.
func (m *membership) unconfirmed() (found []unconfirmed, err error) {
	alive := m.alive()
	f := store.Filter{States: []store.State{store.Answered}, Deliveries: []store.Delivery{store.Offered}, Since: m.before, Limit: store.DefaultLimit}
	for since := f.Since; ; {
		rows, err := m.s.cfg.Store.List(m.s.ctx, f)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			row := &rows[i]
			a := m.s.accounts[row.Account]
			if a == nil || m.isPostponed(a, row) {
				continue
			}
			if lives, err := alive(row.Owner); err != nil {
				return nil, err
			} else if lives {
				continue
			}
			found = append(found, unconfirmed{a, row.Key, row.Owner})
			if before := row.ReceivedAt.Add(-flightTime); before.Before(since) {
				since = before
			}
		}
		switch {
		case len(rows) == f.Limit:
			const resolution = time.Millisecond // of ReceivedAt
			if next := rows[len(rows)-1].ReceivedAt.Add(resolution); f.Until.IsZero() || next.Before(f.Until) {
				f.Until, f.Limit = next, store.DefaultLimit // those of that moment are seen twice
			} else {
				f.Limit *= 2 // all were received at the same moment
			}
		case since.Before(f.Since):
			f.Since, f.Until = since, f.Since
		default:
			return found, nil
		}
	}
}

// alive returns a function for one look at many rows: it asks the store once for each node whether that lives.
func (m *membership) alive() func(store.Node) (bool, error) {
	known := make(map[store.Node]bool)
	return func(n store.Node) (lives bool, err error) {
		lives, ok := known[n]
		if !ok {
			if lives, err = m.s.cfg.Store.Alive(m.s.ctx, n); err == nil {
				known[n] = lives
			}
		}
		return lives, err
	}
}

// isPostponed reports whether the store says when the answer is to be decided about. A page is due long after.
func (m *membership) isPostponed(a *account, row *store.Turn) bool {
	return !row.Due.IsZero() && row.Due.Before(m.s.clock.now().Add(a.policy.AssumeAfter+time.Millisecond))
}

// troubled logs that the store fails, once a minute. That it is broken is told in
// another way, and that it is closed when the process ends is no failure.
func (m *membership) troubled(err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, store.ErrBroken) || errors.Is(err, store.ErrClosed) {
		return
	}
	m.mu.Lock()
	m.trouble = time.Now()
	quiet := time.Since(m.logged) < time.Minute
	if !quiet {
		if m.logged = m.trouble; m.outage.IsZero() {
			m.outage = m.trouble
		}
	}
	m.mu.Unlock()
	if !quiet {
		m.s.cfg.Logger.Error("the store fails; pushes are held and nothing is acknowledged until it is back", slog.Any(keyError, err))
	}
}

// calm is how long no call of the store has to fail before it is said to be back.
const calm = store.Lease / 15

// recovered logs that the store is back, if its failing was logged. It reports false if that is to be asked again
// soon. A renewal that works says too little, since a store may answer and have no room.
func (m *membership) recovered() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.outage.IsZero():
		return true
	case time.Since(m.trouble) < calm, !m.s.guard.writes():
		return false
	}
	m.s.cfg.Logger.Info("the store is back; pushes are accepted again", slog.Duration(keyOutage, m.trouble.Sub(m.outage).Round(time.Millisecond)))
	m.outage = time.Time{}
	return true
}

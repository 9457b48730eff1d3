package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/echostr/echostr/internal/pgtest"
)

// cluster is a PostgreSQL of the run's own, and the sites on it.
type cluster struct {
	r      *run
	server *pgtest.Server
	sites  []*site
}

// site is some nodes that share a database, and the WeChat that pushes to them. Several sites side by side have
// nothing in common but the machine, the server of their databases and WeChat's API.
type site struct {
	c     *cluster
	r     *run
	name  string
	dsn   string // of the database, not by way of a proxy
	nodes []*node
	b     *balancer
	w     *wechat
	rng   *rand.Rand // of the goroutine that breaks things
	stop  func()     // of the load
}

// node is one place for a bot.
type node struct {
	s       *site
	number  int // from 1, counted over all sites
	addr    string
	config  string
	network *proxy // between it and the database

	mu sync.Mutex
	p  *process // of now: see bot
}

// nodesOfSite is how many nodes a site has.
const nodesOfSite = 2

// marksOfSite is how many messages a site has at most, so that none has the mark of another site's.
const marksOfSite = 1 << 24

// newCluster starts PostgreSQL, and makes sites with their nodes, which are not started yet.
func (r *run) newCluster(sites int, m mix) (*cluster, error) {
	server, err := pgtest.Start()
	if err != nil {
		return nil, err
	}
	r.onClose(server.Close)
	r.report.Machine = machine(r.dir)
	c := &cluster{r: r, server: server}
	for i := range sites {
		s := &site{c: c, r: r, name: fmt.Sprint("site ", i+1), rng: rand.New(rand.NewPCG(r.opts.Seed+uint64(i), 0x73697465)), stop: func() {}}
		if s.dsn, err = server.Schema(); err != nil {
			return nil, err
		}
		for n := range nodesOfSite {
			if err := s.addNode(i*nodesOfSite+n, m); err != nil {
				return nil, err
			}
		}
		s.b = &balancer{nodes: s.nodes}
		if s.w, err = newWeChatOf("nodes.example", s.b.dial, r.opts.Seed+uint64(i)<<32, m, r.opts.RetryAtOnce); err != nil {
			return nil, err
		}
		s.w.seen, s.w.mark = &r.seen, uint64(i)*marksOfSite
		c.sites = append(c.sites, s)
	}
	return c, nil
}

func (s *site) addNode(place int, m mix) (err error) {
	n := &node{s: s, number: place + 1, config: filepath.Join(s.r.dir, fmt.Sprintf("node-%d.yaml", place+1))}
	if n.addr, err = freePort(15000 + (int(time.Now().UnixNano())%400)*10 + place*20); err != nil {
		return err
	}
	if n.network, err = newProxy(s.dsn, s.r.opts.Seed+uint64(place)); err != nil {
		return err
	}
	s.r.onClose(n.network.close)
	s.nodes = append(s.nodes, n)
	return s.r.writeConfig(n.config, n.addr, n.network.dsn)
}

// each does something for every site at the same time, and returns the first error, which ends the others.
func (c *cluster) each(ctx context.Context, do func(ctx context.Context, s *site) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, s := range c.sites {
		all.Go(func() {
			if err := do(ctx, s); err != nil {
				cancel(fmt.Errorf("%s: %w", s.name, err))
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// start starts all nodes and the load of each site.
func (c *cluster) start(ctx context.Context) error {
	return c.each(ctx, func(starting context.Context, s *site) error {
		for _, n := range s.nodes {
			if err := n.start(starting); err != nil {
				return err
			}
		}
		watching, stop := context.WithCancel(context.WithoutCancel(ctx))
		var watch sync.WaitGroup
		watch.Go(func() { s.b.watch(watching) })
		c.r.onClose(func() error {
			stop()
			watch.Wait()
			return nil
		})
		s.stop = s.w.load(ctx, c.r.opts.Rate/float64(len(c.sites)))
		return nil
	})
}

// start starts the node, and again for as long as it ends because there is no database, as a supervisor does.
func (n *node) start(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); ; { // the database may crash again and again meanwhile
		p, err := n.s.r.start(startOptions{pure: n.s.r.opts.Pure, config: n.config, node: n.number})
		if err != nil {
			return err
		}
		n.mu.Lock()
		n.p = p
		n.mu.Unlock()
		if err = p.waitReady(20 * time.Second); err == nil {
			return nil
		}
		if p.life.Exit != exitFailed || time.Now().After(deadline) {
			return fmt.Errorf("node %d: %w:\n%s", n.number, err, tail(n.s.r.botLog.Name(), 20))
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// bot is the process that the node has now.
func (n *node) bot() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.p
}

// ended is an error if the bot of the node has ended by itself.
func (n *node) ended() error {
	select {
	case <-n.bot().done:
		return fmt.Errorf("the bot of node %d ended by itself with %d:\n%s", n.number, n.bot().life.Exit, tail(n.s.r.botLog.Name(), 20))
	default:
		return nil
	}
}

// isReady reports whether the node says that it accepts messages.
func (n *node) isReady(ctx context.Context) bool {
	p := n.bot()
	if p == nil || !p.isReady() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/readyz", nil)
	if err != nil {
		return false
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// waitFor waits until the node is ready, or is not, for d at most, and returns how long that took.
func (n *node) waitFor(ctx context.Context, ready bool, d time.Duration) (time.Duration, error) {
	for began := time.Now(); ; {
		if n.isReady(ctx) == ready {
			return time.Since(began), nil
		}
		if err := n.ended(); err != nil {
			return 0, err
		}
		if time.Since(began) > d {
			return 0, fmt.Errorf("after %v node %d was not as it should be: ready %v", d, n.number, ready)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

func (s *site) processes() (all []*process) {
	for _, n := range s.nodes {
		all = append(all, n.bot())
	}
	return all
}

// crash ends the database server as a crash does, and starts it again after some time. For every node that is a time
// without the store.
func (c *cluster) crash(ctx context.Context, down time.Duration) error {
	from := time.Now()
	if err := c.server.Crash(); err != nil {
		return err
	}
	waited := pause(ctx, down)
	err := c.server.Recover()
	to := time.Now()
	c.r.cut(Cut{From: from, To: to})
	c.r.say("the database was down from %s to %s", from.Format("05.000"), to.Format("05.000"))
	return errors.Join(waited, err)
}

// calm ends the load and waits until every message has come to its end. With fetch the users get what is kept for
// them.
func (c *cluster) calm(ctx context.Context, fetch bool) error {
	return c.each(ctx, func(ctx context.Context, s *site) error {
		if err := c.r.calm(ctx, s.w, s.stop, s.processes()...); err != nil || !fetch {
			return err
		}
		return c.r.fetchAll(ctx, s.dsn, s.w, s.processes()...)
	})
}

// finish collects the evidence, stops all nodes and checks. more completes evidence and report.
func (c *cluster) finish(ctx context.Context, more func(*Evidence)) error {
	var from []source
	for _, s := range c.sites {
		from = append(from, source{s.dsn, s.w})
	}
	e, err := c.r.evidence(ctx, from...)
	if err != nil {
		return err
	}
	for _, s := range c.sites {
		for _, n := range s.nodes {
			if err := n.bot().stop(15 * time.Second); err != nil {
				c.r.report.broke("%s: node %d: %v", s.name, n.number, err)
			}
		}
	}
	e.Lives = c.r.lives()
	if more != nil {
		more(e)
	}
	c.r.check(e)
	for _, m := range unaccepted(e) {
		c.r.say("not accepted: %s", m)
	}
	return nil
}

// Why WeChat has given up a message without any 200.
const (
	nodeKilled  = "the nodes of its pushes were killed"
	storeDown   = "the store was down when a push had to be answered"
	atOnce      = "retries at once, which no node had seen all of"
	inexcusable = "nothing"
)

// unacceptedBy counts the messages that were given up by why.
func unacceptedBy(e *Evidence) map[string]int {
	by := make(map[string]int)
	for _, m := range e.Messages {
		if m.givenUp() && len(m.Pushes) > 0 {
			by[why(e, m)]++
		}
	}
	return by
}

// givenUp reports whether WeChat has given the message up without any 200.
func (m *Message) givenUp() bool { return !m.Forged && !m.Stopped && !m.Acked() }

// why is the reason of the last push, if each of them has one.
func why(e *Evidence, m *Message) string {
	reason := inexcusable
	for i := range m.Pushes {
		if reason = whyNot(e, m, i); reason == inexcusable {
			break
		}
	}
	return reason
}

// whyNot says why a push was not answered: docs/reliability.md names these reasons.
func whyNot(e *Evidence, m *Message, i int) string {
	p := &m.Pushes[i]
	down := slices.ContainsFunc(e.Cuts, func(c Cut) bool {
		return c.PID == 0 && c.From.Before(p.End()) && c.To.After(p.Start.Add(lateAfter-time.Second))
	})
	// Its time runs from the connection, which waits until the process takes it.
	starting := slices.ContainsFunc(e.Lives, func(l Life) bool {
		until := l.Ready
		if until.IsZero() {
			until = l.Ended
		}
		return l.Node == p.Node && p.Node != 0 && l.Started.Before(p.End()) && (until.IsZero() || until.After(p.Start))
	})
	switch {
	case p.Failure == failureReset || p.Failure == failureRefused || starting:
		return nodeKilled
	case down:
		return storeDown
	case m.Hold && i+1 < lastPush:
		return "" // it was left open on purpose
	}
	for j := range i {
		if m.Hold && m.Pushes[j+1].Start.Sub(m.Pushes[j].Start) < lateAfter {
			return atOnce
		}
	}
	return inexcusable
}

// accepted has the report break if WeChat has given up a message without any 200.
func (r *run) accepted() { r.noneGivenUp(r.broke) }

// acceptedInTime is accepted where the store was away. Then that is a bound of time: WeChat waits for 5 s, three times, and
// the database server takes its time to recover, or to commit, if the machine is busy.
func (r *run) acceptedInTime() { r.noneGivenUp(r.slow) }

func (r *run) noneGivenUp(otherwise func(format string, args ...any)) {
	if n := r.report.Counts.Unaccepted; n > 0 {
		otherwise("P8: %d messages were not accepted", n)
	}
}

// startsOf is how many messages were started how often.
func startsOf(e *Evidence) map[int]int {
	times := make(map[string]int)
	for _, s := range e.Starts {
		times[s.ID]++
	}
	messages := make(map[int]int)
	for _, n := range times {
		messages[n]++
	}
	return messages
}

// acrossNodes are, for the answers that a push on one node was given while the handler ran on another, the times from the
// end of the handler to the end of the push.
func acrossNodes(e *Evidence) (list []time.Duration) {
	nodes := make(map[int]int) // by process
	for _, l := range e.Lives {
		nodes[l.PID] = l.Node
	}
	ends := make(map[startOf]time.Time)
	for _, end := range e.Ends {
		ends[startOf{end.ID, end.Attempt, end.PID}] = end.At
	}
	for _, m := range e.Messages {
		for i := range m.Pushes {
			p := &m.Pushes[i]
			from, ok := answerTo(m.ID, p.Reply)
			if !ok || p.Repeat || p.Node == 0 || nodes[from.PID] == p.Node {
				continue
			}
			if end, ok := ends[startOf{from.ID, from.Attempt, from.PID}]; ok && end.After(p.Start) {
				list = append(list, p.End().Sub(end))
			}
		}
	}
	slices.Sort(list)
	return list
}

package chaos

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// network is what lies between a node and its database.
type network int

const (
	whole   network = iota
	gone            // nothing arrives, on either side, and nobody is told
	mute            // what the node says arrives, and nothing comes back
	refused         // connections are broken off, old ones and new ones
	slowed          // everything arrives later
)

func (n network) String() string { return [...]string{"whole", "gone", "mute", "refused", "slowed"}[n] }

// slowedBy is how much later everything arrives on a slow network, each way.
const slowedBy = 150 * time.Millisecond

// proxy stands between a node and its database.
type proxy struct {
	dsn string // of the database, by way of the proxy

	network, address string // of the server
	listener         net.Listener
	serving          sync.WaitGroup

	mu      sync.Mutex
	state   network
	changed chan struct{} // closed when the state ends
	conns   map[net.Conn]struct{}
	rng     *rand.Rand
	lose    float64 // share of the answers to a commit that are lost, with their connection
	lost    int     // such answers
}

// newProxy stands before the database with that address.
func newProxy(dsn string, seed uint64) (*proxy, error) {
	server, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, changed: make(chan struct{}), conns: make(map[net.Conn]struct{}), rng: rand.New(rand.NewPCG(seed, 0x70726f7879))}
	p.network, p.address = pgconn.NetworkAddress(server.Host, server.Port)
	q := url.Values{
		"host": {"127.0.0.1"}, "port": {strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}, "sslmode": {"disable"},
		"user": {server.User}, "search_path": {server.RuntimeParams["search_path"]},
	}
	p.dsn = "postgres:///" + server.Database + "?" + q.Encode()
	p.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() { p.serve(conn) })
		}
	})
	return p, nil
}

func (p *proxy) close() error {
	err := p.listener.Close()
	p.set(refused, false)
	p.serving.Wait()
	return err
}

// set changes the network. What was on its way when nothing arrived arrives now if it may be late, as after a
// retransmission; else its connection is broken off.
func (p *proxy) set(n network, late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == refused || !late && (p.state == gone || p.state == mute) {
		for conn := range p.conns {
			conn.Close()
		}
	}
	p.state = n
	close(p.changed)
	p.changed = make(chan struct{})
}

// loseCommits has this share of the answers to a commit lost from now on.
func (p *proxy) loseCommits(share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = share
}

func (p *proxy) commitsLost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// loses decides about the answer to one commit.
func (p *proxy) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rng.Float64() >= p.lose {
		return false
	}
	p.lost++
	return true
}

func (p *proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == refused {
		return false
	}
	p.conns[conn] = struct{}{}
	return true
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if !p.reaches() {
		return
	}
	server, err := net.Dial(p.network, p.address)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.keep(client) || !p.keep(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.carry(server, client, nil) })
	both.Go(func() { p.carry(client, server, new(answers)) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, server)
}

// reaches reports whether a new connection comes to the server. If nothing arrives there, nobody is told so for as long as
// that lasts: the server must not be kept busy by what does not reach it.
func (p *proxy) reaches() bool {
	p.mu.Lock()
	state, changed := p.state, p.changed
	p.mu.Unlock()
	if state == gone || state == mute {
		<-changed
	}
	return state == whole || state == slowed
}

// carry takes what comes from one side to the other. From the server those are answers.
func (p *proxy) carry(to, from net.Conn, a *answers) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.arrive(a != nil)
		out := buf[:n]
		if a != nil {
			var committed bool
			if out, committed = a.take(out); committed && p.loses() {
				return
			}
		}
		if _, err := to.Write(out); err != nil {
			return
		}
	}
}

// arrive returns when the network has let something through.
func (p *proxy) arrive(answers bool) {
	for {
		p.mu.Lock()
		state, changed := p.state, p.changed
		p.mu.Unlock()
		switch {
		case state == slowed:
			time.Sleep(slowedBy)
			return
		case state == gone, state == mute && answers:
			<-changed
		default:
			return
		}
	}
}

// answers reads what a PostgreSQL server says, message by message: a byte that says what it is, four with its length,
// and the rest. An answer about what was written is kept until the server is ready for the next
// statement, which is when it has committed that, unless it is within a transaction.
type answers struct {
	kept  []byte
	read  int  // of kept: whole messages
	wrote bool // one of them said that something was written
}

// take takes in what the server says and returns what may go on, and whether that ends a transaction that has
// written something.
func (a *answers) take(said []byte) (out []byte, committed bool) {
	a.kept = append(a.kept, said...)
	ready := 0
	for len(a.kept)-a.read >= 5 {
		size := 1 + int(binary.BigEndian.Uint32(a.kept[a.read+1:]))
		if len(a.kept)-a.read < size {
			break
		}
		body := a.kept[a.read+5 : a.read+size]
		switch a.kept[a.read] {
		case 'C': // what a statement has done
			a.wrote = a.wrote || writes(body)
		case 'Z': // ready for the next one; I: not within a transaction
			committed = committed || a.wrote && string(body) == "I"
			a.wrote = false
		}
		if a.read += size; !a.wrote {
			ready = a.read
		}
	}
	out = bytes.Clone(a.kept[:ready])
	a.kept, a.read = append(a.kept[:0], a.kept[ready:]...), a.read-ready
	return out, committed
}

// writes reports whether a statement with this tag has written a row, or committed.
func writes(tag []byte) bool {
	tag = bytes.TrimRight(tag, "\x00")
	for _, verb := range []string{"INSERT", "UPDATE", "DELETE"} {
		if bytes.HasPrefix(tag, []byte(verb)) {
			return !bytes.HasSuffix(tag, []byte(" 0"))
		}
	}
	return string(tag) == "COMMIT"
}

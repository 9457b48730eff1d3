package postgres_test

import (
	"maps"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// network is what a proxy does with what it is given.
type network int

const (
	whole   network = iota
	mute            // what the server answers is lost, and then the connection is
	gone            // whatever anybody says is lost, and nobody is told
	refused         // connections are cut
)

// proxy stands between a node and its database.
type proxy struct {
	dsn string

	network, address string // of the server
	listener         net.Listener

	mu    sync.Mutex
	state network
	conns map[net.Conn]struct{}
	hung  map[net.Conn]struct{} // connections to a server that will never answer again
	lost  int                   // answers
}

func newProxy(t *testing.T, dsn string) *proxy {
	t.Helper()
	server, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, conns: make(map[net.Conn]struct{})}
	p.network, p.address = pgconn.NetworkAddress(server.Host, server.Port)
	q := url.Values{
		"host": {"127.0.0.1"}, "port": {strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}, "sslmode": {"disable"},
		"user": {server.User}, "password": {server.Password}, "search_path": {server.RuntimeParams["search_path"]},
	}
	p.dsn = "postgres:///" + server.Database + "?" + q.Encode()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.set(refused)
		serving.Wait()
	})
	return p
}

// set changes the network. Connections that hang are cut when it is whole again.
func (p *proxy) set(n network) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == refused || p.state == gone {
		for conn := range p.conns {
			conn.Close()
		}
	}
	p.state = n
}

// replace puts another server in the place of the one that says nothing any more: new connections work, and nobody
// is told about the old ones.
func (p *proxy) replace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.hung = whole, maps.Clone(p.conns)
}

func (p *proxy) answersLost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// keep notes a connection, unless there is no network for it.
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
	server, err := net.Dial(p.network, p.address)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.keep(client) || !p.keep(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.carry(server, client, false) })
	both.Go(func() { p.carry(client, server, true) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, server)
}

// carry takes what comes from one side to the other.
func (p *proxy) carry(to, from net.Conn, answers bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		state := p.state
		if state == mute && answers {
			p.lost++
		}
		if _, hung := p.hung[from]; hung {
			state = gone
		}
		p.mu.Unlock()
		switch {
		case state == gone:
			continue
		case state == mute && answers:
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

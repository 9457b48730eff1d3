// Package pipenet is a network in memory: a listener and a dialer joined by
// net.Pipe. Unlike real sockets it works inside a bubble of testing/synctest,
// where a goroutine that waits for a socket would keep the clock from moving.
package pipenet

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Listener is a net.Listener whose connections are made with DialContext. Make
// one with [Listen]. It is safe for concurrent use.
//
// A connection has no buffer: a write waits for its reader.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a listener. Nothing runs until somebody dials, so it needs no
// Close; in a bubble it must be made inside.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for the next connection. After Close it returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close refuses further connections. Those that were made go on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns a name that nothing can be dialed with.
func (l *Listener) Addr() net.Addr { return addr{} }

// DialContext connects to the listener, whatever network and address say. It
// waits until the connection is accepted; after Close it is refused, with an
// error that wraps syscall.ECONNREFUSED. It fits http.Transport and net.Dialer's users.
func (l *Listener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	var err error
	select {
	case <-l.closed:
		err = syscall.ECONNREFUSED
	default:
		select {
		case l.conns <- server:
			return client, nil
		case <-l.closed:
			err = syscall.ECONNREFUSED
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return nil, &net.OpError{Op: "dial", Net: addr{}.Network(), Addr: addr{}, Err: err}
}

type addr struct{}

func (addr) Network() string { return "pipe" }
func (addr) String() string  { return "pipe" }

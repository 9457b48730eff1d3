package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"github.com/echostr/echostr/store/sqlite"
)

// listen opens both listeners, or takes those of the options. It waits for busy
// addresses until the deadline.
func (s *Server) listen(deadline time.Time) error {
	var err error
	if s.listener = s.opts.Listener; s.listener == nil {
		if s.listener, err = listenUntil(deadline, "listen", s.cfg.Listen, s.opts.NextPort); err != nil {
			if s.opts.AdminListener != nil {
				s.opts.AdminListener.Close()
			}
			return err
		}
	}
	if s.adminListener = s.opts.AdminListener; s.adminListener == nil {
		if s.adminListener, err = listenUntil(deadline, "admin", s.cfg.Admin, s.opts.NextPort); err != nil {
			s.listener.Close()
			return err
		}
	}
	s.limited = limit(s.listener, maxConnections, maxPerAddress, s.trusted)
	s.limited.refused = func() {
		s.logger.Warn("connections are refused, because too many are open; this line comes once a minute")
	}
	return nil
}

// nextPorts is how many ports NextPort tries.
const nextPorts = 50

// busyError says that another program listens at an address.
type busyError struct{ key, address string }

func (e busyError) Error() string {
	return fmt.Sprintf("%s: another program uses %s; stop it, or choose another port", e.key, e.address)
}

// listenUntil is listenTCP that waits for a busy address.
func listenUntil(deadline time.Time, key, address string, next bool) (net.Listener, error) {
	for {
		l, err := listenTCP(key, address, next)
		if _, busy := errors.AsType[busyError](err); !busy || !time.Now().Before(deadline) {
			return l, err
		}
		time.Sleep(listenAgain)
	}
}

// listenAgain is how often a busy address is tried.
const listenAgain = 20 * time.Millisecond

// explain says more about a busy address: if it is a server of the same database that
// listens there, the lock of the file knows its process.
func (s *Server) explain(err error) error {
	if _, busy := errors.AsType[busyError](err); !busy {
		return err
	}
	for _, p := range s.parts {
		if p.cfg.Database() == "" {
			continue
		}
		if inUse := sqlite.InUse(p.cfg.Database()); inUse != nil {
			return unusableError{inUse}
		}
	}
	return err
}

func listenTCP(key, address string, next bool) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err == nil {
		return l, nil
	}
	host, portText, splitErr := net.SplitHostPort(address)
	port, portErr := strconv.Atoi(portText)
	if next && isBusy(err) && splitErr == nil && portErr == nil {
		for p := port + 1; p <= min(port+nextPorts, 65535); p++ {
			if l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(p))); err == nil {
				return l, nil
			}
		}
	}
	switch {
	case isBusy(err):
		return nil, busyError{key, address}
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: this user may not use %s; choose a port from 1024 on, and let a proxy such as nginx serve 80 and 443", key, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s: %s is no address of this machine; write one that is, or :%s for all", key, address, portText)
	}
	return nil, fmt.Errorf("%s: %w; write an address of this machine and a free port", key, err)
}

// isBusy reports whether a port is in use. The number is what Windows says.
func isBusy(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.Errno(10048))
}

// trusted reports whether no limit applies to an address.
func (s *Server) trusted(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// limitedListener closes connections beyond its limits as soon as they are
// accepted: one that waits would take the place of one that is welcome. S11
type limitedListener struct {
	net.Listener
	total, perAddress int
	trusted           func(netip.Addr) bool
	refused           func() // told now and then, may be nil
	sometimes         rate.Sometimes
	count             atomic.Uint64 // refused connections

	mu        sync.Mutex
	open      int
	byAddress map[netip.Addr]int
}

func limit(l net.Listener, total, perAddress int, trusted func(netip.Addr) bool) *limitedListener {
	return &limitedListener{
		Listener: l, total: total, perAddress: perAddress, trusted: trusted,
		sometimes: rate.Sometimes{Interval: time.Minute},
		byAddress: make(map[netip.Addr]int),
	}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr, known := remote(conn)
		if !known || l.trusted(addr) {
			return conn, nil
		}
		addr = network(addr)
		if l.take(addr) {
			return &limitedConn{Conn: conn, release: sync.OnceFunc(func() { l.release(addr) })}, nil
		}
		conn.Close()
		l.count.Add(1)
		if l.refused != nil {
			l.sometimes.Do(l.refused)
		}
	}
}

// remote returns the address of the other side, and false for connections in
// memory, which have none.
func remote(conn net.Conn) (netip.Addr, bool) {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return tcp.AddrPort().Addr().Unmap().WithZone(""), true
}

// network is what counts as one address: in IPv6 everybody has a /64.
func network(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

func (l *limitedListener) take(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.total || l.byAddress[a] >= l.perAddress {
		return false
	}
	l.open++
	l.byAddress[a]++
	return true
}

func (l *limitedListener) release(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.byAddress[a]--; l.byAddress[a] == 0 {
		delete(l.byAddress, a)
	}
}

type limitedConn struct {
	net.Conn
	release func()
}

// CloseWrite is what net/http uses to end a connection whose request it has not
// read, so that the answer arrives in spite of that.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (c *limitedConn) Close() error {
	c.release()
	return c.Conn.Close()
}

package postgres

import (
	"context"
	"net"
	"syscall"
)

// dial connects so that a server is given up that has not acknowledged for callTime what was sent to it.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Control: func(network, _ string, c syscall.RawConn) (err error) {
		if network == "unix" {
			return nil
		}
		const tcpUserTimeout = 18 // TCP_USER_TIMEOUT in linux/tcp.h
		failed := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(callTime.Milliseconds()))
		})
		if failed != nil {
			return failed
		}
		return err
	}}
	return d.DialContext(ctx, network, address)
}

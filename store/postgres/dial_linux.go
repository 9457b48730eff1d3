package postgres

import (
	"net"
	"syscall"
)

// dialer connects so that a server is given up that has not acknowledged for callTime what was sent to it.
var dialer = net.Dialer{Control: func(network, _ string, c syscall.RawConn) (err error) {
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

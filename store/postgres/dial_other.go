//go:build !linux

package postgres

import "net"

var dialer net.Dialer

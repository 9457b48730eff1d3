package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"syscall"

	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/simulator"
)

// dialFunc makes the connections to a server. Nil is that of a net.Dialer.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// mayReach keeps pushes on this machine unless remote ones are allowed, which is then said. It
// returns what the connections must be made with.
func mayReach(warnings io.Writer, callback string, allowed bool) (dialFunc, error) {
	u, err := url.Parse(callback)
	if err != nil || u.Host == "" {
		return nil, usage("%q is not an address like http://127.0.0.1:8000/wechat", callback)
	}
	here := simulator.IsLocalHost(u.Host)
	switch {
	case allowed && !here:
		fmt.Fprintf(warnings, "warning: messages go to %s, which is not on this machine (消息会发往其他机器)\n", tty.Printable(u.Host))
	case !here:
		return nil, usage("%s is not on this machine; if it is yours and you mean it, add --allow-remote", u.Host)
	}
	if allowed {
		return nil, nil
	}
	return dialHere, nil
}

// dialHere connects within this machine only, whatever a name such as localhost
// leads to by then. Nothing is sent to another one, not even to connect.
func dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	return dialHereBy(ctx, new(net.Dialer), network, address)
}

// dialHereBy is dialHere with a dialer that is not used otherwise.
func dialHereBy(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	d.Control = func(_, found string, _ syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(found); err != nil || !to.Addr().Unmap().IsLoopback() {
			return fmt.Errorf("%s is at %s, which is not on this machine; if it is yours and you mean it, add --allow-remote", address, found)
		}
		return nil
	}
	return d.DialContext(ctx, network, address)
}

// onLoopback reports whether only this machine reaches the address.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // the server says what is wrong
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// addressOf is an address as it is shown: without its query and user, where a server may
// have a secret.
func addressOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "?"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return tty.Printable(shown.String())
}

package load

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"time"
)

// Pace calls send when a message is due, rate times a second from now on, whatever became of those before, until n have
// been sent or ctx ends; n 0 means no number. It returns how many were. send gets the moment that its message was due, and
// must not wait. It returns how many messages it has sent: those beyond the one that was due are not due later.
func Pace(ctx context.Context, rate float64, n int, send func(due time.Time) int) (sent int) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n == 0 || sent < n {
		due := start.Add(time.Duration(float64(sent) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 { // what is late goes out at once
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		sent += send(due)
	}
	return sent
}

// FromLoopback lets d connect from a random address of loopback, if that is where it connects to: WeChat's pushes come from many
// addresses, and one would run out of ports. Only Linux has more than one.
func FromLoopback(d *net.Dialer, address string) {
	if to, err := netip.ParseAddrPort(address); runtime.GOOS != "linux" || err != nil || !to.Addr().Is4() || !to.Addr().IsLoopback() {
		return
	}
	d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, byte(1+rand.N(250)), byte(rand.N(256)), byte(1+rand.N(250)))}
}

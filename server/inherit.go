package server

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstSocket is the first descriptor that a service manager passes.
const firstSocket = 3

// Inherit takes the listening sockets that a service manager, such as systemd, has
// opened for this process (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES): it sets Listener,
// AdminListener and Inherited. The socket named listen is for pushes and that
// named admin for the operator; of those with other names the first that is left is for
// pushes. The variables are removed from the environment, so that no child takes
// the sockets for its own. Without such sockets it does nothing.
//
// Since the service manager keeps the sockets open, no connection is refused
// while one process ends and the next one starts.
//
// The error wraps [ErrConfig].
func (o *Options) Inherit() error {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	if pid != strconv.Itoa(os.Getpid()) {
		return nil // meant for another process, if for anybody
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 {
		return nil
	}
	places, err := assign(n, names)
	if err != nil {
		return err
	}
	for i, place := range places {
		file := os.NewFile(firstSocket+uintptr(i), place)
		l, err := net.FileListener(file) // a duplicate
		file.Close()
		if err != nil {
			return fmt.Errorf("%w: the socket that was passed as %s does not listen for connections (%w); use ListenStream= in the .socket unit, with Accept=no", ErrConfig, place, err)
		}
		switch place {
		case placeListen:
			o.Listener, o.Inherited = l, true
		case placeAdmin:
			o.AdminListener = l
		}
	}
	return nil
}

// What an inherited socket is for: the names of the configuration's keys.
const (
	placeListen = "listen"
	placeAdmin  = "admin"
)

// assign says what each of n sockets is for. names are joined by colons, and may be
// absent or those that systemd makes up.
func assign(n int, names string) ([]string, error) {
	const wrong = "%w: %s; pass at most two, with FileDescriptorName=listen and FileDescriptorName=admin in their .socket units"
	if n > 2 {
		return nil, fmt.Errorf(wrong, ErrConfig, fmt.Sprintf("%d listening sockets were passed", n))
	}
	places := make([]string, n)
	taken := make(map[string]bool)
	for i, name := range strings.Split(names, ":") {
		if i < n && (name == placeListen || name == placeAdmin) {
			if taken[name] {
				return nil, fmt.Errorf(wrong, ErrConfig, "two listening sockets are called "+name)
			}
			places[i], taken[name] = name, true
		}
	}
	for i := range places {
		if places[i] == "" {
			places[i] = placeListen
			if taken[placeListen] {
				places[i] = placeAdmin
			}
			taken[places[i]] = true
		}
	}
	return places, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/page"
)

// worldFlags say how the simulator behaves, in `echostr simulate` and in `echostr dev`.
type worldFlags struct {
	Users            []string `default:"小明,小红" placeholder:"NAMES" help:"Who follows the account at the beginning (${default})." group:"simulator"`
	Pushes           int      `default:"3" placeholder:"N" help:"How often WeChat pushes in all: 3 or 4; 1 to 5 are taken (${default})." group:"simulator"`
	FreshRetries     bool     `help:"Sign every retry anew." group:"simulator"`
	WaitAfterFailure bool     `help:"Retry what failed at once only when its 5 s have passed." group:"simulator"`
	EventFaultNotice bool     `help:"Show the fault notice after events, too." group:"simulator"`
	MarkFail         int      `placeholder:"N" help:"Leave the server alone for a minute after N failed pushes in a row." group:"simulator"`
	Fault            []string `sep:"none" placeholder:"PATH=WHAT" help:"Let calls of the API go wrong, such as custom/send=45015*2, token=-1, *=3s, custom/send=lose*1, menu=html. Repeatable." group:"simulator"`
	Record           string   `placeholder:"FILE" help:"At the end, write the last 500 messages of the page and their answers to a new file, for echostr replay. What echostr push sends is not among them." group:"simulator"`
}

// world is a running simulator: the page and WeChat's API at one address.
type world struct {
	platform *simulator.Platform
	URL      string

	out      io.Writer // where close says what was recorded
	listener net.Listener
	server   *http.Server
	cancel   context.CancelFunc // ends what users are doing
	record   *os.File
}

// open makes the simulator, listening and not serving yet, and without accounts. It pushes
// over connections that dial makes.
func (f *worldFlags) open(term *terminal, address string, dial dialFunc) (*world, error) {
	if err := checkPushes(f.Pushes); err != nil {
		return nil, err
	}
	if f.MarkFail < 0 {
		return nil, usage("--mark-fail is not negative")
	}
	for i, name := range f.Users {
		if f.Users[i] = strings.TrimSpace(name); f.Users[i] != "" && slices.Contains(f.Users[:i], f.Users[i]) {
			return nil, usage("--users has %s twice; give every user a name of its own", f.Users[i])
		}
	}
	var faults []simulator.Fault
	for _, text := range f.Fault {
		fault, err := simulator.ParseFault(text)
		if err != nil {
			return nil, usageError{withoutPackage(err)}
		}
		if len(fault.Calls()) == 0 {
			fmt.Fprintf(term.err, "warning: no call of the API here is meant by --fault %s (没有匹配的接口)%s\n", tty.Printable(text), nearCalls(fault.Path))
		}
		faults = append(faults, fault)
	}
	l, err := listenNext(address)
	if err != nil {
		return nil, err
	}
	w := &world{out: term.out, listener: l, URL: "http://" + l.Addr().String()}
	if f.Record != "" {
		if w.record, err = os.OpenFile(f.Record, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			l.Close()
			if errors.Is(err, os.ErrExist) {
				return nil, usage("--record: there is a file %s already; name a new one", f.Record)
			}
			return nil, usage("--record: the file cannot be made: %w", err)
		}
	}
	w.platform = simulator.NewPlatform(simulator.PlatformConfig{BaseURL: w.URL, DialContext: dial, Rules: simulator.Rules{
		Pushes: f.Pushes, FreshRetries: f.FreshRetries, WaitAfterFailure: f.WaitAfterFailure,
		EventFaultNotice: f.EventFaultNotice, MarkFail: f.MarkFail,
	}})
	if err := w.platform.SetFaults(faults...); err != nil {
		w.discard()
		return nil, usageError{withoutPackage(err)}
	}
	return w, nil
}

// add makes an account, with its users.
func (w *world) add(c simulator.OfficialConfig, users []string) (*simulator.Official, error) {
	o, err := w.platform.Add(c)
	if err != nil {
		return nil, usageError{withoutPackage(err)}
	}
	for _, name := range users {
		if name != "" {
			o.AddFollower(name)
		}
	}
	return o, nil
}

// discard takes back what open has done.
func (w *world) discard() {
	w.listener.Close()
	if w.record != nil {
		w.record.Close()
		os.Remove(w.record.Name())
	}
}

// serve begins to serve. What users do ends with ctx.
func (w *world) serve(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	mux := http.NewServeMux()
	mux.Handle("/cgi-bin/", w.platform.API())
	mux.Handle("/mmbiz_jpg/", w.platform.API())
	mux.Handle("/", page.Handler(w.platform, page.Options{Context: ctx}))
	w.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // broken connections of browsers
	}
	go func() { _ = w.server.Serve(w.listener) }() // until close
}

// close ends everything, and writes the recording.
func (w *world) close() error {
	if w.server != nil {
		w.cancel()
		w.server.Close()
	}
	w.listener.Close()
	if w.record == nil {
		return nil
	}
	recording := w.platform.Record()
	if len(recording.Exchanges) == 0 {
		w.discard()
		if w.server != nil {
			fmt.Fprintf(w.out, "No message was sent on the page, so %s was not written (没有消息，未写入文件).\n", w.record.Name())
		}
		return nil
	}
	err := recording.Write(w.record)
	if err = errors.Join(err, w.record.Close()); err != nil {
		return fmt.Errorf("--record: the recording could not be written to %s: %w", filepath.Base(w.record.Name()), err)
	}
	fmt.Fprintf(w.out, "Wrote %d messages to %s (已写入消息).\n", len(recording.Exchanges), w.record.Name())
	return nil
}

// maxPorts is how many ports listenNext tries.
const maxPorts = 50

// listenNext listens at an address, or at the next port that is free.
func listenNext(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil {
		return nil, usage("%q is not an address like 127.0.0.1:8090", address)
	}
	for i := 0; ; i++ {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(number+i)))
		if err == nil {
			return l, nil
		}
		if !isBusy(err) || number == 0 || i == maxPorts || number+i >= 65535 {
			return nil, fmt.Errorf("nothing can listen at %s: %w; choose another port", address, err)
		}
	}
}

func isBusy(err error) bool {
	const windows = syscall.Errno(10048) // WSAEADDRINUSE
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, windows)
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/bench/peers"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/postgres"
	"github.com/echostr/echostr/store/sqlite"
)

// roleVariable makes a process of this program something else.
const roleVariable = "ECHOSTR_BENCH_ROLE"

// role is what a process is: a server, or a program beside it.
type role struct {
	Kind string // one of the constants, or the module of a peer

	// Of Echostr.
	Mode     callback.Mode
	Pure     bool
	Store    string // the path of a SQLite database, or the address of a PostgreSQL one; empty: memory
	Accounts int    // 0: one
	Late     string // which way late answers go: byAPI or byTicket. Empty: pushes are held

	Address string // of the API, for who posts to it
	Config  string // the file, for the whole server
	Profile string // the file of CPU profiles
}

const (
	bare        = "bare net/http"
	skeletonBot = "skeleton"
	echostrBot  = "Echostr"

	byAPI    = "api"
	byTicket = "ticket"
)

// String names a server as tables do.
func (r *role) String() string {
	name := strings.TrimPrefix(r.Kind, "github.com/")
	if r.Kind == echostrBot {
		switch {
		case r.Store == "":
			name += ", memory"
		case isPostgres(r.Store):
			name += ", PostgreSQL"
		default:
			name += ", SQLite"
		}
	}
	if r.Pure {
		name += ", Pure"
	}
	if r.Mode == callback.Safe {
		name += ", safe"
	}
	return name
}

func isPostgres(store string) bool { return strings.HasPrefix(store, "postgres:") }

func (r *role) peer() bool { return strings.Contains(r.Kind, ".com/") }

// control is where a process says its address, and answers questions. A library may print to standard output.
var control = os.NewFile(3, "control")

// playRole does what a process has been started for, and returns false if that is nothing but the program itself.
func playRole() bool {
	spec, ok := os.LookupEnv(roleVariable)
	if !ok {
		return false
	}
	runtime.GOMAXPROCS(1)
	var r role
	err := json.Unmarshal([]byte(spec), &r)
	if err == nil {
		err = r.play()
	}
	if err != nil {
		log.Fatalf("%v: %v", &r, err)
	}
	return true
}

func (r *role) play() error {
	switch r.Kind {
	case drainServer:
		return r.serveDrain()
	case drainAPI:
		return serveAPI()
	case drainPost:
		return r.post()
	}
	h, err := r.handler()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(control, l.Addr())
	stop, err := r.startProfile()
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 3 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10, ErrorLog: log.New(io.Discard, "", 0)}
	go s.Serve(l)
	// A line asks for a collection, before memory is read.
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintln(control, m.HeapInuse, m.StackInuse)
	}
	stop() // the databases are not closed: they outlive a kill, and this one nobody opens again
	return nil
}

// handler is the bot of a role.
func (r *role) handler() (http.Handler, error) {
	switch r.Kind {
	case bare:
		return http.HandlerFunc(serveBare), nil
	case skeletonBot:
		return newSkeleton(), nil
	case echostrBot:
		return r.echostr()
	}
	for _, p := range peers.All {
		if p.Name == r.Kind {
			return p.Handler(peers.Account{AppID: appID, Token: token, EncodingAESKey: key, OriginalID: originalID})
		}
	}
	return nil, errors.New("there is no server of this kind")
}

func serveBare(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if bytes.Contains(body, []byte(waitText)) {
		<-r.Context().Done()
		return
	}
	io.WriteString(w, "success")
}

func (r *role) echostr() (http.Handler, error) {
	router := echostr.NewRouter()
	echo := echostr.On(router, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		if m.Content == waitText {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return echostr.Text(m.Content), nil
	})
	if r.Pure {
		echo.Pure()
	}
	st, err := openStore(r.Store)
	if err != nil {
		return nil, err
	}
	cfg := callback.Config{Handler: router, Store: st, Logger: logger(), MaxWaiting: 20_000}
	for i := range max(r.Accounts, 1) {
		a := callback.Account{Name: accountName(i), AppID: appID, Token: token, EncodingAESKey: key, Mode: r.Mode, HoldBudget: -1}
		if i > 0 {
			a.AppID = fmt.Sprintf("wx%016x", i)
		}
		if r.Late != "" {
			a.HandlerTimeout = 10 * time.Minute
			a.HoldBudget = 1 // so that the first push of nearly every message is answered
		}
		if r.Late == byAPI {
			a.API = noAPI{}
		}
		cfg.Accounts = append(cfg.Accounts, a)
	}
	return callback.New(cfg)
}

// noAPI is never called, since nothing is ever ready.
type noAPI struct{}

func (noAPI) Send(context.Context, string, echostr.Reply) callback.Sending {
	return callback.Sending{Fate: callback.SendLater, Reason: "there is no API"}
}
func (noAPI) Typing(context.Context, string) error { return errors.New("there is no API") }

// openStore opens the database with an address or at a path; nil stands for memory.
func openStore(name string) (store.Store, error) {
	switch {
	case name == "":
		return nil, nil
	case isPostgres(name):
		return postgres.Open(context.Background(), postgres.Config{DSN: name, Logger: logger()})
	}
	return sqlite.Open(context.Background(), sqlite.Config{Path: name, Logger: logger()})
}

// logger tells errors: that a server takes over what a killed one has left is what is measured.
func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

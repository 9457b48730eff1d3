// Command bench measures what the parts cost beside the standard library, and what the
// callback server costs beside a bare net/http handler: CPU per request, and memory
// per parked push. `make bench` runs it.
//
// The server runs in a process of its own, pinned to one core where taskset is
// to be had; the load comes from this process, on another. All servers are
// alive at once and take turns, and the figure is the median of the rounds, so that
// what the machine does besides meets all of them. Only ratios mean anything.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
	"github.com/echostr/echostr/wxcrypt"
)

const (
	appID = "wxb11529c136998cb6"
	token = "zBenchTokenOfThirtyTwoCharacters"
	key   = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

func main() {
	log.SetFlags(0)
	serve := flag.String("serve", "", "be the server of this kind (for the program itself)")
	rounds := flag.Int("rounds", 5, "interleaved rounds")
	only := flag.String("only", "", "compare only the kinds whose name has this in it, beside the first")
	requests := flag.Int("requests", 40_000, "requests per server and round; with -late, 0 measures only the sending")
	conns := flag.Int("conns", 64, "connections")
	database := flag.String("db", "", "the database of a server (for the program itself)")
	api := flag.String("api", "", "the API of a process (for the program itself)")
	config := flag.String("config", "", "the configuration of a server (for the program itself)")
	open := flag.Int("late", 0, "instead, measure pushes beside so many turns whose handlers take minutes, and send five times as many late answers")
	many := flag.Int("stored", 0, "instead, compare a database of so many turns with one of 1,000, and measure restarts with it")
	restarts := flag.Int("restarts", 100, "restarts to measure with -stored")
	parked := flag.Int("parked", 10_000, "parked pushes")
	profile := flag.String("cpuprofile", "", "have every server write a CPU profile to this file with its kind behind")
	flag.Parse()
	if *serve != "" {
		if err := runServer(*serve, *profile, *database, *api, *config); err != nil {
			log.Fatal(err)
		}
		return
	}
	if *many > 0 {
		if err := stored(*many, *rounds, *requests, *restarts); err != nil {
			log.Fatal(err)
		}
		return
	}
	if *open > 0 {
		var err error
		if *requests > 0 {
			err = late(*open, *rounds, *requests, *conns)
		}
		if err == nil {
			err = drain(5**open, *rounds, *profile)
		}
		if err != nil {
			log.Fatal(err)
		}
		return
	}
	if *only != "" {
		kinds = slices.DeleteFunc(kinds, func(k kind) bool { return k.mode != 0 && !strings.Contains(k.name, *only) })
	}
	if err := run(*rounds, *requests, *conns, *parked, *profile); err != nil {
		log.Fatal(err)
	}
}

// kind is what a server is made of.
type kind struct {
	name     string
	mode     callback.Mode // 0: not ours
	pure     bool
	skeleton bool
	sqlite   bool
}

// kinds of servers; the first is what the others are compared with.
var kinds = []kind{
	{name: "bare net/http"},
	{name: "skeleton", skeleton: true},
	{name: "memory, plain", mode: callback.Plain},
	{name: "memory, plain, Pure", mode: callback.Plain, pure: true},
	{name: "memory, safe", mode: callback.Safe},
	{name: "SQLite, plain", mode: callback.Plain, sqlite: true},
	{name: "SQLite, plain, Pure", mode: callback.Plain, sqlite: true, pure: true},
}

// atExit is what a server does before it ends, last first.
var atExit []func()

func runAtExit() {
	for _, f := range slices.Backward(atExit) {
		f()
	}
}

// runServer serves on a free port, which it prints, until standard input ends.
func runServer(name, profile, database, api, config string) error {
	runtime.GOMAXPROCS(1)
	if role, ok := lateRole(name, api, config, profile); ok {
		return role()
	}
	h, err := handler(name, database)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	stop, err := startProfile(name, profile)
	if err != nil {
		return err
	}
	defer stop()
	go func() {
		// A line asks for a collection, before memory is read.
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			debug.FreeOSMemory()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Println(m.HeapInuse, m.StackInuse)
		}
		stop()
		runAtExit()
		os.Exit(0)
	}()
	s := &http.Server{Handler: h, ReadHeaderTimeout: 3 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10}
	return s.Serve(l)
}

func handler(name, database string) (http.Handler, error) {
	for _, k := range kinds {
		if k.name != name {
			continue
		}
		if k.skeleton {
			return newSkeleton(), nil
		}
		if k.mode == 0 {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					panic(http.ErrAbortHandler)
				}
				if bytes.Contains(body, []byte("<park>")) {
					<-r.Context().Done()
					return
				}
				io.WriteString(w, "success")
			}), nil
		}
		r := echostr.NewRouter()
		echo := echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
			if m.Content == "<park>" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return echostr.Text(m.Content), nil
		})
		if k.pure {
			echo.Pure()
		}
		var st store.Store // nil: in memory
		if k.sqlite {
			var err error
			if st, err = openStore(database); err != nil {
				return nil, err
			}
		}
		return callback.New(callback.Config{
			Handler:    r,
			Store:      st,
			Logger:     logger(),
			MaxWaiting: 20_000,
			Accounts: []callback.Account{{
				Name: "bench", AppID: appID, Token: token, EncodingAESKey: key, Mode: k.mode, HoldBudget: -1,
			}},
		})
	}
	for _, k := range lateKinds {
		if k.name == name {
			return lateHandler(k.api)
		}
	}
	return nil, fmt.Errorf("no server is of the kind %q", name)
}

// openStore opens a database, or one of its own that is removed at exit.
func openStore(database string) (store.Store, error) {
	if database == "" {
		// In the working directory, since /tmp may be no disk.
		dir, err := os.MkdirTemp(".", "bench-*.tmp")
		if err != nil {
			return nil, err
		}
		atExit = append(atExit, func() { os.RemoveAll(dir) })
		database = filepath.Join(dir, "bench.db")
	}
	st, err := sqlite.Open(context.Background(), sqlite.Config{Path: database})
	if err == nil {
		atExit = append(atExit, func() { st.Close() })
	}
	return st, err
}

func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// process is a server, or another program beside it.
type process struct {
	cmd  *exec.Cmd
	addr string
	in   io.WriteCloser
	out  *bufio.Reader
}

// start starts this program as something else, on a core of its own.
func start(name, profile string, more ...string) (*process, error) {
	return startOn("0", name, profile, more...)
}

func startOn(core, name, profile string, more ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{self, "-serve", name, "-cpuprofile", profile}, more...)
	if taskset, err := exec.LookPath("taskset"); err == nil && runtime.NumCPU() > 1 {
		args = append([]string{taskset, "-c", core}, args...)
	}
	s := &process{cmd: exec.Command(args[0], args[1:]...)}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	line, err := s.out.ReadString('\n')
	s.addr = strings.TrimSpace(line)
	return s, err
}

func (s *process) stop() {
	s.in.Close()
	s.cmd.Wait()
}

// memory is what a server takes, in bytes, after a collection of its garbage.
type memory struct{ resident, heap, stacks float64 }

func (m memory) sub(o memory) memory {
	return memory{m.resident - o.resident, m.heap - o.heap, m.stacks - o.stacks}
}

func (s *process) memory() (m memory, err error) {
	if _, err := io.WriteString(s.in, "gc\n"); err != nil {
		return m, err
	}
	if _, err := fmt.Fscanln(s.out, &m.heap, &m.stacks); err != nil {
		return m, err
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return m, err
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	m.resident = float64(pages * os.Getpagesize())
	return m, err
}

// cpu is the processor time that the server has used.
func (s *process) cpu() (time.Duration, error) {
	// schedstat is that of a thread; those of all are summed.
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("this needs Linux: %w", err)
	}
	var sum time.Duration
	for _, t := range threads {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", s.cmd.Process.Pid, t.Name()))
		if err != nil {
			continue // it has ended
		}
		n, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// load makes requests.
type load struct {
	mode callback.Mode
	ring *wxcrypt.Keyring
	ids  atomic.Int64
}

func newLoad(mode callback.Mode) (*load, error) {
	ring, err := wxcrypt.NewKeyring(appID, wxcrypt.Secret{Token: token, EncodingAESKey: key})
	return &load{mode: mode, ring: ring}, err
}

// request writes one push, with a MsgId and a nonce of its own.
func (l *load) request(dst []byte, content string) []byte {
	id := l.ids.Add(1)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	nonce := strconv.FormatInt(1e9+id, 10)
	doc := "<xml><ToUserName><![CDATA[gh_866835093fea]]></ToUserName>\n<FromUserName><![CDATA[ogdotwSc_MmEEsJs9-ABZ1QL_4r4]]></FromUserName>\n<CreateTime>" + now +
		"</CreateTime>\n<MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[" + content + "]]></Content>\n<MsgId>" + strconv.FormatInt(6e18+id, 10) + "</MsgId>\n</xml>"
	query := "signature=" + wxcrypt.Signature(token, now, nonce) + "&timestamp=" + now + "&nonce=" + nonce + "&openid=ogdotwSc_MmEEsJs9-ABZ1QL_4r4"
	if l.mode == callback.Safe {
		cipher, _ := wxcrypt.NewCipher(key, appID)
		encrypt := string(cipher.Seal(nil, []byte(doc)))
		query += "&encrypt_type=aes&msg_signature=" + wxcrypt.MsgSignature(token, now, nonce, encrypt)
		doc = "<xml>\n    <ToUserName><![CDATA[gh_866835093fea]]></ToUserName>\n    <Encrypt><![CDATA[" + encrypt + "]]></Encrypt>\n</xml>\n"
	}
	return fmt.Appendf(dst, "POST /wx/bench?%s HTTP/1.1\r\nHost: bench\r\nUser-Agent: Mozilla/4.0\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s", query, len(doc), doc)
}

// hit sends n requests over the given connections and waits for the answers.
func (l *load) hit(addr string, conns, n int) error {
	var wg sync.WaitGroup
	errs := make(chan error, conns)
	for range conns {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			in := bufio.NewReader(c)
			var buf []byte
			for range n / conns {
				buf = l.request(buf[:0], "你好，世界")
				_, err := c.Write(buf)
				if err == nil {
					err = answered(in, l.mode)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// answered reads one response, and holds it to what it must be.
func answered(in *bufio.Reader, mode callback.Mode) error {
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	want := map[callback.Mode]string{0: "success", callback.Plain: "<Content><![CDATA[你好，世界]]></Content>", callback.Safe: "<MsgSignature>"}[mode]
	if r.StatusCode != 200 || !bytes.Contains(body, []byte(want)) {
		return fmt.Errorf("answered %d with %q, want %q in it", r.StatusCode, body, want)
	}
	return nil
}

// park opens n pushes that nobody answers, and returns what closes them.
func (l *load) park(addr string, n int) (func(), error) {
	var open []net.Conn
	stop := func() {
		for _, c := range open {
			c.Close()
		}
	}
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return stop, err
		}
		open = append(open, c)
		if _, err := c.Write(l.request(nil, "<park>")); err != nil {
			return stop, err
		}
	}
	time.Sleep(200 * time.Millisecond) // the last ones get where they wait
	return stop, nil
}

func run(rounds, requests, conns, parked int, profile string) error {
	runtime.GOMAXPROCS(1)
	if err := micro(rounds); err != nil {
		return err
	}
	results := make([][]float64, len(kinds)) // µs per request
	var servers []*process
	var loads []*load
	for _, k := range kinds {
		s, err := start(k.name, profile)
		if err != nil {
			return err
		}
		defer s.stop()
		l, err := newLoad(k.mode)
		if err != nil {
			return err
		}
		if err := l.hit(s.addr, conns, requests/10); err != nil { // warm up
			return fmt.Errorf("%s: %w", k.name, err)
		}
		servers, loads = append(servers, s), append(loads, l)
	}
	for range rounds {
		for i, s := range servers {
			before, err := s.cpu()
			if err != nil {
				return err
			}
			if err := loads[i].hit(s.addr, conns, requests); err != nil {
				return fmt.Errorf("%s: %w", kinds[i].name, err)
			}
			after, err := s.cpu()
			if err != nil {
				return err
			}
			n := requests / conns * conns
			results[i] = append(results[i], float64((after-before).Nanoseconds())/float64(n)/1000)
		}
	}
	fmt.Printf("CPU per request, %d connections, %d rounds of %d requests, %s, %s/%s, %d cores\n\n",
		conns, rounds, requests, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Printf("| server | µs per request: min, median, max | beside bare net/http |\n|---|---|---|\n")
	base := median(results[0])
	for i, k := range kinds {
		m := median(results[i])
		fmt.Printf("| %s | %.1f, %.1f, %.1f | %.2f |\n", k.name, slices.Min(results[i]), m, slices.Max(results[i]), m/base)
	}
	for _, s := range servers {
		s.stop()
	}
	if parked == 0 {
		return nil
	}
	fmt.Printf("\n| %d parked pushes | KiB each | heap | stacks |\n|---|---|---|---|\n", parked)
	for _, k := range kinds[:3] {
		s, err := start(k.name, "")
		if err != nil {
			return err
		}
		l, err := newLoad(k.mode)
		if err != nil {
			return err
		}
		each, err := parkedMemory(s, l, parked, conns)
		s.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		per := 1024 * float64(parked)
		fmt.Printf("| %s | %.1f | %.1f | %.1f |\n", k.name, each.resident/per, each.heap/per, each.stacks/per)
	}
	return nil
}

func parkedMemory(s *process, l *load, parked, conns int) (m memory, err error) {
	if err := l.hit(s.addr, conns, 2000); err != nil {
		return m, err
	}
	before, err := s.memory()
	if err != nil {
		return m, err
	}
	stop, err := l.park(s.addr, parked)
	defer stop()
	if err != nil {
		return m, err
	}
	after, err := s.memory()
	return after.sub(before), err
}

func median(f []float64) float64 {
	f = slices.Sorted(slices.Values(f))
	return f[len(f)/2]
}

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
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
)

// lateKinds are servers of which some have turns open whose handlers take minutes. The first one has none.
var lateKinds = []struct {
	name string
	open bool
	api  callback.API
}{
	{"none open", false, noAPI{}},
	{"by the API", true, noAPI{}},
	{"by tickets", true, nil},
}

// noAPI is never called, since nothing is ever ready.
type noAPI struct{}

func (noAPI) Send(context.Context, string, echostr.Reply) callback.Sending {
	return callback.Sending{Fate: callback.SendLater, Reason: "there is no API"}
}
func (noAPI) Typing(context.Context, string) error { return errors.New("there is no API") }

// lateHandler serves one account with a database.
func lateHandler(api callback.API) (http.Handler, error) {
	r := echostr.NewRouter()
	echostr.On(r, func(ctx context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		if m.Content == lateText {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return echostr.Text(m.Content), nil
	})
	st, err := openStore("")
	if err != nil {
		return nil, err
	}
	return callback.New(callback.Config{
		Handler: r, Store: st, Logger: logger(), MaxWaiting: 20_000,
		Accounts: []callback.Account{{
			Name: "bench", AppID: appID, Token: token, Mode: callback.Plain, API: api, HandlerTimeout: 10 * time.Minute,
			HoldBudget: 1, // so that the first push of nearly every message is answered
		}},
	})
}

const lateText = "<late>"

// late measures how long a push takes that is answered at once, while so many others wait for their handlers.
func late(open, rounds, requests, conns int) error {
	runtime.GOMAXPROCS(1)
	type result struct{ p50, p99, cpu []float64 }
	results := make([]result, len(lateKinds))
	var servers []*process
	l, err := newLoad(callback.Plain)
	if err != nil {
		return err
	}
	for _, k := range lateKinds {
		s, err := start(k.name, "")
		if err != nil {
			return err
		}
		defer s.stop()
		servers = append(servers, s)
		if k.open {
			if err := l.leaveOpen(s.addr, open); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
		if _, err := l.times(s.addr, conns, requests/10); err != nil { // warm up
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	for range rounds {
		for i, s := range servers {
			before, err := s.cpu()
			if err != nil {
				return err
			}
			took, err := l.times(s.addr, conns, requests)
			if err != nil {
				return fmt.Errorf("%s: %w", lateKinds[i].name, err)
			}
			after, err := s.cpu()
			if err != nil {
				return err
			}
			r := &results[i]
			r.p50 = append(r.p50, float64(took[len(took)/2].Microseconds()))
			r.p99 = append(r.p99, float64(took[len(took)*99/100].Microseconds()))
			r.cpu = append(r.cpu, float64((after-before).Nanoseconds())/float64(len(took))/1000)
		}
	}
	fmt.Printf("A push that is answered at once, while %d turns wait for their handlers; SQLite, %d connections, %d rounds of %d, medians, load %s\n\n| late answers | p50 µs | ratio | p99 µs | ratio | CPU µs | ratio |\n|---|---|---|---|---|---|---|\n",
		open, conns, rounds, requests, loadAverage())
	base := results[0]
	for i, k := range lateKinds {
		r := results[i]
		fmt.Printf("| %s | %.0f | %.2f | %.0f | %.2f | %.1f | %.2f |\n", k.name, median(r.p50), median(r.p50)/median(base.p50),
			median(r.p99), median(r.p99)/median(base.p99), median(r.cpu), median(r.cpu)/median(base.cpu))
	}
	fmt.Println()
	return nil
}

// leaveOpen sends n messages whose handlers do not return, and waits until they have got what a push gets then.
func (l *load) leaveOpen(addr string, n int) error {
	<-l.leave(addr) // which may be held: that is all that the budget allows
	var answers []<-chan error
	for range n - 1 {
		answers = append(answers, l.leave(addr))
		time.Sleep(2 * time.Millisecond) // so that not all windows end at one moment
	}
	var last error
	unanswered := 0
	for _, answer := range answers {
		if err := <-answer; err != nil {
			last = err
			unanswered++
		}
	}
	if unanswered > n/50 { // few may be left to WeChat's retry, which is not what is measured
		return fmt.Errorf("%d of %d late messages were not answered, the last of them since: %w", unanswered, n, last)
	}
	return nil
}

// leave sends such a message and returns what comes of it.
func (l *load) leave(addr string) <-chan error {
	answer := make(chan error, 1)
	c, err := net.Dial("tcp", addr)
	if err == nil {
		c.SetDeadline(time.Now().Add(8 * time.Second))
		_, err = c.Write(l.request(nil, lateText))
	}
	if err != nil {
		answer <- err
		return answer
	}
	go func() {
		defer c.Close()
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
		}
		answer <- err
	}()
	return answer
}

// times sends n requests over the given connections, and returns how long each took, sorted.
func (l *load) times(addr string, conns, n int) ([]time.Duration, error) {
	took := make([][]time.Duration, conns)
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				failed.Store(&err)
				return
			}
			defer c.Close()
			in := bufio.NewReader(c)
			var buf []byte
			for range n / conns {
				buf = l.request(buf[:0], "你好，世界")
				began := time.Now()
				_, err := c.Write(buf)
				if err == nil {
					err = answered(in, l.mode)
				}
				if err != nil {
					failed.Store(&err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return all, nil
}

// The drain: late answers that wait in a database are sent by the whole server to an API of our own, beside a
// program that does nothing but post the same. Both are started anew for each round, on the same core with
// GOMAXPROCS 1, and have at most 32 requests under way. What they do before the first message and after the
// last one is not counted, what they open connections for is.

const (
	drainServer = "drain"
	drainAPI    = "drain API"
	drainPost   = "drain post"

	benchSecret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	answerText  = "您好，您查询的订单已经发货，预计明天下午送达。快递单号是 SF1234567890，您可以点下面的菜单查看物流。如果还有问题，请直接回复。"
)

// drain measures what it costs to send n answers.
func drain(n, rounds int, profile string) error {
	runtime.GOMAXPROCS(1)
	dir, err := os.MkdirTemp(".", "bench-*.tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil { // a configuration takes its paths from where it lies
		return err
	}
	api, err := startOn("1", drainAPI, "")
	if err != nil {
		return err
	}
	defer api.stop()
	var ours, bare, seconds []float64
	for round := range rounds {
		took, cost, err := drainOnce(api, filepath.Join(dir, strconv.Itoa(round)), n, profile)
		if err != nil {
			return err
		}
		ours, seconds = append(ours, cost), append(seconds, took.Seconds())
		cost, err = postOnce(api, n)
		if err != nil {
			return err
		}
		bare = append(bare, cost)
	}
	fmt.Printf("%d answers that wait are sent by the customer-service API, %d rounds, medians, load %s\n\n| who sends | µs of CPU per message: min, median, max | ratio |\n|---|---|---|\n", n, rounds, loadAverage())
	fmt.Printf("| net/http, 32 at a time | %.1f, %.1f, %.1f | 1.00 |\n", slices.Min(bare), median(bare), slices.Max(bare))
	fmt.Printf("| the server | %.1f, %.1f, %.1f | %.2f |\n\n%.0f messages per second\n", slices.Min(ours), median(ours), slices.Max(ours), median(ours)/median(bare), float64(n)/median(seconds))
	return nil
}

// drainOnce fills a database with answers that are due a little later, starts a server on it, and measures from then
// on until the last one is sent.
func drainOnce(api *process, dir string, n int, profile string) (took time.Duration, cost float64, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	// The server has to be up by then, and to have read what is due.
	due := time.Now().Add(3*time.Second + time.Duration(n)*200*time.Microsecond).Truncate(time.Millisecond)
	if err := fillLate(filepath.Join(dir, "echostr.db"), n, due); err != nil {
		return 0, 0, err
	}
	config := filepath.Join(dir, "echostr.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nadmin_token_file: %s\nstore: %q\napi_base_url: http://%s\nlog:\n  level: warn\naccounts:\n  - name: bench\n    app_id: %s\n    app_secret: %s\n    token: %s\n    mode: plain\n    verified: true\n",
		filepath.Join(dir, "token"), "sqlite:"+filepath.Join(dir, "echostr.db"), api.addr, appID, benchSecret, token)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, 0, err
	}
	s, err := start(drainServer, profile, "-config", config)
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	if left := time.Until(due); left < 500*time.Millisecond {
		return 0, 0, fmt.Errorf("the server was up %v before the answers were due: the machine is too slow or too busy", left)
	}
	time.Sleep(time.Until(due.Add(-200 * time.Millisecond)))
	return api.measure(s, n, "begin", due)
}

// postOnce has the bare client post as many messages.
func postOnce(api *process, n int) (cost float64, err error) {
	post, err := start(drainPost, "", "-api", api.addr)
	if err != nil {
		return 0, err
	}
	defer post.stop()
	_, cost, err = api.measure(post, n, strconv.Itoa(n), time.Now())
	return cost, err
}

// measure takes the processor time of s from when it is told to begin until the API has got n messages more. How
// long that takes is reckoned from the time given.
func (api *process) measure(s *process, n int, begin string, from time.Time) (took time.Duration, cost float64, err error) {
	had, err := api.count()
	if err != nil {
		return 0, 0, err
	}
	before, err := s.cpu()
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Fprintln(s.in, begin); err != nil {
		return 0, 0, err
	}
	for {
		time.Sleep(20 * time.Millisecond)
		now, err := api.count()
		if err != nil {
			return 0, 0, err
		}
		took = time.Since(from)
		if now-had >= n {
			break
		}
		if took > 2*time.Minute {
			return 0, 0, fmt.Errorf("%d of %d messages were sent in two minutes", now-had, n)
		}
	}
	time.Sleep(200 * time.Millisecond) // what is noted of the last ones
	after, err := s.cpu()
	return took, float64((after - before).Nanoseconds()) / float64(n) / 1000, err
}

// count asks the API how many messages it has got.
func (api *process) count() (int, error) {
	if _, err := io.WriteString(api.in, "count\n"); err != nil {
		return 0, err
	}
	line, err := api.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

// fillLate makes a database with n answers, of as many users, that are due at that time.
func fillLate(path string, n int, due time.Time) error {
	s, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	defer s.Close()
	inst, err := s.Installation(context.Background())
	if err != nil {
		return err
	}
	keyer := store.NewKeyer(inst.Salt)
	first := time.Now().UTC().Truncate(time.Millisecond).Add(-time.Minute)
	// The node that the server will be, as it is when the same process, or the one before, has taken the messages: a
	// longer name would not have the room in the database that the row of a message has.
	owner, err := s.Join(context.Background(), "echostr")
	if err != nil {
		return err
	}
	var ops []store.Op
	for i := range n {
		openID, received := lateUser(i), first.Add(time.Duration(i)*time.Millisecond)
		ops = append(ops, store.Op{Turn: store.Turn{
			Key:     keyer.Key([32]byte{byte(i), byte(i >> 8), byte(i >> 16), 2}, received.Unix(), received),
			Account: "bench", OpenID: openID, OriginalID: "gh_866835093fea", MsgType: "text", Body: fmt.Sprintf("%330d", i),
			CreateTime: received.Unix(), ReceivedAt: received, Pushes: []store.Push{{Number: 1, At: received}}, Seen: 1,
			State: store.Running, Attempt: 1, Owner: owner,
		}})
		if len(ops) < 64 && i < n-1 {
			continue
		}
		// As messages do that come in together: what the handlers return is saved where the messages are.
		if err := s.Claim(context.Background(), ops); err != nil {
			return err
		}
		for j := range ops {
			t := &ops[j].Turn
			to := echostr.Address{ToUserName: t.OpenID, FromUserName: t.OriginalID, CreateTime: t.CreateTime}
			t.State, t.FinishedAt = store.Answered, t.ReceivedAt.Add(8*time.Second)
			t.Reply = string(echostr.AppendReply(nil, echostr.Text(answerText), to))
			t.Pushes = []store.Push{{Number: 1, At: t.ReceivedAt, Got: store.GotSuccess}}
			t.Delivery, t.Due = store.Late, due.UTC()
		}
		if err := s.Save(context.Background(), ops); err != nil {
			return err
		}
		for j := range ops {
			if op := &ops[j]; !op.OK || op.Err != nil {
				return fmt.Errorf("an answer was not stored: %v", op.Err)
			}
		}
		ops = ops[:0]
	}
	return s.Leave(context.Background(), owner)
}

func lateUser(i int) string { return fmt.Sprintf("ogdotwSc_MmEEsJs9-ABZ1%06d", i) }

// lateRole is what the program is for the drain, if it is something.
func lateRole(name, api, config, profile string) (run func() error, ok bool) {
	switch name {
	case drainAPI:
		return serveAPI, true
	case drainPost:
		return func() error { return postFor(api) }, true
	case drainServer:
		return func() error { return serveDrain(config, profile) }, true
	}
	return nil, false
}

// serveAPI is WeChat's API, as far as late answers need it: it counts.
func serveAPI() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	var got atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /cgi-bin/stable_token", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"access_token":"`+benchToken+`","expires_in":7200}`)
	})
	mux.HandleFunc("POST /cgi-bin/message/custom/send", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Contains(body, []byte(answerText)) || r.URL.Query().Get("access_token") != benchToken {
			io.WriteString(w, `{"errcode":40001,"errmsg":"this is not the message"}`)
			return
		}
		got.Add(1)
		w.Header()["Content-Type"] = []string{"application/json; encoding=utf-8"}
		io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
	})
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println(got.Load())
		}
		os.Exit(0)
	}()
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 3 * time.Second}).Serve(l)
}

const benchToken = "69_benchTokenAsLongAsThoseOfWeChatWhichHaveMoreThanAHundredCharactersOfThisKindAndSometimesMuchMoreThanThat0123456789"

// postFor posts as many messages as it is told to, 32 at a time and each byte for byte what the server sends.
func postFor(api string) error {
	fmt.Println("ready")
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32
	client := http.Client{Transport: t, Timeout: 10 * time.Second}
	target := "http://" + api + "/cgi-bin/message/custom/send?access_token=" + benchToken
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		n, err := strconv.Atoi(in.Text())
		if err != nil {
			return err
		}
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
					body := `{"touser":"` + lateUser(i) + `","msgtype":"text","text":{"content":"` + answerText + `"}}`
					req, err := http.NewRequest(http.MethodPost, target, strings.NewReader(body))
					if err != nil {
						fmt.Fprintln(os.Stderr, err)
						return
					}
					req.Header = http.Header{"User-Agent": {"echostr"}, "Accept": {"application/json, */*"}, "Content-Type": {"application/json; charset=utf-8"}}
					r, err := client.Do(req)
					if err != nil {
						fmt.Fprintln(os.Stderr, err)
						return
					}
					var answer struct {
						Code int `json:"errcode"`
					}
					if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || answer.Code != 0 {
						fmt.Fprintln(os.Stderr, "the API has refused a message:", answer.Code, err)
					}
					io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
			})
		}
		wg.Wait()
	}
	return nil
}

// serveDrain is the whole server, as `echostr serve` runs it. A line has the profile begin: the start of the
// server is not what is measured.
func serveDrain(config, profile string) error {
	cfg, err := server.Load(config, os.Environ())
	if err != nil {
		return err
	}
	srv, err := server.New(cfg, &server.Options{Handler: echostr.NewRouter(), Logger: logger(), TokenFile: server.TokenFile(cfg, config), Version: "bench"})
	if err != nil {
		return err
	}
	fmt.Println(srv.Addr())
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	endProfile := func() {}
	go func() {
		defer stop()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			if end, err := startProfile(drainServer, profile); err != nil {
				log.Print(err)
			} else {
				endProfile = end
			}
		}
		endProfile()
	}()
	return srv.Run(ctx)
}

// loadAverage is what else the machine does.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return string(bytes.Fields(b)[0])
}

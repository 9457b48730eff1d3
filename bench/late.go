package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
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

// late measures pushes beside turns that wait, and the sending of answers.
func (b *bench) late() ([]*Table, error) {
	beside, err := b.besideLate()
	if err != nil {
		return nil, err
	}
	sent, err := b.drain()
	return []*Table{beside, sent}, err
}

// besideLate measures how long a push takes that is answered at once, while others wait for their handlers.
func (b *bench) besideLate() (*Table, error) {
	t := &Table{
		Title:   fmt.Sprintf("A push that is answered at once, while %s turns wait for their handlers; SQLite, %d connections, %d rounds of %s", thousands(fmt.Sprint(b.open)), b.conns, b.rounds, thousands(fmt.Sprint(b.requests))),
		Columns: []string{"late answers", "p50 ms", "beside none", "aim", "p99 ms", "beside none", "aim", "CPU µs", "beside none"},
	}
	kinds := []struct {
		name, late string
		open       bool
	}{{"none", byAPI, false}, {"by the API", byAPI, true}, {"by tickets", byTicket, true}}
	results := make([]runs, len(kinds))
	var servers []*process
	l := newLoad(callback.Plain, 1)
	for _, k := range kinds {
		s, err := b.start(role{Kind: echostrBot, Mode: callback.Plain, Store: b.path(".db"), Late: k.late})
		if err != nil {
			return nil, err
		}
		defer s.stop()
		servers = append(servers, s)
		if k.open {
			if n := l.leaveOpen(s.addr, b.open); n > 1 {
				t.note(fmt.Sprintf("%d of the %d pushes of the turns that are late (%s) were left to WeChat's retry: the machine was too busy to answer them in time.", n, b.open, k.name))
			}
		}
		if err := b.prepare(l, s); err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
	}
	if err := b.takeTurns(len(kinds), func(i int) error { return results[i].round(l, b.conns, b.requests, servers[i]) }); err != nil {
		return nil, err
	}
	for i, k := range kinds {
		r, base := results[i], results[0]
		row := &Row{Name: k.name, Cells: []Cell{rounds(r.p50), ratio(r.p50, base.p50), text("1.10"), rounds(r.p99), ratio(r.p99, base.p99), text("1.5"), rounds(r.cpu), ratio(r.cpu, base.cpu)}}
		if i == 0 {
			row.Cells[2], row.Cells[5] = text(""), text("")
		}
		t.add(row)
	}
	return t, nil
}

// leaveOpen sends n messages whose handlers do not return, waits until they have got what a push gets then, and
// returns how many have got nothing.
func (l *load) leaveOpen(addr string, n int) (unanswered int) {
	if <-l.leave(addr) != nil { // it may be held: that is all that the budget allows
		unanswered++
	}
	var answers []<-chan error
	for range n - 1 {
		answers = append(answers, l.leave(addr))
		time.Sleep(2 * time.Millisecond) // so that not all windows end at one moment
	}
	for _, answer := range answers {
		if <-answer != nil {
			unanswered++
		}
	}
	return unanswered
}

// leave sends such a message and returns what comes of it.
func (l *load) leave(addr string) <-chan error {
	answer := make(chan error, 1)
	c, err := net.Dial("tcp", addr)
	if err == nil {
		c.SetDeadline(time.Now().Add(8 * time.Second))
		_, err = c.Write(l.push(waitText))
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

// drain measures what it costs to send the answers that wait.
func (b *bench) drain() (*Table, error) {
	t := &Table{
		Title:   fmt.Sprintf("%s answers that wait in SQLite are sent by the customer-service API, %d rounds", thousands(fmt.Sprint(b.answers)), b.rounds),
		Columns: []string{"who sends", "CPU µs per message", "beside net/http", "aim", "messages/s"},
		Chart:   &Chart{"late.svg", "CPU of sending an answer that waits, µs", []int{1}},
	}
	api, err := b.startOn("1", role{Kind: drainAPI})
	if err != nil {
		return nil, err
	}
	defer api.stop()
	var ours, bare, rate []float64
	for range b.rounds {
		took, cost, err := b.drainOnce(api)
		if err != nil {
			return nil, err
		}
		ours, rate = append(ours, cost), append(rate, float64(b.answers)/took.Seconds())
		cost, err = b.postOnce(api)
		if err != nil {
			return nil, err
		}
		bare = append(bare, cost)
	}
	t.add(&Row{Name: "net/http, 32 at a time", Cells: []Cell{rounds(bare), text("1"), text(""), text("")}},
		&Row{Name: "Echostr, the whole server", Cells: []Cell{rounds(ours), ratio(ours, bare), text("3"), rounds(rate)}})
	return t, nil
}

// drainOnce fills a database with answers that are due a little later, starts a server on it, and measures from then
// on until the last one is sent.
func (b *bench) drainOnce(api *process) (took time.Duration, cost float64, err error) {
	dir, n := b.path(".drain"), b.answers
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
	s, err := b.start(role{Kind: drainServer, Config: config})
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
func (b *bench) postOnce(api *process) (cost float64, err error) {
	post, err := b.start(role{Kind: drainPost, Address: api.addr})
	if err != nil {
		return 0, err
	}
	defer post.stop()
	_, cost, err = api.measure(post, b.answers, strconv.Itoa(b.answers), time.Now())
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
	return took, micros(after-before, n), err
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
			Account: "bench", OpenID: openID, OriginalID: originalID, MsgType: "text", Body: fmt.Sprintf("%330d", i),
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

// serveAPI is WeChat's API, as far as late answers need it: it counts.
func serveAPI() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(control, l.Addr())
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
			fmt.Fprintln(control, got.Load())
		}
		os.Exit(0)
	}()
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 3 * time.Second}).Serve(l)
}

const benchToken = "69_benchTokenAsLongAsThoseOfWeChatWhichHaveMoreThanAHundredCharactersOfThisKindAndSometimesMuchMoreThanThat0123456789"

// post posts as many messages as it is told to, 32 at a time and each byte for byte what the server sends.
func (r *role) post() error {
	fmt.Fprintln(control, "ready")
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32
	client := http.Client{Transport: t, Timeout: 10 * time.Second}
	target := "http://" + r.Address + "/cgi-bin/message/custom/send?access_token=" + benchToken
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
func (r *role) serveDrain() error {
	cfg, err := server.Load(r.Config, os.Environ())
	if err != nil {
		return err
	}
	srv, err := server.New(cfg, &server.Options{Handler: echostr.NewRouter(), Logger: logger(), TokenFile: server.TokenFile(cfg, r.Config), Version: "bench"})
	if err != nil {
		return err
	}
	fmt.Fprintln(control, srv.Addr())
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	endProfile := func() {}
	go func() {
		defer stop()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			if end, err := r.startProfile(); err != nil {
				log.Print(err)
			} else {
				endProfile = end
			}
		}
		endProfile()
	}()
	return srv.Run(ctx)
}

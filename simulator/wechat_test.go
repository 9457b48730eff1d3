package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/internal/pipenet"
)

const (
	second = time.Second
	ms     = time.Millisecond
)

// TestRules lets servers fail in every way and compares every push to the
// millisecond. The server is a real one in memory.
func TestRules(t *testing.T) {
	t.Parallel()
	type row struct {
		Start, Duration time.Duration
		Outcome         Outcome
		Status          int
		Lost            bool
	}
	cut := func(start time.Duration) row { return row{Start: start, Duration: 5 * second, Outcome: Cut} }
	answered := func(start, duration time.Duration, status int) row {
		return row{Start: start, Duration: duration, Outcome: Answered, Status: status}
	}
	for _, tt := range []struct {
		name   string
		rules  Rules
		server []string // what it does with each push: a time and a word
		want   []row
		sees   Sees
		why    string // Problem
	}{
		{"at once", Rules{}, []string{"0s ok"}, []row{answered(0, 0, 200)}, SeesReply, ""},
		{"in time", Rules{}, []string{"4.999s ok"}, []row{answered(0, 4999*ms, 200)}, SeesReply, ""},
		{"second push", Rules{}, []string{"6s ok", "3s ok"}, []row{cut(0), answered(5*second, 3*second, 200)}, SeesReply, ""},
		{"third push", Rules{}, []string{"1h ok", "1h ok", "4.5s ok"}, []row{cut(0), cut(5 * second), answered(10*second, 4500*ms, 200)}, SeesReply, ""},
		{"never", Rules{}, []string{"1h ok", "1h ok", "1h ok", "0s ok"}, []row{cut(0), cut(5 * second), cut(10 * second)}, SeesFault, "timeout"},
		{"four pushes", Rules{Pushes: 4}, []string{"1h ok", "1h ok", "1h ok", "0s ok"}, []row{cut(0), cut(5 * second), cut(10 * second), answered(15*second, 0, 200)}, SeesReply, ""},
		{"one push", Rules{Pushes: 1}, []string{"1h ok"}, []row{cut(0)}, SeesFault, "timeout"},
		{"scaled", Rules{Timeout: 500 * ms}, []string{"600ms ok", "400ms ok"}, []row{{0, 500 * ms, Cut, 0, false}, answered(500*ms, 400*ms, 200)}, SeesReply, ""},
		{"headers only", Rules{}, []string{"0s half", "0s success"}, []row{cut(0), answered(5*second, 0, 200)}, SeesNothing, ""},
		{"500 at once", Rules{}, []string{"1s 500", "1s 500", "1s success"}, []row{answered(0, second, 500), answered(second, second, 500), answered(2*second, second, 200)}, SeesNothing, ""},
		{"500 later", Rules{WaitAfterFailure: true}, []string{"1s 500", "1s 500", "1s success"}, []row{answered(0, second, 500), answered(5*second, second, 500), answered(10*second, second, 200)}, SeesNothing, ""},
		{"201 three times", Rules{}, []string{"0s 201", "0s 201", "0s 201"}, []row{answered(0, 0, 201), answered(0, 0, 201), answered(0, 0, 201)}, SeesFault, "status"},
		{"redirect", Rules{Pushes: 1}, []string{"0s 302"}, []row{answered(0, 0, 302)}, SeesFault, "status"},
		{"refused", Rules{}, []string{"refuse", "refuse", "refuse"}, []row{{0, 0, Refused, 0, false}, {0, 0, Refused, 0, false}, {0, 0, Refused, 0, false}}, SeesFault, "refused"},
		{"refused later", Rules{WaitAfterFailure: true}, []string{"refuse", "refuse", "0s ok"}, []row{{0, 0, Refused, 0, false}, {5 * second, 0, Refused, 0, false}, answered(10*second, 0, 200)}, SeesReply, ""},
		{"no route", Rules{}, []string{"hang", "0s ok"}, []row{cut(0), answered(5*second, 0, 200)}, SeesReply, ""},
		{"reset", Rules{}, []string{"2s abort", "2s abort", "2s abort"}, []row{{0, 2 * second, Reset, 0, false}, {2 * second, 2 * second, Reset, 0, false}, {4 * second, 2 * second, Reset, 0, false}}, SeesFault, "reset"},
		{"broken body", Rules{}, []string{"0s broken", "0s ok"}, []row{{0, 0, Reset, 0, false}, answered(0, 0, 200)}, SeesReply, ""},
		{"lost, refused", Rules{LoseFirst: 1}, []string{"0s ok"}, []row{{0, 0, Refused, 0, true}, answered(0, 0, 200)}, SeesReply, ""},
		{"lost, refused, later", Rules{LoseFirst: 1, WaitAfterFailure: true}, []string{"0s ok"}, []row{{0, 0, Refused, 0, true}, answered(5*second, 0, 200)}, SeesReply, ""},
		{"lost silently", Rules{LoseFirst: 2, LoseSilently: true}, []string{"1s ok"}, []row{{0, 5 * second, Cut, 0, true}, {5 * second, 5 * second, Cut, 0, true}, answered(10*second, second, 200)}, SeesReply, ""},
		{"all lost", Rules{LoseFirst: 9}, nil, []row{{0, 0, Refused, 0, true}, {0, 0, Refused, 0, true}, {0, 0, Refused, 0, true}}, SeesFault, "refused"},
		{"bad answer is not retried", Rules{}, []string{"0s {}", "0s ok"}, []row{answered(0, 0, 200)}, SeesFault, "json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T) {
				var mu sync.Mutex
				script := tt.server
				next := func() (d time.Duration, word string) {
					mu.Lock()
					defer mu.Unlock()
					if len(script) == 0 {
						t.Error("a push too many")
						return 0, "500"
					}
					after, word, _ := strings.Cut(script[0], " ")
					script = script[1:]
					d, err := time.ParseDuration(after)
					if err != nil {
						return 0, after
					}
					return d, word
				}
				var word string
				var wait time.Duration
				listener := serve(t, func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					wait, word := wait, word
					mu.Unlock()
					p := receive(r)
					select {
					case <-time.After(wait):
					case <-r.Context().Done():
						return
					}
					switch word {
					case "ok":
						io.WriteString(w, textReply(t, plainAccount, p, "hi"))
					case "half":
						w.WriteHeader(200)
						w.(http.Flusher).Flush()
						<-r.Context().Done()
					case "broken":
						w.Header().Set("Content-Length", "100")
						io.WriteString(w, "<xml>")
					case "abort":
						panic(http.ErrAbortHandler)
					case "302":
						http.Redirect(w, r, "http://wx.example/", http.StatusFound)
					case "201", "500":
						w.WriteHeader(map[string]int{"201": 201, "500": 500}[word])
					default:
						io.WriteString(w, word)
					}
				})
				var dial dialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
					d, what := next()
					mu.Lock()
					wait, word = d, what
					mu.Unlock()
					switch what {
					case "refuse":
						return nil, errors.New("connection refused")
					case "hang":
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return listener.DialContext(ctx, network, address)
				}
				var started, ended []Push
				begin := time.Now()
				r := send(t, Config{
					DialContext: dial, Rules: tt.rules,
					PushStarted: func(p Push) { started = append(started, p) },
					PushEnded:   func(p Push) { ended = append(ended, p) },
				}, Text("你好"), nil)
				var got []row
				for i, p := range r.Pushes {
					got = append(got, row{p.Start.Sub(begin), p.Duration, p.Outcome, p.Status, p.Lost})
					if p.Number != i+1 {
						t.Errorf("push %d has number %d", i+1, p.Number)
					}
					if (p.Err != nil) != (p.Outcome == Refused || p.Outcome == Reset) {
						t.Errorf("push %d: %v with error %v", i+1, p.Outcome, p.Err)
					}
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Error(d)
				}
				if r.Verdict.Sees != tt.sees || r.Verdict.Problem != tt.why || r.Verdict.OK() != (tt.why == "") {
					t.Errorf("verdict %v, %q: %v", r.Verdict.Sees, r.Verdict.Problem, r.Verdict)
				}
				if len(started) != len(r.Pushes) || len(ended) != len(r.Pushes) || started[0].Outcome != Pending || ended[0].Outcome != r.Pushes[0].Outcome {
					t.Errorf("hooks: %v, %v", started, ended)
				}
				if !strings.Contains(r.String(), r.Verdict.Why) && tt.sees == SeesFault {
					t.Errorf("the report does not say why:\n%v", r)
				}
			})
		})
	}
}

// TestRetries compares the pushes of one message: what is the same and what is not.
func TestRetries(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, fresh := range []bool{false, true} {
			t.Run(fmt.Sprint(mode, " fresh=", fresh), func(t *testing.T) {
				t.Parallel()
				virtual(t, func(t *testing.T) {
					acc := account(mode)
					pushes := make(chan push, 10)
					listener := serve(t, func(w http.ResponseWriter, r *http.Request) {
						p := receive(r)
						pushes <- p
						if len(pushes) < 3 {
							<-r.Context().Done()
							return
						}
						io.WriteString(w, textReply(t, acc, p, "hi"))
					})
					conns := map[net.Conn]bool{}
					var dial dialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
						c, err := listener.DialContext(ctx, network, address)
						conns[c] = true
						return c, err
					}
					wechat := newWeChat(t, Config{Account: acc, DialContext: dial, Rules: Rules{FreshRetries: fresh}})
					r, err := wechat.Send(t.Context(), Text("你好"))
					if err != nil || r.Verdict.Sees != SeesReply || r.Verdict.Reply.Content != "hi" || r.Verdict.Reply.Sealed != (mode == Safe) {
						t.Fatalf("%v, %v", r, err)
					}
					if len(conns) != 3 {
						t.Errorf("%d connections", len(conns))
					}
					a, b, c := <-pushes, <-pushes, <-pushes
					for _, p := range []push{a, b, c} {
						if openPush(t, acc, p) != string(r.Document) {
							t.Error("a retry carries another document")
						}
					}
					same := func(p, q push) bool { return cmp.Equal(p.query, q.query) && p.body == q.body }
					if same(a, b) == fresh || same(b, c) == fresh {
						t.Error("retries are the same, or not, against the rule")
					}
					if fresh && mode != Plain && a.body == b.body {
						t.Error("the ciphertext of a fresh retry is the old one")
					}

					again, err := wechat.Repeat(t.Context(), r)
					if err != nil || string(again.Document) != string(r.Document) {
						t.Fatalf("Repeat: %v, %v", again, err)
					}
					for range 2 {
						<-pushes // held and cut, as the handler counts what is in the channel
					}
					if p := <-pushes; same(a, p) {
						t.Error("Repeat sends the captured request")
					}
					pushes <- push{}
					pushes <- push{}
					replay, err := wechat.Replay(t.Context(), r)
					<-pushes
					<-pushes
					if p := <-pushes; err != nil || len(replay.Pushes) != 1 || !same(a, p) {
						t.Errorf("Replay: %v, %v", replay, err)
					}
				})
			})
		}
	}
}

func TestEveryMessageIsNew(t *testing.T) {
	t.Parallel()
	ok := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "success") }
	wechat := newWeChat(t, Config{Transport: Direct(http.HandlerFunc(ok))})
	var mu sync.Mutex
	ids := map[int64]bool{}
	var wg sync.WaitGroup
	hello := Text("hello")
	for range 50 {
		wg.Go(func() {
			r, err := wechat.Send(t.Context(), hello)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if id := r.Message.MsgID; id < 1<<53 || ids[id] {
				t.Errorf("MsgId %d", id)
			} else {
				ids[id] = true
			}
		})
	}
	wg.Wait()

	m := hello
	m.FromUserName, m.ToUserName, m.CreateTime, m.MsgID = "oOther", "gh_other", 1700000000, 42
	r := send(t, Config{}, m, ok)
	want := "<xml><ToUserName><![CDATA[gh_other]]></ToUserName>\n<FromUserName><![CDATA[oOther]]></FromUserName>\n<CreateTime>1700000000</CreateTime>\n" +
		"<MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[hello]]></Content>\n<MsgId>42</MsgId>\n</xml>"
	if string(r.Document) != want {
		t.Errorf("%s\nwant\n%s", r.Document, want)
	}
	if _, err := wechat.Send(t.Context(), Message{}); err == nil {
		t.Error("the zero Message is sent")
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rules  Rules
		status int // 0: no answer
		pushes int
	}{
		"while a push is open":   {Rules{}, 0, 1},
		"between two pushes":     {Rules{WaitAfterFailure: true}, 500, 2},
		"while a push gets lost": {Rules{LoseFirst: 3, LoseSilently: true}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 7*second)
				defer cancel()
				begin := time.Now()
				wechat := newWeChat(t, Config{Rules: tt.rules, Transport: Direct(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if tt.status != 0 {
						w.WriteHeader(tt.status)
						return
					}
					<-r.Context().Done()
				}))})
				r, err := wechat.Send(ctx, Text("hi"))
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 7*second {
					t.Errorf("%v after %v", err, time.Since(begin))
				}
				if len(r.Pushes) != tt.pushes || r.Verdict.OK() || r.Verdict.Sees != SeesNothing {
					t.Errorf("%v", r)
				}
			})
		})
	}
}

func TestDirect(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		cut := make(chan time.Duration, 1)
		wechat := func(h http.HandlerFunc) *Report {
			return send(t, Config{Rules: Rules{Pushes: 1}}, Text("hi"), h)
		}
		begin := time.Now()
		wechat(func(w http.ResponseWriter, r *http.Request) {
			if _, ok := r.Context().Deadline(); ok {
				t.Error("the server can see WeChat's deadline")
			}
			<-r.Context().Done()
			cut <- time.Since(begin)
			io.WriteString(w, "too late")
		})
		if got := <-cut; got != 5*second {
			t.Errorf("the handler saw the cut after %v", got)
		}
		if r := wechat(func(w http.ResponseWriter, r *http.Request) { time.Sleep(5 * second) }); r.Pushes[0].Outcome != Cut {
			t.Errorf("an answer at the cut: %v", r)
		}
		if r := wechat(func(http.ResponseWriter, *http.Request) { panic("oops") }); r.Pushes[0].Outcome != Reset || !strings.Contains(r.Pushes[0].Err.Error(), "oops") {
			t.Errorf("panic: %v", r)
		}
		if r := wechat(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }); r.Pushes[0].Outcome != Reset {
			t.Errorf("abort: %v", r)
		}
		if r := wechat(func(http.ResponseWriter, *http.Request) {}); r.Pushes[0].Status != 200 || !r.Verdict.OK() {
			t.Errorf("nothing written: %v", r)
		}
		if r := wechat(func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, maxBody+2)) }); r.Verdict.Problem != "too-large" || len(r.Pushes[0].Body) != maxBody+1 {
			t.Errorf("large: %v", r.Verdict)
		}
	})
}

// TestRealSocket is the one that no virtual time replaces.
func TestRealSocket(t *testing.T) {
	t.Parallel()
	pushes := make(chan push, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			io.WriteString(w, r.FormValue("echostr"))
			return
		}
		got := receive(r)
		pushes <- got
		if strings.Contains(got.body, "slow") {
			<-r.Context().Done()
			return
		}
		io.WriteString(w, textReply(t, plainAccount, got, "收到"))
	}))
	defer srv.Close()
	acc := plainAccount
	acc.URL = srv.URL + "/wx/dev?tenant=1&x#fragment"
	wechat := newWeChat(t, Config{Account: acc, Rules: Rules{Timeout: 5 * second}})
	r, err := wechat.Send(t.Context(), Text("hi"))
	if err != nil || r.Verdict.String() != "reply: text: 收到" {
		t.Errorf("%v, %v", r, err)
	}
	if got := <-pushes; got.query.Get("tenant") != "1" || got.header.Get("Accept-Encoding") != "" {
		t.Errorf("%v %v", got.query, got.header)
	}
	check, err := wechat.Verify(t.Context())
	if err != nil || !check.OK() {
		t.Errorf("%v, %v", check, err)
	}
	fast := newWeChat(t, Config{Account: acc, Rules: Rules{Timeout: 50 * ms}})
	r, err = fast.Send(t.Context(), Text("slow"))
	if err != nil || len(r.Pushes) != 3 || r.Pushes[0].Outcome != Cut || r.Verdict.Problem != "timeout" {
		t.Errorf("%v, %v", r, err)
	}
	srv.Close()
	r, err = wechat.Send(t.Context(), Text("hi"))
	if err != nil || len(r.Pushes) != 3 || r.Pushes[2].Outcome != Refused || r.Verdict.Problem != "refused" {
		t.Errorf("%v, %v", r, err)
	}
}

// TestManyAtOnce is how the whole server is tested: thousands of messages
// under way in virtual time. The handler is slow, so most need a second push.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		const messages = 2000
		var mu sync.Mutex
		seen := map[string]int{}
		wechat := newWeChat(t, Config{Transport: Direct(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p := receive(r)
			mu.Lock()
			seen[p.body]++
			first := seen[p.body] == 1
			mu.Unlock()
			if first {
				<-r.Context().Done()
				return
			}
			time.Sleep(second)
			io.WriteString(w, "success")
		}))})
		begin := time.Now()
		var wg sync.WaitGroup
		for range messages {
			wg.Go(func() {
				r, err := wechat.Send(t.Context(), Text("慢 6"))
				if err != nil || len(r.Pushes) != 2 || !r.Verdict.OK() {
					t.Errorf("%v, %v", r, err)
				}
			})
		}
		wg.Wait()
		if len(seen) != messages || time.Since(begin) != 6*second {
			t.Errorf("%d messages in %v", len(seen), time.Since(begin))
		}
	})
}

func BenchmarkSend(b *testing.B) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "success") })
	for _, mode := range modes {
		b.Run("direct/"+string(mode), func(b *testing.B) {
			b.ReportAllocs()
			wechat := newWeChat(b, Config{Account: account(mode), Transport: Direct(ok)})
			for b.Loop() {
				if r, err := wechat.Send(b.Context(), Text("你好")); err != nil || !r.Verdict.OK() {
					b.Fatal(r, err)
				}
			}
		})
	}
	b.Run("pipe/plain", func(b *testing.B) {
		b.ReportAllocs()
		l := pipenet.Listen()
		srv := &http.Server{Handler: ok}
		go srv.Serve(l)
		defer srv.Close()
		wechat := newWeChat(b, Config{DialContext: l.DialContext})
		for b.Loop() {
			if r, err := wechat.Send(b.Context(), Text("你好")); err != nil || !r.Verdict.OK() {
				b.Fatal(r, err)
			}
		}
	})
}

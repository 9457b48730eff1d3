package load

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/simulator"
)

func config(server http.Handler) Config {
	return Config{
		Official: simulator.OfficialConfig{
			Account: simulator.Account{URL: "http://127.0.0.1/wx", Token: "LoadToken2026", Mode: simulator.Plain, AppID: "wx0000000000000001"},
			Kind:    simulator.Service, Verified: true, AppSecret: "secret",
		},
		Transport: simulator.Direct(server),
		Rate:      100, Messages: 100, Users: 20, Mix: Mix{{"text", 1}}, Text: "你好", SlowText: "慢 8", Seed: 1, Wait: 30 * time.Second,
	}
}

func start(t *testing.T, c Config) *Load {
	t.Helper()
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// arrived is a push as a server reads it.
type arrived struct {
	ToUserName, FromUserName, MsgType, Event, EventKey, Content string
	CreateTime, MsgId                                           int64
}

func (a arrived) key() string {
	return fmt.Sprint(a.MsgId, a.FromUserName, a.CreateTime, a.Event, a.EventKey)
}

func (a arrived) reply(w io.Writer, text string) {
	fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>%s</Content></xml>",
		a.FromUserName, a.ToUserName, text)
}

// serverOf calls serve with each push, and with what number of its message it is, from 1.
func serverOf(serve func(w http.ResponseWriter, r *http.Request, m arrived, push int)) http.Handler {
	var mu sync.Mutex
	seen := map[string]int{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m arrived
		if err := xml.NewDecoder(r.Body).Decode(&m); err != nil {
			panic(err)
		}
		mu.Lock()
		seen[m.key()]++
		push := seen[m.key()]
		mu.Unlock()
		serve(w, r, m, push)
	})
}

func hang(r *http.Request) { <-r.Context().Done() }

// TestLedger has a server do everything that a server can do, at random, and compares the ledger with what the server has written down.
func TestLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		rng := rand.New(rand.NewPCG(7, 7))
		fate := map[string]int{}
		want := map[string]*Counts{}
		var replied, acknowledged [3]int
		var outcomes Outcomes
		problems := map[string]int{}
		empty := 0
		server := serverOf(func(w http.ResponseWriter, r *http.Request, m arrived, push int) {
			kind := m.MsgType
			if m.Event != "" {
				kind = strings.ToLower(m.Event)
			}
			if m.Content == "慢 8" {
				kind = Slow
			}
			mu.Lock()
			if push == 1 {
				fate[m.key()] = rng.IntN(9)
			}
			do := fate[m.key()]
			n := want[kind]
			if n == nil {
				n = new(Counts)
				want[kind] = n
			}
			if push == 1 {
				n.Messages++
			}
			bad := func(problem string) {
				problems[problem]++
				if m.Event == "" {
					n.FaultNotices++
				}
			}
			done := func() { outcomes.OK++; mu.Unlock() }
			cut := func() { outcomes.Cut++; mu.Unlock(); hang(r) }
			reply := func() {
				n.Replied++
				replied[push-1]++
				done()
				m.reply(w, "好")
			}
			switch {
			case do == 0, do == 1 && push == 2, do == 2 && push == 3:
				reply()
			case do == 1: // slow, so that the second push is answered
				cut()
			case do == 2:
				outcomes.Status++
				mu.Unlock()
				w.WriteHeader(500)
			case do == 3 && push == 1:
				outcomes.Reset++
				mu.Unlock()
				panic(http.ErrAbortHandler)
			case do == 3, do == 4:
				n.Acknowledged++
				acknowledged[push-1]++
				done()
				io.WriteString(w, "success")
			case do == 5:
				n.Acknowledged++
				acknowledged[0]++
				empty++
				done()
			case do == 6:
				n.Invalid++
				bad("json")
				done()
				io.WriteString(w, `{"answer":"好"}`)
			case do == 7:
				if push == 3 {
					n.Lost++
					bad("timeout")
				}
				cut()
			default:
				if push == 3 {
					n.Lost++
					bad("status")
				}
				outcomes.Status++
				mu.Unlock()
				w.WriteHeader(503)
			}
		})
		c := config(server)
		c.Messages, c.Mix = 2000, Mix{{"text", 5}, {Slow, 2}, {"image", 1}, {"click", 3}, {"subscribe", 1}}
		l := start(t, c)
		l.Run(t.Context())
		got := l.Ledger()
		mu.Lock()
		defer mu.Unlock()

		sum, kinds := Counts{}, map[string]*Counts{}
		for i := range got.Kinds {
			k := &got.Kinds[i]
			kinds[k.Kind] = &k.Counts
			if good := k.Replied + k.Acknowledged; k.FirstAnswer.Count != uint64(good) {
				t.Errorf("%s: %d first answers of %d", k.Kind, k.FirstAnswer.Count, good)
			}
		}
		for _, n := range want {
			sum.add(*n)
		}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("by kind, server (-) and ledger (+):\n%s", diff)
		}
		if diff := cmp.Diff(sum, got.Counts); diff != "" {
			t.Errorf("in all, server (-) and ledger (+):\n%s", diff)
		}
		if sum.Messages != 2000 || sum.Replied < 200 || sum.Lost < 200 || sum.Invalid < 100 || sum.FaultNotices == sum.Lost+sum.Invalid {
			t.Errorf("the server has not done everything: %+v", sum)
		}
		pushes := outcomes.OK + outcomes.Status + outcomes.Cut + outcomes.Reset
		if diff := cmp.Diff(outcomes, got.Outcomes); diff != "" || got.Pushes != pushes || got.Retries != pushes-2000 {
			t.Errorf("%d pushes, %d retries, want %d\n%s", got.Pushes, got.Retries, pushes, diff)
		}
		gotProblems := map[string]int{}
		for name, p := range got.Problems {
			if gotProblems[name] = p.Count; p.Why == "" {
				t.Errorf("%s: nothing is said about it", name)
			}
		}
		if diff := cmp.Diff(problems, gotProblems); diff != "" || got.Empty != empty {
			t.Errorf("%d empty, want %d\n%s", got.Empty, empty, diff)
		}
		if diff := cmp.Diff([][]int{replied[:], acknowledged[:]}, [][]int{got.RepliedByPush, got.AcknowledgedByPush}); diff != "" {
			t.Errorf("by push:\n%s", diff)
		}
		if got.OK() || !got.Complete || got.Open() != 0 || got.API != nil || got.StartedLate != 0 || got.Start.Max != 0 {
			t.Errorf("%+v", got)
		}
		if got.Seconds < 19.9 || got.Seconds > 20.1 {
			t.Errorf("2000 messages at 100/s took %.2f s", got.Seconds)
		}
		// The second push comes after five seconds, whose answer is the first; the last may be cut at 15 s.
		if got.Push[0].Max != 5 || got.FirstAnswer.Max != 5 || got.Push[0].P50 > 1e-4 {
			t.Errorf("first pushes %+v, first answers %+v", got.Push[0], got.FirstAnswer)
		}
	})
}

// TestOpenLoop: a server that stands still for a second meets the messages of that second all the same, and they count from when
// they were due.
func TestOpenLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var open, most atomic.Int64
		c := config(serverOf(func(w http.ResponseWriter, _ *http.Request, m arrived, _ int) {
			most.Store(max(most.Load(), open.Add(1)))
			defer open.Add(-1)
			if at := time.Since(begin); at >= 2*time.Second && at < 3*time.Second {
				time.Sleep(3*time.Second - at)
			}
			m.reply(w, "好")
		}))
		c.Messages = 1000
		l := start(t, c)
		l.Run(t.Context())
		got := l.Ledger()
		if most.Load() != 100 || !got.OK() {
			t.Errorf("%d messages were open at most, want the 100 of one second", most.Load())
		}
		// Each of the 100 waits for the rest of the second: one in a thousand the whole of it, nine in a hundred 0.1 s at least.
		near := func(q, want float64) bool { return q >= want-1e-9 && q <= want*1.02+1e-9 }
		if a := got.FirstAnswer; a.P50 > 1e-4 || a.P90 > .02 || !near(a.P99, .9) || !near(a.P999, .99) || a.Max != 1 {
			t.Errorf("%+v", a)
		}
		if got.Users < 100 || got.Users > 201 { // those who waited, and those of one second
			t.Errorf("%d users", got.Users)
		}
	})
}

func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var due, at []time.Duration
		n := Pace(t.Context(), 10, 8, func(d time.Time) int {
			due, at = append(due, d.Sub(begin)), append(at, time.Since(begin))
			if len(due) == 2 {
				time.Sleep(250 * time.Millisecond) // which it must not do
			}
			if len(due) == 5 {
				return 2
			}
			return 1
		})
		ms := func(list ...int) (d []time.Duration) {
			for _, n := range list {
				d = append(d, time.Duration(n)*time.Millisecond)
			}
			return d
		}
		if diff := cmp.Diff(ms(0, 100, 200, 300, 400, 600, 700), due); diff != "" || n != 8 {
			t.Errorf("%d were sent, due\n%s", n, diff)
		}
		if diff := cmp.Diff(ms(0, 100, 350, 350, 400, 600, 700), at); diff != "" {
			t.Errorf("sent\n%s", diff)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n := Pace(ctx, 1000, 0, func(time.Time) int { return 1 }); n < 999 || n > 1001 {
			t.Errorf("%d messages in a second", n)
		}
	})
}

// TestEnded: what is open when the run is ended is neither lost nor answered.
func TestEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := start(t, config(serverOf(func(_ http.ResponseWriter, r *http.Request, _ arrived, _ int) { hang(r) })))
		ctx, cancel := context.WithTimeout(t.Context(), 505*time.Millisecond)
		defer cancel()
		l.Run(ctx)
		if got := l.Ledger(); got.Messages != 51 || got.Stopped != 51 || got.Complete || got.OK() || got.Bad() || got.Open() != 0 || got.Pushes != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// TestAPI: answers by the customer-service API, of which some come again.
func TestAPI(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l *Load
		call := func(method, target, body string) string {
			r := httptest.NewRequest(method, target, strings.NewReader(body))
			r.Host = "127.0.0.1"
			w := httptest.NewRecorder()
			l.API().ServeHTTP(w, r)
			return w.Body.String()
		}
		var token string
		say := func(m arrived, text string) {
			if answer := call("POST", "/cgi-bin/message/custom/send?access_token="+token, fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":%q}}`, m.FromUserName, text)); !strings.Contains(answer, `"errcode":0`) {
				t.Errorf("send: %s", answer)
			}
		}
		var background sync.WaitGroup
		var n atomic.Int64
		var mu sync.Mutex
		var want [5]int
		c := config(serverOf(func(w http.ResponseWriter, r *http.Request, m arrived, push int) {
			do := n.Add(1) % 5
			if m.Content != "慢 8" {
				m.reply(w, "好")
				return
			}
			mu.Lock()
			want[do]++
			mu.Unlock()
			switch do {
			case 0: // two pieces of an answer
				background.Go(func() { time.Sleep(8 * time.Second); say(m, "一"); say(m, "二") })
			case 1: // an answer that comes twice
				background.Go(func() { time.Sleep(8 * time.Second); say(m, "好"); time.Sleep(time.Second); say(m, "好") })
			case 2: // a reply, and the same by the API
				m.reply(w, "好")
				background.Go(func() { time.Sleep(time.Second); say(m, "好") })
				return
			case 3: // nothing more
			case 4: // before the push is answered
				say(m, "好")
				call("POST", "/cgi-bin/message/custom/send?access_token="+token, `{"touser":"nobody","msgtype":"text","text":{"content":"好"}}`)
			}
			io.WriteString(w, "success")
		}))
		c.API, c.Messages, c.Mix, c.Users = true, 500, Mix{{"text", 4}, {Slow, 1}}, 2000
		l = start(t, c)
		token, _, _ = strings.Cut(strings.TrimPrefix(call("GET", "/cgi-bin/token?grant_type=client_credential&appid=wx0000000000000001&secret=secret", ""), `{"access_token":"`), `"`)
		begin := time.Now()
		l.Run(t.Context())
		background.Wait()
		got := l.Ledger()
		mu.Lock()
		defer mu.Unlock()
		slow := got.Kinds[1]
		if sum := want[0] + want[1] + want[2] + want[3] + want[4]; slow.Messages != sum || sum < 50 || slow.Kind != Slow {
			t.Errorf("%d slow questions, want %d", slow.Messages, sum)
		}
		if later := want[0] + want[1] + want[4]; slow.Later != later || got.Later != later || got.API.Latency.Count != uint64(later) {
			t.Errorf("%d were answered later, want %d", slow.Later, later)
		}
		if slow.Acknowledged != slow.Messages-want[2] || slow.Duplicates != want[1]+want[2] || got.Duplicates != slow.Duplicates {
			t.Errorf("%+v, want %v", slow, want)
		}
		if got.API.Sent != 2*want[0]+2*want[1]+want[2]+want[4] || got.API.Refused != want[4] {
			t.Errorf("%+v, want %v", got.API, want)
		}
		if took := time.Since(begin); took < 30*time.Second || took > 40*time.Second {
			t.Errorf("it took %v: who gets no answer waits for 30 s", took)
		}
		if got.API.Latency.Max != 8 || got.API.Latency.P50 != 8 {
			t.Errorf("%+v", got.API.Latency)
		}
	})
}

// TestOwn: pushes that fail for want of ports, files or buffers here are told apart from those that the server refuses. Windows has numbers
// of its own for it, and those of package syscall are made up there.
func TestOwn(t *testing.T) {
	t.Parallel()
	for _, e := range []syscall.Errno{syscall.EADDRNOTAVAIL, syscall.EMFILE, syscall.ENFILE} {
		if err := fmt.Errorf("push: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", e)}); !own(&simulator.Push{Err: err}, "linux") {
			t.Errorf("%v is taken for the server's", err)
		}
	}
	for _, e := range []syscall.Errno{10024, 10048, 10049, 10055} {
		if err := error(os.NewSyscallError("connectex", e)); !own(&simulator.Push{Err: err}, "windows") || own(&simulator.Push{Err: err}, "linux") {
			t.Errorf("%d is not that of Windows", e)
		}
	}
	for _, err := range []error{nil, io.EOF, os.NewSyscallError("connect", syscall.ECONNREFUSED), context.DeadlineExceeded} {
		if own(&simulator.Push{Err: err}, "linux") || own(&simulator.Push{Err: err}, "windows") {
			t.Errorf("%v is taken for ours", err)
		}
	}
}

// TestSeed: the same seed makes the same messages.
func TestSeed(t *testing.T) {
	t.Parallel()
	of := func(seed uint64) (list []string) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			c := config(serverOf(func(w http.ResponseWriter, _ *http.Request, m arrived, _ int) {
				mu.Lock()
				defer mu.Unlock()
				list = append(list, m.MsgType+m.Event)
			}))
			c.Seed, c.Mix = seed, nil
			for _, kind := range Kinds() {
				c.Mix = append(c.Mix, Share{kind, 1})
			}
			l := start(t, c)
			l.Run(t.Context())
			if got := l.Ledger(); got.Acknowledged != 100 || got.Empty != 100 {
				t.Errorf("%+v", got)
			}
		})
		return list
	}
	a, b, c := of(1), of(1), of(2)
	if !cmp.Equal(a, b) || cmp.Equal(a, c) || len(a) != 100 {
		t.Errorf("%v\n%v\n%v", a, b, c)
	}
}

// TestMemory: twice as many messages take no more of it, when each user has had his share of what is kept.
func TestMemory(t *testing.T) {
	var live [2]uint64
	for i, n := range []int{10_000, 20_000} {
		synctest.Test(t, func(t *testing.T) {
			c := config(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, "success")
			}))
			c.Rate, c.Messages, c.Users, c.Mix = 2000, n, 2000, Mix{{"text", 8}, {"image", 1}, {"click", 1}}
			l := start(t, c)
			l.Run(t.Context())
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			live[i] = m.HeapAlloc
			if got := l.Ledger(); got.Acknowledged != n || got.Users > 2100 {
				t.Errorf("%+v", got)
			}
		})
	}
	if live[1] > live[0]+1<<20 {
		t.Errorf("%d bytes after 10,000 messages, %d after 20,000", live[0], live[1])
	}
}

func TestMix(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"text=80, click=20":      "text=80,click=20",
		"slow=0.5,text=1,view=0": "slow=0.5,text=1",
		"text":                   "no kind with its share",
		"text=-1":                "no kind with its share",
		"text=NaN":               "no kind with its share",
		"text=Inf":               "no kind with its share",
		"hologram=1":             "the kinds are text, slow",
		"text=1,text=2":          "twice",
		"text=0":                 "nothing has a share",
		"":                       "no kind with its share",
	} {
		m, err := ParseMix(text)
		if got := m.String(); err != nil && !strings.Contains(err.Error(), want) || err == nil && got != want {
			t.Errorf("%q: got %s, %v; want %s", text, got, err, want)
		}
	}
	m := Mix{{"text", 3}, {"click", 1}}
	for x, want := range map[float64]int{0: 0, 0.74: 0, 0.76: 1, math.Nextafter(1, 0): 1, 1: 1} {
		if got := m.pick(x); got != want {
			t.Errorf("%v falls to %d, want %d", x, got, want)
		}
	}
}

func TestFromLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{"127.0.0.1:80": runtime.GOOS == "linux", "127.8.9.1:80": runtime.GOOS == "linux", "[::1]:80": false, "192.0.2.1:80": false, "localhost:80": false} {
		var d net.Dialer
		if FromLoopback(&d, address); (d.LocalAddr != nil) != want {
			t.Errorf("%s: from %v", address, d.LocalAddr)
		}
	}
}

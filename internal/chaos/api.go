package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// api is WeChat's HTTP API, as far as late answers need it. It belongs to the harness and not to the
// bot, so it outlives the bot's deaths and knows what it has taken, whatever became of
// the one who asked. What it does wrong is decided by its faults.
type api struct {
	base   string
	server *http.Server
	file   *os.File // a line for each call, for people
	seen   *seen

	sick    atomic.Pointer[faults]
	out     atomic.Pointer[outage]
	failed  atomic.Int64 // requests that came while it was down
	mux     *http.ServeMux
	working sync.WaitGroup

	mu    sync.Mutex
	rng   *rand.Rand
	down  time.Time // until when nothing works
	calls []APICall
}

// faults says how often a call to send goes wrong. The shares are of 1.
type faults struct {
	busy   float64 // errcode -1: it is not sent
	lost   float64 // it is sent, and the connection ends in place of an answer
	slow   float64 // it takes up to slowest before it is sent, and as long until it is answered
	refuse float64 // of the users, not of the calls: errcode 45015, the user has to write first
	outage float64 // busy for up to longestOutage, whoever asks
}

const (
	slowest       = 1200 * time.Millisecond
	longestOutage = 3 * time.Second
)

// apiFaults has something of everything.
var apiFaults = faults{busy: 0.1, lost: 0.08, slow: 0.3, refuse: 0.1, outage: 0.002}

// Error codes of WeChat's.
const (
	codeBusy    = -1
	codeRefused = 45015
	codeToken   = 40001
)

// newAPI starts it on an address of its own.
func newAPI(path string, seed uint64, s *seen) (*api, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Close()
		return nil, err
	}
	a := &api{base: "http://" + l.Addr().String(), file: f, seen: s, rng: rand.New(rand.NewPCG(seed, 0x617069))}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /cgi-bin/stable_token", a.token)
	mux.HandleFunc("POST /cgi-bin/message/custom/send", a.send)
	a.mux = mux
	a.serve(l)
	return a, nil
}

func (a *api) serve(l net.Listener) {
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: 5 * time.Second}
	go a.server.Serve(l)
}

// outage is a time in which WeChat's API carries nothing out, whoever asks for what.
type outage struct {
	way  string        // refused, 502 or hang
	over chan struct{} // closed in the end
}

// The ways to be down.
const (
	outRefused = "refused" // nobody listens
	outGateway = "502"     // what stands before it says so, with a page
	outHang    = "hang"    // it takes requests and does not answer
)

// fail begins an outage.
func (a *api) fail(way string) error {
	a.out.Store(&outage{way, make(chan struct{})})
	if way == outRefused {
		return a.server.Close()
	}
	return nil
}

// recover ends it.
func (a *api) recover() error {
	o := a.out.Swap(nil)
	close(o.over)
	if o.way != outRefused {
		return nil
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		l, err := net.Listen("tcp", strings.TrimPrefix(a.base, "http://"))
		if err == nil {
			a.serve(l)
			return nil
		}
		if time.Now().After(deadline) { // a connection has the port
			return err
		}
	}
}

// ServeHTTP answers, unless it is down.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o := a.out.Load()
	if o == nil {
		a.mux.ServeHTTP(w, r)
		return
	}
	a.failed.Add(1)
	if o.way == outGateway {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html><body>Bad Gateway</body></html>")
		return
	}
	io.Copy(io.Discard, r.Body) // else the end of the connection is not noticed
	select {
	case <-o.over:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// close ends it.
func (a *api) close() error {
	err := a.server.Close()
	a.working.Wait()
	a.file.Close()
	return err
}

// token hands out the token of an account, which says whose it is.
func (a *api) token(w http.ResponseWriter, r *http.Request) {
	var q struct {
		AppID  string `json:"appid"`
		Secret string `json:"secret"`
	}
	if json.NewDecoder(r.Body).Decode(&q) != nil || q.Secret != appSecret {
		fmt.Fprint(w, `{"errcode":40125,"errmsg":"invalid appsecret"}`)
		return
	}
	fmt.Fprintf(w, `{"access_token":"%s%s","expires_in":7200}`, tokenPrefix, q.AppID)
}

const tokenPrefix = "token-"

// send takes a message, or does not.
func (a *api) send(w http.ResponseWriter, r *http.Request) {
	a.working.Add(1)
	defer a.working.Done()
	call := APICall{Begun: time.Now()}
	body, err := io.ReadAll(r.Body)
	var q struct {
		ToUser string `json:"touser"`
		Text   struct {
			Content string `json:"content"`
		} `json:"text"`
	}
	if err != nil || json.Unmarshal(body, &q) != nil {
		panic(http.ErrAbortHandler) // a process that died while it asked has asked for nothing
	}
	appID, _ := strings.CutPrefix(r.URL.Query().Get("access_token"), tokenPrefix)
	for i := range accounts {
		if accounts[i].appID == appID {
			call.Account = accounts[i].name
		}
	}
	call.User, call.Text = q.ToUser, q.Text.Content
	code, before, lost, after := a.fate(&call)
	time.Sleep(before)
	call.Sent = code == 0
	call.Lost = lost && call.Sent
	call.At = time.Now()
	if call.Sent {
		// The user has it from now on, before anybody knows.
		a.seen.reads(call.User, call.Text)
	}
	time.Sleep(after)
	if lost {
		a.note(&call)
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, `{"errcode":%d,"errmsg":"%s"}`, code, map[bool]string{true: "ok", false: "no"}[code == 0])
	if http.NewResponseController(w).Flush() != nil || r.Context().Err() != nil {
		call.Lost = call.Sent
	}
	call.Answered = time.Now()
	a.note(&call)
}

// fate decides about a call.
func (a *api) fate(call *APICall) (code int, before time.Duration, lost bool, after time.Duration) {
	if call.Account == "" {
		return codeToken, 0, false, 0
	}
	f := a.sick.Load()
	if f == nil {
		return 0, 0, false, 0
	}
	if refuses(call.User, f.refuse) {
		return codeRefused, 0, false, 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rng.Float64() < f.outage {
		a.down = call.Begun.Add(time.Duration(a.rng.Int64N(int64(longestOutage))))
	}
	if call.Begun.Before(a.down) || a.rng.Float64() < f.busy {
		return codeBusy, 0, false, 0
	}
	if a.rng.Float64() < f.slow {
		before, after = time.Duration(a.rng.Int64N(int64(slowest))), time.Duration(a.rng.Int64N(int64(slowest)))
	}
	return 0, before, a.rng.Float64() < f.lost, after
}

// refuses reports whether WeChat takes nothing for a user: the same ones each time.
func refuses(user string, share float64) bool {
	var sum uint32
	for i := range len(user) {
		sum = sum*31 + uint32(user[i])
	}
	return float64(sum%1000) < share*1000
}

// note writes a call down, with one write.
func (a *api) note(call *APICall) {
	line, err := json.Marshal(call)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		_, err = a.file.Write(append(line, '\n'))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the calls of the API cannot be written down:", err)
		os.Exit(exitWitness)
	}
	a.calls = append(a.calls, *call)
}

// noted is how many calls are over.
func (a *api) noted() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

// ledger returns the calls that are over.
func (a *api) ledger() []APICall {
	a.working.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}

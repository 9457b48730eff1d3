package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/pipenet"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store"
)

// S19: who may ask what.
func TestS19Admin(t *testing.T) {
	t.Parallel()
	cfg := load(t, "admin: admin.example.com:8081\n"+testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		defer r.end(t)
		bearer := http.Header{"Authorization": {"Bearer " + r.token}}
		with := func(name, value string) http.Header {
			h := bearer.Clone()
			h[name] = []string{value}
			return h
		}
		tests := []struct {
			name, path string
			header     http.Header
			want       int
		}{
			{"health", "/healthz", nil, 200},
			{"metrics", "/metrics", nil, 200},
			{"turns", "/api/v1/turns", bearer, 200},
			{"turns without a token", "/api/v1/turns", nil, 401},
			{"turns with another token", "/api/v1/turns", http.Header{"Authorization": {"Bearer " + strings.ToLower(r.token)}}, 401},
			{"turns with basic authentication", "/api/v1/turns", http.Header{"Authorization": {"Basic " + r.token}}, 401},
			{"stats without a token", "/api/v1/stats", nil, 401},
			{"refusals without a token", "/api/v1/refusals", nil, 401},
			{"the access token of an account without a token", "/api/v1/token/demo", nil, 401},
			{"an access token", "/api/v1/token/demo", bearer, 404},
			{"a turn without a token", "/api/v1/turns/00", nil, 401},
			{"a bad state", "/api/v1/turns?state=lost", bearer, 400},
			{"a bad time", "/api/v1/turns?since=yesterday", bearer, 400},
			{"a bad limit", "/api/v1/turns?limit=1001", bearer, 400},
			{"a bad key", "/api/v1/turns/xyz", bearer, 400},
			{"an unknown turn", "/api/v1/turns/" + strings.Repeat("0", 40), bearer, 404},
			{"stats", "/api/v1/stats", bearer, 200},
			{"refusals", "/api/v1/refusals", bearer, 200},
			{"no pprof", "/debug/pprof/", bearer, 404},
			{"no root", "/", bearer, 404},
			{"no callback", "/wx/demo", bearer, 404},
			{"another method", "/healthz", with("Method", "POST"), 405},
			{"from a page of another site", "/healthz", http.Header{"Method": {"POST"}, "Sec-Fetch-Site": {"cross-site"}}, 403},
			{"IPv4", "/healthz", http.Header{"Host": {"127.0.0.1:8081"}}, 200},
			{"IPv6", "/healthz", http.Header{"Host": {"[::1]:8081"}}, 200},
			{"the configured host", "/healthz", http.Header{"Host": {"admin.example.com"}}, 200},
			{"a rebound name", "/healthz", http.Header{"Host": {"evil.example.com"}}, 403},
			{"a rebound name with the token", "/api/v1/turns", with("Host", "evil.example.com:8081"), 403},
			{"another address", "/healthz", http.Header{"Host": {"192.0.2.1"}}, 403},
		}
		for _, tt := range tests {
			if status, body := r.get(t, tt.path, tt.header); status != tt.want {
				t.Errorf("%s: %d %s, want %d", tt.name, status, body, tt.want)
			}
		}
	})
}

func TestParseDelivery(t *testing.T) {
	t.Parallel()
	for _, want := range store.Deliveries() {
		if got, err := ParseDelivery(want.String()); err != nil || got != want {
			t.Errorf("%v: %v %v", want, got, err)
		}
	}
	if d, err := ParseDelivery("delivery(3)"); err == nil || !strings.Contains(err.Error(), "none, offered, ") || !strings.HasSuffix(err.Error(), " or undeliverable") {
		t.Errorf("%v %v", d, err)
	}
}

func TestNewTurn(t *testing.T) {
	t.Parallel()
	due := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	got := newTurn(&store.Turn{Delivery: store.Ticket, Due: due, Code: "7K", Placeholder: "p", Way: store.Way{Told: 1, Pages: 2, Shown: 3, Sent: 4, Tries: 5, Unknown: 6}})
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"delivery":"ticket","due":"2026-03-01T12:00:00Z","code":"7K","told":1,"pages":2,"shown":3,"sent":4,"tries":5,"unknown":6}`; !strings.HasSuffix(string(text), want) {
		t.Errorf("%s, want %s at its end", text, want)
	}
	if text, err = json.Marshal(newTurn(&store.Turn{})); err != nil || !strings.HasSuffix(string(text), `"delivery":"none"}`) {
		t.Errorf("%s %v", text, err)
	}
}

func TestAdminOnAllAddresses(t *testing.T) {
	t.Parallel()
	cfg := load(t, "admin: :8081\n"+testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		defer r.end(t)
		if status, _ := r.get(t, "/healthz", http.Header{"Host": {"192.0.2.1:8081"}}); status != 200 {
			t.Errorf("by address: %d", status)
		}
		if status, _ := r.get(t, "/healthz", http.Header{"Host": {"evil.example.com"}}); status != 403 {
			t.Errorf("by name: %d", status)
		}
	})
}

func TestClient(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		defer r.end(t)
		wechat := r.wechat(t)
		if _, err := wechat.Send(t.Context(), simulator.Text("错误")); err != nil {
			t.Fatal(err)
		}
		m := simulator.Text("你好")
		m.FromUserName = "oSomebodyElse"
		first, err := wechat.Send(t.Context(), m)
		if err != nil || first.Verdict.Reply == nil {
			t.Fatalf("%v %v", first, err)
		}
		if _, err := wechat.Repeat(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		junk, err := simulator.Raw([]byte("\xff<xml><a></xml>"), simulator.RawOptions{Keep: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wechat.Send(t.Context(), junk); err != nil {
			t.Fatal(err)
		}

		synctest.Wait() // what nobody waits for is saved after the answer
		client := &Client{Address: "localhost", Token: r.token, DialContext: r.admin.DialContext}
		all, err := client.Turns(t.Context(), TurnFilter{})
		if err != nil || len(all) != 3 {
			t.Fatalf("%v %v", all, err)
		}
		some := func(f TurnFilter) int {
			list, err := client.Turns(t.Context(), f)
			if err != nil {
				t.Error(err)
			}
			return len(list)
		}
		counts := []int{
			some(TurnFilter{Account: "demo"}), some(TurnFilter{User: "oSomebodyElse"}),
			some(TurnFilter{States: []store.State{store.Failed, store.Unparseable}}), some(TurnFilter{Limit: 1}),
			some(TurnFilter{Since: all[0].ReceivedAt.Add(1e9)}),
			some(TurnFilter{Deliveries: []store.Delivery{store.Written}}), some(TurnFilter{Deliveries: []store.Delivery{store.Undelivered, store.Late}}),
		}
		if diff := cmp.Diff([]int{3, 1, 2, 1, 0, 1, 2}, counts); diff != "" {
			t.Errorf("filters (-want +got)\n%s", diff)
		}
		if list, err := client.Turns(t.Context(), TurnFilter{Account: "x"}); err == nil || !strings.Contains(err.Error(), `no account "x"`) || !strings.HasSuffix(err.Error(), "the configuration has demo") {
			t.Errorf("of an account that does not exist: %v %v", list, err)
		}
		if list, err := client.Refusals(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("refusals of none: %v %v", list, err)
		}
		if status, body := r.get(t, "/api/v1/turns?delivery=by+air", http.Header{"Authorization": {"Bearer " + r.token}}); status != 400 || !strings.Contains(body, "assumed") {
			t.Errorf("a delivery that does not exist: %d %s", status, body)
		}
		i := slices.IndexFunc(all, func(t Turn) bool { return t.OpenID == "oSomebodyElse" })
		one, err := client.Turn(t.Context(), all[i].Key)
		if err != nil {
			t.Fatal(err)
		}
		if one.State != store.Answered || one.Attempt != 1 || one.Seen != 2 || one.Body != string(first.Document) || !strings.Contains(one.Reply, "你好") {
			t.Errorf("%+v", one)
		}
		if all[i].Body != "" || all[i].Reply != "" {
			t.Error("a list has the documents")
		}
		j := slices.IndexFunc(all, func(t Turn) bool { return t.State == store.Unparseable })
		raw, err := client.Turn(t.Context(), all[j].Key)
		if err != nil || string(raw.RawBody) != "\xff<xml><a></xml>" {
			t.Errorf("the raw body is %q, %v", raw.RawBody, err)
		}

		client.Token = "wrong"
		if _, err := client.Turns(t.Context(), TurnFilter{}); err == nil || errors.Is(err, ErrNotRunning) {
			t.Errorf("with a wrong token: %v", err)
		}
		closed := pipenet.Listen()
		closed.Close()
		client.DialContext = closed.DialContext
		if _, err := client.Turns(t.Context(), TurnFilter{}); !errors.Is(err, ErrNotRunning) {
			t.Errorf("without a server: %v", err)
		}
	})
}

func TestS27TokenFile(t *testing.T) {
	t.Parallel()
	cfg := load(t, testYAML)
	dir := t.TempDir()
	file := filepath.Join(dir, "new", "token")
	s := &Server{cfg: cfg, opts: Options{TokenFile: file}}
	if err := s.loadToken(); err != nil || len(s.token) < 26 {
		t.Fatalf("%q %v", s.token, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	again := &Server{cfg: cfg, opts: Options{TokenFile: file}}
	if err := again.loadToken(); err != nil || again.token != s.token {
		t.Errorf("the second server has %q, the first %q, %v", again.token, s.token, err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	cfg.AdminTokenFile = file
	if err := again.loadToken(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may read: %v", err)
	}
	for path, want := range map[string]string{"etc/echostr.yaml": "etc/echostr.admin-token", "": "echostr.admin-token"} {
		if got := TokenFile(&Config{}, path); got != filepath.FromSlash(want) {
			t.Errorf("TokenFile(%q) = %s", path, got)
		}
	}
	if got := TokenFile(&Config{AdminTokenFile: "a/b"}, "etc/echostr.yaml"); got != filepath.FromSlash("etc/a/b") {
		t.Errorf("a relative admin_token_file is %s", got)
	}
}

// fakeConn is a connection from an address.
type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 1))
}
func (c *fakeConn) Close() error { c.closed = true; return nil }

type fakeListener struct {
	net.Listener
	conns []net.Conn
}

func (l *fakeListener) Accept() (net.Conn, error) {
	if len(l.conns) == 0 {
		return nil, net.ErrClosed
	}
	c := l.conns[0]
	l.conns = l.conns[1:]
	return c, nil
}

// S11: the caps on connections.
func TestS11Limits(t *testing.T) {
	t.Parallel()
	cfg := load(t, "trusted_proxies: [198.51.100.0/24]\n"+testYAML)
	trusted := (&Server{cfg: cfg}).trusted
	inner := new(fakeListener)
	l := limit(inner, 4, 2, trusted)
	told := 0
	l.refused = func() { told++ }
	try := func(from string) (net.Conn, bool) {
		conn := &fakeConn{from: from}
		inner.conns = []net.Conn{conn}
		accepted, err := l.Accept()
		return accepted, err == nil && !conn.closed
	}
	var opened []net.Conn
	for i, step := range []struct {
		from string
		want bool
	}{
		{"192.0.2.1", true},
		{"192.0.2.1", true},
		{"192.0.2.1", false},
		{"::ffff:192.0.2.1", false},
		{"2001:db8::1", true},
		{"2001:db8::2", true},
		{"2001:db8::3", false}, // one /64
		{"192.0.2.2", false},   // the total
		{"127.0.0.1", true},
		{"::1", true},
		{"198.51.100.7", true},
		{"198.51.100.7", true},
		{"198.51.100.7", true},
	} {
		conn, got := try(step.from)
		if got != step.want {
			t.Errorf("step %d from %s: %v, want %v", i, step.from, got, step.want)
		}
		if conn != nil {
			opened = append(opened, conn)
		}
	}
	if l.count.Load() != 4 || told != 1 {
		t.Errorf("%d refused, told %d times", l.count.Load(), told)
	}
	for _, c := range opened {
		c.Close()
		c.Close() // as net/http does now and then
	}
	if l.open != 0 || len(l.byAddress) != 0 {
		t.Errorf("%d open after closing all, %v", l.open, l.byAddress)
	}
	if _, ok := try("192.0.2.1"); !ok {
		t.Error("an address that closed all is still refused")
	}
}

func TestNextPort(t *testing.T) {
	t.Parallel()
	busy, err := listenTCP("listen", "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	address := busy.Addr().String()
	if _, err := listenTCP("listen", address, false); err == nil || !strings.Contains(err.Error(), "another program uses "+address) {
		t.Errorf("a busy port: %v", err)
	}
	next, err := listenTCP("listen", address, true)
	if err != nil {
		t.Fatal(err)
	}
	next.Close()
}

func TestSparing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var out syncBuffer
		log := slog.NewLogLogger(newSparing(slog.NewTextHandler(&out, nil)), slog.LevelWarn)
		for range 100 {
			log.Print("http: something that a stranger can cause")
		}
		time.Sleep(10 * time.Second)
		log.Print("http: later")
		if n := strings.Count(out.String(), "\n"); n != 6 {
			t.Errorf("%d lines, want 6", n)
		}
	})
}

func TestNewLogger(t *testing.T) {
	t.Parallel()
	var out syncBuffer
	l := NewLogger(&out, config.Log{Level: "warn", Format: config.LogJSON})
	l.Info("quiet")
	l.Warn("loud", slog.Any("token", config.NewSecret("x123")))
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"loud"`) || strings.Contains(got, "x123") {
		t.Error(got)
	}
	NewLogger(&out, config.Log{}).Info("text")
	if !strings.Contains(out.String(), "msg=text") {
		t.Error(out.String())
	}
}

// Nodes that start at the same moment in one folder have one token.
func TestTokenOfTwoNodes(t *testing.T) {
	t.Parallel()
	for range 20 {
		file := filepath.Join(t.TempDir(), "token")
		made := make(chan string, 8)
		for range cap(made) {
			go func() {
				token, err := writeToken(file)
				if err != nil {
					t.Error(err)
				}
				made <- token
			}()
		}
		first := <-made
		for range cap(made) - 1 {
			if token := <-made; token != first {
				t.Fatal("they have two")
			}
		}
		if kept, err := ReadToken(file); err != nil || kept != first {
			t.Fatalf("the file has another one, %v", err)
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/wxcrypt"
)

// hostile sends what must be refused: nothing may start or be written. S1 S3 S4
func hostile(t *testing.T, base, admin string, sent int) {
	t.Helper()
	once := simulator.Rules{Pushes: 1}
	for i, a := range modes {
		forged := a
		forged.Token = "z" + strings.Repeat("0", 31)
		other := a
		other.Mode = modes[(i+1)%len(modes)].Mode // up or down
		wrongKey := a
		wrongKey.EncodingAESKey = strings.Repeat("B", 42) + "A"
		attacks := map[string]simulator.Account{"another token": forged, "another mode": other, "another key": wrongKey}
		if a.Mode == simulator.Plain {
			delete(attacks, "another key") // there is none
		}
		if a.Mode == simulator.Safe {
			delete(attacks, "another mode") // is plain: tried below with an old time, too
			down := a
			down.Mode = simulator.Plain
			attacks["downgraded"] = down
		}
		if a.Mode == simulator.Compatible {
			down := a
			down.Mode = simulator.Plain
			attacks["another mode"] = down
		}
		for name, account := range attacks {
			r, err := wechat(t, base, account, once).Send(t.Context(), simulator.Text("forged"))
			if err != nil || r.Pushes[0].Status != http.StatusForbidden || len(r.Pushes[0].Body) > 0 {
				t.Errorf("%s, %s: %v %v, want 403 without a body", a.Mode, name, r, err)
			}
		}
		for name, age := range map[string]time.Duration{"stale": 11 * time.Minute, "from the future": -11 * time.Minute} {
			timestamp := fmt.Sprint(time.Now().Add(-age).Unix())
			q := url.Values{"timestamp": {timestamp}, "nonce": {"1"}, "signature": {wxcrypt.Signature(a.Token, timestamp, "1")}}
			resp, err := http.Post(base+"/wx/"+a.URL+"?"+q.Encode(), "text/xml", strings.NewReader("<xml></xml>"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s, %s: %d, want 403", a.Mode, name, resp.StatusCode)
			}
		}
	}
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("\nechostr_handler_starts_total %d\n", sent); !strings.Contains(string(text), want) {
		t.Errorf("not %s: %s", strings.TrimSpace(want), regexp.MustCompile(`(?m)^echostr_handler_starts.*$`).Find(text))
	}
	for _, reason := range []string{"signature", "stale", "mode"} {
		if !regexp.MustCompile(`echostr_pushes_refused_total\{account="safe",reason="` + reason + `"\} [1-9]`).Match(text) {
			t.Errorf("no refusal is counted as %s", reason)
		}
	}
}

// TestS19PortScan: a server offers the callback to the world, the admin listener to this machine, and nothing else;
// nothing of the simulator (S30). Only the ports are not those of a default start, since somebody may have them.
func TestS19PortScan(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(write(t, "echostr.yaml", strings.Replace(modesYAML(", bot: demo"), "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n", "", 1)), nil)
	if err != nil || !onLoopback(cfg.Listen) || !onLoopback(cfg.Admin) || cfg.ServeToken {
		t.Errorf("by default it listens on %s and %s, serve_token is %v; %v", cfg.Listen, cfg.Admin, cfg.ServeToken, err)
	}
	r := serve(t, write(t, "echostr.yaml", modesYAML(", bot: demo")))
	admin := r.client.Address
	paths := []string{
		"/", "/index.html", "/favicon.ico", "/robots.txt", "/healthz", "/readyz", "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/api/v1/turns",
		"/api/v1/stats", "/api/v1/refusals", "/api/v1/token/plain", "/api/v1/erase", "/wx", "/wx/", "/wx/dev", "/wx/dev-sub", "/wx/plain/", "/wx/plain/x", "/console",
		"/admin", "/login", "/.env", "/.git/config", "/echostr.yaml", "/echostr.db", "/echostr.admin-token", "/wx/../echostr.yaml", "/%2e%2e/echostr.yaml",
		// What the simulator has.
		"/simulator", "/phone", "/push", "/api/state", "/api/events?after=1", "/api/exchanges/1", "/api/calls/1", "/api/act", "/api/again", "/api/users", "/api/verify",
		"/api/token", "/api/rules", "/api/faults", "/api/recording", "/assets/main.js", "/cgi-bin/token", "/cgi-bin/stable_token", "/cgi-bin/message/custom/send",
		"/cgi-bin/user/get", "/cgi-bin/media/get", "/cgi-bin/showqrcode",
	}
	t.Logf("hostile inputs: %d", len(paths))
	ask := func(method, url string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); strings.HasPrefix(url, r.base) && len(body) > 0 {
			t.Errorf("%s %s is answered with %q", method, url, body)
		}
		return resp.StatusCode
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			if status := ask(method, r.base+path); status != http.StatusNotFound {
				t.Errorf("%s %s answers %d, want 404", method, path, status)
			}
			status := ask(method, "http://"+admin+path)
			open := path == "/healthz" || path == "/readyz" || path == "/metrics"
			if status < 300 && !(open && method == "GET") {
				t.Errorf("without a token the admin listener answers %s %s with %d", method, path, status)
			}
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	got := listening(t, r.cmd.Process.Pid)
	want := []string{strings.TrimPrefix(r.base, "http://"), admin}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("listening sockets (-want +got)\n%s", diff)
	}
}

// listening returns the addresses on which a process listens, from /proc.
func listening(t *testing.T, pid int) []string {
	t.Helper()
	mine := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) == 0 {
		t.Fatalf("no descriptors: %v", err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, "socket:[") {
			mine[strings.Trim(target, "socket:[]")] = true
		}
	}
	var list []string
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" || !mine[f[9]] {
				continue
			}
			var port int
			host, hexPort, _ := strings.Cut(f[1], ":")
			if _, err := fmt.Sscanf(hexPort, "%X", &port); err != nil {
				t.Fatal(err)
			}
			if host == "0100007F" {
				host = "127.0.0.1"
			}
			list = append(list, fmt.Sprintf("%s:%d", host, port))
		}
	}
	slices.Sort(list)
	return list
}

// TestS11SlowConnections holds a thousand connections that never say all they
// began to, half of them in the header and half in the body of a well signed
// push. Others must not notice. S11
func TestS11SlowConnections(t *testing.T) {
	t.Parallel()
	p := launch(t, nil, binary(t, "echostr"), "serve", "-c", write(t, "echostr.yaml", modesYAML(", bot: sample")))
	base := p.waitFor(t, `account plain: (http://[^/]+)/wx/plain`)
	timestamp := fmt.Sprint(time.Now().Unix())
	head := "POST /wx/plain?timestamp=" + timestamp + "&nonce=1&signature=" + wxcrypt.Signature(modes[0].Token, timestamp, "1") + " HTTP/1.1\r\nHost: x\r\n"
	begin := time.Now()
	var slow sync.WaitGroup
	for i := range 1000 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		text := head
		if i%2 == 0 {
			text += "Content-Length: 1000\r\n\r\n<xml>"
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		slow.Go(func() {
			defer conn.Close()
			_, _ = io.Copy(io.Discard, conn) // until the server closes it
		})
	}
	for i := range 100 {
		w := wechat(t, base, modes[i%3], simulator.Rules{})
		r, err := w.Send(t.Context(), simulator.Text("你好"))
		if err != nil || r.Verdict.Reply == nil || len(r.Pushes) > 1 {
			t.Fatalf("push %d: %v %v", i, r, err)
		}
	}
	if time.Since(begin) > 2500*time.Millisecond {
		t.Logf("the machine was too slow: the connections may have been closed before the last push")
	}
	// The server closes all of them; how soon is the matter of TestS11SlowClients, in time that
	// no machine can stretch.
	slow.Wait()
}

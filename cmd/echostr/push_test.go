package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echostr/echostr/server"
)

// output collects what a command prints while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// waitFor waits for a match of the expression and returns its first group.
func (o *output) waitFor(t *testing.T, expression string) string {
	t.Helper()
	re := regexp.MustCompile(expression)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("%s did not come in\n%s", expression, o)
	return ""
}

// ownCache gives the test a cache folder of its own: no state, no messages.
func ownCache(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir) // on Linux
	t.Setenv("HOME", dir)           // on macOS
}

// startDev runs `echostr dev` in this process and returns the URL of its account.
func startDev(t *testing.T, args ...string) string {
	t.Helper()
	url, _ := startDevOutput(t, args...)
	return url
}

func startDevOutput(t *testing.T, args ...string) (url string, printed *output) {
	t.Helper()
	ownCache(t)
	out := new(output)
	ctx, cancel := context.WithCancel(context.Background())
	term := &terminal{out: out, err: out}
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, append([]string{"dev", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--page=127.0.0.1:0"}, args...), term)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("dev: %v", err)
		}
		if _, ok := readState(); ok {
			t.Error("dev has left its state behind")
		}
	})
	return out.waitFor(t, `服务器地址\) +(http://\S+)\n`), out
}

// TestDevBanner: the page's address comes first, then the rest, which says when another
// port was taken, and the log behind it has the value of a panic.
func TestDevBanner(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	url, out := startDevOutput(t, "--listen", busy.Addr().String())
	_, want, _ := net.SplitHostPort(busy.Addr().String())
	have := regexp.MustCompile(`:(\d+)/`).FindStringSubmatch(url)[1]
	if line := want + " is busy, another echostr dev? Listening at " + have + " (端口 " + want + " 被占用"; !strings.Contains(out.String(), line) {
		t.Errorf("want %q in\n%s", line, out)
	}
	if !regexp.MustCompile(`^\s*http://127\.0\.0\.1:\d+ +← `).MatchString(out.String()) {
		t.Errorf("the page's address is not the first thing in\n%s", out)
	}
	if got := execute(t, "", "push", "text", "崩溃"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	out.waitFor(t, `(level=DEBUG)`)
	text := out.String()
	if at := strings.Index(text, "level="); at < strings.Index(text, "Ctrl-C") || strings.Contains(text, "kept in memory") {
		t.Errorf("the log is not behind the banner, or repeats it:\n%s", text)
	}

	_, out = startDevOutput(t, "--no-simulator") // any port is no busy port
	out.waitFor(t, `(Ctrl-C)`)
	if text := out.String(); strings.Contains(text, "busy") || strings.Contains(text, "←") || !strings.Contains(text, "慢 8") {
		t.Errorf("nothing is busy, and there is no page:\n%s", out)
	}
}

// TestDevKeepsMessages: those of yesterday are still listed, with and without a
// server, and a second dev has a database of its own. Not parallel: there is one state.
func TestDevKeepsMessages(t *testing.T) {
	ownCache(t)
	dev := func() (stop func(), out *output) {
		out = new(output)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- run(ctx, []string{"dev", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--page=127.0.0.1:0"}, &terminal{out: out, err: out})
		}()
		out.waitFor(t, `服务器地址\) +(http://\S+)\n`)
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("dev: %v", err)
			}
		}, out
	}
	stop, out := dev()
	if path := out.waitFor(t, `数据库\) +(\S+)\n`); path != devDatabase() {
		t.Errorf("the database is %s, want %s", path, devDatabase())
	}
	if got := execute(t, "", "push", "text", "昨天"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	stopSecond, out := dev()
	other := out.waitFor(t, `数据库\) +(\S+)\n`)
	if !strings.Contains(out.String(), "is in use by") || !strings.Contains(out.String(), "temporary file") || other == devDatabase() {
		t.Errorf("the second dev says\n%s", out)
	}
	stopSecond()
	if _, err := os.Stat(filepath.Dir(other)); !os.IsNotExist(err) {
		t.Errorf("the temporary file is still there: %v", err)
	}
	stop()
	listed := func(want string) {
		t.Helper()
		got := execute(t, "", "turn", "ls")
		if got.code != 0 || strings.Count(got.out, " text ") != 1 || !strings.HasPrefix(got.err, want) {
			t.Errorf("%+v", got)
		}
	}
	listed("no server answers; reading " + devDatabase())
	stop, _ = dev()
	listed("")
	stop()
}

// TestTurnFindsDev: the state file is only a hint. Not parallel: there is one state.
func TestTurnFindsDev(t *testing.T) {
	startDev(t)
	state, ok := readState()
	if !ok {
		t.Fatal("no state")
	}
	was := defaultAdmin
	t.Cleanup(func() { defaultAdmin = was })
	defaultAdmin = state.Admin
	ls := func() result { t.Helper(); return execute(t, "", "turn", "ls") }

	state.remove() // that of another dev, which has been stopped
	if got := ls(); got.code != 0 || !strings.Contains(got.out, "no messages") {
		t.Errorf("without a state: %+v", got)
	}
	killed := devState{PID: 1, URL: "http://127.0.0.1:1/wx/dev", Admin: "127.0.0.1:1", TokenFile: devTokenFile()}
	if err := killed.save(); err != nil {
		t.Fatal(err)
	}
	defer killed.remove()
	if got := ls(); got.code != 0 || !strings.Contains(got.out, "no messages") {
		t.Errorf("with the state of a dead server: %+v", got)
	}
	defaultAdmin = "127.0.0.1:2"
	if got := ls(); got.code != 0 || !strings.Contains(got.err, "no server answers; reading "+devDatabase()) || !strings.Contains(got.out, "no messages") {
		t.Errorf("with dead servers and a database: %+v", got)
	}
	t.Run("no database", func(t *testing.T) {
		ownCache(t)
		if err := killed.save(); err != nil {
			t.Fatal(err)
		}
		if got := ls(); got.code != exitFailed || !strings.Contains(got.err, "no server answers at 127.0.0.1:1 or 127.0.0.1:2, and there is no database") || !strings.Contains(got.err, "-c FILE") {
			t.Errorf("with dead servers: %+v", got)
		}
	})

	// The configuration of this folder is that of another server.
	t.Chdir(t.TempDir())
	yaml := execute(t, "", "account", "new", "shop", "--app-id", "wxb11529c136998cb6").out
	if err := os.WriteFile(defaultConfig, []byte("admin: "+state.Admin+"\n"+yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ls(); got.code != exitFailed || !strings.Contains(got.err, "another server than the one of this configuration answers at "+state.Admin) || !strings.Contains(got.err, "-c FILE") || strings.Contains(got.err, "Authorization") {
		t.Errorf("with another configuration: %+v", got)
	}
	killed.remove()
	ownCache(t)
	if err := os.WriteFile(defaultConfig, []byte("admin: "+defaultAdmin+"\n"+yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ls(); got.code != exitFailed || strings.Count(got.err, defaultAdmin) != 1 {
		t.Errorf("the same address from two sides: %+v", got)
	}
}

// TestPushNotReady: a server that cannot store pushes leaves them open, and says so to whoever asks.
func TestPushNotReady(t *testing.T) {
	t.Parallel()
	const said = "the store does not answer"
	for _, tt := range []struct {
		name  string
		ready int
		args  []string
		want  bool
	}{
		{"down", 503, []string{"-c"}, true},
		{"slow", 200, []string{"-c"}, false},
		{"no configuration", 503, nil, false},
	} {
		wait := make(chan struct{})
		callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			select {
			case <-r.Context().Done():
			case <-wait:
			}
		}))
		admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				t.Errorf("%s is asked for", r.URL.Path)
			}
			w.WriteHeader(tt.ready)
			io.WriteString(w, said+"\n")
		}))
		yaml := "admin: " + strings.TrimPrefix(admin.URL, "http://") + "\n" + execute(t, "", "account", "new", "shop", "--app-id", "wxb11529c136998cb6").out
		args := []string{"push", "--url", callback.URL, "--timeout", "20ms"}
		for _, arg := range tt.args {
			args = append(args, arg, write(t, "echostr.yaml", yaml))
		}
		got := execute(t, "", append(args, "text", "x")...)
		if strings.Contains(got.out, said) != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
		close(wait)
		callback.Close()
		admin.Close()
	}
}

// TestPushHint: a folder has a configuration and push does not use it.
func TestPushHint(t *testing.T) {
	t.Chdir(t.TempDir())
	const hint = "add -c echostr.yaml"
	status := http.StatusNotFound
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer srv.Close()
	if got := execute(t, "", "push", "--url", srv.URL, "text", "x"); strings.Contains(got.out, hint) {
		t.Errorf("there is no file: %+v", got)
	}
	if err := os.WriteFile(defaultConfig, []byte(execute(t, "", "account", "new", "shop").out), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		status int
		args   []string
		state  bool
		want   bool
	}{
		{404, nil, true, true},
		{403, nil, true, true},
		{500, nil, true, false},
		{500, nil, false, true},
		{200, nil, false, false},
		{403, []string{"-c", defaultConfig}, true, false},
		{403, []string{"--token", newToken()}, true, false},
	} {
		status = tt.status
		s := devState{PID: 1, URL: srv.URL, Mode: defaultMode}
		if tt.state {
			if err := s.save(); err != nil {
				t.Fatal(err)
			}
		}
		args := append([]string{"push", "--url", srv.URL}, tt.args...)
		for _, what := range [][]string{{"text", "x"}, {"--check"}} {
			if what[0] == "--check" && tt.status == 200 {
				continue
			}
			if got := execute(t, "", append(args, what...)...); strings.Contains(got.out, hint) != tt.want {
				t.Errorf("%d %v %v: %+v", tt.status, args, what, got)
			}
		}
		s.remove()
	}
}

// TestDevAndPush is the first minute with echostr: it sends every kind, and
// push and turn find the server by themselves. Not parallel: there is one state.
func TestDevAndPush(t *testing.T) {
	for _, mode := range []string{"plain", "safe"} {
		t.Run(mode, func(t *testing.T) {
			url := startDev(t, "--mode", mode)
			tests := []struct {
				args []string
				want string
			}{
				{[]string{"text", "你好"}, "text: 你好\n"},
				{[]string{"text", "你好", "世界"}, "text: 你好 世界\n"},
				{[]string{"text", "一", "--menu-id", "7"}, "text: 一\n"},
				{[]string{"text", "--", "-5"}, "text: -5\n"},
				{[]string{"text", "图文"}, "news:"},
				{[]string{"text", "错误"}, "nothing"},
				{[]string{"text", "崩溃"}, "nothing"},
				{[]string{"image"}, "I love you, itcast!"},
				{[]string{"voice"}, "text: 未识别"},
				{[]string{"voice", "--recognition", ""}, "text: 未识别"},
				{[]string{"voice", "--recognition", "天气"}, "text: 天气"},
				{[]string{"video"}, "I love you, itcast!"},
				{[]string{"shortvideo"}, "I love you, itcast!"},
				{[]string{"location"}, "I love you, itcast!"},
				{[]string{"location", "--", "-33.86", "151.21", "悉尼"}, "I love you, itcast!"},
				{[]string{"link"}, "I love you, itcast!"},
				{[]string{"file", "合同.pdf"}, "I love you, itcast!"},
				{[]string{"subscribe"}, "text: 感谢您的关注!\n"},
				{[]string{"subscribe", "--scene", "123123"}, "text: 感谢您的关注!场景值:123123\n"},
				{[]string{"unsubscribe", "--user", "oWhoseDataIsErased"}, "nothing"},
				{[]string{"scan", "123123"}, "text: 您扫描的场景值为:123123\n"},
				{[]string{"click", "KEY"}, "nothing"},
				{[]string{"view", "https://example.com/"}, "nothing"},
				{[]string{"locate"}, "nothing"},
				{[]string{filepath.Join(vectors, "messages/seed-SCAN.xml")}, "text: 您扫描的场景值为:SCENE_VALUE\n"},
				{[]string{filepath.Join(vectors, "messages/seed-text-doc.xml")}, "text: this is a test\n"},
				{[]string{"--check"}, "accepted"},
				{[]string{"text", "早", "--repeat", "2", "--fresh"}, "byte for byte"},
				{[]string{"text", "早", "--lose-first", "1"}, "push 2 answered"},
			}
			for _, tt := range tests {
				got := execute(t, "", append([]string{"push"}, tt.args...)...)
				if got.code != 0 || got.err != "" || !strings.Contains(got.out, tt.want) {
					t.Errorf("%v: %+v, want %q", tt.args, got, tt.want)
				}
				if !strings.Contains(got.out, url) {
					t.Fatalf("%v did not find the server %s: %s", tt.args, url, got.out)
				}
			}

			got := execute(t, "", "turn", "ls", "-n", "100", "--state=failed,answered")
			if got.code != 0 || !strings.Contains(got.out, "event SCAN") || !strings.Contains(got.out, "panic") || strings.Contains(got.out, "silent") {
				t.Errorf("turn ls: %+v", got)
			}
			got = execute(t, "", "turn", "ls", "--json")
			var list server.TurnList
			if err := json.Unmarshal([]byte(got.out), &list); err != nil || len(list.Turns) < 10 {
				t.Fatalf("turn ls --json: %v %+v", err, got)
			}
			key := list.Turns[1].Key // sent three times
			got = execute(t, "", "turn", "show", key[:shownKey])
			if got.code != 0 || !strings.Contains(got.out, key) || !strings.Contains(got.out, "message (消息)\n<xml>") || !strings.Contains(got.out, "push 1") {
				t.Errorf("turn show: %+v", got)
			}
			if got := execute(t, "", "turn", "show", "00000000"); got.code != exitFailed || !strings.Contains(got.err, "no such turn") {
				t.Errorf("turn show of none: %+v", got)
			}
			// Another token is refused, and push says what that may mean.
			got = execute(t, "", "push", "text", "x", "--url", url, "--token", "z0000000000000000000", "--mode", "plain", "--once")
			if got.code != exitFailed || !strings.Contains(got.out, "403") || !strings.Contains(got.out, "hint: ") || strings.Contains(got.out+got.err, "z000") {
				t.Errorf("with another token: %+v", got)
			}
		})
	}
	if got := execute(t, "", "turn", "ls"); got.code != exitFailed || !strings.Contains(got.err, "no server answers") {
		t.Errorf("turn ls without a server: %+v", got)
	}
}

func TestPushWithConfiguration(t *testing.T) {
	yaml := execute(t, "", "account", "new", "shop", "--app-id", "wxb11529c136998cb6").out
	file := write(t, "echostr.yaml", "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"+yaml)
	var out output
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"serve", "-c", file}, &terminal{out: &out, err: &out}) }()
	url := out.waitFor(t, `account shop: (http://\S+) \(safe, 安全模式\)\n`)
	admin := out.waitFor(t, `admin: http://(\S+)\n`)
	got := execute(t, "", "push", "-c", file, "--url", url, "text", "你好", "--json")
	var report reportJSON
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.code != 0 || !report.OK || report.Sees != "reply" || !report.Reply.Sealed || report.Reply.Content != "你好" {
		t.Errorf("%v %+v", err, got)
	}
	got = execute(t, "", "turn", "ls", "--admin", admin, "--token-file", filepath.Join(filepath.Dir(file), "echostr.admin-token"))
	if got.code != 0 || !strings.Contains(got.out, "shop") {
		t.Errorf("turn ls: %+v", got)
	}
	if got := execute(t, "", "turn", "ls", "--admin", admin, "--token-file", filepath.Join(t.TempDir(), "none")); got.code != exitFailed || !strings.Contains(got.err, "--token-file") {
		t.Errorf("turn ls without the token: %+v", got)
	}
	if got := execute(t, "", "push", "-c", file, "--account", "other", "text", "x"); got.code != exitUsage || !strings.Contains(got.err, "there is no account other in "+file+"; it has shop") {
		t.Errorf("another account: %+v", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestPushVerdicts sends to servers that answer wrongly.
func TestPushVerdicts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		args   []string
		code   int
		want   string
	}{
		{"empty", func(http.ResponseWriter, *http.Request) {}, nil, 0, "nothing"},
		{"success with a line end", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "success\n") }, nil, 1, "该公众号提供的服务出现故障"},
		{"JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"errcode":0}`) }, nil, 1, "JSON"},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, nil, 1, "all 3 pushes failed"},
		{"500 four times", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, []string{"--pushes=4"}, 1, "all 4 pushes failed"},
		{"500 once", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, []string{"--once"}, 1, "the push failed"},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }, []string{"--timeout=50ms"}, 1, "no answer in 50ms, cut (超时断开)"},
		{"403", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, []string{"--once"}, 1, "`echostr refusals`"},
		{"a cut text", func(w http.ResponseWriter, r *http.Request) { answerText(w, r, strings.Repeat("字", 681)+"…") }, nil, 0, "(2046 bytes with … at the end: cut by the server?"},
		{"wrong echostr", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, []string{"--check"}, 1, "Token 验证失败"},
		{"an escape sequence", func(w http.ResponseWriter, r *http.Request) { answerText(w, r, "a\u009bb") }, nil, 0, "text: a\ufffdb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(tt.answer)
			t.Cleanup(srv.Close)
			args := append([]string{"push", "--url", srv.URL}, tt.args...)
			if len(tt.args) == 0 || tt.args[0] != "--check" {
				args = append(args, "text", "你好")
			}
			if got := execute(t, "", args...); got.code != tt.code || !strings.Contains(got.out, tt.want) {
				t.Errorf("%+v, want %d and %q", got, tt.code, tt.want)
			}
		})
	}
}

// answerText answers a push with a text, as it stands.
func answerText(w http.ResponseWriter, r *http.Request, content string) {
	body, _ := io.ReadAll(r.Body)
	from := regexp.MustCompile(`<FromUserName>.*</FromUserName>`).FindString(string(body))
	to := regexp.MustCompile(`<ToUserName>.*</ToUserName>`).FindString(string(body))
	swap := strings.NewReplacer("FromUserName", "ToUserName", "ToUserName", "FromUserName")
	_, _ = io.WriteString(w, "<xml>"+swap.Replace(from)+swap.Replace(to)+"<CreateTime>1</CreateTime><MsgType>text</MsgType><Content>"+content+"</Content></xml>")
}

// TestPushTLS: what is wrong with a certificate is told, with what WeChat wants.
func TestPushTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(srv.Close)
	for _, what := range [][]string{{"text", "x"}, {"--check"}} {
		got := execute(t, "", append([]string{"push", "--url", srv.URL}, what...)...)
		if got.code != exitFailed || !strings.Contains(got.out, "complete chain (fullchain) of a certificate from a public CA") || strings.Contains(got.out, "closed the connection") {
			t.Errorf("%v: %+v", what, got)
		}
	}
	if got := execute(t, "", "push", "--json", "--url", srv.URL, "text", "x"); !strings.Contains(got.out, `"problem": "tls"`) || !strings.Contains(got.out, `"outcome": "tls"`) {
		t.Errorf("%+v", got)
	}
}

// TestPushWholeText: a long text that was not cut has no note.
func TestPushWholeText(t *testing.T) {
	t.Parallel()
	for _, content := range []string{strings.Repeat("x", 2048), "等等…"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answerText(w, r, content) }))
		t.Cleanup(srv.Close)
		if got := execute(t, "", "push", "--url", srv.URL, "text", "x"); got.code != 0 || strings.Contains(got.out, "cut by") {
			t.Errorf("%+v", got)
		}
	}
}

func TestDevState(t *testing.T) {
	stale := devState{PID: 1, URL: "http://127.0.0.1:1/wx/dev", Mode: "safe", Admin: "127.0.0.1:1"}
	if err := stale.save(); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(stateFile())
	if _, ok := runningDev(); ok {
		t.Error("a server that was killed counts as running")
	}
	a, err := (&pushCommand{}).account(&terminal{})
	if err != nil || a.URL != defaultURL || a.Mode != defaultMode {
		t.Errorf("push goes to %v %s, %v", a, a.URL, err)
	}
	other := stale
	other.PID++
	other.remove()
	if s, ok := readState(); !ok || s != stale {
		t.Error("another server has removed the state")
	}
	stale.remove()
	if _, ok := readState(); ok {
		t.Error("the state is still there")
	}
}

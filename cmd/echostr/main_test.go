package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/store"
)

const vectors = "../../testdata/vectors"

// Where the user who runs the tests has his state.
var home, cacheHome = os.Getenv("HOME"), os.Getenv("XDG_CACHE_HOME")

// TestMain keeps the tests away from the state of the user who runs them.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "echostr-test-*")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_CACHE_HOME", dir) // on Linux
	os.Setenv("HOME", dir)           // on macOS
	defaultAdmin = "127.0.0.1:1"     // somebody may have a server at the real one
	flag.Parse()
	// The tests wait for WeChat's seconds more than for the processor.
	if parallel := flag.Lookup("test.parallel"); runtime.GOMAXPROCS(0) < 6 && parallel.Value.String() == parallel.DefValue {
		parallel.Value.Set("6")
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

type result struct {
	code     int
	out, err string
}

// execute runs a command line in this process.
func execute(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	term := &terminal{in: strings.NewReader(stdin), out: &out, err: &errs}
	code := term.report(run(t.Context(), args, term))
	return result{code, out.String(), errs.String()}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args string
		want string // in the one sentence on the standard error
	}{
		{"psh", `did you mean "push"?`},
		{"push", "say what to send"},
		{"push txt 你好", `did you mean "text"?`},
		{"push hologram", "the kinds are text, image"},
		{"push text", "`echostr push text CONTENT`"},
		{"push unsubscribe now", "`echostr push unsubscribe`"},
		{"push text 你好 --scene 1", "--scene is for subscribe"},
		{"push image --recognition x", "--recognition is for voice"},
		{"push subscribe --menu-id 1", "--menu-id is for text"},
		{"push text 你好 --keep", "--keep is for"},
		{"push location 23", "latitude and a longitude"},
		{"push location 100 20", "is no place"},
		{"push location NaN 20", "is no place"},
		{"push a.xml b", "one file"},
		{"push text x --pushes 0", "--pushes"},
		{"push text x --mode open", `--mode is plain, compatible or safe, and not "open"`},
		{"turn ls --since bogus", "write it like 90s, 10m, 2h or 3d"},
		{"turn ls --since=-5m", "write it like 90s, 10m, 2h or 3d"},
		{"turn ls --until 25:00", "or like 18:00 or 2026-03-01T18:00"},
		{"erase", "<openid>"},
		{"backup", "<file>"},
		{"restore", "<file>"},
		{"serve --wait-lock soon", "write it like 10s"},
		{"serve --wait-lock 11m", "up to 10m"},
		{"help psh", `did you mean "push"?`},
		{"push text x --url nonsense", "http://host/path"},
		{"push text x --token abc --mode safe", "AppID"},
		{"push --check text x", "--check sends no message"},
		{"push text x --account a", "-c FILE"},
		{"decode", "<file>"},
		{"decode - --token T", "--encoding-aes-key"},
		{"turn", `"ls", "show"`},
		{"turn ls --n", "`echostr turn ls --help`"}, // without the alias
		{"turn show abc", "too short"},
		{"turn ls --state lost", "running, answered"},
		{"turn ls --limit 0", "--limit"},
		{"turn ls --delivery lost", "none, offered, written, late, assumed, sending, sent, ticket, fetched or undeliverable"},
		{"restore b.db --sha256 abc", "64 hexadecimal digits"},
		{"refusals now", "`echostr refusals --help`"},
		{"account new shop --bot parrot", "--bot"},
		{"turn ls --admin 127.0.0.1:1", "--token-file"},
		{"account new Shop", "small letters"},
		{"account new shop --app-id gh_123456789012", "16 hexadecimal digits"},
		{"dev --listen 0.0.0.0:8080", "everybody knows the token"},
		{"dev --admin :8081", "everybody knows the token"},
		{"dev --bot none", "--bot"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(tt.args)
			if strings.HasPrefix(tt.args, "turn show") {
				args = append(args, "--admin", "127.0.0.1:1", "--token-file", "none")
			}
			got := execute(t, "", args...)
			if got.code != exitUsage || got.out != "" || !strings.Contains(got.err, tt.want) || strings.Count(got.err, "\n") != 1 {
				t.Errorf("%+v, want code 2 and %q", got, tt.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for _, tt := range []struct {
		err  error
		code int
		out  string
	}{
		{nil, 0, ""},
		{cause, 1, "echostr: cause\n"},
		{errShown, 1, ""},
		{usage("wrong %d", 7), 2, "echostr: wrong 7\n"},
		{fmt.Errorf("%w: %w", server.ErrFatal, cause), 70, "echostr: the server cannot go on: cause\n"},
		{fmt.Errorf("%w: %w", server.ErrConfig, cause), 78, "echostr: the configuration is wrong: cause\n"},
		{errors.New("a\x1b[2Jb"), 1, "echostr: a\ufffd[2Jb\n"},
	} {
		var out bytes.Buffer
		if code := (&terminal{err: &out}).report(tt.err); code != tt.code || out.String() != tt.out {
			t.Errorf("%v: %d %q, want %d %q", tt.err, code, out.String(), tt.code, tt.out)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"help": "echostr push text 你好", "help push": "subscribe", "help turn ls": "--since",
		"": "echostr push text 你好", "--help": "Commands:", "push --help": "subscribe", "dev --help": "慢 8",
		"load --help": "--slow-text", "serve --help": "78", "decode --help": "--typed", "account new --help": "--app-id", "turn ls --help": "78", "turn show --help": "78", "erase --help": "78",
		"backup --help": "78", "restore --help": "78", "refusals --help": "Token 验证失败", "config check --help": "echostr.yaml",
	} {
		if got := execute(t, "", strings.Fields(args)...); got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("%q: %+v, want %q", args, got, want)
		}
	}
	// Every kind is in the help of push.
	got := execute(t, "", "push", "--help")
	for _, k := range kinds {
		if !strings.Contains(got.out, "\n    "+k.name+" ") {
			t.Errorf("%s is not in\n%s", k.name, got.out)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"version", "--version"} {
		if got := execute(t, "", args); got.code != 0 || !strings.HasPrefix(got.out, "echostr ") || !strings.Contains(got.out, "go1.") {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestAccountNew(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 40 {
		got := execute(t, "", "account", "new", "shop", "--app-id", "wxb11529c136998cb6", "--mode", "compatible", "--verified")
		cfg, err := config.Load(write(t, "echostr.yaml", got.out), nil)
		if err != nil || got.code != 0 {
			t.Fatalf("%v\n%+v", err, got)
		}
		a := cfg.Accounts[0]
		token, key := a.Token.Reveal(), a.EncodingAESKey.Reveal()
		if len(token) != 32 || token[0] != 'z' || len(key) != 43 || seen[token] || seen[key] || a.Mode != "compatible" || !a.Verified {
			t.Fatalf("%+v\n%s", a, got.out)
		}
		if len(cfg.Warnings) != 1 || cfg.Warnings[0].Path != "accounts[0].app_secret" || !strings.Contains(got.err, "AppSecret") {
			t.Fatalf("%v; the AppSecret is to be put in\n%s", cfg.Warnings, got.err)
		}
		seen[token], seen[key] = true, true
		for _, s := range []string{token, key} {
			if !strings.Contains(got.err, s) || strings.Trim(s, alphanumeric) != "" {
				t.Fatalf("%q is not to be pasted:\n%s", s, got.err)
			}
		}
	}
	for _, bot := range []string{"sample", "demo", "ai", "none"} {
		got := execute(t, "", "account", "new", "shop", "--bot", bot)
		file := write(t, "echostr.yaml", got.out)
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), "ai.key"), []byte("key\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(file, nil)
		if want := config.Bot(strings.TrimPrefix(bot, "none")); err != nil || cfg.Accounts[0].Bot != want {
			t.Errorf("--bot %s: %v\n%s", bot, err, got.out)
		}
	}
	got := execute(t, "", "account", "new", "shop")
	if cfg, err := config.Load(write(t, "echostr.yaml", got.out), nil); err != nil || cfg.Accounts[0].Mode != "safe" {
		t.Errorf("without an AppID: %v\n%s", err, got.out)
	}
	if !strings.Contains(got.err, "app_id") {
		t.Errorf("nothing about the AppID:\n%s", got.err)
	}
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	yaml := execute(t, "", "account", "new", "shop").out
	if got := execute(t, "", "config", "check", write(t, "echostr.yaml", yaml)); got.code != 0 || !strings.Contains(got.out, "safe, 安全模式") {
		t.Errorf("%+v", got)
	}
	good := write(t, "echostr.yaml", yaml)
	if got := execute(t, "", "config", "check", "-c", good); got.code != 0 || !strings.Contains(got.out, good+" is good") {
		t.Errorf("-c: %+v", got)
	}
	if got := execute(t, "", "config", "check", "-c", good, good); got.code != 2 || !strings.Contains(got.err, "named twice") {
		t.Errorf("twice: %+v", got)
	}
	bad := write(t, "bad.yaml", strings.Replace(yaml, "mode: safe", "mode: open", 1))
	for _, args := range [][]string{{"config", "check", bad}, {"serve", "-c", bad}, {"push", "-c", bad, "text", "x"}} {
		got := execute(t, "", args...)
		if got.code != exitConfig || !strings.Contains(got.err, bad+":6:") || !strings.Contains(got.err, "accounts[0].mode") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := execute(t, "", "serve", "-c", filepath.Join(t.TempDir(), "none.yaml")); got.code != exitConfig || !strings.Contains(got.err, "echostr account new") {
		t.Errorf("no file: %+v", got)
	}
}

// TestConfigCheckStore looks at the place of the database and changes nothing there.
func TestConfigCheckStore(t *testing.T) {
	t.Parallel()
	account := execute(t, "", "account", "new", "shop", "--app-id", "wxb11529c136998cb6").out
	yaml := func(store string) string { return write(t, "echostr.yaml", "store: "+store+"\n"+account) }
	good := yaml("sqlite:./echostr.db")
	dir := filepath.Dir(good)
	if got := execute(t, "", "config", "check", good); got.code != 0 || !strings.Contains(got.out, "in "+filepath.Join(dir, "echostr.db")+", which the first start makes") {
		t.Errorf("%+v", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the check leaves %v, %v", left, err)
	}
	if got := execute(t, "", "config", "check", yaml("memory:")); got.code != 0 || !strings.Contains(got.out, "kept in memory") {
		t.Errorf("%+v", got)
	}
	for store, want := range map[string]string{
		"sqlite:./none/echostr.db":                "does not exist: make it",
		"sqlite:./echostr.yaml":                   "is not a SQLite database",
		"sqlite:./echostr.yaml/e.db":              "is not a folder",
		"sqlite:" + filepath.ToSlash(t.TempDir()): "is a folder",
		"sqlite:": "names no file",
	} {
		if got := execute(t, "", "config", "check", yaml(store)); got.code != exitConfig || !strings.Contains(got.err, want) || got.out != "" {
			t.Errorf("%s: %+v, want %q", store, got, want)
		}
	}
}

// TestConfigCheckEnvironment is a container without a file. Not parallel: it
// changes the directory.
func TestConfigCheckEnvironment(t *testing.T) {
	t.Chdir(t.TempDir())
	check := func(env ...string) result {
		var out, errs bytes.Buffer
		term := &terminal{out: &out, err: &errs, env: env}
		code := term.report(run(t.Context(), []string{"config", "check"}, term))
		return result{code, out.String(), errs.String()}
	}
	env := []string{"ECHOSTR_ACCOUNTS_0_NAME=shop", "ECHOSTR_ACCOUNTS_0_APP_ID=wxb11529c136998cb6", "ECHOSTR_ACCOUNTS_0_MODE=plain", "ECHOSTR_ACCOUNTS_0_BOT=demo"}
	token := newToken()
	if got := check(append(env, "ECHOSTR_ACCOUNTS_0_TOKEN="+token)...); got.code != 0 || got.err != "" || !strings.Contains(got.out, "in the environment is good") || !strings.Contains(got.out, "shop") {
		t.Errorf("%+v", got)
	}
	got := check(append(env, "ECHOSTR_ACCOUNTS_0_TOKN="+token)...)
	if got.code != exitConfig || !strings.Contains(got.err, "accounts[0].token: is missing") || !strings.Contains(got.err, "ECHOSTR_ACCOUNTS_0_TOKN: this variable names no key") || strings.Contains(got.err, token) {
		t.Errorf("%+v", got)
	}
	if got := check("ECHOSTR_ACCOUNT_0_NAME=shop"); got.code != exitConfig || !strings.Contains(got.err, "ECHOSTR_ACCOUNT_0_NAME") || !strings.Contains(got.err, "does not exist") {
		t.Errorf("%+v", got)
	}
}

// S30: what everybody knows is refused.
func TestS30DevelopmentAccount(t *testing.T) {
	t.Parallel()
	file := write(t, "echostr.yaml", `
listen: 127.0.0.1:0
admin: 127.0.0.1:0
accounts:
  - name: dev
    app_id: `+config.DevelopmentAppID+`
    token: `+config.DevelopmentToken+`
    mode: plain
    bot: demo
    allow_weak_token: true
`)
	got := execute(t, "", "serve", "-c", file)
	if got.code != exitConfig || !strings.Contains(got.err, "accounts[0].token") || strings.Contains(got.err, config.DevelopmentToken) {
		t.Errorf("%+v", got)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := newTable("KEY", "WHAT")
	table.add("语音", "voice")
	table.add("👨‍👩‍👧", "one family, drawn as three")
	table.add("e\u0301t", "")
	table.add("abcdefg", "x")
	var b bytes.Buffer
	table.write(&b)
	want := "KEY      WHAT\n语音     voice\n👨‍👩‍👧   one family, drawn as three\ne\u0301t\nabcdefg  x\n"
	if b.String() != want {
		t.Errorf("\n%s\nwant\n%s", b.String(), want)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	if got := tty.Printable("a\x1b[2J\x07\tb\r\n\u202e早\xff"); got != "a\ufffd[2J\ufffd\tb\ufffd\n\ufffd早\ufffd" {
		t.Errorf("%q", got)
	}
	if got := oneLine("一二三\n四五六七", 9); got != "一二三 …" || tty.Width(got) > 9 {
		t.Errorf("%q", got)
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	shanghai := time.FixedZone("", 8*3600)
	now := time.Date(2026, 3, 1, 18, 30, 0, 0, shanghai)
	for text, want := range map[string]string{
		"": "", "0s": "", "90s": "2026-03-01T18:28:30+08:00", "2h": "2026-03-01T16:30:00+08:00", "3d": "2026-02-26T18:30:00+08:00",
		"08:15": "2026-03-01T08:15:00+08:00", "08:15:30": "2026-03-01T08:15:30+08:00", "2026-02-28": "2026-02-28T00:00:00+08:00",
		"2026-02-28T07:00": "2026-02-28T07:00:00+08:00", "2026-02-28 07:00:01": "2026-02-28T07:00:01+08:00", "2026-02-28T07:00:00Z": "2026-02-28T07:00:00Z",
	} {
		got, err := moment("--since", text, now)
		text2 := ""
		if !got.IsZero() {
			text2 = got.Format(time.RFC3339)
		}
		if err != nil || text2 != want {
			t.Errorf("%q: %s %v, want %s", text, text2, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-5m", "24:00", "2026-02-30", "7"} {
		if got, err := moment("--since", text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestWays(t *testing.T) {
	t.Parallel()
	ways := map[store.Delivery]string{
		store.Undelivered: "none", store.Offered: "may not have got it", store.Written: "written to push 2", store.Late: "waits to be sent", store.Assumed: "taken as delivered",
		store.Sending: "being sent", store.Sent: "sent by the API", store.Ticket: "to fetch", store.Fetched: "fetched", store.Undeliverable: "no way is left",
	}
	for _, delivery := range store.Deliveries() {
		want, ok := ways[delivery]
		if !ok {
			t.Errorf("%v is not tested", delivery)
		}
		if got := wayOf(&server.Turn{Delivery: delivery.String(), OfferedTo: 2}); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", delivery, got, want)
		}
	}
}

func TestShortDurations(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "<1ms", 999 * time.Microsecond: "<1ms", time.Millisecond: "1ms", 8 * time.Second: "8s"} {
		if got := elapsed(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 1234567: "1ms", 8*time.Second + 12345678: "8.01s", time.Minute: "1m", 90 * time.Second: "1m30s", 10 * time.Hour: "10h", 10 * time.Minute: "10m",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

package config

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	goodToken = "z8Qw3rTy6UiOp1AsDf4GhJk7LzXc0Vb2"
	goodKey   = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// loadText is Load on a text, at the fixed moment now, with the files given.
func loadText(text string, env []string, files map[string]string) (*Config, error) {
	l := loader{now: now, read: func(path string) ([]byte, bool, error) {
		content, ok := files[filepath.ToSlash(path)]
		switch {
		case content == "forbidden":
			return nil, false, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
		case !ok:
			return nil, false, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		case len(content) > 4096:
			return nil, false, errTooLong
		}
		return []byte(content), false, nil
	}}
	return l.load("etc/echostr.yaml", []byte(text), env)
}

var secretFiles = map[string]string{
	"etc/token": goodToken + "\n", "etc/key": "CANARY-key\n", "/run/key": "  " + goodKey + "\r\n", "etc/empty": " \n",
	"etc/forbidden": "forbidden", "etc/long": strings.Repeat("x", 5000), "etc/weak": "CANARY9",
}

// sections splits a golden file at its lines "==== name".
func sections(t *testing.T, text string) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for _, part := range strings.Split("\n"+text, "\n==== ")[1:] {
		name, body, _ := strings.Cut(part, "\n")
		m[name] = strings.TrimSuffix(body, "\n") + "\n"
	}
	return m
}

// TestBad holds the exact text of what is said about each bad file.
func TestBad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d files in testdata/bad: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := sections(t, string(text))
			_, err = loadText(s["file"], strings.Split(strings.TrimSpace(s["env"]), "\n"), secretFiles)
			if err == nil {
				t.Fatal("the file was accepted")
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error shows a value of the file: %v", err)
			}
			all, ok := errors.AsType[Errors](err)
			if one, isOne := errors.AsType[*Error](err); !ok || !isOne || one != all[0] {
				t.Errorf("the error has type %T and holds %v", err, one)
			}
			if *update {
				out := "==== file\n" + s["file"]
				if s["env"] != "" {
					out = "==== env\n" + s["env"] + out
				}
				if err := os.WriteFile(name, []byte(out+"==== want\n"+err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(s["want"], err.Error()+"\n"); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

const minimal = `accounts:
  - name: demo
    app_id: wxb11529c136998cb6
    token: ` + goodToken + `
    mode: plain
    bot: sample
`

// account is a with the defaults that most accounts have.
func account(a Account) Account {
	a.HandlerTimeout, a.BodyLimit = Duration(time.Minute), 256<<10
	a.Freshness = Duration(5 * time.Minute)
	if a.Mode == Safe {
		a.Freshness = Duration(10 * time.Minute)
	}
	a.OnUnknown, a.TicketLife, a.HoldBudget, a.Overlap, a.TokenKind = Resend, Duration(24*time.Hour), 60, OverlapParallel, StableToken
	return a
}

func defaults() Config {
	return Config{
		Listen: "127.0.0.1:8080", Admin: "127.0.0.1:8081", Store: "sqlite:./echostr.db",
		Log:           Log{Level: "info", Format: LogText},
		Limits:        Limits{MaxWaiting: 10_000, MaxRunning: 10_000, MaxUserMessages: 60},
		Retention:     Retention{Bodies: Duration(30 * 24 * time.Hour)},
		OnUnsubscribe: Erase,
		Accounts:      []Account{account(Account{Name: "demo", AppID: "wxb11529c136998cb6", Token: NewSecret(goodToken), Mode: Plain, Bot: BotSample})},
	}
}

var asValues = cmp.Options{
	cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b *Error) bool { return a.Error() == b.Error() }),
}

func TestLoad(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		env        []string
		want       func(*Config)
	}{
		{"defaults", minimal, nil, func(*Config) {}},
		{"the file of the manual", `
listen: 127.0.0.1:8080          # WeChat's pushes: /wx/{account name}
admin: 127.0.0.1:8081
store: memory:                  # or sqlite:./echostr.db, later postgres://...
accounts:
  - name: demo
    app_id: wxb11529c136998cb6
    app_secret: 0123456789abcdef    # needed only for calls to WeChat's API
    token: ` + goodToken + `
    encoding_aes_key: ` + goodKey + `
    mode: safe                  # plain | compatible | safe
    verified: false             # has the customer-service API
    bot: sample                 # sample | demo
`, nil, func(c *Config) {
			c.Store = "memory:"
			c.Accounts[0].AppSecret = NewSecret("0123456789abcdef")
			c.Accounts[0].EncodingAESKey = NewSecret(goodKey)
			c.Accounts[0].Mode = Safe
			c.Accounts[0].Freshness = Duration(10 * time.Minute)
		}},
		{"every key, other names, BOM, CRLF, flow style, all digits", strings.ReplaceAll("\ufeff"+`listen: :80
admin: '[::1]:81'
admin_token_file: admin.token
store: memory:
log: {level: debug, format: json}
trusted_proxies: [10.0.0.0/8, "::1", ::ffff:192.0.2.1]
retention:
  bodies: 10d
limits: {max_waiting: 1, max_running: 1000000, max_user_messages: 0}
allow_network_file_system: true
on_unsubscribe: keep
api_base_url: https://sh.api.weixin.qq.com
serve_token: true
accounts:
  - {name: a-b_1, appid: wxb11529c136998cb6, secret: s, token: 0123456789012345678, aes_key: `+goodKey+`, mode: compatible,
     verified: true, bot: demo, original_id: gh_866835093fea, previous_token: old, previous_encoding_aes_key: kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR,
     previous_until: 2026-03-02T20:00:00+08:00, handler_timeout: 1m30s, freshness: 30s, body_limit: 1MiB, allow_weak_token: true, fallback: 稍后再试,
     late: hold, on_unknown: drop, placeholder: '稍等，{link}', fetch_word: 取, ticket_life: 1h, hold_budget: 1, overlap: queue, markdown: true, remove_thinking: true, token_kind: plain}
  - {name: b, appid: wxb11529c136998cb7, token: `+goodToken+`, mode: plain, verified: true, late: ticket, bot: ai, markdown: false, remove_thinking: false,
     ai: {base_url: http://127.0.0.1:11434/v1, model: qwen3, api_key: k, system_prompt: 简短, memory_turns: 0, memory_life: 30d, max_tokens: 800, timeout: 90s}}
`, "\n", "\r\n"), nil, func(c *Config) {
			*c = Config{
				Listen: ":80", Admin: "[::1]:81", AdminTokenFile: "admin.token", Store: "memory:",
				Log: Log{Level: "debug", Format: LogJSON}, Retention: Retention{Duration(240 * time.Hour)}, OnUnsubscribe: Keep, AllowNetworkFileSystem: true,
				APIBaseURL: "https://sh.api.weixin.qq.com", ServeToken: true,
				Limits:         Limits{MaxWaiting: 1, MaxRunning: 1_000_000},
				TrustedProxies: []Prefix{{netip.MustParsePrefix("10.0.0.0/8")}, {netip.MustParsePrefix("::1/128")}, {netip.MustParsePrefix("192.0.2.1/32")}},
				Accounts: []Account{{
					Name: "a-b_1", AppID: "wxb11529c136998cb6", AppSecret: NewSecret("s"), Token: NewSecret("0123456789012345678"),
					EncodingAESKey: NewSecret(goodKey), Mode: Compatible, Verified: true, Bot: BotDemo, OriginalID: "gh_866835093fea",
					PreviousToken: NewSecret("old"), PreviousEncodingAESKey: NewSecret("kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"),
					PreviousUntil: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), HandlerTimeout: Duration(90 * time.Second),
					Freshness: Duration(30 * time.Second), BodyLimit: 1 << 20, AllowWeakToken: true, Fallback: "稍后再试",
					Late: LateHold, OnUnknown: Drop, Placeholder: "稍等，{link}", FetchWord: "取", TicketLife: Duration(time.Hour), HoldBudget: 1,
					Overlap: OverlapQueue, Markdown: true, RemoveThinking: true, TokenKind: PlainToken,
				}, account(Account{
					Name: "b", AppID: "wxb11529c136998cb7", Token: NewSecret(goodToken), Mode: Plain, Verified: true, Late: LateTicket, Bot: BotAI,
					AI: AI{
						BaseURL: "http://127.0.0.1:11434/v1", Model: "qwen3", APIKey: NewSecret("k"), SystemPrompt: "简短",
						MemoryLife: Duration(720 * time.Hour), MaxTokens: 800, Timeout: Duration(90 * time.Second),
					},
				})},
			}
		}},
		{"keys without a value are not given", "listen:\nlog:\n" + minimal + "    freshness:\n    token_file: ~\n", nil, func(*Config) {}},
		{"the bot ai", strings.Replace(minimal, "bot: sample", "bot: ai\n    ai:\n      base_url: https://api.deepseek.com/v1\n      model: deepseek-chat\n      api_key_file: key", 1), []string{
			"ECHOSTR_ACCOUNTS_0_AI_MODEL=deepseek-reasoner", "ECHOSTR_ACCOUNTS_0_AI_MEMORY_TURNS=3",
		}, func(c *Config) {
			a := &c.Accounts[0]
			a.Bot, a.Markdown, a.RemoveThinking = BotAI, true, true
			a.AI = AI{
				BaseURL: "https://api.deepseek.com/v1", Model: "deepseek-reasoner", APIKey: NewSecret("CANARY-key"),
				MemoryTurns: 3, MemoryLife: Duration(24 * time.Hour), Timeout: Duration(5 * time.Minute),
			}
		}},
		{"the bot ai by variables", minimal, []string{
			"ECHOSTR_ACCOUNTS_0_BOT=ai", "ECHOSTR_ACCOUNTS_0_AI_BASE_URL=http://[::1]:8000", "ECHOSTR_ACCOUNTS_0_AI_MODEL=m",
			"ECHOSTR_ACCOUNTS_0_AI_API_KEY_FILE=key", "ECHOSTR_ACCOUNTS_0_REMOVE_THINKING=false", "ECHOSTR_API_BASE_URL=http://localhost:8090/", "ECHOSTR_SERVE_TOKEN=true",
		}, func(c *Config) {
			c.APIBaseURL, c.ServeToken = "http://localhost:8090/", true
			a := &c.Accounts[0]
			a.Bot, a.Markdown = BotAI, true
			a.AI = AI{BaseURL: "http://[::1]:8000", Model: "m", APIKey: NewSecret("CANARY-key"), MemoryTurns: 10, MemoryLife: Duration(24 * time.Hour), Timeout: Duration(5 * time.Minute)}
		}},
		{
			"a variable replaces the file of a secret in a section", strings.Replace(minimal, "bot: sample", "bot: ai\n    ai: {base_url: http://127.0.0.1, model: m, api_key_file: missing}", 1),
			[]string{"ECHOSTR_ACCOUNTS_0_AI_API_KEY=k"},
			func(c *Config) {
				a := &c.Accounts[0]
				a.Bot, a.Markdown, a.RemoveThinking = BotAI, true, true
				a.AI = AI{BaseURL: "http://127.0.0.1", Model: "m", APIKey: NewSecret("k"), MemoryTurns: 10, MemoryLife: Duration(24 * time.Hour), Timeout: Duration(5 * time.Minute)}
			},
		},
		{"a verified account", minimal + "    verified: true\n    app_secret_file: key\n", nil, func(c *Config) {
			c.Accounts[0].Verified, c.Accounts[0].AppSecret = true, NewSecret("CANARY-key")
		}},
		{"a verified account without AppSecret", minimal + "    verified: true\n    late: ticket\n", nil, func(c *Config) {
			c.Accounts[0].Verified, c.Accounts[0].Late = true, LateTicket
		}},
		{"block scalar", minimal + "    fallback: |\n      一\n      二\n", nil, func(c *Config) { c.Accounts[0].Fallback = "一\n二" }},
		{"variables win", "listen: :1\nlog: {level: warn}\n" + minimal, []string{
			"ECHOSTR_LISTEN=:2", "ECHOSTR_LOG_LEVEL=error", "ECHOSTR_RETENTION_BODIES=2h", "ECHOSTR_TRUSTED_PROXIES=192.0.2.7, 10.0.0.0/8",
			"ECHOSTR_ACCOUNTS_0_TOKEN=" + strings.ToLower(goodToken), "ECHOSTR_ACCOUNTS_0_SECRET=t", "ECHOSTR_ACCOUNTS_0_VERIFIED=true", "HOME=/root",
			"ECHOSTR_STORE=sqlite:/var/lib/echostr/a.db", "ECHOSTR_LIMITS_MAX_RUNNING=7",
			"ECHOSTR_ADMIN=", "ECHOSTR_CONFIG=x", "ECHOSTR_SERVICE_HOST=10.0.0.1", "ECHOSTR_PORT=tcp://10.0.0.1:80", "ECHOSTR_PORT_80_TCP_ADDR=10.0.0.1", "ECHOSTR_ADMIN_PORT_81_TCP=tcp://10.0.0.1:81",
		}, func(c *Config) {
			c.Listen, c.Log.Level, c.Retention.Bodies = ":2", "error", Duration(2*time.Hour)
			c.Store, c.Limits.MaxRunning = "sqlite:/var/lib/echostr/a.db", 7
			c.TrustedProxies = []Prefix{{netip.MustParsePrefix("192.0.2.7/32")}, {netip.MustParsePrefix("10.0.0.0/8")}}
			c.Accounts[0].Token, c.Accounts[0].AppSecret, c.Accounts[0].Verified = NewSecret(strings.ToLower(goodToken)), NewSecret("t"), true
		}},
		{"no file at all", "", []string{
			"ECHOSTR_ACCOUNTS_0_NAME=demo", "ECHOSTR_ACCOUNTS_0_APP_ID=wxb11529c136998cb6", "ECHOSTR_ACCOUNTS_0_TOKEN_FILE=token",
			"ECHOSTR_ACCOUNTS_0_MODE=plain", "ECHOSTR_ACCOUNTS_0_BOT=sample",
		}, func(*Config) {}},
		{"another account by variables", minimal, []string{
			"ECHOSTR_ACCOUNTS_1_NAME=two", "ECHOSTR_ACCOUNTS_1_APPID=wxb11529c136998cb7", "ECHOSTR_ACCOUNTS_1_TOKEN=" + goodToken[1:],
			"ECHOSTR_ACCOUNTS_1_MODE=safe", "ECHOSTR_ACCOUNTS_1_ENCODINGAESKEY=" + goodKey, "ECHOSTR_ACCOUNTS_1_BOT=demo",
		}, func(c *Config) {
			c.Accounts = append(c.Accounts, account(Account{
				Name: "two", AppID: "wxb11529c136998cb7", Token: NewSecret(goodToken[1:]), Mode: Safe, EncodingAESKey: NewSecret(goodKey), Bot: BotDemo,
			}))
		}},
		{"secrets from files", strings.Replace(minimal, "token: "+goodToken, "token_file: token\n    encoding_aes_key_file: /run/key", 1), nil, func(c *Config) {
			c.Accounts[0].EncodingAESKey = NewSecret(goodKey)
		}},
		{"a variable replaces a secret's file", strings.Replace(minimal, "token: "+goodToken, "token_file: missing", 1), []string{"ECHOSTR_ACCOUNTS_0_TOKEN=" + goodToken}, func(*Config) {}},
		{"a file named by a variable replaces a secret", strings.Replace(minimal, goodToken, "short", 1), []string{"ECHOSTR_ACCOUNTS_0_TOKEN_FILE=token"}, func(*Config) {}},
		{"weak token allowed", strings.Replace(minimal, goodToken, "weixin\n    allow_weak_token: true", 1), nil, func(c *Config) {
			c.Accounts[0].Token, c.Accounts[0].AllowWeakToken = NewSecret("weixin"), true
		}},
		{"doubts", strings.Replace(minimal, "    bot: sample\n", "", 1) + `    previous_token: abc
    previous_until: 2026-03-01T11:00:00Z
  - {name: b, app_id: wxb11529c136998cb7, token: ` + goodToken + `, mode: plain, bot: demo}
  - {name: c, app_id: wxb11529c136998cb8, token: ` + strings.ToLower(goodToken) + `, mode: plain, verified: true, app_secret: '` + PlaceholderAppSecret + `', bot: ai, ai: {base_url: http://10.0.0.9/v1, model: m, api_key: k}}
admin: 0.0.0.0:9
serve_token: true
`, []string{"ECHOSTR_LISTN=:1"}, func(c *Config) {
			c.Admin = "0.0.0.0:9"
			c.Accounts = append(c.Accounts, c.Accounts[0])
			c.Accounts[1].Name, c.Accounts[1].AppID, c.Accounts[1].Bot = "b", "wxb11529c136998cb7", BotDemo
			c.ServeToken = true
			ai := account(Account{Name: "c", AppID: "wxb11529c136998cb8", Token: NewSecret(strings.ToLower(goodToken)), Mode: Plain, Verified: true, AppSecret: NewSecret(PlaceholderAppSecret), Bot: BotAI, Markdown: true, RemoveThinking: true})
			ai.AI = AI{BaseURL: "http://10.0.0.9/v1", Model: "m", APIKey: NewSecret("k"), MemoryTurns: 10, MemoryLife: Duration(24 * time.Hour), Timeout: Duration(5 * time.Minute)}
			c.Accounts = append(c.Accounts, ai)
			c.Accounts[0].Bot, c.Accounts[0].PreviousToken, c.Accounts[0].PreviousUntil = "", NewSecret("abc"), now.Add(-time.Hour)
			for _, line := range []string{
				"ECHOSTR_LISTN: this variable names no key and is ignored; check its spelling against the keys of the file",
				"etc/echostr.yaml:2:5: accounts[0].bot: no bot is named, so every message is answered with nothing; write sample, demo or ai",
				"etc/echostr.yaml:7:21: accounts[0].previous_until: has passed, so the previous token and key are refused; remove them",
				"etc/echostr.yaml:8:50: accounts[1].token: is also that of accounts[0], so who knows one can forge pushes to the other; give each account its own",
				"etc/echostr.yaml:9:125: accounts[2].app_secret: is the placeholder that `echostr account new NAME` writes; copy 开发者密码(AppSecret) from WeChat's console, or no late answer goes out",
				"etc/echostr.yaml:9:185: accounts[2].ai.base_url: begins with http://, so others on the way can read the api_key and all messages; use https:// if the endpoint has it",
				"etc/echostr.yaml:10:8: admin: is not a loopback address, so others can read the metrics; use 127.0.0.1 unless a firewall stands before it",
				"etc/echostr.yaml:11:14: serve_token: hands access tokens out without encryption, and admin is not a loopback address; use 127.0.0.1 unless that network is your own",
			} {
				c.Warnings = append(c.Warnings, &Error{Text: line})
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := loadText(tt.file, tt.env, secretFiles)
			if err != nil {
				t.Fatal(err)
			}
			want := defaults()
			tt.want(&want)
			if diff := cmp.Diff(&want, got, asValues); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if err := got.Validate(now); err != nil {
				t.Errorf("Validate after Load: %v", err)
			}
		})
	}
}

// TestLoadFiles is about real files and the functions of Load that tests
// above replace.
func TestLoadFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("token", goodToken+"\n")
	write("toolong", strings.Repeat("x", 5000))
	good := write("good.yaml", strings.Replace(minimal, "token: "+goodToken, "token_file: token", 1))
	tests := []struct{ path, wantErr string }{
		{good, ""},
		{write("long.yaml", strings.Replace(minimal, "token: "+goodToken, "token_file: toolong", 1)), "token_file: the file that it names is longer than 4 KiB"},
		{write("dir.yaml", strings.Replace(minimal, "token: "+goodToken, "token_file: .", 1)), "token_file: the file that it names cannot be read (is a directory)"},
		{filepath.Join(dir, "none.yaml"), "none.yaml: the configuration file does not exist; "},
		{dir, "the file cannot be read (is a directory)"},
		{write("huge.yaml", strings.Repeat("#\n", 1<<20)), "the file is longer than 1 MiB"},
		{"", "accounts: no account is given"},
	}
	for _, tt := range tests {
		c, err := Load(tt.path, nil)
		switch {
		case tt.wantErr == "" && err != nil:
			t.Errorf("Load(%q): %v", tt.path, err)
		case tt.wantErr == "" && c.Accounts[0].Token.Reveal() != goodToken:
			t.Errorf("Load(%q) did not read the token", tt.path)
		case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
			t.Errorf("Load(%q) = %v, want %q", tt.path, err, tt.wantErr)
		}
	}
}

// TestOpenFile is about the file's mode.
func TestOpenFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED on Windows, where modes say nothing")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(goodToken), 0o600); err != nil {
		t.Fatal(err)
	}
	inFile := strings.Replace(minimal, "token: "+goodToken, "token_file: token", 1)
	for _, tt := range []struct {
		text string
		mode os.FileMode
		env  []string
		warn bool
	}{
		{minimal, 0o600, nil, false},
		{minimal, 0o644, nil, true},
		{minimal, 0o640, nil, true},
		{inFile, 0o644, nil, false},
		{inFile, 0o644, []string{"ECHOSTR_ACCOUNTS_0_TOKEN=" + goodToken}, false},
		{strings.Replace(inFile, "bot: sample", "bot: ai\n    ai: {base_url: http://127.0.0.1, model: m, api_key: k}", 1), 0o644, nil, true},
		{"store: postgres://echostr:secret@127.0.0.1/echostr\n" + inFile, 0o644, nil, true},
		{"store: postgres://127.0.0.1/echostr?password=secret\n" + inFile, 0o644, nil, true},
		{"store: postgres://echostr@127.0.0.1/echostr\n" + inFile, 0o644, nil, false},
		{inFile, 0o644, []string{"ECHOSTR_STORE=postgres://echostr:secret@127.0.0.1/echostr"}, false},
	} {
		path := filepath.Join(dir, "echostr.yaml")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, tt.env)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(c.Warnings.Error(), path+": the file holds secrets, and other users may read it; run chmod 600"); got != tt.warn || len(c.Warnings) > 1 {
			t.Errorf("%v %v: %v", tt.mode, tt.env, c.Warnings)
		}
	}
}

// TestOpenSecretFile is about the mode of a file with one secret.
func TestOpenSecretFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED on Windows, where modes say nothing")
	}
	for mode, warn := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o440: false, 0o644: true, 0o604: true} {
		dir := t.TempDir()
		file, token := filepath.Join(dir, "echostr.yaml"), filepath.Join(dir, "token")
		for name, text := range map[string]string{file: strings.Replace(minimal, "token: "+goodToken, "token_file: token", 1), token: goodToken} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(token, mode); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Warnings.Error(); strings.Contains(got, "accounts[0].token_file: every user of this machine may read the file that it names; run chmod 600") != warn || len(c.Warnings) > 1 {
			t.Errorf("%v: %v", mode, got)
		}
	}
}

// TestAPIBaseURL: the AppSecret goes there.
func TestAPIBaseURL(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"": "", "https://api.weixin.qq.com": "", "https://api2.weixin.qq.com/": "", "https://10.0.0.7:8443/wechat": "",
		"http://127.0.0.1:8090": "", "http://localhost:8090": "", "http://[::1]:8090/x": "", "HTTPS://api.weixin.qq.com": "",
		"http://api.weixin.qq.com": "unencrypted", "http://10.0.0.7": "unencrypted", "http://0.0.0.0:8090": "unencrypted", "http://localhost.example.com": "unencrypted",
		"api.weixin.qq.com": "is not the URL", "ftp://127.0.0.1": "is not the URL", "https://": "is not the URL", "https://u:p@api.weixin.qq.com": "is not the URL",
		"https://api.weixin.qq.com?a=b": "is not the URL", "https://api.weixin.qq.com#a": "is not the URL", "127.0.0.1:8090": "is not the URL", "https://h:port": "is not the URL",
	} {
		k := checker{c: &Config{APIBaseURL: base}}
		switch k.apiBaseURL(); {
		case want == "" && len(k.errs) > 0:
			t.Errorf("%q is refused: %v", base, k.errs)
		case want != "" && (len(k.errs) != 1 || k.errs[0].Path != "api_base_url" || !strings.Contains(k.errs[0].Text, want)):
			t.Errorf("%q: %v, want %q", base, k.errs, want)
		}
	}
}

func TestPlaceholder(t *testing.T) {
	t.Parallel()
	c, err := loadText(strings.Replace(minimal, "wxb11529c136998cb6", PlaceholderAppID, 1), nil, nil)
	if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings.Error(), "accounts[0].app_id: is the placeholder") {
		t.Errorf("%v, %v", c.Warnings, err)
	}
}

// TestMisspeltVariables are often the reason of the errors they stand beside.
func TestMisspeltVariables(t *testing.T) {
	t.Parallel()
	env := []string{"ECHOSTR_ACCOUNTS_0_TOKN=" + goodToken, "ECHOSTR_ACCOUNTS_0_NAME=a"}
	for _, path := range []string{"", filepath.Join(t.TempDir(), "none.yaml")} {
		_, err := Load(path, env)
		if text := fmt.Sprint(err); !strings.Contains(text, "ECHOSTR_ACCOUNTS_0_TOKN: this variable names no key") || strings.Count(text, "\n") < 1 || strings.Contains(text, goodToken) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ file, store, want string }{
		{"etc/echostr.yaml", "sqlite:./echostr.db", "etc/echostr.db"},
		{"etc/echostr.yaml", "sqlite:../data/消息 1.db", "data/消息 1.db"},
		{"/etc/echostr.yaml", "sqlite:e.db", "/etc/e.db"},
		{"etc/echostr.yaml", "sqlite:/var/lib/e.db", "/var/lib/e.db"},
		{"etc/echostr.yaml", "sqlite:///var/lib/e.db", "/var/lib/e.db"},
		{"echostr.yaml", "sqlite:./echostr.db", "echostr.db"},
		{"", "sqlite:./echostr.db", "echostr.db"},
		{"etc/echostr.yaml", "memory:", ""},
	} {
		c := &Config{file: tt.file, Store: Store(tt.store)}
		if got := filepath.ToSlash(c.Database()); got != tt.want {
			t.Errorf("%s in %q: %q, want %q", tt.store, tt.file, got, tt.want)
		}
		k := checker{c: c}
		if k.store("store", c.Store); len(k.errs) > 0 {
			t.Errorf("%s is refused: %v", tt.store, k.errs)
		}
	}
}

func TestBadStores(t *testing.T) {
	t.Parallel()
	for store, want := range map[string]string{
		"sqlite:": "names no file", "sqlite:data/": "names a folder", "sqlite:.": "names a folder", "sqlite:data/..": "names a folder",
		"sqlite::memory:": "write memory: alone", "sqlite:file::memory:": "write memory: alone", "memory:x": "write memory: alone",
		"sqlite://var/e.db": "with one slash", "sqlite:e.db?cache=shared": "question mark", "sqlite:a\x00b": "characters",
		"sqlite3:e.db": "write sqlite: before", "file:e.db": "write sqlite: before", "postgresql://x": "names no database", "postgres:x": "is not an address", "postgres://u:p%zz@h/n": "is not an address", "postgres://u:p/w@h:5432/n": "is not an address",
		"./echostr.db": "is not a store; write sqlite:./echostr.db", "SQLITE:e.db": "is not a store",
	} {
		k := checker{c: &Config{}}
		if k.store("store", Store(store)); len(k.errs) != 1 || k.errs[0].Path != "store" || !strings.Contains(k.errs[0].Text, want) {
			t.Errorf("%q: %v, want %q", store, k.errs, want)
		}
	}
}

func TestDevelopment(t *testing.T) {
	t.Parallel()
	c := Development()
	if c.Log.Level != "debug" {
		t.Errorf("the level is %s; a developer must see the value of a panic", c.Log.Level)
	}
	if err := c.Validate(now); err != nil {
		t.Errorf("the development configuration is refused: %v", err)
	}
	if len(c.Accounts) != 2 || !c.Accounts[0].Verified || c.Accounts[1].Verified {
		t.Errorf("got %+v; late answers must be seen by the API, and by holding and tickets", c.Accounts)
	}
	for _, a := range c.Accounts {
		if a.Bot != BotDemo || a.Late != "" || a.AppSecret.IsZero() {
			t.Errorf("got %+v; it has the demo bot, and its late answers go the way of its kind", a)
		}
	}
	// S30: no key of a file can bring the account into production.
	for _, file := range []string{
		strings.Replace(minimal, goodToken, DevelopmentToken+"\n    allow_weak_token: true", 1),
		strings.Replace(minimal, "mode: plain", "mode: safe\n    encoding_aes_key: "+DevelopmentEncodingAESKey, 1),
	} {
		if _, err := loadText(file, nil, nil); err == nil || !strings.Contains(err.Error(), "development account") {
			t.Errorf("got %v for\n%s", err, file)
		}
	}
}

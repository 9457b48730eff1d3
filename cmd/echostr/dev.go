package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/store/sqlite"
)

type devCommand struct {
	Listen   string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where pushes arrive (${default}). The next free port is taken when it is busy."`
	Admin    string `default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"The operator's listener (${default}), likewise."`
	Bot      string `enum:"demo,sample" default:"demo" placeholder:"BOT" help:"demo or sample (${default})."`
	Mode     string `enum:"plain,compatible,safe" default:"plain" placeholder:"MODE" help:"plain, compatible or safe (${default})."`
	LogLevel string `enum:"debug,info,warn,error" default:"debug" placeholder:"LEVEL" help:"debug, info, warn or error (${default})."`

	Simulator bool   `default:"true" negatable:"" help:"Have a page with a phone to talk to the bot with. --no-simulator leaves it out." group:"simulator"`
	Page      string `default:"127.0.0.1:8090" placeholder:"HOST:PORT" help:"Where the page and WeChat's API are (${default}), likewise." group:"simulator"`
	worldFlags
}

func (c *devCommand) Help() string {
	return `There are two accounts, and the page has a phone for each, with the server already connected, and the wire beside it. dev is a verified service account (已认证服务号): an answer that is late follows by the customer-service API (客服消息). dev-sub is an unverified subscription account (未认证订阅号), which has no such API: pushes are held for WeChat's retries, and an answer that is later still is kept until the user fetches it. Without the page there is no API, so dev is like dev-sub.

The accounts' token and keys are known to everybody, so it listens on this machine only. Messages are kept in dev.db in this user's cache folder, for 30 days: echostr turn ls still lists those of yesterday.

Commands of the demo bot: 帮助, 慢 8 (answers after 8 seconds), 想 20 (writes for 20 seconds), 长 3000 (a long text), 图文 (an article), 记 文字 (remembers), 错误 (fails), 崩溃 (panics).`
}

func (c *devCommand) Run(ctx context.Context, term *terminal) (err error) {
	for _, address := range []string{c.Listen, c.Admin, c.Page} {
		if !onLoopback(address) {
			return usage("%s can be reached from outside, and everybody knows the token of the development account; use 127.0.0.1, or `echostr serve` with an account of your own", address)
		}
	}
	if !c.Simulator && (c.Record != "" || len(c.Fault) > 0) {
		return usage("--record and --fault are the simulator's; leave --no-simulator out, or them")
	}
	cfg := config.Development()
	cfg.Listen, cfg.Admin = c.Listen, c.Admin
	cfg.Log.Level = config.LogLevel(c.LogLevel)
	for i := range cfg.Accounts {
		a := &cfg.Accounts[i]
		a.Bot, a.Mode = config.Bot(c.Bot), config.Mode(c.Mode)
		a.OriginalID = ""                      // captured pushes of any account are welcome
		a.Verified = a.Verified && c.Simulator // WeChat itself knows no such account
	}
	var w *world
	if c.Simulator {
		if w, err = c.open(term, c.Page, dialHere); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.close()) }()
		cfg.APIBaseURL = w.URL
	}
	tokenFile := devTokenFile()
	logger, begin := afterBanner(server.NewLogger(term.err, cfg.Log))
	srv, instead, remove, err := c.startServer(cfg, &server.Options{
		Logger:    logger,
		NextPort:  true,
		TokenFile: tokenFile,
		Version:   programVersion(),
	})
	if err != nil {
		return err
	}
	defer remove()
	state := devState{
		PID:       os.Getpid(),
		URL:       accountURL(srv, &cfg.Accounts[0]),
		Mode:      c.Mode,
		Admin:     srv.AdminAddr().String(),
		TokenFile: tokenFile,
	}
	if err := state.save(); err != nil {
		logger.Warn("echostr push will not find this server by itself", slog.Any("error", err))
	}
	defer state.remove()
	if w != nil {
		for i := range cfg.Accounts {
			if _, err := w.add(official(&cfg.Accounts[i], accountURL(srv, &cfg.Accounts[i])), c.Users); err != nil {
				return err
			}
		}
		w.serve(ctx)
		fmt.Fprintf(term.out, "\n  %s   ← open this (在浏览器中打开)\n\n", w.URL)
	}
	c.busy(term.out, c.Listen, srv.Addr())
	c.busy(term.out, c.Admin, srv.AdminAddr())
	if instead != nil {
		fmt.Fprintf(term.out, "%v\nSo messages are kept in a temporary file, which is removed at the end (消息保存在临时文件中，退出时删除).\n", instead)
	}
	other := accountURL(srv, &cfg.Accounts[1])
	if w != nil {
		c.facts(term, cfg, state, other, w)
	} else {
		c.welcome(term, cfg, state, other)
	}
	begin()
	return srv.Run(ctx)
}

// accountURL is where an account is pushed to.
func accountURL(srv *server.Server, a *config.Account) string {
	return "http://" + srv.Addr().String() + callback.PathPrefix + a.Name
}

// official is a development account as WeChat knows it.
func official(a *config.Account, url string) simulator.OfficialConfig {
	o := simulator.OfficialConfig{
		Account: simulator.Account{
			URL: url, Token: a.Token.Reveal(), Mode: simulator.Mode(a.Mode),
			AppID: a.AppID, EncodingAESKey: a.EncodingAESKey.Reveal(), OriginalID: config.DevelopmentSubOriginalID,
		},
		Name: "开发订阅号", AppSecret: a.AppSecret.Reveal(), Verified: a.Verified,
	}
	if a.Verified {
		o.Name, o.Kind, o.Account.OriginalID = "开发服务号", simulator.Service, config.DevelopmentOriginalID
	}
	return o
}

// startServer makes the server with its database. One that cannot be used, perhaps because another
// dev has it, is no reason for not starting: then there is a temporary one instead, which
// remove removes.
func (c *devCommand) startServer(cfg *config.Config, opts *server.Options) (srv *server.Server, instead error, remove func(), err error) {
	if instead = os.MkdirAll(userDir(), 0o700); instead == nil {
		cfg.Store = config.Store("sqlite:" + devDatabase())
		if srv, err = server.New(cfg, opts); !errors.Is(err, sqlite.ErrUnusable) {
			return srv, nil, func() {}, err
		}
		instead = err
	}
	dir, err := os.MkdirTemp("", "echostr-dev-*")
	if err != nil {
		return nil, nil, nil, fmt.Errorf("there is no place for a temporary database: %w; set TMPDIR to a folder that this user can write into", err)
	}
	remove = func() { os.RemoveAll(dir) }
	cfg.Store = config.Store("sqlite:" + filepath.Join(dir, "dev.db"))
	if srv, err = server.New(cfg, opts); err != nil {
		remove()
	}
	return srv, instead, remove, err
}

// busy says that another port was taken than the one that was asked for.
func (c *devCommand) busy(w io.Writer, asked string, got net.Addr) {
	_, want, err := net.SplitHostPort(asked)
	_, have, gotErr := net.SplitHostPort(got.String())
	if err != nil || gotErr != nil || want == have {
		return
	}
	if port, err := strconv.Atoi(want); err != nil || port == 0 {
		return
	}
	fmt.Fprintf(w, "%s is busy, another echostr dev? Listening at %s (端口 %[1]s 被占用，可能已有一个 echostr dev；改用 %[2]s)\n", want, have)
}

// afterBanner returns a logger without the lines that only inform until begin
// is called: the banner says the same in its own words.
func afterBanner(l *slog.Logger) (logger *slog.Logger, begin func()) {
	begun := new(atomic.Bool)
	return slog.New(patient{l.Handler(), begun}), func() { begun.Store(true) }
}

type patient struct {
	slog.Handler
	begun *atomic.Bool
}

func (p patient) Enabled(ctx context.Context, level slog.Level) bool {
	return (level >= slog.LevelWarn || p.begun.Load()) && p.Handler.Enabled(ctx, level)
}

func (p patient) WithAttrs(attrs []slog.Attr) slog.Handler {
	return patient{p.Handler.WithAttrs(attrs), p.begun}
}

func (p patient) WithGroup(name string) slog.Handler {
	return patient{p.Handler.WithGroup(name), p.begun}
}

// facts says what there is beside the page.
func (c *devCommand) facts(term *terminal, cfg *config.Config, state devState, other string, w *world) {
	a, b := &cfg.Accounts[0], &cfg.Accounts[1]
	facts := newTable()
	facts.add("  URL (服务器地址)", state.URL)
	facts.add("    of the subscription account (订阅号)", other)
	facts.add("  Token (令牌)", a.Token.Reveal())
	if c.Mode != defaultMode {
		facts.add("  EncodingAESKey (消息加解密密钥)", a.EncodingAESKey.Reveal())
	}
	facts.add("  AppID, AppSecret", a.AppID+", "+a.AppSecret.Reveal())
	facts.add("    of the subscription account (订阅号)", b.AppID+", "+b.AppSecret.Reveal())
	facts.add("  API (接口地址)", w.URL+"   in place of https://api.weixin.qq.com")
	facts.add("  Admin (管理端口)", "http://"+state.Admin)
	facts.add("  Database (数据库)", cfg.Database())
	facts.write(term.out)
	fmt.Fprintf(term.out, "\nOr in a second terminal (或在另一个终端里): %s\nEverybody knows these secrets: keep them from real accounts (切勿用于真实公众号). Ctrl-C stops.\n\n", c.push(state)+" text 你好")
}

// push is how to push to this server.
func (c *devCommand) push(state devState) string {
	push := programName() + " push"
	if state.URL != defaultURL {
		push += " --url " + state.URL
	}
	if c.Mode != defaultMode {
		push += " --mode " + c.Mode
	}
	return push
}

// welcome says what there is when there is no page.
func (c *devCommand) welcome(term *terminal, cfg *config.Config, state devState, other string) {
	a := &cfg.Accounts[0]
	push := c.push(state)
	w := term.out
	fmt.Fprintf(w, "\nTwo development accounts (开发账号) with the %s bot.\n\n", c.Bot)
	facts := newTable()
	facts.add("  URL (服务器地址)", state.URL)
	facts.add("    of the other account (另一个账号)", other)
	facts.add("  Token (令牌)", a.Token.Reveal())
	facts.add("  EncodingAESKey (消息加解密密钥)", a.EncodingAESKey.Reveal())
	facts.add("  AppID (开发者ID)", a.AppID+", "+cfg.Accounts[1].AppID)
	facts.add("  Mode (消息加解密方式)", modeName(c.Mode))
	facts.add("  Admin (管理端口)", "http://"+state.Admin)
	facts.add("  Database (数据库)", cfg.Database())
	facts.write(w)
	fmt.Fprintf(w, "\nTry it in a second terminal (在另一个终端里试试):\n\n")
	try := func(line, note string) {
		if note != "" {
			fmt.Fprintf(w, "  # %s\n", note)
		}
		fmt.Fprintf(w, "  %s\n", line)
	}
	try(push+" text 你好", "")
	if c.Bot == "demo" {
		try(push+` text "慢 8"`, "answered on the second push (第二次推送时回复)")
	}
	try(push+" subscribe --scene 123123", "followed by a QR code (扫码关注)")
	try(programName()+" turn ls", "what has arrived (收到的消息)")
	fmt.Fprintf(w, "\nEverybody knows this token: keep it from real accounts (切勿用于真实公众号). Ctrl-C stops.\n\n")
}

// programName is how the user calls this program.
func programName() string {
	exe, err := os.Executable()
	if err != nil {
		return "echostr"
	}
	if strings.Contains(exe, "go-build") {
		return "go run ./cmd/echostr"
	}
	name := filepath.Base(exe)
	if found, err := exec.LookPath(name); err == nil && found == exe {
		return name
	}
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0]
	}
	return name
}

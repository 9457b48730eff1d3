package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/server"
)

const defaultConfig = "echostr.yaml"

type serveCommand struct {
	Config   string `short:"c" default:"${default_config}" placeholder:"FILE" help:"The configuration. Without the default file, accounts may stand in the environment (ECHOSTR_ACCOUNTS_0_NAME ...)."`
	LogLevel string `placeholder:"LEVEL" help:"debug, info, warn or error, instead of log.level."`
	WaitLock string `placeholder:"TIME" help:"Wait this long, such as 10s, for another process to release the database and the addresses."`
}

func (c *serveCommand) Help() string {
	return `Secrets and every other key can come from the environment, too: ECHOSTR_ACCOUNTS_0_TOKEN is accounts[0].token.

SIGTERM and SIGINT drain: it goes on listening until the messages under way have been answered, some 8 s at most, and ends within 10 s. A second signal ends at once.

No connection is refused during a restart if a service manager keeps the sockets open, as systemd does for a .socket unit (LISTEN_FDS; the socket is named listen, that of the operator admin). Told to stop, the process then leaves new pushes to the next one, and releases the database within 4.5 s. A next one that is started meanwhile with --wait-lock takes over by itself.

Exit codes: 0 told to stop, 1 failed, 2 wrong command line, 70 to be restarted, 78 wrong configuration, or a database that cannot be used.`
}

func (c *serveCommand) Run(ctx context.Context, term *terminal) error {
	wait, err := waitLock(c.WaitLock)
	if err != nil {
		return err
	}
	cfg, path, err := loadConfig(c.Config, term.env)
	if err != nil {
		return err
	}
	if c.LogLevel != "" && cfg.Log.Level.UnmarshalText([]byte(c.LogLevel)) != nil {
		return usage("--log-level is debug, info, warn or error, and not %q", c.LogLevel)
	}
	opts := &server.Options{
		Logger:    server.NewLogger(term.err, cfg.Log),
		TokenFile: server.TokenFile(cfg, path),
		Version:   programVersion(),
		WaitLock:  wait,
	}
	if err := opts.Inherit(); err != nil {
		return err
	}
	srv, err := newServer(ctx, cfg, opts)
	if err != nil || srv == nil {
		return err
	}
	for i := range cfg.Accounts {
		a := &cfg.Accounts[i]
		fmt.Fprintf(term.out, "account %s: http://%s%s%s (%s)\n", a.Name, srv.Addr(), callback.PathPrefix, a.Name, modeName(string(a.Mode)))
	}
	fmt.Fprintf(term.out, "admin: http://%s\n", srv.AdminAddr())
	return srv.Run(ctx)
}

// maxWaitLock is longer than any server takes to stop.
const maxWaitLock = 10 * time.Minute

func waitLock(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	var d config.Duration
	if err := d.UnmarshalText([]byte(text)); err != nil || d < 0 || time.Duration(d) > maxWaitLock {
		return 0, usage("--wait-lock %q is no length of time up to 10m; write it like 10s", text)
	}
	return time.Duration(d), nil
}

// newServer is server.New that can be interrupted while it waits for a lock, or checks or converts a database: then it
// returns neither a server nor an error, and the process ends.
func newServer(ctx context.Context, cfg *config.Config, opts *server.Options) (*server.Server, error) {
	type result struct {
		srv *server.Server
		err error
	}
	made := make(chan result, 1)
	go func() {
		srv, err := server.New(cfg, opts)
		made <- result{srv, err}
	}()
	select {
	case r := <-made:
		return r.srv, r.err
	case <-ctx.Done():
		return nil, nil
	}
}

// loadConfig loads the configuration, and also says where it was. The default
// file may be absent if the environment has the accounts.
func loadConfig(path string, env []string) (*config.Config, string, error) {
	if path == defaultConfig {
		_, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) && accountsInEnvironment(env) {
			path = ""
		}
	}
	cfg, err := config.Load(path, env)
	return cfg, path, err
}

func accountsInEnvironment(env []string) bool {
	for _, e := range env {
		if strings.HasPrefix(e, "ECHOSTR_ACCOUNTS_") {
			return true
		}
	}
	return false
}

// modeName adds what WeChat's console calls the mode.
func modeName(mode string) string {
	switch mode {
	case "plain":
		return "plain, 明文模式"
	case "compatible":
		return "compatible, 兼容模式"
	case "safe":
		return "safe, 安全模式"
	}
	return mode
}

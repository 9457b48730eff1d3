package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/server"
)

const defaultConfig = "echostr.yaml"

type serveCommand struct {
	Config   string `short:"c" default:"${default_config}" placeholder:"FILE" help:"The configuration. Without the default file, accounts may stand in the environment (ECHOSTR_ACCOUNTS_0_NAME ...)."`
	LogLevel string `placeholder:"LEVEL" help:"debug, info, warn or error, instead of log.level."`
}

func (c *serveCommand) Help() string {
	return `Secrets and every other key can come from the environment, too: ECHOSTR_ACCOUNTS_0_TOKEN is accounts[0].token.

SIGTERM and SIGINT drain: it goes on listening until the messages under way have been answered, 10 s at most. A second signal ends at once.

Exit codes: 0 told to stop, 1 failed, 2 wrong command line, 70 to be restarted, 78 wrong configuration.`
}

func (c *serveCommand) Run(ctx context.Context, term *terminal) error {
	cfg, path, err := loadConfig(c.Config, term.env)
	if err != nil {
		return err
	}
	if c.LogLevel != "" && cfg.Log.Level.UnmarshalText([]byte(c.LogLevel)) != nil {
		return usage("--log-level is debug, info, warn or error, and not %q", c.LogLevel)
	}
	srv, err := server.New(cfg, &server.Options{
		Logger:    server.NewLogger(term.err, cfg.Log),
		TokenFile: server.TokenFile(cfg, path),
		Version:   programVersion(),
	})
	if err != nil {
		return err
	}
	for i := range cfg.Accounts {
		a := &cfg.Accounts[i]
		fmt.Fprintf(term.out, "account %s: http://%s%s%s (%s)\n", a.Name, srv.Addr(), callback.PathPrefix, a.Name, modeName(string(a.Mode)))
	}
	fmt.Fprintf(term.out, "admin: http://%s\n", srv.AdminAddr())
	return srv.Run(ctx)
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

package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/server"
)

type configCommand struct {
	Check configCheckCommand `cmd:"" help:"Say what is wrong or doubtful in a configuration, with the environment over it, and with the place of its database."`
}

type configCheckCommand struct {
	File   string `arg:"" optional:"" help:"The configuration (${default_config}; without that file, accounts may stand in the environment)."`
	Config string `short:"c" placeholder:"FILE" help:"The same, as the other commands have it."`
}

func (c *configCheckCommand) Help() string {
	return "Exit codes: 0 it is good, 78 it is not, 1 the server of its database cannot be reached to be looked at."
}

func (c *configCheckCommand) Run(term *terminal) error {
	if c.File != "" && c.Config != "" {
		return usage("the configuration is named twice; leave %s or -c %s out", c.File, c.Config)
	}
	cfg, path, err := loadConfig(cmp.Or(c.File, c.Config, defaultConfig), term.env)
	if err != nil {
		return err
	}
	if err := server.CheckStore(cfg); err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(term.err, "warning: %v\n", w)
	}
	if path == "" {
		path = "the configuration in the environment"
	}
	fmt.Fprintf(term.out, "%s is good. %s\n", path, strings.Join(keeping(cfg), " "))
	t := newTable("ACCOUNT", "MODE", "BOT", "VERIFIED", "HANDLER", "FRESHNESS")
	for i := range cfg.Accounts {
		a := &cfg.Accounts[i]
		verified := "no"
		if a.Verified {
			verified = "yes"
		}
		bot := string(a.Bot)
		if bot == "" {
			bot = "-"
		}
		t.add(a.Name, modeName(string(a.Mode)), bot, verified, short(time.Duration(a.HandlerTimeout)), short(time.Duration(a.Freshness)))
	}
	t.write(term.out)
	return nil
}

// keeping says where a configuration keeps messages, and those of which accounts if there are several places.
func keeping(cfg *config.Config) (sentences []string) {
	parts := cfg.ByStore()
	for _, part := range parts {
		whose := ""
		if len(parts) > 1 {
			whose = " of " + accountNames(part)
		}
		sentences = append(sentences, "Messages"+whose+" are kept in "+keptIn(part)+".")
	}
	return sentences
}

func keptIn(cfg *config.Config) string {
	path := cfg.Database()
	switch {
	case cfg.Postgres() != "":
		return cfg.Store.String() + ", which any number of nodes share"
	case path == "":
		return "memory, no longer than the process runs"
	}
	info, err := os.Stat(path)
	if err != nil {
		return path + ", which the first start makes"
	}
	return path + " (" + sizeText(info.Size()) + ")"
}

func accountNames(cfg *config.Config) string {
	names := make([]string, len(cfg.Accounts))
	for i := range names {
		names[i] = cfg.Accounts[i].Name
	}
	return strings.Join(names, ", ")
}

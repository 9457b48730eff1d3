package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/server"
)

// defaultAdmin is where `echostr dev` has its admin listener unless it is told
// otherwise. A variable for tests.
var defaultAdmin = "127.0.0.1:8081"

// devTokenFile is where every `echostr dev` of this user keeps the token of its API.
func devTokenFile() string { return filepath.Join(userDir(), "dev.admin-token") }

// devDatabase is where `echostr dev` keeps the messages of this user.
func devDatabase() string { return filepath.Join(userDir(), "dev.db") }

// target names a server to ask, as flags of a command.
type target struct {
	Config    string `short:"c" placeholder:"FILE" help:"The configuration of the server (${default_config}, else that of echostr dev)."`
	Admin     string `placeholder:"HOST:PORT" help:"The admin listener of a running server, instead."`
	TokenFile string `placeholder:"FILE" help:"The token file, with --admin."`
}

// place is where a server may be.
type place struct {
	admin, tokenFile string
	guessed          bool           // not named by the user or by a configuration
	cfg              *config.Config // its configuration, or at least its store; may be nil
}

// database names the files that the server at p keeps, those that are there, and the addresses of databases
// that it shares with others.
func (p place) database() string {
	if p.cfg == nil {
		return ""
	}
	var names []string
	for _, part := range p.cfg.ByStore() {
		if part.Postgres() != "" {
			names = append(names, part.Store.String())
		} else if info, err := os.Stat(part.Database()); err == nil && info.Size() > 0 {
			names = append(names, part.Database())
		}
	}
	return strings.Join(names, " and ")
}

// ask puts a question to the first server that runs. If none does it is answered from
// the first database that is there.
func (c *target) ask(places []place, online func(*server.Client) error, offline func(place) error) error {
	var dead []string
	var foreign error // a server that is not the one looked for
	for _, p := range places {
		token, tokenErr := server.ReadToken(p.tokenFile)
		if tokenErr != nil && !errors.Is(tokenErr, fs.ErrNotExist) {
			return tokenErr
		}
		err := online(&server.Client{Address: p.admin, Token: token})
		switch {
		case errors.Is(err, server.ErrNotRunning):
			if !slices.Contains(dead, p.admin) {
				dead = append(dead, p.admin)
			}
			continue
		case errors.Is(err, server.ErrToken):
			err = c.foreign(p, tokenErr)
			if p.guessed {
				foreign = err
				continue
			}
		}
		return err
	}
	for _, p := range places {
		if p.guessed && !places[0].guessed {
			break // whoever has a configuration does not want to see what `echostr dev` keeps
		}
		if p.database() != "" {
			return offline(p)
		}
	}
	if foreign != nil {
		return foreign
	}
	return fmt.Errorf("%w at %s, and there is no database to look into; start `echostr serve` or `echostr dev` first, or name the configuration of the server with -c FILE",
		server.ErrNotRunning, strings.Join(dead, " or "))
}

// foreign is the error about a server that does not take our token.
func (c *target) foreign(p place, tokenErr error) error {
	switch {
	case c.Admin != "" && tokenErr != nil:
		return fmt.Errorf("there is no token file %s; name that of the server at %s with --token-file", p.tokenFile, p.admin)
	case c.Admin != "":
		return fmt.Errorf("the server at %s has another token than %s; name its own file with --token-file", p.admin, p.tokenFile)
	case p.guessed:
		return fmt.Errorf("the server at %s is not an `echostr dev` of this user; name its configuration with -c FILE, or stop it", p.admin)
	}
	return fmt.Errorf("another server than the one of this configuration answers at %s; name the configuration of that one with -c FILE, or stop it", p.admin)
}

// places lists where to ask: where the flags say, else the configuration of
// this folder and then what `echostr dev` may have started.
func (c *target) places(term *terminal) ([]place, error) {
	if c.Admin != "" {
		if c.TokenFile == "" {
			return nil, usage("--admin needs --token-file, too")
		}
		return []place{{admin: c.Admin, tokenFile: c.TokenFile}}, nil
	}
	var list []place
	path := c.Config
	if path == "" && (defaultConfigExists() || accountsInEnvironment(term.env)) {
		path = defaultConfig
	}
	if path != "" {
		cfg, path, err := loadConfig(path, term.env)
		if err != nil {
			return nil, err
		}
		list = append(list, place{admin: reachable(cfg.Admin), tokenFile: server.TokenFile(cfg, path), cfg: cfg})
	}
	if c.Config != "" {
		return list, nil
	}
	dev := config.Development()
	dev.Store = config.Store("sqlite:" + devDatabase())
	guess := func(p place) {
		p.guessed, p.cfg = true, dev
		for _, known := range list {
			if known.admin == p.admin && known.tokenFile == p.tokenFile {
				return
			}
		}
		list = append(list, p)
	}
	if state, ok := readState(); ok {
		guess(place{admin: state.Admin, tokenFile: state.TokenFile})
	}
	// The file tells only of the server that was started last.
	guess(place{admin: defaultAdmin, tokenFile: devTokenFile()})
	return list, nil
}

func defaultConfigExists() bool {
	_, err := os.Stat(defaultConfig)
	return err == nil
}

package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/bots"
	"github.com/echostr/echostr/internal/config"
)

// accounts translates the configured accounts, which have been checked.
func (s *Server) accounts() []callback.Account {
	list := make([]callback.Account, len(s.cfg.Accounts))
	for i := range s.cfg.Accounts {
		a := &s.cfg.Accounts[i]
		list[i] = callback.Account{
			Name:                   a.Name,
			AppID:                  a.AppID,
			Token:                  a.Token.Reveal(),
			EncodingAESKey:         a.EncodingAESKey.Reveal(),
			Mode:                   mode(a.Mode),
			Verified:               a.Verified,
			Handler:                s.bot(a.Bot),
			OriginalID:             a.OriginalID,
			PreviousToken:          a.PreviousToken.Reveal(),
			PreviousEncodingAESKey: a.PreviousEncodingAESKey.Reveal(),
			PreviousUntil:          a.PreviousUntil,
			HandlerTimeout:         time.Duration(a.HandlerTimeout),
			Freshness:              time.Duration(a.Freshness),
			BodyLimit:              int64(a.BodyLimit),
			Fallback:               a.Fallback,
			KeepUnsubscribed:       s.cfg.OnUnsubscribe == config.Keep,
			AllowWeakToken:         a.AllowWeakToken,
			Once:                   a.Once,
			BindSignature:          a.BindSignature,
		}
	}
	return list
}

// UnknownAccount is the error about an account that is not in a configuration. It names those
// that are. It is nil if the account is.
func UnknownAccount(cfg *Config, name string) error {
	const shown = 10
	var known []string
	for i := range cfg.Accounts {
		if cfg.Accounts[i].Name == name {
			return nil
		}
		known = append(known, cfg.Accounts[i].Name)
	}
	list := strings.Join(known[:min(len(known), shown)], ", ")
	if more := len(known) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("there is no account %q (没有这个账号); the configuration has %s", name, list)
}

func mode(m config.Mode) callback.Mode {
	switch m {
	case config.Plain:
		return callback.Plain
	case config.Compatible:
		return callback.Compatible
	case config.Safe:
		return callback.Safe
	}
	return 0 // refused by callback.New
}

// bot returns the handler of an account.
func (s *Server) bot(b config.Bot) echostr.Handler {
	switch {
	case s.opts.Handler != nil:
		return s.opts.Handler
	case b == config.BotSample:
		return bots.Sample()
	case b == config.BotDemo:
		return bots.Demo()
	}
	return echostr.NewRouter() // no answer
}

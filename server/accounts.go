package server

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/bots"
	"github.com/echostr/echostr/internal/config"
)

// accounts translates the configured accounts, which have been checked.
func (p *part) accounts() []callback.Account {
	s := p.server
	list := make([]callback.Account, len(p.cfg.Accounts))
	for i := range p.cfg.Accounts {
		a := &p.cfg.Accounts[i]
		list[i] = callback.Account{
			Name:                   a.Name,
			AppID:                  a.AppID,
			Token:                  a.Token.Reveal(),
			EncodingAESKey:         a.EncodingAESKey.Reveal(),
			Mode:                   mode(a.Mode),
			API:                    s.customerService(a),
			Late:                   late(a.Late),
			Handler:                s.bot(a),
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
			Placeholder:            a.Placeholder,
			FetchWord:              a.FetchWord,
			TicketLife:             time.Duration(a.TicketLife),
			DropUnknown:            a.OnUnknown == config.Drop,
			HoldBudget:             int(a.HoldBudget),
			Overlap:                overlap(a.Overlap),
			Markdown:               a.Markdown,
			RemoveThinking:         a.RemoveThinking,
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

func late(l config.Late) callback.Late {
	switch l {
	case config.LateAPI:
		return callback.LateAPI
	case config.LateHold:
		return callback.LateHold
	case config.LateTicket:
		return callback.LateTicket
	}
	return 0 // the callback's default
}

func overlap(o config.Overlap) callback.Overlap {
	switch o {
	case config.OverlapQueue:
		return callback.Queue
	case config.OverlapCancel:
		return callback.Cancel
	}
	return callback.Parallel
}

// bot returns the handler of an account.
func (s *Server) bot(a *config.Account) echostr.Handler {
	switch {
	case s.opts.Handler != nil:
		return s.opts.Handler
	case a.Bot == config.BotSample:
		return bots.Sample()
	case a.Bot == config.BotDemo:
		return bots.Demo()
	case a.Bot == config.BotAI:
		return bots.AI(aiConfig(a, s.logger))
	}
	return echostr.NewRouter() // no answer
}

func aiConfig(a *config.Account, logger *slog.Logger) bots.AIConfig {
	turns := int(a.AI.MemoryTurns)
	if turns == 0 {
		turns = -1 // zero is the default there
	}
	return bots.AIConfig{
		BaseURL:      a.AI.BaseURL,
		Model:        a.AI.Model,
		APIKey:       a.AI.APIKey,
		SystemPrompt: a.AI.SystemPrompt,
		MemoryTurns:  turns,
		MemoryLife:   time.Duration(a.AI.MemoryLife),
		MaxTokens:    int(a.AI.MaxTokens),
		Timeout:      time.Duration(a.AI.Timeout),
		KeepThinking: !a.RemoveThinking,
		Logger:       logger,
	}
}

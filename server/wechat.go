package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/internal/config"
	"github.com/echostr/echostr/wxapi"
)

// makeClients makes the client of WeChat's API for every account that has an AppSecret, whether
// verified or not: tokens are had without verification, too.
func (p *part) makeClients() error {
	s := p.server
	for i := range p.cfg.Accounts {
		a := &p.cfg.Accounts[i]
		if a.AppSecret.IsZero() {
			continue
		}
		kind := wxapi.StableToken
		if a.TokenKind == config.PlainToken {
			kind = wxapi.PlainToken
		}
		client, err := wxapi.New(wxapi.Config{
			AppID:     a.AppID,
			AppSecret: wxapi.NewSecret(a.AppSecret.Reveal()),
			BaseURL:   s.cfg.APIBaseURL,
			TokenKind: kind,
			Transport: s.opts.transport,
			Tokens:    p.tokens(a.AppSecret),
			Logger:    s.logger,
		})
		if err != nil {
			return fmt.Errorf("%w: account %s: %w", ErrConfig, a.Name, err)
		}
		s.clients[a.Name] = client
	}
	return nil
}

// customerService returns the customer-service API (客服消息) of an account, or nil if it has none.
func (s *Server) customerService(a *config.Account) callback.API {
	client := s.clients[a.Name]
	if client == nil || !a.Verified {
		return nil
	}
	return customerService{client, a.Name, s.logger}
}

// customerService makes a callback.API of the client of an account.
type customerService struct {
	client  *wxapi.Client
	account string
	logger  *slog.Logger
}

// Send is part of callback.API. A refusal that only the owner of the account can change is logged
// here, each time that WeChat repeats it: nobody is told of it otherwise as long as the messages wait.
func (c customerService) Send(ctx context.Context, openID string, r echostr.Reply) callback.Sending {
	err := c.client.Send(ctx, openID, r, nil)
	s := sending(err)
	if e, ok := errors.AsType[*wxapi.Error](err); ok && e.Account() && e.Until.IsZero() {
		c.logger.ErrorContext(ctx, "WeChat takes no call of the account, so late answers wait", slog.String("account", c.account), slog.String("reason", s.Reason))
	}
	return s
}

// Typing is part of callback.API.
func (c customerService) Typing(ctx context.Context, openID string) error {
	err := c.client.Typing(ctx, openID)
	if e, ok := errors.AsType[*wxapi.Error](err); ok && e.Code == alreadyTyping {
		return nil // the user sees it
	}
	return withoutQuotes(err)
}

// Codes of WeChat's that are more than what wxapi says about them. R-API-ERRCODE
const alreadyTyping = 45081

var (
	// What these say hits every message of the account: its quotas, and its token.
	accountCodes = []int{40001, 40014, 42001, 45009, 45011}
	// These users can write nothing either that would fetch an answer: they do not follow, or the
	// account has put them on its black list (黑名单). Others who do not get a message may still write
	// one, as those who do not want any (48002, 10703), and even those whose OpenID WeChat does not
	// know (40003, 46004): it came with a message, so the AppID or AppSecret may be another account's.
	goneCodes = []int{10700, 43004, 43019, 50005, 62751}
)

// ownerPause is when a refusal is tried again that only the owner of the account can change. R-API-PROBE
const ownerPause = 10 * time.Minute

// sending tells what has become of a message by the error of its call. R-API-OUTCOME
func sending(err error) callback.Sending {
	if err == nil {
		return callback.Sending{Fate: callback.SendDone}
	}
	s := callback.Sending{Reason: reason(err)}
	e, refused := errors.AsType[*wxapi.Error](err)
	switch {
	case wxapi.OutcomeOf(err) == wxapi.OutcomeUnknown:
		s.Fate = callback.SendUnknown
	case !refused && errors.Is(err, wxapi.ErrInvalid):
		s.Fate = callback.SendRefused // a push may carry it all the same
	case !refused:
		s.Fate = callback.SendLater
	case e.Account():
		s.Fate, s.Account, s.After = callback.SendLater, true, ownerPause
		if !e.Until.IsZero() {
			s.After = max(time.Until(e.Until), time.Second)
		}
	case slices.Contains(goneCodes, e.Code):
		s.Fate = callback.SendGone
	case e.Retry():
		s.Fate, s.Account, s.After = callback.SendLater, slices.Contains(accountCodes, e.Code), e.After()
	default:
		s.Fate = callback.SendRefused
	}
	return s
}

// reason says in one sentence why a call has failed.
func reason(err error) string {
	return strings.TrimPrefix(withoutQuotes(err).Error(), "wxapi: ")
}

// withoutQuotes is err without what WeChat has written, which may quote what it was given. Of
// what is wrong with the account as a whole it quotes the address of the server only, which has to be
// known to put it into the whitelist.
func withoutQuotes(err error) error {
	if e, ok := errors.AsType[*wxapi.Error](err); ok && !e.Account() {
		plain := *e
		plain.Msg = ""
		return &plain
	}
	return err
}

// giveToken answers GET /api/v1/token/{account}.
func (s *Server) giveToken(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("account")
	if !s.cfg.ServeToken {
		answerError(w, http.StatusNotFound, "this server hands out no access tokens; if your other services may have them, set serve_token: true in its configuration and restart it")
		return
	}
	if err := UnknownAccount(s.cfg, name); err != nil {
		answerError(w, http.StatusNotFound, err.Error())
		return
	}
	client := s.clients[name]
	if client == nil {
		answerError(w, http.StatusNotFound, fmt.Sprintf("account %s has no AppSecret (开发者密码), so there is no access token; give it as app_secret or app_secret_file in the configuration and restart the server", name))
		return
	}
	token, err := client.Token(r.Context())
	if err != nil {
		status := http.StatusServiceUnavailable
		if wxapi.OutcomeOf(err) == wxapi.OutcomeRefused {
			status = http.StatusBadGateway
		}
		answerError(w, status, reason(err))
		return
	}
	answerJSON(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}{token.Value.Reveal(), int(max(time.Until(token.Expires), 0) / time.Second)})
}

package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"

	"github.com/echostr/echostr/store"
	"github.com/echostr/echostr/store/sqlite"
)

// Erasure is the answer of /api/v1/erase: what was erased of a user. Only
// salted keys stay of these messages, until their retention ends: P10.
type Erasure struct {
	// Turns counts the messages.
	Turns int `json:"turns"`
}

// erasureRequest is the body of POST /api/v1/erase.
type erasureRequest struct {
	Account string `json:"account,omitempty"`
	OpenID  string `json:"openid"`
}

// eraseUser erases all that a user has sent, to one account or, if account is empty, to
// any: also to accounts that are not configured any more.
func eraseUser(ctx context.Context, st store.Store, account, openID string) (Erasure, error) {
	n, err := st.Erase(ctx, account, openID, store.Key{})
	return Erasure{Turns: n}, err
}

func (s *Server) erase(w http.ResponseWriter, r *http.Request) {
	var req erasureRequest
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	in.DisallowUnknownFields()
	if err := in.Decode(&req); err != nil || req.OpenID == "" {
		answerError(w, http.StatusBadRequest, `send {"openid": "..."} as JSON, and "account" too if the messages to one account only are to be erased`)
		return
	}
	done, err := s.eraseUser(r.Context(), req.Account, req.OpenID)
	if err != nil {
		answerError(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	if done.Turns == 0 && req.Account != "" {
		if err := UnknownAccount(s.cfg, req.Account); err != nil {
			answerError(w, http.StatusNotFound, err.Error())
			return
		}
	}
	if done.Turns > 0 {
		s.logger.InfoContext(r.Context(), "what a user had sent was erased on request", slog.Int("messages", done.Turns))
	}
	answerJSON(w, http.StatusOK, done)
}

// Erase erases what a user has sent until now, to one account or, if account is
// empty, to any. From the files of the database it is gone within a minute, or an
// hour if they are large.
func (c *Client) Erase(ctx context.Context, account, openID string) (Erasure, error) {
	var done Erasure
	err := c.do(ctx, http.MethodPost, "/api/v1/erase", erasureRequest{account, openID}, &done)
	return done, err
}

// EraseOffline is [Client.Erase] while no server runs. It opens the databases of the
// configuration itself, which is refused while another process has it, and leaves
// nothing of what was erased in the files. A PostgreSQL database is refused: other nodes may run.
//
// The error wraps [ErrConfig] if the database cannot be used, which somebody has to put
// right.
func EraseOffline(ctx context.Context, cfg *Config, account, openID string) (Erasure, error) {
	parts := cfg.ByStore()
	for _, part := range parts {
		if part.Postgres() != "" {
			// A node that runs elsewhere may have messages of the user under way, which only it can withdraw.
			return Erasure{}, unusableError{errors.New("no node answers here, and in a database that several nodes share a node erases; start one, or name the address for the operator of one that runs, as ECHOSTR_ADMIN or by --admin and --token-file")}
		}
	}
	var done Erasure
	for _, part := range parts {
		if _, err := os.Stat(part.Database()); len(parts) > 1 && err != nil {
			continue // its server has not run yet
		}
		one, err := eraseOffline(ctx, part, account, openID)
		done.Turns += one.Turns
		if err != nil {
			return done, err
		}
	}
	if done.Turns == 0 && account != "" {
		return done, UnknownAccount(cfg, account)
	}
	return done, nil
}

func eraseOffline(ctx context.Context, cfg *Config, account, openID string) (_ Erasure, err error) {
	db, err := openDatabase(ctx, cfg, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return Erasure{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	done, err := eraseUser(ctx, db, account, openID)
	if err != nil || done.Turns == 0 {
		return done, err
	}
	return done, db.Tidy(ctx)
}

package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
)

// The operator's view of answers that have not reached their users: what the outbox is to send, and
// what is kept for users to fetch.

// resendTurn and dropTurn answer POST /api/v1/outbox/{key}/retry and /drop.
func (s *Server) resendTurn(w http.ResponseWriter, r *http.Request) {
	s.operate(w, r, (*callback.Server).Resend)
}

func (s *Server) dropTurn(w http.ResponseWriter, r *http.Request) {
	s.operate(w, r, (*callback.Server).Drop)
}

func (s *Server) operate(w http.ResponseWriter, r *http.Request, do func(*callback.Server, context.Context, store.Key) (store.Turn, error)) {
	found, at, err := turnOf(r.Context(), s.readers(), r.PathValue("key"))
	switch {
	case errors.Is(err, errNoTurn):
		answerError(w, http.StatusNotFound, err.Error())
		return
	case errors.Is(err, errBadKey), errors.Is(err, errManyKey):
		answerError(w, http.StatusBadRequest, err.Error())
		return
	case err != nil:
		answerError(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	key, err := store.ParseKey(found.Key)
	if err != nil {
		answerError(w, http.StatusInternalServerError, err.Error())
		return
	}
	row, err := do(s.parts[at].callback, r.Context(), key)
	switch {
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrBroken):
		answerError(w, http.StatusServiceUnavailable, err.Error())
	case err != nil:
		answerError(w, http.StatusConflict, err.Error())
	default:
		t := newTurn(&row)
		answerJSON(w, http.StatusOK, t)
	}
}

// Resend has an answer sent again by the API, or kept for the user again; key may be the beginning of
// the turn's, from [MinKey] digits on. It returns the turn as it is then.
func (c *Client) Resend(ctx context.Context, key string) (*Turn, error) {
	return c.operate(ctx, key, "retry")
}

// Drop gives up an answer that waits. It is as Resend otherwise.
func (c *Client) Drop(ctx context.Context, key string) (*Turn, error) {
	return c.operate(ctx, key, "drop")
}

func (c *Client) operate(ctx context.Context, key, what string) (*Turn, error) {
	var t Turn
	if err := c.do(ctx, http.MethodPost, fmt.Sprintf("/api/v1/outbox/%s/%s", url.PathEscape(key), what), struct{}{}, &t); err != nil {
		return nil, err
	}
	return &t, nil
}

package server

import (
	"errors"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
)

// Turn is one message and its answer, as the API tells it.
type Turn struct {
	Key        string      `json:"key"`
	Account    string      `json:"account"`
	State      store.State `json:"state"`
	OpenID     string      `json:"openid,omitempty"`
	OriginalID string      `json:"original_id,omitempty"`
	MsgType    string      `json:"msg_type,omitempty"`
	Event      string      `json:"event,omitempty"`
	// CreateTime is WeChat's clock in Unix seconds.
	CreateTime int64     `json:"create_time,omitempty"`
	ReceivedAt time.Time `json:"received_at"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	// Pushes are the first pushes one by one, Seen counts all.
	Pushes  []Push `json:"pushes"`
	Seen    int    `json:"seen"`
	Attempt int    `json:"attempt"`
	// Delivery is none, offered, written or late.
	Delivery string `json:"delivery"`
	Reason   string `json:"reason,omitempty"`

	// Body and Reply are the documents in clear. A list leaves them out. A Body
	// that is not UTF-8 is in RawBody instead.
	Body    string `json:"body,omitempty"`
	RawBody []byte `json:"raw_body,omitempty"`
	Reply   string `json:"reply,omitempty"`
}

// Push is one push of a turn.
type Push struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	// Got is open, reply, fallback, success, cut or aborted.
	Got string `json:"got"`
}

// TurnList is the answer of /api/v1/turns, youngest first.
type TurnList struct {
	Turns []Turn `json:"turns"`
}

// RefusalList is the answer of /api/v1/refusals, youngest first.
type RefusalList struct {
	Refusals []callback.Refusal `json:"refusals"`
}

// What one answer of /api/v1/turns may hold.
const (
	defaultTurns = 50
	maxTurns     = 1000
)

func newTurn(t *store.Turn) Turn {
	pushes := make([]Push, len(t.Pushes))
	for i, p := range t.Pushes {
		pushes[i] = Push{p.Number, p.At, p.Got.String()}
	}
	return Turn{
		Key: t.Key.String(), Account: t.Account, State: t.State,
		OpenID: t.OpenID, OriginalID: t.OriginalID, MsgType: t.MsgType, Event: t.Event,
		CreateTime: t.CreateTime, ReceivedAt: t.ReceivedAt, FinishedAt: t.FinishedAt,
		Pushes: pushes, Seen: t.Seen, Attempt: t.Attempt, Delivery: t.Delivery.String(), Reason: t.Reason,
	}
}

func (s *Server) listTurns(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := store.Filter{Account: q.Get("account"), OpenID: q.Get("user"), Limit: defaultTurns}
	for _, name := range q["state"] {
		var state store.State
		if err := state.UnmarshalText([]byte(name)); err != nil {
			answerError(w, http.StatusBadRequest, err.Error())
			return
		}
		f.States = append(f.States, state)
	}
	if v := q.Get("since"); v != "" {
		since, err := time.Parse(time.RFC3339, v)
		if err != nil {
			answerError(w, http.StatusBadRequest, "since is not a time; write it like 2026-03-01T12:00:00Z")
			return
		}
		f.Since = since
	}
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxTurns {
			answerError(w, http.StatusBadRequest, "limit must lie between 1 and 1000")
			return
		}
		f.Limit = n
	}
	rows, err := s.store.List(r.Context(), f)
	if err != nil {
		answerError(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	list := TurnList{Turns: make([]Turn, len(rows))}
	for i := range rows {
		list.Turns[i] = newTurn(&rows[i])
	}
	answerJSON(w, http.StatusOK, list)
}

func (s *Server) showTurn(w http.ResponseWriter, r *http.Request) {
	key, err := store.ParseKey(r.PathValue("key"))
	if err != nil {
		answerError(w, http.StatusBadRequest, err.Error())
		return
	}
	row, err := s.store.Get(r.Context(), key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		answerError(w, http.StatusNotFound, "there is no such turn, or not any more; `echostr turn ls` lists those that are there")
		return
	case err != nil:
		answerError(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	t := newTurn(&row)
	t.Reply = row.Reply
	if utf8.ValidString(row.Body) {
		t.Body = row.Body
	} else {
		t.RawBody = []byte(row.Body)
	}
	answerJSON(w, http.StatusOK, t)
}

// showStats answers with the metrics under their names without the prefix.
func (s *Server) showStats(w http.ResponseWriter, _ *http.Request) {
	stats := s.callback.Stats()
	all := map[string]any{
		"answers_total":             answers(&stats),
		"pushes_refused_total":      stats.Refused,
		"connections_refused_total": s.limited.count.Load(),
		"version":                   s.opts.Version,
	}
	for _, m := range metrics {
		all[m.name] = m.read(&stats)
	}
	answerJSON(w, http.StatusOK, all)
}

func (s *Server) listRefusals(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, RefusalList{s.callback.Refusals()})
}

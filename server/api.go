package server

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/store"
)

// Turn is one message and its answer, as the API tells it.
type Turn struct {
	Key     string      `json:"key"`
	Account string      `json:"account"`
	State   store.State `json:"state"`
	// Interrupted: it is running by the store, and the process that ran its handler is dead. A
	// server that has its account starts it again, or gives it up.
	Interrupted bool   `json:"interrupted,omitempty"`
	OpenID      string `json:"openid,omitempty"`
	OriginalID  string `json:"original_id,omitempty"`
	MsgType     string `json:"msg_type,omitempty"`
	Event       string `json:"event,omitempty"`
	// CreateTime is WeChat's clock in Unix seconds.
	CreateTime int64     `json:"create_time,omitempty"`
	ReceivedAt time.Time `json:"received_at"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	// Pushes are the first pushes one by one, Seen counts all.
	Pushes  []Push `json:"pushes"`
	Seen    int    `json:"seen"`
	Attempt int    `json:"attempt"`
	// Delivery is the name of a store.Delivery: none, offered, written, late, assumed, sending,
	// sent, ticket, fetched or undeliverable.
	Delivery string `json:"delivery"`
	// OfferedTo is the number of the last push that was given the reply.
	OfferedTo int    `json:"offered_to,omitempty"`
	Reason    string `json:"reason,omitempty"`
	// Due is when the server looks at the turn again: to send the answer, or to give up a ticket.
	Due time.Time `json:"due,omitzero"`
	// Code names the answer in the links and words that fetch it.
	Code string `json:"code,omitempty"`
	// Told is how many bytes of the answer's text the user has been given by a placeholder or the
	// API, Pages in how many pages the rest is fetched, and Shown how many of them have been.
	Told  int `json:"told,omitempty"`
	Pages int `json:"pages,omitempty"`
	Shown int `json:"shown,omitempty"`
	// Sent counts the messages that the API has taken. Tries are requests in vain since then,
	// and Unknown those of which nobody knows what has become.
	Sent    int `json:"sent,omitempty"`
	Tries   int `json:"tries,omitempty"`
	Unknown int `json:"unknown,omitempty"`

	// Body and Reply are the documents in clear. A list leaves them out. A Body
	// that is not UTF-8 is in RawBody instead.
	Body    string `json:"body,omitempty"`
	RawBody []byte `json:"raw_body,omitempty"`
	Reply   string `json:"reply,omitempty"`
	// Placeholder is the document that pushes got in place of the reply. A list leaves it out.
	Placeholder string `json:"placeholder,omitempty"`
}

// Push is one push of a turn.
type Push struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	// Got is open, reply, fallback, success, cut, aborted or placeholder.
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

// ParseDelivery reads the name of a delivery. The error names all there are.
func ParseDelivery(name string) (store.Delivery, error) {
	var d store.Delivery
	if d.UnmarshalText([]byte(name)) == nil {
		return d, nil
	}
	var names []string
	for _, d := range store.Deliveries() {
		names = append(names, d.String())
	}
	last := len(names) - 1
	return 0, fmt.Errorf("there is no delivery %q; use %s or %s", name, strings.Join(names[:last], ", "), names[last])
}

func newTurn(t *store.Turn) Turn {
	pushes := make([]Push, len(t.Pushes))
	for i, p := range t.Pushes {
		pushes[i] = Push{p.Number, p.At, p.Got.String()}
	}
	return Turn{
		Key: t.Key.String(), Account: t.Account, State: t.State,
		OpenID: t.OpenID, OriginalID: t.OriginalID, MsgType: t.MsgType, Event: t.Event,
		CreateTime: t.CreateTime, ReceivedAt: t.ReceivedAt, FinishedAt: t.FinishedAt,
		Pushes: pushes, Seen: t.Seen, Attempt: t.Attempt, Delivery: t.Delivery.String(), OfferedTo: t.OfferedTo, Reason: t.Reason,
		Due: t.Due, Code: t.Code, Told: t.Way.Told, Pages: t.Way.Pages, Shown: t.Way.Shown, Sent: t.Way.Sent, Tries: t.Way.Tries, Unknown: t.Way.Unknown,
	}
}

func (s *Server) listTurns(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := TurnFilter{Account: q.Get("account"), User: q.Get("user"), Due: q.Get("due") == "true"}
	for _, name := range q["state"] {
		var state store.State
		if err := state.UnmarshalText([]byte(name)); err != nil {
			answerError(w, http.StatusBadRequest, err.Error())
			return
		}
		f.States = append(f.States, state)
	}
	for _, name := range q["delivery"] {
		delivery, err := ParseDelivery(name)
		if err != nil {
			answerError(w, http.StatusBadRequest, err.Error())
			return
		}
		f.Deliveries = append(f.Deliveries, delivery)
	}
	for name, bound := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		v := q.Get(name)
		if v == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, v)
		if err != nil {
			answerError(w, http.StatusBadRequest, name+" is not a time; write it like 2026-03-01T12:00:00Z")
			return
		}
		*bound = at
	}
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxTurns {
			answerError(w, http.StatusBadRequest, "limit must lie between 1 and 1000")
			return
		}
		f.Limit = n
	}
	turns, err := turnsOf(r.Context(), s.readers(), f)
	if err != nil {
		answerError(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	if len(turns) == 0 && f.Account != "" {
		if err := UnknownAccount(s.cfg, f.Account); err != nil {
			answerError(w, http.StatusNotFound, err.Error())
			return
		}
	}
	answerJSON(w, http.StatusOK, TurnList{turns})
}

func (s *Server) showTurn(w http.ResponseWriter, r *http.Request) {
	t, _, err := turnOf(r.Context(), s.readers(), r.PathValue("key"))
	switch {
	case errors.Is(err, errNoTurn):
		answerError(w, http.StatusNotFound, err.Error())
	case errors.Is(err, errBadKey), errors.Is(err, errManyKey):
		answerError(w, http.StatusBadRequest, err.Error())
	case err != nil:
		answerError(w, http.StatusServiceUnavailable, err.Error())
	default:
		answerJSON(w, http.StatusOK, t)
	}
}

// showStats answers with the metrics under their names without the prefix.
func (s *Server) showStats(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, s.numbers())
}

func (s *Server) listRefusals(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, RefusalList{s.refusals()})
}

package page

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/echostr/echostr/simulator"
)

// snapshot is everything there is at the moment of the change Change, or a little
// later: what is heard from there on may be in it already, which does no harm.
type snapshot struct {
	Change    int64                   `json:"change"`
	Now       float64                 `json:"now"`
	Accounts  []accountView           `json:"accounts"`
	Users     []userView              `json:"users"`
	Chats     map[string][]bubbleView `json:"chats"` // by OpenID
	Exchanges []exchangeView          `json:"exchanges"`
	Calls     []callView              `json:"calls"`
}

func (h *handler) state(w http.ResponseWriter, r *http.Request) {
	s := snapshot{
		Change: h.p.LastChange(), Now: milliseconds(time.Now()),
		Accounts: []accountView{}, Users: []userView{}, Chats: map[string][]bubbleView{}, Exchanges: []exchangeView{}, Calls: []callView{},
	}
	for _, o := range h.p.Officials() {
		h.checkOnce(o)
		s.Accounts = append(s.Accounts, h.accountView(o))
		for _, u := range o.Users() {
			s.Users = append(s.Users, viewOfUser(u))
			bubbles := []bubbleView{}
			for _, b := range u.Chat() {
				bubbles = append(bubbles, viewOfBubble(o, b))
			}
			s.Chats[u.OpenID()] = bubbles
		}
	}
	for _, e := range h.p.Exchanges() {
		s.Exchanges = append(s.Exchanges, h.viewOfExchange(e))
	}
	for _, c := range h.p.APICalls() {
		s.Calls = append(s.Calls, viewOfCall(c))
	}
	answer(w, http.StatusOK, s)
}

// event is one change for the page: the thing as it is now.
type event struct {
	Kind     string        `json:"kind"`
	User     any           `json:"user,omitempty"` // a userView, or the OpenID of a bubble's chat
	Account  *accountView  `json:"account,omitempty"`
	Bubble   *bubbleView   `json:"bubble,omitempty"`
	Exchange *exchangeView `json:"exchange,omitempty"`
	Call     *callView     `json:"call,omitempty"`
}

// The stream's own times.
const (
	keepAlive    = 20 * time.Second // so that a dead reader is found
	writeLimit   = 10 * time.Second // a reader that is slower has to connect again
	recheckEvery = 2 * time.Second  // while there is no server and somebody is looking
)

// events is the stream of changes after the one whose id the reader names: in
// Last-Event-ID when the browser connects again, in the query the first time.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after, err = strconv.ParseInt(last, 10, 64)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("the stream needs the id of the last change that was seen, as in /api/events?after=1; take it from /api/state"))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.options.Context, cancel)()

	type batch struct {
		changes  []simulator.Change
		last     int64
		complete bool
	}
	batches := make(chan batch)
	go func() {
		defer close(batches)
		for {
			changes, last, complete, err := h.p.Changes(ctx, after)
			if err != nil {
				return
			}
			select {
			case batches <- batch{changes, last, complete}:
			case <-ctx.Done():
				return
			}
			after = last
		}
	}()

	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	write := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(writeLimit)) // not every writer has one
		if _, err := fmt.Fprint(w, text); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	if !write("retry: 1000\n\n") {
		return
	}
	alive, recheck := time.NewTicker(keepAlive), time.NewTicker(recheckEvery)
	defer alive.Stop()
	defer recheck.Stop()
	told := -1 // of the accounts: at the beginning, and whenever the bell has rung
	for {
		h.mu.Lock()
		bell, rung := h.bell, h.rung
		h.mu.Unlock()
		text := ""
		if told != rung {
			told = rung
			if !write(encode(h.accounts(), 0)) {
				return
			}
			continue
		}
		select {
		case b, ok := <-batches:
			if !ok {
				return
			}
			if !b.complete {
				write(fmt.Sprintf("id: %d\nevent: reload\ndata: {}\n\n", b.last))
				return
			}
			text = encode(h.present(b.changes), b.last)
		case <-bell:
			continue
		case <-recheck.C:
			h.recheck()
			continue
		case <-alive.C:
			text = ": still here\n\n"
		}
		if !write(text) {
			return
		}
	}
}

// encode writes events; the last one has the id, so that a reader who was cut
// off in the middle hears all of them again.
func encode(events []event, id int64) string {
	var text strings.Builder
	for i, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			continue // there is nothing in it that cannot be written
		}
		if id != 0 && i == len(events)-1 {
			fmt.Fprintf(&text, "id: %d\n", id)
		}
		fmt.Fprintf(&text, "event: change\ndata: %s\n\n", data)
	}
	return text.String()
}

// present turns changes into what they are about, as it is now, each once and in
// the order in which it changed last.
func (h *handler) present(changes []simulator.Change) []event {
	var events []event
	seen := map[string]bool{}
	once := func(key string) bool {
		defer func() { seen[key] = true }()
		return !seen[key]
	}
	for _, c := range slices.Backward(changes) {
		o := h.p.Official(c.AppID)
		if c.OpenID != "" && o != nil && once("user "+c.OpenID) { // its windows change with nearly everything
			if u := o.User(c.OpenID); u != nil {
				events = append(events, event{Kind: "user", User: viewOfUser(u)})
			}
		}
		switch c.Kind {
		case simulator.ChangeBubble:
			if o != nil && c.Bubble != nil {
				v := viewOfBubble(o, *c.Bubble)
				events = append(events, event{Kind: "bubble", User: c.OpenID, Bubble: &v})
			}
		case simulator.ChangeExchange, simulator.ChangePush, simulator.ChangePushed, simulator.ChangeVerdict:
			if !once("exchange " + strconv.FormatInt(c.Exchange, 10)) {
				continue
			}
			if e, ok := h.p.Exchange(c.Exchange); ok {
				v := h.viewOfExchange(e)
				events = append(events, event{Kind: "exchange", Exchange: &v})
			}
		case simulator.ChangeMenu, simulator.ChangeOfficial:
			if o != nil && once("account "+c.AppID) {
				h.checkOnce(o)
				v := h.accountView(o)
				events = append(events, event{Kind: "account", Account: &v})
			}
		case simulator.ChangeAPI:
			if once("calls") {
				events = append(events, h.calls(len(changes))...)
				events = append(events, typing(o)...)
			}
		}
	}
	slices.Reverse(events)
	return events
}

// typing are the users of an account who see that it is typing, which nothing but a call
// begins. The page itself knows how long that lasts.
func typing(o *simulator.Official) []event {
	if o == nil {
		return nil
	}
	var events []event
	for _, u := range o.Users() {
		if u.Typing() {
			events = append(events, event{Kind: "user", User: viewOfUser(u)})
		}
	}
	return events
}

// calls are the last n calls of the API, the newest first.
func (h *handler) calls(n int) []event {
	all := h.p.APICalls()
	var events []event
	for _, c := range slices.Backward(all[max(0, len(all)-n):]) {
		v := viewOfCall(c)
		events = append(events, event{Kind: "call", Call: &v})
	}
	return events
}

func (h *handler) accounts() []event {
	var events []event
	for _, o := range h.p.Officials() {
		v := h.accountView(o)
		events = append(events, event{Kind: "account", Account: &v})
	}
	return events
}

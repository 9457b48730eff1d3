package page

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/echostr/echostr/simulator"
)

// The forms in which the page sees things. Moments and durations are
// milliseconds. Secrets are in none of them.

type accountView struct {
	AppID       string             `json:"appID"`
	OriginalID  string             `json:"originalID"`
	Name        string             `json:"name"`
	Kind        simulator.Kind     `json:"kind"`
	Verified    bool               `json:"verified"`
	Recognition bool               `json:"recognition"`
	URL         string             `json:"url"`
	Mode        simulator.Mode     `json:"mode"`
	Menu        []simulator.Button `json:"menu"`
	Codes       []codeView         `json:"codes"`
	Rules       rulesView          `json:"rules"`
	Faults      []string           `json:"faults"`
	Check       *check             `json:"check"`
}

// codeView is a QR code that can be scanned.
type codeView struct {
	Ticket string `json:"ticket"`
	Scene  string `json:"scene"`
}

// shownCodes is how many QR codes the page offers, the newest.
const shownCodes = 50

func (h *handler) accountView(o *simulator.Official) accountView {
	c := o.Config()
	v := accountView{
		AppID: c.Account.AppID, OriginalID: c.Account.OriginalID, Name: c.Name, Kind: c.Kind, Verified: c.Verified, Recognition: c.Recognition,
		URL: c.Account.URL, Mode: c.Account.Mode, Rules: viewOfRules(o.Rules()), Menu: []simulator.Button{}, Codes: []codeView{}, Faults: []string{},
	}
	if menu := o.Menu(); menu != nil {
		v.Menu = menu.Buttons
	}
	codes := o.QRCodes()
	for _, q := range slices.Backward(codes[max(0, len(codes)-shownCodes):]) {
		v.Codes = append(v.Codes, codeView{q.Ticket, q.Scene})
	}
	for _, f := range h.p.Faults() {
		v.Faults = append(v.Faults, f.String())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.checks[v.AppID]; ok {
		v.Check = &c
	}
	return v
}

type userView struct {
	OpenID    string       `json:"openID"`
	Account   string       `json:"account"`
	Nickname  string       `json:"nickname"`
	Following bool         `json:"following"`
	Typing    bool         `json:"typing"`
	Windows   []windowView `json:"windows"`
}

// windowView is what the account may still send to the user by the customer-service API.
type windowView struct {
	Trigger string  `json:"trigger"`
	Left    int     `json:"left"`
	Until   float64 `json:"until"`
}

func viewOfUser(u *simulator.User) userView {
	v := userView{
		OpenID: u.OpenID(), Account: u.Official().AppID(), Nickname: u.Nickname(), Following: u.Following(), Typing: u.Typing(), Windows: []windowView{},
	}
	for _, w := range u.Windows() {
		v.Windows = append(v.Windows, windowView{w.Trigger, w.Left, milliseconds(w.Until)})
	}
	return v
}

// bubbleView is a bubble, and whether its media can be had from this handler.
type bubbleView struct {
	simulator.Bubble
	At    float64 `json:"at"`
	Media bool    `json:"media"`
	Thumb bool    `json:"thumb"`
}

func viewOfBubble(o *simulator.Official, b simulator.Bubble) bubbleView {
	v := bubbleView{Bubble: b, At: milliseconds(b.At)}
	has := func(id string) bool {
		m, ok := o.Media(id)
		return ok && pictures[m.ContentType]
	}
	v.Media = b.MediaID != "" && has(b.MediaID)
	v.Thumb = b.ThumbMediaID != "" && has(b.ThumbMediaID)
	return v
}

type exchangeView struct {
	ID        int64        `json:"id"`
	Account   string       `json:"account"`
	User      string       `json:"user"`
	Nickname  string       `json:"nickname"`
	Kind      string       `json:"kind"` // the MsgType, or "event." and the name of the event in lower case
	Text      string       `json:"text"`
	MsgID     string       `json:"msgID"`  // too long for a number of JavaScript
	MenuID    *string      `json:"menuID"` // of the link or entry of a menu message that was tapped; null if it was typed
	At        float64      `json:"at"`
	Timeout   float64      `json:"timeout"`
	MaxPushes int          `json:"maxPushes"`
	Captured  bool         `json:"captured"`
	Done      bool         `json:"done"`
	Pushes    []pushView   `json:"pushes"`
	Verdict   *verdictView `json:"verdict"`
	Replay    *replayView  `json:"replay,omitempty"` // of what was captured
}

type pushView struct {
	Number   int     `json:"number"`
	Node     string  `json:"node"` // empty if the server has one only
	Start    float64 `json:"start"`
	Duration float64 `json:"duration"`
	Outcome  string  `json:"outcome"`
	Status   int     `json:"status"`
	Lost     bool    `json:"lost"`
	Error    string  `json:"error"`

	// In the details only.
	Request  *messageView `json:"request,omitempty"`
	Response *messageView `json:"response,omitempty"`
}

type verdictView struct {
	Sees    string     `json:"sees"`
	Problem string     `json:"problem"`
	Why     string     `json:"why"`
	Reply   *replyView `json:"reply"`
}

type replyView struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func (h *handler) viewOfExchange(e simulator.Exchange) exchangeView {
	m, rules := e.Report.Message, e.Rules()
	v := exchangeView{
		ID: e.ID, Account: e.AppID, User: e.OpenID, Nickname: e.Nickname, Kind: m.Type(), At: milliseconds(e.Begun),
		Timeout: float64(rules.Timeout) / float64(time.Millisecond), MaxPushes: rules.Pushes, Captured: e.Captured, Done: !e.Ended.IsZero(), Pushes: []pushView{},
		Replay: h.viewOfReplay(e),
	}
	v.Text, v.MenuID = words(e.Report.Document)
	if m.Event() != "" {
		v.Kind = "event." + strings.ToLower(m.Event())
	}
	if m.MsgID != 0 {
		v.MsgID = fmt.Sprint(m.MsgID)
	}
	for _, p := range e.Report.Pushes {
		v.Pushes = append(v.Pushes, viewOfPush(p))
	}
	if v.Done {
		verdict := e.Report.Verdict
		v.Verdict = &verdictView{Sees: verdict.Sees.String(), Problem: verdict.Problem, Why: verdict.Why}
		if r := verdict.Reply; r != nil {
			v.Verdict.Reply = &replyView{Type: r.MsgType, Text: replyText(r)}
		}
	}
	return v
}

// words are what a message says in a few words: which element has them depends on its type. menuID
// is that of what was tapped to say it, nil if it was typed.
func words(document []byte) (text string, menuID *string) {
	var m struct {
		Content, Recognition, Title, Label, EventKey string
		MenuID                                       *string `xml:"bizmsgmenuid"`
	}
	if xml.Unmarshal(document, &m) != nil {
		return "", nil // it was changed by hand
	}
	return shortened(cmp.Or(m.Content, m.Recognition, m.Title, m.Label, m.EventKey)), m.MenuID
}

// replyText is a reply in a line: its words, if it has any.
func replyText(r *simulator.Reply) string {
	switch {
	case r.MsgType == "text":
		return shortened(r.Content)
	case len(r.Articles) > 0:
		var titles []string
		for _, a := range r.Articles {
			titles = append(titles, a.Title)
		}
		return shortened(strings.Join(titles, " · "))
	}
	return shortened(r.Title)
}

// shortened keeps snapshots small; the details have everything.
func shortened(text string) string {
	const limit = 300
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit]) + "…"
}

func viewOfPush(p simulator.Push) pushView {
	v := pushView{
		Number: p.Number, Node: p.Node, Start: milliseconds(p.Start), Duration: float64(p.Duration) / float64(time.Millisecond),
		Outcome: p.Outcome.String(), Status: p.Status, Lost: p.Lost,
	}
	if p.Err != nil {
		v.Error = p.Err.Error()
	}
	return v
}

// messageView is an HTTP message.
type messageView struct {
	Start   string      `json:"start"` // its first line
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
	Binary  bool        `json:"binary"` // Body is not what was sent, since that was no UTF-8
	Cut     bool        `json:"cut"`    // Body is only the beginning
	Clear   *string     `json:"clear"`  // the body decrypted; null if it was not encrypted
}

// shownBody is how much of a body the page shows.
const shownBody = 256 << 10

func (m *messageView) setBody(body []byte) {
	if len(body) > shownBody {
		body, m.Cut = body[:shownBody], true
	}
	m.Body = string(bytes.ToValidUTF8(body, []byte("\ufffd")))
	m.Binary = !utf8.Valid(body)
}

func headers(h http.Header) [][2]string {
	list := [][2]string{}
	for name, values := range h {
		for _, value := range values {
			list = append(list, [2]string{name, value})
		}
	}
	slices.SortFunc(list, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return list
}

// detailView is an exchange with all its bytes.
type detailView struct {
	exchangeView
	Document string `json:"document"` // the message in clear
}

func (h *handler) viewOfDetail(e simulator.Exchange) detailView {
	v := detailView{exchangeView: h.viewOfExchange(e), Document: string(bytes.ToValidUTF8(e.Report.Document, []byte("\ufffd")))}
	for i, p := range e.Report.Pushes {
		request := &messageView{Method: p.Request.Method, URL: p.Request.URL, Start: p.Request.Method + " " + p.Request.URL, Headers: headers(p.Request.Header)}
		request.setBody(p.Request.Body)
		if !bytes.Equal(p.Request.Body, e.Report.Document) {
			request.Clear = &v.Document
		}
		v.Pushes[i].Request = request
		if p.Outcome != simulator.Answered {
			continue
		}
		response := &messageView{Start: fmt.Sprintf("%d %s", p.Status, http.StatusText(p.Status)), Headers: headers(p.Header)}
		response.setBody(p.Body)
		if opened, ok := e.Opened(p.Number); ok {
			clear := string(bytes.ToValidUTF8(opened, []byte("\ufffd")))
			response.Clear = &clear
		}
		v.Pushes[i].Response = response
	}
	return v
}

// callView is a call of WeChat's API by the server under test.
type callView struct {
	ID       int64   `json:"id"`
	Account  string  `json:"account"`
	At       float64 `json:"at"`
	Duration float64 `json:"duration"`
	Method   string  `json:"method"`
	Path     string  `json:"path"`
	Query    string  `json:"query"`
	Status   int     `json:"status"`
	Errcode  int     `json:"errcode"`
	Fault    string  `json:"fault"`
	To       string  `json:"to"`   // of a customer-service message: the user's OpenID
	Text     string  `json:"text"` // its text

	// In the details only.
	Request *string `json:"request,omitempty"`
	Answer  *string `json:"answer,omitempty"`
}

func viewOfCall(c simulator.APICall) callView {
	v := callView{
		ID: c.ID, Account: c.AppID, At: milliseconds(c.At), Duration: float64(c.Duration) / float64(time.Millisecond),
		Method: c.Method, Path: c.Path, Query: c.Query, Status: c.Status, Errcode: c.Errcode, Fault: c.Fault,
	}
	var in struct {
		ToUser string `json:"touser"`
		Text   struct {
			Content string `json:"content"`
		} `json:"text"`
	}
	if strings.Contains(c.Path, "/message/custom/") && json.Unmarshal(c.Request, &in) == nil {
		v.To, v.Text = in.ToUser, shortened(in.Text.Content)
	}
	return v
}

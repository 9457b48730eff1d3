package simulator

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// recordingVersion is the form of a recording that this package writes. It reads this and
// earlier ones.
const recordingVersion = 1

// maxRecording is the longest recording that is read, in bytes.
const maxRecording = 256 << 20

// Recording is a number of exchanges in a form that can be kept in a file and sent again. It
// has the messages in clear and signatures, but neither token, EncodingAESKey and AppSecret
// nor the query of the server's own address. What users wrote is in it.
type Recording struct {
	Version   int                `json:"version"`
	Saved     time.Time          `json:"saved"`
	Exchanges []RecordedExchange `json:"exchanges"`
}

// RecordedExchange is one message in a [Recording].
type RecordedExchange struct {
	AppID      string         `json:"app_id"`
	OriginalID string         `json:"original_id"`
	Mode       Mode           `json:"mode"`
	OpenID     string         `json:"openid"`
	Summary    string         `json:"summary"`
	Begun      time.Time      `json:"begun"`
	Document   Bytes          `json:"document"` // the message in clear
	Pushes     []RecordedPush `json:"pushes"`
	Sees       string         `json:"sees"` // nothing, reply or fault notice
	Problem    string         `json:"problem,omitempty"`
	Why        string         `json:"why,omitempty"`
}

// RecordedPush is one push in a [Recording].
type RecordedPush struct {
	Number  int     `json:"number"`
	At      float64 `json:"at"`   // seconds after the exchange has begun
	Took    float64 `json:"took"` // seconds
	Outcome string  `json:"outcome"`
	Lost    bool    `json:"lost,omitempty"`

	Query  string      `json:"query"` // what WeChat adds to the address
	Header http.Header `json:"header"`
	Body   Bytes       `json:"body"`

	Status       int         `json:"status,omitempty"`
	AnswerHeader http.Header `json:"answer_header,omitempty"`
	Answer       Bytes       `json:"answer,omitempty"`
	Opened       Bytes       `json:"answer_in_clear,omitempty"` // if it was sealed and opens
	Error        string      `json:"error,omitempty"`
}

// Bytes is a text in JSON, or {"base64": "..."} if it is none.
type Bytes []byte

// MarshalJSON implements [json.Marshaler].
func (b Bytes) MarshalJSON() ([]byte, error) {
	if utf8.Valid(b) {
		return encodeAnswer(string(b)), nil // legible, with < and > as they are
	}
	return json.Marshal(map[string]string{"base64": base64.StdEncoding.EncodeToString(b)})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (b *Bytes) UnmarshalJSON(data []byte) error {
	var text string
	if len(data) > 0 && data[0] == '{' {
		var binary struct {
			Base64 []byte `json:"base64"`
		}
		err := json.Unmarshal(data, &binary)
		*b = binary.Base64
		return err
	}
	err := json.Unmarshal(data, &text)
	*b = []byte(text)
	return err
}

// Record returns exchanges that have ended: those with the given ids, or all that are kept.
func (p *Platform) Record(ids ...int64) *Recording {
	r := &Recording{Version: recordingVersion, Saved: time.Now().UTC()}
	for _, e := range p.Exchanges() {
		if e.Ended.IsZero() || len(ids) > 0 && !slices.Contains(ids, e.ID) {
			continue
		}
		r.Exchanges = append(r.Exchanges, e.record())
	}
	return r
}

func (e Exchange) record() RecordedExchange {
	account := e.wechat.account
	r := RecordedExchange{
		AppID: account.AppID, OriginalID: account.OriginalID, Mode: account.Mode, OpenID: e.OpenID, Summary: e.Summary,
		Begun: e.Begun.UTC(), Document: e.Report.Document, Sees: e.Report.Verdict.Sees.String(),
		Problem: e.Report.Verdict.Problem, Why: e.Report.Verdict.Why,
	}
	for i, p := range e.Report.Pushes {
		opened, _ := e.Opened(i + 1)
		recorded := RecordedPush{
			Number: p.Number, At: p.Start.Sub(e.Begun).Seconds(), Took: p.Duration.Seconds(), Outcome: p.Outcome.String(), Lost: p.Lost,
			Query: wechatQuery(p.Request.URL, account.URL), Header: p.Request.Header, Body: p.Request.Body,
			Status: p.Status, AnswerHeader: keptHeader(p.Header), Answer: p.Body, Opened: opened,
		}
		if p.Err != nil {
			recorded.Error = p.Err.Error()
		}
		r.Pushes = append(r.Pushes, recorded)
	}
	return r
}

// wechatQuery is what of a request's query is WeChat's, and none of the server's own, even if the
// URL was changed. Nothing is decoded, since it may be sent again byte for byte.
func wechatQuery(requested, own string) string {
	query := func(target string) string {
		target, _, _ = strings.Cut(target, "#")
		_, query, _ := strings.Cut(target, "?")
		return query
	}
	var kept []string
	for pair := range strings.SplitSeq(strings.TrimPrefix(query(requested), query(own)), "&") {
		switch name, _, _ := strings.Cut(pair, "="); name {
		case "signature", "timestamp", "nonce", "openid", "encrypt_type", "msg_signature":
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// keptHeader leaves out what may be a secret of the server, such as a cookie.
func keptHeader(h http.Header) http.Header {
	kept := http.Header{}
	for _, name := range []string{"Content-Type", "Content-Length"} {
		if h.Get(name) != "" {
			kept.Set(name, h.Get(name))
		}
	}
	return kept
}

// Write writes the recording as JSON.
func (r *Recording) Write(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	return encoder.Encode(r)
}

// ReadRecording reads what [Recording.Write] has written. The error says what is wrong with the file.
func ReadRecording(r io.Reader) (*Recording, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxRecording+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("simulator: the recording cannot be read: %w", err)
	case len(data) > maxRecording:
		return nil, fmt.Errorf("simulator: the recording has more than %d MiB; record less at a time", maxRecording>>20)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errors.New("simulator: the recording is empty; give a file that was saved from the simulator")
	}
	var head struct {
		Version   int             `json:"version"`
		Exchanges json.RawMessage `json:"exchanges"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("simulator: this is not a recording: %w; give a file that was saved from the simulator", err)
	}
	switch {
	case head.Version == 0 || head.Exchanges == nil:
		return nil, errors.New("simulator: this is not a recording, since it has no version or no exchanges; give a file that was saved from the simulator")
	case head.Version > recordingVersion:
		return nil, fmt.Errorf("simulator: the recording has version %d, and this program knows up to %d; use a newer one", head.Version, recordingVersion)
	}
	recording := new(Recording)
	if err := json.Unmarshal(data, recording); err != nil {
		return nil, fmt.Errorf("simulator: the recording is damaged: %w; save it again", err)
	}
	for i, e := range recording.Exchanges {
		if len(e.Document) == 0 {
			return nil, fmt.Errorf("simulator: the recording is damaged: exchange %d has no document; save it again", i+1)
		}
		for _, p := range e.Pushes {
			r := Request{Method: http.MethodPost, URL: "http://localhost/?" + p.Query, Header: p.Header}
			if err := r.check(); err != nil {
				return nil, fmt.Errorf("simulator: the recording is damaged: exchange %d: %s; save it again", i+1, strings.TrimPrefix(err.Error(), "simulator: "))
			}
		}
	}
	return recording, nil
}

// ReplayConfig says how a [Recording] is sent again.
type ReplayConfig struct {
	// Account is the server to send to, with its secrets. If Exact is set, token, keys and mode
	// may be left out: then sealed answers are not looked into.
	Account Account
	// Exact sends the recorded bytes, with their old signatures. A server that looks at the
	// time of a push may refuse them, and one that remembers messages knows them already.
	// Otherwise every message is a new one, with a MsgId, a CreateTime and signatures of now.
	Exact bool
	// Rules are WeChat's habits.
	Rules Rules
	// DialContext and Transport make the connections, as in [Config].
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	Transport   http.RoundTripper
	// Replayed, if set, is called after every exchange.
	Replayed func(Replayed)
}

// Replayed is one exchange of a [Recording] and what came of sending it again.
type Replayed struct {
	Recorded RecordedExchange
	Report   *Report
	// Differences are sentences about what is different in the last answer. CreateTime, what
	// encryption makes new each time, and header fields do not count.
	Differences []string
}

// String is a line about the exchange, and one for every difference.
func (r Replayed) String() string {
	if len(r.Differences) == 0 {
		return "same: " + r.Recorded.Summary
	}
	return "different: " + r.Recorded.Summary + "\n  " + strings.Join(r.Differences, "\n  ")
}

// Replay sends the messages of a recording again, one after the other, and compares the
// answers. A different answer is no error. If ctx ends first, what has been sent until then is returned with its error.
func Replay(ctx context.Context, recording *Recording, c ReplayConfig) ([]Replayed, error) {
	blind := c.Exact && c.Account.Token == ""
	if blind {
		c.Account.Token, c.Account.Mode = "unknown", Plain
	}
	w, err := New(Config{Account: c.Account, Rules: c.Rules, DialContext: c.DialContext, Transport: c.Transport})
	if err != nil {
		return nil, err
	}
	var all []Replayed
	for i, recorded := range recording.Exchanges {
		if len(recorded.Pushes) == 0 {
			continue // it was never pushed (MarkFail)
		}
		m, err := Raw(recorded.Document, RawOptions{Keep: c.Exact})
		if err != nil {
			m, err = Raw(recorded.Document, RawOptions{Keep: true}) // it was sent as it is before
		}
		if err == nil {
			if c.Account.OriginalID != "" && !c.Exact && m.ToUserName == recorded.OriginalID {
				m.ToUserName = c.Account.OriginalID
			}
			m, err = w.fill(m)
		}
		if err != nil {
			return all, fmt.Errorf("exchange %d: %w", i+1, err)
		}
		r := &Report{Message: m, Document: m.document()}
		var next *Request
		if c.Exact {
			next = w.request(http.MethodPost, recorded.Pushes[0].Query, recorded.Pushes[0].Body)
			if len(recorded.Pushes[0].Header) > 0 {
				next.Header = recorded.Pushes[0].Header
			}
		}
		if r, err = w.deliver(ctx, r, next); err != nil {
			return all, err
		}
		done := Replayed{Recorded: recorded, Report: r, Differences: w.differences(recorded, r)}
		all = append(all, done)
		if c.Replayed != nil {
			c.Replayed(done)
		}
	}
	return all, nil
}

// differences compares the last answers.
func (w *WeChat) differences(old RecordedExchange, r *Report) []string {
	if len(r.Pushes) == 0 {
		return []string{"it was not pushed: " + r.Verdict.Why}
	}
	before, after := old.Pushes[len(old.Pushes)-1], r.Pushes[len(r.Pushes)-1]
	if before.Outcome != after.Outcome.String() {
		return []string{fmt.Sprintf("the last push was %s, and is now %s", before.Outcome, after.Outcome)}
	}
	if after.Outcome != Answered {
		return nil
	}
	var list []string
	if before.Status != after.Status {
		list = append(list, fmt.Sprintf("the status was %d, and is now %d", before.Status, after.Status))
	}
	opened, _ := w.opened(after.Body)
	was, is := readAnswer(before.Answer, before.Opened), readAnswer(after.Body, opened)
	if was.sealed != is.sealed {
		list = append(list, fmt.Sprintf("the answer was %s, and is now %s", was.form(), is.form()))
	}
	if was.closed || is.closed { // an envelope that nobody could open
		return list
	}
	for _, name := range slices.Sorted(mapsKeys(was.values, is.values)) {
		a, inOld := was.values[name]
		b, inNew := is.values[name]
		switch {
		case !inNew:
			list = append(list, fmt.Sprintf("%s was %q, and is gone", name, a))
		case !inOld:
			list = append(list, fmt.Sprintf("%s is new: %q", name, b))
		case a != b:
			list = append(list, fmt.Sprintf("%s was %q, and is now %q", name, a, b))
		}
	}
	return list
}

// answer is what counts of an answer when two are compared.
type answer struct {
	sealed, closed bool
	values         map[string]string // by the path of the element; the whole answer is "the answer"
}

func (a answer) form() string {
	if a.sealed {
		return "encrypted"
	}
	return "in clear"
}

func readAnswer(body, opened []byte) answer {
	a := answer{values: map[string]string{}}
	doc, err := parseXML(body)
	if err == nil && doc.child("Encrypt") != nil {
		a.sealed = true
		if opened == nil {
			a.closed = true
			return a
		}
		body = opened
		doc, err = parseXML(body)
	}
	if err != nil {
		a.values["the answer"] = string(body)
		return a
	}
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		if len(n.children) == 0 {
			a.values[path] = n.text
		}
		count := map[string]int{}
		for _, c := range n.children {
			name := strings.TrimPrefix(path+"/"+c.name, "/")
			if count[c.name]++; count[c.name] > 1 {
				name = fmt.Sprintf("%s[%d]", name, count[c.name])
			}
			walk(name, c)
		}
	}
	walk("", doc)
	delete(a.values, "CreateTime")
	return a
}

// mapsKeys yields the keys of both, once each.
func mapsKeys(a, b map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range a {
			if !yield(k) {
				return
			}
		}
		for k := range b {
			if _, both := a[k]; !both && !yield(k) {
				return
			}
		}
	}
}

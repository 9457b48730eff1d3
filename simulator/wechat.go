package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Config says whom to push to, and how.
type Config struct {
	// Account is the account whose server is pushed to.
	Account Account
	// Rules are WeChat's habits.
	Rules Rules
	// User is the OpenID of the user who does everything. Defaults to
	// "oEchostr0User000000000000001".
	User string

	// DialContext makes the connections. Defaults to that of a net.Dialer.
	// Every push makes one of its own.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Transport carries the requests, in place of connections made with
	// DialContext. It must not follow redirects and must honour the request's
	// context. [Direct] makes one without connections.
	Transport http.RoundTripper

	// PushStarted and PushEnded, if set, are called when a push begins, with
	// the Outcome Pending, and when it has ended. They are called by the
	// goroutine that sends the message and hold it up; for messages sent at
	// the same time they are called at the same time.
	PushStarted, PushEnded func(Push)
}

// WeChat pushes messages to one server. It is safe for concurrent use; any
// number of messages may be under way at once. Make one with [New].
type WeChat struct {
	account   Account
	key       []byte
	rules     Rules
	user      string
	transport http.RoundTripper
	started   func(Push)
	ended     func(Push)
	patience  *patience // shared by copies
	messages  *atomic.Uint64
}

// New checks the account, without connecting to it. Errors do not quote secrets.
func New(c Config) (*WeChat, error) {
	key, err := c.Account.check()
	if err != nil {
		return nil, err
	}
	w := &WeChat{
		account: c.Account, key: key, rules: c.Rules.withDefaults(), user: or(c.User, "oEchostr0User000000000000001"),
		transport: c.Transport, started: c.PushStarted, ended: c.PushEnded, patience: new(patience), messages: new(atomic.Uint64),
	}
	w.account.OriginalID = c.Account.originalID()
	if w.transport == nil {
		w.transport = dialer(c.DialContext)
		if c.DialContext == nil {
			w.transport = dialer(new(net.Dialer).DialContext)
		}
	}
	return w, nil
}

// String hides the secrets from logs.
func (w *WeChat) String() string { return "simulator.WeChat(" + w.account.String() + ")" }

// GoString hides the secrets from logs.
func (w *WeChat) GoString() string { return w.String() }

// Send pushes m by the rules and returns what happened. A server that does
// not answer as it should is no error; the [Verdict] tells. The error is that
// of ctx, if it ended first; the report then has the pushes up to there and a
// verdict that is not final.
func (w *WeChat) Send(ctx context.Context, m Message) (*Report, error) {
	m, err := w.fill(m)
	if err != nil {
		return nil, err
	}
	return w.deliver(ctx, &Report{Message: m, Document: m.document()}, nil)
}

// fill gives the fields that are empty their values.
func (w *WeChat) fill(m Message) (Message, error) {
	if m.msgType == "" && m.raw == nil {
		return m, errors.New("simulator: the message is empty; make one with Text and its like, or with Raw")
	}
	m.FromUserName = or(m.FromUserName, w.user)
	m.ToUserName = or(m.ToUserName, w.account.OriginalID)
	kept := m.raw != nil && m.raw.options.Keep
	if m.CreateTime == 0 && !kept {
		m.CreateTime = time.Now().Unix()
	}
	if m.MsgID == 0 && !kept && !m.isEvent() {
		m.MsgID = newMsgID()
	}
	return m, nil
}

// Pack fills in what m leaves empty, and returns it as the report of a message that was
// never pushed, with the request that would push it: signed and, if the mode wants it,
// sealed. What is made of it, or of a changed copy, goes out with [WeChat.Do].
func (w *WeChat) Pack(m Message) (*Report, Request, error) {
	m, err := w.fill(m)
	if err != nil {
		return nil, Request{}, err
	}
	r := &Report{Message: m, Document: m.document()}
	return r, *w.pack(r), nil
}

// Do makes one request as it is, right or wrong, and returns what came of it: a push
// without retries and without a verdict. [WeChat.Judge] reads the answer. A request that cannot
// be written as HTTP, such as one with a space in the name of a header, is NotSent.
func (w *WeChat) Do(ctx context.Context, r Request) Push {
	if err := r.check(); err != nil {
		return Push{Number: 1, Request: r, Start: time.Now(), Outcome: NotSent, Err: err}
	}
	return w.push(ctx, Push{Number: 1, Request: r})
}

// Judge reads an answer to a push of m, which came with status 200, as WeChat does.
func (w *WeChat) Judge(m Message, answer []byte) Verdict { return w.judge(m, answer) }

// Repeat sends the message of a report again, with the same MsgId and
// CreateTime, as WeChat does now and then after an answer. timestamp,
// nonce and ciphertext are new.
func (w *WeChat) Repeat(ctx context.Context, r *Report) (*Report, error) {
	return w.deliver(ctx, &Report{Message: r.Message, Document: r.Document}, nil)
}

// Replay sends the very same request as the first push of a report, as
// somebody would who has captured it. It is one push. If the request was changed so that it
// cannot be written as HTTP, an error says why, and nothing is sent.
func (w *WeChat) Replay(ctx context.Context, r *Report) (*Report, error) {
	once := *w
	once.rules.Pushes, once.rules.LoseFirst, once.rules.MarkFail = 1, 0, 0
	var first *Request
	if len(r.Pushes) > 0 {
		first = &r.Pushes[0].Request
		if err := first.check(); err != nil {
			return nil, err
		}
	}
	return once.deliver(ctx, &Report{Message: r.Message, Document: r.Document}, first)
}

// lastMsgID makes the ids of one process differ and grow.
var lastMsgID atomic.Int64

func newMsgID() int64 {
	for {
		last := lastMsgID.Load()
		next := max(last+1, time.Now().UnixNano())
		if lastMsgID.CompareAndSwap(last, next) {
			return next
		}
	}
}

// deliver pushes until the rules say that it is over. R-PUSH-COUNT
func (w *WeChat) deliver(ctx context.Context, r *Report, next *Request) (*Report, error) {
	if left := w.patience.left(w.rules); left > 0 {
		r.Verdict = w.fault(r.Message, "mark-fail", fmt.Sprintf("it was not pushed, since %d pushes in a row had failed: WeChat leaves the server alone (MarkFail, 自动屏蔽) for another %v; "+
			"look into why those before failed", w.rules.MarkFail, left.Round(time.Second)))
		return r, nil
	}
	if next == nil {
		next = w.pack(r)
	}
	first := w.messages.Add(1)
	for number := 1; ; number++ {
		push := w.push(ctx, Push{Message: r.Message, Number: number, Node: w.node(first + uint64(number) - 2), Lost: number <= w.rules.LoseFirst, Request: *next})
		if err := ctx.Err(); err != nil && push.Outcome != Answered {
			r.Verdict = Verdict{Problem: "stopped", Why: "it was stopped before WeChat would have given up"}
			return r, err
		}
		r.Pushes = append(r.Pushes, push)
		if push.Outcome == Answered && push.Status == http.StatusOK {
			r.Verdict = w.judge(r.Message, push.Body)
			w.patience.note(w.rules, r.Verdict.OK())
			return r, nil
		}
		w.patience.note(w.rules, false)
		if number >= w.rules.Pushes {
			r.Verdict = w.gaveUp(r)
			return r, nil
		}
		if w.rules.WaitAfterFailure {
			if err := sleep(ctx, time.Until(push.Start.Add(w.rules.Timeout))); err != nil {
				r.Verdict = Verdict{Problem: "stopped", Why: "it was stopped before WeChat would have given up"}
				return r, err
			}
		}
		if w.rules.FreshRetries {
			next = w.pack(r)
		}
	}
}

// node is the node whose turn it is, if there are several.
func (w *WeChat) node(turn uint64) string {
	if n := uint64(len(w.account.Nodes)); n > 0 {
		return w.account.Nodes[turn%n]
	}
	return ""
}

// pack signs the message, and seals it if the mode wants it. R-PUSH-QUERY
func (w *WeChat) pack(r *Report) *Request {
	timestamp, nonce := strconv.FormatInt(time.Now().Unix(), 10), newNonce()
	query := "signature=" + sign(w.account.Token, timestamp, nonce) + "&timestamp=" + timestamp + "&nonce=" + nonce +
		"&openid=" + url.QueryEscape(r.Message.FromUserName)
	if w.account.Mode == Plain {
		return w.request(http.MethodPost, query, r.Document)
	}
	encrypt := seal(w.key, r.Document, w.account.AppID)
	query += "&encrypt_type=aes&msg_signature=" + sign(w.account.Token, timestamp, nonce, encrypt)
	element := cdata("Encrypt", encrypt)
	if w.account.Mode == Safe {
		return w.request(http.MethodPost, query, []byte("<xml>"+cdata("ToUserName", r.Message.ToUserName)+element+"</xml>"))
	}
	end := bytes.LastIndex(r.Document, []byte("</"))
	if end < 0 { // a raw document that is no XML
		end = len(r.Document)
	}
	body := append(append(bytes.Clone(r.Document[:end]), element...), r.Document[end:]...)
	return w.request(http.MethodPost, query, body)
}

// newNonce is a number of 9 or 10 digits.
func newNonce() string { return strconv.FormatInt(100_000_000+rand.Int64N(2_000_000_000), 10) }

// gaveUp is the verdict when no push was answered with status 200.
func (w *WeChat) gaveUp(r *Report) Verdict {
	var list []string
	for _, p := range r.Pushes {
		switch p.Outcome {
		case Answered:
			list = append(list, fmt.Sprintf("status %d", p.Status))
		case Cut:
			list = append(list, "no answer in "+w.rules.Timeout.String())
		default:
			list = append(list, p.Outcome.String())
		}
	}
	why := "the push failed: "
	if len(list) > 1 {
		why = fmt.Sprintf("all %d pushes failed: ", len(list))
	}
	why += strings.Join(list, ", ")
	last := r.Pushes[len(r.Pushes)-1]
	switch last.Outcome {
	case Answered:
		return w.fault(r.Message, "status", why+"; "+aboutStatus(last.Status, http.MethodPost,
			"WeChat takes the status 200 only, so answer 200 even when something went wrong"))
	case Cut:
		return w.fault(r.Message, "timeout", why+"; answer within 4.5 s, if only with success, and send the result by the customer-service API (客服消息)")
	case Refused:
		return w.fault(r.Message, "refused", why+"; start the server, or check the URL")
	case BadTLS:
		return w.fault(r.Message, "tls", why+"; "+w.aboutTLS(last.Err))
	}
	return w.fault(r.Message, "reset", fmt.Sprintf("%s; the connection ended before the answer was complete, or the answer is not HTTP (%v)", why, last.Err))
}

// push makes one push. The caller has filled in what is known before.
func (w *WeChat) push(ctx context.Context, p Push) Push {
	p.Start = time.Now()
	if w.started != nil {
		w.started(p)
		p.Start = time.Now() // the hook's time is not the server's
	}
	switch {
	case p.Lost && w.rules.LoseSilently:
		p.Outcome = Cut
		if sleep(ctx, w.rules.Timeout) != nil {
			p.Outcome = Reset
		}
	case p.Lost:
		p.Outcome, p.Err = Refused, errors.New("this push was to be lost")
	default:
		w.exchange(ctx, &p)
	}
	p.Duration = time.Since(p.Start)
	if w.ended != nil {
		w.ended(p)
	}
	return p
}

// sleep waits for d, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

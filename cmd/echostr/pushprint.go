package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/simulator"
)

// pushPrinter shows what happens while it happens.
type pushPrinter struct {
	w       io.Writer
	quiet   bool // only JSON at the end
	timeout time.Duration
	start   time.Time // of the first push of this message
}

func (p *pushPrinter) printf(format string, args ...any) {
	if !p.quiet {
		fmt.Fprintf(p.w, format, args...)
	}
}

func (p *pushPrinter) target(what string, a simulator.Account) {
	p.printf("%s → %s (%s)\n\n", what, addressOf(a.URL), modeName(string(a.Mode)))
}

func (p *pushPrinter) started(push simulator.Push) {
	if push.Number == 1 {
		p.start = push.Start
	}
	again := ""
	if push.Number > 1 {
		again = " (重试)"
	}
	if push.Lost {
		again += " never arrives"
	}
	p.printf("%s  push %d%s\n", clock(push.Start.Sub(p.start)), push.Number, again)
}

func (p *pushPrinter) ended(push simulator.Push) {
	var what string
	switch {
	case push.Lost:
		return
	case push.Outcome == simulator.Answered:
		what = fmt.Sprintf("answered: %d, %d bytes", push.Status, len(push.Body))
	case push.Outcome == simulator.Cut:
		what = fmt.Sprintf("no answer in %v, cut (超时断开)", p.timeout)
	case push.Outcome == simulator.Refused:
		what = "no connection (连接失败): " + cause(push.Err)
	case push.Outcome == simulator.Reset:
		what = "connection broken (连接中断): " + cause(push.Err)
	case push.Outcome == simulator.BadTLS:
		what = "no TLS (证书或 TLS 错误): " + cause(push.Err)
	default:
		return // it was stopped
	}
	p.printf("%s  push %d %s\n", clock(push.Start.Add(push.Duration).Sub(p.start)), push.Number, what)
}

// cause is the end of a chain of errors, without the secrets of a URL's query.
func cause(err error) string {
	for err != nil {
		inner := errors.Unwrap(err)
		if inner == nil {
			return oneLine(err.Error(), 100)
		}
		err = inner
	}
	return "unknown"
}

func clock(d time.Duration) string { return fmt.Sprintf("%7.2f s", d.Seconds()) }

func (p *pushPrinter) duplicate(i, n int) { p.printf("\nduplicate %d of %d (重复消息)\n\n", i, n) }

// report prints what came of a message. It returns an error if it was stopped.
func (p *pushPrinter) report(r *simulator.Report, err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped before WeChat would have given up")
	}
	if err != nil {
		return withoutPackage(err)
	}
	if p.quiet {
		return printJSON(p.w, newReportJSON(r))
	}
	v := r.Verdict
	p.printf("\n")
	if v.Reply != nil {
		p.printf("reply (被动回复): %s\n", indent(tty.Printable(v.Reply.String())))
		if n := len(v.Reply.Content); n > almostFull && strings.HasSuffix(v.Reply.Content, "…") {
			p.printf("(%d bytes with … at the end: cut by the server? A text has 2048 at most, 疑似被截断)\n", n)
		}
	}
	switch v.Sees {
	case simulator.SeesReply:
		p.printf("the user sees: this reply (用户收到回复)\n")
	case simulator.SeesFault:
		p.printf("the user sees: 「%s」\nwhy: %s\n", simulator.FaultNotice, tty.Printable(v.Why))
	case simulator.SeesNothing:
		p.printf("the user sees: nothing (用户收不到回复)\nwhy: %s\n", tty.Printable(v.Why))
		if v.Reply == nil && v.OK() {
			p.printf("an answer may still follow by a customer-service message (回答可能随后由客服消息送达)\n")
		}
	}
	if v.Sees != simulator.SeesFault && !v.OK() {
		p.printf("wrong all the same: %s\n", v.Problem)
	}
	if hint := hints[r.Pushes[len(r.Pushes)-1].Status]; hint != "" {
		p.printf("hint: %s\n", hint)
	}
	return nil
}

// almostFull is the length from which a text that ends in … was probably cut:
// what is cut is a whole character, and an emoji may have many bytes.
const almostFull = 2048 - 32

// hints say what a status of an echostr server means.
var hints = map[int]string{
	403: "make --token (令牌), --mode (消息加解密方式), --encoding-aes-key, --app-id and --original-id (原始ID) those of the server",
	413: "the message is longer than the server's body_limit",
}

// compare says whether a duplicate got another answer than the message.
func (p *pushPrinter) compare(first, again *simulator.Report) {
	a, b := first.Verdict, again.Verdict
	switch {
	case !a.OK() || !b.OK():
	case a.Reply == nil && b.Reply == nil:
		p.printf("the same answer as before (排重正确)\n")
	case a.Reply != nil && b.Reply != nil && string(a.Reply.Document) == string(b.Reply.Document):
		p.printf("the same reply as before, byte for byte (排重正确)\n")
	case b.Reply == nil:
		p.printf("no reply this time: the server does not repeat it any more\n")
	default:
		p.printf("not the same reply as before: the message was perhaps handled twice (可能重复处理)\n")
	}
}

func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n  ") }

// reportJSON is a report for machines.
type reportJSON struct {
	OK       bool       `json:"ok"`
	Sees     string     `json:"sees"` // reply, nothing, fault
	Problem  string     `json:"problem,omitempty"`
	Why      string     `json:"why"`
	Reply    *replyJSON `json:"reply,omitempty"`
	Pushes   []pushJSON `json:"pushes"`
	Document string     `json:"document"`
}

type pushJSON struct {
	Number  int     `json:"number"`
	Start   float64 `json:"start"` // seconds since the first push
	Seconds float64 `json:"seconds"`
	Outcome string  `json:"outcome"`
	Lost    bool    `json:"lost,omitempty"`
	Status  int     `json:"status,omitempty"`
	Body    string  `json:"body,omitempty"`
}

type replyJSON struct {
	MsgType  string `json:"msg_type"`
	Content  string `json:"content,omitempty"`
	Sealed   bool   `json:"sealed"`
	Document string `json:"document"`
}

func newPushJSON(p simulator.Push, first time.Time) pushJSON {
	return pushJSON{
		Number: p.Number, Start: p.Start.Sub(first).Seconds(), Seconds: p.Duration.Seconds(),
		Outcome: p.Outcome.String(), Lost: p.Lost, Status: p.Status, Body: string(p.Body),
	}
}

func newReportJSON(r *simulator.Report) reportJSON {
	v := r.Verdict
	j := reportJSON{OK: v.OK(), Problem: v.Problem, Why: v.Why, Document: string(r.Document)}
	switch v.Sees {
	case simulator.SeesReply:
		j.Sees = "reply"
	case simulator.SeesFault:
		j.Sees = "fault"
	default:
		j.Sees = "nothing"
	}
	if v.Reply != nil {
		j.Reply = &replyJSON{v.Reply.MsgType, v.Reply.Content, v.Reply.Sealed, string(v.Reply.Document)}
	}
	for _, p := range r.Pushes {
		j.Pushes = append(j.Pushes, newPushJSON(p, r.Pushes[0].Start))
	}
	return j
}

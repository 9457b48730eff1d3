package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/echostr/echostr/simulator"
)

// runner is what all checks of a run share.
type runner struct {
	cfg    Config
	wechat *simulator.WeChat
	key    []byte // of the envelope
	base   baseline
	slow   *simulator.Report // of Config.SlowText, when it was sent
}

// baseline is how the server answers a plain text.
type baseline struct {
	stopped Text
	problem string // of the answer
	replies bool
	// If it echoes: what stands before and behind the text.
	echoes         bool
	prefix, suffix string
	slowest        time.Duration // of the first pushes
	late           bool          // a first push was cut and a later one answered
}

// as returns a WeChat of an account that is changed.
func (r *runner) as(change func(*simulator.Account)) (*simulator.WeChat, error) {
	account := r.cfg.Account
	if change != nil {
		change(&account)
	}
	return simulator.New(simulator.Config{
		Account: account, Rules: simulator.Rules{Timeout: r.cfg.Timeout},
		DialContext: r.cfg.DialContext, Transport: r.cfg.Transport,
	})
}

// probe is one check at work.
type probe struct {
	*runner
	check  *Check
	user   string
	pushes []simulator.Push
}

// finding is what a check has found. The zero value is Pass.
type finding struct {
	outcome Outcome
	rule    string // if it is not that of the check
	problem string // of the verdict
	why     Text
	// undecided says that what the check is about cannot be seen.
	undecided bool
}

// wrong is a finding on the level of the check.
func (p *probe) wrong(why Text) finding { return finding{outcome: p.check.Level, why: why} }

func advice(why Text) finding { return finding{outcome: Advice, why: why} }

// newUser is an OpenID that nobody has.
func newUser() string { return "oEchostrCheck" + rand.Text()[:15] }

var lastID atomic.Int64

// newID is a MsgId that was never used, beyond what a float64 can hold and away
// from those of package simulator. The 999 behind it are not used either.
func newID() int64 {
	for {
		last := lastID.Load()
		next := max(last+1000, 7_000_000_000_000_000_000+time.Now().UnixNano()%1_000_000_000_000_000_000/1000*1000)
		if lastID.CompareAndSwap(last, next) {
			return next
		}
	}
}

// raw fills a template: {to}, {from}, {time}, {id} and {text}.
func (p *probe) raw(template, text string) simulator.Message {
	return p.rawAt(template, text, time.Now().Unix(), newID())
}

func (p *probe) rawAt(template, text string, at, id int64) simulator.Message {
	m, err := simulator.Raw([]byte(p.fill(template, text, at, id)), simulator.RawOptions{Keep: true})
	if err != nil {
		panic(err) // with Keep anything goes
	}
	m.ToUserName, m.FromUserName = originalID(p.cfg.Account), p.user
	return m
}

func (p *probe) fill(template, text string, at, id int64) string {
	return strings.NewReplacer("{to}", originalID(p.cfg.Account), "{from}", p.user, "{time}", strconv.FormatInt(at, 10),
		"{id}", strconv.FormatInt(id, 10), "{text}", text).Replace(template)
}

// carry is the push of a document that nobody has to read first, as pack does.
func (p *probe) carry(document string) simulator.Request {
	_, r := p.pack(p.text(word()))
	if p.key == nil {
		r.Body = []byte(document)
		return r
	}
	plain := padded(layout([]byte(document), uint32(len(document)), p.cfg.Account.AppID), 0)
	return resigned(withEncrypt(r, p.seal(plain)), p.cfg.Account.Token)
}

func originalID(a simulator.Account) string {
	if a.OriginalID != "" {
		return a.OriginalID
	}
	return "gh_ec4057000001" // the simulator's
}

// text is a text message of the user.
func (p *probe) text(content string) simulator.Message {
	m := simulator.Text(content)
	m.FromUserName = p.user
	return m
}

// word is a text that nobody has an answer ready for.
func word() string { return "echostr " + strings.ToLower(rand.Text()[:8]) }

// pack returns the request of a message.
func (p *probe) pack(m simulator.Message) (simulator.Message, simulator.Request) {
	return packWith(p.wechat, m)
}

func packWith(w *simulator.WeChat, m simulator.Message) (simulator.Message, simulator.Request) {
	report, request, err := w.Pack(m)
	if err != nil {
		panic(err) // the message is ours
	}
	return report.Message, request
}

// send pushes a message by WeChat's rules.
func (p *probe) send(ctx context.Context, m simulator.Message) *simulator.Report {
	report, _ := p.wechat.Send(ctx, m) // the end of ctx is Run's to see
	p.pushes = append(p.pushes, report.Pushes...)
	return report
}

// do makes one request.
func (p *probe) do(ctx context.Context, r simulator.Request) simulator.Push {
	push := p.wechat.Do(ctx, r)
	p.pushes = append(p.pushes, push)
	return push
}

// exchanges are the last requests, as they are shown.
func (p *probe) exchanges() []Exchange {
	var all []Exchange
	for _, push := range p.pushes[max(0, len(p.pushes)-maxExchanges):] {
		e := Exchange{Push: push}
		if p.key != nil {
			e.Sent, e.Got = p.opened(push.Request.Body), p.opened(push.Body)
		}
		all = append(all, e)
	}
	return all
}

// rulesOf are the rules that a wrong answer breaks. What is not here, such as a
// status or a time-out, breaks the rule of the check.
var rulesOf = map[string]string{
	"too-large": "R-REPLY-SUCCESS", "success": "R-REPLY-SUCCESS", "json": "R-REPLY-SUCCESS", "html": "R-REPLY-SUCCESS",
	"bom": "R-REPLY-SUCCESS", "not-xml": "R-REPLY-SUCCESS",
	"repeated": "R-REPLY-CDATA",
	"sealed":   "R-MODE-REPLY", "not-sealed": "R-MODE-REPLY", "sealed-success": "R-MODE-REPLY",
	"envelope": "R-ENV-REPLY", "timestamp": "R-ENV-REPLY", "signature": "R-ENV-REPLY", "ciphertext": "R-ENV-REPLY",
	"swapped": "R-REPLY-ENVELOPE", "to": "R-REPLY-ENVELOPE", "from": "R-REPLY-ENVELOPE",
	"create-time": "R-REPLY-COMMON", "msg-type": "R-REPLY-COMMON",
	"empty": "R-REPLY-EMPTY", "too-long": "R-REPLY-TEXT", "media": "R-REPLY-MEDIA", "articles": "R-REPLY-NEWS",
}

// judged is the finding on a verdict.
func (p *probe) judged(v simulator.Verdict) finding {
	if v.OK() {
		return finding{}
	}
	zh := problemsZH[v.Problem]
	switch do := connectZH[v.Problem]; {
	case do != "":
		zh += "；" + do
	case v.Problem == "timeout":
		zh += "；请在 4.5 秒内应答，哪怕只是 success，结果用客服消息发送"
	}
	if n := len(p.pushes); v.Problem == "status" && n > 0 {
		status := p.pushes[n-1].Status
		zh = fmt.Sprintf("状态码是 %d：%s", status, statusZH(status, http.MethodPost, "微信只认 200，出了错也要以 200 应答"))
	}
	return finding{outcome: p.check.Level, rule: rulesOf[v.Problem], problem: v.Problem, why: Text{v.Why, zh}}
}

// accepted finds whether a message is answered as it should.
func (p *probe) accepted(ctx context.Context, m simulator.Message) finding {
	return p.judged(p.send(ctx, m).Verdict)
}

// reads finds whether a text is answered and, if the server echoes, was read as want.
func (p *probe) reads(ctx context.Context, m simulator.Message, want string) finding {
	v := p.send(ctx, m).Verdict
	if !v.OK() {
		return p.judged(v)
	}
	return p.compared(v, want)
}

// compared holds the reply against the text that the server has to have read.
func (p *probe) compared(v simulator.Verdict, want string) finding {
	if !p.base.echoes {
		return finding{}
	}
	want = p.base.prefix + want + p.base.suffix
	switch {
	case v.Reply == nil:
		return p.wrong(say("other texts are sent back, and this one was not answered", "别的文字都会发回，这一条却没有回复"))
	case v.Reply.Content != want:
		return p.wrong(sayf("the server has read %q where %q was sent", "发出的是 %[2]q，服务器读到的是 %[1]q", cut(v.Reply.Content), cut(want)))
	}
	return finding{}
}

// cut shortens a text for a sentence.
func cut(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}

// repliedTo reports whether an answer is a reply of any kind, readable or not.
func repliedTo(push simulator.Push) bool {
	body := string(push.Body)
	return push.Outcome == simulator.Answered && push.Status/100 == 2 &&
		strings.Contains(body, "<xml") && (strings.Contains(body, "ToUserName") || strings.Contains(body, "Encrypt"))
}

// refused finds whether a push that WeChat has not made is left unanswered. How
// it is refused is free. If the server never replies it cannot be seen whether
// it has taken it.
func (p *probe) refused(ctx context.Context, r simulator.Request) finding {
	push := p.do(ctx, r)
	switch {
	case repliedTo(push):
		return p.wrong(say("it was answered with a reply, as if WeChat had sent it", "服务器像对待微信的推送一样回复了它"))
	case push.Outcome == simulator.Answered && push.Status/100 == 2:
		return p.unclear(push)
	case p.check.Level == Advice:
		return finding{}
	case push.Outcome == simulator.Answered && push.Status >= 500:
		return advice(sayf("it was answered with status %d, as if the server had stumbled over it; refuse it with 403",
			"应答的状态码是 %d，像是服务器出了错；请用 403 拒绝", push.Status))
	case push.Outcome == simulator.Cut:
		return advice(say("there was no answer; refuse it at once with 403", "没有应答；请立刻用 403 拒绝"))
	}
	return finding{}
}

// unclear is the advice about a push that WeChat has not made and that was answered as a
// good one may be, without a reply.
func (p *probe) unclear(push simulator.Push) finding {
	f := advice(sayf("it was answered with status %d; that says nothing about whether it was handled, so refuse it with 403",
		"应答的状态码是 %d，看不出是否处理了它；请用 403 拒绝", push.Status))
	f.undecided = !p.base.replies // otherwise it would have got a reply, as other texts do
	return f
}

// survives finds whether a good push is answered, after or beside what the check has done.
// If only the reply is missing, the server may have replied to a user often enough.
func (p *probe) survives(ctx context.Context) finding {
	m := p.text(word())
	m.FromUserName = newUser()
	v := p.send(ctx, m).Verdict
	switch {
	case !v.OK():
		return finding{outcome: Fail, problem: v.Problem, why: Text{
			"a good push was not answered any more: " + v.Why, "此后正常的推送得不到应答：" + problemsZH[v.Problem],
		}}
	case v.Reply == nil && p.base.replies:
		return advice(say("a good push was answered without a reply, although the texts of before got one; look whether the server replies so often only",
			"正常的推送有应答，却没有回复，而之前的文字都有；请看看服务器是否限制了回复的频率"))
	}
	return finding{}
}

// endures makes a request and finds whether the server is still there. What it
// answers is free, but it should not take long.
func (p *probe) endures(ctx context.Context, r simulator.Request) finding {
	push := p.do(ctx, r)
	if f := p.survives(ctx); f.outcome != Pass {
		return f
	}
	if push.Outcome == simulator.Cut {
		return advice(say("the server worked on it until the connection was cut", "服务器一直在处理它，直到连接被断开"))
	}
	return finding{}
}

// sign is the signature of some strings. Package simulator exports neither its signature nor
// its envelope, since nobody who plays WeChat has a use for wrong ones; the checks need just
// those, so sign and seal are written out here. R-SIG-HASH R-SIG-MSG
func sign(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// withQuery changes the query of a request and nothing else.
func withQuery(r simulator.Request, change func(url.Values)) simulator.Request {
	u, err := url.Parse(r.URL)
	if err != nil {
		panic(err) // it was parsed before
	}
	q := u.Query()
	change(q)
	u.RawQuery = q.Encode()
	r.URL = u.String()
	return r
}

// resigned signs a request anew with a token, for its timestamp, nonce and Encrypt.
func resigned(r simulator.Request, token string) simulator.Request {
	return withQuery(r, func(q url.Values) {
		q.Set("signature", sign(token, q.Get("timestamp"), q.Get("nonce")))
		if q.Has("msg_signature") {
			q.Set("msg_signature", sign(token, q.Get("timestamp"), q.Get("nonce"), encrypted(r)))
		}
	})
}

// aroundEncrypt finds the text of Encrypt, as the simulator writes it.
func aroundEncrypt(body []byte) (from, to int) {
	const before, behind = "<Encrypt><![CDATA[", "]]></Encrypt>"
	from = bytes.Index(body, []byte(before)) + len(before)
	return from, from + bytes.Index(body[from:], []byte(behind))
}

// encrypted is the text of Encrypt.
func encrypted(r simulator.Request) string {
	from, to := aroundEncrypt(r.Body)
	return string(r.Body[from:to])
}

// withEncrypt replaces the text of Encrypt.
func withEncrypt(r simulator.Request, text string) simulator.Request {
	from, to := aroundEncrypt(r.Body)
	r.Body = slices.Concat(r.Body[:from], []byte(text), r.Body[to:])
	return r
}

// get is a request of the check of the address, with a query.
func (p *probe) get(q url.Values) simulator.Request {
	_, r := p.pack(p.text("x"))
	r = withQuery(r, func(old url.Values) {
		for _, name := range []string{"signature", "timestamp", "nonce", "openid", "encrypt_type", "msg_signature"} {
			old.Del(name)
		}
		for name, values := range q {
			old[name] = values
		}
	})
	r.Method, r.Body = http.MethodGet, nil
	r.Header = http.Header{"User-Agent": {"Mozilla/4.0"}, "Accept": {"*/*"}}
	return r
}

// signedGet is the query of the check of the address.
func (p *probe) signedGet(echostr string) url.Values {
	timestamp, nonce := strconv.FormatInt(time.Now().Unix(), 10), strconv.FormatInt(newID()%1_000_000_000+1_000_000_000, 10)
	return url.Values{
		"signature": {sign(p.cfg.Account.Token, timestamp, nonce)},
		"timestamp": {timestamp}, "nonce": {nonce}, "echostr": {echostr},
	}
}

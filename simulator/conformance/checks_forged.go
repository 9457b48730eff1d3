package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/echostr/echostr/simulator"
)

// forgery makes a check that a changed push gets no reply.
func forgery(name, rule string, level Outcome, needs need, title Text, change func(p *probe, r simulator.Request) simulator.Request) Check {
	return Check{Name: name, Rule: rule, Level: level, needs: needs, Title: title, run: func(ctx context.Context, p *probe) finding {
		_, r := p.pack(p.text(word()))
		return p.refused(ctx, change(p, r))
	}}
}

// query makes a change of the query that leaves the signatures as they are.
func query(change func(p *probe, q url.Values)) func(*probe, simulator.Request) simulator.Request {
	return func(p *probe, r simulator.Request) simulator.Request {
		return withQuery(r, func(q url.Values) { change(p, q) })
	}
}

// signedAt makes a push that was signed some time from now.
func signedAt(d time.Duration) func(*probe, simulator.Request) simulator.Request {
	return func(p *probe, r simulator.Request) simulator.Request {
		at := strconv.FormatInt(time.Now().Add(d).Unix(), 10)
		return resigned(withQuery(r, func(q url.Values) { q.Set("timestamp", at) }), p.cfg.Account.Token)
	}
}

// sealedAs makes a push whose envelope is made by hand, with the right signatures over it.
func sealedAs(plain func(p *probe, msg []byte) []byte) func(*probe, simulator.Request) simulator.Request {
	return func(p *probe, r simulator.Request) simulator.Request {
		return resigned(withEncrypt(r, p.seal(plain(p, document(p.wechat, p.text(word()))))), p.cfg.Account.Token)
	}
}

// inClear is the push of a text as in the mode plain.
func (p *probe) inClear(change func(url.Values)) simulator.Request {
	w, err := p.as(func(a *simulator.Account) { a.Mode = simulator.Plain })
	if err != nil {
		panic(err) // the account was checked
	}
	_, r := packWith(w, p.text(word()))
	return withQuery(r, change)
}

func forgedChecks() []Check {
	clear := func(change func(url.Values)) func(*probe, simulator.Request) simulator.Request {
		return func(p *probe, _ simulator.Request) simulator.Request { return p.inClear(change) }
	}
	none := func(url.Values) {}
	checks := []Check{
		forgery("no-query", "R-SIG-ALWAYS", Fail, 0, say("a push without any query gets no reply", "没有任何参数的推送得不到回复"), query(func(_ *probe, q url.Values) { clearValues(q) })),
		forgery("no-signature", "R-SIG-ALWAYS", Fail, 0, say("a push without signature gets no reply", "没有 signature 的推送得不到回复"), query(func(_ *probe, q url.Values) { q.Del("signature"); q.Del("msg_signature") })),
		forgery("wrong-signature", "R-SIG-HASH", Fail, 0, say("a push signed with another token gets no reply", "用别的令牌签名的推送得不到回复"), func(p *probe, r simulator.Request) simulator.Request {
			return resigned(r, "not "+p.cfg.Account.Token)
		}),
		forgery("empty-token", "R-SIG-COMPARE", Fail, 0, say("a push signed with an empty token gets no reply", "用空令牌签名的推送得不到回复"), func(_ *probe, r simulator.Request) simulator.Request {
			return resigned(r, "")
		}),
		forgery("other-timestamp", "R-SIG-HASH", Fail, 0, say("a signature is good for its timestamp only", "签名只对它的 timestamp 有效"), query(func(_ *probe, q url.Values) { q.Set("timestamp", strconv.FormatInt(time.Now().Unix()-1, 10)) })),
		forgery("other-nonce", "R-SIG-HASH", Fail, 0, say("a signature is good for its nonce only", "签名只对它的 nonce 有效"), query(func(_ *probe, q url.Values) { q.Set("nonce", "1"+q.Get("nonce")) })),
		{
			Name: "openid", Rule: "R-PUSH-QUERY", Level: Fail,
			Title: say("the openid of the query, which is not signed, is not believed", "参数里的 openid 没有签名，不予采信"),
			Do:    say("take the user from FromUserName", "用户以 FromUserName 为准"),
			run: func(ctx context.Context, p *probe) finding {
				m, r := p.pack(p.text(word()))
				push := p.do(ctx, withQuery(r, func(q url.Values) { q.Set("openid", newUser()) }))
				if push.Outcome != simulator.Answered || push.Status != 200 {
					return finding{} // refusing it is right, too
				}
				return p.judged(p.wechat.Judge(m, push.Body))
			},
		},
		forgery("stale", "R-SIG-FRESH", Advice, 0, say("a push that was signed a day ago gets no reply", "一天前签名的推送得不到回复"), signedAt(-24*time.Hour)),
		forgery("future", "R-SIG-FRESH", Advice, 0, say("a push that was signed for tomorrow gets no reply", "签名时间在明天的推送得不到回复"), signedAt(24*time.Hour)),
		forgery("twice-in-query", "R-ORDER-QUERY", Advice, 0, say("a parameter that is there twice is not guessed about", "重复的参数不去猜测"), query(func(_ *probe, q url.Values) { q.Add("timestamp", "1") })),
		forgery("format", "R-ORDER-FORMAT", Advice, 0, say("timestamp is ten digits: otherwise one signature would fit other timestamps", "timestamp 必须是十位数字，否则一个签名能配出别的时间"), func(p *probe, r simulator.Request) simulator.Request {
			r = withQuery(r, func(q url.Values) {
				q.Set("timestamp", q.Get("timestamp")+q.Get("nonce"))
				q.Set("nonce", "")
			})
			return resigned(r, p.cfg.Account.Token)
		}),

		forgery("no-msg-signature", "R-SIG-ALWAYS", Fail, needsEnvelope, say("a sealed push without msg_signature gets no reply", "加密推送没有 msg_signature 得不到回复"), query(func(_ *probe, q url.Values) { q.Del("msg_signature") })),
		forgery("wrong-msg-signature", "R-SIG-MSG", Fail, needsEnvelope, say("a sealed push with the msg_signature of another one gets no reply", "msg_signature 属于另一个推送时得不到回复"), func(p *probe, r simulator.Request) simulator.Request {
			_, other := p.pack(p.text(word()))
			return withEncrypt(r, encrypted(other))
		}),
		forgery("only-msg-signature", "R-SIG-ALWAYS", Advice, needsEnvelope, say("signature is checked beside msg_signature", "除 msg_signature 外也校验 signature"), query(func(p *probe, q url.Values) {
			q.Set("signature", sign("not "+p.cfg.Account.Token, q.Get("timestamp"), q.Get("nonce")))
		})),
		forgery("tampered", "R-SIG-MSG", Fail, needsEnvelope, say("a ciphertext that was changed gets no reply", "密文被改动过的推送得不到回复"), func(p *probe, _ simulator.Request) simulator.Request {
			// In the middle of the text, so that the document stays one.
			_, long := p.pack(p.text(strings.Repeat(word(), 64)))
			encrypt := encrypted(long)
			changed := byte('A')
			if at := len(encrypt) / 2; encrypt[at] == changed {
				changed = 'B'
			}
			long = withEncrypt(long, encrypt[:len(encrypt)/2]+string(changed)+encrypt[len(encrypt)/2+1:])
			return long
		}),
		forgery("other-appid", "R-ENV-APPID", Fail, needsEnvelope, say("an envelope for another AppID gets no reply", "信封里是别的 AppID 时得不到回复"), sealedAs(func(p *probe, msg []byte) []byte {
			return padded(layout(msg, uint32(len(msg)), "wx0123456789abcdef"), 0)
		})),
		forgery("no-appid", "R-ENV-APPID", Fail, needsEnvelope, say("an envelope without an AppID gets no reply", "信封里没有 AppID 时得不到回复"), sealedAs(func(_ *probe, msg []byte) []byte {
			return padded(layout(msg, uint32(len(msg)), ""), 0)
		})),
		forgery("other-account", "R-ENV-NAMES", Advice, needsEnvelope, say("the ToUserName inside has to be the one outside", "信封里外的 ToUserName 必须一致"), func(p *probe, r simulator.Request) simulator.Request {
			to := []byte("<ToUserName><![CDATA[" + originalID(p.cfg.Account))
			r.Body = bytes.Replace(r.Body, to, []byte("<ToUserName><![CDATA[gh_000000000000"), 1)
			return r
		}),
		{
			Name: "broken-envelope", Rule: "R-ENV-ERROR", Level: Advice, needs: needsEnvelope,
			Title: say("envelopes that are broken in different ways are refused in one and the same way", "信封无论坏在哪里，都以同样的方式拒绝"),
			Do:    say("answer every failure behind the signature with the same status and body, so that nothing can be learnt by trying", "签名之后的任何失败都用同样的状态码和正文应答，让试探者一无所获"),
			run:   brokenEnvelopes,
		},
		forgery("downgraded", "R-MODE-ACCOUNT", Fail, needsSafe, say("a push in clear to an account in the mode safe gets no reply", "安全模式的账号收到明文推送，不予回复"), clear(none)),
		forgery("downgraded-raw", "R-MODE-ACCOUNT", Fail, needsSafe, say("neither does one with encrypt_type=raw", "带 encrypt_type=raw 的明文推送也不回复"), clear(func(q url.Values) { q.Set("encrypt_type", "raw") })),
		forgery("downgraded-aes", "R-MODE-ACCOUNT", Fail, needsEnvelope, say("a push in clear that says encrypt_type=aes gets no reply", "声称 encrypt_type=aes 的明文推送得不到回复"), clear(func(q url.Values) { q.Set("encrypt_type", "aes"); q.Set("msg_signature", q.Get("signature")) })),
		forgery("downgraded-compatible", "R-MODE-ACCOUNT", Advice, needsCompatible, say("a push without an envelope to an account in the mode compatible, which WeChat never sends, gets no reply", "兼容模式的账号收到没有信封的推送（微信不会这样发），不予回复"), clear(none)),
	}
	for i := range checks {
		switch name := checks[i].Name; {
		case strings.HasPrefix(name, "downgraded"):
			checks[i].Do = say("let the mode of the account decide, never encrypt_type or the body", "由账号的设置决定模式，而不是 encrypt_type 或正文")
		case name == "stale", name == "future":
			checks[i].Do = say("refuse a timestamp that is more than 5 minutes (mode safe: 10) from your clock", "拒绝与本机时间相差超过 5 分钟（安全模式 10 分钟）的 timestamp")
		case name == "format":
			checks[i].Do = say("before hashing, require ten digits of timestamp and 1 to 64 letters and digits of nonce", "计算之前先要求 timestamp 是十位数字、nonce 是 1 到 64 个字母或数字")
		case name == "other-appid", name == "no-appid":
			checks[i].Do = say("compare what follows the message in the envelope with your AppID", "比较信封里消息后面的内容与自己的 AppID")
		case name == "other-account":
			checks[i].Do = say("compare ToUserName inside and outside, and both with your original id (原始ID)", "比较信封内外的 ToUserName，以及自己的原始 ID")
		}
	}
	return checks
}

func clearValues(q url.Values) {
	for name := range q {
		delete(q, name)
	}
}

// brokenEnvelopes sends envelopes with right signatures that do not open, each
// for another reason. None may get a reply, which would mean that it was opened
// all the same, and all have to look the same. R-ENV-ERROR
func brokenEnvelopes(ctx context.Context, p *probe) finding {
	opened := say("an envelope that does not open was answered with a reply", "解不开的信封得到了回复")
	appID := p.cfg.Account.AppID
	plains := []func(msg []byte) []byte{
		func(msg []byte) []byte { return padded(layout(msg, uint32(len(msg)), appID), 200) },        // padding
		func(msg []byte) []byte { return padded(layout(msg, 1<<31, appID), 0) },                     // length
		func(msg []byte) []byte { return padded(layout(msg, uint32(len(msg)), "wx"+appID), 0) },     // AppID
		func(msg []byte) []byte { return padded(layout(nil, 0, ""), 0)[:32] },                       // too short
		func(msg []byte) []byte { return padded(layout(msg[:20], uint32(len(msg)+99), appID), 0) },  // length
		func(msg []byte) []byte { return bytes.Repeat([]byte{0}, 64) },                              // padding of zero
		func(msg []byte) []byte { return append(layout(msg, 1<<32-1, appID), make([]byte, 64)...) }, // length
	}
	send := func(plain func([]byte) []byte) (simulator.Push, bool) {
		_, r := p.pack(p.text(word()))
		push := p.do(ctx, sealedAs(func(_ *probe, msg []byte) []byte {
			b := plain(msg)
			return b[:len(b)/16*16]
		})(p, r))
		return push, repliedTo(push)
	}
	// What differs between answers to the same mistake, such as the id of a request, tells nothing.
	var same []simulator.Push
	for range 3 {
		push, replied := send(plains[0])
		if replied {
			return p.wrong(opened)
		}
		same = append(same, push)
	}
	describe := describedAlike(same)
	seen := map[string]bool{describe(same[0]): true}
	for _, plain := range plains[1:] {
		push, replied := send(plain)
		if replied {
			return p.wrong(opened)
		}
		seen[describe(push)] = true
	}
	if len(seen) > 1 {
		return p.wrong(sayf("there were %d different answers", "出现了 %d 种不同的应答", len(seen)))
	}
	if same[0].Outcome == simulator.Answered && same[0].Status/100 == 2 {
		return p.unclear(same[0])
	}
	return finding{}
}

// describedAlike returns the description, of those of what somebody who tries envelopes sees
// of an answer, that says most and is one and the same for all of these.
func describedAlike(all []simulator.Push) func(simulator.Push) string {
	status := func(p simulator.Push) string {
		if p.Outcome != simulator.Answered {
			return p.Outcome.String()
		}
		return fmt.Sprint(p.Status)
	}
	for _, describe := range []func(simulator.Push) string{
		func(p simulator.Push) string { return status(p) + " " + string(p.Body) },
		func(p simulator.Push) string { return fmt.Sprint(status(p), " ", len(p.Body)) },
	} {
		if !slices.ContainsFunc(all, func(p simulator.Push) bool { return describe(p) != describe(all[0]) }) {
			return describe
		}
	}
	return status
}

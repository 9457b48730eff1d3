package conformance

import (
	"context"
	"sync"
	"time"

	"github.com/echostr/echostr/simulator"
)

func retryChecks() []Check {
	return []Check{
		{
			Name: "same-request", Level: Fail, Rule: "R-PUSH-SAME",
			Title: say("a retry with the same timestamp, nonce and signature is no attack and is answered", "timestamp、nonce、signature 都相同的重试不是攻击，照常应答"),
			Do:    say("do not refuse a nonce that was seen before; a message that comes again is a retry", "不要拒绝见过的 nonce：再次到来的消息就是重试"),
			run: func(ctx context.Context, p *probe) finding {
				m, r := p.pack(p.text(word()))
				if f := p.answered(ctx, m, r); f.outcome != Pass {
					return f
				}
				return p.answered(ctx, m, r)
			},
		},
		{
			Name: "text", Level: Fail, Rule: "R-KEY-MESSAGE",
			Title: say("a text that is pushed again after its answer gets the same answer", "文本消息应答之后又被推送，得到同样的应答"),
			run: func(ctx context.Context, p *probe) finding {
				return p.again(ctx, p.send(ctx, p.text(word())))
			},
		},
		{
			Name: "event", Level: Fail, Rule: "R-KEY-EVENT",
			Title: say("an event, which has no MsgId, gets the same answer when it is pushed again", "事件没有 MsgId，再次推送时也得到同样的应答"),
			run: func(ctx context.Context, p *probe) finding {
				m := simulator.Click("echostr_check")
				m.FromUserName = p.user
				return p.again(ctx, p.send(ctx, m))
			},
		},
		{
			Name: "at-once", Level: Fail, Rule: "R-KEY-MESSAGE",
			Title: say("a text that is pushed again while it is being answered gets the same answer", "文本消息还在处理时又被推送，得到同样的应答"),
			run:   atOnce,
		},
		{
			Name: "same-second", Level: Fail, Rule: "R-KEY-MESSAGE", needs: needsReply,
			Title: say("two texts with the same words in the same second are two messages", "同一秒内两条内容相同的文本是两条消息"),
			Do:    say("tell messages apart by their whole MsgId and not by time or content", "用完整的 MsgId 区分消息，不要用时间或内容"),
			run: func(ctx context.Context, p *probe) finding {
				text, at, id := word(), time.Now().Unix(), newID()
				p.send(ctx, p.rawAt(textXML, text, at, id))
				v := p.send(ctx, p.rawAt(textXML, text, at, newID())).Verdict
				if v.OK() && v.Reply == nil {
					return advice(say("the second one got no reply, as if it were a retry of the first", "第二条没有回复，像是被当成了第一条的重试"))
				}
				return p.judged(v)
			},
		},
		{
			Name: "long-ids", Level: Fail, Rule: "R-MSG-COMMON", needs: needsEcho,
			Title: say("two MsgIds that differ in their last digit only are two messages", "只有最后一位不同的两个 MsgId 是两条消息"),
			Do:    say("keep MsgId as a string or a 64-bit integer; a float64, as numbers are in JavaScript, cannot hold it", "MsgId 用字符串或 64 位整数保存；浮点数（如 JavaScript 的数字）放不下"),
			run: func(ctx context.Context, p *probe) finding {
				id := newID()
				p.send(ctx, p.rawAt(textXML, word(), time.Now().Unix(), id))
				text := word()
				return p.reads(ctx, p.rawAt(textXML, text, time.Now().Unix(), id+1), text)
			},
		},
		{
			Name: "slow", Level: Fail, Rule: "R-PUSH-COUNT", needs: needsSlow,
			Title: say("a text that takes longer than WeChat waits is answered on one of its three pushes", "处理时间超过微信等待时间的文本，三次推送中有一次得到应答"),
			Do: say("let a retry join the work that goes on, and answer success on the third push at the latest",
				"让重试等待正在进行的处理，最迟在第三次推送时应答 success"),
			run: func(ctx context.Context, p *probe) finding {
				report := p.sendSlow(ctx)
				if report.Verdict.OK() && len(report.Pushes) == 1 && report.Verdict.Reply != nil {
					return finding{outcome: Skipped, why: sayf("the text was answered in %v, so it is not slow; give another one with --slow-text", "这句话 %v 就有了回复，不算慢；请用 --slow-text 换一句",
						report.Pushes[0].Duration.Round(p.cfg.Timeout/500))}
				}
				return p.judged(report.Verdict)
			},
		},
		{
			Name: "slow-again", Level: Fail, Rule: "R-TIME-SAME", needs: needsSlow,
			Title: say("a slow text that is pushed again after its answer gets the same answer", "慢的文本应答之后又被推送，得到同样的应答"),
			run: func(ctx context.Context, p *probe) finding {
				return p.again(ctx, p.sendSlow(ctx))
			},
		},
	}
}

// sendSlow sends the slow text, once for all checks.
func (p *probe) sendSlow(ctx context.Context) *simulator.Report {
	if p.slow == nil {
		p.slow = p.send(ctx, p.text(p.cfg.SlowText))
	}
	return p.slow
}

// again pushes the message of a report once more, signed anew.
func (p *probe) again(ctx context.Context, first *simulator.Report) finding {
	if ctx.Err() != nil || !first.Verdict.OK() {
		return p.judged(first.Verdict)
	}
	second, _ := p.wechat.Repeat(ctx, first)
	p.pushes = append(p.pushes, second.Pushes...)
	if !second.Verdict.OK() {
		return p.judged(second.Verdict)
	}
	return p.same(first.Verdict, second.Verdict)
}

// same compares what a user would have seen of two pushes of one message. R-TIME-SAME
func (p *probe) same(first, second simulator.Verdict) finding {
	a, b := visible(first), visible(second)
	switch {
	case a == b:
		return finding{}
	case second.Reply == nil:
		return finding{outcome: Advice, rule: "R-TIME-SAME", why: say("the retry got no reply; WeChat retries because the first answer did not arrive, so it is lost",
			"重试没有得到回复；微信之所以重试，就是没收到第一次的应答，这条回复就丢了")}
	case first.Reply == nil:
		return finding{outcome: Advice, rule: "R-TIME-SAME", why: say("the first push got no reply, and the retry one", "第一次推送没有回复，重试却有回复")}
	}
	return p.wrong(sayf("the retry got another reply, so the message was handled twice: %q, then %q", "重试得到了不同的回复，消息被处理了两次：先是 %q，后是 %q", cut(a), cut(b)))
}

// visible is what a user sees of a reply; CreateTime is not.
func visible(v simulator.Verdict) string {
	if v.Reply == nil {
		return ""
	}
	return v.Reply.String()
}

// atOnce pushes a message a second time while the first push is open.
func atOnce(ctx context.Context, p *probe) finding {
	m, request := p.pack(p.text(word()))
	var pushes [2]simulator.Push
	var wg sync.WaitGroup
	for i := range pushes {
		wg.Go(func() { pushes[i] = p.wechat.Do(ctx, request) })
	}
	wg.Wait()
	p.pushes = append(p.pushes, pushes[:]...)
	var verdicts []simulator.Verdict
	for _, push := range pushes {
		switch {
		case push.Outcome == simulator.Cut: // held for the retry
		case push.Outcome != simulator.Answered || push.Status != 200:
			return advice(say("one of the two was not answered with status 200, which makes WeChat push again", "两次推送之一的应答不是 200，微信会再次推送"))
		default:
			verdicts = append(verdicts, p.wechat.Judge(m, push.Body))
			if f := p.judged(verdicts[len(verdicts)-1]); f.outcome != Pass {
				return f
			}
		}
	}
	if len(verdicts) < 2 {
		return finding{}
	}
	return p.same(verdicts[0], verdicts[1])
}

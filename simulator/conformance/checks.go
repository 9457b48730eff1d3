package conformance

import (
	"context"
	"slices"
	"sync"

	"github.com/echostr/echostr/simulator"
)

// Groups returns the groups in their order.
func Groups() []Group {
	return []Group{
		{"address", say("Check of the address (接入验证)", "接入验证")},
		{"mode", say("Mode and envelope (消息加解密方式)", "消息加解密方式")},
		{"messages", say("Ordinary messages (接收普通消息)", "接收普通消息")},
		{"events", say("Events (接收事件推送)", "接收事件推送")},
		{"xml", say("Forms of XML (XML 的各种写法)", "XML 的各种写法")},
		{"retries", say("Retries (重试与排重)", "重试与排重")},
		{"time", say("Time to answer (应答时间)", "应答时间")},
		{"forged", say("Forged pushes (伪造的推送)", "伪造的推送")},
		{"hostile", say("Hostile requests (恶意请求)", "恶意请求")},
		{"methods", say("Other methods (其他请求方法)", "其他请求方法")},
	}
}

// Checks returns all checks, in the order in which they are made.
func Checks() []Check { return slices.Clone(checks()) }

// checks is made once: some carry hundreds of kilobytes.
var checks = sync.OnceValue(func() []Check {
	var all []Check
	add := func(group string, do Text, checks []Check) {
		for _, c := range checks {
			c.Group = group
			if c.Do.IsZero() {
				c.Do = do
			}
			all = append(all, c)
		}
	}
	add("address", say("answer a GET with the right signature with the value of echostr as text/plain, byte for byte, and any other with 403",
		"签名正确的 GET：以 text/plain 原样返回 echostr；其余一律 403"), addressChecks())
	add("mode", say("follow the mode of the account: seal replies to sealed pushes, and never seal success or the empty body",
		"按账号的消息加解密方式应答：加密的推送，回复也要加密；success 和空串从不加密"), modeChecks())
	add("messages", say("answer every message within 5 s with status 200 and either success, an empty body or a valid reply, also one that you have no use for",
		"任何消息都要在 5 秒内以 200 应答 success、空串或正确的回复，用不到的消息也一样"), messageChecks())
	add("events", say("answer every event within 5 s with status 200 and either success, an empty body or a valid reply, also one that you have no use for",
		"任何事件都要在 5 秒内以 200 应答 success、空串或正确的回复，用不到的事件也一样"), eventChecks())
	add("xml", say("read pushes with a real XML parser, take the children of the root by name, and ignore what you do not know",
		"用真正的 XML 解析器读推送，按名字取根元素的子元素，忽略不认识的部分"), xmlChecks())
	add("retries", say("remember what identifies a message (MsgId, or for an event all it carries) and its answer, handle it once, and give every push of it the same answer",
		"记住消息的标识（MsgId；事件则用全部内容）和它的应答：只处理一次，每次推送都给同样的应答"), retryChecks())
	add("time", say("answer success at once and send the result by the customer-service API (客服消息), or make the handler faster",
		"先立刻应答 success，再用客服消息发送结果；或者让处理更快"), timeChecks())
	add("forged", say("check the signature of every push before anything else, with msg_signature on top in the modes with an envelope, and refuse with 403",
		"先校验每个推送的 signature，加密的还要校验 msg_signature，不对就以 403 拒绝"), forgedChecks())
	add("hostile", say("bound what a request may cost: body length, time to arrive, depth and number of elements; take no DTD",
		"限制一个请求的代价：正文长度、到达时间、XML 的深度和元素个数；不接受 DTD"), hostileChecks())
	add("methods", say("take GET and POST, and answer any other method with 405", "只接受 GET 和 POST，其余方法以 405 应答"), methodChecks())
	return all
})

// Rules returns the names of all rules that a result may cite, sorted.
func Rules() []string {
	rules := []string{"R-VERIFY-ECHO", "R-PUSH-TIMEOUT", "R-PUSH-FAILURE"}
	for _, c := range Checks() {
		rules = append(rules, c.Rule)
	}
	for _, rule := range rulesOf {
		rules = append(rules, rule)
	}
	slices.Sort(rules)
	return slices.Compact(rules)
}

func methodChecks() []Check {
	var checks []Check
	for _, method := range []string{"PUT", "DELETE", "PATCH", "HEAD"} {
		checks = append(checks, Check{
			Name: method, Level: Advice, Rule: "R-ORDER-ANSWERS",
			Title: sayf("a %s that is signed and carries a push gets no reply", "%s 请求即使签名正确、带着推送，也得不到回复", method),
			run: func(ctx context.Context, p *probe) finding {
				_, r := p.pack(p.text(word()))
				r.Method = method
				push := p.do(ctx, r)
				if repliedTo(push) || method == "HEAD" && push.Outcome == simulator.Answered && push.Status == 200 {
					return p.wrong(say("it was answered like a push", "服务器像对待推送一样应答了它"))
				}
				return p.survives(ctx)
			},
		})
	}
	return checks
}

func timeChecks() []Check {
	return []Check{
		{
			Name: "first-push", Level: Advice, Rule: "R-PUSH-TIMEOUT",
			Title: say("a text is answered on its first push", "文本消息第一次推送就有应答"),
			run: func(_ context.Context, p *probe) finding {
				if p.base.late {
					return p.wrong(say("the first push was cut, and a later one answered; users wait for that long", "第一次推送超时断开，之后的推送才有应答，用户要等这么久"))
				}
				return finding{}
			},
		},
		{
			Name: "one-second", Level: Advice, Rule: "R-TIME-BUDGET",
			Title: say("a text is answered within a fifth of the time that WeChat waits (1 s)", "文本消息的应答不超过微信等待时间的五分之一（1 秒）"),
			run: func(_ context.Context, p *probe) finding {
				if p.base.slowest > p.cfg.Timeout/5 {
					return p.wrong(sayf("the first push took %v; with the way over the internet little is left of %v", "第一次推送用了 %v；加上公网的往返，离 %v 的上限已经不远",
						p.base.slowest.Round(p.cfg.Timeout/500), p.cfg.Timeout))
				}
				return finding{}
			},
		},
	}
}

package conformance

import (
	"context"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/echostr/echostr/simulator"
)

// newEchostr is an echostr as WeChat makes them: 19 digits, more than a float64 holds.
func newEchostr() string {
	return strconv.FormatInt(1_000_000_000_000_000_001+2*rand.Int64N(4_000_000_000_000_000_000), 10)
}

// script is an echostr that a browser would run.
const script = "<script>alert(1)</script>"

func addressChecks() []Check {
	// left makes a check that a GET is not answered with its echostr.
	left := func(name string, title Text, change func(p *probe, q url.Values)) Check {
		return Check{Name: name, Level: Fail, Rule: "R-URL-VERIFY", Title: title, run: func(ctx context.Context, p *probe) finding {
			q := p.signedGet(newEchostr())
			change(p, q)
			if push := p.do(ctx, p.get(q)); echoed(push, q.Get("echostr")) {
				return p.wrong(say("the echostr came back, so anybody can make the server send any text", "echostr 被发回来了：任何人都能让服务器返回任意内容"))
			}
			return finding{}
		}}
	}
	return []Check{
		{
			Name: "right", Level: Fail, Rule: "R-VERIFY-ECHO",
			Title: say("a GET with the right signature is answered with its echostr", "签名正确的 GET，应答就是 echostr"),
			run:   nil, // the survey's
		},
		{
			Name: "reordered", Level: Fail, Rule: "R-VERIFY-ECHO",
			Title: say("the order of the parameters does not matter", "参数的顺序无关紧要"),
			run: func(ctx context.Context, p *probe) finding {
				q := p.signedGet(newEchostr())
				r := p.get(q)
				// The signature last, and the others backwards.
				u, err := url.Parse(r.URL)
				if err != nil {
					return finding{}
				}
				parts := strings.Split(u.RawQuery, "&")
				slices.Reverse(parts)
				slices.SortStableFunc(parts, func(a, b string) int {
					return boolInt(strings.HasPrefix(a, "signature=")) - boolInt(strings.HasPrefix(b, "signature="))
				})
				u.RawQuery = strings.Join(parts, "&")
				r.URL = u.String()
				return p.echo(ctx, r, q.Get("echostr"))
			},
		},
		{
			Name: "twice", Level: Advice, Rule: "R-PUSH-SAME",
			Title: say("the same GET is answered twice, as when somebody saves twice", "同一个 GET 来两次也都有应答，例如连按两次提交"),
			run: func(ctx context.Context, p *probe) finding {
				q := p.signedGet(newEchostr())
				p.do(ctx, p.get(q))
				return p.echo(ctx, p.get(q), q.Get("echostr"))
			},
		},
		{
			Name: "extra", Level: Advice, Rule: "R-URL-ECHO",
			Title: say("a parameter that is not known does no harm", "多出一个不认识的参数也不要紧"),
			run: func(ctx context.Context, p *probe) finding {
				q := p.signedGet(newEchostr())
				q.Set("lang", "zh_CN")
				return p.echo(ctx, p.get(q), q.Get("echostr"))
			},
		},
		{
			Name: "exact", Level: Advice, Rule: "R-URL-ECHO",
			Title: say("an echostr is text: leading zeros, letters and +/= come back as they are", "echostr 是文本：前导零、字母和 +/= 都原样返回"),
			run: func(ctx context.Context, p *probe) finding {
				q := p.signedGet("00" + newEchostr() + "aZ+/=")
				return p.echo(ctx, p.get(q), q.Get("echostr"))
			},
		},
		{
			Name: "content-type", Level: Advice, Rule: "R-URL-ECHO",
			Title: say("the echostr comes as text/plain with nosniff, so no browser takes it for a page", "echostr 以 text/plain 和 nosniff 返回，浏览器不会当成网页"),
			Do:    say("set Content-Type: text/plain; charset=utf-8 and X-Content-Type-Options: nosniff", "设置 Content-Type: text/plain; charset=utf-8 和 X-Content-Type-Options: nosniff"),
			run: func(ctx context.Context, p *probe) finding {
				q := p.signedGet(newEchostr())
				push := p.do(ctx, p.get(q))
				if !echoed(push, q.Get("echostr")) {
					return finding{}
				}
				if contentType := push.Header.Get("Content-Type"); !strings.HasPrefix(contentType, "text/plain") {
					return p.wrong(sayf("its Content-Type is %q", "Content-Type 是 %q", contentType))
				}
				if push.Header.Get("X-Content-Type-Options") != "nosniff" {
					return p.wrong(say("there is no X-Content-Type-Options: nosniff", "没有 X-Content-Type-Options: nosniff"))
				}
				return finding{}
			},
		},
		left("wrong-signature", say("a wrong signature gets no echostr", "签名错误的 GET 得不到 echostr"), func(p *probe, q url.Values) {
			q.Set("signature", sign("not "+p.cfg.Account.Token, q.Get("timestamp"), q.Get("nonce")))
		}),
		left("empty-token", say("a signature made with an empty token gets no echostr", "用空令牌算出的签名得不到 echostr"), func(_ *probe, q url.Values) {
			q.Set("signature", sign("", q.Get("timestamp"), q.Get("nonce")))
		}),
		left("no-signature", say("without signature there is no echostr", "没有 signature 得不到 echostr"), func(_ *probe, q url.Values) { q.Del("signature") }),
		left("no-timestamp", say("without timestamp there is no echostr", "没有 timestamp 得不到 echostr"), func(_ *probe, q url.Values) { q.Del("timestamp") }),
		left("no-nonce", say("without nonce there is no echostr", "没有 nonce 得不到 echostr"), func(_ *probe, q url.Values) { q.Del("nonce") }),
		left("echostr-only", say("with echostr alone there is no echostr", "只有 echostr 一个参数时不返回它"), func(_ *probe, q url.Values) {
			for _, name := range []string{"signature", "timestamp", "nonce"} {
				q.Del(name)
			}
		}),
		{
			Name: "script", Level: Fail, Rule: "R-URL-VERIFY",
			Title: say("nothing of a GET with a wrong signature comes back as HTML", "签名错误的 GET，其内容不会作为 HTML 返回"),
			Do:    say("check the signature first, and do not put the request into the answer", "先校验签名，不要把请求的内容写进应答"),
			run: func(ctx context.Context, p *probe) finding {
				q := p.signedGet(script)
				q.Set("signature", sign("not "+p.cfg.Account.Token, q.Get("timestamp"), q.Get("nonce")))
				if runs(p.do(ctx, p.get(q))) {
					return p.wrong(say("a script in the echostr came back as a page; whoever follows a link runs it (XSS)", "echostr 里的脚本作为网页返回了：点开链接的人都会执行它（XSS）"))
				}
				return finding{}
			},
		},
		{
			Name: "script-signed", Level: Advice, Rule: "R-URL-VERIFY",
			Title: say("not even a GET with the right signature, which could have been seen in a log, brings HTML back", "即使签名正确（可能是从日志里看到的），HTML 也不会返回"),
			Do:    say("take an echostr of letters, digits and +/=_- only, and send it as text/plain", "只接受由字母、数字和 +/=_- 组成的 echostr，并以 text/plain 返回"),
			run: func(ctx context.Context, p *probe) finding {
				if runs(p.do(ctx, p.get(p.signedGet(script)))) {
					return p.wrong(say("a script in the echostr came back as a page (XSS)", "echostr 里的脚本作为网页返回了（XSS）"))
				}
				return finding{}
			},
		},
		{
			Name: "bare", Level: Advice, Rule: "R-URL-BARE",
			Title: say("a GET without parameters, as browsers and probes send it, does no harm", "不带参数的 GET（浏览器、健康检查）不会出错"),
			Do:    say("answer it with 400", "以 400 应答"),
			run: func(ctx context.Context, p *probe) finding {
				push := p.do(ctx, p.get(nil))
				if push.Outcome != simulator.Answered {
					return p.wrong(say("it was not answered", "没有应答"))
				}
				if push.Status >= 500 {
					return p.wrong(sayf("it was answered with status %d", "应答的状态码是 %d", push.Status))
				}
				return finding{}
			},
		},
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// echo finds whether a GET is answered with its echostr.
func (p *probe) echo(ctx context.Context, r simulator.Request, echostr string) finding {
	push := p.do(ctx, r)
	switch {
	case push.Outcome != simulator.Answered:
		return p.wrong(sayf("it was not answered (%v)", "没有应答（%v）", push.Outcome))
	case push.Status != 200:
		return p.wrong(sayf("the answer has status %d", "应答的状态码是 %d", push.Status))
	case string(push.Body) != echostr:
		return p.wrong(sayf("the answer is %q and not %q", "应答是 %q，不是 %q", cut(string(push.Body)), echostr))
	}
	return finding{}
}

// echoed reports whether an answer has the echostr in it.
func echoed(push simulator.Push, echostr string) bool {
	return push.Outcome == simulator.Answered && push.Status/100 == 2 && strings.Contains(string(push.Body), echostr)
}

// runs reports whether a browser would run the script in an answer.
func runs(push simulator.Push) bool {
	contentType := push.Header.Get("Content-Type")
	return push.Outcome == simulator.Answered && strings.Contains(string(push.Body), script) &&
		(contentType == "" || strings.Contains(contentType, "html"))
}

package conformance

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/echostr/echostr/simulator"
)

// The two checks that are made first. Without them nothing else means anything.
const (
	checkRight  = "address/right"
	checkAnswer = "mode/answer"
)

func named(id string) *Check {
	for _, c := range checks() {
		if c.ID() == id {
			return &c
		}
	}
	panic("conformance: there is no check " + id)
}

// survey looks at whether the server answers at all, and how. If it does not,
// the run stops with one sentence that names the cause, in place of a hundred
// failures.
func (r *runner) survey(ctx context.Context) map[string]Result {
	right := Result{Check: *named(checkRight), Rule: "R-VERIFY-ECHO"}
	answer := Result{Check: *named(checkAnswer), Rule: named(checkAnswer).Rule}
	check, err := r.wechat.Verify(ctx)
	if err != nil {
		return nil
	}
	right.Took = check.Push.Duration
	if !check.OK() {
		right.Outcome, right.Exchanges = Fail, []Exchange{{Push: check.Push}}
		right.Why = Text{check.Why, getZH(check)}
	}
	if check.Problem == "refused" || check.Problem == "tls" {
		cause, do, _ := strings.Cut(check.Why, "; ")
		r.stop(Text{cause, problemsZH[check.Problem] + "：" + textOf(check.Push.Err)}, Text{do, connectZH[check.Problem]}, &right)
		answer.Outcome, answer.Why = Skipped, say("the server cannot be reached", "连不上服务器")
		return map[string]Result{checkRight: right, checkAnswer: answer}
	}

	p := &probe{runner: r, check: &answer.Check, user: newUser()}
	start := time.Now()
	var verdict simulator.Verdict
	var around [2][2]string // what stands before and behind the text
	found := 0
	for i := range around {
		content := word()
		// One that also opens if only up to 16 bytes of padding are removed, so that
		// mode/padding says what is wrong.
		if r.key != nil && (20+len(document(p.wechat, p.text(content)))+len(r.cfg.Account.AppID))%32 < 16 {
			content += strings.Repeat("x", 16)
		}
		report := p.send(ctx, p.text(content))
		if ctx.Err() != nil {
			return nil
		}
		first := report.Pushes[0]
		r.base.slowest = max(r.base.slowest, first.Duration)
		r.base.late = r.base.late || first.Outcome == simulator.Cut
		if verdict = report.Verdict; !verdict.OK() {
			break
		}
		if verdict.Reply != nil {
			r.base.replies = true
			if before, behind, ok := strings.Cut(verdict.Reply.Content, content); ok {
				around[i] = [2]string{before, behind}
				found++
			}
		}
	}
	answer.Took = time.Since(start)
	if found == 2 && around[0] == around[1] {
		r.base.echoes, r.base.prefix, r.base.suffix = true, around[0][0], around[0][1]
	}
	if !verdict.OK() {
		f := p.judged(verdict)
		r.base.problem = f.problem
		answer.Outcome, answer.Why, answer.Exchanges = Fail, f.why, p.exchanges()
		switch {
		case f.rule != "":
			answer.Rule = f.rule
		case f.problem == "timeout":
			answer.Rule = "R-PUSH-TIMEOUT"
		default:
			answer.Rule = "R-PUSH-FAILURE"
		}
		switch f.problem {
		case "status", "timeout", "refused", "reset", "tls":
			cause, do := whyStopped(check, p.pushes[len(p.pushes)-1], f.why)
			r.stop(cause, do, &right, &answer)
		}
	}
	return map[string]Result{checkRight: right, checkAnswer: answer}
}

// document is a message in clear.
func document(w *simulator.WeChat, m simulator.Message) []byte {
	report, _, err := w.Pack(m)
	if err != nil {
		panic(err) // the message is ours
	}
	return report.Document
}

// whyStopped is the cause when a text got no answer with status 200, and what to do next,
// if that is more than what the checks say themselves.
func whyStopped(get *simulator.URLCheck, push simulator.Push, why Text) (cause, do Text) {
	refused := func(p simulator.Push) bool {
		return p.Outcome == simulator.Answered && (p.Status == http.StatusBadRequest || p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden)
	}
	switch {
	case push.Status == http.StatusNotFound || get.Push.Status == http.StatusNotFound && !get.OK():
		return say("nothing answers at this path (404)", "这个路径上没有服务（404）"),
			say("check the path of the URL, which ends in /wx/{name} if the server is Echostr", "请检查 URL 的路径；如果是 Echostr，路径以 /wx/{账号名} 结尾")
	case get.OK() && refused(push):
		return sayf("the token (令牌) is right, but the push of a text was refused with status %d", "令牌是对的，但文本消息的推送被拒绝，状态码 %d", push.Status),
			say("make --mode (消息加解密方式), --encoding-aes-key, --app-id and --original-id (原始ID) those of the server",
				"请让 --mode（消息加解密方式）、--encoding-aes-key、--app-id、--original-id（原始 ID）与服务器一致")
	case get.OK():
		return Text{"the check of the address is answered, and a text is not: " + why.EN, "接入验证有应答，文本消息却没有：" + why.ZH}, Text{}
	case refused(push) || refused(get.Push):
		return say("neither the check of the address nor a text was accepted; most likely the token (令牌) is not that of the server", "接入验证和文本消息都没有被接受；多半是令牌（Token）与服务器不一致"),
			say("give the token with --token, and look into the log of the server", "请用 --token 给出令牌，并查看服务器的日志")
	}
	return Text{
		"neither the check of the address nor a text was answered: " + get.Why + "; and " + why.EN,
		"接入验证和文本消息都没有得到应答：" + getZH(get) + "；" + why.ZH,
	}, Text{}
}

// stop notes why there is no use in going on. What to do about it takes the place of what the
// checks that failed would say.
func (r *runner) stop(cause, do Text, failed ...*Result) {
	r.base.stopped = cause
	if do.IsZero() {
		return
	}
	r.base.stopped = Text{cause.EN + "; " + do.EN, cause.ZH + "；" + do.ZH}
	for _, result := range failed {
		result.Check.Do = do
	}
}

// getZH says in Chinese what is wrong with the answer to the check of the address.
func getZH(c *simulator.URLCheck) string {
	switch body := string(c.Push.Body); {
	case c.Problem == "status":
		return fmt.Sprintf("状态码是 %d：%s", c.Push.Status, statusZH(c.Push.Status, http.MethodGet, "应为 200"))
	case c.Problem == "timeout":
		return problemsZH[c.Problem] + "；请检查服务器能否访问，并且立刻应答"
	case connectZH[c.Problem] != "":
		return problemsZH[c.Problem] + "：" + textOf(c.Push.Err) + "；" + connectZH[c.Problem]
	case c.Problem != "echostr":
		return problemsZH[c.Problem]
	case body == "":
		return "应答是空的，应该是 echostr"
	case strings.TrimSpace(body) == c.Echostr:
		return "echostr 前后有空白或换行；应答必须正好是 echostr"
	case strings.Trim(body, "\"' \r\n") == c.Echostr:
		return "echostr 带着引号，像 JSON 那样；请用纯文本应答"
	case strings.TrimPrefix(body, "\ufeff") == c.Echostr:
		return "echostr 前面有 BOM，请去掉"
	case strings.Contains(body, c.Echostr):
		return "echostr 前后有别的内容；应答必须正好是 echostr"
	}
	return fmt.Sprintf("应答有 %d 个字节，不是 echostr；应答必须正好是 echostr，也不要当成数字解析", len(c.Push.Body))
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

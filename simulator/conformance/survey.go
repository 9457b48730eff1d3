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
	for _, c := range Checks() {
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
		r.base.stopped = Text{check.Why, getZH(check) + "：" + textOf(check.Push.Err)}
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
			r.base.stopped = whyStopped(check, p.pushes[len(p.pushes)-1], f.why)
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

// whyStopped is the sentence when a text got no answer with status 200.
func whyStopped(get *simulator.URLCheck, push simulator.Push, why Text) Text {
	refused := func(p simulator.Push) bool {
		return p.Outcome == simulator.Answered && (p.Status == http.StatusBadRequest || p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden)
	}
	switch {
	case push.Status == http.StatusNotFound || get.Push.Status == http.StatusNotFound && !get.OK():
		return say("nothing answers at this path (404); check the path of the URL, which with echostr ends in /wx/{name}",
			"这个路径上没有服务（404）；请检查 URL 的路径，用 echostr 时以 /wx/{账号名} 结尾")
	case get.OK() && refused(push):
		return sayf("the token (令牌) is right, but the push of a text was refused with status %d; make --mode (消息加解密方式), --encoding-aes-key, --app-id and --original-id (原始ID) those of the server",
			"令牌是对的，但文本消息的推送被拒绝，状态码 %d；请让 --mode（消息加解密方式）、--encoding-aes-key、--app-id、--original-id（原始 ID）与服务器一致", push.Status)
	case get.OK():
		return Text{"the check of the address is answered, and a text is not: " + why.EN, "接入验证有应答，文本消息却没有：" + why.ZH}
	case refused(push) || refused(get.Push):
		return say("neither the check of the address nor a text was accepted; most likely the token (令牌) is not that of the server: give it with --token, and look into the log of the server",
			"接入验证和文本消息都没有被接受；多半是令牌（Token）与服务器不一致：请用 --token 给出，并查看服务器的日志")
	}
	return Text{
		"neither the check of the address nor a text was answered: " + get.Why + "; and " + why.EN,
		"接入验证和文本消息都没有得到应答：" + getZH(get) + "；" + why.ZH,
	}
}

// getZH says in Chinese what is wrong with the answer to the check of the address.
func getZH(c *simulator.URLCheck) string {
	switch c.Problem {
	case "status":
		return fmt.Sprintf("状态码是 %d，应为 200", c.Push.Status)
	case "echostr":
		return "应答必须正好是 echostr：不加引号、换行、BOM，也不要当成数字解析"
	}
	return problemsZH[c.Problem]
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

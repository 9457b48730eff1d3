package conformance

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/echostr/echostr/internal/tty"
	"github.com/echostr/echostr/simulator"
)

// TextOptions say how a report is written for people.
type TextOptions struct {
	Language Language
	// Color writes the codes of a terminal for colours.
	Color bool
	// Verbose lists the checks that passed or were skipped, too.
	Verbose bool
	// Strict says that advice counts as failure, which the last line tells if there is some.
	Strict bool
}

// modeNames are the modes as WeChat's console calls them.
var modeNames = map[simulator.Mode]string{simulator.Plain: "明文模式", simulator.Compatible: "兼容模式", simulator.Safe: "安全模式"}

// WriteText writes the report for people: a table by group, and what there is to
// say about each failure and each advice, once if several checks advise the same. Bodies are cut at 1 KiB, and what could
// change a terminal is replaced.
func (r *Report) WriteText(w io.Writer, o TextOptions) error {
	t := &textWriter{report: r, o: o}
	t.printf("%s (%s)\n\n", tty.Printable(r.URL), modeNames[r.Mode])
	early := !r.Stopped.IsZero() && len(r.Results)-r.Count(Skipped) <= 2 // only the survey was made
	t.brief = early                                                      // the first line has the cause, and what to do
	if early {
		t.end()
	} else {
		t.table()
	}
	for i := range r.Results {
		if result := &r.Results[i]; result.Outcome == Fail && !(early && unanswered(result)) {
			t.result(result)
		}
	}
	for _, same := range r.advice() {
		t.result(same...)
	}
	if !early {
		t.skipped()
		t.printf("\n")
		t.end()
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// advice are the results that are Advice, those that say the same together.
func (r *Report) advice() [][]*Result {
	var all [][]*Result
	at := map[[2]Text]int{}
	for i := range r.Results {
		result := &r.Results[i]
		if result.Outcome != Advice {
			continue
		}
		says := [2]Text{result.Why, result.Check.Do}
		n, ok := at[says]
		if !ok {
			n, at[says] = len(all), len(all)
			all = append(all, nil)
		}
		all[n] = append(all[n], result)
	}
	return all
}

// unanswered reports whether a result is only that the server could not be reached.
func unanswered(r *Result) bool {
	return !slices.ContainsFunc(r.Exchanges, func(e Exchange) bool { return e.Outcome == simulator.Answered })
}

type textWriter struct {
	report *Report
	o      TextOptions
	brief  bool // failures are shown without why, what to do and rule
	b      strings.Builder
}

func (t *textWriter) in(text Text) string { return text.In(t.o.Language) }

func (t *textWriter) say(en, zh string) string { return Text{en, zh}.In(t.o.Language) }

func (t *textWriter) printf(format string, args ...any) { fmt.Fprintf(&t.b, format, args...) }

func (o Outcome) text() Text {
	return []Text{say("pass", "通过"), say("FAIL", "失败"), say("advice", "建议"), say("skipped", "跳过")}[o]
}

// colored is the outcome in its colour.
func (t *textWriter) colored(o Outcome, s string) string {
	if !t.o.Color {
		return s
	}
	return []string{"\x1b[32m", "\x1b[1;31m", "\x1b[33m", "\x1b[2m"}[o] + s + "\x1b[0m"
}

func (t *textWriter) table() {
	widest := 0
	for _, g := range Groups() {
		widest = max(widest, tty.Width(t.in(g.Title)))
	}
	row := func(title string, count func(Outcome) string) {
		t.printf("%s", pad(title, widest))
		for o := Pass; o <= Skipped; o++ {
			s := count(o)
			t.printf("  %s%s", strings.Repeat(" ", max(0, 7-tty.Width(s))), s)
		}
		t.printf("\n")
	}
	row("", func(o Outcome) string { return t.in(o.text()) })
	number := func(o Outcome, n int) string {
		s := fmt.Sprintf("%7d", n)
		if n == 0 || o == Pass || o == Skipped {
			return s
		}
		return t.colored(o, s)
	}
	for _, g := range Groups() {
		var counts [Skipped + 1]int
		for i := range t.report.Results {
			if r := &t.report.Results[i]; r.Check.Group == g.Name {
				counts[r.Outcome]++
			}
		}
		if counts == [Skipped + 1]int{} {
			continue
		}
		row(t.in(g.Title), func(o Outcome) string { return number(o, counts[o]) })
		if t.o.Verbose {
			for i := range t.report.Results {
				if r := &t.report.Results[i]; r.Check.Group == g.Name {
					t.printf("  %s  %s  %s\n", t.colored(r.Outcome, pad(t.in(r.Outcome.text()), 7)), pad(r.Check.Name, 30), t.in(r.Check.Title))
				}
			}
		}
	}
	row(t.say("all", "合计"), func(o Outcome) string { return number(o, t.report.Count(o)) })
}

// result says what is wrong, with the requests and answers. Of several results that say the
// same it shows those of the first.
func (t *textWriter) result(same ...*Result) {
	r := same[0]
	outcome := t.in(r.Outcome.text())
	t.printf("\n%s  %s  %s\n", t.colored(r.Outcome, outcome), r.Check.ID(), t.in(r.Check.Title))
	rules := []string{r.Rule}
	for _, other := range same[1:] {
		t.printf("%s  %s  %s\n", pad("", tty.Width(outcome)), other.Check.ID(), t.in(other.Check.Title))
		if !slices.Contains(rules, other.Rule) {
			rules = append(rules, other.Rule)
		}
	}
	label := func(en, zh, text string) { t.printf("  %s  %s\n", pad(t.say(en, zh), 4), tty.Printable(text)) }
	if !t.brief {
		label("why", "原因", t.in(r.Why))
		label("do", "做法", t.in(r.Check.Do))
		label("rule", "规则", strings.Join(rules, ", ")+" (docs/protocol.md)")
	}
	var last []byte
	for i, push := range r.Exchanges {
		q := push.Request
		if i > 0 && string(q.Body) == string(last) && q.Method == http.MethodPost {
			t.printf("  → %s\n", t.say("the same again", "再次发送同样的请求"))
		} else {
			t.printf("  → %s %s\n", q.Method, tty.Printable(q.URL))
			t.body(q.Body)
			t.inside(push.Sent)
		}
		last = q.Body
		t.answer(push.Push)
		t.inside(push.Got)
	}
}

func (t *textWriter) answer(push simulator.Push) {
	after := push.Duration.Round(time.Millisecond)
	switch push.Outcome {
	case simulator.Answered:
		t.printf("  ← %d %s (%v)", push.Status, http.StatusText(push.Status), after)
		if contentType := push.Header.Get("Content-Type"); contentType != "" {
			t.printf(", %s", tty.Printable(contentType))
		}
		t.printf("\n")
		t.body(push.Body)
	case simulator.Cut:
		t.printf("  ← %s (%v)\n", t.say("no answer, cut", "没有应答，连接被断开"), after)
	default:
		t.printf("  ← %v: %s\n", push.Outcome, tty.Printable(textOf(push.Err)))
	}
}

// inside shows what was in an envelope.
func (t *textWriter) inside(document []byte) {
	if len(document) > 0 {
		t.printf("    %s\n", t.say("in the envelope:", "解密后："))
		t.body(document)
	}
}

const shownBody = 1 << 10

func (t *textWriter) body(body []byte) {
	if len(body) == 0 {
		return
	}
	text := string(body[:min(len(body), shownBody)])
	for line := range strings.Lines(tty.Printable(text)) {
		t.printf("    %s\n", strings.TrimRight(line, "\n"))
	}
	if len(body) > shownBody {
		t.printf("    … (%d %s)\n", len(body), t.say("bytes in all", "字节"))
	}
}

// skipped lists the reasons, with the checks behind them.
func (t *textWriter) skipped() {
	reasons := map[string][]string{}
	var order []string
	for i := range t.report.Results {
		r := &t.report.Results[i]
		if r.Outcome != Skipped {
			continue
		}
		why := t.in(r.Why)
		if reasons[why] == nil {
			order = append(order, why)
		}
		reasons[why] = append(reasons[why], r.Check.ID())
	}
	if len(order) > 0 {
		t.printf("\n")
	}
	for _, why := range order {
		names := reasons[why]
		list := strings.Join(names, ", ")
		if len(names) > 8 && !t.o.Verbose {
			list = fmt.Sprintf("%s, … (%d)", strings.Join(names[:8], ", "), len(names))
		}
		t.printf("%s  %s\n  %s\n", t.colored(Skipped, t.in(Skipped.text())), tty.Printable(why), list)
	}
}

// end is the last line.
func (t *textWriter) end() {
	switch failed := t.report.Count(Fail); {
	case !t.report.Stopped.IsZero():
		t.printf("%s\n", t.colored(Fail, t.say("stopped: ", "检查中止：")+tty.Printable(t.in(t.report.Stopped))))
	case failed > 0:
		t.printf("%s\n", t.colored(Fail, t.say(plural(failed, "check")+" failed", fmt.Sprintf("%d 项没有通过", failed))))
	case t.o.Strict && t.report.Count(Advice) > 0:
		n := t.report.Count(Advice)
		t.printf("%s\n", t.colored(Advice, t.say("nothing failed, but "+plural(n, "check")+" came to advice, and --strict counts that",
			fmt.Sprintf("没有失败的检查，但有 %d 条建议，--strict 把建议也算作失败", n))))
	case t.report.Undecided() > 0:
		n := t.report.Undecided()
		t.printf("%s\n", t.colored(Advice, t.say("nothing failed, but "+plural(n, "check")+" of forged pushes could not be decided: they were answered as good ones are",
			fmt.Sprintf("没有失败的检查，但有 %d 项伪造的推送无法判断：对它们的应答和对正常推送的一样", n))))
	default:
		t.printf("%s\n", t.colored(Pass, t.say("all is well: nothing failed", "全部通过：没有失败的检查")))
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// pad fills s up with blanks to a number of cells of a terminal.
func pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-tty.Width(s))) }

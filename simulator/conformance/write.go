package conformance

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/echostr/echostr/simulator"
)

// TextOptions say how a report is written for people.
type TextOptions struct {
	Language Language
	// Color writes the codes of a terminal for colours.
	Color bool
	// Verbose lists the checks that passed or were skipped, too.
	Verbose bool
}

// modeNames are the modes as WeChat's console calls them.
var modeNames = map[simulator.Mode]string{simulator.Plain: "明文模式", simulator.Compatible: "兼容模式", simulator.Safe: "安全模式"}

// WriteText writes the report for people: a table by group, and what there is to
// say about each failure and each advice. Bodies are cut at 1 KiB, and what could
// change a terminal is replaced.
func (r *Report) WriteText(w io.Writer, o TextOptions) error {
	t := &textWriter{report: r, o: o}
	t.printf("%s (%s)\n\n", printable(r.URL), modeNames[r.Mode])
	early := !r.Stopped.IsZero() && len(r.Results)-r.Count(Skipped) <= 2 // only the survey was made
	if early {
		t.end()
	} else {
		t.table()
	}
	for _, outcome := range []Outcome{Fail, Advice} {
		for i := range r.Results {
			if result := &r.Results[i]; result.Outcome == outcome && !(early && unanswered(result)) {
				t.result(result)
			}
		}
	}
	if !early {
		t.skipped()
		t.printf("\n")
		t.end()
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// unanswered reports whether a result is only that the server could not be reached.
func unanswered(r *Result) bool {
	return !slices.ContainsFunc(r.Exchanges, func(e Exchange) bool { return e.Outcome == simulator.Answered })
}

type textWriter struct {
	report *Report
	o      TextOptions
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
		widest = max(widest, cells(t.in(g.Title)))
	}
	row := func(title string, count func(Outcome) string) {
		t.printf("%s", pad(title, widest))
		for o := Pass; o <= Skipped; o++ {
			s := count(o)
			t.printf("  %s%s", strings.Repeat(" ", max(0, 7-cells(s))), s)
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

// result says what is wrong, with the requests and answers.
func (t *textWriter) result(r *Result) {
	t.printf("\n%s  %s  %s\n", t.colored(r.Outcome, t.in(r.Outcome.text())), r.Check.ID(), t.in(r.Check.Title))
	label := func(en, zh, text string) { t.printf("  %s  %s\n", pad(t.say(en, zh), 4), printable(text)) }
	label("why", "原因", t.in(r.Why))
	label("do", "做法", t.in(r.Check.Do))
	label("rule", "规则", r.Rule+" (docs/protocol.md)")
	var last []byte
	for i, push := range r.Exchanges {
		q := push.Request
		if i > 0 && string(q.Body) == string(last) && q.Method == http.MethodPost {
			t.printf("  → %s\n", t.say("the same again", "再次发送同样的请求"))
		} else {
			t.printf("  → %s %s\n", q.Method, printable(q.URL))
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
			t.printf(", %s", printable(contentType))
		}
		t.printf("\n")
		t.body(push.Body)
	case simulator.Cut:
		t.printf("  ← %s (%v)\n", t.say("no answer, cut", "没有应答，连接被断开"), after)
	default:
		t.printf("  ← %v: %s\n", push.Outcome, printable(textOf(push.Err)))
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
	for line := range strings.Lines(printable(text)) {
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
		t.printf("%s  %s\n  %s\n", t.colored(Skipped, t.in(Skipped.text())), printable(why), list)
	}
}

// end is the last line.
func (t *textWriter) end() {
	switch failed := t.report.Count(Fail); {
	case !t.report.Stopped.IsZero():
		t.printf("%s\n", t.colored(Fail, t.say("stopped: ", "检查中止：")+printable(t.in(t.report.Stopped))))
	case failed > 0:
		t.printf("%s\n", t.colored(Fail, t.say(plural(failed, "check")+" failed", fmt.Sprintf("%d 项没有通过", failed))))
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

// cells is the number of cells that s takes on a terminal: Chinese characters take two.
func cells(s string) int {
	n := 0
	for _, r := range s {
		if n++; r >= 0x2e80 {
			n++
		}
	}
	return n
}

func pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-cells(s))) }

// printable makes text of a stranger harmless for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.In(r, unicode.Bidi_Control):
			return utf8.RuneError
		}
		return r
	}, s)
}

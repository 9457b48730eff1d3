package conformance_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/conformance"
)

var update = flag.Bool("update", false, "rewrite the golden files and the tables in docs")

// golden holds got against a file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// sample is a report with everything in it.
func sample() *conformance.Report {
	checks := map[string]conformance.Check{}
	for _, c := range conformance.Checks() {
		checks[c.ID()] = c
	}
	result := func(id string, o conformance.Outcome, why conformance.Text, pushes ...simulator.Push) conformance.Result {
		c := checks[id]
		var exchanges []conformance.Exchange
		for _, p := range pushes {
			exchanges = append(exchanges, conformance.Exchange{Push: p})
		}
		return conformance.Result{Check: c, Outcome: o, Rule: c.Rule, Why: why, Exchanges: exchanges, Took: 3 * time.Millisecond}
	}
	request := simulator.Request{
		Method: "POST", URL: "http://127.0.0.1:8080/wx/test?signature=abc&timestamp=1782864000", Header: http.Header{"Content-Type": {"text/xml"}},
		Body: []byte("<xml>\n<Content><![CDATA[你好\x1b[31m]]></Content>\n</xml>"),
	}
	answered := simulator.Push{Request: request, Outcome: simulator.Answered, Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html>\u202e</html>"), Duration: 12 * time.Millisecond}
	long := answered
	long.Body, long.Status = bytes.Repeat([]byte(strings.Repeat("x", 399)+"\n"), 80), 500
	binary := answered
	binary.Request.Body = []byte("\xff\xfe")
	cut := simulator.Push{Request: request, Outcome: simulator.Cut, Duration: 5 * time.Second}
	reset := simulator.Push{Request: simulator.Request{Method: "GET", URL: "http://127.0.0.1:8080/wx/test"}, Outcome: simulator.Reset, Err: errors.New("EOF")}
	sealed := result("mode/padding", conformance.Advice, conformance.Text{EN: "x", ZH: "某"}, answered)
	sealed.Exchanges[0].Sent, sealed.Exchanges[0].Got = []byte("<xml>in</xml>"), []byte("<xml>out</xml>")
	says := func(en, zh string) conformance.Text { return conformance.Text{EN: en, ZH: zh} }
	return &conformance.Report{
		URL: "http://127.0.0.1:8080/wx/test", Mode: simulator.Safe, Started: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), Took: 5 * time.Second, Echoes: true,
		Results: []conformance.Result{
			result("address/right", conformance.Pass, conformance.Text{}),
			result("mode/answer", conformance.Pass, conformance.Text{}),
			result("mode/raw", conformance.Skipped, says("this is for the mode plain (明文模式)", "只适用于明文模式")),
			sealed,
			result("messages/text-long", conformance.Fail, says("the answer is an HTML page", "应答是 HTML 页面"), answered, cut, cut),
			result("xml/bad-utf8", conformance.Advice, says("it was not answered", "没有应答"), binary, reset),
			result("forged/stale", conformance.Fail, says("it was answered with a reply", "回复了它"), long),
		},
	}
}

func TestWriteText(t *testing.T) {
	t.Parallel()
	for _, l := range []conformance.Language{conformance.English, conformance.Chinese} {
		var b bytes.Buffer
		if err := sample().WriteText(&b, conformance.TextOptions{Language: l}); err != nil {
			t.Fatal(err)
		}
		golden(t, "report."+string(l)+".txt", b.Bytes())
		if strings.ContainsAny(b.String(), "\x1b\u202e") {
			t.Error("what could change a terminal is in the report")
		}
	}
	var b bytes.Buffer
	if err := sample().WriteText(&b, conformance.TextOptions{Color: true, Verbose: true}); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.verbose.txt", b.Bytes())

	// A run that ended before it began is one sentence and what was seen.
	stopped := sample()
	stopped.Results, stopped.Stopped = stopped.Results[:1], conformance.Text{EN: "nobody is there", ZH: "没有人"}
	stopped.Results[0].Outcome = conformance.Fail
	b.Reset()
	if err := stopped.WriteText(&b, conformance.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "http://127.0.0.1:8080/wx/test (安全模式)\n\nstopped: nobody is there\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	report := sample()
	if err := report.WriteJSON(&b, conformance.Chinese); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b.Bytes())
	var got struct {
		OK     bool
		Counts map[string]int
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.OK || got.Counts["fail"] != 2 || got.Counts["pass"] != 2 || b.Len() > 100<<10 {
		t.Errorf("%+v, %d bytes", got, b.Len())
	}
}

func TestWriteJUnit(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	report := sample()
	report.Stopped = conformance.Text{EN: "it was stopped", ZH: "停止"}
	if err := report.WriteJUnit(&b, conformance.English); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.xml", b.Bytes())
	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Cases []struct {
				Failure *struct{} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	cases, failures := 0, 0
	for _, s := range got.Suites {
		for _, c := range s.Cases {
			cases++
			if c.Failure != nil {
				failures++
			}
		}
	}
	if cases != 8 || got.Tests != cases || failures != 3 || got.Failures != failures {
		t.Errorf("%d cases, %d failures, and the root says %d and %d", cases, failures, got.Tests, got.Failures)
	}
}

// tables are the checks as the documents show them.
func tables(l conformance.Language) string {
	head := map[conformance.Language]string{
		conformance.English: "| check | level | rule | a good server |\n|---|---|---|---|\n",
		conformance.Chinese: "| 检查 | 级别 | 规则 | 合格的服务器 |\n|---|---|---|---|\n",
	}
	level := map[conformance.Outcome]conformance.Text{conformance.Fail: {EN: "fail", ZH: "失败"}, conformance.Advice: {EN: "advice", ZH: "建议"}}
	var b strings.Builder
	for _, g := range conformance.Groups() {
		fmt.Fprintf(&b, "### %s\n\n%s", g.Title.In(l), head[l])
		for _, c := range conformance.Checks() {
			if c.Group == g.Name {
				title := strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(c.Title.In(l))
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.ID(), level[c.Level].In(l), c.Rule, title)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestDocuments holds the tables in docs/check to the checks.
func TestDocuments(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- checks: written by go test ./simulator/conformance -run TestDocuments -update -->\n\n", "<!-- end of checks -->\n"
	for file, l := range map[string]conformance.Language{"check.md": conformance.English, "check.zh-CN.md": conformance.Chinese} {
		file = filepath.Join("..", "..", "docs", file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, found := strings.Cut(string(text), begin)
		got, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s has no place for the tables", file)
		}
		if *update {
			if err := os.WriteFile(file, []byte(before+begin+tables(l)+end+after), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(tables(l), got); diff != "" {
			t.Errorf("%s (-want +got), rewrite it with -update:\n%s", file, diff)
		}
	}
}

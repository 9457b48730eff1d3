package conformance

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/echostr/echostr/simulator"
)

// The report for machines.
type (
	jsonReport struct {
		URL     string         `json:"url"`
		Mode    simulator.Mode `json:"mode"`
		OK      bool           `json:"ok"`
		Stopped string         `json:"stopped,omitempty"`
		Echoes  bool           `json:"echoes"`
		Started time.Time      `json:"started"`
		Seconds float64        `json:"seconds"`
		Counts  map[string]int `json:"counts"`
		// Undecided are those of the advice that say that nothing could be seen.
		Undecided int          `json:"undecided"`
		Results   []jsonResult `json:"results"`
	}
	jsonResult struct {
		Group     string         `json:"group"`
		Name      string         `json:"name"`
		Title     string         `json:"title"`
		Outcome   Outcome        `json:"outcome"`
		Rule      string         `json:"rule"`
		Why       string         `json:"why,omitempty"`
		Undecided bool           `json:"undecided,omitempty"`
		Do        string         `json:"do,omitempty"`
		Seconds   float64        `json:"seconds"`
		Exchanges []jsonExchange `json:"exchanges,omitempty"`
	}
	jsonExchange struct {
		Request jsonMessage  `json:"request"`
		Outcome string       `json:"outcome"` // answered, cut, refused, reset, tls
		Seconds float64      `json:"seconds"`
		Answer  *jsonMessage `json:"answer,omitempty"`
		Error   string       `json:"error,omitempty"`
	}
	jsonMessage struct {
		Method string      `json:"method,omitempty"`
		URL    string      `json:"url,omitempty"`
		Status int         `json:"status,omitempty"`
		Header http.Header `json:"header,omitempty"`
		Body   string      `json:"body"`
		// Opened is what is in the envelope, if the body is one.
		Opened string `json:"opened,omitempty"`
		// Base64 says that the body is not UTF-8 and stands there in base64.
		Base64 bool `json:"base64,omitempty"`
		Bytes  int  `json:"bytes"` // of the whole body
	}
)

// keptBody is the longest part of a body that is written for machines.
const keptBody = 16 << 10

func newJSONMessage(header http.Header, body, opened []byte) jsonMessage {
	m := jsonMessage{Header: header, Bytes: len(body), Opened: strings.ToValidUTF8(string(opened[:min(len(opened), keptBody)]), "\ufffd")}
	kept := body[:min(len(body), keptBody)]
	if utf8.Valid(kept) {
		m.Body = string(kept)
	} else {
		m.Body, m.Base64 = base64.StdEncoding.EncodeToString(kept), true
	}
	return m
}

// WriteJSON writes the report for machines, in one language. Exchanges are there
// for what did not pass; bodies are cut at 16 KiB.
func (r *Report) WriteJSON(w io.Writer, l Language) error {
	j := jsonReport{
		URL: r.URL, Mode: r.Mode, OK: r.OK(), Stopped: r.Stopped.In(l), Echoes: r.Echoes,
		Started: r.Started, Seconds: r.Took.Seconds(), Counts: map[string]int{}, Undecided: r.Undecided(), Results: []jsonResult{},
	}
	for o := Pass; o <= Skipped; o++ {
		j.Counts[o.String()] = r.Count(o)
	}
	for i := range r.Results {
		result := &r.Results[i]
		out := jsonResult{
			Group: result.Check.Group, Name: result.Check.Name, Title: result.Check.Title.In(l),
			Outcome: result.Outcome, Rule: result.Rule, Why: result.Why.In(l), Undecided: result.Undecided, Seconds: result.Took.Seconds(),
		}
		if result.Outcome == Fail || result.Outcome == Advice {
			out.Do = result.Check.Do.In(l)
		}
		for _, push := range result.Exchanges {
			e := jsonExchange{Request: newJSONMessage(push.Request.Header, push.Request.Body, push.Sent), Outcome: push.Outcome.String(), Seconds: push.Duration.Seconds(), Error: textOf(push.Err)}
			e.Request.Method, e.Request.URL = push.Request.Method, push.Request.URL
			if push.Outcome == simulator.Answered {
				answer := newJSONMessage(push.Header, push.Body, push.Got)
				answer.Status = push.Status
				e.Answer = &answer
			}
			out.Exchanges = append(out.Exchanges, e)
		}
		j.Results = append(j.Results, out)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(j)
}

// The report in the form of JUnit, which CI systems read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report in JUnit's XML, in one language: a suite for each
// group, a case for each check. Advice is a case that passed, with its text as output.
// If the run was stopped, one more case says so and fails.
func (r *Report) WriteJUnit(w io.Writer, l Language) error {
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
	all := junitSuites{Name: "echostr check", Tests: len(r.Results), Failures: r.Count(Fail), Skipped: r.Count(Skipped), Time: seconds(r.Took)}
	suites := map[string]*junitSuite{}
	for i := range r.Results {
		result := &r.Results[i]
		c := junitCase{Class: "echostr.check." + result.Check.Group, Name: result.Check.Name + ": " + result.Check.Title.In(l), Time: seconds(result.Took)}
		suite := suites[result.Check.Group]
		if suite == nil {
			suite = &junitSuite{Name: result.Check.Group}
			suites[result.Check.Group] = suite
		}
		suite.Tests++
		t := &textWriter{report: r, o: TextOptions{Language: l}}
		switch result.Outcome {
		case Fail:
			suite.Failures++
			t.result(result)
			c.Failure = &junitMessage{Message: result.Rule + ": " + result.Why.In(l), Text: t.b.String()}
		case Advice:
			t.result(result)
			c.Out = t.b.String()
		case Skipped:
			suite.Skipped++
			c.Skipped = &junitMessage{Message: result.Why.In(l)}
		}
		suite.Cases = append(suite.Cases, c)
	}
	if !r.Stopped.IsZero() {
		all.Tests++
		all.Failures++
		all.Suites = append(all.Suites, junitSuite{Name: "run", Tests: 1, Failures: 1, Cases: []junitCase{{
			Class: "echostr.check.run", Name: "complete", Time: "0.000", Failure: &junitMessage{Message: r.Stopped.In(l)},
		}}})
	}
	order := groupNames()
	for _, name := range slices.SortedFunc(maps.Keys(suites), func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) }) {
		all.Suites = append(all.Suites, *suites[name])
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

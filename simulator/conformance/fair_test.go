package conformance_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/conformance"
)

// resultOf runs one check in a mode and returns what came of it.
func resultOf(t *testing.T, mode simulator.Mode, id string, change func(*model)) conformance.Result {
	t.Helper()
	var result conformance.Result
	bubble(t, func(t *testing.T) {
		s := newModel(mode)
		change(s)
		config := configIn(mode)
		config.Only = []string{id}
		report := check(t, &http.Server{Handler: s}, config)
		if !report.Stopped.IsZero() {
			t.Fatalf("stopped: %s", report.Stopped.EN)
		}
		result = report.Results[len(report.Results)-1]
	})
	if result.Check.ID() != id {
		t.Fatalf("the last result is that of %s", result.Check.ID())
	}
	return result
}

// TestRateLimited: a server that has replied often enough and answers success
// from then on is alive.
func TestRateLimited(t *testing.T) {
	t.Parallel()
	limited := func(s *model) {
		s.content = func(m message) string {
			if s.next() > 2 { // the two of the survey
				return ""
			}
			return answer(m)
		}
	}
	for _, id := range []string{"hostile/deep", "hostile/slow", "methods/PUT"} {
		got := resultOf(t, simulator.Plain, id, limited)
		if got.Outcome != conformance.Advice || !strings.Contains(got.Why.EN, "without a reply") || got.Why.ZH == "" {
			t.Errorf("%s: %v %+v", id, got.Outcome, got.Why)
		}
	}
}

// TestAnsweredEarly: proxies refuse a body that is too long at once and swallow
// what still comes, so that the client finds the answer.
func TestAnsweredEarly(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]conformance.Outcome{413: conformance.Pass, 400: conformance.Pass, 200: conformance.Advice} {
		got := resultOf(t, simulator.Plain, "hostile/endless", onRequest(func(_ *model, w http.ResponseWriter, r *http.Request) bool {
			if r.ContentLength >= 0 {
				return false
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			go func() {
				defer conn.Close()
				fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, http.StatusText(status))
				io.Copy(io.Discard, conn)
			}()
			return true
		}))
		if got.Outcome != want {
			t.Errorf("%d: %v %+v", status, got.Outcome, got.Why)
		}
	}
}

// TestRequestIDs: pages of errors that have a number of their own are no
// different answers, unless something else is.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		page func(n int64, stage string) (status int, body string)
		want conformance.Outcome
	}{
		"a number of one length":     {func(n int64, _ string) (int, string) { return 403, fmt.Sprintf("<p>refused, request %016d</p>", n) }, conformance.Pass},
		"a number that grows longer": {func(n int64, _ string) (int, string) { return 403, "<p>refused" + strings.Repeat("!", int(n)) }, conformance.Pass},
		"the stage beside a number": {func(n int64, stage string) (int, string) {
			return 403, fmt.Sprintf("<p>%s, request %016d</p>", stage, n)
		}, conformance.Advice},
		"the status of a stage": {func(n int64, stage string) (int, string) {
			return 400 + len(stage), "<p>refused" + strings.Repeat("!", int(n))
		}, conformance.Advice},
	} {
		var n atomic.Int64
		got := resultOf(t, simulator.Safe, "forged/broken-envelope", func(s *model) {
			s.envelope = func(w http.ResponseWriter, stage string) bool {
				status, body := test.page(n.Add(1), stage)
				w.WriteHeader(status)
				io.WriteString(w, body)
				return true
			}
		})
		if got.Outcome != test.want {
			t.Errorf("%s: %v %+v", name, got.Outcome, got.Why)
		}
	}
}

// TestUndecided: a server that looks at no signature of a push and always says
// success cannot be told from one that refuses so, and nobody says that all is well.
func TestUndecided(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		run := func(trusts bool) (*conformance.Report, string) {
			s := newModel(simulator.Plain)
			s.content = func(message) string { return "" }
			if trusts {
				s.request = func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method == "POST" {
						io.WriteString(w, "success")
					}
					return r.Method == "POST"
				}
			}
			config := configIn(simulator.Plain)
			config.Only = []string{"forged"}
			report := check(t, &http.Server{Handler: s}, config)
			var b bytes.Buffer
			if err := report.WriteText(&b, conformance.TextOptions{}); err != nil {
				t.Fatal(err)
			}
			return report, b.String()
		}
		report, text := run(true)
		const want = "nothing failed, but 10 checks of forged pushes could not be decided"
		if n := report.Undecided(); n != 10 || !report.OK() || !strings.Contains(text, want) || strings.Contains(text, "all is well") {
			t.Errorf("%d undecided, OK %v\n%s", n, report.OK(), text)
		}
		// The same advice is written once.
		if n := strings.Count(text, "  why   "); n != 3 || !strings.Contains(text, "forged/no-query") || !strings.Contains(text, "forged/other-nonce") {
			t.Errorf("%d reasons\n%s", n, text)
		}
		if report, text = run(false); report.Undecided() != 0 || !strings.Contains(text, "all is well") {
			t.Errorf("a server that refuses: %d undecided\n%s", report.Undecided(), text)
		}
	})
}

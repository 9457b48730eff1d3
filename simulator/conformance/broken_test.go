package conformance_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/echostr/echostr/simulator/conformance"
)

// crash answers 500 to what matches.
func crash(matches func(document string, m message) bool) func(*model) {
	return func(s *model) {
		s.push = func(w http.ResponseWriter, document string, m message) bool {
			if !matches(document, m) {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
	}
}

// crashOn answers 500 to documents with a part.
func crashOn(part string) func(*model) {
	return crash(func(document string, _ message) bool { return strings.Contains(document, part) })
}

// onRequest looks at requests before anything else.
func onRequest(f func(s *model, w http.ResponseWriter, r *http.Request) bool) func(*model) {
	return func(s *model) {
		s.request = func(w http.ResponseWriter, r *http.Request) bool { return f(s, w, r) }
	}
}

func trusting(f func(q url.Values) bool) func(*model) {
	return func(s *model) { s.trusts, s.anyAge = f, false }
}

func signedWith(token string) func(url.Values) bool {
	return func(q url.Values) bool {
		return q.Get("signature") == signature(token, q.Get("timestamp"), q.Get("nonce"))
	}
}

func anything(url.Values) bool { return true }

// broken has a server for every check that fails it. Others may fail it, too.
var broken = func() map[string]func(*model) {
	all := maps.Clone(brokenProtocol)
	maps.Copy(all, brokenDefence)
	return all
}()

// brokenFor returns the server for a check. Those for kinds that the table does
// not have crash on the kind.
func brokenFor(c conformance.Check) func(*model) {
	if f := broken[c.ID()]; f != nil {
		return f
	}
	switch c.Group {
	case "messages":
		return crash(func(_ string, m message) bool { return m["MsgType"] == c.Name })
	case "events":
		return crash(func(_ string, m message) bool { return m["Event"] == strings.ToLower(c.Name) })
	}
	return nil
}

// onlyAdvice are the checks of level Fail whose server is advised: nobody can
// see more from outside.
var onlyAdvice = map[string]bool{"retries/same-second": true}

// TestBroken: every check finds the server that is broken for it.
func TestBroken(t *testing.T) {
	t.Parallel()
	for _, c := range conformance.Checks() {
		t.Run(c.ID(), func(t *testing.T) {
			t.Parallel()
			breaks := brokenFor(c)
			if breaks == nil {
				t.Fatal("there is no server that is broken for it")
			}
			bubble(t, func(t *testing.T) {
				// In the first mode that the check is for; that the good server passes
				// there is TestModel.
				for _, mode := range modes {
					s := newModel(mode)
					breaks(s)
					config := configIn(mode)
					config.Only = []string{c.ID()}
					report := check(t, &http.Server{Handler: s}, config)
					at := slices.IndexFunc(report.Results, func(r conformance.Result) bool { return r.Check.ID() == c.ID() })
					got := report.Results[at]
					if got.Outcome == conformance.Skipped {
						continue
					}
					want := c.Level
					if onlyAdvice[c.ID()] {
						want = conformance.Advice
					}
					if got.Outcome != want || got.Rule == "" || got.Why.EN == "" || got.Why.ZH == "" {
						t.Errorf("the broken server: %v (%s) %+v; want %v", got.Outcome, got.Rule, got.Why, want)
					}
					if len(got.Exchanges) == 0 && c.Group != "time" && c.ID() != "hostile/slow-end" {
						t.Error("no exchange is shown")
					}
					return
				}
				t.Error("the check was skipped in all modes")
			})
		})
	}
	for id := range broken {
		found := false
		for _, c := range conformance.Checks() {
			found = found || c.ID() == id
		}
		if !found {
			t.Errorf("there is no check %s", id)
		}
	}
}

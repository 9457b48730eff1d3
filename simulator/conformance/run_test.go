package conformance_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/conformance"
)

// TestStopped: when nothing works, one sentence names the cause.
func TestStopped(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	onlyGet := func(otherwise http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				newModel(simulator.Plain).ServeHTTP(w, r)
				return
			}
			otherwise.ServeHTTP(w, r)
		}
	}
	for _, test := range []struct {
		name    string
		handler http.Handler
		en, zh  string
	}{
		{"wrong path", status(404), "check the path", "路径"},
		{"wrong token", status(403), "token (令牌) is not that of the server", "令牌"},
		{"wrong token, and the words of an error", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				w.WriteHeader(http.StatusUnauthorized)
			}
			io.WriteString(w, "error")
		}), "token (令牌) is not", "令牌"},
		{"wrong key", onlyGet(status(403)), "the token (令牌) is right, but", "令牌是对的"},
		{"no push", onlyGet(status(405)), "the check of the address is answered, and a text is not", "文本消息却没有"},
		{"broken", status(500), "neither the check of the address nor a text was answered", "都没有得到应答"},
		{"hangs", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }), "no answer in 5s", "都没有得到应答"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				report := check(t, &http.Server{Handler: test.handler}, configIn(simulator.Plain))
				if !strings.Contains(report.Stopped.EN, test.en) || !strings.Contains(report.Stopped.ZH, test.zh) || report.OK() {
					t.Errorf("got %+v", report.Stopped)
				}
				if n := len(conformance.Checks()); len(report.Results) != n || report.Count(conformance.Skipped) < n-2 || report.Count(conformance.Fail) == 0 {
					t.Errorf("%d results, %d skipped, %d failed", len(report.Results), report.Count(conformance.Skipped), report.Count(conformance.Fail))
				}
			})
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		config := configIn(simulator.Plain)
		config.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
		report, err := conformance.Run(t.Context(), config)
		if err != nil || !strings.Contains(report.Stopped.EN, "start the server") || !strings.Contains(report.Stopped.ZH, "连接不上") {
			t.Errorf("%v, %+v", err, report.Stopped)
		}
	})
}

// TestSameCause: what is wrong with every answer is said once.
func TestSameCause(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		s := newModel(simulator.Plain)
		broken["mode/answer"](s)
		config := configIn(simulator.Plain)
		config.Skip = []string{"hostile"}
		report := check(t, &http.Server{Handler: s}, config)
		var failed []string
		for _, r := range report.Results {
			if r.Outcome == conformance.Fail {
				failed = append(failed, r.Check.ID()+" "+r.Rule)
			}
		}
		if diff := cmp.Diff([]string{"mode/answer R-REPLY-ENVELOPE"}, failed); diff != "" {
			t.Errorf("failed (-want +got):\n%s", diff)
		}
	})
}

// TestSilent: a server that answers success to everything it takes fails
// nothing, and what cannot be seen of it is skipped.
func TestSilent(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		s := newModel(simulator.Safe)
		s.content = func(message) string { return "" }
		config := configIn(simulator.Safe)
		config.Skip = []string{"hostile/large*", "hostile/gzip", "hostile/endless"}
		report := check(t, &http.Server{Handler: s}, config)
		wantNothingWrong(t, report, true)
		for _, r := range report.Results {
			if id := r.Check.ID(); (id == "retries/long-ids" || id == "mode/fresh" || id == "hostile/inner-entity") && r.Outcome != conformance.Skipped {
				t.Errorf("%s: %v", id, r.Outcome)
			}
		}
		if report.Echoes {
			t.Error("it does not echo")
		}
		// If it answers so without a look at the signature, that cannot be told
		// from refusing, and is advice.
		s = newModel(simulator.Plain)
		s.content = func(message) string { return "" }
		s.trusts = anything
		config = configIn(simulator.Plain)
		config.Only = []string{"forged/wrong-signature"}
		report = check(t, &http.Server{Handler: s}, config)
		if got := report.Results[len(report.Results)-1]; got.Outcome != conformance.Advice {
			t.Errorf("%v %+v", got.Outcome, got.Why)
		}
	})
}

func TestSelection(t *testing.T) {
	t.Parallel()
	config := configIn(simulator.Plain)
	config.Timeout = time.Minute // of real time
	config.Transport = simulator.Direct(newModel(simulator.Plain))
	run := func(only, skip []string) (ids []string, err error) {
		config.Only, config.Skip = only, skip
		var observed []string
		config.Observed = func(r conformance.Result) { observed = append(observed, r.Check.ID()) }
		report, err := conformance.Run(t.Context(), config)
		if err != nil {
			return nil, err
		}
		for _, r := range report.Results {
			ids = append(ids, r.Check.ID())
		}
		if diff := cmp.Diff(ids, observed); diff != "" {
			t.Errorf("results and what was observed:\n%s", diff)
		}
		return ids, nil
	}
	got, err := run([]string{"methods", "events/kf_*"}, []string{"methods/P*"})
	want := []string{"address/right", "mode/answer", "events/kf_create_session", "events/kf_close_session", "events/kf_switch_session", "methods/DELETE", "methods/HEAD"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := run([]string{"methods/P*"}, []string{"methods"}); err == nil || !strings.Contains(err.Error(), "no check is left") {
		t.Errorf("all that is wanted is skipped: %v", err)
	}
	if got, err := run([]string{"address/right"}, nil); err != nil || len(got) != 2 {
		t.Errorf("%v %v", got, err)
	}
	for _, wrong := range []string{"nothing", "forged/nothing", "[", "events/zz*"} {
		if _, err := run([]string{wrong}, nil); err == nil || !strings.Contains(err.Error(), "the groups are address") {
			t.Errorf("%s: %v", wrong, err)
		}
		if _, err := run(nil, []string{wrong}); err == nil {
			t.Errorf("skip %s: no error", wrong)
		}
	}
}

// TestTransport: without connections the checks that need them are skipped.
func TestTransport(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		config := configIn(simulator.Compatible)
		config.Skip = []string{"hostile/large*", "hostile/gzip"}
		config.SlowText, config.Transport = "", simulator.Direct(newModel(simulator.Compatible))
		report, err := conformance.Run(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		wantNothingWrong(t, report, true)
		skipped := map[string]bool{}
		for _, r := range report.Results {
			skipped[r.Check.ID()] = r.Outcome == conformance.Skipped
		}
		for _, id := range []string{"hostile/slow", "hostile/endless", "retries/slow"} {
			if !skipped[id] {
				t.Errorf("%s was not skipped", id)
			}
		}
		if skipped["hostile/deep"] {
			t.Error("hostile/deep was skipped")
		}
		time.Sleep(time.Minute)
	})
}

// TestCanceled: the report so far is there, and the rest is skipped.
func TestCanceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config := configIn(simulator.Plain)
	config.Timeout = time.Minute // of real time
	config.Transport = simulator.Direct(newModel(simulator.Plain))
	config.Observed = func(r conformance.Result) {
		if r.Check.ID() == "messages/text" {
			cancel()
		}
	}
	report, err := conformance.Run(ctx, config)
	if !errors.Is(err, context.Canceled) || report == nil || report.OK() || !strings.Contains(report.Stopped.EN, "stopped") {
		t.Fatalf("%v %+v", err, report)
	}
	if n := report.Count(conformance.Pass); n < 15 || len(report.Results) != len(conformance.Checks()) {
		t.Errorf("%d passed of %d", n, len(report.Results))
	}
	// Before anything.
	if report, err = conformance.Run(ctx, config); err == nil || report == nil || report.Count(conformance.Skipped) != len(conformance.Checks()) {
		t.Errorf("%v %+v", err, report)
	}
}

// TestConfig: mistakes are errors, without secrets.
func TestConfig(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*simulator.Account){
		func(a *simulator.Account) { a.URL = "ftp://x" },
		func(a *simulator.Account) { a.Token = "" },
		func(a *simulator.Account) { a.Mode = "secret" },
		func(a *simulator.Account) { a.Mode, a.EncodingAESKey = simulator.Safe, aesKey[1:] },
	} {
		account := accountIn(simulator.Plain)
		change(&account)
		report, err := conformance.Run(t.Context(), conformance.Config{Account: account})
		if err == nil || report != nil || strings.Contains(err.Error(), aesKey[1:]) || strings.Contains(err.Error(), token) {
			t.Errorf("%+v: %v", account, err)
		}
	}
}

// TestChecks: each check says what it is about, in both languages.
func TestChecks(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range conformance.Rules() {
		if !strings.Contains(string(rules), "\n| "+rule+" | ") {
			t.Errorf("%s is not defined in docs/protocol.md", rule)
		}
	}
	groups := map[string]bool{}
	for _, g := range conformance.Groups() {
		groups[g.Name] = true
		if g.Title.EN == "" || g.Title.ZH == "" {
			t.Errorf("the group %s has no title", g.Name)
		}
	}
	han, seen := regexp.MustCompile(`\p{Han}`), map[string]bool{}
	for _, c := range conformance.Checks() {
		id := c.ID()
		if seen[id] || !groups[c.Group] || !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(c.Name) {
			t.Errorf("the name %s is there twice, has no group, or cannot stand on a command line", id)
		}
		seen[id] = true
		if c.Level != conformance.Fail && c.Level != conformance.Advice || c.Rule == "" {
			t.Errorf("%s: level %v, rule %q", id, c.Level, c.Rule)
		}
		for _, text := range []conformance.Text{c.Title, c.Do} {
			if text.EN == "" || !han.MatchString(text.ZH) || strings.Contains(text.EN+text.ZH, "%!") {
				t.Errorf("%s: %+v", id, text)
			}
		}
	}
}

// TestProblems: each problem of a verdict has its Chinese sentence.
func TestProblems(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	language, err := os.ReadFile("language.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range regexp.MustCompile(`(?m)^//\t([a-z]+(?:-[a-z]+)*(?:, [a-z]+)*)  +\S`).FindAllStringSubmatch(string(doc), -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			found++
			if !strings.Contains(string(language), "\t\""+name+"\": ") {
				t.Errorf("the problem %s of a verdict has no Chinese sentence in language.go", name)
			}
		}
	}
	if found < 25 {
		t.Errorf("found %d problems only in the package comment of the simulator", found)
	}
}

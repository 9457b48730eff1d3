package server

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/simulator"
)

// exposed is what /metrics says: the labels of every metric by its name.
type exposed map[string]map[string]bool

var (
	typeLine = regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)$`)
	sample   = regexp.MustCompile(`(?m)^(\w+)(?:\{(.*)\})? \S+$`)
	label    = regexp.MustCompile(`(\w+)="`)
	suffix   = regexp.MustCompile(`_(bucket|sum|count)$`)
)

func expose(text string) exposed {
	e := make(exposed)
	for _, m := range typeLine.FindAllStringSubmatch(text, -1) {
		e[m[1]] = make(map[string]bool)
	}
	for _, m := range sample.FindAllStringSubmatch(text, -1) {
		name := e.base(m[1])
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			e[name][l[1]] = true
		}
	}
	return e
}

// base is the name of the metric to which a series belongs: that of a histogram is
// three series. It is empty if there is no such metric.
func (e exposed) base(series string) string {
	for _, name := range []string{series, suffix.ReplaceAllString(series, "")} {
		if e[name] != nil {
			return name
		}
	}
	return ""
}

// ours are the names of our own metrics.
func (e exposed) ours() (names []string) {
	for name := range e {
		if strings.HasPrefix(name, namespace) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// scrape runs a server with a database, sends it a message and a forgery, and returns
// what /metrics and /api/v1/stats say then.
func scrape(t *testing.T) (text string, numbers map[string]any) {
	t.Helper()
	cfg := load(t, strings.Replace(apiYAML, "memory:", "sqlite:"+filepath.Join(t.TempDir(), "echostr.db"), 1))
	bubble(t, func(t *testing.T) {
		r := newWorld(t, cfg, Options{Version: "v1"})
		defer r.end(t)
		for range 2 {
			r.clients["demo"].Send(t.Context(), "oNobody", echostr.Text("x"), nil)
		}
		forger, err := simulator.New(simulator.Config{
			Account:     simulator.Account{URL: "http://pipe/wx/demo", Token: "z" + testToken[1:31], Mode: simulator.Plain},
			Rules:       simulator.Rules{Pushes: 1},
			DialContext: r.pushes.DialContext,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := forger.Send(t.Context(), simulator.Text("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.wechat(t).Send(t.Context(), simulator.Text("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // an answer is counted when it has been written
		_, text = r.get(t, "/metrics", nil)
		_, stats := r.get(t, "/api/v1/stats", http.Header{"Authorization": {"Bearer " + r.token}})
		if err := json.Unmarshal([]byte(stats), &numbers); err != nil {
			t.Fatalf("%v in %s", err, stats)
		}
	})
	return text, numbers
}

// TestMetrics compares what is served with the package comment, the dashboard, the
// alerts and the API.
func TestMetrics(t *testing.T) {
	t.Parallel()
	text, numbers := scrape(t)
	all := expose(text)
	t.Run("values", func(t *testing.T) {
		for _, want := range []string{
			`echostr_pushes_refused_total{account="demo",reason="signature"} 1`, `echostr_pushes_total 1`,
			`echostr_answers_total{answer="reply",way="push"} 1`, `echostr_answers_total{answer="reply",way="retry"} 0`,
			`echostr_answers_total{answer="reply",way="late"} 0`, `echostr_build_info{version="v1"} 1`, `echostr_ready 1`, "go_goroutines",
			`echostr_answer_age_seconds_count 1`, `echostr_answer_age_seconds_bucket{le="+Inf"} 1`, `echostr_handler_seconds_bucket{le="600"} 1`,
			`echostr_store_save_seconds_count 2`, `echostr_store_group_size_bucket{le="1"} `, `echostr_store_full 0`,
			`echostr_api_calls_total{account="demo"} 2`, `echostr_api_refusals_total{account="demo",code="40003"} 2`, `echostr_api_paused{account="demo"} 0`,
			`echostr_api_calls_failed_total{account="demo",outcome="refused"} 2`, `echostr_api_calls_failed_total{account="demo",outcome="not_sent"} 0`,
			`echostr_api_calls_failed_total{account="demo",outcome="unknown"} 0`, `echostr_token_fetches_total{account="demo"} 1`,
			`echostr_token_fetch_errors_total{account="demo"} 0`, `echostr_token_conflicts_total{account="demo"} 0`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s is missing in\n%s", want, text)
			}
		}
	})
	t.Run("package comment", func(t *testing.T) {
		source, err := os.ReadFile("server.go")
		if err != nil {
			t.Fatal(err)
		}
		documented := make(map[string]string)
		for _, m := range regexp.MustCompile(`(?m)^//\t(echostr_\w+)(?:\{([\w,]+)\})?(.*)$`).FindAllStringSubmatch(string(source), -1) {
			kind := "counter"
			for _, k := range []string{"gauge", "histogram"} {
				if strings.HasPrefix(strings.TrimSpace(m[3]), k+":") {
					kind = k
				}
			}
			documented[m[1]] = kind + "(" + m[2] + ")"
		}
		served := make(map[string]string)
		for _, m := range typeLine.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(m[1], namespace) {
				var labels []string
				for l := range all[m[1]] {
					if l != "le" {
						labels = append(labels, l)
					}
				}
				slices.Sort(labels)
				served[m[1]] = m[2] + "(" + strings.Join(labels, ",") + ")"
			}
		}
		if diff := cmp.Diff(documented, served); diff != "" {
			t.Errorf("(-documented +served)\n%s", diff)
		}
	})
	t.Run("api", func(t *testing.T) {
		for _, name := range all.ours() {
			if name = strings.TrimPrefix(name, namespace); numbers[name] == nil && name != "ready" && name != "build_info" {
				t.Errorf("%s is missing in /api/v1/stats: %v", name, numbers)
			}
		}
		if age, ok := numbers["answer_age_seconds"].(map[string]any); !ok || age["count"] != 1.0 || age["p99"] == nil {
			t.Errorf("answer_age_seconds: %v", numbers["answer_age_seconds"])
		}
		for name, want := range map[string]any{
			"api_calls_total":        map[string]any{"demo": 2.0},
			"api_calls_failed_total": map[string]any{"demo": map[string]any{"refused": 2.0, "not_sent": 0.0, "unknown": 0.0}},
			"api_refusals_total":     map[string]any{"demo": map[string]any{"40003": 2.0}},
		} {
			if diff := cmp.Diff(want, numbers[name]); diff != "" {
				t.Errorf("%s (-want +got)\n%s", name, diff)
			}
		}
	})
	t.Run("dashboard", func(t *testing.T) {
		used := make(map[string]bool)
		for title, exprs := range dashboard(t) {
			for _, expr := range exprs {
				for _, name := range all.check(t, title, expr) {
					used[name] = true
				}
			}
		}
		for _, name := range all.ours() {
			if !used[name] {
				t.Errorf("%s is in no panel", name)
			}
		}
	})
	t.Run("alerts", func(t *testing.T) {
		rules := alerts(t)
		if len(rules) < 6 {
			t.Fatalf("only %d alerts", len(rules))
		}
		for _, r := range rules {
			all.check(t, r.Alert, r.Expr)
			if r.Alert == "" || r.Annotations.Summary == "" || !strings.HasSuffix(r.Annotations.Description, ".") || !slices.Contains([]string{"critical", "warning"}, r.Labels.Severity) {
				t.Errorf("%+v: an alert has a name, a severity, a summary, and a sentence that says what to do", r)
			}
		}
	})
}

var (
	series   = regexp.MustCompile(`\b((?:echostr|go|process)_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|on)\s*\(([\w, ]*)\)`)
)

// check looks at an expression of PromQL as far as one can without its parser: series,
// labels and the values of reasons have to exist, and brackets to match. It returns the
// metrics that are used.
func (e exposed) check(t *testing.T, where, expr string) (used []string) {
	t.Helper()
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(expr, pair[:1]) != strings.Count(expr, pair[1:]) {
			t.Errorf("%s: brackets do not match in %s", where, expr)
		}
	}
	labels := map[string]bool{"instance": true}
	for _, m := range series.FindAllStringSubmatch(expr, -1) {
		name := e.base(m[1])
		if name == "" {
			t.Errorf("%s: no metric is called %s", where, m[1])
			continue
		}
		used = append(used, name)
		for _, m := range matcher.FindAllStringSubmatch(m[2], -1) {
			if m[1] != "instance" && !e[name][m[1]] {
				t.Errorf("%s: %s has no label %s", where, name, m[1])
			}
			for value := range strings.SplitSeq(m[2], "|") {
				if m[1] == "reason" && !slices.Contains(reasonNames(), value) {
					t.Errorf("%s: there is no reason %s", where, value)
				}
			}
		}
		for l := range e[name] {
			labels[l] = true
		}
	}
	if len(used) == 0 {
		t.Errorf("%s: no metric in %q", where, expr)
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(m[1], ",") {
			if l = strings.TrimSpace(l); !labels[l] {
				t.Errorf("%s: nothing in %s has a label %s", where, expr, l)
			}
		}
	}
	return used
}

func reasonNames() (names []string) {
	for r := callback.Reason(0); !strings.HasPrefix(r.String(), "reason("); r++ {
		names = append(names, r.String())
	}
	return names
}

// dashboard returns the expressions of every panel by its title, and checks what Grafana
// would not: places and ids.
func dashboard(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../deploy/grafana/echostr.json")
	if err != nil {
		t.Fatal(err)
	}
	type source struct{ Type, UID string }
	var board struct {
		UID, Title string
		Templating struct {
			List []struct{ Name, Type string }
		}
		Panels []struct {
			ID          int
			Type, Title string
			Datasource  source
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct {
				Expr       string
				Datasource source
			}
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	if board.UID != "echostr" || len(board.Templating.List) == 0 || board.Templating.List[0].Name != "datasource" {
		t.Errorf("the dashboard lets nobody choose the datasource: %+v", board.Templating)
	}
	exprs := make(map[string][]string)
	ids, cells := make(map[int]bool), make(map[[2]int]string)
	want := source{"prometheus", "${datasource}"}
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is used twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := cells[[2]int{x, y}]; taken || x >= 24 {
					t.Fatalf("%s lies over %q, or beyond the edge", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource != want || len(p.Targets) == 0 {
			t.Errorf("%s: %d targets from %v", p.Title, len(p.Targets), p.Datasource)
		}
		for _, target := range p.Targets {
			if target.Datasource != want {
				t.Errorf("%s: a target from %v", p.Title, target.Datasource)
			}
			exprs[p.Title] = append(exprs[p.Title], target.Expr)
		}
	}
	return exprs
}

// alert is one rule of the file for Prometheus.
type alert struct {
	Alert, Expr, For string
	Labels           struct{ Severity string }
	Annotations      struct{ Summary, Description string }
}

func alerts(t *testing.T) (rules []alert) {
	t.Helper()
	text, err := os.ReadFile("../deploy/prometheus/echostr.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

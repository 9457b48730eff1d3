package page_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/page"
)

// Threat S16: no page of another site sends messages in a user's name. The routes are read from the source, so that
// none is forgotten.
func TestS16EveryRoute(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("page.go")
	if err != nil {
		t.Fatal(err)
	}
	routes := regexp.MustCompile(`"(POST|PUT|PATCH|DELETE) (/[^"]*)"`).FindAllStringSubmatch(string(source), -1)
	if len(routes) < 7 {
		t.Fatalf("only %d routes that change something were found", len(routes))
	}
	h := page.Handler(simulator.NewPlatform(simulator.PlatformConfig{}), page.Options{Context: t.Context()})
	cases := map[string]func(*http.Request){
		"another site":               header("Sec-Fetch-Site", "cross-site"),
		"another port":               header("Sec-Fetch-Site", "same-site"),
		"an old browser":             header("Origin", "https://evil.example"),
		"an old browser, a file":     header("Origin", "null"),
		"a rebound name":             host("evil.example"),
		"a rebound name of the site": func(r *http.Request) { r.Host = "evil.example"; r.Header.Set("Origin", "http://evil.example") },
	}
	t.Logf("hostile inputs: %d", len(routes)*len(cases))
	for _, route := range routes {
		ask := func(modify func(*http.Request)) int {
			r := httptest.NewRequest(route[1], "http://127.0.0.1:8090"+route[2], strings.NewReader("{}"))
			modify(r)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		for name, modify := range cases {
			if status := ask(modify); status != http.StatusForbidden {
				t.Errorf("%s %s from %s: %d, want 403", route[1], route[2], name, status)
			}
		}
		if status := ask(header("Sec-Fetch-Site", "same-origin")); status == http.StatusForbidden || status == http.StatusMethodNotAllowed {
			t.Errorf("%s %s from the page itself: %d", route[1], route[2], status)
		}
	}
}

package server

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Threat S16: no page of another site changes anything, even if it had the token. The routes are read from the source,
// so that none is forgotten.
func TestS16EveryRoute(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("admin.go")
	if err != nil {
		t.Fatal(err)
	}
	routes := regexp.MustCompile(`"(POST|PUT|PATCH|DELETE) (/[^"]*)"`).FindAllStringSubmatch(string(source), -1)
	if len(routes) < 3 {
		t.Fatalf("only %d routes that change something were found", len(routes))
	}
	cfg := load(t, testYAML)
	bubble(t, func(t *testing.T) {
		r := start(t, cfg, Options{})
		defer r.end(t)
		cases := map[string]http.Header{
			"another site":                  {"Sec-Fetch-Site": {"cross-site"}},
			"another port":                  {"Sec-Fetch-Site": {"same-site"}},
			"an old browser":                {"Origin": {"https://evil.example"}},
			"an old browser, a file":        {"Origin": {"null"}},
			"a rebound name":                {"Host": {"evil.example"}},
			"a rebound name of the site":    {"Host": {"evil.example"}, "Origin": {"http://evil.example"}, "Sec-Fetch-Site": {"same-origin"}},
			"another site, without a token": {"Sec-Fetch-Site": {"cross-site"}, "Authorization": nil},
		}
		t.Logf("hostile inputs: %d", len(routes)*len(cases))
		for _, route := range routes {
			path := strings.NewReplacer("{key}", strings.Repeat("0", 40), "{account}", "demo").Replace(route[2])
			ask := func(header http.Header) int {
				h := header.Clone()
				h["Method"] = []string{route[1]}
				if _, without := h["Authorization"]; !without {
					h.Set("Authorization", "Bearer "+r.token)
				}
				status, _ := r.get(t, path, h)
				return status
			}
			for name, header := range cases {
				if status := ask(header); status != http.StatusForbidden {
					t.Errorf("%s %s from %s: %d, want 403", route[1], path, name, status)
				}
			}
			if status := ask(http.Header{"Authorization": nil}); status != http.StatusUnauthorized {
				t.Errorf("%s %s without a token: %d, want 401", route[1], path, status)
			}
			if status := ask(http.Header{}); status == http.StatusForbidden || status == http.StatusUnauthorized || status == http.StatusMethodNotAllowed {
				t.Errorf("%s %s as the commands ask: %d", route[1], path, status)
			}
		}
	})
}

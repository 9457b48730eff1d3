package fakeai_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/echostr/echostr/internal/fakeai"
)

// TestRefusals: a client that asks wrongly is told so, and takes no answer from those who ask well.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const good = `{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}]}`
	tests := []struct{ name, method, path, kind, body string }{
		{"method", "GET", "/v1/chat/completions", "application/json", good},
		{"path", "POST", "/v1/completions", "application/json", good},
		{"kind", "POST", "/v1/chat/completions", "text/plain", good},
		{"no JSON", "POST", "/v1/chat/completions", "application/json", "{"},
		{"no model", "POST", "/v1/chat/completions", "application/json", `{"messages":[{"role":"user","content":"q"}]}`},
		{"no messages", "POST", "/v1/chat/completions", "application/json", `{"model":"m"}`},
		{"an unknown role", "POST", "/v1/chat/completions", "application/json", `{"model":"m","messages":[{"role":"bot","content":"q"}]}`},
		{"no content", "POST", "/v1/chat/completions", "application/json", `{"model":"m","messages":[{"role":"user"}]}`},
		{"a late system prompt", "POST", "/v1/chat/completions", "application/json", `{"model":"m","messages":[{"role":"user","content":"q"},{"role":"system","content":"s"}]}`},
		{"nothing asked", "POST", "/v1/chat/completions", "application/json", `{"model":"m","messages":[{"role":"assistant","content":"a"}]}`},
	}
	endpoint := fakeai.New(fakeai.JSON("a", "stop"))
	ask := func(method, path, kind, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		endpoint.ServeHTTP(w, r)
		return w
	}
	for _, tt := range tests {
		if w := ask(tt.method, tt.path, tt.kind, tt.body); w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d", tt.name, w.Code)
		}
	}
	if w := ask("POST", "/v1/chat/completions", "application/json", good); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"content":"a"`) {
		t.Errorf("a good request gets %d %s", w.Code, w.Body)
	}
	if w := ask("POST", "/v1/chat/completions", "application/json", good); w.Code != http.StatusTeapot {
		t.Errorf("a request beyond the answers gets %d", w.Code)
	}
	if got := endpoint.Requests(); len(got) != 2 || got[0].Messages[1].Content != "q" {
		t.Errorf("it recorded %+v", got)
	}
}

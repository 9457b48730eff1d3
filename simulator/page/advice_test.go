package page_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/echostr/echostr/simulator"
)

// obedient answers a push with the status that is said, and the check of the address in the way
// that the path names.
func obedient(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		var m testPush
		status := http.StatusOK
		if xml.NewDecoder(r.Body).Decode(&m) == nil {
			if n, err := strconv.Atoi(m.Content); err == nil {
				status = n
			}
		}
		w.WriteHeader(status)
		return
	}
	echostr := r.URL.Query().Get("echostr")
	switch way := strings.TrimPrefix(r.URL.Path, "/"); way {
	case "hang":
		<-r.Context().Done()
	case "break":
		panic(http.ErrAbortHandler)
	case "json":
		fmt.Fprintf(w, "%q", echostr)
	default:
		if status, err := strconv.Atoi(way); err == nil {
			w.WriteHeader(status)
			return
		}
		fmt.Fprint(w, echostr)
	}
}

// TestStatusAdvice is about statuses other than 200: only to a server that took the push is it
// said that it should answer 200.
func TestStatusAdvice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, http.HandlerFunc(obedient))
	const always = "Answer 200 with success"
	tests := []struct {
		status                  int
		what, whatEnglish, todo string
		answer200               bool
	}{
		{401, "服务器拒绝了推送（状态码 401）：Token、加解密方式或密钥不一致", "The server refused the push (status 401): token, mode or key differ", "do not answer 200", false},
		{403, "服务器拒绝了推送（状态码 403）：Token、加解密方式或密钥不一致", "The server refused the push (status 403): token, mode or key differ", "do not answer 200", false},
		{404, "这个路径上没有服务", "Nothing at this path (status 404)", "Check the path of the URL", false},
		{405, "不接受 POST", "takes no POST", "Check the URL", false},
		{302, "服务器要求跳转", "redirects (status 302)", "Give the final URL", false},
		{413, "不接受这个请求", "does not take the request (status 413)", "log", false},
		{500, "服务器出错了（状态码 500）", "The server failed (status 500)", always, true},
		{502, "代理后面没有应答", "A proxy got no answer", "proxy_read_timeout", false},
		{202, "状态码是 202，不是 200", "The status is 202 and not 200", "answer 200 with success", true},
	}
	for _, tt := range tests {
		if _, err := w.ming.Say(t.Context(), strconv.Itoa(tt.status)); err != nil {
			t.Fatal(err)
		}
	}
	p := openTab(t, w.url, 1280, 860, "good")
	advice := func(i int) string {
		return eval[string](p, fmt.Sprintf(`document.querySelector('[data-exchange="%d"] .outcome').textContent`, i+1))
	}
	p.wait("all are there", fmt.Sprintf(`document.querySelectorAll('.outcome.bad').length === %d`, len(tests)))
	for i, tt := range tests {
		if got := advice(i); !strings.Contains(got, tt.what) || strings.Contains(got, "返回 200 和 success") != tt.answer200 {
			t.Errorf("%d: %s", tt.status, got)
		}
	}
	p.click("#language")
	p.wait("the page is English", `document.documentElement.lang === 'en'`)
	for i, tt := range tests {
		got := advice(i)
		if !strings.Contains(got, tt.whatEnglish) || !strings.Contains(got, tt.todo) || strings.Contains(strings.ToLower(got), "answer 200 with success") != tt.answer200 {
			t.Errorf("%d: %s", tt.status, got)
		}
	}
	p.fits("the advice in English")
	p.click(`[data-exchange="2"] .head`)
	p.wait("the details say the same", `document.querySelector('.verdict[data-problem="status"]')?.textContent.includes('The server refused the push (status 403)')`)
	p.fits("the details in English")
}

// TestFailedCheck has an address that WeChat would not take: the page says in its own language
// why, and says it once.
func TestFailedCheck(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	tests := []struct{ name, way, problem, chinese, english string }{
		{"refusal", "/403", "status", "服务器拒绝了验证（状态码 403）：Token 不一致", "The server refused the check (status 403): the token differs"},
		{"path", "/404", "status", "这个路径上没有服务（状态码 404）", "Nothing at this path (status 404)"},
		{"method", "/405", "status", "不接受 GET（状态码 405）", "takes no GET (status 405)"},
		{"redirect", "/301", "status", "服务器要求跳转（状态码 301）", "The server redirects (status 301)"},
		{"error", "/500", "status", "验证时服务器出错了（状态码 500）", "The server failed at the check (status 500)"},
		{"gateway", "/502", "status", "代理后面没有应答（状态码 502）", "A proxy got no answer from the server (status 502)"},
		{"other", "/202", "status", "验证时状态码是 202", "The check got the status 202"},
		{"quotes", "/json", "echostr", `实际返回 "\"`, `and was "\"`},
		{"hang", "/hang", "timeout", "验证超时", "The check got no answer in time"},
		{"break", "/break", "reset", "应答没有发完就断了", "The connection broke"},
		{"no server", gone.URL, "refused", "验证时连接不上", "The check found no server"},
		{"no TLS", "https", "tls", "HTTPS 证书有问题", "The certificate is not good"},
	}
	for _, language := range []string{"zh", "en"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, http.HandlerFunc(obedient))
			w.official.SetRules(simulator.Rules{Timeout: 500 * time.Millisecond})
			server := strings.TrimSuffix(w.official.Config().Account.URL, "/wx")
			p := openTab(t, w.url, 390, 844, "good")
			if language == "en" {
				p.click("#language")
			}
			p.click("#open-settings")
			for _, tt := range tests {
				url := server + tt.way
				switch {
				case tt.way == "https":
					url = "https" + strings.TrimPrefix(server, "http")
				case strings.HasPrefix(tt.way, "http"):
					url = tt.way
				}
				if err := w.official.Configure(simulator.OfficialConfig{Account: simulator.Account{URL: url}}); err != nil {
					t.Fatal(err)
				}
				want := tt.chinese
				if language == "en" {
					want = tt.english
				}
				p.wait(tt.name, fmt.Sprintf(`document.querySelector('.check.bad[data-problem=%q]')?.textContent.includes(%s)`, tt.problem, quote(want)))
				if got := eval[string](p, `document.querySelector('.check.bad [lang="en"]')?.textContent ?? ''`); got != "" {
					t.Errorf("%s: the simulator's sentence is repeated: %s", tt.name, got)
				}
				p.fits("the drawer after " + tt.name)
			}
			if !eval[bool](p, `document.querySelector('#tab-phone').offsetTop === document.querySelector('#tab-wire').offsetTop`) {
				t.Error("the tabs stand above each other")
			}
		})
	}
}

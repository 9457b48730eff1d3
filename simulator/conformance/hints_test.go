package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/conformance"
)

// TestStoppedDo: when nothing works, what to do is the same in every form of the report,
// in both languages, and is said once to people.
func TestStoppedDo(t *testing.T) {
	t.Parallel()
	status := func(code int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	for _, test := range []struct {
		name    string
		handler http.Handler // nil: nobody listens
		en, zh  string       // what to do
		whyZH   string       // of address/right
	}{
		{"wrong path", status(404), "check the path of the URL", "请检查 URL 的路径", "以 /wx/{账号名} 结尾"},
		{"wrong token", status(403), "give the token with --token", "请用 --token 给出令牌", "`echostr refusals`"},
		{"nobody there", nil, "start the server, or check the URL", "请先启动服务器，或检查 URL", "请先启动服务器"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				config := configIn(simulator.Plain)
				if test.handler != nil {
					config.Transport = simulator.Direct(test.handler)
				} else {
					config.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
				}
				report, err := conformance.Run(t.Context(), config)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(report.Results[0].Why.ZH, test.whyZH) {
					t.Errorf("why: %s", report.Results[0].Why.ZH)
				}
				for l, want := range map[conformance.Language]string{conformance.English: test.en, conformance.Chinese: test.zh} {
					var text, machine bytes.Buffer
					if err := errors.Join(report.WriteText(&text, conformance.TextOptions{Language: l}), report.WriteJSON(&machine, l)); err != nil {
						t.Fatal(err)
					}
					if n := strings.Count(text.String(), want); n != 1 || strings.Contains(text.String(), "R-VERIFY-ECHO") {
						t.Errorf("%q is there %d times, want once and no rule\n%s", want, n, text.String())
					}
					var got struct {
						Results []struct{ Outcome, Do string }
					}
					if err := json.Unmarshal(machine.Bytes(), &got); err != nil {
						t.Fatal(err)
					}
					for _, r := range got.Results {
						if r.Outcome != "skipped" && !strings.Contains(r.Do, want) {
							t.Errorf("JSON says %q", r.Do)
						}
					}
				}
			})
		})
	}
}

// TestEchostrZH: what is wrong with an echostr is said in Chinese as precisely as in English.
func TestEchostrZH(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"%q": "引号", "%s\n": "空白", "\ufeff%s": "BOM", "ok: %s": "前后有别的内容", "%.5s": "不是 echostr", "": "空的"} {
		bubble(t, func(t *testing.T) {
			s := newModel(simulator.Plain)
			s.echo = func(w http.ResponseWriter, echostr string) {
				if format != "" {
					fmt.Fprintf(w, format, echostr)
				}
			}
			config := configIn(simulator.Plain)
			config.Only = []string{"address/right"}
			report := check(t, &http.Server{Handler: s}, config)
			if got := report.Results[0]; got.Outcome != conformance.Fail || !strings.Contains(got.Why.ZH, want) {
				t.Errorf("%q: %v %+v, want %q", format, got.Outcome, got.Why, want)
			}
		})
	}
}

// TestStatusZH: a status has its meaning in Chinese wherever it has one in English.
func TestStatusZH(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		302: "重定向", 401: "令牌", 403: "令牌", 404: "路径", 405: "不接受 POST", 501: "不接受 POST", 502: "proxy_read_timeout", 503: "proxy_read_timeout", 504: "proxy_read_timeout",
		500: "微信只认 200", 413: "微信只认 200",
	} {
		got := resultOf(t, simulator.Plain, "xml/bom", crashAs(status, "\ufeff"))
		if got.Outcome != conformance.Advice || !strings.Contains(got.Why.ZH, want) || !strings.Contains(got.Why.ZH, fmt.Sprint(status)) {
			t.Errorf("%d: %v %+v, want %q", status, got.Outcome, got.Why, want)
		}
	}
}

func crashAs(status int, part string) func(*model) {
	return func(s *model) {
		s.push = func(w http.ResponseWriter, document string, _ message) bool {
			if !strings.Contains(document, part) {
				return false
			}
			w.WriteHeader(status)
			return true
		}
	}
}

// TestStrict: that advice counts is said, and not that all is well.
func TestStrict(t *testing.T) {
	t.Parallel()
	report := sample()
	for i := range report.Results {
		if report.Results[i].Outcome == conformance.Fail {
			report.Results[i].Outcome = conformance.Pass
		}
	}
	for strict, want := range map[bool]string{true: "2 checks came to advice, and --strict counts that\n", false: "all is well: nothing failed\n"} {
		var b bytes.Buffer
		if err := report.WriteText(&b, conformance.TextOptions{Strict: strict}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(b.String(), want) {
			t.Errorf("strict %v: no %q at the end of\n%s", strict, want, b.String())
		}
	}
}

// TestBlanks: a server that trims nothing and has no use for card events breaks nothing that
// WeChat does, and is advised only.
func TestBlanks(t *testing.T) {
	t.Parallel()
	untrimmed := func(s *model) {
		s.push = func(w http.ResponseWriter, document string, _ message) bool {
			if !strings.Contains(document, "<MsgType> ") {
				return false
			}
			io.WriteString(w, "success") // for a type that it does not know
			return true
		}
	}
	if got := resultOf(t, simulator.Plain, "xml/card-event", untrimmed); got.Outcome != conformance.Pass {
		t.Errorf("card event: %v %+v", got.Outcome, got.Why)
	}
	got := resultOf(t, simulator.Plain, "xml/blanks-around-cdata", untrimmed)
	if got.Outcome != conformance.Advice || !strings.Contains(got.Check.Do.EN, "trim the white space around ToUserName") {
		t.Errorf("text: %v %+v", got.Outcome, got)
	}
}

// TestRefusedWith200: a push that is refused with the status of a good one is advice, at least.
func TestRefusedWith200(t *testing.T) {
	t.Parallel()
	refuse := onRequest(func(s *model, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "POST" || s.verified(r.URL.Query()) {
			return false
		}
		io.WriteString(w, "wrong signature")
		return true
	})
	for _, id := range []string{"forged/stale", "forged/twice-in-query", "forged/format", "forged/wrong-signature"} {
		got := resultOf(t, simulator.Plain, id, refuse)
		if got.Outcome != conformance.Advice || got.Undecided || !strings.Contains(got.Why.EN, "status 200") {
			t.Errorf("%s: %v %+v", id, got.Outcome, got)
		}
	}
	got := resultOf(t, simulator.Safe, "forged/broken-envelope", func(s *model) {
		s.envelope = func(w http.ResponseWriter, _ string) bool { io.WriteString(w, "success"); return true }
	})
	if got.Outcome != conformance.Advice || !strings.Contains(got.Why.EN, "status 200") {
		t.Errorf("%s: %v %+v", got.Check.ID(), got.Outcome, got)
	}
}

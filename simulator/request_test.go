package simulator

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDo sends a request that was packed, and a changed copy of it.
func TestDo(t *testing.T) {
	t.Parallel()
	var got []string
	w, err := New(Config{
		Account: Account{URL: "http://example.test/wx?a=b", Token: "token", Mode: Plain},
		Transport: Direct(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = append(got, r.Method+" "+r.URL.RawQuery+" "+string(body))
			w.Header().Set("X-Served-By", "test")
			io.WriteString(w, "success")
		})),
	})
	if err != nil {
		t.Fatal(err)
	}
	report, request, err := w.Pack(Text("你好"))
	if err != nil {
		t.Fatal(err)
	}
	push := w.Do(t.Context(), request)
	if push.Outcome != Answered || push.Header.Get("X-Served-By") != "test" || push.Request.URL != request.URL {
		t.Errorf("%+v", push)
	}
	if v := w.Judge(report.Message, push.Body); !v.OK() || v.Sees != SeesNothing {
		t.Errorf("%+v", v)
	}
	request.Body = []byte("<xml></xml>")
	w.Do(t.Context(), request)
	_, query, _ := strings.Cut(request.URL, "?")
	if diff := cmp.Diff([]string{"POST " + query + " " + string(report.Document), "POST " + query + " <xml></xml>"}, got); diff != "" {
		t.Error(diff)
	}
	if _, _, err := w.Pack(Message{}); err == nil {
		t.Error("an empty message was packed")
	}
}

// badRequests cannot be written as HTTP, with what the errors say.
var badRequests = map[string]struct {
	change func(*Request)
	says   string
}{
	"header name":    {func(r *Request) { r.Header = http.Header{"a b: c": {"d"}} }, `header "a b: c"`},
	"header value":   {func(r *Request) { r.Header = http.Header{"X-Secret": {"canary\r\nX: y"}} }, `header "X-Secret"`},
	"no header name": {func(r *Request) { r.Header = http.Header{"": {"d"}} }, `header ""`},
	"method":         {func(r *Request) { r.Method = "PO ST" }, `method "PO ST"`},
	"scheme":         {func(r *Request) { r.URL = "ftp://wx.example/?s=canary" }, "URL"},
	"no host":        {func(r *Request) { r.URL = "http:///?s=canary" }, "URL"},
	"no URL":         {func(r *Request) { r.URL = "http://[canary/" }, "URL"},
	"control":        {func(r *Request) { r.URL += "&canary=\n" }, "URL"},
}

// TestBadRequests: what cannot be sent is not the server's fault.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, PlatformConfig{}, OfficialConfig{})
	u := w.official.AddFollower("")
	report, err := u.Say(t.Context(), "hi")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range badRequests {
		says := func(what string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.ContainsAny(err.Error(), "\r\n") || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		r := report.Pushes[0].Request
		tt.change(&r)
		p := w.official.wechat.Do(t.Context(), r)
		says("Do", p.Err)
		if p.Outcome != NotSent || p.Outcome.String() != "not sent" || !strings.Contains(p.String(), "push 1: not sent: ") {
			t.Errorf("%s: %v", name, p)
		}
		_, err := w.Resend(t.Context(), 1, r)
		says("Resend", err)
		_, err = w.official.wechat.Replay(t.Context(), &Report{Message: report.Message, Pushes: []Push{{Request: r}}})
		says("Replay", err)
	}
	if len(w.Exchanges()) != 1 || len(w.pushes) != 1 {
		t.Errorf("%d exchanges, %d requests", len(w.Exchanges()), len(w.pushes))
	}
	for in, want := range map[string]string{
		`"query":"a=b","header":{"a b: c":["d"]}`: `exchange 1: the request cannot be sent, since the header "a b: c"`,
		`"query":"a=\u0001"`:                      "exchange 1: the request cannot be sent, since its URL",
	} {
		_, err := ReadRecording(strings.NewReader(`{"version":1,"exchanges":[{"document":"x","pushes":[{` + in + `}]}]}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// TestLongHeader answers with a header that is longer than any.
func TestLongHeader(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		l := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 80<<10))
			io.WriteString(w, "success")
		})
		r := send(t, Config{DialContext: l.DialContext, Rules: Rules{Pushes: 1}}, Text("hi"), nil)
		if r.Pushes[0].Outcome != Reset || !strings.Contains(r.Verdict.Why, "headers") {
			t.Error(r)
		}
	})
}

// TestRecordedQuery sends a changed request and records it: of its query only what is WeChat's is kept.
func TestRecordedQuery(t *testing.T) {
	t.Parallel()
	acc := safeAccount
	acc.URL = "http://wx.example/wx/dev?tenant=canary"
	w := newWorld(t, PlatformConfig{}, OfficialConfig{Account: acc})
	u := w.official.AddFollower("")
	report, err := u.Say(t.Context(), "hi")
	if err != nil {
		t.Fatal(err)
	}
	sent := report.Pushes[0].Request
	at, _ := url.Parse(sent.URL)
	for _, change := range []func(){
		func() {},
		func() { at.Path = "/other" },
		func() { at.RawQuery = "x=canary&" + at.RawQuery + "&y=canary;z" },
		func() { at.Fragment = "canary" },
	} {
		change()
		sent.URL = at.String()
		if _, err := w.Resend(t.Context(), 1, sent); err != nil {
			t.Fatal(err)
		}
	}
	recording := w.Record()
	var file bytes.Buffer
	if err := recording.Write(&file); err != nil || strings.Contains(file.String(), "canary") {
		t.Errorf("a secret is in the file: %s", &file)
	}
	_, want, _ := strings.Cut(report.Pushes[0].Request.URL, "canary&")
	for i, e := range recording.Exchanges {
		if got := e.Pushes[0].Query; got != want {
			t.Errorf("exchange %d has the query %s, want %s", i+1, got, want)
		}
	}
}

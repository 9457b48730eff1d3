package page_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/callback"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/simulator/page"
)

// TestS16Guard is about who may talk to the page.
func TestS16Guard(t *testing.T) {
	t.Parallel()
	p := simulator.NewPlatform(simulator.PlatformConfig{})
	h := page.Handler(p, page.Options{Context: t.Context(), Hosts: []string{"sim.test"}})
	const users = `{"account":"nobody","nickname":"x"}`
	tests := []struct {
		name   string
		method string
		path   string
		body   string
		modify func(*http.Request)
		want   int
		says   string
	}{
		{name: "page", path: "/", want: 200, says: `lang="zh-CN"`},
		{name: "page in English", path: "/", modify: func(r *http.Request) { r.Header.Set("Accept-Language", "en-GB,en;q=0.9,zh;q=0.1") }, want: 200, says: `lang="en"`},
		{name: "page in French", path: "/", modify: func(r *http.Request) { r.Header.Set("Accept-Language", "fr") }, want: 200, says: `lang="en"`},
		{name: "page in Chinese", path: "/", modify: func(r *http.Request) { r.Header.Set("Accept-Language", "fr,zh-TW;q=0.8,en;q=0.5") }, want: 200, says: `lang="zh-CN"`},
		{name: "script", path: "/assets/main.js", want: 200},
		{name: "no such script", path: "/assets/other.js", want: 404, says: "no such file"},
		{name: "not a folder", path: "/assets/..%2fpage.go", want: 404},
		{name: "other path", path: "/elsewhere", want: 404},
		{name: "localhost", path: "/api/state", modify: host("localhost:8090"), want: 200},
		{name: "IPv6", path: "/api/state", modify: host("[::1]:8090"), want: 200},
		{name: "IPv6 without a port", path: "/api/state", modify: host("[::1]"), want: 200},
		{name: "given name", path: "/api/state", modify: host("SIM.test:80"), want: 200},
		{name: "rebound name", path: "/api/state", modify: host("evil.example:8090"), want: 403, says: "127.0.0.1"},
		{name: "rebound name, page", path: "/", modify: host("evil.example"), want: 403},
		{name: "rebound name, stream", path: "/api/events?after=1", modify: host("evil.example"), want: 403},
		{name: "name that begins well", path: "/api/state", modify: host("127.0.0.1.evil.example"), want: 403},
		{name: "localhost of somebody", path: "/api/state", modify: host("localhost.evil.example"), want: 403},
		{name: "other address", path: "/api/state", modify: host("192.168.1.7:8090"), want: 403},
		{name: "no host", path: "/api/state", modify: host(""), want: 403},
		{name: "own page", method: "POST", path: "/api/users", body: users, modify: header("Sec-Fetch-Site", "same-origin"), want: 404, says: "no account"},
		{name: "curl", method: "POST", path: "/api/users", body: users, want: 404, says: "no account"},
		{name: "page of another site", method: "POST", path: "/api/users", body: users, modify: header("Sec-Fetch-Site", "cross-site"), want: 403},
		{name: "old browser, another site", method: "POST", path: "/api/users", body: users, modify: header("Origin", "https://evil.example"), want: 403},
		{name: "another port", method: "PUT", path: "/api/rules", body: "{}", modify: header("Sec-Fetch-Site", "same-site"), want: 403},
		{name: "no JSON", method: "POST", path: "/api/users", body: "nickname=x", want: 400, says: "reload the page"},
		{name: "more JSON", method: "POST", path: "/api/users", body: users + "{}", want: 400, says: "follows"},
		{name: "unknown field", method: "POST", path: "/api/users", body: `{"name":"x"}`, want: 400, says: "unknown field"},
		{name: "too long", method: "POST", path: "/api/users", body: `{"nickname":"` + strings.Repeat("x", 5<<20) + `"}`, want: 413, says: "4 MiB"},
		{name: "wrong method", method: "DELETE", path: "/api/users", want: 405},
		{name: "stream without id", path: "/api/events", want: 400, says: "/api/state"},
		{name: "unknown exchange", path: "/api/exchanges/7", want: 404, says: "not kept"},
		{name: "unknown call", path: "/api/calls/x", want: 404, says: "not kept"},
		{name: "unknown recording", path: "/api/recording?exchange=9", want: 404},
		{name: "empty recording", path: "/api/recording", want: 200, says: `"version"`},
		{name: "unknown picture", path: "/api/media/a/b", want: 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.method == "" {
				tt.method = "GET"
			}
			r := httptest.NewRequest(tt.method, "http://127.0.0.1:8090"+tt.path, strings.NewReader(tt.body))
			if tt.modify != nil {
				tt.modify(r)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("got %d %.200s, want %d with %q", w.Code, w.Body, tt.want, tt.says)
			}
			if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") || strings.Contains(policy, "unsafe") {
				t.Errorf("the policy is %q", policy)
			}
		})
	}
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// TestRefusals is about actions that a phone would not allow.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	stranger := w.official.AddUser("陌生人")
	if _, err := w.ming.Say(t.Context(), "你好"); err != nil {
		t.Fatal(err)
	}
	account := w.official.AppID()
	do := func(user, rest string) string { return fmt.Sprintf(`{"account":%q,"user":%q,%s}`, account, user, rest) }
	for _, tt := range []struct{ path, body, says string }{
		{"/api/act", do(stranger.OpenID(), `"action":"text","text":"x"`), "does not follow"},
		{"/api/act", do("nobody", `"action":"text"`), "no user"},
		{"/api/act", `{"account":"none"}`, "no account"},
		{"/api/act", do(w.ming.OpenID(), `"action":"dance"`), "no action"},
		{"/api/act", do(w.ming.OpenID(), `"action":"follow"`), "already"},
		{"/api/act", do(w.ming.OpenID(), `"action":"click","button":"#9"`), "no button"},
		{"/api/act", do(w.ming.OpenID(), `"action":"tap","url":"weixin://bizmsgmenu?msgmenucontent=x"`), "no link"},
		{"/api/act", do(w.ming.OpenID(), `"action":"choose","entry":"x"`), "no menu message"},
		{"/api/act", do(w.ming.OpenID(), `"action":"scan","code":" "`), "no scene"},
		{"/api/act", do(w.ming.OpenID(), `"action":"picture","data":"AAAA"`), "would not take"},
		{"/api/users", fmt.Sprintf(`{"account":%q,"nickname":" "}`, account), "1 to 32"},
		{"/api/again", `{"exchange":99,"how":"new"}`, "only the last"},
		{"/api/again", `{"exchange":1,"how":"backwards"}`, "no way"},
		{"/api/again", `{"exchange":1,"how":"xml","document":"<xml>"}`, "not a push in clear"},
		{"/api/again", `{"exchange":1,"how":"raw","url":"http://192.0.2.1/wx","body":"x"}`, "another server"},
		{"/api/again", `{"exchange":1,"how":"raw","url":"file:///etc/passwd","body":"x"}`, "another server"},
	} {
		status, text := w.ask("POST", tt.path, tt.body)
		if status < 400 || status >= 500 || !strings.Contains(text, tt.says) || strings.Contains(text, "simulator: ") {
			t.Errorf("%s %s: %d %s, want a refusal with %q", tt.path, tt.body, status, text, tt.says)
		}
	}
	if n := len(w.platform.Exchanges()); n != 1 {
		t.Errorf("%d messages were pushed for what was refused", n-1)
	}
	for _, body := range []string{
		fmt.Sprintf(`{"account":%q,"rules":{"timeout":1,"pushes":3}}`, account),
		fmt.Sprintf(`{"account":%q,"rules":{"timeout":5000,"pushes":0}}`, account),
		fmt.Sprintf(`{"account":%q,"rules":{"timeout":5000,"pushes":3,"loseFirst":4}}`, account),
	} {
		if status, text := w.ask("PUT", "/api/rules", body); status != 422 {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if status, text := w.ask("PUT", "/api/faults", fmt.Sprintf(`{"account":%q,"faults":["custom/send"]}`, account)); status != 422 || !strings.Contains(text, "PATH=WHAT") {
		t.Errorf("a wrong fault: %d %s", status, text)
	}
}

// TestAgain sends one message again in every way.
func TestAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if _, err := w.ming.Say(t.Context(), "你好"); err != nil {
		t.Fatal(err)
	}
	first := w.platform.Exchanges()[0]
	request := first.Report.Pushes[0].Request
	changed := strings.Replace(string(first.Report.Document), "你好", "改过", 1)
	send := func(fields string) simulator.Exchange {
		t.Helper()
		status, text := w.ask("POST", "/api/again", `{"exchange":1,`+fields+`}`)
		var begun struct{ Exchange int64 }
		if err := json.Unmarshal([]byte(text), &begun); err != nil || status != http.StatusAccepted {
			t.Fatalf("%s: %d %s", fields, status, text)
		}
		for { // it may still be under way
			if e, ok := w.platform.Exchange(begun.Exchange); ok && !e.Ended.IsZero() {
				return e
			}
			select {
			case <-t.Context().Done():
				t.Fatalf("%s: it never ended", fields)
			case <-time.After(time.Millisecond):
			}
		}
	}
	if e := send(`"how":"replay"`); !e.Captured || e.Report.Pushes[0].Request.URL != request.URL || string(e.Report.Pushes[0].Request.Body) != string(request.Body) {
		t.Error("a replay is not the same bytes")
	}
	if e := send(`"how":"repeat"`); e.Report.Message.MsgID != first.Report.Message.MsgID || e.Report.Pushes[0].Request.URL == request.URL {
		t.Error("a retry has not the same MsgId and a new signature")
	}
	if e := send(`"how":"new"`); e.Report.Message.MsgID == first.Report.Message.MsgID || e.Report.Verdict.Reply.Content != "你好" {
		t.Error("a new message has not a new MsgId and the same content")
	}
	if e := send(`"how":"xml","document":` + quote(changed)); e.Report.Message.MsgID == first.Report.Message.MsgID || e.Report.Verdict.Reply.Content != "改过" {
		t.Errorf("the changed message was answered with %v", e.Report.Verdict)
	}
	if e := send(`"how":"xml","keep":true,"document":` + quote(changed)); e.Report.Message.MsgID != first.Report.Message.MsgID || e.Report.Verdict.Reply.Content != "改过" {
		t.Errorf("the changed message with its MsgId was answered with %v", e.Report.Verdict)
	}
	e := send(`"how":"raw","body":"not XML","headers":[["X-Test","1"]],"url":` + quote(request.URL+"&more=1"))
	if push := e.Report.Pushes[0]; string(push.Request.Body) != "not XML" || push.Request.Header.Get("X-Test") != "1" || push.Status != http.StatusBadRequest || len(e.Report.Pushes) != 1 {
		t.Errorf("the raw request was %+v", push)
	}
}

// TestDetail has an account in the safe mode: its bytes are shown sealed and in clear.
func TestDetail(t *testing.T) {
	t.Parallel()
	const key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	r := echostr.NewRouter()
	echostr.On(r, func(_ context.Context, m *echostr.TextMessage) (echostr.Reply, error) {
		return echostr.Text("你说：" + m.Content), nil
	})
	bot, err := callback.New(callback.Config{Handler: r, Accounts: []callback.Account{{Name: "a", Token: token, Mode: callback.Safe, AppID: "wx0000000000000001", EncodingAESKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	p := simulator.NewPlatform(simulator.PlatformConfig{Transport: simulator.Direct(bot)})
	o, err := p.Add(simulator.OfficialConfig{AppSecret: "pageTestSecret", Account: simulator.Account{URL: "http://localhost/wx/a", Token: token, Mode: simulator.Safe, AppID: "wx0000000000000001", EncodingAESKey: key}})
	if err != nil {
		t.Fatal(err)
	}
	report, err := o.AddFollower("小明").Say(t.Context(), "你好")
	if err != nil || !report.Verdict.OK() {
		t.Fatal(report, err)
	}
	h := page.Handler(p, page.Options{Context: t.Context()})
	get := func(method, path, body string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body)))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	var detail struct {
		Kind, Text, Document string
		Pushes               []struct {
			Request, Response struct {
				Start, Body string
				Clear       *string
			}
		}
	}
	text := get("GET", "/api/exchanges/1", "")
	if err := json.Unmarshal([]byte(text), &detail); err != nil {
		t.Fatal(err)
	}
	if detail.Kind != "text" || detail.Text != "你好" || len(detail.Pushes) != 1 {
		t.Fatalf("got %+v", detail)
	}
	request, response := detail.Pushes[0].Request, detail.Pushes[0].Response
	if request.Clear == nil || !strings.Contains(*request.Clear, "你好") || strings.Contains(request.Body, "你好") || !strings.Contains(request.Body, "<Encrypt>") {
		t.Errorf("the request is %+v", request)
	}
	if response.Clear == nil || !strings.Contains(*response.Clear, "你说：你好") || !strings.Contains(response.Body, "<MsgSignature>") || response.Start != "200 OK" {
		t.Errorf("the response is %+v", response)
	}

	// Secrets are shown on demand, and nowhere else.
	all := text + get("GET", "/api/state", "") + get("GET", "/api/recording", "")
	for _, secret := range []string{token, key, "pageTestSecret"} {
		if strings.Contains(all, secret) {
			t.Errorf("the secret %s is in an answer that nobody asked for it", secret)
		}
	}
	if got := get("POST", "/api/token", `{"account":"wx0000000000000001"}`); got != `{"token":"`+token+`"}` {
		t.Errorf("the token is shown as %s", got)
	}
}

// heard is what a stream has sent.
type heard struct {
	id, event, data string
}

// listen reads events until stop says that it was enough.
func (w *world) listen(path, lastID string, stop func(heard) bool) []heard {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var all []heard
	var now heard
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			now.id = value
		case "event":
			now.event = value
		case "data":
			now.data = value
		case "":
			if now.event == "" {
				continue
			}
			all = append(all, now)
			if stop(now) {
				return all
			}
			now = heard{}
		}
	}
	w.t.Fatalf("the stream ended after %v", all)
	return nil
}

// TestStream hears of a message, and after a break of what came meanwhile.
func TestStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var state struct{ Change int64 }
	_, text := w.ask("GET", "/api/state", "")
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	w.act(`"action":"text","text":"第一"`)
	// answered is true when the answer and the end of its exchange were both heard.
	answered := func(content string) func(heard) bool {
		bubble, ended, user := false, false, false
		return func(h heard) bool {
			bubble = bubble || strings.Contains(h.data, `"from":"account"`) && strings.Contains(h.data, content)
			ended = ended || strings.Contains(h.data, `"done":true`) && strings.Contains(h.data, content)
			user = user || strings.Contains(h.data, `"kind":"user"`)
			return bubble && ended && user
		}
	}
	path := fmt.Sprintf("/api/events?after=%d", state.Change)
	all := w.listen(path, "", answered("第一"))
	var last string
	kinds := map[string]bool{}
	for _, h := range all {
		var e struct{ Kind string }
		if err := json.Unmarshal([]byte(h.data), &e); err != nil {
			t.Fatal(err)
		}
		kinds[e.Kind] = true
		if h.id != "" {
			last = h.id
		}
	}
	for _, kind := range []string{"account", "user", "exchange", "bubble"} {
		if !kinds[kind] {
			t.Errorf("nothing was heard of the kind %s: %v", kind, all)
		}
	}
	if _, err := w.ming.Say(t.Context(), "第二"); err != nil {
		t.Fatal(err)
	}
	again := w.listen(path, cmp.Or(last, fmt.Sprint(state.Change)), answered("第二"))
	if last != "" && slices.ContainsFunc(again, func(h heard) bool {
		return strings.Contains(h.data, `"kind":"bubble"`) && strings.Contains(h.data, `"from":"user"`) && strings.Contains(h.data, "第一")
	}) {
		t.Error("after a break the stream begins at its beginning")
	}
	// An id that this simulator never gave, as after it was started again.
	if got := w.listen("/api/events?after=5", "", func(h heard) bool { return h.event == "reload" }); len(got) == 0 {
		t.Error("a reader of before is not told to reload")
	}
}

// TestMedia sends a picture and gets it back; nothing else is served as a picture.
func TestMedia(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var b strings.Builder
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	w.act(`"action":"picture","data":"` + base64.StdEncoding.EncodeToString([]byte(b.String())) + `"`)
	id := w.ming.Chat()[0].MediaID
	resp, err := http.Get(w.url + "/api/media/" + w.official.AppID() + "/" + id)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || string(data) != b.String() || resp.Header.Get("Content-Type") != "image/png" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got %d bytes of %s: %v", len(data), resp.Header.Get("Content-Type"), err)
	}
	w.act(`"action":"voice","text":"你好"`)
	chat := w.ming.Chat()
	voice := chat[slices.IndexFunc(chat, func(b simulator.Bubble) bool { return b.Kind == "voice" })]
	if status, _ := w.ask("GET", "/api/media/"+w.official.AppID()+"/"+voice.MediaID, ""); status != http.StatusNotFound {
		t.Errorf("a voice message is served as a picture: %d", status)
	}
}

// TestSettings changes what can be changed.
func TestSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	account := w.official.AppID()
	status, text := w.ask("PUT", "/api/rules", fmt.Sprintf(`{"account":%q,"recognition":true,"rules":{"timeout":1500,"pushes":4,"freshRetries":true,"waitAfterFailure":true,"loseFirst":1,"loseSilently":true,"eventFaultNotice":true,"markFail":5,"omitRecognition":true}}`, account))
	want := simulator.Rules{Timeout: 1500 * time.Millisecond, Pushes: 4, FreshRetries: true, WaitAfterFailure: true, LoseFirst: 1, LoseSilently: true, EventFaultNotice: true, MarkFail: 5, OmitRecognition: true}
	if diff := gocmp.Diff(want, w.official.Rules()); status != http.StatusOK || diff != "" || !w.official.Config().Recognition {
		t.Errorf("%d %s (-want +got):\n%s", status, text, diff)
	}
	status, _ = w.ask("PUT", "/api/faults", fmt.Sprintf(`{"account":%q,"faults":["custom/send=45015*2"]}`, account))
	if got := w.platform.Faults(); status != http.StatusOK || len(got) != 1 || got[0].String() != "custom/send=45015*2" {
		t.Errorf("%d, the faults are %v", status, got)
	}
	status, text = w.ask("POST", "/api/verify", fmt.Sprintf(`{"account":%q}`, account))
	if status != http.StatusOK || !strings.Contains(text, `"problem":""`) {
		t.Errorf("the check: %d %s", status, text)
	}
}

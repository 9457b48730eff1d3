package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// apiTest is a platform with one account, whose time stands still.
type apiTest struct {
	*testing.T
	p     *Platform
	o     *Official
	api   http.Handler
	now   time.Time
	token string
	user  *User
}

func newAPITest(t *testing.T, kind Kind, verified bool) *apiTest {
	t.Helper()
	a := &apiTest{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, china)}
	success := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "success") })
	a.p = NewPlatform(PlatformConfig{Now: func() time.Time { return a.now }, Transport: Direct(success)})
	o, err := a.p.Add(OfficialConfig{
		Account: Account{URL: "http://server.test/wx", Token: "tokentokentoken", Mode: Plain, AppID: "wx0000000000000001"},
		Kind:    kind, Verified: verified, AppSecret: "appsecret",
	})
	if err != nil {
		t.Fatal(err)
	}
	a.o, a.api = o, a.p.API()
	a.user = o.AddFollower("小明")
	a.newToken()
	return a
}

const tokenCall = "/cgi-bin/token?grant_type=client_credential&appid=wx0000000000000001&secret=appsecret"

func (a *apiTest) newToken() { a.token = a.get(tokenCall).str("access_token") }

// answered is an answer of the API.
type answered struct {
	*httptest.ResponseRecorder
	t *testing.T
}

func (a answered) object() map[string]any {
	a.t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.Body.Bytes(), &v); err != nil {
		a.t.Fatalf("the answer is no JSON: %v\n%s", err, a.Body)
	}
	return v
}

func (a answered) str(name string) string {
	a.t.Helper()
	s, _ := a.object()[name].(string)
	return s
}

func (a answered) code() int {
	a.t.Helper()
	n, _ := a.object()["errcode"].(float64)
	return int(n)
}

func (a *apiTest) do(method, target, contentType, body string) answered {
	a.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8090"+target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	a.api.ServeHTTP(w, r)
	return answered{w, a.T}
}

// withToken adds the access_token.
func (a *apiTest) withToken(target string) string {
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	return target + separator + "access_token=" + a.token
}

func (a *apiTest) get(target string) answered {
	a.Helper()
	return a.do("GET", target, "", "")
}

func (a *apiTest) call(target, body string) answered {
	a.Helper()
	if body == "" {
		return a.get(a.withToken(target))
	}
	return a.do("POST", a.withToken(target), "application/json", body)
}

// send sends a message to the user.
func (a *apiTest) send(message string) int {
	a.Helper()
	return a.call("/cgi-bin/message/custom/send", `{"touser":"`+a.user.OpenID()+`",`+message+`}`).code()
}

func (a *apiTest) want(what string, got, want int) {
	a.Helper()
	if got != want {
		a.Errorf("%s: errcode %d, want %d", what, got, want)
	}
}

func (a *apiTest) says(text string) {
	a.Helper()
	if _, err := a.user.Say(a.Context(), text); err != nil {
		a.Fatal(err)
	}
}

// upload uploads a file.
func (a *apiTest) upload(kind, name string, data []byte) answered {
	a.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, _ := form.CreateFormFile("media", name)
	part.Write(data)
	form.Close()
	return a.do("POST", a.withToken("/cgi-bin/media/upload?type="+kind), form.FormDataContentType(), b.String())
}

var aPNG, aJPEG = inventedMedia("image", "x", time.Time{}).Data, inventedMedia("thumb", "x", time.Time{}).Data

// TestAPIErrors makes every mistake that has a code of its own.
// TestAPIForms holds the form of every answer against testdata/api.golden.
// stable replaces what is different every time, if it has the right form.
// TestSend sends every type and looks at what the user sees.
// TestAPIDoor checks who may come in.
func TestAPIDoor(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	a.api = a.p.API("wechat.test:8090")
	tests := []struct {
		host, site, origin string
		want               int
	}{
		{"127.0.0.1:8090", "", "", 200},
		{"127.9.9.9", "none", "", 200},
		{"localhost:1", "same-origin", "", 200},
		{"[::1]:8090", "", "", 200},
		{"[::1]", "", "", 200},
		{"api.weixin.qq.com", "", "", 200},
		{"wechat.test:8090", "", "", 200},
		{"wechat.test:8091", "", "", 403},
		{"evil.test", "", "", 403},
		{"127.0.0.1.evil.test", "", "", 403},
		{"192.168.0.1", "", "", 403},
		{"", "", "", 403},
		{"127.0.0.1:8090", "cross-site", "", 403},
		{"127.0.0.1:8090", "same-site", "", 403},
		{"127.0.0.1:8090", "", "http://127.0.0.1:8090", 200},
		{"LOCALHOST:1", "", "http://localhost:1", 200},
		{"127.0.0.1:8090", "", "http://evil.test", 403}, // a browser without Sec-Fetch-Site
		{"127.0.0.1:8090", "", "http://127.0.0.1:8091", 403},
		{"127.0.0.1:8090", "", "null", 403},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", a.withToken("/cgi-bin/getcallbackip"), nil)
		r.Host = tt.host
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
		}
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		w := httptest.NewRecorder()
		a.api.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("Host %q from %q %q: %d, want %d", tt.host, tt.site, tt.origin, w.Code, tt.want)
		}
	}
}

// TestAPICalls checks that what is kept has no secrets.
func TestAPICalls(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	a.call("/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"wx0000000000000001","secret":"appsecret"}`)
	a.do("POST", "/cgi-bin/clear_quota/v2?appid=wx0000000000000001&appsecret=appsecret", "", "{}")
	a.send(`"msgtype":"text","text":{"content":"x"}`)
	calls := a.p.APICalls()
	if len(calls) != 4 || calls[3].Errcode != 45015 || calls[3].Path != "/cgi-bin/message/custom/send" || calls[3].ID != 4 {
		t.Errorf("%+v", calls)
	}
	text := fmt.Sprintf("%+v", calls)
	for _, c := range calls {
		text += c.Query + string(c.Request) + string(c.Answer)
	}
	if strings.Contains(text, "appsecret") && strings.Contains(text, `"appsecret"`) || strings.Contains(text, "=appsecret") || strings.Contains(text, a.token) {
		t.Errorf("there is a secret in %s", text)
	}
	for range keptAPICalls {
		a.call("/cgi-bin/getcallbackip", "")
	}
	if got := len(a.p.APICalls()); got != keptAPICalls {
		t.Errorf("%d calls are kept", got)
	}
}

// TestAPIConcurrent makes all calls at once, for the race detector, and counts what is delivered.
func TestAPIConcurrent(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	a.says("窗口")
	client := &http.Client{Transport: Direct(a.api)}
	var mu sync.Mutex
	delivered := 0
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for path := range endpoints {
				method, body := endpoints[path].method, fmt.Sprintf(`{"touser":"%s","msgtype":"text","text":{"content":"%d"},"button":[{"type":"click","name":"a","key":"k"}],"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":1}}}`, a.user.OpenID(), i)
				r, _ := http.NewRequestWithContext(t.Context(), method, "http://localhost"+a.withToken(path+"?openid="+a.user.OpenID()), strings.NewReader(body))
				resp, err := client.Do(r)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					continue
				}
				text, _ := io.ReadAll(resp.Body)
				if path == "/cgi-bin/message/custom/send" && strings.HasPrefix(string(text), `{"errcode":0,`) {
					mu.Lock()
					delivered++
					mu.Unlock()
				}
			}
			a.user.Windows()
			a.p.APICalls()
		})
	}
	wg.Wait()
	if delivered != 5 {
		t.Errorf("%d messages were delivered in a window of five", delivered)
	}
}

// FuzzAPI checks that no request makes the API panic, and that every answer is JSON with the
// status 200 and, if it is an error, a code that is listed.
func FuzzAPI(f *testing.F) {
	for path := range endpoints {
		f.Add(path, "type=image", `{"touser":"oEchostr0User000000000000001","msgtype":"text","text":{"content":"x"}}`, "application/json")
	}
	f.Add("/cgi-bin/menu/create", "", `{"button":[{"name":"菜单","sub_button":[{"type":"view","name":"搜索","url":"https://www.soso.com/"}]}]}`, "")
	f.Add("/cgi-bin/media/upload", "type=voice", "--b\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a.amr\"\r\n\r\n#!AMR\n\x3c\r\n--b--\r\n", "multipart/form-data; boundary=b")
	f.Add("/cgi-bin/qrcode/create", "", `{"expire_seconds":1e3,"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":1.5}}}`, "")
	f.Fuzz(func(t *testing.T, path, query, body, contentType string) {
		a := newAPITest(t, Service, true)
		r := httptest.NewRequest("GET", "http://localhost/", strings.NewReader(body))
		r.URL.Path, r.URL.RawQuery = path, query+"&access_token="+a.token
		if e, ok := endpoints[path]; ok {
			r.Method = e.method
		}
		r.Header.Set("Content-Type", contentType)
		for range 2 { // also with what the first has left behind
			w := httptest.NewRecorder()
			a.api.ServeHTTP(w, r)
			if path == "/cgi-bin/showqrcode" || strings.HasPrefix(path, mediaPath) || sniff(w.Body.Bytes()) != "" {
				return
			}
			var v struct {
				Errcode *int
				Errmsg  string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != 200 {
				t.Fatalf("%d %q, %v", w.Code, w.Body, err)
			}
			if v.Errcode != nil && *v.Errcode != 0 && (errcodes[*v.Errcode] == "" || !strings.Contains(v.Errmsg, " rid: ")) {
				t.Errorf("%s", w.Body)
			}
		}
	})
}

package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr/internal/config"
)

const simulatedToken = "SimulatedToken2026"

// echoServer is somebody's message server at /wechat, in mode plain.
type echoServer struct {
	*httptest.Server
	prefix atomic.Value // of what it answers
}

func newEchoServer(t *testing.T) *echoServer {
	s := new(echoServer)
	s.prefix.Store("你说：")
	mux := http.NewServeMux()
	mux.HandleFunc("/wechat", s.serve)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *echoServer) serve(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	list := []string{simulatedToken, q.Get("timestamp"), q.Get("nonce")}
	slices.Sort(list)
	if sum := sha1.Sum([]byte(strings.Join(list, ""))); hex.EncodeToString(sum[:]) != q.Get("signature") {
		io.WriteString(w, "wrong signature") // with status 200, as many do
		return
	}
	if r.Method == http.MethodGet {
		io.WriteString(w, q.Get("echostr"))
		return
	}
	var m struct{ ToUserName, FromUserName, MsgType, Content string }
	if err := xml.NewDecoder(r.Body).Decode(&m); err != nil || m.MsgType != "text" {
		io.WriteString(w, "success")
		return
	}
	fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime><MsgType>text</MsgType><Content><![CDATA[%s%s]]></Content></xml>",
		m.FromUserName, m.ToUserName, time.Now().Unix(), s.prefix.Load(), m.Content)
}

// fetch makes a request and returns the answer, which may be JSON for v.
func fetch(t *testing.T, method, url, body string, v any) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if v != nil {
		if err := json.Unmarshal(text, v); err != nil {
			t.Fatalf("%s %s: %v\n%s", method, url, err, text)
		}
	}
	return string(text)
}

// accessToken fetches a token from the simulator.
func accessToken(t *testing.T, base, appID, secret string) string {
	t.Helper()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	text := fetch(t, "GET", base+"/cgi-bin/token?grant_type=client_credential&appid="+appID+"&secret="+secret, "", &token)
	if token.AccessToken == "" {
		t.Fatalf("no token: %s", text)
	}
	return token.AccessToken
}

// TestSimulate plays a user, the server's call of the API, a fault, and the recording.
func TestSimulate(t *testing.T) {
	t.Parallel()
	server := newEchoServer(t)
	file := filepath.Join(t.TempDir(), "recording.json")
	p := launch(t, []string{"WECHAT_TOKEN=" + simulatedToken}, binary(t, "echostr"), "simulate", "--callback", server.URL+"/wechat",
		"--app-id=wx0000000000000001", "--app-secret=simulatedsecret", "--listen=127.0.0.1:0", "--users=小明,小红",
		"--fault=custom/send=-1*1", "--record", file)
	base := p.waitFor(t, `^\s*(http://\S+) +← `)
	p.waitFor(t, `(接入验证成功)`)
	if page := fetch(t, "GET", base+"/", "", nil); !strings.Contains(page, "<html") {
		t.Errorf("the page is\n%.300s", page)
	}

	token := accessToken(t, base, "wx0000000000000001", "simulatedsecret")
	var users struct {
		Total int
		Data  struct{ OpenID []string }
	}
	fetch(t, "GET", base+"/cgi-bin/user/get?access_token="+token, "", &users)
	if users.Total != 2 || len(users.Data.OpenID) != 2 {
		t.Fatalf("the followers are %+v", users)
	}
	openID := users.Data.OpenID[0]
	send := func(want int) {
		t.Helper()
		var result struct{ Errcode int }
		text := fetch(t, "POST", base+"/cgi-bin/message/custom/send?access_token="+token,
			`{"touser":"`+openID+`","msgtype":"text","text":{"content":"客服"}}`, &result)
		if result.Errcode != want {
			t.Errorf("custom/send: %s, want %d", text, want)
		}
	}
	act := func(text string) {
		t.Helper()
		if got := fetch(t, "POST", base+"/api/act", `{"account":"wx0000000000000001","user":"`+openID+`","action":"text","text":"`+text+`"}`, nil); !strings.Contains(got, "true") {
			t.Fatalf("the page cannot send: %s", got)
		}
	}
	send(-1) // the fault
	send(45015)
	act("你好")
	send(0)
	act("再见")
	state := ""
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		state = fetch(t, "GET", base+"/api/state", "", nil)
		if strings.Contains(state, "你说：你好") && strings.Contains(state, "你说：再见") && strings.Contains(state, "客服") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the chat is not in\n%s", state)
		}
	}
	if code := p.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(p.String(), "simulatedsecret") || strings.Contains(p.String(), simulatedToken) {
		t.Errorf("there is a secret in\n%s", p)
	}

	if want := "Wrote 2 messages to " + file; !strings.Contains(p.String(), want) {
		t.Errorf("no %q in\n%s", want, p)
	}

	// The recording.
	replay := func(wantCode int, want string, args ...string) string {
		t.Helper()
		got := launch(t, nil, binary(t, "echostr"), append([]string{"replay", file, "--callback", server.URL + "/wechat"}, args...)...)
		if code := got.wait(t); code != wantCode || !strings.Contains(got.String(), want) {
			t.Errorf("replay %v: exit code %d, want %d and %q in\n%s", args, code, wantCode, want, got)
		}
		return got.String()
	}
	replay(0, "2 the same", "--token", simulatedToken)
	replay(0, "2 the same", "--exact")
	server.prefix.Store("你写：")
	replay(1, "0 the same (一致), 2 different", "--token", simulatedToken)
	var rows []replayedJSON
	if err := json.Unmarshal([]byte(replay(1, "", "--token", simulatedToken, "--json")), &rows); err != nil ||
		len(rows) != 2 || rows[0].Same || len(rows[0].Differences) == 0 || rows[0].Now != "reply" || rows[0].Summary != "text: 你好" {
		t.Errorf("%v %+v", err, rows)
	}
	if out := replay(1, "different (不同)", "--token=another"); !strings.Contains(out, "fault notice") {
		t.Errorf("with a wrong token:\n%s", out)
	}
}

// TestSimulateLater starts the server after the simulator.
func TestSimulateLater(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	p := launch(t, nil, binary(t, "echostr"), "simulate", "--callback=http://"+address+"/wechat", "--token="+simulatedToken, "--listen=127.0.0.1:0")
	p.waitFor(t, `(Token 验证失败: no connection.*; start the server)`)
	if l, err = net.Listen("tcp", address); err != nil {
		t.Skipf("NOT TESTED: somebody has taken the port: %v", err)
	}
	server := newEchoServer(t)
	go http.Serve(l, server.Config.Handler)
	t.Cleanup(func() { l.Close() })
	p.waitFor(t, `(The server runs now. .*接入验证成功)`)
	if code := p.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestSimulateWrong: the commonest mistakes of newcomers have a sentence each, and it goes on.
func TestSimulateWrong(t *testing.T) {
	t.Parallel()
	server := newEchoServer(t)
	for args, want := range map[string]string{
		"--token=another --callback=" + server.URL + "/wechat":            `(Token 验证失败: .* has another token)`,
		"--token=" + simulatedToken + " --callback=" + server.URL + "/wx": `(Token 验证失败: .* nothing answers at this path; check the URL)`,
	} {
		p := launch(t, nil, binary(t, "echostr"), append([]string{"simulate", "--listen=127.0.0.1:0"}, strings.Fields(args)...)...)
		p.waitFor(t, want)
		base := p.waitFor(t, `(http://\S+) +← `)
		if page := fetch(t, "GET", base+"/", "", nil); !strings.Contains(page, "<html") {
			t.Errorf("%s: the page is\n%.300s", args, page)
		}
	}
}

// TestDevPage talks to both accounts of `echostr dev` by its page: one answers late by the API,
// the other on a later push.
func TestDevPage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("NOT TESTED with -short: answers after 6 real seconds")
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() })
	for _, mode := range []string{"plain", "safe"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			env := []string{"XDG_CACHE_HOME=" + t.TempDir(), "HOME=" + t.TempDir()}
			dev := launch(t, env, binary(t, "echostr"), "dev", "--mode", mode, "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--page="+busy.Addr().String())
			base := dev.waitFor(t, `^\s*(http://\S+) +← `)
			if base == "http://"+busy.Addr().String() {
				t.Errorf("it took %s, which is busy", base)
			}
			dev.waitFor(t, `(Ctrl-C stops)`)
			accounts := []struct{ appID, secret, way, openID string }{
				{appID: config.DevelopmentAppID, secret: config.DevelopmentAppSecret, way: "api"},
				{appID: config.DevelopmentSubAppID, secret: config.DevelopmentSubAppSecret, way: "passive"},
			}
			// However slow the machine is, no push of the first is cut.
			fetch(t, "PUT", base+"/api/rules", `{"account":"`+config.DevelopmentAppID+`","rules":{"timeout":20000,"pushes":3}}`, nil)
			for i := range accounts {
				a := &accounts[i]
				accessToken(t, base, a.appID, a.secret) // its secret is the one that is printed
				var state struct {
					Users []struct{ OpenID, Account string }
				}
				text := fetch(t, "GET", base+"/api/state", "", &state)
				for _, u := range slices.Backward(state.Users) {
					if u.Account == a.appID {
						a.openID = u.OpenID
					}
				}
				if a.openID == "" {
					t.Fatalf("%s has no users in\n%s", a.appID, text)
				}
				for _, text := range []string{"慢 6", "你好"} {
					fetch(t, "POST", base+"/api/act", `{"account":"`+a.appID+`","user":"`+a.openID+`","action":"text","text":"`+text+`"}`, nil)
				}
			}
			for _, a := range accounts {
				for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
					var state struct {
						Chats map[string][]struct{ Text, Way string }
					}
					text := fetch(t, "GET", base+"/api/state", "", &state)
					ways := map[string]string{}
					for _, b := range state.Chats[a.openID] {
						if b.Way != "" {
							ways[b.Text] = b.Way
						}
					}
					if len(ways) == 2 {
						if ways["你好"] != "passive" || ways["等了 6 秒"] != a.way {
							t.Errorf("%s: the answers came by %v, want the late one by %s", a.appID, ways, a.way)
						}
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("%s: there are not two answers in\n%s", a.appID, text)
					}
				}
			}
			if code := dev.terminate(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestS30SimulatorUsage(t *testing.T) {
	t.Parallel()
	old := write(t, "old.json", "{}")
	for args, want := range map[string]string{
		"simulate": "--callback",
		"simulate --callback http://127.0.0.1:1/wx":                                                  "--token or in WECHAT_TOKEN",
		"simulate --callback 127.0.0.1:1 --token abc":                                                "is not an address like",
		"simulate --callback http://example.com/wx --token abc":                                      "example.com is not on this machine; if it is yours and you mean it, add --allow-remote",
		"simulate --callback http://127.0.0.1:1/wx --token abc --listen :8090":                       "can be reached from outside",
		"simulate --callback http://127.0.0.1:1/wx --token abc --listen 127.0.0.1":                   "is not an address like 127.0.0.1:8090",
		"simulate --callback http://127.0.0.1:1/wx --token abc --mode safe --listen 127.0.0.1:0":     "EncodingAESKey",
		"simulate --callback http://127.0.0.1:1/wx --token abc --kind test":                          "--kind",
		"simulate --callback http://127.0.0.1:1/wx --token abc --fault x --listen 127.0.0.1:0":       "custom/send=45015*2",
		"simulate --callback http://127.0.0.1:1/wx --token abc --users 小明,小红,小明":                     "has 小明 twice",
		"simulate --callback http://127.0.0.1:1/wx --token abc --pushes 9 --listen 127.0.0.1:0":      "--pushes lies between 1 and 5",
		"simulate --callback http://127.0.0.1:1/wx --token abc --pushes 0 --listen 127.0.0.1:0":      "--pushes lies between",
		"simulate --callback http://127.0.0.1:1/wx --token abc --listen 127.0.0.1:0 --record " + old: "there is a file",
		"dev --page 0.0.0.0:8090":                               "can be reached from outside",
		"dev --listen 127.0.0.1:0 --page 127.0.0.1:0 --fault x": "custom/send=45015*2",
		"replay":                 "file",
		"replay none.json":       "the recording cannot be read",
		"replay " + old:          "this is not a recording",
		"replay x --pushes 0":    "--pushes",
		"replay x --pushes 9":    "--pushes",
		"push text x --pushes 9": "--pushes lies between 1 and 5",
		"dev --pushes 9":         "--pushes lies between 1 and 5",
		"dev --no-simulator --record " + old + ".new":  "leave --no-simulator out",
		"dev --no-simulator --fault custom/send=45015": "leave --no-simulator out",
	} {
		if got := execute(t, "", strings.Fields(args)...); got.code != 2 || !strings.Contains(got.err, want) {
			t.Errorf("%s: %+v, want %q", args, got, want)
		}
	}
	if text, err := os.ReadFile(old); err != nil || !bytes.Equal(text, []byte("{}")) {
		t.Errorf("--record has overwritten a file: %s, %v", text, err)
	}
	for _, args := range []string{"simulate --help", "replay --help"} {
		if got := execute(t, "", strings.Fields(args)...); got.code != 0 || !strings.Contains(got.out, "--callback http://127.0.0.1:8000/wechat") {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

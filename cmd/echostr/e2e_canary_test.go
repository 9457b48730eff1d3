package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echostr/echostr/server"
	"github.com/echostr/echostr/simulator"
)

// canaries are secrets that are looked for wherever the program writes.
var canaries = map[string]string{
	"token":                     "zCanaryTokenOfThirtyTwoLetters00",
	"previous token":            "zCanaryFormerTokenThirtyTwoChar0",
	"EncodingAESKey":            "CanaryKeyabcdefghijklmnopqrstuvwxyz01234567",
	"previous EncodingAESKey":   "CanaryOldabcdefghijklmnopqrstuvwxyz01234567",
	"AppSecret":                 "canary0secret0123456789abcdef012",
	"key of the model":          "sk-canary-key-0123456789",
	"password of the database":  "canarypassword",
	"name of a query parameter": "signature=",
}

const canaryUser, canaryText = "oCanaryUser0000000000000001", "canary-content"

// found returns which secrets are in a text, also in the forms that queries and JSON give them.
func found(text string, secrets map[string]string) (names []string) {
	for name, secret := range secrets {
		if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
			names = append(names, name)
		}
	}
	return names
}

// TestS28Canaries runs the whole program with secrets that can be recognised, in its best and in its worst
// moments, and then looks for them in all that it has printed, answered and stored. S27 is the part about files.
func TestS28Canaries(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"info", "debug"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			platform := simulator.NewPlatform(simulator.PlatformConfig{})
			api := httptest.NewServer(platform.API())
			defer api.Close()
			model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				// An endpoint that repeats what it was sent, as some do.
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s"}}`, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			}))
			defer model.Close()
			const appID = "wx00000000000000a1"
			yaml := write(t, "echostr.yaml", fmt.Sprintf(`
listen: 127.0.0.1:0
admin: 127.0.0.1:0
api_base_url: %s
serve_token: true
log: {level: %s}
accounts:
  - {name: plain, app_id: %s, app_secret: %s, token: %s, previous_token: %s, previous_until: %s, mode: plain, verified: true, bot: demo}
  - name: safe
    app_id: wx00000000000000a2
    token: %[5]sS
    encoding_aes_key: %[8]s
    previous_encoding_aes_key: %[9]s
    previous_until: %[7]s
    mode: safe
    bot: ai
    ai: {base_url: "%[10]s/v1", model: m, api_key: %[11]s}
`, api.URL, level, appID, canaries["AppSecret"], canaries["token"][:31], canaries["previous token"], time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
				canaries["EncodingAESKey"], canaries["previous EncodingAESKey"], model.URL, canaries["key of the model"]))
			r := serve(t, yaml)
			secrets := map[string]string{"token": canaries["token"][:31]}
			for name, secret := range canaries {
				if name != "token" {
					secrets[name] = secret
				}
			}
			secrets["admin token"] = r.client.Token

			plain := simulator.Account{URL: r.base + "/wx/plain", Token: canaries["token"][:31], Mode: simulator.Plain, AppID: appID}
			official, err := platform.Add(simulator.OfficialConfig{Account: plain, Kind: simulator.Service, Verified: true, AppSecret: canaries["AppSecret"]})
			if err != nil {
				t.Fatal(err)
			}
			user := official.AddFollower("小明")
			safe, err := simulator.New(simulator.Config{Account: simulator.Account{
				URL: r.base + "/wx/safe", Token: canaries["token"][:31] + "S", Mode: simulator.Safe, AppID: "wx00000000000000a2", EncodingAESKey: canaries["EncodingAESKey"],
			}, Rules: calm})
			if err != nil {
				t.Fatal(err)
			}
			say := func(text string) {
				if _, err := user.Say(t.Context(), text); err != nil {
					t.Error(err)
				}
				m := simulator.Text(text)
				m.FromUserName = canaryUser
				if _, err := safe.Send(t.Context(), m); err != nil {
					t.Error(err)
				}
			}
			say(canaryText)
			say("错误 " + canaryText)
			say("错误")
			say("崩溃")
			say("记 " + canaryText)
			// A late answer that WeChat refuses in every way that has a secret in it, and then takes.
			for _, fault := range []simulator.Fault{{Path: "custom/send", Errcode: 40001}, {Path: "custom/send", Errcode: -1}, {Path: "stable_token", Errcode: 40125}} {
				if err := platform.SetFaults(fault); err != nil {
					t.Fatal(err)
				}
				say("慢 5")
			}
			if err := platform.SetFaults(); err != nil {
				t.Fatal(err)
			}
			// What is refused: each with the secrets in its query, path, header and body.
			all := url.Values{}
			for name, secret := range secrets {
				if name != "name of a query parameter" {
					all.Add(strings.ReplaceAll(name, " ", "_"), secret)
				}
			}
			for _, target := range []string{"/wx/plain", "/wx/safe", "/wx/nobody", "/", "//wx/plain", "/wx/plain/"} {
				for _, query := range []string{all.Encode(), "signature=0&timestamp=1&nonce=2&openid=" + canaryUser, "a;b&signature=x", "%zz"} {
					for _, method := range []string{"GET", "POST", "PUT"} {
						req, err := http.NewRequestWithContext(t.Context(), method, r.base+target, strings.NewReader(canaryText))
						if err != nil {
							t.Fatal(err)
						}
						req.URL.RawQuery = query
						req.Header.Set("Authorization", "Bearer "+canaries["token"])
						resp, err := http.DefaultClient.Do(req)
						if err != nil {
							t.Fatal(err)
						}
						text, _ := io.ReadAll(resp.Body)
						resp.Body.Close()
						if len(text) > 0 || len(found(fmt.Sprint(resp.Header), secrets)) > 0 {
							t.Errorf("%s %s answers %v %q", method, target, resp.Header, text)
						}
					}
				}
			}

			// The access token, from where it is meant to be had, is a secret like the others.
			ask := func(path string) string {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.client.Address+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+r.client.Token)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			var token struct {
				AccessToken string `json:"access_token"`
			}
			waitFor(t, "an access token", func() bool {
				text := ask("/api/v1/token/plain")
				if names := found(text, secrets); len(names) > 0 {
					t.Fatalf("the answer about the access token has the %v", names)
				}
				return json.Unmarshal([]byte(text), &token) == nil && token.AccessToken != ""
			})
			secrets["access token"] = token.AccessToken

			pages := []string{"/metrics", "/healthz", "/readyz", "/api/v1/turns?limit=100", "/api/v1/stats", "/api/v1/refusals", "/api/v1/turns/xyz", "/api/v1/token/safe", "/api/v1/token/nobody", "/nothing"}
			turns, err := r.client.Turns(t.Context(), server.TurnFilter{})
			if err != nil || len(turns) < 10 {
				t.Fatalf("%d turns, %v", len(turns), err)
			}
			for i := range turns {
				pages = append(pages, "/api/v1/turns/"+turns[i].Key)
			}
			for _, page := range pages {
				text := ask(page)
				if names := found(text, secrets); len(names) > 0 {
					t.Errorf("%s has the %v", page, names)
				}
				if strings.HasPrefix(page, "/api/v1/turns") || strings.HasPrefix(page, "/api/v1/erase") {
					continue // there it is what the operator asks for
				}
				if strings.Contains(text, canaryUser) || strings.Contains(text, canaryText) || strings.Contains(text, user.OpenID()) {
					t.Errorf("%s tells of a user", page)
				}
			}
			// What the commands print, also when they fail.
			flags := []string{"-c", yaml, "--admin", r.client.Address}
			for _, args := range [][]string{
				{"turn", "ls"}, {"turn", "show", turns[0].Key}, {"turn", "show", "zz"}, {"outbox", "ls"}, {"refusals"}, {"config", "check", yaml},
			} {
				if args[0] != "config" {
					args = append(args, flags...)
				}
				got := execute(t, "", args...)
				if names := found(got.out+got.err, secrets); len(names) > 0 {
					t.Errorf("echostr %v prints the %v:\n%s%s", args, names, got.out, got.err)
				}
			}

			r.terminate(t)
			log := r.String()
			if strings.Count(log, "\n") < 10 {
				t.Errorf("the log says too little for this test to show anything:\n%s", log)
			}
			if names := found(log, secrets); len(names) > 0 {
				t.Errorf("the log has the %v:\n%s", names, log)
			}
			if level == "info" && (strings.Contains(log, canaryUser) || strings.Contains(log, canaryText) || strings.Contains(log, user.OpenID())) {
				t.Errorf("the log tells of a user:\n%s", log)
			}

			// Threat S27: the files. What people have written is there; secrets are not.
			saw := false
			err = filepath.WalkDir(filepath.Dir(yaml), func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() || path == yaml {
					return err
				}
				info, err := d.Info()
				if err != nil {
					return err
				}
				if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
					t.Errorf("others may read %s: %v", d.Name(), info.Mode())
				}
				content, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				saw = saw || bytes.Contains(content, []byte(canaryText))
				for _, name := range found(string(content), secrets) {
					if name != "admin token" || d.Name() != "echostr.admin-token" {
						t.Errorf("%s has the %s", d.Name(), name)
					}
				}
				return nil
			})
			if err != nil || !saw {
				t.Errorf("the search in files finds nothing at all: %v", err)
			}
		})
	}
}

// TestS28DatabasePassword: the address of a database has a password, and an error that names the address has not.
func TestS28DatabasePassword(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	for _, store := range []string{
		"postgres://echostr:canarypassword@127.0.0.1:" + port + "/echostr",
		"postgres://echostr@127.0.0.1:" + port + "/echostr?password=canarypassword",
		"postgres://echostr:canarypassword@127.0.0.1:port/echostr",
		"postgres://echostr:canary%zzpassword@127.0.0.1/echostr",
		"postgres://echostr:canarypassword@127.0.0.1:" + port + "/echostr?sslmode=maybe",
		"postgres://echostr:canarypassword@no host/echostr",
		"mysql://echostr:canarypassword@127.0.0.1/echostr",
	} {
		yaml := write(t, "echostr.yaml", "store: \""+store+"\"\n"+modesYAML(", bot: sample"))
		for _, args := range [][]string{{"serve", "-c", yaml}, {"config", "check", yaml}, {"turn", "ls", "-c", yaml, "--admin", "127.0.0.1:1"}, {"erase", "oUser", "-c", yaml, "--admin", "127.0.0.1:1"}} {
			got := execute(t, "", args...)
			if strings.Contains(got.out+got.err, "canary") {
				t.Errorf("%v with %s prints the password:\n%s%s", args[:2], store, got.out, got.err)
			}
			if args[0] == "serve" && got.code == 0 {
				t.Errorf("%s is good", store)
			}
		}
	}
}

// TestS22NothingIsFetched: the addresses in what users send are for people, and nobody connects to them.
func TestS22NothingIsFetched(t *testing.T) {
	t.Parallel()
	canary, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer canary.Close()
	var fetched atomic.Int64
	go func() {
		for {
			conn, err := canary.Accept()
			if err != nil {
				return
			}
			fetched.Add(1)
			conn.Close()
		}
	}()
	address := canary.Addr().String()
	yaml := write(t, "echostr.yaml", modesYAML(", bot: sample"))
	r := serve(t, yaml)
	demo := launch(t, nil, binary(t, "echostr"), "dev", "--no-simulator", "--listen", "127.0.0.1:0")
	devBase := demo.waitFor(t, `(http://127\.0\.0\.1:[0-9]+)/wx/dev\b`)
	dev := modes[0]
	dev.URL, dev.Token = "dev", "zEchostrDevelopmentTokenNoSecret"

	sent := 0
	for _, target := range []string{
		"http://" + address + "/a.jpg", "https://" + address + "/a.jpg", "//" + address + "/", "http://user:pass@" + address + "/", "file:///etc/passwd", "../config",
		"http://mmbiz.qpic.cn@" + address + "/", "http://" + address + "#.qpic.cn", "gopher://" + address + "/_x", "weixin://" + address,
	} {
		for _, fields := range []string{
			"<MsgType>image</MsgType><PicUrl>%s</PicUrl><MediaId>m</MediaId>",
			"<MsgType>link</MsgType><Title>t</Title><Description>d</Description><Url>%s</Url>",
			"<MsgType>video</MsgType><MediaId>%[1]s</MediaId><ThumbMediaId>%[1]s</ThumbMediaId>",
			"<MsgType>voice</MsgType><MediaId>%[1]s</MediaId><Format>amr</Format><Recognition>%[1]s</Recognition>",
			"<MsgType>text</MsgType><Content>%s</Content>",
			"<MsgType>event</MsgType><Event>VIEW</Event><EventKey>%s</EventKey>",
			"<MsgType>event</MsgType><Event>pic_weixin</Event><EventKey>k</EventKey><SendPicsInfo><Count>1</Count><PicList><item><PicMd5Sum>%s</PicMd5Sum></item></PicList></SendPicsInfo>",
			"<MsgType>event</MsgType><Event>PUBLISHJOBFINISH</Event><PublishEventInfo><article_detail><item><article_url>%s</article_url></item></article_detail></PublishEventInfo>",
		} {
			sent++
			body := fmt.Sprintf("<xml><ToUserName>gh_1</ToUserName><FromUserName>oUser%d</FromUserName><CreateTime>%d</CreateTime>%s<MsgId>%[1]d</MsgId></xml>",
				sent, time.Now().Unix(), fmt.Sprintf(fields, target))
			m, err := simulator.Raw([]byte(body), simulator.RawOptions{Keep: true})
			if err != nil {
				t.Fatal(err)
			}
			if report, err := wechat(t, r.base, modes[sent%len(modes)], calm).Send(t.Context(), m); err != nil || !report.Verdict.OK() {
				t.Errorf("%v %v", report, err)
			}
			if report, err := wechat(t, devBase, dev, calm).Send(t.Context(), m); err != nil || !report.Verdict.OK() {
				t.Errorf("%v %v", report, err)
			}
		}
	}
	t.Logf("hostile inputs: %d", sent)
	// A server that has ended fetches nothing any more.
	r.terminate(t)
	demo.terminate(t)
	if n := fetched.Load(); n != 0 {
		t.Errorf("%d connections were made to addresses that users have sent", n)
	}
	if conn, err := net.Dial("tcp", address); err != nil {
		t.Error(err)
	} else {
		conn.Close()
		waitFor(t, "the canary to sing at all", func() bool { return fetched.Load() > 0 })
	}
}

package simulator_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr/simulator"
)

// parrot is a whole server for the plain mode, in no library and wrong in a few ways.
func parrot(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ToUserName, FromUserName, MsgType, Event, EventKey, Content, Recognition string
		BizMsgMenuID                                                             string `xml:"bizmsgmenuid"`
	}
	if err := xml.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "no XML", http.StatusBadRequest)
		return
	}
	said := or(in.Content, in.Recognition, in.EventKey)
	var text string
	switch {
	case said == "JSON":
		io.WriteString(w, `{"errcode":0}`)
		return
	case said == "坏":
		w.WriteHeader(http.StatusInternalServerError)
		return
	case in.Event == "unsubscribe", said == "嘘":
		io.WriteString(w, "success")
		return
	case in.Event == "subscribe":
		text = "欢迎 " + strings.TrimPrefix(in.EventKey, "qrscene_")
	case said == "慢":
		select {
		case <-time.After(8 * time.Second):
		case <-r.Context().Done(): // WeChat comes again; this server has no memory
			return
		}
	case said == "菜单":
		text = `<a href="weixin://bizmsgmenu?msgmenucontent=天气&msgmenuid=w1">看天气</a>`
	case in.BizMsgMenuID != "":
		text = "你点了 " + in.BizMsgMenuID
	default:
		text = "你说了 " + said
	}
	fmt.Fprintf(w, `<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime><MsgType>text</MsgType><Content><![CDATA[%s]]></Content></xml>`,
		in.FromUserName, in.ToUserName, time.Now().Unix(), text)
}

func or(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func TestStory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := simulator.Start(t, http.HandlerFunc(parrot), &simulator.StoryConfig{Official: simulator.OfficialConfig{Recognition: true}})
		hong := s.Stranger("小红")
		hong.FollowsBy("地铁广告")
		hong.SeesText("欢迎 地铁广告")
		hong.Says("你好")
		hong.SeesTextWith("你好")
		hong.Speaks("今天天气")
		hong.SeesText("你说了 今天天气")
		hong.Says("菜单")
		hong.SeesText("看天气")
		hong.Taps("看天气")
		hong.SeesText("你点了 w1")
		hong.Clicks("KEY")
		hong.SeesText("你说了 KEY")
		hong.Scans("柜台")
		hong.SeesText("你说了 柜台")
		hong.Sends(simulator.Image("", ""))
		hong.Sees("text")
		hong.Says("嘘")
		hong.SeesNothing()

		ming := s.User("小明")
		ming.Says("慢")
		if d := time.Since(ming.Last().Pushes[0].Start); d != 15*time.Second {
			t.Errorf("it took %v of virtual time", d)
		}
		ming.SeesFault()

		// What comes later, here from another goroutine.
		go func() {
			time.Sleep(time.Minute)
			ming.User().Send(context.Background(), simulator.Text("再来"))
		}()
		ming.Within(2 * time.Minute).SeesText("你说了 再来")
		hong.Unfollows()
		hong.SeesNothing()
	})
}

// TestStoryInTheWest begins one where it is still 1999.
func TestStoryInTheWest(t *testing.T) { // not parallel: it moves the machine
	local := time.Local
	time.Local = time.FixedZone("west", -8*60*60)
	defer func() { time.Local = local }()
	synctest.Test(t, func(t *testing.T) {
		ming := simulator.Start(t, http.HandlerFunc(parrot), nil).User("小明")
		ming.Says("你好")
		ming.SeesText("你说了 你好")
		if now := time.Now().UTC(); now.Year() != 2026 {
			t.Errorf("it is %v", now)
		}
	})
}

// stage is a TB that notes what fails.
type stage struct {
	t       *testing.T
	errors  []string
	cleanup []func()
}

type stop struct{}

func (s *stage) Helper() {}
func (s *stage) Errorf(format string, args ...any) {
	s.errors = append(s.errors, fmt.Sprintf(format, args...))
}
func (s *stage) Fatalf(format string, args ...any) { s.Errorf(format, args...); panic(stop{}) }
func (s *stage) Cleanup(f func())                  { s.cleanup = append(s.cleanup, f) }
func (s *stage) Context() context.Context          { return s.t.Context() }

// TestStoryFails plays stories that go wrong and reads what they say.
func TestStoryFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		play func(s *simulator.Story)
		want []string // in the one error
	}{
		"another text": {func(s *simulator.Story) {
			u := s.User("小明")
			u.Says("你好")
			u.SeesText("再见")
		}, []string{`小明 should see the text "再见", but sees text: 你说了 你好`, "  | <Content><![CDATA[你好]]></Content>", "push 1: answered", "  | <xml><ToUserName>oEchostr0User", "verdict: reply: text"}},
		"part of a text": {func(s *simulator.Story) {
			u := s.User("小明")
			u.Says("你好")
			u.SeesTextWith("再见")
		}, []string{`a text with "再见" in it`}},
		"nothing comes": {func(s *simulator.Story) {
			u := s.User("小明")
			u.Says("嘘")
			u.SeesText("x")
		}, []string{"but sees nothing", "verdict: nothing: the answer success"}},
		"nothing was pushed": {func(s *simulator.Story) { s.User("小明").SeesNews("一") }, []string{`articles with the titles ["一"], but sees nothing`, "(nothing was pushed)"}},
		"something comes": {func(s *simulator.Story) {
			u := s.User("小明")
			u.Says("你好")
			u.SeesNothing()
		}, []string{"should see nothing, but sees text: 你说了 你好"}},
		"no fault": {func(s *simulator.Story) {
			u := s.User("小明")
			u.Says("你好")
			u.SeesFault()
		}, []string{"should see the fault notice, but sees text"}},
		"another kind": {func(s *simulator.Story) {
			u := s.User("小明")
			u.Says("你好")
			u.Sees("image")
		}, []string{"a bubble of the kind image"}},
		"a fault that is not mentioned": {func(s *simulator.Story) { s.User("小明").Says("JSON") }, []string{"has read the fault notice, which the story does not mention", `  | {"errcode":0}`, "the answer is JSON"}},
		"a broken answer to an event":   {func(s *simulator.Story) { u := s.User("小明"); u.Scans("JSON"); u.SeesNothing() }, []string{"nothing, after a good answer", "the answer is JSON"}},
		"retries":                       {func(s *simulator.Story) { u := s.User("小明"); u.Says("坏"); u.SeesText("好") }, []string{"but sees fault: ", "push 3: answered", "500"}},
		"impossible":                    {func(s *simulator.Story) { s.Stranger("小红").Says("hi") }, []string{"小红 cannot do this", "does not follow"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stage := &stage{t: t}
			func() {
				defer func() {
					if v := recover(); v != nil && v != (stop{}) {
						panic(v)
					}
				}()
				tt.play(simulator.Start(stage, http.HandlerFunc(parrot), nil))
			}()
			for _, f := range stage.cleanup {
				f()
			}
			if len(stage.errors) != 1 {
				t.Fatalf("%d errors: %q", len(stage.errors), stage.errors)
			}
			for _, want := range tt.want {
				if !strings.Contains(stage.errors[0], want) {
					t.Errorf("no %q in\n%s", want, stage.errors[0])
				}
			}
		})
	}
	stage := &stage{t: t}
	func() {
		defer func() { _ = recover() }()
		simulator.Start(stage, nil, nil)
	}()
	if len(stage.errors) != 1 || !strings.Contains(stage.errors[0], "has no server") {
		t.Errorf("%q", stage.errors)
	}
}

// TestStoryWithURL plays against a server behind a socket.
func TestStoryWithURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(parrot))
	defer server.Close()
	s := simulator.Start(t, nil, &simulator.StoryConfig{Official: simulator.OfficialConfig{Account: simulator.Account{URL: server.URL + "/wx"}}, Rules: simulator.Rules{Timeout: time.Minute}})
	ming := s.User("小明")
	ming.Says("你好")
	ming.SeesText("你说了 你好")
}

// TestStoryWithAPI plays a server that answers later, by WeChat's HTTP API.
func TestStoryWithAPI(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var api *http.Client
		var secret string
		call := func(method, url, body string) map[string]any {
			r, err := http.NewRequestWithContext(t.Context(), method, "https://api.weixin.qq.com/cgi-bin/"+url, strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return nil
			}
			resp, err := api.Do(r)
			if err != nil {
				t.Error(err)
				return nil
			}
			defer resp.Body.Close()
			var answer map[string]any
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
				t.Error(err)
			}
			return answer
		}
		codes := make(chan any, 10)
		server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, wait := r.URL.Query().Get("openid"), 10*time.Second
			if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "很久") {
				wait = 49 * time.Hour
			}
			time.AfterFunc(wait, func() {
				token := call("GET", "token?grant_type=client_credential&appid=wxec40570000000001&secret="+secret, "")["access_token"]
				codes <- call("POST", fmt.Sprint("message/custom/send?access_token=", token), `{"touser":"`+user+`","msgtype":"text","text":{"content":"算好了"}}`)["errcode"]
			})
			io.WriteString(w, "success")
		})
		s := simulator.Start(t, server, &simulator.StoryConfig{Official: simulator.OfficialConfig{Kind: simulator.Service, Verified: true}})
		api = &http.Client{Transport: simulator.Direct(s.Platform().API())}
		secret = s.Official().Config().AppSecret
		ming := s.User("小明")
		ming.Says("算一下")
		ming.SeesNothing()
		if b := ming.Within(time.Minute).SeesText("算好了"); b.Way != simulator.WayAPI {
			t.Errorf("it came by %q", b.Way)
		}
		ming.Says("要很久")
		ming.Within(50 * time.Hour).SeesNothing()
		if first, second := <-codes, <-codes; first != 0.0 || second != 45015.0 {
			t.Errorf("errcodes %v and %v", first, second)
		}
	})
}

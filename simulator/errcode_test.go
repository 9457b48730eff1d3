package simulator

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestAPIErrors(t *testing.T) {
	t.Parallel()
	const (
		service = 0
		verSub  = 1 // a verified subscription account
		unver   = 2 // an unverified one
	)
	openID := "oEchostr0User000000000000001"
	accounts := []*apiTest{newAPITest(t, Service, true), newAPITest(t, Subscription, true), newAPITest(t, Subscription, false)}
	openID = accounts[service].user.OpenID()
	for _, a := range accounts {
		a.says("窗口")
	}
	stranger := accounts[service].o.AddUser("陌生人")
	send := func(rest string) string { return `{"touser":"` + openID + `",` + rest + `}` }
	entry := `{"type":"click","name":"a","key":"k"}`
	long := func(n int) string { return strings.Repeat("长", n/3) + strings.Repeat("x", n%3) }
	buttons := func(b ...string) string { return `{"button":[` + strings.Join(b, ",") + `]}` }
	sub := func(b ...string) string {
		return buttons(`{"name":"菜单","sub_button":[` + strings.Join(b, ",") + `]}`)
	}
	scene := func(action, scene string) string {
		return `{"action_name":"` + action + `","action_info":{"scene":{` + scene + `}}}`
	}
	const customSend, menu, qr = "/cgi-bin/message/custom/send", "/cgi-bin/menu/create", "/cgi-bin/qrcode/create"
	manyUsers := `{"user_list":[` + strings.Repeat(`{"openid":"x"},`, maxBatch) + `{"openid":"x"}]}`
	stable := func(rest string) string {
		return `{"grant_type":"client_credential","appid":"wx0000000000000001",` + rest + `}`
	}
	tests := []struct {
		account    int
		path, body string // without a body it is a GET
		want       int
	}{
		{service, "!/cgi-bin/token", "", 40002},
		{service, "!/cgi-bin/token?grant_type=client_credential", "", 41002},
		{service, "!/cgi-bin/token?grant_type=client_credential&appid=wx1", "", 41004},
		{service, "!/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=x", "", 40013},
		{service, "!/cgi-bin/token?grant_type=client_credential&appid=wx0000000000000001&secret=x", "", 40125},
		{service, "!/cgi-bin/token", "{}", 43001},
		{service, "!/cgi-bin/stable_token", "", 43002},
		{service, "!/cgi-bin/stable_token", "{", 47001},
		{service, "!/cgi-bin/stable_token", "{}", 40002},
		{service, "!/cgi-bin/stable_token", stable(`"x":1`), 41004},
		{service, "!/cgi-bin/stable_token", stable(`"secret":"x"`), 40125},
		{service, "!" + customSend, "{}", 41001},
		{service, "!" + customSend + "?access_token=x", "{}", 40014},
		{service, "!" + customSend + "?access_token=98_" + strings.Repeat("x", 130), "{}", 40001},
		{service, "/cgi-bin/unknown", "", 40066},
		{service, customSend, "", 43002},
		{service, "/cgi-bin/menu/get", "{}", 43001},
		{unver, customSend, send(`"msgtype":"text"`), 48001},
		{unver, "/cgi-bin/message/custom/typing", "{}", 48001},
		{unver, menu, "{}", 48001},
		{unver, "/cgi-bin/user/info?openid=x", "", 48001},
		{unver, "/cgi-bin/user/get", "", 48001},
		{unver, "/cgi-bin/media/upload?type=image", "x", 48001},
		{unver, qr, "{}", 48001},
		{verSub, qr, "{}", 48001},

		{service, customSend, " ", 47001},
		{service, customSend, "[]", 47001},
		{service, customSend, "null", 47001},
		{service, customSend, send(`"msgtype":"text"`) + "}", 47001},
		{service, customSend, send("\"msgtype\":\"text\",\"text\":{\"content\":\"\xff\"}"), 40033},
		{service, customSend, send(`"msgtype":"text","text":{"content":"\u4f60"}`), 40033},
		{service, customSend, send(`"msgtype":"text","text":{"content":"` + strings.Repeat("x", maxAPIBody) + `"}`), 45002},
		{service, customSend, `{"msgtype":"text","text":{"content":"x"}}`, 40003},
		{service, customSend, `{"touser":"nobody","msgtype":"text","text":{"content":"x"}}`, 40003},
		{service, customSend, `{"ToUser":"` + openID + `","msgtype":"text","text":{"content":"x"}}`, 40003},
		{service, customSend, `{"touser":"` + stranger.OpenID() + `","msgtype":"text","text":{"content":"x"}}`, 43004},
		{service, customSend, send(`"msgtype":"poem"`), 40008},
		{service, customSend, send(`"msgtype":"text"`), 44004},
		{service, customSend, send(`"msgtype":"text","text":{"content":""}`), 44004},
		{service, customSend, send(`"msgtype":"text","text":{"content":"` + long(2049) + `"}`), 45002},
		{service, customSend, send(`"msgtype":"image","image":{"media_id":"x"}`), 40007},
		{service, customSend, send(`"msgtype":"voice","voice":{"media_id":"simulated_media_id"}`), 40007}, // an image
		{service, customSend, send(`"msgtype":"video","video":{}`), 40007},
		{service, customSend, send(`"msgtype":"music","music":{"musicurl":"http://x"}`), 40007},
		{service, customSend, send(`"msgtype":"news","news":{"articles":[]}`), 44003},
		{service, customSend, send(`"msgtype":"news","news":{"articles":[{"title":"a"},{"title":"b"}]}`), 45008},
		{service, customSend, send(`"msgtype":"mpnews","mpnews":{"media_id":"x"}`), 40007},
		{service, customSend, send(`"msgtype":"mpnewsarticle","mpnewsarticle":{}`), 40097},
		{verSub, customSend, send(`"msgtype":"msgmenu","msgmenu":{"list":[{"id":"1","content":"a"}]}`), 40200},
		{service, customSend, send(`"msgtype":"msgmenu","msgmenu":{"head_content":"a"}`), 44004},
		{service, customSend, send(`"msgtype":"msgmenu","msgmenu":{"list":[{"id":"1","content":" "}]}`), 44004},
		{service, customSend, send(`"msgtype":"wxcard","wxcard":{}`), 40073},
		{service, customSend, send(`"msgtype":"miniprogrampage","miniprogrampage":{"title":"a"}`), 40013},
		{service, customSend, send(`"msgtype":"miniprogrampage","miniprogrampage":{"appid":"wx1"}`), 40007},
		{service, "/cgi-bin/message/custom/typing", `{"touser":"x","command":"Typing"}`, 40003},
		{service, "/cgi-bin/message/custom/typing", `{"touser":"` + openID + `","command":"typing"}`, 45072},
		{service, "/cgi-bin/message/custom/typing", `{"touser":"` + stranger.OpenID() + `","command":"Typing"}`, 43004},

		{service, qr, `{}`, 40052},
		{service, qr, scene("QR_SCENE", `"scene_id":0`), 40053},
		{service, qr, scene("QR_SCENE", `"scene_id":4294967296`), 40053},
		{service, qr, scene("QR_SCENE", `"scene_str":"x"`), 40053},
		{service, qr, scene("QR_LIMIT_SCENE", `"scene_id":100001`), 40053},
		{service, qr, scene("QR_STR_SCENE", `"scene_str":""`), 40053},
		{service, qr, scene("QR_LIMIT_STR_SCENE", `"scene_str":"`+long(3*65)+`"`), 40053},
		{service, qr, `{"expire_seconds":2592001,"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":1}}}`, 40097},

		{service, menu, `{}`, 40015},
		{service, menu, buttons(), 40016},
		{service, menu, buttons(entry, entry, entry, entry), 40016},
		{service, menu, buttons(`{"name":"a"}`), 65308},
		{service, menu, buttons(`{"type":"tap","name":"a"}`), 40017},
		{service, menu, buttons(`{"type":"click","key":"k"}`), 40018},
		{service, menu, buttons(`{"type":"click","name":"` + long(17) + `","key":"k"}`), 40018},
		{service, menu, buttons(`{"type":"click","name":"a"}`), 40019},
		{service, menu, buttons(`{"type":"click","name":"a","key":"` + long(129) + `"}`), 40019},
		{service, menu, buttons(`{"type":"view","name":"a"}`), 40020},
		{service, menu, buttons(`{"type":"view","name":"a","url":"http://` + long(1024) + `"}`), 40020},
		{service, menu, buttons(`{"type":"view","name":"a","url":"www.qq.com"}`), 40055},
		{service, menu, buttons(`{"type":"media_id","name":"a"}`), 40007},
		{service, menu, buttons(`{"type":"article_id","name":"a"}`), 40097},
		{service, menu, buttons(`{"type":"miniprogram","name":"a"}`), 40013},
		{service, menu, buttons(`{"type":"miniprogram","name":"a","appid":"wx1"}`), 40097},
		{service, menu, buttons(`{"type":"miniprogram","name":"a","appid":"wx1","pagepath":"p"}`), 40020},
		{service, menu, sub(entry, entry, entry, entry, entry, entry), 40023},
		{service, menu, sub(`{"name":"a","sub_button":[` + entry + `]}`), 40023},
		{service, menu, sub(`{"type":"tap","name":"a"}`), 40024},
		{service, menu, sub(`{"type":"click","name":"` + long(61) + `","key":"k"}`), 40025},
		{service, menu, sub(`{"type":"click","name":"a"}`), 40026},
		{service, menu, sub(`{"type":"view","name":"a"}`), 40027},
		{service, menu, sub(`{"type":"view","name":"a","url":"x://y"}`), 40054},
		{service, "/cgi-bin/menu/get", "", 46003},

		{service, "/cgi-bin/user/info", "", 41009},
		{service, "/cgi-bin/user/info?openid=x", "", 40003},
		{service, "/cgi-bin/user/info/batchget", "{}", 40031},
		{service, "/cgi-bin/user/info/batchget", manyUsers, 40032},
		{service, "/cgi-bin/user/info/batchget", `{"user_list":[{"openid":"x"}]}`, 40003},
		{service, "/cgi-bin/user/get?next_openid=x", "", 40003},

		{service, "/cgi-bin/media/upload?type=poem", "x", 40004},
		{service, "/cgi-bin/media/upload?type=image", "x", 41005},
		{service, "/cgi-bin/media/get", "", 41006},
		{service, "/cgi-bin/media/get?media_id=x", "", 40007},

		{service, "/cgi-bin/callback/check", `{"action":"x"}`, 40202},
		{service, "/cgi-bin/callback/check", `{"action":"all","check_operator":"x"}`, 40203},
		{service, "/cgi-bin/clear_quota", `{}`, 41002},
		{service, "/cgi-bin/clear_quota", `{"appid":"wx1"}`, 40013},
		{service, "!/cgi-bin/clear_quota/v2?appid=wx1&appsecret=x", `{}`, 40013},
		{service, "/cgi-bin/openapi/quota/get", `{"cgi_path":"/x"}`, 76021},
		{service, "/cgi-bin/openapi/rid/get", `{"rid":"x"}`, 76002},
		{service, "/cgi-bin/openapi/rid/get", `{"rid":"00000000-00000000-00000000"}`, 76001},
	}
	form := regexp.MustCompile(`^.+ rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`)
	for _, tt := range tests {
		a := accounts[tt.account]
		path, open := strings.CutPrefix(tt.path, "!")
		if !open {
			path = a.withToken(path)
		}
		method := http.MethodGet
		if tt.body != "" {
			method = http.MethodPost
		}
		got := a.do(method, path, "", tt.body)
		name := fmt.Sprintf("%s %.80s", tt.path, tt.body)
		a.want(name, got.code(), tt.want)
		text := got.str("errmsg")
		if got.Code != 200 || !strings.HasPrefix(text, errcodes[tt.want]) || errcodes[tt.want] == "" || !form.MatchString(text) {
			t.Errorf("%s: status %d, errmsg %q", name, got.Code, text)
		}
		wantType := "application/json; encoding=utf-8"
		if strings.HasPrefix(tt.path, "/cgi-bin/media/get") {
			wantType = "text/plain"
		}
		if got := got.Header().Get("Content-Type"); got != wantType {
			t.Errorf("%s: Content-Type %q", name, got)
		}
	}
	if got := len(accounts[service].user.Chat()); got != 1 {
		t.Errorf("the user sees %d bubbles after nothing but errors, want the own message", got)
	}
	accounts[service].want("an empty body", accounts[service].do("POST", accounts[service].withToken(customSend), "", "").code(), 44002)
}

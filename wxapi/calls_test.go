package wxapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr"
)

// TestCalls compares the bytes of every call with testdata/calls.golden.
func TestCalls(t *testing.T) {
	t.Parallel()
	w := &wechat{}
	c := newTestClient(t, w, func(c *Config) { c.BaseURL = "https://proxy.test/base/"; c.QRImageBaseURL = "https://mp.test" })
	send := func(r echostr.Reply) func(context.Context) error {
		return func(ctx context.Context) error { return c.Send(ctx, testOpenID, r, nil) }
	}
	message := func(m Message) func(context.Context) error {
		return func(ctx context.Context) error { return c.SendMessage(ctx, testOpenID, m, nil) }
	}
	var golden []string
	ok := `{"errcode":0,"errmsg":"ok"}`
	for _, tt := range []struct {
		name   string
		call   func(ctx context.Context) error
		answer string
	}{
		{"send text", send(echostr.Text("你好 <a href=\"https://e.test/?a=1&b=2\">看</a>\n\"引号\" \\ \u2028\u2029 😀")), ok},
		{"send text of an agent", func(ctx context.Context) error {
			return c.Send(ctx, testOpenID, echostr.Text("hi"), &SendOptions{KfAccount: "test1@kftest"})
		}, ok},
		{"send text with control characters", send(echostr.Text("a\x00\x08b\r\nc\td\xff")), ok},
		{"send image", send(echostr.Image("MEDIA")), ok},
		{"send voice", send(echostr.Voice("MEDIA")), ok},
		{"send video", send(echostr.VideoReply{MediaID: "MEDIA", Title: "标题", Description: "描述"}), ok},
		{"send video with thumbnail", message(VideoMessage{MediaID: "MEDIA", ThumbMediaID: "THUMB"}), ok},
		{"send music", send(echostr.MusicReply{Title: "歌", MusicURL: "https://e.test/a.mp3?x=1&y=2", HQMusicURL: "https://e.test/b.mp3", ThumbMediaID: "THUMB"}), ok},
		{"send news", send(echostr.News(echostr.Article{Title: "标题", Description: "描述", PicURL: "https://e.test/p.jpg", URL: "https://e.test/?a&b"})), ok},
		{"send menu", message(MenuMessage{Head: "满意吗？", Entries: []MenuEntry{{"101", "满意"}, {"102", "不满意"}}, Tail: "谢谢"}), ok},
		{"send article", message(ArticleMessage{ArticleID: "ARTICLE"}), ok},
		{"send card", message(CardMessage{CardID: "CARD"}), ok},
		{"send Mini Program", message(MiniProgramMessage{"标题", "wx0000000000000000", "pages/index?foo=bar&x=1", "THUMB"}), ok},
		{"send raw", message(RawMessage{"mpnews", map[string]string{"media_id": "MEDIA"}}), ok},
		{"typing", func(ctx context.Context) error { return c.Typing(ctx, testOpenID) }, ok},
		{"cancel typing", func(ctx context.Context) error { return c.CancelTyping(ctx, testOpenID) }, ok},
		{"temporary QR code, number", func(ctx context.Context) error {
			_, err := c.CreateQRCode(ctx, Scene{ID: 123}, 7*24*time.Hour)
			return err
		}, `{"ticket":"T"}`},
		{"temporary QR code, text", func(ctx context.Context) error {
			_, err := c.CreateQRCode(ctx, Scene{Str: "海报<1>"}, time.Minute)
			return err
		}, `{"ticket":"T"}`},
		{"permanent QR code, number", func(ctx context.Context) error {
			_, err := c.CreatePermanentQRCode(ctx, Scene{ID: 100000})
			return err
		}, `{"ticket":"T"}`},
		{"permanent QR code, text", func(ctx context.Context) error {
			_, err := c.CreatePermanentQRCode(ctx, Scene{Str: "test"})
			return err
		}, `{"ticket":"T"}`},
		{"create menu", func(ctx context.Context) error {
			return c.CreateMenu(ctx, Button{Type: "click", Name: "今日歌曲", Key: "V1001"},
				Button{Name: "菜单", Entries: []Button{
					{Type: "view", Name: "搜索", URL: "https://e.test/?a=1&b=2"},
					{Type: "miniprogram", Name: "小程序", URL: "https://e.test", AppID: "wx0000000000000000", PagePath: "pages/a"},
				}})
		}, ok},
		{"get menus", func(ctx context.Context) error { _, err := c.Menus(ctx); return err }, `{"menu":{"button":[]}}`},
		{"get current menu", func(ctx context.Context) error { _, err := c.CurrentMenu(ctx); return err }, `{"is_menu_open":0}`},
		{"delete menu", func(ctx context.Context) error { return c.DeleteMenu(ctx) }, ok},
		{"user", func(ctx context.Context) error { _, err := c.User(ctx, testOpenID); return err }, `{}`},
		{"users", func(ctx context.Context) error { _, err := c.Users(ctx, "a", "b"); return err }, `{"user_info_list":[]}`},
		{"followers", func(ctx context.Context) error {
			for _, err := range c.Followers(ctx, "") {
				return err
			}
			return nil
		}, `{"total":0,"count":0,"next_openid":""}`},
		{"followers behind one", func(ctx context.Context) error {
			for _, err := range c.Followers(ctx, "o&1") {
				return err
			}
			return nil
		}, `{"total":0,"count":0,"next_openid":""}`},
		{"upload media", func(ctx context.Context) error {
			_, err := c.UploadMedia(ctx, "image", "图\"片\".PNG", strings.NewReader("\x89PNG…"))
			return err
		}, `{"type":"image","media_id":"M","created_at":1700000000}`},
		{"upload thumbnail", func(ctx context.Context) error {
			_, err := c.UploadMedia(ctx, "thumb", "", io.MultiReader(strings.NewReader("a"), strings.NewReader("b")))
			return err
		}, `{"type":"thumb","thumb_media_id":"M","created_at":1700000000}`},
		{"get media", func(ctx context.Context) error {
			_, err := c.GetMedia(ctx, "M+/=", io.Discard)
			return err
		}, `{"video_url":"https://e.test/v"}`},
		{"check callback", func(ctx context.Context) error { _, err := c.CheckCallback(ctx, ""); return err }, `{"dns":[],"ping":[]}`},
		{"check callback from an operator", func(ctx context.Context) error { _, err := c.CheckCallback(ctx, "UNICOM"); return err }, `{}`},
		{"callback addresses", func(ctx context.Context) error { _, err := c.CallbackIPs(ctx); return err }, `{"ip_list":["101.226.103.0/25"]}`},
		{"API addresses", func(ctx context.Context) error { _, err := c.APIServerIPs(ctx); return err }, `{"ip_list":["101.226.103.1"]}`},
		{"quota", func(ctx context.Context) error { _, err := c.Quota(ctx, sendPath); return err }, `{"quota":{}}`},
		{"clear quota", func(ctx context.Context) error { return c.ClearQuota(ctx) }, ok},
		{"any call", func(ctx context.Context) error {
			return c.Call(ctx, "POST", "/cgi-bin/tags/create?x=%E4%BD%A0&y", json.RawMessage(`{"tag": {"name": "\u4f60\ud83d\ude00\u0041\u0022\u005c\u000a<&>\/"}}`), nil)
		}, ok},
		{"picture of a QR code", func(ctx context.Context) error { return c.QRImage(ctx, "gQH47jo+/==", io.Discard) }, ""},
	} {
		w.answer = func(r *http.Request, _ string) (int, http.Header, string) {
			if strings.HasSuffix(r.URL.Path, showQRCodePath) {
				return 200, http.Header{"Content-Type": {"image/jpg"}}, "\xff\xd8\xff"
			}
			return 200, http.Header{"Content-Type": {"text/plain"}}, tt.answer
		}
		before := len(w.called())
		if err := tt.call(t.Context()); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		calls := w.called()[before:]
		if len(calls) != 1 {
			t.Errorf("%s: %d calls", tt.name, len(calls))
			continue
		}
		golden = append(golden, fmt.Sprintf("## %s\n%s %s?%s\n%s\n", tt.name, calls[0].Method, calls[0].Path, calls[0].Query, strings.TrimSpace(calls[0].ContentType+"\n"+calls[0].Body)))
	}
	text := regexp.MustCompile(`echostr[A-Z2-7]{20,}`).ReplaceAllString(strings.Join(golden, "\n"), "BOUNDARY")
	text = strings.ReplaceAll(text, "\r", "␍")
	file := filepath.Join("testdata", "calls.golden")
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("requests differ from %s (-want +got); -update writes it anew:\n%s", file, diff)
	}
	if strings.Contains(text, `\u`) {
		t.Error("there is an escape that WeChat refuses with 40033")
	}
}

// What cannot go out as a customer-service message is refused without a call.
func TestSendInvalid(t *testing.T) {
	t.Parallel()
	w := &wechat{}
	c := newTestClient(t, w, nil)
	var tooLong *echostr.TooLongError
	for name, r := range map[string]echostr.Reply{
		"nil": nil, "none": echostr.None{}, "empty": echostr.Text(""), "blank characters": echostr.Text("\x00\x01"), "too long": echostr.Text(strings.Repeat("你", 683)),
		"no media": echostr.Image(" "), "no article": echostr.News(), "two articles": echostr.News(echostr.Article{Title: "a", URL: "u"}, echostr.Article{Title: "a", URL: "u"}),
		"transfer": echostr.TransferReply{}, "raw": echostr.RawReply{MsgType: "x"}, "a pointer": &echostr.TextReply{Content: "x"},
	} {
		err := c.Send(t.Context(), testOpenID, r, nil)
		if !errors.Is(err, ErrInvalid) || OutcomeOf(err) != OutcomeRefused {
			t.Errorf("%s: %v", name, err)
		}
		if name == "too long" && (!errors.As(err, &tooLong) || tooLong.Bytes != 2049) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "empty" && !errors.Is(err, echostr.ErrEmptyText) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string]Message{
		"nil": nil, "no entries": MenuMessage{Head: "a"}, "empty entry": MenuMessage{Entries: []MenuEntry{{"1", " "}}}, "no article": ArticleMessage{}, "no card": CardMessage{},
		"no AppID": MiniProgramMessage{ThumbMediaID: "T"}, "no thumb": MiniProgramMessage{AppID: "wx"}, "no video": VideoMessage{}, "no type": RawMessage{},
		"bad type": RawMessage{MsgType: `a":1,"b`}, "no JSON": RawMessage{MsgType: "a", Body: func() {}},
	} {
		if err := c.SendMessage(t.Context(), testOpenID, m, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	errs := []error{c.Send(t.Context(), " ", echostr.Text("hi"), nil), c.Typing(t.Context(), ""), c.CreateMenu(t.Context())}
	for _, life := range []time.Duration{0, -1, time.Millisecond, 31 * 24 * time.Hour} {
		_, err := c.CreateQRCode(t.Context(), Scene{ID: 1}, life)
		errs = append(errs, err)
	}
	for _, s := range []Scene{{}, {ID: 1, Str: "a"}, {ID: 100001}, {Str: strings.Repeat("字", 65)}} {
		_, err := c.CreatePermanentQRCode(t.Context(), s)
		errs = append(errs, err)
	}
	_, err := c.User(t.Context(), "")
	_, err2 := c.Users(t.Context(), "a", "")
	_, err3 := c.UploadMedia(t.Context(), "gif", "a", strings.NewReader("a"))
	_, err4 := c.UploadMedia(t.Context(), "image", "a", strings.NewReader(""))
	_, err5 := c.GetMedia(t.Context(), "", io.Discard)
	for i, err := range append(errs, err, err2, err3, err4, err5) {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if len(w.called()) != 0 || w.fetched() != 0 {
		t.Errorf("WeChat was called: %v", w.called())
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	w := &wechat{}
	c := newTestClient(t, w, nil)
	check := func(name string, got any, err error, want any) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	ctx := t.Context()

	w.answer = answers(`{"ticket":"gQH47joAAA+/==","expire_seconds":60,"url":"http://weixin.qq.com/q/kZ"}`)
	q, err := c.CreateQRCode(ctx, Scene{ID: 1}, time.Minute)
	check("QR code", q, err, QRCode{"gQH47joAAA+/==", 60, "http://weixin.qq.com/q/kZ"})
	if got, want := c.QRImageURL(q.Ticket), "https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket=gQH47joAAA%2B%2F%3D%3D"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	w.answer = answers(`{"menu":{"button":[{"type":"click","name":"a","key":"k","sub_button":[]},{"name":"b","sub_button":[{"type":"view","name":"c","url":"u","sub_button":[]}]}],"menuid":208396938},
		"conditionalmenu":[{"button":[{"type":"click","name":"d","key":"k"}],"matchrule":{"tag_id":2},"menuid":"208396993"}]}`)
	menus, err := c.Menus(ctx)
	check("menus", menus, err, Menus{
		Menu: Menu{ID: "208396938", Buttons: Buttons{
			{Name: "a", Type: "click", Key: "k", Entries: Buttons{}},
			{Name: "b", Entries: Buttons{{Name: "c", Type: "view", URL: "u", Entries: Buttons{}}}},
		}},
		Conditional: []Menu{{ID: "208396993", Buttons: Buttons{{Name: "d", Type: "click", Key: "k"}}, MatchRule: map[string]any{"tag_id": 2.0}}},
	})

	w.answer = answers(`{"is_menu_open":1,"selfmenu_info":{"button":[{"name":"b","sub_button":{"list":[{"type":"text","name":"c","value":"v"}]}},{"type":"click","name":"a","key":"k"}]}}`)
	current, err := c.CurrentMenu(ctx)
	check("current menu", current, err, CurrentMenu{true, []Button{{Name: "b", Entries: Buttons{{Name: "c", Type: "text", Value: "v"}}}, {Name: "a", Type: "click", Key: "k"}}})

	w.answer = answers("{\"subscribe\":1,\"openid\":\"o\",\"remark\":\"a\x01b\nc\xff\",\"tagid_list\":[1,2],\"subscribe_time\":1700000000,\"qr_scene\":98765,\"new_field\":{}}")
	u, err := c.User(ctx, "o")
	check("user", u, err, User{Subscribe: 1, OpenID: "o", Remark: "ab\nc\ufffd", TagIDs: []int{1, 2}, SubscribeTime: 1700000000, QRScene: 98765})

	w.answer = answers(`{"ip_list":["127.0.0.1","101.226.103.0/25","2001:db8::1"]}`)
	ips, err := c.CallbackIPs(ctx)
	check("addresses", ips, err, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("101.226.103.0/25"), netip.MustParsePrefix("2001:db8::1/128")})
	for _, bad := range []string{`{"ip_list":["example.com"]}`, `{"ip_list":[]}`, `{}`} {
		w.answer = answers(bad)
		if _, err := c.CallbackIPs(ctx); OutcomeOf(err) != OutcomeUnknown {
			t.Errorf("%s: %v", bad, err)
		}
	}

	w.answer = answers(`{"errcode":0,"errmsg":"ok","quota":{"daily_limit":500000,"used":7,"remain":499993}}`)
	quota, err := c.Quota(ctx, sendPath)
	check("quota", quota, err, Quota{500000, 7, 499993})

	w.answer = answers(`{"dns":[{"ip":"111.161.64.40","real_operator":"UNICOM"}],"ping":[{"ip":"111.161.64.40","from_operator":"UNICOM","package_loss":"0%","time":"23.079ms"}]}`)
	found, err := c.CheckCallback(ctx, "")
	if err != nil || len(found.DNS) != 1 || len(found.Ping) != 1 || found.Ping[0].PackageLoss != "0%" || found.DNS[0].RealOperator != "UNICOM" {
		t.Errorf("got %+v, %v", found, err)
	}
}

// Pages are followed to their end, and one that leads to itself is not followed for ever.
func TestFollowersPages(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"":  `{"total":3,"count":2,"data":{"openid":["a","b"]},"next_openid":"b"}`,
		"b": `{"total":3,"count":1,"data":{"openid":["c"]},"next_openid":"c"}`,
		"c": `{"total":3,"count":0,"next_openid":""}`,
		"x": `{"total":3,"count":1,"data":{"openid":["x"]},"next_openid":"x"}`,
		"y": `{"errcode":40003,"errmsg":"invalid openid"}`,
	}
	w := &wechat{answer: func(r *http.Request, _ string) (int, http.Header, string) {
		return 200, nil, pages[r.URL.Query().Get("next_openid")]
	}}
	c := newTestClient(t, w, nil)
	collect := func(after string) (all []string, failed error) {
		for openID, err := range c.Followers(t.Context(), after) {
			if err != nil {
				return all, err
			}
			all = append(all, openID)
		}
		return all, nil
	}
	if all, err := collect(""); err != nil || !slices.Equal(all, []string{"a", "b", "c"}) {
		t.Errorf("got %v, %v", all, err)
	}
	if all, err := collect("x"); err == nil || len(all) != 1 {
		t.Errorf("a circle: %v, %v", all, err)
	}
	if _, err := collect("y"); err == nil {
		t.Error("no error")
	}
	before := len(w.called())
	for range c.Followers(t.Context(), "") {
		break
	}
	if n := len(w.called()) - before; n != 1 {
		t.Errorf("%d calls for one OpenID, want 1", n)
	}
}

// Users are asked for in hundreds.
func TestUsersInHundreds(t *testing.T) {
	t.Parallel()
	w := &wechat{answer: func(_ *http.Request, body string) (int, http.Header, string) {
		n := strings.Count(body, "openid")
		return 200, nil, `{"user_info_list":[` + strings.TrimSuffix(strings.Repeat(`{"openid":"o"},`, n), ",") + `]}`
	}}
	c := newTestClient(t, w, nil)
	users, err := c.Users(t.Context(), slices.Repeat([]string{"o"}, 250)...)
	if err != nil || len(users) != 250 || len(w.called()) != 3 {
		t.Errorf("%d users in %d calls, %v", len(users), len(w.called()), err)
	}
}

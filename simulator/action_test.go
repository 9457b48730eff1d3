package simulator

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// world is a platform with one account whose server answers with answer, or success.
type world struct {
	*Platform
	official *Official
	mu       sync.Mutex
	pushes   []push
	answer   func(w http.ResponseWriter, p push)
}

func newWorld(t testing.TB, c PlatformConfig, o OfficialConfig) *world {
	t.Helper()
	w := &world{}
	c.Transport = Direct(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p := receive(r)
		w.mu.Lock()
		w.pushes = append(w.pushes, p)
		answer := w.answer
		w.mu.Unlock()
		if answer != nil {
			answer(rw, p)
		}
	}))
	w.Platform = NewPlatform(c)
	if o.Account.URL == "" {
		o.Account = plainAccount
	}
	var err error
	if w.official, err = w.Add(o); err != nil {
		t.Fatal(err)
	}
	return w
}

// documents are the pushed messages in clear.
func (w *world) documents(t testing.TB) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, p := range w.pushes {
		all = append(all, openPush(t, w.official.Config().Account, p))
	}
	return all
}

// everyAction is each thing that a user can do, with the documented pushes that it must look like.
var everyAction = []struct {
	name     string
	official OfficialConfig
	do       func(ctx context.Context, u *User) error
	like     []string // files of testdata of the root package, one for every push
}{
	{"text", OfficialConfig{}, sends(Text("this is a test")), []string{"messages/text.xml"}},
	{"menu text", OfficialConfig{}, sends(MenuText("不满意", "102")), []string{"vectors/messages/text-menu-choice.xml"}},
	{"image", OfficialConfig{}, sends(Image("", "")), []string{"messages/image.xml"}},
	{"voice", OfficialConfig{Recognition: true}, func(ctx context.Context, u *User) error { return only(u.Speak(ctx, "腾讯微信团队")) }, []string{"messages/voice.xml"}},
	{"voice, not recognised", OfficialConfig{}, func(ctx context.Context, u *User) error { return only(u.Speak(ctx, "腾讯微信团队")) }, []string{"messages/voice.xml -Recognition"}},
	{"video", OfficialConfig{}, sends(Video("", "")), []string{"messages/video.xml"}},
	{"short video", OfficialConfig{}, sends(ShortVideo("", "")), []string{"messages/shortvideo.xml"}},
	{"location", OfficialConfig{}, sends(Location(31.285774, 120.597610, 19, "江苏省苏州市沧浪区")), []string{"messages/location.xml"}},
	{"location, south-west", OfficialConfig{}, sends(Location(-33.856784, -70.648270, 16, "Santiago, Chile & Co.")), []string{"vectors/messages/location-south-west.xml"}},
	{"link", OfficialConfig{}, sends(Link("公众平台官网链接", "说明", "https://mp.weixin.qq.com/")), []string{"messages/link.xml"}},
	{"file", OfficialConfig{}, sends(File("合同.pdf", 20480)), []string{"vectors/messages/file.xml"}},
	{"miniprogrampage", OfficialConfig{}, sends(MiniProgramPage("Title", "wx1234567890abcdef", "pages/index/index", "https://example.com/t.jpg", "")), []string{"messages/miniprogrampage.xml"}},
	{"unfollow", OfficialConfig{}, func(ctx context.Context, u *User) error { return only(u.Unfollow(ctx)) }, []string{"vectors/messages/event-unsubscribe.xml"}},
	{"follow", OfficialConfig{}, func(ctx context.Context, u *User) error {
		return only(u.Official().AddUser("").Follow(ctx))
	}, []string{"vectors/messages/event-subscribe.xml"}},
	{"follow by scene", OfficialConfig{}, func(ctx context.Context, u *User) error {
		return only(u.Official().AddUser("").FollowByScene(ctx, "chan=weibo&id=7"))
	}, []string{"vectors/messages/event-subscribe-qrscene.xml"}},
	{"scan", OfficialConfig{}, func(ctx context.Context, u *User) error { return only(u.Scan(ctx, "4294967295")) }, []string{"vectors/messages/event-SCAN.xml"}},
	{"location report", OfficialConfig{}, func(ctx context.Context, u *User) error {
		return only(u.ReportLocation(ctx, 39.9042, 116.407396, 65))
	}, []string{"vectors/messages/event-LOCATION.xml"}},
	{"click", OfficialConfig{}, clicks(Button{Type: "click", Key: "V1001_GOOD"}, nil), []string{"event-CLICK.xml"}},
	{"view", OfficialConfig{}, clicks(Button{Type: "view", URL: "www.qq.com"}, nil), []string{"messages/event-VIEW.xml -MenuId"}},
	{"miniprogram", OfficialConfig{}, clicks(Button{Type: "miniprogram", AppID: "wx1", PagePath: "pages/index/index?from=menu&x=1", URL: "http://x/"}, nil), []string{"vectors/messages/event-view_miniprogram.xml -MenuId"}},
	{"scancode_push", OfficialConfig{}, clicks(Button{Type: "scancode_push", Key: "6"}, &ClickInput{ScanResult: "1"}), []string{"vectors/messages/event-scancode_push.xml"}},
	{"scancode_waitmsg", OfficialConfig{}, clicks(Button{Type: "scancode_waitmsg", Key: "6"}, &ClickInput{ScanType: "barcode", ScanResult: "EAN_13,6901234567892"}), []string{"messages/event-scancode_waitmsg.xml"}},
	{"pic_sysphoto", OfficialConfig{}, clicks(Button{Type: "pic_sysphoto", Key: "6"}, nil), []string{"vectors/messages/event-pic_sysphoto.xml", "messages/image.xml"}},
	{"pic_photo_or_album", OfficialConfig{}, clicks(Button{Type: "pic_photo_or_album", Key: "6"}, nil), []string{"vectors/messages/event-pic_photo_or_album.xml", "messages/image.xml"}},
	{"pic_weixin", OfficialConfig{}, clicks(Button{Type: "pic_weixin", Key: "rselfmenu_1_2"}, &ClickInput{Pictures: []Media{{ID: "1", Type: "image"}, {ID: "2", Type: "image"}, {ID: "3", Type: "image"}}}), []string{"vectors/messages/event-pic_weixin-3.xml", "messages/image.xml", "messages/image.xml", "messages/image.xml"}},
	{"location_select", OfficialConfig{}, clicks(Button{Type: "location_select", Key: "rselfmenu_2_0"}, &ClickInput{Latitude: 39.9087, Longitude: 116.3975, Label: "北京市东城区东长安街", POIName: "天安门"}), []string{"vectors/messages/event-location_select-poi.xml", ""}},
	{"media_id", OfficialConfig{}, clicks(Button{Type: "media_id", MediaID: "m"}, nil), nil},
	{"view_limited", OfficialConfig{}, clicks(Button{Type: "view_limited", MediaID: "m"}, nil), nil},
	{"article_id", OfficialConfig{}, clicks(Button{Type: "article_id", ArticleID: "a"}, nil), nil},
	{"article_view_limited", OfficialConfig{}, clicks(Button{Type: "article_view_limited", ArticleID: "a"}, nil), nil},
}

func only(_ *Report, err error) error { return err }

func sends(m Message) func(context.Context, *User) error {
	return func(ctx context.Context, u *User) error { return only(u.Send(ctx, m)) }
}

func clicks(b Button, in *ClickInput) func(context.Context, *User) error {
	b.Name = "按钮"
	return func(ctx context.Context, u *User) error {
		u.Official().SetMenu(&Menu{Buttons: []Button{{Name: "菜单", SubButtons: []Button{b}}}})
		_, err := u.Click(ctx, "菜单/按钮", in)
		return err
	}
}

// TestActions compares the push of every action byte for byte with a golden file and, but for
// values that are made up and for white space, with the documented example.
func TestActions(t *testing.T) {
	t.Parallel()
	invented := regexp.MustCompile(`(<(?:MsgId|Ticket|MediaId|ThumbMediaId|PicUrl|ThumbUrl|PicMd5Sum|FileKey|FileMd5)>(?:<!\[CDATA\[)?)[^\]<]*`)
	addressed := regexp.MustCompile(`(<(?:ToUserName|FromUserName|CreateTime)>(?:<!\[CDATA\[)?)[^\]<]*`)
	// What these examples have from an article, of a newer kind or with a stray blank.
	extra := regexp.MustCompile(`<(MsgDataId|Idx|MediaId16K)>.*?</(?:MsgDataId|Idx|MediaId16K)>`)
	between := regexp.MustCompile(`>\s+<`)
	for _, tt := range everyAction {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T) {
				w := newWorld(t, PlatformConfig{}, tt.official)
				u := w.official.AddFollower("小明")
				time.Sleep(500 * ms)
				if err := tt.do(t.Context(), u); err != nil {
					t.Fatal(err)
				}
				got := w.documents(t)
				if len(got) != len(tt.like) {
					t.Fatalf("%d pushes: %q", len(got), got)
				}
				var all bytes.Buffer
				for i, document := range got {
					document = invented.ReplaceAllString(document, "$1*")
					all.WriteString(document + "\n")
					name, without, _ := strings.Cut(tt.like[i], " -")
					if name == "" {
						continue
					}
					if !strings.Contains(name, "/") {
						name = "vectors/messages/" + name
					}
					example, err := os.ReadFile(filepath.Join("..", "testdata", name))
					if err != nil {
						t.Fatal(err)
					}
					normal := func(s string) string {
						s = between.ReplaceAllString(s, "><")
						s = extra.ReplaceAllString(addressed.ReplaceAllString(invented.ReplaceAllString(s, "$1*"), "$1*"), "")
						if without != "" {
							s = regexp.MustCompile("<"+without+">.*?</"+without+">").ReplaceAllString(s, "")
						}
						return strings.ReplaceAll(s, "[15 ]", "[15]")
					}
					if diff := cmp.Diff(normal(string(example)), normal(document)); diff != "" {
						t.Errorf("push %d and %s: -want +got\n%s", i+1, name, diff)
					}
				}
				golden(t, "actions/"+strings.NewReplacer(" ", "-", ",", "").Replace(tt.name)+".xml", all.Bytes())
			})
		})
	}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: -want +got\n%s", file, diff)
	}
}

// TestImpossible does what a phone would not let a user do. Nothing may be pushed.
func TestImpossible(t *testing.T) {
	t.Parallel()
	menu := &Menu{Buttons: []Button{
		{Type: "click", Name: "一", Key: "K1"},
		{Name: "二", SubButtons: []Button{{Type: "pic_sysphoto", Name: "甲", Key: "K2"}, {Type: "hologram", Name: "乙", Key: "K3"}}},
	}}
	for name, tt := range map[string]struct {
		do   func(ctx context.Context, follower, stranger *User) (any, error)
		want string
	}{
		"writing without following":  {func(ctx context.Context, _, u *User) (any, error) { return u.Say(ctx, "hi") }, "小红 does not follow the account"},
		"leaving without following":  {func(ctx context.Context, _, u *User) (any, error) { return u.Unfollow(ctx) }, "does not follow"},
		"scanning without following": {func(ctx context.Context, _, u *User) (any, error) { return u.Scan(ctx, "a") }, "does not follow"},
		"clicking without following": {func(ctx context.Context, _, u *User) (any, error) { return u.Click(ctx, "K1", nil) }, "does not follow"},
		"following twice":            {func(ctx context.Context, u, _ *User) (any, error) { return u.Follow(ctx) }, "follows the account already"},
		"following twice by a code":  {func(ctx context.Context, u, _ *User) (any, error) { return u.FollowByScene(ctx, "a") }, "use Scan"},
		"no code":                    {func(ctx context.Context, u, _ *User) (any, error) { return u.Scan(ctx, "") }, "no QR code is named"},
		"another account's code": {func(ctx context.Context, u, _ *User) (any, error) {
			return u.Scan(ctx, strings.Repeat("gQ", 48))
		}, "has no QR code with the ticket"},
		"no such button": {func(ctx context.Context, u, _ *User) (any, error) { return u.Click(ctx, "K9", nil) }, "it has 一, 二/甲, 二/乙"},
		"a submenu":      {func(ctx context.Context, u, _ *User) (any, error) { return u.Click(ctx, "二", nil) }, "can be tapped"},
		"unknown button": {func(ctx context.Context, u, _ *User) (any, error) { return u.Click(ctx, "K3", nil) }, `"hologram"`},
		"many photos": {func(ctx context.Context, u, _ *User) (any, error) {
			return u.Click(ctx, "#2.1", &ClickInput{Pictures: make([]Media, 2)})
		}, "one picture at a time"},
		"a photo of text": {func(ctx context.Context, u, _ *User) (any, error) {
			return u.Click(ctx, "K2", &ClickInput{Pictures: make([]Media, 1)})
		}, "sends pictures"},
		"no such link":   {func(ctx context.Context, u, _ *User) (any, error) { return u.Tap(ctx, "x") }, `there is no link "x"`},
		"no such entry":  {func(ctx context.Context, u, _ *User) (any, error) { return u.ChooseMenu(ctx, "x") }, `entry "x"`},
		"a thumb":        {func(ctx context.Context, u, _ *User) (any, error) { return u.SendMedia(ctx, Media{Type: "thumb"}, "") }, `"thumb"`},
		"nothing":        {func(ctx context.Context, u, _ *User) (any, error) { return u.Send(ctx, Message{}) }, "the message is empty"},
		"repeat nothing": {func(ctx context.Context, u, _ *User) (any, error) { return u.Official().Platform().Repeat(ctx, 7) }, "no exchange 7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, PlatformConfig{}, OfficialConfig{})
			w.official.SetMenu(menu)
			_, err := tt.do(t.Context(), w.official.AddFollower("小明"), w.official.AddUser("小红"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
			if len(w.pushes) != 0 || len(w.Exchanges()) != 0 {
				t.Errorf("there are pushes: %v", w.pushes)
			}
		})
	}
	w := newWorld(t, PlatformConfig{}, OfficialConfig{})
	if _, err := w.official.AddFollower("").Click(t.Context(), "K", nil); err == nil || !strings.Contains(err.Error(), "no menu") {
		t.Errorf("no menu: %v", err)
	}
}

// TestTap taps what a reply and a menu message offer.
func TestTap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, PlatformConfig{}, OfficialConfig{})
	u := w.official.AddFollower("小明")
	w.answer = func(rw http.ResponseWriter, p push) {
		w.answer = nil
		io.WriteString(rw, textReply(t, plainAccount, p, `结果 <a href="weixin://bizmsgmenu?msgmenucontent=取结果&msgmenuid=t_17">查看</a> 或 <a href="https://example.com/">网页</a>`))
	}
	ctx := t.Context()
	if _, err := u.Say(ctx, "慢"); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Tap(ctx, "网页"); err == nil || !strings.Contains(err.Error(), "opens https://example.com/") {
		t.Error(err)
	}
	r, err := u.Tap(ctx, "查看")
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.Platform.mu.Lock()
	u.receive(Bubble{From: FromAccount, Kind: "msgmenu", Way: WayAPI, Text: "满意吗", Entries: []MenuEntry{{"101", "满意"}, {"102", "不满意"}}})
	w.Platform.mu.Unlock()
	w.mu.Unlock()
	again, err := u.ChooseMenu(ctx, "不满意")
	if err != nil {
		t.Fatal(err)
	}
	for want, r := range map[string]*Report{"<![CDATA[取结果]]></Content>": r, "<![CDATA[t_17]]></bizmsgmenuid>": r, "<![CDATA[不满意]]></Content>": again, ">102</bizmsgmenuid>": again} {
		if !strings.Contains(string(r.Document), want) {
			t.Errorf("no %s in %s", want, r.Document)
		}
	}
	if b := u.Chat(); len(b) != 5 || b[2].Text != "取结果" || b[2].From != FromUser {
		t.Errorf("%v", b)
	}
}

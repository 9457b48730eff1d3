package wxapi_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/simulator"
	"github.com/echostr/echostr/wxapi"
)

// These tests let the client talk to the simulator, which was written without it.

type world struct {
	p *simulator.Platform
	o *simulator.Official
	u *simulator.User
	c *wxapi.Client
}

// inMemory calls a handler as if it were far away.
type inMemory struct{ h http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	defer func() {
		if recover() != nil {
			resp, err = nil, io.ErrUnexpectedEOF // http.ErrAbortHandler
		}
	}()
	w := httptest.NewRecorder()
	m.h.ServeHTTP(w, r)
	return w.Result(), nil
}

func newWorld(t *testing.T, kind simulator.Kind, verified bool, tokens wxapi.TokenKind) *world {
	t.Helper()
	success := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "success") })
	w := &world{p: simulator.NewPlatform(simulator.PlatformConfig{Transport: inMemory{success}})}
	var err error
	w.o, err = w.p.Add(simulator.OfficialConfig{
		Account: simulator.Account{URL: "http://server.test/wx", Token: "tokentokentoken", Mode: simulator.Plain, AppID: "wx0000000000000001"},
		Kind:    kind, Verified: verified, AppSecret: "appsecret",
	})
	if err != nil {
		t.Fatal(err)
	}
	w.u = w.o.AddFollower("小明")
	w.c, err = wxapi.New(wxapi.Config{
		AppID: "wx0000000000000001", AppSecret: wxapi.NewSecret("appsecret"), BaseURL: "http://127.0.0.1:8090", Transport: inMemory{w.p.API()}, TokenKind: tokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.u.Say(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	return w
}

func errcode(err error) int {
	if e, ok := errors.AsType[*wxapi.Error](err); ok {
		return e.Code
	}
	return 0
}

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSimulatorMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Service, true, wxapi.StableToken)
	ctx := t.Context()
	media, err := w.c.UploadMedia(ctx, "image", "图.png", bytes.NewReader(picture(t)))
	if err != nil {
		t.Fatal(err)
	}
	var back bytes.Buffer
	if file, err := w.c.GetMedia(ctx, media.ID, &back); err != nil || !bytes.Equal(back.Bytes(), picture(t)) || file.Size != int64(back.Len()) {
		t.Errorf("got %+v, %v", file, err)
	}
	if _, err := w.c.GetMedia(ctx, "other", io.Discard); errcode(err) != 40007 {
		t.Errorf("got %v", err)
	}
	text := "你好 <a href=\"https://e.test/?a=1&b=2\">看</a>\n\u2028😀"
	if err := w.c.Typing(ctx, w.u.OpenID()); err != nil {
		t.Error(err)
	}
	for _, send := range []func() error{
		func() error {
			return w.c.Send(ctx, w.u.OpenID(), echostr.Text(text), &wxapi.SendOptions{KfAccount: "a@b"})
		},
		func() error { return w.c.Send(ctx, w.u.OpenID(), echostr.Image(media.ID), nil) },
		func() error {
			return w.c.Send(ctx, w.u.OpenID(), echostr.News(echostr.Article{Title: "标题", URL: "https://e.test"}), nil)
		},
		func() error {
			return w.c.SendMessage(ctx, w.u.OpenID(), wxapi.MenuMessage{Head: "？", Entries: []wxapi.MenuEntry{{ID: "1", Content: "好"}}}, nil)
		},
		func() error { return w.c.SendMessage(ctx, w.u.OpenID(), wxapi.ArticleMessage{ArticleID: "A"}, nil) },
	} {
		if err := send(); err != nil {
			t.Error(err)
		}
	}
	chat := w.u.Chat()
	var kinds []string
	for _, b := range chat {
		if b.Way == simulator.WayAPI {
			kinds = append(kinds, b.Kind)
			if b.Kind == "text" && (b.Text != text || b.Agent != "a@b") {
				t.Errorf("the user reads %q of %q", b.Text, b.Agent)
			}
		}
	}
	if want := []string{"text", "image", "news", "msgmenu", "article"}; !slices.Equal(kinds, want) {
		t.Errorf("the user has got %v, want %v", kinds, want)
	}
	// Five were sent after one message.
	err = w.c.Send(ctx, w.u.OpenID(), echostr.Text("six"), nil)
	if e, ok := errors.AsType[*wxapi.Error](err); !ok || e.Code != 45047 || !e.UserMustAct() || e.RID == "" {
		t.Errorf("got %v", err)
	}
	if err := w.c.Send(ctx, "oNobody", echostr.Text("hi"), nil); errcode(err) != 40003 {
		t.Errorf("got %v", err)
	}
	if _, err := w.u.Unfollow(ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.c.Send(ctx, w.u.OpenID(), echostr.Text("hi"), nil); errcode(err) != 43004 {
		t.Errorf("got %v", err)
	}
}

func TestSimulatorCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Service, true, wxapi.PlainToken)
	ctx := t.Context()
	q, err := w.c.CreateQRCode(ctx, wxapi.Scene{Str: "海报"}, time.Hour)
	if err != nil || q.Ticket == "" || q.ExpireSeconds != 3600 {
		t.Errorf("got %+v, %v", q, err)
	}
	var picture bytes.Buffer
	if err := w.c.QRImage(ctx, q.Ticket, &picture); err != nil || picture.Len() == 0 {
		t.Errorf("no picture: %v", err)
	}
	if q, err := w.c.CreatePermanentQRCode(ctx, wxapi.Scene{ID: 7}); err != nil || q.ExpireSeconds != 0 {
		t.Errorf("got %+v, %v", q, err)
	}
	if _, err := w.c.Menus(ctx); errcode(err) != 46003 {
		t.Errorf("got %v", err)
	}
	buttons := []wxapi.Button{{Type: "click", Name: "歌", Key: "K"}, {Name: "更多", Entries: []wxapi.Button{{Type: "view", Name: "页", URL: "https://e.test/?a&b"}}}}
	if err := w.c.CreateMenu(ctx, buttons...); err != nil {
		t.Error(err)
	}
	menus, err := w.c.Menus(ctx)
	if err != nil || len(menus.Menu.Buttons) != 2 || menus.Menu.Buttons[1].Entries[0].URL != "https://e.test/?a&b" {
		t.Errorf("got %+v, %v", menus, err)
	}
	current, err := w.c.CurrentMenu(ctx)
	if err != nil || !current.Open || len(current.Buttons) != 2 || len(current.Buttons[1].Entries) != 1 {
		t.Errorf("got %+v, %v", current, err)
	}
	if err := w.c.DeleteMenu(ctx); err != nil {
		t.Error(err)
	}
	if u, err := w.c.User(ctx, w.u.OpenID()); err != nil || u.Subscribe != 1 || u.OpenID != w.u.OpenID() || u.SubscribeTime == 0 {
		t.Errorf("got %+v, %v", u, err)
	}
	if users, err := w.c.Users(ctx, w.u.OpenID()); err != nil || len(users) != 1 {
		t.Errorf("got %+v, %v", users, err)
	}
	w.o.AddFollower("小红")
	n := 0
	for _, err := range w.c.Followers(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d followers, want 2", n)
	}
	if ips, err := w.c.CallbackIPs(ctx); err != nil || len(ips) == 0 {
		t.Errorf("got %v, %v", ips, err)
	}
	if ips, err := w.c.APIServerIPs(ctx); err != nil || len(ips) == 0 {
		t.Errorf("got %v, %v", ips, err)
	}
	if check, err := w.c.CheckCallback(ctx, "CAP"); err != nil || len(check.DNS) != 1 || len(check.Ping) != 1 {
		t.Errorf("got %+v, %v", check, err)
	}
	if quota, err := w.c.Quota(ctx, "/cgi-bin/menu/create"); err != nil || quota.Used != 1 || quota.Remain != quota.DailyLimit-1 {
		t.Errorf("got %+v, %v", quota, err)
	}
	if err := w.c.ClearQuota(ctx); err != nil {
		t.Error(err)
	}
	if err := w.c.Call(ctx, http.MethodGet, "/cgi-bin/menu/create", nil, nil); errcode(err) != 43002 {
		t.Errorf("got %v", err)
	}
}

// tokenCalls is how often the simulator was asked for a token.
func (w *world) tokenCalls() (n int) {
	for _, call := range w.p.APICalls() {
		if strings.HasSuffix(call.Path, "token") {
			n++
		}
	}
	return n
}

func TestSimulatorTokens(t *testing.T) {
	t.Parallel()
	for _, kind := range []wxapi.TokenKind{wxapi.StableToken, wxapi.PlainToken} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simulator.Service, true, kind)
			all := func() {
				t.Helper()
				var wg sync.WaitGroup
				for range 64 {
					wg.Go(func() {
						if _, err := w.c.User(t.Context(), w.u.OpenID()); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
			}
			for i, spoil := range []func(){func() {}, w.o.RevokeTokens, w.o.ExpireTokens, func() { time.Sleep(119 * time.Minute) }, func() { time.Sleep(3 * time.Hour) }} {
				time.Sleep(10 * time.Second)
				spoil()
				all()
				synctest.Wait() // for a renewal in the background
				if n := w.tokenCalls(); n != i+1 {
					t.Errorf("%v: %d fetches after %d reasons for one", kind, n, i+1)
				}
			}
			// Within ten seconds after a fetch there is no other, so that nobody is flooded.
			w.o.RevokeTokens()
			if _, err := w.c.User(t.Context(), w.u.OpenID()); errcode(err) != 40001 {
				t.Errorf("%v: %v", kind, err)
			}
		})
	}
}

func TestSimulatorRefusals(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, simulator.Subscription, false, wxapi.StableToken)
	for i := range 5 {
		err := w.c.Send(ctx, w.u.OpenID(), echostr.Text("hi"), nil)
		if e, ok := errors.AsType[*wxapi.Error](err); !ok || e.Code != 48001 || e.Until.IsZero() != (i == 0) {
			t.Errorf("got %v", err)
		}
	}
	wrong, err := wxapi.New(wxapi.Config{AppID: "wx0000000000000001", AppSecret: wxapi.NewSecret("other"), BaseURL: "http://127.0.0.1:8090", Transport: inMemory{w.p.API()}})
	if err != nil {
		t.Fatal(err)
	}
	before := w.tokenCalls()
	for range 5 {
		if _, err := wrong.User(ctx, w.u.OpenID()); errcode(err) != 40125 {
			t.Errorf("got %v", err)
		}
	}
	if n := w.tokenCalls() - before; n != 1 {
		t.Errorf("%d fetches with a wrong AppSecret, want 1", n)
	}
}

func TestSimulatorFaults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for text, want := range map[string]wxapi.Outcome{
		"custom/send=-1*1": wxapi.OutcomeRefused, "custom/send=45015*1": wxapi.OutcomeRefused, "custom/send=html*1": wxapi.OutcomeUnknown, "custom/send=lose*1": wxapi.OutcomeUnknown,
		"token=html*1": wxapi.OutcomeDone, // the token is there already
	} {
		w := newWorld(t, simulator.Service, true, wxapi.StableToken)
		if _, err := w.c.Token(ctx); err != nil {
			t.Fatal(err)
		}
		fault, err := simulator.ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.p.SetFaults(fault); err != nil {
			t.Fatal(err)
		}
		if err = w.c.Send(ctx, w.u.OpenID(), echostr.Text("hi"), nil); wxapi.OutcomeOf(err) != want {
			t.Errorf("%s: %v (%v)", text, err, wxapi.OutcomeOf(err))
		}
		sends := 0
		for _, call := range w.p.APICalls() {
			if strings.HasSuffix(call.Path, "custom/send") {
				sends++
			}
		}
		if sends != 1 {
			t.Errorf("%s: the message was sent %d times", text, sends)
		}
	}
}

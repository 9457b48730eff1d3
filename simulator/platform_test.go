package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var ignoreIdentity = cmpopts.IgnoreFields(Bubble{}, "ID", "At", "Exchange")

// TestWhatTheUserSees answers a message and an event in every way.
func TestWhatTheUserSees(t *testing.T) {
	t.Parallel()
	const articles = `<MsgType>news</MsgType><ArticleCount>2</ArticleCount><Articles><item><Title>一</Title><Description>d</Description><PicUrl>http://p/</PicUrl><Url>http://u/</Url></item><item><Title>二</Title></item></Articles>`
	account := func(b Bubble) []Bubble { b.From, b.Way = FromAccount, WayPassive; return []Bubble{b} }
	notice := func(b Bubble) []Bubble { b.From = FromNotice; return []Bubble{b} }
	fault := notice(Bubble{Kind: "fault", Text: FaultNotice})
	for _, tt := range []struct {
		name, answer string // a reply without its head, or a whole answer
		event        bool
		want         []Bubble
	}{
		{"text", `<MsgType>text</MsgType><Content>a <![CDATA[<a href="http://x/">b</a>]]></Content>`, false, account(Bubble{
			Kind: "text", Text: `a <a href="http://x/">b</a>`, Spans: []Span{{Kind: SpanText, Text: "a "}, {Kind: SpanLink, Text: "b", URL: "http://x/"}},
		})},
		{"image", `<MsgType>image</MsgType><Image><MediaId>m</MediaId></Image>`, false, account(Bubble{Kind: "image", MediaID: "m"})},
		{"voice", `<MsgType>voice</MsgType><Voice><MediaId>m</MediaId></Voice>`, false, account(Bubble{Kind: "voice", MediaID: "m"})},
		{"video", `<MsgType>video</MsgType><Video><MediaId>m</MediaId><Title>t</Title></Video>`, false, account(Bubble{Kind: "video", MediaID: "m", Title: "t"})},
		{"music", `<MsgType>music</MsgType><Music><Title>t</Title><MusicUrl>http://m/</MusicUrl><HQMusicUrl>http://h/</HQMusicUrl><ThumbMediaId>m</ThumbMediaId></Music>`, false, account(Bubble{
			Kind: "music", Title: "t", MusicURL: "http://m/", HQMusicURL: "http://h/", ThumbMediaID: "m",
		})},
		{"two articles to an event", articles, true, account(Bubble{Kind: "news", Articles: []Article{{"一", "d", "http://p/", "http://u/"}, {Title: "二"}}})},
		{"two articles to a message", articles, false, fault},
		{"transfer", `<MsgType>transfer_customer_service</MsgType><TransInfo><KfAccount>a@b</KfAccount></TransInfo>`, false, []Bubble{{From: FromNotice, Way: WayPassive, Kind: "transfer", Text: "消息已转给人工客服 a@b", Agent: "a@b"}}},
		{"success", "success", false, nil},
		{"empty", "", false, nil},
		{"JSON", "{}", false, fault},
		{"JSON to an event", "{}", true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, PlatformConfig{}, OfficialConfig{})
			u := w.official.AddFollower("小明")
			w.answer = func(rw http.ResponseWriter, p push) {
				if !strings.HasPrefix(tt.answer, "<") {
					io.WriteString(rw, tt.answer)
					return
				}
				io.WriteString(rw, replyXML(plainAccount, u.OpenID(), plainAccount.OriginalID, tt.answer))
			}
			var err error
			if tt.event {
				_, err = u.Scan(t.Context(), "shop")
			} else {
				_, err = u.Say(t.Context(), "hi")
			}
			if err != nil {
				t.Fatal(err)
			}
			chat := u.Chat()
			if diff := cmp.Diff(tt.want, chat[1:], ignoreIdentity, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Span{}, "Source")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			for _, b := range chat[1:] {
				if b.Exchange != 1 || b.ID <= chat[0].ID || b.String() == "" {
					t.Errorf("%+v", b)
				}
			}
		})
	}
}

// TestLife follows one user from the first scan to the last push, at virtual times.
func TestLife(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		w := newWorld(t, PlatformConfig{}, OfficialConfig{Account: safeAccount})
		slow := func(d time.Duration) func(http.ResponseWriter, push) {
			return func(rw http.ResponseWriter, p push) {
				time.Sleep(d)
				io.WriteString(rw, textReply(t, safeAccount, p, "好"))
			}
		}
		u := w.official.AddUser("小明")
		if p := u.Profile(); p.Following || !p.FollowedAt.IsZero() || p.Nickname != "小明" || p.OpenID != u.OpenID() {
			t.Errorf("%+v", p)
		}
		ctx := t.Context()
		code := w.official.AddQRCode("门店 7")
		if _, err := u.FollowByScene(ctx, code.Ticket); err != nil {
			t.Fatal(err)
		}
		if p := u.Profile(); !p.Following || !p.FollowedAt.Equal(time.Now()) || p.SubscribeScene != "ADD_SCENE_QR_CODE" || p.QRScene != "门店 7" {
			t.Errorf("%+v", p)
		}
		if d := w.documents(t)[0]; !strings.Contains(d, "qrscene_门店 7]]") || !strings.Contains(d, code.Ticket) {
			t.Error(d)
		}

		// Two messages at the same time: the first waits for its second push.
		w.mu.Lock()
		w.answer = slow(3 * second)
		w.mu.Unlock()
		w.official.SetRules(Rules{Timeout: 2 * second, Pushes: 2})
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if r, err := u.Say(ctx, "一"); err != nil || r.Verdict.Problem != "timeout" || len(r.Pushes) != 2 {
				t.Errorf("%v %v", r, err)
			}
		})
		synctest.Wait()
		time.Sleep(second)
		w.mu.Lock()
		w.answer = nil
		w.mu.Unlock()
		if r, err := u.Say(ctx, "二"); err != nil || !r.Verdict.OK() {
			t.Errorf("%v %v", r, err)
		}
		half := w.Exchanges()
		if e := half[1]; !e.Ended.IsZero() || len(e.Report.Pushes) != 1 || e.Report.Pushes[0].Outcome != Pending || e.Summary != "text: 一" {
			t.Errorf("under way: %+v", e)
		}
		w.mu.Lock()
		w.answer = slow(3 * second)
		w.mu.Unlock()
		wg.Wait()
		if d := time.Since(begin); d != 4*second {
			t.Errorf("it took %v", d)
		}
		e, ok := w.Exchange(half[1].ID)
		if !ok || e.Ended.Sub(e.Begun) != 4*second || e.Report.Pushes[1].Outcome != Cut || len(half[1].Report.Pushes) != 1 {
			t.Errorf("%+v", e)
		}

		// Whoever has left sees nothing of what comes then, and cannot write.
		w.official.SetRules(Rules{})
		wg.Go(func() { u.Say(ctx, "三") })
		synctest.Wait()
		if _, err := u.Unfollow(ctx); err != nil {
			t.Error(err)
		}
		wg.Wait()
		chat := u.Chat()
		var kinds []string
		for _, b := range chat {
			kinds = append(kinds, string(b.From)+" "+b.Kind)
		}
		if diff := cmp.Diff([]string{"notice follow", "user text", "user text", "notice fault", "user text", "notice unfollow"}, kinds); diff != "" {
			t.Error(diff)
		}
		if u.Following() {
			t.Error("still following")
		}
		last := w.Exchanges()
		if opened, ok := last[3].Opened(1); !ok || !strings.Contains(string(opened), "好") {
			t.Errorf("opened: %s", opened)
		}
		if _, ok := last[0].Opened(1); ok {
			t.Error("success was opened")
		}

		// The same message again, and its captured bytes again.
		if r, err := w.Repeat(ctx, last[3].ID); err != nil || string(r.Document) != string(last[3].Report.Document) || r.Pushes[0].Request.URL == last[3].Report.Pushes[0].Request.URL {
			t.Errorf("Repeat: %v %v", r, err)
		}
		if r, err := w.Replay(ctx, last[3].ID); err != nil || r.Pushes[0].Request.URL != last[3].Report.Pushes[0].Request.URL {
			t.Errorf("Replay: %v %v", r, err)
		}
		if all := w.Exchanges(); !all[len(all)-1].Captured || len(u.Chat()) != len(chat) {
			t.Errorf("the user sees a replay: %v", u.Chat())
		}
	})
}

func TestMarkFail(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		w := newWorld(t, PlatformConfig{Rules: Rules{MarkFail: 5}}, OfficialConfig{})
		u, other := w.official.AddFollower(""), w.official.AddFollower("")
		broken := func(rw http.ResponseWriter, p push) { rw.WriteHeader(500) }
		say := func(u *User) *Report {
			t.Helper()
			r, err := u.Say(t.Context(), "hi")
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		w.answer = broken
		say(u) // three failures
		w.answer = nil
		say(u) // a good answer: the count begins anew
		w.answer = broken
		say(u)
		if r := say(u); len(r.Pushes) != 3 || r.Verdict.Problem != "status" {
			t.Errorf("the sixth failure: %v", r)
		}
		w.answer = nil
		begin := time.Now()
		for range 4 {
			r := say(other)
			if len(r.Pushes) != 0 || r.Verdict.Problem != "mark-fail" || r.Verdict.Sees != SeesFault || !strings.Contains(r.Verdict.Why, "5 pushes in a row") {
				t.Errorf("%v after %v: %v", len(r.Pushes), time.Since(begin), r)
			}
			time.Sleep(15 * second)
		}
		if r := say(other); !r.Verdict.OK() || len(r.Pushes) != 1 {
			t.Errorf("after a minute: %v", r)
		}
		w.official.SetRules(Rules{})
		w.answer = broken
		for range 10 {
			if r := say(u); len(r.Pushes) != 3 {
				t.Errorf("without MarkFail: %v", r)
			}
		}
	})
}

// TestFeed reads changes as a page does.
func TestFeed(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T) {
		w := newWorld(t, PlatformConfig{}, OfficialConfig{})
		begin := w.LastChange()
		u := w.official.AddFollower("小明")
		var kinds []string
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			last := begin
			for len(kinds) == 0 || kinds[len(kinds)-1] != "verdict" {
				changes, now, complete, changesErr := w.Changes(t.Context(), last)
				if !complete || changesErr != nil {
					err = fmt.Errorf("complete %v, %w", complete, changesErr)
					return
				}
				for _, c := range changes {
					if last++; c.ID != last || c.AppID != w.official.AppID() {
						err = fmt.Errorf("change %d is %+v", last, c)
					}
					kinds = append(kinds, string(c.Kind))
				}
				if last != now {
					err = fmt.Errorf("last is %d, and not %d", now, last)
				}
			}
		}()
		synctest.Wait()
		w.answer = func(rw http.ResponseWriter, p push) {
			synctest.Wait() // the reader has read what there is
			io.WriteString(rw, textReply(t, plainAccount, p, "好"))
		}
		if _, err := u.Say(t.Context(), "hi"); err != nil {
			t.Fatal(err)
		}
		<-done
		if diff := cmp.Diff([]string{"user", "exchange", "bubble", "push", "pushed", "bubble", "verdict"}, kinds); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}

		// The reader waits no longer than its context, and a slow one is told to begin anew.
		ctx, cancel := context.WithTimeout(t.Context(), second)
		defer cancel()
		after := w.LastChange()
		if _, _, _, err := w.Changes(ctx, after); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for range 3 * keptChanges {
			w.official.SetMenu(nil)
		}
		changes, last, complete, err := w.Changes(t.Context(), after)
		if complete || changes != nil || err != nil || last != w.LastChange() {
			t.Errorf("%d changes, last %d, complete %v, %v", len(changes), last, complete, err)
		}
		if changes, _, complete, _ = w.Changes(t.Context(), last-keptChanges); !complete || len(changes) != keptChanges {
			t.Errorf("%d changes, complete %v", len(changes), complete)
		}
		if _, _, complete, _ = w.Changes(t.Context(), last+1); complete {
			t.Error("a reader of the future is not told to begin anew")
		}
		if _, _, complete, _ = w.Changes(t.Context(), 0); complete {
			t.Error("a reader of another platform is not told to begin anew")
		}
	})
}

func TestSummary(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]Message{
		"text: a b":                              Text("a\nb"),
		"event CLICK: K":                         Click("K"),
		"event unsubscribe":                      Unsubscribe(),
		"event LOCATION":                         LocationEvent(1, 2, 3),
		"location: 1.000000, 2.000000 苏州":        Location(1, 2, 3, "苏州"),
		`link: title="t" url="http://x/"`:        Link("t", "", "http://x/"),
		"text: " + strings.Repeat("好", 64) + "…": Text(strings.Repeat("好", 65)),
	} {
		if got := summary(m, bubbleOf(m, m.document())); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestBounded sends more than is kept.
func TestBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, PlatformConfig{}, OfficialConfig{})
	u := w.official.AddFollower("")
	for i := range 3 * keptBubbles {
		if _, err := u.Say(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	chat, exchanges := u.Chat(), w.Exchanges()
	if len(chat) != keptBubbles || chat[len(chat)-1].Text != fmt.Sprint(3*keptBubbles-1) || len(u.chat) > 2*keptBubbles {
		t.Errorf("%d bubbles, %d in memory", len(chat), len(u.chat))
	}
	if len(exchanges) != keptExchanges || exchanges[0].ID != 3*keptBubbles-keptExchanges+1 || exchanges[len(exchanges)-1].ID != 3*keptBubbles {
		t.Errorf("%d exchanges from %d", len(exchanges), exchanges[0].ID)
	}
	if _, ok := w.Exchange(1); ok {
		t.Error("the first exchange is still there")
	}
	if _, ok := w.Exchange(3*keptBubbles + 1); ok {
		t.Error("there is an exchange that never was")
	}

	few := newWorld(t, PlatformConfig{KeptBubbles: 3}, OfficialConfig{})
	v := few.official.AddFollower("")
	for i := range 20 {
		if _, err := v.Say(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if chat := v.Chat(); len(chat) != 3 || chat[2].Text != "19" || len(v.chat) > 6 {
		t.Errorf("%d bubbles, %d in memory, the last is %v", len(chat), len(v.chat), chat[len(chat)-1])
	}

	// Long answers leave less of them.
	const most = 4 << 20
	w.Platform.exchanges.most = most
	w.answer = func(rw http.ResponseWriter, p push) { rw.Write(make([]byte, maxBody+100)) }
	for range 8 {
		if r, err := u.Say(t.Context(), "hi"); err != nil || r.Verdict.Problem != "too-large" {
			t.Fatal(r.Verdict, err)
		}
	}
	bytes := 0
	for _, e := range w.Exchanges() {
		bytes += len(e.Report.Document) + len(e.Report.Pushes[0].Body) + e.Report.Pushes[0].Request.size()
	}
	if bytes > most || bytes < most-2*maxBody || bytes != w.Platform.exchanges.bytes {
		t.Errorf("%d bytes are kept, by the count %d", bytes, w.Platform.exchanges.bytes)
	}
}

func TestConfigure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, PlatformConfig{}, OfficialConfig{})
	c := w.official.Config()
	if c.Account.AppID != "wxec40570000000001" || c.Account.OriginalID != plainAccount.OriginalID || c.Kind != Subscription || len(c.AppSecret) != 32 || w.Official(c.Account.AppID) != w.official {
		t.Errorf("%#v", c)
	}
	second, err := w.Add(OfficialConfig{Account: Account{URL: "http://x/", Token: "canaryToken12345", Mode: Plain}, Kind: Service})
	if err != nil || second.Config().Account.OriginalID != "gh_ec4057000002" || len(w.Officials()) != 2 {
		t.Errorf("%v %v", second, err)
	}
	if a, b := w.official.AddUser(""), second.AddUser(""); a.OpenID() == b.OpenID() || len(a.OpenID()) != 28 || second.User(b.OpenID()) != b || second.User(a.OpenID()) != nil || len(second.Users()) != 1 {
		t.Errorf("OpenIDs %s, %s", a.OpenID(), b.OpenID())
	}
	for name, bad := range map[string]OfficialConfig{
		"no URL":       {Account: Account{Token: "x", Mode: Plain}},
		"no token":     {Account: Account{URL: "http://x/", Mode: Plain}},
		"kind":         {Account: plainAccount, Kind: "x"},
		"same AppID":   {Account: Account{URL: "http://x/", Token: "x", Mode: Plain, AppID: c.Account.AppID}},
		"same gh":      {Account: plainAccount},
		"no AES key":   {Account: Account{URL: "http://x/", Token: "x", Mode: Safe}},
		"unknown mode": {Account: Account{URL: "http://x/", Token: "x", Mode: "x"}},
	} {
		if _, err := w.Add(bad); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	safe := OfficialConfig{Name: "新名", Account: Account{Mode: Safe, EncodingAESKey: safeAccount.EncodingAESKey}, Verified: true}
	if err := w.official.Configure(safe); err != nil {
		t.Fatal(err)
	}
	got := w.official.Config()
	if got.Name != "新名" || got.Account.Mode != Safe || got.Account.Token != plainAccount.Token || !got.Verified || got.AppSecret != c.AppSecret {
		t.Errorf("%#v", got)
	}
	if err := w.official.Configure(OfficialConfig{Account: Account{AppID: "wxother"}}); err == nil {
		t.Error("the AppID was changed")
	}
	if err := w.official.Configure(OfficialConfig{Account: Account{URL: "ftp://x/"}}); err == nil {
		t.Error("ftp")
	}
	u := w.official.AddFollower("")
	if r, err := u.Say(t.Context(), "hi"); err != nil || !r.Verdict.OK() {
		t.Errorf("%v %v", r, err)
	}
	if !strings.Contains(w.pushes[0].body, "<Encrypt>") {
		t.Error("the new mode does not count")
	}
	w.official.SetRules(Rules{Pushes: 4})
	if r := w.official.Rules(); r.Pushes != 4 || r.Timeout != 5*time.Second {
		t.Errorf("%+v", r)
	}
	w.answer = func(rw http.ResponseWriter, p push) { io.WriteString(rw, p.query.Get("echostr")) }
	if check, err := w.official.Verify(t.Context()); err != nil || !check.OK() {
		t.Errorf("%v %v", check, err)
	}
	for _, text := range []string{fmt.Sprint(got), fmt.Sprintf("%+v", got), fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", &got), fmt.Sprintf("%+v %+v %+v", w.official, w.Platform, u), fmt.Sprintf("%#v", w.official), fmt.Sprintf("%+v", w.Exchanges())} {
		if strings.Contains(text, got.AppSecret) || strings.Contains(text, "canary") {
			t.Errorf("a secret is printed: %s", text)
		}
	}
}

// TestConcurrent does everything at the same time, for the race detector.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, PlatformConfig{}, OfficialConfig{Account: safeAccount})
	o := w.official
	o.SetMenu(&Menu{Buttons: []Button{{Type: "pic_weixin", Name: "照片", Key: "P"}}})
	ctx := t.Context()
	users := []*User{o.AddFollower(""), o.AddFollower("")}
	var wg sync.WaitGroup
	for _, do := range []func(i int) error{
		func(i int) error { return only(users[i%2].Say(ctx, "hi")) },
		func(i int) error { _, err := users[i%2].Click(ctx, "P", nil); return err },
		func(i int) error { return only(users[i%2].Scan(ctx, fmt.Sprint(i%3))) },
		func(i int) error { return only(o.AddUser("").Follow(ctx)) },
		func(i int) error { return o.Configure(OfficialConfig{Name: fmt.Sprint(i)}) },
		func(i int) error { o.SetRules(Rules{Pushes: 3 + i%2, MarkFail: i % 2 * 100}); return nil },
		func(i int) error { w.Record(); return nil },
		func(i int) error {
			_ = fmt.Sprint(o, users, o.AppID(), o.Menu(), o.QRCodes(), o.Users(), users[0].Chat(), users[0].Profile())
			return nil
		},
		func(i int) error { _, _, _, err := w.Changes(ctx, w.LastChange()-1); return err },
	} {
		wg.Go(func() {
			for i := range 30 {
				if err := do(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, e := range w.Exchanges() {
		if e.Ended.IsZero() || !e.Report.Verdict.OK() || len(e.Report.Pushes) != 1 {
			t.Errorf("%s: %v", e.Summary, &e.Report)
		}
	}
	if all := w.Exchanges(); len(all) != 30*5 || len(o.Users()) != 32 {
		t.Errorf("%d exchanges, %d users", len(all), len(o.Users()))
	}
}

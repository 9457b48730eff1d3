package page_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/echostr/echostr/simulator"
)

// silent answers texts, and success to everything else.
func silent(w http.ResponseWriter, r *http.Request) {
	var m testPush
	switch {
	case r.Method == http.MethodGet:
		fmt.Fprint(w, r.URL.Query().Get("echostr"))
	case xml.NewDecoder(r.Body).Decode(&m) != nil || m.Content == "bad":
		http.Error(w, "an error", http.StatusInternalServerError)
	case m.MsgType == "text":
		fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1400000000</CreateTime><MsgType>text</MsgType><Content>%s</Content></xml>",
			m.FromUserName, m.ToUserName, m.Content)
	default:
		fmt.Fprint(w, "success")
	}
}

// TestRowsAlign has rows with a reply, with an error and with neither: their axes stand below
// each other, and the kind of the message can be read.
func TestRowsAlign(t *testing.T) {
	t.Parallel()
	w := newWorld(t, http.HandlerFunc(silent))
	ctx := t.Context()
	for _, step := range []func() error{
		func() error { _, err := w.ming.Say(ctx, "你好"); return err },
		func() error { _, err := w.ming.Click(ctx, "TODAY", nil); return err },
		func() error { _, err := w.ming.Say(ctx, "bad"); return err },
		func() error { _, err := w.ming.Unfollow(ctx); return err },
		func() error { _, err := w.ming.Follow(ctx); return err },
		func() error { _, err := w.ming.Say(ctx, strings.Repeat("很长的话", 30)); return err },
		func() error { _, err := w.ming.Send(ctx, simulator.Image("", "")); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	p := openTab(t, w.url, 1280, 860, "good")
	p.wait("all rows are there", `document.querySelectorAll('.row .axis').length === 7`)
	for _, language := range []string{"zh", "en"} {
		if language == "en" {
			p.click("#language")
			p.wait("the page is English", `document.documentElement.lang === 'en'`)
		}
		for _, width := range []int64{1280, 390} {
			p.do("resize", chromedp.EmulateViewport(width, 844))
			if width == 390 {
				p.click("#tab-wire")
			}
			p.fits(fmt.Sprint("the rows in ", language, " at ", width))
			got := eval[[]string](p, `[...new Set([...document.querySelectorAll('.row .axis')].map((a) => { const r = a.getBoundingClientRect(); return r.x.toFixed(1) + '+' + r.width.toFixed(1); }))]`)
			if len(got) != 1 {
				t.Errorf("%s at %d px: the axes are at %q", language, width, got)
			}
			if bad := eval[[]string](p, `[...document.querySelectorAll('.row')].filter((row) => {
				const axis = row.querySelector('.axis').getBoundingClientRect(), kind = row.querySelector('.kind');
				return axis.width < row.clientWidth * 0.9 || axis.top < row.querySelector('.head').getBoundingClientRect().bottom || kind.scrollWidth > kind.clientWidth;
			}).map((row) => row.textContent)`); len(bad) > 0 {
				t.Errorf("%s at %d px: these rows are crowded: %q", language, width, bad)
			}
		}
	}
}

// TestFaultChoices requires that each of the choices can be read.
func TestFaultChoices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := openTab(t, w.url, 390, 844, "good")
	for _, language := range []string{"zh", "en"} {
		if language == "en" {
			p.click("#settings header .icon-button")
			p.click("#language")
		}
		p.click("#open-settings")
		if bad := eval[[]string](p, `[...document.querySelectorAll('.new-fault select')].map((select) => {
			const free = select.cloneNode(true);
			select.parentNode.after(free); // where it is as wide as its widest choice
			free.style.cssText = 'padding: 7px 9px; border: 1px solid';
			const needs = free.getBoundingClientRect().width, has = select.getBoundingClientRect().width;
			free.remove();
			return needs > has + 1 ? select.id + ' needs ' + needs + ' and has ' + has : '';
		}).filter(Boolean)`); len(bad) > 0 {
			t.Errorf("%s: the words do not fit into %q", language, bad)
		}
		words := eval[string](p, `document.querySelector('#fault-what').textContent`)
		if want := map[string]string{"zh": "45047 能发的条数用完了", "en": "45047 no message left to send"}[language]; !strings.Contains(words, want) {
			t.Errorf("the faults are %s", words)
		}
	}
}

// TestSettingsAgain opens the settings in the moment in which they are closed: the browser tells
// the page of that later.
func TestSettingsAgain(t *testing.T) {
	t.Parallel()
	p := openTab(t, newWorld(t, nil).url, 390, 844, "good")
	p.click("#open-settings")
	for range 3 {
		if got := eval[int](p, `(() => {
			document.querySelector('#settings header .icon-button').click();
			document.querySelector('#open-settings').click();
			return document.querySelectorAll('#settings[open] #fault-what').length;
		})()`); got != 1 {
			t.Fatalf("%d settings are open, and not one", got)
		}
	}
	time.Sleep(100 * time.Millisecond) // the browser tells of those that were closed
	if got := eval[int](p, `document.querySelectorAll('#settings[open]').length`); got != 1 {
		t.Errorf("then %d settings are open, and not one", got)
	}
}

// TestWindows is about what the account may still send: nothing at all by an API that it has
// not, and otherwise until a day that is named.
func TestWindows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if _, err := w.ming.Say(t.Context(), "你好"); err != nil {
		t.Fatal(err)
	}
	send := func() int {
		c := w.official.Config()
		call := func(path, body string) []byte {
			answer := httptest.NewRecorder()
			w.platform.API().ServeHTTP(answer, httptest.NewRequest("POST", "http://localhost"+path, strings.NewReader(body)))
			return answer.Body.Bytes()
		}
		var got struct {
			Token   string `json:"access_token"`
			Errcode int
		}
		if err := json.Unmarshal(call("/cgi-bin/stable_token", fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q}`, c.Account.AppID, c.AppSecret)), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(call("/cgi-bin/message/custom/send?access_token="+got.Token, fmt.Sprintf(`{"touser":%q,"msgtype":"text","text":{"content":"x"}}`, w.ming.OpenID())), &got); err != nil {
			t.Fatal(err)
		}
		return got.Errcode
	}
	p := openTab(t, w.url, 390, 844, "good")
	p.click("#open-settings")
	for _, kind := range []simulator.Kind{simulator.Subscription, simulator.Service} {
		for _, verified := range []bool{false, true} {
			c := simulator.OfficialConfig{Kind: kind, Verified: verified}
			if err := w.official.Configure(c); err != nil {
				t.Fatal(err)
			}
			code := send()
			if verified != (code == 0) || !verified && code != 48001 {
				t.Fatalf("%s, verified %v: errcode %d", kind, verified, code)
			}
			says := `document.querySelector('#windows')?.textContent`
			if verified {
				p.wait("the page says how many, and until which day", says+`?.match(/还能发 \d 条，到 \d+月\d+日 \d\d:\d\d$/)`)
			} else {
				p.wait("the page says that there is no such API", says+`?.includes('48001') && !`+says+`.includes('还能发')`)
			}
			p.fits("the drawer")
		}
	}
	// A moment of today has no date.
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`import('/assets/dom.js').then((m) => { const now = new Date(2026, 10, 22, 9, 13); return [m.moment(new Date(2026, 10, 22, 9, 14), now), m.moment(new Date(2026, 10, 23, 9, 13), now)].join(); })`, chromedp.EvalAwaitPromise))
	if err != nil || got != "09:14,11月23日 09:13" {
		t.Errorf("today and tomorrow are %q: %v", got, err)
	}
}

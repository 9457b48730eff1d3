package page_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/echostr/echostr/simulator"
)

// forgetful is a server that does not know a push again. What it does the second time depends
// on what was said.
type forgetful struct {
	mu    sync.Mutex
	times map[string]int // by content
}

func (b *forgetful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		fmt.Fprint(w, r.URL.Query().Get("echostr"))
		return
	}
	var m testPush
	if xml.NewDecoder(r.Body).Decode(&m) != nil {
		http.Error(w, "not XML", http.StatusForbidden)
		return
	}
	b.mu.Lock()
	if b.times == nil {
		b.times = map[string]int{}
	}
	b.times[m.Content]++
	n := b.times[m.Content]
	b.mu.Unlock()
	reply := func(content string, at int) {
		fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime><MsgType>text</MsgType><Content>%s</Content></xml>",
			m.FromUserName, m.ToUserName, at, content)
	}
	first := n == 1
	switch {
	case m.Content == "count":
		reply(fmt.Sprint("第 ", n, " 次"), 1)
	case m.Content == "clock":
		reply("好", n)
	case m.Content == "nothing", m.Content == "late" && first, m.Content == "once" && !first:
		fmt.Fprint(w, "success")
	case m.Content == "refuse" && !first, m.Content == "always refuse":
		http.Error(w, "too old", http.StatusForbidden)
	case m.Content == "error" && !first:
		http.Error(w, "duplicate key", http.StatusInternalServerError)
	case m.Content == "mended" && first:
		fmt.Fprint(w, "{}")
	default:
		reply("好", 1)
	}
}

type replay struct {
	Of     int64
	Result string
}

// replayed reads what the page is told of an exchange, in the details and in the list.
func (w *world) replayed(id int64) *replay {
	w.t.Helper()
	var one struct{ Replay *replay }
	var state struct {
		Exchanges []struct {
			ID     int64
			Replay *replay
		}
	}
	_, text := w.ask("GET", fmt.Sprint("/api/exchanges/", id), "")
	_, all := w.ask("GET", "/api/state", "")
	if json.Unmarshal([]byte(text), &one) != nil || json.Unmarshal([]byte(all), &state) != nil {
		w.t.Fatal(text, all)
	}
	for _, e := range state.Exchanges {
		if e.ID == id && gocmp.Equal(e.Replay, one.Replay) {
			return one.Replay
		}
	}
	w.t.Fatalf("the list does not say the same of %d: %s\n%s", id, text, all)
	return nil
}

// TestReplayResult compares the answers to the same bytes.
func TestReplayResult(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ says, want string }{
		{"你好", "same"},
		{"nothing", "same"},
		{"clock", "anew"},
		{"count", "twice"},
		{"late", "twice"},
		{"once", "silent"},
		{"refuse", "early"},
		{"always refuse", ""},
		{"mended", "unclear"},
		{"error", ""}, // the verdict says what is wrong
	} {
		t.Run(tt.says, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, new(forgetful))
			if _, err := w.ming.Say(t.Context(), tt.says); err != nil {
				t.Fatal(err)
			}
			if _, err := w.platform.Replay(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if _, err := w.platform.Replay(t.Context(), 2); err != nil { // a replay of a replay is one of the first
				t.Fatal(err)
			}
			if got := w.replayed(1); got != nil {
				t.Errorf("the message itself counts as a replay: %+v", got)
			}
			if got := w.replayed(2); got == nil || *got != (replay{1, tt.want}) {
				t.Errorf("the replay is %+v, want %q of 1", got, tt.want)
			}
			if got := w.replayed(3); got == nil || got.Of != 1 {
				t.Errorf("the replay of the replay is %+v, and not one of 1", got)
			}
		})
	}
}

// TestResendResult sends other bytes: there is nothing to compare them with.
func TestResendResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t, new(forgetful))
	if _, err := w.ming.Say(t.Context(), "你好"); err != nil {
		t.Fatal(err)
	}
	request := w.platform.Exchanges()[0].Report.Pushes[0].Request
	for i, tt := range []struct {
		body string
		want replay
	}{
		{strings.Replace(string(request.Body), "你好", "改过", 1), replay{0, "taken"}},
		{"no XML", replay{0, "refused"}},
		{string(request.Body), replay{1, "same"}}, // not changed after all
	} {
		if _, err := w.platform.Resend(t.Context(), 1, simulator.Request{Method: "POST", URL: request.URL, Header: request.Header, Body: []byte(tt.body)}); err != nil {
			t.Fatal(err)
		}
		if got := w.replayed(int64(i + 2)); got == nil || *got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.body, got, tt.want)
		}
	}
}

// TestReplay presses the button: the page says whether the message was handled twice, and never
// that a user sees what comes of it.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, new(forgetful))
	p := openTab(t, w.url, 390, 844, "good")
	for i, tt := range []struct{ says, result, mood, chinese, english string }{
		{"你好", "same", "good", "和第一次的应答相同：好", "The same answer as the first time: good"},
		{"count", "twice", "bad", "可能处理了两次", "perhaps it was handled twice"},
		{"refuse", "early", "bad", "刚收下的推送，再来就拒绝（状态码 403）", "it would refuse WeChat's retries, too"},
	} {
		if _, err := w.ming.Say(t.Context(), tt.says); err != nil {
			t.Fatal(err)
		}
		first, second := 2*i+1, 2*i+2
		eval[bool](p, fmt.Sprintf(`(location.hash = 'exchange/%d', true)`, first))
		p.click("#tab-wire")
		p.wait("the message is shown", fmt.Sprintf(`document.querySelector('.detail-top h2')?.textContent.startsWith('#%d ')`, first))
		p.click(`[data-tool="replay"]`)
		verdict := fmt.Sprintf(`.verdict.%s[data-replay=%q]`, tt.mood, tt.result)
		p.wait("it says whether it was handled twice", fmt.Sprintf(`document.querySelector(%s)?.textContent.includes(%s)`, quote(verdict), quote(tt.chinese)))
		p.wait("it says what was replayed", fmt.Sprintf(`document.querySelector('.wire-detail .facts').textContent.includes('#%d 的原样重放')`, first))
		p.fits("the replay in Chinese")
		p.click("#language")
		p.wait("in English, too", fmt.Sprintf(`document.querySelector(%s)?.textContent.includes(%s)`, quote(verdict), quote(tt.english)))
		p.fits("the replay in English")
		if text := eval[string](p, `document.querySelector('.wire-detail').innerText`); strings.Contains(text, "The user sees") || !strings.Contains(text, "no user sees") {
			t.Errorf("the replay of %s contradicts itself:\n%s", tt.says, text)
		}
		p.click("#language")
		p.click(".detail-top .icon-button")
		p.wait("the row says the same", fmt.Sprintf(`document.querySelector('[data-exchange="%d"][data-mood=%q] .outcome')?.textContent.includes(%s)`, second, tt.mood, quote(tt.chinese)))
		p.fits("the rows")
	}
}

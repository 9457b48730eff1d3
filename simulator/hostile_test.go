package simulator

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestLongTexts reads what is long and made so that it is read again and again. That would take
// minutes, on a fast machine, and is less than a second's work otherwise.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	for what, read := range map[string]func(){
		"anchors that lead nowhere": func() {
			text := strings.Repeat("<a href=x>", 10_000) + "</a>"
			checkSpans(t, text, parseText(text))
		},
		"brackets behind an address": func() {
			if got := trimAddress("http://a" + strings.Repeat(")", 3<<20)); got != "http://a" {
				t.Errorf("%d bytes are left", len(got))
			}
		},
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			read()
		}()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatalf("%s: it takes time that grows with the square of the length", what)
		}
	}
}

// TestManyPieces reads a text in very many pieces. What copied it for each would need a thousand
// times as much memory.
func TestManyPieces(t *testing.T) { // not parallel: it counts what the process allocates
	const pieces = 20_000
	document := []byte("<xml><Content>" + strings.Repeat("a<!---->", pieces) + "</Content></xml>")
	for what, read := range map[string]func() (string, error){
		"parseXML": func() (string, error) {
			doc, err := parseXML(document)
			return doc.value("Content"), err
		},
		"Raw": func() (string, error) {
			m, err := Raw(document, RawOptions{})
			return m.raw.text("Content"), err
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		text, err := read()
		runtime.ReadMemStats(&after)
		if err != nil || len(text) != pieces {
			t.Errorf("%s: %d bytes, %v", what, len(text), err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 100*uint64(len(document)) {
			t.Errorf("%s: %d bytes are allocated to read %d", what, n, len(document))
		}
	}
}

// TestLongBubbles lets every text of a bubble be long, by every way.
func TestLongBubbles(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	long := strings.Repeat("长", 60_000)
	check := func(what string) {
		t.Helper()
		chat := a.user.Chat()
		b := chat[len(chat)-1]
		if size := len(fmt.Sprintf("%+v", b)); size > 3*maxBubble {
			t.Errorf("%s: a bubble of %d bytes", what, size)
		}
		checkSpans(t, b.Text, b.Spans)
		if !strings.Contains(fmt.Sprint(b), "长…") {
			t.Errorf("%s: nothing tells that it was cut: %s", what, b)
		}
	}
	a.says(long)
	check("a user's text")
	entries := strings.TrimSuffix(strings.Repeat(`{"id":"1","content":"`+strings.Repeat("长", 100)+`"},`, 1000), ",")
	a.want("msgmenu", a.send(`"msgtype":"msgmenu","msgmenu":{"head_content":"`+long+`","list":[`+entries+`],"tail_content":"`+long+`"}`), 0)
	check("msgmenu")
	a.want("news", a.send(`"msgtype":"news","news":{"articles":[{"title":"`+long+`","description":"`+long+`","url":"http://u","picurl":"http://p"}]}`), 0)
	check("news")

	w := newWorld(t, PlatformConfig{}, OfficialConfig{})
	u := w.official.AddFollower("")
	w.Platform.exchanges.most = 2 << 20
	w.answer = func(rw http.ResponseWriter, p push) {
		rw.Header().Set("X-Long", strings.Repeat("x", 100_000))
		io.WriteString(rw, replyXML(plainAccount, u.OpenID(), plainAccount.OriginalID, "<MsgType>video</MsgType><Video><MediaId>m</MediaId>"+cdata("Title", long)+"</Video>"))
	}
	for range 10 {
		r, err := u.Say(t.Context(), "hi")
		if err != nil || len(r.Verdict.Reply.Title) != len(long) {
			t.Fatal(err, r.Verdict)
		}
	}
	kept := 0
	for _, e := range w.Exchanges() {
		kept += len(e.Report.Document) + len(e.Report.Pushes[0].Body) + 100_000 + len(e.Report.Verdict.Reply.Document) + len(e.Report.Verdict.Reply.Title)
	}
	if most := w.Platform.exchanges.most; kept > most || kept < most/2 {
		t.Errorf("%d bytes are kept, with a bound of %d", kept, most)
	}
	a.user = u
	check("a reply")
}

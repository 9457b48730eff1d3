package callback

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/store"
)

var linkOf = regexp.MustCompile(`<a href="weixin://bizmsgmenu\?msgmenucontent=([^&"]*)&msgmenuid=([^&"]*)">([^<]*)</a>$`)

// What a tap on a link says is read as what the link stands for, for every code and page.
func TestLinkIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var key store.Key
		copy(key[:], rapid.SliceOfN(rapid.Byte(), len(key), len(key)).Draw(t, "key"))
		code := codeOf(key, rapid.IntRange(2, 8).Draw(t, "length"))
		number := rapid.IntRange(1, 9999).Draw(t, "page")
		l := link("", key, code, number)
		m := linkOf.FindStringSubmatch(l)
		if m == nil || m[3] != m[1] {
			t.Fatalf("%q is no link that says what it sends", l)
		}
		for _, content := range []string{m[1], " " + strings.ToLower(m[1]) + "\n", strings.ReplaceAll(m[1], " ", "")} {
			if c, n, ok := readFetch(content); !ok || c != code || n != number {
				t.Fatalf("%q is read as %q, %d, %v", content, c, n, ok)
			}
		}
		if readMenuID(m[2]) != key {
			t.Fatalf("the id %q is not the key's", m[2])
		}
		if longer := codeOf(key, 8); !strings.HasPrefix(longer, code) {
			t.Fatalf("the codes %q and %q of one key differ", code, longer)
		}
		if next := "\n\n" + link(fmt.Sprintf("继续看（%d/%d）", 9999, 9999), key, codeOf(key, 8), 9999); len(next) > linkRoom {
			t.Fatalf("a link has %d bytes", len(next))
		}
		if next := "\n\n" + link(unfinished, key, codeOf(key, 8), 1); len(next) > linkRoom {
			t.Fatalf("a link has %d bytes", len(next))
		}
	})
}

func TestOtherTextsAreNoTaps(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		"", "查看回答", "查看回答 ", "查看回答 A", "查看回答 ABCDEFGHJ", "查看回答 10", "查看回答 AB-", "查看回答 AB-x", "查看回答 AB-12345",
		"请查看回答 AB", "查看回答 AB 谢谢", "查看回答 A B", "查看 AB", "继续", "查看回答吗",
	} {
		if code, n, ok := readFetch(content); ok {
			t.Errorf("%q is taken for a tap on %q, page %d", content, code, n)
		}
	}
}

// drawText is a text with all that is hard to cut, of up to some size.
func drawText(t *rapid.T, most int) string {
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{
		"今天天气很好", "，", "。", "！", "\n", "\n\n", " ", "word ", "a", "👨‍👩‍👧‍👦", "🇨🇳", "é", "e\u0301\u0301", "\u3000", "\t",
		" https://example.com/a?b=c&d=" + strings.Repeat("x", 90) + " ", " www.example.com/路径 ", `<a href="https://example.com/` + strings.Repeat("y", 60) + `">这里有链接</a>`,
		"<b>", "&amp;", "]]>", "```\n    code()\n```\n", "\xff", strings.Repeat("长", 120), strings.Repeat("z", 300), strings.Repeat(" ", 700), strings.Repeat("w", 2500),
	}), 0, 25).Draw(t, "pieces")
	return strings.Repeat(strings.Join(pieces, ""), rapid.IntRange(1, most).Draw(t, "times"))
}

// answeredWith is the row of a message that was answered with a text.
func answeredWith(text string) *store.Turn {
	var key store.Key
	for i := range key {
		key[i] = byte(41 * i)
	}
	row := &store.Turn{Key: key, Code: codeOf(key, 8), State: store.Answered, MsgType: "text", OpenID: "o", OriginalID: "gh_1"}
	row.Reply = string(echostr.AppendReply(nil, echostr.Text(text), addressOf(row)))
	return row
}

func withoutSpace(s string) string { return strings.Join(strings.Fields(s), "") }

// readPages reads a row's answer page by page as a user does, who follows the links, and returns all of it.
func readPages(t *rapid.T, row *store.Turn) string {
	var all strings.Builder
	pages := pagesLeft(row)
	for number := 1; ; number++ {
		r, ok := page(row, number)
		text, isText := r.(echostr.TextReply)
		if !ok || !isText {
			t.Fatalf("there is no page %d of %d", number, pages)
		}
		if len(text.Content) > echostr.MaxTextBytes || !utf8.ValidString(text.Content) || text.Content == "" {
			t.Fatalf("page %d cannot be sent: %d bytes, %q", number, len(text.Content), text.Content)
		}
		m := linkOf.FindStringSubmatchIndex(text.Content)
		if number == pages {
			all.WriteString(text.Content)
			break
		}
		if m == nil {
			t.Fatalf("page %d of %d has no link to the next", number, pages)
		}
		if code, next, ok := readFetch(text.Content[m[2]:m[3]]); !ok || code != row.Code || next != number+1 {
			t.Fatalf("the link of page %d leads to %d of %q", number, next, code)
		}
		all.WriteString(text.Content[:m[0]])
	}
	for _, number := range []int{-1, 0, pages + 1} {
		if _, ok := page(row, number); ok {
			t.Fatalf("there is a page %d of %d", number, pages)
		}
	}
	return all.String()
}

// cutIn returns what of a text was cut that must not be.
func cutIn(text, read string) string {
	for _, whole := range []string{"https://example.com/a?b=c&d=" + strings.Repeat("x", 90), `<a href="https://example.com/` + strings.Repeat("y", 60) + `">这里有链接</a>`, "👨‍👩‍👧‍👦", "🇨🇳"} {
		if strings.Count(text, whole) != strings.Count(read, whole) {
			return whole
		}
	}
	return ""
}

// The pages of an answer are all of it, in order, each fit to be sent and with the way to the next one, and
// no link, URL or emoji is cut.
func TestPages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		row := answeredWith(drawText(t, 3))
		text, _ := textOf(row.Reply)
		if strings.TrimSpace(text) == "" {
			return // such a reply is not stored
		}
		read := readPages(t, row)
		if withoutSpace(read) != withoutSpace(text) {
			t.Fatalf("the pages are not the text: %d bytes of %d", len(withoutSpace(read)), len(withoutSpace(text)))
		}
		if whole := cutIn(text, read+"\n"); whole != "" {
			t.Fatalf("%q was cut", whole)
		}
	})
}

// The API brings all of an answer in as few messages as it takes if it may send so many. If not, the last
// message that it may send has the way to the rest, which is fetched in pages.
func TestNextParts(t *testing.T) {
	t.Parallel()
	ends := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		row := answeredWith(drawText(t, 3))
		text, _ := textOf(row.Reply)
		if strings.TrimSpace(text) == "" {
			return
		}
		quota := rapid.IntRange(1, 5).Draw(t, "quota")
		row.Way.Sent = rapid.IntRange(0, quota-1).Draw(t, "said before")
		if rapid.Bool().Draw(t, "drafted") {
			row.Way.Told = len(new(account).draft(text, rapid.IntRange(0, echostr.MaxTextBytes).Draw(t, "room")))
		}
		read := text[:row.Way.Told]
		for {
			p, ok := nextPart(row, "", quota)
			if !ok {
				if withoutSpace(read) != withoutSpace(text) {
					t.Fatal("nothing is left to be sent, and not all was told")
				}
				ends["told"]++
				return
			}
			message := p.reply.(echostr.TextReply).Content
			if err := echostr.Validate(p.reply, nil); err != nil {
				t.Fatal(err)
			}
			if p.told <= row.Way.Told || p.told > len(text) {
				t.Fatalf("of %d bytes %d were told, and then %d", len(text), row.Way.Told, p.told)
			}
			if row.Way.Sent++; row.Way.Sent > quota {
				t.Fatalf("%d messages, and WeChat takes %d", row.Way.Sent, quota)
			}
			row.Way.Told = p.told
			if p.pages > 0 {
				m := linkOf.FindStringSubmatchIndex(message)
				if m == nil || row.Way.Sent != quota || p.more {
					t.Fatalf("message %d of %d has the link: %q", row.Way.Sent, quota, message)
				}
				if n := pagesLeft(row); n != p.pages {
					t.Fatalf("%d pages are promised, and %d there", p.pages, n)
				}
				read += message[:m[0]] + readPages(t, row)
				ends["pages"]++
				break
			}
			read += message
			if !p.more {
				ends["sent"]++
				break
			}
		}
		if withoutSpace(read) != withoutSpace(text) {
			t.Fatalf("%d bytes were read of %d", len(withoutSpace(read)), len(withoutSpace(text)))
		}
	})
	if ends["pages"] == 0 || ends["sent"] == 0 {
		t.Errorf("the property was hardly tested: %v", ends)
	}
}

// A draft is the beginning of what the account makes of the whole text, whatever that is in the end, fit to be sent,
// and ends with a sentence or a line.
func TestDraftText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := &account{Account: Account{Markdown: rapid.Bool().Draw(t, "Markdown"), RemoveThinking: rapid.Bool().Draw(t, "thinking")}}
		whole := drawText(t, 3)
		if rapid.Bool().Draw(t, "thought") {
			whole = "<think>想。\n</think>\n\n" + whole
		}
		text := whole[:rapid.IntRange(0, len(whole)).Draw(t, "written")]
		room := rapid.IntRange(4, echostr.MaxTextBytes).Draw(t, "room")
		begun := a.draft(text, room)
		if !strings.HasPrefix(echostr.CutText(a.readable(whole), maxReply), begun) || len(begun) > room || !utf8.ValidString(begun) {
			t.Fatalf("%q is no draft of at most %d bytes of %q", begun, room, text)
		}
		if begun != "" {
			if err := echostr.Validate(echostr.Text(begun), nil); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, test := range []struct {
		markdown bool
		text     string
		room     int
		want     string
	}{
		{false, "", 100, ""},
		{false, "一。二。三", 100, "一。二。"},
		{false, "一。二二二二二二二二", 100, "一。"},
		{false, "根据您的描述，建议", 100, ""},
		{false, "一二三四五六七八九十", 10, ""},
		{false, "The quick brown", 100, ""},
		{false, "见 https://example.com/very/lo", 100, ""},
		{false, "一。**二。二", 100, "一。**二。"},
		{true, "一。**二。二", 100, "一。"},
		{true, "**一。** 二", 100, "一。"},
		{true, "<think>一。", 100, ""},
	} {
		a := &account{Account: Account{Markdown: test.markdown, RemoveThinking: true}}
		if got := a.draft(test.text, test.room); got != test.want {
			t.Errorf("of %q in %d bytes the draft is %q, want %q", test.text, test.room, got, test.want)
		}
	}
}

func TestWithHeading(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ question, want string }{
		{"", "答"},
		{"在吗", "您之前问“在吗”：\n答"},
		{strings.Repeat("长", 30), "您之前问“" + strings.Repeat("长", 19) + "…”：\n答"},
		{`<a href="x">y</a>`, "您之前问“＜a href=\"x\"＞y＜/a＞”：\n答"},
		{"👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦", "您之前问“👨‍👩‍👧‍👦👨‍👩‍👧‍👦…”：\n答"},
	} {
		if got := withHeading(test.question, "答"); got != test.want {
			t.Errorf("%q gives %q, want %q", test.question, got, test.want)
		}
	}
}

func TestAskedAndSaid(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]echostr.Message{
		"a b":     &echostr.TextMessage{Content: " a\n b "},
		"你好":      &echostr.VoiceMessage{Recognition: "你好"},
		"[voice]": new(echostr.VoiceMessage),
		"":        nil,
	} {
		if got := asked(m); got != want {
			t.Errorf("%T asks %q, want %q", m, got, want)
		}
	}
	for want, r := range map[string]echostr.Reply{
		"a\nb": echostr.Text("a\nb"), "[image]": echostr.Image("m"), "[voice]": echostr.Voice("m"), "[video]": echostr.VideoReply{}, "[music] t": echostr.MusicReply{Title: "t"},
		"[news] a; b": echostr.News(echostr.Article{Title: "a"}, echostr.Article{Title: "b"}), "[other]": echostr.TransferReply{}, "": echostr.None{},
	} {
		if got := said(r); got != want {
			t.Errorf("%T says %q, want %q", r, got, want)
		}
	}
}

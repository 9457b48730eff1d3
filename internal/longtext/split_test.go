package longtext

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/echostr/echostr"
)

const family = "👨\u200d👩\u200d👧" // one character of 18 bytes

func TestSplit(t *testing.T) {
	t.Parallel()
	link := `<a href="https://e.test/?a=1">看这里</a>` // 41 bytes
	for _, tt := range []struct {
		name  string
		text  string
		limit int
		want  []string
	}{
		{"empty", "", 10, nil},
		{"white space", " \n\t　\n", 4, nil},
		{"fits", "hello", 5, []string{"hello"}},
		{"fits without its ends", "\n\n  hello \n", 7, []string{"  hello"}},
		{"paragraph before line", "一二\n\n三四\n五", 16, []string{"一二", "三四\n五"}},
		{"line before sentence", "一二\n三。四五", 15, []string{"一二", "三。四五"}},
		{"sentence before clause", "一。二，三四", 15, []string{"一。", "二，三四"}},
		{"clause before character", "一，二三四", 12, []string{"一，", "二三四"}},
		{"a sentence with its quotation marks", "“一。”二三四", 16, []string{"“一。”", "二三四"}},
		{"three full stops in a row", "一……二三四", 16, []string{"一……", "二三四"}},
		{"a stop inside a number", "a 3.14 b", 7, []string{"a 3.14", "b"}},
		{"sentences of English", "One two. Three four.", 12, []string{"One two.", "Three four."}},
		{"words of English", "alpha beta", 6, []string{"alpha", "beta"}},
		{"as few as possible comes first", "ab cd ef", 4, []string{"ab c", "d ef"}},
		{"characters if nothing else", "aaaaaaaa", 4, []string{"aaaa", "aaaa"}},
		{"no comma at the beginning", "一二，三", 9, []string{"一二，", "三"}},
		{"an emoji of a family", family + family, 20, []string{family, family}},
		{"an emoji that does not fit", "👨\u200d👩\u200d👧", 7, []string{"👨\u200d", "👩", "\u200d👧"}},
		{"a link stays whole", "一二三" + link + "四", 50, []string{"一二三", link + "四"}},
		{"a link alone", link + link, len(link), []string{link, link}},
		{"a link that is not closed", `<a href="x"> b c`, 9, []string{`<a href="`, `x"> b c`}},
		{"a URL stays whole", "看https://e.test/a?b=c&d=e,f 好", 28, []string{"看", "https://e.test/a?b=c&d=e,f", "好"}},
		{"a URL in brackets", "（见(https://e.test/a)一）", 19, []string{"（见", "(https://e.test/a)", "一）"}},
		{"indents stay", "一\n    code\n    more", 40, []string{"一\n    code\n    more"}},
		{"indents stay at a border", strings.Repeat("一", 20) + "\n    code", 60, []string{strings.Repeat("一", 20), "    code"}},
		{"an indent without room", "一\n" + strings.Repeat(" ", 30) + "b", 24, []string{"一", "b"}},
		{"no room for the indent", "一二三四五六七八九十甲\n  https://e.test/" + strings.Repeat("b", 25), 40, []string{"一二三四五六七八九十甲", "https://e.test/" + strings.Repeat("b", 25)}},
		{"not UTF-8", "a\xffb", 4, []string{"a\ufffd", "b"}},
		{"a limit that is too small", "一二", 1, []string{"一", "二"}},
	} {
		if diff := cmp.Diff(tt.want, Split(tt.text, tt.limit)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	long := strings.Repeat("字", 2000)
	if got := Split(long, 0); len(got) != 3 || len(got[0]) > echostr.MaxTextBytes {
		t.Errorf("the default makes %d messages", len(got))
	}
}

// squeezed is text without white space: what must not be lost.
func squeezed(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}

// checkSplit holds Split to its contract.
func checkSplit(t interface{ Fatalf(string, ...any) }, text string, limit int) {
	pieces := Split(text, limit)
	if limit = max(limit, utf8.UTFMax); squeezed(strings.Join(pieces, "")) != squeezed(text) {
		t.Fatalf("Split(%q, %d) has lost something: %q", text, limit, pieces)
	}
	valid := strings.ToValidUTF8(text, "\ufffd")
	for i, at := 0, 0; i < len(pieces); i++ {
		p := pieces[i]
		if p == "" || len(p) > limit || !utf8.ValidString(p) || strings.TrimSpace(p) == "" || strings.TrimRightFunc(p, unicode.IsSpace) != p {
			t.Fatalf("Split(%q, %d): piece %d is %q", text, limit, i, p)
		}
		n := strings.Index(valid[at:], p) // white space inside a piece is as it was
		if n < 0 || strings.TrimSpace(valid[at:at+n]) != "" {
			t.Fatalf("Split(%q, %d): piece %d is not from the text: %q", text, limit, i, p)
		}
		at += n + len(p)
	}
	if want := fewest(valid, limit); len(pieces) > want {
		t.Fatalf("Split(%q, %d) makes %d pieces, and %d are enough: %q", text, limit, len(pieces), want, pieces)
	}
}

// fewest takes as much as fits, again and again, with the same units and without indents.
func fewest(text string, limit int) (n int) {
	s := &splitter{text: text, limit: limit}
	size := limit // as if there were a piece that is full
	space := 0
	for i := 0; i < len(text); {
		if r, width := utf8.DecodeRuneInString(text[i:]); unicode.IsSpace(r) {
			space += width
			i += width
			continue
		}
		unit := s.unit(i)
		if size += space + unit; n == 0 || size > limit {
			n, size = n+1, unit
		}
		space = 0
		i += unit
	}
	return n
}

func TestSplitProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom([]string{
				"\n", "\n\n", " ", "　", "。", "，", "！”", ". ", ", ", "hello", "中文", family, "e\u0301\u0301", "🇨🇳🇺🇸", "\r\n",
				`<a href="https://e.test/?a=1">看</a>`, `<a href="u">`, "</a>", "https://e.test/a?b=c&d=e", "(www.e.test/a)", "<a ", "http://",
			}),
			rapid.String(),
		), 0, 60).Draw(t, "parts")
		checkSplit(t, strings.Join(parts, ""), rapid.IntRange(1, 120).Draw(t, "limit"))
	})
}

// Links and URLs that fit are whole in one of the pieces, and tags stay balanced.
func TestSplitKeepsLinks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		var links []string
		for i := range rapid.IntRange(1, 30).Draw(t, "parts") {
			text.WriteString(rapid.SampledFrom([]string{"中文字，", "hello world. ", "\n\n", "（", "x", " "}).Draw(t, "text"))
			link := rapid.SampledFrom([]string{`<a href="https://e.test/?n=%">看 ，。这里</a>`, "https://e.test/a/%?b=c", `<A HREF="weixin://bizmsgmenu?msgmenucontent=继续&msgmenuid=%">继续</A >`}).Draw(t, "link")
			link = strings.ReplaceAll(link, "%", string(rune('A'+i%26)))
			links = append(links, link)
			text.WriteString(link + rapid.SampledFrom([]string{" ", "。", "\n", "中"}).Draw(t, "behind"))
		}
		limit := rapid.IntRange(100, 300).Draw(t, "limit")
		pieces := Split(text.String(), limit)
		for _, link := range links {
			if !slices.ContainsFunc(pieces, func(p string) bool { return strings.Contains(p, link) }) {
				t.Fatalf("%q is cut: %q", link, pieces)
			}
		}
		for _, p := range pieces {
			lower := strings.ToLower(p)
			if strings.Count(lower, "<a ") != strings.Count(lower, "</a") {
				t.Fatalf("tags are not balanced: %q", p)
			}
		}
		checkSplit(t, text.String(), limit)
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("一二三。四五六\n\n<a href=\"x\">y</a> https://e.test", 12)
	f.Add("<a <a <a </a>", 5)
	f.Add("\xff\u0301 \u200d", 4)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if len(text) > 1<<14 {
			return
		}
		if limit <= 0 {
			limit = 2048
		}
		checkSplit(t, text, limit)
	})
}

// Nothing makes the time grow much faster than the text, and few messages stay few.
func TestSplitHostile(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"<a ", "</a>", "https://a/", "a", "\u0301", " ", "\n", "<a href=\"", "\u200d👩", "://", "www.", "。"} {
		text := strings.Repeat(unit, 12_000/len(unit))
		pieces := Split(text, 0)
		if want := len(text)/1800 + 2; len(pieces) > want {
			t.Errorf("%q: %d pieces", unit, len(pieces))
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	text := strings.Repeat("这是一段很长的回答，里面有句子。还有<a href=\"https://e.test\">链接</a>和 English words.\n\n", 100)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Split(text, 0)
	}
}

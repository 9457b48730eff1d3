package echostr_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/echostr/echostr"
)

const link = `<a href="https://example.com/?a=1&b=2">链接</a>`

// atoms are what must stay whole. None of them joins another behind it.
var atoms = []string{
	"b", "Z", " ", "\n", "\t", ".", "…", "长", "，", "😀", "½", "\u200b", "\uFFFD",
	"é",                        // composed
	"e\u0301",                  // combining acute
	"x\u0300\u0301\u0302",      // several marks
	"か\u3099",                  // combining voicing mark
	"ｶﾞ",                       // half-width voicing mark
	"葛\U000E0100",              // ideographic variation sequence
	"❤\uFE0F",                  // emoji presentation
	"1\uFE0F\u20E3",            // keycap
	"👍🏽",                       // skin colour
	"👩🏽\u200d🚀",                // profession
	"👨\u200d👩\u200d👧\u200d👦",   // family
	"🏳\uFE0F\u200d🌈",           // rainbow flag
	"🙂\u200d↔\uFE0F",           // head shaking: joined to an arrow
	"🏴󠁧󠁢󠁥󠁮󠁧󠁿",                  // England, in tag characters
	"🇨🇳",                       // flag
	"🇺🇸",                       // flag
	"한",                        // composed syllable
	"\u1112\u1161\u11ab",       // the same in jamo
	"하\u11ab",                  // syllable and trailing consonant
	"\u1100\u1100\u1161",       // two leading consonants
	"\u1112\u1161\u11ab\u11ab", // two trailing consonants
	"กำ",                       // Thai with AM
	"நி",                       // Tamil with a spacing mark
	link,                       // never cut
	"<A\nHREF='x'>y</A >",      // the same in another form
	"<a href=\"x\"></a>\u0301", // a mark on the last character
	"<", ">", "/", "&",         // no "a", which would begin a link
}

func TestCutText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		limit    int
		want     string
	}{
		{"fits", "hello", 5, "hello"},
		{"empty", "", 0, ""},
		{"one byte too many", "hello!", 5, "he…"},
		{"Chinese", "长长长长", 11, "长长…"},
		{"room for the sign only", "hello", 3, "…"},
		{"no room at all", "hello", 2, ""},
		{"negative", "hello", -1, ""},
		{"fits after cleaning", "he\x00ll\xffo", 5, "hello"},
		{"CR LF is one LF", "a\r\nb", 3, "a\nb"},
		{"in the second half of a flag", "🇨🇳🇺🇸🇨🇳", 15, "🇨🇳…"},
		{"three halves of flags", "🇨🇳🇨🇨🇳🇺🇸", 23, "🇨🇳🇨🇨…"},
		{"a mark after a line end joins nothing", "a\n\u0301bcd", 5, "a\n…"},
		{"ZWJ before a letter", "a\u200db\u200dc", 8, "a\u200d…"},
		{"in a link", "see " + link + " there", 30, "see …"},
		{"in the end tag of a link", link + "more", len(link) + 2, "…"},
		{"behind a link", link + "more", len(link) + 3, link + "…"},
		{"in a link that is not closed", "<a href=\"https://example.com/\"", 12, `<a href="…`},
		{"in other markup", "<abbr>long</abbr></a>", 12, "<abbr>lon…"},
		{"in the second link", link + link, len(link) + 20, link + "…"},
		{"a character that never ends", "e" + strings.Repeat("\u0301", 2000), 2048, "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := echostr.CutText(tt.in, tt.limit); got != tt.want {
				t.Errorf("CutText(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
			}
		})
	}
}

// Every single cut of two atoms shows their border.
func TestCutTextKeepsAtomsWhole(t *testing.T) {
	t.Parallel()
	for _, a := range atoms {
		for _, b := range atoms {
			text := "长" + a + b + "....."
			for limit := range len(text) {
				checkCut(t, []string{"长", a, b, ".", ".", ".", ".", "."}, limit)
			}
		}
	}
}

func TestCutTextProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom(atoms)).Draw(t, "parts")
		limit := rapid.IntRange(0, len(strings.Join(parts, ""))+1).Draw(t, "limit")
		checkCut(t, parts, limit)
	})
}

// checkCut compares CutText with the sum of the atoms that fit.
func checkCut(t interface {
	Helper()
	Fatalf(string, ...any)
}, parts []string, limit int,
) {
	t.Helper()
	text := strings.Join(parts, "")
	want := text
	if len(text) > limit {
		want = ""
		for _, p := range parts {
			if len(want)+len(p)+len("…") > limit {
				break
			}
			want += p
		}
		if want += "…"; limit < len("…") {
			want = ""
		}
	}
	if got := echostr.CutText(text, limit); got != want {
		t.Fatalf("CutText(%q, %d) = %q, want %q", text, limit, got, want)
	}
}

func FuzzCutText(f *testing.F) {
	for _, s := range slices.Concat(hostile, atoms) {
		f.Add(s, 2)
		f.Add(s+s, len(s)+3)
	}
	f.Add(strings.Repeat("<a ", 1000)+"</a>", 100)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := echostr.CutText(s, limit)
		all := sent(s)
		switch {
		case !utf8.ValidString(got):
			t.Fatalf("invalid UTF-8: %q", got)
		case len(all) <= limit:
			if got != all {
				t.Fatalf("%q fits, but became %q", all, got)
			}
			return
		case len(got) > max(limit, 0):
			t.Fatalf("%q has %d bytes, more than %d", got, len(got), limit)
		case got == "":
			if limit >= len("…") {
				t.Fatalf("nothing is left of %q within %d bytes", s, limit)
			}
			return
		}
		kept, ok := strings.CutSuffix(got, "…")
		if !ok || !strings.HasPrefix(all, kept) {
			t.Fatalf("%q is not a beginning of %q and …", got, all)
		}
		next, _ := utf8.DecodeRuneInString(all[len(kept):])
		last, _ := utf8.DecodeLastRuneInString(kept)
		if unicode.In(next, unicode.M) && kept != "" && !unicode.IsControl(last) && last != '\u2028' && last != '\u2029' {
			t.Fatalf("cut before the mark %U: %q", next, got)
		}
		if again := echostr.CutText(got, limit); again != got {
			t.Fatalf("not stable: %q became %q", got, again)
		}
	})
}

func BenchmarkCutText(b *testing.B) {
	text := strings.Repeat("今天北京晴，最高 31 度。", 400)
	b.ReportAllocs()
	for b.Loop() {
		echostr.CutText(text, echostr.MaxTextBytes)
	}
}

func TestCharacterLen(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"": 0, "ab": 1, "中文": 3, "e\u0301x": 3, "👨\u200d👩\u200d👧好": 18, "🇨🇳🇺🇸": 8, "\xff\xfe": 1} {
		if got := echostr.CharacterLen(s); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

package longtext

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestWithoutThinking(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"答案", "答案"},
		{" 答案\n", "答案"},
		{"<think>想</think>\n\n答案", "答案"},
		{"<think>想", ""},
		{"<thinking>a < b, <b>x</b> </think >\n答", "答"},
		{"<THINK time=\"3\">想</Think>答", "答"},
		{"<reasoning>\n想\n</reasoning>答<thought>又</thought> 案", "答案"},
		{"◁think▷想◁/think▷答", "答"},
		{"想\n</think>\n答", "答"},
		{"答<think>想", "答"},
		{"答<think", "答<think"},
		{"a < b and <thinker> and </thinks> and <b>", "a < b and <thinker> and </thinks> and <b>"},
		{"use `<think>` for it", "use `<think>` for it"},
		{"use `</think>` for it", "use `</think>` for it"},
		{"<think>I write `</think> now</think>答", "now答"}, // inside a block every end counts, and a later one is taken out
		{"<think></think>", ""},
		{"<think>a</think>b</think>c", "bc"},
		{"<think\n>a", "<think\n>a"},
		{"<think " + strings.Repeat("x", 500) + ">a", "<think " + strings.Repeat("x", 500) + ">a"},
		{"<a href=\"https://e.test\">看</a><think>想</think>", "<a href=\"https://e.test\">看</a>"},
	} {
		if got := WithoutThinking(tt.in); got != tt.want {
			t.Errorf("%q became %q, want %q", tt.in, got, tt.want)
		}
	}
}

// However the text is cut, the parts come to the same, and little is kept back.
func checkFilter(t interface{ Fatalf(string, ...any) }, parts []string) {
	text := strings.Join(parts, "")
	whole := ThinkFilter{}
	want := whole.Write(text) + whole.Close()
	f := ThinkFilter{}
	var got strings.Builder
	for _, p := range parts {
		got.WriteString(f.Write(p))
		if len(f.kept) > 200 {
			t.Fatalf("%d bytes are kept back", len(f.kept))
		}
	}
	got.WriteString(f.Close())
	if got.String() != want {
		t.Fatalf("%q in parts became %q, and whole %q", parts, got.String(), want)
	}
	if !beginsInside(text) && WithoutThinking(text) != strings.TrimSpace(want) {
		t.Fatalf("%q became %q without parts and %q with them", text, WithoutThinking(text), want)
	}
}

func TestThinkFilter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkFilter(t, rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom([]string{"<", "/", "think", "thinking", ">", " ", "\n", "答", "`", "◁", "▷", "<think>", "</think>", "t", "hink>", "a", "<t", strings.Repeat("x", 160)}),
			rapid.String(),
		), 0, 30).Draw(t, "parts"))
	})
}

func FuzzThinkFilter(f *testing.F) {
	f.Add("<think>a</think>b", 3)
	f.Add("◁think▷a◁/think▷b", 1)
	f.Fuzz(func(t *testing.T, text string, n int) {
		if !utf8.ValidString(text) || n < 1 || len(text) > 1<<12 {
			return
		}
		var parts []string
		for text != "" {
			size := 0
			for range n {
				_, width := utf8.DecodeRuneInString(text[size:])
				size += width
			}
			parts = append(parts, text[:size])
			text = text[size:]
		}
		checkFilter(t, parts)
	})
}

// Nothing of a block is shown, and nothing else is lost: an oracle that marks each byte.
func TestThinkFilterOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var text, want strings.Builder
		for range rapid.IntRange(0, 10).Draw(t, "blocks") {
			said := rapid.StringMatching(`[a-z一-龥,.]{1,10}`).Draw(t, "said")
			text.WriteString(said + rapid.SampledFrom([]string{"<think>", "<thinking>", "◁think▷", "<Reasoning a='b'>"}).Draw(t, "begin") +
				rapid.StringMatching("[A-Z <>`\n/]{0,20}").Draw(t, "thought") + rapid.SampledFrom([]string{"</think>", "</THINKING>", "◁/think▷"}).Draw(t, "end"))
			want.WriteString(said)
		}
		if got := WithoutThinking(text.String()); got != want.String() {
			t.Fatalf("%q became %q, want %q", text.String(), got, want.String())
		}
	})
}

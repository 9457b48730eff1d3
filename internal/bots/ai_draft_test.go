package bots

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/echostr/echostr/internal/longtext"
)

// TestDraftParts: whatever parts an answer comes in, and whether or not it is held back at first, it becomes
// what it is in one piece, and what is drafted begins it, unless that is taken back.
func TestDraftParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"<think>", "</think>", "<thinking>", "◁think▷", "◁/think▷", "</th>", "`", "<", "◁", ">", "a", "字", "\n\n", " ",
		}), 0, 12).Draw(t, "all"), "")
		want := longtext.WithoutThinking(all)
		d := &draft{held: rapid.Bool().Draw(t, "held")}
		drafted := ""
		for rest := []rune(all); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "part")
			stray := d.stray
			d.add(string(rest[:n]))
			rest = rest[n:]
			if now := d.text(); !strings.HasPrefix(now, drafted) && d.stray == stray {
				t.Fatalf("the draft %q becomes %q", drafted, now)
			}
			drafted = d.text()
		}
		d.close(true)
		if !strings.HasPrefix(d.text(), drafted) {
			t.Fatalf("the draft %q becomes %q", drafted, d.text())
		}
		whole := new(draft)
		whole.add(all)
		whole.close(true)
		if d.text() != whole.text() || d.stray != whole.stray {
			t.Fatalf("the answer is %q, in one piece %q", d.text(), whole.text())
		}
		// A tag that is quoted within what was thought ends it there, and not here.
		if got := d.text(); got != want && !strings.Contains(all, "`") {
			t.Fatalf("the answer is %q, want %q", got, want)
		}
	})

	for _, tt := range []struct {
		want  string
		parts []string
	}{
		{"好的", []string{"先写 `", "</think>", "` 再", "想", "</think>", "好的"}}, // a model may think about its own format
		{"a ◁think > b", []string{"a ◁think >", " b"}},
		{"a <think ▷ b", []string{"a <think ▷", " b"}},
		{"5 > 3 ▷", []string{"5 >", " 3 ▷"}},
		{"a <b>", []string{"a <", "b>"}},
	} {
		d := new(draft)
		for _, part := range tt.parts {
			d.add(part)
		}
		d.close(true)
		if got := d.text(); got != tt.want {
			t.Errorf("%q becomes %q", tt.parts, got)
		}
	}
}

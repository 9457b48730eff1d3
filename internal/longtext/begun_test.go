package longtext

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestBegun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 100, ""},
		{"根据您的描述，建议联系", 100, ""},
		{"The quick brown", 100, ""},
		{"第一句。第二句。第三", 100, "第一句。第二句。"},
		{"第一句。第二句。第三", 23, "第一句。"},
		{"第一句。第二句。第三", 24, "第一句。第二句。"},
		{"短。" + strings.Repeat("很长", 20), 200, "短。"},
		{"第一行\n第二", 100, "第一行"},
		{" \n\n第一行  \n\n第二", 100, " \n\n第一行"},
		{"One. Two", 100, "One."},
		{"One. Two.", 100, "One."}, // it may be 2.5
		{"见 https://example.com/very/lo", 100, ""},
		{"见。 https://example.com/a?b. ", 100, "见。 https://example.com/a?b."},
		{"见。https://example.com/a?b", 100, "见。"},
		{"他说：“好。”然后", 100, "他说：“好。”"},
		{"He said \"Yes!\" and", 100, "He said \"Yes!\""},
		{"3. 三", 100, ""},
		{"好。请看<a href=\"https://e.test\">这里。还有", 100, "好。"},
		{"好。请看<a href=\"https://e.test\">这里。还有</a>", 100, "好。"},
		{"好。请看<a href=\"https://e.test\">这里。还有</a>。", 100, "好。请看<a href=\"https://e.test\">这里。还有</a>。"},
		{"好。\n<a", 100, "好。"},
		{"a < b。c", 100, "a < b。"},
		{"好。" + strings.Repeat("\u0301", 3), 100, ""}, // no stop any more
	} {
		if got := Begun(tt.text, tt.limit); got != tt.want {
			t.Errorf("of %q in %d bytes %q, want %q", tt.text, tt.limit, got, tt.want)
		}
	}
}

// answers are as models write them, and with what is rarely met but read differently when it goes on.
var answers = map[string]string{
	"plain":      "你好。今天天气不错。\n\n我们去公园吧！那里有很多花。",
	"lists":      "## 推荐书单\n\n以下是**三本**值得一读的书：\n\n1. **《活着》** - 余华\n   - 讲述福贵的一生。\n   - 语言朴素\n2. **《三体》** - 刘慈欣\n- [ ] 待办。\n- [x] 做完了。还有\n* * *\n\n> 读书使人明智。\n> > 是的。对\n\n如需更多，请看[豆瓣。](https://book.douban.com/a_b_)。再见！\n\n---\n\n希望对你有帮助！",
	"tables":     "下面是对比：\n\n| 名称 | 价格 | 说明 |\n|---|:--:|---|\n| 苹果 | 5 元 | 新鲜。很甜。 |\n| 香蕉。 | 3 元 | 便宜。 |\n\n综上。甲。 | 乙\n--- | ---\n1。 | `a|b`\n  缩进。 | 3\n- 项。 | 4\n没有表。完。",
	"code":       "可以这样写：\n\n```python\ndef f(x):\n    # 注释。\n\n\n    return x * 2\n\n```\n其中 `f。g` 是函数。运行后输出 `` a`b。 ``，对。\n~~~\n`。\n~~~\n完。",
	"emphasis":   "这是**重点。请注意**，然后继续。第二句也有*强调。*的内容。2*3。4*5 * 6。snake_case。__粗。__ ~~删。~~ ***三。*** **没完。",
	"setext":     "标题一\n====\n\n正文。第二句。\n\n小标题\n----\n\n一句。两句\n===\n更多。\n\n又一句。\n====\n完。",
	"references": "见[文。][1]和[维基。]。[没有。][x]再说。\n\n数组[0]。好。\n\n[1]: https://e.test/1\n[维基。]: https://e.test/w\n[0]: https://e.test/0",
	"English":    "# Title\n\nOne sentence. Two of them! See https://e.test/a_b_c. Then **bold. Text** and `x. y`.\n\n1. First. Of all\n2. Second!\n\nGreat! ![a. b](https://e.test/a.png) Done. \\*No. Emphasis\\* &amp; more. AT&T. a &lt b. End",
	"HTML":       "一。<br>二。<!-- 三。 -->四。<b>五。</b><https://e.test/_x_>。<a href=\"https://e.test\">六。\n七。</a>八。\n九 < 十。完\r\n十一。\r\n",
	"links":      "[a。](https://e.test/(x。)) ![图。](https://e.test/b.png)。[a。][]。[本页。](#a)。完。**https://e.test/a。** 完。",
}

// Whatever follows, what was shown stays the beginning of what the user reads in the end.
func TestBegunMarkdown(t *testing.T) {
	t.Parallel()
	for name, text := range answers {
		whole, longest := FromMarkdown(text), 0
		for i := range len(text) + 1 {
			got := BegunMarkdown(text[:i], 1<<20)
			if !strings.HasPrefix(whole, got) {
				t.Errorf("%s: of %q it shows %q, and then comes %q", name, text[:i], got, whole)
			}
			if utf8.RuneCountInString(got) < longest-1 {
				t.Errorf("%s: of %q it shows less than before: %q", name, text[:i], got)
			}
			longest = max(longest, utf8.RuneCountInString(got))
		}
		if name != "references" && longest < utf8.RuneCountInString(whole)/2 {
			t.Errorf("%s: it never shows more than %d characters", name, longest)
		}
	}
}

func checkBegun(t interface{ Fatalf(string, ...any) }, text, more string, limit int) {
	if got := BegunMarkdown(text, limit); !strings.HasPrefix(FromMarkdown(text+more), got) || len(got) > limit {
		t.Fatalf("of %q in %d bytes it shows %q, and with %q behind it comes %q", text, limit, got, more, FromMarkdown(text+more))
	}
	if got := Begun(text, limit); !strings.HasPrefix(text+more, got) || len(got) > limit {
		t.Fatalf("of %q in %d bytes Begun shows %q", text, limit, got)
	}
}

func TestBegunProperties(t *testing.T) {
	t.Parallel()
	part := rapid.OneOf(
		rapid.SampledFrom([]string{
			"\n", "\n\n", "\r\n", " ", "。", "！", ". ", "! ", "a", "好", "*", "**", "_", "~~", "`", "```\n", "\n```go\n", "[", "]", "](https://e.test/a)", "\n[a]: https://e.test/b\n",
			"![", "|", "\n|--|--|\n", "\n---\n", "\n===\n", "=", "-", "\n- ", "\n1. ", "\n> ", "\n# ", "<", "<br>", "<a href=\"x\">", "</a>", "<!--", "-->", "\\", "&lt;", "&", "https://e.test/", "“", "”", "\t", "　", "[ ] ", "[x] ", "~",
		}),
		rapid.StringMatching("[a-z一-龥。！]{1,6}"),
	)
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(part, 0, 40).Draw(t, "parts")
		n := rapid.IntRange(0, len(parts)).Draw(t, "written")
		checkBegun(t, strings.Join(parts[:n], ""), strings.Join(parts[n:], ""), rapid.SampledFrom([]int{1 << 20, 40, 12}).Draw(t, "limit"))
	})
}

// Nothing makes the time grow much faster than the text.
func TestBegunHostile(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"<a ", "<a x</a>", "<", "。)", ")", "a. ", "https://a/", "[a", "*a ", "`", "|", "| a |\n|---|\n", "\n", "\u0301", "- a。\n", "[a]: b\n[a]", "<a x\n", "===\n"} {
		in := "。" + strings.Repeat(unit, 12_000/len(unit))
		began := time.Now()
		Begun(in, len(in))
		BegunMarkdown(in, len(in))
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%q takes %v", unit, took)
		}
	}
}

func FuzzBegunMarkdown(f *testing.F) {
	for _, text := range answers {
		f.Add(text[:len(text)/2], text[len(text)/2:], 2048)
	}
	f.Fuzz(func(t *testing.T, text, more string, limit int) {
		checkBegun(t, text, more, max(limit, 0))
	})
}

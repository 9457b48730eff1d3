package longtext

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFromMarkdown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain", "你好，世界。\n第二行", "你好，世界。\n第二行"},
		{"headings", "# 一\n## 二 ##\n### **三**\n#话题#\n####### 七", "【一】\n【二】\n【三】\n#话题#\n####### 七"},
		{"heading by underline", "标题\n====\n文", "【标题】\n文"},
		{"heading with its own brackets", "# 【公告】", "【公告】"},
		{"emphasis", "**粗** *斜* ***两*** __粗__ _斜_ ~~删~~ 中文**粗体：**文字", "粗 斜 两 粗 斜 删 中文粗体：文字"},
		{"no emphasis", "2*3*4 = 24, 2 * 3, snake_case_name, __init__.py, a**b, ~100, 5~6, *", "2*3*4 = 24, 2 * 3, snake_case_name, init.py, a**b, ~100, 5~6, *"},
		{"emphasis over words", "**a b** and *c, d*", "a b and c, d"},
		{"bullets", "- 一\n  - 二\n* 三\n+ 四\n\t- 五\n-六", "• 一\n  • 二\n• 三\n• 四\n    • 五\n-六"},
		{"numbers", "1. 一\n2) **二**\n10. 三\n2026. year\n1.5 倍", "1. 一\n2) 二\n10. 三\n2026. year\n1.5 倍"},
		{"tasks", "- [ ] 待办\n- [x] 完成\n- [链接](https://e.test)", "☐ 待办\n☑ 完成\n• <a href=\"https://e.test\">链接</a>"},
		{"code", "看：\n```go\nfunc main() {\n    a := *b // **x** [a](b) <br>\n\n\n}\n```\n好", "看：\nfunc main() {\n    a := *b // **x** [a](b) <br>\n\n\n}\n好"},
		{"code in tildes", "~~~\n```\n~~~\n文", "```\n文"},
		{"code that does not end", "```\n*a*\n", "*a*"},
		{"inline code", "用 `go test ./...` 和 ``a`b`` 和 `**x**`，`没完", "用 go test ./... 和 a`b 和 **x**，`没完"},
		{"links", `[文字](https://e.test/a_b_c?x=1&y=2 "题") [**粗**](https://e.test) [(a)](https://e.test/(x))`, `<a href="https://e.test/a_b_c?x=1&y=2">文字</a> <a href="https://e.test">粗</a> <a href="https://e.test/(x)">(a)</a>`},
		{"links elsewhere", "[本页](#a) [邮件](mailto:a@e.test) [文件](docs/a.md) [](https://e.test) [https://e.test](https://e.test)", "本页 邮件 (mailto:a@e.test) 文件 (docs/a.md) https://e.test https://e.test"},
		{"a menu link", "[继续](weixin://bizmsgmenu?msgmenucontent=继续&msgmenuid=1)", `<a href="weixin://bizmsgmenu?msgmenucontent=继续&msgmenuid=1">继续</a>`},
		{"an address that breaks out", `[a](https://e.test/"onclick="x) [b](<https://e.test/a b>)`, `<a href="https://e.test/%22onclick=%22x">a</a> <a href="https://e.test/a%20b">b</a>`},
		{"an address with entities", "[a](https://e.test/?a=1&amp;b=2)", `<a href="https://e.test/?a=1&b=2">a</a>`},
		{"a text with a tag", "[a</a>b](https://e.test)", `<a href="https://e.test">a＜/a＞b</a>`},
		{"no links", "[a] (b) [a][b] 数组[0] f[1](2", "[a] (b) [a][b] 数组[0] f[1](2"},
		{"references", "见[文][1]、[维基][]和[e]。\n\n[1]: https://e.test/1 \"题\"\n[维基]: <https://e.test/w>\n[E]: https://e.test/e", `见<a href="https://e.test/1">文</a>、<a href="https://e.test/w">维基</a>和<a href="https://e.test/e">e</a>。`},
		{"pictures", "![图](https://e.test/a.png) ![](https://e.test/b.png)", `<a href="https://e.test/a.png">图</a> https://e.test/b.png`},
		{"URLs", "https://e.test/a_b_c*d* <https://e.test/_x_> **https://e.test/** <a@e.test> <mailto:a@e.test>", "https://e.test/a_b_c*d* https://e.test/_x_ https://e.test/ <a@e.test> a@e.test"},
		{"HTML", "a<br>b<br/>c<!-- x -->d <b>e</b> <a href=\"https://e.test/_a_\">*f*</a> a < b > c", "a\nb\ncd <b>e</b> <a href=\"https://e.test/_a_\">*f*</a> a < b > c"},
		{"entities", "a&nbsp;b &lt;c&gt; &amp; AT&T &x;", "a b <c> & AT&T &x;"},
		{"escapes", `\*a\* \# \[b\](c) 1\. \\ \x`, `*a* # [b](c) 1. \ \x`},
		{"quotes", "> 引用 **粗**\n>> 更深\n> > 也是\n>\n文", "│ 引用 粗\n│ │ 更深\n│ │ 也是\n│\n文"},
		{"rules", "a\n\n---\n\n* * *\n___\nb", "a\n\n————————\n\n————————\n————————\nb"},
		{"tables", "| 名 | 值 |\n|:---|---:|\n| **甲** | 1 |\n| 乙 | a\\|b |\n\n完", "名 | 值\n甲 | 1\n乙 | a|b\n\n完"},
		{"tables without bars at the ends", "a | b\n--- | ---\n1 | 2", "a | b\n1 | 2"},
		{"no table", "a | b\nc | d", "a | b\nc | d"},
		{"empty lines", "a\n\n\n\nb  \n\n\n", "a\n\nb"},
		{"line breaks", "a  \nb\\\nc\r\nd", "a\nb\nc\nd"},
		{"indents", "  a\n    b", "  a\n    b"},
	} {
		if diff := cmp.Diff(tt.want, FromMarkdown(tt.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A text without Markdown stays as it is.
func TestFromMarkdownPlain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching("[a-z一-龥（“][A-Za-z0-9一-龥，。！？：；“”（）、 ,.;:?'\"(){}/=@%$^#+-]{0,40}[a-z一-龥。]"), 1, 8).Draw(t, "lines")
		text := strings.Join(lines, rapid.SampledFrom([]string{"\n", "\n\n"}).Draw(t, "between"))
		if got := FromMarkdown(text); got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

// Every link that comes out is whole, with its address in quotation marks.
func FuzzFromMarkdown(f *testing.F) {
	f.Add("# a\n**b** [c](https://d) `e` | f |\n|---|\n> g\n- h\n```\ni")
	f.Add("[a](https://e\"f) [b][c]\n[c]: https://x\n***a_b_*~~c~~&lt;")
	f.Fuzz(func(t *testing.T, in string) {
		out := FromMarkdown(in)
		if utf8.ValidString(in) && !utf8.ValidString(out) {
			t.Fatalf("%q became %q, which is not UTF-8", in, out)
		}
		if strings.ContainsAny(in, "<&") {
			return // tags of its own
		}
		if n := strings.Count(out, `<a href="`); n != strings.Count(out, "</a>") || n != strings.Count(out, "<")-strings.Count(out, "</a>") {
			t.Fatalf("%q became %q, with links that are not whole", in, out)
		}
	})
}

// Nothing makes time and size grow much faster than the text.
func TestFromMarkdownHostile(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"*a ", "a* ", "[", "![", "[a](", "`", "` ``", "<", "<a ", "_a", "**a", "|", "| a |\n|---|\n", "> ", "- ", "#", "\\", "&", "https://a/", "[a]: b\n", "[a][", "~~a", "<!--", "((", "\n", "[a]: https://e.test/" + strings.Repeat("x", 5000) + "\n[a][a][a][a][a][a][a]\n"} {
		in := strings.Repeat(unit, 5_000/len(unit))
		if out := FromMarkdown(in); len(out) > 3*len(in) {
			t.Errorf("%q: %d bytes became %d", unit, len(in), len(out))
		}
	}
}

func BenchmarkFromMarkdown(b *testing.B) {
	text := strings.Repeat("# 标题\n\n这是**粗体**和[链接](https://e.test/a)，还有 `code`。\n\n- 一\n- 二\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n", 20)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		FromMarkdown(text)
	}
}

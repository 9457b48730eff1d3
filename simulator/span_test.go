package simulator

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseText(t *testing.T) {
	t.Parallel()
	text := func(s string) Span { return Span{Kind: SpanText, Text: s} }
	link := func(s, url string) Span { return Span{Kind: SpanLink, Text: s, URL: url} }
	for _, tt := range []struct {
		in   string
		want []Span
	}{
		{"", nil},
		{"你好\n再见", []Span{text("你好\n再见")}},
		{`看<a href="https://example.com/?a=1&b=2">这里</a>。`, []Span{text("看"), link("这里", "https://example.com/?a=1&b=2"), text("。")}},
		{`<A HREF='http://x/'>y</A>`, []Span{link("y", "http://x/")}},
		{`<a class="c" href = "http://x/" target="_blank">y</a >z`, []Span{link("y", "http://x/"), text("z")}},
		{`<a href="weixin://bizmsgmenu?msgmenucontent=取 结果+1&msgmenuid=t_1">查看</a>`, []Span{{Kind: SpanMenu, Text: "查看", URL: "weixin://bizmsgmenu?msgmenucontent=取 结果+1&msgmenuid=t_1", Content: "取 结果+1", MenuID: "t_1"}}},
		{`<a href="weixin://bizmsgmenu?msgmenuid=2&msgmenucontent=%E4%BD%A0%26">x</a>`, []Span{{Kind: SpanMenu, Text: "x", URL: "weixin://bizmsgmenu?msgmenuid=2&msgmenucontent=%E4%BD%A0%26", Content: "你&", MenuID: "2"}}},
		{`<a href="weixin://bizmsgmenu?msgmenucontent=100%&msgmenuid=2">x</a>`, []Span{{Kind: SpanMenu, Text: "x", URL: "weixin://bizmsgmenu?msgmenucontent=100%&msgmenuid=2", Content: "100%", MenuID: "2"}}},
		{`<a href="http://x/" data-miniprogram-appid="wx1" data-miniprogram-path="pages/a?b=c">开</a>`, []Span{{Kind: SpanMiniProgram, Text: "开", URL: "http://x/", AppID: "wx1", PagePath: "pages/a?b=c"}}},
		{`<b>x</b> <a>y</a> <a href="">z</a> <a href="u">w`, []Span{text(`<b>x</b> <a>y</a> <a href="">z</a> <a href="u">w`)}},
		{`a < b && c > d`, []Span{text(`a < b && c > d`)}},
		{"见https://example.com/a_b?c=d&e=f，谢谢", []Span{text("见"), link("https://example.com/a_b?c=d&e=f", "https://example.com/a_b?c=d&e=f"), text("，谢谢")}},
		{"(http://x.example/a(b)).", []Span{text("("), link("http://x.example/a(b)", "http://x.example/a(b)"), text(").")}},
		{"WWW.QQ.com!", []Span{link("WWW.QQ.com", "http://WWW.QQ.com"), text("!")}},
		{"电话13800138000或010-62512345、400-123-4567，4001234567", []Span{
			text("电话"),
			{Kind: SpanPhone, Text: "13800138000"},
			text("或"),
			{Kind: SpanPhone, Text: "010-62512345"},
			text("、"),
			{Kind: SpanPhone, Text: "400-123-4567"},
			text("，"),
			{Kind: SpanPhone, Text: "4001234567"},
		}},
		{"+86 13800138000", []Span{{Kind: SpanPhone, Text: "+86 13800138000"}}},
		{"订单6349323426230210995，2026-11-22", []Span{text("订单6349323426230210995，2026-11-22")}},
		{"x.y 1:2", []Span{text("x.y 1:2")}},
	} {
		got := parseText(tt.in)
		if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Span{}, "Source")); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.in, diff)
		}
		checkSpans(t, tt.in, got)
	}
}

// checkSpans holds what must be true of every text.
func checkSpans(t *testing.T, in string, spans []Span) {
	t.Helper()
	var sources strings.Builder
	for i, s := range spans {
		sources.WriteString(s.Source)
		if s.Source == "" {
			t.Errorf("%q: span %d is empty: %+v", in, i, s)
		}
		if s.Kind == SpanText && (s.Text != s.Source || i > 0 && spans[i-1].Kind == SpanText) {
			t.Errorf("%q: span %d is a text that is changed or divided: %+v", in, i, s)
		}
		if !strings.Contains(s.Source, s.Text) {
			t.Errorf("%q: the user reads %q, which is not in the text", in, s.Text)
		}
		if (s.Kind == SpanLink || s.Kind == SpanMenu || s.Kind == SpanMiniProgram) && s.URL == "" {
			t.Errorf("%q: a link leads nowhere: %+v", in, s)
		}
		if utf8.ValidString(in) && !(utf8.ValidString(s.Source) && utf8.ValidString(s.Text)) {
			t.Errorf("%q: a character is divided: %+v", in, s)
		}
	}
	if sources.String() != in {
		t.Errorf("the sources of the spans are %q, and not the text %q", sources.String(), in)
	}
}

func FuzzParseText(f *testing.F) {
	for _, s := range []string{
		`看<a href="https://x/">y</a>`, `<a href="weixin://bizmsgmenu?msgmenucontent=a&msgmenuid=1">b</a>`, "www.qq.com 13800138000",
		`<a data-miniprogram-appid="wx1" href='u'>b</a>`, "<a href=<a href=\"x\">y</a></a>", "http://a.b)]}.", "1380013800013800138000", "\xff<a\n href=\"\xff\">",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spans := parseText(s)
		checkSpans(t, s, spans)
		for _, span := range spans { // a piece alone is what it is in the text
			if again := parseText(span.Source); span.Kind != SpanText && span.Kind != SpanPhone && (len(again) != 1 || again[0].Kind != span.Kind) {
				t.Errorf("%q alone is %+v, in %q it is %+v", span.Source, again, s, span)
			}
		}
	})
}

package simulator

import (
	"net/url"
	"regexp"
	"strings"
)

// SpanKind says what a tap on a [Span] does.
type SpanKind string

// The kinds of spans.
const (
	SpanText        SpanKind = "text"        // nothing
	SpanLink        SpanKind = "link"        // it opens URL
	SpanMenu        SpanKind = "menu"        // it sends Content as a message of the user, with the id MenuID
	SpanMiniProgram SpanKind = "miniprogram" // it opens the page PagePath of the Mini Program AppID
	SpanPhone       SpanKind = "phone"       // it offers to call Text
)

// Span is a piece of a text as WeChat draws it.
type Span struct {
	Kind SpanKind `json:"kind"`
	// Text is what the user reads.
	Text string `json:"text"`
	// Source is the piece as it stands in the text. All Sources together are the text.
	Source string `json:"-"`

	URL      string `json:"url,omitempty"`
	Content  string `json:"content,omitempty"`
	MenuID   string `json:"menu_id,omitempty"`
	AppID    string `json:"app_id,omitempty"`
	PagePath string `json:"page_path,omitempty"`
}

// ParseText divides a text into what WeChat draws differently: links (<a href="…">), links
// that send a message (weixin://bizmsgmenu), links to Mini Programs (data-miniprogram-appid),
// bare addresses and phone numbers. Other markup is text as it was typed. Every text can be
// parsed, and nothing of it is lost. R-REPLY-LINKS
func ParseText(text string) []Span {
	var spans []Span
	for text != "" {
		if !strings.Contains(text, "<") {
			spans = appendBare(spans, text)
			break
		}
		at := anchor.FindStringSubmatchIndex(text)
		if at == nil {
			spans = appendBare(spans, text)
			break
		}
		spans = appendBare(spans, text[:at[0]])
		if s, ok := anchorSpan(text[at[0]:at[1]], text[at[2]:at[3]], text[at[4]:at[5]]); ok {
			spans = append(spans, s)
			text = text[at[1]:]
		} else { // the tag is text as it was typed
			spans = appendText(spans, text[at[0]:at[4]])
			text = text[at[4]:]
		}
	}
	return spans
}

var (
	anchor    = regexp.MustCompile(`(?is)<a(\s[^>]*?href\s*=[^>]*)>(.*?)</a\s*>`)
	attribute = regexp.MustCompile(`(?s)([A-Za-z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	// bare finds addresses, mobile numbers, numbers with an area code, and 400 or 800 numbers.
	bare = regexp.MustCompile(`(?i:https?://|www\.)[A-Za-z0-9][-A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%]*` +
		`|(?:\+86[- ]?)?1[3-9][0-9]{9}|0[0-9]{2,3}-[0-9]{7,8}|[48]00-?[0-9]{3}-?[0-9]{4}`)
)

// appendBare divides what has no markup.
func appendBare(spans []Span, s string) []Span {
	if !mayHoldBare(s) {
		return appendText(spans, s)
	}
	done := 0
	for {
		at := bare.FindStringIndex(s[done:])
		if at == nil {
			return appendText(spans, s[done:])
		}
		from, to := done+at[0], done+at[1]
		spans = appendText(spans, s[done:from])
		switch c := s[from] | 0x20; {
		case c == 'h' || c == 'w': // an address
			found := trimAddress(s[from:to])
			to = from + len(found)
			target := found
			if c == 'w' {
				target = "http://" + found
			}
			spans = append(spans, Span{Kind: SpanLink, Text: found, Source: found, URL: target})
		case digitBeside(s, from, to):
			spans = appendText(spans, s[from:to])
		default:
			spans = append(spans, Span{Kind: SpanPhone, Text: s[from:to], Source: s[from:to]})
		}
		done = to
	}
}

// mayHoldBare is false for most texts, and much faster than bare.
func mayHoldBare(s string) bool {
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == ':' || c == '.':
			return true
		case c >= '0' && c <= '9':
			digits++
		}
	}
	return digits >= 10
}

// anchorSpan reads an <a> element, and is false if it leads nowhere.
func anchorSpan(source, attributes, inner string) (Span, bool) {
	values := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(attributes, -1) {
		if name := strings.ToLower(m[1]); values[name] == "" {
			values[name] = m[2] + m[3]
		}
	}
	href := strings.TrimSpace(values["href"])
	if href == "" {
		return Span{}, false
	}
	s := Span{Kind: SpanLink, Text: inner, Source: source, URL: href}
	if id := values["data-miniprogram-appid"]; id != "" {
		s.Kind, s.AppID, s.PagePath = SpanMiniProgram, id, values["data-miniprogram-path"]
	} else if query, ok := strings.CutPrefix(href, "weixin://bizmsgmenu?"); ok {
		s.Kind = SpanMenu
		s.Content, s.MenuID = parameter(query, "msgmenucontent"), parameter(query, "msgmenuid")
	}
	return s, true
}

// parameter reads a query whose values may be encoded, but need not.
func parameter(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			if decoded, err := url.PathUnescape(value); err == nil { // a "+" is a plus
				return decoded
			}
			return value
		}
	}
	return ""
}

// appendText adds text to the span before, if that is text, too.
func appendText(spans []Span, text string) []Span {
	if text == "" {
		return spans
	}
	if n := len(spans); n > 0 && spans[n-1].Kind == SpanText {
		spans[n-1].Text += text
		spans[n-1].Source += text
		return spans
	}
	return append(spans, Span{Kind: SpanText, Text: text, Source: text})
}

// trimAddress leaves out what ends a sentence and not the address.
func trimAddress(s string) string {
	for len(s) > 1 {
		last := s[len(s)-1]
		closing := last == ')' && strings.Count(s, "(") < strings.Count(s, ")") || last == ']' && strings.Count(s, "[") < strings.Count(s, "]")
		if !closing && !strings.ContainsRune(".,;:!?'", rune(last)) {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}

// digitBeside reports whether s[from:to] is part of a longer number.
func digitBeside(s string, from, to int) bool {
	digit := func(i int) bool { return i >= 0 && i < len(s) && (s[i] >= '0' && s[i] <= '9') }
	return digit(from-1) || digit(to)
}

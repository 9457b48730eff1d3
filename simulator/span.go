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

// parseText divides a text into what WeChat draws differently: links (<a href="…">), links
// that send a message (weixin://bizmsgmenu), links to Mini Programs (data-miniprogram-appid),
// bare addresses and phone numbers. Other markup is text as it was typed. Every text can be
// parsed, and nothing of it is lost. Time grows with its length only, whatever is in it. R-REPLY-LINKS
func parseText(text string) []Span {
	d := division{text: text}
	at, end := 0, []int{0, 0} // end is the first </a> behind at
	for strings.Contains(text[at:], "<") {
		tag := anchor.FindStringSubmatchIndex(text[at:])
		if tag == nil {
			break
		}
		begin, inner, attributes := at+tag[0], at+tag[1], text[at+tag[2]:at+tag[3]]
		if end[0] < inner {
			if end = anchorEnd.FindStringIndex(text[inner:]); end == nil {
				break
			}
			end[0], end[1] = inner+end[0], inner+end[1]
		}
		d.bare(at, begin)
		at = inner // unless it leads somewhere, the tag is text as it was typed
		if s, ok := anchorSpan(attributes, text[inner:end[0]]); ok {
			d.add(begin, end[1], s)
			at = end[1]
		}
	}
	d.bare(at, len(text))
	return d.spans()
}

// parseTyped is parseText for what a user has typed, where markup is text.
func parseTyped(text string) []Span {
	d := division{text: text}
	d.bare(0, len(text))
	return d.spans()
}

var (
	anchor    = regexp.MustCompile(`(?is)<a(\s[^>]*?href\s*=[^>]*)>`)
	anchorEnd = regexp.MustCompile(`(?i)</a\s*>`)
	attribute = regexp.MustCompile(`(?s)([A-Za-z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	// bare finds addresses, mobile numbers, numbers with an area code, and 400 or 800 numbers.
	bare = regexp.MustCompile(`(?i:https?://|www\.)[A-Za-z0-9][-A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%]*` +
		`|(?:\+86[- ]?)?1[3-9][0-9]{9}|0[0-9]{2,3}-[0-9]{7,8}|[48]00-?[0-9]{3}-?[0-9]{4}`)
)

// division is a text on its way to be divided.
type division struct {
	text  string
	done  int // what is before is in found
	found []Span
}

// add divides off text[from:to]. What is left out before it is text.
func (d *division) add(from, to int, s Span) {
	if d.done < from {
		d.found = append(d.found, Span{Kind: SpanText, Text: d.text[d.done:from], Source: d.text[d.done:from]})
	}
	if from < to {
		s.Source = d.text[from:to]
		d.found = append(d.found, s)
	}
	d.done = to
}

// spans ends the division.
func (d *division) spans() []Span {
	d.add(len(d.text), len(d.text), Span{})
	return d.found
}

// bare divides text[from:to], which has no markup.
func (d *division) bare(from, to int) {
	s := d.text[from:to]
	if !mayHoldBare(s) {
		return
	}
	for at := 0; ; {
		found := bare.FindStringIndex(s[at:])
		if found == nil {
			return
		}
		begin, end := at+found[0], at+found[1]
		switch c := s[begin] | 0x20; {
		case c == 'h' || c == 'w': // an address
			address := trimAddress(s[begin:end])
			end = begin + len(address)
			target := address
			if c == 'w' {
				target = "http://" + address
			}
			d.add(from+begin, from+end, Span{Kind: SpanLink, Text: address, URL: target})
		case !digitBeside(s, begin, end):
			d.add(from+begin, from+end, Span{Kind: SpanPhone, Text: s[begin:end]})
		}
		at = end
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
func anchorSpan(attributes, inner string) (Span, bool) {
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
	s := Span{Kind: SpanLink, Text: inner, URL: href}
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

// trimAddress leaves out what ends a sentence and not the address.
func trimAddress(s string) string {
	unopened := func(opening, closing string) int { return strings.Count(s, closing) - strings.Count(s, opening) }
	round, square := unopened("(", ")"), unopened("[", "]")
	for len(s) > 1 {
		switch last := s[len(s)-1]; {
		case last == ')' && round > 0:
			round--
		case last == ']' && square > 0:
			square--
		case strings.IndexByte(".,;:!?'", last) >= 0:
		default:
			return s
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

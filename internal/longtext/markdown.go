package longtext

import (
	"html"
	"regexp"
	"strings"
	"unicode/utf8"
)

// FromMarkdown turns the Markdown that models write into text that reads well in WeChat, which
// understands links and nothing else:
//
//	# Heading           【Heading】
//	**bold**, *it*, ~~x~~, `code`   bold, it, x, code
//	- item, 1. item     • item, 1. item; what is nested stays indented
//	- [ ] a, - [x] b    ☐ a, ☑ b
//	[text](https://…)   <a href="https://…">text</a>, also by reference; other addresses: text (address)
//	![alt](https://…)   <a href="https://…">alt</a>
//	> quote             │ quote
//	| a | b |           a | b, without the row of dashes
//	---                 ————————
//
// Blocks of code and the insides of `code` stay as they are, without their fences. Line breaks stay, except
// that there is at most one empty line. Other HTML than <br> and comments is left as it is, entities are
// resolved. A text without Markdown does not change but for empty lines and white space at the ends of
// lines.
//
// It is a reading by lines and not all of CommonMark: what it does not recognise is shown as typed. R-REPLY-TEXT
func FromMarkdown(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	lines := strings.Split(text, "\n")
	m := &markdown{links: references(lines), doubt: -1}
	for i := 0; i < len(lines); i++ {
		i += m.line(lines, i)
	}
	return strings.Trim(strings.TrimRight(m.out.String(), " \t"), "\n")
}

// markdown is one text on its way.
type markdown struct {
	out   strings.Builder
	links map[string]string // references to addresses
	fence string            // that ends the block of code; "" outside
	empty int               // lines at the end of out
	rows  bool              // the line written last was a row of a table, and the next one may be, too

	// What Begun needs to know. doubt is the place in what inline has returned from which on more text, or a
	// reference, may have it read otherwise; -1 if there is none. unfinished says that the line goes on.
	doubt      int
	unfinished bool
}

var (
	heading   = regexp.MustCompile(`^ {0,3}#{1,6}(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$`)
	fenceLine = regexp.MustCompile("^ {0,9}(`{3,}|~{3,})[^`]*$")
	underline = regexp.MustCompile(`^ {0,3}={2,}[ \t]*$`)
	rule      = regexp.MustCompile(`^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$`)
	item      = regexp.MustCompile(`^([ \t]*)(?:([-*+])|(\d{1,9}[.)]))[ \t]+(.*)$`)
	task      = regexp.MustCompile(`^\[([ xX])\][ \t]+`)
	quote     = regexp.MustCompile(`^ {0,3}((?:>[ \t]?)+)(.*)$`)
	tableRule = regexp.MustCompile(`^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$`)
	reference = regexp.MustCompile(`^ {0,3}\[([^\]\[]+)\]:[ \t]*<?([^\s<>]+)>?(?:[ \t]+["'(].*)?[ \t]*$`)
)

// references finds the lines that only say where a link leads.
func references(lines []string) map[string]string {
	links := make(map[string]string)
	for _, line := range lines {
		if m := reference.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1], "^") && len(m[2]) <= maxReference {
			if key := strings.ToLower(m[1]); links[key] == "" {
				links[key] = m[2]
			}
		}
	}
	return links
}

// line writes line i, and returns how many lines behind it belong to it.
func (m *markdown) line(lines []string, i int) (more int) {
	line := strings.TrimRight(lines[i], " \t")
	m.rows = false
	if m.fence != "" {
		if f := fenceLine.FindStringSubmatch(line); f != nil && strings.HasPrefix(f[1], m.fence) && strings.TrimSpace(line) == f[1] {
			m.fence = ""
			return 0
		}
		m.write(lines[i])
		return 0
	}
	next := ""
	if i+1 < len(lines) {
		next = lines[i+1]
	}
	if f := fenceLine.FindStringSubmatch(line); f != nil {
		m.fence = f[1]
		return 0
	}
	if h := heading.FindStringSubmatch(line); h != nil && h[1] != "" {
		m.heading(h[1])
		return 0
	}
	if reference.MatchString(line) && !strings.HasPrefix(strings.TrimSpace(line), "[^") {
		return 0
	}
	it, q := item.FindStringSubmatch(line), quote.FindStringSubmatch(line)
	if it == nil && q == nil && strings.Contains(line, "|") && tableRule.MatchString(next) && strings.Contains(next, "-") && strings.Count(next, "|")+1 >= cells(line) {
		return m.table(lines[i:])
	}
	if rule.MatchString(line) {
		m.write("————————")
		return 0
	}
	if it != nil {
		m.item(it[1], it[3], it[4])
		return 0
	}
	if q != nil {
		m.write(strings.TrimRight(quoted(q[1])+m.inline(q[2]), " "))
		return 0
	}
	if text := strings.TrimSpace(line); text != "" && underline.MatchString(next) && !tableRule.MatchString(text) && (i == 0 || strings.TrimSpace(lines[i-1]) == "") {
		if shown := m.inline(lines[i]); sentenceEnd(shown, len(shown)) > 0 {
			m.write(strings.TrimRight(shown, " \t")) // no heading, and no longer one when the line below it comes in
		} else {
			m.heading(text)
		}
		return 1
	}
	m.write(m.inline(strings.TrimSuffix(line, `\`)))
	return 0
}

// write ends a line. Of empty lines outside of code one is left.
func (m *markdown) write(line string) {
	if strings.TrimSpace(line) == "" && m.fence == "" {
		if m.empty++; m.empty > 1 {
			return
		}
		line = ""
	} else {
		m.empty = 0
	}
	m.out.WriteString(line)
	m.out.WriteByte('\n')
}

func (m *markdown) heading(text string) {
	text = strings.TrimSpace(m.inline(text))
	if !strings.HasPrefix(text, "【") {
		text = "【" + text + "】"
	}
	m.write(text)
}

func quoted(marks string) string { return strings.Repeat("│ ", strings.Count(marks, ">")) }

func (m *markdown) item(indent, number, text string) {
	mark, text := marked(indent, number, text)
	m.write(mark + m.inline(text))
}

// marked returns what stands ahead of an item's text, and the text.
func marked(indent, number, text string) (mark, rest string) {
	mark = "•"
	if number != "" {
		mark = number
	} else if t := task.FindStringSubmatch(text); t != nil {
		mark = "☑"
		if t[1] == " " {
			mark = "☐"
		}
		text = text[len(t[0]):]
	}
	return strings.ReplaceAll(indent, "\t", "    ") + mark + " ", text
}

// table writes the rows of a table, and returns how many lines there are behind the first.
func (m *markdown) table(lines []string) (more int) {
	for i, line := range lines {
		if i != 1 && (!strings.Contains(line, "|") || strings.TrimSpace(line) == "") {
			return i - 1
		}
		if i == 1 {
			continue
		}
		row := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "|"), "|")
		var shown []string
		for cell := range strings.SplitSeq(strings.ReplaceAll(row, `\|`, "\x00"), "|") {
			shown = append(shown, strings.TrimSpace(m.inline(strings.ReplaceAll(strings.TrimSpace(cell), "\x00", "|"))))
		}
		m.write(strings.Join(shown, " | "))
	}
	m.rows = true
	return len(lines) - 1
}

func cells(row string) int {
	return strings.Count(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(row), "|"), "|"), "|") + 1
}

// maxSpan bounds what is searched for the end of a link or of `code`, in bytes, and maxEmphasis for that
// of emphasis, so that the time grows with the text only.
const (
	maxSpan     = 2000
	maxEmphasis = 600
)

// maxReference bounds the address of a reference, in bytes, since a short text can name it often.
const maxReference = 500

var lineBreak = regexp.MustCompile(`^<[bB][rR][ \t]*/?>`)

// inline resolves what stands inside a line.
func (m *markdown) inline(s string) string {
	if !strings.ContainsAny(s, "\\`[!<*_~&") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		rest := s[i:]
		switch c := s[i]; {
		case c == '\\' && len(rest) > 1 && isPunctuation(rest[1]):
			b.WriteByte(rest[1])
			i += 2
			continue
		case c == '`':
			if text, n := codeSpan(rest); n > 0 {
				b.WriteString(text)
				i += n
				continue
			}
			m.unsure(m.unfinished, b.Len())
			n := len(rest) - len(strings.TrimLeft(rest, "`"))
			b.WriteString(rest[:n])
			i += n
			continue
		case c == '[' || c == '!' && strings.HasPrefix(rest, "!["):
			if text, n := m.link(rest); n > 0 {
				b.WriteString(text)
				i += n
				continue
			}
			m.unsure(true, b.Len())
		case c == '<':
			if text, n := tag(rest); n > 0 {
				b.WriteString(text)
				i += n
				continue
			}
			m.unsure(m.unfinished, b.Len())
		case c == '&':
			if end := strings.IndexByte(rest[:min(len(rest), 12)], ';'); end > 0 {
				b.WriteString(strings.ReplaceAll(html.UnescapeString(rest[:end+1]), "\u00a0", " "))
				i += end + 1
				continue
			}
			m.unsure(m.unfinished, b.Len())
		case c == 'h' || c == 'w': // a URL may have any of the marks in it
			if i == 0 || !isSchemeByte(s[i-1]) {
				if n := urlLen(rest[:min(len(rest), maxSpan)]); n > 0 {
					n = urlBeforeMark(s, i, n)
					b.WriteString(rest[:n])
					i += n
					continue
				}
			}
		case c == '*' || c == '_' || c == '~':
			n := len(rest) - len(strings.TrimLeft(rest, string(c)))
			if !isEmphasis(s, i, n) {
				opens, _ := flanks(s, i, n)
				m.unsure(m.unfinished && opens, b.Len())
				b.WriteString(rest[:n])
			}
			i += n
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// unsure notes the first place of a line that may come to be read otherwise.
func (m *markdown) unsure(is bool, at int) {
	if is && m.doubt < 0 {
		m.doubt = at
	}
}

// urlBeforeMark shortens a URL that ends with the mark which also stands before it: **https://…**.
func urlBeforeMark(s string, i, n int) int {
	if i > 0 && strings.IndexByte("*_~", s[i-1]) >= 0 {
		return len(strings.TrimRight(s[i:i+n], s[i-1:i]))
	}
	return n
}

func isPunctuation(c byte) bool {
	return strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) >= 0
}

// codeSpan reads `code` at the beginning of s.
func codeSpan(s string) (text string, n int) {
	ticks := len(s) - len(strings.TrimLeft(s, "`"))
	window := s[:min(len(s), maxSpan)]
	for at := ticks; at < len(window); {
		i := strings.IndexByte(window[at:], '`')
		if i < 0 {
			return "", 0
		}
		at += i
		run := len(window[at:]) - len(strings.TrimLeft(window[at:], "`"))
		if run == ticks {
			text = window[ticks:at]
			if len(text) > 2 && text[0] == ' ' && text[len(text)-1] == ' ' {
				text = text[1 : len(text)-1]
			}
			return text, at + run
		}
		at += run
	}
	return "", 0
}

// link reads a link or a picture at the beginning of s.
func (m *markdown) link(s string) (text string, n int) {
	open := strings.IndexByte(s, '[')
	window := s[:min(len(s), maxSpan)]
	end := closing(window, open, '[', ']')
	if end < 0 {
		return "", 0
	}
	label := window[open+1 : end]
	n = end + 1
	var address string
	switch rest := window[n:]; {
	case strings.HasPrefix(rest, "("):
		last := closing(rest, 0, '(', ')')
		if last < 0 {
			return "", 0
		}
		address = strings.TrimSpace(rest[1:last])
		if i := strings.IndexAny(address, " \t"); i > 0 && !strings.HasPrefix(address, "<") { // a title
			address = address[:i]
		}
		address = strings.TrimSuffix(strings.TrimPrefix(address, "<"), ">")
		n += last + 1
	case strings.HasPrefix(rest, "["):
		last := strings.IndexByte(rest, ']')
		if last < 0 {
			return "", 0
		}
		key := rest[1:last]
		if key == "" {
			key = label
		}
		if address = m.links[strings.ToLower(key)]; address == "" {
			return "", 0
		}
		n += last + 1
	default:
		if address = m.links[strings.ToLower(label)]; address == "" {
			return "", 0
		}
	}
	label = strings.TrimSpace(m.plain(label))
	return anchor(label, address), n
}

// plain is the text of a link, in which there are no links.
func (m *markdown) plain(label string) string {
	if strings.ContainsAny(label, "[") {
		return label
	}
	return (&markdown{}).inline(label)
}

// closing returns where the bracket at the place open is closed, -1 if it is not.
func closing(s string, open int, begin, end byte) int {
	depth := 0
	for i := open; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case begin:
			depth++
		case end:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// addressEscaper keeps an address inside its quotation marks.
var addressEscaper = strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E", " ", "%20")

// anchor writes a link as WeChat knows it. Only links to pages work there.
func anchor(label, address string) string {
	address = html.UnescapeString(address)
	switch {
	case address == "":
		return label
	case !isPage(address):
		if label == "" || label == address || strings.HasPrefix(address, "#") {
			return label
		}
		return label + " (" + address + ")"
	case label == "" || label == address:
		return address
	}
	// An element inside would end the link before its end.
	if strings.Contains(label, "<") {
		label = strings.NewReplacer("<", "＜", ">", "＞").Replace(label)
	}
	return `<a href="` + addressEscaper.Replace(address) + `">` + label + `</a>`
}

func isPage(address string) bool {
	for _, scheme := range []string{"https://", "http://", "weixin://"} {
		if len(address) > len(scheme) && strings.EqualFold(address[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// tag resolves <br>, a comment, <https://…>, and leaves an element a as it is.
func tag(s string) (text string, n int) {
	if br := lineBreak.FindString(s); br != "" {
		return "\n", len(br)
	}
	window := s[:min(len(s), maxSpan)]
	if strings.HasPrefix(s, "<!--") {
		if end := strings.Index(window, "-->"); end > 0 {
			return "", end + len("-->")
		}
		return "", 0
	}
	if n := linkLen(s, maxSpan); n > 0 {
		return s[:n], n
	}
	if end := strings.IndexByte(window, '>'); end > 0 {
		if address := s[1:end]; urlLen(address) == len(address) || strings.HasPrefix(address, "mailto:") {
			return strings.TrimPrefix(address, "mailto:"), end + 1
		}
	}
	return "", 0
}

// isEmphasis reports whether the n marks at the place i of s are emphasis, which is left out, and not
// stars and underscores that somebody means. They are emphasis if they stand at the beginning of a word and
// such marks stand at the end of one later, or the other way round.
func isEmphasis(s string, i, n int) bool {
	mark := s[i]
	if n > 3 || mark == '~' && n != 2 {
		return false
	}
	opens, closes := flanks(s, i, n)
	if opens {
		window := s[:min(len(s), i+n+maxEmphasis)]
		for at := i + n; at < len(window); {
			j := strings.IndexByte(window[at:], mark)
			if j < 0 {
				break
			}
			at += j
			run := len(window[at:]) - len(strings.TrimLeft(window[at:], string(mark)))
			if _, ends := flanks(s, at, run); ends && run <= 3 && !escaped(s, at) {
				return true
			}
			at += run
		}
	}
	if closes {
		window := s[max(0, i-maxEmphasis):i]
		from := i - len(window)
		for at := len(window); at > 0; {
			j := strings.LastIndexByte(window[:at], mark)
			if j < 0 {
				break
			}
			run := len(window[:j+1]) - len(strings.TrimRight(window[:j+1], string(mark)))
			at = j + 1 - run
			if begins, _ := flanks(s, from+at, run); begins && run <= 3 && !escaped(s, from+at) {
				return true
			}
		}
	}
	return false
}

func escaped(s string, i int) bool { return i > 0 && s[i-1] == '\\' }

// flanks reports whether n marks at i may begin and may end emphasis.
func flanks(s string, i, n int) (opens, closes bool) {
	before, _ := utf8.DecodeLastRuneInString(s[:i])
	after, _ := utf8.DecodeRuneInString(s[i+n:])
	spaceBefore := i == 0 || isBlank(before)
	spaceAfter := i+n == len(s) || isBlank(after)
	opens, closes = !spaceAfter, !spaceBefore
	switch {
	case s[i] == '_': // snake_case
		opens = opens && (spaceBefore || !isWord(before))
		closes = closes && (spaceAfter || !isWord(after))
	case isWord(before) && isWord(after): // 2*3*4
		return false, false
	}
	return opens, closes
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '　' }

func isWord(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z'
}

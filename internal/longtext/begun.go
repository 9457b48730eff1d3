package longtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Begun returns what can be shown of a text that is still being written: the longest beginning of at most
// limit bytes that ends with a sentence or a line. It is empty if there is none. It ends neither inside a URL
// nor inside an element <a …>…</a>, and before one that is not closed so far. White space at its end is left out.
func Begun(text string, limit int) string {
	return strings.TrimRightFunc(text[:sentenceEnd(text, limit)], unicode.IsSpace)
}

// BegunMarkdown is Begun for Markdown that is to be read by [FromMarkdown]: whatever is written behind text, what
// it returns is a beginning of what FromMarkdown makes of the whole. So it leaves out what may come to be
// read otherwise: emphasis, links and code that are not closed, a heading, a line that may become one or begin
// a table, and all behind a bracket to which a reference may follow. R-LATE-DRAFT
func BegunMarkdown(text string, limit int) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	whole := lines[:len(lines)-1]
	last := lines[len(lines)-1]
	decided := len(whole)
	if decided > 0 && strings.Trim(last, " \t\r=-|:") == "" && strings.TrimSpace(lines[decided-1]) != "" {
		decided-- // what comes below it may make it a heading, or the first line of a table
	}
	m := &markdown{links: references(whole), doubt: -1}
	i, shown := 0, ""
	for i < decided {
		more := m.line(whole, i)
		if m.doubt >= 0 {
			break // it is shown as far as it is certain
		}
		shown = m.out.String()
		i += 1 + more
	}
	if !m.rows && m.fence == "" {
		shown += m.begun(lines[i])
	}
	shown = strings.TrimLeft(shown, "\n")
	return strings.TrimRightFunc(shown[:sentenceEnd(shown+"\n", limit)], unicode.IsSpace)
}

// begun returns what is certain of a line that may go on, or whose meaning the next one decides: whole sentences.
func (m *markdown) begun(line string) string {
	line, _, _ = strings.Cut(line, "|")          // the first cell, should it be a table
	line = strings.TrimRight(line, "\r*_~`\\!]") // marks that may become longer, or belong to what follows
	if line == "" || strings.ContainsAny(line[:1], " \t#`~") {
		return "" // an indent is that of an item, or none
	}
	mark := ""
	if it := item.FindStringSubmatch(line); it != nil {
		mark, line = marked(it[1], it[3], it[4])
	} else if q := quote.FindStringSubmatch(line); q != nil {
		mark, line = quoted(q[1]), q[2]
	}
	m.doubt, m.unfinished = -1, true
	line = m.inline(line)
	if m.doubt >= 0 {
		line = line[:m.doubt]
	}
	if n := sentenceEnd(line, len(line)); n > 0 {
		return mark + line[:n]
	}
	return ""
}

// sentenceEnd returns where the last sentence or line of text ends, 0 if none does within limit bytes.
// A stop of Chinese ends one even if nothing follows, a Latin one only if white space does, and not behind
// a digit, which may be the number of an item. More text behind it takes no end away.
func sentenceEnd(text string, limit int) (end int) {
	s := &splitter{text: text, limit: len(text)}
	begun := false // something has come that is not white space
	ended := false // a sentence has, and only what closes it has followed
	wide := false  // the stop is Chinese
	var before rune
	for i := 0; i < len(text) && i <= limit; {
		rest := text[i:]
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case unicode.IsSpace(r):
			if ended || begun && r == '\n' {
				end = i
			}
			ended = false
		case isLinkOpen(rest):
			return end
		default:
			begun = true
			n = s.unit(i)
			r, _ = utf8.DecodeLastRuneInString(rest[:n])
			switch {
			case n == 1 && strings.ContainsRune(".!?", r):
				ended, wide = !unicode.IsDigit(before), false
			case strings.ContainsRune("。！？", r):
				ended, wide = true, true
			default:
				ended = ended && isCloser(r)
			}
			if ended && wide && i+n <= limit {
				end = i + n
			}
		}
		before = r
		i += n
	}
	return end
}

// isLinkOpen reports whether text begins with an element a, or what may become one, that is not closed.
func isLinkOpen(text string) bool {
	if text[0] != '<' || linkLen(text, len(text)) > 0 {
		return false
	}
	return len(text) == 1 || text[1]|0x20 == 'a' && (len(text) == 2 || strings.ContainsRune(" \t\r\n>", rune(text[2])))
}

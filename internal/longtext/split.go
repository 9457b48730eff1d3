package longtext

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/echostr/echostr"
)

// Split parts text into messages of at most limit bytes of UTF-8 each, as few as possible; limit
// 0 is [echostr.MaxTextBytes]. Among the ways to have so few, it cuts where a reader expects
// it: between paragraphs, else lines, else sentences, else clauses, else words, else characters
// as echostr.CutText understands them.
//
// It never cuts inside a URL, nor inside an element <a …>…</a>, unless that alone is longer than limit;
// then it is text like any other, and WeChat shows the parts of an element as they are written.
//
// Nothing is lost except white space at the borders: at the end of a message, and at the beginning of one
// before its first line, whose indent stays if there is room for it. No message is empty, so there is none for
// a text of white space. What is not UTF-8 becomes U+FFFD. A limit below 4, which not every
// character fits in, counts as 4. R-REPLY-TEXT
func Split(text string, limit int) []string {
	if limit <= 0 {
		limit = echostr.MaxTextBytes
	}
	limit = max(limit, utf8.UTFMax)
	text = strings.ToValidUTF8(text, "\ufffd")
	s := &splitter{text: text, limit: limit}
	begin, indent := s.begin(0)
	end := len(strings.TrimRightFunc(text, unicode.IsSpace))
	switch {
	case begin >= end:
		return nil
	case end-indent <= limit:
		return []string{text[indent:end]}
	}
	s.findCuts(begin, indent, end)
	return s.pieces()
}

// border says how well a text can be cut at a place.
type border uint8

const (
	borderCharacter border = iota
	borderWord
	borderClause
	borderSentence
	borderLine
	borderParagraph
)

// cut is a place where text may be cut. A run of white space has one, at its beginning.
type cut struct {
	end    int // of the left side
	indent int // where the right side begins with its indent
	begin  int // and without it
	border border
}

type splitter struct {
	text  string
	limit int
	cuts  []cut // ascending; the first is the beginning of the text, the last its end

	// Inside what is too long to be kept whole nothing is looked for again: up to here.
	longURL, longCharacter int
}

// begin returns where a message begins that is cut at i: behind the white space there, without the
// indent of its first line and with it.
func (s *splitter) begin(i int) (begin, indent int) {
	rest := strings.TrimLeftFunc(s.text[i:], unicode.IsSpace)
	begin = len(s.text) - len(rest)
	indent = begin
	if n := strings.LastIndexByte(s.text[i:begin], '\n'); n >= 0 {
		indent = i + n + 1
	} else if i == 0 {
		indent = 0
	}
	return begin, indent
}

// findCuts walks over the text in units that are not cut.
func (s *splitter) findCuts(begin, indent, end int) {
	s.cuts = []cut{{begin: begin, indent: indent}}
	var before rune // of the unit before, its last rune
	ended := false  // whether a sentence has ended, and only what closes it has followed
	for i := begin; i < end; {
		if i > begin {
			c := cut{end: i}
			c.begin, c.indent = s.begin(i)
			space := s.text[i:c.begin]
			next, _ := utf8.DecodeRuneInString(s.text[c.begin:])
			c.border = borderAt(before, space, next, ended)
			s.cuts = append(s.cuts, c)
			ended = ended && space == ""
			i = c.begin
		}
		n := s.unit(i)
		before, _ = utf8.DecodeLastRuneInString(s.text[i : i+n])
		ended = isStop(before) || before == '.' || ended && isCloser(before)
		i += n
	}
	s.cuts = append(s.cuts, cut{end: end, begin: end, border: borderParagraph})
}

// borderAt returns how well the text can be cut between two units with this white space between them.
func borderAt(before rune, space string, next rune, ended bool) border {
	switch n := strings.Count(space, "\n"); {
	case n > 1:
		return borderParagraph
	case n == 1:
		return borderLine
	case space == "" && (isCloser(next) || isStop(next) || isComma(next)):
		return borderCharacter // a line does not begin with these
	case ended && (space != "" || before != '.' && isWide(before)):
		return borderSentence
	case isComma(before) && (space != "" || isWide(before)):
		return borderClause
	case space != "", isWide(before) && !isOpener(before), isWide(next):
		return borderWord
	}
	return borderCharacter
}

func isStop(r rune) bool   { return strings.ContainsRune("。！？!?…", r) }
func isComma(r rune) bool  { return strings.ContainsRune("，、；：,;:", r) }
func isCloser(r rune) bool { return strings.ContainsRune("”’」』）》】〉)]}\"'", r) }
func isOpener(r rune) bool { return strings.ContainsRune("“‘「『（《【〈([{", r) }

// isWide reports whether r is of a script without blanks between words, or its punctuation.
func isWide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai) ||
		0x3000 <= r && r <= 0x303F || 0xFF00 <= r && r <= 0xFFEF || strings.ContainsRune("“”‘’…—", r) || r >= 0x1F000
}

// maxCharacter is the longest character that is kept together, in bytes. Ten times as long as any
// that is meant seriously.
const maxCharacter = 512

// unit returns the length of what begins at i and is not cut: a link, a URL, or a character, as long as
// it fits into a message.
func (s *splitter) unit(i int) int {
	rest := s.text[i:]
	if n := linkLen(rest, s.limit); n > 0 {
		return n
	}
	if i >= s.longURL && (i == 0 || !isSchemeByte(s.text[i-1])) {
		n := urlLen(rest[:min(len(rest), s.limit+1)])
		if 0 < n && n <= s.limit {
			return n
		}
		s.longURL = i + n
	}
	if i >= s.longCharacter {
		longest := min(s.limit, maxCharacter)
		n := echostr.CharacterLen(rest[:min(len(rest), longest+utf8.UTFMax)])
		if n <= longest {
			return n
		}
		s.longCharacter = i + n
	}
	_, n := utf8.DecodeRuneInString(rest)
	return n
}

// linkLen returns the length of the element a that text begins with, 0 if there is none of at
// most limit bytes.
func linkLen(text string, limit int) int {
	if len(text) < len("<a></a>") || text[0] != '<' || text[1]|0x20 != 'a' || !strings.ContainsRune(" \t\r\n>", rune(text[2])) {
		return 0
	}
	text = text[:min(len(text), limit)]
	for at := 0; ; {
		i := strings.Index(text[at:], "</")
		if i < 0 {
			return 0
		}
		at += i + len("</")
		if at < len(text) && text[at]|0x20 == 'a' {
			if rest := strings.TrimLeft(text[at+1:], " \t\r\n"); strings.HasPrefix(rest, ">") {
				return len(text) - len(rest) + 1
			}
		}
	}
}

// maxScheme bounds the name before "://".
const maxScheme = 20

// urlLen returns the length of the URL that text begins with, 0 if there is none. A stop or bracket at
// its end is not part of it.
func urlLen(text string) int {
	n := 0
	for n < len(text) && n <= maxScheme && isSchemeByte(text[n]) {
		n++
	}
	switch {
	case n > 0 && strings.HasPrefix(text[n:], "://"):
		n += len("://")
	case len(text) > len("www.") && strings.EqualFold(text[:len("www.")], "www."):
		n = len("www.")
	default:
		return 0
	}
	body := n
	for n < len(text) && isURLByte(text[n]) {
		n++
	}
	for n > body && strings.IndexByte(".,;:!?)]}'\"", text[n-1]) >= 0 {
		n--
	}
	if n == body {
		return 0
	}
	return n
}

func isSchemeByte(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '.' || c == '-'
}

// isURLByte reports whether c may stand in a URL. In texts a URL ends before Chinese.
func isURLByte(c byte) bool { return ' ' < c && c < 0x7F && strings.IndexByte("<>\"`\\^{|}", c) < 0 }

// pieces chooses among the cuts.
func (s *splitter) pieces() []string {
	last := len(s.cuts) - 1
	// need[i] is how few messages the text from cut i on takes. It never grows with i, for what
	// fits still fits if it begins later.
	need := make([]int, last+1)
	for i, far := last-1, last; i >= 0; i-- {
		for s.cuts[far].end-s.cuts[i].begin > s.limit {
			far--
		}
		need[i] = 1 + need[far]
	}
	var pieces []string
	for i := 0; i < last; {
		best := -1
		for j := i + 1; j <= last && s.cuts[j].end-s.cuts[i].begin <= s.limit; j++ {
			if need[j] == need[i]-1 && (best < 0 || s.cuts[j].border >= s.cuts[best].border) {
				best = j
			}
		}
		from, to := s.cuts[i].indent, s.cuts[best].end
		if to-from > s.limit {
			from = s.cuts[i].begin
		}
		pieces = append(pieces, s.text[from:to])
		i = best
	}
	return pieces
}

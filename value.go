package echostr

import (
	"strings"
	"unicode/utf8"
)

// resolve makes the value of what stands between two tags: text, references,
// CDATA sections, comments and instructions, all known to be well formed.
// CR LF and CR become LF (R-XML-LINEEND), illegal characters and bytes U+FFFD
// (R-XML-CHARS). If trim is set, white space outside CDATA is left out at both
// ends (R-XML-BLANKS); a reference such as &#32; stays, nobody writes one by accident.
//
// It goes over raw twice, to measure and to write, so that a value in pieces
// costs one allocation of its own size, and one that is a part of raw none.
func resolve(raw string, trim bool) string {
	if trim {
		raw = trimSpace(raw)
	}
	v := value{trim: trim}
	v.read(raw)
	if v.pieces <= 1 {
		return v.only[:v.keep]
	}
	w := value{trim: trim, limit: v.keep}
	w.out.Grow(v.keep)
	w.read(raw)
	return w.out.String()
}

// value collects the pieces of a value.
type value struct {
	trim   bool
	size   int    // bytes so far
	keep   int    // bytes up to the last that is not white space outside CDATA
	pieces int    // how many pieces there were, cut where something is replaced
	only   string // the first of them

	limit int // write this many bytes to out
	out   strings.Builder
}

// read splits raw into pieces.
func (v *value) read(raw string) {
	for i := 0; i < len(raw); {
		switch rest := raw[i:]; {
		case raw[i] == '&':
			r, size := reference(rest)
			v.addRune(r)
			i += size
		case strings.HasPrefix(rest, cdataOpen):
			end, dirty := scanCDATA(rest, len(cdataOpen))
			v.add(rest[len(cdataOpen):end], true, dirty)
			i += end + len(cdataClose)
		case strings.HasPrefix(rest, "<!--"):
			i += len("<!--") + strings.Index(rest[len("<!--"):], "-->") + len("-->")
		case raw[i] == '<':
			i += strings.Index(rest, "?>") + len("?>")
		default:
			end := i
			for end < len(raw) && raw[end] != '<' && raw[end] != '&' {
				end++
			}
			v.add(raw[i:end], false, true)
			i = end
		}
	}
}

// add adds characters that stand for themselves, but for line ends and illegal
// ones, of which there are none unless they are dirty. Solid ones are never trimmed.
func (v *value) add(s string, solid, dirty bool) {
	if !v.trim || solid {
		v.write(s, dirty)
		v.keep = v.size
		return
	}
	if v.keep == 0 {
		s = trimLeft(s)
	}
	core := trimRight(s)
	if core != "" {
		v.write(core, dirty)
		v.keep = v.size
	}
	v.write(s[len(core):], dirty)
}

// addRune adds a character that stands in raw as a reference.
func (v *value) addRune(r rune) {
	if v.size < v.limit {
		v.out.WriteRune(r)
	}
	v.pieces += 2 // not a part of raw
	v.size += utf8.RuneLen(r)
	v.keep = v.size
}

// Replacements, many at a time, since a hostile body may be nothing else.
var (
	lineFeeds = strings.Repeat("\n", 64)
	illegals  = strings.Repeat("\ufffd", 64)
)

func (v *value) write(s string, dirty bool) {
	from := 0
	for i := 0; dirty && i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf || c == '\n' || c == '\t' {
			i++
			continue
		}
		start, n, as := i, 0, illegals
		if c == '\r' {
			as = lineFeeds
			for ; n < 64 && i < len(s) && s[i] == '\r'; n++ {
				if i++; i < len(s) && s[i] == '\n' {
					i++
				}
			}
		} else {
			for n < 64 && i < len(s) {
				if c = s[i]; c >= 0xc2 && c <= 0xf4 {
					size, ok := legalRune(s, i)
					if ok {
						break
					}
					i += size
				} else if c < 0x20 && !isSpace(c) || c >= utf8.RuneSelf {
					i++
				} else {
					break
				}
				n++
			}
			if n == 0 { // a legal character beyond ASCII
				_, size := utf8.DecodeRuneInString(s[i:])
				i += size
				continue
			}
		}
		as = as[:len(as)/64*n]
		if v.size < v.limit {
			v.out.WriteString(s[from:start])
			v.out.WriteString(as)
		}
		v.size += start - from + len(as)
		v.pieces += 2
		from = i
	}
	v.piece(s[from:])
}

// piece adds s as it is. All of it is below the limit or none.
func (v *value) piece(s string) {
	if s == "" {
		return
	}
	if v.size < v.limit {
		v.out.WriteString(s)
	}
	if v.pieces++; v.pieces == 1 {
		v.only = s
	}
	v.size += len(s)
}

// trimSpace removes XML's white space from both ends.
func trimSpace(s string) string { return trimRight(trimLeft(s)) }

func trimLeft(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	return s
}

func trimRight(s string) string {
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

package echostr

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// hasCDATA is strings.HasPrefix, which compares with a constant several times slower.
func hasCDATA(s string, p int) bool {
	return p+len(cdataOpen) <= len(s) && s[p:p+len(cdataOpen)] == cdataOpen
}

const (
	cdataOpen  = "<![CDATA["
	cdataClose = "]]>"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// load8 reads eight bytes of s at i; i+8 <= len(s).
func load8(s string, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// The scanners look for the first byte of eight that is not plain: not ASCII,
// a control character, or one of a few that mean something. A byte of x-ones*c has its
// high bit set if that of x is below c, and one of (x^ones*c)-ones if it is
// c. Borrowing can mark bytes above the first mark wrongly, but never the first.

// scanCDATA returns where the "]]>" after i stands, or -1, and whether the
// section has characters that its value shows differently: R-XML-CHARS, R-XML-LINEEND.
func scanCDATA(s string, i int) (end int, dirty bool) {
	for {
		for i+8 <= len(s) {
			x := load8(s, i)
			if stop := ((x - ones*0x20) | ((x ^ ones*']') - ones) | x) & highs; stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		if i >= len(s) {
			return -1, dirty
		}
		switch c := s[i]; {
		case c == ']':
			if i+2 < len(s) && s[i+1] == ']' && s[i+2] == '>' {
				return i, dirty
			}
			i++
		case c >= utf8.RuneSelf:
			next, illegal := scanRunes(s, i)
			i, dirty = next, dirty || illegal
		case c < 0x20 && c != '\n' && c != '\t':
			for dirty = true; i < len(s) && s[i] < 0x20; {
				i++
			}
		default:
			i++
		}
	}
}

// scanText returns where the next '<' after i stands, and whether the text
// before it has anything that its value shows differently. If there is none, or
// a reference that XML does not have, end is negative: see failText.
func scanText(s string, i int) (end int, dirty bool) {
	for {
		for i+8 <= len(s) {
			x := load8(s, i)
			if stop := ((x - ones*0x20) | ((x ^ ones*'<') - ones) | ((x ^ ones*'&') - ones) | x) & highs; stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		if i >= len(s) {
			return ^len(s), dirty
		}
		switch c := s[i]; {
		case c == '<':
			return i, dirty
		case c == '&':
			_, size := reference(s[i:])
			if size == 0 {
				return ^i, dirty
			}
			i += size
			dirty = true
		case c >= utf8.RuneSelf:
			next, illegal := scanRunes(s, i)
			i, dirty = next, dirty || illegal
		case c < 0x20 && c != '\n' && c != '\t':
			for dirty = true; i < len(s) && s[i] < 0x20; {
				i++
			}
		default:
			i++
		}
	}
}

// scanRunes returns where the run of bytes beyond ASCII at i ends, as Chinese makes them
// long, and whether a character in it is illegal.
func scanRunes(s string, i int) (end int, illegal bool) {
	for i < len(s) && s[i] >= utf8.RuneSelf {
		if isChinese(s, i) {
			i += 3
			continue
		}
		size, ok := legalRune(s, i)
		i += size
		illegal = illegal || !ok
	}
	return i, illegal
}

// isChinese reports whether there is Chinese or its punctuation at i: three bytes, neither
// overlong nor surrogate nor U+FFFE. It knows the usual characters and not all.
func isChinese(s string, i int) bool {
	if i+2 >= len(s) {
		return false
	}
	c, d, e := s[i], s[i+1], s[i+2]
	return d&0xc0 == 0x80 && e&0xc0 == 0x80 && (c >= 0xe1 && c <= 0xec || c == 0xef && d < 0xbf)
}

// failText records the error for a negative end of scanText.
func (x *scanner) failText(end int) bool {
	if end = ^end; end == len(x.s) {
		return x.fail(end, "it ends inside an element")
	}
	return x.fail(end, "it has an entity other than XML's own five")
}

// legalRune returns the size of the character at i and whether XML 1.0 knows
// it. A byte that is not UTF-8 is one illegal character.
func legalRune(s string, i int) (size int, ok bool) {
	if isChinese(s, i) {
		return 3, true
	}
	if c := s[i]; c < 0xc2 || c > 0xf4 {
		return 1, false
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	return size, (r != utf8.RuneError || size == 3) && isLegal(r)
}

// isLegal reports whether XML 1.0 allows r in a document.
func isLegal(r rune) bool {
	return r >= 0x20 && r <= 0xd7ff || r == '\n' || r == '\t' || r == '\r' ||
		r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= utf8.MaxRune
}

// entities are all that XML itself has.
var entities = [...]struct {
	text string
	r    rune
}{{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&apos;", '\''}, {"&quot;", '"'}}

// reference reads the character or entity reference at the start of s, which
// begins with '&'. Size is 0 if there is none; a character that XML does not
// allow is U+FFFD.
func reference(s string) (r rune, size int) {
	if !strings.HasPrefix(s, "&#") {
		for _, e := range entities {
			if strings.HasPrefix(s, e.text) {
				return e.r, len(e.text)
			}
		}
		return 0, 0
	}
	i, base := 2, rune(10)
	if strings.HasPrefix(s, "&#x") {
		i, base = 3, 16
	}
	first := i
	for ; i < len(s) && s[i] != ';'; i++ {
		digit := rune(99)
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digit = rune(c - '0')
		case c >= 'a' && c <= 'f':
			digit = rune(c-'a') + 10
		case c >= 'A' && c <= 'F':
			digit = rune(c-'A') + 10
		}
		if digit >= base {
			return 0, 0
		}
		if r <= utf8.MaxRune { // beyond it the value no longer matters
			r = r*base + digit
		}
	}
	if i == first || i == len(s) {
		return 0, 0
	}
	if !isLegal(r) {
		r = utf8.RuneError
	}
	return r, i + 1
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

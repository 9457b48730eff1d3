package echostr

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// name returns the end of the name that begins at start, or -1 after an error.
func (x *scanner) name(start int) int {
	s, i := x.s, start
	for {
		for i+8 <= len(s) { // letters
			v := load8(s, i)
			small := v | ones*0x20
			if stop := ((small - ones*'a') | (small + ones*(0x7f-'z')) | v) & highs; stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		for i < len(s) && nameByte[s[i]]&nameASCII != 0 {
			i++
		}
		if i == len(s) || nameByte[s[i]] == 0 {
			break
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError || !isNameRune(r) {
			x.fail(i, "a name has a character that names cannot have")
			return -1
		}
		i += size
	}
	if i == start || nameByte[s[start]] == nameInner {
		x.fail(start, "a name is expected here")
		return -1
	}
	return i
}

// Bytes of names: nameStart can begin one, nameInner only continue it.
// Of nameRune, beyond ASCII, isNameRune decides.
const (
	nameStart = 1
	nameInner = 2
	nameASCII = nameStart | nameInner
	nameRune  = 4
)

var nameByte = func() (t [256]byte) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == ':':
			t[c] = nameStart
		case c >= utf8.RuneSelf:
			t[c] = nameRune
		case c >= '0' && c <= '9', c == '-', c == '.':
			t[c] = nameInner
		}
	}
	return t
}()

// isNameRune reports whether XML lets r, which is not ASCII, begin a name.
func isNameRune(r rune) bool {
	switch {
	case r == 0xd7, r == 0xf7, r == 0x37e:
		return false
	case r >= 0xc0 && r <= 0x2ff, r >= 0x370 && r <= 0x1fff, r == 0x200c, r == 0x200d,
		r >= 0x2070 && r <= 0x218f, r >= 0x2c00 && r <= 0x2fef, r >= 0x3001 && r <= 0xd7ff,
		r >= 0xf900 && r <= 0xfdcf, r >= 0xfdf0 && r <= 0xfffd, r >= 0x10000 && r <= 0xeffff:
		return true
	}
	return false
}

// attributes skips the rest of a start tag: attributes mean nothing, but must
// be well formed, or a quote could hide the end of the tag.
func (x *scanner) attributes() (empty, ok bool) {
	for {
		spaces := x.p
		for x.p < len(x.s) && isSpace(x.s[x.p]) {
			x.p++
		}
		switch {
		case x.p == len(x.s):
			return false, x.fail(x.p, "it ends inside a tag")
		case x.s[x.p] == '>':
			x.p++
			return false, true
		case strings.HasPrefix(x.s[x.p:], "/>"):
			x.p += 2
			return true, true
		case spaces == x.p:
			return false, x.fail(x.p, "a name has a character that names cannot have")
		}
		if _, _, ok := x.attribute(); !ok {
			return false, false
		}
	}
}

// attribute reads one name="value".
func (x *scanner) attribute() (name, value string, ok bool) {
	start := x.p
	end := x.name(start)
	if end < 0 {
		return "", "", false
	}
	name, x.p = x.s[start:end], end
	x.spaces()
	if x.p == len(x.s) || x.s[x.p] != '=' {
		return "", "", x.fail(x.p, "an attribute has no value")
	}
	x.p++
	x.spaces()
	if x.p == len(x.s) || x.s[x.p] != '"' && x.s[x.p] != '\'' {
		return "", "", x.fail(x.p, "the value of an attribute is not quoted")
	}
	quote := x.s[x.p]
	x.p++
	for from := x.p; x.p < len(x.s); {
		switch c := x.s[x.p]; {
		case c == quote:
			x.p++
			return name, x.s[from : x.p-1], true
		case c == '<':
			return "", "", x.fail(x.p, "the value of an attribute is not closed")
		case c == '&':
			_, size := reference(x.s[x.p:])
			if size == 0 {
				return "", "", x.fail(x.p, "it has an entity other than XML's own five")
			}
			x.p += size
		default:
			if !x.legal() {
				return "", "", false
			}
		}
	}
	return "", "", x.fail(x.p, "the value of an attribute is not closed")
}

func (x *scanner) spaces() {
	for x.p < len(x.s) && isSpace(x.s[x.p]) {
		x.p++
	}
}

// legal steps over one character outside text, where illegal ones are refused.
func (x *scanner) legal() bool {
	c := x.s[x.p]
	if c >= 0x20 && c < utf8.RuneSelf || isSpace(c) {
		x.p++
		return true
	}
	size, ok := 1, false
	if c >= utf8.RuneSelf {
		size, ok = legalRune(x.s, x.p)
	}
	if !ok {
		return x.fail(x.p, "it has an illegal character outside text")
	}
	x.p += size
	return true
}

// comment skips a comment. What else begins with "<!" is a DOCTYPE or worse.
func (x *scanner) comment() bool {
	start := x.p
	if !strings.HasPrefix(x.s[x.p:], "<!--") {
		if rest := x.s[x.p:]; len(rest) < len(cdataOpen) && (strings.HasPrefix(cdataOpen, rest) || strings.HasPrefix("<!--", rest)) {
			return x.fail(x.p, "it ends inside a tag")
		}
		return x.fail(x.p, "it has a declaration, such as DOCTYPE, which WeChat never sends")
	}
	x.p += len("<!--")
	for x.p < len(x.s) {
		if strings.HasPrefix(x.s[x.p:], "--") {
			if !strings.HasPrefix(x.s[x.p:], "-->") {
				return x.fail(x.p, "a comment has two hyphens in it")
			}
			x.p += len("-->")
			return true
		}
		if !x.legal() {
			return false
		}
	}
	return x.fail(start, "a comment is not closed")
}

// instruction skips a processing instruction, or reads the XML declaration
// where it may stand.
func (x *scanner) instruction(declaration bool) bool {
	start := x.p
	end := x.name(start + len("<?"))
	if end < 0 {
		return false
	}
	x.p = end
	if target := x.s[start+len("<?") : end]; len(target) == 3 && equalFold(target, "xml") {
		if target != "xml" || !declaration {
			return x.fail(start, "an XML declaration stands where it must not")
		}
		return x.declaration()
	}
	if x.p < len(x.s) && !isSpace(x.s[x.p]) && x.s[x.p] != '?' {
		return x.fail(x.p, "a name has a character that names cannot have")
	}
	for x.p < len(x.s) {
		if strings.HasPrefix(x.s[x.p:], "?>") {
			x.p += len("?>")
			return true
		}
		if !x.legal() {
			return false
		}
	}
	return x.fail(start, "a processing instruction is not closed")
}

// declaration reads what follows "<?xml": the version must be 1.0 and the
// encoding, if named, UTF-8.
func (x *scanner) declaration() bool {
	for {
		before := x.p
		x.spaces()
		if strings.HasPrefix(x.s[x.p:], "?>") {
			x.p += len("?>")
			return true
		}
		if x.p == len(x.s) {
			return x.fail(x.p, "the XML declaration is not closed")
		}
		if before == x.p {
			return x.fail(x.p, "the XML declaration is malformed")
		}
		name, value, ok := x.attribute()
		switch {
		case !ok:
			return false
		case name == "version" && value != "1.0":
			return x.fail(before, "it is not XML 1.0")
		case name == "encoding" && (len(value) != 5 || !equalFold(value, "utf-8")):
			return x.fail(before, "its encoding is not UTF-8")
		}
	}
}

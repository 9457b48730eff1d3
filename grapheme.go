package echostr

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ellipsis says that a text goes on.
const ellipsis = "…"

// CutText returns s if it has at most limit bytes of UTF-8; otherwise the
// longest beginning of it that fits, with "…" behind it inside the limit.
//
// The cut is where a reader sees a border: never within a character and what
// is joined to it (combining marks, variation selectors, skin colours, flags,
// emoji joined by ZWJ, syllables of Hangul), and never within an
// element <a …>…</a>, which is then left out whole. Conjuncts of Indic scripts
// and an <a> that is never closed are cut like other text. If nothing fits before
// the cut, the result is "…"; with a limit below its 3 bytes, it is empty.
//
// Characters that a reply cannot carry are left out first, and CR LF becomes LF, as
// [AppendReply] does.
func CutText(s string, limit int) string {
	s = clean(s)
	if len(s) <= limit {
		return s
	}
	room := limit - len(ellipsis)
	if room < 0 {
		return ""
	}
	end := 0
	links := true // false once it is known that no further <a> is closed
	for end < len(s) {
		n := 0
		if links && startsLink(s[end:]) {
			if n = linkLen(s[end:]); n == 0 {
				links = false
			} else {
				n += clusterLen(s[end+n-1:]) - 1 // marks join the final ">"
			}
		}
		if n == 0 {
			n = clusterLen(s[end:])
		}
		if end+n > room {
			break
		}
		end += n
	}
	return s[:end] + ellipsis
}

// startsLink reports whether s begins with the start tag of an element a.
func startsLink(s string) bool {
	return len(s) > 2 && s[0] == '<' && s[1]|0x20 == 'a' && strings.IndexByte(" \t\n>", s[2]) >= 0
}

// linkLen returns the length of the element a at the beginning of s, or 0 if it
// has no end tag.
func linkLen(s string) int {
	for at := 0; ; {
		i := strings.Index(s[at:], "</")
		if i < 0 {
			return 0
		}
		at += i + len("</")
		if at < len(s) && s[at]|0x20 == 'a' {
			rest := strings.TrimLeft(s[at+1:], " \t\n")
			if strings.HasPrefix(rest, ">") {
				return len(s) - len(rest) + 1
			}
		}
	}
}

// CharacterLen returns the length in bytes of the first character of s as a reader sees it, with
// all that [CutText] keeps joined to it. It is 0 only for an empty s.
func CharacterLen(s string) int { return clusterLen(s) }

// clusterLen returns the length in bytes of the first grapheme cluster of s,
// which is clean and so has no CR: the rules of UAX #29 that can be told from
// the tables of package unicode. Where those are too coarse it joins rather
// than parts. It is 0 only for an empty s.
func clusterLen(s string) int {
	prev, n := utf8.DecodeRuneInString(s)
	flags := 0 // regional indicators so far
	if isRegional(prev) {
		flags = 1
	}
	for n < len(s) {
		next, size := utf8.DecodeRuneInString(s[n:])
		if !joins(prev, next, flags) {
			break
		}
		if isRegional(next) {
			flags++
		}
		prev = next
		n += size
	}
	return n
}

const zwj = '\u200d'

// joins reports whether there is no border between two neighbouring
// characters; flags is how many regional indicators there are up to prev.
func joins(prev, next rune, flags int) bool {
	switch {
	case isControl(prev) || isControl(next):
		return false
	case next == zwj || isExtend(next):
		return true
	case prev == zwj:
		// A joined emoji. Letters may follow a ZWJ without being joined.
		return !unicode.IsLetter(next) && !unicode.IsDigit(next) && !unicode.IsSpace(next)
	case isRegional(prev) && isRegional(next):
		return flags%2 == 1
	}
	return joinsHangul(prev, next)
}

func isControl(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}

// isExtend reports whether r is drawn with the character before it: marks and
// variation selectors, what Unicode adds to them (ZWNJ, tags, half-width voicing
// marks), the Thai and Lao vowel AM, and the skin colours.
func isExtend(r rune) bool {
	return unicode.In(r, unicode.M, unicode.Other_Grapheme_Extend) ||
		r == '\u0e33' || r == '\u0eb3' || 0x1F3FB <= r && r <= 0x1F3FF
}

func isRegional(r rune) bool { return unicode.Is(unicode.Regional_Indicator, r) }

// joinsHangul reports whether two characters belong to one syllable: leading
// consonants, then vowels, then trailing consonants, or syllables composed of them.
func joinsHangul(prev, next rune) bool {
	switch hangulKind(prev) {
	case 'L':
		k := hangulKind(next)
		return k != 0 && k != 'T'
	case 'V', 'v': // v: a composed syllable without a trailing consonant
		k := hangulKind(next)
		return k == 'V' || k == 'T'
	case 'T', 't': // t: a composed syllable with one
		return hangulKind(next) == 'T'
	}
	return false
}

func hangulKind(r rune) byte {
	switch {
	case 0x1100 <= r && r <= 0x115F, 0xA960 <= r && r <= 0xA97C:
		return 'L'
	case 0x1160 <= r && r <= 0x11A7, 0xD7B0 <= r && r <= 0xD7C6:
		return 'V'
	case 0x11A8 <= r && r <= 0x11FF, 0xD7CB <= r && r <= 0xD7FB:
		return 'T'
	case 0xAC00 <= r && r <= 0xD7A3:
		if (r-0xAC00)%28 == 0 {
			return 'v'
		}
		return 't'
	}
	return 0
}

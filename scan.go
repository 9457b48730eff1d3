package echostr

import (
	"slices"
	"strings"
)

// Limits of a document. WeChat's own pushes have fewer than 100 elements, at
// most 5 deep; the limits leave room and keep time and memory linear in the
// size of the body, which the caller bounds.
const (
	maxDepth     = 16        // the root is at depth 1
	maxElements  = 2000      // the root included
	maxPathBytes = 256 << 10 // the lengths of all paths together
	maxBody      = 1 << 30   // offsets are kept in 32 bits
)

// node is one element. A document is the flat list of its elements in the
// order of their start tags, so the children of i begin at i+1, and the next
// sibling of a child c is at c.next, up to i's own next. It holds offsets
// and no pointers: a document costs the garbage collector nothing.
type node struct {
	name, nameEnd int32 // the name, as a range of the document
	from, to      int32 // what is between the tags; without the CDATA mark if whole is set
	next          int32 // the node after the last descendant
	kind          kind
	depth         uint8 // the root is at depth 1
}

// kind says how the value of a node is read from its range.
type kind uint8

const (
	kindText   kind = iota // the range is the value; white space at its ends may be trimmed
	kindCDATA              // the range is the inside of the only CDATA section: the value, exactly
	kindRaw                // a value in pieces, or one with references, line ends or illegal characters
	kindParent             // has child elements, and so no value
)

// top is what the scanner notes of the elements at the top.
type top struct {
	seen  [reliedCount]int32 // node of each relied-on scalar, 0 if absent
	names uint64             // the marks of all names
}

// mark is a bit for a name of this length that begins with c, in either case.
// Most elements that a message may have are absent, and their bit is not in names.
func mark(c byte, length int) uint64 { return 1 << ((uint(c|0x20) + 5*uint(length)) % 64) }

// scanner reads one document into nodes. R-XML-REFUSE
//
// It is written for documents as WeChat sends them: an element with one CDATA
// section or one run of text is read by one pass over its bytes, eight at a
// time. Everything else takes the general way in content.
type scanner struct {
	s     string
	p     int // next byte to read
	nodes []node
	top
	err *SyntaxError
}

// fail records the first error; offset is where the reader stood.
func (x *scanner) fail(offset int, msg string) bool {
	if x.err == nil {
		x.err = &SyntaxError{Offset: offset, Msg: msg}
	}
	return false
}

// document scans the whole body: prolog, root, and what may follow it.
func (x *scanner) document() bool {
	if len(x.s) > maxBody {
		return x.fail(0, "the body is too large")
	}
	x.p = 0
	if strings.HasPrefix(x.s, "\ufeff") {
		x.p = 3
	}
	if !x.misc(true) {
		return false
	}
	if x.p == len(x.s) {
		return x.fail(x.p, "there is no element in it")
	}
	if !x.root() || !x.misc(false) {
		return false
	}
	if x.p != len(x.s) {
		return x.fail(x.p, "something follows the end of the element xml")
	}
	return true
}

// misc skips what may stand around the root: white space, comments,
// processing instructions, and, before anything else, the XML declaration.
func (x *scanner) misc(declaration bool) bool {
	for {
		for x.p < len(x.s) && isSpace(x.s[x.p]) {
			x.p++
		}
		switch rest := x.s[x.p:]; {
		case strings.HasPrefix(rest, "<?"):
			if !x.instruction(declaration) {
				return false
			}
		case strings.HasPrefix(rest, "<!"):
			if !x.comment() {
				return false
			}
		default:
			return true
		}
		declaration = false
	}
}

// root scans the root element: only <xml>, in small letters and without a prefix.
func (x *scanner) root() bool {
	start := x.p + len("<")
	end := start + len("xml")
	if !strings.HasPrefix(x.s[x.p:], "<xml") || end < len(x.s) && nameByte[x.s[end]] != 0 {
		return x.fail(x.p, "it does not begin with the element xml")
	}
	x.nodes = append(slices.Grow(x.nodes, 32), node{name: int32(start), nameEnd: int32(end), next: 1, depth: 1})
	x.p = end
	empty, ok := x.attributes()
	if empty || !ok {
		return ok
	}
	return x.content()
}

// content scans what is between the tags of the root element, and its end tag.
func (x *scanner) content() bool {
	s, p, nodes := x.s, x.p, x.nodes
	var open [maxDepth]int32     // the elements that are open, by depth; the first is the root
	path := [maxDepth]int{0: -1} // lengths of the paths to them
	paths, depth := 0, 1

	for {
		// Between the tags of open[depth-1].
		if p < len(s) && s[p] == '\n' {
			p++
		}
		if p < len(s) && s[p] != '<' {
			if p, _ = scanText(s, p); p < 0 {
				return x.failText(p)
			}
		}
		if p+1 >= len(s) {
			return x.fail(len(s), "it ends inside an element")
		}
		switch s[p+1] {
		case '/':
			n := &nodes[open[depth-1]]
			n.to = int32(p)
			name := s[n.name:n.nameEnd]
			end := p + 2 + len(name)
			if end > len(s) || s[p+2:end] != name {
				return x.fail(p, "an end tag does not match its start tag")
			}
			for end < len(s) && isSpace(s[end]) {
				end++
			}
			if end == len(s) {
				return x.fail(end, "it ends inside a tag")
			}
			if s[end] != '>' {
				return x.fail(p, "an end tag does not match its start tag")
			}
			if n.next = int32(len(nodes)); n.next > open[depth-1]+1 {
				n.kind = kindParent
			}
			p = end + 1
			if depth--; depth == 0 {
				x.p, x.nodes = p, nodes
				return true
			}
			continue
		case '?':
			x.p = p
			if !x.instruction(false) {
				return false
			}
			p = x.p
			continue
		case '!':
			if hasCDATA(s, p) {
				to, _ := scanCDATA(s, p+len(cdataOpen))
				if to < 0 {
					return x.fail(p, "a CDATA section is not closed")
				}
				p = to + len(cdataClose)
				continue
			}
			x.p = p
			if !x.comment() {
				return false
			}
			p = x.p
			continue
		}

		// A start tag.
		if depth == maxDepth {
			return x.fail(p, "elements are nested too deeply")
		}
		if len(nodes) == maxElements {
			return x.fail(p, "it has too many elements")
		}
		i, start := int32(len(nodes)), p+1
		length, r := usualName(s[start:])
		if length > 0 {
			p = start + length
		} else {
			if p = x.name(start); p < 0 {
				return false
			}
			length = p - start
			if depth == 1 {
				r = relied(s[start:p])
			}
		}
		if depth == 1 {
			x.names |= mark(s[start], length)
			if r >= 0 {
				if x.seen[r] != 0 {
					return x.fail(p, "an element that may occur only once is repeated") // R-XML-REPEAT
				}
				x.seen[r] = i
			}
		}
		path[depth] = path[depth-1] + 1 + length
		if paths += path[depth]; paths > maxPathBytes {
			return x.fail(p, "the names of its elements are too long")
		}
		if int(i) == cap(nodes) {
			nodes = slices.Grow(nodes, 1)
		}
		nodes = nodes[:i+1]
		n := &nodes[i]
		*n = node{name: int32(start), nameEnd: int32(p), next: i + 1, depth: uint8(depth + 1)}
		if p < len(s) && s[p] == '>' {
			p++
		} else {
			x.p = p
			empty, ok := x.attributes()
			if p = x.p; !ok {
				return false
			}
			if empty {
				n.from, n.to = int32(p), int32(p)
				continue
			}
		}

		// The usual leaf: one value, then its end tag.
		raw, from, to, dirty := p, p, 0, false
		if hasCDATA(s, p) {
			from, n.kind = p+len(cdataOpen), kindCDATA
			if to, dirty = scanCDATA(s, from); to < 0 {
				return x.fail(p, "a CDATA section is not closed")
			}
			p = to + len(cdataClose)
		} else {
			if to, dirty = scanText(s, p); to < 0 {
				return x.failText(to)
			}
			p = to
		}
		if end := p + length + 3; end <= len(s) && s[p+1] == '/' && s[end-1] == '>' && s[p] == '<' && s[p+2:end-1] == s[start:start+length] {
			if dirty {
				from, to, n.kind = raw, p, kindRaw
			}
			n.from, n.to = int32(from), int32(to)
			p = end
			continue
		}
		n.from, n.kind = int32(raw), kindRaw
		open[depth] = i
		depth++
	}
}

package echostr

import (
	"slices"
	"unicode/utf8"
)

// AppendJSON appends the document as JSON to dst, for people and tests to read:
// the root is an object with a key for each child, an element without child
// elements is a string with its exact value, one with child elements an
// object, and elements of one name under one parent are an array at the place
// of the first. Lists that WeChat has are arrays even with one entry: item,
// List, AroundBeacon, fail_idx and Actions. Attributes, comments and
// text between elements are left out. "<", ">" and "&" stay as they are.
func (d *Document) AppendJSON(dst []byte) []byte {
	if len(d.nodes) == 0 {
		return append(dst, "{}"...)
	}
	return d.appendObject(dst, 0)
}

// MarshalJSON returns what AppendJSON appends.
func (d *Document) MarshalJSON() ([]byte, error) { return d.AppendJSON(nil), nil }

// alwaysLists are the names of elements that are lists by their meaning.
var alwaysLists = []string{"item", "List", "AroundBeacon", "fail_idx", "Actions"}

// appendObject appends the children of n.
func (d *Document) appendObject(dst []byte, n int32) []byte {
	dst = append(dst, '{')
	first := true
	for _, same := range d.groups(n) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		name := d.name(same[0])
		dst = append(appendQuoted(dst, name), ':')
		if len(same) == 1 && !slices.Contains(alwaysLists, name) {
			dst = d.appendValue(dst, same[0])
			continue
		}
		for i, c := range same {
			dst = d.appendValue(append(dst, "[,"[min(i, 1)]), c)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// groups returns the children of n, those of one name together, in the order
// of the first of each name.
func (d *Document) groups(n int32) [][]int32 {
	var groups [][]int32
	at := make(map[string]int)
	for c, end := n+1, d.nodes[n].next; c < end; c = d.nodes[c].next {
		name := d.name(c)
		i, ok := at[name]
		if !ok {
			i = len(groups)
			at[name] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

func (d *Document) appendValue(dst []byte, n int32) []byte {
	if d.nodes[n].kind == kindParent {
		return d.appendObject(dst, n)
	}
	return appendQuoted(dst, d.value(n))
}

// appendQuoted appends s, which is UTF-8 without control characters but for
// tab and line ends, as a JSON string.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		var escape string
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			continue
		case c == '"':
			escape = `\"`
		case c == '\\':
			escape = `\\`
		case c == '\n':
			escape = `\n`
		case c == '\r':
			escape = `\r`
		case c == '\t':
			escape = `\t`
		default:
			continue
		}
		dst = append(append(dst, s[from:i]...), escape...)
		from = i + 1
	}
	return append(append(dst, s[from:]...), '"')
}

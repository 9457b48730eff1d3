package echostr

import (
	"fmt"
	"iter"
	"sync"
)

// SyntaxError says why a body is not a document: [Document.Parse] and [Decode]
// return no other error. It never quotes the body.
type SyntaxError struct {
	Offset int    // the byte of the body at which reading stopped, from 0
	Msg    string // what is wrong there
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not a document of WeChat: %s (at byte %d); keep the raw body and answer success, a retry would be the same", e.Msg, e.Offset)
}

// Document is a push as XML: what the server, the message key and the message
// all read, so that they cannot see different things.
//
// The zero value is an empty document, ready for Parse. A Document may be used
// again and again; strings that it gave out stay valid. It must not be used by
// two goroutines at the same time.
type Document struct {
	src   string // an immutable copy of the body; all values are cut from it
	nodes []node
	top
	codec codec
}

// Parse reads body, which it copies once. The caller limits its size.
//
// It is tolerant where WeChat is odd and strict where an attacker is. Refused
// are: a DOCTYPE and entities other than XML's five and numeric ones; a second
// root or text around the root; a root other than xml; more than 16 levels or
// 2,000 elements; what is not well formed; illegal characters and bytes outside
// text; an encoding other than UTF-8; and a repeated ToUserName, FromUserName,
// CreateTime, MsgType, Event, MsgId, EventKey or Encrypt at the top, in any
// letter case. Ignored are: attributes, comments, processing instructions and a
// byte order mark. Rules: R-XML-REFUSE, R-XML-REPEAT, R-XML-UNKNOWN.
//
// Time and memory are linear in the size of the body. The error is a
// [*SyntaxError], and d is then empty.
func (d *Document) Parse(body []byte) error { return d.parse(string(body)) }

func (d *Document) parse(src string) error {
	x := scanner{s: src, nodes: d.nodes[:0]}
	ok := x.document()
	d.nodes = x.nodes
	if !ok {
		d.clear()
		return x.err
	}
	d.src, d.top = src, x.top
	return nil
}

// clear makes d empty and lets go of the body, but keeps the room for nodes.
func (d *Document) clear() {
	d.src, d.nodes, d.top = "", d.nodes[:0], top{}
}

// documents keeps the room for nodes from one push to the next.
var documents = sync.Pool{New: func() any { return new(Document) }}

// borrow calls f with a document of src, which must not outlive the call.
func borrow(src string, f func(*Document)) error {
	d := documents.Get().(*Document)
	err := d.parse(src)
	if err == nil {
		f(d)
	}
	d.clear()
	documents.Put(d)
	return err
}

// Raw returns the document byte for byte. It is empty if nothing was parsed.
func (d *Document) Raw() string { return d.src }

// Get returns the value of the element that the names lead to, from the top:
// Get("SendPicsInfo", "Count"). Of several elements of one name it takes the
// first. The second result is false if there is no such element or it has
// child elements.
//
// A name matches exactly first, and then without regard to letter case, except
// that MsgId and MsgID are different names: R-XML-NAMES. White space at both
// ends is removed where it stands outside CDATA: R-XML-BLANKS.
func (d *Document) Get(path ...string) (string, bool) {
	if len(d.nodes) == 0 || len(path) == 0 {
		return "", false
	}
	n := int32(0)
	for _, name := range path {
		if n = d.child(n, name); n < 0 {
			return "", false
		}
	}
	if d.nodes[n].kind == kindParent {
		return "", false
	}
	return d.trimmed(n), true
}

// Leaves yields every element without child elements, in document order: its
// path, the names from the top joined by "/" (WeChat's names have none in
// them), and its exact value.
func (d *Document) Leaves() iter.Seq2[string, string] {
	return func(yield func(path, value string) bool) {
		for path, n := range d.leaves() {
			if !yield(path, d.value(n)) {
				return
			}
		}
	}
}

// leaves yields the path and the node of every leaf.
func (d *Document) leaves() iter.Seq2[string, int32] {
	return func(yield func(string, int32) bool) {
		var path [maxDepth]string // of the parent at that depth
		for i := 1; i < len(d.nodes); i++ {
			n := &d.nodes[i]
			p := d.name(int32(i))
			if above := path[n.depth-1]; above != "" {
				p = above + "/" + p
			}
			if n.kind == kindParent {
				path[n.depth] = p
			} else if !yield(p, int32(i)) {
				return
			}
		}
	}
}

// name returns the name of node n.
func (d *Document) name(n int32) string {
	return d.src[d.nodes[n].name:d.nodes[n].nameEnd]
}

// child returns the first child of n with this name, or -1. R-XML-NAMES
func (d *Document) child(n int32, name string) int32 {
	if n == 0 {
		if r := relied(name); r >= 0 { // there is at most one, in any spelling
			if c := d.seen[r]; c != 0 {
				return c
			}
			return -1
		}
	}
	return d.find(n, name)
}

// find is child without that shortcut.
func (d *Document) find(n int32, name string) int32 {
	if name == "" || n == 0 && d.names&mark(name[0], len(name)) == 0 {
		return -1
	}
	similar := int32(-1)
	for c, end := n+1, d.nodes[n].next; c < end; c = d.nodes[c].next {
		x := &d.nodes[c]
		if int(x.nameEnd-x.name) != len(name) || (d.src[x.name]^name[0])&^0x20 != 0 {
			continue
		}
		got := d.src[x.name:x.nameEnd]
		if got == name {
			return c
		}
		if similar < 0 && sameName(got, name) {
			similar = c
		}
	}
	return similar
}

// sameName compares names of one length that are not equal. R-XML-NAMES
func sameName(a, b string) bool {
	return a != "MsgID" && b != "MsgID" && equalFold(a, b)
}

// value returns the exact value of a leaf, and "" for an element with children.
func (d *Document) value(n int32) string {
	x := &d.nodes[n]
	switch x.kind {
	case kindText, kindCDATA:
		return d.src[x.from:x.to]
	case kindRaw:
		return resolve(d.src[x.from:x.to], false)
	default:
		return ""
	}
}

// trimmed returns the value of a leaf without the white space that stands
// outside CDATA at both ends. R-XML-BLANKS
func (d *Document) trimmed(n int32) string {
	x := &d.nodes[n]
	switch x.kind {
	case kindText:
		return trimSpace(d.src[x.from:x.to])
	case kindCDATA:
		return d.src[x.from:x.to]
	case kindRaw:
		return resolve(d.src[x.from:x.to], true)
	default:
		return ""
	}
}

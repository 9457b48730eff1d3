package echostr

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Decode reads a decrypted push. What it does not know becomes an
// [*UnknownMessage] or [*UnknownEvent]; the only error is a [*SyntaxError],
// for a body that is not a document at all ([Document.Parse]).
//
// Types and event names are compared without regard to letter case; a
// number that is none is 0 (R-XML-NUMBERS).
func Decode(body []byte) (Message, error) {
	d := documents.Get().(*Document)
	var m Message
	err := d.Parse(body)
	if err == nil {
		m = d.Message()
	}
	d.clear()
	documents.Put(d)
	return m, err
}

// Message returns the message that d holds, in the type that its MsgType and
// Event name. The message keeps nothing of d but its text, and stays valid
// when d is used again. An empty document is an empty [*UnknownMessage].
func (d *Document) Message() Message {
	m := d.newMessage()
	h := m.Head()
	h.raw = d.src
	c := &d.codec
	c.doc, c.node = d, 0
	if len(d.nodes) > 0 {
		c.header(h)
		m.fields(c)
	}
	c.doc = nil
	return m
}

// newMessage returns a new message of the type that d names. R-MSG-TYPE, R-EVENT-NAME
func (d *Document) newMessage() Message {
	var room [maxTypeName]byte
	kind := d.relied(reliedMsgType)
	if kind == "text" { // most pushes
		return new(TextMessage)
	}
	if len(kind) == len("event") && equalFold(kind, "event") {
		if name := d.relied(reliedEvent); len(name) <= maxTypeName {
			if make, ok := eventTypes[string(appendLower(room[:0], name))]; ok {
				return make()
			}
		}
		return new(UnknownEvent)
	}
	if len(kind) <= maxTypeName {
		if make, ok := messageTypes[string(appendLower(room[:0], kind))]; ok {
			return make()
		}
	}
	return new(UnknownMessage)
}

// maxTypeName is more than the longest name of a type or event that is known.
const maxTypeName = 48

// relied returns the trimmed value of one of the relied-on scalars.
func (d *Document) relied(r int) string {
	if n := d.seen[r]; n != 0 {
		return d.trimmed(n)
	}
	return ""
}

// appendLower appends s with ASCII letters in lower case.
func appendLower(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// alloc makes an empty message; it is what the tables of types hold.
func alloc[T any, P interface {
	*T
	Message
}]() Message {
	return P(new(T))
}

// AppendMessage appends m to dst as WeChat would push it: strings in CDATA,
// numbers bare, empty strings and absent parts left out. Decoding gives the
// same message again, but for characters that XML cannot carry, which are
// dropped, and elements that the Go type does not name, which only
// [Header.Raw] has. Of an unknown message all elements are written.
func AppendMessage(dst []byte, m Message) []byte {
	c := codecs.Get().(*codec)
	c.out, c.writing = append(dst, "<xml>\n"...), true
	c.header(m.Head())
	m.fields(c)
	dst = append(c.out, "</xml>"...)
	*c = codec{}
	codecs.Put(c)
	return dst
}

var codecs = sync.Pool{New: func() any { return new(codec) }}

// codec reads or writes the elements that a message declares in its fields
// method. Every helper takes the element's name and the place of its value.
// Reading leaves the place alone if the element is absent.
type codec struct {
	doc  *Document // reading
	node int32     // the element whose children are read

	writing bool
	out     []byte
}

// fielder is a message or a part of one.
type fielder interface{ fields(c *codec) }

// header declares what every push has. R-MSG-COMMON
func (c *codec) header(h *Header) {
	c.relied(reliedToUserName, "ToUserName", &h.ToUserName)
	c.relied(reliedFromUserName, "FromUserName", &h.FromUserName)
	c.reliedInt(reliedCreateTime, "CreateTime", &h.CreateTime)
	if !c.writing {
		h.CreateTime = seconds(h.CreateTime)
	}
	c.relied(reliedMsgType, "MsgType", &h.MsgType)
}

// seconds converts a time of 13 digits, in milliseconds. R-MSG-TIME
func seconds(t int64) int64 {
	if t >= 1e12 && t < 1e13 {
		return t / 1000
	}
	return t
}

// message declares what ordinary messages have besides.
func (c *codec) message(h *MessageHeader) {
	c.reliedInt(reliedMsgID, "MsgId", &h.MsgID)
	c.str("MsgDataId", &h.MsgDataID)
	c.optInt("Idx", &h.Idx)
}

// event declares what events have besides.
func (c *codec) event(h *EventHeader) { c.relied(reliedEvent, "Event", &h.Event) }

// eventKey declares the key of an event.
func (c *codec) eventKey(v *string) { c.relied(reliedEventKey, "EventKey", v) }

// relied is str for one of the relied-on scalars, which need no search.
func (c *codec) relied(r int, name string, v *string) {
	if c.writing {
		c.str(name, v)
	} else if n := c.doc.seen[r]; n != 0 {
		if x := &c.doc.nodes[n]; x.kind == kindCDATA {
			*v = c.doc.src[x.from:x.to]
		} else {
			*v = c.doc.trimmed(n)
		}
	}
}

// reliedInt is optInt64 for one of the relied-on scalars.
func (c *codec) reliedInt(r int, name string, v *int64) {
	if c.writing {
		c.optInt64(name, v)
	} else if n := c.doc.seen[r]; n != 0 {
		*v = parseInt(c.doc.trimmed(n))
	}
}

// get returns the trimmed value of a child.
func (c *codec) get(name string) (string, bool) {
	n := c.doc.find(c.node, name)
	if n < 0 {
		return "", false
	}
	return c.doc.trimmed(n), true
}

// str is a string; an empty one is the same as none. R-XML-BLANKS
func (c *codec) str(name string, v *string) {
	if c.writing {
		if *v != "" {
			c.cdata(name, *v)
		}
	} else if s, ok := c.get(name); ok {
		*v = s
	}
}

// text is a string that a person wrote: nothing is trimmed. It is always written.
func (c *codec) text(name string, v *string) {
	if c.writing {
		c.cdata(name, *v)
	} else if n := c.doc.find(c.node, name); n >= 0 {
		*v = c.doc.value(n)
	}
}

// unquoted is a string that may come with the literal characters of a CDATA
// section whose first "<" was lost, as a sample of WeChat has it: R-EVENT-GUIDE.
func (c *codec) unquoted(name string, v *string) {
	c.str(name, v)
	if s, ok := strings.CutPrefix(*v, cdataOpen[1:]); ok && !c.writing {
		s = strings.TrimSuffix(s, ">")
		if s, ok = strings.CutSuffix(s, "]]"); ok {
			*v = s
		}
	}
}

// int64 is an integer; it is always written.
func (c *codec) int64(name string, v *int64) {
	if c.writing {
		c.open(name)
		c.out = strconv.AppendInt(c.out, *v, 10)
		c.close(name)
	} else if s, ok := c.get(name); ok {
		*v = parseInt(s)
	}
}

// optInt64 is an integer that is not written if it is zero.
func (c *codec) optInt64(name string, v *int64) {
	if !c.writing || *v != 0 {
		c.int64(name, v)
	}
}

func (c *codec) int(name string, v *int) {
	n := int64(*v)
	c.int64(name, &n)
	*v = int(n)
}

func (c *codec) optInt(name string, v *int) {
	if !c.writing || *v != 0 {
		c.int(name, v)
	}
}

// float is a decimal fraction; it is always written.
func (c *codec) float(name string, v *float64) {
	if c.writing {
		c.open(name)
		c.out = strconv.AppendFloat(c.out, *v, 'f', -1, 64)
		c.close(name)
	} else if s, ok := c.get(name); ok {
		*v = parseFloat(s)
	}
}

// bool01 is 0 or 1 on the wire, and boolWord true or false; both read either.
func (c *codec) bool01(name string, v *bool) { c.bool(name, v, "0", "1") }

func (c *codec) boolWord(name string, v *bool) { c.bool(name, v, "false", "true") }

func (c *codec) bool(name string, v *bool, no, yes string) {
	if c.writing {
		c.open(name)
		if *v {
			no = yes
		}
		c.out = append(c.out, no...)
		c.close(name)
	} else if s, ok := c.get(name); ok {
		*v = equalFold(s, "true") || parseInt(s) != 0
	}
}

// object is an element with fields of its own.
func (c *codec) object(name string, v fielder) {
	if c.writing {
		c.open(name)
		c.out = append(c.out, '\n')
		v.fields(c)
		c.close(name)
	} else if n := c.doc.find(c.node, name); n >= 0 {
		c.within(n, v)
	}
}

// within reads v from the children of n.
func (c *codec) within(n int32, v fielder) {
	up := c.node
	c.node = n
	v.fields(c)
	c.node = up
}

// optional is an object that may be absent, and is nil then.
func optional[T any, P interface {
	*T
	fielder
}](c *codec, name string, v *P) {
	if c.writing {
		if *v != nil {
			c.object(name, *v)
		}
	} else if n := c.doc.find(c.node, name); n >= 0 {
		*v = new(T)
		c.within(n, *v)
	}
}

// list is the elements that the path leads to. It collects over repeated
// wrappers, since pushes with <PicList>..</PicList><PicList>..</PicList> have
// been seen: R-EVENT-LISTS. No wrapper is written for an empty list.
func list[T any, P interface {
	*T
	fielder
}](c *codec, v *[]T, path ...string) {
	last := len(path) - 1
	if !c.writing {
		c.doc.each(c.node, path, func(n int32) {
			*v = append(*v, *new(T))
			c.within(n, P(&(*v)[len(*v)-1]))
		})
		return
	}
	if len(*v) == 0 {
		return
	}
	for _, name := range path[:last] {
		c.open(name)
		c.out = append(c.out, '\n')
	}
	for i := range *v {
		c.object(path[last], P(&(*v)[i]))
	}
	for i := last - 1; i >= 0; i-- {
		c.close(path[i])
	}
}

// ints is a repeated integer.
func (c *codec) ints(name string, v *[]int) {
	if c.writing {
		for i := range *v {
			c.int(name, &(*v)[i])
		}
		return
	}
	c.doc.each(c.node, []string{name}, func(n int32) {
		*v = append(*v, int(parseInt(c.doc.trimmed(n))))
	})
}

// each calls f with every element that the path leads to from n, through all
// elements of a name and not only the first.
func (d *Document) each(n int32, path []string, f func(int32)) {
	for c, end := n+1, d.nodes[n].next; c < end; c = d.nodes[c].next {
		got, name := d.name(c), path[0]
		if len(got) != len(name) || got != name && !sameName(got, name) {
			continue
		}
		if len(path) == 1 {
			f(c)
		} else {
			d.each(c, path[1:], f)
		}
	}
}

// open and close write tags, a line for each element.
func (c *codec) open(name string) {
	c.out = append(append(append(c.out, '<'), name...), '>')
}

func (c *codec) close(name string) {
	c.out = append(append(append(c.out, "</"...), name...), ">\n"...)
}

// cdata writes an element whose value reads back as s: "]]>" is split over two
// sections, a carriage return is a reference (in CDATA it would become a line
// feed), and what XML cannot carry is dropped.
func (c *codec) cdata(name, s string) {
	c.open(name)
	c.out = append(c.out, cdataOpen...)
	from := len(c.out) // where the section begins, so that no earlier "]" counts
	for i := 0; i < len(s); {
		b := s[i]
		switch {
		case b == '\r':
			c.out = append(append(append(c.out, cdataClose...), "&#13;"...), cdataOpen...)
			from = len(c.out)
			i++
		case b == '>' && len(c.out) >= from+2 && c.out[len(c.out)-1] == ']' && c.out[len(c.out)-2] == ']':
			c.out = append(append(append(c.out, cdataClose...), cdataOpen...), '>')
			from = len(c.out)
			i++
		case b >= utf8.RuneSelf:
			size, ok := legalRune(s, i)
			if ok {
				c.out = append(c.out, s[i:i+size]...)
			}
			i += size
		default:
			if isLegal(rune(b)) {
				c.out = append(c.out, b)
			}
			i++
		}
	}
	c.out = append(c.out, cdataClose...)
	c.close(name)
}

// rest writes the elements of raw but those of the header and those named, in
// their order, so that nothing of an unknown message is lost.
func (c *codec) rest(raw string, written ...string) {
	if !c.writing || raw == "" {
		return
	}
	_ = borrow(raw, func(d *Document) {
		for n, end := int32(1), d.nodes[0].next; n < end; n = d.nodes[n].next {
			name := d.name(n)
			if slices.ContainsFunc(written, func(w string) bool { return w == name || sameName(w, name) }) {
				continue
			}
			switch relied(name) {
			case reliedToUserName, reliedFromUserName, reliedCreateTime, reliedMsgType:
			default:
				c.element(d, n)
			}
		}
	})
}

// element writes element n of d with everything in it.
func (c *codec) element(d *Document, n int32) {
	name := d.name(n)
	if d.nodes[n].kind != kindParent {
		c.cdata(name, d.trimmed(n))
		return
	}
	c.open(name)
	c.out = append(c.out, '\n')
	for child, end := n+1, d.nodes[n].next; child < end; child = d.nodes[child].next {
		c.element(d, child)
	}
	c.close(name)
}

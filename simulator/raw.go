package simulator

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// RawOptions say how a captured document is sent.
type RawOptions struct {
	// Keep sends the document byte for byte. Otherwise CreateTime and, in an
	// ordinary message, MsgId are replaced where they stand, so that the
	// document becomes a new message. What is absent stays absent.
	Keep bool
	// Readdress replaces ToUserName and FromUserName where they stand by those
	// of the account and the user. Otherwise they are kept, unless
	// the fields of the Message are set.
	Readdress bool
}

// Raw makes a message of a captured push in clear. Everything but the elements
// named in the options stays as it is, byte for byte.
//
// Unless Keep is set the document must be well-formed XML with the root "xml"
// and without Encrypt: the account's mode decides how it is sealed.
// With Keep anything goes, to see what a server does with it; what can be read is then
// read, and a document that is not XML counts as an ordinary message.
func Raw(document []byte, o RawOptions) (Message, error) {
	d := &rawDocument{data: bytes.Clone(document), options: o}
	err := d.scan()
	if err == nil && d.has("Encrypt") {
		err = errors.New("it has an element Encrypt, so it is sealed already")
	}
	if err != nil && !o.Keep {
		return Message{}, fmt.Errorf("simulator: this is not a push in clear: %w; give the XML in clear, or keep the document as it is", err)
	}
	m := Message{raw: d, msgType: d.text("MsgType")}
	if m.isEvent() {
		m.event = d.text("Event")
	}
	if !o.Readdress {
		m.FromUserName, m.ToUserName = d.text("FromUserName"), d.text("ToUserName")
	}
	if o.Keep {
		m.CreateTime, _ = strconv.ParseInt(d.text("CreateTime"), 10, 64)
		m.MsgID, _ = strconv.ParseInt(d.text("MsgId"), 10, 64)
	}
	return m, nil
}

// rawDocument is a captured document and where its top-level elements stand.
type rawDocument struct {
	data     []byte
	options  RawOptions
	elements []rawElement
}

type rawElement struct {
	name       string
	start, end int // of the whole element
	from, to   int // of what is between the tags; equal to end in <Name/>
	value      string
}

func (d *rawDocument) scan() error {
	dec, err := newDecoder(d.data)
	if err != nil {
		return err
	}
	depth, root := 0, false
	var at rawElement
	var value []byte // of at, so far
	for {
		before := int(dec.InputOffset())
		token, err := dec.Token()
		if err == io.EOF {
			if depth > 0 || !root {
				return errors.New("the document is not complete")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			depth++
			switch {
			case depth == 1 && (root || token.Name.Local != "xml" || token.Name.Space != ""):
				return fmt.Errorf("the root element is <%s> and not <xml>", token.Name.Local)
			case depth == 1:
				root = true
			case depth == 2:
				at = rawElement{name: token.Name.Local, start: before, from: int(dec.InputOffset())}
				value = value[:0]
			}
		case xml.EndElement:
			if depth == 2 {
				at.to, at.end, at.value = before, int(dec.InputOffset()), string(value)
				d.elements = append(d.elements, at)
			}
			depth--
		case xml.CharData:
			if depth == 2 {
				value = append(value, token...)
			}
		}
	}
}

func (d *rawDocument) has(name string) bool {
	return slices.ContainsFunc(d.elements, func(e rawElement) bool { return e.name == name })
}

// text is the value of the first element with this name, trimmed.
func (d *rawDocument) text(name string) string {
	for _, e := range d.elements {
		if e.name == name {
			return strings.TrimSpace(e.value)
		}
	}
	return ""
}

// with returns the document with the values of m where the options want them.
func (d *rawDocument) with(m Message) []byte {
	if d.options.Keep && !d.options.Readdress {
		return bytes.Clone(d.data)
	}
	replace := map[string]string{}
	if d.options.Readdress {
		replace["ToUserName"], replace["FromUserName"] = m.ToUserName, m.FromUserName
	} else {
		if m.ToUserName != d.text("ToUserName") {
			replace["ToUserName"] = m.ToUserName
		}
		if m.FromUserName != d.text("FromUserName") {
			replace["FromUserName"] = m.FromUserName
		}
	}
	if !d.options.Keep {
		replace["CreateTime"] = strconv.FormatInt(m.CreateTime, 10)
		if !m.isEvent() { // in an event MsgId names a job
			replace["MsgId"] = strconv.FormatInt(m.MsgID, 10)
		}
	}
	var out []byte
	done := 0
	for _, e := range d.elements {
		value, ok := replace[e.name]
		if !ok {
			continue
		}
		// The form stays: CDATA where there was CDATA, text where there was text.
		old := d.data[e.from:e.to]
		if bytes.Contains(old, []byte("<![CDATA[")) {
			value = "<![CDATA[" + strings.ReplaceAll(value, "]]>", "]]]]><![CDATA[>") + "]]>"
		} else {
			var b strings.Builder
			xml.EscapeText(&b, []byte(value)) // a strings.Builder does not fail
			value = b.String()
		}
		if bytes.HasSuffix(d.data[e.start:e.from], []byte("/>")) {
			tag := bytes.TrimSuffix(d.data[e.start:e.from], []byte("/>"))
			out = append(append(append(out, d.data[done:e.start]...), tag...), '>')
			out = append(append(append(append(out, value...), "</"...), e.name...), '>')
		} else {
			out = append(append(out, d.data[done:e.from]...), value...)
			out = append(out, d.data[e.to:e.end]...)
		}
		done = e.end
	}
	return append(out, d.data[done:]...)
}

package simulator

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Reply is a passive reply (被动回复) as WeChat reads it. Fields that a type
// does not have are empty.
type Reply struct {
	ToUserName   string
	FromUserName string
	CreateTime   int64
	MsgType      string // text, image, voice, video, music, news, transfer_customer_service, ...

	Content      string    // text
	MediaID      string    // image, voice, video
	ThumbMediaID string    // music
	Title        string    // video, music
	Description  string    // video, music
	MusicURL     string    // music
	HQMusicURL   string    // music
	Articles     []Article // news
	KfAccount    string    // transfer_customer_service, if an agent was named

	// Sealed says whether it came encrypted.
	Sealed bool
	// Document is the reply in clear, as XML.
	Document []byte
}

// Article is one article of a news reply (图文消息).
type Article struct {
	Title, Description, PicURL, URL string
}

// String renders the reply on one or, for a text or articles, several lines.
func (r *Reply) String() string {
	var b strings.Builder
	b.WriteString(r.MsgType)
	add := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s=%q", name, value)
		}
	}
	switch r.MsgType {
	case "text":
		return "text: " + r.Content
	case "news":
		b.WriteString(":")
		for _, a := range r.Articles {
			fmt.Fprintf(&b, "\n  %s", a.Title)
			add("description", a.Description)
			add("picture", a.PicURL)
			add("url", a.URL)
		}
	default:
		add("media_id", r.MediaID)
		add("title", r.Title)
		add("description", r.Description)
		add("music_url", r.MusicURL)
		add("hq_music_url", r.HQMusicURL)
		add("thumb_media_id", r.ThumbMediaID)
		add("kf_account", r.KfAccount)
	}
	return b.String()
}

// node is one element of an answer. Names are compared as WeChat does, with their letter case.
type node struct {
	name     string
	text     string
	children []*node
}

// child returns the first child with the name, nil if there is none. It may be called on nil.
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// value is the text of the child with the name. It may be called on nil.
func (n *node) value(name string) string {
	if c := n.child(name); c != nil {
		return c.text
	}
	return ""
}

// near returns the name of a child that was meant to be name but is spelled with other letter case.
func (n *node) near(name string) string {
	if n == nil {
		return ""
	}
	for _, c := range n.children {
		if c.name != name && strings.EqualFold(c.name, name) {
			return c.name
		}
	}
	return ""
}

// repeated returns the name of a child that is there twice.
func (n *node) repeated() string {
	seen := map[string]bool{}
	for _, c := range n.children {
		if seen[c.name] {
			return c.name
		}
		seen[c.name] = true
	}
	return ""
}

// maxDepth bounds the elements inside each other; a reply has four.
const maxDepth = 16

// declaration is <?xml … ?>, and declared finds what it says.
var (
	declaration = regexp.MustCompile(`^\s*<\?xml\s[^?]*\?>`)
	declared    = regexp.MustCompile(`\s(version|encoding)\s*=\s*["']([^"']*)["']`)
)

// newDecoder begins to read a document, which must be XML 1.0 in UTF-8 by its own words, if it
// says anything. "utf8" is what some libraries write.
func newDecoder(data []byte) (*xml.Decoder, error) {
	for _, m := range declared.FindAllSubmatch(declaration.Find(data), -1) {
		switch name, value := string(m[1]), string(m[2]); {
		case name == "version" && value != "1.0":
			return nil, fmt.Errorf("it declares XML %s; declare version 1.0", value)
		case name == "encoding" && !isUTF8(value):
			return nil, fmt.Errorf("it declares the encoding %s; send UTF-8, and declare that or nothing", value)
		}
	}
	dec := xml.NewDecoder(bytes.NewReader(data))
	dec.CharsetReader = func(label string, r io.Reader) (io.Reader, error) {
		if !isUTF8(label) {
			return nil, fmt.Errorf("declare UTF-8")
		}
		return r, nil
	}
	return dec, nil
}

func isUTF8(label string) bool {
	return strings.EqualFold(label, "utf-8") || strings.EqualFold(label, "utf8")
}

// parseXML reads one whole document with encoding/xml and nothing of our own.
func parseXML(data []byte) (*node, error) {
	dec, err := newDecoder(data)
	if err != nil {
		return nil, err
	}
	var root *node
	type element struct {
		*node
		text []byte // so far
	}
	var open []element
	for {
		token, err := dec.Token()
		if err == io.EOF {
			if root == nil {
				return nil, fmt.Errorf("there is no element")
			}
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			n := &node{name: token.Name.Local}
			if token.Name.Space != "" {
				n.name = token.Name.Space + ":" + n.name
			}
			switch {
			case len(open) >= maxDepth:
				return nil, fmt.Errorf("elements stand more than %d deep inside each other", maxDepth)
			case len(open) > 0:
				parent := open[len(open)-1]
				parent.children = append(parent.children, n)
			case root != nil:
				return nil, fmt.Errorf("there is a second root element <%s>", n.name)
			default:
				root = n
			}
			open = append(open, element{node: n})
		case xml.EndElement:
			last := len(open) - 1
			open[last].node.text = string(open[last].text)
			open = open[:last]
		case xml.CharData:
			if len(open) > 0 {
				last := &open[len(open)-1]
				last.text = append(last.text, token...)
			} else if len(bytes.TrimSpace(token)) > 0 {
				return nil, fmt.Errorf("there is text outside the root element")
			}
		case xml.Directive:
			return nil, fmt.Errorf("there is a document type declaration")
		}
	}
}

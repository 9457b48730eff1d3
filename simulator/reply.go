package simulator

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
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

// parseXML reads one whole document with encoding/xml and nothing of our own.
func parseXML(data []byte) (*node, error) {
	dec := xml.NewDecoder(bytes.NewReader(data))
	var root *node
	var open []*node
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
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(token)
			} else if len(bytes.TrimSpace(token)) > 0 {
				return nil, fmt.Errorf("there is text outside the root element")
			}
		case xml.Directive:
			return nil, fmt.Errorf("there is a document type declaration")
		}
	}
}

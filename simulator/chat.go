package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// From says who a bubble is from.
type From string

// Who bubbles are from.
const (
	FromUser    From = "user"
	FromAccount From = "account"
	FromNotice  From = "notice" // a grey line in the middle: WeChat itself
)

// Way says how a bubble of the account came.
type Way string

// The ways.
const (
	WayPassive Way = "passive" // the answer to a push (被动回复)
	WayAPI     Way = "api"     // the customer-service API (客服消息)
	WayMenu    Way = "menu"    // a menu button that sends something without asking the server
)

// Bubble is one thing that stands in a chat, with what is needed to draw it as WeChat does.
// Which fields it has depends on its Kind:
//
//	text             Text, Spans
//	image            MediaID or PicURL
//	voice            MediaID, and Recognition if there is one
//	video            MediaID, ThumbMediaID, and of the account also Title, Description
//	music            Title, Description, MusicURL, HQMusicURL, ThumbMediaID
//	news             Articles: one alone is drawn whole, the first of several large
//	location         Latitude, Longitude, Scale, Label
//	link             Title, Description, URL
//	file             Title, Description, Size
//	msgmenu          Text (head), Spans of it, Entries, Tail
//	miniprogrampage  Title, AppID, PagePath, ThumbMediaID or PicURL
//	article          ArticleID or MediaID: an article of the account
//	card             CardID
//	fault            Text: the fault notice
//	follow, unfollow, scan, transfer   Text: a notice
//	unsupported      Text: the MsgType that this simulator does not draw
type Bubble struct {
	// ID grows with every bubble of the platform.
	ID int64 `json:"id"`
	// At is when it came to stand there, by package time.
	At time.Time `json:"at"`
	// From says who it is from, Kind what it is.
	From From   `json:"from"`
	Kind string `json:"kind"`
	// Way says how a bubble of the account came.
	Way Way `json:"way,omitempty"`
	// Exchange is the exchange that it belongs to. 0: none.
	Exchange int64 `json:"exchange,omitempty"`
	// Agent is the customer-service account in whose name it was sent.
	Agent string `json:"agent,omitempty"`

	Text  string `json:"text,omitempty"`
	Spans []Span `json:"spans,omitempty"`

	Title       string    `json:"title,omitempty"`
	Description string    `json:"description,omitempty"`
	URL         string    `json:"url,omitempty"`
	Articles    []Article `json:"articles,omitempty"`

	MediaID      string `json:"media_id,omitempty"`
	ThumbMediaID string `json:"thumb_media_id,omitempty"`
	PicURL       string `json:"pic_url,omitempty"`
	MusicURL     string `json:"music_url,omitempty"`
	HQMusicURL   string `json:"hq_music_url,omitempty"`
	Recognition  string `json:"recognition,omitempty"`

	Latitude  float64 `json:"latitude,omitempty"`
	Longitude float64 `json:"longitude,omitempty"`
	Scale     int     `json:"scale,omitempty"`
	Label     string  `json:"label,omitempty"`

	Size int64 `json:"size,omitempty"` // bytes

	Entries []MenuEntry `json:"entries,omitempty"`
	Tail    string      `json:"tail,omitempty"`

	AppID     string `json:"app_id,omitempty"`
	PagePath  string `json:"page_path,omitempty"`
	ArticleID string `json:"article_id,omitempty"`
	CardID    string `json:"card_id,omitempty"`

	// Key is the EventKey, in the notice of an event.
	Key string `json:"key,omitempty"`
}

// MenuEntry is an entry of a menu message (msgmenu) that can be tapped.
type MenuEntry struct {
	ID      string `json:"id"`
	Content string `json:"content"`
}

// String is the bubble on one line or, for articles, several.
func (b Bubble) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, fmt.Sprintf("%s=%q", name, value))
		}
	}
	switch b.Kind {
	case "text", "fault", "follow", "unfollow", "scan", "transfer", "unsupported":
		return b.Kind + ": " + b.Text
	case "location":
		return fmt.Sprintf("location: %.6f, %.6f %s", b.Latitude, b.Longitude, b.Label)
	case "news":
		for _, a := range b.Articles {
			parts = append(parts, fmt.Sprintf("%q", a.Title))
		}
		return "news: " + strings.Join(parts, ", ")
	case "msgmenu":
		for _, e := range b.Entries {
			parts = append(parts, fmt.Sprintf("[%s]", e.Content))
		}
		return strings.TrimSpace("msgmenu: " + b.Text + " " + strings.Join(parts, " ") + " " + b.Tail)
	}
	add("title", b.Title)
	add("description", b.Description)
	add("url", b.URL)
	add("media_id", b.MediaID)
	add("music_url", b.MusicURL)
	add("recognition", b.Recognition)
	add("app_id", b.AppID)
	add("page_path", b.PagePath)
	add("article_id", b.ArticleID)
	add("card_id", b.CardID)
	return strings.TrimSuffix(b.Kind+": "+strings.Join(parts, " "), ": ")
}

// Reads is the text of a bubble as the user reads it, with links drawn.
func (b Bubble) Reads() string {
	if len(b.Spans) == 0 {
		return b.Text
	}
	var text strings.Builder
	for _, s := range b.Spans {
		text.WriteString(s.Text)
	}
	return text.String()
}

// Chat returns what stands in the user's chat, the oldest first: the last 1000 bubbles, or as many as
// PlatformConfig.KeptBubbles says.
func (u *User) Chat() []Bubble {
	u.o.p.mu.Lock()
	defer u.o.p.mu.Unlock()
	kept := u.chat[max(0, len(u.chat)-u.o.p.config.KeptBubbles):]
	chat := make([]Bubble, len(kept))
	for i, b := range kept {
		chat[i] = *b
	}
	return chat
}

// drawn makes a bubble ready to be received: its texts are cut if they are too long to be kept,
// with a … behind what is left, and divided into spans.
func (b Bubble) drawn() Bubble {
	left := maxBubble
	cut := func(texts ...*string) {
		for _, s := range texts {
			if most := min(maxBubbleText, left); len(*s) > most {
				*s = strings.Clone(beginning(*s, most)) // what is cut off is not kept
			}
			left -= len(*s)
		}
	}
	cut(&b.Text, &b.Tail, &b.Title, &b.Description, &b.URL, &b.Label, &b.Recognition, &b.Key, &b.Agent, &b.MediaID, &b.ThumbMediaID,
		&b.PicURL, &b.MusicURL, &b.HQMusicURL, &b.AppID, &b.PagePath, &b.ArticleID, &b.CardID)
	b.Articles, b.Entries = slices.Clone(b.Articles), slices.Clone(b.Entries)
	for i := range b.Articles {
		a := &b.Articles[i]
		cut(&a.Title, &a.Description, &a.PicURL, &a.URL)
	}
	for i := range b.Entries {
		if left <= 0 {
			b.Entries = b.Entries[:i:i]
			break
		}
		cut(&b.Entries[i].ID, &b.Entries[i].Content)
	}
	switch {
	case b.Text == "" || b.Kind != "text" && b.Kind != "msgmenu":
	case b.From == FromUser: // markup that a user types is text
		b.Spans = parseTyped(b.Text)
	default:
		b.Spans = parseText(b.Text)
	}
	return b
}

// beginning is at most so many bytes of a text, and a … if that is not all.
func beginning(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := max(most, 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// receive lets a bubble that is drawn appear in the chat, with its ID and At filled in. p.mu is
// held. It is also how the customer-service API delivers.
func (u *User) receive(b Bubble) Bubble {
	p := u.o.p
	p.bubbles++
	b.ID, b.At = p.bubbles, time.Now()
	if most := p.config.KeptBubbles; len(u.chat) >= 2*most { // now and then, so that it costs nothing each time
		u.chat = slices.Clone(u.chat[len(u.chat)-most:])
	}
	u.chat = append(u.chat, &b)
	p.changed(Change{Kind: ChangeBubble, AppID: u.o.config.Account.AppID, OpenID: u.openID, Bubble: &b})
	return b
}

// bubbleOf is what a user sees of the own message. Of an event it is what could stand in a
// notice.
func bubbleOf(m Message, document []byte) Bubble {
	b := Bubble{From: FromUser, Kind: m.msgType}
	// Most messages are texts and events, and need no parser.
	if content, ok := written(m.rest, "Content"); ok && m.raw == nil && m.msgType == "text" {
		b.Text = content
		return b
	}
	if key, ok := written(m.rest, "EventKey"); ok && m.raw == nil && m.isEvent() {
		b.Key = key
		return b
	}
	doc, _ := parseXML(document) // a raw document may be anything
	if m.isEvent() {
		b.Key = doc.value("EventKey")
		return b
	}
	b.MediaID, b.ThumbMediaID = doc.value("MediaId"), doc.value("ThumbMediaId")
	b.Title, b.Description = doc.value("Title"), doc.value("Description")
	switch m.msgType {
	case "text":
		b.Text = doc.value("Content")
	case "image":
		b.PicURL = doc.value("PicUrl")
	case "voice":
		b.Recognition = doc.value("Recognition")
	case "video", "shortvideo":
		b.Kind = "video"
	case "location":
		b.Latitude, _ = strconv.ParseFloat(doc.value("Location_X"), 64)
		b.Longitude, _ = strconv.ParseFloat(doc.value("Location_Y"), 64)
		b.Scale, _ = strconv.Atoi(doc.value("Scale"))
		b.Label = doc.value("Label")
	case "link":
		b.URL = doc.value("Url")
	case "file":
		b.Size, _ = strconv.ParseInt(doc.value("FileTotalLen"), 10, 64)
	case "miniprogrampage":
		b.AppID, b.PagePath, b.PicURL = doc.value("AppId"), doc.value("PagePath"), doc.value("ThumbUrl")
	default:
		b.Kind, b.Text = "unsupported", or(m.msgType, "(no MsgType)")
	}
	return b
}

// replyBubble is a passive reply as the user sees it.
func replyBubble(r *Reply) Bubble {
	b := Bubble{
		From: FromAccount, Way: WayPassive, Kind: r.MsgType,
		Text: r.Content, MediaID: r.MediaID, ThumbMediaID: r.ThumbMediaID, Title: r.Title, Description: r.Description,
		MusicURL: r.MusicURL, HQMusicURL: r.HQMusicURL, Articles: r.Articles,
	}
	switch r.MsgType {
	case "text", "image", "voice", "video", "music", "news":
	case "transfer_customer_service":
		b.From, b.Kind, b.Agent = FromNotice, "transfer", r.KfAccount
		b.Text = "消息已转给人工客服"
		if r.KfAccount != "" {
			b.Text += " " + r.KfAccount
		}
	default:
		b.From, b.Kind, b.Text = FromNotice, "unsupported", r.MsgType
	}
	return b
}

// written returns the value of the first of some elements that [cdata] has written, if it has
// this name.
func written(elements, name string) (string, bool) {
	value, ok := strings.CutPrefix(elements, "<"+name+"><![CDATA[")
	if !ok {
		return "", false
	}
	value, _, ok = strings.Cut(value, "]]></"+name+">")
	return strings.ReplaceAll(value, "]]]]><![CDATA[>", "]]>"), ok
}

package echostr

import (
	"errors"
	"fmt"
	"strings"
)

// Reply is the answer to a message as a value: R-REPLY-ENVELOPE. Nil and
// [None] mean no answer.
//
// The set is closed: [TextReply], [ImageReply], [VoiceReply], [VideoReply],
// [MusicReply], [NewsReply], [TransferReply], [RawReply] and [None]. Return
// the values themselves, not pointers to them: [Validate] refuses a pointer.
// A reply names no user, because it can only go to the one who asked.
type Reply interface {
	isReply()
}

// None is the reply that says nothing, for places where nil reads badly:
// WeChat is answered "success" and the user sees nothing. R-REPLY-NONE
type None struct{}

// TextReply answers with text: R-REPLY-TEXT.
type TextReply struct {
	// Content is 1 to 2048 bytes of UTF-8. A line feed starts a line, a bare
	// URL becomes a link, and so does <a href="https://…">…</a>; other markup
	// is shown as typed.
	Content string
}

// ImageReply answers with a picture: R-REPLY-MEDIA.
type ImageReply struct {
	// MediaID names uploaded material, or what a user sent within three days.
	MediaID string
}

// VoiceReply answers with a sound: R-REPLY-MEDIA.
type VoiceReply struct {
	// MediaID names uploaded material, or what a user sent within three days.
	MediaID string
}

// VideoReply answers with a video: R-REPLY-MEDIA.
type VideoReply struct {
	// MediaID names uploaded material.
	MediaID string
	// Title is optional.
	Title string
	// Description is optional.
	Description string
}

// MusicReply answers with a piece of music to play: R-REPLY-MUSIC.
type MusicReply struct {
	// Title is optional.
	Title string
	// Description is optional.
	Description string
	// MusicURL is where the music is; optional.
	MusicURL string
	// HQMusicURL is preferred to MusicURL on Wi-Fi; optional.
	HQMusicURL string
	// ThumbMediaID names an uploaded thumbnail. The only field that is required.
	ThumbMediaID string
}

// NewsReply answers with cards that link to pages (图文): R-REPLY-NEWS.
type NewsReply struct {
	// Articles are shown in this order: one after a message of the user, up to
	// eight after an event.
	Articles []Article
}

// Article is one card of a [NewsReply].
type Article struct {
	// Title is required.
	Title string
	// Description is optional; it is shown only if the article is alone.
	Description string
	// PicURL is a JPG or PNG, best 360×200 for the first article and 200×200
	// for the others; optional.
	PicURL string
	// URL is the page that a tap opens. Required.
	URL string
}

// TransferReply hands the user's message to a human agent of the customer
// service (客服): R-REPLY-TRANSFER. Only a push can carry it, so return it in time. If it is late, and the account
// sends late answers by the API, the user gets a link, and the tap on that is what is handed over.
type TransferReply struct {
	// KfAccount is the agent, such as "test1@test". Empty means any who is
	// online. If a named agent is offline, the user is not connected.
	KfAccount string
}

// RawReply is a reply of a type that this package does not know: R-REPLY-RAW. Only a push can carry it, as a
// [TransferReply].
type RawReply struct {
	// MsgType is the type's name: letters, digits and underscores.
	MsgType string
	// InnerXML stands behind the four common elements, as it is: well-formed
	// elements, which need not be there at all. Never build it from what a user wrote
	// without escaping that.
	InnerXML string
}

func (None) isReply()          {}
func (TextReply) isReply()     {}
func (ImageReply) isReply()    {}
func (VoiceReply) isReply()    {}
func (VideoReply) isReply()    {}
func (MusicReply) isReply()    {}
func (NewsReply) isReply()     {}
func (TransferReply) isReply() {}
func (RawReply) isReply()      {}

// Text returns a reply of text.
func Text(content string) TextReply { return TextReply{Content: content} }

// Image returns a reply with the picture of that media id.
func Image(mediaID string) ImageReply { return ImageReply{MediaID: mediaID} }

// Voice returns a reply with the sound of that media id.
func Voice(mediaID string) VoiceReply { return VoiceReply{MediaID: mediaID} }

// News returns a reply with the articles as cards.
func News(articles ...Article) NewsReply { return NewsReply{Articles: articles} }

// IsNone reports whether r means no answer: nil or [None].
func IsNone(r Reply) bool {
	switch r.(type) {
	case nil, None:
		return true
	}
	return false
}

// Limits of R-REPLY-TEXT and R-REPLY-NEWS.
const (
	// MaxTextBytes is how many bytes of UTF-8 the text of a reply may have.
	MaxTextBytes = 2048

	maxArticlesAfterMessage = 1
	maxArticlesAfterEvent   = 8
)

// ErrEmptyText says that a text reply has no content, or none that XML can
// carry. WeChat shows the fault notice for such a reply, so answer "success" instead.
var ErrEmptyText = errors.New("text reply: the content is empty, and WeChat would show its fault notice; return nil to say nothing")

// TooLongError says that a text reply is longer than WeChat delivers.
// [CutText] makes it fit.
type TooLongError struct {
	Bytes int // the length of the content as it would be sent
	Limit int // MaxTextBytes
}

// Error says by how much the text is too long.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("text reply: the content has %d bytes of UTF-8 and WeChat takes at most %d; shorten it, or cut it with CutText", e.Bytes, e.Limit)
}

// Validate checks that WeChat would show r as an answer to trigger. With a nil trigger
// only the rules that hold for every message are checked.
//
// The error is [ErrEmptyText], a [*TooLongError], or one sentence that says
// what to change. No answer (nil or [None]) is always valid. Whether a media id
// exists is not known here.
func Validate(r Reply, trigger Message) error {
	switch r := r.(type) {
	case nil, None:
		return nil
	case TextReply:
		return validateText(r.Content)
	case ImageReply:
		return requireMedia("image", "MediaID", r.MediaID)
	case VoiceReply:
		return requireMedia("voice", "MediaID", r.MediaID)
	case VideoReply:
		return requireMedia("video", "MediaID", r.MediaID)
	case MusicReply:
		return requireMedia("music", "ThumbMediaID", r.ThumbMediaID)
	case NewsReply:
		return validateNews(r.Articles, trigger)
	case TransferReply:
		return nil
	case RawReply:
		return validateRaw(r)
	default:
		return fmt.Errorf("reply: %T is not a reply of package echostr; return a value such as echostr.Text(...), not a pointer", r)
	}
}

// The length that counts is that of the text that is sent.
func validateText(content string) error {
	switch n := cleanLen(content); {
	case n == 0:
		return ErrEmptyText
	case n > MaxTextBytes:
		return &TooLongError{Bytes: n, Limit: MaxTextBytes}
	}
	return nil
}

func requireMedia(kind, field, id string) error {
	if isBlank(id) {
		return fmt.Errorf("%s reply: %s is empty; upload the file first and give the media id that WeChat returned", kind, field)
	}
	return nil
}

func validateNews(articles []Article, trigger Message) error {
	if len(articles) == 0 {
		return errors.New("news reply: there is no article; give one, or return nil to say nothing")
	}
	// WeChat shows fewer articles than were sent, or nothing, so say it here.
	if isMessage := trigger != nil && !isEvent(trigger); isMessage && len(articles) > maxArticlesAfterMessage {
		return fmt.Errorf("news reply: %d articles, and WeChat takes %d after a message of the user; send the most important one", len(articles), maxArticlesAfterMessage)
	}
	if len(articles) > maxArticlesAfterEvent {
		return fmt.Errorf("news reply: %d articles, and WeChat never takes more than %d; send fewer", len(articles), maxArticlesAfterEvent)
	}
	for i, a := range articles {
		if isBlank(a.Title) {
			return fmt.Errorf("news reply: article %d has no Title; give one", i+1)
		}
		if isBlank(a.URL) {
			return fmt.Errorf("news reply: article %d has no URL; give the page that a tap opens", i+1)
		}
	}
	return nil
}

func validateRaw(r RawReply) error {
	if !isName(r.MsgType) {
		return fmt.Errorf("raw reply: MsgType %q is not a type's name; use letters, digits and underscores", r.MsgType)
	}
	// Otherwise the limits of the type could be passed by, and a stored reply
	// would come back as another value.
	if knownReplyType(r.MsgType) {
		return fmt.Errorf("raw reply: package echostr has a type of its own for %q; use that", r.MsgType)
	}
	if err := checkInnerXML(r.InnerXML); err != nil {
		return fmt.Errorf("raw reply: InnerXML is not a sequence of well-formed elements (%w); correct or escape it", err)
	}
	return nil
}

// isBlank reports whether nothing of s would be seen.
func isBlank(s string) bool { return cleanLen(strings.TrimSpace(s)) == 0 }

func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

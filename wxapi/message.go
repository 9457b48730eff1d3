package wxapi

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/echostr/echostr"
)

const (
	sendPath   = "/cgi-bin/message/custom/send"
	typingPath = "/cgi-bin/message/custom/typing"
)

// Message is a customer-service message (客服消息) that is no passive reply: [MenuMessage],
// [VideoMessage], [ArticleMessage], [CardMessage], [MiniProgramMessage] or [RawMessage].
type Message interface {
	message() (msgType string, body any, err error)
}

// MenuMessage asks a question with entries to tap (菜单消息). A tap arrives as a text message with
// BizMsgMenuID. Service accounts only: 40200. R-API-SEND
type MenuMessage struct {
	Head    string // above the entries; optional
	Entries []MenuEntry
	Tail    string // below them; optional
}

// MenuEntry is an entry of a [MenuMessage].
type MenuEntry struct {
	ID      string // comes back when it is tapped
	Content string // what the user reads, and seems to say by tapping
}

// VideoMessage is a video with its thumbnail, which an [echostr.VideoReply] has no field for.
type VideoMessage struct {
	MediaID      string
	ThumbMediaID string // optional
	Title        string // optional
	Description  string // optional
}

// ArticleMessage shows a published article (已发布的图文).
type ArticleMessage struct {
	ArticleID string // as in PUBLISHJOBFINISH
}

// CardMessage offers a coupon (卡券).
type CardMessage struct{ CardID string }

// MiniProgramMessage shows a page of a Mini Program (小程序卡片) that is linked to the account.
type MiniProgramMessage struct {
	Title        string
	AppID        string // the Mini Program's
	PagePath     string // may have a query
	ThumbMediaID string // 520×416
}

// RawMessage is of a type that this package does not know.
type RawMessage struct {
	MsgType string // letters, digits and underscores
	Body    any    // the object that is called like MsgType, for encoding/json
}

// SendOptions are what is optional with a customer-service message.
type SendOptions struct {
	// KfAccount is the agent whose name and picture the user sees, such as "test1@kftest".
	KfAccount string
}

// Send sends r to the user as a customer-service message (客服消息): text, image, voice, video,
// music, or news with exactly one article. Other replies, and such as WeChat would not
// take, are an [ErrInvalid]; text is 1 to 2048 bytes after characters that cannot be shown are
// left out. R-API-SEND
//
// Nil means that WeChat has taken the message. After an error of [OutcomeUnknown] the user
// may have it all the same; Send does not send it again.
func (c *Client) Send(ctx context.Context, openID string, r echostr.Reply, o *SendOptions) error {
	msgType, body, err := replyBody(r)
	if err != nil {
		return err
	}
	return c.send(ctx, openID, msgType, body, o)
}

// SendMessage sends a message of a type that replies do not have. It is as Send otherwise.
func (c *Client) SendMessage(ctx context.Context, openID string, m Message, o *SendOptions) error {
	if m == nil {
		return fmt.Errorf("%w: there is no message", ErrInvalid)
	}
	msgType, body, err := m.message()
	if err != nil {
		return err
	}
	return c.send(ctx, openID, msgType, body, o)
}

func (c *Client) send(ctx context.Context, openID, msgType string, body any, o *SendOptions) error {
	text, err := messageText(openID, msgType, body, o)
	if err != nil {
		return err
	}
	x := &exchange{method: http.MethodPost, path: sendPath}
	x.setJSON(text)
	return c.do(ctx, x)
}

// messageText writes the body of a message. The object that is called like the type has no place
// in a struct.
func messageText(openID, msgType string, body any, o *SendOptions) ([]byte, error) {
	if err := checkOpenID(openID); err != nil {
		return nil, err
	}
	object, err := encode(body)
	if err != nil {
		return nil, fmt.Errorf("%w: the %s message is not JSON: %w", ErrInvalid, msgType, err)
	}
	user, _ := encode(openID)
	b := make([]byte, 0, len(object)+len(openID)+128)
	b = append(append(b, `{"touser":`...), user...)
	b = append(append(append(b, `,"msgtype":"`...), msgType...), '"')
	b = append(append(append(append(b, ',', '"'), msgType...), `":`...), object...)
	if o != nil && o.KfAccount != "" {
		agent, _ := encode(o.KfAccount)
		b = append(append(append(b, `,"customservice":{"kf_account":`...), agent...), '}')
	}
	return append(b, '}'), nil
}

func checkOpenID(openID string) error {
	if strings.TrimSpace(openID) == "" {
		return fmt.Errorf("%w: the OpenID is empty; give that of the user", ErrInvalid)
	}
	return nil
}

type mediaBody struct {
	MediaID      string `json:"media_id,omitempty"`
	ThumbMediaID string `json:"thumb_media_id,omitempty"`
	Title        string `json:"title,omitempty"`
	Description  string `json:"description,omitempty"`
	MusicURL     string `json:"musicurl,omitempty"`
	HQMusicURL   string `json:"hqmusicurl,omitempty"`
}

type articleBody struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	URL         string `json:"url"`
	PicURL      string `json:"picurl"`
}

// replyBody returns the type and the object of a reply.
func replyBody(r echostr.Reply) (msgType string, body any, err error) {
	if echostr.IsNone(r) {
		return "", nil, fmt.Errorf("%w: there is no reply to send", ErrInvalid)
	}
	if err := echostr.Validate(r, nil); err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	switch r := r.(type) {
	case echostr.TextReply:
		// CutText with room for everything leaves out what cannot be shown, as in a passive reply.
		return "text", struct {
			Content string `json:"content"`
		}{echostr.CutText(r.Content, math.MaxInt)}, nil
	case echostr.ImageReply:
		return "image", mediaBody{MediaID: r.MediaID}, nil
	case echostr.VoiceReply:
		return "voice", mediaBody{MediaID: r.MediaID}, nil
	case echostr.VideoReply:
		return "video", mediaBody{MediaID: r.MediaID, Title: r.Title, Description: r.Description}, nil
	case echostr.MusicReply:
		return "music", mediaBody{ThumbMediaID: r.ThumbMediaID, Title: r.Title, Description: r.Description, MusicURL: r.MusicURL, HQMusicURL: r.HQMusicURL}, nil
	case echostr.NewsReply:
		if n := len(r.Articles); n != 1 {
			return "", nil, fmt.Errorf("%w: %d articles, and WeChat takes one in a customer-service message; send the most important one", ErrInvalid, n)
		}
		a := r.Articles[0]
		return "news", struct {
			Articles []articleBody `json:"articles"`
		}{[]articleBody{{a.Title, a.Description, a.URL, a.PicURL}}}, nil
	}
	return "", nil, fmt.Errorf("%w: %T can only be a passive reply; send text instead", ErrInvalid, r)
}

func (m MenuMessage) message() (string, any, error) {
	type entry struct {
		ID      string `json:"id"`
		Content string `json:"content"`
	}
	if len(m.Entries) == 0 {
		return "", nil, fmt.Errorf("%w: the menu message has no entries; give one, or send text", ErrInvalid)
	}
	list := make([]entry, len(m.Entries))
	for i, e := range m.Entries {
		if strings.TrimSpace(e.Content) == "" {
			return "", nil, fmt.Errorf("%w: entry %d of the menu message is empty; give it Content", ErrInvalid, i+1)
		}
		list[i] = entry(e)
	}
	return "msgmenu", struct {
		Head string  `json:"head_content"`
		List []entry `json:"list"`
		Tail string  `json:"tail_content"`
	}{m.Head, list, m.Tail}, nil
}

func (m VideoMessage) message() (string, any, error) {
	return "video", mediaBody{MediaID: m.MediaID, ThumbMediaID: m.ThumbMediaID, Title: m.Title, Description: m.Description},
		required("video", "MediaID", m.MediaID)
}

func (m ArticleMessage) message() (string, any, error) {
	return "mpnewsarticle", struct {
		ArticleID string `json:"article_id"`
	}{m.ArticleID}, required("article", "ArticleID", m.ArticleID)
}

func (m CardMessage) message() (string, any, error) {
	return "wxcard", struct {
		CardID string `json:"card_id"`
	}{m.CardID}, required("card", "CardID", m.CardID)
}

func (m MiniProgramMessage) message() (string, any, error) {
	err := required("Mini Program", "AppID", m.AppID)
	if err == nil {
		err = required("Mini Program", "ThumbMediaID", m.ThumbMediaID)
	}
	return "miniprogrampage", struct {
		Title        string `json:"title"`
		AppID        string `json:"appid"`
		PagePath     string `json:"pagepath"`
		ThumbMediaID string `json:"thumb_media_id"`
	}(m), err
}

func (m RawMessage) message() (string, any, error) {
	for i := range len(m.MsgType) {
		switch c := m.MsgType[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		default:
			return "", nil, fmt.Errorf("%w: MsgType %q is not a type's name; use letters, digits and underscores", ErrInvalid, m.MsgType)
		}
	}
	return m.MsgType, m.Body, required("raw", "MsgType", m.MsgType)
}

func required(kind, field, value string) error {
	if strings.TrimSpace(value) == "" {
		return fmt.Errorf("%w: the %s message has no %s; give one", ErrInvalid, kind, field)
	}
	return nil
}

// Typing shows the user that an answer is being written (对方正在输入…). WeChat takes it only within
// 30 s after a message from or to the user (45080), and not twice (45081). R-API-TYPING
func (c *Client) Typing(ctx context.Context, openID string) error {
	return c.typing(ctx, openID, "Typing")
}

// CancelTyping ends what Typing shows.
func (c *Client) CancelTyping(ctx context.Context, openID string) error {
	return c.typing(ctx, openID, "CancelTyping")
}

func (c *Client) typing(ctx context.Context, openID, command string) error {
	if err := checkOpenID(openID); err != nil {
		return err
	}
	return c.post(ctx, typingPath, struct {
		ToUser  string `json:"touser"`
		Command string `json:"command"`
	}{openID, command}, nil)
}

package simulator

import (
	"fmt"
	"strconv"
	"strings"
)

// Message is what a user does: an ordinary message or an event. Make one with
// [Text] and its like, or with [Raw]; the zero value cannot be sent.
//
// The exported fields may be set before it is sent. Those left empty are
// filled in for every sending, so one Message sent twice is two messages; the
// message in a [Report] has them filled in.
type Message struct {
	// FromUserName is the user's OpenID. Defaults to Config.User.
	FromUserName string
	// ToUserName is the account. Defaults to its OriginalID.
	ToUserName string
	// CreateTime is the moment of the action in Unix seconds. Defaults to now.
	CreateTime int64
	// MsgID identifies an ordinary message. Defaults to one that was never used. Events have none.
	MsgID int64

	msgType string
	event   string // of an event: its name
	rest    string // the elements behind MsgType and Event
	tail    string // those behind MsgId
	raw     *rawDocument
}

// Type returns the MsgType, which is "event" for events.
func (m Message) Type() string { return m.msgType }

// Event returns the name of the event, and "" for an ordinary message.
func (m Message) Event() string { return m.event }

func (m Message) isEvent() bool { return strings.EqualFold(m.msgType, "event") }

// The media ids are inventions; no server can fetch them.
const (
	someMediaID = "simulated_media_id"
	somePicture = "http://mmbiz.qpic.cn/mmbiz_jpg/simulated/0"
	someTicket  = "gQEsimulatedTicket=="
)

// Text is a text message (文本消息).
func Text(content string) Message {
	return ordinary("text", cdata("Content", content))
}

// MenuText is the text message that a tap on an entry of a menu message or on
// a weixin://bizmsgmenu link sends: content is the entry's text, id its id.
func MenuText(content, id string) Message {
	m := Text(content)
	m.tail = cdata("bizmsgmenuid", id)
	if id != "" && strings.Trim(id, "0123456789") == "" { // as WeChat writes those it has seen
		m.tail = "<bizmsgmenuid>" + id + "</bizmsgmenuid>\n"
	}
	return m
}

// Image is an image message (图片消息). Empty arguments are invented.
func Image(picURL, mediaID string) Message {
	m := ordinary("image", cdata("PicUrl", or(picURL, somePicture)))
	m.tail = cdata("MediaId", or(mediaID, someMediaID))
	return m
}

// Voice is a voice message (语音消息). Without a recognition the element
// Recognition is absent, as for accounts without speech recognition; with an
// empty one it is empty, as for most accounts today. An empty mediaID is
// invented.
func Voice(mediaID string, recognition ...string) Message {
	elements := []string{cdata("MediaId", or(mediaID, someMediaID)), cdata("Format", "amr")}
	if len(recognition) > 0 {
		elements = append(elements, cdata("Recognition", strings.Join(recognition, "")))
	}
	return ordinary("voice", elements...)
}

// Video is a video message (视频消息). Empty arguments are invented.
func Video(mediaID, thumbMediaID string) Message {
	return ordinary("video", cdata("MediaId", or(mediaID, someMediaID)), cdata("ThumbMediaId", or(thumbMediaID, someMediaID+"_thumb")))
}

// ShortVideo is a short video message (小视频消息). Empty arguments are invented.
func ShortVideo(mediaID, thumbMediaID string) Message {
	m := Video(mediaID, thumbMediaID)
	m.msgType = "shortvideo"
	return m
}

// Location is a place that the user sent (地理位置消息), in degrees; scale is the zoom of the map.
func Location(latitude, longitude float64, scale int, label string) Message {
	return ordinary("location", degrees("Location_X", latitude), degrees("Location_Y", longitude),
		number("Scale", int64(scale)), cdata("Label", label))
}

// Link is a link message (链接消息).
func Link(title, description, url string) Message {
	return ordinary("link", cdata("Title", title), cdata("Description", description), cdata("Url", url))
}

// File is a file that the user forwarded (文件消息), with its name and length in bytes.
func File(title string, size int64) Message {
	return ordinary("file", cdata("Title", title), cdata("Description", ""), cdata("FileKey", "simulated_file_key"),
		cdata("FileMd5", "d41d8cd98f00b204e9800998ecf8427e"), number("FileTotalLen", size))
}

// MiniProgramPage is a card of a Mini Program (小程序卡片) that the user forwarded. An Official
// Account rarely gets one. Empty addresses and ids of pictures are invented.
func MiniProgramPage(title, appID, pagePath, thumbURL, thumbMediaID string) Message {
	m := ordinary("miniprogrampage")
	m.tail = cdata("Title", title) + cdata("AppId", appID) + cdata("PagePath", pagePath) +
		cdata("ThumbUrl", or(thumbURL, somePicture)) + cdata("ThumbMediaId", or(thumbMediaID, someMediaID+"_thumb"))
	return m
}

// Unsupported is what an account gets when a user sends something that has no type of its own,
// such as a sticker (表情) or a red packet: a text of WeChat's.
func Unsupported() Message { return Text("【收到不支持的消息类型，暂无法显示】") }

// Subscribe is the event of a user who follows the account (关注). With a
// scene the user came by a QR code (带参数二维码), and the EventKey is "qrscene_" and the scene.
func Subscribe(scene string) Message {
	if scene == "" {
		return event("subscribe", cdata("EventKey", ""))
	}
	return event("subscribe", cdata("EventKey", "qrscene_"+scene), cdata("Ticket", someTicket))
}

// Unsubscribe is the event of a user who stops following (取消关注).
func Unsubscribe() Message { return event("unsubscribe", cdata("EventKey", "")) }

// Scan is the event of a follower who scans a QR code with a scene (扫描带参数二维码).
func Scan(scene string) Message {
	return event("SCAN", cdata("EventKey", scene), cdata("Ticket", someTicket))
}

// Click is the event of a tap on a menu button (自定义菜单) with this key.
func Click(key string) Message { return event("CLICK", cdata("EventKey", key)) }

// View is the event of a tap on a menu button (自定义菜单) that opens url.
func View(url string) Message { return event("VIEW", cdata("EventKey", url)) }

// LocationEvent is the report of a user's place (上报地理位置), in degrees and metres.
func LocationEvent(latitude, longitude, precision float64) Message {
	return event("LOCATION", degrees("Latitude", latitude), degrees("Longitude", longitude), degrees("Precision", precision))
}

func ordinary(msgType string, elements ...string) Message {
	return Message{msgType: msgType, rest: strings.Join(elements, "")}
}

func event(name string, elements ...string) Message {
	return Message{msgType: "event", event: name, rest: strings.Join(elements, "")}
}

// document writes the message as WeChat does: one element to a line, no
// declaration, CDATA around text. The fields are filled in.
func (m Message) document() []byte {
	if m.raw != nil {
		return m.raw.with(m)
	}
	var b strings.Builder
	b.WriteString("<xml>")
	b.WriteString(cdata("ToUserName", m.ToUserName))
	b.WriteString(cdata("FromUserName", m.FromUserName))
	b.WriteString(number("CreateTime", m.CreateTime))
	b.WriteString(cdata("MsgType", m.msgType))
	if m.isEvent() {
		b.WriteString(cdata("Event", m.event))
	}
	b.WriteString(m.rest)
	if !m.isEvent() {
		b.WriteString(number("MsgId", m.MsgID))
	}
	b.WriteString(m.tail)
	b.WriteString("</xml>")
	return []byte(b.String())
}

// cdata writes an element with any text. A "]]>" in it is divided between two sections.
func cdata(name, value string) string {
	return "<" + name + "><![CDATA[" + strings.ReplaceAll(value, "]]>", "]]]]><![CDATA[>") + "]]></" + name + ">\n"
}

func number(name string, value int64) string {
	return "<" + name + ">" + strconv.FormatInt(value, 10) + "</" + name + ">\n"
}

func degrees(name string, value float64) string {
	return fmt.Sprintf("<%s>%.6f</%s>\n", name, value, name)
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

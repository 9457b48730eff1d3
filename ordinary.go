package echostr

// messageTypes makes the Go type of an ordinary message, by its MsgType in small
// letters: R-MSG-ORDINARY, and R-MSG-DEVICE for those of devices.
var messageTypes = map[string]func() Message{
	"text":            alloc[TextMessage],
	"image":           alloc[ImageMessage],
	"voice":           alloc[VoiceMessage],
	"video":           alloc[VideoMessage],
	"shortvideo":      alloc[ShortVideoMessage],
	"location":        alloc[LocationMessage],
	"link":            alloc[LinkMessage],
	"file":            alloc[FileMessage],
	"miniprogrampage": alloc[MiniProgramPageMessage],
	"device_text":     alloc[DeviceTextMessage],
	"device_event":    alloc[DeviceEventMessage],
	"device_status":   alloc[DeviceStatusMessage],
	"hardware":        alloc[HardwareMessage],
}

// TextMessage is a text from the user (文本消息, MsgType text).
//
// What a user sends that has no type of its own (stickers, red packets)
// arrives as a text too, with a fixed Content such as
// 【收到不支持的消息类型，暂无法显示】.
type TextMessage struct {
	MessageHeader
	// Content is exactly what the user wrote, nothing trimmed; emoji as UTF-8,
	// classic stickers as codes such as "/::)". It can be empty.
	Content string
	// BizMsgMenuID is the id of the entry that the user tapped, in a menu
	// message or a weixin://bizmsgmenu link; Content is then the entry's text.
	// Empty if the user typed. It may be any string, and some clients lose it.
	BizMsgMenuID string
}

func (m *TextMessage) fields(c *codec) {
	c.text("Content", &m.Content)
	c.message(&m.MessageHeader)
	c.str("bizmsgmenuid", &m.BizMsgMenuID)
}

// ImageMessage is a picture (图片消息, MsgType image).
type ImageMessage struct {
	MessageHeader
	// PicURL is an address of the picture at WeChat, http or https.
	PicURL string
	// MediaID fetches the picture for three days. Only very old pushes lack it.
	MediaID string
}

func (m *ImageMessage) fields(c *codec) {
	c.str("PicUrl", &m.PicURL)
	c.str("MediaId", &m.MediaID)
	c.message(&m.MessageHeader)
}

// VoiceMessage is a recording (语音消息, MsgType voice).
type VoiceMessage struct {
	MessageHeader
	// MediaID fetches the recording for three days: AMR at 8 kHz.
	MediaID string
	// Format is "amr" or "speex".
	Format string
	// Recognition is what speech recognition (语音识别) heard, usually with a
	// full stop. It is empty if the account has none, and since about 2025 always.
	Recognition string
	// MediaID16K fetches the recording at 16 kHz. Newer pushes only.
	MediaID16K string
}

func (m *VoiceMessage) fields(c *codec) {
	c.str("MediaId", &m.MediaID)
	c.str("Format", &m.Format)
	c.str("Recognition", &m.Recognition)
	c.message(&m.MessageHeader)
	c.str("MediaId16K", &m.MediaID16K)
}

// VideoMessage is a video (视频消息, MsgType video).
type VideoMessage struct {
	MessageHeader
	MediaID      string // fetches the video for three days
	ThumbMediaID string // fetches its thumbnail
}

func (m *VideoMessage) fields(c *codec) {
	c.str("MediaId", &m.MediaID)
	c.str("ThumbMediaId", &m.ThumbMediaID)
	c.message(&m.MessageHeader)
}

// ShortVideoMessage is a short video (小视频消息, MsgType shortvideo). Today's
// clients send a [VideoMessage] instead.
type ShortVideoMessage struct {
	MessageHeader
	MediaID      string // fetches the video for three days
	ThumbMediaID string // fetches its thumbnail
}

func (m *ShortVideoMessage) fields(c *codec) {
	c.str("MediaId", &m.MediaID)
	c.str("ThumbMediaId", &m.ThumbMediaID)
	c.message(&m.MessageHeader)
}

// LocationMessage is a place that the user chose to send (地理位置消息, MsgType
// location). The event [LocationEvent] is something else.
type LocationMessage struct {
	MessageHeader
	LocationX float64 // latitude (纬度), in degrees, north positive: R-MSG-LOCATION
	LocationY float64 // longitude (经度), in degrees, east positive
	Scale     int     // zoom of the map
	Label     string  // the address; may be empty
}

func (m *LocationMessage) fields(c *codec) {
	c.float("Location_X", &m.LocationX)
	c.float("Location_Y", &m.LocationY)
	c.int("Scale", &m.Scale)
	c.str("Label", &m.Label)
	c.message(&m.MessageHeader)
}

// LinkMessage is a link or an article that the user passed on (链接消息, MsgType link).
type LinkMessage struct {
	MessageHeader
	Title       string
	Description string // may be empty
	URL         string
}

func (m *LinkMessage) fields(c *codec) {
	c.str("Title", &m.Title)
	c.str("Description", &m.Description)
	c.str("Url", &m.URL)
	c.message(&m.MessageHeader)
}

// FileMessage says that the user sent a file (文件消息, MsgType file). It is not
// in WeChat's documents, and the file itself cannot be fetched.
type FileMessage struct {
	MessageHeader
	Title        string // name of the file
	Description  string // for example "2.5 KB"; may be empty
	FileKey      string // may be empty
	FileMD5      string // in hexadecimal digits; may be empty
	FileTotalLen int64  // bytes; 0 if unknown
}

func (m *FileMessage) fields(c *codec) {
	c.str("Title", &m.Title)
	c.str("Description", &m.Description)
	c.str("FileKey", &m.FileKey)
	c.str("FileMd5", &m.FileMD5)
	c.int64("FileTotalLen", &m.FileTotalLen)
	c.message(&m.MessageHeader)
}

// MiniProgramPageMessage is a card of a Mini Program (小程序卡片消息, MsgType
// miniprogrampage). An Official Account normally does not receive it.
type MiniProgramPageMessage struct {
	MessageHeader
	Title        string
	AppID        string // of the Mini Program
	PagePath     string
	ThumbURL     string
	ThumbMediaID string
}

func (m *MiniProgramPageMessage) fields(c *codec) {
	c.message(&m.MessageHeader)
	c.str("Title", &m.Title)
	c.str("AppId", &m.AppID)
	c.str("PagePath", &m.PagePath)
	c.str("ThumbUrl", &m.ThumbURL)
	c.str("ThumbMediaId", &m.ThumbMediaID)
}

// DeviceHeader is what all messages of devices (微信硬件, a retired product) have.
type DeviceHeader struct {
	MessageHeader
	DeviceType string // the account's original id (原始ID)
	DeviceID   string
	SessionID  string // may be empty
	OpenID     string // of the user
}

func (h *DeviceHeader) fields(c *codec) {
	c.str("DeviceType", &h.DeviceType)
	c.str("DeviceID", &h.DeviceID)
	c.str("SessionID", &h.SessionID)
	c.message(&h.MessageHeader)
	c.str("OpenID", &h.OpenID)
}

// DeviceTextMessage is data from a device (MsgType device_text).
type DeviceTextMessage struct {
	DeviceHeader
	Content string // base64
}

func (m *DeviceTextMessage) fields(c *codec) {
	m.DeviceHeader.fields(c)
	c.str("Content", &m.Content)
}

// DeviceEventMessage is an event of a device (MsgType device_event, not event).
type DeviceEventMessage struct {
	DeviceHeader
	Event   string // bind, unbind, subscribe_status, unsubscribe_status
	OpType  int    // 0 unsubscribed, 1 heartbeat, 2 subscribed
	Content string // base64; may be empty
}

func (m *DeviceEventMessage) fields(c *codec) {
	m.DeviceHeader.fields(c)
	c.str("Event", &m.Event)
	c.int("OpType", &m.OpType)
	c.str("Content", &m.Content)
}

// DeviceStatusMessage is the state of a device (MsgType device_status).
type DeviceStatusMessage struct {
	DeviceHeader
	DeviceStatus int
}

func (m *DeviceStatusMessage) fields(c *codec) {
	m.DeviceHeader.fields(c)
	c.int("DeviceStatus", &m.DeviceStatus)
}

// HardwareMessage is a further message of a device (MsgType hardware), whose
// own elements are not documented; read them with Field.
type HardwareMessage struct{ DeviceHeader }

// UnknownMessage is a message of a type that this package does not know, or of
// none: a push to a third-party platform (第三方平台) has an InfoType instead of
// a MsgType. Read its elements with Field.
type UnknownMessage struct{ MessageHeader }

func (m *UnknownMessage) fields(c *codec) {
	c.message(&m.MessageHeader)
	c.rest(m.raw, "MsgId", "MsgDataId", "Idx")
}

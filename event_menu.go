package echostr

// ClickEvent says that the user tapped a menu entry that asks the server
// (点击菜单拉取消息, Event CLICK).
type ClickEvent struct {
	EventHeader
	EventKey string // key of the entry
}

func (e *ClickEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
}

func (e *ClickEvent) eventKey() string { return e.EventKey }

// ViewEvent says that the user tapped a menu entry that opens a web page
// (点击菜单跳转链接, Event VIEW). The user is then on that page: do not reply.
type ViewEvent struct {
	EventHeader
	EventKey string // the URL of the entry, as configured
	MenuID   string // of the conditional menu; empty if none is in use
}

func (e *ViewEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.str("MenuId", &e.MenuID)
}

func (e *ViewEvent) eventKey() string { return e.EventKey }

// ViewMiniProgramEvent says that the user tapped a menu entry that opens a Mini
// Program (点击菜单跳转小程序, Event view_miniprogram). Do not reply.
type ViewMiniProgramEvent struct {
	EventHeader
	EventKey string // path of the page
	MenuID   string // of the conditional menu; empty if none is in use
}

func (e *ViewMiniProgramEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.str("MenuId", &e.MenuID)
}

func (e *ViewMiniProgramEvent) eventKey() string { return e.EventKey }

// ScanCodeInfo is a code that the user scanned from a menu.
type ScanCodeInfo struct {
	// ScanType is "qrcode", or "barcode" for a one-dimensional code.
	ScanType string
	// ScanResult is what the code says; for one-dimensional codes it may name
	// the kind first: "EAN_13,6901234567892".
	ScanResult string
}

func (i *ScanCodeInfo) fields(c *codec) {
	c.str("ScanType", &i.ScanType)
	c.str("ScanResult", &i.ScanResult)
}

// ScanCodePushEvent says that the user scanned a code from a menu entry and sees
// the result (扫码推事件, Event scancode_push).
type ScanCodePushEvent struct {
	EventHeader
	EventKey     string // key of the entry
	ScanCodeInfo ScanCodeInfo
}

func (e *ScanCodePushEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.object("ScanCodeInfo", &e.ScanCodeInfo)
}

func (e *ScanCodePushEvent) eventKey() string { return e.EventKey }

// ScanCodeWaitMsgEvent says that the user scanned a code from a menu entry and
// waits for the reply (扫码推事件且弹出“消息接收中”, Event scancode_waitmsg).
type ScanCodeWaitMsgEvent struct {
	EventHeader
	EventKey     string // key of the entry
	ScanCodeInfo ScanCodeInfo
}

func (e *ScanCodeWaitMsgEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.object("ScanCodeInfo", &e.ScanCodeInfo)
}

func (e *ScanCodeWaitMsgEvent) eventKey() string { return e.EventKey }

// SendPicsInfo is the pictures that a user is about to send. They follow as an
// [ImageMessage] each.
type SendPicsInfo struct {
	Count   int // as WeChat counts; len(PicList) may differ, and is right
	PicList []Pic
}

func (i *SendPicsInfo) fields(c *codec) {
	c.int("Count", &i.Count)
	list(c, &i.PicList, "PicList", "item")
}

// Pic is one picture of [SendPicsInfo].
type Pic struct {
	PicMD5Sum string // in hexadecimal digits
}

func (p *Pic) fields(c *codec) { c.str("PicMd5Sum", &p.PicMD5Sum) }

// PicSysPhotoEvent says that the user took photos from a menu entry (系统拍照发图,
// Event pic_sysphoto).
type PicSysPhotoEvent struct {
	EventHeader
	EventKey     string // key of the entry
	SendPicsInfo SendPicsInfo
}

func (e *PicSysPhotoEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.object("SendPicsInfo", &e.SendPicsInfo)
}

func (e *PicSysPhotoEvent) eventKey() string { return e.EventKey }

// PicPhotoOrAlbumEvent says that the user took or chose photos from a menu entry
// (拍照或者相册发图, Event pic_photo_or_album).
type PicPhotoOrAlbumEvent struct {
	EventHeader
	EventKey     string // key of the entry
	SendPicsInfo SendPicsInfo
}

func (e *PicPhotoOrAlbumEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.object("SendPicsInfo", &e.SendPicsInfo)
}

func (e *PicPhotoOrAlbumEvent) eventKey() string { return e.EventKey }

// PicWeixinEvent says that the user chose photos with WeChat's album from a menu
// entry (微信相册发图, Event pic_weixin).
type PicWeixinEvent struct {
	EventHeader
	EventKey     string // key of the entry
	SendPicsInfo SendPicsInfo
}

func (e *PicWeixinEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.object("SendPicsInfo", &e.SendPicsInfo)
}

func (e *PicWeixinEvent) eventKey() string { return e.EventKey }

// SendLocationInfo is a place that a user is about to send.
type SendLocationInfo struct {
	LocationX float64 // latitude (纬度), in degrees
	LocationY float64 // longitude (经度), in degrees
	Scale     int     // zoom of the map
	Label     string  // the address; may begin with a blank
	Poiname   string  // name of the place; may be empty
}

func (i *SendLocationInfo) fields(c *codec) {
	c.float("Location_X", &i.LocationX)
	c.float("Location_Y", &i.LocationY)
	c.int("Scale", &i.Scale)
	c.str("Label", &i.Label)
	c.str("Poiname", &i.Poiname)
}

// LocationSelectEvent says that the user chose a place from a menu entry
// (地理位置选择器, Event location_select). A [LocationMessage] follows.
type LocationSelectEvent struct {
	EventHeader
	EventKey         string // key of the entry
	SendLocationInfo SendLocationInfo
}

func (e *LocationSelectEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.object("SendLocationInfo", &e.SendLocationInfo)
}

func (e *LocationSelectEvent) eventKey() string { return e.EventKey }

package echostr

import "strings"

// SceneEvent is an event that came from a QR code with parameters
// (带参数二维码): [*SubscribeEvent] from who was no follower yet, [*ScanEvent]
// from who was. A route for SceneEvent gets both.
type SceneEvent interface {
	Message
	// Scene returns the scene that the code was made with, always as text. It
	// is empty if the event did not come from such a code. R-EVENT-SCENE
	Scene() string
}

// SubscribeEvent says that the user follows the account (关注, Event subscribe).
type SubscribeEvent struct {
	EventHeader
	// EventKey says where the user came from: empty, "qrscene_" and the scene
	// of a QR code, "last_trade_no_" and the number of a payment, or
	// "scanbarcode|…" and "scanimage|…" after the scan of a product.
	EventKey string
	// Ticket is that of the QR code; empty without one.
	Ticket string
}

func (e *SubscribeEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.str("Ticket", &e.Ticket)
}

func (e *SubscribeEvent) eventKey() string { return e.EventKey }

// Scene returns EventKey without its prefix "qrscene_", and nothing if it has
// another prefix or none. The scene itself may have any characters, "_" too.
func (e *SubscribeEvent) Scene() string {
	if scene, ok := strings.CutPrefix(e.EventKey, "qrscene_"); ok {
		return scene
	}
	return ""
}

// UnsubscribeEvent says that the user left (取消关注, Event unsubscribe). No
// reply can reach the user. WeChat requires that the user's data is deleted.
type UnsubscribeEvent struct {
	EventHeader
	EventKey string // empty, or "last_trade_no_" and the number of a payment
}

func (e *UnsubscribeEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
}

func (e *UnsubscribeEvent) eventKey() string { return e.EventKey }

// ScanEvent says that a follower scanned a QR code with parameters (扫描带参数
// 二维码, Event SCAN). Who scans and does not follow causes no push.
type ScanEvent struct {
	EventHeader
	EventKey string // the scene, without a prefix; digits or any string
	Ticket   string // of the QR code
}

func (e *ScanEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.str("Ticket", &e.Ticket)
}

func (e *ScanEvent) eventKey() string { return e.EventKey }

// Scene returns EventKey, which is the scene.
func (e *ScanEvent) Scene() string { return e.EventKey }

// EnterEvent says that the user opened the conversation (进入会话, Event ENTER).
// WeChat abolished it years ago.
type EnterEvent struct{ EventHeader }

// LocationEvent reports where the user is (上报地理位置, Event LOCATION), from
// users who agreed: at each opening of the conversation, or every five seconds
// while it is open. The message [LocationMessage] is something else.
type LocationEvent struct {
	EventHeader
	Latitude  float64 // 纬度, in degrees, north positive
	Longitude float64 // 经度, in degrees, east positive
	Precision float64 // 精度, in metres
}

func (e *LocationEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.float("Latitude", &e.Latitude)
	c.float("Longitude", &e.Longitude)
	c.float("Precision", &e.Precision)
}

// UserInfoModifiedEvent says that a user's profile was reset for a breach of
// the rules (Event user_info_modified): fetch it again.
type UserInfoModifiedEvent struct {
	EventHeader
	OpenID     string // of the user; FromUserName may be another
	UnionID    string // may be empty
	AppID      string // of the account
	RevokeInfo string // may be empty
}

func (e *UserInfoModifiedEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("OpenID", &e.OpenID)
	c.str("UnionID", &e.UnionID)
	c.str("AppID", &e.AppID)
	c.str("RevokeInfo", &e.RevokeInfo)
}

// UserAuthorizationRevokeEvent says that a user withdrew an authorisation
// (Event user_authorization_revoke): the data it gave must be deleted.
type UserAuthorizationRevokeEvent struct {
	EventHeader
	OpenID  string // of the user; FromUserName may be another
	UnionID string // may be empty
	AppID   string // of the account
	// RevokeInfo has the codes of what was withdrawn: 201 address, 202 invoice,
	// 203 card, 204 recording, 205 nickname and avatar, 206 location, 207
	// chosen pictures and videos, 301 everything given to the web app.
	RevokeInfo string
}

func (e *UserAuthorizationRevokeEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("OpenID", &e.OpenID)
	c.str("UnionID", &e.UnionID)
	c.str("AppID", &e.AppID)
	c.str("RevokeInfo", &e.RevokeInfo)
}

// UserAuthorizationCancellationEvent says that a user closed the WeChat account
// (Event user_authorization_cancellation): the user's data must be deleted.
type UserAuthorizationCancellationEvent struct {
	EventHeader
	OpenID     string // of the user; FromUserName may be another
	UnionID    string // may be empty
	AppID      string // of the account
	RevokeInfo string // may be empty
}

func (e *UserAuthorizationCancellationEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("OpenID", &e.OpenID)
	c.str("UnionID", &e.UnionID)
	c.str("AppID", &e.AppID)
	c.str("RevokeInfo", &e.RevokeInfo)
}

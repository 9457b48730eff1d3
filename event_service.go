package echostr

// KfCreateSessionEvent says that a person of the customer service took the
// conversation (接入会话, Event kf_create_session). Do not reply.
type KfCreateSessionEvent struct {
	EventHeader
	KfAccount string // for example "test1@test"
}

func (e *KfCreateSessionEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("KfAccount", &e.KfAccount)
}

// KfCloseSessionEvent says that a person of the customer service ended the
// conversation (关闭会话, Event kf_close_session). Do not reply.
type KfCloseSessionEvent struct {
	EventHeader
	KfAccount string // for example "test1@test"
}

func (e *KfCloseSessionEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("KfAccount", &e.KfAccount)
}

// KfSwitchSessionEvent says that a conversation was handed on (转接会话, Event
// kf_switch_session). Do not reply.
type KfSwitchSessionEvent struct {
	EventHeader
	FromKfAccount string
	ToKfAccount   string
}

func (e *KfSwitchSessionEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("FromKfAccount", &e.FromKfAccount)
	c.str("ToKfAccount", &e.ToKfAccount)
}

// GuideScanEvent says that a user scanned the code of a shopping guide
// (扫顾问二维码, Event guide_qrcode_scan_event). Do not reply.
type GuideScanEvent struct {
	EventHeader
	GuideScan GuideScan
}

func (e *GuideScanEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.object("GuideScanEvent", &e.GuideScan)
}

// GuideScan is what a [GuideScanEvent] reports. In it alone "![CDATA[x]]" as
// plain text, which WeChat's sample has, is read as x: R-EVENT-GUIDE.
type GuideScan struct {
	QRCodeGuideAccount string // WeChat id of the guide
	QRCodeGuideOpenID  string // OpenID of the guide
	OpenID             string // of the user
	Action             int
	QRCodeInfo         string
}

func (s *GuideScan) fields(c *codec) {
	c.unquoted("qrcode_guide_account", &s.QRCodeGuideAccount)
	c.unquoted("qrcode_guide_openid", &s.QRCodeGuideOpenID)
	c.unquoted("openid", &s.OpenID)
	c.int("action", &s.Action)
	c.unquoted("qrcode_info", &s.QRCodeInfo)
}

// GuideInviteEvent says how the invitation of a shopping guide ended
// (顾问邀请结果, Event guide_invite_result_event). Do not reply.
type GuideInviteEvent struct {
	EventHeader
	GuideInvite GuideInvite
}

func (e *GuideInviteEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.object("GuideInviteEvent", &e.GuideInvite)
}

// GuideInvite is what a [GuideInviteEvent] reports.
type GuideInvite struct {
	GuideAccount string // WeChat id of the guide; may be empty
	GuideOpenID  string // OpenID of the guide; may be empty
	InviteResult int
}

func (i *GuideInvite) fields(c *codec) {
	c.str("guide_account", &i.GuideAccount)
	c.str("guide_openid", &i.GuideOpenID)
	c.int("invite_result", &i.InviteResult)
}

// AddGuideBuyerRelationEvent has been seen (Event
// add_guide_buyer_relation_event), but is not documented; read its elements with Field.
type AddGuideBuyerRelationEvent struct{ EventHeader }

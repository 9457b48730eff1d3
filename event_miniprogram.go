package echostr

// Events of Mini Programs (小程序) and of the console that reach an account whose
// URL they share. Only UserEnterTempSessionEvent finds the user in a
// conversation; do not reply to the others.

// UserEnterTempSessionEvent: 进入客服会话 (Event user_enter_tempsession).
type UserEnterTempSessionEvent struct {
	EventHeader
	SessionFrom string // the button's session-from; may be empty
}

func (e *UserEnterTempSessionEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("SessionFrom", &e.SessionFrom)
}

// WeappAuditSuccessEvent: 小程序审核通过 (Event weapp_audit_success).
type WeappAuditSuccessEvent struct {
	EventHeader
	SuccTime int64 // Unix seconds
}

func (e *WeappAuditSuccessEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("SuccTime", &e.SuccTime)
}

// WeappAuditFailEvent: 小程序审核不通过 (Event weapp_audit_fail).
type WeappAuditFailEvent struct {
	EventHeader
	Reason     string // may have several lines and markup
	FailTime   int64  // Unix seconds
	ScreenShot string // media ids, joined by "|"; may be empty
}

func (e *WeappAuditFailEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("Reason", &e.Reason)
	c.int64("FailTime", &e.FailTime)
	c.str("ScreenShot", &e.ScreenShot)
}

// WeappAuditDelayEvent: 小程序审核延后 (Event weapp_audit_delay).
type WeappAuditDelayEvent struct {
	EventHeader
	Reason    string
	DelayTime int64 // Unix seconds
}

func (e *WeappAuditDelayEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("Reason", &e.Reason)
	c.int64("DelayTime", &e.DelayTime)
}

// WxaMediaCheckEvent: 内容安全异步检测结果 (Event wxa_media_check), the verdict on a
// picture or recording. Version 1 has IsRisky and StatusCode, version 2 has Result and Detail.
type WxaMediaCheckEvent struct {
	EventHeader
	AppID         string
	TraceID       string // that the call gave back
	IsRisky       bool
	ExtraInfoJSON string // may be empty
	StatusCode    int64  // 0 is success; 4294966288 the file could not be fetched
	Version       int    // 0 if not given
	// Result and Detail are nil in version 1.
	Result *WxaMediaCheckResult
	Detail []WxaMediaCheckDetail
}

func (e *WxaMediaCheckEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("appid", &e.AppID)
	c.str("trace_id", &e.TraceID)
	c.bool01("isrisky", &e.IsRisky)
	c.str("extra_info_json", &e.ExtraInfoJSON)
	c.int64("status_code", &e.StatusCode)
	c.optInt("version", &e.Version)
	optional(c, "result", &e.Result)
	list(c, &e.Detail, "detail")
}

// WxaMediaCheckResult is the verdict of a [WxaMediaCheckEvent] as a whole.
type WxaMediaCheckResult struct {
	Suggest string // "pass", "review" or "risky"
	Label   int    // 100 is normal
}

func (r *WxaMediaCheckResult) fields(c *codec) {
	c.str("suggest", &r.Suggest)
	c.int("label", &r.Label)
}

// WxaMediaCheckDetail is the verdict of one strategy.
type WxaMediaCheckDetail struct {
	Strategy string
	ErrCode  int    // the rest holds only if it is 0
	Suggest  string // "pass", "review" or "risky"
	Label    int    // 100 is normal
	Prob     int    // confidence, 0 to 100
}

func (d *WxaMediaCheckDetail) fields(c *codec) {
	c.str("strategy", &d.Strategy)
	c.int("errcode", &d.ErrCode)
	c.str("suggest", &d.Suggest)
	c.optInt("label", &d.Label)
	c.optInt("prob", &d.Prob)
}

// WxaNicknameAuditEvent: 小程序名称审核结果 (Event wxa_nickname_audit).
type WxaNicknameAuditEvent struct {
	EventHeader
	Ret      int // 2 failed, 3 passed
	Nickname string
	Reason   string // may be empty
}

func (e *WxaNicknameAuditEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int("ret", &e.Ret)
	c.str("nickname", &e.Nickname)
	c.str("reason", &e.Reason)
}

// WxaPrivacyApplyEvent: 隐私接口申请结果 (Event wxa_privacy_apply).
type WxaPrivacyApplyEvent struct {
	EventHeader
	ResultInfo WxaPrivacyApplyResult
}

func (e *WxaPrivacyApplyEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.object("result_info", &e.ResultInfo)
}

// WxaPrivacyApplyResult is what a [WxaPrivacyApplyEvent] reports.
type WxaPrivacyApplyResult struct {
	APIName   string
	ApplyTime int64 // Unix seconds
	AuditID   int64
	AuditTime int64 // Unix seconds
	Reason    string
	Status    int
}

func (r *WxaPrivacyApplyResult) fields(c *codec) {
	c.str("api_name", &r.APIName)
	c.int64("apply_time", &r.ApplyTime)
	c.int64("audit_id", &r.AuditID)
	c.int64("audit_time", &r.AuditTime)
	c.str("reason", &r.Reason)
	c.int("status", &r.Status)
}

// WxaIllegalRecordEvent: 小程序违规记录 (Event wxa_illegal_record). Read its elements
// with Field.
type WxaIllegalRecordEvent struct{ EventHeader }

// WxaAppealRecordEvent: 小程序申诉记录 (Event wxa_appeal_record). Read its elements
// with Field.
type WxaAppealRecordEvent struct{ EventHeader }

// WxaCategoryAuditEvent: 小程序类目审核结果 (Event wxa_category_audit). Read its
// elements with Field.
type WxaCategoryAuditEvent struct{ EventHeader }

// OpenProductOrderPayEvent: 小商店订单付款 (Event open_product_order_pay). Read its
// elements with Field.
type OpenProductOrderPayEvent struct{ EventHeader }

// DebugDemoEvent is the test push of WeChat's console (Event debug_demo).
type DebugDemoEvent struct {
	EventHeader
	DebugStr string
}

func (e *DebugDemoEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("debug_str", &e.DebugStr)
}

package echostr

// The events of the account's verification (微信认证) concern the account and not
// a user: do not reply. Times are Unix seconds.

// QualificationVerifySuccessEvent: 资质认证成功 (Event qualification_verify_success).
type QualificationVerifySuccessEvent struct {
	EventHeader
	ExpiredTime int64 // Unix seconds
}

func (e *QualificationVerifySuccessEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("ExpiredTime", &e.ExpiredTime)
}

// QualificationVerifyFailEvent: 资质认证失败 (Event qualification_verify_fail).
type QualificationVerifyFailEvent struct {
	EventHeader
	FailTime   int64 // Unix seconds
	FailReason string
}

func (e *QualificationVerifyFailEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("FailTime", &e.FailTime)
	c.str("FailReason", &e.FailReason)
}

// NamingVerifySuccessEvent: 名称认证成功 (Event naming_verify_success).
type NamingVerifySuccessEvent struct {
	EventHeader
	ExpiredTime int64 // Unix seconds
}

func (e *NamingVerifySuccessEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("ExpiredTime", &e.ExpiredTime)
}

// NamingVerifyFailEvent: 名称认证失败 (Event naming_verify_fail).
type NamingVerifyFailEvent struct {
	EventHeader
	FailTime   int64 // Unix seconds
	FailReason string
}

func (e *NamingVerifyFailEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("FailTime", &e.FailTime)
	c.str("FailReason", &e.FailReason)
}

// AnnualRenewEvent: 年审通知 (Event annual_renew), the verification must be renewed.
type AnnualRenewEvent struct {
	EventHeader
	ExpiredTime int64 // Unix seconds
}

func (e *AnnualRenewEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("ExpiredTime", &e.ExpiredTime)
}

// VerifyExpiredEvent: 认证过期失效 (Event verify_expired), the verification has ended.
type VerifyExpiredEvent struct {
	EventHeader
	ExpiredTime int64 // Unix seconds
}

func (e *VerifyExpiredEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("ExpiredTime", &e.ExpiredTime)
}

// WxVerifyPaySuccEvent: 认证支付成功 (Event wx_verify_pay_succ). No elements of its
// own are known.
type WxVerifyPaySuccEvent struct{ EventHeader }

// WxVerifyDispatchEvent: 认证派单 (Event wx_verify_dispatch). No elements of its
// own are known.
type WxVerifyDispatchEvent struct{ EventHeader }

// WxVerifyRefillEvent: 重新填写认证资料 (Event wx_verify_refill).
type WxVerifyRefillEvent struct {
	EventHeader
	RefillTime   int64 // Unix seconds
	RefillReason string
}

func (e *WxVerifyRefillEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("RefillTime", &e.RefillTime)
	c.str("RefillReason", &e.RefillReason)
}

// WxVerifyFailEvent: 认证最终失败 (Event wx_verify_fail).
type WxVerifyFailEvent struct {
	EventHeader
	FailTime   int64 // Unix seconds
	FailReason string
}

func (e *WxVerifyFailEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("FailTime", &e.FailTime)
	c.str("FailReason", &e.FailReason)
}

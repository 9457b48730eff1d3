package echostr

// The events of the shop (微信小店), of invoices (电子发票) and of product scans
// (扫商品). Only UserScanProductEnterSessionEvent finds the user in the
// conversation; do not reply to the others.

// MerchantOrderEvent: 小店订单付款 (Event merchant_order).
type MerchantOrderEvent struct {
	EventHeader
	OrderID     string
	OrderStatus int
	ProductID   string
	SKUInfo     string // for example "10001:1000012;10002:100021"
}

func (e *MerchantOrderEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("OrderId", &e.OrderID)
	c.int("OrderStatus", &e.OrderStatus)
	c.str("ProductId", &e.ProductID)
	c.str("SkuInfo", &e.SKUInfo)
}

// UserAuthorizeInvoiceEvent: 用户授权开票 (Event user_authorize_invoice).
type UserAuthorizeInvoiceEvent struct {
	EventHeader
	SuccOrderID    string // order that was authorised; empty if it failed
	FailOrderID    string // order that was not; empty if it succeeded
	AuthorizeAppID string // newer pushes
	AppID          string // older pushes, instead of AuthorizeAppID
	Source         string // "web", "app", "wxa", ...; may be empty
}

func (e *UserAuthorizeInvoiceEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("SuccOrderId", &e.SuccOrderID)
	c.str("FailOrderId", &e.FailOrderID)
	c.str("AuthorizeAppId", &e.AuthorizeAppID)
	c.str("AppId", &e.AppID)
	c.str("Source", &e.Source)
}

// UpdateInvoiceStatusEvent: 发票状态更新 (Event update_invoice_status).
type UpdateInvoiceStatusEvent struct {
	EventHeader
	Status string // for example INVOICE_REIMBURSE_INIT
	CardID string
	Code   string // of the invoice
}

func (e *UpdateInvoiceStatusEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("Status", &e.Status)
	c.str("CardId", &e.CardID)
	c.str("Code", &e.Code)
}

// SubmitInvoiceTitleEvent: 用户提交发票抬头 (Event submit_invoice_title). All but
// Title may be empty.
type SubmitInvoiceTitleEvent struct {
	EventHeader
	Title     string // 抬头
	Phone     string
	TaxNo     string // 税号
	Addr      string
	BankType  string
	BankNo    string
	Attach    string // what the account gave with the request
	TitleType string // InvoiceUserTitlePersonType or InvoiceUserTitleBusinessType
}

func (e *SubmitInvoiceTitleEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("title", &e.Title)
	c.str("phone", &e.Phone)
	c.str("tax_no", &e.TaxNo)
	c.str("addr", &e.Addr)
	c.str("bank_type", &e.BankType)
	c.str("bank_no", &e.BankNo)
	c.str("attach", &e.Attach)
	c.str("title_type", &e.TitleType)
}

// CloudInvoiceResultEvent: 电子发票开票结果 (Event cloud_invoice_invoiceresult_event).
// There may be more elements; read them with Field.
type CloudInvoiceResultEvent struct {
	EventHeader
	FPQQLSH string // 发票请求流水号, number of the request
	Status  int
	NSRSBH  string // 纳税人识别号, taxpayer's number
}

func (e *CloudInvoiceResultEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("fpqqlsh", &e.FPQQLSH)
	c.int("status", &e.Status)
	c.str("nsrsbh", &e.NSRSBH)
}

// UserScanProductEvent: 打开商品主页 (Event user_scan_product).
type UserScanProductEvent struct {
	EventHeader
	KeyStandard string // "ean13", "qrcode", ...
	KeyStr      string // what the code says
	Country     string
	Province    string
	City        string
	Sex         int    // 1 male, 2 female, 0 unknown
	Scene       int    // 1 scanned, 2 opened from a share, ...
	ExtInfo     string // what the account put into the code; may be empty
}

func (e *UserScanProductEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("KeyStandard", &e.KeyStandard)
	c.str("KeyStr", &e.KeyStr)
	c.str("Country", &e.Country)
	c.str("Province", &e.Province)
	c.str("City", &e.City)
	c.int("Sex", &e.Sex)
	c.int("Scene", &e.Scene)
	c.str("ExtInfo", &e.ExtInfo)
}

// UserScanProductEnterSessionEvent: 从商品主页进入公众号会话 (Event
// user_scan_product_enter_session). The user is in the conversation: a reply is seen.
type UserScanProductEnterSessionEvent struct {
	EventHeader
	KeyStandard string // "ean13", "qrcode", ...
	KeyStr      string // what the code says
	ExtInfo     string // may be empty
}

func (e *UserScanProductEnterSessionEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("KeyStandard", &e.KeyStandard)
	c.str("KeyStr", &e.KeyStr)
	c.str("ExtInfo", &e.ExtInfo)
}

// UserScanProductAsyncEvent: 地理位置信息异步推送 (Event user_scan_product_async).
type UserScanProductAsyncEvent struct {
	EventHeader
	KeyStandard string // "ean13", "qrcode", ...
	KeyStr      string // what the code says
	ExtInfo     string // may be empty
	RegionCode  string // administrative division (行政区划代码) of the user
}

func (e *UserScanProductAsyncEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("KeyStandard", &e.KeyStandard)
	c.str("KeyStr", &e.KeyStr)
	c.str("ExtInfo", &e.ExtInfo)
	c.str("RegionCode", &e.RegionCode)
}

// UserScanProductVerifyActionEvent: 商品审核结果 (Event user_scan_product_verify_action).
type UserScanProductVerifyActionEvent struct {
	EventHeader
	KeyStandard string // "ean13", "qrcode", ...
	KeyStr      string // what the code says
	Result      string // "verify_ok" or "verify_not_pass"
	ReasonMsg   string // may be empty
}

func (e *UserScanProductVerifyActionEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("KeyStandard", &e.KeyStandard)
	c.str("KeyStr", &e.KeyStr)
	c.str("Result", &e.Result)
	c.str("ReasonMsg", &e.ReasonMsg)
}

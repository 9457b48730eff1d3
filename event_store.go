package echostr

// The events of stores (门店), Wi-Fi (微信连Wi-Fi) and beacons (摇一摇周边),
// mostly retired products. Do not reply.

// PoiCheckNotifyEvent: 门店审核结果 (Event poi_check_notify).
type PoiCheckNotifyEvent struct {
	EventHeader
	UniqID string // the merchant's own id of the store
	PoiID  string // WeChat's id of the store
	Result string // "succ" or "fail"
	Msg    string // why it failed; may be empty
}

func (e *PoiCheckNotifyEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("UniqId", &e.UniqID)
	c.str("PoiId", &e.PoiID)
	c.str("Result", &e.Result)
	c.str("Msg", &e.Msg)
}

// ApplyMerchantAuditInfoEvent: 门店小程序创建审核结果 (Event apply_merchant_audit_info).
type ApplyMerchantAuditInfoEvent struct {
	EventHeader
	AuditID int64
	Status  int // 1 passed, 2 pending, 3 failed
	Reason  string
}

func (e *ApplyMerchantAuditInfoEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("audit_id", &e.AuditID)
	c.int("status", &e.Status)
	c.str("reason", &e.Reason)
}

// CreateMapPoiAuditInfoEvent: 腾讯地图中创建门店的审核结果 (Event create_map_poi_audit_info).
type CreateMapPoiAuditInfoEvent struct {
	EventHeader
	AuditID   int64
	Status    int // 1 passed, 2 pending, 3 failed
	MapPoiID  string
	Name      string
	Address   string
	Latitude  float64 // in degrees
	Longitude float64 // in degrees
	SHRemark  string  // remark of the auditor; may be empty
}

func (e *CreateMapPoiAuditInfoEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("audit_id", &e.AuditID)
	c.int("status", &e.Status)
	c.str("map_poi_id", &e.MapPoiID)
	c.str("name", &e.Name)
	c.str("address", &e.Address)
	c.float("latitude", &e.Latitude)
	c.float("longitude", &e.Longitude)
	c.str("sh_remark", &e.SHRemark)
}

// AddStoreAuditInfoEvent: 添加门店审核结果 (Event add_store_audit_info).
type AddStoreAuditInfoEvent struct {
	EventHeader
	AuditID   int64
	Status    int // 1 passed, 2 pending, 3 failed
	Reason    string
	IsUpgrade int
	PoiID     string
}

func (e *AddStoreAuditInfoEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("audit_id", &e.AuditID)
	c.int("status", &e.Status)
	c.str("reason", &e.Reason)
	c.int("is_upgrade", &e.IsUpgrade)
	c.str("poiid", &e.PoiID)
}

// ModifyStoreAuditInfoEvent: 修改门店图片审核结果 (Event modify_store_audit_info).
type ModifyStoreAuditInfoEvent struct {
	EventHeader
	AuditID int64
	Status  int // 1 passed, 2 pending, 3 failed
	Reason  string
}

func (e *ModifyStoreAuditInfoEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("audit_id", &e.AuditID)
	c.int("status", &e.Status)
	c.str("reason", &e.Reason)
}

// WifiConnectedEvent: 连网成功 (Event WifiConnected).
type WifiConnectedEvent struct {
	EventHeader
	ConnectTime int64  // Unix seconds
	ExpireTime  int64  // Unix seconds; 0 as far as known
	VendorID    string // the account
	PlaceID     string // WeChat's id of the store
	DeviceNo    string // BSSID of the access point
}

func (e *WifiConnectedEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("ConnectTime", &e.ConnectTime)
	c.int64("ExpireTime", &e.ExpireTime)
	c.str("VendorId", &e.VendorID)
	c.str("PlaceId", &e.PlaceID)
	c.str("DeviceNo", &e.DeviceNo)
}

// Beacon is a beacon (iBeacon) that a phone heard.
type Beacon struct {
	UUID     string
	Major    string  // a number, but kept as text: samples have words
	Minor    string  // a number, but kept as text: samples have words
	Distance float64 // in metres
}

func (b *Beacon) fields(c *codec) {
	c.str("Uuid", &b.UUID)
	c.str("Major", &b.Major)
	c.str("Minor", &b.Minor)
	c.float("Distance", &b.Distance)
}

// ShakearoundUserShakeEvent: 摇一摇 (Event ShakearoundUserShake), the user shook the
// phone near beacons.
type ShakearoundUserShakeEvent struct {
	EventHeader
	ChosenBeacon  Beacon
	AroundBeacons []Beacon
}

func (e *ShakearoundUserShakeEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.object("ChosenBeacon", &e.ChosenBeacon)
	list(c, &e.AroundBeacons, "AroundBeacons", "AroundBeacon")
}

// ShakearoundLotteryBindEvent: 摇一摇红包绑定用户 (Event ShakearoundLotteryBind).
type ShakearoundLotteryBindEvent struct {
	EventHeader
	LotteryID string
	Ticket    string
	Money     int64 // in fen (分)
	BindTime  int64 // Unix seconds
}

func (e *ShakearoundLotteryBindEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("LotteryId", &e.LotteryID)
	c.str("Ticket", &e.Ticket)
	c.int64("Money", &e.Money)
	c.int64("BindTime", &e.BindTime)
}

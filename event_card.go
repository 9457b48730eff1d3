package echostr

// The events of cards (卡券). Only UserEnterSessionFromCardEvent finds the user
// in the conversation; do not reply to the others.

// CardPassCheckEvent: 卡券审核通过 (Event card_pass_check).
type CardPassCheckEvent struct {
	EventHeader
	CardID       string
	RefuseReason string // WeChat's sample has it here too; may be empty
}

func (e *CardPassCheckEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("RefuseReason", &e.RefuseReason)
}

// CardNotPassCheckEvent: 卡券审核不通过 (Event card_not_pass_check).
type CardNotPassCheckEvent struct {
	EventHeader
	CardID       string
	RefuseReason string
}

func (e *CardNotPassCheckEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("RefuseReason", &e.RefuseReason)
}

// CardMerchantCheckResultEvent: 子商户审核结果 (Event card_merchant_check_result).
type CardMerchantCheckResultEvent struct {
	EventHeader
	MerchantID string
	IsPass     bool
	Reason     string // may be empty
}

func (e *CardMerchantCheckResultEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("MerchantId", &e.MerchantID)
	c.bool01("IsPass", &e.IsPass)
	c.str("Reason", &e.Reason)
}

// UserGetCardEvent: 领取卡券 (Event user_get_card).
type UserGetCardEvent struct {
	EventHeader
	CardID              string
	IsGiveByFriend      bool
	UserCardCode        string
	FriendUserName      string // OpenID of the friend; empty unless given by one
	OuterID             string // old form of OuterStr; digits
	OldUserCardCode     string // code before it was given on; may be empty
	OuterStr            string // scene of the code or link the card came from
	IsRestoreMemberCard bool
	IsRecommendByFriend bool
	UnionID             string // may be empty
}

func (e *UserGetCardEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.bool01("IsGiveByFriend", &e.IsGiveByFriend)
	c.str("UserCardCode", &e.UserCardCode)
	c.str("FriendUserName", &e.FriendUserName)
	c.str("OuterId", &e.OuterID)
	c.str("OldUserCardCode", &e.OldUserCardCode)
	c.str("OuterStr", &e.OuterStr)
	c.bool01("IsRestoreMemberCard", &e.IsRestoreMemberCard)
	c.bool01("IsRecommendByFriend", &e.IsRecommendByFriend)
	c.str("UnionId", &e.UnionID)
}

// UserGiftingCardEvent: 转赠卡券 (Event user_gifting_card).
type UserGiftingCardEvent struct {
	EventHeader
	CardID         string
	UserCardCode   string
	IsReturnBack   bool   // the card came back, since nobody took it
	FriendUserName string // OpenID of the friend; may be empty
	IsChatRoom     bool   // given to a group
}

func (e *UserGiftingCardEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("UserCardCode", &e.UserCardCode)
	c.bool01("IsReturnBack", &e.IsReturnBack)
	c.str("FriendUserName", &e.FriendUserName)
	c.bool01("IsChatRoom", &e.IsChatRoom)
}

// UserDelCardEvent: 删除卡券 (Event user_del_card).
type UserDelCardEvent struct {
	EventHeader
	CardID       string
	UserCardCode string
}

func (e *UserDelCardEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("UserCardCode", &e.UserCardCode)
}

// UserConsumeCardEvent: 核销卡券 (Event user_consume_card).
type UserConsumeCardEvent struct {
	EventHeader
	CardID        string
	UserCardCode  string
	ConsumeSource string // FROM_API, FROM_MP, FROM_MOBILE_HELPER; old pushes have it in parentheses
	LocationName  string // store; may be empty
	StaffOpenID   string // who redeemed it; may be empty
	VerifyCode    string // of self-service; may be empty
	RemarkAmount  string // of self-service; may be empty
	OuterStr      string // scene given by the developer; may be empty
}

func (e *UserConsumeCardEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("UserCardCode", &e.UserCardCode)
	c.str("ConsumeSource", &e.ConsumeSource)
	c.str("LocationName", &e.LocationName)
	c.str("StaffOpenId", &e.StaffOpenID)
	c.str("VerifyCode", &e.VerifyCode)
	c.str("RemarkAmount", &e.RemarkAmount)
	c.str("OuterStr", &e.OuterStr)
}

// UserPayFromPayCellEvent: 买单 (Event user_pay_from_pay_cell).
type UserPayFromPayCellEvent struct {
	EventHeader
	CardID       string
	UserCardCode string
	TransID      string // number of the payment
	LocationID   string // store
	Fee          int64  // paid, in fen (分)
	OriginalFee  int64  // before the discount, in fen (分)
}

func (e *UserPayFromPayCellEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("UserCardCode", &e.UserCardCode)
	c.str("TransId", &e.TransID)
	c.str("LocationId", &e.LocationID)
	c.int64("Fee", &e.Fee)
	c.int64("OriginalFee", &e.OriginalFee)
}

// UserViewCardEvent: 进入会员卡 (Event user_view_card).
type UserViewCardEvent struct {
	EventHeader
	CardID       string
	UserCardCode string
	OuterStr     string // scene given by the developer; may be empty
}

func (e *UserViewCardEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("UserCardCode", &e.UserCardCode)
	c.str("OuterStr", &e.OuterStr)
}

// UserEnterSessionFromCardEvent: 从卡券进入公众号会话 (Event
// user_enter_session_from_card). The user is in the conversation: a reply is seen.
type UserEnterSessionFromCardEvent struct {
	EventHeader
	CardID       string
	UserCardCode string
}

func (e *UserEnterSessionFromCardEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("UserCardCode", &e.UserCardCode)
}

// UpdateMemberCardEvent: 会员卡内容更新 (Event update_member_card).
type UpdateMemberCardEvent struct {
	EventHeader
	CardID        string
	UserCardCode  string
	ModifyBonus   int64 // change of points (积分)
	ModifyBalance int64 // change of the balance (余额)
}

func (e *UpdateMemberCardEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("UserCardCode", &e.UserCardCode)
	c.int64("ModifyBonus", &e.ModifyBonus)
	c.int64("ModifyBalance", &e.ModifyBalance)
}

// CardSKURemindEvent: 库存报警 (Event card_sku_remind).
type CardSKURemindEvent struct {
	EventHeader
	CardID string
	Detail string
}

func (e *CardSKURemindEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("Detail", &e.Detail)
}

// CardPayOrderEvent: 券点流水详情 (Event card_pay_order), an order of card points.
// Counts are in points (券点).
type CardPayOrderEvent struct {
	EventHeader
	OrderID             string
	Status              string // ORDER_STATUS_WAITING, ORDER_STATUS_SUCC, ORDER_STATUS_FINANCE_SUCC, ...
	CreateOrderTime     int64  // Unix seconds
	PayFinishTime       int64  // Unix seconds; 0 if not paid
	Desc                string // may be empty
	FreeCoinCount       int64
	PayCoinCount        int64
	RefundFreeCoinCount int64
	RefundPayCoinCount  int64
	OrderType           string // ORDER_TYPE_SYS_ADD, ORDER_TYPE_WXPAY
	Memo                string // may be empty
	ReceiptInfo         string // may be empty
}

func (e *CardPayOrderEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("OrderId", &e.OrderID)
	c.str("Status", &e.Status)
	c.int64("CreateOrderTime", &e.CreateOrderTime)
	c.int64("PayFinishTime", &e.PayFinishTime)
	c.str("Desc", &e.Desc)
	c.int64("FreeCoinCount", &e.FreeCoinCount)
	c.int64("PayCoinCount", &e.PayCoinCount)
	c.int64("RefundFreeCoinCount", &e.RefundFreeCoinCount)
	c.int64("RefundPayCoinCount", &e.RefundPayCoinCount)
	c.str("OrderType", &e.OrderType)
	c.str("Memo", &e.Memo)
	c.str("ReceiptInfo", &e.ReceiptInfo)
}

// SubmitMemberCardUserInfoEvent: 会员卡激活 (Event submit_membercard_user_info).
type SubmitMemberCardUserInfoEvent struct {
	EventHeader
	CardID       string
	UserCardCode string
}

func (e *SubmitMemberCardUserInfoEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("CardId", &e.CardID)
	c.str("UserCardCode", &e.UserCardCode)
}

// GiftCardPayDoneEvent: 礼品卡付款 (Event giftcard_pay_done).
type GiftCardPayDoneEvent struct {
	EventHeader
	PageID  string
	OrderID string
}

func (e *GiftCardPayDoneEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("PageId", &e.PageID)
	c.str("OrderId", &e.OrderID)
}

// GiftCardSendToFriendEvent: 礼品卡赠送 (Event giftcard_send_to_friend).
type GiftCardSendToFriendEvent struct {
	EventHeader
	PageID       string
	OrderID      string
	IsChatRoom   bool // given to a group
	IsReturnBack bool // the card came back, since nobody took it
}

func (e *GiftCardSendToFriendEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("PageId", &e.PageID)
	c.str("OrderId", &e.OrderID)
	c.boolWord("IsChatRoom", &e.IsChatRoom)
	c.boolWord("IsReturnBack", &e.IsReturnBack)
}

// GiftCardUserAcceptEvent: 礼品卡领取 (Event giftcard_user_accept).
type GiftCardUserAcceptEvent struct {
	EventHeader
	PageID     string
	OrderID    string
	IsChatRoom bool // given to a group
}

func (e *GiftCardUserAcceptEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.str("PageId", &e.PageID)
	c.str("OrderId", &e.OrderID)
	c.boolWord("IsChatRoom", &e.IsChatRoom)
}

package echostr

// eventTypes makes the Go type of an event, by its name in small letters:
// R-EVENT-NAME. A type that several names share is told apart by EventHeader.Event.
var eventTypes = map[string]func() Message{
	// Users: event_user.go, R-EVENT-USER
	"subscribe":                       alloc[SubscribeEvent],
	"unsubscribe":                     alloc[UnsubscribeEvent],
	"scan":                            alloc[ScanEvent],
	"enter":                           alloc[EnterEvent],
	"location":                        alloc[LocationEvent],
	"user_info_modified":              alloc[UserInfoModifiedEvent],
	"user_authorization_revoke":       alloc[UserAuthorizationRevokeEvent],
	"user_authorization_cancellation": alloc[UserAuthorizationCancellationEvent],

	// Menus: event_menu.go, R-EVENT-MENU
	"click":              alloc[ClickEvent],
	"view":               alloc[ViewEvent],
	"view_miniprogram":   alloc[ViewMiniProgramEvent],
	"scancode_push":      alloc[ScanCodePushEvent],
	"scancode_waitmsg":   alloc[ScanCodeWaitMsgEvent],
	"pic_sysphoto":       alloc[PicSysPhotoEvent],
	"pic_photo_or_album": alloc[PicPhotoOrAlbumEvent],
	"pic_weixin":         alloc[PicWeixinEvent],
	"location_select":    alloc[LocationSelectEvent],
	// Buttons that are said to cause no push; if one comes, it is a click.
	"media_id":             alloc[ClickEvent],
	"view_limited":         alloc[ClickEvent],
	"article_id":           alloc[ClickEvent],
	"article_view_limited": alloc[ClickEvent],

	// Jobs and notices that the account sent: event_job.go, R-EVENT-JOB
	"templatesendjobfinish":      alloc[TemplateSendJobFinishEvent],
	"masssendjobfinish":          alloc[MassSendJobFinishEvent],
	"publishjobfinish":           alloc[PublishJobFinishEvent],
	"subscribe_msg_popup_event":  alloc[SubscribeMsgPopupEvent],
	"subscribe_msg_change_event": alloc[SubscribeMsgChangeEvent],
	"subscribe_msg_sent_event":   alloc[SubscribeMsgSentEvent],

	// People at work: event_service.go, R-EVENT-SERVICE
	"kf_create_session":              alloc[KfCreateSessionEvent],
	"kf_close_session":               alloc[KfCloseSessionEvent],
	"kf_switch_session":              alloc[KfSwitchSessionEvent],
	"guide_qrcode_scan_event":        alloc[GuideScanEvent],
	"guide_invite_result_event":      alloc[GuideInviteEvent],
	"add_guide_buyer_relation_event": alloc[AddGuideBuyerRelationEvent],

	// Verification of the account: event_verify.go, R-EVENT-VERIFY
	"qualification_verify_success": alloc[QualificationVerifySuccessEvent],
	"qualification_verify_fail":    alloc[QualificationVerifyFailEvent],
	"naming_verify_success":        alloc[NamingVerifySuccessEvent],
	"naming_verify_fail":           alloc[NamingVerifyFailEvent],
	"annual_renew":                 alloc[AnnualRenewEvent],
	"verify_expired":               alloc[VerifyExpiredEvent],
	"wx_verify_pay_succ":           alloc[WxVerifyPaySuccEvent],
	"wx_verify_dispatch":           alloc[WxVerifyDispatchEvent],
	"wx_verify_refill":             alloc[WxVerifyRefillEvent],
	"wx_verify_fail":               alloc[WxVerifyFailEvent],

	// Cards: event_card.go, R-EVENT-CARD
	"card_pass_check":              alloc[CardPassCheckEvent],
	"card_not_pass_check":          alloc[CardNotPassCheckEvent],
	"card_merchant_check_result":   alloc[CardMerchantCheckResultEvent],
	"user_get_card":                alloc[UserGetCardEvent],
	"user_gifting_card":            alloc[UserGiftingCardEvent],
	"user_del_card":                alloc[UserDelCardEvent],
	"user_consume_card":            alloc[UserConsumeCardEvent],
	"user_pay_from_pay_cell":       alloc[UserPayFromPayCellEvent],
	"user_view_card":               alloc[UserViewCardEvent],
	"user_enter_session_from_card": alloc[UserEnterSessionFromCardEvent],
	"update_member_card":           alloc[UpdateMemberCardEvent],
	"card_sku_remind":              alloc[CardSKURemindEvent],
	"card_pay_order":               alloc[CardPayOrderEvent],
	"submit_membercard_user_info":  alloc[SubmitMemberCardUserInfoEvent],
	"giftcard_pay_done":            alloc[GiftCardPayDoneEvent],
	"giftcard_send_to_friend":      alloc[GiftCardSendToFriendEvent],
	"giftcard_user_accept":         alloc[GiftCardUserAcceptEvent],

	// Stores, Wi-Fi, beacons: event_store.go, R-EVENT-STORE
	"poi_check_notify":          alloc[PoiCheckNotifyEvent],
	"apply_merchant_audit_info": alloc[ApplyMerchantAuditInfoEvent],
	"create_map_poi_audit_info": alloc[CreateMapPoiAuditInfoEvent],
	"add_store_audit_info":      alloc[AddStoreAuditInfoEvent],
	"modify_store_audit_info":   alloc[ModifyStoreAuditInfoEvent],
	"wificonnected":             alloc[WifiConnectedEvent],
	"shakearoundusershake":      alloc[ShakearoundUserShakeEvent],
	"shakearoundlotterybind":    alloc[ShakearoundLotteryBindEvent],

	// The shop, invoices, products: event_shop.go, R-EVENT-SHOP
	"merchant_order":                    alloc[MerchantOrderEvent],
	"user_authorize_invoice":            alloc[UserAuthorizeInvoiceEvent],
	"update_invoice_status":             alloc[UpdateInvoiceStatusEvent],
	"submit_invoice_title":              alloc[SubmitInvoiceTitleEvent],
	"cloud_invoice_invoiceresult_event": alloc[CloudInvoiceResultEvent],
	"user_scan_product":                 alloc[UserScanProductEvent],
	"user_scan_product_enter_session":   alloc[UserScanProductEnterSessionEvent],
	"user_scan_product_async":           alloc[UserScanProductAsyncEvent],
	"user_scan_product_verify_action":   alloc[UserScanProductVerifyActionEvent],

	// Mini Programs and tests at the same URL: event_miniprogram.go, R-EVENT-MINIPROGRAM
	"user_enter_tempsession": alloc[UserEnterTempSessionEvent],
	"weapp_audit_success":    alloc[WeappAuditSuccessEvent],
	"weapp_audit_fail":       alloc[WeappAuditFailEvent],
	"weapp_audit_delay":      alloc[WeappAuditDelayEvent],
	"wxa_media_check":        alloc[WxaMediaCheckEvent],
	"wxa_nickname_audit":     alloc[WxaNicknameAuditEvent],
	"wxa_privacy_apply":      alloc[WxaPrivacyApplyEvent],
	"wxa_illegal_record":     alloc[WxaIllegalRecordEvent],
	"wxa_appeal_record":      alloc[WxaAppealRecordEvent],
	"wxa_category_audit":     alloc[WxaCategoryAuditEvent],
	"open_product_order_pay": alloc[OpenProductOrderPayEvent],
	"debug_demo":             alloc[DebugDemoEvent],
}

// fields makes a type that has only what every event has a [Message].
func (h *EventHeader) fields(c *codec) { c.event(h) }

// UnknownEvent is an event that this package does not know. Read its elements
// with Field.
type UnknownEvent struct {
	EventHeader
	EventKey string // may be empty
}

func (e *UnknownEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.eventKey(&e.EventKey)
	c.rest(e.raw, "Event", "EventKey")
}

func (e *UnknownEvent) eventKey() string { return e.EventKey }

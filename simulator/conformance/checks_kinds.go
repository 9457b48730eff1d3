package conformance

import (
	"context"
	"strings"
)

// kind is a message or an event as WeChat sends it.
type kind struct {
	name   string // of the check
	term   string
	msg    string // MsgType, if it is not the name
	event  string // Event, if it is not the name
	legacy bool   // it belongs to a service that has ended, or that few accounts have
	rest   string // the elements behind MsgType or Event, on one line
}

func kindChecks(kinds []kind, template string, rule string, title func(kind) Text) []Check {
	var checks []Check
	for _, k := range kinds {
		level := Fail
		if k.legacy {
			level = Advice
		}
		document := strings.NewReplacer("{type}", orName(k.msg, k.name), "{event}", orName(k.event, k.name), "{rest}", k.rest).Replace(template)
		checks = append(checks, Check{
			Name: k.name, Level: level, Rule: rule, Title: title(k),
			run: func(ctx context.Context, p *probe) finding {
				return p.accepted(ctx, p.raw(document, word()))
			},
		})
	}
	return checks
}

func orName(s, name string) string {
	if s == "" {
		return name
	}
	return s
}

func messageChecks() []Check {
	const template = "<xml>" + toLine + "\n" + fromLine + "\n" + timeLine + "\n<MsgType><![CDATA[{type}]]></MsgType>\n{rest}\n" + idLine + "\n</xml>"
	checks := kindChecks([]kind{
		{name: "text", term: "文本消息", rest: "<Content><![CDATA[{text}]]></Content>"},
		{name: "text-long", term: "长文本", msg: "text", rest: "<Content><![CDATA[" + strings.Repeat("长", 600) + "]]></Content>"},
		{name: "text-menu", term: "点击菜单消息的选项 bizmsgmenu", msg: "text", rest: "<Content><![CDATA[{text}]]></Content><bizmsgmenuid><![CDATA[101]]></bizmsgmenuid>"},
		{name: "text-article", term: "从文章里发来的文本", msg: "text", rest: "<Content><![CDATA[{text}]]></Content><MsgDataId>2247483650</MsgDataId><Idx>1</Idx>"},
		{name: "image", term: "图片消息", rest: "<PicUrl><![CDATA[http://mmbiz.qpic.cn/mmbiz_jpg/check/0]]></PicUrl><MediaId><![CDATA[check_media_id]]></MediaId>"},
		{name: "voice", term: "语音消息", rest: "<MediaId><![CDATA[check_media_id]]></MediaId><Format><![CDATA[amr]]></Format>"},
		{name: "voice-empty", term: "语音消息，识别结果为空", msg: "voice", rest: "<MediaId><![CDATA[check_media_id]]></MediaId><Format><![CDATA[amr]]></Format><Recognition><![CDATA[]]></Recognition><MediaId16K><![CDATA[check_media_id_16k]]></MediaId16K>"},
		{name: "voice-recognised", term: "语音消息，有识别结果", msg: "voice", rest: "<MediaId><![CDATA[check_media_id]]></MediaId><Format><![CDATA[amr]]></Format><Recognition><![CDATA[今天天气怎么样。]]></Recognition>"},
		{name: "video", term: "视频消息", rest: "<MediaId><![CDATA[check_media_id]]></MediaId><ThumbMediaId><![CDATA[check_thumb]]></ThumbMediaId>"},
		{name: "shortvideo", term: "小视频消息", rest: "<MediaId><![CDATA[check_media_id]]></MediaId><ThumbMediaId><![CDATA[check_thumb]]></ThumbMediaId>"},
		{name: "location", term: "地理位置消息", rest: "<Location_X>39.908720</Location_X><Location_Y>116.397480</Location_Y><Scale>15</Scale><Label><![CDATA[北京市东城区]]></Label>"},
		{name: "link", term: "链接消息", rest: "<Title><![CDATA[标题]]></Title><Description><![CDATA[]]></Description><Url><![CDATA[https://example.com/?a=1&b=2]]></Url>"},
		{name: "file", term: "文件消息", rest: "<Title><![CDATA[report.pdf]]></Title><Description><![CDATA[2.5 KB]]></Description><FileKey><![CDATA[check]]></FileKey><FileMd5><![CDATA[0123456789abcdef0123456789abcdef]]></FileMd5><FileTotalLen>2515</FileTotalLen>"},
		{name: "miniprogrampage", term: "小程序卡片消息", legacy: true, rest: "<Title><![CDATA[标题]]></Title><AppId><![CDATA[wx0123456789abcdef]]></AppId><PagePath><![CDATA[pages/index/index]]></PagePath><ThumbUrl><![CDATA[https://example.com/t.jpg]]></ThumbUrl><ThumbMediaId><![CDATA[check_thumb]]></ThumbMediaId>"},
		{name: "device_text", term: "微信硬件，设备消息", legacy: true, rest: "<DeviceType><![CDATA[{to}]]></DeviceType><DeviceID><![CDATA[123456]]></DeviceID><Content><![CDATA[aGVsbG8=]]></Content><SessionID>9394</SessionID><OpenID><![CDATA[{from}]]></OpenID>"},
		{name: "device_event", term: "微信硬件，设备事件", legacy: true, rest: "<Event><![CDATA[bind]]></Event><DeviceType><![CDATA[{to}]]></DeviceType><DeviceID><![CDATA[123456]]></DeviceID><OpType>0</OpType><Content><![CDATA[aGVsbG8=]]></Content><SessionID>9394</SessionID><OpenID><![CDATA[{from}]]></OpenID>"},
	}, template, "R-MSG-ORDINARY", func(k kind) Text {
		return sayf("%s (%s)", "%s（%s）", k.name, k.term)
	})
	unknown := kindChecks([]kind{{name: "unknown-type", msg: "echostr_check_type", rest: "<Whatever><A>1</A><A>2</A></Whatever>"}}, template, "R-MSG-TYPE", func(kind) Text {
		return say("a MsgType that is not known", "不认识的 MsgType")
	})
	for i := range checks {
		if strings.HasPrefix(checks[i].Name, "voice") {
			checks[i].Rule = "R-MSG-VOICE"
		}
	}
	return append(checks, unknown...)
}

func eventChecks() []Check {
	const template = "<xml>" + toLine + "\n" + fromLine + "\n" + timeLine + "\n<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[{event}]]></Event>\n{rest}\n</xml>"
	const card = "<CardId><![CDATA[pCheckCard0000000000000000000]]></CardId><UserCardCode><![CDATA[226009850808]]></UserCardCode>"
	const scan = "<EventKey><![CDATA[check]]></EventKey><ScanCodeInfo><ScanType><![CDATA[qrcode]]></ScanType><ScanResult><![CDATA[https://example.com/?a=1&b=2]]></ScanResult></ScanCodeInfo>"
	const pictures = "<EventKey><![CDATA[check]]></EventKey><SendPicsInfo><Count>1</Count><PicList><item><PicMd5Sum><![CDATA[5a75aaca956d97be686719218f275c6b]]></PicMd5Sum></item></PicList></SendPicsInfo>"
	events := []kind{
		{name: "subscribe", term: "关注，EventKey 为空", rest: "<EventKey><![CDATA[]]></EventKey>"},
		{name: "subscribe-bare", term: "关注，没有 EventKey", event: "subscribe"},
		{name: "subscribe-scene", term: "扫带参数二维码关注", event: "subscribe", rest: "<EventKey><![CDATA[qrscene_check_1]]></EventKey><Ticket><![CDATA[gQEcheck==]]></Ticket>"},
		{name: "subscribe-payment", term: "支付后关注，EventKey 是 last_trade_no_", event: "subscribe", rest: "<EventKey><![CDATA[last_trade_no_4200000000]]></EventKey>"},
		{name: "unsubscribe", term: "取消关注", rest: "<EventKey><![CDATA[]]></EventKey>"},
		{name: "SCAN", term: "已关注用户扫带参数二维码", rest: "<EventKey><![CDATA[123123]]></EventKey><Ticket><![CDATA[gQEcheck==]]></Ticket>"},
		{name: "scan-lower-case", term: "SCAN 的小写形式", event: "scan", rest: "<EventKey><![CDATA[123123]]></EventKey><Ticket><![CDATA[gQEcheck==]]></Ticket>"},
		{name: "LOCATION", term: "上报地理位置", rest: "<Latitude>23.137466</Latitude><Longitude>113.352425</Longitude><Precision>119.385040</Precision>"},
		{name: "CLICK", term: "菜单：点击", rest: "<EventKey><![CDATA[echostr_check]]></EventKey>"},
		{name: "VIEW", term: "菜单：跳转网页", rest: "<EventKey><![CDATA[https://example.com/?a=1&b=2]]></EventKey><MenuId>204025</MenuId>"},
		{name: "view_miniprogram", term: "菜单：跳转小程序", rest: "<EventKey><![CDATA[pages/index/index]]></EventKey><MenuId>204025</MenuId>"},
		{name: "scancode_push", term: "菜单：扫码推事件", rest: scan},
		{name: "scancode_waitmsg", term: "菜单：扫码且等待消息", rest: scan},
		{name: "pic_sysphoto", term: "菜单：系统拍照", rest: pictures},
		{name: "pic_photo_or_album", term: "菜单：拍照或相册", rest: pictures},
		{name: "pic_weixin", term: "菜单：微信相册", rest: pictures},
		{name: "location_select", term: "菜单：选择地理位置", rest: "<EventKey><![CDATA[check]]></EventKey><SendLocationInfo><Location_X><![CDATA[23]]></Location_X><Location_Y><![CDATA[113]]></Location_Y><Scale><![CDATA[15]]></Scale><Label><![CDATA[ 广州市海珠区]]></Label><Poiname><![CDATA[]]></Poiname></SendLocationInfo>"},
		{name: "TEMPLATESENDJOBFINISH", term: "模板消息送达", rest: "<MsgID>200163836</MsgID><Status><![CDATA[success]]></Status>"},
		{name: "MASSSENDJOBFINISH", term: "群发结果", rest: "<MsgID>1000001625</MsgID><Status><![CDATA[send success]]></Status><TotalCount>10</TotalCount><FilterCount>8</FilterCount><SentCount>8</SentCount><ErrorCount>0</ErrorCount><CopyrightCheckResult><Count>0</Count><ResultList></ResultList><CheckState>1</CheckState></CopyrightCheckResult><ArticleUrlResult><Count>1</Count><ResultList><item><ArticleIdx>1</ArticleIdx><ArticleUrl><![CDATA[https://mp.weixin.qq.com/s/check]]></ArticleUrl></item></ResultList></ArticleUrlResult>"},
		{name: "PUBLISHJOBFINISH", term: "发布结果", rest: "<PublishEventInfo><publish_id>2247503051</publish_id><publish_status>0</publish_status><article_id><![CDATA[check]]></article_id><article_detail><count>1</count><item><idx>1</idx><article_url><![CDATA[https://mp.weixin.qq.com/s/check]]></article_url></item></article_detail></PublishEventInfo>"},
		{name: "subscribe_msg_popup_event", term: "订阅通知：弹框", rest: "<SubscribeMsgPopupEvent><List><TemplateId><![CDATA[check_1]]></TemplateId><SubscribeStatusString><![CDATA[accept]]></SubscribeStatusString><PopupScene>0</PopupScene></List><List><TemplateId><![CDATA[check_2]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString><PopupScene>0</PopupScene></List></SubscribeMsgPopupEvent>"},
		{name: "subscribe_msg_change_event", term: "订阅通知：管理", rest: "<SubscribeMsgChangeEvent><List><TemplateId><![CDATA[check_1]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString></List></SubscribeMsgChangeEvent>"},
		{name: "subscribe_msg_sent_event", term: "订阅通知：发送结果", rest: "<SubscribeMsgSentEvent><List><TemplateId><![CDATA[check_1]]></TemplateId><MsgID>1700827132819554304</MsgID><ErrorCode>0</ErrorCode><ErrorStatus><![CDATA[success]]></ErrorStatus></List></SubscribeMsgSentEvent>"},
		{name: "kf_create_session", term: "客服会话接入", rest: "<KfAccount><![CDATA[check@check]]></KfAccount>"},
		{name: "kf_close_session", term: "客服会话关闭", rest: "<KfAccount><![CDATA[check@check]]></KfAccount>"},
		{name: "kf_switch_session", term: "客服会话转接", rest: "<FromKfAccount><![CDATA[a@check]]></FromKfAccount><ToKfAccount><![CDATA[b@check]]></ToKfAccount>"},
		{name: "qualification_verify_success", term: "资质认证成功", rest: "<ExpiredTime>{time}</ExpiredTime>"},
		{name: "qualification_verify_fail", term: "资质认证失败", rest: "<FailTime>{time}</FailTime><FailReason><![CDATA[by time]]></FailReason>"},
		{name: "naming_verify_success", term: "名称认证成功", rest: "<ExpiredTime>{time}</ExpiredTime>"},
		{name: "naming_verify_fail", term: "名称认证失败", rest: "<FailTime>{time}</FailTime><FailReason><![CDATA[by time]]></FailReason>"},
		{name: "annual_renew", term: "年审通知", rest: "<ExpiredTime>{time}</ExpiredTime>"},
		{name: "verify_expired", term: "认证过期失效", rest: "<ExpiredTime>{time}</ExpiredTime>"},
		{name: "user_info_modified", term: "用户资料变更", rest: "<OpenID><![CDATA[{from}]]></OpenID><AppID><![CDATA[wx0123456789abcdef]]></AppID><RevokeInfo><![CDATA[1]]></RevokeInfo>"},
		{name: "user_authorization_revoke", term: "用户撤回授权", rest: "<OpenID><![CDATA[{from}]]></OpenID><AppID><![CDATA[wx0123456789abcdef]]></AppID><RevokeInfo><![CDATA[205]]></RevokeInfo>"},
		{name: "user_authorization_cancellation", term: "用户注销", rest: "<OpenID><![CDATA[{from}]]></OpenID><AppID><![CDATA[wx0123456789abcdef]]></AppID><RevokeInfo><![CDATA[1]]></RevokeInfo>"},
		{name: "debug_demo", term: "后台的调试事件", rest: "<debug_str><![CDATA[hello world]]></debug_str>"},
		{name: "event-in-capitals", term: "事件名全大写 SUBSCRIBE", event: "SUBSCRIBE", legacy: true, rest: "<EventKey><![CDATA[]]></EventKey>"},
		{name: "ENTER", term: "进入会话", legacy: true},
		{name: "user_get_card", term: "领取卡券", legacy: true, rest: card + "<IsGiveByFriend>0</IsGiveByFriend><FriendUserName> <![CDATA[]]> </FriendUserName><OuterId>0</OuterId><OldUserCardCode><![CDATA[]]></OldUserCardCode><IsRestoreMemberCard>0</IsRestoreMemberCard><UnionId>oCheckUnion</UnionId>"},
		{name: "user_gifting_card", term: "转赠卡券", legacy: true, rest: card + "<IsReturnBack>0</IsReturnBack><FriendUserName><![CDATA[oCheckFriend]]></FriendUserName><IsChatRoom>0</IsChatRoom>"},
		{name: "user_consume_card", term: "核销卡券", legacy: true, rest: card + "<ConsumeSource><![CDATA[FROM_API]]></ConsumeSource><LocationName><![CDATA[]]></LocationName><StaffOpenId><![CDATA[oCheckStaff]]></StaffOpenId>"},
		{name: "user_del_card", term: "删除卡券", legacy: true, rest: card},
		{name: "user_view_card", term: "查看会员卡", legacy: true, rest: card + "<OuterStr><![CDATA[check]]></OuterStr>"},
		{name: "user_enter_session_from_card", term: "从卡券进入会话", legacy: true, rest: card},
		{name: "user_pay_from_pay_cell", term: "卡券买单", legacy: true, rest: card + "<TransId><![CDATA[10022403432015000000000]]></TransId><LocationId>291710000</LocationId><Fee><![CDATA[10000]]></Fee><OriginalFee><![CDATA[10000]]></OriginalFee>"},
		{name: "update_member_card", term: "会员卡变动", legacy: true, rest: card + "<ModifyBonus>3</ModifyBonus><ModifyBalance>0</ModifyBalance>"},
		{name: "submit_membercard_user_info", term: "激活会员卡", legacy: true, rest: card},
		{name: "card_pass_check", term: "卡券审核通过", legacy: true, rest: "<CardId><![CDATA[pCheckCard]]></CardId>"},
		{name: "card_not_pass_check", term: "卡券审核未通过", legacy: true, rest: "<CardId><![CDATA[pCheckCard]]></CardId><RefuseReason><![CDATA[非法代制]]></RefuseReason>"},
		{name: "card_sku_remind", term: "卡券库存报警", legacy: true, rest: "<CardId><![CDATA[pCheckCard]]></CardId><Detail><![CDATA[the card's quantity is equal to 0]]></Detail>"},
		{name: "card_pay_order", term: "券点流水", legacy: true, rest: "<OrderId><![CDATA[404091456]]></OrderId><Status><![CDATA[ORDER_STATUS_FINANCE_SUCC]]></Status><CreateOrderTime>{time}</CreateOrderTime><PayFinishTime>0</PayFinishTime><Desc><![CDATA[]]></Desc>"},
		{name: "giftcard_pay_done", term: "礼品卡支付成功", legacy: true, rest: "<PageId><![CDATA[check=]]></PageId><OrderId><![CDATA[check]]></OrderId>"},
		{name: "poi_check_notify", term: "门店审核", legacy: true, rest: "<UniqId><![CDATA[123adb]]></UniqId><PoiId><![CDATA[123123]]></PoiId><Result><![CDATA[fail]]></Result><Msg><![CDATA[check]]></Msg>"},
		{name: "WifiConnected", term: "Wi-Fi 连网成功", legacy: true, rest: "<ConnectTime>0</ConnectTime><ExpireTime>0</ExpireTime><VendorId><![CDATA[3001224419]]></VendorId><PlaceId><![CDATA[check]]></PlaceId><DeviceNo><![CDATA[check]]></DeviceNo>"},
		{name: "ShakearoundUserShake", term: "摇一摇周边", legacy: true, rest: "<ChosenBeacon><Uuid><![CDATA[check]]></Uuid><Major>1</Major><Minor>2</Minor><Distance>0.057</Distance></ChosenBeacon><AroundBeacons><AroundBeacon><Uuid><![CDATA[check]]></Uuid><Major>1</Major><Minor>2</Minor><Distance>15.013</Distance></AroundBeacon></AroundBeacons>"},
		{name: "merchant_order", term: "微信小店订单", legacy: true, rest: "<OrderId><![CDATA[check]]></OrderId><OrderStatus>2</OrderStatus><ProductId><![CDATA[check]]></ProductId><SkuInfo><![CDATA[10001:1000012;10002:100021]]></SkuInfo>"},
		{name: "user_authorize_invoice", term: "电子发票授权完成", legacy: true, rest: "<SuccOrderId><![CDATA[1202933957956]]></SuccOrderId><FailOrderId><![CDATA[]]></FailOrderId><AuthorizeAppId><![CDATA[wx0123456789abcdef]]></AuthorizeAppId><Source><![CDATA[web]]></Source>"},
		{name: "submit_invoice_title", term: "提交发票抬头", legacy: true, rest: "<title><![CDATA[某公司]]></title><phone><![CDATA[4454]]></phone><tax_no><![CDATA[9144]]></tax_no>"},
		{name: "user_scan_product", term: "扫一扫商品主页", legacy: true, rest: "<KeyStandard><![CDATA[ean13]]></KeyStandard><KeyStr><![CDATA[6901481811083]]></KeyStr><Country><![CDATA[中国]]></Country><Province><![CDATA[广东]]></Province><City><![CDATA[]]></City><Sex>1</Sex><Scene>2</Scene><ExtInfo><![CDATA[123]]></ExtInfo>"},
		{name: "guide_qrcode_scan_event", term: "导购：扫顾问二维码", legacy: true, rest: "<GuideScanEvent><qrcode_guide_account><![CDATA[check]]></qrcode_guide_account><qrcode_guide_openid><![CDATA[oCheckGuide]]></qrcode_guide_openid><openid>![CDATA[oCheck]]</openid><action>11</action></GuideScanEvent>"},
		{name: "wxa_media_check", term: "小程序内容安全结果", legacy: true, rest: "<trace_id><![CDATA[check]]></trace_id><version>2</version><detail><strategy><![CDATA[content_model]]></strategy><errcode>0</errcode></detail><result><suggest><![CDATA[pass]]></suggest><label>100</label></result>"},
		{name: "user_enter_tempsession", term: "小程序进入客服会话", legacy: true, rest: "<SessionFrom><![CDATA[sessionFrom]]></SessionFrom>"},
	}
	title := func(k kind) Text { return sayf("%s (%s)", "%s（%s）", k.name, k.term) }
	checks := kindChecks(events, template, "R-EVENT-NAME", title)
	checks = append(checks, kindChecks([]kind{{name: "unknown-event", event: "echostr_check_event", rest: "<Whatever><A>1</A><A>2</A></Whatever>"}}, template, "R-EVENT-NAME", func(kind) Text {
		return say("an event that is not known", "不认识的事件")
	})...)
	checks = append(checks, kindChecks([]kind{{name: "no-name", legacy: true, rest: ""}}, strings.Replace(template, "<Event><![CDATA[{event}]]></Event>\n", "", 1), "R-EVENT-NAME", func(kind) Text {
		return say("an event without a name", "没有名字的事件")
	})...)
	return append(checks, Check{
		Name: "no-reply", Level: Advice, Rule: "R-EVENT-REPLY",
		Title: say("the event of a user who has left gets no reply, as nobody would read it", "取消关注的用户看不到回复，不必回复"),
		Do:    say("answer success to unsubscribe", "对 unsubscribe 应答 success"),
		run: func(ctx context.Context, p *probe) finding {
			document := strings.NewReplacer("{event}", "unsubscribe", "{rest}", "<EventKey><![CDATA[]]></EventKey>").Replace(template)
			v := p.send(ctx, p.raw(document, "")).Verdict
			if v.OK() && v.Reply != nil {
				return p.wrong(say("there was a reply, which WeChat drops", "有回复，但微信会丢弃它"))
			}
			return p.judged(v)
		},
	})
}

package echostr

// TemplateSendJobFinishEvent is the result of a template message (模板消息发送结果,
// Event TEMPLATESENDJOBFINISH). Do not reply.
type TemplateSendJobFinishEvent struct {
	EventHeader
	MsgID int64 // msgid that the call template/send gave back
	// Status is "success", "failed:user block" (the user refuses messages) or
	// "failed: system failed": compare its beginning.
	Status string
}

func (e *TemplateSendJobFinishEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("MsgID", &e.MsgID)
	c.str("Status", &e.Status)
}

// MassSendJobFinishEvent is the result of a mass message (群发结果, Event
// MASSSENDJOBFINISH). FromUserName is not a user. Do not reply.
type MassSendJobFinishEvent struct {
	EventHeader
	MsgID int64 // msg_id that the call gave back
	// Status is "send success", "send fail", or "err(N)": 10001 advertising,
	// 20001 politics, 20002 pornography, 20004 social, 20006 crime, 20008 fraud,
	// 20013 copyright, 21000 other, 22000 mutual promotion (互推), 30001 to
	// 30003 originality, 40001 refused and 40002 not confirmed by the administrator.
	Status      string
	TotalCount  int // followers addressed
	FilterCount int // of them after filtering, about SentCount + ErrorCount
	SentCount   int // the counts are pushed a little before the job ends
	ErrorCount  int
	// CopyrightCheckResult is nil unless articles were checked.
	CopyrightCheckResult *CopyrightCheckResult
	// ArticleURLResult is nil unless articles were sent.
	ArticleURLResult *ArticleURLResult
}

func (e *MassSendJobFinishEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.int64("MsgID", &e.MsgID)
	c.str("Status", &e.Status)
	c.int("TotalCount", &e.TotalCount)
	c.int("FilterCount", &e.FilterCount)
	c.int("SentCount", &e.SentCount)
	c.int("ErrorCount", &e.ErrorCount)
	optional(c, "CopyrightCheckResult", &e.CopyrightCheckResult)
	optional(c, "ArticleUrlResult", &e.ArticleURLResult)
}

// CopyrightCheckResult is the originality check (原创校验) of a mass message.
type CopyrightCheckResult struct {
	Count      int // as WeChat counts; len(ResultList) is right
	ResultList []CopyrightCheck
	CheckState int // 1 may be sent, 2 reprint that may be sent, 3 reprint that may not
}

func (r *CopyrightCheckResult) fields(c *codec) {
	c.int("Count", &r.Count)
	list(c, &r.ResultList, "ResultList", "item")
	c.int("CheckState", &r.CheckState)
}

// CopyrightCheck is the check of one article.
type CopyrightCheck struct {
	ArticleIdx            int // from 1
	UserDeclareState      int // 0 not declared, 1 original, 2 reprint
	AuditState            int // 0 not checked, 1 checking, 11 passed, other: failed
	OriginalArticleURL    string
	OriginalArticleType   int // 1 original, 2 older than originality marks, 3 news, 4 blacklisted
	CanReprint            bool
	NeedReplaceContent    bool
	NeedShowReprintSource bool
}

func (r *CopyrightCheck) fields(c *codec) {
	c.int("ArticleIdx", &r.ArticleIdx)
	c.int("UserDeclareState", &r.UserDeclareState)
	c.int("AuditState", &r.AuditState)
	c.str("OriginalArticleUrl", &r.OriginalArticleURL)
	c.int("OriginalArticleType", &r.OriginalArticleType)
	c.bool01("CanReprint", &r.CanReprint)
	c.bool01("NeedReplaceContent", &r.NeedReplaceContent)
	c.bool01("NeedShowReprintSource", &r.NeedShowReprintSource)
}

// ArticleURLResult is where the articles of a mass message are.
type ArticleURLResult struct {
	Count      int // as WeChat counts; len(ResultList) is right
	ResultList []ArticleURL
}

func (r *ArticleURLResult) fields(c *codec) {
	c.int("Count", &r.Count)
	list(c, &r.ResultList, "ResultList", "item")
}

// ArticleURL is where one article is.
type ArticleURL struct {
	ArticleIdx int // from 1
	ArticleURL string
}

func (r *ArticleURL) fields(c *codec) {
	c.int("ArticleIdx", &r.ArticleIdx)
	c.str("ArticleUrl", &r.ArticleURL)
}

// PublishJobFinishEvent is the result of publishing articles (发布结果, Event
// PUBLISHJOBFINISH). Do not reply.
type PublishJobFinishEvent struct {
	EventHeader
	PublishEventInfo PublishEventInfo
}

func (e *PublishJobFinishEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	c.object("PublishEventInfo", &e.PublishEventInfo)
}

// PublishEventInfo is what a [PublishJobFinishEvent] reports.
type PublishEventInfo struct {
	PublishID int64
	// PublishStatus is 0 published, 1 publishing, 2 failed the originality
	// check, 3 failed, 4 refused, 5 deleted later by the account, 6 banned later.
	PublishStatus int
	ArticleID     string         // empty unless PublishStatus is 0
	ArticleDetail *ArticleDetail // nil unless PublishStatus is 0
	FailIdx       []int          // articles that failed, from 1; PublishStatus 2 and 4
}

func (i *PublishEventInfo) fields(c *codec) {
	c.int64("publish_id", &i.PublishID)
	c.int("publish_status", &i.PublishStatus)
	c.str("article_id", &i.ArticleID)
	optional(c, "article_detail", &i.ArticleDetail)
	c.ints("fail_idx", &i.FailIdx)
}

// ArticleDetail is the articles that were published.
type ArticleDetail struct {
	Count int // as WeChat counts; len(Item) is right
	Item  []PublishedArticle
}

func (d *ArticleDetail) fields(c *codec) {
	c.int("count", &d.Count)
	list(c, &d.Item, "item")
}

// PublishedArticle is one article that was published.
type PublishedArticle struct {
	Idx        int // from 1
	ArticleURL string
}

func (a *PublishedArticle) fields(c *codec) {
	c.int("idx", &a.Idx)
	c.str("article_url", &a.ArticleURL)
}

// SubscribeMsgPopupEvent says what the user chose in the pop-up for notices
// (订阅通知, Event subscribe_msg_popup_event). Do not reply.
type SubscribeMsgPopupEvent struct {
	EventHeader
	List []SubscribeMsgPopup
}

func (e *SubscribeMsgPopupEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	list(c, &e.List, "SubscribeMsgPopupEvent", "List")
}

// SubscribeMsgPopup is the choice for one template.
type SubscribeMsgPopup struct {
	TemplateID            string
	SubscribeStatusString string // "accept" or "reject"
	PopupScene            int    // 1 web page, 2 article, 0 Mini Program
}

func (i *SubscribeMsgPopup) fields(c *codec) {
	c.str("TemplateId", &i.TemplateID)
	c.str("SubscribeStatusString", &i.SubscribeStatusString)
	c.int("PopupScene", &i.PopupScene)
}

// SubscribeMsgChangeEvent says that the user changed the choice in the settings
// (Event subscribe_msg_change_event). Do not reply.
type SubscribeMsgChangeEvent struct {
	EventHeader
	List []SubscribeMsgChange
}

func (e *SubscribeMsgChangeEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	list(c, &e.List, "SubscribeMsgChangeEvent", "List")
}

// SubscribeMsgChange is the new choice for one template.
type SubscribeMsgChange struct {
	TemplateID            string
	SubscribeStatusString string // only "reject" is pushed
}

func (i *SubscribeMsgChange) fields(c *codec) {
	c.str("TemplateId", &i.TemplateID)
	c.str("SubscribeStatusString", &i.SubscribeStatusString)
}

// SubscribeMsgSentEvent is the result of sending a notice (Event
// subscribe_msg_sent_event). Do not reply.
type SubscribeMsgSentEvent struct {
	EventHeader
	List []SubscribeMsgSent
}

func (e *SubscribeMsgSentEvent) fields(c *codec) {
	c.event(&e.EventHeader)
	list(c, &e.List, "SubscribeMsgSentEvent", "List")
}

// SubscribeMsgSent is the result for one notice.
type SubscribeMsgSent struct {
	TemplateID  string
	MsgID       int64  // of the notice
	ErrorCode   int    // 0 is success
	ErrorStatus string // "success", or why not
}

func (i *SubscribeMsgSent) fields(c *codec) {
	c.str("TemplateId", &i.TemplateID)
	c.int64("MsgID", &i.MsgID)
	c.int("ErrorCode", &i.ErrorCode)
	c.str("ErrorStatus", &i.ErrorStatus)
}

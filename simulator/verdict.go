package simulator

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// judge reads an answer with status 200 as WeChat does.
func (w *WeChat) judge(m Message, body []byte) Verdict {
	reply, v := w.read(m, body)
	if v.Problem != "" {
		return w.fault(m, v.Problem, v.Why)
	}
	v.Reply = reply
	switch {
	case reply == nil:
		v.Sees = SeesNothing
	case m.isEvent() && noReply[strings.ToLower(m.event)]:
		v.Sees, v.Why = SeesNothing, "the reply is a good one, but WeChat drops replies to the event "+m.event
	default:
		v.Sees = SeesReply
		v.Why = "a reply of the type " + reply.MsgType
	}
	return v
}

// fault is the verdict on a message that went wrong.
func (w *WeChat) fault(m Message, problem, why string) Verdict {
	v := Verdict{Sees: SeesFault, Problem: problem, Why: why}
	if m.isEvent() && !w.rules.EventFaultNotice { // R-FAULT-EVENT
		v.Sees = SeesNothing
		v.Why += " (after a message the user would have read the fault notice)"
	}
	return v
}

// noReply are the events to which WeChat takes no reply, in lower case: the
// user has left, is on another page, or is not there at all. R-EVENT-REPLY
var noReply = map[string]bool{
	"unsubscribe":                     true,
	"view":                            true,
	"view_miniprogram":                true,
	"templatesendjobfinish":           true,
	"masssendjobfinish":               true,
	"publishjobfinish":                true,
	"subscribe_msg_popup_event":       true,
	"subscribe_msg_change_event":      true,
	"subscribe_msg_sent_event":        true,
	"kf_create_session":               true,
	"kf_close_session":                true,
	"kf_switch_session":               true,
	"qualification_verify_success":    true,
	"qualification_verify_fail":       true,
	"naming_verify_success":           true,
	"naming_verify_fail":              true,
	"annual_renew":                    true,
	"verify_expired":                  true,
	"user_info_modified":              true,
	"user_authorization_revoke":       true,
	"user_authorization_cancellation": true,
}

func bad(problem, why string, args ...any) (*Reply, Verdict) {
	return nil, Verdict{Problem: problem, Why: fmt.Sprintf(why, args...)}
}

// read returns the reply, or none, or what is wrong with the answer. R-REPLY-SUCCESS
func (w *WeChat) read(m Message, body []byte) (*Reply, Verdict) {
	switch text := string(body); {
	case len(body) > maxBody:
		return bad("too-large", "the answer has more than %d bytes; nothing WeChat reads is that long", maxBody)
	case text == "":
		return nil, Verdict{Why: "the empty answer, which means no reply"}
	case text == "success":
		return nil, Verdict{Why: "the answer success, which means no reply"}
	case strings.Trim(strings.ToLower(text), " \t\r\n\"'\ufeff") == "success":
		return bad("success", "the answer is %q; it must be exactly the 7 bytes success, without quotes, line end or anything else", text)
	}
	doc, v := parseAnswer(body)
	if v.Problem != "" {
		return nil, v
	}
	sealed := false
	document := body
	if doc.child("Encrypt") != nil {
		document, v = w.unseal(doc)
		if v.Problem != "" {
			return nil, v
		}
		sealed = true
		if doc, v = parseAnswer(document); v.Problem != "" {
			v.Why = "inside the envelope: " + v.Why
			return nil, v
		}
	} else if w.account.Mode == Safe {
		return bad("not-sealed", "the reply is in clear, but in the safe mode (安全模式) WeChat takes an encrypted one only; seal it")
	}
	reply, v := readReply(m, doc, w.account.AppID)
	if reply != nil {
		reply.Sealed, reply.Document = sealed, bytes.Clone(document)
	}
	return reply, v
}

// parseAnswer parses XML and says what it is if it is not XML.
func parseAnswer(body []byte) (*node, Verdict) {
	fail := func(problem, why string, args ...any) (*node, Verdict) {
		_, v := bad(problem, why, args...)
		return nil, v
	}
	trimmed := bytes.TrimSpace(body)
	lower := bytes.ToLower(trimmed[:min(len(trimmed), 64)])
	switch {
	case bytes.HasPrefix(body, []byte("\ufeff")):
		return fail("bom", "there is a byte order mark (BOM) in front of the XML; leave it out")
	case bytes.HasPrefix(body, []byte("\x1f\x8b")):
		return fail("not-xml", "the answer is compressed (gzip), which WeChat did not ask for; send it as it is")
	case bytes.HasPrefix(trimmed, []byte("{")), bytes.HasPrefix(trimmed, []byte("[")), bytes.HasPrefix(trimmed, []byte(`"`)):
		return fail("json", "the answer is JSON; an Official Account answers in XML or with success")
	case bytes.HasPrefix(lower, []byte("<!doctype html")), bytes.HasPrefix(lower, []byte("<html")):
		return fail("html", "the answer is an HTML page; perhaps a proxy or a framework made it")
	}
	doc, err := parseXML(body)
	switch {
	case err != nil && !bytes.HasPrefix(trimmed, []byte("<")):
		return fail("not-xml", "the answer is neither success nor XML, but plain text; a text has to stand in the Content of a reply")
	case err != nil:
		return fail("not-xml", "the answer is not well-formed XML: %v", err)
	case doc.name != "xml":
		return fail("not-xml", "the root element of the answer is <%s>; it must be <xml>", doc.name)
	}
	if name := doc.repeated(); name != "" {
		return fail("repeated", "the element %s is there twice, so it is not clear which one counts; user text must not be able to make elements", name)
	}
	return doc, Verdict{}
}

// unseal opens the envelope of a reply. R-ENV-REPLY
func (w *WeChat) unseal(doc *node) ([]byte, Verdict) {
	fail := func(problem, why string, args ...any) ([]byte, Verdict) {
		_, v := bad(problem, why, args...)
		return nil, v
	}
	if w.account.Mode == Plain {
		return fail("sealed", "the reply is encrypted, but the account is in the plain mode (明文模式); the mode is the account's and not the request's")
	}
	if name := doc.near("TimeStamp"); name != "" && doc.child("TimeStamp") == nil {
		return fail("timestamp", "the envelope has an element %s; it must be spelled TimeStamp", name)
	}
	for _, name := range []string{"MsgSignature", "TimeStamp", "Nonce"} {
		if doc.child(name) != nil {
			continue
		}
		if near := doc.near(name); near != "" {
			return fail("envelope", "the envelope has an element %s; it must be spelled %s", near, name)
		}
		return fail("envelope", "the envelope has no element %s", name)
	}
	encrypt := strings.TrimSpace(doc.value("Encrypt"))
	if doc.value("MsgSignature") != sign(w.account.Token, doc.value("TimeStamp"), doc.value("Nonce"), encrypt) {
		return fail("signature", "MsgSignature is wrong; it is made of the token, and of the TimeStamp, the Nonce and the Encrypt of the envelope itself")
	}
	msg, err := open(w.key, encrypt, w.account.AppID)
	if err != nil {
		return fail("ciphertext", "Encrypt does not open: %v", err)
	}
	if text := strings.TrimSpace(string(msg)); text == "success" || text == "" {
		return fail("sealed-success", "the envelope contains %q; success and the empty answer are sent in clear, in every mode", text)
	}
	return msg, Verdict{}
}

// opened returns an answer in clear, if it is an envelope that opens.
func (w *WeChat) opened(body []byte) ([]byte, bool) {
	doc, err := parseXML(body)
	if err != nil || w.key == nil || doc.child("Encrypt") == nil {
		return nil, false
	}
	msg, err := open(w.key, strings.TrimSpace(doc.value("Encrypt")), w.account.AppID)
	return msg, err == nil
}

// The limits of a reply. R-REPLY-TEXT R-REPLY-NEWS
const (
	maxText            = 2048 // bytes
	maxArticlesMessage = 1
	maxArticlesEvent   = 8
)

// readReply reads the reply in clear. R-REPLY-COMMON
func readReply(m Message, doc *node, appID string) (*Reply, Verdict) {
	r := &Reply{
		ToUserName:   doc.value("ToUserName"),
		FromUserName: doc.value("FromUserName"),
		MsgType:      doc.value("MsgType"),
	}
	missing := func(name string) string {
		if near := doc.near(name); near != "" && doc.child(name) == nil {
			return fmt.Sprintf("; there is a %s, and letter case counts", near)
		}
		return ""
	}
	if r.ToUserName == m.ToUserName && r.FromUserName == m.FromUserName {
		return bad("swapped", "ToUserName and FromUserName are those of the push; in a reply they are swapped")
	}
	if r.ToUserName != m.FromUserName {
		return bad("to", "ToUserName is %q; it must be the FromUserName of the push, the user's OpenID%s", r.ToUserName, missing("ToUserName"))
	}
	if r.FromUserName != m.ToUserName {
		hint := missing("FromUserName")
		if appID != "" && r.FromUserName == appID {
			hint = " and not the AppID"
		}
		return bad("from", "FromUserName is %q; it must be the ToUserName of the push, the original id (原始ID) of the account%s", r.FromUserName, hint)
	}
	var err error
	if r.CreateTime, err = strconv.ParseInt(strings.TrimSpace(doc.value("CreateTime")), 10, 64); err != nil || r.CreateTime <= 0 {
		return bad("create-time", "CreateTime is %q; it must be a number of seconds, without quotes, brackets or text%s", doc.value("CreateTime"), missing("CreateTime"))
	}
	v := r.readBody(m, doc)
	if v.Problem != "" {
		return nil, v
	}
	return r, Verdict{}
}

func (r *Reply) readBody(m Message, doc *node) Verdict {
	fail := func(problem, why string, args ...any) Verdict {
		_, v := bad(problem, why, args...)
		return v
	}
	media := func(inside, name string) (*node, string, Verdict) {
		n := doc.child(inside)
		if id := n.value(name); id != "" {
			return n, id, Verdict{}
		}
		return nil, "", fail("media", "the reply of the type %s has no %s in its element %s", r.MsgType, name, inside)
	}
	var n *node
	var v Verdict
	switch r.MsgType {
	case "text":
		r.Content = doc.value("Content")
		switch {
		case doc.child("Content") == nil && doc.near("Content") != "":
			return fail("empty", "the text has an element %s; it must be spelled Content", doc.near("Content"))
		case r.Content == "":
			return fail("empty", "the text has no Content, which is not the same as no reply; for no reply answer success")
		case len(r.Content) > maxText:
			return fail("too-long", "the text has %d bytes of UTF-8, and at most %d are delivered; cut it or send the rest by the customer-service API (客服消息)", len(r.Content), maxText)
		}
	case "image":
		_, r.MediaID, v = media("Image", "MediaId")
	case "voice":
		_, r.MediaID, v = media("Voice", "MediaId")
	case "video":
		n, r.MediaID, v = media("Video", "MediaId")
		r.Title, r.Description = n.value("Title"), n.value("Description")
	case "music":
		n, r.ThumbMediaID, v = media("Music", "ThumbMediaId")
		r.Title, r.Description = n.value("Title"), n.value("Description")
		r.MusicURL, r.HQMusicURL = n.value("MusicUrl"), n.value("HQMusicUrl")
	case "news":
		return r.readNews(m, doc)
	case "transfer_customer_service":
		r.KfAccount = doc.child("TransInfo").value("KfAccount")
	case "transfer_biz_ai_ivr", "hardware", "device_text": // rare types, taken as they are
	case "":
		return fail("msg-type", "there is no MsgType")
	default:
		return fail("msg-type", "there is no reply of the type %q; letter case counts", r.MsgType)
	}
	return v
}

func (r *Reply) readNews(m Message, doc *node) Verdict {
	fail := func(why string, args ...any) Verdict {
		_, v := bad("articles", why, args...)
		return v
	}
	articles := doc.child("Articles")
	if articles != nil {
		for _, item := range articles.children {
			if item.name != "item" {
				return fail("Articles has an element %s; articles stand in elements named item", item.name)
			}
			if near := item.near("Url"); near != "" {
				return fail("an article has an element %s; it must be spelled Url", near)
			}
			r.Articles = append(r.Articles, Article{
				Title: item.value("Title"), Description: item.value("Description"),
				PicURL: item.value("PicUrl"), URL: item.value("Url"),
			})
		}
	}
	count, err := strconv.Atoi(strings.TrimSpace(doc.value("ArticleCount")))
	switch {
	case len(r.Articles) == 0:
		return fail("the reply of the type news (图文) has no article")
	case err != nil || count != len(r.Articles):
		return fail("ArticleCount is %q, and there are %d articles", doc.value("ArticleCount"), len(r.Articles))
	case !m.isEvent() && count > maxArticlesMessage:
		return fail("there are %d articles; a message may be answered with one only", count)
	case count > maxArticlesEvent:
		return fail("there are %d articles; an event may be answered with at most %d", count, maxArticlesEvent)
	}
	return Verdict{}
}

package conformance

import "fmt"

// Language is a language that reports can be written in.
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// Text is a sentence in both languages.
type Text struct{ EN, ZH string }

// In returns the text in a language; in any but Chinese it is English.
func (t Text) In(l Language) string {
	if l == Chinese {
		return t.ZH
	}
	return t.EN
}

// IsZero reports whether there is no text.
func (t Text) IsZero() bool { return t == Text{} }

func say(en, zh string) Text { return Text{en, zh} }

// sayf fills the same arguments into both sentences; they may be indexed.
func sayf(en, zh string, args ...any) Text {
	return Text{fmt.Sprintf(en, args...), fmt.Sprintf(zh, args...)}
}

// problemsZH are the problems of a verdict in Chinese; the English sentence is the simulator's.
var problemsZH = map[string]string{
	"status":         "状态码不是 200",
	"timeout":        "没有在规定时间内应答，连接被断开",
	"refused":        "连接不上",
	"reset":          "应答还没有发完，连接就断开了",
	"tls":            "证书或 TLS 有问题",
	"too-large":      "应答超过 1 MiB",
	"success":        "应答与 success 只差一点，例如多了换行或引号；必须正好是 success 这 7 个字节",
	"json":           "应答是 JSON；公众号只接受 XML、success 或空串",
	"html":           "应答是 HTML 页面，可能出自代理或框架",
	"bom":            "XML 前面有 BOM",
	"not-xml":        "应答既不是 success，也不是根元素为 xml 的合法 XML",
	"repeated":       "同一个元素出现了两次，用户的文字可能变成了元素",
	"sealed":         "账号是明文模式，应答却加密了",
	"not-sealed":     "账号是安全模式，应答却是明文",
	"envelope":       "加密应答缺少 Encrypt、MsgSignature、TimeStamp、Nonce 之一，或拼写不对",
	"timestamp":      "加密应答里的元素必须拼作 TimeStamp",
	"signature":      "加密应答的 MsgSignature 不对",
	"ciphertext":     "加密应答的 Encrypt 解不开",
	"sealed-success": "success 和空串在任何模式下都不加密",
	"swapped":        "ToUserName 与 FromUserName 照抄了推送，没有对调",
	"to":             "ToUserName 不是发消息的用户的 OpenID",
	"from":           "FromUserName 不是公众号的原始 ID",
	"create-time":    "CreateTime 不是秒数",
	"msg-type":       "没有 MsgType，或者没有这种类型的回复",
	"empty":          "文本回复的 Content 为空；不想回复就应答 success",
	"too-long":       "文本回复超过 2048 字节",
	"media":          "回复里缺少 MediaId（音乐：ThumbMediaId）",
	"articles":       "图文的篇数不对：回复消息只能一篇，回复事件最多八篇，并且要与 ArticleCount 一致",
	"mark-fail":      "连续失败太多次，暂时不再推送",
	"stopped":        "检查中途停止了",
}

package conformance

import (
	"fmt"
	"net/http"
)

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

// connectZH is what to do when there is no connection.
var connectZH = map[string]string{
	"refused": "请先启动服务器，或检查 URL",
	"tls":     "请检查端口，以及 URL 以 http:// 还是 https:// 开头；证书要由公共 CA 签发、包含完整证书链（fullchain），并且属于这个域名",
}

// statusZH is what to do about a status other than 200, or otherwise if that does not tell,
// as the simulator says it in English.
func statusZH(status int, method, otherwise string) string {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "服务器拒绝了它，因为令牌（Token）、消息加解密方式、密钥或时钟不一致；原因在服务器的日志里，如果是 Echostr，可用 `echostr refusals` 查看"
	case status == http.StatusNotFound:
		return "这个路径上没有服务；请检查 URL，如果是 Echostr，以 /wx/{账号名} 结尾"
	case status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return "这个路径不接受 " + method + "，不是接收消息的服务；请检查 URL"
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return "前面的代理找不到服务器，或者等不及了；请检查服务器是否在运行，代理的超时（proxy_read_timeout）是否大于 10 秒"
	case status >= 300 && status < 400:
		return "这是重定向，微信不会跟随；请填写最终的 URL"
	}
	return otherwise
}

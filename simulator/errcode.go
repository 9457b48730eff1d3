package simulator

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// errcodes are the codes (全局返回码) that the API of the simulator gives, with
// the text that errmsg begins with. The spelling is WeChat's. R-API-ERRCODE
var errcodes = map[int]string{
	-1:    "system error",
	40001: "invalid credential, access_token is invalid or not latest",
	40002: "invalid grant_type",
	40003: "invalid openid",
	40004: "invalid media type",
	40005: "invalid file type",
	40006: "invalid meida size",
	40007: "invalid media_id",
	40008: "invalid message type",
	40009: "invalid image size",
	40010: "invalid voice size",
	40011: "invalid video size",
	40012: "invalid thumb size",
	40013: "invalid appid",
	40014: "invalid access_token",
	40015: "invalid menu type",
	40016: "invalid button size",
	40017: "invalid button type",
	40018: "invalid button name size",
	40019: "invalid button key size",
	40020: "invalid button url size",
	40023: "invalid sub button size",
	40024: "invalid sub button type",
	40025: "invalid sub button name size",
	40026: "invalid sub button key size",
	40027: "invalid sub button url size",
	40031: "invalid openid list",
	40032: "invalid openid list size",
	40033: "invalid charset. please check your request, if include \\uxxxx will create fail!",
	40035: "invalid args size",
	40052: "invalid action name",
	40053: "invalid action info",
	40054: "invalid sub button url domain",
	40055: "invalid button url domain",
	40066: "invalid url",
	40073: "invalid card id",
	40097: "invalid args",
	40119: "invalid use button type",
	40120: "invalid use sub button type",
	40125: "invalid appsecret",
	40137: "invalid image format",
	40164: "invalid ip, not in whitelist",
	40200: "invalid account type",
	40201: "invalid check url",
	40202: "invalid check action",
	40203: "invalid check operator",
	41001: "access_token missing",
	41002: "appid missing",
	41004: "appsecret missing",
	41005: "media data missing",
	41006: "media_id missing",
	41009: "missing openid",
	42001: "access_token expired",
	43001: "require GET method",
	43002: "require POST method",
	43004: "require subscribe",
	43019: "require remove blacklist",
	44001: "empty media data",
	44002: "empty post data",
	44003: "empty news data",
	44004: "empty content",
	45001: "media size out of limit",
	45002: "content size out of limit",
	45007: "playtime out of limit",
	45008: "article size out of limit",
	45009: "reach max api daily quota limit",
	45011: "api minute-quota reach limit, must slower, retry next minute",
	45015: "response out of time limit or subscription is canceled",
	45029: "qrcode count out of limit",
	45047: "out of response count limit",
	45072: "invalid command",
	45080: "need sending message to user, or recving message from user in the last 30 seconds before typing",
	45081: "you are already typing",
	46003: "menu no exist",
	47001: "data format error",
	48001: "api unauthorized",
	48002: "user block receive message",
	48006: "forbid to clear quota because of reaching the limit",
	65308: "button exist empty button act",
	65317: "contain invalid url",
	76001: "rid not found",
	76002: "invalid rid",
	76021: "cgi_path not found",
}

// errcode is a failure as the API tells it.
type errcode int

func (e errcode) Error() string { return fmt.Sprintf("%d %s", int(e), errcodes[int(e)]) }

// result is what the API answers when there are no data.
type result struct {
	Errcode int    `json:"errcode"`
	Errmsg  string `json:"errmsg"`
}

// okResult is the answer of a call that has worked and has nothing to say.
var okResult = result{Errmsg: "ok"}

// result returns e with the id of the request behind its text.
func (e errcode) result(rid string) result {
	text, known := errcodes[int(e)]
	if !known {
		text = "simulated error"
	}
	return result{Errcode: int(e), Errmsg: text + " rid: " + rid}
}

// newRID makes the id of a request: three numbers in hexadecimal, of which the first is the time.
func newRID(now time.Time) string {
	return fmt.Sprintf("%08x-%08x-%08x", uint32(now.Unix()), rand.Uint32(), rand.Uint32())
}

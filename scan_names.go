package echostr

// The scalars at the top that the server relies on. R-XML-REPEAT
const (
	reliedToUserName = iota
	reliedFromUserName
	reliedCreateTime
	reliedMsgType
	reliedEvent
	reliedMsgID
	reliedEventKey
	reliedEncrypt
	reliedCount
)

// relied returns which of the relied-on scalars has this name, or -1.
func relied(name string) int {
	switch name {
	case "ToUserName":
		return reliedToUserName
	case "FromUserName":
		return reliedFromUserName
	case "CreateTime":
		return reliedCreateTime
	case "MsgType":
		return reliedMsgType
	case "Event":
		return reliedEvent
	case "MsgId":
		return reliedMsgID
	case "EventKey":
		return reliedEventKey
	case "Encrypt":
		return reliedEncrypt
	case "MsgID": // the id of a job, not of the message: R-XML-NAMES
		return -1
	}
	for r, n := range reliedNames {
		if len(n) == len(name) && equalFold(n, name) {
			return r
		}
	}
	return -1
}

// usualName returns the length of the name that s begins with and what relied
// says of it, if it is one of those that nearly every push has, and a ">" follows.
// It saves reading the name byte by byte.
func usualName(s string) (length, r int) {
	if len(s) < 14 {
		return 0, -1
	}
	switch s[0] {
	case 'T':
		if s[:11] == "ToUserName>" {
			return 10, reliedToUserName
		}
	case 'F':
		if s[:13] == "FromUserName>" {
			return 12, reliedFromUserName
		}
	case 'C':
		if s[:11] == "CreateTime>" {
			return 10, reliedCreateTime
		}
		if s[:8] == "Content>" {
			return 7, -1
		}
	case 'M':
		if s[:8] == "MsgType>" {
			return 7, reliedMsgType
		}
		if s[:6] == "MsgId>" {
			return 5, reliedMsgID
		}
	case 'E':
		if s[:6] == "Event>" {
			return 5, reliedEvent
		}
		if s[:9] == "EventKey>" {
			return 8, reliedEventKey
		}
	}
	return 0, -1
}

var reliedNames = [reliedCount]string{
	reliedToUserName: "ToUserName", reliedFromUserName: "FromUserName", reliedCreateTime: "CreateTime", reliedMsgType: "MsgType",
	reliedEvent: "Event", reliedMsgID: "MsgId", reliedEventKey: "EventKey", reliedEncrypt: "Encrypt",
}

// equalFold compares strings of the same length without regard to the case of
// ASCII letters. Unicode's folding would let "ſ" pass for "s".
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if x, y := a[i], b[i]; x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

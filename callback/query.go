package callback

import (
	"net/url"
	"strings"
)

// query is what WeChat puts into the URL: R-ORDER-QUERY. A parameter that is
// absent and one that is empty are the same.
type query struct {
	signature, timestamp, nonce, echostr string
	encryptType, msgSignature, openid    string
}

// field returns the place of a parameter, nil for those we do not know.
func (q *query) field(name string) *string {
	switch name {
	case "signature":
		return &q.signature
	case "timestamp":
		return &q.timestamp
	case "nonce":
		return &q.nonce
	case "echostr":
		return &q.echostr
	case "encrypt_type":
		return &q.encryptType
	case "msg_signature":
		return &q.msgSignature
	case "openid":
		return &q.openid
	}
	return nil
}

// parseQuery reads the raw query in one pass, without a map. It reports false
// for what net/url would refuse and for a known parameter that is given twice,
// since two readers could see different ones.
func parseQuery(raw string) (q query, ok bool) {
	var seen [7]*string
	n := 0
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		if strings.IndexByte(pair, ';') >= 0 {
			return q, false
		}
		name, value, _ := strings.Cut(pair, "=")
		name, ok1 := unescape(name)
		value, ok2 := unescape(value)
		if !ok1 || !ok2 {
			return q, false
		}
		field := q.field(name)
		if field == nil {
			continue
		}
		for _, f := range seen[:n] {
			if f == field {
				return q, false
			}
		}
		seen[n] = field
		n++
		*field = value
	}
	return q, true
}

// unescape is url.QueryUnescape, which costs nothing for what needs it not.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	s, err := url.QueryUnescape(s)
	return s, err == nil
}

// wellFormed reports whether timestamp, nonce and the signatures that are
// there have the form that WeChat gives them. It comes before hashing: the
// signed strings are joined without delimiters, so that without it one
// signature would fit other timestamps. R-ORDER-FORMAT
func (q *query) wellFormed() bool {
	return len(q.timestamp) == 10 && all(q.timestamp, isDigit) &&
		len(q.nonce) >= 1 && len(q.nonce) <= 64 && all(q.nonce, isAlnum) &&
		isSignature(q.signature) && (q.msgSignature == "" || isSignature(q.msgSignature))
}

// seconds is the timestamp as a number; the query is well formed.
func (q *query) seconds() (n int64) {
	for i := range len(q.timestamp) {
		n = n*10 + int64(q.timestamp[i]-'0')
	}
	return n
}

func isSignature(s string) bool { return len(s) == 40 && all(s, isLowerHex) }

// isEchostr: 1 to 512 characters that mean nothing in any document.
func isEchostr(s string) bool {
	return len(s) >= 1 && len(s) <= 512 && all(s, func(c byte) bool {
		return isAlnum(c) || c == '+' || c == '/' || c == '=' || c == '_' || c == '-'
	})
}

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool    { return '0' <= c && c <= '9' }
func isLowerHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' }
func isAlnum(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

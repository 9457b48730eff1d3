package wxapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// encode writes v as JSON that WeChat takes: every character as itself in UTF-8, and none as
// \uXXXX, which WeChat refuses (40033) or shows to the user as it is. Control characters that JSON
// knows no other way for are left out. R-API-CHARSET
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if !utf8.Valid(text) { // in JSON of the caller's own; what is left out below could make characters of it
		text = []byte(string([]rune(string(text))))
	}
	if !bytes.Contains(text, []byte(`\`)) {
		return text, nil
	}
	return unescape(text), nil
}

// unescape replaces the escapes \uXXXX, \b and \f of valid JSON, in place.
func unescape(text []byte) []byte {
	to := text[:0]
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			to = append(to, text[i])
			i++
			continue
		}
		switch text[i+1] {
		case 'b', 'f':
			i += 2
		case 'u':
			r, n := unicodeEscape(text[i:])
			i += n
			switch {
			case r == '"' || r == '\\':
				to = append(to, '\\', byte(r))
			case r == '\n':
				to = append(to, `\n`...)
			case r == '\r':
				to = append(to, `\r`...)
			case r == '\t':
				to = append(to, `\t`...)
			case r >= ' ':
				to = utf8.AppendRune(to, r)
			}
		default:
			to = append(to, text[i], text[i+1])
			i += 2
		}
	}
	return to
}

// unicodeEscape reads \uXXXX or a pair of them at the beginning of s, and how long it is.
func unicodeEscape(s []byte) (rune, int) {
	const n = len(`\uXXXX`)
	r := hex4(s)
	if !utf16.IsSurrogate(r) {
		return r, n
	}
	if len(s) >= 2*n && s[n] == '\\' && s[n+1] == 'u' {
		if both := utf16.DecodeRune(r, hex4(s[n:])); both != utf8.RuneError {
			return both, 2 * n
		}
	}
	return utf8.RuneError, n
}

func hex4(s []byte) rune {
	v, _ := strconv.ParseUint(string(s[2:6]), 16, 16)
	return rune(v)
}

// apiStatus is what every answer may have. An errcode that is absent is 0.
type apiStatus struct {
	Code errcodeValue `json:"errcode"`
	Msg  string       `json:"errmsg"`
}

// errcodeValue is a number, or one in quotation marks.
type errcodeValue int

func (c *errcodeValue) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	n, err := strconv.Atoi(string(bytes.Trim(text, `"`)))
	*c = errcodeValue(n)
	return err
}

var errNoObject = errors.New("not an object")

// decode reads an answer into out, or into the status that it returns if out is nil. WeChat may put
// control characters and broken UTF-8 into strings. R-API-ANSWER
func decode(text []byte, out any) (apiStatus, error) {
	var status apiStatus
	if out == nil {
		out = &status
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return status, errNoObject
	}
	err := json.Unmarshal(text, out)
	if _, syntax := errors.AsType[*json.SyntaxError](err); syntax {
		err = json.Unmarshal(withoutControls(text), out)
	}
	return status, err
}

// withoutControls escapes line ends and tabs inside strings and leaves out all other control characters.
func withoutControls(text []byte) []byte {
	to := make([]byte, 0, len(text)+16)
	inString := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"':
			inString = !inString
		case c == '\\' && inString && i+1 < len(text) && text[i+1] >= ' ':
			to = append(to, c)
			i++
			c = text[i]
		case c >= ' ':
		case c != '\n' && c != '\r' && c != '\t':
			continue
		case inString:
			to = append(to, '\\', map[byte]byte{'\n': 'n', '\r': 'r', '\t': 't'}[c])
			continue
		}
		to = append(to, c)
	}
	return to
}

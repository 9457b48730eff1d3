package wxapi

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{`<a href="x">&</a>`, `"<a href=\"x\">&</a>"`},
		{"\u2028\u2029", "\"\u2028\u2029\""},
		{`\u2028`, `"\\u2028"`},
		{`\\u2028`, `"\\\\u2028"`},
		{"a\x00\x01\x1f\b\fb\x7f", "\"ab\x7f\""},
		{"a\r\n\tb", `"a\r\n\tb"`},
		{"\xff", "\"\ufffd\""},
		{"😀", `"😀"`},
	} {
		if got, err := encode(tt.in); err != nil || string(got) != tt.want {
			t.Errorf("%q: %s, %v", tt.in, got, err)
		}
	}
	for in, want := range map[string]string{
		`"\ud83d\ude00"`: `"😀"`, `"\ud83d"`: "\"\ufffd\"", `"\ud83dx"`: "\"\ufffdx\"", `"\ud83d\u0041"`: "\"\ufffdA\"", `"\ude00\ud83d"`: "\"\ufffd\ufffd\"",
		`"\u0000\u000a\u0022\u005c"`: `"\n\"\\"`, `"\/"`: `"\/"`,
	} {
		if got, err := encode(json.RawMessage(in)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	if _, err := encode(math.NaN()); err == nil {
		t.Error("no error")
	}
}

// FuzzEncode: what is written means what went in, but for control characters, and has no escape of WeChat's 40033.
func FuzzEncode(f *testing.F) {
	for _, seed := range []string{``, `"a"`, `{"a":["\u4f60\n",1e9,null,true]}`, `"\ud83d\ude00\ud83d"`, `"\\u0041\u005cu0041"`, "\"\u2028\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var want any
		if json.Unmarshal(in, &want) != nil {
			return
		}
		got, err := encode(json.RawMessage(in))
		if err != nil {
			t.Fatal(err)
		}
		var back any
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%s became %s: %v", in, got, err)
		}
		for at := 0; at < len(got); at++ {
			if got[at] == '\\' {
				if at++; got[at] == 'u' {
					t.Fatalf("%s has an escape", got)
				}
			}
		}
		if want, back := printable(want), printable(back); !reflect.DeepEqual(want, back) {
			t.Errorf("%s became %s", in, got)
		}
	})
}

// printable leaves out control characters that are not white space. Keys may become equal by
// that, so objects are compared by their number of keys only then.
func printable(v any) any {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' && r != '\n' && r != '\r' && r != '\t' {
				return -1
			}
			return r
		}, s)
	}
	switch v := v.(type) {
	case string:
		return clean(v)
	case []any:
		for i := range v {
			v[i] = printable(v[i])
		}
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			if clean(key) != key {
				return "an object with control characters in its keys"
			}
			m[key] = printable(value)
		}
		return m
	}
	return v
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		code int
		msg  string
		ok   bool
	}{
		{`{}`, 0, "", true},
		{` {"errcode":0,"errmsg":"ok"} `, 0, "ok", true},
		{"\ufeff{\"errcode\":40001}", 40001, "", true},
		{`{"errcode":"40001"}`, 40001, "", true},
		{`{"errcode":null}`, 0, "", true},
		{`{"errcode":-1,"other":{"errcode":7}}`, -1, "", true},
		{"{\"errcode\":1,\"errmsg\":\"a\nb\x01c\td\"}", 1, "a\nbc\td", true},
		{"{\"errcode\":1,\"errmsg\":\"a\\\x01\"}", 0, "", false},
		{"{\"errcode\":1,\"errmsg\":\"\\\"\x01\"}", 1, `"`, true},
		{"{\x01\"errcode\":1}", 1, "", true},
		{"{\"errcode\":1,\"errmsg\":\"\xff\"}", 1, "\ufffd", true},
		{`{"errcode":{}}`, 0, "", false},
		{`{"errcode":1e2}`, 0, "", false},
		{`{"errcode":1}x`, 0, "", false},
		{`[1]`, 0, "", false},
		{`null`, 0, "", false},
		{`"x"`, 0, "", false},
		{``, 0, "", false},
		{`<html>`, 0, "", false},
		{`{`, 0, "", false},
	} {
		got, err := decode([]byte(tt.in), nil)
		if (err == nil) != tt.ok || tt.ok && (int(got.Code) != tt.code || got.Msg != tt.msg) {
			t.Errorf("%q: %+v, %v", tt.in, got, err)
		}
	}
}

// plainNumber is an errcode as WeChat may write it.
var plainNumber = regexp.MustCompile(`^(-?[0-9]{1,9}|"-?[0-9]{1,9}")$`)

// FuzzDecode compares with a slow reading: line ends and tabs are made blanks first, all other control
// characters are left out, in names, too, and then the answer has to be an object.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"errcode":40001,"errmsg":"x"}`, "{\"errmsg\":\"a\nb\x01\"}", `{"errcode":"7"}`, `{"errCode":""}`, `{"errcode":"x"}`, `{}`, `[]`, "\ufeff{}", `{"errcode":1,"errcode":2}`, `{"a":"\"`, "{\"\x00\":\"\\\x00\"}", "{\"err\x01Code\":\"7\"}", "{\"err\nCode\":\"7\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		got, err := decode(in, nil)
		if !bytes.Equal(before, in) {
			t.Fatal("the answer was changed")
		}
		if err == nil && !utf8.ValidString(got.Msg) {
			t.Errorf("errmsg is not UTF-8: %q", got.Msg)
		}
		blank := bytes.Map(func(r rune) rune {
			switch {
			case r == '\n' || r == '\r' || r == '\t':
				return ' '
			case r < ' ':
				return -1
			}
			return r
		}, bytes.TrimPrefix(bytes.ToValidUTF8(in, []byte("\ufffd")), []byte("\ufeff")))
		var want struct {
			ErrCode json.RawMessage `json:"errcode"`
			ErrMsg  any             `json:"errmsg"`
		}
		readable := json.Unmarshal(blank, &want) == nil && bytes.HasPrefix(bytes.TrimSpace(blank), []byte("{"))
		if !readable {
			return // a blank can make readable what decode has escaped, and the other way round
		}
		switch want.ErrMsg.(type) {
		case string, nil:
		default:
			return
		}
		code := string(want.ErrCode)
		switch {
		case code == "" || code == "null":
			code = "0"
		case !plainNumber.MatchString(code):
			return // an error, or a number in another form
		}
		code = strings.Trim(code, `"`)
		if err == nil && strings.TrimLeft(itoa(int(got.Code)), "-0") != strings.TrimLeft(code, "-0") {
			t.Errorf("%q: errcode %d, want %s", in, got.Code, code)
		}
		if err != nil && !bytes.ContainsFunc(in, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%q: %v", in, err)
		}
	})
}

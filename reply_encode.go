package echostr

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Address is the part of a reply that says from whom to whom it goes. It is
// the push's, with the two names swapped: R-REPLY-ENVELOPE.
type Address struct {
	// ToUserName is the OpenID of the user who asked.
	ToUserName string
	// FromUserName is the account's original id (gh_…), never its AppID.
	FromUserName string
	// CreateTime is the time of the reply in Unix seconds.
	CreateTime int64
}

// AppendReply appends r, addressed to a, to dst as the document that WeChat
// reads, and returns the longer slice. No answer (nil or [None]) is appended as
// "success". In the safe mode the document is what has to be sealed; success is
// never sealed.
//
// It writes what it is given, so call [Validate] first. But whatever
// the strings contain, they stay text inside their own element: "]]>" is
// split, and what XML cannot carry is left out (R-REPLY-CDATA, R-REPLY-CHARS). The only
// exception is InnerXML of a [RawReply].
//
// A text reply costs one allocation if dst has no room, and none if it has.
func AppendReply(dst []byte, r Reply, a Address) []byte {
	switch r := r.(type) {
	case nil, None:
		return append(dst, "success"...) // R-REPLY-NONE
	case TextReply:
		// The only element that can be long: grow once. 256 bytes hold the rest
		// with the names as WeChat makes them.
		dst = grow(dst, 256+len(a.ToUserName)+len(a.FromUserName)+
			len(r.Content)+len(cdataSplit)*strings.Count(r.Content, cdataClose))
		dst = appendHead(dst, a, "text")
		dst = appendElement(dst, "Content", r.Content)
	case ImageReply:
		dst = appendHead(dst, a, "image")
		dst = append(dst, "<Image>"...)
		dst = appendElement(dst, "MediaId", r.MediaID)
		dst = append(dst, "</Image>\n"...)
	case VoiceReply:
		dst = appendHead(dst, a, "voice")
		dst = append(dst, "<Voice>"...)
		dst = appendElement(dst, "MediaId", r.MediaID)
		dst = append(dst, "</Voice>\n"...)
	case VideoReply:
		dst = appendHead(dst, a, "video")
		dst = append(dst, "<Video>"...)
		dst = appendElement(dst, "MediaId", r.MediaID)
		dst = appendOptional(dst, "Title", r.Title)
		dst = appendOptional(dst, "Description", r.Description)
		dst = append(dst, "</Video>\n"...)
	case MusicReply:
		dst = appendHead(dst, a, "music")
		dst = append(dst, "<Music>"...)
		dst = appendOptional(dst, "Title", r.Title)
		dst = appendOptional(dst, "Description", r.Description)
		dst = appendOptional(dst, "MusicUrl", r.MusicURL)
		dst = appendOptional(dst, "HQMusicUrl", r.HQMusicURL)
		dst = appendElement(dst, "ThumbMediaId", r.ThumbMediaID)
		dst = append(dst, "</Music>\n"...)
	case NewsReply:
		dst = appendHead(dst, a, "news")
		dst = appendNumber(dst, "ArticleCount", int64(len(r.Articles)))
		dst = append(dst, "<Articles>"...)
		for _, article := range r.Articles {
			// The documentation's articles always have all four elements.
			dst = append(dst, "<item>"...)
			dst = appendElement(dst, "Title", article.Title)
			dst = appendElement(dst, "Description", article.Description)
			dst = appendElement(dst, "PicUrl", article.PicURL)
			dst = appendElement(dst, "Url", article.URL)
			dst = append(dst, "</item>\n"...)
		}
		dst = append(dst, "</Articles>\n"...)
	case TransferReply:
		dst = appendHead(dst, a, "transfer_customer_service")
		if cleanLen(r.KfAccount) > 0 {
			dst = append(dst, "<TransInfo>"...)
			dst = appendElement(dst, "KfAccount", r.KfAccount)
			dst = append(dst, "</TransInfo>\n"...)
		}
	case RawReply:
		dst = appendHead(dst, a, r.MsgType)
		dst = append(dst, r.InnerXML...)
	default:
		panic(fmt.Sprintf("echostr: AppendReply: %T is not a reply of this package; call Validate first", r))
	}
	return append(dst, "</xml>"...)
}

// grow makes room for n more bytes. Unlike slices.Grow it allocates no more
// than once under the race detector too, so that the promise of AppendReply can
// be tested there.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return append(make([]byte, 0, len(dst)+n), dst...)
}

func appendHead(dst []byte, a Address, msgType string) []byte {
	dst = append(dst, "<xml>\n"...)
	dst = appendElement(dst, "ToUserName", a.ToUserName)
	dst = appendElement(dst, "FromUserName", a.FromUserName)
	dst = appendNumber(dst, "CreateTime", a.CreateTime)
	return appendElement(dst, "MsgType", msgType)
}

func appendNumber(dst []byte, name string, n int64) []byte {
	dst = appendTag(dst, "<", name)
	dst = strconv.AppendInt(dst, n, 10)
	dst = appendTag(dst, "</", name)
	return append(dst, '\n')
}

func appendOptional(dst []byte, name, value string) []byte {
	if cleanLen(value) == 0 {
		return dst
	}
	return appendElement(dst, name, value)
}

func appendElement(dst []byte, name, value string) []byte {
	dst = appendTag(dst, "<", name)
	dst = append(dst, cdataOpen...)
	dst = appendCDATA(dst, value)
	dst = append(dst, cdataClose...)
	dst = appendTag(dst, "</", name)
	return append(dst, '\n')
}

func appendTag(dst []byte, open, name string) []byte {
	dst = append(dst, open...)
	dst = append(dst, name...)
	return append(dst, '>')
}

// cdataSplit ends a section and begins the next, between "]]" and ">".
const cdataSplit = cdataClose + cdataOpen

// appendCDATA appends s, cleaned, as the content of a CDATA section. The end
// mark is looked for in what has been written and not in s, because leaving out
// a character can bring "]]" and ">" together. R-REPLY-CDATA
func appendCDATA(dst []byte, s string) []byte {
	for s != "" {
		n := strings.IndexByte(s, '>')
		if n < 0 {
			return appendClean(dst, s)
		}
		dst = appendClean(dst, s[:n])
		if end := len(dst); end >= 2 && dst[end-1] == ']' && dst[end-2] == ']' {
			dst = append(dst, cdataSplit...)
		}
		dst = append(dst, '>')
		s = s[n+1:]
	}
	return dst
}

// appendClean appends s as a reader of XML would see it: characters that
// XML 1.0 does not have and bytes that are not UTF-8 are left out, and every
// line ends in LF. R-REPLY-CHARS
func appendClean(dst []byte, s string) []byte {
	for {
		n := cleanPrefix(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return dst
		}
		keep, skip := repair(s[n:])
		dst = append(dst, keep...)
		s = s[n+skip:]
	}
}

// cleanLen is the number of bytes that appendClean appends.
func cleanLen(s string) int {
	total := 0
	for {
		n := cleanPrefix(s)
		total += n
		if n == len(s) {
			return total
		}
		keep, skip := repair(s[n:])
		total += len(keep)
		s = s[n+skip:]
	}
}

// clean returns what appendClean appends; s itself if it is clean already.
func clean(s string) string {
	if cleanPrefix(s) == len(s) {
		return s
	}
	return string(appendClean(make([]byte, 0, len(s)), s))
}

// cleanPrefix returns the length of the part of s that needs no repair.
func cleanPrefix(s string) int {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' && c != '\n' && c != '\t' {
				return i
			}
			i++
			continue
		}
		size, ok := legalRune(s, i)
		if !ok {
			return i
		}
		i += size
	}
	return len(s)
}

// repair says what stands for the first character of s, which is not clean,
// and how many bytes it stands for.
func repair(s string) (keep string, skip int) {
	switch _, size := utf8.DecodeRuneInString(s); {
	case s[0] != '\r':
		return "", size
	case len(s) > 1 && s[1] == '\n':
		return "\n", 2
	default:
		return "\n", 1
	}
}

// checkInnerXML reports why s cannot stand behind the common elements.
func checkInnerXML(s string) error {
	d := xml.NewDecoder(io.MultiReader(strings.NewReader("<xml>"), strings.NewReader(s), strings.NewReader("</xml>")))
	for depth := 0; ; {
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth == 1 && isCommonElement(t.Name.Local) {
				return fmt.Errorf("%s is written for you", t.Name.Local)
			}
			depth++
		case xml.EndElement:
			if depth--; depth == 0 && d.InputOffset() != int64(len("<xml></xml>")+len(s)) {
				return errors.New("it closes the document")
			}
		case xml.CharData:
			if depth == 1 && strings.TrimSpace(string(t)) != "" {
				return errors.New("there is text outside of the elements")
			}
		case xml.Directive, xml.ProcInst:
			return errors.New("it has a declaration or processing instruction")
		}
	}
}

func isCommonElement(name string) bool {
	for _, common := range [...]string{"ToUserName", "FromUserName", "CreateTime", "MsgType"} {
		if strings.EqualFold(name, common) {
			return true
		}
	}
	return false
}

// knownReplyType reports whether a MsgType has a Go type of its own.
func knownReplyType(msgType string) bool {
	switch strings.ToLower(msgType) {
	case "text", "image", "voice", "video", "music", "news", "transfer_customer_service":
		return true
	}
	return false
}

package echostr

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// DecodeReply reads a reply in any form that WeChat takes: values in CDATA or
// escaped, elements in any order, with white space and comments between them. It is
// what [AppendReply] writes turned round, and "success" and an empty body are [None].
// A type that this package does not know gives a [RawReply].
//
// The error says which part of the envelope is missing or wrong, or is a
// [*SyntaxError] if body is no document at all. Whether WeChat would show the
// reply is for [Validate].
func DecodeReply(body []byte) (Reply, Address, error) {
	if s := bytes.TrimSpace(body); len(s) == 0 || string(s) == "success" {
		return None{}, Address{}, nil // R-REPLY-NONE
	}
	var (
		r      Reply
		a      Address
		failed error
	)
	err := borrow(string(body), func(d *Document) {
		if a, failed = addressOf(d); failed == nil {
			r, failed = replyOf(d)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, Address{}, fmt.Errorf("reply: %w", err)
	}
	return r, a, nil
}

// addressOf reads the envelope: R-REPLY-ENVELOPE.
func addressOf(d *Document) (a Address, err error) {
	if a.ToUserName, _ = d.Get("ToUserName"); a.ToUserName == "" {
		return a, errors.New("ToUserName is missing; it is the OpenID of the user, the push's FromUserName")
	}
	if a.FromUserName, _ = d.Get("FromUserName"); a.FromUserName == "" {
		return a, errors.New("FromUserName is missing; it is the account's original id, the push's ToUserName")
	}
	created, _ := d.Get("CreateTime")
	if a.CreateTime, err = strconv.ParseInt(created, 10, 64); err != nil {
		return a, errors.New("CreateTime is not an integer; give Unix seconds without quotes or brackets")
	}
	return a, nil
}

func replyOf(d *Document) (Reply, error) {
	get := func(path ...string) string {
		v, _ := d.Get(path...)
		return v
	}
	msgType := get("MsgType")
	switch strings.ToLower(msgType) {
	case "":
		return nil, errors.New("MsgType is missing; give text, image, voice, video, music, news or transfer_customer_service")
	case "text":
		// The only value that is never trimmed.
		if n := d.child(0, "Content"); n >= 0 {
			return Text(d.value(n)), nil
		}
		return Text(""), nil
	case "image":
		return Image(get("Image", "MediaId")), nil
	case "voice":
		return Voice(get("Voice", "MediaId")), nil
	case "video":
		return VideoReply{
			MediaID:     get("Video", "MediaId"),
			Title:       get("Video", "Title"),
			Description: get("Video", "Description"),
		}, nil
	case "music":
		return MusicReply{
			Title:        get("Music", "Title"),
			Description:  get("Music", "Description"),
			MusicURL:     get("Music", "MusicUrl"),
			HQMusicURL:   get("Music", "HQMusicUrl"),
			ThumbMediaID: get("Music", "ThumbMediaId"),
		}, nil
	case "news":
		return NewsReply{Articles: articlesOf(d)}, nil
	case "transfer_customer_service":
		return TransferReply{KfAccount: get("TransInfo", "KfAccount")}, nil
	default:
		return RawReply{MsgType: msgType, InnerXML: innerXML(d)}, nil
	}
}

// articlesOf reads the list itself: ArticleCount may say something else.
func articlesOf(d *Document) (articles []Article) {
	list := d.child(0, "Articles")
	if list < 0 {
		return nil
	}
	for item := list + 1; item < d.nodes[list].next; item = d.nodes[item].next {
		if !strings.EqualFold(d.name(item), "item") {
			continue
		}
		field := func(name string) string {
			if n := d.child(item, name); n >= 0 {
				return d.trimmed(n)
			}
			return ""
		}
		articles = append(articles, Article{
			Title:       field("Title"),
			Description: field("Description"),
			PicURL:      field("PicUrl"),
			URL:         field("Url"),
		})
	}
	return articles
}

// innerXML returns the elements behind the four common ones as they stand in
// the document.
func innerXML(d *Document) string {
	var b strings.Builder
	for n := int32(1); n < d.nodes[0].next; n = d.nodes[n].next {
		if !isCommonElement(d.name(n)) {
			b.WriteString(d.src[d.nodes[n].name-1 : endOf(d, n)])
		}
	}
	return b.String()
}

// endOf returns where the end tag of node n ends.
func endOf(d *Document, n int32) int {
	x := &d.nodes[n]
	end := int(x.to)
	if x.from == x.to && strings.HasSuffix(d.src[:end], "/>") {
		return end // <name/>
	}
	if x.kind == kindCDATA {
		end += len(cdataClose)
	}
	return end + strings.IndexByte(d.src[end:], '>') + 1
}

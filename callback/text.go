package callback

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/internal/longtext"
	"github.com/echostr/echostr/store"
)

// What users read of replies that do not go out whole on a push: pages, links, placeholders. All of it
// is made from the row and the account alone, so every push and every process gets the same.

// linkRoom is what a page leaves for the link to the next one.
const linkRoom = 192

// fetchText is what a tap on a link says in the user's name, with the code of the reply behind it. It is
// recognised by its text alone, since nobody promises that WeChat tells the link's id: R-REPLY-LINKS
const fetchText = "查看回答"

// link is a link that says, when the user taps it, that he wants to read a page of a reply: R-LATE-LINK
func link(text string, of store.Key, code string, page int) string {
	content := fetchText + " " + code
	if page > 1 {
		content += "-" + strconv.Itoa(page)
	}
	if text == "" {
		text = content
	}
	return `<a href="weixin://bizmsgmenu?msgmenucontent=` + content + `&msgmenuid=` + of.String() + `">` + text + `</a>`
}

var fetchPattern = regexp.MustCompile(`^\s*` + fetchText + `\s*([2-9A-HJ-NP-Za-hj-np-z]{2,8})(?:-([0-9]{1,4}))?\s*$`)

// readFetch reads what a tap on a link says.
func readFetch(content string) (code string, page int, ok bool) {
	m := fetchPattern.FindStringSubmatch(content)
	if m == nil {
		return "", 0, false
	}
	page, _ = strconv.Atoi(m[2])
	return strings.ToUpper(m[1]), max(page, 1), true
}

const codeAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ" // nothing that looks like something else

// maxCode is how many characters a code has at most.
const maxCode = 8

// codeOf is the code of that length for a turn: R-LATE-CODE
func codeOf(key store.Key, length int) string {
	var bits uint64
	for _, b := range key[len(key)-8:] {
		bits = bits<<8 | uint64(b)
	}
	b := make([]byte, length)
	for i := range b {
		b[i] = codeAlphabet[bits>>(5*i)&31]
	}
	return string(b)
}

// textOf is the text of a reply document, and false if it is another type of reply.
func textOf(document string) (string, bool) {
	r, _, err := echostr.DecodeReply([]byte(document))
	if err != nil {
		return "", false
	}
	text, ok := r.(echostr.TextReply)
	return text.Content, ok
}

// rest is what the user has not been told of a text.
func rest(text string, told int) string {
	if told <= 0 || told > len(text) {
		return text
	}
	return strings.TrimLeftFunc(text[told:], unicode.IsSpace)
}

// pagesOf parts a text into the pages in which it is fetched: R-LATE-PAGE
func pagesOf(text string) []string {
	if len(text) <= echostr.MaxTextBytes {
		return []string{text}
	}
	return longtext.Split(text, echostr.MaxTextBytes-linkRoom)
}

// pagesLeft is in how many pages what a user has not been told of a row's reply is fetched.
func pagesLeft(row *store.Turn) int {
	text, isText := textOf(row.Reply)
	if !isText {
		return 1
	}
	return len(pagesOf(rest(text, row.Way.Told)))
}

// page is what the user reads of a row's reply: the page with this number, which counts from 1 and from
// what has been told, with the link to the next one.
func page(row *store.Turn, number int) (echostr.Reply, bool) {
	r, _, err := echostr.DecodeReply([]byte(row.Reply))
	if err != nil {
		return nil, false
	}
	text, ok := r.(echostr.TextReply)
	if !ok {
		return alone(r), number == 1
	}
	left := rest(text.Content, row.Way.Told)
	if left == "" {
		return echostr.Text(textAllTold), number == 1
	}
	pages := pagesOf(left)
	if number < 1 || number > len(pages) {
		return nil, false
	}
	if number == len(pages) {
		return echostr.Text(pages[number-1]), true
	}
	next := link(fmt.Sprintf("继续看（%d/%d）", number+1, len(pages)), row.Key, row.Code, number+1)
	return echostr.Text(pages[number-1] + "\n\n" + next), true
}

// part is the next message by which the API sends the rest of a row's reply, if it may send so many more.
type part struct {
	reply echostr.Reply
	told  int  // what the user has been told of the text then
	more  bool // there is more to be sent
	pages int  // above 0: the rest is fetched in so many pages, and the message has the link
}

func nextPart(row *store.Turn, fallback string, quota int) (p part, ok bool) {
	if row.State == store.Failed {
		return part{reply: echostr.Text(fallback)}, fallback != ""
	}
	r, _, err := echostr.DecodeReply([]byte(row.Reply))
	if err != nil {
		return p, false
	}
	text, isText := r.(echostr.TextReply)
	switch r := alone(r).(type) {
	case echostr.TransferReply, echostr.RawReply: // only a push can carry these: that of the tap on the link
		return part{reply: echostr.Text(link(ready, row.Key, row.Code, 1)), pages: 1}, true
	default:
		if !isText {
			return part{reply: r}, true
		}
	}
	left := rest(text.Content, row.Way.Told)
	parts := longtext.Split(left, echostr.MaxTextBytes)
	if len(parts) == 0 { // all of it has been told
		return p, false
	}
	base := len(text.Content) - len(left)
	if len(parts) == 1 || len(parts) <= quota-row.Way.Sent || quota-row.Way.Sent > 1 {
		return part{reply: echostr.Text(parts[0]), told: base + endOf(left, parts[0]), more: len(parts) > 1}, true
	}
	// The last message that WeChat takes tells how to fetch what does not go into it.
	first := longtext.Split(left, echostr.MaxTextBytes-linkRoom)[0]
	told := base + endOf(left, first)
	pages := len(pagesOf(rest(text.Content, told)))
	return part{
		reply: echostr.Text(first + "\n\n" + link(fmt.Sprintf("继续看（还有 %d 页）", pages), row.Key, row.Code, 1)),
		told:  told, pages: pages,
	}, true
}

// alone is a reply as it goes out without the message that it answers. News of several articles are then a text
// with their links, since WeChat takes one article by the API and in answer to a tap: R-REPLY-NEWS
func alone(r echostr.Reply) echostr.Reply {
	news, ok := r.(echostr.NewsReply)
	if !ok || len(news.Articles) <= 1 {
		return r
	}
	var lines []string
	for _, a := range news.Articles {
		line := strings.NewReplacer("<", "＜", ">", "＞").Replace(a.Title)
		if a.URL != "" {
			line = `<a href="` + strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E").Replace(a.URL) + `">` + line + `</a>`
		}
		lines = append(lines, line)
	}
	return echostr.Text(echostr.CutText(strings.Join(lines, "\n\n"), echostr.MaxTextBytes))
}

// endOf is where a piece of text that Split has made from its beginning ends in it.
func endOf(text, piece string) int {
	return max(0, strings.Index(text, piece)) + len(piece)
}

// maxHeading bounds what is quoted of a question, in bytes.
const maxHeading = 60

// question is what a stored message asked, for the heading of its answer.
func question(row *store.Turn) string {
	var doc echostr.Document
	if row.Way.Fetch.Page > 0 || doc.Parse([]byte(row.Body)) != nil {
		return ""
	}
	return asked(doc.Message())
}

// asked is what a message says in words, or its kind.
func asked(m echostr.Message) string {
	var text string
	switch m := m.(type) {
	case *echostr.TextMessage:
		text = m.Content
	case *echostr.VoiceMessage:
		if text = m.Recognition; text == "" {
			text = "[voice]"
		}
	case nil:
	default:
		text = "[" + m.Head().MsgType + "]"
	}
	return strings.Join(strings.Fields(text), " ")
}

// said is what a reply says in words, or its kind.
func said(r echostr.Reply) string {
	switch r := r.(type) {
	case echostr.TextReply:
		return r.Content
	case echostr.NewsReply:
		var titles []string
		for _, a := range r.Articles {
			titles = append(titles, a.Title)
		}
		return "[news] " + strings.Join(titles, "; ")
	case echostr.ImageReply:
		return "[image]"
	case echostr.VoiceReply:
		return "[voice]"
	case echostr.VideoReply:
		return "[video]"
	case echostr.MusicReply:
		return "[music] " + r.Title
	case nil, echostr.None:
		return ""
	}
	return "[other]"
}

// withHeading is an answer that the user did not wait for any more, headed by its question.
func withHeading(q, answer string) string {
	if q == "" {
		return answer
	}
	q = strings.NewReplacer("<", "＜", ">", "＞").Replace(q) // no markup, so that it can be cut
	return "您之前问“" + echostr.CutText(q, maxHeading) + "”：\n" + answer
}

// Texts of the server's own that users read.
const (
	textGone     = "这个回答已经过期，或者已经看完了。请重新提问。"
	textOnItsWay = "这个回答会单独发给您，请稍候。"
	textAllTold  = "（上面就是全部回答。）"
	unfinished   = "还没写完，稍后点这里看后面" // a link
	ready        = "您的回答好了，点这里查看"  // a link
	goesOn       = "\n……"          // behind a draft: more is written, and comes by itself
	textNoAnswer = "这个问题没有得到回答，请重新提问。"
	between      = "\n\n————\n\n" // an answer that is put ahead, and the present one
)

package conformance

import (
	"context"
	"strings"
)

// The parts of a text message, for documents that differ in one of them.
const (
	toLine      = "<ToUserName><![CDATA[{to}]]></ToUserName>"
	fromLine    = "<FromUserName><![CDATA[{from}]]></FromUserName>"
	timeLine    = "<CreateTime>{time}</CreateTime>"
	typeLine    = "<MsgType><![CDATA[text]]></MsgType>"
	contentLine = "<Content><![CDATA[{text}]]></Content>"
	idLine      = "<MsgId>{id}</MsgId>"
	headLines   = toLine + fromLine + timeLine + typeLine
	textXML     = "<xml>" + headLines + contentLine + idLine + "</xml>"
)

// cardXML is the event of a card, as it stands in WeChat's own documentation.
const cardXML = `<xml>
    <ToUserName> <![CDATA[{to}]]> </ToUserName>
    <FromUserName> <![CDATA[{from}]]> </FromUserName>
    <CreateTime>{time}</CreateTime>
    <MsgType> <![CDATA[event]]> </MsgType>
    <Event> <![CDATA[user_get_card]]> </Event>
    <CardId> <![CDATA[pCheckCard0000000000000000000]]> </CardId>
    <IsGiveByFriend>1</IsGiveByFriend>
    <FriendUserName> <![CDATA[oCheckFriend]]> </FriendUserName>
    <UserCardCode> <![CDATA[226009850808]]> </UserCardCode>
    <OuterId>1</OuterId>
</xml>`

// between is a text message with white space between the elements.
func between(blanks string) string {
	return strings.Join([]string{"<xml>", toLine, fromLine, timeLine, typeLine, contentLine, idLine, "</xml>"}, blanks)
}

// form is one way to write a text message.
type form struct {
	name, rule string
	level      Outcome
	title      Text
	template   string
	text, want string // what stands in {text} and what it means; both empty: a word
}

func xmlChecks() []Check {
	forms := []form{
		{"one-line", "R-XML-BLANKS", Fail, say("no white space between the elements", "元素之间没有空白"), textXML, "", ""},
		{"indented", "R-XML-BLANKS", Fail, say("line ends and indentation between the elements", "元素之间有换行和缩进"), between("\n    "), "", ""},
		{"crlf", "R-XML-LINEEND", Fail, say("CR LF between the elements", "元素之间是 CR LF"), between("\r\n"), "", ""},
		{
			"no-cdata", "R-XML-TEXT", Fail, say("text without CDATA", "文本没有 CDATA"),
			strings.NewReplacer("<![CDATA[", "", "]]>", "").Replace(textXML), "", "",
		},
		{"numbers-in-cdata", "R-XML-NUMBERS", Fail, say("numbers in CDATA", "数字放在 CDATA 里"), strings.NewReplacer("{time}", "<![CDATA[{time}]]>", "{id}", "<![CDATA[{id}]]>").Replace(textXML), "", ""},
		{"order", "R-XML-UNKNOWN", Fail, say("elements in another order", "元素的顺序不同"), "<xml>" + contentLine + idLine + typeLine + timeLine + fromLine + toLine + "</xml>", "", ""},
		{
			"unknown-element", "R-XML-UNKNOWN", Fail, say("an unknown element in front, as the debugging tool sends it", "最前面多一个不认识的元素，如接口调试工具"),
			"<xml><URL><![CDATA[http://example.com/wx]]></URL>" + headLines + contentLine + idLine + "<NewField>1</NewField></xml>", "", "",
		},
		{
			"nested-names", "R-XML-UNKNOWN", Fail, say("an unknown element whose children have known names", "不认识的元素里有名字相同的子元素"),
			"<xml><Extra><FromUserName><![CDATA[oSomebodyElse]]></FromUserName><MsgType>image</MsgType><Content>other</Content></Extra>" + headLines + contentLine + idLine + "</xml>", "", "",
		},
		{"declaration", "R-XML-UNKNOWN", Fail, say("an XML declaration", "有 XML 声明"), `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + textXML, "", ""},
		{"cdata-end", "R-XML-TEXT", Fail, say("]]> typed by a user, in two CDATA sections", "用户输入的 ]]> 被分成两段 CDATA"), textXML, "a]]]]><![CDATA[>b", "a]]>b"},
		{
			"entities", "R-XML-TEXT", Fail, say("the five entities and numeric ones, outside of CDATA", "CDATA 之外的五个实体和数字实体"),
			"<xml>" + headLines + "<Content>{text}</Content>" + idLine + "</xml>", "&lt;a&gt; &amp; &quot;b&quot; &apos;&#20320;&#x597D;", `<a> & "b" '你好`,
		},
		{"markup", "R-REPLY-CDATA", Fail, say("markup typed by a user does not become elements of the reply", "用户输入的标签不会变成回复里的元素"), textXML, "</Content><MsgType>image</MsgType><![CDATA[x", "</Content><MsgType>image</MsgType><![CDATA[x"},
		{"emoji", "R-XML-TEXT", Fail, say("characters of four bytes in UTF-8", "UTF-8 四字节的字符"), textXML, "𠮷 😀 👨‍👩‍👧", "𠮷 😀 👨‍👩‍👧"},
		{"entity-names-in-cdata", "R-XML-TEXT", Fail, say("what looks like an entity in CDATA is text", "CDATA 里看起来像实体的仍是文本"), textXML, "a &amp; &lt;b&gt; %3C", "a &amp; &lt;b&gt; %3C"},
		{
			"blanks-around-cdata", "R-XML-BLANKS", Advice, say("white space around CDATA in a text, where WeChat has none", "文本消息的 CDATA 前后也有空白（微信目前不会这样发）"),
			strings.NewReplacer(
				"<ToUserName><![CDATA[{to}]]>", "<ToUserName> <![CDATA[{to}]]> ",
				"<FromUserName><![CDATA[{from}]]>", "<FromUserName> <![CDATA[{from}]]> ",
				"<![CDATA[text]]>", " <![CDATA[text]]> ",
			).Replace(textXML), "", "",
		},
		{"card-event", "R-XML-BLANKS", Advice, say("white space around CDATA in a card event, as in WeChat's own example", "卡券事件的 CDATA 前后有空白，如官方示例"), cardXML, "", ""},
		{"empty-elements", "R-XML-BLANKS", Advice, say("empty elements, in both forms", "空元素的两种写法"), "<xml><A/><B></B>" + headLines + contentLine + "<C />" + idLine + "</xml>", "", ""},
		{
			"cdata-pieces", "R-XML-TEXT", Advice, say("text in pieces: CDATA, text, CDATA", "文本分成几段：CDATA、文字、CDATA"),
			"<xml>" + headLines + "<Content><![CDATA[a]]>b<![CDATA[c]]></Content>" + idLine + "</xml>", "", "abc",
		},
		{"comments", "R-XML-UNKNOWN", Advice, say("comments, also inside of an element", "注释，也可能在元素里面"), "<xml><!-- FromUserName -->" + headLines + "<Content>a<!-- x -->b</Content>" + idLine + "</xml>", "", "ab"},
		{"instruction", "R-XML-UNKNOWN", Advice, say("a processing instruction", "处理指令"), "<xml><?php echo 1 ?>" + headLines + contentLine + idLine + "</xml>", "", ""},
		{"attributes", "R-XML-UNKNOWN", Advice, say("attributes", "属性"), strings.NewReplacer("<xml>", `<xml version="1" a='b>c'>`, "<Content>", `<Content type="x" MsgType="y">`).Replace(textXML), "", ""},
		{"bom", "R-XML-UNKNOWN", Advice, say("a byte order mark in front", "最前面有 BOM"), "\ufeff" + textXML, "", ""},
		{"control", "R-XML-CHARS", Advice, say("a control character, which some clients send although XML does not allow it", "控制字符：XML 不允许，但有的客户端会发"), textXML, "a\bb", ""},
		{"bad-utf8", "R-XML-CHARS", Advice, say("bytes that are not UTF-8", "不是 UTF-8 的字节"), textXML, "a\xe4\xbdb", ""},
		{"content-crlf", "R-XML-LINEEND", Advice, say("CR LF in a text means a line end", "文字里的 CR LF 就是换行"), textXML, "a\r\nb", "a\nb"},
		{"content-blanks", "R-XML-BLANKS", Advice, say("blanks at the ends of a text, in CDATA, belong to it", "CDATA 里文字首尾的空格属于文字"), textXML, "  a  ", "  a  "},
		{"milliseconds", "R-MSG-TIME", Advice, say("a CreateTime of 13 digits, in milliseconds", "13 位的 CreateTime，单位是毫秒"), strings.ReplaceAll(textXML, "{time}", "{time}123"), "", ""},
		{"no-id", "R-MSG-COMMON", Advice, say("a text without MsgId", "没有 MsgId 的文本消息"), "<xml>" + headLines + contentLine + "</xml>", "", ""},
		{"type-case", "R-MSG-TYPE", Advice, say("MsgType in other letter case", "MsgType 的大小写不同"), strings.ReplaceAll(textXML, "[text]", "[Text]"), "", ""},
	}
	var checks []Check
	for _, f := range forms {
		c := Check{Name: f.name, Level: f.level, Rule: f.rule, Title: f.title, run: f.check}
		switch f.name {
		case "control", "bad-utf8":
			c.Do = say("replace what XML does not allow and parse again; leave it out of replies", "把 XML 不允许的字符替换掉再解析；回复里也不要带上")
		case "card-event", "blanks-around-cdata":
			c.Do = say("trim the white space around ToUserName, FromUserName, MsgType and Event", "去掉 ToUserName、FromUserName、MsgType、Event 首尾的空白")
		case "type-case":
			c.Do = say("ignore the letter case of MsgType and Event", "比较 MsgType 和 Event 时忽略大小写")
		case "markup":
			c.Do = say("write replies with an XML writer, or split ]]> inside of CDATA", "用 XML 库写回复，或把 CDATA 里的 ]]> 拆开")
		}
		checks = append(checks, c)
	}
	return checks
}

func (f form) check(ctx context.Context, p *probe) finding {
	text, want := f.text, f.want
	if text == "" && want == "" {
		text = word()
		want = text
	}
	m := p.raw(f.template, text)
	if want == "" || f.template == cardXML { // what becomes of it is free
		return p.accepted(ctx, m)
	}
	return p.reads(ctx, m, want)
}

package echostr

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	size256K   = 256 << 10
	anyMessage = "any" // accepted, whatever it says
)

// hostile is the table of threat S9: what is refused, and what is read and how.
// want is the Content of the message, or the sentence of the error after "error: ".
func hostile() []struct{ name, body, want string } {
	in := func(s string) string { return "<xml><MsgType>text</MsgType>" + s + "</xml>" }
	content := func(s string) string { return in("<Content>" + s + "</Content>") }
	repeat := func(s string, total int) string { return strings.Repeat(s, total/len(s)) }
	full := func(open, s, end string) string { return open + repeat(s, size256K-len(open)-len(end)) + end }
	text := "<xml><MsgType>text</MsgType><Content>"
	end := "</Content></xml>"
	many := func(n int) string { return "<xml>" + strings.Repeat("<a/>", n-1) + "</xml>" }
	deep := func(n int) string {
		return "<xml>" + strings.Repeat("<a>", n-1) + strings.Repeat("</a>", n-1) + "</xml>"
	}
	utf16le := func(s string) string {
		b := []byte{0xff, 0xfe}
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return string(b)
	}
	repeated := "error: an element that may occur only once is repeated"
	entity := "error: it has an entity other than XML's own five"
	declaration := "error: it has a declaration, such as DOCTYPE, which WeChat never sends"
	badName := "error: a name has a character that names cannot have"
	noRoot := "error: it does not begin with the element xml"
	illegal := "error: it has an illegal character outside text"
	ends := "error: it ends inside an element"

	return []struct{ name, body, want string }{
		// Declarations and entities.
		{"doctype", "<!DOCTYPE xml>" + content("x"), declaration},
		{"external entity", `<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + content("&x;"), declaration},
		{"billion laughs", `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>` + content("&b;"), declaration},
		{"parameter entity", `<!DOCTYPE xml [<!ENTITY % x SYSTEM "http://127.0.0.1/">%x;]><xml/>`, declaration},
		{"doctype in the root", in("<!DOCTYPE a>"), declaration},
		{"doctype in small letters", "<!doctype xml><xml/>", declaration},
		{"element declaration", in("<!ELEMENT a ANY>"), declaration},
		{"conditional section", in("<![INCLUDE[x]]>"), declaration},
		{"CDATA around the root", "<![CDATA[x]]><xml/>", declaration},
		{"HTML entity", content("a&nbsp;b"), entity},
		{"own entity", content("&xxe;"), entity},
		{"entity in capitals", content("&LT;"), entity},
		{"bare ampersand", content("a & b"), entity},
		{"entity without an end", content("&lt"), entity},
		{"empty reference", content("&#;&#x;"), entity},
		{"reference in capitals", content("&#X41;"), entity},
		{"reference with a sign", content("&#-1;"), entity},
		{"entity between elements", in("&xxe;"), entity},
		{"entity in an attribute", in(`<a b="&xxe;"/>`), entity},
		{"five entities", content("&lt;&gt;&amp;&apos;&quot;"), `<>&'"`},
		{"numeric references", content("&#20320;&#x597D;&#x1F600;&#000000000000000065;"), "你好😀A"},

		// Depth, number, size.
		{"depth 16", deep(16), anyMessage},
		{"depth 17", deep(17), "error: elements are nested too deeply"},
		{"256 KiB of <a>", full("<xml>", "<a>", ""), "error: elements are nested too deeply"},
		{"256 KiB of <xml>", full("", "<xml>", ""), "error: elements are nested too deeply"},
		{"2000 elements", many(2000), anyMessage},
		{"2001 elements", many(2001), "error: it has too many elements"},
		{"256 KiB of <a/>", full("<xml>", "<a/>", "</xml>"), "error: it has too many elements"},
		{"256 KiB of <", full("<xml>", "<", ""), "error: a name is expected here"},
		{"256 KiB of attributes", full("<xml ", `a="" `, "></xml>"), anyMessage},
		{"one attribute of 256 KiB", full(`<xml a="`, "x", `"></xml>`), anyMessage},
		{"256 KiB of comments", full(text, "<!---->", end), ""},
		{"256 KiB of instructions", full(text, "<?a?>", end), ""},
		{"256 KiB of CDATA sections", full(text, "<![CDATA[]]>", end), ""},
		{"256 KiB of CDATA ends", full(text+"<![CDATA[", "]", "]]>"+end), anyMessage},
		{"256 KiB of references", full(text, "&#x4f60;", end), anyMessage},
		{"256 KiB of NUL", full(text, "\x00", end), anyMessage},
		{"256 KiB of carriage returns", full(text, "\r", end), anyMessage},
		{"256 KiB of bad UTF-8", full(text+"<![CDATA[", "\xff", "]]>"+end), anyMessage},
		{"256 KiB of NUL and letters", full(text, "\x00a", end), anyMessage},
		{"256 KiB of half a character", full(text, "\xe4\xbd", end), anyMessage},
		{"256 KiB of U+FFFF", full(text, "\uffff", end), anyMessage},
		{"256 KiB of line ends", full(text, "\r\n", end), anyMessage},
		{"256 KiB of blanks", full(text, " ", end), anyMessage},
		{"256 KiB of blanks in front", full("", " ", "<xml/>"), anyMessage},
		{"a name of 256 KiB", full("<xml><", "a", "/></xml>"), anyMessage},
		{
			"long names with many children", "<xml><" + repeat("n", 100<<10) + ">" + strings.Repeat("<a/>", 1000) + "</" + repeat("n", 100<<10) + "></xml>",
			"error: the names of its elements are too long",
		},
		{"end tag of 256 KiB", full("<xml></xml", " ", ">"), anyMessage},
		{"number of 256 KiB", full("<xml><CreateTime>", "9", "</CreateTime></xml>"), anyMessage},
		{"fraction of 256 KiB", full("<xml><MsgType>location</MsgType><Location_X>0.", "1", "</Location_X></xml>"), anyMessage},
		{"MsgType of 256 KiB", full("<xml><MsgType>", "T", "</MsgType></xml>"), anyMessage},

		// Repeated scalars.
		{"repeated ToUserName", in("<ToUserName>a</ToUserName><ToUserName>b</ToUserName>"), repeated},
		{"repeated FromUserName", in("<FromUserName>a</FromUserName><fromusername>b</fromusername>"), repeated},
		{"repeated CreateTime", in("<CreateTime>1</CreateTime><CREATETIME>2</CREATETIME>"), repeated},
		{"repeated MsgType", in("<MsgType>event</MsgType>"), repeated},
		{"repeated MsgType in other case", in("<msgtype/>"), repeated},
		{"repeated Event", in("<Event>a</Event><event>b</event>"), repeated},
		{"repeated MsgId", in("<MsgId>1</MsgId><MsgId>1</MsgId>"), repeated},
		{"repeated msgid", in("<MsgId>1</MsgId><msgid>2</msgid>"), repeated},
		{"repeated EventKey", in("<EventKey/><EventKey/>"), repeated},
		{"repeated Encrypt", in("<Encrypt>a</Encrypt><encrypt>b</encrypt>"), repeated},
		{"MsgId and MsgID", in("<MsgId>1</MsgId><MsgID>2</MsgID>"), ""},
		{"letters that only fold to ASCII", in("<M\u017fgType>event</M\u017fgType><EventKey>a</EventKey><Event\u212aey>b</Event\u212aey>"), ""},
		{"inside another element", in("<a><MsgType>event</MsgType></a><Content>x</Content>"), "x"},
		{"repeated Content", content("first") + "", "first"},
		{"Content twice: the first", in("<Content>first</Content><a/><Content>second</Content>"), "first"},
		{"exact name before similar", in("<content>similar</content><Content>exact</Content>"), "exact"},

		// The root and what is around it.
		{"empty", "", "error: there is no element in it"},
		{"blanks", " \n\t", "error: there is no element in it"},
		{"JSON", `{"MsgType":"text"}`, noRoot},
		{"text in front", "x" + content("x"), noRoot},
		{"text behind", content("x") + "x", "error: something follows the end of the element xml"},
		{"NUL behind", content("x") + "\x00", "error: something follows the end of the element xml"},
		{"second root", content("x") + content("y"), "error: something follows the end of the element xml"},
		{"second declaration", "<?xml version='1.0'?>" + content("x") + "<?xml version='1.0'?>", "error: an XML declaration stands where it must not"},
		{"declaration inside", in("<?xml version='1.0'?>"), "error: an XML declaration stands where it must not"},
		{"root in capitals", "<XML></XML>", noRoot},
		{"other root", "<html></html>", noRoot},
		{"longer root", "<xmlx></xmlx>", noRoot},
		{"root with a prefix", "<a:xml xmlns:a='b'></a:xml>", noRoot},
		{"prefix xml", "<xml:a></xml:a>", noRoot},
		{"namespace", "<xml xmlns='http://example.com/'><MsgType>text</MsgType><Content>x</Content></xml>", "x"},
		{"field with a prefix", "<xml xmlns:a='b'><MsgType>text</MsgType><a:Content>x</a:Content><a:MsgType>y</a:MsgType></xml>", ""},
		{"byte order mark", "\ufeff" + content("x"), "x"},
		{"byte order mark twice", "\ufeff\ufeff" + content("x"), noRoot},
		{"all that may be around", "\ufeff <?xml version=\"1.0\" encoding='UTF-8' standalone=\"yes\"?> <!-- a --> <?b c?>\r\n" + content("x") + "\n<!-- d --><?e?> ", "x"},
		{"empty root", "<xml/>", anyMessage},
		{"text in the root", "<xml>text</xml>", anyMessage},

		// Encodings.
		{"GBK", `<?xml version="1.0" encoding="gbk"?>` + content("x"), "error: its encoding is not UTF-8"},
		{"UTF-7", `<?xml version="1.0" encoding="UTF-7"?>` + content("x"), "error: its encoding is not UTF-8"},
		{"encoding in single quotes", `<?xml version='1.0' encoding='iso-8859-1'?>` + content("x"), "error: its encoding is not UTF-8"},
		{"UTF-16", utf16le(content("x")), noRoot},
		{"UTF-16 without a mark", utf16le(content("x"))[2:], noRoot},
		{"XML 1.1", `<?xml version="1.1"?>` + content("x"), "error: it is not XML 1.0"},
		{"malformed declaration", `<?xml version="1.0"encoding="gbk"?>` + content("x"), "error: the XML declaration is malformed"},

		// Characters.
		{"illegal in text", content("a\x00b\x08c\ufffed\uffffe"), "a\ufffdb\ufffdc\ufffdd\ufffde"},
		{"illegal in CDATA", content("<![CDATA[a\x1fb\x0bc]]>"), "a\ufffdb\ufffdc"},
		{"illegal by reference", content("a&#8;&#0;&#xD800;&#xFFFF;&#x110000;&#99999999999999999999;b"), "a\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdb"},
		{"bad UTF-8 in text", content("a\xffb\xc0\xafc\xed\xa0\x80d\xe4\xbd"), "a\ufffdb\ufffd\ufffdc\ufffd\ufffd\ufffdd\ufffd\ufffd"},
		{"U+FFFD itself", content("\ufffd"), "\ufffd"},
		{"line ends", content("a\r\nb\rc\n\rd&#13;&#10;e"), "a\nb\nc\n\nd\r\ne"},
		{"line ends in CDATA", content("<![CDATA[a\r\nb\rc&#13;]]>"), "a\nb\nc&#13;"},
		{"blanks of a text", content(" \t<![CDATA[ x ]]>\n"), " \t x \n"},
		{"bad UTF-8 in a name", in("<a\xff/>"), badName},
		{"bad UTF-8 in an attribute", in("<a b='\xff'/>"), illegal},
		{"bad UTF-8 in a comment", in("<!--\xff-->"), illegal},
		{"bad UTF-8 in an instruction", in("<?a \xff?>"), illegal},
		{"NUL in a name", in("<a\x00/>"), badName},
		{"NUL in an attribute", in("<a b='\x00'/>"), illegal},
		{"NUL in a comment", "<!--\x00-->" + content("x"), illegal},
		{"names in Chinese", in("<名字>x</名字>"), ""},
		{"name of a symbol", in("<😀/>"), ""},
		{"name of punctuation", in("<—/>"), badName},

		// Tags.
		{"wrong end tag", "<xml><a></b></xml>", "error: an end tag does not match its start tag"},
		{"end tag in other case", "<xml><a></A></xml>", "error: an end tag does not match its start tag"},
		{"end tag that is longer", "<xml><a></ab></xml>", "error: an end tag does not match its start tag"},
		{"crossed tags", "<xml><a><b></a></b></xml>", "error: an end tag does not match its start tag"},
		{"end tag with an attribute", "<xml><a></a b='c'></xml>", "error: an end tag does not match its start tag"},
		{"blank before the name", "<xml>< a/></xml>", "error: a name is expected here"},
		{"blank in the end tag", "<xml><MsgType>text</MsgType ><Content>x</Content\n></xml\t>", "x"},
		{"name of digits", "<xml><1/></xml>", "error: a name is expected here"},
		{"attribute without a value", in("<a b/>"), "error: an attribute has no value"},
		{"attribute without quotes", in("<a b=c/>"), "error: the value of an attribute is not quoted"},
		{"attributes without a blank", in("<a b='c'd='e'/>"), badName},
		{"tag in an attribute", in("<a b='<Content>x</Content>'/>"), "error: the value of an attribute is not closed"},
		{"end of a tag in an attribute", in("<a b='>'></a><Content c=\"/>\" d = '>'>x</Content>"), "x"},
		{"hyphens in a comment", in("<!-- -- -->"), "error: a comment has two hyphens in it"},
		{"comment that looks closed", content("<!--><Content>x</Content>-->y"), "y"},
		{"value in pieces", content("a<!-- b -->c<?d e?>f<![CDATA[g]]]]><![CDATA[>h]]>"), "acfg]]>h"},
		{"markup in CDATA", content("<![CDATA[<xml>&lt;<!--]]>"), "<xml>&lt;<!--"},
		{"end of CDATA in text", content("a]]>b"), "a]]>b"},
		{"CDATA that lost its bracket", content("![CDATA[x]]"), "![CDATA[x]]"},
		{"text between elements", "<xml>a<MsgType>text</MsgType>b<Content>x</Content>c</xml>", "x"},
		{"text beside a child", in("<Content>a<b>c</b>d</Content>"), ""},

		// Cut off.
		{"cut in the root", "<xml", "error: it ends inside a tag"},
		{"cut after the root", "<xml>", ends},
		{"cut in a tag", "<xml><a", "error: it ends inside a tag"},
		{"cut in a text", "<xml><a>b", ends},
		{"cut in an end tag", "<xml><a></a", "error: it ends inside a tag"},
		{"cut in CDATA", "<xml><a><![CDATA[b]]", "error: a CDATA section is not closed"},
		{"cut in a CDATA mark", "<xml><a><![CDA", "error: it ends inside a tag"},
		{"cut in a comment", "<xml><!-- a --", "error: a comment has two hyphens in it"},
		{"cut in an instruction", "<xml><?a ?", "error: a processing instruction is not closed"},
		{"cut in an attribute", "<xml a='b", "error: the value of an attribute is not closed"},
		{"cut in a reference", "<xml><a>&#12", entity},
		{"cut in the declaration", "<?xml version='1.0'", "error: the XML declaration is not closed"},
	}
}

// Threat S9: hostile XML is refused with one clear sentence, or read in one
// defined way, and never costs more than 1 MiB or 5 ms. It must not run in
// parallel with others, since it looks at the allocations of the whole program.
func TestS9HostileXML(t *testing.T) {
	// The copy of the body, and three bytes of U+FFFD for each byte of a
	// body that is all illegal; the message itself comes on top.
	const bound = 4*size256K + 1024
	t.Logf("hostile inputs: %d", len(hostile()))
	for _, tt := range hostile() {
		t.Run(tt.name, func(t *testing.T) {
			body := []byte(tt.body)
			if len(body) > size256K {
				t.Fatalf("the body has %d bytes", len(body))
			}
			m, err := Decode(body)
			if refused, ok := strings.CutPrefix(tt.want, "error: "); ok {
				var syntax *SyntaxError
				if !errors.As(err, &syntax) {
					t.Fatalf("got %T, %v; want the error %q", m, err, refused)
				}
				if syntax.Msg != refused || syntax.Offset < 0 || syntax.Offset > len(body) {
					t.Errorf("error %q at %d, want %q", syntax.Msg, syntax.Offset, refused)
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				if m.Head().Raw() != tt.body {
					t.Error("Raw is not the body")
				}
				if tt.want != anyMessage {
					if got := m.(*TextMessage).Content; got != tt.want {
						t.Errorf("Content is %q, want %q", got, tt.want)
					}
				}
			}
			within(t, "Decode", bound, 5*time.Millisecond, func() { _, _ = Decode(body) })
			within(t, "Key", bound, 20*time.Millisecond, func() { hostileKey(body) })
			within(t, "AppendJSON", 8<<20, 50*time.Millisecond, func() { // only for people, who ask for it
				var d Document
				if d.Parse(body) == nil && !utf8.Valid(d.AppendJSON(nil)) {
					t.Error("the JSON is not UTF-8")
				}
			})
		})
	}
}

// hostileKey makes the key as the server does, from the document or the body.
func hostileKey(body []byte) MessageKey {
	d := documents.Get().(*Document)
	defer documents.Put(d)
	if d.Parse(body) != nil {
		return RawKey("wxb11529c136998cb6", body)
	}
	defer d.clear()
	return d.Key("wxb11529c136998cb6")
}

// within runs f until a run keeps to the bounds, and gives up after some: what
// else the machine does can only make a run worse. On a slow or busy machine
// the limit is 12 times what going over the characters of a body takes there.
func within(t *testing.T, what string, bytes uint64, limit time.Duration, f func()) {
	t.Helper()
	if raceDetector {
		limit *= 20
	}
	var before, after runtime.MemStats
	var took time.Duration
	for range 20 {
		runtime.ReadMemStats(&before)
		start := time.Now()
		f()
		took = time.Since(start)
		runtime.ReadMemStats(&after)
		start = time.Now()
		if !utf8.ValidString(yardstick) {
			t.Fatal("not UTF-8")
		}
		limit = max(limit, 12*time.Since(start))
		if after.TotalAlloc-before.TotalAlloc <= bytes && took <= limit {
			return
		}
	}
	t.Errorf("%s takes %d bytes and %v, at most %d and %v are allowed", what, after.TotalAlloc-before.TotalAlloc, took, bytes, limit)
}

var yardstick = strings.Repeat("é", size256K/2)

// Threat S9: wherever a push is cut off, it is refused.
func TestS9Truncated(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		var d Document
		end := strings.LastIndex(string(s.body), ">") + 1
		for n := range end {
			if err := d.Parse(s.body[:n]); err == nil {
				t.Fatalf("%s: the first %d of %d bytes are accepted", s.name, n, len(s.body))
			}
			if d.Raw() != "" || len(d.Message().Head().FromUserName) != 0 {
				t.Fatal("a document that was refused is not empty")
			}
		}
		if err := d.Parse(s.body[:end]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSyntaxErrorDoesNotQuote(t *testing.T) {
	t.Parallel()
	_, err := Decode([]byte("<xml><Content>secret &secret; secret</Content></xml>"))
	const want = "not a document of WeChat: it has an entity other than XML's own five (at byte 21); " +
		"keep the raw body and answer success, a retry would be the same"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// A Document is used again without harm to what it gave out.
func TestDocumentReuse(t *testing.T) {
	t.Parallel()
	var d Document
	if _, ok := d.Get("MsgType"); ok || d.Raw() != "" || string(d.AppendJSON(nil)) != "{}" {
		t.Error("the zero document is not empty")
	}
	if _, ok := d.Message().(*UnknownMessage); !ok {
		t.Error("the zero document is a message")
	}
	for range d.Leaves() {
		t.Error("the zero document has leaves")
	}
	body := []byte("<xml><MsgType>text</MsgType><Content>one</Content></xml>")
	if err := d.Parse(body); err != nil {
		t.Fatal(err)
	}
	m := d.Message().(*TextMessage)
	clear(body)
	for i := range 3 {
		if err := d.Parse(fmt.Appendf(nil, "<xml><Content>%d</Content></xml>", i)); err != nil {
			t.Fatal(err)
		}
		if got, _ := d.Get("Content"); got != fmt.Sprint(i) {
			t.Errorf("Content is %q, want %d", got, i)
		}
		if got, ok := d.Get("MsgType"); ok {
			t.Errorf("MsgType is left over: %q", got)
		}
	}
	if m.Content != "one" || m.MsgType != "text" {
		t.Errorf("the message changed: %+v", m)
	}
}

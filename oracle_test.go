package echostr

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// leaf is the path and the exact value of an element without children.
type leaf struct{ path, value string }

// xmlLeaves is the oracle: what encoding/xml reads, or its error.
func xmlLeaves(body []byte) ([]leaf, error) {
	type element struct {
		name   xml.Name
		path   string
		text   strings.Builder
		parent bool
		leaf   int
	}
	var out []leaf
	var open []*element
	// RawToken, since it keeps prefixes as they are written.
	for dec := xml.NewDecoder(bytes.NewReader(body)); ; {
		tok, err := dec.RawToken()
		if err == io.EOF && len(open) == 0 {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			name := tok.Name.Local
			if tok.Name.Space != "" {
				name = tok.Name.Space + ":" + name
			}
			e := &element{name: tok.Name, leaf: -1}
			if len(open) > 0 {
				up := open[len(open)-1]
				up.parent = true
				e.path = strings.TrimPrefix(up.path+"/"+name, "/")
				e.leaf = len(out)
				out = append(out, leaf{}) // in the order of start tags
			}
			open = append(open, e)
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text.Write(tok)
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1].name != tok.Name {
				return nil, fmt.Errorf("an end tag without its start tag")
			}
			e := open[len(open)-1]
			open = open[:len(open)-1]
			if e.leaf >= 0 && !e.parent {
				out[e.leaf] = leaf{e.path, e.text.String()}
			}
		}
	}
}

// compare parses body with both, and reports the message and whether both
// accept it. It is an error if they then read different things, or if the
// message does not survive encoding.
func compare(tb testing.TB, body []byte) (m Message, both bool) {
	tb.Helper()
	var d Document
	if d.Parse(body) != nil {
		return nil, false
	}
	m = d.Message()
	encoded := AppendMessage(nil, m)
	again, err := Decode(encoded)
	if err != nil {
		tb.Fatalf("the encoded message is refused: %v\n%q\n%q", err, body, encoded)
	}
	if !cmp.Equal(m, again, ignoreRaw) {
		tb.Fatalf("-decoded +encoded and decoded\n%s\n%q\n%q", cmp.Diff(m, again, ignoreRaw), body, encoded)
	}
	want, err := xmlLeaves(body)
	if err != nil {
		return m, false
	}
	want = slices.DeleteFunc(want, func(l leaf) bool { return l.path == "" }) // parents
	var got []leaf
	for path, value := range d.Leaves() {
		got = append(got, leaf{path, value})
	}
	if !slices.Equal(want, got) {
		tb.Fatalf("-encoding/xml +Document\n%s\n%q", cmp.Diff(want, got, cmp.AllowUnexported(leaf{})), body)
	}
	if _, err := xmlLeaves(encoded); err != nil {
		tb.Fatalf("encoding/xml refuses the encoded message: %v\n%q", err, encoded)
	}
	return m, true
}

// FuzzDecode looks for bodies that this package and encoding/xml both accept and
// read differently, and for messages that do not survive encoding.
func FuzzDecode(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.body)
	}
	for _, tt := range hostile() {
		if len(tt.body) < 4096 {
			f.Add([]byte(tt.body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) { compare(t, body) })
}

// A fuzzer finds nothing if one of the two refuses all it tries. So: of many documents
// made by rules close to WeChat's, nearly all are accepted by both, and read alike.
func TestOracleFloor(t *testing.T) {
	t.Parallel()
	const floor = 0.95
	documents := 20000
	if raceDetector {
		documents = 2000
	}
	g := grammar{
		Rand:   rand.New(rand.NewPCG(2, 9)),
		types:  slices.Sorted(maps.Keys(messageTypes)),
		events: slices.Sorted(maps.Keys(eventTypes)),
	}
	accepted := 0
	kinds := make(map[string]bool)
	for range documents {
		body := g.document()
		m, both := compare(t, body)
		if both {
			accepted++
			kinds[fmt.Sprintf("%T", m)] = true
		}
	}
	share := float64(accepted) / float64(documents)
	t.Logf("both accept %d of %d documents (%.2f %%), and read them alike; %d Go types were reached", accepted, documents, 100*share, len(kinds))
	if share < floor || share == 1 {
		t.Errorf("the share is not in [%v, 1)", floor)
	}
	if len(kinds) < len(messageTypes)+len(eventTypes)*3/4 {
		t.Errorf("only %d Go types", len(kinds))
	}
}

// grammar makes documents as WeChat sends them, with all its oddities and, rarely, worse.
type grammar struct {
	*rand.Rand
	types, events []string
	b             strings.Builder
}

func (g *grammar) one(of ...string) string { return of[g.IntN(len(of))] }

func (g *grammar) chance(percent float64) bool { return g.Float64()*100 < percent }

func (g *grammar) document() []byte {
	g.b.Reset()
	if g.chance(5) {
		g.b.WriteString("\ufeff")
	}
	if g.chance(20) {
		g.b.WriteString(g.one(`<?xml version="1.0"?>`, "<?xml version='1.0' encoding='utf-8'?>\n", `<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>`))
	}
	blank := g.one("", "\n", "\r\n", "\n  ", "\n\t\t")
	g.b.WriteString("<xml>" + blank)
	put := func(name, value string) {
		g.element(name, func() { g.value(value) })
		g.b.WriteString(blank)
	}
	fields := []func(){
		func() { put("ToUserName", "gh_8c001c7d976e") },
		func() { put("FromUserName", "oNYPFJxJ5yRQW_-XtIUBq1VaUATZ") },
		func() { put("CreateTime", fmt.Sprint(g.Int64N(2e9))) },
	}
	if g.chance(40) {
		kind := g.one(g.types...)
		fields = append(fields, func() { put("MsgType", kind) }, func() { put("MsgId", fmt.Sprint(g.Int64())) })
	} else {
		name := g.one(g.events...)
		fields = append(fields, func() { put("MsgType", "event") }, func() { put("Event", g.one(name, strings.ToUpper(name))) },
			func() { put("EventKey", g.text()) })
	}
	for range g.IntN(8) {
		fields = append(fields, func() { g.field(1); g.b.WriteString(blank) })
	}
	g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	for _, f := range fields {
		f()
	}
	g.b.WriteString("</xml>" + g.one("", "", "\n", "\r\n<!-- end -->"))
	return []byte(g.b.String())
}

// field is any element but the header's.
func (g *grammar) field(depth int) {
	name := g.one("Content", "MediaId", "PicUrl", "Ticket", "CardId", "Url", "Title", "Location_X", "Latitude", "Scale", "MsgID",
		"Status", "item", "List", "PicList", "SendPicsInfo", "ScanCodeInfo", "ResultList", "fail_idx", "AroundBeacons", "AroundBeacon",
		"PublishEventInfo", "bizmsgmenuid", "Idx", "未知", "x:y")
	g.element(name, func() {
		if depth < 6 && g.chance(30) {
			for range 1 + g.IntN(3) {
				g.b.WriteString(g.one("", "\n", "  "))
				g.field(depth + 1)
			}
			g.b.WriteString(g.one("", "\n"))
			return
		}
		g.value(g.text())
	})
}

func (g *grammar) element(name string, inside func()) {
	g.b.WriteString("<" + name)
	if g.chance(3) {
		g.b.WriteString(g.one(` a="b"`, " a='>' b = \"&lt;'\"", "\n", " "))
	}
	g.b.WriteString(">")
	inside()
	g.b.WriteString("</" + name + g.one("", "", "", "", " ") + ">")
}

// text is the value of an element.
func (g *grammar) text() string {
	var b strings.Builder
	for range g.IntN(6) {
		b.WriteString(g.one("你好", "a", "1", "0.5", "😀", " ", "\n", "\t", "&", "<", ">", "]]", "]]>", "\"", "'", "x y", "/::)", "gh_1", "\r", "<a>", "&amp;", "\u2028", "\ufffd", "[CDATA["))
	}
	return b.String()
}

// value writes a text in one of the forms that WeChat uses.
func (g *grammar) value(s string) {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", g.one("&gt;", "&#62;", "&#x3E;"), "\r", "&#13;", "\"", g.one("\"", "&quot;"))
	switch {
	case g.chance(0.25):
		g.b.WriteString(g.one("\x08", "&nbsp;", "&", "\xff", "<![CDATA[\x00]]>", "&#8;")) // one of the two refuses it
	case g.chance(60):
		g.b.WriteString(g.one("", "", "", " ", "\n ") + "<![CDATA[" + strings.ReplaceAll(s, "]]>", "]]]]><![CDATA[>") + "]]>" + g.one("", "", "", " "))
	case g.chance(10):
		half := len([]rune(s)) / 2
		g.b.WriteString(escape.Replace(string([]rune(s)[:half])) + g.one("<!-- c -->", "<?p i?>", "") + "<![CDATA[" +
			strings.ReplaceAll(string([]rune(s)[half:]), "]]>", "]]]]><![CDATA[>") + "]]>")
	default:
		g.b.WriteString(escape.Replace(s))
	}
}

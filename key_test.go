package echostr

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// digest is the definition of the key, written plainly.
func digest(parts ...string) string {
	var b []byte
	for _, p := range parts {
		b = append(b, 0, 0, 0, 0, byte(len(p)>>24), byte(len(p)>>16), byte(len(p)>>8), byte(len(p)))
		b = append(b, p...)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

func TestMessageKey(t *testing.T) {
	t.Parallel()
	const app = "wxb11529c136998cb6"
	tests := []struct {
		name, body string
		want       string
		at         int64
	}{
		{"by MsgId", "<xml><CreateTime>1700000001</CreateTime><MsgType>text</MsgType><MsgId>42</MsgId></xml>", digest(app, "m", "42"), 1700000001},
		{"MsgId in other form", "<xml><MsgId> <![CDATA[0042.0]]></MsgId><MsgType>image</MsgType></xml>", digest(app, "m", "42"), 0},
		{"in milliseconds", "<xml><CreateTime>1700000001999</CreateTime><MsgId>42</MsgId></xml>", digest(app, "m", "42"), 1700000001},
		{"largest MsgId", "<xml><MsgId>9223372036854775807</MsgId></xml>", digest(app, "m", "9223372036854775807"), 0},
		{
			"event", "<xml><CreateTime>7</CreateTime><MsgType>Event</MsgType><Event><![CDATA[ CLICK]]></Event><EventKey> <![CDATA[ Key ]]></EventKey></xml>",
			digest(app, "e", "CreateTime", "7", "Event", "click", "EventKey", "Key", "MsgType", "event"), 7,
		},
		{
			"event with a list", "<xml><Event>a</Event><L><item><B>2</B></item><item><B>1</B><MsgType>X</MsgType></item></L><E/></xml>",
			digest(app, "e", "E", "", "Event", "a", "L/item/B", "1", "L/item/B", "2", "L/item/MsgType", "X"), 0,
		},
		{"event with the id of a job", "<xml><MsgID>42</MsgID></xml>", digest(app, "e", "MsgID", "42"), 0},
		{"MsgId zero", "<xml><MsgId>0</MsgId></xml>", digest(app, "e", "MsgId", "0"), 0},
		{"MsgId negative", "<xml><MsgId>-1</MsgId></xml>", digest(app, "e", "MsgId", "-1"), 0},
		{"long value", "<xml><a>" + strings.Repeat("x", 5000) + "</a></xml>", digest(app, "e", "a", strings.Repeat("x", 5000)), 0},
		{"nothing", "<xml/>", digest(app, "e"), 0},
	}
	for _, tt := range tests {
		k := parse(t, []byte(tt.body)).Key(app)
		if k.String() != tt.want || k.CreateTime != tt.at || k.AppID != app {
			t.Errorf("%s: %v %+v, want %v", tt.name, k, k, tt.want)
		}
	}
	if k := RawKey(app, []byte("<html>")); k.String() != digest(app, "r", "<html>") || k.CreateTime != 0 || k.AppID != app {
		t.Errorf("raw: %v %+v", k, k)
	}
}

// The pushes of one message have one key, and other messages another.
func TestMessageKeyOfSamples(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for _, s := range samples(t) {
		d := parse(t, s.body)
		k := d.Key("wx1").String()
		id, _ := d.Get("MsgId")
		if id == "" {
			id = fmt.Sprint(leavesOf(s.want))
		}
		if other, ok := seen[k]; ok && other != id {
			t.Errorf("%s has the key of another sample", s.name)
		}
		seen[k] = id
		if d.Key("wx2").String() == k {
			t.Errorf("%s: another account, the same key", s.name)
		}
		// Blanks around tags and text are nothing.
		loose := strings.NewReplacer("><![CDATA[", "> \n<![CDATA[", "]]></", "]]>\t</", "</xml>", "\n </xml >\n").Replace(string(s.body))
		if loose == string(s.body) {
			t.Fatal("nothing was changed")
		}
		if got := parse(t, []byte(loose)).Key("wx1").String(); got != k {
			t.Errorf("%s: blanks change the key", s.name)
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d keys", len(seen))
	}
}

// tree is a document for the properties below.
type tree struct {
	name     string
	value    string
	children []tree
}

func drawTrees(t *rapid.T, depth int) []tree {
	return rapid.Custom(func(t *rapid.T) []tree {
		var out []tree
		for range rapid.IntRange(0, 4).Draw(t, "children") {
			n := tree{name: rapid.SampledFrom([]string{"a", "b", "ab", "item", "Event", "a.b"}).Draw(t, "name")}
			if slices.ContainsFunc(out, func(o tree) bool { return o.name == n.name && n.name == "Event" }) {
				continue
			}
			if depth < 3 && rapid.Bool().Draw(t, "parent") {
				n.children = drawTrees(t, depth+1)
			}
			if len(n.children) == 0 {
				n.value = rapid.StringMatching(`[ab/1\x00]{0,3}`).Draw(t, "value")
				n.value = strings.ReplaceAll(n.value, "\x00", "")
			}
			out = append(out, n)
		}
		return out
	}).Draw(t, "trees")
}

// write writes the trees with blanks and forms of text drawn from t.
func write(t *rapid.T, b *strings.Builder, trees []tree) {
	blank := func() { b.WriteString(rapid.SampledFrom([]string{"", " ", "\n\t", "\r\n"}).Draw(t, "blank")) }
	for _, n := range trees {
		blank()
		fmt.Fprintf(b, "<%s>", n.name)
		switch {
		case len(n.children) > 0:
			write(t, b, n.children)
		case rapid.Bool().Draw(t, "CDATA"):
			blank()
			fmt.Fprintf(b, "<![CDATA[%s]]>", n.value)
			blank()
		default:
			blank()
			b.WriteString(n.value)
			blank()
		}
		fmt.Fprintf(b, "</%s>", n.name)
		blank()
	}
}

func document(t *rapid.T, trees []tree) []byte {
	var b strings.Builder
	b.WriteString("<xml>")
	write(t, &b, trees)
	b.WriteString("</xml>")
	return []byte(b.String())
}

// shuffled returns the trees in another order, on all levels.
func shuffled(t *rapid.T, trees []tree) []tree {
	if len(trees) == 0 {
		return nil
	}
	out := rapid.Permutation(trees).Draw(t, "order")
	for i := range out {
		out[i].children = shuffled(t, out[i].children)
	}
	return out
}

// facts is what the key is made of, as a multiset that can be compared.
func facts(path string, trees []tree) []string {
	var out []string
	for _, n := range trees {
		p := path + "/" + n.name
		if len(n.children) > 0 {
			out = append(out, facts(p, n.children)...)
			continue
		}
		value := n.value
		if p == "/Event" {
			value = strings.ToLower(value)
		}
		out = append(out, fmt.Sprintf("%q=%q", p, value))
	}
	slices.Sort(out)
	return out
}

func TestMessageKeyIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkKeyIsStable)
}

// FuzzKey draws from the fuzzer's bytes what TestMessageKeyIsStable and TestMessageKeyIsInjective draw at random.
func FuzzKey(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"))
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		checkKeyIsStable(t)
		keys(make(map[string]string)).add(t)
	}))
}

func checkKeyIsStable(t *rapid.T) {
	trees := drawTrees(t, 0)
	var d Document
	if err := d.Parse(document(t, trees)); err != nil {
		t.Fatal(err)
	}
	k := d.Key("wx")
	if err := d.Parse(document(t, shuffled(t, trees))); err != nil {
		t.Fatal(err)
	}
	if d.Key("wx") != k {
		t.Fatal("order or blanks change the key")
	}
}

// keys are the keys that were made, and what of.
type keys map[string]string

// add makes twenty more, of which none may have the key of another.
func (seen keys) add(t *rapid.T) {
	for range 20 {
		trees := drawTrees(t, 0)
		app := rapid.SampledFrom([]string{"", "wx", "wxe", "e"}).Draw(t, "app")
		var d Document
		if err := d.Parse(document(t, trees)); err != nil {
			t.Fatal(err)
		}
		k, f := d.Key(app).String(), fmt.Sprintf("%q %q", app, facts("", trees))
		if other, ok := seen[k]; ok && other != f {
			t.Fatalf("%s and %s have one key", f, other)
		}
		seen[k] = f
	}
}

func TestMessageKeyIsInjective(t *testing.T) {
	t.Parallel()
	seen := make(keys)
	rapid.Check(t, seen.add)
	if len(seen) < 500 {
		t.Errorf("only %d different documents", len(seen))
	}
}

package longtext

import (
	"strings"
	"unicode"
)

// WithoutThinking removes what a model has thought: <think>…</think> and its kin (thinking, thought,
// reasoning, and ◁think▷…◁/think▷), in any letter case, with the white space around them. A block
// without an end goes to the end of the text. If the first tag is an end, as of models that begin
// inside a block, everything before it was thought. A tag directly behind a backtick, ' or "
// is text: somebody writes about it.
func WithoutThinking(text string) string {
	f := ThinkFilter{Inside: beginsInside(text)}
	return strings.TrimSpace(f.Write(text) + f.Close())
}

// ThinkFilter does what WithoutThinking does for a text that comes in parts, which are cut between
// characters. The zero value is ready. It is not safe for concurrent use.
type ThinkFilter struct {
	// Inside says that the text is inside a block. Set it beforehand for a model that begins
	// in one, since what was returned cannot be taken back.
	Inside bool

	kept  string // the end of what was written, which may become a tag
	last  byte   // what was before kept; 0 at the beginning
	shown bool   // something was, since the beginning or the last block
}

// Write takes the next part and returns what is certainly to be shown. It keeps back what may
// become a tag, 200 bytes at most.
func (f *ThinkFilter) Write(part string) string {
	text := f.kept + part
	f.kept = ""
	var out strings.Builder
	for text != "" {
		i := strings.IndexAny(text, "<◁")
		if i < 0 {
			i = len(text)
		}
		f.pass(&out, text[:i])
		if text = text[i:]; text == "" {
			break
		}
		kind, n := readTag(text)
		if !f.Inside && isQuote(f.last) {
			kind = noTag
		}
		switch kind {
		case partOfTag:
			f.kept = text
			return out.String()
		case beginTag, endTag:
			f.Inside, f.shown, f.last = kind == beginTag, false, '>'
		case noTag:
			n = 1
			f.pass(&out, text[:n])
		}
		text = text[n:]
	}
	return out.String()
}

// Close returns what was kept back, at the end of the text.
func (f *ThinkFilter) Close() string {
	var out strings.Builder
	f.pass(&out, f.kept)
	f.kept = ""
	return out.String()
}

// pass shows text, unless it was thought, without the white space at the beginning and behind a block.
func (f *ThinkFilter) pass(out *strings.Builder, text string) {
	if text == "" {
		return
	}
	f.last = text[len(text)-1]
	if f.Inside {
		return
	}
	if !f.shown {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		f.shown = text != ""
	}
	out.WriteString(text)
}

// beginsInside reports whether the first tag of the text ends a block.
func beginsInside(text string) bool {
	var last byte
	for text != "" {
		i := strings.IndexAny(text, "<◁")
		if i < 0 {
			return false
		}
		if i > 0 {
			last = text[i-1]
		}
		kind, _ := readTag(text[i:])
		if !isQuote(last) && (kind == beginTag || kind == endTag) {
			return kind == endTag
		}
		last = text[i]
		text = text[i+1:]
	}
	return false
}

func isQuote(c byte) bool { return c == '`' || c == '"' || c == '\'' }

const (
	noTag = iota
	partOfTag
	beginTag
	endTag
)

// maxAttributes bounds what stands in a tag behind its name, in bytes.
const maxAttributes = 150

var thinkNames = []string{"thinking", "think", "thought", "reasoning"}

// readTag reads the tag that text begins with, and its length. partOfTag means that what follows the
// text decides.
func readTag(text string) (kind, n int) {
	kind = beginTag
	bracket, closer := "<", ">"
	if strings.HasPrefix(text, "◁") {
		bracket, closer = "◁", "▷"
	}
	rest, ok := strings.CutPrefix(text, bracket)
	if !ok {
		return noTag, 0
	}
	if after, ok := strings.CutPrefix(rest, "/"); ok {
		kind, rest = endTag, after
	}
	part := false
	for _, name := range thinkNames {
		if len(rest) < len(name) {
			part = part || strings.EqualFold(rest, name[:len(rest)])
			continue
		}
		if !strings.EqualFold(rest[:len(name)], name) {
			continue
		}
		attributes, _, closed := strings.Cut(rest[len(name):], closer)
		switch {
		case attributes != "" && !strings.HasPrefix(attributes, " "), len(attributes) > maxAttributes, strings.ContainsAny(attributes, "<\n"):
		case closed:
			return kind, len(text) - len(rest) + len(name) + len(attributes) + len(closer)
		default:
			part = true
		}
	}
	if part {
		return partOfTag, 0
	}
	return noTag, 0
}

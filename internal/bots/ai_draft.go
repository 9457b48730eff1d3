package bots

import (
	"strings"
	"unicode/utf8"

	"github.com/echostr/echostr/internal/longtext"
)

// maxTag is longer than the longest tag of a think block, in bytes.
const maxTag = 250

// draft is an answer as it comes in: what of it is shown so far.
type draft struct {
	keepThinking bool
	// held says that nothing is shown before a tag tells what was thought.
	held bool

	filter longtext.ThinkFilter
	tail   string // the end of what came, before the first tag
	shown  strings.Builder
	tagged bool // the first tag of a think block was there
	stray  bool // and it was an end: the answer began inside a block
}

// add takes what has come next.
func (d *draft) add(part string) {
	part = strings.Map(carried, part)
	if d.keepThinking {
		d.shown.WriteString(part)
		return
	}
	// In pieces that end where a tag may end, so that the filter tells about every tag by itself.
	for part != "" {
		n := len(part)
		if i := strings.IndexAny(part, ">▷"); i >= 0 {
			_, size := utf8.DecodeRuneInString(part[i:])
			n = i + size
		}
		out := d.filter.Write(part[:n])
		d.shown.WriteString(out)
		switch {
		case d.tagged:
		case d.filter.Inside:
			d.tagged = true
		case d.swallowed(part[:n], out):
			// An end without a beginning: what was drafted was thought, and nothing of it is in the answer.
			d.tagged, d.stray = true, true
			d.shown.Reset()
		}
		part = part[n:]
	}
}

// swallowed reports whether the filter has taken the end of a piece for a tag.
func (d *draft) swallowed(piece, out string) bool {
	d.tail += piece
	d.tail = d.tail[max(0, len(d.tail)-maxTag):]
	bracket, other := "<", "◁"
	closer, _ := utf8.DecodeLastRuneInString(piece)
	switch closer {
	case '>':
	case '▷':
		bracket, other = other, bracket
	default:
		return false
	}
	// Behind the other bracket it ends nothing, and is kept back until that is a tag or none.
	return !strings.HasSuffix(out, string(closer)) && strings.LastIndex(d.tail, bracket) > strings.LastIndex(d.tail, other)
}

// carried drops what no message can carry, which would be an empty text if it were all there is: R-REPLY-EMPTY.
func carried(r rune) rune {
	if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == '\ufffe' || r == '\uffff' {
		return -1
	}
	return r
}

// close takes the end of the answer. Complete says that it is one of the model's own choice.
func (d *draft) close(complete bool) {
	d.shown.WriteString(d.filter.Close())
	if complete {
		d.held = false
	}
}

// text is what is shown. White space at its end is left out, so that it begins whatever it becomes.
func (d *draft) text() string {
	if d.held && !d.tagged && !d.keepThinking {
		return ""
	}
	return strings.TrimSpace(d.shown.String())
}

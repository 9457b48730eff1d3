package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/echostr/echostr/internal/tty"
)

// table prints columns that are aligned on a terminal, where a Chinese
// character is two cells wide.
type table struct{ rows [][]string }

func newTable(header ...string) *table {
	t := new(table)
	if len(header) > 0 {
		t.add(header...)
	}
	return t
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], tty.Width(cell))
		}
	}
	for _, row := range t.rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-tty.Width(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// oneLine is s, made printable, on a single line of at most limit cells.
func oneLine(s string, limit int) string {
	s = strings.Join(strings.Fields(tty.Printable(s)), " ")
	if tty.Width(s) <= limit {
		return s
	}
	n := 0
	for i, r := range s {
		if n += tty.Width(string(r)); n > limit-1 {
			return s[:i] + "…"
		}
	}
	return s
}

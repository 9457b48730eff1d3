package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is what was measured: results.json.
type Report struct {
	Sections []*Section `json:"sections"`
}

// Section is what one part of the program has measured, when and where.
type Section struct {
	Name    string    `json:"name"`
	When    time.Time `json:"when"`
	Machine Machine   `json:"machine"`
	Short   bool      `json:"short,omitempty"` // a smoke run, whose figures mean nothing
	Seconds float64   `json:"seconds"`
	Tables  []*Table  `json:"tables"`
}

// Table is a table, and how it is drawn.
type Table struct {
	Title   string   `json:"title"`
	Columns []string `json:"columns"` // the first one is that of the names
	Rows    []*Row   `json:"rows"`
	Notes   []string `json:"notes,omitempty"`
	Chart   *Chart   `json:"chart,omitempty"`
}

// Row is one line of it. X, if it is not 0, is where its points lie in a chart of lines.
type Row struct {
	Name  string  `json:"name"`
	X     float64 `json:"x,omitempty"`
	Cells []Cell  `json:"cells"`
}

// Cell is a text, or what the rounds have measured.
type Cell struct {
	Text   string    `json:"text,omitempty"`
	Rounds []float64 `json:"rounds,omitempty"`
}

// Chart draws columns of a table, numbered from 1: one as bars, or several as lines over X.
type Chart struct {
	File    string `json:"file"`
	Title   string `json:"title"`
	Columns []int  `json:"columns"`
}

func text(s string) Cell          { return Cell{Text: s} }
func one(f float64) Cell          { return Cell{Rounds: []float64{f}} }
func rounds(f []float64) Cell     { return Cell{Rounds: f} }
func ratio(a, b []float64) Cell   { return one(median(a) / median(b)) }
func (t *Table) add(r ...*Row)    { t.Rows = append(t.Rows, r...) }
func (t *Table) note(text string) { t.Notes = append(t.Notes, text) }

func median(f []float64) float64 {
	f = slices.Sorted(slices.Values(f))
	return f[len(f)/2]
}

// String is the text, the one figure, or min, median, max of several.
func (c Cell) String() string {
	switch len(c.Rounds) {
	case 0:
		return c.Text
	case 1:
		return figure(c.Rounds[0])
	}
	return figure(slices.Min(c.Rounds)) + ", **" + figure(median(c.Rounds)) + "**, " + figure(slices.Max(c.Rounds))
}

// figure writes three digits or more.
func figure(f float64) string {
	switch {
	case f >= 99.95:
		return thousands(strconv.FormatFloat(f, 'f', 0, 64))
	case f >= 9.995:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

func thousands(s string) string {
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

const head = `# Results

本页由 ` + "`cd bench && go run . -out ../docs/benchmarks`" + ` 生成；怎么测、目标和结论见[性能](../benchmarks.zh-CN.md)。

This page is the output of ` + "`cd bench && go run . -out ../docs/benchmarks`" + `; how it is measured, and what is to be made of it, is in [benchmarks](../benchmarks.md).

多个数字依次是各轮的最小值、**中位数**、最大值。 Three figures are min, **median**, max of the rounds.
`

// markdown writes all of it, with the charts if they are files.
func (r *Report) markdown(charts bool) string {
	var b strings.Builder
	b.WriteString(head)
	for _, s := range r.Sections {
		about := sectionOf(s.Name)
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s\n\n%s, %v, %s.\n", s.Name, about.zh, about.en, s.When.Format("2006-01-02 15:04 MST"), time.Duration(s.Seconds*1e9).Round(time.Second), s.Machine)
		if s.Short {
			b.WriteString("\n**一次冒烟运行，数字没有意义。 A smoke run: the figures mean nothing.**\n")
		}
		for _, t := range s.Tables {
			fmt.Fprintf(&b, "\n### %s\n\n", t.Title)
			if t.Chart != nil && charts {
				fmt.Fprintf(&b, "![%s](%s)\n\n", t.Chart.Title, t.Chart.File)
			}
			b.WriteString(t.markdown())
			for _, n := range t.Notes {
				b.WriteString("\n" + n + "\n")
			}
		}
	}
	return b.String()
}

func (t *Table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.Columns, " | "), strings.Repeat("---|", len(t.Columns)))
	for _, row := range t.Rows {
		b.WriteString("| " + row.Name)
		for _, c := range row.Cells {
			b.WriteString(" | " + c.String())
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// write leaves the report in a folder, in place of what was measured of the same sections before.
func (r *Report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	all, err := readReport(filepath.Join(dir, "results.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, s := range all.Sections {
		if !slices.ContainsFunc(r.Sections, func(n *Section) bool { return n.Name == s.Name }) {
			r.Sections = append(r.Sections, s)
		}
	}
	r.sort()
	if err := r.writeJSON(filepath.Join(dir, "results.json")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.md"), []byte(r.markdown(true)), 0o644); err != nil {
		return err
	}
	for _, s := range r.Sections {
		for _, t := range s.Tables {
			if t.Chart == nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, t.Chart.File), []byte(draw(t, s)), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Report) sort() {
	r.Sections = slices.DeleteFunc(r.Sections, func(s *Section) bool { return sectionOf(s.Name) == nil })
	at := func(s *Section) int {
		return slices.IndexFunc(sections, func(o *section) bool { return o.name == s.Name })
	}
	slices.SortFunc(r.Sections, func(a, b *Section) int { return at(a) - at(b) })
}

func (r *Report) writeJSON(file string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func readReport(file string) (*Report, error) {
	r := new(Report)
	b, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, r); err != nil {
		return r, fmt.Errorf("%s is not what this program writes, remove it: %w", file, err)
	}
	return r, nil
}

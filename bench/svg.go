package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The charts have a ground of their own, in the colours of the reader's system, so that they can be read on any page.
const style = `<style>
text { font: 13px system-ui, "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e }
.title { font-size: 15px; font-weight: 600 }
.card { fill: #ffffff; stroke: #d0d7de }
.grid { stroke: #d0d7de }
.whisker { stroke: #1f2328; stroke-width: 1.5 }
.s0 { fill: #0969da; stroke: #0969da } .s1 { fill: #bc4c00; stroke: #bc4c00 } .s2 { fill: #1a7f37; stroke: #1a7f37 } .s3 { fill: #8250df; stroke: #8250df }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .small { fill: #9198a1 }
  .card { fill: #0d1117; stroke: #3d444d }
  .grid { stroke: #3d444d }
  .whisker { stroke: #f0f6fc }
  .s0 { fill: #4493f8; stroke: #4493f8 } .s1 { fill: #f0883e; stroke: #f0883e } .s2 { fill: #3fb950; stroke: #3fb950 } .s3 { fill: #ab7df8; stroke: #ab7df8 }
}
</style>`

const width = 860

// canvas is an SVG that is being written.
type canvas struct{ strings.Builder }

func (c *canvas) say(class, anchor string, x, y float64, format string, args ...any) {
	fmt.Fprintf(c, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, anchor, x, y, html.EscapeString(fmt.Sprintf(format, args...)))
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(c, "<path class=\"%s\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", class, x1, y1, x2, y2)
}

// draw makes the chart of a table: bars with the range of the rounds, or lines if the rows have an X.
func draw(t *Table, s *Section) string {
	var c canvas
	height := 0.0
	if t.Rows[0].X == 0 {
		height = c.bars(t)
	} else {
		height = c.lines(t)
	}
	sub := fmt.Sprintf("%s, %d cores, %s, %s", s.Machine.Name, s.Machine.Cores, s.Machine.Go, s.When.Format("2006-01-02"))
	if s.Short {
		sub = "a smoke run: the figures mean nothing"
	}
	c.say("small", "start", 16, height-12, "%s", sub)
	title := html.EscapeString(t.Chart.Title)
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\" role=\"img\" aria-label=\"%s\">\n<title>%s</title>\n%s\n<rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%.0f\" rx=\"8\"/>\n<text class=\"title\" x=\"16\" y=\"28\">%s</text>\n%s</svg>\n",
		width, height, width, height, title, title, style, width-1, height-1, title, c.String())
}

func (c *canvas) bars(t *Table) (height float64) {
	const left, right, top, step = 262, width - 80, 48, 26
	column := t.Chart.Columns[0]
	most := 0.0
	for _, r := range t.Rows {
		if f := r.Cells[column-1].Rounds; len(f) > 0 {
			most = max(most, slices.Max(f))
		}
	}
	at := func(f float64) float64 { return left + f/most*(right-left) }
	y := float64(top)
	for _, r := range t.Rows {
		f := r.Cells[column-1].Rounds
		if len(f) == 0 {
			continue
		}
		c.say("", "end", left-10, y+15, "%s", plain(r.Name))
		class := "s0"
		if strings.Contains(r.Name, "Echostr") {
			class = "s2"
		}
		fmt.Fprintf(c, "<rect class=\"%s\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"16\"/>\n", class, left, y+2, max(at(median(f))-left, 1))
		c.line("whisker", at(slices.Min(f)), y+10, at(slices.Max(f)), y+10)
		c.say("", "start", at(slices.Max(f))+8, y+15, "%s", figure(median(f)))
		y += step
	}
	return y + 36
}

// lines has logarithmic axes: what is shown grows by powers of ten.
func (c *canvas) lines(t *Table) (height float64) {
	const left, right, top, bottom = 80.0, width - 190.0, 48.0, 340.0
	var xs, ys []float64
	for _, r := range t.Rows {
		for _, i := range t.Chart.Columns {
			if f := r.Cells[i-1].Rounds; len(f) > 0 && median(f) > 0 {
				xs, ys = append(xs, r.X), append(ys, median(f))
			}
		}
	}
	if len(xs) == 0 {
		return bottom
	}
	x := scale(xs, left, right)
	// From one power of ten to another, so that the ends can be written.
	ys = append(ys, math.Pow(10, math.Floor(math.Log10(slices.Min(ys)))), math.Pow(10, math.Ceil(math.Log10(slices.Max(ys)))))
	y := scale(ys, bottom, top)
	for f := slices.Min(ys); f <= slices.Max(ys)*1.01; f *= 10 {
		c.line("grid", left, y(f), right, y(f))
		c.say("small", "end", left-8, y(f)+4, "%s", figure(f))
	}
	for _, r := range t.Rows {
		c.line("grid", x(r.X), bottom, x(r.X), bottom+5)
		c.say("small", "middle", x(r.X), bottom+20, "%s", thousands(fmt.Sprint(int64(r.X))))
	}
	// Names of lines that end close to each other are moved apart.
	type end struct {
		y     float64
		name  string
		class string
	}
	var ends []end
	for n, i := range t.Chart.Columns {
		class := fmt.Sprintf("s%d", n%4)
		var path, dots strings.Builder
		var last *end
		for _, r := range t.Rows {
			f := r.Cells[i-1].Rounds
			if len(f) == 0 || median(f) <= 0 {
				continue
			}
			px, py := x(r.X), y(median(f))
			fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[path.Len() == 0], px, py)
			fmt.Fprintf(&dots, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", class, px, py)
			last = &end{py, t.Columns[i], class}
		}
		if last != nil {
			fmt.Fprintf(c, "<path class=\"line %s\" style=\"fill:none\" d=\"%s\"/>\n%s", class, path.String(), dots.String())
			ends = append(ends, *last)
		}
	}
	slices.SortFunc(ends, func(a, b end) int { return int(a.y*10) - int(b.y*10) })
	before := math.Inf(-1)
	for _, e := range ends {
		before = max(e.y, before+16)
		fmt.Fprintf(c, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\"/>\n", e.class, right+14, before-4)
		c.say("", "start", right+28, before+5, "%s", plain(e.name))
	}
	return bottom + 60
}

// scale lays the logarithm of what lies within the values between two places.
func scale(values []float64, from, to float64) func(float64) float64 {
	low, high := math.Log10(slices.Min(values)), math.Log10(slices.Max(values))
	if low == high {
		high++
	}
	return func(f float64) float64 { return from + (math.Log10(f)-low)/(high-low)*(to-from) }
}

// plain is a name without Markdown.
func plain(s string) string { return strings.NewReplacer("`", "", "*", "").Replace(s) }

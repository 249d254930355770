package main

import (
	"bytes"
	"fmt"
	"time"

	"itool/ops/scale"
)

// The picture, in pixels: two panels, one above the other, with the same time below.
const (
	left, right, width = 56, 16, 760
	panel, gap, top    = 150, 46, 34
	height             = top + 2*panel + gap + 40
)

// SVG draws the items above the workers.
func (t Trace) SVG(l scale.Limits) []byte {
	var b bytes.Buffer
	end := max(t.Last(), time.Second)
	x := func(at time.Duration) float64 { return left + float64(width-left-right)*float64(at)/float64(end) }
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" `+
		`font-size="12">`+"\n"+`<rect width="%[1]d" height="%d" fill="#fff"/>`+"\n", width, height, height)
	items := t.series(func(p Point) int { return p.Waiting + p.InWork })
	title := fmt.Sprintf("items left: waiting, and in work (%d in all, %d deliveries)", t.Items, t.Deliveries)
	t.panel(&b, x, top, title,
		layer{items, "#9bb8d9"}, layer{t.series(func(p Point) int { return p.InWork }), "#2f5f98"})
	workers := t.series(func(p Point) int { return p.Active + p.Draining })
	title = fmt.Sprintf("workers: those that drain above the others; %d..%d, %v quiet", l.Min, l.Max, l.Quiet)
	t.panel(&b, x, top+panel+gap, title,
		layer{workers, "#e3a857"}, layer{t.series(func(p Point) int { return p.Active }), "#3c8a5a"})
	for at := time.Duration(0); at <= end; at += step(end) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f s</text>`+"\n", x(at), height-14, at.Seconds())
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// step is the distance of the marks of time.
func step(end time.Duration) time.Duration {
	return max(end/10, time.Second).Round(time.Second)
}

type layer struct {
	values []int
	color  string
}

func (t Trace) series(value func(Point) int) (all []int) {
	for _, p := range t.Points {
		all = append(all, value(p))
	}
	return all
}

// panel draws layers as areas on one scale, the first one behind.
func (t Trace) panel(b *bytes.Buffer, x func(time.Duration) float64, y int, title string, layers ...layer) {
	most := 1
	for _, l := range layers {
		for _, v := range l.values {
			most = max(most, v)
		}
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", left, y-8, title)
	for _, l := range layers {
		fmt.Fprintf(b, `<path fill="%s" d="M%d %d`, l.color, left, y+panel)
		before := 0
		for i, p := range t.Points {
			if v := l.values[i]; v != before || i == len(t.Points)-1 {
				level := func(v int) float64 { return float64(y+panel) - float64(panel*v)/float64(most) }
				fmt.Fprintf(b, " L%.1f %.1f L%.1f %.1f", x(p.After), level(before), x(p.After), level(v))
				before = v
			}
		}
		fmt.Fprintf(b, ` L%.1f %d Z"/>`+"\n", x(t.Last()), y+panel)
	}
	fmt.Fprintf(b, `<path stroke="#333" fill="none" d="M%d %d V%d H%d"/>`+"\n", left, y, y+panel, width-right)
	for _, mark := range []int{0, most} {
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%d</text>`+"\n",
			left-6, y+panel-panel*mark/most+4, mark)
	}
}

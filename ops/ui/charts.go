package ui

import (
	"fmt"
	"math"

	"itool/ops/report"
	"itool/stages/evaluate/stats"
)

// Plot is the accuracy of all policies, in percent of a box: 0 is left and bottom.
type Plot struct {
	Marks []Mark // horizontal lines
	Dots  []Dot
	Band  string // corners of the band, for an SVG of 100 × 100
	Line  string // points of the line
}

// Mark is a value of the axis.
type Mark struct {
	Y    float64
	Text string
}

// Dot is one policy.
type Dot struct {
	X, Y, Low, High float64
	Policy          report.Policy
	Changed         bool // its weights are its own
}

// Accuracy draws the headline of all evaluated policies with its 95 % intervals; nil: there is none.
func (p *page) Accuracy() *Plot {
	policies := p.Evaluated()
	if len(policies) == 0 {
		return nil
	}
	low, high := 1.0, 0.0
	for _, x := range policies {
		i := x.Accuracy.Headline()
		low, high = min(low, i.Low), max(high, i.High)
	}
	step := niceStep(high - low)
	low, high = max(0, math.Floor(low/step)*step), min(1, math.Ceil(high/step+1e-9)*step)
	if high <= low {
		high = low + step
	}
	y := func(v float64) float64 { return 100 * (v - low) / (high - low) }
	var plot Plot
	for v := low; v <= high+1e-9; v += step {
		plot.Marks = append(plot.Marks, Mark{y(v), fmt.Sprintf("%.0f", 100*v)})
	}
	upper, lower := "", ""
	for i, x := range policies {
		h := x.Accuracy.Headline()
		d := Dot{100 * (float64(i) + 0.5) / float64(len(policies)), y(h.Mean), y(h.Low), y(h.High), x, changed(x)}
		plot.Dots = append(plot.Dots, d)
		plot.Line += fmt.Sprintf("%.2f,%.2f ", d.X, 100-d.Y)
		upper += fmt.Sprintf("%.2f,%.2f ", d.X, 100-d.High)
		lower = fmt.Sprintf("%.2f,%.2f ", d.X, 100-d.Low) + lower
	}
	plot.Band = upper + lower
	return &plot
}

// changed reports whether training made the policy; the base counts as itself.
func changed(x report.Policy) bool { return x.Round < 0 || x.Changed() }

// niceStep is the distance of the axis' lines for a range of shares.
func niceStep(span float64) float64 {
	for _, s := range []float64{0.01, 0.02, 0.05, 0.1} {
		if span/s <= 5 {
			return s
		}
	}
	return 0.2
}

// Gain is the change to the policy before, for people.
func (d Dot) Gain() string {
	if d.Policy.Accuracy.Gain == nil {
		return ""
	}
	return points(d.Policy.Accuracy.Gain)
}

// points formats a difference of shares in points.
func points(d *stats.Difference) string {
	s := fmt.Sprintf("%+.1f", 100*d.Mean)
	if d.Mean < 0 {
		s = "−" + s[1:]
	}
	return s
}

// Curves are what the charts of the trainings draw. A chart shows all trainings on one scale, one behind the other.
type Curves struct {
	Parts []CurvePart `json:"parts"`
}

// CurvePart is one training.
type CurvePart struct {
	Name   string         `json:"name"`
	WarmUp bool           `json:"warmup"` // its loss is per answer token, that of the rounds per pair
	Points []report.Point `json:"points"`
}

// Curves collects the curves of all trainings.
func (p *page) Curves() Curves {
	c := Curves{Parts: []CurvePart{}}
	if p.Report == nil {
		return c
	}
	for _, x := range p.Report.Policies {
		if len(x.Curve) > 0 {
			c.Parts = append(c.Parts, CurvePart{x.Name, x.Round <= 0, x.Curve})
		}
	}
	return c
}

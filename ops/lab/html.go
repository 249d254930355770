package lab

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"itool/ops/report"
	"itool/stages/evaluate/stats"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle template.CSS // our own file: it needs no escaping

// html/template escapes all text that comes from a specification.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"style": func() template.CSS { return pageStyle }, "percent": Percent, "points": Points,
	"duration": duration, "plain": report.Plain,
	"whole": func(x float64) string { return fmt.Sprintf("%.0f", x) },
	"nats":  func(x float64) string { return fmt.Sprintf("%.3f", x) },
	"at":    func(x float64) string { return fmt.Sprintf("%.1f", 100*x) },
	"color": func(i int) template.CSS { return template.CSS(fmt.Sprintf("var(--c%d)", i%colors)) },
}).Parse(pageSource))

// colors is the number of line colors in page.html.
const colors = 8

// HTML writes one self-contained page, without scripts, fonts or external links.
func (r *Result) HTML(w io.Writer) error {
	v := view{Result: r, ArmScale: r.armScale(), Curves: r.curves()}
	for _, d := range r.Differences {
		if d.Difference.N > 0 {
			v.Measured = append(v.Measured, d)
		}
	}
	v.DifferenceScale = differenceScale(v.Measured)
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("lab: page: %w", err)
	}
	return nil
}

type view struct {
	*Result
	ArmScale        scale
	Curves          curves
	Measured        []DifferenceResult // the differences that have cases
	DifferenceScale scale
}

// OwnRuns are the arms with their own runs. The other arms measure another policy of the
// same runs.
func (v view) OwnRuns() (out []ArmResult) {
	for _, a := range v.Arms {
		if a.SameRuns == a.Name && len(a.Rounds) > 0 {
			out = append(out, a)
		}
	}
	return out
}

// scale maps shares to positions from 0 to 100 % of the width.
type scale struct {
	Low, High float64
	Ticks     []float64
}

// newScale covers low to high, with ticks at round values.
func newScale(low, high float64) scale {
	step := 0.01
	for _, s := range []float64{0.02, 0.05, 0.1, 0.2} {
		if (high-low)/step > 8 {
			step = s
		}
	}
	s := scale{Low: floorTo(low, step), High: -floorTo(-high, step)}
	if s.High-s.Low < step/2 {
		s.High += step
	}
	for t := s.Low; t < s.High+step/2; t += step {
		s.Ticks = append(s.Ticks, t)
	}
	return s
}

func floorTo(x, step float64) float64 {
	n := float64(int64(x / step))
	if n*step > x+1e-12 {
		n--
	}
	return n * step
}

// Left is the position of a share, in percent of the width.
func (s scale) Left(x float64) string {
	return fmt.Sprintf("%.2f", min(max(100*(x-s.Low)/(s.High-s.Low), 0), 100))
}

// Width is the width of an interval, in percent of the width of the scale.
func (s scale) Width(i stats.Interval) string {
	return fmt.Sprintf("%.2f", max(100*(i.High-i.Low)/(s.High-s.Low), 0.3))
}

// armScale covers the accuracies of all arms.
func (r *Result) armScale() scale {
	low, high := 1.0, 0.0
	for _, a := range r.Arms {
		if a.Accuracy.N > 0 {
			low, high = min(low, a.Accuracy.Low), max(high, a.Accuracy.High)
		}
	}
	if low > high {
		low, high = 0, 1
	}
	return newScale(low, high)
}

func differenceScale(ds []DifferenceResult) scale {
	low, high := 0.0, 0.0 // zero is always visible
	for _, d := range ds {
		low, high = min(low, d.Difference.Low), max(high, d.Difference.High)
		for _, x := range d.Difference.BySeed {
			low, high = min(low, x), max(high, x)
		}
	}
	return newScale(low, high)
}

// curves is accuracy by round in a box of 640 by 256, one line per arm. The arms are shifted
// sideways a little, so that their intervals do not overlap.
type curves struct {
	scale
	Names []tick // names of the rounds
	Marks []tick // marks of the scale
	Lines []curve
}

type tick struct {
	X, Y float64
	Text string
}

type curve struct {
	Name   string
	Points string
	Dots   []dot
}

type dot struct{ X, Y, Top, Bottom float64 }

const (
	boxLeft, boxRight = 44.0, 630.0
	boxTop, boxBottom = 10.0, 226.0
)

func (r *Result) curves() (c curves) {
	low, high, rounds := 1.0, 0.0, 0
	var own []ArmResult
	for _, a := range r.Arms {
		if a.SameRuns != a.Name || len(a.Rounds) == 0 {
			continue
		}
		own, rounds = append(own, a), max(rounds, len(a.Rounds))
		for _, rd := range a.Rounds {
			if rd.Accuracy.N > 0 {
				low, high = min(low, rd.Accuracy.Low), max(high, rd.Accuracy.High)
			}
		}
	}
	if low > high || rounds < 2 {
		return curves{}
	}
	c.scale = newScale(low, high)
	y := func(x float64) float64 { return boxBottom - (boxBottom-boxTop)*(x-c.Low)/(c.High-c.Low) }
	step := (boxRight - boxLeft) / float64(rounds)
	for i := range rounds {
		c.Names = append(c.Names, tick{boxLeft + step*(float64(i)+0.5), boxBottom + 18, report.PolicyName(i - 1)})
	}
	for _, t := range c.Ticks {
		c.Marks = append(c.Marks, tick{boxLeft - 6, y(t), fmt.Sprintf("%.0f", 100*t)})
	}
	for n, a := range own {
		l := curve{Name: a.Name}
		offset := min(step*0.6/float64(len(own)), 14) * (float64(n) - float64(len(own)-1)/2)
		for i, rd := range a.Rounds {
			if rd.Accuracy.N == 0 {
				continue
			}
			d := dot{c.Names[i].X + offset, y(rd.Accuracy.Mean), y(rd.Accuracy.High), y(rd.Accuracy.Low)}
			l.Dots = append(l.Dots, d)
			l.Points += fmt.Sprintf("%.1f,%.1f ", d.X, d.Y)
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}

package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"itool/stages/evaluate/stats"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

// Style is the style sheet of the report and of other pages with results.
func Style() template.CSS { return template.CSS(pageStyle) } // safe: it is our own file

// html/template escapes all text that comes from the records, such as answers of a model.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"percent": percent, "points": points, "duration": Duration, "short": shorten, "name": PolicyName,
	"counts": counts, "kinds": Kinds, "number": number, "counted": counted, "plain": Plain, "words": words,
	"of":    func(part, whole int) string { return fmt.Sprintf("%.2f", 100*share(float64(part), float64(whole))) },
	"share": func(x, of float64) string { return fmt.Sprintf("%.2f", 100*share(x, of)) },
	"left":  func(i stats.Interval) string { return fmt.Sprintf("%.2f", 100*i.Low) },
	"wide":  func(i stats.Interval) string { return fmt.Sprintf("%.2f", 100*max(i.High-i.Low, 0.002)) },
	"at":    func(i stats.Interval) string { return fmt.Sprintf("%.1f", 100*i.Mean) },
	"next":  func(i int) int { return i + 1 },
	"style": Style,
}).Parse(pageSource))

// HTML writes one self-contained page, without scripts, fonts or external links.
func (r *Report) HTML(w io.Writer) error {
	v := view{Report: r, Findings: r.Findings(), Title: r.headlineName()}
	v.ErrorTypes, v.Evaluated = r.errorTypes()
	v.Categories, _ = r.categories()
	for _, p := range v.Evaluated {
		for _, n := range p.Accuracy.Errors {
			v.MostErrors = max(v.MostErrors, n)
		}
	}
	for _, t := range r.Seconds {
		v.LongestStage = max(v.LongestStage, t.Seconds)
	}
	for _, p := range r.Policies {
		if len(p.Curve) > 1 {
			v.Curves = append(v.Curves, drawCurve(p))
		}
	}
	if b, err := json.MarshalIndent(r.Config, "", "  "); err == nil {
		v.Settings = string(b)
	}
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("report: page: %w", err)
	}
	return nil
}

type view struct {
	*Report
	Findings     []string
	Title        string // name of the headline
	ErrorTypes   []string
	Evaluated    []Policy
	Categories   []stats.Category // of the first policy; the others have the same
	MostErrors   int
	LongestStage float64
	Curves       []lossCurve
	Settings     string
}

// Errors is one cell of the table of error types.
func (v view) Errors(p Policy, errorType string) int { return p.Accuracy.Errors[errorType] }

// Columns are the policies of the diagnostics.
func (v view) Columns() []string { return v.gateColumns() }

// Width is the number of columns that a sentence of the diagnostics spans.
func (v view) Width() int { return 1 + len(v.gateColumns()) }

// Guarded reports whether the guard checked any update.
func (v view) Guarded() bool {
	for _, p := range v.Policies {
		if len(p.Guards()) > 0 {
			return true
		}
	}
	return false
}

// Category is one policy's share of one category.
func (v view) Category(p Policy, i int) stats.Interval { return p.Accuracy.Categories[i].Pass }

// lossCurve is a polyline of the training loss in a box of 300 by 90.
type lossCurve struct {
	Name        string
	Points      string
	Steps       int
	First, Last string
	Lowest      string
}

func drawCurve(p Policy) lossCurve {
	low, high := math.Inf(1), math.Inf(-1)
	for _, c := range p.Curve {
		low, high = min(low, c.Loss), max(high, c.Loss)
	}
	var b strings.Builder
	for i, c := range p.Curve {
		x := 300 * float64(i) / float64(len(p.Curve)-1)
		fmt.Fprintf(&b, "%.1f,%.1f ", x, 85-80*share(c.Loss-low, high-low))
	}
	first, last := p.Curve[0], p.Curve[len(p.Curve)-1]
	return lossCurve{
		Name: p.Name, Points: b.String(), Steps: p.Steps,
		First: fmt.Sprintf("%.3g", first.Loss), Last: fmt.Sprintf("%.3g", last.Loss),
		Lowest: fmt.Sprintf("%.3g", low),
	}
}

// share is x ÷ of, limited to 0..1; 0 if it is not defined.
func share(x, of float64) float64 {
	if of <= 0 || math.IsNaN(x) {
		return 0
	}
	return min(max(x/of, 0), 1)
}

package ui

import (
	"fmt"
	"net/http"
	"strings"

	"itool/ops/report"
)

// side is one of two runs that are compared.
type side struct {
	Name string
	Page *page
}

// Figure is a number of both runs.
type Figure struct {
	Name, A, B, Change, Tone string
}

// comparison is what the page of two runs shows.
type comparison struct {
	Sides    []side
	Runs     []Listed
	Figures  []Figure
	Settings []Setting // Here is that of the first run, Default that of the second
}

// Both reports whether there are two runs to compare.
func (c comparison) Both() bool { return c.Sides[0].Page != nil && c.Sides[1].Page != nil }

// Paired says how far the difference can be trusted.
func (c comparison) Paired() string {
	return "Two runs may have been evaluated on other rows and differ by their seeds: the difference of their " +
		"accuracies is no effect of a setting. itool lab measures one, over several seeds and paired by row."
}

// compare shows two runs side by side.
func (s *Server) compare(w http.ResponseWriter, r *http.Request) error {
	c := comparison{Sides: make([]side, 2)}
	var err error
	if c.Runs, err = s.o.Source.List(r.Context()); err != nil {
		return err
	}
	for i, key := range []string{"a", "b"} {
		c.Sides[i].Name = r.URL.Query().Get(key)
		if c.Sides[i].Name == "" {
			continue
		}
		if !strings.ContainsFunc(c.Sides[i].Name, notInName) {
			p, release, err := s.read(r.Context(), c.Sides[i].Name)
			if err != nil {
				return err
			}
			release()
			c.Sides[i].Page = p
		}
	}
	if c.Both() {
		c.fill()
	}
	text, err := toString("compare", c)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write([]byte(text))
	return err
}

// notInName are characters that no run's name has.
func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

func (c *comparison) fill() {
	a, b := c.Sides[0].Page, c.Sides[1].Page
	c.Figures = append(c.Figures, lastAccuracy(a.Report, b.Report))
	for _, f := range []struct {
		name  string
		value func(*report.Report) int
	}{
		{"rows kept", func(r *report.Report) int { return r.Rows.Kept }},
		{"rounds", func(r *report.Report) int { return len(r.Rounds) }},
		{"trees", func(r *report.Report) int { return total(r, func(x report.Round) int { return x.Trees }) }},
		{"pairs", func(r *report.Report) int { return total(r, func(x report.Round) int { return x.Pairs }) }},
		{"steps of the rounds",
			func(r *report.Report) int { return total(r, func(x report.Round) int { return x.Steps }) }},
		{"items given up", func(r *report.Report) int { return len(r.Failures) }},
	} {
		x, y := valueOf(a.Report, f.value), valueOf(b.Report, f.value)
		c.Figures = append(c.Figures, Figure{Name: f.name, A: fmt.Sprint(x), B: fmt.Sprint(y), Change: signed(y - x)})
	}
	second := map[string]string{}
	for _, s := range b.Settings() {
		second[s.Key] = s.Here
	}
	for _, s := range a.Settings() {
		if other := second[s.Key]; other != s.Here {
			c.Settings = append(c.Settings, Setting{Key: s.Key, Here: s.Here, Default: other})
		}
	}
}

func valueOf(r *report.Report, f func(*report.Report) int) int {
	if r == nil {
		return 0
	}
	return f(r)
}

func total(r *report.Report, f func(report.Round) int) (n int) {
	for _, x := range r.Rounds {
		n += f(x)
	}
	return n
}

// lastAccuracy compares the last evaluated policies.
func lastAccuracy(a, b *report.Report) Figure {
	f := Figure{Name: "accuracy of the last policy", A: "–", B: "–"}
	x, y := lastEvaluated(a), lastEvaluated(b)
	if x != nil {
		f.A = fmt.Sprintf("%.1f %%", 100*x.Headline().Mean)
	}
	if y != nil {
		f.B = fmt.Sprintf("%.1f %%", 100*y.Headline().Mean)
	}
	if x != nil && y != nil {
		d := 100 * (y.Headline().Mean - x.Headline().Mean)
		f.Change = strings.ReplaceAll(fmt.Sprintf("%+.1f points", d), "-", "−")
		switch {
		case d > 0:
			f.Tone = "good"
		case d < 0:
			f.Tone = "bad"
		}
	}
	return f
}

func lastEvaluated(r *report.Report) *report.Accuracy {
	if r == nil {
		return nil
	}
	for i := len(r.Policies) - 1; i >= 0; i-- {
		if a := r.Policies[i].Accuracy; a != nil {
			return a
		}
	}
	return nil
}

package inspect

import (
	"fmt"
	"io"

	"itool/ops/report"
)

// Text prints the report of errors for a terminal.
func (d *Deficiency) Text(w io.Writer, s Style) error {
	p := &printer{Style: s, w: w}
	p.line("run %s: errors on %s of held-out data", d.Run, plural(d.Rows, "row"))
	p.line("fixed: of those gone, right now; broken: of the new ones, right before")
	for _, c := range d.Changes {
		p.change(&c)
	}
	p.calling(d.Calling)
	p.faults(d)
	p.places(d)
	p.unreadable(d.Unreadable)
	return p.err
}

func (p *printer) change(c *Change) {
	rows := [][]string{{"error type", "before", "after", "change", "gone", "fixed", "stayed", "new", "broken"}}
	for _, t := range c.Types {
		rows = append(rows, []string{
			report.Plain(t.Type), fmt.Sprint(t.Before), fmt.Sprint(t.After), signed(t.Change),
			fmt.Sprint(t.Gone), fmt.Sprint(t.Fixed), fmt.Sprint(t.Stayed), fmt.Sprint(t.New), fmt.Sprint(t.Broken),
		})
	}
	title := fmt.Sprintf("%s → %s: %d won, %d lost", c.From.Name, c.To.Name, c.Won, c.Lost)
	if c.From.Digest == c.To.Digest {
		title += " (the same weights: nothing was trained)"
	}
	p.table(title, rows)
	if len(rows) == 1 {
		p.line("\n%s\n  no errors", title)
	}
}

func signed(n int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%+d", n)
}

func (p *printer) calling(all []Calling) {
	rows := [][]string{{"policy", "wants words", "called", "wants calls", "silent", "too many", "too few"}}
	for _, c := range all {
		rows = append(rows, []string{
			c.Policy, fmt.Sprint(c.WantNone), fmt.Sprint(c.Called), fmt.Sprint(c.WantCall), fmt.Sprint(c.Silent),
			fmt.Sprint(c.TooMany), fmt.Sprint(c.TooFew),
		})
	}
	p.table("called: calls where none is wanted (over-calling); silent: none where some are", rows)
}

// mostPolicies bounds the columns of a table: more do not fit into 80 columns.
const mostPolicies = 5

func (p *printer) faults(d *Deficiency) {
	from := max(0, len(d.Calling)-mostPolicies)
	head := []string{"fault"}
	for _, c := range d.Calling[from:] {
		head = append(head, c.Policy)
	}
	rows := [][]string{head}
	for _, f := range d.Faults {
		row := []string{string(f.Kind)}
		for _, n := range f.Counts[from:] {
			row = append(row, fmt.Sprint(n))
		}
		rows = append(rows, row)
	}
	p.table("rows by kind of fault; a row may have several", rows)
}

// mostPlaces bounds the places that are listed.
const mostPlaces = 20

func (p *printer) places(d *Deficiency) {
	from, last := 0, len(d.Calling)-1
	for i, c := range d.Calling {
		if c.Round == 0 {
			from = i
		}
	}
	rows := [][]string{{"tool", "parameter", d.Calling[from].Policy, d.Calling[last].Policy, "change"}}
	left := 0
	for _, x := range d.Places {
		if x.Counts[from]+x.Counts[last] == 0 {
			continue
		}
		if len(rows) > mostPlaces {
			left++
			continue
		}
		parameter := short(x.Parameter, 20)
		if x.Parameter == "" {
			parameter = "(the call)"
		}
		rows = append(rows, []string{short(x.Tool, 34), parameter, fmt.Sprint(x.Counts[from]),
			fmt.Sprint(x.Counts[last]), signed(x.Change)})
	}
	p.table("rows with a fault, by tool and parameter", rows)
	if len(rows) > 1 {
		p.line("  itool examples %s --tool NAME shows the rows", d.Run)
	}
	if left > 0 {
		p.line("  … and %d more: --json has all", left)
	}
}

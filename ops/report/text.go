package report

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// Text writes the report for a terminal. What came from models or files is
// printed without control characters.
func (r *Report) Text(out io.Writer) error {
	w := &printer{w: out}
	w.line("run %s · %s · seed %d", r.Run, r.Status, r.Seed)
	if r.Detail != "" {
		w.line("%s", Plain(r.Detail))
	}
	for _, s := range r.Findings() {
		w.line("%s", s)
	}
	for _, section := range []func(*printer){
		r.textRows, r.textAccuracy, r.textCategories, r.textErrors, r.textGates,
		r.textAnswers, r.textFunnel, r.textPairs, r.textJudge, r.textTraining, r.textDepartures, r.textTime,
		r.textFailures,
	} {
		section(w)
	}
	return w.err
}

// printer keeps the first error, so that the sections need not check for errors.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// table aligns rows of cells; the first row is the head.
func (p *printer) table(title string, rows [][]string) {
	if p.err != nil || len(rows) < 2 {
		return
	}
	p.line("\n%s", title)
	p.columns(rows)
}

// columns aligns rows of cells.
func (p *printer) columns(rows [][]string) {
	t := tabwriter.NewWriter(p.w, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.TrimRight("  "+strings.Join(row, "\t"), "\t"))
	}
	if err := t.Flush(); p.err == nil {
		p.err = err
	}
}

func (r *Report) textRows(w *printer) {
	w.line("\ndata:")
	for _, s := range r.DatasetNotes() {
		w.line("  %s", Plain(s))
	}
	parts := r.Rows.Parts
	w.line("rows: kept %d of %d assistant turns (train %d, of which replay %d; validation %d; test %d)",
		r.Rows.Kept, r.Rows.Total, parts[schemas.PartTrain], r.Rows.Replay,
		parts[schemas.PartValidation], parts[schemas.PartTest])
	for _, c := range Counts(r.Rows.Dropped) {
		at := r.Rows.Example[c.Name]
		w.line("  dropped %d: %s (first: %s row %d: %s)",
			c.N, Plain(c.Name), Plain(at.Source), at.Row, Plain(shorten(at.Detail, 120)))
	}
	if len(r.Rows.Difficulty) > 0 {
		d := r.Rows.Difficulty
		w.line("difficulty of train: easy %d, medium %d, hard %d",
			d[schemas.DifficultyEasy], d[schemas.DifficultyMedium], d[schemas.DifficultyHard])
	}
	if n := r.Rows.Numbers; n != nil && n.Kept > 0 {
		w.line("tokens: %d in all; a prompt has %d at the median and %d at most, an answer %d and %d",
			n.Tokens, n.Prompt.Median, n.Prompt.Max, n.Answer.Median, n.Answer.Max)
		w.line("tools: %d names, %d never called; %d answers contradict the schema of their tool",
			n.Tools.Names, n.Tools.Never, n.Wrong.Examples)
	}
}

func (r *Report) textAccuracy(w *printer) {
	rows := [][]string{{"policy", "calls", "change", "all rows", "parses", "status"}}
	n, parts := 0, ""
	for _, p := range r.Policies {
		a := p.Accuracy
		if a == nil {
			continue
		}
		n, parts = a.Pass.N, strings.Join(a.Parts, " + ")
		parsed := fmt.Sprintf("%.1f %%", 100*a.Parsed.Mean)
		rows = append(rows, []string{p.Name, percent(a.Calls), points(a.Gain), percent(a.Pass), parsed, p.Status})
	}
	w.table(fmt.Sprintf("exact match on %d %s rows, greedy answers, with 95 %% intervals", n, parts), rows)
	if len(rows) == 1 {
		w.line("\naccuracy: nothing was evaluated (%s)", r.WhyNoAccuracy())
	}
}

func (r *Report) textCategories(w *printer) {
	cats, policies := r.Categories()
	head := []string{"category", "rows"}
	for _, p := range policies {
		head = append(head, p.Name)
	}
	rows := [][]string{head}
	for i, c := range cats {
		row := []string{Plain(c.Name), fmt.Sprint(c.Pass.N)}
		for _, p := range policies {
			row = append(row, fmt.Sprintf("%.1f %%", 100*p.Accuracy.Categories[i].Pass.Mean))
		}
		rows = append(rows, row)
	}
	w.table("exact match by category", rows)
}

func (r *Report) textErrors(w *printer) {
	types, policies := r.ErrorTypes()
	head := []string{"error type"}
	for _, p := range policies {
		head = append(head, p.Name)
	}
	rows := [][]string{head}
	for _, t := range types {
		row := []string{Plain(t)}
		for _, p := range policies {
			row = append(row, fmt.Sprint(p.Accuracy.Errors[t]))
		}
		rows = append(rows, row)
	}
	w.table("wrong answers by error type (itool report "+r.Run+" --errors: which are gone, stayed and new)", rows)
}

func (r *Report) textGates(w *printer) {
	columns := r.GateColumns()
	if len(columns) == 0 {
		return
	}
	rows := [][]string{append([]string{"what", "bar"}, columns...)}
	for _, g := range r.Gates {
		row := []string{g.Name, g.Bar}
		for _, c := range columns {
			v := g.At(c)
			row = append(row, strings.TrimSpace(v.Shown+"  "+v.Verdict))
		}
		rows = append(rows, row)
	}
	w.table("diagnostics (plateau, headroom: points of exact match on validation rows that want a call, "+
		"with 95 % intervals; unclear: the value misses the bar, the interval reaches it)", rows)
	for _, g := range r.Gates {
		w.line("%s", wrap(g.Name+": "+g.Means, " ", "  ", 116))
	}
}

func (r *Report) textFunnel(w *printer) {
	rows := [][]string{{"to make", "scored", "selected", "trees", "with both", "branching", "pairs", "steps",
		"|Δ| chosen", "|Δ| rejected", "other mode", "dropped"}}
	for _, rd := range r.Rounds {
		var dropped []string
		for _, c := range Counts(rd.PairsReason) {
			dropped = append(dropped, fmt.Sprintf("%d %s", c.N, Plain(c.Name)))
		}
		rows = append(rows, []string{
			PolicyName(rd.Round + 1), fmt.Sprint(rd.Scored), fmt.Sprint(rd.Selected),
			fmt.Sprint(rd.Trees), fmt.Sprint(rd.MixedTrees),
			fmt.Sprint(rd.Branching), fmt.Sprint(rd.Pairs), fmt.Sprint(rd.Steps),
			fmt.Sprintf("%.3f", rd.ChosenChange), fmt.Sprintf("%.3f", rd.RejectedChange),
			fmt.Sprint(rd.OtherMode), orNone(strings.Join(dropped, ", ")),
		})
	}
	w.table("the funnel of every round (with both: trees with right and wrong answers; "+
		"|Δ|: how far the update moved a side, in nats; other mode: pairs that it would keep)", rows)
}

func (r *Report) textJudge(w *printer) {
	rows := [][]string{{"to make", "self-evaluation", "AUC", "mass", "why"}}
	for _, rd := range r.Rounds {
		if j := rd.Judge; j != nil {
			rows = append(rows, []string{
				PolicyName(rd.Round + 1), counted(j.Counts), Number(j.AUC), Number(j.Mass), Plain(j.Reason),
			})
		}
	}
	w.table("self-evaluation, calibrated on validation", rows)
}

func (r *Report) textTraining(w *printer) {
	w.line("\ntraining")
	for _, p := range r.Policies {
		if p.Round >= 0 {
			w.line("  %s: %d steps on %d examples. %s", p.Name, p.Steps, p.Examples, Plain(p.Detail))
			w.line("%s", wrap(p.Measured(), ", ", "    ", 116))
		}
	}
	rows := [][]string{{"policy", "guard", "before", "after", "cases", "p"}}
	for _, p := range r.Policies {
		for _, g := range p.Guards() {
			rows = append(rows, []string{
				p.Name, g.Name, fmt.Sprintf("%.1f %%", 100*g.Before), fmt.Sprintf("%.1f %%", 100*g.After),
				fmt.Sprint(g.Cases), fmt.Sprintf("%.3f", g.P),
			})
		}
	}
	w.table("guard: the same held-out prompts before and after an update "+
		"(p: probability of such a drop by chance)", rows)
}

// Wrap breaks a text into lines of at most width characters, the indent included.
func Wrap(s, indent string, width int) string { return wrap(s, " ", indent, width) }

// wrap breaks a text into lines after separators. width is in characters.
func wrap(s, sep, indent string, width int) string {
	var lines []string
	line := indent
	for i, part := range strings.SplitAfter(s, sep) {
		if i > 0 && utf8.RuneCountInString(line+part) > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line = indent
		}
		line += part
	}
	return strings.Join(append(lines, line), "\n")
}

func (r *Report) textTime(w *printer) {
	var parts []string
	for _, t := range r.Seconds {
		parts = append(parts, fmt.Sprintf("%s %s", t.Stage, Duration(t.Seconds)))
	}
	if len(parts) > 0 {
		w.line("\ntime by stage, summed over workers: %s", strings.Join(parts, ", "))
	}
}

func (r *Report) textFailures(w *printer) {
	if len(r.Failures) > 0 {
		w.line("\n%d items were given up: `itool failed %s` lists them", len(r.Failures), r.Run)
	}
	for _, line := range r.StrayNotes() {
		w.line("\n%s", Plain(line))
	}
}

// Count is a number with a name.
type Count struct {
	Name string
	N    int
}

// Counts sorts a map: largest first, then by name.
func Counts(m map[string]int) []Count {
	var out []Count
	for k, n := range m {
		out = append(out, Count{k, n})
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].N != out[j].N {
			return out[i].N > out[j].N
		}
		return out[i].Name < out[j].Name
	})
	return out
}

func percent(i stats.Interval) string {
	if i.N == 0 {
		return "not run"
	}
	return fmt.Sprintf("%.1f %% [%.1f, %.1f]", 100*i.Mean, 100*i.Low, 100*i.High)
}

func points(d *stats.Difference) string {
	if d == nil {
		return "–"
	}
	return fmt.Sprintf("%+.1f [%+.1f, %+.1f], won %d lost %d", 100*d.Mean, 100*d.Low, 100*d.High, d.Won, d.Lost)
}

// Number formats a number that may not have been measured.
func Number(a *float64) string {
	if a == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", *a)
}

func counted(b bool) string {
	if b {
		return "counts"
	}
	return "does not count"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Duration formats seconds for people.
func Duration(seconds float64) string {
	if seconds < 10 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	return (time.Duration(seconds) * time.Second).String()
}

func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// Plain puts a text on one line and removes control characters, because an answer of a model
// may contain anything.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError:
			return '�'
		}
		return r
	}, s)
}

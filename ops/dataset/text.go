package dataset

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Text prints the survey for a person. Learnt tokens stand between mark's two texts: colour
// on a terminal, brackets elsewhere.
func (s *Survey) Text(out io.Writer, mark [2]string) error {
	p := &printer{w: out}
	for _, f := range s.Files {
		what := f.Format + ", " + f.Container
		if f.Packing != "" {
			what += " in " + f.Packing
		}
		p.line("%s: %s, %d rows", plain(f.Name), what, f.Rows)
		for _, sentence := range Sentences(&f.Notes, s.cfg) {
			p.line("  %s", plain(sentence))
		}
	}
	p.rows(s.Numbers)
	p.tokens(s.Numbers)
	p.tools(&s.Numbers.Tools)
	p.doubts(s)
	for _, show := range s.Prompts {
		p.line("\n%s row %d, learnt is %swhat is marked%s", plain(show.Source), show.Row, mark[0], mark[1])
		p.line("%s%s%s%s", plainLines(middle(show.Prompt)), mark[0], plainLines(middle(show.Learnt)), mark[1])
	}
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) places(places []string) {
	for _, at := range places {
		p.line("    %s", plain(at))
	}
}

func (p *printer) rows(n *Numbers) {
	p.line("\nexamples: %d kept of %d assistant turns (%s)", n.Kept, n.Examples,
		list(n.Parts, []string{"train", "validation", "test"}))
	for _, reason := range slices.Sorted(maps.Keys(n.Dropped)) {
		d := n.Dropped[reason]
		p.line("  dropped %d: %s, such as", d.N, plain(strings.ReplaceAll(reason, "_", " ")))
		p.places(d.Places)
	}
	p.line("difficulty: %s", list(n.Difficulty, []string{"easy", "medium", "hard"}))
	p.line("calls in the answer: %s", list(n.Calls, []string{"0", "1", "2", "3", "4+"}))
}

// list writes counts in the given order; others follow.
func list(counts map[string]int, order []string) string {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	var all []string
	for _, name := range order {
		all = append(all, fmt.Sprintf("%s %d", plain(name), counts[name]))
	}
	return strings.Join(all, ", ")
}

func (p *printer) tokens(n *Numbers) {
	p.line("\ntokens: %d in all", n.Tokens)
	t := tabwriter.NewWriter(p.w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "  of an example\tleast\tmedian\t90 %\t99 %\tmost")
	for _, l := range []struct {
		name string
		*Lengths
	}{{"prompt", &n.Prompt}, {"answer", &n.Answer}} {
		fmt.Fprintf(t, "  %s\t%d\t%d\t%d\t%d\t%d\n", l.name, l.Min, l.Median, l.P90, l.P99, l.Max)
	}
	if err := t.Flush(); p.err == nil {
		p.err = err
	}
	p.line("prompts by tokens")
	most := 1
	for _, b := range n.Prompt.Buckets {
		most = max(most, b.N)
	}
	for _, b := range n.Prompt.Buckets {
		p.line("  ≤ %-7d %8d %s", b.To, b.N, strings.Repeat("▪", max(1, 40*b.N/most)))
	}
}

func (p *printer) tools(t *Tools) {
	more := ""
	if t.Names >= maxNames {
		more = "at least "
	}
	p.line("\ntools: %s%d names, %d of them never called; called most", more, t.Names, t.Never)
	for _, u := range t.Most {
		p.line("  %s: %d calls, among the tools of %d examples", plain(u.Name), u.Called, u.Offered)
	}
}

// doubts prints what a person should look at.
func (p *printer) doubts(s *Survey) {
	d, w := &s.Duplicates, &s.Numbers.Wrong
	p.line("\nduplicates: %d conversations are the same as one before, %d nearly", d.Exact, d.Near)
	if d.Compared >= maxSketches {
		p.line("  (compared with the first %d different ones)", d.Compared)
	}
	p.places(d.Places)
	p.line("answers that contradict their own tools: %d examples (%s)", w.Examples,
		list(w.Kinds, []string{"missing", "unknown", "type", "enum"}))
	p.places(w.Places)
	for _, o := range s.Overlap {
		p.line("overlap with %s: %d questions of the data are among its %d, %d nearly", plain(o.File), o.Exact,
			o.Questions, o.Near)
		p.places(o.Places)
	}
}

// shown is how much of a prompt is printed.
const shown = 3000

// middle cuts a long text in its middle.
func middle(s string) string {
	r := []rune(s)
	if len(r) <= shown {
		return s
	}
	return string(r[:shown/2]) + fmt.Sprintf("\n… %d characters …\n", len(r)-shown) + string(r[len(r)-shown/2:])
}

// plain writes a text from a file in one line, without control characters, which could write
// to the terminal what they want.
func plain(s string) string { return strings.ReplaceAll(plainLines(s), "\n", " ") }

func plainLines(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 &&
			r <= 0x2069) {
			return '·'
		}
		return r
	}, s)
}

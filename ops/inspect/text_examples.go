package inspect

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"itool/ops/report"
	"itool/stages/judge"
)

// Text prints the examples for a terminal.
func (e *Examples) Text(w io.Writer, s Style) error {
	p := &printer{Style: s, w: w}
	p.sentence("run %s: %s of %s found, %s → %s (%s)", e.Run, report.Plain(fmt.Sprint(len(e.Examples))),
		plural(e.Total, "example"), e.From.Name, e.To.Name, p.legend())
	for i := range e.Examples {
		p.example(e.Run, &e.Examples[i])
	}
	if n := e.Total - len(e.Examples); n > 0 {
		p.line("\n%d more: --limit 0 shows all", n)
	}
	p.unreadable(e.Unreadable)
	return p.err
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (p *printer) example(run string, e *Example) {
	about := []string{place(e.Source, e.Row, e.Turn), e.Part}
	for _, s := range []string{e.Category, e.Difficulty, string(e.Effect)} {
		if s != "" {
			about = append(about, report.Plain(s))
		}
	}
	p.line("\n%s  %s", e.ID, strings.Join(about, " · "))
	p.asked(e)
	p.answers(e)
	for _, t := range e.Searches {
		p.field("searched", t.line(run))
	}
}

// answers prints what each policy answered; an answer that one before gave is named after that policy.
func (p *printer) answers(e *Example) {
	if len(e.Answers) == 0 {
		p.field("answers", "none: no policy was asked")
	}
	for i, a := range e.Answers {
		said := slices.IndexFunc(e.Answers[:i], func(b Answer) bool { return b.Text == a.Text && b.Pass == a.Pass })
		verdict := "✓ right"
		if !a.Pass {
			verdict = "✗ " + report.Plain(a.ErrorType)
		}
		verdict += fmt.Sprintf(", p %.2f", a.Prob)
		if a.From == FromSearch {
			verdict += ", the likeliest of its tree"
		}
		switch {
		case said >= 0:
			p.field(a.Policy, verdict+", as "+e.Answers[said].Policy)
		case a.Pass && a.Text == e.Reference:
			p.field(a.Policy, verdict)
		default:
			p.field(a.Policy, verdict)
			p.field("", p.answered(a.Text, a.Parts, a.Faults))
			p.why(&a)
		}
	}
}

// why explains an error that the marks do not show.
func (p *printer) why(a *Answer) {
	unclear := slices.ContainsFunc(a.Faults, func(f judge.Fault) bool {
		return f.Kind == judge.FaultOther || f.Kind == judge.FaultUnreadable
	})
	if unclear && a.Why != "" {
		p.field("", report.Plain(a.Why))
	}
}

// line names a tree and its pairs.
func (t *TreeSummary) line(run string) string {
	s := fmt.Sprintf("by %s: %d nodes, %s, %d right", t.Policy, t.Nodes, plural(t.Answers, "answer"), t.Passing)
	switch {
	case !t.Filtered:
		s += "; its pairs are not made yet"
	case t.Pairs > 0:
		s += "; " + plural(t.Pairs, "pair")
	default:
		s += "; no pair"
	}
	if len(t.Dropped) > 0 {
		s += "; dropped: " + counts(t.Dropped)
	}
	return s + fmt.Sprintf(" (itool tree %s %s --round %d)", run, t.Example, t.Round)
}

// Text prints the suspects for a terminal.
func (s *Suspects) Text(w io.Writer, style Style) error {
	p := &printer{Style: style, w: w}
	p.sentence("run %s: %s among %d examples that several policies have answered", s.Run,
		plural(len(s.Suspects), "doubtful label"), s.Asked)
	p.sentence("all policies gave the same answer against the reference, with a mean probability of %.2f or more (%s)",
		s.Confidence, p.legend())
	for i := range s.Suspects {
		x := &s.Suspects[i]
		p.line("\n%s  %s · %s · %d policies agree, p %.2f", x.ID, place(x.Source, x.Row, x.Turn), x.Part, x.Policies,
			x.Confidence)
		p.asked(&x.Example)
		p.field("answer", p.marked(x.Parts))
	}
	p.unreadable(s.Unreadable)
	return p.err
}

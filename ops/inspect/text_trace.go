package inspect

import (
	"fmt"
	"io"

	"itool/ops/report"
	"itool/schemas"
)

// Text prints the trace for a terminal. Of the pairs of a policy the first most are listed; 0: all.
func (t *Trace) Text(w io.Writer, s Style, most int) error {
	p := &printer{Style: s, w: w}
	p.line("run %s, %s %s", t.Run, t.Kind, report.Plain(t.Of))
	switch t.Kind {
	case KindPolicy:
		p.tracePolicy(t, most)
	case KindExample:
		p.origins(t)
		p.treesAndPairs(t)
	default:
		p.origins(t)
		p.treesAndPairs(t)
	}
	p.unreadable(t.Unreadable)
	return p.err
}

func (p *printer) policy(x *Policy, role string) {
	text := fmt.Sprintf("%s, %.12s", x.Name, x.Digest)
	if role != "" {
		text += ", " + role
	}
	if x.Detail != "" {
		text += ": " + report.Plain(x.Detail)
	}
	p.field("policy", text)
}

func (p *printer) tracePolicy(t *Trace, most int) {
	for i := range t.Policies {
		p.policy(&t.Policies[i], t.Policies[i].Status)
	}
	last := t.Policies[len(t.Policies)-1]
	switch {
	case last.Round < 0:
		p.line("\nit is the model that the run began with")
	case last.Round == 0:
		p.line("")
		p.sentence("it was trained on %d examples: itool examples %s --part train shows those that were searched",
			last.Rows, t.Run)
	case len(t.Pairs) == 0:
		p.line("\nit was trained on no pairs")
	default:
		p.line("\ntrained on %s of %s", plural(len(t.Pairs), "pair"), plural(len(t.Trees), "tree"))
		p.pairTable(t, most)
	}
}

func (p *printer) pairTable(t *Trace, most int) {
	rows := [][]string{{"pair", "kind", "chosen", "rejected"}}
	side := max(12, (p.width()-42)/2)
	for i, q := range t.Pairs {
		if most > 0 && i == most {
			break
		}
		rows = append(rows, []string{q.ID, report.Plain(q.Kind), short(q.Chosen, side), short(q.Rejected, side)})
	}
	p.table("its pairs (itool trace "+t.Run+" PAIR shows where one comes from)", rows)
	if n := len(t.Pairs) - len(rows) + 1; n > 0 {
		p.line("  … and %d more: --limit 0 shows all", n)
	}
}

func (p *printer) origins(t *Trace) {
	for _, o := range t.Examples {
		about := place(o.Source, o.Row, o.Turn) + ", " + o.Part
		if o.Part == schemas.PartTrain && !o.Replay {
			about += ", not in the buffer of the rounds"
		}
		p.field("example", o.ID+": "+about)
		p.field("question", report.Plain(o.Question))
		p.field("reference", report.Plain(o.Reference))
		for _, s := range o.Selection {
			what := "not selected"
			if s.Selected {
				what = "selected"
			}
			p.field("scored", fmt.Sprintf("round %d: perplexity %.3g, rank %d, %s",
				s.Round, s.Perplexity, s.Rank, what))
		}
	}
	if t.Kind == KindExample && len(t.Trees) == 0 {
		p.field("searched", "in no round, so that no pair comes from it")
	}
}

// treesAndPairs prints each tree with the policy that searched it, its pairs, and the policy that they made.
func (p *printer) treesAndPairs(t *Trace) {
	for i := range t.Trees {
		tree := &t.Trees[i]
		p.line("")
		if x := policyOf(t, tree.Round); x != nil {
			p.policy(x, "searched")
		}
		p.field("tree", fmt.Sprintf("%d/%s: ", tree.Round, tree.Example)+tree.line(t.Run))
		for j := range t.Pairs {
			if q := &t.Pairs[j]; q.Round == tree.Round && q.Example == tree.Example {
				p.tracedPair(t, q)
			}
		}
		if x := policyOf(t, tree.Round+1); x != nil {
			p.policy(x, "came of this round")
		}
	}
}

func policyOf(t *Trace, round int) *Policy {
	for i := range t.Policies {
		if t.Policies[i].Round == round {
			return &t.Policies[i]
		}
	}
	return nil
}

func (p *printer) tracedPair(t *Trace, q *Pair) {
	switch {
	case q.Reason != "" && t.Kind != KindPair:
		return // the line of the tree counts them, and itool tree has their reasons
	case q.Reason != "":
		p.field("no pair", fmt.Sprintf("#%d: %s (%s)", q.Node, q.because(), q.Reason))
		return
	case q.Trained:
		p.field("pair", q.ID+", trained on")
	case q.Untrained != "":
		p.field("pair", q.ID+", not trained on: "+report.Plain(q.Untrained))
	default:
		p.field("pair", q.ID+", kept; the round is not trained yet")
	}
	p.sides(q)
}

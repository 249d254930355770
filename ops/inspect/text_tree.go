package inspect

import (
	"fmt"
	"io"
	"strings"

	"itool/ops/report"
)

// Text prints the tree for a terminal: what was asked, one line per node below its parent, the answers and the pairs.
func (t *Tree) Text(w io.Writer, s Style) error {
	p := &printer{Style: s, w: w}
	p.line("example %s, searched by %s: %d nodes, prompt of %d tokens", t.Summary.Example, t.Summary.Policy,
		len(t.Nodes), t.Nodes[0].Tokens)
	if t.Of != nil {
		p.field("from", place(t.Of.Source, t.Of.Row, t.Of.Turn))
		p.asked(t.Of)
	}
	p.line("\nN visits, Q value, P prior; ▲ chosen, ▼ rejected in the pair of node #n")
	p.nodes(t.Nodes)
	p.found(t.Found)
	p.pairs(t)
	return p.err
}

// nodes draws the tree. An explicit stack, because a tree from outside can be one path of a million nodes.
func (p *printer) nodes(nodes []Node) {
	children := make([][]int, len(nodes))
	for i, n := range nodes {
		if i > 0 {
			children[n.Parent] = append(children[n.Parent], i)
		}
	}
	type step struct {
		node int
		last bool
	}
	stack := []step{{0, true}}
	var closed []bool // per depth: no more siblings follow
	for len(stack) > 0 && p.err == nil {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		n := &nodes[s.node]
		closed = append(closed[:min(n.Depth, len(closed))], s.last)
		before := indent(closed, n.Depth)
		p.line("%s%s", before, n.describe(p.width()-len([]rune(before))))
		kids := children[s.node]
		for i := len(kids) - 1; i >= 0; i-- {
			stack = append(stack, step{kids[i], i == len(kids)-1})
		}
	}
}

// deepest bounds how far a line is pushed to the right.
const deepest = 40

func indent(closed []bool, depth int) string {
	if depth == 0 {
		return ""
	}
	if depth > deepest {
		return fmt.Sprintf("%*s… depth %d ", 2*deepest, "", depth)
	}
	var b strings.Builder
	for d := 1; d < depth; d++ {
		if closed[d] {
			b.WriteString("  ")
		} else {
			b.WriteString("│ ")
		}
	}
	if closed[depth] {
		return b.String() + "└ "
	}
	return b.String() + "├ "
}

// describe is a node in about width columns. The numbers stay whole.
func (n *Node) describe(width int) string {
	if n.Parent < 0 {
		return fmt.Sprintf("#0 root  N %d  V %+.2f", n.Visits, n.V)
	}
	end := fmt.Sprintf("  N %d  Q %+.2f  P %.2f", n.Visits, n.Q, n.Prior)
	switch {
	case n.Terminal && n.Pass:
		end += "  ✓ right"
	case n.Terminal && n.Cut:
		end += "  ✗ cut by length"
	case n.Terminal:
		end += "  ✗ " + report.Plain(n.ErrorType)
	}
	if n.ChosenIn >= 0 {
		end += fmt.Sprintf("  ▲ #%d", n.ChosenIn)
	}
	if n.RejectedIn >= 0 {
		end += fmt.Sprintf("  ▼ #%d", n.RejectedIn)
	}
	head := fmt.Sprintf("#%d ", n.ID)
	text := fmt.Sprintf("%q", n.Text)
	return head + short(text, max(16, width-len(head)-len([]rune(end)))) + end
}

// mostFound bounds the answers that are listed.
const mostFound = 12

func (p *printer) found(all []FoundItem) {
	if len(all) == 0 {
		p.line("\nno answer came to its end")
		return
	}
	p.line("\nanswers, the likeliest first (%s)", p.legend())
	for i, f := range all {
		if i == mostFound {
			p.line("  … and %d more: --json has all", len(all)-mostFound)
			return
		}
		verdict := "✓ right"
		if !f.Pass {
			verdict = "✗ " + report.Plain(f.ErrorType)
		}
		p.line("  p %.3f  %s  %s", f.Prob, verdict, nodeList(f.Nodes))
		p.field("", p.answered(f.Text, f.Parts, f.Faults))
	}
}

func nodeList(nodes []int) string {
	var out []string
	for i, n := range nodes {
		if i == 6 {
			return strings.Join(out, " ") + " …"
		}
		out = append(out, fmt.Sprintf("#%d", n))
	}
	return strings.Join(out, " ")
}

func (p *printer) pairs(t *Tree) {
	switch {
	case !t.Summary.Filtered:
		p.line("\npairs: the filter has not been there yet")
		return
	case len(t.Pairs) == 0:
		p.line("\nno pair: no node has two children that lead to answers")
		return
	}
	p.line("\npairs, by branching node")
	for _, q := range t.Pairs {
		p.pair(&q)
	}
}

func (p *printer) pair(q *Pair) {
	if q.Reason != "" {
		p.field(fmt.Sprintf("#%d none", q.Node), fmt.Sprintf("%s (%s)", q.because(), report.Plain(q.Reason)))
		return
	}
	p.field(fmt.Sprintf("#%d pair", q.Node), q.ID)
	p.sides(q)
}

// because is the reason of a dropped pair as a sentence, with its numbers.
func (q *Pair) because() string {
	why := q.Why
	if why == "" {
		why = report.Plain(q.Reason)
	}
	if q.ChosenQ != 0 || q.RejectedQ != 0 {
		why += fmt.Sprintf("; Q %+.2f and %+.2f", q.ChosenQ, q.RejectedQ)
	}
	return why
}

// sides prints both sides of a pair and what speaks for it.
func (p *printer) sides(q *Pair) {
	if q.Before != "" {
		p.field("behind", short(q.Before, 3*p.width()))
	}
	p.field("chosen", fmt.Sprintf("%s  Q %+.2f%s", quoted(q.Chosen), q.ChosenQ, ends(q.ChosenEnds)))
	p.field("rejected", fmt.Sprintf("%s  Q %+.2f%s", quoted(q.Rejected), q.RejectedQ, ends(q.RejectedEnds)))
	var why []string
	if q.Kind != "" && q.Kind != "other" {
		why = append(why, "the reference decides it: "+report.Plain(q.Kind))
	}
	if q.Proven {
		why = append(why, "a right answer was found below the chosen side, none below the other")
	}
	if len(why) > 0 {
		p.field("because", strings.Join(why, "; "))
	}
}

func quoted(text string) string { return short(fmt.Sprintf("%q", text), 400) }

func ends(b bool) string {
	if b {
		return ", the turn ends"
	}
	return ""
}

// Text prints a line for each tree.
func (t *Trees) Text(w io.Writer, s Style) error {
	p := &printer{Style: s, w: w}
	rows := [][]string{{"example", "round", "nodes", "answers", "right", "pairs", "question"}}
	for _, x := range t.Trees {
		pairs := fmt.Sprint(x.Pairs)
		if !x.Filtered {
			pairs = "?"
		}
		rows = append(rows, []string{
			x.Example, fmt.Sprint(x.Round), fmt.Sprint(x.Nodes), fmt.Sprint(x.Answers), fmt.Sprint(x.Passing), pairs,
			short(x.Question, p.width()-54),
		})
	}
	p.table(fmt.Sprintf("run %s: %d of %s (round: that of the policy that searched)", t.Run, len(t.Trees),
		plural(t.Total, "tree")), rows)
	if len(rows) == 1 {
		p.line("run %s: no tree is like that", t.Run)
	}
	if n := t.Total - len(t.Trees); n > 0 {
		p.line("\n%d more: --limit 0 shows all", n)
	}
	p.unreadable(t.Unreadable)
	return p.err
}

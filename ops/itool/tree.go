package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/progress"
	"itool/ops/report"
	"itool/schemas"
)

// treeCmd is `itool tree`.
type treeCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
	Example string `arg:"" help:"Example ID; without a tree of that ID the ones there are are listed."`
	Round   int    `help:"Policy that searched: 0 is the warm-up."`
}

func (c *treeCmd) Run(ctx context.Context, a *app) error {
	s, err := c.openRun(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	record := schemas.RecordCandidate
	nodes, _, err := courier.Rows[schemas.Candidate](ctx, s.Courier, c.RunName, record, c.Round, c.Example)
	if errors.Is(err, broker.ErrNotExist) || errors.Is(err, broker.ErrBadName) {
		keys, err := s.Broker.Keys(ctx, c.RunName, record, c.Round)
		if err != nil {
			return notYet(c.RunName, err)
		}
		return fmt.Errorf("example %q was not searched in round %d; there are: %s",
			c.Example, c.Round, orNone(progress.Short(strings.Join(keys, " "), 600)))
	}
	if err != nil {
		return notYet(c.RunName, err)
	}
	return drawTree(a.out, nodes)
}

// drawTree writes one line per node below its parent. The tree comes from outside: a node
// that precedes its parent is an error and cannot cause a loop.
func drawTree(w io.Writer, nodes []schemas.Candidate) error {
	children := make([][]int, len(nodes))
	for i, n := range nodes {
		switch {
		case i == 0 && n.Parent < 0:
		case n.Parent >= 0 && int(n.Parent) < i:
			children[n.Parent] = append(children[n.Parent], i)
		default:
			return fmt.Errorf("the stored tree is broken: node %d has parent %d", i, n.Parent)
		}
	}
	if len(nodes) == 0 {
		return errors.New("the stored tree is empty")
	}
	fmt.Fprintf(w, "example %s: %d nodes, prompt of %d tokens\nN visits, Q value, P prior\n",
		nodes[0].ExampleID, len(nodes), len(nodes[0].Tokens))
	// An explicit stack, because a tree from outside can be one path of a million nodes.
	type step struct {
		node  int
		depth int
		last  bool
	}
	stack := []step{{0, 0, true}}
	var closed []bool // per depth: no more siblings follow
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		closed = append(closed[:min(s.depth, len(closed))], s.last)
		fmt.Fprintf(w, "%s%s\n", indent(closed, s.depth), describe(&nodes[s.node]))
		kids := children[s.node]
		for i := len(kids) - 1; i >= 0; i-- {
			stack = append(stack, step{kids[i], s.depth + 1, i == len(kids)-1})
		}
	}
	return nil
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

func describe(n *schemas.Candidate) string {
	if n.Parent < 0 {
		return fmt.Sprintf("root  N %d  V %+.2f", n.Visits, n.V)
	}
	end := ""
	switch {
	case n.Terminal && n.Pass:
		end = "  ✓ pass"
	case n.Terminal && n.Cut:
		end = "  ✗ cut by length"
	case n.Terminal:
		end = "  ✗ " + report.Plain(n.ErrorType)
	}
	return fmt.Sprintf("%q  N %d  Q %+.2f  P %.2f%s", n.Text, n.Visits, n.Q, n.Prior, end)
}

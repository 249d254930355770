package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"itool/ops/inspect"
	"itool/ops/progress"
)

// treeCmd is `itool tree`.
type treeCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
	Example string `arg:"" optional:"" help:"Example ID, or the tree's name in other commands: ROUND/EXAMPLE."`
	Round   int    `default:"-2" min:"-1" placeholder:"ROUND" help:"${tree_round}"`
	List    bool   `help:"List the trees instead of showing one."`
	Mixed   bool   `help:"With --list: only trees with right and wrong answers."`
	Pairs   bool   `help:"With --list: only trees that gave a pair." xor:"pairs"`
	NoPairs bool   `help:"With --list: only trees that gave none." xor:"pairs"`
	Dropped string `placeholder:"REASON" help:"${tree_dropped}"`
	Kind    string `placeholder:"KIND" help:"${tree_kind}"`
	Type    string `placeholder:"TYPE" help:"With --list: only trees with an answer that is wrong in this way."`
	Limit   int    `default:"40" help:"With --list: most trees to print; 0: all."`
	JSON    bool   `name:"json" help:"Print JSON instead of text."`
}

func (c *treeCmd) Run(ctx context.Context, a *app) error {
	switch filtered := c.Mixed || c.Pairs || c.NoPairs || c.Dropped+c.Kind+c.Type != ""; {
	case c.List && c.Example != "":
		return coded(exitUsage, "--list shows all trees: leave the example out")
	case !c.List && filtered:
		return coded(exitUsage, "--mixed, --pairs, --no-pairs, --dropped, --kind, --type: only with --list")
	case !c.List && c.Example == "":
		return coded(exitUsage, "%w", errNoExample)
	}
	s, r, err := c.inspected(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	if c.List {
		return c.list(ctx, a, r)
	}
	example, round := c.Example, c.Round
	if before, after, named := strings.Cut(example, "/"); named {
		if _, err := fmt.Sscan(before, &round); err != nil {
			return coded(exitUsage, "%q is no tree: say ROUND/EXAMPLE, such as 0/s0000000-00004", c.Example)
		}
		example = after
	}
	tree, err := r.Tree(ctx, example, round)
	if err != nil {
		return c.others(ctx, r, err)
	}
	return show(a, c.JSON, tree, tree.Text)
}

func (c *treeCmd) list(ctx context.Context, a *app, r *inspect.Run) error {
	f := inspect.TreeFilter{
		Mixed: c.Mixed, WithPairs: c.Pairs, NoPairs: c.NoPairs, Reason: c.Dropped, Kind: c.Kind, ErrorType: c.Type,
		Limit: c.Limit,
	}
	if c.Round != inspect.LastRound {
		f.Round = &c.Round
	}
	trees, err := r.Trees(ctx, f)
	if err != nil {
		return err
	}
	return show(a, c.JSON, trees, trees.Text)
}

// others adds the trees that there are to an error.
func (c *treeCmd) others(ctx context.Context, r *inspect.Run, err error) error {
	var missing *inspect.NotSearchedError
	if !errors.As(err, &missing) {
		return err
	}
	trees, listErr := r.Trees(ctx, inspect.TreeFilter{})
	if listErr != nil {
		return listErr
	}
	var names []string
	for _, t := range trees.Trees {
		names = append(names, fmt.Sprintf("%d/%s", t.Round, t.Example))
	}
	return fmt.Errorf("%w; there are: %s", err, orNone(progress.Short(strings.Join(names, " "), 300)))
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"itool/broker"
	"itool/ops/inspect"
	"itool/ops/retire"
	"itool/ops/site"
	"itool/ops/whole"
)

// examplesCmd is `itool examples`.
type examplesCmd struct {
	target
	overwriting
	RunName    string   `arg:"" name:"run" help:"Name of the run."`
	IDs        []string `arg:"" optional:"" name:"example" help:"Only these example IDs, of any part."`
	Wrong      bool     `help:"Only those that policy --to answered wrongly." xor:"effect"`
	Won        bool     `help:"Only those that were wrong under policy --from and are right under --to." xor:"effect"`
	Lost       bool     `help:"Only those that were right under policy --from and are wrong under --to." xor:"effect"`
	Stayed     bool     `help:"Only those that were wrong under policy --from and still are." xor:"effect"`
	Type       string   `placeholder:"TYPE" help:"${examples_type}"`
	Tool       string   `placeholder:"NAME" help:"Only those with a fault about this tool."`
	Parameter  string   `placeholder:"NAME" help:"Only those with a fault about this parameter."`
	Category   string   `placeholder:"NAME" help:"Only those of this category of a benchmark."`
	Part       string   `enum:",test,validation,train" default:"" placeholder:"PART" help:"${examples_part}"`
	From       string   `placeholder:"POLICY" help:"Policy to compare with: base, warm-up, 1 …; default: the warm-up."`
	To         string   `placeholder:"POLICY" help:"Policy whose answers are filtered; default: the last one."`
	Limit      int      `default:"10" help:"Most examples to print; 0: all."`
	Suspects   bool     `help:"${examples_suspects}"`
	Confidence float64  `default:"0.5" help:"With --suspects: least mean probability of the common answer, 0..1."`
	Exclusions string   `placeholder:"FILE" help:"${examples_exclusions}"`
	JSON       bool     `name:"json" help:"Print JSON instead of text."`
}

func (c *examplesCmd) Run(ctx context.Context, a *app) error {
	if c.Exclusions != "" && !c.Suspects {
		return coded(exitUsage, "--exclusions: only with --suspects")
	}
	if c.Limit < 0 || !(c.Confidence >= 0 && c.Confidence <= 1) {
		return coded(exitUsage, "--limit is 0 or more, --confidence within 0..1")
	}
	if err := c.check(c.Exclusions); err != nil {
		return err
	}
	s, r, err := c.inspected(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	if c.Suspects {
		return c.suspects(ctx, a, r)
	}
	f, err := c.filter(r)
	if err != nil {
		return err
	}
	found, err := r.Examples(ctx, f)
	if err != nil {
		return err
	}
	return show(a, c.JSON, found, found.Text)
}

// filter is what the flags ask for.
func (c *examplesCmd) filter(r *inspect.Run) (f inspect.Filter, err error) {
	f = inspect.Filter{
		IDs: c.IDs, Part: c.Part, Wrong: c.Wrong, ErrorType: c.Type, Category: c.Category, Tool: c.Tool,
		Parameter: c.Parameter, Limit: c.Limit,
	}
	for effect, asked := range map[inspect.Effect]bool{
		inspect.Won: c.Won, inspect.Lost: c.Lost, inspect.StayedWrong: c.Stayed,
	} {
		if asked {
			f.Effect = effect
		}
	}
	for _, x := range []struct {
		text string
		to   **int
	}{{c.From, &f.From}, {c.To, &f.To}} {
		if x.text == "" {
			continue
		}
		round, err := r.ParseRound(x.text)
		if err != nil {
			return f, err
		}
		*x.to = &round
	}
	return f, nil
}

func (c *examplesCmd) suspects(ctx context.Context, a *app, r *inspect.Run) error {
	found, err := r.Suspects(ctx, c.Confidence)
	if err != nil {
		return err
	}
	if c.Exclusions != "" {
		if err := whole.File(c.Exclusions, found.Exclusions); err != nil {
			return err
		}
		fmt.Fprintf(a.errs, "wrote %s: look through it, delete the lines whose labels are right, "+
			"then start a run with --exclude %s\n", c.Exclusions, c.Exclusions)
	}
	return show(a, c.JSON, found, found.Text)
}

// show prints a result as JSON or as text.
func show(a *app, asJSON bool, result any, text func(io.Writer, inspect.Style) error) error {
	if !asJSON {
		return text(a.out, inspect.Style{Color: a.color})
	}
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	return e.Encode(result)
}

// inspected opens the place of a run and the run itself. Close the site.
func (t target) inspected(ctx context.Context, a *app, run string) (*site.Site, *inspect.Run, error) {
	s, err := t.open(ctx, a, run)
	if err != nil {
		return nil, nil, err
	}
	r, err := openInspected(ctx, s, run)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return s, r, nil
}

func openInspected(ctx context.Context, s *site.Site, run string) (*inspect.Run, error) {
	missing := mustExist(ctx, s.Courier, run)
	if missing != nil {
		if _, err := retire.Load(ctx, s.Courier, run); err == nil {
			return nil, fmt.Errorf("run %s was retired: its examples, trees and pairs are gone; "+
				"itool report %s and itool export %s still work", run, run, run)
		}
		return nil, missing
	}
	r, err := inspect.Open(ctx, s.Courier, run)
	if err != nil {
		return nil, notYet(run, err)
	}
	if len(r.Policies) == 0 {
		return nil, notYet(run, broker.ErrNoRun)
	}
	return r, nil
}

var errNoExample = errors.New("which example? itool tree RUN --list shows those that have a tree")

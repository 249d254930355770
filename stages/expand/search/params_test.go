package search_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"itool/stages/expand/search"
)

func TestParams(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*search.Params)
		want string // "" = valid
	}{
		{"default", func(*search.Params) {}, ""},
		{"paper", func(p *search.Params) { *p = search.Paper() }, ""},
		{"zero value", func(p *search.Params) { *p = search.Params{} }, "width is 0, want 1 to 64"},
		{"wide", func(p *search.Params) { p.Width = 65 }, "width is 65"},
		{"no iterations", func(p *search.Params) { p.Iterations = 0 }, "iterations is 0"},
		{"negative depth", func(p *search.Params) { p.MaxDepth = -1 }, "maxDepth is -1"},
		{"negative simulation", func(p *search.Params) { p.Simulation = -1 }, "simulation is -1"},
		{"negative c", func(p *search.Params) { p.C = -1 }, "c is -1"},
		{"c NaN", func(p *search.Params) { p.C = math.NaN() }, "c is NaN"},
		{"gamma over 1", func(p *search.Params) { p.Gamma = 1.01 }, "gamma is 1.01, want 0 to 1"},
		{"no draws", func(p *search.Params) { p.DrawsPerChild = 0 }, "drawsPerChild is 0"},
		{"negative budget", func(p *search.Params) { p.TokenBudget = -1 }, "tokenBudget is -1"},
		{"negative patience", func(p *search.Params) { p.Patience = -1 }, "patience is -1"},
		{"coverage in percent", func(p *search.Params) { p.Coverage = 99 }, "coverage is 99, want 0 to 1"},
		{"cold", func(p *search.Params) { p.Temperature = 0 }, "temperature is 0, want more than 0"},
		{"infinitely hot", func(p *search.Params) { p.Temperature = math.Inf(1) }, "temperature is +Inf"},
		{"raised to zero", func(p *search.Params) { p.RaisedTemperature = 0 }, "raisedTemperature is 0"},
		{"never raised, to zero", func(p *search.Params) { p.RaisedTemperature, p.MinDistinct = 0, 0 }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := search.Default()
			c.edit(&p)
			err := p.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			_, failed := search.Search(context.Background(), fork().oracle(), p, nil)
			if (failed == nil) != (err == nil) {
				t.Errorf("Validate says %v, Search says %v", err, failed)
			}
		})
	}
	if _, err := search.Search(context.Background(), search.Oracle{}, search.Default(), nil); err == nil {
		t.Error("a search without an oracle began")
	}
}

// Coverage saves the draws that only repeat a near-certain fragment, and keeps the
// pairs: nodes whose best child leads to a pass and whose worst does not.
func TestCoverageSavesTokens(t *testing.T) {
	p := search.Default()
	p.MinDistinct, p.Iterations = 0, 16
	pairs, tokens := map[float64]int{}, map[float64]int{}
	for seed := range uint64(200) {
		p.Seed = seed << 32
		for _, p.Coverage = range []float64{0, 0.99} {
			tree := mustSearch(t, call().oracle(), p)
			tokens[p.Coverage] += tree.Tokens
			for node := range tree.Branching() {
				best, worst := extremes(tree, node)
				if best.Passing > 0 && worst.Passing == 0 {
					pairs[p.Coverage]++
				}
			}
		}
	}
	t.Logf("tokens %v, pairs %v", tokens, pairs)
	if float64(tokens[0.99]) > 0.75*float64(tokens[0]) || float64(pairs[0.99]) < 0.9*float64(pairs[0]) {
		t.Errorf("tokens %v, pairs %v: want a quarter fewer tokens, nine in ten of the pairs", tokens, pairs)
	}
}

func extremes(tree *search.Tree, node int) (best, worst search.Node) {
	for i, child := range tree.Nodes[node].Children {
		c := tree.Nodes[child]
		if i == 0 || c.Q > best.Q {
			best = c
		}
		if i == 0 || c.Q < worst.Q {
			worst = c
		}
	}
	return best, worst
}

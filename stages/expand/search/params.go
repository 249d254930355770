package search

import (
	"fmt"
	"math"
)

// Params are the settings of one search.
type Params struct {
	Width      int // most children of a node, 1 to 64
	Iterations int // iterations of select, expand and backup, at least 1
	MaxDepth   int // fragments; nodes this deep are rolled out but not expanded; 0 = no limit
	Simulation int // most fragments of a roll-out; 0 = to the end of the answer
	Leaves     int // leaves to expand at the same time, 0 to 64; 0 and 1 = one after the other

	C float64 // c of Eq. 5: weight of exploration, ≥ 0
	// Gamma is γ of Eq. 9, the discount, 0 to 1. At 1 the rewards on a path telescope,
	// so the self-evaluations of inner nodes cancel out. That is why the search does not
	// ask for them; below 1 they are missing from Q.
	Gamma float64

	DrawsPerChild int // at most Width × DrawsPerChild draws at a node, 1 to 64
	TokenBudget   int // sampled tokens after which no iteration begins; 0 = no budget
	Answers       int // finished answers after which no iteration begins; 0 = no limit
	Patience      int // iterations without a change of the root's ranking before a stop; 0 = never stop early

	// Coverage ends the draws at a node when its distinct fragments hold this share
	// of the probability at temperature 1, since another fragment is then unlikely.
	// 0 to 1; 0 = draw up to the limit. On the made-up tool calls of the tests, 0.99
	// saves two tokens in five and loses no pair.
	Coverage float64

	Temperature       float64 // to sample at, > 0
	MinDistinct       float64 // fewer distinct fragments per expansion raise the temperature; 0 = never
	RaisedTemperature float64 // … to this value, > 0 if MinDistinct is

	Seed uint64 // the only source of randomness
}

// Default are the settings of this project: roll-outs to the end of the answer, no
// depth limit. Callers raise Iterations to twice the fragments of the reference.
func Default() Params {
	return Params{
		Width: 4, Iterations: 8,
		C: 1, Gamma: 1,
		DrawsPerChild: 4, Patience: 3,
		Temperature: 1, MinDistinct: 2, RaisedTemperature: 1.3,
	}
}

// Paper are the settings of the authors' script: shallow trees and short roll-outs.
func Paper() Params {
	return Params{
		Width: 3, Iterations: 5, MaxDepth: 3, Simulation: 2,
		C: 1, Gamma: 1,
		DrawsPerChild: 4,
		Temperature:   1.5,
	}
}

// Validate names the first setting that is out of its range, with its value.
func (p Params) Validate() error {
	for _, check := range []struct {
		name            string
		value, min, max float64
	}{
		{"width", float64(p.Width), 1, 64},
		{"iterations", float64(p.Iterations), 1, 1e9},
		{"maxDepth", float64(p.MaxDepth), 0, 1e9},
		{"simulation", float64(p.Simulation), 0, 1e9},
		{"leaves", float64(p.Leaves), 0, 64},
		{"c", p.C, 0, 1e6},
		{"gamma", p.Gamma, 0, 1},
		{"drawsPerChild", float64(p.DrawsPerChild), 1, 64},
		{"tokenBudget", float64(p.TokenBudget), 0, math.MaxInt64},
		{"answers", float64(p.Answers), 0, 1e9},
		{"patience", float64(p.Patience), 0, 1e9},
		{"coverage", p.Coverage, 0, 1},
		{"minDistinct", p.MinDistinct, 0, 64},
	} {
		// In this form the condition refuses NaN as well.
		if !(check.value >= check.min && check.value <= check.max) {
			return fmt.Errorf("search: %s is %v, want %v to %v", check.name, check.value, check.min, check.max)
		}
	}
	if !validTemperature(p.Temperature) {
		return fmt.Errorf("search: temperature is %v, want more than 0, at most 100", p.Temperature)
	}
	if p.MinDistinct > 0 && !validTemperature(p.RaisedTemperature) {
		return fmt.Errorf("search: raisedTemperature is %v, want more than 0, at most 100 (or minDistinct 0)",
			p.RaisedTemperature)
	}
	return nil
}

func validTemperature(t float64) bool { return t > 0 && t <= 100 }

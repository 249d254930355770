package search

import (
	"fmt"
	"math"
)

// Params are the settings of one search.
type Params struct {
	Width      int // children a node may have, 1 to 64
	Iterations int // select–expand–backup rounds, at least 1
	MaxDepth   int // fragments; nodes this deep are not expanded, only rolled out; 0 = no limit
	Simulation int // fragments a roll-out may take; 0 = to the end of the answer

	C     float64 // c of Eq. 5: weight of exploration, ≥ 0
	Gamma float64 // γ of Eq. 9: discount, 0 to 1; below 1 the inner self-evaluations, which are not asked for, would matter

	DrawsPerChild int // a node is drawn from at most Width × DrawsPerChild times, 1 to 64
	TokenBudget   int // sampled tokens after which no iteration begins; 0 = no budget
	Patience      int // converged: iterations for which the root's ranking must stand; 0 = never stop early

	// Coverage ends the drawing at a node once its distinct fragments hold this
	// share of the probability at temperature 1: what is left will hardly be
	// drawn. 0 to 1; 0 = draw on to the limit. On the tests' made-up tool calls 0.99
	// spares two tokens in five and loses no pair.
	Coverage float64

	Temperature       float64 // to sample at, > 0
	MinDistinct       float64 // raise it when fewer distinct fragments come per expanded node; 0 = never
	RaisedTemperature float64 // … to this, > 0 when MinDistinct is

	Seed uint64 // the only source of chance
}

// Default is the setting of this project: roll-outs to the end, no depth limit.
// Callers raise Iterations to twice the fragments of the reference answer.
func Default() Params {
	return Params{
		Width: 4, Iterations: 8,
		C: 1, Gamma: 1,
		DrawsPerChild: 4, Patience: 3,
		Temperature: 1, MinDistinct: 2, RaisedTemperature: 1.3,
	}
}

// Paper is the setting of the authors' script: shallow trees, short roll-outs.
func Paper() Params {
	return Params{
		Width: 3, Iterations: 5, MaxDepth: 3, Simulation: 2,
		C: 1, Gamma: 1,
		DrawsPerChild: 4,
		Temperature:   1.5,
	}
}

// Validate names the first setting that is out of its range.
func (p Params) Validate() error {
	for _, check := range []struct {
		name            string
		value, min, max float64
	}{
		{"width", float64(p.Width), 1, 64},
		{"iterations", float64(p.Iterations), 1, 1e9},
		{"maxDepth", float64(p.MaxDepth), 0, 1e9},
		{"simulation", float64(p.Simulation), 0, 1e9},
		{"c", p.C, 0, 1e6},
		{"gamma", p.Gamma, 0, 1},
		{"drawsPerChild", float64(p.DrawsPerChild), 1, 64},
		{"tokenBudget", float64(p.TokenBudget), 0, math.MaxInt64},
		{"patience", float64(p.Patience), 0, 1e9},
		{"coverage", p.Coverage, 0, 1},
		{"minDistinct", p.MinDistinct, 0, 64},
	} {
		// Written so that NaN is refused, too.
		if !(check.value >= check.min && check.value <= check.max) {
			return fmt.Errorf("search: %s is %v, want %v to %v", check.name, check.value, check.min, check.max)
		}
	}
	if !validTemperature(p.Temperature) {
		return fmt.Errorf("search: temperature is %v, want more than 0, at most 100", p.Temperature)
	}
	if p.MinDistinct > 0 && !validTemperature(p.RaisedTemperature) {
		return fmt.Errorf("search: raisedTemperature is %v, want more than 0, at most 100 (or minDistinct 0)", p.RaisedTemperature)
	}
	return nil
}

func validTemperature(t float64) bool { return t > 0 && t <= 100 }

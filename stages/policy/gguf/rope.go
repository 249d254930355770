package gguf

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"itool/stages/policy/model"
)

// maxFactorError is how far the factors of a scaling may be from those of the file, relative. Programs
// compute them in float32 in different orders.
const maxFactorError = 1e-5

// llama3 finds the scaling of Llama 3 that has the factors in t. GGUF has only the factors; config.json
// has the four numbers from which they follow.
func (f *File) llama3(t *Tensor, c model.Config) (*model.Llama3Scaling, error) {
	if len(t.Shape) != 1 || t.Shape[0] != c.HeadDim/2 {
		return nil, fmt.Errorf("shape %v, but heads of %d have %d frequencies", t.Shape, c.HeadDim, c.HeadDim/2)
	}
	factors := make([]float32, c.HeadDim/2)
	if err := f.Rows(t, factors, 0, 1); err != nil {
		return nil, err
	}
	for i, v := range factors {
		if !(v > 0 && v < 1e6) {
			return nil, fmt.Errorf("factor %d is %v", i, v)
		}
	}
	if slices.Max(factors) == 1 && slices.Min(factors) == 1 {
		return nil, nil
	}
	for _, s := range slices.Concat(usual(factors), fitted(c, factors)) {
		if within(c, s, factors) {
			return &s, nil
		}
	}
	return nil, errors.New("the factors are not those of Llama 3's scaling, which is the only one supported")
}

// within tells whether the engine computes these factors with the scaling.
func within(c model.Config, s model.Llama3Scaling, factors []float32) bool {
	c.RopeScaling = &s
	if c.Validate() != nil {
		return false
	}
	got := (&model.Model{Config: c}).RopeFactors()
	for i, v := range factors {
		if !(math.Abs(float64(got[i]-v)) <= maxFactorError*float64(v)) {
			return false
		}
	}
	return true
}

// usual lists the scalings of published models and their like: low 1, high 4, and the original context a
// power of two.
func usual(factors []float32) (all []model.Llama3Scaling) {
	for _, factor := range []float64{float64(slices.Max(factors)), 8, 32} {
		for original := 16; original <= 1<<20; original *= 2 {
			all = append(all, model.Llama3Scaling{Factor: rounded(factor), Low: 1, High: 4, Original: original})
		}
	}
	return all
}

// rounded is the whole number next to v, if v is one but for an error of float32.
func rounded(v float64) float64 {
	if r := math.Round(v); math.Abs(v-r) < maxFactorError*v {
		return r
	}
	return v
}

// fitted is the scaling through the factors themselves. With x = turns per token, the reciprocal of a
// wavelength, 1/factor is 1/Factor for x below a = Low/Original, 1 above b = High/Original, and linear
// between. Only a and b are visible in the factors, so Original may be any number.
func fitted(c model.Config, factors []float32) []model.Llama3Scaling {
	const original = 8192
	top := rounded(float64(slices.Max(factors)))
	var x, s []float64 // the points between a and b, x falling: s = 0 at a, 1 at b
	below, above := 0.0, math.Inf(1)
	for i, v := range factors {
		turns := math.Pow(c.RopeTheta, -float64(2*i)/float64(c.HeadDim)) / (2 * math.Pi)
		part := (1/float64(v) - 1/top) / (1 - 1/top)
		switch {
		case part < maxFactorError:
			below = max(below, turns)
		case part > 1-maxFactorError:
			above = min(above, turns)
		default:
			x, s = append(x, turns), append(s, part)
		}
	}
	var a, b float64
	switch n := len(x); {
	case n >= 2:
		slope := (s[0] - s[n-1]) / (x[0] - x[n-1])
		a = x[0] - s[0]/slope
		b = a + 1/slope
	case n == 1: // any line through it that leaves the others outside
		width := min((x[0]-below)/s[0], (above-x[0])/(1-s[0])) / 2
		a, b = x[0]-s[0]*width, x[0]+(1-s[0])*width
	default:
		above = min(above, 2*below)
		a, b = below+(above-below)/3, above-(above-below)/3
	}
	return []model.Llama3Scaling{{Factor: top, Low: a * original, High: b * original, Original: original}}
}

package model

import (
	"cmp"
	"errors"
	"fmt"
	"math"
)

// This file is the rotary positions: how config.json describes the angles, and their tables.

// Llama3Scaling scales the rotary angles of Llama 3.1 and later to contexts longer than the original
// one: slow rotations are divided by Factor, fast ones stay, and those between are interpolated
// (rope_type llama3 of transformers).
type Llama3Scaling struct {
	Factor float64 `json:"factor"` // at least 1
	// A rotation with fewer turns than Low within the original context is slow, one with more than
	// High is fast. Low is less than High.
	Low      float64 `json:"low_freq_factor"`
	High     float64 `json:"high_freq_factor"`
	Original int     `json:"original_max_position_embeddings"` // the original context, in tokens
}

func (s Llama3Scaling) validate() error {
	switch {
	case !(s.Factor >= 1 && s.Factor < 1e6):
		return fmt.Errorf("factor: %v is not within [1, 1e6)", s.Factor)
	case !(s.Low > 0 && s.High > s.Low && s.High < 1e6):
		return fmt.Errorf("low_freq_factor, high_freq_factor: %v and %v are not in ascending order within (0, 1e6)",
			s.Low, s.High)
	case s.Original < 1 || s.Original > 1<<30:
		return fmt.Errorf("original_max_position_embeddings: %d is not within 1..%d", s.Original, 1<<30)
	}
	return nil
}

// rope says how the rotary angles are computed. The field of its kind has two names.
type rope struct {
	Type    string   `json:"rope_type,omitempty"`
	OldType string   `json:"type,omitempty"`
	Theta   *float64 `json:"rope_theta,omitempty"`
	Llama3Scaling
}

// kind is the type of scaling: "default" for none. Only a scaling needs a type.
func (r *rope) kind() string {
	if r == nil {
		return "default"
	}
	if name := cmp.Or(r.Type, r.OldType); name != "" || r.Llama3Scaling != (Llama3Scaling{}) {
		return name
	}
	return "default"
}

// says tells whether the object has any content; an empty one counts as absent.
func (r *rope) says() bool { return r != nil && *r != (rope{}) }

// ropesAgree checks that the settings of the angles do not contradict each other. They may be in
// three places, and different versions of transformers use different ones.
func (f *configFile) ropesAgree() error {
	for _, r := range []struct {
		name string
		*rope
	}{{"rope_scaling", f.RopeScaling}, {"rope_parameters", f.RopeParameters}} {
		switch k := r.kind(); {
		case k != "default" && k != "llama3":
			return fmt.Errorf("%s: rope_type %q: only default and llama3 are supported", r.name, k)
		case r.rope != nil && r.Theta != nil && f.RopeTheta != nil && *r.Theta != *f.RopeTheta:
			return fmt.Errorf("rope_theta: %v, but %v in %s: delete the one that the model was not trained with",
				*f.RopeTheta, *r.Theta, r.name)
		}
	}
	if a, b := f.RopeScaling, f.RopeParameters; a.says() && b.says() &&
		(a.kind() != b.kind() || a.Llama3Scaling != b.Llama3Scaling || or(a.Theta, 0) != or(b.Theta, 0)) {
		return errors.New("rope_scaling: it differs from rope_parameters: " +
			"delete the one that the model was not trained with")
	}
	return nil
}

// angles returns the tables of cos and sin of position · frequency, each (positions, D/2).
func angles(c *Config) (cos, sin []float32) {
	half := c.HeadDim / 2
	cos, sin = make([]float32, c.MaxPositions*half), make([]float32, c.MaxPositions*half)
	for i := range half {
		// transformers computes the frequency, and its product with the position, in float32. At
		// position 10,000 that visibly shifts the angle, so we do the same.
		freq := c.frequency(i)
		if c.RopeScaling != nil {
			freq = c.RopeScaling.scale(freq)
		}
		for p := range c.MaxPositions {
			s, c := math.Sincos(float64(float32(p) * freq))
			cos[p*half+i], sin[p*half+i] = float32(c), float32(s)
		}
	}
	return cos, sin
}

// RopeFactors are the divisors of the frequencies (D/2); nil without scaling.
func (m *Model) RopeFactors() []float32 {
	if m.RopeScaling == nil {
		return nil
	}
	factors := make([]float32, m.HeadDim/2)
	for i := range factors {
		freq := m.frequency(i)
		factors[i] = freq / m.RopeScaling.scale(freq)
	}
	return factors
}

// frequency is the i-th frequency of the rotary angles before scaling, in radians per token.
func (c *Config) frequency(i int) float32 {
	return float32(1 / math.Pow(c.RopeTheta, float64(2*i)/float64(c.HeadDim)))
}

// scale follows _compute_llama3_parameters in transformers' modeling_rope_utils.py, also in float32.
// freq is in radians per token.
func (s *Llama3Scaling) scale(freq float32) float32 {
	factor, wave := float32(s.Factor), float32(2*math.Pi)/freq // tokens per turn
	switch {
	case wave > float32(float64(s.Original)/s.Low):
		return freq / factor
	case wave < float32(float64(s.Original)/s.High):
		return freq
	}
	smooth := (float32(s.Original)/wave - float32(s.Low)) / float32(s.High-s.Low)
	return (1-smooth)*freq/factor + smooth*freq
}

// Package sample picks the next token from logits: greedily, or at random with
// temperature, top-k and top-p. It knows nothing of models and text.
//
//	s := sample.New(seed)
//	id := s.Pick(logits, sample.Settings{Temperature: 1})
package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Settings shape the distribution. The zero value is greedy.
type Settings struct {
	Temperature float64 // ≥ 0; 0: always the likeliest token
	TopP        float64 // (0, 1): the likeliest tokens that hold this mass; 0 or 1: all
	TopK        int     // the k likeliest tokens; 0: all
}

// Validate checks the ranges.
func (s Settings) Validate() error {
	switch {
	case !(s.Temperature >= 0) || math.IsInf(s.Temperature, 0):
		return fmt.Errorf("temperature: %v: must be 0 (greedy) or more", s.Temperature)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return fmt.Errorf("top_p: %v: not within 0..1", s.TopP)
	case s.TopK < 0:
		return fmt.Errorf("top_k: %d: negative", s.TopK)
	}
	return nil
}

// Sampler is the random source of one sequence: one number for each token, so
// that a sequence does not depend on what else is decoded beside it. It is not
// for concurrent use.
type Sampler struct {
	source  rand.PCG
	random  *rand.Rand
	weights []float64 // by candidate
	ids     []int32   // the candidates
}

// New returns a sampler; the same seed gives the same numbers.
func New(seed uint64) *Sampler {
	s := &Sampler{}
	s.random = rand.New(&s.source)
	s.Reset(seed)
	return s
}

// Reset starts anew with another seed and keeps the buffers.
func (s *Sampler) Reset(seed uint64) { s.source.Seed(seed, 0x73616d706c65) }

// Pick returns the next token for finite logits (V); valid settings are the
// caller's duty. Greedy picking uses no random number.
func (s *Sampler) Pick(logits []float32, set Settings) int32 {
	if set.Temperature == 0 {
		return Greedy(logits)
	}
	best := float64(logits[Greedy(logits)])
	u := s.random.Float64()

	sum := 0.0
	s.ids, s.weights = s.ids[:0], s.weights[:0]
	for id, l := range logits {
		w := math.Exp((float64(l) - best) / set.Temperature)
		sum += w
		s.ids = append(s.ids, int32(id))
		s.weights = append(s.weights, w)
	}
	topP := set.TopP > 0 && set.TopP < 1
	if topP || set.TopK > 0 && set.TopK < len(logits) {
		sum = s.cut(sum, set)
	}
	at := u * sum
	for _, id := range s.ids {
		if at -= s.weights[id]; at < 0 {
			return id
		}
	}
	return s.ids[len(s.ids)-1] // rounding only
}

// cut keeps the candidates of top-k, then of those the ones of top-p, likeliest
// first and lower IDs first among equals, as Hugging Face orders the two; it
// returns their mass.
func (s *Sampler) cut(sum float64, set Settings) float64 {
	if set.TopK == 0 {
		// Tokens below this mass hold less than 1 − p together, so none can be
		// in the nucleus: a sort of thousands becomes a sort of tens.
		least := (1 - set.TopP) * sum / float64(len(s.ids))
		s.ids = slices.DeleteFunc(s.ids, func(id int32) bool { return s.weights[id] < least })
	}
	slices.SortFunc(s.ids, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.weights[b], s.weights[a]), cmp.Compare(a, b))
	})
	if set.TopK > 0 && set.TopK < len(s.ids) {
		s.ids = s.ids[:set.TopK]
		sum = 0
		for _, id := range s.ids {
			sum += s.weights[id]
		}
	}
	if !(set.TopP > 0 && set.TopP < 1) {
		return sum
	}
	kept := 0.0
	for i, id := range s.ids {
		if kept += s.weights[id]; kept >= set.TopP*sum {
			s.ids = s.ids[:i+1]
			break
		}
	}
	return kept
}

// Greedy returns the likeliest token, the lowest ID among equals.
func Greedy(logits []float32) int32 {
	best := 0
	for id, l := range logits {
		if l > logits[best] {
			best = id
		}
	}
	return int32(best)
}

// LogSumExp returns log Σ exp(logits), so that logits[id] − LogSumExp is the log-probability
// at temperature 1. It is NaN or infinite exactly when the logits are broken.
func LogSumExp(logits []float32) float64 {
	best := float64(logits[Greedy(logits)])
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - best)
	}
	return best + math.Log(sum)
}

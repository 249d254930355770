// Package sample picks the next token from logits: greedily, or at random with temperature, top-k, top-p
// (nucleus sampling) and min-p. It knows no model and no text.
//
//	s := sample.New(seed)
//	id, logp := s.Pick(logits, sample.Settings{Temperature: 1})
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
	Temperature float64 // 1e-6..1e6; 0: always the likeliest token
	TopP        float64 // (0, 1): only the likeliest tokens that together have this probability; 0 or 1: all
	TopK        int     // only the k likeliest tokens; 0: all
	MinP        float64 // [0, 1]: only tokens with at least this share of the likeliest token's probability; 0: all
}

// Validate checks the ranges.
func (s Settings) Validate() error {
	switch {
	case s.Temperature != 0 && !(s.Temperature >= 1e-6 && s.Temperature <= 1e6):
		return fmt.Errorf("temperature: %v: not 0 (greedy) and not within 1e-6..1e6", s.Temperature)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return fmt.Errorf("top_p: %v: not within 0..1", s.TopP)
	case s.TopK < 0:
		return fmt.Errorf("top_k: %d: negative", s.TopK)
	case !(s.MinP >= 0 && s.MinP <= 1):
		return fmt.Errorf("min_p: %v: not within 0..1", s.MinP)
	}
	return nil
}

// Sampler is the random source of one sequence. It uses one random number for each token, so that a sequence
// does not depend on others that are decoded at the same time. Only one goroutine may use it at a time.
type Sampler struct {
	source  rand.PCG
	random  *rand.Rand
	weights []float64 // by token ID: probabilities times a common factor
	ids     []int32   // the candidates that the settings leave
	masked  []float32 // of PickAllowed: logits, −∞ for what is not allowed

	top, raw, sum float64 // of the last Pick: largest logit, sum of powers at temperature 1 and at the settings'
}

// New returns a sampler; the same seed gives the same numbers.
func New(seed uint64) *Sampler {
	s := &Sampler{}
	s.random = rand.New(&s.source)
	s.Reset(seed)
	return s
}

// Reset restarts the sampler with another seed. It keeps the buffers.
func (s *Sampler) Reset(seed uint64) { s.source.Seed(seed, 0x73616d706c65) }

// Pick returns the next token for logits (V), and its raw log-probability in nats: at temperature 1 with
// nothing cut, independent of the settings. The caller must have validated the settings. Broken logits (NaN
// or +Inf) give a log-probability that is not finite. Greedy picking uses no random number.
func (s *Sampler) Pick(logits []float32, set Settings) (id int32, logp float64) {
	best := Greedy(logits)
	s.top = float64(logits[best])
	s.weights = slices.Grow(s.weights[:0], len(logits))[:len(logits)]
	s.raw = powers(s.weights, logits, s.top, 1)
	if set.Temperature == 0 || s.raw-s.raw != 0 { // broken logits cannot be drawn from
		return best, -math.Log(s.raw)
	}
	s.sum = s.raw
	if set.Temperature != 1 {
		s.sum = powers(s.weights, logits, s.top, 1/set.Temperature)
	}
	if set.whole(len(logits)) {
		id = s.draw(s.weights, s.sum)
	} else {
		id = s.among(s.random.Float64(), s.sum, set)
	}
	return id, float64(logits[id]) - s.top - math.Log(s.raw)
}

// PickAs is Pick, when other has just picked for the same logits with the same settings: what both need is
// then computed once. Several samplers may pick as one other.
func (s *Sampler) PickAs(other *Sampler, logits []float32, set Settings) (id int32, logp float64) {
	if set.Temperature == 0 || other.raw-other.raw != 0 || !set.whole(len(logits)) {
		return s.Pick(logits, set)
	}
	id = s.draw(other.weights, other.sum)
	return id, float64(logits[id]) - other.top - math.Log(other.raw)
}

// PickAllowed is Pick among the tokens of a set: bit id%64 of word id/64 stands for token id, and tokens
// behind the last word are not in it. The settings apply to what is left; the log-probability is Pick's,
// among all tokens. If the set holds none of the vocabulary, id is −1.
func (s *Sampler) PickAllowed(logits []float32, allowed []uint64, set Settings) (id int32, logp float64) {
	lse := s.LogSumExp(logits)
	if lse-lse != 0 { // broken logits cannot be drawn from
		return Greedy(logits), math.NaN()
	}
	s.masked = slices.Grow(s.masked[:0], len(logits))[:len(logits)]
	first := int32(-1)
	for i, l := range logits {
		if i>>6 < len(allowed) && allowed[i>>6]>>(i&63)&1 != 0 {
			if s.masked[i] = l; first < 0 {
				first = int32(i)
			}
		} else {
			s.masked[i] = float32(math.Inf(-1))
		}
	}
	if first < 0 {
		return -1, 0
	}
	id, _ = s.Pick(s.masked, set)
	if math.IsInf(float64(s.masked[id]), -1) { // rounding in Pick led behind the last token of the set
		id = Greedy(s.masked)
	}
	return id, float64(logits[id]) - lse
}

// whole tells whether the settings cut nothing from a vocabulary of n tokens.
func (s Settings) whole(n int) bool {
	return (s.TopP == 0 || s.TopP == 1) && (s.TopK == 0 || s.TopK >= n) && s.MinP == 0
}

// draw picks from weights, which have that sum.
func (s *Sampler) draw(weights []float64, sum float64) int32 {
	at := s.random.Float64() * sum
	for candidate, w := range weights {
		if at -= w; at < 0 {
			return int32(candidate)
		}
	}
	return int32(len(weights) - 1) // rounding left at positive to the end
}

// among picks from the tokens that the settings leave.
func (s *Sampler) among(u, sum float64, set Settings) (id int32) {
	s.ids = s.ids[:0]
	for id := range s.weights {
		s.ids = append(s.ids, int32(id))
	}
	if set.TopP > 0 && set.TopP < 1 || set.TopK > 0 && set.TopK < len(s.ids) {
		sum = s.cut(sum, set)
	}
	if set.MinP > 0 { // the likeliest has weight 1
		sum = s.drop(set.MinP)
	}
	id = s.ids[len(s.ids)-1]
	at := u * sum
	for _, candidate := range s.ids {
		if at -= s.weights[candidate]; at < 0 {
			return candidate
		}
	}
	return id
}

// cut applies top-k, and then top-p to the rest, in the order of Hugging Face. It sorts the candidates,
// likeliest first and lower IDs first among equals, and returns the sum of their weights.
func (s *Sampler) cut(sum float64, set Settings) float64 {
	if set.TopK == 0 {
		// All tokens below this weight together have less than 1 − p of the sum, so none of them can be in
		// the nucleus. Dropping them first leaves tens of tokens to sort instead of thousands.
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

// drop applies min-p, which comes after the other two as in Hugging Face. It returns the sum of the weights
// that are left.
func (s *Sampler) drop(least float64) (kept float64) {
	s.ids = slices.DeleteFunc(s.ids, func(id int32) bool { return s.weights[id] < least })
	for _, id := range s.ids {
		kept += s.weights[id]
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
func (s *Sampler) LogSumExp(logits []float32) float64 {
	top := float64(logits[Greedy(logits)])
	s.weights = slices.Grow(s.weights[:0], len(logits))[:len(logits)]
	return top + math.Log(powers(s.weights, logits, top, 1))
}

// Package sample picks the next token from logits: greedily, or at random with temperature, top-k, top-p
// (nucleus sampling) and min-p. It knows no model and no text.
//
// The random numbers of a sequence come from its Sampler, in the memory of the host. Logits draws with them;
// on a GPU a kernel does.
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
	source rand.PCG
	random *rand.Rand
	logits *Logits // of Pick
}

// New returns a sampler; the same seed gives the same numbers.
func New(seed uint64) *Sampler {
	s := &Sampler{}
	s.random = rand.New(&s.source)
	s.Reset(seed)
	return s
}

// Reset restarts the sampler with another seed.
func (s *Sampler) Reset(seed uint64) { s.source.Seed(seed, 0x73616d706c65) }

// Number is the next random number, in [0, 1). Greedy settings use none: then it is 0.
func (s *Sampler) Number(set Settings) float64 {
	if set.Temperature == 0 {
		return 0
	}
	return s.random.Float64()
}

// Pick returns the next token for logits (V) and its raw log-probability: see Logits.Pick.
func (s *Sampler) Pick(logits []float32, set Settings) (id int32, logp float64) {
	return s.row(logits).Pick(set, s.Number(set))
}

// PickAllowed is Pick among the tokens of a set: see Logits.PickAllowed.
func (s *Sampler) PickAllowed(logits []float32, allowed []uint64, set Settings) (id int32, logp float64) {
	return s.row(logits).PickAllowed(allowed, set, s.Number(set))
}

func (s *Sampler) row(logits []float32) *Logits {
	if s.logits == nil {
		s.logits = &Logits{}
	}
	s.logits.Set(logits)
	return s.logits
}

// Logits are one row of logits, and the probabilities that settings make of them. Set begins another row; the
// memory is reused. Only one goroutine may use it at a time.
type Logits struct {
	values      []float32
	best        int32     // the likeliest token
	top, raw    float64   // its logit; the sum of powers at temperature 1
	temperature float64   // of weights
	weights     []float64 // by token ID: probabilities times a common factor
	sum         float64   // of weights
	ids         []int32   // the candidates that the settings leave
	masked      []float32 // of PickAllowed: logits, −∞ for what is not allowed
	allowed     *Logits   // of PickAllowed
}

// Set begins a row of logits (V), which it retains until the next call.
func (l *Logits) Set(values []float32) {
	l.values, l.best = values, Greedy(values)
	l.top = float64(values[l.best])
	l.weights = slices.Grow(l.weights[:0], len(values))[:len(values)]
	l.raw = powers(l.weights, values, l.top, 1)
	l.temperature, l.sum = 1, l.raw
}

// Pick returns the token that the random number u, in [0, 1), chooses, and its raw log-probability in nats: at
// temperature 1 with nothing cut, independent of the settings. The caller must have validated the settings.
// Broken logits (NaN or +Inf) give a log-probability that is not finite. Greedy picking does not read u.
func (l *Logits) Pick(set Settings, u float64) (id int32, logp float64) {
	if set.Temperature == 0 || l.raw-l.raw != 0 { // broken logits cannot be drawn from
		return l.best, -math.Log(l.raw)
	}
	if set.Temperature != l.temperature {
		l.temperature, l.sum = set.Temperature, powers(l.weights, l.values, l.top, 1/set.Temperature)
	}
	if set.whole(len(l.values)) {
		id = l.draw(u)
	} else {
		id = l.among(u, l.sum, set)
	}
	return id, float64(l.values[id]) - l.top - math.Log(l.raw)
}

// PickAllowed is Pick among the tokens of a set: bit id%64 of word id/64 stands for token id, and tokens
// behind the last word are not in it. The settings apply to what is left; the log-probability is Pick's,
// among all tokens. If the set holds none of the vocabulary, id is −1.
func (l *Logits) PickAllowed(allowed []uint64, set Settings, u float64) (id int32, logp float64) {
	lse := l.LogSumExp()
	if lse-lse != 0 { // broken logits cannot be drawn from
		return l.best, math.NaN()
	}
	l.masked = slices.Grow(l.masked[:0], len(l.values))[:len(l.values)]
	none := true
	for i, v := range l.values {
		if l.masked[i] = float32(math.Inf(-1)); i>>6 < len(allowed) && allowed[i>>6]>>(i&63)&1 != 0 {
			l.masked[i], none = v, false
		}
	}
	if none {
		return -1, 0
	}
	if l.allowed == nil {
		l.allowed = &Logits{}
	}
	l.allowed.Set(l.masked)
	id, _ = l.allowed.Pick(set, u)
	if math.IsInf(float64(l.masked[id]), -1) { // rounding led behind the last token of the set
		id = l.allowed.best
	}
	return id, float64(l.values[id]) - lse
}

// LogSumExp returns log Σ exp(logits), so that logits[id] − LogSumExp is the log-probability
// at temperature 1. It is NaN or infinite exactly when the logits are broken.
func (l *Logits) LogSumExp() float64 { return l.top + math.Log(l.raw) }

// LogProb is the raw log-probability of a token in nats.
func (l *Logits) LogProb(id int32) float64 { return float64(l.values[id]) - l.LogSumExp() }

// Alternative is a likely token.
type Alternative struct {
	ID      int32
	LogProb float64 // nats, raw
}

// Likeliest are the n likeliest tokens, likeliest first, lower IDs first among equals. It allocates the slice.
func (l *Logits) Likeliest(n int) []Alternative {
	n = min(n, len(l.values))
	if n == 0 {
		return nil
	}
	lse := l.LogSumExp()
	var best []Alternative
	for id, v := range l.values {
		if len(best) == n && float64(v)-lse <= best[n-1].LogProb {
			continue
		}
		a := Alternative{int32(id), float64(v) - lse}
		at, _ := slices.BinarySearchFunc(best, a, func(x, y Alternative) int {
			return cmp.Or(cmp.Compare(y.LogProb, x.LogProb), cmp.Compare(x.ID, y.ID))
		})
		best = slices.Insert(best, at, a)[:min(n, len(best)+1)]
	}
	return best
}

// whole tells whether the settings cut nothing from a vocabulary of n tokens.
func (s Settings) whole(n int) bool {
	return (s.TopP == 0 || s.TopP == 1) && (s.TopK == 0 || s.TopK >= n) && s.MinP == 0
}

// draw picks from all tokens.
func (l *Logits) draw(u float64) int32 {
	at := u * l.sum
	for candidate, w := range l.weights {
		if at -= w; at < 0 {
			return int32(candidate)
		}
	}
	return int32(len(l.weights) - 1) // rounding left at positive to the end
}

// among picks from the tokens that the settings leave.
func (l *Logits) among(u, sum float64, set Settings) (id int32) {
	l.ids = l.ids[:0]
	for id := range l.weights {
		l.ids = append(l.ids, int32(id))
	}
	if set.TopP > 0 && set.TopP < 1 || set.TopK > 0 && set.TopK < len(l.ids) {
		sum = l.cut(sum, set)
	}
	if set.MinP > 0 { // the likeliest has weight 1
		sum = l.drop(set.MinP)
	}
	id = l.ids[len(l.ids)-1]
	at := u * sum
	for _, candidate := range l.ids {
		if at -= l.weights[candidate]; at < 0 {
			return candidate
		}
	}
	return id
}

// cut applies top-k, and then top-p to the rest, in the order of Hugging Face. It sorts the candidates,
// likeliest first and lower IDs first among equals, and returns the sum of their weights.
func (l *Logits) cut(sum float64, set Settings) float64 {
	if set.TopK == 0 {
		// All tokens below this weight together have less than 1 − p of the sum, so none of them can be in
		// the nucleus. Dropping them first leaves tens of tokens to sort instead of thousands.
		least := (1 - set.TopP) * sum / float64(len(l.ids))
		l.ids = slices.DeleteFunc(l.ids, func(id int32) bool { return l.weights[id] < least })
	}
	slices.SortFunc(l.ids, func(a, b int32) int {
		return cmp.Or(cmp.Compare(l.weights[b], l.weights[a]), cmp.Compare(a, b))
	})
	if set.TopK > 0 && set.TopK < len(l.ids) {
		l.ids = l.ids[:set.TopK]
		sum = 0
		for _, id := range l.ids {
			sum += l.weights[id]
		}
	}
	if !(set.TopP > 0 && set.TopP < 1) {
		return sum
	}
	kept := 0.0
	for i, id := range l.ids {
		if kept += l.weights[id]; kept >= set.TopP*sum {
			l.ids = l.ids[:i+1]
			break
		}
	}
	return kept
}

// drop applies min-p, which comes after the other two as in Hugging Face. It returns the sum of the weights
// that are left.
func (l *Logits) drop(least float64) (kept float64) {
	l.ids = slices.DeleteFunc(l.ids, func(id int32) bool { return l.weights[id] < least })
	for _, id := range l.ids {
		kept += l.weights[id]
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

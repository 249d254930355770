// Package stats summarises verdicts: shares with their 95 % intervals, paired
// differences between two policies, and counts by kind of error and by category.
//
// It is pure: it reads no clock and no file, and the same seed gives the same
// intervals. Nothing can fail; a summary of no cases has N = 0.
package stats

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"itool/schemas"
)

// Interval is a mean with its 95 % bootstrap interval. N = 0 means that nothing was
// measured; the zeros are then not a result, so String prints "not run".
type Interval struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	N    int     `json:"n"` // cases
}

// String is the interval in percent, for people.
func (i Interval) String() string {
	if i.N == 0 {
		return "not run"
	}
	return fmt.Sprintf("%.1f %% [%.1f, %.1f] of %d", 100*i.Mean, 100*i.Low, 100*i.High, i.N)
}

// resamples is enough for a stable second digit of a percentile.
const resamples = 2000

// Bootstrap is the percentile bootstrap of the mean over cases. 2,000 times it draws
// len(x) cases with replacement; the interval holds the middle 95 % of their means. It
// says how the mean would vary with other cases of the same kind, not with other seeds
// of training.
func Bootstrap(x []float64, seed uint64) Interval {
	n := len(x)
	if n == 0 {
		return Interval{}
	}
	return around(mean(x), resample(x, seed), n)
}

// resample returns the means of 2,000 draws of len(x) cases.
func resample(x []float64, seed uint64) []float64 {
	r, n := rand.New(rand.NewPCG(seed, 0)), len(x)
	means := make([]float64, resamples)
	for i := range means {
		var sum float64
		for range n {
			sum += x[r.IntN(n)]
		}
		means[i] = sum / float64(n)
	}
	return means
}

// around is the interval that holds the middle 95 % of the resampled means; it sorts them.
func around(mean float64, means []float64, n int) Interval {
	slices.Sort(means)
	const tail = resamples / 40 // 2.5 % on each side
	return Interval{Mean: mean, Low: means[tail], High: means[resamples-1-tail], N: n}
}

// twoSided is the P of resampled means of a difference.
func twoSided(means []float64) float64 {
	below, above := 0, 0 // zero is on both sides
	for _, m := range means {
		if m <= 0 {
			below++
		}
		if m >= 0 {
			above++
		}
	}
	return min(1, 2*float64(1+min(below, above))/float64(1+len(means)))
}

// Holm corrects the P of several comparisons for being several: with probability 1 − α none that is by chance gets
// less than α, also where comparisons depend on each other. Holm (1979), "A simple sequentially rejective multiple
// test procedure", Scandinavian Journal of Statistics 6(2).
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	out, worst := make([]float64, len(p)), 0.0
	for rank, i := range order {
		worst = max(worst, min(1, p[i]*float64(len(p)-rank)))
		out[i] = worst
	}
	return out
}

func mean(x []float64) (sum float64) {
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// Summary is one policy on one set of cases.
type Summary struct {
	Pass   Interval       `json:"pass"`    // exact match
	Calls  Interval       `json:"calls"`   // pass where the reference holds a call: the main result
	NoCall Interval       `json:"no_call"` // pass where prose is wanted: well-formed prose only
	Parsed Interval       `json:"parsed"`  // answers that read as calls, or as prose where prose is wanted
	Errors map[string]int `json:"errors"`  // failing answers by the paper's deficiency type
	Names  map[string]int `json:"names"`   // failing answers by the checker's own name
	Cut    int            `json:"cut"`     // answers that reached the length limit
	Tokens float64        `json:"tokens"`  // mean length of an answer

	Categories []Category `json:"categories"` // by name; empty without a benchmark
}

// Category is one category of a benchmark.
type Category struct {
	Name string   `json:"name"`
	Pass Interval `json:"pass"`
}

// Summarise sums up the verdicts of one policy. Their order affects only the last digits
// of the intervals.
func Summarise(all []schemas.Verdict, seed uint64) Summary {
	s := Summary{
		Pass:   share(all, seed, everyone, passes),
		Parsed: share(all, seed, everyone, func(v schemas.Verdict) bool { return v.Parsed }),
		Calls:  share(all, seed, func(v schemas.Verdict) bool { return v.HasCall }, passes),
		NoCall: share(all, seed, func(v schemas.Verdict) bool { return !v.HasCall }, passes),
		Errors: map[string]int{}, Names: map[string]int{},
	}
	var names []string
	for _, v := range all {
		s.Tokens += float64(v.Tokens) / float64(len(all))
		if v.Cut {
			s.Cut++
		}
		if !v.Pass {
			s.Errors[v.ErrorType]++
			s.Names[v.ErrorName]++
		}
		if v.Category != "" {
			names = append(names, v.Category)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		in := func(v schemas.Verdict) bool { return v.Category == name }
		s.Categories = append(s.Categories, Category{name, share(all, seed, in, passes)})
	}
	return s
}

func everyone(schemas.Verdict) bool { return true }

func passes(v schemas.Verdict) bool { return v.Pass }

// share is the share of good verdicts among those that asks selects.
func share(all []schemas.Verdict, seed uint64, asks, good func(schemas.Verdict) bool) Interval {
	var x []float64
	for _, v := range all {
		if asks(v) {
			x = append(x, one(good(v)))
		}
	}
	return Bootstrap(x, seed)
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Difference is what a policy gained over another one on the same cases. An interval
// that holds zero shows no effect.
type Difference struct {
	Interval     // of after − before, over the paired cases
	Won      int `json:"won"`      // cases that only after gets right
	Lost     int `json:"lost"`     // cases that only before gets right
	Unpaired int `json:"unpaired"` // cases that only one policy was asked; they are left out
}

// Compare pairs verdicts by example. Paired differences vary much less than the
// difference of two separate shares, because the same cases are hard for both policies.
func Compare(before, after []schemas.Verdict, seed uint64) Difference {
	index := make(map[string]bool, len(before)) // example → pass
	for _, v := range before {
		index[v.ExampleID] = v.Pass
	}
	var d Difference
	var x []float64
	for _, v := range after {
		was, ok := index[v.ExampleID]
		if !ok {
			d.Unpaired++
			continue
		}
		delete(index, v.ExampleID) // a case counts once
		x = append(x, one(v.Pass)-one(was))
		switch {
		case v.Pass && !was:
			d.Won++
		case was && !v.Pass:
			d.Lost++
		}
	}
	d.Unpaired += len(index)
	d.Interval = Bootstrap(x, seed)
	return d
}

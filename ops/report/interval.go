package report

import (
	"math/rand/v2"
	"slices"

	"itool/schemas"
)

// resamples of the bootstrap. The seed is fixed: the same verdicts give the same
// interval in every report.
const resamples = 2000

// bootstrap is the mean of values with the percentile interval of 95 %.
func bootstrap(values []float64) *Interval {
	n := len(values)
	if n == 0 {
		return nil
	}
	r := rand.New(rand.NewPCG(1, 2))
	means := make([]float64, resamples)
	for i := range means {
		for range n {
			means[i] += values[r.IntN(n)] / float64(n)
		}
	}
	slices.Sort(means)
	mean := 0.0
	for _, v := range values {
		mean += v / float64(n)
	}
	return &Interval{Mean: mean, Low: means[resamples*25/1000], High: means[resamples*975/1000-1], N: n}
}

// rate is how often hit holds among the verdicts of a kind; nil: there are none.
func rate(vs []schemas.Verdict, of, hit func(schemas.Verdict) bool) *Interval {
	var values []float64
	for _, v := range vs {
		if of(v) {
			values = append(values, number(hit(v)))
		}
	}
	return bootstrap(values)
}

// gain is the paired difference of two policies on the rows that both answered.
func gain(before, after []schemas.Verdict) *Interval {
	passed := map[string]bool{}
	for _, v := range before {
		passed[v.ExampleID] = v.Pass
	}
	var values []float64
	for _, v := range after {
		if was, ok := passed[v.ExampleID]; ok {
			values = append(values, number(v.Pass)-number(was))
		}
	}
	return bootstrap(values)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

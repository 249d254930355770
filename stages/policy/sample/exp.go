package sample

import "math"

// powers sets w[i] = exp((logits[i] − top)·scale), with a relative error below 1e-9, and returns the sum of w.
// scale is positive, and top is the largest logit. With math.Exp this would take half of a decoding step of a
// small model; this loop has no calls and only one branch. If a logit is NaN or +Inf, the sum is NaN.
func powers(w []float64, logits []float32, top, scale float64) (sum float64) {
	const (
		magic  = 3 << 51 // adding it leaves the nearest integer in the low bits
		ln2Hi  = 6.93147180369123816490e-01
		ln2Lo  = 1.90821492927058770002e-10
		lowest = -700 // exp of less is negligible compared with the largest, which is 1
	)
	w = w[:len(logits)]
	for i, l := range logits {
		x := (float64(l) - top) * scale
		if x < lowest {
			w[i] = 0
			continue
		}
		// exp(x) = 2^k · exp(r), |r| ≤ ln 2 / 2
		t := x*math.Log2E + magic
		k := t - magic
		r := (x - k*ln2Hi) - k*ln2Lo
		r2 := r * r
		even := 1 + r2*(1./2+r2*(1./24+r2*(1./720+r2*(1./40320))))
		odd := r * (1 + r2*(1./6+r2*(1./120+r2*(1./5040))))
		p := (even + odd) * math.Float64frombits((math.Float64bits(t)+1023)<<52)
		w[i] = p
		sum += p
	}
	return sum
}

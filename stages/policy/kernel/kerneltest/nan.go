package kerneltest

import (
	"math"
	"testing"

	"itool/stages/policy/kernel"
)

// notANumber puts one NaN into an input and tests that every result that depends on it is NaN: a kernel
// that clamps must not turn a diverging training into plausible numbers. The NaN is once in a whole
// register and once in a tail.
func notANumber(t *testing.T, dev Slices) {
	const n = 37
	nan := float32(math.NaN())
	for _, at := range []int{3, n - 1} {
		in := newSource("nan")
		poisoned := func() []float32 {
			x := in.normal(n, 1)
			x[at] = nan
			return x
		}
		results := map[string]float32{}

		y := in.output(n)
		dev.SwiGLU(y, poisoned(), in.normal(n, 1), n)
		results["swiglu gate"] = y[at]
		y, d := in.output(n), in.output(n)
		dev.SwiGLUBackward(y, d, in.normal(n, 1), poisoned(), in.normal(n, 1), n)
		results["swiglu dGate"], results["swiglu dUp"] = y[at], d[at]
		y, d = in.output(n), in.output(n)
		dev.RMSNorm(y, d, poisoned(), in.normal(n, 1), 1, n, 1e-5)
		results["rmsnorm"] = y[0]
		y = in.normal(n, 1)
		dev.AdamW(y, in.normal(n, 0), in.normal(n, 0), poisoned(), n,
			kernel.AdamW{Rate: 1, Eps: 1, C1: 1, C2: 1, GradScale: 1})
		results["adamw"] = y[at]
		results["sum of squares"] = float32(dev.SumSquares(poisoned()))

		// A hidden state of one column: word at has a NaN logit.
		y, d = in.output(n), in.output(n)
		dev.LogProbs(y, d, in.normal(1, 1), dev.Pack(poisoned(), n, 1), []int32{0}, 1)
		results["logp"], results["lse"] = y[0], d[0]
		words, g := poisoned(), in.output(1)
		dev.LogProbsGrad(g, y, d, in.normal(1, 1), dev.Pack(words, n, 1), words, []int32{0}, 1)
		results["logp by x"] = g[0]

		// n rows, one head of size one: key at is NaN, so the last row's softmax is.
		lse := in.output(n)
		y = in.output(n)
		dev.Attention(y, lse, in.normal(n, 1), poisoned(), in.normal(n, 1), []int32{0, n}, nil, nil, 1, 1, 1)
		results["attention"], results["attention lse"] = y[n-1], lse[n-1]
		y = in.output(n)
		dev.AttendPaths(y, in.normal(1, 1), poisoned(), in.normal(n, 1), [][]int32{{0, int32(at), 1}}, 1, 1, 1)
		results["attend paths"] = y[0]

		for name, v := range results {
			if v == v {
				t.Errorf("%s: a NaN at %d of %d gave %v, want NaN", name, at, n, v)
			}
		}
	}
}

package kerneltest

import (
	"fmt"
)

// The log-sum-exp adds its own rounding to the logits'. Of dw the few rows of targets are far
// larger than the others, and so than its RMS.
const (
	headTolerance   = 3e-5
	headDWTolerance = 1e-4
)

func headChecks() []check {
	var all []check
	// Vocabularies around a tile, a chunk, and several chunks.
	for _, s := range [][3]int{{1, 1, 1}, {3, 8, 5}, {20, 33, 97}, {64, 40, 513}, {9, 64, 2100},
		{1100, 4, 20}, {0, 4, 4}} {
		t, k, v := s[0], s[1], s[2]
		size := fmt.Sprintf("T%d K%d V%d", t, k, v)
		all = append(all, check{"logprobs", size, headTolerance, func(dev Slices, in *source) []tensor {
			x, w, targets := headInputs(in, t, k, v)
			logp, lse := in.output(t), in.output(t)
			dev.LogProbs(logp, lse, x, dev.Pack(w, v, k), targets, t)
			return []tensor{{"logp", logp}, {"lse", lse}}
		}})
		all = append(all, check{"logprobs grad", size, headTolerance, func(dev Slices, in *source) []tensor {
			x, w, targets := headInputs(in, t, k, v)
			grad, logp, lse := in.output(t*k), in.output(t), in.output(t)
			dev.LogProbsGrad(grad, logp, lse, x, dev.Pack(w, v, k), w, targets, t)
			return []tensor{{"logp", logp}, {"lse", lse}, {"grad", grad}}
		}}, check{"logprobs backward", size, headDWTolerance, func(dev Slices, in *source) []tensor {
			x, w, targets := headInputs(in, t, k, v)
			lse := lseOf(x, w, targets, t, k, v)
			dlogp, dx, dw := in.normal(t, 1), in.normal(t*k, 1), in.normal(v*k, 1)
			dev.LogProbsBackward(dx, dw, dlogp, lse, x, dev.Pack(w, v, k), w, targets, t)
			return []tensor{{"dx", dx}, {"dw", dw}}
		}})
	}
	return all
}

// headInputs draws a hidden state, a vocabulary, and targets of which a third are masked.
func headInputs(in *source, t, k, v int) (x, w []float32, targets []int32) {
	x, w = in.normal(t*k, 1), in.normal(v*k, 1)
	targets = make([]int32, t)
	for i := range targets {
		targets[i] = in.rng.Int32N(int32(v))
		if i%3 == 1 {
			targets[i] = -1
		}
	}
	return x, w, targets
}

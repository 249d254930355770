package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/kerneltest"
)

// GF-best is the fastest of all repetitions in GFLOP/s, and %peak its share of the peak rate measured at
// the same time. Means would say more about the other programs on the machine.

func each(b *testing.B, run func(b *testing.B, dev kerneltest.Slices)) {
	for _, level := range Levels() {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", level, threads), func(b *testing.B) {
				dev, err := New(Options{Level: level, Threads: threads})
				if err != nil {
					b.Fatal(err)
				}
				run(b, kerneltest.On(dev))
			})
		}
	}
}

func measure(b *testing.B, operations int, call func()) {
	b.ReportAllocs()
	peak, best := measuredPeak(), 0.0
	for b.Loop() {
		start := time.Now()
		call()
		best = max(best, float64(operations)/float64(time.Since(start).Nanoseconds()))
	}
	b.ReportMetric(best, "GF-best")
	if peak > 0 {
		b.ReportMetric(100*best/peak, "%peak-1T")
	}
}

func normal(n int) []float32 {
	x := make([]float32, n)
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func BenchmarkMatMul(b *testing.B) {
	for _, s := range [][3]int{{512, 192, 512}, {512, 512, 192}, {2048, 192, 2048}, {512, 256, 1024}, {4, 192, 512},
		{1, 192, 512}, {1, 1024, 16384}, {8, 1024, 16384}, {256, 896, 4864}, {256, 4864, 896}} {
		t, k, n := s[0], s[1], s[2]
		b.Run(fmt.Sprintf("%dx%d→%d", t, k, n), func(b *testing.B) {
			each(b, func(b *testing.B, dev kerneltest.Slices) {
				w, x, y := dev.Pack(normal(n*k), n, k), normal(t*k), normal(t*n)
				measure(b, 2*t*k*n, func() { dev.MatMul(y, x, w, t, false) })
			})
		})
	}
}

// BenchmarkGemm does the two products of a layer's gradients.
func BenchmarkGemm(b *testing.B) {
	t, k, n := 2048, 192, 512
	each(b, func(b *testing.B, dev kerneltest.Slices) {
		x, w, dy := normal(t*k), normal(n*k), normal(t*n)
		dx, dw := normal(t*k), normal(n*k)
		b.Run("dx", func(b *testing.B) {
			measure(b, 2*t*k*n, func() { dev.Gemm(false, false, t, k, n, 1, dy, w, false, dx) })
		})
		b.Run("dw", func(b *testing.B) {
			measure(b, 2*t*k*n, func() { dev.Gemm(true, false, n, k, t, 1, dy, x, true, dw) })
		})
	})
}

func BenchmarkAttention(b *testing.B) {
	const segments, tokens, h, g, d = 16, 384, 6, 2, 32
	cu := make([]int32, segments+1)
	for i := range cu {
		cu[i] = int32(i * tokens)
	}
	t := segments * tokens
	pairs := segments * tokens * (tokens + 1) / 2
	each(b, func(b *testing.B, dev kerneltest.Slices) {
		q, k, v, dout := normal(t*h*d), normal(t*g*d), normal(t*g*d), normal(t*h*d)
		out, lse := normal(t*h*d), normal(t*h)
		dq, dk, dv := normal(t*h*d), normal(t*g*d), normal(t*g*d)
		b.Run("forward", func(b *testing.B) {
			measure(b, 4*pairs*h*d, func() { dev.Attention(out, lse, q, k, v, cu, nil, nil, h, g, d) })
		})
		backward := func(b *testing.B) {
			measure(b, 10*pairs*h*d, func() {
				dev.AttentionBackward(dq, dk, dv, dout, out, lse, q, k, v, cu, nil, nil, h, g, d)
			})
		}
		b.Run("backward", backward)
		for i := range q { // most probabilities vanish: they must not become subnormal numbers
			q[i] *= 30
		}
		dev.Attention(out, lse, q, k, v, cu, nil, nil, h, g, d)
		b.Run("backwardSharp", backward)
	})
}

// BenchmarkAttendPaths decodes 16 rows: with short paths of their own, and with the heads of SmolLM2-135M behind a
// prompt that they share.
func BenchmarkAttendPaths(b *testing.B) {
	const rows = 16
	for _, c := range []struct{ h, g, d, shared, own int }{
		{6, 2, 32, 0, 400}, {9, 3, 64, 500, 50}, {9, 3, 64, 5000, 100}, {9, 3, 64, 0, 500},
	} {
		paths, slots := make([][]int32, rows), c.shared+rows*c.own
		for r := range paths {
			for j := range c.shared {
				paths[r] = append(paths[r], int32(j))
			}
			for j := range c.own {
				paths[r] = append(paths[r], int32(c.shared+j*rows+r))
			}
		}
		q, k, v, out := normal(rows*c.h*c.d), normal(slots*c.g*c.d), normal(slots*c.g*c.d), normal(rows*c.h*c.d)
		b.Run(fmt.Sprintf("heads=%dx%d/shared=%d/own=%d", c.h, c.d, c.shared, c.own), func(b *testing.B) {
			each(b, func(b *testing.B, dev kerneltest.Slices) {
				measure(b, 4*rows*(c.shared+c.own)*c.h*c.d, func() {
					dev.AttendPaths(out, q, k, v, paths, c.h, c.g, c.d)
				})
			})
		})
	}
}

func BenchmarkHead(b *testing.B) {
	t, k, n := 2048, 192, 2048
	each(b, func(b *testing.B, dev kerneltest.Slices) {
		raw := normal(n * k)
		for i := range raw {
			raw[i] *= 0.1
		}
		w, x := dev.Pack(raw, n, k), normal(t*k)
		targets := make([]int32, t)
		logp, lse, dx, dw := normal(t), normal(t), normal(t*k), normal(n*k)
		b.Run("forward", func(b *testing.B) {
			measure(b, 2*t*k*n, func() { dev.LogProbs(logp, lse, x, w, targets, t) })
		})
		b.Run("forward with gradient", func(b *testing.B) {
			measure(b, 4*t*k*n, func() { dev.LogProbsGrad(dx, logp, lse, x, w, raw, targets, t) })
		})
		b.Run("backward", func(b *testing.B) {
			measure(b, 6*t*k*n, func() { dev.LogProbsBackward(dx, dw, logp, lse, x, w, raw, targets, t) })
		})
	})
}

// BenchmarkElementwise counts elements instead of operations.
func BenchmarkElementwise(b *testing.B) {
	t, k, ffn := 2048, 192, 512
	each(b, func(b *testing.B, dev kerneltest.Slices) {
		x, y, dx, dy, w, dw, rstd := normal(t*k), normal(t*k), normal(t*k), normal(t*k), normal(k), normal(k), normal(t)
		gate, up, wide, wide2, wide3 := normal(t*ffn), normal(t*ffn), normal(t*ffn), normal(t*ffn), normal(t*ffn)
		pos := make([]int32, t)
		for name, c := range map[string]struct {
			n   int
			run func()
		}{
			"rmsnorm":         {t * k, func() { dev.RMSNorm(y, rstd, x, w, t, k, 1e-5) }},
			"rmsnormBackward": {t * k, func() { dev.RMSNormBackward(dx, dw, dy, x, w, rstd, t, k) }},
			"swiglu":          {t * ffn, func() { dev.SwiGLU(wide, gate, up, t*ffn) }},
			"swigluBackward":  {t * ffn, func() { dev.SwiGLUBackward(wide, wide2, wide3, gate, up, t*ffn) }},
			"rope":            {t * k, func() { dev.RoPE(y, x, x, pos, t, 6, 32, false) }},
			"adamw": {t * ffn, func() {
				dev.AdamW(wide, wide2, wide3, gate, t*ffn,
					kernel.AdamW{Beta1: 0.9, Beta2: 0.999, Eps: 1, C1: 1, C2: 1e6, GradScale: 1})
			}},
			"sumSquares": {t * ffn, func() { dev.SumSquares(gate) }},
		} {
			b.Run(name, func(b *testing.B) {
				best := 1e18
				for b.Loop() {
					start := time.Now()
					c.run()
					best = min(best, float64(time.Since(start).Nanoseconds()))
				}
				b.ReportMetric(best/float64(c.n), "ns/element-best")
			})
		}
	})
}

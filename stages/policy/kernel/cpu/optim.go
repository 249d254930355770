package cpu

// AdamW, and a sum of squares with a fixed order: partial sums over grains of a fixed size, added in order.

import "itool/stages/policy/kernel"

// adam are the scalars of a step as the kernel wants them.
type adam struct {
	beta1, rest1, beta2, rest2, gradScale, rate, decay, inverseC1, inverseC2, eps float32
}

// AdamW updates w, m, v in place.
func (d *Device) AdamW(w, m, v, g kernel.Floats, n int, s kernel.AdamW) {
	need("w", w.Host, n)
	need("m", m.Host, n)
	need("v", v.Host, n)
	need("g", g.Host, n)
	a := adam{
		beta1: s.Beta1, rest1: float32(1 - float64(s.Beta1)),
		beta2: s.Beta2, rest2: float32(1 - float64(s.Beta2)),
		gradScale: s.GradScale, rate: s.Rate, decay: s.Decay, eps: s.Eps,
		inverseC1: float32(1 / float64(s.C1)), inverseC2: float32(1 / float64(s.C2)),
	}
	d.spread(span{work: adamW, n: n, adam: a, f: [7][]float32{w.Host, m.Host, v.Host, g.Host}}, 20)
}

func adamW(s *span, first, last int) {
	w, m, v, g, a := s.f[0], s.f[1], s.f[2], s.f[3], &s.adam
	s.level.adamw(w[first:last], m[first:last], v[first:last], g[first:last],
		a.beta1, a.rest1, a.beta2, a.rest2, a.gradScale, a.rate, a.decay, a.inverseC1, a.inverseC2, a.eps)
}

// SumSquares sums grains of a fixed size, then the grains in order.
func (d *Device) SumSquares(xs []kernel.Floats) (sum float64) {
	s := d.pool.scratch.take()
	defer d.pool.scratch.put(s)
	for _, x := range xs {
		sum += d.squares(x.Host, s)
	}
	return sum
}

func (d *Device) squares(x []float32, s *scratch) float64 {
	const grain = 1 << 16
	grains := (len(x) + grain - 1) / grain
	if cap(s.sums) < grains {
		s.sums = make([]float64, grains)
	}
	sums := s.sums[:grains]
	d.spread(span{work: sumSquares, n: len(x), grain: grain, sums: sums, f: [7][]float32{x}}, 2)
	var total float64
	for _, v := range sums {
		total += v
	}
	return total
}

func sumSquares(s *span, first, last int) {
	x := s.f[0][first:last]
	whole := len(x) &^ 15
	sum := s.level.sumSquares(x[:whole])
	for _, v := range x[whole:] {
		sum += float64(v) * float64(v)
	}
	s.sums[first/s.grain] = sum
}

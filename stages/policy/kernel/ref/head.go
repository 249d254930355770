package ref

import (
	"math"

	"itool/stages/policy/kernel"
)

// LogProbs computes one row of logits at a time.
func (Device) LogProbs(logp, lse, x []float32, w kernel.Matrix, targets []int32, t int) {
	m := w.(*matrix)
	logits := make([]float64, m.n)
	for r := range t {
		if targets[r] < 0 {
			logp[r], lse[r] = 0, 0
			continue
		}
		row := x[r*m.k : (r+1)*m.k]
		for v := range logits {
			logits[v] = dot(row, m.w[v*m.k:(v+1)*m.k])
		}
		target := logits[targets[r]]
		sum := softmax(logits)
		logp[r], lse[r] = float32(target-sum), float32(sum)
	}
}

// LogProbsGrad: grad = W[target] − Σ softmax·W.
func (d Device) LogProbsGrad(grad, logp, lse, x []float32, w kernel.Matrix, wRaw []float32, targets []int32, t int) {
	d.LogProbs(logp, lse, x, w, targets, t)
	m := w.(*matrix)
	if m.wrapped {
		wRaw = m.w
	}
	clear(grad[:t*m.k])
	for r := range t {
		if targets[r] < 0 {
			continue
		}
		sum := make([]float64, m.k)
		for v := range m.n {
			wv := wRaw[v*m.k : (v+1)*m.k]
			p := -math.Exp(dot(x[r*m.k:(r+1)*m.k], wv) - float64(lse[r]))
			if v == int(targets[r]) {
				p++
			}
			for i := range sum {
				sum[i] += p * float64(wv[i])
			}
		}
		for i, v := range sum {
			grad[r*m.k+i] = float32(v)
		}
	}
}

// LogProbsBackward: dlogit = dlogp·(1[v = target] − softmax).
func (Device) LogProbsBackward(dx, dw, dlogp, lse, x []float32,
	w kernel.Matrix, wRaw []float32, targets []int32, t int) {
	n, k := w.Shape()
	dw64 := make([]float64, n*k)
	for r := range t {
		if targets[r] < 0 {
			continue
		}
		row := x[r*k : (r+1)*k]
		dx64 := make([]float64, k)
		for v := range n {
			wv := wRaw[v*k : (v+1)*k]
			dlogit := -math.Exp(dot(row, wv) - float64(lse[r]))
			if v == int(targets[r]) {
				dlogit++
			}
			dlogit *= float64(dlogp[r])
			for i := range k {
				dx64[i] += dlogit * float64(wv[i])
				dw64[v*k+i] += dlogit * float64(row[i])
			}
		}
		for i := range k {
			dx[r*k+i] += float32(dx64[i])
		}
	}
	for i, g := range dw64 {
		dw[i] += float32(g)
	}
}

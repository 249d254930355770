package ref

import (
	"math"

	"itool/stages/policy/kernel"
	"itool/stages/policy/sample"
)

// LogProbs computes one row of logits at a time.
func (Device) LogProbs(logProbs, logSumExp kernel.Floats, h kernel.Head) {
	m, x, targets, t := h.W.(*matrix), h.X.Host, h.Targets.Host, h.T
	logp, lse := logProbs.Host, logSumExp.Host
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
func (d Device) LogProbsGrad(gradient, logp, logSumExp kernel.Floats, h kernel.Head) {
	d.LogProbs(logp, logSumExp, h)
	m, x, wRaw, targets, t := h.W.(*matrix), h.X.Host, h.Raw.Host, h.Targets.Host, h.T
	grad, lse := gradient.Host, logSumExp.Host
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
func (Device) LogProbsBackward(toX, toW, by, logSumExp kernel.Floats, h kernel.Head) {
	n, k := h.W.Shape()
	x, wRaw, targets, t := h.X.Host, h.Raw.Host, h.Targets.Host, h.T
	dx, dw, dlogp, lse := toX.Host, toW.Host, by.Host, logSumExp.Host
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

// Sample computes one row of logits at a time.
func (d Device) Sample(picks []kernel.Pick, x kernel.Floats, w kernel.Matrix) {
	n, k := w.Shape()
	row, logits := d.Floats(n), sample.Logits{}
	for i := range picks {
		r := picks[i].Row
		d.MatMul(row, x.Slice(r*k, (r+1)*k), w, 1, false)
		logits.Set(row.Host)
		picks[i].From(&logits)
	}
}

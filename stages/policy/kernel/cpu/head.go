package cpu

// The language-model head with fused cross-entropy: logits are computed for a slab of the vocabulary at a
// time, and an online softmax (running maximum, rescaled sum) goes over the slabs. The T × V logits are never
// in memory as a whole.

import (
	"math"

	"itool/stages/policy/kernel"
)

// A slab is slabRows rows that have a target, times slabCols words. Rows without a target (the prompt)
// cost nothing.
const (
	slabRows = 1024
	slabCols = 512 // a multiple of every panel's columns
)

// slab is the working memory of one head call.
type slab struct {
	rows   []int32   // which rows of the call are in it
	x, dx  []float32 // (rows, K)
	logits []float32 // (rows, slabCols)
	top    []float32 // (rows), running maximum
	sum    []float64 // (rows), running Σ exp(logit − top)
}

// gather fills the slab with the next rows that have a target, from row on; it
// returns where to go on.
func (s *slab) gather(x []float32, targets []int32, from, t, k int) (next int) {
	s.rows = s.rows[:0]
	for ; from < t && len(s.rows) < slabRows; from++ {
		if targets[from] >= 0 {
			s.rows = append(s.rows, int32(from))
		}
	}
	n := len(s.rows)
	rows := grow(&s.x, n*k)
	for i, r := range s.rows {
		copy(rows[i*k:(i+1)*k], x[int(r)*k:])
	}
	grow(&s.logits, n*slabCols)
	grow(&s.dx, n*k)
	grow(&s.top, n)
	if cap(s.sum) < n {
		s.sum = make([]float64, n)
	}
	return from
}

// left is the slab's rows as the left side of a product.
func (s *slab) left(k int) product {
	return product{m: len(s.rows), k: k, alpha: 1, a: s.x, aRow: k}
}

// LogProbs keeps a running log-sum-exp over the slabs of the vocabulary.
func (d *Device) LogProbs(logp, lse kernel.Floats, h kernel.Head) {
	d.head(nil, logp.Host, lse.Host, h)
}

// LogProbsGrad also keeps a running Σ exp(logit − top)·W, so it needs neither the probabilities nor a
// second computation of the logits.
func (d *Device) LogProbsGrad(grad, logp, lse kernel.Floats, h kernel.Head) {
	n, k := h.W.Shape()
	need("grad", grad.Host, h.T*k)
	if d.own(h.W).wrapped == nil {
		need("weight", h.Raw.Host, n*k)
	}
	clear(grad.Host[:h.T*k])
	d.head(grad.Host, logp.Host, lse.Host, h)
}

// head is LogProbs if grad is nil, and else LogProbsGrad.
func (d *Device) head(grad, logp, lse []float32, h kernel.Head) {
	m, x, wRaw, targets, t := d.own(h.W), h.X.Host, h.Raw.Host, h.Targets.Host, h.T
	need("x", x, t*m.k)
	need("logp", logp, t)
	need("lse", lse, t)
	need("targets", targets, t)
	clear(logp[:t])
	clear(lse[:t])
	s, wide := d.slabs.take(), d.headWidening(m)
	defer d.returnHead(s, wide)
	for from := 0; from < t; {
		from = s.gather(x, targets, from, t, m.k)
		rounded := d.rounded(s.left(m.k))
		for col := 0; col < m.n; col += slabCols {
			width := min(slabCols, m.n-col)
			d.logits(s, m, wide, rounded, col)
			d.spread(span{work: logSumExp, n: len(s.rows), k: width, col: col, whole: m.k, slab: s, pos: targets,
				f: [7][]float32{logp, grad}}, 20*slabCols)
			if grad != nil {
				d.multiply(product{m: len(s.rows), k: width, alpha: 1, a: s.logits, aRow: slabCols},
					right{n: m.k, b: d.words(m, wide, wRaw, col, width), bRow: m.k, c: s.dx, cRow: m.k, add: col > 0})
			}
		}
		d.release(rounded)
		for i, r := range s.rows {
			lse[r] = s.top[i] + float32(math.Log(s.sum[i]))
			logp[r] -= lse[r]
			if grad != nil {
				at := int(r) * m.k
				d.minusMean(grad[at:at+m.k], s.dx[i*m.k:(i+1)*m.k], float32(1/s.sum[i]), m, wRaw, int(targets[r]))
			}
		}
	}
}

// words are rows col.. of the head, in float32.
func (d *Device) words(m *matrix, wide *widening, wRaw []float32, col, width int) []float32 {
	if wide != nil {
		return d.widen(wide, col, width, false)
	}
	return wRaw[col*m.k:]
}

// minusMean: grad = the target's row of W − sum/Σ. A level that rounds W for products rounds the row
// here, too: else the difference would not vanish where the target is certain.
func (d *Device) minusMean(grad, sum []float32, inverse float32, m *matrix, wRaw []float32, target int) {
	if m.wrapped != nil {
		d.level.rows(grad, m.wrapped, target, target+1)
	} else {
		copy(grad, wRaw[target*m.k:(target+1)*m.k])
	}
	for i := 0; d.level.bf16 != nil && i < len(grad); i++ {
		grad[i] = math.Float32frombits(uint32(kernel.ToBF16(grad[i])) << 16)
	}
	for i, v := range sum {
		grad[i] -= v * inverse
	}
}

// headWidening is the memory to widen a wrapped head in, or nil.
func (d *Device) headWidening(m *matrix) *widening {
	if m.wrapped == nil {
		return nil
	}
	return d.takeWidening(m.wrapped)
}

func (d *Device) returnHead(s *slab, wide *widening) {
	d.slabs.put(s)
	if wide != nil {
		d.putWidening(wide)
	}
}

// logits computes the slab's products with words col...
func (d *Device) logits(s *slab, m *matrix, wide *widening, rounded *product, col int) {
	r := right{n: min(slabCols, m.n-col), c: s.logits, cRow: slabCols}
	if wide != nil {
		r.panels = d.widen(wide, col, r.n, true)
	} else {
		r.panels = m.panels[d.level.panels(col)*d.level.panelSize(m.k):]
	}
	p := s.left(m.k)
	p.blocks = rounded.blocks
	d.multiply(p, r)
}

// logSumExp folds one slab's words into the running sum of rows first..last−1, and
// leaves the target's logit in logp.
func logSumExp(sp *span, first, last int) {
	s, l, col, width := sp.slab, sp.level, sp.col, sp.k
	for i := first; i < last; i++ {
		row := s.logits[i*slabCols : i*slabCols+width]
		if target := int(sp.pos[s.rows[i]]) - col; target >= 0 && target < width {
			sp.f[0][s.rows[i]] = row[target]
		}
		top := l.max(row)
		if col == 0 {
			s.top[i], s.sum[i] = top, 0
		} else if top > s.top[i] {
			less := math.Exp(float64(s.top[i]) - float64(top))
			s.sum[i] *= less
			s.top[i] = top
			if sp.f[1] != nil {
				l.scale(s.dx[i*sp.whole:(i+1)*sp.whole], float32(less))
			}
		}
		s.sum[i] += float64(l.exp(row, 1, s.top[i]))
	}
}

// LogProbsBackward recomputes each slab of logits, turns it into its gradient, and
// multiplies that into dx and dw.
func (d *Device) LogProbsBackward(dx, dw, dlogp, lse kernel.Floats, h kernel.Head) {
	d.headBackward(dx.Host, dw.Host, dlogp.Host, lse.Host, h)
}

func (d *Device) headBackward(dx, dw, dlogp, lse []float32, h kernel.Head) {
	m, x, wRaw, targets, t := d.own(h.W), h.X.Host, h.Raw.Host, h.Targets.Host, h.T
	if m.wrapped != nil {
		panic("cpu: a wrapped head has no gradient")
	}
	need("x", x, t*m.k)
	need("dx", dx, t*m.k)
	need("dw", dw, m.n*m.k)
	need("dlogp", dlogp, t)
	need("lse", lse, t)
	need("targets", targets, t)
	need("weight", wRaw, m.n*m.k)
	s := d.slabs.take()
	defer d.slabs.put(s)
	for from := 0; from < t; {
		from = s.gather(x, targets, from, t, m.k)
		n, rounded := len(s.rows), d.rounded(s.left(m.k))
		for col := 0; col < m.n; col += slabCols {
			width := min(slabCols, m.n-col)
			d.logits(s, m, nil, rounded, col)
			d.spread(span{work: logitGrad, n: n, k: width, col: col, slab: s, pos: targets,
				f: [7][]float32{dlogp, lse}}, 20*slabCols)
			d.multiply(product{m: n, k: width, alpha: 1, a: s.logits, aRow: slabCols},
				right{n: m.k, b: wRaw[col*m.k:], bRow: m.k, c: s.dx, cRow: m.k, add: col > 0})
			d.multiply(product{m: width, k: n, alpha: 1, a: s.logits, aRow: slabCols, transA: true},
				right{n: m.k, b: s.x, bRow: m.k, c: dw[col*m.k:], cRow: m.k, add: true})
		}
		d.release(rounded)
		for i, r := range s.rows {
			d.level.add(dx[int(r)*m.k:(int(r)+1)*m.k], s.dx[i*m.k:(i+1)*m.k])
		}
	}
}

// logitGrad: dlogit = dlogp · (1[target] − softmax).
func logitGrad(sp *span, first, last int) {
	s, l, col, width := sp.slab, sp.level, sp.col, sp.k
	for i := first; i < last; i++ {
		r := s.rows[i]
		row := s.logits[i*slabCols : i*slabCols+width]
		grad := sp.f[0][r]
		l.exp(row, 1, sp.f[1][r])
		l.scale(row, -grad)
		if target := int(sp.pos[r]) - col; target >= 0 && target < width {
			row[target] += grad
		}
	}
}

package kerneltest

import (
	"math"
	"slices"
	"testing"

	"itool/stages/policy/kernel"
)

// The gradient of a logit may be rounded to either of two neighbouring values of bf16, because the sums
// before it differ in their last bits. That changes one term among thousands. The same holds for a
// probability of attention, of which there are fewer, and of the head, which is rounded before it is
// normalised.
const (
	bf16Tolerance      = 1e-3
	bf16AttentionShare = 4e-3
)

// RunBF16 is Run for a device whose matrix products, also those of attention, round both factors to bf16
// and add in float32. The tolerances are those of Run, also for the products: the reference gets
// factors that are rounded already.
func RunBF16(t *testing.T, device, reference kernel.Device) {
	dev := On(device)
	runRounded(t, dev, reference, map[string]float64{
		"logprobs backward": bf16Tolerance, "attention": bf16AttentionShare, "attention backward": bf16AttentionShare,
		"attend suffix": bf16AttentionShare, "logprobs grad": bf16AttentionShare})
	// Finite differences of rounded values say nothing: attention and head are only compared with the
	// reference.
	t.Run("gradients", func(t *testing.T) { elementGradients(t, dev) })
	t.Run("rows", func(t *testing.T) { rows(t, dev) })
	t.Run("repack", func(t *testing.T) { repack(t, dev) })
	t.Run("wrapped", func(t *testing.T) { wrapped(t, dev, false) })
	t.Run("embed", func(t *testing.T) { embed(t, dev) })
	t.Run("sample", func(t *testing.T) { sampling(t, dev, bf16Tolerance) })
	t.Run("together", func(t *testing.T) { together(t, dev) })
	t.Run("not a number", func(t *testing.T) { notANumber(t, dev) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, dev) })
}

// RunBF16Checks is RunBF16 without the tests that repeat operations many times (batch invariance, wrapped
// weights, many goroutines), for a device that is a simulation. tolerances, by the names of operations,
// replace smaller ones, for a device that rounds at other places.
func RunBF16Checks(t *testing.T, device, reference kernel.Device, tolerances map[string]float64) {
	dev := On(device)
	runRounded(t, dev, reference, tolerances)
	t.Run("gradients", func(t *testing.T) { elementGradients(t, dev) })
	t.Run("repack", func(t *testing.T) { repack(t, dev) })
	t.Run("together", func(t *testing.T) { together(t, dev) })
	t.Run("embed", func(t *testing.T) { embed(t, dev) })
	t.Run("sample", func(t *testing.T) { sampling(t, dev, bf16Tolerance) })
	t.Run("not a number", func(t *testing.T) { notANumber(t, dev) })
}

func runRounded(t *testing.T, dev Slices, reference kernel.Device, tolerances map[string]float64) {
	for _, c := range checks() {
		c.tolerance = max(c.tolerance, tolerances[c.op])
		t.Run(c.op+"/"+c.name, func(t *testing.T) {
			want := c.outputs(t, On(rounding{reference}))
			for i, got := range c.outputs(t, dev) {
				compare(t, got, want[i], c.tolerance)
			}
		})
	}
}

// Rounded makes of d, a device in float32, one that computes what a device of RunBF16 computes. It is slow
// but runs on any machine. A frozen head must not be wrapped.
func Rounded(d kernel.Device) kernel.Device { return rounding{d} }

// rounding is a device that gets the factors of its matrix products rounded.
type rounding struct{ kernel.Device }

func (r rounding) Pack(w kernel.Floats, n, k int) kernel.Matrix {
	return r.Device.Pack(round(w.Slice(0, n*k)), n, k)
}
func (r rounding) Repack(m kernel.Matrix, w kernel.Floats) { r.Device.Repack(m, round(w)) }

// frozen is a wrapped weight: the weight as it is, and rounded for products.
type frozen struct {
	kernel.Matrix
	table kernel.Matrix
}

func (r rounding) Wrap(w kernel.Weight) kernel.Matrix {
	n, k := w.Shape()
	wide := rounded(kernel.Widened(w))
	return &frozen{r.Device.Wrap(&kernel.Dense{N: n, K: k, Data: wide}), r.Device.Wrap(w)}
}

func products(m kernel.Matrix) kernel.Matrix {
	if f, ok := m.(*frozen); ok {
		return f.Matrix
	}
	return m
}

func (r rounding) Embed(y kernel.Floats, w kernel.Matrix, ids kernel.Ints) {
	r.Device.Embed(y, w.(*frozen).table, ids)
}

func (r rounding) MatMul(y, x kernel.Floats, w kernel.Matrix, t int, add bool) {
	r.Device.MatMul(y, round(x), products(w), t, add)
}

func (r rounding) MatMuls(outs []kernel.Out, x kernel.Floats, t int) {
	outs = slices.Clone(outs)
	for i := range outs {
		outs[i].W = products(outs[i].W)
	}
	r.Device.MatMuls(outs, round(x), t)
}

func (r rounding) Gemm(transA, transB bool, m, n, k int, alpha float32, a, b kernel.Floats, add bool, c kernel.Floats) {
	r.Device.Gemm(transA, transB, m, n, k, alpha, round(a), round(b), add, c)
}

func (r rounding) MatMulRows(dx, dy kernel.Floats, w kernel.Matrix, t int, add bool) {
	r.Device.MatMulRows(dx, round(dy), products(w), t, add)
}

func (r rounding) LogProbs(logp, lse kernel.Floats, h kernel.Head) {
	h.X, h.W = round(h.X), products(h.W)
	r.Device.LogProbs(logp, lse, h)
}

func (r rounding) Sample(picks []kernel.Pick, x kernel.Floats, w kernel.Matrix) {
	r.Device.Sample(picks, round(x), products(w))
}

// LogProbsGrad also rounds the exponentials: they are factors of a product.
func (r rounding) LogProbsGrad(gradient, logp, lse kernel.Floats, h kernel.Head) {
	r.LogProbs(logp, lse, h)
	n, k := h.W.Shape()
	x, grad, wRaw := h.X.Host, gradient.Host, rounded(h.Raw.Host[:n*k])
	clear(grad[:h.T*k])
	for i, target := range h.Targets.Host[:h.T] {
		if target < 0 {
			continue
		}
		logits, top := make([]float64, n), math.Inf(-1)
		for v := range logits {
			logits[v] = dot(rounded(x[i*k:(i+1)*k]), wRaw[v*k:(v+1)*k])
			top = math.Max(top, logits[v])
		}
		mean, sum := make([]float64, k), 0.0
		for v, l := range logits {
			p := math.Exp(l - top)
			sum += p
			p = float64(rounded([]float32{float32(p)})[0])
			for j := range mean {
				mean[j] += p * float64(wRaw[v*k+j])
			}
		}
		for j := range mean {
			grad[i*k+j] = wRaw[int(target)*k+j] - float32(mean[j]/sum)
		}
	}
}

// LogProbsBackward stores the gradient of the logits, to round it like every factor.
func (r rounding) LogProbsBackward(dx, dw, dlogp, lse kernel.Floats, h kernel.Head) {
	n, k := h.W.Shape()
	logits := r.Floats(h.T * n)
	r.Gemm(false, true, h.T, n, k, 1, h.X, h.Raw, false, logits)
	for i, target := range h.Targets.Host[:h.T] {
		row := logits.Host[i*n : (i+1)*n]
		if target < 0 {
			clear(row)
			continue
		}
		for v, l := range row {
			row[v] = -dlogp.Host[i] * float32(math.Exp(float64(l-lse.Host[i])))
		}
		row[target] += dlogp.Host[i]
	}
	r.Gemm(false, false, h.T, k, n, 1, logits, h.Raw, true, dx)
	r.Gemm(true, false, n, k, h.T, 1, logits, h.X, true, dw)
}

// probabilities returns the probabilities of one row and head before normalisation, the factor that
// normalises them, and the log-sum-exp of the scaled scores.
func probabilities(q, k []float32, seen []int, group, g, d int) (p []float32, inverse, lse float64) {
	scores, top := make([]float64, len(seen)), math.Inf(-1)
	for n, j := range seen {
		at := (j*g + group) * d
		scores[n] = dot(q, k[at:at+d]) / math.Sqrt(float64(d))
		top = math.Max(top, scores[n])
	}
	var sum float64
	p = make([]float32, len(seen))
	for n, s := range scores {
		p[n] = float32(math.Exp(s - top))
		sum += float64(p[n])
	}
	return p, 1 / sum, top + math.Log(sum)
}

// Attention rounds q, k, v, and the probabilities before they are normalised.
func (r rounding) Attention(a kernel.Attended, s kernel.Segments, n kernel.Heads) {
	q, k, v, h, g, d := rounded(a.Q.Host), rounded(a.K.Host), rounded(a.V.Host), n.H, n.G, n.D
	out, lse := a.Out.Host, a.LSE.Host
	visible(s.Cu.Host, s.Mask.Host, s.Selected.Host, h, func(i, head int, seen []int) {
		at := (i*h + head) * d
		lse[i*h+head] = float32(r.attend(out[at:at+d], q[at:at+d], k, v, seen, head/(h/g), g))
	})
}

func (r rounding) attend(out, q, k, v []float32, seen []int, group, g int) (lse float64) {
	d := len(q)
	p, inverse, lse := probabilities(q, k, seen, group, g, d)
	p = rounded(p)
	for c := range d {
		var sum float64
		for n, j := range seen {
			sum += float64(p[n]) * float64(v[(j*g+group)*d+c])
		}
		out[c] = float32(sum * inverse)
	}
	return lse
}

// AttendSuffix is Attention of the last rows.
func (r rounding) AttendSuffix(to, query kernel.Floats, cache kernel.KV, slots kernel.Ints, rows int, n kernel.Heads) {
	q, k, v, h, g, d := rounded(query.Host), rounded(cache.K.Host), rounded(cache.V.Host), n.H, n.G, n.D
	out, path := to.Host, slots.Host
	seen := make([]int, len(path))
	for i, slot := range path {
		seen[i] = int(slot)
	}
	for i := range rows {
		for head := range h {
			at := (i*h + head) * d
			r.attend(out[at:at+d], q[at:at+d], k, v, seen[:len(path)-rows+i+1], head/(h/g), g)
		}
	}
}

// AttentionBackward rounds q, k, v, dout, the probabilities and the gradients of the scores.
func (r rounding) AttentionBackward(grad kernel.AttentionGrad, dOut kernel.Floats, a kernel.Attended,
	s kernel.Segments, n kernel.Heads) {
	h, g, d, rows := n.H, n.G, n.D, s.Rows()
	plain, out, lse := dOut.Host, a.Out.Host, a.LSE.Host
	q, k, v, dout := rounded(a.Q.Host), rounded(a.K.Host), rounded(a.V.Host), rounded(plain)
	sums := [3][]float64{make([]float64, rows*h*d), make([]float64, rows*g*d), make([]float64, rows*g*d)}
	queries := visible(s.Cu.Host, s.Mask.Host, s.Selected.Host, h, func(i, head int, seen []int) {
		group, at := head/(h/g), (i*h+head)*d
		delta := dot(plain[at:at+d], out[at:at+d])
		p, ds := make([]float32, len(seen)), make([]float32, len(seen))
		for n, j := range seen {
			kj, scale := (j*g+group)*d, 1/math.Sqrt(float64(d))
			p[n] = float32(math.Exp(dot(q[at:at+d], k[kj:kj+d])*scale - float64(lse[i*h+head])))
			ds[n] = float32((dot(dout[at:at+d], v[kj:kj+d]) - delta) * float64(p[n]) * scale)
		}
		p, ds = rounded(p), rounded(ds)
		for n, j := range seen {
			kj := (j*g + group) * d
			for c := range d {
				sums[0][at+c] += float64(ds[n]) * float64(k[kj+c])
				sums[1][kj+c] += float64(ds[n]) * float64(q[at+c])
				sums[2][kj+c] += float64(p[n]) * float64(dout[at+c])
			}
		}
	})
	sums[0] = sums[0][:queries*h*d]
	for i, to := range [][]float32{grad.DQ.Host, grad.DK.Host, grad.DV.Host} {
		for j, s := range sums[i] {
			to[j] = float32(s)
		}
	}
}

func round(x kernel.Floats) kernel.Floats { return kernel.Host(rounded(x.Host)) }

// rounded copies x, each value to the nearest of bf16, ties to even.
func rounded(x []float32) []float32 {
	y := slices.Clone(x)
	for i, v := range y {
		bits := math.Float32bits(v)
		if v == v {
			y[i] = math.Float32frombits((bits + 0x7fff + bits>>16&1) &^ 0xffff)
		}
	}
	return y
}

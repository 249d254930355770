package policy

import (
	"fmt"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
)

// Rows that one pass of the MLP takes: its width is the widest buffer by far, and
// a row's result does not depend on its neighbours.
const mlpRows = 512

// Rows whose logits exist at the same time.
const headRows = 32

// forward is one pass through the layers and its buffers, which are kept and grow.
// One goroutine uses it at a time.
type forward struct {
	m *model.Model
	d kernel.Device

	x, normed        []float32 // (T, C) residual stream; its norm
	rstd             []float32 // (T)
	q, att           []float32 // (T, H, D)
	k, v             []float32 // (T, G, D)
	heads            []float32 // (T, H, D) q or k before the norm of its heads
	gate, up, act    []float32 // (mlpRows, F)
	xa               []float32 // (T, R) x·Aᵀ of an adapter beside its map
	logits           []float32 // (headRows, V)
	logp, lse        []float32 // (T), (T, H) or (T)
	ids, pos, target []int32   // (T)
	cu               []int32   // segments + 1
	slots            []int32   // (T) that the rows write
}

func (p *Policy) takeForward() *forward {
	if f, ok := p.forwards.Get().(*forward); ok {
		return f
	}
	return &forward{m: p.model, d: p.model.Device}
}

// size makes room for t rows.
func (f *forward) size(t int) {
	m := f.m
	c, hd, gd := m.HiddenSize, m.NumHeads*m.HeadDim, m.NumKVHeads*m.HeadDim
	grow(&f.x, t*c)
	grow(&f.normed, t*c)
	grow(&f.rstd, t)
	if m.Family == model.Qwen3 {
		grow(&f.heads, t*hd)
		grow(&f.rstd, t*m.NumHeads)
	}
	grow(&f.q, t*hd)
	grow(&f.att, t*hd)
	grow(&f.k, t*gd)
	grow(&f.v, t*gd)
	for _, b := range []*[]float32{&f.gate, &f.up, &f.act} {
		grow(b, min(t, mlpRows)*m.IntermediateSize)
	}
}

// grow sets the length of b to n; what was in it may be lost.
func grow[E any](b *[]E, n int) {
	if cap(*b) < n {
		*b = make([]E, n, n+n/4)
	}
	*b = (*b)[:n]
}

// layers runs rows of tokens at their positions and leaves the residual stream,
// before the final norm, in f.x. attend gets each layer's rotated q, and k, v of the rows (f.q,
// f.k, f.v) and fills f.att.
func (f *forward) layers(ids, pos []int32, attend func(layer int)) {
	m, d, t := f.m, f.d, len(ids)
	c, eps := m.HiddenSize, float32(m.RMSNormEps)
	f.size(t)
	m.Embedding(f.x, ids)
	for i := range m.Layers {
		l := &m.Layers[i]
		d.RMSNorm(f.normed, f.rstd, f.x, l.InputNorm, t, c, eps)
		f.project(f.q, &l.Q, l.QNorm, m.NumHeads, t)
		f.project(f.k, &l.K, l.KNorm, m.NumKVHeads, t)
		f.project(f.v, &l.V, nil, m.NumKVHeads, t)
		d.RoPE(f.q, m.Cos, m.Sin, pos, t, m.NumHeads, m.HeadDim, false)
		d.RoPE(f.k, m.Cos, m.Sin, pos, t, m.NumKVHeads, m.HeadDim, false)
		attend(i)
		f.linear(f.x, f.att, &l.O, t, true)
		d.RMSNorm(f.normed, f.rstd, f.x, l.PostNorm, t, c, eps)
		for at := 0; at < t; at += mlpRows {
			n := min(mlpRows, t-at)
			f.linear(f.gate, f.normed[at*c:], &l.Gate, n, false)
			f.linear(f.up, f.normed[at*c:], &l.Up, n, false)
			d.SwiGLU(f.act, f.gate, f.up, n*m.IntermediateSize)
			f.linear(f.x[at*c:], f.act, &l.Down, n, true)
		}
	}
}

// linear: y (t, N) = or += x (t, K)·Wᵀ with the adapter, merged or beside it; the
// latter by the products of training.
func (f *forward) linear(y, x []float32, l *model.Linear, t int, add bool) {
	f.d.MatMul(y, x, l.M, t, add)
	if lora := l.Beside; lora != nil {
		r := len(lora.A) / l.K
		grow(&f.xa, t*r)
		f.d.Gemm(false, true, t, r, l.K, 1, x, lora.A, false, f.xa)
		f.d.Gemm(false, true, t, l.N, r, float32(f.m.Adapter.Scale()), f.xa, lora.B, true, y)
	}
}

// project fills y (t, heads, D) with a map of the normed rows; norm, unless it is
// nil, is then applied to each head.
func (f *forward) project(y []float32, l *model.Linear, norm []float32, heads, t int) {
	to := y
	if norm != nil {
		to = f.heads
	}
	for i := 0; l.Bias != nil && i < t; i++ {
		copy(to[i*l.N:(i+1)*l.N], l.Bias)
	}
	f.linear(to, f.normed, l, t, l.Bias != nil)
	if norm != nil {
		f.d.RMSNorm(y, f.rstd, to, norm, t*heads, f.m.HeadDim, float32(f.m.RMSNormEps))
	}
}

// part is rows that read and write one cache, each along its own path, the last slot
// of which is its own.
type part struct {
	cache *cache
	paths [][]int32
}

// along runs rows of tokens, those of one part behind those of the other.
func (f *forward) along(ids []int32, parts ...part) {
	f.pos, f.slots = f.pos[:0], f.slots[:0]
	for _, p := range parts {
		for _, path := range p.paths {
			f.pos = append(f.pos, int32(len(path)-1))
			f.slots = append(f.slots, path[len(path)-1])
		}
	}
	m := f.m
	hd := m.NumHeads * m.HeadDim
	f.layers(ids, f.pos, func(layer int) {
		from := 0
		for _, p := range parts {
			c, to := p.cache, from+len(p.paths)
			c.write(layer, f.slots[from:to], f.k[from*c.width:], f.v[from*c.width:])
			f.d.AttendPaths(f.att[from*hd:to*hd], f.q[from*hd:to*hd], c.k[layer], c.v[layer], p.paths, m.NumHeads, m.NumKVHeads, m.HeadDim)
			from = to
		}
	})
}

// packed attends within segments: f.cu bounds them.
func (f *forward) packed(int) {
	grow(&f.lse, len(f.att)/f.m.HeadDim)
	f.d.Attention(f.att, f.lse, f.q, f.k, f.v, f.cu, nil, f.m.NumHeads, f.m.NumKVHeads, f.m.HeadDim)
}

// targets gives, after layers, the log-probability of target[i] after row i; 0
// where it is negative. The slice is f's own.
func (f *forward) targets(target []int32) ([]float32, error) {
	t := len(target)
	f.d.RMSNorm(f.normed, f.rstd, f.x, f.m.Norm, t, f.m.HiddenSize, float32(f.m.RMSNormEps))
	grow(&f.logp, t)
	grow(&f.lse, t)
	f.d.LogProbs(f.logp, f.lse, f.normed, f.m.Head, target, t)
	for i, l := range f.logp {
		if l-l != 0 { // NaN or infinite: never pass it on as a number
			return nil, fmt.Errorf("row %d: log-probability %v: the weights are broken, or overflow", i, l)
		}
	}
	return f.logp, nil
}

// keep leaves, after layers, only these rows, in rising order.
func (f *forward) keep(rows []int) {
	c := f.m.HiddenSize
	for i, row := range rows {
		copy(f.x[i*c:(i+1)*c], f.x[row*c:])
	}
}

// eachLogits calls see with the logits (V) of each row in turn, after layers.
func (f *forward) eachLogits(t int, see func(row int, logits []float32) error) error {
	m := f.m
	f.d.RMSNorm(f.normed, f.rstd, f.x, m.Norm, t, m.HiddenSize, float32(m.RMSNormEps))
	grow(&f.logits, min(t, headRows)*m.VocabSize)
	for at := 0; at < t; at += headRows {
		n := min(headRows, t-at)
		f.d.MatMul(f.logits, f.normed[at*m.HiddenSize:], m.Head, n, false)
		for i := range n {
			if err := see(at+i, f.logits[i*m.VocabSize:(i+1)*m.VocabSize]); err != nil {
				return err
			}
		}
	}
	return nil
}

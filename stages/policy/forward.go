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
	q0, k0           []float32 // as q and k, before the norm of their heads
	gate, up, act    []float32 // (mlpRows, F)
	xa               []float32 // (T, R) x·Aᵀ of an adapter beside its map
	logits           []float32 // (headRows, V)
	logp, lse        []float32 // (T), (T, H) or (T)
	ids, pos, target []int32   // (T)
	cu               []int32   // segments + 1
	slots            []int32   // (T) that the rows write
	outs             []kernel.Out

	// With selecting, the next run of layers leaves the selected rows, ascending, and computes nothing
	// else of the last layer but keys and values.
	selecting     bool
	selected      []int32
	firstSelected []int32 // by segment, for attendPacked: all rows from there to its end are selected
	selectedPos   []int32 // positions of the selected rows
	paths         [][]int32

	// Of eachRow.
	see   func(row int, logits []float32)
	block int         // its first row
	visit func(i int) // calls see
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
		grow(&f.q0, t*hd)
		grow(&f.k0, t*gd)
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

// layers runs rows of tokens at their positions and leaves the residual stream of the selected rows,
// before the final norm, in f.x. attend gets each layer's rotated q, and k, v of the rows (f.q,
// f.k, f.v; of the last layer q of the selected rows) and fills f.att.
func (f *forward) layers(ids, pos []int32, attend func(layer int)) {
	defer func() { f.selecting = false }() // after a panic, too: forwards are used again
	m, d, t := f.m, f.d, len(ids)
	c, eps := m.HiddenSize, float32(m.RMSNormEps)
	f.size(t)
	m.Embedding(f.x, ids)
	for i := range m.Layers {
		l := &m.Layers[i]
		d.RMSNorm(f.normed, f.rstd, f.x, l.InputNorm, t, c, eps)
		q, k := f.q, f.k
		if l.QNorm != nil {
			q, k = f.q0, f.k0
		}
		all, queryPos := t, pos
		if !f.selectsIn(i) {
			f.linears(f.normed, t, linearOut{&l.Q, q}, linearOut{&l.K, k}, linearOut{&l.V, f.v})
		} else {
			f.linears(f.normed, t, linearOut{&l.K, k}, linearOut{&l.V, f.v})
			queryPos = f.keepSelected(pos)
			t = len(queryPos)
			f.linears(f.normed, t, linearOut{&l.Q, q})
		}
		if l.QNorm != nil {
			d.RMSNorm(f.q, f.rstd, q, l.QNorm, t*m.NumHeads, m.HeadDim, eps)
			d.RMSNorm(f.k, f.rstd, k, l.KNorm, all*m.NumKVHeads, m.HeadDim, eps)
		}
		d.RoPE(f.q, m.Cos, m.Sin, queryPos, t, m.NumHeads, m.HeadDim, false)
		d.RoPE(f.k, m.Cos, m.Sin, pos, all, m.NumKVHeads, m.HeadDim, false)
		attend(i)
		f.addTo(f.x, f.att, &l.O, t)
		d.RMSNorm(f.normed, f.rstd, f.x, l.PostNorm, t, c, eps)
		for at := 0; at < t; at += mlpRows {
			n := min(mlpRows, t-at)
			f.linears(f.normed[at*c:], n, linearOut{&l.Gate, f.gate}, linearOut{&l.Up, f.up})
			d.SwiGLU(f.act, f.gate, f.up, n*m.IntermediateSize)
			f.addTo(f.x[at*c:], f.act, &l.Down, n)
		}
	}
}

// keepSelected leaves the selected rows in f.x and f.normed and returns their positions.
func (f *forward) keepSelected(pos []int32) []int32 {
	c := f.m.HiddenSize
	f.selectedPos = f.selectedPos[:0]
	for i, row := range f.selected {
		copy(f.x[i*c:(i+1)*c], f.x[int(row)*c:])
		copy(f.normed[i*c:(i+1)*c], f.normed[int(row)*c:])
		f.selectedPos = append(f.selectedPos, pos[row])
	}
	return f.selectedPos
}

func (f *forward) selectsIn(layer int) bool { return f.selecting && layer == len(f.m.Layers)-1 }

// linearOut is y (t, N), where a map goes.
type linearOut struct {
	of *model.Linear
	y  []float32
}

// linears fills the images of x (t, K).
func (f *forward) linears(x []float32, t int, outs ...linearOut) {
	f.outs = f.outs[:0]
	for _, i := range outs {
		bias := i.of.Bias
		for row := 0; bias != nil && row < t; row++ {
			copy(i.y[row*i.of.N:(row+1)*i.of.N], bias)
		}
		f.outs = append(f.outs, kernel.Out{Y: i.y, W: i.of.M, Add: bias != nil})
	}
	f.d.MatMuls(f.outs, x, t)
	for _, i := range outs {
		f.addUnmerged(i.y, x, i.of, t)
	}
}

// addTo: y (t, N) += the map of x (t, K), which has no bias.
func (f *forward) addTo(y, x []float32, l *model.Linear, t int) {
	f.d.MatMul(y, x, l.M, t, true)
	f.addUnmerged(y, x, l, t)
}

// addUnmerged adds the part of an adapter that is not merged, by the products of training.
func (f *forward) addUnmerged(y, x []float32, l *model.Linear, t int) {
	if lora := l.Unmerged; lora != nil {
		r := len(lora.A) / l.K
		grow(&f.xa, t*r)
		f.d.Gemm(false, true, t, r, l.K, 1, x, lora.A, false, f.xa)
		f.d.Gemm(false, true, t, l.N, r, float32(f.m.Adapter.Scale()), f.xa, lora.B, true, y)
	}
}

// treeRows is rows that read and write one cache, each along its own path, the last slot
// of which is its own.
type treeRows struct {
	cache *kvCache
	paths [][]int32
}

// treeDecode runs rows of tokens, those of one part behind those of the other.
func (f *forward) treeDecode(ids []int32, trees ...treeRows) {
	f.pos, f.slots = f.pos[:0], f.slots[:0]
	for _, p := range trees {
		for _, path := range p.paths {
			f.pos = append(f.pos, int32(len(path)-1))
			f.slots = append(f.slots, path[len(path)-1])
		}
	}
	m := f.m
	hd := m.NumHeads * m.HeadDim
	f.layers(ids, f.pos, func(layer int) {
		from, queryPos := 0, 0 // rows, and selected rows
		for _, p := range trees {
			c, to, paths := p.cache, from+len(p.paths), p.paths
			c.write(layer, f.slots[from:to], f.k[from*c.width:], f.v[from*c.width:])
			if f.selectsIn(layer) {
				paths = f.pathsOfSelected(p, from)
			}
			q := hd * queryPos
			queryPos += len(paths)
			f.d.AttendPaths(f.att[q:hd*queryPos], f.q[q:hd*queryPos], c.k[layer], c.v[layer], paths, m.NumHeads, m.NumKVHeads, m.HeadDim)
			from = to
		}
	})
}

// pathsOfSelected are the paths of the rows of a part, which begins with row from, that are selected.
func (f *forward) pathsOfSelected(p treeRows, from int) [][]int32 {
	f.paths = f.paths[:0]
	for _, row := range f.selected {
		if i := int(row) - from; i >= 0 && i < len(p.paths) {
			f.paths = append(f.paths, p.paths[i])
		}
	}
	return f.paths
}

// attendPacked attends within segments: f.cu bounds them.
func (f *forward) attendPacked(layer int) {
	grow(&f.lse, len(f.att)/f.m.HeadDim)
	var first []int32
	if f.selectsIn(layer) {
		first = f.firstSelected
	}
	f.d.Attention(f.att, f.lse, f.q, f.k, f.v, f.cu, nil, first, f.m.NumHeads, f.m.NumKVHeads, f.m.HeadDim)
}

// targetLogProbs gives, after layers, the log-probability of target[i] after row i; 0
// where it is negative. The slice is f's own.
func (f *forward) targetLogProbs(target []int32) ([]float32, error) {
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

// eachLogits calls see with the logits (V) of each row in turn, after layers.
func (f *forward) eachLogits(t int, see func(row int, logits []float32) error) error {
	f.normLast(t)
	for at := 0; at < t; at += headRows {
		for i := range f.blockOf(at, t) {
			if err := see(at+i, f.row(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachRow is eachLogits for several rows at once: see may touch what is the row's own.
func (f *forward) eachRow(t int, see func(row int, logits []float32)) {
	if f.visit == nil {
		f.visit = func(i int) { f.see(f.block+i, f.row(i)) } // once: a closure would allocate in every step
	}
	f.normLast(t)
	f.see = see
	for at := 0; at < t; at += headRows {
		f.block = at
		n := f.blockOf(at, t)
		f.d.Parallel(n, 20*n*f.m.VocabSize, f.visit)
	}
	f.see = nil
}

func (f *forward) normLast(t int) {
	m := f.m
	f.d.RMSNorm(f.normed, f.rstd, f.x, m.Norm, t, m.HiddenSize, float32(m.RMSNormEps))
	grow(&f.logits, min(t, headRows)*m.VocabSize)
}

// blockOf computes the logits of some of t rows, from row at on, and returns how many.
func (f *forward) blockOf(at, t int) int {
	n := min(headRows, t-at)
	f.d.MatMul(f.logits, f.normed[at*f.m.HiddenSize:], f.m.Head, n, false)
	return n
}

// row is the logits of row i of a block.
func (f *forward) row(i int) []float32 {
	return f.logits[i*f.m.VocabSize : (i+1)*f.m.VocabSize]
}

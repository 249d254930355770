package policy

import (
	"fmt"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
)

// This file is the forward pass of inference: token IDs and positions in, the residual stream of the last
// layer out, from which the head makes log-probabilities or logits. Attention is either over packed
// sequences, without padding, or tree attention along the paths of a KV cache.

// mlpRows is the number of rows that the MLP computes at a time. Its buffers are by far the widest, and a
// row's result does not depend on the other rows.
const mlpRows = 512

// headRows is the number of rows whose logits exist at the same time.
const headRows = 32

// forward runs the layers. It holds the buffers for that, which grow as needed and are reused. Only one
// goroutine may use it at a time.
type forward struct {
	m *model.Model
	d kernel.Device

	x, normed        []float32 // (T, C) residual stream, as model.Scales says; its norm
	rstd             []float32 // (T)
	q, att           []float32 // (T, H, D)
	k, v             []float32 // (T, G, D)
	q0, k0           []float32 // as q and k, before the norm of each head (Qwen3)
	gate, up, act    []float32 // (mlpRows, F)
	xa               []float32 // (T, R) x·Aᵀ of an unmerged adapter
	logits           []float32 // (headRows, V)
	logp, lse        []float32 // (T), (T, H) or (T)
	ids, pos, target []int32   // (T)
	cu               []int32   // (segments + 1) bounds of packed segments
	slots            []int32   // (T) where the rows write their keys and values
	outs             []kernel.Out

	// If selecting is set, the next call of layers computes only keys and values of the last layer for all
	// rows, and the rest of it only for the selected rows. It then clears the flag.
	selecting     bool
	selected      []int32   // ascending
	firstSelected []int32   // by segment, for attendPacked: all rows from there to its end are selected
	selectedPos   []int32   // positions of the selected rows
	paths         [][]int32 // of the selected rows of a tree

	// Used by eachRow.
	visit   func(row int, logits []float32)
	block   int         // first row of the current block of logits
	visitAt func(i int) // calls visit for row i of the block
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

// grow sets the length of b to n. Its content may be lost.
func grow[E any](b *[]E, n int) {
	if cap(*b) < n {
		*b = make([]E, n, n+n/4)
	}
	*b = (*b)[:n]
}

// layers runs rows of tokens at their positions through all layers. Afterwards f.x has the residual stream
// before the final norm: of the selected rows only, if selecting is set. attend is called for each layer,
// with q and k, rotated in most layers, and v, of the rows in f.q, f.k and f.v, and fills f.att. In the last
// layer q and att have only the selected rows.
func (f *forward) layers(ids, pos []int32, attend func(layer int)) {
	defer func() { f.selecting = false }() // also after a panic, since f is used again
	m, d, t := f.m, f.d, len(ids)
	c, s := m.HiddenSize, m.Scales()
	eps := s.Eps
	f.size(t)
	m.Embedding(f.x, ids)
	scale(f.x, s.Embed)
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
		if m.Rotates(i) {
			d.RoPE(f.q, m.Cos, m.Sin, queryPos, t, m.NumHeads, m.HeadDim, false)
			d.RoPE(f.k, m.Cos, m.Sin, pos, all, m.NumKVHeads, m.HeadDim, false)
		}
		scale(f.q[:t*m.NumHeads*m.HeadDim], s.Query)
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

// scale multiplies x by a factor.
func scale(x []float32, by float32) {
	if by == 1 {
		return
	}
	for i := range x {
		x[i] *= by
	}
}

// keepSelected moves the selected rows of f.x and f.normed to the front, and returns their positions.
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

// linearOut is a linear layer and y (t, N), where its result goes.
type linearOut struct {
	of *model.Linear
	y  []float32
}

// linears computes several linear layers of one x (t, K).
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

// addTo adds to y (t, N) the linear layer l, which has no bias, of x (t, K).
func (f *forward) addTo(y, x []float32, l *model.Linear, t int) {
	f.d.MatMul(y, x, l.M, t, true)
	f.addUnmerged(y, x, l, t)
}

// addUnmerged adds to y (t, N) the part of an unmerged LoRA adapter: Scale·(x·Aᵀ)·Bᵀ, with the same
// kernels as in training.
func (f *forward) addUnmerged(y, x []float32, l *model.Linear, t int) {
	if lora := l.Unmerged; lora != nil {
		r := len(lora.A) / l.K
		grow(&f.xa, t*r)
		f.d.Gemm(false, true, t, r, l.K, 1, x, lora.A, false, f.xa)
		f.d.Gemm(false, true, t, l.N, r, float32(f.m.Adapter.Scale()), f.xa, lora.B, true, y)
	}
}

// treeRows are rows that use one KV cache. Each has a path, the slots that it attends to, from the root of
// its tree to itself: the last slot of a path is the row's own.
type treeRows struct {
	cache *kvCache
	paths [][]int32
}

// treeDecode runs rows of tokens: first those of the first tree, then those of the next. It writes their
// keys and values into the caches and computes tree attention: a row attends to the slots of its path.
func (f *forward) treeDecode(ids []int32, trees ...treeRows) {
	f.pos, f.slots = f.pos[:0], f.slots[:0]
	for _, tree := range trees {
		for _, path := range tree.paths {
			f.pos = append(f.pos, int32(len(path)-1))
			f.slots = append(f.slots, path[len(path)-1])
		}
	}
	m := f.m
	hd := m.NumHeads * m.HeadDim
	f.layers(ids, f.pos, func(layer int) {
		from, queries := 0, 0 // numbers of rows, and of rows with a query
		for _, tree := range trees {
			c, to, paths := tree.cache, from+len(tree.paths), tree.paths
			c.write(layer, f.slots[from:to], f.k[from*c.width:], f.v[from*c.width:])
			if f.selectsIn(layer) {
				paths = f.pathsOfSelected(tree, from)
			}
			q := hd * queries
			queries += len(paths)
			f.d.AttendPaths(f.att[q:hd*queries], f.q[q:hd*queries], c.k[layer], c.v[layer], paths,
				m.NumHeads, m.NumKVHeads, m.HeadDim)
			from = to
		}
	})
}

// pathsOfSelected returns the paths of a tree's selected rows. The tree's rows begin with row from.
func (f *forward) pathsOfSelected(tree treeRows, from int) [][]int32 {
	f.paths = f.paths[:0]
	for _, row := range f.selected {
		if i := int(row) - from; i >= 0 && i < len(tree.paths) {
			f.paths = append(f.paths, tree.paths[i])
		}
	}
	return f.paths
}

// attendPacked computes attention within the segments of a packed batch, which f.cu bounds.
func (f *forward) attendPacked(layer int) {
	grow(&f.lse, len(f.att)/f.m.HeadDim)
	var first []int32
	if f.selectsIn(layer) {
		first = f.firstSelected
	}
	f.d.Attention(f.att, f.lse, f.q, f.k, f.v, f.cu, nil, first, f.m.NumHeads, f.m.NumKVHeads, f.m.HeadDim)
}

// targetLogProbs returns, after layers, the log-probability of target[i] after row i, and 0 where
// target[i] is negative. The head is fused with the log-softmax, so that the (T, V) logits are never in
// memory as a whole. The next call overwrites the result.
func (f *forward) targetLogProbs(target []int32) ([]float32, error) {
	t := len(target)
	f.normLast(t)
	grow(&f.logp, t)
	grow(&f.lse, t)
	f.d.LogProbs(f.logp, f.lse, f.normed, f.m.Head, target, t)
	for i, l := range f.logp {
		if l-l != 0 { // NaN or infinite
			return nil, fmt.Errorf("row %d: log-probability %v: the weights are broken, or overflow", i, l)
		}
	}
	return f.logp, nil
}

// eachLogits calls visit with the logits (V) of each row in turn, after layers.
func (f *forward) eachLogits(t int, visit func(row int, logits []float32) error) error {
	f.normLast(t)
	grow(&f.logits, min(t, headRows)*f.m.VocabSize)
	for at := 0; at < t; at += headRows {
		for i := range f.blockOf(at, t) {
			if err := visit(at+i, f.row(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachRow is eachLogits for several rows at the same time: visit runs in several goroutines and may only
// change what belongs to its row.
func (f *forward) eachRow(t int, visit func(row int, logits []float32)) {
	if f.visitAt == nil { // once: a closure made in every step would be allocated in every step
		f.visitAt = func(i int) { f.visit(f.block+i, f.row(i)) }
	}
	f.normLast(t)
	grow(&f.logits, min(t, headRows)*f.m.VocabSize)
	f.visit = visit
	for at := 0; at < t; at += headRows {
		f.block = at
		n := f.blockOf(at, t)
		f.d.Parallel(n, 20*n*f.m.VocabSize, f.visitAt)
	}
	f.visit = nil
}

// normLast fills f.normed with the input of the head for t rows.
func (f *forward) normLast(t int) {
	c, s := f.m.HiddenSize, f.m.Scales()
	f.d.RMSNorm(f.normed, f.rstd, f.x, f.m.Norm, t, c, s.Eps)
	scale(f.normed[:t*c], s.Head)
}

// blockOf computes the logits of up to headRows of t rows, from row at on, and returns their number.
func (f *forward) blockOf(at, t int) int {
	n := min(headRows, t-at)
	f.d.MatMul(f.logits, f.normed[at*f.m.HiddenSize:], f.m.Head, n, false)
	return n
}

// row is the logits of row i of a block.
func (f *forward) row(i int) []float32 {
	return f.logits[i*f.m.VocabSize : (i+1)*f.m.VocabSize]
}

package policy

import (
	"fmt"

	"itool/stages/policy/kernel"
	"itool/stages/policy/layer"
	"itool/stages/policy/model"
)

// This file is the forward pass of inference: token IDs and positions in, the residual stream of the last
// layer out, from which the head makes log-probabilities or draws tokens. Attention is either over packed
// sequences, without padding, or tree attention along the paths of a KV cache. All of it stays in the memory
// of the device: integers go in; tokens and log-probabilities come out.

// mlpRows is the number of rows that the MLP computes at a time. Its buffers are by far the widest, and a
// row's result does not depend on the other rows.
const mlpRows = 512

// forward runs the layers. It holds the buffers for that, which grow as needed and are reused. Only one
// goroutine may use it at a time.
type forward struct {
	m    *model.Model
	d    kernel.Device
	pass layer.Pass

	x, xq     kernel.Floats     // (T, C) residual stream, as model.Scales says; that of the selected rows
	act       layer.Activations // H is also the norm before the MLP and the head
	gates     layer.Gates       // of mlpRows rows
	logp, lse kernel.Floats     // (T)
	logps     []float32         // (T) logp in the memory of the host

	ids, pos, target kernel.Ints     // (T)
	segments         kernel.Segments // of a packed batch
	slots            kernel.Ints     // (T) where the rows write their keys and values
	path             kernel.Ints     // of the segment that a prompt's next chunk is part of
	paths            []kernel.Paths  // of the rows of each tree
	picks            []kernel.Pick   // what is asked of the head

	// If selecting is set, the next call of layers computes only keys and values of the last layer for all
	// rows, and the rest of it only for the selected rows. It then clears the flag.
	selecting     bool
	selected      layer.Selected
	firstSelected kernel.Ints    // by segment, for attendPacked: all rows from there to its end are selected
	selectedPaths []kernel.Paths // of the selected rows of each tree
}

func newForward(m *model.Model) *forward {
	return &forward{m: m, d: m.Device, pass: layer.Pass{
		Device: m.Device, C: m.HiddenSize, Heads: kernel.Heads{H: m.NumHeads, G: m.NumKVHeads, D: m.HeadDim},
		Eps: m.Scales().Eps, QueryScale: m.Scales().Query, Cos: m.On.Cos, Sin: m.On.Sin,
	}}
}

func (p *Policy) takeForward() *forward {
	if f, ok := p.forwards.Get().(*forward); ok {
		return f
	}
	return newForward(p.model)
}

// size makes room for t rows.
func (f *forward) size(t int) {
	m, a, h := f.m, &f.act, f.pass.Heads
	f.grow(&f.x, t*m.HiddenSize)
	f.grow(&a.H, t*m.HiddenSize)
	f.grow(&a.RSTD, t)
	if m.Family == model.Qwen3 {
		f.grow(&a.Q0, t*h.H*h.D)
		f.grow(&a.K0, t*h.G*h.D)
		f.grow(&a.QRSTD, t*h.H)
		f.grow(&a.KRSTD, t*h.G)
	}
	f.grow(&a.Q, t*h.H*h.D)
	f.grow(&a.Out, t*h.H*h.D)
	f.grow(&a.K, t*h.G*h.D)
	f.grow(&a.V, t*h.G*h.D)
	for _, b := range []*kernel.Floats{&f.gates.Gate, &f.gates.Up, &f.gates.Act} {
		f.grow(b, min(t, mlpRows)*m.IntermediateSize)
	}
	if m.Adapter != nil { // one linear layer at a time uses this memory
		f.grow(&a.XA[0], t*m.Adapter.Rank)
		a.XA = [4]kernel.Floats{a.XA[0], a.XA[0], a.XA[0], a.XA[0]}
		f.gates.XA = [3]kernel.Floats{a.XA[0], a.XA[0], a.XA[0]}
	}
}

// grow makes b hold at least n numbers. Its content may be lost.
func (f *forward) grow(b *kernel.Floats, n int) {
	if b.Len() < n {
		*b = f.d.Floats(n + n/4)
	}
}

// set replaces integers by those of a slice.
func (f *forward) set(i *kernel.Ints, values []int32) {
	i.Host = append(i.Host[:0], values...)
	f.d.Send(i)
}

// layers runs the rows of f.ids at their positions, f.pos, through all layers. Afterwards f.x has the residual
// stream before the final norm: of the selected rows only, if selecting is set. attend is called for each
// layer, with q and k, rotated in most layers, and v, of the rows in f.act, and fills f.act.Out. In the last
// layer q and out have only the selected rows.
func (f *forward) layers(attend func(layer int)) {
	defer func() { f.selecting = false }() // also after a panic, since f is used again
	m, d, t := f.m, f.d, len(f.ids.Host)
	c, a, scales := m.HiddenSize, &f.act, m.Scales()
	f.size(t)
	d.Send(&f.ids)
	d.Send(&f.pos)
	m.On.Lookup(d, f.x, f.ids, c)
	f.pass.Scale(f.x.Slice(0, t*c), scales.Embed)
	for i := range m.On.Layers {
		l := &m.On.Layers[i]
		if f.selectsIn(i) {
			f.sendSelected()
			l.Project(&f.pass, a, f.x, f.pos, &f.selected)
			t = len(f.selected.Rows.Host)
			f.grow(&f.xq, t*c)
			d.GatherRows(f.xq, f.x, f.selected.Rows, c)
			f.x, f.xq = f.xq, f.x
		} else {
			l.Project(&f.pass, a, f.x, f.pos, nil)
		}
		attend(i)
		l.O.AddTo(d, f.x, a.Out, a.XA[3], t)
		d.RMSNorm(a.H, a.RSTD, f.x, l.PostNorm, t, c, scales.Eps)
		for at := 0; at < t; at += mlpRows {
			n := min(mlpRows, t-at)
			l.Gated(&f.pass, &f.gates, a.H.From(at*c), n)
			l.Down.AddTo(d, f.x.From(at*c), f.gates.Act, f.gates.XA[2], n)
		}
	}
}

// sendSelected completes the selected rows, before the last layer.
func (f *forward) sendSelected() {
	s := &f.selected
	s.Positions.Host = s.Positions.Host[:0]
	for _, row := range s.Rows.Host {
		s.Positions.Host = append(s.Positions.Host, f.pos.Host[row])
	}
	f.d.Send(&s.Rows)
	f.d.Send(&s.Positions)
	f.grow(&f.act.HQ, len(s.Rows.Host)*f.m.HiddenSize)
}

func (f *forward) selectsIn(layer int) bool { return f.selecting && layer == len(f.m.Layers)-1 }

// treeRows are rows that use one KV cache. Each has a path, the slots that it attends to, from the root of
// its tree to itself: the last slot of a path is the row's own.
type treeRows struct {
	cache *kvCache
	paths [][]int32
}

// treeDecode runs the rows of f.ids: first those of the first tree, then those of the next. It writes their
// keys and values into the caches and computes tree attention: a row attends to the slots of its path.
func (f *forward) treeDecode(trees ...treeRows) {
	f.sendPaths(trees)
	hd := f.pass.Heads.H * f.pass.Heads.D
	f.layers(func(layer int) {
		from, queries, paths := 0, 0, f.paths // numbers of rows, and of rows with a query
		if f.selectsIn(layer) {
			paths = f.selectedPaths
		}
		for i, tree := range trees {
			c, to := tree.cache, from+len(tree.paths)
			c.write(layer, f.slots.Slice(from, to), f.act.K.From(from*c.width), f.act.V.From(from*c.width))
			q := hd * queries
			queries += len(paths[i].Rows)
			f.d.AttendPaths(f.act.Out.Slice(q, hd*queries), f.act.Q.Slice(q, hd*queries), c.layer(layer), paths[i],
				f.pass.Heads)
			from = to
		}
	})
}

// sendPaths derives positions and slots from the rows' paths, and sends all that the layers need of them.
func (f *forward) sendPaths(trees []treeRows) {
	f.pos.Host, f.slots.Host = f.pos.Host[:0], f.slots.Host[:0]
	for len(f.paths) < len(trees) {
		f.paths, f.selectedPaths = append(f.paths, kernel.Paths{}), append(f.selectedPaths, kernel.Paths{})
	}
	for i, tree := range trees {
		from := len(f.slots.Host)
		for _, path := range tree.paths {
			f.pos.Host = append(f.pos.Host, int32(len(path)-1))
			f.slots.Host = append(f.slots.Host, path[len(path)-1])
		}
		f.paths[i].Rows = append(f.paths[i].Rows[:0], tree.paths...)
		f.d.SendPaths(&f.paths[i])
		if f.selecting {
			f.selectPaths(&f.selectedPaths[i], tree, from)
		}
	}
	f.d.Send(&f.slots)
}

// selectPaths collects the paths of a tree's selected rows. The tree's rows begin with row from.
func (f *forward) selectPaths(to *kernel.Paths, tree treeRows, from int) {
	to.Rows = to.Rows[:0]
	for _, row := range f.selected.Rows.Host {
		if i := int(row) - from; i >= 0 && i < len(tree.paths) {
			to.Rows = append(to.Rows, tree.paths[i])
		}
	}
	f.d.SendPaths(to)
}

// pack sets the bounds of a packed batch.
func (f *forward) pack(cu ...int32) { f.set(&f.segments.Cu, cu) }

// attendPacked computes attention within the segments of a packed batch.
func (f *forward) attendPacked(layer int) {
	f.grow(&f.act.LSE, f.act.Out.Len()/f.m.HeadDim)
	s := f.segments
	if f.selectsIn(layer) {
		s.Selected = f.firstSelected
	}
	f.d.Attention(f.act.Attended(), s, f.pass.Heads)
}

// targetLogProbs returns, after layers, the log-probability of f.target[i] after row i, and 0 where the target
// is negative. The head is fused with the log-softmax, so that the (T, V) logits are never in memory as a
// whole. The next call overwrites the result.
func (f *forward) targetLogProbs() ([]float32, error) {
	t := len(f.target.Host)
	f.normLast(t)
	f.grow(&f.logp, t)
	f.grow(&f.lse, t)
	f.d.Send(&f.target)
	f.d.LogProbs(f.logp, f.lse, kernel.Head{X: f.act.H, W: f.m.Head, Targets: f.target, T: t})
	f.logps = append(f.logps[:0], make([]float32, t)...)
	f.d.Read(f.logps, f.logp)
	for i, l := range f.logps {
		if l-l != 0 { // NaN or infinite
			return nil, fmt.Errorf("row %d: log-probability %v: the weights are broken, or overflow", i, l)
		}
	}
	return f.logps, nil
}

// answer fills in f.picks, after layers. Their rows are those of f.x.
func (f *forward) answer() {
	f.normLast(f.picks[len(f.picks)-1].Row + 1)
	f.d.Sample(f.picks, f.act.H, f.m.Head)
}

// normLast fills f.act.H with the input of the head for t rows.
func (f *forward) normLast(t int) {
	c, s := f.m.HiddenSize, f.m.Scales()
	f.d.RMSNorm(f.act.H, f.act.RSTD, f.x, f.m.On.Norm, t, c, s.Eps)
	f.pass.Scale(f.act.H.Slice(0, t*c), s.Head)
}

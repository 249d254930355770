package cpu

// Attention is blocked over query rows: the scores of a block with all keys that it sees are one GEMM, then
// comes the softmax, and the product with the values is another GEMM. So scores are (rows of a block, keys),
// never T × T. Unlike in FlashAttention, a row's scores are complete before its softmax; there is no online
// rescaling.

import (
	"fmt"
	"math"

	"itool/stages/policy/kernel"
)

// heads is what both directions of attention share: the packed segments, and each
// group's keys (and, where needed, values) in panels.
//
// A row's result depends only on the rows before it in its segment, which are always taken in the same
// order.
type heads struct {
	level    *level
	q, k, v  []float32
	cu       []int32
	mask     []int32 // shared-prefix mask; nil: none
	selected []int32 // first selected row of each segment; nil: all rows
	path     []int32 // cache slots of the rows of k and v, instead of cu
	h, g, d  int
	scale    float32 // 1/√D
}

func (d *Device) heads(x kernel.Attended, seg kernel.Segments, n kernel.Heads) heads {
	cu, mask, selected := seg.Cu.Host, seg.Mask.Host, seg.Selected.Host
	rows := 0
	if len(cu) > 0 {
		rows = int(cu[len(cu)-1])
	}
	for s := 0; selected != nil && s+1 < len(cu); s++ {
		if selected[s] < cu[s] || cu[s+1] < selected[s] {
			panic(fmt.Sprintf("cpu: attention: the first selected row %d is not within segment %d..%d",
				selected[s], cu[s], cu[s+1]))
		}
	}
	for s := 0; mask != nil && s+1 < len(cu); s++ {
		if from, to := mask[2*s], mask[2*s+1]; from < cu[s] || to < from || cu[s+1] < to {
			panic(fmt.Sprintf("cpu: attention: shared-prefix mask %d..%d is not within segment %d..%d",
				from, to, cu[s], cu[s+1]))
		}
	}
	a := heads{level: d.level, q: x.Q.Host, k: x.K.Host, v: x.V.Host, cu: cu, mask: mask, selected: selected,
		h: n.H, g: n.G, d: n.D, scale: float32(1 / math.Sqrt(float64(n.D)))}
	need("k", a.k, rows*n.G*n.D)
	need("v", a.v, rows*n.G*n.D)
	need("q", a.q, a.queries()*n.H*n.D)
	return a
}

// queries is the number of rows of q: the selected rows of all segments.
func (a *heads) queries() int {
	if len(a.cu) == 0 {
		return 0
	}
	last := len(a.cu) - 1
	if last == 0 || a.selected == nil {
		return int(a.cu[last])
	}
	_, skip := a.firstSelected(last - 1)
	return int(a.cu[last]) - skip
}

// firstSelected is the first selected row of a segment; row r of the keys is row r − skip of q.
func (a *heads) firstSelected(segment int) (from, skip int) {
	if a.selected == nil {
		return int(a.cu[segment]), 0
	}
	for s := range segment + 1 {
		skip += int(a.selected[s] - a.cu[s])
	}
	return int(a.selected[segment]), skip
}

// work is the arithmetic of one product over all visible pairs.
func (a *heads) work() int {
	var pairs int
	for s := 0; s+1 < len(a.cu); s++ {
		n, before := int(a.cu[s+1]-a.cu[s]), 0
		if a.selected != nil {
			before = int(a.selected[s] - a.cu[s])
		}
		pairs += (n*n - before*before) / 2
	}
	return 2 * pairs * a.h * a.d
}

// stretch is the rows own to last−1. Each sees the shared keys, which are the rows first to
// first+shared−1, and the keys of the stretch up to itself. Without a mask a segment is one stretch
// without shared keys.
type stretch struct{ first, shared, own, last int }

// keys is the number of keys that the last row sees.
func (s stretch) keys() int { return s.shared + s.last - s.own }

// stretches cuts a segment: up to the end of the mask, and the rows behind it, which do not see what is masked.
func (a *heads) stretches(segment int) (all [2]stretch, n int) {
	first, last := int(a.cu[segment]), int(a.cu[segment+1])
	if a.mask == nil || int(a.mask[2*segment+1]) == last {
		return [2]stretch{{own: first, last: last}}, 1
	}
	from, to := int(a.mask[2*segment]), int(a.mask[2*segment+1])
	return [2]stretch{{own: first, last: to}, {first: first, shared: from - first, own: to, last: last}}, 2
}

// gather returns a group's rows of x that a stretch sees, and their distance in floats. They are copied
// only if they do not lie at equal distances.
func (a *heads) gather(buf *[]float32, x []float32, group int, s stretch) (rows []float32, step int) {
	if a.path != nil {
		out := grow(buf, s.keys()*a.d)
		for j, slot := range a.path {
			copy(out[j*a.d:(j+1)*a.d], x[(int(slot)*a.g+group)*a.d:])
		}
		return out, a.d
	}
	if s.shared == 0 {
		return x[(s.own*a.g+group)*a.d:], a.g * a.d
	}
	out := grow(buf, s.keys()*a.d)
	for j := range s.keys() {
		at := s.first + j
		if j >= s.shared {
			at = s.own + j - s.shared
		}
		copy(out[j*a.d:(j+1)*a.d], x[(at*a.g+group)*a.d:])
	}
	return out, a.d
}

// factor is the right side of a product, in the panels of the level.
type factor struct {
	b           []float32
	step, panel int // floats between the steps of k, and between panels; those of bf16 have steps of their own
}

// transpose packs rows, step floats apart, as columns: the right side of scores =
// q·kᵀ. Panels are D steps deep.
func (a *heads) transpose(buf *[]float32, x []float32, step, rows int) factor {
	l := a.level
	if l.bf16 != nil {
		size := bf16Steps(a.d) * stepFloats
		out := grow(buf, (rows+blockRows-1)/blockRows*size)
		for j := 0; j < rows; j += blockRows {
			l.bf16.pack(out[j/blockRows*size:], x[j*step:], step, true, true, min(blockRows, rows-j), a.d)
		}
		return factor{b: out, panel: size}
	}
	out := grow(buf, l.padded(rows)*a.d)
	for j := 0; j < rows; j += l.tileCols {
		l.packColumns(&out[j*a.d], &x[j*step], step, a.d, min(l.tileCols, rows-j))
	}
	return factor{out, l.tileCols, a.d * l.tileCols}
}

// rowsOf makes rows of D values, step floats apart, the right side of a product over
// rows: as they lie if D fills whole tiles, else copied into panels.
func (a *heads) rowsOf(buf *[]float32, x []float32, step, rows int) factor {
	l := a.level
	if l.bf16 != nil {
		size := bf16Steps(rows) * stepFloats
		out := grow(buf, (a.d+blockRows-1)/blockRows*size)
		for c := 0; c < a.d; c += blockRows {
			l.bf16.pack(out[c/blockRows*size:], x[c:], step, false, true, min(blockRows, a.d-c), rows)
		}
		return factor{b: out, panel: size}
	}
	if a.d%l.tileCols == 0 {
		return factor{x, step, l.tileCols}
	}
	out := grow(buf, rows*l.padded(a.d))
	for c := 0; c < a.d; c += l.tileCols {
		l.packRows(&out[rows*c], l.tileCols, &x[c], step, rows, min(l.tileCols, a.d-c))
	}
	return factor{out, l.tileCols, rows * l.tileCols}
}

// rowsAtOnce is how many query rows go together: tiles of the level's products.
func (a *heads) rowsAtOnce(tiles int) int {
	if a.level.bf16 != nil {
		return tiles / 2 * blockRows
	}
	return tiles * a.level.tileRows
}

// times multiplies: c (m, n) = left · right, or c += … when add is set. left (m, k) has its
// rows row floats apart and their values step; one of the two is 1.
func (a *heads) times(s *scratch, m, n, k int, left []float32, row, step int,
	right factor, add bool, c []float32, cRow int) {
	if l := a.level; l.bf16 != nil {
		l.timesBF16(s, m, n, k, left, row, step, right, add, c, cRow)
	} else {
		l.block(m, n, k, 1, left, row, step, l.tileRows*row, right.b, right.step, right.panel, add, c, cRow)
	}
}

// forward is one call of Attention; a part is one head of one segment.
type forward struct {
	heads
	out, lse []float32
	unread   []float32 // memory for the lse of AttendSuffix, which has no such result
}

// Attention is causal self-attention over packed segments.
func (d *Device) Attention(a kernel.Attended, s kernel.Segments, h kernel.Heads) {
	t := d.forwards.take()
	*t = forward{heads: d.heads(a, s, h), out: a.Out.Host, lse: a.LSE.Host, unread: t.unread}
	if segments := len(t.cu) - 1; segments > 0 {
		need("out", t.out, t.queries()*h.H*h.D)
		need("lse", t.lse, t.queries()*h.H)
		d.pool.run(segments*h.H, 2*t.work(), t)
	}
	*t = forward{unread: t.unread}
	d.forwards.put(t)
}

// AttendSuffix is Attention of the last r rows along a path of cache slots.
func (d *Device) AttendSuffix(out, q kernel.Floats, cache kernel.KV, path kernel.Ints, r int, n kernel.Heads) {
	k, v, h, g, dim := cache.K.Host, cache.V.Host, n.H, n.G, n.D
	need("q", q.Host, r*h*dim)
	need("out", out.Host, r*h*dim)
	if r == 0 {
		return
	}
	slots := needPath(path.Host)
	need("k", k, slots*g*dim)
	need("v", v, slots*g*dim)
	t := d.forwards.take()
	*t = forward{
		heads: heads{level: d.level, q: q.Host, k: k, v: v, path: path.Host, h: h, g: g, d: dim,
			scale: float32(1 / math.Sqrt(float64(dim)))},
		out: out.Host, lse: grow(&t.unread, r*h), unread: t.unread,
	}
	d.pool.run(h, 4*r*len(path.Host)*h*dim, t)
	*t = forward{unread: t.unread}
	d.forwards.put(t)
}

func (a *forward) part(i int, s *scratch) {
	if a.path != nil {
		rows := len(a.lse) / a.h
		a.stretch(stretch{shared: len(a.path) - rows, last: rows}, 0, 0, i, s)
		return
	}
	all, n := a.stretches(i / a.h)
	from, skip := a.firstSelected(i / a.h)
	for _, part := range all[:n] {
		if max(part.own, from) < part.last {
			a.stretch(part, from, skip, i%a.h, s)
		}
	}
}

func (a *forward) stretch(part stretch, from, skip, head int, s *scratch) {
	l, group := a.level, head/(a.h/a.g)
	k, kStep := a.gather(&s.d, a.k, group, part)
	keys := a.transpose(&s.a, k, kStep, part.keys())
	v, vStep := a.gather(&s.d, a.v, group, part)
	values := a.rowsOf(&s.b, v, vStep, part.keys())
	block := a.rowsAtOnce(2)
	pitch := l.padded(part.keys()) + 16 // never a power of two
	scores := grow(&s.c, block*pitch)
	for row := max(part.own, from); row < part.last; row += block {
		rows := min(block, part.last-row)
		before := part.shared + row - part.own // keys that the block's first row sees before its own
		seen, query := before+rows, row-skip
		a.times(s, rows, l.padded(seen), a.d, a.q[(query*a.h+head)*a.d:], a.h*a.d, 1, keys, false, scores, pitch)
		var inverse [32]float32 // block rows are at most 32
		for r := range rows {
			p := scores[r*pitch : r*pitch+seen]
			inverse[r] = a.softmax(p, before+r+1, &a.lse[(query+r)*a.h+head])
		}
		a.times(s, rows, a.d, seen, scores, pitch, 1, values, false, a.out[(query*a.h+head)*a.d:], a.h*a.d)
		for r := range rows {
			at := ((query+r)*a.h + head) * a.d
			l.scale(a.out[at:at+a.d], inverse[r])
		}
	}
}

// softmax turns the first n scores into probabilities that are not normalised yet, and the others into
// 0. It returns the factor that normalises them, and stores their log-sum-exp.
func (a *heads) softmax(p []float32, n int, lse *float32) float32 {
	top := a.level.max(p[:n]) * a.scale
	sum := a.level.exp(p[:n], a.scale, top)
	clear(p[n:])
	*lse = top + float32(math.Log(float64(sum)))
	return 1 / sum
}

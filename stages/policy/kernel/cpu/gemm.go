package cpu

// Matrix products: register-blocked GEMM with packed panels, as in GotoBLAS and BLIS. The right factor is
// in panels of tileCols columns, the left one is read row tile by row tile, and a micro-kernel (a tile)
// multiplies one row tile with one panel, with all sums in registers. Weights are packed once; other
// matrices are packed in each call where their layout needs it.

import (
	"fmt"

	"itool/stages/policy/kernel"
)

// matrix is a weight in panels of tileCols output features: panel p holds, for every
// k, the tileCols values W[p·tileCols + j][k]; the last panel is filled with zeros.
// A level with bf16 products has its own panels, see bf16Kernels.
type matrix struct {
	n, k    int
	level   *level
	panels  []float32     // (panels, K, tileCols)
	wrapped kernel.Weight // instead of panels, see wrapped.go
}

// panelCols is the output features of a panel, panelSize its floats.
func (l *level) panelCols() int {
	if l.bf16 != nil {
		return blockRows
	}
	return l.tileCols
}

func (l *level) panelSize(k int) int {
	if l.bf16 != nil {
		return bf16Steps(k) * stepFloats
	}
	return k * l.tileCols
}

func (l *level) panels(n int) int { return (n + l.panelCols() - 1) / l.panelCols() }

// Shape returns N and K.
func (m *matrix) Shape() (n, k int) { return m.n, m.k }

// Pack copies w into panels.
func (d *Device) Pack(w kernel.Floats, n, k int) kernel.Matrix {
	m := &matrix{n: n, k: k, level: d.level, panels: aligned(d.level.panels(n) * d.level.panelSize(k))}
	d.Repack(m, w)
	return m
}

// Repack writes w into m's panels.
func (d *Device) Repack(to kernel.Matrix, w kernel.Floats) {
	m := d.own(to)
	if m.wrapped != nil {
		panic("cpu: a wrapped weight cannot be repacked")
	}
	need("weight", w.Host, m.n*m.k)
	if m.k > 0 {
		d.spread(span{work: packPanels, n: d.level.panels(m.n), whole: m.n, k: m.k, f: [7][]float32{m.panels, w.Host}},
			4*d.level.panelCols()*m.k)
	}
}

func packPanels(s *span, first, last int) {
	l := s.level
	cols, size := l.panelCols(), l.panelSize(s.k)
	for i := first; i < last; i++ {
		to, from, width := s.f[0][i*size:(i+1)*size], s.f[1][i*cols*s.k:], min(cols, s.whole-i*cols)
		l.packPanel(to, from, s.k, width)
	}
}

// packPanel lays out width rows of k values as one panel.
func (l *level) packPanel(to, rows []float32, k, width int) {
	if l.bf16 != nil {
		l.bf16.pack(to, rows, k, true, true, width, k)
	} else {
		l.packColumns(&to[0], &rows[0], k, k, width)
	}
}

// own returns w as a matrix of this device. Another device's matrix panics.
func (d *Device) own(w kernel.Matrix) *matrix {
	m, ok := w.(*matrix)
	if !ok || m.level != d.level {
		panic("cpu: matrix was packed by another device")
	}
	return m
}

// MatMul: y (T, N) = x (T, K) · Wᵀ.
func (d *Device) MatMul(y, x kernel.Floats, w kernel.Matrix, t int, add bool) {
	m := d.own(w)
	need("x", x.Host, t*m.k)
	need("y", y.Host, t*m.n)
	if m.wrapped != nil {
		d.multiplyWrapped(y.Host, x.Host, m, t, add, nil)
		return
	}
	d.multiply(product{m: t, k: m.k, alpha: 1, a: x.Host, aRow: m.k}, m.right(y.Host, add))
}

// right is a packed or a wrapped weight as the right side of a product.
func (m *matrix) right(y []float32, add bool) right {
	return right{n: m.n, panels: m.panels, wrapped: m.wrapped, c: y, cRow: m.n, add: add}
}

// MatMuls is MatMul for each of outs. Weights in panels, and wrapped weights that are packed during the
// product, are treated as one wide matrix: the threads share the panels of all.
func (d *Device) MatMuls(outs []kernel.Out, x kernel.Floats, t int) {
	if len(outs) == 0 {
		return
	}
	k, slabs := d.own(outs[0].W).k, false
	need("x", x.Host, t*k)
	p := d.product(product{m: t, k: k, alpha: 1, a: x.Host, aRow: k})
	for _, o := range outs {
		m := d.own(o.W)
		if m.k != k {
			panic(fmt.Sprintf("cpu: weights of %d and of %d features multiply one x", k, m.k))
		}
		need("y", o.Y.Host, t*m.n)
		slabs = slabs || m.wrapped != nil && !d.packsOnce(m, t)
		p.rights = append(p.rights, m.right(o.Y.Host, begin(o, t, m.n)))
	}
	if !slabs {
		d.finish(p)
		return
	}
	if d.level.bf16 != nil { // x is rounded once for all slabs of all weights
		p.round(d)
	}
	for i, o := range outs {
		if m := d.own(o.W); m.wrapped != nil {
			d.multiplyWrapped(o.Y.Host, x.Host, m, t, p.rights[i].add, p.blocks)
		} else {
			d.multiply(product{m: t, k: k, alpha: 1, a: x.Host, aRow: k, blocks: p.blocks}, p.rights[i])
		}
	}
	d.release(p)
}

// begin writes the bias into the rows of y, and tells whether the product is added to them.
func begin(o kernel.Out, t, n int) (add bool) {
	if o.Bias.None() {
		return o.Add
	}
	need("bias", o.Bias.Host, n)
	for i := range t {
		copy(o.Y.Host[i*n:(i+1)*n], o.Bias.Host)
	}
	return true
}

// Gemm: c (M, N) = alpha · op(a) · op(b) + (add ? c : 0).
func (d *Device) Gemm(transA, transB bool, m, n, k int, alpha float32, a, b kernel.Floats, add bool, c kernel.Floats) {
	need("a", a.Host, m*k)
	need("b", b.Host, k*n)
	need("c", c.Host, m*n)
	p := product{m: m, k: k, alpha: alpha, a: a.Host, aRow: k, transA: transA}
	r := right{n: n, b: b.Host, bRow: n, transB: transB, c: c.Host, cRow: n, add: add}
	if transA {
		p.aRow = m
	}
	if transB {
		r.bRow = k
	}
	d.multiply(p, r)
}

// product is one left matrix with one or several right ones:
// c (m, n) = alpha · op(a) · b + (add ? c : 0).
type product struct {
	m, k       int
	alpha      float32
	a          []float32
	aRow       int // floats between stored rows of a
	transA     bool
	rights     []right
	panels     int // of all rights
	level      *level
	rowParts   int // the grid of parts
	panelParts int
	blocks     []float32 // a in blocks of bf16; nil: parts make them
	packed     []float32 // the memory of blocks
}

// right is a right matrix b with its result c. b is in packed panels, a wrapped weight, or a matrix that
// is packed during the product.
type right struct {
	n       int
	panels  []float32     // b in panels of all k, or nil
	wrapped kernel.Weight // b in its own type, or nil
	b       []float32
	bRow    int
	transB  bool
	c       []float32
	cRow    int
	add     bool
	first   int // index of its first panel among the panels of all rights
}

// between returns the panels of r that lie between p0 and p1 of all panels.
func (r *right) between(l *level, p0, p1 int) (from, to int) {
	return max(0, p0-r.first), min(l.panels(r.n), p1-r.first)
}

const (
	partTiles = 24  // row tiles of a part: their a stays in the second-level cache
	deepest   = 320 // k of one block: a panel of it stays in the first-level cache
)

// multiply runs p with these right matrices.
func (d *Device) multiply(p product, rights ...right) {
	t := d.product(p)
	t.rights = append(t.rights, rights...)
	d.finish(t)
}

// product copies p into reused memory. finish or release must follow.
func (d *Device) product(p product) *product {
	t := d.products.take()
	p.level, p.packed, p.rights = d.level, t.packed, t.rights
	*t = p
	return t
}

func (d *Device) release(p *product) {
	clear(p.rights)
	*p = product{packed: p.packed, rights: p.rights[:0]}
	d.products.put(p)
}

// finish cuts p into parts, runs them and releases it.
func (d *Device) finish(p *product) {
	columns := 0
	for i := range p.rights {
		r := &p.rights[i]
		r.first = p.panels
		p.panels += p.level.panels(r.n)
		columns += r.n
	}
	switch {
	case p.m == 0 || columns == 0:
	case p.k == 0:
		p.empty()
	default:
		p.run(d, 2*p.m*columns*p.k)
	}
	d.release(p)
}

func (p *product) run(d *Device, work int) {
	p.rowParts = p.level.rowParts(p.m)
	p.panelParts = 1
	if threads := d.pool.threads(work); threads > 1 {
		// Four parts per thread balance the load; a part must not cost less than handing it over.
		p.panelParts = max(1, min(p.panels, 4*threads/p.rowParts, work/smallWork/p.rowParts))
		if p.rowParts == 1 && p.panelParts > threads { // the same number for each thread
			p.panelParts -= p.panelParts % threads
		}
	}
	// With few rows each part would round all of them again.
	if p.level.bf16 != nil && p.blocks == nil && p.panelParts > 1 {
		p.round(d)
	}
	d.pool.run(p.rowParts*p.panelParts, work, p)
}

// rowParts cuts m rows.
func (l *level) rowParts(m int) int {
	rows := partTiles * l.tileRows
	if l.bf16 != nil {
		rows = blockParts * blockRows
	}
	return (m + rows - 1) / rows
}

// empty is the product with k = 0.
func (p *product) empty() {
	for _, r := range p.rights {
		for i := 0; i < p.m && !r.add; i++ {
			clear(r.c[i*r.cRow : i*r.cRow+r.n])
		}
	}
}

// part computes one cell of the grid, block after block of k.
func (p *product) part(i int, s *scratch) {
	l := p.level
	if l.bf16 != nil {
		p.partBF16(i, s)
		return
	}
	row, column := i/p.panelParts, i%p.panelParts
	tiles := (p.m + l.tileRows - 1) / l.tileRows
	m0, m1 := row*tiles/p.rowParts*l.tileRows, min(p.m, (row+1)*tiles/p.rowParts*l.tileRows)
	p0, p1 := column*p.panels/p.panelParts, (column+1)*p.panels/p.panelParts
	step, wrapped := depth(p.k), false
	for i := range p.rights {
		r := &p.rights[i]
		if r.panels != nil || r.wrapped != nil {
			step = weightDepth(p.k)
		}
		wrapped = wrapped || r.wrapped != nil
	}
	if wrapped {
		p.partWrapped(s, m0, m1, p0, p1, step)
		return
	}
	for k0 := 0; k0 < p.k; k0 += step {
		k1 := min(p.k, k0+step)
		a, aRow, aStep, aTile := p.left(s, m0, m1, k0, k1)
		for i := range p.rights {
			r := &p.rights[i]
			for j, to := r.between(l, p0, p1); j < to; j++ {
				n0 := j * l.tileCols
				if r.panels != nil && r.pairs(l, m1-m0, j, to) {
					l.blockPair(k1-k0, p.alpha, a, aStep, p.right(s, r, n0, k0, k1),
						p.right(s, r, n0+l.tileCols, k0, k1), r.add || k0 > 0, r.c[m0*r.cRow+n0:])
					j++
					continue
				}
				b := p.right(s, r, n0, k0, k1)
				l.block(m1-m0, min(l.tileCols, r.n-n0), k1-k0, p.alpha, a, aRow, aStep, aTile, b, l.tileCols, 0,
					r.add || k0 > 0, r.c[m0*r.cRow+n0:], r.cRow)
			}
		}
	}
}

// pairs tells whether panels j and j + 1 are multiplied in one call, which is done for a single row.
func (r *right) pairs(l *level, rows, j, to int) bool {
	return l.pair != nil && rows == 1 && j+1 < to && (j+2)*l.tileCols <= r.n
}

// depth is the k of one block. It depends only on k, so every row of every product has the same order of
// summation.
func depth(k int) int { return evenly(k, 16) }

// weightDepth is depth of a product with a weight: whole blocks of eight bits.
func weightDepth(k int) int { return evenly(k, kernel.Int8Block) }

// evenly cuts k into blocks of about the same size, which is a multiple of unit.
func evenly(k, unit int) int {
	blocks := (k + deepest - 1) / deepest
	return ((k+blocks-1)/blocks + unit - 1) / unit * unit
}

// left prepares rows m0..m1 of op(a) for block k0..k1.
func (p *product) left(s *scratch, m0, m1, k0, k1 int) (a []float32, aRow, aStep, aTile int) {
	l, k := p.level, k1-k0
	if p.transA { // a tile's rows lie side by side: copy them densely
		aTile = k * l.packStep
		tiles := (m1 - m0 + l.tileRows - 1) / l.tileRows
		a = grow(&s.a, tiles*aTile)
		for i := range tiles {
			from := m0 + i*l.tileRows
			l.packRows(&a[i*aTile], l.packStep, &p.a[k0*p.aRow+from], p.aRow, k, min(l.tileRows, m1-from))
		}
		return a, 1, l.packStep, aTile
	}
	if p.aRow%256 == 0 && m1-m0 >= l.tileRows {
		// Rows a multiple of 1 KiB apart fall into the same few cache sets.
		pitch := k + 16
		a = grow(&s.a, (m1-m0)*pitch)
		for i := range m1 - m0 {
			copy(a[i*pitch:i*pitch+k], p.a[(m0+i)*p.aRow+k0:])
		}
		return a, pitch, 1, l.tileRows * pitch
	}
	return p.a[m0*p.aRow+k0:], p.aRow, 1, l.tileRows * p.aRow
}

// right returns the panel of r's b that starts at column n0, for block k0..k1.
func (p *product) right(s *scratch, r *right, n0, k0, k1 int) []float32 {
	l, k := p.level, k1-k0
	if r.panels != nil {
		return r.panels[n0*p.k+k0*l.tileCols:]
	}
	width := min(l.tileCols, r.n-n0)
	panel := grow(&s.b, k*l.tileCols)
	if r.transB {
		l.packColumns(&panel[0], &r.b[n0*r.bRow+k0], r.bRow, k, width)
	} else {
		l.packRows(&panel[0], l.tileCols, &r.b[k0*r.bRow+n0], r.bRow, k, width)
	}
	return panel
}

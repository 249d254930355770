package cpu

import "itool/stages/policy/kernel"

// matrix is a weight in panels of tileCols output features: panel p holds, for every
// k, the tileCols values W[p·tileCols + j][k]; the last panel is filled with zeros.
// A level with bf16 products has its own panels, see bf16Kernels.
type matrix struct {
	n, k   int
	level  *level
	panels []float32     // (panels, K, tileCols)
	stored kernel.Weight // instead of panels, see stored.go
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
func (d *Device) Pack(w []float32, n, k int) kernel.Matrix {
	m := &matrix{n: n, k: k, level: d.level, panels: aligned(d.level.panels(n) * d.level.panelSize(k))}
	d.Repack(m, w)
	return m
}

// Repack writes w into m's panels.
func (d *Device) Repack(to kernel.Matrix, w []float32) {
	m := d.own(to)
	if m.stored != nil {
		panic("cpu: a kept weight cannot be packed anew")
	}
	need("weight", w, m.n*m.k)
	if m.k > 0 {
		d.spread(span{work: packPanels, n: d.level.panels(m.n), whole: m.n, k: m.k, f: [7][]float32{m.panels, w}}, 4*d.level.panelCols()*m.k)
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

// own returns w as this device packed it.
func (d *Device) own(w kernel.Matrix) *matrix {
	m, ok := w.(*matrix)
	if !ok || m.level != d.level {
		panic("cpu: matrix was packed by another device")
	}
	return m
}

// MatMul: y (T, N) = x (T, K) · Wᵀ.
func (d *Device) MatMul(y, x []float32, w kernel.Matrix, t int, add bool) {
	m := d.own(w)
	need("x", x, t*m.k)
	need("y", y, t*m.n)
	if m.stored != nil {
		d.multiplyStored(y, x, m, t, add)
		return
	}
	d.multiply(product{m: t, n: m.n, k: m.k, alpha: 1, a: x, aRow: m.k, panels: m.panels, c: y, cRow: m.n, add: add})
}

// Gemm: c (M, N) = alpha · op(a) · op(b) + (add ? c : 0).
func (d *Device) Gemm(transA, transB bool, m, n, k int, alpha float32, a, b []float32, add bool, c []float32) {
	need("a", a, m*k)
	need("b", b, k*n)
	need("c", c, m*n)
	p := product{m: m, n: n, k: k, alpha: alpha, a: a, aRow: k, transA: transA, b: b, bRow: n, transB: transB, c: c, cRow: n, add: add}
	if transA {
		p.aRow = m
	}
	if transB {
		p.bRow = k
	}
	d.multiply(p)
}

// product is one matrix product: c (m, n) = alpha · op(a) · b + (add ? c : 0).
// b is either packed panels or a matrix packed on the way.
type product struct {
	m, n, k    int
	alpha      float32
	a          []float32
	aRow       int // floats between stored rows of a
	transA     bool
	panels     []float32     // b in panels of all k, or nil
	stored     kernel.Weight // b as it is stored, packed on the way; or nil
	b          []float32
	bRow       int
	transB     bool
	c          []float32
	cRow       int
	add        bool
	level      *level
	rowParts   int // the grid of parts
	panelParts int
	blocks     []float32 // a in blocks of bf16; nil: parts make them
	packed     []float32 // the memory of blocks
}

const (
	partTiles = 24  // row tiles of a part: their a stays in the second-level cache
	deepest   = 320 // k of one block: a panel of it stays in the first-level cache
)

// multiply cuts p into parts and runs them.
func (d *Device) multiply(p product) {
	if p.m == 0 || p.n == 0 {
		return
	}
	if p.k == 0 {
		p.empty()
		return
	}
	l := d.level
	p.level = l
	panels := l.panels(p.n)
	work := 2 * p.m * p.n * p.k
	p.rowParts = l.rowParts(p.m)
	p.panelParts = 1
	if threads := d.pool.threads(work); threads > 1 {
		// Four parts a thread even out their finish; none below the price of handing it over.
		p.panelParts = max(1, min(panels, 4*threads/p.rowParts, work/smallWork/p.rowParts))
	}
	t := d.products.take()
	packed := t.packed
	*t = p
	if l.bf16 != nil && p.panelParts > 1 { // few rows, that each part would round anew
		blocks, size := (p.m+blockRows-1)/blockRows, bf16Steps(p.k)*stepFloats
		t.blocks = grow(&packed, blocks*size)
		d.pool.run(blocks, p.m*p.k, (*rounding)(t))
	}
	d.pool.run(p.rowParts*p.panelParts, work, t)
	*t = product{packed: packed}
	d.products.put(t)
}

// rowParts cuts m rows.
func (l *level) rowParts(m int) int {
	rows := partTiles * l.tileRows
	if l.bf16 != nil {
		rows = blockParts * blockRows
	}
	return (m + rows - 1) / rows
}

// empty is the product over no k.
func (p *product) empty() {
	if p.add {
		return
	}
	for i := range p.m {
		clear(p.c[i*p.cRow : i*p.cRow+p.n])
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
	tiles, panels := (p.m+l.tileRows-1)/l.tileRows, (p.n+l.tileCols-1)/l.tileCols
	m0, m1 := row*tiles/p.rowParts*l.tileRows, min(p.m, (row+1)*tiles/p.rowParts*l.tileRows)
	p0, p1 := column*panels/p.panelParts, (column+1)*panels/p.panelParts
	step := depth(p.k)
	if p.panels != nil || p.stored != nil {
		step = weightDepth(p.k)
	}
	if p.stored != nil {
		p.partStored(s, m0, m1, p0, p1, step)
		return
	}
	for k0 := 0; k0 < p.k; k0 += step {
		k1 := min(p.k, k0+step)
		a, aRow, aStep, aTile := p.left(s, m0, m1, k0, k1)
		for j := p0; j < p1; j++ {
			n0 := j * l.tileCols
			if p.panels != nil && p.pairs(m0, m1, j, p1) {
				l.blockPair(k1-k0, p.alpha, a, aStep, p.right(s, n0, k0, k1), p.right(s, n0+l.tileCols, k0, k1), p.add || k0 > 0, p.c[m0*p.cRow+n0:])
				j++
				continue
			}
			b := p.right(s, n0, k0, k1)
			l.block(m1-m0, min(l.tileCols, p.n-n0), k1-k0, p.alpha, a, aRow, aStep, aTile, b, l.tileCols, 0, p.add || k0 > 0, p.c[m0*p.cRow+n0:], p.cRow)
		}
	}
}

// pairs tells whether panels j and j + 1 are multiplied with the part's one row
// together.
func (p *product) pairs(m0, m1, j, p1 int) bool {
	return p.level.pair != nil && m1-m0 == 1 && j+1 < p1 && (j+2)*p.level.tileCols <= p.n
}

// depth is the k of one block. It depends on k alone, so every row of every product
// sums in the same order.
func depth(k int) int { return evenly(k, 16) }

// weightDepth is depth of a product with a weight: whole blocks of eight bits.
func weightDepth(k int) int { return evenly(k, kernel.Int8Block) }

// evenly cuts k into blocks of a multiple of unit that are about as large as one another.
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

// right returns the panel of b that starts at column n0, for block k0..k1.
func (p *product) right(s *scratch, n0, k0, k1 int) []float32 {
	l, k := p.level, k1-k0
	if p.panels != nil {
		return p.panels[n0*p.k+k0*l.tileCols:]
	}
	width := min(l.tileCols, p.n-n0)
	panel := grow(&s.b, k*l.tileCols)
	if p.transB {
		l.packColumns(&panel[0], &p.b[n0*p.bRow+k0], p.bRow, k, width)
	} else {
		l.packRows(&panel[0], l.tileCols, &p.b[k0*p.bRow+n0], p.bRow, k, width)
	}
	return panel
}

package cpu

// Products with wrapped weights: GEMM with dequantization on the fly. Weights are converted to float32 panel by
// panel, or slab by slab, within the product; with a single row and eight bits, the conversion is fused into
// the dot products (GEMV).

import (
	"math"
	"runtime"

	"itool/stages/policy/kernel"
)

// slabFloats is the size of a slab of a wrapped weight in float32. It fits into the caches, so that only
// the weight's own bytes are read from memory. The results have the same bits as with a packed weight.
const slabFloats = 1 << 19 // 2 MiB

// widening is the working memory of one product with a wrapped weight. It is also a task, of which each
// part converts some rows to float32.
type widening struct {
	weight kernel.Weight
	level  *level
	n, k   int
	first  int       // row at which the slab begins
	rows   int       // of the slab
	packed bool      // into panels, not as rows
	slab   []float32 // panels of rows, or rows (rows, K)
}

// Wrap retains w.
func (d *Device) Wrap(w kernel.Weight) kernel.Matrix {
	n, k := w.Shape()
	return &matrix{n: n, k: k, level: d.level, wrapped: w}
}

// widen fills the slab with rows of the weight, from row first on.
func (d *Device) widen(w *widening, first, rows int, packed bool) []float32 {
	w.level, w.first, w.rows, w.packed = d.level, first, rows, packed
	cols := d.level.panelCols()
	parts := (rows + cols - 1) / cols
	size := rows * w.k
	if packed {
		size = parts * d.level.panelSize(w.k)
	}
	w.slab = grow(&w.slab, size)
	d.pool.run(parts, 4*rows*w.k, w)
	return w.slab
}

func (w *widening) part(i int, s *scratch) {
	l := w.level
	cols := l.panelCols()
	from := i * cols
	to := min(w.rows, from+cols)
	if !w.packed {
		l.rows(w.slab[from*w.k:to*w.k], w.weight, w.first+from, w.first+to)
		return
	}
	panel := w.slab[i*l.panelSize(w.k) : (i+1)*l.panelSize(w.k)]
	if dense, ok := w.weight.(*kernel.Dense); ok {
		l.packPanel(panel, dense.Data[(w.first+from)*w.k:], w.k, to-from)
		runtime.KeepAlive(dense)
		return
	}
	if l.packs(w.weight) {
		l.packWrapped(s, panel, w.weight, w.first+from, 0, w.k, to-from)
		return
	}
	rows := grow(&s.a, cols*w.k)
	l.rows(rows, w.weight, w.first+from, w.first+to)
	l.packPanel(panel, rows, w.k, to-from)
}

// rows is Weight.Rows, with the instructions of the level for the types that it supports.
func (l *level) rows(dst []float32, weight kernel.Weight, from, to int) {
	_, k := weight.Shape()
	switch w := weight.(type) {
	case *kernel.BF16:
		if n := (to - from) * k; l.widen != nil && n >= 16 {
			src := w.Data[2*from*k : 2*to*k]
			l.widen(&dst[0], &src[0], n/16)
			spreadBF16(dst[n&^15:], 1, src[2*(n&^15):])
			runtime.KeepAlive(w)
			return
		}
	case *kernel.F16:
		if n := (to - from) * k; l.widenF16 != nil && n >= 16 {
			src := w.Data[2*from*k : 2*to*k]
			l.widenF16(&dst[0], &src[0], n/16)
			spreadF16(dst[n&^15:], 1, src[2*(n&^15):])
			runtime.KeepAlive(w)
			return
		}
	case kernel.Quantized:
		if l.lookup == nil || k%64 != 0 {
			break
		}
		var table [16]float32
		for b := from * k / 64; b < to*k/64; b++ {
			codes := w.Block(b, &table)
			l.lookup(&dst[b*64-from*k], &codes[0], &table[0], 4)
		}
		runtime.KeepAlive(w)
		return
	}
	weight.Rows(dst, from, to)
}

// packs tells whether packWrapped supports w.
func (l *level) packs(w kernel.Weight) bool {
	switch w.(type) {
	case *kernel.BF16, *kernel.F16, *kernel.Dense:
		return l.bf16 == nil
	case *kernel.Int8:
		return l.widenInt8 != nil
	}
	return false
}

// packWrapped packs values k0..k0+k−1 of rows row.. of a weight as the columns of a panel,
// zeros
// behind width. row is the first of a panel, k0 the first of a block of depth.
func (l *level) packWrapped(s *scratch, dst []float32, w kernel.Weight, row, k0, k, width int) {
	switch w := w.(type) {
	case *kernel.BF16:
		halves{w.Data, w.K, l.turnBF16, spreadBF16}.pack(l, dst, row, k0, k, width)
	case *kernel.F16:
		halves{w.Data, w.K, l.turnF16, spreadF16}.pack(l, dst, row, k0, k, width)
	case *kernel.Dense:
		l.packColumns(&dst[0], &w.Data[row*w.K+k0], w.K, k, width)
	case *kernel.Int8:
		if l.bf16 == nil {
			l.packInt8(dst, w, row, k0, k)
			return
		}
		wide := grow(&s.c, k*blockRows)
		l.packInt8(wide, w, row, k0, k)
		l.bf16.pack(dst, wide, blockRows, false, true, width, k)
	}
	runtime.KeepAlive(w)
}

// packInt8 packs all columns of a panel: there are zeros behind the last row.
func (l *level) packInt8(dst []float32, w *kernel.Int8, row, k0, k int) {
	cols := l.panelCols()
	for j := 0; j < cols; j += kernel.Int8Rows {
		codes, scales, ok := int8From(w, row+j, k0)
		if !ok {
			for p := range k {
				clear(dst[p*cols+j : p*cols+j+kernel.Int8Rows])
			}
			continue
		}
		l.widenInt8(&dst[j], cols, codes, scales, k)
	}
	runtime.KeepAlive(w)
}

// int8From returns where the codes and scales of sixteen rows begin, from value k0 on; ok is false
// behind the last row.
func int8From(w *kernel.Int8, row, k0 int) (codes *byte, scales *uint16, ok bool) {
	g := row / kernel.Int8Rows
	if g*kernel.Int8Rows >= w.N {
		return nil, nil, false
	}
	blocks := (w.K + kernel.Int8Block - 1) / kernel.Int8Block
	return &w.Codes[(g*w.K+k0)*kernel.Int8Rows], &w.Scales[(g*blocks+k0/kernel.Int8Block)*kernel.Int8Rows], true
}

// halves is a weight with 16 bits per value: rows of k values. turn packs eight rows as columns, spread
// one row, with its values step apart.
type halves struct {
	data   []byte
	k      int
	turn   func(dst *float32, dstStep int, src *byte, srcRow, eights, ahead int) // nil: none
	spread func(dst []float32, step int, src []byte)
}

// pack packs values k0..k0+k−1 of rows row.. as the columns of a panel, zeros behind width.
func (h halves) pack(l *level, dst []float32, row, k0, k, width int) {
	cols := l.tileCols
	group := min(8, cols)
	for j := 0; j < cols; j += group {
		done := 0
		src := h.data[2*((row+min(j, width-1))*h.k+k0):]
		if h.turn != nil && j+group <= width && k >= 8 {
			// Prefetch later rows while these are packed.
			ahead := 2*h.k*aheadRows(h.k) + k0/8*128 - 2*k0
			h.turn(&dst[j], cols, &src[0], h.k, k/8, ahead)
			done = k &^ 7
		}
		for i := 0; done < k && i < group; i++ {
			if to := dst[done*cols+j+i:]; j+i < width {
				h.spread(to, cols, src[2*(i*h.k+done):2*(i*h.k+k)])
			} else {
				for p := range k - done {
					to[p*cols] = 0
				}
			}
		}
	}
}

func spreadBF16(dst []float32, step int, src []byte) {
	for p := range len(src) / 2 {
		dst[p*step] = math.Float32frombits(uint32(src[2*p])<<16 | uint32(src[2*p+1])<<24)
	}
}

func spreadF16(dst []float32, step int, src []byte) {
	for p := range len(src) / 2 {
		dst[p*step] = kernel.FromHalf(uint16(src[2*p]) | uint16(src[2*p+1])<<8)
	}
}

// aheadRows is the distance of prefetching in rows: 64 KiB, a multiple of eight.
func aheadRows(k int) int { return max(8, (64<<10)/(2*k)&^7) }

// partWrapped is part if some weights are wrapped. The outer loop is over panels and the inner one over
// blocks of k, so that the bytes of a weight are read from memory in their order.
func (p *product) partWrapped(s *scratch, m0, m1, p0, p1, step int) {
	l := p.level
	a, aRow, aStep, aTile := p.left(s, m0, m1, 0, p.k)
	for i := range p.rights {
		r := &p.rights[i]
		eight, _ := r.wrapped.(*kernel.Int8)
		for j, to := r.between(l, p0, p1); j < to; j++ {
			n0 := j * l.tileCols
			width := min(l.tileCols, r.n-n0)
			row := eight != nil && m1-m0 == 1 && width == l.tileCols
			pair := !row && r.pairs(l, m1-m0, j, to)
			for k0 := 0; k0 < p.k; k0 += step {
				k, add, c := min(p.k-k0, step), r.add || k0 > 0, r.c[m0*r.cRow+n0:]
				if row {
					l.rowOf(eight, n0, k0, k, a[k0:], add, c)
					continue
				}
				b := p.rightWrapped(&s.b, s, r, n0, k0, k, width)
				if pair {
					b2 := p.rightWrapped(&s.c, s, r, n0+l.tileCols, k0, k, l.tileCols)
					l.blockPair(k, p.alpha, a[k0:], aStep, b, b2, add, c)
					continue
				}
				l.block(m1-m0, width, k, p.alpha, a[k0:], aRow, aStep, aTile, b, l.tileCols, 0, add, c, r.cRow)
			}
			if pair {
				j++
			}
		}
	}
}

// rightWrapped is right with a weight that may be wrapped, into buf.
func (p *product) rightWrapped(buf *[]float32, s *scratch, r *right, n0, k0, k, width int) []float32 {
	if r.wrapped == nil {
		return p.right(s, r, n0, k0, k0+k)
	}
	b := grow(buf, k*p.level.tileCols)
	p.level.packWrapped(s, b, r.wrapped, n0, k0, k, width)
	return b
}

// rowOf is block for one row and one panel of w, from column n0 on.
//
//go:noinline
func (l *level) rowOf(w *kernel.Int8, n0, k0, k int, a []float32, add bool, c []float32) {
	accumulate := 0
	if add {
		accumulate = 1
	}
	for j := 0; j < l.tileCols; j += kernel.Int8Rows {
		codes, scales, _ := int8From(w, n0+j, k0)
		l.rowInt8(k, &a[0], codes, scales, &c[j], accumulate)
	}
}

// packsOnce tells whether a product of t rows packs a wrapped weight panel by panel: with few rows each
// panel is needed only once, so it need not be stored.
func (d *Device) packsOnce(m *matrix, t int) bool {
	return d.level.packs(m.wrapped) && d.level.bf16 == nil && d.level.rowParts(t) <= 1 && m.k > 0
}

// multiplyWrapped is MatMul with a wrapped weight; x may be rounded already.
func (d *Device) multiplyWrapped(y, x []float32, m *matrix, t int, add bool, rounded []float32) {
	if t == 0 || m.n == 0 {
		return
	}
	p := product{m: t, k: m.k, alpha: 1, a: x, aRow: m.k, blocks: rounded}
	if d.packsOnce(m, t) {
		d.multiply(p, m.right(y, add))
		return
	}
	if rounded == nil { // once for all slabs
		r := d.rounded(p)
		defer d.release(r)
		p.blocks = r.blocks
	}
	w := d.takeWidening(m.wrapped)
	defer d.putWidening(w)
	step := m.slabRows()
	for n0 := 0; n0 < m.n; n0 += step {
		r := right{n: min(step, m.n-n0), c: y[n0:], cRow: m.n, add: add}
		if m.k > 0 {
			r.panels = d.widen(w, n0, r.n, true)
		}
		d.multiply(p, r)
	}
}

// slabRows is a multiple of a panel's columns.
func (m *matrix) slabRows() int {
	cols := m.level.panelCols()
	return max(1, slabFloats/max(1, m.k)/cols) * cols
}

// MatMulRows: dx (T, K) = dy (T, N) · W, in slabs of as many rows as one block of a
// product has, so that the sums over N are those of Gemm.
func (d *Device) MatMulRows(dx, dy kernel.Floats, w kernel.Matrix, t int, add bool) {
	m := d.own(w)
	if m.wrapped == nil {
		panic("cpu: a packed weight is not in rows")
	}
	need("dx", dx.Host, t*m.k)
	need("dy", dy.Host, t*m.n)
	d.multiplyRows(dx.Host, dy.Host, m.wrapped, t, add)
}

func (d *Device) multiplyRows(dx, dy []float32, weight kernel.Weight, t int, add bool) {
	n, k := weight.Shape()
	if t == 0 || k == 0 {
		return
	}
	if n == 0 {
		d.multiply(product{m: t}, right{n: k, c: dx, cRow: k, add: add})
		return
	}
	w := d.takeWidening(weight)
	defer d.putWidening(w)
	step := depth(n)
	for n0 := 0; n0 < n; n0 += step {
		rows := min(step, n-n0)
		b := d.widen(w, n0, rows, false)
		d.multiply(product{m: t, k: rows, alpha: 1, a: dy[n0:], aRow: n},
			right{n: k, b: b, bRow: k, c: dx, cRow: k, add: add || n0 > 0})
	}
}

func (d *Device) takeWidening(w kernel.Weight) *widening {
	t := d.widenings.take()
	t.weight = w
	t.n, t.k = w.Shape()
	return t
}

func (d *Device) putWidening(w *widening) {
	w.weight = nil
	d.widenings.put(w)
}

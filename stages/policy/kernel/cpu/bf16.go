package cpu

// Matrix products in bf16 with float32 sums, for a tile unit such as Intel AMX and for AVX512_BF16: GEMM with both
// factors packed into tiles of 16 × 32 values, 32 × 32 results at a time.

// bf16Kernels are the primitives of a level that multiplies in bf16. Both factors of every matrix
// product, also in attention, are rounded to bf16, ties to even; the sums are float32. Elementwise
// operations stay in float32, and so does AttendPaths.
//
// Rounded matrices are kept in blocks of 32 rows (of the right factor: columns). A
// block has steps of 32 values of k, stepFloats each: two tiles, of the block's first
// and last 16 rows. A tile is 16 rows of 16 words, a word two values of neighbouring
// k, the left in its low half. The left factor's tiles have a row per row and a word
// per pair of k, the right factor's a row per pair and a word per column.
type bf16Kernels struct {
	// row rounds k values of one row into its place in successive steps, zeros behind.
	row func(dst, src *float32, k int)
	// pairs rounds k rows of width values into tiles of a row per pair; columns behind
	// width get zeros, pairs behind k are left alone.
	pairs func(dst, src *float32, srcRow, k, width int)
	// turn transposes n tiles in place.
	turn func(tiles *float32, n int)
	// tiles multiplies a block of a with panels of b, bPanel floats apart:
	// acc (panels, 32, 32) = a · b + (add ? acc : 0). Only the first rows of the 32 are wanted.
	tiles func(a, b, acc *float32, steps, panels, bPanel, add, rows int)
	// out: c (rows, cols) = alpha · acc (32, 32) + (add ? c : 0).
	out func(c *float32, cRow int, acc *float32, rows, cols int, alpha float32, add int)
}

const (
	blockRows   = 32
	stepFloats  = blockRows * blockRows / 2 // 32×32 bf16 values, counted in float32
	blockParts  = 8                         // blocks of rows of a part
	groupPanels = 8                         // panels that one call of tiles visits: microseconds
	deepSteps   = 8                         // steps of one call: a block of them stays in the first-level cache
)

// bf16Steps of k values, the last one filled with zeros.
func bf16Steps(k int) int { return (k + blockRows - 1) / blockRows }

// pack rounds up to 32 rows of k values into a block: value p of row j is x[j·stride + p],
// or x[p·stride + j] unless rowMajor. right says which factor it is.
func (b *bf16Kernels) pack(dst, x []float32, stride int, rowMajor, right bool, rows, k int) {
	steps := bf16Steps(k)
	if rowMajor {
		for j := range blockRows {
			at := j * 16 // the second tile follows the first
			if j < rows {
				b.row(&dst[at], &x[j*stride], k)
				continue
			}
			for s := range steps {
				clear(dst[s*stepFloats+at : s*stepFloats+at+16])
			}
		}
	} else {
		if k%blockRows != 0 {
			clear(dst[(steps-1)*stepFloats : steps*stepFloats])
		}
		b.pairs(&dst[0], &x[0], stride, k, rows)
	}
	if rowMajor == right {
		b.turn(&dst[0], 2*steps)
	}
}

// partBF16 computes one cell of the grid. Every result sums its steps in order, in
// tiles that begin at the same k for every row and column.
func (p *product) partBF16(i int, s *scratch) {
	row, column := i/p.panelParts, i%p.panelParts
	blocks := (p.m + blockRows - 1) / blockRows
	b0, b1 := row*blocks/p.rowParts, (row+1)*blocks/p.rowParts
	p0, p1 := column*p.panels/p.panelParts, (column+1)*p.panels/p.panelParts
	size := bf16Steps(p.k) * stepFloats
	var a []float32
	if p.blocks != nil {
		a = p.blocks[b0*size:]
	} else {
		a = grow(&s.a, (b1-b0)*size)
		for b := b0; b < b1; b++ {
			p.leftBF16(a[(b-b0)*size:], b)
		}
	}
	for i := range p.rights {
		r := &p.rights[i]
		for j, to := r.between(p.level, p0, p1); j < to; j += groupPanels {
			group := min(groupPanels, to-j)
			right := p.rightBF16(s, r, j, group, size)
			for b := b0; b < b1; b++ {
				p.blockBF16(s, r, a[(b-b0)*size:], right, b*blockRows, j, group)
			}
		}
	}
}

// leftBF16 rounds block b of a.
func (p *product) leftBF16(dst []float32, b int) {
	at := b * blockRows * p.aRow
	if p.transA {
		at = b * blockRows
	}
	p.level.bf16.pack(dst, p.a[at:], p.aRow, !p.transA, false, min(blockRows, p.m-b*blockRows), p.k)
}

// round rounds all of a beforehand.
func (p *product) round(d *Device) {
	blocks := (p.m + blockRows - 1) / blockRows
	p.blocks = grow(&p.packed, blocks*bf16Steps(p.k)*stepFloats)
	if blocks > 0 && p.k > 0 {
		d.pool.run(blocks, p.m*p.k, (*rounding)(p))
	}
}

// rounded copies p and, at a level that rounds, rounds its a for later products. release must follow.
func (d *Device) rounded(p product) *product {
	r := d.product(p)
	if d.level.bf16 != nil {
		r.round(d)
	}
	return r
}

// rounding is a product whose blocks of a are rounded beforehand; a part is one block.
type rounding product

func (r *rounding) part(i int, _ *scratch) {
	p := (*product)(r)
	p.leftBF16(p.blocks[i*bf16Steps(p.k)*stepFloats:], i)
}

// rightBF16 returns panels j.. of r's b, packed.
func (p *product) rightBF16(s *scratch, r *right, j, panels, size int) []float32 {
	if r.panels != nil {
		return r.panels[j*size : (j+panels)*size]
	}
	b := grow(&s.b, panels*size)
	for i := range panels {
		at := (j + i) * blockRows
		width := min(blockRows, r.n-at)
		if r.transB {
			at *= r.bRow
		}
		p.level.bf16.pack(b[i*size:], r.b[at:], r.bRow, r.transB, true, width, p.k)
	}
	return b
}

// blockBF16 multiplies one block of rows, from row m0 on, with a group of panels. It
// is never inlined: in its prologue the garbage collector can stop the thread.
//
//go:noinline
func (p *product) blockBF16(s *scratch, r *right, a, b []float32, m0, panel, panels int) {
	steps, rows := bf16Steps(p.k), min(blockRows, p.m-m0)
	acc := grow(&s.c, groupPanels*blockRows*blockRows)
	for s0, more := 0, 0; s0 < steps; s0, more = s0+deepSteps, 1 {
		p.level.bf16.tiles(&a[s0*stepFloats], &b[s0*stepFloats], &acc[0], min(deepSteps, steps-s0), panels,
			steps*stepFloats, more, rows)
	}
	add := 0
	if r.add {
		add = 1
	}
	for i := range panels {
		n0 := (panel + i) * blockRows
		p.level.bf16.out(&r.c[m0*r.cRow+n0], r.cRow, &acc[i*blockRows*blockRows], rows,
			min(blockRows, r.n-n0), p.alpha, add)
	}
}

// timesBF16 is heads.times in bf16: a block of rows of left is rounded, and multiplied
// with all panels. It is never inlined: in its prologue the garbage collector can stop the
// thread.
//
//go:noinline
func (l *level) timesBF16(s *scratch, m, n, k int, left []float32, row, step int,
	right factor, add bool, c []float32, cRow int) {
	steps, rowMajor, stride, accumulate := bf16Steps(k), step == 1, row, 0
	if !rowMajor {
		stride = step
	}
	if add {
		accumulate = 1
	}
	a, acc := grow(&s.left, steps*stepFloats), grow(&s.acc, groupPanels*blockRows*blockRows)
	for i := 0; i < m; i += blockRows {
		rows := min(blockRows, m-i)
		l.bf16.pack(a, left[i*row:], stride, rowMajor, false, rows, k)
		for j := 0; j < n; j += groupPanels * blockRows {
			panels := min(groupPanels, (n-j+blockRows-1)/blockRows)
			b := right.b[j/blockRows*right.panel:]
			for s0, more := 0, 0; s0 < steps; s0, more = s0+deepSteps, 1 {
				l.bf16.tiles(&a[s0*stepFloats], &b[s0*stepFloats], &acc[0], min(deepSteps, steps-s0), panels,
					right.panel, more, rows)
			}
			for p := range panels {
				at := j + p*blockRows
				l.bf16.out(&c[i*cRow+at], cRow, &acc[p*blockRows*blockRows],
					rows, min(blockRows, n-at), 1, accumulate)
			}
		}
	}
}

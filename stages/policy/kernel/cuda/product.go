package cuda

import (
	"fmt"
	"maps"
	"slices"
)

// tile is the size of the tiles of a product's kernel.
type tile struct {
	name         string
	m, n, k      int // of a block's step
	stages       int // of the pipeline
	warpM, warpN int // of a warp
}

// tiles are in kernels/product.cu. A row has the same bits in each of them.
var (
	few  = tile{"few", 16, 32, 128, 4, 16, 16}
	some = tile{"some", 64, 64, 32, 4, 32, 32}
	many = tile{"many", 128, 128, 32, 3, 64, 32}
)

// layout is how B is stored, in kernels/product.cuh; the sizes are the bytes of a value in a stage and of one
// that is widened.
type layout struct {
	name         string
	tiles        []tile
	stored, wide float64
}

var (
	all         = []tile{few, some, many}
	withoutFew  = []tile{some, many}
	bf16NK      = layout{"bf16_nk", all, 2, 0}
	bf16KN      = layout{"bf16_kn", withoutFew, 2, 0}
	bf16TransNK = layout{"bf16_t_nk", []tile{some}, 2, 0}
	bf16TransKN = layout{"bf16_t_kn", withoutFew, 2, 0}
	layouts     = []layout{bf16NK, bf16KN, bf16TransNK, bf16TransKN, int8NK, int8KN, nf4NK, nf4KN}
	int8NK      = layout{"int8_nk", all, 1, 2}
	int8KN      = layout{"int8_kn", withoutFew, 1, 2}
	nf4NK       = layout{"nf4_nk", all, 0.5, 2}
	nf4KN       = layout{"nf4_kn", withoutFew, 0.5, 2}
)

// productNames are the names of kernels by layout and tile: a launch must not make a string.
var productNames = func() map[[2]string]string {
	names := map[[2]string]string{}
	for _, l := range layouts {
		for _, t := range l.tiles {
			names[[2]string{l.name, t.name}] = l.name + "_" + t.name
		}
	}
	return names
}()

func productKernels() []string { return slices.Sorted(maps.Values(productNames)) }

// shared is the dynamic shared memory of a block.
func (t tile) shared(l layout) int {
	stage := 2*t.m*t.k + int(l.stored*float64(t.n*t.k))
	return t.stages*stage + int(l.wide*float64(t.n*t.k))
}

func (t tile) block() Dim { return Dim{t.m / t.warpM * (t.n / t.warpN) * 32, 1, 1} }

// choose takes the smallest tile that has all rows, or the largest: tiles of many rows read a weight less
// often, but those of few rows compute less for nothing.
func (l layout) choose(m int) tile {
	for _, t := range l.tiles {
		if m <= t.m {
			return t
		}
	}
	return l.tiles[len(l.tiles)-1]
}

// product is one launch; a and b are in bf16, or b is in codes.
type product struct {
	layout
	y, a, b, scales Address
	m, n, k         int
	lda, ldb        int // elements of a row
	add, half       bool
	alpha           float32
}

func (d *Launcher) product(p product) error {
	if p.m == 0 || p.n == 0 {
		return nil
	}
	if done, err := d.byLibrary(p); done || err != nil {
		return err
	}
	t := p.choose(p.m)
	grid := Dim{ceil(p.m, t.m), ceil(p.n, t.n), 1}
	return d.launchLocked(productNames[[2]string{p.name, t.name}], grid, t.block(), t.shared(p.layout), uint64(p.y),
		uint64(p.a), uint64(p.b), uint64(p.scales), Int(p.m), Int(p.n), Int(p.k), Int(p.lda), Int(p.ldb), flag(p.add),
		flag(p.half), Float(p.alpha))
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// Out is one of several products of MatMuls: Y (T, N) = x · Wᵀ, or += … when Add is set.
type Out struct {
	Y   Address
	W   Weight
	Add bool
}

// MatMuls multiplies one x (T, K) float32 with several weights of the same K. x is rounded to bf16 once.
func (d *Launcher) MatMuls(outs []Out, x Address, t int) error {
	if len(outs) == 0 {
		return nil
	}
	k := outs[0].W.K
	d.mu.Lock()
	defer d.mu.Unlock()
	rounded, err := d.rounded(x, t, k, 0)
	if err != nil {
		return err
	}
	for _, o := range outs {
		if o.W.K != k {
			return fmt.Errorf("cuda: products of one x with weights of %d and %d columns", k, o.W.K)
		}
		if err := d.product(forward(o, rounded, t)); err != nil {
			return err
		}
	}
	return nil
}

// forward is y = x · Wᵀ.
func forward(o Out, x Address, t int) product {
	w := o.W
	l := map[Type]layout{BF16: bf16NK, Int8: int8NK, NF4: nf4NK}[w.Type]
	return product{layout: l, y: o.Y, a: x, b: w.Data, scales: w.Scales, m: t, n: w.N, k: w.K, lda: Padded(w.K),
		ldb: Padded(w.K), add: o.Add, half: w.Half, alpha: 1}
}

// MatMul is MatMuls with one weight: y (T, N) = x (T, K) · Wᵀ, or y += … when add is set.
func (d *Launcher) MatMul(y, x Address, w Weight, t int, add bool) error {
	return d.MatMuls([]Out{{y, w, add}}, x, t)
}

// MatMulRows: dx (T, K) = dy (T, N) · W, or dx += … when add is set: the gradient of MatMul.
func (d *Launcher) MatMulRows(dx, dy Address, w Weight, t int, add bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	rounded, err := d.rounded(dy, t, w.N, 0)
	if err != nil {
		return err
	}
	return d.product(rowsTimes(dx, rounded, w, t, add))
}

// Gemm is that of kernel.Device: c (M, N) = alpha · op(a) · op(b), or += …; all float32, factors are rounded
// to bf16.
func (d *Launcher) Gemm(transA, transB bool, m, n, k int, alpha float32, a, b Address, add bool, c Address) error {
	rowsA, columnsA, rowsB, columnsB := m, k, k, n
	l := bf16KN
	switch {
	case transA && transB:
		l = bf16TransNK
	case transA:
		l = bf16TransKN
	case transB:
		l = bf16NK
	}
	if transA {
		rowsA, columnsA = k, m
	}
	if transB {
		rowsB, columnsB = n, k
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	sizeB := int64(2 * rowsB * Padded(columnsB))
	sizeB += -sizeB & 255
	roundedA, err := d.rounded(a, rowsA, columnsA, sizeB) // first: it may move the scratch memory
	if err != nil {
		return err
	}
	roundedB := d.scratch
	if err := d.toBF16(roundedB, b, rowsB, columnsB); err != nil {
		return err
	}
	return d.product(product{layout: l, y: c, a: roundedA, b: roundedB, m: m, n: n, k: k, lda: Padded(columnsA),
		ldb: Padded(columnsB), add: add, alpha: alpha})
}

// rounded rounds x (T, K) to bf16 into scratch memory, behind its first offset bytes. The caller holds mu.
func (d *Launcher) rounded(x Address, t, k int, offset int64) (Address, error) {
	scratch, err := d.need(offset + int64(max(16, 2*t*Padded(k))))
	if err != nil {
		return 0, err
	}
	a := scratch + Address(offset)
	return a, d.toBF16(a, x, t, k)
}

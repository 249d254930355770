package cpu

// level is the primitives of an instruction set. Slices of one call have equal length unless the comment
// says otherwise, and may be empty. The order of a sum depends only on the length.
type level struct {
	name     string
	note     string       // why it must be chosen by name; "" = it may be the default
	permit   func() error // gets a permission from the system; nil = none is needed
	bf16     *bf16Kernels // for matrix products; nil = tiles, in float32
	tileRows int          // most rows of a tile
	tileCols int          // columns of a tile, and of a packed panel
	lanes    int          // pathScores and pathMix need a D that is a multiple of it

	// tiles[r] computes c (r, cols) = alpha·a (r, k)·b (k, tileCols) + (add ? c : 0).
	// Strides are in floats; cols ≤ tileCols columns are written, all of b is read.
	tiles []tileFunc

	// pair is tiles[1] with two whole panels and c (2·tileCols); nil: two calls of tiles[1] do it.
	pair func(k int, a *float32, aStep int, b, b2 *float32, c *float32, alpha float32, add int)

	// packRows copies rows of width floats to dst, dstStep apart, and fills each with 0 up to dstStep,
	// which is tileCols or packStep (at least tileRows). packColumns transposes: column j of
	// dst (k, tileCols) is row j of src for j < width, and 0 behind.
	packStep    int // floats between the k steps of a packed row tile
	packRows    func(dst *float32, dstStep int, src *float32, srcStep, rows, width int)
	packColumns func(dst *float32, src *float32, srcRow, k, width int)

	// turnBF16 and turnF16 pack eight columns as packColumns does, from bf16 and from IEEE
	// halves; nil if plain Go does it.
	turnBF16, turnF16 func(dst *float32, dstStep int, src *byte, srcRow, eights, ahead int)
	// widen and widenF16 convert 16·sixteens values of bf16 and of halves. lookup writes, for every
	// byte, the table's (16) value for its high half, then for its low half. nil if plain Go does it.
	widen, widenF16 func(dst *float32, src *byte, sixteens int)
	lookup          func(dst *float32, codes *byte, table *float32, eights int)
	// widenInt8 converts k steps of sixteen interleaved rows of a kernel.Int8; the steps of dst are
	// dstStep floats apart. rowInt8 multiplies k values of a with sixteen such rows:
	// c (16) = Σ a·b + (add ? c : 0). nil if plain Go does it; they need tileCols 16 or 32.
	widenInt8 func(dst *float32, dstStep int, codes *byte, scales *uint16, k int)
	rowInt8   func(k int, a *float32, codes *byte, scales *uint16, c *float32, add int)

	exp         func(x []float32, scale, bias float32) float32 // x = e^(scale·x − bias); Σ x
	max         func(x []float32) float32                      // −MaxFloat32 if empty
	dot         func(a, b []float32) float32                   // Σ a·b
	dot3        func(a, b, c []float32) float32                // Σ a·b·c
	scale       func(x []float32, a float32)                   // x = a·x
	add         func(y, x []float32)                           // y += x
	norm        func(y, x, w []float32, a float32)             // y = a·x·w
	normGrad    func(dx, dy, w, x []float32, a, c float32)     // dx += a·dy·w − c·x
	mulAdd      func(y, p, q []float32, a float32)             // y += a·p·q
	softmaxGrad func(dp, p []float32, delta, scale float32)    // dp = p·(dp − delta)·scale
	silu        func(y, gate, up []float32)                    // y = gate·σ(gate)·up
	siluGrad    func(dGate, dUp, dy, gate, up []float32)       // its gradient
	rope        func(a, b, cos, sin []float32, sign float32)   // (a, b) turned by the angle, sign −1 turns back
	adamw       func(w, m, v, g []float32, b1, r1, b2, r2, gradScale, rate, decay, inverseC1, inverseC2, eps float32)
	sumSquares  func(x []float32) float64 // Σ x²; len(x) a multiple of 16

	// pathScores: scores[j] = q · (the row of k at byte path[j]). pathScores2 does it for two rows of q,
	// one behind the other, with the scores step floats apart; nil: two calls of pathScores do it.
	// pathMix: out = Σ p[j] · (the row of v at byte path[j]).
	pathScores  func(scores, q, k *float32, path *int64, fours, d int)
	pathScores2 func(scores *float32, step int, q, k *float32, path *int64, fours, d int)
	pathMix     func(out, p, v *float32, path *int64, fours, d int)
}

type tileFunc func(k int, a *float32, aRow, aStep int, b *float32, bStep int,
	c *float32, cRow, cols int, alpha float32, add int)

// block multiplies any m and n with tiles:
// c (m, n) = alpha · a (m, k) · b (k, n) + (add ? c : 0).
// aTile and bPanel are the distances between successive row tiles of a and column
// panels of b. It is never inlined: in its prologue the garbage collector can stop a
// thread that otherwise stays in assembly.
//
//go:noinline
func (l *level) block(m, n, k int, alpha float32, a []float32, aRow, aStep, aTile int, b []float32, bStep, bPanel int,
	add bool, c []float32, cRow int) {
	accumulate := 0
	if add {
		accumulate = 1
	}
	for j := 0; j < n; j += l.tileCols {
		panel := &b[j/l.tileCols*bPanel]
		cols := min(l.tileCols, n-j)
		for i := 0; i < m; i += l.tileRows {
			rows := min(l.tileRows, m-i)
			l.tiles[rows](k, &a[i/l.tileRows*aTile], aRow, aStep, panel, bStep, &c[i*cRow+j], cRow, cols,
				alpha, accumulate)
		}
	}
}

// blockPair is block for one row and two whole panels (k, tileCols).
//
//go:noinline
func (l *level) blockPair(k int, alpha float32, a []float32, aStep int, b, b2 []float32, add bool, c []float32) {
	accumulate := 0
	if add {
		accumulate = 1
	}
	l.pair(k, &a[0], aStep, &b[0], &b2[0], &c[0], alpha, accumulate)
}

// padded rounds columns up to whole panels.
func (l *level) padded(n int) int { return (n + l.tileCols - 1) / l.tileCols * l.tileCols }

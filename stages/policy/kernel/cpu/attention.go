package cpu

import "math"

// heads is what both directions of attention share: the packed segments, and each
// group's keys (and, where needed, values) in panels.
//
// A block of query rows is multiplied with all the keys it may see, so its scores
// are (rows, keys so far), never T × T. A row's result depends on the rows before
// it in its segment only, always taken in the same order.
type heads struct {
	level   *level
	q, k, v []float32
	cu      []int32
	h, g, d int
	scale   float32 // 1/√D
}

func (d *Device) heads(q, k, v []float32, cu []int32, h, g, dim int) heads {
	rows := 0
	if len(cu) > 0 {
		rows = int(cu[len(cu)-1])
	}
	need("q", q, rows*h*dim)
	need("k", k, rows*g*dim)
	need("v", v, rows*g*dim)
	return heads{level: d.level, q: q, k: k, v: v, cu: cu, h: h, g: g, d: dim, scale: float32(1 / math.Sqrt(float64(dim)))}
}

// work is the arithmetic of one product over all visible pairs.
func (a *heads) work() int {
	var pairs int
	for s := 0; s+1 < len(a.cu); s++ {
		n := int(a.cu[s+1] - a.cu[s])
		pairs += n * n / 2
	}
	return 2 * pairs * a.h * a.d
}

// transpose packs one group's rows first..last−1 of x as columns: the right side
// of scores = q·kᵀ. Panels are D steps deep.
func (a *heads) transpose(buf *[]float32, x []float32, group, first, last int) []float32 {
	l := a.level
	out := grow(buf, l.padded(last-first)*a.d)
	for j := first; j < last; j += l.tileCols {
		l.packColumns(&out[(j-first)*a.d], &x[(j*a.g+group)*a.d], a.g*a.d, a.d, min(l.tileCols, last-j))
	}
	return out
}

// rowsOf makes rows of D values, step floats apart, the right side of a product over
// rows: as they lie if D fills whole tiles, else copied into panels.
func (a *heads) rowsOf(buf *[]float32, x []float32, step, rows int) (b []float32, bStep, bPanel int) {
	l := a.level
	if a.d%l.tileCols == 0 {
		return x, step, l.tileCols
	}
	out := grow(buf, rows*l.padded(a.d))
	for c := 0; c < a.d; c += l.tileCols {
		l.packRows(&out[rows*c], l.tileCols, &x[c], step, rows, min(l.tileCols, a.d-c))
	}
	return out, l.tileCols, rows * l.tileCols
}

// forward is one call of Attention; a part is one head of one segment.
type forward struct {
	heads
	out, lse []float32
}

// Attention is causal self-attention over packed segments.
func (d *Device) Attention(out, lse, q, k, v []float32, cu []int32, h, g, dim int) {
	t := d.forwards.take()
	*t = forward{heads: d.heads(q, k, v, cu, h, g, dim), out: out, lse: lse}
	if segments := len(cu) - 1; segments > 0 {
		need("out", out, int(cu[segments])*h*dim)
		need("lse", lse, int(cu[segments])*h)
		d.pool.run(segments*h, 2*t.work(), t)
	}
	*t = forward{}
	d.forwards.put(t)
}

func (a *forward) part(i int, s *scratch) {
	l, head := a.level, i%a.h
	group := head / (a.h / a.g)
	first, last := int(a.cu[i/a.h]), int(a.cu[i/a.h+1])
	if first == last {
		return
	}
	keys := a.transpose(&s.a, a.k, group, first, last)
	values, vStep, vPanel := a.rowsOf(&s.b, a.v[(first*a.g+group)*a.d:], a.g*a.d, last-first)
	block := 2 * l.tileRows
	pitch := l.padded(last-first) + 16 // never a power of two
	scores := grow(&s.c, block*pitch)
	for row := first; row < last; row += block {
		rows := min(block, last-row)
		seen := row + rows - first // keys the last row of the block sees
		l.block(rows, l.padded(seen), a.d, 1, a.q[(row*a.h+head)*a.d:], a.h*a.d, 1, l.tileRows*a.h*a.d,
			keys, l.tileCols, a.d*l.tileCols, false, scores, pitch)
		var inverse [32]float32 // block rows are at most 28
		for r := range rows {
			p := scores[r*pitch : r*pitch+seen]
			inverse[r] = a.softmax(p, row+r-first+1, &a.lse[(row+r)*a.h+head])
		}
		l.block(rows, a.d, seen, 1, scores, pitch, 1, l.tileRows*pitch, values, vStep, vPanel, false, a.out[(row*a.h+head)*a.d:], a.h*a.d)
		for r := range rows {
			at := ((row+r)*a.h + head) * a.d
			l.scale(a.out[at:at+a.d], inverse[r])
		}
	}
}

// softmax turns the first n scores into unnormalised probabilities and the others
// into 0; it returns what normalises them, and their log-sum-exp.
func (a *heads) softmax(p []float32, n int, lse *float32) float32 {
	top := a.level.max(p[:n]) * a.scale
	sum := a.level.exp(p[:n], a.scale, top)
	clear(p[n:])
	*lse = top + float32(math.Log(float64(sum)))
	return 1 / sum
}

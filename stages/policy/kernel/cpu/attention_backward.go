package cpu

// backward is one call of AttentionBackward; a part is one key/value head of one
// segment, so that only one thread ever adds to a row of dk and dv, in the order of
// its query heads and rows.
type backward struct {
	heads
	dq, dk, dv, dout, out, lse []float32
}

// AttentionBackward recomputes the probabilities, block of query rows by block.
func (d *Device) AttentionBackward(dq, dk, dv, dout, out, lse, q, k, v []float32, cu []int32, h, g, dim int) {
	t := d.backwards.take()
	*t = backward{heads: d.heads(q, k, v, cu, h, g, dim), dq: dq, dk: dk, dv: dv, dout: dout, out: out, lse: lse}
	if segments := len(cu) - 1; segments > 0 {
		rows := int(cu[segments])
		need("dq", dq, rows*h*dim)
		need("dk", dk, rows*g*dim)
		need("dv", dv, rows*g*dim)
		need("dout", dout, rows*h*dim)
		need("out", out, rows*h*dim)
		need("lse", lse, rows*h)
		d.pool.run(segments*g, 5*t.work(), t)
	}
	*t = backward{}
	d.backwards.put(t)
}

func (a *backward) part(i int, s *scratch) {
	group := i % a.g
	first, last := int(a.cu[i/a.g]), int(a.cu[i/a.g+1])
	if first == last {
		return
	}
	for r := first; r < last; r++ {
		at := (r*a.g + group) * a.d
		clear(a.dk[at : at+a.d])
		clear(a.dv[at : at+a.d])
	}
	keysT := a.transpose(&s.a, a.k, group, first, last)
	valuesT := a.transpose(&s.b, a.v, group, first, last)
	block := 4 * a.level.tileRows // deeper than forward: dk and dv sum over these rows
	share := a.h / a.g
	for head := group * share; head < (group+1)*share; head++ {
		for row := first; row < last; row += block {
			a.rows(s, keysT, valuesT, head, first, last, row, min(block, last-row))
		}
	}
}

// rows handles one block of query rows of one head.
func (a *backward) rows(s *scratch, keysT, valuesT []float32, head, first, last, row, rows int) {
	l, group := a.level, head/(a.h/a.g)
	seen := row + rows - first
	wide, pitch := l.padded(seen), l.padded(last-first)+16
	qStep, kStep := a.h*a.d, a.g*a.d
	q, dout := a.q[(row*a.h+head)*a.d:], a.dout[(row*a.h+head)*a.d:]
	p := grow(&s.c, 4*l.tileRows*pitch)
	ds := grow(&s.d, 4*l.tileRows*pitch)

	l.block(rows, wide, a.d, 1, q, qStep, 1, l.tileRows*qStep, keysT, l.tileCols, a.d*l.tileCols, false, p, pitch)
	l.block(rows, wide, a.d, 1, dout, qStep, 1, l.tileRows*qStep, valuesT, l.tileCols, a.d*l.tileCols, false, ds, pitch)
	for r := range rows {
		at := ((row+r)*a.h + head) * a.d
		delta := l.dot(a.dout[at:at+a.d], a.out[at:at+a.d])
		visible := row + r - first + 1
		pr, dr := p[r*pitch:r*pitch+seen], ds[r*pitch:r*pitch+seen]
		l.exp(pr[:visible], a.scale, a.lse[(row+r)*a.h+head])
		l.softmaxGrad(dr[:visible], pr[:visible], delta, a.scale)
		clear(pr[visible:])
		clear(dr[visible:])
	}

	keyAt := (first*a.g + group) * a.d
	b, bStep, bPanel := a.rowsOf(&s.e, a.k[keyAt:], kStep, seen) // dq = ds · k
	l.block(rows, a.d, seen, 1, ds, pitch, 1, l.tileRows*pitch, b, bStep, bPanel, false, a.dq[(row*a.h+head)*a.d:], qStep)
	b, bStep, bPanel = a.rowsOf(&s.e, q, qStep, rows) // dk += dsᵀ · q
	l.block(seen, a.d, rows, 1, ds, 1, pitch, l.tileRows, b, bStep, bPanel, true, a.dk[keyAt:], kStep)
	b, bStep, bPanel = a.rowsOf(&s.e, dout, qStep, rows) // dv += pᵀ · dout
	l.block(seen, a.d, rows, 1, p, 1, pitch, l.tileRows, b, bStep, bPanel, true, a.dv[keyAt:], kStep)
}

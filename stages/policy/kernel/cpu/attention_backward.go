package cpu

// The backward pass recomputes the probabilities from the log-sum-exp of the forward pass, block by block of
// query rows, as FlashAttention does; no T × T matrix is stored.

import "itool/stages/policy/kernel"

// backward is one call of AttentionBackward. A part is one key/value head of one segment, so only one
// thread adds to a row of dk and dv, in the order of the query heads and rows.
type backward struct {
	heads
	dq, dk, dv, dout, out, lse []float32
}

// AttentionBackward recomputes the probabilities, block of query rows by block.
func (d *Device) AttentionBackward(g kernel.AttentionGrad, dout kernel.Floats, a kernel.Attended,
	s kernel.Segments, h kernel.Heads) {
	t := d.backwards.take()
	*t = backward{heads: d.heads(a, s, h), dq: g.DQ.Host, dk: g.DK.Host, dv: g.DV.Host,
		dout: dout.Host, out: a.Out.Host, lse: a.LSE.Host}
	if segments := len(t.cu) - 1; segments > 0 {
		rows, queries := int(t.cu[segments]), t.queries()
		need("dq", t.dq, queries*h.H*h.D)
		need("dk", t.dk, rows*h.G*h.D)
		need("dv", t.dv, rows*h.G*h.D)
		need("dout", t.dout, queries*h.H*h.D)
		need("out", t.out, queries*h.H*h.D)
		need("lse", t.lse, queries*h.H)
		d.pool.run(segments*h.G, 5*t.work(), t)
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
	all, n := a.stretches(i / a.g)
	from, skip := a.firstSelected(i / a.g)
	for _, part := range all[:n] {
		if max(part.own, from) < part.last {
			a.stretch(part, from, skip, group, s)
		}
	}
}

func (a *backward) stretch(part stretch, from, skip, group int, s *scratch) {
	v, step := a.gather(&s.f, a.v, group, part)
	valuesT := a.transpose(&s.b, v, step, part.keys())
	k, step := a.gather(&s.f, a.k, group, part)
	keysT := a.transpose(&s.a, k, step, part.keys())
	block := a.rowsAtOnce(4) // deeper than forward: dk and dv sum over these rows
	share := a.h / a.g
	for head := group * share; head < (group+1)*share; head++ {
		for row := max(part.own, from); row < part.last; row += block {
			a.rows(s, part, k, step, keysT, valuesT, head, row, row-skip, min(block, part.last-row))
		}
	}
}

// rows handles one block of query rows of one head, from row on, which is row query of q. k
// are the stretch's keys, step floats apart.
func (a *backward) rows(s *scratch, part stretch, k []float32, step int, keysT, valuesT factor,
	head, row, query, rows int) {
	l, group := a.level, head/(a.h/a.g)
	before := part.shared + row - part.own
	seen := before + rows
	wide, pitch := l.padded(seen), l.padded(part.keys())+16
	qStep, kStep := a.h*a.d, a.g*a.d
	q, dout := a.q[(query*a.h+head)*a.d:], a.dout[(query*a.h+head)*a.d:]
	p := grow(&s.c, a.rowsAtOnce(4)*pitch)
	ds := grow(&s.d, a.rowsAtOnce(4)*pitch)

	a.times(s, rows, wide, a.d, q, qStep, 1, keysT, false, p, pitch)
	a.times(s, rows, wide, a.d, dout, qStep, 1, valuesT, false, ds, pitch)
	for r := range rows {
		at := ((query+r)*a.h + head) * a.d
		delta := l.dot(a.dout[at:at+a.d], a.out[at:at+a.d])
		visible := before + r + 1
		pr, dr := p[r*pitch:r*pitch+seen], ds[r*pitch:r*pitch+seen]
		l.exp(pr[:visible], a.scale, a.lse[(query+r)*a.h+head])
		l.softmaxGrad(dr[:visible], pr[:visible], delta, a.scale)
		clear(pr[visible:])
		clear(dr[visible:])
	}

	shared, own := (part.first*a.g+group)*a.d, (part.own*a.g+group)*a.d // rows of dk and dv
	n := seen - part.shared
	right := a.rowsOf(&s.e, k, step, seen) // dq = ds · k
	a.times(s, rows, a.d, seen, ds, pitch, 1, right, false, a.dq[(query*a.h+head)*a.d:], qStep)
	right = a.rowsOf(&s.e, q, qStep, rows) // dk += dsᵀ · q
	if part.shared > 0 {
		a.times(s, part.shared, a.d, rows, ds, 1, pitch, right, true, a.dk[shared:], kStep)
	}
	a.times(s, n, a.d, rows, ds[part.shared:], 1, pitch, right, true, a.dk[own:], kStep)
	right = a.rowsOf(&s.e, dout, qStep, rows) // dv += pᵀ · dout
	if part.shared > 0 {
		a.times(s, part.shared, a.d, rows, p, 1, pitch, right, true, a.dv[shared:], kStep)
	}
	a.times(s, n, a.d, rows, p[part.shared:], 1, pitch, right, true, a.dv[own:], kStep)
}

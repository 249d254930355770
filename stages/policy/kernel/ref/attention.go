package ref

import (
	"math"

	"itool/stages/policy/kernel"
)

// Attention goes through segments, heads and rows. It stores the scores of one row only.
func (Device) Attention(a kernel.Attended, s kernel.Segments, n kernel.Heads) {
	h, g, d := n.H, n.G, n.D
	q, k, v, out, lse := a.Q.Host, a.K.Host, a.V.Host, a.Out.Host, a.LSE.Host
	eachRow(s, h, g, func(head, group, i int, seen []int) {
		at := (i*h + head) * d
		p := make([]float64, len(seen))
		for n, j := range seen {
			kj := (j*g + group) * d
			p[n] = dot(q[at:at+d], k[kj:kj+d]) / math.Sqrt(float64(d))
		}
		lse[i*h+head] = float32(softmax(p))
		for c := range d {
			var sum float64
			for n, j := range seen {
				sum += p[n] * float64(v[(j*g+group)*d+c])
			}
			out[at+c] = float32(sum)
		}
	})
}

// AttentionBackward: with p = exp(s − lse) and ds = p·(dout·v − dout·out):
// dq = Σ ds·k/√D, dk = Σ ds·q/√D, dv = Σ p·dout.
func (Device) AttentionBackward(grad kernel.AttentionGrad, dOut kernel.Floats, a kernel.Attended,
	s kernel.Segments, n kernel.Heads) {
	h, g, d, rows := n.H, n.G, n.D, s.Rows()
	q, k, v, out, lse := a.Q.Host, a.K.Host, a.V.Host, a.Out.Host, a.LSE.Host
	dq, dk, dv, dout := grad.DQ.Host, grad.DK.Host, grad.DV.Host, dOut.Host
	scale := 1 / math.Sqrt(float64(d))
	dk64, dv64 := make([]float64, rows*g*d), make([]float64, rows*g*d)
	eachRow(s, h, g, func(head, group, i int, seen []int) {
		at := (i*h + head) * d
		inner := dot(dout[at:at+d], out[at:at+d])
		dqi := make([]float64, d)
		for _, j := range seen {
			kj := (j*g + group) * d
			p := math.Exp(dot(q[at:at+d], k[kj:kj+d])*scale - float64(lse[i*h+head]))
			ds := p * (dot(dout[at:at+d], v[kj:kj+d]) - inner) * scale
			for c := range d {
				dqi[c] += ds * float64(k[kj+c])
				dk64[kj+c] += ds * float64(q[at+c])
				dv64[kj+c] += p * float64(dout[at+c])
			}
		}
		for c := range d {
			dq[at+c] = float32(dqi[c])
		}
	})
	for i := range dk64 {
		dk[i], dv[i] = float32(dk64[i]), float32(dv64[i])
	}
}

// eachRow visits every head of every selected row, with the rows that it sees. row counts the selected rows.
func eachRow(seg kernel.Segments, h, g int, visit func(head, group, row int, seen []int)) {
	cu, mask, selected := seg.Cu.Host, seg.Mask.Host, seg.Selected.Host
	skip := 0
	for s := 0; s+1 < len(cu); s++ {
		query := int(cu[s])
		if selected != nil {
			query = int(selected[s])
		}
		skip += query - int(cu[s])
		from, to := int(cu[s+1]), int(cu[s+1])
		if mask != nil {
			from, to = int(mask[2*s]), int(mask[2*s+1])
		}
		for head := range h {
			var seen []int
			for i := int(cu[s]); i < int(cu[s+1]); i++ {
				if i == to {
					seen = seen[:from-int(cu[s])]
				}
				seen = append(seen, i)
				if i >= query {
					visit(head, head/(h/g), i-skip, seen)
				}
			}
		}
	}
}

// AttendPaths: row r sees the slots paths[r]; an empty path gives zeros.
func (Device) AttendPaths(to, queries kernel.Floats, cache kernel.KV, paths kernel.Paths, n kernel.Heads) {
	h, g, d := n.H, n.G, n.D
	out, q, k, v := to.Host, queries.Host, cache.K.Host, cache.V.Host
	for r, path := range paths.Rows {
		for head := range h {
			group := head / (h / g)
			at := (r*h + head) * d
			p := make([]float64, len(path))
			for j, slot := range path {
				kj := (int(slot)*g + group) * d
				p[j] = dot(q[at:at+d], k[kj:kj+d]) / math.Sqrt(float64(d))
			}
			softmax(p)
			for c := range d {
				var sum float64
				for j, slot := range path {
					sum += p[j] * float64(v[(int(slot)*g+group)*d+c])
				}
				out[at+c] = float32(sum)
			}
		}
	}
}

// AttendSuffix: row i of the last r sees the path up to itself.
func (dev Device) AttendSuffix(out, q kernel.Floats, cache kernel.KV, path kernel.Ints, r int, h kernel.Heads) {
	paths := make([][]int32, r)
	for i := range paths {
		paths[i] = path.Host[:len(path.Host)-r+i+1]
	}
	dev.AttendPaths(out, q, cache, kernel.Paths{Rows: paths}, h)
}

// softmax normalises s in place and returns its log-sum-exp.
func softmax(s []float64) float64 {
	top := math.Inf(-1)
	for _, x := range s {
		top = math.Max(top, x)
	}
	var sum float64
	for i, x := range s {
		s[i] = math.Exp(x - top)
		sum += s[i]
	}
	for i := range s {
		s[i] /= sum
	}
	return top + math.Log(sum)
}

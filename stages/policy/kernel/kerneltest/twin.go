package kerneltest

import "math"

// Inputs of the backward pass that come from the forward pass. They are computed here in float64, so
// that a gradient is tested independently of the device's forward pass.

func rstdOf(x []float32, t, k int) []float32 {
	rstd := make([]float32, t)
	for r := range rstd {
		row := x[r*k : (r+1)*k]
		rstd[r] = float32(1 / math.Sqrt(dot(row, row)/float64(k)+1e-5))
	}
	return rstd
}

func lseOf(x, w []float32, targets []int32, t, k, v int) []float32 {
	lse := make([]float32, t)
	logits := make([]float64, v)
	for r := range lse {
		if targets[r] < 0 {
			continue
		}
		for i := range logits {
			logits[i] = dot(x[r*k:(r+1)*k], w[i*k:(i+1)*k])
		}
		lse[r] = float32(softmax(logits))
	}
	return lse
}

// attend fills out and lse for the rows inside l's segments.
func attend(out, lse, q, k, v []float32, l layout) {
	visible(l.cu, l.mask, l.selected, l.h, func(i, head int, seen []int) {
		group, at := head/(l.h/l.g), (i*l.h+head)*l.d
		p := make([]float64, len(seen))
		for n, j := range seen {
			kj := (j*l.g + group) * l.d
			p[n] = dot(q[at:at+l.d], k[kj:kj+l.d]) / math.Sqrt(float64(l.d))
		}
		lse[i*l.h+head] = float32(softmax(p))
		for c := range l.d {
			var sum float64
			for n, j := range seen {
				sum += p[n] * float64(v[(j*l.g+group)*l.d+c])
			}
			out[at+c] = float32(sum)
		}
	})
}

// visible calls see for every selected row, each of its heads, and the rows that it sees. It
// returns the number of selected rows.
func visible(cu, mask, selected []int32, heads int, see func(i, head int, seen []int)) (rows int) {
	for s := 0; s+1 < len(cu); s++ {
		first := int(cu[s])
		query := first
		if selected != nil {
			query = int(selected[s])
		}
		from, to := int(cu[s+1]), int(cu[s+1])
		if mask != nil {
			from, to = int(mask[2*s]), int(mask[2*s+1])
		}
		for i := query; i < int(cu[s+1]); i++ {
			var seen []int
			for j := first; j <= i; j++ {
				if i < to || j < from || j >= to {
					seen = append(seen, j)
				}
			}
			for head := range heads {
				see(rows, head, seen)
			}
			rows++
		}
	}
	return rows
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

func dot(a, b []float32) float64 {
	var sum float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

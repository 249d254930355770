package ref

import "itool/stages/policy/kernel"

// Floats is make.
func (Device) Floats(n int) kernel.Floats { return kernel.Host(make([]float32, n)) }

// Put is x itself.
func (Device) Put(x []float32) kernel.Floats { return kernel.Host(x) }

// Write copies.
func (Device) Write(dst kernel.Floats, src []float32) { copy(dst.Host[:len(src)], src) }

// Read copies.
func (Device) Read(dst []float32, src kernel.Floats) { copy(dst, src.Host[:len(dst)]) }

// Send has nothing to do: the memory is the host's.
func (Device) Send(*kernel.Ints) {}

// SendPaths has nothing to do.
func (Device) SendPaths(*kernel.Paths) {}

// Copy copies.
func (Device) Copy(dst, src kernel.Floats) { copy(dst.Host[:len(src.Host)], src.Host) }

// Clear sets x to zero.
func (Device) Clear(x kernel.Floats) { clear(x.Host) }

// Scale multiplies x by a factor.
func (Device) Scale(x kernel.Floats, by float32) {
	for i := range x.Host {
		x.Host[i] *= by
	}
}

// ScaleRows: x[t] *= by[t].
func (Device) ScaleRows(x, by kernel.Floats, t, k int) {
	for i := range t * k {
		x.Host[i] *= by.Host[i/k]
	}
}

// SumRows: sum += Σ x[t].
func (Device) SumRows(sum, x kernel.Floats, t, k int) {
	for i := range k {
		total := float64(sum.Host[i])
		for r := range t {
			total += float64(x.Host[r*k+i])
		}
		sum.Host[i] = float32(total)
	}
}

// GatherRows: dst[i] = src[rows[i]].
func (Device) GatherRows(dst, src kernel.Floats, rows kernel.Ints, k int) {
	for i, r := range rows.Host {
		copy(dst.Host[i*k:(i+1)*k], src.Host[int(r)*k:])
	}
}

// ScatterRows: dst[rows[i]] = src[i].
func (Device) ScatterRows(dst, src kernel.Floats, rows kernel.Ints, k int) {
	for i, r := range rows.Host {
		copy(dst.Host[int(r)*k:(int(r)+1)*k], src.Host[i*k:])
	}
}

// Embed: y[i] = w[ids[i]].
func (d Device) Embed(y kernel.Floats, w kernel.Matrix, ids kernel.Ints) {
	m := w.(*matrix)
	d.GatherRows(y, kernel.Host(m.w), ids, m.k)
}

// EmbedBackward: dw[ids[i]] += by · dy[i].
func (Device) EmbedBackward(dw, dy kernel.Floats, ids kernel.Ints, k int, by float32) {
	for t, id := range ids.Host {
		for i := range k {
			dw.Host[int(id)*k+i] += by * dy.Host[t*k+i]
		}
	}
}

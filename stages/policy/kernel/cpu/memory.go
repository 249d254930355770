package cpu

// Memory of the CPU is the host's, so Floats are slices, and nothing need be sent. These loops are short and
// bound by memory: they run in the goroutine of the caller, in one fixed order.

import "itool/stages/policy/kernel"

// Floats is make.
func (d *Device) Floats(n int) kernel.Floats { return kernel.Host(make([]float32, n)) }

// Put is x itself.
func (d *Device) Put(x []float32) kernel.Floats { return kernel.Host(x) }

// Write copies.
func (d *Device) Write(dst kernel.Floats, src []float32) {
	need("dst", dst.Host, len(src))
	copy(dst.Host, src)
}

// Read copies.
func (d *Device) Read(dst []float32, src kernel.Floats) {
	need("src", src.Host, len(dst))
	copy(dst, src.Host)
}

// Send has nothing to do.
func (d *Device) Send(*kernel.Ints) {}

// SendPaths has nothing to do.
func (d *Device) SendPaths(*kernel.Paths) {}

// Copy copies.
func (d *Device) Copy(dst, src kernel.Floats) {
	need("dst", dst.Host, len(src.Host))
	copy(dst.Host, src.Host)
}

// Clear sets x to zero.
func (d *Device) Clear(x kernel.Floats) { clear(x.Host) }

// Scale multiplies x by a factor.
func (d *Device) Scale(x kernel.Floats, by float32) {
	if by == 1 {
		return
	}
	for i := range x.Host {
		x.Host[i] *= by
	}
}

// ScaleRows multiplies each row by its factor.
func (d *Device) ScaleRows(x, by kernel.Floats, t, k int) {
	need("x", x.Host, t*k)
	need("by", by.Host, t)
	for r, f := range by.Host[:t] {
		row := x.Host[r*k : (r+1)*k]
		for i := range row {
			row[i] *= f
		}
	}
}

// SumRows adds rows.
func (d *Device) SumRows(sum, x kernel.Floats, t, k int) {
	need("x", x.Host, t*k)
	need("sum", sum.Host, k)
	for r := range t {
		for i, v := range x.Host[r*k : (r+1)*k] {
			sum.Host[i] += v
		}
	}
}

// GatherRows copies rows.
func (d *Device) GatherRows(dst, src kernel.Floats, rows kernel.Ints, k int) {
	need("dst", dst.Host, len(rows.Host)*k)
	for i, r := range rows.Host {
		copy(dst.Host[i*k:(i+1)*k], src.Host[int(r)*k:(int(r)+1)*k])
	}
}

// ScatterRows copies rows.
func (d *Device) ScatterRows(dst, src kernel.Floats, rows kernel.Ints, k int) {
	need("src", src.Host, len(rows.Host)*k)
	for i, r := range rows.Host {
		copy(dst.Host[int(r)*k:(int(r)+1)*k], src.Host[i*k:(i+1)*k])
	}
}

// Embed converts rows to float32.
func (d *Device) Embed(y kernel.Floats, w kernel.Matrix, ids kernel.Ints) {
	m := d.own(w)
	if m.wrapped == nil {
		panic("cpu: a packed weight is not in rows")
	}
	need("y", y.Host, len(ids.Host)*m.k)
	for i, id := range ids.Host {
		m.wrapped.Rows(y.Host[i*m.k:(i+1)*m.k], int(id), int(id)+1)
	}
}

// EmbedBackward adds rows in the order of ids, in one goroutine: the sum must not depend on the number of
// threads.
func (d *Device) EmbedBackward(dw, dy kernel.Floats, ids kernel.Ints, k int, by float32) {
	need("dy", dy.Host, len(ids.Host)*k)
	for t, id := range ids.Host {
		row := dw.Host[int(id)*k : (int(id)+1)*k]
		for i, v := range dy.Host[t*k : (t+1)*k] {
			row[i] += by * v
		}
	}
}

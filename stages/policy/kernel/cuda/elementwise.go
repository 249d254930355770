package cuda

import "itool/stages/policy/kernel"

// Scale computes y = s · x; both (n) float32. y may be x.
func (d *Launcher) Scale(y, x Address, s float32, n int) error {
	grid, block := spread(n)
	return d.launch("scale", grid, block, 0, uint64(y), uint64(x), Float(s), Long(int64(n)))
}

// ScaleRows computes x[t] *= by[t]; x (T, K), by (T) float32.
func (d *Launcher) ScaleRows(x, by Address, t, k int) error {
	grid, block := spread(t * k)
	return d.launch("scale_rows", grid, block, 0, uint64(x), uint64(by), Int(k), Long(int64(t*k)))
}

// Add computes y += s · x; both (n) float32.
func (d *Launcher) Add(y, x Address, s float32, n int) error {
	grid, block := spread(n)
	return d.launch("add", grid, block, 0, uint64(y), uint64(x), Float(s), Long(int64(n)))
}

// AddBias adds bias (K) to every row of y (T, K); float32.
func (d *Launcher) AddBias(y, bias Address, t, k int) error {
	grid, block := spread(t * k)
	return d.launch("add_bias", grid, block, 0, uint64(y), uint64(bias), Int(k), Long(int64(t*k)))
}

// Fill sets y (n) float32 to v.
func (d *Launcher) Fill(y Address, v float32, n int) error {
	grid, block := spread(n)
	return d.launch("fill", grid, block, 0, uint64(y), Float(v), Long(int64(n)))
}

// ToBF16 rounds x (T, K) float32 to y (T, Padded(K)) bfloat16, to the nearest, ties to even. The padding
// becomes zero.
func (d *Launcher) ToBF16(y, x Address, t, k int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.toBF16(y, x, t, k)
}

func (d *Launcher) toBF16(y, x Address, t, k int) error {
	ld := Padded(k)
	grid, block := spread(t * ld)
	return d.launchLocked("to_bf16", grid, block, 0, uint64(y), uint64(x), Int(k), Int(ld), Long(int64(t*ld)))
}

// SwiGLU is that of kernel.Device; all (n) float32.
func (d *Launcher) SwiGLU(y, gate, up Address, n int) error {
	grid, block := spread(n)
	return d.launch("swiglu", grid, block, 0, uint64(y), uint64(gate), uint64(up), Long(int64(n)))
}

// SwiGLUBackward is that of kernel.Device; all (n) float32.
func (d *Launcher) SwiGLUBackward(dGate, dUp, dy, gate, up Address, n int) error {
	grid, block := spread(n)
	return d.launch("swiglu_backward", grid, block, 0, uint64(dGate), uint64(dUp), uint64(dy), uint64(gate),
		uint64(up), Long(int64(n)))
}

// RoPE is that of kernel.Device: x (T, H, D) in place; cos, sin (positions, D/2); pos (T) int32.
func (d *Launcher) RoPE(x, cos, sin, pos Address, t, h, size int, inverse bool) error {
	sign := float32(1)
	if inverse {
		sign = -1
	}
	pairs := t * h * (size / 2)
	grid, block := spread(pairs)
	return d.launch("rope", grid, block, 0, uint64(x), uint64(cos), uint64(sin), uint64(pos), Float(sign), Int(h),
		Int(size), Long(int64(pairs)))
}

// AdamW is that of kernel.Device: w, m, v (n) float32 in place, g (n) the gradient.
func (d *Launcher) AdamW(w, m, v, g Address, n int, s kernel.AdamW) error {
	grid, block := spread(n)
	return d.launch("adamw", grid, block, 0, uint64(w), uint64(m), uint64(v), uint64(g), Long(int64(n)),
		Float(s.Rate), Float(s.Beta1), Float(s.Beta2), Float(s.Eps), Float(s.Decay), Float(s.GradScale),
		Float(s.C1), Float(s.C2))
}

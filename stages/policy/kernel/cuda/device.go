package cuda

import (
	"fmt"
	"strings"
	"unsafe"

	"itool/stages/policy/kernel"
)

// Device is a GPU as the engine sees it: a kernel.Device whose numbers stay in the GPU's memory. What a call
// cannot do is a kernel.Failure. Many goroutines may use it; their operations follow one another.
type Device struct {
	l       *Launcher
	sampler sampler
	squares squares
}

var (
	_ kernel.Device  = (*Device)(nil)
	_ kernel.Limited = (*Device)(nil)
)

// New loads the kernels. The device owns the driver and closes it.
func New(driver Driver) (*Device, error) {
	l, err := Open(driver)
	if err != nil {
		return nil, err
	}
	return &Device{l: l}, nil
}

// Close frees the device's memory and closes the driver. Nothing may be called afterwards.
func (d *Device) Close() error { return d.l.Close() }

// Name is "cuda/" and the GPU's, and that of the library for large products, if one is used: it gives other bits.
func (d *Device) Name() string {
	d.l.mu.Lock()
	defer d.l.mu.Unlock()
	name := "cuda/" + strings.ReplaceAll(d.l.driver.Name(), " ", "-")
	if d.l.library != nil {
		name += "+" + d.l.library.Name()
	}
	return name
}

// must turns an error into the failure that a kernel.Device panics with.
func must(err error) {
	if err != nil {
		panic(&kernel.Failure{Err: err})
	}
}

// at is the address of numbers.
func at(f kernel.Floats) Address { return Address(f.At()) }

// Floats reserves memory and clears it.
func (d *Device) Floats(n int) kernel.Floats {
	f := d.reserve(n)
	d.Clear(f)
	return f
}

func (d *Device) reserve(n int) kernel.Floats {
	block, err := d.l.block(4 * int64(n))
	must(err)
	return kernel.Floats{Block: block, N: n}
}

// Put copies x to new memory.
func (d *Device) Put(x []float32) kernel.Floats {
	if x == nil {
		return kernel.Floats{}
	}
	f := d.reserve(len(x))
	d.Write(f, x)
	return f
}

// bytes is the memory of numbers; the processors that this runs beside a GPU on are little-endian, as GPUs.
func bytes[E float32 | float64 | int32 | uint16 | Setting](x []E) []byte {
	var e E
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(e)))
}

// Write copies to the device.
func (d *Device) Write(dst kernel.Floats, src []float32) {
	must(d.l.copyIn(at(dst.Slice(0, len(src))), bytes(src)))
}

// Read waits for all operations before it, and copies.
func (d *Device) Read(dst []float32, src kernel.Floats) {
	must(d.l.copyOut(bytes(dst), at(src.Slice(0, len(dst)))))
}

// Send copies to the device, into the same memory as long as it suffices.
func (d *Device) Send(i *kernel.Ints) {
	if i.Host == nil {
		return
	}
	if need := 4 * int64(len(i.Host)); i.Block == nil || i.Block.Bytes < need {
		block, err := d.l.block(need + need/2)
		must(err)
		i.Block, i.First = block, 0
	}
	must(d.l.copyIn(Address(i.At()), bytes(i.Host)))
}

// SendPaths copies the paths to the device, one behind the other.
func (d *Device) SendPaths(p *kernel.Paths) {
	p.Slots.Host, p.Begins.Host, p.Longest = p.Slots.Host[:0], append(p.Begins.Host[:0], 0), 0
	for _, path := range p.Rows {
		p.Slots.Host = append(p.Slots.Host, path...)
		p.Begins.Host = append(p.Begins.Host, int32(len(p.Slots.Host)))
		p.Longest = max(p.Longest, len(path))
	}
	d.Send(&p.Slots)
	d.Send(&p.Begins)
}

// Copy copies within the device.
func (d *Device) Copy(dst, src kernel.Floats) {
	must(d.l.move(at(dst.Slice(0, src.N)), at(src), 4*int64(src.N)))
}

// Clear sets x to zero.
func (d *Device) Clear(x kernel.Floats) { must(d.l.Fill(at(x), 0, x.N)) }

// Scale multiplies x by a factor.
func (d *Device) Scale(x kernel.Floats, by float32) { must(d.l.Scale(at(x), at(x), by, x.N)) }

// ScaleRows multiplies each row by its factor.
func (d *Device) ScaleRows(x, by kernel.Floats, t, k int) { must(d.l.ScaleRows(at(x), at(by), t, k)) }

// SumRows adds rows in their order.
func (d *Device) SumRows(sum, x kernel.Floats, t, k int) { must(d.l.SumRows(at(sum), at(x), t, k)) }

// GatherRows copies rows.
func (d *Device) GatherRows(dst, src kernel.Floats, rows kernel.Ints, k int) {
	must(d.l.GatherRows(at(dst), at(src), Address(rows.At()), len(rows.Host), k))
}

// ScatterRows copies rows.
func (d *Device) ScatterRows(dst, src kernel.Floats, rows kernel.Ints, k int) {
	must(d.l.ScatterRows(at(dst), at(src), Address(rows.At()), len(rows.Host), k))
}

// EmbedBackward adds rows in the order of ids.
func (d *Device) EmbedBackward(dw, dy kernel.Floats, ids kernel.Ints, k int, by float32) {
	n := len(ids.Host)
	if by != 1 && n > 0 {
		scaled := d.reserve(n * k)
		must(d.l.Scale(at(scaled), at(dy), by, n*k))
		dy = scaled
	}
	must(d.l.EmbedBackward(at(dw), at(dy), Address(ids.At()), n, k))
}

// RMSNorm is that of the kernels.
func (d *Device) RMSNorm(y, rstd, x, w kernel.Floats, t, k int, eps float32) {
	must(d.l.RMSNorm(at(y), at(rstd), at(x), at(w), t, k, eps))
}

// RMSNormBackward is that of the kernels.
func (d *Device) RMSNormBackward(dx, dw, dy, x, w, rstd kernel.Floats, t, k int) {
	must(d.l.RMSNormBackward(at(dx), at(dw), at(dy), at(x), at(w), at(rstd), t, k))
}

// RoPE is that of the kernels.
func (d *Device) RoPE(x, cos, sin kernel.Floats, pos kernel.Ints, t, h, size int, inverse bool) {
	must(d.l.RoPE(at(x), at(cos), at(sin), Address(pos.At()), t, h, size, inverse))
}

// SwiGLU is that of the kernels.
func (d *Device) SwiGLU(y, gate, up kernel.Floats, n int) {
	must(d.l.SwiGLU(at(y), at(gate), at(up), n))
}

// SwiGLUBackward is that of the kernels.
func (d *Device) SwiGLUBackward(dGate, dUp, dy, gate, up kernel.Floats, n int) {
	must(d.l.SwiGLUBackward(at(dGate), at(dUp), at(dy), at(gate), at(up), n))
}

func packed(s kernel.Segments) Packed {
	return Packed{Cu: Address(s.Cu.At()), Mask: Address(s.Mask.At()), Selected: Address(s.Selected.At()),
		Segments: max(0, len(s.Cu.Host)-1), Rows: s.Rows(), Queries: s.Queries()}
}

func cached(c kernel.KV) Cache { return Cache{K: at(c.K), V: at(c.V)} }

// Attention is that of the kernels.
func (d *Device) Attention(a kernel.Attended, s kernel.Segments, h kernel.Heads) {
	must(d.l.Attention(at(a.Out), at(a.LSE), at(a.Q), cached(a.KV), packed(s), 0, Heads(h)))
}

// AttentionBackward is that of the kernels.
func (d *Device) AttentionBackward(g kernel.AttentionGrad, dout kernel.Floats, a kernel.Attended,
	s kernel.Segments, h kernel.Heads) {
	f := Forward{Out: at(a.Out), LSE: at(a.LSE), Q: at(a.Q), K: at(a.K), V: at(a.V)}
	must(d.l.AttentionBackward(Gradients{DQ: at(g.DQ), DK: at(g.DK), DV: at(g.DV)}, at(dout), f, packed(s), Heads(h)))
}

// AttendPaths is that of the kernels.
func (d *Device) AttendPaths(out, q kernel.Floats, cache kernel.KV, p kernel.Paths, h kernel.Heads) {
	must(d.l.AttendPaths(at(out), at(q), cached(cache), Paths{Slots: Address(p.Slots.At()),
		Begins: Address(p.Begins.At()), Rows: len(p.Rows), Longest: p.Longest}, Heads(h)))
}

// AttendSuffix is Attention over the slots of a path, in which the last rows are selected.
func (d *Device) AttendSuffix(out, q kernel.Floats, cache kernel.KV, path kernel.Ints, r int, h kernel.Heads) {
	if r == 0 {
		return
	}
	n := int32(len(path.Host))
	s := kernel.Segments{Cu: kernel.Ints{Host: []int32{0, n}}, Selected: kernel.Ints{Host: []int32{n - int32(r)}}}
	d.Send(&s.Cu)
	d.Send(&s.Selected)
	lse := d.reserve(r * h.H)
	must(d.l.Attention(at(out), at(lse), at(q), cached(cache), packed(s), Address(path.At()), Heads(h)))
}

// AdamW is that of the kernels.
func (d *Device) AdamW(w, m, v, g kernel.Floats, n int, s kernel.AdamW) {
	must(d.l.AdamW(at(w), at(m), at(v), at(g), n, s))
}

// own returns m as a matrix of this device; another one is a mistake of the caller.
func own(m kernel.Matrix) *matrix {
	w, ok := m.(*matrix)
	if !ok {
		panic(fmt.Sprintf("cuda: a matrix of another device: %T", m))
	}
	return w
}

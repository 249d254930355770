package cuda_test

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
)

// slicesDevice is a kernel.Device that copies the arguments of every call to a cuda.Device and the results
// back, so that the suite of all devices runs on its kernels.
type slicesDevice struct {
	mu     sync.Mutex
	driver *cudatest.Driver
	dev    *cuda.Device
	temp   []cuda.Address
}

var _ kernel.Device = (*slicesDevice)(nil)

func newSlicesDevice(t *testing.T) *slicesDevice {
	t.Helper()
	driver := cudatest.Open()
	dev, err := cuda.Open(driver)
	if err != nil {
		t.Fatal(err)
	}
	return &slicesDevice{driver: driver, dev: dev}
}

type deviceMatrix struct{ w cuda.Weight }

func (m *deviceMatrix) Shape() (n, k int) { return m.w.N, m.w.K }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// call runs one operation, and frees what it has allocated.
func (d *slicesDevice) call(run func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	must(run())
	for _, a := range d.temp {
		must(d.driver.Free(a))
	}
	d.temp = d.temp[:0]
}

// in copies numbers to temporary memory.
func (d *slicesDevice) in(values any) cuda.Address {
	b, err := binary.Append(nil, binary.LittleEndian, values)
	must(err)
	a, err := d.driver.Allocate(int64(max(1, len(b))))
	must(err)
	must(d.driver.CopyIn(a, b))
	d.temp = append(d.temp, a)
	return a
}

func (d *slicesDevice) maybe(values []int32) cuda.Address {
	if values == nil {
		return 0
	}
	return d.in(values)
}

func (d *slicesDevice) out(to []float32, from cuda.Address) error {
	b := make([]byte, 4*len(to))
	if err := d.driver.CopyOut(b, from); err != nil {
		return err
	}
	for i := range to {
		to[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return nil
}

// back reads pairs of results.
func (d *slicesDevice) back(err error, results ...result) error {
	for _, r := range results {
		if err == nil {
			err = d.out(r.to, r.from)
		}
	}
	return err
}

type result struct {
	to   []float32
	from cuda.Address
}

func (d *slicesDevice) Name() string { return "cuda" }

func (d *slicesDevice) Pack(w []float32, n, k int) kernel.Matrix {
	return d.Wrap(&kernel.Dense{N: n, K: k, Data: slices.Clone(w[:n*k])})
}

func (d *slicesDevice) Repack(m kernel.Matrix, w []float32) {
	old := m.(*deviceMatrix)
	old.w = d.Pack(w, old.w.N, old.w.K).(*deviceMatrix).w
}

func (d *slicesDevice) Wrap(w kernel.Weight) kernel.Matrix {
	d.mu.Lock()
	defer d.mu.Unlock()
	weight, err := d.dev.Upload(w)
	must(err)
	return &deviceMatrix{weight}
}

func (d *slicesDevice) MatMul(y, x []float32, w kernel.Matrix, t int, add bool) {
	d.MatMuls([]kernel.Out{{Y: y, W: w, Add: add}}, x, t)
}

func (d *slicesDevice) MatMuls(outs []kernel.Out, x []float32, t int) {
	if len(outs) == 0 {
		return
	}
	d.call(func() error {
		var all []cuda.Out
		var results []result
		k := 0
		for _, o := range outs {
			w := o.W.(*deviceMatrix).w
			y := o.Y[:t*w.N]
			k = w.K
			all = append(all, cuda.Out{Y: d.in(y), W: w, Add: o.Add})
			results = append(results, result{y, all[len(all)-1].Y})
		}
		return d.back(d.dev.MatMuls(all, d.in(x[:t*k]), t), results...)
	})
}

func (d *slicesDevice) MatMulRows(dx, dy []float32, w kernel.Weight, t int, add bool) {
	weight := d.Wrap(w).(*deviceMatrix).w
	d.call(func() error {
		dx = dx[:t*weight.K]
		a := d.in(dx)
		return d.back(d.dev.MatMulRows(a, d.in(dy[:t*weight.N]), weight, t, add), result{dx, a})
	})
}

func (d *slicesDevice) Gemm(transA, transB bool, m, n, k int, alpha float32, a, b []float32, add bool, c []float32) {
	d.call(func() error {
		c = c[:m*n]
		to := d.in(c)
		return d.back(d.dev.Gemm(transA, transB, m, n, k, alpha, d.in(a[:m*k]), d.in(b[:k*n]), add, to), result{c, to})
	})
}

func (d *slicesDevice) RMSNorm(y, rstd, x, w []float32, t, k int, eps float32) {
	d.call(func() error {
		a, r := d.in(y[:t*k]), d.in(rstd[:t])
		err := d.dev.RMSNorm(a, r, d.in(x[:t*k]), d.in(w[:k]), t, k, eps)
		return d.back(err, result{y[:t*k], a}, result{rstd[:t], r})
	})
}

func (d *slicesDevice) RMSNormBackward(dx, dw, dy, x, w, rstd []float32, t, k int) {
	d.call(func() error {
		a := d.in(dx[:t*k])
		results := []result{{dx[:t*k], a}}
		var b cuda.Address
		if dw != nil {
			b = d.in(dw[:k])
			results = append(results, result{dw[:k], b})
		}
		err := d.dev.RMSNormBackward(a, b, d.in(dy[:t*k]), d.in(x[:t*k]), d.in(w[:k]), d.in(rstd[:t]), t, k)
		return d.back(err, results...)
	})
}

func (d *slicesDevice) RoPE(x, cos, sin []float32, pos []int32, t, h, size int, inverse bool) {
	d.call(func() error {
		x = x[:t*h*size]
		a := d.in(x)
		return d.back(d.dev.RoPE(a, d.in(cos), d.in(sin), d.in(pos[:t]), t, h, size, inverse), result{x, a})
	})
}

func (d *slicesDevice) SwiGLU(y, gate, up []float32, n int) {
	d.call(func() error {
		a := d.in(y[:n])
		return d.back(d.dev.SwiGLU(a, d.in(gate[:n]), d.in(up[:n]), n), result{y[:n], a})
	})
}

func (d *slicesDevice) SwiGLUBackward(dGate, dUp, dy, gate, up []float32, n int) {
	d.call(func() error {
		a, b := d.in(dGate[:n]), d.in(dUp[:n])
		err := d.dev.SwiGLUBackward(a, b, d.in(dy[:n]), d.in(gate[:n]), d.in(up[:n]), n)
		return d.back(err, result{dGate[:n], a}, result{dUp[:n], b})
	})
}

// packed uploads the bounds of a batch.
func (d *slicesDevice) packed(cu, mask, selected []int32) cuda.Packed {
	p := cuda.Packed{Cu: d.in(cu), Mask: d.maybe(mask), Selected: d.maybe(selected), Segments: max(0, len(cu)-1)}
	if len(cu) > 0 {
		p.Rows = int(cu[len(cu)-1])
	}
	p.Queries = p.Rows
	for s, from := range selected {
		p.Queries -= int(from - cu[s])
	}
	return p
}

func (d *slicesDevice) Attention(out, lse, q, k, v []float32, cu, mask, selected []int32, h, g, size int) {
	d.call(func() error {
		p := d.packed(cu, mask, selected)
		n, kv := p.Queries*h, p.Rows*g*size
		o, l := d.in(out[:n*size]), d.in(lse[:n])
		c := cuda.Cache{K: d.in(k[:kv]), V: d.in(v[:kv])}
		err := d.dev.Attention(o, l, d.in(q[:n*size]), c, p, 0, cuda.Heads{H: h, G: g, D: size})
		return d.back(err, result{out[:n*size], o}, result{lse[:n], l})
	})
}

func (d *slicesDevice) AttentionBackward(dq, dk, dv, dout, out, lse, q, k, v []float32,
	cu, mask, selected []int32, h, g, size int) {
	d.call(func() error {
		p := d.packed(cu, mask, selected)
		n, kv := p.Queries*h*size, p.Rows*g*size
		grad := cuda.Gradients{DQ: d.in(dq[:n]), DK: d.in(dk[:kv]), DV: d.in(dv[:kv])}
		f := cuda.Forward{Out: d.in(out[:n]), LSE: d.in(lse[:p.Queries*h]), Q: d.in(q[:n]), K: d.in(k[:kv]),
			V: d.in(v[:kv])}
		err := d.dev.AttentionBackward(grad, d.in(dout[:n]), f, p, cuda.Heads{H: h, G: g, D: size})
		return d.back(err, result{dq[:n], grad.DQ}, result{dk[:kv], grad.DK}, result{dv[:kv], grad.DV})
	})
}

func (d *slicesDevice) AttendPaths(out, q, k, v []float32, paths [][]int32, h, g, size int) {
	d.call(func() error {
		begins, longest := []int32{0}, 0
		for _, p := range paths {
			begins, longest = append(begins, begins[len(begins)-1]+int32(len(p))), max(longest, len(p))
		}
		p := cuda.Paths{Slots: d.in(slices.Concat(paths...)), Begins: d.in(begins), Rows: len(paths), Longest: longest}
		n := len(paths) * h * size
		o := d.in(out[:n])
		err := d.dev.AttendPaths(o, d.in(q[:n]), cuda.Cache{K: d.in(k), V: d.in(v)}, p, cuda.Heads{H: h, G: g, D: size})
		return d.back(err, result{out[:n], o})
	})
}

func (d *slicesDevice) AttendSuffix(out, q, k, v []float32, path []int32, r, h, g, size int) {
	d.call(func() error {
		n := int32(len(path))
		p := d.packed([]int32{0, n}, nil, []int32{n - int32(r)})
		o, l := d.in(out[:r*h*size]), d.in(make([]float32, r*h))
		c := cuda.Cache{K: d.in(k), V: d.in(v)}
		err := d.dev.Attention(o, l, d.in(q[:r*h*size]), c, p, d.in(path), cuda.Heads{H: h, G: g, D: size})
		return d.back(err, result{out[:r*h*size], o})
	})
}

func (d *slicesDevice) head(x []float32, w kernel.Matrix, targets []int32, t int) cuda.Head {
	m := w.(*deviceMatrix).w
	return cuda.Head{X: d.in(x[:t*m.K]), W: m, Targets: d.in(targets[:t]), T: t}
}

func (d *slicesDevice) LogProbs(logp, lse, x []float32, w kernel.Matrix, targets []int32, t int) {
	d.call(func() error {
		a, b := d.in(logp[:t]), d.in(lse[:t])
		return d.back(d.dev.LogProbs(a, b, d.head(x, w, targets, t)), result{logp[:t], a}, result{lse[:t], b})
	})
}

func (d *slicesDevice) LogProbsGrad(grad, logp, lse, x []float32, w kernel.Matrix, _ []float32,
	targets []int32, t int) {
	d.call(func() error {
		_, k := w.Shape()
		g, a, b := d.in(grad[:t*k]), d.in(logp[:t]), d.in(lse[:t])
		err := d.dev.LogProbsGrad(g, a, b, d.head(x, w, targets, t))
		return d.back(err, result{grad[:t*k], g}, result{logp[:t], a}, result{lse[:t], b})
	})
}

func (d *slicesDevice) LogProbsBackward(dx, dw, dlogp, lse, x []float32,
	w kernel.Matrix, _ []float32, targets []int32, t int) {
	d.call(func() error {
		n, k := w.Shape()
		a, b := d.in(dx[:t*k]), d.in(dw[:n*k])
		err := d.dev.LogProbsBackward(a, b, d.in(dlogp[:t]), d.in(lse[:t]), d.head(x, w, targets, t))
		return d.back(err, result{dx[:t*k], a}, result{dw[:n*k], b})
	})
}

func (d *slicesDevice) AdamW(w, m, v, g []float32, n int, s kernel.AdamW) {
	d.call(func() error {
		aw, am, av := d.in(w[:n]), d.in(m[:n]), d.in(v[:n])
		err := d.dev.AdamW(aw, am, av, d.in(g[:n]), n, s)
		return d.back(err, result{w[:n], aw}, result{m[:n], am}, result{v[:n], av})
	})
}

func (d *slicesDevice) Parallel(n, _ int, do func(i int)) {
	for i := range n {
		do(i)
	}
}

func (d *slicesDevice) SumSquares(x []float32) (sum float64) {
	d.call(func() error {
		out, b := d.in([]float64{0}), make([]byte, 8)
		if err := d.dev.SumSquares(out, d.in(x), len(x)); err != nil {
			return err
		}
		err := d.driver.CopyOut(b, out)
		sum = math.Float64frombits(binary.LittleEndian.Uint64(b))
		return err
	})
	return sum
}

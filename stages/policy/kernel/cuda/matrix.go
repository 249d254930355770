package cuda

import (
	"encoding/binary"
	"fmt"
	"sync"

	"itool/stages/policy/kernel"
)

// matrix is a weight in the GPU's memory.
type matrix struct {
	w    Weight
	keep [2]*kernel.Block // of w

	// The weight as rows for Embed, made at the first use, where w is rounded or not in rows.
	wrapped kernel.Weight
	once    sync.Once
	table   Weight
	rows    *kernel.Block
}

// Shape returns N and K.
func (m *matrix) Shape() (n, k int) { return m.w.N, m.w.K }

// Pack rounds to bf16.
func (d *Device) Pack(w kernel.Floats, n, k int) kernel.Matrix {
	block, err := d.l.block(2 * int64(n) * int64(Padded(k)))
	must(err)
	m := &matrix{w: Weight{Type: BF16, N: n, K: k, Data: Address(block.Address)}, keep: [2]*kernel.Block{block}}
	d.Repack(m, w)
	return m
}

// Repack rounds to bf16 again.
func (d *Device) Repack(to kernel.Matrix, w kernel.Floats) {
	m := own(to)
	must(d.l.ToBF16(m.w.Data, at(w.Slice(0, m.w.N*m.w.K)), m.w.N, m.w.K))
}

// Wrap copies the weight in the form that it has: see Launcher.Upload.
func (d *Device) Wrap(w kernel.Weight) kernel.Matrix {
	weight, err := d.l.Upload(w)
	must(err)
	m := &matrix{w: weight, wrapped: w}
	m.keep[0] = d.l.keep(weight.Data)
	if weight.Scales != 0 {
		m.keep[1] = d.l.keep(weight.Scales)
	}
	return m
}

// Embed converts rows to float32. A weight that products read rounded has its rows in memory a second time.
func (d *Device) Embed(y kernel.Floats, w kernel.Matrix, ids kernel.Ints) {
	m := own(w)
	m.once.Do(func() { d.makeTable(m) })
	must(d.l.Embed(at(y), m.table, Address(ids.At()), len(ids.Host)))
}

func (d *Device) makeTable(m *matrix) {
	m.table = m.w
	var rows []byte
	switch w := m.wrapped.(type) {
	case *kernel.F16:
		m.table.Type, rows = F16, w.Data[:2*w.N*w.K]
	case *kernel.Dense:
		m.table.Type = F32
		for _, v := range w.Data[:w.N*w.K] {
			rows, _ = binary.Append(rows, binary.LittleEndian, v)
		}
	default:
		return
	}
	block, err := d.l.block(int64(len(rows)))
	if err == nil {
		err = d.l.copyIn(Address(block.Address), rows)
	}
	if err != nil {
		must(fmt.Errorf("embedding (%d, %d) in %s: %w", m.w.N, m.w.K, m.table.Type, err))
	}
	m.rows, m.table.Data = block, Address(block.Address)
}

// MatMul is MatMuls with one weight.
func (d *Device) MatMul(y, x kernel.Floats, w kernel.Matrix, t int, add bool) {
	must(d.l.MatMul(at(y), at(x), own(w).w, t, add))
}

// MatMuls rounds x once.
func (d *Device) MatMuls(outs []kernel.Out, x kernel.Floats, t int) {
	var few [4]Out // a layer has no more: this allocates nothing
	all := few[:0]
	for _, o := range outs {
		all = append(all, Out{Y: at(o.Y), W: own(o.W).w, Add: o.Add && o.Bias.None()})
	}
	must(d.l.MatMuls(all, at(x), t))
	for i, o := range outs {
		if !o.Bias.None() {
			must(d.l.AddBias(all[i].Y, at(o.Bias), t, all[i].W.N))
		}
	}
}

// MatMulRows is that of the kernels.
func (d *Device) MatMulRows(dx, dy kernel.Floats, w kernel.Matrix, t int, add bool) {
	must(d.l.MatMulRows(at(dx), at(dy), own(w).w, t, add))
}

// Gemm rounds both factors to bf16.
func (d *Device) Gemm(transA, transB bool, m, n, k int, alpha float32, a, b kernel.Floats, add bool, c kernel.Floats) {
	must(d.l.Gemm(transA, transB, m, n, k, alpha, at(a), at(b), add, at(c)))
}

func head(h kernel.Head) Head {
	return Head{X: at(h.X), W: own(h.W).w, Targets: Address(h.Targets.At()), T: h.T}
}

// LogProbs is that of the kernels.
func (d *Device) LogProbs(logp, lse kernel.Floats, h kernel.Head) {
	must(d.l.LogProbs(at(logp), at(lse), head(h)))
}

// LogProbsGrad is that of the kernels.
func (d *Device) LogProbsGrad(grad, logp, lse kernel.Floats, h kernel.Head) {
	must(d.l.LogProbsGrad(at(grad), at(logp), at(lse), head(h)))
}

// LogProbsBackward is that of the kernels.
func (d *Device) LogProbsBackward(dx, dw, dlogp, lse kernel.Floats, h kernel.Head) {
	must(d.l.LogProbsBackward(at(dx), at(dw), at(dlogp), at(lse), head(h)))
}

// squares is the memory of SumSquares.
type squares struct {
	mu    sync.Mutex
	block *kernel.Block // a float64 for each tensor
	host  []float64
}

// SumSquares sums each tensor on the device, and the tensors in their order on the host.
func (d *Device) SumSquares(xs []kernel.Floats) (sum float64) {
	s := &d.squares
	s.mu.Lock()
	defer s.mu.Unlock()
	if need := 8 * int64(len(xs)); s.block == nil || s.block.Bytes < need {
		block, err := d.l.block(need)
		must(err)
		s.block, s.host = block, make([]float64, len(xs))
	}
	s.host = s.host[:len(xs)]
	to := Address(s.block.Address)
	for i, x := range xs {
		must(d.l.SumSquares(to.At(i, 8), at(x), x.N))
	}
	must(d.l.copyOut(bytes(s.host), to))
	for _, v := range s.host {
		sum += v
	}
	return sum
}

package kerneltest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"itool/stages/policy/kernel"
)

// bf16Weight makes a weight in bfloat16.
func bf16Weight(in *source, n, k int) *kernel.BF16 {
	w := &kernel.BF16{N: n, K: k, Data: make([]byte, 2*n*k)}
	for i, v := range in.normal(n*k, 1) {
		binary.LittleEndian.PutUint16(w.Data[2*i:], uint16(math.Float32bits(v)>>16))
	}
	return w
}

// f16Weight makes a weight in halves.
func f16Weight(in *source, n, k int) *kernel.F16 {
	w := &kernel.F16{N: n, K: k, Data: make([]byte, 2*n*k)}
	for i, v := range in.normal(n*k, 1) {
		binary.LittleEndian.PutUint16(w.Data[2*i:], kernel.ToHalf(v))
	}
	return w
}

// quantizedWeight is a weight in four bits with another table for each block.
type quantizedWeight struct{ n, k int }

func (w *quantizedWeight) Shape() (n, k int) { return w.n, w.k }

func (w *quantizedWeight) Block(b int, table *[16]float32) []byte {
	codes := make([]byte, 32)
	for i := range codes {
		codes[i] = byte(7*b + 5*i)
	}
	for i := range table {
		table[i] = float32(i-8) / float32(b%5+1)
	}
	return codes
}

func (w *quantizedWeight) Rows(dst []float32, from, to int) {
	var table [16]float32
	for b := from * w.k / 64; b < to*w.k/64; b++ {
		for i, c := range w.Block(b, &table) {
			at := 64*b + 2*i - from*w.k
			dst[at], dst[at+1] = table[c>>4], table[c&15]
		}
	}
}

// wrappedShapes are (T, K, N) around the sizes of a panel, a slab and a block of N.
var wrappedShapes = [][3]int{{1, 1, 1}, {1, 64, 33}, {3, 192, 65}, {9, 64, 320}, {4, 32, 337}, {20, 96, 700},
	{2, 2048, 600}, {0, 8, 8}, {2, 0, 5}, {2, 5, 0}}

func wrappedChecks() []check {
	var all []check
	for _, s := range wrappedShapes {
		for _, add := range []bool{false, true} {
			t, k, n := s[0], s[1], s[2]
			name := fmt.Sprintf("%dx%d→%d add=%v", t, k, n, add)
			all = append(all, check{"wrapped matmul", name, linearTolerance,
				func(dev Slices, in *source) []tensor {
					w, x, y := bf16Weight(in, n, k), in.normal(t*k, 1), in.output(t*n)
					dev.MatMul(y, x, dev.Wrap(w), t, add)
					return []tensor{{"y", y}}
				}})
			all = append(all, check{"matmul rows", name, linearTolerance, func(dev Slices, in *source) []tensor {
				w, dy, dx := bf16Weight(in, n, k), in.normal(t*n, 1), in.output(t*k)
				dev.MatMulRows(dx, dy, dev.Wrap(w), t, add)
				return []tensor{{"dx", dx}}
			}})
		}
	}
	return all
}

// wrapped tests that a wrapped weight gives the same bits as the weight packed in float32; with rowBits
// also in MatMulRows.
func wrapped(t *testing.T, dev Slices, rowBits bool) {
	// So many rows that a panel is not packed within the product, and weights of several slabs. The
	// reference device would be too slow for these.
	shapes := append([][3]int{{400, 64, 150}, {2, 8192, 200}}, wrappedShapes...)
	// A short last block, and one row of codes.
	shapes = append(shapes, [][3]int{{1, 100, 70}, {1, 896, 112}, {40, 70, 49}}...)
	for i, s := range slices.Repeat(shapes, 5) {
		rows, k, n := s[0], s[1], s[2]
		in := newSource(fmt.Sprint("wrapped", s))
		var w kernel.Weight = bf16Weight(in, n, k)
		switch i / len(shapes) {
		case 1:
			if k%64 != 0 {
				continue
			}
			w = &quantizedWeight{n: n, k: k}
		case 2:
			eight, err := kernel.ToInt8(w)
			if err != nil {
				t.Fatal(err)
			}
			w = eight
		case 3:
			w = f16Weight(in, n, k)
		case 4:
			w = &kernel.Dense{N: n, K: k, Data: in.normal(n*k, 1)}
		}
		wide := kernel.Widened(w)
		wrap, pack := dev.Wrap(w), dev.Pack(wide, n, k)
		if gotN, gotK := wrap.Shape(); gotN != n || gotK != k {
			t.Errorf("Shape() = %d, %d; want %d, %d", gotN, gotK, n, k)
		}
		x, dy := in.normal(rows*k, 1), in.normal(rows*n, 1)
		got, want := in.output(rows*n), in.output(rows*n)
		dev.MatMul(got, x, wrap, rows, false)
		dev.MatMul(want, x, pack, rows, false)
		sameBits(t, fmt.Sprintf("matmul %T %v", w, s), got, want)
		if rowBits {
			got, want = in.output(rows*k), in.output(rows*k)
			dev.MatMulRows(got, dy, wrap, rows, true)
			dev.Gemm(false, false, rows, k, n, 1, dy, wide, true, want)
			sameBits(t, fmt.Sprint("matmul rows ", s), got, want)
		}
		if rows == 0 || k == 0 || n == 0 {
			continue
		}
		targets := make([]int32, rows)
		for i := range targets {
			targets[i] = int32(i*7) % int32(n)
		}
		head := func(m kernel.Matrix, raw []float32) []float32 {
			logp, lse, grad := in.output(rows), in.output(rows), in.output(rows*k)
			dev.LogProbsGrad(grad, logp, lse, x, m, raw, targets, rows)
			alone, aloneLSE := in.output(rows), in.output(rows)
			dev.LogProbs(alone, aloneLSE, x, m, targets, rows)
			sameBits(t, fmt.Sprint("log-probabilities with a gradient ", s), logp, alone)
			return slices.Concat(logp, lse, grad)
		}
		sameBits(t, fmt.Sprint("head ", s), head(wrap, nil), head(pack, wide))
		in.checkGuards(t, "wrapped")
	}
}

// together tests that MatMuls gives the same bits as one MatMul for each weight: for packed weights,
// wrapped ones, and both; with few rows, and with so many that a wrapped weight is converted a slab at
// a time.
func together(t *testing.T, dev Slices) {
	for _, s := range [][2]int{{1, 64}, {3, 896}, {7, 128}, {33, 320}, {400, 64}, {5, 0}, {0, 64}} {
		rows, k := s[0], s[1]
		in := newSource(fmt.Sprint("together", s))
		x := in.normal(rows*k, 1)
		var wrapped, packed []kernel.Matrix
		for i, n := range []int{96, 32, 33, 700} {
			w := bf16Weight(in, n, k)
			packed = append(packed, dev.Pack(kernel.Widened(w), n, k))
			if i == 3 {
				eight, err := kernel.ToInt8(w)
				if err != nil {
					t.Fatal(err)
				}
				wrapped = append(wrapped, dev.Wrap(eight))
				continue
			}
			wrapped = append(wrapped, dev.Wrap(w))
		}
		for name, weights := range map[string][]kernel.Matrix{
			"packed": packed, "wrapped": wrapped, "both": {packed[0], wrapped[1], packed[3], wrapped[2]},
			"one": packed[2:3], "none": nil,
		} {
			var outs []kernel.Out
			var want [][]float32
			for i, w := range weights {
				n, _ := w.Shape()
				y, alone := in.output(rows*n), in.output(rows*n)
				copy(alone, y)
				dev.MatMul(alone, x, w, rows, i%2 == 1)
				outs, want = append(outs, kernel.Out{Y: kernel.Host(y), W: w, Add: i%2 == 1}), append(want, alone)
			}
			dev.MatMuls(outs, x, rows)
			for i := range outs {
				sameBits(t, fmt.Sprintf("%s %v: product %d", name, s, i), outs[i].Y.Host, want[i])
			}
		}
		in.checkGuards(t, "together")
	}
}

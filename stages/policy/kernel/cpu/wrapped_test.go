package cpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/kerneltest"
)

// quantized is a weight in four bits with another table for each block.
type quantized struct {
	n, k  int
	codes []byte
}

func (w *quantized) Shape() (n, k int) { return w.n, w.k }

func (w *quantized) Block(b int, table *[16]float32) []byte {
	for i := range table {
		table[i] = float32(b*16+i) + 0.5
	}
	return w.codes[32*b : 32*b+32]
}

func (w *quantized) Rows(dst []float32, from, to int) {
	for i := from * w.k; i < to*w.k; i++ {
		c := w.codes[i/2]
		if i%2 == 0 {
			c >>= 4
		}
		dst[i-from*w.k] = float32(i/64*16+int(c&15)) + 0.5
	}
}

// TestRows: every level widens as plain Go does, from any row on and not a value too
// far.
func TestRows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	bytes := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	halves := func(n int) []byte { // all finite ones, and again from the start
		b := make([]byte, 0, 2*n)
		for h := uint16(0); len(b) < 2*n; h++ {
			if h&0x7c00 != 0x7c00 {
				b = binary.LittleEndian.AppendUint16(b, h)
			}
		}
		return b
	}
	four := &quantized{5, 192, bytes(5 * 96)}
	for i := range 256 { // every byte
		four.codes[i] = byte(i)
	}
	for _, l := range levels() {
		eight, err := kernel.ToInt8(&kernel.Dense{N: 35, K: 70, Data: normal(35 * 70)})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range []kernel.Weight{
			eight,
			&kernel.BF16{N: 7, K: 5, Data: bytes(70)}, &kernel.BF16{N: 3, K: 16, Data: bytes(96)},
			&kernel.BF16{N: 4, K: 77, Data: bytes(4 * 154)},
			&kernel.F16{N: 7, K: 5, Data: halves(35)}, &kernel.F16{N: 3, K: 16, Data: halves(48)},
			&kernel.F16{N: 256, K: 248, Data: halves(248 << 8)}, four, &quantized{2, 96, bytes(96)},
		} {
			n, k := w.Shape()
			for from := range n {
				for to := from; to <= min(n, from+7) || to == n; to++ {
					want, got := make([]float32, (to-from)*k), make([]float32, (to-from)*k+20)
					w.Rows(want, from, to)
					l.rows(got, w, from, to)
					same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
					if !slices.EqualFunc(got[:len(want)], want, same) || slices.Max(got[len(want):]) != 0 ||
						slices.Min(got[len(want):]) != 0 {
						t.Fatalf("%s: %T (%d, %d), rows %d..%d:\ngot  %v\nwant %v", l.name, w, n, k, from, to,
							got, want)
					}
				}
			}
		}
	}
}

// BenchmarkRows is how fast weights are widened, one thread.
func BenchmarkRows(b *testing.B) {
	const n, k = 512, 1024
	bf := &kernel.BF16{N: n, K: k, Data: make([]byte, 2*n*k)}
	for i := range n * k {
		binary.LittleEndian.PutUint16(bf.Data[2*i:], uint16(0x3f80+i%64))
	}
	dst := make([]float32, 16*k)
	for name, w := range map[string]kernel.Weight{"bf16": bf, "fp16": &kernel.F16{N: n, K: k, Data: bf.Data},
		"four bits": &quantized{n, k, make([]byte, n*k/2)}} {
		for _, l := range levels() {
			b.Run(name+"/"+l.name, func(b *testing.B) {
				for b.Loop() {
					for from := 0; from < n; from += 16 {
						l.rows(dst, w, from, from+16)
					}
				}
				b.ReportMetric(float64(b.N)*n*k/b.Elapsed().Seconds()/1e9, "Gweights/s")
			})
		}
	}
}

// BenchmarkWrapped multiplies few rows with a weight that no cache holds; GB/s counts the
// weight alone.
func BenchmarkWrapped(b *testing.B) {
	const n, k = 65536, 896
	bf := &kernel.BF16{N: n, K: k, Data: make([]byte, 2*n*k)}
	for i := range n * k {
		binary.LittleEndian.PutUint16(bf.Data[2*i:], uint16(0x3f80+i%64))
	}
	eight, err := kernel.ToInt8(bf)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range []struct {
		name  string
		w     kernel.Weight
		bytes float64
	}{{"bf16", bf, 2 * n * k}, {"fp16", &kernel.F16{N: n, K: k, Data: bf.Data}, 2 * n * k},
		{"fp32", &kernel.Dense{N: n, K: k, Data: normal(n * k)}, 4 * n * k}, {"int8", eight, n * k * (1 + 1.0/16)}} {
		for _, t := range []int{1, 4, 32} {
			x, y := normal(t*k), make([]float32, t*n)
			b.Run(fmt.Sprintf("%s/%d rows", f.name, t), func(b *testing.B) {
				each(b, func(b *testing.B, dev kerneltest.Slices) {
					m := dev.Wrap(f.w)
					measure(b, 2*t*n*k, func() { dev.MatMul(y, x, m, t, false) })
					b.ReportMetric(float64(b.N)*f.bytes/b.Elapsed().Seconds()/1e9, "GB/s")
				})
			})
		}
	}
}

package kernel

import (
	"encoding/binary"
	"math"
	"runtime"
)

// Weight is a frozen matrix (N, K) in the form in which it is kept, such as bf16 or
// four bits. Every form stands for exact float32 values. Many goroutines may use one.
type Weight interface {
	Shape() (n, k int)
	// Rows fills dst (to−from, K) with rows from..to−1.
	Rows(dst []float32, from, to int)
}

// Dense is a weight in float32.
type Dense struct {
	N, K  int
	Data  []float32 // (N, K); may be a part of a mapped file
	Owner any       // keeps Data mapped; nil when it is plain memory
}

// Shape returns N and K.
func (w *Dense) Shape() (n, k int) { return w.N, w.K }

// Rows copies.
func (w *Dense) Rows(dst []float32, from, to int) {
	copy(dst, w.Data[from*w.K:to*w.K])
	runtime.KeepAlive(w.Owner)
}

// BF16 is a weight in bfloat16, little-endian, as weight files have it: Data may be
// a part of a mapped file.
type BF16 struct {
	N, K  int
	Data  []byte // (N, K, 2)
	Owner any    // keeps Data mapped; nil when it is plain memory
}

// Shape returns N and K.
func (w *BF16) Shape() (n, k int) { return w.N, w.K }

// Rows widens: the 16 bits are the high half of a float32.
func (w *BF16) Rows(dst []float32, from, to int) {
	src := w.Data[2*from*w.K : 2*to*w.K]
	for i := range dst[:len(src)/2] {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
	runtime.KeepAlive(w.Owner)
}

// F16 is a weight in IEEE halves, little-endian, otherwise like BF16.
type F16 struct {
	N, K  int
	Data  []byte // (N, K, 2)
	Owner any
}

// Shape returns N and K.
func (w *F16) Shape() (n, k int) { return w.N, w.K }

// Rows widens.
func (w *F16) Rows(dst []float32, from, to int) {
	src := w.Data[2*from*w.K : 2*to*w.K]
	for i := range dst[:len(src)/2] {
		dst[i] = FromHalf(binary.LittleEndian.Uint16(src[2*i:]))
	}
	runtime.KeepAlive(w.Owner)
}

// ToBF16 rounds to the nearest bfloat16, ties to even. A finite value stays finite
// unless it is beyond the largest bfloat16 by more than half a step.
func ToBF16(v float32) uint16 {
	u := math.Float32bits(v)
	return uint16((u + 0x7fff + (u>>16)&1) >> 16)
}

// Quantized is a weight in four bits: every block of 64 values, counted row by row, has codes
// that are indexes into the block's own table of 16 values.
type Quantized interface {
	Weight
	// Block returns the codes of block b, two in a byte, the first in the high half, and fills
	// table with the value of each code. The last block may be shorter.
	Block(b int, table *[16]float32) (codes []byte)
}

// Widened returns all of w in float32, freshly allocated.
func Widened(w Weight) []float32 {
	n, k := w.Shape()
	all := make([]float32, n*k)
	w.Rows(all, 0, n)
	return all
}

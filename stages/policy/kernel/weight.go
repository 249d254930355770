package kernel

import (
	"encoding/binary"
	"math"
	"runtime"
)

// Weight is a frozen matrix (N, K) in its own type, such as bfloat16 or four bits. Every value of
// every type converts to float32 exactly. Many goroutines may use a Weight at once.
type Weight interface {
	Shape() (n, k int)
	// Rows fills dst (to−from, K) with rows from to to−1, in float32.
	Rows(dst []float32, from, to int)
}

// Dense is a weight in float32.
type Dense struct {
	N, K  int
	Data  []float32 // (N, K); may lie in a mapped file
	Owner any       // while it is reachable, Data stays mapped; nil for plain memory
}

// Shape returns N and K.
func (w *Dense) Shape() (n, k int) { return w.N, w.K }

// Rows copies the rows.
func (w *Dense) Rows(dst []float32, from, to int) {
	copy(dst, w.Data[from*w.K:to*w.K])
	runtime.KeepAlive(w.Owner)
}

// BF16 is a weight in bfloat16, little-endian, as in weight files: Data may lie in a mapped file.
type BF16 struct {
	N, K  int
	Data  []byte // (N, K, 2)
	Owner any    // while it is reachable, Data stays mapped; nil for plain memory
}

// Shape returns N and K.
func (w *BF16) Shape() (n, k int) { return w.N, w.K }

// Rows converts to float32: the 16 bits are the high half of a float32.
func (w *BF16) Rows(dst []float32, from, to int) {
	src := w.Data[2*from*w.K : 2*to*w.K]
	for i := range dst[:len(src)/2] {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
	runtime.KeepAlive(w.Owner)
}

// F16 is a weight in IEEE half precision, little-endian, otherwise like BF16.
type F16 struct {
	N, K  int
	Data  []byte // (N, K, 2)
	Owner any
}

// Shape returns N and K.
func (w *F16) Shape() (n, k int) { return w.N, w.K }

// Rows converts to float32.
func (w *F16) Rows(dst []float32, from, to int) {
	src := w.Data[2*from*w.K : 2*to*w.K]
	for i := range dst[:len(src)/2] {
		dst[i] = FromHalf(binary.LittleEndian.Uint16(src[2*i:]))
	}
	runtime.KeepAlive(w.Owner)
}

// ToBF16 rounds to the nearest bfloat16, ties to even. A finite value becomes infinite only if it
// exceeds the largest bfloat16 by at least half a step.
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

// Widened returns all of w (N, K) in float32, in newly allocated memory.
func Widened(w Weight) []float32 {
	n, k := w.Shape()
	all := make([]float32, n*k)
	w.Rows(all, 0, n)
	return all
}

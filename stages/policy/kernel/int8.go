package kernel

import (
	"fmt"
	"math"
	"runtime"
	"sync"
)

// Int8 is a weight in eight bits: each block of 32 neighbouring values of a row has one scale, an
// IEEE half, and a value is its code times that scale. These are the values of llama.cpp's Q8_0.
//
// Groups of sixteen rows are interleaved value by value, in the order in which a product reads them.
type Int8 struct {
	N, K   int
	Codes  []byte   // (⌈N/16⌉, K, 16), each plus 128; undefined behind the last row
	Scales []uint16 // (⌈N/16⌉, ⌈K/32⌉, 16); 0 behind the last row
}

// The layout of an Int8.
const (
	Int8Rows  = 16 // rows that are interleaved
	Int8Block = 32 // values of a row that share a scale
)

// ToInt8 rounds w as llama.cpp's quantize_row_q8_0_ref does: the scale is the largest
// magnitude of the block ÷ 127. The error names the row and the values if one of them is not
// finite or too large for a scale.
func ToInt8(w Weight) (*Int8, error) {
	n, k := w.Shape()
	groups, blocks := (n+Int8Rows-1)/Int8Rows, (k+Int8Block-1)/Int8Block
	q := &Int8{N: n, K: k, Codes: make([]byte, groups*k*Int8Rows), Scales: make([]uint16, groups*blocks*Int8Rows)}
	bad := make([]error, groups)
	Spread(groups, func(first, last int) {
		rows := make([]float32, Int8Rows*k)
		for g := first; g < last; g++ {
			from, to := g*Int8Rows, min(n, (g+1)*Int8Rows)
			w.Rows(rows, from, to)
			for r := from; r < to && bad[g] == nil; r++ {
				bad[g] = q.encode(r, rows[(r-from)*k:(r-from+1)*k])
			}
		}
	})
	for _, err := range bad {
		if err != nil {
			return nil, err
		}
	}
	return q, nil
}

// at returns row r's codes and scales: the first of each, and then every Int8Rows-th.
func (w *Int8) at(r int) (codes []byte, scales []uint16) {
	g, j := r/Int8Rows, r%Int8Rows
	blocks := (w.K + Int8Block - 1) / Int8Block
	if w.K == 0 {
		return nil, nil
	}
	return w.Codes[g*w.K*Int8Rows+j:], w.Scales[g*blocks*Int8Rows+j:]
}

func (w *Int8) encode(r int, values []float32) error {
	codes, scales := w.at(r)
	for b := 0; b*Int8Block < len(values); b++ {
		block := values[b*Int8Block : min(len(values), (b+1)*Int8Block)]
		var top float32
		for _, v := range block {
			top = max(top, v, -v) // NaN if one of them is
		}
		scale := ToHalf(top / 127)
		switch {
		case !(float64(FromHalf(scale)) < math.Inf(1)):
			return fmt.Errorf("row %d, values %d to %d: the largest magnitude is %g, "+
				"but eight bits reach only 127 × 65,504", r, b*Int8Block, b*Int8Block+len(block)-1, top)
		case scale == 0: // every value becomes 0, so the codes do not matter
			continue
		}
		scales[b*Int8Rows] = scale
		inverse := 1 / (top / 127)
		for i, v := range block {
			// Halves away from zero, as C's roundf.
			codes[(b*Int8Block+i)*Int8Rows] = byte(128 + int(math.Round(float64(v*inverse))))
		}
	}
	return nil
}

// Shape returns N and K.
func (w *Int8) Shape() (n, k int) { return w.N, w.K }

// Rows converts to float32: code times scale is exact.
func (w *Int8) Rows(dst []float32, from, to int) {
	for r := from; r < to; r++ {
		codes, scales := w.at(r)
		row := dst[(r-from)*w.K : (r-from+1)*w.K]
		for b := 0; b*Int8Block < w.K; b++ {
			scale := FromHalf(scales[b*Int8Rows])
			for i := b * Int8Block; i < min(w.K, (b+1)*Int8Block); i++ {
				row[i] = float32(int(codes[i*Int8Rows])-128) * scale
			}
		}
	}
}

// Block copies the codes of block b of row r to dst and returns the block's scale, an IEEE half.
func (w *Int8) Block(dst *[Int8Block]int8, r, b int) (scale uint16) {
	codes, scales := w.at(r)
	for i := range dst {
		dst[i] = int8(codes[(b*Int8Block+i)*Int8Rows] - 128)
	}
	return scales[b*Int8Rows]
}

// Spread cuts 0 to n−1 into one range for each processor and calls do for all of them at once. It
// returns when all calls have returned.
func Spread(n int, do func(first, last int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var wait sync.WaitGroup
	for i := range workers {
		wait.Go(func() { do(i*n/workers, (i+1)*n/workers) })
	}
	wait.Wait()
}

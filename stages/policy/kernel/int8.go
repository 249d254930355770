package kernel

import (
	"fmt"
	"math"
	"runtime"
	"sync"
)

// Int8 is a weight in eight bits: 32 neighbouring values of a row are codes times one
// scale, which is an IEEE half. These are the values of llama.cpp's Q8_0.
//
// Sixteen rows lie side by side, value by value, as a product reads them.
type Int8 struct {
	N, K   int
	Codes  []byte   // (⌈N/16⌉, K, 16), each plus 128; anything behind the last row
	Scales []uint16 // (⌈N/16⌉, ⌈K/32⌉, 16); 0 behind the last row
}

// Int8Rows lie side by side in an Int8, and Int8Block of their values share a scale.
const (
	Int8Rows  = 16
	Int8Block = 32
)

// ToInt8 rounds w as llama.cpp's quantize_row_q8_0_ref does: the scale is the largest
// magnitude ÷ 127. It refuses, by row, what is not finite or too large for a scale.
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

// at is where row r's codes and scales begin; steps of Int8Rows lead on.
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
			top = max(top, v, -v) // NaN if one is
		}
		scale := ToHalf(top / 127)
		switch {
		case !(float64(FromHalf(scale)) < math.Inf(1)):
			return fmt.Errorf("row %d, values %d to %d: the largest magnitude is %g, and eight bits reach to 127 × 65,504", r, b*Int8Block, b*Int8Block+len(block)-1, top)
		case scale == 0: // all stand for 0, whatever their codes
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

// Rows widens: the products are exact.
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

// Block is block b of row r: a scale, and its codes into dst.
func (w *Int8) Block(dst *[Int8Block]int8, r, b int) (scale uint16) {
	codes, scales := w.at(r)
	for i := range dst {
		dst[i] = int8(codes[(b*Int8Block+i)*Int8Rows] - 128)
	}
	return scales[b*Int8Rows]
}

// Spread cuts 0..n−1 into ranges, one for each processor, and does them at once.
func Spread(n int, do func(first, last int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var wait sync.WaitGroup
	for i := range workers {
		wait.Go(func() { do(i*n/workers, (i+1)*n/workers) })
	}
	wait.Wait()
}

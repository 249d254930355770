//go:build (amd64 || arm64) && !purego

package cpu

import "unsafe"

// packColumnsBy returns packColumns for panels of 16 columns, of which transpose turns
// group at a time over 4·fours steps; edges are left to plain Go.
func packColumnsBy(
	group int, transpose func(dst, src *float32, srcRow, fours int),
) func(dst, src *float32, srcRow, k, width int) {
	return func(dst, src *float32, srcRow, k, width int) {
		const cols = 16
		whole, to, from := k&^3, unsafe.Slice(dst, k*cols), unsafe.Slice(src, (width-1)*srcRow+k)
		for j := 0; j < cols; j += group {
			done := 0
			if j+group <= width && whole > 0 {
				transpose(&to[j], &from[j*srcRow], srcRow, whole/4)
				done = whole
			}
			for p := done; p < k; p++ {
				for i := j; i < j+group; i++ {
					to[p*cols+i] = 0
					if i < width {
						to[p*cols+i] = from[i*srcRow+p]
					}
				}
			}
		}
	}
}

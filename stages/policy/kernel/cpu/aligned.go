package cpu

import "unsafe"

// aligned returns n zeros that start on a cache line, so that no vector load of a
// panel touches two.
func aligned(n int) []float32 {
	const line = 16 // floats
	whole := make([]float32, n+line)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(whole)))/4) & (line - 1)
	return whole[skip : skip+n : skip+n]
}

//go:build gpu && linux && amd64

package cudriver

import "itool/stages/policy/kernel/cuda"

// LibraryEnv names the file of cuBLASLt.
const LibraryEnv = libraryEnv

// HostLibrary is cuBLASLt for products of all sizes, without the context of a device.
func HostLibrary() (cuda.Library, error) {
	return newLibrary(func(f func() error) error { return f() }, func(cuda.LibraryProduct) bool { return true })
}

// Package cuda is the device for NVIDIA's GPUs: kernels in CUDA C, the PTX that NVRTC made of them, and
// what launches them. It compiles everywhere and has no driver in it; only a binary that is built with the
// tag gpu has one.
//
//	device, err := cuda.New(driver)  // loads the kernels; a kernel.Device
//	x := device.Put(numbers)
//	device.RMSNorm(y, rstd, x, w, t, k, 1e-5)
//
// Device is the engine's side: memory that the collector frees, and failures. It stands on Launcher, which
// takes addresses and returns errors.
//
// kernels/ has one .cu file for each group of operations, and beside it the PTX, whose first line has the
// digest of its source. task generate makes it again, with NVRTC from the Python package index; no GPU is
// needed. Package ptx runs the same PTX on the CPU, checks every access, and stands behind Driver in tests
// (package cudatest).
//
// What holds for every kernel: sums have one fixed order and no result comes from atomics, so the same
// device gives the same bits; a row's result does not depend on other rows; a NaN input gives a NaN
// result.
package cuda

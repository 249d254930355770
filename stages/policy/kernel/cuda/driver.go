package cuda

import "math"

// Driver is one device as the code of this package sees it. gorgonia.org/cu is behind it in the binary, and
// the interpreter of PTX in tests. Calls take effect in their order. A goroutine may use a driver at any
// time, but only one at once.
type Driver interface {
	// Name says what computes, such as "NVIDIA H200".
	Name() string
	// Memory returns the bytes that are free, and all.
	Memory() (free, total int64, err error)
	// Allocate reserves n > 0 bytes at a multiple of 256. What they hold is undefined.
	Allocate(n int64) (Address, error)
	Free(a Address) error
	// CopyIn and CopyOut return when the bytes are copied, CopyOut behind all kernels before it. Move copies
	// within the device; the two places must not overlap.
	CopyIn(to Address, from []byte) error
	CopyOut(to []byte, from Address) error
	Move(to, from Address, n int64) error
	// Load compiles PTX for the device.
	Load(ptx string) (Module, error)
	// Synchronise waits for all kernels. What went wrong in one shows here, or in a later copy.
	Synchronise() error
	// Close frees everything. Nothing may be called afterwards.
	Close() error
}

// Module is loaded PTX.
type Module interface {
	// Kernel finds a kernel by its name.
	Kernel(name string) (Kernel, error)
}

// Kernel is a function of the device.
type Kernel interface {
	// Launch queues the kernel for grid × block threads with shared bytes of dynamic shared memory. args has
	// one cell for each parameter, which holds its bits: Address, Int, Long or Float. args is not retained.
	Launch(grid, block Dim, shared int, args []uint64) error
}

// Address is a place in the memory of a device; 0 is none.
type Address uint64

// At is the address of element i of elements of size bytes.
func (a Address) At(i, size int) Address { return a + Address(i)*Address(size) }

// Dim is the size of a grid in blocks or of a block in threads.
type Dim struct{ X, Y, Z int }

// Int is the cell of an int32 parameter.
func Int(v int) uint64 { return uint64(uint32(int32(v))) }

// Float is the cell of a float32 parameter.
func Float(v float32) uint64 { return uint64(math.Float32bits(v)) }

// Long is the cell of an int64 parameter.
func Long(v int64) uint64 { return uint64(v) }

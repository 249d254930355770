// Package cudatest is the driver of package cuda without a GPU: it runs the kernels in the interpreter of
// PTX, with all checks. Only tests may import it.
//
//	device, err := cuda.Open(cudatest.Open())
package cudatest

import (
	"errors"
	"fmt"

	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/ptx"
)

// Driver is one interpreter; two of them are two devices. It may be changed before its first launch.
type Driver struct {
	Machine ptx.Machine
	failed  error // of a kernel: as on a GPU, nothing works afterwards
}

var _ cuda.Driver = (*Driver)(nil)

// memoryBytes is what a device has.
const memoryBytes = 1 << 30

// Open returns a device with one GiB of memory and the shared memory of a GPU of compute capability 8.6.
func Open() *Driver {
	return &Driver{Machine: ptx.Machine{MaxShared: 99 << 10, MaxMemory: memoryBytes}}
}

// Name says that nothing here tells about speed.
func (d *Driver) Name() string { return "interpreter of PTX" }

// Memory counts what is not freed.
func (d *Driver) Memory() (free, total int64, err error) {
	total = int64(d.Machine.MaxMemory)
	return total - int64(d.Machine.Used()), total, d.failed
}

// Allocate reserves bytes, which count as not written.
func (d *Driver) Allocate(n int64) (cuda.Address, error) {
	if d.failed != nil {
		return 0, d.failed
	}
	a, err := d.Machine.Alloc(int(n))
	return cuda.Address(a), err
}

// Free releases an allocation.
func (d *Driver) Free(a cuda.Address) error { return d.Machine.Free(uint64(a)) }

// CopyIn writes to the device.
func (d *Driver) CopyIn(to cuda.Address, from []byte) error {
	if len(from) == 0 || d.failed != nil {
		return d.failed
	}
	return d.Machine.CopyIn(uint64(to), from)
}

// CopyOut reads from the device. Bytes that nothing has written are an error.
func (d *Driver) CopyOut(to []byte, from cuda.Address) error {
	if len(to) == 0 || d.failed != nil {
		return d.failed
	}
	return d.Machine.CopyOut(to, uint64(from))
}

// Move copies within the device.
func (d *Driver) Move(to, from cuda.Address, n int64) error {
	b := make([]byte, n)
	if err := d.CopyOut(b, from); err != nil {
		return err
	}
	return d.CopyIn(to, b)
}

// Load parses PTX and compiles all its kernels, so that an unknown instruction shows here.
func (d *Driver) Load(text string) (cuda.Module, error) {
	m, err := ptx.Parse(text)
	if err != nil {
		return nil, err
	}
	return module{d, m}, d.Machine.Load(m)
}

// Synchronise reports what went wrong in a kernel.
func (d *Driver) Synchronise() error { return d.failed }

// Close forgets the memory.
func (d *Driver) Close() error {
	d.Machine, d.failed = ptx.Machine{}, errors.New("the device is closed")
	return nil
}

type module struct {
	driver *Driver
	m      *ptx.Module
}

func (m module) Kernel(name string) (cuda.Kernel, error) {
	if k := m.m.Kernels[name]; k != nil {
		return kernel{m.driver, k}, nil
	}
	return nil, fmt.Errorf("the module has no kernel %s", name)
}

type kernel struct {
	driver *Driver
	k      *ptx.Kernel
}

// Launch runs the kernel at once. Its fault sticks to the device and shows in later calls, as on a GPU.
func (k kernel) Launch(grid, block cuda.Dim, shared int, args []uint64) error {
	d := k.driver
	if d.failed != nil {
		return d.failed
	}
	params, err := k.params(args)
	if err != nil {
		return err
	}
	err = d.Machine.Launch(k.k, [3]int{grid.X, grid.Y, grid.Z}, [3]int{block.X, block.Y, block.Z}, shared, params)
	if fault := (*ptx.Fault)(nil); errors.As(err, &fault) {
		d.failed = err
		return nil
	}
	return err
}

// params lays the arguments out. A cell with more bits than its parameter is an argument of another type.
func (k kernel) params(args []uint64) ([]byte, error) {
	if len(args) != len(k.k.ParamSizes) {
		return nil, fmt.Errorf("launch %s: %d arguments, want %d", k.k.Name, len(args), len(k.k.ParamSizes))
	}
	b := make([]byte, k.k.ParamBytes)
	for i, v := range args {
		size := k.k.ParamSizes[i]
		if size > 8 || size < 8 && v>>(8*size) != 0 {
			return nil, fmt.Errorf("launch %s: argument %d, %#x, does not fit a parameter of %d bytes",
				k.k.Name, i, v, size)
		}
		for j := range size {
			b[k.k.ParamOffsets[i]+j] = byte(v >> (8 * j))
		}
	}
	return b, nil
}

//go:build gpu && linux && amd64

package cudriver

/*
#cgo LDFLAGS: -L${SRCDIR}/stub -ldl
extern int shim_state;
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"

	"itool/stages/policy/kernel/cuda"
)

// ErrNone says that there is no driver, or no GPU for it.
var ErrNone = errors.New("cuda: no GPU")

// noDevice is CUDA_ERROR_NO_DEVICE.
const noDevice = 100

// Devices is how many GPUs there are. The error is ErrNone with the reason, or that of a driver that fails.
func Devices() (int, error) {
	switch state := int(C.shim_state); {
	case state < 0:
		return 0, fmt.Errorf("%w: no driver: libcuda.so.1 is not there: install NVIDIA's driver", ErrNone)
	case state == noDevice:
		return 0, fmt.Errorf("%w: the driver sees no device", ErrNone)
	case state > 0:
		return 0, fmt.Errorf("cuda: the driver does not start: cuInit: error %d: run nvidia-smi", state)
	}
	return cu.NumDevices()
}

// Version is the CUDA version that the driver supports, such as 12090 for 12.9; 0 without a driver.
func Version() int { return cu.Version() }

// Driver is one GPU.
type Driver struct {
	ordinal int
	name    string
	device  cu.Device
	context cu.CUContext
}

var _ cuda.Driver = (*Driver)(nil)

// Open takes GPU number ordinal.
func Open(ordinal int) (*Driver, error) {
	n, err := Devices()
	if err == nil {
		err = cuda.CheckDriver(Version())
	}
	if err != nil {
		return nil, err
	}
	if ordinal < 0 || ordinal >= n {
		return nil, fmt.Errorf("cuda: there is no device %d: this machine has %d, counted from 0", ordinal, n)
	}
	d := &Driver{ordinal: ordinal}
	if d.device, err = cu.GetDevice(ordinal); err != nil {
		return nil, fmt.Errorf("cuda: device %d: %w", ordinal, err)
	}
	if d.name, err = d.device.Name(); err != nil {
		return nil, fmt.Errorf("cuda: device %d: %w", ordinal, err)
	}
	if d.context, err = d.device.RetainPrimaryCtx(); err != nil {
		return nil, fmt.Errorf("cuda: device %d (%s): %w", ordinal, d.name, err)
	}
	return d, nil
}

// Name is the name and the number of the device.
func (d *Driver) Name() string { return fmt.Sprintf("%s (cuda:%d)", d.name, d.ordinal) }

// do calls f with the device's context: the driver keeps it for each thread of the operating system.
func (d *Driver) do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(d.context); err != nil {
		return err
	}
	return f()
}

// Memory returns the free bytes and all.
func (d *Driver) Memory() (free, total int64, err error) {
	err = d.do(func() (err error) {
		free, total, err = cu.MemInfo()
		return err
	})
	return free, total, err
}

// Allocate is cuMemAlloc; managed memory is never used, because it can hang a card.
func (d *Driver) Allocate(n int64) (a cuda.Address, err error) {
	err = d.do(func() error {
		p, err := cu.MemAlloc(n)
		a = cuda.Address(p)
		return err
	})
	if err != nil {
		free, total, _ := d.Memory()
		return 0, fmt.Errorf("%d bytes, %d of %d are free: %w", n, free, total, err)
	}
	return a, nil
}

// Free is cuMemFree.
func (d *Driver) Free(a cuda.Address) error {
	return d.do(func() error { return cu.MemFree(cu.DevicePtr(a)) })
}

// CopyIn waits for the copy.
func (d *Driver) CopyIn(to cuda.Address, from []byte) error {
	if len(from) == 0 {
		return nil
	}
	return d.do(func() error {
		return cu.MemcpyHtoD(cu.DevicePtr(to), unsafe.Pointer(unsafe.SliceData(from)), int64(len(from)))
	})
}

// CopyOut waits for all kernels and the copy.
func (d *Driver) CopyOut(to []byte, from cuda.Address) error {
	if len(to) == 0 {
		return nil
	}
	return d.do(func() error {
		return cu.MemcpyDtoH(unsafe.Pointer(unsafe.SliceData(to)), cu.DevicePtr(from), int64(len(to)))
	})
}

// Move copies within the device.
func (d *Driver) Move(to, from cuda.Address, n int64) error {
	if n == 0 {
		return nil
	}
	return d.do(func() error { return cu.MemcpyDtoD(cu.DevicePtr(to), cu.DevicePtr(from), n) })
}

// Load lets the driver compile PTX.
func (d *Driver) Load(ptx string) (m cuda.Module, err error) {
	err = d.do(func() error {
		loaded, err := cu.LoadData(ptx)
		m = module{d, loaded}
		return err
	})
	return m, err
}

// Synchronise waits for all kernels.
func (d *Driver) Synchronise() error { return d.do(cu.Synchronize) }

// Close releases the context, and with it the memory.
func (d *Driver) Close() error { return d.device.ReleasePrimaryCtx() }

type module struct {
	driver *Driver
	module cu.Module
}

func (m module) Kernel(name string) (k cuda.Kernel, err error) {
	err = m.driver.do(func() error {
		f, err := m.module.Function(name)
		k = &kernel{driver: m.driver, function: f}
		return err
	})
	return k, err
}

type kernel struct {
	driver   *Driver
	function cu.Function
	pointers [32]unsafe.Pointer // to the cells of a launch; launches of a device follow one another
}

// Launch passes pointers to the cells: cu reads eight bytes at each.
func (k *kernel) Launch(grid, block cuda.Dim, shared int, args []uint64) error {
	if len(args) > len(k.pointers) {
		return fmt.Errorf("%d arguments, at most %d are supported", len(args), len(k.pointers))
	}
	for i := range args {
		k.pointers[i] = unsafe.Pointer(&args[i])
	}
	return k.driver.do(func() error {
		return k.function.Launch(grid.X, grid.Y, grid.Z, block.X, block.Y, block.Z, shared, cu.NoStream,
			k.pointers[:len(args)])
	})
}

package cuda

import (
	"fmt"
	"runtime"
	"time"

	"itool/stages/policy/kernel"
)

// Memory of the GPU lives as long as something on the host refers to it, as a slice does. Go's collector does not
// know how full the GPU is: an allocation that does not fit runs it first.

// collections is how often an allocation that does not fit runs the collector. What a block referred to is found
// in the first one at the earliest, and freed by a goroutine afterwards.
const collections = 5

// allocate reserves n > 0 bytes. The caller holds mu.
func (d *Launcher) allocate(n int64) (a Address, err error) {
	for try := range collections {
		if err = d.reap(); err != nil {
			return 0, err
		}
		if a, err = d.driver.Allocate(n); err == nil {
			return a, nil
		}
		runtime.GC()
		time.Sleep(time.Duration(try) * time.Millisecond)
	}
	return 0, err
}

// Room is that of kernel.Limited.
func (d *Device) Room(need int64) (free, total int64, err error) {
	l := d.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for try := range collections {
		if err := l.reap(); err != nil {
			return 0, 0, err
		}
		if free, total, err = l.driver.Memory(); err != nil {
			return 0, 0, fmt.Errorf("cuda: %s: free memory: %w", l.driver.Name(), err)
		}
		if free >= need {
			break
		}
		runtime.GC()
		time.Sleep(time.Duration(try) * time.Millisecond)
	}
	return free, total, nil
}

// reap frees what nothing refers to any more. The caller holds mu.
func (d *Launcher) reap() error {
	d.deadMu.Lock()
	defer d.deadMu.Unlock()
	for _, a := range d.dead {
		if err := d.driver.Free(a); err != nil {
			return fmt.Errorf("cuda: %s: free memory: %w", d.driver.Name(), err)
		}
	}
	d.dead = d.dead[:0]
	return nil
}

// block reserves n bytes that are freed when nothing refers to the block any more.
func (d *Launcher) block(n int64) (*kernel.Block, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.allocate(max(n, 1))
	if err != nil {
		return nil, fmt.Errorf("cuda: %s: %d bytes: %w", d.driver.Name(), n, err)
	}
	return kernel.NewBlock(uint64(a), n, d.free), nil
}

// keep makes a block of an allocation.
func (d *Launcher) keep(a Address) *kernel.Block { return kernel.NewBlock(uint64(a), 0, d.free) }

// free runs in a goroutine of the collector: the memory is freed with the next allocation.
func (d *Launcher) free(a uint64) {
	d.deadMu.Lock()
	defer d.deadMu.Unlock()
	d.dead = append(d.dead, Address(a))
}

func (d *Launcher) copyIn(to Address, from []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed("copy to the device", int64(len(from)), d.driver.CopyIn(to, from))
}

func (d *Launcher) copyOut(to []byte, from Address) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed("copy from the device", int64(len(to)), d.driver.CopyOut(to, from))
}

func (d *Launcher) move(to, from Address, n int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed("copy within the device", n, d.driver.Move(to, from, n))
}

// failed adds to an error what was done, to how many bytes, on which device.
func (d *Launcher) failed(what string, n int64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cuda: %s: %s, %d bytes: %w", d.driver.Name(), what, n, err)
}

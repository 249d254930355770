package cuda

import (
	"embed"
	"fmt"
	"sync"
)

//go:embed kernels/*.ptx
var files embed.FS

// modules are the files of kernels, and the kernels in each.
var modules = []struct {
	file    string
	kernels []string
}{
	{"elementwise", []string{"scale", "scale_rows", "add", "add_bias", "fill", "to_bf16", "swiglu", "swiglu_backward",
		"rope", "adamw"}},
	{"norm", []string{"rmsnorm", "rmsnorm_backward", "rmsnorm_backward_weight"}},
	{"rows", []string{"gather_rows", "scatter_rows", "embed_f32", "embed_bf16", "embed_f16", "embed_int8",
		"embed_backward", "sum_rows"}},
	{"product", productKernels()},
	{"attention", attentionKernels()},
	{"paths", append(sized("paths_f32", "paths_bf16"), "paths_combine")},
	{"head", []string{"head_add", "head_finish", "head_gradient"}},
	{"sample", []string{"sample"}},
	{"sums", []string{"sum_squares", "sum_parts"}},
}

// Launcher launches the kernels on one driver: an operation takes addresses and returns errors. Device is the
// kernel.Device that stands on it. Many goroutines may use it: launches follow one another in
// the order of their calls. Errors name the operation, its sizes and the device; after one the results are
// undefined.
type Launcher struct {
	driver  Driver
	kernels map[string]Kernel

	mu      sync.Mutex
	args    [32]uint64 // of the launch under way, so that a launch allocates nothing
	scratch Address    // for partial results; grows as needed
	size    int64      // of scratch
	library Library    // for large products; nil: the kernels compute all

	deadMu sync.Mutex
	dead   []Address // memory to which nothing refers any more, to be freed
}

// Open loads all kernels. The launcher owns the driver and closes it.
func Open(driver Driver) (*Launcher, error) {
	d := &Launcher{driver: driver, kernels: map[string]Kernel{}}
	for _, m := range modules {
		text, err := files.ReadFile("kernels/" + m.file + ".ptx")
		if err != nil {
			return nil, fmt.Errorf("cuda: %s: %w", driver.Name(), err)
		}
		loaded, err := driver.Load(string(text))
		if err != nil {
			return nil, fmt.Errorf("cuda: %s: load %s: %w", driver.Name(), m.file, err)
		}
		for _, name := range m.kernels {
			if d.kernels[name], err = loaded.Kernel(name); err != nil {
				return nil, fmt.Errorf("cuda: %s: load %s: %w", driver.Name(), m.file, err)
			}
		}
	}
	return d, nil
}

// Driver is where memory comes from.
func (d *Launcher) Driver() Driver { return d.driver }

// Close frees the device's memory and closes the driver.
func (d *Launcher) Close() error { return d.driver.Close() }

// launch queues a kernel. An empty grid is nothing to do.
func (d *Launcher) launch(name string, grid, block Dim, shared int, args ...uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.launchLocked(name, grid, block, shared, args...)
}

func (d *Launcher) launchLocked(name string, grid, block Dim, shared int, args ...uint64) error {
	if grid.X == 0 || grid.Y == 0 || grid.Z == 0 {
		return nil
	}
	n := copy(d.args[:], args)
	if err := d.kernels[name].Launch(grid, block, shared, d.args[:n]); err != nil {
		return fmt.Errorf("cuda: %s: %s with grid %v, block %v: %w", d.driver.Name(), name, grid, block, err)
	}
	return nil
}

// need returns scratch memory of n bytes. The caller holds mu. It grows by half, so that a sequence of
// larger and larger calls allocates seldom.
func (d *Launcher) need(n int64) (Address, error) {
	if n <= d.size {
		return d.scratch, nil
	}
	n = max(n, d.size+d.size/2)
	if d.scratch != 0 {
		if err := d.driver.Free(d.scratch); err != nil {
			return 0, fmt.Errorf("cuda: %s: free scratch memory: %w", d.driver.Name(), err)
		}
		d.scratch, d.size = 0, 0
	}
	a, err := d.allocate(n)
	if err != nil {
		return 0, fmt.Errorf("cuda: %s: %d bytes of scratch memory: %w", d.driver.Name(), n, err)
	}
	d.scratch, d.size = a, n
	return a, nil
}

// spread is the grid of an elementwise kernel: its blocks of 256 threads step through n elements.
func spread(n int) (grid, block Dim) {
	const most = 4096 // blocks; more would only be launched, not run at once
	return Dim{min(ceil(n, 256), most), 1, 1}, Dim{256, 1, 1}
}

func ceil(a, b int) int { return (a + b - 1) / b }

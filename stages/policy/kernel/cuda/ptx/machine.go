package ptx

import "fmt"

// specials are the special registers. They are the first registers of every kernel.
var specials = []string{"%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ntid.y", "%ntid.z",
	"%ctaid.x", "%ctaid.y", "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z", "%laneid", "%warpid",
	"%lanemask_eq", "%lanemask_le", "%lanemask_lt", "%lanemask_ge", "%lanemask_gt", "WARP_SZ"}

const blockIndex = 6 // of %ctaid.x in specials

// Limits that a Machine has where its fields are 0.
const (
	defaultShared = 48 << 10 // bytes of shared memory of a block without asking for more
	defaultMemory = 2 << 30  // bytes of global memory
	defaultOps    = 2e9      // instructions of warps in a launch
)

// Machine is a device: its memory, and counts of what it has run. The zero value is ready. One
// goroutine may use it at a time; machines share nothing.
type Machine struct {
	MaxShared int    // bytes of shared memory of a block; 0: 48 KiB
	MaxMemory int    // bytes that may be allocated at once; 0: 2 GiB
	MaxOps    uint64 // instructions of warps in a launch, against endless loops; 0: 2e9
	// Profile makes launches count Stats.Conflicts and Stats.Sectors, which takes time.
	Profile bool
	Stats   Stats

	memory memory
	clock  uint32 // of the race check
}

// Stats counts since the machine was made.
type Stats struct {
	WarpOps uint64 // instructions, once a warp
	LaneOps uint64 // the same, once an active lane
	// Conflicts are the additional cycles that accesses to shared memory take because lanes want
	// different addresses of one bank. 0 is the best.
	Conflicts uint64
	// Sectors are the pieces of 32 bytes that accesses to global memory touch; Bytes are those that
	// lanes asked for. Bytes/32 sectors are the best.
	Sectors, Bytes uint64
}

// Load gives the module's variables addresses and compiles its kernels. The error names the first
// instruction that is not known.
func (m *Machine) Load(mod *Module) error {
	for _, v := range mod.vars {
		if v.space == "shared" || v.size == 0 {
			continue
		}
		address, err := m.Alloc(v.size)
		if err != nil {
			return fmt.Errorf("ptx: variable %s: %w", v.name, err)
		}
		v.offset = address
		m.memory.pin(address, v.init)
	}
	for _, k := range mod.Kernels {
		for _, in := range k.code {
			if err := compile(k, in); err != nil {
				return fmt.Errorf("ptx: kernel %s, line %d: %s: %w", k.Name, in.line, in.op, err)
			}
		}
	}
	return nil
}

// Launch runs a loaded kernel to its end, block after block. params is the parameter block; dynamic
// are the bytes of dynamic shared memory. The error is a *Fault if the kernel did something wrong,
// and otherwise says what is wrong with the launch.
func (m *Machine) Launch(k *Kernel, grid, dim [3]int, dynamic int, params []byte) error {
	shared, err := m.check(k, grid, dim, dynamic, params)
	if err != nil {
		return fmt.Errorf("launch %s: %w", k.Name, err)
	}
	b := &block{machine: m, kernel: k, params: params, dim: dim, shared: newSharedMemory(shared)}
	b.budget = m.Stats.WarpOps + m.MaxOps
	if m.MaxOps == 0 {
		b.budget += defaultOps
	}
	threads := dim[0] * dim[1] * dim[2]
	for i := range (threads + 31) / 32 {
		b.warps = append(b.warps, newWarp(b, i, grid))
	}
	m.clock++
	b.time.launch = m.clock
	for i := range grid[0] * grid[1] * grid[2] {
		b.index = [3]int{i % grid[0], i / grid[0] % grid[1], i / grid[0] / grid[1]}
		b.begin(threads)
		if err := b.run(); err != nil {
			return err
		}
	}
	return nil
}

// check refuses what a driver refuses, and returns the bytes of shared memory of a block.
func (m *Machine) check(k *Kernel, grid, dim [3]int, dynamic int, params []byte) (shared int, err error) {
	for i := range 3 {
		if limit := [3]int{1024, 1024, 64}[i]; dim[i] < 1 || dim[i] > limit {
			return 0, fmt.Errorf("blocks of %v threads", dim)
		}
		if limit := [3]int{1<<31 - 1, 65535, 65535}[i]; grid[i] < 1 || grid[i] > limit {
			return 0, fmt.Errorf("a grid of %v blocks", grid)
		}
	}
	threads, most := dim[0]*dim[1]*dim[2], 1024
	if k.maxThreads > 0 {
		most = min(most, k.maxThreads)
	}
	if threads > most {
		return 0, fmt.Errorf("%d threads in a block, of %d at most", threads, most)
	}
	if len(params) != k.ParamBytes {
		return 0, fmt.Errorf("%d bytes of parameters, want %d", len(params), k.ParamBytes)
	}
	limit := m.MaxShared
	if limit == 0 {
		limit = defaultShared
	}
	shared = k.sharedBytes
	if dynamic > 0 {
		shared = alignUp(shared, 16) + dynamic
	}
	if dynamic < 0 || shared > limit {
		return 0, fmt.Errorf("%d bytes of shared memory, of %d at most", shared, limit)
	}
	return shared, nil
}

// block is the block of threads that runs.
type block struct {
	machine *Machine
	kernel  *Kernel
	params  []byte
	shared  *sharedMemory
	warps   []*warp
	dim     [3]int
	index   [3]int
	time    times
	budget  uint64 // of Stats.WarpOps
}

// begin readies everything for the next block.
func (b *block) begin(threads int) {
	b.machine.clock++
	b.time.block, b.time.phase = b.machine.clock, b.machine.clock
	b.shared.reset()
	for _, w := range b.warps {
		w.reset(threads)
	}
}

// run lets one warp after the other go on to its next barrier. When all wait, the barrier opens.
func (b *block) run() error {
	for {
		waiting := 0
		for _, w := range b.warps {
			if err := w.run(); err != nil {
				return err
			}
			if w.atBarrier {
				waiting++
			}
		}
		if waiting == 0 {
			return nil
		}
		b.machine.clock++
		b.time.phase = b.machine.clock
		for _, w := range b.warps {
			w.atBarrier = false
		}
	}
}

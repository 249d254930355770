// Package cpu computes every kernel at the speed of the machine: matrix tiles and
// elementwise loops in generated assembly (AVX-512, AVX2, NEON), plain blocked Go
// elsewhere, spread over a small pool of threads.
//
// It knows nothing of models; its shape is: level.go names what an instruction set
// must offer, gemm.go blocks every matrix product, the other files are one group
// of operations each. The level is chosen at run time:
//
//	dev, err := cpu.New(cpu.Options{}) // all threads, best level
//
// For one level, results have the same bits for any number of threads. That holds on one
// architecture: on arm64 the compiler fuses products and sums of plain Go, on amd64 not.
//
// The level "neon", of arm64, has run under emulation only (QEMU): all tests pass, its
// speed is unknown. Of every kernel but packRows there is assembly, of weights only for bf16 and four bits:
// those in fp16 and in eight bits are widened by plain Go there.
//
// The level "amx" rounds the factors of every matrix product, attention's too, to bf16
// and multiplies them on the tile unit of recent Xeons. It must be asked for by name, because it
// changes what training computes and because it has not yet run on silicon. What it
// was checked by: the blocks, their packing and the whole device with plain loops in
// place of the assembly, by the suite (TestBF16Layout, on any machine); the assembly,
// assembled as it is here, in Bochs 3.0's model of a Sapphire Rapids without an
// operating system: every kernel at the edges of its sizes against plain loops, all
// 182,720 values equal to the bit, the tile configuration gone after each call (Bochs
// had to be mended first: its VCVTNE2PS2BF16 read the high half out of bounds). What
// no run has shown: Linux' permission, threads and signals around tiles, and speed.
// On a machine that has the unit, TestDevice, TestThreadsDoNotChangeBits and the
// benchmarks run at this level too.
package cpu

//go:generate go run ./gen

import (
	"fmt"
	"runtime"
	"strings"
	"sync"

	"itool/stages/policy/kernel"
)

var _ kernel.Device = (*Device)(nil)

// Options choose threads and instruction set.
type Options struct {
	Threads int    // that work on one call; 0 means GOMAXPROCS
	Level   string // "avx512", "avx2", "neon", "go" or "amx"; "" means the best but for the last
}

// Device is the CPU. It may be used by many goroutines at once: one call at a time
// gets the threads, the others compute on their own goroutine.
type Device struct {
	level *level
	pool  *pool
	// Arguments of calls in flight, kept so that a call allocates nothing.
	products  shelf[product]
	spans     shelf[span]
	forwards  shelf[forward]
	backwards shelf[backward]
	decodes   shelf[decode]
	slabs     shelf[slab]
	widenings shelf[widening]
	loops     shelf[loop]
}

// New returns a device. The error names a level this machine does not have.
func New(o Options) (kernel.Device, error) {
	if o.Threads < 0 {
		return nil, fmt.Errorf("cpu: threads %d: must not be negative", o.Threads)
	}
	threads := o.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	for _, l := range levels() {
		if o.Level != "" && o.Level != l.name {
			continue
		}
		if l.permit != nil {
			if err := l.permit(); err != nil {
				return nil, fmt.Errorf("cpu: level %q: %w", l.name, err)
			}
		}
		return &Device{level: l, pool: newPool(threads)}, nil
	}
	return nil, fmt.Errorf("cpu: level %q: this machine has %s", o.Level, Describe())
}

// Describe lists the levels for people, with a word on those that must be asked for.
func Describe() string {
	var all []string
	for _, l := range levels() {
		name := l.name
		if l.note != "" {
			name += " (" + l.note + ")"
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// Levels lists what this machine and build can run: those that may be chosen by
// themselves, best first and "go" last, then those that must be asked for by name.
func Levels() []string {
	var names []string
	for _, l := range levels() {
		names = append(names, l.name)
	}
	return names
}

// Name is "cpu/" and the level.
func (d *Device) Name() string { return "cpu/" + d.level.name }

// shelf keeps values that nobody uses just now. Unlike a sync.Pool it does not drop
// them at every collection: they are large, and needed again within microseconds.
// It holds as many as were ever in use at once.
type shelf[T any] struct {
	mu   sync.Mutex
	free []*T
}

func (s *shelf[T]) take() *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.free) - 1; last >= 0 {
		t := s.free[last]
		s.free = s.free[:last]
		return t
	}
	return new(T)
}

func (s *shelf[T]) put(t *T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, t)
}

// need panics unless s holds n values: assembly would not notice.
func need[T any](what string, s []T, n int) {
	if len(s) < n {
		panic(fmt.Sprintf("cpu: %s has %d values, %d needed", what, len(s), n))
	}
}

// Package cpu is the fast device: matrix tiles and elementwise loops in generated assembly (AVX-512,
// AVX2, NEON), plain blocked Go on other machines, and a small pool of threads.
//
// It knows nothing of models. level.go lists the primitives of a kernel level, that is an instruction
// set; gemm.go blocks every matrix product; each other file is one group of operations. The level is
// chosen at run time:
//
//	dev, err := cpu.New(cpu.Options{}) // all threads, best level
//
// At one level, results have the same bits for any number of threads. The level "go" has other bits on
// arm64 than on amd64, because on arm64 the compiler fuses a product and a sum of plain Go.
//
// The level "neon" of arm64 has only run under emulation (QEMU): all tests pass, the speed is unknown.
// Every kernel except packRows has assembly; of the conversions of weights, only those of bf16 and four
// bits have it, and fp16 and eight bits are converted by plain Go.
//
// The level "avx512bf16" rounds the factors of every matrix product, also those of attention, to bf16, and adds
// the products in float32, two in one instruction (AVX512_BF16: AMD from Zen 4 on, Xeons of Cooper Lake and from
// Sapphire Rapids on). It must be chosen by name, because it changes the results of training. Products of many rows
// take half the time.
//
// The level "amx" rounds alike and multiplies on the tile unit of recent Xeons. It has not yet run on real
// hardware; all but its kernel of products, bf16TilesAMX, is that of avx512bf16, which has. It was checked in two
// ways. The suite checks the blocks and their packing with plain loops in place of the assembly (TestBF16Layout, on
// any machine). The assembly was run in Bochs 3.0's model of a Sapphire Rapids without an operating system: every
// kernel, at the edges of its sizes, against plain loops; all 182,720 values had the same bits, and the tile
// configuration was released after each call. (Bochs had to be corrected first: its VCVTNE2PS2BF16 read the high half
// out of bounds.) Not yet checked: the permission of Linux, threads and signals while tiles are in use, and the
// speed. On a machine with the unit, TestDevice, TestThreadsDoNotChangeBits and the benchmarks run at this level too.
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
	Level   string // "avx512", "avx2", "neon", "go", "avx512bf16" or "amx"; "" means the best in float32
}

// Device is the CPU. It may be used by many goroutines at once: one call at a time
// gets the threads, the others compute on their own goroutine.
type Device struct {
	level *level
	pool  *pool
	// Reused memory for the arguments of running calls, so that a call allocates nothing.
	products  shelf[product]
	spans     shelf[span]
	forwards  shelf[forward]
	backwards shelf[backward]
	decodes   shelf[decode]
	slabs     shelf[slab]
	widenings shelf[widening]
	samplings shelf[sampling]
}

// New returns a device. The error says which levels this machine has.
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

// Describe lists the levels as text, with a note on those that must be chosen by name.
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

// Levels lists the levels of this machine and build: first those that New may choose by itself, the best
// one first and "go" last; then those that must be chosen by name.
func Levels() []string {
	var names []string
	for _, l := range levels() {
		names = append(names, l.name)
	}
	return names
}

// Name is "cpu/" and the level.
func (d *Device) Name() string { return "cpu/" + d.level.name }

// shelf is a free list: it keeps values for reuse. Unlike a sync.Pool it does not drop them at a garbage
// collection, because they are large and needed again within microseconds. Its size is the largest
// number of values that were in use at once.
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

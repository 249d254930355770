// Package kerneltest is the suite that every kernel.Device must pass. The test of a device is two lines:
//
//	dev, err := cpu.New(cpu.Options{})
//	kerneltest.Run(t, dev, ref.New())
//
// Every operation runs on random inputs of awkward sizes and is compared with the reference device.
// Gradients are also compared with finite differences of the device's own forward pass. A row must not
// depend on the other rows (batch invariance), and a call not on calls of other goroutines. Guard values
// follow every output and NaN follows every input, to catch a kernel that reads or writes too far.
package kerneltest

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"itool/stages/policy/kernel"
)

// check is one operation at one size. run makes its inputs from in, the same ones at every call, and
// returns the results of the device.
type check struct {
	op, name  string
	tolerance float64 // largest |difference| allowed, in units of the tensor's RMS
	run       func(dev Slices, in *source) []tensor
}

// tensor is a named result.
type tensor struct {
	name string
	v    []float32
}

func checks() []check {
	var all []check
	all = append(all, linearChecks()...)
	all = append(all, wrappedChecks()...)
	all = append(all, layerChecks()...)
	all = append(all, memoryChecks()...)
	all = append(all, attentionChecks()...)
	all = append(all, headChecks()...)
	return append(all, optimChecks()...)
}

// Run tests dev against reference, which is ref.New().
func Run(t *testing.T, device, reference kernel.Device) {
	dev := On(device)
	for _, c := range checks() {
		t.Run(c.op+"/"+c.name, func(t *testing.T) {
			want := c.outputs(t, On(reference))
			for i, got := range c.outputs(t, dev) {
				compare(t, got, want[i], c.tolerance)
			}
		})
	}
	t.Run("gradients", func(t *testing.T) { gradients(t, dev) })
	t.Run("rows", func(t *testing.T) { rows(t, dev) })
	t.Run("repack", func(t *testing.T) { repack(t, dev) })
	t.Run("wrapped", func(t *testing.T) { wrapped(t, dev, true) })
	t.Run("embed", func(t *testing.T) { embed(t, dev) })
	t.Run("sample", func(t *testing.T) { sampling(t, dev, headTolerance) })
	t.Run("together", func(t *testing.T) { together(t, dev) })
	t.Run("not a number", func(t *testing.T) { notANumber(t, dev) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, dev) })
}

// SameBits tests that two devices give the same bits, for example one device with different numbers of
// threads.
func SameBits(t *testing.T, a, b kernel.Device) {
	for _, c := range checks() {
		want := c.outputs(t, On(a))
		for i, got := range c.outputs(t, On(b)) {
			sameBits(t, c.op+"/"+c.name+" "+got.name, got.v, want[i].v)
		}
	}
}

// concurrent runs every check on many goroutines at once.
func concurrent(t *testing.T, dev Slices) {
	all := checks()
	want := make([][]tensor, len(all))
	for i, c := range all {
		want[i] = c.outputs(t, dev)
	}
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range all {
				i = (i + worker*len(all)/4) % len(all)
				for j, got := range all[i].outputs(t, dev) {
					sameBits(t, all[i].op+"/"+all[i].name+" "+got.name, got.v, want[i][j].v)
				}
			}
		})
	}
	wait.Wait()
}

func (c check) outputs(t testing.TB, dev Slices) []tensor {
	in := newSource(c.op + c.name)
	out := c.run(dev, in)
	in.checkGuards(t, c.op+"/"+c.name)
	return out
}

// source makes reproducible inputs and guarded memory.
type source struct {
	rng     *rand.Rand
	guarded [][]float32 // whole allocations; the guards are the last guardLen values
}

const (
	guardLen   = 40 // longer than any vector register or tile row
	guardValue = -12345.5
)

func newSource(name string) *source {
	h := fnv.New64a()
	h.Write([]byte(name))
	return &source{rng: rand.New(rand.NewPCG(h.Sum64(), 1))}
}

// normal returns n normal values of the given deviation, with NaN behind them.
func (s *source) normal(n int, deviation float64) []float32 {
	x := s.alloc(n, float32(math.NaN()))
	for i := range x {
		x[i] = float32(s.rng.NormFloat64() * deviation)
	}
	return x
}

// output returns n values of 77 with guards behind them, to catch a kernel that does not write every
// element, or writes behind the last one.
func (s *source) output(n int) []float32 {
	x := s.alloc(n, guardValue)
	for i := range x {
		x[i] = 77
	}
	return x
}

func (s *source) alloc(n int, guard float32) []float32 {
	whole := make([]float32, n+guardLen)
	for i := n; i < len(whole); i++ {
		whole[i] = guard
	}
	s.guarded = append(s.guarded, whole)
	return whole[:n:n]
}

func (s *source) checkGuards(t testing.TB, where string) {
	t.Helper()
	for _, whole := range s.guarded {
		for i, v := range whole[len(whole)-guardLen:] {
			if v == v && v != guardValue {
				t.Errorf("%s: wrote %v at %d values past the end of a slice of %d", where, v, i, len(whole)-guardLen)
			}
		}
	}
}

// compare tests max |got − want| ≤ tolerance · (RMS(want) + cancelled). Inputs have about size 1, so a
// result near 0 is a difference of larger terms.
func compare(t testing.TB, got, want tensor, tolerance float64) {
	t.Helper()
	const cancelled = 0.01
	var square, worst float64
	at := -1
	for i := range want.v {
		w, g := float64(want.v[i]), float64(got.v[i])
		square += w * w
		if d := math.Abs(g - w); d > worst || math.IsNaN(d) {
			worst, at = d, i
			if math.IsNaN(d) {
				break
			}
		}
	}
	rms := math.Sqrt(square / float64(max(1, len(want.v))))
	if at >= 0 && !(worst <= tolerance*(rms+cancelled)) {
		t.Errorf("%s[%d of %d]: got %v, want %v: off by %.2e RMS, allowed %.0e",
			want.name, at, len(want.v), got.v[at], want.v[at], worst/rms, tolerance)
	}
}

func sameBits(t testing.TB, what string, got, want []float32) {
	t.Helper()
	for i := range got { // want may hold more rows
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Errorf("%s[%d]: got %v, want the same bits as %v", what, i, got[i], want[i])
			return
		}
	}
}

package cuda_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
)

// rig is a device in the interpreter, and inputs for it.
type rig struct {
	t      *testing.T
	driver *cudatest.Driver
	dev    *cuda.Launcher
	rng    *rand.Rand
}

func newRig(t *testing.T) *rig {
	t.Helper()
	driver := cudatest.Open()
	dev, err := cuda.Open(driver)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, driver, dev, rand.New(rand.NewPCG(1, 2))}
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err == nil {
		err = r.driver.Synchronise()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// alloc reserves bytes, at least one.
func (r *rig) alloc(n int) cuda.Address {
	r.t.Helper()
	a, err := r.driver.Allocate(int64(max(n, 1)))
	r.must(err)
	return a
}

// in copies numbers to the device.
func (r *rig) in(values any) cuda.Address {
	r.t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, values)
	r.must(err)
	a := r.alloc(len(b))
	r.must(r.driver.CopyIn(a, b))
	return a
}

// out copies n float32 from the device.
func (r *rig) out(a cuda.Address, n int) []float32 {
	r.t.Helper()
	b, x := make([]byte, 4*n), make([]float32, n)
	r.must(r.driver.CopyOut(b, a))
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x
}

func (r *rig) normal(n int, deviation float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.rng.NormFloat64() * deviation)
	}
	return x
}

// indexes draws n numbers below limit.
func (r *rig) indexes(n, limit int) []int32 {
	x := make([]int32, n)
	for i := range x {
		x[i] = int32(r.rng.IntN(limit))
	}
	return x
}

// near wants |got − want| ≤ tolerance · (RMS(want) + 0.01), as kerneltest does.
func (r *rig) near(what string, got, want []float32, tolerance float64) {
	r.t.Helper()
	var square float64
	for _, w := range want {
		square += float64(w) * float64(w)
	}
	allowed := tolerance * (math.Sqrt(square/float64(max(1, len(want)))) + 0.01)
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - float64(w)); !(d <= allowed) {
			r.t.Fatalf("%s[%d of %d]: got %v, want %v: off by %.2e, allowed %.2e",
				what, i, len(want), got[i], w, d, allowed)
		}
	}
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s[%d]: got %v, want the same bits as %v", what, i, got[i], want[i])
		}
	}
}

// sizes are (rows, columns) at the edges of blocks and warps, and a few at random.
func (r *rig) sizes() [][2]int {
	all := [][2]int{{1, 1}, {1, 31}, {2, 32}, {3, 33}, {1, 255}, {2, 257}, {0, 8}, {5, 600}}
	for range 3 {
		all = append(all, [2]int{1 + r.rng.IntN(9), 1 + r.rng.IntN(700)})
	}
	return all
}

func name(s [2]int) string { return fmt.Sprintf("%dx%d", s[0], s[1]) }

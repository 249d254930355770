package ptx_test

import (
	"encoding/binary"
	"math"
	"os"
	"testing"

	"itool/stages/policy/kernel/cuda/ptx"
)

// rig runs kernels of one file of testdata.
type rig struct {
	t       *testing.T
	machine ptx.Machine
	module  *ptx.Module
}

func newRig(t *testing.T, file string) *rig {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file + ".ptx")
	if err != nil {
		t.Fatal(err)
	}
	module, err := ptx.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, module: module}
	r.must(r.machine.Load(module))
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// alloc reserves n words of 4 bytes.
func (r *rig) alloc(n int) uint64 {
	r.t.Helper()
	p, err := r.machine.Alloc(4 * n)
	r.must(err)
	return p
}

// in copies numbers to the device.
func (r *rig) in(values any) uint64 {
	r.t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, values)
	r.must(err)
	p, err := r.machine.Alloc(len(b))
	r.must(err)
	r.must(r.machine.CopyIn(p, b))
	return p
}

// out copies n words from the device.
func (r *rig) out(p uint64, n int) []uint32 {
	r.t.Helper()
	b := make([]byte, 4*n)
	r.must(r.machine.CopyOut(b, p))
	words := make([]uint32, n)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return words
}

func (r *rig) floats(p uint64, n int) []float32 {
	r.t.Helper()
	values := make([]float32, n)
	for i, w := range r.out(p, n) {
		values[i] = math.Float32frombits(w)
	}
	return values
}

// launch runs a kernel with addresses and int32 as arguments.
func (r *rig) launch(kernel string, grid, block int, args ...any) error {
	r.t.Helper()
	k := r.module.Kernels[kernel]
	if k == nil {
		r.t.Fatalf("no kernel %s", kernel)
	}
	return r.machine.Launch(k, [3]int{grid, 1, 1}, [3]int{block, 1, 1}, 0, params(k, args...))
}

func params(k *ptx.Kernel, args ...any) []byte {
	var b []byte
	for i, a := range args {
		if i < len(k.ParamOffsets) {
			b = append(b, make([]byte, k.ParamOffsets[i]-len(b))...)
		}
		b, _ = binary.Append(b, binary.LittleEndian, a)
	}
	return b
}

func ceil(a, b int) int { return (a + b - 1) / b }

//go:build gpu && linux && amd64

package cudriver_test

import (
	"math"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudriver"
)

// TestLibrary calls a stand-in for cuBLASLt, which multiplies in the memory of the host, for all transposes, with
// padded rows, factors and sums.
func TestLibrary(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler for the stand-in")
	}
	file := filepath.Join(t.TempDir(), "libstandin.so")
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-o", file, "testdata/standin.c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv(cudriver.LibraryEnv, file)
	l, err := cudriver.HostLibrary()
	if err != nil {
		t.Fatal(err)
	}
	if l.Name() != "cublaslt-120900" {
		t.Error(l.Name())
	}
	const m, n, k = 5, 3, 7
	for trans := range 4 {
		for _, add := range []bool{false, true} {
			p := cuda.LibraryProduct{M: m, N: n, K: k, LDA: 8, LDB: 8, TransA: trans&1 != 0, TransB: trans&2 != 0,
				Add: add, Alpha: 0.5}
			compare(t, l, p)
		}
	}
	y, x := make([]float32, m), make([]uint16, 8*8)
	one := cuda.LibraryProduct{Y: at(y), A: at(x), B: at(x), M: m, N: 1, K: k, LDA: 8, LDB: 8, TransB: true, Alpha: 1}
	if done, err := l.Product(one); done || err != nil {
		t.Errorf("a product without an algorithm: %v, %v", done, err)
	}
	one.N, one.LDB = 2, 3 // a row of 7 values in 3
	if _, err := l.Product(one); err == nil {
		t.Error("rows that overlap were accepted")
	}
}

func at[E any](x []E) cuda.Address { return cuda.Address(uintptr(unsafe.Pointer(unsafe.SliceData(x)))) }

// compare fills rows of eight values, of which some are padding, and compares the product with plain loops.
func compare(t *testing.T, l cuda.Library, p cuda.LibraryProduct) {
	t.Helper()
	a, b, y := make([]uint16, 8*8), make([]uint16, 8*8), make([]float32, p.M*p.N)
	for i := range a {
		a[i], b[i] = kernel.ToBF16(float32(i%5)-2), kernel.ToBF16(float32(i%7)-3)
	}
	for i := range y {
		y[i] = float32(i)
	}
	p.Y, p.A, p.B = at(y), at(a), at(b)
	if done, err := l.Product(p); !done || err != nil {
		t.Fatalf("%+v: %v, %v", p, done, err)
	}
	value := func(x []uint16, ld int, trans bool, row, column int) float32 {
		if trans {
			row, column = column, row
		}
		return math.Float32frombits(uint32(x[row*ld+column]) << 16)
	}
	for i := range p.M {
		for j := range p.N {
			var want float32
			for k := range p.K {
				want += value(a, p.LDA, p.TransA, i, k) * value(b, p.LDB, p.TransB, k, j)
			}
			if want *= p.Alpha; p.Add {
				want += float32(i*p.N + j)
			}
			if got := y[i*p.N+j]; got != want {
				t.Errorf("%+v: y[%d,%d] = %v, want %v", p, i, j, got, want)
			}
		}
	}
}

package cuda_test

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
)

// standIn is a driver with a library: it copies the factors to the host, multiplies there, and copies the product
// back, so that layouts, strides, sums and factors are those that a real library would be given.
type standIn struct {
	*cudatest.Driver
	calls  int
	refuse bool
	fail   error
}

func (s *standIn) Library() (cuda.Library, error) { return s, nil }
func (s *standIn) Name() string                   { return "stand-in" }

func (s *standIn) Product(p cuda.LibraryProduct) (bool, error) {
	if p.M < 64 || s.refuse || s.fail != nil {
		return false, s.fail
	}
	s.calls++
	rowsA, rowsB := p.M, p.K
	if p.TransA {
		rowsA = p.K
	}
	if p.TransB {
		rowsB = p.N
	}
	a, b := s.rounded(p.A, rowsA*p.LDA), s.rounded(p.B, rowsB*p.LDB)
	y := make([]byte, 4*p.M*p.N)
	if p.Add {
		if err := s.CopyOut(y, p.Y); err != nil {
			return false, err
		}
	}
	for m := range p.M {
		for n := range p.N {
			var sum float32
			for k := range p.K {
				i, j := m*p.LDA+k, k*p.LDB+n
				if p.TransA {
					i = k*p.LDA + m
				}
				if p.TransB {
					j = n*p.LDB + k
				}
				sum += a[i] * b[j]
			}
			at := y[4*(m*p.N+n):]
			sum = p.Alpha*sum + math.Float32frombits(binary.LittleEndian.Uint32(at))
			binary.LittleEndian.PutUint32(at, math.Float32bits(sum))
		}
	}
	return true, s.CopyIn(p.Y, y)
}

// rounded reads bf16. The padding of a row may hold anything that was written, or nothing: then it reads as zeros.
func (s *standIn) rounded(at cuda.Address, n int) []float32 {
	raw, out := make([]byte, 2*n), make([]float32, n)
	if s.CopyOut(raw, at) != nil {
		return out
	}
	for i := range out {
		out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
	}
	return out
}

// TestLibrary: large products go to the library and have the same values; small ones, those of weights in other types,
// and all when it is switched off, stay with the kernels. What the library has no algorithm for, the kernels compute.
func TestLibrary(t *testing.T) {
	t.Parallel()
	driver := &standIn{Driver: cudatest.Open()}
	dev, err := cuda.New(driver)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	const m, n, k = 64, 33, 50
	x, w := dev.Put(r.normal(m*k, 1)), dev.Pack(dev.Put(r.normal(n*k, 1)), n, k)
	y := dev.Floats(m * n)
	product := func(rows int, add bool) []float32 {
		dev.MatMul(y, x, w, rows, add)
		out := make([]float32, rows*n)
		dev.Read(out, y)
		return out
	}
	few := product(8, false)
	if err := dev.UseLibrary(true); err != nil || !strings.HasSuffix(dev.Name(), "+stand-in") {
		t.Fatalf("%s: %v", dev.Name(), err)
	}
	sameBits(t, "few rows", product(8, false), few)
	if driver.calls != 0 {
		t.Errorf("few rows called the library %d times", driver.calls)
	}
	large := product(m, false)
	r.near("large", large[:8*n], few, productTolerance)
	gemms(t, dev, r, driver)
	driver.calls = 1
	again := product(m, true)
	for i := range again {
		again[i] /= 2
	}
	r.near("added", again, large, productTolerance)
	if driver.calls != 2 {
		t.Errorf("two large products called the library %d times", driver.calls)
	}
	driver.refuse = true
	sameBits(t, "no algorithm", product(m, false)[:8*n], few)
	driver.fail = errors.New("illegal instruction")
	err = func() (err error) {
		defer kernel.Catch(&err)
		product(m, false)
		return nil
	}()
	if !errors.Is(err, driver.fail) || !strings.Contains(err.Error(), "product 64 × 33 × 50") {
		t.Errorf("a library that fails: %v", err)
	}
	if err := dev.UseLibrary(false); err != nil || strings.Contains(dev.Name(), "+") {
		t.Errorf("switched off: %s, %v", dev.Name(), err)
	}
	sameBits(t, "switched off", product(m, false)[:8*n], few)
	for shape, large := range map[[3]int]bool{
		{1024, 1024, 1024}: true, {1023, 4096, 4096}: false, {4096, 16, 4096}: false,
	} {
		if p := (cuda.LibraryProduct{M: shape[0], N: shape[1], K: shape[2]}); p.Large() != large {
			t.Errorf("%v is large: %v", shape, !large)
		}
	}
	if err := newDevice(t).UseLibrary(true); !errors.Is(err, cuda.ErrNoLibrary) {
		t.Errorf("a driver without a library: %v", err)
	}
}

// gemms compares all transposes with the kernels'.
func gemms(t *testing.T, dev *cuda.Device, r *rig, driver *standIn) {
	t.Helper()
	const m, n, k = 70, 24, 40
	a, b, c := dev.Put(r.normal(m*k, 1)), dev.Put(r.normal(n*k, 1)), dev.Floats(m*n)
	for i := range 4 {
		multiply := func(refuse bool) []float32 {
			driver.refuse = refuse
			dev.Gemm(i&1 != 0, i&2 != 0, m, n, k, 0.5, a, b, false, c)
			out := make([]float32, m*n)
			dev.Read(out, c)
			return out
		}
		calls := driver.calls
		r.near("gemm", multiply(false), multiply(true), productTolerance)
		if driver.calls != calls+1 {
			t.Errorf("transposes %b: the library was called %d times", i, driver.calls-calls)
		}
	}
	driver.refuse = false
}

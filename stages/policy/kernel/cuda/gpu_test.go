//go:build gpu && linux && amd64

package cuda_test

import (
	"testing"

	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
	"itool/stages/policy/kernel/cuda/cudriver"
)

// openDriver is the first GPU, so that `task gpu` runs the suite and the goldens on it; without one, an interpreter.
func openDriver(t testing.TB) cuda.Driver {
	t.Helper()
	n, err := cudriver.Devices()
	if n == 0 {
		t.Logf("in the interpreter: %v", err)
		return cudatest.Open()
	}
	driver, err := cudriver.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	return driver
}

//go:build gpu && linux && amd64

package cudriver_test

import (
	"strings"
	"testing"

	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudriver"
)

// TestOpen: on a machine with a GPU all kernels load; on one without, the error says what to do.
func TestOpen(t *testing.T) {
	n, err := cudriver.Devices()
	t.Logf("%d devices, driver for CUDA %d, %v", n, cudriver.Version(), err)
	if n == 0 {
		_, err := cudriver.Open(0)
		if err == nil || !strings.Contains(err.Error(), "driver") && !strings.Contains(err.Error(), "has 0") {
			t.Errorf("got %v", err)
		}
		return
	}
	if _, err := cudriver.Open(n); err == nil || !strings.Contains(err.Error(), "this machine has") {
		t.Errorf("a device that is not there: got %v", err)
	}
	driver, err := cudriver.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	device, err := cuda.Open(driver)
	if err != nil {
		t.Fatal(err)
	}
	if err := device.Close(); err != nil {
		t.Error(err)
	}
}

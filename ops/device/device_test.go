package device_test

import (
	"strings"
	"testing"

	"itool/ops/device"
)

// TestOpen: the CPU is the default and what auto takes on a machine without a GPU; a name that is no device, and
// a GPU that is not there, are errors that say what to do.
func TestOpen(t *testing.T) {
	gpus, why := device.GPUs()
	if len(gpus) > 0 {
		t.Skipf("this machine has GPUs: %v", gpus)
	}
	for _, name := range []string{"", "cpu", "auto"} {
		if dev, err := device.Open(name, "go"); err != nil || dev.Name() != "cpu/go" {
			t.Errorf("%q: %v, %v", name, dev, err)
		}
	}
	for name, want := range map[string]string{
		"gpu": "cuda:N", "cuda:": "is not the number", "cuda:-1": "is not the number", "cuda:1x": "is not the number",
	} {
		if _, err := device.Open(name, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
	if _, err := device.Open("cuda:7", ""); err == nil || why != nil && err.Error() != why.Error() {
		t.Errorf("a GPU that is not there: got %v, want %v", err, why)
	}
}

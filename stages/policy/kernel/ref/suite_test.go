package ref_test

import (
	"testing"

	"itool/stages/policy/kernel/kerneltest"
	"itool/stages/policy/kernel/ref"
)

// TestDevice: the reference trivially equals itself, but the suite also checks finite differences, rows,
// guards and concurrency.
func TestDevice(t *testing.T) {
	kerneltest.Run(t, ref.New(), ref.New())
}

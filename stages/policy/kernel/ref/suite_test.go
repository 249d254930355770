package ref_test

import (
	"testing"

	"itool/stages/policy/kernel/kerneltest"
	"itool/stages/policy/kernel/ref"
)

// The judge is trivially its own equal; the finite differences and the row,
// guard and concurrency checks are what this holds it against.
func TestDevice(t *testing.T) {
	kerneltest.Run(t, ref.New(), ref.New())
}

//go:build !(gpu && linux && amd64)

package cuda_test

import (
	"testing"

	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
)

// openDriver is an interpreter; each is a device of its own.
func openDriver(testing.TB) cuda.Driver { return cudatest.Open() }

//go:build !(gpu && linux && amd64)

package device

import (
	"fmt"

	"itool/stages/policy/kernel"
)

var errWithout = fmt.Errorf("%w: this itool was built without GPUs: build it with -tags gpu on Linux on x86-64 "+
	"(ops/guide/gpu.md)", ErrNone)

var machine = Machine{
	Count:  func() (int, error) { return 0, errWithout },
	Driver: func() (string, error) { return "", nil },
	Look:   func(int) (GPU, error) { return GPU{}, errWithout },
	Open:   func(int) (kernel.Device, error) { return nil, errWithout },
}

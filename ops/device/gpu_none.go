//go:build !(gpu && linux && amd64)

package device

import (
	"errors"

	"itool/stages/policy/kernel"
)

var errWithout = errors.New("this itool was built without GPUs: build it with -tags gpu on Linux on x86-64 " +
	"(ops/guide/gpu.md)")

func gpus() ([]GPU, error) { return nil, errWithout }

func openGPU(int) (kernel.Device, error) { return nil, errWithout }

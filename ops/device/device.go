// Package device opens what the engine computes with: this machine's CPU, or one of its GPUs. GPUs need a
// binary that was built with the tag gpu; it starts without a driver, too, and then finds none.
//
//	dev, err := device.Open("cuda:0", "")
package device

import (
	"fmt"
	"strconv"
	"strings"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
)

// GPU is a GPU of this machine.
type GPU struct {
	Name        string // such as "NVIDIA H200 (cuda:0)"
	Free, Total int64  // bytes of memory
}

// Open opens a device by its name: "" or "cpu"; "cuda:N", a GPU by its number; "auto", the GPU with the most free
// memory or, without one, the CPU. level is the CPU's kernel level; "" is the best.
func Open(name, level string) (kernel.Device, error) {
	switch number, isGPU := strings.CutPrefix(name, "cuda:"); {
	case name == "" || name == "cpu":
		return cpu.New(cpu.Options{Level: level})
	case name == "auto":
		return auto(level)
	case isGPU:
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("device %q: %q is not the number of a GPU", name, number)
		}
		return openGPU(n)
	}
	return nil, fmt.Errorf("device %q: cpu, cuda:N (such as cuda:0) or auto", name)
}

func auto(level string) (kernel.Device, error) {
	all, err := GPUs()
	if err != nil || len(all) == 0 {
		return Open("cpu", level)
	}
	best := 0
	for i, g := range all {
		if g.Free > all[best].Free {
			best = i
		}
	}
	return openGPU(best)
}

// GPUs lists the GPUs. The error says why there are none: the binary has no support for them, there is no
// driver, or it fails.
func GPUs() ([]GPU, error) { return gpus() }

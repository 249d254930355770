// Package device opens what the engine computes with: this machine's CPU, or one of its GPUs. GPUs need a
// binary that was built with the tag gpu; it starts without a driver, too, and then finds none.
//
//	dev, err := device.Open("cuda:0", "")
package device

import (
	"errors"
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
	Err         error  // why it does not open, or nil; then there is nothing but a name
}

// ErrNone says that there are no GPUs, and why: the binary or the machine has no support for them, or there is no
// driver. Another error of a driver is none of these.
var ErrNone = errors.New("0 devices")

// Machine is where GPUs come from. Tests give other ones.
type Machine struct {
	Count  func() (int, error)              // ErrNone: there are none
	Driver func() (version string, e error) // such as "CUDA 12.9"; the error says that it is too old
	Look   func(number int) (GPU, error)    // opens it, looks, and closes it
	Open   func(number int) (kernel.Device, error)
}

// Open opens a device by its name: "" or "cpu"; "cuda:N", a GPU by its number; "auto", the GPU with the most free
// memory or, without one, the CPU. level is the CPU's kernel level; "" is the best.
func Open(name, level string) (kernel.Device, error) { return machine.Device(name, level) }

// GPUs lists the GPUs. The error says why there are none: ErrNone, or a driver that fails.
func GPUs() ([]GPU, error) { return machine.GPUs() }

// This is this machine.
func This() Machine { return machine }

// Device is Open on this machine.
func (m Machine) Device(name, level string) (kernel.Device, error) {
	switch number, isGPU := strings.CutPrefix(name, "cuda:"); {
	case name == "" || name == "cpu":
		return cpu.New(cpu.Options{Level: level})
	case name == "auto":
		return m.auto(level)
	case isGPU:
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("device %q: %q is not the number of a GPU", name, number)
		}
		if _, err := m.Count(); err != nil {
			return nil, err
		}
		return m.Open(n)
	}
	return nil, fmt.Errorf("device %q: cpu, cuda:N (such as cuda:0) or auto", name)
}

// auto takes the CPU only if there are no GPUs: where they are and none works, somebody should know.
func (m Machine) auto(level string) (kernel.Device, error) {
	all, err := m.GPUs()
	if errors.Is(err, ErrNone) || err == nil && len(all) == 0 {
		return cpu.New(cpu.Options{Level: level})
	}
	if err != nil {
		return nil, fmt.Errorf("device auto: %w: or take --device cpu", err)
	}
	best, broken := -1, error(nil)
	for i, g := range all {
		switch {
		case g.Err != nil:
			broken = errors.Join(broken, g.Err)
		case best < 0 || g.Free > all[best].Free:
			best = i
		}
	}
	if best < 0 {
		return nil, fmt.Errorf("device auto: none of %d GPUs opens: %w: see itool doctor, or take --device cpu",
			len(all), broken)
	}
	return m.Open(best)
}

// GPUs is GPUs of this machine. One that does not open is in the list with its error.
func (m Machine) GPUs() ([]GPU, error) {
	n, err := m.Count()
	if err != nil {
		return nil, err
	}
	all := make([]GPU, n)
	for i := range all {
		g, err := m.Look(i)
		if err != nil {
			g = GPU{Name: fmt.Sprintf("cuda:%d", i), Err: err}
		}
		all[i] = g
	}
	return all, nil
}

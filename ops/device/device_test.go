package device_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"itool/ops/device"
	"itool/ops/doctor"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
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

// gpus is a machine whose GPUs are interpreters, with a driver for that CUDA version. One with a negative size does
// not open.
func gpus(version int, megabytes ...int) device.Machine {
	open := func(i int) (*cudatest.Driver, error) {
		switch {
		case i >= len(megabytes):
			return nil, fmt.Errorf("there is no device %d", i)
		case megabytes[i] < 0:
			return nil, errors.New("the device is lost")
		}
		d := cudatest.Open()
		d.Machine.MaxMemory = megabytes[i] << 20
		return d, cuda.CheckDriver(version)
	}
	return device.Machine{
		Count:  func() (int, error) { return len(megabytes), nil },
		Driver: func() (string, error) { return "CUDA " + cuda.VersionName(version), cuda.CheckDriver(version) },
		Look: func(i int) (device.GPU, error) {
			d, err := open(i)
			if err != nil {
				return device.GPU{}, err
			}
			free, total, err := d.Memory()
			return device.GPU{Name: fmt.Sprintf("%s (cuda:%d)", d.Name(), i), Free: free, Total: total}, err
		},
		Open: func(i int) (kernel.Device, error) {
			d, err := open(i)
			if err != nil {
				return nil, err
			}
			return cuda.New(d)
		},
	}
}

// TestAuto: the GPU with the most free memory; those that do not open are passed over, and when none does, it is an
// error and not the CPU.
func TestAuto(t *testing.T) {
	dev, err := gpus(12090, 64, -1, 256, 128).Device("auto", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, total, err := dev.(kernel.Limited).Room(0); err != nil || total != 256<<20 {
		t.Errorf("took the GPU of %d bytes, %v", total, err)
	}
	_, err = gpus(12090, -1, -1).Device("auto", "")
	said(t, "none opens", err, "none of 2 GPUs opens", "the device is lost", "--device cpu")
	_, err = gpus(12040, 64).Device("auto", "")
	said(t, "an old driver", err, "supports CUDA 12.4", "need 12.9")
	_, err = gpus(12040, 64).Device("cuda:0", "")
	said(t, "an old driver", err, "supports CUDA 12.4", "need 12.9")
	_, err = gpus(12090, 64).Device("cuda:3", "")
	said(t, "a number that is not there", err, "there is no device 3")
	failing := gpus(12090)
	failing.Count = func() (int, error) { return 0, errors.New("the driver does not start") }
	_, err = failing.Device("auto", "")
	said(t, "a driver that fails", err, "the driver does not start")
	if dev, err := gpus(12090).Device("auto", "go"); err != nil || dev.Name() != "cpu/go" {
		t.Errorf("a driver without GPUs: %v, %v", dev, err)
	}
}

func said(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: got %v, want %q", what, err, word)
		}
	}
}

// TestDoctor: doctor lists devices, driver and memory, and what needs attention.
func TestDoctor(t *testing.T) {
	f := doctor.GPUs(gpus(12090, 64, 256))
	if want := "2 devices; driver for CUDA 12.9; interpreter of PTX (cuda:0), 64.0 MiB free of 64.0 MiB; " +
		"interpreter of PTX (cuda:1), 256.0 MiB free of 256.0 MiB"; f.Found != want || f.Remedy != "" {
		t.Errorf("got %+v, want %q", f, want)
	}
	f = doctor.GPUs(gpus(12090, -1, 64))
	if !strings.Contains(f.Found, "cuda:0 does not open: the device is lost") || f.Remedy == "" {
		t.Errorf("got %+v", f)
	}
	if f = doctor.GPUs(gpus(12040, 64)); !strings.Contains(f.Remedy, "need 12.9") {
		t.Errorf("an old driver: got %+v", f)
	}
	none := gpus(0)
	none.Count = func() (int, error) { return 0, fmt.Errorf("%w: no driver", device.ErrNone) }
	if f = doctor.GPUs(none); f.Found != "0 devices: no driver" || f.Remedy != "" {
		t.Errorf("no driver: got %+v", f)
	}
}

package cpu_test

import (
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/kernel/kerneltest"
	"itool/stages/policy/kernel/ref"
)

func open(t testing.TB, level string, threads int) kernel.Device {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: threads, Level: level})
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

func TestDevice(t *testing.T) {
	for _, level := range cpu.Levels() {
		t.Run(level, func(t *testing.T) { kerneltest.Run(t, open(t, level, 3), ref.New()) })
	}
}

func TestThreadsDoNotChangeBits(t *testing.T) {
	for _, level := range cpu.Levels() {
		one := open(t, level, 1)
		for _, threads := range []int{2, 5} {
			kerneltest.SameBits(t, one, open(t, level, threads))
		}
	}
}

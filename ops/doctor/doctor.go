// Package doctor checks what itool needs: this machine (Machine), a broker (Broker), a store
// (Store), and that the runs of the one have their files in the other (Runs). It says what it
// found and what to do about it.
//
//	for _, f := range doctor.Machine(dir) {
//		fmt.Println(f.What, f.Found, f.Remedy)
//	}
//
// It changes nothing that stays: it writes and deletes a small object in the store, and makes
// and deletes a small run at the broker, which no keeper opens and no list of runs shows.
package doctor

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"itool/ops/device"
	"itool/stages/policy/kernel/cpu"
)

// Finding is one thing that was checked.
type Finding struct {
	What   string `json:"what"`             // memory, disk, broker …
	Found  string `json:"found"`            // as it is
	Remedy string `json:"remedy,omitempty"` // what to do; "": nothing
}

// Kernels says which kernel level is used and which others this machine has. level is the
// wanted level, "" for the best one; wanted levels are shown as such.
func Kernels(level string) Finding {
	f := Finding{What: "kernels"}
	dev, err := cpu.New(cpu.Options{Level: level})
	if err != nil {
		f.Found = "--kernels, or ITOOL_KERNELS: " + err.Error()
		f.Remedy = "name one of these, or none: the best is the default"
		return f
	}
	f.Found = fmt.Sprintf("%s (this machine has %s)", dev.Name(), cpu.Describe())
	if level != "" {
		f.Found += ", set by --kernels or ITOOL_KERNELS"
	}
	if dev.Name() == "cpu/go" {
		f.Found += "; plain Go, many times slower than AVX2"
	}
	return f
}

// GPUs lists the GPUs of a machine with their memory and their driver, or says why there are none. One that does not
// open, and a driver that fails or is too old, need attention.
func GPUs(m device.Machine) Finding {
	f := Finding{What: "GPUs"}
	all, err := m.GPUs()
	version, old := m.Driver()
	switch {
	case errors.Is(err, device.ErrNone):
		f.Found = err.Error()
		return f
	case err != nil:
		f.Found, f.Remedy = err.Error(), "--device auto and cuda:N will not start: mend the driver"
		return f
	}
	found := []string{fmt.Sprintf("%d devices", len(all))}
	if version != "" {
		found = append(found, "driver for "+version)
	}
	for _, g := range all {
		text := fmt.Sprintf("%s, %s free of %s", g.Name, size(uint64(g.Free)), size(uint64(g.Total)))
		if g.Err != nil {
			text = g.Name + " does not open: " + g.Err.Error()
			f.Remedy = "--device auto takes the others: mend it, or leave it out"
		}
		found = append(found, text)
	}
	if f.Found = strings.Join(found, "; "); old != nil {
		f.Remedy = old.Error()
	}
	return f
}

// Memory is the memory that is free, and all of it, in bytes; 0 where the system does not say.
func Memory() (free, total uint64) { return memory() }

// Machine checks cores, memory, and the disk that dir is on. What the system does not say
// is left out.
func Machine(dir string) []Finding {
	out := []Finding{{What: "cores", Found: fmt.Sprint(runtime.GOMAXPROCS(0))}}
	if free, total := memory(); total > 0 {
		f := Finding{What: "memory", Found: fmt.Sprintf("%s free of %s", size(free), size(total))}
		if free < 1<<30 {
			f.Remedy = "less than 1 GiB is free: close something, or give fewer --slots"
		}
		out = append(out, f)
	}
	if free, ok := diskFree(dir); ok {
		f := Finding{What: "disk", Found: fmt.Sprintf("%s free in %s", size(free), dir)}
		if free < 2<<30 {
			f.Remedy = "less than 2 GiB is free: broker and store write here; give another --dir"
		}
		out = append(out, f)
	}
	return out
}

// size prints bytes in binary units.
func size(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

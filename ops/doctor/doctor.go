// Package doctor checks what itool needs: this machine (Machine), a broker (Broker) and a
// store (Store). It says what it found and what to do about it.
//
//	for _, f := range doctor.Machine(dir) {
//		fmt.Println(f.What, f.Found, f.Remedy)
//	}
//
// It changes nothing, except that it writes and deletes one small object in the store and
// takes and releases one lease at the broker.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"itool/broker"
	"itool/stages/policy/kernel/cpu"
	"itool/storage"
)

// Finding is one thing that was checked.
type Finding struct {
	What   string // memory, disk, broker …
	Found  string // as it is
	Remedy string // what to do; "": nothing
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

// Broker checks that the broker which connect opens answers, how fast, and that it takes
// large messages and leases. address is shown only.
func Broker(ctx context.Context, address string, connect func() (*broker.Broker, error)) Finding {
	f := Finding{What: "broker"}
	start := time.Now()
	b, err := connect()
	if err != nil {
		f.Found, f.Remedy = err.Error(), "start it, or mend the address"
		return f
	}
	defer b.Close()
	runs, err := b.Runs(ctx)
	if err != nil {
		f.Found = err.Error()
		f.Remedy = "the server must have JetStream enabled, and this user must be allowed to use it"
		return f
	}
	took := time.Since(start)
	f.Found = fmt.Sprintf("%s answers in %s, %d runs, messages up to %s",
		address, took.Round(time.Millisecond), len(runs), size(uint64(b.MaxMessageBytes())))
	if b.MaxMessageBytes() < 1<<20 {
		f.Remedy = "batches of up to 256 KiB travel inside messages: set max_payload to 8MB at the server"
	}
	if took > 3*time.Second {
		f.Remedy = "it is slow: workers need --ack-wait well above three times this"
	}
	if l, err := b.Acquire(ctx, "doctor", "doctor", 3*time.Second); err == nil {
		_ = l.Release(ctx)
	} else if f.Remedy == "" && !errors.Is(err, broker.ErrHeld) {
		f.Found, f.Remedy = err.Error(), "leases need a key-value bucket: allow JetStream streams to be made"
	}
	return f
}

// Store checks that the store which open returns writes, reads and deletes. spec is shown
// only.
func Store(ctx context.Context, spec string, open func() (storage.Store, error)) Finding {
	f := Finding{What: "store"}
	start := time.Now()
	s, err := open()
	if err == nil {
		err = tryStore(ctx, s)
	}
	if err != nil {
		f.Found, f.Remedy = err.Error(), "mend the address, the keys or the permissions"
		return f
	}
	f.Found = fmt.Sprintf("%s writes, reads and deletes in %s", spec, time.Since(start).Round(time.Millisecond))
	switch id, err := storage.Identity(ctx, s); {
	case errors.Is(err, storage.ErrNotExist):
		f.Remedy = "it has no identity, so no run can be published: itool doctor --create gives it one"
	case err != nil:
		f.Remedy = err.Error()
	default:
		f.Found += ", identity " + id
	}
	return f
}

func tryStore(ctx context.Context, s storage.Store) error {
	key := fmt.Sprintf("doctor/%d", os.Getpid())
	if _, err := s.Put(ctx, key, strings.NewReader("ok"), 2); err != nil {
		return err
	}
	if _, err := s.Stat(ctx, key); err != nil {
		return err
	}
	return s.Delete(ctx, key)
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

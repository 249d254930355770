package main

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

// doctorCmd is `itool doctor`. It changes nothing but one small object that it
// removes again.
type doctorCmd struct{ target }

// finding is one line of the doctor's: what was looked at, what was found, and what
// to do, if anything.
type finding struct {
	what, found, remedy string
}

func (c *doctorCmd) Run(ctx context.Context, a *app) error {
	all := machine(a)
	if c.Broker != "" {
		all = append(all, checkBroker(ctx, a, c.Broker))
	}
	if c.Store != "" {
		all = append(all, checkStore(ctx, c.Store))
	}
	sick := 0
	for _, f := range all {
		fmt.Fprintf(a.out, "%-10s %s\n", f.what, f.found)
		if f.remedy != "" {
			sick++
			fmt.Fprintf(a.out, "%-10s → %s\n", "", f.remedy)
		}
	}
	if sick > 0 {
		return fmt.Errorf("findings that need attention: %d", sick)
	}
	return nil
}

// machine looks at what this process computes with.
func machine(a *app) []finding {
	out := []finding{{what: "version", found: fmt.Sprintf("itool %s, %s, %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)}}
	out = append(out, kernels(a), finding{what: "cores", found: fmt.Sprint(cores())})
	if free, total := memory(); total > 0 {
		f := finding{what: "memory", found: fmt.Sprintf("%s free of %s", size(free), size(total))}
		if free < 1<<30 {
			f.remedy = "less than 1 GiB is free: close something, or give fewer --slots"
		}
		out = append(out, f)
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = os.TempDir()
	}
	if free, ok := diskFree(dir); ok {
		f := finding{what: "disk", found: fmt.Sprintf("%s free in %s", size(free), dir)}
		if free < 2<<30 {
			f.remedy = "less than 2 GiB is free: broker and store write here; give another --dir"
		}
		out = append(out, f)
	}
	return out
}

// kernels says which level is used, who chose it, and which others there are.
func kernels(a *app) finding {
	f := finding{what: "kernels"}
	dev, err := newDevice(a)
	if err != nil {
		f.found, f.remedy = err.Error(), "name one of these, or none: the best is the default"
		return f
	}
	f.found = fmt.Sprintf("%s (this machine has %s)", dev.Name(), cpu.Describe())
	if a.kernels != "" {
		f.found += ", set by --kernels or ITOOL_KERNELS"
	}
	if dev.Name() == "cpu/go" {
		f.found += "; plain Go, many times slower than AVX2"
	}
	return f
}

func checkBroker(ctx context.Context, a *app, address string) finding {
	f := finding{what: "broker"}
	start := time.Now()
	b, err := connect(ctx, a, address)
	if err != nil {
		f.found, f.remedy = err.Error(), "start it, or mend the address"
		return f
	}
	defer b.Close()
	runs, err := b.Runs(ctx)
	if err != nil {
		f.found, f.remedy = err.Error(), "the server must have JetStream enabled, and this user must be allowed to use it"
		return f
	}
	took := time.Since(start)
	f.found = fmt.Sprintf("%s answers in %s, %d runs, messages up to %s", address, took.Round(time.Millisecond), len(runs), size(uint64(b.MaxMessageBytes())))
	if b.MaxMessageBytes() < 1<<20 {
		f.remedy = "batches of up to 256 KiB travel inside messages: set max_payload to 8MB at the server"
	}
	if took > 3*time.Second {
		f.remedy = "it is slow: workers need --ack-wait well above three times this"
	}
	// An item's lease is renewed every third of AckWait: try one.
	if l, err := b.Acquire(ctx, "doctor", "doctor", 3*time.Second); err == nil {
		_ = l.Release(ctx)
	} else if f.remedy == "" && !errors.Is(err, broker.ErrHeld) {
		f.found, f.remedy = err.Error(), "leases need a key-value bucket: allow JetStream streams to be made"
	}
	return f
}

func checkStore(ctx context.Context, spec string) finding {
	f := finding{what: "store"}
	start := time.Now()
	err := func() error {
		s, err := openStore(ctx, spec)
		if err != nil {
			return err
		}
		return probe(ctx, s)
	}()
	if err != nil {
		f.found, f.remedy = err.Error(), "mend the address, the keys or the permissions"
		return f
	}
	f.found = fmt.Sprintf("%s writes, reads and deletes in %s", spec, time.Since(start).Round(time.Millisecond))
	return f
}

func probe(ctx context.Context, s storage.Store) error {
	key := fmt.Sprintf("doctor/%d", os.Getpid())
	if _, err := s.Put(ctx, key, strings.NewReader("ok"), 2); err != nil {
		return err
	}
	if _, err := s.Stat(ctx, key); err != nil {
		return err
	}
	return s.Delete(ctx, key)
}

func size(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Cost is the time that a run took on this machine, summed over all its sessions. It is
// saved every few seconds, so a session that is killed counts up to its last save.
type Cost struct {
	WallSeconds float64 `json:"wall_seconds"`
	// CPUSeconds is user and system time of this process, without that of other workers.
	// nil: not known, because several runs shared the process.
	CPUSeconds *float64 `json:"cpu_seconds"`
	Sessions   int      `json:"sittings"`
}

const saveEvery = 5 * time.Second

func costFile(dir, run string) string { return filepath.Join(dir, "costs", run+".json") }

// readCost returns the saved cost of a run, or zero if none was saved.
func readCost(dir, run string) (c Cost, err error) {
	b, err := os.ReadFile(costFile(dir, run))
	if errors.Is(err, fs.ErrNotExist) {
		return Cost{}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return Cost{}, fmt.Errorf("cost of run %s: %s: %w: delete the file, it holds only times",
			run, costFile(dir, run), err)
	}
	return c, nil
}

// meter saves a run's cost while the run goes on.
type meter struct {
	stop func() // saves for the last time; it may be called again
}

// startMeter adds to the cost that earlier sessions saved.
func (l *Lab) startMeter(run string) (*meter, error) {
	before, err := readCost(l.Dir, run)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(l.Dir, "costs"), 0o755); err != nil {
		return nil, err
	}
	began, cpuBegan, known := time.Now(), 0.0, false
	if l.AtOnce <= 1 { // otherwise several runs share the process's time
		cpuBegan, known = cpuSeconds()
	}
	save := func() {
		c := Cost{WallSeconds: before.WallSeconds + time.Since(began).Seconds(), Sessions: before.Sessions + 1}
		if now, ok := cpuSeconds(); ok && known && (before.Sessions == 0 || before.CPUSeconds != nil) {
			sum := now - cpuBegan
			if before.CPUSeconds != nil {
				sum += *before.CPUSeconds
			}
			c.CPUSeconds = &sum
		}
		if err := writeJSON(costFile(l.Dir, run), c); err != nil {
			l.Log.Warn("could not save the cost of a run", "run", run, "error", err)
		}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(saveEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				save()
			case <-quit:
				save()
				return
			}
		}
	}()
	return &meter{stop: sync.OnceFunc(func() { close(quit); <-done })}, nil
}

// writeJSON replaces a file in one step, so that a reader never sees half of it.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

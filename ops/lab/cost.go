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

// Cost is what a run has taken of this machine, all its sessions together. A session
// that is killed is counted up to its last note, which is written every few seconds.
type Cost struct {
	WallSeconds float64  `json:"wall_seconds"`
	CPUSeconds  *float64 `json:"cpu_seconds"` // of this process, user and system; nil: not known, as when runs went side by side. Other workers' is not in it
	Sessions    int      `json:"sittings"`
}

const saveEvery = 5 * time.Second

func costFile(dir, run string) string { return filepath.Join(dir, "costs", run+".json") }

// readCost is zero for a run that has none.
func readCost(dir, run string) (c Cost, err error) {
	b, err := os.ReadFile(costFile(dir, run))
	if errors.Is(err, fs.ErrNotExist) {
		return Cost{}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return Cost{}, fmt.Errorf("costs of run %s: %s: %w: delete the file, nothing but times is lost", run, costFile(dir, run), err)
	}
	return c, nil
}

// meter notes a run's cost while it goes on.
type meter struct {
	stop func() // writes the last note; it may be called again
}

// startMeter goes on from what earlier sessions have noted.
func (l *Lab) startMeter(run string) (*meter, error) {
	before, err := readCost(l.Dir, run)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(l.Dir, "costs"), 0o755); err != nil {
		return nil, err
	}
	began, cpuBegan, known := time.Now(), 0.0, false
	if l.AtOnce <= 1 { // else the process's time is several runs'
		cpuBegan, known = cpuSeconds()
	}
	note := func() {
		c := Cost{WallSeconds: before.WallSeconds + time.Since(began).Seconds(), Sessions: before.Sessions + 1}
		if now, ok := cpuSeconds(); ok && known && (before.Sessions == 0 || before.CPUSeconds != nil) {
			sum := now - cpuBegan
			if before.CPUSeconds != nil {
				sum += *before.CPUSeconds
			}
			c.CPUSeconds = &sum
		}
		if err := writeJSON(costFile(l.Dir, run), c); err != nil {
			l.Log.Warn("the cost of a run was not written down", "run", run, "error", err)
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
				note()
			case <-quit:
				note()
				return
			}
		}
	}()
	return &meter{stop: sync.OnceFunc(func() { close(quit); <-done })}, nil
}

// writeJSON replaces a file at once.
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

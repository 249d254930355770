package main

import (
	"context"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"itool/ops/dataset"
	"itool/ops/doctor"
	"itool/ops/estimate"
	"itool/ops/job"
	"itool/ops/report"
	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
	"itool/stages/split"
)

// announce says what a run will take before it begins, and chooses its slots unless they were asked for.
// What cannot be read is left out: publishing says what is wrong with it.
func (w *wholeRun) announce(ctx context.Context, a *app, e *engine, isNew bool) {
	shape, err := model.ReadConfig(w.Base)
	if err != nil {
		return
	}
	free := freeMemory(e.device)
	why := "as asked for"
	if w.slots == 0 && len(w.on.Engine) > 0 {
		w.slots, why = remoteSlots, "a server computes"
	}
	if w.slots == 0 {
		w.slots, why = job.Slots(shape, w.Config, runtime.GOMAXPROCS(0), free)
	}
	if isNew {
		w.forecast(ctx, a, e)
	}
	a.say("%d items in work at once (--slots): %s", w.slots, why)
}

// freeMemory is that of a GPU, or else of this machine, in bytes; 0: unknown.
func freeMemory(dev kernel.Device) uint64 {
	if gpu, ok := dev.(kernel.Limited); ok {
		free, _, err := gpu.Room(0)
		if err != nil {
			return 0
		}
		return uint64(max(0, free))
	}
	free, _ := doctor.Memory()
	return free
}

// forecast prints the run's rows and trees, and a rough time.
func (w *wholeRun) forecast(ctx context.Context, a *app, e *engine) {
	total, err := dataset.CountRows(w.Files)
	if err != nil {
		return
	}
	held, err := heldOut(w.Files, w.Config.Split)
	if err != nil {
		return
	}
	p, err := policy.Open(w.Base, policy.Options{Device: e.device})
	if err != nil {
		return
	}
	rowBytes, err := dataset.RowBytes(w.Files, 16)
	if err != nil {
		return
	}
	// A token of JSON is some four bytes.
	work := estimate.Count(total, held, int(math.Ceil(rowBytes/4)), w.Config)
	a.say("run %s: %s", w.Name, work)
	if speed, err := estimate.Measure(ctx, p, time.Now); err == nil {
		a.say("roughly %s on this machine if nothing else runs (from a short measurement, within a factor of 3 or so; "+
			"`itool estimate` measures it)", report.Duration(work.Seconds(speed, w.Config)))
	}
}

// heldOut counts the rows of files that are test or validation as a whole.
func heldOut(files []string, cfg split.Config) (held estimate.Held, err error) {
	count := func(named []string) (int, error) {
		return dataset.CountRows(slices.DeleteFunc(slices.Clone(files), func(file string) bool {
			return !slices.Contains(named, filepath.Base(file))
		}))
	}
	if held.Test, err = count(cfg.TestFiles); err != nil {
		return held, err
	}
	held.Validation, err = count(cfg.ValidationFiles)
	return held, err
}

package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"itool/broker"
	"itool/schemas"
	"itool/stages"
)

// board visits the runs round-robin, so that runs share the workers fairly. Runs
// that were cancelled or have ended are passed over: what they left in their queues
// stays there.
type board struct {
	worker *Worker
	alone  map[string]*sync.Mutex // held while this worker does a whole round of the stage

	mu      sync.Mutex
	runs    []string // those to serve, sorted
	listed  time.Time
	over    map[string]time.Time // runs that are over, and when we asked
	last    string               // the run that was served last
	pullers map[string]map[string]*broker.Puller
}

const (
	listEvery = time.Second
	// An end is for ever, but a name can be given to another run.
	askOverEvery = time.Minute
)

func newBoard(w *Worker) *board {
	b := &board{worker: w, alone: map[string]*sync.Mutex{}, over: map[string]time.Time{}, pullers: map[string]map[string]*broker.Puller{}}
	for _, s := range w.Stages {
		if s.Spec().Gather {
			b.alone[s.Spec().Name] = new(sync.Mutex)
		}
	}
	return b
}

// next fetches one item of one of the worker's stages, beginning with the run after
// the one that was served last. broker.ErrEmpty: there is none now. A run in trouble
// does not hold up the others.
func (b *board) next(ctx context.Context) (*item, error) {
	runs, err := b.list(ctx)
	if err != nil {
		return nil, err
	}
	result := broker.ErrEmpty
	for _, run := range runs {
		it, err := b.fetch(ctx, run)
		if err == nil {
			b.mu.Lock()
			b.last = run
			b.mu.Unlock()
			return it, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if !errors.Is(err, broker.ErrEmpty) {
			result = fmt.Errorf("run %s: %w", run, err)
		}
	}
	return nil, result
}

// fetch takes one item of a run.
func (b *board) fetch(ctx context.Context, run string) (*item, error) {
	for _, s := range b.worker.Stages {
		spec := s.Spec()
		// A stage that gathers is not made for two rounds at once in one process.
		alone := b.alone[spec.Name]
		if alone != nil && !alone.TryLock() {
			continue
		}
		d, err := b.pull(ctx, run, spec)
		if err == nil {
			return &item{w: b.worker, stage: s, spec: spec, d: d, runName: run}, nil
		}
		if alone != nil {
			alone.Unlock()
		}
		if errors.Is(err, broker.ErrNoRun) {
			b.forget(run) // retired meanwhile
			return nil, broker.ErrEmpty
		}
		if !errors.Is(err, broker.ErrEmpty) {
			return nil, err
		}
	}
	return nil, broker.ErrEmpty
}

// done must follow every item.
func (b *board) done(it *item) {
	if alone := b.alone[it.spec.Name]; alone != nil {
		alone.Unlock()
	}
}

// list returns the runs to serve, beginning after the one that was served last.
func (b *board) list(ctx context.Context) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.listed) > listEvery {
		if err := b.refresh(ctx); err != nil {
			return nil, err
		}
	}
	first, _ := slices.BinarySearch(b.runs, b.last+"\x00")
	return slices.Concat(b.runs[first:], b.runs[:first]), nil
}

// refresh asks for the runs there are, and forgets the others.
func (b *board) refresh(ctx context.Context) error {
	all, err := b.worker.Courier.Broker.Runs(ctx)
	if err != nil {
		return err
	}
	var runs []string
	over := map[string]time.Time{}
	for _, run := range all {
		if at, ok := b.over[run]; ok && time.Since(at) < askOverEvery {
			over[run] = at
			continue
		}
		switch ended, err := b.isOver(ctx, run); {
		case err != nil && ctx.Err() != nil:
			return err
		case ended:
			over[run] = time.Now()
		default: // also when it cannot be known now
			runs = append(runs, run)
		}
	}
	b.runs, b.over, b.listed = runs, over, time.Now()
	for run := range b.pullers {
		if _, there := slices.BinarySearch(runs, run); !there {
			delete(b.pullers, run)
		}
	}
	b.worker.runs.Range(func(run, _ any) bool {
		if _, there := slices.BinarySearch(runs, run.(string)); !there {
			b.worker.runs.Delete(run)
		}
		return true
	})
	return nil
}

func (b *board) isOver(ctx context.Context, run string) (bool, error) {
	for _, at := range []broker.Address{
		{Run: run, Record: schemas.RecordEnd, Key: schemas.KeyEnd},
		{Run: run, Record: schemas.RecordCancel, Key: schemas.KeyCancel},
	} {
		if there, err := b.worker.Courier.Broker.Has(ctx, at); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// pull asks the stage's queue for one item. Its durable consumer is made when it is
// first asked: on the results of one record, or on their gather.
func (b *board) pull(ctx context.Context, run string, spec stages.Spec) (*broker.Delivery, error) {
	b.mu.Lock()
	p := b.pullers[run][spec.Name]
	b.mu.Unlock()
	if p == nil {
		var err error
		p, err = b.worker.Courier.Broker.Pull(ctx, run, spec.Name, []string{spec.Filter()}, broker.PullOptions{AckWait: b.worker.AckWait})
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		if b.pullers[run] == nil {
			b.pullers[run] = map[string]*broker.Puller{}
		}
		b.pullers[run][spec.Name] = p
		b.mu.Unlock()
	}
	return p.Next(ctx)
}

// hear takes a hint: a run that is not known yet is asked for at the next look.
func (b *board) hear(run string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, known := slices.BinarySearch(b.runs, run)
	if _, over := b.over[run]; !known && !over {
		b.listed = time.Time{}
	}
}

func (b *board) forget(run string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pullers, run)
	b.listed = time.Time{}
}

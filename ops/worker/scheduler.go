package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"itool/broker"
	"itool/stages"
)

// scheduler chooses the run and the stage that a slot serves next: runs of a higher priority first. It
// visits runs of the same priority round-robin, so that they share the workers fairly. It skips runs that
// were cancelled or have ended: the items in their queues stay there.
type scheduler struct {
	worker    *Worker
	exclusive map[string]*sync.Mutex // by stage that gathers: held while this worker does a round

	mu      sync.Mutex
	runs    []string                             // to serve, sorted
	listed  time.Time                            // when runs was read
	over    map[string]time.Time                 // runs that are over, and when that was read
	urgency map[string]int                       // priority of the runs whose description was read
	last    string                               // the run that was served last
	pullers map[string]map[string]*broker.Puller // by run and stage
}

const (
	listEvery = time.Second
	// A run that has ended stays ended, but its name can be given to another run.
	askOverEvery = time.Minute
)

func newScheduler(w *Worker) *scheduler {
	s := &scheduler{
		worker: w, exclusive: map[string]*sync.Mutex{}, over: map[string]time.Time{},
		pullers: map[string]map[string]*broker.Puller{},
	}
	for _, stage := range w.Stages {
		if spec := stage.Spec(); spec.Gather {
			s.exclusive[spec.Name] = new(sync.Mutex)
		}
	}
	return s
}

// next fetches one item of one of the worker's stages. It begins with the run after the one that was
// served last. broker.ErrEmpty: no queue has an item now. An error of one run does not hold up the
// others.
func (s *scheduler) next(ctx context.Context) (*item, error) {
	runs, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	result := broker.ErrEmpty
	for _, run := range runs {
		it, err := s.fetch(ctx, run)
		if err == nil {
			s.mu.Lock()
			s.last = run
			s.mu.Unlock()
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
func (s *scheduler) fetch(ctx context.Context, run string) (*item, error) {
	if s.worker.wrongStore(ctx, run) != "" {
		return nil, broker.ErrEmpty
	}
	for _, stage := range s.worker.Stages {
		spec := stage.Spec()
		// A stage that gathers cannot do two rounds at once in one process.
		exclusive := s.exclusive[spec.Name]
		if exclusive != nil && !exclusive.TryLock() {
			continue
		}
		d, err := s.pull(ctx, run, spec)
		if err == nil {
			return &item{w: s.worker, stage: stage, spec: spec, d: d, runName: run}, nil
		}
		if exclusive != nil {
			exclusive.Unlock()
		}
		if errors.Is(err, broker.ErrNoRun) {
			s.forget(run) // it was retired meanwhile
			return nil, broker.ErrEmpty
		}
		if !errors.Is(err, broker.ErrEmpty) {
			return nil, err
		}
	}
	return nil, broker.ErrEmpty
}

// done must be called after every item.
func (s *scheduler) done(it *item) {
	if exclusive := s.exclusive[it.spec.Name]; exclusive != nil {
		exclusive.Unlock()
	}
}

// list returns the runs to serve, the highest priority first. Runs of the same priority take turns: the first of
// them is the one after the run that was served last.
func (s *scheduler) list(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.listed) > listEvery {
		if err := s.refresh(ctx); err != nil {
			return nil, err
		}
	}
	first, _ := slices.BinarySearch(s.runs, s.last+"\x00")
	runs := slices.Concat(s.runs[first:], s.runs[:first])
	slices.SortStableFunc(runs, func(x, y string) int { return cmp.Compare(s.urgency[y], s.urgency[x]) })
	return runs, nil
}

// readPriorities reads the priority of runs that are new. It is 0 for a run that no keeper has opened yet.
func (s *scheduler) readPriorities(ctx context.Context, runs []string) {
	urgency := make(map[string]int, len(runs))
	for _, run := range runs {
		known, found := s.urgency[run]
		if !found {
			r, _, err := s.worker.Courier.Description(ctx, run)
			if err != nil {
				continue // asked again next time
			}
			var cfg struct{ Line struct{ Priority int } }
			_ = json.Unmarshal([]byte(r.Config), &cfg) // what cannot be read is found by the run's items
			known = cfg.Line.Priority
		}
		urgency[run] = known
	}
	s.urgency = urgency
}

// refresh reads which runs exist, and forgets the others.
func (s *scheduler) refresh(ctx context.Context) error {
	all, err := s.worker.Courier.Broker.Runs(ctx)
	if err != nil {
		return err
	}
	var runs []string
	over := map[string]time.Time{}
	for _, run := range all {
		if at, ok := s.over[run]; ok && time.Since(at) < askOverEvery {
			over[run] = at
			continue
		}
		switch ended, err := s.isOver(ctx, run); {
		case err != nil && ctx.Err() != nil:
			return err
		case ended:
			over[run] = time.Now()
		default: // also if that could not be read
			runs = append(runs, run)
		}
	}
	s.readPriorities(ctx, runs)
	s.runs, s.over, s.listed = runs, over, time.Now()
	for run := range s.pullers {
		if _, found := slices.BinarySearch(runs, run); !found {
			delete(s.pullers, run)
		}
	}
	s.worker.stores.forget(func(run string) bool { _, found := slices.BinarySearch(runs, run); return found })
	s.worker.runs.Range(func(run, _ any) bool {
		if _, found := slices.BinarySearch(runs, run.(string)); !found {
			s.worker.runs.Delete(run)
		}
		return true
	})
	return nil
}

func (s *scheduler) isOver(ctx context.Context, run string) (bool, error) {
	if ended, err := s.worker.Courier.Ended(ctx, run); ended || err != nil {
		return ended, err
	}
	return s.worker.Courier.Cancelled(ctx, run)
}

// pull asks the stage's queue for one item. The first call makes the queue: a durable consumer of
// the records that wake the stage.
func (s *scheduler) pull(ctx context.Context, run string, spec stages.Spec) (*broker.Delivery, error) {
	s.mu.Lock()
	p := s.pullers[run][spec.Name]
	s.mu.Unlock()
	if p == nil {
		var err error
		opt := broker.PullOptions{AckWait: s.worker.AckWait}
		p, err = s.worker.Courier.Broker.Pull(ctx, run, spec.Name, []string{spec.Filter()}, opt)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		if s.pullers[run] == nil {
			s.pullers[run] = map[string]*broker.Puller{}
		}
		s.pullers[run][spec.Name] = p
		s.mu.Unlock()
	}
	return p.Next(ctx)
}

// onHint makes the next look read the list of runs again if the hint is from an unknown run.
func (s *scheduler) onHint(run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := slices.BinarySearch(s.runs, run)
	if _, over := s.over[run]; !known && !over {
		s.listed = time.Time{}
	}
}

func (s *scheduler) forget(run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pullers, run)
	s.listed = time.Time{}
}

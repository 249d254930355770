package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"itool/ops/courier"
	"itool/schemas"
	"itool/storage"
	"itool/storage/checkpoint"
)

// A run names the store that holds its files. A worker with another store would find nothing and
// fail healthy items, so it takes no item of that run.

// How long an answer about the store of a run holds: a name can be given to another run, and a store
// that did not answer may answer soon.
const (
	askStoreEvery = time.Minute
	askStoreAgain = 2 * time.Second
)

// storeGuard remembers for every run whether this worker has its store.
type storeGuard struct {
	mu   sync.Mutex
	runs map[string]storeAnswer
}

type storeAnswer struct {
	until time.Time
	why   string // why no item is taken; "": the store is the run's
}

// wrongStore says why the worker must not serve a run; "": it may. It logs a new reason once.
func (w *Worker) wrongStore(ctx context.Context, run string) string {
	w.stores.mu.Lock()
	last := w.stores.runs[run]
	w.stores.mu.Unlock() // the store may take long to answer, and list must not wait for it
	if time.Now().Before(last.until) {
		return last.why
	}
	next := storeAnswer{until: time.Now().Add(askStoreEvery)}
	r, _, err := w.Courier.Description(ctx, run)
	switch {
	case err == nil:
		err = w.hasStore(ctx, r)
	case isLost(err): // the description is large and lies in the store itself
		err = lost(err)
	default:
		next.until, err = time.Time{}, nil // not opened yet, or damaged: then its items say what is wrong
	}
	if err != nil && ctx.Err() == nil {
		next = storeAnswer{time.Now().Add(askStoreAgain), err.Error()}
	}
	if next.why != "" && next.why != last.why {
		w.Log.Warn("takes no item of the run", "run", run, "why", next.why)
	}
	w.stores.mu.Lock()
	defer w.stores.mu.Unlock()
	if w.stores.runs == nil {
		w.stores.runs = map[string]storeAnswer{}
	}
	w.stores.runs[run] = next
	return next.why
}

// hasStore is an error if the run names another store than this worker's.
func (w *Worker) hasStore(ctx context.Context, r schemas.Run) error {
	if r.Store == "" {
		return nil // published by a version that did not name it
	}
	id, err := w.Courier.StoreID(ctx)
	switch {
	case errors.Is(err, storage.ErrNotExist):
		id = "none"
	case err != nil:
		return &waitError{"store: " + err.Error()}
	}
	if id != r.Store {
		return &waitError{fmt.Sprintf("store: the run's files are in store %s, this worker has %v with identity %s: "+
			"start it with the --store that the run was published with", r.Store, w.Courier.Store, id)}
	}
	return nil
}

// forget drops the answers about runs that do not exist any more.
func (g *storeGuard) forget(exists func(run string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for run := range g.runs {
		if !exists(run) {
			delete(g.runs, run)
		}
	}
}

// list says which runs are not served, and why.
func (g *storeGuard) list(worker string) (all []courier.Waiting) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for run, answer := range g.runs {
		if answer.why != "" {
			why := strings.TrimPrefix(answer.why, "waiting: ")
			all = append(all, courier.Waiting{Run: run, What: why, Worker: worker})
		}
	}
	return all
}

// isLost reports whether the store lacks an object that a record of the run promises.
func isLost(err error) bool {
	return errors.Is(err, storage.ErrNotExist) || errors.Is(err, checkpoint.ErrMissing)
}

// lost is the error of an item whose store lacks such an object. The item is not at fault: it goes back
// to its queue, because another worker may have the object, or a person may bring it back.
func lost(err error) error { return &waitError{"store: " + err.Error()} }

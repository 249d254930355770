package worker

import (
	"sync"
	"time"

	"itool/ops/courier"
)

// waits remembers what a worker's items wait for, for those who ask.
type waits struct {
	mu   sync.Mutex
	held map[*item]wait                 // what an item in a slot waits for
	back map[queue]map[string]time.Time // what items that went back to their queue wait for, until when
}

type queue struct{ run, stage string }

// wait is what was waited for when the item was last tried. It is forgotten some time after the next try,
// which may succeed and take long.
type wait struct {
	what   string
	forget time.Time
}

// tryTime is how long a try may take that fails for the same reason again.
const tryTime = 15 * time.Second

// hold notes what an item in a slot waits for. It is tried again after the pause.
func (w *waits) hold(it *item, what string, now time.Time, pause time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		w.held = map[*item]wait{}
	}
	w.held[it] = wait{what, now.Add(pause + tryTime)}
}

// release forgets the item's wait, if it has one.
func (w *waits) release(it *item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, it)
}

// handBack notes why an item went back to its queue. The note ends at forget, unless an item goes back for the
// same reason before.
func (w *waits) handBack(it *item, what string, forget time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := queue{it.runName, it.spec.Name}
	if w.back == nil {
		w.back = map[queue]map[string]time.Time{}
	}
	if w.back[q] == nil {
		w.back[q] = map[string]time.Time{}
	}
	w.back[q][what] = forget
}

// list says what the items wait for now.
func (w *waits) list(worker string, now time.Time) (all []courier.Waiting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for it, h := range w.held {
		if now.Before(h.forget) {
			all = append(all, courier.Waiting{Run: it.runName, Stage: it.spec.Name, What: h.what, Worker: worker})
		}
	}
	for q, whats := range w.back {
		for what, forget := range whats {
			if now.After(forget) {
				delete(whats, what)
				continue
			}
			all = append(all, courier.Waiting{Run: q.run, Stage: q.stage, What: what, Worker: worker})
		}
		if len(whats) == 0 {
			delete(w.back, q)
		}
	}
	return all
}

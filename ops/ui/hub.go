package ui

import (
	"context"
	"errors"
	"sync"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/report"
	"itool/schemas"
)

// hub watches each run that somebody looks at, once, however many look.
type hub struct {
	o       Options
	ctx     context.Context // ends with the server
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	watched map[string]*watcher // by run
}

func newHub(o Options) *hub {
	ctx, stop := context.WithCancel(context.Background())
	return &hub{o: o, ctx: ctx, stop: stop, watched: map[string]*watcher{}}
}

func (h *hub) close() {
	h.stop()
	h.running.Wait()
}

// visitor gets the panels of a run as they change. What it has not fetched yet is replaced by what is newer, so
// a slow one costs no memory.
type visitor struct {
	wake    chan struct{} // buffered: one pending wake-up
	mu      sync.Mutex
	pending map[string]string
	over    bool
}

func (v *visitor) put(id, html string) {
	v.mu.Lock()
	v.pending[id] = html
	v.mu.Unlock()
	v.knock()
}

func (v *visitor) knock() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// take returns the panels that have changed. over: there will be no more.
func (v *visitor) take() (panels map[string]string, over bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	panels, v.pending = v.pending, map[string]string{}
	return panels, v.over
}

// watcher reads one run while it has visitors.
type watcher struct {
	o    Options
	run  string
	stop context.CancelFunc

	asking sync.WaitGroup

	mu       sync.Mutex
	visitors map[*visitor]bool
	panels   map[string]string // as they were sent last
	over     bool              // nothing changes any more
}

// join adds a visitor, who first gets all panels that are there. Call leave once.
func (h *hub) join(run string) (v *visitor, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.watched[run]
	if w == nil {
		ctx, stop := context.WithCancel(h.ctx)
		w = &watcher{o: h.o, run: run, stop: stop, visitors: map[*visitor]bool{}, panels: map[string]string{}}
		h.watched[run] = w
		h.running.Go(func() { w.watch(ctx) })
	}
	v = &visitor{wake: make(chan struct{}, 1), pending: map[string]string{}}
	w.mu.Lock()
	for id, html := range w.panels {
		v.pending[id] = html
	}
	v.over = w.over
	w.visitors[v] = true
	w.mu.Unlock()
	v.knock()
	return v, func() { h.leave(w, v) }
}

// leave ends the watching with the last visitor.
func (h *hub) leave(w *watcher, v *visitor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.mu.Lock()
	delete(w.visitors, v)
	empty := len(w.visitors) == 0
	w.mu.Unlock()
	if empty {
		w.stop()
		if h.watched[w.run] == w {
			delete(h.watched, w.run)
		}
	}
}

// send passes on the panels that differ from those that were sent before.
func (w *watcher) send(panels map[string]string, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = over
	for id, html := range panels {
		if w.panels[id] == html {
			continue
		}
		w.panels[id] = html
		for v := range w.visitors {
			v.put(id, html)
		}
	}
	for v := range w.visitors {
		if over {
			v.mu.Lock()
			v.over = true
			v.mu.Unlock()
			v.knock()
		}
	}
}

const (
	// lookEvery is the shortest time between two looks at a run.
	lookEvery = time.Second
	// budget is the share of the time that looking may take: a look that took a millisecond is followed by a
	// hundred without, up to longestPause. Most of a long look is waiting for the broker.
	budget       = 100
	longestPause = 10 * time.Second
	// askEvery is how often workers are asked what they do: all of them answer.
	askEvery = 3 * time.Second
	// againEvery is how long a run is left alone that cannot be reached, or that has not begun.
	againEvery = 5 * time.Second
)

// watch reads the run until ctx ends or the run does. If it cannot be reached it is tried again.
func (w *watcher) watch(ctx context.Context) {
	for {
		over, err := w.follow(ctx)
		switch {
		case ctx.Err() != nil || over:
			return
		case err != nil:
			w.send(map[string]string{"trouble": w.trouble(err)}, false)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(againEvery):
		}
	}
}

// trouble says that the run cannot be read at the moment.
func (w *watcher) trouble(err error) string {
	text, renderErr := toString("trouble", report.Plain(err.Error()))
	if renderErr != nil {
		w.o.Log.Warn("page", "error", renderErr)
	}
	return text
}

// follow sends what changes in the run. over: it has ended, and the last panels are sent.
func (w *watcher) follow(ctx context.Context) (over bool, err error) {
	ctx, stop := context.WithCancel(ctx) // ends what listens and asks, also when the run is tried again
	defer stop()
	c, release, err := w.o.Source.Open(ctx, w.run)
	if err != nil {
		return false, err
	}
	defer release()
	news, err := c.ListenProgress(ctx, w.run)
	if err != nil {
		return false, err
	}
	said := make(chan answers)
	w.asking.Go(func() { askWorkers(ctx, c, said) })
	defer w.asking.Wait()
	defer stop()
	f := follower{w: w, c: c, page: page{Run: w.run, Live: true, o: w.o}}
	if f.l, err = openLooker(ctx, c, w.run); err != nil {
		return false, err
	}
	for {
		start := time.Now()
		if over, err = f.step(ctx); over || err != nil {
			return over, err
		}
		pause := time.NewTimer(min(longestPause, max(lookEvery, budget*time.Since(start))))
		if err := f.listen(ctx, news, said, pause.C); err != nil {
			return false, err
		}
	}
}

// answers are what workers say: what their items wait for, and what they work on.
type answers struct {
	waits   []courier.Waiting
	working []courier.Working
}

// askWorkers asks all workers again and again, until ctx ends. An answer takes a third of a second, for which no look
// should wait.
func askWorkers(ctx context.Context, c *courier.Courier, said chan<- answers) {
	for ctx.Err() == nil {
		var a answers
		var err, err2 error
		a.waits, err = c.Waiting(ctx)
		a.working, err2 = c.Working(ctx)
		if err == nil && err2 == nil {
			select {
			case said <- a:
			case <-ctx.Done():
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(askEvery):
		}
	}
}

// openLooker makes a looker for a run.
func openLooker(ctx context.Context, c *courier.Courier, run string) (*looker, error) {
	started, err := c.StartedAs(ctx, run)
	if err != nil {
		return nil, err
	}
	if started == nil {
		return nil, broker.ErrNoRun
	}
	return newLooker(run, roundsOf(started.Config)), nil
}

// follower is what watch knows of the run between two looks.
type follower struct {
	w     *watcher
	c     *courier.Courier
	l     *looker
	page  page
	known string // the milestone that the report was made at
}

// step looks at the run and sends what changed.
func (f *follower) step(ctx context.Context) (over bool, err error) {
	now := time.Now()
	if err := f.l.look(ctx, f.c, now); err != nil {
		return false, err
	}
	if f.known != f.l.known || f.page.Report == nil {
		r, err := report.Gather(ctx, f.c, f.w.run)
		switch {
		case errors.Is(err, broker.ErrNoRun), errors.Is(err, broker.ErrNotExist): // no keeper has opened it yet
		case err != nil:
			return false, err
		default:
			f.page.Report, f.known = r, f.l.known
		}
	}
	f.page.see(f.l, now)
	over = f.l.view.End != nil && f.page.Report != nil
	panels, err := f.page.panels()
	if err != nil {
		return false, err
	}
	f.w.send(panels, over)
	return over, nil
}

// listen takes news of the run until it is time for the next look.
func (f *follower) listen(
	ctx context.Context, news <-chan schemas.Progress, said <-chan answers, next <-chan time.Time,
) error {
	for {
		select {
		case a := <-said:
			f.l.told(a)
		case <-ctx.Done():
			return ctx.Err()
		case p, ok := <-news:
			if !ok {
				return errors.New("the connection to the broker was closed")
			}
			f.l.hear(p, time.Now())
		case <-next:
			return nil
		}
	}
}

package scale

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// Worker is one that a Pool has started.
type Worker interface {
	Drain()      // it takes no more items, finishes those that it has, and ends
	Stop()       // it hands its items back and ends
	Wait() error // returns when it has ended
}

// Pool runs workers by the backlog. Fill it in, then call Run once.
type Pool struct {
	Limits
	// Devices has a name for each place of a worker on a device: a device with two places is there twice.
	// There are never more workers than places. nil: workers need no device.
	Devices []string
	Backlog func(context.Context) (waiting, inWork int, err error)
	Start   func(device string) (Worker, error)
	Wake    <-chan struct{} // look now; nil: only from time to time
	Every   time.Duration   // how often it looks; default 1 s
	// IdleUntil ends Run when nothing was left to do for so long; 0: never.
	IdleUntil time.Duration
	Observe   func(View, Decision) // after every look; may be nil
	Log       *slog.Logger

	workers []*member
	ended   chan *member
	surplus time.Time // since when there are too many
	busy    time.Time // when something was left to do
	pause   time.Duration
	notTill time.Time // no worker starts before, because one failed
}

// member is a worker of the pool.
type member struct {
	Worker
	device   int // index in Devices; −1: none
	started  time.Time
	draining bool
	err      error // after its end
}

// A worker that ends with an error is replaced after the first of these pauses; each further one doubles it,
// up to the second. One that worked for as long as the second starts afresh.
const (
	firstPause = time.Second
	maxPause   = time.Minute
)

// Run starts and drains workers until ctx ends. Then it stops them, and returns when the last one has ended.
func (p *Pool) Run(ctx context.Context) error {
	if p.Devices != nil {
		p.Max = min(p.Max, len(p.Devices))
		p.Min = min(p.Min, p.Max)
	}
	if err := p.Validate(); err != nil {
		return err
	}
	if p.Every <= 0 {
		p.Every = time.Second
	}
	p.ended, p.busy = make(chan *member), time.Now()
	tick := time.NewTicker(p.Every)
	defer tick.Stop()
	for p.look(ctx) {
		select {
		case <-ctx.Done():
			p.finish(ctx)
			return nil
		case m := <-p.ended:
			p.remove(m)
		case <-p.Wake:
		case <-tick.C:
		}
	}
	p.finish(ctx)
	return nil
}

// look decides and acts once; false: there was nothing to do for IdleUntil.
func (p *Pool) look(ctx context.Context) bool {
	waiting, inWork, err := p.Backlog(ctx)
	if err != nil {
		if ctx.Err() == nil {
			p.Log.Warn("the backlog cannot be read; the number of workers stays", "error", err)
		}
		return true
	}
	v := View{At: time.Now(), Waiting: waiting, InWork: inWork}
	for _, m := range p.workers {
		if m.draining {
			v.Draining++
		} else {
			v.Active++
		}
	}
	var d Decision
	d, p.surplus = p.Decide(v, p.surplus)
	if v.At.Before(p.notTill) {
		d.Start = 0
	}
	for range d.Start {
		if !p.start() {
			break // what kept this one from starting would keep the others, too
		}
	}
	for range d.Drain {
		p.drain()
	}
	if d.Start > 0 || d.Drain > 0 {
		p.Log.Info("workers", "started", d.Start, "let go", d.Drain, "before", v.Active,
			"waiting", waiting, "in work", inWork)
	}
	if p.Observe != nil {
		p.Observe(v, d)
	}
	if waiting+inWork > 0 {
		p.busy = v.At
	}
	return p.IdleUntil <= 0 || v.At.Sub(p.busy) < p.IdleUntil
}

// start adds a worker on a free device.
func (p *Pool) start() bool {
	m := &member{device: p.freeDevice(), started: time.Now()}
	name := ""
	if m.device >= 0 {
		name = p.Devices[m.device]
	}
	w, err := p.Start(name)
	if err != nil {
		p.fail(err)
		return false
	}
	m.Worker = w
	p.workers = append(p.workers, m)
	go func() { m.err = w.Wait(); p.ended <- m }()
	return true
}

// freeDevice is a place that no worker holds; one that drains holds its own. −1: workers need no device.
func (p *Pool) freeDevice() int {
	for i := range p.Devices {
		if !slices.ContainsFunc(p.workers, func(m *member) bool { return m.device == i }) {
			return i
		}
	}
	return -1
}

// drain lets the youngest worker go: the caches of the others are warm.
func (p *Pool) drain() {
	for _, m := range slices.Backward(p.workers) {
		if !m.draining {
			m.draining = true
			m.Drain()
			return
		}
	}
}

func (p *Pool) remove(m *member) {
	p.workers = slices.DeleteFunc(p.workers, func(other *member) bool { return other == m })
	if time.Since(m.started) >= maxPause {
		p.pause = 0
	}
	if m.err != nil {
		p.fail(m.err)
	}
}

// fail makes the pool wait before it starts another worker. Workers that fail together count once.
func (p *Pool) fail(err error) {
	if now := time.Now(); !now.Before(p.notTill) {
		p.pause = min(max(2*p.pause, firstPause), maxPause)
		p.notTill = now.Add(p.pause)
	}
	p.Log.Error("a worker failed", "error", err, "another one starts in", p.pause)
}

// finish lets all workers go and waits for them; once ctx has ended it stops them.
func (p *Pool) finish(ctx context.Context) {
	for _, m := range p.workers {
		m.Drain()
	}
	stop := ctx.Done()
	for len(p.workers) > 0 {
		select {
		case <-stop:
			for _, m := range p.workers {
				m.Stop()
			}
			stop = nil
		case m := <-p.ended:
			p.workers = slices.DeleteFunc(p.workers, func(other *member) bool { return other == m })
		}
	}
}
